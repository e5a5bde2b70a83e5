//! `weir models --prices --check`: how old the table is, what of the configuration it has no price for, and
//! what in the operator's prices looks like a slip.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::{USAGE, check, print};
use crate::config::env::System;
use crate::config::load;
use crate::config::runtime::{Deployment, Runtime};
use crate::usage::price::amount::UsdPerMillion;
use crate::usage::price::litellm::Found;
use crate::usage::price::{ModelInfo, Rates, Unit};

/// A table that is older says little of today's models.
const OLD_DAYS: i64 = 90;
/// Two prices of one thing that are further apart are a slip in one of them.
const APART: i64 = 10;
/// Names that are listed of many.
const MOST_NAMES: usize = 5;

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Checked {
    version: String,
    age_days: Option<i64>,
    is_old: bool,
    /// Models that the configuration names and nobody has a price for.
    unknown: Vec<String>,
    /// Of the price file: names whose provider is not configured.
    unused: Vec<Unused>,
    apart: Vec<Apart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Found>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unused {
    provider: String,
    models: usize,
    /// The first of them.
    names: Vec<String>,
}

/// One class of one model, in USD per million or USD each.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Apart {
    model: String,
    class: &'static str,
    said: String,
    built_in: String,
}

pub(super) fn run(config: Option<&PathBuf>, day: i64, json: bool) -> ExitCode {
    let Some(path) = check::file(config) else { return ExitCode::from(USAGE) };
    let runtime = match load::from_file(&path, &System) {
        Ok(runtime) => runtime,
        Err(report) => {
            print::note(&report.render(print::colour()));
            return ExitCode::FAILURE;
        }
    };
    let checked = checked(&runtime, day);
    if json {
        print::json(&checked)
    } else {
        show(&checked)
    }
    if checked.unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn checked(runtime: &Runtime, day: i64) -> Checked {
    let prices = &runtime.prices;
    let age_days = prices.built_on().map(|built| day - built);
    Checked {
        version: prices.version.clone(),
        age_days,
        is_old: age_days.is_some_and(|age| age > OLD_DAYS),
        unknown: unknown(runtime, day),
        unused: unused(runtime),
        apart: apart(runtime, day),
        file: prices.found().cloned(),
    }
}

/// What the configuration knows of a model by the name it has there.
fn info(runtime: &Runtime, deployment: &Deployment, name: &str) -> Option<Arc<ModelInfo>> {
    let (catalogue, region) = (deployment.provider.catalogue, deployment.var("region"));
    let listed = || runtime.prices.find_in(&deployment.name, catalogue, region, name).cloned();
    deployment.models.get(name).map(|entry| Arc::clone(&entry.info)).or_else(listed)
}

fn unknown(runtime: &Runtime, day: i64) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut look = |deployment: &Deployment, name: &str| {
        if info(runtime, deployment, name).is_none_or(|info| info.price_on(day).is_none()) {
            names.push(format!("{}/{name}", deployment.name));
        }
    };
    for deployment in &runtime.deployments {
        deployment.models.keys().for_each(|name| look(deployment, name));
    }
    for target in runtime.routes.values().flat_map(|route| route.targets()) {
        look(&target.deployment, &target.model);
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn unused(runtime: &Runtime) -> Vec<Unused> {
    let is_known = |name: &str| runtime.deployments.iter().any(|d| d.name == name || d.provider.catalogue == name);
    let mut by_provider: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (provider, model, _) in runtime.prices.overridden().filter(|(provider, ..)| !is_known(provider)) {
        by_provider.entry(provider).or_default().push(model);
    }
    let of = |(provider, mut models): (&str, Vec<&str>)| {
        models.sort_unstable();
        let names = models.iter().take(MOST_NAMES).map(|name| format!("{provider}/{name}")).collect();
        Unused { provider: provider.to_owned(), models: models.len(), names }
    };
    by_provider.into_iter().map(of).collect()
}

/// Prices of the operator's that are far from the built-in ones.
fn apart(runtime: &Runtime, day: i64) -> Vec<Apart> {
    let mut found = Vec::new();
    let rates = |info: &ModelInfo| info.price_on(day).map(|price| price.standard.rates);
    for (provider, model, info) in runtime.prices.overridden() {
        let used = runtime.deployments.iter().find(|d| d.name == provider || d.provider.catalogue == provider);
        let Some(deployment) = used else { continue };
        let built_in = runtime.prices.builtin_exact(deployment.provider.catalogue, model);
        if let (Some(said), Some(known)) = (rates(info), built_in.and_then(|info| rates(info))) {
            compare(&format!("{provider}/{model}"), &said, &known, &mut found);
        }
    }
    for deployment in &runtime.deployments {
        for (name, entry) in &deployment.models {
            let known = runtime.prices.builtin_exact(deployment.provider.catalogue, &entry.upstream);
            if let (Some(said), Some(known)) = (rates(&entry.info), known.and_then(|info| rates(info))) {
                compare(&format!("{}/{name}", deployment.name), &said, &known, &mut found);
            }
        }
    }
    found.sort_by(|a, b| (&a.model, a.class).cmp(&(&b.model, b.class)));
    found.dedup();
    found
}

fn compare(model: &str, said: &Rates, known: &Rates, found: &mut Vec<Apart>) {
    for class in Rates::CLASSES {
        let (Some(a), Some(b)) = (said.get(class), known.get(class)) else { continue };
        let is_apart = a > b.saturating_mul(APART) || b > a.saturating_mul(APART);
        // What is free on purpose is no slip.
        if is_apart && a > 0 && b > 0 {
            let text = |rate| shown(class, rate);
            found.push(Apart { model: model.to_owned(), class, said: text(a), built_in: text(b) });
        }
    }
}

/// As a price is written.
pub(super) fn shown(class: &str, rate: i64) -> String {
    match Rates::unit(class) {
        Some(Unit::Each) => crate::usage::price::PicoUsd(rate.into()).to_string(),
        _ => UsdPerMillion(rate).to_string(),
    }
}

fn show(checked: &Checked) {
    let Checked { version, age_days, is_old, unknown, unused, apart, file } = checked;
    let age = age_days.map_or_else(|| "of unknown age".to_owned(), |days| format!("{days} days old"));
    let warning = if *is_old { ": build a newer one, or name a newer file in `prices.file`" } else { "" };
    print::out(&format!("prices {version}, {age}{warning}"));
    for name in unknown {
        print::out(&format!("no price: {name}"));
    }
    for Unused { provider, models, names } in unused {
        let more = if *models > names.len() { ", ..." } else { "" };
        print::out(&format!("no provider `{provider}` for {models} prices: {}{more}", names.join(", ")));
    }
    for Apart { model, class, said, built_in } in apart {
        print::out(&format!("a slip? {model}: {class} is {said}, and {built_in} in the built-in table"));
    }
    for line in file.iter().flat_map(Found::lines) {
        print::out(&line);
    }
    if unknown.is_empty() {
        print::out("every model that the configuration names has a price");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::Table;
    use crate::usage::price::amount::day;

    const CONFIG: &str = "providers: {openai: {api_key: k}, lab: {kind: vllm, base_url: 'http://l.test', models: \
        {own: {upstream: own, price: {input: 1, output: 1}}, free: {price: {input: 0, output: 0}}, secret: x}}}\n\
        routes: {fast: {targets: [{model: openai/gpt-4o-mini}, {model: openai/brand-new}, {model: lab/other}]}}\n\
        tenants: {t: {keys: [{id: k, secret: kkkk}]}}\n";

    fn check(prices: &str) -> Checked {
        let env = Table::default().with_file("p.yaml", prices);
        let text = format!("{CONFIG}prices: {{file: p.yaml}}\n");
        checked(&load::from_text(&text, "weir.yaml", &env).unwrap(), day("2026-12-01").unwrap())
    }

    #[test]
    fn what_has_no_price_is_named() {
        let checked = check("lab/other: [{input: 1}]");
        assert_eq!(checked.unknown, ["lab/secret", "openai/brand-new"]);
        assert!(!checked.is_old && checked.age_days.is_some_and(|age| age >= 0), "{checked:?}");
        let later = "lab/other: [{from: 2027-01-01, input: 1}]\nlab/y: [{input: 1}]\nopenai/brand-new: [{input: 1}]";
        assert_eq!(check(later).unknown, ["lab/other", "lab/secret"], "not yet priced");
    }

    #[test]
    fn a_table_gets_old() {
        let env = Table::default();
        let runtime = load::from_text(CONFIG, "weir.yaml", &env).unwrap();
        let built = runtime.prices.built_on().unwrap();
        assert!(!checked(&runtime, built + 90).is_old);
        assert!(checked(&runtime, built + 91).is_old);
    }

    #[test]
    fn prices_of_nobody_and_prices_that_are_far_off_are_told() {
        // 1.5 for 0.15 is ten times as much, and no more; 6.1 for 0.60 is.
        let checked = check(
            "openai/gpt-4o-mini: [{input: 1.5, cached: 0, output: 6.1}]\nacme/x: [{input: 1}]\nacme/y: [{input: 1}]",
        );
        let [unused] = checked.unused.as_slice() else { panic!("{checked:?}") };
        assert_eq!((unused.provider.as_str(), unused.models), ("acme", 2));
        assert_eq!(unused.names, ["acme/x", "acme/y"]);
        let [apart] = checked.apart.as_slice() else { panic!("{checked:?}") };
        assert_eq!((apart.model.as_str(), apart.class), ("openai/gpt-4o-mini", "output"));
        assert_eq!((apart.said.as_str(), apart.built_in.as_str()), ("6.1", "0.6"));
    }

    #[test]
    fn what_was_left_out_of_a_file_of_litellms_is_told() {
        let checked =
            check(r#"{"gpt-4o-mini": {"litellm_provider": "openai", "input_cost_per_token": 1e-7, "odd_cost": 3}}"#);
        assert_eq!(checked.file.unwrap().unknown.get("odd_cost"), Some(&1));
    }
}
