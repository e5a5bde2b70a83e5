//! Recorded traffic of real providers through the translation, checked against what the recording
//! says. The recordings are read in place; see `recorded/corpus.rs`.

#![expect(clippy::disallowed_types, reason = "the oracle is a plain tree, on purpose another way of reading")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it skipped"
)]

#[path = "recorded/chat.rs"]
mod chat;
#[path = "recorded/contents.rs"]
mod contents;
#[path = "recorded/corpus.rs"]
mod corpus;
#[path = "recorded/grammar.rs"]
mod grammar;
#[path = "recorded/items.rs"]
mod items;
#[path = "recorded/kinds.rs"]
mod kinds;
#[path = "recorded/messages.rs"]
mod messages;
#[path = "recorded/normal.rs"]
mod normal;
#[path = "recorded/reading.rs"]
mod reading;
#[path = "recorded/turns.rs"]
mod turns;

use std::collections::BTreeMap;

use corpus::{Exchange, Recorded};
use reading::Reading;
use weir::error::Kind;
use weir::wire::bridge::Bridge;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::stream::{Ending, Pipe as _, Translator};
use weir::wire::{
    Abilities, Client, Dialect, Quirks, Target, Thinking, decode_error, decode_request, decode_response, encode_error,
    encode_request, encode_response, ir,
};

/// Recordings that say something else than what they are, by id.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("groq-chat_completions-9935c55a75c2", "a function's HTTP answer, not a completion"),
    ("mistral-chat_completions-1ba502bd369f", "a transcription"),
    ("pydantic_gateway-chat_completions-ea326808c6d2", "an echo server's answer"),
    ("openai-responses-7a5f93903df1", "its fragments and its last event say different texts"),
];

const FORMATS: [Dialect; 4] = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Responses, Dialect::Gemini];

/// Formats of providers.
const TARGETS: [Dialect; 4] = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Responses, Dialect::Gemini];

fn seal() -> Seal {
    Seal::new("test", b"key")
}

fn client(seal: &Seal) -> Client<'_> {
    Client { model: "m", id: "0190", created: 7, stream_usage: true, input_estimate_tokens: 3, request: "", seal }
}

fn quirks(provider: &str) -> Quirks {
    let vendor = kinds::kind(provider).and_then(weir::provider::find).map_or(Quirks::NONE, |p| p.quirks);
    // Gemini by its OpenAI-compatible path: not a kind of its own.
    let outside = vendor.reasoning_outside_completion || provider == "gemini";
    Quirks { reasoning_outside_completion: outside, ..Quirks::NONE }
}

fn read(dialect: Dialect, stream: bool, body: &str) -> Reading {
    match (dialect, stream) {
        (Dialect::OpenAiChat, false) => chat::body(body),
        (Dialect::OpenAiChat, true) => chat::stream(body),
        (Dialect::Anthropic, false) => messages::body(body),
        (Dialect::Anthropic, true) => messages::stream(body),
        (Dialect::Responses, false) => items::body(body),
        (Dialect::Responses, true) => items::stream(body),
        (Dialect::Gemini, false) => contents::body(body),
        (Dialect::Gemini, true) => contents::stream(body),
        _ => Reading::default(),
    }
}

/// Passed and total of each (provider, what became of it).
#[derive(Default)]
struct Score {
    cells: BTreeMap<(String, String), (usize, usize)>,
    failures: Vec<String>,
}

impl Score {
    fn note(&mut self, exchange: &Exchange, cell: &str, result: Result<(), String>) {
        let score = self.cells.entry((exchange.provider.clone(), cell.to_owned())).or_default();
        score.1 += 1;
        match result {
            Ok(()) => score.0 += 1,
            Err(why) => self.failures.push(format!("{} -> {cell}: {why}", exchange.id)),
        }
    }

    fn settle(self, what: &str) {
        let (mut passed, mut total) = (0, 0);
        for ((provider, cell), (ok, all)) in &self.cells {
            println!("{what}: {provider} -> {cell}: {ok}/{all}");
            passed += ok;
            total += all;
        }
        println!("{what}: {passed}/{total}");
        assert!(total > 0, "{what}: nothing was tested");
        let shown: Vec<String> = self.failures.iter().take(40).map(|f| f.chars().take(900).collect()).collect();
        assert!(self.failures.is_empty(), "{} failures:\n{}", self.failures.len(), shown.join("\n"));
    }
}

/// Every exchange of both formats that is not excepted.
fn exchanges() -> Option<impl Iterator<Item = Exchange>> {
    let recorded = Recorded::find()?;
    let excepted = |id: &str| EXCEPTIONS.iter().any(|(known, _)| *known == id);
    Some(recorded.exchanges().filter(move |e| !excepted(&e.id)))
}

#[test]
fn whole_answers_say_the_same_in_every_format() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.status < 400 && e.kind == "json") {
        let expected = read(exchange.dialect, false, &exchange.body);
        for format in FORMATS {
            score.note(&exchange, &format!("{} whole", format.as_str()), whole(&exchange, format, &expected, &seal));
        }
    }
    score.settle("whole");
}

fn whole(exchange: &Exchange, format: Dialect, expected: &Reading, seal: &Seal) -> Result<(), String> {
    let answer = match decode_response(exchange.dialect, &exchange.body, &quirks(&exchange.provider)) {
        Ok(answer) if expected.error.is_none() => answer,
        Ok(_) => return Err("an error passed for an answer".to_owned()),
        Err(error) => return expected.same_error(error.public()),
    };
    let mut out = Vec::new();
    encode_response(format, &answer, &client(seal), &mut out);
    let out = String::from_utf8(out).map_err(|e| e.to_string())?;
    expected.compare(&read(format, false, &out), exchange.dialect, format)
}

#[test]
fn streams_say_the_same_in_every_format_however_they_are_cut() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.status < 400 && matches!(e.kind.as_str(), "sse" | "json_array")) {
        let expected = match exchange.kind.as_str() {
            "json_array" => contents::array(&exchange.body),
            _ => read(exchange.dialect, true, &exchange.body),
        };
        for format in FORMATS {
            score.note(&exchange, &format!("{} stream", format.as_str()), stream(&exchange, format, &expected, &seal));
        }
    }
    score.settle("stream");
}

fn stream(exchange: &Exchange, format: Dialect, expected: &Reading, seal: &Seal) -> Result<(), String> {
    let bytes = exchange.body.as_bytes();
    let (out, ending) = translate(exchange, format, seal, std::iter::once(bytes));
    // Single bytes are slow work; what a long stream has in its frames, shorter ones have too.
    let single_below_bytes = 48 * 1024;
    let mut others = vec![translate(exchange, format, seal, cuts(bytes)).0];
    if bytes.len() < single_below_bytes {
        others.push(translate(exchange, format, seal, bytes.chunks(1)).0);
    }
    if others.iter().any(|other| *other != out) {
        return Err("the output depends on how the input was cut".to_owned());
    }
    match (&ending, &expected.error) {
        (Ending::Error(error), Some(_)) => return expected.same_error(error.public()),
        (Ending::Complete, None) => {}
        (Ending::Cut(_), None) if expected.is_cut => {}
        other => return Err(format!("ended as {:?}, expected an error: {:?}", other.0, other.1)),
    }
    expected.compare(&read(format, true, &out), exchange.dialect, format)
}

fn translate<'c>(
    exchange: &Exchange,
    format: Dialect,
    seal: &Seal,
    chunks: impl Iterator<Item = &'c [u8]>,
) -> (String, Ending) {
    let mut translator = Translator::new(
        &Bridge::plain(format, exchange.dialect, seal),
        if exchange.kind == "json_array" { Framing::JsonArray } else { Framing::Sse },
        &quirks(&exchange.provider),
        &client(seal),
    );
    let mut out = Vec::new();
    chunks.for_each(|chunk| translator.push(chunk, &mut out));
    translator.finish(&mut out);
    let ending = translator.progress().ending.clone().expect("a finished stream has an ending");
    (String::from_utf8(out).expect("the output is UTF-8"), ending)
}

/// Pieces of 1 to 97 bytes, the same ones every time.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, 0x9e37_79b9_7f4a_7c15_u64);
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let size = usize::try_from(state % 97 + 1).expect("fits").min(rest.len());
        let (piece, tail) = rest.split_at(size);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[test]
fn error_answers_keep_their_message_and_have_the_right_kind() {
    let Some(exchanges) = exchanges() else { return };
    let mut score = Score::default();
    for exchange in exchanges.filter(|e| e.status >= 400) {
        let error = decode_error(exchange.dialect, exchange.status, &exchange.body);
        let expected = reading::message(&exchange.body).unwrap_or_default();
        for format in FORMATS {
            let mut out = Vec::new();
            encode_error(format, &error, "r1", &mut out);
            let told = reading::message(&String::from_utf8(out).expect("UTF-8")).unwrap_or_default();
            // The words about our own credential are the log's.
            let hidden = error.kind() == Kind::UpstreamAuth && error.to_string().contains(&expected);
            let result = match () {
                () if !kinds(exchange.status, &exchange.body).contains(&error.kind()) => {
                    Err(format!("kind {:?}", error.kind()))
                }
                () if !hidden && !told.contains(&expected) => Err(format!("says {told:?} for {expected:?}")),
                () if told.is_empty() => Err("says nothing".to_owned()),
                () => Ok(()),
            };
            score.note(&exchange, &format!("{} error", format.as_str()), result);
        }
    }
    score.settle("error");
}

/// The kinds a status may mean; the body decides among them.
fn kinds(status: u16, body: &str) -> &'static [Kind] {
    match status {
        _ if body.contains("Incorrect API key") || body.contains("API_KEY_INVALID") => &[Kind::UpstreamAuth],
        401 | 403 => &[Kind::UpstreamAuth],
        404 => &[Kind::UpstreamNotFound],
        429 => &[Kind::UpstreamRateLimited],
        500.. => &[Kind::UpstreamFailed, Kind::UpstreamOverloaded],
        _ => &[Kind::UpstreamRejected, Kind::UpstreamNotFound],
    }
}

fn target<'t>(quirks: &'t Quirks, seal: &'t Seal) -> Target<'t> {
    Target {
        model: "m",
        quirks,
        max_output_tokens: Some(8192),
        thinking: Thinking::Budget,
        abilities: Abilities::UNKNOWN,
        seal,
    }
}

#[test]
fn chat_requests_keep_every_member_in_their_own_format() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.dialect == Dialect::OpenAiChat && e.request.is_some()) {
        let sent = exchange.request.as_ref().expect("filtered").to_string();
        let result = same_request(&sent, &seal);
        score.note(&exchange, "chat request", result);
    }
    score.settle("request");
}

fn same_request(sent: &str, seal: &Seal) -> Result<(), String> {
    let request = decode_request(Dialect::OpenAiChat, sent).map_err(|e| format!("{e:?}"))?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    encode_request(Dialect::OpenAiChat, &request, &target(&Quirks::NONE, seal), &mut out, &mut dropped)
        .map_err(|e| format!("{e:?}"))?;
    let out = String::from_utf8(out).map_err(|e| e.to_string())?;
    if !dropped.is_empty() {
        return Err(format!("dropped {}", dropped.header()));
    }
    normal::same(sent, &out)
}

/// With `WEIR_SPEC_DIR` set, what was written is put there, for `scripts/spec-check`.
#[test]
fn requests_reach_every_other_format() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    let mut written: BTreeMap<&str, String> = BTreeMap::new();
    for exchange in exchanges.filter(|e| e.request.is_some() && e.status < 400) {
        let sent = exchange.request.as_ref().expect("filtered").to_string();
        for to in TARGETS.into_iter().filter(|to| *to != exchange.dialect) {
            let result = other_request(exchange.dialect, to, &sent, &seal);
            if let Ok(Some(json)) = &result {
                let file = written.entry(to.as_str()).or_default();
                *file += &format!("{{\"id\":\"{}\",\"body\":{json}}}\n", exchange.id);
            }
            score.note(&exchange, &format!("{} request", to.as_str()), result.map(drop));
        }
    }
    if let Some(dir) = std::env::var_os("WEIR_SPEC_DIR") {
        for (format, lines) in written {
            let path = std::path::Path::new(&dir).join(format!("{format}.jsonl"));
            std::fs::write(path, lines).expect("the directory can be written to");
        }
    }
    score.settle("translated request");
}

/// The request in another format; `None` where it is refused with a reason.
fn other_request(from: Dialect, to: Dialect, sent: &str, seal: &Seal) -> Result<Option<String>, String> {
    let mut request = decode_request(from, sent).map_err(|e| format!("{e:?}"))?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    let target = target(&Quirks::NONE, seal);
    let written = Bridge::request(&mut request, to, &target, &mut dropped)
        .and_then(|_| encode_request(to, &request, &target, &mut out, &mut dropped));
    match written {
        Ok(()) => {}
        Err(error) if error.kind().face().status == 400 && !error.public().is_empty() => return Ok(None),
        Err(error) => return Err(format!("{error:?}")),
    }
    let out = String::from_utf8(out).map_err(|e| e.to_string())?;
    normal::is_sound(sent, to, &out).map(|()| Some(out))
}

#[test]
fn events_keep_their_grammar() {
    let Some(exchanges) = exchanges() else { return };
    let mut score = Score::default();
    for exchange in exchanges.filter(|e| e.status < 400 && e.kind == "sse") {
        let mut grammar = grammar::Grammar::default();
        let mut decoder = weir::wire::stream_decoder(exchange.dialect, &quirks(&exchange.provider));
        let mut framer = weir::wire::sse::Framer::default();
        let mut feed = |frame: weir::wire::sse::Frame<'_>| {
            if let Some(data) = frame.data {
                decoder.event(frame.name, data, &mut |event| grammar.note(event));
            }
        };
        framer.push(exchange.body.as_bytes(), &mut feed).expect("no event is too long");
        framer.finish(&mut feed);
        decoder.finish(&mut |event| grammar.note(event));
        score.note(&exchange, "events", grammar.verdict());
    }
    score.settle("grammar");
}

#[test]
fn claudes_thinking_survives_a_chat_client() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.dialect == Dialect::Anthropic && e.status < 400 && e.kind == "json") {
        let blocks = turns::thinking_before_a_call(&exchange.body);
        if !blocks.is_empty() {
            score.note(&exchange, "next turn", through_chat(&exchange, &blocks, &seal));
        }
    }
    score.settle("thinking");
}

/// The answer as a chat client gets it, and what the next request makes of it.
fn through_chat(exchange: &Exchange, blocks: &[serde_json::Value], seal: &Seal) -> Result<(), String> {
    let mut answer = decode_response(Dialect::Anthropic, &exchange.body, &Quirks::NONE).map_err(|e| e.to_string())?;
    Bridge::plain(Dialect::OpenAiChat, Dialect::Anthropic, seal).response(&mut answer);
    let mut out = Vec::new();
    encode_response(Dialect::OpenAiChat, &answer, &client(seal), &mut out);
    let next = turns::chat_turn(&String::from_utf8(out).map_err(|e| e.to_string())?);
    let mut request = decode_request(Dialect::OpenAiChat, &next).map_err(|e| e.to_string())?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    Bridge::request(&mut request, Dialect::Anthropic, &target(&Quirks::NONE, seal), &mut dropped)
        .map_err(|e| e.to_string())?;
    encode_request(Dialect::Anthropic, &request, &target(&Quirks::NONE, seal), &mut out, &mut dropped)
        .map_err(|e| e.to_string())?;
    turns::begins_with(&String::from_utf8(out).map_err(|e| e.to_string())?, blocks)
}

#[test]
fn a_resellers_proof_survives_an_anthropic_client() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.dialect == Dialect::OpenAiChat && e.status < 400 && e.kind == "json") {
        let details = turns::details(&exchange.body);
        if !details.is_empty() {
            score.note(&exchange, "next turn", through_messages(&exchange, &details, &seal));
        }
    }
    score.settle("proof");
}

fn through_messages(exchange: &Exchange, details: &[serde_json::Value], seal: &Seal) -> Result<(), String> {
    let mut answer = decode_response(Dialect::OpenAiChat, &exchange.body, &Quirks::NONE).map_err(|e| e.to_string())?;
    Bridge::plain(Dialect::Anthropic, Dialect::OpenAiChat, seal).response(&mut answer);
    let mut out = Vec::new();
    encode_response(Dialect::Anthropic, &answer, &client(seal), &mut out);
    let next = turns::messages_turn(&String::from_utf8(out).map_err(|e| e.to_string())?);
    let mut request = decode_request(Dialect::Anthropic, &next).map_err(|e| e.to_string())?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    Bridge::request(&mut request, Dialect::OpenAiChat, &target(&Quirks::NONE, seal), &mut dropped)
        .map_err(|e| e.to_string())?;
    encode_request(Dialect::OpenAiChat, &request, &target(&Quirks::NONE, seal), &mut out, &mut dropped)
        .map_err(|e| e.to_string())?;
    turns::gives_back(&String::from_utf8(out).map_err(|e| e.to_string())?, details)
}
