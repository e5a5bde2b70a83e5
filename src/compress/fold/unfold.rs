//! A folded text back to what it was.

use super::sign::Signs;
use super::{codes, layout, template};

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
        legend.push((letter, line.get(letter.len_utf8()..)?.to_owned()));
        rest = behind;
    }
    let mut reader = Reader { signs, lines: Vec::new(), states: None, begin: None, bytes: 0 };
    rest.split('\n').try_for_each(|line| reader.line(line))?;
    let text = reader.done()?;
    Some(if legend.is_empty() { text } else { codes::take(&text, &legend) })
}

struct Reader<'f> {
    signs: Signs,
    lines: Vec<String>,
    /// The states of one line: how many there are to be, and those that are there.
    states: Option<(usize, Vec<String>)>,
    /// How the next lines begin, and how many of them.
    begin: Option<(usize, &'f str)>,
    bytes: usize,
}

impl<'f> Reader<'f> {
    fn line(&mut self, line: &'f str) -> Option<()> {
        let note = line.strip_prefix(self.signs.sigil);
        match (self.begin, note) {
            (Some((left, begin)), None) => {
                self.begin = left.checked_sub(1).filter(|left| *left > 0).map(|left| (left, begin));
                self.push(format!("{begin}{line}"))
            }
            (Some(_), Some(_)) => None,
            (None, None) => self.push(line.to_owned()),
            (None, Some(note)) => self.note(note.strip_prefix(' ')?),
        }
    }

    fn note(&mut self, note: &'f str) -> Option<()> {
        if let Some(times) = note.strip_prefix('x') {
            let (copies, period) = times.split_once(" of ").unwrap_or((times, "1"));
            return self.again(number(copies)?, number(period)?);
        }
        if let Some(count) = note.strip_prefix("r ") {
            let count = number(count)?;
            return (self.states.is_none() && count > 1).then(|| self.states = Some((count, Vec::new())));
        }
        let (count, rest) = note.split_once(' ')?;
        let count = number(count)?;
        if let Some(begin) = rest.strip_prefix("begin ") {
            self.begin = Some((count, begin));
            return Some(());
        }
        let columns = rest.strip_prefix("like ")?;
        // Each line has at least as many bytes as its template.
        if count.checked_mul(columns.len())? > MOST_BYTES {
            return None;
        }
        template::lines(columns, count, self.signs.hole)?.into_iter().try_for_each(|line| self.push(line))
    }

    /// The last lines, so many times in all.
    fn again(&mut self, copies: usize, period: usize) -> Option<()> {
        let lines = self.states.as_ref().map_or(&self.lines, |(_, states)| states);
        let block = lines.get(lines.len().checked_sub(period)?..)?.to_vec();
        for _ in 1..copies {
            block.iter().try_for_each(|line| self.push(line.clone()))?;
        }
        Some(())
    }

    fn push(&mut self, line: String) -> Option<()> {
        self.bytes = self.bytes.checked_add(line.len() + 1).filter(|bytes| *bytes <= MOST_BYTES)?;
        let Some((wanted, states)) = &mut self.states else {
            self.lines.push(line);
            return Some(());
        };
        states.push(line);
        if states.len() == *wanted {
            let line = states.join("\r");
            self.states = None;
            self.lines.push(line);
        }
        Some(())
    }

    fn done(self) -> Option<String> {
        (self.states.is_none() && self.begin.is_none()).then(|| self.lines.join("\n"))
    }
}

/// As we write them: at least one, without zeros before it.
fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|value| *value > 0 && !text.starts_with(['0', '+']))
}
