//! `budgets`.

use jiff::tz::TimeZone;
use schemars::{Schema, json_schema};

use super::OnStoreLossWord;
use crate::config::budget::Per;
use crate::config::read::{At, Scalar, one_of, settings};
use crate::usage::price::amount;

settings! {
    /// What may be used in a period of the calendar: `usd` or `tokens`, one of them. A request that may
    /// use more than is left is refused.
    Budget in "a budget" {
        /// US dollars, by the prices of the price table: a decimal number, exact.
        usd: UsdText,
        /// Tokens, input and output together.
        tokens: u64,
        /// `day`, `week`, `month` or `total` (it never begins anew). Periods begin at midnight.
        per: PerWord,
        /// Only warn, in the log, and refuse nothing.
        soft: bool = "false",
        /// The day that a month begins with (1 to 28), or a week (1 to 7, Monday is 1).
        reset: u32 = "1",
        /// Whose midnight it begins at, by the name of the IANA database (`Europe/Berlin`); days in
        /// which clocks change are shorter or longer. Default: UTC.
        time_zone: Zone,
        /// Warn when so many percent of it are spent, once for each in each period. Default: 80 and 100.
        warn_at: Vec<At<u32>>,
        /// End streams that run with an error when nothing is left for them, instead of letting them
        /// exceed it.
        stop: bool = "false",
        /// What holds for it while the store of `state.shared` is gone. Default: `state.on_store_loss`.
        on_store_loss: OnStoreLossWord,
    }
}

/// USD as pico-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsdText(pub i128);

impl Scalar for UsdText {
    fn parse(text: &str) -> Result<Self, String> {
        match amount::each(text) {
            Ok(pico) => Ok(Self(pico.into())),
            Err(amount::Invalid::Number) => Err("an amount in USD such as 100 or 0.15".to_owned()),
            Err(why) => Err(why.to_string().trim_start_matches("expected ").to_owned()),
        }
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": r"^([0-9]*(\.[0-9]+)?|\$\{.*|file:.*)$"},
        ]})
    }
}

/// `per`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerWord(pub Per);

impl Scalar for PerWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &Per::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": Per::WORDS.map(|(word, _)| word)})
    }
}

/// `time_zone`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(pub TimeZone);

impl Scalar for Zone {
    fn parse(text: &str) -> Result<Self, String> {
        let zone = TimeZone::get(text).ok().filter(|zone| zone.iana_name().is_some());
        zone.map(Self).ok_or_else(|| "the name of a time zone such as UTC or Europe/Berlin".to_owned())
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}
