//! What tokens cost. Money is an integer: pico-USD (10^-12 USD), so that one token at 3 USD per
//! million is exactly 3,000,000. There is no float in here, nor in the table.
//!
//! A request costs, with the rates that hold on its day for its prompt size and service tier,
//!
//! ```text
//!   fresh input x input  +  cached x cached  +  cache writes x cache_write (1 h: cache_write_1h)
//! + audio in x audio_input  +  visible output x output  +  reasoning x reasoning
//! + audio out x audio_output  +  request
//! ```
//!
//! A ranking that is billed by search units costs `request` for each, whatever its tokens.
//!
//! The classes of [`Usage`] are disjoint, so no token is charged twice. The prompt size that picks
//! the tier is the whole prompt, cached and written tokens included, and the tier holds for the
//! whole request, output too, as the vendors bill it. The service tier is the one the answer
//! reports; a name without a column of its own (`default`, `standard`, `on_demand`) costs the
//! standard rates.
//!
//! The built-in data is `conf/models.tsv` ([`table`]), an operator's overrides are YAML ([`raw`]).

use std::fmt;

use super::tokens::Usage;
use crate::wire::{Abilities, Thinking};

pub mod amount;
pub mod raw;
pub mod table;
#[cfg(test)]
mod tests;

pub use table::PriceTable;

/// An amount in pico-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PicoUsd(pub i128);

impl PicoUsd {
    /// The sum, or the nearest amount there is.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Decimal USD without trailing zeros: `0.00001234`, `3`, `0`.
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        amount::write(f, self.0)
    }
}

/// What is known of one model.
#[derive(Debug, Clone, Default)]
pub struct ModelInfo {
    /// Tokens of input and output together.
    pub context_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub thinking: Thinking,
    /// What the configuration says the model can or cannot do.
    pub abilities: Abilities,
    /// `None` where nobody says.
    pub capabilities: Option<Capabilities>,
    /// Effective-dated, newest first; empty is an unknown price.
    pub prices: Vec<Price>,
}

/// What a model can do, as far as the sources say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub reasoning: bool,
    pub vision: bool,
    pub tools: bool,
    /// Answers that follow a JSON schema.
    pub json_schema: bool,
}

/// One model's price from a date on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// Days since 1970-01-01 (UTC); 0 is since ever.
    pub from_day: i64,
    pub standard: Column,
    /// By service tier (`batch`, `flex`, `priority`, ...): an open set. What a column does not say
    /// is as in `standard`.
    pub service: Vec<(Box<str>, Column)>,
}

/// The rates of one service tier, by prompt size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    pub rates: Rates,
    /// Ascending by `above`: for a prompt of more than so many tokens these hold for the whole
    /// request. What a tier does not say is as below it.
    pub tiers: Vec<(u64, Rates)>,
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
    /// Per image made; kept for the image paths, no class of tokens.
    pub image: Option<i64>,
    /// Per request, else nothing.
    pub request: Option<i64>,
}

impl ModelInfo {
    /// The cost of one request; `None` where a price is unknown.
    ///
    /// `service_tier` is the one the answer reports, `day` counts from 1970-01-01 (UTC).
    pub fn cost(&self, usage: &Usage, service_tier: Option<&str>, day: i64) -> Option<PicoUsd> {
        self.price_on(day)?.rates(usage.input_tokens(), service_tier).cost(usage)
    }

    /// The price that holds on that day.
    pub fn price_on(&self, day: i64) -> Option<&Price> {
        self.prices.iter().find(|price| price.from_day <= day)
    }
}

impl Price {
    /// What holds for a request of that many prompt tokens on that service tier.
    pub fn rates(&self, prompt_tokens: u64, service_tier: Option<&str>) -> Rates {
        let standard = self.standard.at(prompt_tokens);
        let column = service_tier
            .and_then(|tier| self.service.iter().find(|(name, _)| name.eq_ignore_ascii_case(tier)))
            .map(|(_, column)| column.at(prompt_tokens));
        column.map_or(standard, |column| column.over(standard))
    }
}

impl Column {
    fn at(&self, prompt_tokens: u64) -> Rates {
        let exceeded = self.tiers.iter().take_while(|(above, _)| prompt_tokens > *above);
        exceeded.fold(self.rates, |below, (_, tier)| tier.over(below))
    }
}

impl Rates {
    /// The names of the classes, as the configuration and the table spell them.
    pub const CLASSES: [&'static str; 10] = [
        "input",
        "cached",
        "cache_write",
        "cache_write_1h",
        "output",
        "reasoning",
        "audio_input",
        "audio_output",
        "image",
        "request",
    ];

    /// Sets a class from its decimal: USD per million tokens, or USD each for `image` and `request`.
    pub fn set(&mut self, class: &str, decimal: &str) -> Result<(), amount::Invalid> {
        let each = matches!(class, "image" | "request");
        let slot = self.slot(class).ok_or(amount::Invalid::UnknownClass)?;
        *slot = Some(if each { amount::each(decimal)? } else { amount::per_million(decimal)? });
        Ok(())
    }

    /// The rate of a class by its name, without fallback.
    pub fn get(&self, class: &str) -> Option<i64> {
        let mut rates = *self;
        rates.slot(class).and_then(|rate| *rate)
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn slot(&mut self, class: &str) -> Option<&mut Option<i64>> {
        Some(match class {
            "input" => &mut self.input,
            "cached" => &mut self.cached,
            "cache_write" => &mut self.cache_write,
            "cache_write_1h" => &mut self.cache_write_1h,
            "output" => &mut self.output,
            "reasoning" => &mut self.reasoning,
            "audio_input" => &mut self.audio_input,
            "audio_output" => &mut self.audio_output,
            "image" => &mut self.image,
            "request" => &mut self.request,
            _ => return None,
        })
    }

    /// These where they say something, else those.
    fn over(self, below: Self) -> Self {
        Self {
            input: self.input.or(below.input),
            cached: self.cached.or(below.cached),
            cache_write: self.cache_write.or(below.cache_write),
            cache_write_1h: self.cache_write_1h.or(below.cache_write_1h),
            output: self.output.or(below.output),
            reasoning: self.reasoning.or(below.reasoning),
            audio_input: self.audio_input.or(below.audio_input),
            audio_output: self.audio_output.or(below.audio_output),
            image: self.image.or(below.image),
            request: self.request.or(below.request),
        }
    }

    /// The cost at these rates; `None` where tokens of a class have no rate.
    pub fn cost(&self, usage: &Usage) -> Option<PicoUsd> {
        if usage.search_units > 0 {
            return Some(PicoUsd(i128::from(self.request?).checked_mul(i128::from(usage.search_units))?));
        }
        let cache_write = self.cache_write.or(self.input);
        let classes = [
            (usage.fresh_input_tokens, self.input),
            (usage.cached_tokens, self.cached.or(self.input)),
            (usage.cache_write_tokens, cache_write),
            (usage.cache_write_1h_tokens, self.cache_write_1h.or(cache_write)),
            (usage.audio_input_tokens, self.audio_input.or(self.input)),
            (usage.visible_output_tokens, self.output),
            (usage.reasoning_tokens, self.reasoning.or(self.output)),
            (usage.audio_output_tokens, self.audio_output.or(self.output)),
        ];
        let mut sum = i128::from(self.request.unwrap_or(0));
        for (tokens, rate) in classes {
            if tokens > 0 {
                sum = sum.checked_add(i128::from(tokens).checked_mul(i128::from(rate?))?)?;
            }
        }
        // A model without any rate has no price, whatever it was asked.
        (!self.is_empty()).then_some(PicoUsd(sum))
    }
}
