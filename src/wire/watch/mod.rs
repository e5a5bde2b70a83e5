//! Observers for answers that reach the client in the format they came in: the bytes go on as they
//! are, and what accounting and fallback need is read off them.
//!
//! Each event is passed over once by the scanner, which tells the names and strings it skips;
//! nothing is built. Only what is then known to hold counts or an error is read, by its dialect.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::frames::{Frames, Framing};
use super::json::Str;
use super::scan::Escapes;
use super::sse::{Frame, Sink};
use super::stream::{Ending, HoldBack, Pipe, Progress, aside, cut_error};
use super::{Dialect, Quirks, anthropic, decode_error_event, encode_error_event, openai_chat, scan};
use crate::error::{Error, Kind};
use crate::usage::estimate::TextCount;

mod alike;
mod gemini;
mod responses;
mod tell;
mod whole;

pub(super) use self::alike::Alike;
use self::alike::{Counts, Holes};
use self::tell::LastChunk;
pub use self::tell::{Amend, with_usage};
pub use self::whole::{Whole, whole};

/// Frames of data held back at most, in wait for one that is known to begin the answer.
const MAX_HELD_FRAMES: u32 = 32;

/// How to watch a stream.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'w> {
    pub dialect: Dialect,
    pub framing: Framing,
    pub quirks: &'w Quirks,
    /// The client did not ask for usage, we did: take out the chunk that holds nothing else.
    pub strip_usage_chunk: bool,
    /// Answers the client wants: each has to finish.
    pub choices: u64,
    /// For the error event, should one have to be written.
    pub request_id: &'w str,
}

/// See the module documentation.
#[derive(Debug)]
pub struct StreamWatch {
    frames: Frames,
    eye: Eye,
}

#[derive(Debug)]
struct Eye {
    dialect: Dialect,
    quirks: Quirks,
    strip_usage_chunk: bool,
    choices: u64,
    finished: u64,
    request_id: String,
    merge: anthropic::usage::Merge,
    /// A bit for each item of which something has been counted.
    told: u64,
    hold: HoldBack,
    held_frames: u32,
    alike: Alike,
    /// The client asked for counts, and nobody has told any yet.
    last_chunk: Option<Box<LastChunk>>,
    progress: Progress,
}

impl StreamWatch {
    pub fn new(watch: &Watch<'_>) -> Self {
        Self::with_frames(Frames::new(watch.framing), watch)
    }

    /// With frames of another limit.
    pub fn with_frames(frames: Frames, watch: &Watch<'_>) -> Self {
        let eye = Eye {
            dialect: watch.dialect,
            quirks: *watch.quirks,
            strip_usage_chunk: watch.strip_usage_chunk,
            choices: watch.choices,
            finished: 0,
            request_id: watch.request_id.to_owned(),
            merge: anthropic::usage::Merge::default(),
            told: 0,
            hold: HoldBack::default(),
            held_frames: 0,
            alike: Alike::default(),
            last_chunk: None,
            progress: Progress::default(),
        };
        Self { frames, eye }
    }

    /// Tells a client of Chat Completions what was counted here, where the upstream tells nothing: its input is
    /// what a local count says.
    pub fn telling(mut self, input_estimate_tokens: u64) -> Self {
        self.eye.last_chunk = Some(Box::new(LastChunk::new(input_estimate_tokens)));
        self
    }
}

impl Pipe for StreamWatch {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut looking = Looking { eye: &mut self.eye, out };
        if let Err(error) = self.frames.push_to(chunk, &mut looking) {
            self.fail(error, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let eye = &mut self.eye;
        self.frames.finish(&mut |frame| eye.last_frame(frame, out));
        eye.finish(out);
    }

    fn fail(&mut self, error: Error, out: &mut Vec<u8>) {
        if self.eye.progress.ending.is_none() {
            self.eye.write_error(&error, out);
            self.eye.progress.fail(error);
        }
    }

    fn commit(&mut self, out: &mut Vec<u8>) {
        self.eye.hold.commit(out);
    }

    fn is_committed(&self) -> bool {
        self.eye.hold.is_committed()
    }

    fn progress(&self) -> &Progress {
        &self.eye.progress
    }

    fn note(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.is_open() {
            aside::note(self.eye.dialect, text, out);
        }
    }

    // Whole events only are given out, so what was last is always the end of one.
    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        if self.is_open() {
            aside::keep_alive(self.eye.dialect, out);
        }
    }
}

/// The eye, and where frames go that it lets through.
struct Looking<'l> {
    eye: &'l mut Eye,
    out: &'l mut Vec<u8>,
}

impl Sink for Looking<'_> {
    fn frame(&mut self, frame: Frame<'_>) {
        self.eye.frame(frame, self.out);
    }

    fn known(&mut self, bytes: &[u8]) -> usize {
        self.eye.alike(bytes, self.out)
    }
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The answer has begun: let it through, and all that waits.
    Begun,
    /// The same, with counts that it lacks.
    Amended(Amend),
    /// Part of the opening.
    Opening,
    /// Not for the client.
    Strip,
}

impl Eye {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        // Comments behind the end are part of the bytes, in other formats than chat also a last word (`[DONE]` behind
        // a Responses answer); another answer, or anything behind an error, is not.
        let ends = self.dialect == Dialect::OpenAiChat && frame.data.is_some();
        match self.progress.ending {
            Some(Ending::Complete) if !ends => {}
            Some(_) => return,
            None => {}
        }
        let verdict = match frame.data {
            None => Verdict::Opening,
            Some(data) => {
                self.progress.heard(&frame);
                self.judge(&frame, data)
            }
        };
        match verdict {
            Verdict::Strip => return,
            Verdict::Begun | Verdict::Amended(_) => self.hold.commit(out),
            Verdict::Opening if frame.data.is_some() => self.held_frames = self.held_frames.saturating_add(1),
            Verdict::Opening => {}
        }
        if self.held_frames > MAX_HELD_FRAMES {
            self.hold.commit(out);
        }
        self.tell_counts(out);
        match verdict {
            Verdict::Amended(amend) => amend.write(&frame, self.hold.target(out)),
            _ => self.hold.target(out).extend_from_slice(frame.raw),
        }
        self.hold.commit_if_full(out);
    }

    /// Lets the events through that differ from the last one by their text alone: so many bytes.
    fn alike(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut rest = bytes;
        if self.hold.is_committed() && self.progress.ending.is_none() {
            while let Some((text, behind)) = self.alike.next(rest) {
                self.progress.events = self.progress.events.saturating_add(1);
                self.progress.output += text;
                self.progress.has_content |= !text.is_empty();
                rest = behind;
            }
        }
        let (alike, _) = bytes.split_at_checked(bytes.len() - rest.len()).unwrap_or_default();
        out.extend_from_slice(alike);
        alike.len()
    }

    fn judge(&mut self, frame: &Frame<'_>, data: &str) -> Verdict {
        match self.dialect {
            Dialect::OpenAiChat => self.chat(frame, data),
            Dialect::Anthropic => self.anthropic(frame, data),
            Dialect::Responses => self.responses(frame, data),
            Dialect::Gemini => self.gemini(data),
            // No client speaks these.
            Dialect::Converse | Dialect::Cohere => Verdict::Begun,
        }
    }

    /// What the end of the body left without its blank line: a whole event, or half of one.
    fn last_frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let is_whole = |data: &str| data == "[DONE]" || scan::is_json(data);
        if frame.data.is_none_or(is_whole) {
            self.frame(frame, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.progress.ending.is_some() {
            return;
        }
        if self.progress.has_stopped {
            self.hold.commit(out);
            self.progress.complete();
            self.tell_counts(out);
        } else {
            let error = cut_error();
            self.write_error(&error, out);
            self.progress.cut(error);
        }
    }

    /// At the end of a stream that told no counts.
    fn tell_counts(&mut self, out: &mut Vec<u8>) {
        if matches!(self.progress.ending, Some(Ending::Complete))
            && let Some(chunk) = self.last_chunk.take().filter(|_| self.progress.usage.is_none())
        {
            let (usage, _) = self.progress.account(chunk.input_estimate_tokens());
            chunk.write(&usage, self.hold.target(out));
        }
    }

    fn write_error(&self, error: &Error, out: &mut Vec<u8>) {
        // Before the first byte an error is the caller's to render, or to mend elsewhere.
        if self.hold.is_committed() {
            encode_error_event(self.dialect, error, &self.request_id, out);
        }
    }
}

/// Chat Completions.
impl Eye {
    fn chat(&mut self, frame: &Frame<'_>, data: &str) -> Verdict {
        if data == "[DONE]" {
            let progress = &mut self.progress;
            if !self.hold.is_committed() && !progress.has_content && self.finished == 0 && progress.usage.is_none() {
                progress.cut(Error::new(Kind::UpstreamFailed, "the provider ended its answer without saying anything"));
                return Verdict::Opening;
            }
            progress.complete();
            return Verdict::Begun;
        }
        if let Some(text) = self.alike.text(data).filter(|_| frame.name.is_empty()) {
            return self.chat_text(text);
        }
        if let Some(chunk) = &mut self.last_chunk {
            chunk.see(data);
        }
        let glance = Glance::at(data);
        if frame.name == "error" || glance.names_error && has_error(data) {
            return self.error(data);
        }
        if (glance.finished > 0 || glance.names_error)
            && let Some(error) = breaks_off(data)
        {
            self.chat_usage(data);
            self.progress.fail(error);
            return Verdict::Opening;
        }
        self.progress.output += glance.text;
        self.progress.has_content |= !glance.text.is_empty() || glance.has_part;
        if glance.finished > 0 {
            self.finished = self.finished.saturating_add(glance.finished);
            self.progress.has_stopped = self.finished >= self.choices;
        }
        // Some name it in each chunk, some in the last alone, some in all others.
        if glance.names_tier {
            self.progress.service_tier = tier(data).or_else(|| self.progress.service_tier.take());
        }
        let has_usage = glance.names_usage && self.chat_usage(data);
        if glance.finished == 0 && !has_usage {
            self.alike.learn_in(frame.raw, data, &glance);
        }
        match (has_usage && has_no_choice(data), self.progress.has_content || self.finished > 0 || has_usage) {
            (true, _) if self.strip_usage_chunk => Verdict::Strip,
            (_, true) => Verdict::Begun,
            (_, false) => Verdict::Opening,
        }
    }

    /// An event in which there is nothing else.
    fn chat_text(&mut self, text: TextCount) -> Verdict {
        self.progress.output += text;
        self.progress.has_content |= !text.is_empty();
        if self.progress.has_content || self.finished > 0 { Verdict::Begun } else { Verdict::Opening }
    }

    fn chat_usage(&mut self, data: &str) -> bool {
        // Most chunks say `"usage":null`.
        let may_be = USAGE.find_iter(data.as_bytes()).any(|at| {
            data.get(at + USAGE.needle().len()..).is_some_and(|rest| rest.trim_ascii_start().starts_with('{'))
        });
        let usage = if may_be { openai_chat::usage::in_body(data, &self.quirks) } else { None };
        self.progress.usage = usage.or(self.progress.usage);
        if usage.is_some() {
            self.progress.model = model(data, MODEL);
        }
        usage.is_some()
    }

    fn error(&mut self, data: &str) -> Verdict {
        self.progress.fail(decode_error_event(self.dialect, data));
        // An error after the first byte is the client's to read, in the upstream's own words.
        Verdict::Opening
    }
}

/// Anthropic Messages.
impl Eye {
    fn anthropic(&mut self, frame: &Frame<'_>, data: &str) -> Verdict {
        let kind = match frame.name {
            "" => scan::member(data, "type").map(literal).unwrap_or_default(),
            name => name,
        };
        match kind {
            "message_start" => self.message_start(data),
            "content_block_start" => self.progress.has_content = true,
            "content_block_delta" => self.content_block_delta(frame, data),
            "message_delta" => self.message_delta(data),
            "message_stop" => self.progress.complete(),
            "error" => return self.error(data),
            // `ping` and whatever comes to be.
            _ => {}
        }
        match self.progress.has_content || self.progress.usage.is_some() || self.progress.ending.is_some() {
            true => Verdict::Begun,
            false => Verdict::Opening,
        }
    }

    fn message_start(&mut self, data: &str) {
        self.merge.start(data);
        let message = scan::member(data, "message");
        self.progress.service_tier = message.and_then(|message| scan::member(message, "usage")).and_then(tier);
        self.progress.model = message.and_then(|message| model(message, MODEL));
        self.progress.opening_usage = self.merge.usage();
    }

    fn content_block_delta(&mut self, frame: &Frame<'_>, data: &str) {
        self.progress.has_content = true;
        self.progress.output += self.alike.text(data).unwrap_or_else(|| {
            let glance = Glance::at(data);
            self.alike.learn_in(frame.raw, data, &glance);
            glance.text
        });
    }

    fn message_delta(&mut self, data: &str) {
        self.merge.delta(data);
        self.progress.usage = self.merge.usage().or(self.progress.usage);
        self.progress.advice = self.merge.advice().to_vec();
        self.progress.has_stopped |= Glance::at(data).finished > 0;
    }
}

/// What one pass over an event sees, by the names of its members, at whatever depth. Text of the
/// model is in strings, so it never looks like a member.
#[derive(Debug, Default)]
pub(super) struct Glance {
    text: TextCount,
    /// Text under the name `text`: repeats the other in `reasoning_details` (OpenRouter) and beside
    /// `delta` (Together), and is all there is in lists of pieces (Mistral) and Anthropic's deltas.
    pieces: TextCount,
    /// Reasons to finish that are not null.
    finished: u64,
    /// A tool call or a sound begins.
    has_part: bool,
    names_error: bool,
    names_usage: bool,
    names_tier: bool,
    /// In what the model did not write just now: sources, or the whole message so far beside the
    /// delta (Perplexity).
    aside: bool,
    /// The values that are others in each event.
    holes: Holes,
}

impl Glance {
    pub(super) fn at(data: &str) -> Self {
        let mut it = Self::default();
        // What is not JSON is seen up to where it stops being it.
        let _ = scan::value(scan::blank(data.as_bytes()), b"", 0, &mut it);
        if it.text.is_empty() {
            it.text = it.pieces;
        }
        it
    }
}

impl scan::Tally for Glance {
    fn text(&mut self, name: &[u8], escaped: &[u8], escapes: Escapes) {
        match name {
            b"content" | b"delta" | b"reasoning_content" | b"reasoning" | b"arguments" | b"refusal" | b"thinking"
            | b"partial_json"
                if !self.aside =>
            {
                self.text.add(escaped, escapes);
                self.holes.add(escaped, Counts::Text);
            }
            b"text" if !self.aside => {
                self.pieces.add(escaped, escapes);
                self.holes.add(escaped, Counts::Piece);
            }
            b"obfuscation" => self.holes.add(escaped, Counts::No),
            b"service_tier" => self.names_tier = true,
            b"data" | b"transcript" => self.has_part = true,
            b"finish_reason" | b"stop_reason" if !escaped.is_empty() => self.finished += 1,
            _ => {}
        }
    }

    fn number(&mut self, name: &[u8], from: &[u8], behind: &[u8]) {
        if name == b"sequence_number" {
            self.holes.add(from.get(..from.len() - behind.len()).unwrap_or_default(), Counts::Number);
        }
    }

    fn name(&mut self, escaped: &[u8]) {
        match escaped {
            b"usage" => self.names_usage = true,
            b"error" => self.names_error = true,
            b"function" => self.has_part = true,
            b"message" | b"annotations" | b"citations" | b"search_results" => self.aside = true,
            b"delta" | b"tool_calls" => self.aside = false,
            _ => {}
        }
    }
}

/// Built once: building a searcher costs more than one search.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\":"));

/// What stands between the quotes of the literal that `value` begins with; nothing if it is none.
fn literal(value: &str) -> &str {
    let Some(tail) = value.strip_prefix('"') else { return "" };
    let end = scan::string(tail.as_bytes()).map_or(0, |(rest, _)| tail.len() - rest.len() - 1);
    tail.get(..end).unwrap_or_default()
}

fn has_error(data: &str) -> bool {
    scan::member(data, "error").is_some_and(says_error)
}

/// The error that a choice has in place of an end.
fn breaks_off(data: &str) -> Option<Error> {
    scan::member(data, "choices").and_then(openai_chat::response::broken)
}

fn says_error(error: &str) -> bool {
    !matches!(error, "null" | "\"\"" | "{}" | "false")
}

/// The service tier a count or a chunk names. Anthropic's fast answers are told beside it.
fn tier(json: &str) -> Option<String> {
    let [speed, tier] = scan::several(json, ["speed", "service_tier"]);
    tier_of(speed, tier)
}

fn tier_of(speed: Option<&str>, tier: Option<&str>) -> Option<String> {
    let word = |json: Option<&str>| Some(Str::from_raw(json?)?.text().into_owned());
    if speed == Some("\"fast\"") { word(speed) } else { word(tier) }
}

/// Where most answers name their model.
const MODEL: &str = "model";
const MOST_NAME_BYTES: usize = 256;

/// The model that an answer names.
fn model(json: &str, member: &str) -> Option<String> {
    model_of(scan::member(json, member))
}

fn model_of(json: Option<&str>) -> Option<String> {
    name(&Str::from_raw(json?)?)
}

/// A name, unless it is none.
pub(super) fn name(text: &Str<'_>) -> Option<String> {
    Some(text.text()).filter(|name| !name.is_empty() && name.len() <= MOST_NAME_BYTES).map(Cow::into_owned)
}

fn has_no_choice(data: &str) -> bool {
    scan::member(data, "choices").is_none_or(|list| list.strip_prefix('[').is_some_and(|l| l.trim_ascii_start() == "]"))
}

#[cfg(test)]
mod tests;
