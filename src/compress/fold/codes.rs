//! Sequences of a terminal (colours, bold) as single letters, with a legend of what each stands for.

use std::collections::HashMap;

use super::judge::{Judge, whole};
use super::sign::Signs;

const ESCAPE: u8 = 0x1b;

/// The letters of a text and what they stand for.
pub(super) type Legend<'t> = Vec<(char, &'t str)>;

/// Sequences that stand next to each other are one. Longest first, so that none is begun by another's letter.
fn sequences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + memchr::memchr(ESCAPE, text.as_bytes().get(from..)?)?;
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

/// The text with letters for the sequences that are worth one, what they stand for, and the tokens that saves.
pub(super) fn put<'t>(text: &'t str, signs: &Signs, judge: &mut Judge<'_, 't>) -> Option<(String, Legend<'t>, u64)> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    // Of each sequence how often it comes, in the order they came first; and each that comes.
    let mut often: Vec<(&str, u64)> = Vec::new();
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (at, sequence) in sequences(text) {
        let id = *known.entry(sequence).or_insert(often.len());
        match often.get_mut(id) {
            Some((_, times)) => *times += 1,
            None => often.push((sequence, 1)),
        }
        all.push((at, id));
    }
    let mut letters: Vec<Option<char>> = vec![None; often.len()];
    let mut by_bytes: Vec<usize> = (0..often.len()).collect();
    let bytes = |id: &usize| often.get(*id).map_or(0, |(sequence, times)| times * whole(sequence.len()));
    by_bytes.sort_by_key(|id| std::cmp::Reverse(bytes(id)));
    let (mut legend, mut saved) = (Vec::new(), 0);
    for (id, letter) in by_bytes.into_iter().zip(signs.letters.iter().copied()) {
        let (Some((sequence, times)), Some(own)) = (often.get(id), letters.get_mut(id)) else { continue };
        let gone = times * judge.unit(sequence);
        let come = times + judge.note(sequence) + 4;
        if gone > come {
            *own = Some(letter);
            legend.push((letter, *sequence));
            saved += gone - come;
        }
    }
    let mut out = String::with_capacity(if legend.is_empty() { return None } else { text.len() });
    let mut copied = 0;
    for (at, id) in all {
        if let (Some(Some(letter)), Some((sequence, _))) = (letters.get(id), often.get(id)) {
            out.push_str(text.get(copied..at).unwrap_or_default());
            out.push(*letter);
            copied = at + sequence.len();
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Some((out, legend, saved))
}

/// The text that had letters put in.
pub(super) fn take(text: &str, legend: &[(char, &str)]) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut copied = 0;
    // Letters are of two bytes, of which the first is one of two.
    for at in memchr::memchr2_iter(0xCE, 0xCF, text.as_bytes()) {
        let letter = text.get(at..).and_then(|rest| rest.chars().next());
        if let Some((letter, sequence)) = legend.iter().find(|(own, _)| Some(*own) == letter) {
            out.push_str(text.get(copied..at).unwrap_or_default());
            out.push_str(sequence);
            copied = at + letter.len_utf8();
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}
