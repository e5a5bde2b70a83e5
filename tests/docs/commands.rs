//! What the documents say to type is typed. The blocks of a page run in their order, in a directory of their own,
//! with the vendors played by the simulator and the usual addresses by ports that were free. A page that starts no
//! gateway itself finds one. What is not run stands in [`NOT_RUN`], with the reason.
//!
//! - `sh` blocks are typed as they stand, of `console` blocks what stands behind `$`.
//! - Every command has to succeed and every answer to be a 2xx, or what a comment of the block says (`# 401`).
//! - A `text` block right behind it is what it prints: each line, `...` standing for anything.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::support::gateway::new_dir;
use super::support::simulated::Simulated;
use super::support::wait::DEADLINE;
use super::{Page, pages, without_variables};

/// How a command begins that is not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo install", "builds, and installs into a home"),
    ("make demo", "builds; docs/quickstart.md runs the demo"),
    ("weir run #", "listens where it usually does, with a key of the environment"),
    ("install ", "needs root"),
    ("systemd-sysusers", "needs root"),
    ("systemctl ", "needs systemd and root; scripts/ops-check holds the units"),
    ("docker ", "needs Docker"),
    ("kubectl ", "needs a cluster; scripts/ops-check holds the manifests"),
    ("{ printf 'apiVersion", "needs a cluster"),
    ("curl -H \"Authorization: Bearer $LITELLM", "asks a LiteLLM proxy"),
    ("weir tail ", "follows until it is interrupted; tests/e2e runs it"),
];

/// What pages find that start no gateway.
const CONFIG: &str = r#"server: {listen: 127.0.0.1:8080}
admin: {listen: 127.0.0.1:8081}
providers:
  openai: {api_key: "${OPENAI_API_KEY}"}
  anthropic: {api_key: "${ANTHROPIC_API_KEY}"}
  lab:
    kind: vllm
    endpoints: [{id: a, base_url: "http://SIMULATOR/v1"}, {id: b, base_url: "http://SIMULATOR/v1"}]
routes:
  fast: {targets: [{model: openai/gpt-5-mini}, {model: anthropic/claude-haiku-4-5}]}
tenants:
  acme: {keys: [{id: acme-dev, secret: "${WEIR_API_KEY}"}]}
telemetry: {access_log: "off", capture: {key: "${WEIR_CAPTURE_KEY}"}}
"#;
const VARIABLES: &[(&str, &str)] = &[
    ("OPENAI_API_KEY", "sk-documents"),
    ("ANTHROPIC_API_KEY", "sk-documents"),
    ("WEIR_API_KEY", "key-of-the-documents"),
    ("WEIR_ADMIN_TOKEN", "token-of-the-documents"),
    ("WEIR_CAPTURE_KEY", "0000000000000000000000000000000000000000000000000000000000000000"),
];
const REQUEST: &str = r#"{"model": "fast", "messages": [{"role": "user", "content": "hello"}]}"#;
/// What docs/migration.md begins with.
const LITELLM: &[(&str, &str)] = &[
    (
        "config.yaml",
        "model_list:\n  - model_name: small\n    litellm_params: {model: openai/gpt-5-mini, api_key: os.environ/OPENAI_API_KEY}\n",
    ),
    (
        "keys.json",
        r#"{"keys": [{"token": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b", "key_alias": "ci", "team_id": "t1", "models": []}]}"#,
    ),
    ("teams.json", r#"[{"team_id": "t1", "team_alias": "search", "models": ["small"], "rpm_limit": 60}]"#),
];

/// A fenced block.
struct Block<'p> {
    language: &'p str,
    text: String,
    /// Of the block itself, and of the next one if nothing stands between.
    line: usize,
    prints: Option<String>,
}

fn blocks(page: &Page) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let (mut inside, mut adjacent) = (None, false);
    for (at, line) in page.text.lines().enumerate() {
        match (inside, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                inside = Some(language);
                blocks.push(Block { language, text: String::new(), line: at + 1, prints: None });
            }
            (Some(language), Some(_)) => {
                if language == "text" && adjacent {
                    let printed = blocks.pop().unwrap().text;
                    blocks.last_mut().unwrap().prints = Some(printed);
                }
                (inside, adjacent) = (None, true);
            }
            (Some(_), None) => writeln!(blocks.last_mut().unwrap().text, "{line}").unwrap(),
            (None, None) => adjacent &= line.trim().is_empty(),
        }
    }
    blocks
}

/// Whether a shell would wait for more: an open quote or brace, a here-document, a backslash at the end.
fn is_open(command: &str) -> bool {
    if let Some((_, word)) = command.split_once("<<'") {
        let word = word.split('\'').next().unwrap_or_default();
        return command.lines().next_back() != Some(word);
    }
    let (mut quote, mut braces, mut escaped) = (None, 0, false);
    for c in command.trim_end().chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => braces += 1,
            (None, '}') => braces -= 1,
            // A comment may have an apostrophe.
            (None, '#') if braces == 0 => return false,
            _ => {}
        }
    }
    escaped || quote.is_some() || braces > 0
}

/// The commands of a block, each as it is typed.
fn commands(block: &Block<'_>) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in block.text.lines() {
        let goes_on = commands.last().is_some_and(|command| is_open(command));
        let typed = match block.language {
            "console" if !goes_on => line.strip_prefix("$ "),
            _ => Some(line),
        };
        match (commands.last_mut(), typed) {
            (Some(last), Some(line)) if goes_on => write!(last, "\n{line}").unwrap(),
            (_, Some(line)) if !line.trim().is_empty() => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

fn not_run(command: &str) -> Option<usize> {
    let bare = without_variables(command.lines().next().unwrap_or_default());
    NOT_RUN.iter().position(|(begin, _)| bare.starts_with(begin))
}

/// A gateway that a page started, or found.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One page being worked through.
struct Reader<'p> {
    page: &'p Page,
    dir: PathBuf,
    simulator: SocketAddr,
    public: SocketAddr,
    admin: SocketAddr,
    served: Option<Served>,
    /// What stands for `REQUEST_ID`.
    request_id: String,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.served = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Lines of a process, as they come.
fn lines(child: &mut Child) -> Receiver<String> {
    let (send, lines) = channel();
    let pipe = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(pipe).lines().map_while(Result::ok).for_each(|line| drop(send.send(line)))
    });
    lines
}

impl<'p> Reader<'p> {
    fn new(page: &'p Page, simulator: SocketAddr) -> Self {
        let dir = new_dir();
        let bin = dir.join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_weir"), bin.join("weir")).unwrap();
        let real =
            ["/usr/bin/curl", "/bin/curl", "/usr/local/bin/curl"].into_iter().find(|path| Path::new(path).exists());
        let real = real.expect("curl, which the documents use, is not there");
        // Says on stderr what was answered.
        let script = format!("#!/bin/sh\nexec {real} -sS -w '%{{stderr}}\\nstatus %{{http_code}}\\n' \"$@\"\n");
        fs::write(bin.join("curl"), script).unwrap();
        fs::set_permissions(bin.join("curl"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("request.json"), REQUEST).unwrap();
        let (public, admin) = (free(), free());
        Self { page, dir, simulator, public, admin, served: None, request_id: String::new() }
    }

    /// The commands with this reader's addresses.
    fn mapped(&self, command: &str) -> String {
        let public = command.replace("127.0.0.1:8080", &self.public.to_string());
        let admin = public.replace("127.0.0.1:8081", &self.admin.to_string());
        admin
            .replace("https://weir-admin.example.com", &format!("http://{}", self.admin))
            .replace("REQUEST_ID", &self.request_id)
    }

    /// A shell in the page's directory. What it exports is there for the next one with the same `memory`.
    fn shell(&self, script: &str, memory: &str) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("set -e\n[ ! -f {memory} ] || . ./{memory}\n{script}"));
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.dir.join("bin").display());
        shell.current_dir(&self.dir).env_clear().env("PATH", path).env("HOME", &self.dir).stdin(Stdio::null());
        if !starts_its_own(self.page) {
            shell.envs(VARIABLES.iter().copied());
        }
        shell
    }

    /// Everything it printed, and the statuses of its answers.
    fn run(&self, commands: &[String], memory: &str) -> Result<(String, Vec<String>), String> {
        let script: Vec<String> = commands.iter().map(|command| self.mapped(command)).collect();
        let script = format!("{}\nexport -p > {memory}\n", script.join("\n"));
        let output = self.shell(&script, memory).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (said(&output.stdout), said(&output.stderr));
        if !output.status.success() {
            return Err(format!("{}:\n{script}\n{out}\n{err}", output.status));
        }
        let statuses = err.lines().filter_map(|line| line.strip_prefix("status ")).map(str::to_owned).collect();
        Ok((out + &err, statuses))
    }

    /// Configurations with the addresses that were free, and the simulator in the vendors' place.
    fn settle(&self, [public, admin]: [SocketAddr; 2]) {
        let file = self.dir.join("weir.yaml");
        let Ok(text) = fs::read_to_string(&file) else { return };
        // The public address stands first. Whoever says no admin's has the usual one.
        let mut parts = text.split("listen: ");
        let mut settled = parts.next().unwrap_or_default().to_owned();
        for (address, part) in [public, admin].iter().zip(parts.by_ref()) {
            let rest = part.find([',', '}', '\n']).map_or("", |end| part.split_at(end).1);
            write!(settled, "listen: \"{address}\"{rest}").unwrap();
        }
        if !text.contains("admin:") {
            write!(settled, "\nadmin: {{listen: \"{admin}\"}}\n").unwrap();
        }
        let simulator = self.simulator;
        let settled = settled
            .replace("openai: {api_key", &format!("openai: {{base_url: \"http://{simulator}/v1\", api_key"))
            .replace("anthropic: {api_key", &format!("anthropic: {{base_url: \"http://{simulator}\", api_key"))
            .replace("SIMULATOR", &simulator.to_string());
        fs::write(file, settled).unwrap();
    }

    /// Starts what serves, and waits until it does. Somebody else may take a free port first: then others.
    fn serve(&mut self, command: &str) -> Result<(), String> {
        self.served = None;
        let mut said = String::new();
        for _ in 0..5 {
            let addresses = [free(), free()];
            self.settle(addresses);
            let [public, admin] = addresses;
            let bare = without_variables(command);
            let variables = command.strip_suffix(&bare).unwrap_or_default();
            let mut script = if variables.is_empty() { String::new() } else { format!("export {variables}\n") };
            write!(script, "exec {bare}").unwrap();
            if bare.starts_with("weir demo") {
                write!(script, " --listen {public} --admin {admin}").unwrap();
            }
            let mut shell = self.shell(&script, ".server");
            let mut child = shell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let lines = lines(&mut child);
            let served = Served(child);
            let until = Instant::now() + DEADLINE;
            said.clear();
            while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                if line.starts_with("weir: admin on ") {
                    (self.public, self.admin, self.served) = (public, admin, Some(served));
                    // Whoever does not read would stop it.
                    std::thread::spawn(move || lines.iter().for_each(drop));
                    return Ok(());
                }
                said += &(line + "\n");
            }
        }
        Err(format!("{command} does not serve:\n{said}"))
    }

    /// The gateway that a page finds, which has answered before.
    fn find_one(&mut self) -> Result<(), String> {
        fs::write(self.dir.join("weir.yaml"), CONFIG).unwrap();
        self.serve("weir run -c weir.yaml")?;
        let ask = "curl -i http://127.0.0.1:8080/v1/chat/completions -H \"authorization: Bearer $WEIR_API_KEY\" -d @request.json";
        let (said, _) = self.run(&[ask.to_owned()], ".reader")?;
        let id = said.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or_default();
        id.trim().clone_into(&mut self.request_id);
        Ok(())
    }

    /// Types one block.
    fn work(&mut self, block: &Block<'_>, used: &mut [bool]) -> Result<(), String> {
        let (mut typed, mut serves, mut status) = (Vec::new(), None, None);
        for command in commands(block) {
            match (command.strip_prefix("# "), not_run(&command)) {
                (Some(comment), _) if comment.parse::<u16>().is_ok() => status = Some(comment.to_owned()),
                (_, Some(at)) => used[at] = true,
                _ if is_serving(&command) => serves = Some(command),
                _ => typed.push(command),
            }
        }
        let memory = if serves.is_some() { ".server" } else { ".reader" };
        // Rows reach the database a moment after their answer.
        let until = Instant::now() + DEADLINE;
        loop {
            let (said, statuses) = self.run(&typed, memory)?;
            let is_right = |got: &&String| got.starts_with(status.as_deref().unwrap_or("2"));
            if let Some(wrong) = statuses.iter().find(|got| !is_right(got)) {
                return Err(format!("answered with {wrong}:\n{}\n{said}", block.text));
            }
            match block.prints.iter().flat_map(|text| text.lines()).find(|line| !prints(&said, line)) {
                None => break,
                Some(line) if Instant::now() > until => return Err(format!("does not print `{line}`:\n{said}")),
                Some(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
            }
        }
        serves.map_or(Ok(()), |command| self.serve(&command))
    }
}

/// Whether a line stands there, `...` standing for anything.
fn prints(said: &str, line: &str) -> bool {
    let wanted: Vec<&str> = line.trim().split("...").collect();
    said.lines().any(|mut rest| {
        wanted.iter().all(|piece| {
            let found = rest.split_once(piece);
            rest = found.map_or("", |(_, behind)| behind);
            found.is_some()
        })
    })
}

fn is_serving(command: &str) -> bool {
    let bare = without_variables(command);
    bare.starts_with("weir demo") || bare.starts_with("weir run -c")
}

fn is_typed(block: &Block<'_>) -> bool {
    matches!(block.language, "sh" | "console")
}

/// Those bring what they need, or begin without anything.
fn starts_its_own(page: &Page) -> bool {
    let typed = blocks(page).into_iter().filter(is_typed);
    page.name != "docs/migration.md" && typed.flat_map(|block| commands(&block)).any(|command| is_serving(&command))
}

#[test]
fn every_command_works() {
    let simulated = Simulated::start();
    let mut used = vec![false; NOT_RUN.len()];
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages().iter().filter(|page| page.name == "README.md" || page.name.starts_with("docs/")) {
        let blocks: Vec<Block<'_>> = blocks(page).into_iter().filter(is_typed).collect();
        let needed = blocks.iter().flat_map(commands).any(|command| not_run(&command).is_none());
        let mut reader = Reader::new(page, simulated.address);
        let found = match page.name.as_str() {
            "docs/migration.md" => LITELLM
                .iter()
                .try_for_each(|(name, text)| fs::write(reader.dir.join(name), text))
                .map_err(|e| e.to_string()),
            _ if needed && !starts_its_own(page) => reader.find_one(),
            _ => Ok(()),
        };
        if let Err(error) = found {
            wrong.push(format!("{}: {error}", page.name));
            continue;
        }
        for block in &blocks {
            seen += 1;
            if let Err(error) = reader.work(block, &mut used) {
                wrong.push(format!("{}:{}: {error}", page.name, block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{} blocks do not work:\n\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(seen > 20, "the documents have {seen} blocks: the search for them is broken");
    let idle = NOT_RUN.iter().zip(used).filter(|(_, used)| !used).map(|((begin, _), _)| *begin);
    assert_eq!(idle.collect::<Vec<_>>(), Vec::<&str>::new(), "no document says this any more");
}

#[test]
fn commands_are_told_apart() {
    let text = "a 'b\nc' # it's\nd \\\n  e\n\ncat > f <<'END'\n'\nEND\ng {\n}\n";
    let block = Block { language: "sh", text: text.to_owned(), line: 1, prints: None };
    assert_eq!(commands(&block), ["a 'b\nc' # it's", "d \\\n  e", "cat > f <<'END'\n'\nEND", "g {\n}"]);
    let block = Block { language: "console", text: "$ a \\\n b\nprinted\n$ c\n".to_owned(), line: 1, prints: None };
    assert_eq!(commands(&block), ["a \\\n b", "c"]);
    assert!(prints("x\nab cd ef\n", "ab...ef") && !prints("ab\nef", "ab...ef") && !prints("ef ab", "ab...ef"));
}
