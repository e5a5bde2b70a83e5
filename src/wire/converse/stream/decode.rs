//! An upstream's stream, read.
//!
//! Only blocks of tools begin with an event of their own; text and reasoning begin with their first
//! delta. The finish comes before the counts, so the answer is over when `metadata` came, or when the
//! body ends behind `messageStop`.

use crate::error::{Error, Kind};
use crate::wire::converse::block::{self, ToolUse};
use crate::wire::converse::response::{broken, sequence, stop};
use crate::wire::converse::{citation, error, usage};
use crate::wire::ir::{Delta, Event, PartStart, Stop};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::lenient::count;
use crate::wire::{Decode, Quirks};
use crate::wire_object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

wire_object! {
    struct Data<'a> {
        index: Json<'a> = "contentBlockIndex",
        start: Json<'a>,
        delta: Json<'a>,
        stop_reason: Json<'a> = "stopReason",
        extra: Json<'a> = "additionalModelResponseFields",
        usage: Json<'a>,
    }
}

wire_object! {
    struct BlockDelta<'a> {
        text: Json<'a>,
        tool_use: ToolInput<'a> = "toolUse",
        reasoning: Reasoning<'a> = "reasoningContent",
        citation: Json<'a>,
    }
}

wire_object! {
    struct ToolInput<'a> { input: Json<'a> }
}

wire_object! {
    struct Reasoning<'a> { text: Json<'a>, signature: Json<'a>, redacted: Json<'a> = "redactedContent" }
}

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

/// A block that has begun and not ended.
#[derive(Debug)]
struct Open {
    theirs: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A part with this number.
    Part { ours: u32, opaque: bool, is_call: bool },
    /// Thinking that only its maker can read: a part has all of it from the start on, so it is gathered.
    Redacted(String),
}

impl Open {
    fn is_call(&self) -> bool {
        matches!(self.state, State::Part { is_call: true, .. })
    }
}

/// Where the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Before,
    Running,
    Stopped,
    Over,
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    service_tier: Option<String>,
    phase: Phase,
    open: Vec<Open>,
    next_index: u32,
    /// What the answer broke off with; the counts still follow.
    broken: Option<Error>,
}

impl Decoder {
    pub fn new(_quirks: &Quirks) -> Self {
        Self::default()
    }

    fn ensure_start(&mut self, sink: &mut Sink<'_>) {
        if self.phase == Phase::Before {
            self.phase = Phase::Running;
            sink(&Event::Start { id: None, model: None, created: None, usage: None, service_tier: None });
        }
    }

    fn block_start(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(start) = data.start else { return };
        let theirs = index(data);
        let (name, value) = block::tag(start.get());
        let call: Option<ToolUse<'_>> = if name == "toolUse" { json::parse(value).ok() } else { None };
        let string = |raw: Option<Json<'_>>| raw.and_then(|raw| Str::from_raw(raw.get()).map(Str::into_owned));
        match call {
            Some(call) if !call.is_servers() => {
                let (id, name) = (string(call.id), string(call.name));
                let (id, name) = (id.unwrap_or_else(|| Str::from_text("")), name.unwrap_or_else(|| Str::from_text("")));
                self.begin(theirs, false, PartStart::ToolCall { id, name, custom: false }, sink);
            }
            _ => {
                let (tag, json) = (Str::from_text(name), Raw::new(start.get()));
                self.begin(theirs, true, PartStart::Other { tag, json }, sink);
            }
        }
    }

    fn begin(&mut self, theirs: u64, opaque: bool, part: PartStart<'_>, sink: &mut Sink<'_>) -> u32 {
        self.ensure_start(sink);
        let is_call = matches!(part, PartStart::ToolCall { .. });
        // Only calls may overlap.
        self.close_where(|open| !(is_call && open.is_call() && open.theirs != theirs), sink);
        let ours = self.part(part, sink);
        self.open.push(Open { theirs, state: State::Part { ours, opaque, is_call } });
        ours
    }

    fn part(&mut self, part: PartStart<'_>, sink: &mut Sink<'_>) -> u32 {
        let ours = self.next_index;
        self.next_index = self.next_index.saturating_add(1);
        sink(&Event::PartStart { index: ours, choice: 0, part });
        ours
    }

    fn block_delta(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(raw) = data.delta else { return };
        let delta: BlockDelta<'_> = json::parse(raw.get()).unwrap_or_default();
        let theirs = index(data);
        if let Some(redacted) = delta.reasoning.as_ref().and_then(|reasoning| reasoning.redacted) {
            return self.redacted(theirs, redacted, sink);
        }
        let known = known(&delta);
        let state = self.open.iter().find(|open| open.theirs == theirs).map(|open| &open.state);
        match (state, known) {
            (Some(State::Part { ours, opaque: true, .. }), _) => {
                sink(&Event::Delta { index: *ours, delta: Delta::Other(Raw::new(raw.get())) });
            }
            (Some(State::Part { ours, .. }), Some(delta)) => give(*ours, delta, sink),
            (_, Some(delta)) => {
                if let Some(start) = missing_start(&delta) {
                    let ours = self.begin(theirs, false, start, sink);
                    give(ours, delta, sink);
                }
            }
            _ => {}
        }
    }

    fn redacted(&mut self, theirs: u64, data: Json<'_>, sink: &mut Sink<'_>) {
        let Some(data) = Str::from_raw(data.get()) else { return };
        let open = self.open.iter_mut().find(|open| open.theirs == theirs).map(|open| &mut open.state);
        if let Some(State::Redacted(held)) = open {
            return join(held, &data.text());
        }
        self.ensure_start(sink);
        self.close(sink);
        self.open.push(Open { theirs, state: State::Redacted(data.text().into_owned()) });
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        self.close_where(|_| true, sink);
    }

    fn close_where(&mut self, ends: impl Fn(&Open) -> bool, sink: &mut Sink<'_>) {
        let (ended, open) = std::mem::take(&mut self.open).into_iter().partition::<Vec<Open>, _>(ends);
        self.open = open;
        for open in ended {
            let ours = match open.state {
                State::Part { ours, .. } => ours,
                State::Redacted(data) => self.part(PartStart::RedactedReasoning { data: Str::from_text(&data) }, sink),
            };
            sink(&Event::PartEnd { index: ours });
        }
    }

    fn block_stop(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let theirs = index(data);
        self.close_where(|open| open.theirs == theirs, sink);
    }

    fn message_stop(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        self.ensure_start(sink);
        let word = string(data.stop_reason);
        if self.phase == Phase::Running
            && let Some(error) = word.as_ref().and_then(broken)
        {
            self.phase = Phase::Stopped;
            self.broken = Some(error);
            return;
        }
        self.close(sink);
        if self.phase == Phase::Running {
            self.phase = Phase::Stopped;
            let stop = word.map_or_else(|| Stop::of(crate::wire::ir::StopReason::EndTurn), |word| stop(word, None));
            sink(&Event::Stop { choice: 0, stop: Stop { sequence: sequence(data.extra), ..stop } });
        }
    }

    fn metadata(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        self.ensure_start(sink);
        let counts = data.usage.and_then(|raw| usage::decode(raw.get()));
        if let Some(error) = self.broken.take() {
            counts.iter().for_each(|usage| sink(&Event::Usage(*usage)));
            return self.fail(error, sink);
        }
        if let Some(usage) = counts {
            // Parts are closed before their counts come.
            self.close(sink);
            sink(&Event::Usage(usage));
        }
        if self.phase == Phase::Stopped {
            self.phase = Phase::Over;
            sink(&Event::End);
        }
    }

    fn fail(&mut self, error: Error, sink: &mut Sink<'_>) {
        self.phase = Phase::Over;
        sink(&Event::Error(error));
    }

    fn dispatch(&mut self, name: &str, data: &Data<'_>, sink: &mut Sink<'_>) {
        match name {
            "messageStart" => self.ensure_start(sink),
            // What follows the end of the answer is another one.
            "contentBlockStart" | "contentBlockDelta" if self.phase == Phase::Stopped => {}
            "contentBlockStart" => self.block_start(data, sink),
            "contentBlockDelta" => self.block_delta(data, sink),
            "contentBlockStop" => self.block_stop(data, sink),
            "messageStop" => self.message_stop(data, sink),
            "metadata" => self.metadata(data, sink),
            _ => {}
        }
    }
}

impl Decode for Decoder {
    fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    fn event(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        if self.phase == Phase::Over {
            return;
        }
        if name == "metadata" {
            self.service_tier = usage::tier_in_body(data);
        }
        if name == "error" || name.ends_with("Exception") {
            return self.fail(error::decode_exception(name, data), sink);
        }
        match json::parse::<Data<'_>>(data) {
            Ok(fields) => self.dispatch(name, &fields, sink),
            Err(e) => {
                let error = Error::new(Kind::UpstreamFailed, "the provider's stream cannot be read");
                self.fail(error.with_unreadable(&e), sink);
            }
        }
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&Event<'_>)) {
        match self.phase {
            Phase::Over => {}
            Phase::Stopped => {
                if let Some(error) = self.broken.take() {
                    return self.fail(error, sink);
                }
                self.phase = Phase::Over;
                sink(&Event::End);
            }
            Phase::Before | Phase::Running => {
                self.fail(Error::new(Kind::UpstreamFailed, "the provider cut the stream"), sink);
            }
        }
    }
}

fn index(data: &Data<'_>) -> u64 {
    count(data.index).unwrap_or_default()
}

fn string(raw: Option<Json<'_>>) -> Option<Str<'_>> {
    Str::from_raw(raw?.get())
}

fn known<'a>(delta: &BlockDelta<'a>) -> Option<Delta<'a>> {
    if let Some(text) = string(delta.text) {
        return Some(Delta::Text(text));
    }
    if let Some(input) = delta.tool_use.as_ref().and_then(|call| string(call.input)) {
        return Some(Delta::Arguments(input));
    }
    if let Some(reasoning) = &delta.reasoning {
        let text = string(reasoning.text).map(Delta::Reasoning);
        return text.or_else(|| string(reasoning.signature).map(Delta::Signature));
    }
    citation::anthropic(delta.citation?.get()).map(Delta::Citation)
}

fn give(index: u32, delta: Delta<'_>, sink: &mut Sink<'_>) {
    let is_empty = match &delta {
        Delta::Text(s) | Delta::Reasoning(s) | Delta::Signature(s) | Delta::Arguments(s) => s.is_empty(),
        _ => false,
    };
    if !is_empty {
        sink(&Event::Delta { index, delta });
    }
}

/// The block that a delta implies.
fn missing_start(delta: &Delta<'_>) -> Option<PartStart<'static>> {
    match delta {
        Delta::Text(_) | Delta::Citation(_) => Some(PartStart::Text),
        Delta::Reasoning(_) | Delta::Signature(_) => Some(PartStart::Reasoning),
        _ => None,
    }
}

/// Adds a piece of base64, which is of bytes of its own.
fn join(held: &mut String, more: &str) {
    match (STANDARD.decode(held.as_bytes()), STANDARD.decode(more)) {
        (Ok(mut bytes), Ok(more)) => {
            bytes.extend(more);
            *held = STANDARD.encode(bytes);
        }
        _ => held.push_str(more),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

    use serde_json::{Value, json};

    use super::*;

    fn decode(events: &[(&str, Value)]) -> Vec<String> {
        let mut seen = Vec::new();
        let mut decoder = Decoder::new(&Quirks::NONE);
        let mut sink = |event: &Event<'_>| seen.push(short(event));
        events.iter().for_each(|(name, data)| decoder.event(name, &data.to_string(), &mut sink));
        decoder.finish(&mut sink);
        seen
    }

    /// An event in few words.
    fn short(event: &Event<'_>) -> String {
        match event {
            Event::PartStart { index, part: PartStart::ToolCall { id, .. }, .. } => {
                format!("+{index} call {}", id.text())
            }
            Event::PartStart { index, part, .. } => format!("+{index} {part:?}"),
            Event::Delta { index, delta: Delta::Text(s) | Delta::Arguments(s) } => format!("{index} {}", s.text()),
            Event::PartEnd { index } => format!("-{index}"),
            Event::Stop { stop, .. } => format!("stop {:?}", stop.reason),
            Event::Usage(usage) => format!("usage {}+{}", usage.input_tokens(), usage.output_tokens()),
            Event::Error(error) => format!("error {:?} {}", error.kind(), error.public()),
            other => format!("{other:?}"),
        }
    }

    fn start() -> (&'static str, Value) {
        ("messageStart", json!({"role":"assistant"}))
    }

    fn delta(index: u32, delta: &Value) -> (&'static str, Value) {
        ("contentBlockDelta", json!({"contentBlockIndex":index,"delta":delta}))
    }

    fn end(index: u32) -> (&'static str, Value) {
        ("contentBlockStop", json!({"contentBlockIndex":index}))
    }

    fn stopped(word: &str) -> (&'static str, Value) {
        ("messageStop", json!({"stopReason":word}))
    }

    fn metadata() -> (&'static str, Value) {
        ("metadata", json!({"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}))
    }

    #[test]
    fn calls_that_overlap_keep_their_arguments() {
        let begin = |index: u32, id: &str| {
            ("contentBlockStart", json!({"contentBlockIndex":index,"start":{"toolUse":{"toolUseId":id,"name":"f"}}}))
        };
        let seen = decode(&[
            start(),
            delta(0, &json!({"text":"I"})),
            begin(1, "a"),
            begin(2, "b"),
            delta(1, &json!({"toolUse":{"input":"{}"}})),
            delta(2, &json!({"toolUse":{"input":"[]"}})),
            end(1),
            end(2),
            stopped("tool_use"),
            metadata(),
        ]);
        let expected = [
            "+0 Text",
            "0 I",
            "-0",
            "+1 call a",
            "+2 call b",
            "1 {}",
            "2 []",
            "-1",
            "-2",
            "stop ToolUse",
            "usage 3+2",
            "End",
        ];
        assert_eq!(seen[1..], expected);
    }

    #[test]
    fn an_answer_that_broke_off_is_an_error_behind_its_counts() {
        let said = || [start(), delta(0, &json!({"text":"a"})), stopped("malformed_tool_use")];
        let error = "error UpstreamFailed the model's answer broke off: malformed_tool_use";
        let [one, two, three] = said();
        assert_eq!(decode(&[one, two, three, metadata()])[3..], ["usage 3+2", error]);
        assert_eq!(decode(&said())[3..], [error]);
    }
}
