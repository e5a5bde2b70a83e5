//! Starts everything, runs the cells in turns, prints one table.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bare::SetUp;
use crate::cells::{Cell, Shown, Stream, cells};
use crate::gateway::{Ground, Part, Store};
use crate::generate::{Job, Outcome};
use crate::nginx;
use crate::rows::{Figures, Row, generator, per, rest};
use crate::server::{Program, Server, free_port};
use crate::syscalls::Counter;
use crate::table;

pub(crate) const SERVER_CORE: u32 = 0;
pub(crate) const LOAD_CORE: u32 = 1;

/// Turns of each server in each cell.
const ROUNDS: usize = 3;
const TURN_MS: u64 = 600;
/// Before any of them, for connections, pools and caches.
const WARM_UP_MS: u64 = 150;
/// After which a load has left nothing to do: rows are folded five times a second, exports are made ten times.
pub(crate) const SETTLE: Duration = Duration::from_millis(500);
/// Latencies, at the cell's rate.
const STEADY_ROUNDS: usize = 2;
const STEADY_MS: u64 = 1200;
const STEADY_CONNECTIONS: usize = 32;
/// System calls and allocations are the same each time.
const COUNT_MS: u64 = 300;

/// The cells of `features`.
const OF_FEATURES: [&str; 4] =
    ["chat -> chat, 2 KB", "chat -> messages, 2 KB", "chat -> chat, 76 KB", "chat -> chat, 100 events, burst"];

/// What is measured, and how much of it.
struct Plan {
    /// By their places in [`cells`].
    cells: Vec<(usize, Cell)>,
    /// Else only CPU.
    in_full: bool,
}

impl Plan {
    fn of(only: Option<&str>) -> Self {
        let cells = cells().into_iter().enumerate();
        let named = |name: &str| match only {
            None => false,
            Some("features") => OF_FEATURES.contains(&name),
            Some(part) => name.contains(part),
        };
        let cells = cells.filter(|(_, cell)| match only {
            None => cell.shown == Shown::Always,
            Some(_) => named(&cell.name()),
        });
        Self { cells: cells.collect(), in_full: only != Some("features") }
    }
}

/// `only`: cells whose name has this in it; or `features`.
pub(crate) fn run(only: Option<&str>) {
    let (begun, plan) = (Instant::now(), Plan::of(only));
    assert!(!plan.cells.is_empty(), "no cell's name has this in it");
    let (own, weir) = programs();
    let mock = mock(&own, None);
    let store = Store::start();
    let dir = std::env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
    let ground = Ground { mock: mock.port, store: store.as_ref(), dir: dir.clone(), threads: 1 };
    let mut bench = Bench {
        rows: servers(&ground, &own, &weir, plan.in_full),
        direct: Row::full("direct", mock, None),
        calls: Counter::find().filter(|_| plan.in_full),
        in_full: plan.in_full,
        own,
    };
    println!("\n{}; best of {ROUNDS} rounds\n", machine(&weir));
    rest(&mut bench.rows);
    table::begin();
    table::section("at rest", None, None, &bench.rows);
    let mut closest: Option<(f64, String)> = None;
    for (at, cell) in &plan.cells {
        bench.measure(*at, cell);
        table::section(&cell.name(), Some(cell), Some(&bench.direct.figures), &bench.rows);
        let fastest = bench.rows.iter().map(|row| row.figures.requests_per_s).fold(0.0, f64::max);
        let ahead = bench.direct.figures.requests_per_s / fastest;
        if cell.stream != Stream::Paced && closest.as_ref().is_none_or(|(closest, _)| ahead < *closest) {
            closest = Some((ahead, cell.name()));
        }
    }
    println!("\n{}", notes(&bench, closest, store.is_some(), begun.elapsed()));
    drop(bench);
    std::fs::remove_dir_all(dir).unwrap();
}

/// This executable, and the gateway as it ships.
pub(crate) fn programs() -> (PathBuf, PathBuf) {
    let own = std::env::current_exe().unwrap();
    let weir = std::env::var_os("WEIR_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_weir")), PathBuf::from);
    assert!(weir.exists(), "{} is not there: cargo bench builds it, or set WEIR_BIN", weir.display());
    (own, weir)
}

pub(crate) fn mock(own: &Path, files: Option<u64>) -> Server {
    let port = free_port();
    let args = ["mock".to_owned(), port.to_string()];
    Program { files, ..Program::new(LOAD_CORE, own, &args) }.serve(port)
}

pub(crate) fn bare(own: &Path, mock: u16, set_up: SetUp, counts: bool, files: Option<u64>) -> Server {
    let port = free_port();
    let args = ["bare".to_owned(), port.to_string(), mock.to_string(), set_up.as_str().to_owned()];
    let has_systems_allocator = set_up == SetUp::Own;
    Program { counts, files, has_systems_allocator, ..Program::new(SERVER_CORE, own, &args) }.serve(port)
}

/// What others are measured by, and the gateway with one feature more in each row. Twins that count are of bare
/// Pingora and of the first and last gateway.
fn servers(ground: &Ground<'_>, own: &Path, weir: &Path, in_full: bool) -> Vec<Row> {
    let twin = in_full.then(|| bare(own, ground.mock, SetUp::Gateways, true, None));
    let mut rows = vec![
        Row::full("bare Pingora", bare(own, ground.mock, SetUp::Gateways, false, None), twin),
        Row::new("bare Pingora as it comes", bare(own, ground.mock, SetUp::Own, false, None)),
    ];
    rows.extend(nginx::start(ground).map(|server| Row::new("nginx", server)));
    rows.iter_mut().for_each(|row| row.is_weir = false);
    for part in Part::ALL.into_iter().filter(|part| *part != Part::Shared || ground.store.is_some()) {
        let server = ground.start(part, weir, false, None);
        rows.push(match part {
            Part::Nothing | Part::Otlp => {
                Row::full(part.as_str(), server, in_full.then(|| ground.start(part, own, true, None)))
            }
            _ => Row::new(part.as_str(), server),
        });
    }
    rows
}

struct Bench {
    own: PathBuf,
    rows: Vec<Row>,
    /// Ends after those that ask it.
    direct: Row,
    calls: Option<Counter>,
    in_full: bool,
}

impl Bench {
    /// All figures of a cell, of all rows.
    fn measure(&mut self, at: usize, cell: &Cell) {
        let own = self.own.clone();
        let job = |ms| Job { port: 0, cell: at, connections: cell.connections(), ms, rate: 0 };
        for row in self.all() {
            row.turn(&own, &job(WARM_UP_MS));
        }
        std::thread::sleep(SETTLE);
        for row in self.all() {
            row.settle();
            row.figures = Figures::default();
        }
        for _ in 0..ROUNDS {
            for row in self.all() {
                row.turn(&own, &job(TURN_MS));
            }
        }
        std::thread::sleep(SETTLE);
        self.all().for_each(Row::settle);
        if self.in_full {
            let steady = Job { connections: STEADY_CONNECTIONS, rate: cell.rate(), ..job(STEADY_MS) };
            for _ in 0..STEADY_ROUNDS {
                for row in self.all().filter(|row| row.in_full) {
                    row.steady(&own, &steady);
                }
            }
            self.rows.iter_mut().for_each(|row| row.count(&own, &job(COUNT_MS)));
            self.system_calls(&job(COUNT_MS));
        }
        for row in &mut self.rows {
            row.figures.rss_kib = row.server.rss_kib();
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Row> {
        std::iter::once(&mut self.direct).chain(&mut self.rows)
    }

    fn system_calls(&mut self, job: &Job) {
        let Some(counter) = self.calls else { return };
        for row in self.rows.iter_mut().filter(|row| row.in_full) {
            let load = generator(&self.own, &Job { port: row.server.port, ..*job });
            let (text, calls) = counter.during(&row.server, load);
            row.figures.syscalls = Some(per(calls, Outcome::parse(&text).requests));
        }
    }
}

/// What there is to say below the table.
fn notes(bench: &Bench, closest: Option<(f64, String)>, is_shared: bool, took: Duration) -> String {
    let mut lines = vec![format!("Measured in {} s.", took.as_secs())];
    if let Some((ahead, cell)) = closest {
        let verdict = if ahead > 1.3 { "no bottleneck" } else { "too close: look at that cell's rows with suspicion" };
        lines.push(format!(
            "Generator and mock alone make {ahead:.1} times the requests of the fastest server, or more (least in {cell}): {verdict}."
        ));
    }
    if !is_shared {
        lines.push("No redis-server on this machine: nothing was shared.".to_owned());
    }
    lines.push(match bench.calls {
        Some(counter) => format!("System calls by `{}`.", counter.as_str()),
        None if bench.in_full => "Neither perf nor strace may count here: no system calls.".to_owned(),
        None => "Only CPU was measured.".to_owned(),
    });
    lines.join("\n")
}

/// What the numbers were taken on, and of which build.
pub(crate) fn machine(weir: &Path) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name").map(|l| l.trim_start_matches([' ', '\t', ':'])));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let profile = weir.parent().and_then(Path::file_name).unwrap_or_default().display();
    format!(
        "Machine: {} ({cores} cores), load before: {}; profile {profile}",
        model.unwrap_or("unknown"),
        load.join(" ")
    )
}
