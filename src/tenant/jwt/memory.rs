//! What is remembered of tokens, by their hash: so many, and then the oldest is forgotten.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, so that requests seldom meet.
const SHARDS: usize = 16;

pub(in crate::tenant) struct Memory<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    most: usize,
}

struct Shard<V> {
    known: HashMap<[u8; 32], V>,
    /// In the order they came.
    order: VecDeque<[u8; 32]>,
}

impl<V: Clone> Memory<V> {
    pub(in crate::tenant) fn new(most: usize) -> Self {
        let shard = || Mutex::new(Shard { known: HashMap::new(), order: VecDeque::new() });
        Self { shards: std::array::from_fn(|_| shard()), most: most.div_ceil(SHARDS) }
    }

    pub(in crate::tenant) fn get(&self, sha256: &[u8; 32]) -> Option<V> {
        self.shard(sha256)?.known.get(sha256).cloned()
    }

    pub(in crate::tenant) fn put(&self, sha256: [u8; 32], value: V) {
        let Some(mut shard) = self.shard(&sha256) else { return };
        if shard.known.insert(sha256, value).is_none() {
            shard.order.push_back(sha256);
        }
        if shard.order.len() > self.most
            && let Some(oldest) = shard.order.pop_front()
        {
            shard.known.remove(&oldest);
        }
    }

    /// The last byte of a digest chooses as well as any.
    fn shard(&self, sha256: &[u8; 32]) -> Option<MutexGuard<'_, Shard<V>>> {
        let [.., last] = *sha256;
        let shard = self.shards.get(usize::from(last) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Of nothing.
impl<V: Clone> Default for Memory<V> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<V> fmt::Debug for Memory<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({})", self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_so_many_and_forgets_the_oldest() {
        let memory = Memory::new(32);
        let hash = |n: u32| {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            hash
        };
        for n in 0..1_000 {
            memory.put(hash(n), n);
            memory.put(hash(n), n);
        }
        // All in one shard, whose share is two.
        let left: Vec<u32> = (0..1_000).filter(|n| memory.get(&hash(*n)).is_some()).collect();
        assert_eq!(left, [998, 999]);
    }
}
