//! Takes a changed file over while the gateway runs: by SIGHUP, by the admin API, or as soon as the
//! file changes. A file with anything wrong in it changes nothing.
//!
//! Directories are watched, not the file: editors replace files, and Kubernetes swaps a symbolic
//! link beside them. The files that the configuration refers to (`file:` secrets, certificates,
//! prices) count as part of it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::env::Env;
use super::load;
use super::report::Report;
use super::runtime::{Listen, Runtime};

/// Changes within this time are one change: editors and deployments write in several steps.
const QUIET: Duration = Duration::from_millis(200);
/// And this is the longest that a change waits for more.
const LONGEST: Duration = Duration::from_secs(2);

/// Puts a new configuration to work; an error leaves the old one in force.
pub type Apply = Box<dyn Fn(&Arc<Runtime>) -> Result<(), String> + Send + Sync>;
/// Told before each attempt, and after it whether it worked, and whose it was.
pub type Observe = Box<dyn Fn(Option<&Status>, &str) + Send + Sync>;

/// How the last attempts went, for the admin API and metrics.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Of the configuration in force.
    pub hash: String,
    #[serde(serialize_with = "unix_seconds")]
    pub loaded_at: SystemTime,
    /// Why the last attempt failed, without secrets; `None` if it did not.
    pub last_error: Option<String>,
    /// What of the last attempt needs a restart.
    pub warnings: Vec<String>,
    pub reloads: u64,
    pub failures: u64,
}

fn unix_seconds<S: serde::Serializer>(at: &SystemTime, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Holds the configuration in force and replaces it.
pub struct Reloader {
    /// `None` for a gateway without a file.
    path: Option<PathBuf>,
    env: Arc<dyn Env>,
    current: Arc<ArcSwap<Runtime>>,
    apply: Apply,
    observe: Observe,
    /// Also the lock: one reload at a time.
    state: Mutex<State>,
}

struct State {
    status: Status,
    /// Of the file and all that it refers to, when last read.
    seen: Seen,
}

/// What was read, and a hash over it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    files: BTreeSet<PathBuf>,
    hash: [u8; 32],
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reloader({:?})", self.path)
    }
}

impl Reloader {
    /// For the configuration that was read from `path` (`None`: from none) and is in force.
    pub fn new(
        path: Option<PathBuf>,
        env: Arc<dyn Env>,
        runtime: Arc<Runtime>,
        apply: Apply,
        observe: Observe,
    ) -> Arc<Self> {
        let status = Status {
            hash: runtime.hash.clone(),
            loaded_at: runtime.loaded_at,
            last_error: None,
            warnings: Vec::new(),
            reloads: 0,
            failures: 0,
        };
        let seen = path.as_deref().map(|path| read(path, env.as_ref()).1).unwrap_or_default();
        let current = Arc::new(ArcSwap::new(runtime));
        Arc::new(Self { path, env, current, apply, observe, state: Mutex::new(State { status, seen }) })
    }

    /// The configuration in force.
    pub fn current(&self) -> Arc<Runtime> {
        self.current.load_full()
    }

    /// How the last attempts went.
    pub fn status(&self) -> Status {
        self.state().status.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again and, if nothing is wrong with it, puts it to work. `who` is for the record.
    pub fn reload(&self, who: &str) -> Result<Status, Report> {
        let Some(path) = self.path.as_deref() else {
            let help = Some("start with `weir run -c FILE`".to_owned());
            return Err(Report::plain("environment", "the gateway was started without a file", help));
        };
        let mut state = self.state();
        self.reload_locked(path, &mut state, who)
    }

    /// The same, unless nothing has changed since the last attempt.
    fn reload_if_changed(&self) {
        let Some(path) = self.path.as_deref() else { return };
        let mut state = self.state();
        if read_again(path, &state.seen.files, self.env.as_ref()) != state.seen.hash {
            // The outcome is in the status and in the log.
            let _ = self.reload_locked(path, &mut state, "file");
        }
    }

    fn reload_locked(&self, path: &Path, state: &mut State, who: &str) -> Result<Status, Report> {
        (self.observe)(None, who);
        let (loaded, seen) = read(path, self.env.as_ref());
        state.seen = seen;
        let applied = loaded.and_then(|mut runtime| {
            let warnings = keep_what_needs_a_restart(&mut runtime, &self.current.load());
            let runtime = Arc::new(runtime);
            (self.apply)(&runtime).map_err(|e| Report::plain(&path.display().to_string(), e, None))?;
            self.current.store(Arc::clone(&runtime));
            Ok((runtime, warnings))
        });
        let outcome = match applied {
            Ok((runtime, warnings)) => {
                for warning in &warnings {
                    tracing::warn!(config = %path.display(), "{warning}");
                }
                tracing::info!(config = %path.display(), hash = runtime.hash, "configuration reloaded");
                let Status { reloads, failures, .. } = state.status;
                let (hash, loaded_at) = (runtime.hash.clone(), runtime.loaded_at);
                state.status = Status { hash, loaded_at, last_error: None, warnings, reloads: reloads + 1, failures };
                Ok(state.status.clone())
            }
            Err(report) => {
                tracing::error!(config = %path.display(), "configuration not reloaded, the old one stays:\n{report}");
                state.status.failures += 1;
                state.status.last_error = Some(report.to_string());
                Err(report)
            }
        };
        (self.observe)(Some(&state.status), who);
        outcome
    }

    /// Reloads whenever the file changes, until the watch is dropped.
    pub fn watch(self: &Arc<Self>) -> notify::Result<Watch> {
        let (changed, changes) = sync_channel(1);
        let watcher = notify::recommended_watcher(on_event(changed.clone()))?;
        let mut watch = Watch { watcher: Some(watcher), thread: None };
        for directory in self.directories() {
            if let Some(watcher) = &mut watch.watcher {
                watcher.watch(&directory, RecursiveMode::NonRecursive)?;
            }
        }
        // What changed between the first reading and the watch.
        let _ = changed.try_send(());
        drop(changed);
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("weir-config".to_owned());
        watch.thread = Some(thread.spawn(move || this.follow(&changes)).map_err(notify::Error::io)?);
        Ok(watch)
    }

    /// The directories of the file and of all that it refers to, also where symbolic links lead.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let files = self.state().seen.files.clone();
        let real = files.iter().filter_map(|f| f.canonicalize().ok());
        files
            .iter()
            .cloned()
            .chain(real)
            .filter_map(|file| match file.parent() {
                Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
                Some(parent) if parent.is_dir() => Some(parent.to_owned()),
                _ => None,
            })
            .collect()
    }

    fn follow(&self, changes: &Receiver<()>) {
        while changes.recv().is_ok() {
            // A directory in which something is always written is never quiet.
            let latest = Instant::now() + LONGEST;
            loop {
                match changes.recv_timeout(QUIET.min(latest.saturating_duration_since(Instant::now()))) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.reload_if_changed();
        }
    }
}

fn on_event(changed: SyncSender<()>) -> impl Fn(notify::Result<notify::Event>) + Send + 'static {
    move |event| match event {
        // Reading is an event too, and ours would never end.
        Ok(event) if event.kind.is_access() => {}
        // A full channel already says that something changed.
        Ok(_) => drop(changed.try_send(())),
        Err(error) => tracing::warn!(%error, "the configuration may have changed unseen"),
    }
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Without the watcher the channel closes, and the thread ends.
        self.watcher = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sockets, threads and directories are set up once: the old values stay, with a word about it. A listener's
/// certificate may come from other files.
fn keep_what_needs_a_restart(new: &mut Runtime, old: &Runtime) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |what: &str| warnings.push(format!("`{what}` changed: it takes effect at the next start"));
    let places = |listen: &[Listen]| listen.iter().map(|one| (one.address, one.tls.is_some())).collect::<Vec<_>>();
    if places(&new.server.listen) != places(&old.server.listen) {
        warn("server.listen");
        new.server.listen.clone_from(&old.server.listen);
    }
    if new.server.threads != old.server.threads {
        warn("server.threads");
        new.server.threads = old.server.threads;
    }
    if new.admin.listen != old.admin.listen {
        warn("admin.listen");
        new.admin.listen = old.admin.listen;
    }
    if new.state.dir != old.state.dir {
        warn("state.dir");
        new.state.dir.clone_from(&old.state.dir);
    }
    if new.state.database != old.state.database {
        warn("state.database");
        new.state.database.clone_from(&old.state.database);
    }
    if new.state.shared != old.state.shared {
        warn("state.shared");
        new.state.shared.clone_from(&old.state.shared);
    }
    if new.state.ledger != old.state.ledger {
        warn("state.ledger");
        new.state.ledger = old.state.ledger;
    }
    if new.state.retention != old.state.retention {
        warn("state.retention");
        new.state.retention = old.state.retention;
    }
    if new.cache != old.cache {
        warn("cache");
        new.cache = old.cache;
    }
    warnings
}

/// Loads the file and notes what was read for it.
fn read(path: &Path, env: &dyn Env) -> (Result<Runtime, Report>, Seen) {
    let noting = Noting { env, read: Mutex::default() };
    let loaded = load::from_file(path, &noting);
    let mut files = noting.read.into_inner().unwrap_or_else(PoisonError::into_inner);
    files.insert(path.to_owned());
    let hash = read_again(path, &files, env);
    (loaded, Seen { files, hash })
}

/// A hash over the files as they are now.
fn read_again(path: &Path, files: &BTreeSet<PathBuf>, env: &dyn Env) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in std::iter::once(path).chain(files.iter().map(PathBuf::as_path)) {
        let text = env.read(file).map_or([0; 32], |text| Sha256::digest(text).into());
        hash.update(text);
    }
    hash.finalize().into()
}

/// Passes everything on and notes the files.
struct Noting<'e> {
    env: &'e dyn Env,
    read: Mutex<BTreeSet<PathBuf>>,
}

impl Env for Noting<'_> {
    fn var(&self, name: &str) -> Option<String> {
        self.env.var(name)
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        self.env.read(path)
    }
}
