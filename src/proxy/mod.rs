//! All that knows Pingora: the hooks, the attempt loop, connections, sockets, shutdown.
//!
//! [`Gateway`] is the `ProxyHttp`. Generation traffic is driven by the attempt loop ([`relay`]) from
//! `request_filter`; what only passes through takes Pingora's pipeline. Both go through [`hooks`].

mod alive;
mod ask;
mod attempt;
mod background;
mod body;
mod cache;
mod capture;
mod check;
mod close;
mod compress;
mod connector;
mod context;
pub(crate) mod credentials;
mod database;
mod discover;
pub(crate) mod edge;
pub(crate) mod examine;
mod fleet;
mod follow;
mod guard;
pub(crate) mod handover;
mod hooks;
mod http1;
mod inner;
mod keep;
mod ledger;
mod limits;
mod line;
mod listen;
mod live;
mod local;
mod mcp;
#[cfg(feature = "otlp")]
mod otlp;
mod plane;
mod playground;
mod pool;
pub(crate) mod probe;
mod race;
mod realtime;
mod record;
mod refer;
mod registry;
mod relay;
mod repair;
mod restore;
mod scrape;
mod semantic;
pub(crate) mod serve;
mod show;
mod shutdown;
mod spent;
mod stream;
mod systemd;
mod thrown;
mod tools;
mod unpack;
mod watchman;
mod web;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderName, Method, StatusCode, Version};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use self::background::Tokenizer;
use self::connector::Pools;
use self::context::Exchange;
use self::database::Stored;
use self::follow::Followers;
use self::live::Live;
use self::shutdown::InFlight;
use crate::alert::Alerts;
use crate::cache::Cache;
use crate::capture::Captures;
use crate::compress::originals::Originals;
use crate::config::access::IpNet;
use crate::error::{Error, Kind, Result};
use crate::ledger::Log;
use crate::limit::clock::Clock;
use crate::limit::door::Door;
use crate::limit::shared::Shared;
use crate::provider::Pass;
use crate::record::Outcome;
use crate::stage::accept::{self, Endpoint};
use crate::stage::authenticate::Origin;
use crate::stage::{authenticate, beside, choose, parse, pass, respond, user};
use crate::telemetry::Telemetry;
use crate::telemetry::trace::Trace;
use crate::usage::price::amount;
use crate::wire::Dialect;

/// What a client calls its request; kept as `client_request_id`, never used as ours.
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids of a client are cut off.
const MAX_CLIENT_ID_BYTES: usize = 128;

/// The gateway: one for the process.
pub(crate) struct Gateway {
    live: Arc<ArcSwap<Live>>,
    pools: Pools,
    door: Door,
    clock: Clock,
    in_flight: Arc<InFlight>,
    telemetry: Arc<Telemetry>,
    tokenizer: Arc<Tokenizer>,
    alerts: Arc<Alerts>,
    captures: Arc<Captures>,
    /// What the lossy tier of compression took away.
    originals: Arc<Originals>,
    /// What clients of Responses refer to.
    items: Originals,
    /// Answers that are given again.
    cache: Arc<Cache>,
    /// Who is told of other lists of tools.
    followers: Followers,
    /// Of the ledger; none where nothing is recorded.
    log: Option<Arc<Log>>,
    stored: Arc<Stored>,
    /// Where limits and budgets are shared with other replicas.
    shared: Option<Arc<Shared>>,
    /// Spreads weighted choices.
    tickets: AtomicU64,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

type Pingora<T> = pingora_core::Result<T>;

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Box<Exchange>;

    fn new_ctx(&self) -> Self::CTX {
        Box::new(Exchange::new(self.live.load_full()))
    }

    /// Accept to route; then the attempts, or on to the pipeline.
    async fn request_filter(&self, session: &mut Session, x: &mut Self::CTX) -> Pingora<bool> {
        self.open(session, x);
        match self.serve(session, x).await {
            Ok(Served::Answered) => Ok(true),
            Ok(Served::Pipeline) => Ok(false),
            Err(error) => {
                let is_begun = session.response_written().is_some() && !x.is_silent_so_far();
                self.refuse(session, x, &error).await;
                if is_begun {
                    // Said to be answered, the framework would end half an answer as if it were whole. Who stopped
                    // reading may go on with that.
                    if !matches!(error.kind(), Kind::ClientGone | Kind::ShuttingDown) {
                        x.end.outcome = Outcome::UpstreamCut;
                    }
                    return Err(to_pingora(error));
                }
                Ok(true)
            }
        }
    }

    /// From here on, what realtime sessions take: nothing else goes to the pipeline.
    async fn upstream_peer(&self, _session: &mut Session, x: &mut Self::CTX) -> Pingora<Box<HttpPeer>> {
        let deployment = x.attempt_mut().map(|a| Arc::clone(&a.target.deployment)).map_err(to_pingora)?;
        let upstream = x.live.upstream(&deployment).map_err(to_pingora)?;
        upstream.session_peer(deployment.timeouts.total).await.map(Box::new).map_err(to_pingora)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        x: &mut Self::CTX,
    ) -> Pingora<()> {
        let deployment = x.attempt_mut().map(|a| Arc::clone(&a.target.deployment)).map_err(to_pingora)?;
        if !x.forwarded.is_some() {
            deployment.signer.ready().await.map_err(|error| x.stop_passing(error))?;
        }
        *head = realtime::request_head(x, session.req_header()).map_err(to_pingora)?.into();
        if let Some(attempt) = &x.attempt {
            self.foresee(x, attempt).map_err(|error| x.stop_passing(error))?;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        x: &mut Self::CTX,
    ) -> Pingora<()> {
        let own = match head.status.as_u16() {
            101 => realtime::answer_head(x, head),
            _ => hooks::pass_answer_head(x, head),
        };
        match own {
            Ok(own) => *head = own.into(),
            Err(error) => return Err(x.stop_passing(error)),
        }
        self.attempt_answered(x);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        x: &mut Self::CTX,
    ) -> Pingora<Option<std::time::Duration>> {
        self.session_chunk(x, body, end).map(|()| None).map_err(to_pingora)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &pingora_core::Error,
        x: &mut Self::CTX,
    ) -> FailToProxy {
        if let Some(told) = &x.end.error {
            return FailToProxy { error_code: told.status(), can_reuse_downstream: false };
        }
        if x.is_session() {
            // It was cut rather than closed.
            let by_client = *error.esource() == pingora_core::ErrorSource::Downstream;
            x.end.outcome = if by_client { Outcome::ClientCut } else { Outcome::UpstreamCut };
            return FailToProxy { error_code: x.end.status, can_reuse_downstream: false };
        }
        let ours = x.stopped.take().unwrap_or_else(|| {
            Error::new(Kind::UpstreamFailed, "the provider could not be reached").with_detail(error)
        });
        self.attempt_failed(x, &ours);
        if session.response_written().is_none() {
            self.refuse(session, x, &ours).await;
        } else {
            x.fail(&ours);
        }
        FailToProxy { error_code: ours.status(), can_reuse_downstream: false }
    }

    /// What became of a request is said here already, where it is worth a line: a client that leaves is not.
    fn suppress_error_log(&self, _session: &Session, x: &Self::CTX, _error: &pingora_core::Error) -> bool {
        x.end.error.is_some()
    }

    /// For the framework's log: without the query, which may hold a key.
    fn request_summary(&self, session: &Session, x: &Self::CTX) -> String {
        let head = session.req_header();
        format!("{} {} {}", head.method, head.uri.path(), x.request_id)
    }

    /// The one place where the ledger row, metrics and access record are closed.
    async fn logging(&self, _session: &mut Session, error: Option<&pingora_core::Error>, x: &mut Self::CTX) {
        if x.is_session() && error.is_none() {
            x.end.outcome = Outcome::Finished;
        }
        self.close(x);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn to_pingora(error: Error) -> Box<pingora_core::Error> {
    pingora_core::Error::explain(pingora_core::ErrorType::HTTPStatus(error.status()), error.to_string())
}

/// What became of a request in `request_filter`.
enum Served {
    Answered,
    /// Pingora's pipeline takes it from here.
    Pipeline,
}

impl Gateway {
    /// What every request gets before anything is decided.
    fn open(&self, session: &mut Session, x: &mut Exchange) {
        x.ticket = Some(self.in_flight.enter());
        x.gauge = Some(self.telemetry.in_flight());
        let server = &x.live.runtime.server;
        let client = &mut session.downstream_session;
        let keepalive = (!self.in_flight.draining()).then(|| server.keepalive.as_secs().max(1));
        // Clients of HTTP/1.0 wait for the end of the connection.
        let is_old = client.req_header().version == Version::HTTP_10;
        client.set_keepalive(keepalive.filter(|_| !is_old));
        client.set_write_timeout(Some(server.write_timeout));
        client.set_pipelining_enabled(true);
        let theirs = session.req_header().headers.get(X_REQUEST_ID);
        x.trace = Trace::of(&session.req_header().headers, x.live.runtime.telemetry.traces());
        x.client_request_id = theirs.filter(|id| id.len() <= MAX_CLIENT_ID_BYTES && id.to_str().is_ok()).cloned();
    }

    /// The life of a request, top to bottom.
    async fn serve(&self, session: &mut Session, x: &mut Exchange) -> Result<Served> {
        let head = session.req_header();
        x.dialect = accept::dialect_of(head.uri.path(), &head.headers);
        x.origin = origin_of(session, &x.live.runtime.server.trusted_proxies);
        x.visit = x.origin.counted().map(|a| self.door.enter(a)).transpose().inspect_err(|_| {
            self.telemetry.throttled("none", "door_in_flight");
        })?;
        if !realtime::may_upgrade(head) {
            realtime::refuse_tunnel(head)?;
            // Nobody has to agree to one, and clients that would rather speak HTTP/2 ask for it with every request.
            session.req_header_mut().remove_header(&http::header::UPGRADE);
        }
        if is_ambiguous(session) {
            session.set_keepalive(None);
            return Err(Error::new(
                Kind::InvalidRequest,
                "the head is ambiguous: expected one target, and a content-length or transfer-encoding: chunked",
            ));
        }
        let head = session.req_header();
        let endpoint = accept::accept(&head.method, head.uri.path())?;
        x.endpoint = Some(endpoint);
        // Lists of models and files come in the format of whoever asks.
        let by_header = matches!(endpoint, Endpoint::Models | Endpoint::Model)
            || endpoint == Endpoint::Passed(Pass::Files) && x.dialect == Dialect::Anthropic;
        if !by_header {
            x.dialect = endpoint.dialect();
        }
        if endpoint == Endpoint::Status {
            return self.status(session, x).await;
        }
        if let Some((issuers, shown)) =
            authenticate::awaited(&session.req_header().headers, &x.live.callers.load().keyring)
        {
            issuers.wait_for(shown.secret()).await;
        }
        self.authenticate(session, x)?;
        if let Some(query) = session.req_header().uri.query().filter(|_| endpoint == Endpoint::Usage)
            && spent::is_asked(Some(query))
        {
            let body = spent::answer(self, x, query).await?;
            return self.answer_here(session, x, body).await;
        }
        if let Some(body) = local::answer(self, session, x, endpoint)? {
            return self.answer_here(session, x, body).await;
        }
        if endpoint == Endpoint::Mcp {
            return Box::pin(self.serve_mcp(session, x)).await;
        }
        if endpoint == Endpoint::Passed(Pass::Realtime) {
            self.plan_realtime(session, x).await?;
            return Ok(Served::Pipeline);
        }
        let (limit_bytes, within) = (x.live.runtime.server.max_body_bytes, x.live.runtime.server.body_timeout);
        x.clock.pause();
        x.body = body::read(session, limit_bytes, within).await?;
        x.clock.go();
        self.capture(session, x);
        open_ids(x)?;
        refer::put_in(self, x)?;
        parse_body(session.req_header(), x, endpoint)?;
        self.route(session, x)?;
        if let Some(guarded) = guard::of(x, endpoint) {
            Box::pin(self.guard(session.req_header(), x, endpoint, guarded)).await?;
        }
        self.compress(session, x, endpoint)?;
        edge::open(x, &session.req_header().headers).await?;
        cache::open(x, &session.req_header().headers)?;
        self.limit(x).await?;
        if let Some(body) = local::count_tokens(self, x, endpoint)? {
            return self.answer_here(session, x, body).await;
        }
        if let Some(body) = self.compress_here(session, x, endpoint)? {
            return self.answer_here(session, x, body).await;
        }
        Box::pin(relay::run(self, session, x)).await?;
        if x.end.error.is_none() {
            x.end.outcome = Outcome::Finished;
        }
        Ok(Served::Answered)
    }

    fn authenticate(&self, session: &Session, x: &mut Exchange) -> Result<()> {
        let head = session.req_header();
        let callers = x.live.callers.load();
        let known =
            authenticate::authenticate(&head.headers, &head.uri, &callers.keyring, &self.door, x.origin, x.started_at)
                .inspect_err(|e| {
                    if e.kind() == Kind::RateLimited {
                        self.telemetry.throttled("none", "door_bad_keys");
                    }
                })?;
        x.strict = parse::strict(&head.headers)? || known.caller.key.tenant.strict;
        x.betas = head.headers.get_all(ANTHROPIC_BETA).iter().cloned().collect();
        x.forwarded = known.forwarded;
        x.caller = Some(known.caller);
        x.tags = parse::tags(&head.headers);
        // Whom a token names is nobody else, whatever the request says.
        x.user = match x.caller.as_ref().and_then(|caller| caller.user.clone()) {
            Some(user) => Some(user),
            None => user::of_head(&head.headers)?,
        };
        x.patience = parse::patience(&head.headers)?;
        Ok(())
    }

    fn route(&self, session: &Session, x: &mut Exchange) -> Result<()> {
        let chance = self.tickets.fetch_add(1, Ordering::Relaxed);
        if let Some(parsed) = &mut x.parsed {
            x.tags.append(&mut parsed.tags);
            x.user = x.user.take().or_else(|| parsed.user.take());
        }
        let (Some(caller), Some(parsed)) = (&x.caller, &x.parsed) else {
            return Err(Error::internal("nothing to route"));
        };
        parse::check_model(&parsed.model)?;
        let head = session.req_header();
        let named = head.headers.get(respond::PROVIDER).and_then(|v| v.to_str().ok());
        let is_own = x.purpose.is_some();
        let ask = pass::Ask { key: &caller.key, runtime: &x.live.runtime, named, dialect: x.dialect, is_own };
        let mut plan = match (&mut x.passage, accept::call(head.uri.path())) {
            (Some(passage), Some(call)) => pass::plan(call, &parsed.model, passage, &mut x.opened, ask)?,
            _ => ask.route(&parsed.model)?,
        };
        let asked = choose::Asked {
            key: &caller.key,
            board: &x.live.board,
            prices: &x.live.runtime.prices,
            parsed,
            body: &x.body,
            dialect: x.endpoint.and_then(Endpoint::generation),
            headers: &head.headers,
            tags: &x.tags,
            prefer: parse::prefer(&head.headers)?,
            now_ms: self.clock.now_ms(),
            chance,
            day: amount::day_of(x.started_at),
        };
        choose::choose(&mut plan, &asked)?;
        if x.forwarded.is_some() {
            // Whoever it is for, it is for nobody else.
            choose::keep_to_first_provider(&mut plan);
        }
        if !is_own {
            beside::check(&caller.key, &x.body, &parsed.outline, &plan)?;
        }
        pass::pin(&mut plan, &x.opened)?;
        if let Some(endpoint) = x.endpoint {
            pass::check_kept(endpoint, &x.body, &parsed.outline, &plan, &x.opened)?;
        }
        x.plan = Some(plan);
        Ok(())
    }

    async fn status(&self, session: &mut Session, x: &mut Exchange) -> Result<Served> {
        self.answer_here(session, x, Bytes::from_static(b"{\"status\":\"ok\"}")).await
    }

    /// An answer that needs no provider.
    async fn answer_here(&self, session: &mut Session, x: &mut Exchange, body: Bytes) -> Result<Served> {
        let mut head = respond::whole(StatusCode::OK, respond::JSON, body.len());
        hooks::identify(&mut head, x);
        if matches!(x.endpoint, Some(Endpoint::Count | Endpoint::MessagesCount | Endpoint::GenerateCount)) {
            respond::set(&mut head, respond::USAGE_SOURCE, "estimated");
        }
        x.end.status = 200;
        x.end.outcome = Outcome::Finished;
        self.seal(x);
        let body = if session.req_header().method == Method::HEAD { Bytes::new() } else { body };
        capture::head(x, &head);
        capture::out(x, &body);
        relay::send_whole(session, head, body).await?;
        Ok(Served::Answered)
    }

    /// The error as an answer, if the client can still get one.
    async fn refuse(&self, session: &mut Session, x: &mut Exchange, error: &Error) {
        let error = &hooks::clean_error(x, x.attempt.as_ref(), error);
        x.fail(error);
        // Before the client can know of it: its next request finds what this one held given back.
        self.settle(x);
        if let Some(detail) = error.detail().filter(|_| error.kind() != Kind::ClientGone) {
            let detail = thrown::without_request(detail, &x.body);
            // A provider's words may be the prompt thrown back, and are the client's to read.
            let words = if error.kind().origin() == crate::error::Origin::Upstream {
                "the request failed"
            } else {
                error.public()
            };
            tracing::warn!(request_id = %x.request_id, code = error.code(), %detail, "{words}");
        }
        if error.kind() == Kind::ClientGone {
            session.set_keepalive(None);
            return;
        }
        if x.is_silent_so_far() {
            if let Err(e) = stream::refuse(self, session, x, error).await {
                tracing::debug!(request_id = %x.request_id, "the error could not be sent: {e}");
            }
            return;
        }
        if session.response_written().is_some() {
            // Half an answer is out: closing is all that says so.
            session.set_keepalive(None);
            return;
        }
        if let Err(e) = self.send_error(session, x, error).await {
            tracing::debug!(request_id = %x.request_id, "the error could not be sent: {e}");
            session.set_keepalive(None);
        }
    }

    async fn send_error(&self, session: &mut Session, x: &mut Exchange, error: &Error) -> Result<()> {
        let (mut head, body) = match x.end.verbatim.take() {
            Some((status, body)) => (respond::whole(respond::status_of(status), respond::JSON, body.len()), body),
            None => {
                let id = x.request_id.hyphenated().to_string();
                respond::error(x.dialect, error, &id)
            }
        };
        hooks::describe_error(&mut head, x, error, session.req_header().uri.path());
        x.end.status = head.status.as_u16();
        self.seal(x);
        // A body nobody has read would be taken for the next request.
        let unread = !session.downstream_session.is_body_done();
        if unread {
            session.set_keepalive(None);
        }
        capture::head(x, &head);
        capture::out(x, &body);
        relay::send_whole(session, head, body).await?;
        if unread {
            session.downstream_session.set_total_drain_timeout(Some(body::DRAIN));
            let _ = session.downstream_session.drain_request_body().await;
        }
        Ok(())
    }
}

/// Puts the providers' ids in place of those that were sealed for the caller's tenant.
fn open_ids(x: &mut Exchange) -> Result<()> {
    let caller = x.caller.as_ref().ok_or_else(|| Error::internal("no caller"))?;
    if let Some((body, opened)) = pass::open_body(&x.body, &caller.key, &x.live.runtime)? {
        (x.body, x.opened) = (body, opened);
    }
    Ok(())
}

fn parse_body(head: &RequestHeader, x: &mut Exchange, endpoint: Endpoint) -> Result<()> {
    let (path, query) = (head.uri.path(), head.uri.query());
    x.parsed = Some(match (endpoint, accept::call(path)) {
        (Endpoint::Passed(_), Some(call)) => {
            let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let asked = pass::Asked { call, method: &head.method, content_type, query, body: &x.body };
            let (parsed, passage) = pass::parse(&asked)?;
            x.passage = Some(passage);
            parsed
        }
        _ => parse::parse(endpoint, path, query, &x.body)?,
    });
    Ok(())
}

/// Whether a head can be read in two ways: two lengths, a length and a coding, a coding we do not speak, a second space.
/// Beside a coding the framework drops the length before we see it: only then the head is read as it came.
fn is_ambiguous(session: &Session) -> bool {
    let client = &session.downstream_session;
    let head = client.req_header();
    // Two lengths that are alike count, too: who is before us may have read one of them. A space that is one too many
    // before the target the framework writes as an escape.
    let lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    if head.raw_path().starts_with(b"%20") || lengths.flat_map(|v| v.as_bytes().split(|b| *b == b',')).count() > 1 {
        return true;
    }
    let Some(http1) = client.as_http1().filter(|_| head.headers.contains_key(TRANSFER_ENCODING)) else { return false };
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !is_chunked || codings.next().is_some() {
        return true;
    }
    let raw = http1.get_headers_raw_bytes();
    raw.split(|b| *b == b'\n').any(|line| {
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    })
}

/// Where it comes from, as far as those say it who are believed.
fn origin_of(session: &Session, trusted: &[IpNet]) -> Origin {
    let peer: Option<IpAddr> = session.client_addr().and_then(|a| a.as_inet()).map(SocketAddr::ip);
    let caller = peer.and_then(|peer| authenticate::of_caller(peer, &session.req_header().headers, trusted));
    Origin { peer, caller }
}
