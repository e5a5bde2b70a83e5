//! Brings final rows from the log into the store, each once: the store keeps in one transaction what it
//! took and how far it has come. A row that comes again (after a crash) is known by its id.
//!
//! Logs of processes that have ended are finished here too: a request that one of them left open ends
//! as `recovered`, with the last that was known of it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Position;
use super::files::{self, Held};
use super::log::Log;
use super::tail::{Damage, Ended, Tail};
use crate::record::Record;

/// Rows a batch.
const BATCH_ROWS: usize = 1_000;
/// How often other processes' directories are looked for.
const LOOK_AROUND: Duration = Duration::from_secs(5);

/// Where rows go.
pub trait Store {
    /// Up to which record of each stream it has taken all that ended.
    fn positions(&self) -> Result<HashMap<String, u64>, String>;
    /// Takes rows and positions, all or nothing. A row that it has is not taken again.
    fn fold(&self, rows: &[Record<'_>], positions: &[Position]) -> Result<(), String>;
    /// Nothing will come of this stream any more.
    fn forget(&self, stream: &str) -> Result<(), String>;
}

/// See the module documentation.
#[derive(Debug)]
pub struct Folder {
    log: Arc<Log>,
    own: Process,
    ended: Vec<Process>,
    looked_at: Option<Instant>,
    batch: Batch,
    /// What the store has.
    positions: Option<HashMap<String, u64>>,
    folded_rows: u64,
}

/// Read and not yet in the store.
#[derive(Debug, Default)]
struct Batch {
    /// As they stand in the log.
    rows: Vec<Vec<u8>>,
    positions: BTreeMap<String, u64>,
}

/// The log of one process.
#[derive(Debug)]
struct Process {
    path: PathBuf,
    name: String,
    /// Of one that has ended.
    held: Option<Held>,
    streams: BTreeMap<u16, Tail>,
    /// Read to its end; what it left open too.
    is_read: bool,
}

/// How things stand after a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// More is there to be folded at once.
    pub more: bool,
    pub rows: u64,
}

impl Process {
    fn of(path: PathBuf, name: String, held: Option<Held>) -> Self {
        Self { path, name, held, streams: BTreeMap::new(), is_read: false }
    }

    /// Finds the streams there are.
    fn look(&mut self) -> io::Result<()> {
        for segment in files::segments(&self.path)? {
            self.streams.entry(segment.stream).or_insert_with(|| Tail::new(&self.path, &segment));
        }
        Ok(())
    }

    fn stream_name(&self, stream: u16) -> String {
        format!("{}/{stream}", self.name)
    }

    /// Reads what has ended; says whether there may be more.
    fn read(
        &mut self,
        log: Option<&Log>,
        known: &HashMap<String, u64>,
        batch: &mut Batch,
        log_counts: &Log,
    ) -> io::Result<bool> {
        if self.is_read {
            return Ok(false);
        }
        let (mut more, name) = (false, self.name.clone());
        for (number, tail) in &mut self.streams {
            let stream = format!("{name}/{number}");
            let from_seq = known.get(&stream).copied().unwrap_or_default();
            let Batch { rows, positions } = &mut *batch;
            let mut put = |ended: Ended| {
                if ended.seq.is_none_or(|seq| seq > from_seq) {
                    put(ended, rows, log_counts);
                }
            };
            let extent = log.and_then(|log| log.extent(*number));
            let left = tail.read(BATCH_ROWS, extent, &mut put)?;
            if log.is_none() && !left {
                tail.end(&mut put);
            }
            more |= left;
            if tail.last_seq > from_seq {
                positions.insert(stream, tail.last_seq);
            }
            let Damage { bytes, missing } = std::mem::take(&mut tail.damage);
            if bytes + missing > 0 {
                log_counts.counts().damaged_bytes.fetch_add(bytes, Ordering::Relaxed);
                tracing::error!(
                    process = name,
                    stream = number,
                    bytes,
                    missing,
                    "a part of the ledger's log cannot be read"
                );
            }
        }
        self.is_read = log.is_none() && !more;
        Ok(more)
    }
}

fn put(ended: Ended, rows: &mut Vec<Vec<u8>>, log: &Log) {
    if ended.is_recovered
        && let Some(record) = Record::unpack(&ended.row)
    {
        log.counts().recovered.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(request_id = %record.request_id, "a request was open when its process ended: closed as recovered");
    }
    rows.push(ended.row);
}

impl Folder {
    pub fn new(log: Arc<Log>) -> Self {
        let own = Process::of(log.held().path.clone(), log.held().name.clone(), None);
        Self { log, own, ended: Vec::new(), looked_at: None, batch: Batch::default(), positions: None, folded_rows: 0 }
    }

    /// One step: reads a batch, hands it over, lets go of segments that nobody needs. Blocks. What the
    /// store does not take stays, and is offered again.
    pub fn beat(&mut self, store: &dyn Store) -> Result<Folded, String> {
        let known = match self.positions.take() {
            Some(known) => known,
            None => store.positions()?,
        };
        let read = self.read(&known);
        self.positions = Some(known);
        let more = read.map_err(|error| format!("the log cannot be read: {error}"))?;
        let rows = self.hand_over(store)?;
        self.let_go(store).map_err(|error| format!("segments cannot be removed: {error}"))?;
        Ok(Folded { more, rows })
    }

    fn read(&mut self, known: &HashMap<String, u64>) -> io::Result<bool> {
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_AROUND) {
            self.look_around()?;
        }
        // What could not be handed over comes first.
        if self.batch.rows.len() >= BATCH_ROWS {
            return Ok(true);
        }
        // What waits for another record belongs to it too.
        let _ = self.log.write();
        let mut more = false;
        for process in &mut self.ended {
            more |= process.read(None, known, &mut self.batch, &self.log)?;
            if self.batch.rows.len() >= BATCH_ROWS {
                return Ok(true);
            }
        }
        Ok(self.own.read(Some(&self.log), known, &mut self.batch, &self.log)? || more)
    }

    fn look_around(&mut self) -> io::Result<()> {
        self.looked_at = Some(Instant::now());
        self.own.look()?;
        for name in files::processes(self.log.ledger())? {
            if name == self.own.name || self.ended.iter().any(|known| known.name == name) {
                continue;
            }
            match Held::take(self.log.ledger(), name.clone()) {
                Ok(Some(held)) => {
                    let mut process = Process::of(held.path.clone(), held.name.clone(), Some(held));
                    process.look()?;
                    self.ended.push(process);
                }
                // It lives.
                Ok(None) => {}
                Err(error) => tracing::warn!(process = name, "the log of an earlier process cannot be read: {error}"),
            }
        }
        self.log.recount()
    }

    fn hand_over(&mut self, store: &dyn Store) -> Result<u64, String> {
        let Batch { rows, positions } = &mut self.batch;
        if positions.is_empty() && rows.is_empty() {
            return Ok(0);
        }
        let list: Vec<Position> =
            positions.iter().map(|(stream, seq)| Position { stream: stream.clone(), seq: *seq }).collect();
        let records: Vec<Record<'_>> = rows.iter().filter_map(|row| Record::unpack(row)).collect();
        store.fold(&records, &list)?;
        let (count, lost) = (records.len() as u64, (rows.len() - records.len()) as u64);
        if lost > 0 {
            self.log.counts().lost.fetch_add(lost, Ordering::Relaxed);
            tracing::error!(rows = lost, "rows of the ledger's log cannot be read");
        }
        let known = self.positions.get_or_insert_default();
        known.extend(std::mem::take(positions));
        self.folded_rows += count;
        rows.clear();
        Ok(count)
    }

    /// All of a batch is in the store here.
    fn let_go(&mut self, store: &dyn Store) -> io::Result<()> {
        let known = self.positions.get_or_insert_default();
        let mut removed = false;
        for process in std::iter::once(&mut self.own).chain(&mut self.ended) {
            for (number, tail) in &mut process.streams {
                let folded_seq = known.get(&format!("{}/{number}", process.name)).copied().unwrap_or_default();
                for segment in tail.take_done(folded_seq) {
                    std::fs::remove_file(process.path.join(segment.name()))?;
                    removed = true;
                }
            }
        }
        for process in self.ended.extract_if(.., |process| process.is_read) {
            let streams: Vec<String> = process.streams.keys().map(|number| process.stream_name(*number)).collect();
            if let Some(held) = process.held {
                held.remove()?;
                removed = true;
            }
            // Only now: whoever finds the directory has to know that all of it is folded.
            for stream in streams {
                known.remove(&stream);
                // It is in nobody's way.
                let _ = store.forget(&stream);
            }
        }
        if removed { self.log.recount() } else { Ok(()) }
    }

    /// Requests that this process has open, as far as was read.
    pub fn open(&self) -> usize {
        self.own.streams.values().map(Tail::open).sum()
    }

    /// Rows handed over so far.
    pub fn folded_rows(&self) -> u64 {
        self.folded_rows
    }
}
