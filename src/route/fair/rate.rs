//! How fast an endpoint that has all it can take finishes requests.

/// Leaves that an average is made of, at least.
const FEWEST: u64 = 16;
/// And at most: an endpoint that slows down shall be noticed.
const MOST: u64 = 256;

/// The average time between two leaves while every place is taken. When places are free, leaves say
/// nothing of what the endpoint could do.
#[derive(Debug, Default)]
pub(super) struct Rate {
    interval_us: u64,
    samples: u64,
    smoothing: u64,
    /// When the last one left, or the last place was taken; `None` while one is free.
    since_ms: Option<u64>,
}

impl Rate {
    /// The wait that is told when nothing is known.
    pub(super) const UNKNOWN_WAIT_MS: u64 = 1_000;

    /// The last free place was taken.
    pub(super) fn busy(&mut self, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
    }

    /// A place is free, and nobody waits for it.
    pub(super) fn rest(&mut self) {
        self.since_ms = None;
    }

    /// One left while all `capacity` places were taken. The more places, the more leaves come at
    /// once: the average has to span them.
    pub(super) fn left(&mut self, now_ms: u64, capacity: u32) {
        if self.since_ms.is_none() {
            return;
        }
        self.smoothing = (u64::from(capacity) * 2).clamp(FEWEST, MOST);
        self.interval_us = self.with_sample(now_ms);
        self.samples = self.samples.saturating_add(1);
        self.since_ms = Some(now_ms);
    }

    /// The time in which so many leave. One that is overdue counts as if it left now, so that an
    /// endpoint that hangs is noticed.
    pub(super) fn wait_ms(&self, leaves: u64, now_ms: u64) -> Option<u64> {
        let interval_us = match self.samples {
            0 => return None,
            _ => self.interval_us.max(self.with_sample(now_ms)),
        };
        Some(leaves.saturating_mul(interval_us) / 1_000)
    }

    /// The average, if one left now. The first samples weigh alike.
    fn with_sample(&self, now_ms: u64) -> u64 {
        let Some(since_ms) = self.since_ms else { return self.interval_us };
        let sample_us = now_ms.saturating_sub(since_ms).saturating_mul(1_000);
        let before = self.samples.min(self.smoothing.saturating_sub(1));
        self.interval_us.saturating_mul(before).saturating_add(sample_us) / (before + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_endpoint() {
        let mut rate = Rate::default();
        rate.busy(0);
        assert_eq!(rate.wait_ms(5, 50), None, "nothing has left yet");
        (1..=100).for_each(|n| rate.left(n * 10, 4));
        assert_eq!((rate.wait_ms(1, 1_005), rate.wait_ms(7, 1_000)), (Some(10), Some(70)));
        (1..=100).for_each(|n| rate.left(1_000 + n * 50, 4));
        assert!((49..=50).contains(&rate.wait_ms(1, 6_000).unwrap()));
    }

    #[test]
    fn leaves_in_bursts_are_one_rate() {
        let mut rate = Rate::default();
        rate.busy(0);
        // Fifty places, all done every five seconds.
        (0..500).for_each(|n| rate.left((n / 50 + 1) * 5_000, 50));
        assert!((60..=160).contains(&rate.wait_ms(1, 50_000).unwrap()), "{rate:?}");
    }

    #[test]
    fn an_endpoint_that_hangs_is_noticed_and_a_pause_is_not_held_against_it() {
        let mut rate = Rate::default();
        rate.busy(0);
        (1..=20).for_each(|n| rate.left(n * 10, 4));
        assert!(rate.wait_ms(1, 10_200).unwrap() >= 600);
        rate.rest();
        assert_eq!(rate.wait_ms(1, 1_000_000), Some(10));
        rate.busy(1_000_000);
        rate.left(1_000_010, 4);
        assert_eq!(rate.wait_ms(1, 1_000_010), Some(10));
    }
}
