//! A text as detectors look at it: byte by byte, and perhaps with more to come.

use std::cell::Cell;

/// What a detector says of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    No,
    /// That depends on what follows.
    More,
    /// Something begins here and ends before this place.
    Hit(usize),
    /// What begins here says that something stands a little further on: from where to where.
    Ahead(usize, usize),
}

/// What long runs are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Token,
    Dotted,
    Base64,
    /// Base 64, line ends, escapes, and the headers that some keys have.
    Key,
}

impl Class {
    const fn holds(self, byte: u8) -> bool {
        match self {
            Self::Token => is_token(byte),
            Self::Dotted => is_token(byte) || byte == b'.',
            Self::Base64 => is_token(byte) || matches!(byte, b'+' | b'/' | b'='),
            Self::Key => {
                byte.is_ascii_alphanumeric()
                    || matches!(
                        byte,
                        b'+' | b'/' | b'=' | b'\n' | b'\r' | b' ' | b'\t' | b'\\' | b'-' | b':' | b',' | b'.'
                    )
            }
        }
    }
}

/// A byte without which something is not what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    At,
    Colon,
}

impl Mark {
    const fn byte(self) -> u8 {
        match self {
            Self::At => b'@',
            Self::Colon => b':',
        }
    }
}

/// What was found out of a text on the way, so that none of it is gone through for each of its places.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The last run of each class.
    classes: [Cell<(usize, usize)>; 4],
    /// From where each mark was last looked for, and where the first one stands.
    marks: [Cell<Option<(usize, usize)>>; 2],
}

/// See the module documentation.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) bytes: &'t [u8],
    /// Nothing follows.
    pub(super) is_final: bool,
    runs: &'t Runs,
}

impl<'t> Text<'t> {
    pub(super) fn new(text: &'t str, is_final: bool, runs: &'t Runs) -> Self {
        Self { bytes: text.as_bytes(), is_final, runs }
    }

    /// As [`run`](Self::run), of what may be long.
    pub(super) fn long_run(&self, from: usize, most: usize, class: Class) -> usize {
        let cell = self.runs.classes.get(class as usize);
        let known = cell.filter(|known| (known.get().0..known.get().1).contains(&from));
        let end = match known {
            Some(known) => known.get().1,
            None => {
                let end = self.run(from, usize::MAX, |byte| class.holds(byte));
                if let Some(cell) = cell {
                    cell.set((from, end));
                }
                end
            }
        };
        end.min(from.saturating_add(most))
    }

    /// Whether a mark stands among so many bytes from there on, or may come to stand there.
    pub(super) fn may_have(&self, mark: Mark, from: usize, most: usize) -> bool {
        let cell = self.runs.marks.get(mark as usize);
        let known = cell.and_then(Cell::get).filter(|(after, at)| (*after..=*at).contains(&from));
        let at = known.map_or_else(
            || {
                let at = memchr::memchr(mark.byte(), self.from(from)).map_or(usize::MAX, |at| from + at);
                cell.into_iter().for_each(|cell| cell.set(Some((from, at))));
                at
            },
            |(_, at)| at,
        );
        at - from < most || !self.is_final && self.bytes.len().saturating_sub(from) <= most
    }

    pub(super) fn at(&self, place: usize) -> Option<u8> {
        self.bytes.get(place).copied()
    }

    /// The byte before.
    pub(super) fn before(&self, place: usize) -> Option<u8> {
        self.at(place.checked_sub(1)?)
    }

    pub(super) fn from(&self, place: usize) -> &'t [u8] {
        self.bytes.get(place..).unwrap_or_default()
    }

    /// What stands there is not known yet.
    pub(super) fn is_cut(&self, place: usize) -> bool {
        !self.is_final && place >= self.bytes.len()
    }

    /// The end of the bytes of a class from there on, at most so many.
    pub(super) fn run(&self, from: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
        let until = from.saturating_add(most).min(self.bytes.len());
        let run = self.bytes.get(from..until).unwrap_or_default();
        from + run.iter().position(|b| !class(*b)).unwrap_or(run.len())
    }

    /// Whether a word stands there, in small letters or as it is written, where `fold` says so.
    pub(super) fn starts(&self, place: usize, word: &[u8], fold: bool) -> Verdict {
        let rest = self.from(place);
        // Most are told apart by their second letter.
        if let (Some(seen), Some(wanted)) = (rest.get(1), word.get(1))
            && !(seen == wanted || fold && seen.eq_ignore_ascii_case(wanted))
        {
            return Verdict::No;
        }
        let most = rest.len().min(word.len());
        let (Some(seen), Some(wanted)) = (rest.get(..most), word.get(..most)) else { return Verdict::No };
        let same = if fold { seen.eq_ignore_ascii_case(wanted) } else { seen == wanted };
        match (same, most == word.len(), self.is_final) {
            (true, true, _) => Verdict::Hit(place + most),
            (true, false, false) => Verdict::More,
            _ => Verdict::No,
        }
    }
}

pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// What long tokens are made of.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Digits and letters of a number that may be written in groups.
pub(super) struct Shape {
    symbols: [u8; 40],
    len: usize,
}

/// What came of [`shape`].
pub(super) enum Shaped {
    No,
    More,
    /// The number's end.
    Full(usize),
}

impl Shape {
    pub(super) fn of(written: &[u8]) -> Self {
        let mut shape = Self { symbols: [0; 40], len: 0 };
        for byte in written.iter().filter(|byte| is_word(**byte)) {
            if let Some(slot) = shape.symbols.get_mut(shape.len) {
                *slot = byte.to_ascii_uppercase();
                shape.len += 1;
            }
        }
        shape
    }

    pub(super) fn symbols(&self) -> &[u8] {
        self.symbols.get(..self.len).unwrap_or_default()
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'/')
}

/// Reads by a form: `9` is a digit, `A` a letter, `X` either, a space an optional one of ` -./`; anything
/// else is itself. No letter or digit may follow.
pub(super) fn shape(text: Text<'_>, place: usize, form: &[u8]) -> Shaped {
    let mut at = place;
    for wanted in form {
        let Some(byte) = text.at(at) else {
            return if text.is_final { Shaped::No } else { Shaped::More };
        };
        let fits = match wanted {
            b'9' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_alphabetic(),
            b'X' => byte.is_ascii_alphanumeric(),
            b' ' => {
                at += usize::from(is_separator(byte));
                continue;
            }
            other => byte == *other,
        };
        if !fits {
            return Shaped::No;
        }
        at += 1;
    }
    match text.at(at) {
        None if !text.is_final => Shaped::More,
        Some(next) if is_word(next) => Shaped::No,
        _ => Shaped::Full(at),
    }
}

/// Digits as numbers; anything else is 0.
pub(super) fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0')).min(9)
}

/// The checksum of cards and of several states.
pub(super) fn luhn(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, byte)| match (place % 2, digit(byte)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}
