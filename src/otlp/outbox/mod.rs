//! The way of one signal to the collector: one export at a time, again after ever longer waits, given up
//! at last. What comes meanwhile waits, up to a bound; beyond it is dropped. No clock and no connection
//! here: moments and findings are handed in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Records that wait for one signal.
const MOST_WAITING: usize = 4_096;
/// Records of one export.
const MOST_AT_ONCE: usize = 512;
/// Fewer are sent once the first has waited for this.
const GATHER: Duration = Duration::from_secs(1);
/// Tries of one export: about a minute, all in all.
const MOST_TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Also where the collector asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Waits are longer or shorter by up to this, so that a fleet does not knock in step.
const JITTER_PERCENT: u32 = 20;

/// What a try found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Taken, but for that many of it.
    Taken { rejected: u64 },
    /// Another try may find something else, and when the collector wants it.
    Busy { status: Option<u16>, after: Option<Duration> },
    /// It is not taken.
    Refused { status: u16 },
}

/// What became of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Taken {
        taken: u64,
        rejected: u64,
    },
    /// It will be tried again.
    Later,
    Lost {
        lost: u64,
    },
}

/// An export, written.
#[derive(Debug)]
struct Export {
    body: Bytes,
    count: u64,
    tries: u32,
    due: Instant,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Records, packed.
    waiting: VecDeque<Arc<[u8]>>,
    /// When the first of them came.
    since: Instant,
    export: Option<Export>,
    is_running: bool,
}

impl Outbox {
    pub(super) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), since: now, export: None, is_running: false }
    }

    /// False if it is dropped.
    pub(super) fn push(&mut self, packed: Arc<[u8]>, now: Instant) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            if self.waiting.is_empty() {
                self.since = now;
            }
            self.waiting.push_back(packed);
        }
        has_room
    }

    /// An export in the place of one that waits for its next try: it says all that that one says. False
    /// while one is on its way.
    pub(super) fn replace(&mut self, body: Bytes, count: u64, now: Instant) -> bool {
        if self.is_running {
            return false;
        }
        // What the collector asked for holds for this one too.
        let (tries, due) = self.export.as_ref().map_or((0, now), |old| (old.tries, old.due));
        self.export = Some(Export { body, count, tries: tries.min(MOST_TRIES - 1), due });
        true
    }

    /// What is to be sent now. `hurry` leaves no time to gather.
    pub(super) fn next(
        &mut self,
        now: Instant,
        hurry: bool,
        write: impl FnOnce(&[Arc<[u8]>]) -> Bytes,
    ) -> Option<Bytes> {
        if self.is_running {
            return None;
        }
        let is_ready = self.waiting.len() >= MOST_AT_ONCE || hurry || now.duration_since(self.since) >= GATHER;
        if self.export.is_none() && is_ready && !self.waiting.is_empty() {
            let some: Vec<Arc<[u8]>> = self.waiting.drain(..self.waiting.len().min(MOST_AT_ONCE)).collect();
            self.since = now;
            self.export = Some(Export { body: write(&some), count: count(some.len()), tries: 0, due: now });
        }
        let export = self.export.as_mut().filter(|export| export.due <= now || hurry)?;
        export.tries += 1;
        self.is_running = true;
        Some(export.body.clone())
    }

    /// The try is over. `chance` is any number; `hurry` leaves no time for another one. `None`: nobody waits
    /// for it any more.
    pub(super) fn done(&mut self, found: &Found, now: Instant, chance: u32, hurry: bool) -> Option<Sent> {
        self.is_running = false;
        let export = self.export.as_mut()?;
        let count = export.count;
        let sent = match found {
            Found::Taken { rejected } => {
                let rejected = (*rejected).min(count);
                Sent::Taken { taken: count - rejected, rejected }
            }
            Found::Busy { after, .. } if export.tries < MOST_TRIES && !hurry => {
                export.due = now + wait(export.tries, chance).max(after.unwrap_or_default().min(LONGEST_WAIT));
                return Some(Sent::Later);
            }
            Found::Busy { .. } | Found::Refused { .. } => Sent::Lost { lost: count },
        };
        self.export = None;
        Some(sent)
    }

    /// Nobody is to have what waits any more. How much that was.
    pub(super) fn clear(&mut self) -> u64 {
        let waiting = count(std::mem::take(&mut self.waiting).len());
        waiting + self.export.take().map_or(0, |export| export.count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.export.is_none()
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// After that many tries: 1 s, 2 s, 4 s ..., and a bit more or less.
fn wait(tries: u32, chance: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    let percent = 100 - JITTER_PERCENT + chance % (2 * JITTER_PERCENT + 1);
    doubled.min(LONGEST_WAIT).saturating_mul(percent) / 100
}

#[cfg(test)]
mod tests;
