//! The ledger beside the requests: its log is synced, and folded into the database.

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use crate::alert::Alerts;
use crate::config::runtime::Runtime;
use crate::ledger::{Folder, Log, Options};
use crate::limit::budget::Accounts;
use crate::limit::clock::{unix_ms, whole_ms};
use crate::store::Database;
use crate::telemetry::LedgerSeen;

use super::database::Stored;
use super::restore::restore;

/// Rows are in the database about this late.
const FOLD_EVERY: Duration = Duration::from_millis(200);
/// The first wait for a database that is down, and the longest.
const RETRY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];
/// How long the end of the process waits for the last rows to be taken.
const LAST_FOLD: Duration = Duration::from_secs(5);
/// How long the start waits for what earlier processes left.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How soon a user that comes anew, or a budget, knows what was spent before.
const INFORM_EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Rows deleted at a time.
const PRUNE_ROWS: u32 = 10_000;

/// This process's log, where one is wanted.
pub(super) fn begin(runtime: &Runtime) -> Result<Option<Arc<Log>>, String> {
    let rules = runtime.state.ledger;
    if !rules.enabled {
        return Ok(None);
    }
    let options = Options {
        streams: u16::try_from(runtime.server.workers()).unwrap_or(u16::MAX),
        most_bytes: rules.most_bytes,
        serve_unrecorded: rules.serve_unrecorded,
    };
    let log = Log::begin(&runtime.state.dir, options).map_err(|error| {
        let directory = runtime.state.dir.display();
        format!("the ledger cannot be written in `{directory}` (state.dir): {error}; `state.ledger.enabled: false` does without")
    })?;
    Ok(Some(Arc::new(log)))
}

/// Syncs the log to the end of the process: requests are recorded while it drains.
pub(super) struct Beat {
    pub(super) log: Arc<Log>,
    pub(super) every: Duration,
}

#[async_trait]
impl BackgroundService for Beat {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            tick.tick().await;
            let log = Arc::clone(&self.log);
            let synced = tokio::task::spawn_blocking(move || log.sync()).await;
            match synced {
                Ok(Err(error)) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::error!("the ledger's log cannot be written: {error}");
                }
                Ok(Ok(())) if std::mem::take(&mut is_failing) => tracing::info!("the ledger's log is written again"),
                _ => {}
            }
        }
    }
}

/// Brings rows from the log into the database.
#[derive(Debug)]
pub(super) struct Fold {
    log: Arc<Log>,
    stored: Arc<Stored>,
    retention: Duration,
    accounts: Arc<Accounts>,
    folder: Mutex<Folder>,
    /// As it was after the last beat.
    seen: Mutex<Beaten>,
}

#[derive(Debug, Clone, Copy)]
struct Beaten {
    caught_up_at: Instant,
    open: usize,
    folded: u64,
    pruned_at: Option<Instant>,
    /// When accounts were last asked what they do not know.
    informed_at: Option<Instant>,
}

impl Fold {
    pub(super) fn new(log: Arc<Log>, stored: Arc<Stored>, retention: Duration, accounts: Arc<Accounts>) -> Arc<Self> {
        let folder = Mutex::new(Folder::new(Arc::clone(&log)));
        let seen = Beaten { caught_up_at: Instant::now(), open: 0, folded: 0, pruned_at: None, informed_at: None };
        Arc::new(Self { log, stored, retention, accounts, folder, seen: Mutex::new(seen) })
    }

    fn seen(&self) -> MutexGuard<'_, Beaten> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step; says whether there is more. Blocks.
    fn beat(&self) -> Result<bool, String> {
        let beaten = self.stored.reach().map_err(|error| error.to_string()).and_then(|database| {
            let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
            let folded = folder.beat(database.as_ref())?;
            let mut seen = self.seen();
            if !folded.more {
                seen.caught_up_at = Instant::now();
            }
            (seen.open, seen.folded) = (folder.open(), folder.folded_rows());
            drop(seen);
            // The batch is folded whatever becomes of these.
            let beside = self.prune(&database).and_then(|()| if folded.more { Ok(()) } else { self.inform(&database) });
            if let Err(error) = beside {
                tracing::warn!("the database was not asked all it should be: {error}");
            }
            Ok(folded.more)
        });
        self.stored.note(beaten.as_ref().map(drop).map_err(String::as_str));
        beaten
    }

    /// At the start: what earlier processes left is folded, and accounts are told what was spent. False
    /// where the database cannot be reached, or is too slow: nobody waits for it then, nor is told later.
    pub(super) fn catch_up(self: &Arc<Self>) -> bool {
        let (done, caught_up) = sync_channel(0);
        let this = Arc::clone(self);
        let look = move || {
            let caught_up = this.fold_all();
            // Only while somebody waits: from the first request on it would be counted twice.
            if done.send(caught_up).is_err() {
                tracing::warn!("the database was too slow at the start: budgets go by what was kept beside it");
            }
        };
        let started = std::thread::Builder::new().name("weir-ledger".to_owned()).spawn(look).is_ok();
        let told = started && caught_up.recv_timeout(CATCH_UP) == Ok(true) && self.tell_all();
        self.seen().informed_at = Some(Instant::now());
        told
    }

    fn fold_all(&self) -> bool {
        loop {
            match self.beat() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }

    fn tell_all(&self) -> bool {
        let told = self.stored.reach().and_then(|database| restore(&self.accounts, &database, unix_ms(), true));
        if let Err(error) = &told {
            tracing::error!("what was spent cannot be looked up: {error}");
        }
        told.is_ok()
    }

    /// Accounts that came since, now and again.
    fn inform(&self, database: &Database) -> Result<(), String> {
        if self.seen().informed_at.is_none_or(|at| at.elapsed() < INFORM_EVERY) {
            return Ok(());
        }
        self.seen().informed_at = Some(Instant::now());
        restore(&self.accounts, database, unix_ms(), false).map(drop).map_err(|error| error.to_string())
    }

    fn prune(&self, database: &Database) -> Result<(), String> {
        if self.seen().pruned_at.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(());
        }
        let before_ms = unix_ms().saturating_sub(whole_ms(self.retention));
        let pruned = database.prune(before_ms, PRUNE_ROWS).map_err(|error| error.to_string())?;
        // Where there are more, they go with the next beats.
        if pruned < u64::from(PRUNE_ROWS) {
            self.seen().pruned_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Takes what is left, at the end of the process. What is not taken then is taken at the next start.
    pub(super) fn finish(&self) {
        let until = Instant::now() + LAST_FOLD;
        if let Err(error) = self.log.sync() {
            tracing::error!("the ledger's log cannot be written: {error}");
        }
        // Where it was down, nobody waits for it to time out again.
        while self.stored.is_up() && Instant::now() < until && self.beat() == Ok(true) {}
    }

    /// Tells of rows that come late, and of a log that cannot grow.
    pub(super) fn tell(&self, alerts: &Alerts, refuses: bool) {
        alerts.ledger_lag(self.seen().caught_up_at.elapsed());
        let why = match (self.log.is_full(), self.log.is_stuck()) {
            (true, _) => Some("the log has grown to `state.ledger.max_size`"),
            (_, true) => Some("its disk takes no more"),
            _ => None,
        };
        alerts.ledger_full(why, refuses);
    }

    pub(super) fn look(&self) -> LedgerSeen {
        let (seen, counts) = (*self.seen(), self.log.counts());
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        LedgerSeen {
            bytes: self.log.bytes(),
            lag: seen.caught_up_at.elapsed(),
            open: seen.open,
            folded: seen.folded,
            recovered: count(&counts.recovered),
            refused: count(&counts.refused),
            lost: count(&counts.lost),
            write_errors: count(&counts.failed_writes),
            damaged_bytes: count(&counts.damaged_bytes),
            database_up: self.stored.is_up(),
        }
    }
}

/// Folds to the end of the process.
pub(super) struct Folding(pub(super) Arc<Fold>);

#[async_trait]
impl BackgroundService for Folding {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut wait = RETRY[0];
        loop {
            let fold = Arc::clone(&self.0);
            match tokio::task::spawn_blocking(move || fold.beat()).await {
                Ok(Ok(true)) => continue,
                Ok(Ok(false)) => {
                    wait = RETRY[0];
                    tokio::time::sleep(FOLD_EVERY).await;
                }
                Ok(Err(_)) | Err(_) => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY[1]);
                }
            }
        }
    }
}
