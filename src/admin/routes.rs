//! What the admin plane serves.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::{Answer, Asked, requests, usage, views};
use crate::wire::json::Obj;

/// One path.
pub(super) struct Route {
    /// A name in braces stands for one part of it.
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    /// Answers without a token.
    pub(super) open: bool,
    pub(super) serve: fn(&Asked<'_>) -> Answer,
}

/// All of them. A new one needs an entry in `openapi.json`: a test compares.
pub(super) const ROUTES: &[Route] = &[
    Route { path: "/livez", method: "GET", open: true, serve: livez },
    Route { path: "/readyz", method: "GET", open: true, serve: readyz },
    Route { path: "/health", method: "GET", open: false, serve: health },
    Route { path: "/metrics", method: "GET", open: false, serve: metrics },
    Route { path: "/admin/v1/config", method: "GET", open: false, serve: config },
    Route { path: "/admin/v1/reload", method: "POST", open: false, serve: reload },
    Route { path: "/admin/v1/tenants", method: "GET", open: false, serve: tenants },
    Route { path: "/admin/v1/providers", method: "GET", open: false, serve: providers },
    Route { path: "/admin/v1/routes", method: "GET", open: false, serve: all_routes },
    Route { path: "/admin/v1/endpoints/{id}/drain", method: "POST", open: false, serve: drain },
    Route { path: "/admin/v1/endpoints/{id}/undrain", method: "POST", open: false, serve: undrain },
    Route { path: "/admin/v1/requests", method: "GET", open: false, serve: requests::list },
    Route { path: "/admin/v1/requests/{request_id}", method: "GET", open: false, serve: requests::one },
    Route { path: "/admin/v1/alerts", method: "GET", open: false, serve: alerts },
    Route { path: "/admin/v1/usage", method: "GET", open: false, serve: usage::usage },
    Route { path: "/admin/v1/openapi.json", method: "GET", open: false, serve: openapi },
];

pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The path's entry, and what stands in it for the name in braces.
pub(super) fn find(path: &str) -> Option<(&'static Route, String)> {
    ROUTES.iter().find_map(|route| Some((route, named(route.path, path)?)))
}

fn named(pattern: &str, path: &str) -> Option<String> {
    let Some((before, (_, after))) =
        pattern.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return (pattern == path).then(String::new);
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    let is_one_part = !name.is_empty() && !name.contains('/');
    let name = percent_decode_str(name).decode_utf8().ok().filter(|_| is_one_part)?;
    Some(name.into_owned())
}

impl Route {
    pub(super) fn allows(&self, method: &Method) -> bool {
        method.as_str() == self.method || (method == Method::HEAD && self.method == "GET")
    }
}

fn livez(_: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, r#"{"status":"live"}"#)
}

fn readyz(asked: &Asked<'_>) -> Answer {
    match asked.backend.draining() {
        true => Answer::json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#),
        false => Answer::json(StatusCode::OK, r#"{"status":"ready"}"#),
    }
}

fn health(asked: &Asked<'_>) -> Answer {
    let runtime = asked.backend.runtime();
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    root.text("status", if asked.backend.draining() { "draining" } else { "ready" });
    root.text("version", env!("CARGO_PKG_VERSION"));
    root.text("config_hash", &runtime.hash);
    root.text("prices_version", &runtime.prices.version);
    if let Some((open, limit)) = open_files() {
        root.num("open_files", open).num("open_files_limit", limit);
    }
    drop(root);
    Answer::json(StatusCode::OK, body)
}

/// How many files the process has open, and how many it may: what a client that comes takes one of.
fn open_files() -> Option<(u64, u64)> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let limit = line.split_whitespace().next()?.parse().unwrap_or(u64::MAX);
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some((u64::try_from(open).ok()?, limit))
}

fn metrics(asked: &Asked<'_>) -> Answer {
    let body = asked.backend.metrics().into_bytes();
    Answer { status: StatusCode::OK, content_type: "text/plain; version=0.0.4; charset=utf-8", body, extra: None }
}

fn config(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.config_json())
}

fn reload(asked: &Asked<'_>) -> Answer {
    match asked.backend.reload() {
        Ok(hash) => {
            let mut body = Vec::new();
            Obj::new(&mut body).text("status", "reloaded").text("config_hash", &hash);
            Answer::json(StatusCode::OK, body)
        }
        Err(why) => Answer::error(StatusCode::BAD_REQUEST, "config_invalid", &why),
    }
}

fn tenants(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, views::tenants(asked.backend))
}

fn providers(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.providers_json())
}

fn all_routes(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.routes_json())
}

fn alerts(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.alerts_json())
}

fn drain(asked: &Asked<'_>) -> Answer {
    set_drained(asked, true)
}

fn undrain(asked: &Asked<'_>) -> Answer {
    set_drained(asked, false)
}

fn set_drained(asked: &Asked<'_>, drained: bool) -> Answer {
    if !asked.backend.drain(asked.name, drained) {
        let text = "no endpoint has this id: GET /admin/v1/providers lists them (`#` in a path is `%23`)";
        return Answer::error(StatusCode::NOT_FOUND, "unknown_endpoint", text);
    }
    let mut body = Vec::new();
    Obj::new(&mut body).text("endpoint", asked.name).bool("drained", drained);
    Answer::json(StatusCode::OK, body)
}

fn openapi(_: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, OPENAPI)
}
