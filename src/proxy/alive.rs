//! Signs of life for a client that waits for the next piece of its stream: proxies and load balancers
//! on the way cut connections on which nothing moves.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use pingora_proxy::Session;
use tokio::time::{Instant, Sleep, sleep_until};

use super::context::Exchange;
use super::{capture, hooks, stream};
use crate::error::Result;
use crate::stage::answer::Answer;
use crate::telemetry::Telemetry;

/// See the module documentation.
pub(super) struct Alive<'g> {
    telemetry: &'g Telemetry,
    every: Duration,
    last: Instant,
    /// None where the client waits in silence: its answer comes whole, or it wants no signs.
    timer: Option<Pin<Box<Sleep>>>,
    /// The head went out with the first sign.
    pub(super) head_is_out: bool,
}

impl<'g> Alive<'g> {
    pub(super) fn new(telemetry: &'g Telemetry, x: &Exchange) -> Self {
        let streams = x.passage.is_none() && x.parsed.as_ref().is_some_and(|parsed| parsed.stream);
        let every = x.plan.as_ref().and_then(|plan| plan.attempts.keepalive).filter(|_| streams);
        let last = x.started.into();
        let timer = every.map(|every| Box::pin(sleep_until(last + every)));
        Self { telemetry, every: every.unwrap_or_default(), last, timer, head_is_out: false }
    }

    /// Resolves when it is time for a sign; never for most.
    pub(super) async fn silent(&mut self) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().await,
            None => std::future::pending().await,
        }
    }

    /// Something else went out.
    pub(super) fn spoken(&mut self) {
        self.last = Instant::now();
    }

    /// Before the answer has begun, or while it waits to go on: the first time with the head. Another
    /// target may still be asked.
    pub(super) async fn sign(&mut self, session: &mut Session, x: &Exchange) -> Result<()> {
        if self.is_early() {
            return Ok(());
        }
        if x.end.first_byte.is_none() && !std::mem::replace(&mut self.head_is_out, true) {
            let head = hooks::early_head(x, stream::takes_chunks(session));
            capture::head(x, &head);
            session.downstream_session.write_response_header(Box::new(head.into())).await.map_err(super::body::gone)?;
        }
        self.telemetry.kept_alive();
        let array = x.parsed.as_ref().is_some_and(|parsed| parsed.array);
        stream::write(session, x, Answer::sign_of_life(x.dialect, array), false).await
    }

    /// The same within an answer that has begun: what it allows where it stands.
    pub(super) fn within(&mut self, answer: &mut Answer) -> Bytes {
        if self.is_early() {
            return Bytes::new();
        }
        let out = answer.keep_alive();
        if !out.is_empty() {
            self.telemetry.kept_alive();
        }
        out
    }

    /// Whether something went out in the meantime; the timer is set again in any case.
    fn is_early(&mut self) -> bool {
        let is_early = self.last.elapsed() < self.every;
        if !is_early {
            self.last = Instant::now();
        }
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(self.last + self.every);
        }
        is_early
    }
}
