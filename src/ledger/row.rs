//! The final row of a request: a record that owns what it says. Its line is a record's (access log,
//! admin API, export), so reading one and writing it again gives the same members.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limit::clock::Rfc3339;
use crate::record::{Ms, Record, Step, Thousandths};
use crate::usage::price::{Charge, PicoUsd, Usd};
use crate::usage::tokens::Usage;

/// See the module documentation. What is not known is `None`; a count that is not known is never 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub request_id: String,
    pub client_request_id: Option<String>,
    /// Of the trace that the request belongs to, in hexadecimal.
    pub trace_id: Option<String>,
    /// W3C's, as the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// RFC 3339 in UTC, to the millisecond.
    pub started_at: String,
    pub tenant: Option<String>,
    pub key_id: Option<String>,
    /// Whom the request's `user` or metadata names.
    pub user: Option<String>,
    pub tags: Vec<String>,
    pub format: String,
    pub route: Option<String>,
    /// What put the first target first, where there was a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_reason: Option<String>,
    pub model: Option<String>,
    pub provider: Option<String>,
    pub upstream_model: Option<String>,
    /// As the answer names it, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    pub stream: bool,
    pub status: u16,
    /// `finished`, `failed`, `client_cut`, `upstream_cut`, `recovered`.
    pub outcome: String,
    pub attempts: u32,
    pub fallback: bool,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cached_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    /// `reported`, `partial`, `estimated`.
    pub usage_source: Option<String>,
    /// The disjoint classes behind the counts above, for prices.
    pub usage: Option<Classes>,
    /// Which prices of the provider's held, as the answer said.
    pub service_tier: Option<String>,
    pub cost_pico_usd: Option<i128>,
    /// The same as a decimal, exact.
    pub cost_usd: Option<Box<RawValue>>,
    /// What budgets are charged with where the cost is not known: the part of it that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_pico_usd: Option<i128>,
    pub price_version: Option<String>,
    pub duration_ms: Box<RawValue>,
    pub ttft_ms: Option<Box<RawValue>>,
    pub overhead_ms: Box<RawValue>,
    pub dropped: Vec<String>,
    /// Tokens that compression took from the request; nothing where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_saved_tokens: Option<u64>,
    /// What saved them, with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_strategies: Option<String>,
    /// Tools of the gateway's that were run for it, each call, with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_executed: Option<String>,
    /// What guards decided, where any did: `name:action:kind:count`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<String>,
    /// `hit`, `miss` or `bypass`, where answers are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Of a hit that is the answer to a question that only means the same: how near they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_similarity: Option<Box<RawValue>>,
    /// What the gateway made the request for, where it is no client's: `cache` or `guard`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    pub error: Option<String>,
    /// The attempts, as they are.
    pub timeline: Vec<Attempt>,
}

/// One attempt of a row. `usage` and `cost_pico_usd` are there where it used something and is not the
/// one that answered: that is in no other count of the row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    pub provider: String,
    pub endpoint: String,
    pub model: String,
    /// As [`crate::record::Why`] has it.
    pub kind: String,
    pub at_ms: Box<RawValue>,
    pub duration_ms: Box<RawValue>,
    /// `ok`, or the cause of its failure.
    pub outcome: String,
    pub status: Option<u16>,
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Classes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_pico_usd: Option<i128>,
    /// As [`Row::due_pico_usd`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_pico_usd: Option<i128>,
}

/// Token classes as JSON: those that are 0 are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Classes {
    #[serde(skip_serializing_if = "is_zero")]
    pub fresh_input: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cached: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub visible_output: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub image_output: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub search_units: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub images: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_seconds: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub characters: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub web_searches: u64,
    /// What the provider itself says it charges: beside our cost, not in it.
    #[serde(skip_serializing_if = "is_zero")]
    pub upstream_cost_pico_usd: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<Usage> for Classes {
    fn from(usage: Usage) -> Self {
        Self {
            fresh_input: usage.fresh_input_tokens,
            cached: usage.cached_tokens,
            cache_write: usage.cache_write_tokens,
            cache_write_1h: usage.cache_write_1h_tokens,
            audio_input: usage.audio_input_tokens,
            image_input: usage.image_input_tokens,
            visible_output: usage.visible_output_tokens,
            reasoning: usage.reasoning_tokens,
            audio_output: usage.audio_output_tokens,
            image_output: usage.image_output_tokens,
            search_units: usage.search_units,
            images: usage.images,
            audio_seconds: usage.audio_seconds,
            characters: usage.characters,
            web_searches: usage.web_searches,
            upstream_cost_pico_usd: usage.charged_pico_usd,
        }
    }
}

impl From<Classes> for Usage {
    fn from(classes: Classes) -> Self {
        Self {
            fresh_input_tokens: classes.fresh_input,
            cached_tokens: classes.cached,
            cache_write_tokens: classes.cache_write,
            cache_write_1h_tokens: classes.cache_write_1h,
            audio_input_tokens: classes.audio_input,
            image_input_tokens: classes.image_input,
            visible_output_tokens: classes.visible_output,
            reasoning_tokens: classes.reasoning,
            audio_output_tokens: classes.audio_output,
            image_output_tokens: classes.image_output,
            search_units: classes.search_units,
            images: classes.images,
            audio_seconds: classes.audio_seconds,
            characters: classes.characters,
            web_searches: classes.web_searches,
            charged_pico_usd: classes.upstream_cost_pico_usd,
        }
    }
}

impl From<&Record<'_>> for Row {
    fn from(record: &Record<'_>) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let (told, charge) = (record.told(), record.charge);
        let mut row = Self {
            request_id: record.request_id.hyphenated().to_string(),
            client_request_id: own(record.client_request_id),
            trace_id: record.trace_id.map(|id| id.to_string()),
            traceparent: record.traceparent.map(|parent| parent.to_string()),
            started_at: Rfc3339(record.started_at).to_string(),
            tenant: own(record.tenant),
            key_id: own(record.key_id),
            user: own(record.user),
            tags: record.tags.iter().map(str::to_owned).collect(),
            format: record.format.to_owned(),
            route: own(record.route),
            route_reason: own(record.route_reason),
            model: own(record.model),
            provider: own(record.provider),
            upstream_model: own(record.upstream_model),
            response_model: own(record.response_model),
            stream: record.stream,
            status: record.status,
            outcome: record.outcome.as_str().to_owned(),
            attempts: record.attempts,
            fallback: record.fallback,
            input_tokens: told.map(Usage::input_tokens),
            output_tokens: told.map(Usage::output_tokens),
            cached_tokens: told.map(|usage| usage.cached_tokens),
            cache_write_tokens: told.map(Usage::cache_written_tokens),
            reasoning_tokens: told.map(|usage| usage.reasoning_tokens),
            usage_source: record.usage_source.map(|source| source.as_str().to_owned()),
            usage: record.usage.map(Classes::from),
            service_tier: own(record.service_tier),
            cost_pico_usd: None,
            cost_usd: None,
            due_pico_usd: None,
            price_version: own(record.price_version),
            duration_ms: number(record.duration),
            ttft_ms: record.ttft.map(number),
            overhead_ms: number(record.overhead),
            dropped: record.dropped.iter().map(str::to_owned).collect(),
            compression_saved_tokens: record.compression_saved_tokens,
            compression_strategies: own(record.compression_strategies),
            tools_executed: own(record.tools_executed),
            guards: record.guards.iter().map(str::to_owned).collect(),
            cache: own(record.cache),
            cache_similarity: record.cache_similarity.map(|it| raw(&Thousandths(it))),
            purpose: own(record.purpose),
            error: own(record.error),
            timeline: record.timeline.iter().map(|step| Attempt::from(&step)).collect(),
        };
        row.set_charge(charge);
        row
    }
}

impl From<&Step<'_>> for Attempt {
    fn from(step: &Step<'_>) -> Self {
        let (own, used) = (|text: Option<&str>| text.map(str::to_owned), step.usage.as_ref().map(|(usage, _)| usage));
        let charge = Some(step.charge).filter(|_| used.is_some());
        Self {
            provider: step.provider.to_owned(),
            endpoint: step.endpoint.to_owned(),
            model: step.model.to_owned(),
            kind: step.why.as_str().to_owned(),
            at_ms: number(step.at),
            duration_ms: number(step.duration),
            outcome: step.outcome.to_owned(),
            status: step.status,
            error: own(step.error),
            input_tokens: used.map(Usage::input_tokens),
            output_tokens: used.map(Usage::output_tokens),
            usage_source: step.usage.map(|(_, source)| source.as_str().to_owned()),
            usage: used.map(|usage| Classes::from(*usage)),
            service_tier: own(step.service_tier.filter(|_| used.is_some())),
            cost_pico_usd: charge.and_then(Charge::cost).map(|cost| cost.0),
            due_pico_usd: charge.and_then(Charge::due).map(|due| due.0),
        }
    }
}

/// As lines write it.
fn number(time: Duration) -> Box<RawValue> {
    raw(&Ms(time))
}

fn raw(number: &impl ToString) -> Box<RawValue> {
    RawValue::from_string(number.to_string()).unwrap_or_default()
}

impl Row {
    /// Reads a record's line.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The line again, without its line feed.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    pub fn cost(&self) -> Option<PicoUsd> {
        self.cost_pico_usd.map(PicoUsd)
    }

    /// Puts another charge in place of the row's own, as its line writes it.
    pub(super) fn set_charge(&mut self, charge: Charge) {
        self.cost_pico_usd = charge.cost().map(|cost| cost.0);
        self.cost_usd = charge.cost().and_then(|cost| RawValue::from_string(Usd(cost).to_string()).ok());
        self.due_pico_usd = charge.due().map(|due| due.0);
    }
}
