//! A streamed answer on its way to the client, in any lane: upstream bytes in, client bytes out.
//!
//! [`Translator`] decodes and encodes; [`StreamWatch`](super::watch::StreamWatch) lets the bytes of
//! the same format through. Both are a [`Pipe`], so the attempt loop needs not know which it has.
//! Neither gives anything out before the answer has truly begun: an upstream that opens a stream and
//! then reports an error has answered nothing, and another may be asked.

use super::bridge::{Bridge, Events};
use super::frames::{Frames, Framing};
use super::sse::Frame;
use super::{Client, Decode, Encode, Quirks, ir, stream_decoder, stream_encoder};
use crate::error::{Error, Kind, Result};
use crate::usage::estimate::TextCount;
use crate::usage::tokens::{Usage, UsageSource};

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

/// What is known of a streamed answer so far.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Counts that came with the opening event: the output is not in them.
    pub opening_usage: Option<Usage>,
    /// The latest counts of the answer.
    pub usage: Option<Usage>,
    /// The tier the answer says it is served in: prices differ by it.
    pub service_tier: Option<String>,
    /// Text the model has put out: answer, thinking and arguments of calls.
    pub output: TextCount,
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
        match (self.usage, self.opening_usage) {
            (Some(usage), _) if complete => (usage, UsageSource::Reported),
            (Some(usage), _) | (None, Some(usage)) => (self.at_least_what_was_sent(usage), UsageSource::Partial),
            (None, None) => {
                let input = Usage { fresh_input_tokens: input_tokens, ..Usage::default() };
                (self.at_least_what_was_sent(input), UsageSource::Estimated)
            }
        }
    }

    fn at_least_what_was_sent(&self, usage: Usage) -> Usage {
        let missing = self.output.tokens().saturating_sub(usage.output_tokens());
        Usage { visible_output_tokens: usage.visible_output_tokens.saturating_add(missing), ..usage }
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
    /// with an error event where it is not complete; if it has read nothing, `out` stays empty.
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

/// Turns a stream of one format into a stream of another.
pub struct Translator {
    frames: Frames,
    stage: Stage,
}

/// All behind the framer.
struct Stage {
    decoder: Box<dyn Decode>,
    events: Option<Events>,
    writer: Writer,
}

/// All behind the decoder.
struct Writer {
    encoder: Box<dyn Encode>,
    /// A local count of the prompt, for upstreams that never say.
    input_estimate_tokens: u64,
    hold: HoldBack,
    progress: Progress,
}

impl std::fmt::Debug for Translator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Translator").field("progress", self.progress()).finish_non_exhaustive()
    }
}

impl Translator {
    /// From the bridge's upstream to its client.
    pub fn new(bridge: &Bridge, framing: Framing, quirks: &Quirks, client: &Client<'_>) -> Self {
        let (decoder, encoder) = (stream_decoder(bridge.upstream, quirks), stream_encoder(bridge.client, client));
        let mut it = Self::of(Frames::new(framing), decoder, encoder);
        it.stage.events = Some(bridge.events());
        it.stage.writer.input_estimate_tokens = client.input_estimate_tokens;
        it
    }

    /// Of parts.
    pub fn of(frames: Frames, decoder: Box<dyn Decode>, encoder: Box<dyn Encode>) -> Self {
        let (hold, progress) = (HoldBack::default(), Progress::default());
        let writer = Writer { encoder, input_estimate_tokens: 0, hold, progress };
        Self { frames, stage: Stage { decoder, events: None, writer } }
    }
}

impl Pipe for Translator {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let stage = &mut self.stage;
        let result: Result<()> = self.frames.push(chunk, &mut |frame| stage.frame(frame, out));
        if let Err(error) = result {
            stage.writer.event(&ir::Event::Error(error), out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let stage = &mut self.stage;
        self.frames.finish(&mut |frame| stage.frame(frame, out));
        stage.finish(out);
    }

    fn fail(&mut self, error: Error, out: &mut Vec<u8>) {
        self.stage.writer.event(&ir::Event::Error(error), out);
    }

    fn commit(&mut self, out: &mut Vec<u8>) {
        self.stage.writer.hold.commit(out);
    }

    fn is_committed(&self) -> bool {
        self.stage.writer.hold.is_committed()
    }

    fn progress(&self) -> &Progress {
        &self.stage.writer.progress
    }
}

impl Stage {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let Some(data) = frame.data else { return };
        let Self { decoder, events, writer } = self;
        if writer.progress.ending.is_none() {
            decoder.event(frame.name, data, &mut |event| match events {
                Some(events) => events.event(event, &mut |event| writer.event(event, out)),
                None => writer.event(event, out),
            });
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let Self { decoder, events, writer } = self;
        if writer.progress.ending.is_some() {
            return;
        }
        decoder.finish(&mut |event| match (event, &mut *events) {
            // What a decoder finds only now is that the end is missing.
            (ir::Event::Error(error), _) => {
                writer.progress.cut(error.clone());
                writer.encode(event, out);
            }
            (_, Some(events)) => events.event(event, &mut |event| writer.event(event, out)),
            (_, None) => writer.event(event, out),
        });
        if writer.progress.ending.is_none() {
            let error = cut_error();
            writer.progress.cut(error.clone());
            writer.encode(&ir::Event::Error(error), out);
        }
    }
}

impl Writer {
    fn event(&mut self, event: &ir::Event<'_>, out: &mut Vec<u8>) {
        if self.progress.ending.is_some() {
            return;
        }
        if self.observe(event) {
            self.hold.commit(out);
        }
        // Never zero by silence: what the upstream did not count is counted here.
        if matches!(event, ir::Event::End) && self.progress.usage.is_none() {
            let (usage, _) = self.progress.account(self.input_estimate_tokens);
            self.encode(&ir::Event::Usage(usage), out);
        }
        self.encode(event, out);
    }

    fn encode(&mut self, event: &ir::Event<'_>, out: &mut Vec<u8>) {
        // Before the first byte an error is the caller's to render, or to mend elsewhere.
        if matches!(event, ir::Event::Error(_)) && !self.hold.is_committed() {
            return;
        }
        self.encoder.event(event, self.hold.target(out));
        self.hold.commit_if_full(out);
    }

    /// Takes note of an event; says whether the answer has begun with it.
    fn observe(&mut self, event: &ir::Event<'_>) -> bool {
        let progress = &mut self.progress;
        match event {
            ir::Event::Start { usage, service_tier, .. } => {
                progress.opening_usage = usage.or(progress.opening_usage);
                progress.service_tier = service_tier.as_ref().map(|tier| tier.text().into_owned());
                return false;
            }
            ir::Event::Ping => return false,
            ir::Event::PartStart { .. } => progress.has_content = true,
            ir::Event::Delta { delta, .. } => count(delta, &mut progress.output),
            ir::Event::PartEnd { .. } => {}
            ir::Event::Usage(usage) => progress.usage = Some(*usage),
            ir::Event::Stop { .. } => progress.has_stopped = true,
            ir::Event::Error(error) => {
                progress.fail(error.clone());
                return false;
            }
            ir::Event::End => progress.complete(),
        }
        true
    }
}

fn count(delta: &ir::Delta<'_>, output: &mut TextCount) {
    use ir::Delta::{Arguments, Input, Reasoning, Refusal, Text};
    if let Text(text) | Reasoning(text) | Arguments(text) | Input(text) | Refusal(text) = delta {
        output.add_escaped(text.escaped());
    }
}

#[cfg(test)]
mod tests;
