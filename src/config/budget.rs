//! A budget: what a tenant, a key, a user, a tag or a model may use in a period of the calendar.

use std::fmt;

use jiff::tz::TimeZone;

use super::runtime::OnStoreLoss;
use crate::usage::price::PicoUsd;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// In pico-USD.
    Usd,
    Tokens,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    Day,
    Week,
    Month,
    /// It never ends.
    Total,
}

/// Periods of the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub per: Per,
    /// The day that it begins with: of the month, or of the week from Monday on. 1 for all others.
    pub reset_day: u32,
    /// Whose midnight it begins at.
    pub zone: TimeZone,
}

/// Percents of a budget, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percents(u128);

/// One entry of `budgets:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub unit: Unit,
    /// Tokens or pico-USD; more than 0.
    pub most: i128,
    pub period: Period,
    /// Only warns.
    pub soft: bool,
    /// Who is told when so much of it is spent.
    pub warn_at: Percents,
    /// Ends streams that run when it runs out.
    pub stop: bool,
    /// `None`: `state.on_store_loss`.
    pub on_store_loss: Option<OnStoreLoss>,
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

impl Period {
    /// One in UTC that begins with the first day.
    pub const fn plain(per: Per) -> Self {
        Self { per, reset_day: 1, zone: TimeZone::UTC }
    }

    /// The name of its time zone.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }
}

impl Percents {
    /// Where nobody says anything else.
    pub const USUAL: Self = Self(1 << 80 | 1 << 100);

    /// Adds one; false where it is not 1 to 100, or was there.
    pub fn add(&mut self, percent: u32) -> bool {
        let bit = if (1..=100).contains(&percent) { 1 << percent } else { 0 };
        let is_new = bit != 0 && self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// From the smallest on.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let next = (rest != 0).then(|| rest.trailing_zeros());
            rest &= rest.wrapping_sub(1);
            next
        })
    }
}

impl Budget {
    /// A hard one that warns as usual.
    pub const fn hard(unit: Unit, most: i128, period: Period) -> Self {
        Self { unit, most, period, soft: false, warn_at: Percents::USUAL, stop: false, on_store_loss: None }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_a_set_of_1_to_100() {
        let mut percents = Percents::default();
        assert!(percents.is_empty() && percents.add(80) && percents.add(1) && percents.add(100));
        assert!(!percents.add(80) && !percents.add(0) && !percents.add(101));
        assert_eq!(percents.iter().collect::<Vec<_>>(), [1, 80, 100]);
        assert_eq!(Percents::USUAL.iter().collect::<Vec<_>>(), [80, 100]);
    }
}
