//! The metrics of what is exported to a collector.

use prometheus::{IntCounterVec, Result};

use super::metrics::Maker;
use super::names::Metric;

/// Counts of each signal: its name is the label.
#[derive(Debug, Clone)]
pub struct Exported {
    exported: IntCounterVec,
    dropped: IntCounterVec,
    failures: IntCounterVec,
}

impl Exported {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            exported: make.counters(Metric::OtlpExported)?,
            dropped: make.counters(Metric::OtlpDropped)?,
            failures: make.counters(Metric::OtlpFailures)?,
        })
    }

    /// The collector took that many.
    pub fn exported(&self, signal: &'static str, count: u64) {
        self.exported.with_label_values(&[signal]).inc_by(count);
    }

    /// That many are lost.
    pub fn dropped(&self, signal: &'static str, count: u64) {
        self.dropped.with_label_values(&[signal]).inc_by(count);
    }

    /// A call failed.
    pub fn failed(&self, signal: &'static str) {
        self.failures.with_label_values(&[signal]).inc();
    }
}
