//! What the admin plane looks at and does.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::database::Stored;
use super::live::Live;
use super::playground::OwnListener;
use super::registry::{self, Registry};
use super::scrape::Scrape;
use super::show;
use super::shutdown::InFlight;
use crate::admin::Backend;
use crate::admin::playground::Playground;
use crate::alert::Alerts;
use crate::capture::Captures;
use crate::config::dump;
use crate::config::reload::Reloader;
use crate::config::runtime::{Key, Runtime};
use crate::limit::Scope;
use crate::limit::budget::Balance;
use crate::limit::clock::{Clock, unix_ms};
use crate::secret::Secret;
use crate::stage::models;
use crate::store::{AuditPage, Database, Failure, StoreError};
use crate::telemetry::Telemetry;
use crate::telemetry::kept::Kept;
use crate::telemetry::running::Running;
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
    pub(super) scrape: Arc<Scrape>,
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
        self.scrape.text()
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

    fn tools_json(&self) -> Vec<u8> {
        self.live.load().tools.json()
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

    fn running(&self) -> Arc<Running> {
        Arc::clone(self.telemetry.running())
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
