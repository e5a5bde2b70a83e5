//! What compression costs: each of the outputs in `tests/compress/cases`, over and over until there are
//! 100 KB of it in one result, and all of them as one conversation. The best of many rounds, one thread.
//!
//! `cargo bench --bench compress`; what takes more than a millisecond for 100 KB ends with an error.

use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use weir::compress::{How, Rules, Tier, compress};
use weir::usage::estimate::Counter;
use weir::wire::Dialect;
use weir::wire::json::Obj;

type Failure = Box<dyn std::error::Error>;

const SIZE: usize = 100_000;
const MOST: Duration = Duration::from_millis(1);
const MODEL: &str = "gpt-4o";

/// Name, command and output of each.
fn cases() -> Result<Vec<(String, String, String)>, Failure> {
    let mut all = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compress/cases"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let (command, output) = text.split_once('\n').ok_or("a case is a command and its output")?;
        let name = path.file_stem().ok_or("a case has a name")?.to_string_lossy().into_owned();
        all.push((name, command.trim_start_matches("$ ").to_owned(), output.to_owned()));
    }
    all.sort();
    Ok(all)
}

/// A conversation of calls and what they gave back.
fn body(results: &[(String, String, String)]) -> String {
    let mut out = Vec::new();
    {
        let mut body = Obj::new(&mut out);
        let mut messages = body.arr("messages");
        for (id, command, output) in results {
            let mut arguments = Vec::new();
            _ = Obj::new(&mut arguments).text("command", command);
            let mut called = messages.obj();
            called.text("role", "assistant");
            let mut calls = called.arr("tool_calls");
            let mut call = calls.obj();
            call.text("id", id);
            _ = call.obj("function").text("name", "Bash").text("arguments", &String::from_utf8_lossy(&arguments));
            drop(call);
            drop(calls);
            drop(called);
            _ = messages.obj().text("role", "tool").text("tool_call_id", id).text("content", output);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The best round, and the bytes that it saves.
fn best(body: &str, tier: Tier, counter: &Counter) -> (Duration, usize) {
    let rules = Rules { lossy: true, ..Rules::ASKED };
    let count = |text: &str| counter.count(MODEL, text);
    let how = How { rules: &rules, tier, count: &count, keep: &|_| Some("0".to_owned()), until: None };
    let (begun, mut best, mut saved) = (Instant::now(), Duration::MAX, 0);
    while begun.elapsed() < Duration::from_millis(300) {
        let round = Instant::now();
        let out = black_box(compress(Dialect::OpenAiChat, black_box(body), &how));
        best = best.min(round.elapsed());
        saved = out.map_or(0, |it| body.len().saturating_sub(it.body.len()));
    }
    (best, saved)
}

fn main() -> Result<(), Failure> {
    let counter = Counter::new();
    counter.warm(MODEL);
    let (mut out, mut slow) = (std::io::stdout().lock(), 0);
    let cases = cases()?;
    let mut bodies: Vec<(String, String)> = Vec::new();
    for (name, command, output) in &cases {
        let long = output.repeat(SIZE / output.len().max(1) + 1);
        bodies.push((name.clone(), body(&[("c".to_owned(), command.clone(), long)])));
    }
    bodies.push(("all of them".to_owned(), body(&cases)));
    writeln!(
        out,
        "| output of | lossless, µs for 100 KB | bytes saved | lossy, µs for 100 KB | bytes saved |\n|---|---|---|---|---|"
    )?;
    for (name, body) in &bodies {
        write!(out, "| {name} |")?;
        for tier in [Tier::Lossless, Tier::Lossy] {
            let (took, saved) = best(body, tier, &counter);
            let of_size = took.mul_f64(SIZE as f64 / body.len() as f64);
            slow += usize::from(of_size > MOST);
            write!(out, " {} | {} % |", of_size.as_micros(), saved * 100 / body.len())?;
        }
        writeln!(out)?;
    }
    match slow {
        0 => Ok(()),
        slow => Err(format!("{slow} took more than {MOST:?} for 100 KB").into()),
    }
}
