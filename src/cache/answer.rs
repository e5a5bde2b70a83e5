//! An answer as its provider sent it: the type of its content, and its body in the pieces it came in.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// What an entry takes beside its bytes.
const OVERHEAD_BYTES: usize = 256;
/// At the beginning of one that is packed: another layout has another one.
const MAGIC: &[u8; 4] = b"wrc1";
/// A stream in more pieces has its last ones joined.
const MOST_PIECES: usize = 16_384;

/// See the module documentation. Only good ones are kept, with status 200.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    content_type: Option<Bytes>,
    body: Bytes,
    /// Where each piece ends.
    ends: Box<[u32]>,
    at_ms: u64,
}

impl Answer {
    pub fn content_type(&self) -> Option<&[u8]> {
        self.content_type.as_deref()
    }

    /// The piece at that place, if there is one.
    pub fn piece(&self, index: usize) -> Option<Bytes> {
        let end = usize::try_from(*self.ends.get(index)?).ok()?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let start = usize::try_from(start).ok()?;
        (start <= end && end <= self.body.len()).then(|| self.body.slice(start..end))
    }

    pub fn age(&self, unix_ms: u64) -> Duration {
        Duration::from_millis(unix_ms.saturating_sub(self.at_ms))
    }

    /// What it takes in memory, nearly.
    pub fn weight_bytes(&self) -> usize {
        self.body.len() + self.ends.len() * size_of::<u32>() + OVERHEAD_BYTES
    }

    /// As the store has it.
    pub fn pack(&self) -> Vec<u8> {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(self.weight_bytes());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        for length in [content_type.len(), self.ends.len()] {
            out.extend_from_slice(&u32::try_from(length).unwrap_or_default().to_le_bytes());
        }
        out.extend_from_slice(content_type);
        self.ends.iter().for_each(|end| out.extend_from_slice(&end.to_le_bytes()));
        out.extend_from_slice(&self.body);
        out
    }

    /// `None` for whatever [`Self::pack`] has not made.
    pub fn unpack(packed: &Bytes) -> Option<Self> {
        let rest = packed.strip_prefix(MAGIC)?;
        let (at_ms, rest) = rest.split_first_chunk::<8>()?;
        let (type_length, rest) = number(rest)?;
        let (count, rest) = number(rest)?;
        let (content_type, rest) = rest.split_at_checked(type_length)?;
        let (ends, body) = rest.split_at_checked(count.checked_mul(size_of::<u32>())?)?;
        let (ends, _) = ends.as_chunks::<4>();
        let ends: Box<[u32]> = ends.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let is_whole = usize::try_from(ends.last().copied().unwrap_or_default()).is_ok_and(|end| end == body.len());
        (is_whole && ends.is_sorted()).then(|| Self {
            content_type: (!content_type.is_empty()).then(|| packed.slice_ref(content_type)),
            body: packed.slice_ref(body),
            ends,
            at_ms: u64::from_le_bytes(*at_ms),
        })
    }
}

fn number(packed: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = packed.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// An answer that is being written down as it comes. Its bytes are copied: a piece may be a corner of
/// something much larger.
#[derive(Debug)]
pub struct Recording {
    body: BytesMut,
    ends: Vec<u32>,
    most_bytes: usize,
}

impl Recording {
    pub fn new(most_bytes: usize) -> Self {
        Self { body: BytesMut::new(), ends: Vec::new(), most_bytes }
    }

    /// Whether there was room for it.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let length = self.body.len().saturating_add(piece.len());
        let Some(end) = u32::try_from(length).ok().filter(|_| length <= self.most_bytes) else { return false };
        self.body.extend_from_slice(piece);
        if self.ends.len() == MOST_PIECES {
            self.ends.pop();
        }
        self.ends.push(end);
        true
    }

    /// All of it has come.
    pub fn finish(self, content_type: Option<&[u8]>, at_ms: u64) -> Answer {
        Answer {
            content_type: content_type.map(Bytes::copy_from_slice),
            // Without the room that was left for more.
            body: Bytes::copy_from_slice(&self.body),
            ends: self.ends.into(),
            at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(pieces: &[&[u8]], content_type: Option<&[u8]>) -> Answer {
        let mut recording = Recording::new(1 << 20);
        pieces.iter().for_each(|piece| assert!(recording.push(piece)));
        recording.finish(content_type, 1_700_000_000_123)
    }

    fn pieces(answer: &Answer) -> Vec<Vec<u8>> {
        (0..).map_while(|index| answer.piece(index)).map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn it_is_given_again_as_it_came() {
        let answer = answer(&[b"data: 1\n\n", b"", b"data: [DONE]\n\n"], Some(b"text/event-stream"));
        assert_eq!(pieces(&answer), [&b"data: 1\n\n"[..], b"", b"data: [DONE]\n\n"]);
        assert_eq!(answer.age(1_700_000_002_123), Duration::from_secs(2));
        assert_eq!(answer.age(0), Duration::ZERO, "a clock that was set back");
    }

    #[test]
    fn what_is_too_long_is_not_written_down() {
        let mut recording = Recording::new(10);
        assert!(recording.push(b"0123456789"));
        assert!(!recording.push(b"0"));
    }

    #[test]
    fn more_pieces_than_anybody_counts_are_joined() {
        let mut recording = Recording::new(1 << 20);
        (0..MOST_PIECES + 5).for_each(|_| assert!(recording.push(b"ab")));
        let all = pieces(&recording.finish(None, 0));
        assert_eq!((all.len(), all.concat().len()), (MOST_PIECES, 2 * (MOST_PIECES + 5)));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8), of in any::<bool>()) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let answer = answer(&parts, of.then_some(&b"application/json"[..]));
            prop_assert_eq!(Answer::unpack(&Bytes::from(answer.pack())), Some(answer));
        }

        #[test]
        fn anything_else_is_no_answer_and_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 0_usize..60) {
            let packed = answer(&[b"one", b"two"], Some(b"a/b")).pack();
            let cut = cut.min(packed.len() - 1);
            prop_assert_eq!(Answer::unpack(&Bytes::copy_from_slice(&packed[..cut])), None);
            let _ = Answer::unpack(&Bytes::from([MAGIC.as_slice(), &bytes].concat()));
        }
    }
}
