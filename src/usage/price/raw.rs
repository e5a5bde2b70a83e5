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
//! the model. Amounts are USD per million tokens, those of `image`, `second`, `web_search` and `request`
//! USD each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::amount::{Day, Each, RatePerMillion};
use super::{Column, FACTOR_ONE, Price, Rates};

/// No region costs more than ten times as much.
const MOST_FACTOR: u32 = 10 * FACTOR_ONE;

/// The raw types share their classes, which serde cannot flatten while it refuses unknown keys: this
/// writes them out for each, with their meanings.
macro_rules! raw_rates {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field:meta])* $own:ident: $type:ty,)* })*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field])* pub $own: $type,)*
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
            /// Else as `input`.
            pub image_input: Option<RatePerMillion>,
            /// Images made, where they are billed by tokens; else as `output`.
            pub image_output: Option<RatePerMillion>,
            /// USD per image made, of models that are billed by the image.
            pub image: Option<Each>,
            /// USD per second of audio that was listened to.
            pub second: Option<Each>,
            /// USD per million characters that were spoken.
            pub character: Option<RatePerMillion>,
            /// USD per search of the web that the provider made.
            pub web_search: Option<Each>,
            /// USD per request; of rankings, per search unit.
            pub request: Option<Each>,
        }

        impl $name {
            fn rates(&self) -> Rates {
                let million = |rate: Option<RatePerMillion>| rate.map(|rate| rate.0);
                let each = |amount: Option<Each>| amount.map(|amount| amount.0);
                Rates {
                    input: million(self.input),
                    cached: million(self.cached),
                    cache_write: million(self.cache_write),
                    cache_write_1h: million(self.cache_write_1h),
                    output: million(self.output),
                    reasoning: million(self.reasoning),
                    audio_input: million(self.audio_input),
                    audio_output: million(self.audio_output),
                    image_input: million(self.image_input),
                    image_output: million(self.image_output),
                    image: each(self.image),
                    second: each(self.second),
                    character: million(self.character),
                    web_search: each(self.web_search),
                    request: each(self.request),
                }
            }
        }
    )* };
}

raw_rates! {
    /// One price from a day on.
    RawPrice {
        /// The first day (UTC) it holds; without it, since ever.
        from: Option<Day>,
        /// Rates by prompt size, for the whole request.
        #[serde(default)]
        tiers: Vec<RawTier>,
        /// Rates by service tier (`batch`, `flex`, `priority`, ...).
        #[serde(default)]
        service: BTreeMap<String, RawColumn>,
        /// What the whole is multiplied by where the endpoint stands: `{eu: 1.1}` also of `eu-west-1`,
        /// `{regional: 1.1}` of every region but `global`.
        #[serde(default)]
        regions: BTreeMap<String, RatePerMillion>,
    }

    /// The rates for prompts of more than `above` tokens; what is left out is as below.
    RawTier {
        above: u64,
    }

    /// The rates of one service tier; what is left out is as without it.
    RawColumn {
        #[serde(default)]
        tiers: Vec<RawTier>,
    }
}

impl RawPrice {
    /// Checked and resolved.
    pub fn resolve(&self) -> Result<Price, Unusable> {
        let service: Result<_, _> = self.service.iter().map(|(name, raw)| resolve_column(name, raw)).collect();
        let price = Price {
            from_day: self.from.map_or(0, |d| d.0),
            standard: column(self.rates(), &self.tiers)?,
            service: service?,
            regions: self.regions.iter().map(factor).collect::<Result<_, _>>()?,
        };
        check(&price)?;
        Ok(price)
    }
}

fn factor((region, factor): (&String, &RatePerMillion)) -> Result<(Box<str>, u32), Unusable> {
    let millionths = u32::try_from(factor.0).ok().filter(|factor| (1..=MOST_FACTOR).contains(factor));
    Ok((region.as_str().into(), millionths.ok_or(Unusable::Factor)?))
}

fn resolve_column(name: &str, raw: &RawColumn) -> Result<(Box<str>, Column), Unusable> {
    Ok((name.into(), column(raw.rates(), &raw.tiers)?))
}

fn column(rates: Rates, tiers: &[RawTier]) -> Result<Column, Unusable> {
    let tiers: Vec<_> = tiers.iter().map(|t| (t.above, t.rates())).collect();
    let ascending = tiers.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
    ascending.then_some(Column { rates, tiers }).ok_or(Unusable::Order)
}

/// A price says at least something of every request: an input or an output rate, or a fee.
pub(super) fn check(price: &Price) -> Result<(), Unusable> {
    price.standard.rates.is_usable().then_some(()).ok_or(Unusable::Empty)
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
    /// A factor of zero, or of more than ten.
    Factor,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a price needs at least `input`, `output`, `image`, `second`, `character` or `request`",
            Self::Order => "`tiers` must ascend by `above`",
            Self::Factor => "`regions` holds factors such as 1.1, above 0 and up to 10",
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
