//! The admin plane: metrics, health and a small API, on a listener of its own and never on the public
//! port. What it serves is one table (`routes::ROUTES`); `openapi.json` describes exactly that.
//!
//! `/livez` and `/readyz` answer without a token. Everything else wants `Authorization: Bearer` with one
//! of the admin tokens (compared in constant time), and its role has to allow it. Where none is set the listener is
//! loopback only, and a browser is kept from being talked into using it: no foreign `Host` (DNS
//! rebinding), no foreign site.
//!
//! # How to wire it
//! Implement [`Backend`] for what holds the runtime, the telemetry and the drain flag, then
//! `Service::new("admin".to_owned(), Admin::new(backend))` on the bound admin socket, with
//! `service.threads = Some(1)`. All of [`Backend`] may block, but for what `/livez`, `/readyz`, `/health` and
//! `/metrics` ask: those are answered at once, however many other questions wait for the database.

mod audit;
mod guard;
mod keys;
mod query;
mod requests;
mod routes;
mod usage;
mod views;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;
use tokio::sync::Semaphore;

use self::guard::Asker;
use self::routes::{Route, Serve};
use crate::config::access::Role;
use crate::config::runtime::Runtime;
use crate::limit::Scope;
use crate::limit::budget::Balance;
use crate::secret::Secret;
use crate::store::{AuditPage, Database, Failure, StoreError};
use crate::telemetry::kept::Kept;
use crate::tenant::audit::Entry;
use crate::tenant::stored::made::Members;
use crate::tenant::stored::{Held, StoredKey};
use crate::wire::json::Obj;

/// What the admin plane shows and does.
pub trait Backend: Send + Sync {
    /// The configuration in force.
    fn runtime(&self) -> Arc<Runtime>;
    /// The configuration in force as one JSON object, without secrets.
    fn config_json(&self) -> String;
    /// Reads the configuration again. Gives the new one's hash, or why the old one stays.
    fn reload(&self, who: &str) -> Result<String, String>;
    /// Metrics in Prometheus' text format.
    fn metrics(&self) -> String;
    /// No new work is wanted.
    fn draining(&self) -> bool;
    /// The providers with their endpoints and how those are, as one JSON object.
    fn providers_json(&self) -> Vec<u8>;
    /// The routes with their targets and how those are, as one JSON object.
    fn routes_json(&self) -> Vec<u8>;
    /// All models there are names for, with limits and prices, as one JSON object.
    fn models_json(&self) -> Vec<u8>;
    /// The last alerts, as one JSON object.
    fn alerts_json(&self) -> Vec<u8>;
    /// Takes an endpoint out, or puts it back; false where there is none of that id.
    fn drain(&self, who: &str, endpoint: &str, drained: bool) -> bool;
    /// The budgets of a tenant or a key as they stand.
    fn balances(&self, scope: &Scope) -> Vec<Balance>;
    /// The last finished requests.
    fn requests(&self) -> Arc<Kept>;
    /// The ledger's database; `None` as long as it is not open.
    fn database(&self) -> Option<Arc<Database>>;
    /// The keys that were made at run time, as far as they are known here.
    fn stored_keys(&self) -> Vec<Arc<Held>>;
    /// Whether keys can be told from no keys at all.
    fn keys_known(&self) -> bool;
    /// Since the database was last asked for keys.
    fn keys_age(&self) -> Option<Duration>;
    /// Makes a key. This and what follows is known to requests when it returns, and stands in the chain of
    /// changes under the name of who asked.
    fn create_key(&self, who: &str, asked: Members) -> Result<(StoredKey, Secret), Failure>;
    fn change_key(&self, who: &str, id: &str, asked: &[u8]) -> Result<StoredKey, Failure>;
    fn rotate_key(&self, who: &str, id: &str, grace: Duration) -> Result<(StoredKey, Secret), Failure>;
    fn revoke_key(&self, who: &str, id: &str) -> Result<StoredKey, Failure>;
    /// Entries of the chain of changes, newest first.
    fn audit(&self, page: AuditPage) -> Result<Vec<Entry>, StoreError>;
}

/// Longer bodies are refused.
const MOST_BODY_BYTES: usize = 64 * 1024;
/// A whole body has to come within this time.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Requests that are worked on beside the event loop at the same time; more of them wait.
const AT_A_TIME: usize = 16;
/// No answer takes nearly as long, a wait for a place included; one that does is given up.
const PATIENCE: Duration = Duration::from_secs(40);

/// The HTTP application. See the module documentation.
#[derive(Clone)]
pub struct Admin {
    backend: Arc<dyn Backend>,
    places: Arc<Semaphore>,
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
    /// Narrowed to what the asker sees.
    query: String,
    body: &'a [u8],
    asker: Asker,
}

impl Asked<'_> {
    /// Whether what is this tenant's is for the asker to see.
    fn sees(&self, tenant: Option<&str>) -> bool {
        self.asker.tenant.as_deref().is_none_or(|own| tenant == Some(own))
    }
}

/// An answer before it is HTTP.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    /// One more header, where the status asks for it.
    extra: Option<(header::HeaderName, Cow<'static, str>)>,
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

    fn with(self, name: header::HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        Self { extra: Some((name, value.into())), ..self }
    }
}

/// What is to be answered: whoever asks for it may have it.
struct Question {
    route: &'static Route,
    /// What stands in the path for the name in braces.
    name: String,
    query: String,
    asker: Asker,
}

impl Admin {
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, places: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Never waits.
    fn question(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Question, Answer> {
        let path = uri.path();
        let found = routes::find(path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path));
        // Strangers are told neither paths nor methods.
        let asker = match &found {
            Some(found) if found.is_open() => Asker { name: String::new(), role: Role::Viewer, tenant: None },
            _ => guard::asker(&self.backend.runtime().admin.tokens, headers)?,
        };
        let found = found.ok_or_else(|| {
            Answer::error(StatusCode::NOT_FOUND, "unknown_url", "no such path: see /admin/v1/openapi.json")
        })?;
        let route = found.route(method).ok_or_else(|| {
            Answer::error(StatusCode::METHOD_NOT_ALLOWED, "unknown_url", "this path has another method")
                .with(header::ALLOW, found.methods())
        })?;
        guard::check(&asker, route.access)?;
        let query = guard::narrowed(&asker, uri.query().unwrap_or_default())?;
        Ok(Question { route, name: found.name, query, asker })
    }

    /// Waits where the route may.
    fn serve(&self, question: Question, body: &[u8]) -> Answer {
        let Question { route, name, query, asker } = question;
        let (Serve::AtOnce(serve) | Serve::Beside(serve)) = route.serve;
        serve(&Asked { backend: self.backend.as_ref(), name: &name, query, body, asker })
    }

    async fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: Vec<u8>) -> Answer {
        match self.question(method, uri, headers) {
            Ok(question) if matches!(question.route.serve, Serve::AtOnce(_)) => self.serve(question, &body),
            Ok(question) => self.serve_beside(question, body).await,
            Err(refused) => refused,
        }
    }

    /// Off the thread that reads and writes sockets.
    async fn serve_beside(&self, question: Question, body: Vec<u8>) -> Answer {
        let answered = async {
            // The place is given back by the thread, also where nobody waits for it any more.
            let place = Arc::clone(&self.places).acquire_owned().await;
            let this = self.clone();
            let work = move || {
                let _place = place;
                this.serve(question, &body)
            };
            tokio::task::spawn_blocking(work).await
        };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "no answer came of it"),
            Err(_) => Answer::error(StatusCode::GATEWAY_TIMEOUT, "too_slow", "the answer took too long"),
        }
    }
}

/// The whole body, or why not.
async fn read_body(session: &mut ServerSession) -> Result<Vec<u8>, Answer> {
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(piece)) if body.len() + piece.len() > MOST_BODY_BYTES => {
                return Err(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", "at most 64 KiB"));
            }
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return Ok(body),
            Err(_) => return Err(Answer::error(StatusCode::BAD_REQUEST, "invalid_body", "the body broke off")),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let (method, uri, headers) = {
            let head = session.req_header();
            (head.method.clone(), head.uri.clone(), head.headers.clone())
        };
        let is_head = method == Method::HEAD;
        let answer = match tokio::time::timeout(BODY_WITHIN, read_body(session)).await {
            Ok(Ok(body)) => self.answer(&method, &uri, &headers, body).await,
            Ok(Err(refused)) => refused,
            Err(_) => Answer::error(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not come"),
        };
        let mut builder = Response::builder()
            .status(answer.status)
            .header(header::CONTENT_TYPE, answer.content_type)
            .header(header::CONTENT_LENGTH, answer.body.len())
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Some((name, value)) = answer.extra {
            builder = builder.header(name, value.as_ref());
        }
        let body = if is_head { Vec::new() } else { answer.body };
        // All parts are constants or numbers, so this builds.
        builder.body(body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
