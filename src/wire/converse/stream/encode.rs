//! A stream written for a reader of this format.

use crate::usage::tokens::Usage;
use crate::wire::converse::response::stop_word;
use crate::wire::converse::{block, error, usage};
use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::{Obj, Str};
use crate::wire::{Client, Encode, eventstream};

/// Writes the events of one stream, as messages of Amazon's event stream.
#[derive(Debug)]
pub struct Encoder {
    /// For calls that got no id, and for errors.
    id: String,
    calls: bool,
    /// Parts that have no block here.
    silent: Vec<u32>,
    usage: Option<Usage>,
}

impl Encoder {
    pub fn new(client: &Client<'_>) -> Self {
        Self { id: client.id.to_owned(), calls: false, silent: Vec::new(), usage: None }
    }

    fn part_start(&mut self, index: u32, part: &PartStart<'_>, out: &mut Vec<u8>) {
        match part {
            // These begin with their first delta.
            PartStart::Text | PartStart::Reasoning | PartStart::Refusal => {}
            PartStart::RedactedReasoning { data } => {
                delta(index, out, |o| _ = o.obj("reasoningContent").str("redactedContent", data));
            }
            PartStart::ToolCall { id, name, .. } => {
                self.calls = true;
                let invented = Str::from_text(&format!("tooluse_{}_{index}", self.id));
                let id = if id.is_empty() { &invented } else { id };
                event("contentBlockStart", out, |o| {
                    o.obj("start").obj("toolUse").str("toolUseId", id).str("name", name);
                    o.num("contentBlockIndex", index.into());
                });
            }
            PartStart::Other { tag, json } if tag.is(block::tag(json.get()).0) => {
                event("contentBlockStart", out, |o| {
                    o.raw("start", json.get()).num("contentBlockIndex", index.into());
                });
            }
            PartStart::Image { .. } | PartStart::Other { .. } | PartStart::ReasoningDetails => self.silent.push(index),
        }
    }

    fn stop(&mut self, stop: &crate::wire::ir::Stop<'_>, out: &mut Vec<u8>) {
        event("messageStop", out, |o| {
            o.text("stopReason", stop_word(Some(stop), self.calls));
            if let Some(sequence) = &stop.sequence {
                o.obj("additionalModelResponseFields").obj("delta").str("stop_sequence", sequence);
            }
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        event("metadata", out, |o| {
            if let Some(usage) = &self.usage {
                usage::encode(usage, o.key("usage"));
            }
            // Required here; nobody measured it.
            o.obj("metrics").num("latencyMs", 0);
        });
    }
}

impl Encode for Encoder {
    fn event(&mut self, it: &Event<'_>, out: &mut Vec<u8>) {
        match it {
            Event::Start { .. } => event("messageStart", out, |o| _ = o.text("role", "assistant")),
            // There is room for one answer only.
            Event::PartStart { choice: 1.., index, .. } => self.silent.push(*index),
            Event::PartStart { index, part, .. } => self.part_start(*index, part, out),
            Event::Delta { index, .. } | Event::PartEnd { index } if self.silent.contains(index) => {}
            Event::Delta { index, delta } => encode_delta(*index, delta, out),
            Event::PartEnd { index } => {
                event("contentBlockStop", out, |o| _ = o.num("contentBlockIndex", (*index).into()));
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Stop { choice: 0, stop } => self.stop(stop, out),
            Event::Stop { .. } | Event::Ping => {}
            Event::Error(cause) => error::encode_event(cause, &self.id, out),
            Event::End => self.end(out),
        }
    }
}

fn encode_delta(index: u32, it: &Delta<'_>, out: &mut Vec<u8>) {
    match it {
        Delta::Text(text) | Delta::Refusal(text) => delta(index, out, |o| _ = o.str("text", text)),
        Delta::Reasoning(text) => delta(index, out, |o| _ = o.obj("reasoningContent").str("text", text)),
        Delta::Signature(text) => delta(index, out, |o| _ = o.obj("reasoningContent").str("signature", text)),
        Delta::Arguments(text) | Delta::Input(text) => delta(index, out, |o| _ = o.obj("toolUse").str("input", text)),
        Delta::Other(raw) => event("contentBlockDelta", out, |o| {
            o.raw("delta", raw.get()).num("contentBlockIndex", index.into());
        }),
        Delta::ReasoningDetails(_) | Delta::Citation(_) | Delta::Logprobs(_) => {}
    }
}

fn delta(index: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Obj<'_>)) {
    event("contentBlockDelta", out, |o| {
        write(&mut o.obj("delta"));
        o.num("contentBlockIndex", index.into());
    });
}

fn event(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Obj<'_>)) {
    let mut payload = Vec::new();
    write(&mut Obj::new(&mut payload));
    eventstream::write_event(out, name, &payload);
}
