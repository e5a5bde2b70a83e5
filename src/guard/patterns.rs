//! A guard's own patterns: regular expressions, matched in linear time.
//!
//! A hit of a pattern is at most [`MOST_PATTERN_BYTES`] long. A pattern is asked at each place about so many
//! bytes as it can take (and no more than that), so that what it says of a place does not depend on what is
//! far behind it: where it would find something longer, it finds what fits, or nothing.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::detect::Hit;
use super::{Kind, Text};

/// A hit is at most so long.
pub(super) const MOST_PATTERN_BYTES: usize = 256;
/// Of all patterns of a guard together, compiled.
const MOST_COMPILED_BYTES: usize = 4 * 1024 * 1024;
/// What looks at the character behind.
const BEHIND: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Patterns {
    all: Regex,
    longest: usize,
}

/// Why patterns cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// Not one, for this reason.
    Syntax(String),
    /// It finds nothing, everywhere.
    Empty,
    TooBig,
}

/// Looks at one pattern; says how long its hits are at most.
pub(super) fn longest(pattern: &str) -> Result<usize, Unfit> {
    let hir = syntax::parse(pattern).map_err(|e| Unfit::Syntax(e.to_string()))?;
    if hir.properties().minimum_len().unwrap_or_default() == 0 {
        return Err(Unfit::Empty);
    }
    Ok(hir.properties().maximum_len().unwrap_or(MOST_PATTERN_BYTES).min(MOST_PATTERN_BYTES))
}

impl Patterns {
    pub(super) fn new(patterns: &[String]) -> Result<Option<Self>, Unfit> {
        let lengths = patterns.iter().map(|pattern| longest(pattern)).collect::<Result<Vec<_>, _>>()?;
        let Some(longest) = lengths.into_iter().max() else { return Ok(None) };
        let config =
            Regex::config().nfa_size_limit(Some(MOST_COMPILED_BYTES)).hybrid_cache_capacity(MOST_COMPILED_BYTES);
        let all = Regex::builder().configure(config).build_many(patterns).map_err(|_| Unfit::TooBig)?;
        Ok(Some(Self { all, longest }))
    }

    pub(super) fn reach(&self, text: Text<'_>) -> usize {
        if text.is_final { text.bytes.len() } else { text.bytes.len().saturating_sub(self.longest + BEHIND) }
    }

    /// Every hit that begins in `from..until`; says where the next may begin, since hits of patterns do not
    /// overlap.
    pub(super) fn find(&self, text: &str, from: usize, until: usize, hits: &mut Vec<Hit>) -> usize {
        let mut at = from;
        while at < until {
            // As far as is looked at in one go, so that what is long and fits nowhere costs no more than twice.
            let block = text.ceil_char_boundary((at + 2 * self.longest + 2 * BEHIND).min(text.len()));
            // Behind this, what could begin has not been seen as far as it may take.
            let seen = if block == text.len() { until } else { text.floor_char_boundary(block - self.longest) };
            let found = self.all.search(&Input::new(text).span(at..block));
            let Some(start) = found.map(|found| found.start()).filter(|start| *start < seen.min(until)) else {
                at = seen;
                continue;
            };
            let last = text.floor_char_boundary(start + self.longest);
            let taken = Input::new(text).span(start..last).anchored(Anchored::Yes);
            match self.all.search(&taken).filter(|taken| !taken.is_empty()) {
                Some(taken) => {
                    hits.push(Hit { kind: Kind::Patterns, start, end: taken.end() });
                    at = taken.end();
                }
                None => at = text.ceil_char_boundary(start + 1),
            }
        }
        at.max(from)
    }
}
