//! The placeholders of one request, and what they stand for. In memory only, as long as the request runs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Kind;
use super::text::{Runs, Text, Verdict};

/// `[EMAIL_1]` at its longest.
pub(super) const MOST_PLACEHOLDER_BYTES: usize = 24;
const MOST_DIGITS: usize = 8;

/// See the module documentation.
#[derive(Clone, Default)]
pub struct Vault {
    numbers: HashMap<(Kind, Arc<str>), u32>,
    values: HashMap<String, Arc<str>>,
    next: HashMap<Kind, u32>,
    /// Placeholders that stood in the request before: they mean what they say.
    taken: HashSet<String>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Vault {
    /// Keeps placeholders that stand in a text from being given out.
    pub fn avoid(&mut self, text: &str) {
        let runs = Runs::default();
        let bytes = Text::new(text, true, &runs);
        for place in memchr::memchr_iter(b'[', text.as_bytes()) {
            if let Verdict::Hit(end) = placeholder_at(bytes, place)
                && let Some(found) = text.get(place..end)
            {
                self.taken.insert(found.to_owned());
            }
        }
    }

    /// What stands for a value: the same for the same one.
    pub fn placeholder(&mut self, kind: Kind, value: &str) -> String {
        let value: Arc<str> = Arc::from(value);
        if let Some(number) = self.numbers.get(&(kind, Arc::clone(&value))) {
            return written(kind, *number);
        }
        let next = self.next.entry(kind).or_default();
        let placeholder = loop {
            *next += 1;
            let placeholder = written(kind, *next);
            if !self.taken.contains(&placeholder) {
                break placeholder;
            }
        };
        self.numbers.insert((kind, Arc::clone(&value)), *next);
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub fn value(&self, placeholder: &str) -> Option<&str> {
        self.values.get(placeholder).map(|value| &**value)
    }

    /// A text in which nothing can be put back any more: its placeholders say what was there, and not which.
    pub fn forget(&self, text: &str) -> String {
        let runs = Runs::default();
        let bytes = Text::new(text, true, &runs);
        let (mut out, mut sent) = (String::with_capacity(text.len()), 0);
        for place in memchr::memchr_iter(b'[', text.as_bytes()) {
            let Verdict::Hit(end) = placeholder_at(bytes, place) else { continue };
            let Some(label) = text.get(place..end).filter(|found| self.values.contains_key(*found)) else { continue };
            out.push_str(text.get(sent..place).unwrap_or_default());
            out.push_str(label.split('_').next().unwrap_or_default());
            out.push(']');
            sent = end;
        }
        out.push_str(text.get(sent..).unwrap_or_default());
        out
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn written(kind: Kind, number: u32) -> String {
    format!("[{}_{number}]", kind.label())
}

/// Whether what looks like a placeholder begins there.
pub(super) fn placeholder_at(text: Text<'_>, place: usize) -> Verdict {
    if text.at(place) != Some(b'[') {
        return Verdict::No;
    }
    let label = text.run(place + 1, MOST_PLACEHOLDER_BYTES, |b| b.is_ascii_uppercase());
    if text.is_cut(label) && label - place <= MOST_PLACEHOLDER_BYTES {
        return Verdict::More;
    }
    if label == place + 1 || text.at(label) != Some(b'_') {
        return Verdict::No;
    }
    let number = text.run(label + 1, MOST_DIGITS + 1, |b| b.is_ascii_digit());
    if text.is_cut(number) && number - label <= MOST_DIGITS + 1 {
        return Verdict::More;
    }
    let is_there = number > label + 1 && number - label <= MOST_DIGITS + 1 && text.at(number) == Some(b']');
    if is_there { Verdict::Hit(number + 1) } else { Verdict::No }
}
