//! The keys that are made at run time, in this process: what is known of them, put together with the
//! configuration's into what requests see; the look at the database every half second; the changes that
//! are made here. Nothing of it is on the way of a request.
//!
//! While the database is away, what was known of it stays in force, over a restart too (`keys.json`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::sync::Notify;

use super::database::Stored;
use super::live::{Callers, Live};
use crate::config::runtime::{Runtime, State};
use crate::limit::Limiter;
use crate::limit::clock::unix_ms;
use crate::secret::Secret;
use crate::store::{AuditPage, Database, Desk, Failure, StoreError};
use crate::telemetry::Telemetry;
use crate::tenant::audit::{Change, Entry};
use crate::tenant::jwt::Issuers;
use crate::tenant::keys::Roster;
use crate::tenant::keys::tokens::Tokens;
use crate::tenant::stored::made::Members;
use crate::tenant::stored::{Freshness, Reading, Shelf, StoredKey, snapshot};

const EVERY: Duration = Duration::from_millis(500);
/// Between two looks, however long the database has been away: so soon after it is back, all is known.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The clock says that keys changed, not that they are those that it knew: a server that was put back from a copy,
/// or took over from another whose last changes it never had, counts on from there. So all keys are read at the
/// first look, after each that failed, and so often, should the other have come between two looks.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// The first look is waited for no longer than this before requests are served.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Changes that wait for the database.
const MOST_WAITING: usize = 1_000;

/// See the module documentation.
pub(super) struct Registry {
    state: State,
    stored: Arc<Stored>,
    shelf: Mutex<Shelf>,
    freshness: Arc<Freshness>,
    limiter: Arc<Limiter>,
    telemetry: Arc<Telemetry>,
    /// What requests run on, once there is something.
    live: OnceLock<Arc<ArcSwap<Live>>>,
    waiting: Mutex<VecDeque<Change>>,
    writing: Mutex<()>,
    wake: Notify,
    status: Mutex<Status>,
    /// The snapshot is older than the shelf.
    is_unwritten: AtomicBool,
    /// When the database was last read as a whole; `None`: what is known has to be compared with all of it.
    compared_at: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Status {
    /// The last look failed, and that was said.
    failing: bool,
    /// The last attempt to write the snapshot failed, and that was said.
    unwritable: bool,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// With what an earlier process knew.
    pub(super) fn open(
        state: &State,
        stored: Arc<Stored>,
        limiter: Arc<Limiter>,
        telemetry: Arc<Telemetry>,
    ) -> Arc<Self> {
        let freshness = Arc::new(Freshness::default());
        let shelf = match snapshot::read(&state.dir) {
            Ok(Some(shelf)) => {
                freshness.remembered();
                shelf
            }
            Ok(None) => Shelf::default(),
            Err(error) => {
                tracing::error!(directory = %state.dir.display(), "keys.json cannot be read: {error}");
                Shelf::default()
            }
        };
        Arc::new(Self {
            state: state.clone(),
            stored,
            shelf: Mutex::new(shelf),
            freshness,
            limiter,
            telemetry,
            live: OnceLock::new(),
            waiting: Mutex::default(),
            writing: Mutex::default(),
            wake: Notify::new(),
            status: Mutex::default(),
            is_unwritten: AtomicBool::new(false),
            compared_at: Mutex::default(),
        })
    }

    /// Looks at the database for the first time, and does not wait for long.
    pub(super) fn look_first(self: &Arc<Self>) {
        let (done, looked) = std::sync::mpsc::sync_channel(1);
        let this = Arc::clone(self);
        let look = move || {
            this.look();
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("weir-keys".to_owned()).spawn(look).is_ok() {
            let _ = looked.recv_timeout(FIRST_LOOK);
        }
    }

    /// From now on, what changes is put to work there.
    pub(super) fn serve(&self, live: Arc<ArcSwap<Live>>) {
        let _ = self.live.set(live);
    }

    /// What is known. Held while a configuration is put to work: no change gets lost in between.
    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody who may call, beside the keys of that configuration.
    pub(super) fn roster(
        &self,
        shelf: &Shelf,
        runtime: &Runtime,
        old: Option<&Arc<Issuers>>,
    ) -> Result<Roster, String> {
        let tokens = Tokens::new(runtime, Issuers::new(&runtime.auth, old)?);
        Ok(Roster { stored: shelf.resolve(runtime), freshness: Some(Arc::clone(&self.freshness)), tokens })
    }

    pub(super) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Whether keys can be told from no keys at all.
    pub(super) fn is_known(&self) -> bool {
        self.freshness.is_known()
    }

    /// Since the last look at the database.
    pub(super) fn age(&self) -> Option<Duration> {
        self.freshness.age_ms().map(Duration::from_millis)
    }

    /// Whether there is no database yet, and no need of one: who never made a key needs none.
    fn is_unused(&self) -> bool {
        let has_file = || matches!(self.state.dir.join("weir.db").try_exists(), Ok(true) | Err(_));
        self.state.database.is_none() && self.stored.database().is_none() && !has_file() && self.queue().is_empty()
    }

    /// One look at the database: changes that wait go there, keys that changed come from there. Blocks.
    fn look(&self) -> bool {
        let looked = match self.is_unused() {
            true => Ok(()),
            false => self.stored.reach().and_then(|database| {
                self.write_waiting(&database)?;
                self.read_changes(&database)
            }),
        };
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        match &looked {
            Ok(()) => {
                self.freshness.seen();
                if std::mem::take(&mut status.failing) {
                    tracing::info!("the database of keys answers again");
                }
            }
            Err(error) => {
                *self.compared_at() = None;
                self.telemetry.key_sync_failed();
                if !std::mem::replace(&mut status.failing, true) {
                    tracing::error!("the database of keys does not answer, what is known stays in force: {error}");
                }
            }
        }
        self.save(&mut status);
        let (stored, age) = (self.shelf().len(), self.age());
        self.telemetry.keys(stored, age);
        looked.is_ok()
    }

    fn read_changes(&self, database: &Database) -> Result<(), StoreError> {
        let head = database.keys_head()?;
        let doubt = self.compared_at().is_none_or(|at| at.elapsed() >= COMPARE_EVERY);
        let reading = {
            let mut shelf = self.shelf();
            if *shelf.head() == head && !doubt {
                return Ok(());
            }
            shelf.begin(&head, doubt)
        };
        let began = Instant::now();
        let (keys, head) = database.keys_since(reading.since())?;
        let mut shelf = self.shelf();
        if shelf.take(reading, keys, head) {
            self.put_to_work(&shelf);
        }
        if reading == Reading::Whole {
            *self.compared_at() = Some(began);
        }
        Ok(())
    }

    fn compared_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.compared_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that come from now on see what is known now.
    fn put_to_work(&self, shelf: &Shelf) {
        self.is_unwritten.store(true, Ordering::Relaxed);
        let Some(live) = self.live.get() else { return };
        let live = live.load_full();
        let issuers = live.callers.load().keyring.tokens().issuers().cloned();
        match self.roster(shelf, &live.runtime, issuers.as_ref()) {
            Ok(roster) => {
                live.callers.store(Arc::new(Callers::new(&live.runtime, roster, &self.limiter)));
                self.limiter.accounts().set_bounded(live.has_budgets());
            }
            Err(error) => tracing::error!("keys that changed were not put to work: {error}"),
        }
    }

    fn save(&self, status: &mut Status) {
        let shelf = self.shelf();
        let nothing = shelf.head().epoch.is_empty();
        if nothing || !self.is_unwritten.swap(false, Ordering::Relaxed) {
            return;
        }
        match snapshot::write(&self.state.dir, &shelf) {
            Ok(()) => status.unwritable = false,
            Err(error) => {
                self.is_unwritten.store(true, Ordering::Relaxed);
                if !std::mem::replace(&mut status.unwritable, true) {
                    let directory = self.state.dir.display();
                    tracing::warn!(%directory, "keys.json cannot be written, a restart depends on the database: {error}");
                }
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a change on the chain, as soon as the database takes it. Never waits.
    pub(super) fn record(&self, change: Change) {
        tracing::info!(who = change.who, action = change.action, target = change.target, "changed");
        let mut waiting = self.queue();
        if waiting.len() >= MOST_WAITING {
            self.telemetry.audit_lost();
            let Change { who, action, target, detail, .. } = &change;
            tracing::error!(who, action, target, detail, "a change is in this log only: the database is away");
            return;
        }
        waiting.push_back(change);
        drop(waiting);
        self.wake.notify_one();
    }

    fn write_waiting(&self, database: &Database) -> Result<(), StoreError> {
        // One at a time: each entry once, and in their order.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(next) = self.queue().front().cloned() else { return Ok(()) };
            database.record(&next)?;
            self.queue().pop_front();
        }
    }

    /// The end of the process: what waits is written, or at least said.
    pub(super) fn flush(&self) {
        if self.queue().is_empty() {
            return;
        }
        let written = self.stored.reach().and_then(|database| self.write_waiting(&database));
        for change in self.queue().drain(..).filter(|_| written.is_err()) {
            self.telemetry.audit_lost();
            let Change { who, action, target, detail, .. } = &change;
            tracing::error!(who, action, target, detail, "a change is in this log only: the database is away");
        }
    }

    /// Entries of the chain. Those that wait go there first.
    pub(super) fn audit(&self, page: AuditPage) -> Result<Vec<Entry>, StoreError> {
        if self.is_unused() {
            return Ok(Vec::new());
        }
        let database = self.stored.reach()?;
        self.write_waiting(&database)?;
        database.audit(page)
    }

    /// A new key of a tenant that there is.
    pub(super) fn create(&self, who: &str, asked: Members) -> Result<(StoredKey, Secret), Failure> {
        let database = self.stored.reach()?;
        let made = Desk { database: &database, who }.create(asked)?;
        self.put(made.0.clone());
        Ok(made)
    }

    pub(super) fn change(&self, who: &str, id: &str, asked: &[u8]) -> Result<StoredKey, Failure> {
        let database = self.stored.reach()?;
        let changed = Desk { database: &database, who }.change(id, asked)?;
        self.put(changed.clone());
        Ok(changed)
    }

    pub(super) fn rotate(&self, who: &str, id: &str, grace: Duration) -> Result<(StoredKey, Secret), Failure> {
        let database = self.stored.reach()?;
        let made = Desk { database: &database, who }.rotate(id, grace)?;
        self.put(made.0.clone());
        Ok(made)
    }

    pub(super) fn revoke(&self, who: &str, id: &str) -> Result<StoredKey, Failure> {
        let database = self.stored.reach()?;
        let revoked = Desk { database: &database, who }.revoke(id)?;
        self.put(revoked.clone());
        Ok(revoked)
    }

    /// What was changed here is known here at once.
    fn put(&self, key: StoredKey) {
        let mut shelf = self.shelf();
        if shelf.put(key) {
            self.put_to_work(&shelf);
        }
        drop(shelf);
        self.wake.notify_one();
    }
}

/// A change that is no key's.
pub(super) fn change(who: &str, action: &'static str, target: &str, detail: String) -> Change {
    Change { at_ms: unix_ms(), who: who.to_owned(), action, target: target.to_owned(), detail }
}

/// Looks every half second, for as long as the process lives.
pub(super) struct Looking(pub(super) Arc<Registry>);

#[async_trait]
impl BackgroundService for Looking {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut pause = EVERY;
        loop {
            let _ = tokio::time::timeout(pause, self.0.wake.notified()).await;
            let registry = Arc::clone(&self.0);
            let looked = tokio::task::spawn_blocking(move || registry.look()).await;
            pause = if looked.unwrap_or_default() { EVERY } else { (pause * 2).min(LONGEST_PAUSE) };
        }
    }
}
