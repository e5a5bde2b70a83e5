//! What the admin plane looks at and does.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::database::Stored;
use super::ledger::Fold;
use super::live::Live;
use super::show;
use super::shutdown::InFlight;
use crate::admin::Backend;
use crate::alert::Alerts;
use crate::config::dump;
use crate::config::reload::Reloader;
use crate::config::runtime::{Deployment, Runtime};
use crate::limit::Scope;
use crate::limit::budget::Balance;
use crate::limit::clock::{Clock, unix_ms};
use crate::route::quota::{Learned, Window};
use crate::store::Database;
use crate::telemetry::kept::Kept;
use crate::telemetry::{Seen, Telemetry};

/// Records take a moment to the list of those that are kept.
const SETTLE: Duration = Duration::from_millis(250);

/// See the module documentation.
pub(super) struct Plane {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) fold: Option<Arc<Fold>>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) alerts: Arc<Alerts>,
    pub(super) stored: Arc<Stored>,
    pub(super) clock: Clock,
}

impl Backend for Plane {
    fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.live.load().runtime)
    }

    fn config_json(&self) -> String {
        dump::json(&self.live.load().runtime).to_string()
    }

    fn reload(&self) -> Result<String, String> {
        self.reloader.reload().map(|status| status.hash).map_err(|report| report.to_string())
    }

    fn metrics(&self) -> String {
        let (live, now_ms) = (self.live.load(), self.clock.now_ms());
        let all: Vec<Seen<'_>> =
            live.runtime.endpoints().filter_map(|deployment| seen(&live, deployment, now_ms)).collect();
        self.telemetry.endpoints(&all);
        self.telemetry.budgets(tenant_budgets(&live));
        let counts = self.alerts.counts();
        self.telemetry.alerts(&counts.raised, &counts.deliveries, counts.dropped);
        if let Some(fold) = &self.fold {
            self.telemetry.ledger(&fold.look());
        }
        self.telemetry.render()
    }

    fn draining(&self) -> bool {
        self.in_flight.draining()
    }

    fn providers_json(&self) -> Vec<u8> {
        show::providers(&self.live.load(), self.clock.now_ms())
    }

    fn routes_json(&self) -> Vec<u8> {
        show::routes(&self.live.load(), self.clock.now_ms())
    }

    fn alerts_json(&self) -> Vec<u8> {
        self.alerts.json()
    }

    fn drain(&self, endpoint: &str, drained: bool) -> bool {
        let live = self.live.load();
        let Some(known) = live.board.endpoint(endpoint) else { return false };
        known.drain(drained);
        tracing::info!(endpoint, drained, "an endpoint was taken out or put back by hand");
        true
    }

    fn balances(&self, scope: &Scope) -> Vec<Balance> {
        self.live.load().purses.get(scope).map(|purse| purse.balances(unix_ms())).unwrap_or_default()
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.stored.database()
    }

    fn requests(&self) -> Arc<Kept> {
        self.telemetry.flush(SETTLE);
        self.telemetry.kept()
    }
}

/// Tenants' budgets as a scrape finds them: keys may be many.
fn tenant_budgets(live: &Live) -> impl Iterator<Item = (&str, Balance)> {
    let unix_ms = unix_ms();
    let tenants = live.purses.values().filter(|purse| matches!(purse.scope(), Scope::Tenant(_)));
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
