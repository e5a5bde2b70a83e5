//! One attempt, up to where its answer proves good: a whole answer, or the first event of a stream.
//! Nothing here touches the client, so two of them can run side by side.

use std::future::ready;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, request, response};
use pingora_core::ErrorType;
use pingora_timeout::fast_timeout::fast_timeout;
use tokio::time::{Sleep, sleep_until, timeout};

use super::connector::{self, Leg, Upstream};
use super::context::{Attempt, Deadline, Exchange};
use super::unpack::{Coding, Unpack};
use super::{Gateway, cache, capture, hooks};
use crate::config::runtime::Timeouts;
use crate::error::{Error, Kind, Result};
use crate::limit::clock;
use crate::record::Why;
use crate::route::quota;
use crate::stage::respond;
use crate::wire::pieces::Pieces;

const MILLISECOND: Duration = Duration::from_millis(1);
/// An error answer longer than this is not one. Some throw back a whole prompt.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// A pooled connection that was dead says so within a round trip. One that breaks later was alive, and
/// what the provider did until then it may bill.
const STALE_WITHIN: Duration = Duration::from_millis(500);
/// Enough for one write; more would only delay it.
const BATCH_BYTES: usize = 16 * 1024;

/// A request of the provider's, ready to go out.
pub(super) struct Part {
    pub(super) head: request::Parts,
    pub(super) body: Pieces,
}

/// An answer that has proved good.
pub(super) enum Begun {
    /// All of it.
    Whole(Bytes),
    /// Its beginning.
    Stream(Batch),
}

/// An attempt that failed.
pub(super) struct Broken {
    pub(super) error: Error,
    /// A pooled connection was dead before a byte came back: that proves nothing against the provider,
    /// and the request may go out again on another.
    pub(super) is_stale: bool,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self { error, is_stale: false }
    }
}

/// Sends the parts one after the other and waits for the answer to the last. Where the provider takes
/// less at once than the client sends there are several; what they are answered is kept for the answer
/// to the last.
pub(super) async fn begin(
    gateway: &Gateway,
    x: &Exchange,
    attempt: &mut Attempt,
    parts: Vec<Part>,
) -> Result<(Leg, Begun), Broken> {
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let mut leg = open(gateway, x, attempt, part).await?;
        let done = match is_last {
            true => judge(x, attempt, &mut leg).await,
            false => earlier(x, attempt, &mut leg).await.map(Begun::Whole),
        };
        match done {
            Ok(begun) if is_last => return Ok((leg, begun)),
            Ok(Begun::Whole(answer)) => {
                attempt.earlier.push(answer);
                finish(gateway, leg, false).await;
            }
            Ok(Begun::Stream(_)) => return Err(Error::internal("one of several answers is a stream").into()),
            Err(error) => {
                abandon(leg, &error);
                return Err(error.into());
            }
        }
    }
    Err(Error::internal("nothing to send").into())
}

/// Gives a connection back, or closes what was not read to its end. Of an answer that is complete that may
/// still be on its way.
pub(super) async fn finish(gateway: &Gateway, leg: Leg, is_complete: bool) {
    match (leg.is_done(), is_complete) {
        (true, _) => gateway.pools.release(leg).await,
        (false, true) => leg.leave_to_end(),
        (false, false) => leg.abandon(),
    }
}

/// Closes what cannot be used again. An HTTP/2 connection that timed out may be dead without a sign
/// of it, and would take every later request with it: it gets no new ones.
pub(super) fn abandon(mut leg: Leg, error: &Error) {
    if error.kind() == Kind::UpstreamTimeout {
        leg.retire();
    }
    leg.abandon();
}

/// Connects, sends the request and reads the answer's head.
async fn open(gateway: &Gateway, x: &Exchange, attempt: &mut Attempt, part: Part) -> Result<Leg, Broken> {
    let upstream = x.live.upstream(&attempt.target.deployment)?;
    let mut leg = match upstream.kept() {
        Some(leg) => leg,
        // Its future is large, and seldom needed.
        None => Box::pin(connect(gateway, x, attempt, upstream)).await?,
    };
    let mut head = part.head;
    if leg.is_http2() {
        hooks::for_http2(&mut head, &attempt.target.deployment)?;
    }
    if let Some(leg) = &attempt.capture {
        leg.sent((&head.method, &head.uri, &head.headers), &part.body.whole());
    }
    let patience = until_head(x, attempt.timeouts);
    match send_and_wait(attempt, &mut leg, head, part.body, patience).await {
        Ok(()) => {
            learn(gateway, x, attempt, &leg);
            Ok(leg)
        }
        Err(broken) => {
            let is_stale = broken.is_stale && leg.reused;
            abandon(leg, &broken.error);
            Err(Broken { is_stale, ..broken })
        }
    }
}

/// How long an answer's head may take. An image or a sound begins when it is ready.
pub(super) fn until_head(x: &Exchange, timeouts: Timeouts) -> Duration {
    let streams = x.parsed.as_ref().is_some_and(|parsed| parsed.stream);
    if x.passage.is_some() { timeouts.total } else { timeouts.until_head(streams) }
}

async fn connect(gateway: &Gateway, x: &Exchange, attempt: &Attempt, upstream: &Upstream) -> Result<Leg> {
    // TLS takes its own time, but where somebody said how long at most.
    let routes = || x.plan.as_ref()?.attempts.timeouts.connect;
    let said = x.patience.connect.or_else(routes);
    let patience = said.unwrap_or(attempt.timeouts.connect * 2).min(left(attempt.deadline));
    match timeout(patience, gateway.pools.open(upstream)).await {
        Ok(leg) => leg,
        Err(_) if left(attempt.deadline).is_zero() => Err(too_long(attempt.deadline)),
        Err(_) => Err(connector::too_slow()),
    }
}

async fn send_and_wait(
    attempt: &mut Attempt,
    leg: &mut Leg,
    head: request::Parts,
    body: Pieces,
    patience: Duration,
) -> Result<(), Broken> {
    let is_out = &mut attempt.sent;
    let since = Instant::now();
    let work = async {
        let sent = leg.send(head, body).await;
        *is_out = sent.is_ok();
        // A provider that refuses early closes its side while we still send: its answer counts.
        match (sent, leg.read_head().await) {
            (_, Ok(())) => Ok(()),
            (Err(sent), Err(_)) => Err(sent),
            (Ok(()), Err(read)) => Err(read),
        }
    };
    // The runtime's own would wake its driver for nearly every request. This one leaves out parts of a
    // millisecond, and must not end before the deadline.
    match fast_timeout(patience.min(left(attempt.deadline)) + MILLISECOND, work).await {
        Ok(done) => done.map_err(|e| Broken {
            error: upstream_error(&e, "before its answer began"),
            is_stale: since.elapsed() < STALE_WITHIN && was_closed(&e),
        }),
        Err(_) if left(attempt.deadline).is_zero() => Err(too_long(attempt.deadline).into()),
        Err(_) => {
            let text = "the provider did not begin its answer in time (first_token timeout)";
            Err(Error::new(Kind::UpstreamTimeout, text).into())
        }
    }
}

/// Takes note of what the answer's head says of the quota.
fn learn(gateway: &Gateway, x: &Exchange, attempt: &mut Attempt, leg: &Leg) {
    let Some(head) = leg.head() else { return };
    attempt.status = Some(head.status.as_u16());
    if let Some(leg) = &attempt.capture {
        leg.answered(head.status.as_u16(), &head.headers);
    }
    // What is left to a client with a credential of its own is nobody else's affair.
    let Some(run) = attempt.run.as_ref().filter(|_| !x.forwarded.is_some()) else { return };
    // Most answers say nothing of it.
    if !head.headers.keys().any(|name| name.as_str().contains("limit")) {
        return;
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let unix_ms = clock::unix_ms();
    let learned = quota::read(header, unix_ms);
    run.learned(learned.on_clock(unix_ms, gateway.clock.now_ms()));
}

/// What is left until then.
fn left(deadline: Deadline) -> Duration {
    deadline.at.saturating_duration_since(Instant::now())
}

/// Whether the provider had closed the connection before it read the request. One that it resets is
/// another matter: it may have worked on the request by then.
fn was_closed(error: &pingora_core::Error) -> bool {
    match error.etype() {
        ErrorType::ConnectionClosed | ErrorType::H2Error => true,
        ErrorType::WriteError | ErrorType::ReadError => {
            let io = error.root_cause().downcast_ref::<std::io::Error>();
            io.is_none_or(|io| io.kind() != std::io::ErrorKind::ConnectionReset)
        }
        _ => false,
    }
}

fn upstream_error(error: &pingora_core::Error, when: &str) -> Error {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
            Error::new(Kind::UpstreamTimeout, format!("the provider stalled {when} (idle timeout)")).with_detail(error)
        }
        _ => {
            Error::new(Kind::UpstreamBroken, format!("the connection to the provider broke {when}")).with_detail(error)
        }
    }
}

pub(super) fn too_long(deadline: Deadline) -> Error {
    match deadline.is_clients {
        true => Error::new(Kind::UpstreamTimeout, "the answer took too long (x-weir-timeout)"),
        false => Error::new(Kind::UpstreamTimeout, "the answer took too long (total timeout)"),
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
    fn of(head: &response::Parts) -> Self {
        Self {
            status: head.status.as_u16(),
            content_type: head.headers.get(CONTENT_TYPE).cloned(),
            retry_after: head.headers.get(RETRY_AFTER).cloned(),
            retry_after_ms: head.headers.get(respond::RETRY_AFTER_MS).cloned(),
            error_type: head.headers.get("x-amzn-errortype").cloned(),
        }
    }
}

/// The answer's head is there: refused, held whole, or the beginning of a stream.
pub(super) async fn judge(x: &Exchange, attempt: &mut Attempt, leg: &mut Leg) -> Result<Begun> {
    let head = leg.head().ok_or_else(|| Error::internal("an answer without a head"))?;
    if !head.status.is_success() {
        return Err(refusal(x, attempt, leg).await);
    }
    if hooks::is_no_stream(x, head) {
        let (body, _) = read_error(attempt, leg).await;
        return Err(hooks::no_stream(attempt, &body));
    }
    let note = match attempt.why {
        Why::Continuation => hooks::answer_goes_on(attempt, head)?,
        // A round of a stream that goes on.
        _ if attempt.is_unheard => Bytes::new(),
        _ => hooks::answer_begins(x, attempt, head).map(|()| Bytes::new())?,
    };
    attempt.is_unheard = false;
    match attempt.answer.is_stream() {
        true => {
            let first = beginning(attempt, leg).await?;
            let out = if note.is_empty() { first.out } else { [note, first.out].concat().into() };
            Ok(Begun::Stream(Batch { out, ..first }))
        }
        false => whole(attempt, leg).await.map(Begun::Whole),
    }
}

async fn refusal(x: &Exchange, attempt: &mut Attempt, leg: &mut Leg) -> Error {
    let Some(head) = leg.head() else { return Error::internal("an answer without a head") };
    let refusal = Refusal::of(head);
    let (body, is_whole) = read_error(attempt, leg).await;
    hooks::refused(x, attempt, &refusal, (&body, is_whole))
}

/// The body of an answer that is none, as far as it comes in time, and whether that is all of it.
async fn read_error(attempt: &Attempt, leg: &mut Leg) -> (Bytes, bool) {
    let until = Instant::now() + attempt.timeouts.idle.min(left(attempt.deadline));
    let coding = leg.head().map_or(Ok(None), |head| Coding::of(&head.headers));
    let (mut body, is_whole) = read_up_to(leg, MAX_ERROR_BYTES, until.into()).await;
    // Nobody asked for a coding; some proxies in front of providers pack their errors all the same.
    if let Some(coding) = coding.ok().flatten() {
        body = unpacked(coding, &body).await.unwrap_or(body);
    }
    capture::piece(attempt, Some(&body));
    (body, is_whole)
}

async fn unpacked(coding: Coding, body: &[u8]) -> Result<Bytes> {
    let mut unpack = Unpack::new(coding, MAX_ERROR_BYTES)?;
    unpack.push(body).await?;
    unpack.finish()
}

/// What comes until then, up to the limit, and whether it ended with that.
async fn read_up_to(leg: &mut Leg, limit: usize, until: tokio::time::Instant) -> (Bytes, bool) {
    let mut body = BytesMut::new();
    while let Ok(Ok(piece)) = tokio::time::timeout_at(until, leg.read_body()).await {
        let Some(bytes) = piece else { return (body.freeze(), true) };
        let room = limit.saturating_sub(body.len()).min(bytes.len());
        body.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if room < bytes.len() {
            break;
        }
    }
    (body.freeze(), false)
}

/// The answer to one of several bodies, as it came.
async fn earlier(x: &Exchange, attempt: &mut Attempt, leg: &mut Leg) -> Result<Bytes> {
    let head = leg.head().ok_or_else(|| Error::internal("an answer without a head"))?;
    if head.status != 200 {
        return Err(refusal(x, attempt, leg).await);
    }
    leg.set_read_patience(attempt.timeouts.idle);
    let held_bytes: usize = attempt.earlier.iter().map(Bytes::len).sum();
    let most_bytes = x.live.runtime.server.max_answer_bytes.saturating_sub(held_bytes);
    let mut body = BytesMut::new();
    let timer = sleep_until(attempt.deadline.at.into());
    tokio::pin!(timer);
    while let Some(piece) = next_piece(attempt.deadline, leg, timer.as_mut()).await? {
        capture::piece(attempt, Some(&piece));
        if body.len() + piece.len() > most_bytes {
            return Err(Error::answer_too_long());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// An answer that is not streamed reaches the client whole or not at all.
async fn whole(attempt: &mut Attempt, leg: &mut Leg) -> Result<Bytes> {
    leg.set_read_patience(attempt.timeouts.idle);
    let timer = sleep_until(attempt.deadline.at.into());
    tokio::pin!(timer);
    loop {
        let mut chunk = next_piece(attempt.deadline, leg, timer.as_mut()).await?;
        let end = chunk.is_none();
        capture::piece(attempt, chunk.as_ref());
        cache::piece(attempt, chunk.as_ref());
        if !end {
            attempt.answer.chunk(&mut chunk, false)?;
            continue;
        }
        // All is read and written here.
        let since = Instant::now();
        attempt.answer.chunk(&mut chunk, true)?;
        attempt.work += since.elapsed();
        return Ok(chunk.unwrap_or_default());
    }
}

/// What the provider sends next, as long as there is time.
async fn next_piece(deadline: Deadline, leg: &mut Leg, timer: Pin<&mut Sleep>) -> Result<Option<Bytes>> {
    tokio::select! {
        biased;
        piece = leg.read_body() => piece.map_err(|e| upstream_error(&e, "in the middle of its answer")),
        () = timer => Err(too_long(deadline)),
    }
}

/// Reads until the answer has begun. That it will, each event tells anew: models that think open a stream
/// long before its first words.
async fn beginning(attempt: &mut Attempt, leg: &mut Leg) -> Result<Batch> {
    let Timeouts { first_token, idle, .. } = attempt.timeouts;
    let first = Instant::now() + first_token.min(left(attempt.deadline));
    let (mut events, mut is_open) = (attempt.answer.events_so_far(), false);
    let timer = sleep_until(first.into());
    tokio::pin!(timer);
    loop {
        let batch = match next_batch(attempt, leg, timer.as_mut()).await {
            Err(Ended::Late) if left(attempt.deadline).is_zero() => return Err(too_long(attempt.deadline)),
            Err(Ended::Late) => {
                let text = match is_open {
                    true => "the provider opened its stream and stalled before its answer began (idle timeout)",
                    false => "the provider did not send a first event in time (first_token timeout)",
                };
                return Err(Error::new(Kind::UpstreamTimeout, text));
            }
            Err(Ended::Error(error)) => return Err(error),
            Ok(batch) => batch,
        };
        // A file may be empty, an answer may not.
        let is_empty_file = batch.end && attempt.answer.passed_head().is_some();
        if !batch.out.is_empty() || is_empty_file || attempt.answer.waits() {
            return Ok(batch);
        }
        // Nothing has come out before the answer has begun: then another target may be asked.
        if let Some(error) = attempt.answer.error().cloned().or(batch.broken) {
            return Err(error);
        }
        if batch.end {
            return Err(Error::new(Kind::UpstreamFailed, "the provider ended its stream without an answer"));
        }
        let so_far = attempt.answer.events_so_far();
        if so_far != events {
            (events, is_open) = (so_far, true);
            let next = Instant::now() + idle.max(first_token).min(left(attempt.deadline));
            timer.as_mut().reset(next.into());
        }
    }
}

/// What was read in one go.
pub(super) struct Batch {
    pub(super) out: Bytes,
    pub(super) end: bool,
    /// Met after what is in `out`.
    pub(super) broken: Option<Error>,
}

/// Why there is no batch.
pub(super) enum Ended {
    /// The timer fired.
    Late,
    Error(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Reads what the upstream has ready, up to one good write. Nothing is lost if it is dropped while it
/// waits.
pub(super) async fn next_batch(attempt: &mut Attempt, leg: &mut Leg, timer: Pin<&mut Sleep>) -> Result<Batch, Ended> {
    let first = tokio::select! {
        biased;
        piece = leg.read_body() => piece.map_err(|e| upstream_error(&e, "in the middle of its answer"))?,
        () = timer => return Err(Ended::Late),
    };
    capture::piece(attempt, first.as_ref());
    cache::piece(attempt, first.as_ref());
    let mut batch = Batch { out: Bytes::new(), end: first.is_none(), broken: None };
    let mut chunk = first;
    attempt.answer.chunk(&mut chunk, batch.end)?;
    batch.out = chunk.unwrap_or_default();
    let mut joined: Option<BytesMut> = None;
    while !batch.end && joined.as_ref().map_or(batch.out.len(), BytesMut::len) < BATCH_BYTES {
        // Whatever is not there now is waited for in the next round.
        let mut chunk = tokio::select! {
            biased;
            piece = leg.read_body() => match piece {
                Ok(chunk) => chunk,
                Err(e) => {
                    batch.broken = Some(upstream_error(&e, "in the middle of its answer"));
                    break;
                }
            },
            () = ready(()) => break,
        };
        batch.end = chunk.is_none();
        capture::piece(attempt, chunk.as_ref());
        cache::piece(attempt, chunk.as_ref());
        attempt.answer.chunk(&mut chunk, batch.end)?;
        match chunk {
            Some(more) if batch.out.is_empty() => batch.out = more,
            Some(more) => joined.get_or_insert_with(|| BytesMut::from(&*batch.out)).extend_from_slice(&more),
            None => {}
        }
    }
    if let Some(joined) = joined {
        batch.out = joined.freeze();
    }
    if !batch.end && batch.broken.is_none() && attempt.answer.is_complete() {
        end(attempt, &mut batch)?;
    }
    Ok(batch)
}

/// What has come is all of the answer by its format, and the upstream has not ended it: nobody waits for that.
fn end(attempt: &mut Attempt, batch: &mut Batch) -> Result<()> {
    let mut rest = None;
    attempt.answer.chunk(&mut rest, true)?;
    if let Some(rest) = rest {
        batch.out = [&*batch.out, &*rest].concat().into();
    }
    batch.end = true;
    Ok(())
}
