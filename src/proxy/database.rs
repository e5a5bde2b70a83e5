//! The ledger's database, as far as it is there: opened beside the requests, which never wait for it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::sync::Semaphore;

use crate::config::runtime::State;
use crate::error::{Error, Kind, Result};
use crate::limit::clock::{unix_ms, whole_ms};
use crate::store::{Database, StoreError};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Between two looks for rows that are too old.
const PRUNE: Duration = Duration::from_secs(10 * 60);
/// That are deleted in one transaction.
const AT_ONCE: u32 = 5_000;
/// Between two of those: whoever folds comes in between.
const PAUSE: Duration = Duration::from_millis(200);
/// Clients that ask the database at the same time.
const CLIENTS: usize = 4;
/// What a client waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds the database once it is open.
#[derive(Debug)]
pub(crate) struct Stored {
    open: ArcSwapOption<Database>,
    clients: Semaphore,
}

impl Default for Stored {
    fn default() -> Self {
        Self { open: ArcSwapOption::empty(), clients: Semaphore::new(CLIENTS) }
    }
}

impl Stored {
    /// `None`: it is not open yet.
    pub(crate) fn database(&self) -> Option<Arc<Database>> {
        self.open.load_full()
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
            let _place = self.clients.acquire().await;
            tokio::task::spawn_blocking(move || question(&database)).await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(unavailable(&error)),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(unavailable(&"the database was too slow")),
        }
    }
}

/// Opens it, however long that takes, and then sees to it that old rows go.
pub(super) struct Opener {
    pub(super) stored: Arc<Stored>,
    pub(super) state: State,
}

#[async_trait]
impl BackgroundService for Opener {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}

impl Opener {
    async fn run(&self) {
        let database = self.open().await;
        tracing::info!(database = database.kind(), "the ledger's database is open");
        self.stored.open.store(Some(Arc::clone(&database)));
        let mut tick = tokio::time::interval(PRUNE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.prune(&database).await;
        }
    }

    async fn open(&self) -> Arc<Database> {
        let (mut wait, mut said) = (FIRST_WAIT, None);
        loop {
            let state = self.state.clone();
            let why = match tokio::task::spawn_blocking(move || Database::open(&state)).await {
                Ok(Ok(database)) => return Arc::new(database),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if said.as_ref() != Some(&why) {
                tracing::error!("the ledger's database cannot be opened, requests are served without it: {why}");
                said = Some(why);
            }
            tokio::time::sleep(wait).await;
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }

    async fn prune(&self, database: &Arc<Database>) {
        let before = unix_ms().saturating_sub(whole_ms(self.state.retention));
        loop {
            let database = Arc::clone(database);
            match tokio::task::spawn_blocking(move || database.prune(before, AT_ONCE)).await {
                Ok(Ok(deleted)) if deleted >= u64::from(AT_ONCE) => tokio::time::sleep(PAUSE).await,
                Ok(Ok(_)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!("old rows of the ledger cannot be deleted: {error}");
                    return;
                }
            }
        }
    }
}
