//! The way to one webhook: in order, one at a time, again after ever longer waits, and given up at
//! last, so that one that is dead does not hold up what comes after it forever.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::event::Alert;
use crate::config::alerts::Webhook;

/// Alerts that wait for one webhook; what comes on top is dropped and counted.
const MOST_WAITING: usize = 256;
/// Tries of one alert: some ten minutes, all in all.
const MOST_TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Waits are longer or shorter by up to this, so that a fleet does not knock in step.
const JITTER_PERCENT: u32 = 20;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Delivered,
    /// It will be tried again.
    Retried,
    /// It was given up.
    Failed,
    /// Too much was waiting.
    Dropped,
}

impl Delivery {
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Retried, Self::Failed, Self::Dropped];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// What a try found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The status of an answer.
    Answer(u16),
    /// None came.
    Nothing,
}

impl Found {
    fn is_taken(&self) -> bool {
        matches!(self, Self::Answer(200..300))
    }

    /// Whether another try may find something else. A redirection does not help: it is not followed.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Nothing | Self::Answer(408 | 425 | 429 | 500..))
    }
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Post {
    /// Of all that this process has had: another way to a webhook of the same name has another.
    pub(super) id: u64,
    pub(super) hook: Webhook,
    waiting: VecDeque<Arc<Alert>>,
    /// Of the first that waits.
    tries: u32,
    due: Instant,
    is_running: bool,
}

impl Post {
    pub(super) fn new(hook: Webhook, now: Instant) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, hook, waiting: VecDeque::new(), tries: 0, due: now, is_running: false }
    }

    /// The same with another configuration: what waits goes on to wait, if it is for the same.
    pub(super) fn rebound(self, hook: Webhook, now: Instant) -> Self {
        if self.hook.url == hook.url { Self { hook, ..self } } else { Self::new(hook, now) }
    }

    /// False if it is dropped.
    pub(super) fn push(&mut self, alert: Arc<Alert>) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(alert);
        }
        has_room
    }

    /// What is to be sent now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Arc<Alert>> {
        if self.is_running || self.due > now {
            return None;
        }
        let next = self.waiting.front().cloned()?;
        self.is_running = true;
        self.tries += 1;
        Some(next)
    }

    /// The try is over. `chance` is any number.
    pub(super) fn done(&mut self, found: &Found, now: Instant, chance: u32) -> Delivery {
        self.is_running = false;
        let delivery = match found {
            taken if taken.is_taken() => Delivery::Delivered,
            found if found.may_pass() && self.tries < MOST_TRIES => Delivery::Retried,
            _ => Delivery::Failed,
        };
        if delivery == Delivery::Retried {
            self.due = now + wait(self.tries, chance);
        } else {
            self.waiting.pop_front();
            (self.tries, self.due) = (0, now);
        }
        delivery
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// After that many tries: 2 s, 8 s, 32 s, 128 s, 300 s, and a bit more or less.
fn wait(tries: u32, chance: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(4_u32.saturating_pow(tries.saturating_sub(1)));
    let percent = 100 - JITTER_PERCENT + chance % (2 * JITTER_PERCENT + 1);
    doubled.min(LONGEST_WAIT).saturating_mul(percent) / 100
}

#[cfg(test)]
mod tests;
