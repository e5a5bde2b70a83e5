//! Requests that may not go on, and why.

use std::time::Duration;

use super::budget::Exhausted;
use super::gate::{Short, Standing};
use super::headers::Span;
use super::scope::Scope;
use crate::config::limits::{Every, Limited, Rate, What};
use crate::error::{Error, Kind};

/// A request that may not go on.
#[derive(Debug)]
pub enum Refusal {
    Limit(Box<Denial>),
    Budget(Box<Exhausted>),
    Lost(Lost),
}

/// The store of limits is gone, and without it this request is refused (`on_store_loss`).
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    pub wait_ms: u64,
}

/// A limit that is reached.
#[derive(Debug, Clone)]
pub struct Denial {
    pub scope: Scope,
    pub limited: Limited,
    pub limit: u64,
    /// What is charged, owed included.
    pub used: u64,
    /// What it wanted: 1, or its estimate of tokens.
    pub wanted: u64,
    /// Waiting this long admits it if nobody else comes; for concurrency a suggestion.
    pub wait_ms: u64,
    pub standing: Standing,
}

impl Refusal {
    /// The `limit` label of `weir_throttled_total`: a closed set.
    pub fn label(&self) -> String {
        match self {
            Self::Limit(denial) => denial.label(),
            Self::Budget(exhausted) => exhausted.label(),
            Self::Lost(_) => "store_lost".to_owned(),
        }
    }

    /// The 429, or a 503.
    pub fn to_error(&self) -> Error {
        match self {
            Self::Limit(denial) => denial.to_error(),
            Self::Budget(exhausted) => exhausted.to_error(),
            Self::Lost(Lost { wait_ms }) => {
                let text = "limits cannot be checked at the moment; try again soon";
                Error::new(Kind::LimitsLost, text).with_retry_after(Duration::from_millis(*wait_ms))
            }
        }
    }
}

impl Denial {
    pub(super) fn new(scope: &Scope, short: Short, standing: Standing) -> Box<Self> {
        let Short { limited, limit, used, wanted, wait_ms } = short;
        Box::new(Self { scope: scope.clone(), limited, limit, used, wanted, wait_ms, standing })
    }

    /// `key_requests_per_hour`; of a minute `key_requests` and `key_tokens`, as they were called when
    /// there were no others.
    pub fn label(&self) -> String {
        let what = match self.limited {
            Limited::Rate(Rate { what: What::Requests, every: Every::Minute }) => "requests",
            Limited::Rate(Rate { what: What::Tokens, every: Every::Minute }) => "tokens",
            limited => limited.as_str(),
        };
        format!("{}_{what}", self.scope.kind())
    }

    /// The 429: which limit of whom, how much of it is used, and when to come back.
    pub fn to_error(&self) -> Error {
        let Self { limit, used, wanted, .. } = self;
        let (kind, name, what) = (self.scope.kind(), self.scope.name(), self.limited.words());
        let counts_tokens = matches!(self.limited, Limited::Rate(Rate { what, .. }) if what != What::Requests);
        let need = match counts_tokens {
            true if wanted > limit => {
                format!(", this request may use {wanted}, more than the limit: it has to find the limit unused")
            }
            true => format!(", this request may use {wanted}"),
            false => String::new(),
        };
        let wait = Span(self.wait_ms);
        let text = format!(
            "the {kind} '{name}' has reached its limit of {limit} {what}: {used} are used{need}; try again in {wait}"
        );
        Error::new(Kind::RateLimited, text).with_retry_after(Duration::from_millis(self.wait_ms))
    }
}
