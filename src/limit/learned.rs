//! How much models answer: what to reserve for a request, whatever bound it sets itself.
//!
//! Clients often say nothing, or say the most a model can do (an agent sends `max_tokens: 32000` with
//! every turn). Reserving that would leave most of a limit of tokens unused. So the 95th percentile of
//! what a tenant's requests to a model really got is reserved, once enough of them have been seen; who
//! gets more is charged for it at the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Models at most that something is learned of, of one tenant: names may come from clients.
const MOST_MODELS: usize = 256;
/// Answers that have to be seen before they say anything.
const ENOUGH: u32 = 50;
/// Then all counts are halved, so that what a model does now outweighs what it did.
const FORGET_AT: u32 = 4_096;
/// Of 0 to 2^24 tokens, four to an octave.
const BUCKETS: usize = 92;

/// The output of a tenant's models.
#[derive(Debug, Default)]
pub(super) struct Outputs(RwLock<HashMap<Box<str>, Arc<Model>>>);

#[derive(Debug)]
struct Model {
    /// 0: not known yet.
    p95: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    counts: [u32; BUCKETS],
    all: u32,
}

impl Outputs {
    /// What 95 of 100 answers of the model do not exceed.
    pub(super) fn p95(&self, model: &str) -> Option<u64> {
        let models = self.0.read().unwrap_or_else(PoisonError::into_inner);
        models.get(model).map(|model| model.p95.load(Ordering::Relaxed)).filter(|p95| *p95 > 0)
    }

    /// An answer of the model was finished with so many tokens.
    pub(super) fn learn(&self, model: &str, output_tokens: u64) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(model).map(Arc::clone);
        let known = known.or_else(|| {
            let mut models = self.0.write().unwrap_or_else(PoisonError::into_inner);
            (models.len() < MOST_MODELS).then(|| Arc::clone(models.entry(model.into()).or_default()))
        });
        if let Some(model) = known {
            model.learn(output_tokens);
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self { p95: AtomicU64::new(0), seen: Mutex::new(Seen { counts: [0; BUCKETS], all: 0 }) }
    }
}

impl Model {
    fn learn(&self, output_tokens: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seen.counts.get_mut(bucket(output_tokens)) {
            *count += 1;
        }
        seen.all += 1;
        if seen.all >= FORGET_AT {
            seen.counts.iter_mut().for_each(|count| *count /= 2);
            seen.all = seen.counts.iter().sum();
        }
        // The sum is worth it now and again only.
        if seen.all >= ENOUGH && seen.all.is_multiple_of(10) {
            self.p95.store(seen.p95(), Ordering::Relaxed);
        }
    }
}

impl Seen {
    fn p95(&self) -> u64 {
        let mut below = 0;
        let enough = self.all - self.all / 20;
        let bucket = self.counts.iter().position(|count| {
            below += count;
            below >= enough
        });
        most_of(bucket.unwrap_or(BUCKETS - 1))
    }
}

/// 0 to 3 are buckets of their own, then four to an octave.
fn bucket(tokens: u64) -> usize {
    let octave = tokens.max(1).ilog2();
    let bucket = match octave.checked_sub(2) {
        None => tokens,
        Some(shift) => u64::from(shift) * 4 + (tokens >> shift),
    };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The most tokens that fall into a bucket; at least 1.
fn most_of(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    match bucket {
        0..4 => bucket.max(1),
        _ => {
            let shift = (bucket / 4).saturating_sub(1);
            ((bucket % 4 + 5) << shift) - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_they_say() {
        for tokens in (0..5_000).chain([100_000, 1 << 20, (1 << 24) - 1]) {
            let at = bucket(tokens);
            assert!(tokens <= most_of(at), "{tokens} in {at} up to {}", most_of(at));
            assert!(at == 0 || tokens > most_of(at - 1) || tokens <= 1, "{tokens} is not below {at}");
            assert!(most_of(at) <= tokens.max(1) * 5 / 4 + 1, "{tokens}: {}", most_of(at));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_is_said_before_enough_was_seen_and_then_it_is_the_95th_percentile() {
        let outputs = Outputs::default();
        for nth in 1..=49 {
            outputs.learn("m", nth);
        }
        assert_eq!(outputs.p95("m"), None);
        for nth in 50..=100 {
            outputs.learn("m", nth);
        }
        let p95 = outputs.p95("m").unwrap();
        assert!((95..=112).contains(&p95), "{p95}");
        assert_eq!(outputs.p95("another"), None);
    }

    #[test]
    fn what_a_model_does_now_outweighs_what_it_did() {
        let outputs = Outputs::default();
        (0..4_000).for_each(|_| outputs.learn("m", 10));
        (0..4_000).for_each(|_| outputs.learn("m", 3_000));
        assert!(outputs.p95("m").unwrap() >= 3_000);
        (0..100_000).for_each(|_| outputs.learn("m", 10));
        assert!(outputs.p95("m").unwrap() < 20);
    }

    #[test]
    fn invented_models_take_a_bounded_room() {
        let outputs = Outputs::default();
        for nth in 0..2 * MOST_MODELS {
            outputs.learn(&format!("m{nth}"), 1);
        }
        assert_eq!(outputs.0.read().unwrap().len(), MOST_MODELS);
    }
}
