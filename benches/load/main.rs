//! The whole gateway under load, beside a bare Pingora pass-through and the upstream itself.
//!
//! `make bench` builds the gateway as it ships (profile `dist`), runs this and prints one table;
//! `benches/RESULTS.md` says what its rows and columns are. An argument leaves out the rest: a part of the
//! names of cells (also of those that the table has not, see `cells.rs`), `features` for CPU alone,
//! `cores` for what a request costs where two threads serve, or `streams` (`make bench-streams`) for streams
//! that are held.
//!
//! One executable has all roles, each a process of its own:
//! - `mock` answers every format from memory, whole and as streams of 100 events, at once, paced or held;
//! - `bare` is a Pingora proxy that passes everything on and knows nothing, set up as the gateway is or as the
//!   framework comes;
//! - `run` is the gateway once more, with an allocator that counts;
//! - `generate` sends requests, closed loop (CPU per request) or at a fixed rate (latency), `hold` opens
//!   many streams at once;
//! - without a role: the driver, which starts the others and the gateway and does the sums.
//!
//! The server under test has core 0 to itself, generator and mock share core 1. CPU is what the
//! scheduler booked on the server's threads, so other work on the machine shifts latencies but
//! hardly CPU. Every cell runs in rounds, servers taking turns; the best round counts.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a bench may fail loudly"
)]

mod bare;
mod bodies;
mod cells;
mod cores;
mod driver;
mod gateway;
mod generate;
mod hold;
mod mock;
mod nginx;
mod rows;
mod server;
mod streams;
mod syscalls;
mod table;

use std::process::ExitCode;

/// Of all roles, so that no server is ahead by its allocator. It counts where the driver asks for it.
#[global_allocator]
static ALLOCATOR: weir_counting::Counting = weir_counting::Counting;

fn main() -> ExitCode {
    // Of all servers, as of the gateway that ships.
    weir::cli::small_pages();
    server::count_if_asked();
    // `cargo bench` adds a flag of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let port = |at: usize| args[at].parse().expect("a port");
    match args.first().map(String::as_str) {
        Some("mock") => mock::run(port(1)),
        Some("bare") => bare::run(port(1), port(2), &args[3]),
        Some("run") => return weir::cli::main(),
        Some("generate") => generate::run(&generate::Job::parse(&args[1..])),
        Some("hold") => hold::run(&hold::Job::parse(&args[1..])),
        Some("streams") => streams::run(),
        Some("cores") => cores::run(),
        only => driver::run(only),
    }
    ExitCode::SUCCESS
}
