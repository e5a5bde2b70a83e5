//! The write-ahead log of a process.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{self, Held, Segment};
use super::frame::Kind;
use super::stream::{Stream, Totals, When};

/// A segment that has grown to this is followed by a new one, if not sooner.
const MOST_SEGMENT_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 16 << 20 };

/// How the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Streams: one for each thread that serves.
    pub streams: u16,
    /// All segments together, those of earlier processes too.
    pub most_bytes: u64,
    /// Where nothing can be recorded: refuse requests, or serve them and count what is lost.
    pub serve_unrecorded: bool,
}

/// See the module documentation.
pub struct Log {
    ledger: PathBuf,
    held: Held,
    streams: Box<[Mutex<Stream>]>,
    options: Options,
    all: Arc<Totals>,
    counts: Counts,
}

/// What happened to the log since the process began.
#[derive(Debug, Default)]
pub struct Counts {
    /// Writes that a disk refused.
    pub failed_writes: AtomicU64,
    /// Requests refused because nothing could be recorded.
    pub refused: AtomicU64,
    /// Records that are nowhere.
    pub lost: AtomicU64,
    /// Requests found open after an earlier process's end.
    pub recovered: AtomicU64,
    /// Bytes that could not be read.
    pub damaged_bytes: AtomicU64,
}

/// A request's place in the log. Its records go to one stream, so that they stand in their order.
#[derive(Debug)]
pub struct Entry {
    id: [u8; 16],
    stream: u16,
    opened: AtomicBool,
    settled: AtomicBool,
    /// Refused, or served though it cannot be recorded: nothing of it is written.
    unrecorded: AtomicBool,
}

/// Nothing can be recorded, so nothing is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable(pub String);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("process", &self.held.name).finish_non_exhaustive()
    }
}

thread_local! {
    /// Threads are counted as they come.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    })
}

impl Log {
    /// Begins this process's log in `state_dir`. What earlier ones left is another's to finish
    /// ([`super::Folder`]).
    pub fn begin(state_dir: &Path, options: Options) -> io::Result<Self> {
        let ledger = state_dir.join(super::DIRECTORY);
        let held = Held::new(&ledger)?;
        let all = Arc::new(Totals::default());
        all.bytes.store(on_disk(&ledger)?, Ordering::Relaxed);
        let count = options.streams.max(1);
        // A segment that is the present one stays: all of them together are a part of what there may be.
        let segment_bytes = (options.most_bytes / (4 * u64::from(count))).min(MOST_SEGMENT_BYTES);
        let stream = |number: u16| {
            let first = Segment { stream: number, number: 1 };
            Stream::begin(held.path.clone(), first, segment_bytes, Arc::clone(&all)).map(Mutex::new)
        };
        let streams = (0..count).map(stream).collect::<io::Result<_>>()?;
        Ok(Self { ledger, held, streams, options, all, counts: Counts::default() })
    }

    /// A request's place. Nothing is written yet.
    pub fn entry(&self, id: [u8; 16]) -> Entry {
        let stream = thread_number() % self.streams.len();
        let stream = u16::try_from(stream).unwrap_or_default();
        let [opened, settled, unrecorded] = std::array::from_fn(|_| AtomicBool::new(false));
        Entry { id, stream, opened, settled, unrecorded }
    }

    /// Before an attempt: opens the request with the first. Fails where it cannot be recorded and must
    /// not go on.
    pub fn attempt(&self, entry: &Entry, row: &[u8]) -> Result<(), Unwritable> {
        if entry.opened.load(Ordering::Relaxed) {
            self.append(entry, Kind::Attempt, row, When::Now);
            return Ok(());
        }
        if entry.unrecorded.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Err(why) = self.open(entry, row) else {
            entry.opened.store(true, Ordering::Relaxed);
            return Ok(());
        };
        entry.unrecorded.store(true, Ordering::Relaxed);
        let (count, done) = match self.options.serve_unrecorded {
            true => (&self.counts.lost, Ok(())),
            false => (&self.counts.refused, Err(why)),
        };
        count.fetch_add(1, Ordering::Relaxed);
        done
    }

    fn open(&self, entry: &Entry, row: &[u8]) -> Result<(), Unwritable> {
        if self.is_full() {
            return Err(Unwritable("the log has grown to its limit".to_owned()));
        }
        let stream = self.stream(entry.stream).ok_or_else(|| Unwritable("no such stream".to_owned()));
        stream?.open(entry.id, row).map_err(|error| {
            self.counts.failed_writes.fetch_add(1, Ordering::Relaxed);
            Unwritable(format!("the log cannot be written: {error}"))
        })
    }

    /// What is known of a stream that runs. Written with the next record, or at the next beat.
    pub fn progress(&self, entry: &Entry, row: &[u8]) {
        if entry.opened.load(Ordering::Relaxed) {
            self.append(entry, Kind::Progress, row, When::Soon);
        }
    }

    /// The final row, before the client has the whole answer; only the first counts. A request of which
    /// no provider was asked has nothing before it.
    pub fn settle(&self, entry: &Entry, row: &[u8]) {
        if !entry.settled.swap(true, Ordering::Relaxed) {
            self.append(entry, Kind::Settle, row, When::Now);
        }
    }

    /// The request is over; with the row where it is not what was settled. Before this nobody folds it.
    pub fn close(&self, entry: &Entry, changed: Option<&[u8]>) {
        let settled = entry.settled.swap(true, Ordering::Relaxed);
        match changed {
            Some(row) => self.append(entry, Kind::Close, row, if settled { When::Soon } else { When::Now }),
            None => self.append(entry, Kind::Close, &[], When::Soon),
        }
    }

    fn append(&self, entry: &Entry, kind: Kind, row: &[u8], when: When) {
        if entry.unrecorded.load(Ordering::Relaxed) || self.has_no_room(entry) {
            return;
        }
        let (kept, is_stuck) = match self.stream(entry.stream) {
            Some(mut stream) => (stream.append(kind, entry.id, row, when), stream.is_stuck()),
            None => (false, false),
        };
        if !kept {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        if is_stuck && when == When::Now {
            self.counts.failed_writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Of a request that asked no provider: its row has to stand back behind the ends of those that did.
    fn has_no_room(&self, entry: &Entry) -> bool {
        let is_begun = entry.opened.load(Ordering::Relaxed);
        if is_begun || !(self.is_full() || self.stream(entry.stream).is_some_and(|stream| stream.is_stuck())) {
            return false;
        }
        entry.unrecorded.store(true, Ordering::Relaxed);
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn stream(&self, number: u16) -> Option<MutexGuard<'_, Stream>> {
        self.streams.get(usize::from(number)).map(lock)
    }

    /// Writes what waits. Blocks.
    pub fn write(&self) -> io::Result<()> {
        let mut result = Ok(());
        for stream in &self.streams {
            let written = lock(stream).write();
            if written.is_err() {
                self.counts.failed_writes.fetch_add(1, Ordering::Relaxed);
            }
            result = result.and(written);
        }
        result
    }

    /// Writes what waits, and makes the machine keep all of it, in one go for all requests since the
    /// last time. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        let mut result = self.write();
        for stream in &self.streams {
            let files = lock(stream).take_changed();
            let synced = files.and_then(|files| {
                let synced = files.iter().try_for_each(std::fs::File::sync_data);
                if synced.is_err() {
                    // Nothing is known of what was written: the next time has to try again.
                    lock(stream).give_back(files);
                }
                synced
            });
            if synced.is_err() {
                self.counts.failed_writes.fetch_add(1, Ordering::Relaxed);
            }
            result = result.and(synced);
        }
        result
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// All segments together.
    pub fn bytes(&self) -> u64 {
        self.all.bytes.load(Ordering::Relaxed)
    }

    /// Whether a request would be refused now, as far as is known.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.options.most_bytes
    }

    pub fn is_stuck(&self) -> bool {
        self.streams.iter().any(|stream| lock(stream).is_stuck())
    }

    /// Counts the bytes anew: other processes make and remove segments too.
    pub(super) fn recount(&self) -> io::Result<()> {
        self.all.bytes.store(on_disk(&self.ledger)?, Ordering::Relaxed);
        Ok(())
    }

    /// How far a stream of this process may be read: its segment, and how much of that is whole.
    pub(super) fn extent(&self, stream: u16) -> Option<(u64, u64)> {
        self.stream(stream).map(|stream| stream.extent())
    }

    pub(super) fn ledger(&self) -> &Path {
        &self.ledger
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    // Every record is whole before anything can panic.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    /// Whether the final row is written.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }
}

/// All segments of all processes.
fn on_disk(ledger: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for process in files::processes(ledger)? {
        for segment in files::segments(&ledger.join(&process))? {
            bytes += match std::fs::metadata(ledger.join(&process).join(segment.name())) {
                Ok(file) => file.len(),
                // Its process has just let it go.
                Err(error) if error.kind() == ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
        }
    }
    Ok(bytes)
}
