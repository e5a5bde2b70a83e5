//! The metrics of the store that replicas share limits in.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGaugeVec, Result};

use super::Telemetry;
use super::metrics::Maker;
use super::names::Metric;
use crate::limit::shared::{Drawn, Watch};

#[derive(Debug)]
pub(super) struct StoreMetrics {
    /// Without labels, and yet nothing as long as nobody says anything.
    up: IntGaugeVec,
    calls: Histogram,
    errors: IntCounterVec,
    /// In the order of [`Drawn::ALL`].
    draws: [IntCounter; Drawn::ALL.len()],
}

impl StoreMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        let draws = make.counters(Metric::StoreDraws)?;
        Ok(Self {
            up: make.gauges(Metric::StoreUp)?,
            calls: make.histogram(Metric::StoreCall)?,
            errors: make.counters(Metric::StoreErrors)?,
            draws: Drawn::ALL.map(|how| draws.with_label_values(&[how.as_str()])),
        })
    }
}

impl Watch for Telemetry {
    fn drawn(&self, how: Drawn) {
        let all = Drawn::ALL.iter().zip(&self.metrics.store.draws);
        all.filter(|(known, _)| **known == how).for_each(|(_, count)| count.inc());
    }

    fn called(&self, took: Duration) {
        self.metrics.store.calls.observe(took.as_secs_f64());
    }

    fn failed(&self, reason: &'static str) {
        self.metrics.store.errors.with_label_values(&[reason]).inc();
    }

    fn turned(&self, is_up: bool) {
        self.metrics.store.up.with_label_values::<&str>(&[]).set(is_up.into());
    }
}
