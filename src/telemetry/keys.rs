//! The metrics of keys: how many were made at run time, and how fresh what is known of them is.

use prometheus::{IntCounter, IntGauge, Result};

use super::metrics::Maker;
use super::names::Metric;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct KeyMetrics {
    pub(super) stored: IntGauge,
    pub(super) age: IntGauge,
    pub(super) sync_failures: IntCounter,
    pub(super) issuer_failures: IntCounter,
    pub(super) audit_lost: IntCounter,
}

impl KeyMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            stored: make.gauge(Metric::StoredKeys)?,
            age: make.gauge(Metric::KeysAge)?,
            sync_failures: make.counter(Metric::KeySyncFailures)?,
            issuer_failures: make.counter(Metric::IssuerFailures)?,
            audit_lost: make.counter(Metric::AuditLost)?,
        })
    }
}
