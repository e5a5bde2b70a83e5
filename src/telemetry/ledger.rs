//! The metrics of the ledger, set anew for each scrape from what the log and its folding count.

use std::time::Duration;

use prometheus::{Gauge, IntCounter, IntGauge, Result};

use super::metrics::Maker;
use super::names::Metric;

/// The ledger, as a scrape finds it; counts are since the process began.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerSeen {
    pub bytes: u64,
    pub lag: Duration,
    pub open: usize,
    pub folded: u64,
    pub recovered: u64,
    pub refused: u64,
    pub lost: u64,
    pub write_errors: u64,
    pub damaged_bytes: u64,
    pub database_up: bool,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct LedgerMetrics {
    bytes: IntGauge,
    lag: Gauge,
    open: IntGauge,
    folded: IntCounter,
    recovered: IntCounter,
    refused: IntCounter,
    lost: IntCounter,
    write_errors: IntCounter,
    damaged_bytes: IntCounter,
    database_up: IntGauge,
}

impl LedgerMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            bytes: make.gauge(Metric::LedgerBytes)?,
            lag: make.float_gauge(Metric::LedgerLag)?,
            open: make.gauge(Metric::LedgerOpen)?,
            folded: make.counter(Metric::LedgerFolded)?,
            recovered: make.counter(Metric::LedgerRecovered)?,
            refused: make.counter(Metric::LedgerRefused)?,
            lost: make.counter(Metric::LedgerLost)?,
            write_errors: make.counter(Metric::LedgerWriteErrors)?,
            damaged_bytes: make.counter(Metric::LedgerDamaged)?,
            database_up: make.gauge(Metric::DatabaseUp)?,
        })
    }

    pub(super) fn set(&self, seen: &LedgerSeen) {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.bytes.set(signed(seen.bytes));
        self.lag.set(seen.lag.as_secs_f64());
        self.open.set(i64::try_from(seen.open).unwrap_or(i64::MAX));
        self.database_up.set(i64::from(seen.database_up));
        let counters = [
            (&self.folded, seen.folded),
            (&self.recovered, seen.recovered),
            (&self.refused, seen.refused),
            (&self.lost, seen.lost),
            (&self.write_errors, seen.write_errors),
            (&self.damaged_bytes, seen.damaged_bytes),
        ];
        for (counter, count) in counters {
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}
