//! Token counts of this format.
//!
//! `usage.tokens` is what the model read and wrote; `billed_units` leaves out what Cohere's own prompt
//! adds and counts only where it stands alone. `cached_tokens`, beside both, is inside
//! `tokens.input_tokens`; `tokens.reasoning_tokens`, where it is told, inside `tokens.output_tokens`;
//! `tokens.image_tokens` beside `tokens.input_tokens` (all recorded answers, seen 2026-11).

use crate::usage::tokens::Usage;
use crate::wire::Quirks;
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::{Value, count, read};
use crate::wire::scan;
use crate::wire_object;

wire_object! {
    struct Counts<'a> { tokens: Json<'a>, billed: Json<'a> = "billed_units", cached: Json<'a> = "cached_tokens" }
}

wire_object! {
    struct Tokens<'a> {
        input: Json<'a> = "input_tokens",
        output: Json<'a> = "output_tokens",
        reasoning: Json<'a> = "reasoning_tokens",
        images: Json<'a> = "image_tokens",
    }
}

/// The counts of a whole answer.
pub fn in_body(body: &str, _quirks: &Quirks) -> Option<Usage> {
    decode(scan::member(body, "usage")?)
}

/// Reads a usage object; `None` where it holds no count.
pub(super) fn decode(json: &str) -> Option<Usage> {
    let it: Counts<'_> = json::parse(json).ok()?;
    let (input, output, reasoning) = counts(it.tokens).or_else(|| counts(it.billed))?;
    let cached_tokens = count(it.cached).unwrap_or(0).min(input);
    let reasoning_tokens = reasoning.min(output);
    Some(Usage {
        fresh_input_tokens: input.saturating_sub(cached_tokens),
        cached_tokens,
        visible_output_tokens: output.saturating_sub(reasoning_tokens),
        reasoning_tokens,
        image_input_tokens: read::<Tokens<'_>>(it.tokens).and_then(|tokens| count(tokens.images)).unwrap_or(0),
        ..Usage::default()
    })
}

fn counts(tokens: Value<'_>) -> Option<(u64, u64, u64)> {
    let it: Tokens<'_> = read(tokens)?;
    let (input, output) = (count(it.input), count(it.output));
    input.or(output)?;
    Some((input.unwrap_or(0), output.unwrap_or(0), count(it.reasoning).unwrap_or(0)))
}

/// Writes a usage object.
pub(super) fn encode(usage: &Usage, out: &mut Vec<u8>) {
    let mut o = Obj::new(out);
    for name in ["billed_units", "tokens"] {
        let mut tokens = o.obj(name);
        tokens.num("input_tokens", usage.input_tokens()).num("output_tokens", usage.output_tokens());
        if name == "tokens" && usage.reasoning_tokens > 0 {
            tokens.num("reasoning_tokens", usage.reasoning_tokens);
        }
    }
    o.num("cached_tokens", usage.cached_tokens);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_count_and_billed_units_do_not() {
        let body = r#"{"id":"x","usage":{"billed_units":{"input_tokens":26,"output_tokens":147},
            "tokens":{"input_tokens":1431.0,"output_tokens":152,"reasoning_tokens":145},"cached_tokens":1392}}"#;
        let usage = in_body(body, &Quirks::NONE).unwrap();
        assert_eq!((usage.fresh_input_tokens, usage.cached_tokens, usage.input_tokens()), (39, 1392, 1431));
        assert_eq!((usage.visible_output_tokens, usage.reasoning_tokens), (7, 145));
        let seen = decode(r#"{"tokens":{"input_tokens":34,"output_tokens":70,"image_tokens":259}}"#).unwrap();
        assert_eq!((seen.fresh_input_tokens, seen.image_input_tokens, seen.input_tokens()), (34, 259, 293));
        let mut out = Vec::new();
        encode(&usage, &mut out);
        assert_eq!(decode(std::str::from_utf8(&out).unwrap()), Some(usage));
    }

    #[test]
    fn billed_units_stand_in_and_nothing_is_no_count() {
        let usage = decode(r#"{"billed_units":{"input_tokens":3,"output_tokens":2},"cached_tokens":9}"#).unwrap();
        assert_eq!((usage.input_tokens(), usage.cached_tokens, usage.output_tokens()), (3, 3, 2));
        for odd in ["{}", "null", "[]", r#"{"tokens":{}}"#, r#"{"tokens":{"input_tokens":"x"}}"#] {
            assert_eq!(decode(odd), None, "{odd}");
        }
    }
}
