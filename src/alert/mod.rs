//! What the operator is told of without asking.
//!
//! Whoever sees something calls a function of [`Alerts`] (`facts`): that looks whether the same was
//! told not long ago (`told`), keeps the alert for the admin API and puts it on a bounded queue. It
//! neither waits nor allocates where nothing is new. One task with a thread of its own
//! ([`courier`]) takes the queue and brings each alert to the webhooks that want it (`post`), as
//! `message` writes it and `sign` signs it. Spending (`spending`) and prices that nobody knows are
//! read off the records' lines on the access log's thread, so requests pay nothing for them.
//!
//! # How to wire it
//! `Alerts::new` once per process, [`Alerts::bind`] at each reload, [`Alerts::settled`] for each
//! record's line, [`Alerts::counts`] at each scrape.

pub mod courier;
mod event;
mod facts;
mod message;
mod post;
mod settled;
mod spending;
mod told;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use uuid::Uuid;

pub use event::{Alert, Event, Severity};
pub use post::Delivery;
pub use spending::Spender;

use crate::config::alerts::{self, AlertKind};
use crate::limit::clock::{Clock, Moment, unix_ms, whole_ms};
use crate::record::Record;
use crate::wire::json::Obj;
use spending::Spending;
use told::{Told, Verdict};

/// Alerts that wait to be taken; what comes on top is dropped and counted.
const MOST_WAITING: usize = 1_024;
/// The last ones, for the admin API.
const MOST_KEPT: usize = 200;

/// See the module documentation.
#[derive(Debug)]
pub struct Alerts {
    clock: Clock,
    rules: ArcSwap<alerts::Alerts>,
    state: Mutex<State>,
    spending: Mutex<Spending>,
}

#[derive(Debug, Default)]
struct State {
    told: Told,
    /// The newest last.
    kept: VecDeque<Arc<Alert>>,
    out: VecDeque<Arc<Alert>>,
    raised: BTreeMap<AlertKind, u64>,
    dropped: u64,
    /// By the webhook's name and how it went.
    deliveries: BTreeMap<String, [u64; Delivery::ALL.len()]>,
}

/// How often what happened, since the process began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub raised: Vec<(&'static str, u64)>,
    /// Webhook, result, how often.
    pub deliveries: Vec<(String, &'static str, u64)>,
    pub dropped: u64,
}

impl Alerts {
    pub fn new(rules: Arc<alerts::Alerts>, clock: Clock) -> Self {
        let mut spending = Spending::default();
        spending.bind(rules.spend_spikes);
        Self { clock, rules: ArcSwap::new(rules), state: Mutex::default(), spending: Mutex::new(spending) }
    }

    /// Another configuration. What was told stays told.
    pub fn bind(&self, rules: &Arc<alerts::Alerts>) {
        self.spending().bind(rules.spend_spikes);
        self.rules.store(Arc::clone(rules));
    }

    pub fn rules(&self) -> Arc<alerts::Alerts> {
        self.rules.load_full()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spending(&self) -> MutexGuard<'_, Spending> {
        self.spending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened that has no end.
    pub fn raise(&self, event: Event) {
        self.raise_at(event, false, self.clock.moment());
    }

    /// Something began, or goes on; [`Self::resolve`] says when it is over.
    pub fn begin(&self, event: Event) {
        self.raise_at(event, true, self.clock.moment());
    }

    fn raise_at(&self, event: Event, goes_on: bool, at: Moment) {
        let repeat_after = self.rules.load().repeat_after;
        let mut state = self.state();
        match state.told.raise(&event, goes_on, at.now_ms, repeat_after) {
            Verdict::Known => {}
            Verdict::TooMany => state.dropped = state.dropped.saturating_add(1),
            Verdict::Tell => {
                *state.raised.entry(event.kind).or_default() += 1;
                state.tell(event, at.unix_ms);
            }
        }
    }

    fn going_on(&self, subject: &str) -> Vec<(AlertKind, String)> {
        self.state().told.of(subject)
    }

    /// What this event is about is over. Nothing is said of what nobody was told of.
    pub fn resolve(&self, event: Event) {
        self.resolve_at(event, self.clock.moment());
    }

    fn resolve_at(&self, event: Event, at: Moment) {
        let mut state = self.state();
        let Some(lasted) = state.told.over(&event, at.now_ms) else { return };
        let event = event.over().with(|data| _ = data.num("lasted_ms", whole_ms(lasted)));
        *state.raised.entry(event.kind).or_default() += u64::from(event.kind.is_an_end());
        state.tell(event, at.unix_ms);
    }

    /// All that waits to be brought to somebody.
    fn take(&self) -> VecDeque<Arc<Alert>> {
        std::mem::take(&mut self.state().out)
    }

    fn count(&self, webhook: &str, delivery: Delivery) {
        let mut state = self.state();
        let counts = state.deliveries.entry(webhook.to_owned()).or_default();
        for (count, kind) in counts.iter_mut().zip(Delivery::ALL) {
            *count += u64::from(kind == delivery);
        }
    }

    /// For a scrape.
    pub fn counts(&self) -> Counts {
        let state = self.state();
        let deliveries = state.deliveries.iter().flat_map(|(name, counts)| {
            Delivery::ALL.iter().zip(counts).map(|(delivery, count)| (name.clone(), delivery.as_str(), *count))
        });
        Counts {
            raised: AlertKind::WORDS
                .iter()
                .map(|(word, kind)| (*word, state.raised.get(kind).copied().unwrap_or_default()))
                .collect(),
            deliveries: deliveries.collect(),
            dropped: state.dropped,
        }
    }

    /// `{"data": [alert, ...]}`, the newest first.
    pub fn json(&self) -> Vec<u8> {
        let kept: Vec<Arc<Alert>> = self.state().kept.iter().rev().cloned().collect();
        let mut body = Vec::new();
        let mut root = Obj::new(&mut body);
        let mut rows = root.arr("data");
        for alert in kept {
            alert.write(&mut rows.obj());
        }
        drop(rows);
        drop(root);
        body
    }

    /// What was spent before this process began, from the roll-ups of the ledger, the oldest first.
    pub fn remember_spending(&self, who: Spender, name: &str, at_unix_ms: u64, pico_usd: u64) {
        self.spending().remember(who, name, at_unix_ms, pico_usd);
    }

    /// What a record says of spending and of prices that nobody knows. Off the request path.
    pub fn settled(&self, record: &Record<'_>) {
        self.settled_at(record, unix_ms());
    }
}

impl State {
    fn tell(&mut self, event: Event, at_ms: u64) {
        log(&event);
        let alert = Arc::new(Alert { id: Uuid::now_v7(), at_ms, event });
        if self.kept.len() >= MOST_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Arc::clone(&alert));
        if self.out.len() >= MOST_WAITING {
            self.dropped = self.dropped.saturating_add(1);
        } else {
            self.out.push_back(alert);
        }
    }
}

/// Says so in the log, where nobody else does.
fn log(event: &Event) {
    let (kind, subject, text) = (event.kind.as_str(), &event.subject, &event.text);
    match (event.kind, event.resolved, event.severity) {
        (
            AlertKind::BudgetThreshold
            | AlertKind::ConfigReloadFailed
            | AlertKind::CredentialFailed
            | AlertKind::DatabaseDown
            | AlertKind::DatabaseUp
            | AlertKind::StoreDown
            | AlertKind::StoreUp,
            ..,
        ) => {}
        (_, true, _) | (_, _, Severity::Info) => tracing::info!(alert = kind, subject, "{text}"),
        (_, _, Severity::Warning) => tracing::warn!(alert = kind, subject, "{text}"),
        (_, _, Severity::Critical) => tracing::error!(alert = kind, subject, "{text}"),
    }
}

#[cfg(test)]
mod tests;
