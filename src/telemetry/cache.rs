//! The metrics of kept answers: requests as their records say it, the rest as a scrape finds it.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Result};

use super::metrics::Maker;
use super::names::Metric;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct CacheMetrics {
    pub(super) requests: IntCounterVec,
    entries: IntGauge,
    bytes: IntGauge,
    store_failures: IntCounter,
}

/// What is kept in this process, and how often the store of all replicas failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheSeen {
    pub entries: u64,
    pub bytes: u64,
    pub store_failures: u64,
}

impl CacheMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            requests: make.counters(Metric::CacheRequests)?,
            entries: make.gauge(Metric::CacheEntries)?,
            bytes: make.gauge(Metric::CacheBytes)?,
            store_failures: make.counter(Metric::CacheStoreFailures)?,
        })
    }

    pub(super) fn set(&self, seen: CacheSeen) {
        for (gauge, count) in [(&self.entries, seen.entries), (&self.bytes, seen.bytes)] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.store_failures.reset();
        self.store_failures.inc_by(seen.store_failures);
    }
}
