//! Prices, in `prices.file` and `providers.*.models.*.price`.

use crate::config::read::{Day, Map, OneOrMore, Usd, UsdPerMillion, settings};

/// `prices.file`: `catalogue/model` to its prices.
pub type Prices = Map<OneOrMore<DatedPrice>>;

settings! {
    /// What a model costs from a day on, in USD per million tokens.
    DatedPrice in "a price" {
        /// The first day (UTC). Default: it always did.
        from: Day,
        /// Input tokens.
        input: UsdPerMillion,
        /// Input read from the provider's cache. Default: `input`.
        cached: UsdPerMillion,
        /// Input written to the provider's cache. Default: `input`.
        cache_write: UsdPerMillion,
        /// The same, kept for an hour. Default: `cache_write`.
        cache_write_1h: UsdPerMillion,
        /// Output tokens.
        output: UsdPerMillion,
        /// Thinking. Default: `output`.
        reasoning: UsdPerMillion,
        /// Audio heard. Default: `input`.
        audio_input: UsdPerMillion,
        /// Audio spoken. Default: `output`.
        audio_output: UsdPerMillion,
        /// USD per request, on top.
        request: Usd,
        /// Rates of the whole request where its prompt is larger.
        tiers: Vec<TierRates>,
        /// Rates by service tier (`batch`, `flex`, `priority`).
        service: Map<ServiceRates>,
    }

    /// Rates above a prompt size.
    TierRates in "a tier" {
        /// Tokens of the prompt that must be exceeded.
        above: u64,
        /// Input tokens.
        input: UsdPerMillion,
        /// Input read from the provider's cache.
        cached: UsdPerMillion,
        /// Input written to the provider's cache.
        cache_write: UsdPerMillion,
        /// The same, kept for an hour.
        cache_write_1h: UsdPerMillion,
        /// Output tokens.
        output: UsdPerMillion,
        /// Thinking.
        reasoning: UsdPerMillion,
        /// Audio heard.
        audio_input: UsdPerMillion,
        /// Audio spoken.
        audio_output: UsdPerMillion,
        /// USD per request.
        request: Usd,
    }

    /// Rates of one service tier.
    ServiceRates in "a service tier" {
        /// Input tokens.
        input: UsdPerMillion,
        /// Input read from the provider's cache.
        cached: UsdPerMillion,
        /// Input written to the provider's cache.
        cache_write: UsdPerMillion,
        /// The same, kept for an hour.
        cache_write_1h: UsdPerMillion,
        /// Output tokens.
        output: UsdPerMillion,
        /// Thinking.
        reasoning: UsdPerMillion,
        /// Audio heard.
        audio_input: UsdPerMillion,
        /// Audio spoken.
        audio_output: UsdPerMillion,
        /// USD per request.
        request: Usd,
    }
}
