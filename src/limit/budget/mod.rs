//! Budgets: what may be used in a day, a week, a month, or ever; in tokens or in USD. On a tenant, a
//! key, a model, and on each user or tag.
//!
//! # How it counts
//! Each scope has one account: what was spent in the present period of each kind (days and months in UTC
//! always for tenants and keys, for `GET /v1/usage`; others where a budget asks for them), and what the
//! requests that run have reserved. A request is admitted if what it may use at most fits into every
//! hard budget beside both; then it is reserved in all accounts under all their locks, or in none. Real
//! usage takes its place at the end, in the period in which it ends. So a hard budget is exceeded at
//! most by what the requests in flight use beyond their reservations; one that stops streams, by what
//! comes in one read of each of them, and by answers that are no streams. Money is an integer; a price
//! that nobody knows reserves and spends nothing.
//!
//! Periods are the calendar's in the budget's time zone and begin anew by themselves: a counter looks at
//! the time when it is used. A clock that steps back forgets nothing.
//!
//! # Cost
//! Where no budget stands, admission locks nothing; the end of a request that used something adds it
//! to two accounts under their locks. An account is about 400 bytes.
//!
//! # How to wire it
//! [`Accounts`] belong to the process. [`Accounts::restore`] before the first request,
//! [`Accounts::set_bounded`] with each configuration that takes effect, and [`Accounts::changes`] now
//! and again: the text is what to keep. Whoever has all that was ever spent (a ledger) asks
//! [`Accounts::wanted`] instead, at the start and now and again, and answers with
//! [`Accounts::restore_spent`].

mod account;
mod event;
mod kept;
mod period;
mod purse;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Scope;
use crate::config::budget::{Budget, Period};
use account::{ALWAYS, Book};
use kept::{Kept, Row};

pub(super) use account::Account;
pub use account::Spend;
pub use event::{Crossed, Exhausted};
pub use period::Bounds;
pub use purse::{Balance, Purse, Purses, Reservation};

/// Every scope's account, by its stable id. One for the process.
#[derive(Debug, Default)]
pub struct Accounts {
    all: Mutex<BTreeMap<Scope, Arc<Account>>>,
    /// Whether the configuration in force has any budget.
    bounded: AtomicBool,
}

/// A sum that is asked for: all that was spent by requests that ended from `begins_ms` to just before
/// `before_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub scope: Scope,
    pub period: Period,
    /// The first moment of the present period; 0 where it never ends.
    pub begins_ms: u64,
    /// From here on it was counted here.
    pub before_ms: u64,
}

impl Accounts {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Scope, Arc<Account>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `each` with every account, one after the other: nobody who comes waits longer for that, and
    /// nobody is held on to.
    fn each(&self, mut each: impl FnMut(&Scope, &mut Book)) {
        let scopes: Vec<Scope> = self.all().keys().cloned().collect();
        for scope in scopes {
            let known = self.all().get(&scope).map(Arc::clone);
            if let Some(account) = known {
                each(&scope, &mut account.lock());
            }
        }
    }

    /// The account of a tenant or a key with the budgets on it. What was spent before counts.
    pub(in crate::limit) fn open(&self, scope: Scope, budgets: &[Budget], unix_ms: u64) -> Arc<Purse> {
        let account = self.account(&scope);
        let mut book = account.lock();
        for per in ALWAYS {
            book.tally(&Period::plain(per), unix_ms);
        }
        drop(book);
        Self::purse(scope, budgets.into(), account, unix_ms)
    }

    /// The same of others, whose usage is counted only as far as budgets ask for it.
    pub(in crate::limit) fn purse(
        scope: Scope,
        budgets: Arc<[Budget]>,
        account: Arc<Account>,
        unix_ms: u64,
    ) -> Arc<Purse> {
        let mut book = account.lock();
        for budget in budgets.iter() {
            book.tally(&budget.period, unix_ms);
        }
        drop(book);
        Arc::new(Purse::new(scope, budgets, account))
    }

    pub(in crate::limit) fn account(&self, scope: &Scope) -> Arc<Account> {
        Arc::clone(self.all().entry(scope.clone()).or_default())
    }

    /// Scopes that have an account and come behind that one, of the same tenant.
    pub(in crate::limit) fn behind(&self, first: &Scope) -> Vec<Scope> {
        let all = self.all();
        let (kind, tenant) = (first.kind(), first.tenant());
        let behind = all.range(first..).map(|(scope, _)| scope);
        behind.take_while(|scope| (scope.kind(), scope.tenant()) == (kind, tenant)).cloned().collect()
    }

    /// Forgets what those have spent.
    pub(in crate::limit) fn forget<'s>(&self, scopes: impl Iterator<Item = &'s Scope>) {
        let mut all = self.all();
        scopes.for_each(|scope| _ = all.remove(scope));
    }

    /// What it is not known of how much was spent before this process counted: at its start of
    /// everything, later of users and tags that came anew, and of budgets that a reload brought.
    pub fn wanted(&self, unix_ms: u64) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        self.each(|scope, book| {
            // Of those for whom there is no room nobody has written down anything.
            if scope.is_of_others() {
                return;
            }
            wanted.extend(book.unknown(unix_ms).map(|(tally, before_ms)| Wanted {
                scope: scope.clone(),
                period: tally.period.clone(),
                begins_ms: tally.bounds.begins_ms,
                before_ms,
            }));
        });
        wanted
    }

    /// Adds what was spent there before. `false` where it is known by now, or its period is over.
    pub fn restore_spent(&self, wanted: &Wanted, spent: Spend) -> bool {
        let account = self.all().get(&wanted.scope).map(Arc::clone);
        account.is_some_and(|account| account.lock().add_before(&wanted.period, wanted.begins_ms, spent))
    }

    /// Once a configuration is in force, and no sooner: one that is refused changes nothing.
    pub fn set_bounded(&self, bounded: bool) {
        self.bounded.store(bounded, Ordering::Relaxed);
    }

    /// All of it to keep, if a budget stands anywhere and something changed since this was last
    /// asked.
    pub fn changes(&self, unix_ms: u64) -> Option<String> {
        if !self.bounded.load(Ordering::Relaxed) {
            return None;
        }
        // Every flag is taken, also behind one that is set.
        if !self.all().values().fold(false, |changed, account| account.lock().take_changed() | changed) {
            return None;
        }
        let mut rows = Vec::new();
        self.each(|scope, book| rows.extend(book.live(unix_ms).map(|tally| Row::of(scope, tally))));
        Kept::new(rows).write().ok()
    }

    /// Puts back what was kept of those scopes: all of it, or nothing if it cannot be read.
    pub fn restore(&self, text: &str, wants: impl Fn(&Scope) -> bool) -> Result<(), String> {
        let kept = Kept::read(text)?;
        let mut all = self.all();
        for (scope, tally) in kept.into_iter().filter(|(scope, _)| wants(scope)) {
            all.entry(scope).or_default().lock().restore(tally);
        }
        Ok(())
    }
}
