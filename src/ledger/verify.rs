//! Reads a whole log and says what stands in it.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::DIRECTORY;
use super::files;
use super::tail::Tail;
use crate::record::Record;

/// What a log holds.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub processes: u64,
    pub segments: u64,
    pub bytes: u64,
    /// Requests that are over.
    pub ended: u64,
    /// Requests that run, or whose process was killed.
    pub open: u64,
    /// Final rows that are none.
    pub unreadable_rows: u64,
    /// Bytes that are no records. The last record of a process that was killed may be torn.
    pub damaged_bytes: u64,
    /// Records that should be there.
    pub missing_records: u64,
}

impl Verified {
    pub fn is_sound(&self) -> bool {
        self.unreadable_rows == 0 && self.missing_records == 0 && self.damaged_bytes == 0
    }
}

/// Reads the log under `state_dir`. May run beside a gateway.
pub fn verify(state_dir: &Path) -> io::Result<Verified> {
    let (ledger, mut found) = (state_dir.join(DIRECTORY), Verified::default());
    for process in files::processes(&ledger)? {
        let path = ledger.join(&process);
        found.processes += 1;
        let mut tails: Vec<(u16, Tail)> = Vec::new();
        for segment in files::segments(&path)? {
            // One that is gone by now is folded.
            let Ok(file) = std::fs::metadata(path.join(segment.name())) else { continue };
            found.segments += 1;
            found.bytes += file.len();
            if tails.last().is_none_or(|(stream, _)| *stream != segment.stream) {
                tails.push((segment.stream, Tail::new(&path, &segment)));
            }
        }
        for (_, tail) in &mut tails {
            let mut rows = (0, 0);
            let read = tail.read(usize::MAX, None, |ended| match Record::unpack(&ended.row) {
                // Its beginning is folded and gone.
                _ if ended.row.is_empty() => {}
                Some(_) => rows.0 += 1,
                None => rows.1 += 1,
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => _ = other?,
            }
            found.ended += rows.0;
            found.unreadable_rows += rows.1;
            found.open += tail.open() as u64;
            found.damaged_bytes += tail.damage.bytes;
            found.missing_records += tail.damage.missing;
        }
    }
    Ok(found)
}
