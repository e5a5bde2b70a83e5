//! The events of a second answer, made a part of the stream that the first has begun.
//!
//! - Its start is not told: the client has one.
//! - Its first text goes on in the text that is open. Whatever else comes ends that first, and thinking
//!   too, so that a proof never stands behind what it does not prove.
//! - Its parts get indexes that were not used.
//! - A client that asked once is told of one request: the input of the first, the output of both.

use super::record::{Open, Record, Said};
use super::seam::Seam;
use crate::usage::tokens::Usage;
use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::Str;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Join {
    /// Of the first answer.
    open: Option<Open>,
    seam: Option<Seam>,
    /// What stands in for the proof of a thought that was cut, where the client's format needs one.
    proof: Option<Str<'static>>,
    /// Their index and ours of each open part.
    parts: Vec<(u32, u32)>,
    next_index: u32,
    /// What the client is told for all answers before.
    earlier: Usage,
}

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

impl Join {
    pub(super) fn new(record: &Record, said: &Said, echoes: bool, proof: Option<Str<'static>>, earlier: Usage) -> Self {
        Self {
            open: record.open,
            seam: Some(Seam::new(said, echoes)),
            proof,
            parts: Vec::new(),
            next_index: record.next_index,
            earlier,
        }
    }

    /// The counts of all answers as one.
    pub(super) fn sum(&self, usage: Usage) -> Usage {
        let output = Usage {
            visible_output_tokens: usage.visible_output_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            audio_output_tokens: usage.audio_output_tokens,
            ..Usage::default()
        };
        self.earlier.plus(&output)
    }

    pub(super) fn event(&mut self, event: &Event<'_>, sink: &mut Sink<'_>) {
        match event {
            Event::Start { .. } => {}
            Event::PartStart { index, choice, part } => self.part_start(*index, *choice, part, sink),
            Event::Delta { index, delta } => self.delta(*index, delta, sink),
            Event::PartEnd { index } => self.part_end(*index, sink),
            Event::Usage(usage) => sink(&Event::Usage(self.sum(*usage))),
            Event::Stop { .. } | Event::End | Event::Error(_) => {
                self.end_open(sink);
                sink(event);
            }
            Event::Ping => sink(event),
        }
    }

    fn part_start(&mut self, index: u32, choice: u32, part: &PartStart<'_>, sink: &mut Sink<'_>) {
        let goes_on = matches!(part, PartStart::Text) && choice == 0;
        if let Some(open) = self.open.take_if(|open| goes_on && open.is_text) {
            return self.parts.push((index, open.index));
        }
        self.end_open(sink);
        let ours = self.next_index;
        self.next_index = ours.saturating_add(1);
        self.parts.push((index, ours));
        sink(&Event::PartStart { index: ours, choice, part: part.clone() });
    }

    fn delta(&mut self, theirs: u32, delta: &Delta<'_>, sink: &mut Sink<'_>) {
        let Some(index) = self.ours(theirs) else { return };
        match (delta, &mut self.seam) {
            (Delta::Text(text), Some(seam)) => {
                if let Some(new) = seam.push(text) {
                    self.seam = None;
                    tell(index, new, sink);
                }
            }
            _ => sink(&Event::Delta { index, delta: delta.clone() }),
        }
    }

    fn part_end(&mut self, theirs: u32, sink: &mut Sink<'_>) {
        let Some(at) = self.parts.iter().position(|(known, _)| *known == theirs) else { return };
        let (_, index) = self.parts.swap_remove(at);
        // Only texts put something into the seam.
        if let Some(seam) = self.seam.take_if(|seam| seam.has_begun()) {
            tell(index, seam.rest(), sink);
        }
        sink(&Event::PartEnd { index });
    }

    fn ours(&self, theirs: u32) -> Option<u32> {
        self.parts.iter().find(|(known, _)| *known == theirs).map(|(_, ours)| *ours)
    }

    /// Ends what the first answer left open.
    fn end_open(&mut self, sink: &mut Sink<'_>) {
        let Some(Open { index, is_text, is_signed }) = self.open.take() else { return };
        if let Some(proof) = self.proof.take().filter(|_| !is_text && !is_signed) {
            sink(&Event::Delta { index, delta: Delta::Signature(proof) });
        }
        sink(&Event::PartEnd { index });
    }
}

fn tell(index: u32, text: Str<'static>, sink: &mut Sink<'_>) {
    if !text.is_empty() {
        sink(&Event::Delta { index, delta: Delta::Text(text) });
    }
}
