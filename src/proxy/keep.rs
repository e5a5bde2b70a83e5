//! What was spent, and what limits have counted, on disk, so that a restart does not forget it: a small file
//! for each, written anew as a whole at most once a second. A process that is killed loses at most the last
//! second, and of limits so many that their file takes long a little more.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use crate::limit::clock::Clock;
use crate::limit::{Limiter, Scope};
use crate::telemetry::Telemetry;
use crate::whole;

const BUDGETS: &str = "budgets.json";
const LIMITS: &str = "limits.json";
const EVERY: Duration = Duration::from_secs(1);
/// Limits may be many (those of each user): what it took to keep them, so many times, is how long they rest.
const REST: u64 = 50;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Keep {
    directory: PathBuf,
    limiter: Arc<Limiter>,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of budgets and of limits.
    unwritten: [Option<String>; 2],
    limits_rest_until_ms: u64,
    /// Another process keeps the books by now.
    is_over: bool,
    /// The last attempt to write failed, and that was said.
    failing: bool,
}

impl Keep {
    pub(super) fn new(directory: PathBuf, limiter: Arc<Limiter>, clock: Clock, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self { directory, limiter, clock, telemetry, state: Mutex::default() })
    }

    /// Puts back what limits of an earlier process had counted: before any is bound.
    pub(super) fn put_back_limits(&self) {
        let at = self.clock.moment();
        self.put_back(LIMITS, "what limits had counted", |text| self.limiter.restore(text, at));
    }

    /// Puts back what an earlier process kept of users and tags, who have no account before they are
    /// seen. The ledger tells what all others have spent.
    pub(super) fn put_back_guests(&self) {
        self.put_back_spent(is_guest);
    }

    /// The same of all others, where the ledger cannot be asked.
    pub(super) fn put_back_hosts(&self) {
        self.put_back_spent(|scope| !is_guest(scope));
    }

    fn put_back_spent(&self, wants: impl Fn(&Scope) -> bool) {
        self.put_back(BUDGETS, "what was spent", |text| self.limiter.accounts().restore(text, wants));
    }

    /// What cannot be read is moved aside: it is no reason not to start.
    fn put_back(&self, name: &str, what: &str, read: impl FnOnce(&str) -> Result<(), String>) {
        let path = self.directory.join(name);
        let restored = match fs::read_to_string(&path) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = restored {
            let aside = self.directory.join(format!("{name}.broken"));
            let moved = fs::rename(&path, &aside).map_or_else(|e| format!("not moved: {e}"), |()| "moved aside".into());
            let (path, aside) = (path.display(), aside.display());
            tracing::error!(%path, %aside, moved, "{what} cannot be read, and begins with nothing: {error}");
        }
    }

    /// Writes what changed, if anything did. Blocks the thread.
    pub(super) fn save(&self) {
        self.write(true);
    }

    /// From here on another process writes these files: what this one still counts must not take their place.
    pub(super) fn hand_over(&self) {
        self.state().is_over = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, is_last: bool) {
        let mut state = self.state();
        let State { unwritten: [spent, counted], limits_rest_until_ms, is_over, failing } = &mut *state;
        if *is_over {
            return;
        }
        let at = self.clock.moment();
        *spent = self.limiter.accounts().changes(at.unix_ms).or_else(|| spent.take());
        let mut done = spent.as_ref().map_or(Ok(()), |text| whole::write(&self.directory, BUDGETS, text.as_bytes()));
        if done.is_ok() {
            *spent = None;
        }
        let began_ms = self.clock.now_ms();
        if is_last || began_ms >= *limits_rest_until_ms {
            *counted = self.limiter.changes(at).or_else(|| counted.take());
            let written =
                counted.as_ref().map_or(Ok(()), |text| whole::write(&self.directory, LIMITS, text.as_bytes()));
            if written.is_ok() {
                *counted = None;
            }
            done = done.and(written);
            let ended_ms = self.clock.now_ms();
            *limits_rest_until_ms = ended_ms.saturating_add((ended_ms - began_ms).saturating_mul(REST));
        }
        match done {
            Ok(()) => *failing = spent.is_some() || counted.is_some(),
            Err(error) => {
                self.telemetry.budgets_not_saved();
                if !std::mem::replace(failing, true) {
                    let directory = self.directory.display();
                    tracing::warn!(%directory, "what was spent or counted cannot be kept over a restart: {error}");
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
            let _ = tokio::task::spawn_blocking(move || keep.write(false)).await;
        }
    }
}
