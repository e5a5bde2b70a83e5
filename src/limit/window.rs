//! One limit per minute: a sliding window, exact where it is small, never over.

use std::collections::VecDeque;

/// The length of every window.
pub const WINDOW_MS: u64 = 60_000;

/// Above this limit, charges of the same second share one entry.
const EXACT_UP_TO: u64 = 64;
const SLOT_MS: u64 = 1_000;

/// A window owes at most this many windows' worth: one absurd request cannot shut a key for days.
const MOST_DEBT_WINDOWS: u64 = 10;

/// What is left of a limit, for headers and `GET /v1/limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub limit: u64,
    pub remaining: u64,
    /// Until nothing of the window is used any more.
    pub reset_ms: u64,
}

/// Charges of the last minute, oldest first. Every method takes the current limit, because a
/// reload may change it while the charges stay.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    charges: VecDeque<Charge>,
    used: u64,
    /// Charged beyond the limit: takes the place of charges as they leave the window.
    debt: u64,
    latest_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Charge {
    /// When the last unit of it was charged: the whole leaves a window later.
    at_ms: u64,
    amount: u64,
}

const fn slot_ms(limit: u64) -> u64 {
    if limit <= EXACT_UP_TO { 1 } else { SLOT_MS }
}

impl Window {
    /// Lets go of what is older than a window. Returns the moment that counts: threads may come
    /// with clocks read in another order than they got the lock.
    pub(super) fn advance(&mut self, now_ms: u64, limit: u64) -> u64 {
        let now_ms = now_ms.max(self.latest_ms);
        while let Some(oldest) = self.charges.front().copied() {
            let leaves_ms = oldest.at_ms.saturating_add(WINDOW_MS);
            if leaves_ms > now_ms {
                break;
            }
            self.charges.pop_front();
            self.used = self.used.saturating_sub(oldest.amount);
            self.pay(leaves_ms, limit);
        }
        self.pay(now_ms, limit);
        self.latest_ms = now_ms;
        now_ms
    }

    /// How long until `amount` fits; 0 is now. What exceeds the whole limit waits for an empty
    /// window and then goes into debt. Call after [`Self::advance`].
    pub(super) fn wait_ms(&self, amount: u64, limit: u64) -> u64 {
        if limit == 0 {
            return WINDOW_MS;
        }
        let needed = amount.clamp(1, limit);
        let over = self.used.saturating_add(needed).saturating_sub(limit);
        match (over, self.debt) {
            (0, _) => 0,
            (over, 0) => self.leaves_in_ms(over),
            _ => self.wait_with_debt_ms(needed, limit),
        }
    }

    /// Charges `amount` now, into debt if it has to. Returns the moment it is booked under.
    pub(super) fn charge(&mut self, now_ms: u64, amount: u64, limit: u64) -> u64 {
        let now_ms = self.advance(now_ms, limit);
        let fits = amount.min(limit.saturating_sub(self.used));
        self.place(now_ms, fits, limit);
        let most = limit.saturating_mul(MOST_DEBT_WINDOWS);
        self.debt = self.debt.saturating_add(amount - fits).min(most);
        self.pay(now_ms, limit);
        now_ms
    }

    /// Gives back part of what was booked under `booked_ms`, unless it has left the window.
    pub(super) fn give_back(&mut self, booked_ms: u64, amount: u64, limit: u64) {
        let forgiven = amount.min(self.debt);
        self.debt -= forgiven;
        let at = self.charges.partition_point(|charge| charge.at_ms < booked_ms);
        let Some(charge) = self.charges.get_mut(at) else { return };
        if charge.at_ms >= booked_ms.saturating_add(slot_ms(limit)) {
            return;
        }
        let returned = charge.amount.min(amount - forgiven);
        charge.amount -= returned;
        self.used = self.used.saturating_sub(returned);
        if charge.amount == 0 {
            self.charges.remove(at);
        }
    }

    /// Call after [`Self::advance`].
    pub(super) fn level(&self, limit: u64) -> Level {
        let last_ms = self.charges.back().map_or(0, |last| last.at_ms.saturating_add(WINDOW_MS));
        let debt_windows = if limit == 0 { 0 } else { self.debt.div_ceil(limit) };
        Level {
            limit,
            remaining: limit.saturating_sub(self.used),
            reset_ms: last_ms.saturating_sub(self.latest_ms).saturating_add(debt_windows * WINDOW_MS),
        }
    }

    fn place(&mut self, at_ms: u64, amount: u64, limit: u64) {
        if amount == 0 {
            return;
        }
        self.used = self.used.saturating_add(amount);
        let slot = slot_ms(limit);
        match self.charges.back_mut() {
            Some(last) if last.at_ms / slot == at_ms / slot => {
                last.at_ms = at_ms;
                last.amount = last.amount.saturating_add(amount);
            }
            _ => self.charges.push_back(Charge { at_ms, amount }),
        }
    }

    /// Moves debt into room that came free at `at_ms`.
    fn pay(&mut self, at_ms: u64, limit: u64) {
        let paid = self.debt.min(limit.saturating_sub(self.used));
        self.debt -= paid;
        self.place(at_ms, paid, limit);
    }

    /// When `amount` units have left.
    fn leaves_in_ms(&self, amount: u64) -> u64 {
        let mut left = 0_u64;
        for charge in &self.charges {
            left = left.saturating_add(charge.amount);
            if left >= amount {
                return charge.at_ms.saturating_add(WINDOW_MS).saturating_sub(self.latest_ms);
            }
        }
        WINDOW_MS
    }

    /// With debt, plays the window forward: rare, and bounded by [`MOST_DEBT_WINDOWS`].
    fn wait_with_debt_ms(&self, needed: u64, limit: u64) -> u64 {
        let mut future = self.clone();
        while future.used.saturating_add(needed) > limit {
            let Some(next) = future.charges.front() else { break };
            let leaves_ms = next.at_ms.saturating_add(WINDOW_MS);
            future.advance(leaves_ms, limit);
        }
        future.latest_ms.saturating_sub(self.latest_ms)
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.charges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `amount` if it fits, as a gate does.
    fn take(window: &mut Window, now_ms: u64, amount: u64, limit: u64) -> Result<u64, u64> {
        window.advance(now_ms, limit);
        match window.wait_ms(amount, limit) {
            0 => Ok(window.charge(now_ms, amount, limit)),
            wait_ms => Err(wait_ms),
        }
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
        assert!(take(&mut w, 0, 1, 1_000).unwrap_err() <= (MOST_DEBT_WINDOWS + 1) * WINDOW_MS);
        assert!(take(&mut w, (MOST_DEBT_WINDOWS + 1) * WINDOW_MS, 1_000, 1_000).is_ok());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_never_twice() {
        let mut w = Window::default();
        let booked = take(&mut w, 10, 800, 1_000).unwrap();
        w.give_back(booked, 700, 1_000);
        assert_eq!(w.level(1_000).remaining, 900);
        w.give_back(booked, 700, 1_000);
        assert_eq!((w.level(1_000).remaining, w.entries()), (1_000, 0));
        // Too late: the charge left by itself, and another's is not touched.
        let booked = take(&mut w, 20, 800, 1_000).unwrap();
        assert!(take(&mut w, 60_020, 600, 1_000).is_ok());
        w.give_back(booked, 800, 1_000);
        assert_eq!(w.level(1_000).remaining, 400);
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
                w.give_back(booked, 1, 60);
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
