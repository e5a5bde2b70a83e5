//! What every recorded failure is put down to: a change shows.

use std::collections::BTreeMap;

use serde_json::Value;
use weir::error::Kind;
use weir::wire::frames::Frames;
use weir::wire::ir::Event;
use weir::wire::sse::Frame;
use weir::wire::{Dialect, decode_error, decode_response, stream_decoder};

use crate::corpus::{Exchange, Recorded};
use crate::{exchanges, quirks};

/// How many answers of a provider's with an error's status have which cause. llama.cpp says 500 and
/// 501 to what it was not set up for.
const ANSWERS: &[(&str, Kind, usize)] = &[
    ("anthropic", Kind::UpstreamAuth, 5),
    ("anthropic", Kind::UpstreamNotFound, 6),
    ("anthropic", Kind::UpstreamRejected, 2),
    ("azure", Kind::UpstreamAuth, 1),
    ("azure", Kind::UpstreamNotFound, 2),
    ("azure", Kind::UpstreamRateLimited, 1),
    ("bedrock", Kind::UpstreamContextTooLong, 1),
    ("bedrock", Kind::UpstreamNotFound, 10),
    ("bedrock", Kind::UpstreamRejected, 5),
    ("chatgpt_codex", Kind::UpstreamAuth, 1),
    ("cohere", Kind::UpstreamAuth, 1),
    ("cohere", Kind::UpstreamNotFound, 4),
    ("deepseek", Kind::UpstreamAuth, 2),
    ("deepseek", Kind::UpstreamContextTooLong, 1),
    ("deepseek", Kind::UpstreamRejected, 5),
    ("doubleword", Kind::UpstreamAuth, 2),
    ("doubleword", Kind::UpstreamNotFound, 2),
    ("doubleword", Kind::UpstreamRejected, 1),
    ("gemini", Kind::UpstreamAuth, 2),
    ("gemini", Kind::UpstreamNotFound, 5),
    ("gemini", Kind::UpstreamRateLimited, 1),
    ("groq", Kind::UpstreamNotFound, 1),
    ("groq", Kind::UpstreamRejected, 2),
    ("llamacpp", Kind::UpstreamAuth, 1),
    ("llamacpp", Kind::UpstreamContextTooLong, 1),
    ("llamacpp", Kind::UpstreamFailed, 6),
    ("llamacpp", Kind::UpstreamRejected, 1),
    ("mistral", Kind::UpstreamAuth, 3),
    ("mistral", Kind::UpstreamNotFound, 2),
    ("mistral", Kind::UpstreamRejected, 2),
    ("ollama", Kind::UpstreamAuth, 1),
    ("ollama", Kind::UpstreamNotFound, 1),
    ("openai", Kind::UpstreamAuth, 10),
    ("openai", Kind::UpstreamContextTooLong, 1),
    ("openai", Kind::UpstreamFailed, 1),
    ("openai", Kind::UpstreamNotFound, 13),
    ("openai", Kind::UpstreamRejected, 22),
    ("openrouter", Kind::UpstreamNotFound, 1),
    ("openrouter", Kind::UpstreamRateLimited, 1),
    ("perplexity", Kind::UpstreamAuth, 1),
    ("venice", Kind::UpstreamNotFound, 2),
    ("vertex", Kind::UpstreamContextTooLong, 1),
    ("vertex", Kind::UpstreamNotFound, 1),
    ("vertex", Kind::UpstreamRejected, 3),
    ("voyage", Kind::UpstreamNotFound, 1),
    ("xai", Kind::UpstreamAuth, 2),
    ("xai", Kind::UpstreamNotFound, 1),
];

/// Errors inside an answer that began well. OpenRouter's is the end of what the answer may have.
const INSIDE: &[(&str, Kind)] = &[
    ("azure-chat_completions-1d9acda58500", Kind::UpstreamRefusedContent),
    ("groq-chat_completions-9785a2aa0dc6", Kind::UpstreamRejected),
    ("openrouter-chat_completions-1c5e4331ee12", Kind::UpstreamRejected),
];

#[test]
fn every_failure_has_its_cause() {
    let Some(recorded) = Recorded::find() else { return };
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for it in recorded.lines() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = u16::try_from(it["response"]["status"].as_u64().unwrap_or(200)).expect("a status");
        if status >= 400 {
            let kind = decode_error(shape(&it), status, &text(&it["response"]["body"])).kind();
            *counts.entry((text(&it["provider"]), format!("{kind:?}"))).or_default() += 1;
        }
    }
    let row = |(provider, kind, count): &(&str, Kind, usize)| (((*provider).to_owned(), format!("{kind:?}")), *count);
    assert_eq!(counts, ANSWERS.iter().map(row).collect());
}

/// The shape of a provider's errors, which its embeddings and lists have as well as its chats.
fn shape(it: &Value) -> Dialect {
    match (it["provider"].as_str().unwrap_or_default(), it["api"].as_str().unwrap_or_default()) {
        (_, "chat_completions" | "responses") => Dialect::OpenAiChat,
        ("anthropic", _) | (_, "messages") => Dialect::Anthropic,
        ("bedrock", _) => Dialect::Converse,
        ("cohere", _) => Dialect::Cohere,
        ("gemini" | "vertex", _) => Dialect::Gemini,
        _ => Dialect::OpenAiChat,
    }
}

#[test]
fn every_failure_inside_an_answer_has_its_cause() {
    let Some(exchanges) = exchanges() else { return };
    let found: Vec<(String, Kind)> =
        exchanges.filter(|e| e.status < 400).filter_map(|e| inside(&e).map(|kind| (e.id, kind))).collect();
    let expected: Vec<(String, Kind)> = INSIDE.iter().map(|(id, kind)| ((*id).to_owned(), *kind)).collect();
    assert_eq!(found, expected);
}

fn inside(exchange: &Exchange) -> Option<Kind> {
    let quirks = quirks(&exchange.provider);
    let Some(framing) = exchange.framing else {
        return decode_response(exchange.dialect, &exchange.body, &quirks).err().map(|error| error.kind());
    };
    let mut kind = None;
    let mut decoder = stream_decoder(exchange.dialect, &quirks);
    let mut framer = Frames::new(framing);
    let mut feed = |frame: Frame<'_>| {
        let note = &mut |event: &Event<'_>| {
            if let Event::Error(error) = event {
                kind = Some(error.kind());
            }
        };
        if let Some(data) = frame.data {
            decoder.event(frame.name, data, note);
        }
    };
    framer.push(&exchange.bytes, &mut feed).expect("no event is too long");
    framer.finish(&mut feed);
    kind
}
