//! The upstream's bytes to the client's, chunk by chunk, counting as they pass.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::accept::Endpoint;
use super::account;
use super::guard::{self, Guarded, Looks};
use super::parse::Parsed;
use super::passed::{self, Passed};
use super::route::Target;
use super::translate::{Prepared, Turn};
use crate::config::guards::Side;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::usage::estimate::TextCount;
use crate::usage::tokens::{Usage, UsageSource};
use crate::wire::bridge::Bridge;
use crate::wire::edge::kept::Keeper;
use crate::wire::edge::{self, Done, Own, Pending};
use crate::wire::gemini::array::AsArray;
use crate::wire::ir::Response;
use crate::wire::owned::{Owned, Owner};
use crate::wire::stream::{Ending, Next, Pipe, Said, Translator, aside};
use crate::wire::watch::{self, StreamWatch, Watch};
use crate::wire::{self, Client, Dialect, websocket};

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

/// An answer that is held until it is complete.
#[derive(Debug)]
struct Whole {
    held: BytesMut,
    max_bytes: usize,
    dialect: Dialect,
    quirks: wire::Quirks,
    endpoint: Endpoint,
    input_estimate_tokens: u64,
    /// What an encoder needs to know of the client; `None` where the bytes stay.
    reencode: Option<Reencode>,
    own: Option<Own>,
    /// What waits for the gateway's own tools, and the provider's answer.
    pending: Option<(Pending, Bytes)>,
    turned: Option<Turned>,
    /// Who may come back to it, where the provider keeps it.
    owner: Option<Owner>,
    watching: Option<Box<Watching>>,
    usage: Option<(Usage, UsageSource)>,
    service_tier: Option<String>,
    model: Option<String>,
}

/// Guards that look at it, and what a refusal in its place needs to know.
#[derive(Debug)]
struct Watching {
    watch: crate::guard::Watch,
    looks: Looks,
    model: String,
    id: String,
    created: u64,
    seal: wire::seal::Seal,
}

impl Watching {
    fn new(guarded: &Guarded, context: &Context<'_>) -> Option<Box<Self>> {
        Some(Box::new(Self {
            watch: guarded.of_answer()?,
            looks: guarded.looks(),
            model: context.target.model.clone(),
            id: context.id.to_owned(),
            created: context.created,
            seal: context.target.deployment.seal.clone(),
        }))
    }
}

#[derive(Debug)]
struct Reencode {
    bridge: Arc<Bridge>,
    model: String,
    id: String,
    created: u64,
    seal: wire::seal::Seal,
    request: Bytes,
}

/// Embeddings or a ranking, on its way into the client's shape.
#[derive(Debug)]
struct Turned {
    turn: Turn,
    model: String,
    id: String,
    request: Bytes,
    /// Answers to the bodies that were asked before.
    earlier: Vec<Bytes>,
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
        let (prepared, target) = (context.prepared, context.target);
        let reencode = prepared.bridge.as_ref().map(|bridge| Reencode {
            bridge: Arc::clone(bridge),
            model: target.model.clone(),
            id: context.id.to_owned(),
            created: context.created,
            seal: target.deployment.seal.clone(),
            request: context.body.clone(),
        });
        let turned = prepared.turn.map(|turn| Turned {
            turn,
            model: target.model.clone(),
            id: context.id.to_owned(),
            request: context.body.clone(),
            earlier: context.earlier.to_vec(),
        });
        let whole = Whole {
            held: BytesMut::new(),
            max_bytes: context.max_bytes,
            dialect: prepared.dialect,
            quirks: target.deployment.quirks,
            endpoint: prepared.endpoint,
            input_estimate_tokens: context.parsed.input_estimate_tokens,
            reencode,
            own: context.own.cloned(),
            pending: None,
            turned,
            owner: context.owner.cloned(),
            watching: context.guards.and_then(|guarded| Watching::new(guarded, &context)),
            usage: None,
            service_tier: None,
            model: None,
        };
        Self { mode: Mode::Whole(Box::new(whole)) }
    }

    /// For a stream.
    pub fn stream(context: Context<'_>) -> Self {
        let (prepared, parsed, target) = (context.prepared, context.parsed, context.target);
        let (quirks, seal) = (&target.deployment.quirks, &target.deployment.seal);
        // Behind the id of a kept answer is only what its provider said of it.
        let recorded = context.resumable && parsed.choices == 1 && context.owner.is_none() && context.own.is_none();
        let plain = || Arc::new(Bridge::plain(prepared.dialect, prepared.dialect, seal));
        let watch = context.guards.and_then(Guarded::of_answer);
        let bridge = prepared.bridge.clone().or_else(|| (recorded || watch.is_some()).then(plain));
        let pipe: Box<dyn Pipe> = if let Some(bridge) = &bridge {
            let client = Client {
                model: &target.model,
                id: context.id,
                created: context.created,
                stream_usage: parsed.stream_usage,
                input_estimate_tokens: parsed.input_estimate_tokens,
                request: simdutf8::basic::from_utf8(context.body).unwrap_or_default(),
                seal,
            };
            let translator = Translator::new(bridge, prepared.framing, quirks, &client);
            let translator = if recorded { translator.recorded() } else { translator };
            let translator = match context.own {
                Some(own) => translator.in_rounds(own.clone()),
                None => translator,
            };
            Box::new(match watch {
                Some(watch) => translator.guarded(watch),
                None => translator,
            })
        } else {
            Box::new(StreamWatch::new(&Watch {
                dialect: prepared.dialect,
                framing: prepared.framing,
                quirks,
                strip_usage_chunk: !parsed.stream_usage,
                choices: parsed.choices,
                request_id: context.request_id,
            }))
        };
        let pipe = match context.owner {
            Some(owner) => Box::new(Owned::new(pipe, owner.clone())),
            None => pipe,
        };
        let pipe = if parsed.array { Box::new(AsArray::new(pipe)) } else { pipe };
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

    /// Whether the gateway's own tools are waited for: the answer is not over for the client.
    pub fn waits(&self) -> bool {
        match &self.mode {
            Mode::Stream(pipe) => pipe.waits(),
            Mode::Whole(whole) => whole.pending.is_some(),
            _ => false,
        }
    }

    /// What waits for them.
    pub fn pending(&self) -> Option<Pending> {
        match &self.mode {
            Mode::Stream(pipe) => pipe.pending(),
            Mode::Whole(whole) => whole.pending.as_ref().map(|(pending, _)| pending.clone()),
            _ => None,
        }
    }

    /// A stream goes on with the answer to what they gave, or with another one where that broke before the
    /// client had anything of it.
    pub fn next_round(&mut self, prepared: &Prepared, target: &Target) {
        if let (Mode::Stream(pipe), Some(bridge)) = (&mut self.mode, &prepared.bridge) {
            pipe.next_round(&Next { bridge, framing: prepared.framing, quirks: &target.deployment.quirks });
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

    /// The tier the answer says it was served in.
    pub fn service_tier(&self) -> Option<&str> {
        match &self.mode {
            Mode::Whole(whole) => whole.service_tier.as_deref(),
            Mode::Stream(pipe) => pipe.progress().service_tier.as_deref(),
            _ => None,
        }
    }
}

fn malformed(detail: impl std::fmt::Display) -> Error {
    Error::new(Kind::UpstreamFailed, "the provider's answer could not be read").with_detail(detail)
}

impl Whole {
    fn chunk(&mut self, chunk: &mut Option<Bytes>, end: bool) -> Result<()> {
        if let Some(bytes) = chunk.take() {
            if self.held.len() + bytes.len() > self.max_bytes {
                return Err(Error::new(
                    Kind::UpstreamFailed,
                    "the provider's answer is over the limit `server.max_answer`",
                ));
            }
            self.held.extend_from_slice(&bytes);
        }
        if end {
            let body = std::mem::take(&mut self.held).freeze();
            let answer = self.finish(body)?;
            *chunk = Some(if self.pending.is_some() { answer } else { self.guarded(answer)? });
        }
        Ok(())
    }

    fn finish(&mut self, body: Bytes) -> Result<Bytes> {
        let text = simdutf8::basic::from_utf8(&body).map_err(malformed)?;
        if !wire::scan::is_json(text) {
            return Err(malformed("not JSON"));
        }
        let seen = watch::whole(self.dialect, text, &self.quirks);
        if let Some(error) = seen.error {
            return Err(error);
        }
        if matches!(self.endpoint, Endpoint::MessagesCount | Endpoint::GenerateCount) {
            // A count costs nothing; the number it holds is not usage.
            return Ok(body);
        }
        let (counted, turned) = self.turned.as_ref().map_or(Ok((None, None)), |it| self.turn(it, text))?;
        self.usage = Some(match counted.or(seen.usage) {
            Some(usage) => (usage, UsageSource::Reported),
            None => (self.estimate(text), UsageSource::Estimated),
        });
        (self.service_tier, self.model) = (seen.service_tier, seen.model);
        if let Some(turned) = turned {
            return Ok(Bytes::from(turned));
        }
        let Some(to) = &self.reencode else {
            return Ok(self.owner.as_ref().and_then(|owner| owner.close(text)).map_or(body, Bytes::from));
        };
        let (response, pending) = self.told(to, text)?;
        if let Some(pending) = pending {
            self.pending = Some((pending, body));
            return Ok(Bytes::new());
        }
        Ok(self.encoded(to, &response, body.len()))
    }

    fn release(&mut self, done: &[Done], keeper: Keeper<'_>) -> Result<Bytes> {
        let (Some((_, body)), Some(to)) = (self.pending.take(), &self.reencode) else {
            return Err(Error::internal("nothing waits"));
        };
        let text = simdutf8::basic::from_utf8(&body).map_err(malformed)?;
        let (mut response, _) = self.told(to, text)?;
        edge::release(&mut response, done, keeper);
        let answer = self.encoded(to, &response, body.len());
        self.guarded(answer)
    }

    /// The answer as the client is to read it, and what of it waits.
    fn told<'a>(&self, to: &Reencode, text: &'a str) -> Result<(Response<'a>, Option<Pending>)> {
        let mut response = wire::decode_response(self.dialect, text, &self.quirks)?;
        if response.usage.is_none() {
            response.usage = self.usage.map(|(usage, _)| usage);
        }
        to.bridge.response(&mut response);
        let pending = self.own.as_ref().and_then(|own| edge::response(&mut response, own));
        Ok((response, pending))
    }

    fn encoded(&self, to: &Reencode, response: &Response<'_>, usual_bytes: usize) -> Bytes {
        let client = Client {
            model: &to.model,
            id: &to.id,
            created: to.created,
            stream_usage: true,
            input_estimate_tokens: self.input_estimate_tokens,
            request: simdutf8::basic::from_utf8(&to.request).unwrap_or_default(),
            seal: &to.seal,
        };
        let mut out = Vec::with_capacity(usual_bytes + 512);
        wire::encode_response(to.bridge.client, response, &client, &mut out);
        let kept = self.owner.as_ref().and_then(|owner| owner.close(std::str::from_utf8(&out).ok()?));
        kept.map_or_else(|| Bytes::from(out), Bytes::from)
    }

    /// The answer as guards let it pass.
    fn guarded(&mut self, answer: Bytes) -> Result<Bytes> {
        let Some(watching) = self.watching.as_deref_mut() else { return Ok(answer) };
        let text = simdutf8::basic::from_utf8(&answer).map_err(malformed)?;
        match guard::look(&mut watching.watch, watching.looks, Side::Output, text)? {
            guard::Done::Same => Ok(answer),
            guard::Done::Changed(changed) => Ok(Bytes::from(changed)),
            guard::Done::Blocked(message) => {
                let client = Client {
                    model: &watching.model,
                    id: &watching.id,
                    created: watching.created,
                    stream_usage: true,
                    input_estimate_tokens: self.input_estimate_tokens,
                    request: "",
                    seal: &watching.seal,
                };
                guard::refusal(watching.looks, text, &message, (&self.quirks, &client)).map(Bytes::from)
            }
        }
    }

    fn turn(&self, it: &Turned, text: &str) -> Result<(Option<Usage>, Option<Vec<u8>>)> {
        let input_estimate_tokens = self.input_estimate_tokens;
        match it.turn {
            Turn::Embeddings(turn) => {
                let earlier: std::result::Result<Vec<&str>, _> =
                    it.earlier.iter().map(|body| std::str::from_utf8(body)).collect();
                let mut bodies = earlier.map_err(malformed)?;
                bodies.push(text);
                turn.answer(&bodies, &wire::embeddings::Told { model: &it.model, input_estimate_tokens })
            }
            Turn::Rerank(turn) => {
                let request = std::str::from_utf8(&it.request).map_err(Error::internal)?;
                turn.answer(text, request, &wire::rerank::Told { model: &it.model, id: &it.id, input_estimate_tokens })
            }
        }
    }

    /// Embeddings and counts have no output to speak of, however many numbers they list.
    fn estimate(&self, text: &str) -> Usage {
        let generates = self.endpoint.generation().is_some() || self.endpoint == Endpoint::Completions;
        let output = if generates { TextCount::of_json(text).tokens() } else { 0 };
        Usage { fresh_input_tokens: self.input_estimate_tokens, visible_output_tokens: output, ..Usage::default() }
    }
}
