//! `routes`.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::guard::Guards;
use super::{attempts, cache, compression};
use crate::config::raw::{self, Config, Target};
use crate::config::read::{At, Context, nearest};
use crate::config::runtime::{Deployment, Group, Member, Prefer, Route, RouteTarget, Rule, Strategy, When};
use crate::config::yaml::Place;

/// A group in a group in a group is no route that anybody understands.
const DEEPEST: usize = 2;

pub(super) fn routes(
    raw: &Config,
    deployments: &[Arc<Deployment>],
    guards: &Guards<'_>,
    cx: &mut Context<'_>,
) -> HashMap<String, Arc<Route>> {
    let mut routes = HashMap::new();
    for (name, settings) in &raw.routes.entries {
        check_name(name, raw, cx);
        let mut route = route(name, settings, raw, deployments, cx);
        route.guards = guards.named(&settings.guards, cx);
        routes.insert(name.value.clone(), Arc::new(route));
    }
    routes
}

/// The name under which [`any`] is asked for.
const ANY: &str = "auto";

/// Every model that the file names, for the model `auto` where no route is called so.
pub(super) fn any(
    raw: &Config,
    deployments: &[Arc<Deployment>],
    routes: &HashMap<String, Arc<Route>>,
) -> Option<Arc<Route>> {
    if routes.contains_key(ANY) {
        return None;
    }
    let target = |deployment: &Arc<Deployment>, model: &str, quality| {
        let (deployment, model) = (Arc::clone(deployment), model.to_owned());
        RouteTarget { deployment, model, weight: 1, quality, listed: OnceLock::new() }
    };
    let mut all: Vec<RouteTarget> = Vec::new();
    // In the order of the file, whatever the order of the map.
    for route in raw.routes.entries.iter().filter_map(|(name, _)| routes.get(&name.value)) {
        all.extend(route.targets().into_iter().map(|t| target(&t.deployment, &t.model, t.quality)));
    }
    for deployment in deployments {
        let mut models: Vec<&String> = deployment.models.keys().collect();
        models.sort_unstable();
        all.extend(models.into_iter().map(|model| target(deployment, model, None)));
    }
    let mut members: Vec<Member> = Vec::with_capacity(all.len());
    for target in all {
        let is_it = |member: &Member| matches!(member, Member::Target(t) if t.deployment.name == target.deployment.name && t.model == target.model);
        if !members.iter().any(is_it) {
            members.push(Member::Target(target));
        }
    }
    (!members.is_empty()).then(|| {
        let attempts = attempts::written(&raw.defaults);
        let group = Group { strategy: Strategy::Auto, members };
        let (affinity, prefer, rules) = (None, Prefer::default(), Vec::new());
        let (edge_tools, compression, guards, cache) = (None, None, Vec::new(), None);
        let name = ANY.to_owned();
        Arc::new(Route { name, group, attempts, affinity, prefer, rules, edge_tools, compression, guards, cache })
    })
}

fn check_name(name: &At<String>, raw: &Config, cx: &mut Context<'_>) {
    let bad = |c: char| c.is_control() || c.is_whitespace() || c == '*' || c == ':';
    if name.is_empty() || name.len() > 128 || name.chars().any(bad) {
        cx.say(name.place, "not a name for a route").label("expected no blanks, no `*` and no `:`");
    }
    let prefix = name.split_once('/').map(|(prefix, _)| prefix);
    if let Some(prefix) = prefix.filter(|p| raw.providers.entries.iter().any(|(n, _)| n.value == **p)) {
        cx.say(name.place, format!("the route `{}` hides a model of the provider `{prefix}`", name.value))
            .label("expected another name");
    }
}

fn route(
    name: &At<String>,
    raw: &raw::Route,
    config: &Config,
    deployments: &[Arc<Deployment>],
    cx: &mut Context<'_>,
) -> Route {
    let listed = raw.targets.as_ref().map_or(&[][..], |t| t.value.as_slice());
    if listed.is_empty() && (raw.targets.is_some() || !raw.written.contains(&"targets")) {
        let place = raw.targets.as_ref().map_or(name.place, |t| t.place);
        cx.say(place, format!("the route `{}` has no targets", name.value))
            .label("expected at least one")
            .help("write `targets: [{model: provider/model}]`");
    }
    let mut groups = Groups { config, deployments, cx };
    let place = raw.targets.as_ref().map_or(raw.place, |t| t.place);
    let group = groups.group(raw.strategy.0, listed, place, 0);
    let defaults = attempts::written(&config.defaults);
    let attempts = attempts::of_route(raw, &defaults, cx);
    let mut route = Route {
        name: name.value.clone(),
        group,
        attempts,
        affinity: raw.affinity.as_deref().copied(),
        prefer: raw.prefer.0,
        rules: Vec::new(),
        edge_tools: super::tools::edge(raw.edge_tools.as_ref(), config, cx),
        compression: compression::rules(raw.compression.as_ref(), cx),
        guards: Vec::new(),
        cache: cache::caching(raw.cache.as_ref(), config, cx),
    };
    route.rules = raw.rules.iter().map(|rule| self::rule(rule, &route, cx)).collect();
    route
}

fn rule(raw: &raw::Rule, route: &Route, cx: &mut Context<'_>) -> Rule {
    let targets = route.targets();
    let mut places = Vec::with_capacity(raw.to.len());
    for wanted in raw.to.iter() {
        let is_it = |t: &&RouteTarget| t.name() == wanted.value;
        match targets.iter().position(is_it) {
            Some(place) => places.push(place),
            None => {
                let names: Vec<String> = targets.iter().map(|t| t.name()).collect();
                cx.say(wanted.place, format!("`{}` is no target of this route", wanted.value))
                    .label(format!("expected one of: {}", names.join(", ")))
                    .did_you_mean(nearest(wanted, names.iter().map(String::as_str)));
            }
        }
    }
    if raw.to.is_empty() && raw.prefer.is_none() {
        cx.say(raw.place, "a rule that changes nothing").label("expected `to`, or `prefer`");
    }
    let when = &raw.when;
    Rule {
        when: When {
            tokens_over: when.tokens_over.as_deref().copied(),
            tokens_under: when.tokens_under.as_deref().copied(),
            tools: when.tools.as_deref().copied(),
            images: when.images.as_deref().copied(),
            tags: when.tags.iter().map(|tag| tag.value.clone()).collect(),
        },
        targets: places,
        prefer: raw.prefer.as_ref().map(|word| word.0),
    }
}

/// What groups are built from.
struct Groups<'g, 'c, 'e> {
    config: &'g Config,
    deployments: &'g [Arc<Deployment>],
    cx: &'c mut Context<'e>,
}

impl Groups<'_, '_, '_> {
    fn group(&mut self, strategy: Strategy, listed: &[Target], place: Place, depth: usize) -> Group {
        if strategy == Strategy::Weighted && !listed.is_empty() && listed.iter().all(|t| t.weight.value == 0) {
            self.cx.say(place, "all weights are 0").label("no target would be chosen");
        }
        Group { strategy, members: listed.iter().filter_map(|one| self.member(one, depth)).collect() }
    }

    fn member(&mut self, raw: &Target, depth: usize) -> Option<Member> {
        let Some(inner) = &raw.targets else {
            if let Some(strategy) = &raw.strategy {
                self.cx
                    .say(strategy.place, "a `strategy` without `targets`")
                    .label("expected the targets of the group");
            }
            return target(raw, self.config, self.deployments, self.cx).map(Member::Target);
        };
        if let Some(model) = &raw.model {
            self.cx.say(model.place, "a target with both `model` and `targets`").label("expected one of them");
        }
        if depth + 1 > DEEPEST {
            self.cx.say(inner.place, "too deep").label(format!("expected at most {DEEPEST} groups in each other"));
            return None;
        }
        if inner.is_empty() {
            self.cx.say(inner.place, "a group without targets").label("expected at least one");
        }
        let strategy = raw.strategy.as_ref().map_or(Strategy::Fallback, |word| word.0);
        if strategy == Strategy::Auto {
            let place = raw.strategy.as_ref().map_or(raw.place, |word| word.place);
            self.cx.say(place, "`auto` inside a route").label("expected as the strategy of the route itself");
        }
        Some(Member::Group { group: self.group(strategy, inner, inner.place, depth + 1), weight: raw.weight.value })
    }
}

fn target(raw: &Target, config: &Config, deployments: &[Arc<Deployment>], cx: &mut Context<'_>) -> Option<RouteTarget> {
    let Some(model) = &raw.model else {
        if !raw.written.contains(&"model") {
            cx.say(raw.place, "a target without a model").label("expected `model: provider/model`, or `targets`");
        }
        return None;
    };
    let Some((prefix, name)) = model.split_once('/').filter(|(_, name)| !name.is_empty()) else {
        bare(model, config, cx);
        return None;
    };
    let Some(deployment) = deployments.iter().find(|d| d.name == prefix) else {
        // A provider that is there but wrong has been reported already.
        let known = config.providers_lost() || config.providers.entries.iter().any(|(n, _)| n.value == prefix);
        if !known {
            let names: Vec<_> = config.providers.entries.iter().map(|(n, _)| n.as_str()).collect();
            cx.say(model.place, format!("no provider is named `{prefix}`"))
                .label(format!("expected one of: {}", names.join(", ")))
                .did_you_mean(nearest(prefix, names));
        }
        return None;
    };
    if deployment.models_only && !deployment.models.contains_key(name) {
        let near = nearest(name, deployment.models.keys().map(String::as_str)).map(|n| format!("{prefix}/{n}"));
        cx.say(model.place, format!("the provider `{prefix}` serves only its `models`, and `{name}` is none"))
            .label("expected one of them")
            .did_you_mean(near.as_deref());
    }
    let quality = raw.quality.as_deref().copied();
    if let Some(given) = raw.quality.as_ref().filter(|given| given.value > 100) {
        cx.say(given.place, "not a quality").label("expected 0 to 100");
    }
    Some(RouteTarget {
        deployment: Arc::clone(deployment),
        model: name.to_owned(),
        weight: raw.weight.value,
        quality,
        listed: OnceLock::new(),
    })
}

fn bare(model: &At<String>, config: &Config, cx: &mut Context<'_>) {
    if config.routes.entries.iter().any(|(name, _)| name.value == model.value) {
        cx.say(model.place, format!("`{}` is a route", model.value)).label("expected a model: routes do not nest");
    } else {
        let draft = cx.say(model.place, format!("`{}` does not say which provider", model.value));
        draft.label("expected `provider/model`");
        if let [(only, _)] = config.providers.entries.as_slice() {
            draft.help(format!("did you mean `{}/{}`?", only.value, model.value));
        }
    }
}
