//! What this replica itself has spent within a window: what it goes by while the store is gone.

use std::collections::VecDeque;

/// As many parts as the store has slots in a window.
const PARTS: u64 = 60;

/// Spending by part of the window; a part leaves as a whole, with its last unit.
#[derive(Debug, Default)]
pub(super) struct Spent {
    parts: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Spent {
    pub(super) fn add(&mut self, units: u64, length_ms: u64, now_ms: u64) {
        self.advance(length_ms, now_ms);
        let part = now_ms / part_ms(length_ms);
        match self.parts.back_mut() {
            // A clock that another thread read earlier is no new part.
            Some((latest, sum)) if *latest >= part => *sum = sum.saturating_add(units),
            _ => self.parts.push_back((part, units)),
        }
        self.sum = self.sum.saturating_add(units);
    }

    /// Takes it off the latest parts: what is given back was taken a moment ago, as a rule.
    pub(super) fn take_off(&mut self, mut units: u64) {
        while units > 0 {
            let Some((_, latest)) = self.parts.back_mut() else { break };
            let off = units.min(*latest);
            *latest -= off;
            units -= off;
            self.sum = self.sum.saturating_sub(off);
            if *latest == 0 {
                self.parts.pop_back();
            }
        }
    }

    pub(super) fn within(&mut self, length_ms: u64, now_ms: u64) -> u64 {
        self.advance(length_ms, now_ms);
        self.sum
    }

    /// How long until no more than `most` are left.
    pub(super) fn wait_ms(&self, most: u64, length_ms: u64, now_ms: u64) -> u64 {
        let mut left = self.sum;
        for (part, units) in &self.parts {
            if left <= most {
                break;
            }
            left = left.saturating_sub(*units);
            if left <= most {
                return leaves_ms(*part, length_ms).saturating_sub(now_ms).max(1);
            }
        }
        1
    }

    fn advance(&mut self, length_ms: u64, now_ms: u64) {
        while let Some((part, units)) = self.parts.front() {
            if leaves_ms(*part, length_ms) > now_ms {
                break;
            }
            self.sum = self.sum.saturating_sub(*units);
            self.parts.pop_front();
        }
    }
}

fn part_ms(length_ms: u64) -> u64 {
    (length_ms / PARTS).max(1)
}

fn leaves_ms(part: u64, length_ms: u64) -> u64 {
    part.saturating_add(1).saturating_mul(part_ms(length_ms)).saturating_add(length_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    #[test]
    fn what_was_spent_leaves_with_its_window_and_the_wait_is_honest() {
        let mut spent = Spent::default();
        spent.add(3, MINUTE_MS, 10);
        spent.add(4, MINUTE_MS, 5_000);
        assert_eq!(spent.within(MINUTE_MS, 60_999), 7);
        let wait_ms = spent.wait_ms(4, MINUTE_MS, 5_000);
        assert_eq!(spent.within(MINUTE_MS, 5_000 + wait_ms - 1), 7);
        assert_eq!(spent.within(MINUTE_MS, 5_000 + wait_ms), 4);
        assert_eq!(spent.within(MINUTE_MS, 66_000), 0);
    }

    #[test]
    fn what_is_given_back_was_never_spent() {
        let mut spent = Spent::default();
        spent.add(3, MINUTE_MS, 0);
        spent.add(4, MINUTE_MS, 9_000);
        spent.take_off(5);
        assert_eq!(spent.within(MINUTE_MS, 9_000), 2);
        spent.take_off(9);
        assert_eq!(spent.within(MINUTE_MS, 9_000), 0);
    }

    #[test]
    fn memory_is_bounded_whatever_the_rate() {
        let mut spent = Spent::default();
        for now_ms in 0..200_000 {
            spent.add(1, MINUTE_MS, now_ms);
            assert!(spent.parts.len() <= 62, "{}", spent.parts.len());
        }
    }
}
