//! Keys and teams, as LiteLLM's `/key/list?return_full_object=true` and `/team/list` give them. A team is
//! a tenant. LiteLLM keeps the SHA-256 of a key, which is what stands here too: clients keep their keys.

use std::collections::BTreeMap;

use super::models::{Models, is_name};
use super::notes::{Notes, reason};
use super::routes::Routes;
use super::source::{Fields, Source, entries, is_true, items, text, texts};
use super::vendor::{list, says_something};
use super::yaml::{EMPTY, Map, Yaml};
use crate::config::report::Report;
use crate::config::yaml::{Kind, Node};
use crate::usage::decimal;
use crate::usage::price::PicoUsd;

/// Where keys without a team are, and the master key.
pub(super) const DEFAULT: &str = "default";

/// What names stand for, and what is said of them.
pub(super) struct Cx<'c> {
    pub(super) models: &'c Models,
    pub(super) routes: &'c Routes,
    pub(super) source: &'c Source,
    pub(super) notes: &'c mut Notes,
}

#[derive(Debug, Default)]
pub(super) struct Tenants {
    tenants: Vec<Tenant>,
    ids: Vec<String>,
}

#[derive(Debug)]
struct Tenant {
    name: String,
    team: Option<String>,
    map: Map,
    keys: Vec<Map>,
    is_blocked: bool,
}

/// Of a key or team, what is no limit of it.
const ABOUT: &[&str] = &[
    "token",
    "token_id",
    "key_name",
    "spend",
    "user_id",
    "created_at",
    "updated_at",
    "created_by",
    "updated_by",
    "team_id",
    "team_alias",
    "organization_id",
    "org_id",
    "members_with_roles",
    "members",
    "admins",
    "budget_reset_at",
    "last_active",
    "rotation_count",
    "auto_rotate",
    "rotation_interval",
    "last_rotation_at",
    "key_rotation_at",
    "soft_budget_cooldown",
    "object_permission_id",
    "model_spend",
    "team_memberships",
    "keys",
    "team_member_permissions",
    "model_id",
    "router_settings",
    "litellm_model_table",
    "user",
    "user_email",
];

/// Of a key or team, what is a limit of it; as a shared budget has it too.
const LIMITS: &[&str] = &[
    "rpm_limit",
    "tpm_limit",
    "max_parallel_requests",
    "max_budget",
    "soft_budget",
    "budget_duration",
    "model_max_budget",
];

const LONGEST_MONTH_HOURS: u64 = 31 * 24;

/// The keys or the teams of a file: under that name, or a bare list of the one or the other.
fn listed<'s>(source: &'s Source, name: &str) -> impl Iterator<Item = &'s Node> {
    let is_key = |node: &Node| Fields::of(node).take("token").is_some();
    let wants_keys = name == "keys";
    let named = Fields::of(&source.root).take(name).map(items).unwrap_or_default();
    named.iter().chain(items(&source.root).iter().filter(move |node| is_key(node) == wants_keys))
}

/// Fails for a file that lists neither keys nor teams, and notes where it is one page of several.
pub(super) fn check(source: &Source, notes: &mut Notes) -> Result<(), Report> {
    let is_list = |node: &Node| matches!(node.kind, Kind::List(_));
    let mut fields = Fields::of(&source.root);
    let mut lists = ["keys", "teams"].into_iter().filter_map(|name| fields.take(name)).filter(|node| is_list(node));
    let first = if is_list(&source.root) { Some(&source.root) } else { lists.next() };
    let Some(listed) = first else {
        let why = "here is no list of keys or teams, as /key/list and /team/list give them";
        return Err(Report::plain(&source.name, why, Some("did the proxy answer with an error?".to_owned())));
    };
    let mut count = |name| text(fields.take(name)?)?.parse::<usize>().ok();
    let (pages, page, total) =
        (count("total_pages"), count("current_page").or_else(|| count("page")), count("total_count"));
    let is_part = pages.zip(page).is_some_and(|(pages, page)| pages > page)
        || total.zip(page.or(Some(1))).is_some_and(|(total, page)| page <= 1 && total > items(listed).len());
    if is_part {
        let why = "there are more pages than this one: give each with --keys";
        notes.lost(source, listed.place, "keys of other pages", why);
    }
    Ok(())
}

impl Tenants {
    /// The teams of a file. Those of all files come before any key: a key is what its team lets it be.
    pub(super) fn read_teams(&mut self, cx: &mut Cx<'_>) {
        for node in listed(cx.source, "teams") {
            self.team(node, cx);
        }
    }

    /// The keys of a file.
    pub(super) fn read_keys(&mut self, cx: &mut Cx<'_>) {
        for node in listed(cx.source, "keys") {
            self.key(node, cx);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tenants.iter().all(|tenant| tenant.keys.is_empty())
    }

    /// Sets something on the tenant of everybody without a team.
    pub(super) fn set_default(&mut self, name: &str, value: Yaml) {
        let at = self.tenant(None, DEFAULT);
        if let Some(tenant) = self.tenants.get_mut(at) {
            tenant.map.set(name, value);
        }
    }

    /// The master key opened everything, and still does.
    pub(super) fn master(&mut self, secret: &str) {
        let at = self.tenant(None, DEFAULT);
        let mut key = Map::default();
        key.set("id", self.id("master")).set("secret", secret);
        if let Some(tenant) = self.tenants.get_mut(at) {
            tenant.keys.push(key);
        }
    }

    fn find(&self, team: Option<&str>) -> Option<usize> {
        self.tenants.iter().position(|tenant| tenant.team.as_deref() == team)
    }

    fn tenant(&mut self, team: Option<&str>, name: &str) -> usize {
        if let Some(at) = self.find(team) {
            return at;
        }
        let name = slug(name);
        let mut free = name.clone();
        let mut number = 2;
        while self.tenants.iter().any(|tenant| tenant.name == free) {
            free = format!("{name}-{number}");
            number += 1;
        }
        let team = team.map(str::to_owned);
        self.tenants.push(Tenant { name: free, team, map: Map::default(), keys: Vec::new(), is_blocked: false });
        self.tenants.len() - 1
    }

    fn id(&mut self, wanted: &str) -> String {
        let wanted = slug(wanted);
        let numbered = (2..).map(|n: u32| format!("{wanted}-{n}"));
        let mut all = std::iter::once(wanted.clone()).chain(numbered);
        let id = all.find(|id| !self.ids.contains(id)).unwrap_or_default();
        self.ids.push(id.clone());
        id
    }

    fn team(&mut self, node: &Node, cx: &mut Cx<'_>) {
        let mut fields = Fields::of(node);
        let id = fields.text("team_id").unwrap_or_default();
        let name = fields.text("team_alias").filter(|alias| !alias.is_empty()).unwrap_or(id);
        let at = self.tenant(Some(id), name);
        let what = format!("team {name}");
        let mut map = Map::default();
        let is_open = shared(&mut fields, &mut map, &what, node, cx);
        let mut metadata = fields.take("metadata").map_or_else(|| Fields::of(node), Fields::of);
        model_limits(&mut metadata, &mut map, &what, cx);
        if let Some(node) = metadata.take("guardrails").filter(|node| says_something(node)) {
            let why = reason("guardrails");
            cx.notes.lost(cx.source, node.place, format!("{what}: guardrails"), why);
        }
        let tenant = map.clone();
        if let Some(Yaml::Map(models)) = map.get_mut("model_limits") {
            models.maps_mut().for_each(|limits| reachable(limits, &tenant, &what, node, cx));
            map.tidy();
        }
        if let Some(limits) = fields.take("model_max_budget") {
            for entry in entries(limits) {
                cx.notes.lost(
                    cx.source,
                    entry.place,
                    format!("{what}: model_max_budget: {}", entry.name),
                    "see `model_budgets`",
                );
            }
        }
        let is_blocked = fields.take("blocked").is_some_and(is_true) || !is_open;
        rest(fields, &what, cx);
        if let Some(tenant) = self.tenants.get_mut(at) {
            (tenant.map, tenant.is_blocked) = (map, is_blocked);
        }
    }

    fn key(&mut self, node: &Node, cx: &mut Cx<'_>) {
        let mut fields = Fields::of(node);
        let token = fields.text("token").unwrap_or_default();
        let is_hash = token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit());
        let alias = fields.text("key_alias").filter(|alias| !alias.is_empty());
        let short = token.get(..8).unwrap_or("unknown");
        let what = format!("key {}", alias.unwrap_or(short));
        if !is_hash {
            return cx.notes.lost(cx.source, node.place, what, "its `token` is no SHA-256: make it a new key");
        }
        let team = fields.text("team_id");
        let is_known = team.is_none() || self.find(team).is_some();
        if !is_known {
            let why = "its team is in no list, and what it may do is not known: switched off";
            cx.notes.changed(cx.source, node.place, format!("{what}: team_id"), why);
        }
        let at = self.tenant(team, team.unwrap_or(DEFAULT));
        // Those that follow find a tenant, which the first of them has made.
        if let Some(tenant) = self.tenants.get_mut(at).filter(|_| !is_known) {
            tenant.is_blocked = true;
        }
        let mut key = Map::default();
        let id = self.id(&alias.map_or_else(|| format!("key-{short}"), str::to_owned));
        key.set("id", id).set("sha256", token.to_ascii_lowercase());
        let is_open = shared(&mut fields, &mut key, &what, node, cx);
        if let Some(node) = fields.take("expires") {
            expires(node, &mut key, &what, cx);
        }
        let is_blocked = fields.take("blocked").is_some_and(is_true);
        let mut metadata = fields.take("metadata").map_or_else(|| Fields::of(node), Fields::of);
        for name in ["model_rpm_limit", "model_tpm_limit", "tags", "guardrails"] {
            if let Some(node) = metadata.take(name).filter(|node| says_something(node)) {
                let why = match name {
                    "tags" => "clients name tags themselves (`x-weir-tags`)",
                    "guardrails" => reason(name),
                    _ => "a key has no such thing; see `model_limits` of tenants",
                };
                cx.notes.lost(cx.source, node.place, format!("{what}: {name}"), why);
            }
        }
        let tenant = self.tenants.get(at);
        if let Some(tenant) = tenant {
            within(&mut key, &tenant.map, &what, node, cx);
        }
        let is_team_blocked = tenant.is_some_and(|tenant| tenant.is_blocked);
        if is_blocked || is_team_blocked || !is_open {
            key.set("active", "false");
        }
        rest(fields, &what, cx);
        if let Some(tenant) = self.tenants.get_mut(at) {
            tenant.keys.push(key);
        }
    }

    /// `tenants`, each with its keys.
    pub(super) fn finish(self) -> Map {
        let mut all = Map::default();
        for mut tenant in self.tenants {
            let narrow: Vec<String> = names_of(tenant.map.get("models"));
            let mut map = Map::default();
            for key in &mut tenant.keys {
                narrowed(key, &narrow);
            }
            map.set("keys", Yaml::List(tenant.keys.into_iter().map(Yaml::from).collect()));
            tenant.map.entries().for_each(|(name, value)| _ = map.set(name, value.clone()));
            all.set(&tenant.name, if map.is_empty() { Yaml::from(EMPTY) } else { map.into() });
        }
        all
    }
}

fn names_of(value: Option<&Yaml>) -> Vec<String> {
    match value {
        Some(Yaml::List(items)) => items
            .iter()
            .filter_map(|item| match item {
                Yaml::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A key can only narrow what its tenant may use: what it names beyond that it never could.
fn narrowed(key: &mut Map, tenant: &[String]) {
    let own = names_of(key.get("models"));
    if tenant.is_empty() || own.is_empty() {
        return;
    }
    let is_inside = |name: &String| {
        let begins = |wide: &String| wide.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix));
        tenant.iter().any(|wide| wide == name || begins(wide))
    };
    let inside: Vec<String> = own.into_iter().filter(is_inside).collect();
    if inside.is_empty() {
        key.set("active", "false");
        key.set("models", Map::default());
    } else {
        key.set("models", list(inside));
    }
}

/// What is more than all of the tenant may have would never be reached: the tenant's holds.
fn within(key: &mut Map, tenant: &Map, what: &str, node: &Node, cx: &mut Cx<'_>) {
    if let Some(Yaml::Map(limits)) = key.get_mut("limits") {
        reachable(limits, tenant, what, node, cx);
    }
    let Some(Yaml::List(budgets)) = tenant.get("budgets") else { return };
    let most: Vec<&Map> =
        budgets.iter().filter_map(Yaml::as_map).filter(|budget| budget.get("soft").is_none()).collect();
    let usd = |budget: &Map| decimal::scaled(budget.get("usd")?.as_text()?, 12).map(|usd| usd.units);
    let is_never_used_up =
        |own: &Map| most.iter().any(|most| most.get("per") == own.get("per") && usd(most) < usd(own));
    if let Some(Yaml::List(own)) = key.get_mut("budgets") {
        let before = own.len();
        own.retain(|budget| !budget.as_map().is_some_and(is_never_used_up));
        if own.len() < before {
            never_reached("max_budget", what, node, cx);
        }
    }
    key.tidy();
}

/// The same for limits.
fn reachable(limits: &mut Map, tenant: &Map, what: &str, node: &Node, cx: &mut Cx<'_>) {
    let Some(Yaml::Map(most)) = tenant.get("limits") else { return };
    for (name, most) in most.entries() {
        let number = |limit: &Yaml| limit.as_text().and_then(|text| text.parse::<u64>().ok());
        if limits.get(name).is_some_and(|own| number(own) > number(most)) {
            limits.remove(name);
            never_reached(name, what, node, cx);
        }
    }
}

fn never_reached(name: &str, what: &str, node: &Node, cx: &mut Cx<'_>) {
    let why = "more than all of its tenant may have, which is what holds";
    cx.notes.changed(cx.source, node.place, format!("{what}: {name}"), why);
}

/// What keys and teams have in common. `false`: it may use nothing.
fn shared(fields: &mut Fields<'_>, map: &mut Map, what: &str, node: &Node, cx: &mut Cx<'_>) -> bool {
    let mut is_open = true;
    tier(fields, what, node, cx);
    if let Some(node) = fields.take("models") {
        is_open = models(&texts(node), map, what, node, cx);
    }
    let mut limits = Map::default();
    for (theirs, ours) in [
        ("rpm_limit", "requests_per_minute"),
        ("tpm_limit", "tokens_per_minute"),
        ("max_parallel_requests", "concurrency"),
    ] {
        let number = fields.text(theirs).and_then(|n| n.parse::<u64>().ok());
        is_open &= number != Some(0);
        limits.set_if(ours, number.filter(|n| *n > 0).map(|n| n.to_string()));
    }
    map.set("limits", limits);
    let duration = fields.text("budget_duration").map(str::to_owned);
    let mut budgets = Vec::new();
    for (name, is_soft) in [("max_budget", false), ("soft_budget", true)] {
        let Some(max) = fields.take(name) else { continue };
        match budget(text(max).unwrap_or_default(), duration.as_deref()) {
            Some((mut found, why)) => {
                if is_soft {
                    found.set("soft", "true");
                }
                if let Some(why) = why {
                    cx.notes.changed(cx.source, max.place, format!("{what}: budget_duration"), why);
                }
                budgets.push(Yaml::from(found));
            }
            None => {
                is_open &= is_soft;
                cx.notes.changed(cx.source, max.place, format!("{what}: {name}"), "nothing may be spent: switched off");
            }
        }
    }
    map.set("budgets", Yaml::List(budgets));
    let spent = fields.text("spend").and_then(|spend| decimal::scaled(spend, 12)).is_some_and(|spend| spend.units > 0);
    if spent && map.get("budgets").is_some() {
        cx.notes.changed(cx.source, node.place, format!("{what}: spend"), "the new budget begins at zero");
    }
    is_open
}

/// A budget that several have (`budget_id`): what it says holds where nothing of one's own is said.
fn tier<'n>(fields: &mut Fields<'n>, what: &str, node: &Node, cx: &mut Cx<'_>) {
    let (id, table) = (fields.text("budget_id"), fields.take("litellm_budget_table"));
    match table {
        Some(table) => fields.fall_back(table, LIMITS),
        None if id.is_some() => {
            let why = "what it allows is not in the list: its limits and budgets do not hold here";
            cx.notes.lost(cx.source, node.place, format!("{what}: budget_id"), why);
        }
        None => {}
    }
}

/// `usd` and `per`, and what is not the same about it. `None` where nothing may be spent.
pub(super) fn budget(max: &str, duration: Option<&str>) -> Option<(Map, Option<String>)> {
    let usd = decimal::scaled(max, 12).filter(|usd| usd.units > 0)?;
    let (per, why) = period(duration);
    let mut map = Map::default();
    map.set("usd", PicoUsd(usd.units.into()).to_string()).set("per", per);
    Some((map, why))
}

/// A length of time to a period of the calendar.
fn period(duration: Option<&str>) -> (&'static str, Option<String>) {
    let Some(duration) = duration.filter(|text| !text.is_empty()) else { return ("total", None) };
    let split = duration.find(|c: char| !c.is_ascii_digit()).unwrap_or(duration.len());
    let (number, unit) = duration.split_at_checked(split).unwrap_or((duration, ""));
    let number: u64 = number.parse().unwrap_or(1);
    let hours = match unit {
        "s" => number / 3_600,
        "m" => number / 60,
        "h" => number,
        "d" => number.saturating_mul(24),
        "w" => number.saturating_mul(24 * 7),
        "mo" => number.saturating_mul(24 * 30),
        "y" => number.saturating_mul(24 * 365),
        _ => 24 * 30,
    };
    let (per, exact) = match hours {
        ..=24 => ("day", 24),
        25..=168 => ("week", 168),
        169..=LONGEST_MONTH_HOURS => ("month", 720),
        _ => {
            let why = format!("{duration} is longer than any period here: it holds in total, and does not begin anew");
            return ("total", Some(why));
        }
    };
    let why = format!("{duration} is a calendar {per} here (UTC)");
    let is_calendar = hours == exact;
    (per, Some(if is_calendar { why } else { format!("{why}, which is not as long") }))
}

/// The names it may use. `false`: none of them is there, and it may use nothing.
fn models(wanted: &[&str], map: &mut Map, what: &str, node: &Node, cx: &mut Cx<'_>) -> bool {
    if wanted.iter().any(|name| matches!(*name, "all-proxy-models" | "all-team-models" | "*")) {
        return true;
    }
    let mut names: Vec<String> = Vec::new();
    for name in wanted {
        let groups = cx.models.access.get(*name).cloned().unwrap_or_else(|| vec![(*name).to_owned()]);
        for group in groups {
            match cx.routes.names.get(&group) {
                Some(ours) if !names.contains(ours) => names.push(ours.clone()),
                Some(_) => {}
                None => {
                    let covered = cx.routes.names.values().any(|ours| {
                        ours.strip_suffix('*').is_some_and(|prefix| group.starts_with(prefix) && !group.ends_with('*'))
                    });
                    if covered {
                        names.push(group);
                    } else {
                        cx.notes.lost(
                            cx.source,
                            node.place,
                            format!("{what}: models: {group}"),
                            "there is no such model",
                        );
                    }
                }
            }
        }
    }
    let is_open = wanted.is_empty() || !names.is_empty();
    if !is_open {
        let why = "it may use nothing that is there: switched off";
        cx.notes.changed(cx.source, node.place, format!("{what}: models"), why);
    }
    map.set("models", list(names));
    is_open
}

/// `metadata.model_rpm_limit`: by model.
fn model_limits(metadata: &mut Fields<'_>, map: &mut Map, what: &str, cx: &mut Cx<'_>) {
    let mut by_model: BTreeMap<String, Map> = BTreeMap::new();
    for (theirs, ours) in [("model_rpm_limit", "requests_per_minute"), ("model_tpm_limit", "tokens_per_minute")] {
        for entry in metadata.take(theirs).into_iter().flat_map(entries) {
            match (cx.routes.names.get(&entry.name), text(&entry.value)) {
                (Some(name), Some(number)) if number != "0" => {
                    by_model.entry(name.clone()).or_default().set(ours, number);
                }
                (Some(_), _) => cx.notes.lost(
                    cx.source,
                    entry.place,
                    format!("{what}: {theirs}: {}", entry.name),
                    "no limit that can be carried over: to forbid the model, leave it out of `models`",
                ),
                _ => cx.notes.lost(
                    cx.source,
                    entry.place,
                    format!("{what}: {theirs}: {}", entry.name),
                    "there is no such model",
                ),
            }
        }
    }
    let mut limits = Map::default();
    by_model.into_iter().for_each(|(name, model)| _ = limits.set(&name, model));
    map.set("model_limits", limits);
}

fn expires(node: &Node, key: &mut Map, what: &str, cx: &mut Cx<'_>) {
    let Kind::Scalar(written) = &node.kind else { return };
    let written = written.trim();
    let is_local =
        written.len() > 10 && !written.ends_with('Z') && !written.get(19..).is_some_and(|t| t.contains(['+', '-']));
    let zoned = if is_local { format!("{written}Z") } else { written.to_owned() };
    let moment = zoned.replacen(' ', "T", 1).parse::<jiff::Timestamp>();
    match moment {
        Ok(moment) => {
            let whole = moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            key.set("expires", whole);
        }
        Err(_) if written.len() == 10 => _ = key.set("expires", written),
        Err(_) => {
            key.set("active", "false");
            let why = format!("`{written}` is no moment that can be read: switched off");
            cx.notes.changed(cx.source, node.place, format!("{what}: expires"), why);
        }
    }
}

fn rest(mut fields: Fields<'_>, what: &str, cx: &mut Cx<'_>) {
    fields.skip(ABOUT);
    for entry in fields.rest().filter(|entry| says_something(&entry.value)) {
        cx.notes.lost(cx.source, entry.place, format!("{what}: {}", entry.name), reason(&entry.name));
    }
}

/// A name as tenants and keys may have one.
fn slug(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    let parts = text.split(|c: char| !is_part(c)).filter(|part| !part.is_empty());
    let slug: String = parts.collect::<Vec<_>>().join("-").chars().take(64).collect();
    if is_name(&slug.replace('@', "-")) { slug } else { "unnamed".to_owned() }
}
