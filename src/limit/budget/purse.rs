//! Budgets over accounts: all that a request is paid from, looked at together.

use std::sync::{Arc, MutexGuard};

use super::account::{ALWAYS, Account, Book, Spend};
use super::event::{Crossed, Exhausted};
use super::period::Bounds;
use crate::config::budget::{Budget, Per, Period};
use crate::limit::Scope;

/// An account with the budgets that the present configuration puts on it.
#[derive(Debug)]
pub struct Purse {
    pub(super) scope: Scope,
    pub(super) budgets: Arc<[Budget]>,
    pub(super) account: Arc<Account>,
}

/// What every request of a key is paid from: its tenant's purse, then its own. Locked in this order,
/// before all others.
#[derive(Debug, Clone, Default)]
pub struct Purses(Arc<[Arc<Purse>]>);

/// What a request may use, held for it until it is settled. Dropped without that, all of it counts
/// as used.
#[derive(Debug)]
pub struct Reservation {
    always: Purses,
    /// Held in each of them.
    reserved: Spend,
    /// Those of models, of the user and of tags, and what is held in each: a model that was left holds
    /// what was held when it was asked.
    more: Vec<(Arc<Purse>, Spend)>,
    /// What was held before another target came, and in how many.
    #[cfg(feature = "proxy")]
    before: (Spend, Vec<Spend>),
    booked_ms: u64,
    settled: bool,
}

/// A budget as it stands.
#[derive(Debug, Clone)]
pub struct Balance {
    pub budget: Budget,
    pub spent: i128,
    pub reserved: i128,
    pub resets_at_ms: Option<u64>,
}

/// Which budgets may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those that end streams.
    Stopping,
}

impl Purse {
    pub(in crate::limit) const fn new(scope: Scope, budgets: Arc<[Budget]>, account: Arc<Account>) -> Self {
        Self { scope, budgets, account }
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether any budget stands on it.
    pub fn is_bounded(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// Whether both are of one account.
    #[cfg(feature = "proxy")]
    pub(in crate::limit) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.account, &other.account)
    }

    /// The counters behind its budgets at the store. A soft one beside a hard one has none of its own.
    #[cfg(feature = "proxy")]
    pub(in crate::limit) fn counters(
        &self,
        store: &crate::limit::shared::Shared,
        unix_ms: u64,
        mut each: impl FnMut(&Budget, Arc<crate::limit::shared::Counter>),
    ) {
        let mut book = self.account.lock();
        for budget in self.budgets.iter() {
            let is_same = |it: &&Budget| (it.unit, &it.period) == (budget.unit, &budget.period);
            if !budget.soft || !self.budgets.iter().filter(is_same).any(|it| !it.soft) {
                each(budget, book.counter(store, &self.scope, budget, unix_ms));
            }
        }
    }

    /// One of its budgets as it stands.
    #[cfg(feature = "proxy")]
    pub(in crate::limit) fn balance(&self, budget: &Budget, unix_ms: u64) -> Balance {
        Balance::of(budget, &mut self.account.lock(), unix_ms)
    }

    /// Every budget of it.
    pub fn balances(&self, unix_ms: u64) -> Vec<Balance> {
        let mut book = self.account.lock();
        self.budgets.iter().map(|budget| Balance::of(budget, &mut book, unix_ms)).collect()
    }

    /// What was used today and this month.
    pub(super) fn usage(&self, unix_ms: u64) -> [(Per, Spend, Bounds); 2] {
        let mut book = self.account.lock();
        ALWAYS.map(|per| {
            let (spent, bounds) = book.tally(&Period::plain(per), unix_ms);
            (per, spent, bounds)
        })
    }

    /// The hard budget that `want` does not fit into for the longest time. One that is used up refuses
    /// also those who want nothing, unless they are in already and want `more`.
    fn refusal(&self, book: &mut Book, want: Spend, more: bool, which: Which, unix_ms: u64) -> Option<Exhausted> {
        let hard = self.budgets.iter().filter(|budget| !budget.soft && (which == Which::All || budget.stop));
        let refusals = hard.filter_map(|budget| {
            let (spent, bounds) = book.tally(&budget.period, unix_ms);
            let (spent, reserved) = (spent.of(budget.unit), book.reserved().of(budget.unit));
            let (taken, wanted) = (spent.saturating_add(reserved), want.of(budget.unit));
            let fits = (more && wanted == 0) || (taken < budget.most && taken.saturating_add(wanted) <= budget.most);
            let exhausted = || Exhausted {
                scope: self.scope.clone(),
                budget: budget.clone(),
                spent,
                reserved,
                wanted,
                resets_at_ms: bounds.ends_ms,
            };
            (!fits).then(exhausted)
        });
        refusals.reduce(Exhausted::longer)
    }

    fn settle(&self, reserved: Spend, used: Spend, unix_ms: u64, crossed: &mut Vec<Crossed>) {
        if !self.is_bounded() && used == Spend::default() {
            return;
        }
        let mut book = self.account.lock();
        if self.is_bounded() {
            book.release(reserved);
        }
        if used == Spend::default() {
            return;
        }
        book.spend(used, unix_ms);
        #[cfg(feature = "proxy")]
        book.mark(used);
        for budget in self.budgets.iter() {
            let after = book.spent(&budget.period).of(budget.unit);
            let before = after.saturating_sub(used.of(budget.unit));
            #[cfg(feature = "proxy")]
            let (before, after) = book.marked(budget).unwrap_or((before, after));
            Crossed::between(&self.scope, budget, before, after, crossed);
        }
    }
}

impl Purses {
    /// The tenant's comes first.
    pub(in crate::limit) fn new(all: impl Iterator<Item = Arc<Purse>>) -> Self {
        Self(all.collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Purse>> {
        self.0.iter()
    }

    /// Whether any budget stands on them.
    pub fn are_bounded(&self) -> bool {
        self.0.iter().any(|purse| purse.is_bounded())
    }

    /// Holds `want` for a request, in all of these and of `more` or in none.
    pub fn reserve(&self, more: Vec<Arc<Purse>>, want: Spend, unix_ms: u64) -> Result<Reservation, Box<Exhausted>> {
        let mut held = Reservation {
            always: self.clone(),
            reserved: Spend::default(),
            more: Vec::new(),
            #[cfg(feature = "proxy")]
            before: Default::default(),
            booked_ms: unix_ms,
            settled: false,
        };
        if more.is_empty() && !self.are_bounded() {
            held.reserved = want;
            return Ok(held);
        }
        let done = held.hold(more, want, |_| want, (Which::All, true), unix_ms);
        held.settled = done.is_err();
        done.map(|()| held)
    }
}

impl Reservation {
    /// Another target may be asked, which may use `want`, `part` of it where it is not all: holds that where
    /// it is more than is held, and in the purses of `more` too, all or nothing.
    pub(in crate::limit) fn raise(
        &mut self,
        more: Vec<Arc<Purse>>,
        want: Spend,
        part: impl Fn(&Scope) -> Spend,
        unix_ms: u64,
    ) -> Result<(), Box<Exhausted>> {
        #[cfg(feature = "proxy")]
        let before = (self.reserved, self.more.iter().map(|(_, held)| *held).collect());
        self.hold(more, want, part, (Which::All, false), unix_ms)?;
        #[cfg(feature = "proxy")]
        {
            self.before = before;
        }
        Ok(())
    }

    /// An answer that runs has `used` that, `part` of it where it is not all: holds it where it is more than
    /// is held. Only budgets that end streams refuse.
    pub(in crate::limit) fn keep_up(
        &mut self,
        used: Spend,
        part: impl Fn(&Scope) -> Spend,
        unix_ms: u64,
    ) -> Result<(), Box<Exhausted>> {
        self.hold(Vec::new(), used, part, (Which::Stopping, false), unix_ms)
    }

    /// The last [`Self::raise`] was in vain: what is held is again what was held before it.
    #[cfg(feature = "proxy")]
    pub(in crate::limit) fn lower(&mut self) {
        let (reserved, more) = std::mem::take(&mut self.before);
        let over = self.reserved.less(reserved);
        self.always.0.iter().filter(|purse| purse.is_bounded()).for_each(|purse| purse.account.lock().release(over));
        self.reserved = reserved;
        for (nth, (purse, held)) in self.more.iter_mut().enumerate() {
            let before = more.get(nth).copied().unwrap_or_default();
            purse.account.lock().release(held.less(before));
            *held = before;
        }
        self.more.truncate(more.len());
    }

    /// Holds `want` of everything and `part` of what stands on a model, on a user or on a tag, where it is
    /// more than is held; those of `new` hold nothing yet.
    fn hold(
        &mut self,
        mut new: Vec<Arc<Purse>>,
        want: Spend,
        part: impl Fn(&Scope) -> Spend,
        (which, is_first): (Which, bool),
        unix_ms: u64,
    ) -> Result<(), Box<Exhausted>> {
        new.retain(|new| {
            new.is_bounded() && !self.more.iter().any(|(known, _)| Arc::ptr_eq(&known.account, &new.account))
        });
        let missing = |held: Spend, want: Spend| held.most(want).less(held);
        let all = missing(self.reserved, want);
        let known = self.more.iter().map(|(purse, held)| (purse, missing(*held, part(&purse.scope)), is_first));
        let mut later: Vec<(&Arc<Purse>, Spend, bool)> =
            known.chain(new.iter().map(|new| (new, part(&new.scope), true))).collect();
        if !is_first && all == Spend::default() && later.iter().all(|(_, more, is_new)| !is_new && *more == all) {
            return Ok(());
        }
        // Everybody locks in this order, or two could wait for each other.
        later.sort_by(|(a, ..), (b, ..)| a.scope.cmp(&b.scope));
        let always = self.always.0.iter().filter(|purse| purse.is_bounded()).map(|purse| (purse, all, is_first));
        let mut books: Vec<(&Purse, Spend, bool, MutexGuard<'_, Book>)> = always
            .chain(later)
            .map(|(purse, more, is_new)| (purse.as_ref(), more, is_new, purse.account.lock()))
            .collect();
        let refusals = books
            .iter_mut()
            .filter_map(|(purse, more, is_new, book)| purse.refusal(book, *more, !*is_new, which, unix_ms));
        if let Some(refusal) = refusals.reduce(Exhausted::longer) {
            return Err(Box::new(refusal));
        }
        books.iter_mut().for_each(|(_, more, _, book)| book.reserve(*more));
        drop(books);
        self.reserved = self.reserved.most(want);
        self.more.iter_mut().for_each(|(purse, held)| *held = held.most(part(&purse.scope)));
        self.more.extend(new.into_iter().map(|new| {
            let held = part(&new.scope);
            (new, held)
        }));
        Ok(())
    }

    /// Whether so much is held everywhere.
    pub(in crate::limit) fn covers(&self, used: Spend) -> bool {
        let all = std::iter::once(&self.reserved).chain(self.more.iter().map(|(_, held)| held));
        all.into_iter().all(|held| held.most(used) == *held)
    }

    /// All that it is held in, and how much.
    pub(in crate::limit) fn purses(&self) -> impl Iterator<Item = (&Arc<Purse>, Spend)> {
        let always = self.always.iter().map(|purse| (purse, self.reserved));
        always.chain(self.more.iter().map(|(purse, held)| (purse, *held)))
    }

    /// Whether everything is paid from it, whatever the model.
    #[cfg(feature = "proxy")]
    pub(in crate::limit) fn is_always(&self, purse: &Purse) -> bool {
        self.always.iter().any(|it| it.is_same(purse))
    }

    /// Whether one of its budgets ends streams.
    pub(in crate::limit) fn may_stop(&self) -> bool {
        let purses = self.always.iter().chain(self.more.iter().map(|(purse, _)| purse));
        purses.flat_map(|purse| purse.budgets.iter()).any(|budget| budget.stop)
    }

    /// Puts what was used in the place of what was held, and says which marks of budgets that passed.
    /// `part` is what of it a scope is charged with that not all of it is for. Counts once.
    pub fn settle(&mut self, used: Spend, part: impl Fn(&Scope) -> Spend, unix_ms: u64) -> Vec<Crossed> {
        let mut crossed = Vec::new();
        if !std::mem::replace(&mut self.settled, true) {
            self.always.iter().for_each(|purse| purse.settle(self.reserved, used, unix_ms, &mut crossed));
            for (purse, held) in &self.more {
                purse.settle(*held, part(&purse.scope), unix_ms, &mut crossed);
            }
        }
        crossed
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut crossed = Vec::new();
        if !std::mem::replace(&mut self.settled, true) {
            self.purses().for_each(|(purse, held)| purse.settle(held, held, self.booked_ms, &mut crossed));
        }
    }
}

impl Balance {
    fn of(budget: &Budget, book: &mut Book, unix_ms: u64) -> Self {
        let (spent, bounds) = book.tally(&budget.period, unix_ms);
        let (own, reserved) = (spent.of(budget.unit), book.reserved().of(budget.unit));
        #[cfg(feature = "proxy")]
        let all = book.used_by_all(budget, bounds).map(|used| used.saturating_sub(reserved));
        #[cfg(not(feature = "proxy"))]
        let all = None;
        Self {
            spent: all.map_or(own, |all| own.max(all)),
            reserved,
            resets_at_ms: bounds.ends_ms,
            budget: budget.clone(),
        }
    }

    /// Of one that nobody has used.
    pub(in crate::limit) fn unused(budget: &Budget, unix_ms: u64) -> Self {
        let resets_at_ms = Bounds::around(&budget.period, unix_ms).ends_ms;
        Self { spent: 0, reserved: 0, resets_at_ms, budget: budget.clone() }
    }

    /// What another request may use.
    pub fn remaining(&self) -> i128 {
        self.budget.most.saturating_sub(self.spent).saturating_sub(self.reserved).max(0)
    }

    /// The same in millionths of the budget.
    pub fn remaining_ppm(&self) -> u32 {
        let parts = self.remaining().saturating_mul(1_000_000).checked_div(self.budget.most);
        parts.and_then(|parts| u32::try_from(parts).ok()).unwrap_or_default()
    }
}
