//! The gateway's configuration, with one thing more at a time, and the store that replicas share.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::driver::{LOAD_CORE, SERVER_CORE};
use crate::server::{Program, Server, free_port, has};

/// What stands in the configuration, each with all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Nothing,
    AccessLog,
    Ledger,
    Limits,
    Budgets,
    Shared,
    Otlp,
    Guards,
}

impl Part {
    pub(crate) const ALL: [Self; 8] = [
        Self::Nothing,
        Self::AccessLog,
        Self::Ledger,
        Self::Limits,
        Self::Budgets,
        Self::Shared,
        Self::Otlp,
        Self::Guards,
    ];

    /// As the table has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "Weir: a key, metrics, prices",
            Self::AccessLog => "and the access log",
            Self::Ledger => "and the ledger",
            Self::Limits => "and limits of tenant and key",
            Self::Budgets => "and budgets of both",
            Self::Shared => "and both shared by replicas",
            Self::Otlp => "and exports to a collector: all on",
            Self::Guards => "and guards of all kinds, both ways",
        }
    }
}

/// None of them is ever reached.
const LIMITS: &str = "{requests_per_minute: 1000000000, tokens_per_minute: 1000000000000, concurrency: 100000}";
const BUDGETS: &str = "[{usd: 8000000, per: month}, {tokens: 1000000000000000, per: day}]";
/// None of them finds anything that changes a text.
const GUARDS: &str = "guards:
  all: {kinds: [secrets, cards, iban, email, phone, national_ids], on: [input, output], action: flag}
";

/// Where gateways run, and what they run on.
#[derive(Debug)]
pub(crate) struct Ground<'g> {
    pub(crate) mock: u16,
    pub(crate) store: Option<&'g Store>,
    /// A directory that is for them.
    pub(crate) dir: PathBuf,
    /// That serve. Of one the server's core is, more have all there are.
    pub(crate) threads: u32,
}

impl Ground<'_> {
    /// Starts a gateway. `counted`: this executable, which has it as one of its roles, in place of what ships.
    pub(crate) fn start(&self, part: Part, program: &Path, counted: bool, files: Option<u64>) -> Server {
        let port = free_port();
        let dir = self.dir.join(port.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("weir.yaml");
        std::fs::write(dir.join("prices.yaml"), PRICES).unwrap();
        std::fs::write(&config, self.configuration(part, port, &dir)).unwrap();
        let args = ["run".to_owned(), "-c".to_owned(), config.display().to_string()];
        let core = (self.threads == 1).then_some(SERVER_CORE);
        Program { counts: counted, files, ..Program::new(core, program, &args) }.serve(port)
    }

    fn configuration(&self, part: Part, port: u16, dir: &Path) -> String {
        let has = |other: Part| part >= other;
        let (dir, mock) = (dir.display(), self.mock);
        let shared = self
            .store
            .filter(|_| has(Part::Shared))
            .map(|store| format!(", shared: \"redis://127.0.0.1:{}/0\"", store.port));
        let limits = if has(Part::Limits) { format!(", limits: {LIMITS}") } else { String::new() };
        let budgets = if has(Part::Budgets) { format!(", budgets: {BUDGETS}") } else { String::new() };
        let otlp =
            if has(Part::Otlp) { format!(", otlp: {{endpoint: \"http://127.0.0.1:{mock}\"}}") } else { String::new() };
        let (guards, guarded) = if has(Part::Guards) { (GUARDS, ", guards: [all]") } else { ("", "") };
        let access_log = if has(Part::AccessLog) { format!("\"{dir}/access.log\"") } else { "off".to_owned() };
        format!(
            r#"server: {{listen: "127.0.0.1:{port}", threads: {threads}}}
admin: {{listen: "127.0.0.1:0"}}
state: {{dir: "{dir}/data", ledger: {{enabled: {ledger}}}{shared}}}
providers:
  openai: {{base_url: "http://127.0.0.1:{mock}/v1", api_key: bench, api: chat}}
  responses: {{kind: openai, base_url: "http://127.0.0.1:{mock}/v1", api_key: bench, api: responses}}
  anthropic: {{base_url: "http://127.0.0.1:{mock}", api_key: bench}}
  gemini: {{base_url: "http://127.0.0.1:{mock}", api_key: bench}}
  bedrock: {{base_url: "http://127.0.0.1:{mock}", region: us-east-1, api_key: bench}}
  signed: {{kind: bedrock, base_url: "http://127.0.0.1:{mock}", region: us-east-1, access_key_id: bench, secret_access_key: bench}}
  cohere: {{base_url: "http://127.0.0.1:{mock}", api_key: bench}}
  pool:
    {{kind: openai, base_url: "http://127.0.0.1:{mock}/v1", api: chat, endpoints: [{{api_key: a}}, {{api_key: b}}, {{api_key: c}}, {{api_key: d}}]}}
routes:
  fallback/burst: {{targets: [{{model: openai/burst}}, {{model: pool/burst}}]}}
  weighted/burst: {{strategy: weighted, targets: [{{model: openai/burst}}, {{model: pool/burst, weight: 4}}]}}
  latency/burst: {{strategy: latency, targets: [{{model: openai/burst}}, {{model: pool/burst}}]}}
  auto/burst: {{strategy: auto, targets: [{{model: openai/burst}}, {{model: pool/burst}}]}}
  kept/burst: {{targets: [{{model: openai/burst}}], cache: {{any: true, ttl: 24h}}}}
tenants:
  bench: {{keys: [{{id: bench, secret: bench-key{limits}{budgets}}}]{limits}{budgets}{guarded}}}
prices: {{file: "{dir}/prices.yaml"}}
telemetry: {{access_log: {access_log}{otlp}}}
{guards}"#,
            threads = self.threads,
            ledger = has(Part::Ledger),
            shared = shared.unwrap_or_default(),
        )
    }
}

/// Of what the cells of the table ask for.
const PRICES: &str = r"openai/burst: [{input: 0.15, cached: 0.075, output: 0.60}]
openai/paced: [{input: 0.15, cached: 0.075, output: 0.60}]
openai/held: [{input: 0.15, cached: 0.075, output: 0.60}]
responses/burst: [{input: 0.15, cached: 0.075, output: 0.60}]
anthropic/burst: [{input: 3, cached: 0.3, output: 15}]
anthropic/paced: [{input: 3, cached: 0.3, output: 15}]
anthropic/held: [{input: 3, cached: 0.3, output: 15}]
";

/// A Redis that keeps nothing, beside the load. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Store {
    child: Child,
    port: u16,
}

impl Store {
    /// `None` where there is none on this machine.
    pub(crate) fn start() -> Option<Self> {
        if !has("redis-server", &["--version"]) {
            return None;
        }
        let port = free_port();
        let args = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let program = Program::new(LOAD_CORE, Path::new("redis-server"), &args.map(str::to_owned));
        let child = program.command().stdout(Stdio::null()).spawn().expect("it starts");
        let store = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(store)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
