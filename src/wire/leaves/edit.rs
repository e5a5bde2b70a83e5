//! Other texts in the place of some: one copy, every other byte as it was.

use std::ops::Range;

use super::Leaf;
use crate::wire::json::write_text;

/// Collects texts, then [`write`](Self::write)s the body with them.
#[derive(Debug, Default)]
pub struct Edits {
    literals: Vec<(Range<usize>, Vec<u8>)>,
}

impl Edits {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.literals.is_empty()
    }

    /// Puts a text in the place of a leaf's.
    pub fn replace(&mut self, leaf: &Leaf, text: &str) {
        let mut literal = Vec::with_capacity(text.len() + text.len() / 16 + 2);
        write_text(&mut literal, text);
        self.literals.push((leaf.span.clone(), literal));
    }

    /// Puts JSON in the place of some bytes of the body, or between them. It has to fit there.
    pub fn replace_raw(&mut self, span: Range<usize>, json: Vec<u8>) {
        self.literals.push((span, json));
    }

    /// The body with its edits, in a buffer of exactly its size. Of two edits of one place the first counts.
    pub fn write(mut self, body: &[u8]) -> Vec<u8> {
        self.literals.sort_by_key(|(span, _)| (span.start, span.end));
        let grown: usize = self.literals.iter().map(|(_, literal)| literal.len()).sum();
        let gone: usize = self.literals.iter().map(|(span, _)| span.len()).sum();
        let mut out = Vec::with_capacity((body.len() + grown).saturating_sub(gone));
        let mut copied = 0;
        for (span, literal) in &self.literals {
            let Some(before) = body.get(copied..span.start) else { continue };
            out.extend_from_slice(before);
            out.extend_from_slice(literal);
            copied = span.end;
        }
        out.extend_from_slice(body.get(copied..).unwrap_or_default());
        out
    }
}
