//! Token counts where nobody reports them, or before anybody can.
//!
//! - [`TextCount`] adds up text by kinds of bytes and turns them into tokens by fixed rates: fast
//!   enough for every request and every stream event. The rates were fitted on recorded requests
//!   and their reported counts (2026-11).
//! - [`Counter`] asks the model's own tokenizer. Loading one takes long, so [`Counter::warm`] is
//!   run on a blocking thread; until then the fast way answers.

use crate::wire::envelope::Envelope;
use crate::wire::scan::{self, Escapes, Tally};

/// What one image, document or sound counts, whatever its size: between the 85 tokens of a small
/// picture and the 1,600 of a large one.
const MEDIA_TOKENS: u64 = 1_000;
/// Shorter strings are taken for text.
const MEDIA_MIN_BYTES: usize = 256;

/// Text by kinds of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextCount {
    ascii_bytes: u64,
    /// Bytes of characters beyond ASCII.
    other_bytes: u64,
    /// Characters spelled `\u00e9`.
    unicode_escapes: u64,
    /// Bytes of member names.
    name_bytes: u64,
    media: u64,
}

impl TextCount {
    /// Adds a string of an answer: what stands between the quotes, still escaped.
    pub fn add_escaped(&mut self, escaped: &str) {
        let unicode = memchr::memmem::find_iter(escaped.as_bytes(), b"\\u").count();
        self.add(escaped.as_bytes(), Escapes { short: 0, unicode: u32::try_from(unicode).unwrap_or(u32::MAX) });
    }

    /// Adds plain text.
    pub fn add_text(&mut self, text: &str) {
        self.add(text.as_bytes(), Escapes::default());
    }

    /// All strings of a JSON text.
    pub fn of_json(json: &str) -> Self {
        let mut it = Self::default();
        // Text that is not JSON counts up to where it stops being it.
        let _ = scan::value(scan::blank(json.as_bytes()), b"", 0, &mut it);
        it
    }

    fn add(&mut self, escaped: &[u8], escapes: Escapes) {
        let other = match escaped.is_ascii() {
            true => 0,
            false => bytes(escaped.iter().filter(|b| !b.is_ascii()).count()),
        };
        let unicode = u64::from(escapes.unicode);
        let in_escapes = unicode.saturating_mul(6).saturating_add(u64::from(escapes.short));
        let ascii = bytes(escaped.len()).saturating_sub(other).saturating_sub(in_escapes);
        self.ascii_bytes = self.ascii_bytes.saturating_add(ascii);
        self.other_bytes = self.other_bytes.saturating_add(other);
        self.unicode_escapes = self.unicode_escapes.saturating_add(unicode);
    }

    /// Nothing was added.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tokens of the text; at least one if there is any.
    pub fn tokens(&self) -> u64 {
        let text = self.ascii_bytes.div_ceil(4) + self.other_bytes.div_ceil(3) + self.unicode_escapes;
        text.saturating_add(self.media * MEDIA_TOKENS)
    }
}

/// Adds the strings of a request as they are skipped over.
impl Tally for TextCount {
    fn text(&mut self, name: &[u8], escaped: &[u8], escapes: Escapes) {
        if escaped.len() >= MEDIA_MIN_BYTES && is_media(name, escaped) {
            self.media += 1;
        } else {
            self.add(escaped, escapes);
        }
    }

    fn name(&mut self, escaped: &[u8]) {
        self.name_bytes = self.name_bytes.saturating_add(bytes(escaped.len()));
    }
}

fn bytes(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Base64, by where it stands and how it begins.
fn is_media(name: &[u8], escaped: &[u8]) -> bool {
    let head = escaped.get(..MEDIA_MIN_BYTES).unwrap_or(escaped);
    if head.starts_with(b"data:") {
        return memchr::memmem::find(head, b";base64,").is_some();
    }
    matches!(name, b"data" | b"bytes" | b"file_data" | b"b64_json")
        && head.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=' | b'\\'))
}

/// Input tokens of a request, from what the envelope pass added up.
pub fn estimate_request(body: &Envelope<'_>) -> u64 {
    let count = body.text_count();
    // Names matter in tool schemas; the few of a message stand for what wraps it.
    count.tokens().saturating_add(count.name_bytes / 6).max(1)
}
