//! What can be wrong with the database.

use std::fmt;

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached, or is too slow: try again later.
    Unavailable,
    /// Another transaction was in the way: try again.
    Contended,
    /// It was written by a newer version of Weir, or has to be brought up to date first.
    Version,
    /// There is none yet.
    Missing,
    /// It holds what nobody wrote.
    Unreadable,
    /// It refuses the statement.
    Failed,
}

/// A fault, and a sentence without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    fault: Fault,
    text: String,
}

impl StoreError {
    pub(super) fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self { fault, text: text.into() }
    }

    pub(crate) fn unreadable(what: impl fmt::Display) -> Self {
        Self::new(Fault::Unreadable, format!("the database holds what cannot be read: {what}"))
    }

    pub const fn fault(&self) -> Fault {
        self.fault
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StoreError {}
