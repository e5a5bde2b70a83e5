//! Keys that are made at run time.
//!
//! A [`StoredKey`] is what is kept of one: never its secret. What it may do is kept as the text of a JSON
//! object with the members of a key in the configuration, and read by the same code, so that a new kind of
//! limit needs no new column. The database has the last word; a [`Shelf`] is what this process knows of
//! it, and a snapshot of that (`snapshot`) is what the next one begins with, should the database be away.

pub mod made;
pub mod shown;
pub mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::config::access::Previous;
use crate::config::load;
use crate::config::runtime::{Key, Runtime, Tenant};
use crate::limit::clock::{unix_ms, whole_ms};

/// After so long without a look at the database, a key that is not known here may well exist.
const STALE: Duration = Duration::from_secs(10);

/// See the module documentation.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    pub id: String,
    pub tenant: String,
    /// The part of the secret that may be shown: `weir_<handle>_...`.
    pub handle: String,
    pub sha256: [u8; 32],
    pub previous: Option<PreviousSecret>,
    pub created_at_ms: u64,
    pub revoked_at_ms: Option<u64>,
    /// What it may do: a JSON object.
    pub settings: String,
    /// The keys' clock when it was last changed.
    pub changed: u64,
}

/// The secret before the last rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousSecret {
    pub sha256: [u8; 32],
    pub until_ms: u64,
}

/// Hashes are no secrets, and no use to a reader either.
impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredKey({} of {}, {})", self.id, self.tenant, self.changed)
    }
}

/// How far a database is: its own name, and its keys' clock, which every change moves on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Another database, or one that was put back from a copy, has another.
    pub epoch: String,
    pub changed: u64,
}

/// Why a stored key is not let in, beyond what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Active,
    Revoked,
    /// `active: false`
    Inactive,
    Expired,
    /// The configuration has no such tenant.
    NoTenant,
    /// The configuration has a key of this id.
    IdTaken,
    /// It was written by a later version.
    Unreadable,
}

impl Standing {
    pub const ALL: [Self; 7] =
        [Self::Active, Self::Revoked, Self::Inactive, Self::Expired, Self::NoTenant, Self::IdTaken, Self::Unreadable];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Inactive => "inactive",
            Self::Expired => "expired",
            Self::NoTenant => "no_tenant",
            Self::IdTaken => "id_taken",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What of a configuration stored keys depend on.
#[derive(Debug)]
pub struct Configured<'r> {
    tenants: HashMap<&'r str, &'r Arc<Tenant>>,
    /// Of keys.
    ids: HashSet<&'r str>,
}

impl<'r> Configured<'r> {
    pub fn of(runtime: &'r Runtime) -> Self {
        let tenants = runtime.tenants.iter().map(|tenant| (tenant.id.as_str(), tenant)).collect();
        Self { tenants, ids: runtime.keys.values().map(|key| key.id.as_str()).collect() }
    }
}

/// A key and what its settings mean.
#[derive(Debug, Clone)]
pub struct Held {
    pub row: StoredKey,
    /// `None`: they cannot be read.
    terms: Option<Arc<Key>>,
}

impl Held {
    pub fn new(row: StoredKey) -> Self {
        let terms = load::stored_key(&row.settings).inspect_err(|report| {
            tracing::error!(key = %row.id, "a stored key cannot be read and is refused: {report}");
        });
        Self { terms: terms.ok().map(Arc::new), row }
    }

    /// Whether a gateway of this configuration lets it in, and if not, why. `None`: of one that has its tenant
    /// and is nowhere in its way.
    pub fn standing(&self, configured: Option<&Configured<'_>>, now: SystemTime) -> Standing {
        let has_tenant = |configured: &Configured<'_>| configured.tenants.contains_key(self.row.tenant.as_str());
        let has_id = |configured: &Configured<'_>| configured.ids.contains(self.row.id.as_str());
        match &self.terms {
            _ if self.row.revoked_at_ms.is_some() => Standing::Revoked,
            None => Standing::Unreadable,
            _ if !configured.is_none_or(has_tenant) => Standing::NoTenant,
            _ if configured.is_some_and(has_id) => Standing::IdTaken,
            Some(terms) if !terms.active => Standing::Inactive,
            Some(terms) if terms.expires.is_some_and(|at| at <= now) => Standing::Expired,
            Some(_) => Standing::Active,
        }
    }

    /// When it ends.
    pub fn expires(&self) -> Option<SystemTime> {
        self.terms.as_ref()?.expires
    }

    /// As a key of the configuration. One that may not be used is there, and inactive.
    fn key(&self, tenant: Option<&Arc<Tenant>>) -> Key {
        let row = &self.row;
        let unreadable = Key { active: false, ..Key::default() };
        let terms = self.terms.as_deref().unwrap_or(&unreadable);
        let gone = || Arc::new(Tenant { id: row.tenant.clone(), ..Tenant::default() });
        Key {
            id: row.id.clone(),
            active: terms.active && row.revoked_at_ms.is_none() && tenant.is_some(),
            tenant: tenant.map_or_else(gone, Arc::clone),
            expires: terms.expires,
            models: terms.models.clone(),
            limits: terms.limits,
            budgets: terms.budgets.clone(),
            allowed_addresses: terms.allowed_addresses.clone(),
            compression: terms.compression,
            previous: row.previous.map(|previous| Previous {
                sha256: previous.sha256,
                until: SystemTime::UNIX_EPOCH + Duration::from_millis(previous.until_ms),
            }),
            // A tenant's administrator makes such keys, and could switch on what the tenant may not have.
            edge_tools: None,
            guards: Vec::new(),
            cache: None,
        }
    }
}

/// What this process knows of the database's keys.
#[derive(Debug, Default)]
pub struct Shelf {
    keys: BTreeMap<String, Arc<Held>>,
    head: Head,
    /// Put in since the last reading began.
    fresh: BTreeSet<String>,
}

/// What is read of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All there is: it takes the place of what is known.
    Whole,
    /// What changed after that clock.
    After(u64),
}

impl Reading {
    /// The clock after which keys are wanted.
    pub const fn since(self) -> u64 {
        match self {
            Self::Whole => 0,
            Self::After(changed) => changed,
        }
    }
}

impl Shelf {
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Begins to read a database that stands there: all of it if it is another one than the one that is
    /// known, has gone back, or `doubt` says so.
    pub fn begin(&mut self, head: &Head, doubt: bool) -> Reading {
        self.fresh.clear();
        let same = head.epoch == self.head.epoch && head.changed >= self.head.changed;
        if same && !doubt { Reading::After(self.head.changed) } else { Reading::Whole }
    }

    /// Takes over what was read since [`Self::begin`]. Says whether anything changed: that the clock went on
    /// is no change, a refused one moves it too.
    pub fn take(&mut self, reading: Reading, rows: Vec<StoredKey>, head: Head) -> bool {
        let before = match reading {
            Reading::Whole => std::mem::take(&mut self.keys),
            Reading::After(_) => BTreeMap::new(),
        };
        let mut changed = false;
        for row in rows {
            match before.get(&row.id).filter(|held| held.row == row) {
                Some(same) => drop(self.keys.insert(row.id, Arc::clone(same))),
                None => changed |= self.insert(row),
            }
        }
        // What was made here meanwhile need not have been read, and is there all the same.
        for held in std::mem::take(&mut self.fresh).iter().filter_map(|id| before.get(id)) {
            self.insert(held.row.clone());
        }
        let gone = before.keys().any(|id| !self.keys.contains_key(id));
        let other = self.head.epoch != head.epoch;
        self.head = head;
        changed || gone || other
    }

    /// Puts in one key that was changed here, unless a later state of it is known.
    pub fn put(&mut self, row: StoredKey) -> bool {
        self.fresh.insert(row.id.clone());
        self.insert(row)
    }

    fn insert(&mut self, row: StoredKey) -> bool {
        if self.keys.get(&row.id).is_some_and(|known| known.row.changed >= row.changed) {
            return false;
        }
        self.keys.insert(row.id.clone(), Arc::new(Held::new(row)));
        true
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Held>> {
        self.keys.get(id)
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.keys.values()
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All of them, as keys of this configuration. One whose secret or id the configuration gives to a key of
    /// its own is left out: two keys of one id would have one's records, files and budgets between them.
    pub fn resolve(&self, runtime: &Runtime) -> Vec<([u8; 32], Arc<Key>)> {
        let Configured { tenants, ids } = Configured::of(runtime);
        let is_own = |row: &StoredKey| !runtime.keys.contains_key(&row.sha256) && !ids.contains(row.id.as_str());
        let own = self.keys.values().filter(|held| is_own(&held.row));
        own.map(|held| (held.row.sha256, Arc::new(held.key(tenants.get(held.row.tenant.as_str()).copied())))).collect()
    }
}

/// How fresh the shelf is: written by who looks at the database, read by requests.
#[derive(Debug, Default)]
pub struct Freshness {
    /// Milliseconds since 1970; 0 is never.
    seen_at_ms: AtomicU64,
    /// Something is known, be it from a snapshot.
    known: AtomicU64,
}

impl Freshness {
    /// The database was looked at just now.
    pub fn seen(&self) {
        self.seen_at_ms.store(unix_ms(), Ordering::Relaxed);
        self.known.store(1, Ordering::Relaxed);
    }

    /// There was a snapshot.
    pub fn remembered(&self) {
        self.known.store(1, Ordering::Relaxed);
    }

    /// Whether keys can be told from no keys at all.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed) != 0
    }

    /// Whether a key may exist that is not known here.
    pub fn is_stale(&self) -> bool {
        self.age_ms().is_none_or(|age_ms| age_ms > whole_ms(STALE))
    }

    /// Since the last look at the database; `None` if there was none.
    pub fn age_ms(&self) -> Option<u64> {
        match self.seen_at_ms.load(Ordering::Relaxed) {
            0 => None,
            at => Some(unix_ms().saturating_sub(at)),
        }
    }
}

#[cfg(test)]
mod tests;
