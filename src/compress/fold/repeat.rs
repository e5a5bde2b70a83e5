//! Lines that come again at once: one line, or a block of a few, several times in a row.

/// The longest block that is looked for.
const MOST_PERIOD: usize = 8;
/// Fewer bytes than this are not worth a note.
const LEAST_BYTES: usize = 32;

/// Looks for repeats from line to line; each line is looked at once for each length of block.
#[derive(Debug)]
pub(super) struct Repeats<'i> {
    /// Equal numbers are equal lines.
    ids: &'i [u32],
    /// For each period: up to where lines are known to equal those one period on.
    ends: [usize; MOST_PERIOD],
}

/// So many copies of the lines from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) period: usize,
    pub(super) copies: usize,
}

impl<'i> Repeats<'i> {
    pub(super) fn new(ids: &'i [u32]) -> Self {
        Self { ids, ends: [0; MOST_PERIOD] }
    }

    /// The repeat that begins at a line and saves most, if any is worth it. Lines are asked for in order.
    pub(super) fn at(&mut self, line: usize, bytes: impl Fn(usize, usize) -> usize) -> Option<Repeat> {
        let mut best: Option<(usize, Repeat)> = None;
        for (index, end) in self.ends.iter_mut().enumerate() {
            let period = index + 1;
            if *end < line {
                *end = line;
            }
            while let (Some(one), Some(other)) = (self.ids.get(*end), self.ids.get(*end + period))
                && one == other
            {
                *end += 1;
            }
            let copies = 1 + (*end - line) / period;
            let saved = (copies - 1).saturating_mul(bytes(line, line + period));
            if copies > 1 && saved >= LEAST_BYTES && best.is_none_or(|(most, _)| saved > most) {
                best = Some((saved, Repeat { period, copies }));
            }
        }
        best.map(|(_, repeat)| repeat)
    }
}
