//! Recorded traffic of real providers through the translation, checked against what the recording
//! says. The recordings are read in place (`corpus.rs`); what is not translated is in one table
//! (`exceptions.rs`).
//!
//! With `WEIR_SPEC_DIR` set, what was written is put there, for `scripts/spec-check`.

#![expect(clippy::disallowed_types, reason = "the oracle is a plain tree, on purpose another way of reading")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it skipped"
)]

mod answers;
mod blocks;
mod causes;
mod chat;
mod commands;
mod contents;
mod corpus;
mod events;
mod exceptions;
#[cfg(test)]
#[path = "../support/grammar.rs"]
mod grammar;
mod items;
mod kinds;
mod leaves;
mod messages;
mod normal;
mod pass;
mod reading;
mod requests;
mod resumed;
mod turns;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use corpus::{Exchange, Recorded};
use reading::Reading;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::{Client, Dialect, Quirks};

fn seal() -> Seal {
    Seal::new("test", b"key")
}

fn client(seal: &Seal) -> Client<'_> {
    Client { created: 7, input_estimate_tokens: 3, ..Client::of("m", "0190", seal) }
}

fn quirks(provider: &str) -> Quirks {
    let vendor = kinds::kind(provider).and_then(weir::provider::find).map_or(Quirks::NONE, |p| p.quirks);
    // Gemini by its OpenAI-compatible path: not a kind of its own.
    let outside = vendor.reasoning_outside_completion || provider == "gemini";
    Quirks { reasoning_outside_completion: outside, ..Quirks::NONE }
}

fn read(dialect: Dialect, stream: bool, body: &str) -> Reading {
    match (dialect, stream) {
        (Dialect::OpenAiChat, false) => chat::body(body),
        (Dialect::OpenAiChat, true) => chat::stream(body),
        (Dialect::Anthropic, false) => messages::body(body),
        (Dialect::Anthropic, true) => messages::stream(body),
        (Dialect::Responses, false) => items::body(body),
        (Dialect::Responses, true) => items::stream(body),
        (Dialect::Gemini, false) => contents::body(body),
        (Dialect::Gemini, true) => contents::stream(body),
        (Dialect::Converse, false) => blocks::body(body),
        (Dialect::Converse, true) => blocks::stream(body),
        (Dialect::Cohere, false) => commands::body(body),
        (Dialect::Cohere, true) => commands::stream(body),
    }
}

/// What a recorded stream says.
fn read_stream(exchange: &Exchange) -> Reading {
    match exchange.framing {
        Some(Framing::JsonArray) => contents::array(&exchange.body),
        _ => read(exchange.dialect, true, &exchange.body),
    }
}

/// Passed and total of each (provider and API, what became of it).
#[derive(Default)]
struct Score {
    cells: BTreeMap<String, BTreeMap<String, (usize, usize)>>,
    failures: Vec<String>,
}

impl Score {
    fn note(&mut self, exchange: &Exchange, cell: &str, result: Result<(), String>) {
        let score = self.cells.entry(exchange.row()).or_default().entry(cell.to_owned()).or_default();
        score.1 += 1;
        match result {
            Ok(()) => score.0 += 1,
            Err(why) => self.failures.push(format!("{} -> {cell}: {why}", exchange.id)),
        }
    }

    fn settle(self, what: &str) {
        let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (row, cells) in &self.cells {
            let mut line = format!("{what}: {row}:");
            for (cell, (ok, all)) in cells {
                write!(line, " {cell} {ok}/{all}").expect("a string takes text");
                let sum = sums.entry(cell).or_default();
                *sum = (sum.0 + ok, sum.1 + all);
            }
            println!("{line}");
        }
        sums.iter().for_each(|(cell, (ok, all))| println!("{what}: all: {cell} {ok}/{all}"));
        assert!(!sums.is_empty(), "{what}: nothing was tested");
        let shown: Vec<String> = self.failures.iter().take(40).map(|f| f.chars().take(900).collect()).collect();
        assert!(self.failures.is_empty(), "{} failures:\n{}", self.failures.len(), shown.join("\n"));
    }
}

/// What was written for the vendors' own definitions to judge, a file each.
#[derive(Default)]
struct Written {
    files: BTreeMap<String, String>,
}

impl Written {
    /// A line: the exchange, and JSON.
    fn note(&mut self, file: &str, exchange: &Exchange, json: &str) {
        let lines = self.files.entry(file.to_owned()).or_default();
        // Outside strings a line end is white space.
        let json = json.replace(['\r', '\n'], " ");
        writeln!(lines, r#"{{"id":"{}","body":{json}}}"#, exchange.id).expect("a string takes text");
    }

    fn is_asked_for() -> bool {
        std::env::var_os("WEIR_SPEC_DIR").is_some()
    }

    fn settle(self) {
        let Some(dir) = std::env::var_os("WEIR_SPEC_DIR") else { return };
        for (name, lines) in self.files {
            let path = std::path::Path::new(&dir).join(format!("{name}.jsonl"));
            std::fs::write(path, lines).expect("the directory can be written to");
        }
    }
}

/// All generation that is translated.
fn exchanges() -> Option<impl Iterator<Item = Exchange>> {
    Some(Recorded::find()?.exchanges())
}

#[test]
fn what_is_left_out_is_named() {
    let Some(recorded) = Recorded::find() else { return };
    print!("{}", exceptions::table(recorded.lines()));
}
