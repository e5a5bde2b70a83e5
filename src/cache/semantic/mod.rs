//! Questions whose answers are kept, so that one which only means the same finds them too.
//!
//! What has to be the same to the byte is a hash ([`place`]): the whole request but for the text of its last
//! message, and the [`facts`] of that text. Only questions of one place are ever compared, by the cosine of
//! their vectors. A question is kept as its text until somebody asks another one of its place: then both are
//! embedded, and a question that stays alone costs nobody a call.
//!
//! The answers are in [`Cache`](super::Cache); here is by which key. Nothing of this leaves the process.

pub mod facts;
mod words;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache as Memory;
use sha2::{Digest as _, Sha256};

use super::key::Key;

/// Longer texts are not compared: one vector does not tell what is in them.
pub const MOST_TEXT_BYTES: usize = 2_000;
/// Of one place; the oldest go first.
pub const MOST_QUESTIONS: usize = 1_000;
/// What a question takes beside its text and its vector.
const OVERHEAD_BYTES: usize = 192;
/// Of most models at most: vectors come after a question was weighed.
const LIKELY_VECTOR_BYTES: usize = 1_536 * size_of::<f32>();

/// One for the process.
#[derive(Debug)]
pub struct Questions(Memory<Key, Arc<[Arc<Question>]>>);

/// One of them.
#[derive(Debug)]
pub struct Question {
    pub text: Box<str>,
    /// Once somebody wanted it.
    vector: OnceLock<Vector>,
    /// What its answer is found by.
    pub answer: Key,
    until_ms: u64,
}

impl Question {
    pub fn new(text: Box<str>, vector: Option<Vector>, answer: Key, until_ms: u64) -> Self {
        let question = Self { text, vector: OnceLock::new(), answer, until_ms };
        vector.into_iter().for_each(|vector| question.learn(vector));
        question
    }

    pub fn has_vector(&self) -> bool {
        self.vector.get().is_some()
    }

    /// The first one stays.
    pub fn learn(&self, vector: Vector) {
        let _ = self.vector.set(vector);
    }

    /// How near it is, if its vector is known.
    pub fn similarity(&self, to: &Vector) -> Option<f32> {
        self.vector.get()?.similarity(to)
    }

    fn weight_bytes(&self) -> usize {
        OVERHEAD_BYTES + self.text.len() + self.vector.get().map_or(LIKELY_VECTOR_BYTES, |own| size_of_val(&*own.0))
    }
}

/// What a text means, as an embedding model has it; of length 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector(Box<[f32]>);

impl Vector {
    /// `None` for what has no direction.
    pub fn new(mut numbers: Vec<f32>) -> Option<Self> {
        let length = dot(&numbers, &numbers).sqrt();
        if !length.is_normal() {
            return None;
        }
        numbers.iter_mut().for_each(|number| *number /= length);
        Some(Self(numbers.into()))
    }

    /// The cosine of the angle between the two; `None` where they are of different models.
    pub fn similarity(&self, to: &Self) -> Option<f32> {
        (self.0.len() == to.0.len()).then(|| dot(&self.0, &to.0))
    }
}

/// In eight sums, which a processor adds at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Where a question belongs: `rest` is all of its request but for its text, `model` what embeds it. `None`: it
/// is never compared.
pub fn place(rest: &Key, model: &str, text: &str) -> Option<Key> {
    let is_short = !text.trim().is_empty() && text.len() <= MOST_TEXT_BYTES;
    let facts = is_short.then(|| facts::facts(text)).flatten()?;
    let mut all = Sha256::new();
    all.update(rest.0);
    for part in std::iter::once(model).chain(facts.iter().map(String::as_str)) {
        all.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        all.update(part);
    }
    Some(Key(all.finalize().into()))
}

impl Questions {
    pub fn new(memory_bytes: u64) -> Self {
        let weigh = |_: &Key, all: &Arc<[Arc<Question>]>| {
            let bytes: usize = all.iter().map(|question| question.weight_bytes()).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Memory::builder().max_capacity(memory_bytes).weigher(weigh).expire_after(Until).build())
    }

    /// Those of a place that are still wanted, the newest last.
    pub fn of(&self, place: &Key, now_ms: u64) -> Vec<Arc<Question>> {
        let all = self.0.get(place);
        all.iter().flat_map(|all| all.iter()).filter(|it| it.until_ms > now_ms).map(Arc::clone).collect()
    }

    /// Keeps one, in the place of one that says the same or has the same answer.
    pub fn put(&self, place: &Key, question: Question, now_ms: u64) {
        let question = Arc::new(question);
        self.0.entry(*place).and_compute_with(|known| {
            let is_other =
                |it: &&Arc<Question>| it.until_ms > now_ms && it.answer != question.answer && it.text != question.text;
            let known = known.map(moka::Entry::into_value);
            let others: Vec<&Arc<Question>> = known.iter().flat_map(|all| all.iter()).filter(is_other).collect();
            let surplus = (others.len() + 1).saturating_sub(MOST_QUESTIONS);
            Op::Put(others.into_iter().skip(surplus).chain([&question]).map(Arc::clone).collect())
        });
    }

    /// Takes one away whose answer is gone.
    pub fn forget(&self, place: &Key, answer: &Key) {
        self.0.entry(*place).and_compute_with(|known| {
            let Some(known) = known.map(moka::Entry::into_value) else { return Op::Nop };
            let others: Arc<[Arc<Question>]> = known.iter().filter(|it| it.answer != *answer).map(Arc::clone).collect();
            if others.is_empty() { Op::Remove } else { Op::Put(others) }
        });
    }

    /// How much memory they take, nearly.
    pub fn bytes(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }
}

/// When a place goes: with its last question.
#[derive(Debug)]
struct Until;

impl Until {
    fn left(all: &[Arc<Question>]) -> Option<Duration> {
        let last = all.iter().map(|question| question.until_ms).max().unwrap_or_default();
        Some(Duration::from_millis(last.saturating_sub(crate::limit::clock::unix_ms())))
    }
}

impl Expiry<Key, Arc<[Arc<Question>]>> for Until {
    fn expire_after_create(&self, _: &Key, all: &Arc<[Arc<Question>]>, _: Instant) -> Option<Duration> {
        Self::left(all)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        all: &Arc<[Arc<Question>]>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Self::left(all)
    }
}

#[cfg(test)]
mod tests;
