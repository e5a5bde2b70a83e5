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
mod captures;
mod follow;
mod guard;
mod keys;
mod overview;
mod pages;
pub(crate) mod playground;
mod query;
mod requests;
mod routes;
mod session;
mod sessions;
mod usage;
mod views;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::guard::Asker;
use self::playground::Playground;
use self::routes::{Route, Serve};
use self::sessions::Sessions;
use crate::capture::Captures;
use crate::config::access::Role;
use crate::config::runtime::Runtime;
use crate::limit::Scope;
use crate::limit::budget::Balance;
use crate::secret::Secret;
use crate::store::{AuditPage, Database, Failure, StoreError};
use crate::telemetry::kept::{self, Kept};
use crate::telemetry::running::Running;
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
    /// Requests that run.
    fn in_flight(&self) -> u64;
    /// Requests that limits have refused since the process began.
    fn throttled(&self) -> u64;
    /// The providers with their endpoints and how those are, as one JSON object.
    fn providers_json(&self) -> Vec<u8>;
    /// The routes with their targets and how those are, as one JSON object.
    fn routes_json(&self) -> Vec<u8>;
    /// All models there are names for, with limits and prices, as one JSON object.
    fn models_json(&self) -> Vec<u8>;
    /// The last alerts, as one JSON object.
    fn alerts_json(&self) -> Vec<u8>;
    /// Tools, and how their servers stand.
    fn tools_json(&self) -> Vec<u8>;
    /// Takes an endpoint out, or puts it back; false where there is none of that id.
    fn drain(&self, who: &str, endpoint: &str, drained: bool) -> bool;
    /// The budgets of a tenant or a key as they stand.
    fn balances(&self, scope: &Scope) -> Vec<Balance>;
    /// The last finished requests.
    fn requests(&self) -> Arc<Kept>;
    /// Those that run, for who looks.
    fn running(&self) -> Arc<Running>;
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
    /// What is captured of exchanges.
    fn captures(&self) -> &Captures;
    /// The way to the gateway itself.
    fn playground(&self) -> &dyn Playground;
    /// Puts a change on the chain that is no key's, a reload's or an endpoint's; `detail` is a JSON object.
    fn record(&self, who: &str, action: &'static str, target: &str, detail: String);
    /// Entries of the chain of changes, newest first.
    fn audit(&self, page: AuditPage) -> Result<Vec<Entry>, StoreError>;
}

/// Longer bodies are refused.
const MOST_BODY_BYTES: usize = 64 * 1024;
/// A whole body has to come within this time.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Requests that are worked on beside the event loop at the same time; more of them wait.
const AT_A_TIME: usize = 16;
/// Those that are sent requests as they begin and end; more of them are refused.
const FOLLOWERS: usize = 32;
/// Requests through the gateway at the same time; more of them are refused.
const PLAYERS: usize = 8;
/// For so long a connection rests until it is closed.
const KEEPALIVE_S: u64 = 60;
/// No answer takes nearly as long, a wait for a place included; one that does is given up.
const PATIENCE: Duration = Duration::from_secs(40);

/// The HTTP application. See the module documentation.
#[derive(Clone)]
pub struct Admin {
    backend: Arc<dyn Backend>,
    sessions: Arc<Sessions>,
    places: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    players: Arc<Semaphore>,
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
    headers: &'a HeaderMap,
    sessions: &'a Sessions,
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
    body: Bytes,
    /// One more header, where the status asks for it.
    extra: Option<(header::HeaderName, Cow<'static, str>)>,
}

impl Answer {
    fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/json", body: body.into(), extra: None }
    }

    /// Done, and nothing to be said about it.
    fn nothing() -> Self {
        Self::json(StatusCode::NO_CONTENT, Vec::new())
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
    headers: HeaderMap,
    asker: Asker,
}

impl Admin {
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        let [places, followers, players] = [AT_A_TIME, FOLLOWERS, PLAYERS].map(semaphore);
        Self { backend, sessions: Arc::default(), places, followers, players }
    }

    /// Never waits.
    fn question(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Question, Answer> {
        let path = uri.path();
        let found = routes::find(path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path));
        // Strangers are told neither paths nor methods.
        let asker = match &found {
            Some(found) if found.is_open(method) => Asker { name: String::new(), role: Role::Viewer, tenant: None },
            _ => guard::asker(&self.backend.runtime().admin.tokens, &self.sessions, method, headers)?,
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
        Ok(Question { route, name: found.name, query, headers: headers.clone(), asker })
    }

    /// Waits where the route may.
    fn serve(&self, question: Question, body: &[u8]) -> Answer {
        let Question { route, name, query, headers, asker } = question;
        let (backend, sessions) = (self.backend.as_ref(), self.sessions.as_ref());
        match route.serve {
            Serve::AtOnce(serve) | Serve::Beside(serve) => {
                serve(&Asked { backend, name: &name, query, body, headers: &headers, sessions, asker })
            }
            Serve::Follow | Serve::Play => {
                Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "this is a stream")
            }
        }
    }

    async fn answer(&self, question: Result<Question, Answer>, body: Vec<u8>) -> Answer {
        match question {
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

/// Everything that a page of ours needs, and nothing else: no script but its own files.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

impl Admin {
    /// Everything but what is followed.
    async fn respond(&self, question: Result<Question, Answer>, session: &mut ServerSession) -> Answer {
        match tokio::time::timeout(BODY_WITHIN, read_body(session)).await {
            Ok(Ok(body)) => self.answer(question, body).await,
            Ok(Err(refused)) => refused,
            Err(_) => Answer::error(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not come"),
        }
    }

    /// What is to be followed, and the place it takes.
    fn followed(&self, question: &Question) -> Result<(kept::Wanted, OwnedSemaphorePermit), Answer> {
        let wanted = follow::wanted(&question.query)?;
        let place = Arc::clone(&self.followers).try_acquire_owned();
        let full = |_| Answer::error(StatusCode::SERVICE_UNAVAILABLE, "too_many", "too many follow already");
        Ok((wanted, place.map_err(full)?))
    }
}

impl Answer {
    fn response(self, is_head: bool) -> Response<Bytes> {
        let mut builder = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::REFERRER_POLICY, "no-referrer")
            .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        if self.status != StatusCode::NO_CONTENT {
            builder = builder.header(header::CONTENT_LENGTH, self.body.len());
        }
        if let Some((name, value)) = self.extra {
            builder = builder.header(name, value.as_ref());
        }
        let body = if is_head { Bytes::new() } else { self.body };
        // All parts are constants or numbers, so this builds.
        builder.body(body).unwrap_or_default()
    }
}

#[async_trait]
impl HttpServerApp for Admin {
    async fn process_new_http(
        self: &Arc<Self>,
        mut http: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !matches!(http.read_request().await, Ok(true)) {
            return None;
        }
        http.set_keepalive(if self.backend.draining() { None } else { Some(KEEPALIVE_S) });
        let head = http.req_header();
        let (is_get, is_head) = (head.method == Method::GET, head.method == Method::HEAD);
        let answer = match self.question(&head.method, &head.uri, &head.headers) {
            Ok(question) if is_get && matches!(question.route.serve, Serve::Follow) => match self.followed(&question) {
                Ok((wanted, _place)) => {
                    self.follow(&question, &wanted, http, shutdown.clone()).await;
                    return None;
                }
                Err(refused) => refused,
            },
            Ok(question) if matches!(question.route.serve, Serve::Play) => {
                match self.play(&question, &mut http).await {
                    Ok(()) => return None,
                    Err(refused) => refused,
                }
            }
            question => self.respond(question, &mut http).await,
        };
        let (head, body) = answer.response(is_head).into_parts();
        http.write_response_header(Box::new(head.into())).await.ok()?;
        if !body.is_empty() {
            http.write_response_body(body, true).await.ok()?;
        }
        let settings = HttpPersistentSettings::for_session(&http);
        let stream = http.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

#[cfg(test)]
mod tests;
