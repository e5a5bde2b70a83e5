//! An upstream's stream, read.

use crate::error::{Error, Kind};
use crate::usage::tokens::Advice;
use crate::wire::anthropic::response::{stop, string};
use crate::wire::anthropic::{block, error, usage};
use crate::wire::ir::{Arguments, At, Delta, Event, Part, PartKind, PartStart, Stop, StopReason};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::{Decode, Quirks};
use crate::wire_object;

wire_object! {
    struct Data<'a> {
        kind: Json<'a> = "type",
        index: Json<'a>,
        message: Json<'a>,
        content_block: Json<'a>,
        delta: Json<'a>,
        usage: Json<'a>,
    }
}

wire_object! {
    struct Message<'a> { id: Json<'a>, model: Json<'a>, usage: Json<'a> }
}

wire_object! {
    struct BlockDelta<'a> {
        kind: Json<'a> = "type",
        text: Json<'a>,
        thinking: Json<'a>,
        signature: Json<'a>,
        partial_json: Json<'a>,
        citation: Json<'a>,
    }
}

wire_object! {
    struct MessageDelta<'a> { stop_reason: Json<'a>, stop_sequence: Json<'a> }
}

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

/// A block that has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// The upstream's number; used again after a second `message_start`.
    theirs: u64,
    ours: u32,
    /// Of a type unknown here: its deltas pass as they are.
    opaque: bool,
    is_call: bool,
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
    phase: Phase,
    open: Vec<Open>,
    next_index: u32,
    usage: usage::Merge,
}

impl Decoder {
    pub fn new(_quirks: &Quirks) -> Self {
        Self::default()
    }

    fn message_start(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let message: Message<'_> = data.message.and_then(|raw| json::parse(raw.get()).ok()).unwrap_or_default();
        if let Some(counts) = message.usage {
            self.usage.start(counts.get());
        }
        self.close_all(sink);
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Running;
        sink(&Event::Start {
            id: string(message.id),
            model: string(message.model),
            created: None,
            usage: self.usage.usage(),
            service_tier: message.usage.and_then(|raw| usage::tier(raw.get())),
        });
    }

    /// Some servers leave `message_start` out.
    fn ensure_start(&mut self, sink: &mut Sink<'_>) {
        if self.phase == Phase::Before {
            self.message_start(&Data::default(), sink);
        }
    }

    fn block_start(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(content) = data.content_block else { return };
        let part = block::decode(content.get(), At::default());
        let (start, opaque) = match &part.kind {
            PartKind::Text { .. } => (PartStart::Text, false),
            PartKind::Reasoning { .. } => (PartStart::Reasoning, false),
            PartKind::RedactedReasoning { data } => (PartStart::RedactedReasoning { data: data.clone() }, false),
            PartKind::ToolCall { id, name, .. } => {
                (PartStart::ToolCall { id: id.clone(), name: name.clone(), custom: false }, false)
            }
            PartKind::Other { tag, .. } if tag.is_empty() => return,
            _ => {
                let tag = block::tag(content.get()).unwrap_or_else(|| Str::from_text(""));
                (PartStart::Other { tag, json: Raw::new(content.get()) }, true)
            }
        };
        let index = self.begin(index(data), opaque, start, sink);
        first_deltas(index, &part, sink);
    }

    fn begin(&mut self, theirs: u64, opaque: bool, part: PartStart<'_>, sink: &mut Sink<'_>) -> u32 {
        self.ensure_start(sink);
        let is_call = matches!(part, PartStart::ToolCall { .. });
        // Calls may overlap (servers with this format do); any other block that was never ended is ended here.
        self.open.retain(|open| {
            let goes_on = is_call && open.is_call && open.theirs != theirs;
            if !goes_on {
                sink(&Event::PartEnd { index: open.ours });
            }
            goes_on
        });
        let ours = self.next_index;
        self.next_index = ours.saturating_add(1);
        self.open.push(Open { theirs, ours, opaque, is_call });
        sink(&Event::PartStart { index: ours, choice: 0, part });
        ours
    }

    fn block_delta(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(raw) = data.delta else { return };
        let theirs = index(data);
        let Ok(fields) = json::parse::<BlockDelta<'_>>(raw.get()) else { return };
        let delta = known_delta(&fields).unwrap_or_else(|| Delta::Other(Raw::new(raw.get())));
        let known = self.open.iter().find(|open| open.theirs == theirs).copied();
        let (index, opaque) = match (known, missing_start(&delta)) {
            (Some(open), _) => (open.ours, open.opaque),
            (None, Some(start)) => (self.begin(theirs, false, start, sink), false),
            (None, None) => return,
        };
        let delta = if opaque { Delta::Other(Raw::new(raw.get())) } else { delta };
        sink(&Event::Delta { index, delta });
    }

    fn block_stop(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let theirs = index(data);
        if let Some(at) = self.open.iter().position(|open| open.theirs == theirs) {
            let open = self.open.remove(at);
            sink(&Event::PartEnd { index: open.ours });
        }
    }

    fn message_delta(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        self.ensure_start(sink);
        let delta: MessageDelta<'_> = data.delta.and_then(|raw| json::parse(raw.get()).ok()).unwrap_or_default();
        if let Some(word) = string(delta.stop_reason) {
            self.stop(&stop(word, string(delta.stop_sequence)), sink);
        }
        if let Some(counts) = data.usage {
            self.usage.delta(counts.get());
            self.usage.usage().iter().for_each(|usage| sink(&Event::Usage(*usage)));
        }
    }

    fn stop(&mut self, stop: &Stop<'_>, sink: &mut Sink<'_>) {
        self.close_all(sink);
        if self.phase == Phase::Running {
            self.phase = Phase::Stopped;
            sink(&Event::Stop { choice: 0, stop: stop.clone() });
        }
    }

    fn message_stop(&mut self, sink: &mut Sink<'_>) {
        self.ensure_start(sink);
        self.stop(&Stop::of(StopReason::EndTurn), sink);
        self.phase = Phase::Over;
        sink(&Event::End);
    }

    fn fail(&mut self, error: Error, sink: &mut Sink<'_>) {
        self.phase = Phase::Over;
        sink(&Event::Error(error));
    }

    fn close_all(&mut self, sink: &mut Sink<'_>) {
        for open in self.open.drain(..) {
            sink(&Event::PartEnd { index: open.ours });
        }
    }

    fn dispatch(&mut self, kind: &str, raw: &str, data: &Data<'_>, sink: &mut Sink<'_>) {
        match kind {
            // What follows the end of the answer is another one.
            "message_start" | "content_block_start" | "content_block_delta" if self.phase == Phase::Stopped => {}
            "message_start" => self.message_start(data, sink),
            "content_block_start" => self.block_start(data, sink),
            "content_block_delta" => self.block_delta(data, sink),
            "content_block_stop" => self.block_stop(data, sink),
            "message_delta" => self.message_delta(data, sink),
            "message_stop" => self.message_stop(sink),
            "ping" => sink(&Event::Ping),
            "error" => self.fail(error::decode_event(raw), sink),
            _ => {}
        }
    }
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        let text = data.trim();
        if self.phase == Phase::Over || text.is_empty() || text == "[DONE]" {
            return;
        }
        match json::parse::<Data<'_>>(text) {
            Ok(fields) => {
                let kind = string(fields.kind);
                let kind = kind.as_ref().map(Str::text);
                self.dispatch(kind.as_deref().unwrap_or(name), text, &fields, sink);
            }
            // A broken ping is no reason to lose the answer.
            Err(_) if name == "ping" => {}
            Err(e) => {
                let error = Error::new(Kind::UpstreamFailed, "the provider's stream cannot be read");
                self.fail(error.with_unreadable(&e), sink);
            }
        }
    }

    fn advice(&self) -> &[Advice] {
        self.usage.advice()
    }

    fn repeats(&self) -> bool {
        true
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&Event<'_>)) {
        match self.phase {
            Phase::Over => {}
            Phase::Stopped => {
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
    data.index.and_then(|raw| raw.get().parse().ok()).unwrap_or_default()
}

/// What a block holds at its start already.
fn first_deltas(index: u32, part: &Part<'_>, sink: &mut Sink<'_>) {
    let mut give = |delta| sink(&Event::Delta { index, delta });
    match &part.kind {
        PartKind::Text { text, citations } => {
            let citations = citations.as_ref().and_then(|list| list.read::<Vec<Raw<'_>>>()).unwrap_or_default();
            citations.into_iter().for_each(|citation| give(Delta::Citation(citation)));
            if !text.is_empty() {
                give(Delta::Text(text.clone()));
            }
        }
        PartKind::Reasoning { text, signature } => {
            if !text.is_empty() {
                give(Delta::Reasoning(text.clone()));
            }
            if let Some(signature) = signature.as_ref().filter(|signature| !signature.is_empty()) {
                give(Delta::Signature(signature.clone()));
            }
        }
        PartKind::ToolCall { arguments: Arguments::Object(input), .. } if !is_empty_object(input.get()) => {
            give(Delta::Arguments(Str::from_text(input.get())));
        }
        _ => {}
    }
}

fn is_empty_object(json: &str) -> bool {
    json == "null" || json.bytes().filter(|b| !b.is_ascii_whitespace()).eq(*b"{}")
}

fn known_delta<'a>(fields: &BlockDelta<'a>) -> Option<Delta<'a>> {
    Some(match string(fields.kind)?.escaped() {
        "text_delta" => Delta::Text(string(fields.text)?),
        "thinking_delta" => Delta::Reasoning(string(fields.thinking)?),
        "signature_delta" => Delta::Signature(string(fields.signature)?),
        "input_json_delta" => Delta::Arguments(string(fields.partial_json)?),
        "citations_delta" => Delta::Citation(Raw::new(fields.citation?.get())),
        _ => return None,
    })
}

/// The block that a delta implies, where a server left its start out.
fn missing_start(delta: &Delta<'_>) -> Option<PartStart<'static>> {
    match delta {
        Delta::Text(_) => Some(PartStart::Text),
        Delta::Reasoning(_) => Some(PartStart::Reasoning),
        _ => None,
    }
}
