//! The metrics of alerts: what the alerts themselves have counted, set anew for each scrape.

use prometheus::{IntCounter, IntCounterVec, Result};

use super::metrics::Maker;
use super::names::Metric;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct AlertMetrics {
    raised: IntCounterVec,
    deliveries: IntCounterVec,
    dropped: IntCounter,
}

impl AlertMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            raised: make.counters(Metric::Alerts)?,
            deliveries: make.counters(Metric::AlertDeliveries)?,
            dropped: make.counter(Metric::AlertsDropped)?,
        })
    }

    /// `raised` by kind, `deliveries` by webhook and result.
    pub(super) fn set(&self, raised: &[(&'static str, u64)], deliveries: &[(String, &'static str, u64)], dropped: u64) {
        self.raised.reset();
        for (kind, count) in raised {
            self.raised.with_label_values(&[*kind]).inc_by(*count);
        }
        self.deliveries.reset();
        for (webhook, result, count) in deliveries {
            self.deliveries.with_label_values(&[webhook.as_str(), *result]).inc_by(*count);
        }
        self.dropped.reset();
        self.dropped.inc_by(dropped);
    }
}
