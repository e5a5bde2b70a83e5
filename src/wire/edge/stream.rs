//! The same event by event: the rounds of an answer as one stream.

use super::kept::Keeper;
use super::{Done, Own, Pending, called};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Arguments, At, Delta, Event, Part, PartKind, PartStart, Stop, StopReason};
use crate::wire::json::Str;

/// The bridge counts the parts that it adds itself down from the top.
const FIRST_ADDED_INDEX: u32 = 1 << 31;

/// Stands before the encoder. Calls wait until it is known whose they are: those of the gateway's tools are
/// never seen, and the id of the client's first one may have to carry them.
#[derive(Debug)]
pub struct Rounds {
    own: Own,
    is_first: bool,
    /// What of an index of this round is another's already.
    base: u32,
    next_index: u32,
    open: Vec<(u32, Open)>,
    said: Vec<Part<'static>>,
    /// Events of the client's calls.
    held: Vec<Event<'static>>,
    usage: Usage,
    /// The client has got something of this round.
    has_spoken: bool,
    /// The model has stopped, and the client does not see it yet.
    has_stopped: bool,
    is_over: bool,
}

/// A part that has begun: what it becomes in the next request.
#[derive(Debug)]
struct Open {
    kind: Kind,
    text: String,
    signature: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Text,
    Reasoning,
    Call {
        id: Str<'static>,
        name: Str<'static>,
        custom: bool,
        is_own: bool,
    },
    Whole(PartKind<'static>),
    /// Nothing that a model has to be told.
    Nothing,
}

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

impl Rounds {
    pub fn new(own: Own) -> Self {
        Self {
            own,
            is_first: true,
            base: 0,
            next_index: 0,
            open: Vec::new(),
            said: Vec::new(),
            held: Vec::new(),
            usage: Usage::default(),
            has_spoken: false,
            has_stopped: false,
            is_over: false,
        }
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What waits for the gateway's tools, once the upstream has ended its answer with calls of them.
    pub fn pending(&self) -> Option<Pending> {
        if !self.is_over {
            return None;
        }
        let is_own = |part: &&Part<'_>| matches!(&part.kind, PartKind::ToolCall { name, .. } if self.own.has(name));
        let calls = self.said.iter().filter(is_own).filter_map(called).collect();
        Some(Pending { said: self.said.clone(), calls, is_mixed: !self.held.is_empty() })
    }

    /// Whether another may be asked for this round: nothing of it has reached the client.
    pub fn may_be_asked_again(&self) -> bool {
        !self.has_spoken
    }

    /// The next answer is about to come: of the next round, or of this one where it was not over.
    pub fn go_on(&mut self) {
        if self.is_over {
            self.own.earlier = self.own.earlier.plus(&self.usage);
            self.base = self.next_index;
        }
        (self.usage, self.next_index, self.is_first) = (Usage::default(), self.base, false);
        (self.has_spoken, self.has_stopped, self.is_over) = (false, false, false);
        self.open.clear();
        self.said.clear();
        self.held.clear();
    }

    /// The client's calls are its to answer; what was done beside them comes back with its answer.
    pub fn release(&mut self, done: &[Done], keeper: Keeper<'_>, sink: &mut Sink<'_>) {
        let first = self.held.iter_mut().find_map(|event| match event {
            Event::PartStart { part: PartStart::ToolCall { id, .. }, .. } => Some(id),
            _ => None,
        });
        let reason = if first.is_some() { StopReason::ToolUse } else { StopReason::EndTurn };
        if let Some(id) = first.filter(|_| !done.is_empty()) {
            *id = keeper.close(id, done);
        }
        self.flush(sink);
        self.has_stopped = false;
        sink(&Event::Stop { choice: 0, stop: Stop::of(reason) });
        self.is_over = false;
        sink(&Event::End);
    }

    pub fn event(&mut self, event: &Event<'_>, sink: &mut Sink<'_>) {
        match event {
            Event::Start { .. } if !self.is_first => {}
            Event::PartStart { index, choice, part } => self.part_start(*index, *choice, part, sink),
            Event::Delta { index, delta } => self.delta(*index, delta, sink),
            Event::PartEnd { index } => self.part_end(*index, sink),
            Event::Usage(usage) => {
                self.usage = *usage;
                sink(&Event::Usage(self.own.earlier.plus(usage)));
            }
            Event::Stop { choice: 0, stop } if stop.reason == StopReason::ToolUse && self.has_own_calls() => {
                self.has_stopped = true;
            }
            Event::End if self.has_stopped => self.is_over = true,
            Event::Stop { .. } | Event::End | Event::Error(_) => {
                self.flush(sink);
                self.has_spoken = true;
                sink(event);
            }
            Event::Start { .. } | Event::Ping => sink(event),
        }
    }

    fn has_own_calls(&self) -> bool {
        self.said.iter().any(|part| matches!(&part.kind, PartKind::ToolCall { name, .. } if self.own.has(name)))
    }

    fn flush(&mut self, sink: &mut Sink<'_>) {
        self.held.drain(..).for_each(|event| sink(&event));
    }

    fn ours(&mut self, theirs: u32) -> u32 {
        if theirs >= FIRST_ADDED_INDEX {
            return theirs;
        }
        let ours = self.base.saturating_add(theirs);
        self.next_index = self.next_index.max(ours.saturating_add(1));
        ours
    }

    fn part_start(&mut self, theirs: u32, choice: u32, part: &PartStart<'_>, sink: &mut Sink<'_>) {
        let index = self.ours(theirs);
        let kind = match part {
            PartStart::Text => Kind::Text,
            PartStart::Reasoning => Kind::Reasoning,
            PartStart::RedactedReasoning { data } => {
                Kind::Whole(PartKind::RedactedReasoning { data: data.clone().into_owned() })
            }
            PartStart::ToolCall { id, name, custom } => {
                let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
                let is_own = choice == 0 && !custom && self.own.has(&name);
                if !is_own {
                    let part = PartStart::ToolCall { id: id.clone(), name: name.clone(), custom: *custom };
                    self.held.push(Event::PartStart { index, choice, part });
                }
                Kind::Call { id, name, custom: *custom, is_own }
            }
            PartStart::Other { tag, json } => {
                Kind::Whole(PartKind::Other { tag: tag.clone().into_owned(), json: json.clone().into_owned() })
            }
            PartStart::Refusal | PartStart::ReasoningDetails => Kind::Nothing,
        };
        if !matches!(kind, Kind::Call { .. }) {
            self.flush(sink);
            self.has_spoken = true;
            sink(&Event::PartStart { index, choice, part: part.clone() });
        }
        self.open.push((theirs, Open { kind, text: String::new(), signature: None }));
    }

    fn delta(&mut self, theirs: u32, delta: &Delta<'_>, sink: &mut Sink<'_>) {
        let index = self.ours(theirs);
        let Some((_, open)) = self.open.iter_mut().find(|(index, _)| *index == theirs) else { return };
        match delta {
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) | Delta::Input(text) => {
                open.text.push_str(text.escaped());
            }
            Delta::Signature(signature) => {
                open.signature.get_or_insert_default().push_str(signature.escaped());
            }
            _ => {}
        }
        match (&open.kind, delta) {
            (Kind::Call { is_own: true, .. }, _) => {}
            (Kind::Call { .. }, Delta::Arguments(text)) => {
                let delta = Delta::Arguments(text.clone().into_owned());
                self.held.push(Event::Delta { index, delta });
            }
            (Kind::Call { .. }, Delta::Input(text)) => {
                self.held.push(Event::Delta { index, delta: Delta::Input(text.clone().into_owned()) });
            }
            (Kind::Call { .. }, _) => {}
            _ => sink(&Event::Delta { index, delta: delta.clone() }),
        }
    }

    fn part_end(&mut self, theirs: u32, sink: &mut Sink<'_>) {
        let Some(at) = self.open.iter().position(|(index, _)| *index == theirs) else { return };
        let (_, Open { kind, text, signature }) = self.open.swap_remove(at);
        let index = self.ours(theirs);
        let is_call = matches!(kind, Kind::Call { .. });
        if matches!(kind, Kind::Call { is_own: false, .. }) {
            self.held.push(Event::PartEnd { index });
        }
        let text = Str::from_escaped(&text);
        let kind = match kind {
            Kind::Text if text.is_empty() => None,
            Kind::Text => Some(PartKind::Text { text, citations: None }),
            Kind::Reasoning => {
                let signature = signature.as_deref().map(Str::from_escaped);
                Some(PartKind::Reasoning { text, signature })
            }
            Kind::Call { id, name, custom, .. } => {
                let arguments = if custom { Arguments::Text(text) } else { Arguments::Encoded(text) };
                Some(PartKind::ToolCall { id, name, arguments })
            }
            Kind::Whole(kind) => Some(kind),
            Kind::Nothing => None,
        };
        self.said.extend(kind.map(|kind| Part::new(At::default(), kind)));
        if !is_call {
            sink(&Event::PartEnd { index });
        }
    }
}
