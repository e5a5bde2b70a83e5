//! A stream of one format made a stream of another.

use super::filter::Filter;
use super::join::Join;
use super::record::{Record, Said};
use super::{Ending, HoldBack, Next, Pipe, Progress, aside, cut_error};
use crate::error::Error;
use crate::guard::Watch;
use crate::usage::estimate::TextCount;
use crate::wire::bridge::{Bridge, Events};
use crate::wire::edge::kept::Keeper;
use crate::wire::edge::{Done, Own, Rounds, Waits};
use crate::wire::frames::{Frames, Framing};
use crate::wire::json::Str;
use crate::wire::resume::Prefill;
use crate::wire::sse::{Frame, Sink};
use crate::wire::watch::{Alike, Glance};
use crate::wire::{Client, Decode, Dialect, Encode, Quirks, ir, stream_decoder, stream_encoder, watch};

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
    last: Last,
}

/// The event before, if it gave a text and nothing else.
#[derive(Default)]
struct Last {
    alike: Alike,
    name: String,
    index: u32,
    is_reasoning: bool,
}

/// All behind the decoder.
struct Writer {
    client: Dialect,
    encoder: Box<dyn Encode>,
    /// A local count of the prompt, for upstreams that never say.
    input_estimate_tokens: u64,
    hold: HoldBack,
    progress: Progress,
    /// Kept where the answer may go on elsewhere.
    record: Option<Box<Record>>,
    /// Where the answer of another upstream is a part of this one.
    join: Option<Box<Join>>,
    /// Where the gateway runs tools of its own.
    rounds: Option<Box<Rounds>>,
    /// Guards that look at what is said.
    filter: Option<Box<Filter>>,
    /// The answer broke, and the client has not been told.
    is_broken: bool,
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
        it.stage.writer.client = bridge.client;
        it.stage.writer.input_estimate_tokens = client.input_estimate_tokens;
        it
    }

    /// Keeps what is said, so that the answer may go on elsewhere.
    #[must_use]
    pub fn recorded(mut self) -> Self {
        self.stage.writer.record = Some(Box::default());
        self
    }

    /// Keeps back calls of the gateway's own tools. A round is at most so long.
    #[must_use]
    pub fn in_rounds(mut self, own: Own, most_bytes: usize) -> Self {
        self.stage.writer.rounds = Some(Box::new(Rounds::new(own, most_bytes)));
        self
    }

    /// Has guards look at what is said before the client gets it.
    #[must_use]
    pub fn guarded(mut self, watch: Watch) -> Self {
        self.stage.writer.filter = Some(Box::new(Filter::new(watch)));
        self
    }

    /// Of parts, for a client that takes server-sent events.
    pub fn of(frames: Frames, decoder: Box<dyn Decode>, encoder: Box<dyn Encode>) -> Self {
        let writer = Writer {
            client: Dialect::OpenAiChat,
            encoder,
            input_estimate_tokens: 0,
            hold: HoldBack::default(),
            progress: Progress::default(),
            record: None,
            join: None,
            rounds: None,
            filter: None,
            is_broken: false,
        };
        Self { frames, stage: Stage { decoder, events: None, writer, last: Last::default() } }
    }
}

impl Pipe for Translator {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let stage = &mut self.stage;
        let heard = stage.writer.rounds.as_mut().map_or(Ok(()), |rounds| rounds.heard(chunk.len()));
        let result = heard.and_then(|()| self.frames.push_to(chunk, &mut Staging { stage, out }));
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
        let writer = &mut self.stage.writer;
        if writer.waits() {
            // It is the next round that fails.
            writer.next_round(None);
        }
        writer.event(&ir::Event::Error(error), out);
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

    fn is_open(&self) -> bool {
        let writer = &self.stage.writer;
        writer.is_broken || self.progress().ending.is_none() || writer.waits()
    }

    fn said(&self) -> Option<Said> {
        let writer = &self.stage.writer;
        writer.record.as_ref().filter(|_| writer.is_broken)?.said()
    }

    fn resume(&mut self, next: &Next<'_>) {
        let Some(said) = self.said() else { return };
        self.frames = Frames::new(next.framing);
        self.stage.decoder = stream_decoder(next.bridge.upstream, next.quirks);
        self.stage.events = Some(next.bridge.events());
        self.stage.last.alike.forget();
        self.stage.writer.resume(&said, next);
    }

    fn waits(&self) -> bool {
        self.stage.writer.waits()
    }

    fn waits_for(&self) -> Option<Waits> {
        self.stage.writer.rounds.as_ref()?.waits_for()
    }

    fn next_round(&mut self, next: &Next<'_>, guards: Option<&Watch>) {
        self.frames = Frames::new(next.framing);
        self.stage.decoder = stream_decoder(next.bridge.upstream, next.quirks);
        self.stage.events = Some(next.bridge.events());
        self.stage.last.alike.forget();
        self.stage.writer.next_round(guards);
    }

    fn executed(&mut self, tools: &str) {
        self.stage.writer.encoder.executed(tools);
    }

    fn release(&mut self, done: &[Done], keeper: Keeper<'_>, out: &mut Vec<u8>) {
        self.stage.writer.of_rounds(out, |rounds, show| rounds.release(done, keeper, show));
    }

    fn settle(&mut self, out: &mut Vec<u8>) {
        self.stage.writer.of_rounds(out, Rounds::settle);
        self.stage.writer.is_broken = false;
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.stage.writer.close(out);
    }

    fn note(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.is_open() {
            aside::note(self.stage.writer.client, text, out);
        }
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        if self.is_open() {
            aside::keep_alive(self.stage.writer.client, out);
        }
    }
}

/// The stage, and where it writes.
struct Staging<'s> {
    stage: &'s mut Stage,
    out: &'s mut Vec<u8>,
}

impl Sink for Staging<'_> {
    fn frame(&mut self, frame: Frame<'_>) {
        self.stage.frame(frame, self.out);
    }

    fn known(&mut self, bytes: &[u8]) -> usize {
        self.stage.alike(bytes, self.out)
    }
}

impl Stage {
    /// Takes the events that differ from the last one by their text alone: so many bytes.
    fn alike(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let Self { events, writer, last, .. } = self;
        let mut rest = bytes;
        while writer.progress.ending.is_none()
            && let Some((text, behind)) = last.next(rest)
        {
            writer.progress.events = writer.progress.events.saturating_add(1);
            give(events, writer, &last.event(text), out);
            rest = behind;
        }
        bytes.len() - rest.len()
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let Some(data) = frame.data else { return };
        let Self { decoder, events, writer, last } = self;
        writer.progress.heard(&frame);
        if writer.progress.ending.is_some() {
            return;
        }
        if let Some(text) = last.repeated(frame.name, data) {
            return give(events, writer, &last.event(text), out);
        }
        let mut seen = Seen::default();
        decoder.event(frame.name, data, &mut |event| {
            seen.note(event);
            give(events, writer, event, out);
        });
        // The last that is named is the one that holds.
        if let Some(tier) = decoder.service_tier().filter(|tier| writer.progress.service_tier.as_deref() != Some(tier))
        {
            writer.progress.service_tier = Some(tier.to_owned());
        }
        writer.progress.has_stopped |= decoder.has_stopped();
        if writer.progress.has_stopped {
            writer.progress.advice = decoder.advice().to_vec();
        }
        last.alike.forget();
        if decoder.repeats() {
            last.learn(&frame, data, &seen);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let Self { decoder, events, writer, .. } = self;
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

fn give(events: &mut Option<Events>, writer: &mut Writer, event: &ir::Event<'_>, out: &mut Vec<u8>) {
    match events {
        Some(events) => events.event(event, &mut |event| writer.event(event, out)),
        None => writer.event(event, out),
    }
}

/// What one event of the upstream's gave.
#[derive(Default)]
struct Seen {
    events: u32,
    /// Of the text: its part, whether it is reasoning, and where it stands.
    text: Option<(u32, bool, usize)>,
}

impl Seen {
    fn note(&mut self, event: &ir::Event<'_>) {
        self.events = self.events.saturating_add(1);
        if let ir::Event::Delta { index, delta: ir::Delta::Text(text) } = event {
            self.text = Some((*index, false, text.raw().as_ptr().addr()));
        } else if let ir::Event::Delta { index, delta: ir::Delta::Reasoning(text) } = event {
            self.text = Some((*index, true, text.raw().as_ptr().addr()));
        }
    }
}

impl Last {
    /// The text of an event that is as the last one but for it. An empty one may be nothing at all.
    fn repeated<'e>(&self, name: &str, data: &'e str) -> Option<Str<'e>> {
        self.alike.literal(data).filter(|text| !text.is_empty() && self.name == name)
    }

    /// The same of the event that a stream goes on with, and what is left of the stream.
    fn next<'e>(&self, stream: &'e [u8]) -> Option<(Str<'e>, &'e [u8])> {
        self.alike.next_literal(stream).filter(|(text, _)| !text.is_empty())
    }

    fn event<'e>(&self, text: Str<'e>) -> ir::Event<'e> {
        let delta = if self.is_reasoning { ir::Delta::Reasoning(text) } else { ir::Delta::Text(text) };
        ir::Event::Delta { index: self.index, delta }
    }

    fn learn(&mut self, frame: &Frame<'_>, data: &str, seen: &Seen) {
        let (1, Some((index, is_reasoning, address))) = (seen.events, seen.text) else { return };
        if !self.alike.may_learn() {
            return;
        }
        self.alike.learn_in(frame.raw, data, &Glance::at(data));
        // It has to be the very string that was given on.
        if self.alike.literal(data).is_none_or(|text| text.raw().as_ptr().addr() != address) {
            return self.alike.forget();
        }
        (self.index, self.is_reasoning) = (index, is_reasoning);
        self.name.clear();
        self.name.push_str(frame.name);
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
        if matches!(event, ir::Event::End) && self.progress.counted().is_none() {
            let (usage, _) = self.progress.account(self.input_estimate_tokens);
            self.encode(&ir::Event::Usage(usage), out);
        }
        self.encode(event, out);
    }

    fn encode(&mut self, event: &ir::Event<'_>, out: &mut Vec<u8>) {
        if matches!(event, ir::Event::Error(_)) {
            // Before the first byte an error is the caller's to render, or to mend elsewhere.
            if !self.hold.is_committed() {
                return;
            }
            let is_over = self.filter.as_ref().is_some_and(|filter| filter.is_blocked());
            self.is_broken = !is_over && self.can_go_on();
            if self.is_broken {
                return;
            }
        }
        self.write(event, out);
    }

    fn write(&mut self, event: &ir::Event<'_>, out: &mut Vec<u8>) {
        let Self { encoder, record, join, rounds, filter, hold, .. } = self;
        let target = hold.target(out);
        let mut show = |event: &ir::Event<'_>| match filter.as_mut() {
            Some(filter) => filter.event(event, &mut |event| encoder.event(event, target)),
            None => encoder.event(event, target),
        };
        let mut tell = |event: &ir::Event<'_>| {
            record.iter_mut().for_each(|record| record.observe(event));
            match rounds.as_mut() {
                Some(rounds) => rounds.event(event, &mut show),
                None => show(event),
            }
        };
        match join {
            Some(join) => join.event(event, &mut tell),
            None => tell(event),
        }
        hold.commit_if_full(out);
    }

    fn resume(&mut self, said: &Said, next: &Next<'_>) {
        let Some(record) = &self.record else { return };
        let share = self.progress.account(self.input_estimate_tokens);
        let told = self.join.as_ref().map_or(share.0, |join| join.sum(share.0));
        // Anthropic's clients get no thought without a proof.
        let proof = (self.client == Dialect::Anthropic).then(|| next.bridge.no_proof());
        let echoes = Prefill::echoes(next.quirks);
        self.join = Some(Box::new(Join::new(record, said, echoes, proof, told)));
        let mut earlier = std::mem::take(&mut self.progress.earlier);
        earlier.push(share);
        self.progress = Progress { earlier, told_tokens: said.output_tokens(), ..Progress::default() };
        self.is_broken = false;
    }

    /// The answer has ended, and is not over for the client.
    fn waits(&self) -> bool {
        self.rounds.as_ref().is_some_and(|rounds| rounds.is_over())
    }

    /// Shows the client what its rounds have kept back.
    fn of_rounds(&mut self, out: &mut Vec<u8>, give: impl FnOnce(&mut Rounds, &mut dyn FnMut(&ir::Event<'_>))) {
        let Self { rounds, filter, encoder, hold, .. } = self;
        let target = hold.target(out);
        let mut show = |event: &ir::Event<'_>| match filter.as_mut() {
            Some(filter) => filter.event(event, &mut |event| encoder.event(event, target)),
            None => encoder.event(event, target),
        };
        if let Some(rounds) = rounds {
            give(rounds, &mut show);
        }
    }

    fn next_round(&mut self, guards: Option<&Watch>) {
        let Some(rounds) = &mut self.rounds else { return };
        rounds.go_on(guards);
        let watch = guards.map(Watch::of_answer).filter(Watch::is_needed);
        match (&mut self.filter, watch) {
            (Some(filter), Some(watch)) => filter.go_on(watch),
            (none @ None, Some(watch)) => *none = Some(Box::new(Filter::new(watch))),
            (_, None) => {}
        }
        self.progress = Progress::default();
        self.is_broken = false;
    }

    /// Whether another upstream can go on with the answer, or be asked for its round.
    fn can_go_on(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.can_go_on())
            || self.rounds.as_ref().is_some_and(|rounds| rounds.may_be_asked_again())
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_broken)
            && let Some(error) = self.progress.ending.as_ref().and_then(Ending::error).cloned()
        {
            self.write(&ir::Event::Error(error), out);
        }
    }

    /// Takes note of an event; says whether the answer has begun with it.
    fn observe(&mut self, event: &ir::Event<'_>) -> bool {
        let progress = &mut self.progress;
        match event {
            ir::Event::Start { usage, service_tier, model, .. } => {
                progress.opening_usage = usage.or(progress.opening_usage);
                progress.service_tier = service_tier.as_ref().map(|tier| tier.text().into_owned());
                progress.model = model.as_ref().and_then(watch::name);
                return false;
            }
            ir::Event::Ping => return false,
            ir::Event::PartStart { .. } => progress.has_content = true,
            ir::Event::Delta { delta, .. } => count(delta, &mut progress.output),
            ir::Event::PartEnd { .. } => {}
            // By itself it begins nothing: an answer that broke off at once may have its counts.
            ir::Event::Usage(usage) => {
                progress.usage = Some(*usage);
                return false;
            }
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
