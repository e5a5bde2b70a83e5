//! The lossless tier for one text: what is said many times is said once, in a notation that a model
//! can read and [`unfold`] turns back into exactly what it was.
//!
//! A folded text begins with a line that says so and explains the notes it has:
//!
//! ```text
//! § weir folded this text, nothing is lost; "§ xN": the line above stands N times
//! warning: unused variable
//! § x41
//! ```
//!
//! Notes are lines that begin with a sign that the text itself does not have (`sign`), so nothing has to
//! be escaped: a text that has all of the signs is left alone, and so is one that is folded already.
//! Every step looks at each byte a bounded number of times.

use std::borrow::Cow;
use std::collections::HashMap;

mod codes;
mod judge;
mod layout;
mod prefix;
mod repeat;
mod sign;
mod template;
mod unfold;

pub use judge::Count;
pub use unfold::unfold;

use super::{Savings, Strategy};
use judge::Judge;
pub(super) use judge::whole;
use sign::Signs;

/// A line with so many carriage returns is progress.
const LEAST_RETURNS: usize = 8;
/// Headers are plain English, of which a token has about four bytes: they are not worth a count.
const HEADER_BYTES_OF_A_TOKEN: u64 = 3;
/// Tokens that have to be saved beside the header's own.
const LEAST_SAVED: u64 = 8;

const OF_REPEATS: &str = "; \"{s} xN\": the line above stands N times; \"{s} xN of P\": the P lines above";
const OF_PREFIXES: &str = "; \"{s} N begin P\": each of the next N lines begins with P";
const OF_TEMPLATES: &str = "; \"{s} N like [V] T\": N lines, T with each value of V at {h}";
const OF_RETURNS: &str = "; \"{s} r N\": the next N lines are one, parted by carriage returns";
const OF_CODES: &str = "; letters stand for terminal codes";

/// A text folded, and what that saves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    pub text: String,
    pub savings: Savings,
}

/// Whether a text is of this notation, going by how it begins.
pub fn is_folded(text: &str) -> bool {
    Signs::of_folded(text).is_some()
}

/// About the tokens of a text: by its beginning.
pub fn about(text: &str, count: &Count<'_>) -> u64 {
    const SAMPLE_BYTES: usize = 256;
    let sample = text.get(..text.floor_char_boundary(SAMPLE_BYTES)).unwrap_or_default();
    count(sample).saturating_mul(whole(text.len())) / whole(sample.len()).max(1)
}

/// Folds a text; `None` where nothing is saved by it.
pub fn fold(text: &str, count: &Count<'_>) -> Option<Folded> {
    if is_folded(text) {
        return None;
    }
    let signs = Signs::free_in(text)?;
    if let Some(layout) = layout::of(text) {
        return of_json(text, layout, &signs, count);
    }
    let (coded, legend, codes_saved) = match codes::put(text, &signs, &mut Judge::new(count, text.len())) {
        Some((coded, legend, saved)) => (Cow::Owned(coded), legend, saved),
        None => (Cow::Borrowed(text), Vec::new(), 0),
    };
    let mut writer = Writer {
        judge: Judge::new(count, text.len()),
        signs: &signs,
        saved: Savings::of(Strategy::Codes, codes_saved),
        used: Used { codes: !legend.is_empty(), ..Used::default() },
    };
    let body = writer.lines(&coded, '\n', 1);
    let (mut savings, used) = (writer.saved, writer.used);
    let mut out = used.header(&signs);
    let header_tokens = whole(out.len()) / HEADER_BYTES_OF_A_TOKEN;
    if savings.total() < header_tokens + LEAST_SAVED {
        return None;
    }
    savings.less(header_tokens);
    for (letter, sequence) in &legend {
        out.push_str(&format!("\n{}={letter}{sequence}", signs.sigil));
    }
    for line in &body {
        out.push('\n');
        out.push_str(line);
    }
    // What cannot be turned back is not lossless, whatever the reason.
    let is_exact = out.len() < text.len() && unfold(&out).as_deref() == Some(text);
    is_exact.then_some(Folded { text: out, savings })
}

/// JSON whose white space is a rule.
fn of_json(text: &str, layout: layout::Layout, signs: &Signs, count: &Count<'_>) -> Option<Folded> {
    const SAMPLE_BYTES: usize = 512;
    let name = layout::NAMES.iter().find(|(_, known)| *known == layout).map(|(name, _)| *name)?;
    let (body, end) = match text.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (text, ""),
    };
    let small = layout::small(body);
    let header = format!("{}{name}\n", signs.opening());
    let sample = body.get(..body.floor_char_boundary(SAMPLE_BYTES))?;
    let (before, after) = (count(sample), count(&layout::small(sample)));
    let saved = before.saturating_sub(after).saturating_mul(whole(body.len())) / whole(sample.len()).max(1);
    let header_tokens = whole(header.len()) / HEADER_BYTES_OF_A_TOKEN;
    if saved < header_tokens + LEAST_SAVED {
        return None;
    }
    let out = format!("{header}{small}{end}");
    let is_exact = unfold(&out).as_deref() == Some(text);
    is_exact.then_some(Folded { text: out, savings: Savings::of(Strategy::Json, saved - header_tokens) })
}

/// Which notes a text has.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    repeats: bool,
    prefixes: bool,
    templates: bool,
    returns: bool,
    codes: bool,
}

impl Used {
    fn header(self, signs: &Signs) -> String {
        let mut out = signs.opening();
        let (sigil, hole) = (signs.sigil.to_string(), signs.hole.to_string());
        let notes = [
            (self.repeats, OF_REPEATS),
            (self.prefixes, OF_PREFIXES),
            (self.templates, OF_TEMPLATES),
            (self.returns, OF_RETURNS),
            (self.codes, OF_CODES),
        ];
        for (_, words) in notes.iter().filter(|(used, _)| *used) {
            out.push_str(&words.replace("{s}", &sigil).replace("{h}", &hole));
        }
        out
    }
}

struct Writer<'w, 'c, 't> {
    judge: Judge<'c, 't>,
    signs: &'w Signs,
    saved: Savings,
    used: Used,
}

/// The lines of a text, and what is known of each.
struct Lines<'t> {
    text: &'t str,
    lines: Vec<&'t str>,
    /// Where each begins; one more for the end.
    starts: Vec<usize>,
    ids: Vec<u32>,
    shared: Vec<usize>,
    /// Whether each line and the next differ in values only.
    alike: Vec<bool>,
    most_irregular: usize,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str, parted_by: char, most_irregular: usize) -> Self {
        let lines: Vec<&str> = text.split(parted_by).collect();
        let mut starts = Vec::with_capacity(lines.len() + 1);
        starts.push(0);
        let mut known: HashMap<&str, u32> = HashMap::new();
        let (mut ids, mut end) = (Vec::with_capacity(lines.len()), 0);
        for line in &lines {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            ids.push(*known.entry(line).or_insert(next));
            end += line.len() + parted_by.len_utf8();
            starts.push(end);
        }
        let common = prefix::common(&lines);
        let pairs = lines.array_windows().zip(&common);
        let alike = pairs.map(|([one, next], same)| template::alike(one, next, *same)).collect();
        Self { text, shared: prefix::shared(&lines, &common), lines, starts, ids, alike, most_irregular }
    }

    fn bytes(&self, from: usize, to: usize) -> usize {
        let start = |at: usize| self.starts.get(at).copied().unwrap_or(self.text.len());
        start(to).saturating_sub(start(from))
    }

    /// The text of some lines, as it stands.
    fn block(&self, from: usize, to: usize) -> &'t str {
        let start = |at: usize| self.starts.get(at).copied().unwrap_or(self.text.len()).min(self.text.len());
        self.text.get(start(from)..start(to)).unwrap_or_default()
    }

    fn slice(&self, from: usize, count: usize) -> &[&'t str] {
        self.lines.get(from..from + count).unwrap_or_default()
    }

    /// Lines from here on that differ in values only.
    fn alike(&self, at: usize) -> usize {
        let rest = self.alike.get(at..).unwrap_or_default();
        1 + rest.iter().take_while(|is_alike| **is_alike).count()
    }
}

impl<'t> Writer<'_, '_, 't> {
    /// The lines of a text as they go out.
    fn lines(&mut self, text: &'t str, parted_by: char, most_irregular: usize) -> Vec<Cow<'t, str>> {
        let all = Lines::of(text, parted_by, most_irregular);
        let mut repeats = repeat::Repeats::new(&all.ids);
        let (mut out, mut at, mut tried) = (Vec::with_capacity(all.lines.len()), 0, 0);
        while let Some(line) = all.lines.get(at) {
            let found = repeats.at(at, |from, to| all.bytes(from, to));
            if let Some(repeat) = found
                && self.repeat(&all, at, repeat, &mut out)
            {
                at += repeat.period * repeat.copies;
                continue;
            }
            if at >= tried {
                let alike = all.alike(at);
                if alike >= template::LEAST_LINES && self.template(&all, at, alike, &mut out) {
                    at += alike;
                    continue;
                }
                // Lines that were looked at in vain are not looked at again.
                tried = at + alike;
            }
            if let Some(group) = prefix::group(&all.lines, &all.shared, at)
                && self.group(&all, at, group, &mut out)
            {
                at += group.lines;
                continue;
            }
            if !(parted_by == '\n' && self.returns(line, &mut out)) {
                out.push(Cow::Borrowed(*line));
            }
            at += 1;
        }
        out
    }

    /// Books what a note saves, if it does.
    fn worth(&mut self, strategy: Strategy, times: usize, unit: &'t str, note: &str) -> bool {
        let gone = whole(times).saturating_mul(self.judge.unit(unit));
        // The line's end is a token too.
        let come = self.judge.note(note) + 1;
        let saves = gone > come;
        self.saved.add(strategy, gone.saturating_sub(come));
        saves
    }

    fn repeat(&mut self, all: &Lines<'t>, at: usize, it: repeat::Repeat, out: &mut Vec<Cow<'t, str>>) -> bool {
        let sigil = self.signs.sigil;
        let note = match it.period {
            1 => format!("{sigil} x{}", it.copies),
            period => format!("{sigil} x{} of {period}", it.copies),
        };
        let is_worth = self.worth(Strategy::Repeats, it.copies - 1, all.block(at, at + it.period), &note);
        if is_worth {
            self.used.repeats = true;
            out.extend(all.slice(at, it.period).iter().map(|line| Cow::Borrowed(*line)));
            out.push(Cow::Owned(note));
        }
        is_worth
    }

    fn template(&mut self, all: &Lines<'t>, at: usize, count: usize, out: &mut Vec<Cow<'t, str>>) -> bool {
        let Some(note) = template::note(all.slice(at, count), self.signs.hole, all.most_irregular) else {
            return false;
        };
        let note = format!("{} {count} like {note}", self.signs.sigil);
        let is_worth = note.len() * 3 < all.bytes(at, at + count) * 2
            && self.worth(Strategy::Progress, count, all.block(at, at + 1), &note);
        if is_worth {
            self.used.templates = true;
            out.push(Cow::Owned(note));
        }
        is_worth
    }

    fn group(&mut self, all: &Lines<'t>, at: usize, group: prefix::Group, out: &mut Vec<Cow<'t, str>>) -> bool {
        let Some(prefix) = all.lines.get(at).and_then(|line| line.get(..group.bytes)) else { return false };
        let note = format!("{} {} begin {prefix}", self.signs.sigil, group.lines);
        let is_worth = self.worth(Strategy::Prefixes, group.lines, prefix, &note);
        if is_worth {
            self.used.prefixes = true;
            out.push(Cow::Owned(note));
            let behind = |line: &&'t str| Cow::Borrowed(line.get(group.bytes..).unwrap_or_default());
            out.extend(all.slice(at, group.lines).iter().map(behind));
        }
        is_worth
    }

    /// A line that a terminal wrote over again and again: its states as lines of their own, if that saves.
    fn returns(&mut self, line: &'t str, out: &mut Vec<Cow<'t, str>>) -> bool {
        let states = 1 + memchr::memchr_iter(b'\r', line.as_bytes()).count();
        if states <= LEAST_RETURNS {
            return false;
        }
        let (saved, used) = (self.saved, self.used);
        let inner = self.lines(line, '\r', usize::MAX);
        let note = format!("{} r {states}", self.signs.sigil);
        let come = self.judge.note(&note) + 1;
        if self.saved.total() <= saved.total().saturating_add(come) {
            (self.saved, self.used) = (saved, used);
            return false;
        }
        self.saved.less(come);
        self.used.returns = true;
        out.push(Cow::Owned(note));
        out.extend(inner);
        true
    }
}

#[cfg(test)]
mod tests;
