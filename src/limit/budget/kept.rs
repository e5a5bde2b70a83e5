//! What was spent, as text to keep over a restart.

use serde::{Deserialize, Serialize};

use super::account::{Spend, Tally};
use super::period::Bounds;
use crate::config::budget::{Per, Period};
use crate::limit::Scope;
use crate::usage::price::PicoUsd;

/// Of what is written; another one is not understood.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    spent: Vec<Row>,
}

/// One tally of one scope.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    tenant: String,
    /// `None`: the tenant's own.
    key: Option<String>,
    per: String,
    reset_day: u32,
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
        if kept.version != VERSION {
            return Err(format!("version {} is not understood", kept.version));
        }
        kept.spent.into_iter().map(Row::read).collect()
    }

    pub(super) fn write(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|e| e.to_string())
    }
}

impl Row {
    /// Limits on models have no budgets.
    pub(super) fn of(scope: &Scope, tally: &Tally) -> Option<Self> {
        let (tenant, key) = match scope {
            Scope::Tenant(tenant) => (tenant.clone(), None),
            Scope::Key { tenant, key } => (tenant.clone(), Some(key.clone())),
            Scope::Model { .. } => return None,
        };
        Some(Self {
            tenant,
            key,
            per: tally.period.per.as_str().to_owned(),
            reset_day: tally.period.reset_day,
            begins_ms: tally.bounds.begins_ms,
            tokens: tally.spent.tokens,
            pico_usd: tally.spent.cost.0.to_string(),
        })
    }

    fn read(self) -> Result<(Scope, Tally), String> {
        let tenant = self.tenant;
        let scope = match self.key {
            Some(key) => Scope::Key { tenant, key },
            None => Scope::Tenant(tenant),
        };
        let per = Per::WORDS.iter().find(|(word, _)| *word == self.per).map(|(_, per)| *per);
        let per = per.ok_or_else(|| format!("no period is named `{}`", self.per))?;
        let period = Period { per, reset_day: self.reset_day };
        let pico = self.pico_usd.parse().map_err(|_| format!("not an amount: `{}`", self.pico_usd))?;
        let spent = Spend { tokens: self.tokens, cost: PicoUsd(pico) };
        Ok((scope, Tally { period, bounds: Bounds::around(period, self.begins_ms), spent }))
    }
}
