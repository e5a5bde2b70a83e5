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
    /// Answers that did not fit and were mended.
    repaired: AtomicU32,
    /// What did not come to a judgement.
    failed: [AtomicBool; FAILING.len()],
}

/// What may not come to a judgement: a service that does not answer, a schema that cannot be used.
const FAILING: [Kind; 2] = [Kind::External, Kind::Schema];

/// One guard's word on one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'b> {
    pub guard: &'b str,
    pub did: Did,
    pub kind: Kind,
    pub count: u32,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    Action(Action),
    /// An answer was mended.
    Repaired,
    /// There was no judgement.
    Failed,
}

impl Did {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Action(action) => action.as_str(),
            Self::Repaired => "repair",
            Self::Failed => "error",
        }
    }
}

impl Board {
    pub fn new<'g>(guards: impl Iterator<Item = (&'g str, Action)>) -> Self {
        let line = |(name, action): (&str, Action)| Line {
            name: name.to_owned(),
            action,
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
            repaired: AtomicU32::new(0),
            failed: Default::default(),
        };
        Self { guards: guards.map(line).collect() }
    }

    pub fn count(&self, guard: usize, kind: Kind) {
        if let Some(count) = self.guards.get(guard).and_then(|line| line.counts.get(kind.place())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An answer that did not fit was mended.
    pub fn repaired(&self, guard: usize) {
        if let Some(line) = self.guards.get(guard) {
            line.repaired.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// There was no judgement by that.
    pub fn failed(&self, guard: usize, kind: Kind) {
        let failed = self.guards.get(guard).into_iter().flat_map(|line| FAILING.iter().zip(&line.failed));
        failed.filter(|(of, _)| **of == kind).for_each(|(_, failed)| failed.store(true, Ordering::Relaxed));
    }

    pub fn has_found(&self, kind: Kind) -> bool {
        let counts = self.guards.iter().filter_map(|line| line.counts.get(kind.place()));
        counts.map(|count| count.load(Ordering::Relaxed)).any(|count| count > 0)
    }

    pub fn decisions(&self) -> impl Iterator<Item = Decision<'_>> {
        self.guards.iter().flat_map(|line| {
            let decision = |did, kind, count| Decision { guard: line.name.as_str(), did, kind, count };
            let counts = Kind::ALL.into_iter().zip(line.counts.iter().map(|count| count.load(Ordering::Relaxed)));
            let found = counts.map(move |(kind, count)| decision(Did::Action(line.action), kind, count));
            let repaired = decision(Did::Repaired, Kind::Schema, line.repaired.load(Ordering::Relaxed));
            let failed = FAILING.into_iter().zip(line.failed.iter().map(|failed| failed.load(Ordering::Relaxed)));
            let failed = failed.map(move |(kind, failed)| decision(Did::Failed, kind, failed.into()));
            found.chain([repaired]).chain(failed).filter(|decision| decision.count > 0)
        })
    }

    /// For the ledger's row: `name:action:kind:count`.
    pub fn lines(&self) -> Vec<String> {
        let line = |d: Decision<'_>| format!("{}:{}:{}:{}", d.guard, d.did.as_str(), d.kind.as_str(), d.count);
        self.decisions().map(line).collect()
    }

    /// For the answer's head: `name=action`, of those that did something to be told of.
    pub fn header(&self) -> Option<String> {
        let mut said: Vec<String> = Vec::new();
        for decision in self.decisions().filter(|decision| decision.did != Did::Action(Action::Allow)) {
            let word = format!("{}={}", decision.guard, decision.did.as_str());
            if !said.contains(&word) {
                said.push(word);
            }
        }
        (!said.is_empty()).then(|| said.join(", "))
    }
}
