//! Guards on a stream: texts of the answer pass a window each before they are encoded, so that nothing
//! that is found has left before it was found, wherever the provider cut it.
//!
//! A guard that blocks ends the answer: what came before stays, open parts are closed, the guard's message
//! follows as a refusal, and the stop says that a filter cut it. The provider's stream is read to its end all
//! the same, so that its own count of what was used is the one that is told and booked.

use std::collections::HashMap;

use crate::guard::{Outcome, Watch, Window};
use crate::wire::ir::{Delta, Event, PartStart, Stop, StopReason};
use crate::wire::json::Str;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Filter {
    watch: Watch,
    parts: HashMap<u32, Part>,
    /// Of every answer that was begun: whether it has stopped.
    choices: HashMap<u32, bool>,
    next_index: u32,
    is_blocked: bool,
    /// Something may be taken out of the answer: what cannot be looked into has to go.
    takes_away: bool,
}

#[derive(Debug)]
struct Part {
    choice: u32,
    fate: Fate,
}

/// What becomes of a part.
#[derive(Debug)]
enum Fate {
    /// It has a text, of this kind.
    Text(Box<Window>, Option<Lane>),
    /// It has none.
    Passes,
    /// It held something and is left out.
    Gone,
}

/// Which delta a text came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Text,
    Reasoning,
    Arguments,
    Input,
    Refusal,
}

impl Lane {
    fn of<'d, 'a>(delta: &'d Delta<'a>) -> Option<(Self, &'d Str<'a>)> {
        match delta {
            Delta::Text(text) => Some((Self::Text, text)),
            Delta::Reasoning(text) => Some((Self::Reasoning, text)),
            Delta::Arguments(text) => Some((Self::Arguments, text)),
            Delta::Input(text) => Some((Self::Input, text)),
            Delta::Refusal(text) => Some((Self::Refusal, text)),
            _ => None,
        }
    }

    fn delta(self, text: &str) -> Delta<'static> {
        let text = Str::from_text(text);
        match self {
            Self::Text => Delta::Text(text),
            Self::Reasoning => Delta::Reasoning(text),
            Self::Arguments => Delta::Arguments(text),
            Self::Input => Delta::Input(text),
            Self::Refusal => Delta::Refusal(text),
        }
    }
}

type Emit<'e> = dyn FnMut(&Event<'_>) + 'e;

impl Filter {
    pub(super) fn new(watch: Watch) -> Self {
        let takes_away = watch.takes_away();
        let (parts, choices) = (HashMap::new(), HashMap::new());
        Self { watch, parts, choices, next_index: 0, is_blocked: false, takes_away }
    }

    /// The next answer is about to come, in which more was hidden.
    pub(super) fn go_on(&mut self, watch: Watch) {
        self.watch = watch;
    }

    /// The answer has ended for the client, whatever the provider still says.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    pub(super) fn event(&mut self, event: &Event<'_>, emit: &mut Emit<'_>) {
        if self.is_blocked {
            return self.after_block(event, emit);
        }
        match event {
            Event::PartStart { index, choice, part } => self.start(*index, *choice, part, emit),
            Event::Delta { index, delta } => self.delta(*index, delta, emit),
            Event::PartEnd { index } => self.end(*index, emit),
            Event::Stop { choice, .. } => {
                self.choices.insert(*choice, true);
                emit(event);
            }
            _ => emit(event),
        }
    }

    fn start(&mut self, index: u32, choice: u32, part: &PartStart<'_>, emit: &mut Emit<'_>) {
        self.choices.entry(choice).or_insert(false);
        self.next_index = self.next_index.max(index.saturating_add(1));
        let fate = match part {
            PartStart::Text | PartStart::Reasoning | PartStart::Refusal => Fate::Text(Box::default(), None),
            PartStart::ToolCall { custom: true, .. } => Fate::Text(Box::default(), None),
            PartStart::ToolCall { .. } => Fate::Text(Box::new(Window::of_json()), None),
            PartStart::Other { json, .. } if self.takes_away && self.holds(json.get()) => Fate::Gone,
            PartStart::ReasoningDetails if self.takes_away => Fate::Gone,
            PartStart::ReasoningDetails
            | PartStart::RedactedReasoning { .. }
            | PartStart::Image { .. }
            | PartStart::Other { .. } => Fate::Passes,
        };
        let is_gone = matches!(fate, Fate::Gone);
        self.parts.insert(index, Part { choice, fate });
        if !is_gone {
            emit(&Event::PartStart { index, choice, part: part.clone() });
        }
    }

    /// Whether something is found in what nobody here knows the inside of.
    fn holds(&mut self, json: &str) -> bool {
        self.watch.whole(json) != Outcome::Same
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, emit: &mut Emit<'_>) {
        let Some(Part { fate, .. }) = self.parts.get_mut(&index) else {
            // A part that nobody opened has no end either: nothing of it can be held back.
            return;
        };
        let (Some((lane, text)), Fate::Text(window, last)) = (Lane::of(delta), &mut *fate) else {
            let is_gone = matches!(fate, Fate::Gone) || self.takes_away && self.is_hidden(delta);
            if !is_gone {
                emit(&Event::Delta { index, delta: delta.clone() });
            }
            return;
        };
        let mut out = String::new();
        *last = Some(lane);
        let blocked = window.push(&text.text(), &mut self.watch, &mut out);
        if !out.is_empty() {
            emit(&Event::Delta { index, delta: lane.delta(&out) });
        }
        if let Some(guard) = blocked {
            self.block(guard, emit);
        }
    }

    /// What tells the text once more, in pieces of its own.
    fn is_hidden(&mut self, delta: &Delta<'_>) -> bool {
        match delta {
            Delta::Logprobs(_) | Delta::ReasoningDetails(_) => true,
            Delta::Citation(json) | Delta::Other(json) => self.holds(json.get()),
            _ => false,
        }
    }

    fn end(&mut self, index: u32, emit: &mut Emit<'_>) {
        let Some(part) = self.parts.get_mut(&index) else { return };
        let mut blocked = None;
        match &mut part.fate {
            Fate::Gone => {
                self.parts.remove(&index);
                return;
            }
            Fate::Text(window, Some(lane)) => {
                let mut out = String::new();
                blocked = window.finish(&mut self.watch, &mut out);
                if !out.is_empty() {
                    emit(&Event::Delta { index, delta: lane.delta(&out) });
                }
            }
            Fate::Text(_, None) | Fate::Passes => {}
        }
        if let Some(guard) = blocked {
            return self.block(guard, emit);
        }
        self.parts.remove(&index);
        emit(&Event::PartEnd { index });
    }

    fn block(&mut self, guard: usize, emit: &mut Emit<'_>) {
        self.is_blocked = true;
        let mut open: Vec<(u32, Part)> = self.parts.drain().collect();
        open.sort_unstable_by_key(|(index, _)| *index);
        for (index, part) in open {
            self.choices.entry(part.choice).or_insert(false);
            if !matches!(part.fate, Fate::Gone) {
                emit(&Event::PartEnd { index });
            }
        }
        let message = self.watch.guard(guard).map(|guard| guard.message.clone()).unwrap_or_default();
        let mut choices: Vec<u32> = self.choices.iter().filter(|(_, stopped)| !**stopped).map(|(c, _)| *c).collect();
        choices.sort_unstable();
        for choice in choices {
            let index = self.next_index;
            self.next_index = self.next_index.saturating_add(1);
            emit(&Event::PartStart { index, choice, part: PartStart::Refusal });
            emit(&Event::Delta { index, delta: Delta::Refusal(Str::from_text(&message)) });
            emit(&Event::PartEnd { index });
            self.choices.insert(choice, true);
            emit(&Event::Stop { choice, stop: filtered() });
        }
    }

    fn after_block(&mut self, event: &Event<'_>, emit: &mut Emit<'_>) {
        match event {
            Event::Usage(_) | Event::Ping | Event::End => emit(event),
            // An answer that had not begun when another was blocked.
            Event::Stop { choice, .. } if self.choices.insert(*choice, true) != Some(true) => {
                emit(&Event::Stop { choice: *choice, stop: filtered() });
            }
            // The client's answer is complete without what is missing.
            Event::Error(_) => emit(&Event::End),
            _ => {}
        }
    }
}

/// Every format has a word for what a filter cut.
fn filtered() -> Stop<'static> {
    Stop { native: Some(Str::from_text("content_filter")), ..Stop::of(StopReason::Refusal) }
}

#[cfg(test)]
mod tests;
