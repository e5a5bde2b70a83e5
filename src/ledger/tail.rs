//! Reads a stream from its first segment on, as far as it is written, and knows which requests of it
//! are open.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::files::{self, HEADER, Segment};
use super::frame::{self, Frame, Kind};

const CHUNK_BYTES: usize = 256 << 10;
/// What an answer usually adds to the row of a request.
const GROWTH_BYTES: usize = 128;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Tail {
    directory: PathBuf,
    segment: Segment,
    file: Option<File>,
    /// How much of the segment was read.
    offset: u64,
    unread: Vec<u8>,
    open: HashMap<[u8; 16], Pending>,
    /// Segments before the present one, with the last record of each.
    behind: Vec<(u64, u64)>,
    pub(super) last_seq: u64,
    pub(super) damage: Damage,
}

/// What could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    pub bytes: u64,
    /// Records that should stand between two that do.
    pub missing: u64,
}

/// A request that is not over, or whose end is not read.
#[derive(Debug)]
struct Pending {
    /// Where its first record stands.
    segment: u64,
    row: Vec<u8>,
    is_settled: bool,
}

/// A request that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) row: Vec<u8>,
    /// The record that says so; none where its process was killed before that.
    pub(super) seq: Option<u64>,
    /// Nobody wrote its final row either.
    pub(super) is_recovered: bool,
}

impl Tail {
    pub(super) fn new(directory: &Path, first: &Segment) -> Self {
        Self {
            directory: directory.to_owned(),
            segment: first.clone(),
            file: None,
            offset: 0,
            unread: Vec::new(),
            open: HashMap::new(),
            behind: Vec::new(),
            last_seq: 0,
            damage: Damage::default(),
        }
    }

    /// Hands over requests as they end, up to `most`; says whether there may be more. `extent` is how far
    /// a stream that grows is whole.
    pub(super) fn read(
        &mut self,
        most: usize,
        extent: Option<(u64, u64)>,
        mut ended: impl FnMut(Ended),
    ) -> io::Result<bool> {
        let mut count = 0;
        loop {
            count += self.scan(&mut ended);
            if count >= most {
                return Ok(true);
            }
            if !self.fill(extent)? && !self.go_on(extent)? {
                return Ok(false);
            }
        }
    }

    /// Takes what is whole of what was read; says how many requests ended with it.
    fn scan(&mut self, ended: &mut impl FnMut(Ended)) -> usize {
        let (mut count, mut at) = (0, 0);
        loop {
            match frame::read(self.unread.get(at..).unwrap_or_default()) {
                frame::Read::Frame { frame, bytes } => {
                    let over = take(&mut self.open, self.segment.number, &frame);
                    if self.last_seq > 0 && frame.seq > self.last_seq + 1 {
                        self.damage.missing += frame.seq - self.last_seq - 1;
                    }
                    self.last_seq = self.last_seq.max(frame.seq);
                    at += bytes;
                    if let Some(over) = over {
                        ended(over);
                        count += 1;
                    }
                }
                frame::Read::Damaged { bytes } => {
                    self.damage.bytes += bytes as u64;
                    at += bytes;
                }
                frame::Read::Short => {
                    self.unread.drain(..at);
                    return count;
                }
            }
        }
    }

    /// Nothing follows what is short: it is torn, or says that it is longer than it is, and then there are
    /// frames behind it. False where nothing is left.
    fn skip_torn(&mut self) -> bool {
        let torn = frame::torn(&self.unread);
        self.damage.bytes += torn as u64;
        self.unread.drain(..torn);
        !self.unread.is_empty()
    }

    /// Reads more of the segment; false where that is all.
    fn fill(&mut self, extent: Option<(u64, u64)>) -> io::Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(self.directory.join(self.segment.name()))?),
        };
        let whole = extent.filter(|(number, _)| *number == self.segment.number).map(|(_, length)| length);
        let left = whole.map_or(u64::MAX, |length| length.saturating_sub(self.offset));
        let more = file.take(left.min(CHUNK_BYTES as u64)).read_to_end(&mut self.unread)? as u64;
        if self.offset == 0 && more > 0 {
            let head = HEADER.len().min(self.unread.len());
            if self.unread.get(..head) != HEADER.get(..head) {
                self.damage.bytes += head as u64;
            }
            self.unread.drain(..head);
        }
        self.offset += more;
        Ok(more > 0)
    }

    /// On to the next segment, where there is one: what is left of this one is torn.
    fn go_on(&mut self, extent: Option<(u64, u64)>) -> io::Result<bool> {
        // It may have grown since, and another one have followed.
        if extent.is_some_and(|(number, _)| number == self.segment.number) {
            return Ok(false);
        }
        // One that is gone does not hide those behind it.
        let mut all = files::segments(&self.directory)?.into_iter();
        let behind = |other: &Segment| other.stream == self.segment.stream && other.number > self.segment.number;
        let Some(next) = all.find(behind) else { return Ok(false) };
        // What was written between the last look and the new segment.
        if self.fill(extent)? {
            return Ok(true);
        }
        if self.skip_torn() {
            return Ok(true);
        }
        self.behind.push((self.segment.number, self.last_seq));
        (self.segment, self.file, self.offset) = (next, None, 0);
        Ok(true)
    }

    /// Of a process that has ended: what it left open is over.
    pub(super) fn end(&mut self, mut ended: impl FnMut(Ended)) {
        while self.skip_torn() {
            self.scan(&mut ended);
        }
        for (_, pending) in self.open.drain() {
            ended(Ended { row: pending.row, seq: None, is_recovered: !pending.is_settled });
        }
    }

    /// Segments that nobody needs once all records up to `folded_seq` are in the store; they are
    /// forgotten here.
    pub(super) fn take_done(&mut self, folded_seq: u64) -> Vec<Segment> {
        let needed = self.open.values().map(|pending| pending.segment).min().unwrap_or(u64::MAX);
        let stream = self.segment.stream;
        let count = self.behind.iter().take_while(|(number, last)| *number < needed && *last <= folded_seq).count();
        self.behind.drain(..count).map(|(number, _)| Segment { stream, number }).collect()
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }
}

fn take(open: &mut HashMap<[u8; 16], Pending>, segment: u64, frame: &Frame<'_>) -> Option<Ended> {
    if frame.kind == Kind::Close {
        let pending = open.remove(&frame.id);
        let row = match pending {
            Some(pending) if frame.row.is_empty() => pending.row,
            _ => frame.row.to_owned(),
        };
        return Some(Ended { row, seq: Some(frame.seq), is_recovered: false });
    }
    let is_settled = frame.kind == Kind::Settle;
    let room = frame.row.len() + GROWTH_BYTES;
    let fresh = || Pending { segment, row: Vec::with_capacity(room), is_settled };
    let pending = open.entry(frame.id).or_insert_with(fresh);
    // A row that was too long says nothing.
    if !frame.row.is_empty() {
        pending.row.clear();
        pending.row.extend_from_slice(frame.row);
    }
    pending.is_settled |= is_settled;
    None
}
