//! What the admin plane serves.

use http::{Method, StatusCode};

use super::{Answer, Backend, views};
use crate::wire::json::Obj;

/// One path.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    /// Answers without a token.
    pub(super) open: bool,
    pub(super) serve: fn(&dyn Backend) -> Answer,
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
    Route { path: "/admin/v1/openapi.json", method: "GET", open: false, serve: openapi },
];

pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn find(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path)
}

impl Route {
    pub(super) fn allows(&self, method: &Method) -> bool {
        method.as_str() == self.method || (method == Method::HEAD && self.method == "GET")
    }
}

fn livez(_: &dyn Backend) -> Answer {
    Answer::json(StatusCode::OK, r#"{"status":"live"}"#)
}

fn readyz(backend: &dyn Backend) -> Answer {
    match backend.draining() {
        true => Answer::json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#),
        false => Answer::json(StatusCode::OK, r#"{"status":"ready"}"#),
    }
}

fn health(backend: &dyn Backend) -> Answer {
    let runtime = backend.runtime();
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    root.text("status", if backend.draining() { "draining" } else { "ready" });
    root.text("version", env!("CARGO_PKG_VERSION"));
    root.text("config_hash", &runtime.hash);
    root.text("prices_version", &runtime.prices.version);
    drop(root);
    Answer::json(StatusCode::OK, body)
}

fn metrics(backend: &dyn Backend) -> Answer {
    let body = backend.metrics().into_bytes();
    Answer { status: StatusCode::OK, content_type: "text/plain; version=0.0.4; charset=utf-8", body, extra: None }
}

fn config(backend: &dyn Backend) -> Answer {
    Answer::json(StatusCode::OK, backend.config_json())
}

fn reload(backend: &dyn Backend) -> Answer {
    match backend.reload() {
        Ok(hash) => {
            let mut body = Vec::new();
            Obj::new(&mut body).text("status", "reloaded").text("config_hash", &hash);
            Answer::json(StatusCode::OK, body)
        }
        Err(why) => Answer::error(StatusCode::BAD_REQUEST, "config_invalid", &why),
    }
}

fn tenants(backend: &dyn Backend) -> Answer {
    Answer::json(StatusCode::OK, views::tenants(&backend.runtime()))
}

fn providers(backend: &dyn Backend) -> Answer {
    Answer::json(StatusCode::OK, views::providers(&backend.runtime()))
}

fn openapi(_: &dyn Backend) -> Answer {
    Answer::json(StatusCode::OK, OPENAPI)
}
