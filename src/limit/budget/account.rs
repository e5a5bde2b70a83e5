//! What one scope has spent, and what those that run have reserved.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::period::Bounds;
#[cfg(feature = "proxy")]
use crate::config::budget::Budget;
use crate::config::budget::{Per, Period, Unit};
#[cfg(feature = "proxy")]
use crate::config::runtime::OnStoreLoss;
#[cfg(feature = "proxy")]
use crate::limit::shared::{self, Counter, Kind};
#[cfg(feature = "proxy")]
use crate::limit::{Scope, fleet};
use crate::usage::price::PicoUsd;
#[cfg(feature = "proxy")]
use std::sync::Arc;

/// Threads read the clock in another order than they get the lock. What is set back by more than
/// this was set back.
const DISORDER_MS: u64 = 60_000;

/// Periods that a tenant's and a key's usage is counted by, budget or not.
pub(super) const ALWAYS: [Per; 2] = [Per::Day, Per::Month];

/// Tokens of input and output, and their price as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spend {
    pub tokens: u64,
    pub cost: PicoUsd,
}

impl Spend {
    pub fn of(&self, unit: Unit) -> i128 {
        match unit {
            Unit::Usd => self.cost.0,
            Unit::Tokens => i128::from(self.tokens),
        }
    }

    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(more.tokens), cost: self.cost.saturating_add(more.cost) }
    }

    /// The larger of both, each for itself.
    #[must_use]
    pub(super) fn most(self, other: Self) -> Self {
        Self { tokens: self.tokens.max(other.tokens), cost: self.cost.max(other.cost) }
    }

    #[must_use]
    pub(super) const fn less(self, part: Self) -> Self {
        let cost = PicoUsd(self.cost.0.saturating_sub(part.cost.0));
        Self { tokens: self.tokens.saturating_sub(part.tokens), cost }
    }
}

/// The counters of one scope. They belong to the process and outlive any configuration.
#[derive(Debug, Default)]
pub(in crate::limit) struct Account(Mutex<Book>);

#[derive(Debug, Default)]
pub(super) struct Book {
    tallies: Vec<Tally>,
    /// Of requests that run. They are spent in the period in which they end.
    reserved: Spend,
    /// Since it was last kept.
    changed: bool,
    /// Of budgets that all replicas share, as far as somebody asked for it.
    #[cfg(feature = "proxy")]
    counters: Vec<Shared>,
}

/// A budget's counter at the store, in one period.
#[cfg(feature = "proxy")]
#[derive(Debug)]
struct Shared {
    unit: Unit,
    period: Period,
    begins_ms: u64,
    kind: Kind,
    on_loss: Option<OnStoreLoss>,
    counter: Arc<Counter>,
    /// Used here of the counter before this account was there: one that was forgotten and is seen again.
    charged_before: u64,
    /// What all had used when marks were looked at the time before the last, and the last time.
    marked: Option<(i128, i128)>,
}

#[cfg(feature = "proxy")]
impl Shared {
    /// So much was used in the period, what this process has used of the counter before now included.
    fn know(&self, spent: Spend) {
        let used = fleet::used_units(self.unit, spent.of(self.unit));
        self.counter.know(used.saturating_sub(self.charged_before));
    }
}

/// What was spent in the present period of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) period: Period,
    pub(super) bounds: Bounds,
    pub(super) spent: Spend,
    /// What was spent before this moment is not known here. `None`: all of it is.
    pub(super) known_from_ms: Option<u64>,
}

impl Account {
    pub(super) fn lock(&self) -> MutexGuard<'_, Book> {
        // Every update is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn new(period: Period, unix_ms: u64) -> Self {
        let bounds = Bounds::around(&period, unix_ms);
        Self { period, bounds, spent: Spend::default(), known_from_ms: Some(unix_ms) }
    }

    fn advance(&mut self, unix_ms: u64) {
        if self.bounds.holds(unix_ms) {
            return;
        }
        match self.bounds.begins_ms.checked_sub(unix_ms) {
            Some(early_ms) if early_ms < DISORDER_MS => return,
            // The clock was wrong and is not any more: nothing spent is forgotten over that.
            Some(_) => {}
            None => (self.spent, self.known_from_ms) = (Spend::default(), None),
        }
        self.bounds = Bounds::around(&self.period, unix_ms);
    }
}

impl Book {
    /// The tally of a kind of period as it stands; from now on there is one.
    pub(super) fn tally(&mut self, period: &Period, unix_ms: u64) -> (Spend, Bounds) {
        if let Some(known) = self.tallies.iter_mut().find(|tally| tally.period == *period) {
            known.advance(unix_ms);
            return (known.spent, known.bounds);
        }
        let new = Tally::new(period.clone(), unix_ms);
        let found = (new.spent, new.bounds);
        self.tallies.push(new);
        found
    }

    /// What was spent in the period that the tally is about.
    pub(super) fn spent(&self, period: &Period) -> Spend {
        self.tallies.iter().find(|tally| tally.period == *period).map_or_else(Spend::default, |tally| tally.spent)
    }

    /// Tallies of which it is not known what was spent before they began to count.
    pub(super) fn unknown(&self, unix_ms: u64) -> impl Iterator<Item = (&Tally, u64)> {
        let running = self.tallies.iter().filter(move |tally| !tally.bounds.is_over(unix_ms));
        running.filter_map(|tally| Some((tally, tally.known_from_ms?)))
    }

    /// Adds what was spent before a tally began to count. Nothing is added twice, nor to another period.
    pub(super) fn add_before(&mut self, period: &Period, begins_ms: u64, spent: Spend) -> bool {
        let known = self.tallies.iter_mut().find(|tally| tally.period == *period);
        let Some(tally) = known.filter(|tally| tally.bounds.begins_ms == begins_ms) else { return false };
        if tally.known_from_ms.take().is_none() {
            return false;
        }
        tally.spent = tally.spent.plus(spent);
        self.changed = true;
        #[cfg(feature = "proxy")]
        for known in self.counters.iter().filter(|it| it.period == *period && it.begins_ms == begins_ms) {
            known.know(spent);
        }
        true
    }

    /// The counter of a budget at the store, in the present period.
    #[cfg(feature = "proxy")]
    pub(super) fn counter(
        &mut self,
        store: &shared::Shared,
        scope: &Scope,
        budget: &Budget,
        unix_ms: u64,
    ) -> Arc<Counter> {
        let (spent, bounds) = self.tally(&budget.period, unix_ms);
        let kind = Kind::Total { limit: fleet::limit_units(budget), ends_at_ms: bounds.ends_ms };
        let on_loss = if budget.soft { Some(OnStoreLoss::Open) } else { budget.on_store_loss };
        let known = self.counters.iter_mut().find(|it| it.unit == budget.unit && it.period == budget.period);
        match known {
            Some(it) if it.begins_ms == bounds.begins_ms => {
                if (it.kind, it.on_loss) != (kind, on_loss) {
                    // What was spent since the period began is at the store: it is not told again.
                    it.counter.set(kind, on_loss);
                    (it.kind, it.on_loss) = (kind, on_loss);
                }
                Arc::clone(&it.counter)
            }
            known => {
                let id = format!("{}:{}", scope.account(budget), bounds.begins_ms);
                let counter = store.counter(&id, kind, on_loss);
                let new = Shared {
                    unit: budget.unit,
                    period: budget.period.clone(),
                    begins_ms: bounds.begins_ms,
                    kind,
                    on_loss,
                    charged_before: counter.charged(),
                    counter: Arc::clone(&counter),
                    marked: None,
                };
                new.know(spent);
                match known {
                    Some(it) => *it = new,
                    None => self.counters.push(new),
                }
                counter
            }
        }
    }

    /// What all replicas have used of a budget or hold for requests; nothing where none is shared.
    #[cfg(feature = "proxy")]
    pub(super) fn used_by_all(&self, budget: &Budget, bounds: Bounds) -> Option<i128> {
        let known = self.counters.iter().find(|it| it.unit == budget.unit && it.period == budget.period);
        let known = known.filter(|it| it.begins_ms == bounds.begins_ms)?;
        Some(fleet::amount(budget.unit, known.counter.used_by_all()))
    }

    /// That was just settled here: looks at what all have used by now, once for all budgets on a counter.
    #[cfg(feature = "proxy")]
    pub(super) fn mark(&mut self, settled: Spend) {
        for it in &mut self.counters {
            let own = fleet::amount(it.unit, fleet::used_units(it.unit, settled.of(it.unit)));
            let reserved = self.reserved.of(it.unit);
            let used = fleet::amount(it.unit, it.counter.used_by_all()).saturating_sub(reserved).max(0);
            let before = it.marked.map_or_else(|| used.saturating_sub(own).max(0), |(_, last)| last);
            it.marked = Some((before, used));
        }
    }

    /// What all had used before the last [`Self::mark`], and then; nothing where it is not shared.
    #[cfg(feature = "proxy")]
    pub(super) fn marked(&self, budget: &Budget) -> Option<(i128, i128)> {
        self.counters.iter().find(|it| it.unit == budget.unit && it.period == budget.period)?.marked
    }

    pub(super) fn reserved(&self) -> Spend {
        self.reserved
    }

    pub(super) fn reserve(&mut self, more: Spend) {
        self.reserved = self.reserved.plus(more);
    }

    pub(super) fn release(&mut self, reserved: Spend) {
        self.reserved = self.reserved.less(reserved);
    }

    pub(super) fn spend(&mut self, used: Spend, unix_ms: u64) {
        for tally in &mut self.tallies {
            // What was held since an earlier period says nothing against the clock.
            tally.advance(unix_ms.max(tally.bounds.begins_ms));
            tally.spent = tally.spent.plus(used);
        }
        self.changed = true;
    }

    /// Whether it changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What is worth keeping.
    pub(super) fn live(&self, unix_ms: u64) -> impl Iterator<Item = &Tally> {
        self.tallies.iter().filter(move |tally| tally.spent != Spend::default() && !tally.bounds.is_over(unix_ms))
    }

    /// Puts back what was kept.
    pub(super) fn restore(&mut self, kept: Tally) {
        match self.tallies.iter_mut().find(|tally| tally.period == kept.period) {
            Some(known) => *known = kept,
            None => self.tallies.push(kept),
        }
    }
}
