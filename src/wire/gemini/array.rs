//! The stream as one JSON array, which this API sends unless asked for server-sent events: reading
//! it, and making one of a stream of events.

use crate::error::{Error, Kind, Result};
use crate::guard::Watch;
use crate::wire::edge::kept::Keeper;
use crate::wire::edge::{Done, Waits};
use crate::wire::sse::{self, Frame, MAX_EVENT_BYTES};
use crate::wire::stream::{Next, Pipe, Progress, Said};

/// Cuts the array into its items. An object in place of the array (an error) is its own only item.
#[derive(Debug, Default)]
pub struct Framer {
    /// The item that is being read.
    pending: Vec<u8>,
    /// The same as a server-sent event.
    event: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    failed: bool,
}

impl Framer {
    /// Gives every item that is complete now to `sink`. Fails, for good, when one is too big.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn FnMut(Frame<'_>)) -> Result<()> {
        for byte in chunk {
            if self.failed || self.pending.len() >= MAX_EVENT_BYTES {
                return Err(self.too_big());
            }
            self.byte(*byte, sink);
        }
        Ok(())
    }

    /// An item that was not finished is none.
    pub fn finish(&mut self, _sink: &mut dyn FnMut(Frame<'_>)) {
        self.pending = Vec::new();
    }

    fn too_big(&mut self) -> Error {
        self.failed = true;
        self.pending = Vec::new();
        Error::new(Kind::UpstreamFailed, "the upstream sent an event that is too large")
            .with_detail(format_args!("over {MAX_EVENT_BYTES} bytes"))
    }

    fn byte(&mut self, byte: u8, sink: &mut dyn FnMut(Frame<'_>)) {
        let is_inside = self.depth > 0;
        match byte {
            _ if self.in_string => self.in_string(byte),
            b'"' => self.in_string = is_inside,
            b'{' => self.depth = self.depth.saturating_add(1),
            b'[' if is_inside => self.depth = self.depth.saturating_add(1),
            b'}' | b']' if is_inside => self.depth -= 1,
            // Between items: the array's own brackets, commas and white space.
            _ if !is_inside => return,
            // An event is one line; outside strings a line end is white space.
            b'\n' | b'\r' => return,
            _ => {}
        }
        if is_inside || self.depth > 0 {
            self.pending.push(byte);
        }
        if is_inside && self.depth == 0 {
            self.item(sink);
        }
    }

    fn in_string(&mut self, byte: u8) {
        match byte {
            _ if std::mem::take(&mut self.escaped) => {}
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
    }

    fn item(&mut self, sink: &mut dyn FnMut(Frame<'_>)) {
        let item = std::mem::take(&mut self.pending);
        self.event.clear();
        self.event.extend_from_slice(b"data: ");
        self.event.extend_from_slice(&item);
        self.event.extend_from_slice(b"\r\n\r\n");
        let data = String::from_utf8_lossy(&item);
        sink(Frame { name: "", data: Some(&data), raw: &self.event });
    }
}

/// A stream of events on its way to a client that takes the array.
#[derive(Debug)]
pub struct AsArray {
    inner: Box<dyn Pipe>,
    framer: sse::Framer,
    items: u64,
    closed: bool,
}

impl AsArray {
    pub fn new(inner: Box<dyn Pipe>) -> Self {
        Self { inner, framer: sse::Framer::default(), items: 0, closed: false }
    }

    /// What the inner pipe gave out, as items; the bracket when it has ended.
    fn write(&mut self, events: &[u8], out: &mut Vec<u8>) {
        let Self { items, closed, .. } = self;
        let pushed = self.framer.push(events, &mut |frame| {
            let Some(data) = frame.data.filter(|_| !*closed) else { return };
            out.extend_from_slice(if *items == 0 { b"[" } else { b",\r\n" });
            out.extend_from_slice(data.as_bytes());
            *items = items.saturating_add(1);
        });
        // Events of ours are never too big for a framer of theirs; without them the array ends here.
        let is_over = pushed.is_err() || !self.inner.is_open();
        if is_over && self.inner.is_committed() && !std::mem::replace(&mut self.closed, true) {
            out.extend_from_slice(if self.items == 0 { b"[]" } else { b"]" });
        }
    }
}

impl Pipe for AsArray {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut events = Vec::with_capacity(chunk.len());
        self.inner.push(chunk, &mut events);
        self.write(&events, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        self.inner.finish(&mut events);
        self.write(&events, out);
    }

    fn fail(&mut self, error: Error, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        self.inner.fail(error, &mut events);
        self.write(&events, out);
    }

    fn commit(&mut self, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        self.inner.commit(&mut events);
        self.write(&events, out);
    }

    fn is_committed(&self) -> bool {
        self.inner.is_committed()
    }

    fn progress(&self) -> &Progress {
        self.inner.progress()
    }

    fn is_open(&self) -> bool {
        !self.closed && self.inner.is_open()
    }

    fn said(&self) -> Option<Said> {
        self.inner.said()
    }

    fn resume(&mut self, next: &Next<'_>) {
        self.inner.resume(next);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        self.inner.close(&mut events);
        self.write(&events, out);
    }

    fn waits(&self) -> Option<Waits> {
        self.inner.waits()
    }

    fn next_round(&mut self, next: &Next<'_>, guards: Option<&Watch>) {
        self.inner.next_round(next, guards);
    }

    fn release(&mut self, done: &[Done], keeper: Keeper<'_>, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        self.inner.release(done, keeper, &mut events);
        self.write(&events, out);
    }

    fn settle(&mut self, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        self.inner.settle(&mut events);
        self.write(&events, out);
    }

    // JSON has no comments.
    fn note(&mut self, _text: &str, _out: &mut Vec<u8>) {}

    // White space, before the array as well as in it.
    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        if self.is_open() {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAY: &str = "[{\r\n  \"a\": \"]},[\\\"\",\n \"b\": [1, {\"c\": 2}]\n}\n,\r\n{}\n]\n";

    fn items(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<(String, String)> {
        let (mut framer, mut seen) = (Framer::default(), Vec::new());
        let mut sink = |frame: Frame<'_>| {
            seen.push((frame.data.unwrap().to_owned(), String::from_utf8(frame.raw.to_vec()).unwrap()));
        };
        for piece in pieces {
            framer.push(&piece, &mut sink).unwrap();
        }
        framer.finish(&mut sink);
        seen
    }

    #[test]
    fn items_are_found_however_the_array_is_cut() {
        let whole = items(std::iter::once(ARRAY.as_bytes().to_vec()));
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[0].0, r#"{  "a": "]},[\"", "b": [1, {"c": 2}]}"#);
        assert_eq!(whole[0].1, format!("data: {}\r\n\r\n", whole[0].0));
        assert_eq!(whole[1].0, "{}");
        assert_eq!(items(ARRAY.bytes().map(|b| vec![b])), whole);
    }

    #[test]
    fn an_error_object_is_an_item_and_half_a_one_is_none() {
        assert_eq!(items(std::iter::once(br#"{"error":{}}"#.to_vec())).len(), 1);
        assert_eq!(items(std::iter::once(br#"[{"a":1},{"b":"#.to_vec())).len(), 1);
        assert_eq!(items(std::iter::once(b"]]}} \"x\" 12".to_vec())).len(), 0);
    }

    #[test]
    fn an_item_without_end_is_refused() {
        let mut framer = Framer::default();
        let big = vec![b'['; 1024 * 1024];
        framer.push(b"[{\"a\":", &mut |_| {}).unwrap();
        let error = (0..17).find_map(|_| framer.push(&big, &mut |_| {}).err());
        assert_eq!(error.unwrap().kind(), Kind::UpstreamFailed);
        assert!(framer.push(b"x", &mut |_| {}).is_err());
    }
}
