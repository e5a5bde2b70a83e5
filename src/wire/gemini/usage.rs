//! Token counts: `usageMetadata`, cumulative in every chunk of a stream.
//!
//! `thoughtsTokenCount` is not inside `candidatesTokenCount`, `toolUsePromptTokenCount` not inside
//! `promptTokenCount`, `cachedContentTokenCount` is inside it (541 of 541 recorded answers with
//! thoughts, 2026-11). Early chunks of Vertex hold only a `trafficType`.

use crate::usage::tokens::{Details, Usage};
use crate::wire::json::{self, Arr, Json, Obj, Str};
use crate::wire::lenient::{Value, count, items, read, text};
use crate::wire::{Quirks, scan};
use crate::wire_object;

wire_object! {
    struct Counts<'a> {
        prompt: Json<'a> = "promptTokenCount" | "prompt_token_count",
        candidates: Json<'a> = "candidatesTokenCount" | "candidates_token_count",
        thoughts: Json<'a> = "thoughtsTokenCount" | "thoughts_token_count",
        tool_prompt: Json<'a> = "toolUsePromptTokenCount" | "tool_use_prompt_token_count",
        cached: Json<'a> = "cachedContentTokenCount" | "cached_content_token_count",
        prompt_details: Json<'a> = "promptTokensDetails" | "prompt_tokens_details",
        cached_details: Json<'a> = "cacheTokensDetails" | "cache_tokens_details",
        candidates_details: Json<'a> = "candidatesTokensDetails" | "candidates_tokens_details",
        tier: Json<'a> = "serviceTier" | "service_tier",
        /// Vertex's word for it.
        traffic: Json<'a> = "trafficType" | "traffic_type",
    }
}

wire_object! {
    struct Detail<'a> { modality: Json<'a>, tokens: Json<'a> = "tokenCount" | "token_count" }
}

/// Reads a `usageMetadata` object; `None` where it counts nothing.
pub(super) fn decode(value: Value<'_>) -> Option<Usage> {
    let counts: Counts<'_> = read(value)?;
    let prompt = count(counts.prompt)?;
    let number = |value| count(value).unwrap_or(0);
    let input = prompt.saturating_add(number(counts.tool_prompt));
    let thoughts = number(counts.thoughts);
    let output = number(counts.candidates).saturating_add(thoughts);
    // What was read from the cache is in both lists.
    let afresh = |modality| {
        let cached = tokens_of(modality, counts.cached_details);
        tokens_of(modality, counts.prompt_details).saturating_sub(cached)
    };
    let details = Details {
        cached: number(counts.cached),
        audio_input: afresh(AUDIO),
        image_input: afresh(IMAGE),
        reasoning: thoughts,
        audio_output: tokens_of(AUDIO, counts.candidates_details),
        image_output: tokens_of(IMAGE, counts.candidates_details),
        ..Details::default()
    };
    Some(Usage::from_totals(input, output, details))
}

/// The tier an answer says it was served in.
pub(super) fn tier(value: Value<'_>) -> Option<Str<'_>> {
    let counts = read::<Counts<'_>>(value)?;
    text(counts.tier).or_else(|| {
        let tier = match text(counts.traffic)?.escaped() {
            "ON_DEMAND_FLEX" => "flex",
            "ON_DEMAND_PRIORITY" => "priority",
            _ => return None,
        };
        Some(Str::from_text(tier))
    })
}

/// A modality's word and its number in JSON of protocol buffers.
type Modality = [&'static str; 2];
const IMAGE: Modality = ["\"IMAGE\"", "2"];
const AUDIO: Modality = ["\"AUDIO\"", "4"];

fn tokens_of(modality: Modality, details: Value<'_>) -> u64 {
    let all = items(details).into_iter().filter_map(|raw| read::<Detail<'_>>(Some(raw)));
    all.filter(|detail| detail.modality.is_some_and(|m| modality.contains(&m.get())))
        .filter_map(|detail| count(detail.tokens))
        .fold(0, u64::saturating_add)
}

/// The counts of a whole answer, or of a chunk.
pub fn in_body(body: &str, _quirks: &Quirks) -> Option<Usage> {
    let json = scan::member(body, "usageMetadata").or_else(|| scan::member(body, "usage_metadata"))?;
    decode(json::parse(json).ok())
}

/// The tier a whole answer, or a chunk, names.
pub fn tier_in_body(body: &str) -> Option<String> {
    let json = scan::member(body, "usageMetadata")?;
    Some(tier(json::parse(json).ok())?.text().into_owned())
}

/// Writes a `usageMetadata` object.
pub(in crate::wire) fn encode(usage: &Usage, tier: Option<&str>, out: &mut Vec<u8>) {
    let mut body = Obj::new(out);
    let input = usage.input_tokens();
    let candidates = usage.output_tokens().saturating_sub(usage.reasoning_tokens);
    body.num("promptTokenCount", input).num("candidatesTokenCount", candidates);
    body.num("totalTokenCount", usage.total_tokens());
    if usage.reasoning_tokens > 0 {
        body.num("thoughtsTokenCount", usage.reasoning_tokens);
    }
    if usage.cached_tokens > 0 {
        body.num("cachedContentTokenCount", usage.cached_tokens);
    }
    let told = [
        ("promptTokensDetails", input, usage.image_input_tokens, usage.audio_input_tokens),
        ("candidatesTokensDetails", candidates, usage.image_output_tokens, usage.audio_output_tokens),
    ];
    for (name, all, images, audio) in told.into_iter().filter(|(_, _, images, audio)| images + audio > 0) {
        modalities(all, images, audio, body.arr(name));
    }
    tier.and_then(tier_word).iter().for_each(|tier| _ = body.text("serviceTier", tier));
}

/// Google's word for a tier, where it has one.
fn tier_word(tier: &str) -> Option<&str> {
    match tier {
        "default" => Some("standard"),
        "standard" | "flex" | "priority" => Some(tier),
        _ => None,
    }
}

fn modalities(all: u64, images: u64, audio: u64, mut list: Arr<'_>) {
    let text = all.saturating_sub(images).saturating_sub(audio);
    for (modality, tokens) in [("TEXT", text), ("IMAGE", images), ("AUDIO", audio)].into_iter().filter(|(_, n)| *n > 0)
    {
        list.obj().text("modality", modality).num("tokenCount", tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let usage = Usage {
            fresh_input_tokens: 5,
            cached_tokens: 3,
            audio_input_tokens: 2,
            visible_output_tokens: 7,
            reasoning_tokens: 4,
            audio_output_tokens: 1,
            image_input_tokens: 6,
            image_output_tokens: 8,
            ..Usage::default()
        };
        let mut out = Vec::new();
        encode(&usage, Some("standard"), &mut out);
        let body = format!("{{\"usageMetadata\":{}}}", String::from_utf8(out).unwrap());
        assert_eq!(in_body(&body, &Quirks::NONE), Some(usage));
        assert_eq!(tier_in_body(&body).as_deref(), Some("standard"));
        assert!(body.contains("\"totalTokenCount\":36"));
        for (theirs, word) in [("default", Some("standard")), ("flex", Some("flex")), ("on_demand", None)] {
            assert_eq!(tier_word(theirs), word, "{theirs}");
        }
    }

    #[test]
    fn thoughts_and_tool_prompts_stand_outside() {
        let body = r#"{"usageMetadata":{"promptTokenCount":10,"toolUsePromptTokenCount":5,"cachedContentTokenCount":4,
            "candidatesTokenCount":3,"thoughtsTokenCount":100,"totalTokenCount":118}}"#;
        let usage = in_body(body, &Quirks::NONE).unwrap();
        assert_eq!((usage.input_tokens(), usage.cached_tokens, usage.output_tokens()), (15, 4, 103));
        assert_eq!((usage.reasoning_tokens, usage.total_tokens()), (100, 118));
    }

    #[test]
    fn a_count_of_nothing_is_none() {
        for body in [r#"{"usageMetadata":{"trafficType":"ON_DEMAND"}}"#, "{}", r#"{"usageMetadata":null}"#] {
            assert_eq!(in_body(body, &Quirks::NONE), None, "{body}");
        }
    }
}
