//! One counter as a replica sees it: what it has leased, what it owes, what it knows of the store.
//!
//! All of it is under the counter's own lock, and moments are numbers handed in. Nothing here waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::{Entry, Seen};
use super::kind::Kind;
use super::spent::Spent;
use crate::config::runtime::OnStoreLoss;

/// A refusal is remembered for so long, so that a crowd at a full limit does not ask for each of its
/// requests. Room that others give back is found that much later.
const EMPTY_MS: u64 = 50;
/// After a recall everybody asks for exactly what is needed.
const STRICT_MS: u64 = 300;
/// A full house has no timetable: this is the wait we suggest.
const PLACES_WAIT_MS: u64 = 1_000;
/// Of the demand of a second: below the first a lease is refilled, up to the second.
const LOW_MS: u64 = 250;
const HIGH_MS: u64 = 500;

/// A counter of the store. One for each id in a process.
pub struct Counter {
    key: Box<str>,
    /// Of this process: cheaper to compare than the key.
    pub(super) number: u64,
    /// Its units are places, which come free by themselves.
    pub(super) is_place: bool,
    /// On the list of those that the task looks after.
    is_listed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    kind: Kind,
    /// `None`: as everybody's.
    on_loss: Option<OnStoreLoss>,
    /// What is leased and unspent, by the slot it came from; the first to come is the first to go.
    leased: VecDeque<Piece>,
    spare: u64,
    /// Places in use.
    running: u64,
    /// Charged here and not yet at the store.
    owed: u64,
    /// On its way back.
    due: Vec<(u64, u64)>,
    /// Carried by the call that is under way, and the same of one whose reply never came.
    in_call: Option<Deltas>,
    unsure: Option<(u64, Deltas)>,
    /// Has to be told to the store although nothing is due.
    is_changed: bool,
    /// What the store believes to be unspent here.
    told: u64,
    /// What is used, as the store last said.
    used: u64,
    /// The store may have forgotten; it has to be told that so much was used. 0 says nothing.
    floor: u64,
    /// The same as the call that is under way says it.
    floor_in_call: u64,
    seed: Option<u64>,
    /// The store did not know it, and was told this.
    seeded: Option<u64>,
    /// Of a total, used here since then, or since the counter is there.
    charged: u64,
    empty: Option<Empty>,
    strict_until_ms: u64,
    /// Spent since the task last looked, and how much that is in a second.
    demand: u64,
    rate: u64,
    spent: Spent,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    slot: u64,
    units: u64,
    until_ms: u64,
}

#[derive(Debug, Default)]
struct Deltas {
    owed: u64,
    due: Vec<(u64, u64)>,
}

/// The store had no room for this many.
#[derive(Debug, Clone, Copy)]
struct Empty {
    needed: u64,
    until_ms: u64,
    clears_at_ms: Option<u64>,
}

/// How the store is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) is_up: bool,
    pub(super) replicas: u64,
    pub(super) now_ms: u64,
    /// Where a counter says nothing else.
    pub(super) on_loss: OnStoreLoss,
}

/// The lease that units were taken from: units of a window that nobody used are spent by another only as
/// long as it lives, for the store counts them from then on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) slot: u64,
    pub(super) until_ms: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// All of it, out of this lease.
    All(Origin),
    /// That many are here, and the store has to be asked for the others.
    Part { units: u64, from: Origin },
    /// `None`: never again.
    Full { wait_ms: Option<u64> },
    /// The store is gone, and without it there is nothing to be had.
    Closed,
}

/// How a counter stands, as far as is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    pub remaining: u64,
}

impl Counter {
    pub(super) fn new(key: Box<str>, number: u64, kind: Kind, on_loss: Option<OnStoreLoss>) -> Self {
        let state = State {
            kind,
            on_loss,
            leased: VecDeque::new(),
            spare: 0,
            running: 0,
            owed: 0,
            due: Vec::new(),
            in_call: None,
            unsure: None,
            is_changed: false,
            told: 0,
            used: 0,
            floor: 0,
            floor_in_call: 0,
            seed: None,
            seeded: None,
            charged: 0,
            empty: None,
            strict_until_ms: 0,
            demand: 0,
            rate: 0,
            spent: Spent::default(),
        };
        let is_place = matches!(kind, Kind::Concurrency { .. });
        Self { key, number, is_place, is_listed: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Its key at the store.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn kind(&self) -> Kind {
        self.lock().kind
    }

    /// What a reload changes.
    pub(in crate::limit) fn set(&self, kind: Kind, on_loss: Option<OnStoreLoss>) {
        let mut state = self.lock();
        if state.kind != kind {
            state.empty = None;
        }
        (state.kind, state.on_loss) = (kind, on_loss);
    }

    /// What another request may use, by what the store last said.
    pub fn standing(&self) -> Standing {
        let state = self.lock();
        let limit = state.kind.limit();
        let remaining = limit.saturating_sub(state.used).saturating_add(state.spare).min(limit);
        Standing { limit, remaining }
    }

    /// What all replicas have used or hold for requests, by what the store last said.
    pub fn used_by_all(&self) -> u64 {
        let state = self.lock();
        state.used.saturating_sub(state.spare).saturating_add(state.owed)
    }

    /// So much was used of a total before anything was counted here, as books of another kind have it (what they
    /// have of [`Self::charged`] is not to be in it). A store that has none of it begins with that; one that was
    /// made to begin with less by this replica is told. What a store knows by itself counts, for it knows what
    /// others have used since.
    pub fn know(&self, used: u64) {
        let mut state = self.lock();
        state.used = state.used.max(used);
        if state.seeded.is_some_and(|seeded| seeded < used) {
            (state.seeded, state.floor) = (Some(used), state.floor.max(used));
            state.is_changed = true;
        }
    }

    /// What this process has used of a total and charges to the store itself, beyond what it told it to begin with.
    pub fn charged(&self) -> u64 {
        self.lock().charged
    }

    /// Charges more than was taken, there being no other way. Whether the store is waiting for it.
    pub(super) fn charge_more(&self, units: u64, now_ms: u64) -> bool {
        self.settle(Origin::default(), 0, units, now_ms)
    }

    /// Whether it has to be put on the list of those that the task looks after. Asked once, it is on it.
    pub(super) fn wants_listing(&self) -> bool {
        !self.is_listed.load(Ordering::Relaxed) && !self.is_listed.swap(true, Ordering::AcqRel)
    }

    /// Takes it off that list if nothing is left to do.
    pub(super) fn retire(&self) -> bool {
        let state = self.lock();
        let idle = state.is_idle();
        if idle {
            // Under the lock: who changes it afterwards lists it again.
            self.is_listed.store(false, Ordering::Release);
        }
        idle
    }

    /// Whether the store has all that is known here.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_idle()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every update is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, units: u64, weather: Weather) -> Took {
        self.lock().take(units, weather)
    }

    /// Undoes what was taken: nobody used it. Whether the store is waiting for it.
    pub(super) fn put_back(&self, from: Origin, units: u64, now_ms: u64) -> bool {
        let mut state = self.lock();
        if matches!(state.kind, Kind::Concurrency { .. }) {
            state.running = state.running.saturating_sub(units);
        }
        state.take_off(units);
        state.demand = state.demand.saturating_sub(units);
        state.keep(from, units, now_ms);
        now_ms < state.strict_until_ms
    }

    /// A draw was granted for what was missing, out of this slot.
    pub(super) fn granted(&self, slot: u64, units: u64, now_ms: u64) -> Origin {
        let mut state = self.lock();
        state.note(units, now_ms);
        state.empty = None;
        Origin { slot, until_ms: now_ms.saturating_add(state.kind.lease_ms()) }
    }

    /// A place comes free. Whether the store is waiting for it.
    pub(super) fn release(&self, units: u64, now_ms: u64) -> bool {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(units);
        state.keep(Origin::default(), units, now_ms);
        now_ms < state.strict_until_ms
    }

    /// Real use in the place of what was reserved. Whether the store is waiting for it.
    pub(super) fn settle(&self, from: Origin, reserved: u64, used: u64, now_ms: u64) -> bool {
        let mut state = self.lock();
        if let Some(unused) = reserved.checked_sub(used) {
            if unused > 0 {
                state.take_off(unused);
                state.keep(from, unused, now_ms);
            }
        } else {
            let more = used - reserved;
            state.note(more, now_ms);
            let here = more.min(state.spare);
            state.unlease(here);
            state.owed = state.owed.saturating_add(more - here);
        }
        now_ms < state.strict_until_ms
    }

    /// The store refused so many.
    pub(super) fn refused(&self, needed: u64, wait_ms: Option<u64>, now_ms: u64) {
        let clears_at_ms = wait_ms.map(|wait_ms| now_ms.saturating_add(wait_ms));
        let until_ms = clears_at_ms.unwrap_or(u64::MAX).min(now_ms.saturating_add(EMPTY_MS));
        self.lock().empty = Some(Empty { needed, until_ms, clears_at_ms });
    }

    /// Others wait for what is unspent here. Whether the store believes that there is something.
    pub(super) fn recall(&self, now_ms: u64) -> bool {
        let mut state = self.lock();
        state.strict_until_ms = now_ms.saturating_add(STRICT_MS);
        let has_some = state.spare > 0 || state.told > 0;
        state.is_changed |= has_some;
        has_some
    }

    /// Once in a tick: what was leased for too long goes back, and demand is measured.
    pub(super) fn tick(&self, since_ms: u64) {
        let mut state = self.lock();
        let fresh = state.demand.saturating_mul(1_000) / since_ms.max(1);
        state.demand = 0;
        // A single large request is no demand yet.
        state.rate = state.rate.saturating_mul(3).saturating_add(fresh) / 4;
    }

    /// What the next call says of it; nothing where nothing has changed and nobody asks (`is_asked`).
    pub(super) fn entry(&self, now_ms: u64, is_asked: bool) -> Option<Entry> {
        self.lock().entry(now_ms, is_asked)
    }

    /// The call came back, with so much granted beyond what requests needed. A store that `is_lost` may
    /// know less of a total than is known here.
    pub(super) fn answered(&self, seen: Seen, now_ms: u64, is_lost: bool) {
        let mut state = self.lock();
        let Some(used) = seen.used else {
            // The store does not know it, and took nothing.
            if let Some(deltas) = state.in_call.take() {
                state.take_again(deltas);
            }
            state.is_changed = true;
            return;
        };
        state.in_call = None;
        state.unsure = None;
        state.seed = None;
        if state.floor == std::mem::take(&mut state.floor_in_call) {
            state.floor = 0;
        }
        if is_lost && matches!(state.kind, Kind::Total { .. }) && state.used > used {
            state.floor = state.floor.max(state.used);
        } else {
            state.used = used;
        }
        state.is_changed |= state.floor > 0;
        if seen.extra > 0 {
            let until_ms = now_ms.saturating_add(state.kind.lease_ms());
            state.leased.push_back(Piece { slot: seen.slot, units: seen.extra, until_ms });
            state.spare = state.spare.saturating_add(seen.extra);
            state.told = state.told.saturating_add(seen.extra);
        }
    }

    /// The call did not come back: nobody knows whether it arrived.
    pub(super) fn lost(&self, seq: u64) {
        let mut state = self.lock();
        let deltas = state.in_call.take().unwrap_or_default();
        if state.unsure.is_none() {
            state.unsure = Some((seq, deltas));
        } else {
            state.take_again(deltas);
        }
    }

    /// The store has forgotten this replica, or (`is_lost`) everything.
    pub(super) fn resync(&self, is_lost: bool) {
        let mut state = self.lock();
        if is_lost && matches!(state.kind, Kind::Total { .. }) {
            state.floor = state.floor.max(state.used);
        }
        state.is_changed = state.is_changed || state.running > 0 || state.floor > 0;
        state.empty = None;
    }

    /// The store does not know it: it is told what is known here.
    pub(super) fn seed(&self) {
        let mut state = self.lock();
        state.seed = Some(state.used);
        state.seeded = state.seed;
        // What is owed still comes on top of it.
        state.charged = state.owed;
        state.is_changed = true;
    }

    /// Whether anything is leased, or on its way back, so that a process that ends would take it along.
    pub(super) fn has_leases(&self) -> bool {
        let state = self.lock();
        let is_told = state.in_call.is_none() && state.unsure.is_none();
        state.spare > 0 || state.told > 0 || state.owed > 0 || !state.due.is_empty() || !is_told
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.spare == 0
            && self.owed == 0
            && self.due.is_empty()
            && self.in_call.is_none()
            && self.unsure.is_none()
            && self.running == 0
            && self.rate == 0
            && self.demand == 0
            && !self.is_changed
    }

    fn take(&mut self, units: u64, weather: Weather) -> Took {
        if !weather.is_up {
            return self.take_without_store(units, weather);
        }
        let now_ms = weather.now_ms;
        if let Some(empty) = self.empty
            && now_ms < empty.until_ms
            && units.saturating_sub(self.spare) >= empty.needed
        {
            return Took::Full { wait_ms: empty.clears_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms).max(1)) };
        }
        self.expire(now_ms);
        let is_oversize = matches!(self.kind, Kind::Window { limit, .. } if units > limit);
        if is_oversize {
            // It fits into nothing but an unused window: what is leased here must not stand against it.
            self.strict_until_ms = now_ms.saturating_add(STRICT_MS);
        }
        if now_ms < self.strict_until_ms || self.spare == 0 {
            return Took::Part { units: 0, from: Origin::default() };
        }
        let here = units.min(self.spare);
        let from = self.unlease(here);
        self.note(here, now_ms);
        if here == units { Took::All(from) } else { Took::Part { units: here, from } }
    }

    fn take_without_store(&mut self, units: u64, weather: Weather) -> Took {
        let on_loss = self.on_loss.unwrap_or(weather.on_loss);
        if on_loss == OnStoreLoss::Closed {
            return Took::Closed;
        }
        let here = units.min(self.spare);
        if here < units && on_loss == OnStoreLoss::LastLease {
            match self.local_wait(units, weather) {
                None => {}
                Some(took) => return took,
            }
        }
        let from = self.unlease(here);
        self.note(units, weather.now_ms);
        if !matches!(self.kind, Kind::Concurrency { .. }) {
            self.owed = self.owed.saturating_add(units - here);
        }
        Took::All(from)
    }

    /// What stands against it without a store, beyond what is leased.
    fn local_wait(&mut self, units: u64, weather: Weather) -> Option<Took> {
        let share = self.kind.share(weather.replicas);
        match self.kind {
            Kind::Total { .. } => Some(Took::Closed),
            Kind::Concurrency { .. } => {
                let fits = self.running.saturating_add(units) <= share;
                (!fits).then_some(Took::Full { wait_ms: Some(PLACES_WAIT_MS) })
            }
            Kind::Window { length_ms, .. } => {
                let spent = self.spent.within(length_ms, weather.now_ms);
                let fits = spent.saturating_add(units) <= share || spent == 0;
                let wait_ms = self.spent.wait_ms(share.saturating_sub(units), length_ms, weather.now_ms);
                (!fits).then_some(Took::Full { wait_ms: Some(wait_ms) })
            }
        }
    }

    /// Takes units out of what is leased; where the last of them came from.
    fn unlease(&mut self, mut units: u64) -> Origin {
        let mut from = Origin::default();
        self.spare = self.spare.saturating_sub(units);
        while units > 0 {
            let Some(piece) = self.leased.front_mut() else { break };
            let part = units.min(piece.units);
            piece.units -= part;
            units -= part;
            from = Origin { slot: piece.slot, until_ms: piece.until_ms };
            if piece.units == 0 {
                self.leased.pop_front();
            }
        }
        from
    }

    /// So much is in use from now on.
    fn note(&mut self, units: u64, now_ms: u64) {
        self.demand = self.demand.saturating_add(units);
        match self.kind {
            Kind::Window { length_ms, .. } => self.spent.add(units, length_ms, now_ms),
            Kind::Concurrency { .. } => self.running = self.running.saturating_add(units),
            Kind::Total { .. } => self.charged = self.charged.saturating_add(units),
        }
    }

    /// So much of that was not used after all.
    fn take_off(&mut self, units: u64) {
        self.spent.take_off(units);
        self.charged = self.charged.saturating_sub(units);
    }

    /// Back among what is leased, where the next request finds it.
    fn keep(&mut self, from: Origin, units: u64, now_ms: u64) {
        // What was taken on credit was never leased.
        let paid = units.min(self.owed);
        self.owed -= paid;
        let units = units - paid;
        if units == 0 {
            return;
        }
        self.empty = None;
        let is_window = matches!(self.kind, Kind::Window { .. });
        if is_window && from.until_ms <= now_ms {
            self.due.push((from.slot, units));
            return;
        }
        let until_ms = if is_window { from.until_ms } else { now_ms.saturating_add(self.kind.lease_ms()) };
        self.spare = self.spare.saturating_add(units);
        // In the order in which they end.
        let place = self.leased.iter().position(|piece| piece.until_ms >= until_ms).unwrap_or(self.leased.len());
        match self.leased.get_mut(place) {
            Some(known) if known.slot == from.slot && known.until_ms == until_ms => known.units += units,
            _ => self.leased.insert(place, Piece { slot: from.slot, units, until_ms }),
        }
    }

    fn expire(&mut self, now_ms: u64) {
        let strict = now_ms < self.strict_until_ms;
        while let Some(piece) = self.leased.front() {
            if piece.until_ms > now_ms && !strict {
                break;
            }
            self.spare = self.spare.saturating_sub(piece.units);
            if matches!(self.kind, Kind::Concurrency { .. }) {
                self.is_changed = true;
            } else {
                self.due.push((piece.slot, piece.units));
            }
            self.leased.pop_front();
        }
    }

    fn wanted(&self, now_ms: u64) -> u64 {
        if now_ms < self.strict_until_ms || self.empty.is_some_and(|empty| now_ms < empty.until_ms) {
            return 0;
        }
        let worth = |ms: u64| self.rate.saturating_mul(ms.min(self.kind.lease_ms() / 2)) / 1_000;
        if self.spare >= worth(LOW_MS) { 0 } else { worth(HIGH_MS).saturating_sub(self.spare) }
    }

    fn entry(&mut self, now_ms: u64, is_asked: bool) -> Option<Entry> {
        self.expire(now_ms);
        let wanted = self.wanted(now_ms);
        let has_news = self.owed > 0 || !self.due.is_empty() || self.unsure.is_some() || self.is_changed;
        if !is_asked && wanted == 0 && !has_news {
            return None;
        }
        self.is_changed = false;
        self.told = self.spare;
        self.floor_in_call = self.floor;
        // What nobody knows to have arrived goes alone: it must be as it was, to the unit.
        let (lost_seq, owed, due) = match &self.unsure {
            Some((seq, deltas)) => (*seq, deltas.owed, deltas.due.clone()),
            None => {
                let deltas = Deltas { owed: std::mem::take(&mut self.owed), due: std::mem::take(&mut self.due) };
                let sent = (0, deltas.owed, deltas.due.clone());
                self.in_call = Some(deltas);
                sent
            }
        };
        Some(Entry {
            kind: self.kind,
            spare: self.spare,
            held: self.running.saturating_add(self.spare),
            owed,
            due,
            wanted,
            seed: self.seed,
            floor: self.floor,
            lost_seq,
        })
    }

    fn take_again(&mut self, deltas: Deltas) {
        self.owed = self.owed.saturating_add(deltas.owed);
        self.due.extend(deltas.due);
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("key", &self.key).finish_non_exhaustive()
    }
}
