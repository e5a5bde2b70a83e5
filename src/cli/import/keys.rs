//! Keys and teams, as LiteLLM's `/key/list?return_full_object=true` and `/team/list` give them. A team is
//! a tenant. LiteLLM keeps the SHA-256 of a key, which is what stands here too: clients keep their keys.

use std::collections::BTreeMap;

use super::models::{Models, is_name};
use super::notes::Notes;
use super::routes::Routes;
use super::source::{Fields, Source, entries, is_true, items, text, texts};
use super::vendor::{list, says_something};
use super::yaml::{EMPTY, Map, Yaml};
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
    "litellm_budget_table",
    "budget_id",
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

impl Tenants {
    pub(super) fn read(&mut self, cx: &mut Cx<'_>) {
        let root = &cx.source.root;
        let mut fields = Fields::of(root);
        let listed = |node: Option<&'_ Node>| node.map(|node| items(node).to_vec()).unwrap_or_default();
        let (mut keys, mut teams) = (listed(fields.take("keys")), listed(fields.take("teams")));
        // A bare list is of the one or the other.
        for node in items(root) {
            let is_key = Fields::of(node).take("token").is_some();
            if is_key { keys.push(node.clone()) } else { teams.push(node.clone()) }
        }
        for node in &teams {
            self.team(node, cx);
        }
        for node in &keys {
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

    fn tenant(&mut self, team: Option<&str>, name: &str) -> usize {
        if let Some(at) = self.tenants.iter().position(|tenant| tenant.team.as_deref() == team) {
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
        let at = self.tenant(team, team.unwrap_or(DEFAULT));
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
                cx.notes.lost(
                    cx.source,
                    node.place,
                    format!("{what}: {name}"),
                    "a key has no such thing; see `model_limits` of tenants",
                );
            }
        }
        let is_team_blocked = self.tenants.get(at).is_some_and(|tenant| tenant.is_blocked);
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
                within(key, &narrow);
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
fn within(key: &mut Map, tenant: &[String]) {
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

/// What keys and teams have in common. `false`: it may use nothing.
fn shared(fields: &mut Fields<'_>, map: &mut Map, what: &str, node: &Node, cx: &mut Cx<'_>) -> bool {
    let mut is_open = true;
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
        _ => ("month", 720),
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
        cx.notes.lost(cx.source, entry.place, format!("{what}: {}", entry.name), super::notes::reason(&entry.name));
    }
}

/// A name as tenants and keys may have one.
fn slug(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    let parts = text.split(|c: char| !is_part(c)).filter(|part| !part.is_empty());
    let slug: String = parts.collect::<Vec<_>>().join("-").chars().take(64).collect();
    if is_name(&slug.replace('@', "-")) { slug } else { "unnamed".to_owned() }
}
