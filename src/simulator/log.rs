//! What the server saw: the truth that tests compare the gateway's account with.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// Requests kept.
const MOST: usize = 512;
/// Of each body.
const MOST_BODY_BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Log {
    next: u64,
    entries: VecDeque<Entry>,
}

/// One request.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) tokens: Tokens,
    pub(super) outcome: Option<Outcome>,
}

/// As the server counted them, whether it said so or not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tokens {
    /// Cached and written ones included.
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) cache_write: u64,
    /// Reasoning included.
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    ClientGone,
    /// By the model's own fault.
    Cut,
}

impl Log {
    /// Enters a request; its number is the handle for what follows.
    pub(super) fn enter(&mut self, mut entry: Entry) -> u64 {
        self.next += 1;
        entry.number = self.next;
        self.entries.push_back(entry);
        if self.entries.len() > MOST {
            self.entries.pop_front();
        }
        self.next
    }

    pub(super) fn count(&mut self, number: u64, tokens: Tokens) {
        self.with(number, |e| e.tokens = tokens);
    }

    pub(super) fn end(&mut self, number: u64, outcome: Outcome) {
        self.with(number, |e| e.outcome = Some(outcome));
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Newest last.
    pub(super) fn json(&self) -> Value {
        json!({"data": self.entries.iter().map(Entry::json).collect::<Vec<_>>()})
    }

    fn with(&mut self, number: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|e| e.number == number) {
            change(entry);
        }
    }
}

impl Entry {
    fn json(&self) -> Value {
        let body = self.body.get(..MOST_BODY_BYTES).unwrap_or(&self.body);
        json!({
            "number": self.number,
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "body": String::from_utf8_lossy(body),
            "body_bytes": self.body.len(),
            "outcome": match self.outcome {
                None => "open",
                Some(Outcome::Answered) => "answered",
                Some(Outcome::ClientGone) => "client_gone",
                Some(Outcome::Cut) => "cut",
            },
            "input_tokens": self.tokens.input,
            "cached_tokens": self.tokens.cached,
            "cache_write_tokens": self.tokens.cache_write,
            "output_tokens": self.tokens.output,
            "reasoning_tokens": self.tokens.reasoning,
        })
    }
}
