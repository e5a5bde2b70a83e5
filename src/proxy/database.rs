//! The database, for whoever has use for it while it is there. It is opened beside the requests, which
//! never wait for it, and tried again for as long as it is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::config::runtime::State;
use crate::store::{Database, StoreError};

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Stored {
    state: State,
    database: ArcSwapOption<Database>,
    is_up: AtomicBool,
}

impl Stored {
    pub(super) fn new(state: State) -> Arc<Self> {
        Arc::new(Self { state, database: ArcSwapOption::empty(), is_up: AtomicBool::new(false) })
    }

    /// Once it was reached. It may be down again: then it says so when it is asked.
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        self.database.load_full()
    }

    /// The same, opened if it is not. Blocks.
    pub(super) fn reach(&self) -> Result<Arc<Database>, StoreError> {
        if let Some(known) = self.database() {
            return Ok(known);
        }
        let opened = Database::open(&self.state).map(Arc::new)?;
        self.database.store(Some(Arc::clone(&opened)));
        Ok(opened)
    }

    /// Whether it took the last that it was given. Says so when that changes.
    pub(super) fn note(&self, outcome: Result<(), &str>) {
        let was_up = self.is_up.swap(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Ok(()) if !was_up => tracing::info!(kind = self.database().map(|d| d.kind()), "the database is there"),
            Err(error) if was_up => tracing::error!("the database is down, rows wait in the ledger's log: {error}"),
            _ => {}
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
}
