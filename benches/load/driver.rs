//! Starts everything, runs the cells in turns, prints one table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cells::{Cell, Stream, cells};
use crate::features;
use crate::generate::{Job, Outcome};
use crate::server::{Server, free_port, pinned};

pub(crate) const ROUNDS: usize = 3;
/// Of one run of a cell.
const MS: u64 = 1000;
pub(crate) const SERVER_CORE: u32 = 0;
const LOAD_CORE: u32 = 1;
/// Requests per second of the latency cells: a third of what one core does, or less.
const RATE: u64 = 500;

/// `only`: cells whose name has this in it; or `features`.
pub(crate) fn run(only: Option<&str>) {
    let own = std::env::current_exe().unwrap();
    let weir = std::env::var_os("WEIR_BIN").map_or_else(|| own_target().join("dist/weir"), PathBuf::from);
    assert!(weir.exists(), "{} is not there: cargo build --profile dist, or set WEIR_BIN", weir.display());
    let (mock_port, bare_port, weir_port) = (free_port(), free_port(), free_port());
    let mock = Server::start(LOAD_CORE, &own, &["mock".into(), mock_port.to_string()], mock_port);
    if only.is_none_or(|only| only == "features") {
        features::run(&own, &weir, mock_port);
    }
    if only == Some("features") {
        return;
    }
    let bare_args = ["bare".into(), bare_port.to_string(), mock_port.to_string()];
    let bare = Server::start(SERVER_CORE, &own, &bare_args, bare_port);
    let dir = std::env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let config = dir.join("weir.yaml");
    std::fs::write(&config, gateway_config(weir_port, mock_port, &dir)).unwrap();
    let weir_args = ["run".into(), "-c".into(), config.display().to_string()];
    let weir = Server::start(SERVER_CORE, &weir, &weir_args, weir_port);
    let idle = (bare.rss_mib(), weir.rss_mib());

    println!("\n{}\n", machine());
    cpu_table(&own, &bare, &weir, &mock, only);
    if only.is_none() {
        latency_table(&own, &[("direct", mock.port), ("bare", bare.port), ("weir", weir.port)]);
        println!(
            "\nRSS: bare {:.1} MiB idle, {:.1} MiB after the load; weir {:.1} MiB idle, {:.1} MiB after",
            idle.0,
            bare.rss_mib(),
            idle.1,
            weir.rss_mib()
        );
    }
    drop((mock, bare, weir));
    std::fs::remove_dir_all(dir).unwrap();
}

fn own_target() -> PathBuf {
    // target/<profile>/deps/load-...
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(3).map(Path::to_path_buf).unwrap()
}

/// All features on: auth, limits, usage, metrics, access log.
fn gateway_config(port: u16, mock: u16, dir: &Path) -> String {
    format!(
        r#"server: {{listen: "127.0.0.1:{port}", threads: 1}}
admin: {{listen: "127.0.0.1:0"}}
state: {{dir: "{dir}/data"}}
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
tenants:
  bench:
    keys: [{{id: bench, secret: bench-key}}]
    limits: {{requests_per_minute: 1000000000, tokens_per_minute: 1000000000000, concurrency: 100000}}
telemetry: {{access_log: "{dir}/access.log"}}
"#,
        dir = dir.display()
    )
}

fn cpu_table(own: &Path, bare: &Server, weir: &Server, mock: &Server, only: Option<&str>) {
    println!("| cell | mock alone, requests/s | bare, CPU µs/request | weir, CPU µs/request | ratio |");
    println!("|---|--:|--:|--:|--:|");
    for (at, cell) in cells().iter().enumerate().filter(|(_, c)| only.is_none_or(|o| c.name().contains(o))) {
        let job = |port| Job { port, cell: at, connections: connections(cell), ms: MS, rate: 0 };
        let direct = generate(own, &job(mock.port));
        let mut best_us = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (best, server) in best_us.iter_mut().zip([bare, weir]) {
                *best = best.min(cpu_us_per_request(own, server, &job(server.port)));
            }
        }
        let [bare_us, weir_us] = best_us;
        let direct_per_s = direct.requests * 1000 / MS;
        println!("| {} | {direct_per_s} | {:.1} | {:.1} | {:.2} |", cell.name(), bare_us, weir_us, weir_us / bare_us);
    }
}

pub(crate) const fn connections(cell: &Cell) -> usize {
    match cell.stream {
        Stream::Paced => 64,
        _ => 8,
    }
}

pub(crate) fn cpu_us_per_request(own: &Path, server: &Server, job: &Job) -> f64 {
    // Connections and caches are warm before anything counts.
    generate(own, &Job { ms: 300, ..*job });
    let before = server.cpu();
    let outcome = generate(own, job);
    let spent: Duration = server.cpu() - before;
    let requests = f64::from(u32::try_from(outcome.requests).unwrap());
    spent.as_secs_f64() * 1e6 / requests
}

fn latency_table(own: &Path, servers: &[(&str, u16)]) {
    let cells = cells();
    let index = |name: &str| cells.iter().position(|c| c.name() == name).expect("a cell");
    let plain = index("chat -> chat, 2 KB");
    let translated = index("messages -> chat, 2 KB");
    let stream = index("chat -> chat, 100 events, burst");
    let translated_stream = index("messages -> chat, 100 events, burst");
    println!(
        "\n| {RATE} requests/s, and streams one after the other | direct p50 / p99 µs | bare | weir | added p50 / p99 µs |"
    );
    println!("|---|--:|--:|--:|--:|");
    let row = |what: &str, job: Job, pick: fn(&Outcome) -> (u64, u64)| {
        let mut times = Vec::new();
        for (_, port) in servers {
            let best = (0..ROUNDS).map(|_| pick(&generate(own, &Job { port: *port, ..job }))).min_by_key(|o| o.1);
            times.push(best.expect("a round"));
        }
        let (direct, weir) = (times[0], times[2]);
        let text: Vec<String> = times.iter().map(|(p50, p99)| format!("{p50} / {p99}")).collect();
        let added = format!("{} / {}", weir.0.saturating_sub(direct.0), weir.1.saturating_sub(direct.1));
        println!("| {what} | {} | {added} |", text.join(" | "));
    };
    let steady = Job { port: 0, cell: plain, connections: 32, ms: 4000, rate: RATE };
    let whole = |o: &Outcome| (o.p50_us, o.p99_us);
    let first = |o: &Outcome| (o.first_p50_us, o.first_p99_us);
    row("same format, 2 KB, whole answer", steady, whole);
    row("translated, 2 KB, whole answer", Job { cell: translated, ..steady }, whole);
    let alone = Job { cell: stream, connections: 1, ms: 2000, rate: 0, ..steady };
    row("one stream at a time, first byte", alone, first);
    row("one translated stream at a time, first byte", Job { cell: translated_stream, ..alone }, first);
    row("one stream at a time, last byte", alone, whole);
}

/// Runs the generator as a process of its own.
fn generate(own: &Path, job: &Job) -> Outcome {
    let mut args = vec!["generate".to_owned()];
    args.extend(job.args());
    let out = pinned(LOAD_CORE, own, &args).output().expect("the generator runs");
    assert!(out.status.success(), "{}: {}", cells()[job.cell].name(), String::from_utf8_lossy(&out.stderr));
    Outcome::parse(&String::from_utf8_lossy(&out.stdout))
}

/// What the numbers were taken on.
pub(crate) fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name").map(|l| l.trim_start_matches([' ', '\t', ':'])));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!(
        "Machine: {} ({cores} cores), load before: {}; best of {ROUNDS} rounds",
        model.unwrap_or("unknown"),
        load.join(" ")
    )
}
