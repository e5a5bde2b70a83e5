//! Token counts of this format.
//!
//! `input_tokens` is fresh input only: `cache_read_input_tokens` and `cache_creation_input_tokens`
//! stand beside it, not inside (seen 2026-11 in all recorded answers), so they map to the disjoint
//! classes as they are. `cache_creation` splits the writes by lifetime; `output_tokens` includes
//! thinking, of which `output_tokens_details.thinking_tokens` tells the part. Of server tools
//! (`server_tool_use`) searches cost something each, fetches only their tokens. The totals are the sum of those
//! `iterations` that are messages of the model's (anthropic-messages-8641cef45e9a); what compacting the conversation
//! took stands beside them. So do the tokens of an advisor, which is another model, with prices of its own
//! (<https://docs.claude.com/en/docs/agents-and-tools/tool-use/advisor-tool>, 2026-11).
//! `speed: fast` has prices of its own, as a service tier has. OpenRouter adds its
//! `cost` in USD.

use crate::usage::tokens::{Advice, Usage};
use crate::wire::Quirks;
use crate::wire::json::{self, Json, Obj, Str};
use crate::wire::lenient::charged;
use crate::wire_object;

wire_object! {
    struct Counts<'a> {
        input: Json<'a> = "input_tokens",
        output: Json<'a> = "output_tokens",
        cached: Json<'a> = "cache_read_input_tokens",
        written: Json<'a> = "cache_creation_input_tokens",
        creation: Json<'a> = "cache_creation",
        details: Json<'a> = "output_tokens_details",
        service_tier: Json<'a>,
        speed: Json<'a>,
        tools: Json<'a> = "server_tool_use",
        iterations: Json<'a>,
        cost: Json<'a>,
        /// Of an iteration.
        kind: Json<'a> = "type",
        model: Json<'a>,
        /// Of an event: where the counts are instead.
        usage: Json<'a>,
        message: Json<'a>,
    }
}

wire_object! {
    struct Creation<'a> {
        short: Json<'a> = "ephemeral_5m_input_tokens",
        long: Json<'a> = "ephemeral_1h_input_tokens",
    }
}

wire_object! {
    struct Tools<'a> { searches: Json<'a> = "web_search_requests" }
}

wire_object! {
    struct Details<'a> { thinking: Json<'a> = "thinking_tokens" }
}

fn count(raw: Option<Json<'_>>) -> Option<u64> {
    raw?.get().parse().ok()
}

/// Counts of one answer, gathered from several places of its stream: of each member the value that
/// came last holds.
#[derive(Debug, Clone, Default)]
pub struct Merge {
    input: Option<u64>,
    output: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    written_5m: Option<u64>,
    written_1h: Option<u64>,
    thinking: Option<u64>,
    searches: Option<u64>,
    charged_pico_usd: Option<u64>,
    /// What the totals leave out.
    beside: Beside,
    advice: Vec<Advice>,
}

/// Advisors of one answer: as many models as a request may name.
const MOST_ADVISORS: usize = 64;

/// What advisors used: one entry for each of them, however often it was asked.
fn advice(iterations: &[Counts<'_>]) -> Vec<Advice> {
    let mut all: Vec<Advice> = Vec::new();
    for it in iterations.iter().filter(|it| it.kind.is_some_and(|kind| kind.get() == "\"advisor_message\"")) {
        let Some(model) = it.model.and_then(|raw| Str::from_raw(raw.get())) else { continue };
        let mut merge = Merge::default();
        merge.add(it);
        let Some(usage) = merge.usage() else { continue };
        if let Some(known) = all.iter_mut().find(|known| model.is(&known.model)) {
            known.usage = known.usage.plus(&usage);
        } else if all.len() < MOST_ADVISORS {
            all.push(Advice { model: model.text().into_owned(), usage });
        }
    }
    all
}

/// Tokens of iterations that compact the conversation.
#[derive(Debug, Clone, Copy, Default)]
struct Beside {
    input: u64,
    output: u64,
    cached: u64,
    written: u64,
    written_1h: u64,
}

impl Beside {
    fn of(iterations: &[Counts<'_>]) -> Self {
        let mut sum = Self::default();
        for it in iterations.iter().filter(|it| it.kind.is_some_and(|kind| kind.get() == "\"compaction\"")) {
            let long = it.creation.and_then(|raw| count(json::parse::<Creation<'_>>(raw.get()).ok()?.long));
            for (total, more) in [
                (&mut sum.input, count(it.input)),
                (&mut sum.output, count(it.output)),
                (&mut sum.cached, count(it.cached)),
                (&mut sum.written, count(it.written)),
                (&mut sum.written_1h, long),
            ] {
                *total = total.saturating_add(more.unwrap_or(0));
            }
        }
        sum
    }
}

impl Merge {
    /// Takes the counts of `message_start`: the event's data, its `message`, or its usage object.
    pub fn start(&mut self, json: &str) {
        self.take(json, 2);
    }

    /// Takes the counts of `message_delta`: the event's data, or its usage object.
    pub fn delta(&mut self, json: &str) {
        self.take(json, 2);
    }

    /// What is known so far; `None` before the first count.
    pub fn usage(&self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() && self.cached.is_none() && self.written.is_none() {
            return None;
        }
        let split = self.written_5m.unwrap_or(0).saturating_add(self.written_1h.unwrap_or(0));
        let beside = self.beside;
        let written = self.written.unwrap_or(split).saturating_add(beside.written);
        let long = self.written_1h.unwrap_or(0).saturating_add(beside.written_1h).min(written);
        let output = self.output.unwrap_or(0).saturating_add(beside.output);
        let thinking = self.thinking.unwrap_or(0).min(output);
        Some(Usage {
            fresh_input_tokens: self.input.unwrap_or(0).saturating_add(beside.input),
            cached_tokens: self.cached.unwrap_or(0).saturating_add(beside.cached),
            cache_write_tokens: written - long,
            cache_write_1h_tokens: long,
            visible_output_tokens: output - thinking,
            reasoning_tokens: thinking,
            web_searches: self.searches.unwrap_or(0),
            charged_pico_usd: self.charged_pico_usd.unwrap_or(0),
            ..Usage::default()
        })
    }

    /// What advisors used, as far as is known.
    pub fn advice(&self) -> &[Advice] {
        &self.advice
    }

    fn take(&mut self, json: &str, depth: u8) {
        let Ok(counts) = json::parse::<Counts<'_>>(json) else { return };
        if let Some(inner) = counts.message.or(counts.usage)
            && depth > 0
        {
            return self.take(inner.get(), depth - 1);
        }
        self.add(&counts);
        if let Some(iterations) = counts.iterations {
            let each = json::parse::<Vec<Json<'_>>>(iterations.get()).unwrap_or_default();
            let each: Vec<Counts<'_>> = each.into_iter().filter_map(|raw| json::parse(raw.get()).ok()).collect();
            (self.beside, self.advice) = (Beside::of(&each), advice(&each));
        }
    }

    /// Takes the counts that stand in this object itself.
    fn add(&mut self, counts: &Counts<'_>) {
        let creation = counts.creation.and_then(|raw| json::parse::<Creation<'_>>(raw.get()).ok());
        let creation = creation.unwrap_or_default();
        let details = counts.details.and_then(|raw| json::parse::<Details<'_>>(raw.get()).ok());
        self.input = count(counts.input).or(self.input);
        self.output = count(counts.output).or(self.output);
        self.cached = count(counts.cached).or(self.cached);
        self.written = count(counts.written).or(self.written);
        self.written_5m = count(creation.short).or(self.written_5m);
        self.written_1h = count(creation.long).or(self.written_1h);
        self.thinking = count(details.unwrap_or_default().thinking).or(self.thinking);
        let tools = counts.tools.and_then(|raw| json::parse::<Tools<'_>>(raw.get()).ok());
        self.searches = count(tools.unwrap_or_default().searches).or(self.searches);
        self.charged_pico_usd = Some(charged(counts.cost, None)).filter(|pico| *pico > 0).or(self.charged_pico_usd);
    }
}

/// Reads a usage object; `None` where it holds no count.
pub fn decode(json: &str, _quirks: &Quirks) -> Option<Usage> {
    merged(json).usage()
}

/// All that a usage object tells.
pub fn merged(json: &str) -> Merge {
    let mut merge = Merge::default();
    merge.start(json);
    merge
}

/// The `service_tier` in a usage object.
pub(super) fn tier(json: &str) -> Option<Str<'_>> {
    let counts: Counts<'_> = json::parse(json).ok()?;
    let fast = counts.speed.and_then(|raw| Str::from_raw(raw.get())).filter(|speed| speed.is("fast"));
    fast.or_else(|| Str::from_raw(counts.service_tier?.get()))
}

/// Writes a usage object with every member that the newest SDKs know.
pub fn encode(usage: &Usage, out: &mut Vec<u8>) {
    encode_answer(usage, None, out);
}

/// The usage of an answer: `tier` is the provider's word for its service tier.
pub(super) fn encode_answer(usage: &Usage, tier: Option<&str>, out: &mut Vec<u8>) {
    let mut o = Obj::new(out);
    encode_counts(usage, &mut o);
    o.obj("cache_creation")
        .num("ephemeral_5m_input_tokens", usage.cache_write_tokens)
        .num("ephemeral_1h_input_tokens", usage.cache_write_1h_tokens);
    match tier.and_then(known_tier) {
        Some(tier) => o.text("service_tier", tier),
        None => o.null("service_tier"),
    };
}

/// The usage of `message_delta`, which has fewer members.
pub(super) fn encode_delta(usage: &Usage, out: &mut Vec<u8>) {
    encode_counts(usage, &mut Obj::new(out));
}

fn encode_counts(usage: &Usage, o: &mut Obj<'_>) {
    let media = usage.audio_input_tokens.saturating_add(usage.image_input_tokens);
    o.num("input_tokens", usage.fresh_input_tokens.saturating_add(media))
        .num("cache_creation_input_tokens", usage.cache_written_tokens())
        .num("cache_read_input_tokens", usage.cached_tokens)
        .num("output_tokens", usage.output_tokens());
    if usage.reasoning_tokens > 0 {
        o.obj("output_tokens_details").num("thinking_tokens", usage.reasoning_tokens);
    }
    match usage.web_searches {
        0 => _ = o.null("server_tool_use"),
        searches => _ = o.obj("server_tool_use").num("web_search_requests", searches).num("web_fetch_requests", 0),
    }
}

/// SDKs take these three words only.
fn known_tier(tier: &str) -> Option<&'static str> {
    match tier {
        "standard" | "default" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(usage: &Usage) -> String {
        let mut out = Vec::new();
        encode(usage, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Peers row 10.
    #[test]
    fn later_values_hold_and_nothing_is_added() {
        let mut merge = Merge::default();
        assert_eq!(merge.usage(), None);
        merge.start(
            r#"{"type":"message_start","message":{"usage":{"input_tokens":10,"cache_creation_input_tokens":30,
            "cache_read_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},
            "output_tokens":1}}}"#,
        );
        merge.delta(r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":9}}"#);
        merge.delta(r#"{"output_tokens":50,"input_tokens":12,"output_tokens_details":{"thinking_tokens":20}}"#);
        let usage = merge.usage().unwrap();
        assert_eq!((usage.fresh_input_tokens, usage.cached_tokens), (12, 5));
        assert_eq!((usage.cache_write_tokens, usage.cache_write_1h_tokens), (20, 10));
        assert_eq!((usage.visible_output_tokens, usage.reasoning_tokens), (30, 20));
        assert_eq!(usage.total_tokens(), 12 + 5 + 30 + 50);
    }

    /// Of the vendor's own examples: messages, refused or not, are in the totals; an advisor is another model.
    #[test]
    fn what_the_totals_leave_out_is_counted() {
        let usage = |iterations: &str| {
            let json = format!(r#"{{"input_tokens":4727,"output_tokens":3391,"iterations":[{iterations}]}}"#);
            let usage = decode(&json, &Quirks::NONE).unwrap();
            (usage.fresh_input_tokens, usage.cached_tokens, usage.visible_output_tokens)
        };
        let message = r#"{"type":"message","input_tokens":1051,"output_tokens":35}"#;
        let fallback = r#"{"type":"fallback_message","model":"m","input_tokens":412,"output_tokens":264}"#;
        assert_eq!(usage(&format!("{message},{fallback}")), (4727, 0, 3391));
        let advisor = r#"{"type":"advisor_message","model":"m","input_tokens":2728,"output_tokens":3880}"#;
        let compaction = r#"{"type":"compaction","input_tokens":100,"cache_read_input_tokens":7,"output_tokens":10}"#;
        assert_eq!(usage(&format!("{message},{advisor},{compaction}")), (4727 + 100, 7, 3391 + 10));
        let twice =
            merged(&format!(r#"{{"input_tokens":1,"iterations":[{message},{advisor},{advisor},{compaction}]}}"#));
        let asked = Usage { fresh_input_tokens: 2 * 2728, visible_output_tokens: 2 * 3880, ..Usage::default() };
        assert_eq!(twice.advice(), [Advice { model: "m".to_owned(), usage: asked }]);
        let many: Vec<String> = (0..100).map(|n| advisor.replace("\"m\"", &format!("\"{n}\""))).collect();
        let many = merged(&format!(r#"{{"input_tokens":1,"iterations":[{}]}}"#, many.join(",")));
        assert_eq!(many.advice().len(), MOST_ADVISORS);
    }

    /// Peers row 13.
    #[test]
    fn what_is_written_reads_back_class_by_class() {
        let usage = Usage {
            fresh_input_tokens: 1,
            cached_tokens: 2,
            cache_write_tokens: 3,
            cache_write_1h_tokens: 4,
            visible_output_tokens: 5,
            reasoning_tokens: 6,
            ..Usage::default()
        };
        assert_eq!(decode(&text(&usage), &Quirks::NONE), Some(usage));
    }

    #[test]
    fn audio_is_counted_once() {
        let usage = Usage {
            audio_input_tokens: 7,
            image_input_tokens: 2,
            audio_output_tokens: 9,
            image_output_tokens: 1,
            ..Usage::default()
        };
        let back = decode(&text(&usage), &Quirks::NONE).unwrap();
        assert_eq!((back.input_tokens(), back.output_tokens()), (9, 10));
    }

    #[test]
    fn searches_are_counted_and_fast_answers_are_told() {
        let mut merge = Merge::default();
        merge.start(r#"{"usage":{"input_tokens":9,"output_tokens":1,"server_tool_use":{"web_search_requests":1,"web_fetch_requests":4}}}"#);
        merge.delta(r#"{"usage":{"output_tokens":5,"server_tool_use":{"web_search_requests":2}}}"#);
        let usage = merge.usage().unwrap();
        assert_eq!((usage.web_searches, usage.total_tokens()), (2, 14));
        assert_eq!(decode(&text(&usage), &Quirks::NONE), Some(usage));
        let tier = |json| tier(json).map(|tier| tier.text().into_owned());
        assert_eq!(tier(r#"{"service_tier":"standard","speed":"fast"}"#).as_deref(), Some("fast"));
        assert_eq!(tier(r#"{"service_tier":"batch","speed":"standard"}"#).as_deref(), Some("batch"));
        let routed = decode(r#"{"input_tokens":1,"output_tokens":1,"cost":0.000112}"#, &Quirks::NONE).unwrap();
        assert_eq!(routed.charged_pico_usd, 112_000_000);
    }

    #[test]
    fn odd_shapes_are_no_counts() {
        for odd in
            ["null", "[]", "{}", r#"{"input_tokens":"x"}"#, r#"{"usage":{"usage":{"usage":{"input_tokens":1}}}}"#]
        {
            assert_eq!(decode(odd, &Quirks::NONE), None, "{odd}");
        }
    }

    #[test]
    fn a_split_without_a_total_and_a_total_without_a_split_both_count() {
        let split =
            r#"{"input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":3}}"#;
        let usage = decode(split, &Quirks::NONE).unwrap();
        assert_eq!((usage.cache_write_tokens, usage.cache_write_1h_tokens), (2, 3));
        let total = decode(r#"{"cache_creation_input_tokens":8}"#, &Quirks::NONE).unwrap();
        assert_eq!((total.cache_write_tokens, total.cache_write_1h_tokens), (8, 0));
    }
}
