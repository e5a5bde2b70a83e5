//! A whole conversation: which of its texts are touched, in which order, and with how much work.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Instant;

use super::command::{self, Kind};
use super::fold::{self, Count, Folded, fold, unfold};
use super::shorten::shorten;
use super::{Rules, Savings, Strategy, Tier, again};
use crate::wire::Dialect;
use crate::wire::leaves::{Edits, Leaf, Leaves, Who};

/// How a request is compressed.
pub struct How<'h> {
    pub rules: &'h Rules,
    pub tier: Tier,
    /// Tokens of a text, by the target's tokenizer.
    pub count: &'h Count<'h>,
    /// Keeps what the lossy tier takes away, and gives it a name.
    pub keep: &'h dyn Fn(&str) -> Option<String>,
    /// When it has to end, done or not: far behind what the rules reckon with.
    pub until: Option<Instant>,
}

impl std::fmt::Debug for How<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("How").field("rules", self.rules).field("tier", &self.tier).finish_non_exhaustive()
    }
}

/// A body with fewer tokens.
#[derive(Debug)]
pub struct Compressed {
    pub body: Vec<u8>,
    pub savings: Savings,
}

/// The body with what its tools gave back compressed; `None` where nothing is saved.
pub fn compress(dialect: Dialect, body: &str, how: &How<'_>) -> Option<Compressed> {
    let found = Leaves::of_request(dialect, body).ok()?;
    let mut work =
        Work { how, body, found: &found, seen: HashMap::new(), edits: Edits::new(), savings: Savings::default() };
    let mut left = how.rules.most_bytes();
    let mut number = 0;
    for leaf in found.leaves.iter().filter(|leaf| is_touched(leaf.who, how.rules)) {
        left = match left.checked_sub(leaf.span.len()) {
            Some(left) if how.until.is_none_or(|until| Instant::now() < until) => left,
            _ => break,
        };
        if leaf.who == Who::User {
            work.user_text(leaf);
        } else {
            number += 1;
            work.result(number, leaf);
        }
    }
    let Work { edits, savings, .. } = work;
    (!edits.is_empty()).then(|| Compressed { body: edits.write(body.as_bytes()), savings })
}

const fn is_touched(who: Who, rules: &Rules) -> bool {
    match who {
        Who::ToolResult => true,
        Who::User => rules.user_texts && rules.lossless,
        _ => false,
    }
}

struct Work<'w, 'h, 'b> {
    how: &'w How<'h>,
    body: &'b str,
    found: &'w Leaves<'b>,
    /// The number of each text that was there, among the results.
    seen: HashMap<Cow<'b, str>, usize>,
    edits: Edits,
    savings: Savings,
}

impl<'b> Work<'_, '_, 'b> {
    fn result(&mut self, number: usize, leaf: &Leaf) {
        let Some(text) = self.text(leaf) else { return };
        if let Some(earlier) = self.seen.get(&text).filter(|_| self.how.rules.lossless) {
            let note = again::note(*earlier);
            let saved = fold::about(&text, self.how.count).saturating_sub((self.how.count)(&note));
            if saved > 0 {
                self.edits.replace(leaf, &note);
                self.savings.add(Strategy::Again, saved);
            }
            return;
        }
        self.one(leaf, &text);
        self.seen.insert(text, number);
    }

    /// The text of a leaf, if it may be worth something.
    fn text(&self, leaf: &Leaf) -> Option<Cow<'b, str>> {
        let is_long = |text: &str| text.len() >= self.how.rules.min_bytes;
        // The shortest a literal can be is its text and two quotes.
        let literal = Some(leaf.literal(self.body)).filter(|literal| is_long(literal))?;
        let text = leaf.text(self.body);
        (is_long(&text) && !fold::is_folded(&text) && !has_halves(literal, &text)).then_some(text)
    }

    /// What a user said, if it is plain that a machine wrote it: nothing else becomes so much shorter.
    fn user_text(&mut self, leaf: &Leaf) {
        let Some(text) = self.text(leaf) else { return };
        // JSON may be a file that is to be changed.
        let is_json = |folded: &Folded| folded.savings.iter().any(|(strategy, _)| strategy == Strategy::Json);
        let is_plain = |folded: &Folded| folded.text.len() <= text.len() / 2 && !is_json(folded);
        if let Some(folded) = fold(&text, self.how.count).filter(is_plain) {
            self.savings += folded.savings;
            self.edits.replace(leaf, &folded.text);
        }
    }

    /// One text by itself.
    fn one(&mut self, leaf: &Leaf, text: &str) {
        let kind = self.found.call_of(leaf).map_or(Kind::Other, command::kind);
        // An editor has to find in a file what it is told to replace there.
        if kind == Kind::File {
            return;
        }
        let may_shorten = self.how.tier == Tier::Lossy && !leaf.is_error && self.stands_alone(leaf);
        let short = if may_shorten { shorten(text, kind, self.how.keep) } else { None };
        if let Some(short) = &short {
            let (before, after) = (fold::about(text, self.how.count), fold::about(short, self.how.count));
            self.savings.add(Strategy::Shortened, before.saturating_sub(after));
        }
        let now = short.as_deref().unwrap_or(text);
        let folded = if self.how.rules.lossless { fold(now, self.how.count) } else { None };
        match folded {
            Some(folded) => {
                self.savings += folded.savings;
                self.edits.replace(leaf, &folded.text);
            }
            _ => {
                if let Some(short) = &short {
                    self.edits.replace(leaf, short);
                }
            }
        }
    }

    /// Whether no other text of the same call says that it failed (`stderr` beside `stdout`).
    fn stands_alone(&self, leaf: &Leaf) -> bool {
        let of_call = |other: &&Leaf| other.call == leaf.call && other.call.is_some() && other.who == Who::ToolResult;
        // Neighbours only: parts of one result stand together.
        let at = self.found.leaves.partition_point(|other| other.span.start < leaf.span.start);
        let before = self.found.leaves.get(at.saturating_sub(4)..at).unwrap_or_default();
        let behind = self.found.leaves.get(at + 1..).unwrap_or_default().iter().take(4);
        let texts = before.iter().chain(behind).filter(of_call).map(|other| other.text(self.body));
        !texts.into_iter().any(|text| super::failed::is_failed(&text))
    }
}

/// Whether a literal has half of a surrogate pair, which text cannot hold: it reads as U+FFFD.
fn has_halves(literal: &str, text: &str) -> bool {
    text.contains('\u{fffd}') && ["\\ud", "\\uD"].iter().any(|escape| literal.contains(escape))
}

/// The body as it was before the lossless tier: references and folded texts as what they stand for.
pub fn restore(dialect: Dialect, body: &str) -> Option<Vec<u8>> {
    let found = Leaves::of_request(dialect, body).ok()?;
    let mut texts: Vec<Cow<'_, str>> = Vec::new();
    let mut edits = Edits::new();
    for leaf in found.leaves.iter().filter(|leaf| matches!(leaf.who, Who::ToolResult | Who::User)) {
        let text = leaf.text(body);
        if leaf.who == Who::User {
            unfold(&text).into_iter().for_each(|whole| edits.replace(leaf, &whole));
            continue;
        }
        let whole = match again::number(&text) {
            Some(number) => number.checked_sub(1).and_then(|at| texts.get(at)).map(|text| text.to_string()),
            None => unfold(&text),
        };
        if let Some(whole) = &whole {
            edits.replace(leaf, whole);
        }
        texts.push(whole.map_or(text, Cow::Owned));
    }
    Some(edits.write(body.as_bytes()))
}

#[cfg(test)]
mod tests;
