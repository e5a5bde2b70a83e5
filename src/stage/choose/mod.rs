//! Whom to ask first: a plan's targets put in order, each of their endpoints a target of its own, and
//! those left out that may not serve this tenant.

use std::sync::Arc;

use http::HeaderMap;

use super::parse::Parsed;
use super::route::{Plan, Target};
use super::select::{self, Selection};
use crate::config::runtime::{Deployment, Key, Prefer, Route, Strategy};
use crate::error::{Error, Kind, Result};
use crate::route::affinity::{self, Source};
use crate::route::auto::USUAL_OUTPUT_TOKENS;
use crate::route::board::Board;
use crate::route::pick::{self, Ask, Choice, Seat};
use crate::usage::price::PriceTable;
use crate::usage::tokens::Usage;
use crate::wire::Dialect;
use crate::wire::envelope::Envelope;
use crate::wire::seal::Seal;

/// What of the request the choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub key: &'a Key,
    pub board: &'a Board,
    pub prices: &'a PriceTable,
    pub parsed: &'a Parsed,
    pub body: &'a [u8],
    /// The format of a request for generation.
    pub dialect: Option<Dialect>,
    pub headers: &'a HeaderMap,
    pub tags: &'a [String],
    /// What `auto` weighs most, where the request says so.
    pub prefer: Option<Prefer>,
    pub now_ms: u64,
    /// A number that differs from request to request.
    pub chance: u64,
    /// Days since 1970: prices have dates.
    pub day: i64,
}

/// Puts the plan's targets in the order to try them.
pub fn choose(plan: &mut Plan, asked: &Asked<'_>) -> Result<()> {
    if let [only] = plan.targets.as_slice()
        && is_only(plan)
    {
        if !asked.key.tenant.permits(&only.deployment) {
            return Err(not_permitted());
        }
        plan.vitals = asked.board.vital(&only.deployment, &only.model).into_iter().collect();
        return Ok(());
    }
    let considered = consider(plan, asked);
    if considered.choices.iter().all(|choice| choice.seats.is_empty()) {
        return Err(not_permitted());
    }
    let order = considered.order(plan)?;
    plan.chosen_by = Some(considered.chosen_by(plan, &order));
    let Considered { places, choices, ask, selection, .. } = considered;
    plan.reason = selection.map(|selection| selection.reason);
    let mut chosen = Vec::with_capacity(plan.targets.len());
    let mut vitals = Vec::with_capacity(plan.targets.len());
    for index in order {
        let (Some(choice), Some(Some(place))) = (choices.get(index), places.get(index)) else { continue };
        let Some(target) = plan.targets.get(*place) else { continue };
        for seat in pick::seats(choice, &ask).into_iter().filter_map(|seat| choice.seats.get(seat)) {
            let endpoint = target.deployment.endpoints().nth(seat.place);
            chosen.extend(endpoint.map(|endpoint| target.at(endpoint, asked.prices)));
            vitals.push(Arc::clone(&seat.vital));
        }
    }
    (plan.targets, plan.vitals) = (chosen, vitals);
    first_who_sealed(plan, asked);
    Ok(())
}

/// Leaves out what is not of the first target's provider.
pub fn keep_to_first_provider(plan: &mut Plan) {
    let first = plan.targets.first().map(|target| Arc::clone(&target.deployment));
    plan.retain(|target| first.as_ref().is_some_and(|first| first.name == target.deployment.name));
}

/// What the order of a plan's targets rests on, one for each target of the route.
#[derive(Debug)]
pub struct Considered {
    /// Where it stands in the plan, which may have left it out.
    pub places: Vec<Option<usize>>,
    pub choices: Vec<Choice>,
    /// What `auto` has decided.
    pub selection: Option<Selection>,
    /// The place of the rule that held.
    pub rule: Option<usize>,
    pub ask: Ask,
    /// What tells the conversation that should stay where it is.
    pub told_by: Option<Source>,
}

/// Looks at all targets of a plan that is not in order yet.
pub fn consider(plan: &Plan, asked: &Asked<'_>) -> Considered {
    let route = plan.route.as_deref();
    let places = match route {
        Some(route) => places_in(route, &plan.targets),
        None => (0..plan.targets.len()).map(Some).collect(),
    };
    let rule = route.and_then(|route| select::rule(route, asked));
    let left = route.and_then(|route| select::narrowed(route, rule));
    let targets: Vec<Option<&Target>> = places
        .iter()
        .enumerate()
        .map(|(at, place)| plan.targets.get((*place)?).filter(|_| left.is_none_or(|left| left.contains(&at))))
        .collect();
    let choices: Vec<Choice> = targets.iter().map(|target| choice(*target, asked)).collect();
    let chooses = route.filter(|route| route.group.strategy == Strategy::Auto);
    let selection = chooses.map(|route| select::select(route, &targets, &choices, asked));
    let rule = selection.as_ref().map_or(rule, |selection| selection.decision.rule);
    let (ask, told_by) = ask(route, &plan.targets, asked);
    Considered { places, choices, selection, rule, ask, told_by }
}

impl Considered {
    /// In which order to try them.
    fn order(&self, plan: &Plan) -> Result<Vec<usize>> {
        match (&plan.route, &self.selection) {
            (_, Some(selection)) => Ok(pick::sorted_by_rank(select::order(selection, &self.choices)?, &self.choices)),
            (Some(route), None) => Ok(pick::targets(&route.group, &self.choices, &self.ask)),
            (None, None) => Ok((0..self.choices.len()).collect()),
        }
    }
}

impl Considered {
    /// What put the first target first, in a word.
    fn chosen_by(&self, plan: &Plan, order: &[usize]) -> &'static str {
        let Some(route) = plan.route.as_deref().filter(|_| plan.targets.len() > 1) else {
            return if self.ask.affinity.is_some() { "affinity" } else { "spread" };
        };
        let best = self.choices.iter().position(|choice| !choice.seats.is_empty());
        let stays = self.ask.affinity.is_some() && self.ask.among_targets;
        match route.group.strategy {
            Strategy::Fallback if order.first() != best.as_ref() => "health",
            Strategy::Weighted | Strategy::LeastBusy | Strategy::Latency if stays => "affinity",
            strategy => strategy.as_str(),
        }
    }
}

/// Whether there is nothing to choose: one target with one endpoint, and nobody to say whether it fits.
pub fn is_only(plan: &Plan) -> bool {
    let fits = plan.route.as_ref().is_none_or(|route| route.group.strategy != Strategy::Auto);
    fits && matches!(plan.targets.as_slice(), [only] if only.deployment.others.is_empty())
}

fn not_permitted() -> Error {
    Error::new(Kind::ModelNotAllowed, "no provider of this model may serve this tenant: its regions or promises differ")
        .with_param("model")
}

/// Where each target of the route stands in the plan; some may have been left out of it.
fn places_in(route: &Route, targets: &[Target]) -> Vec<Option<usize>> {
    let count = route.targets().len();
    (0..count).map(|place| targets.iter().position(|target| target.place == place)).collect()
}

/// A target with those of its endpoints that may serve the tenant.
fn choice(target: Option<&Target>, asked: &Asked<'_>) -> Choice {
    let Some(target) = target else { return Choice { id: 0, seats: Vec::new(), cost: None } };
    let tokens = asked.parsed.reserve_tokens();
    let seat = |(place, deployment): (usize, &Arc<Deployment>)| {
        let vital = asked.board.vital(deployment, &target.model)?;
        let standing = vital.standing(tokens, asked.now_ms);
        Some(Seat { place, vital, standing, weight: deployment.weight })
    };
    let numbered = target.deployment.endpoints().enumerate();
    let permitted = numbered.filter(|(_, deployment)| asked.key.tenant.permits(deployment));
    let id = affinity::id(&[&target.deployment.name, &target.model]);
    Choice { id, seats: permitted.filter_map(seat).collect(), cost: cost(target, asked) }
}

fn cost(target: &Target, asked: &Asked<'_>) -> Option<i128> {
    let usage = Usage {
        fresh_input_tokens: asked.parsed.input_estimate_tokens,
        visible_output_tokens: asked.parsed.max_output_tokens.unwrap_or(USUAL_OUTPUT_TOKENS),
        ..Usage::default()
    };
    Some(target.info.as_ref()?.cost(&usage, None, asked.day, target.deployment.region.as_deref())?.0)
}

fn ask(route: Option<&Route>, targets: &[Target], asked: &Asked<'_>) -> (Ask, Option<Source>) {
    let same = |one: &Target, other: &Target| one.model == other.model;
    let one_model = targets.first().is_some_and(|first| targets.len() > 1 && targets.iter().all(|t| same(first, t)));
    let among_targets = route.is_some_and(|route| route.affinity.unwrap_or(one_model));
    let among_endpoints = route.and_then(|route| route.affinity) != Some(false)
        && targets.iter().any(|target| !target.deployment.others.is_empty());
    let conversation = || {
        let envelope = Envelope::restore(asked.body, &asked.parsed.outline);
        let header = |name: &str| asked.headers.get(name).map(http::HeaderValue::as_bytes);
        affinity::key(&asked.key.tenant.id, header, &envelope)
    };
    let told = (among_targets || among_endpoints).then(conversation).flatten();
    let affinity = told.map(|told| told.key);
    let ask = Ask { now_ms: asked.now_ms, chance: asked.chance, affinity, among_targets };
    (ask, told.map(|told| told.told_by))
}

/// Sealed state opens where it was made: elsewhere the conversation would go on without it.
fn first_who_sealed(plan: &mut Plan, asked: &Asked<'_>) {
    let packed = || (asked.dialect == Some(Dialect::Gemini)).then(|| Seal::last_packed_maker(asked.body)).flatten();
    let Some(maker) = packed().or_else(|| Seal::last_maker(asked.body)) else { return };
    let made = plan.targets.iter().position(|target| target.deployment.seal.is_maker(maker));
    let is_out = |at: &usize| plan.vitals.get(*at).is_none_or(|vital| vital.standing(0, asked.now_ms).is_out());
    if let Some(at) = made.filter(|at| !is_out(at))
        && at < plan.vitals.len()
    {
        let (target, vital) = (plan.targets.remove(at), plan.vitals.remove(at));
        plan.targets.insert(0, target);
        plan.vitals.insert(0, vital);
        if at > 0 {
            plan.chosen_by = Some("sealed");
        }
    }
}

#[cfg(test)]
pub(in crate::stage) mod tests;
