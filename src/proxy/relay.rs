//! The attempt loop: generation traffic driven over Pingora's connector.
//!
//! Pingora's own pipeline streams bytes through; generation needs more: a decision on status, body
//! or first event before anything goes to the client, several upstream calls for one of the
//! client's, deadlines per phase, signs of life while the model is silent. This driver decides nothing:
//! whom to ask is [`crate::route::attempts`], what to write and how to judge are the same hooks as the
//! pipeline's, in the same order.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::response;
use pingora_proxy::Session;

use super::alive::Alive;
use super::attempt::{Begun, abandon, finish};
use super::context::{Attempt, Deadline, Exchange};
use super::line::Place;
use super::shutdown::{self, Ticket};
use super::{Gateway, cache, capture, edge, race, refer, repair, stream};
use crate::error::{Error, Kind, Result};
use crate::limit::clock::whole_ms;
use crate::record::Why;
use crate::route::attempts::{Attempts, Next, View};
use crate::route::cause::Failure;
use crate::route::vital::{Run, Standing};
use crate::stage::answer::Answer;
use crate::stage::route::Plan;
use crate::wire::edge::Waits;

/// Tries the targets of the plan until one has answered the client.
pub(super) async fn run(gateway: &Gateway, session: &mut Session, x: &mut Exchange) -> Result<()> {
    let mut alive = Alive::new(&gateway.telemetry, x);
    let done = rounds(gateway, session, x, &mut alive).await;
    x.head_is_out = alive.head_is_out;
    done
}

async fn rounds(gateway: &Gateway, session: &mut Session, x: &mut Exchange, alive: &mut Alive<'_>) -> Result<()> {
    let plan = x.plan.as_ref().ok_or_else(|| Error::internal("no plan"))?;
    let mut attempts = Attempts::new(&plan.attempts, plan.targets.len());
    let until_ms = until_ms(gateway, x);
    x.live.board.budget.asked(gateway.clock.now_ms());
    let mut next = attempts.first(&Sight { gateway, x, plan }, gateway.clock.now_ms(), until_ms);
    let mut told: Option<(Failure, Error, Verbatim)> = None;
    let mut last: Option<(usize, Error)> = None;
    // The model is asked again, with what came of its answer.
    let mut round: Option<Why> = None;
    loop {
        let (index, for_ms) = match next {
            Next::Ask(index) => (index, 0),
            Next::Wait { index, for_ms } => (index, for_ms),
            Next::Stop { after_ms } => match told.take() {
                Some((_, error, _)) if stream::is_open(x) => return stream::close(gateway, session, x, &error).await,
                told => return Err(final_error(gateway, x, told, after_ms)),
            },
        };
        wait(session, x, alive, for_ms).await?;
        let why = match (round, &last) {
            (Some(why), _) => why,
            _ if x.said().is_some() => Why::Continuation,
            (None, None) => Why::First,
            (None, Some((last, _))) if *last == index => Why::Retry,
            (None, Some(_)) => Why::Fallback,
        };
        let attempt = match gateway.limit_also(x, index).await.and_then(|()| new_attempt(x, index, why)) {
            Ok(attempt) => attempt,
            Err(_) if why == Why::Repair => return repair::give_up(gateway, session, x).await,
            Err(error) => {
                // A request that is not for this target, or that has no room there, may be one for the next.
                let failure = Failure::of(&error);
                next = attempts.instead(index, &sight(gateway, x)?);
                told.get_or_insert((failure, error, None));
                continue;
            }
        };
        if let Some((from, error)) = last.as_ref().filter(|(from, _)| *from != index) {
            gateway.fell_back(x, *from, index, error);
        }
        x.attempts += 1;
        let before = x.attempt.replace(attempt);
        if let Some(repair) = x.repair.as_mut().filter(|_| why == Why::Repair) {
            repair.keep(before);
        }
        round = None;
        let error = match attempt_once(gateway, session, x, alive, &mut attempts, index).await {
            Ok(None) => return Ok(()),
            Ok(Some(waits)) => {
                round = next_round(gateway, session, x, alive, waits).await?;
                (next, last, told) = (Next::Ask(index), None, None);
                if round.is_none() {
                    return Ok(());
                }
                continue;
            }
            Err(error) => error,
        };
        let error = super::hooks::clean_error(x, x.attempt.as_ref(), &error);
        let failure = gateway.attempt_failed(x, &error);
        let is_over = x.end.first_byte.is_some() && !stream::is_open(x);
        if is_over || error.kind() == Kind::ClientGone {
            return Err(error);
        }
        if why == Why::Repair {
            gateway.book_lost(x, &error);
            return repair::give_up(gateway, session, x).await;
        }
        let now_ms = gateway.clock.now_ms();
        next = attempts.after(index, &failure, &sight(gateway, x)?, now_ms, until_ms);
        let verbatim = x.attempt.as_mut().and_then(|attempt| attempt.verbatim.take());
        if !matches!(next, Next::Stop { .. }) {
            gateway.book_lost(x, &error);
        }
        last = Some((index, error.clone()));
        if told.as_ref().is_none_or(|(earlier, ..)| failure.tells_more_than(earlier)) {
            told = Some((failure, error, verbatim));
        }
    }
}

/// Does what an answer waits for. Gives back why its model is asked again, if it is: else the answer is over.
async fn next_round(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
    waits: Waits,
) -> Result<Option<Why>> {
    Ok(match waits {
        Waits::Tools(pending) => edge::round(gateway, session, x, alive, pending).await?.then_some(Why::Tools),
        Waits::Repair(again) => repair::round(gateway, session, x, again).await?.then_some(Why::Repair),
    })
}

/// A provider's error answer in its own words, with its status.
type Verbatim = Option<(u16, Bytes)>;

/// What the client is told in the end: the most useful of what was heard.
fn final_error(
    gateway: &Gateway,
    x: &mut Exchange,
    told: Option<(Failure, Error, Verbatim)>,
    after_ms: Option<u64>,
) -> Error {
    if let Some((_, error, verbatim)) = told {
        x.end.verbatim = verbatim;
        return error;
    }
    let now_ms = gateway.clock.now_ms();
    let vitals = x.plan.iter().flat_map(|plan| &plan.vitals);
    let limited: Option<Vec<u64>> = vitals.map(|vital| vital.cools_until_ms(now_ms)).collect();
    let (kind, text, after_ms) = match limited.and_then(|until_ms| until_ms.into_iter().min()) {
        Some(until_ms) => (
            Kind::UpstreamRateLimited,
            "every provider of this model is at its limit",
            Some(until_ms.saturating_sub(now_ms)),
        ),
        None => (Kind::NoHealthyUpstream, "no provider of this model is in a state to be asked", after_ms),
    };
    Error::new(kind, text).with_retry_after(Duration::from_millis(after_ms.unwrap_or(1_000)))
}

/// When all has to be over, for decisions on waiting.
fn until_ms(gateway: &Gateway, x: &Exchange) -> u64 {
    let left = overall(x).map(|deadline| deadline.at.saturating_duration_since(Instant::now()));
    left.map_or(u64::MAX, |left| gateway.clock.now_ms().saturating_add(whole_ms(left)))
}

/// The deadline of all attempts together, where the client or the route says one.
fn overall(x: &Exchange) -> Option<Deadline> {
    let routes = x.plan.as_ref().and_then(|plan| plan.attempts.timeouts.total);
    let clients = x.patience.total.map(|total| Deadline { at: x.started + total, is_clients: true });
    let routes = routes.map(|total| Deadline { at: x.started + total, is_clients: false });
    [clients, routes].into_iter().flatten().min_by_key(|deadline| deadline.at)
}

/// Waits until the target may be asked, as long as there is a client.
async fn wait(session: &mut Session, x: &Exchange, alive: &mut Alive<'_>, for_ms: u64) -> Result<()> {
    if for_ms == 0 {
        return Ok(());
    }
    let until = tokio::time::sleep(Duration::from_millis(for_ms));
    tokio::pin!(until);
    loop {
        tokio::select! {
            biased;
            error = interrupted(session, x.ticket.as_ref()) => return Err(error),
            () = until.as_mut() => return Ok(()),
            () = alive.silent() => alive.sign(session, x).await?,
        }
    }
}

/// An attempt at one of the plan's targets: written from the client's untouched bytes, not yet sent.
/// Where a stream is open, it is one to go on with that, whoever fed it before.
fn new_attempt(x: &mut Exchange, index: usize, why: Why) -> Result<Attempt> {
    x.clock.go();
    let mut attempt = written(x, index, why);
    x.clock.pause();
    let is_open = stream::is_open(x);
    if let (true, Ok(attempt), Some(before)) = (is_open, &mut attempt, &mut x.attempt) {
        attempt.answer = std::mem::replace(&mut before.answer, Answer::unseen());
        attempt.is_unheard = true;
        // What goes on in the middle of a round does so once there is something to go on with.
        if why != Why::Continuation {
            attempt.answer.next_round(&attempt.prepared, &attempt.target, x.guards.as_deref());
        }
    }
    attempt
}

/// The same beside a running one.
pub(super) fn written(x: &Exchange, index: usize, why: Why) -> Result<Attempt> {
    let plan = x.plan.as_ref().ok_or_else(|| Error::internal("no plan"))?;
    let target = plan.targets.get(index).cloned().ok_or_else(|| Error::internal("no target"))?;
    let prepared = match x.said() {
        Some(said) => x.prepare_continued(&target, &said)?,
        None => x.prepare(&target)?,
    };
    let mut attempt = Attempt::new(target, prepared, why);
    attempt.timeouts = x.patience.or(plan.attempts.timeouts).over(attempt.timeouts);
    attempt.deadline.at = attempt.began + attempt.timeouts.total;
    if let Some(overall) = overall(x).filter(|overall| overall.at < attempt.deadline.at) {
        attempt.deadline = overall;
    }
    attempt.capture = x.capture.as_ref().and_then(|recorder| capture::leg(recorder, &attempt));
    Ok(attempt)
}

/// Asks, and gives the client the answer; or gives back what that waits for.
async fn attempt_once(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
    attempts: &mut Attempts,
    index: usize,
) -> Result<Option<Waits>> {
    let kept = if x.cache.is_some() { Box::pin(cache::look(gateway, session, x, alive)).await? } else { None };
    let answered = match kept {
        Some(kept) => Ok(kept),
        None => {
            let places = places_in_turn(gateway, session, x, alive).await?;
            let run = begin(gateway, x, index);
            let attempt = x.attempt_mut()?;
            (attempt.places, attempt.run) = (places, run);
            if let Some(attempt) = &x.attempt {
                gateway.foresee(x, attempt)?;
            }
            race::ask(gateway, session, x, alive, attempts, index).await
        }
    };
    let (mut leg, begun) = match answered {
        Ok(answered) => answered,
        // Who was to go on with a stream may have broken before there was anything new in it.
        Err(error) if x.end.first_byte.is_some() => {
            return stream::cut(gateway, session, x, error).await.map(|()| None);
        }
        Err(error) => return Err(error),
    };
    let done = match begun {
        Begun::Whole(_) if x.attempt_mut()?.answer.waits() => Ok(()),
        Begun::Whole(body) => {
            cache::keep(gateway, x, &leg);
            whole(gateway, session, x, body).await
        }
        Begun::Stream(first) => {
            let passed = stream::run(gateway, session, x, alive, &mut leg, first).await;
            if passed.as_ref().is_err_and(|error| error.kind() == Kind::ClientGone) {
                stream::hear_out(gateway, x, &mut leg).await?;
            }
            passed
        }
    };
    match &done {
        Ok(()) => finish(gateway, leg, x.attempt.as_ref().is_some_and(|attempt| attempt.answer.is_complete())).await,
        Err(error) => abandon(leg, error),
    }
    done?;
    Ok(x.attempt_mut()?.answer.waits_for())
}

/// Places at the attempt's endpoint, where they are scarce: in turn, as long as there is time and a
/// client.
async fn places_in_turn(
    gateway: &Gateway,
    session: &mut Session,
    x: &Exchange,
    alive: &mut Alive<'_>,
) -> Result<[Option<Place>; 2]> {
    let attempt = x.attempt.as_ref().ok_or_else(|| Error::internal("no attempt runs"))?;
    let since = Instant::now();
    let enter = places(x, attempt, attempt.deadline.at.saturating_duration_since(since));
    tokio::pin!(enter);
    let places = loop {
        tokio::select! {
            biased;
            places = enter.as_mut() => break places?,
            error = interrupted(session, x.ticket.as_ref()) => return Err(error),
            () = alive.silent() => alive.sign(session, x).await?,
        }
    };
    if places.iter().any(Option::is_some) {
        gateway.telemetry.queued(since.elapsed());
    }
    Ok(places)
}

/// The same, within that time.
pub(super) async fn places(x: &Exchange, attempt: &Attempt, within: Duration) -> Result<[Option<Place>; 2]> {
    let target = &attempt.target;
    match (&x.caller, x.live.lines(&target.deployment)) {
        (Some(caller), Some(lines)) => lines.enter(&target.model, &caller.key.tenant, within).await,
        _ => Ok([None, None]),
    }
}

/// One more request goes to the target.
pub(super) fn begin(gateway: &Gateway, x: &Exchange, index: usize) -> Option<Run> {
    let vital = x.plan.as_ref()?.vitals.get(index)?;
    Some(vital.begin(gateway.clock.now_ms()))
}

/// An answer that is not streamed.
pub(super) async fn whole(gateway: &Gateway, session: &mut Session, x: &mut Exchange, body: Bytes) -> Result<()> {
    x.clock.go();
    let body = edge::told(x, super::hooks::redacted_answer(x, body));
    gateway.attempt_answered(x);
    let body = if x.guards.is_some() { Box::pin(gateway.guard_answer(x, body)).await? } else { body };
    gateway.settle(x);
    let body = super::compress::told(x, body);
    let head = super::hooks::whole_head(x, body.len())?;
    x.end.first_byte = Some(x.started.elapsed());
    x.clock.pause();
    refer::keep(gateway, x, &body);
    gateway.seal(x);
    capture::head(x, &head);
    capture::out(x, &body);
    send_whole(session, head, body).await
}

pub(super) async fn send_whole(session: &mut Session, head: response::Parts, body: Bytes) -> Result<()> {
    let client = &mut session.downstream_session;
    client.write_response_header(Box::new(head.into())).await.map_err(super::body::gone)?;
    client.write_response_body(body, true).await.map_err(super::body::gone)
}

pub(super) fn gone() -> Error {
    Error::new(Kind::ClientGone, "the client closed the connection")
}

/// Resolves when the request has to end with no answer: the client is gone, or the process ends.
pub(super) async fn interrupted(session: &mut Session, ticket: Option<&Ticket>) -> Error {
    let over = async {
        match ticket {
            Some(ticket) => ticket.over().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = client_gone(session) => gone(),
        () = over => shutdown::over(),
    }
}

/// Resolves when the client is gone; pending while it waits for its answer.
pub(super) async fn client_gone(session: &mut Session) {
    let _ = session.downstream_session.read_body_or_idle(true).await;
}

/// What the rules of attempts see of the world.
pub(super) struct Sight<'s> {
    gateway: &'s Gateway,
    x: &'s Exchange,
    plan: &'s Plan,
}

pub(super) fn sight<'s>(gateway: &'s Gateway, x: &'s Exchange) -> Result<Sight<'s>> {
    let plan = x.plan.as_ref().ok_or_else(|| Error::internal("no plan"))?;
    Ok(Sight { gateway, x, plan })
}

impl View for Sight<'_> {
    fn standing(&self, index: usize) -> Standing {
        let tokens = self.x.parsed.as_ref().map_or(0, |parsed| parsed.reserve_tokens());
        let vital = self.plan.vitals.get(index);
        vital.map_or(Standing::Good, |vital| vital.standing(tokens, self.gateway.clock.now_ms()))
    }

    fn is_longer(&self, index: usize, than: usize) -> bool {
        let window = |index: usize| self.plan.targets.get(index)?.info.as_ref()?.context_tokens;
        match (window(index), window(than)) {
            (Some(longer), Some(shorter)) => longer > shorter,
            _ => false,
        }
    }

    fn may_retry(&self) -> bool {
        let may = self.x.live.board.budget.may_retry(self.gateway.clock.now_ms());
        if !may {
            self.gateway.telemetry.retry_refused();
        }
        may
    }

    fn chance(&self) -> u64 {
        // The last bits of a UUIDv7 are random.
        self.x.request_id.as_u64_pair().1 >> 8
    }
}
