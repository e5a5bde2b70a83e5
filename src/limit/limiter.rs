//! The process's counters, and the limits that a configuration puts on them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use super::admit::{KeyLimits, TagRule};
use super::budget::{Accounts, Purse, Purses};
use super::clock::{Moment, whole_ms};
use super::crowd::{Crowd, Members, Seat};
use super::earlier::{self, Earlier};
use super::gate::{Gate, Post, Rules};
use super::learned::Outputs;
use super::scope::Scope;
use crate::config::budget::Budget;
use crate::config::limits::{Limits, Share};
use crate::config::runtime::{Key, ModelPattern, Runtime, Tenant};

/// Every scope's counters, by its stable id. One for the process.
#[derive(Debug, Default)]
pub struct Limiter {
    known: Mutex<Known>,
    accounts: Arc<Accounts>,
    earlier: Arc<Earlier>,
}

#[derive(Debug, Default)]
struct Known {
    posts: HashMap<Scope, Arc<Post>>,
    /// By the scope of those who have no name.
    crowds: HashMap<Scope, Arc<Members>>,
    /// By tenant.
    outputs: HashMap<String, Arc<Outputs>>,
}

/// A configuration's keys with their limits resolved.
#[derive(Debug)]
pub struct Bound {
    keys: HashMap<[u8; 32], Arc<KeyLimits>>,
    purses: BTreeMap<Scope, Arc<Purse>>,
    has_budgets: bool,
}

impl Bound {
    /// The limits of the key with that SHA-256.
    pub fn get(&self, sha256: &[u8; 32]) -> Option<&Arc<KeyLimits>> {
        self.keys.get(sha256)
    }

    /// Whether a budget stands anywhere, also on what clients make up.
    pub const fn has_budgets(&self) -> bool {
        self.has_budgets
    }

    /// The purses of all tenants and keys, and of models and tags that have budgets by their name.
    pub fn into_purses(self) -> BTreeMap<Scope, Arc<Purse>> {
        self.purses
    }
}

/// What the keys of one tenant share.
struct Shared {
    tenant: Option<Arc<Gate>>,
    models: Arc<[(ModelPattern, Seat)]>,
    users: Option<Arc<Crowd>>,
    tags: Arc<[(ModelPattern, TagRule)]>,
    outputs: Arc<Outputs>,
}

/// At work on one configuration.
struct Binding<'l> {
    known: MutexGuard<'l, Known>,
    accounts: &'l Arc<Accounts>,
    earlier: &'l Arc<Earlier>,
    purses: BTreeMap<Scope, Arc<Purse>>,
    unix_ms: u64,
}

impl Limiter {
    pub fn new() -> Self {
        Self::default()
    }

    /// What everybody has spent.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// What limits have counted, to keep it over a restart, if anything changed since this was last asked.
    pub fn changes(&self, at: Moment) -> Option<String> {
        let each = |each: &mut dyn FnMut(&Post)| {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let posts: Vec<Arc<Post>> = known.posts.values().map(Arc::clone).collect();
            let crowds: Vec<Arc<Members>> = known.crowds.values().map(Arc::clone).collect();
            drop(known);
            posts.iter().for_each(|post| each(post));
            crowds.iter().for_each(|members| members.each_post(&mut *each));
        };
        let mut changed = false;
        // Every flag is taken, also behind one that is set.
        each(&mut |post| changed |= post.take_changed());
        if !changed {
            return None;
        }
        // Who is seen between the two is in both, which is better than in none. Of those the first counts.
        let earlier = self.earlier.rows(at);
        let mut rows = Vec::new();
        each(&mut |post| rows.extend(post.rows(at)));
        rows.extend(earlier);
        earlier::write(rows)
    }

    /// Puts back what an earlier process kept, before anything is bound: all of it, or nothing if it cannot
    /// be read.
    pub fn restore(&self, text: &str, at: Moment) -> Result<(), String> {
        self.earlier.read(text, at)
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
        let unix_ms = whole_ms(runtime.loaded_at.duration_since(UNIX_EPOCH).unwrap_or_default());
        let mut binding = self.binding(unix_ms);
        // A tenant without keys has accounts all the same.
        for tenant in &runtime.tenants {
            binding.account(Scope::Tenant(tenant.id.clone()), &tenant.budgets);
        }
        let mut tenants: HashMap<&str, Shared> = HashMap::new();
        let keys = all.iter().map(|(sha256, key)| {
            let shared = match tenants.entry(key.tenant.id.as_str()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(binding.share(&key.tenant)),
            };
            (**sha256, binding.key(key, shared))
        });
        let keys: HashMap<_, _> = keys.collect();
        drop(tenants);
        let Binding { mut known, purses, .. } = binding;
        known.posts.retain(|_, post| Arc::strong_count(post) > 1);
        known.crowds.retain(|_, members| Arc::strong_count(members) > 1);
        known.outputs.retain(|_, outputs| Arc::strong_count(outputs) > 1);
        drop(known);
        let is_bounded = |share: &Share| !share.budgets.is_empty();
        let mut tenants = runtime.tenants.iter().chain(runtime.keys.values().map(|key| &key.tenant));
        let has_budgets = purses.values().any(|purse| purse.is_bounded())
            || tenants.any(|tenant| is_bounded(&tenant.users) || tenant.tags.iter().any(|(_, tag)| is_bounded(tag)));
        Bound { keys, purses, has_budgets }
    }

    fn binding(&self, unix_ms: u64) -> Binding<'_> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Binding { known, accounts: &self.accounts, earlier: &self.earlier, purses: BTreeMap::new(), unix_ms }
    }
}

impl Binding<'_> {
    fn share(&mut self, tenant: &Tenant) -> Shared {
        let id = || tenant.id.clone();
        self.account(Scope::Tenant(id()), &tenant.budgets);
        let users = Scope::User { tenant: id(), user: String::new() };
        Shared {
            tenant: self.gate(&Scope::Tenant(id()), &tenant.limits),
            models: self.models(tenant),
            users: (!tenant.users.is_empty()).then(|| self.crowd(users, &tenant.users)),
            tags: self.tags(tenant),
            outputs: Arc::clone(self.known.outputs.entry(id()).or_default()),
        }
    }

    fn key(&mut self, key: &Key, shared: &Shared) -> Arc<KeyLimits> {
        let scope = Scope::Key { tenant: key.tenant.id.clone(), key: key.id.clone() };
        let own = self.account(scope.clone(), &key.budgets);
        let tenants = self.purses.get(&Scope::Tenant(key.tenant.id.clone())).cloned();
        let limits = KeyLimits {
            tenant: shared.tenant.clone(),
            models: Arc::clone(&shared.models),
            key: self.gate(&scope, &key.limits),
            users: shared.users.clone(),
            tags: Arc::clone(&shared.tags),
            purses: Purses::new(tenants.into_iter().chain([own])),
            outputs: Arc::clone(&shared.outputs),
            ..KeyLimits::default()
        };
        Arc::new(limits.complete())
    }

    /// By pattern, in the order in which they are locked. It must not depend on the file's, or two
    /// requests that began under two configurations could wait for each other.
    fn models(&mut self, tenant: &Tenant) -> Arc<[(ModelPattern, Seat)]> {
        let mut models: BTreeMap<&str, Share> = BTreeMap::new();
        for (pattern, limits) in &tenant.model_limits {
            let share = models.entry(&pattern.0).or_default();
            share.limits = share.limits.tightest(*limits);
        }
        for (pattern, budgets) in &tenant.model_budgets {
            models.entry(&pattern.0).or_default().budgets.extend_from_slice(budgets);
        }
        let seats = models.into_iter().map(|(pattern, share)| {
            let scope = Scope::Model { tenant: tenant.id.clone(), pattern: pattern.to_owned() };
            (ModelPattern(pattern.to_owned()), self.seat(scope, &share))
        });
        seats.collect()
    }

    fn tags(&mut self, tenant: &Tenant) -> Arc<[(ModelPattern, TagRule)]> {
        let rules = tenant.tags.iter().filter(|(_, share)| !share.is_empty()).map(|(pattern, share)| {
            let tag =
                |tag: &str| Scope::Tag { tenant: tenant.id.clone(), pattern: pattern.0.clone(), tag: tag.to_owned() };
            let rule = match pattern.0.contains('*') {
                true => TagRule::Each(self.crowd(tag(""), share)),
                false => TagRule::One(self.seat(tag(&pattern.0), share)),
            };
            (pattern.clone(), rule)
        });
        let mut rules: Vec<_> = rules.collect();
        rules.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
        rules.into()
    }

    /// What a scope has that the configuration names.
    fn seat(&mut self, scope: Scope, share: &Share) -> Seat {
        let gate = self.gate(&scope, &share.limits);
        let purse = (!share.budgets.is_empty()).then(|| {
            let account = self.accounts.account(&scope);
            Accounts::purse(scope.clone(), share.budgets.as_slice().into(), account, self.unix_ms)
        });
        if let Some(purse) = &purse {
            self.purses.insert(scope, Arc::clone(purse));
        }
        Seat { gate, purse }
    }

    /// What each of those has whose names clients make up. `others` is the scope of those without one.
    fn crowd(&mut self, others: Scope, share: &Share) -> Arc<Crowd> {
        let (accounts, earlier) = (self.accounts, self.earlier);
        let members = match self.known.crowds.entry(others) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => {
                let members = Arc::new(Members::new(new.key().clone(), accounts, earlier));
                Arc::clone(new.insert(members))
            }
        };
        let budgets: Arc<[Budget]> = share.budgets.as_slice().into();
        Arc::new(Crowd { members, rules: Rules::of(&share.limits), budgets })
    }

    fn gate(&mut self, scope: &Scope, limits: &Limits) -> Option<Arc<Gate>> {
        let rules = Rules::of(limits)?;
        let earlier = self.earlier;
        let post = self.known.posts.entry(scope.clone()).or_insert_with(|| Arc::new(earlier.post(scope.clone())));
        Some(Arc::new(Gate::new(Arc::clone(post), rules)))
    }

    /// The account of a tenant or a key.
    fn account(&mut self, scope: Scope, budgets: &[Budget]) -> Arc<Purse> {
        let known = self.purses.entry(scope);
        let scope = known.key().clone();
        Arc::clone(known.or_insert_with(|| self.accounts.open(scope, budgets, self.unix_ms)))
    }
}
