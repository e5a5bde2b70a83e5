//! What was told already, so that nobody hears the same every second.

use std::collections::HashMap;
use std::time::Duration;

use super::event::Event;
use crate::config::alerts::AlertKind;
use crate::limit::clock::whole_ms;

/// Different ones that are remembered. Those that go on are never forgotten for room.
const MOST: usize = 10_000;
/// Of those that clients can bring about with names of their own, of a kind, in any `repeat_after`: they take
/// nobody else's place.
const MOST_OF_CLIENTS: u32 = 100;

/// Two with the same name are the same alert.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    kind: AlertKind,
    subject: String,
    about: String,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    told_ms: u64,
    began_ms: u64,
    /// It has an end, which has not come.
    goes_on: bool,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Tell,
    /// Told not long ago.
    Known,
    /// Too many of its kind.
    TooMany,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Told {
    all: HashMap<Name, Known>,
    /// Of what clients bring about, by kind: since when, and how many.
    by_clients: HashMap<AlertKind, (u64, u32)>,
}

impl Name {
    fn of(event: &Event) -> Self {
        Self { kind: event.kind, subject: event.subject.clone(), about: event.about.clone() }
    }
}

impl Told {
    /// Something happened, or goes on (`goes_on`: it will be said when it is over).
    pub(super) fn raise(&mut self, event: &Event, goes_on: bool, now_ms: u64, repeat_after: Duration) -> Verdict {
        let repeat_ms = whole_ms(repeat_after);
        if let Some(known) = self.all.get_mut(&Name::of(event)) {
            known.goes_on |= goes_on;
            if now_ms.saturating_sub(known.told_ms) < repeat_ms {
                return Verdict::Known;
            }
            known.told_ms = now_ms;
            return Verdict::Tell;
        }
        if event.by_clients && self.is_flood(event, now_ms, repeat_ms) {
            return Verdict::TooMany;
        }
        if self.all.len() >= MOST {
            self.all.retain(|_, known| known.goes_on || now_ms.saturating_sub(known.told_ms) < repeat_ms);
        }
        if self.all.len() >= MOST {
            return Verdict::TooMany;
        }
        self.all.insert(Name::of(event), Known { told_ms: now_ms, began_ms: now_ms, goes_on });
        Verdict::Tell
    }

    fn is_flood(&mut self, event: &Event, now_ms: u64, repeat_ms: u64) -> bool {
        let (since_ms, count) = self.by_clients.entry(event.kind).or_insert((now_ms, 0));
        if now_ms.saturating_sub(*since_ms) >= repeat_ms {
            (*since_ms, *count) = (now_ms, 0);
        }
        *count = count.saturating_add(1);
        *count > MOST_OF_CLIENTS
    }

    /// What goes on of this subject.
    pub(super) fn of(&self, subject: &str) -> Vec<(AlertKind, String)> {
        let of_subject = self.all.iter().filter(|(name, known)| known.goes_on && name.subject == subject);
        of_subject.map(|(name, _)| (name.kind, name.about.clone())).collect()
    }

    /// It is over, whatever of the subject's it was about. How long it went on, if it was told of.
    pub(super) fn over(&mut self, event: &Event, now_ms: u64) -> Option<Duration> {
        let known = self.all.remove(&Name::of(event)).filter(|known| known.goes_on)?;
        Some(Duration::from_millis(now_ms.saturating_sub(known.began_ms)))
    }
}

#[cfg(test)]
mod tests;
