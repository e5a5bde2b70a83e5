//! What the admin plane serves.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use self::Serve::{AtOnce, Beside, Follow, Play};
use super::guard::Access::{self, Change, ChangeOwn, Look, LookOwn, Open};
use super::query::Query;
use super::{Answer, Asked, audit, captures, keys, overview, pages, requests, session, usage, views};
use crate::wire::json::Obj;

/// One path, and what is done there.
pub(super) struct Route {
    /// A name in braces stands for one part of it.
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    /// Who may.
    pub(super) access: Access,
    pub(super) serve: Serve,
}

/// How it is answered.
#[derive(Clone, Copy)]
pub(super) enum Serve {
    /// On the event loop: from memory, without a lock that anybody holds over a wait. What watches over the
    /// process is not to wait behind what asks the database.
    AtOnce(fn(&Asked<'_>) -> Answer),
    /// On a thread of its own: it may wait for the database, a file, or a lock.
    Beside(fn(&Asked<'_>) -> Answer),
    /// A stream of requests as they begin and end.
    Follow,
    /// An answer of the gateway as it comes.
    Play,
}

/// All of them. A new one needs an entry in `openapi.json`: a test compares. Another one tries each with
/// every role.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route { path: "/", method: "GET", access: Open, serve: AtOnce(pages::index) },
    Route { path: "/dashboard/{file...}", method: "GET", access: Open, serve: AtOnce(pages::file) },
    Route { path: "/livez", method: "GET", access: Open, serve: AtOnce(livez) },
    Route { path: "/readyz", method: "GET", access: Open, serve: AtOnce(readyz) },
    Route { path: "/health", method: "GET", access: Look, serve: Beside(health) },
    Route { path: "/metrics", method: "GET", access: Look, serve: AtOnce(metrics) },
    Route { path: "/admin/v1/session", method: "GET", access: LookOwn, serve: AtOnce(session::show) },
    Route { path: "/admin/v1/session", method: "POST", access: Open, serve: AtOnce(session::begin) },
    Route { path: "/admin/v1/session", method: "DELETE", access: Open, serve: AtOnce(session::end) },
    Route { path: "/admin/v1/overview", method: "GET", access: LookOwn, serve: Beside(overview::overview) },
    Route { path: "/admin/v1/config", method: "GET", access: Look, serve: Beside(config) },
    Route { path: "/admin/v1/reload", method: "POST", access: Change, serve: Beside(reload) },
    Route { path: "/admin/v1/tenants", method: "GET", access: LookOwn, serve: Beside(tenants) },
    Route { path: "/admin/v1/tenants/{id}", method: "GET", access: LookOwn, serve: Beside(tenant) },
    Route { path: "/admin/v1/keys", method: "GET", access: LookOwn, serve: Beside(keys::list) },
    Route { path: "/admin/v1/keys", method: "POST", access: ChangeOwn, serve: Beside(keys::create) },
    Route { path: "/admin/v1/keys/{id}", method: "GET", access: LookOwn, serve: Beside(keys::one) },
    Route { path: "/admin/v1/keys/{id}", method: "PATCH", access: ChangeOwn, serve: Beside(keys::change) },
    Route { path: "/admin/v1/keys/{id}", method: "DELETE", access: ChangeOwn, serve: Beside(keys::revoke) },
    Route { path: "/admin/v1/keys/{id}/rotate", method: "POST", access: ChangeOwn, serve: Beside(keys::rotate) },
    Route { path: "/admin/v1/audit", method: "GET", access: Look, serve: Beside(audit::list) },
    Route { path: "/admin/v1/providers", method: "GET", access: Look, serve: Beside(providers) },
    Route { path: "/admin/v1/models", method: "GET", access: Look, serve: Beside(models) },
    Route { path: "/admin/v1/routes", method: "GET", access: Look, serve: Beside(all_routes) },
    Route { path: "/admin/v1/endpoints/{id}/drain", method: "POST", access: Change, serve: Beside(drain) },
    Route { path: "/admin/v1/endpoints/{id}/undrain", method: "POST", access: Change, serve: Beside(undrain) },
    Route { path: "/admin/v1/requests", method: "GET", access: LookOwn, serve: Beside(requests::list) },
    Route { path: "/admin/v1/requests/live", method: "GET", access: LookOwn, serve: Follow },
    Route { path: "/admin/v1/requests/{request_id}", method: "GET", access: LookOwn, serve: Beside(requests::one) },
    Route { path: "/admin/v1/requests/{request_id}/capture", method: "GET", access: Change, serve: Beside(captures::one) },
    Route { path: "/admin/v1/captures", method: "GET", access: Look, serve: Beside(captures::list) },
    Route { path: "/admin/v1/captures", method: "POST", access: Change, serve: Beside(captures::start) },
    Route { path: "/admin/v1/captures/{id}", method: "DELETE", access: Change, serve: Beside(captures::end) },
    Route { path: "/admin/v1/playground", method: "POST", access: Change, serve: Play },
    Route { path: "/admin/v1/alerts", method: "GET", access: Look, serve: Beside(alerts) },
    Route { path: "/admin/v1/tools", method: "GET", access: Look, serve: Beside(tools) },
    Route { path: "/admin/v1/usage", method: "GET", access: LookOwn, serve: Beside(usage::usage) },
    Route { path: "/admin/v1/openapi.json", method: "GET", access: LookOwn, serve: Beside(openapi) },
];

pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// A path that there is.
pub(super) struct Found {
    /// One for each of its methods.
    routes: Vec<&'static Route>,
    /// What stands in it for the name in braces.
    pub(super) name: String,
}

/// The path's entries.
pub(super) fn find(path: &str) -> Option<Found> {
    let (first, name) = ROUTES.iter().find_map(|route| Some((route, named(route.path, path)?)))?;
    Some(Found { routes: ROUTES.iter().filter(|route| route.path == first.path).collect(), name })
}

impl Found {
    /// The one that has this method.
    pub(super) fn route(&self, method: &Method) -> Option<&'static Route> {
        self.routes.iter().copied().find(|route| route.allows(method))
    }

    /// Its methods: `GET, POST`.
    pub(super) fn methods(&self) -> String {
        self.routes.iter().map(|route| route.method).collect::<Vec<_>>().join(", ")
    }

    /// Whether it is for anybody.
    pub(super) fn is_open(&self, method: &Method) -> bool {
        match self.route(method) {
            Some(route) => route.access == Open,
            None => self.routes.iter().all(|route| route.access == Open),
        }
    }
}

fn named(pattern: &str, path: &str) -> Option<String> {
    let Some((before, (_, after))) =
        pattern.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return (pattern == path).then(String::new);
    };
    let is_rest = pattern.ends_with("...}");
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    let is_name = !name.is_empty() && (is_rest || !name.contains('/'));
    let name = percent_decode_str(name).decode_utf8().ok().filter(|_| is_name)?;
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
    let not_yet = |body: &'static str| Answer::json(StatusCode::SERVICE_UNAVAILABLE, body);
    match (asked.backend.draining(), asked.backend.keys_known()) {
        (true, _) => not_yet(r#"{"status":"draining"}"#),
        // Good keys could not be told from bad ones.
        (false, false) => not_yet(r#"{"status":"waiting_for_keys"}"#),
        (false, true) => Answer::json(StatusCode::OK, r#"{"status":"ready"}"#),
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
    match asked.backend.keys_age() {
        Some(age) => root.num("keys_age_seconds", age.as_secs()),
        None => root.null("keys_age_seconds"),
    };
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
    let answer = Answer::json(StatusCode::OK, asked.backend.metrics().into_bytes());
    Answer { content_type: "text/plain; version=0.0.4; charset=utf-8", ..answer }
}

fn config(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.config_json())
}

fn reload(asked: &Asked<'_>) -> Answer {
    match asked.backend.reload(&asked.asker.name) {
        Ok(hash) => {
            let mut body = Vec::new();
            Obj::new(&mut body).text("status", "reloaded").text("config_hash", &hash);
            Answer::json(StatusCode::OK, body)
        }
        Err(why) => Answer::error(StatusCode::BAD_REQUEST, "config_invalid", &why),
    }
}

fn tenants(asked: &Asked<'_>) -> Answer {
    match Query::read(&asked.query, &["tenant"]) {
        Ok(mut wanted) => Answer::json(StatusCode::OK, views::tenants(asked.backend, wanted.take("tenant").as_deref())),
        Err(refused) => refused,
    }
}

fn tenant(asked: &Asked<'_>) -> Answer {
    match views::tenant(asked.backend, asked.name).filter(|_| asked.sees(Some(asked.name))) {
        Some(body) => Answer::json(StatusCode::OK, body),
        None => Answer::error(StatusCode::NOT_FOUND, "unknown_tenant", "no tenant has this name"),
    }
}

fn providers(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.providers_json())
}

fn models(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.models_json())
}

fn all_routes(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.routes_json())
}

fn alerts(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.alerts_json())
}

fn tools(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, asked.backend.tools_json())
}

fn drain(asked: &Asked<'_>) -> Answer {
    set_drained(asked, true)
}

fn undrain(asked: &Asked<'_>) -> Answer {
    set_drained(asked, false)
}

fn set_drained(asked: &Asked<'_>, drained: bool) -> Answer {
    if !asked.backend.drain(&asked.asker.name, asked.name, drained) {
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
