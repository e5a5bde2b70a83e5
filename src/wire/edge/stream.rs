//! The same event by event: the rounds of an answer as one stream.

use super::form::{Again, Held, stop_of};
use super::kept::Keeper;
use super::{Done, Own, Pending, Waits, called};
use crate::error::{Error, Result};
use crate::guard::{Fate, Form, Watch};
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
    /// Answers that have to be JSON, and are not judged yet.
    texts: Vec<Held>,
    /// One that was not, with its end, until there is a better one.
    wrong: Option<(Held, Stop<'static>)>,
    again: Option<Again>,
    usage: Usage,
    /// Of this round, as it came.
    came_bytes: usize,
    most_bytes: usize,
    /// The client has got something of this round.
    has_spoken: bool,
    /// The model has stopped, and the client does not see it yet.
    has_stopped: bool,
    is_over: bool,
}

/// A part that has begun: what it becomes in the next request.
#[derive(Debug)]
struct Open {
    choice: u32,
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
    /// A round may be so long, since much of it is kept.
    pub fn new(own: Own, most_bytes: usize) -> Self {
        Self {
            own,
            is_first: true,
            base: 0,
            next_index: 0,
            open: Vec::new(),
            said: Vec::new(),
            held: Vec::new(),
            texts: Vec::new(),
            wrong: None,
            again: None,
            usage: Usage::default(),
            came_bytes: 0,
            most_bytes,
            has_spoken: false,
            has_stopped: false,
            is_over: false,
        }
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// So much more comes of this round. The error says that it is too much.
    pub fn heard(&mut self, bytes: usize) -> Result<()> {
        self.came_bytes = self.came_bytes.saturating_add(bytes);
        if self.came_bytes > self.most_bytes { Err(Error::answer_too_long()) } else { Ok(()) }
    }

    /// What is waited for, once the upstream has ended an answer that is not over for the client.
    pub fn waits_for(&self) -> Option<Waits> {
        if !self.is_over {
            return None;
        }
        if let Some(again) = &self.again {
            return Some(Waits::Repair(again.clone()));
        }
        let is_own = |part: &&Part<'_>| matches!(&part.kind, PartKind::ToolCall { name, .. } if self.own.has(name));
        let calls = self.said.iter().filter(is_own).filter_map(called).collect();
        Some(Waits::Tools(Pending { said: self.said.clone(), calls, is_mixed: !self.held.is_empty() }))
    }

    /// Whether another may be asked for this round: nothing of it has reached the client.
    pub fn may_be_asked_again(&self) -> bool {
        !self.has_spoken
    }

    /// The next answer is about to come: of the next round, or of this one where it was not over.
    pub fn go_on(&mut self, guards: Option<&Watch>) {
        if let (Some(form), Some(guards)) = (&mut self.own.form, guards) {
            form.go_on(guards);
        }
        if self.again.take().is_some() {
            self.own.form.iter_mut().for_each(Form::be_second);
        }
        if self.is_over {
            self.own.earlier = self.own.earlier.plus(&self.usage);
            self.base = self.next_index;
        }
        (self.usage, self.next_index, self.is_first) = (Usage::default(), self.base, false);
        (self.has_spoken, self.has_stopped, self.is_over) = (false, false, false);
        self.came_bytes = 0;
        self.open.clear();
        self.said.clear();
        self.held.clear();
        self.texts.clear();
    }

    /// Nobody mends the answer: ends it with what becomes of it then.
    pub fn settle(&mut self, sink: &mut Sink<'_>) {
        let (Some((held, stop)), Some(form)) = (self.wrong.take(), &self.own.form) else { return };
        self.give(&held, form.give_up(), &stop, sink);
        (self.has_stopped, self.is_over) = (false, false);
        sink(&Event::End);
    }

    /// The client's calls are its to answer; what was done beside them comes back with its answer.
    pub fn release(&mut self, done: &[Done], keeper: Keeper<'_>, sink: &mut Sink<'_>) {
        for held in self.texts.drain(..) {
            held.give(Fate::Passes, self.next_index, sink);
        }
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
            Event::Stop { choice, stop } => self.stop(*choice, stop, sink),
            Event::End if self.has_stopped => self.is_over = true,
            // The answer before it is better than none.
            Event::Error(_) if self.wrong.is_some() => self.settle(sink),
            Event::End | Event::Error(_) => {
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

    /// An answer has ended, and is judged where it has to be.
    fn stop(&mut self, choice: u32, stop: &Stop<'_>, sink: &mut Sink<'_>) {
        let Some(form) = &self.own.form else {
            self.flush(sink);
            self.has_spoken = true;
            return sink(&Event::Stop { choice, stop: stop.clone() });
        };
        let at = self.texts.iter().position(|held| held.choice == choice);
        let held = at.map_or_else(|| Held::of(choice), |at| self.texts.swap_remove(at));
        match held.judge(form, stop.reason) {
            Fate::Again(complaint) => {
                self.again = Some(held.again(complaint));
                self.wrong = Some((held, Stop::of(stop.reason)));
                self.has_stopped = true;
            }
            fate => {
                self.wrong = None;
                self.give(&held, fate, stop, sink);
            }
        }
    }

    fn give(&mut self, held: &Held, fate: Fate, stop: &Stop<'_>, sink: &mut Sink<'_>) {
        let (stop, index) = (stop_of(&fate, stop), self.next_index);
        self.next_index = self.next_index.saturating_add(1);
        self.has_spoken = true;
        held.give(fate, index, sink);
        self.flush(sink);
        sink(&Event::Stop { choice: held.choice, stop });
    }

    /// Whether texts wait until they are judged.
    fn keeps(&self) -> bool {
        self.own.form.as_ref().is_some_and(Form::holds)
    }

    /// What there is of a choice's text, where that has to be judged.
    fn text_of(&mut self, choice: u32) -> Option<&mut Held> {
        self.own.form.as_ref()?;
        let at = self.texts.iter().position(|held| held.choice == choice).unwrap_or_else(|| {
            self.texts.push(Held::of(choice));
            self.texts.len() - 1
        });
        self.texts.get_mut(at)
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
        let (index, keeps) = (self.ours(theirs), self.keeps() && matches!(part, PartStart::Text));
        if let Some(text) = self.text_of(choice) {
            match part {
                PartStart::Text => text.start(index, keeps),
                PartStart::ToolCall { .. } | PartStart::Refusal => text.exempt(),
                _ => {}
            }
        }
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
            PartStart::Image { media } => {
                Kind::Whole(PartKind::Image { media: media.clone().into_owned(), detail: None })
            }
            PartStart::Other { tag, json } => {
                Kind::Whole(PartKind::Other { tag: tag.clone().into_owned(), json: json.clone().into_owned() })
            }
            PartStart::Refusal | PartStart::ReasoningDetails => Kind::Nothing,
        };
        if !keeps && !matches!(kind, Kind::Call { .. }) {
            self.flush(sink);
            self.has_spoken = true;
            sink(&Event::PartStart { index, choice, part: part.clone() });
        }
        self.open.push((theirs, Open { choice, kind, text: String::new(), signature: None }));
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
        if let (Kind::Text, choice) = (&open.kind, open.choice) {
            let keeps = self.keeps();
            self.text_of(choice).into_iter().for_each(|text| text.delta(index, delta, keeps));
            if !keeps {
                sink(&Event::Delta { index, delta: delta.clone() });
            }
            return;
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
        let (_, Open { choice, kind, text, signature }) = self.open.swap_remove(at);
        let index = self.ours(theirs);
        let is_kept = self.keeps() && matches!(kind, Kind::Text);
        if is_kept {
            self.text_of(choice).into_iter().for_each(|text| text.end(index));
        }
        let is_silent = is_kept || matches!(kind, Kind::Call { .. });
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
        if !is_silent {
            sink(&Event::PartEnd { index });
        }
    }
}
