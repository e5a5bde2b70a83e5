//! How long first tokens take: a peak-sensitive moving average for choosing, quantiles for hedging.

/// The average forgets what is older than a few of these.
const MEMORY_MS: f64 = 10_000.0;

/// An average that believes bad news at once and good news slowly (after Finagle's "peak EWMA").
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PeakEwma {
    ms: f64,
    at_ms: u64,
    seen: bool,
}

impl PeakEwma {
    pub(super) fn add(&mut self, sample_ms: u64, now_ms: u64) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of requests are far below 2^52")]
        let sample = sample_ms as f64;
        let keep = self.keep(now_ms);
        self.ms = if !self.seen || sample > self.ms { sample } else { self.ms * keep + sample * (1.0 - keep) };
        (self.at_ms, self.seen) = (now_ms, true);
    }

    /// Milliseconds, decaying while nothing is heard, so that a slow one is tried again some day.
    pub(super) fn at(&self, now_ms: u64) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float to an integer saturates")]
        self.seen.then(|| (self.ms * self.keep(now_ms).max(0.05)).round() as u64)
    }

    fn keep(&self, now_ms: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let passed = now_ms.saturating_sub(self.at_ms) as f64;
        (-passed / MEMORY_MS).exp()
    }
}

/// Buckets, each a quarter wider than the one before, from a millisecond to some ten minutes.
const BUCKETS: usize = 64;
/// Before so many samples nothing is said.
const FEWEST: u32 = 20;
/// Then the old ones count half.
const MOST: u32 = 1_000;

/// Quantiles of the last thousand or so.
#[derive(Debug, Clone)]
pub(super) struct Quantiles {
    counts: [u32; BUCKETS],
    total: u32,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Quantiles {
    pub(super) fn add(&mut self, sample_ms: u64) {
        let bucket = (0..BUCKETS).find(|bucket| sample_ms <= upper_ms(*bucket)).unwrap_or(BUCKETS - 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.total += 1;
        }
        if self.total >= MOST {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// The time within which that many of a hundred came; none while too little is known.
    pub(super) fn at_ms(&self, percent: u32) -> Option<u64> {
        if self.total < FEWEST {
            return None;
        }
        let wanted = (u64::from(self.total) * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        bucket.map(upper_ms)
    }
}

/// Where a bucket ends.
fn upper_ms(bucket: usize) -> u64 {
    let steps = i32::try_from(bucket).unwrap_or(i32::MAX);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1.25^63 is about 1.3 million")]
    let upper = 1.25_f64.powi(steps).ceil() as u64;
    upper
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_news_counts_at_once_and_good_news_slowly() {
        let mut ewma = PeakEwma::default();
        assert_eq!(ewma.at(0), None);
        ewma.add(100, 0);
        ewma.add(900, 10);
        assert_eq!(ewma.at(10), Some(900));
        ewma.add(100, 1_010);
        assert!(ewma.at(1_010).is_some_and(|ms| (800..900).contains(&ms)), "{ewma:?}");
        for second in 2..60 {
            ewma.add(100, second * 1_000);
        }
        assert!(ewma.at(59_000).is_some_and(|ms| ms < 110), "{ewma:?}");
        assert!(ewma.at(200_000).is_some_and(|ms| ms < 10), "what was slow long ago is tried again");
    }

    #[test]
    fn quantiles_are_near_and_forget() {
        let mut times = Quantiles::default();
        (0..19).for_each(|_| times.add(100));
        assert_eq!(times.at_ms(95), None);
        (1..=1_000).for_each(|ms| times.add(ms));
        let p95 = times.at_ms(95).unwrap_or_default();
        assert!((900..1_250).contains(&p95), "{p95}");
        (0..20_000).for_each(|_| times.add(10));
        assert!(times.at_ms(95).is_some_and(|ms| ms <= 13));
    }
}
