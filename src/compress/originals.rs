//! What the lossy tier took away, for whoever asks for it by its name: kept in memory for a while, for
//! each tenant apart and no more than so many bytes of each. A client sends its whole history with every
//! turn, so what was dropped or lost in a restart comes again with the next.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub most_bytes_of_one: usize,
    pub most_bytes: usize,
    pub time_to_live: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { most_bytes_of_one: 16 << 20, most_bytes: 256 << 20, time_to_live: Duration::from_hours(1) }
    }
}

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Originals {
    bounds: Bounds,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tenants: HashMap<Box<str>, Shelf>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    texts: HashMap<Box<str>, (Arc<str>, Instant)>,
    /// In the order they came, oldest first.
    order: VecDeque<(Box<str>, Instant)>,
    bytes: usize,
}

impl Shelf {
    /// Drops what is too old, and the oldest until there is room; says how many bytes went.
    fn make_room(&mut self, wanted: usize, bounds: &Bounds, now: Instant) -> usize {
        let before = self.bytes;
        while let Some((handle, since)) = self.order.front() {
            let is_old = now.saturating_duration_since(*since) >= bounds.time_to_live;
            if !is_old && self.bytes + wanted <= bounds.most_bytes_of_one {
                break;
            }
            // One that was kept again since stands further back, too.
            if self.texts.get(handle).is_some_and(|(_, last)| last == since)
                && let Some((text, _)) = self.texts.remove(handle)
            {
                self.bytes -= text.len();
            }
            self.order.pop_front();
        }
        before - self.bytes
    }
}

/// The name of a text: the beginning of its SHA-256.
pub fn handle(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hex::encode(hash.get(..8).unwrap_or_default())
}

impl Originals {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, kept: Mutex::default() }
    }

    /// Keeps a text for a tenant and gives it its name; `None` where there is no room for it.
    pub fn keep(&self, tenant: &str, text: &str, now: Instant) -> Option<String> {
        let handle = handle(text);
        self.keep_as(tenant, &handle, text, now).then_some(handle)
    }

    /// The same under a name that it has already; says whether there is room for it.
    pub fn keep_as(&self, tenant: &str, handle: &str, text: &str, now: Instant) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { tenants, bytes } = &mut *kept;
        let shelf = tenants.entry(tenant.into()).or_default();
        if let Some((_, since)) = shelf.texts.get_mut(handle) {
            if *since != now {
                *since = now;
                shelf.order.push_back((handle.into(), now));
            }
            *bytes -= shelf.make_room(0, &self.bounds, now);
            return true;
        }
        if text.len() > self.bounds.most_bytes_of_one {
            return false;
        }
        *bytes -= shelf.make_room(text.len(), &self.bounds, now);
        if *bytes + text.len() > self.bounds.most_bytes {
            // Others may have left what nobody can ask for any more.
            *bytes -= tenants.values_mut().map(|shelf| shelf.make_room(0, &self.bounds, now)).sum::<usize>();
            tenants.retain(|_, shelf| !shelf.texts.is_empty());
        }
        if *bytes + text.len() > self.bounds.most_bytes {
            return false;
        }
        let shelf = tenants.entry(tenant.into()).or_default();
        shelf.texts.insert(handle.into(), (text.into(), now));
        shelf.order.push_back((handle.into(), now));
        shelf.bytes += text.len();
        *bytes += text.len();
        true
    }

    /// The text of that name, if the tenant has one. With or without `weir:` before it.
    pub fn get(&self, tenant: &str, handle: &str, now: Instant) -> Option<Arc<str>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, since) = kept.tenants.get(tenant)?.texts.get(handle.strip_prefix("weir:").unwrap_or(handle))?;
        let is_old = now.saturating_duration_since(*since) >= self.bounds.time_to_live;
        (!is_old).then(|| Arc::clone(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { most_bytes_of_one: 10, most_bytes: 15, time_to_live: Duration::from_secs(60) };

    #[test]
    fn a_tenant_has_its_own_for_a_while() {
        let (it, now) = (Originals::new(BOUNDS), Instant::now());
        let handle = it.keep("a", "text", now).unwrap();
        assert_eq!(it.get("a", &format!("weir:{handle}"), now).as_deref(), Some("text"));
        assert_eq!(it.get("b", &handle, now), None);
        let later = now + Duration::from_secs(50);
        assert_eq!(it.keep("a", "text", later).as_deref(), Some(&*handle));
        assert!(it.get("a", &handle, now + Duration::from_secs(100)).is_some(), "it was kept again");
        assert!(it.get("a", &handle, now + Duration::from_secs(110)).is_none());
    }

    #[test]
    fn the_oldest_goes_and_all_is_bounded() {
        let (it, now) = (Originals::new(BOUNDS), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let first = it.keep("a", "111111", at(0)).unwrap();
        let second = it.keep("a", "222222", at(1)).unwrap();
        assert!(it.get("a", &first, at(1)).is_none() && it.get("a", &second, at(1)).is_some());
        assert!(it.keep("a", "longer than ten", at(1)).is_none());
        assert!(it.keep("b", "333333333", at(2)).is_some());
        assert!(it.keep("c", "4444", at(3)).is_none(), "there is no room for all");
        assert!(it.keep("c", "4444", at(62)).is_some(), "but once others are too old");
    }
}
