//! How many requests an endpoint takes at a time, as the configuration says, and one of its models, as
//! refusals teach. After a rate limit half of those in flight are allowed, a quarter more for every
//! round without another, and any number again once it has been quiet for a while.

/// Quiet for so long after the last refusal, an endpoint has no limit that was learnt.
const FORGET_MS: u64 = 60_000;

/// What is known of an endpoint's places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    configured: Option<u32>,
    learnt: Option<Learnt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Learnt {
    places: u32,
    /// Good answers since the last place was added.
    good: u32,
    refused_at_ms: u64,
}

impl Places {
    pub fn new(configured: Option<u32>) -> Self {
        Self { configured, learnt: None }
    }

    /// What a reload changes; what was learnt stays.
    pub fn set_configured(&mut self, configured: Option<u32>) {
        self.configured = configured;
    }

    /// Places there are; none is any number.
    pub fn most(&self) -> Option<u32> {
        let learnt = self.learnt.map(|learnt| learnt.places);
        [self.configured, learnt].into_iter().flatten().min()
    }

    /// It refused one for its limits that was sent at `sent_ms`, while so many were in flight. Those
    /// that were sent before the last refusal tell nothing new: of many that come together one counts.
    pub fn refused(&mut self, in_flight: u32, sent_ms: u64, now_ms: u64) {
        if self.learnt.is_some_and(|learnt| sent_ms < learnt.refused_at_ms) {
            return;
        }
        let before = self.learnt.map_or(in_flight, |learnt| learnt.places.min(in_flight));
        self.learnt = Some(Learnt { places: (before / 2).max(1), good: 0, refused_at_ms: now_ms });
    }

    /// It answered one.
    pub fn answered(&mut self, now_ms: u64) {
        let Some(learnt) = &mut self.learnt else { return };
        if now_ms.saturating_sub(learnt.refused_at_ms) >= FORGET_MS {
            self.learnt = None;
            return;
        }
        learnt.good += 1;
        if learnt.good >= learnt.places {
            (learnt.good, learnt.places) = (0, learnt.places.saturating_add((learnt.places / 4).max(1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_halve_and_quiet_rounds_add_a_quarter() {
        let mut places = Places::new(None);
        assert_eq!(places.most(), None);
        places.answered(0);
        places.refused(40, 0, 0);
        assert_eq!(places.most(), Some(20));
        (0..20).for_each(|_| places.answered(1));
        assert_eq!(places.most(), Some(25));
        places.refused(25, 2, 2);
        assert_eq!(places.most(), Some(12));
        places.refused(0, 3, 3);
        assert_eq!(places.most(), Some(1), "never none");
        places.answered(60_003);
        assert_eq!(places.most(), None, "forgotten");
    }

    #[test]
    fn many_refused_together_halve_once() {
        let mut places = Places::new(None);
        (0..40).for_each(|n| places.refused(40 - n, 1_000, 1_200 + u64::from(n)));
        assert_eq!(places.most(), Some(20));
        places.refused(20, 1_300, 1_400);
        assert_eq!(places.most(), Some(10), "who was sent later found it still too many");
    }

    #[test]
    fn places_never_fall_below_one_nor_outlive_a_quiet_minute() {
        let mut places = Places::new(Some(4));
        (0..1_000).for_each(|n| places.refused(0, n * 10, n * 10));
        assert_eq!(places.most(), Some(1));
        places.answered(69_989);
        assert_eq!(places.most(), Some(2), "one good answer is a round of one");
        places.answered(69_990);
        assert_eq!(places.most(), Some(4), "as configured");
    }

    #[test]
    fn what_is_configured_holds_above_what_is_learnt() {
        let mut places = Places::new(Some(8));
        places.refused(100, 0, 0);
        assert_eq!(places.most(), Some(8));
        places.refused(8, 0, 0);
        assert_eq!(places.most(), Some(4));
    }
}
