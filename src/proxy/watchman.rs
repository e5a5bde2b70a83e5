//! Looks, once a second, at what nobody is told of when it happens: endpoints that stay out, refused
//! credentials, a ledger that is late or full. And brings the alerts to whom they are for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use super::credentials::Calls;
use super::database::Stored;
use super::fleet;
use super::ledger::Fold;
use super::live::Live;
use crate::alert::courier::Courier;
use crate::alert::{Alerts, Spender};
use crate::config::read::{Day, Scalar as _};
use crate::limit::clock::{Clock, unix_ms, whole_ms};
use crate::limit::shared::Shared;
use crate::route::vital::{Report, Standing};
use crate::store::{By, Database, UsageQuery};

const EVERY: Duration = Duration::from_secs(1);
/// What the ledger's sums are apart by.
const HOUR: Duration = Duration::from_secs(3_600);
/// Sums of an hour that are read of tenants, of keys and of tags, the dearest first: clients may have made up many.
const MOST_HOURS: u32 = 100_000;
/// A breaker that nobody has tried for this long says nothing of the present.
const STALE_MS: u64 = 600_000;

/// See the module documentation.
pub(super) struct Watchman {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) alerts: Arc<Alerts>,
    /// None where nothing is recorded.
    pub(super) fold: Option<Arc<Fold>>,
    pub(super) stored: Arc<Stored>,
    /// None where limits are not shared.
    pub(super) store: Option<Arc<Shared>>,
    pub(super) clock: Clock,
}

/// An endpoint, or a model there.
type Place = (String, Option<String>);

/// Since when what is out is out.
#[derive(Debug, Default)]
struct Round {
    out_since_ms: HashMap<Place, u64>,
    told: BTreeSet<Place>,
    refused: BTreeSet<String>,
    /// Those of the configuration of the last look.
    known: BTreeSet<String>,
}

#[async_trait]
impl BackgroundService for Watchman {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(EVERY);
        let (mut round, began_ms) = (Round::default(), unix_ms());
        let mut remembers = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            let live = self.live.load_full();
            round.go(&live, &self.alerts, self.clock.now_ms());
            if let Some(fold) = &self.fold {
                fold.tell(&self.alerts, !live.runtime.state.ledger.serve_unrecorded);
            }
            // That it went was told when it went; that it is still gone is told again.
            if let Some(store) = self.store.as_ref().filter(|store| !store.is_up()) {
                fleet::tell(&self.alerts, store.is_up());
            }
            if let (false, Some(database)) = (remembers, self.stored.database()) {
                remembers = true;
                let alerts = Arc::clone(&self.alerts);
                let _ = tokio::task::spawn_blocking(move || remember(&alerts, &database, began_ms)).await;
            }
        }
    }
}

/// Takes the history of what was spent from the ledger, up to the hour that the process began in. Where
/// that fails it is learnt anew. Blocks.
fn remember(alerts: &Alerts, database: &Database, began_ms: u64) {
    let Some(rules) = alerts.rules().spend_spikes.filter(|rules| rules.window >= HOUR) else { return };
    let seconds = |ms: u64| i64::try_from(ms / 1_000).unwrap_or_default();
    let until_s = seconds(began_ms - began_ms % whole_ms(HOUR));
    let since_s = until_s.saturating_sub(seconds(whole_ms(rules.history)));
    for (who, by) in [(Spender::Tenant, By::Tenant), (Spender::Key, By::Key), (Spender::Tag, By::Tag)] {
        let by = vec![by, By::Hour];
        let query = UsageQuery {
            by,
            since_s: Some(since_s),
            until_s: Some(until_s),
            limit: MOST_HOURS,
            ..UsageQuery::default()
        };
        let mut rows = match database.usage(&query) {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!("what was spent before cannot be looked up, spikes are learnt anew: {error}");
                return;
            }
        };
        rows.sort_by(|a, b| a.names.last().cmp(&b.names.last()));
        for row in rows {
            let [Some(name), Some(hour)] = row.names.as_slice() else { continue };
            let hour_ms = Day::parse(hour).map_or(0, |hour| hour.unix_seconds.unsigned_abs().saturating_mul(1_000));
            let pico = u64::try_from(row.used.charged().0).unwrap_or_default();
            alerts.remember_spending(who, name, hour_ms, pico);
        }
    }
}

impl Round {
    fn go(&mut self, live: &Live, alerts: &Alerts, now_ms: u64) {
        self.forget(live, alerts);
        let mut out: HashMap<Place, Option<String>> = HashMap::new();
        let mut refused = BTreeSet::new();
        for deployment in live.runtime.endpoints() {
            let Some(endpoint) = live.board.endpoint(&deployment.id) else { continue };
            if endpoint.is_locked() {
                refused.insert(endpoint.id.clone());
            }
            if endpoint.out(now_ms) == Some(Standing::Unwell) {
                out.insert((endpoint.id.clone(), None), Some("its check fails".to_owned()));
            }
            for (model, report) in endpoint.reports(now_ms) {
                if let Some(why) = broken(&report, now_ms) {
                    out.insert((endpoint.id.clone(), Some(model)), why);
                }
            }
        }
        self.credentials(&refused, alerts);
        self.endpoints(&out, alerts, now_ms);
    }

    /// Endpoints that are gone from the configuration are neither out nor back.
    fn forget(&mut self, live: &Live, alerts: &Alerts) {
        let now: BTreeSet<String> = live.runtime.endpoints().map(|deployment| deployment.id.clone()).collect();
        for gone in self.known.difference(&now) {
            self.told.retain(|(endpoint, _)| endpoint != gone);
            self.refused.remove(gone);
            alerts.endpoint_gone(gone);
        }
        self.known = now;
    }

    fn credentials(&mut self, refused: &BTreeSet<String>, alerts: &Alerts) {
        refused.iter().for_each(|endpoint| alerts.credential_refused(endpoint, true));
        self.refused.difference(refused).for_each(|endpoint| alerts.credential_refused(endpoint, false));
        self.refused.clone_from(refused);
    }

    fn endpoints(&mut self, out: &HashMap<Place, Option<String>>, alerts: &Alerts, now_ms: u64) {
        let most_ms = whole_ms(alerts.rules().endpoint_down);
        self.out_since_ms.retain(|place, _| out.contains_key(place));
        let back: Vec<Place> = self.told.iter().filter(|place| !out.contains_key(*place)).cloned().collect();
        for place in back {
            alerts.endpoint_down(&place.0, place.1.as_deref(), None);
            self.told.remove(&place);
        }
        for (place, why) in out {
            let since_ms = *self.out_since_ms.entry(place.clone()).or_insert(now_ms);
            if let (Some(why), true) = (why, now_ms.saturating_sub(since_ms) >= most_ms) {
                alerts.endpoint_down(&place.0, place.1.as_deref(), Some(why));
                self.told.insert(place.clone());
            }
        }
    }
}

/// Whether a model's breaker has not closed again, and what to say of it: nothing where nobody has tried
/// for long.
fn broken(report: &Report, now_ms: u64) -> Option<Option<String>> {
    let until_ms = report.open_until_ms?;
    let is_tried = until_ms.saturating_add(STALE_MS) > now_ms;
    Some(is_tried.then(|| "its breaker is open".to_owned()))
}

/// Brings alerts to webhooks, to the end of the process: a drain has alerts too.
pub(super) struct Deliver(pub(super) Arc<Alerts>);

#[async_trait]
impl BackgroundService for Deliver {
    async fn start(&self, _shutdown: ShutdownWatch) {
        Courier::new(Arc::clone(&self.0), Arc::new(Calls::new())).run().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::System;
    use crate::config::load;
    use crate::error::{Error, Kind};
    use crate::limit::Limiter;
    use crate::route::cause::Failure;
    use crate::tenant::keys::Roster;

    const LAB: &str = "
providers:
  lab: {kind: vllm, base_url: 'http://10.0.0.1:8000'}
tenants: {t: {keys: [{id: k, secret: kkkk}]}}
alerts: {endpoint_down: 30s}
";

    fn world() -> (Live, Alerts) {
        let runtime = Arc::new(load::from_text(LAB, "weir.yaml", &System).unwrap());
        let alerts = Alerts::new(Arc::clone(&runtime.alerts), Clock::start());
        (Live::new(runtime, Roster::default(), &Limiter::new(), Clock::start(), None).unwrap(), alerts)
    }

    fn told(alerts: &Alerts) -> Vec<String> {
        let text = String::from_utf8(alerts.json()).unwrap();
        let of = |part: &str, name: &str| {
            let (_, rest) = part.split_once(&format!("\"{name}\":\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let parts = text.split("{\"id\"").skip(1);
        let mut all: Vec<String> = parts.map(|p| format!("{} {}", of(p, "kind"), of(p, "state"))).collect();
        all.reverse();
        all
    }

    #[test]
    fn an_endpoint_that_stays_out_is_told_of_after_a_while_and_when_it_is_back() {
        let (live, alerts) = world();
        let mut round = Round::default();
        let endpoint = live.board.endpoint("lab").unwrap();
        endpoint.checked(false);
        round.go(&live, &alerts, 1_000);
        round.go(&live, &alerts, 30_999);
        assert_eq!(told(&alerts), Vec::<String>::new());
        round.go(&live, &alerts, 31_000);
        round.go(&live, &alerts, 32_000);
        assert_eq!(told(&alerts), ["endpoint_down raised"]);
        endpoint.checked(true);
        round.go(&live, &alerts, 33_000);
        round.go(&live, &alerts, 34_000);
        assert_eq!(told(&alerts), ["endpoint_down raised", "endpoint_down resolved"]);
    }

    #[test]
    fn an_endpoint_that_is_gone_from_the_file_is_not_said_to_serve_again() {
        let (live, alerts) = world();
        let mut round = Round::default();
        let endpoint = live.board.endpoint("lab").unwrap();
        endpoint.checked(false);
        round.go(&live, &alerts, 0);
        round.go(&live, &alerts, 30_000);
        alerts.credential_fetched("lab", Some("no answer"));
        let other = LAB.replace("lab:", "other:");
        let runtime = Arc::new(load::from_text(&other, "weir.yaml", &System).unwrap());
        let limiter = Limiter::new();
        let next = Live::new(runtime, Roster::default(), &limiter, Clock::start(), Some(&live)).unwrap();
        round.go(&next, &alerts, 31_000);
        round.go(&next, &alerts, 32_000);
        let all = told(&alerts);
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(all[2..].iter().all(|told| told.ends_with("resolved")), "{all:?}");
        let text = String::from_utf8(alerts.json()).unwrap();
        assert_eq!(text.matches("the endpoint `lab` is no longer in the configuration").count(), 2, "{text}");
        assert!(!text.contains("serves again"), "{text}");
    }

    #[test]
    fn a_short_break_is_nobodys_worry() {
        let (live, alerts) = world();
        let mut round = Round::default();
        let endpoint = live.board.endpoint("lab").unwrap();
        for at_ms in [0, 20_000, 40_000] {
            endpoint.checked(false);
            round.go(&live, &alerts, at_ms);
            endpoint.checked(true);
            round.go(&live, &alerts, at_ms + 19_000);
        }
        assert_eq!(told(&alerts), Vec::<String>::new());
    }

    #[test]
    fn a_models_breaker_counts_as_long_as_somebody_tries_it() {
        let (live, alerts) = world();
        let mut round = Round::default();
        let vital = live.board.endpoint("lab").unwrap().vital("m");
        let failure = Failure::of(&Error::new(Kind::UpstreamFailed, "no"));
        for _ in 0..7 {
            vital.begin(0).failed(&failure, 0);
        }
        round.go(&live, &alerts, 1_000);
        round.go(&live, &alerts, 31_000);
        assert_eq!(told(&alerts), ["endpoint_down raised"]);
        let text = String::from_utf8(alerts.json()).unwrap();
        assert!(text.contains("the model `m` at the endpoint `lab` is out: its breaker is open"), "{text}");
        // Hours later nobody has asked for it: neither news nor good news.
        round.go(&live, &alerts, 5 * 3_600_000);
        assert_eq!(told(&alerts).len(), 1);
        for _ in 0..2 {
            vital.begin(5 * 3_600_000).succeeded(5, 5 * 3_600_000);
        }
        round.go(&live, &alerts, 5 * 3_600_000 + 1_000);
        assert_eq!(told(&alerts), ["endpoint_down raised", "endpoint_down resolved"]);
    }

    #[test]
    fn a_refused_credential_is_told_of_until_it_is_taken() {
        let (live, alerts) = world();
        let mut round = Round::default();
        let vital = live.board.endpoint("lab").unwrap().vital("m");
        vital.begin(0).failed(&Failure::of(&Error::new(Kind::UpstreamAuth, "no")), 5);
        round.go(&live, &alerts, 10);
        // Also once it may be tried again.
        round.go(&live, &alerts, 3_600_000);
        assert_eq!(told(&alerts), ["credential_failed raised"]);
        vital.begin(3_600_001).credential_taken();
        round.go(&live, &alerts, 3_600_002);
        assert_eq!(told(&alerts), ["credential_failed raised", "credential_failed resolved"]);
    }
}
