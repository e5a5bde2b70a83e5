//! How the log's records stand in a file.
//!
//! ```text
//! mark "wlr1" | length u32 | crc32 u32 | seq u64 | kind u8 | request id, 16 bytes | row ...
//! ```
//!
//! Integers are little-endian. The length is that of the row, the checksum is over everything behind
//! it. The mark is there to find the next frame behind one that a disk has damaged.

/// Of every frame.
const MARK: [u8; 4] = *b"wlr1";
/// In front of the row.
const HEAD_BYTES: usize = 4 + 4 + 4 + 8 + 1 + 16;
/// What the checksum is over begins here.
const CHECKED_FROM: usize = 12;
/// A row is never longer: what says so is damaged.
pub(super) const MOST_ROW_BYTES: usize = 1 << 20;

/// What a frame says of its request. Each holds the whole row as far as it is known then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A provider is about to be asked.
    Open,
    /// Another attempt is about to be made.
    Attempt,
    /// So much of the answer has come.
    Progress,
    /// The answer is complete, and not yet with the client.
    Settle,
    /// The request is over. Without a row where the last one was right.
    Close,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Attempt => 2,
            Self::Progress => 3,
            Self::Settle => 4,
            Self::Close => 5,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Open,
            2 => Self::Attempt,
            3 => Self::Progress,
            4 => Self::Settle,
            5 => Self::Close,
            _ => return None,
        })
    }
}

/// One record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'b> {
    /// Its number in its stream.
    pub(super) seq: u64,
    pub(super) kind: Kind,
    pub(super) id: [u8; 16],
    pub(super) row: &'b [u8],
}

impl Frame<'_> {
    /// Appends it to `out`. A row that is too long is left out: the row's counts are in the frames before.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let row = if self.row.len() <= MOST_ROW_BYTES { self.row } else { &[] };
        let mut checksum = crc32fast::Hasher::new();
        let (seq, kind) = (self.seq.to_le_bytes(), [self.kind.byte()]);
        for part in [&seq[..], &kind, &self.id, row] {
            checksum.update(part);
        }
        out.extend_from_slice(&MARK);
        // Bounded above.
        out.extend_from_slice(&u32::try_from(row.len()).unwrap_or_default().to_le_bytes());
        out.extend_from_slice(&checksum.finalize().to_le_bytes());
        for part in [&seq[..], &kind, &self.id, row] {
            out.extend_from_slice(part);
        }
    }
}

/// What stands at the beginning of some bytes of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'b> {
    Frame {
        frame: Frame<'b>,
        bytes: usize,
    },
    /// More bytes are needed to tell.
    Short,
    /// Nothing that can be read, for so many bytes.
    Damaged {
        bytes: usize,
    },
}

/// Reads the first frame.
pub(super) fn read(bytes: &[u8]) -> Read<'_> {
    match checked(bytes) {
        Some(Some((frame, used))) => Read::Frame { frame, bytes: used },
        None => Read::Short,
        Some(None) => Read::Damaged { bytes: torn(bytes) },
    }
}

/// How many bytes there are up to where the next frame may begin, if what stands here is none.
pub(super) fn torn(bytes: &[u8]) -> usize {
    let rest = bytes.get(1..).unwrap_or_default();
    memchr::memmem::find(rest, &MARK).map_or(bytes.len(), |at| at + 1)
}

/// `None`: more is needed. `Some(None)`: no frame.
fn checked(bytes: &[u8]) -> Option<Option<(Frame<'_>, usize)>> {
    let begins = bytes.iter().zip(&MARK).all(|(own, mark)| own == mark);
    if !begins {
        return Some(None);
    }
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let length = u32_at(head, 4) as usize;
    if length > MOST_ROW_BYTES {
        return Some(None);
    }
    let row = rest.get(..length)?;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(head.get(CHECKED_FROM..).unwrap_or_default());
    checksum.update(row);
    if checksum.finalize() != u32_at(head, 8) {
        return Some(None);
    }
    let seq = head.get(12..20).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let kind = head.get(20).and_then(|b| Kind::of(*b));
    let id = head.get(21..37).and_then(|b| b.try_into().ok()).unwrap_or_default();
    Some(kind.map(|kind| (Frame { seq, kind, id, row }, HEAD_BYTES + length)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64, row: &[u8]) -> Frame<'_> {
        Frame { seq, kind: Kind::Settle, id: [7; 16], row }
    }

    #[test]
    fn what_was_written_is_read_and_a_beginning_of_it_is_short() {
        let mut bytes = Vec::new();
        frame(3, b"{}").write(&mut bytes);
        assert_eq!(read(&bytes), Read::Frame { frame: frame(3, b"{}"), bytes: bytes.len() });
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), Read::Short, "{cut}");
        }
    }

    #[test]
    fn any_damage_is_found_and_the_next_frame_behind_it() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        frame(1, b"one").write(&mut one);
        frame(2, b"two").write(&mut two);
        for at in 0..one.len() {
            let mut both = [one.clone(), two.clone()].concat();
            both[at] ^= 0x40;
            let mut rest = both.as_slice();
            let mut found = Vec::new();
            loop {
                match read(rest) {
                    Read::Frame { frame, bytes } => {
                        found.push(frame.seq);
                        rest = &rest[bytes..];
                    }
                    Read::Damaged { bytes } => rest = &rest[bytes..],
                    Read::Short => break,
                }
            }
            // A length that grew swallows what is behind it, as far as can be told from here.
            assert!(found == [2] || (4..8).contains(&at) && found.is_empty(), "{at}: {found:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let mut bytes = Vec::new();
        frame(1, &vec![b'x'; MOST_ROW_BYTES + 1]).write(&mut bytes);
        assert_eq!(read(&bytes), Read::Frame { frame: frame(1, b""), bytes: HEAD_BYTES });
    }
}
