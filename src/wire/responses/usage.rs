//! Token counts: details are parts of their totals, reasoning is inside `output_tokens` (seen
//! 2026-11; xAI's Responses too, other than its chat). Images count the same way; transcriptions and
//! realtime sessions have their details in `input_token_details`, and say how much of what was cached
//! is audio (seen 2026-11). Transcriptions by older models are counted in seconds (`type: duration`).
//!
//! Searches of the web are in `tool_usage.web_search.num_requests`, beside `usage` (231 of OpenAI's
//! recorded answers), or inside it in `server_side_tool_usage_details` (xAI), where what the answer costs
//! is told too: `cost_in_usd_ticks`, 10^-10 USD each. OpenRouter says `cost` in USD.

use crate::usage::decimal;
use crate::usage::tokens::{Details, Usage};
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::{Value, charged, count, read};
use crate::wire::{Quirks, scan};
use crate::wire_object;

wire_object! {
    struct Counts<'a> {
        input_tokens: Json<'a>,
        output_tokens: Json<'a>,
        input_tokens_details: Json<'a> = "input_tokens_details" | "input_token_details",
        output_tokens_details: Json<'a> = "output_tokens_details" | "output_token_details",
        seconds: Json<'a>,
        tools: Json<'a> = "server_side_tool_usage_details",
        cost: Json<'a>,
        ticks: Json<'a> = "cost_in_usd_ticks",
    }
}

wire_object! {
    struct Tools<'a> { web_search: Json<'a>, web_search_calls: Json<'a>, num_requests: Json<'a> }
}

wire_object! {
    struct Parts<'a> {
        cached_tokens: Json<'a>,
        cache_write_tokens: Json<'a>,
        reasoning_tokens: Json<'a>,
        image_tokens: Json<'a>,
        audio_tokens: Json<'a>,
        cached_tokens_details: Json<'a>,
    }
}

wire_object! {
    struct Cached<'a> {
        audio_tokens: Json<'a>,
    }
}

/// Reads a `usage` object.
pub(super) fn decode(value: Value<'_>) -> Option<Usage> {
    let counts: Counts<'_> = read(value)?;
    if let Some(audio_seconds) = whole_seconds(counts.seconds).filter(|_| counts.input_tokens.is_none()) {
        return Some(Usage { audio_seconds, ..Usage::default() });
    }
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
        image_input: number(inside.image_tokens),
        reasoning: number(outside.reasoning_tokens),
        audio_output: number(outside.audio_tokens),
        image_output: number(outside.image_tokens),
    };
    let tools: Tools<'_> = read(counts.tools).unwrap_or_default();
    Some(Usage {
        web_searches: number(tools.web_search_calls),
        charged_pico_usd: charged(counts.cost, counts.ticks),
        ..Usage::from_totals(input, output, details)
    })
}

/// The counts of an answer, of which `usage` is that member.
pub(super) fn of_answer(usage: Value<'_>, answer: &str) -> Option<Usage> {
    Some(with_tools(decode(usage)?, scan::member(answer, TOOLS)))
}

/// The members of an answer that its counts are in.
pub(in crate::wire) const PLACES: [&str; 2] = ["usage", TOOLS];
const TOOLS: &str = "tool_usage";

/// The counts of an answer that has these values there.
pub(in crate::wire) fn at(usage: Option<&str>, tools: Option<&str>) -> Option<Usage> {
    Some(with_tools(decode(json::parse(usage?).ok())?, tools))
}

fn with_tools(usage: Usage, tools: Option<&str>) -> Usage {
    let tools: Tools<'_> = tools.and_then(|json| json::parse(json).ok()).unwrap_or_default();
    let search: Tools<'_> = read(tools.web_search).unwrap_or_default();
    Usage { web_searches: usage.web_searches.max(count(search.num_requests).unwrap_or(0)), ..usage }
}

/// A second that has begun counts whole.
fn whole_seconds(value: Value<'_>) -> Option<u64> {
    let seconds = decimal::scaled(value?.get(), 3)?.units;
    u64::try_from(seconds).ok().map(|ms| ms.div_ceil(1_000))
}

/// The counts of a whole answer, or of an event that holds one.
pub fn in_body(body: &str, _quirks: &Quirks) -> Option<Usage> {
    let of = |answer| {
        let [usage, tools] = scan::several(answer, PLACES);
        usage.map(|usage| (usage, tools))
    };
    let (usage, tools) = of(body).or_else(|| of(scan::member(body, "response")?))?;
    at(Some(usage), tools)
}

/// Writes a `usage` object with every member the SDKs require.
pub(in crate::wire) fn encode(usage: &Usage, out: &mut Vec<u8>) {
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
    }

    /// As `whisper-1` and its like answer.
    #[test]
    fn a_transcription_is_counted_in_seconds() {
        for (seconds, expected) in [("7", 7), ("7.0", 7), ("7.2", 8), ("0.04", 1)] {
            let body = format!(r#"{{"text":"hi","usage":{{"type":"duration","seconds":{seconds}}}}}"#);
            let usage = in_body(&body, &Quirks::NONE).unwrap();
            assert_eq!(usage, Usage { audio_seconds: expected, ..Usage::default() }, "{seconds}");
        }
        assert_eq!(in_body(r#"{"usage":{"type":"duration"}}"#, &Quirks::NONE), None);
    }

    /// As `gpt-image-1` answers (`openai.images.jsonl`).
    #[test]
    fn images_made_are_counted_apart() {
        let body = r#"{"created":1,"data":[{"b64_json":"aGk="}],"usage":{"input_tokens":60,"output_tokens":272,"total_tokens":332,
            "input_tokens_details":{"image_tokens":46,"text_tokens":14},"output_tokens_details":{"image_tokens":272,"text_tokens":0}}}"#;
        let usage = in_body(body, &Quirks::NONE).unwrap();
        assert_eq!((usage.fresh_input_tokens, usage.image_input_tokens), (14, 46));
        assert_eq!((usage.visible_output_tokens, usage.image_output_tokens), (0, 272));
    }

    #[test]
    fn searches_and_what_is_charged_are_read_wherever_they_stand() {
        let openai = r#"{"id":"resp_1","output":[],"tool_usage":{"image_gen":{"output_tokens":0},"web_search":{"num_requests":3}},
            "usage":{"input_tokens":9,"output_tokens":5}}"#;
        let usage = in_body(openai, &Quirks::NONE).unwrap();
        assert_eq!((usage.web_searches, usage.input_tokens(), usage.charged_pico_usd), (3, 9, 0));
        let event = format!(r#"{{"type":"response.completed","response":{openai}}}"#);
        assert_eq!(in_body(&event, &Quirks::NONE), Some(usage));
        let xai = r#"{"usage":{"input_tokens":9,"output_tokens":5,"cost_in_usd_ticks":123456,
            "server_side_tool_usage_details":{"web_search_calls":2,"x_search_calls":1}}}"#;
        let usage = in_body(xai, &Quirks::NONE).unwrap();
        assert_eq!((usage.web_searches, usage.charged_pico_usd), (2, 12_345_600));
        let openrouter = r#"{"usage":{"input_tokens":9,"output_tokens":5,"cost":0.0000336}}"#;
        assert_eq!(in_body(openrouter, &Quirks::NONE).unwrap().charged_pico_usd, 33_600_000);
    }

    #[test]
    fn half_a_count_is_none() {
        assert_eq!(in_body(r#"{"usage":{"input_tokens":5}}"#, &Quirks::NONE), None);
        assert_eq!(in_body(r#"{"usage":null}"#, &Quirks::NONE), None);
    }
}
