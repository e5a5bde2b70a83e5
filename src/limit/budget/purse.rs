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
    /// Those of models, of the user and of tags, in the order of their scopes.
    more: Vec<Arc<Purse>>,
    reserved: Spend,
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
pub(in crate::limit) enum Which {
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
        let always = self.clone();
        let mut held =
            Reservation { always, more: Vec::new(), reserved: Spend::default(), booked_ms: unix_ms, settled: false };
        if more.is_empty() && !self.are_bounded() {
            held.reserved = want;
            return Ok(held);
        }
        let done = held.hold(more, want, (Which::All, true), unix_ms);
        held.settled = done.is_err();
        done.map(|()| held)
    }
}

impl Reservation {
    /// Holds `want` in all, if that is more than is held, and in the purses of `more` too: all or
    /// nothing.
    pub(in crate::limit) fn raise(
        &mut self,
        more: Vec<Arc<Purse>>,
        want: Spend,
        which: Which,
        unix_ms: u64,
    ) -> Result<(), Box<Exhausted>> {
        self.hold(more, want, (which, false), unix_ms)
    }

    fn hold(
        &mut self,
        mut new: Vec<Arc<Purse>>,
        want: Spend,
        (which, is_first): (Which, bool),
        unix_ms: u64,
    ) -> Result<(), Box<Exhausted>> {
        new.retain(|new| new.is_bounded() && !self.more.iter().any(|known| Arc::ptr_eq(&known.account, &new.account)));
        let all = self.reserved.most(want);
        let missing = all.less(self.reserved);
        if !is_first && new.is_empty() && missing == Spend::default() {
            return Ok(());
        }
        // Everybody locks in this order, or two could wait for each other.
        let mut later: Vec<(&Arc<Purse>, bool)> =
            self.more.iter().map(|known| (known, is_first)).chain(new.iter().map(|new| (new, true))).collect();
        later.sort_by(|(a, _), (b, _)| a.scope.cmp(&b.scope));
        let always = self.always.0.iter().filter(|purse| purse.is_bounded()).map(|purse| (purse, is_first));
        let mut books: Vec<(&Purse, bool, MutexGuard<'_, Book>)> =
            always.chain(later).map(|(purse, is_new)| (purse.as_ref(), is_new, purse.account.lock())).collect();
        let part = |is_new: bool| if is_new { all } else { missing };
        let refusals = books
            .iter_mut()
            .filter_map(|(purse, is_new, book)| purse.refusal(book, part(*is_new), !*is_new, which, unix_ms));
        if let Some(refusal) = refusals.reduce(Exhausted::longer) {
            return Err(Box::new(refusal));
        }
        books.iter_mut().for_each(|(_, is_new, book)| book.reserve(part(*is_new)));
        drop(books);
        self.reserved = all;
        self.more.append(&mut new);
        Ok(())
    }

    #[cfg(feature = "proxy")]
    pub(in crate::limit) const fn reserved(&self) -> Spend {
        self.reserved
    }

    #[cfg(feature = "proxy")]
    pub(in crate::limit) fn purses(&self) -> impl Iterator<Item = &Arc<Purse>> {
        self.always.iter().chain(&self.more)
    }

    /// Whether everything is paid from it, whatever the model.
    #[cfg(feature = "proxy")]
    pub(in crate::limit) fn is_always(&self, purse: &Purse) -> bool {
        self.always.iter().any(|it| it.is_same(purse))
    }

    /// Whether one of its budgets ends streams.
    pub(in crate::limit) fn may_stop(&self) -> bool {
        let purses = self.always.iter().chain(&self.more);
        purses.flat_map(|purse| purse.budgets.iter()).any(|budget| budget.stop)
    }

    /// Puts what was used in the place of what was held, and says which marks of budgets that passed.
    /// `part` is what of it a scope is charged with that not all of it is for. Counts once.
    pub fn settle(&mut self, used: Spend, part: impl Fn(&Scope) -> Spend, unix_ms: u64) -> Vec<Crossed> {
        let mut crossed = Vec::new();
        if !std::mem::replace(&mut self.settled, true) {
            self.always.iter().for_each(|purse| purse.settle(self.reserved, used, unix_ms, &mut crossed));
            for purse in &self.more {
                purse.settle(self.reserved, part(&purse.scope), unix_ms, &mut crossed);
            }
        }
        crossed
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let reserved = self.reserved;
        self.settle(reserved, |_| reserved, self.booked_ms);
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
