//! The database, for whoever has use for it while it is there. It is opened beside the requests, which
//! never wait for it, and tried again for as long as it is down.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::sync::Semaphore;

use crate::alert::Alerts;
use crate::config::runtime::State;
use crate::error::{Error, Kind, Result};
use crate::store::{Database, StoreError};

/// Clients that ask the database at the same time.
const CLIENTS: usize = 4;
/// What a client waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait for a database that cannot be opened, and the longest.
const RETRY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

const UP: u8 = 1;
const DOWN: u8 = 2;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Stored {
    state: State,
    database: ArcSwapOption<Database>,
    /// Held while it is opened: once is enough.
    opening: Mutex<()>,
    /// [`UP`], [`DOWN`], or not known yet.
    is_up: AtomicU8,
    clients: Arc<Semaphore>,
    alerts: Arc<Alerts>,
}

impl Stored {
    pub(super) fn new(state: State, alerts: Arc<Alerts>) -> Arc<Self> {
        Arc::new(Self {
            state,
            database: ArcSwapOption::empty(),
            opening: Mutex::default(),
            is_up: AtomicU8::new(0),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            alerts,
        })
    }

    /// Once it was reached. It may be down again: then it says so when it is asked.
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        self.database.load_full()
    }

    /// The same, opened if it is not. Blocks.
    pub(super) fn reach(&self) -> std::result::Result<Arc<Database>, StoreError> {
        if let Some(known) = self.database() {
            return Ok(known);
        }
        let _alone = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.database() {
            return Ok(known);
        }
        let opened = Database::open(&self.state).map(Arc::new)?;
        self.database.store(Some(Arc::clone(&opened)));
        Ok(opened)
    }

    /// Whether it took the last that it was given. Says so when that changes.
    pub(super) fn note(&self, outcome: std::result::Result<(), &str>) {
        let now = if outcome.is_ok() { UP } else { DOWN };
        let was = self.is_up.swap(now, Ordering::Relaxed);
        self.alerts.database(outcome.err());
        match outcome {
            Ok(()) if was != now => tracing::info!(kind = self.database().map(|d| d.kind()), "the database is there"),
            Err(error) if was != now => {
                tracing::error!("the database is down, rows wait in the ledger's log: {error}");
            }
            _ => {}
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed) == UP
    }

    /// Asks for a client, on another thread, and not for ever.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Database) -> std::result::Result<T, StoreError> + Send + 'static,
    ) -> Result<T> {
        let unavailable = |detail: &dyn std::fmt::Display| {
            let error = Error::new(Kind::Internal, "usage cannot be looked up at the moment, please try again");
            error.with_status(503).with_detail(detail)
        };
        let Some(database) = self.database() else { return Err(unavailable(&"the database is not open")) };
        let asked = async {
            // The place is given back by the thread, also where nobody waits for it any more.
            let place = Arc::clone(&self.clients).acquire_owned().await;
            let answer = tokio::task::spawn_blocking(move || {
                let _place = place;
                question(&database)
            });
            answer.await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(unavailable(&error)),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(unavailable(&"the database was too slow")),
        }
    }
}

/// Opens the database where nobody folds into it: what is in it can be asked for all the same.
pub(super) struct Opener(pub(super) Arc<Stored>);

#[async_trait]
impl BackgroundService for Opener {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let [mut wait, longest] = RETRY;
        loop {
            let stored = Arc::clone(&self.0);
            let reached = tokio::task::spawn_blocking(move || {
                let reached = stored.reach().map_err(|error| error.to_string());
                stored.note(reached.as_ref().map(drop).map_err(String::as_str));
                reached.is_ok()
            });
            if reached.await.unwrap_or(false) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = longest.min(wait * 2),
                _ = shutdown.changed() => return,
            }
        }
    }
}
