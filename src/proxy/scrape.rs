//! The metrics as they are now: what is not counted as it happens is read off whoever knows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::ledger::Fold;
use super::live::{Callers, Live};
use crate::alert::Alerts;
use crate::cache::Cache;
use crate::capture::Captures;
use crate::config::runtime::Deployment;
use crate::limit::Scope;
use crate::limit::budget::Balance;
use crate::limit::clock::{Clock, unix_ms};
use crate::route::quota::{Learned, Window};
use crate::telemetry::{CacheSeen, Seen, Telemetry};

/// See the module documentation.
pub(super) struct Scrape {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) fold: Option<Arc<Fold>>,
    pub(super) alerts: Arc<Alerts>,
    pub(super) captures: Arc<Captures>,
    pub(super) cache: Arc<Cache>,
    pub(super) clock: Clock,
    /// Some gauges are emptied and filled again: whoever reads them does not do that beside another.
    pub(super) one: Mutex<()>,
}

impl Scrape {
    /// In Prometheus' text format.
    pub(super) fn text(&self) -> String {
        let _one = self.look();
        self.telemetry.render()
    }

    /// As data.
    #[cfg(feature = "otlp")]
    pub(super) fn families(&self) -> Vec<prometheus::proto::MetricFamily> {
        let _one = self.look();
        self.telemetry.gather()
    }

    fn look(&self) -> MutexGuard<'_, ()> {
        let one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let (live, now_ms) = (self.live.load(), self.clock.now_ms());
        let all: Vec<Seen<'_>> =
            live.runtime.endpoints().filter_map(|deployment| seen(&live, deployment, now_ms)).collect();
        self.telemetry.endpoints(&all);
        self.telemetry.budgets(tenant_budgets(&live.callers.load()));
        let counts = self.alerts.counts();
        self.telemetry.alerts(&counts.raised, &counts.deliveries, counts.dropped);
        let kept = self.cache.seen();
        self.telemetry.cache(CacheSeen {
            entries: kept.entries,
            bytes: kept.bytes,
            questions_bytes: kept.questions_bytes,
            store_failures: kept.store_failures,
        });
        let captured = self.captures.counts();
        self.telemetry.captures(captured.kept, captured.dropped, captured.running);
        if let Some(fold) = &self.fold {
            self.telemetry.ledger(&fold.look());
        }
        one
    }
}

/// Tenants' budgets as a scrape finds them: keys may be many.
fn tenant_budgets(callers: &Callers) -> impl Iterator<Item = (&str, Balance)> {
    let unix_ms = unix_ms();
    let tenants = callers.purses.values().filter(|purse| matches!(purse.scope(), Scope::Tenant(_)));
    tenants.flat_map(move |purse| purse.balances(unix_ms).into_iter().map(|balance| (purse.scope().name(), balance)))
}

/// An endpoint as a scrape finds it.
fn seen<'l>(live: &'l Live, deployment: &'l Deployment, now_ms: u64) -> Option<Seen<'l>> {
    let endpoint = live.board.endpoint(&deployment.id)?;
    let line = live.lines(deployment);
    let reports = endpoint.reports(now_ms);
    let least = |of: fn(&Learned) -> Option<Window>| {
        let known = reports.iter().filter_map(|(_, report)| of(&report.learned));
        let lives = known.filter(|window| window.resets_at_ms > now_ms);
        lives.map(|window| window.remaining).min()
    };
    Some(Seen {
        provider: &deployment.name,
        endpoint: &deployment.id,
        healthy: endpoint.is_well(now_ms),
        state: endpoint.out(now_ms).map_or("", |standing| standing.as_str()),
        in_flight: endpoint.in_flight(),
        waiting: line.map_or(0, |line| line.waiting()),
        places: line.and_then(|line| line.most()),
        requests_left: least(|learned| learned.requests),
        tokens_left: least(|learned| learned.tokens),
        breaker_opened: reports.iter().map(|(_, report)| report.opened).sum(),
    })
}
