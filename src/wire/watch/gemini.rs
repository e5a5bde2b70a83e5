//! Gemini's `streamGenerateContent`.

use super::{Eye, Verdict, has_error, model};
use crate::usage::estimate::TextCount;
use crate::wire::gemini::usage;
use crate::wire::json::{self, Json};
use crate::wire::scan::{self, Escapes, Tally};

/// Where an answer names its model.
pub(super) const MODEL: &str = "modelVersion";

impl Eye {
    pub(super) fn gemini(&mut self, data: &str) -> Verdict {
        let mut glance = Glance::default();
        // What is not JSON is seen up to where it stops being it.
        let _ = scan::value(scan::blank(data.as_bytes()), b"", 0, &mut glance);
        if glance.names_error && has_error(data) {
            return self.error(data);
        }
        self.progress.output += glance.text;
        if glance.names_call {
            self.progress.output += calls(data);
        }
        self.progress.has_content |= glance.has_part;
        if glance.names_usage {
            self.gemini_usage(data);
        }
        // A number in place of the word is no string, so the scanner does not tell it.
        let stops = glance.stopped.max(if glance.names_reason { numbered_stops(data) } else { 0 });
        self.finished = self.finished.saturating_add(stops);
        self.progress.has_stopped |= glance.blocked || self.finished >= self.choices && self.finished > 0;
        match self.progress.has_content || self.progress.has_stopped {
            true => Verdict::Begun,
            false => Verdict::Opening,
        }
    }

    fn gemini_usage(&mut self, data: &str) {
        let counts = usage::in_body(data, &self.quirks);
        if self.progress.opening_usage.is_none() {
            self.progress.opening_usage = counts;
        }
        self.progress.usage = counts.or(self.progress.usage);
        if self.progress.model.is_none() {
            self.progress.model = model(data, MODEL);
        }
        self.progress.service_tier = usage::tier_in_body(data).or_else(|| self.progress.service_tier.take());
    }
}

/// Candidates that stopped for a reason given as a number.
fn numbered_stops(data: &str) -> u64 {
    let first = scan::member(data, "candidates").and_then(|list| list.strip_prefix('['));
    let reason = first.and_then(|first| scan::member(first.trim_start(), "finishReason"));
    u64::from(reason.is_some_and(|reason| reason.bytes().all(|b| b.is_ascii_digit()) && reason != "0"))
}

/// The arguments of the calls in an event. A piece of arguments counts what it adds to their JSON.
fn calls(data: &str) -> TextCount {
    let mut text = TextCount::default();
    for candidate in items(scan::member(data, "candidates")) {
        let content = scan::member(candidate.get(), "content");
        for part in items(content.and_then(|content| scan::member(content, "parts"))) {
            let Some(call) = scan::member(part.get(), "functionCall") else { continue };
            text.add_text(scan::member(call, "args").unwrap_or_default());
            for piece in items(scan::member(call, "partialArgs")) {
                add_piece(piece.get(), &mut text);
            }
        }
    }
    text
}

fn add_piece(piece: &str, text: &mut TextCount) {
    let value = scan::member(piece, "stringValue").unwrap_or_default().trim_matches('"');
    text.add_escaped(value);
    text.add_text(scan::member(piece, "numberValue").unwrap_or_default());
    // The last piece of a value: its name and what stands around it.
    if scan::member(piece, "willContinue").is_none() {
        let path = scan::member(piece, "jsonPath").unwrap_or_default();
        match path.trim_end_matches('"').rsplit('.').next() {
            Some(item) if item.ends_with(']') => text.add_text("\"\","),
            name => text.add_text(&format!("\"{}\":\"\",", name.unwrap_or_default())),
        }
    }
}

fn items(list: Option<&str>) -> Vec<Json<'_>> {
    list.and_then(|list| json::parse(list).ok()).unwrap_or_default()
}

/// What one pass over an event sees.
#[derive(Debug, Default)]
struct Glance {
    text: TextCount,
    has_part: bool,
    stopped: u64,
    blocked: bool,
    names_error: bool,
    names_usage: bool,
    names_reason: bool,
    names_call: bool,
    /// Behind the content: sources and ratings have texts of their own.
    aside: bool,
}

impl Tally for Glance {
    fn text(&mut self, name: &[u8], escaped: &[u8], escapes: Escapes) {
        match name {
            b"finishReason" if escaped != b"FINISH_REASON_UNSPECIFIED" => self.stopped += 1,
            b"blockReason" => self.blocked = true,
            b"text" if !self.aside => self.text.add(escaped, escapes),
            _ => {}
        }
    }

    fn name(&mut self, escaped: &[u8]) {
        match escaped {
            b"error" => self.names_error = true,
            b"usageMetadata" => (self.names_usage, self.aside) = (true, true),
            b"finishMessage" => self.aside = true,
            b"finishReason" => (self.names_reason, self.aside) = (true, true),
            b"content" | b"parts" => self.aside = false,
            b"groundingMetadata" | b"safetyRatings" | b"citationMetadata" | b"modelVersion" => self.aside = true,
            b"functionCall" => (self.has_part, self.names_call) = (true, true),
            b"text" | b"inlineData" | b"executableCode" | b"codeExecutionResult" | b"fileData" if !self.aside => {
                self.has_part = true;
            }
            _ => {}
        }
    }
}
