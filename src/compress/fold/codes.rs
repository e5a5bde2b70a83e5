//! Sequences of a terminal (colours, bold) as single letters, with a legend of what each stands for.

use std::collections::HashMap;

use super::judge::{Judge, whole};
use super::sign::Signs;

const ESCAPE: char = '\u{1b}';

/// The letters of a text and what they stand for.
pub(super) type Legend<'t> = Vec<(char, &'t str)>;

/// Sequences that stand next to each other are one. Longest first, so that none is begun by another's letter.
fn sequences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(ESCAPE)?;
        let mut end = at;
        while let Some(length) = text.get(end..).and_then(one) {
            end += length;
        }
        // An escape that begins no sequence is passed over.
        from = end.max(at + 1);
        Some((at, text.get(at..end).unwrap_or_default()))
    })
    .filter(|(_, sequence)| !sequence.is_empty())
}

/// The length of the sequence a text begins with: `ESC [`, parameters, a letter.
fn one(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let letter = rest.bytes().take(32).position(|b| !matches!(b, b'0'..=b'?' | b' '..=b'/'))?;
    rest.as_bytes().get(letter).filter(|b| matches!(b, b'@'..=b'~')).map(|_| letter + 3)
}

/// The sequences worth a letter, and the tokens that saves.
pub(super) fn legend<'t>(text: &'t str, signs: &Signs, judge: &mut Judge<'_, 't>) -> (Legend<'t>, u64) {
    let mut counts: HashMap<&str, (u64, usize)> = HashMap::new();
    for (at, sequence) in sequences(text) {
        counts.entry(sequence).or_insert((0, at)).0 += 1;
    }
    let mut often: Vec<(&str, u64, usize)> =
        counts.into_iter().map(|(sequence, (times, first))| (sequence, times, first)).collect();
    // By bytes saved; where equal, by which came first.
    often.sort_by_key(|(sequence, times, first)| (std::cmp::Reverse(times * whole(sequence.len())), *first));
    let (mut legend, mut saved) = (Vec::new(), 0);
    for ((sequence, times, _), letter) in often.into_iter().zip(signs.letters.iter().copied()) {
        let gone = times * judge.unit(sequence);
        let come = times + judge.note(sequence) + 4;
        if gone > come {
            legend.push((letter, sequence));
            saved += gone - come;
        }
    }
    (legend, saved)
}

/// The text with its letters.
pub(super) fn put(text: &str, legend: &[(char, &str)]) -> String {
    let letters: HashMap<&str, char> = legend.iter().map(|(letter, sequence)| (*sequence, *letter)).collect();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, sequence) in sequences(text) {
        if let Some(letter) = letters.get(sequence) {
            out.push_str(text.get(copied..at).unwrap_or_default());
            out.push(*letter);
            copied = at + sequence.len();
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

/// The text that had letters put in.
pub(super) fn take(text: &str, legend: &[(char, String)]) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match legend.iter().find(|(letter, _)| *letter == c) {
            Some((_, sequence)) => out.push_str(sequence),
            None => out.push(c),
        }
    }
    out
}
