//! Limits and budgets that hold for all replicas together, by leases from Redis or Valkey.
//!
//! # How it counts
//! A counter is known at the store by its key. A replica *draws* from it: it gets what a waiting
//! request needs, and, while the limit is far, a chunk more, which later requests are served from
//! without asking. Such a lease lives for a second at most ([`Counter`]); what is unspent goes back to
//! where it came from. Close to the limit nobody gets more than is needed. Where the store has nothing left and
//! others hold unspent leases, these are *recalled*: their holders give them back at their next call
//! (within [`TICK`]), and the request that wants them waits for that, for at most [`RECALL_PATIENCE`].
//!
//! All that a replica has to say is said in one call of one script ([`batch`]): draws of many
//! requests, what goes back, what was used beyond reservations. A request gets room in all of its
//! counters or takes nothing. There is at most one call of a replica under way; requests that come
//! meanwhile share the next.
//!
//! # What it promises
//! - *Windows*: the store never has more than `limit` units granted in any window. A unit is spent
//!   at most one lease after it was granted, so in any window of real time are admitted at most
//!   `limit` and what was leased in the last second before it began, which is at most half of what was
//!   left then. Charges of one slot (a sixtieth of the window) leave together, with the last.
//! - *Totals*: what is spent and leased never exceeds the limit. What requests use beyond their
//!   reservations is charged all the same. Leases of a replica that dies count as spent.
//! - *Places*: no more than `limit` are held. Those of a replica that was not heard of for ten seconds
//!   come free.
//! - A reply that is lost changes nothing: calls are numbered, and the next says which was lost, so
//!   that what it brought is not booked twice and what it granted comes back.
//!
//! # Without the store
//! The first failed call closes the door: no request waits for the store again until a call has
//! succeeded. Meanwhile each counter goes by its [`OnStoreLoss`]; what is used is remembered and
//! charged afterwards. See `docs/replicas.md`.

pub mod batch;
mod counter;
mod kind;
mod spent;
pub mod store;
mod task;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::clock::Clock;
use crate::config::runtime::OnStoreLoss;
use counter::{Origin, Took, Weather};
use store::Place;

pub use counter::{Counter, Standing};
pub use kind::Kind;
pub use task::Task;
pub use watch::{Drawn, Watch};

/// How often leases are looked after.
pub const TICK: Duration = Duration::from_millis(50);
/// The longest that a request waits for what others give back.
pub const RECALL_PATIENCE: Duration = Duration::from_millis(150);
/// The longest that a request waits for the store at all.
pub const PATIENCE: Duration = Duration::from_millis(300);
/// The longest that a process which ends takes to give back what it has leased.
const FAREWELL: Duration = Duration::from_secs(1);
/// Requests that wait for a call. More of them go by the policy for a lost store.
const MOST_WAITING: usize = 4_096;
/// When to come back where a store is missing.
const CLOSED_WAIT_MS: u64 = 1_000;
/// Counters are looked through for those that nobody has any more when there are twice as many.
const FIRST_PRUNE: usize = 1_024;

/// One for the process: its counters, and the way to the store.
pub struct Shared {
    clock: Clock,
    prefix: String,
    counters: Mutex<Book>,
    /// Counters that the task has to look after from now on.
    listed: Mutex<Vec<Arc<Counter>>>,
    wake: Notify,
    queue: mpsc::Sender<Draw>,
    is_up: AtomicBool,
    replicas: AtomicU64,
    on_loss: Mutex<OnStoreLoss>,
    watch: Arc<dyn Watch>,
}

#[derive(Debug, Default)]
struct Book {
    all: HashMap<Box<str>, Arc<Counter>>,
    next: u64,
    prune_at: usize,
}

/// One counter, and how much of it.
#[derive(Debug, Clone)]
pub struct Need {
    pub counter: Arc<Counter>,
    pub units: u64,
}

/// What a request has taken: of each of its needs, in their order. Dropping it gives places back; units
/// stay charged unless they are settled.
#[derive(Debug)]
pub struct Held {
    shared: Arc<Shared>,
    parts: Vec<Part>,
    /// Who asked has it. Before that, and where it is put back, nobody has used it: dropping it gives back all.
    is_delivered: bool,
}

#[derive(Debug)]
struct Part {
    counter: Arc<Counter>,
    units: u64,
    /// Still to be had from the store.
    lacking: u64,
    from: Origin,
    is_settled: bool,
}

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The need at this place has found its limit reached. `wait_ms`: `None` is never.
    Full { need: usize, wait_ms: Option<u64> },
    /// The store is gone, and without it this need is refused.
    Closed { need: usize, wait_ms: u64 },
}

/// A request that waits for a call.
struct Draw {
    held: Held,
    answer: oneshot::Sender<Answer>,
    asked_ms: u64,
}

enum Answer {
    Granted(Held),
    Refused(Refused),
    /// Nobody could be asked.
    Lost,
}

impl Shared {
    /// The counters, and the task that has to run for as long as they are used.
    pub fn new(place: Place, clock: Clock, watch: Arc<dyn Watch>) -> (Arc<Self>, Task) {
        let (queue, draws) = mpsc::channel(MOST_WAITING);
        let shared = Arc::new(Self {
            clock,
            prefix: place.prefix.clone(),
            counters: Mutex::default(),
            listed: Mutex::default(),
            wake: Notify::new(),
            queue,
            // Until the first attempt to connect has failed, requests may wait for it.
            is_up: AtomicBool::new(true),
            replicas: AtomicU64::new(1),
            on_loss: Mutex::default(),
            watch,
        });
        let task = Task::new(Arc::clone(&shared), place, draws);
        (shared, task)
    }

    /// What holds without the store for counters that say nothing else.
    pub fn set_on_loss(&self, on_loss: OnStoreLoss) {
        *self.on_loss.lock().unwrap_or_else(PoisonError::into_inner) = on_loss;
    }

    /// The counter with this id, limited like this from now on.
    pub fn counter(&self, id: &str, kind: Kind, on_loss: Option<OnStoreLoss>) -> Arc<Counter> {
        let key = format!("{}{id}", self.prefix);
        let mut book = self.counters();
        if let Some(known) = book.all.get(key.as_str()) {
            known.set(kind, on_loss);
            return Arc::clone(known);
        }
        if book.all.len() >= book.prune_at {
            book.all.retain(|_, counter| Arc::strong_count(counter) > 1 || !counter.is_idle());
            book.prune_at = book.all.len().saturating_mul(2).max(FIRST_PRUNE);
        }
        book.next += 1;
        let counter = Arc::new(Counter::new(key.as_str().into(), book.next, kind, on_loss));
        book.all.insert(key.into(), Arc::clone(&counter));
        counter
    }

    /// Whether the last call succeeded.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// How many share the limits, as far as is known.
    pub fn replicas(&self) -> u64 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Gives back everything that is leased and unspent: the last thing of a process.
    pub async fn hand_back(&self) {
        let mut all: Vec<_> = self.counters().all.values().cloned().collect();
        let deadline = tokio::time::Instant::now() + FAREWELL;
        loop {
            // There may be more than one call can tell.
            all.retain(|counter| counter.has_leases());
            if all.is_empty() || !self.is_up() || tokio::time::Instant::now() >= deadline {
                break;
            }
            for counter in &all {
                counter.recall(self.clock.now_ms());
                self.list(counter);
            }
            self.wake.notify_one();
            tokio::time::sleep(TICK / 10).await;
        }
    }

    /// Takes all of it or nothing. Waits only where leases do not suffice, and for at most [`PATIENCE`].
    pub async fn take(self: &Arc<Self>, needs: &[Need]) -> Result<Held, Refused> {
        let mut held = Held::new(self, needs);
        let is_up = self.is_up();
        let result = held.take_here(needs, self.weather(is_up));
        let (how, result) = match result {
            Err(refused) => {
                held.put_back();
                (refused.how(), Err(refused))
            }
            Ok(true) => (if is_up { Drawn::Leased } else { Drawn::Without }, Ok(held)),
            Ok(false) => self.draw(held, needs).await,
        };
        self.watch.drawn(how);
        result.map(Held::deliver)
    }

    async fn draw(self: &Arc<Self>, held: Held, needs: &[Need]) -> (Drawn, Result<Held, Refused>) {
        let (answer, answered) = oneshot::channel();
        let draw = Draw { held, answer, asked_ms: self.clock.now_ms() };
        let answer = match self.queue.try_send(draw) {
            Ok(()) => {
                tokio::time::timeout(PATIENCE, answered).await.map_or(Answer::Lost, |a| a.unwrap_or(Answer::Lost))
            }
            Err(full) => {
                full.into_inner().held.put_back();
                Answer::Lost
            }
        };
        match answer {
            Answer::Granted(held) => (Drawn::Granted, Ok(held)),
            Answer::Refused(refused) => (refused.how(), Err(refused)),
            Answer::Lost => self.take_without_store(needs),
        }
    }

    fn take_without_store(self: &Arc<Self>, needs: &[Need]) -> (Drawn, Result<Held, Refused>) {
        let mut held = Held::new(self, needs);
        match held.take_here(needs, self.weather(false)) {
            Ok(_) => (Drawn::Without, Ok(held)),
            Err(refused) => {
                held.put_back();
                (refused.how(), Err(refused))
            }
        }
    }

    fn weather(&self, is_up: bool) -> Weather {
        let now_ms = self.clock.now_ms();
        // Only asked for where it counts.
        let on_loss =
            if is_up { OnStoreLoss::default() } else { *self.on_loss.lock().unwrap_or_else(PoisonError::into_inner) };
        Weather { is_up, replicas: self.replicas(), now_ms, on_loss }
    }

    fn counters(&self) -> MutexGuard<'_, Book> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the task look after it.
    fn list(&self, counter: &Arc<Counter>) {
        if counter.wants_listing() {
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(counter));
        }
    }
}

impl Refused {
    fn how(self) -> Drawn {
        match self {
            Self::Full { .. } => Drawn::Refused,
            Self::Closed { .. } => Drawn::Closed,
        }
    }
}

impl Held {
    fn new(shared: &Arc<Shared>, needs: &[Need]) -> Self {
        Self { shared: Arc::clone(shared), parts: Vec::with_capacity(needs.len()), is_delivered: false }
    }

    fn deliver(mut self) -> Self {
        self.is_delivered = true;
        self
    }

    /// Takes what is here. Whether that is all; if not, the rest is lacking.
    fn take_here(&mut self, needs: &[Need], weather: Weather) -> Result<bool, Refused> {
        let mut is_all = true;
        for (place, need) in needs.iter().enumerate() {
            let (from, lacking) = match need.counter.take(need.units, weather) {
                Took::All(from) => (from, 0),
                Took::Part { units, from } => (from, need.units - units),
                Took::Full { wait_ms } => return Err(Refused::Full { need: place, wait_ms }),
                Took::Closed => return Err(Refused::Closed { need: place, wait_ms: CLOSED_WAIT_MS }),
            };
            is_all &= lacking == 0;
            self.shared.list(&need.counter);
            let counter = Arc::clone(&need.counter);
            self.parts.push(Part { counter, units: need.units, lacking, from, is_settled: false });
        }
        Ok(is_all)
    }

    /// Puts real use in the place of what was reserved, need by need in their order; what is not named
    /// stays as it is. Counts once.
    pub fn settle(&mut self, used: &[u64]) {
        let now_ms = self.shared.clock.now_ms();
        let mut is_awaited = false;
        for (part, used) in self.parts.iter_mut().zip(used) {
            if part.counter.is_place || std::mem::replace(&mut part.is_settled, true) {
                continue;
            }
            is_awaited |= part.counter.settle(part.from, part.units, *used, now_ms);
            self.shared.list(&part.counter);
        }
        if is_awaited {
            self.shared.wake.notify_one();
        }
    }

    /// Gives back the places that it takes while it runs. Counts once.
    pub fn leave(&mut self) {
        let now_ms = self.shared.clock.now_ms();
        let mut is_awaited = false;
        for part in self.parts.iter_mut().filter(|part| part.counter.is_place) {
            if !self.is_delivered || std::mem::replace(&mut part.is_settled, true) {
                continue;
            }
            is_awaited |= part.counter.release(part.units - part.lacking, now_ms);
            self.shared.list(&part.counter);
        }
        if is_awaited {
            self.shared.wake.notify_one();
        }
    }

    /// Charges so many more of the need at this place than were taken.
    pub fn charge_more(&mut self, need: usize, units: u64) {
        let Some(part) = self.parts.get_mut(need).filter(|part| !part.is_settled) else { return };
        part.units = part.units.saturating_add(units);
        if part.counter.charge_more(units, self.shared.clock.now_ms()) {
            self.shared.wake.notify_one();
        }
        self.shared.list(&part.counter);
    }

    /// The counter of the need at this place.
    pub fn counter(&self, need: usize) -> Option<&Counter> {
        self.parts.get(need).map(|part| &*part.counter)
    }

    /// Nothing of it was used, not even the request.
    pub fn put_back(mut self) {
        self.is_delivered = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let now_ms = self.shared.clock.now_ms();
        let mut is_awaited = false;
        for part in &self.parts {
            let here = part.units - part.lacking;
            is_awaited |= match self.is_delivered {
                true if part.counter.is_place && !part.is_settled => part.counter.release(here, now_ms),
                false if !part.is_settled && here > 0 => part.counter.put_back(part.from, here, now_ms),
                _ => continue,
            };
            self.shared.list(&part.counter);
        }
        if is_awaited {
            self.shared.wake.notify_one();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("is_up", &self.is_up())
            .field("replicas", &self.replicas())
            .finish_non_exhaustive()
    }
}
