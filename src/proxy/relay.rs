//! The attempt loop: generation traffic driven over Pingora's connector.
//!
//! Pingora's own pipeline streams bytes through; generation needs more: a decision on status, body
//! or first event before anything goes to the client, several upstream calls for one of the
//! client's, deadlines per phase. This driver has no logic of its own beyond that: it calls the
//! same hooks as the pipeline, in the same order.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use pingora_core::ErrorType;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::connector::Leg;
use super::context::{Attempt, Exchange};
use super::{Gateway, hooks};
use crate::config::runtime::Timeouts;
use crate::error::{Error, Kind, Result, Retry};
use crate::stage::answer::Answer;
use crate::stage::respond;
use crate::stage::translate;

/// An error answer longer than this is not one.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Enough for one write; more would only delay it.
const BATCH_BYTES: usize = 16 * 1024;
/// Pooled connections that turn out dead before one byte came back.
const MAX_STALE: u32 = 2;
/// Before the same target is asked again after it could not be reached.
const PAUSE: Duration = Duration::from_millis(50);

/// Tries the targets of the plan until one has answered the client.
pub(super) async fn run(gateway: &Gateway, session: &mut Session, x: &mut Exchange) -> Result<()> {
    let plan = x.plan.as_ref().ok_or_else(|| Error::internal("no plan"))?;
    let (targets, retries) = (plan.targets.len(), plan.retries);
    let mut index = 0;
    for round in 0..=retries {
        let result = attempt(gateway, session, x, index).await;
        let Err(error) = result else { return Ok(()) };
        let error = hooks::clean_error(x, &error);
        gateway.attempt_failed(x, &error);
        let from = index;
        let last = round == retries || x.end.first_byte.is_some();
        match error.retry() {
            Retry::NextTarget | Retry::SameTarget if !last && index + 1 < targets => index += 1,
            Retry::SameTarget if !last => tokio::time::sleep(PAUSE * (round + 1)).await,
            _ => return Err(error),
        }
        gateway.fell_back(x, from, index, &error);
    }
    Err(Error::internal("the attempts ran out without an error"))
}

async fn attempt(gateway: &Gateway, session: &mut Session, x: &mut Exchange, index: usize) -> Result<()> {
    x.clock.go();
    let target =
        x.plan.as_ref().and_then(|p| p.targets.get(index)).cloned().ok_or_else(|| Error::internal("no target"))?;
    let prepared = translate::prepare(x.source()?, &target)?;
    let timeouts = target.deployment.timeouts;
    x.attempts += 1;
    x.end.verbatim = None;
    x.attempt = Some(Attempt { target, prepared, answer: Answer::unseen(), earlier: Vec::new() });
    x.clock.pause();
    let deployment = Arc::clone(&x.attempt_mut()?.target.deployment);
    if !x.pass_through {
        deployment.signer.ready().await?;
    }
    let deadline = Instant::now() + timeouts.total;
    ask_before(gateway, session, x, timeouts, deadline).await?;
    let mut leg = open(gateway, session, x, timeouts, deadline).await?;
    let done = exchange(gateway, session, x, &mut leg, timeouts, deadline).await;
    match done {
        Ok(()) if leg.session.response_done() => gateway.pools.release(leg).await,
        Err(ref error) => abandon(&mut leg, error).await,
        Ok(()) => leg.session.shutdown().await,
    }
    done
}

/// Where the provider takes less at once than the client sends: all bodies but the last, one after the
/// other. What they are answered is kept for the answer to the last.
async fn ask_before(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    timeouts: Timeouts,
    deadline: Instant,
) -> Result<()> {
    let prepared = &mut x.attempt_mut()?.prepared;
    let (bodies, last) = (std::mem::take(&mut prepared.earlier), prepared.body.clone());
    let mut held_bytes = 0;
    for body in bodies {
        x.attempt_mut()?.prepared.body = body;
        let mut leg = open(gateway, session, x, timeouts, deadline).await?;
        leg.session.set_read_timeout(Some(timeouts.idle));
        let answer = part(session, x, &mut leg, timeouts, deadline, held_bytes).await;
        match answer {
            Ok(_) if leg.session.response_done() => gateway.pools.release(leg).await,
            Err(ref error) => abandon(&mut leg, error).await,
            Ok(_) => leg.session.shutdown().await,
        }
        let answer = answer?;
        held_bytes += answer.len();
        x.attempt_mut()?.earlier.push(answer);
    }
    x.attempt_mut()?.prepared.body = last;
    Ok(())
}

/// The answer to one of several bodies, as it came.
async fn part(
    session: &mut Session,
    x: &mut Exchange,
    leg: &mut Leg,
    timeouts: Timeouts,
    deadline: Instant,
    held_bytes: usize,
) -> Result<Bytes> {
    let head = leg.session.response_header().ok_or_else(|| Error::internal("an answer without a head"))?;
    if head.status != 200 {
        let refusal = Refusal::of(head);
        let body = read_up_to(leg, MAX_ERROR_BYTES, Instant::now() + timeouts.idle).await.unwrap_or_default();
        return Err(hooks::refused(x, &refusal, &body));
    }
    let most_bytes = x.live.runtime.server.max_answer_bytes.saturating_sub(held_bytes);
    let mut body = BytesMut::new();
    let timer = sleep_until(deadline);
    tokio::pin!(timer);
    while let Some(piece) = next_piece(session, leg, timer.as_mut()).await? {
        if body.len() + piece.len() > most_bytes {
            return Err(Error::new(
                Kind::UpstreamFailed,
                "the provider's answers are over the limit `server.max_answer`",
            ));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// What the provider sends next, as long as there is time and a client.
async fn next_piece(session: &mut Session, leg: &mut Leg, timer: Pin<&mut Sleep>) -> Result<Option<Bytes>> {
    tokio::select! {
        biased;
        piece = leg.session.read_response_body() => piece.map_err(|e| upstream_error(&e, "in the middle of its answer")),
        () = client_gone(session) => Err(gone()),
        () = timer => Err(too_long()),
    }
}

/// Sends the request and reads the answer's head. A pooled connection that turns out dead before a
/// byte came back proves nothing against the provider: the request goes out again on another.
async fn open(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    timeouts: Timeouts,
    deadline: Instant,
) -> Result<Leg> {
    let mut stale = 0;
    loop {
        let deployment = Arc::clone(&x.attempt_mut()?.target.deployment);
        let upstream = Arc::clone(x.live.upstream(&deployment)?);
        let mut leg = match timeout(timeouts.connect * 2, gateway.pools.connect(&upstream)).await {
            Ok(leg) => leg?,
            Err(_) => {
                let error =
                    Error::new(Kind::UpstreamTimeout, "connecting to the provider took too long (connect timeout)");
                return Err(error.with_retry(Retry::SameTarget));
            }
        };
        let first_token = (Instant::now() + timeouts.first_token).min(deadline);
        let head = hooks::request_head(x, session.req_header(), leg.session.as_http2().is_some())?;
        match send_and_wait(session, x, &mut leg, head, first_token).await {
            Ok(()) => return Ok(leg),
            Err(Broken { error, dead_on_arrival }) => {
                abandon(&mut leg, &error).await;
                if !(dead_on_arrival && leg.reused && stale < MAX_STALE) {
                    return Err(error);
                }
                stale += 1;
            }
        }
    }
}

/// Closes what cannot be used again. An HTTP/2 connection that timed out may be dead without a sign
/// of it, and would take every later request with it: it gets no new ones.
async fn abandon(leg: &mut Leg, error: &Error) {
    if let Some(http2) = leg.session.as_http2().filter(|_| error.kind() == Kind::UpstreamTimeout) {
        http2.conn.mark_shutdown();
    }
    leg.session.shutdown().await;
}

struct Broken {
    error: Error,
    /// Closed without a byte of an answer.
    dead_on_arrival: bool,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self { error, dead_on_arrival: false }
    }
}

async fn send_and_wait(
    session: &mut Session,
    x: &mut Exchange,
    leg: &mut Leg,
    head: RequestHeader,
    until: Instant,
) -> Result<(), Broken> {
    let body = x.attempt_mut()?.prepared.body.clone();
    let up = &mut leg.session;
    let is_out = &mut x.sent;
    let work = async {
        let sent = match up.write_request_header(Box::new(head)).await {
            Ok(()) => up.write_request_body(body, true).await,
            Err(e) => Err(e),
        };
        *is_out = sent.is_ok();
        // A provider that refuses early closes its side while we still send: its answer counts.
        let read = loop {
            match up.read_response_header().await {
                Ok(()) if up.response_header().is_some_and(|h| h.status.is_informational() && h.status != 101) => {}
                other => break other,
            }
        };
        match (sent, read) {
            (_, Ok(())) => Ok(()),
            (Err(sent), Err(_)) => Err(sent),
            (Ok(()), Err(read)) => Err(read),
        }
    };
    tokio::select! {
        biased;
        done = work => done.map_err(|e| {
            let error = upstream_error(&e, "before its answer began");
            Broken { error, dead_on_arrival: closed_without_answer(&e) }
        }),
        () = client_gone(session) => Err(gone().into()),
        () = sleep_until(until) => {
            Err(Error::new(Kind::UpstreamTimeout, "the provider did not begin its answer in time (first_token timeout)").into())
        }
    }
}

/// Whether the connection was closed rather than broken by us or by time.
fn closed_without_answer(error: &pingora_core::Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectionClosed | ErrorType::WriteError | ErrorType::ReadError | ErrorType::H2Error
    )
}

fn upstream_error(error: &pingora_core::Error, when: &str) -> Error {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
            Error::new(Kind::UpstreamTimeout, format!("the provider stalled {when} (idle timeout)")).with_detail(error)
        }
        _ => {
            Error::new(Kind::UpstreamFailed, format!("the connection to the provider broke {when}")).with_detail(error)
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::ClientGone, "the client closed the connection")
}

/// Resolves when the client is gone; pending while it waits for its answer.
async fn client_gone(session: &mut Session) {
    let _ = session.downstream_session.read_body_or_idle(true).await;
}

/// The answer: judged, then refused, held whole, or streamed.
async fn exchange(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    leg: &mut Leg,
    timeouts: Timeouts,
    deadline: Instant,
) -> Result<()> {
    let head = leg.session.response_header().ok_or_else(|| Error::internal("an answer without a head"))?;
    let status = head.status.as_u16();
    if !(200..300).contains(&status) {
        let refusal = Refusal::of(head);
        let body = read_up_to(leg, MAX_ERROR_BYTES, Instant::now() + timeouts.idle).await.unwrap_or_default();
        return Err(hooks::refused(x, &refusal, &body));
    }
    hooks::answer_begins(x, head)?;
    match x.attempt_mut()?.answer.is_stream() {
        true => stream(gateway, session, x, leg, deadline, timeouts).await,
        false => {
            leg.session.set_read_timeout(Some(timeouts.idle));
            whole(gateway, session, x, leg, deadline).await
        }
    }
}

/// What an error answer's head says.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) retry_after: Option<HeaderValue>,
    pub(super) retry_after_ms: Option<HeaderValue>,
    /// The name of the exception, at Amazon.
    pub(super) error_type: Option<HeaderValue>,
}

impl Refusal {
    fn of(head: &ResponseHeader) -> Self {
        Self {
            status: head.status.as_u16(),
            content_type: head.headers.get(CONTENT_TYPE).cloned(),
            retry_after: head.headers.get(RETRY_AFTER).cloned(),
            retry_after_ms: head.headers.get(respond::RETRY_AFTER_MS).cloned(),
            error_type: head.headers.get("x-amzn-errortype").cloned(),
        }
    }
}

async fn read_up_to(leg: &mut Leg, limit: usize, until: Instant) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let piece = tokio::time::timeout_at(until, leg.session.read_response_body()).await.ok()?;
        match piece {
            Ok(Some(bytes)) => {
                let room = limit.saturating_sub(body.len()).min(bytes.len());
                body.extend_from_slice(bytes.get(..room).unwrap_or_default());
                if room < bytes.len() {
                    return Some(body.freeze());
                }
            }
            Ok(None) | Err(_) => return Some(body.freeze()),
        }
    }
}

/// An answer that is not streamed reaches the client whole or not at all.
async fn whole(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    leg: &mut Leg,
    deadline: Instant,
) -> Result<()> {
    let timer = sleep_until(deadline);
    tokio::pin!(timer);
    let body = loop {
        let piece = next_piece(session, leg, timer.as_mut()).await?;
        let end = piece.is_none();
        let mut chunk = piece;
        if end {
            x.clock.go();
        }
        hooks::answer_chunk(x, &mut chunk, end)?;
        if end {
            break chunk.unwrap_or_default();
        }
    };
    gateway.attempt_answered(x);
    gateway.settle(x);
    let head = hooks::whole_head(x, body.len())?;
    x.end.first_byte = Some(x.started.elapsed());
    x.clock.pause();
    send_whole(session, head, body).await
}

pub(super) async fn send_whole(session: &mut Session, head: ResponseHeader, body: Bytes) -> Result<()> {
    let client = &mut session.downstream_session;
    client.write_response_header(Box::new(head)).await.map_err(super::body::gone)?;
    client.write_response_body(body, true).await.map_err(super::body::gone)
}

fn too_long() -> Error {
    Error::new(Kind::UpstreamTimeout, "the answer took too long (total timeout)")
}

/// A stream: nothing goes out until its first event proves good; after that an error is an event.
async fn stream(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    leg: &mut Leg,
    deadline: Instant,
    timeouts: Timeouts,
) -> Result<()> {
    let idle = timeouts.idle;
    let first = (Instant::now() + timeouts.first_token).min(deadline);
    let timer = sleep_until(first);
    tokio::pin!(timer);
    loop {
        let batch = match next_batch(session, x, leg, timer.as_mut()).await {
            Ok(batch) => batch,
            Err(error) => return cut(gateway, session, x, error).await,
        };
        let failed = x.attempt_mut()?.answer.error().cloned();
        // Nothing has come out before the answer has begun: then another target may be asked.
        if let Some(error) = failed.as_ref().filter(|_| x.end.first_byte.is_none() && batch.out.is_empty()) {
            return Err(error.clone());
        }
        if x.end.first_byte.is_none() && !batch.out.is_empty() {
            gateway.attempt_answered(x);
            commit(session, x).await?;
            leg.session.set_read_timeout(Some(idle));
            timer.as_mut().reset(deadline);
        }
        if let Some(error) = failed {
            gateway.stream_failed(x, &error);
            let out = hooks::redacted(x, batch.out);
            return last(gateway, session, x, out).await;
        }
        if batch.end {
            return match x.end.first_byte {
                Some(_) => last(gateway, session, x, batch.out).await,
                None => Err(Error::new(Kind::UpstreamFailed, "the provider ended its stream without an answer")),
            };
        }
        if !batch.out.is_empty() {
            write(session, x, batch.out, false).await?;
        }
        if let Some(error) = batch.broken {
            return cut(gateway, session, x, error).await;
        }
    }
}

/// What was read in one go.
struct Batch {
    out: Bytes,
    end: bool,
    /// Met after what is in `out`.
    broken: Option<Error>,
}

/// Reads what the upstream has ready, up to one good write.
async fn next_batch(session: &mut Session, x: &mut Exchange, leg: &mut Leg, timer: Pin<&mut Sleep>) -> Result<Batch> {
    let first = tokio::select! {
        biased;
        piece = leg.session.read_response_body() => piece.map_err(|e| upstream_error(&e, "in the middle of its answer"))?,
        () = client_gone(session) => return Err(gone()),
        () = timer => return Err(match x.end.first_byte {
            None => Error::new(Kind::UpstreamTimeout, "the provider did not send a first event in time (first_token timeout)"),
            Some(_) => too_long(),
        }),
    };
    let mut batch = Batch { out: Bytes::new(), end: first.is_none(), broken: None };
    let mut chunk = first;
    hooks::answer_chunk(x, &mut chunk, batch.end)?;
    batch.out = chunk.unwrap_or_default();
    let mut joined: Option<BytesMut> = None;
    while !batch.end && joined.as_ref().map_or(batch.out.len(), BytesMut::len) < BATCH_BYTES {
        // Cancel-safe; whatever is not there now is waited for in the next round.
        let mut chunk = tokio::select! {
            biased;
            piece = leg.session.read_response_body() => match piece {
                Ok(chunk) => chunk,
                Err(e) => {
                    batch.broken = Some(upstream_error(&e, "in the middle of its answer"));
                    break;
                }
            },
            () = ready(()) => break,
        };
        batch.end = chunk.is_none();
        hooks::answer_chunk(x, &mut chunk, batch.end)?;
        match chunk {
            Some(more) if batch.out.is_empty() => batch.out = more,
            Some(more) => joined.get_or_insert_with(|| BytesMut::from(&*batch.out)).extend_from_slice(&more),
            None => {}
        }
    }
    if let Some(joined) = joined {
        batch.out = joined.freeze();
    }
    Ok(batch)
}

async fn commit(session: &mut Session, x: &mut Exchange) -> Result<()> {
    let http1 = !session.downstream_session.is_http2();
    let head = hooks::stream_head(x, http1)?;
    x.end.first_byte = Some(x.started.elapsed());
    session.downstream_session.write_response_header(Box::new(head)).await.map_err(super::body::gone)
}

async fn write(session: &mut Session, x: &Exchange, out: Bytes, end: bool) -> Result<()> {
    let within = x.live.runtime.server.write_timeout;
    match timeout(within, session.downstream_session.write_response_body(out, end)).await {
        Ok(written) => written.map_err(super::body::gone),
        Err(_) => Err(Error::new(Kind::ClientGone, "the client stopped reading")),
    }
}

/// The end of a stream: settled before the client can know that it is over, so that its next request
/// finds its limits as they are.
async fn last(gateway: &Gateway, session: &mut Session, x: &mut Exchange, out: Bytes) -> Result<()> {
    gateway.settle(x);
    write(session, x, out, true).await
}

/// The stream broke under us: what the client has begun to read ends with its format's error event.
async fn cut(gateway: &Gateway, session: &mut Session, x: &mut Exchange, error: Error) -> Result<()> {
    if x.end.first_byte.is_none() || error.kind() == Kind::ClientGone {
        return Err(error);
    }
    let event = x.attempt_mut()?.answer.fail(error.clone());
    gateway.stream_failed(x, &error);
    last(gateway, session, x, event).await
}
