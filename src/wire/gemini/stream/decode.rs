//! An upstream's stream, read.

use super::partial;
use crate::error::{Error, Kind, Result};
use crate::usage::tokens::Usage;
use crate::wire::gemini::part::{self, CallFields, Calls, Fields};
use crate::wire::gemini::response::{self, Body, CANDIDATE, Candidate};
use crate::wire::gemini::{error, logprobs, usage};
use crate::wire::ir::{At, Delta, Event, PartKind, PartStart, Stop, StopReason};
use crate::wire::json::{self, Json, Obj, Raw, Rest, Str};
use crate::wire::lenient::{count, filled, is_object, items, read, text};
use crate::wire::{Decode, Quirks};

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

/// More answers than this in one stream are none.
const MAX_CANDIDATES: usize = 128;

/// Where the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Before,
    Running,
    Over,
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    phase: Phase,
    next_index: u32,
    calls: Calls,
    candidates: Vec<State>,
    usage: Option<Usage>,
    /// The last that was named.
    tier: Option<String>,
}

/// One answer of the stream.
#[derive(Debug)]
struct State {
    choice: u32,
    open: Option<Open>,
    called: bool,
    /// The last reason to stop; what it means depends on all that was called.
    stop: Option<Stop<'static>>,
    /// Of this chunk, until its text comes.
    logprobs: Option<Raw<'static>>,
    /// What the candidate has beyond its content: the last of each.
    aside: Vec<(String, String)>,
}

/// The part that may go on.
#[derive(Debug)]
struct Open {
    index: u32,
    kind: Going,
}

#[derive(Debug)]
enum Going {
    Text,
    Thought,
    /// A call whose arguments come in pieces.
    Call(partial::Arguments),
}

impl Decoder {
    pub fn new(_quirks: &Quirks) -> Self {
        Self::default()
    }

    fn start(&mut self, body: &Body<'_>, data: &str, sink: &mut Sink<'_>) {
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Running;
        let id = text(body.id);
        self.calls = Calls::of(id.as_ref(), data);
        let (model, service_tier) = (text(body.model), usage::tier(body.usage));
        sink(&Event::Start { id, model, created: None, usage: usage::decode(body.usage), service_tier });
    }

    fn chunk(&mut self, body: &Body<'_>, data: &str, sink: &mut Sink<'_>) {
        self.start(body, data, sink);
        // Each chunk counts all so far: what is known when a stream breaks off.
        if let Some(usage) = usage::decode(body.usage).filter(|usage| self.usage != Some(*usage)) {
            self.usage = Some(usage);
            sink(&Event::Usage(usage));
        }
        if let Some(tier) = usage::tier(body.usage).filter(|tier| self.tier.as_deref() != Some(tier.escaped())) {
            self.tier = Some(tier.text().into_owned());
        }
        for raw in items(body.candidates) {
            if let Some(candidate) = read::<Candidate<'_>>(Some(raw))
                && let Err(error) = self.candidate(&candidate, sink)
            {
                return self.fail(error, sink);
            }
        }
        if let Some((stop, message)) = response::block(body.feedback).filter(|_| self.candidates.is_empty()) {
            let mut state = State::new(0);
            if let Some(message) = message {
                let index = self.index();
                sink(&Event::PartStart { index, choice: 0, part: PartStart::Refusal });
                sink(&Event::Delta { index, delta: Delta::Refusal(message) });
                sink(&Event::PartEnd { index });
            }
            state.stop = Some(owned(&stop));
            self.candidates.push(state);
        }
    }

    fn candidate(&mut self, candidate: &Candidate<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let choice = count(candidate.index).and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        let known = self.candidates.iter().position(|state| state.choice == choice);
        if known.is_none() && self.candidates.len() == MAX_CANDIDATES {
            return Ok(());
        }
        // Taken out while its parts are read, for they need the decoder too.
        let mut state = known.map_or_else(|| State::new(choice), |at| self.candidates.swap_remove(at));
        state.logprobs = logprobs::decode(&candidate.rest);
        for raw in response::content_parts(candidate.content) {
            self.part(raw, &mut state, sink);
        }
        if let Some(error) = response::broken(candidate, state.called) {
            return Err(error);
        }
        if let Some(stop) = response::stop_of(candidate.reason, state.called) {
            state.stop = Some(owned(&stop));
        }
        state.note(&candidate.rest);
        self.candidates.push(state);
        Ok(())
    }

    fn part(&mut self, raw: Json<'_>, state: &mut State, sink: &mut Sink<'_>) {
        let fields: Fields<'_> = read(Some(raw)).unwrap_or_default();
        if is_object(fields.call) {
            return self.call(&fields, state, sink);
        }
        let mut parts = Vec::new();
        match part::is_own_media(&fields) {
            true => parts.push(part::whole(raw, At::default(), &fields)),
            false => part::decode(raw, At::default(), &mut self.calls, &mut parts),
        }
        let is_signed = parts.len() > 1;
        for part in &parts {
            match &part.kind {
                PartKind::Reasoning { text, signature } => {
                    self.thought(text, signature.as_ref(), state, sink);
                }
                PartKind::Text { text, .. } => {
                    self.say(text, state, sink);
                    // A text with a signature is not to grow: they belong together.
                    if is_signed {
                        state.close(sink);
                    }
                }
                PartKind::Image { media, .. } => self.whole(PartStart::Image { media: media.clone() }, state, sink),
                PartKind::Other { tag, json } => {
                    self.whole(PartStart::Other { tag: tag.clone(), json: json.clone() }, state, sink);
                }
                _ => {}
            }
        }
    }

    /// A part without deltas.
    fn whole(&mut self, part: PartStart<'_>, state: &mut State, sink: &mut Sink<'_>) {
        state.close(sink);
        let index = self.index();
        sink(&Event::PartStart { index, choice: state.choice, part });
        sink(&Event::PartEnd { index });
    }

    fn say(&mut self, text: &Str<'_>, state: &mut State, sink: &mut Sink<'_>) {
        if text.is_empty() {
            return;
        }
        let index = match &state.open {
            Some(Open { index, kind: Going::Text }) => *index,
            _ => self.open(Going::Text, PartStart::Text, state, sink),
        };
        if let Some(logprobs) = state.logprobs.take() {
            sink(&Event::Delta { index, delta: Delta::Logprobs(logprobs) });
        }
        sink(&Event::Delta { index, delta: Delta::Text(text.clone()) });
    }

    /// A thought, or a signature alone; a signature ends what it signs.
    fn thought(&mut self, text: &Str<'_>, signature: Option<&Str<'_>>, state: &mut State, sink: &mut Sink<'_>) {
        if text.is_empty() && signature.is_none() {
            return;
        }
        let index = match &state.open {
            Some(Open { index, kind: Going::Thought }) if !text.is_empty() => *index,
            _ => self.open(Going::Thought, PartStart::Reasoning, state, sink),
        };
        if !text.is_empty() {
            sink(&Event::Delta { index, delta: Delta::Reasoning(text.clone()) });
        }
        if let Some(signature) = signature {
            sink(&Event::Delta { index, delta: Delta::Signature(signature.clone()) });
            state.close(sink);
        }
    }

    /// A call, whole or the beginning of one; one without a name goes on with the last.
    fn call(&mut self, fields: &Fields<'_>, state: &mut State, sink: &mut Sink<'_>) {
        let call: CallFields<'_> = read(fields.call).unwrap_or_default();
        let goes_on = call.will_continue.is_some_and(|raw| raw.get() == "true");
        if let Some(name) = filled(call.name) {
            if let Some(signature) = part::signature(fields.signature) {
                self.thought(&Str::from_text(""), Some(&signature), state, sink);
            }
            let id = self.calls.call(filled(call.id), &name);
            let start = PartStart::ToolCall { id, name, custom: false };
            state.called = true;
            let index = self.open(Going::Call(partial::Arguments::default()), start, state, sink);
            if let Some(args) = call.args {
                sink(&Event::Delta { index, delta: Delta::Arguments(Str::from_text(args.get())) });
                sink(&Event::PartEnd { index });
                state.open = None;
                return;
            }
        }
        if let Some(Open { kind: Going::Call(arguments), .. }) = &mut state.open {
            arguments.take(call.partial);
            if !goes_on {
                state.close(sink);
            }
        }
    }

    fn open(&mut self, kind: Going, part: PartStart<'_>, state: &mut State, sink: &mut Sink<'_>) -> u32 {
        state.close(sink);
        let index = self.index();
        sink(&Event::PartStart { index, choice: state.choice, part });
        state.open = Some(Open { index, kind });
        index
    }

    fn index(&mut self) -> u32 {
        let index = self.next_index;
        self.next_index = index.saturating_add(1);
        index
    }

    fn fail(&mut self, error: Error, sink: &mut Sink<'_>) {
        self.phase = Phase::Over;
        sink(&Event::Error(error));
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        self.phase = Phase::Over;
        let mut states = std::mem::take(&mut self.candidates);
        states.sort_by_key(|state| state.choice);
        for state in &mut states {
            state.close(sink);
            if let Some(json) = state.aside_json() {
                let (index, tag) = (self.index(), Str::from_text(CANDIDATE));
                let part = PartStart::Other { tag, json: Raw::owned(json) };
                sink(&Event::PartStart { index, choice: state.choice, part });
                sink(&Event::PartEnd { index });
            }
        }
        for state in &states {
            let mut stop = state.stop.clone().unwrap_or_else(|| Stop::of(StopReason::EndTurn));
            if stop.reason == StopReason::EndTurn && state.called {
                stop.reason = StopReason::ToolUse;
            }
            sink(&Event::Stop { choice: state.choice, stop });
        }
        sink(&Event::End);
    }
}

impl State {
    fn new(choice: u32) -> Self {
        Self { choice, open: None, called: false, stop: None, logprobs: None, aside: Vec::new() }
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        let Some(open) = self.open.take() else { return };
        if let Going::Call(arguments) = &open.kind {
            let delta = Delta::Arguments(Str::from_text(&arguments.json()));
            sink(&Event::Delta { index: open.index, delta });
        }
        sink(&Event::PartEnd { index: open.index });
    }

    fn note(&mut self, rest: &Rest<'_>) {
        const MOST: usize = 64;
        for (name, value) in rest {
            let has_room = self.aside.len() < MOST;
            match self.aside.iter_mut().find(|(own, _)| own == name) {
                Some((_, own)) => value.get().clone_into(own),
                None if has_room => self.aside.push((name.to_string(), value.get().to_owned())),
                None => {}
            }
        }
    }

    fn aside_json(&self) -> Option<String> {
        if self.aside.is_empty() {
            return None;
        }
        let mut out = Vec::new();
        {
            let mut object = Obj::new(&mut out);
            self.aside.iter().for_each(|(name, value)| _ = object.raw(name, value));
        }
        String::from_utf8(out).ok()
    }
}

impl Decode for Decoder {
    fn event(&mut self, _name: &str, data: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        let data = data.trim();
        if self.phase == Phase::Over || data.is_empty() || data == "[DONE]" {
            return;
        }
        match json::parse::<Body<'_>>(data) {
            Ok(body) if is_object(body.error) => self.fail(error::decode_in_band(data), sink),
            Ok(body) => self.chunk(&body, data, sink),
            Err(e) => {
                let error = Error::new(Kind::UpstreamFailed, "the provider's stream cannot be read");
                self.fail(error.with_unreadable(&e), sink);
            }
        }
    }

    fn service_tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&Event<'_>)) {
        if self.phase == Phase::Over {
            return;
        }
        let has_stopped = !self.candidates.is_empty() && self.candidates.iter().all(|state| state.stop.is_some());
        if has_stopped {
            return self.end(sink);
        }
        self.fail(Error::new(Kind::UpstreamFailed, "the provider cut the stream"), sink);
    }
}

fn owned(stop: &Stop<'_>) -> Stop<'static> {
    let own = |text: &Option<Str<'_>>| text.clone().map(Str::into_owned);
    Stop { reason: stop.reason, sequence: own(&stop.sequence), native: own(&stop.native) }
}
