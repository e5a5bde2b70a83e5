//! What to do after an attempt: the rules of all retries and fallbacks, in one place.
//!
//! The end is certain: each attempt takes one from a number that begins at `1 + retries` and nothing
//! adds to, and each wait is bounded by `max_wait` and by the request's deadline.

use crate::config::attempts::AttemptRules;
use crate::error::Retry;

use super::cause::{Cause, Failure};
use super::vital::Standing;

/// Doubled that many times, a pause grows no further.
const MOST_DOUBLINGS: u32 = 6;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask this one.
    Ask(usize),
    /// The same, after a while.
    Wait { index: usize, for_ms: u64 },
    /// Nobody is left. With when to come back, where nobody was asked.
    Stop { after_ms: Option<u64> },
}

/// What the rules look at.
pub trait View {
    fn standing(&self, index: usize) -> Standing;
    /// Whether the target's window is longer than that of the one that found the context too long.
    fn is_longer(&self, index: usize, than: usize) -> bool;
    /// Takes one attempt from the retry budget.
    fn may_retry(&self) -> bool;
    /// A number by chance, to spread waits.
    fn chance(&self) -> u64;
}

/// The attempts of one request.
#[derive(Debug)]
pub struct Attempts {
    rules: AttemptRules,
    left: u32,
    pauses: u32,
    /// By target: how it stands with this request.
    targets: Vec<Tried>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Not,
    /// It may be asked again, not before then.
    Again {
        from_ms: u64,
    },
    /// It has had its chance.
    Done,
}

impl Attempts {
    pub fn new(rules: &AttemptRules, targets: usize) -> Self {
        Self { rules: *rules, left: rules.retries.saturating_add(1), pauses: 0, targets: vec![Tried::Not; targets] }
    }

    /// Whom to ask first: the first that is well. Where all are out, the one that is back soonest; or
    /// one of them anyway, one request at a time, to find out.
    pub fn first(&mut self, view: &impl View, now_ms: u64, until_ms: u64) -> Next {
        self.left = self.left.saturating_sub(1);
        if let Some(index) = self.first_well(view) {
            return Next::Ask(index);
        }
        let out = |index: usize| view.standing(index);
        let cooling = self.indices().filter(|index| matches!(out(*index), Standing::Cooling { .. }));
        let soonest = cooling.filter_map(|index| Some((out(index).until_ms()?, index))).min();
        if let Some((at_ms, index)) = soonest.filter(|(at_ms, _)| self.fits(*at_ms, now_ms, until_ms)) {
            return Next::Wait { index, for_ms: at_ms.saturating_sub(now_ms) };
        }
        let free = self.indices().find(|index| !matches!(out(*index), Standing::Probing | Standing::Drained));
        match free {
            Some(index) => Next::Ask(index),
            None => Next::Stop { after_ms: self.soonest_ms(view, now_ms) },
        }
    }

    /// Whom to ask after a failure, if anybody.
    pub fn after(&mut self, index: usize, failure: &Failure, view: &impl View, now_ms: u64, until_ms: u64) -> Next {
        const STOP: Next = Next::Stop { after_ms: None };
        let pause_ms = self.pause_ms(view.chance());
        if let Some(tried) = self.targets.get_mut(index).filter(|tried| **tried != Tried::Done) {
            *tried = match again(failure, &self.rules) {
                true => {
                    Tried::Again { from_ms: now_ms.saturating_add(failure.retry_after_ms.unwrap_or(0).max(pause_ms)) }
                }
                false => Tried::Done,
            };
        }
        if self.left == 0 || now_ms >= until_ms {
            return STOP;
        }
        let next = match failure.retry {
            Retry::No if failure.cause == Cause::ContextTooLong && self.rules.longer_context => {
                let fresh = self.indices().filter(|next| self.targets.get(*next) == Some(&Tried::Not));
                fresh
                    .filter(|next| view.is_longer(*next, index))
                    .find(|next| !view.standing(*next).is_out())
                    .map(Next::Ask)
            }
            Retry::No => None,
            Retry::SameTarget | Retry::NextTarget => self
                .first_well(view)
                .map(Next::Ask)
                .or_else(|| self.again_soonest(view, now_ms, until_ms))
                .or_else(|| self.last_resort(view).map(Next::Ask)),
        };
        match next {
            Some(next) if view.may_retry() => {
                self.left -= 1;
                if matches!(next, Next::Wait { .. }) {
                    self.pauses += 1;
                }
                next
            }
            _ => STOP,
        }
    }

    /// Whom to ask instead of one that could not even be asked: its kind of request is not for it.
    pub fn instead(&mut self, index: usize, view: &impl View) -> Next {
        self.done(index);
        self.first_well(view).map_or(Next::Stop { after_ms: None }, Next::Ask)
    }

    /// Whom a second attempt may go to that runs beside the first: another one if there is any. It counts
    /// once it is made ([`Self::take_beside`]).
    pub fn beside(&self, index: usize, view: &impl View) -> Option<usize> {
        let fresh = self.indices().filter(|other| *other != index && self.targets.get(*other) == Some(&Tried::Not));
        let well = fresh.filter(|other| !view.standing(*other).is_out());
        let other = well.min_by_key(|other| view.standing(*other).rank()).unwrap_or(index);
        (self.left > 0 && view.may_retry()).then_some(other)
    }

    /// The second attempt begins. With that both have had their chance, for either may bill, whichever is
    /// told to have failed.
    pub fn take_beside(&mut self, index: usize, other: usize) {
        self.left = self.left.saturating_sub(1);
        self.done(index);
        self.done(other);
    }

    fn done(&mut self, index: usize) {
        if let Some(tried) = self.targets.get_mut(index) {
            *tried = Tried::Done;
        }
    }

    fn indices(&self) -> std::ops::Range<usize> {
        0..self.targets.len()
    }

    /// The first target in order that this request has not asked and that is well.
    fn first_well(&self, view: &impl View) -> Option<usize> {
        let mut second_best = None;
        for index in self.indices().filter(|index| self.targets.get(*index) == Some(&Tried::Not)) {
            // They come in order of rank, but time has passed since then.
            match view.standing(index).rank() {
                0 => return Some(index),
                1 => second_best = second_best.or(Some(index)),
                _ => {}
            }
        }
        second_best
    }

    /// The soonest of those that may be asked again, or that nobody asked because they cool down.
    fn again_soonest(&self, view: &impl View, now_ms: u64, until_ms: u64) -> Option<Next> {
        let soonest = self.indices().filter_map(|index| {
            let standing = view.standing(index);
            let cool_ms = match standing {
                Standing::Cooling { until_ms } => until_ms,
                Standing::Good | Standing::Low | Standing::Full => now_ms,
                _ => return None,
            };
            match self.targets.get(index)? {
                Tried::Not => Some((cool_ms, index)),
                Tried::Again { from_ms } => Some((cool_ms.max(*from_ms), index)),
                Tried::Done => None,
            }
        });
        let (at_ms, index) = soonest.min()?;
        self.fits(at_ms, now_ms, until_ms).then(|| Next::Wait { index, for_ms: at_ms.saturating_sub(now_ms) })
    }

    /// One that is taken for broken and that this request has not asked: it may be back, and one request
    /// at a time may find out.
    fn last_resort(&self, view: &impl View) -> Option<usize> {
        let is_broken = |index: &usize| matches!(view.standing(*index), Standing::Broken { .. } | Standing::Unwell);
        let fresh = self.indices().filter(|index| self.targets.get(*index) == Some(&Tried::Not));
        fresh.filter(is_broken).min()
    }

    fn fits(&self, at_ms: u64, now_ms: u64, until_ms: u64) -> bool {
        let longest_ms = u64::try_from(self.rules.max_wait.as_millis()).unwrap_or(u64::MAX);
        at_ms.saturating_sub(now_ms) <= longest_ms && at_ms < until_ms
    }

    /// Half of the pause is certain, half is chance: those that failed together do not come together.
    fn pause_ms(&self, chance: u64) -> u64 {
        let base_ms = u64::try_from(self.rules.backoff.as_millis()).unwrap_or(u64::MAX);
        let pause_ms = base_ms.saturating_mul(1 << self.pauses.min(MOST_DOUBLINGS));
        pause_ms / 2 + chance.checked_rem(pause_ms / 2 + 1).unwrap_or(0)
    }

    /// When the first of them may be back.
    fn soonest_ms(&self, view: &impl View, now_ms: u64) -> Option<u64> {
        let back = self.indices().filter_map(|index| view.standing(index).until_ms()).min();
        Some(back.map_or(1_000, |at_ms| at_ms.saturating_sub(now_ms).max(1)))
    }
}

/// Whether the same target may be asked again: never where it may have worked on the request and will
/// bill it, unless that was asked for.
fn again(failure: &Failure, rules: &AttemptRules) -> bool {
    match failure.cause {
        Cause::RateLimited | Cause::Overloaded | Cause::Broken | Cause::Failed | Cause::Timeout => {
            failure.unbilled || rules.resend
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
