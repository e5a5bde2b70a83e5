//! Events to the chunks a chat client reads.

use crate::error::Error;
use crate::usage::tokens::Usage;
use crate::wire::ir::{Delta, Event, Media, PartStart, Stop};
use crate::wire::json::{self, Json, Obj, Raw, Str};
use crate::wire::stream::aside;
use crate::wire::{Client, Dialect, Encode, edge, request_id};

use super::super::details;
use super::super::response::{annotation, encode_image, known_tier, nests_member};
use super::super::{error, finish, usage};

/// Behind the members of each chunk.
const CHUNK_END: &[u8] = b"}\n\n";

/// Writes one stream.
#[derive(Debug)]
pub struct Encoder {
    model: String,
    request_id: String,
    created: u64,
    stream_usage: bool,
    /// Every chunk up to the value of `choices`; empty until the answer has started.
    head: Vec<u8>,
    parts: Vec<Part>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// A list of the gateway's tools that were run.
    executed: Option<String>,
}

/// An open part.
#[derive(Debug)]
struct Part {
    index: u32,
    choice: u32,
    kind: Kind,
    /// Waits for the text it belongs to.
    logprobs: Option<Raw<'static>>,
    /// Sources: some formats tell them before the text that they are for.
    cites: Vec<Raw<'static>>,
}

#[derive(Debug)]
enum Kind {
    /// Text and refusals, whose deltas say all there is.
    Plain,
    Reasoning {
        /// Between the quotes, still escaped.
        text: String,
        signature: String,
    },
    Call {
        number: u64,
        has_arguments: bool,
    },
    /// Has no slot in a chat stream.
    Skipped,
}

#[derive(Debug, Default)]
struct Choice {
    number: u32,
    calls: u64,
    images: u64,
    details: usize,
    annotations: Vec<Vec<u8>>,
    /// Characters of text so far: where a citation points.
    chars: usize,
    /// Where the open text began.
    text_start: usize,
}

impl Encoder {
    pub fn new(client: &Client<'_>) -> Self {
        Self {
            model: client.model.to_owned(),
            request_id: client.id.to_owned(),
            created: client.created,
            stream_usage: client.stream_usage,
            head: Vec::new(),
            parts: Vec::new(),
            choices: Vec::new(),
            usage: None,
            executed: None,
        }
    }

    fn start(&mut self, id: Option<&Str<'_>>, model: Option<&Str<'_>>, created: Option<u64>, tier: Option<&Str<'_>>) {
        let mut head = Vec::with_capacity(256);
        {
            let mut obj = Obj::new(&mut head);
            match id {
                Some(id) => obj.str("id", id),
                None => obj.text("id", &format!("chatcmpl-{}", self.request_id)),
            };
            obj.text("object", "chat.completion.chunk").num("created", created.unwrap_or(self.created));
            match model {
                Some(model) => obj.str("model", model),
                None => obj.text("model", &self.model),
            };
            if let Some(tier) = tier.and_then(known_tier) {
                obj.text("service_tier", tier);
            }
        }
        // The brace that closed the object gives way to the members each chunk has of its own.
        head.pop();
        head.extend_from_slice(b",\"choices\":");
        self.head = head;
    }

    /// One chunk for one choice; `delta` writes the members of its delta.
    fn chunk(
        &self,
        choice: u32,
        logprobs: Option<&str>,
        finish_reason: Option<&str>,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Obj<'_>),
    ) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"[{\"index\":");
        json::write_number(out, u64::from(choice));
        out.extend_from_slice(b",\"delta\":");
        delta(&mut Obj::new(out));
        out.extend_from_slice(b",\"logprobs\":");
        out.extend_from_slice(logprobs.unwrap_or("null").as_bytes());
        out.extend_from_slice(b",\"finish_reason\":");
        match finish_reason {
            Some(reason) => json::write_text(out, reason),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]");
        out.extend_from_slice(CHUNK_END);
    }

    /// The choice's place, after the chunk that opens it.
    fn open_choice(&mut self, number: u32, out: &mut Vec<u8>) -> usize {
        if self.head.is_empty() {
            self.start(None, None, None, None);
        }
        if let Some(at) = self.choices.iter().position(|c| c.number == number) {
            return at;
        }
        self.chunk(number, None, None, out, |delta| {
            delta.text("role", "assistant").text("content", "");
        });
        self.choices.push(Choice { number, ..Choice::default() });
        self.choices.len() - 1
    }

    fn part_start(&mut self, index: u32, number: u32, part: &PartStart<'_>, out: &mut Vec<u8>) {
        let at = self.open_choice(number, out);
        let kind = match part {
            PartStart::Text => {
                if let Some(choice) = self.choices.get_mut(at) {
                    choice.text_start = choice.chars;
                }
                Kind::Plain
            }
            PartStart::Refusal => Kind::Plain,
            PartStart::Reasoning | PartStart::ReasoningDetails => {
                Kind::Reasoning { text: String::new(), signature: String::new() }
            }
            PartStart::RedactedReasoning { data } => {
                self.redacted(at, number, data, out);
                Kind::Skipped
            }
            PartStart::ToolCall { id, name, custom } => self.call_start(at, number, (id, name, *custom), out),
            PartStart::Image { media } => {
                self.image(at, number, media, out);
                Kind::Skipped
            }
            PartStart::Other { tag, json } => {
                if let Some(name) = nests_member(tag, json) {
                    self.chunk(number, None, None, out, |delta| _ = delta.raw(&name, json.get()));
                }
                Kind::Skipped
            }
        };
        self.parts.push(Part { index, choice: number, kind, logprobs: None, cites: Vec::new() });
    }

    fn image(&mut self, at: usize, number: u32, media: &Media<'_>, out: &mut Vec<u8>) {
        let (Some(choice), Some(url)) = (self.choices.get_mut(at), media.url()) else { return };
        let index = choice.images;
        choice.images += 1;
        self.chunk(number, None, None, out, |delta| encode_image(&url, index, delta.arr("images").obj()));
    }

    fn redacted(&mut self, at: usize, number: u32, data: &Str<'_>, out: &mut Vec<u8>) {
        let Some(choice) = self.choices.get_mut(at) else { return };
        let index = choice.details;
        choice.details += 1;
        self.chunk(number, None, None, out, |delta| {
            details::write_encrypted(delta.arr("reasoning_details").item(), data, index);
        });
    }

    fn call_start(&mut self, at: usize, number: u32, called: (&Str<'_>, &Str<'_>, bool), out: &mut Vec<u8>) -> Kind {
        let (id, name, custom) = called;
        let Some(choice) = self.choices.get_mut(at) else { return Kind::Skipped };
        let call = choice.calls;
        choice.calls += 1;
        self.chunk(number, None, None, out, |delta| {
            let mut list = delta.arr("tool_calls");
            let mut it = list.obj();
            it.num("index", call);
            it.str("id", id);
            match custom {
                true => _ = it.text("type", "custom").obj("custom").str("name", name).text("input", ""),
                false => _ = it.text("type", "function").obj("function").str("name", name).text("arguments", ""),
            }
        });
        Kind::Call { number: call, has_arguments: custom }
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|p| p.index == index) else { return };
        match delta {
            Delta::Text(text) => self.text(at, "content", text, out),
            Delta::Refusal(text) => self.text(at, "refusal", text, out),
            Delta::Reasoning(text) => self.reasoning(at, text, out),
            Delta::Signature(signature) => {
                if let Some(Part { kind: Kind::Reasoning { signature: all, .. }, .. }) = self.parts.get_mut(at) {
                    all.push_str(signature.escaped());
                }
            }
            Delta::ReasoningDetails(array) => self.reasoning_details(at, array, out),
            Delta::Arguments(json) => self.arguments(at, json, out),
            Delta::Input(text) => self.input(at, text, out),
            Delta::Citation(citation) => {
                if let Some(part) = self.parts.get_mut(at) {
                    part.cites.push(citation.reborrow().into_owned());
                }
            }
            Delta::Logprobs(logprobs) => {
                if let Some(part) = self.parts.get_mut(at) {
                    part.logprobs = Some(logprobs.reborrow().into_owned());
                }
            }
            // Of a block without a slot.
            Delta::Other(_) => {}
        }
    }

    fn text(&mut self, at: usize, member: &'static str, text: &Str<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.parts.get_mut(at) else { return };
        let (number, logprobs) = (part.choice, part.logprobs.take());
        if let Some(choice) = self.choices.iter_mut().find(|c| c.number == number) {
            choice.chars += text.chars();
        }
        self.chunk(number, logprobs.as_ref().map(Raw::get), None, out, |delta| {
            delta.plain_key(member).extend_from_slice(text.raw().as_bytes());
        });
    }

    fn reasoning(&mut self, at: usize, fragment: &Str<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.parts.get_mut(at) else { return };
        let (number, logprobs) = (part.choice, part.logprobs.take());
        if let Kind::Reasoning { text, .. } = &mut part.kind {
            text.push_str(fragment.escaped());
        }
        self.chunk(number, logprobs.as_ref().map(Raw::get), None, out, |delta| {
            delta.str("reasoning_content", fragment);
        });
    }

    fn reasoning_details(&mut self, at: usize, array: &Raw<'_>, out: &mut Vec<u8>) {
        let Some(number) = self.parts.get(at).map(|p| p.choice) else { return };
        let count = array.read::<Vec<Json<'_>>>().map_or(0, |items| items.len());
        if let Some(choice) = self.choices.iter_mut().find(|c| c.number == number) {
            choice.details += count;
        }
        self.chunk(number, None, None, out, |delta| _ = delta.raw("reasoning_details", array.get()));
    }

    fn arguments(&mut self, at: usize, json: &Str<'_>, out: &mut Vec<u8>) {
        let Some(Part { choice, kind: Kind::Call { number, has_arguments }, .. }) = self.parts.get_mut(at) else {
            return;
        };
        if json.is_empty() {
            return;
        }
        *has_arguments = true;
        let (choice, number) = (*choice, *number);
        self.call_arguments(choice, number, json, out);
    }

    /// A fragment of a custom tool's text.
    fn input(&self, at: usize, text: &Str<'_>, out: &mut Vec<u8>) {
        let Some(Part { choice, kind: Kind::Call { number, .. }, .. }) = self.parts.get(at) else { return };
        if text.is_empty() {
            return;
        }
        self.chunk(*choice, None, None, out, |delta| {
            let mut list = delta.arr("tool_calls");
            let mut it = list.obj();
            it.num("index", *number);
            it.obj("custom").str("input", text);
        });
    }

    fn call_arguments(&self, choice: u32, number: u64, json: &Str<'_>, out: &mut Vec<u8>) {
        self.chunk(choice, None, None, out, |delta| {
            let mut list = delta.arr("tool_calls");
            let mut it = list.obj();
            it.num("index", number);
            it.obj("function").str("arguments", json);
        });
    }

    /// Sources are told at the end, all of them at once: SDKs that put a message together take one list, and no more.
    fn cite(&mut self, part: &Part) {
        let Some(choice) = self.choices.iter_mut().find(|c| c.number == part.choice) else { return };
        let (start, end) = (choice.text_start, choice.chars);
        let made = part.cites.iter().filter_map(|citation| annotation(citation.read::<Json<'_>>()?, start, end));
        choice.annotations.extend(made);
    }

    fn part_end(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|p| p.index == index) else { return };
        let part = self.parts.swap_remove(at);
        self.cite(&part);
        match part.kind {
            Kind::Call { number, has_arguments: false } => {
                self.call_arguments(part.choice, number, &Str::from_text("{}"), out);
            }
            Kind::Reasoning { text, signature } if !signature.is_empty() => {
                self.signed(part.choice, &text, &signature, out);
            }
            _ => {}
        }
        if let Some(logprobs) = part.logprobs {
            self.chunk(part.choice, Some(logprobs.get()), None, out, |_| {});
        }
    }

    fn signed(&mut self, number: u32, text: &str, signature: &str, out: &mut Vec<u8>) {
        let Some(choice) = self.choices.iter_mut().find(|c| c.number == number) else { return };
        let Some(signature) = super::super::shape::literal(signature) else { return };
        let index = choice.details;
        choice.details += 1;
        self.chunk(number, None, None, out, |delta| {
            details::write_signed(delta.arr("reasoning_details").item(), text, &signature, index);
        });
    }

    fn stop(&mut self, number: u32, stop: &Stop<'_>, out: &mut Vec<u8>) {
        let at = self.open_choice(number, out);
        let calls = self.choices.get(at).is_some_and(|c| c.calls > 0);
        let annotations = self.choices.get_mut(at).map(|c| std::mem::take(&mut c.annotations)).unwrap_or_default();
        if !annotations.is_empty() {
            self.chunk(number, None, None, out, |delta| {
                let mut list = delta.arr("annotations");
                annotations.iter().for_each(|annotation| list.item().extend_from_slice(annotation));
            });
        }
        self.chunk(number, None, Some(finish::encode(stop, calls)), out, |_| {});
        if let Some(executed) = &self.executed {
            out.truncate(out.len().saturating_sub(CHUNK_END.len()));
            out.extend_from_slice(b",\"");
            out.extend_from_slice(edge::EXECUTED.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(executed.as_bytes());
            out.extend_from_slice(CHUNK_END);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.stream_usage
            && let Some(usage) = &self.usage
        {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"[],\"usage\":");
            usage::encode(usage, out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn error(&self, error: &Error, out: &mut Vec<u8>) {
        error::encode_event(error, &request_id(&self.request_id), out);
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created, usage, service_tier } => {
                self.usage = usage.or(self.usage);
                self.start(id.as_ref(), model.as_ref(), *created, service_tier.as_ref());
                self.open_choice(0, out);
            }
            Event::PartStart { index, choice, part } => self.part_start(*index, *choice, part, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::PartEnd { index } => self.part_end(*index, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Stop { choice, stop } => self.stop(*choice, stop, out),
            Event::Error(error) => self.error(error, out),
            Event::Ping => aside::keep_alive(Dialect::OpenAiChat, out),
            Event::End => self.end(out),
        }
    }

    fn executed(&mut self, tools: &str) {
        self.executed = Some(tools.to_owned());
    }
}
