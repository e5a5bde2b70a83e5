//! A chat stream to events.
//!
//! Deltas are put in the order the grammar of [`Event`] asks for: prose that arrives while a call
//! is unfinished waits until the call is whole; a choice's stop waits for the end of the stream,
//! because vendors repeat it and let more follow it.

use crate::error::{Error, Kind};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::{self, Raw, Str};
use crate::wire::{Decode, Quirks};

use super::super::details::Joined;
use super::super::shape::{self, Piece};
use super::super::{error, finish, usage};
use super::call::{Call, Fragment};
use crate::wire::lenient::{Value, count, filled, is_array, is_object, items, read};

/// Reads one stream.
#[derive(Debug)]
pub struct Decoder {
    quirks: Quirks,
    phase: Phase,
    /// What invented ids hang on.
    seed: String,
    next_index: u32,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// The last service tier that was named.
    tier: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Started,
    Ended,
}

/// Where events go, and what numbering them takes.
pub(super) struct Output<'s> {
    sink: &'s mut dyn FnMut(&Event<'_>),
    next_index: &'s mut u32,
    pub(super) seed: &'s str,
}

impl Output<'_> {
    pub(super) fn emit(&mut self, event: &Event<'_>) {
        (self.sink)(event);
    }

    /// Opens a part; gives its index.
    pub(super) fn start(&mut self, choice: u32, part: PartStart<'_>) -> u32 {
        let index = *self.next_index;
        *self.next_index += 1;
        self.emit(&Event::PartStart { index, choice, part });
        index
    }
}

/// Parts of which one is open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prose {
    Text,
    Reasoning,
    Refusal,
}

/// One of the answers in the stream.
#[derive(Debug)]
struct Choice {
    number: u32,
    open: Option<(u32, Prose)>,
    calls: Vec<Call>,
    /// Prose that came before the open calls were whole.
    held: Vec<(Prose, Str<'static>)>,
    details: Joined,
    finished: bool,
    word: Option<Str<'static>>,
    sequence: Option<Str<'static>>,
    refused: bool,
    /// Whether anything came in a `delta`: a `message` beside it repeats it.
    has_delta: bool,
}

impl Decoder {
    pub fn new(quirks: &Quirks) -> Self {
        Self {
            quirks: *quirks,
            phase: Phase::Waiting,
            seed: String::new(),
            next_index: 0,
            choices: Vec::new(),
            usage: None,
            tier: None,
        }
    }

    fn fail(&mut self, error: Error, sink: &mut dyn FnMut(&Event<'_>)) {
        self.phase = Phase::Ended;
        sink(&Event::Error(error));
    }

    fn start(&mut self, chunk: &shape::Completion<'_>, sink: &mut dyn FnMut(&Event<'_>)) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.phase = Phase::Started;
        let id = filled(chunk.id);
        self.seed = shape::seed(id.as_ref());
        sink(&Event::Start {
            id,
            model: filled(chunk.model),
            created: count(chunk.created).filter(|c| *c > 0),
            usage: None,
            service_tier: filled(chunk.service_tier),
        });
    }

    fn chunk(&mut self, chunk: &shape::Completion<'_>, sink: &mut dyn FnMut(&Event<'_>)) {
        if let Some(tier) = filled(chunk.service_tier).filter(|tier| self.tier.as_deref() != Some(tier.escaped())) {
            self.tier = Some(tier.text().into_owned());
        }
        let choices = items(chunk.choices);
        // The first chunk of Azure has no choice, and no id yet either.
        if !choices.is_empty() {
            self.start(chunk, sink);
        }
        let mut broken = None;
        for raw in &choices {
            let choice: shape::Choice<'_> = read(Some(*raw)).unwrap_or_default();
            match choice.error(raw.get()) {
                Some(error) => broken = Some(error),
                None => self.choice(&choice, sink),
            }
        }
        if let Some(usage) = usage::find(chunk.usage, chunk.x_groq, &choices, &self.quirks)
            && self.usage != Some(usage)
        {
            self.start(chunk, sink);
            self.usage = Some(usage);
            sink(&Event::Usage(usage));
        }
        if let Some(error) = broken {
            self.fail(error, sink);
        }
    }

    fn choice(&mut self, delta: &shape::Choice<'_>, sink: &mut dyn FnMut(&Event<'_>)) {
        let number = count(delta.index).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let at = match self.choices.iter().position(|c| c.number == number) {
            Some(at) => at,
            None => {
                self.choices.push(Choice::new(number));
                self.choices.len() - 1
            }
        };
        let mut out = Output { sink, next_index: &mut self.next_index, seed: &self.seed };
        if let Some(choice) = self.choices.get_mut(at) {
            choice.delta(delta, &mut out);
        }
    }

    /// The answer is over: closes what is open, then says how each choice ended.
    fn end(&mut self, sink: &mut dyn FnMut(&Event<'_>)) {
        if self.choices.is_empty() {
            return self
                .fail(Error::new(Kind::UpstreamFailed, "the provider ended its answer without saying anything"), sink);
        }
        self.phase = Phase::Ended;
        for choice in &mut self.choices {
            choice.close(&mut Output { sink, next_index: &mut self.next_index, seed: &self.seed });
        }
        for choice in &self.choices {
            let word = choice.word.as_ref().map(Str::reborrow);
            let sequence = choice.sequence.as_ref().map(Str::reborrow);
            let stop = finish::decode(word, sequence, !choice.calls.is_empty(), choice.refused);
            sink(&Event::Stop { choice: choice.number, stop });
        }
        sink(&Event::End);
    }
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        let data = data.trim();
        if self.phase == Phase::Ended || data.is_empty() {
            return;
        }
        if data == "[DONE]" {
            return self.end(sink);
        }
        match json::parse::<shape::Completion<'_>>(data) {
            Ok(chunk) if name == "error" || chunk.is_error() => self.fail(error::decode_in_band(data), sink),
            Ok(chunk) => self.chunk(&chunk, sink),
            Err(_) if name == "error" => self.fail(error::decode_in_band(data), sink),
            Err(e) => self.fail(
                Error::new(Kind::UpstreamFailed, "the provider sent an event that is not a JSON object")
                    .with_unreadable(&e),
                sink,
            ),
        }
    }

    fn service_tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    fn repeats(&self) -> bool {
        true
    }

    fn has_stopped(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished)
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&Event<'_>)) {
        if self.phase == Phase::Ended {
            return;
        }
        if self.has_stopped() {
            return self.end(sink);
        }
        self.fail(Error::new(Kind::UpstreamFailed, "the provider cut its answer short"), sink);
    }
}

impl Choice {
    fn new(number: u32) -> Self {
        Self {
            number,
            open: None,
            calls: Vec::new(),
            held: Vec::new(),
            details: Joined::default(),
            finished: false,
            word: None,
            sequence: None,
            refused: false,
            has_delta: false,
        }
    }

    fn delta(&mut self, choice: &shape::Choice<'_>, out: &mut Output<'_>) {
        let message = if is_object(choice.delta) || self.has_delta { choice.delta } else { choice.message };
        self.has_delta |= is_object(choice.delta);
        let message: shape::Message<'_> = read(message).unwrap_or_default();
        for reasoning in message.reasoning() {
            self.prose(Prose::Reasoning, &reasoning, choice.logprobs, out);
        }
        if is_array(message.reasoning_details) {
            self.details.push(message.reasoning_details);
        }
        self.content(&message, choice.logprobs, out);
        if let Some(refusal) = filled(message.refusal) {
            self.prose(Prose::Refusal, &refusal, choice.logprobs, out);
        }
        for call in items(message.tool_calls).into_iter().filter_map(Fragment::read) {
            self.call(call, out);
        }
        if let Some(call) = message.function_call.and_then(Fragment::legacy) {
            self.call(call, out);
        }
        self.members(&message, out);
        // Some servers say "" where others say null.
        if let Some(word) = filled(choice.finish_reason) {
            self.finish(&word, filled(choice.stop_reason), out);
        }
    }

    fn content(&mut self, message: &shape::Message<'_>, logprobs: Value<'_>, out: &mut Output<'_>) {
        for piece in shape::pieces(message.content) {
            match piece {
                Piece::Text(text) => self.prose(Prose::Text, &text, logprobs, out),
                Piece::Thinking(text) => self.prose(Prose::Reasoning, &text, logprobs, out),
                Piece::Refusal(text) => self.prose(Prose::Refusal, &text, logprobs, out),
                Piece::Other(tag, raw) => self.other(tag, Raw::new(raw.get()), out),
            }
        }
        for annotation in items(message.annotations) {
            if let Some(index) = self.turn_to(Prose::Text, out) {
                let delta = Delta::Citation(Raw::new(annotation.get()));
                out.emit(&Event::Delta { index, delta });
            }
        }
    }

    /// Members of a delta that are content, under names of their own.
    fn members(&mut self, message: &shape::Message<'_>, out: &mut Output<'_>) {
        for media in shape::images(message.images) {
            self.whole(PartStart::Image { media }, out);
        }
        for (name, value) in &message.rest {
            if name == "audio" && !value.is_null() && value.get() != "[]" {
                self.other(Str::from_text("message.audio"), value.reborrow(), out);
            }
        }
    }

    fn other(&mut self, tag: Str<'_>, json: Raw<'_>, out: &mut Output<'_>) {
        self.whole(PartStart::Other { tag, json }, out);
    }

    /// A part without deltas.
    fn whole(&mut self, part: PartStart<'_>, out: &mut Output<'_>) {
        self.settle(out);
        let index = out.start(self.number, part);
        out.emit(&Event::PartEnd { index });
    }

    fn prose(&mut self, kind: Prose, text: &Str<'_>, logprobs: Value<'_>, out: &mut Output<'_>) {
        if text.is_empty() {
            return;
        }
        self.refused |= kind == Prose::Refusal;
        let Some(index) = self.turn_to(kind, out) else {
            self.held.push((kind, text.reborrow().into_owned()));
            return;
        };
        if let Some(logprobs) = logprobs.filter(|l| is_object(Some(*l))) {
            // Before its text, so that an encoder can put both into one chunk.
            out.emit(&Event::Delta { index, delta: Delta::Logprobs(Raw::new(logprobs.get())) });
        }
        let text = text.reborrow();
        let delta = match kind {
            Prose::Text => Delta::Text(text),
            Prose::Reasoning => Delta::Reasoning(text),
            Prose::Refusal => Delta::Refusal(text),
        };
        out.emit(&Event::Delta { index, delta });
    }

    /// Opens a part of this kind unless it is open; none while a call is unfinished.
    fn turn_to(&mut self, kind: Prose, out: &mut Output<'_>) -> Option<u32> {
        if let Some((index, open)) = self.open
            && open == kind
        {
            return Some(index);
        }
        self.close_whole_calls(out);
        if self.calls.iter().any(|c| !c.is_closed()) {
            return None;
        }
        self.close_prose(out);
        let part = match kind {
            Prose::Text => PartStart::Text,
            Prose::Reasoning => PartStart::Reasoning,
            Prose::Refusal => PartStart::Refusal,
        };
        let index = out.start(self.number, part);
        self.open = Some((index, kind));
        Some(index)
    }

    fn call(&mut self, fragment: Fragment<'_>, out: &mut Output<'_>) {
        let place = match fragment.place(&self.calls) {
            Some(place) => place,
            None => {
                self.close_prose(out);
                self.close_whole_calls(out);
                self.calls.push(fragment.open());
                self.calls.len() - 1
            }
        };
        // A call that was whole takes nothing more: what comes is white space or a repetition.
        if let Some(call) = self.calls.get_mut(place).filter(|c| !c.is_closed()) {
            call.push(fragment, self.number, place, out);
        }
    }

    fn finish(&mut self, word: &Str<'_>, sequence: Option<Str<'_>>, out: &mut Output<'_>) {
        self.finished = true;
        if self.word.is_none() {
            self.word = Some(word.reborrow().into_owned());
            self.sequence = sequence.map(Str::into_owned);
        }
        self.settle(out);
    }

    fn close_whole_calls(&mut self, out: &mut Output<'_>) {
        for (place, call) in self.calls.iter_mut().enumerate().filter(|(_, c)| c.is_complete()) {
            call.close(self.number, place, out);
        }
    }

    /// Ends the open prose; the proof of reasoning belongs to it.
    fn close_prose(&mut self, out: &mut Output<'_>) {
        let Some((index, kind)) = self.open.take() else {
            return self.close_details(out);
        };
        if kind == Prose::Reasoning {
            if let Some(details) = self.details.take() {
                out.emit(&Event::Delta { index, delta: Delta::ReasoningDetails(details) });
            }
            out.emit(&Event::PartEnd { index });
        } else {
            out.emit(&Event::PartEnd { index });
            self.close_details(out);
        }
    }

    /// Proof that came without text, or after it.
    fn close_details(&mut self, out: &mut Output<'_>) {
        if let Some(details) = self.details.take() {
            let index = out.start(self.number, PartStart::ReasoningDetails);
            out.emit(&Event::Delta { index, delta: Delta::ReasoningDetails(details) });
            out.emit(&Event::PartEnd { index });
        }
    }

    /// Closes everything, and lets out what was held back.
    fn settle(&mut self, out: &mut Output<'_>) {
        for (place, call) in self.calls.iter_mut().enumerate() {
            call.close(self.number, place, out);
        }
        for (kind, text) in std::mem::take(&mut self.held) {
            self.prose(kind, &text, None, out);
        }
        if self.open.is_some() {
            self.close_prose(out);
        }
    }

    fn close(&mut self, out: &mut Output<'_>) {
        self.settle(out);
        self.close_prose(out);
    }
}
