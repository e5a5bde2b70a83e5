//! What happens to budgets: a request does not fit into one, or a mark of one is passed.

use std::fmt;

use super::period::day_of;
use crate::config::budget::{Amount, Budget};
use crate::error::{Error, Kind};
use crate::limit::Scope;

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

/// The request just settled took what is spent of a budget over one of its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    pub scope: Scope,
    pub budget: Budget,
    /// One of the budget's `warn_at`; 100 is all of it.
    pub percent: u32,
    /// Of it so far, with that request.
    pub spent: i128,
}

impl Exhausted {
    /// Of two, the one that stays longer.
    pub(super) fn longer(self, other: Self) -> Self {
        let end_ms = |it: &Self| it.resets_at_ms.unwrap_or(u64::MAX);
        if end_ms(&other) > end_ms(&self) { other } else { self }
    }

    /// The `limit` label of `weir_throttled_total`: a closed set.
    pub fn label(&self) -> String {
        format!("{}_budget_{}", self.scope.kind(), self.budget.unit.as_str())
    }

    /// The 429. No `retry-after`: there is no soon.
    pub fn to_error(&self) -> Error {
        Error::new(Kind::BudgetExhausted, self.to_string())
    }

    /// The same for an answer that has begun.
    pub fn to_stop(&self) -> Error {
        let (kind, name, budget) = (self.scope.kind(), self.scope.name(), &self.budget);
        let text = format!("the budget of the {kind} `{name}` ran out in the middle of the answer: {budget}");
        Error::new(Kind::BudgetExhausted, text)
    }
}

impl Crossed {
    /// The marks that lie between two amounts.
    pub(super) fn between(scope: &Scope, budget: &Budget, before: i128, after: i128, crossed: &mut Vec<Self>) {
        let is_at =
            |amount: i128, percent: u32| amount.saturating_mul(100) >= budget.most.saturating_mul(i128::from(percent));
        let marks = budget.warn_at.iter().filter(|percent| is_at(after, *percent) && !is_at(before, *percent));
        let passed = |percent| Self { scope: scope.clone(), budget: budget.clone(), percent, spent: after };
        crossed.extend(marks.map(passed));
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name, budget) = (self.scope.kind(), self.scope.name(), &self.budget);
        let amount = |amount: i128| Amount(budget.unit, amount);
        if self.spent >= budget.most {
            write!(f, "the budget of the {kind} `{name}` is used up: {budget}")?;
        } else {
            let (spent, wanted) = (amount(self.spent), amount(self.wanted));
            write!(f, "the budget of the {kind} `{name}` is too small for this request, which may use {wanted}: ")?;
            write!(f, "{budget}, of which {spent} are spent and {} held by requests that run", amount(self.reserved))?;
        }
        let Some(day) = self.resets_at_ms.and_then(|at_ms| day_of(at_ms, &budget.period.zone)) else { return Ok(()) };
        write!(f, "; it begins anew on {day}")?;
        match budget.period.zone_name() {
            "UTC" => Ok(()),
            zone => write!(f, " ({zone})"),
        }
    }
}

/// One line for the log.
impl fmt::Display for Crossed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let soft = if self.budget.soft { "soft " } else { "" };
        write!(f, "the {soft}budget of the {} `{}` ", self.scope.kind(), self.scope.name())?;
        match self.percent {
            100 => f.write_str("is used up")?,
            percent => write!(f, "is used to {percent} %")?,
        }
        write!(f, ": {}", self.budget)
    }
}
