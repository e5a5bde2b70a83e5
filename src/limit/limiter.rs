//! The process's counters, and the limits that a configuration puts on them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use super::budget::{Accounts, Purse, Purses};
use super::clock::whole_ms;
use super::gate::{Counters, Gate, KeyLimits, Scope};
use crate::config::budget::Budget;
use crate::config::runtime::{Key, Limits, ModelPattern, Runtime, Tenant};

/// Every scope's counters, by its stable id. One for the process.
#[derive(Debug, Default)]
pub struct Limiter {
    counters: Mutex<HashMap<Scope, Arc<Counters>>>,
    accounts: Arc<Accounts>,
}

/// A configuration's keys with their limits resolved.
#[derive(Debug)]
pub struct Bound {
    keys: HashMap<[u8; 32], Arc<KeyLimits>>,
    purses: BTreeMap<Scope, Arc<Purse>>,
}

impl Bound {
    /// The limits of the key with that SHA-256.
    pub fn get(&self, sha256: &[u8; 32]) -> Option<&Arc<KeyLimits>> {
        self.keys.get(sha256)
    }

    /// The purses of all tenants and keys.
    pub fn into_purses(self) -> BTreeMap<Scope, Arc<Purse>> {
        self.purses
    }
}

/// What the keys of one tenant share.
#[derive(Clone)]
struct Shared {
    tenant: Option<Arc<Gate>>,
    models: Arc<[(ModelPattern, Arc<Gate>)]>,
}

impl Limiter {
    pub fn new() -> Self {
        Self::default()
    }

    /// What everybody has spent.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Resolves the limits of every key, at load and at each reload. Counters of scopes that were
    /// there before go on counting; those that no configuration and no request holds any more are
    /// forgotten; what was spent never is. Two secrets under one key id share its counters.
    pub fn bind(&self, runtime: &Runtime) -> Bound {
        self.bind_with(runtime, std::iter::empty())
    }

    /// The same, with keys that are not the configuration's.
    pub fn bind_with<'k>(
        &self,
        runtime: &'k Runtime,
        more: impl Iterator<Item = (&'k [u8; 32], &'k Arc<Key>)>,
    ) -> Bound {
        let all: Vec<_> = runtime.keys.iter().chain(more).collect();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tenants: HashMap<&str, Shared> = HashMap::new();
        let purses = self.purses(runtime, &all);
        let keys = all.iter().map(|(sha256, key)| {
            let shared = match tenants.entry(key.tenant.id.as_str()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(share(&mut counters, &key.tenant)),
            };
            (**sha256, Arc::new(limits_of(&mut counters, key, shared, &purses)))
        });
        let keys = keys.collect();
        counters.retain(|_, counters| Arc::strong_count(counters) > 1);
        Bound { keys, purses }
    }

    fn purses(&self, runtime: &Runtime, keys: &[(&[u8; 32], &Arc<Key>)]) -> BTreeMap<Scope, Arc<Purse>> {
        let unix_ms = whole_ms(runtime.loaded_at.duration_since(UNIX_EPOCH).unwrap_or_default());
        let tenants = runtime.tenants.iter().map(|tenant| (Scope::Tenant(tenant.id.clone()), &tenant.budgets));
        let keys = keys.iter().map(|(_, key)| (scope_of(key), &key.budgets));
        let open = |(scope, budgets): (Scope, &Vec<Budget>)| {
            let purse = self.accounts.open(scope.clone(), budgets, unix_ms);
            (scope, purse)
        };
        tenants.chain(keys).map(open).collect()
    }
}

fn share(counters: &mut HashMap<Scope, Arc<Counters>>, tenant: &Tenant) -> Shared {
    let mut models: Vec<(ModelPattern, Limits)> = Vec::new();
    for (pattern, limits) in &tenant.model_limits {
        match models.iter_mut().find(|(known, _)| known == pattern) {
            Some((_, known)) => *known = tightest(*known, *limits),
            None => models.push((pattern.clone(), *limits)),
        }
    }
    // Gates are locked in this order. It must not depend on the file's, or two requests that
    // began under two configurations could wait for each other.
    models.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
    let models = models.into_iter().filter_map(|(pattern, limits)| {
        let scope = Scope::Model { tenant: tenant.id.clone(), pattern: pattern.0.clone() };
        Some((pattern, gate(counters, scope, limits)?))
    });
    let models = models.collect();
    Shared { tenant: gate(counters, Scope::Tenant(tenant.id.clone()), tenant.limits), models }
}

fn limits_of(
    counters: &mut HashMap<Scope, Arc<Counters>>,
    key: &Key,
    shared: &Shared,
    purses: &BTreeMap<Scope, Arc<Purse>>,
) -> KeyLimits {
    let Shared { tenant, models } = shared.clone();
    let scopes = [Scope::Tenant(key.tenant.id.clone()), scope_of(key)];
    let purses = Purses::new(scopes.iter().filter_map(|scope| purses.get(scope).cloned()));
    KeyLimits { tenant, models, key: gate(counters, scope_of(key), key.limits), purses }
}

fn scope_of(key: &Key) -> Scope {
    Scope::Key { tenant: key.tenant.id.clone(), key: key.id.clone() }
}

fn gate(counters: &mut HashMap<Scope, Arc<Counters>>, scope: Scope, limits: Limits) -> Option<Arc<Gate>> {
    if limits == Limits::default() {
        return None;
    }
    let counters = Arc::clone(counters.entry(scope.clone()).or_default());
    Some(Arc::new(Gate { scope, limits, counters }))
}

fn tightest(a: Limits, b: Limits) -> Limits {
    let least = |a: Option<u64>, b: Option<u64>| [a, b].into_iter().flatten().min();
    Limits {
        requests_per_minute: least(a.requests_per_minute, b.requests_per_minute),
        tokens_per_minute: least(a.tokens_per_minute, b.tokens_per_minute),
        concurrency: least(a.concurrency, b.concurrency),
    }
}
