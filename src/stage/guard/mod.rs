//! What guards make of a request and of its answer: which guards those are, which texts they look at, and
//! what is sent in place of what they found.
//!
//! A generation request is looked at text by text (`wire/leaves`): instructions, turns, results of tools,
//! arguments of calls, descriptions of tools, and all else of it that has words. Of completions, embeddings, rankings and counts all strings of
//! the body are. What passes in its own format (files, images, audio, realtime) is not looked at.

mod form;
mod service;
mod strings;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use service::{Judged, body as service_body, read as service_answer};

use super::accept::Endpoint;
use crate::config::guards::{Guarding, Service, Side};
use crate::error::{Error, Kind, Result};
use crate::guard::{Action, Board, Form, Outcome, Watch};
use crate::wire::ir::{At, Part, PartKind, Stop, StopReason};
use crate::wire::json::{Str, write_text};
use crate::wire::leaves::{Edits, Leaf, Leaves, Who, leave_out_logprobs};
use crate::wire::scan::is_json;
use crate::wire::{self, Client, Dialect, Quirks};

/// The guards of one request.
#[derive(Debug)]
pub struct Guarded {
    guards: Vec<Arc<Guarding>>,
    watch: Watch,
    looks: Looks,
    /// What the answer has to be.
    form: Option<Form>,
}

/// Where the texts of a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// A generation request, or its answer, in this format.
    At(Dialect),
    /// In all strings of it.
    Strings,
    Nowhere,
}

/// A text of a body: its literal's place, and what it says.
struct Text<'b> {
    span: Range<usize>,
    text: Cow<'b, str>,
    /// The text is JSON itself, and has to stay that.
    is_json: bool,
    /// Written by whoever runs the application: nobody is talked out of anything by it.
    is_trusted: bool,
}

/// What becomes of a body.
#[derive(Debug)]
pub enum Done {
    Same,
    Changed(Vec<u8>),
    /// Nothing of it passes; this is said in its place.
    Blocked(String),
}

impl Looks {
    pub const fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Passed(_) => Self::Nowhere,
            endpoint => match endpoint.generation() {
                Some(dialect) => Self::At(dialect),
                None => Self::Strings,
            },
        }
    }

    fn texts(self, side: Side, body: &str) -> Result<Vec<Text<'_>>> {
        let dialect = match self {
            Self::At(dialect) => dialect,
            Self::Strings => return Ok(strings::of(body).map(|span| plain(body, span)).collect()),
            Self::Nowhere => return Ok(Vec::new()),
        };
        let leaves = match side {
            Side::Input => Leaves::of_whole_request(dialect, body),
            Side::Output => Leaves::of_answer(dialect, body),
        };
        let leaves = leaves.map_err(|_| Error::new(Kind::InvalidRequest, "the texts of the body cannot be found"))?;
        let text = |leaf: &Leaf| {
            let text = leaf.text(body);
            let encoded = matches!(leaf.who, Who::Arguments | Who::Other) && text.trim_start().starts_with(['{', '[']);
            let is_trusted = matches!(leaf.who, Who::Instructions | Who::System | Who::ToolDescription);
            Text { span: leaf.span.clone(), is_json: encoded && is_json(&text), is_trusted, text }
        };
        Ok(leaves.leaves.iter().map(text).collect())
    }
}

fn plain(body: &str, span: Range<usize>) -> Text<'_> {
    let literal = body.get(span.clone()).and_then(Str::from_raw);
    let text = literal.map(|literal| Cow::Owned(literal.text().into_owned())).unwrap_or_default();
    Text { span, text, is_json: false, is_trusted: false }
}

impl Guarded {
    /// Those of tenant, key and route; mostly there are none.
    pub fn of(lists: [&[Arc<Guarding>]; 3], endpoint: Endpoint) -> Option<Self> {
        if lists.iter().all(|list| list.is_empty()) {
            return None;
        }
        let mut guards: Vec<Arc<Guarding>> = Vec::new();
        for guard in lists.into_iter().flatten() {
            if !guards.iter().any(|known| known.guard.name == guard.guard.name) {
                guards.push(Arc::clone(guard));
            }
        }
        let watch = Watch::new(guards.iter().map(|guarding| Arc::clone(&guarding.guard)).collect());
        Some(Self { guards, watch, looks: Looks::of(endpoint), form: None })
    }

    pub fn board(&self) -> &Board {
        self.watch.board()
    }

    pub fn looks(&self) -> Looks {
        self.looks
    }

    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Arguments of a call as the client would have them: with what was hidden from the model.
    pub fn shown<'t>(&self, arguments: &'t str) -> Cow<'t, str> {
        let mut restoring = self.watch.restoring();
        if !restoring.is_needed() {
            return Cow::Borrowed(arguments);
        }
        let outcome = if is_json(arguments) { restoring.whole_json(arguments) } else { restoring.whole(arguments) };
        match outcome {
            Outcome::Changed(shown) => Cow::Owned(shown),
            Outcome::Same | Outcome::Blocked(_) => Cow::Borrowed(arguments),
        }
    }

    /// Looks at any JSON from here on; gives back what it looked at before.
    pub fn look_at(&mut self, looks: Looks) -> Looks {
        std::mem::replace(&mut self.looks, looks)
    }

    /// What looks at the answer, if anything does.
    pub fn of_answer(&self) -> Option<Watch> {
        let watch = self.watch.of_answer();
        (watch.is_needed() && self.looks != Looks::Nowhere).then_some(watch)
    }

    /// Services that are asked about this side, with their places among the guards.
    pub fn services(&self, side: Side) -> Vec<(usize, Arc<Guarding>)> {
        let looks = |guarding: &Guarding| match side {
            Side::Input => guarding.guard.on_input,
            Side::Output => guarding.guard.on_output,
        };
        let asked = |(_, guarding): &(usize, &Arc<Guarding>)| guarding.service.is_some() && looks(guarding);
        let all = self.guards.iter().enumerate().filter(asked);
        all.map(|(place, guarding)| (place, Arc::clone(guarding))).filter(|_| self.looks != Looks::Nowhere).collect()
    }

    /// Looks at the request. `Some`: this goes on in its place.
    pub fn input(&mut self, body: &[u8]) -> Result<Option<Bytes>> {
        let body = simdutf8::basic::from_utf8(body).map_err(Error::internal)?;
        self.watch.avoid(body);
        match look(&mut self.watch, self.looks, Side::Input, body)? {
            Done::Same => Ok(None),
            Done::Changed(body) => Ok(Some(Bytes::from(body))),
            Done::Blocked(message) => Err(blocked(message)),
        }
    }

    /// All texts of a body, for a service that is asked about them.
    pub fn told(&self, side: Side, body: &str) -> Result<String> {
        let texts = self.looks.texts(side, body)?;
        Ok(texts.iter().map(|text| &*text.text).collect::<Vec<_>>().join("\n"))
    }

    /// What follows from a service's word on those texts.
    pub fn judged(&mut self, place: usize, judged: &Judged, side: Side, body: &str) -> Result<Done> {
        let Some(guarding) = self.guards.get(place).filter(|_| judged.found) else { return Ok(Done::Same) };
        let (action, message) = (guarding.guard.action, guarding.guard.message.clone());
        self.board().count(place, crate::guard::Kind::External);
        match action {
            Action::Allow | Action::Flag => Ok(Done::Same),
            // Where it does not say what it found, nothing else is safe.
            Action::Mask if !judged.spans.is_empty() => self.mask(judged, side, body),
            Action::Mask | Action::Block => Ok(Done::Blocked(message)),
        }
    }

    fn mask(&mut self, judged: &Judged, side: Side, body: &str) -> Result<Done> {
        let (mut edits, mut begin) = (Edits::new(), 0);
        for text in self.looks.texts(side, body)? {
            let end = begin + text.text.len();
            let inside = judged.spans.iter().filter(|span| span.start < end && span.end > begin);
            let inside = inside.map(|span| span.start.saturating_sub(begin)..(span.end - begin).min(text.text.len()));
            let inside: Vec<Range<usize>> = inside.collect();
            if !inside.is_empty() {
                let masked = self.watch.mask(&text.text, &inside);
                edits.replace_raw(text.span, literal(&masked));
            }
            begin = end + 1;
        }
        Ok(written(edits, side, body))
    }
}

/// Has guards look at the texts of a body.
pub fn look(watch: &mut Watch, looks: Looks, side: Side, body: &str) -> Result<Done> {
    let mut edits = Edits::new();
    for text in looks.texts(side, body)? {
        watch.trust(text.is_trusted);
        let outcome = if text.is_json { watch.whole_json(&text.text) } else { watch.whole(&text.text) };
        match outcome {
            Outcome::Same => {}
            Outcome::Changed(changed) => edits.replace_raw(text.span, literal(&changed)),
            Outcome::Blocked(place) => {
                let message = watch.guard(place).map(|guard| guard.message.clone());
                return Ok(Done::Blocked(message.unwrap_or_default()));
            }
        }
    }
    Ok(written(edits, side, body))
}

/// The body with its edits, and without what would tell its text once more.
fn written(mut edits: Edits, side: Side, body: &str) -> Done {
    if edits.is_empty() {
        return Done::Same;
    }
    if side == Side::Output {
        leave_out_logprobs(body, &mut edits);
    }
    Done::Changed(edits.write(body.as_bytes()))
}

fn literal(text: &str) -> Vec<u8> {
    let mut literal = Vec::with_capacity(text.len() + 16);
    write_text(&mut literal, text);
    literal
}

/// A request, or an answer that has no words for it, does not pass.
pub fn blocked(message: String) -> Error {
    Error::new(Kind::ContentBlocked, message)
}

/// A service did not judge a text, and what it does not judge does not pass.
pub fn unjudged(service: &Service, why: &Error) -> Error {
    Error::new(Kind::GuardUnavailable, "a guard could not be asked, and nothing passes without it")
        .with_detail(format_args!("{service}: {why}"))
}

/// An answer in the client's format with a refusal in place of all that was said. What was used stays.
pub fn refusal(looks: Looks, answer: &str, message: &str, (quirks, client): (&Quirks, &Client<'_>)) -> Result<Vec<u8>> {
    let Looks::At(dialect) = looks else { return Err(blocked(message.to_owned())) };
    let mut response = wire::decode_response(dialect, answer, quirks)?;
    response.rest.clear();
    for choice in &mut response.choices {
        let text = Str::from_text(message);
        choice.parts = vec![Part::new(At::default(), PartKind::Refusal { text })];
        let native = Some(Str::from_text("content_filter"));
        choice.stop = Some(Stop { reason: StopReason::Refusal, sequence: None, native });
        choice.logprobs = None;
    }
    let mut out = Vec::with_capacity(512);
    wire::encode_response(dialect, &response, client, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests;
