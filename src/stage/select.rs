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
    Selection { decision, reason }
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

/// The targets in the order to try them: those that fit, then those that are out for now.
pub fn order(selection: &Selection, choices: &[Choice]) -> Result<Vec<usize>> {
    // Where there is no seat for this tenant at all, it is not out but forbidden.
    let has_seat = |place: &usize| choices.get(*place).is_some_and(|choice| !choice.seats.is_empty());
    let out = |(place, verdict): (usize, &Verdict)| match verdict {
        Verdict::Excluded(Excluded::Unavailable) => Some(place).filter(has_seat),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::runtime::Prefer;
    use crate::stage::choose::choose;
    use crate::stage::choose::tests::{World, chat};

    const MODELS: &str = "  small: {kind: openai-compatible, base_url: \"http://s.test\", models: {m: {context: 4000, max_output: 2000, capabilities: {images: false, tools: true}, price: {input: 0.1, output: 0.4}}}}
  large: {kind: openai-compatible, base_url: \"http://l.test\", capabilities: {images: true}, models: {m: {context: 100000, price: {input: 3, output: 15}}}}
  openai: {api_key: sk-1}";
    const ROUTE: &str = "r: {strategy: auto, prefer: cost, targets: [{model: small/m, quality: 30}, {model: large/m, quality: 90}], rules: [{when: {tags: [law]}, to: [large/m]}, {when: {tags: [quick]}, prefer: latency}]}, known: {strategy: auto, targets: [{model: openai/gpt-4o-mini}, {model: openai/gpt-3.5-turbo}]}";

    const IMAGE: &str = r#"{"model":"r","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]}]}"#;

    fn world() -> World {
        World::new(MODELS, "", ROUTE)
    }

    /// Who comes first, and why.
    fn chosen(world: &World, body: &str) -> (String, String) {
        world.with(body, |plan, asked| {
            choose(plan, asked).unwrap();
            (plan.targets[0].deployment.name.clone(), plan.reason.clone().unwrap())
        })
    }

    #[test]
    fn what_is_needed_is_read_off_the_request() {
        let seen = world().with(IMAGE, |_, asked| need(asked));
        assert!(seen.images && !seen.tools && seen.output_tokens > 0, "{seen:?}");
        let not_generated = world().with(&chat("r", "hi"), |_, asked| need(&Asked { dialect: None, ..*asked }));
        assert_eq!(not_generated, Need { input_tokens: not_generated.input_tokens, ..Need::default() });
    }

    #[test]
    fn the_model_that_fits_comes_first() {
        let world = world();
        assert_eq!(chosen(&world, &chat("r", "hi")).0, "small");
        let (name, reason) = chosen(&world, IMAGE);
        assert_eq!(name, "large");
        assert!(reason.contains("excluded: small/m ("), "{reason}");
        assert_eq!(chosen(&world, &chat("r", &"many words ".repeat(4_000))).0, "large");
    }

    #[test]
    fn the_request_then_the_rule_then_the_route_says_what_counts() {
        let mut world = world();
        let reason = |world: &World| chosen(world, &chat("r", "hi")).1;
        assert!(reason(&world).starts_with("auto: prefer=cost; "), "{}", reason(&world));
        world.tags = vec!["quick".to_owned()];
        assert!(reason(&world).starts_with("auto: rule 2; prefer=latency; "), "{}", reason(&world));
        world.tags = vec!["law".to_owned()];
        let (name, why) = chosen(&world, &chat("r", "hi"));
        assert!(name == "large" && why.contains("small/m (not in the rule)"), "{why}");
        world.tags.clear();
        world.prefer = Some(Prefer::Quality);
        let (name, why) = chosen(&world, &chat("r", "hi"));
        assert!(name == "large" && why.contains("prefer=quality"), "{why}");
    }

    #[test]
    fn what_is_out_comes_last_and_is_asked_if_nobody_else_fits() {
        let world = world();
        world.breaks("small", "m");
        let (name, reason) = chosen(&world, &chat("r", "hi"));
        assert!(name == "large" && reason.contains("small/m ("), "{reason}");
        world.breaks("large", "m");
        world.with(&chat("r", "hi"), |plan, asked| {
            choose(plan, asked).unwrap();
            assert_eq!(plan.targets.len(), 2);
        });
    }

    #[test]
    fn nobody_fits_and_the_error_says_why() {
        let world = World::new(MODELS, ", providers: [small]", ROUTE);
        let error = world.with(IMAGE, |plan, asked| choose(plan, asked).unwrap_err());
        assert_eq!((error.status(), error.param()), (400, Some("model")));
        assert!(error.public().contains("no model fits") && error.public().contains("small/m"), "{}", error.public());
    }

    #[test]
    fn the_price_table_says_what_known_models_can_do() {
        let world = world();
        let body = IMAGE.replace("\"r\"", "\"known\"");
        let reason = chosen(&world, &body).1;
        assert!(reason.contains("openai/gpt-4o-mini scored") && reason.contains("openai/gpt-3.5-turbo ("), "{reason}");
    }
}
