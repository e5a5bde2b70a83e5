//! A stream for a client.
//!
//! Texts and thoughts go on as they come, each a part of its own; a call is one part, so it waits
//! for the end of its arguments. The last event has the reasons to stop and the counts.

use crate::usage::tokens::Usage;
use crate::wire::gemini::response::{CANDIDATE, Members, Slot, is_part, picture, reason_word};
use crate::wire::gemini::{error, part, usage};
use crate::wire::ir::{Arguments, Delta, Event, PartKind, PartStart, Stop};
use crate::wire::json::{Arr, Obj, Raw, Str};
use crate::wire::stream::aside;
use crate::wire::{Client, Dialect, Encode, request_id};

/// Writes the events of one stream.
#[derive(Debug)]
pub struct Encoder {
    /// Members that every event repeats.
    model: Str<'static>,
    id: Str<'static>,
    request_id: String,
    tier: Option<String>,
    usage: Option<Usage>,
    parts: Vec<Part>,
    choices: Vec<Choice>,
    over: bool,
}

/// A part that has begun and not ended.
#[derive(Debug)]
struct Part {
    index: u32,
    choice: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thought { has_text: bool, signature: String },
    Call { id: Str<'static>, name: Str<'static>, arguments: String, is_text: bool },
    Skipped,
}

/// One answer.
#[derive(Debug)]
struct Choice {
    number: u32,
    slot: Slot,
    stop: Option<Stop<'static>>,
    /// What the candidate has beyond its content.
    aside: Option<Raw<'static>>,
}

impl Encoder {
    pub fn new(client: &Client<'_>) -> Self {
        Self {
            model: Str::from_text(client.model),
            id: Str::from_text(client.id),
            request_id: client.id.to_owned(),
            tier: None,
            usage: None,
            parts: Vec::new(),
            choices: Vec::new(),
            over: false,
        }
    }

    fn start(&mut self, id: Option<&Str<'_>>, model: Option<&Str<'_>>) {
        let own = |text: Option<&Str<'_>>| text.filter(|text| !text.is_empty()).map(|text| text.clone().into_owned());
        self.id = own(id).unwrap_or_else(|| self.id.clone());
        self.model = own(model).unwrap_or_else(|| self.model.clone());
    }

    fn choice(&mut self, number: u32) -> Option<&mut Choice> {
        if !self.choices.iter().any(|choice| choice.number == number) {
            self.choices.push(Choice { number, slot: Slot::default(), stop: None, aside: None });
        }
        self.choices.iter_mut().find(|choice| choice.number == number)
    }

    fn part_start(&mut self, index: u32, choice: u32, part: &PartStart<'_>, out: &mut Vec<u8>) {
        let kind = match part {
            PartStart::Text | PartStart::Refusal => Kind::Text,
            PartStart::Reasoning | PartStart::ReasoningDetails => {
                Kind::Thought { has_text: false, signature: String::new() }
            }
            PartStart::RedactedReasoning { data } => {
                self.parts(choice, out, |slot, list| slot.keep(data, list));
                Kind::Skipped
            }
            PartStart::ToolCall { id, name, custom } => Kind::Call {
                id: id.clone().into_owned(),
                name: name.clone().into_owned(),
                arguments: String::new(),
                is_text: *custom,
            },
            PartStart::Image { media } => {
                let kind = PartKind::Image { media: media.clone(), detail: None };
                self.parts(choice, out, |slot, list| picture(&kind, slot, list));
                Kind::Skipped
            }
            PartStart::Other { tag, json } => {
                self.other(choice, tag, json, out);
                Kind::Skipped
            }
        };
        self.choice(choice);
        self.parts.push(Part { index, choice, kind });
    }

    fn other(&mut self, choice: u32, tag: &Str<'_>, json: &Raw<'_>, out: &mut Vec<u8>) {
        if tag.is(CANDIDATE) {
            let json = json.clone().into_owned();
            self.choice(choice).into_iter().for_each(|choice| choice.aside = Some(json.clone()));
        } else if is_part(tag, json) {
            self.parts(choice, out, |_, list| _ = list.raw(json.get()));
        }
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.parts.iter_mut().find(|part| part.index == index) else { return };
        let choice = part.choice;
        match (&mut part.kind, delta) {
            (Kind::Text, Delta::Text(text) | Delta::Refusal(text)) if !text.is_empty() => {
                self.parts(choice, out, |slot, list| slot.put(list.obj().str("text", text)));
            }
            (Kind::Thought { has_text, .. }, Delta::Reasoning(text)) if !text.is_empty() => {
                *has_text = true;
                self.parts(choice, out, |_, list| _ = list.obj().str("text", text).bool("thought", true));
            }
            (Kind::Thought { signature, .. }, Delta::Signature(text)) => signature.push_str(text.escaped()),
            (Kind::Call { arguments, .. }, Delta::Arguments(text) | Delta::Input(text)) => {
                arguments.push_str(text.escaped());
            }
            _ => {}
        }
    }

    fn part_end(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|part| part.index == index) else { return };
        let Part { choice, kind, .. } = self.parts.remove(at);
        match kind {
            Kind::Thought { has_text, signature } if !signature.is_empty() => {
                let signature = Str::from_escaped(&signature);
                self.parts(choice, out, |slot, list| match has_text {
                    true => {
                        let mut part = list.obj();
                        part.text("text", "").bool("thought", true);
                        part::write_signature(&signature, part.key("thoughtSignature"));
                    }
                    false => slot.keep(&signature, list),
                });
            }
            Kind::Call { id, name, arguments, is_text } => {
                let text = Str::from_escaped(&arguments);
                let arguments = if is_text { Arguments::Text(text) } else { Arguments::Encoded(text) };
                self.parts(choice, out, |slot, list| {
                    let mut part = list.obj();
                    let mut call = part.obj("functionCall");
                    if !id.is_empty() {
                        call.str("id", &id);
                    }
                    call.str("name", &name);
                    part::write_args(&arguments, call.key("args"));
                    drop(call);
                    slot.put(&mut part);
                });
            }
            _ => {}
        }
    }

    /// An event with the parts that `fill` writes, if it writes any.
    fn parts(&mut self, number: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Slot, &mut Arr<'_>)) {
        let Some(choice) = self.choice(number) else { return };
        let mut list = Vec::new();
        fill(&mut choice.slot, &mut Arr::new(&mut list));
        if list == b"[]" {
            return;
        }
        self.frame(out, |body| {
            let mut candidates = body.arr("candidates");
            let mut candidate = candidates.obj();
            content(&list, &mut candidate);
            candidate.num("index", u64::from(number));
        });
    }

    fn frame(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Obj<'_>)) {
        let mut event = Vec::new();
        {
            let mut body = Obj::new(&mut event);
            fill(&mut body);
            body.str("modelVersion", &self.model).str("responseId", &self.id);
        }
        // Arguments come as the model laid them out; outside strings a line end is white space.
        event.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        out.extend_from_slice(b"data: ");
        out.append(&mut event);
        out.extend_from_slice(b"\r\n\r\n");
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        self.choice(0);
        let mut choices = std::mem::take(&mut self.choices);
        choices.sort_by_key(|choice| choice.number);
        self.frame(out, |body| {
            let mut candidates = body.arr("candidates");
            for choice in &mut choices {
                last(choice, candidates.obj());
            }
            drop(candidates);
            usage::encode(&self.usage.unwrap_or_default(), self.tier.as_deref(), body.key("usageMetadata"));
        });
    }
}

fn content(parts: &[u8], candidate: &mut Obj<'_>) {
    let mut content = candidate.obj("content");
    content.key("parts").extend_from_slice(parts);
    content.text("role", "model");
}

/// The last of a candidate: what waits for a part that never came, and why it ended.
fn last(choice: &mut Choice, mut candidate: Obj<'_>) {
    let mut parts = Vec::new();
    {
        let mut list = Arr::new(&mut parts);
        match choice.slot.is_empty() {
            true => _ = list.obj().text("text", ""),
            false => choice.slot.end(&mut list),
        }
    }
    content(&parts, &mut candidate);
    candidate.text("finishReason", reason_word(choice.stop.as_ref())).num("index", u64::from(choice.number));
    if let Some(aside) = &choice.aside {
        candidate.rest(&aside.read::<Members<'_>>().unwrap_or_default().rest);
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
                self.tier = service_tier.as_ref().map(|tier| tier.text().into_owned());
                self.start(id.as_ref(), model.as_ref());
            }
            Event::PartStart { index, choice, part } => self.part_start(*index, *choice, part, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::PartEnd { index } => self.part_end(*index, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Stop { choice, stop } => {
                let stop =
                    Stop { reason: stop.reason, sequence: None, native: stop.native.clone().map(Str::into_owned) };
                self.choice(*choice).into_iter().for_each(|choice| choice.stop = Some(stop.clone()));
            }
            Event::Error(error) => {
                error::encode_event(error, &request_id(&self.request_id), out);
                self.over = true;
            }
            Event::Ping => aside::keep_alive(Dialect::Gemini, out),
            Event::End => self.end(out),
        }
    }
}
