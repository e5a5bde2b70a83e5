//! What tokens cost. Money is an integer: pico-USD (10^-12 USD), so that one token at 3 USD per
//! million is exactly 3,000,000. There is no float in here, nor in the table.
//!
//! A request costs, with the rates that hold on its day for its prompt size and service tier,
//!
//! ```text
//!   (  fresh input x input  +  cached x cached  +  cache writes x cache_write (1 h: cache_write_1h)
//!    + audio in x audio_input  +  image in x image_input  +  visible output x output
//!    + reasoning x reasoning  +  audio out x audio_output  +  image out x image_output
//!    + images x image  +  seconds x second  +  characters x character
//!    + web searches x web_search  +  request  )  x  the factor of the region
//! ```
//!
//! Whoever bills by the image, the second or the character does not bill for the tokens behind them:
//! those cost nothing unless their own class has a rate. A ranking that is billed by search units costs
//! `request` for each, whatever its tokens. All is whole pico-USD; only the factor of a region can ask
//! for a fraction, which is rounded to the nearest.
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
pub mod litellm;
mod rates;
pub mod raw;
pub mod table;
#[cfg(test)]
mod tests;

pub use rates::{Rates, Unit};
pub use table::PriceTable;

/// An amount in pico-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PicoUsd(pub i128);

impl PicoUsd {
    /// Of one request: a million USD.
    pub const MOST: Self = Self(1_000_000_000_000_000_000);

    /// Cut where nobody can have meant so much: a provider may say anything of what was used.
    #[must_use]
    pub fn within_reason(self) -> Self {
        Self(self.0.clamp(-Self::MOST.0, Self::MOST.0))
    }

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

/// The same as records write it, which shows that it is no whole number: `3.0`.
#[derive(Debug, Clone, Copy)]
pub struct Usd(pub PicoUsd);

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        if self.0.0 % amount::PICO_IN_USD == 0 { f.write_str(".0") } else { Ok(()) }
    }
}

/// What a request is charged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charge {
    /// Of all that was used and has a price.
    pub floor: PicoUsd,
    /// Nothing else was used.
    pub is_whole: bool,
}

impl Charge {
    /// What costs so much, and no more.
    pub const fn whole(cost: PicoUsd) -> Self {
        Self { floor: cost, is_whole: true }
    }

    /// `None` where a price is unknown: a part is no cost.
    pub fn cost(self) -> Option<PicoUsd> {
        self.is_whole.then_some(self.floor)
    }

    /// Where the cost is unknown, at least what the provider says that it charges.
    #[must_use]
    pub fn or_said(self, usage: &Usage) -> Self {
        let said = PicoUsd(usage.charged_pico_usd.into());
        if self.is_whole { self } else { Self { floor: self.floor.max(said), ..self } }
    }

    /// So many percent of it; of what has no price too, nothing is nothing.
    #[must_use]
    pub fn part(self, percent: u32) -> Self {
        match percent {
            0 => Self::whole(PicoUsd(0)),
            _ => Self { floor: PicoUsd(self.floor.0.saturating_mul(i128::from(percent)) / 100), ..self },
        }
    }

    /// What budgets are charged with where the cost is unknown, if anything.
    pub fn due(self) -> Option<PicoUsd> {
        Some(self.floor).filter(|floor| !self.is_whole && floor.0 > 0)
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
    /// What the whole is multiplied by in a region, in millionths.
    pub regions: Vec<(Box<str>, u32)>,
}

/// One, as [`Price::regions`] has it.
pub const FACTOR_ONE: u32 = 1_000_000;
/// The name of [`Price::regions`] for every place but Google's `global`.
const REGIONAL: &str = "regional";

/// The rates of one service tier, by prompt size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    pub rates: Rates,
    /// Ascending by `above`: for a prompt of more than so many tokens these hold for the whole
    /// request. What a tier does not say is as below it.
    pub tiers: Vec<(u64, Rates)>,
}

impl ModelInfo {
    /// What one request costs.
    ///
    /// `service_tier` is the one the answer reports, `day` counts from 1970-01-01 (UTC), `region` is where
    /// the endpoint stands.
    pub fn charge(&self, usage: &Usage, service_tier: Option<&str>, day: i64, region: Option<&str>) -> Charge {
        let charge = self.price_on(day).map(|price| {
            let plain = price.rates(usage.input_tokens(), service_tier).charge(usage);
            price.in_region(plain, region)
        });
        charge.unwrap_or_default().or_said(usage)
    }

    /// The same, where all of it has a price.
    pub fn cost(&self, usage: &Usage, service_tier: Option<&str>, day: i64, region: Option<&str>) -> Option<PicoUsd> {
        self.charge(usage, service_tier, day, region).cost()
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

    /// In millionths. A name of [`Self::regions`] is a region's own, its beginning (`eu` of `eu-west-1`),
    /// or `regional`.
    pub fn factor(&self, region: Option<&str>) -> u32 {
        let Some(region) = region.filter(|_| !self.regions.is_empty()) else { return FACTOR_ONE };
        let named = |wanted: &str| self.regions.iter().find(|(name, _)| &**name == wanted);
        let begins = |name: &str| region.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        let found = named(region)
            .or_else(|| self.regions.iter().filter(|(name, _)| begins(name)).max_by_key(|(name, _)| name.len()))
            .or_else(|| named(REGIONAL).filter(|_| region != "global"));
        found.map_or(FACTOR_ONE, |(_, factor)| *factor)
    }

    /// Rounded to the nearest, a half up.
    fn in_region(&self, plain: Charge, region: Option<&str>) -> Charge {
        let (factor, one) = (i128::from(self.factor(region)), i128::from(FACTOR_ONE));
        if factor == one {
            return plain;
        }
        let scaled = || plain.floor.0.checked_mul(factor)?.checked_add(one / 2);
        match scaled() {
            Some(scaled) => Charge { floor: PicoUsd(scaled.div_euclid(one)), ..plain },
            // More than there is money: at least what it was.
            None => Charge { is_whole: false, ..plain },
        }
    }
}

impl Column {
    fn at(&self, prompt_tokens: u64) -> Rates {
        let exceeded = self.tiers.iter().take_while(|(above, _)| prompt_tokens > *above);
        exceeded.fold(self.rates, |below, (_, tier)| tier.over(below))
    }
}
