//! Names of models to routes: what LiteLLM calls a model group is a route here, but where it only names a
//! provider's model.

use std::collections::BTreeMap;

use super::models::{Models, Target};
use super::notes::Notes;
use super::source::{Source, entries, items, text};
use super::yaml::{Map, Yaml};
use crate::config::yaml::{Node, Place};

/// By the name that is asked for: what is asked where that fails, and where it was said.
type Chains = BTreeMap<String, (Vec<String>, Place)>;

/// The chain of names that have none of their own.
const ANY: &str = "*";

/// How requests are spread, and what comes after a failure.
#[derive(Debug, Default)]
pub(super) struct Routing {
    /// Our word for `routing_strategy`.
    pub(super) strategy: Option<&'static str>,
    fallbacks: Chains,
    longer: Chains,
    pub(super) defaults: Vec<String>,
    pub(super) aliases: Vec<(String, String, Place)>,
    /// Attempts after the first one.
    pub(super) retries: Option<u32>,
}

impl Routing {
    /// `fallbacks: [{name: [name, ...]}]`
    pub(super) fn fallbacks(&mut self, node: &Node, source: &Source, notes: &mut Notes) {
        collect(node, "fallbacks", &mut self.fallbacks, source, notes);
    }

    /// `context_window_fallbacks`, in the same shape.
    pub(super) fn longer(&mut self, node: &Node, source: &Source, notes: &mut Notes) {
        collect(node, "context_window_fallbacks", &mut self.longer, source, notes);
    }

    /// Whether a name that no chain names has one.
    fn has_default(&self) -> bool {
        !self.defaults.is_empty() || self.fallbacks.contains_key(ANY)
    }
}

fn collect(node: &Node, what: &str, into: &mut Chains, source: &Source, notes: &mut Notes) {
    for entry in items(node).iter().flat_map(entries) {
        let (names, _) = into.entry(entry.name.clone()).or_insert_with(|| (Vec::new(), entry.place));
        let one = std::slice::from_ref(&entry.value);
        for named in if text(&entry.value).is_some() { one } else { items(&entry.value) } {
            // A name, or what the request is to say there.
            let model = entries(named).iter().find(|member| member.name == "model").map(|member| &member.value);
            let Some(name) = text(named).or_else(|| model.and_then(text)) else {
                notes.lost(source, named.place, format!("{what}: {}", entry.name), "an entry names no model");
                continue;
            };
            if entries(named).len() > 1 {
                let why = "requests are not changed: it gets what the client said";
                notes.lost(source, named.place, format!("{what}: {}: {name}", entry.name), why);
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
}

/// What LiteLLM looks for: the model's own name, that without its provider, the alias, then what is for all.
fn chain<'c>(chains: &'c Chains, group: &str, name: &str) -> Option<&'c Vec<String>> {
    let bare = group.split_once('/').map(|(_, bare)| bare);
    let found = [Some(group), bare, Some(name)].into_iter().flatten().find_map(|name| chains.get(name));
    found.map(|(names, _)| names)
}

/// Chains of names that no route came of.
fn unused(chains: &Chains, what: &str, models: &Models, routing: &Routing, source: &Source, notes: &mut Notes) {
    for (name, (_, place)) in chains.iter().filter(|(name, _)| *name != ANY) {
        let is_it = |group: &str| group == name || group.split_once('/').is_some_and(|(_, bare)| bare == name);
        let is_alias = routing.aliases.iter().any(|(alias, _, _)| alias == name);
        if is_alias || models.groups().into_iter().any(|group| is_it(group) && !models.targets(group).is_empty()) {
            continue;
        }
        let is_behind = models.wildcard(name).is_some() || models.behind_wildcard(name).is_some();
        let why = if is_behind { NAMELESS } else { "there is no such model" };
        notes.lost(source, *place, format!("{what}: {name}"), why);
    }
}

/// Of what is served under its provider's prefix.
const NAMELESS: &str = "a name behind a provider's prefix has no fallback: a route of another name could have one";

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
    unused(&routing.fallbacks, "fallbacks", models, routing, source, notes);
    unused(&routing.longer, "context_window_fallbacks", models, routing, source, notes);
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
            if routing.has_default() {
                notes.lost(source, place, format!("fallbacks: {name}"), NAMELESS);
            }
        }
        if own.is_empty() {
            return;
        }
        let mut named = |names: Option<&Vec<String>>, what: &str| -> Vec<Vec<Target>> {
            let mut found = Vec::new();
            for other in names.into_iter().flatten() {
                let mut targets = models.targets(other);
                if targets.is_empty() {
                    targets.extend(models.behind_wildcard(other));
                }
                if targets.is_empty() {
                    notes.lost(source, place, format!("{what}: {group}: {other}"), "there is no such model");
                } else if other != group {
                    found.push(targets);
                }
            }
            found
        };
        let any = |chains| Chains::get(chains, ANY).map(|(names, _)| names);
        let defaults = Some(&routing.defaults).filter(|names| !names.is_empty()).or_else(|| any(&routing.fallbacks));
        let after = named(chain(&routing.fallbacks, group, name).or(defaults), "fallbacks");
        let longer = chain(&routing.longer, group, name).or_else(|| any(&routing.longer));
        let longer = named(longer, "context_window_fallbacks");
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
        let has_order = is_ordered(&plan.own);
        let mut route = Map::default();
        if !is_alone && list.len() > 1 && !has_order {
            list = vec![nested(spread, list)];
        }
        let mut seen: Vec<String> = plan.own.iter().map(|target| target.model.clone()).collect();
        for targets in plan.after.iter().chain(&plan.longer) {
            let fresh: Vec<Target> = targets.iter().filter(|t| !seen.contains(&t.model)).cloned().collect();
            seen.extend(fresh.iter().map(|target| target.model.clone()));
            let mut more = own_targets(&fresh, spread);
            let spread = if is_ordered(&fresh) { "fallback" } else { spread };
            list.extend(if more.len() > 1 { Some(nested(spread, more)) } else { more.pop() });
        }
        let strategy = match (list.len(), is_alone && !has_order) {
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

/// Whether some of them are asked only after others.
fn is_ordered(targets: &[Target]) -> bool {
    targets.windows(2).any(|two| two.first().map(|t| t.order) != two.last().map(|t| t.order))
}

/// The targets of one name; those of one `order` come before those of the next.
fn own_targets(targets: &[Target], spread: &str) -> Vec<Yaml> {
    let mut orders: Vec<i64> = targets.iter().map(|target| target.order).collect();
    orders.sort_unstable();
    orders.dedup();
    let of = |order: i64| -> Vec<Yaml> {
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
