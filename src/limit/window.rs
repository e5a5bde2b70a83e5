//! One limit: a sliding window, exact where it is small, never over.

use std::collections::VecDeque;

/// Above this limit, charges of the same slot share one entry.
const EXACT_UP_TO: u64 = 64;

/// A window owes at most as many windows' worth as fit into this, and one in any case: one absurd
/// request cannot shut a key for days.
const LONGEST_DEBT_MS: u64 = 600_000;

/// What is left of a limit, for headers and `GET /v1/limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub limit: u64,
    pub remaining: u64,
    /// Until nothing of the window is used any more.
    pub reset_ms: u64,
}

/// So much in any stretch of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) limit: u64,
    pub(super) length_ms: u64,
}

/// Charges of the last stretch, oldest first. Every method takes the current limit, because a
/// reload may change it while the charges stay. The length of one window is always the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    charges: VecDeque<Charge>,
    used: u64,
    /// Charged beyond the limit: takes the place of charges as they leave the window.
    debt: u64,
    latest_ms: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Charge {
    /// When the last unit of it was charged: the whole leaves a window later.
    pub(super) at_ms: u64,
    pub(super) amount: u64,
}

/// As so many windows of that length.
fn most_owed(length_ms: u64) -> u64 {
    LONGEST_DEBT_MS.checked_div(length_ms).unwrap_or(1).max(1)
}

impl Measure {
    /// A sixtieth of the length, or a fiftieth where that is no whole number: slots have to divide the
    /// length, or what is repaid would slip from one into another.
    const fn slot_ms(self) -> u64 {
        match self.length_ms {
            _ if self.limit <= EXACT_UP_TO => 1,
            length_ms if length_ms.is_multiple_of(60) => length_ms / 60,
            length_ms => length_ms / 50,
        }
    }

    fn most_debt(self) -> u64 {
        self.limit.saturating_mul(most_owed(self.length_ms))
    }

    /// What a single charge of a window that was unused can be: no more of it may be given back.
    pub(super) fn most_charged(self) -> u64 {
        self.limit.saturating_add(self.most_debt())
    }
}

impl Window {
    /// One with these charges, whatever their order.
    pub(super) fn of(charges: impl Iterator<Item = Charge>, debt: u64) -> Self {
        let mut charges: Vec<Charge> = charges.collect();
        charges.sort_by_key(|charge| charge.at_ms);
        let used = charges.iter().fold(0_u64, |sum, charge| sum.saturating_add(charge.amount));
        let latest_ms = charges.last().map_or(0, |last| last.at_ms);
        Self { charges: charges.into(), used, debt, latest_ms }
    }

    pub(super) fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.charges.iter()
    }

    pub(super) const fn debt(&self) -> u64 {
        self.debt
    }

    /// Whether anything of it may still be used. What is owed takes the place of what leaves, for a while.
    pub(super) fn counts(&self, length_ms: u64, now_ms: u64) -> bool {
        let owes_ms = if self.debt > 0 { most_owed(length_ms).saturating_mul(length_ms) } else { 0 };
        let lasts_ms = length_ms.saturating_add(owes_ms);
        self.charges.back().is_some_and(|last| last.at_ms.saturating_add(lasts_ms) > now_ms)
    }

    /// Lets go of what is older than a window. Returns the moment that counts: threads may come
    /// with clocks read in another order than they got the lock.
    pub(super) fn advance(&mut self, now_ms: u64, of: Measure) -> u64 {
        let now_ms = now_ms.max(self.latest_ms);
        while let Some(oldest) = self.charges.front().copied() {
            let leaves_ms = oldest.at_ms.saturating_add(of.length_ms);
            if leaves_ms > now_ms {
                break;
            }
            self.charges.pop_front();
            self.used = self.used.saturating_sub(oldest.amount);
            self.pay(leaves_ms, of);
        }
        self.pay(now_ms, of);
        self.latest_ms = now_ms;
        now_ms
    }

    /// How long until `amount` fits; 0 is now. What exceeds the whole limit waits for an empty
    /// window and then goes into debt. Call after [`Self::advance`].
    pub(super) fn wait_ms(&self, amount: u64, of: Measure) -> u64 {
        if of.limit == 0 {
            return of.length_ms;
        }
        let needed = amount.clamp(1, of.limit);
        let over = self.used.saturating_add(needed).saturating_sub(of.limit);
        match (over, self.debt) {
            (0, _) => 0,
            (over, 0) => self.leaves_in_ms(over, of),
            _ => self.wait_with_debt_ms(needed, of),
        }
    }

    /// Charges `amount` now, into debt if it has to. Returns the moment it is booked under.
    pub(super) fn charge(&mut self, now_ms: u64, amount: u64, of: Measure) -> u64 {
        let now_ms = self.advance(now_ms, of);
        let fits = amount.min(of.limit.saturating_sub(self.used));
        self.place(now_ms, fits, of);
        self.debt = self.debt.saturating_add(amount - fits).min(of.most_debt());
        self.pay(now_ms, of);
        now_ms
    }

    /// Gives back part of what was booked under `booked_ms`, unless it has left the window.
    pub(super) fn give_back(&mut self, booked_ms: u64, amount: u64, of: Measure) {
        let forgiven = amount.min(self.debt);
        self.debt -= forgiven;
        let at = self.charges.partition_point(|charge| charge.at_ms < booked_ms);
        let Some(charge) = self.charges.get_mut(at) else { return };
        if charge.at_ms >= booked_ms.saturating_add(of.slot_ms()) {
            return;
        }
        let returned = charge.amount.min(amount - forgiven);
        charge.amount -= returned;
        self.used = self.used.saturating_sub(returned);
        if charge.amount == 0 {
            self.charges.remove(at);
        }
    }

    /// All that is charged, owed included. Call after [`Self::advance`].
    pub(super) fn used(&self) -> u64 {
        self.used.saturating_add(self.debt)
    }

    /// Call after [`Self::advance`].
    pub(super) fn level(&self, of: Measure) -> Level {
        let last_ms = self.charges.back().map_or(0, |last| last.at_ms.saturating_add(of.length_ms));
        let debt_windows = if of.limit == 0 { 0 } else { self.debt.div_ceil(of.limit) };
        let debt_ms = debt_windows.saturating_mul(of.length_ms);
        Level {
            limit: of.limit,
            remaining: of.limit.saturating_sub(self.used),
            reset_ms: last_ms.saturating_sub(self.latest_ms).saturating_add(debt_ms),
        }
    }

    fn place(&mut self, at_ms: u64, amount: u64, of: Measure) {
        if amount == 0 {
            return;
        }
        self.used = self.used.saturating_add(amount);
        let slot = of.slot_ms();
        match self.charges.back_mut() {
            Some(last) if last.at_ms / slot == at_ms / slot => {
                last.at_ms = at_ms;
                last.amount = last.amount.saturating_add(amount);
            }
            _ => self.charges.push_back(Charge { at_ms, amount }),
        }
    }

    /// Moves debt into room that came free at `at_ms`.
    fn pay(&mut self, at_ms: u64, of: Measure) {
        let paid = self.debt.min(of.limit.saturating_sub(self.used));
        self.debt -= paid;
        self.place(at_ms, paid, of);
    }

    /// When `amount` units have left.
    fn leaves_in_ms(&self, amount: u64, of: Measure) -> u64 {
        let mut left = 0_u64;
        for charge in &self.charges {
            left = left.saturating_add(charge.amount);
            if left >= amount {
                return charge.at_ms.saturating_add(of.length_ms).saturating_sub(self.latest_ms);
            }
        }
        of.length_ms
    }

    /// With debt, plays the window forward: rare, and as long as two windows at most. In the first,
    /// what is repaid may still fall into one slot with what was there; from then on every window that
    /// is spent on nothing but debt is like the one before, and those are skipped.
    fn wait_with_debt_ms(&self, needed: u64, of: Measure) -> u64 {
        let mut future = self.clone();
        let mut skipped_ms = 0;
        let mut may_skip = true;
        while future.used.saturating_add(needed) > of.limit {
            let Some(next) = future.charges.front() else { break };
            let leaves_ms = next.at_ms.saturating_add(of.length_ms);
            future.advance(leaves_ms, of);
            if may_skip && leaves_ms >= self.latest_ms.saturating_add(of.length_ms) {
                may_skip = false;
                let whole = future.debt.saturating_sub(1).checked_div(of.limit).unwrap_or(0);
                future.debt -= whole * of.limit;
                skipped_ms = whole.saturating_mul(of.length_ms);
            }
        }
        future.latest_ms.saturating_sub(self.latest_ms).saturating_add(skipped_ms)
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.charges.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW_MS: u64 = 60_000;

    const fn minute(limit: u64) -> Measure {
        Measure { limit, length_ms: WINDOW_MS }
    }

    /// Takes `amount` if it fits, as a gate does.
    fn take_of(window: &mut Window, now_ms: u64, amount: u64, of: Measure) -> Result<u64, u64> {
        window.advance(now_ms, of);
        match window.wait_ms(amount, of) {
            0 => Ok(window.charge(now_ms, amount, of)),
            wait_ms => Err(wait_ms),
        }
    }

    /// The same of so much in a minute.
    fn take(window: &mut Window, now_ms: u64, amount: u64, limit: u64) -> Result<u64, u64> {
        take_of(window, now_ms, amount, minute(limit))
    }

    #[test]
    fn exactly_the_limit_passes_and_the_wait_is_honest() {
        let mut w = Window::default();
        for n in 0..5 {
            assert!(take(&mut w, 1_000 + n * 100, 1, 5).is_ok());
        }
        let wait_ms = take(&mut w, 2_000, 1, 5).unwrap_err();
        assert_eq!(wait_ms, 59_000);
        assert!(take(&mut w, 2_000 + wait_ms - 1, 1, 5).is_err());
        assert!(take(&mut w, 2_000 + wait_ms, 1, 5).is_ok());
        assert_eq!(take(&mut w, 2_000 + wait_ms, 1, 5), Err(100));
    }

    #[test]
    fn no_window_of_a_minute_holds_more_than_the_limit() {
        for limit in [7, 64, 65, 600] {
            let mut w = Window::default();
            let mut taken: Vec<u64> = Vec::new();
            // Three times the limit, in an irregular rhythm, for five minutes.
            let mut now_ms = 17;
            while now_ms < 300_000 {
                if take(&mut w, now_ms, 1, limit).is_ok() {
                    taken.push(now_ms);
                }
                now_ms += 1 + (now_ms * 7 + 3) % (2 * WINDOW_MS / (3 * limit));
            }
            for (i, start) in taken.iter().enumerate() {
                let inside = taken[i..].iter().take_while(|at| **at < start + WINDOW_MS).count();
                assert!(inside as u64 <= limit, "{inside} within a minute, limit {limit}");
            }
            // And it is not stingy: nearly all of the limit is there in each of the minutes.
            assert!(taken.len() as u64 >= limit * 5 * 97 / 100, "{} of {}", taken.len(), limit * 5);
        }
    }

    #[test]
    fn the_wait_is_honest_with_large_limits_and_uneven_amounts() {
        let mut w = Window::default();
        let mut now_ms = 0;
        for n in 1..400_u64 {
            let amount = 1 + n * 37 % 900;
            if let Err(wait_ms) = take(&mut w, now_ms, amount, 5_000) {
                assert!(take(&mut w, now_ms + wait_ms - 1, amount, 5_000).is_err());
                now_ms += wait_ms;
                assert!(take(&mut w, now_ms, amount, 5_000).is_ok());
            }
            now_ms += n % 700;
        }
    }

    #[test]
    fn what_exceeds_the_limit_is_admitted_by_an_empty_window_and_paid_back() {
        let mut w = Window::default();
        assert!(take(&mut w, 0, 2_500, 1_000).is_ok());
        let wait_ms = take(&mut w, 0, 1, 1_000).unwrap_err();
        assert_eq!(wait_ms, 120_000, "two full minutes; 500 are paid in the third");
        assert!(take(&mut w, wait_ms - 1, 1, 1_000).is_err());
        assert!(take(&mut w, wait_ms, 500, 1_000).is_ok());
        assert_eq!(take(&mut w, wait_ms, 1, 1_000), Err(60_000));
        assert!(take(&mut Window::default(), 0, 1, 0).is_err(), "a limit of nothing admits nothing");
    }

    #[test]
    fn debt_is_bounded() {
        let mut w = Window::default();
        assert!(take(&mut w, 0, u64::MAX, 1_000).is_ok());
        let longest_ms = LONGEST_DEBT_MS + WINDOW_MS;
        assert!(take(&mut w, 0, 1, 1_000).unwrap_err() <= longest_ms);
        assert!(take(&mut w, longest_ms, 1_000, 1_000).is_ok());
        // Of a day it is one more day, of a second ten minutes' worth.
        for (length_ms, most_ms) in [(86_400_000, 2 * 86_400_000), (1_000, LONGEST_DEBT_MS + 1_000)] {
            let (mut w, of) = (Window::default(), Measure { limit: 1_000, length_ms });
            assert!(take_of(&mut w, 0, u64::MAX, of).is_ok());
            assert_eq!(take_of(&mut w, 0, 1_000, of), Err(most_ms));
        }
    }

    #[test]
    fn what_is_owed_counts_for_as_long_as_it_may_last() {
        let mut w = Window::default();
        assert!(take(&mut w, 7, u64::MAX, 1_000).is_ok());
        let ends_ms = 7 + LONGEST_DEBT_MS + WINDOW_MS;
        assert!(w.counts(WINDOW_MS, ends_ms - 1) && !w.counts(WINDOW_MS, ends_ms));
        w.advance(ends_ms - 1, minute(1_000));
        assert!(w.counts(WINDOW_MS, ends_ms - 1) && w.used() > 0, "it lasts that long");
    }

    #[test]
    fn windows_of_any_length_hold_their_limit_and_stay_small() {
        for (length_ms, step_ms) in [(1_000, 1), (3_600_000, 7_919), (86_400_000, 190_003)] {
            for limit in [5, 64, 1_000] {
                let (mut w, of) = (Window::default(), Measure { limit, length_ms });
                let mut taken: Vec<(u64, u64)> = Vec::new();
                for turn in 0..4 * length_ms / step_ms {
                    let (now_ms, amount) = (turn * step_ms, 1 + turn % 3);
                    if take_of(&mut w, now_ms, amount, of).is_ok() {
                        taken.push((now_ms, amount));
                    }
                    assert!(w.entries() <= 65);
                }
                for (i, (start, _)) in taken.iter().enumerate() {
                    let inside = taken[i..].iter().take_while(|(at, _)| *at < start + length_ms);
                    let sum: u64 = inside.map(|(_, amount)| amount).sum();
                    assert!(sum <= limit, "{sum} within {length_ms} ms, limit {limit}");
                }
                let all: u64 = taken.iter().map(|(_, amount)| amount).sum();
                assert!(all >= limit * 3, "{all} of {limit} in four windows of {length_ms} ms");
            }
        }
    }

    #[test]
    fn a_limit_per_second_is_free_again_a_second_later() {
        let (mut w, of) = (Window::default(), Measure { limit: 200, length_ms: 1_000 });
        for burst in 0..5 {
            let at_ms = burst * 1_020 + 7;
            assert!((0..200).all(|n| take_of(&mut w, at_ms + n / 20, 1, of).is_ok()), "burst {burst}");
            assert!(take_of(&mut w, at_ms + 980, 1, of).is_err());
        }
    }

    proptest! {
        /// Whoever waits as long as told is admitted, and not a millisecond sooner, whatever is owed.
        #[test]
        fn the_wait_is_exact_also_in_debt(
            charges in prop::collection::vec((0_u64..400, 1_u64..9_000), 1..12),
            amount in 1_u64..1_500,
            length_ms in prop::sample::select(vec![1_000_u64, 60_000, 3_600_000]),
            limit in prop::sample::select(vec![40_u64, 500, 1_000]),
        ) {
            let (mut w, of) = (Window::default(), Measure { limit, length_ms });
            let mut now_ms = 11;
            for (later_ms, charged) in charges {
                now_ms += later_ms * length_ms / 1_000;
                w.charge(now_ms, charged, of);
            }
            w.advance(now_ms, of);
            let wait_ms = w.wait_ms(amount, of);
            let mut then = w.clone();
            then.advance(now_ms + wait_ms, of);
            prop_assert_eq!(then.wait_ms(amount, of), 0);
            if wait_ms > 0 {
                w.advance(now_ms + wait_ms - 1, of);
                prop_assert!(w.wait_ms(amount, of) > 0, "could have been sooner than {} ms", wait_ms);
            }
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_never_twice() {
        let mut w = Window::default();
        let booked = take(&mut w, 10, 800, 1_000).unwrap();
        w.give_back(booked, 700, minute(1_000));
        assert_eq!(w.level(minute(1_000)).remaining, 900);
        w.give_back(booked, 700, minute(1_000));
        assert_eq!((w.level(minute(1_000)).remaining, w.entries()), (1_000, 0));
        // Too late: the charge left by itself, and another's is not touched.
        let booked = take(&mut w, 20, 800, 1_000).unwrap();
        assert!(take(&mut w, 60_020, 600, 1_000).is_ok());
        w.give_back(booked, 800, minute(1_000));
        assert_eq!(w.level(minute(1_000)).remaining, 400);
    }

    #[test]
    fn memory_is_bounded_whatever_the_rate() {
        let mut w = Window::default();
        for now_ms in 0..200_000 {
            let _ = take(&mut w, now_ms, 1, 1_000_000);
            assert!(w.entries() <= 61);
        }
        let mut w = Window::default();
        for now_ms in 0..100_000 {
            if let Ok(booked) = take(&mut w, now_ms, 1, 60) {
                w.give_back(booked, 1, minute(60));
            }
            assert!(w.entries() <= 60);
        }
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut w = Window::default();
        assert!(take(&mut w, 1_000, 1, 2).is_ok());
        assert!(take(&mut w, 900, 1, 2).is_ok());
        assert_eq!(take(&mut w, 900, 1, 2), Err(60_000));
    }
}
