//! The admin plane: metrics, health and a small API, on a listener of its own and never on the public
//! port. What it serves is one table (`routes::ROUTES`); `openapi.json` describes exactly that.
//!
//! `/livez` and `/readyz` answer without a token. Everything else wants `Authorization: Bearer
//! <admin.token>` where a token is set (compared in constant time). Where none is set the listener is
//! loopback only, and a browser is kept from being talked into using it: no foreign `Host` (DNS
//! rebinding), no foreign site.
//!
//! # How to wire it
//! Implement [`Backend`] for what holds the runtime, the telemetry and the drain flag, then
//! `Service::new("admin".to_owned(), Admin::new(backend))` on the bound admin socket, with
//! `service.threads = Some(1)`. All of [`Backend`] may block: answers are made beside the event loop.

mod guard;
mod requests;
mod routes;
mod usage;
mod views;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;

use crate::config::runtime::Runtime;
use crate::limit::Scope;
use crate::limit::budget::Balance;
use crate::store::Database;
use crate::telemetry::kept::Kept;
use crate::wire::json::Obj;

/// What the admin plane shows and does.
pub trait Backend: Send + Sync {
    /// The configuration in force.
    fn runtime(&self) -> Arc<Runtime>;
    /// The configuration in force as one JSON object, without secrets.
    fn config_json(&self) -> String;
    /// Reads the configuration again. Gives the new one's hash, or why the old one stays.
    fn reload(&self) -> Result<String, String>;
    /// Metrics in Prometheus' text format.
    fn metrics(&self) -> String;
    /// No new work is wanted.
    fn draining(&self) -> bool;
    /// The providers with their endpoints and how those are, as one JSON object.
    fn providers_json(&self) -> Vec<u8>;
    /// The routes with their targets and how those are, as one JSON object.
    fn routes_json(&self) -> Vec<u8>;
    /// The last alerts, as one JSON object.
    fn alerts_json(&self) -> Vec<u8>;
    /// Takes an endpoint out, or puts it back; false where there is none of that id.
    fn drain(&self, endpoint: &str, drained: bool) -> bool;
    /// The budgets of a tenant or a key as they stand.
    fn balances(&self, scope: &Scope) -> Vec<Balance>;
    /// The last finished requests.
    fn requests(&self) -> Arc<Kept>;
    /// The ledger's database; `None` as long as it is not open.
    fn database(&self) -> Option<Arc<Database>>;
}

/// No answer takes nearly as long; one that does is given up.
const PATIENCE: Duration = Duration::from_secs(40);

/// The HTTP application. See the module documentation.
#[derive(Clone)]
pub struct Admin {
    backend: Arc<dyn Backend>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin")
    }
}

/// What is asked, beyond the path.
struct Asked<'a> {
    backend: &'a dyn Backend,
    /// What stands in the path for the name in braces.
    name: &'a str,
    query: &'a str,
}

/// An answer before it is HTTP.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    /// One more header, where the status asks for it.
    extra: Option<(header::HeaderName, &'static str)>,
}

impl Answer {
    fn json(status: StatusCode, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "application/json", body: body.into(), extra: None }
    }

    fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let mut body = Vec::new();
        let mut root = Obj::new(&mut body);
        root.obj("error").text("message", message).text("type", "admin_error").text("code", code);
        drop(root);
        Self::json(status, body)
    }

    /// What is asked for is in the database, and that does not answer.
    fn unavailable(why: &str) -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", why)
    }

    fn with(self, name: header::HeaderName, value: &'static str) -> Self {
        Self { extra: Some((name, value)), ..self }
    }
}

impl Admin {
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let path = uri.path();
        let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let found = routes::find(path);
        if !found.as_ref().is_some_and(|(route, _)| route.open) {
            let runtime = self.backend.runtime();
            if let Err(refused) = guard::check(runtime.admin.token.as_ref(), headers) {
                return refused;
            }
        }
        let Some((route, name)) = found else {
            return Answer::error(StatusCode::NOT_FOUND, "unknown_url", "no such path: see /admin/v1/openapi.json");
        };
        if !route.allows(method) {
            return Answer::error(StatusCode::METHOD_NOT_ALLOWED, "unknown_url", "this path has another method")
                .with(header::ALLOW, route.method);
        }
        let asked = Asked { backend: self.backend.as_ref(), name: &name, query: uri.query().unwrap_or_default() };
        (route.serve)(&asked)
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        // Most answers need no wait, but the database and the file system may take theirs.
        let (admin, method) = (self.clone(), head.method.clone());
        let (uri, headers) = (head.uri.clone(), head.headers.clone());
        let answering = tokio::task::spawn_blocking(move || admin.answer(&method, &uri, &headers));
        let answer = match tokio::time::timeout(PATIENCE, answering).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "no answer could be made"),
            Err(_) => Answer::error(StatusCode::GATEWAY_TIMEOUT, "too_slow", "the answer took too long"),
        };
        let mut builder = Response::builder()
            .status(answer.status)
            .header(header::CONTENT_TYPE, answer.content_type)
            .header(header::CONTENT_LENGTH, answer.body.len())
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Some((name, value)) = answer.extra {
            builder = builder.header(name, value);
        }
        let body = if head.method == Method::HEAD { Vec::new() } else { answer.body };
        // All parts are constants or numbers, so this builds.
        builder.body(body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
