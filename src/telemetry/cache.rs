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
    questions_bytes: IntGauge,
    compared: IntCounterVec,
    store_failures: IntCounter,
}

/// What is kept in this process, and how often the store of all replicas failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheSeen {
    pub entries: u64,
    pub bytes: u64,
    pub questions_bytes: u64,
    pub store_failures: u64,
}

/// What came of comparing a question with those whose answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    Same,
    Other,
    /// There was no vector.
    Failed,
}

impl CacheMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            requests: make.counters(Metric::CacheRequests)?,
            entries: make.gauge(Metric::CacheEntries)?,
            bytes: make.gauge(Metric::CacheBytes)?,
            questions_bytes: make.gauge(Metric::CacheQuestionsBytes)?,
            compared: make.counters(Metric::CacheCompared)?,
            store_failures: make.counter(Metric::CacheStoreFailures)?,
        })
    }

    pub(super) fn compared(&self, tenant: &str, sameness: Sameness) {
        let result = match sameness {
            Sameness::Same => "same",
            Sameness::Other => "other",
            Sameness::Failed => "failed",
        };
        self.compared.with_label_values(&[tenant, result]).inc();
    }

    pub(super) fn set(&self, seen: CacheSeen) {
        let gauges =
            [(&self.entries, seen.entries), (&self.bytes, seen.bytes), (&self.questions_bytes, seen.questions_bytes)];
        for (gauge, count) in gauges {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.store_failures.reset();
        self.store_failures.inc_by(seen.store_failures);
    }
}
