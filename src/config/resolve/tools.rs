//! `tools`, and `edge_tools` wherever it stands.

use std::sync::Arc;

use super::{base_url, openapi, provider};
use crate::config::raw::{self, Config};
use crate::config::read::{At, Context, Either, SecretText, nearest};
use crate::config::tools::{
    Arguments, BETWEEN, BUILT_IN, EdgeTools, FETCH, FetchHost, HttpTool, McpServer, McpWay, ToolKind, ToolSettings,
    ToolUrl,
};
use crate::secret::Secret;

/// A model that is asked more often goes in circles.
const MOST_ROUNDS: u32 = 50;
/// What every vendor takes as the name of a tool.
const MOST_NAME_BYTES: usize = 64;
/// More would be another answer than the gateway holds.
const MOST_BYTES: usize = 16 << 20;
/// Every call is remembered for a minute.
const MOST_CALLS_PER_MINUTE: u32 = 10_000;

pub(super) fn tools(config: &Config, cx: &mut Context<'_>) -> Vec<Arc<ToolSettings>> {
    let mut all = Vec::with_capacity(config.tools.entries.len());
    for (name, raw) in &config.tools.entries {
        check_name(name, raw, cx);
        if let Some(kind) = kind(name, raw, cx) {
            all.push(Arc::new(settings(name, raw, kind, cx)));
        }
    }
    all
}

fn check_name(name: &At<String>, raw: &raw::Tool, cx: &mut Context<'_>) {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > MOST_NAME_BYTES || !name.chars().all(good) {
        cx.say(name.place, "not a name for a tool")
            .label(format!("expected letters, digits, `_` and `-`, at most {MOST_NAME_BYTES} of them"));
    } else if name.contains(BETWEEN) {
        cx.say(name.place, "not a name for a tool")
            .label(format!("`{BETWEEN}` stands between the name of a server and that of its tool"));
    } else if BUILT_IN.contains(&name.as_str()) || name.value == FETCH && raw.fetch.is_none() {
        cx.say(name.place, format!("`{}` is built in", name.value)).label("expected another name");
    }
}

fn settings(name: &At<String>, raw: &raw::Tool, kind: ToolKind, cx: &mut Context<'_>) -> ToolSettings {
    if raw.max_bytes.0 > MOST_BYTES {
        cx.say(raw.max_bytes.place, "too long an answer for a model").label("expected at most 16MiB");
    }
    let calls_per_minute = raw.limits.calls_per_minute.as_ref();
    if let Some(most) = calls_per_minute.filter(|most| !(1..=MOST_CALLS_PER_MINUTE).contains(&most.value)) {
        cx.say(most.place, "not a limit of a tool").label(format!("expected 1 to {MOST_CALLS_PER_MINUTE}"));
    }
    ToolSettings {
        name: name.value.clone(),
        kind,
        timeout: raw.timeout.0,
        max_bytes: raw.max_bytes.0,
        calls_per_minute: calls_per_minute.map(|most| most.value),
    }
}

/// What a tool is by what is written: exactly one thing.
fn kind(name: &At<String>, raw: &raw::Tool, cx: &mut Context<'_>) -> Option<ToolKind> {
    let ways = ["url", "openapi", "mcp", "fetch"];
    let written: Vec<&str> = ways.into_iter().filter(|way| raw.written.contains(way)).collect();
    let [way] = written.as_slice() else {
        let what = if written.is_empty() { "says nothing of what it does" } else { "does more than one thing" };
        cx.say(name.place, format!("the tool `{}` {what}", name.value))
            .label("expected one of `url`, `openapi`, `mcp` and `fetch`");
        return None;
    };
    foreign(raw, way, cx);
    match *way {
        "mcp" => mcp(&raw.mcp.as_ref()?.value, raw, cx).map(|server| ToolKind::Mcp(Box::new(server))),
        "fetch" => fetch(raw.fetch.as_ref()?, cx).map(ToolKind::Fetch),
        "openapi" => openapi::tool(raw, cx).map(|tool| ToolKind::Http(Box::new(tool))),
        _ => http(raw, cx).map(|tool| ToolKind::Http(Box::new(tool))),
    }
}

/// What is written and does nothing for such a tool.
fn foreign(raw: &raw::Tool, way: &str, cx: &mut Context<'_>) {
    let means: &[&str] = match way {
        "url" => &["description", "url", "method", "schema", "schema_file", "headers", "secret"],
        "openapi" => &["description", "openapi", "operation", "base_url", "headers", "secret"],
        "mcp" => &["mcp", "allow"],
        _ => &["description", "fetch"],
    };
    let always = ["timeout", "max_bytes", "limits"];
    for name in raw.written.iter().filter(|name| !means.contains(name) && !always.contains(name)) {
        cx.say(raw.place, format!("`{name}` means nothing for a tool with `{way}`")).label("expected without it");
    }
}

fn http(raw: &raw::Tool, cx: &mut Context<'_>) -> Option<HttpTool> {
    let url = url(raw.url.as_ref()?, cx);
    let Some(description) = &raw.description else {
        if !raw.written.contains(&"description") {
            cx.say(raw.place, "a tool without a description").label("expected `description: ...`, for the model");
        }
        return None;
    };
    let schema = schema(raw, cx);
    let arguments = if matches!(raw.method.0, "GET" | "DELETE") { Arguments::Query } else { Arguments::Body };
    Some(HttpTool {
        description: description.value.clone(),
        schema: schema?,
        url: url?,
        method: raw.method.0.to_owned(),
        headers: provider::header_list(&raw.headers, cx),
        secret: raw.secret.as_ref().map(|secret| secret.value.0.clone()),
        arguments,
    })
}

fn schema(raw: &raw::Tool, cx: &mut Context<'_>) -> Option<String> {
    match (&raw.schema, &raw.schema_file) {
        (Some(schema), None) => Some(schema.value.0.clone()),
        (None, Some(path)) => {
            let text = match cx.env.read(path) {
                Ok(text) => text,
                Err(error) => {
                    cx.say(path.place, format!("cannot read the file `{}`", path.display())).label(error.to_string());
                    return None;
                }
            };
            let object = raw::object(&text);
            if object.is_none() {
                cx.say(path.place, format!("`{}` is no object of JSON", path.display()))
                    .label("expected a JSON Schema");
            }
            object
        }
        (Some(_), Some(path)) => {
            cx.say(path.place, "both `schema` and `schema_file`").label("expected one of them");
            None
        }
        (None, None) => {
            if !raw.written.contains(&"schema") && !raw.written.contains(&"schema_file") {
                cx.say(raw.place, "a tool without a schema of its arguments")
                    .label("expected `schema: {type: object, properties: {...}}`, or `schema_file`");
            }
            None
        }
    }
}

fn url(raw: &At<SecretText>, cx: &mut Context<'_>) -> Option<ToolUrl> {
    let whole = raw.value.0.expose();
    match base_url::plain(whole) {
        Ok(base) => Some(ToolUrl { base, whole: Secret::new(whole) }),
        Err(expected) => {
            cx.say(raw.place, "not a URL that can be called").label(format!("expected {expected}"));
            None
        }
    }
}

fn mcp(raw: &raw::Mcp, tool: &raw::Tool, cx: &mut Context<'_>) -> Option<McpServer> {
    let has = |name| raw.written.contains(&name);
    let way = match (has("url"), has("command")) {
        (true, false) => {
            if has("args") || has("env") {
                cx.say(raw.place, "`args` and `env` are a command's").label("expected `command`, or none of them");
            }
            let url = raw.url.as_ref().and_then(|raw| url(raw, cx));
            McpWay::Http { url: url?, headers: provider::header_list(&raw.headers, cx) }
        }
        (false, true) => {
            if has("headers") {
                cx.say(raw.place, "`headers` are for a server with a `url`").label("expected `env`, or nothing");
            }
            McpWay::Command {
                command: raw.command.as_ref()?.value.clone(),
                args: raw.args.iter().map(|arg| arg.value.clone()).collect(),
                env: environment(raw, cx),
            }
        }
        _ => {
            cx.say(raw.place, "a server that cannot be reached").label("expected one of `url` and `command`");
            return None;
        }
    };
    Some(McpServer { way, allow: tool.allow.iter().map(|name| name.value.clone()).collect() })
}

/// What a child process is given, and nothing else of ours.
fn environment(raw: &raw::Mcp, cx: &Context<'_>) -> Vec<(String, Secret)> {
    let mut all: Vec<(String, Secret)> =
        raw.env.entries.iter().map(|(name, value)| (name.value.clone(), value.0.clone())).collect();
    for name in ["PATH", "HOME"] {
        let is_written = all.iter().any(|(known, _)| known == name);
        if let Some(value) = cx.env.var(name).filter(|_| !is_written) {
            all.push((name.to_owned(), Secret::new(value)));
        }
    }
    all
}

fn fetch(raw: &At<raw::Fetch>, cx: &mut Context<'_>) -> Option<Vec<FetchHost>> {
    if raw.hosts.is_empty() {
        cx.say(raw.place, "no hosts: nothing could be fetched").label("expected `hosts: [docs.example.com]`");
    }
    let place = raw.hosts.place;
    let mut hosts = Vec::with_capacity(raw.hosts.len());
    for one in raw.hosts.iter() {
        let host = match one {
            Either::Plain(host) => FetchHost { host: host.clone(), private: false, ports: Vec::new() },
            Either::Full(full) => FetchHost {
                host: full.host.as_ref()?.value.clone(),
                private: full.private.value,
                ports: full.ports.iter().map(|port| port.value).collect(),
            },
        };
        let name = host.host.strip_prefix("*.").unwrap_or(&host.host);
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:".contains(c);
        if name.is_empty() || !name.chars().all(good) || host.ports.iter().any(|port| !(1..=65_535).contains(port)) {
            cx.say(place, format!("`{}` is no host", host.host))
                .label("expected a name in small letters, an address without brackets, or `*.name`; ports are apart");
        }
        hosts.push(host);
    }
    Some(hosts)
}

/// What somebody has switched on.
pub(super) fn edge(raw: Option<&At<raw::EdgeTools>>, config: &Config, cx: &mut Context<'_>) -> Option<Arc<EdgeTools>> {
    let raw = raw?;
    for pattern in raw.tools.iter() {
        known(pattern, config, cx);
    }
    if raw.tools.is_empty() {
        cx.say(raw.place, "`edge_tools` without tools").label("expected `tools: [weir_calculate]`, for example");
    }
    if !(1..=MOST_ROUNDS).contains(&raw.max_rounds.value) {
        cx.say(raw.max_rounds.place, "not a number of rounds").label(format!("expected 1 to {MOST_ROUNDS}"));
    }
    Some(Arc::new(EdgeTools {
        tools: raw.tools.iter().map(|name| name.value.clone()).collect(),
        always: raw.always.value,
        max_rounds: raw.max_rounds.value,
        timeout: raw.timeout.0,
        max_usd: raw.max_usd.as_ref().map(|usd| u64::try_from(usd.0).unwrap_or(u64::MAX)),
    }))
}

/// A name that no tool can have does nothing.
fn known(pattern: &At<String>, config: &Config, cx: &mut Context<'_>) {
    let (first, of_server) = match pattern.split_once('/') {
        Some((first, _)) => (first, true),
        None => (pattern.as_str(), false),
    };
    if first.contains('*') || config.tools_lost() {
        return;
    }
    let found = config.tools.entries.iter().find(|(name, _)| name.value == first).map(|(_, tool)| tool);
    let is_server = found.is_some_and(|tool| tool.written.contains(&"mcp"));
    if is_server && !of_server {
        cx.say(pattern.place, format!("`{first}` is a server"))
            .label(format!("expected `{first}/*`, or `{first}/tool`"));
    } else if is_server != of_server || found.is_none() && !BUILT_IN.contains(&first) {
        let names = config.tools.entries.iter().map(|(name, _)| name.as_str()).chain(BUILT_IN);
        cx.say(pattern.place, format!("no tool is called `{}`", pattern.value))
            .label("expected a name of `tools`, or what is built in")
            .did_you_mean(nearest(first, names));
    }
}
