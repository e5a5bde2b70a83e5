//! How routing stands, as JSON to read: providers with their endpoints, routes with their targets.
//! Nothing secret is in any of it.

use std::sync::Arc;

use super::live::Live;
use crate::config::runtime::{Deployment, Group, Member, Route, RouteTarget, Rule, When};
use crate::route::quota::Window;
use crate::route::vital::{Report, Standing};
use crate::wire::json::{Arr, Obj};

/// `{"data": [{name, kind, ..., endpoints: [{id, state, ..., models: [...]}]}]}`
pub(super) fn providers(live: &Live, now_ms: u64) -> Vec<u8> {
    list(|rows| {
        for deployment in &live.runtime.deployments {
            write_provider(&mut rows.obj(), deployment, live, now_ms);
        }
    })
}

/// `{"data": [{name, strategy, ..., targets: [...]}]}`, by name.
pub(super) fn routes(live: &Live, now_ms: u64) -> Vec<u8> {
    let mut routes: Vec<&Route> = live.runtime.routes.values().map(AsRef::as_ref).collect();
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    list(|rows| {
        for route in routes {
            write_route(&mut rows.obj(), route, live, now_ms);
        }
    })
}

fn list(write: impl FnOnce(&mut Arr<'_>)) -> Vec<u8> {
    let mut body = Vec::new();
    {
        let mut root = Obj::new(&mut body);
        write(&mut root.arr("data"));
    }
    body
}

fn write_provider(row: &mut Obj<'_>, deployment: &Arc<Deployment>, live: &Live, now_ms: u64) {
    let mut models: Vec<&str> = deployment.models.keys().map(String::as_str).collect();
    models.sort_unstable();
    row.text("name", &deployment.name).text("kind", deployment.provider.kind);
    row.text("format", deployment.provider.dialect().as_str());
    row.text("base_url", &deployment.base.to_string());
    row.bool("has_credential", deployment.api_key.is_some()).bool("models_only", deployment.models_only);
    let mut names = row.arr("models");
    models.into_iter().for_each(|model| _ = names.text(model));
    drop(names);
    let mut endpoints = row.arr("endpoints");
    for endpoint in deployment.endpoints() {
        write_endpoint(&mut endpoints.obj(), endpoint, live, now_ms);
    }
}

fn write_endpoint(row: &mut Obj<'_>, deployment: &Deployment, live: &Live, now_ms: u64) {
    row.text("id", &deployment.id).text("base_url", &deployment.base.to_string());
    match &deployment.region {
        Some(region) => row.text("region", region),
        None => row.null("region"),
    };
    row.num("weight", deployment.weight.into());
    let Some(endpoint) = live.board.endpoint(&deployment.id) else { return };
    write_standing(row, endpoint.standing(now_ms), now_ms);
    row.bool("drained", endpoint.is_drained()).num("in_flight", endpoint.in_flight().into());
    let line = live.lines(deployment);
    let waiting = line.map_or(0, |line| line.waiting());
    row.num("waiting", u64::try_from(waiting).unwrap_or(u64::MAX));
    number(row, "places", line.and_then(|line| line.most()).map(u64::from));
    let reports = endpoint.reports(now_ms);
    row.num("breaker_opened", reports.iter().map(|(_, report)| report.opened).sum());
    let mut models = row.arr("asked_models");
    for (name, report) in reports {
        let mut model = models.obj();
        // What clients invent beyond measure shares one place without a name.
        model.text("model", if name.is_empty() { "other" } else { &name });
        write_report(&mut model, &report, now_ms);
    }
}

fn write_standing(row: &mut Obj<'_>, standing: Standing, now_ms: u64) {
    row.text("state", standing.as_str());
    number(row, "back_in_ms", standing.until_ms().map(|until_ms| until_ms.saturating_sub(now_ms)));
}

fn write_report(row: &mut Obj<'_>, report: &Report, now_ms: u64) {
    write_standing(row, report.standing, now_ms);
    let breaker = match report.open_until_ms {
        None => "closed",
        Some(until_ms) if until_ms > now_ms => "open",
        Some(_) => "half_open",
    };
    row.text("breaker", breaker).num("in_flight", report.in_flight.into());
    number(row, "first_token_ms", report.first_token_ms);
    row.num("fault_permille", report.fault_permille.into());
    let mut quota = row.obj("quota");
    write_window(&mut quota, "requests", report.learned.requests, now_ms);
    write_window(&mut quota, "tokens", report.learned.tokens, now_ms);
}

/// What is left; null where that is not known, or no longer.
fn write_window(row: &mut Obj<'_>, name: &str, window: Option<Window>, now_ms: u64) {
    let Some(window) = window.filter(|window| window.resets_at_ms > now_ms) else {
        row.null(name);
        return;
    };
    let mut window_row = row.obj(name);
    number(&mut window_row, "limit", window.limit);
    window_row.num("remaining", window.remaining).num("resets_in_ms", window.resets_at_ms.saturating_sub(now_ms));
}

fn write_route(row: &mut Obj<'_>, route: &Route, live: &Live, now_ms: u64) {
    row.text("name", &route.name);
    match route.affinity {
        Some(affinity) => row.bool("affinity", affinity),
        None => row.null("affinity"),
    };
    row.text("prefer", route.prefer.as_str());
    // When 95 of 100 first tokens have come: a hedge waits that long.
    number(row, "late_ms", live.board.route(&route.name).and_then(|times| times.late_ms()));
    let mut rules = row.arr("rules");
    for rule in &route.rules {
        write_rule(&mut rules.obj(), rule, route);
    }
    drop(rules);
    write_group(row, &route.group, live, now_ms);
}

fn write_rule(row: &mut Obj<'_>, rule: &Rule, route: &Route) {
    let When { tokens_over, tokens_under, tools, images, tags } = &rule.when;
    let mut when = row.obj("when");
    for (name, bound) in [("tokens_over", tokens_over), ("tokens_under", tokens_under)] {
        if let Some(bound) = bound {
            when.num(name, *bound);
        }
    }
    for (name, wanted) in [("tools", tools), ("images", images)] {
        if let Some(wanted) = wanted {
            when.bool(name, *wanted);
        }
    }
    if !tags.is_empty() {
        let mut list = when.arr("tags");
        tags.iter().for_each(|tag| _ = list.text(tag));
    }
    drop(when);
    let all = route.targets();
    let mut to = row.arr("to");
    for target in rule.targets.iter().filter_map(|place| all.get(*place)) {
        to.text(&target.name());
    }
    drop(to);
    match rule.prefer {
        Some(prefer) => row.text("prefer", prefer.as_str()),
        None => row.null("prefer"),
    };
}

fn write_group(row: &mut Obj<'_>, group: &Group, live: &Live, now_ms: u64) {
    row.text("strategy", group.strategy.as_str());
    let mut members = row.arr("targets");
    for member in &group.members {
        let mut one = members.obj();
        match member {
            Member::Target(target) => write_target(&mut one, target, live, now_ms),
            Member::Group { group, weight } => {
                one.num("weight", (*weight).into());
                write_group(&mut one, group, live, now_ms);
            }
        }
    }
}

fn write_target(row: &mut Obj<'_>, target: &RouteTarget, live: &Live, now_ms: u64) {
    row.text("model", &target.name()).num("weight", target.weight.into());
    number(row, "quality", target.quality.map(u64::from));
    let deployment = &target.deployment;
    let upstream = deployment.models.get(&target.model).map_or(&target.model, |entry| &entry.upstream);
    let mut endpoints = row.arr("endpoints");
    for one in deployment.endpoints() {
        let Some(endpoint) = live.board.endpoint(&one.id) else { continue };
        let mut row = endpoints.obj();
        row.text("id", &one.id);
        match endpoint.report(upstream, now_ms) {
            Some(report) => write_report(&mut row, &report, now_ms),
            // Nobody has asked for it there: only the endpoint's own state is known.
            None => write_standing(&mut row, endpoint.out(now_ms).unwrap_or(Standing::Good), now_ms),
        }
    }
}

fn number(row: &mut Obj<'_>, name: &str, value: Option<u64>) {
    match value {
        Some(value) => row.num(name, value),
        None => row.null(name),
    };
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "a test reads its own output")]

    use serde_json::{Value, json};

    use super::*;
    use crate::config::env::System;
    use crate::config::load;
    use crate::error::{Error, Kind};
    use crate::limit::Limiter;
    use crate::limit::clock::Clock;
    use crate::route::cause::Failure;
    use crate::route::quota::Learned;
    use crate::tenant::keys::Roster;

    const FLEET: &str = "
providers:
  lab:
    kind: vllm
    base_url: http://10.0.0.1:8000
    models: {small: {upstream: Small-1}}
    max_concurrency: 4
    endpoints:
      - {id: a, region: eu}
      - {id: b, base_url: 'http://10.0.0.2:8000', weight: 3}
  simulator: {base_url: 'http://127.0.0.1:9', api_key: top-secret}
routes:
  fast:
    strategy: fallback
    targets:
      - {model: lab/small}
      - {strategy: weighted, targets: [{model: simulator/one, weight: 2}, {model: simulator/two}]}
  smart:
    strategy: auto
    prefer: cost
    rules: [{when: {tokens_over: 1000, tags: [long]}, to: [simulator/one]}]
    targets: [{model: lab/small, quality: 40}, {model: simulator/one}]
tenants: {t: {keys: [{id: k, secret: kkkk}]}}
";

    fn live() -> Live {
        let runtime = load::from_text(FLEET, "weir.yaml", &System).unwrap();
        Live::new(Arc::new(runtime), Roster::default(), &Limiter::new(), Clock::start(), None).unwrap()
    }

    fn read(body: &[u8]) -> Value {
        serde_json::from_slice::<Value>(body).unwrap()["data"].clone()
    }

    #[test]
    fn endpoints_show_how_they_are_and_no_secret() {
        let live = live();
        let endpoint = live.board.endpoint("lab#a").unwrap();
        let run = endpoint.vital("Small-1").begin(0);
        run.learned(Learned {
            tokens: Some(Window { limit: Some(100), remaining: 40, resets_at_ms: 3_000 }),
            requests: Some(Window { limit: None, remaining: 1, resets_at_ms: 500 }),
        });
        live.board.endpoint("lab#b").unwrap().drain(true);
        let all = providers(&live, 1_000);
        assert!(!String::from_utf8_lossy(&all).contains("top-secret"));
        let all = read(&all);
        let lab = all.as_array().unwrap().iter().find(|row| row["name"] == "lab").unwrap();
        assert_eq!((&lab["kind"], &lab["models"]), (&json!("vllm"), &json!(["small"])));
        let expected = json!({
            "id": "lab#a", "base_url": "http://10.0.0.1:8000/v1", "region": "eu", "weight": 1, "state": "good",
            "back_in_ms": null, "drained": false, "in_flight": 1, "waiting": 0, "places": 4, "breaker_opened": 0,
            "asked_models": [{
                "model": "Small-1", "state": "good", "back_in_ms": null, "breaker": "closed", "in_flight": 1,
                "first_token_ms": null, "fault_permille": 0,
                "quota": {"requests": null, "tokens": {"limit": 100, "remaining": 40, "resets_in_ms": 2_000}},
            }],
        });
        assert_eq!(lab["endpoints"][0], expected);
        let other = &lab["endpoints"][1];
        assert_eq!(
            (&other["state"], &other["drained"], &other["weight"]),
            (&json!("drained"), &json!(true), &json!(3))
        );
    }

    #[test]
    fn a_breaker_shows_and_is_counted_once() {
        let live = live();
        let endpoint = live.board.endpoint("lab#a").unwrap();
        for _ in 0..7 {
            let failure = Failure::of(&Error::new(Kind::UpstreamFailed, "no"));
            endpoint.vital("Small-1").begin(0).failed(&failure, 0);
        }
        let shown = read(&providers(&live, 1_000));
        let lab = shown.as_array().unwrap().iter().find(|row| row["name"] == "lab").unwrap();
        let (endpoint, model) = (&lab["endpoints"][0], &lab["endpoints"][0]["asked_models"][0]);
        assert_eq!((&endpoint["state"], &endpoint["breaker_opened"]), (&json!("broken"), &json!(1)));
        assert_eq!((&model["breaker"], &model["fault_permille"]), (&json!("open"), &json!(1_000)));
        assert_eq!(model["back_in_ms"], 4_000);
        let later = read(&providers(&live, 100_000));
        let lab = later.as_array().unwrap().iter().find(|row| row["name"] == "lab").unwrap();
        assert_eq!(lab["endpoints"][0]["asked_models"][0]["breaker"], "half_open");
    }

    #[test]
    fn routes_show_their_groups_rules_and_targets() {
        let live = live();
        let all = read(&routes(&live, 0));
        let (fast, smart) = (&all[0], &all[1]);
        assert_eq!(
            (&fast["name"], &fast["strategy"], &fast["late_ms"]),
            (&json!("fast"), &json!("fallback"), &json!(null))
        );
        let first = &fast["targets"][0];
        assert_eq!((&first["model"], first["endpoints"].as_array().unwrap().len()), (&json!("lab/small"), 2));
        assert_eq!(first["endpoints"][0], json!({"id": "lab#a", "state": "good", "back_in_ms": null}));
        let group = &fast["targets"][1];
        assert_eq!((&group["strategy"], &group["targets"][0]["weight"]), (&json!("weighted"), &json!(2)));
        assert_eq!((&smart["prefer"], &smart["targets"][0]["quality"]), (&json!("cost"), &json!(40)));
        let rule = json!({"when": {"tokens_over": 1_000, "tags": ["long"]}, "to": ["simulator/one"], "prefer": null});
        assert_eq!(smart["rules"], json!([rule]));
    }
}
