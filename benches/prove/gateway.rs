//! The process under test: started, killed, started again on what it left.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::plan::PROVIDERS;

/// The clients' key.
pub(crate) const KEY: &str = "prove-key";

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    binary: PathBuf,
    pub(crate) port: u16,
    admin: u16,
    dir: PathBuf,
    starts: u32,
}

impl Gateway {
    /// Before the providers at this port, with its state in `dir`.
    pub(crate) fn start(binary: &Path, providers: u16, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let (port, admin) = (free_port(), free_port());
        fs::write(dir.join("weir.yaml"), config(port, admin, providers, dir)).unwrap();
        let child = spawn(binary, dir, 0);
        let mut gateway = Self { child, binary: binary.to_owned(), port, admin, dir: dir.to_owned(), starts: 0 };
        gateway.wait();
        gateway
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while [self.port, self.admin].iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            assert!(self.child.try_wait().unwrap().is_none(), "the gateway ended: {}", self.said());
            assert!(Instant::now() < deadline, "the gateway does not listen: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it as a machine would, and starts it again.
    pub(crate) fn kill_and_start(&mut self) {
        // SIGKILL: nothing of it runs any more.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.starts += 1;
        self.child = spawn(&self.binary, &self.dir, self.starts);
        self.wait();
    }

    /// Ends it in good order.
    pub(crate) fn stop(&mut self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the gateway does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The end of what the last one said.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(self.dir.join(format!("stderr-{}", self.starts))).unwrap_or_default();
        let from = text.len().saturating_sub(4_000);
        text.get(from..).unwrap_or(&text).to_owned()
    }

    /// All that any of them said of a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        let texts = (0..=self.starts).map(|n| fs::read_to_string(self.dir.join(format!("stderr-{n}"))));
        let texts: Vec<String> = texts.filter_map(Result::ok).collect();
        texts.iter().flat_map(|text| text.lines()).filter(|l| l.contains("panicked")).map(str::to_owned).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway's stderr:\n{}", self.said());
        }
    }
}

fn spawn(binary: &Path, dir: &Path, start: u32) -> Child {
    let mut command = Command::new(binary);
    command.arg("run").arg("-c").arg(dir.join("weir.yaml")).env_clear().env("WEIR_LOG", "error");
    let said = File::create(dir.join(format!("stderr-{start}"))).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    command.spawn().expect("the gateway starts")
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Pico-USD a token as USD a million tokens.
fn usd(pico: u64) -> String {
    format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000)
}

fn config(port: u16, admin: u16, providers: u16, dir: &Path) -> String {
    let mut text = format!(
        "server: {{listen: \"127.0.0.1:{port}\", threads: 2}}\nadmin: {{listen: \"127.0.0.1:{admin}\"}}\nstate: {{dir: \"{dir}/data\"}}\nproviders:\n",
        dir = dir.display()
    );
    for provider in &PROVIDERS {
        let (name, kind) = (provider.name, provider.kind);
        let (path, api) = if kind == "openai" { ("/v1", ", api: chat") } else { ("", "") };
        let writes = match kind {
            "anthropic" => {
                format!(", cache_write: {}, cache_write_1h: {}", usd(provider.written), usd(provider.written_1h))
            }
            _ => String::new(),
        };
        text += &format!(
            "  {name}: {{kind: {kind}, base_url: \"http://127.0.0.1:{providers}/{name}{path}\", api_key: k{api}, models: {{m: {{price: {{input: {}, cached: {}, output: {}, reasoning: {}{writes}}}}}}}}}\n",
            usd(provider.fresh),
            usd(provider.cached),
            usd(provider.visible),
            usd(provider.reasoning),
        );
    }
    text + &format!(
        "routes:\n  fall: {{targets: [{{model: bad/m}}, {{model: oa/m}}, {{model: an/m}}], retries: 3, resend: true}}\n  \
         hedged: {{targets: [{{model: slow/m}}, {{model: oa/m}}], hedge: true}}\n\
         defaults: {{retries: 0, retry_budget: {{percent: 100, floor: 100000}}}}\n\
         tenants:\n  prove:\n    keys: [{{id: prove, secret: {KEY}}}]\n\
         telemetry: {{access_log: \"{}/access.jsonl\"}}\n",
        dir.display()
    )
}
