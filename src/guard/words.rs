//! A guard's own words: whole ones, in any case (of ASCII), however many at once.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::detect::Hit;
use super::{Kind, Text};

/// Words are at most so long.
pub(super) const MOST_WORD_BYTES: usize = 128;

#[derive(Debug, Clone)]
pub(super) struct Words {
    all: AhoCorasick,
    longest: usize,
}

impl Words {
    /// `None`: there are none, one is too long, or they are too many.
    pub(super) fn new(words: &[String]) -> Option<Self> {
        let longest = words.iter().map(String::len).max()?;
        let is_fine = words.iter().all(|word| !word.trim().is_empty()) && longest <= MOST_WORD_BYTES;
        let all = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(words)
            .ok()?;
        is_fine.then_some(Self { all, longest })
    }

    /// Up to where it is known what begins.
    pub(super) fn reach(&self, text: Text<'_>) -> usize {
        // One letter more tells whether a word ends there.
        if text.is_final { text.bytes.len() } else { text.bytes.len().saturating_sub(self.longest + 4) }
    }

    pub(super) fn find(&self, text: &str, from: usize, hits: &mut Vec<Hit>) {
        let Some(rest) = text.get(from..) else { return };
        for found in self.all.find_overlapping_iter(rest) {
            let (start, end) = (from + found.start(), from + found.end());
            let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let before = text.get(..start).and_then(|before| before.chars().next_back());
            let behind = text.get(end..).and_then(|behind| behind.chars().next());
            if !is_letter(before) && !is_letter(behind) {
                hits.push(Hit { kind: Kind::Words, start, end });
            }
        }
    }
}
