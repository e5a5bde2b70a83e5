//! Request bodies with a `content-encoding`, unpacked piece by piece as they arrive.
//!
//! What comes out is held to the same limit as a body that was never packed, and looked at after every
//! few kilobytes that go in: a small body that would become a large one is stopped there.

use std::io::{self, Write};

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::body::too_large;
use crate::error::{Error, Kind, Result};

/// What goes in before others on this thread get their turn.
const STEP_BYTES: usize = 4 * 1024;
/// What comes out in one go.
const ROOM_BYTES: usize = 16 * 1024;
/// A window over 8 MiB is not for the web (RFC 9659).
const MOST_WINDOW_LOG: u32 = 23;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Zstd,
    Brotli,
}

impl Coding {
    /// What the head says; `None` where the body is as it is.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>> {
        let said = headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        let mut found = None;
        for name in said.map(|name| name.trim_ascii().to_ascii_lowercase()) {
            let coding = match name.as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Self::Gzip,
                b"deflate" => Self::Deflate,
                b"zstd" => Self::Zstd,
                b"br" => Self::Brotli,
                _ => return Err(unknown()),
            };
            if found.replace(coding).is_some() {
                return Err(unknown());
            }
        }
        Ok(found)
    }
}

fn unknown() -> Error {
    Error::new(Kind::UnknownEncoding, "the content-encoding of a request is one of gzip, deflate, br and zstd, or none")
}

/// A body on its way out of its coding.
pub(super) struct Unpack {
    packed: Packed,
    out: Capped,
}

enum Packed {
    Gzip(Box<MultiGzDecoder<Capped>>),
    /// Told apart by its first byte: with zlib's frame, as it should be, or bare, as it often is.
    Deflate(Option<Box<Decompress>>),
    /// Whether a frame has ended: others may follow.
    Zstd(Box<Decoder<'static>>, bool),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    /// Nothing may follow.
    Ended,
}

/// What has come out, up to the limit.
#[derive(Default)]
struct Capped {
    bytes: Vec<u8>,
    limit_bytes: usize,
    is_full: bool,
}

impl Write for Capped {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > self.limit_bytes {
            self.is_full = true;
            return Err(io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How far one step has come.
struct Step {
    taken: usize,
    given: usize,
    ended: bool,
}

impl Unpack {
    pub(super) fn new(coding: Coding, limit_bytes: usize) -> Result<Self> {
        let capped = || Capped { limit_bytes, ..Capped::default() };
        let packed = match coding {
            Coding::Gzip => Packed::Gzip(Box::new(MultiGzDecoder::new(capped()))),
            Coding::Deflate => Packed::Deflate(None),
            Coding::Zstd => {
                let mut decoder = Decoder::new().map_err(Error::internal)?;
                decoder.set_parameter(DParameter::WindowLogMax(MOST_WINDOW_LOG)).map_err(Error::internal)?;
                Packed::Zstd(Box::new(decoder), false)
            }
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                Packed::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
        };
        Ok(Self { packed, out: capped() })
    }

    /// Unpacks a piece, and lets others have their turn in between.
    pub(super) async fn push(&mut self, piece: &[u8]) -> Result<()> {
        for step in piece.chunks(STEP_BYTES) {
            self.step(step).map_err(|error| self.failed(&error))?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The whole body, if it came to its end.
    pub(super) fn finish(mut self) -> Result<Bytes> {
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        match &mut self.packed {
            Packed::Gzip(gzip) => {
                let ended = gzip.try_finish();
                self.out = std::mem::take(gzip.get_mut());
                ended.map_err(|error| self.failed(&error))?;
            }
            Packed::Ended | Packed::Zstd(_, true) => {}
            _ => return Err(self.failed(&cut())),
        }
        Ok(Bytes::from(self.out.bytes))
    }

    fn failed(&self, error: &io::Error) -> Error {
        let out = match &self.packed {
            Packed::Gzip(gzip) => gzip.get_ref(),
            _ => &self.out,
        };
        match out.is_full || self.out.is_full {
            true => too_large(self.out.limit_bytes),
            false => {
                let message = "the request body is not what its content-encoding says, or was cut";
                Error::new(Kind::InvalidRequest, message).with_detail(error)
            }
        }
    }

    fn step(&mut self, mut piece: &[u8]) -> io::Result<()> {
        if let Packed::Gzip(gzip) = &mut self.packed {
            return gzip.write_all(piece);
        }
        let mut room = [0; ROOM_BYTES];
        loop {
            let step = self.packed.step(piece, &mut room)?;
            self.out.write_all(room.get(..step.given).unwrap_or_default())?;
            piece = piece.get(step.taken..).unwrap_or_default();
            match &mut self.packed {
                Packed::Zstd(_, ended) => *ended = step.ended,
                packed if step.ended => *packed = Packed::Ended,
                _ => {}
            }
            let is_through = step.ended || step.given < room.len();
            match (piece.is_empty(), step.taken + step.given) {
                (true, _) if is_through => return Ok(()),
                (false, 0) => return Err(io::ErrorKind::InvalidData.into()),
                _ => {}
            }
        }
    }
}

impl Packed {
    fn step(&mut self, piece: &[u8], room: &mut [u8]) -> io::Result<Step> {
        match self {
            Self::Deflate(state) => {
                // A deflate stream that begins with a block as it is has zeros there.
                let has_frame = piece.first().is_some_and(|first| first & 0x0f == 8);
                let state = state.get_or_insert_with(|| Box::new(Decompress::new(has_frame)));
                let (taken, given) = (state.total_in(), state.total_out());
                let status = state.decompress(piece, room, FlushDecompress::None).map_err(io::Error::other)?;
                let since = |now: u64, then: u64| usize::try_from(now - then).unwrap_or(usize::MAX);
                Ok(Step {
                    taken: since(state.total_in(), taken),
                    given: since(state.total_out(), given),
                    ended: status == Status::StreamEnd,
                })
            }
            Self::Zstd(state, _) => {
                let status = state.run_on_buffers(piece, room)?;
                Ok(Step { taken: status.bytes_read, given: status.bytes_written, ended: status.remaining == 0 })
            }
            Self::Brotli(state) => {
                let (mut left, mut taken, mut free, mut given, mut total) = (piece.len(), 0, room.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut left, &mut taken, piece, &mut free, &mut given, room, &mut total, state,
                );
                match result {
                    BrotliResult::ResultFailure => Err(io::ErrorKind::InvalidData.into()),
                    result => Ok(Step { taken, given, ended: matches!(result, BrotliResult::ResultSuccess) }),
                }
            }
            Self::Gzip(_) | Self::Ended => Ok(Step { taken: 0, given: 0, ended: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT_BYTES: usize = 1 << 20;

    fn packed(coding: Coding, plain: &[u8]) -> Vec<u8> {
        use flate2::Compression;
        use flate2::write::{GzEncoder, ZlibEncoder};
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(plain, 3).unwrap(),
            Coding::Brotli => {
                let mut out = Vec::new();
                brotli::CompressorWriter::new(&mut out, 4096, 5, 22).write_all(plain).unwrap();
                out
            }
        }
    }

    fn unpacked(coding: Coding, body: &[u8], piece_bytes: usize) -> Result<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut unpack = Unpack::new(coding, LIMIT_BYTES)?;
            for piece in body.chunks(piece_bytes) {
                unpack.push(piece).await?;
            }
            unpack.finish()
        })
    }

    /// A body may be several frames, one behind the other.
    #[test]
    fn frames_may_follow_each_other() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let frames = [packed(coding, b"one, "), packed(coding, b"two"), packed(coding, b"")].concat();
            for piece_bytes in [1, 7, frames.len()] {
                assert_eq!(unpacked(coding, &frames, piece_bytes).unwrap(), "one, two", "{coding:?}");
            }
            let cut = frames.get(..frames.len() - 3).unwrap();
            assert!(unpacked(coding, cut, 5).is_err(), "{coding:?}");
        }
    }

    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Zstd, Coding::Brotli];

    fn text() -> Vec<u8> {
        (0..20_000_u32).flat_map(|n| format!("{} ", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
    }

    #[test]
    fn what_was_packed_comes_out_however_it_was_cut() {
        for coding in ALL {
            for plain in [text(), b"{}".to_vec(), Vec::new(), vec![b'x'; LIMIT_BYTES]] {
                let body = packed(coding, &plain);
                for piece_bytes in [1, 7, 4096, usize::MAX] {
                    assert_eq!(unpacked(coding, &body, piece_bytes).unwrap(), plain, "{coding:?} by {piece_bytes}");
                }
            }
        }
    }

    #[test]
    fn deflate_may_come_without_its_frame() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&text()).unwrap();
        assert_eq!(unpacked(Coding::Deflate, &encoder.finish().unwrap(), 1000).unwrap(), text());
    }

    #[test]
    fn what_is_cut_or_spoilt_or_goes_on_is_400() {
        for coding in ALL {
            let body = packed(coding, &text());
            let mut spoilt = body.clone();
            spoilt[body.len() / 2..].iter_mut().for_each(|byte| *byte = !*byte);
            let more = [body.as_slice(), b"more"].concat();
            for (case, bad) in [("cut", &body[..body.len() - 1]), ("spoilt", &spoilt), ("more", &more), ("none", b"")] {
                let error = unpacked(coding, bad, 4096).unwrap_err();
                assert_eq!((error.kind(), error.status()), (Kind::InvalidRequest, 400), "{coding:?} {case}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for coding in ALL {
            let body = packed(coding, &vec![0; 64 * LIMIT_BYTES]);
            assert!(body.len() < LIMIT_BYTES, "{coding:?}");
            assert_eq!(unpacked(coding, &body, 65_536).unwrap_err().kind(), Kind::BodyTooLarge, "{coding:?}");
        }
    }

    #[test]
    fn the_head_says_one_coding_or_none() {
        let of = |value: &'static str| {
            let value = http::HeaderValue::from_static(value);
            Coding::of(&HeaderMap::from_iter([(CONTENT_ENCODING, value)]))
        };
        assert_eq!(Coding::of(&HeaderMap::new()).unwrap(), None);
        for (value, coding) in
            [("identity", None), ("GZip", Some(Coding::Gzip)), ("identity, br", Some(Coding::Brotli))]
        {
            assert_eq!(of(value).unwrap(), coding, "{value}");
        }
        for value in ["lzma", "gzip, gzip", "gzip;q=1"] {
            assert_eq!(of(value).unwrap_err().status(), 415, "{value}");
        }
    }
}
