//! `limits`, and what of limits and budgets can never be reached: it is refused, for whoever wrote it
//! believes in it.

use super::budget;
use crate::config::budget::Budget;
use crate::config::limits::{Limited, Limits, Share, What};
use crate::config::raw;
use crate::config::read::{At, Context};
use crate::config::runtime::Tenant;
use crate::config::yaml::Place;

/// `on_store_loss` where there is no store does nothing.
pub(super) fn losses(config: &raw::Config, cx: &mut Context<'_>) {
    if config.state.shared.is_some() || config.state.written.contains(&"shared") {
        return;
    }
    let mut say = |place: Place| {
        cx.say(place, "`on_store_loss` without a store that could be lost")
            .label("expected `state.shared` too, or nothing")
            .help("`state: {shared: redis://...}` has all replicas share limits and budgets");
    };
    if config.state.written.contains(&"on_store_loss") {
        say(config.state.on_store_loss.place);
    }
    for (_, tenant) in &config.tenants.entries {
        let keys = tenant.keys.iter().flat_map(|keys| &keys.value);
        let tags = tenant.tags.entries.iter().map(|(_, share)| share);
        let shares = || tags.clone().chain([&tenant.users.value]);
        let models = tenant.model_limits.entries.iter().map(|(_, limits)| limits);
        let own = keys.clone().map(|key| &key.limits.value).chain(shares().map(|share| &share.limits.value));
        let limits = own.chain(models).chain([&tenant.limits.value]);
        limits.filter_map(|limits| limits.on_store_loss.as_ref()).for_each(|word| say(word.place));
        let models = tenant.model_budgets.entries.iter().flat_map(|(_, budgets)| budgets);
        let own = keys.flat_map(|key| &key.budgets.value).chain(shares().flat_map(|share| &share.budgets.value));
        let budgets = own.chain(models).chain(&tenant.budgets.value);
        budgets.filter_map(|budget| budget.on_store_loss.as_ref()).for_each(|word| say(word.place));
    }
}

/// Limits and budgets with where they stand.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) limits: Limits,
    pub(super) budgets: Vec<Budget>,
    limits_at: Vec<(Limited, Place)>,
    budgets_at: Vec<Place>,
}

impl Found {
    pub(super) fn read(limits: &raw::Limits, budgets: &At<Vec<raw::Budget>>, cx: &mut Context<'_>) -> Self {
        let (limits, limits_at) = read(limits, cx);
        let (budgets, budgets_at) = budget::budgets(budgets, cx);
        Self { limits, budgets, limits_at, budgets_at }
    }

    /// Those of a tenant that is in force: nothing of them is said to be wrong.
    pub(super) fn of(tenant: &Tenant) -> Self {
        let (limits, budgets) = (tenant.limits, tenant.budgets.clone());
        Self { limits, budgets, limits_at: Vec::new(), budgets_at: Vec::new() }
    }

    pub(super) fn limits(raw: &raw::Limits, cx: &mut Context<'_>) -> Self {
        let (limits, limits_at) = read(raw, cx);
        Self { limits, limits_at, budgets: Vec::new(), budgets_at: Vec::new() }
    }

    pub(super) fn budgets(raw: &At<Vec<raw::Budget>>, cx: &mut Context<'_>) -> Self {
        let (budgets, budgets_at) = budget::budgets(raw, cx);
        Self { limits: Limits::default(), limits_at: Vec::new(), budgets, budgets_at }
    }

    pub(super) fn into_share(self) -> Share {
        Share { limits: self.limits, budgets: self.budgets }
    }

    /// Whatever is larger than its tenant's of the same kind is never reached.
    pub(super) fn within(&self, tenant: &Self, cx: &mut Context<'_>) {
        for (limited, place) in &self.limits_at {
            let (own, most) = (self.limits.get(*limited), tenant.limits.get(*limited));
            if let (Some(own), Some(most)) = (own, most)
                && own > most
            {
                cx.say(*place, "a limit that is never reached")
                    .label(format!("expected at most {most}: all of the tenant may have no more"));
            }
        }
        for (budget, place) in self.budgets.iter().zip(&self.budgets_at) {
            let most = tenant.budgets.iter().find(|known| known.name() == budget.name() && !known.soft);
            if let Some(most) = most.filter(|most| most.most < budget.most) {
                cx.say(*place, "a budget that is never used up")
                    .label(format!("expected no more than all of the tenant may use: {most}"));
            }
        }
    }
}

fn read(raw: &raw::Limits, cx: &mut Context<'_>) -> (Limits, Vec<(Limited, Place)>) {
    let mut places = Vec::new();
    let limits = Limits::of_raw(raw, |limited, given| {
        if given.value == 0 {
            cx.say(given.place, "a limit of 0 refuses everything")
                .label("expected at least 1")
                .help("leave it out for no limit; `active: false` switches a key off");
            return None;
        }
        places.push((limited, given.place));
        Some(given.value)
    });
    if let (Some(word), true) = (&raw.on_store_loss, limits.is_empty()) {
        cx.say(word.place, "`on_store_loss` without a limit").label("expected a limit beside it, or nothing");
    }
    for (limited, place) in &places {
        dead(*limited, *place, &limits, cx);
    }
    (limits, places)
}

/// A limit that another one in the same place always reaches before it.
fn dead(limited: Limited, place: Place, limits: &Limits, cx: &mut Context<'_>) {
    let (Limited::Rate(rate), Some(limit)) = (limited, limits.get(limited)) else { return };
    let reached_first = limits.iter().find(|(other, most)| {
        let Limited::Rate(other) = *other else { return false };
        let longer = other.what == rate.what && other.every > rate.every;
        let whole = other.what == What::Tokens
            && matches!(rate.what, What::InputTokens | What::OutputTokens)
            && other.every >= rate.every;
        (longer || whole) && limit > *most
    });
    if let Some((other, most)) = reached_first {
        cx.say(place, "a limit that is never reached")
            .label(format!("expected at most {most}, which is the limit of {}", other.words()));
    }
}
