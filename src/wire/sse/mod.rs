//! Server-sent events: bytes in, events out, in whatever pieces the network brings them.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>, with
//! two differences: an event that the end of the stream leaves without its blank line is given out
//! (several providers end so, seen 2026-11), and `id` and `retry` are ignored, since no provider of
//! models resumes a stream. Line ends seen in the wild: LF nearly everywhere, CRLF from Gemini,
//! Vertex and Perplexity. A carriage return at the very end of a chunk is decided by the next byte,
//! so that the pieces never show in the output.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};

/// Bytes one event may have.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;
/// A buffer that grew beyond this is given back.
const KEPT_BYTES: usize = 64 * 1024;

/// What stands between two blank lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'f> {
    /// The event's name; empty where it has none.
    pub name: &'f str,
    /// The data lines, joined by line feeds. `None`: a comment, or a blank line more than needed.
    pub data: Option<&'f str>,
    /// The very bytes, closing blank line included.
    pub raw: &'f [u8],
}

/// Who is given frames.
pub trait Sink {
    fn frame(&mut self, frame: Frame<'_>);

    /// Takes frames that it knows without having them read, from the beginning of some bytes that begin with
    /// one. Gives back how many bytes it took: whole frames only.
    fn known(&mut self, _bytes: &[u8]) -> usize {
        0
    }
}

/// One that knows none.
struct Each<'f, F>(&'f mut F);

impl<F: FnMut(Frame<'_>)> Sink for Each<'_, F> {
    fn frame(&mut self, frame: Frame<'_>) {
        (self.0)(frame);
    }
}

/// Cuts a byte stream into [`Frame`]s. Nothing is copied while a frame lies within one chunk.
#[derive(Debug)]
pub struct Framer {
    max_event_bytes: usize,
    edge: Edge,
    /// The beginning of a frame whose end has not come yet.
    pending: Vec<u8>,
    /// Joined data lines.
    joined: String,
    begun: bool,
    failed: bool,
}

/// Where the last byte left the search for a blank line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    LineStart,
    InLine,
    /// A carriage return ended a line; a line feed may belong to it.
    LineCr,
    /// The same for a blank line: the frame ends here, or one byte later.
    BlankCr,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(MAX_EVENT_BYTES)
    }
}

impl Framer {
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            edge: Edge::LineStart,
            pending: Vec::new(),
            joined: String::new(),
            begun: false,
            failed: false,
        }
    }

    /// Gives every frame that is complete now to `sink`. Fails, for good, when one is too big.
    pub fn push(&mut self, chunk: &[u8], sink: &mut impl FnMut(Frame<'_>)) -> Result<()> {
        self.push_to(chunk, &mut Each(sink))
    }

    /// The same, but for those that `sink` knows.
    pub fn push_to(&mut self, mut chunk: &[u8], sink: &mut impl Sink) -> Result<()> {
        if self.failed {
            return Err(self.too_big());
        }
        loop {
            if self.is_between() {
                // One that is too big is not taken either.
                let taken = sink.known(chunk.get(..self.max_event_bytes).unwrap_or(chunk));
                chunk = chunk.get(taken..).unwrap_or_default();
                if let Some((frame, tail)) = usual(chunk).filter(|(it, _)| it.raw.len() <= self.max_event_bytes) {
                    sink.frame(frame);
                    chunk = tail;
                    continue;
                }
            }
            let Some(end) = self.edge.find_end(chunk) else { break };
            let (head, tail) = chunk.split_at_checked(end).unwrap_or((chunk, &[]));
            if self.pending.len() + head.len() > self.max_event_bytes {
                return Err(self.too_big());
            }
            if self.pending.is_empty() {
                self.frame(head, &mut |frame| sink.frame(frame));
            } else {
                self.pending.extend_from_slice(head);
                self.flush(&mut |frame| sink.frame(frame));
            }
            chunk = tail;
        }
        if self.pending.len() + chunk.len() > self.max_event_bytes {
            return Err(self.too_big());
        }
        self.pending.extend_from_slice(chunk);
        Ok(())
    }

    /// The next byte begins a frame, and not the stream's first one.
    fn is_between(&self) -> bool {
        self.begun && self.edge == Edge::LineStart && self.pending.is_empty()
    }

    /// The stream ended: what was left without its blank line is given out too.
    pub fn finish(&mut self, sink: &mut impl FnMut(Frame<'_>)) {
        if !self.failed && !self.pending.is_empty() {
            self.flush(sink);
        }
        self.edge = Edge::LineStart;
    }

    fn too_big(&mut self) -> Error {
        self.failed = true;
        self.pending = Vec::new();
        Error::new(Kind::UpstreamFailed, "the upstream sent an event that is too large")
            .with_detail(format_args!("over {} bytes", self.max_event_bytes))
    }

    fn flush(&mut self, sink: &mut impl FnMut(Frame<'_>)) {
        let mut pending = std::mem::take(&mut self.pending);
        self.frame(&pending, sink);
        if pending.capacity() <= KEPT_BYTES {
            pending.clear();
            self.pending = pending;
        }
    }

    fn frame(&mut self, raw: &[u8], sink: &mut impl FnMut(Frame<'_>)) {
        let mut bytes = raw;
        if !std::mem::replace(&mut self.begun, true) {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        // Text is checked a frame at a time, never split: characters may come in pieces.
        let text = match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            // Looks at each byte, so it is not asked before there is need.
            Err(_) => String::from_utf8_lossy(bytes),
        };
        let (name, data) = fields(&text, &mut self.joined);
        sink(Frame { name, data, raw });
        if self.joined.capacity() > KEPT_BYTES {
            self.joined = String::new();
        }
    }
}

impl Edge {
    /// Looks for the end of a frame; gives back how many bytes of `chunk` belong to it.
    fn find_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut rest = chunk;
        let used = |rest: &[u8]| chunk.len() - rest.len();
        while let Some((byte, tail)) = rest.split_first() {
            match (*self, byte) {
                (Self::BlankCr, b'\n') | (Self::LineStart, b'\n') => {
                    *self = Self::LineStart;
                    return Some(used(tail));
                }
                (Self::BlankCr, _) => {
                    *self = Self::LineStart;
                    return Some(used(rest));
                }
                (Self::LineStart, b'\r') => (*self, rest) = (Self::BlankCr, tail),
                (Self::LineCr, b'\n') => (*self, rest) = (Self::LineStart, tail),
                (Self::LineCr, _) => *self = Self::LineStart,
                (Self::LineStart | Self::InLine, _) => {
                    let at = memchr::memchr2(b'\n', b'\r', rest);
                    let Some((end, tail)) = at.and_then(|at| rest.get(at..)).and_then(<[u8]>::split_first) else {
                        *self = Self::InLine;
                        return None;
                    };
                    *self = if *end == b'\n' { Self::LineStart } else { Self::LineCr };
                    rest = tail;
                }
            }
        }
        None
    }
}

/// A frame as nearly all are, and what is behind it: perhaps a name, one line of data, a blank line. It is found
/// and read in one pass.
fn usual(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (name, rest) = match bytes.strip_prefix(b"event: ") {
        Some(rest) => whole_line(rest)?,
        None => (&[][..], bytes),
    };
    let (data, rest) = whole_line(rest.strip_prefix(b"data: ")?)?;
    let behind = line_end(rest)?;
    let raw = bytes.get(..bytes.len() - behind.len())?;
    let (name, data) = (simdutf8::basic::from_utf8(name).ok()?, simdutf8::basic::from_utf8(data).ok()?);
    Some((Frame { name, data: Some(data), raw }, behind))
}

/// A line whose end is there, and what is behind that.
fn whole_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr2(b'\n', b'\r', bytes)?)?;
    Some((line, line_end(rest)?))
}

/// What is behind an end that no byte to come can belong to.
fn line_end(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(b"\n").or_else(|| bytes.strip_prefix(b"\r\n"))
}

/// Reads the fields of a frame; more than one data line is joined in `joined`.
fn fields<'t>(text: &'t str, joined: &'t mut String) -> (&'t str, Option<&'t str>) {
    let mut name = "";
    let mut data: Option<&str> = None;
    let mut lines = 0_u32;
    let mut rest = text;
    while !rest.is_empty() {
        let line;
        (line, rest) = split_line(rest);
        if let Some(value) = field(line, "data") {
            match lines {
                0 => data = Some(value),
                _ => {
                    if lines == 1 {
                        joined.clear();
                        joined.push_str(data.unwrap_or_default());
                    }
                    joined.push('\n');
                    joined.push_str(value);
                }
            }
            lines = lines.saturating_add(1);
        } else if let Some(value) = field(line, "event") {
            name = value;
        }
    }
    (name, if lines > 1 { Some(joined) } else { data })
}

fn split_line(text: &str) -> (&str, &str) {
    let Some(at) = memchr::memchr2(b'\n', b'\r', text.as_bytes()) else { return (text, "") };
    let (line, tail) = text.split_at_checked(at).unwrap_or((text, ""));
    let tail = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
    (line, tail)
}

fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(name)?;
    match rest.strip_prefix(':') {
        Some(value) => Some(value.strip_prefix(' ').unwrap_or(value)),
        None => rest.is_empty().then_some(""),
    }
}

/// Writes one event; `name` may be empty.
pub fn write_event(out: &mut Vec<u8>, name: &str, data: &str) {
    if !name.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    let mut rest = data;
    loop {
        let ends_here = memchr::memchr2(b'\n', b'\r', rest.as_bytes()).is_none();
        let line;
        (line, rest) = split_line(rest);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
        if ends_here {
            break;
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
