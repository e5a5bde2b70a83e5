//! What the guards of one request decided: how often, by which guard, about which kind. Shared by all that
//! look, since an answer is looked at where the request's own place is not at hand.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{Action, Kind};

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Board {
    guards: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: String,
    action: Action,
    counts: [AtomicU32; Kind::ALL.len()],
    /// A service outside did not answer.
    failed: AtomicBool,
}

/// One guard's word on one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'b> {
    pub guard: &'b str,
    pub action: Action,
    /// None: it did not answer.
    pub kind: Option<Kind>,
    pub count: u32,
}

impl Board {
    pub fn new<'g>(guards: impl Iterator<Item = (&'g str, Action)>) -> Self {
        let line = |(name, action): (&str, Action)| Line {
            name: name.to_owned(),
            action,
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
            failed: AtomicBool::new(false),
        };
        Self { guards: guards.map(line).collect() }
    }

    pub fn count(&self, guard: usize, kind: Kind) {
        if let Some(count) = self.guards.get(guard).and_then(|line| line.counts.get(kind.place())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn failed(&self, guard: usize) {
        if let Some(line) = self.guards.get(guard) {
            line.failed.store(true, Ordering::Relaxed);
        }
    }

    pub fn decisions(&self) -> impl Iterator<Item = Decision<'_>> {
        self.guards.iter().flat_map(|line| {
            let found = Kind::ALL.into_iter().zip(&line.counts).filter_map(|(kind, count)| {
                let count = count.load(Ordering::Relaxed);
                let decision = Decision { guard: &line.name, action: line.action, kind: Some(kind), count };
                (count > 0).then_some(decision)
            });
            let failed = line.failed.load(Ordering::Relaxed);
            let none = Decision { guard: &line.name, action: line.action, kind: None, count: 1 };
            found.chain(failed.then_some(none))
        })
    }

    /// For the ledger's row: `name:action:kind:count`.
    pub fn lines(&self) -> Vec<String> {
        let line = |d: Decision<'_>| match d.kind {
            Some(kind) => format!("{}:{}:{}:{}", d.guard, d.action.as_str(), kind.as_str(), d.count),
            None => format!("{}:error:external:{}", d.guard, d.count),
        };
        self.decisions().map(line).collect()
    }

    /// For the answer's head: `name=action`, of those that did something to be told of.
    pub fn header(&self) -> Option<String> {
        let mut said: Vec<String> = Vec::new();
        for decision in self.decisions() {
            let action = if decision.kind.is_some() { decision.action.as_str() } else { "error" };
            let word = format!("{}={action}", decision.guard);
            if (decision.action != Action::Allow || decision.kind.is_none()) && !said.contains(&word) {
                said.push(word);
            }
        }
        (!said.is_empty()).then(|| said.join(", "))
    }
}
