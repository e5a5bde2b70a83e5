//! All that one guard looks for, in one pass.

use super::injection::Injection;
use super::patterns::{Patterns, Unfit};
use super::text::{Runs, Text, Verdict, is_word};
use super::words::Words;
use super::{Kind, cards, email, iban, national, phone, secrets};

/// Something found: what, and from where to where. The place of its first byte is a character's border, and so
/// is its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// See the module documentation.
#[derive(Debug, Clone, Default)]
pub struct Detectors {
    kinds: Vec<Kind>,
    words: Option<Words>,
    patterns: Option<Patterns>,
    injection: Option<Injection>,
}

/// How far a text has been looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// All that begins before is known.
    pub(super) decided: usize,
    /// No hit of a pattern may begin before.
    pub(super) patterns: usize,
}

impl Detectors {
    pub fn new(kinds: &[Kind], words: &[String], patterns: &[String]) -> Result<Self, Unfit> {
        let words = if words.is_empty() { None } else { Some(Words::new(words).ok_or(Unfit::TooBig)?) };
        let injection = if kinds.contains(&Kind::Injection) { Some(Injection::new()?) } else { None };
        let kinds = kinds.iter().copied().filter(|kind| *kind != Kind::Injection).collect();
        Ok(Self { kinds, words, patterns: Patterns::new(patterns)?, injection })
    }

    /// Whether a pattern can be used.
    pub fn check_pattern(pattern: &str) -> Result<(), Unfit> {
        super::patterns::longest(pattern)?;
        Patterns::new(&[pattern.to_owned()]).map(|_| ())
    }

    pub const fn most_word_bytes() -> usize {
        super::words::MOST_WORD_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.words.is_none() && self.patterns.is_none() && self.injection.is_none()
    }

    /// Everything in a whole text.
    pub fn all(&self, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.find(text, true, &mut Seen::default(), &mut hits);
        if let Some(injection) = &self.injection {
            injection.find(text, &mut hits);
        }
        hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end)));
        hits
    }

    /// Whether it looks for what only a whole text shows.
    pub fn needs_whole(&self) -> bool {
        self.injection.is_some()
    }

    /// Adds what begins between what was decided and what can be now.
    pub(super) fn find(&self, text: &str, is_final: bool, seen: &mut Seen, hits: &mut Vec<Hit>) {
        let runs = Runs::default();
        let bytes = Text::new(text, is_final, &runs);
        let from = seen.decided;
        let words = self.words.as_ref().map_or(text.len(), |words| words.reach(bytes));
        let patterns = self.patterns.as_ref().map_or(text.len(), |patterns| patterns.reach(bytes));
        let until = self.built_in(bytes, (from, words.min(patterns)), hits);
        let (until, built_in) = (text.floor_char_boundary(until).max(from), hits.len());
        if let Some(words) = &self.words {
            words.find(text, from, hits);
        }
        if let Some(patterns) = &self.patterns {
            seen.patterns = patterns.find(text, from.max(seen.patterns), until, hits).max(seen.patterns);
        }
        let mut place = 0;
        hits.retain(|hit| {
            place += 1;
            place <= built_in || hit.start < until
        });
        seen.decided = until;
    }

    fn built_in(&self, text: Text<'_>, (from, until): (usize, usize), hits: &mut Vec<Hit>) -> usize {
        if self.kinds.is_empty() {
            return until;
        }
        let mut inside = text.before(from).is_some_and(is_word);
        let mut place = from;
        while place < until {
            let Some(byte) = text.at(place) else { break };
            let is_nothing = matches!(byte, b' ' | b'\n' | 0x80..=0xBF) || inside && is_word(byte);
            for kind in self.kinds.iter().filter(|_| !is_nothing) {
                match at(*kind, text, place, byte, inside) {
                    Verdict::No => {}
                    Verdict::More => return place,
                    Verdict::Hit(end) => hits.push(Hit { kind: *kind, start: place, end }),
                    Verdict::Ahead(start, end) => hits.push(Hit { kind: *kind, start, end }),
                }
            }
            (inside, place) = (is_word(byte), place + 1);
            if inside {
                // Nothing begins in the middle of a word.
                place = text.run(place, until - place, is_word);
            }
        }
        until
    }
}

/// What of a kind begins there. `inside`: a letter or digit stands before.
fn at(kind: Kind, text: Text<'_>, place: usize, byte: u8, inside: bool) -> Verdict {
    match kind {
        Kind::Email => email::at(text, place),
        _ if inside => Verdict::No,
        Kind::Secrets if secrets::begins(byte) => secrets::at(text, place),
        Kind::Cards if byte.is_ascii_digit() => cards::at(text, place),
        Kind::Iban if byte.is_ascii_alphabetic() => iban::at(text, place),
        Kind::Phone if matches!(byte, b'+' | b'0') => phone::at(text, place),
        Kind::NationalIds if is_word(byte) => national::at(text, place),
        _ => Verdict::No,
    }
}
