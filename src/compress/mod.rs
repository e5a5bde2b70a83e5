//! Fewer tokens in what tools gave back.
//!
//! Two tiers, of which both are off unless asked for. The *lossless* one ([`fold`], `again`) says once
//! what a text says many times, and once what was said before; [`restore`] gives everything back. The
//! *lossy* one (`shorten`) leaves out the middle of long logs, listings, search results and the output
//! of tests that passed; what it takes away is kept for a while ([`originals`]).
//!
//! Only results of tools are touched, and where that is asked for, outputs in what users say and the list of
//! tools; never what the operator or the model said. What is done to a text depends on that text, its call
//! and what stands before it, never on what follows, so that a conversation that grows keeps its beginning
//! to the byte, and with it the provider's prompt cache.

mod again;
mod command;
mod failed;
pub mod fold;
mod history;
pub mod originals;
mod rules;
mod shell;
mod shorten;
mod tools;

pub use fold::Count;
pub use history::{Compressed, How, compress, restore};
pub use rules::{Rules, Tier};
pub use tools::trim_tools;

/// What was done to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Lines that come again at once.
    Repeats,
    /// Lines that begin alike.
    Prefixes,
    /// Lines that differ in numbers and bars.
    Progress,
    /// Sequences of a terminal.
    Codes,
    /// White space of JSON.
    Json,
    /// Results that were there before.
    Again,
    /// What is not in the middle of a long text any more.
    Shortened,
    /// Tools that nothing names.
    TrimTools,
}

impl Strategy {
    pub const ALL: [Self; 8] = [
        Self::Repeats,
        Self::Prefixes,
        Self::Progress,
        Self::Codes,
        Self::Json,
        Self::Again,
        Self::Shortened,
        Self::TrimTools,
    ];

    /// The name in headers, records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repeats => "repeats",
            Self::Prefixes => "prefixes",
            Self::Progress => "progress",
            Self::Codes => "codes",
            Self::Json => "json",
            Self::Again => "again",
            Self::Shortened => "shortened",
            Self::TrimTools => "trim_tools",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Repeats => 0,
            Self::Prefixes => 1,
            Self::Progress => 2,
            Self::Codes => 3,
            Self::Json => 4,
            Self::Again => 5,
            Self::Shortened => 6,
            Self::TrimTools => 7,
        }
    }
}

/// Tokens saved, by what saved them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Savings([u64; Strategy::ALL.len()]);

impl Savings {
    pub fn of(strategy: Strategy, tokens: u64) -> Self {
        let mut it = Self::default();
        it.add(strategy, tokens);
        it
    }

    pub fn add(&mut self, strategy: Strategy, tokens: u64) {
        if let Some(own) = self.0.get_mut(strategy.index()) {
            *own = own.saturating_add(tokens);
        }
    }

    /// Takes off what the whole costs: where there is most.
    fn less(&mut self, tokens: u64) {
        let mut left = tokens;
        while left > 0
            && let Some(most) = self.0.iter_mut().max().filter(|most| **most > 0)
        {
            let taken = left.min(*most);
            *most -= taken;
            left -= taken;
        }
    }

    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, tokens| sum.saturating_add(*tokens))
    }

    /// Those that saved something.
    pub fn iter(&self) -> impl Iterator<Item = (Strategy, u64)> {
        Strategy::ALL.into_iter().zip(self.0).filter(|(_, tokens)| *tokens > 0)
    }

    /// Their names, with commas between.
    pub fn names(&self) -> String {
        self.iter().map(|(strategy, _)| strategy.as_str()).collect::<Vec<_>>().join(",")
    }
}

impl std::ops::AddAssign for Savings {
    fn add_assign(&mut self, other: Self) {
        other.iter().for_each(|(strategy, tokens)| self.add(strategy, tokens));
    }
}
