//! Budgets: what a tenant or a key may use in a day, a week, a month, or ever; in tokens or in USD.
//!
//! # How it counts
//! Each scope has one account: what was spent in the present period of each kind (days and months
//! always, for `GET /v1/usage`; others where a budget asks for them), and what the requests that run
//! have reserved. A request is admitted if what it may use fits into every hard budget beside both;
//! then it is reserved in all accounts under all their locks, or in none. Real usage takes its place
//! at the end, in the period in which it ends. So a hard budget is exceeded at most by what the
//! requests in flight use beyond their reservations. Money is an integer; a price that nobody knows
//! reserves and spends nothing.
//!
//! Periods are the calendar's in UTC and begin anew by themselves: a counter looks at the time when it
//! is used. A clock that steps back forgets nothing.
//!
//! # Cost
//! Where no budget stands, admission locks nothing; the end of a request that used something adds it
//! to two accounts under their locks. An account is about 300 bytes.
//!
//! # How to wire it
//! [`Accounts`] belong to the process. [`Accounts::restore`] before the first request,
//! [`Accounts::set_bounded`] with each configuration that takes effect, and [`Accounts::changes`] now
//! and again: the text is what to keep.

mod account;
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
use crate::config::budget::Budget;
use account::{ALWAYS, Account};
use kept::{Kept, Row};

pub use account::Spend;
pub use period::Bounds;
pub use purse::{Balance, Exhausted, Purse, Purses, Reservation, UsedUp};

/// Every scope's account, by its stable id. One for the process.
#[derive(Debug, Default)]
pub struct Accounts {
    all: Mutex<BTreeMap<Scope, Arc<Account>>>,
    /// Whether the configuration in force has any budget.
    bounded: AtomicBool,
}

impl Accounts {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Scope, Arc<Account>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of a scope with the budgets on it. What was spent before counts.
    pub(in crate::limit) fn open(&self, scope: Scope, budgets: &[Budget], unix_ms: u64) -> Arc<Purse> {
        let account = Arc::clone(self.all().entry(scope.clone()).or_default());
        let mut book = account.lock();
        for period in ALWAYS.into_iter().chain(budgets.iter().map(|budget| budget.period)) {
            book.tally(period, unix_ms);
        }
        drop(book);
        Arc::new(Purse { scope, budgets: budgets.to_vec(), account })
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
        let all = self.all();
        // Every flag is taken, also behind one that is set.
        if !all.values().fold(false, |changed, account| account.lock().take_changed() | changed) {
            return None;
        }
        let mut rows = Vec::new();
        for (scope, account) in all.iter() {
            rows.extend(account.lock().live(unix_ms).filter_map(|tally| Row::of(scope, tally)));
        }
        drop(all);
        Kept::new(rows).write().ok()
    }

    /// Puts back what was kept: all of it, or nothing if it cannot be read.
    pub fn restore(&self, text: &str) -> Result<(), String> {
        let kept = Kept::read(text)?;
        let mut all = self.all();
        for (scope, tally) in kept {
            all.entry(scope).or_default().lock().restore(tally);
        }
        Ok(())
    }
}
