//! The `chunked` transfer coding of HTTP/1.1, read in place (RFC 9112, section 7.1).
//!
//! A stream of events comes as many small chunks, often several in one read. Their payload is moved
//! together where it lies, so that whoever reads it gets one piece for each read.

use bytes::{Bytes, BytesMut};

/// A size with its extensions, which nobody sends.
const MAX_LINE_BYTES: usize = 4 * 1024;
const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// What is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    /// As many bytes are left of the chunk.
    Data(u64),
    /// The line's end behind a chunk.
    DataEnd,
    /// As many bytes of trailers were skipped.
    Trailer(usize),
    Done,
}

/// It isn't chunked as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A body on its way.
#[derive(Debug)]
pub struct Chunked {
    state: State,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::Size }
    }
}

impl Chunked {
    /// Whether the last chunk and the trailers were read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The payload of all that `buf` has of the body. What is no whole line stays there, and what is behind
    /// the body.
    ///
    /// # Errors
    ///
    /// Where a size is none, or too much stands where nothing should.
    pub fn take(&mut self, buf: &mut BytesMut) -> Result<Bytes, Malformed> {
        let (mut read, mut written) = (0, 0);
        while let Some(rest) = buf.get(read..).filter(|rest| !rest.is_empty()) {
            match self.state {
                State::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    if written < read {
                        buf.copy_within(read..read + here, written);
                    }
                    (read, written) = (read + here, written + here);
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                }
                State::DataEnd => match rest {
                    [b'\r', b'\n', ..] => (read, self.state) = (read + 2, State::Size),
                    [b'\n', ..] => (read, self.state) = (read + 1, State::Size),
                    [b'\r'] => break,
                    _ => return Err(Malformed),
                },
                State::Size => {
                    let Some(line) = line(rest, MAX_LINE_BYTES)? else { break };
                    read += line.len() + 1;
                    self.state = match size(line).ok_or(Malformed)? {
                        0 => State::Trailer(0),
                        size => State::Data(size),
                    };
                    if written == 0 {
                        // Nothing is before the payload any more: it need not be moved.
                        let _ = buf.split_to(read);
                        read = 0;
                    }
                }
                State::Trailer(skipped) => {
                    let Some(line) = line(rest, MAX_TRAILER_BYTES - skipped)? else { break };
                    read += line.len() + 1;
                    let skipped = skipped + line.len() + 1;
                    self.state = match line {
                        [] | [b'\r'] => State::Done,
                        _ if skipped >= MAX_TRAILER_BYTES => return Err(Malformed),
                        _ => State::Trailer(skipped),
                    };
                }
                State::Done => break,
            }
        }
        let mut payload = buf.split_to(read);
        payload.truncate(written);
        Ok(payload.freeze())
    }
}

/// The first line, without its end; `None` where there is no end yet.
fn line(bytes: &[u8], most_bytes: usize) -> Result<Option<&[u8]>, Malformed> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) if end < most_bytes => Ok(bytes.get(..end)),
        None if bytes.len() < most_bytes => Ok(None),
        _ => Err(Malformed),
    }
}

/// Hexadecimal digits, before a `;` or spaces.
fn size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at_checked(digits)?;
    if digits.is_empty() || digits.len() > 15 || !matches!(extension.first(), None | Some(b';' | b' ' | b'\t')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{Chunked, MAX_LINE_BYTES, MAX_TRAILER_BYTES, Malformed};

    fn all(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let (mut chunked, mut buf, mut out) = (Chunked::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            buf.extend_from_slice(piece);
            out.extend_from_slice(&chunked.take(&mut buf)?);
        }
        Ok((out, chunked.is_done(), buf.to_vec()))
    }

    #[test]
    fn the_payload_comes_in_one_piece() {
        let mut buf = BytesMut::from(&b"5\r\nhello\r\n1;x=y\r\n \r\n005 \r\nworld\r\n0\r\n\r\nHTTP"[..]);
        let mut chunked = Chunked::default();
        assert_eq!(chunked.take(&mut buf).unwrap(), "hello world");
        assert!(chunked.is_done());
        assert_eq!(buf, "HTTP");
    }

    #[test]
    fn trailers_are_skipped_and_lines_may_end_bare() {
        let (out, done, rest) = all(&[b"2\nok\n0\nx-sum: 1\r\ny: 2\n\n"]).unwrap();
        assert_eq!((out.as_slice(), done, rest.as_slice()), (&b"ok"[..], true, &b""[..]));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for bad in ["zz\r\n", "\r\n", "-1\r\n", "+1\r\n", "0x5\r\n", "1_0\r\n", "5five\r\n", "fffffffffffffffff\r\n"] {
            assert_eq!(all(&[bad.as_bytes()]), Err(Malformed), "{bad}");
        }
        assert_eq!(all(&[b"1\r\nab\r\n"]), Err(Malformed), "longer than it says");
    }

    #[test]
    fn neither_lines_nor_trailers_are_without_end() {
        let long = [b"1;".as_slice(), &vec![b'x'; MAX_LINE_BYTES]].concat();
        assert_eq!(all(&[&long]), Err(Malformed));
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(MAX_TRAILER_BYTES / 6 + 1)].concat();
        assert_eq!(all(&[&trailers]), Err(Malformed));
        let one = [b"0\r\n".as_slice(), &vec![b'x'; MAX_TRAILER_BYTES]].concat();
        assert_eq!(all(&[&one]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..12),
            cuts in prop::collection::vec(1..40_usize, 1..40),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            wire.extend_from_slice(&behind);
            let mut pieces = Vec::new();
            let mut rest = wire.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            let (out, done, left) = all(&pieces).unwrap();
            prop_assert_eq!(out, chunks.concat());
            prop_assert!(done);
            prop_assert_eq!(left, behind);
        }

        #[test]
        fn whatever_comes_is_read_or_refused(wire in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok((out, ..)) = all(&[&wire]) {
                prop_assert!(out.len() <= wire.len());
            }
        }
    }
}
