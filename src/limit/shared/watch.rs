//! What is told of the store.

use std::fmt;
use std::time::Duration;

/// How a request came by what it needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// From leases, without a call.
    Leased,
    /// By a call.
    Granted,
    /// Not at all: a limit is reached.
    Refused,
    /// The store was gone, and the policy let it go on.
    Without,
    /// The store was gone, and the policy refused it.
    Closed,
}

impl Drawn {
    pub const ALL: [Self; 5] = [Self::Leased, Self::Granted, Self::Refused, Self::Without, Self::Closed];

    /// The `result` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Without => "without",
            Self::Closed => "closed",
        }
    }
}

/// Whoever counts it. Called on the path of requests: it must not wait.
pub trait Watch: fmt::Debug + Send + Sync {
    fn drawn(&self, how: Drawn);
    /// A call of the store that was answered.
    fn called(&self, took: Duration);
    fn failed(&self, reason: &'static str);
    /// It came back, or went away.
    fn turned(&self, is_up: bool);
}
