//! The configuration in force, for the admin API: all that was resolved, and never a secret.

#![expect(clippy::disallowed_types, reason = "free-form JSON, off the request path")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::access::{AdminToken, Issuer, KeySource};
use super::alerts::{Alerts, SpendSpikes, Webhook};
use super::attempts::AttemptRules;
use super::budget::{Amount, Budget, Unit};
use super::cache::Caching;
use super::guards::{Guarding, Service};
use super::limits::Limited;
use super::runtime::{
    Deployment, Group, Key, Labels, Limits, Member, ModelPattern, OnStoreLoss, Prefer, Route, Rule, Runtime, Share,
    Tenant, Timeouts,
};
use super::telemetry::{AccessLog, Otlp, Rotation, Telemetry};
use super::tools::{EdgeTools, FetchHost, McpWay, ToolKind, ToolSettings};

/// What stands for a secret.
const SET: &str = "[secret]";

/// The configuration as JSON. Durations are in seconds, sizes in bytes, moments as HTTP dates.
pub fn json(runtime: &Runtime) -> Value {
    let server = &runtime.server;
    let listen: Vec<_> = server.listen.iter().map(|l| json!({"address": l.address, "tls": l.tls.is_some()})).collect();
    let routes: Map<_, _> = runtime.routes.values().map(|r| (r.name.clone(), route(r))).collect();
    let tenants: Map<_, _> = runtime.tenants.iter().map(|t| (t.id.clone(), tenant(t, runtime))).collect();
    json!({
        "hash": runtime.hash,
        "loaded_at": moment(runtime.loaded_at),
        "server": {
            "listen": listen,
            "threads": server.threads,
            "max_body": server.max_body_bytes,
            "body_timeout": seconds(server.body_timeout),
            "keepalive": seconds(server.keepalive),
            "write_timeout": seconds(server.write_timeout),
            "grace_period": seconds(server.grace_period),
            "max_answer": server.max_answer_bytes,
            "trusted_proxies": server.trusted_proxies,
        },
        "admin": {"listen": runtime.admin.listen, "tokens": runtime.admin.tokens.iter().map(admin_token).collect::<Vec<_>>()},
        "state": {
            "dir": runtime.state.dir,
            "database": runtime.state.database.as_ref().map(|_| SET),
            "shared": runtime.state.shared.as_ref().map(|_| SET),
            "on_store_loss": runtime.state.on_store_loss.as_str(),
            "retention": seconds(runtime.state.retention),
            "ledger": {
                "enabled": runtime.state.ledger.enabled,
                "max_size": runtime.state.ledger.most_bytes,
                "sync": seconds(runtime.state.ledger.sync),
                "when_full": if runtime.state.ledger.serve_unrecorded { "serve" } else { "refuse" },
            },
        },
        "providers": runtime.deployments.iter().map(|d| (d.name.clone(), deployment(d))).collect::<Map<_, _>>(),
        "routes": routes,
        "defaults": {
            "attempts": attempts(&runtime.attempts),
            "retry_budget": {"percent": runtime.retry_budget.percent, "floor": runtime.retry_budget.floor},
        },
        "tenants": tenants,
        "auth": {"jwt": runtime.auth.jwt.iter().map(issuer).collect::<Vec<_>>()},
        "guards": runtime.guards.iter().map(|g| (g.guard.name.clone(), guard(g))).collect::<Map<_, _>>(),
        "cache": {
            "memory": runtime.cache.memory_bytes,
            "shared": runtime.cache.is_shared,
            "questions": runtime.cache.questions_bytes,
        },
        "prices": {"version": runtime.prices.version},
        "telemetry": telemetry(&runtime.telemetry),
        "alerts": alerts(&runtime.alerts),
        "tools": runtime.tools.iter().map(|t| (t.name.clone(), tool(t))).collect::<Map<_, _>>(),
    })
}

fn telemetry(telemetry: &Telemetry) -> Value {
    let (path, rotation) = match &telemetry.access_log {
        AccessLog::Off => ("off".to_owned(), None),
        AccessLog::Stdout => ("stdout".to_owned(), None),
        AccessLog::File(path, rotation) => (path.display().to_string(), *rotation),
    };
    let rotate = |rotation: Rotation| json!({"size": rotation.most_bytes, "keep": rotation.keep});
    let otlp = |otlp: &Otlp| {
        json!({
            "endpoint": otlp.endpoint.to_string(),
            "headers": otlp.headers.iter().map(|(name, _)| (name.clone(), SET.into())).collect::<Map<_, _>>(),
            "traces": otlp.traces,
            "metrics": otlp.metrics,
            "logs": otlp.logs,
            "sample": otlp.sample.part(),
            "interval": seconds(otlp.interval),
            "service_name": otlp.service_name,
            "resource": otlp.resource.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect::<Map<_, _>>(),
        })
    };
    json!({
        "access_log": {"path": path, "rotate": rotation.map(rotate), "sample": telemetry.records.part()},
        "otlp": telemetry.otlp.as_ref().map(otlp),
        "capture": {
            "key": telemetry.capture.key.as_ref().map(|_| SET),
            "max_bytes": telemetry.capture.most_bytes,
            "keep": seconds(telemetry.capture.keep),
            "redact": telemetry.capture.redact.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
    })
}

fn alerts(alerts: &Alerts) -> Value {
    let webhook = |hook: &Webhook| {
        json!({
            "name": hook.name,
            "url": hook.url.to_string(),
            "secret": hook.secret.as_ref().map(|_| SET),
            "format": hook.format.as_str(),
            "events": hook.events.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
            "tenants": hook.tenants,
        })
    };
    let spikes = |spikes: SpendSpikes| {
        json!({
            "factor_percent": spikes.factor_percent,
            "window": seconds(spikes.window),
            "history": seconds(spikes.history),
            "minimum_usd": Amount(Unit::Usd, spikes.minimum.into()).to_string(),
        })
    };
    json!({
        "webhooks": alerts.webhooks.iter().map(webhook).collect::<Vec<_>>(),
        "spend_spikes": alerts.spend_spikes.map(spikes),
        "ledger_lag": seconds(alerts.ledger_lag),
        "endpoint_down": seconds(alerts.endpoint_down),
        "repeat_after": seconds(alerts.repeat_after),
    })
}

fn deployment(d: &Arc<Deployment>) -> Value {
    let models: Map<_, _> = d.models.iter().map(|(name, m)| (name.clone(), m.upstream.clone().into())).collect();
    let headers: Map<_, _> = d.headers.iter().map(|(name, _)| (name.clone(), SET.into())).collect();
    let mut all = json!({
        "kind": d.provider.kind,
        "base_url": d.base.to_string(),
        "api_key": d.api_key.as_ref().map(|_| SET),
        "headers": headers,
        "timeouts": timeouts(d.timeouts),
        "models": models,
        "models_only": d.models_only,
        "ca_file": d.ca_file,
        "region": d.region,
        "labels": labels(d.labels),
        "max_concurrency": d.max_concurrency,
        "queue": {"waiting": d.queue.waiting, "patience": seconds(d.queue.patience)},
        "check": d.check.as_ref().map(|c| json!({"path": c.path, "every": seconds(c.every)})),
        "endpoints": d.endpoints().map(endpoint).collect::<Vec<_>>(),
    });
    if let Some(members) = all.as_object_mut() {
        members.extend(d.vars.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())));
    }
    all
}

fn endpoint(d: &Arc<Deployment>) -> Value {
    json!({
        "id": d.id,
        "base_url": d.base.to_string(),
        "region": d.region,
        "weight": d.weight,
        "max_concurrency": d.max_concurrency,
    })
}

fn labels(labels: Labels) -> Vec<&'static str> {
    let all = [("no_training", labels.no_training), ("zero_retention", labels.zero_retention)];
    all.into_iter().filter(|(_, promised)| *promised).map(|(word, _)| word).collect()
}

fn attempts(rules: &AttemptRules) -> Value {
    json!({
        "retries": rules.retries,
        "backoff": seconds(rules.backoff),
        "max_wait": seconds(rules.max_wait),
        "resend": rules.resend,
        "keepalive": rules.keepalive.map(seconds),
        "longer_context": rules.longer_context,
        "continuation": rules.continues,
        "hedge": rules.hedge,
        "timeouts": {
            "connect": rules.timeouts.connect.map(seconds),
            "first_token": rules.timeouts.first_token.map(seconds),
            "idle": rules.timeouts.idle.map(seconds),
            "total": rules.timeouts.total.map(seconds),
        },
    })
}

fn timeouts(t: Timeouts) -> Value {
    json!({
        "connect": seconds(t.connect),
        "first_token": seconds(t.first_token),
        "idle": seconds(t.idle),
        "total": seconds(t.total),
    })
}

fn route(r: &Route) -> Value {
    let mut all = group(&r.group);
    if let Some(members) = all.as_object_mut() {
        members.insert("attempts".to_owned(), attempts(&r.attempts));
        members.insert("affinity".to_owned(), json!(r.affinity));
        members.insert("prefer".to_owned(), json!(r.prefer.as_str()));
        members.insert("edge_tools".to_owned(), json!(r.edge_tools.as_deref().map(edge_tools)));
        members.insert("rules".to_owned(), r.rules.iter().map(|rule| self::rule(rule, r)).collect());
        members.insert("guards".to_owned(), guard_names(&r.guards));
        members.insert("cache".to_owned(), caching(r.cache.as_deref()));
    }
    all
}

fn group(g: &Group) -> Value {
    let member = |member: &Member| match member {
        Member::Target(t) => {
            json!({"model": t.name(), "weight": t.weight, "quality": t.quality})
        }
        Member::Group { group: inner, weight } => {
            let mut all = group(inner);
            if let Some(members) = all.as_object_mut() {
                members.insert("weight".to_owned(), json!(weight));
            }
            all
        }
    };
    json!({"strategy": g.strategy.as_str(), "targets": g.members.iter().map(member).collect::<Vec<_>>()})
}

fn rule(rule: &Rule, route: &Route) -> Value {
    let targets = route.targets();
    let named = rule.targets.iter().filter_map(|place| targets.get(*place));
    let named: Vec<_> = named.map(|t| t.name()).collect();
    let when = &rule.when;
    json!({
        "when": {
            "tokens_over": when.tokens_over, "tokens_under": when.tokens_under, "tools": when.tools,
            "images": when.images, "tags": when.tags,
        },
        "to": named,
        "prefer": rule.prefer.map(Prefer::as_str),
    })
}

fn tenant(t: &Tenant, runtime: &Runtime) -> Value {
    let mut keys: Vec<_> = runtime.keys.values().filter(|k| k.tenant.id == t.id).collect();
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    let model_limits: Map<_, _> = t.model_limits.iter().map(|(p, l)| (p.0.clone(), limits(l))).collect();
    let model_budgets: Map<_, _> = t.model_budgets.iter().map(|(p, all)| (p.0.clone(), budgets(all).into())).collect();
    let tags: Map<_, _> = t.tags.iter().map(|(p, each)| (p.0.clone(), share(each))).collect();
    json!({
        "keys": keys.into_iter().map(|k| key(k)).collect::<Vec<_>>(),
        "models": patterns(&t.models),
        "limits": limits(&t.limits),
        "model_limits": model_limits,
        "budgets": budgets(&t.budgets),
        "model_budgets": model_budgets,
        "users": share(&t.users),
        "tags": tags,
        "strict": t.strict,
        "providers": t.providers,
        "regions": patterns(&t.regions),
        "require": labels(t.require),
        "weight": t.weight,
        "edge_tools": t.edge_tools.as_deref().map(edge_tools),
        "guards": guard_names(&t.guards),
        "cache": caching(t.cache.as_deref()),
    })
}

fn caching(caching: Option<&Caching>) -> Value {
    let Some(caching) = caching else { return Value::Null };
    json!({
        "ttl": seconds(caching.ttl),
        "any": caching.any,
        "max_entry": caching.max_entry_bytes,
        "share": caching.share_percent,
        "namespace": caching.namespace,
        "ignore": caching.ignore,
        "semantic": caching.semantic.as_ref().map(|semantic| json!({
            "model": semantic.model,
            "threshold": semantic.threshold.part(),
            "timeout": seconds(semantic.timeout),
        })),
    })
}

fn guard_names(guards: &[Arc<Guarding>]) -> Value {
    guards.iter().map(|guarding| Value::from(guarding.guard.name.as_str())).collect()
}

/// Not what it looks for: words may be secrets themselves.
fn guard(guarding: &Guarding) -> Value {
    let guard = &guarding.guard;
    let on = [("input", guard.on_input), ("output", guard.on_output)];
    let service = |service: &Service| {
        json!({
            "url": service.url.as_ref().map(ToString::to_string),
            "format": service.shape.as_str(),
            "model": service.model,
            "key": service.key.as_ref().map(|_| SET),
            "timeout": seconds(service.timeout),
            "on_error": if service.fails_open { "open" } else { "closed" },
        })
    };
    json!({
        "action": guard.action.as_str(),
        "on": on.into_iter().filter(|(_, looks)| *looks).map(|(side, _)| side).collect::<Vec<_>>(),
        "service": guarding.service.as_ref().map(service),
        "schema": guarding.form.map(|form| json!({
            "repair": form.repairs,
            "on_error": if form.fails_open { "open" } else { "closed" },
        })),
    })
}

fn key(k: &Key) -> Value {
    json!({
        "id": k.id,
        "active": k.active,
        "expires": k.expires.map(moment),
        "models": patterns(&k.models),
        "limits": limits(&k.limits),
        "budgets": budgets(&k.budgets),
        "allowed_addresses": k.allowed_addresses,
        "previous": k.previous.map(|previous| json!({"until": moment(previous.until)})),
        "guards": guard_names(&k.guards),
        "cache": caching(k.cache.as_deref()),
        "edge_tools": k.edge_tools.as_deref().map(edge_tools),
    })
}

fn edge_tools(on: &EdgeTools) -> Value {
    json!({
        "tools": on.tools,
        "always": on.always,
        "max_rounds": on.max_rounds,
        "timeout": seconds(on.timeout),
        "max_usd": on.max_usd.map(|usd| Amount(Unit::Usd, usd.into()).to_string()),
    })
}

/// Neither the whole of a URL nor what a command is started with: both hold credentials as often as not.
fn tool(tool: &ToolSettings) -> Value {
    let kind = match &tool.kind {
        ToolKind::Fetch(hosts) => {
            let host = |h: &FetchHost| json!({"host": h.host, "private": h.private, "ports": h.ports});
            json!({"fetch": hosts.iter().map(host).collect::<Vec<_>>()})
        }
        ToolKind::Http(http) => {
            json!({"host": http.url.base.authority, "method": http.method, "secret": http.secret.as_ref().map(|_| SET)})
        }
        ToolKind::Mcp(server) => match &server.way {
            McpWay::Http { url, .. } => json!({"mcp": {"host": url.base.authority}, "allow": server.allow}),
            McpWay::Command { command, .. } => json!({"mcp": {"command": command}, "allow": server.allow}),
        },
    };
    json!({
        "does": kind,
        "timeout": seconds(tool.timeout),
        "max_bytes": tool.max_bytes,
        "calls_per_minute": tool.calls_per_minute,
    })
}

fn admin_token(token: &AdminToken) -> Value {
    json!({"name": token.name, "role": token.role.as_str(), "tenant": token.tenant, "token": SET})
}

fn issuer(issuer: &Issuer) -> Value {
    json!({
        "name": issuer.name,
        "issuer": issuer.issuer,
        "audience": issuer.audiences,
        "keys": match &issuer.keys {
            KeySource::Url(url) => url,
            KeySource::Set(_) => "a JWK set",
            KeySource::Pem(_) => "a public key",
        },
        "algorithms": issuer.algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>(),
        "claims": {
            "tenant": issuer.claims.tenant, "key": issuer.claims.key, "user": issuer.claims.user,
            "models": issuer.claims.models,
        },
        "tenant": issuer.tenant,
        "tenants": issuer.tenants,
        "leeway": seconds(issuer.leeway),
    })
}

fn budgets(all: &[Budget]) -> Vec<Value> {
    let one = |b: &Budget| {
        json!({
            // Text, so that it stays exact.
            b.unit.as_str(): Amount(b.unit, b.most).to_string(),
            "per": b.period.per.as_str(),
            "reset": b.period.reset_day,
            "time_zone": b.period.zone_name(),
            "soft": b.soft,
            "warn_at": b.warn_at.iter().collect::<Vec<_>>(),
            "stop": b.stop,
            "on_store_loss": b.on_store_loss.map(OnStoreLoss::as_str),
        })
    };
    all.iter().map(one).collect()
}

fn patterns(list: &[ModelPattern]) -> Vec<&str> {
    list.iter().map(|p| p.0.as_str()).collect()
}

fn limits(l: &Limits) -> Value {
    let all = Limited::all().map(|limited| (limited.as_str().to_owned(), json!(l.get(limited))));
    let loss = ("on_store_loss".to_owned(), json!(l.on_store_loss.map(OnStoreLoss::as_str)));
    all.chain([loss]).collect::<Map<_, _>>().into()
}

fn share(each: &Share) -> Value {
    json!({"limits": limits(&each.limits), "budgets": budgets(&each.budgets)})
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn moment(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}
