//! The line before an endpoint whose places are taken: who waits there, in turn of their tenants, and
//! for how long at most. While an endpoint has no limit, known or learnt, nobody comes by here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::runtime::{Deployment, Queue, Tenant};
use crate::error::{Error, Kind, Result, Retry};
use crate::limit::clock::{Clock, whole_ms};
use crate::route::board::Endpoint;
use crate::route::fair::{Entry, FairQueue, Settings, Ticket};
use crate::route::places::Places;
use crate::route::vital::{Run, Vital};

/// Models with lines of their own, at one endpoint.
const MOST_MODELS: usize = 256;
/// More than anybody has.
const UNLIMITED: u32 = u32::MAX;

/// The lines of one endpoint: one before all of it, where the configuration says how much it takes, and
/// one before each model that has refused for its limits.
#[derive(Debug)]
pub(crate) struct Lines {
    whole: Arc<Line>,
    /// Of lines to come.
    queue: Mutex<Queue>,
    clock: Clock,
    /// There is one before a model.
    has_learnt: AtomicBool,
    models: Mutex<HashMap<String, Arc<Line>>>,
}

impl Lines {
    pub(crate) fn new(deployment: &Deployment, endpoint: Arc<Endpoint>, clock: Clock) -> Self {
        let (queue, places) = (deployment.queue, Places::new(deployment.max_concurrency));
        Self {
            whole: Arc::new(Line::new(Behind::Endpoint(endpoint), places, queue, clock)),
            queue: Mutex::new(queue),
            clock,
            has_learnt: AtomicBool::new(false),
            models: Mutex::default(),
        }
    }

    /// Takes what a reload changes. Who runs or waits keeps the place, and what was learnt holds on.
    pub(crate) fn set(&self, deployment: &Deployment) {
        let (most, queue) = (deployment.max_concurrency, deployment.queue);
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = queue;
        self.whole.set(most, queue);
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.values().for_each(|line| line.set(None, queue));
    }

    /// A place for a request of that model, at once or in turn; an error where it would take too long.
    pub(crate) async fn enter(&self, model: &str, tenant: &Tenant, within: Duration) -> Result<[Option<Place>; 2]> {
        let of_model = match self.learnt(model) {
            Some(line) => line.enter(tenant, within).await?,
            None => None,
        };
        Ok([of_model, self.whole.enter(tenant, within).await?])
    }

    /// A model refused one for its limits.
    pub(crate) fn refused(&self, run: &Run, model: &str) {
        let line = {
            let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
            if models.len() >= MOST_MODELS && !models.contains_key(model) {
                return;
            }
            let queue = *self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let new =
                || Arc::new(Line::new(Behind::Model(Arc::clone(run.vital())), Places::new(None), queue, self.clock));
            Arc::clone(models.entry(model.to_owned()).or_insert_with(new))
        };
        self.has_learnt.store(true, Ordering::Relaxed);
        line.refused(run.began_ms());
    }

    /// A model answered one.
    pub(crate) fn answered(&self, model: &str) {
        if let Some(line) = self.learnt(model) {
            line.answered();
        }
    }

    fn learnt(&self, model: &str) -> Option<Arc<Line>> {
        if !self.has_learnt.load(Ordering::Relaxed) {
            return None;
        }
        self.models.lock().unwrap_or_else(PoisonError::into_inner).get(model).cloned()
    }

    /// Requests that wait, in all its lines.
    pub(crate) fn waiting(&self) -> usize {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.values().map(|line| line.waiting()).sum::<usize>() + self.whole.waiting()
    }

    /// Places there are, as the configuration says; none is any number.
    pub(crate) fn most(&self) -> Option<u32> {
        self.whole.state().places.most()
    }
}

/// What a line is before.
#[derive(Debug)]
enum Behind {
    Endpoint(Arc<Endpoint>),
    Model(Arc<Vital>),
}

impl Behind {
    fn in_flight(&self) -> u32 {
        match self {
            Self::Endpoint(endpoint) => endpoint.in_flight(),
            Self::Model(vital) => vital.in_flight(),
        }
    }

    fn set_full(&self, full: bool) {
        match self {
            Self::Endpoint(endpoint) => endpoint.set_full(full),
            Self::Model(vital) => vital.set_full(full),
        }
    }
}

/// One line.
#[derive(Debug)]
struct Line {
    behind: Behind,
    patience_ms: AtomicU64,
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

/// A place; gone, the next one has it.
#[derive(Debug)]
pub(crate) struct Place {
    line: Arc<Line>,
}

impl Line {
    fn new(behind: Behind, places: Places, queue: Queue, clock: Clock) -> Self {
        let settings = Settings { capacity: places.most().unwrap_or(UNLIMITED), most_waiting: queue.waiting };
        Self {
            behind,
            patience_ms: AtomicU64::new(whole_ms(queue.patience)),
            clock,
            is_scarce: AtomicBool::new(places.most().is_some()),
            state: Mutex::new(State { places, queue: FairQueue::new(settings), waiters: HashMap::new() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, where they are scarce: at once or in turn.
    async fn enter(self: &Arc<Self>, tenant: &Tenant, within: Duration) -> Result<Option<Place>> {
        if !self.is_scarce.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let patience = Duration::from_millis(self.patience_ms.load(Ordering::Relaxed)).min(within);
        let (ticket, turn) = match self.ask(tenant, patience) {
            Ok(Some(waiting)) => waiting,
            Ok(None) => return Ok(Some(Place { line: Arc::clone(self) })),
            Err(retry_after_ms) => return Err(taken(retry_after_ms)),
        };
        let waiting = Waiting { line: self, ticket: Some(ticket) };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(())) => Ok(Some(waiting.served())),
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

    fn set(&self, most: Option<u32>, queue: Queue) {
        self.patience_ms.store(whole_ms(queue.patience), Ordering::Relaxed);
        let mut state = self.state();
        state.places.set_configured(most);
        state.queue.set_most_waiting(queue.waiting);
        self.fit(&mut state);
    }

    /// It refused one for its limits that was sent at `sent_ms`.
    fn refused(&self, sent_ms: u64) {
        let mut state = self.state();
        state.places.refused(self.behind.in_flight(), sent_ms, self.clock.now_ms());
        self.fit(&mut state);
    }

    fn answered(&self) {
        if self.is_scarce.load(Ordering::Relaxed) {
            let mut state = self.state();
            let before = state.places;
            state.places.answered(self.clock.now_ms());
            if state.places.most() != before.most() {
                self.fit(&mut state);
            }
        }
    }

    fn waiting(&self) -> usize {
        if self.is_scarce.load(Ordering::Relaxed) { self.state().queue.waiting() } else { 0 }
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
        self.behind.set_full(state.places.most().is_some_and(|most| state.queue.running() >= most));
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
        self.line.leave();
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
        Place { line: Arc::clone(self.line) }
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
