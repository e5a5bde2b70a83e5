//! What the admin plane looks at and does.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::database::Stored;
use super::ledger::Fold;
use super::live::{Callers, Live};
use super::playground::OwnListener;
use super::registry::{self, Registry};
use super::show;
use super::shutdown::InFlight;
use crate::admin::Backend;
use crate::admin::playground::Playground;
use crate::alert::Alerts;
use crate::capture::Captures;
use crate::config::dump;
use crate::config::reload::Reloader;
use crate::config::runtime::{Deployment, Key, Runtime};
use crate::limit::Scope;
use crate::limit::budget::Balance;
use crate::limit::clock::{Clock, unix_ms};
use crate::route::quota::{Learned, Window};
use crate::secret::Secret;
use crate::stage::models;
use crate::store::{AuditPage, Database, Failure, StoreError};
use crate::telemetry::kept::Kept;
use crate::telemetry::{Seen, Telemetry};
use crate::tenant::audit::Entry;
use crate::tenant::stored::made::Members;
use crate::tenant::stored::{Held, StoredKey};
use crate::wire::Dialect;

/// Records take a moment to the list of those that are kept.
const SETTLE: Duration = Duration::from_millis(250);

/// See the module documentation.
pub(super) struct Plane {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) fold: Option<Arc<Fold>>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) registry: Arc<Registry>,
    pub(super) alerts: Arc<Alerts>,
    pub(super) captures: Arc<Captures>,
    pub(super) stored: Arc<Stored>,
    pub(super) clock: Clock,
    pub(super) playground: OwnListener,
}

impl Backend for Plane {
    fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.live.load().runtime)
    }

    fn config_json(&self) -> String {
        dump::json(&self.live.load().runtime).to_string()
    }

    fn reload(&self, who: &str) -> Result<String, String> {
        self.reloader.reload(who).map(|status| status.hash).map_err(|report| report.to_string())
    }

    fn metrics(&self) -> String {
        // One at a time: the admin plane answers this on its one thread.
        let (live, now_ms) = (self.live.load(), self.clock.now_ms());
        let all: Vec<Seen<'_>> =
            live.runtime.endpoints().filter_map(|deployment| seen(&live, deployment, now_ms)).collect();
        self.telemetry.endpoints(&all);
        self.telemetry.budgets(tenant_budgets(&live.callers.load()));
        let counts = self.alerts.counts();
        self.telemetry.alerts(&counts.raised, &counts.deliveries, counts.dropped);
        let captured = self.captures.counts();
        self.telemetry.captures(captured.kept, captured.dropped, captured.running);
        if let Some(fold) = &self.fold {
            self.telemetry.ledger(&fold.look());
        }
        self.telemetry.render()
    }

    fn in_flight(&self) -> u64 {
        self.in_flight.count()
    }

    fn throttled(&self) -> u64 {
        self.telemetry.throttled_so_far()
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

    fn models_json(&self) -> Vec<u8> {
        // As a key's list that nothing narrows.
        models::list(Dialect::OpenAiChat, None, &Key::default(), &self.live.load().runtime).unwrap_or_default().into()
    }

    fn alerts_json(&self) -> Vec<u8> {
        self.alerts.json()
    }

    fn drain(&self, who: &str, endpoint: &str, drained: bool) -> bool {
        let live = self.live.load();
        let Some(known) = live.board.endpoint(endpoint) else { return false };
        known.drain(drained);
        let action = if drained { "endpoint.drain" } else { "endpoint.undrain" };
        self.registry.record(registry::change(who, action, endpoint, "{}".to_owned()));
        true
    }

    fn balances(&self, scope: &Scope) -> Vec<Balance> {
        self.live.load().callers.load().purses.get(scope).map(|purse| purse.balances(unix_ms())).unwrap_or_default()
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.stored.database()
    }

    fn requests(&self) -> Arc<Kept> {
        self.telemetry.flush(SETTLE);
        self.telemetry.kept()
    }

    fn stored_keys(&self) -> Vec<Arc<Held>> {
        self.registry.shelf().iter().cloned().collect()
    }

    fn keys_known(&self) -> bool {
        self.registry.is_known()
    }

    fn keys_age(&self) -> Option<Duration> {
        self.registry.age()
    }

    fn create_key(&self, who: &str, asked: Members) -> Result<(StoredKey, Secret), Failure> {
        self.registry.create(who, asked)
    }

    fn change_key(&self, who: &str, id: &str, asked: &[u8]) -> Result<StoredKey, Failure> {
        self.registry.change(who, id, asked)
    }

    fn rotate_key(&self, who: &str, id: &str, grace: Duration) -> Result<(StoredKey, Secret), Failure> {
        self.registry.rotate(who, id, grace)
    }

    fn revoke_key(&self, who: &str, id: &str) -> Result<StoredKey, Failure> {
        self.registry.revoke(who, id)
    }

    fn captures(&self) -> &Captures {
        &self.captures
    }

    fn playground(&self) -> &dyn Playground {
        &self.playground
    }

    fn record(&self, who: &str, action: &'static str, target: &str, detail: String) {
        self.registry.record(registry::change(who, action, target, detail));
    }

    fn audit(&self, page: AuditPage) -> Result<Vec<Entry>, StoreError> {
        self.registry.audit(page)
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
