//! Lines that differ in numbers and in the length of bars only: progress, counters.

use std::fmt::Write as _;
use std::ops::Range;

/// Longer lines are no progress.
const MOST_LINE_BYTES: usize = 512;
pub(super) const LEAST_LINES: usize = 4;
/// Numbers of more digits are names.
const MOST_DIGITS: usize = 15;
/// A bar, a spinner's dots: what is as long as something has got.
const BARS: [char; 9] = ['=', '#', '.', ' ', '-', '█', '▓', '░', '━'];

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Range<usize>),
    Number(Range<usize>),
    Bar(char, usize),
}

/// Whether two lines differ in values only, `same` being the bytes that both begin with. Stops at the first
/// thing else, which in most lines comes soon.
pub(super) fn alike(one: &str, next: &str, same: usize) -> bool {
    if one.len().max(next.len()) > MOST_LINE_BYTES {
        return false;
    }
    // A value may reach over the place where they begin to differ. Letters of several bytes may be bars.
    let may_be_value = |b: &&u8| b.is_ascii_digit() || !b.is_ascii() || BARS.contains(&char::from(**b));
    let head = one.as_bytes().get(..same).unwrap_or_default();
    let from = same - head.iter().rev().take_while(may_be_value).count();
    let (Some(mut one), Some(mut next)) = (one.get(from..), next.get(from..)) else { return false };
    loop {
        (one, next) = match (one.chars().next(), next.chars().next()) {
            (None, None) => return true,
            (Some('0'..='9'), Some('0'..='9')) => {
                let digits = |c: char| c.is_ascii_digit();
                (one.trim_start_matches(digits), next.trim_start_matches(digits))
            }
            (Some(c), Some(other)) if c == other && BARS.contains(&c) => {
                (one.trim_start_matches(c), next.trim_start_matches(c))
            }
            (Some(c), Some(other)) if c == other => {
                let length = c.len_utf8();
                (one.get(length..).unwrap_or_default(), next.get(length..).unwrap_or_default())
            }
            _ => return false,
        };
    }
}

fn pieces(line: &str) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for (at, c) in line.char_indices() {
        let end = at + c.len_utf8();
        match (out.last_mut(), c) {
            (Some(Piece::Number(span)), '0'..='9') => span.end = end,
            (_, '0'..='9') => out.push(Piece::Number(at..end)),
            (Some(Piece::Bar(bar, length)), _) if *bar == c => *length += 1,
            (_, _) if BARS.contains(&c) => out.push(Piece::Bar(c, 1)),
            (Some(Piece::Text(span)), _) => span.end = end,
            (_, _) => out.push(Piece::Text(at..end)),
        }
    }
    out
}

/// The values in one place of all lines.
#[derive(Debug)]
struct Column<'l> {
    bar: Option<char>,
    numbers: Vec<&'l str>,
    lengths: Vec<usize>,
}

/// A note for the lines, without its sigil and count: the columns, and the line with holes. `None`
/// where they are of different shapes after all, or have more columns without a rule than wanted.
pub(super) fn note(lines: &[&str], hole: char, most_irregular: usize) -> Option<String> {
    let first = lines.first()?;
    let pattern = pieces(first);
    let mut columns: Vec<Column<'_>> = Vec::new();
    for piece in pattern.iter().filter(|piece| !matches!(piece, Piece::Text(_))) {
        let bar = if let Piece::Bar(bar, _) = piece { Some(*bar) } else { None };
        columns.push(Column { bar, numbers: Vec::new(), lengths: Vec::new() });
    }
    for line in lines {
        let row = pieces(line);
        let mut column = columns.iter_mut();
        for (own, like) in row.iter().zip(&pattern) {
            match (own, like) {
                (Piece::Text(own), Piece::Text(like)) if line.get(own.clone()) == first.get(like.clone()) => {}
                (Piece::Number(span), Piece::Number(_)) => column.next()?.numbers.push(line.get(span.clone())?),
                (Piece::Bar(a, length), Piece::Bar(b, _)) if a == b => column.next()?.lengths.push(*length),
                _ => return None,
            }
        }
        if row.len() != pattern.len() {
            return None;
        }
    }
    written(first, &pattern, &columns, hole, most_irregular)
}

fn written(
    first: &str,
    pattern: &[Piece],
    columns: &[Column<'_>],
    hole: char,
    most_irregular: usize,
) -> Option<String> {
    let (mut values, mut template, mut irregular) = (String::new(), String::new(), 0);
    let mut column = columns.iter();
    for piece in pattern {
        if let Piece::Text(span) = piece {
            template.push_str(first.get(span.clone())?);
            continue;
        }
        let column = column.next()?;
        if column.is_constant() {
            column.write_first(&mut template);
            continue;
        }
        template.push(hole);
        values.push('[');
        if let Some(bar) = column.bar {
            let _ = write!(values, "{bar}*");
        }
        irregular += usize::from(!column.write(&mut values));
        values.push(']');
    }
    (irregular <= most_irregular && !values.is_empty()).then(|| format!("{values} {template}"))
}

impl Column<'_> {
    fn is_constant(&self) -> bool {
        let same = |list: &[&str]| list.array_windows().all(|[a, b]| a == b);
        same(&self.numbers) && self.lengths.array_windows().all(|[a, b]| a == b)
    }

    fn write_first(&self, out: &mut String) {
        match (self.bar, self.lengths.first()) {
            (Some(bar), Some(length)) => out.extend(std::iter::repeat_n(bar, *length)),
            _ => out.push_str(self.numbers.first().copied().unwrap_or_default()),
        }
    }

    /// As a range where it is one; says whether it was.
    fn write(&self, out: &mut String) -> bool {
        let values = self.values();
        if let Some((first, last, step)) = values.as_deref().and_then(progression) {
            let _ = match step {
                1 => write!(out, "{first}..{last}"),
                step => write!(out, "{first}..{last}/{step}"),
            };
            return true;
        }
        let mut between = "";
        for number in &self.numbers {
            let _ = write!(out, "{between}{number}");
            between = " ";
        }
        for length in &self.lengths {
            let _ = write!(out, "{between}{length}");
            between = " ";
        }
        false
    }

    /// The numbers, where each is written as numbers are.
    fn values(&self) -> Option<Vec<i64>> {
        let number = |text: &&str| match text.len() {
            1..=MOST_DIGITS if text.len() == 1 || !text.starts_with('0') => text.parse().ok(),
            _ => None,
        };
        match self.bar {
            Some(_) => self.lengths.iter().map(|length| i64::try_from(*length).ok()).collect(),
            None => self.numbers.iter().map(number).collect(),
        }
    }
}

/// First, last and the step between them.
fn progression(values: &[i64]) -> Option<(i64, i64, i64)> {
    let [first, second, .., last] = values else { return None };
    let step = second - first;
    let even = step != 0 && values.array_windows().all(|[a, b]| b - a == step);
    even.then_some((*first, *last, step))
}

/// The lines of a note, to be written one by one.
#[derive(Debug)]
pub(super) struct Rows<'n> {
    columns: Vec<(Option<char>, Values<'n>)>,
    template: &'n str,
    hole: char,
}

#[derive(Debug)]
enum Values<'n> {
    Range { first: i64, step: i64 },
    List(Vec<&'n str>),
}

impl<'n> Rows<'n> {
    /// `count` lines. `None` where the note is none of ours.
    pub(super) fn of(note: &'n str, count: usize, hole: char) -> Option<Self> {
        let mut rest = note;
        let mut columns = Vec::new();
        while let Some(inner) = rest.strip_prefix('[') {
            let (column, behind) = inner.split_once(']')?;
            columns.push(read_column(column, count)?);
            rest = behind;
        }
        let template = rest.strip_prefix(' ')?;
        let is_ours = !columns.is_empty() && template.matches(hole).count() == columns.len();
        is_ours.then_some(Self { columns, template, hole })
    }

    /// Appends one of them.
    pub(super) fn write(&self, row: usize, out: &mut String) -> Option<()> {
        let mut pieces = self.template.split(self.hole);
        out.push_str(pieces.next()?);
        for (piece, (bar, values)) in pieces.zip(&self.columns) {
            match (bar, values) {
                (Some(bar), values) => out.extend(std::iter::repeat_n(*bar, values.length(row)?)),
                (None, Values::Range { .. }) => write!(out, "{}", values.at(row)?).ok()?,
                (None, Values::List(list)) => out.push_str(list.get(row)?),
            }
            out.push_str(piece);
        }
        Some(())
    }
}

impl Values<'_> {
    fn at(&self, row: usize) -> Option<i64> {
        match self {
            Self::Range { first, step } => first.checked_add(step.checked_mul(i64::try_from(row).ok()?)?),
            Self::List(list) => list.get(row)?.parse().ok(),
        }
    }

    /// Of a bar, which is no longer than a line.
    fn length(&self, row: usize) -> Option<usize> {
        usize::try_from(self.at(row)?).ok().filter(|length| *length <= MOST_LINE_BYTES)
    }
}

fn read_column(text: &str, count: usize) -> Option<(Option<char>, Values<'_>)> {
    let mut chars = text.chars();
    let (bar, values) = match (chars.next()?, chars.next()) {
        (bar, Some('*')) if BARS.contains(&bar) => (Some(bar), chars.as_str()),
        _ => (None, text),
    };
    if let Some((first, last)) = values.split_once("..") {
        let (last, step) = last.split_once('/').unwrap_or((last, "1"));
        let (first, last, step): (i64, i64, i64) = (first.parse().ok()?, last.parse().ok()?, step.parse().ok()?);
        let steps = i64::try_from(count).ok()?.checked_sub(1)?;
        let is_ours = step != 0 && first.checked_add(step.checked_mul(steps)?)? == last;
        return is_ours.then_some((bar, Values::Range { first, step }));
    }
    let list: Vec<&str> = values.split(' ').collect();
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (list.len() == count && list.iter().all(is_number)).then_some((bar, Values::List(list)))
}
