//! The stream as one JSON array, which this API sends unless asked for server-sent events: reading
//! it, and making one of a stream of events.

use crate::error::{Error, Kind, Result};
use crate::wire::sse::{self, Frame, MAX_EVENT_BYTES};
use crate::wire::stream::{Pipe, Rewrite};

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
#[derive(Debug, Default)]
pub struct AsArray {
    framer: sse::Framer,
    items: u64,
    closed: bool,
}

impl Rewrite for AsArray {
    /// As items; the bracket when the pipe has ended.
    fn write(&mut self, events: &[u8], inner: &dyn Pipe, out: &mut Vec<u8>) {
        let Self { items, closed, .. } = self;
        let pushed = self.framer.push(events, &mut |frame| {
            let Some(data) = frame.data.filter(|_| !*closed) else { return };
            out.extend_from_slice(if *items == 0 { b"[" } else { b",\r\n" });
            out.extend_from_slice(data.as_bytes());
            *items = items.saturating_add(1);
        });
        // Events of ours are never too big for a framer of theirs; without them the array ends here.
        let is_over = pushed.is_err() || !inner.is_open();
        if is_over && inner.is_committed() && !std::mem::replace(&mut self.closed, true) {
            out.extend_from_slice(if self.items == 0 { b"[]" } else { b"]" });
        }
    }

    fn is_closed(&self) -> bool {
        self.closed
    }

    // JSON has no comments.
    fn note(&mut self, _: &str, _: &mut dyn Pipe, _: &mut Vec<u8>) {}

    // White space, before the array as well as in it.
    fn keep_alive(&mut self, _: &mut dyn Pipe, out: &mut Vec<u8>) {
        out.push(b'\n');
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
