//! Token counts.
//!
//! OpenAI's totals include their details; [`Usage`] has disjoint classes. Names seen besides
//! OpenAI's own (2026-11): cached input as `cache_read_input_tokens` (Databricks, Venice),
//! `prompt_cache_hit_tokens` (DeepSeek), `cached_tokens` (Together, Moonshot),
//! `num_cached_tokens` (Mistral); reasoning as `reasoning_tokens` (Copilot).
//!
//! Beside tokens: `server_tool_use.web_search_requests` and `cost` in USD (OpenRouter),
//! `cost.total_cost` (Perplexity), `cost_in_usd_ticks` of 10^-10 USD (xAI), `prompt_audio_seconds`
//! (Mistral, which bills them in place of `audio_tokens`).
//!
//! `total_tokens` tells where the details stand: xAI and Gemini count reasoning outside
//! `completion_tokens`, Mistral audio outside `prompt_tokens`, everyone else inside. The word of
//! the total is taken over the quirk, which decides only where there is no total.

use crate::usage::tokens::{Details, Usage};
use crate::wire::json::{self, Json, Obj};
use crate::wire::{Quirks, scan};
use crate::wire_object;

use crate::wire::lenient::{Value, charged, count, read};

wire_object! {
    struct Counts<'a> {
        prompt: Json<'a> = "prompt_tokens",
        completion: Json<'a> = "completion_tokens",
        input: Json<'a> = "input_tokens",
        output: Json<'a> = "output_tokens",
        total: Json<'a> = "total_tokens",
        prompt_details: Json<'a> = "prompt_tokens_details",
        completion_details: Json<'a> = "completion_tokens_details",
        cache_read: Json<'a> = "cache_read_input_tokens",
        cache_hit: Json<'a> = "prompt_cache_hit_tokens",
        cached: Json<'a> = "cached_tokens",
        num_cached: Json<'a> = "num_cached_tokens",
        cache_created: Json<'a> = "cache_creation_input_tokens",
        cache_creation: Json<'a>,
        reasoning: Json<'a> = "reasoning_tokens",
        seconds: Json<'a> = "prompt_audio_seconds",
        tools: Json<'a> = "server_tool_use",
        tool_details: Json<'a> = "server_tool_use_details",
        cost: Json<'a>,
        ticks: Json<'a> = "cost_in_usd_ticks",
    }
}

wire_object! {
    struct Beside<'a> {
        searches: Json<'a> = "web_search_requests",
        total_cost: Json<'a>,
    }
}

wire_object! {
    struct Parts<'a> {
        cached: Json<'a> = "cached_tokens",
        cache_write: Json<'a> = "cache_write_tokens",
        audio: Json<'a> = "audio_tokens",
        image: Json<'a> = "image_tokens",
        reasoning: Json<'a> = "reasoning_tokens",
    }
}

wire_object! {
    struct Creation<'a> {
        one_hour: Json<'a> = "ephemeral_1h_input_tokens",
    }
}

/// Reads a usage object; `None` where it holds no count. One that has no output count yet
/// (Databricks until its last chunk) is none either: half a count would pass for a whole one.
pub fn decode(json: &str, quirks: &Quirks) -> Option<Usage> {
    let counts: Counts<'_> = json::parse(json).ok()?;
    let input = count(counts.prompt).or_else(|| count(counts.input));
    let total = count(counts.total);
    let output = count(counts.completion).or_else(|| count(counts.output));
    let output = output.or_else(|| Some(total?.saturating_sub(input?)))?;
    let details = details(&counts);
    let (input, output, details) = with_outsiders(input.unwrap_or(0), output, total, details, quirks);
    Some(beside(&counts, Usage::from_totals(input, output, details)))
}

/// What is no token.
fn beside(counts: &Counts<'_>, usage: Usage) -> Usage {
    let searches = |value| count(read::<Beside<'_>>(value)?.searches);
    let cost = read::<Beside<'_>>(counts.cost).map_or(counts.cost, |cost| cost.total_cost);
    Usage {
        audio_seconds: count(counts.seconds).unwrap_or(0),
        web_searches: searches(counts.tools).or_else(|| searches(counts.tool_details)).unwrap_or(0),
        charged_pico_usd: charged(cost, counts.ticks),
        ..usage
    }
}

fn details(counts: &Counts<'_>) -> Details {
    let input: Parts<'_> = read(counts.prompt_details).unwrap_or_default();
    let output: Parts<'_> = read(counts.completion_details).unwrap_or_default();
    let creation: Creation<'_> = read(counts.cache_creation).unwrap_or_default();
    let first = |values: &[Value<'_>]| values.iter().filter_map(|v| count(*v)).find(|n| *n > 0).unwrap_or(0);
    let one_hour = first(&[creation.one_hour]);
    let written = first(&[input.cache_write, counts.cache_created]);
    Details {
        cached: first(&[input.cached, counts.cache_read, counts.cache_hit, counts.cached, counts.num_cached]),
        cache_write: written.saturating_sub(one_hour),
        cache_write_1h: one_hour,
        audio_input: first(&[input.audio]),
        image_input: first(&[input.image]),
        reasoning: first(&[output.reasoning, counts.reasoning]),
        audio_output: first(&[output.audio]),
        image_output: first(&[output.image]),
    }
}

/// Adds to the totals what the vendor counts outside them.
fn with_outsiders(
    input: u64,
    output: u64,
    total: Option<u64>,
    mut details: Details,
    quirks: &Quirks,
) -> (u64, u64, Details) {
    let Some(total) = total.filter(|t| *t > 0) else {
        let outside = if quirks.reasoning_outside_completion { details.reasoning } else { 0 };
        return (input, output.saturating_add(outside), details);
    };
    match total.saturating_sub(input).saturating_sub(output) {
        0 => (input, output, details),
        excess if excess == details.reasoning => (input, output.saturating_add(excess), details),
        excess if excess == details.audio_input => (input.saturating_add(excess), output, details),
        excess if quirks.reasoning_outside_completion => {
            details.reasoning = details.reasoning.max(excess);
            (input, output.saturating_add(excess), details)
        }
        _ => (input, output, details),
    }
}

/// The usage of a whole answer or of one chunk, wherever its vendor puts it.
pub fn in_body(json: &str, quirks: &Quirks) -> Option<Usage> {
    let [usage, x_groq, choices] = scan::several(json, PLACES);
    at(usage, x_groq, choices, quirks)
}

/// Where vendors put it: `usage`, `x_groq.usage`, `choices[].usage`.
pub const PLACES: [&str; 3] = ["usage", "x_groq", "choices"];

/// The same, of the members at [`PLACES`].
pub fn at(usage: Option<&str>, x_groq: Option<&str>, choices: Option<&str>, quirks: &Quirks) -> Option<Usage> {
    let list = choices.into_iter().filter(|choices| names_usage(choices));
    let each = list.flat_map(|list| json::parse::<Vec<Json<'_>>>(list).unwrap_or_default());
    first(usage, x_groq, each, quirks)
}

/// The same, of members that were read already.
pub(super) fn find(usage: Value<'_>, x_groq: Value<'_>, choices: &[Json<'_>], quirks: &Quirks) -> Option<Usage> {
    first(usage.map(Json::get), x_groq.map(Json::get), choices.iter().copied(), quirks)
}

fn first<'u>(
    usage: Option<&str>,
    x_groq: Option<&str>,
    choices: impl IntoIterator<Item = Json<'u>>,
    quirks: &Quirks,
) -> Option<Usage> {
    let within = |value: &str| decode(scan::member(value, "usage")?, quirks);
    usage
        .and_then(|usage| decode(usage, quirks))
        .or_else(|| x_groq.and_then(within))
        .or_else(|| choices.into_iter().map(Json::get).filter(|choice| names_usage(choice)).find_map(within))
}

/// Hardly anybody puts it among the choices.
fn names_usage(choices: &str) -> bool {
    choices.contains("\"usage\"")
}

/// Writes a usage object.
pub fn encode(usage: &Usage, out: &mut Vec<u8>) {
    let mut obj = Obj::new(out);
    obj.num("prompt_tokens", usage.input_tokens())
        .num("completion_tokens", usage.output_tokens())
        .num("total_tokens", usage.total_tokens());
    let mut details = obj.obj("prompt_tokens_details");
    details
        .num("cached_tokens", usage.cached_tokens)
        .num("cache_write_tokens", usage.cache_written_tokens())
        .num("audio_tokens", usage.audio_input_tokens);
    images(&mut details, usage.image_input_tokens);
    drop(details);
    let mut details = obj.obj("completion_tokens_details");
    details.num("reasoning_tokens", usage.reasoning_tokens).num("audio_tokens", usage.audio_output_tokens);
    images(&mut details, usage.image_output_tokens);
}

/// Not a member of OpenAI's own chat.
fn images(details: &mut Obj<'_>, tokens: u64) {
    if tokens > 0 {
        details.num("image_tokens", tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: Quirks = Quirks { reasoning_outside_completion: true, ..Quirks::NONE };

    fn classes(json: &str, quirks: &Quirks) -> [u64; 6] {
        let u = decode(json, quirks).unwrap();
        [
            u.fresh_input_tokens,
            u.cached_tokens,
            u.cache_written_tokens(),
            u.audio_input_tokens,
            u.visible_output_tokens,
            u.reasoning_tokens,
        ]
    }

    #[test]
    fn every_naming_ends_in_the_same_classes() {
        for cached in [
            r#""prompt_tokens_details":{"cached_tokens":60}"#,
            r#""cache_read_input_tokens":60,"prompt_tokens_details":{"cached_tokens":0}"#,
            r#""prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":40"#,
            r#""cached_tokens":60"#,
            r#""num_cached_tokens":60"#,
        ] {
            let json = format!(r#"{{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109,{cached}}}"#);
            assert_eq!(classes(&json, &Quirks::NONE), [40, 60, 0, 0, 9, 0], "{cached}");
        }
        let json = r#"{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109,"reasoning_tokens":4,
            "prompt_tokens_details":{"cache_write_tokens":70},"cache_creation":{"ephemeral_1h_input_tokens":20}}"#;
        assert_eq!(classes(json, &Quirks::NONE), [30, 0, 70, 0, 5, 4]);
        assert_eq!(decode(json, &Quirks::NONE).unwrap().cache_write_1h_tokens, 20);
    }

    #[test]
    fn the_total_tells_what_stands_outside() {
        let details = r#""completion_tokens_details":{"reasoning_tokens":44}"#;
        let json = format!(r#"{{"prompt_tokens":670,"completion_tokens":25,"total_tokens":739,{details}}}"#);
        assert_eq!(classes(&json, &Quirks::NONE), [670, 0, 0, 0, 25, 44]);
        let json = format!(r#"{{"prompt_tokens":670,"completion_tokens":25,{details}}}"#);
        assert_eq!(classes(&json, &OUTSIDE), [670, 0, 0, 0, 25, 44]);
        // Larger than its total, inside it: cut.
        assert_eq!(classes(&json, &Quirks::NONE), [670, 0, 0, 0, 0, 25]);
        let gemini = r#"{"completion_tokens":12,"prompt_tokens":35,"total_tokens":109}"#;
        assert_eq!(classes(gemini, &OUTSIDE), [35, 0, 0, 0, 12, 62]);
        let audio = r#"{"prompt_tokens":9,"total_tokens":632,"completion_tokens":248,
            "prompt_tokens_details":{"cached_tokens":0,"audio_tokens":375}}"#;
        assert_eq!(classes(audio, &Quirks::NONE), [9, 0, 0, 375, 248, 0]);
    }

    /// As OpenRouter, Perplexity, xAI and Mistral answer.
    #[test]
    fn what_is_no_token_is_read_too() {
        let of = |more: &str| {
            let json = format!(r#"{{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109,{more}}}"#);
            decode(&json, &Quirks::NONE).unwrap()
        };
        let usage = of(
            r#""cost":3.6e-6,"cost_details":{"upstream_inference_cost":null},"server_tool_use":{"web_search_requests":2}"#,
        );
        assert_eq!((usage.web_searches, usage.charged_pico_usd), (2, 3_600_000));
        assert_eq!(of(r#""server_tool_use":null,"server_tool_use_details":{"web_search_requests":1}"#).web_searches, 1);
        assert_eq!(of(r#""cost":{"input_tokens_cost":0.00438,"total_cost":0.00939}"#).charged_pico_usd, 9_390_000_000);
        assert_eq!(of(r#""cost_in_usd_ticks":1777000"#).charged_pico_usd, 177_700_000);
        assert_eq!(of(r#""prompt_audio_seconds":36,"prompt_tokens_details":{"audio_tokens":50}"#).audio_seconds, 36);
        for odd in [r#""cost":"free""#, r#""cost":-1"#, r#""cost":[]"#, r#""prompt_audio_seconds":{}"#] {
            assert_eq!((of(odd).charged_pico_usd, of(odd).audio_seconds), (0, 0), "{odd}");
        }
        let usage = of(r#""prompt_tokens_details":{"image_tokens":60},"completion_tokens_details":{"image_tokens":4}"#);
        assert_eq!((usage.fresh_input_tokens, usage.image_input_tokens), (40, 60));
        assert_eq!((usage.visible_output_tokens, usage.image_output_tokens), (5, 4));
    }

    #[test]
    fn half_a_count_is_none_and_every_place_is_found() {
        assert_eq!(decode(r#"{"prompt_tokens":5,"completion_tokens":null,"total_tokens":null}"#, &Quirks::NONE), None);
        assert_eq!(decode("{}", &Quirks::NONE), None);
        let counts = r#"{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}"#;
        for body in [
            format!(r#"{{"usage":{counts}}}"#),
            format!(r#"{{"usage":null,"x_groq":{{"id":"r","usage":{counts}}}}}"#),
            format!(r#"{{"choices":[{{"index":0,"usage":{counts}}}]}}"#),
        ] {
            assert_eq!(in_body(&body, &Quirks::NONE).unwrap().total_tokens(), 7, "{body}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let usage = Usage {
            fresh_input_tokens: 1,
            cached_tokens: 2,
            cache_write_tokens: 3,
            audio_input_tokens: 4,
            visible_output_tokens: 5,
            reasoning_tokens: 6,
            audio_output_tokens: 7,
            image_input_tokens: 8,
            image_output_tokens: 9,
            ..Usage::default()
        };
        let mut out = Vec::new();
        encode(&usage, &mut out);
        assert_eq!(decode(std::str::from_utf8(&out).unwrap(), &Quirks::NONE), Some(usage));
    }
}
