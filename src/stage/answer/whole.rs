//! An answer that is held until it is complete.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Context;
use crate::config::guards::Side;
use crate::error::{Error, Kind, Result};
use crate::stage::accept::Endpoint;
use crate::stage::guard::{self, Guarded, Looks};
use crate::stage::translate::Turn;
use crate::usage::estimate::TextCount;
use crate::usage::tokens::{Advice, Usage, UsageSource};
use crate::wire::bridge::Bridge;
use crate::wire::edge::kept::Keeper;
use crate::wire::edge::{self, Done, Own, Told, Waits};
use crate::wire::ir::{Arguments, PartKind, Response};
use crate::wire::owned::Owner;
use crate::wire::watch::{self, Amend};
use crate::wire::{self, Client, Dialect, scan};

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Whole {
    held: BytesMut,
    max_bytes: usize,
    dialect: Dialect,
    quirks: wire::Quirks,
    endpoint: Endpoint,
    input_estimate_tokens: u64,
    /// What an encoder needs to know of the client; `None` where the bytes stay.
    reencode: Option<Reencode>,
    own: Option<Own>,
    /// The provider's answer, where it is not over for the client.
    pub(super) waiting: Option<(Waits, Bytes)>,
    turned: Option<Turned>,
    /// Who may come back to it, where the provider keeps it.
    owner: Option<Owner>,
    watching: Option<Box<Watching>>,
    /// Of an answer that could not be read.
    unread_tokens: u64,
    pub(super) usage: Option<(Usage, UsageSource)>,
    pub(super) service_tier: Option<String>,
    pub(super) model: Option<String>,
    pub(super) advice: Vec<Advice>,
    /// Its provider has not said all of it: it was given up, or goes on elsewhere.
    pub(super) is_unfinished: bool,
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
    /// The bytes stay as long as nothing in them has to change.
    keeps: bool,
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

fn malformed(detail: impl std::fmt::Display) -> Error {
    Error::new(Kind::UpstreamFailed, "the provider's answer could not be read").with_detail(detail)
}

impl Whole {
    pub(super) fn new(context: Context<'_>) -> Self {
        let (prepared, target) = (context.prepared, context.target);
        let is_formed = context.own.is_some_and(|own| own.form.is_some());
        let plain = || Arc::new(Bridge::plain(prepared.dialect, prepared.dialect, &target.deployment.seal));
        let bridge = prepared.bridge.clone().or_else(|| is_formed.then(plain));
        let reencode = bridge.map(|bridge| Reencode {
            bridge,
            keeps: prepared.bridge.is_none(),
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
        Self {
            held: BytesMut::new(),
            max_bytes: context.max_bytes,
            dialect: prepared.dialect,
            quirks: target.deployment.quirks,
            endpoint: prepared.endpoint,
            input_estimate_tokens: context.parsed.input_estimate_tokens,
            reencode,
            own: context.own.cloned(),
            waiting: None,
            turned,
            owner: context.owner.cloned(),
            watching: context.guards.and_then(|guarded| Watching::new(guarded, &context)),
            unread_tokens: 0,
            usage: None,
            service_tier: None,
            model: None,
            advice: Vec::new(),
            is_unfinished: false,
        }
    }

    pub(super) fn chunk(&mut self, chunk: &mut Option<Bytes>, end: bool) -> Result<()> {
        if let Some(bytes) = chunk.take() {
            if self.held.len() + bytes.len() > self.max_bytes {
                return Err(Error::answer_too_long());
            }
            self.held.extend_from_slice(&bytes);
        }
        if end {
            let body = std::mem::take(&mut self.held).freeze();
            let answer = self.finish(body)?;
            *chunk = Some(if self.waiting.is_some() { answer } else { self.guarded(answer)? });
        }
        Ok(())
    }

    fn finish(&mut self, body: Bytes) -> Result<Bytes> {
        let text = simdutf8::basic::from_utf8(&body).map_err(malformed);
        let seen = text.and_then(|text| {
            let seen = watch::whole(self.dialect, text, &self.quirks).ok_or_else(|| malformed("not JSON"))?;
            Ok((text, seen))
        });
        let (text, seen) = seen.inspect_err(|_| self.unread_tokens = self.written_tokens(&body))?;
        if let Some(error) = seen.error {
            self.usage = seen.usage.map(|usage| (usage, UsageSource::Reported));
            return Err(error);
        }
        if self.endpoint.is_count() {
            // The number it holds is not usage.
            return Ok(body);
        }
        if seen.usage.is_none() && self.generates() && !says_something(self.dialect, text) {
            return Err(malformed("nothing of an answer is in it"));
        }
        let (counted, turned) = self.turned.as_ref().map_or(Ok((None, None)), |it| self.turn(it, text))?;
        self.usage = Some(match counted.or(seen.usage) {
            Some(usage) if self.generates() && usage.lacks_input() => {
                (Usage { fresh_input_tokens: self.input_estimate_tokens, ..usage }, UsageSource::Estimated)
            }
            Some(usage) => (usage, UsageSource::Reported),
            None => (self.estimate(text), UsageSource::Estimated),
        });
        (self.service_tier, self.model, self.advice) = (seen.service_tier, seen.model, seen.advice);
        self.is_unfinished = self.dialect == Dialect::Responses && wire::responses::response::is_unfinished(text);
        if let Some(turned) = turned {
            return Ok(Bytes::from(turned));
        }
        if let Some(to) = &self.reencode {
            let mut response = self.decoded(to, text)?;
            match self.own.as_ref().map_or(Told::Same, |own| edge::response(&mut response, own)) {
                Told::Waits(waits) => {
                    self.waiting = Some((waits, body));
                    return Ok(Bytes::new());
                }
                Told::Same if to.keeps => {}
                Told::Same | Told::Changed => return Ok(self.encoded(to, &response, body.len())),
            }
        }
        let told = self.told(text).or_else(|| self.amended(text, seen.amend));
        let text = told.as_deref().unwrap_or(text);
        let sealed = self.owner.as_ref().and_then(|owner| owner.close(text));
        Ok(sealed.map(Bytes::from).or_else(|| told.map(Bytes::from)).unwrap_or(body))
    }

    /// The same answer with what was counted here, where the provider told nothing.
    fn told(&self, text: &str) -> Option<String> {
        let (usage, _) = self.usage.as_ref().filter(|(_, source)| *source == UsageSource::Estimated)?;
        let told = if self.generates() { watch::with_usage(self.dialect, text, usage)? } else { return None };
        String::from_utf8(told).ok()
    }

    /// The same answer with what clients of Responses count on in its counts.
    fn amended(&self, text: &str, amend: Option<Amend>) -> Option<String> {
        amend.filter(|_| self.endpoint == Endpoint::Responses).map(|amend| amend.written(text))
    }

    fn generates(&self) -> bool {
        self.endpoint.generation().is_some() || self.endpoint == Endpoint::Completions
    }

    pub(super) fn release(&mut self, done: &[Done], keeper: Keeper<'_>) -> Result<Bytes> {
        self.ended(|response, own| {
            edge::response(response, own);
            edge::release(response, done, keeper);
        })
    }

    pub(super) fn settle(&mut self) -> Result<Bytes> {
        self.ended(edge::settle)
    }

    /// Ends an answer that waited.
    fn ended(&mut self, end: impl FnOnce(&mut Response<'_>, &Own)) -> Result<Bytes> {
        let (Some((_, body)), Some(to), Some(own)) = (self.waiting.take(), &self.reencode, &self.own) else {
            return Err(Error::internal("nothing waits"));
        };
        let text = simdutf8::basic::from_utf8(&body).map_err(malformed)?;
        let mut response = self.decoded(to, text)?;
        end(&mut response, own);
        let answer = self.encoded(to, &response, body.len());
        self.guarded(answer)
    }

    /// The answer as the client is to read it, but for what is not the client's of it.
    fn decoded<'a>(&self, to: &Reencode, text: &'a str) -> Result<Response<'a>> {
        let mut response = wire::decode_response(self.dialect, text, &self.quirks)?;
        if response.usage.is_none_or(|usage| usage.lacks_input()) {
            response.usage = self.usage.map(|(usage, _)| usage);
        }
        to.bridge.response(&mut response);
        Ok(response)
    }

    fn encoded(&self, to: &Reencode, response: &Response<'_>, usual_bytes: usize) -> Bytes {
        let client = Client {
            created: to.created,
            input_estimate_tokens: self.input_estimate_tokens,
            request: simdutf8::basic::from_utf8(&to.request).unwrap_or_default(),
            completes: self.endpoint == Endpoint::Completions,
            ..Client::of(&to.model, &to.id, &to.seal)
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
                    created: watching.created,
                    input_estimate_tokens: self.input_estimate_tokens,
                    ..Client::of(&watching.model, &watching.id, &watching.seal)
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
        let visible_output_tokens = self.written_tokens(text.as_bytes());
        Usage { fresh_input_tokens: self.input_estimate_tokens, visible_output_tokens, ..Usage::default() }
    }

    fn written_tokens(&self, json: &[u8]) -> u64 {
        if !self.generates() {
            return 0;
        }
        let json = String::from_utf8_lossy(json);
        // What was cut, and completions as they come: all that looks like text.
        let is_read = self.endpoint != Endpoint::Completions || self.reencode.is_some();
        let decoded = wire::decode_response(self.dialect, &json, &self.quirks);
        let written = decoded.ok().filter(|_| is_read).map(|it| written(&it));
        let written = written.filter(|text| !text.is_empty());
        written.unwrap_or_else(|| TextCount::of_json(&json)).tokens()
    }

    /// What there is of an answer that broke or could not be read, as far as it can be counted.
    pub(super) fn tokens_so_far(&self) -> u64 {
        self.unread_tokens.saturating_add(self.written_tokens(&self.held))
    }
}

/// Whether it holds what answers of its format are made of.
fn says_something(dialect: Dialect, json: &str) -> bool {
    let names: &[&str] = match dialect {
        Dialect::OpenAiChat => &["choices"],
        Dialect::Anthropic => &["content"],
        Dialect::Responses => &["output"],
        Dialect::Gemini => &["candidates", "promptFeedback"],
        // Read before anybody gets to see it.
        Dialect::Converse | Dialect::Cohere => return true,
    };
    let mut values = names.iter().filter_map(|name| scan::member(json, name));
    let is_list_of_none = |value: &str| value.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]");
    values.any(|value| value != "null" && !(dialect == Dialect::OpenAiChat && is_list_of_none(value)))
}

/// What the model wrote, as streams are counted.
fn written(response: &Response<'_>) -> TextCount {
    let mut text = TextCount::default();
    for part in response.choices.iter().flat_map(|choice| &choice.parts) {
        match &part.kind {
            PartKind::Text { text: said, .. }
            | PartKind::Refusal { text: said }
            | PartKind::Reasoning { text: said, .. } => text.add_escaped(said.escaped()),
            PartKind::ToolCall { arguments, .. } => match arguments {
                Arguments::Object(json) => text.add_text(json.get()),
                Arguments::Encoded(said) | Arguments::Text(said) => text.add_escaped(said.escaped()),
            },
            _ => {}
        }
    }
    text
}
