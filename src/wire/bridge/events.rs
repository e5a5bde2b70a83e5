//! The same as for whole answers, event by event. The grammar of [`Event`] stays kept.

use std::collections::BTreeMap;

use super::close::{Closer, Slots, Track};
use super::custom::Call;
use super::state::Proof;
use super::tools::Tools;
use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::{Arr, Raw, Str};

/// Fits the events of one stream to the client.
#[derive(Debug)]
pub struct Events {
    closer: Option<Closer>,
    tools: Tools,
    open: Vec<Open>,
    choices: BTreeMap<u32, Track>,
    /// The index of the next part that is added here: from the top, where no decoder counts.
    next_index: u32,
}

/// An open part that is not let through as it is.
#[derive(Debug)]
struct Open {
    index: u32,
    choice: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Thought(Thought),
    /// Nothing of it reaches the client.
    Hidden,
    Text,
    Call(Call),
}

/// What belongs to one piece of thinking; texts are escaped.
#[derive(Debug, Default)]
struct Thought {
    text: String,
    signature: String,
    details: Vec<Raw<'static>>,
    /// The client has seen its start.
    is_begun: bool,
}

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

impl Events {
    /// `closer`: none where the format stays.
    pub(super) fn new(closer: Option<Closer>, tools: Tools) -> Self {
        Self { closer, tools, open: Vec::new(), choices: BTreeMap::new(), next_index: u32::MAX }
    }

    /// Takes an event and gives out what becomes of it.
    pub fn event(&mut self, event: &Event<'_>, sink: &mut Sink<'_>) {
        match event {
            Event::PartStart { index, choice, part } => self.part_start(*index, *choice, part, sink),
            Event::Delta { index, delta } => self.delta(*index, delta, sink),
            Event::PartEnd { index } => self.part_end(*index, sink),
            Event::Stop { choice, .. } => {
                self.ride(*choice, sink);
                sink(event);
            }
            _ => sink(event),
        }
    }

    fn part_start(&mut self, index: u32, choice: u32, part: &PartStart<'_>, sink: &mut Sink<'_>) {
        match part {
            PartStart::Reasoning | PartStart::ReasoningDetails if self.closer.is_some() => {
                // Where the proof rides elsewhere, thinking without text must not leave an empty part.
                let is_begun = self.slots() != Some(Slots::Riding);
                if is_begun {
                    sink(&Event::PartStart { index, choice, part: PartStart::Reasoning });
                }
                let thought = Thought { is_begun, ..Thought::default() };
                self.open.push(Open { index, choice, kind: Kind::Thought(thought) });
            }
            PartStart::RedactedReasoning { data } if self.closer.is_some() => {
                let proof = Proof::Redacted(data.clone().into_owned());
                match self.slot(choice, proof, Str::from_text("")) {
                    Some(data) => {
                        sink(&Event::PartStart { index, choice, part: PartStart::RedactedReasoning { data } })
                    }
                    None => self.open.push(Open { index, choice, kind: Kind::Hidden }),
                }
            }
            PartStart::ToolCall { id, name, custom } => {
                let sealed = self.call_id(choice, id);
                self.ride(choice, sink);
                let (name, call) = self.tools.call(name, *custom);
                let id = sealed.unwrap_or_else(|| id.clone().into_owned());
                let custom = *custom || call.is_some();
                sink(&Event::PartStart { index, choice, part: PartStart::ToolCall { id, name, custom } });
                self.open.extend(call.map(|call| Open { index, choice, kind: Kind::Call(call) }));
                self.track(choice).place.behind_call();
            }
            // What its provider ran is of its own format; that the answer has begun is told all the same.
            PartStart::Other { .. } if self.closer.is_some() => {
                let part = PartStart::Other { tag: Str::from_text(""), json: Raw::new("{}") };
                sink(&Event::PartStart { index, choice, part });
            }
            part => {
                if matches!(part, PartStart::Text) && self.closer.is_some() {
                    self.open.push(Open { index, choice, kind: Kind::Text });
                }
                sink(&Event::PartStart { index, choice, part: part.clone() });
            }
        }
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, sink: &mut Sink<'_>) {
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else {
            return sink(&Event::Delta { index, delta: delta.clone() });
        };
        match (&mut open.kind, delta) {
            (Kind::Hidden, _) => {}
            (Kind::Text, delta) => {
                if let Delta::Text(text) = delta {
                    self.choices.entry(open.choice).or_default().place.behind_text(text);
                }
                sink(&Event::Delta { index, delta: delta.clone() });
            }
            (Kind::Thought(thought), Delta::Signature(piece)) => thought.signature.push_str(piece.escaped()),
            (Kind::Thought(thought), Delta::ReasoningDetails(list)) => thought.details.push(list.clone().into_owned()),
            // Which item it is at its own provider.
            (Kind::Thought(_), Delta::Other(_)) => {}
            (Kind::Thought(thought), delta) => {
                if !std::mem::replace(&mut thought.is_begun, true) {
                    sink(&Event::PartStart { index, choice: open.choice, part: PartStart::Reasoning });
                }
                if let Delta::Reasoning(text) = delta {
                    thought.text.push_str(text.escaped());
                }
                sink(&Event::Delta { index, delta: delta.clone() });
            }
            (Kind::Call(call), Delta::Arguments(json)) => call.push(json, &mut |input| {
                sink(&Event::Delta { index, delta: Delta::Input(input) });
            }),
            (Kind::Call(_), delta) => sink(&Event::Delta { index, delta: delta.clone() }),
        }
    }

    fn part_end(&mut self, index: u32, sink: &mut Sink<'_>) {
        let Some(at) = self.open.iter().position(|open| open.index == index) else {
            return sink(&Event::PartEnd { index });
        };
        let open = self.open.swap_remove(at);
        match open.kind {
            Kind::Hidden => {}
            Kind::Text => sink(&Event::PartEnd { index }),
            Kind::Call(call) => {
                call.finish(&mut |input| sink(&Event::Delta { index, delta: Delta::Input(input) }));
                sink(&Event::PartEnd { index });
            }
            Kind::Thought(thought) => {
                let is_begun = thought.is_begun;
                let sealed = thought.proof().and_then(|(proof, text)| self.slot(open.choice, proof, text));
                if let Some(signature) = sealed {
                    sink(&Event::Delta { index, delta: Delta::Signature(signature) });
                }
                if is_begun {
                    sink(&Event::PartEnd { index });
                }
            }
        }
    }

    fn slots(&self) -> Option<Slots> {
        self.closer.as_ref().map(|closer| closer.slots)
    }

    fn track(&mut self, choice: u32) -> &mut Track {
        self.choices.entry(choice).or_default()
    }

    fn slot(&mut self, choice: u32, proof: Proof<'static>, text: Str<'static>) -> Option<Str<'static>> {
        self.closer.as_ref()?.slot(proof, text, self.choices.entry(choice).or_default())
    }

    fn call_id(&mut self, choice: u32, id: &Str<'_>) -> Option<Str<'static>> {
        self.closer.as_ref()?.id(id, self.choices.entry(choice).or_default())
    }

    /// Gives out what rides on the next part, as a part of its own before it.
    fn ride(&mut self, choice: u32, sink: &mut Sink<'_>) {
        let Some(closer) = &self.closer else { return };
        let Some(signature) = closer.rider(self.choices.entry(choice).or_default()) else { return };
        let index = self.next_index;
        self.next_index = index.saturating_sub(1);
        sink(&Event::PartStart { index, choice, part: PartStart::Reasoning });
        sink(&Event::Delta { index, delta: Delta::Signature(signature) });
        sink(&Event::PartEnd { index });
    }
}

impl Thought {
    /// What proves it, and its text.
    fn proof(self) -> Option<(Proof<'static>, Str<'static>)> {
        let text = Str::from_escaped(&self.text);
        if !self.signature.is_empty() {
            return Some((Proof::Signature(Str::from_escaped(&self.signature)), text));
        }
        let mut list = Vec::new();
        {
            let mut out = Arr::new(&mut list);
            for items in self.details.iter().filter_map(Raw::read::<Vec<Raw<'_>>>).flatten() {
                out.raw(items.get());
            }
        }
        let list = String::from_utf8(list).ok().filter(|list| list != "[]")?;
        Some((Proof::Details(Raw::owned(list)), text))
    }
}
