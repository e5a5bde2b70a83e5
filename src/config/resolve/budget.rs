//! `budgets`.

use jiff::tz::TimeZone;

use crate::config::budget::{Budget, Per, Percents, Period, Unit};
use crate::config::raw;
use crate::config::read::{At, Context};
use crate::config::yaml::Place;

/// The budgets of one scope, and where each stands.
pub(super) fn budgets(all: &At<Vec<raw::Budget>>, cx: &mut Context<'_>) -> (Vec<Budget>, Vec<Place>) {
    let mut budgets: Vec<Budget> = Vec::with_capacity(all.value.len());
    let mut places = Vec::with_capacity(all.value.len());
    for raw in &all.value {
        let Some(budget) = budget(raw, cx) else { continue };
        if budgets.iter().any(|known| known.name() == budget.name()) {
            cx.say(raw.place, "two budgets of the same kind for the same period")
                .label(format!("expected one budget of {} per {}", budget.unit.as_str(), budget.period.per.as_str()))
                .help("one more may be `soft: true`, to warn before the other refuses");
        }
        budgets.push(budget);
        places.push(raw.place);
    }
    for (budget, place) in budgets.iter().zip(&places).filter(|(budget, _)| budget.soft) {
        let hard = budgets.iter().find(|it| !it.soft && (it.unit, &it.period) == (budget.unit, &budget.period));
        if let Some(hard) = hard.filter(|hard| hard.most < budget.most) {
            cx.say(*place, "a soft budget that is never used up").label(format!("expected no more than {hard}"));
        }
    }
    (budgets, places)
}

fn budget(raw: &raw::Budget, cx: &mut Context<'_>) -> Option<Budget> {
    let amount = amount(raw, cx);
    let Some(per) = &raw.per else {
        if !raw.written.contains(&"per") {
            cx.say(raw.place, "a budget without a period").label("expected `per: day`, `week`, `month` or `total`");
        }
        return None;
    };
    let period =
        Period { per: per.value.0, reset_day: reset_day(per.value.0, raw, cx), zone: zone(per.value.0, raw, cx) };
    let (soft, warn_at, stop) = (raw.soft.value, warn_at(raw, cx), raw.stop.value);
    if soft && stop {
        cx.say(raw.stop.place, "a soft budget ends no streams")
            .label("expected a budget that is not soft: a soft one only warns");
    }
    let (unit, most) = amount?;
    let on_store_loss = raw.on_store_loss.as_ref().map(|word| word.value.0);
    Some(Budget { unit, most, period, soft, warn_at, stop, on_store_loss })
}

fn zone(per: Per, raw: &raw::Budget, cx: &mut Context<'_>) -> TimeZone {
    let Some(zone) = &raw.time_zone else { return TimeZone::UTC };
    if per == Per::Total {
        cx.say(zone.place, "a total never begins anew")
            .label("expected nothing: only a day, a week and a month begin at a midnight");
    }
    zone.value.0.clone()
}

fn warn_at(raw: &raw::Budget, cx: &mut Context<'_>) -> Percents {
    let Some(given) = &raw.warn_at else { return Percents::USUAL };
    let mut percents = Percents::default();
    for percent in &given.value {
        if !(1..=100).contains(&percent.value) {
            cx.say(percent.place, "not a share of a budget").label("expected percents: 1 to 100");
        } else if !percents.add(percent.value) {
            cx.say(percent.place, format!("{} percent are there twice", percent.value)).label("expected each once");
        }
    }
    if given.value.is_empty() && raw.soft.value {
        cx.say(given.place, "a soft budget that never warns")
            .label("expected at least one percent: it does nothing else");
    }
    percents
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
