//! Amazon's event stream: binary messages with headers, payload and checksums.
//!
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>. A message is its length and the length of its
//! headers (four bytes each, big end first), a CRC-32 of those eight bytes, the headers, the payload,
//! and a CRC-32 of all before it. Header `:message-type` says what it is: an `event` of `:event-type`,
//! an `exception` of `:exception-type` that the service model knows, or an `error` of `:error-code`
//! with `:error-message` and no payload.
//!
//! Own code over `crc32fast` rather than `aws-smithy-eventstream`: it borrows what it cuts out, bounds a message
//! by our limit, and the translation core builds without Amazon's types.
//!
//! Seen 2026-11 in 90 recorded streams: all headers are strings; an event has no header beyond those
//! two and `:content-type`; every payload of Bedrock has a member `p` of random length.

use crate::error::{Error, Kind, Result};
use crate::wire::json::{self, Json, Obj, Str};
use crate::wire::scan;
use crate::wire::sse::{self, Frame};
use crate::wire_object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes one message may have, as for other streams; Amazon allows 24 MiB, and Bedrock's events are
/// under 1 MB by their service model.
pub const MAX_MESSAGE_BYTES: usize = sse::MAX_EVENT_BYTES;
/// Bytes the headers of a message may have, by Amazon's definition.
const MAX_HEADER_BYTES: usize = 128 * 1024;
/// Both lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// A buffer that grew beyond this is given back.
const KEPT_BYTES: usize = 64 * 1024;
/// The type of a header's value: text with two bytes of length.
const STRING: u8 = 7;

/// Cuts a byte stream into messages, given out as [`Frame`]s: the event type as name, the payload as
/// data.
///
/// An exception has its type as name (`throttlingException`); an error has the name `error` and the
/// data `{"__type":<code>,"message":<text>}`. With `unwrap` they are Anthropic's `error` events, as
/// the events inside are Anthropic's.
#[derive(Debug)]
pub struct Framer {
    /// Events are wrapped once more: `{"bytes": "<base64 of the event>"}`.
    unwrap: bool,
    max_message_bytes: usize,
    /// The beginning of a message whose end has not come yet.
    pending: Vec<u8>,
    /// The frame as a server-sent event.
    raw: Vec<u8>,
    failed: bool,
}

impl Framer {
    pub fn new(unwrap: bool) -> Self {
        Self::with_limit(unwrap, MAX_MESSAGE_BYTES)
    }

    pub fn with_limit(unwrap: bool, max_message_bytes: usize) -> Self {
        Self { unwrap, max_message_bytes, pending: Vec::new(), raw: Vec::new(), failed: false }
    }

    /// Gives every message that is complete now to `sink`. Fails, for good, at the first that is
    /// damaged or too big.
    pub fn push(&mut self, chunk: &[u8], sink: &mut dyn FnMut(Frame<'_>)) -> Result<()> {
        if self.failed {
            return Err(damaged("after a damaged message"));
        }
        let result = self.cut(chunk, sink);
        if result.is_err() {
            self.failed = true;
            self.pending = Vec::new();
        }
        result
    }

    /// The stream ended. Half a message says nothing: that the end is missing is for its reader to say.
    pub fn finish(&mut self, _sink: &mut dyn FnMut(Frame<'_>)) {
        self.pending = Vec::new();
    }

    fn cut(&mut self, mut chunk: &[u8], sink: &mut dyn FnMut(Frame<'_>)) -> Result<()> {
        while !self.pending.is_empty() && !chunk.is_empty() {
            let wanted = length(&self.pending, self.max_message_bytes)?.unwrap_or(PRELUDE_BYTES);
            let missing = wanted.saturating_sub(self.pending.len());
            let (head, tail) = chunk.split_at_checked(missing).unwrap_or((chunk, &[]));
            self.pending.extend_from_slice(head);
            chunk = tail;
            if length(&self.pending, self.max_message_bytes)? == Some(self.pending.len()) {
                self.flush(sink)?;
            }
        }
        while let Some(length) = length(chunk, self.max_message_bytes)? {
            let Some((message, tail)) = chunk.split_at_checked(length) else { break };
            self.message(message, sink)?;
            chunk = tail;
        }
        self.pending.extend_from_slice(chunk);
        Ok(())
    }

    fn flush(&mut self, sink: &mut dyn FnMut(Frame<'_>)) -> Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        self.message(&pending, sink)?;
        if pending.capacity() <= KEPT_BYTES {
            pending.clear();
            self.pending = pending;
        }
        Ok(())
    }

    fn message(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Frame<'_>)) -> Result<()> {
        let message = Message::read(bytes)?;
        let text = String::from_utf8_lossy(message.payload);
        match (message.kind, self.unwrap) {
            (Type::Event, false) => self.give(message.name, &text, sink),
            (Type::Event, true) => {
                let inner = unwrapped(&text)?;
                let inner = String::from_utf8_lossy(&inner);
                let name = scan::member(&inner, "type").and_then(Str::from_raw);
                let name = name.as_ref().map(Str::text).unwrap_or_default();
                self.give(&name, &inner, sink);
            }
            (Type::Exception, false) => self.give(message.name, &text, sink),
            (Type::Exception, true) => self.give("error", &anthropic_error(message.name, &words(&text)), sink),
            (Type::Error, false) => self.give("error", &plain_error(message.name, message.words), sink),
            (Type::Error, true) => self.give("error", &anthropic_error(message.name, message.words), sink),
        }
        Ok(())
    }

    fn give(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(Frame<'_>)) {
        self.raw.clear();
        sse::write_event(&mut self.raw, name, data);
        sink(Frame { name, data: Some(data), raw: &self.raw });
        if self.raw.capacity() > KEPT_BYTES {
            self.raw = Vec::new();
        }
    }
}

fn damaged(detail: impl std::fmt::Display) -> Error {
    Error::new(Kind::UpstreamFailed, "the upstream's event stream is damaged").with_detail(detail)
}

/// The length of the message that begins here, as soon as its prelude is there.
fn length(bytes: &[u8], most: usize) -> Result<Option<usize>> {
    let Some((prelude, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let Some((checksum, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if crc32fast::hash(prelude) != u32::from_be_bytes(*checksum) {
        return Err(damaged("wrong checksum of a prelude"));
    }
    let (total, headers) = lengths(*prelude);
    if total > most {
        return Err(Error::new(Kind::UpstreamFailed, "the upstream sent an event that is too large")
            .with_detail(format_args!("over {most} bytes")));
    }
    let fits = headers <= MAX_HEADER_BYTES && headers + PRELUDE_BYTES + CHECKSUM_BYTES <= total;
    if fits { Ok(Some(total)) } else { Err(damaged("lengths that do not fit together")) }
}

fn lengths([a, b, c, d, e, f, g, h]: [u8; 8]) -> (usize, usize) {
    let wide = |bytes| usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX);
    (wide([a, b, c, d]), wide([e, f, g, h]))
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Event,
    Exception,
    Error,
}

/// A message whose checksums are right.
#[derive(Debug)]
struct Message<'m> {
    kind: Type,
    /// The type of the event or the exception, the code of the error.
    name: &'m str,
    /// Of an error.
    words: &'m str,
    payload: &'m [u8],
}

impl<'m> Message<'m> {
    /// Of bytes whose prelude was checked by [`length`].
    fn read(bytes: &'m [u8]) -> Result<Self> {
        let (signed, checksum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("a message without an end"))?;
        if crc32fast::hash(signed) != u32::from_be_bytes(*checksum) {
            return Err(damaged("wrong checksum of a message"));
        }
        let header_bytes = signed.first_chunk::<8>().map_or(0, |prelude| lengths(*prelude).1);
        let (mut headers, payload) = signed
            .get(PRELUDE_BYTES..)
            .and_then(|rest| rest.split_at_checked(header_bytes))
            .ok_or_else(|| damaged("headers beyond the message"))?;
        let mut it = Self { kind: Type::Event, name: "", words: "", payload };
        while !headers.is_empty() {
            let (name, value, rest) = header(headers).ok_or_else(|| damaged("headers that cannot be read"))?;
            headers = rest;
            match name {
                b":message-type" => it.kind = kind(value),
                b":event-type" | b":exception-type" | b":error-code" => it.name = value,
                b":error-message" => it.words = value,
                _ => {}
            }
        }
        Ok(it)
    }
}

fn kind(word: &str) -> Type {
    match word {
        "exception" => Type::Exception,
        "error" => Type::Error,
        _ => Type::Event,
    }
}

/// Takes one header: its name, its value if that is text, and what follows.
fn header(bytes: &[u8]) -> Option<(&[u8], &str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let size = match kind {
        // true, false
        0 | 1 => 0,
        // byte, short, integer, long
        2 => 1,
        3 => 2,
        4 => 4,
        // long, time
        5 | 8 => 8,
        // UUID
        9 => 16,
        // bytes, text
        6 | 7 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let text = if *kind == STRING { std::str::from_utf8(value).ok()? } else { "" };
            return Some((name, text, rest));
        }
        _ => return None,
    };
    Some((name, "", rest.get(size..)?))
}

wire_object! {
    struct Wrapped<'a> { bytes: Json<'a> }
}

fn unwrapped(payload: &str) -> Result<Vec<u8>> {
    let wrapped: Wrapped<'_> = json::parse(payload).map_err(damaged)?;
    let bytes = wrapped.bytes.and_then(|raw| Str::from_raw(raw.get())).ok_or_else(|| damaged("no `bytes`"))?;
    STANDARD.decode(bytes.text().as_bytes()).map_err(damaged)
}

/// The message of an exception.
fn words(payload: &str) -> String {
    let message = scan::member(payload, "message").and_then(Str::from_raw);
    message.map(|message| message.text().into_owned()).unwrap_or_default()
}

fn plain_error(code: &str, words: &str) -> String {
    let mut out = Vec::new();
    Obj::new(&mut out).text("__type", code).text("message", words);
    String::from_utf8(out).unwrap_or_default()
}

/// An exception in the words of the events around it.
fn anthropic_error(code: &str, words: &str) -> String {
    let word = match code {
        "throttlingException" => "rate_limit_error",
        "serviceUnavailableException" => "overloaded_error",
        "modelTimeoutException" => "timeout_error",
        "validationException" => "invalid_request_error",
        _ => "api_error",
    };
    let mut out = Vec::new();
    {
        let mut event = Obj::new(&mut out);
        event.text("type", "error");
        event.obj("error").text("type", word).text("message", words);
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Writes one message with headers of text.
pub fn write_message(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        block.extend_from_slice(name.as_bytes());
        block.push(STRING);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let four = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut message = Vec::with_capacity(PRELUDE_BYTES + block.len() + payload.len() + CHECKSUM_BYTES);
    message.extend_from_slice(&four(PRELUDE_BYTES + block.len() + payload.len() + CHECKSUM_BYTES));
    message.extend_from_slice(&four(block.len()));
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&block);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    out.extend_from_slice(&message);
}

/// Writes one event with a JSON payload.
pub fn write_event(out: &mut Vec<u8>, name: &str, payload: &[u8]) {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    write_message(out, &headers, payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framer: &mut Framer, bytes: &[u8]) -> (Vec<(String, String)>, Option<String>) {
        let mut frames = Vec::new();
        let result = framer.push(bytes, &mut |frame| {
            frames.push((frame.name.to_owned(), frame.data.unwrap().to_owned()));
        });
        (frames, result.err().map(|e| e.detail().unwrap_or_default().to_owned()))
    }

    fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_message(&mut out, headers, payload.as_bytes());
        out
    }

    fn event(name: &str, payload: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_event(&mut out, name, payload.as_bytes());
        out
    }

    /// Amazon's own vectors (awslabs/aws-c-event-stream, `tests/`).
    const EMPTY: &str = "000000100000000005c248eb7d98c8ff";
    const NO_HEADERS: &str = "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936";
    const ALL_HEADERS: &str = concat!(
        "000000cc000000af0fae64ca0a6576656e742d74797065040000a00c0c636f6e74656e742d7479706507001061",
        "70706c69636174696f6e2f6a736f6e0a626f6f6c2066616c73650109626f6f6c20747275650004627974650",
        "2cf08627974652062756606001449276d2061206c6974746c6520746561706f74210974696d657374616d700800",
        "00000000845fed05696e74313603002a05696e7436340500000000028757b204757569640901020304050607080",
        "90a0b0c0d0e0f107b27666f6f273a27626172277daba5f10c",
    );
    const CORRUPT: [(&str, &str); 4] = [
        (
            "header length",
            "0000003d0000002107fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1",
        ),
        (
            "length",
            "0000003e0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1",
        ),
        (
            "headers",
            "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b61666f6f273a27626172277d8d9c08b1",
        ),
        ("payload", "0000001d00000000fd528c5a5b27666f6f273a27626172277dc3653936"),
    ];

    #[test]
    fn amazons_own_vectors_read() {
        let bytes = hex::decode([EMPTY, NO_HEADERS, ALL_HEADERS].concat()).unwrap();
        let (frames, error) = read(&mut Framer::new(false), &bytes);
        let data: Vec<_> = frames.iter().map(|(_, data)| data.as_str()).collect();
        assert_eq!((data, error), (vec!["", "{'foo':'bar'}", "{'foo':'bar'}"], None));
    }

    #[test]
    fn a_wrong_checksum_is_an_error_and_nothing_follows() {
        for (what, hex) in CORRUPT {
            let mut framer = Framer::new(false);
            let bytes = [event("messageStart", "{}"), hex::decode(hex).unwrap(), event("messageStop", "{}")].concat();
            let (frames, error) = read(&mut framer, &bytes);
            assert_eq!(frames.len(), 1, "{what}");
            assert!(error.unwrap().contains("checksum"), "{what}");
            assert!(read(&mut framer, &event("messageStop", "{}")).1.is_some(), "{what}");
        }
    }

    #[test]
    fn the_cut_does_not_matter() {
        let long = "é".repeat(300);
        let mut bytes = hex::decode([EMPTY, ALL_HEADERS].concat()).unwrap();
        bytes.extend(event("contentBlockDelta", &format!(r#"{{"delta":{{"text":"{long}"}}}}"#)));
        bytes.extend(event("messageStop", "{}"));
        let whole = read(&mut Framer::new(false), &bytes);
        assert_eq!(whole.0.len(), 4);
        for size in [1, 2, 3, 7, 11, 12, 13, 64, 200] {
            let mut framer = Framer::new(false);
            let mut frames = Vec::new();
            for piece in bytes.chunks(size) {
                let (more, error) = read(&mut framer, piece);
                assert_eq!(error, None);
                frames.extend(more);
            }
            assert_eq!(frames, whole.0, "pieces of {size}");
        }
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_kept() {
        let mut prelude = Vec::new();
        prelude.extend_from_slice(&u32::MAX.to_be_bytes());
        prelude.extend_from_slice(&0_u32.to_be_bytes());
        prelude.extend_from_slice(&crc32fast::hash(&prelude).to_be_bytes());
        assert!(read(&mut Framer::new(false), &prelude).1.unwrap().contains("over"));
        // Headers longer than the message.
        let mut odd = Vec::new();
        odd.extend_from_slice(&20_u32.to_be_bytes());
        odd.extend_from_slice(&5_u32.to_be_bytes());
        odd.extend_from_slice(&crc32fast::hash(&odd).to_be_bytes());
        assert!(read(&mut Framer::new(false), &odd).1.unwrap().contains("fit"));
        assert!(read(&mut Framer::with_limit(false, 20), &event("e", "{}")).1.unwrap().contains("over 20"));
    }

    #[test]
    fn headers_that_cannot_be_read_are_an_error() {
        for headers in [&[1, b'x', 7, 0xff, 0xff, b'a'][..], &[1, b'x', 10], &[9, b'x'], &[1, b'x', 8, 0]] {
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&u32::try_from(16 + headers.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            bytes.extend_from_slice(headers);
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            assert!(read(&mut Framer::new(false), &bytes).1.unwrap().contains("headers"), "{headers:?}");
        }
    }

    #[test]
    fn exceptions_and_errors_are_frames() {
        let exception = message(
            &[(":message-type", "exception"), (":exception-type", "throttlingException")],
            r#"{"message":"slow \"down\""}"#,
        );
        let error = message(
            &[(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "it broke")],
            "",
        );
        let bytes = [exception, error].concat();
        let (frames, _) = read(&mut Framer::new(false), &bytes);
        assert_eq!(frames[0], ("throttlingException".to_owned(), r#"{"message":"slow \"down\""}"#.to_owned()));
        assert_eq!(frames[1], ("error".to_owned(), r#"{"__type":"InternalError","message":"it broke"}"#.to_owned()));
        let (frames, _) = read(&mut Framer::new(true), &bytes);
        let expected = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow \"down\""}}"#;
        assert_eq!(frames[0], ("error".to_owned(), expected.to_owned()));
        let expected = r#"{"type":"error","error":{"type":"api_error","message":"it broke"}}"#;
        assert_eq!(frames[1], ("error".to_owned(), expected.to_owned()));
    }

    #[test]
    fn a_wrapped_event_is_what_it_would_be_as_a_server_sent_event() {
        let inner = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}"#;
        let bytes = event("chunk", &format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(inner)));
        let mut seen = String::new();
        Framer::new(true).push(&bytes, &mut |f| seen = String::from_utf8(f.raw.to_vec()).unwrap()).unwrap();
        assert_eq!(seen, format!("event: content_block_delta\ndata: {inner}\n\n"));
        for odd in ["{}", "[]", r#"{"bytes":"*"}"#, r#"{"bytes":1}"#] {
            assert!(read(&mut Framer::new(true), &event("chunk", odd)).1.is_some(), "{odd}");
        }
    }
}
