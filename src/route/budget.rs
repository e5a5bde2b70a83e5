//! The retry budget: when everything fails, second attempts must not double the load.
//!
//! *In no ten seconds are there more second attempts (retries, fallbacks, hedges) than a percentage
//! of the first attempts in the same time, or a floor if that is more.* The floor lets a quiet process
//! retry at all.
//!
//! Counts are kept by the second. To hold for any ten seconds and not only for whole ones, second
//! attempts are remembered for a second longer than the first attempts that pay for them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The length of the window.
const WINDOW_SECONDS: u64 = 10;

/// The whole seconds of a window, and the one it begins or ends in.
const BUCKETS: usize = 11;

/// One for the process. No locks: a first attempt costs one atomic update.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    floor: u64,
    first: Ring,
    second: Ring,
}

impl RetryBudget {
    /// At most `percent` second attempts for a hundred first ones, and `floor` in any case.
    pub fn new(percent: u32, floor: u32) -> Self {
        Self { percent: percent.into(), floor: floor.into(), first: Ring::default(), second: Ring::default() }
    }

    /// A first attempt is made.
    pub fn asked(&self, now_ms: u64) {
        self.first.add(second_of(now_ms));
    }

    /// Whether a second attempt may be made now. If so, it is counted.
    ///
    /// Takes first and looks afterwards, so that threads see each other and never exceed the budget
    /// together; of two that want the last place at the same moment, both may be refused.
    pub fn may_retry(&self, now_ms: u64) -> bool {
        let second = second_of(now_ms);
        let paid = self.first.sum(second.saturating_sub(WINDOW_SECONDS - 1));
        let most = self.floor.max(paid.saturating_mul(self.percent) / 100);
        self.second.add(second);
        let fits = self.second.sum(second.saturating_sub(WINDOW_SECONDS)) <= most;
        if !fits {
            self.second.take_back(second);
        }
        fits
    }
}

fn second_of(now_ms: u64) -> u64 {
    (now_ms / 1_000) & COUNT
}

/// Counts of the latest seconds. Each bucket is its second (upper half) and its count (lower half).
#[derive(Debug, Default)]
struct Ring([AtomicU64; BUCKETS]);

const COUNT: u64 = 0xffff_ffff;

impl Ring {
    fn bucket(&self, second: u64) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(second).ok()? % BUCKETS)
    }

    fn add(&self, second: u64) {
        let Some(bucket) = self.bucket(second) else { return };
        // A thread that comes late finds a newer second here, and is counted there.
        let add = |held: u64| match held >> 32 {
            at if at < second => Some((second << 32) | 1),
            _ if held & COUNT == COUNT => None,
            _ => Some(held + 1),
        };
        // An error is a full bucket.
        let _ = bucket.fetch_update(SeqCst, Relaxed, add);
    }

    fn take_back(&self, second: u64) {
        let Some(bucket) = self.bucket(second) else { return };
        // An error is a bucket that is used again for a later second: nothing is left to take back.
        let is_ours = |held: u64| held >> 32 == second && held & COUNT > 0;
        let _ = bucket.fetch_update(SeqCst, Relaxed, |held| is_ours(held).then(|| held - 1));
    }

    /// All counted in `oldest` and later.
    fn sum(&self, oldest: u64) -> u64 {
        let counts = self.0.iter().map(|bucket| bucket.load(SeqCst));
        counts.filter(|held| held >> 32 >= oldest).map(|held| held & COUNT).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_there_without_any_traffic_and_comes_back() {
        let budget = RetryBudget::new(10, 3);
        let taken = |now_ms: u64| (0..10).filter(|_| budget.may_retry(now_ms)).count();
        assert_eq!(taken(500), 3);
        assert_eq!(taken(10_400), 0, "within ten seconds");
        assert_eq!(taken(11_000), 3);
        assert_eq!(taken(1_000_000), 3);
    }

    #[test]
    fn a_percentage_of_what_was_asked_is_there() {
        let budget = RetryBudget::new(20, 0);
        assert!(!budget.may_retry(0));
        (0..100).for_each(|n| budget.asked(n * 10));
        assert_eq!((0..100).filter(|_| budget.may_retry(1_000)).count(), 20);
        assert!(!RetryBudget::new(0, 0).may_retry(0));
        let double = RetryBudget::new(200, 0);
        double.asked(0);
        assert_eq!((0..9).filter(|_| double.may_retry(0)).count(), 2);
    }

    /// Everything fails and every request wants three more attempts.
    fn storm(requests_per_second: u64, percent: u32, floor: u32) -> (Vec<u64>, Vec<u64>) {
        let budget = RetryBudget::new(percent, floor);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for n in 0..60 * requests_per_second {
            let now_ms = 7_000_123 + n * 1_000 / requests_per_second;
            budget.asked(now_ms);
            first.push(now_ms);
            second.extend((0..3).filter(|_| budget.may_retry(now_ms)).map(|_| now_ms));
        }
        (first, second)
    }

    #[test]
    fn a_storm_is_amplified_by_the_percentage_and_no_more() {
        let (first, second) = storm(1_000, 10, 100);
        let amplification = (first.len() + second.len()) as f64 / first.len() as f64;
        assert!(amplification <= 1.1, "{amplification}");
        assert!(amplification >= 1.08, "nor is it stingy: {amplification}");
    }

    #[test]
    fn it_holds_in_every_ten_seconds_wherever_they_begin() {
        for (rate, percent, floor) in [(1_000, 10, 100), (37, 25, 5), (3, 10, 100), (200, 0, 7)] {
            let (first, second) = storm(rate, percent, floor);
            let inside = |list: &[u64], to: u64| {
                let count = |before: u64| list.partition_point(|at| *at <= before) as u64;
                count(to) - count(to.saturating_sub(WINDOW_SECONDS * 1_000))
            };
            for end in &second {
                let most = u64::from(floor).max(inside(&first, *end) * u64::from(percent) / 100);
                assert!(inside(&second, *end) <= most, "at {end}: {} of {most}", inside(&second, *end));
            }
        }
    }

    #[test]
    fn little_traffic_is_not_starved() {
        let (first, second) = storm(1, 10, 100);
        assert_eq!(second.len(), first.len() * 3, "three retries for each, below the floor");
    }

    #[test]
    fn threads_never_exceed_it_together() {
        for round in 0..20 {
            let budget = RetryBudget::new(10, 50);
            let taken = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    let (budget, taken) = (&budget, &taken);
                    scope.spawn(move || {
                        for n in 0..500 {
                            // Clocks that are read in another order than they are used.
                            let now_ms = 50_990 + (n * 7 + thread * 3 + round) % 20;
                            budget.asked(now_ms);
                            taken.fetch_add(budget.may_retry(now_ms).into(), SeqCst);
                        }
                    });
                }
            });
            let taken = taken.into_inner();
            assert!((300..=400).contains(&taken), "{taken} of 4,000");
        }
    }
}
