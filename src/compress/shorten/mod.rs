//! The lossy tier: the middle of a long output is left out, but for lines that tell of trouble, and the
//! note at its end says how much that was and by which name all of it can be had.

use std::fmt::Write as _;

use super::command::Kind;
use super::failed;

const NOTE: &str = "[weir shortened this ";

/// How many lines stay: at the beginning, at the end, and of those that tell of trouble.
struct Shape {
    head: usize,
    tail: usize,
    notable: usize,
}

/// `None` where all of it may matter.
const fn shape(kind: Kind) -> Option<Shape> {
    match kind {
        Kind::Log => Some(Shape { head: 10, tail: 60, notable: 60 }),
        Kind::Listing | Kind::Search => Some(Shape { head: 60, tail: 20, notable: 20 }),
        Kind::Checks => Some(Shape { head: 10, tail: 40, notable: 40 }),
        Kind::File | Kind::Other => None,
    }
}

/// Fewer lines left out than this are not worth it.
const LEAST_LEFT_OUT: usize = 40;

pub(super) fn is_shortened(text: &str) -> bool {
    text.ends_with(']') && text.rsplit('\n').next().is_some_and(|line| line.starts_with(NOTE))
}

/// The text shortened, with `keep` having taken the whole and given it a name; `None` where it is not to
/// be, or is not kept.
pub(super) fn shorten(text: &str, kind: Kind, keep: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let Shape { head, tail, notable } = shape(kind)?;
    let lines: Vec<&str> = text.split('\n').collect();
    if lines.len() < head + tail + LEAST_LEFT_OUT || is_shortened(text) || failed::is_failed(text) {
        return None;
    }
    if kind == Kind::Checks && failed::says_so(text) {
        return None;
    }
    let middle = head..lines.len() - tail;
    let mut left = notable;
    let stays = |(at, line): (usize, &&str)| {
        let is_kept = !middle.contains(&at) || (left > 0 && is_notable(line));
        left -= usize::from(is_kept && middle.contains(&at));
        is_kept
    };
    let kept: Vec<bool> = lines.iter().enumerate().map(stays).collect();
    let left_out = kept.iter().filter(|is_kept| !**is_kept).count();
    if left_out < LEAST_LEFT_OUT {
        return None;
    }
    let handle = keep(text)?;
    let (mut out, mut gap) = (String::with_capacity(text.len() / 2), 0);
    for (line, is_kept) in lines.iter().zip(kept) {
        if !is_kept {
            gap += 1;
            continue;
        }
        write_gap(&mut out, std::mem::take(&mut gap));
        out.push_str(line);
        out.push('\n');
    }
    let (kind, of) = (kind.as_str(), lines.len());
    let _ = write!(out, "{NOTE}{kind}: {left_out} of {of} lines are left out; the whole is kept as weir:{handle}]");
    (out.len() < text.len()).then_some(out)
}

fn write_gap(out: &mut String, lines: usize) {
    if lines > 0 {
        let _ = writeln!(out, "... ({lines} lines left out)");
    }
}

/// Whether a line tells of trouble, or how a command ended.
fn is_notable(line: &str) -> bool {
    const WORDS: [&str; 9] =
        ["error", "warn", "fail", "fatal", "panic", "exception", "denied", "exit code", "exit status"];
    let lower = line.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests;
