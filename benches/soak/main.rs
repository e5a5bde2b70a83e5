//! Hours of production in minutes: do memory, connections and threads stay flat?
//!
//! `make soak` starts the real gateway before an upstream that now and then fails in every way there
//! is, sends it what clients send (those too that leave, have wrong keys or invent names), changes its
//! configuration every while, and looks at it every second from outside:
//!
//! - `mix`: what is sent, and what has to come of it;
//! - `load`: the clients;
//! - `upstream`: the providers, with their faults;
//! - `gateway`: the process under test;
//! - `verdict`: what of its figures may grow, and how much.
//!
//! `SOAK_SECONDS` is for how long (900; in less than three minutes memory is still filling up and says
//! little), `SOAK_CLIENTS` how many connections ask at once (32), `WEIR_BIN` the gateway. The last line
//! says whether it passed, and so does the exit code.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench may fail loudly, and is set by its environment"
)]

mod gateway;
mod load;
mod mix;
mod upstream;
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::Gateway;
use load::{Load, Tally};
use upstream::Upstream;
use verdict::{Sample, judge};

const RELOAD_EVERY_SECONDS: u32 = 20;
/// For what is left of the load to go: an idle thread of the runtime stays for ten seconds.
const SETTLE: Duration = Duration::from_secs(40);
/// How attempts end under this load, in the words of the metrics; `cancelled` are those that lost to a
/// hedge.
const ENDS: [&str; 8] = ["ok", "broken", "cancelled", "client_gone", "failed", "overloaded", "rate_limited", "timeout"];
/// Lines of the table.
const LINES: usize = 12;

fn main() -> ExitCode {
    let seconds = setting("SOAK_SECONDS", 900);
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(upstream.port);
    std::thread::sleep(Duration::from_secs(2));
    let base = gateway.sample(0, 0);
    println!("| | requests | RSS, MiB | fds | threads | series | in flight |\n|---|--:|--:|--:|--:|--:|--:|");
    println!("{}", line("before", &base));

    let load = Load::start(gateway.port, setting("SOAK_CLIENTS", 32));
    let course = watch(&mut gateway, &load.tally, seconds);
    let tally = load.stop();
    // Its connections close with it: the gateway's pools have nothing to keep.
    drop(upstream);
    let end = settle(&gateway, &base, &tally);
    let shown = course.iter().skip(course.len() / LINES).step_by((course.len() / LINES).max(1));
    shown.for_each(|sample| println!("{}", line(&format!("{} s", sample.at_ms / 1000), sample)));
    println!("{}\n\n{}", line("settled", &end), tally.told());

    let attempts = gateway.attempts();
    println!("\nattempts: {attempts:?}\n");
    let verdict = judge(&base, &course, &end);
    println!("{}", verdict.slope);
    let missing = ENDS.iter().filter(|end| !attempts.contains_key(**end));
    let idle = missing.map(|end| format!("no attempt ended as {end}, so that was not tried")).collect();
    let why = [verdict.why, tally.wrong(), gateway.complaints(), idle].concat();
    if why.is_empty() {
        println!("soak: passed");
        return ExitCode::SUCCESS;
    }
    println!("soak: failed: {}", why.join("; "));
    ExitCode::FAILURE
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// A sample every second, and a changed configuration now and then.
fn watch(gateway: &mut Gateway, tally: &Arc<Tally>, seconds: u32) -> Vec<Sample> {
    let start = Instant::now();
    let mut course = Vec::new();
    for second in 1..=seconds {
        let moment = start + Duration::from_secs(second.into());
        std::thread::sleep(moment.saturating_duration_since(Instant::now()));
        if second % RELOAD_EVERY_SECONDS == 0 {
            gateway.reload();
        }
        let at_ms = u32::try_from(start.elapsed().as_millis()).expect("less than a month");
        course.push(gateway.sample(at_ms, tally.requests()));
    }
    course
}

/// As soon as everything is as it was before, or when patience ends.
fn settle(gateway: &Gateway, base: &Sample, tally: &Tally) -> Sample {
    let start = Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let sample = gateway.sample(0, tally.requests());
        if verdict::is_settled(base, &sample) || start.elapsed() > SETTLE {
            return sample;
        }
    }
}

fn line(when: &str, sample: &Sample) -> String {
    let Sample { requests, rss_kib, fds, threads, series, in_flight, .. } = sample;
    format!(
        "| {when} | {requests} | {:.1} | {fds} | {threads} | {series} | {in_flight} |",
        f64::from(*rss_kib) / 1024.0
    )
}
