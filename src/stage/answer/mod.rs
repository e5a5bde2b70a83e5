//! The upstream's bytes to the client's, chunk by chunk, counting as they pass.

mod whole;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use self::whole::Whole;
use super::accept::Endpoint;
use super::account;
use super::guard::Guarded;
use super::parse::Parsed;
use super::passed::{self, Passed};
use super::route::Target;
use super::translate::Prepared;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::usage::tokens::{Advice, Usage, UsageSource};
use crate::wire::bridge::Bridge;
use crate::wire::edge::kept::Keeper;
use crate::wire::edge::{Done, Own, Waits};
use crate::wire::gemini::array::AsArray;
use crate::wire::owned::{self, Owner};
use crate::wire::stream::{Around, Ending, Next, Pipe, Said, Translator, aside};
use crate::wire::watch::{StreamWatch, Watch};
use crate::wire::{Client, Dialect, websocket};

/// A refusal longer than this is cut.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// The answer of one attempt.
#[derive(Debug)]
pub struct Answer {
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// Its head has not come yet, or it passes unseen.
    Unseen,
    /// A refusal that passes: held, and cleaned of the provider's credential.
    Refusal {
        held: BytesMut,
        secrets: Vec<Secret>,
    },
    Whole(Box<Whole>),
    Stream(Box<dyn Pipe>),
    /// In a format that is nobody's here.
    Passed(Box<Passed>),
    /// The messages of a realtime session: read as they pass.
    Session(Box<websocket::Reader>),
}

/// What of the exchange the answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    pub target: &'c Target,
    pub prepared: &'c Prepared,
    pub parsed: &'c Parsed,
    /// The client's own request.
    pub body: &'c Bytes,
    /// The request id.
    pub request_id: &'c str,
    /// For answers whose upstream gave no id: the request id, without dashes.
    pub id: &'c str,
    /// Unix seconds.
    pub created: u64,
    pub max_bytes: usize,
    /// Answers to the bodies that were asked before.
    pub earlier: &'c [Bytes],
    /// Who may come back to the answer, where the provider keeps it.
    pub owner: Option<&'c Owner>,
    /// Another target may go on with the answer where it breaks: it is recorded, and translated for
    /// that also where the formats agree.
    pub resumable: bool,
    /// What of it is for the gateway's own tools.
    pub own: Option<&'c Own>,
    /// Those that look at it; its stream is translated for that.
    pub guards: Option<&'c Guarded>,
}

impl Answer {
    /// Before the head, or for what passes unseen.
    pub fn unseen() -> Self {
        Self { mode: Mode::Unseen }
    }

    /// For a refusal that passes in the provider's own words.
    pub fn refusal(secrets: Vec<Secret>) -> Self {
        Self { mode: Mode::Refusal { held: BytesMut::new(), secrets } }
    }

    /// For an answer that comes in one piece.
    pub fn whole(context: Context<'_>) -> Self {
        Self { mode: Mode::Whole(Box::new(Whole::new(context))) }
    }

    /// For a stream.
    pub fn stream(context: Context<'_>) -> Self {
        let (prepared, parsed, target) = (context.prepared, context.parsed, context.target);
        let (quirks, seal) = (&target.deployment.quirks, &target.deployment.seal);
        // Behind the id of a kept answer is only what its provider said of it.
        let is_recordable =
            prepared.endpoint.generation().is_some() && context.owner.is_none() && context.own.is_none();
        let recorded = context.resumable && parsed.choices == 1 && is_recordable;
        let plain = || Arc::new(Bridge::plain(prepared.dialect, prepared.dialect, seal));
        let watch = context.guards.and_then(Guarded::of_answer);
        let is_formed = context.own.is_some_and(|own| own.form.is_some());
        let bridge = prepared.bridge.clone().or_else(|| (recorded || watch.is_some() || is_formed).then(plain));
        let pipe: Box<dyn Pipe> = if let Some(bridge) = &bridge {
            let client = Client {
                created: context.created,
                stream_usage: parsed.stream_usage,
                input_estimate_tokens: parsed.input_estimate_tokens,
                request: simdutf8::basic::from_utf8(context.body).unwrap_or_default(),
                completes: prepared.endpoint == Endpoint::Completions,
                ..Client::of(&target.model, context.id, seal)
            };
            let translator = Translator::new(bridge, prepared.framing, quirks, &client);
            let translator = if recorded { translator.recorded() } else { translator };
            let translator = match context.own {
                Some(own) => translator.in_rounds(own.clone(), context.max_bytes),
                None => translator,
            };
            Box::new(match watch {
                Some(watch) => translator.guarded(watch),
                None => translator,
            })
        } else {
            let watch = StreamWatch::new(&Watch {
                dialect: prepared.dialect,
                framing: prepared.framing,
                quirks,
                strip_usage_chunk: !parsed.stream_usage,
                choices: parsed.choices,
                request_id: context.request_id,
            });
            let is_asked = prepared.dialect == Dialect::OpenAiChat && parsed.stream_usage;
            Box::new(if is_asked { watch.telling(parsed.input_estimate_tokens) } else { watch })
        };
        let pipe = match context.owner {
            Some(owner) => Box::new(Around::new(pipe, owned::Events::new(owner.clone()))),
            None => pipe,
        };
        let pipe = if parsed.array { Box::new(Around::new(pipe, AsArray::default())) } else { pipe };
        Self { mode: Mode::Stream(pipe) }
    }

    /// For what passes in its own format.
    pub fn passed(passed: Passed) -> Self {
        Self { mode: Mode::Passed(Box::new(passed)) }
    }

    /// For the messages of a realtime session.
    pub fn session() -> Self {
        Self { mode: Mode::Session(Box::default()) }
    }

    pub fn is_stream(&self) -> bool {
        match &self.mode {
            Mode::Stream(_) => true,
            Mode::Passed(passed) => passed.is_stream(),
            _ => false,
        }
    }

    fn pipe(&self) -> Option<&dyn Pipe> {
        let Mode::Stream(pipe) = &self.mode else { return None };
        Some(pipe.as_ref())
    }

    /// The head of what passes.
    pub fn passed_head(&self) -> Option<&passed::Head> {
        let Mode::Passed(passed) = &self.mode else { return None };
        Some(passed.head())
    }

    /// Takes an upstream chunk, leaves the client's. `end` comes once, with or without bytes.
    pub fn chunk(&mut self, chunk: &mut Option<Bytes>, end: bool) -> Result<()> {
        match &mut self.mode {
            Mode::Unseen => Ok(()),
            Mode::Refusal { held, secrets } => {
                let piece = chunk.take().unwrap_or_default();
                let room = MAX_REFUSAL_BYTES.saturating_sub(held.len()).min(piece.len());
                held.extend_from_slice(piece.get(..room).unwrap_or_default());
                if end {
                    let text = String::from_utf8_lossy(held);
                    *chunk = Some(Bytes::from(account::redact(&text, secrets).into_owned()));
                }
                Ok(())
            }
            Mode::Whole(whole) => whole.chunk(chunk, end),
            Mode::Passed(passed) => passed.chunk(chunk, end),
            Mode::Session(reader) => {
                reader.push(chunk.as_deref().unwrap_or_default());
                Ok(())
            }
            Mode::Stream(pipe) => {
                let mut out = Vec::new();
                if let Some(bytes) = chunk.take() {
                    out.reserve(bytes.len());
                    pipe.push(&bytes, &mut out);
                }
                if end {
                    pipe.finish(&mut out);
                }
                *chunk = (!out.is_empty()).then(|| Bytes::from(out));
                Ok(())
            }
        }
    }

    /// What was said of a stream that broke and may go on elsewhere: by [`resume`](Self::resume), else
    /// by [`close`](Self::close).
    pub fn said(&self) -> Option<Said> {
        self.pipe()?.said()
    }

    /// Whether a stream broke and may go on elsewhere, or be asked for once more in its round.
    pub fn is_broken(&self) -> bool {
        self.error().is_some() && self.pipe().is_some_and(|pipe| pipe.is_open())
    }

    /// Whether a stream has had its format's last event: what follows is none of the answer.
    pub fn is_complete(&self) -> bool {
        self.pipe().is_some_and(|pipe| matches!(pipe.progress().ending, Some(Ending::Complete)))
    }

    /// Whether the upstream that is asked now has said anything.
    pub fn has_begun(&self) -> bool {
        self.pipe().is_none_or(|pipe| pipe.progress().has_content || pipe.progress().has_stopped)
    }

    /// Goes on with the answer of a target that was asked by
    /// [`prepare_continued`](super::translate::prepare_continued).
    pub fn resume(&mut self, prepared: &Prepared, target: &Target) {
        if let (Mode::Stream(pipe), Some(bridge)) = (&mut self.mode, &prepared.bridge) {
            pipe.resume(&Next { bridge, framing: prepared.framing, quirks: &target.deployment.quirks });
        }
    }

    /// Whether the answer is over for its provider and not for the client.
    pub fn waits(&self) -> bool {
        match &self.mode {
            Mode::Stream(pipe) => pipe.waits(),
            Mode::Whole(whole) => whole.waiting.is_some(),
            _ => false,
        }
    }

    /// What for.
    pub fn waits_for(&self) -> Option<Waits> {
        match &self.mode {
            Mode::Stream(pipe) => pipe.waits_for(),
            Mode::Whole(whole) => whole.waiting.as_ref().map(|(waits, _)| waits.clone()),
            _ => None,
        }
    }

    /// A stream goes on with the answer to that, or with another one where that broke before the client had
    /// anything of it.
    pub fn next_round(&mut self, prepared: &Prepared, target: &Target, guards: Option<&Guarded>) {
        if let (Mode::Stream(pipe), Some(bridge)) = (&mut self.mode, &prepared.bridge) {
            let next = Next { bridge, framing: prepared.framing, quirks: &target.deployment.quirks };
            pipe.next_round(&next, guards.map(Guarded::watch));
        }
    }

    /// Has a stream's end tell of the gateway's tools that were run: a list, as JSON.
    pub fn executed(&mut self, tools: &str) {
        self.written(|pipe, _| pipe.executed(tools));
    }

    /// Ends an answer that waits with what is the client's of it; what was done beside its calls goes with
    /// them.
    pub fn release(&mut self, done: &[Done], keeper: Keeper<'_>) -> Result<Bytes> {
        match &mut self.mode {
            Mode::Whole(whole) => whole.release(done, keeper),
            _ => Ok(self.written(|pipe, out| pipe.release(done, keeper, out))),
        }
    }

    /// Ends an answer that was not what was asked for, and for which there is no better one.
    pub fn settle(&mut self) -> Result<Bytes> {
        match &mut self.mode {
            Mode::Whole(whole) => whole.settle(),
            _ => Ok(self.written(|pipe, out| pipe.settle(out))),
        }
    }

    /// Ends a stream that broke and goes on nowhere.
    pub fn close(&mut self) -> Bytes {
        self.written(|pipe, out| pipe.close(out))
    }

    /// A comment, where the client's format takes one.
    pub fn note(&mut self, text: &str) -> Bytes {
        self.written(|pipe, out| pipe.note(text, out))
    }

    /// The same before anything of an answer is there.
    pub fn sign_of_life(client: Dialect, array: bool) -> Bytes {
        let mut out = Vec::new();
        match array {
            true => out.push(b'\n'),
            false => aside::keep_alive(client, &mut out),
        }
        Bytes::from(out)
    }

    /// What keeps the client's connection awake; empty where nothing may be written.
    pub fn keep_alive(&mut self) -> Bytes {
        self.written(|pipe, out| pipe.keep_alive(out))
    }

    fn written(&mut self, write: impl FnOnce(&mut dyn Pipe, &mut Vec<u8>)) -> Bytes {
        let mut out = Vec::new();
        if let Mode::Stream(pipe) = &mut self.mode {
            write(pipe.as_mut(), &mut out);
        }
        Bytes::from(out)
    }

    /// What is to be booked for the targets that a stream went on from, in their order.
    pub fn earlier(&self) -> &[(Usage, UsageSource)] {
        self.pipe().map_or(&[], |pipe| pipe.progress().earlier.as_slice())
    }

    /// Gives up on a stream; what comes back closes it for a client that has begun to read, unless
    /// it may go on elsewhere.
    pub fn fail(&mut self, error: Error) -> Bytes {
        self.written(|pipe, out| pipe.fail(error, out))
    }

    /// The error a stream ended with.
    pub fn error(&self) -> Option<&Error> {
        self.pipe()?.progress().ending.as_ref().and_then(Ending::error)
    }

    /// What was used, as far as it is known: the upstream's count, or what was seen, counted here.
    /// `None` before an answer began, and where nothing is counted.
    pub fn usage(&self, input_estimate_tokens: u64) -> Option<(Usage, UsageSource)> {
        match &self.mode {
            Mode::Unseen | Mode::Refusal { .. } => None,
            Mode::Whole(whole) => whole.usage,
            Mode::Passed(passed) => passed.usage(),
            Mode::Session(reader) => reader.usage().map(|usage| (usage, UsageSource::Reported)),
            Mode::Stream(pipe) => Some(pipe.progress().account(input_estimate_tokens)),
        }
    }

    /// The output that came of a whole answer before it broke, or that could not be read, counted here.
    pub fn tokens_so_far(&self) -> u64 {
        let Mode::Whole(whole) = &self.mode else { return 0 };
        whole.tokens_so_far()
    }

    /// Whether the model has stopped, as far as can be told: only counts may be to come.
    pub fn has_stopped(&self) -> bool {
        self.pipe().is_some_and(|pipe| pipe.progress().has_stopped)
    }

    /// Events that have come so far, pings aside; none where nobody looks.
    pub fn events_so_far(&self) -> Option<u64> {
        self.pipe().map(|pipe| pipe.progress().events)
    }

    /// The model that the answer says it is of.
    pub fn model(&self) -> Option<&str> {
        match &self.mode {
            Mode::Whole(whole) => whole.model.as_deref(),
            Mode::Stream(pipe) => pipe.progress().model.as_deref(),
            _ => None,
        }
    }

    /// Whether a whole answer says that it is not complete, beyond what a bound on tokens cut.
    pub fn is_unfinished(&self) -> bool {
        matches!(&self.mode, Mode::Whole(whole) if whole.is_unfinished)
    }

    /// What other models used that this one asked by itself.
    pub fn advice(&self) -> &[Advice] {
        match &self.mode {
            Mode::Whole(whole) => &whole.advice,
            Mode::Stream(pipe) => &pipe.progress().advice,
            _ => &[],
        }
    }

    /// The tier the answer says it was served in.
    pub fn service_tier(&self) -> Option<&str> {
        match &self.mode {
            Mode::Whole(whole) => whole.service_tier.as_deref(),
            Mode::Stream(pipe) => pipe.progress().service_tier.as_deref(),
            _ => None,
        }
    }
}
