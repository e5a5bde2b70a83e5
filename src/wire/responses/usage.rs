//! Token counts: details are parts of their totals, reasoning is inside `output_tokens` (seen
//! 2026-11; xAI's Responses too, other than its chat). Images count the same way; transcriptions and
//! realtime sessions have their details in `input_token_details`, and say how much of what was cached
//! is audio (seen 2026-11).

use serde_json::value::RawValue;

use crate::usage::tokens::{Details, Usage};
use crate::wire::json::Obj;
use crate::wire::lenient::{Value, count, read};
use crate::wire::{Quirks, scan};
use crate::wire_object;

wire_object! {
    struct Counts<'a> {
        input_tokens: &'a RawValue,
        output_tokens: &'a RawValue,
        input_tokens_details: &'a RawValue = "input_tokens_details" | "input_token_details",
        output_tokens_details: &'a RawValue = "output_tokens_details" | "output_token_details",
    }
}

wire_object! {
    struct Parts<'a> {
        cached_tokens: &'a RawValue,
        cache_write_tokens: &'a RawValue,
        reasoning_tokens: &'a RawValue,
        audio_tokens: &'a RawValue,
        cached_tokens_details: &'a RawValue,
    }
}

wire_object! {
    struct Cached<'a> {
        audio_tokens: &'a RawValue,
    }
}

/// Reads a `usage` object.
pub(super) fn decode(value: Value<'_>) -> Option<Usage> {
    let counts: Counts<'_> = read(value)?;
    let (input, output) = (count(counts.input_tokens)?, count(counts.output_tokens)?);
    let (inside, outside): (Parts<'_>, Parts<'_>) =
        (read(counts.input_tokens_details).unwrap_or_default(), read(counts.output_tokens_details).unwrap_or_default());
    let number = |value| count(value).unwrap_or(0);
    let cached: Cached<'_> = read(inside.cached_tokens_details).unwrap_or_default();
    let details = Details {
        cached: number(inside.cached_tokens),
        cache_write: number(inside.cache_write_tokens),
        cache_write_1h: 0,
        audio_input: number(inside.audio_tokens).saturating_sub(number(cached.audio_tokens)),
        reasoning: number(outside.reasoning_tokens),
        audio_output: number(outside.audio_tokens),
    };
    Some(Usage::from_totals(input, output, details))
}

/// The counts of a whole answer, or of an event that holds one.
pub fn in_body(body: &str, _quirks: &Quirks) -> Option<Usage> {
    let json = scan::member(body, "usage").or_else(|| scan::member(scan::member(body, "response")?, "usage"))?;
    decode(serde_json::from_str(json).ok())
}

/// Writes a `usage` object with every member the SDKs require.
pub(super) fn encode(usage: &Usage, out: &mut Vec<u8>) {
    let mut body = Obj::new(out);
    body.num("input_tokens", usage.input_tokens());
    body.obj("input_tokens_details")
        .num("cached_tokens", usage.cached_tokens)
        .num("cache_write_tokens", usage.cache_written_tokens());
    body.num("output_tokens", usage.output_tokens());
    body.obj("output_tokens_details").num("reasoning_tokens", usage.reasoning_tokens);
    body.num("total_tokens", usage.total_tokens());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let usage = Usage {
            fresh_input_tokens: 5,
            cached_tokens: 3,
            cache_write_tokens: 2,
            visible_output_tokens: 7,
            reasoning_tokens: 4,
            ..Usage::default()
        };
        let mut out = Vec::new();
        encode(&usage, &mut out);
        let json = String::from_utf8(out).unwrap();
        assert_eq!(in_body(&format!("{{\"usage\":{json}}}"), &Quirks::NONE), Some(usage));
        assert_eq!(in_body(&format!("{{\"response\":{{\"usage\":{json}}}}}"), &Quirks::NONE), Some(usage));
        assert!(json.contains("\"cache_write_tokens\":2"));
    }

    #[test]
    fn sound_is_counted_apart_and_cached_sound_once() {
        let body = r#"{"usage":{"total_tokens":170,"input_tokens":120,"output_tokens":50,
            "input_token_details":{"text_tokens":40,"audio_tokens":80,"cached_tokens":60,"cached_tokens_details":{"text_tokens":10,"audio_tokens":50}},
            "output_token_details":{"text_tokens":20,"audio_tokens":30}}}"#;
        let usage = in_body(body, &Quirks::NONE).unwrap();
        assert_eq!((usage.fresh_input_tokens, usage.cached_tokens, usage.audio_input_tokens), (30, 60, 30));
        assert_eq!((usage.visible_output_tokens, usage.audio_output_tokens), (20, 30));
        assert_eq!(in_body(r#"{"usage":{"type":"duration","seconds":7}}"#, &Quirks::NONE), None);
    }

    #[test]
    fn half_a_count_is_none() {
        assert_eq!(in_body(r#"{"usage":{"input_tokens":5}}"#, &Quirks::NONE), None);
        assert_eq!(in_body(r#"{"usage":null}"#, &Quirks::NONE), None);
    }
}
