//! A stream written for a reader of this format.

use crate::usage::tokens::Usage;
use crate::wire::cohere::response::stop_word;
use crate::wire::cohere::{error, usage};
use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::{Obj, Str};
use crate::wire::{Client, Encode};

/// Writes the events of one stream.
#[derive(Debug)]
pub struct Encoder {
    /// For answers and calls that got no id, and for errors.
    id: String,
    /// Parts that have begun and not ended.
    open: Vec<Part>,
    next_content: u64,
    next_call: u64,
    finish: &'static str,
    usage: Usage,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    index: u32,
    kind: Kind,
    /// Its number among those of its kind.
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
}

impl Encoder {
    pub fn new(client: &Client<'_>) -> Self {
        Self {
            id: client.id.to_owned(),
            open: Vec::new(),
            next_content: 0,
            next_call: 0,
            finish: "COMPLETE",
            usage: Usage::default(),
        }
    }

    fn start(id: &Str<'_>, out: &mut Vec<u8>) {
        event("message-start", out, |o| {
            o.str("id", id);
            let mut delta = o.obj("delta");
            let mut message = delta.obj("message");
            message.text("role", "assistant").raw("content", "[]").text("tool_plan", "");
            message.raw("tool_calls", "[]").raw("citations", "[]");
        });
    }

    fn part_start(&mut self, index: u32, part: &PartStart<'_>, out: &mut Vec<u8>) {
        let (kind, member) = match part {
            PartStart::Text | PartStart::Refusal => (Kind::Text, "text"),
            PartStart::Reasoning => (Kind::Thinking, "thinking"),
            PartStart::ToolCall { id, name, .. } => return self.call_start(index, id, name, out),
            PartStart::RedactedReasoning { .. }
            | PartStart::ReasoningDetails
            | PartStart::Image { .. }
            | PartStart::Other { .. } => return,
        };
        let number = self.next_content;
        self.next_content = number.saturating_add(1);
        self.open.push(Part { index, kind, number });
        numbered("content-start", number, out, |message| {
            message.obj("content").text("type", member).text(member, "");
        });
    }

    fn call_start(&mut self, index: u32, id: &Str<'_>, name: &Str<'_>, out: &mut Vec<u8>) {
        let number = self.next_call;
        self.next_call = number.saturating_add(1);
        self.open.push(Part { index, kind: Kind::Call, number });
        let invented = Str::from_text(&format!("call_{}_{number}", self.id));
        let id = if id.is_empty() { &invented } else { id };
        numbered("tool-call-start", number, out, |message| {
            let mut call = message.obj("tool_calls");
            call.str("id", id).text("type", "function");
            call.obj("function").str("name", name).text("arguments", "");
        });
    }

    fn delta(&self, index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.open.iter().find(|part| part.index == index) else { return };
        match (part.kind, delta) {
            (Kind::Text, Delta::Text(words) | Delta::Refusal(words)) => {
                numbered("content-delta", part.number, out, |message| _ = message.obj("content").str("text", words));
            }
            (Kind::Thinking, Delta::Reasoning(words)) => {
                numbered("content-delta", part.number, out, |message| {
                    message.obj("content").str("thinking", words);
                });
            }
            (Kind::Call, Delta::Arguments(fragment) | Delta::Input(fragment)) => {
                numbered("tool-call-delta", part.number, out, |message| {
                    message.obj("tool_calls").obj("function").str("arguments", fragment);
                });
            }
            _ => {}
        }
    }

    fn part_end(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|part| part.index == index) else { return };
        let part = self.open.remove(at);
        let name = if part.kind == Kind::Call { "tool-call-end" } else { "content-end" };
        event(name, out, |o| _ = o.num("index", part.number));
    }

    fn end(&self, out: &mut Vec<u8>) {
        event("message-end", out, |o| {
            let mut delta = o.obj("delta");
            delta.text("finish_reason", self.finish);
            usage::encode(&self.usage, delta.key("usage"));
        });
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl Encode for Encoder {
    fn event(&mut self, it: &Event<'_>, out: &mut Vec<u8>) {
        match it {
            Event::Start { id, .. } => match id {
                Some(id) => Self::start(id, out),
                None => Self::start(&Str::from_text(&self.id), out),
            },
            // There is room for one answer only.
            Event::PartStart { choice: 1.., .. } => {}
            Event::PartStart { index, part, .. } => self.part_start(*index, part, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::PartEnd { index } => self.part_end(*index, out),
            Event::Usage(usage) => self.usage = *usage,
            Event::Stop { choice: 0, stop } => self.finish = stop_word(Some(stop), self.next_call > 0),
            Event::Stop { .. } | Event::Ping => {}
            Event::Error(cause) => error::encode_event(cause, &self.id, out),
            Event::End => self.end(out),
        }
    }
}

/// An event about one part, with the message that `write` fills.
fn numbered(name: &str, number: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Obj<'_>)) {
    event(name, out, |o| {
        o.num("index", number);
        write(&mut o.obj("delta").obj("message"));
    });
}

fn event(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Obj<'_>)) {
    out.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    {
        let mut data = Obj::new(out);
        data.text("type", name);
        write(&mut data);
    }
    out.extend_from_slice(b"\n\n");
}
