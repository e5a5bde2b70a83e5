//! The metrics of debug capture: what it has counted itself, set anew for each scrape.

use prometheus::{IntCounter, IntGauge, Result};

use super::metrics::Maker;
use super::names::Metric;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct CaptureMetrics {
    kept: IntCounter,
    dropped: IntCounter,
    running: IntGauge,
}

impl CaptureMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            kept: make.counter(Metric::Captured)?,
            dropped: make.counter(Metric::CaptureDropped)?,
            running: make.gauge(Metric::CapturesRunning)?,
        })
    }

    pub(super) fn set(&self, kept: u64, dropped: u64, running: usize) {
        for (counter, count) in [(&self.kept, kept), (&self.dropped, dropped)] {
            counter.reset();
            counter.inc_by(count);
        }
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }
}
