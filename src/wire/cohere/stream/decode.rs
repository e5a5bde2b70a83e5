//! An upstream's stream, read.
//!
//! Blocks of content and calls begin and end with events of their own and are numbered apart; the plan
//! for the calls has deltas only. Citations come while the text they are about is open. The last event
//! has the reason to stop and the counts.

use crate::error::{Error, Kind};
use crate::wire::cohere::content::{self, Call};
use crate::wire::cohere::response::stop;
use crate::wire::cohere::{citation, error, usage};
use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::{self, Json, Str};
use crate::wire::lenient::{Value, count, filled, items, read, text};
use crate::wire::{Decode, Quirks};
use crate::wire_object;

wire_object! {
    struct Data<'a> {
        kind: Json<'a> = "type",
        id: Json<'a>,
        index: Json<'a>,
        delta: Json<'a>,
        logprobs: Json<'a>,
        message: Json<'a>,
    }
}

wire_object! {
    struct Whole<'a> {
        message: Json<'a>,
        finish_reason: Json<'a>,
        usage: Json<'a>,
        error: Json<'a>,
    }
}

wire_object! {
    struct Message<'a> {
        content: Json<'a>,
        tool_plan: Json<'a>,
        tool_calls: Json<'a>,
        citations: Json<'a>,
    }
}

wire_object! {
    struct Content<'a> { kind: Json<'a> = "type", text: Json<'a>, thinking: Json<'a> }
}

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

/// Where the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Before,
    Running,
    Over,
}

/// A part that has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Open {
    ours: u32,
    kind: Going,
    /// Its own number, among those of its kind.
    theirs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    Text,
    Thinking,
    Plan,
    Call,
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    phase: Phase,
    open: Vec<Open>,
    called: bool,
    next_index: u32,
}

impl Decoder {
    pub fn new(_quirks: &Quirks) -> Self {
        Self::default()
    }

    fn start(&mut self, id: Option<Str<'_>>, sink: &mut Sink<'_>) {
        if self.phase == Phase::Before {
            self.phase = Phase::Running;
            sink(&Event::Start { id, model: None, created: None, usage: None, service_tier: None });
        }
    }

    fn begin(&mut self, kind: Going, theirs: u64, part: PartStart<'_>, sink: &mut Sink<'_>) -> u32 {
        self.start(None, sink);
        // Only calls may overlap.
        self.open.retain(|open| {
            let goes_on = kind == Going::Call && open.kind == Going::Call && open.theirs != theirs;
            if !goes_on {
                sink(&Event::PartEnd { index: open.ours });
            }
            goes_on
        });
        let ours = self.next_index;
        self.next_index = ours.saturating_add(1);
        self.open.push(Open { ours, kind, theirs });
        sink(&Event::PartStart { index: ours, choice: 0, part });
        ours
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        for open in self.open.drain(..) {
            sink(&Event::PartEnd { index: open.ours });
        }
    }

    fn going(&self, kind: Going, theirs: u64) -> Option<u32> {
        self.open.iter().find(|open| open.kind == kind && open.theirs == theirs).map(|open| open.ours)
    }

    /// A piece of text or thinking; it begins its part where that has not begun.
    fn say(&mut self, kind: Going, theirs: u64, words: Str<'_>, logprobs: Value<'_>, sink: &mut Sink<'_>) {
        if words.is_empty() {
            return;
        }
        let start = if kind == Going::Thinking { PartStart::Reasoning } else { PartStart::Text };
        let index = self.going(kind, theirs).unwrap_or_else(|| self.begin(kind, theirs, start, sink));
        if let Some(logprobs) = content::logprobs(logprobs) {
            // Before its text, so that an encoder can put both into one chunk.
            sink(&Event::Delta { index, delta: Delta::Logprobs(logprobs) });
        }
        let delta = if kind == Going::Thinking { Delta::Reasoning(words) } else { Delta::Text(words) };
        sink(&Event::Delta { index, delta });
    }

    fn content_start(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let thinks = content_of(data).and_then(|it| text(it.kind)).is_some_and(|kind| kind.is("thinking"));
        let (kind, part) =
            if thinks { (Going::Thinking, PartStart::Reasoning) } else { (Going::Text, PartStart::Text) };
        self.begin(kind, index(data), part, sink);
        self.content_delta(data, sink);
    }

    fn content_delta(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(it) = content_of(data) else { return };
        let theirs = index(data);
        if let Some(words) = text(it.thinking) {
            self.say(Going::Thinking, theirs, words, None, sink);
        }
        if let Some(words) = text(it.text) {
            self.say(Going::Text, theirs, words, data.logprobs, sink);
        }
    }

    fn tool_plan(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        if let Some(words) = message_of(data).and_then(|message| text(message.tool_plan)) {
            self.say(Going::Plan, 0, words, None, sink);
        }
    }

    fn call_start(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(call) = call_of(data) else { return };
        let function = call.function.unwrap_or_default();
        let or_empty = |value| text(value).unwrap_or_else(|| Str::from_text(""));
        let (id, name) = (or_empty(call.id), or_empty(function.name));
        self.called = true;
        let ours = self.begin(Going::Call, index(data), PartStart::ToolCall { id, name, custom: false }, sink);
        arguments(ours, function.arguments, sink);
    }

    fn call_delta(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let function = call_of(data).and_then(|call| call.function);
        if let (Some(ours), Some(function)) = (self.going(Going::Call, index(data)), function) {
            arguments(ours, function.arguments, sink);
        }
    }

    /// Of a text that is open: what is cited elsewhere has no slot anywhere.
    fn citation(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(Open { ours, kind: Going::Text, .. }) = self.open.last().copied() else { return };
        let Some(citations) = message_of(data).and_then(|message| message.citations) else { return };
        if !citation::is_of_text(citations.get()) {
            return;
        }
        for citation in citation::anthropic(citations.get()) {
            sink(&Event::Delta { index: ours, delta: Delta::Citation(citation) });
        }
    }

    fn end(&mut self, theirs: u64, kinds: [Going; 2], sink: &mut Sink<'_>) {
        let is_it = |open: &Open| open.theirs == theirs && kinds.contains(&open.kind);
        if let Some(at) = self.open.iter().position(is_it) {
            let open = self.open.remove(at);
            sink(&Event::PartEnd { index: open.ours });
        }
    }

    fn message_end(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let it: Whole<'_> = read(data.delta).unwrap_or_default();
        let word = text(it.finish_reason).unwrap_or_else(|| Str::from_text("COMPLETE"));
        let usage = it.usage.and_then(|raw| usage::decode(raw.get()));
        if let Some(error) = error::unfinished(word.escaped(), text(it.error).as_ref()) {
            usage.iter().for_each(|usage| sink(&Event::Usage(*usage)));
            return self.fail(error, sink);
        }
        self.start(None, sink);
        self.close(sink);
        self.phase = Phase::Over;
        sink(&Event::Stop { choice: 0, stop: stop(word, self.called) });
        usage.iter().for_each(|usage| sink(&Event::Usage(*usage)));
        sink(&Event::End);
    }

    fn fail(&mut self, error: Error, sink: &mut Sink<'_>) {
        self.phase = Phase::Over;
        sink(&Event::Error(error));
    }

    fn dispatch(&mut self, name: &str, data: &Data<'_>, sink: &mut Sink<'_>) {
        match name {
            "message-start" => self.start(filled(data.id).map(Str::into_owned), sink),
            "content-start" => self.content_start(data, sink),
            "content-delta" => self.content_delta(data, sink),
            "content-end" => self.end(index(data), [Going::Text, Going::Thinking], sink),
            "tool-plan-delta" => self.tool_plan(data, sink),
            "tool-call-start" => self.call_start(data, sink),
            "tool-call-delta" => self.call_delta(data, sink),
            "tool-call-end" => self.end(index(data), [Going::Call, Going::Call], sink),
            "citation-start" => self.citation(data, sink),
            "message-end" => self.message_end(data, sink),
            _ => {}
        }
    }
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        let data = data.trim();
        if self.phase == Phase::Over || data.is_empty() || data == "[DONE]" {
            return;
        }
        match json::parse::<Data<'_>>(data) {
            Ok(fields) if name == "error" || fields.kind.is_none() && text(fields.message).is_some() => {
                self.fail(error::decode_in_band(data), sink);
            }
            Ok(fields) => {
                let kind = text(fields.kind).map_or_else(|| name.to_owned(), |kind| kind.text().into_owned());
                self.dispatch(&kind, &fields, sink);
            }
            Err(e) => {
                let error = Error::new(Kind::UpstreamFailed, "the provider's stream cannot be read");
                self.fail(error.with_unreadable(&e), sink);
            }
        }
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&Event<'_>)) {
        if self.phase != Phase::Over {
            self.fail(Error::new(Kind::UpstreamFailed, "the provider cut the stream"), sink);
        }
    }
}

fn index(data: &Data<'_>) -> u64 {
    count(data.index).unwrap_or_default()
}

fn message_of<'a>(data: &Data<'a>) -> Option<Message<'a>> {
    read(read::<Whole<'a>>(data.delta)?.message)
}

fn content_of<'a>(data: &Data<'a>) -> Option<Content<'a>> {
    read(message_of(data)?.content)
}

/// One call; some day it may be a list, as in whole answers.
fn call_of<'a>(data: &Data<'a>) -> Option<Call<'a>> {
    let calls = message_of(data)?.tool_calls;
    read(calls).or_else(|| read(items(calls).first().copied()))
}

fn arguments(index: u32, fragment: Value<'_>, sink: &mut Sink<'_>) {
    if let Some(fragment) = filled(fragment) {
        sink(&Event::Delta { index, delta: Delta::Arguments(fragment) });
    }
}
