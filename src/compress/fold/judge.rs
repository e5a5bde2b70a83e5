//! Whether a fold saves tokens, by the target's tokenizer, without counting the whole text: what goes
//! is many times the same piece, so one of them is counted.

use std::collections::HashMap;

/// At least so much may be counted of a text, however short.
const LEAST_BYTES: usize = 256;
/// And this part of a longer one: counting is by far the dearest thing that is done here.
const PART: usize = 32;
/// Of one piece no more is counted than this.
const MOST_OF_ONE: usize = 256;

/// Counts tokens of a text.
pub type Count<'c> = dyn Fn(&str) -> u64 + 'c;

/// Counts for one text, as long as there is room, then by rate. What it says depends on that text only.
pub(super) struct Judge<'c, 't> {
    count: &'c Count<'c>,
    left: usize,
    known: HashMap<&'t str, u64>,
}

impl<'c, 't> Judge<'c, 't> {
    pub(super) fn new(count: &'c Count<'c>, text_bytes: usize) -> Self {
        Self { count, left: LEAST_BYTES.max(text_bytes / PART), known: HashMap::new() }
    }

    /// Tokens of what comes many times.
    pub(super) fn unit(&mut self, text: &'t str) -> u64 {
        if let Some(tokens) = self.known.get(text) {
            return *tokens;
        }
        let tokens = self.tokens(text, 5);
        self.known.insert(text, tokens);
        tokens
    }

    /// Tokens of what stands in its place.
    pub(super) fn note(&mut self, text: &str) -> u64 {
        self.tokens(text, 2)
    }

    /// By the tokenizer, or at so many bytes a token: what goes is counted low, what comes is counted high.
    fn tokens(&mut self, text: &str, bytes_of_one: u64) -> u64 {
        let end = text.floor_char_boundary(MOST_OF_ONE);
        if end > self.left {
            return whole(text.len()) / bytes_of_one;
        }
        self.left -= end;
        let counted = (self.count)(text.get(..end).unwrap_or_default());
        match end < text.len() {
            true => counted.saturating_mul(whole(text.len())) / whole(end).max(1),
            false => counted,
        }
    }
}

pub(in crate::compress) fn whole(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
