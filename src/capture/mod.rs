//! Debug capture: whole exchanges of one tenant or key, before and after translation, for a while.
//!
//! It is off unless somebody starts it, and ends by itself. What is taken on the way of a request are
//! bytes ([`Recorder`]); a task of its own takes what must not be kept out of them (`redact`, `scrub`),
//! seals them (`seal`) and puts them on disk (`shelf`). No request waits for that: where the task cannot
//! keep up, an exchange is dropped and counted.
//!
//! # How to wire it
//! `Captures::new` once per process, [`Captures::bind`] at each reload. [`Captures::recorder`] where a
//! request's body is there: as long as nothing runs, it looks at one number. [`Captures::put`] when the
//! exchange is over, [`Captures::work`] again and again, beside the requests.

mod document;
mod exchange;
mod redact;
mod running;
mod scrub;
mod seal;
mod shelf;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use uuid::Uuid;

pub use exchange::{About, Leg, Recorder, To};
pub use running::{Running, Wanted};
pub use seal::Unreadable;

use crate::config::capture::Capture;
use crate::limit::clock::unix_ms;
use crate::wire::json::Obj;
use exchange::Held;
use shelf::Shelf;

/// Exchanges that wait to be written.
const MOST_WAITING: usize = 64;
/// Captures that run at the same time.
const MOST_RUNNING: usize = 16;
/// Captures that are over and still listed.
const MOST_ENDED: usize = 64;
/// How often the directory is looked at for what is too old.
const SWEEP_MS: u64 = 30_000;
const BEAT: Duration = Duration::from_secs(1);

/// See the module documentation.
#[derive(Debug)]
pub struct Captures {
    /// How many run: all that a request looks at where none does.
    running: AtomicUsize,
    /// The newest last.
    all: Mutex<Vec<Arc<Running>>>,
    rules: ArcSwap<Capture>,
    shelf: Shelf,
    held: Arc<Held>,
    waiting: Mutex<VecDeque<Arc<Recorder>>>,
    /// Held while files are written or removed.
    writing: Mutex<()>,
    wake: Notify,
    swept_ms: AtomicU64,
    counts: [AtomicU64; 2],
}

/// Exchanges, since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub kept: u64,
    pub dropped: u64,
    /// Captures that run now.
    pub running: usize,
}

/// Why a capture does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStarted {
    NoKey,
    TooMany,
}

/// Why an exchange cannot be shown.
#[derive(Debug)]
pub enum NotShown {
    /// There is none, or not any more.
    Unknown,
    NoKey,
    Unreadable(Unreadable),
    Disk(std::io::Error),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Captures {
    /// Files are below `state`.
    pub fn new(state: &Path, rules: Arc<Capture>) -> Self {
        Self {
            running: AtomicUsize::new(0),
            all: Mutex::default(),
            rules: ArcSwap::new(rules),
            shelf: Shelf::new(state),
            held: Arc::default(),
            waiting: Mutex::default(),
            writing: Mutex::default(),
            wake: Notify::new(),
            swept_ms: AtomicU64::new(0),
            counts: Default::default(),
        }
    }

    /// Takes a new configuration. Without a key nothing more is captured.
    pub fn bind(&self, rules: &Arc<Capture>) {
        if rules.key.is_none() {
            lock(&self.all).iter().for_each(|one| one.end());
        }
        self.rules.store(Arc::clone(rules));
        self.count_running();
    }

    pub fn start(&self, wanted: Wanted, by: &str) -> Result<Arc<Running>, NotStarted> {
        if self.rules.load().key.is_none() {
            return Err(NotStarted::NoKey);
        }
        let now_ms = unix_ms();
        let mut all = lock(&self.all);
        if all.iter().filter(|one| !one.is_over(now_ms)).count() >= MOST_RUNNING {
            return Err(NotStarted::TooMany);
        }
        let started = Arc::new(Running::new(wanted, by, now_ms));
        all.push(Arc::clone(&started));
        drop(all);
        self.count_running();
        Ok(started)
    }

    /// Ends a capture; what it has kept goes, but where it is to stay. `None`: there is none of that id.
    pub fn end(&self, id: Uuid, keep: bool) -> std::io::Result<Option<()>> {
        let mut all = lock(&self.all);
        let known = all.iter().position(|one| one.id == id);
        match known {
            Some(at) if !keep => all.remove(at).forget(),
            Some(at) => all.get(at).into_iter().for_each(|one| one.end()),
            None => {}
        }
        drop(all);
        self.count_running();
        if keep {
            let has_files = || self.shelf.list().0.contains_key(&id);
            return Ok((known.is_some() || has_files()).then_some(()));
        }
        let _writing = lock(&self.writing);
        let had_files = self.shelf.remove(id)?;
        Ok((known.is_some() || had_files).then_some(()))
    }

    fn count_running(&self) {
        let now_ms = unix_ms();
        let mut all = lock(&self.all);
        let ended = all.iter().filter(|one| one.is_over(now_ms)).count();
        let mut surplus = ended.saturating_sub(MOST_ENDED);
        all.retain(|one| {
            let goes = surplus > 0 && one.is_over(now_ms);
            surplus -= usize::from(goes);
            !goes
        });
        self.running.store(all.iter().filter(|one| !one.is_over(now_ms)).count(), Ordering::Relaxed);
    }

    /// For a request, where it is one of those that are wanted.
    pub fn recorder(&self, about: impl FnOnce() -> Option<About>) -> Option<Arc<Recorder>> {
        if self.running.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let (about, now_ms) = (about()?, unix_ms());
        let all = lock(&self.all);
        let running = all.iter().find(|one| one.take(&about.tenant, &about.key, now_ms)).map(Arc::clone)?;
        drop(all);
        Some(Arc::new(Recorder::new(about, running, Arc::clone(&self.held))))
    }

    /// The exchange is over. Never waits.
    pub fn put(&self, recorder: Arc<Recorder>) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= MOST_WAITING {
            self.dropped();
            return;
        }
        waiting.push_back(recorder);
        drop(waiting);
        self.wake.notify_one();
    }

    fn dropped(&self) {
        let [_, dropped] = &self.counts;
        dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// When there is something to be done, at the latest after a second.
    pub async fn wait(&self) {
        let _ = tokio::time::timeout(BEAT, self.wake.notified()).await;
    }

    /// Writes what waits, and removes what is too old. Blocks.
    pub fn work(&self) {
        self.flush();
        self.count_running();
        let now_ms = unix_ms();
        if now_ms.saturating_sub(self.swept_ms.load(Ordering::Relaxed)) >= SWEEP_MS {
            self.swept_ms.store(now_ms, Ordering::Relaxed);
            let _writing = lock(&self.writing);
            self.shelf.sweep(now_ms, self.rules.load().keep);
        }
    }

    /// Writes what waits. Blocks.
    pub fn flush(&self) {
        loop {
            let _writing = lock(&self.writing);
            let Some(recorder) = lock(&self.waiting).pop_front() else { return };
            if recorder.running.is_gone() {
                continue;
            }
            match self.write(&recorder) {
                Ok(()) => {
                    let [kept, _] = &self.counts;
                    kept.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => {
                    self.dropped();
                    tracing::warn!(request_id = %recorder.about.request_id, "an exchange could not be captured: {why}");
                }
            }
        }
    }

    fn write(&self, recorder: &Recorder) -> Result<(), String> {
        let rules = self.rules.load();
        let key = rules.key.as_ref().ok_or("the configuration has no key for it any more")?;
        let (capture, request) = (recorder.running.id, recorder.about.request_id);
        let document = document::write(recorder, &rules.redact);
        let sealed = seal::seal(key, &request.hyphenated().to_string(), &document).ok_or("there is no randomness")?;
        if u64::try_from(sealed.len()).unwrap_or(u64::MAX) > rules.most_bytes {
            return Err("it is larger than `telemetry.capture.max_bytes`".to_owned());
        }
        self.shelf.write(capture, request, &sealed, rules.most_bytes).map_err(|error| error.to_string())
    }

    /// A captured exchange, as JSON.
    pub fn read(&self, request: Uuid) -> Result<Vec<u8>, NotShown> {
        // It may be over and not yet written.
        self.flush();
        let rules = self.rules.load();
        if shelf::is_over(request, unix_ms(), rules.keep) {
            return Err(NotShown::Unknown);
        }
        let sealed = self.shelf.read(request).map_err(NotShown::Disk)?.ok_or(NotShown::Unknown)?;
        let key = rules.key.as_ref().ok_or(NotShown::NoKey)?;
        seal::open(key, &request.hyphenated().to_string(), &sealed).map_err(NotShown::Unreadable)
    }

    /// All captures, the newest first, with the requests of which something is kept.
    pub fn list(&self) -> Vec<u8> {
        self.flush();
        let (mut requests, bytes) = self.shelf.list();
        let (rules, now_ms) = (self.rules.load(), unix_ms());
        let mut body = Vec::new();
        let mut root = Obj::new(&mut body);
        let mut data = root.arr("data");
        for one in lock(&self.all).iter().rev() {
            one.write(&mut data.obj(), &requests.remove(&one.id).unwrap_or_default(), now_ms);
        }
        // Of an earlier process no more is known than what is on disk.
        for (id, requests) in requests.iter().rev() {
            let mut row = data.obj();
            row.text("id", &id.hyphenated().to_string()).text("state", "ended");
            running::write_requests(&mut row, requests);
        }
        drop(data);
        root.bool("has_key", rules.key.is_some()).num("bytes", bytes).num("max_bytes", rules.most_bytes);
        drop(root);
        body
    }

    pub fn counts(&self) -> Counts {
        let [kept, dropped] = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counts { kept, dropped, running: self.running.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests;
