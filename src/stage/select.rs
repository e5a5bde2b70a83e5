//! Automatic selection: what the configuration, the price table and recent answers say of a route's
//! targets, and which of them fits the request best.

use super::choose::Asked;
use super::parse::Parsed;
use super::route::Target;
use crate::config::runtime::{Route, Strategy};
use crate::error::{Error, Result};
use crate::route::auto::{Candidate, Decision, Excluded, Need, Policy, PricePerToken, Verdict};
use crate::route::pick::Choice;
use crate::usage::price::ModelInfo;
use crate::wire::{self, Abilities};

/// What was decided, with what there was to decide on.
#[derive(Debug)]
pub struct Selection {
    pub decision: Decision,
    /// Of each target, `provider/model`.
    pub names: Vec<String>,
    pub reason: String,
}

/// What the request needs, by what its own format says.
pub fn need(asked: &Asked<'_>) -> Need {
    let Parsed { input_estimate_tokens, max_output_tokens, .. } = *asked.parsed;
    let read = asked.dialect.zip(std::str::from_utf8(asked.body).ok());
    let request = read.and_then(|(dialect, body)| wire::decode_request(dialect, body).ok());
    match request {
        Some(request) => Need::of(&request, input_estimate_tokens),
        // Nothing is generated: only its size counts.
        None => Need {
            input_tokens: input_estimate_tokens,
            output_tokens: max_output_tokens.unwrap_or(0),
            ..Need::default()
        },
    }
}

/// Decides among a route's targets. `None` stands for one that may not be asked.
pub fn select(route: &Route, targets: &[Option<&Target>], choices: &[Choice], asked: &Asked<'_>) -> Selection {
    let name = |target: &Option<&Target>| {
        target.map_or_else(String::new, |target| format!("{}/{}", target.deployment.name, target.model))
    };
    let names: Vec<String> = targets.iter().map(name).collect();
    let qualities = route.targets().into_iter().map(|target| target.quality);
    let all = targets.iter().zip(&names).zip(choices).zip(qualities);
    let candidates: Vec<Candidate<'_>> =
        all.map(|(((target, name), choice), quality)| candidate(*target, name, choice, quality, asked)).collect();
    let tags: Vec<&str> = asked.tags.iter().map(String::as_str).collect();
    let policy = Policy { prefer: asked.prefer.unwrap_or(route.prefer), rules: &route.rules };
    let decision = policy.choose(&need(asked), &tags, &candidates);
    let reason = decision.reason(&candidates);
    Selection { decision, names, reason }
}

fn candidate<'n>(
    target: Option<&Target>,
    name: &'n str,
    choice: &Choice,
    quality: Option<u32>,
    asked: &Asked<'_>,
) -> Candidate<'n> {
    let info = target.and_then(|target| target.info.as_deref());
    let own = target.map_or(Abilities::UNKNOWN, |target| target.deployment.abilities);
    let reports = || choice.seats.iter().map(|seat| seat.vital.report(asked.now_ms));
    Candidate {
        name,
        abilities: info.map_or(own, |info| info.abilities.or(own).or(listed(info))),
        thinking: info.map_or(wire::Thinking::Unknown, |info| info.thinking),
        context_tokens: info.and_then(|info| info.context_tokens),
        max_output_tokens: info.and_then(|info| info.max_output_tokens),
        price: info.and_then(|info| price(info, asked)),
        quality,
        available: choice.seats.iter().any(|seat| !seat.standing.is_out()),
        ttft_ms: reports().filter_map(|report| report.first_token_ms).min(),
        error_rate_permille: reports().map(|report| report.fault_permille).min().unwrap_or(0),
    }
}

/// What the price table says a model can do.
fn listed(info: &ModelInfo) -> Abilities {
    let Some(can) = info.capabilities else { return Abilities::UNKNOWN };
    Abilities {
        images: Some(can.vision),
        tools: Some(can.tools),
        json_schema: Some(can.json_schema),
        ..Abilities::UNKNOWN
    }
}

fn price(info: &ModelInfo, asked: &Asked<'_>) -> Option<PricePerToken> {
    let rates = info.price_on(asked.day)?.rates(asked.parsed.input_estimate_tokens, None);
    let rate = |rate: Option<i64>| u64::try_from(rate?).ok();
    Some(PricePerToken { input_pico_usd: rate(rates.input)?, output_pico_usd: rate(rates.output)? })
}

/// The targets in the order to try them: those that fit, then those that fit and are out for now.
pub fn order(selection: &Selection) -> Result<Vec<usize>> {
    let out = |(place, verdict): (usize, &Verdict)| match verdict {
        Verdict::Excluded(Excluded::Unavailable) => Some(place),
        _ => None,
    };
    let mut order = selection.decision.order.clone();
    order.extend(selection.decision.verdicts.iter().enumerate().filter_map(out));
    match order.is_empty() {
        false => Ok(order),
        true => Err(Error::invalid("model", selection.reason.clone())),
    }
}

/// The place of the rule that holds, where `auto` does not look at the rules itself.
pub fn rule(route: &Route, asked: &Asked<'_>) -> Option<usize> {
    if route.rules.is_empty() || route.group.strategy == Strategy::Auto {
        return None;
    }
    let need = need(asked);
    let tags: Vec<&str> = asked.tags.iter().map(String::as_str).collect();
    route.rules.iter().position(|rule| rule.when.matches(&need, &tags))
}

/// Which targets a rule leaves; `None` leaves all.
pub fn narrowed(route: &Route, rule: Option<usize>) -> Option<&[usize]> {
    let rule = route.rules.get(rule?)?;
    Some(rule.targets.as_slice()).filter(|targets| !targets.is_empty())
}
