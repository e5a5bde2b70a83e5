//! Budgets and usage as JSON: amounts of USD are decimal numbers, exact.

use std::time::{Duration, UNIX_EPOCH};

use super::account::Spend;
use super::period::Bounds;
use super::purse::{Balance, Purse};
use crate::config::budget::{Amount, Unit};
use crate::limit::clock::Rfc3339;
use crate::wire::json::Obj;

fn moment(unix_ms: u64) -> String {
    Rfc3339(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string()
}

impl Balance {
    /// `budget`, `unit`, `per`, `soft`, `limit`, `spent`, `reserved`, `remaining`, `resets_at`, `time_zone`,
    /// `warn_at`, `stop`.
    pub fn write(&self, row: &mut Obj<'_>) {
        let budget = &self.budget;
        let amount = |amount: i128| Amount(budget.unit, amount).to_string();
        row.text("budget", &budget.name()).text("unit", budget.unit.as_str()).text("per", budget.period.per.as_str());
        row.bool("soft", budget.soft).raw("limit", &amount(budget.most)).raw("spent", &amount(self.spent));
        row.raw("reserved", &amount(self.reserved)).raw("remaining", &amount(self.remaining()));
        match self.resets_at_ms {
            Some(at_ms) => row.text("resets_at", &moment(at_ms)),
            None => row.null("resets_at"),
        };
        row.text("time_zone", budget.period.zone_name());
        let mut marks = row.arr("warn_at");
        for percent in budget.warn_at.iter() {
            marks.raw(&percent.to_string());
        }
        drop(marks);
        row.bool("stop", budget.stop);
    }
}

impl Purse {
    /// `scope`, `name`, `day` and `month`.
    pub fn write_usage(&self, row: &mut Obj<'_>, unix_ms: u64) {
        row.text("scope", self.scope.kind()).text("name", self.scope.name());
        for (per, spent, bounds) in self.usage(unix_ms) {
            write_spend(&mut row.obj(per.as_str()), spent, bounds);
        }
    }
}

fn write_spend(row: &mut Obj<'_>, spent: Spend, bounds: Bounds) {
    row.text("since", &moment(bounds.begins_ms)).num("tokens", spent.tokens);
    row.raw("cost_usd", &Amount(Unit::Usd, spent.cost.0).to_string());
}
