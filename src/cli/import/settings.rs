//! `litellm_settings`, `router_settings`, `general_settings`.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::notes::{Notes, reason};
use super::routes::Routing;
use super::source::{Fields, Source, is_true, text, texts};
use super::vendor::{says_something, seconds, timeouts, value};
use super::yaml::{Map, Yaml};
use super::{keys, models};
use crate::config::yaml::{Entry, Node, Place};

/// What they say, as sections of the new configuration.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) server: Map,
    pub(super) state: Map,
    pub(super) defaults: Map,
    pub(super) alerts: Map,
    pub(super) routing: Routing,
    /// The master key, as it stands in the new configuration.
    pub(super) master: Option<String>,
    /// What all together may spend.
    pub(super) everybody: Option<(Map, Place)>,
    total: Option<String>,
    first_token: Option<String>,
}

/// What is always so here, or is of no matter.
const NEEDLESS: &[&str] = &[
    "drop_params",
    "set_verbose",
    "json_logs",
    "debug_level",
    "turn_off_message_logging",
    "redact_user_api_key_info",
    "telemetry",
    "enable_pre_call_checks",
    "enable_pre_call_check",
    "ui_access_mode",
    "health_check_interval",
    "background_health_checks",
    "infer_model_from_keys",
    "disable_spend_logs",
    "proxy_batch_write_at",
    "proxy_budget_rescheduler_min_time",
    "proxy_budget_rescheduler_max_time",
    "database_connection_pool_limit",
    "database_connection_timeout",
    "database_type",
    "modify_params",
    "suppress_debug_info",
    "return_response_headers",
    "num_workers",
];

impl Settings {
    pub(super) fn litellm(&mut self, node: &Node, source: &Source, notes: &mut Notes) {
        let mut fields = Fields::of(node);
        self.common(&mut fields, source, notes);
        self.total = fields.take("request_timeout").and_then(seconds).or_else(|| self.total.take());
        if let Some(names) = fields.take("default_fallbacks") {
            self.routing.defaults = texts(names).into_iter().map(str::to_owned).collect();
        }
        let duration = fields.text("budget_duration");
        if let Some(node) = fields.take("max_budget") {
            let budget = keys::budget(text(node).unwrap_or_default(), duration);
            self.everybody = budget.map(|(budget, _)| (budget, node.place));
        }
        rest(fields, "litellm_settings", source, notes);
    }

    pub(super) fn router(&mut self, node: &Node, source: &Source, notes: &mut Notes) {
        let mut fields = Fields::of(node);
        self.common(&mut fields, source, notes);
        self.total = fields.take("timeout").and_then(seconds).or_else(|| self.total.take());
        self.first_token = fields.take("stream_timeout").and_then(seconds);
        self.defaults.set_if("backoff", fields.take("retry_after").and_then(seconds));
        if let Some(node) = fields.take("routing_strategy") {
            self.strategy(text(node).unwrap_or_default(), node, source, notes);
        }
        fields.skip(&["routing_strategy_args"]);
        if let Some(node) = fields.take("model_group_alias") {
            let aliases = models::aliases(node).into_iter();
            self.routing.aliases =
                aliases.map(|(alias, group, place)| (alias.to_owned(), group.to_owned(), place)).collect();
        }
        self.redis(&mut fields, node, source, notes);
        rest(fields, "router_settings", source, notes);
    }

    pub(super) fn general(&mut self, node: &Node, source: &Source, notes: &mut Notes) {
        let mut fields = Fields::of(node);
        self.master = fields.text("master_key").map(value);
        if let Some(node) = fields.take("database_url") {
            self.state.set_if("database", text(node).map(value));
            let why = "the tables there are LiteLLM's: Weir makes its own beside them, and reads none of theirs";
            notes.changed(source, node.place, "general_settings: database_url", why);
        }
        if let Some(mb) = fields.text("max_request_size_mb").and_then(|mb| mb.parse::<u64>().ok()) {
            self.server.set("max_body", format!("{mb}MiB"));
        }
        if let Some(node) = fields.take("alerting") {
            self.alerting(&texts(node), &mut fields, node, source, notes);
        }
        fields.skip(&["alerting_threshold", "alert_types", "alerting_args"]);
        if let Some(node) = fields.take("coordination_redis") {
            let mut fields = Fields::of(node);
            self.redis(&mut fields, node, source, notes);
            rest(fields, "general_settings: coordination_redis", source, notes);
        }
        rest(fields, "general_settings", source, notes);
    }

    /// What may stand in two of the sections.
    fn common(&mut self, fields: &mut Fields<'_>, source: &Source, notes: &mut Notes) {
        if let Some(retries) = fields.text("num_retries").and_then(|n| n.parse().ok()) {
            self.routing.retries = Some(retries);
            self.defaults.set("retries", retries.to_string());
        }
        if let Some(node) = fields.take("fallbacks") {
            self.routing.fallbacks(node, source, notes);
        }
        if let Some(node) = fields.take("context_window_fallbacks") {
            self.routing.longer(node, source, notes);
        }
    }

    fn strategy(&mut self, word: &str, node: &Node, source: &Source, notes: &mut Notes) {
        let (ours, why) = match word {
            "simple-shuffle" => ("weighted", None),
            "least-busy" => ("least_busy", None),
            "latency-based-routing" => ("latency", None),
            "cost-based-routing" => ("cost", None),
            _ => ("least_busy", Some("the nearest here is `least_busy`; the quota that is left counts anyway")),
        };
        self.routing.strategy = Some(ours);
        if let Some(why) = why {
            notes.changed(source, node.place, format!("router_settings: routing_strategy: {word}"), why);
        }
    }

    /// Counters that replicas share.
    fn redis(&mut self, fields: &mut Fields<'_>, node: &Node, source: &Source, notes: &mut Notes) {
        let url = fields.text("redis_url").or_else(|| fields.text("url")).map(value);
        let Some(url) = url.or_else(|| redis_url(fields, source, notes)) else { return };
        if self.state.get("shared").is_some_and(|before| *before != Yaml::from(url.as_str())) {
            let why = "there is one store here, and this is it: that of `router_settings` is used no more";
            notes.changed(source, node.place, "coordination_redis", why);
        }
        self.state.set("shared", url);
    }

    fn alerting(&mut self, words: &[&str], fields: &mut Fields<'_>, node: &Node, source: &Source, notes: &mut Notes) {
        let mut hooks = Vec::new();
        for word in words {
            let mut hook = Map::default();
            match *word {
                "slack" => _ = hook.set("url", "${SLACK_WEBHOOK_URL}").set("format", "slack"),
                "webhook" => _ = hook.set("url", "${WEBHOOK_URL}"),
                other => {
                    notes.lost(source, node.place, format!("general_settings: alerting: {other}"), "use a webhook");
                    continue;
                }
            }
            hooks.push(Yaml::from(hook));
        }
        if let Some(node) = fields.take("alert_to_webhook_url") {
            for url in super::source::entries(node).iter().flat_map(|entry| texts(&entry.value)) {
                let mut hook = Map::default();
                hook.set("url", value(url)).set("format", "slack");
                hooks.push(hook.into());
            }
        }
        hooks.dedup();
        self.alerts.set("webhooks", Yaml::List(hooks));
    }

    /// Once all sections are read.
    pub(super) fn finish(&mut self) {
        self.defaults.set("timeouts", timeouts(self.total.take(), self.first_token.take()));
    }
}

/// The parts of a store as its URL.
fn redis_url(fields: &mut Fields<'_>, source: &Source, notes: &mut Notes) -> Option<String> {
    fn part<'n>(fields: &mut Fields<'n>, name: &str) -> Option<&'n Node> {
        fields.take(&format!("redis_{name}")).or_else(|| fields.take(name))
    }
    let host = part(fields, "host").and_then(text).map(value)?;
    let port = part(fields, "port").and_then(text).map_or_else(|| "6379".to_owned(), value);
    let mut encoded = |name: &str, fields: &mut Fields<'_>| {
        let node = part(fields, name)?;
        let given = text(node)?.trim();
        // What it holds is known when the variable is, and that is put in as it is.
        if given.starts_with("os.environ/") {
            let why = "it stands in a URL here: the variable has to have it percent-encoded";
            notes.changed(source, node.place, format!("redis_{name}"), why);
            return Some(value(given));
        }
        Some(utf8_percent_encode(given, NON_ALPHANUMERIC).to_string())
    };
    let user = encoded("username", fields).unwrap_or_default();
    let password = encoded("password", fields).map(|password| format!(":{password}")).unwrap_or_default();
    let login = if user.is_empty() && password.is_empty() { String::new() } else { format!("{user}{password}@") };
    let ssl = part(fields, "ssl");
    // Only the variable would tell: without it, nothing that is meant to be hidden goes out in the clear.
    let by_variable = ssl.and_then(text).is_some_and(|given| given.starts_with("os.environ/"));
    if let (Some(node), true) = (ssl, by_variable) {
        notes.changed(source, node.place, "redis_ssl", "taken as true: TLS is `rediss://` in the URL");
    }
    let scheme = if by_variable || ssl.is_some_and(is_true) { "rediss" } else { "redis" };
    let database = part(fields, "db").and_then(text).map(|database| format!("/{}", value(database)));
    Some(format!("{scheme}://{login}{host}:{port}{}", database.unwrap_or_default()))
}

/// What of a section was not taken.
fn rest(mut fields: Fields<'_>, section: &str, source: &Source, notes: &mut Notes) {
    fields.skip(NEEDLESS);
    for entry in fields.rest().filter(|entry| says_something(&entry.value)) {
        lost(entry, section, source, notes);
    }
}

pub(super) fn lost(entry: &Entry, section: &str, source: &Source, notes: &mut Notes) {
    let is_prometheus = entry.name.ends_with("callbacks") || entry.name.ends_with("callback");
    let others = texts(&entry.value).into_iter().any(|word| word != "prometheus");
    if is_prometheus && !others {
        return;
    }
    let what = if section.is_empty() { entry.name.clone() } else { format!("{section}: {}", entry.name) };
    if is_true(&entry.value) && entry.name == "cache" || !is_prometheus || others {
        notes.lost(source, entry.place, what, reason(&entry.name));
    }
}
