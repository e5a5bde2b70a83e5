//! Many streams at once through the gateway: what each takes of its memory, whether all of them end as they
//! should, and by how much later than without it each event comes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use weir::wire::Dialect;

use crate::bare::SetUp;
use crate::cells::{Stream, cell, cells};
use crate::driver::{LOAD_CORE, bare, machine, mock, programs};
use crate::gateway::{Ground, Part};
use crate::generate;
use crate::hold::{Job, Outcome};
use crate::mock::{HELD_EVENTS, HELD_PACE};
use crate::rows::generate;
use crate::server::{Program, Server};

/// Streams at once: the second is what 20,000 files allow, two for each stream.
const STREAMS: [usize; 2] = [1_000, 9_500];
/// Files of a process that are no stream's.
const OTHER_FILES: usize = 500;
const AIM_KIB: f64 = 40.0;
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(200);
/// Of short streams before those that count: what a process takes once is no stream's.
const WARM_UP_MS: u64 = 500;

/// What the streams go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Bare,
    SameFormat,
    Translated,
}

impl Way {
    const ALL: [Self; 4] = [Self::Direct, Self::Bare, Self::SameFormat, Self::Translated];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Bare => "bare Pingora",
            Self::SameFormat => "Weir, chat -> chat",
            Self::Translated => "Weir, chat -> messages",
        }
    }

    const fn is_weir(self) -> bool {
        matches!(self, Self::SameFormat | Self::Translated)
    }
}

/// A table of all ways; says of each aim whether it is met.
pub(crate) fn run() {
    let begun = Instant::now();
    let (own, weir) = programs();
    let dir = std::env::temp_dir().join(format!("weir-streams-{}", std::process::id()));
    println!(
        "\n{}; {HELD_EVENTS} events a stream, one each {HELD_PACE:?}; of the gateway all is on that needs no other server\n",
        machine(&weir)
    );
    println!(
        "| streams | by | ended whole | at once | event, p50 / p99 µs | p99 beyond direct | RSS before, MiB | at most | KiB a stream | aim: {AIM_KIB} |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|--:|--:|---|");
    for streams in STREAMS {
        let files = u64::try_from(2 * streams + OTHER_FILES).unwrap();
        if most_files().is_some_and(|most| files > most) {
            println!(
                "| {streams} | skipped: {files} files at once are needed, and the hard limit (ulimit -Hn) is less |||||||||"
            );
            continue;
        }
        let mut direct = Outcome::default();
        for way in Way::ALL {
            let mock = mock(&own, Some(files));
            let ground = Ground { mock: mock.port, store: None, dir: dir.clone(), threads: 1 };
            let held = held(way, streams, &ground, [&own, &weir], files);
            if way == Way::Direct {
                direct = held.outcome;
            }
            println!("| {streams} | {} | {} |", way.as_str(), held.columns(way, streams, &direct).join(" | "));
        }
    }
    println!("\nMeasured in {} s.", begun.elapsed().as_secs());
    let _ = std::fs::remove_dir_all(dir);
}

struct Held {
    outcome: Outcome,
    /// Before the streams, and at most while they ran.
    rss_kib: Option<[f64; 2]>,
}

fn held(way: Way, streams: usize, ground: &Ground<'_>, [own, weir]: [&Path; 2], files: u64) -> Held {
    let server = match way {
        Way::Direct => None,
        Way::Bare => Some(bare(own, ground.mock, SetUp::Gateways, false, Some(files))),
        Way::SameFormat | Way::Translated => Some(ground.start(Part::Budgets, weir, false, Some(files))),
    };
    let port = server.as_ref().map_or(ground.mock, |server| server.port);
    let job = Job { port, streams, translated: way == Way::Translated };
    warm_up(own, &job);
    let before = server.as_ref().map(Server::rss_kib);
    let hold = Program { files: Some(files), ..Program::new(LOAD_CORE, own, &job.args()) };
    let (outcome, most) = outcome(hold.command(), server.as_ref());
    Held { outcome, rss_kib: before.map(|before| [before, most]) }
}

fn warm_up(own: &Path, job: &Job) {
    let upstream = if job.translated { Dialect::Anthropic } else { Dialect::OpenAiChat };
    let wanted = cell(Dialect::OpenAiChat, upstream, 2, Stream::Burst).name();
    let cell = cells().iter().position(|cell| cell.name() == wanted).expect("a cell");
    generate(own, &generate::Job { port: job.port, cell, connections: 8, ms: WARM_UP_MS, rate: 0 });
}

/// Runs the streams and looks at the server's memory meanwhile.
fn outcome(mut hold: Command, server: Option<&Server>) -> (Outcome, f64) {
    let mut child = hold.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the generator runs");
    let mut most = 0.0_f64;
    while child.try_wait().expect("the generator runs").is_none() {
        most = most.max(server.map_or(0.0, Server::rss_kib));
        std::thread::sleep(LOOK);
    }
    let out = child.wait_with_output().expect("the generator ends");
    assert!(out.status.success(), "the generator failed");
    (Outcome::parse(&String::from_utf8_lossy(&out.stdout)), most)
}

impl Held {
    fn columns(&self, way: Way, streams: usize, direct: &Outcome) -> Vec<String> {
        let it = &self.outcome;
        let is_whole = it.whole == streams && it.at_once == streams;
        let mut columns = vec![
            format!("{}{}", it.whole, if it.whole == streams { "" } else { ": not all" }),
            it.at_once.to_string(),
            format!("{} / {}", it.p50_us, it.p99_us),
            if way == Way::Direct { String::new() } else { it.p99_us.saturating_sub(direct.p99_us).to_string() },
        ];
        let Some([before, most]) = self.rss_kib else {
            columns.resize(8, String::new());
            return columns;
        };
        let each = (most - before) / f64::from(u32::try_from(streams).unwrap());
        let aim = match (way.is_weir(), is_whole, each <= AIM_KIB) {
            (false, _, _) => "",
            (true, true, true) => "met",
            (true, false, _) => "missed: not all streams were whole, at once",
            (true, true, false) => "missed",
        };
        columns.extend([before / 1024.0, most / 1024.0, each].map(|n| format!("{n:.1}")));
        columns.push(aim.to_owned());
        columns
    }
}

/// The hard limit of files that a process may have open; `None` is no limit.
fn most_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
