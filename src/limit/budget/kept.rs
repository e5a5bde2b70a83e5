//! What was spent, as text to keep over a restart.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::account::{Spend, Tally};
use super::period::Bounds;
use crate::config::budget::{Per, Period};
use crate::limit::Scope;
use crate::limit::named::Named;
use crate::usage::price::PicoUsd;

/// Of what is written. The one before had tenants and keys only, in UTC, and is understood; others are
/// not.
const VERSION: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    spent: Vec<Row>,
}

/// One tally of one scope.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    #[serde(flatten)]
    scope: Named,
    per: String,
    reset_day: u32,
    /// UTC where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    begins_ms: u64,
    tokens: u64,
    /// Text: an integer of JSON may be too short for it.
    pico_usd: String,
}

impl Kept {
    pub(super) fn new(spent: Vec<Row>) -> Self {
        Self { version: VERSION, spent }
    }

    pub(super) fn read(text: &str) -> Result<Vec<(Scope, Tally)>, String> {
        let kept: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if !(1..=VERSION).contains(&kept.version) {
            return Err(format!("version {} is not understood", kept.version));
        }
        kept.spent.into_iter().map(Row::read).collect()
    }

    pub(super) fn write(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|e| e.to_string())
    }
}

impl Row {
    pub(super) fn of(scope: &Scope, tally: &Tally) -> Self {
        Self {
            scope: scope.into(),
            per: tally.period.per.as_str().to_owned(),
            reset_day: tally.period.reset_day,
            time_zone: tally.period.zone.iana_name().filter(|name| *name != "UTC").map(str::to_owned),
            begins_ms: tally.bounds.begins_ms,
            tokens: tally.spent.tokens,
            pico_usd: tally.spent.cost.0.to_string(),
        }
    }

    fn read(self) -> Result<(Scope, Tally), String> {
        let per = Per::WORDS.iter().find(|(word, _)| *word == self.per).map(|(_, per)| *per);
        let per = per.ok_or_else(|| format!("no period is named `{}`", self.per))?;
        let zone = match self.time_zone.as_deref() {
            Some(name) => TimeZone::get(name).map_err(|e| e.to_string())?,
            None => TimeZone::UTC,
        };
        let period = Period { per, reset_day: self.reset_day, zone };
        let pico = self.pico_usd.parse().map_err(|_| format!("not an amount: `{}`", self.pico_usd))?;
        let spent = Spend { tokens: self.tokens, cost: PicoUsd(pico) };
        let bounds = Bounds::around(&period, self.begins_ms);
        Ok((self.scope.into(), Tally { period, bounds, spent, known_from_ms: None }))
    }
}
