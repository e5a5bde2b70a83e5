//! A stream on its way to the client, from its first event on. Nothing is tried again from here; but
//! where a route wants that, an answer that breaks is left open for another target to go on with.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use pingora_proxy::Session;
use tokio::time::{sleep_until, timeout};

use super::alive::Alive;
use super::attempt::{Batch, Ended, next_batch, too_long};
use super::connector::Leg;
use super::context::{Attempt, Deadline, Exchange};
use super::relay::{client_gone, gone};
use super::{Gateway, cache, capture, hooks, refer, shutdown};
use crate::config::runtime::Timeouts;
use crate::error::{Error, Kind, Result};
use crate::limit::Admission;
use crate::record::Outcome;
use crate::stage::answer::Answer;
use crate::wire;

/// How often a stream's usage so far is put on record, in case this process does not see its end.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Once its client has left, an answer that has stopped is read on for so long: its counts are still to come.
const COUNTS_WITHIN: Duration = Duration::from_secs(5);
/// The same for one that has not, and may be about to: after that its provider is to stop.
const STOP_WITHIN: Duration = Duration::from_millis(250);
/// Nor is more of it read for nobody.
const MOST_UNHEARD_BYTES: usize = 256 * 1024;

/// The client has left, maybe with all it wanted: what that has used the provider tells last.
pub(super) async fn hear_out(gateway: &Gateway, x: &mut Exchange, leg: &mut Leg) -> Result<()> {
    x.admission.iter_mut().for_each(Admission::leave);
    let attempt = x.attempt_mut()?;
    let (left_at, mut heard_bytes) = (Instant::now(), 0);
    let over = gateway.in_flight.over();
    tokio::pin!(over);
    while heard_bytes < MOST_UNHEARD_BYTES {
        let within = if attempt.answer.has_stopped() { COUNTS_WITHIN } else { STOP_WITHIN };
        let timer = sleep_until((left_at + within).into());
        tokio::pin!(timer);
        let next = tokio::select! {
            next = next_batch(attempt, leg, timer) => next,
            () = over.as_mut() => break,
        };
        match next {
            Ok(Batch { end: false, broken: None, out }) => heard_bytes += out.len(),
            _ => break,
        }
    }
    Ok(())
}

/// Passes the answer on until it ends; an error is an event of it, unless another target may go on
/// with the answer: then the error is given back, and the stream is open.
pub(super) async fn run(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
    leg: &mut Leg,
    first: Batch,
) -> Result<()> {
    gateway.attempt_answered(x);
    if x.end.first_byte.is_none() {
        commit(session, x, alive.head_is_out).await?;
    }
    let mut patience = Patience::new(x.attempt_mut()?);
    let timer = sleep_until(patience.until().into());
    let over = gateway.in_flight.over();
    tokio::pin!(timer, over);
    let (mut batch, mut noted_at) = (first, Instant::now());
    loop {
        if let Some(error) = x.attempt_mut()?.answer.error().cloned() {
            if x.attempt_mut()?.answer.is_broken() {
                write(session, x, batch.out, false).await?;
                return Err(error);
            }
            gateway.stream_failed(x, &error);
            let out = hooks::redacted(x, batch.out);
            return last(gateway, session, x, out).await;
        }
        if batch.end && x.attempt_mut()?.answer.waits() {
            // Over for the provider, and not for the client.
            return write(session, x, batch.out, false).await;
        }
        if batch.end {
            cache::keep(gateway, x, leg);
            refer::keep(gateway, x, &batch.out);
            return last(gateway, session, x, batch.out).await;
        }
        if !batch.out.is_empty() {
            write(session, x, batch.out, false).await?;
            alive.spoken();
        }
        if let Some(error) = batch.broken {
            return cut(gateway, session, x, error).await;
        }
        if noted_at.elapsed() >= NOTE_EVERY {
            gateway.note_progress(x);
            noted_at = Instant::now();
        }
        if let Some(error) = gateway.overdrawn(x) {
            return stop(gateway, session, x, error).await;
        }
        let attempt = x.attempt_mut()?;
        let next = tokio::select! {
            biased;
            next = next_batch(attempt, leg, timer.as_mut()) => next.inspect(|_| patience.heard(&attempt.answer)),
            () = client_gone(session) => Err(Ended::Error(gone())),
            () = over.as_mut() => return stop(gateway, session, x, shutdown::over()).await,
            () = alive.silent() => {
                let out = alive.within(&mut attempt.answer);
                Ok(Batch { out, end: false, broken: None })
            }
        };
        batch = match next {
            Ok(batch) => batch,
            // The timer is not set anew for each batch, so it may go off early.
            Err(Ended::Late) if Instant::now() < patience.until() => {
                timer.as_mut().reset(patience.until().into());
                Batch { out: Bytes::new(), end: false, broken: None }
            }
            Err(Ended::Late) => return cut(gateway, session, x, patience.error()).await,
            Err(Ended::Error(error)) => return cut(gateway, session, x, error).await,
        };
    }
}

/// How long a provider may be silent in the middle of an answer, and for how long it may send nothing
/// but signs of life.
struct Patience {
    deadline: Deadline,
    idle: Duration,
    fruitless: Duration,
    heard_at: Instant,
    /// How many events have come, and when the last one did.
    events: Option<u64>,
    event_at: Instant,
}

impl Patience {
    fn new(attempt: &Attempt) -> Self {
        let Timeouts { idle, first_token, .. } = attempt.timeouts;
        let now = Instant::now();
        let (deadline, events) = (attempt.deadline, attempt.answer.events_so_far());
        Self { deadline, idle, fruitless: idle.max(first_token), heard_at: now, events, event_at: now }
    }

    fn heard(&mut self, answer: &Answer) {
        self.heard_at = Instant::now();
        let events = answer.events_so_far();
        if events.is_none() || events != self.events {
            (self.events, self.event_at) = (events, self.heard_at);
        }
    }

    fn until(&self) -> Instant {
        self.deadline.at.min(self.heard_at + self.idle).min(self.event_at + self.fruitless)
    }

    fn error(&self) -> Error {
        match Instant::now() >= self.deadline.at {
            true => too_long(self.deadline),
            false => {
                let text = "the provider stalled in the middle of its answer (idle timeout)";
                Error::new(Kind::UpstreamTimeout, text)
            }
        }
    }
}

async fn commit(session: &mut Session, x: &mut Exchange, head_is_out: bool) -> Result<()> {
    let http1 = takes_chunks(session);
    let head = hooks::stream_head(x, http1)?;
    x.end.first_byte = Some(x.started.elapsed());
    if head_is_out {
        return Ok(());
    }
    capture::head(x, &head);
    session.downstream_session.write_response_header(Box::new(head.into())).await.map_err(super::body::gone)
}

/// Whether a stream has to say that it comes in chunks: HTTP/2 has frames, and clients of HTTP/1.0 read until the
/// connection ends.
pub(super) fn takes_chunks(session: &Session) -> bool {
    let head = session.req_header();
    head.version == Version::HTTP_11 && !session.downstream_session.is_http2()
}

pub(super) async fn write(session: &mut Session, x: &Exchange, out: Bytes, end: bool) -> Result<()> {
    if out.is_empty() && !end {
        return Ok(());
    }
    capture::out(x, &out);
    let within = x.live.runtime.server.write_timeout;
    match timeout(within, session.downstream_session.write_response_body(out, end)).await {
        Ok(written) => written.map_err(super::body::gone),
        Err(_) => Err(Error::new(Kind::ClientGone, "the client stopped reading")),
    }
}

/// The error as the only event of a stream whose head went out to keep the client's connection alive.
pub(super) async fn refuse(gateway: &Gateway, session: &mut Session, x: &mut Exchange, error: &Error) -> Result<()> {
    let mut out = Vec::with_capacity(256);
    let id = x.request_id.hyphenated().to_string();
    match x.parsed.as_ref().is_some_and(|parsed| parsed.array) {
        true => {
            out.push(b'[');
            wire::encode_error(x.dialect, error, &id, &mut out);
            out.push(b']');
        }
        false => wire::encode_error_event(x.dialect, error, &id, &mut out),
    }
    x.end.status = 200;
    gateway.seal(x);
    write(session, x, Bytes::from(out), true).await
}

/// The end of a stream: settled before the client can know that it is over, so that its next request
/// finds its limits as they are.
pub(super) async fn last(gateway: &Gateway, session: &mut Session, x: &mut Exchange, out: Bytes) -> Result<()> {
    gateway.settle(x);
    gateway.seal(x);
    write(session, x, out, true).await
}

/// The stream broke under us: what the client has begun to read ends with its format's error event, or
/// stays open for another target.
pub(super) async fn cut(gateway: &Gateway, session: &mut Session, x: &mut Exchange, error: Error) -> Result<()> {
    // What passes has no error event: closing is all that says so.
    let passes = x.attempt_mut()?.answer.passed_head().is_some();
    if passes || error.kind() == Kind::ClientGone {
        return Err(error);
    }
    if x.attempt_mut()?.answer.has_stopped() {
        // The model has said all there is: what is missing are counts, or a last word.
        let (mut rest, answer) = (None, &mut x.attempt_mut()?.answer);
        answer.chunk(&mut rest, true)?;
        if answer.error().is_none() && !answer.waits() {
            return last(gateway, session, x, rest.unwrap_or_default()).await;
        }
    }
    let event = x.attempt_mut()?.answer.fail(error.clone());
    if x.attempt_mut()?.answer.is_broken() {
        write(session, x, event, false).await?;
        return Err(error);
    }
    gateway.stream_failed(x, &error);
    last(gateway, session, x, event).await
}

/// A budget has nothing left for the rest, or the process ends: the client's stream ends with its format's
/// error, whoever could go on with it, and nothing more is read of the provider's.
async fn stop(gateway: &Gateway, session: &mut Session, x: &mut Exchange, error: Error) -> Result<()> {
    gateway.stream_stopped(x, &error);
    let answer = &mut x.attempt_mut()?.answer;
    if answer.passed_head().is_some() {
        // What passes has no error event: closing is all that says so.
        return Err(error);
    }
    let event = answer.fail(error);
    let out = if answer.is_broken() { [event, answer.close()].concat().into() } else { event };
    last(gateway, session, x, out).await
}

/// Whether the client has begun to read an answer that is open for the next attempt: it broke, or waits for its
/// next round.
pub(super) fn is_open(x: &Exchange) -> bool {
    let is_open = |answer: &Answer| answer.is_broken() || answer.is_stream() && answer.waits();
    x.end.first_byte.is_some() && x.attempt.as_ref().is_some_and(|attempt| is_open(&attempt.answer))
}

/// Ends a stream that was left open: nobody goes on with it.
pub(super) async fn close(gateway: &Gateway, session: &mut Session, x: &mut Exchange, error: &Error) -> Result<()> {
    let answer = &mut x.attempt_mut()?.answer;
    if answer.waits() {
        answer.fail(error.clone());
    }
    let out = answer.close();
    x.end.error = Some(error.clone());
    x.end.outcome = Outcome::UpstreamCut;
    let out = hooks::redacted(x, out);
    last(gateway, session, x, out).await
}
