//! Prices an operator writes: `prices.file` and the `price` of a provider's model.
//!
//! ```yaml
//! openai/gpt-4o-mini:
//!   - {from: 2024-07-18, input: 0.15, cached: 0.075, output: 0.60, service: {batch: {input: 0.075, output: 0.30}}}
//! lab/llama-70b:
//!   - {input: 0.20, output: 0.20, tiers: [{above: 128000, input: 0.40}]}
//! ```
//!
//! The name is that of a model as clients write it: a provider of the configuration, or a kind, then
//! the model. Amounts are USD per million tokens, those of `image` and `request` USD each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::amount::{Day, Each, RatePerMillion};
use super::{Column, Price, Rates};

/// One price from a day on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPrice {
    /// The first day (UTC) it holds; without it, since ever.
    pub from: Option<Day>,
    pub input: Option<RatePerMillion>,
    /// Input read from the prompt cache; else as `input`.
    pub cached: Option<RatePerMillion>,
    /// Input written to the prompt cache; else as `input`.
    pub cache_write: Option<RatePerMillion>,
    /// Input written to the prompt cache for an hour; else as `cache_write`.
    pub cache_write_1h: Option<RatePerMillion>,
    pub output: Option<RatePerMillion>,
    /// Output spent on thinking; else as `output`.
    pub reasoning: Option<RatePerMillion>,
    /// Else as `input`.
    pub audio_input: Option<RatePerMillion>,
    /// Else as `output`.
    pub audio_output: Option<RatePerMillion>,
    /// USD per image made.
    pub image: Option<Each>,
    /// USD per request.
    pub request: Option<Each>,
    /// Rates by prompt size, for the whole request.
    #[serde(default)]
    pub tiers: Vec<RawTier>,
    /// Rates by service tier (`batch`, `flex`, `priority`, ...).
    #[serde(default)]
    pub service: BTreeMap<String, RawColumn>,
}

/// The rates for prompts of more than `above` tokens; what is left out is as below.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTier {
    pub above: u64,
    pub input: Option<RatePerMillion>,
    pub cached: Option<RatePerMillion>,
    pub cache_write: Option<RatePerMillion>,
    pub cache_write_1h: Option<RatePerMillion>,
    pub output: Option<RatePerMillion>,
    pub reasoning: Option<RatePerMillion>,
    pub audio_input: Option<RatePerMillion>,
    pub audio_output: Option<RatePerMillion>,
    pub image: Option<Each>,
    pub request: Option<Each>,
}

/// The rates of one service tier; what is left out is as without it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawColumn {
    pub input: Option<RatePerMillion>,
    pub cached: Option<RatePerMillion>,
    pub cache_write: Option<RatePerMillion>,
    pub cache_write_1h: Option<RatePerMillion>,
    pub output: Option<RatePerMillion>,
    pub reasoning: Option<RatePerMillion>,
    pub audio_input: Option<RatePerMillion>,
    pub audio_output: Option<RatePerMillion>,
    pub image: Option<Each>,
    pub request: Option<Each>,
    #[serde(default)]
    pub tiers: Vec<RawTier>,
}

/// The three raw types share their classes, which serde cannot flatten while it refuses unknown keys.
macro_rules! rates_of {
    ($raw:expr) => {
        Rates {
            input: $raw.input.map(|r| r.0),
            cached: $raw.cached.map(|r| r.0),
            cache_write: $raw.cache_write.map(|r| r.0),
            cache_write_1h: $raw.cache_write_1h.map(|r| r.0),
            output: $raw.output.map(|r| r.0),
            reasoning: $raw.reasoning.map(|r| r.0),
            audio_input: $raw.audio_input.map(|r| r.0),
            audio_output: $raw.audio_output.map(|r| r.0),
            image: $raw.image.map(|r| r.0),
            request: $raw.request.map(|r| r.0),
        }
    };
}

impl RawPrice {
    /// Checked and resolved.
    pub fn resolve(&self) -> Result<Price, Unusable> {
        let rates = rates_of!(self);
        let service: Result<_, _> = self.service.iter().map(|(name, raw)| resolve_column(name, raw)).collect();
        let price =
            Price { from_day: self.from.map_or(0, |d| d.0), standard: column(rates, &self.tiers)?, service: service? };
        check(&price)?;
        Ok(price)
    }
}

fn resolve_column(name: &str, raw: &RawColumn) -> Result<(Box<str>, Column), Unusable> {
    Ok((name.into(), column(rates_of!(raw), &raw.tiers)?))
}

fn column(rates: Rates, tiers: &[RawTier]) -> Result<Column, Unusable> {
    let tiers: Vec<_> = tiers.iter().map(|t| (t.above, rates_of!(t))).collect();
    let ascending = tiers.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
    ascending.then_some(Column { rates, tiers }).ok_or(Unusable::Order)
}

/// A price says at least something of every request: an input or an output rate, or a fee.
pub(super) fn check(price: &Price) -> Result<(), Unusable> {
    let Rates { input, output, request, image, .. } = price.standard.rates;
    let says = input.or(output).or(request).or(image).is_some();
    says.then_some(()).ok_or(Unusable::Empty)
}

/// The prices of one model, newest first.
pub fn resolve_prices(raw: &[RawPrice]) -> Result<Vec<Price>, Unusable> {
    let mut prices = raw.iter().map(RawPrice::resolve).collect::<Result<Vec<_>, _>>()?;
    newest_first(&mut prices)?;
    Ok(prices)
}

/// Sorts them; two for one day are an error.
pub fn newest_first(prices: &mut [Price]) -> Result<(), Unusable> {
    prices.sort_by_key(|p| std::cmp::Reverse(p.from_day));
    let twice = prices.windows(2).any(|pair| matches!(pair, [a, b] if a.from_day == b.from_day));
    if twice { Err(Unusable::Twice) } else { Ok(()) }
}

/// Well-formed and of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// No rate at all.
    Empty,
    /// Tiers that do not ascend.
    Order,
    /// Two prices from one day.
    Twice,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a price needs at least `input`, `output`, `image` or `request`",
            Self::Order => "`tiers` must ascend by `above`",
            Self::Twice => "two prices hold from the same day: give each its own `from`",
        })
    }
}

impl std::error::Error for Unusable {}

/// What is wrong with a price file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// From 1; 0 where the place is unknown.
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}, column {}: {}", self.column, self.message),
        }
    }
}

impl std::error::Error for FileError {}

/// The prices of a file by catalogue (or provider) and model.
pub(super) type Overrides = HashMap<Box<str>, HashMap<Box<str>, Vec<Price>>>;

/// Reads a price file.
pub(super) fn read(text: &str) -> Result<Overrides, FileError> {
    type Listed = BTreeMap<String, serde_saphyr::Spanned<Vec<RawPrice>>>;
    let listed: Listed = serde_saphyr::from_str(text).map_err(|e| yaml_error(&e))?;
    if listed.is_empty() {
        return Err(FileError { line: 1, column: 1, message: "the price file names no model".to_owned() });
    }
    let mut overrides = Overrides::new();
    for (name, raw) in listed {
        let at = |message: String| FileError {
            line: raw.referenced.line(),
            column: raw.referenced.column(),
            message: format!("{name}: {message}"),
        };
        let (catalogue, model) = name
            .split_once('/')
            .filter(|(catalogue, model)| !catalogue.is_empty() && !model.is_empty())
            .ok_or_else(|| at("expected a name such as openai/gpt-4o-mini".to_owned()))?;
        let prices = resolve_prices(&raw.value).map_err(|e| at(e.to_string()))?;
        if prices.is_empty() {
            return Err(at(Unusable::Empty.to_string()));
        }
        overrides.entry(catalogue.into()).or_default().insert(model.into(), prices);
    }
    Ok(overrides)
}

fn yaml_error(error: &serde_saphyr::Error) -> FileError {
    let place = error.location().map_or((0, 0), |l| (l.line(), l.column()));
    FileError { line: place.0, column: place.1, message: error.without_snippet().to_string() }
}
