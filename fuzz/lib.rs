//! What the targets share. A target is given bytes; those of the streams and edits begin with a few
//! that say where to cut or what to edit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use weir::wire::bridge::Bridge;
use weir::wire::eventstream;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::sse::{Frame, Framer};
use weir::wire::stream::{Pipe, Translator};
use weir::wire::watch::{StreamWatch, Watch};
use weir::wire::{self, Abilities, Client, Dialect, Quirks, Target, Thinking, ir};

/// Splits off the bytes that steer: as many as the first byte says, at most 8.
pub fn steer(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return (&[], &[]) };
    rest.split_at_checked(usize::from(*count % 9)).unwrap_or((&[], rest))
}

/// Cuts bytes in pieces whose lengths follow from `sizes`; without any, byte by byte.
pub fn pieces<'b>(mut bytes: &'b [u8], sizes: &'b [u8]) -> Vec<&'b [u8]> {
    let mut all = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !bytes.is_empty() {
        let size = sizes.next().map_or(1, |size| usize::from(*size) + 1);
        let (piece, rest) = bytes.split_at_checked(size).unwrap_or((bytes, &[]));
        all.push(piece);
        bytes = rest;
    }
    all
}

/// Events as names, data and raw bytes.
pub type Frames = Vec<(String, Option<String>, Vec<u8>)>;

/// Frames of a stream in pieces, and whether one was too big.
pub fn frames(pieces: &[&[u8]], max_event_bytes: usize) -> (Frames, bool) {
    let mut all = Vec::new();
    let mut sink = |f: Frame<'_>| all.push((f.name.to_owned(), f.data.map(str::to_owned), f.raw.to_vec()));
    let mut framer = Framer::new(max_event_bytes);
    let mut fits = true;
    for piece in pieces {
        fits &= framer.push(piece, &mut sink).is_ok();
    }
    framer.finish(&mut sink);
    (all, fits)
}

/// Runs bytes through a pipe: what comes out, and what is known at the end.
pub fn run(mut pipe: impl Pipe, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let mut out = Vec::new();
    for piece in pieces {
        pipe.push(piece, &mut out);
    }
    pipe.finish(&mut out);
    (out, format!("{:?}", pipe.progress()))
}

/// A stream of one format, whole and in pieces, watched and translated. The first byte says for which
/// client: to try all of them at once would be four times the work for the same code.
pub fn stream(upstream: Dialect, framing: Framing, bytes: &[u8]) {
    let (which, bytes) = bytes.split_first().unwrap_or((&0, bytes));
    let (sizes, bytes) = steer(bytes);
    framed(upstream, framing, bytes, sizes, *which);
}

/// The same of Amazon's event stream. Bytes made up are no messages of it, for want of checksums, so
/// they are tried as they are, and as the server-sent events that they may be, put into messages.
pub fn event_stream(upstream: Dialect, framing: Framing, bytes: &[u8]) {
    let (which, bytes) = bytes.split_first().unwrap_or((&0, bytes));
    let (sizes, bytes) = steer(bytes);
    let mut messages = Vec::new();
    for (name, data, _) in frames(&[bytes], usize::MAX).0 {
        let data = data.unwrap_or_default();
        match framing {
            Framing::InvokeStream => {
                let payload = format!("{{\"bytes\":\"{}\"}}", STANDARD.encode(data));
                eventstream::write_event(&mut messages, "chunk", payload.as_bytes());
            }
            _ if name.ends_with("Exception") => {
                let headers = [(":exception-type", name.as_str()), (":message-type", "exception")];
                eventstream::write_message(&mut messages, &headers, data.as_bytes());
            }
            _ => eventstream::write_event(&mut messages, &name, data.as_bytes()),
        }
    }
    let bytes = if which & 8 == 0 { &messages } else { bytes };
    framed(upstream, framing, bytes, sizes, *which);
}

fn framed(upstream: Dialect, framing: Framing, bytes: &[u8], sizes: &[u8], which: u8) {
    let cut = pieces(bytes, sizes);
    if Dialect::CLIENTS.contains(&upstream) {
        let strip_usage_chunk = which & 4 != 0;
        let watch =
            Watch { dialect: upstream, framing, quirks: &Quirks::NONE, strip_usage_chunk, choices: 1, request_id: "r" };
        let whole = run(StreamWatch::new(&watch), &[bytes]);
        assert!(whole == run(StreamWatch::new(&watch), &cut), "a watched stream depends on its pieces");
    }
    let seal = Seal::new("fuzz", b"key");
    let to = Client { created: 1, input_estimate_tokens: 3, ..Client::of("m", "i", &seal) };
    let client = Dialect::CLIENTS[usize::from(which % 4)];
    let pipe = || Translator::new(&Bridge::plain(client, upstream, &seal), framing, &Quirks::NONE, &to);
    let whole = run(pipe(), &[bytes]);
    let (in_pieces, progress) = run(pipe(), &cut);
    let same = without_invented_ids(&whole.0) == without_invented_ids(&in_pieces) && whole.1 == progress;
    assert!(same, "a translated stream depends on its pieces");
    for (_, data, _) in frames(&[&whole.0], usize::MAX).0 {
        let data = data.unwrap_or_default();
        assert!(data.is_empty() || data == "[DONE]" || is_json(&data), "not JSON: {data}");
    }
}

/// Ids of calls hang on the answer's id, and on chance where there is none.
fn without_invented_ids(out: &[u8]) -> String {
    let text = String::from_utf8_lossy(out);
    let mut parts = text.split("\"call_");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take(24).take_while(u8::is_ascii_hexdigit).count();
        all.push_str("\"call_");
        all.push_str(part.get(if digits == 24 { 24 } else { 0 }..).unwrap_or_default());
    }
    all
}

/// Reads a request and writes it for every format.
pub fn request(dialect: Dialect, bytes: &[u8]) {
    let Ok(body) = std::str::from_utf8(bytes) else { return };
    // As in the gateway: only what the envelope lets through is decoded.
    if wire::envelope::Envelope::parse_str(body).is_err() {
        return;
    }
    let Ok(request) = wire::decode_request(dialect, body) else { return };
    let seal = Seal::new("fuzz", b"key");
    for upstream in Dialect::ALL {
        let target = Target {
            model: "m",
            quirks: &Quirks::NONE,
            max_output_tokens: Some(9),
            thinking: Thinking::Budget,
            abilities: Abilities::UNKNOWN,
            seal: &seal,
        };
        let mut request = request.clone();
        let mut out = Vec::new();
        let mut dropped = ir::Dropped::default();
        let written = Bridge::request(&mut request, upstream, &target, &mut dropped)
            .and_then(|_| wire::encode_request(upstream, &request, &target, &mut out, &mut dropped));
        if written.is_ok() {
            let text = String::from_utf8(out).expect("a request is UTF-8");
            assert!(is_json(&text), "not JSON: {text}");
        }
    }
}

/// Whether it is one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}
