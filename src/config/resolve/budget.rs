//! `budgets`.

use crate::config::budget::{Budget, Per, Period, Unit};
use crate::config::raw;
use crate::config::read::{At, Context};

/// The budgets of a tenant or a key.
pub(super) fn budgets(all: &At<Vec<raw::Budget>>, cx: &mut Context<'_>) -> Vec<Budget> {
    let mut budgets: Vec<Budget> = Vec::with_capacity(all.value.len());
    for raw in &all.value {
        let Some(budget) = budget(raw, cx) else { continue };
        if budgets.iter().any(|known| known.name() == budget.name()) {
            cx.say(raw.place, "two budgets of the same kind for the same period")
                .label(format!("expected one budget of {} per {}", budget.unit.as_str(), budget.period.per.as_str()))
                .help("one more may be `soft: true`, to warn before the other refuses");
        }
        budgets.push(budget);
    }
    budgets
}

fn budget(raw: &raw::Budget, cx: &mut Context<'_>) -> Option<Budget> {
    let amount = amount(raw, cx);
    let Some(per) = &raw.per else {
        if !raw.written.contains(&"per") {
            cx.say(raw.place, "a budget without a period").label("expected `per: day`, `week`, `month` or `total`");
        }
        return None;
    };
    let period = Period { per: per.value.0, reset_day: reset_day(per.value.0, raw, cx) };
    let (unit, most) = amount?;
    Some(Budget { unit, most, period, soft: raw.soft.value })
}

fn amount(raw: &raw::Budget, cx: &mut Context<'_>) -> Option<(Unit, i128)> {
    let (unit, most) = match (&raw.usd, &raw.tokens) {
        (Some(usd), None) => (Unit::Usd, At { value: usd.value.0, place: usd.place }),
        (None, Some(tokens)) => (Unit::Tokens, At { value: i128::from(tokens.value), place: tokens.place }),
        (Some(_), Some(tokens)) => {
            cx.say(tokens.place, "a budget with both `usd` and `tokens`")
                .label("expected one of them")
                .help("a list may hold two budgets: both are kept to");
            return None;
        }
        (None, None) => {
            if !raw.written.contains(&"usd") && !raw.written.contains(&"tokens") {
                cx.say(raw.place, "a budget of nothing").label("expected `usd` or `tokens`");
            }
            return None;
        }
    };
    if most.value == 0 {
        cx.say(most.place, "a budget of 0 refuses everything")
            .label("expected more than 0")
            .help("leave it out for no budget; `active: false` switches a key off");
    }
    Some((unit, most.value))
}

fn reset_day(per: Per, raw: &raw::Budget, cx: &mut Context<'_>) -> u32 {
    let (last, expected) = match per {
        Per::Month => (28, "expected a day of the month that all have: 1 to 28"),
        Per::Week => (7, "expected a day of the week: 1 to 7, Monday is 1"),
        Per::Day | Per::Total => (1, "only a month or a week begins with a day of its own"),
    };
    let day = raw.reset.value;
    if !(1..=last).contains(&day) {
        cx.say(raw.reset.place, format!("not a day that a budget per {} can begin with", per.as_str())).label(expected);
    }
    day.clamp(1, last)
}
