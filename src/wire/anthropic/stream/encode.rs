//! A stream for a client.
//!
//! One block is open at a time: what comes for another one waits, and is written when its turn
//! comes. A thinking block stays open until the next block, since what belongs into its signature
//! may come after its text. The closing events wait for the end of the stream, so that they carry
//! the last usage.

use std::collections::VecDeque;

use crate::usage::tokens::Usage;
use crate::wire::anthropic::response::{self, Held};
use crate::wire::anthropic::{block, error, usage};
use crate::wire::ir::{Delta, Event, PartStart, Stop};
use crate::wire::json::{self, Obj, Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::stream::aside;
use crate::wire::{Client, Dialect, Encode, request_id};

/// Writes the events of one stream.
#[derive(Debug)]
pub struct Encoder {
    /// Owned copies of what [`Client`] lends.
    model: String,
    id: String,
    input_estimate_tokens: u64,
    seal: Seal,
    started: bool,
    over: bool,
    /// Parts that are open or wait, in the order of their starts; the first is the open one.
    parts: VecDeque<Part>,
    /// A thinking block whose part has ended, kept open for what may still follow.
    thinking: Option<Thinking>,
    /// The last block was text.
    is_after_text: bool,
    next_block: u32,
    held: Held,
    stop: Option<Stop<'static>>,
    usage: Option<Usage>,
}

/// A part of the answer.
#[derive(Debug)]
struct Part {
    /// Its index in the intermediate form.
    index: u32,
    kind: Kind,
    /// Deltas that came while another block was open.
    waiting: Vec<Delta<'static>>,
    ended: bool,
    /// Its block has been started.
    begun: bool,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking,
    Redacted(Str<'static>),
    Call { id: Str<'static>, name: Str<'static>, input: Input },
    Other(Raw<'static>),
}

/// How far the arguments of a call have been written.
#[derive(Debug)]
enum Input {
    /// Nothing but white space so far.
    Blank,
    /// An object has begun: fragments pass.
    Object,
    /// Something that is no object; kept, to be wrapped at the end.
    Odd(String),
}

/// A thinking block that is being written.
#[derive(Debug, Default)]
struct Thinking {
    is_signed: bool,
    /// Stands after a text and says nothing so far. Its block begins when something follows: no answer
    /// of Anthropic's ends in thinking, and Claude Code prints nothing of one that does (28 Nov 2026).
    is_withheld: bool,
    proof: Option<Str<'static>>,
}

impl Encoder {
    pub fn new(client: &Client<'_>) -> Self {
        Self {
            model: client.model.to_owned(),
            id: client.id.to_owned(),
            input_estimate_tokens: client.input_estimate_tokens,
            seal: client.seal.clone(),
            started: false,
            over: false,
            parts: VecDeque::new(),
            thinking: None,
            is_after_text: false,
            next_block: 0,
            held: Held::default(),
            stop: None,
            usage: None,
        }
    }

    fn client(&self) -> Client<'_> {
        Client { input_estimate_tokens: self.input_estimate_tokens, ..Client::of(&self.model, &self.id, &self.seal) }
    }

    fn start(&mut self, id: Option<&Str<'_>>, model: Option<&Str<'_>>, tier: Option<&Str<'_>>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let client = self.client();
        // What Anthropic's own streams begin with: the prompt's count and one token of output.
        let mut usage = self.usage.unwrap_or_else(|| response::estimate(&client));
        usage.visible_output_tokens = usage.visible_output_tokens.max(u64::from(usage.output_tokens() == 0));
        let tier = tier.map(Str::text);
        event("message_start", out, |data| {
            let mut message = data.obj("message");
            response::encode_head(id, model, &client, &mut message);
            message.raw("content", "[]").null("stop_reason").null("stop_sequence");
            usage::encode_answer(&usage, tier.as_deref(), message.key("usage"));
        });
    }

    fn part_start(&mut self, index: u32, part: &PartStart<'_>, out: &mut Vec<u8>) {
        let kind = match part {
            PartStart::Text => Kind::Text,
            PartStart::Refusal => {
                self.held.refusal = true;
                Kind::Text
            }
            PartStart::Reasoning | PartStart::ReasoningDetails => Kind::Thinking,
            PartStart::RedactedReasoning { data } => Kind::Redacted(data.clone().into_owned()),
            PartStart::ToolCall { id, name, .. } => {
                self.held.calls = true;
                Kind::Call { id: self.call_id(id, index), name: name.clone().into_owned(), input: Input::Blank }
            }
            PartStart::Other { tag, json } if block::is_answer_block(tag, json) => {
                Kind::Other(json.clone().into_owned())
            }
            // Its answers have no place for pictures.
            PartStart::Image { .. } | PartStart::Other { .. } => return,
        };
        self.parts.push_back(Part { index, kind, waiting: Vec::new(), ended: false, begun: false });
        self.advance(out);
    }

    fn call_id(&self, id: &Str<'_>, index: u32) -> Str<'static> {
        if id.is_empty() { Str::from_text(&response::call_id(&self.client(), index)) } else { id.clone().into_owned() }
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let is_open = self.parts.front().is_some_and(|part| part.index == index);
        match self.parts.iter_mut().find(|part| part.index == index) {
            Some(_) if is_open => self.write_delta(delta, out),
            Some(part) => part.waiting.push(owned(delta)),
            None => {}
        }
    }

    fn part_end(&mut self, index: u32, out: &mut Vec<u8>) {
        self.parts.iter_mut().filter(|part| part.index == index).for_each(|part| part.ended = true);
        self.advance(out);
    }

    /// Begins the first part, and ends it and goes on to the next where it is complete.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while let Some(part) = self.parts.front_mut() {
            if !std::mem::replace(&mut part.begun, true) {
                self.begin(out);
            }
            if !self.parts.front().is_some_and(|part| part.ended) {
                return;
            }
            if let Some(part) = self.parts.pop_front() {
                self.end(part, out);
            }
        }
    }

    /// Starts the block of the first part and writes what has waited for it.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let Some(part) = self.parts.front_mut() else { return };
        let waiting = std::mem::take(&mut part.waiting);
        let is_thinking = matches!(part.kind, Kind::Thinking);
        // The text of one thought and its proof are one block, which the proof ends.
        if !(is_thinking && self.thinking.as_ref().is_some_and(|thought| !thought.is_signed)) {
            self.end_thinking(out);
            match is_thinking && self.is_after_text {
                true => self.thinking = Some(Thinking { is_withheld: true, ..Thinking::default() }),
                false => self.start_block(out),
            }
        }
        waiting.iter().for_each(|delta| self.write_delta(delta, out));
    }

    fn start_block(&mut self, out: &mut Vec<u8>) {
        let Some(part) = self.parts.front() else { return };
        start_block(self.next_block, &part.kind, out);
        self.is_after_text = matches!(part.kind, Kind::Text);
        if matches!(part.kind, Kind::Thinking) {
            self.thinking = Some(Thinking::default());
        }
    }

    /// Begins the thinking block that was withheld, if one is.
    fn release(&mut self, out: &mut Vec<u8>) {
        let Some(thought) = self.thinking.as_mut().filter(|thought| thought.is_withheld) else { return };
        thought.is_withheld = false;
        let proof = thought.proof.take();
        self.is_after_text = false;
        start_block(self.next_block, &Kind::Thinking, out);
        if let Some(proof) = proof {
            self.block_delta("signature_delta", "signature", &proof, out);
        }
    }

    fn end(&mut self, part: Part, out: &mut Vec<u8>) {
        match part.kind {
            Kind::Thinking => {}
            Kind::Call { input: Input::Odd(text), .. } => {
                if let Some(wrapped) = wrap(&text) {
                    self.block_delta("input_json_delta", "partial_json", &Str::from_text(&wrapped), out);
                }
                self.stop_block(out);
            }
            _ => self.stop_block(out),
        }
    }

    /// Ends the thinking block, if one is open, after its signature.
    fn end_thinking(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        let Some(thought) = self.thinking.take() else { return };
        if !thought.is_signed {
            let signature = Str::from_text(&self.seal.close(b""));
            self.block_delta("signature_delta", "signature", &signature, out);
        }
        self.stop_block(out);
    }

    fn stop_block(&mut self, out: &mut Vec<u8>) {
        let index = u64::from(self.next_block);
        event("content_block_stop", out, |data| _ = data.num("index", index));
        self.next_block = self.next_block.saturating_add(1);
    }

    /// A delta of the open block.
    fn write_delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) | Delta::Refusal(text) if self.is_text() && !text.is_empty() => {
                self.block_delta("text_delta", "text", text, out);
            }
            Delta::Citation(citation) if self.is_text() && block::is_location(citation.get()) => {
                let citation = block::location(citation.get());
                self.raw_delta(|delta| _ = delta.text("type", "citations_delta").raw("citation", &citation), out);
            }
            Delta::Reasoning(text) => self.thinking_delta(text, out),
            Delta::Signature(signature) => self.signature_delta(signature, out),
            Delta::Arguments(fragment) => self.input_delta(fragment, out),
            Delta::Other(raw) if self.is_other() => {
                let index = u64::from(self.next_block);
                event("content_block_delta", out, |data| _ = data.num("index", index).raw("delta", raw.get()));
            }
            _ => {}
        }
    }

    fn is_text(&self) -> bool {
        self.parts.front().is_some_and(|part| matches!(part.kind, Kind::Text))
    }

    fn is_other(&self) -> bool {
        self.parts.front().is_some_and(|part| matches!(part.kind, Kind::Other(_)))
    }

    fn thinking_delta(&mut self, text: &Str<'_>, out: &mut Vec<u8>) {
        if self.thinking.is_none() || text.is_empty() {
            return;
        }
        self.release(out);
        self.block_delta("thinking_delta", "thinking", text, out);
    }

    fn signature_delta(&mut self, signature: &Str<'_>, out: &mut Vec<u8>) {
        let Some(thought) = self.thinking.as_mut().filter(|_| !signature.is_empty()) else { return };
        thought.is_signed = true;
        if thought.is_withheld {
            thought.proof = Some(signature.clone().into_owned());
            return;
        }
        self.block_delta("signature_delta", "signature", signature, out);
    }

    fn input_delta(&mut self, fragment: &Str<'_>, out: &mut Vec<u8>) {
        let Some(Part { kind: Kind::Call { input, .. }, .. }) = self.parts.front_mut() else { return };
        match input {
            Input::Object => {}
            Input::Odd(text) => return text.push_str(&fragment.text()),
            Input::Blank => match fragment.text().trim_start() {
                "" => return,
                text if text.starts_with('{') => *input = Input::Object,
                text => {
                    *input = Input::Odd(text.to_owned());
                    return;
                }
            },
        }
        self.block_delta("input_json_delta", "partial_json", fragment, out);
    }

    fn block_delta(&self, kind: &'static str, member: &'static str, text: &Str<'_>, out: &mut Vec<u8>) {
        // The most frequent event of all.
        out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
        json::write_number(out, u64::from(self.next_block));
        for piece in [",\"delta\":{\"type\":\"", kind, "\",\"", member, "\":", text.raw(), "}}\n\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }

    fn raw_delta(&self, write: impl FnOnce(&mut Obj<'_>), out: &mut Vec<u8>) {
        event("content_block_delta", out, |data| {
            data.num("index", u64::from(self.next_block));
            write(&mut data.obj("delta"));
        });
    }

    fn end_of_stream(&mut self, out: &mut Vec<u8>) {
        self.start(None, None, None, out);
        self.parts.iter_mut().for_each(|part| part.ended = true);
        self.advance(out);
        self.thinking.take_if(|thought| thought.is_withheld);
        self.end_thinking(out);
        let usage = self.usage.unwrap_or_else(|| response::estimate(&self.client()));
        event("message_delta", out, |data| {
            let mut delta = data.obj("delta");
            delta.text("stop_reason", response::stop_word(self.stop.as_ref(), self.held));
            response::encode_sequence(self.stop.as_ref(), &mut delta);
            drop(delta);
            usage::encode_delta(&usage, data.key("usage"));
        });
        event("message_stop", out, |_| {});
        self.over = true;
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, usage, service_tier, .. } => {
                self.usage = usage.or(self.usage);
                self.start(id.as_ref(), model.as_ref(), service_tier.as_ref(), out);
            }
            Event::PartStart { index, choice: 0, part } => {
                self.start(None, None, None, out);
                self.part_start(*index, part, out);
            }
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::PartEnd { index } => self.part_end(*index, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Stop { choice: 0, stop } => self.stop = Some(own_stop(stop)),
            // There is room for one answer only.
            Event::PartStart { .. } | Event::Stop { .. } => {}
            Event::Error(error) => {
                error::encode_event(error, &request_id(&self.id), out);
                self.over = true;
            }
            Event::Ping => aside::keep_alive(Dialect::Anthropic, out),
            Event::End => self.end_of_stream(out),
        }
    }
}

/// Writes one event; `fill` adds the members after its `type`.
fn event(name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Obj<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    {
        let mut data = Obj::new(out);
        data.text("type", name);
        fill(&mut data);
    }
    out.extend_from_slice(b"\n\n");
}

fn start_block(index: u32, kind: &Kind, out: &mut Vec<u8>) {
    event("content_block_start", out, |data| {
        data.num("index", u64::from(index));
        write_block(kind, data);
    });
}

fn write_block(kind: &Kind, data: &mut Obj<'_>) {
    if let Kind::Other(json) = kind {
        data.raw("content_block", json.get());
        return;
    }
    let mut block = data.obj("content_block");
    match kind {
        Kind::Text | Kind::Other(_) => block.text("type", "text").text("text", ""),
        Kind::Thinking => block.text("type", "thinking").text("thinking", "").text("signature", ""),
        Kind::Redacted(redacted) => block.text("type", "redacted_thinking").str("data", redacted),
        Kind::Call { id, name, .. } => {
            block.text("type", "tool_use").str("id", id).str("name", name).raw("input", "{}")
        }
    };
}

/// Arguments that are no object, as one; `None` where they say nothing.
fn wrap(text: &str) -> Option<String> {
    if matches!(text.trim(), "null" | "\"\"") {
        return None;
    }
    let mut out = Vec::new();
    Obj::new(&mut out).text("arguments", text);
    String::from_utf8(out).ok()
}

fn owned(delta: &Delta<'_>) -> Delta<'static> {
    match delta.clone() {
        Delta::Text(text) => Delta::Text(text.into_owned()),
        Delta::Reasoning(text) => Delta::Reasoning(text.into_owned()),
        Delta::Signature(text) => Delta::Signature(text.into_owned()),
        Delta::Arguments(text) => Delta::Arguments(text.into_owned()),
        Delta::Input(text) => Delta::Input(text.into_owned()),
        Delta::Refusal(text) => Delta::Refusal(text.into_owned()),
        Delta::ReasoningDetails(raw) => Delta::ReasoningDetails(raw.into_owned()),
        Delta::Citation(raw) => Delta::Citation(raw.into_owned()),
        Delta::Logprobs(raw) => Delta::Logprobs(raw.into_owned()),
        Delta::Other(raw) => Delta::Other(raw.into_owned()),
    }
}

fn own_stop(stop: &Stop<'_>) -> Stop<'static> {
    Stop {
        reason: stop.reason,
        sequence: stop.sequence.clone().map(Str::into_owned),
        native: stop.native.clone().map(Str::into_owned),
    }
}
