//! A folded text back to what it was.

use super::sign::Signs;
use super::template::Rows;
use super::{codes, layout};

/// What unfolds to more is none of ours: a few bytes of notes can ask for any number of lines.
const MOST_BYTES: usize = 64 << 20;

/// The text that was folded. `None` where it was not, or is not of the notation.
pub fn unfold(text: &str) -> Option<String> {
    let (signs, rest) = Signs::of_folded(text)?;
    let (header, rest) = rest.split_once('\n')?;
    if let Some((_, layout)) = layout::NAMES.iter().find(|(name, _)| *name == header) {
        let (small, end) = match rest.strip_suffix('\n') {
            Some(small) => (small, "\n"),
            None => (rest, ""),
        };
        return layout::large(small, *layout).map(|large| large + end);
    }
    let mut legend = Vec::new();
    let mut rest = rest;
    while let Some(line) = rest.strip_prefix(signs.sigil).and_then(|line| line.strip_prefix('=')) {
        let (line, behind) = line.split_once('\n')?;
        let letter = line.chars().next().filter(|c| signs.letters.contains(c))?;
        legend.push((letter, line.get(letter.len_utf8()..)?));
        rest = behind;
    }
    let mut reader = Reader::new(signs, rest.len());
    rest.split('\n').try_for_each(|line| reader.line(line))?;
    let text = reader.done()?;
    Some(if legend.is_empty() { text } else { codes::take(&text, &legend) })
}

/// What is parted: lines of the text, or states of one of its lines.
#[derive(Debug, Clone, Copy)]
struct Parts {
    by: char,
    /// Where the first begins.
    from: usize,
    count: usize,
}

struct Reader<'f> {
    signs: Signs,
    out: String,
    lines: Parts,
    /// The states of a line that is not whole, and how many there are to be.
    states: Option<(Parts, usize)>,
    /// How the next lines begin, and how many of them.
    begin: Option<(usize, &'f str)>,
}

impl<'f> Reader<'f> {
    fn new(signs: Signs, bytes: usize) -> Self {
        let lines = Parts { by: '\n', from: 0, count: 0 };
        Self { signs, out: String::with_capacity(bytes * 2), lines, states: None, begin: None }
    }

    fn line(&mut self, line: &'f str) -> Option<()> {
        let note = line.strip_prefix(self.signs.sigil);
        match (self.begin, note) {
            (Some((left, begin)), None) => {
                self.begin = left.checked_sub(1).filter(|left| *left > 0).map(|left| (left, begin));
                self.open();
                self.out.push_str(begin);
                self.out.push_str(line);
                self.close(1)
            }
            (Some(_), Some(_)) => None,
            (None, None) => {
                self.open();
                self.out.push_str(line);
                self.close(1)
            }
            (None, Some(note)) => self.note(note.strip_prefix(' ')?),
        }
    }

    fn note(&mut self, note: &'f str) -> Option<()> {
        if let Some(times) = note.strip_prefix('x') {
            let (copies, period) = times.split_once(" of ").unwrap_or((times, "1"));
            return self.again(number(copies)?, number(period)?);
        }
        if let Some(count) = note.strip_prefix("r ") {
            let count = number(count).filter(|count| *count > 1 && self.states.is_none())?;
            self.open();
            self.states = Some((Parts { by: '\r', from: self.out.len(), count: 0 }, count));
            return Some(());
        }
        let (count, rest) = note.split_once(' ')?;
        let count = number(count)?;
        if let Some(begin) = rest.strip_prefix("begin ") {
            self.begin = Some((count, begin));
            return Some(());
        }
        let rows = Rows::of(rest.strip_prefix("like ")?, count, self.signs.hole)?;
        (0..count).try_for_each(|row| {
            self.open();
            rows.write(row, &mut self.out)?;
            self.close(1)
        })
    }

    /// The last lines, so many times in all.
    fn again(&mut self, copies: usize, period: usize) -> Option<()> {
        let parts = self.parts();
        if period > parts.count {
            return None;
        }
        let mut before = self.out.get(parts.from..)?;
        for _ in 0..period {
            before = before.rfind(parts.by).map_or("", |at| before.get(..at).unwrap_or_default());
        }
        let is_all = period == parts.count;
        let start = parts.from + before.len() + if is_all { 0 } else { parts.by.len_utf8() };
        let block = self.out.get(start..)?.to_owned();
        for _ in 1..copies {
            self.open();
            self.out.push_str(&block);
            self.close(period)?;
        }
        Some(())
    }

    fn parts(&self) -> Parts {
        self.states.map_or(self.lines, |(states, _)| states)
    }

    /// Where the next line or state begins.
    fn open(&mut self) {
        let parts = self.parts();
        if parts.count > 0 {
            self.out.push(parts.by);
        }
    }

    /// So many more of them are written.
    fn close(&mut self, count: usize) -> Option<()> {
        if let Some((states, wanted)) = &mut self.states {
            states.count += count;
            match states.count.cmp(wanted) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => {
                    self.states = None;
                    self.lines.count += 1;
                }
                std::cmp::Ordering::Greater => return None,
            }
        } else {
            self.lines.count += count;
        }
        (self.out.len() <= MOST_BYTES).then_some(())
    }

    fn done(self) -> Option<String> {
        (self.states.is_none() && self.begin.is_none()).then_some(self.out)
    }
}

/// As we write them: at least one, without zeros before it.
fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|value| *value > 0 && !text.starts_with(['0', '+']))
}
