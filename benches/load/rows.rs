//! A server in the table, and what is measured of it in one cell.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cells::cells;
use crate::driver::LOAD_CORE;
use crate::generate::{Job, Outcome};
use crate::server::{Program, Server};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) is_weir: bool,
    /// Its twin, which counts allocations.
    pub(crate) counted: Option<Server>,
    /// All is measured of it, not just its CPU.
    pub(crate) in_full: bool,
    /// Where the generator is.
    pub(crate) load_core: Option<u32>,
    /// CPU seconds a second, with nothing to do.
    idle: f64,
    turn: Option<Turn>,
    pub(crate) figures: Figures,
}

/// A load, until all that it led to is done.
#[derive(Debug)]
struct Turn {
    begun: Instant,
    cpu: Duration,
    requests: u64,
}

/// Of one cell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) requests_per_s: f64,
    pub(crate) cpu_us: Option<f64>,
    /// At the cell's rate.
    pub(crate) steady: Option<Outcome>,
    pub(crate) syscalls: Option<f64>,
    /// Allocations and bytes.
    pub(crate) allocated: Option<[f64; 2]>,
    pub(crate) rss_kib: f64,
}

impl Row {
    pub(crate) fn new(name: &'static str, server: Server) -> Self {
        let load_core = Some(LOAD_CORE);
        Self {
            name,
            server,
            is_weir: true,
            counted: None,
            in_full: false,
            load_core,
            idle: 0.0,
            turn: None,
            figures: Figures::default(),
        }
    }

    pub(crate) fn full(name: &'static str, server: Server, counted: Option<Server>) -> Self {
        Self { counted, in_full: true, ..Self::new(name, server) }
    }

    /// Loads the server for `job.ms`. What it does later (rows that are folded, exports) is counted too, up
    /// to its next turn or to [`Row::settle`].
    pub(crate) fn turn(&mut self, own: &Path, job: &Job) {
        self.settle();
        let (begun, cpu) = (Instant::now(), self.server.cpu());
        let outcome = generate_on(self.load_core, own, &Job { port: self.server.port, ..*job });
        self.figures.requests_per_s = self.figures.requests_per_s.max(per(outcome.requests * 1000, job.ms));
        self.turn = Some(Turn { begun, cpu, requests: outcome.requests });
    }

    /// Ends its turn. What the server does without any load is not its requests'.
    pub(crate) fn settle(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let spent = (self.server.cpu() - turn.cpu).as_secs_f64() - self.idle * turn.begun.elapsed().as_secs_f64();
        let us = spent * 1e6 / per(turn.requests, 1);
        self.figures.cpu_us = Some(self.figures.cpu_us.map_or(us, |best| best.min(us)));
    }

    /// At a fixed rate; the round with the lower p99 counts.
    pub(crate) fn steady(&mut self, own: &Path, job: &Job) {
        let outcome = generate(own, &Job { port: self.server.port, ..*job });
        let best = self.figures.steady.filter(|best| best.p99_us <= outcome.p99_us);
        self.figures.steady = Some(best.unwrap_or(outcome));
    }

    /// Allocations of its twin.
    pub(crate) fn count(&mut self, own: &Path, job: &Job) {
        let Some(counted) = &self.counted else { return };
        let job = Job { port: counted.port, ..*job };
        generate(own, &Job { ms: job.ms / 3, ..job });
        let before = counted.allocated();
        let outcome = generate(own, &job);
        let after = counted.allocated();
        self.figures.allocated = Some([0, 1].map(|n| per(after[n] - before[n], outcome.requests)));
    }
}

/// What all servers do while nobody asks for anything.
pub(crate) fn rest(rows: &mut [Row]) {
    /// Tables are read and threads started beside the first requests.
    const START: Duration = Duration::from_secs(2);
    const REST: Duration = Duration::from_secs(3);
    std::thread::sleep(START);
    let before: Vec<Duration> = rows.iter().map(|row| row.server.cpu()).collect();
    std::thread::sleep(REST);
    for (row, before) in rows.iter_mut().zip(before) {
        row.idle = (row.server.cpu() - before).as_secs_f64() / REST.as_secs_f64();
        row.figures = Figures { rss_kib: row.server.rss_kib(), ..Figures::default() };
    }
}

/// `n` for each of `of`.
pub(crate) fn per(n: u64, of: u64) -> f64 {
    n as f64 / of.max(1) as f64
}

/// The generator, as a process of its own.
pub(crate) fn generator(own: &Path, job: &Job) -> Command {
    Program::new(LOAD_CORE, own, &job.args()).command()
}

pub(crate) fn generate(own: &Path, job: &Job) -> Outcome {
    generate_on(Some(LOAD_CORE), own, job)
}

fn generate_on(core: Option<u32>, own: &Path, job: &Job) -> Outcome {
    let out = Program::new(core, own, &job.args()).command().stdin(Stdio::null()).output().expect("the generator runs");
    assert!(out.status.success(), "{}: {}", cells()[job.cell].name(), String::from_utf8_lossy(&out.stderr));
    Outcome::parse(&String::from_utf8_lossy(&out.stdout))
}
