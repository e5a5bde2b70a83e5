//! The configuration in force, for the admin API: all that was resolved, and never a secret.

#![expect(clippy::disallowed_types, reason = "free-form JSON, off the request path")]

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::runtime::{AccessLog, Deployment, Key, Limits, ModelPattern, Route, Runtime, Strategy, Tenant, Timeouts};

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
        },
        "admin": {"listen": runtime.admin.listen, "token": runtime.admin.token.as_ref().map(|_| SET)},
        "state": {"dir": runtime.state_dir},
        "providers": runtime.deployments.iter().map(|d| (d.name.clone(), deployment(d))).collect::<Map<_, _>>(),
        "routes": routes,
        "defaults": {"retries": runtime.retries},
        "tenants": tenants,
        "prices": {"version": runtime.prices.version},
        "telemetry": {"access_log": match &runtime.telemetry.access_log {
            AccessLog::Off => "off".to_owned(),
            AccessLog::Stdout => "stdout".to_owned(),
            AccessLog::File(path) => path.display().to_string(),
        }},
    })
}

fn deployment(d: &Deployment) -> Value {
    let scheme = if d.base.tls { "https" } else { "http" };
    let models: Map<_, _> = d.models.iter().map(|(name, m)| (name.clone(), m.upstream.clone().into())).collect();
    let headers: Map<_, _> = d.headers.iter().map(|(name, _)| (name.clone(), SET.into())).collect();
    let mut all = json!({
        "kind": d.provider.kind,
        "base_url": format!("{scheme}://{}{}", d.base.authority, d.base.path),
        "api_key": d.api_key.as_ref().map(|_| SET),
        "headers": headers,
        "timeouts": timeouts(d.timeouts),
        "models": models,
        "models_only": d.models_only,
        "ca_file": d.ca_file,
    });
    if let Some(members) = all.as_object_mut() {
        members.extend(d.vars.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())));
    }
    all
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
    let targets = r.targets.iter();
    let targets = targets.map(|t| json!({"model": format!("{}/{}", t.deployment.name, t.model), "weight": t.weight}));
    let strategy = match r.strategy {
        Strategy::Fallback => "fallback",
        Strategy::Weighted => "weighted",
    };
    json!({"strategy": strategy, "targets": targets.collect::<Vec<_>>(), "retries": r.retries})
}

fn tenant(t: &Tenant, runtime: &Runtime) -> Value {
    let mut keys: Vec<_> = runtime.keys.values().filter(|k| k.tenant.id == t.id).collect();
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    let model_limits: Map<_, _> = t.model_limits.iter().map(|(p, l)| (p.0.clone(), limits(l))).collect();
    json!({
        "keys": keys.into_iter().map(|k| key(k)).collect::<Vec<_>>(),
        "models": patterns(&t.models),
        "limits": limits(&t.limits),
        "model_limits": model_limits,
        "strict": t.strict,
    })
}

fn key(k: &Key) -> Value {
    json!({
        "id": k.id,
        "active": k.active,
        "expires": k.expires.map(moment),
        "models": patterns(&k.models),
        "limits": limits(&k.limits),
    })
}

fn patterns(list: &[ModelPattern]) -> Vec<&str> {
    list.iter().map(|p| p.0.as_str()).collect()
}

fn limits(l: &Limits) -> Value {
    json!({
        "requests_per_minute": l.requests_per_minute,
        "tokens_per_minute": l.tokens_per_minute,
        "concurrency": l.concurrency,
    })
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn moment(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}
