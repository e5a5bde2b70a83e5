//! Waiting for an attempt's answer to begin: while the client is there, with signs of life for it, and
//! with a second attempt beside the first where a route wants one.

use std::convert::Infallible;
use std::future::pending;
use std::pin::{Pin, pin};
use std::time::Duration;

use http::request;
use pingora_proxy::Session;
use tokio::time::{Instant, sleep_until};

use super::alive::Alive;
use super::attempt::{Begun, Broken, Part, begin};
use super::connector::Leg;
use super::context::{Attempt, Exchange};
use super::relay::{self, interrupted, sight, written};
use super::{Gateway, hooks};
use crate::error::{Error, Result};
use crate::record::Why;
use crate::route::attempts::Attempts;
use crate::wire::pieces::Pieces;

/// Pooled connections that turn out dead before one byte came back.
const MAX_STALE: u32 = 2;

type Answered = Result<(Leg, Begun), Broken>;

/// Sends the exchange's attempt and waits until its answer proves good. The attempt stays in the
/// exchange, also where it fails; where a second one was faster, that one is there.
pub(super) async fn ask(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
    attempts: &mut Attempts,
    index: usize,
) -> Result<(Leg, Begun)> {
    let mut stale = 0;
    loop {
        let attempt = x.attempt.take().ok_or_else(|| Error::internal("no attempt runs"))?;
        let (mut attempt, answered) = once(gateway, session, x, alive, attempt, attempts, index).await;
        x.clock.spend(std::mem::take(&mut attempt.work));
        x.attempt = Some(attempt);
        match answered {
            Err(broken) if broken.is_stale && stale < MAX_STALE => stale += 1,
            other => return other.map_err(|broken| broken.error),
        }
    }
}

async fn once(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
    mut attempt: Attempt,
    attempts: &mut Attempts,
    index: usize,
) -> (Attempt, Answered) {
    let parts = match parts(session.req_header(), x, &attempt).await {
        Ok(parts) => parts,
        Err(error) => return (attempt, Err(error.into())),
    };
    let late = late(x, &attempt).map(|late| Instant::now() + late);
    let mut rival = None;
    let outcome = {
        let mut first = Box::pin(begin(gateway, x, &mut attempt, parts));
        let waited = match wait(session, x, alive, first.as_mut(), reached(late)).await {
            Ok(answered) => Ok(answered),
            // Too late by this route's own measure: the first goes on, also while another is made ready.
            Err(()) => {
                let client = session.req_header().clone();
                let second = Box::pin(second(gateway, &client, x, attempts, index));
                wait(session, x, alive, first.as_mut(), second).await
            }
        };
        match waited {
            Ok(answered) => Outcome { is_second: false, answered, other: None },
            Err(Some((other, attempt, parts))) => {
                attempts.take_beside(index, other);
                let rival = rival.insert(attempt);
                let second = Box::pin(begin(gateway, x, rival, parts));
                Box::pin(race(session, x, alive, first, second)).await
            }
            Err(None) => {
                let Ok(answered) = wait(session, x, alive, first.as_mut(), pending::<Infallible>()).await;
                Outcome { is_second: false, answered, other: None }
            }
        }
    };
    let Some(mut rival) = rival else { return (attempt, outcome.answered) };
    x.attempts += 1;
    if outcome.is_second {
        std::mem::swap(&mut attempt, &mut rival);
    }
    // The other was asked too, and will charge for it: it is on record before it is forgotten.
    gateway.lost(x, &mut rival, outcome.other.as_ref());
    (attempt, outcome.answered)
}

/// How a race ended.
struct Outcome {
    is_second: bool,
    answered: Answered,
    /// Why the other one failed, if it was over by then.
    other: Option<Error>,
}

/// A second attempt, where the rules allow one, and whose it is. Dropped before it is ready it was none.
async fn second(
    gateway: &Gateway,
    client: &request::Parts,
    x: &Exchange,
    attempts: &Attempts,
    index: usize,
) -> Option<(usize, Attempt, Vec<Part>)> {
    let other = attempts.beside(index, &sight(gateway, x).ok()?)?;
    gateway.limit_also(x, other).await.ok()?;
    let mut attempt = written(x, other, Why::Hedge).ok()?;
    // Nobody stands in line to be asked beside another.
    attempt.places = relay::places(x, &attempt, Duration::ZERO).await.ok()?;
    let parts = parts(client, x, &attempt).await.ok()?;
    attempt.run = relay::begin(gateway, x, other);
    gateway.foresee(x, &attempt).ok()?;
    Some((other, attempt, parts))
}

/// Waits for whichever of two begins to answer first; the other is dropped, which closes its
/// connection.
async fn race(
    session: &mut Session,
    x: &Exchange,
    alive: &mut Alive<'_>,
    mut first: Pin<Box<impl Future<Output = Answered> + Send>>,
    mut second: Pin<Box<impl Future<Output = Answered> + Send>>,
) -> Outcome {
    let mut failed: [Option<Error>; 2] = [None, None];
    loop {
        let (is_second, answered) = tokio::select! {
            biased;
            answered = first.as_mut(), if failed[0].is_none() => (false, answered),
            answered = second.as_mut(), if failed[1].is_none() => (true, answered),
            error = interrupted(session, x.ticket.as_ref()) => {
                return Outcome { is_second: false, answered: Err(error.into()), other: None };
            }
            () = alive.silent() => match alive.sign(session, x).await {
                Ok(()) => continue,
                Err(error) => return Outcome { is_second: false, answered: Err(error.into()), other: None },
            },
        };
        let [one, two] = &mut failed;
        let (own, other) = if is_second { (two, one) } else { (one, two) };
        match answered {
            Err(broken) if other.is_none() => *own = Some(broken.error),
            answered => return Outcome { is_second, answered, other: other.take() },
        }
    }
}

/// The provider's requests, written and signed. A credential that has to be fetched is waited for here.
async fn parts(client: &request::Parts, x: &Exchange, attempt: &Attempt) -> Result<Vec<Part>> {
    if !x.forwarded.is_some() {
        attempt.target.deployment.signer.ready().await?;
    }
    let prepared = &attempt.prepared;
    let earlier = prepared.earlier.iter().skip(attempt.earlier.len()).map(|body| body.clone().into());
    let bodies = earlier.chain([prepared.body.clone()]);
    let part = |body: Pieces| Ok(Part { head: hooks::request_head(x, attempt, client, &body)?, body });
    bodies.map(part).collect()
}

/// How long the first attempt has before a second one joins it.
fn late(x: &Exchange, attempt: &Attempt) -> Option<Duration> {
    let plan = x.plan.as_ref().filter(|plan| plan.attempts.hedge && !attempt.is_unheard)?;
    let route = plan.route.as_ref()?;
    x.live.board.route(&route.name)?.late_ms().map(Duration::from_millis)
}

/// Waits for an attempt, or for something else beside it: the error is what that gave, where it came first.
async fn wait<T>(
    session: &mut Session,
    x: &Exchange,
    alive: &mut Alive<'_>,
    mut work: Pin<&mut (impl Future<Output = Answered> + Send)>,
    other: impl Future<Output = T>,
) -> std::result::Result<Answered, T> {
    let mut other = pin!(other);
    loop {
        tokio::select! {
            biased;
            answered = work.as_mut() => return Ok(answered),
            error = interrupted(session, x.ticket.as_ref()) => return Ok(Err(error.into())),
            () = alive.silent() => if let Err(error) = alive.sign(session, x).await {
                return Ok(Err(error.into()));
            },
            other = other.as_mut() => return Err(other),
        }
    }
}

async fn reached(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
