//! The real binary with a configuration in a directory of its own, on ports the system chose.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::client::{Answer, Client};
use super::wait::until;

/// The key of the tenant `acme` in [`config`].
pub(crate) const KEY: &str = "wk-client-canary-5b1f";
/// The provider's key in [`config`].
pub(crate) const PROVIDER_KEY: &str = "sk-provider-canary-9c2e";

/// A configuration: `openai` and `anthropic` at these addresses, one tenant with one key. `more`
/// follows as it is (top-level members).
pub(crate) fn config(openai: SocketAddr, anthropic: SocketAddr, more: &str) -> String {
    full_config("", openai, anthropic, "", more)
}

/// As [`config`], with further members of `server` and of the tenant.
pub(crate) fn full_config(server: &str, openai: SocketAddr, anthropic: SocketAddr, tenant: &str, more: &str) -> String {
    format!(
        r#"server:
  listen: 127.0.0.1:0
  threads: 2
{server}
admin:
  listen: 127.0.0.1:0
state:
  dir: "@DIR@/data"
providers:
  openai: {{base_url: "http://{openai}/v1", api_key: "{PROVIDER_KEY}"}}
  anthropic: {{base_url: "http://{anthropic}", api_key: "{PROVIDER_KEY}"}}
tenants:
  acme:
    keys:
      - {{id: acme-dev, secret: "{KEY}"}}
{tenant}
telemetry:
  access_log: stdout
{more}
"#
    )
}

/// See the module documentation. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) dir: PathBuf,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
}

impl Gateway {
    /// Starts `weir run` with this configuration (`@DIR@` is the directory it lies in) and waits
    /// until it listens.
    pub(crate) fn start(config: &str) -> Self {
        let dir = new_dir();
        Self::start_in(dir, config, &[])
    }

    /// Started with OpenAI and Anthropic at one address.
    pub(crate) fn with(upstream: SocketAddr) -> Self {
        Self::start(&config(upstream, upstream, ""))
    }

    /// With files laid down before and further environment variables.
    pub(crate) fn start_in(dir: PathBuf, config: &str, env: &[(&str, &str)]) -> Self {
        Self::launch(dir, config, env, &[]).listening()
    }

    /// One that can be told that its disk is full ([`Gateway::fill_disk`]): a write beyond that is an error and
    /// no signal.
    pub(crate) fn start_on_a_disk(config: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_weir")]);
        Self::launch_as(command, new_dir(), config, &[], &[]).listening()
    }

    /// No file may grow beyond so many bytes; `unlimited` is room again.
    pub(crate) fn fill_disk(&self, most: &str) {
        let limit = format!("--fsize={most}:unlimited");
        let done = Command::new("prlimit").args(["--pid", &self.child.id().to_string(), &limit]).status().unwrap();
        assert!(done.success());
    }

    /// Another process that is to take this one's place and cannot: how it ends.
    pub(crate) fn hand_over_in_vain(&self, config: &str) -> ExitStatus {
        let mut next = self.next(config, &[]);
        // It is this one's.
        next.dir = PathBuf::new();
        next.wait_exit()
    }

    /// Another process in this one's place: it waits for the sockets, this one is told to hand them over.
    pub(crate) fn hand_over(&self, config: &str) -> Self {
        self.hand_over_to(config, &[])
    }

    /// The same, with environment variables of its own.
    pub(crate) fn hand_over_to(&self, config: &str, env: &[(&str, &str)]) -> Self {
        self.next(config, env).listening()
    }

    fn next(&self, config: &str, env: &[(&str, &str)]) -> Self {
        // In the order of the file: the public one, then the admin's.
        let config = config.replacen("127.0.0.1:0", &self.address.to_string(), 1);
        let config = config.replacen("127.0.0.1:0", &self.admin.to_string(), 1);
        let next = Self::launch(self.dir.clone(), &config, env, &["--upgrade"]);
        until("the new process to wait", || next.err.lock().unwrap().contains("waiting for the sockets").then_some(()));
        self.signal("QUIT");
        next
    }

    fn launch(dir: PathBuf, config: &str, env: &[(&str, &str)], args: &[&str]) -> Self {
        Self::launch_as(Command::new(env!("CARGO_BIN_EXE_weir")), dir, config, env, args)
    }

    fn launch_as(mut command: Command, dir: PathBuf, config: &str, env: &[(&str, &str)], args: &[&str]) -> Self {
        let file = dir.join("weir.yaml");
        std::fs::write(&file, config.replace("@DIR@", &dir.display().to_string())).unwrap();
        command.arg("run").arg("-c").arg(&file).args(args).current_dir(&dir);
        command.env_clear().env("WEIR_LOG", "debug").env("RUST_BACKTRACE", "1").envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, address: nowhere, admin: nowhere, dir, out, err }
    }

    fn listening(mut self) -> Self {
        (self.address, self.admin) = until("the gateway to listen", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("weir ended with {status}:\n{}", self.err.lock().unwrap());
            }
            let text = self.err.lock().unwrap();
            Some((port(&text, "weir: listening on ")?, port(&text, "weir: admin on ")?))
        });
        self
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request with the tenant's key on a connection of its own.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.call_with(method, path, &[], body)
    }

    pub(crate) fn call_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let bearer = format!("Bearer {KEY}");
        let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.client().request(method, path, &all, &body).answer()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body)
    }

    /// A stream, opened: the client stands after the head.
    pub(crate) fn stream(&self, path: &str, body: &Value) -> Client {
        let bearer = format!("Bearer {KEY}");
        let mut client = self.client();
        client.request("POST", path, &[("authorization", &bearer)], body.to_string().as_bytes());
        let head = client.head();
        if head.status != 200 {
            panic!("status {}: {}", head.status, String::from_utf8_lossy(&client.body()));
        }
        assert!(head.header("content-type").starts_with("text/event-stream"), "{head:?}");
        client
    }

    /// A request to the admin listener.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Answer {
        Client::connect(self.admin).request(method, path, &[], b"").answer()
    }

    /// Whether it says so; a listener that is gone does not.
    pub(crate) fn is_ready(&self) -> bool {
        let Ok(mut socket) = std::net::TcpStream::connect(self.admin) else { return false };
        let request = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.admin);
        let mut said = Vec::new();
        let asked = socket.write_all(request.as_bytes()).and_then(|()| socket.read_to_end(&mut said));
        asked.is_ok() && said.starts_with(b"HTTP/1.1 200")
    }

    pub(crate) fn metrics(&self) -> String {
        self.admin("GET", "/metrics").text()
    }

    /// The value of a metric whose line has all of these labels; 0 where there is none yet.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.metrics();
        let hits = text.lines().filter(|l| l.split(['{', ' ']).next() == Some(name));
        let hits = hits.filter(|l| labels.iter().all(|label| l.contains(label)));
        hits.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The access records so far, in the order in which the requests began: a line may come after that of a
    /// request which was sent when the answer was there. As the lines are where it asked itself.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = self.stdout();
        let records = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let mut records: Vec<Value> = records.filter(|r| r["request_id"].is_string()).collect();
        let began = |record: &Value| record["started_at"].as_str().map(str::to_owned);
        if records.iter().all(|record| record["for"].is_null()) {
            records.sort_by_key(began);
        }
        records
    }

    /// Waits for that many access records.
    pub(crate) fn wait_records(&self, count: usize) -> Vec<Value> {
        until("access records", || Some(self.records()).filter(|r| r.len() >= count))
    }

    /// The newest access record, once there are `count`.
    pub(crate) fn record(&self, count: usize) -> Value {
        self.wait_records(count).pop().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    pub(crate) fn stderr(&self) -> String {
        self.err.lock().unwrap().clone()
    }

    /// Replaces the configuration the way editors do: a new file renamed over the old one.
    pub(crate) fn write_config(&self, config: &str) {
        let new = self.dir.join("weir.yaml.new");
        std::fs::write(&new, config.replace("@DIR@", &self.dir.display().to_string())).unwrap();
        std::fs::rename(new, self.dir.join("weir.yaml")).unwrap();
    }

    /// `TERM`, `HUP`, ...
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the gateway to end", || child.try_wait().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process has used of the processors, to 10 ms.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which is in brackets and may hold anything: utime and stime, in ticks.
        let (_, behind) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = behind.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// What the process holds of memory.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let err = self.stderr();
            let from = err.len().saturating_sub(6000);
            eprintln!("--- the gateway's stderr (end):\n{}", err.get(from..).unwrap_or(&err));
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A fresh directory.
pub(crate) fn new_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("weir-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn port(text: &str, before: &str) -> Option<SocketAddr> {
    let (_, rest) = text.split_once(before)?;
    let url = rest.lines().next().filter(|_| rest.contains('\n'))?;
    let (_, address) = url.split_once("://")?;
    address.split_whitespace().next()?.trim_end_matches('/').parse().ok()
}

/// Collects what a pipe says on a thread of its own.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text: Arc<Mutex<String>> = Arc::default();
    let sink = text.clone();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            sink.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}
