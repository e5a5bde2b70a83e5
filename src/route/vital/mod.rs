//! How one model at one endpoint is doing: what it was asked and how that went, until when it wants to
//! be left alone, how much of its quota is left. Faults of the client's count for nothing here.
//!
//! The breaker opens after five faults in a row, or where half of the last ten seconds'
//! requests were faults. While it is open nobody asks, but where nobody else can be asked either: then
//! one request at a time goes through to find out. After a while (twice as long each time) one is let
//! through in any case, and two good answers close it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::board::Endpoint;
use super::cause::{Cause, Failure};
use super::latency::PeakEwma;
use super::quota::Learned;

/// Faults in a row that open the breaker.
const TRIP_IN_A_ROW: u32 = 5;
/// Requests within [`WINDOW_MS`] before their share of faults counts.
const TRIP_SAMPLE: u32 = 20;
const WINDOW_MS: u64 = 10_000;
/// Good answers that close it.
const CLOSE_AFTER: u32 = 2;
const OPEN_MS: u64 = 5_000;
const LONGEST_OPEN_MS: u64 = 60_000;
/// Of a rate limit that does not say when it ends; doubles.
const COOL_MS: u64 = 1_000;
const LONGEST_COOL_MS: u64 = 60_000;
/// Of an account without money, that does not say so either.
const QUOTA_MS: u64 = 300_000;
/// Nobody is believed who asks for more.
const LONGEST_ASKED_MS: u64 = 3_600_000;
/// A quota with less than this share left is spared.
const LOW_PERCENT: u64 = 5;

/// Whether it should be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// Its quota is nearly used up: others first.
    Low,
    /// All its places are taken: others first, else in line.
    Full,
    /// It asked for peace until then, having refused for its limits.
    Cooling {
        until_ms: u64,
    },
    /// Its breaker is open until then.
    Broken {
        until_ms: u64,
    },
    /// Somebody is finding out whether it is back.
    Probing,
    /// Its credential was refused; looked at again then.
    Locked {
        until_ms: u64,
    },
    /// The active check failed.
    Unwell,
    /// Taken out by hand.
    Drained,
}

impl Standing {
    /// Less is better.
    pub fn rank(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Low | Self::Full => 1,
            _ => 2,
        }
    }

    pub fn is_out(self) -> bool {
        self.rank() == 2
    }

    /// When it may be asked again, where that is known.
    pub fn until_ms(self) -> Option<u64> {
        match self {
            Self::Cooling { until_ms } | Self::Broken { until_ms } | Self::Locked { until_ms } => Some(until_ms),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Low => "low_quota",
            Self::Full => "full",
            Self::Cooling { .. } => "cooling",
            Self::Broken { .. } => "broken",
            Self::Probing => "probing",
            Self::Locked { .. } => "credential_refused",
            Self::Unwell => "check_failed",
            Self::Drained => "drained",
        }
    }
}

/// See the module documentation.
#[derive(Debug)]
pub struct Vital {
    pub endpoint: Arc<Endpoint>,
    in_flight: AtomicU32,
    /// All places that it was found to have are taken.
    full: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults_in_a_row: u32,
    good_in_a_row: u32,
    window_since_ms: u64,
    asked: u32,
    faults: u32,
    /// The breaker is open, and until when nobody is let through.
    open_until_ms: Option<u64>,
    open_ms: u64,
    /// How often it has opened.
    opened: u64,
    probing: bool,
    cool_until_ms: u64,
    cool_ms: u64,
    learned: Learned,
    first_token: PeakEwma,
}

/// What is known of it, to be shown.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub standing: Standing,
    pub in_flight: u32,
    pub first_token_ms: Option<u64>,
    /// Of a thousand requests of the last seconds, those that were faults.
    pub fault_permille: u32,
    /// The breaker is open, or half so where that moment has passed.
    pub open_until_ms: Option<u64>,
    /// How often it has opened since the process began.
    pub opened: u64,
    pub learned: Learned,
}

impl Vital {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, in_flight: AtomicU32::new(0), full: AtomicBool::new(false), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether a request would have to wait for a place.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Whether anything has been learnt of it.
    pub(super) fn is_of_use(&self) -> bool {
        let state = self.state();
        let has_failed = state.faults_in_a_row > 0 || state.open_until_ms.is_some() || state.cool_until_ms > 0;
        has_failed || state.first_token.at(0).is_some() || self.in_flight() > 0
    }

    /// Whether it should be asked for something of that many tokens.
    pub fn standing(&self, tokens: u64, now_ms: u64) -> Standing {
        if let Some(out) = self.endpoint.out(now_ms) {
            return out;
        }
        match self.state().standing(tokens, now_ms) {
            Standing::Good if self.full.load(Ordering::Relaxed) || self.endpoint.is_full() => Standing::Full,
            standing => standing,
        }
    }

    /// Until when it is at its limits, also while somebody finds out whether it is back.
    pub fn cools_until_ms(&self, now_ms: u64) -> Option<u64> {
        self.state().cools_until_ms(now_ms)
    }

    /// Milliseconds to the first token, times those in line for it; none before anything is known.
    pub fn load(&self, now_ms: u64) -> Option<u64> {
        let ms = self.state().first_token.at(now_ms)?;
        Some(ms.saturating_mul(u64::from(self.in_flight()) + 1))
    }

    /// One more request goes to it. Where it is out, that is an attempt to find out whether it is back,
    /// and as long as that runs it is [`Standing::Probing`].
    pub fn begin(self: &Arc<Self>, now_ms: u64) -> Run {
        let is_out = self.endpoint.out(now_ms).is_some() || self.endpoint.is_locked();
        let probes = {
            let mut state = self.state();
            let is_out = is_out || state.open_until_ms.is_some() || state.cools_until_ms(now_ms).is_some();
            // Whoever comes while another finds out is none: the first one's end is what counts.
            let probes = is_out && !state.probing;
            state.probing |= probes;
            probes
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Run { vital: Arc::clone(self), began_ms: now_ms, probes: AtomicBool::new(probes) }
    }

    pub fn report(&self, now_ms: u64) -> Report {
        let standing = self.standing(0, now_ms);
        let state = self.state();
        let first_token_ms = state.first_token.at(now_ms);
        // What nobody has asked for a while has no share: it would never be asked again for that.
        let asked = if state.is_window_over(now_ms) { 0 } else { state.asked };
        let fault_permille = state.faults.saturating_mul(1_000).checked_div(asked).unwrap_or(0);
        Report {
            standing,
            in_flight: self.in_flight(),
            first_token_ms,
            fault_permille,
            open_until_ms: state.open_until_ms,
            opened: state.opened,
            learned: state.learned,
        }
    }
}

impl State {
    fn standing(&self, tokens: u64, now_ms: u64) -> Standing {
        if self.probing {
            return Standing::Probing;
        }
        if let Some(until_ms) = self.open_until_ms.filter(|until_ms| *until_ms > now_ms) {
            return Standing::Broken { until_ms };
        }
        match self.cools_until_ms(now_ms) {
            Some(until_ms) => Standing::Cooling { until_ms },
            None if self.learned.is_low(tokens, LOW_PERCENT, now_ms) => Standing::Low,
            None => Standing::Good,
        }
    }

    fn cools_until_ms(&self, now_ms: u64) -> Option<u64> {
        let asked_for = Some(self.cool_until_ms).filter(|until_ms| *until_ms > now_ms);
        asked_for.or_else(|| self.learned.exhausted_until_ms(now_ms))
    }

    fn is_window_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.window_since_ms) >= WINDOW_MS
    }

    fn count(&mut self, fault: bool, now_ms: u64) {
        if self.is_window_over(now_ms) {
            (self.window_since_ms, self.asked, self.faults) = (now_ms, 0, 0);
        }
        self.asked = self.asked.saturating_add(1);
        self.faults = self.faults.saturating_add(u32::from(fault));
    }

    fn succeeded(&mut self, now_ms: u64) {
        self.count(false, now_ms);
        self.faults_in_a_row = 0;
        self.cool_ms = 0;
        self.good_in_a_row = self.good_in_a_row.saturating_add(1);
        if self.open_until_ms.is_some() && self.good_in_a_row >= CLOSE_AFTER {
            (self.open_until_ms, self.open_ms) = (None, 0);
            (self.asked, self.faults) = (0, 0);
        }
    }

    fn fault(&mut self, began_ms: u64, now_ms: u64) {
        self.count(true, now_ms);
        self.good_in_a_row = 0;
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        // What was under way when it opened, or asked it all the same, says nothing new.
        if self.open_until_ms.is_some_and(|until_ms| began_ms < until_ms) {
            return;
        }
        let many = self.asked >= TRIP_SAMPLE && self.faults.saturating_mul(2) >= self.asked;
        let still_broken = self.open_until_ms.is_some();
        if still_broken || many || self.faults_in_a_row >= TRIP_IN_A_ROW {
            self.open_ms = self.open_ms.saturating_mul(2).clamp(OPEN_MS, LONGEST_OPEN_MS);
            self.open_until_ms = Some(now_ms.saturating_add(self.open_ms));
            self.opened = self.opened.saturating_add(u64::from(!still_broken));
        }
    }

    fn cool(&mut self, asked_ms: Option<u64>, otherwise_ms: u64, began_ms: u64, now_ms: u64) {
        // Of many that were refused together, one counts.
        let doubles = if began_ms < self.cool_until_ms { 1 } else { 2 };
        self.cool_ms = self.cool_ms.saturating_mul(doubles).clamp(COOL_MS, LONGEST_COOL_MS).max(otherwise_ms);
        let for_ms = asked_ms.map_or(self.cool_ms, |asked_ms| asked_ms.min(LONGEST_ASKED_MS));
        self.cool_until_ms = self.cool_until_ms.max(now_ms.saturating_add(for_ms));
    }
}

/// One request on its way; gone, it no longer counts.
#[derive(Debug)]
pub struct Run {
    vital: Arc<Vital>,
    began_ms: u64,
    /// Until its answer is there.
    probes: AtomicBool,
}

impl Run {
    pub fn vital(&self) -> &Arc<Vital> {
        &self.vital
    }

    pub fn began_ms(&self) -> u64 {
        self.began_ms
    }

    /// What the head of an answer says of the quota.
    pub fn learned(&self, learned: Learned) {
        if learned != Learned::default() {
            self.vital.state().learned = learned;
        }
    }

    /// It takes the gateway's own credential.
    pub fn credential_taken(&self) {
        self.vital.endpoint.unlock();
    }

    /// It answers: the first of it came after `first_token_ms`.
    pub fn succeeded(&self, first_token_ms: u64, now_ms: u64) {
        let mut state = self.vital.state();
        state.first_token.add(first_token_ms, now_ms);
        state.succeeded(now_ms);
        // A stream may go on for minutes, and has proved already what there is to prove.
        if self.probes.swap(false, Ordering::Relaxed) {
            state.probing = false;
        }
    }

    /// It did not, and what that says of it.
    pub fn failed(&self, failure: &Failure, now_ms: u64) {
        let (began_ms, mut state) = (self.began_ms, self.vital.state());
        match failure.cause {
            Cause::Timeout | Cause::Broken | Cause::Failed => state.fault(began_ms, now_ms),
            Cause::Overloaded => {
                state.fault(began_ms, now_ms);
                if let Some(asked_ms) = failure.retry_after_ms {
                    state.cool(Some(asked_ms.min(LONGEST_COOL_MS)), 0, began_ms, now_ms);
                }
            }
            Cause::RateLimited => state.cool(failure.retry_after_ms, 0, began_ms, now_ms),
            Cause::Quota => state.cool(failure.retry_after_ms, QUOTA_MS, began_ms, now_ms),
            Cause::Auth => {
                drop(state);
                self.vital.endpoint.lock_out(began_ms, now_ms);
            }
            // What it said is about the request, not about itself: it is well enough to say so.
            Cause::Rejected | Cause::ContextTooLong | Cause::ContentRefused | Cause::NotFound => {
                state.succeeded(now_ms);
            }
            Cause::ClientGone | Cause::Cancelled | Cause::NoPlace | Cause::Internal => {}
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.vital.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.vital.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.probes.swap(false, Ordering::Relaxed) {
            self.vital.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests;
