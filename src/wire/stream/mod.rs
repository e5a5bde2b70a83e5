//! A streamed answer on its way to the client, in any lane: upstream bytes in, client bytes out.
//!
//! [`Translator`] decodes and encodes; [`StreamWatch`](super::watch::StreamWatch) lets the bytes of
//! the same format through. Both are a [`Pipe`], so the attempt loop needs not know which it has.
//! Neither gives anything out before the answer has truly begun: an upstream that opens a stream and
//! then reports an error has answered nothing, and another may be asked.
//!
//! Where a translated answer is recorded, another upstream may be asked even later: when it breaks in
//! its text, the client's stream stays open ([`Pipe::is_open`]) with its error kept back, [`Pipe::said`]
//! tells what was said, and either [`Pipe::resume`] goes on with another upstream's answer or
//! [`Pipe::close`] ends the stream with the error. What was said goes into the other's request by
//! [`resume`](super::resume). The client is told of one request: the input of the first, and all
//! output. Whoever books has [`Progress::account`] for the last upstream and [`Progress::earlier`] for
//! those before it.

mod around;
pub mod aside;
mod filter;
mod join;
mod record;
mod seam;
mod translator;

pub use around::{Around, Rewrite};
pub use record::Said;
pub use translator::Translator;

use super::Quirks;
use super::bridge::Bridge;
use super::edge::kept::Keeper;
use super::edge::{Done, Waits};
use super::frames::Framing;
use super::sse::Frame;
use crate::error::{Error, Kind};
use crate::guard::Watch;
use crate::usage::estimate::TextCount;
use crate::usage::tokens::{Advice, Usage, UsageSource};

/// Bytes held back at most, before they are let go whatever they are.
const MAX_HELD_BYTES: usize = 64 * 1024;

/// How a stream ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// As its format says it should.
    Complete,
    /// With an error that the upstream reported, or that broke the stream.
    Error(Error),
    /// In the middle.
    Cut(Error),
}

impl Ending {
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Complete => None,
            Self::Error(error) | Self::Cut(error) => Some(error),
        }
    }
}

/// What is known so far of a streamed answer; of one that goes on elsewhere, what its last upstream
/// gave.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The counts to book of the upstreams before, in their order.
    pub earlier: Vec<(Usage, UsageSource)>,
    /// What this upstream was told beside the prompt of what those before it had said.
    pub told_tokens: u64,
    /// Counts that came with the opening event: the output is not in them.
    pub opening_usage: Option<Usage>,
    /// The latest counts of the answer.
    pub usage: Option<Usage>,
    /// What other models used that this one asked by itself.
    pub advice: Vec<Advice>,
    /// The tier the answer says it is served in: prices differ by it.
    pub service_tier: Option<String>,
    /// The model that the answer says it is of: what was asked for may be a name for it.
    pub model: Option<String>,
    /// Text the model has put out: answer, thinking and arguments of calls.
    pub output: TextCount,
    /// Events that came, pings aside: a model that searches or runs code puts out no text for a while.
    pub events: u64,
    /// The answer has begun: there is a first token.
    pub has_content: bool,
    /// The model has stopped; only counts may follow.
    pub has_stopped: bool,
    pub ending: Option<Ending>,
}

impl Progress {
    /// The counts to book, and where they come from. `input_tokens` is the local estimate of the
    /// prompt, for upstreams that never say.
    pub fn account(&self, input_tokens: u64) -> (Usage, UsageSource) {
        let complete = matches!(self.ending, Some(Ending::Complete)) || self.has_stopped;
        match (self.counted(), self.told(self.opening_usage)) {
            (Some(usage), _) if complete && usage.lacks_input() => {
                (Usage { fresh_input_tokens: input_tokens, ..usage }, UsageSource::Estimated)
            }
            (Some(usage), _) if complete => (usage, UsageSource::Reported),
            (Some(usage), _) | (None, Some(usage)) => (self.at_least_what_was_sent(usage), UsageSource::Partial),
            (None, None) => {
                let fresh_input_tokens = input_tokens.saturating_add(self.told_tokens);
                let input = Usage { fresh_input_tokens, ..Usage::default() };
                (self.at_least_what_was_sent(input), UsageSource::Estimated)
            }
        }
    }

    /// The latest counts of the answer, if they say anything.
    pub(super) fn counted(&self) -> Option<Usage> {
        self.told(self.usage)
    }

    /// Some servers have zeros where they have not counted: beside a text they are none.
    fn told(&self, usage: Option<Usage>) -> Option<Usage> {
        usage.filter(|usage| *usage != Usage::default() || self.output.tokens() == 0)
    }

    fn at_least_what_was_sent(&self, usage: Usage) -> Usage {
        let missing = self.output.tokens().saturating_sub(usage.output_tokens());
        Usage { visible_output_tokens: usage.visible_output_tokens.saturating_add(missing), ..usage }
    }

    /// A frame with data has come.
    pub(super) fn heard(&mut self, frame: &Frame<'_>) {
        if frame.name != "ping" {
            self.events = self.events.saturating_add(1);
        }
    }

    fn end(&mut self, ending: Ending) {
        if self.ending.is_none() {
            self.ending = Some(ending);
        }
    }

    /// The upstream reported an error.
    pub(super) fn fail(&mut self, error: Error) {
        self.end(Ending::Error(error));
    }

    pub(super) fn complete(&mut self) {
        self.end(Ending::Complete);
    }

    pub(super) fn cut(&mut self, error: Error) {
        self.end(Ending::Cut(error));
    }
}

/// The error of a stream that stops without its end.
pub(super) fn cut_error() -> Error {
    Error::new(Kind::UpstreamFailed, "the upstream ended its answer early")
}

/// See the module documentation.
pub trait Pipe: Send + Sync + std::fmt::Debug {
    /// Upstream bytes, however they were cut; appends what the client gets now. After an ending
    /// nothing more comes out of it.
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>);

    /// The upstream's body ended: closes the answer. What the client has begun to read is closed
    /// with an error event where it is not complete; if it has read nothing, or the answer may go on
    /// elsewhere, `out` stays empty.
    fn finish(&mut self, out: &mut Vec<u8>);

    /// Gives up on the upstream (a deadline passed): closes as [`finish`](Self::finish) does, with
    /// this error.
    fn fail(&mut self, error: Error, out: &mut Vec<u8>);

    /// Lets go of what is held back, because the client has waited long enough. From here on no
    /// other upstream can be asked.
    fn commit(&mut self, out: &mut Vec<u8>);

    /// Whether the client may have got anything.
    fn is_committed(&self) -> bool;

    fn progress(&self) -> &Progress;

    /// More may come for the client: its answer has not ended, or may go on elsewhere.
    fn is_open(&self) -> bool {
        self.progress().ending.is_none()
    }

    /// What was said of an answer that broke and may go on elsewhere.
    fn said(&self) -> Option<Said> {
        None
    }

    /// Goes on with the answer of another upstream; nothing is done where [`said`](Self::said) is `None`.
    fn resume(&mut self, _next: &Next<'_>) {}

    /// The answer has ended and is not over for the client.
    fn waits(&self) -> bool {
        false
    }

    /// What is waited for then: tools of the gateway's, or a better answer.
    fn waits_for(&self) -> Option<Waits> {
        None
    }

    /// Goes on with the answer to that, or with another one where that broke before the client had anything of
    /// it. Guards of the request may have hidden more since.
    fn next_round(&mut self, _next: &Next<'_>, _guards: Option<&Watch>) {}

    /// Has the answer's end tell of the gateway's tools that were run, in formats that have room for it.
    fn executed(&mut self, _tools: &str) {}

    /// Ends the answer with the calls that are the client's; what was done for it goes with them.
    fn release(&mut self, _done: &[Done], _keeper: Keeper<'_>, _out: &mut Vec<u8>) {}

    /// Ends an answer for which there is no better one.
    fn settle(&mut self, _out: &mut Vec<u8>) {}

    /// Writes the error that was kept back, since nobody goes on.
    fn close(&mut self, _out: &mut Vec<u8>) {}

    /// Writes a comment, where the client's format takes one. Not part of the answer.
    fn note(&mut self, text: &str, out: &mut Vec<u8>);

    /// Writes what keeps the connection awake, while [`is_open`](Self::is_open). Not part of the
    /// answer: another upstream may still be asked.
    fn keep_alive(&mut self, out: &mut Vec<u8>);
}

/// The upstream that goes on with an answer.
#[derive(Debug, Clone, Copy)]
pub struct Next<'n> {
    pub bridge: &'n Bridge,
    pub framing: Framing,
    pub quirks: &'n Quirks,
}

/// Bytes that wait for the answer to begin.
#[derive(Debug, Default)]
pub(super) struct HoldBack {
    held: Vec<u8>,
    committed: bool,
}

impl HoldBack {
    /// Where bytes for the client go now.
    pub(super) fn target<'o>(&'o mut self, out: &'o mut Vec<u8>) -> &'o mut Vec<u8> {
        if self.committed { out } else { &mut self.held }
    }

    pub(super) fn commit(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.committed, true) {
            out.append(&mut self.held);
            self.held = Vec::new();
        }
    }

    pub(super) fn commit_if_full(&mut self, out: &mut Vec<u8>) {
        if self.held.len() > MAX_HELD_BYTES {
            self.commit(out);
        }
    }

    pub(super) fn is_committed(&self) -> bool {
        self.committed
    }
}

#[cfg(test)]
mod tests;
