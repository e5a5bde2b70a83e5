//! What has to hold for every input, tried on many.

#![expect(clippy::disallowed_types, reason = "streams are put together as trees")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

#[cfg(test)]
#[path = "support/grammar.rs"]
mod grammar;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;
use weir::error::Origin;
use weir::wire::bridge::Bridge;
use weir::wire::envelope::{Envelope, Member};
use weir::wire::frames::Framing;
use weir::wire::gemini::array::AsArray;
use weir::wire::owned::{Events, Owner};
use weir::wire::scan::MAX_DEPTH;
use weir::wire::seal::Seal;
use weir::wire::splice::Splice;
use weir::wire::sse::{Frame, Framer};
use weir::wire::stream::{Around, Ending, Pipe, Translator};
use weir::wire::watch::{StreamWatch, Watch};
use weir::wire::{Client, Dialect, Quirks, decode_error, decode_error_event, eventstream};

/// A sample stream.
struct Sample {
    name: String,
    dialect: Dialect,
    framing: Framing,
    bytes: Vec<u8>,
}

/// The sample streams. Names begin with their dialect's, or the framing's: `array` is Gemini's without
/// server-sent events, `invoke` Anthropic's in Amazon's. Amazon's messages are kept as server-sent
/// events.
fn samples() -> Vec<Sample> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams");
    let mut all: Vec<Sample> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let (dialect, framing) = match name.split_once('-').unwrap().0 {
                "array" => (Dialect::Gemini, Framing::JsonArray),
                "converse" => (Dialect::Converse, Framing::EventStream),
                "invoke" => (Dialect::Anthropic, Framing::InvokeStream),
                word => (Dialect::ALL.into_iter().find(|d| d.as_str() == word).unwrap(), Framing::Sse),
            };
            let bytes = amazons(framing, std::fs::read(path).unwrap());
            Sample { name, dialect, framing, bytes }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let formats: BTreeSet<&str> = all.iter().map(|sample| sample.dialect.as_str()).collect();
    assert!(all.len() >= 38 && formats.len() == Dialect::ALL.len(), "samples are missing");
    all
}

/// Server-sent events as Amazon's messages, where that is the framing.
fn amazons(framing: Framing, bytes: Vec<u8>) -> Vec<u8> {
    if !matches!(framing, Framing::EventStream | Framing::InvokeStream) {
        return bytes;
    }
    let mut out = Vec::new();
    for (name, data, _) in frames(&[&bytes]) {
        let data = data.unwrap();
        if framing == Framing::InvokeStream {
            let payload = format!("{{\"bytes\":\"{}\",\"p\":\"abc\"}}", STANDARD.encode(data));
            eventstream::write_event(&mut out, "chunk", payload.as_bytes());
        } else if name.ends_with("Exception") {
            let headers = [(":exception-type", name.as_str()), (":message-type", "exception")];
            eventstream::write_message(&mut out, &headers, data.as_bytes());
        } else {
            eventstream::write_event(&mut out, &name, data.as_bytes());
        }
    }
    out
}

/// Cuts bytes at the given places (in thousandths, so that one list fits every sample).
fn cut<'b>(bytes: &'b [u8], at: &[usize]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = at.iter().map(|at| at * bytes.len() / 1000).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut from = 0;
    places.iter().map(|to| &bytes[std::mem::replace(&mut from, *to)..*to]).collect()
}

fn frames(pieces: &[&[u8]]) -> Vec<(String, Option<String>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut sink = |f: Frame<'_>| all.push((f.name.to_owned(), f.data.map(str::to_owned), f.raw.to_vec()));
    let mut framer = Framer::default();
    for piece in pieces {
        framer.push(piece, &mut sink).unwrap();
    }
    framer.finish(&mut sink);
    all
}

/// What a pipe gives out, and what it knows at the end.
fn run(mut pipe: impl Pipe, pieces: &[&[u8]]) -> (String, String) {
    let mut out = Vec::new();
    for piece in pieces {
        pipe.push(piece, &mut out);
    }
    pipe.finish(&mut out);
    (String::from_utf8(out).unwrap(), format!("{:?}", pipe.progress()))
}

fn watch(sample: &Sample, strip_usage_chunk: bool) -> StreamWatch {
    StreamWatch::new(&Watch {
        dialect: sample.dialect,
        framing: sample.framing,
        quirks: &Quirks::NONE,
        strip_usage_chunk,
        choices: 1,
        request_id: "req",
    })
}

fn translator(sample: &Sample, client: Dialect, stream_usage: bool) -> Translator {
    let seal = Seal::new("sample", b"key");
    let to = Client { created: 1, stream_usage, input_estimate_tokens: 9, ..Client::of("m", "r", &seal) };
    Translator::new(&Bridge::plain(client, sample.dialect, &seal), sample.framing, &Quirks::NONE, &to)
}

/// Every pipe a sample can go through, once in one piece and once in `pieces`.
fn check_cut(sample: &Sample, pieces: &[&[u8]]) {
    let (name, bytes) = (&sample.name, sample.bytes.as_slice());
    if sample.framing == Framing::Sse {
        assert_eq!(frames(pieces), frames(&[bytes]), "{name}");
    }
    for option in [false, true] {
        if Dialect::CLIENTS.contains(&sample.dialect) {
            let whole = run(watch(sample, option), &[bytes]);
            assert_eq!(run(watch(sample, option), pieces), whole, "{name} watched, strip {option}");
        }
        for client in Dialect::CLIENTS {
            let whole = run(translator(sample, client, option), &[bytes]);
            let other = run(translator(sample, client, option), pieces);
            assert_eq!(other, whole, "{name} to {client:?}, usage {option}");
        }
    }
}

#[test]
fn one_byte_at_a_time_is_like_one_piece() {
    for sample in samples() {
        check_cut(&sample, &sample.bytes.chunks(1).collect::<Vec<_>>());
    }
}

#[test]
fn every_cell_gives_events_of_the_clients_format() {
    for sample in samples() {
        let name = &sample.name;
        for client in Dialect::CLIENTS {
            let mut pipe = translator(&sample, client, true);
            let mut out = Vec::new();
            pipe.push(&sample.bytes, &mut out);
            pipe.finish(&mut out);
            let cell = format!("{name} to {client:?}");
            let begun = pipe.is_committed();
            assert_eq!(out.is_empty(), !begun, "{cell}");
            assert_eq!(begun, !name.contains("error-first"), "{cell}");
            if begun {
                grammar::assemble(client, std::str::from_utf8(&out).unwrap());
            }
            let all = frames(&[&out]);
            let is_unnamed = matches!(client, Dialect::OpenAiChat | Dialect::Gemini);
            for (event, data, raw) in &all {
                let end: &[u8] = if client == Dialect::Gemini { b"\r\n" } else { b"\n\n" };
                assert!(raw.ends_with(end), "{cell}");
                let Some(data) = data.as_deref() else { continue };
                assert!(data == "[DONE]" || serde_json::from_str::<&RawValue>(data).is_ok(), "{cell}: {data}");
                assert_eq!(event.is_empty(), is_unnamed && event != "error", "{cell}: {event}");
            }
            let complete = !["cut", "error"].iter().any(|word| name.contains(word));
            assert_eq!(matches!(pipe.progress().ending, Some(Ending::Complete)), complete, "{cell}");
            let last = all.last().map(|(event, data, _)| (event.as_str(), data.as_deref().unwrap_or_default()));
            match (client, complete) {
                (Dialect::OpenAiChat, true) => assert_eq!(last, Some(("", "[DONE]")), "{cell}"),
                (Dialect::Anthropic, true) => assert_eq!(last.map(|l| l.0), Some("message_stop"), "{cell}"),
                (Dialect::Responses, true) => {
                    let ends = ["response.completed", "response.incomplete"];
                    assert!(last.is_some_and(|(name, _)| ends.contains(&name)), "{cell}");
                }
                (Dialect::Gemini, true) => assert!(last.is_some_and(|l| l.1.contains("finishReason")), "{cell}"),
                (Dialect::Responses, false) => assert_eq!(begun, last.is_some_and(|l| l.0 == "response.failed")),
                (_, true) => {}
                (_, false) => assert_eq!(begun, String::from_utf8_lossy(&out).contains("\"error\""), "{cell}"),
            }
        }
    }
}

/// What a client of events makes of a stream: names and data, without Anthropic's pings.
fn read_by_client(out: &[u8]) -> Vec<(String, String)> {
    let events = frames(&[out]).into_iter().filter_map(|(name, data, _)| Some((name, data?)));
    events.filter(|(name, _)| name != "ping").collect()
}

/// What a pipe gives out where it is kept awake, and noted upon, between any two pieces.
fn awake(mut pipe: impl Pipe, pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    pipe.keep_alive(&mut out);
    assert!(!out.is_empty() && !pipe.is_committed());
    for piece in pieces {
        pipe.push(piece, &mut out);
        let (len_before, is_open) = (out.len(), pipe.is_open());
        pipe.note("a\nb", &mut out);
        pipe.keep_alive(&mut out);
        assert_eq!(out.len() > len_before, is_open);
    }
    pipe.finish(&mut out);
    let len_before = out.len();
    pipe.keep_alive(&mut out);
    assert_eq!(out.len(), len_before);
    out
}

/// The same sample kept awake and not: no client sees a difference.
fn check_awake(sample: &Sample, pieces: &[&[u8]]) {
    let name = &sample.name;
    if Dialect::CLIENTS.contains(&sample.dialect) {
        let plain = read_by_client(run(watch(sample, false), pieces).0.as_bytes());
        assert_eq!(read_by_client(&awake(watch(sample, false), pieces)), plain, "{name} watched");
        let owner = || Owner { seal: Seal::new("sample", b"key"), tenant: "t".to_owned() };
        let owned = || Around::new(Box::new(watch(sample, false)), Events::new(owner()));
        let kinds = |out: &[u8]| -> Vec<String> { read_by_client(out).into_iter().map(|(name, _)| name).collect() };
        assert_eq!(kinds(&awake(owned(), pieces)), kinds(run(owned(), pieces).0.as_bytes()), "{name} owned");
    }
    for client in Dialect::CLIENTS {
        let plain = read_by_client(run(translator(sample, client, true), pieces).0.as_bytes());
        assert_eq!(read_by_client(&awake(translator(sample, client, true), pieces)), plain, "{name} to {client:?}");
    }
    let array = || Around::new(Box::new(translator(sample, Dialect::Gemini, true)), AsArray::default());
    let (plain, kept) = (run(array(), pieces).0, awake(array(), pieces));
    match plain.is_empty() {
        true => assert!(kept.iter().all(|byte| *byte == b'\n'), "{name}"),
        false => {
            let items = |json: &[u8]| serde_json::from_slice::<Vec<serde_json::Value>>(json).unwrap();
            assert_eq!(items(&kept), items(plain.as_bytes()), "{name} as an array");
        }
    }
}

#[test]
fn what_keeps_a_client_awake_is_no_event() {
    for sample in samples() {
        for piece_bytes in [1, 7, 100, usize::MAX] {
            check_awake(&sample, &sample.bytes.chunks(piece_bytes).collect::<Vec<_>>());
        }
    }
}

/// The members of an object in order, values as they stand.
fn members(json: &[u8]) -> Vec<(String, String)> {
    struct Ordered(Vec<(String, String)>);
    impl<'de> serde::Deserialize<'de> for Ordered {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            struct V;
            impl<'de> serde::de::Visitor<'de> for V {
                type Value = Ordered;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                    let mut all = Vec::new();
                    while let Some((name, value)) = map.next_entry::<Cow<'_, str>, &RawValue>()? {
                        all.push((name.into_owned(), value.get().to_owned()));
                    }
                    Ok(Ordered(all))
                }
            }
            d.deserialize_map(V)
        }
    }
    serde_json::from_slice::<Ordered>(json).unwrap().0
}

#[derive(Debug, Clone)]
enum Op {
    Set(usize, String),
    Replace(usize, String),
    Insert(usize, String),
    Remove(usize),
    Rename(usize, usize),
}

const NAMES: [&str; 8] = ["model", "stream", "max_tokens", "n", "user", "messages", "x", "y"];

/// The same edits on a list of members: what a splice has to come to.
fn edit_list(list: &mut Vec<(String, String)>, op: &Op) {
    let at = |list: &Vec<(String, String)>, name: usize| list.iter().position(|(n, _)| n == NAMES[name]);
    match op {
        Op::Set(name, value) => match at(list, *name) {
            Some(found) => list[found].1 = value.clone(),
            None => list.push((NAMES[*name].to_owned(), value.clone())),
        },
        Op::Replace(name, value) => {
            if let Some(found) = at(list, *name) {
                list[found].1 = value.clone();
            }
        }
        Op::Insert(name, value) => {
            if at(list, *name).is_none() {
                list.push((NAMES[*name].to_owned(), value.clone()));
            }
        }
        Op::Remove(name) => list.retain(|(n, _)| n != NAMES[*name]),
        Op::Rename(from, to) => {
            if let (Some(found), true) = (at(list, *from), from != to) {
                match at(list, *to) {
                    Some(_) => drop(list.remove(found)),
                    None => list[found].0 = NAMES[*to].to_owned(),
                }
            }
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1e400".to_owned()),
        Just("-0.10".to_owned()),
        Just("\"\\ud800\\/\"".to_owned()),
        "[a-z\u{e9}\u{1f600} ]{0,40}".prop_map(|s| format!("\"{s}\"")),
        any::<i64>().prop_map(|n| n.to_string()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[ {} ]", items.join(", "))),
            vec(inner, 0..4).prop_map(|items| {
                let all: Vec<_> = items.iter().enumerate().map(|(i, v)| format!("\"k{i}\" :{v}")).collect();
                format!("{{{}\n}}", all.join(" ,"))
            }),
        ]
    })
}

fn op() -> impl Strategy<Value = Op> {
    let name = 0..NAMES.len();
    prop_oneof![
        (name.clone(), value()).prop_map(|(n, v)| Op::Set(n, v)),
        (name.clone(), value()).prop_map(|(n, v)| Op::Replace(n, v)),
        (name.clone(), value()).prop_map(|(n, v)| Op::Insert(n, v)),
        name.clone().prop_map(Op::Remove),
        (name.clone(), name).prop_map(|(a, b)| Op::Rename(a, b)),
    ]
}

/// An object whose members are some of [`NAMES`] in some order, with odd white space.
fn object() -> impl Strategy<Value = String> {
    (Just(NAMES.to_vec()).prop_shuffle(), vec(value(), 0..=NAMES.len()), "[ \n\t]{0,3}").prop_map(
        |(names, values, blank)| {
            let all: Vec<_> = names
                .iter()
                .zip(&values)
                .map(|(n, v)| {
                    // One name is spelled with an escape.
                    let name = if *n == "user" { "\\u0075ser" } else { n };
                    format!("{blank}\"{name}\"{blank}:{blank}{v}")
                })
                .collect();
            format!("{blank}{{{}{blank}}}{blank}", all.join(&format!("{blank},")))
        },
    )
}

/// Whether serde_json takes it for one JSON value.
fn serde_accepts(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// The envelope's verdict, which differs from well-formedness in what it says itself.
fn check_verdict(bytes: &[u8]) {
    let theirs = serde_accepts(bytes);
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    match Envelope::parse(bytes) {
        Ok(it) => {
            assert!(theirs, "accepted: {}", String::from_utf8_lossy(bytes));
            let ours: Vec<_> = it.members().iter().map(|m| value_of(it.body(), m)).collect();
            let theirs: Vec<_> = members_raw(it.body());
            assert_eq!(ours, theirs);
        }
        Err(e) => {
            let own = ["appears more than once", "nests deeper", "members"].iter().any(|s| e.public().contains(s));
            assert!(!theirs || !is_object || own, "refused with {e}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

/// What vendors call their errors, and how their sentences begin.
const REFUSALS: &[&str] =
    &["", "insufficient_quota", "invalid_request_error", "RESOURCE_EXHAUSTED", "ThrottlingException", "content_filter"];
const SENTENCES: &[&str] =
    &["", "Please try again in ", "Please try again in 99999999999999999999h", "prompt is too long", "9e99s", "Model "];

fn value_of(body: &str, member: &Member<'_>) -> String {
    body.get(member.value_span.clone()).unwrap().to_owned()
}

fn members_raw(body: &str) -> Vec<String> {
    // Names with lone surrogates are no strings to serde_json.
    if body.contains("\\ud") || body.contains("\\uD") {
        return Envelope::parse_str(body).unwrap().members().iter().map(|m| value_of(body, m)).collect();
    }
    members(body.as_bytes()).into_iter().map(|(_, value)| value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn frames_of_any_bytes_do_not_depend_on_the_cuts(
        bytes in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), Just(b'a'), Just(b't'), any::<u8>()], 0..60),
        at in vec(0_usize..1000, 0..6),
    ) {
        let whole = frames(&[&bytes]);
        prop_assert_eq!(&frames(&cut(&bytes, &at)), &whole);
        prop_assert_eq!(whole.into_iter().flat_map(|f| f.2).collect::<Vec<u8>>(), bytes);
    }

    #[test]
    fn a_splice_changes_what_it_names(body in object(), ops in vec(op(), 0..6)) {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        let mut splice = Splice::new(&envelope);
        let mut expected = members(body.as_bytes());
        for op in &ops {
            edit_list(&mut expected, op);
            match op {
                Op::Set(n, v) => splice.set(NAMES[*n], v.clone()),
                Op::Replace(n, v) => drop(splice.replace(NAMES[*n], v.clone())),
                Op::Insert(n, v) => drop(splice.insert(NAMES[*n], v.clone())),
                Op::Remove(n) => drop(splice.remove(NAMES[*n])),
                Op::Rename(a, b) => drop(splice.rename(NAMES[*a], NAMES[*b])),
            }
        }
        let out = splice.write();
        prop_assert_eq!(out.capacity(), out.len());
        prop_assert_eq!(members(&out), expected);
        if ops.is_empty() {
            prop_assert_eq!(out, body.into_bytes());
        }
    }

    #[test]
    fn verdicts_on_json_equal_serde_json(body in object()) {
        check_verdict(body.as_bytes());
        prop_assert!(Envelope::parse(body.as_bytes()).is_ok());
    }

    #[test]
    fn verdicts_on_broken_json_equal_serde_json(
        body in object(),
        edits in vec((any::<prop::sample::Index>(), prop_oneof![
            prop::sample::select(b"{}[]\",:\\u0-.eE+tfn \n\x00\x1f\x7f\xc3\xff".to_vec()), any::<u8>()
        ], 0_u8..3), 1..4),
    ) {
        let mut bytes = body.into_bytes();
        for (index, byte, what) in edits {
            let at = index.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        check_verdict(&bytes);
    }

    /// Whatever a provider says, it is the provider's error, and nobody is sent away for more than a day.
    #[test]
    fn any_refusal_has_a_cause(
        status in 400_u16..600,
        word in prop::sample::select(REFUSALS),
        message in prop::sample::select(SENTENCES),
        tail in ".{0,30}",
        noise in ".{0,60}",
    ) {
        let message = serde_json::to_string(&format!("{message}{tail}")).unwrap();
        let shaped = format!(
            r#"{{"message":{message},"__type":"{word}","error":{{"code":"{word}","type":"{word}","status":"{word}","message":{message},"details":[{{"reason":"{word}","retryDelay":{message},"violations":{message}}}]}}}}"#
        );
        for (dialect, body) in Dialect::ALL.into_iter().flat_map(|d| [(d, &shaped), (d, &noise)]) {
            for error in [decode_error(dialect, status, body), decode_error_event(dialect, body)] {
                prop_assert_eq!(error.kind().origin(), Origin::Upstream);
                prop_assert!((400..600).contains(&error.status()) && !error.public().is_empty());
                prop_assert!(error.retry_after().is_none_or(|after| after <= Duration::from_secs(86_400)));
            }
        }
    }

    #[test]
    fn nesting_is_bounded_whatever_it_is_made_of(kinds in vec(any::<bool>(), 1..200)) {
        let open: String = kinds.iter().map(|k| if *k { "{\"a\":" } else { "[" }).collect();
        let close: String = kinds.iter().rev().map(|k| if *k { "}" } else { "]" }).collect();
        let body = format!("{{\"m\":{open}0{close}}}");
        prop_assert_eq!(Envelope::parse(body.as_bytes()).is_ok(), kinds.len() < MAX_DEPTH as usize);
    }
}

proptest! {
    // Each case is every sample through every pipe.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn the_output_does_not_depend_on_the_cuts(at in vec(0_usize..1000, 0..12)) {
        for sample in samples() {
            check_cut(&sample, &cut(&sample.bytes, &at));
            check_awake(&sample, &cut(&sample.bytes, &at));
        }
    }
}
