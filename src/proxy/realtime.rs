//! Realtime sessions: a WebSocket through Pingora's pipeline.
//!
//! The head is written anew as every other: the credential, the model's name and nothing of the client
//! but what the handshake needs. Compression is not negotiated, so that the provider's messages can be
//! read for what they say was used ([`crate::wire::websocket`]); no byte of them changes. A session has
//! no length: it ends when either side closes it, or when nothing has come for the provider's `total`
//! time limit.
//!
//! Browsers cannot set headers and send their key as a subprotocol: it is taken as ours, and never
//! sent on. <https://platform.openai.com/docs/guides/realtime-websocket>

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, request, response};
use pingora_proxy::Session;

use super::context::{Attempt, Exchange};
use super::{Gateway, hooks};
use crate::error::{Error, Kind, Result};
use crate::record::{Outcome, Why};
use crate::stage::answer::Answer;
use crate::stage::{pass, respond};
use crate::tenant::credential;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

impl Gateway {
    /// Everything before the provider is asked, as for other requests, of what the query says.
    pub(super) async fn plan_realtime(&self, session: &mut Session, x: &mut Exchange) -> Result<()> {
        let head = session.req_header();
        let upgrades = head.headers.get(UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let has_body = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| head.headers.contains_key(name));
        if !upgrades || has_body || head.version != Version::HTTP_11 {
            return Err(Error::new(Kind::InvalidRequest, "this path is a WebSocket: ask for an upgrade over HTTP/1.1"));
        }
        let (parsed, passage) = pass::session(head.uri.query())?;
        (x.parsed, x.passage) = (Some(parsed), Some(passage));
        self.route(session, x)?;
        self.limit(x).await?;
        let target = x.plan.as_ref().and_then(|plan| plan.targets.first()).cloned();
        let target = target.ok_or_else(|| Error::internal("no target"))?;
        let prepared = x.prepare(&target)?;
        session.downstream_session.set_read_timeout(Some(target.deployment.timeouts.total));
        x.clock.pause();
        x.attempts = 1;
        let mut attempt = Attempt::new(target, prepared, Why::First);
        attempt.answer = Answer::session();
        attempt.run =
            x.plan.as_ref().and_then(|plan| plan.vitals.first()).map(|vital| vital.begin(self.clock.now_ms()));
        x.attempt = Some(attempt);
        Ok(())
    }

    /// A piece of what the provider says in a session.
    pub(super) fn session_chunk(&self, x: &mut Exchange, piece: &mut Option<Bytes>, end: bool) -> Result<()> {
        let told = |x: &Exchange| x.attempt.as_ref().and_then(|attempt| attempt.answer.usage(0));
        let before = told(x);
        hooks::answer_chunk(x, piece, end)?;
        // It may be open when the process ends: what it has used by then is charged all the same.
        if told(x) != before {
            self.note_progress(x);
        }
        if end {
            x.end.outcome = Outcome::Finished;
        }
        Ok(())
    }
}

/// Whether the request asks for another protocol where one may be had.
pub(super) fn may_upgrade(head: &request::Parts) -> bool {
    crate::stage::accept::call(head.uri.path()).is_some_and(|call| call.pass == crate::provider::Pass::Realtime)
}

/// Tunnels go past every check.
pub(super) fn refuse_tunnel(head: &request::Parts) -> Result<()> {
    match head.method == Method::CONNECT || head.method == Method::TRACE {
        true => Err(Error::new(Kind::MethodNotAllowed, "this method is not supported")),
        false => Ok(()),
    }
}

/// The provider's handshake.
pub(super) fn request_head(x: &Exchange, client: &request::Parts) -> Result<request::Parts> {
    let attempt = x.attempt.as_ref().ok_or_else(|| Error::internal("no attempt runs"))?;
    let query = pass::session_query(client.uri.query(), &attempt.target.model);
    let mut head = hooks::passing_head(x, client, &attempt.prepared.path, query.as_deref())?;
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, WEBSOCKET);
    for name in [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION] {
        if let Some(value) = client.headers.get(&name) {
            head.headers.insert(name, value.clone());
        }
    }
    if let Some(protocols) = protocols(&client.headers) {
        head.headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::try_from(protocols).map_err(Error::internal)?);
    }
    Ok(head)
}

/// The client's subprotocols without its key.
fn protocols(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let kept: Vec<&str> =
        all.flat_map(|list| list.split(',')).map(str::trim).filter(|p| !credential::is_key(p)).collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// The provider has agreed: its handshake becomes ours.
pub(super) fn answer_head(x: &mut Exchange, upstream: &response::Parts) -> Result<response::Parts> {
    let mut head = respond::bare(StatusCode::SWITCHING_PROTOCOLS);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, WEBSOCKET);
    for name in [SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL] {
        if let Some(value) = upstream.headers.get(&name) {
            head.headers.insert(name, value.clone());
        }
    }
    hooks::describe(&mut head, x);
    x.end.status = head.status.as_u16();
    x.end.first_byte = Some(x.started.elapsed());
    Ok(head)
}
