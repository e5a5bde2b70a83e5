//! The budgets of a tenant and a key over their accounts: all of them looked at together.

use std::fmt;
use std::sync::{Arc, MutexGuard};

use super::account::{ALWAYS, Account, Book, Spend};
use super::period::Bounds;
use crate::config::budget::{Amount, Budget, Per, Unit};
use crate::error::{Error, Kind};
use crate::limit::Scope;
use crate::limit::clock::Date;

/// An account with the budgets that the present configuration puts on it.
#[derive(Debug)]
pub struct Purse {
    pub(super) scope: Scope,
    pub(super) budgets: Vec<Budget>,
    pub(super) account: Arc<Account>,
}

/// The purses that a key's requests are paid from: its tenant's, then its own. Locked in this order.
#[derive(Debug, Clone, Default)]
pub struct Purses(Arc<[Arc<Purse>]>);

/// What a request may use, held for it until it is settled. Dropped without that, all of it counts
/// as used.
#[derive(Debug)]
pub struct Reservation {
    purses: Purses,
    reserved: Spend,
    booked_ms: u64,
    settled: bool,
}

/// A hard budget that a request does not fit into.
#[derive(Debug, Clone)]
pub struct Exhausted {
    pub scope: Scope,
    pub budget: Budget,
    pub spent: i128,
    /// Of requests that run.
    pub reserved: i128,
    pub wanted: i128,
    /// `None`: never.
    pub resets_at_ms: Option<u64>,
}

/// A budget as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Balance {
    pub budget: Budget,
    pub spent: i128,
    pub reserved: i128,
    pub resets_at_ms: Option<u64>,
}

/// A budget that the request just settled has used up.
#[derive(Debug, Clone)]
pub struct UsedUp {
    pub scope: Scope,
    pub budget: Budget,
}

impl Purse {
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether any budget stands on it.
    pub fn is_bounded(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// Every budget of it.
    pub fn balances(&self, unix_ms: u64) -> Vec<Balance> {
        let mut book = self.account.lock();
        self.budgets.iter().map(|budget| Balance::of(*budget, &mut book, unix_ms)).collect()
    }

    /// What was used today and this month.
    pub(super) fn usage(&self, unix_ms: u64) -> [(Per, Spend, Bounds); 2] {
        let mut book = self.account.lock();
        ALWAYS.map(|period| {
            let tally = book.tally(period, unix_ms);
            (period.per, tally.spent, tally.bounds)
        })
    }

    fn refusal(&self, book: &mut Book, want: Spend, unix_ms: u64) -> Option<Exhausted> {
        let hard = self.budgets.iter().filter(|budget| !budget.soft);
        let refusals = hard.filter_map(|budget| {
            let Balance { budget, spent, reserved, resets_at_ms } = Balance::of(*budget, book, unix_ms);
            let (taken, wanted) = (spent.saturating_add(reserved), want.of(budget.unit));
            let fits = taken < budget.most && taken.saturating_add(wanted) <= budget.most;
            let scope = || self.scope.clone();
            (!fits).then(|| Exhausted { scope: scope(), budget, spent, reserved, wanted, resets_at_ms })
        });
        refusals.reduce(Exhausted::longer)
    }

    fn settle(&self, reserved: Spend, used: Spend, unix_ms: u64, used_up: &mut Vec<UsedUp>) {
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
        for budget in &self.budgets {
            let spent = book.spent(budget.period).of(budget.unit);
            if spent >= budget.most && spent.saturating_sub(used.of(budget.unit)) < budget.most {
                used_up.push(UsedUp { scope: self.scope.clone(), budget: *budget });
            }
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

    /// Holds `want` for a request, in all of them or in none.
    pub fn reserve(&self, want: Spend, unix_ms: u64) -> Result<Reservation, Box<Exhausted>> {
        let purses = || self.0.iter().filter(|purse| purse.is_bounded());
        let mut books: Vec<MutexGuard<'_, Book>> = purses().map(|purse| purse.account.lock()).collect();
        let refusals = purses().zip(&mut books).filter_map(|(purse, book)| purse.refusal(book, want, unix_ms));
        if let Some(refusal) = refusals.reduce(Exhausted::longer) {
            return Err(Box::new(refusal));
        }
        books.iter_mut().for_each(|book| book.reserve(want));
        drop(books);
        Ok(Reservation { purses: self.clone(), reserved: want, booked_ms: unix_ms, settled: false })
    }
}

impl Reservation {
    /// Puts what was used in the place of what was held, and says which budgets that used up. Counts
    /// once.
    pub fn settle(&mut self, used: Spend, unix_ms: u64) -> Vec<UsedUp> {
        let mut used_up = Vec::new();
        if !std::mem::replace(&mut self.settled, true) {
            self.purses.iter().for_each(|purse| purse.settle(self.reserved, used, unix_ms, &mut used_up));
        }
        used_up
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle(self.reserved, self.booked_ms);
    }
}

impl Balance {
    fn of(budget: Budget, book: &mut Book, unix_ms: u64) -> Self {
        let tally = book.tally(budget.period, unix_ms);
        let reserved = book.reserved().of(budget.unit);
        Self { budget, spent: tally.spent.of(budget.unit), reserved, resets_at_ms: tally.bounds.ends_ms }
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

impl Exhausted {
    /// Of two, the one that stays longer.
    fn longer(self, other: Self) -> Self {
        let end_ms = |it: &Self| it.resets_at_ms.unwrap_or(u64::MAX);
        if end_ms(&other) > end_ms(&self) { other } else { self }
    }

    /// The `limit` label of `weir_throttled_total`: a closed set.
    pub fn label(&self) -> &'static str {
        match (&self.scope, self.budget.unit) {
            (Scope::Key { .. }, Unit::Usd) => "key_budget_usd",
            (Scope::Key { .. }, Unit::Tokens) => "key_budget_tokens",
            (_, Unit::Usd) => "tenant_budget_usd",
            (_, Unit::Tokens) => "tenant_budget_tokens",
        }
    }

    /// The 429. No `retry-after`: there is no soon.
    pub fn to_error(&self) -> Error {
        Error::new(Kind::BudgetExhausted, self.to_string())
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name, budget) = (self.scope.kind(), self.scope.name(), self.budget);
        let amount = |amount: i128| Amount(budget.unit, amount);
        if self.spent >= budget.most {
            write!(f, "the budget of the {kind} `{name}` is used up: {budget}")?;
        } else {
            let (spent, wanted) = (amount(self.spent), amount(self.wanted));
            write!(f, "the budget of the {kind} `{name}` is too small for this request, which may use {wanted}: ")?;
            write!(f, "{budget}, of which {spent} are spent and {} held by requests that run", amount(self.reserved))?;
        }
        match self.resets_at_ms {
            Some(at_ms) => write!(f, "; it begins anew on {}", Date(at_ms)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for UsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let soft = if self.budget.soft { "soft " } else { "" };
        write!(f, "the {soft}budget of the {} `{}` is used up: {}", self.scope.kind(), self.scope.name(), self.budget)
    }
}
