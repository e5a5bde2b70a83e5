//! The whole gateway under load, beside a bare Pingora pass-through and the upstream itself.
//!
//! `make bench` builds the gateway as it ships (profile `dist`) and runs this; the table it prints
//! goes into `benches/RESULTS.md`. One executable has all roles, each a process of its own:
//!
//! - `mock` answers every format from memory, whole and as streams of 100 events, at once or paced;
//! - `bare` is a Pingora proxy that passes everything on and knows nothing;
//! - `generate` sends requests, closed loop (CPU per request) or at a fixed rate (latency);
//! - without a role: the driver, which starts the others and the gateway and does the sums.
//!
//! The server under test has core 0 to itself, generator and mock share core 1. CPU is what the
//! scheduler booked on the server's threads, so other work on the machine shifts latencies but
//! hardly CPU. Every cell runs in three rounds, servers taking turns; the best round counts.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench may fail loudly"
)]

mod bare;
mod bodies;
mod cells;
mod driver;
mod features;
mod generate;
mod mock;
mod server;

fn main() {
    // `cargo bench` adds a flag of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("mock") => mock::run(args[1].parse().expect("a port")),
        Some("bare") => bare::run(args[1].parse().expect("a port"), args[2].parse().expect("a port")),
        Some("generate") => generate::run(&generate::Job::parse(&args[1..])),
        _ => driver::run(args.first().map(String::as_str)),
    }
}
