//! A stream for a client.
//!
//! Every part is an item of its own, numbered as it begins; each item is opened, filled and closed, and
//! the last event repeats them all. A thought begins its summary with its first words, since it may
//! have none.

use super::super::namespace::Known;
use super::super::response::item::{self, Called, Said, State, input_of, write_said};
use super::super::response::{Head, Status, is_at_limit, is_cut, status_of};
use crate::error::{Error, Kind};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Arguments, Delta, Event, PartStart, StopReason};
use crate::wire::json::{Obj, Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::stream::aside;
use crate::wire::{Client, Dialect, Encode, edge, scan};

/// Writes the events of one stream.
#[derive(Debug)]
pub struct Encoder {
    /// Owned copies of what [`Client`] lends.
    model: String,
    id: String,
    created: u64,
    request: String,
    seal: Seal,
    known: Known,
    head: Option<Head>,
    sequence: u64,
    open: Vec<Item>,
    /// Items as they ended, by their number.
    output: Vec<Vec<u8>>,
    /// The one of them that began last: a limit cut it, if one cut the answer.
    last: Option<Item>,
    usage: Option<Usage>,
    /// A list of the gateway's tools that were run.
    executed: Option<String>,
    stop: Option<StopReason>,
    refused: bool,
    over: bool,
}

/// An item that has begun and not ended.
#[derive(Debug)]
struct Item {
    /// Its index in the intermediate form.
    part: u32,
    /// Its number in the output.
    number: usize,
    id: String,
    kind: What,
    /// What it has said, between the quotes, still escaped.
    said: String,
    /// Sources: a list, and how many.
    annotations: String,
    cited: u64,
    /// Sources wait for the end: some formats tell them before the text that they are for.
    cites: Vec<Raw<'static>>,
    /// A list of log probabilities.
    logprobs: String,
    proof: String,
    /// The client knows of it. Reasoning waits for its id.
    is_told: bool,
}

#[derive(Debug)]
enum What {
    Message { refusal: bool },
    Thought,
    Call { id: String, name: String, custom: Custom },
    Picture { mime: String, data: String },
}

/// How a call's input reaches a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Custom {
    /// JSON arguments of a function.
    No,
    /// Free text, as it comes.
    Text,
    /// Free text that came wrapped in JSON: told at the end.
    Wrapped,
}

impl Encoder {
    pub fn new(client: &Client<'_>) -> Self {
        Self {
            model: client.model.to_owned(),
            id: client.id.to_owned(),
            created: client.created,
            request: client.request.to_owned(),
            seal: client.seal.clone(),
            known: Known::of(client.request),
            head: None,
            sequence: 0,
            open: Vec::new(),
            output: Vec::new(),
            last: None,
            usage: None,
            executed: None,
            stop: None,
            refused: false,
            over: false,
        }
    }

    fn start(
        &mut self,
        id: Option<&Str<'_>>,
        model: Option<&Str<'_>>,
        created: Option<u64>,
        tier: Option<&Str<'_>>,
        out: &mut Vec<u8>,
    ) {
        if self.head.is_some() {
            return;
        }
        let client =
            Client { created: self.created, request: &self.request, ..Client::of(&self.model, &self.id, &self.seal) };
        self.head = Some(Head::new(id, model, created, tier, &client));
        self.answer("response.created", Status::InProgress, out);
        self.answer("response.in_progress", Status::InProgress, out);
    }

    /// An event that holds the answer as far as it is.
    fn answer(&mut self, name: &str, status: Status<'_>, out: &mut Vec<u8>) {
        let Some(head) = self.head.take() else { return };
        let usage = match status {
            Status::InProgress => None,
            // What was used before it broke off nobody knows, where nobody told: not nothing.
            Status::Failed(..) => self.usage,
            _ => Some(self.usage.unwrap_or_default()),
        };
        let (output, executed) = (std::mem::take(&mut self.output), self.executed.take());
        self.emit(name, out, |event| {
            let mut response = event.obj("response");
            head.write(status, &output, usage.as_ref(), &mut response);
            executed.iter().for_each(|tools| _ = response.raw(edge::EXECUTED, tools));
        });
        (self.output, self.executed) = (output, executed);
        self.head = Some(head);
    }

    /// One event; `fill` adds the members after its number.
    fn emit(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Obj<'_>)) {
        let number = self.sequence;
        self.sequence = number.saturating_add(1);
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        {
            let mut data = Obj::new(out);
            data.text("type", name).num("sequence_number", number);
            fill(&mut data);
        }
        out.extend_from_slice(b"\n\n");
    }

    /// An event about an item.
    fn about(&mut self, name: &str, item: &Item, out: &mut Vec<u8>, fill: impl FnOnce(&mut Obj<'_>)) {
        self.emit(name, out, |event| {
            event.num("output_index", as_number(item.number)).text("item_id", &item.id);
            match item.kind {
                What::Message { .. } => _ = event.num("content_index", 0),
                What::Thought => _ = event.num("summary_index", 0),
                What::Call { .. } | What::Picture { .. } => {}
            }
            fill(event);
        });
    }

    fn part_start(&mut self, part: u32, start: &PartStart<'_>, out: &mut Vec<u8>) {
        let number = self.output.len();
        let seed = format!("{}_{number}", self.id);
        let (id, kind) = match start {
            PartStart::Text => (format!("msg_{seed}"), What::Message { refusal: false }),
            PartStart::Refusal => (format!("msg_{seed}"), What::Message { refusal: true }),
            PartStart::Reasoning | PartStart::RedactedReasoning { .. } | PartStart::ReasoningDetails => {
                (format!("rs_{seed}"), What::Thought)
            }
            PartStart::ToolCall { id, name, custom } => {
                let (id, name) = (id.text().into_owned(), name.text().into_owned());
                let custom = match (custom, self.known.is_custom(&name)) {
                    (true, _) => Custom::Text,
                    (false, true) => Custom::Wrapped,
                    (false, false) => Custom::No,
                };
                let prefix = if custom == Custom::No { "fc" } else { "ctc" };
                (format!("{prefix}_{seed}"), What::Call { id, name, custom })
            }
            PartStart::Image { media } => match media.inline() {
                Some((mime, data)) => {
                    let (mime, data) = (mime.into_owned(), data.into_owned());
                    (format!("ig_{seed}"), What::Picture { mime, data })
                }
                None => return,
            },
            PartStart::Other { tag, json } => return self.whole(tag, json, out),
        };
        self.refused |= matches!(kind, What::Message { refusal: true });
        let mut item = Item::new(part, number, id, kind);
        self.output.push(Vec::new());
        if !matches!(item.kind, What::Thought) {
            self.tell(&mut item, out);
        }
        match (&item.kind, start) {
            (What::Message { .. }, _) => self.piece_event("response.content_part.added", &item, out),
            (What::Picture { .. }, _) => {
                self.about("response.image_generation_call.in_progress", &item, out, |_| {});
                self.about("response.image_generation_call.generating", &item, out, |_| {});
            }
            (_, PartStart::RedactedReasoning { data }) => item.proof = data.text().into_owned(),
            _ => {}
        }
        self.open.push(item);
    }

    fn tell(&mut self, item: &mut Item, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut item.is_told, true) {
            self.item_event("response.output_item.added", item, State::Open, out);
        }
    }

    /// An item of the provider's own, which came whole: in this format alone it has a name.
    fn whole(&mut self, tag: &Str<'_>, json: &Raw<'_>, out: &mut Vec<u8>) {
        if tag.is_empty() || !json.is_object() {
            return;
        }
        let number = as_number(self.output.len());
        for name in ["response.output_item.added", "response.output_item.done"] {
            self.emit(name, out, |event| _ = event.num("output_index", number).raw("item", json.get()));
        }
        self.output.push(json.get().as_bytes().to_vec());
    }

    /// An event that holds the item as it is now.
    fn item_event(&mut self, name: &str, item: &Item, state: State, out: &mut Vec<u8>) {
        let mut json = Vec::new();
        item.write(state, &self.known, &mut json);
        self.emit(name, out, |event| {
            event.num("output_index", as_number(item.number)).key("item").extend_from_slice(&json);
        });
        if let Some(slot) = self.output.get_mut(item.number).filter(|_| state != State::Open) {
            *slot = json;
        }
    }

    /// An event that holds an item's only part as it is now.
    fn piece_event(&mut self, name: &str, item: &Item, out: &mut Vec<u8>) {
        self.about(name, item, out, |event| match &item.kind {
            What::Message { refusal } => write_said(item.as_said(*refusal), event.obj("part")),
            _ => _ = event.obj("part").text("type", "summary_text").str("text", &Str::from_escaped(&item.said)),
        });
    }

    fn delta(&mut self, part: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|item| item.part == part) else { return };
        let mut item = self.open.swap_remove(at);
        if let (What::Thought, Delta::Other(json)) = (&item.kind, delta)
            && let Some(id) = scan::member(json.get(), "id").and_then(Str::from_raw)
        {
            item.id = id.text().into_owned();
        }
        self.tell(&mut item, out);
        self.take(&mut item, delta, out);
        self.open.push(item);
    }

    fn take(&mut self, item: &mut Item, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match (&item.kind, delta) {
            (What::Message { .. }, Delta::Citation(citation)) => item.cites.push(citation.reborrow().into_owned()),
            (What::Message { refusal: false }, Delta::Logprobs(chat)) => item.add_logprobs(chat),
            (What::Thought, Delta::Signature(fragment)) => item.proof.push_str(&fragment.text()),
            (What::Message { refusal: false }, Delta::Text(s)) => self.said("response.output_text.delta", item, s, out),
            (What::Message { refusal: true }, Delta::Refusal(s)) => self.said("response.refusal.delta", item, s, out),
            (What::Thought, Delta::Reasoning(s)) if !s.is_empty() => self.thought(item, s, out),
            (What::Call { custom: Custom::No, .. }, Delta::Arguments(s)) => {
                self.said("response.function_call_arguments.delta", item, s, out);
            }
            (What::Call { custom: Custom::Text, .. }, Delta::Input(s)) => {
                self.said("response.custom_tool_call_input.delta", item, s, out);
            }
            (What::Call { custom: Custom::Wrapped, .. }, Delta::Arguments(s)) => item.said.push_str(s.escaped()),
            _ => {}
        }
    }

    fn said(&mut self, name: &str, item: &mut Item, fragment: &Str<'_>, out: &mut Vec<u8>) {
        if fragment.is_empty() {
            return;
        }
        item.said.push_str(fragment.escaped());
        self.about(name, item, out, |event| {
            event.str("delta", fragment);
            if name == "response.output_text.delta" {
                event.raw("logprobs", "[]");
            }
        });
    }

    fn thought(&mut self, item: &mut Item, fragment: &Str<'_>, out: &mut Vec<u8>) {
        if item.said.is_empty() {
            self.piece_event("response.reasoning_summary_part.added", item, out);
        }
        self.said("response.reasoning_summary_text.delta", item, fragment, out);
    }

    fn citation(&mut self, item: &mut Item, citation: &Raw<'_>, out: &mut Vec<u8>) {
        let Some(annotation) = item::annotation(citation, &Str::from_escaped(&item.said)) else { return };
        let number = item.cited;
        item.cited = number.saturating_add(1);
        item.annotations.pop();
        item.annotations.push_str(if number == 0 { "" } else { "," });
        item.annotations.push_str(&annotation);
        item.annotations.push(']');
        self.about("response.output_text.annotation.added", item, out, |event| {
            event.num("annotation_index", number).raw("annotation", &annotation);
        });
    }

    fn part_end(&mut self, part: u32, state: State, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|item| item.part == part) else { return };
        let item = self.open.remove(at);
        self.close(item, state, out);
    }

    fn close(&mut self, mut item: Item, state: State, out: &mut Vec<u8>) {
        self.tell(&mut item, out);
        match item.kind {
            What::Message { refusal } => {
                for citation in std::mem::take(&mut item.cites) {
                    self.citation(&mut item, &citation, out);
                }
                let said = Str::from_escaped(&item.said);
                match refusal {
                    true => self.about("response.refusal.done", &item, out, |event| _ = event.str("refusal", &said)),
                    false => self.about("response.output_text.done", &item, out, |event| {
                        event.str("text", &said).raw("logprobs", &item.logprobs);
                    }),
                }
                self.piece_event("response.content_part.done", &item, out);
            }
            What::Thought if item.said.is_empty() => {}
            What::Thought => {
                let said = Str::from_escaped(&item.said);
                self.about("response.reasoning_summary_text.done", &item, out, |event| _ = event.str("text", &said));
                self.piece_event("response.reasoning_summary_part.done", &item, out);
            }
            What::Picture { .. } => self.about("response.image_generation_call.completed", &item, out, |_| {}),
            What::Call { custom: Custom::No, .. } => self.arguments_done(&item, out),
            What::Call { custom: Custom::Text, .. } => self.input_done(&item, out),
            What::Call { custom: Custom::Wrapped, .. } => {
                let literal = input_of(&Arguments::Encoded(Str::from_escaped(&item.said)));
                item.said.clear();
                let input = Str::from_raw(&literal).unwrap_or_else(|| Str::from_text(""));
                self.said("response.custom_tool_call_input.delta", &mut item, &input, out);
                self.input_done(&item, out);
            }
        }
        self.item_event("response.output_item.done", &item, state, out);
        if self.last.as_ref().is_none_or(|last| last.number < item.number) {
            self.last = Some(item);
        }
    }

    fn arguments_done(&mut self, item: &Item, out: &mut Vec<u8>) {
        let What::Call { name, .. } = &item.kind else { return };
        let name = self.known.split(name).map_or(name.as_str(), |(_, name)| name).to_owned();
        let literal = item.literal();
        self.about("response.function_call_arguments.done", item, out, |event| {
            event.text("name", &name).raw("arguments", &literal);
        });
    }

    fn input_done(&mut self, item: &Item, out: &mut Vec<u8>) {
        let literal = item.literal();
        self.about("response.custom_tool_call_input.done", item, out, |event| _ = event.raw("input", &literal));
    }

    fn close_all(&mut self, state: State, out: &mut Vec<u8>) {
        for item in std::mem::take(&mut self.open) {
            self.close(item, state, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(None, None, None, None, out);
        self.close_all(State::Done, out);
        if is_at_limit(self.stop)
            && let Some(last) = &self.last
            && let Some(item) = self.output.get_mut(last.number)
        {
            // Its event is out already; the answer tells.
            item.clear();
            last.write(State::Cut, &self.known, item);
        }
        match status_of(self.stop, self.refused) {
            Status::Incomplete(reason) => self.answer("response.incomplete", Status::Incomplete(reason), out),
            status => self.answer("response.completed", status, out),
        }
        self.over = true;
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.start(None, None, None, None, out);
        self.close_all(State::Cut, out);
        self.answer("response.failed", Status::Failed(failure(error), error.public()), out);
        self.over = true;
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, created, usage, service_tier } => {
                self.usage = usage.or(self.usage);
                self.start(id.as_ref(), model.as_ref(), *created, service_tier.as_ref(), out);
            }
            Event::PartStart { index, choice: 0, part } => {
                self.start(None, None, None, None, out);
                self.part_start(*index, part, out);
            }
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::PartEnd { index } => self.part_end(*index, State::Done, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Stop { choice: 0, stop } => {
                self.stop = Some(stop.reason);
                self.refused &= !is_cut(stop);
            }
            // There is room for one answer only.
            Event::PartStart { .. } | Event::Stop { .. } => {}
            Event::Error(error) => self.fail(error, out),
            Event::Ping => aside::keep_alive(Dialect::Responses, out),
            Event::End => self.end(out),
        }
    }

    fn executed(&mut self, tools: &str) {
        self.executed = Some(tools.to_owned());
    }
}

impl Item {
    fn new(part: u32, number: usize, id: String, kind: What) -> Self {
        let (said, annotations, logprobs, proof) = (String::new(), "[]".to_owned(), "[]".to_owned(), String::new());
        let cites = Vec::new();
        Self { part, number, id, kind, said, annotations, cited: 0, cites, logprobs, proof, is_told: false }
    }

    /// Kept for the events that hold all of the text.
    fn add_logprobs(&mut self, chat: &Raw<'_>) {
        let entries = item::logprobs(chat);
        if entries.is_empty() {
            return;
        }
        self.logprobs.pop();
        self.logprobs.push_str(if self.logprobs.len() == 1 { "" } else { "," });
        self.logprobs.push_str(&entries);
        self.logprobs.push(']');
    }

    fn as_said(&self, refusal: bool) -> Said<'_> {
        Said { escaped: &self.said, refusal, annotations: &self.annotations, logprobs: &self.logprobs }
    }

    /// The literal of a call's arguments or input so far.
    fn literal(&self) -> String {
        match &self.kind {
            What::Call { custom: Custom::No, .. } if self.said.is_empty() => "\"{}\"".to_owned(),
            _ => format!("\"{}\"", self.said),
        }
    }

    fn write(&self, state: State, known: &Known, out: &mut Vec<u8>) {
        match &self.kind {
            What::Message { refusal } => {
                let said = (state != State::Open).then(|| self.as_said(*refusal));
                item::message(&self.id, state, said, out);
            }
            What::Thought => {
                let proof = (!self.proof.is_empty() && state != State::Open).then_some(self.proof.as_str());
                item::reasoning(&self.id, state, &self.said, proof, out);
            }
            What::Picture { mime, data } => {
                let inline = (state != State::Open).then_some((mime.as_str(), data.as_str()));
                item::picture(&self.id, state, inline, out);
            }
            What::Call { id, name, custom } => {
                let literal = if state == State::Open { "\"\"".to_owned() } else { self.literal() };
                let custom = *custom != Custom::No;
                let called = Called { item_id: &self.id, call_id: id, name, custom, literal: &literal };
                item::call(called, state, known, out);
            }
        }
    }
}

/// The code of a failed answer: the SDKs' types know a few only, and clients go by them.
fn failure(error: &Error) -> &str {
    match error.shown() {
        Kind::UpstreamRateLimited | Kind::UpstreamQuota | Kind::RateLimited => "rate_limit_exceeded",
        Kind::UpstreamContextTooLong => "context_length_exceeded",
        kind if kind.is_clients_own() => "invalid_prompt",
        _ => "server_error",
    }
}

fn as_number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
