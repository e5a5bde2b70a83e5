//! What tokens cost. Money is an integer: pico-USD (10^-12 USD), so that one token at 3 USD per
//! million is exactly 3,000,000.

use std::collections::HashMap;
use std::sync::Arc;

use super::tokens::Usage;
use crate::wire::Thinking;

/// An amount in pico-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PicoUsd(pub i128);

/// What is known of one model.
#[derive(Debug, Clone, Default)]
pub struct ModelInfo {
    /// Tokens of input and output together.
    pub context_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub thinking: Thinking,
    /// Effective-dated, newest first; empty is an unknown price.
    pub prices: Vec<Price>,
}

/// One model's price from a date on.
#[derive(Debug, Clone, Default)]
pub struct Price {
    /// Days since 1970-01-01 (UTC).
    pub from_day: i64,
    pub rates: Rates,
    /// Rates by total prompt size: the last tier whose `above` is exceeded holds for the whole
    /// request.
    pub tiers: Vec<(u64, Rates)>,
    /// Rates by service tier (`batch`, `flex`, `priority`): an open set.
    pub service: Vec<(String, Rates)>,
}

/// Pico-USD per token of each class; `None` falls back as its field says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub input: Option<i64>,
    /// Else `input`.
    pub cached: Option<i64>,
    /// Else `input`.
    pub cache_write: Option<i64>,
    /// Else `cache_write`.
    pub cache_write_1h: Option<i64>,
    pub output: Option<i64>,
    /// Else `output`.
    pub reasoning: Option<i64>,
    /// Else `input`.
    pub audio_input: Option<i64>,
    /// Else `output`.
    pub audio_output: Option<i64>,
    /// Per request.
    pub request: Option<i64>,
}

/// The built-in table with the operator's overrides.
#[derive(Debug, Default)]
pub struct PriceTable {
    /// Of the built-in data, `YYYY-MM-DD`; with overrides `+<hash>` follows.
    pub version: String,
    /// By `catalogue/model`.
    pub models: HashMap<String, Arc<ModelInfo>>,
}

impl PriceTable {
    /// What is known of a model of a catalogue; dated names (`-2024-07-18`, `-20250929`, `@...`,
    /// `-latest`) fall back to the name without its date.
    pub fn find(&self, _catalogue: &str, _model: &str) -> Option<&Arc<ModelInfo>> {
        None
    }
}

impl ModelInfo {
    /// The cost of one request; `None` where a price is unknown.
    pub fn cost(&self, _usage: &Usage, _service_tier: Option<&str>, _day: i64) -> Option<PicoUsd> {
        None
    }
}

impl std::fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}
impl PriceTable {
    pub fn models(&self, _catalogue: &str) -> Vec<(&str, &Arc<ModelInfo>)> {
        Vec::new()
    }
}
