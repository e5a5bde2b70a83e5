//! What a request holds of limits and budgets that all replicas share.
//!
//! A request is first admitted by what this process counts itself, then by the store: what one replica
//! alone has used stands against it in any case, so the store is only asked for what may be had.
//! Everything in here is about the second step.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::admit::{Admission, Held, Place};
use super::budget::{Exhausted, Purse, Spend};
use super::clock::Moment;
use super::denial::{Denial, Lost, Refusal};
use super::gate::{Load, Short};
use super::scope::Scope;
use super::shared::batch::MOST_UNITS;
use super::shared::{self, Counter, Need, Refused, Shared};
use super::window::Level;
use crate::config::budget::{Budget, Unit};
use crate::config::limits::{Limited, Rate};

/// Pico-USD that the store counts as one unit: its numbers are exact up to 2^53, which so are nine
/// million dollars.
const PICO_USD_PER_UNIT: i128 = 1_000;

/// What was taken at once, and what for: in the order of the needs.
#[derive(Debug)]
struct Claim {
    held: shared::Held,
    whats: Vec<Claimed>,
}

#[derive(Debug, Clone)]
enum Claimed {
    Limit { scope: Scope, limited: Limited, wanted: u64 },
    Budget { purse: Arc<Purse>, budget: Budget, wanted: u64 },
}

/// All that a request has taken so far.
#[derive(Debug, Default)]
pub(super) struct Claims {
    all: Vec<Claim>,
    /// Of the places of its admission, the first so many are among them.
    places: usize,
}

/// What is still to be taken.
#[derive(Default)]
struct Open {
    needs: Vec<Need>,
    whats: Vec<Claimed>,
}

/// An amount of a budget in the store's units; what is used is rounded up.
fn units(unit: Unit, amount: i128) -> u64 {
    let whole = match unit {
        Unit::Tokens => amount,
        Unit::Usd => amount.saturating_add(PICO_USD_PER_UNIT - 1) / PICO_USD_PER_UNIT,
    };
    u64::try_from(whole.max(0)).unwrap_or(u64::MAX).min(MOST_UNITS)
}

/// What there is of a budget in the store's units; it is rounded down.
pub(super) fn limit_units(budget: &Budget) -> u64 {
    let whole = match budget.unit {
        _ if budget.soft => return MOST_UNITS,
        Unit::Tokens => budget.most,
        Unit::Usd => budget.most / PICO_USD_PER_UNIT,
    };
    u64::try_from(whole.max(0)).unwrap_or(u64::MAX).min(MOST_UNITS)
}

/// The store's units as an amount.
pub(super) fn amount(unit: Unit, units: u64) -> i128 {
    match unit {
        Unit::Tokens => units.into(),
        Unit::Usd => i128::from(units).saturating_mul(PICO_USD_PER_UNIT),
    }
}

pub(super) fn used_units(unit: Unit, used: i128) -> u64 {
    units(unit, used)
}

impl Claims {
    /// What of this counter was taken by now.
    fn taken(&self, purse: &Purse, budget: &Budget) -> u64 {
        let whats = self.all.iter().flat_map(|claim| &claim.whats);
        let taken = whats.filter_map(|what| match what {
            Claimed::Budget { purse: of, budget: known, wanted }
                if of.is_same(purse) && (known.unit, &known.period) == (budget.unit, &budget.period) =>
            {
                Some(*wanted)
            }
            _ => None,
        });
        taken.sum()
    }

    /// What the request needs beyond that.
    fn open(&self, held: &Held, shared: &Shared, at: Moment) -> Open {
        let mut open = Open::default();
        for place in held.places.iter().skip(self.places) {
            place.gate.counters(shared, |limited, counter| {
                // One that is used up refuses also those who want nothing; and what is used in the end is
                // charged only where something was taken.
                let wanted = match limited {
                    Limited::Concurrency if !place.runs => return,
                    Limited::Rate(rate) => place.reserved.of(rate.what).min(counter.kind().most_charged()).max(1),
                    Limited::Concurrency => 1,
                };
                let scope = place.gate.post.scope.clone();
                open.add(counter, wanted, Claimed::Limit { scope, limited, wanted });
            });
        }
        for (purse, reserved) in held.reservation.purses().filter(|(purse, _)| purse.is_bounded()) {
            purse.counters(shared, at.unix_ms, |budget, counter| {
                let wanted = units(budget.unit, reserved.of(budget.unit)).max(1);
                let missing = wanted.saturating_sub(self.taken(purse, budget));
                let (purse, budget) = (Arc::clone(purse), budget.clone());
                open.add(counter, missing, Claimed::Budget { purse, budget, wanted: missing });
            });
        }
        open
    }
}

impl Open {
    fn add(&mut self, counter: Arc<Counter>, units: u64, what: Claimed) {
        if units > 0 {
            self.needs.push(Need { counter, units });
            self.whats.push(what);
        }
    }
}

impl Admission {
    /// Takes from the store what was admitted here and not yet there: after [`super::KeyLimits::admit`], and
    /// after [`Self::also`]. The error says what has no room; then nothing more was taken, and what an
    /// `also` had added is given back, as where nobody waits for this any more.
    pub async fn share(&self, shared: &Arc<Shared>, at: Moment) -> Result<(), Refusal> {
        let open = {
            let held = self.held();
            held.claims.open(&held, shared, at)
        };
        if open.needs.is_empty() {
            return Ok(());
        }
        let mut asking = Asking { admission: self, at, is_granted: false };
        match shared.take(&open.needs).await {
            Ok(taken) => {
                asking.is_granted = true;
                let mut held = self.held();
                held.claims.places = held.places.len();
                held.see(&open);
                held.claims.all.push(Claim { held: taken, whats: open.whats });
                Ok(())
            }
            Err(refused) => {
                // Before the refusal is written: it says what others hold.
                drop(asking);
                Err(refusal(refused, &open, &self.held()))
            }
        }
    }

    /// What was added since the store last granted is given back.
    fn go_back(&self, at: Moment) {
        let mut held = self.held();
        let from = held.claims.places;
        held.places.drain(from..).for_each(|place| place.undo(at.now_ms));
        held.reservation.lower();
        self.may_stop.store(held.reservation.may_stop(), Ordering::Relaxed);
    }

    /// The limits as they stand for all replicas.
    pub fn standing_of_all(&self) -> super::Standing {
        let (own, seen) = (self.standing(), self.held().seen);
        seen.map_or(own, |seen| own.tighter(seen))
    }

    /// It was not let in after all: nothing of it stays charged, not even the request.
    pub fn undo(mut self, at: Moment) {
        self.set_settled();
        let held = self.held_mut();
        held.places.drain(..).for_each(|place| place.undo(at.now_ms));
        held.reservation.settle(Spend::default(), |_| Spend::default(), at.unix_ms);
        held.claims.all.drain(..).for_each(|claim| claim.held.put_back());
    }
}

/// The store is asked for what was added. Dropped before it has granted that, it is as if it had refused: who
/// asked may have gone, or may not need it any more.
struct Asking<'a> {
    admission: &'a Admission,
    at: Moment,
    is_granted: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_granted {
            self.admission.go_back(self.at);
        }
    }
}

impl Held {
    /// Remembers what the store said of limits, for the answer's headers.
    fn see(&mut self, open: &Open) {
        for (need, what) in open.needs.iter().zip(&open.whats) {
            let Claimed::Limit { limited: Limited::Rate(Rate { what, every }), .. } = what else { continue };
            let standing = need.counter.standing();
            let level = Level { limit: standing.limit, remaining: standing.remaining, reset_ms: every.length_ms() };
            self.seen.get_or_insert_default().see(*what, level);
        }
    }

    /// Gives back the places under `concurrency`.
    pub(super) fn leave_claims(&mut self) {
        self.claims.all.iter_mut().for_each(|claim| claim.held.leave());
    }

    /// Puts what was used in the place of what was taken.
    pub(super) fn settle_claims(&mut self, part: impl Fn(&Scope) -> (Load, Spend), all: Spend) {
        let mut paid: Vec<(Arc<Purse>, Unit, String)> = Vec::new();
        for Claim { held, whats } in &mut self.claims.all {
            let used = whats.iter().map(|what| match what {
                Claimed::Limit { limited: Limited::Concurrency, wanted, .. } => *wanted,
                Claimed::Limit { scope, limited: Limited::Rate(rate), .. } => part(scope).0.of(rate.what),
                Claimed::Budget { purse, budget, .. } => {
                    // All of it is charged where the first of it was taken.
                    let name = budget.name();
                    if paid.iter().any(|(of, unit, known)| of.is_same(purse) && (*unit, known) == (budget.unit, &name))
                    {
                        return 0;
                    }
                    let spent = if self.reservation.is_always(purse) { all } else { part(purse.scope()).1 };
                    paid.push((Arc::clone(purse), budget.unit, name));
                    units(budget.unit, spent.of(budget.unit))
                }
            });
            let used: Vec<u64> = used.collect();
            held.settle(&used);
        }
    }

    /// So much was used by an answer that runs, of each scope that serves it: budgets that end streams are
    /// charged with what is beyond what was taken. The error is one that has nothing left.
    pub(super) fn keep_up_claims(
        &mut self,
        part: impl Fn(&Scope) -> Spend,
        unix_ms: u64,
    ) -> Result<(), Box<Exhausted>> {
        let mut out: Option<Exhausted> = None;
        for place in 0..self.claims.all.len() {
            let Some(claim) = self.claims.all.get(place) else { break };
            let stopping: Vec<(usize, Arc<Purse>, Budget)> = (claim.whats.iter().enumerate())
                .filter_map(|(need, what)| match what {
                    Claimed::Budget { purse, budget, .. } if budget.stop => {
                        Some((need, Arc::clone(purse), budget.clone()))
                    }
                    _ => None,
                })
                .collect();
            for (need, purse, budget) in stopping {
                let wanted = units(budget.unit, part(purse.scope()).of(budget.unit));
                let more = wanted.saturating_sub(self.claims.taken(&purse, &budget));
                let Some(claim) = self.claims.all.get_mut(place) else { break };
                if more > 0 {
                    claim.held.charge_more(need, more);
                    if let Some(Claimed::Budget { wanted, .. }) = claim.whats.get_mut(need) {
                        *wanted = wanted.saturating_add(more);
                    }
                    let counter = claim.held.counter(need);
                    if counter.is_some_and(|counter| counter.used_by_all() > counter.kind().limit()) {
                        out =
                            Some(exhausted(&purse, &budget, wanted, counter.map_or(0, Counter::used_by_all), unix_ms));
                    }
                }
            }
        }
        out.map_or(Ok(()), |out| Err(Box::new(out)))
    }
}

impl Place {
    /// It was never there.
    fn undo(mut self, now_ms: u64) {
        self.gate.take_back(self.reserved, self.booked_ms, now_ms);
        self.leave();
    }
}

fn exhausted(purse: &Purse, budget: &Budget, wanted: u64, used: u64, unix_ms: u64) -> Exhausted {
    let balance = purse.balance(budget, unix_ms);
    Exhausted {
        scope: purse.scope().clone(),
        budget: budget.clone(),
        spent: amount(budget.unit, used).saturating_sub(balance.reserved).max(balance.spent),
        reserved: balance.reserved,
        wanted: amount(budget.unit, wanted),
        resets_at_ms: balance.resets_at_ms,
    }
}

fn refusal(refused: Refused, open: &Open, held: &Held) -> Refusal {
    let (place, wait_ms, is_lost) = match refused {
        Refused::Full { need, wait_ms } => (need, wait_ms, false),
        Refused::Closed { need, wait_ms } => (need, Some(wait_ms), true),
    };
    let wait_ms = wait_ms.unwrap_or(u64::MAX);
    let (Some(need), Some(what)) = (open.needs.get(place), open.whats.get(place)) else {
        return Refusal::Lost(Lost { wait_ms: 1_000 });
    };
    match what {
        _ if is_lost => Refusal::Lost(Lost { wait_ms }),
        Claimed::Limit { scope, limited, wanted } => {
            let (limit, used) = (need.counter.kind().limit(), need.counter.used_by_all());
            let short = Short { limited: *limited, limit, used, wanted: *wanted, wait_ms };
            let mut standing = held.seen.unwrap_or_default();
            if let Limited::Rate(rate) = limited {
                let remaining = limit.saturating_sub(used);
                standing.see(rate.what, Level { limit, remaining, reset_ms: rate.every.length_ms() });
            }
            Refusal::Limit(Denial::new(scope, short, standing))
        }
        Claimed::Budget { purse, budget, wanted } => {
            let unix_ms = super::clock::unix_ms();
            Refusal::Budget(Box::new(exhausted(purse, budget, *wanted, need.counter.used_by_all(), unix_ms)))
        }
    }
}

impl Admission {
    fn held_mut(&mut self) -> &mut Held {
        self.held.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
