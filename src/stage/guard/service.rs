//! What services that judge texts are asked, and what they answer.
//!
//! - `weir`: `{"text": "..."}`, answered by `{"action": "allow"}`, or any other action where something was
//!   found, with `"spans": [{"start": 3, "end": 9}]` where it can say where.
//! - `openai`: <https://platform.openai.com/docs/api-reference/moderations> (2026-11).
//! - `llama_guard`: chat completions of a model that begins its answer with `safe` or `unsafe`
//!   (<https://www.llama.com/docs/model-cards-and-prompt-formats/llama-guard-3/>, 2026-11).
//! - `presidio`: `/analyze` of <https://microsoft.github.io/presidio/api-docs/> (2026-11).
//!
//! Places are counted in characters (code points), as Python does.

use std::ops::Range;

use serde::Deserialize;

use crate::config::guards::{Service, Shape};
use crate::wire::json::Obj;

/// What a service said of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    pub found: bool,
    /// Where, in bytes of the text.
    pub spans: Vec<Range<usize>>,
}

/// The body of the question.
pub fn body(service: &Service, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 128);
    match service.shape {
        Shape::LlamaGuard => {
            let mut body = Obj::new(&mut out);
            body.text("model", service.model.as_deref().unwrap_or_default())
                .num("temperature", 0)
                .num("max_tokens", 32);
            body.arr("messages").obj().text("role", "user").text("content", text);
        }
        Shape::Weir => _ = Obj::new(&mut out).text("text", text),
        Shape::OpenAi => {
            let mut body = Obj::new(&mut out);
            service.model.iter().for_each(|model| _ = body.text("model", model));
            body.text("input", text);
        }
        Shape::Presidio => _ = Obj::new(&mut out).text("text", text).text("language", "en"),
    }
    out
}

#[derive(Deserialize)]
struct Plain {
    action: String,
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Deserialize)]
struct Moderation {
    results: Vec<Flagged>,
}

#[derive(Deserialize)]
struct Flagged {
    flagged: bool,
}

/// Reads the answer. `None`: it is none.
pub fn read(shape: Shape, answer: &[u8], text: &str) -> Option<Judged> {
    match shape {
        Shape::Weir => {
            let plain: Plain = serde_json::from_slice(answer).ok()?;
            let found = match plain.action.as_str() {
                "allow" => false,
                "flag" | "mask" | "block" => true,
                _ => return None,
            };
            Some(Judged { found, spans: spans(&plain.spans, text) })
        }
        Shape::OpenAi => {
            let moderation: Moderation = serde_json::from_slice(answer).ok()?;
            let found = moderation.results.iter().any(|result| result.flagged);
            (!moderation.results.is_empty()).then(|| Judged { found, spans: Vec::new() })
        }
        Shape::LlamaGuard => {
            let completion: Completion = serde_json::from_slice(answer).ok()?;
            let found = match completion.choices.first()?.message.content.split_whitespace().next()? {
                "safe" => false,
                "unsafe" => true,
                _ => return None,
            };
            Some(Judged { found, spans: Vec::new() })
        }
        Shape::Presidio => {
            let entities: Vec<Span> = serde_json::from_slice(answer).ok()?;
            Some(Judged { found: !entities.is_empty(), spans: spans(&entities, text) })
        }
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

/// In bytes, sorted, none in another.
fn spans(given: &[Span], text: &str) -> Vec<Range<usize>> {
    if given.is_empty() {
        return Vec::new();
    }
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let byte = |place: usize| places.get(place).copied().unwrap_or(text.len());
    let mut spans: Vec<Range<usize>> =
        given.iter().map(|s| byte(s.start)..byte(s.end)).filter(|s| !s.is_empty()).collect();
    spans.sort_by_key(|span| (span.start, span.end));
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match apart.last_mut().filter(|last| span.start < last.end) {
            Some(last) => last.end = last.end.max(span.end),
            None => apart.push(span),
        }
    }
    apart
}
