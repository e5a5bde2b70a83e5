//! The line before an endpoint whose places are taken: who waits there, in turn of their tenants, and
//! for how long at most. While an endpoint has no limit, known or learnt, nobody comes by here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::runtime::{Deployment, Queue, Tenant};
use crate::error::{Error, Kind, Result, Retry};
use crate::limit::clock::{Clock, whole_ms};
use crate::route::board::Endpoint;
use crate::route::fair::{Entry, FairQueue, Settings, Ticket};
use crate::route::places::Places;

/// More than anybody has.
const UNLIMITED: u32 = u32::MAX;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Line {
    endpoint: Arc<Endpoint>,
    patience: Duration,
    clock: Clock,
    /// There is a limit.
    is_scarce: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    places: Places,
    queue: FairQueue,
    waiters: HashMap<Ticket, oneshot::Sender<()>>,
}

/// A place at the endpoint; gone, the next one has it.
#[derive(Debug)]
pub(crate) struct Place {
    line: Option<Arc<Line>>,
}

impl Line {
    pub(crate) fn new(deployment: &Deployment, endpoint: Arc<Endpoint>, clock: Clock) -> Self {
        let Queue { waiting, patience } = deployment.queue;
        let places = Places::new(deployment.max_concurrency);
        let settings = Settings {
            capacity: places.most().unwrap_or(UNLIMITED),
            most_waiting: waiting,
            most_waiting_per_tenant: waiting,
        };
        Self {
            endpoint,
            patience,
            clock,
            is_scarce: AtomicBool::new(places.most().is_some()),
            state: Mutex::new(State { places, queue: FairQueue::new(settings), waiters: HashMap::new() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, at once or in turn; an error where it would take too long.
    pub(crate) async fn enter(self: &Arc<Self>, tenant: &Tenant, within: Duration) -> Result<Place> {
        if !self.is_scarce.load(Ordering::Relaxed) {
            return Ok(Place { line: None });
        }
        let patience = self.patience.min(within);
        let (ticket, turn) = match self.ask(tenant, patience) {
            Ok(Some(waiting)) => waiting,
            Ok(None) => return Ok(Place { line: Some(Arc::clone(self)) }),
            Err(retry_after_ms) => return Err(taken(retry_after_ms)),
        };
        let waiting = Waiting { line: self, ticket: Some(ticket) };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(())) => Ok(waiting.served()),
            _ => Err(taken(1_000)),
        }
    }

    /// Asks the queue: a ticket to wait with, a place, or when to come back.
    fn ask(&self, tenant: &Tenant, patience: Duration) -> Result<Option<(Ticket, oneshot::Receiver<()>)>, u64> {
        let (now_ms, name) = (self.clock.now_ms(), Arc::from(tenant.id.as_str()));
        let mut state = self.state();
        let entry = state.queue.enter(&name, tenant.weight, now_ms, now_ms.saturating_add(whole_ms(patience)));
        self.note(&state);
        match entry {
            Entry::Admitted => Ok(None),
            Entry::Refused { retry_after_ms } => Err(retry_after_ms),
            Entry::Waiting(ticket) => {
                let (wake, turn) = oneshot::channel();
                state.waiters.insert(ticket.clone(), wake);
                Ok(Some((ticket, turn)))
            }
        }
    }

    /// The endpoint refused one for its limits that was sent at `sent_ms`.
    pub(crate) fn refused(&self, sent_ms: u64) {
        let mut state = self.state();
        state.places.refused(self.endpoint.in_flight(), sent_ms, self.clock.now_ms());
        self.fit(&mut state);
    }

    /// It answered one.
    pub(crate) fn answered(&self) {
        if self.is_scarce.load(Ordering::Relaxed) {
            let mut state = self.state();
            let before = state.places;
            state.places.answered(self.clock.now_ms());
            if state.places.most() != before.most() {
                self.fit(&mut state);
            }
        }
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        if self.is_scarce.load(Ordering::Relaxed) { self.state().queue.waiting() } else { 0 }
    }

    /// Places there are; none is any number.
    pub(crate) fn most(&self) -> Option<u32> {
        self.state().places.most()
    }

    fn fit(&self, state: &mut State) {
        let most = state.places.most();
        self.is_scarce.store(most.is_some() || state.queue.waiting() > 0, Ordering::Relaxed);
        let woken = state.queue.set_capacity(most.unwrap_or(UNLIMITED), self.clock.now_ms());
        woken.into_iter().for_each(|ticket| self.wake(state, Some(ticket)));
        self.note(state);
    }

    /// Lets others be chosen first while nobody gets in here at once.
    fn note(&self, state: &State) {
        self.endpoint.set_full(state.places.most().is_some_and(|most| state.queue.running() >= most));
    }

    /// Gives a place to whom it was granted; to the next, where that one is gone.
    fn wake(&self, state: &mut State, mut ticket: Option<Ticket>) {
        while let Some(granted) = ticket {
            if let Some(waiter) = state.waiters.remove(&granted) {
                // One who no longer listens gives the place back when it is dropped.
                let _ = waiter.send(());
                return;
            }
            ticket = state.queue.leave(self.clock.now_ms());
        }
    }

    fn leave(&self) {
        let mut state = self.state();
        let next = state.queue.leave(self.clock.now_ms());
        self.wake(&mut state, next);
        self.note(&state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.leave();
        }
    }
}

/// One who waits, and stops waiting when dropped.
struct Waiting<'l> {
    line: &'l Arc<Line>,
    ticket: Option<Ticket>,
}

impl Waiting<'_> {
    fn served(mut self) -> Place {
        self.ticket = None;
        Place { line: Some(Arc::clone(self.line)) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut state = self.line.state();
        let was_waiting = state.waiters.remove(&ticket).is_some();
        // Granted and not taken: it goes to the next.
        if !state.queue.give_up(&ticket) && !was_waiting {
            let next = state.queue.leave(self.line.clock.now_ms());
            self.line.wake(&mut state, next);
        }
        self.line.note(&state);
    }
}

/// Not the caller's own limit, but theirs to wait for.
fn taken(retry_after_ms: u64) -> Error {
    Error::new(
        Kind::RateLimited,
        "the provider of this model has no place free: others are in line before this request",
    )
    .with_retry(Retry::NextTarget)
    .with_retry_after(Duration::from_millis(retry_after_ms.max(1)))
}

#[cfg(test)]
mod tests;
