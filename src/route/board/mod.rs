//! Everything that is known of endpoints and routes, for as long as the process lives: a reload binds
//! the new configuration to what was learnt under the old one.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::affinity;
use super::budget::RetryBudget;
use super::latency::Quantiles;
use super::vital::{Report, Standing, Vital};
use crate::config::attempts::RetryShare;
use crate::config::runtime::{Deployment, Runtime};

/// Models of one endpoint that are watched apart; what clients invent beyond shares one place.
const MOST_MODELS: usize = 256;
/// A credential that was refused is tried again after this long, and after twice as long each time.
const LOCKED_MS: u64 = 60_000;
const LONGEST_LOCKED_MS: u64 = 600_000;

/// One endpoint of a provider.
#[derive(Debug)]
pub struct Endpoint {
    pub id: String,
    /// A hash of the id: the same in every process.
    pub number: u64,
    pub(super) in_flight: AtomicU32,
    drained: AtomicBool,
    unwell: AtomicBool,
    /// All its places are taken.
    full: AtomicBool,
    /// Its credential was refused; the numbers are in `lock`.
    locked: AtomicBool,
    lock: Mutex<Lock>,
}

#[derive(Debug, Default)]
struct Lock {
    until_ms: u64,
    for_ms: u64,
}

impl Endpoint {
    fn new(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.clone(),
            number: affinity::id(&[&deployment.id]),
            in_flight: AtomicU32::new(0),
            drained: AtomicBool::new(false),
            unwell: AtomicBool::new(false),
            full: AtomicBool::new(false),
            locked: AtomicBool::new(false),
            lock: Mutex::default(),
        }
    }

    /// Requests there, of all models.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Why nothing of it should be asked.
    pub fn out(&self, now_ms: u64) -> Option<Standing> {
        if self.drained.load(Ordering::Relaxed) {
            return Some(Standing::Drained);
        }
        if self.unwell.load(Ordering::Relaxed) {
            return Some(Standing::Unwell);
        }
        if !self.locked.load(Ordering::Relaxed) {
            return None;
        }
        let until_ms = self.lock.lock().unwrap_or_else(PoisonError::into_inner).until_ms;
        (until_ms > now_ms).then_some(Standing::Locked { until_ms })
    }

    /// Takes it out, or puts it back, by hand.
    pub fn drain(&self, drained: bool) {
        self.drained.store(drained, Ordering::Relaxed);
    }

    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Whether a request would have to wait for a place.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// What the active check found; says whether that is news.
    pub fn checked(&self, well: bool) -> bool {
        self.unwell.swap(!well, Ordering::Relaxed) == well
    }

    /// Its credential was refused, and has not been taken since.
    pub fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// A request that began then was refused for its credential. Of many that were, one counts.
    pub(super) fn lock_out(&self, began_ms: u64, now_ms: u64) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if began_ms < lock.until_ms {
            return;
        }
        lock.for_ms = lock.for_ms.saturating_mul(2).clamp(LOCKED_MS, LONGEST_LOCKED_MS);
        lock.until_ms = now_ms.saturating_add(lock.for_ms);
        if !self.locked.swap(true, Ordering::Relaxed) {
            tracing::error!(endpoint = %self.id, "the provider refuses the credential: nothing is sent there for now");
        }
    }

    /// The credential may be another now: one request finds out.
    fn look_again(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).until_ms = 0;
    }

    pub(super) fn unlock(&self) {
        if self.locked.load(Ordering::Relaxed) && self.locked.swap(false, Ordering::Relaxed) {
            *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Lock::default();
            tracing::info!(endpoint = %self.id, "the provider takes the credential again");
        }
    }
}

/// An endpoint with its models. They know their endpoint and not this, so that it goes when the
/// configuration has it no more.
#[derive(Debug)]
pub struct Watched {
    pub endpoint: Arc<Endpoint>,
    models: ArcSwap<HashMap<String, Arc<Vital>>>,
    /// Held while a model is added.
    adding: Mutex<()>,
}

impl Deref for Watched {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Watched {
    fn new(deployment: &Deployment) -> Self {
        Self { endpoint: Arc::new(Endpoint::new(deployment)), models: ArcSwap::default(), adding: Mutex::default() }
    }

    /// What is known of a model there.
    pub fn vital(&self, model: &str) -> Arc<Vital> {
        if let Some(known) = self.models.load().get(model) {
            return Arc::clone(known);
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut models = HashMap::clone(&self.models.load());
        if models.len() >= MOST_MODELS {
            // Names that clients made up have told nothing worth keeping.
            models.retain(|_, vital| vital.is_of_use());
        }
        // The empty name is nobody's.
        let name = if models.len() < MOST_MODELS { model } else { "" };
        let new = || Arc::new(Vital::new(Arc::clone(&self.endpoint)));
        let vital = Arc::clone(models.entry(name.to_owned()).or_insert_with(new));
        self.models.store(Arc::new(models));
        vital
    }

    /// Of all its models: the best of them, unless nothing of it should be asked.
    pub fn standing(&self, now_ms: u64) -> Standing {
        if let Some(out) = self.out(now_ms) {
            return out;
        }
        let models = self.models.load();
        let best = models.values().map(|vital| vital.standing(0, now_ms)).min_by_key(|standing| standing.rank());
        best.unwrap_or_else(|| if self.is_full() { Standing::Full } else { Standing::Good })
    }

    /// How a model there is, where anybody has asked for it.
    pub fn report(&self, model: &str, now_ms: u64) -> Option<Report> {
        self.models.load().get(model).map(|vital| vital.report(now_ms))
    }

    /// Each model that was asked for, and how it is.
    pub fn reports(&self, now_ms: u64) -> Vec<(String, Report)> {
        let models = self.models.load();
        let mut all: Vec<_> = models.iter().map(|(name, vital)| (name.clone(), vital.report(now_ms))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Whether anything of it may be asked.
    pub fn is_well(&self, now_ms: u64) -> bool {
        !self.standing(now_ms).is_out()
    }
}

/// What is known of a route: when first tokens come.
#[derive(Debug, Default)]
pub struct RouteTimes(Mutex<Quantiles>);

impl RouteTimes {
    pub fn add(&self, first_token_ms: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(first_token_ms);
    }

    /// When 95 of 100 have come.
    pub fn late_ms(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at_ms(95)
    }
}

/// See the module documentation.
#[derive(Debug)]
pub struct Board {
    endpoints: HashMap<String, Arc<Watched>>,
    routes: HashMap<String, Arc<RouteTimes>>,
    share: RetryShare,
    pub budget: Arc<RetryBudget>,
}

impl Board {
    pub fn new(runtime: &Runtime) -> Self {
        Self::bind(runtime, None)
    }

    /// For a configuration, with what `old` knows of what is still there.
    pub fn bind(runtime: &Runtime, old: Option<&Self>) -> Self {
        let endpoint = |deployment: &Arc<Deployment>| {
            let known = old.and_then(|old| old.endpoints.get(&deployment.id)).cloned();
            if let Some(known) = &known {
                known.look_again();
            }
            (deployment.id.clone(), known.unwrap_or_else(|| Arc::new(Watched::new(deployment))))
        };
        let route = |name: &String| {
            let known = old.and_then(|old| old.routes.get(name)).cloned();
            (name.clone(), known.unwrap_or_default())
        };
        let share = runtime.retry_budget;
        let known = old.filter(|old| old.share == share).map(|old| Arc::clone(&old.budget));
        Self {
            endpoints: runtime.endpoints().map(endpoint).collect(),
            routes: runtime.routes.keys().map(route).collect(),
            share,
            budget: known.unwrap_or_else(|| Arc::new(RetryBudget::new(share.percent, share.floor))),
        }
    }

    pub fn endpoint(&self, id: &str) -> Option<&Arc<Watched>> {
        self.endpoints.get(id)
    }

    pub fn route(&self, name: &str) -> Option<&Arc<RouteTimes>> {
        self.routes.get(name)
    }

    /// What is known of a model at a deployment's endpoint.
    pub fn vital(&self, deployment: &Deployment, model: &str) -> Option<Arc<Vital>> {
        self.endpoints.get(&deployment.id).map(|endpoint| endpoint.vital(model))
    }
}

#[cfg(test)]
mod tests;
