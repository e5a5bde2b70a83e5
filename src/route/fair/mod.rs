//! A fair queue in front of one endpoint that takes only so many requests at a time.
//!
//! While a place is free, whoever comes gets it. Else requests wait, each tenant's in a line of its
//! own, and a place that comes free goes to the tenant that has had the least for its weight. What a
//! tenant floods the queue with only makes its own line longer.
//!
//! # How it is fair
//! Virtual time: every grant moves its tenant's mark on by one stride, divided by its weight, and the
//! smallest mark is next. The clock of the queue is the mark that was granted last. Who comes anew
//! starts there, so nobody saves up credit by staying away; who leaves its line empty keeps its mark
//! until the clock has passed it, so nobody is served out of turn by coming one at a time. When nobody
//! waits, everything is forgotten.
//!
//! # How it is bounded
//! The queue, each line, and what one tenant may take of the queue: as many places as it leaves free,
//! so that one alone fills half of it, two a third each, and a newcomer finds room. A request whose
//! turn cannot be expected to come before its deadline is refused at once, with the wait it would have
//! had. A call costs a few steps for each tenant that waits.
//!
//! # How to wire it
//! One lock around it, held for the call only. `enter` on arrival; whoever gets `Admitted` calls
//! `leave` when done. `leave` and `set_capacity` give back tickets: wake the task that holds each, it
//! has a place now and calls `leave` in its turn. A task that stops waiting (its deadline, its client)
//! calls `give_up`; if that says `false` and the task has been given a place meanwhile, it has to
//! `leave`.

mod rate;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rate::Rate;

/// How far a grant moves the mark of a tenant of weight 1. Divides well by small weights.
const STRIDE: u64 = 5_040 << 10;

/// What the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Requests at a time.
    pub capacity: u32,
    pub most_waiting: usize,
}

/// See the module documentation.
#[derive(Debug)]
pub struct FairQueue {
    settings: Settings,
    running: u32,
    waiting: usize,
    /// Those who wait, and those whose mark the clock has not passed.
    lines: BTreeMap<Arc<str>, Line>,
    /// The mark of the latest grant.
    clock: u64,
    latest_number: u64,
    rate: Rate,
}

/// The requests of one tenant, oldest first.
#[derive(Debug)]
struct Line {
    /// Never behind the clock while somebody waits.
    mark: u64,
    weight: u64,
    waiters: VecDeque<Waiter>,
    /// Some of its requests were refused: behind those who wait there are more.
    overflows: bool,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    deadline_ms: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It has a place.
    Admitted,
    /// It waits until its ticket is given out.
    Waiting(Ticket),
    /// It would wait in vain; after this time its turn would have come.
    Refused { retry_after_ms: u64 },
}

/// A place in a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ticket {
    tenant: Arc<str>,
    number: u64,
}

impl Line {
    fn new(mark: u64) -> Self {
        Self { mark, weight: 1, waiters: VecDeque::new(), overflows: false }
    }

    fn stride(&self) -> u64 {
        STRIDE / self.weight
    }

    /// Grants this line gets while the clock goes up to `mark`, that one included if it is a tie.
    fn grants_before(&self, mark: u64) -> u64 {
        let waiting = u64::try_from(self.waiters.len()).unwrap_or(u64::MAX);
        match mark.checked_sub(self.mark) {
            Some(ahead) if self.overflows && waiting > 0 => ahead / self.stride() + 1,
            Some(ahead) => waiting.min(ahead / self.stride() + 1),
            None => 0,
        }
    }
}

impl FairQueue {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            running: 0,
            waiting: 0,
            lines: BTreeMap::new(),
            clock: 0,
            latest_number: 0,
            rate: Rate::default(),
        }
    }

    /// A request arrives. `weight` is its tenant's share (0 counts as 1).
    pub fn enter(&mut self, tenant: &Arc<str>, weight: u32, now_ms: u64, deadline_ms: u64) -> Entry {
        // While there is room, nobody waits.
        if self.has_room() {
            self.start(now_ms);
            return Entry::Admitted;
        }
        let weight = u64::from(weight.max(1)).min(STRIDE);
        let wait_ms = self.expected_wait_ms(tenant, weight, now_ms);
        let fits = wait_ms.is_none_or(|wait_ms| fits(wait_ms, deadline_ms.saturating_sub(now_ms)));
        if !fits || self.is_full_for(tenant) {
            self.lines.get_mut(tenant).into_iter().for_each(|line| line.overflows = true);
            return Entry::Refused { retry_after_ms: wait_ms.unwrap_or(Rate::UNKNOWN_WAIT_MS).max(1) };
        }
        self.latest_number += 1;
        let number = self.latest_number;
        let clock = self.clock;
        let line = self.lines.entry(Arc::clone(tenant)).or_insert_with(|| Line::new(clock));
        line.weight = weight;
        line.overflows &= !line.waiters.is_empty();
        line.waiters.push_back(Waiter { number, deadline_ms });
        self.waiting += 1;
        Entry::Waiting(Ticket { tenant: Arc::clone(tenant), number })
    }

    /// A request that had a place is done. Whose ticket comes back has one now.
    pub fn leave(&mut self, now_ms: u64) -> Option<Ticket> {
        if self.running >= self.settings.capacity {
            self.rate.left(now_ms, self.settings.capacity);
        }
        self.running = self.running.saturating_sub(1);
        let next = self.next(now_ms);
        if self.has_room() {
            self.rate.rest();
        }
        next
    }

    /// A request stops waiting. `false`: it waits no more; either it was given a place, or its
    /// deadline was seen to have passed.
    pub fn give_up(&mut self, ticket: &Ticket) -> bool {
        let Some(line) = self.lines.get_mut(&ticket.tenant) else { return false };
        let Ok(at) = line.waiters.binary_search_by_key(&ticket.number, |waiter| waiter.number) else { return false };
        line.waiters.remove(at);
        self.waiting -= 1;
        self.forget();
        true
    }

    /// The endpoint takes more or less at a time. Whose tickets come back have places now; nobody
    /// loses one.
    pub fn set_capacity(&mut self, capacity: u32, now_ms: u64) -> Vec<Ticket> {
        self.settings.capacity = capacity;
        let admitted: Vec<Ticket> = std::iter::from_fn(|| self.next(now_ms)).collect();
        match self.has_room() {
            true => self.rate.rest(),
            false => self.rate.busy(now_ms),
        }
        admitted
    }

    /// Those who wait already go on waiting.
    pub fn set_most_waiting(&mut self, most_waiting: usize) {
        self.settings.most_waiting = most_waiting;
    }

    pub fn running(&self) -> u32 {
        self.running
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    fn has_room(&self) -> bool {
        self.running < self.settings.capacity
    }

    fn start(&mut self, now_ms: u64) {
        self.running += 1;
        if !self.has_room() {
            self.rate.busy(now_ms);
        }
    }

    /// Gives a free place to who is next, passing over those who have no use for it any more.
    fn next(&mut self, now_ms: u64) -> Option<Ticket> {
        while self.has_room() {
            let waiting = self.lines.iter_mut().filter(|(_, line)| !line.waiters.is_empty());
            let first = |line: &Line| line.waiters.front().map(|waiter| waiter.number);
            let (tenant, line) = waiting.min_by_key(|(_, line)| (line.mark, first(line)))?;
            let waiter = line.waiters.pop_front()?;
            self.waiting -= 1;
            let ticket = Ticket { tenant: Arc::clone(tenant), number: waiter.number };
            let in_time = now_ms < waiter.deadline_ms;
            if in_time {
                self.clock = line.mark;
                line.mark = line.mark.saturating_add(line.stride());
                self.start(now_ms);
            }
            self.forget();
            if in_time {
                return Some(ticket);
            }
        }
        None
    }

    /// Lines that nobody stands in are kept only while their mark says something.
    fn forget(&mut self) {
        if self.waiting == 0 {
            self.lines.clear();
            self.clock = 0;
        }
        self.lines.retain(|_, line| !line.waiters.is_empty() || line.mark > self.clock);
    }

    fn is_full_for(&self, tenant: &str) -> bool {
        let own = self.lines.get(tenant).map_or(0, |line| line.waiters.len());
        let free = self.settings.most_waiting.saturating_sub(self.waiting);
        own >= free
    }

    /// How long one more request of this tenant would wait: its turn is after everything with a
    /// smaller mark. `None`: nothing is known of the endpoint yet.
    fn expected_wait_ms(&self, tenant: &str, weight: u64, now_ms: u64) -> Option<u64> {
        let own = self.lines.get(tenant);
        let own_waiting = own.map_or(0, |line| line.waiters.len());
        let own_waiting = u64::try_from(own_waiting).unwrap_or(u64::MAX);
        let start = own.map_or(self.clock, |line| line.mark);
        let mark = start.saturating_add(own_waiting.saturating_mul(STRIDE / weight));
        let others = self.lines.iter().filter(|(name, _)| ***name != *tenant);
        let ahead: u64 = others.map(|(_, line)| line.grants_before(mark)).sum();
        self.rate.wait_ms(ahead + own_waiting + 1, now_ms)
    }
}

/// An average is exceeded half of the time: whoever waits to the last moment shall mostly get a place.
fn fits(wait_ms: u64, patience_ms: u64) -> bool {
    wait_ms.saturating_add(wait_ms / 8) <= patience_ms
}

#[cfg(test)]
mod tests;
