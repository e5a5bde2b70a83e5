//! `routes`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::raw::{self, Config, Target};
use crate::config::read::{At, Context, nearest};
use crate::config::runtime::{Deployment, Route, RouteTarget, Strategy};

/// More attempts than this only prolong a failure.
const MOST_RETRIES: u32 = 10;

pub(super) fn routes(
    raw: &Config,
    deployments: &[Arc<Deployment>],
    cx: &mut Context<'_>,
) -> HashMap<String, Arc<Route>> {
    check_retries(&raw.defaults.retries, cx);
    let mut routes = HashMap::new();
    for (name, settings) in &raw.routes.entries {
        check_name(name, raw, cx);
        let route = route(name, settings, raw, deployments, cx);
        routes.insert(name.value.clone(), Arc::new(route));
    }
    routes
}

fn check_retries(retries: &At<u32>, cx: &mut Context<'_>) {
    if retries.value > MOST_RETRIES {
        cx.say(retries.place, "too many retries").label(format!("expected at most {MOST_RETRIES}"));
    }
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
    let targets: Vec<_> = listed.iter().filter_map(|t| target(t, config, deployments, cx)).collect();
    let all_zero = !listed.is_empty() && listed.iter().all(|t| t.weight.value == 0);
    if let Some(targets) = raw.targets.as_ref().filter(|_| all_zero && raw.strategy.0 == Strategy::Weighted) {
        cx.say(targets.place, "all weights are 0").label("no target would be chosen");
    }
    if let Some(retries) = &raw.retries {
        check_retries(retries, cx);
    }
    let retries = raw.retries.as_deref().copied().unwrap_or(*config.defaults.retries);
    Route { name: name.value.clone(), strategy: raw.strategy.0, targets, retries }
}

fn target(raw: &Target, config: &Config, deployments: &[Arc<Deployment>], cx: &mut Context<'_>) -> Option<RouteTarget> {
    let Some(model) = &raw.model else {
        if !raw.written.contains(&"model") {
            cx.say(raw.place, "a target without a model").label("expected `model: provider/model`");
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
    Some(RouteTarget { deployment: Arc::clone(deployment), model: name.to_owned(), weight: raw.weight.value })
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
