//! Token counts of this format.
//!
//! `inputTokens` is fresh input only: `cacheReadInputTokens` and `cacheWriteInputTokens` stand beside
//! it and `totalTokens` is the sum (seen 2026-11 in all recorded answers), so they map to the disjoint
//! classes as they are. Some answers spell them `...InputTokenCount` as well. `cacheDetails` splits the
//! writes by lifetime. `outputTokens` includes thinking, of which nothing tells the part. Traces of
//! guardrails hold another `usage`, in units of their own.

use crate::usage::tokens::Usage;
use crate::wire::Quirks;
use crate::wire::json::{self, Json, Obj, Str};
use crate::wire::lenient::{count, items, text};
use crate::wire::scan;
use crate::wire_object;

wire_object! {
    struct Counts<'a> {
        input: Json<'a> = "inputTokens",
        output: Json<'a> = "outputTokens",
        cached: Json<'a> = "cacheReadInputTokens",
        cached_too: Json<'a> = "cacheReadInputTokenCount",
        written: Json<'a> = "cacheWriteInputTokens",
        written_too: Json<'a> = "cacheWriteInputTokenCount",
        details: Json<'a> = "cacheDetails",
    }
}

wire_object! {
    struct Write<'a> { ttl: Json<'a>, tokens: Json<'a> = "inputTokens" }
}

/// The counts of a whole answer.
pub fn in_body(body: &str, _quirks: &Quirks) -> Option<Usage> {
    decode(scan::member(body, "usage")?)
}

/// The tier an answer, or its last event, says it was served in: `{"type": "flex"}`.
pub fn tier_in_body(body: &str) -> Option<String> {
    let kind = scan::member(scan::member(body, "serviceTier")?, "type")?;
    Some(Str::from_raw(kind)?.text().into_owned())
}

/// Reads a usage object; `None` where it holds no count.
pub(super) fn decode(json: &str) -> Option<Usage> {
    let it: Counts<'_> = json::parse(json).ok()?;
    let (input, output) = (count(it.input), count(it.output));
    if input.is_none() && output.is_none() {
        return None;
    }
    let long = it.details.map_or(0, written_for_an_hour);
    let written = count(it.written).or_else(|| count(it.written_too)).unwrap_or(long);
    Some(Usage {
        fresh_input_tokens: input.unwrap_or(0),
        cached_tokens: count(it.cached).or_else(|| count(it.cached_too)).unwrap_or(0),
        cache_write_tokens: written.saturating_sub(long),
        cache_write_1h_tokens: long.min(written),
        visible_output_tokens: output.unwrap_or(0),
        ..Usage::default()
    })
}

fn written_for_an_hour(details: Json<'_>) -> u64 {
    let writes = items(Some(details)).into_iter().filter_map(|item| json::parse::<Write<'_>>(item.get()).ok());
    let long = writes.filter(|write| text(write.ttl).is_some_and(|ttl| ttl.is("1h")));
    long.fold(0, |sum, write| sum.saturating_add(count(write.tokens).unwrap_or(0)))
}

/// Writes a usage object.
pub(super) fn encode(usage: &Usage, out: &mut Vec<u8>) {
    let mut o = Obj::new(out);
    let media = usage.audio_input_tokens.saturating_add(usage.image_input_tokens);
    o.num("inputTokens", usage.fresh_input_tokens.saturating_add(media))
        .num("outputTokens", usage.output_tokens())
        .num("totalTokens", usage.total_tokens());
    if usage.cached_tokens > 0 || usage.cache_written_tokens() > 0 {
        o.num("cacheReadInputTokens", usage.cached_tokens).num("cacheWriteInputTokens", usage.cache_written_tokens());
    }
    if usage.cache_write_1h_tokens > 0 {
        let mut list = o.arr("cacheDetails");
        list.obj().text("ttl", "1h").num("inputTokens", usage.cache_write_1h_tokens);
        list.obj().text("ttl", "5m").num("inputTokens", usage.cache_write_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers row 14.
    #[test]
    fn cached_and_written_input_stand_beside_the_fresh() {
        let body = r#"{"trace":{"guardrail":{"usage":{"inputTokens":9}}},"usage":{
            "cacheDetails":[{"inputTokens":200,"ttl":"5m"},{"inputTokens":97,"ttl":"1h"}],
            "cacheReadInputTokenCount":2074,"cacheReadInputTokens":2074,"cacheWriteInputTokenCount":297,
            "cacheWriteInputTokens":297,"inputTokens":3,"outputTokens":61,"serverToolUsage":{},"totalTokens":2435}}"#;
        let usage = in_body(body, &Quirks::NONE).unwrap();
        assert_eq!((usage.fresh_input_tokens, usage.cached_tokens), (3, 2074));
        assert_eq!((usage.cache_write_tokens, usage.cache_write_1h_tokens), (200, 97));
        assert_eq!((usage.input_tokens(), usage.total_tokens()), (2374, 2435));
        let mut out = Vec::new();
        encode(&usage, &mut out);
        assert_eq!(decode(std::str::from_utf8(&out).unwrap()), Some(usage));
    }

    #[test]
    fn the_other_spelling_counts_and_nothing_is_no_count() {
        let usage = decode(r#"{"inputTokens":1,"outputTokens":2,"cacheReadInputTokenCount":5}"#).unwrap();
        assert_eq!(usage.cached_tokens, 5);
        for odd in ["{}", "null", "[]", r#"{"inputTokens":"x"}"#] {
            assert_eq!(decode(odd), None, "{odd}");
        }
    }
}
