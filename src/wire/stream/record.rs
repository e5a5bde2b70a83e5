//! What a client has got of an answer, so that another upstream can go on with it.
//!
//! A model can be given text as its own words, so text is kept. Thinking is begun anew, and only where
//! nothing else was said. Behind anything else (a call, a refusal, a second answer, what a provider
//! ran) nobody can go on but the model that said it.

use crate::usage::estimate::TextCount;
use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::Str;

/// An answer longer than this is not gone on with.
const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// The bridge counts the parts that it adds itself down from the top.
const FIRST_ADDED_INDEX: u32 = 1 << 31;

/// The text a client had got when its answer broke; empty where it had got thinking only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    text: String,
    output_tokens: u64,
}

impl Said {
    pub fn new(text: &str) -> Self {
        let mut count = TextCount::default();
        count.add_text(text);
        Self { text: text.to_owned(), output_tokens: count.tokens() }
    }

    /// What the next model is told, if anything: without blanks at its end, which Anthropic refuses.
    pub fn told(&self) -> &str {
        self.text.trim_end()
    }

    /// What the next model is not told.
    pub fn blanks(&self) -> &str {
        self.text.get(self.told().len()..).unwrap_or_default()
    }

    /// As counted here.
    pub fn output_tokens(&self) -> u64 {
        self.output_tokens
    }
}

/// Takes note of all events that reach the client.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Between the quotes, still escaped.
    text: String,
    pub(super) open: Option<Open>,
    /// Above all that were used.
    pub(super) next_index: u32,
    /// Nobody else can go on from here.
    is_final: bool,
}

/// The part that the client waits for more of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) index: u32,
    pub(super) is_text: bool,
    /// Of thinking: its proof has begun.
    pub(super) is_signed: bool,
}

impl Record {
    pub(super) fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::PartStart { index, choice, part } => self.part_start(*index, *choice, part),
            Event::Delta { delta, .. } => self.delta(delta),
            Event::PartEnd { index } => _ = self.open.take_if(|open| open.index == *index),
            Event::Stop { .. } | Event::End => self.is_final = true,
            Event::Start { .. } | Event::Usage(_) | Event::Ping | Event::Error(_) => {}
        }
    }

    /// Whether somebody else can.
    pub(super) fn can_go_on(&self) -> bool {
        !self.is_final
    }

    pub(super) fn said(&self) -> Option<Said> {
        self.can_go_on().then(|| Said::new(&Str::from_escaped(&self.text).text()))
    }

    fn part_start(&mut self, index: u32, choice: u32, part: &PartStart<'_>) {
        if index < FIRST_ADDED_INDEX {
            self.next_index = self.next_index.max(index.saturating_add(1));
        }
        let is_text = match part {
            PartStart::Text => true,
            PartStart::Reasoning | PartStart::RedactedReasoning { .. } | PartStart::ReasoningDetails => false,
            PartStart::ToolCall { .. } | PartStart::Refusal | PartStart::Image { .. } | PartStart::Other { .. } => {
                self.is_final = true;
                return;
            }
        };
        self.is_final |= choice != 0;
        self.open = Some(Open { index, is_text, is_signed: false });
    }

    fn delta(&mut self, delta: &Delta<'_>) {
        match delta {
            Delta::Text(text) if self.text.len().saturating_add(text.raw().len()) > MAX_TEXT_BYTES => {
                self.is_final = true;
                self.text = String::new();
            }
            Delta::Text(text) => self.text.push_str(text.escaped()),
            Delta::Signature(_) => self.open.iter_mut().for_each(|open| open.is_signed = true),
            _ => {}
        }
    }
}
