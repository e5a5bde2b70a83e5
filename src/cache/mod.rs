//! Answers of providers that are given again: kept in the memory of this process, and in a store that
//! replicas share where one is configured.
//!
//! What is kept is what a provider sent, not what a client got: it is read again as if it came from the
//! provider, so that any client's format can be made of it and its usage is counted as ever. It is found
//! by a [`Key`] that holds its tenant: no other one can ask for it.
//!
//! A question that only means the same as an earlier one may find its answer too ([`semantic`]).
//!
//! Of requests for the same that are in the air at once the first goes to the provider, the others wait
//! for it ([`flight`]).

pub mod answer;
pub mod flight;
pub mod key;
pub mod semantic;
pub mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache as Memory;

use self::answer::Answer;
use self::flight::{Flights, Turn};
use self::key::Key;
use self::semantic::Questions;
use self::store::{Store, Task};
use crate::limit::clock::unix_ms;
use crate::secret::Secret;

/// One for the process.
#[derive(Debug)]
pub struct Cache {
    memory: Memory<Key, Arc<Entry>>,
    flights: Arc<Flights>,
    store: Option<Store>,
    /// What they are the answers to, where that may be said in other words.
    pub questions: Questions,
}

/// An answer, and how long it is wanted.
#[derive(Debug)]
struct Entry {
    answer: Arc<Answer>,
    ttl: Duration,
}

/// What is there, for a look at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub entries: u64,
    pub bytes: u64,
    /// What the questions take that are found by what they mean.
    pub questions_bytes: u64,
    /// Of the store, since the start.
    pub store_failures: u64,
}

impl Cache {
    /// With so much room for answers and for questions, and the store at `url`, where there is one: then the task has to run for as long as the cache is used.
    ///
    /// # Errors
    /// What was expected in place of the URL.
    pub fn new(
        (memory_bytes, questions_bytes): (u64, u64),
        url: Option<&Secret>,
    ) -> Result<(Self, Option<Task>), String> {
        let weigh = |_: &Key, entry: &Arc<Entry>| u32::try_from(entry.answer.weight_bytes()).unwrap_or(u32::MAX);
        let memory = Memory::builder().max_capacity(memory_bytes).weigher(weigh).expire_after(Until).build();
        let (store, task) = url.map(Store::new).transpose()?.unzip();
        let questions = Questions::new(questions_bytes);
        Ok((Self { memory, flights: Arc::default(), store, questions }, task))
    }

    /// An answer that is no older than `ttl`, from the memory of this process.
    pub fn get(&self, key: &Key, ttl: Duration) -> Option<Arc<Answer>> {
        let entry = self.memory.get(key)?;
        let age = entry.answer.age(unix_ms());
        (age < ttl && age < entry.ttl).then(|| Arc::clone(&entry.answer))
    }

    /// The same from the store, for who goes first. What is found is kept here too.
    pub async fn fetch(&self, key: &Key, ttl: Duration) -> Option<Arc<Answer>> {
        let answer = Arc::new(self.store.as_ref()?.get(key).await?);
        if answer.age(unix_ms()) >= ttl {
            return None;
        }
        self.memory.insert(*key, Arc::new(Entry { answer: Arc::clone(&answer), ttl }));
        Some(answer)
    }

    /// Keeps an answer, here and in the store.
    pub fn put(&self, key: &Key, answer: &Arc<Answer>, ttl: Duration) {
        self.memory.insert(*key, Arc::new(Entry { answer: Arc::clone(answer), ttl }));
        if let Some(store) = &self.store {
            store.put(key, answer, ttl);
        }
    }

    /// Takes one away that is of no use.
    pub fn forget(&self, key: &Key) {
        self.memory.invalidate(key);
    }

    /// Who asks for this first, and who waits.
    pub fn enter(&self, key: &Key) -> Turn {
        self.flights.enter(key)
    }

    pub fn seen(&self) -> Seen {
        self.memory.run_pending_tasks();
        let store_failures = self.store.as_ref().map_or(0, Store::failures);
        Seen {
            entries: self.memory.entry_count(),
            bytes: self.memory.weighted_size(),
            questions_bytes: self.questions.bytes(),
            store_failures,
        }
    }
}

/// When an entry goes: each has a time of its own.
#[derive(Debug)]
struct Until;

impl Expiry<Key, Arc<Entry>> for Until {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.ttl.saturating_sub(entry.answer.age(unix_ms())))
    }

    fn expire_after_update(&self, _: &Key, entry: &Arc<Entry>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl.saturating_sub(entry.answer.age(unix_ms())))
    }
}

#[cfg(test)]
mod tests {
    use super::answer::Recording;
    use super::key::{Ask, key};
    use super::*;
    use crate::wire::envelope::Envelope;

    const TTL: Duration = Duration::from_secs(60);

    fn key_of(tenant: &str) -> Key {
        let body = Envelope::parse_str("{}").unwrap();
        key(&Ask { tenant, body: &body, ..Ask::default() })
    }

    fn answer(bytes: usize, at_ms: u64) -> Arc<Answer> {
        let mut recording = Recording::new(usize::MAX);
        assert!(recording.push(&vec![b'a'; bytes]));
        Arc::new(recording.finish(Some(b"application/json"), at_ms))
    }

    fn cache(memory_bytes: u64) -> Cache {
        Cache::new((memory_bytes, 0), None).unwrap().0
    }

    #[test]
    fn what_was_put_is_found_by_its_tenant_for_as_long_as_both_want_it() {
        let cache = cache(1 << 20);
        let now = unix_ms();
        cache.put(&key_of("acme"), &answer(10, now - 30_000), TTL);
        assert!(cache.get(&key_of("acme"), TTL).is_some());
        assert!(cache.get(&key_of("other"), TTL).is_none());
        assert!(cache.get(&key_of("acme"), Duration::from_secs(20)).is_none(), "too old for who asks");
        cache.put(&key_of("old"), &answer(10, now - 61_000), TTL);
        assert!(cache.get(&key_of("old"), Duration::from_secs(600)).is_none(), "too old for who kept it");
        cache.forget(&key_of("acme"));
        assert!(cache.get(&key_of("acme"), TTL).is_none());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let cache = cache(100_000);
        for n in 0..100 {
            cache.put(&key_of(&n.to_string()), &answer(10_000, unix_ms()), TTL);
        }
        let seen = cache.seen();
        assert!(seen.bytes <= 100_000 && (1..10).contains(&seen.entries), "{seen:?}");
        cache.put(&key_of("large"), &answer(200_000, unix_ms()), TTL);
        cache.seen();
        assert!(cache.get(&key_of("large"), TTL).is_none());
    }
}
