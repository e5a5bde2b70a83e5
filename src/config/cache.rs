//! `cache`: for whom answers are kept and how long, and where.

use std::sync::Arc;
use std::time::Duration;

use super::access::Key;
use super::runtime::Route;
use super::telemetry::Fraction;

/// `cache` of a tenant, a key or a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caching {
    pub ttl: Duration,
    /// Also answers that would be others the next time.
    pub any: bool,
    /// Longer answers are not kept.
    pub max_entry_bytes: usize,
    /// What one from here costs, in percent of its price.
    pub share_percent: u32,
    /// Answers are found by whoever has the same one.
    pub namespace: Option<String>,
    /// Members that are not looked at, whatever they say.
    pub ignore: Vec<&'static str>,
    /// Also to who asks the same in other words.
    pub semantic: Option<Semantic>,
}

/// `semantic` of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semantic {
    /// What embeds texts.
    pub model: String,
    /// The least cosine of what is the same.
    pub threshold: Fraction,
    pub timeout: Duration,
}

impl Caching {
    /// Members of requests that no answer depends on: whose they are, and what they are called.
    pub const IGNORABLE: [(&'static str, &'static str); 4] = [
        ("user", "user"),
        ("metadata", "metadata"),
        ("safety_identifier", "safety_identifier"),
        ("prompt_cache_key", "prompt_cache_key"),
    ];
}

/// What holds for a request: the key's, else the route's, else the tenant's.
pub fn switched_on<'r>(key: &'r Key, route: Option<&'r Route>) -> Option<&'r Arc<Caching>> {
    let of_route = || route.and_then(|route| route.cache.as_ref());
    key.cache.as_ref().or_else(of_route).or(key.tenant.cache.as_ref())
}

/// `cache:`, of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shelf {
    pub memory_bytes: u64,
    /// Also in the store of `state.shared`, for all replicas.
    pub is_shared: bool,
    /// Of questions that are found by what they mean.
    pub questions_bytes: u64,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, is_shared: false, questions_bytes: 32 << 20 }
    }
}
