//! The process under test: how it is set up, and what is seen of it from outside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::verdict::Sample;

/// The clients' key.
pub(crate) const KEY: &str = "soak-key";
/// Counts of what runs or waits, which are 0 when nothing does.
const RUNNING: [&str; 3] = ["weir_inflight_requests", "weir_endpoint_inflight", "weir_endpoint_waiting"];

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    pub(crate) port: u16,
    admin: u16,
    upstream: u16,
    dir: PathBuf,
    reloads: u32,
    /// As its metrics name it.
    first_config: String,
}

impl Gateway {
    /// Before the upstream at this port. The binary that ships, where it is there.
    pub(crate) fn start(upstream: u16) -> Self {
        let own = std::env::current_exe().unwrap();
        // target/<profile>/deps/soak-...
        let shipped = own.ancestors().nth(3).expect("target").join("dist/weir");
        let binary = std::env::var_os("WEIR_BIN").map_or(shipped, PathBuf::from);
        assert!(binary.exists(), "{} is not there: cargo build --profile dist, or set WEIR_BIN", binary.display());
        let dir = std::env::temp_dir().join(format!("weir-soak-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (port, admin) = (free_port(), free_port());
        let file = dir.join("weir.yaml");
        fs::write(&file, config(port, admin, upstream, &dir, 0)).unwrap();
        let mut command = Command::new(&binary);
        command.arg("run").arg("-c").arg(file).env("WEIR_LOG", "error").env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.join("stderr")).unwrap());
        let mut child = command.spawn().expect("the gateway starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while [port, admin].iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            let said = || fs::read_to_string(dir.join("stderr")).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "the gateway ended: {}", said());
            assert!(Instant::now() < deadline, "the gateway does not listen: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut gateway = Self { child, port, admin, upstream, dir, reloads: 0, first_config: String::new() };
        gateway.first_config = config_in_force(&gateway.metrics());
        gateway
    }

    /// Replaces the configuration the way editors do: a new file renamed over the old one.
    pub(crate) fn reload(&mut self) {
        self.reloads += 1;
        let new = self.dir.join("weir.yaml.new");
        fs::write(&new, config(self.port, self.admin, self.upstream, &self.dir, self.reloads)).unwrap();
        fs::rename(new, self.dir.join("weir.yaml")).unwrap();
    }

    pub(crate) fn sample(&self, at_ms: u32, requests: u32) -> Sample {
        let metrics = self.metrics();
        let lines = || metrics.lines().filter(|line| !line.starts_with('#'));
        let runs = |line: &&str| RUNNING.iter().any(|name| line.starts_with(name));
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let entries = |what: &str| count(fs::read_dir(proc.join(what)).expect("the gateway runs").count());
        Sample {
            at_ms,
            requests,
            rss_kib: rss_kib(&proc),
            fds: entries("fd"),
            threads: entries("task"),
            series: count(lines().count()),
            in_flight: lines().filter(runs).map(value).sum(),
        }
    }

    fn metrics(&self) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.admin)).expect("the gateway runs");
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // The admin listener answers to its own name only.
        let host = format!("127.0.0.1:{}", self.admin);
        let asked = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        socket.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the metrics");
        assert!(answer.contains(RUNNING[0]), "no metrics: {answer}");
        answer.split_once("\r\n\r\n").expect("an answer").1.to_owned()
    }

    /// Attempts by how they ended: what the load put it to.
    pub(crate) fn attempts(&self) -> BTreeMap<String, u32> {
        let mut by_outcome = BTreeMap::new();
        for line in self.metrics().lines().filter(|line| line.starts_with("weir_attempts_total{")) {
            let outcome = line.split("outcome=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an outcome");
            *by_outcome.entry(outcome.to_owned()).or_default() += value(line);
        }
        by_outcome
    }

    /// What it should not have said.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let said = fs::read_to_string(self.dir.join("stderr")).unwrap();
        let mut complaints: Vec<String> =
            said.lines().filter(|line| line.contains("panicked")).take(3).map(str::to_owned).collect();
        let metrics = self.metrics();
        let of = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).map(value).sum::<u32>();
        let refused = of("weir_config_reload_failures_total");
        if refused > 0 {
            complaints.push(format!("{refused} reloads were refused"));
        }
        if of("weir_queue_wait_seconds_count") == of("weir_queue_wait_seconds_bucket{le=\"0.001\"}") {
            complaints.push("nobody stood in line".to_owned());
        }
        if self.reloads > 0 && config_in_force(&metrics) == self.first_config {
            complaints.push("the configuration never changed".to_owned());
        }
        complaints
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway's stderr:\n{}", fs::read_to_string(self.dir.join("stderr")).unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn count(found: usize) -> u32 {
    u32::try_from(found).expect("a count")
}

/// Of a line of the metrics; counts only.
fn value(line: &str) -> u32 {
    line.rsplit(' ').next().expect("a value").parse().expect("a count")
}

fn config_in_force(metrics: &str) -> String {
    metrics.lines().find(|line| line.starts_with("weir_config_info{")).expect("a configuration").to_owned()
}

fn rss_kib(proc: &Path) -> u32 {
    let text = fs::read_to_string(proc.join("status")).expect("the gateway runs");
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One good provider under several names, one that fails, and routes that survive it. Each `version`
/// is another configuration.
fn config(port: u16, admin: u16, upstream: u16, dir: &Path, version: u32) -> String {
    let at = format!("http://127.0.0.1:{upstream}");
    format!(
        r#"server: {{listen: "127.0.0.1:{port}", threads: 2}}
admin: {{listen: "127.0.0.1:{admin}"}}
state: {{dir: "{dir}/data"}}
providers:
  good: {{kind: openai, base_url: "{at}/good/v1", api_key: k, api: chat, headers: {{x-version: "{version}"}}}}
  claude: {{kind: anthropic, base_url: "{at}/claude", api_key: k}}
  pool:
    kind: openai
    api: chat
    max_concurrency: 1
    endpoints:
      - {{id: a, api_key: a, base_url: "{at}/pool-a/v1"}}
      - {{id: b, api_key: b, base_url: "{at}/pool-b/v1"}}
      - {{id: c, api_key: c, base_url: "{at}/pool-c/v1", weight: 2}}
  bad:
    kind: openai
    api: chat
    timeouts: {{connect: 1s, first_token: 500ms, idle: 500ms, total: 20s}}
    endpoints:
      - {{id: a, api_key: a, base_url: "{at}/bad-a/v1"}}
      - {{id: b, api_key: b, base_url: "{at}/bad-b/v1"}}
routes:
  safe: {{targets: [{{model: bad/gpt}}, {{model: good/gpt}}], retries: 5, resend: true}}
  going: {{targets: [{{model: bad/gpt}}, {{model: good/gpt}}], retries: 5, resend: true, continuation: true}}
  hedged: {{targets: [{{model: good/gpt}}, {{model: pool/gpt}}], hedge: true}}
  patient: {{targets: [{{model: good/gpt}}], keepalive: 250ms}}
defaults: {{retry_budget: {{percent: 100, floor: 10000}}}}
tenants:
  soak:
    keys: [{{id: soak, secret: {KEY}}}]
    limits: {{requests_per_minute: 1000000000, tokens_per_minute: 1000000000000, concurrency: 100000}}
telemetry: {{access_log: stdout}}
"#,
        dir = dir.display()
    )
}
