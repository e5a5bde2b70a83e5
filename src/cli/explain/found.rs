//! What would become of a request, as the gateway's own functions decide it.

use std::sync::Arc;

use serde::Serialize;

use crate::config::attempts::AttemptRules;
use crate::config::runtime::{Deployment, Route, RouteTarget, Runtime, Tenant};
use crate::route::affinity::Source;
use crate::route::auto::{Need, Verdict};
use crate::stage::choose::{self, Asked, Considered};
use crate::stage::route::{self, Plan, Target};
use crate::stage::select;
use crate::usage::price::PicoUsd;

/// Numbers that stand for chance, to see whether it matters.
const CHANCES: u64 = 32;

/// Everything there is to say.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// As the request has it.
    pub(super) model: String,
    /// The name that allow-lists and limits see.
    pub(super) public: Option<String>,
    pub(super) format: &'static str,
    pub(super) tenant: String,
    pub(super) key: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) input_tokens: u64,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) needs: Vec<&'static str>,
    pub(super) route: Option<String>,
    pub(super) strategy: Option<&'static str>,
    /// What `auto` weighs most.
    pub(super) prefer: Option<&'static str>,
    /// Which of the route's rules held, counted from 1.
    pub(super) rule: Option<usize>,
    /// What tells the conversation that stays where it is.
    pub(super) affinity: Option<String>,
    pub(super) reason: Option<String>,
    /// In the order of the configuration.
    pub(super) targets: Vec<Row>,
    /// Of attempts, those there may be.
    pub(super) most_attempts: Option<u32>,
    /// In the order to try them.
    pub(super) order: Vec<Ask>,
    pub(super) first: Option<Ask>,
    /// Another request of the kind may begin elsewhere.
    pub(super) by_chance: bool,
    pub(super) error: Option<String>,
}

/// A target.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// `provider/model`.
    pub(super) model: String,
    pub(super) weight: Option<u32>,
    /// For this request; as text, for it is exact.
    pub(super) cost_usd: Option<String>,
    pub(super) score: Option<Score>,
    /// Why it would not be asked.
    pub(super) left_out: Option<String>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// In thousandths.
#[derive(Debug, Serialize)]
pub(super) struct Score {
    pub(super) total: u32,
    pub(super) cost: u32,
    pub(super) quality: u32,
    pub(super) latency: u32,
    /// It is not known to have all abilities that are needed: it comes after those that are.
    pub(super) doubtful: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) region: Option<String>,
    pub(super) left_out: Option<&'static str>,
}

/// Who is asked for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Ask {
    pub(super) endpoint: String,
    pub(super) provider: String,
    pub(super) model: String,
}

impl Ask {
    fn of(target: &Target) -> Self {
        let Deployment { id, name, .. } = &*target.deployment;
        Self { endpoint: id.clone(), provider: name.clone(), model: target.model.clone() }
    }
}

pub(super) fn explanation(runtime: &Runtime, asked: &Asked<'_>, format: &'static str) -> Explanation {
    let named = asked.headers.get("x-weir-provider").and_then(|value| value.to_str().ok());
    let mut told = Explanation {
        model: asked.parsed.model.clone(),
        public: None,
        format,
        tenant: asked.key.tenant.id.clone(),
        key: Some(asked.key.id.clone()).filter(|id| !id.is_empty()),
        tags: asked.tags.to_vec(),
        input_tokens: asked.parsed.input_estimate_tokens,
        max_output_tokens: asked.parsed.max_output_tokens,
        needs: needs(&select::need(asked)),
        route: None,
        strategy: None,
        prefer: None,
        rule: None,
        affinity: None,
        reason: None,
        targets: Vec::new(),
        most_attempts: None,
        order: Vec::new(),
        first: None,
        by_chance: false,
        error: None,
    };
    match route::named(&asked.parsed.model, named, asked.key, runtime) {
        Ok(plan) => told.follow(&plan, asked),
        Err(error) => told.error = Some(error.public().to_owned()),
    }
    told
}

impl Explanation {
    fn follow(&mut self, plan: &Plan, asked: &Asked<'_>) {
        let mut considered = choose::consider(plan, asked);
        if choose::is_only(plan) {
            // There is nothing to choose, and so neither rules nor scores count.
            (considered.selection, considered.rule) = (None, None);
        }
        self.public = Some(plan.public.clone());
        let AttemptRules { retries, .. } = plan.attempts;
        self.most_attempts = Some(retries.saturating_add(1));
        if let Some(route) = plan.route.as_deref() {
            self.route = Some(route.name.clone());
            self.strategy = Some(route.group.strategy.as_str());
        }
        self.rule = considered.rule.map(|rule| rule + 1);
        self.prefer = considered.selection.as_ref().map(|selection| selection.decision.prefer.as_str());
        self.affinity = considered.told_by.map(|source| match source {
            Source::Header(name) => format!("the header `{name}`"),
            Source::Member(name) => format!("the member `{name}`"),
            Source::Beginning => "how the conversation began".to_owned(),
        });
        self.targets = rows(plan, &considered, asked);
        self.reason = considered.selection.map(|selection| selection.reason);
        match order(plan, asked) {
            Ok(order) => {
                self.first = order.first().cloned();
                self.by_chance = is_by_chance(plan, asked, self.first.as_ref());
                self.order = order;
            }
            Err(error) => self.error = Some(error),
        }
    }
}

fn order(plan: &Plan, asked: &Asked<'_>) -> Result<Vec<Ask>, String> {
    let mut plan = plan.clone();
    choose::choose(&mut plan, asked).map_err(|error| error.public().to_owned())?;
    Ok(plan.targets.iter().map(Ask::of).collect())
}

fn is_by_chance(plan: &Plan, asked: &Asked<'_>, first: Option<&Ask>) -> bool {
    (1..=CHANCES).any(|chance| {
        let other = order(plan, &Asked { chance, ..*asked });
        other.is_ok_and(|order| order.first() != first)
    })
}

fn needs(need: &Need) -> Vec<&'static str> {
    let all = [
        (need.images, "images"),
        (need.audio, "audio"),
        (need.documents, "documents"),
        (need.tools, "tools"),
        (need.parallel_tools, "parallel tools"),
        (need.json_schema, "json schema"),
        (need.reasoning, "reasoning"),
        (need.system, "system prompt"),
    ];
    all.into_iter().filter(|(needed, _)| *needed).map(|(_, name)| name).collect()
}

/// All targets of the route, also those that the plan has not; or the only one.
fn rows(plan: &Plan, considered: &Considered, asked: &Asked<'_>) -> Vec<Row> {
    let tenant = &asked.key.tenant;
    let Some(route) = plan.route.as_deref() else {
        return plan
            .targets
            .iter()
            .enumerate()
            .map(|(place, target)| single(target, place, considered, tenant))
            .collect();
    };
    let left = select::narrowed(route, considered.rule);
    let targets = route.targets().into_iter().enumerate();
    let row = |(place, target): (usize, &RouteTarget)| {
        let endpoints = endpoints(&target.deployment, tenant);
        let why = why_not(route, place, considered, left).or_else(|| nowhere(&endpoints));
        Row {
            model: target.name(),
            weight: Some(target.weight),
            cost_usd: cost(considered, place),
            score: score(considered, place),
            left_out: why,
            endpoints,
        }
    };
    targets.map(row).collect()
}

fn single(target: &Target, place: usize, considered: &Considered, tenant: &Tenant) -> Row {
    let endpoints = endpoints(&target.deployment, tenant);
    Row {
        model: format!("{}/{}", target.deployment.name, target.model),
        weight: None,
        cost_usd: cost(considered, place),
        score: None,
        left_out: nowhere(&endpoints),
        endpoints,
    }
}

fn endpoints(first: &Arc<Deployment>, tenant: &Tenant) -> Vec<Endpoint> {
    let endpoint = |deployment: &Arc<Deployment>| Endpoint {
        id: deployment.id.clone(),
        region: deployment.region.clone(),
        left_out: tenant.refusal(deployment),
    };
    first.endpoints().map(endpoint).collect()
}

/// The tenant's policy leaves none of the endpoints.
fn nowhere(endpoints: &[Endpoint]) -> Option<String> {
    let is_nowhere = endpoints.iter().all(|endpoint| endpoint.left_out.is_some());
    endpoints.first().and_then(|first| first.left_out).filter(|_| is_nowhere).map(str::to_owned)
}

/// Why a route's target is not among those to choose from.
fn why_not(route: &Route, place: usize, considered: &Considered, left: Option<&[usize]>) -> Option<String> {
    if considered.places.get(place).copied().flatten().is_none() {
        return Some(format!("the key may not use it by the name `{}`", route.name));
    }
    let verdicts = considered.selection.as_ref().map(|selection| &selection.decision.verdicts);
    match verdicts.and_then(|verdicts| verdicts.get(place)) {
        // Who may go nowhere is not available either: the policy says it better.
        Some(Verdict::Excluded(reason))
            if considered.choices.get(place).is_some_and(|choice| !choice.seats.is_empty()) =>
        {
            Some(reason.to_string())
        }
        None if left.is_some_and(|left| !left.contains(&place)) => Some("not in the rule".to_owned()),
        _ => None,
    }
}

fn score(considered: &Considered, place: usize) -> Option<Score> {
    match considered.selection.as_ref()?.decision.verdicts.get(place)? {
        Verdict::Excluded(_) => None,
        Verdict::Scored { score, parts, doubtful } => Some(Score {
            total: score / 1_000,
            cost: parts.cost / 1_000,
            quality: parts.quality / 1_000,
            latency: parts.latency / 1_000,
            doubtful: *doubtful,
        }),
    }
}

fn cost(considered: &Considered, place: usize) -> Option<String> {
    Some(PicoUsd(considered.choices.get(place)?.cost?).to_string())
}
