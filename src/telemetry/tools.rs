//! The metrics of tools that the gateway runs.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, Result};

use super::metrics::Maker;
use super::names::Metric;

/// Servers of tools name them: what comes on top of these is `other`.
const MOST_NAMES: usize = 1_000;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct ToolMetrics {
    calls: IntCounterVec,
    seconds: HistogramVec,
    names: Mutex<HashSet<String>>,
}

impl ToolMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        let (calls, seconds) = (make.counters(Metric::ToolCalls)?, make.histograms(Metric::ToolSeconds)?);
        Ok(Self { calls, seconds, names: Mutex::default() })
    }

    pub(super) fn called(&self, tenant: &str, tool: &str, outcome: &'static str, took: Duration) {
        let tool = if self.is_known(tool) { tool } else { "other" };
        self.calls.with_label_values(&[tenant, tool, outcome]).inc();
        self.seconds.with_label_values(&[tool]).observe(took.as_secs_f64());
    }

    fn is_known(&self, tool: &str) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.contains(tool) || names.len() < MOST_NAMES && names.insert(tool.to_owned())
    }
}
