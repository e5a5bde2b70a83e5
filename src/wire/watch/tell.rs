//! Answers that go on as they came, of a provider that says nothing of what they used: what was counted here is
//! put in, in the answer's own format.

use std::ops::Range;

use super::super::envelope::Envelope;
use super::super::splice::Splice;
use super::super::sse::Frame;
use super::super::{Dialect, anthropic, gemini, openai_chat, responses, scan};
use super::has_no_choice;
use crate::usage::tokens::Usage;

/// The same answer with counts, where it is one that could have some.
pub fn with_usage(dialect: Dialect, body: &str, usage: &Usage) -> Option<Vec<u8>> {
    let mut counts = Vec::new();
    let name = match dialect {
        Dialect::OpenAiChat => {
            openai_chat::usage::encode(usage, &mut counts);
            "usage"
        }
        Dialect::Anthropic => {
            anthropic::usage::encode(usage, &mut counts);
            "usage"
        }
        Dialect::Responses => {
            responses::usage::encode(usage, &mut counts);
            "usage"
        }
        Dialect::Gemini => {
            gemini::usage::encode(usage, None, &mut counts);
            "usageMetadata"
        }
        // No client speaks these.
        Dialect::Converse | Dialect::Cohere => return None,
    };
    let envelope = Envelope::parse_str(body).ok()?;
    let mut splice = Splice::new(&envelope);
    splice.set(name, String::from_utf8(counts).ok()?);
    Some(splice.write())
}

/// What Responses have to say of what was written to a cache, which not all providers do: the newest SDKs require
/// it. A part of the answer, and what stands in its place then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amend {
    start: usize,
    end: usize,
    text: &'static str,
}

impl Amend {
    /// Of an answer, or an event that holds one, whose counts are those.
    pub(super) fn of(json: &str, counts: &str) -> Option<Self> {
        const NAME: &str = "cache_write_tokens";
        let instead_of = |part: &str, text| {
            let Range { start, end } = scan::span(json.as_bytes(), part.as_bytes())?;
            Some(Self { start, end, text })
        };
        let first_in = |object: &str, text| instead_of(object.get(1..1)?, text);
        match scan::member(counts, "input_tokens_details") {
            Some(details) if details.starts_with('{') => match scan::member(details, NAME) {
                Some(value) if value == "null" => instead_of(value, "0"),
                Some(_) => None,
                None if scan::members(details).next().is_none() => first_in(details, "\"cache_write_tokens\":0"),
                None => first_in(details, "\"cache_write_tokens\":0,"),
            },
            Some(none) => instead_of(none, "{\"cached_tokens\":0,\"cache_write_tokens\":0}"),
            None => first_in(counts, "\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},"),
        }
    }

    /// The answer with it.
    pub fn written(&self, json: &str) -> String {
        let part = |range| json.get(range).unwrap_or_default();
        [part(0..self.start), self.text, part(self.end..json.len())].concat()
    }

    /// The event with it; as it came, where its data stand in several lines.
    pub(super) fn write(&self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let data = frame.data.and_then(|data| scan::span(frame.raw, data.as_bytes()));
        let parts = data.and_then(|Range { start, .. }| {
            Some((frame.raw.get(..start + self.start)?, frame.raw.get(start + self.end..)?))
        });
        match parts {
            Some((before, behind)) => {
                out.extend_from_slice(before);
                out.extend_from_slice(self.text.as_bytes());
                out.extend_from_slice(behind);
            }
            None => out.extend_from_slice(frame.raw),
        }
    }
}

/// The last chunk of a stream of Chat Completions whose client asked for counts.
#[derive(Debug)]
pub(super) struct LastChunk {
    input_estimate_tokens: u64,
    /// What all chunks begin with.
    head: String,
    is_sure: bool,
}

impl LastChunk {
    pub(super) fn new(input_estimate_tokens: u64) -> Self {
        Self { input_estimate_tokens, head: String::new(), is_sure: false }
    }

    /// Takes note of what chunks begin with: of the first that is of an answer (Azure sends another before it).
    pub(super) fn see(&mut self, data: &str) {
        if self.is_sure {
            return;
        }
        self.is_sure = !has_no_choice(data);
        self.head.clear();
        let names = ["id", "object", "created", "model"];
        for (name, value) in names.iter().zip(scan::several(data, names)) {
            if let Some(value) = value {
                self.head.push_str(&format!("\"{name}\":{value},"));
            }
        }
    }

    /// What a local count of the prompt says.
    pub(super) fn input_estimate_tokens(&self) -> u64 {
        self.input_estimate_tokens
    }

    pub(super) fn write(&self, usage: &Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("data: {{{}\"choices\":[],\"usage\":", self.head).as_bytes());
        openai_chat::usage::encode(usage, out);
        out.extend_from_slice(b"}\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::whole;
    use super::*;
    use crate::wire::Quirks;

    #[test]
    fn counts_are_put_into_an_answer_of_any_format_and_read_again() {
        let usage = Usage { fresh_input_tokens: 7, visible_output_tokens: 3, ..Usage::default() };
        for (dialect, body) in [
            (Dialect::OpenAiChat, r#"{"id":"c","choices":[{"message":{"content":"hi"}}],"x":1e400}"#),
            (Dialect::OpenAiChat, r#"{"id":"c","choices":[],"usage":null}"#),
            (Dialect::Anthropic, r#"{"type":"message","content":[]}"#),
            (Dialect::Responses, r#"{"object":"response","output":[],"usage":null}"#),
            (Dialect::Gemini, r#"{"candidates":[]}"#),
        ] {
            let told = String::from_utf8(with_usage(dialect, body, &usage).unwrap()).unwrap();
            let seen = whole(dialect, &told, &Quirks::NONE).unwrap().usage.unwrap();
            assert_eq!((seen.input_tokens(), seen.output_tokens()), (7, 3), "{told}");
            assert!(told.starts_with(body.split(",\"usage\"").next().unwrap().trim_end_matches('}')), "{told}");
        }
    }

    #[test]
    fn what_was_written_to_a_cache_is_told_where_it_is_not() {
        const BOTH: &str = r#"{"cached_tokens":0,"cache_write_tokens":0}"#;
        for (details, expected) in [
            ("", format!(r#""input_tokens_details":{BOTH},"#)),
            (r#""input_tokens_details":null,"#, format!(r#""input_tokens_details":{BOTH},"#)),
            (r#""input_tokens_details":{},"#, r#""input_tokens_details":{"cache_write_tokens":0},"#.to_owned()),
            (
                r#""input_tokens_details": {"cached_tokens": 2},"#,
                r#""input_tokens_details": {"cache_write_tokens":0,"cached_tokens": 2},"#.to_owned(),
            ),
            (
                r#""input_tokens_details":{"cache_write_tokens":null},"#,
                r#""input_tokens_details":{"cache_write_tokens":0},"#.to_owned(),
            ),
        ] {
            let answer = |details: &str| {
                format!(r#"{{"x":1e400,"output":[],"usage":{{{details}"input_tokens":7,"output_tokens":3}},"y":"ü"}}"#)
            };
            let amend = whole(Dialect::Responses, &answer(details), &Quirks::NONE).unwrap().amend.unwrap();
            let told = amend.written(&answer(details));
            assert_eq!(told, answer(&expected), "{details}");
            assert_eq!(whole(Dialect::Responses, &told, &Quirks::NONE).unwrap().amend, None, "{told}");
        }
        for none in [r#"{"output":[],"usage":null}"#, r#"{"output":[]}"#] {
            assert_eq!(whole(Dialect::Responses, none, &Quirks::NONE).unwrap().amend, None, "{none}");
        }
    }
}
