//! The final row of a request: what the record's line says, as data. The line is the one spelling of a
//! row (access log, write-ahead log, admin API, export), so reading it and writing it again gives the
//! same members.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::usage::price::{Charge, PicoUsd, Usd};
use crate::usage::tokens::Usage;

/// See the module documentation. What is not known is `None`; a count that is not known is never 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub request_id: String,
    pub client_request_id: Option<String>,
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
    /// `first`, `retry`, `fallback`, `hedge`, `continuation`.
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
