//! Token counts where nobody reports them, or before anybody can.
//!
//! - [`TextCount`] adds up text by kinds of bytes and turns them into tokens by fixed rates: fast
//!   enough for every request and every stream event. The rates were fitted on recorded requests
//!   and their reported counts (2026-11): without tools half of them fall between 0.9 and 1.5 times
//!   the reported count. It is for admission; what is booked is what was reported.
//! - [`Counter`] asks the model's own tokenizer. Loading one takes long, so [`Counter::warm`] is
//!   run on a blocking thread; until then the fast way answers.

use crate::wire::envelope::Envelope;
#[cfg(feature = "proxy")]
use crate::wire::json::Str;
use crate::wire::scan::{self, Escapes, Tally};

/// What one image, document or sound counts, whatever its size: between the 85 tokens of a small
/// picture and the 1,600 of a large one.
const MEDIA_TOKENS: u64 = 1_000;
/// What a provider says about tools before it lists them.
const TOOLS_TOKENS: u64 = 100;
/// `role`, `content`, `type`: shorter than what tools call their parameters.
#[cfg(feature = "proxy")]
const MAX_WRAPPER_NAME_BYTES: usize = 7;
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
        let mut escapes = Escapes::default();
        let mut rest = escaped.as_bytes();
        while let Some(at) = memchr::memchr(b'\\', rest) {
            match rest.get(at + 1) {
                Some(b'u') => escapes.unicode = escapes.unicode.saturating_add(1),
                _ => escapes.short = escapes.short.saturating_add(1),
            }
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        self.add(escaped.as_bytes(), escapes);
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
        it.told_apart(json)
    }

    /// The sum of a scan takes all bytes for ASCII, since looking at each would double its cost:
    /// this looks at the whole text at once.
    fn told_apart(self, json: &str) -> Self {
        let other = beyond_ascii(json.as_bytes());
        Self { ascii_bytes: self.ascii_bytes.saturating_sub(other), other_bytes: other, ..self }
    }

    /// Adds what stands between the quotes of a string.
    pub fn add(&mut self, escaped: &[u8], escapes: Escapes) {
        let other = beyond_ascii(escaped);
        self.add_ascii(escaped, escapes);
        self.ascii_bytes = self.ascii_bytes.saturating_sub(other);
        self.other_bytes = self.other_bytes.saturating_add(other);
    }

    fn add_ascii(&mut self, escaped: &[u8], escapes: Escapes) {
        let unicode = u64::from(escapes.unicode);
        let in_escapes = unicode.saturating_mul(6).saturating_add(u64::from(escapes.short));
        self.ascii_bytes = self.ascii_bytes.saturating_add(bytes(escaped.len()).saturating_sub(in_escapes));
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

impl std::ops::AddAssign for TextCount {
    fn add_assign(&mut self, other: Self) {
        self.ascii_bytes = self.ascii_bytes.saturating_add(other.ascii_bytes);
        self.other_bytes = self.other_bytes.saturating_add(other.other_bytes);
        self.unicode_escapes = self.unicode_escapes.saturating_add(other.unicode_escapes);
        self.name_bytes = self.name_bytes.saturating_add(other.name_bytes);
        self.media = self.media.saturating_add(other.media);
    }
}

/// Adds the strings of a request as they are skipped over.
impl Tally for TextCount {
    fn text(&mut self, name: &[u8], escaped: &[u8], escapes: Escapes) {
        if escaped.len() >= MEDIA_MIN_BYTES && is_media(name, escaped) {
            self.media += 1;
        } else {
            self.add_ascii(escaped, escapes);
        }
    }

    fn name(&mut self, escaped: &[u8]) {
        self.name_bytes = self.name_bytes.saturating_add(bytes(escaped.len()));
    }
}

fn beyond_ascii(text: &[u8]) -> u64 {
    match text.is_ascii() {
        true => 0,
        // Sums of single bytes in blocks too short to overflow, of which the compiler makes whole vectors.
        false => text.chunks(192).map(|block| u64::from(block.iter().map(|b| b >> 7).sum::<u8>())).sum(),
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
    let count = body.text_count().told_apart(body.body());
    // Names matter in tool schemas; the few of a message stand for what wraps it.
    let names = count.name_bytes / 5;
    // Providers put instructions of their own before the tools: 50 to 500 tokens.
    let tools = if body.present("tools").is_some() { TOOLS_TOKENS } else { 0 };
    count.tokens().saturating_add(names).saturating_add(tools).max(1)
}

/// The text of a request or an answer, for a tokenizer: strings as they read, media left out and
/// counted.
#[cfg(feature = "proxy")]
#[derive(Debug, Default)]
struct Text {
    plain: String,
    media: u64,
}

#[cfg(feature = "proxy")]
impl Tally for Text {
    fn text(&mut self, name: &[u8], escaped: &[u8], escapes: Escapes) {
        if escaped.len() >= MEDIA_MIN_BYTES && is_media(name, escaped) {
            self.media += 1;
            return;
        }
        let text = String::from_utf8_lossy(escaped);
        match escapes.any() {
            true => self.plain.push_str(&Str::from_escaped(&text).text()),
            false => self.plain.push_str(&text),
        }
        self.plain.push(' ');
    }

    fn name(&mut self, escaped: &[u8]) {
        // The names that wrap a message cost less than they read; those of tools are text.
        if escaped.len() > MAX_WRAPPER_NAME_BYTES {
            self.plain.push_str(&String::from_utf8_lossy(escaped));
        }
    }
}

/// Counts with the model's own tokenizer, once that is loaded.
#[cfg(feature = "proxy")]
#[derive(Debug, Default)]
pub struct Counter {
    /// One bit per encoding of the crate's list.
    loaded: std::sync::atomic::AtomicU64,
}

#[cfg(feature = "proxy")]
impl Counter {
    /// Longest text given to the tokenizer at once: its cost grows faster than the text where there
    /// are no blanks (64 KB of one letter), so such text is cut.
    const MAX_PIECE_BYTES: usize = 2_048;
    /// More than this is counted by sample: the middle of a large text is like its beginning.
    const MAX_EXACT_BYTES: usize = 512 * 1024;
    /// For models of vendors who keep their tokenizer to themselves: nearest in size.
    const DEFAULT_ENCODING: &'static str = "o200k_base";

    pub fn new() -> Self {
        Self::default()
    }

    /// The encoding of a model, with or without its provider's name before it.
    fn encoding(model: &str) -> &'static str {
        let name = model.rsplit('/').next().unwrap_or(model);
        tiktoken::model_to_encoding(name).unwrap_or(Self::DEFAULT_ENCODING)
    }

    fn bit(encoding: &str) -> u64 {
        tiktoken::list_encodings().iter().position(|name| *name == encoding).map_or(0, |at| 1 << (at % 64))
    }

    /// Loads the tokenizer of a model if it is not loaded: tens of milliseconds and of megabytes, so
    /// never on a thread that serves requests.
    pub fn warm(&self, model: &str) {
        let encoding = Self::encoding(model);
        if tiktoken::get_encoding(encoding).is_some() {
            self.loaded.fetch_or(Self::bit(encoding), std::sync::atomic::Ordering::Release);
        }
    }

    /// Whether [`count`](Self::count) is exact for this model.
    pub fn ready(&self, model: &str) -> bool {
        self.loaded.load(std::sync::atomic::Ordering::Acquire) & Self::bit(Self::encoding(model)) != 0
    }

    /// Tokens of a JSON text's strings, as [`count`](Self::count) counts them.
    pub fn count_json(&self, model: &str, json: &str) -> u64 {
        let mut text = Text::default();
        let _ = scan::value(scan::blank(json.as_bytes()), b"", 0, &mut text);
        self.count(model, &text.plain).saturating_add(text.media * MEDIA_TOKENS)
    }

    /// Tokens of a text: exact once [`warm`](Self::warm) has run for the model, else by rate.
    pub fn count(&self, model: &str, text: &str) -> u64 {
        let mut fast = TextCount::default();
        fast.add_text(text);
        let tokenizer = self.ready(model).then(|| tiktoken::get_encoding(Self::encoding(model))).flatten();
        let Some(tokenizer) = tokenizer else { return fast.tokens() };
        let mut tokens = 0_u64;
        let mut counted = 0;
        for piece in pieces(text, Self::MAX_PIECE_BYTES) {
            if counted >= Self::MAX_EXACT_BYTES {
                let rest = bytes(text.len() - counted);
                return tokens.saturating_add(tokens.saturating_mul(rest) / bytes(counted).max(1));
            }
            tokens = tokens.saturating_add(bytes(tokenizer.count(piece)));
            counted += piece.len();
        }
        tokens
    }
}

/// Cuts a text before a blank where there is one, else between characters: tokens hardly ever
/// reach over a blank, so the counts of the pieces add up.
#[cfg(feature = "proxy")]
fn pieces(text: &str, max_bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let limit = rest.floor_char_boundary(max_bytes);
        let head = rest.get(..limit).unwrap_or(rest);
        let cut = match head.len() < rest.len() {
            true => head.rfind([' ', '\n']).filter(|at| *at > 0).unwrap_or(limit),
            false => limit,
        };
        let (piece, tail) = rest.split_at_checked(cut.max(1)).unwrap_or((rest, ""));
        rest = tail;
        Some(piece)
    })
}

#[cfg(test)]
mod tests;
