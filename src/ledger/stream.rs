//! One stream of the log: the records of the requests that began on one thread, in the order they were
//! written. A request keeps to its stream.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::files::{HEADER, Segment};
use super::frame::{Frame, Kind};

/// What may wait for the next write that has to be.
const LAZY_BYTES: usize = 256 << 10;
/// What a disk does not take may wait up to this: from the first refused byte on nothing new is
/// opened, so that it is the ends of requests that run.
const MOST_WAITING_BYTES: usize = 16 << 20;

/// Whether a record has to be written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Now,
    /// With the next one, or at the next beat.
    Soon,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Stream {
    directory: PathBuf,
    segment: Segment,
    /// One that has grown to this is followed by a new one.
    segment_bytes: u64,
    file: File,
    /// Of the segment, all of whole frames.
    length: u64,
    next_seq: u64,
    waiting: Vec<u8>,
    /// The last write failed: how many of all streams had not by then.
    stuck_at: Option<u64>,
    /// Half a frame stands at the segment's end, and could not be taken back.
    is_torn: bool,
    /// Since it was last synced.
    changed: bool,
    /// Segments that are full, and have not been synced.
    retired: Vec<File>,
    all: Arc<Totals>,
}

/// Of all streams together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) bytes: AtomicU64,
    /// That the disk took.
    writes: AtomicU64,
}

impl Stream {
    pub(super) fn begin(
        directory: PathBuf,
        segment: Segment,
        segment_bytes: u64,
        all: Arc<Totals>,
    ) -> io::Result<Self> {
        let file = segment.create(&directory)?;
        // It is in the directory from here on, and that has to be on the disk too.
        let retired = vec![File::open(&directory)?];
        let length = HEADER.len() as u64;
        all.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(Self {
            directory,
            segment,
            segment_bytes,
            file,
            length,
            next_seq: 1,
            waiting: Vec::new(),
            stuck_at: None,
            is_torn: false,
            changed: true,
            retired,
            all,
        })
    }

    /// The first record of a request. Where it cannot be written there is none, and there was none.
    pub(super) fn open(&mut self, id: [u8; 16], row: &[u8]) -> io::Result<()> {
        if self.stuck_at.is_some() {
            self.write()?;
        }
        let (before, seq) = (self.waiting.len(), self.next_seq);
        self.push(Kind::Open, id, row);
        self.write().inspect_err(|_| {
            self.waiting.truncate(before);
            self.next_seq = seq;
        })
    }

    /// A later one. What cannot be written waits; false where not even that is possible.
    pub(super) fn append(&mut self, kind: Kind, id: [u8; 16], row: &[u8], when: When) -> bool {
        if self.waiting.len() >= MOST_WAITING_BYTES {
            return false;
        }
        self.push(kind, id, row);
        if when == When::Now || self.waiting.len() >= LAZY_BYTES {
            // Tried again at the next beat.
            let _ = self.write();
        }
        true
    }

    fn push(&mut self, kind: Kind, id: [u8; 16], row: &[u8]) {
        Frame { seq: self.next_seq, kind, id, row }.write(&mut self.waiting);
        self.next_seq += 1;
    }

    /// Hands what waits to the system: it is safe from this process's end then, not from the machine's.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.try_write();
        self.stuck_at = written.as_ref().err().map(|_| self.all.writes.load(Ordering::Relaxed));
        written
    }

    fn try_write(&mut self) -> io::Result<()> {
        if self.length >= self.segment_bytes || self.is_torn {
            let (next, directory) = (self.segment.next(), File::open(&self.directory)?);
            self.retired.push(std::mem::replace(&mut self.file, next.create(&self.directory)?));
            self.retired.push(directory);
            (self.segment, self.length, self.is_torn) = (next, HEADER.len() as u64, false);
            self.all.bytes.fetch_add(self.length, Ordering::Relaxed);
        }
        if let Err(error) = self.file.write_all(&self.waiting) {
            self.is_torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        let bytes = self.waiting.len() as u64;
        self.length += bytes;
        self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.writes.fetch_add(1, Ordering::Relaxed);
        self.waiting.clear();
        self.waiting.shrink_to(LAZY_BYTES);
        self.changed = true;
        Ok(())
    }

    /// The segment's number, and how much of it is whole.
    pub(super) fn extent(&self) -> (u64, u64) {
        (self.segment.number, self.length)
    }

    /// The last write failed, and the disk has taken none of any stream since.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck_at.is_some_and(|at| at == self.all.writes.load(Ordering::Relaxed))
    }

    /// The files to sync, if anything was written since this was last asked.
    pub(super) fn take_changed(&mut self) -> io::Result<Vec<File>> {
        let present = self.changed.then(|| self.file.try_clone()).transpose()?;
        self.changed = false;
        let mut files = std::mem::take(&mut self.retired);
        files.extend(present);
        Ok(files)
    }

    /// They were not synced after all.
    pub(super) fn give_back(&mut self, files: Vec<File>) {
        self.retired.extend(files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    /// A stream whose disk is full.
    fn full(name: &str) -> (Stream, PathBuf) {
        let directory = std::env::temp_dir().join(format!("weir-stream-{name}-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        let first = Segment { stream: 0, number: 1 };
        let mut stream = Stream::begin(directory.clone(), first, 1 << 20, Arc::default()).unwrap();
        stream.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        (stream, directory)
    }

    #[test]
    fn what_cannot_be_opened_was_never_there() {
        let (mut stream, directory) = full("open");
        assert!(stream.open([1; 16], b"{}").is_err());
        assert!(stream.is_stuck());
        assert_eq!((stream.waiting.len(), stream.next_seq), (0, 1));
        // The disk has room again.
        assert!(stream.open([2; 16], b"{}").is_ok());
        assert!(!stream.is_stuck());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_another_stream_could_write_shows_that_the_disk_takes_again() {
        let (mut stream, directory) = full("another");
        assert!(stream.open([1; 16], b"{}").is_err() && stream.is_stuck());
        let second = Segment { stream: 1, number: 1 };
        let mut other = Stream::begin(directory.clone(), second, 1 << 20, Arc::clone(&stream.all)).unwrap();
        assert!(stream.is_stuck());
        other.open([2; 16], b"{}").unwrap();
        assert!(!stream.is_stuck());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_end_of_a_request_waits_for_the_disk_and_what_waits_is_bounded() {
        let (mut stream, directory) = full("append");
        assert!(stream.append(Kind::Settle, [1; 16], b"{}", When::Now));
        assert!(stream.is_stuck() && !stream.waiting.is_empty());
        let long = vec![b'x'; 1 << 20];
        let full = || OpenOptions::new().append(true).open("/dev/full").unwrap();
        let taken = (0..40).take_while(|_| {
            (stream.file, stream.is_torn) = (full(), false);
            stream.append(Kind::Progress, [2; 16], &long, When::Soon)
        });
        assert!((15..=17).contains(&taken.count()));
        stream.is_torn = true;
        stream.write().unwrap();
        assert!(stream.waiting.is_empty() && !stream.is_stuck());
        assert_eq!(stream.extent().0, 2, "a segment that may be torn is left");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
