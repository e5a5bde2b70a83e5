//! What was spent, on disk, so that a restart does not forget it: one small file, written anew as a
//! whole at most once a second. A process that is killed loses at most the last second.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use crate::limit::Scope;
use crate::limit::budget::Accounts;
use crate::limit::clock::unix_ms;
use crate::telemetry::Telemetry;
use crate::whole;

const NAME: &str = "budgets.json";
const EVERY: Duration = Duration::from_secs(1);

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Keep {
    directory: PathBuf,
    accounts: Arc<Accounts>,
    telemetry: Arc<Telemetry>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    unwritten: Option<String>,
    /// The last attempt to write failed, and that was said.
    failing: bool,
}

impl Keep {
    pub(super) fn new(directory: PathBuf, accounts: Arc<Accounts>, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self { directory, accounts, telemetry, state: Mutex::default() })
    }

    /// Puts back what an earlier process kept of users and tags, who have no account before they are
    /// seen. The ledger tells what all others have spent.
    pub(super) fn put_back_guests(&self) {
        self.put_back(is_guest);
    }

    /// The same of all others, where the ledger cannot be asked.
    pub(super) fn put_back_hosts(&self) {
        self.put_back(|scope| !is_guest(scope));
    }

    /// What cannot be read is moved aside: it is no reason not to start.
    fn put_back(&self, wants: impl Fn(&Scope) -> bool) {
        let path = self.directory.join(NAME);
        let restored = match fs::read_to_string(&path) {
            Ok(text) => self.accounts.restore(&text, wants),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = restored {
            let aside = self.directory.join(format!("{NAME}.broken"));
            let moved = fs::rename(&path, &aside).map_or_else(|e| format!("not moved: {e}"), |()| "moved aside".into());
            let (path, aside) = (path.display(), aside.display());
            tracing::error!(%path, %aside, moved, "what was spent cannot be read, budgets begin with nothing: {error}");
        }
    }

    /// Writes what changed, if anything did. Blocks the thread.
    pub(super) fn save(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = self.accounts.changes(unix_ms()) {
            state.unwritten = Some(text);
        }
        let Some(text) = &state.unwritten else { return };
        match whole::write(&self.directory, NAME, text.as_bytes()) {
            Ok(()) => *state = State::default(),
            Err(error) => {
                self.telemetry.budgets_not_saved();
                if !std::mem::replace(&mut state.failing, true) {
                    let directory = self.directory.display();
                    tracing::warn!(%directory, "what was spent cannot be kept over a restart: {error}");
                }
            }
        }
    }
}

fn is_guest(scope: &Scope) -> bool {
    matches!(scope, Scope::User { .. } | Scope::Tag { .. })
}

/// Saves every second, to the end of the process: requests are settled while it drains.
pub(super) struct Keeper(pub(super) Arc<Keep>);

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let keep = Arc::clone(&self.0);
            let _ = tokio::task::spawn_blocking(move || keep.save()).await;
        }
    }
}
