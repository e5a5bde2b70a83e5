//! Answers that have to be JSON: what a request asks for, what of an answer is held against it, and how one
//! looks that was mended or does not pass.
//!
//! Judged is what a model says of its own accord: an answer that was cut by its bound, that a filter cut, that
//! refuses or that calls tools is not wrong for not being JSON.

use std::ops::Range;

use crate::guard::{Fate, Form};
use crate::wire::Dialect;
use crate::wire::envelope::Envelope;
use crate::wire::ir::{At, Choice, Delta, Event, Output, Part, PartKind, PartStart, Response, Stop, StopReason};
use crate::wire::json::Str;

/// What a request wants its answer to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// JSON, whatever it says.
    Json,
    /// As this schema says.
    Schema(String),
}

/// An answer that was not what was asked for, and what its model is told of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    pub said: String,
    pub complaint: String,
}

/// The form that a request asks for, where it does. Most have no member that could.
pub fn asked(dialect: Dialect, body: &Envelope<'_>) -> Option<Asked> {
    let members: &[&str] = match dialect {
        Dialect::OpenAiChat => &["response_format"],
        Dialect::Responses => &["text"],
        Dialect::Anthropic => &["output_config", "output_format"],
        Dialect::Gemini => &["generationConfig", "generation_config"],
        Dialect::Converse | Dialect::Cohere => &[],
    };
    if !members.iter().any(|name| body.present(name).is_some()) {
        return None;
    }
    // What cannot be read is refused where it is translated.
    match super::super::decode_request(dialect, body.body()).ok()?.output {
        Output::JsonObject => Some(Asked::Json),
        Output::JsonSchema { schema, .. } => Some(Asked::Schema(schema.get().to_owned())),
        Output::Text | Output::Other(_) => None,
    }
}

/// What became of a whole answer.
pub(super) enum Judged {
    Same,
    Changed,
    Again(Again),
}

pub(super) fn response(response: &mut Response<'_>, form: &Form) -> Judged {
    let mut judged = Judged::Same;
    for choice in &mut response.choices {
        let Some(text) = text(choice) else { continue };
        match form.judge(&text) {
            Fate::Passes => {}
            Fate::Again(complaint) => return Judged::Again(Again { said: text, complaint }),
            fate => {
                become_of(choice, &text, fate);
                judged = Judged::Changed;
            }
        }
    }
    judged
}

/// The same of one that nobody mends.
pub(super) fn give_up(response: &mut Response<'_>, form: &Form) {
    if let Some(choice) = response.choices.first_mut() {
        become_of(choice, "", form.give_up());
    }
}

fn become_of(choice: &mut Choice<'_>, text: &str, fate: Fate) {
    let kind = match fate {
        Fate::Passes | Fate::Again(_) => return,
        Fate::Part(range) => {
            let text = Str::from_text(text.get(range).unwrap_or_default());
            PartKind::Text { text, citations: None }
        }
        Fate::Blocked(message) => {
            choice.stop = Some(filtered());
            PartKind::Refusal { text: Str::from_text(&message) }
        }
    };
    if matches!(kind, PartKind::Refusal { .. }) {
        choice.parts.clear();
    } else {
        choice.parts.retain(|part| !matches!(part.kind, PartKind::Text { .. }));
    }
    choice.parts.push(Part::new(At::default(), kind));
    choice.logprobs = None;
}

/// What is judged of an answer.
fn text(choice: &Choice<'_>) -> Option<String> {
    if choice.stop.as_ref().is_some_and(|stop| !is_judged(stop.reason)) {
        return None;
    }
    let mut said = String::new();
    for part in &choice.parts {
        match &part.kind {
            PartKind::Text { text, .. } => said.push_str(&text.text()),
            PartKind::ToolCall { .. } | PartKind::Refusal { .. } => return None,
            _ => {}
        }
    }
    Some(said)
}

fn is_judged(reason: StopReason) -> bool {
    matches!(reason, StopReason::EndTurn | StopReason::StopSequence | StopReason::Other)
}

/// Every format has a word for what a filter cut.
fn filtered() -> Stop<'static> {
    Stop { native: Some(Str::from_text("content_filter")), ..Stop::of(StopReason::Refusal) }
}

/// One answer of a stream, as long as it is not judged.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) choice: u32,
    /// Still escaped: a pair of escapes may lie across two deltas.
    escaped: String,
    /// Nothing where texts pass as they come.
    pieces: Vec<Piece>,
    index: Option<u32>,
    is_exempt: bool,
}

#[derive(Debug)]
enum Piece {
    Event(Box<Event<'static>>),
    /// A part of the text.
    Text {
        index: u32,
        span: Range<usize>,
    },
}

impl Piece {
    fn event(event: Event<'static>) -> Self {
        Self::Event(Box::new(event))
    }
}

impl Held {
    pub(super) fn of(choice: u32) -> Self {
        Self { choice, ..Self::default() }
    }

    pub(super) fn exempt(&mut self) {
        self.is_exempt = true;
    }

    /// A text begins. Whatever there is of it is kept, where it may not pass.
    pub(super) fn start(&mut self, index: u32, keeps: bool) {
        self.index.get_or_insert(index);
        if keeps {
            let begins = Event::PartStart { index, choice: self.choice, part: PartStart::Text };
            self.pieces.push(Piece::event(begins));
        }
    }

    pub(super) fn delta(&mut self, index: u32, delta: &Delta<'_>, keeps: bool) {
        let Delta::Text(text) = delta else {
            let kept = owned(delta).filter(|_| keeps).map(|delta| Piece::event(Event::Delta { index, delta }));
            return self.pieces.extend(kept);
        };
        let start = self.escaped.len();
        self.escaped.push_str(text.escaped());
        let end = self.escaped.len();
        match self.pieces.last_mut() {
            Some(Piece::Text { index: of, span }) if *of == index => span.end = end,
            _ if keeps => self.pieces.push(Piece::Text { index, span: start..end }),
            _ => {}
        }
    }

    pub(super) fn end(&mut self, index: u32) {
        self.pieces.push(Piece::event(Event::PartEnd { index }));
    }

    fn text(&self) -> String {
        Str::from_escaped(&self.escaped).text().into_owned()
    }

    pub(super) fn judge(&self, form: &Form, reason: StopReason) -> Fate {
        match self.is_exempt || !is_judged(reason) {
            true => Fate::Passes,
            false => form.judge(&self.text()),
        }
    }

    pub(super) fn again(&self, complaint: String) -> Again {
        Again { said: self.text(), complaint }
    }

    /// Gives out what passes of it; `next_index` is for a part that it did not have.
    pub(super) fn give(&self, fate: Fate, next_index: u32, sink: &mut dyn FnMut(&Event<'_>)) {
        let (part, delta) = match fate {
            Fate::Passes | Fate::Again(_) => return self.pieces.iter().for_each(|piece| self.piece(piece, sink)),
            Fate::Part(range) => {
                let text = Str::from_text(self.text().get(range).unwrap_or_default());
                (PartStart::Text, Delta::Text(text))
            }
            Fate::Blocked(message) => (PartStart::Refusal, Delta::Refusal(Str::from_text(&message))),
        };
        let index = self.index.unwrap_or(next_index);
        sink(&Event::PartStart { index, choice: self.choice, part });
        sink(&Event::Delta { index, delta });
        sink(&Event::PartEnd { index });
    }

    fn piece(&self, piece: &Piece, sink: &mut dyn FnMut(&Event<'_>)) {
        match piece {
            Piece::Event(event) => sink(event),
            Piece::Text { index, span } => {
                let text = Str::from_escaped(self.escaped.get(span.clone()).unwrap_or_default());
                sink(&Event::Delta { index: *index, delta: Delta::Text(text) });
            }
        }
    }
}

/// How an answer ends of which this became.
pub(super) fn stop_of<'s>(fate: &Fate, stop: &Stop<'s>) -> Stop<'s> {
    if matches!(fate, Fate::Blocked(_)) { filtered() } else { stop.clone() }
}

/// What may stand in a text beside it.
fn owned(delta: &Delta<'_>) -> Option<Delta<'static>> {
    Some(match delta {
        Delta::Citation(json) => Delta::Citation(json.clone().into_owned()),
        Delta::Logprobs(json) => Delta::Logprobs(json.clone().into_owned()),
        Delta::Other(json) => Delta::Other(json.clone().into_owned()),
        _ => return None,
    })
}
