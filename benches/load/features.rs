//! What each feature costs: the gateway with nothing on, then with one thing more at a time, all of
//! them in turns.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cells::cells;
use crate::driver::{ROUNDS, SERVER_CORE, connections, cpu_us_per_request, machine};
use crate::generate::Job;
use crate::server::{Server, free_port, pinned};

const CELLS: [&str; 4] =
    ["chat -> chat, 2 KB", "chat -> messages, 2 KB", "chat -> chat, 76 KB", "chat -> chat, 100 events, burst"];

/// What stands in the configuration, each with all before it.
const STEPS: [(&str, Part); 7] = [
    ("a key, metrics, prices", Part::Nothing),
    ("and the access log", Part::AccessLog),
    ("and the ledger", Part::Ledger),
    ("and limits of tenant and key", Part::Limits),
    ("and budgets of both", Part::Budgets),
    ("and all of them shared", Part::Shared),
    ("and traces, logs and metrics to a collector", Part::Otlp),
];

/// None of them is ever reached.
const LIMITS: &str = "{requests_per_minute: 1000000000, tokens_per_minute: 1000000000000, concurrency: 100000}";
const BUDGETS: &str = "[{usd: 8000000, per: month}, {tokens: 1000000000000000, per: day}]";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Nothing,
    AccessLog,
    Ledger,
    Limits,
    Budgets,
    Shared,
    Otlp,
}

/// Prints a column for each cell: microseconds, and how many more than the row before.
pub(crate) fn run(own: &Path, weir: &Path, mock: u16) {
    let store = Store::start();
    let dir = std::env::temp_dir().join(format!("weir-features-{}", std::process::id()));
    let parts = STEPS.iter().filter(|(_, part)| *part != Part::Shared || store.is_some());
    let gateways: Vec<(&str, Server)> = parts
        .map(|(name, part)| {
            let (dir, port) = (dir.join(format!("{part:?}")), free_port());
            std::fs::create_dir_all(&dir).unwrap();
            let config = dir.join("weir.yaml");
            std::fs::write(dir.join("prices.yaml"), PRICES).unwrap();
            std::fs::write(&config, configuration(*part, port, mock, store.as_ref(), &dir)).unwrap();
            (*name, Server::start(SERVER_CORE, weir, &["run".into(), "-c".into(), config.display().to_string()], port))
        })
        .collect();
    println!("{}\n", machine());
    println!("| on | {} |", CELLS.join(" | "));
    println!("|---|{}", "--:|".repeat(CELLS.len()));
    let columns = CELLS.map(|name| column(own, name, &gateways));
    for (row, (name, _)) in gateways.iter().enumerate() {
        let cell = |column: &Vec<f64>| match row.checked_sub(1).and_then(|before| column.get(before)) {
            Some(before) => format!("{:.1} ({:+.1})", column[row], column[row] - before),
            None => format!("{:.1}", column[row]),
        };
        println!("| {name} | {} |", columns.each_ref().map(cell).join(" | "));
    }
    if store.is_none() {
        println!("\nNo redis-server on this machine: nothing was shared.");
    }
    drop(gateways);
    std::fs::remove_dir_all(dir).unwrap();
}

/// The best of the rounds for each gateway: the machine's slow moments meet all of them.
fn column(own: &Path, name: &str, gateways: &[(&str, Server)]) -> Vec<f64> {
    let cells = cells();
    let at = cells.iter().position(|cell| cell.name() == name).expect("a cell");
    let mut best = vec![f64::INFINITY; gateways.len()];
    for _ in 0..2 * ROUNDS {
        for (best, (_, server)) in best.iter_mut().zip(gateways) {
            let job = Job { port: server.port, cell: at, connections: connections(&cells[at]), ms: 1_000, rate: 0 };
            *best = best.min(cpu_us_per_request(own, server, &job));
        }
    }
    best
}

const PRICES: &str = r"openai/burst: [{input: 0.15, cached: 0.075, output: 0.60}]
anthropic/burst: [{input: 3, cached: 0.3, output: 15}]
";

fn configuration(part: Part, port: u16, mock: u16, store: Option<&Store>, dir: &Path) -> String {
    let has = |other: Part| part >= other;
    let dir = dir.display();
    let shared =
        store.filter(|_| has(Part::Shared)).map(|store| format!(", shared: \"redis://127.0.0.1:{}/0\"", store.port));
    let limits = if has(Part::Limits) { format!(", limits: {LIMITS}") } else { String::new() };
    let budgets = if has(Part::Budgets) { format!(", budgets: {BUDGETS}") } else { String::new() };
    let otlp =
        if has(Part::Otlp) { format!(", otlp: {{endpoint: \"http://127.0.0.1:{mock}\"}}") } else { String::new() };
    let access_log = if has(Part::AccessLog) { format!("\"{dir}/access.log\"") } else { "off".to_owned() };
    format!(
        r#"server: {{listen: "127.0.0.1:{port}", threads: 1}}
admin: {{listen: "127.0.0.1:0"}}
state: {{dir: "{dir}/data", ledger: {{enabled: {ledger}}}{shared}}}
providers:
  openai: {{base_url: "http://127.0.0.1:{mock}/v1", api_key: bench, api: chat}}
  anthropic: {{base_url: "http://127.0.0.1:{mock}", api_key: bench}}
tenants:
  bench: {{keys: [{{id: bench, secret: bench-key{limits}{budgets}}}]{limits}{budgets}}}
prices: {{file: "{dir}/prices.yaml"}}
telemetry: {{access_log: {access_log}{otlp}}}
"#,
        ledger = has(Part::Ledger),
        shared = shared.unwrap_or_default(),
    )
}

/// A Redis that keeps nothing, beside the load. Killed when dropped.
struct Store {
    child: Child,
    port: u16,
}

impl Store {
    fn start() -> Option<Self> {
        let program = Path::new("redis-server");
        Command::new(program).arg("--version").stdout(Stdio::null()).status().ok()?;
        let port = free_port();
        let args = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let mut command = pinned(1, program, &args.map(str::to_owned));
        let child = command.stdout(Stdio::null()).spawn().expect("it starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { child, port })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
