//! One run: load, kills, and the verdict over the ledger that is left.

mod clients;
mod gateway;
mod judge;
mod plan;
mod provider;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;

use gateway::Gateway;
use judge::{Verdict, judge};
use plan::{Case, shuffle};
use provider::Providers;

/// How much of it.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    pub(crate) requests: u32,
    pub(crate) kills: u32,
    pub(crate) clients: u32,
    pub(crate) seed: u32,
    /// Rows from the access log instead of the ledger: for a look at this driver, without kills.
    pub(crate) from_access_log: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) report: String,
    /// Empty where all is well.
    pub(crate) wrong: Vec<String>,
}

/// Runs it with this binary, in a directory that is removed if all is well.
pub(crate) fn run(binary: &Path, dir: &Path, size: &Size) -> Proof {
    let began = Instant::now();
    let providers = Providers::start();
    let mut gateway = Gateway::start(binary, providers.port, dir);
    let (course, thread) = clients::start(gateway.port, size.clients, size.requests, size.seed);
    let mut slowest_start = Duration::ZERO;
    for kill in 1..=size.kills {
        let at = moment(kill, size);
        while course.done() < at && !thread.is_finished() {
            std::thread::sleep(Duration::from_micros(200));
        }
        if thread.is_finished() {
            break;
        }
        course.kills.fetch_add(1, Ordering::SeqCst);
        let from = Instant::now();
        gateway.kill_and_start();
        slowest_start = slowest_start.max(from.elapsed());
    }
    thread.join().unwrap();
    let loaded = began.elapsed();
    let rows = rows(binary, dir, &mut gateway, size);
    let seen = course.seen.lock().unwrap().clone();
    let verdict = judge(&rows, &seen, &providers.truth.lock().unwrap());
    let kills = course.kills.load(Ordering::SeqCst);
    let mut wrong = course.wrong.lock().unwrap().clone();
    wrong.extend(gateway.panics());
    wrong.extend(verdict.complaints());
    wrong.extend(verified(binary, dir).err());
    if kills < size.kills {
        wrong.push(format!("only {kills} of {} kills happened while requests ran", size.kills));
    }
    wrong.extend(idle(&verdict, size));
    let report = report(&verdict, seen.len(), kills, (loaded, slowest_start));
    if wrong.is_empty() {
        let _ = std::fs::remove_dir_all(dir);
    }
    Proof { report, wrong }
}

/// After how many requests that kill comes: somewhere in its part of the run.
fn moment(kill: u32, size: &Size) -> usize {
    let part = size.requests / (size.kills + 1);
    let at = part * (kill - 1) + part / 2 + shuffle(kill, size.seed ^ 0x5eed) % part.max(1);
    usize::try_from(at).unwrap_or_default()
}

/// What should have happened and did not, so that nothing was shown by it.
fn idle(verdict: &Verdict, size: &Size) -> Vec<String> {
    let found = |case: Case, outcome: &str| verdict.by_case.get(&case).and_then(|all| all.get(outcome)).is_some();
    let mut wanted = vec![
        (Case::Whole, "finished"),
        (Case::Stream, "finished"),
        (Case::Cut, "client_cut"),
        (Case::Leave, "client_cut"),
        (Case::Broken, "failed"),
        (Case::Broken, "upstream_cut"),
        (Case::Fallback, "finished"),
        (Case::Hedge, "finished"),
    ];
    if size.kills > 2 {
        wanted.push((Case::Stream, "recovered"));
    }
    let missing = wanted.into_iter().filter(|(case, outcome)| !found(*case, outcome));
    missing.map(|(case, outcome)| format!("no {case:?} ended as {outcome}, so that was not tried")).collect()
}

/// Every row, once all that was left open is closed and folded.
fn rows(binary: &Path, dir: &Path, gateway: &mut Gateway, size: &Size) -> Vec<Value> {
    if size.from_access_log {
        gateway.stop();
        let text = std::fs::read_to_string(dir.join("access.jsonl")).unwrap();
        return text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    }
    gateway.stop();
    let exported = dir.join("rows.jsonl");
    let file = std::fs::File::create(&exported).unwrap();
    let mut command = Command::new(binary);
    command.args(["ledger", "export", "--format", "json", "-c"]).arg(dir.join("weir.yaml")).env_clear();
    let status = command.stdout(file).status().expect("the export runs");
    assert!(status.success(), "weir ledger export ended with {status}");
    let text = std::fs::read_to_string(&exported).unwrap();
    match text.trim_start().starts_with('[') {
        true => serde_json::from_str(&text).expect("a list of rows"),
        false => text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect(),
    }
}

/// What the ledger says of itself: its log, its rows and its sums.
fn verified(binary: &Path, dir: &Path) -> Result<(), String> {
    let mut command = Command::new(binary);
    let told = command.args(["ledger", "verify", "-c"]).arg(dir.join("weir.yaml")).env_clear().output();
    let told = told.map_err(|error| format!("weir ledger verify: {error}"))?;
    let text = [told.stdout, told.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
    if told.status.success() { Ok(()) } else { Err(format!("weir ledger verify: {text}")) }
}

fn report(verdict: &Verdict, sent: usize, kills: u32, (loaded, slowest): (Duration, Duration)) -> String {
    let mut text = String::new();
    writeln!(text, "| request | rows by outcome |\n|---|---|").unwrap();
    for (name, case) in Case::ALL {
        let outcomes = verdict.by_case.get(&case).into_iter().flatten();
        let outcomes: Vec<String> = outcomes.map(|(outcome, count)| format!("{count} {outcome}")).collect();
        writeln!(text, "| {name} | {} |", outcomes.join(", ")).unwrap();
    }
    writeln!(
        text,
        "\n{sent} requests, {kills} times kill -9 ({:.1} s; a start took at most {:.2} s); {} reached a provider; {} rows: {} missing, \
         {} twice, {} of nobody's\n{} rows have exactly the provider's token classes, {} costs are right to the pico-USD",
        loaded.as_secs_f64(),
        slowest.as_secs_f64(),
        verdict.reached,
        verdict.rows,
        verdict.missing,
        verdict.duplicates,
        verdict.strangers,
        verdict.counted,
        verdict.priced,
    )
    .unwrap();
    writeln!(
        text,
        "cut short: clients saw {} words, rows have {} tokens of output; found open after a kill: {} words, {} tokens",
        verdict.words_of_cut, verdict.tokens_of_cut, verdict.words_of_recovered, verdict.tokens_of_recovered,
    )
    .unwrap();
    text
}

/// The gateway to be proved, if it is there.
pub(crate) fn binary(usual: &Path) -> PathBuf {
    let binary = std::env::var_os("WEIR_BIN").map_or_else(|| usual.to_owned(), PathBuf::from);
    assert!(binary.exists(), "{} is not there: build it, or set WEIR_BIN", binary.display());
    binary
}
