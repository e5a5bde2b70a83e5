//! Names of models to routes: what LiteLLM calls a model group is a route here, but where it only names a
//! provider's model.

use std::collections::BTreeMap;

use super::models::{Models, Target};
use super::notes::Notes;
use super::source::{Source, items, texts};
use super::yaml::{Map, Yaml};
use crate::config::yaml::{Node, Place};

/// How requests are spread, and what comes after a failure.
#[derive(Debug, Default)]
pub(super) struct Routing {
    /// Our word for `routing_strategy`.
    pub(super) strategy: Option<&'static str>,
    fallbacks: BTreeMap<String, Vec<String>>,
    longer: BTreeMap<String, Vec<String>>,
    pub(super) defaults: Vec<String>,
    pub(super) aliases: Vec<(String, String, Place)>,
    /// Attempts after the first one.
    pub(super) retries: Option<u32>,
}

impl Routing {
    /// `fallbacks: [{name: [name, ...]}]`
    pub(super) fn fallbacks(&mut self, node: &Node) {
        collect(node, &mut self.fallbacks);
    }

    /// `context_window_fallbacks`, in the same shape.
    pub(super) fn longer(&mut self, node: &Node) {
        collect(node, &mut self.longer);
    }
}

fn collect(node: &Node, into: &mut BTreeMap<String, Vec<String>>) {
    for entry in items(node).iter().flat_map(super::source::entries) {
        let names = into.entry(entry.name.clone()).or_default();
        for name in texts(&entry.value) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
}

/// What became of the names.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) routes: Map,
    /// Provider, name there, its own name.
    pub(super) renamed: Vec<(String, String, String)>,
    /// LiteLLM's name and ours, also with a star.
    pub(super) names: BTreeMap<String, String>,
}

pub(super) fn build(models: &Models, routing: &Routing, source: &Source, notes: &mut Notes) -> Routes {
    let mut built = Routes::default();
    for group in models.groups() {
        built.group(group, group, models.place(group), models, routing, source, notes);
    }
    for (alias, group, place) in &routing.aliases {
        if models.groups().contains(&group.as_str()) {
            built.group(alias, group, *place, models, routing, source, notes);
        } else {
            notes.lost(source, *place, format!("model_group_alias: {alias}"), format!("there is no `{group}`"));
        }
    }
    built
}

/// A name, and the targets it has.
struct Plan {
    own: Vec<Target>,
    after: Vec<Vec<Target>>,
    longer: Vec<Vec<Target>>,
}

impl Routes {
    #[expect(clippy::too_many_arguments, reason = "what is read, and what is said of it")]
    fn group(
        &mut self,
        name: &str,
        group: &str,
        place: Place,
        models: &Models,
        routing: &Routing,
        source: &Source,
        notes: &mut Notes,
    ) {
        let own = models.targets(group);
        if let Some(wildcard) = models.wildcard(group) {
            self.wildcard(name, wildcard, place, source, notes);
        }
        if own.is_empty() {
            return;
        }
        let mut named = |names: Option<&Vec<String>>, what: &str| -> Vec<Vec<Target>> {
            let mut found = Vec::new();
            for other in names.into_iter().flatten() {
                let targets = models.targets(other);
                if targets.is_empty() {
                    notes.lost(source, place, format!("{what}: {group}: {other}"), "there is no such model");
                } else if other != group {
                    found.push(targets);
                }
            }
            found
        };
        let after = named(routing.fallbacks.get(group).or(Some(&routing.defaults)), "fallbacks");
        let longer = named(routing.longer.get(group), "context_window_fallbacks");
        let plan = Plan { own, after, longer };
        let is_plain = plan.after.is_empty() && plan.longer.is_empty();
        match plan.own.as_slice() {
            [only] if is_plain && only.model == name => _ = self.names.insert(name.to_owned(), name.to_owned()),
            [only] if self.rename(name, only) => {
                if !is_plain {
                    let why = "its name is kept, and with it goes no fallback: a route of another name could have one";
                    notes.lost(source, place, format!("fallbacks: {name}"), why);
                }
            }
            _ => self.route(name, place, &plan, models, routing, source, notes),
        }
    }

    fn wildcard(&mut self, name: &str, wildcard: String, place: Place, source: &Source, notes: &mut Notes) {
        if name == wildcard {
            self.names.insert(name.to_owned(), wildcard);
        } else {
            let why = format!("any name is served under its provider's own prefix: `{wildcard}`");
            notes.changed(source, place, format!("model_list: {name}"), why);
            self.names.insert(name.to_owned(), wildcard);
        }
    }

    /// `openai/fast` for `openai/gpt-4o-mini` is a name that the provider's model has there.
    fn rename(&mut self, name: &str, target: &Target) -> bool {
        let (Some((prefix, wanted)), Some((provider, upstream))) = (name.split_once('/'), target.model.split_once('/'))
        else {
            return false;
        };
        let is_possible = prefix == provider && !wanted.contains([' ', '*']);
        if is_possible {
            self.renamed.push((provider.to_owned(), wanted.to_owned(), upstream.to_owned()));
            self.names.insert(name.to_owned(), name.to_owned());
        }
        is_possible
    }

    #[expect(clippy::too_many_arguments, reason = "what is read, and what is said of it")]
    fn route(
        &mut self,
        name: &str,
        place: Place,
        plan: &Plan,
        models: &Models,
        routing: &Routing,
        source: &Source,
        notes: &mut Notes,
    ) {
        let is_bad = |c: char| c.is_control() || c.is_whitespace() || c == '*' || c == ':';
        let mut ours = name.replace(is_bad, "-");
        if name.split_once('/').is_some_and(|(prefix, _)| models.is_provider(prefix)) {
            ours = ours.replace('/', "-");
        }
        if ours != name {
            let why = format!("called `{ours}` here: clients have to ask for that");
            notes.changed(source, place, format!("model_list: {name}"), why);
        }
        let spread = routing.strategy.unwrap_or("weighted");
        let mut list = own_targets(&plan.own, spread);
        let is_alone = plan.after.is_empty() && plan.longer.is_empty();
        let is_ordered = plan.own.iter().any(|target| target.order != plan.own.first().map_or(0, |t| t.order));
        let mut route = Map::default();
        if !is_alone && list.len() > 1 && !is_ordered {
            list = vec![nested(spread, list)];
        }
        let mut seen: Vec<String> = plan.own.iter().map(|target| target.model.clone()).collect();
        for targets in plan.after.iter().chain(&plan.longer) {
            let fresh: Vec<Target> = targets.iter().filter(|t| !seen.contains(&t.model)).cloned().collect();
            seen.extend(fresh.iter().map(|target| target.model.clone()));
            let mut more = own_targets(&fresh, spread);
            list.extend(if more.len() > 1 { Some(nested(spread, more)) } else { more.pop() });
        }
        let strategy = match (list.len(), is_alone && !is_ordered) {
            (0 | 1, _) => None,
            (_, true) => Some(spread),
            (_, false) => Some("fallback"),
        };
        let attempts = u32::try_from(list.len().saturating_sub(1)).unwrap_or(u32::MAX);
        route.set_if("strategy", strategy);
        route.set("targets", Yaml::List(list));
        let is_fallback = strategy == Some("fallback");
        let retries = Some(attempts).filter(|attempts| is_fallback && *attempts > routing.retries.unwrap_or(2));
        route.set_if("retries", retries.map(|retries| retries.to_string()));
        if !plan.longer.is_empty() {
            route.set("longer_context", "true");
            route.comment("longer_context", "context_window_fallbacks: these are asked after other failures too");
        }
        self.routes.set(&ours, route);
        self.names.insert(name.to_owned(), ours);
    }
}

fn nested(strategy: &str, targets: Vec<Yaml>) -> Yaml {
    let mut map = Map::default();
    map.set("strategy", strategy).set("targets", Yaml::List(targets));
    map.into()
}

/// The targets of one name; those of one `order` come before those of the next.
fn own_targets(targets: &[Target], spread: &str) -> Vec<Yaml> {
    let mut orders: Vec<u32> = targets.iter().map(|target| target.order).collect();
    orders.sort_unstable();
    orders.dedup();
    let of = |order: u32| -> Vec<Yaml> {
        let same: Vec<&Target> = targets.iter().filter(|target| target.order == order).collect();
        let divisor = same.iter().filter_map(|target| target.weight).fold(0, gcd).max(1);
        same.iter().map(|target| one(target, if same.len() > 1 { divisor } else { 0 })).collect()
    };
    match orders.as_slice() {
        [_] | [] => orders.first().map(|order| of(*order)).unwrap_or_default(),
        orders => {
            let groups = orders.iter().map(|order| of(*order));
            groups
                .filter_map(|mut group| if group.len() > 1 { Some(nested(spread, group)) } else { group.pop() })
                .collect()
        }
    }
}

fn one(target: &Target, divisor: u32) -> Yaml {
    let mut map = Map::default();
    map.set("model", target.model.as_str());
    let weight = target.weight.and_then(|weight| weight.checked_div(divisor)).filter(|weight| *weight > 1);
    map.set_if("weight", weight.map(|weight| weight.to_string()));
    map.into()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
