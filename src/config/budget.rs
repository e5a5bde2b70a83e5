//! A budget: what a tenant or a key may use in a period of the calendar.

use std::fmt;

use crate::usage::price::PicoUsd;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// In pico-USD.
    Usd,
    Tokens,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Day,
    Week,
    Month,
    /// It never ends.
    Total,
}

/// Periods of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub per: Per,
    /// The day that it begins with: of the month, or of the week from Monday on. 1 for all others.
    pub reset_day: u32,
}

/// One entry of `budgets:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub unit: Unit,
    /// Tokens or pico-USD; more than 0.
    pub most: i128,
    pub period: Period,
    /// Only warns.
    pub soft: bool,
}

/// An amount as people write it: whole tokens, or decimal USD.
#[derive(Debug, Clone, Copy)]
pub struct Amount(pub Unit, pub i128);

impl Unit {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Tokens => "tokens",
        }
    }
}

impl Per {
    /// The word of the configuration.
    pub const WORDS: [(&'static str, Self); 4] =
        [("day", Self::Day), ("week", Self::Week), ("month", Self::Month), ("total", Self::Total)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }
}

impl Budget {
    /// `usd_month`, `tokens_day_soft`: no two of one scope have the same.
    pub fn name(&self) -> String {
        let soft = if self.soft { "_soft" } else { "" };
        format!("{}_{}{soft}", self.unit.as_str(), self.period.per.as_str())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unit::Usd => PicoUsd(self.1).fmt(f),
            Unit::Tokens => self.1.fmt(f),
        }
    }
}

/// `100 USD per month`, `5000000 tokens in total`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Usd => "USD",
            Unit::Tokens => "tokens",
        };
        write!(f, "{} {unit} ", Amount(self.unit, self.most))?;
        match self.period.per {
            Per::Total => f.write_str("in total"),
            per => write!(f, "per {}", per.as_str()),
        }
    }
}
