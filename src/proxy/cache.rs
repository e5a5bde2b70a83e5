//! Kept answers on the way of a request: looked for before anything of its endpoint is used, and written
//! down as they pass.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request, response};
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use pingora_proxy::Session;
use tokio::time::timeout;

use super::alive::Alive;
use super::attempt::{Begun, judge};
use super::connector::Leg;
use super::context::{Attempt, Exchange};
use super::relay::interrupted;
use super::semantic::{self, Asking};
use super::{Gateway, capture};
use crate::cache::answer::Recording;
use crate::cache::flight::{Came, Follow, Kept, Lead, Turn};
use crate::cache::key::{self, Ask, Key};
use crate::cache::store::Task;
use crate::config::cache::{Caching, switched_on};
use crate::error::{Error, Kind, Result};
use crate::guard;
use crate::limit::clock::unix_ms;
use crate::record::{Thousandths, Why};
use crate::stage::accept::Endpoint;
use crate::stage::respond;
use crate::usage::price::Charge;
use crate::usage::tokens::Usage;
use crate::wire::envelope::Envelope;

/// How near the question is to the one whose answer this is, where it is not the same.
const SIMILARITY: HeaderName = HeaderName::from_static("x-weir-cache-similarity");
/// What a request wants; and on its answer, what became of that.
const CACHE: HeaderName = HeaderName::from_static("x-weir-cache");

/// What holds for a request, where answers are kept for it.
#[derive(Debug)]
pub(crate) struct Rules {
    caching: Arc<Caching>,
    wish: Option<Wish>,
}

/// What its head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Neither look nor keep.
    Skip,
    /// Keep a new one.
    Refresh,
    /// Also where chance has a part in it.
    Use,
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Cached {
    /// Nothing was sent: its answer is from here.
    Hit {
        age: Duration,
        share_percent: u32,
        /// Of another question that means the same, in thousandths.
        similarity: Option<u16>,
    },
    /// Its answer is written down, as long as it may be kept.
    Miss(Option<Box<Writing>>),
    Bypass,
}

/// An answer that is being written down.
#[derive(Debug)]
pub(crate) struct Writing {
    key: Key,
    ttl: Duration,
    recording: Recording,
    /// Where others wait for it.
    lead: Option<Lead>,
    /// What it is the answer to, where others may ask the same in other words.
    asking: Option<Asking>,
}

impl Writing {
    fn new(key: Key, caching: &Caching, lead: Option<Lead>, asking: Option<Asking>) -> Option<Box<Self>> {
        let recording = Recording::new(caching.max_entry_bytes);
        Some(Box::new(Self { key, ttl: caching.ttl, recording, lead, asking }))
    }

    /// It is not for keeping, and nobody need wait for it.
    fn unfit(self) {
        if let Some(lead) = self.lead {
            lead.unfit();
        }
    }
}

/// Finds out whether answers are kept for the request.
pub(super) fn open(x: &mut Exchange, headers: &HeaderMap) -> Result<()> {
    let route = x.plan.as_ref().and_then(|plan| plan.route.as_deref());
    let Some(caching) = x.caller.as_ref().and_then(|caller| switched_on(&caller.key, route)) else { return Ok(()) };
    let caching = Arc::clone(caching);
    x.cache = Some(Box::new(Rules { caching, wish: wish(headers)? }));
    Ok(())
}

fn wish(headers: &HeaderMap) -> Result<Option<Wish>> {
    let Some(value) = headers.get(CACHE) else { return Ok(None) };
    match value.as_bytes() {
        b"skip" => Ok(Some(Wish::Skip)),
        b"refresh" => Ok(Some(Wish::Refresh)),
        b"use" => Ok(Some(Wish::Use)),
        _ => Err(Error::invalid("x-weir-cache", "expected `skip`, `refresh` or `use`")),
    }
}

/// The kept answer to the attempt, as if its provider gave it. Where there is none, the attempt's own will
/// be kept, if it may be.
pub(super) async fn look(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
) -> Result<Option<(Leg, Begun)>> {
    let Some(rules) = x.cache.as_deref() else { return Ok(None) };
    let (caching, wish) = (Arc::clone(&rules.caching), rules.wish);
    let key = x.attempt.as_ref().and_then(|attempt| key(x, attempt, rules, session.req_header()));
    let Some((key, mut asking)) = key else {
        x.attempt_mut()?.cached = Some(Cached::Bypass);
        return Ok(None);
    };
    let found = match wish {
        Some(Wish::Refresh) => Err(None),
        _ => find(gateway, session, x, alive, &caching, &key, &mut asking).await?,
    };
    match found {
        Ok(kept) => replay(gateway, x, &caching, kept).await.map(Some),
        Err(lead) => {
            x.attempt_mut()?.cached = Some(Cached::Miss(Writing::new(key, &caching, lead, asking)));
            Ok(None)
        }
    }
}

/// An answer, or the place in front of those who wait for one, where there is a need for that.
type Found = std::result::Result<Kept, Option<Lead>>;

async fn find(
    gateway: &Gateway,
    session: &mut Session,
    x: &Exchange,
    alive: &mut Alive<'_>,
    caching: &Caching,
    key: &Key,
    asking: &mut Option<Asking>,
) -> Result<Found> {
    let attempt = x.attempt.as_ref().ok_or_else(|| Error::internal("no attempt runs"))?;
    // Who has waited for as long as a provider may take to begin asks it himself.
    let until = (Instant::now() + attempt.timeouts.first_token).min(attempt.deadline.at);
    loop {
        if let Some(answer) = gateway.cache.get(key, caching.ttl) {
            return Ok(Ok(Kept::exact(answer, *key)));
        }
        let follow = match gateway.cache.enter(key) {
            Turn::Follow(follow) => follow,
            Turn::Lead(lead) => {
                let Some(kept) = find_first(gateway, x, caching, key, asking).await else {
                    return Ok(Err(Some(lead)));
                };
                lead.land(kept.clone());
                return Ok(Ok(kept));
            }
        };
        match follow_until(follow, until, session, x, alive).await? {
            Came::Answer(kept) => return Ok(Ok(kept)),
            Came::Unfit => return Ok(Err(None)),
            Came::Nothing => {}
        }
    }
}

/// What is there for who goes first: the answer itself, or one to the same question in other words.
async fn find_first(
    gateway: &Gateway,
    x: &Exchange,
    caching: &Caching,
    key: &Key,
    asking: &mut Option<Asking>,
) -> Option<Kept> {
    // The one before may have landed in between.
    let here = match gateway.cache.get(key, caching.ttl) {
        Some(answer) => Some(answer),
        None => gateway.cache.fetch(key, caching.ttl).await,
    };
    match here {
        Some(answer) => Some(Kept::exact(answer, *key)),
        None => semantic::find(gateway, x, caching, asking.as_mut()?).await,
    }
}

/// Waits for another one's answer, as long as there is time and a client.
async fn follow_until(
    mut follow: Follow,
    until: Instant,
    session: &mut Session,
    x: &Exchange,
    alive: &mut Alive<'_>,
) -> Result<Came> {
    let waits = timeout(until.saturating_duration_since(Instant::now()), follow.wait());
    tokio::pin!(waits);
    loop {
        tokio::select! {
            biased;
            came = waits.as_mut() => return Ok(came.unwrap_or(Came::Unfit)),
            error = interrupted(session, x.ticket.as_ref()) => return Err(error),
            () = alive.silent() => alive.sign(session, x).await?,
        }
    }
}

/// What the request is found by, and what it asks where that may be said in other words. `None`: its answer is
/// neither looked for nor kept.
fn key(x: &Exchange, attempt: &Attempt, rules: &Rules, client: &request::Parts) -> Option<(Key, Option<Asking>)> {
    let prepared = &attempt.prepared;
    let is_plain = x.endpoint?.generation().is_some() || x.endpoint.and_then(Endpoint::embeddings).is_some();
    let has_own_way = x.forwarded.is_some() || x.edge.is_some() || x.passage.is_some() || !prepared.earlier.is_empty();
    let is_alone = !matches!(attempt.why, Why::Hedge | Why::Continuation | Why::Tools | Why::Repair);
    if !is_plain || has_own_way || !is_alone || rules.wish == Some(Wish::Skip) {
        return None;
    }
    let body = prepared.body.whole();
    let body = Envelope::parse(&body).ok()?;
    let is_welcome = rules.caching.any || rules.wish.is_some() || x.endpoint.and_then(Endpoint::embeddings).is_some();
    if key::keeps_state(prepared.dialect, &body) || !(is_welcome || key::is_deterministic(&body)) {
        return None;
    }
    let deployment = &attempt.target.deployment;
    let mut headers: Vec<(&str, &[u8])> =
        deployment.headers.iter().map(|(name, value)| (name.as_str(), value.expose().as_bytes())).collect();
    let mut query = "";
    if prepared.kept {
        let theirs = client.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        headers.extend(theirs.filter(|(name, _)| name.starts_with("anthropic-") || name.starts_with("openai-")));
        query = client.uri.query().unwrap_or_default();
    }
    let ask = Ask {
        tenant: &x.caller.as_ref()?.key.tenant.id,
        namespace: rules.caching.namespace.as_deref(),
        provider: [deployment.provider.kind, &deployment.base.authority],
        model: &attempt.target.model,
        path: [&deployment.base.path, &prepared.path, query],
        is_stream: x.parsed.as_ref()?.stream,
        headers: &headers,
        body: &body,
        ignore: &rules.caching.ignore,
    };
    Some((key::key(&ask), semantic::question(x, &rules.caching, &ask)))
}

/// Reads a kept answer as if it came from the provider, who learns nothing of it, and of whom nothing is
/// learned.
async fn replay(gateway: &Gateway, x: &mut Exchange, caching: &Caching, kept: Kept) -> Result<(Leg, Begun)> {
    let Kept { answer, key, similarity } = kept;
    let mut head = respond::bare(StatusCode::OK);
    if let Some(content_type) = answer.content_type() {
        respond::set(&mut head, CONTENT_TYPE, content_type);
    }
    let (age, share_percent) = (answer.age(unix_ms()), caching.share_percent);
    let mut leg = Leg::of_kept(answer, head);
    let mut attempt = x.attempt.take().ok_or_else(|| Error::internal("no attempt runs"))?;
    (attempt.cached, attempt.recorded) = (Some(Cached::Hit { age, share_percent, similarity }), true);
    // On record before it is given, like any other.
    if let Err(error) = gateway.foresee(x, &attempt) {
        x.attempt = Some(attempt);
        return Err(error);
    }
    capture::replayed(&attempt, &leg);
    let begun = judge(x, &mut attempt, &mut leg).await;
    x.clock.spend(std::mem::take(&mut attempt.work));
    x.attempt = Some(attempt);
    x.attempts = x.attempts.saturating_sub(1);
    // What cannot be read any more is asked for anew.
    if let Err(error) = &begun
        && error.kind() == Kind::UpstreamFailed
    {
        gateway.cache.forget(&key);
    }
    begun.map(|begun| (leg, begun))
}

/// A piece of the answer has come.
pub(super) fn piece(attempt: &mut Attempt, piece: Option<&Bytes>) {
    let (Some(Cached::Miss(writing)), Some(piece)) = (&mut attempt.cached, piece) else { return };
    let is_over = writing.as_mut().is_some_and(|writing| !writing.recording.push(piece));
    if is_over && let Some(writing) = writing.take() {
        writing.unfit();
    }
}

/// The answer has come to a good end.
pub(super) fn keep(gateway: &Gateway, x: &mut Exchange, leg: &Leg) {
    let is_wrong = x.guards.as_ref().is_some_and(|guarded| guarded.board().has_found(guard::Kind::Schema));
    let Some(attempt) = &mut x.attempt else { return };
    let Some(Cached::Miss(writing)) = &mut attempt.cached else { return };
    let Some(writing) = writing.take() else { return };
    let is_whole = attempt.answer.error().is_none() && !attempt.answer.is_unfinished();
    let is_good = |status: StatusCode| status == 200 && is_whole && !is_wrong;
    let Some(head) = leg.head().filter(|head| is_good(head.status)) else {
        return writing.unfit();
    };
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let Writing { key, ttl, recording, lead, asking } = *writing;
    let answer = Arc::new(recording.finish(content_type, unix_ms()));
    gateway.cache.put(&key, &answer, ttl);
    if let Some(asking) = asking {
        semantic::keep(gateway, asking, key, ttl);
    }
    if let Some(lead) = lead {
        lead.land(Kept::exact(answer, key));
    }
}

/// The attempt has failed: what it wrote down is nothing, and who waits for it need not any more.
pub(super) fn let_go(attempt: &mut Attempt) {
    if let Some(Cached::Miss(writing)) = &mut attempt.cached {
        *writing = None;
    }
}

/// The answer is not one to give again: who waits for it asks for himself.
pub(super) fn unfit(attempt: &mut Attempt) {
    if let Some(Cached::Miss(writing)) = &mut attempt.cached
        && let Some(writing) = writing.take()
    {
        writing.unfit();
    }
}

/// Whether nothing was sent for the attempt.
pub(super) fn is_hit(attempt: &Attempt) -> bool {
    matches!(attempt.cached, Some(Cached::Hit { .. }))
}

/// What the attempt is on record with.
pub(super) fn word(x: &Exchange, attempt: &Attempt) -> Option<&'static str> {
    x.cache.as_ref()?;
    Some(match attempt.cached {
        Some(Cached::Hit { .. }) => "hit",
        Some(Cached::Miss(_)) => "miss",
        Some(Cached::Bypass) | None => "bypass",
    })
}

/// The same on the answer.
pub(super) fn describe(head: &mut response::Parts, x: &Exchange, attempt: &Attempt) {
    let Some(word) = word(x, attempt) else { return };
    respond::set(head, CACHE, word);
    if let Some(Cached::Hit { age, similarity, .. }) = attempt.cached {
        respond::set(head, AGE, HeaderValue::from(age.as_secs()));
        if let Some(similarity) = similarity {
            respond::set(head, SIMILARITY, Thousandths(similarity).to_string());
        }
    }
}

/// How near the question is to the one whose answer is given, where it is another one.
pub(super) fn similarity(attempt: &Attempt) -> Option<u16> {
    match attempt.cached {
        Some(Cached::Hit { similarity, .. }) => similarity,
        _ => None,
    }
}

/// What of its price an attempt costs its tenant.
pub(super) fn share(attempt: &Attempt, charge: Charge) -> Charge {
    match attempt.cached {
        Some(Cached::Hit { share_percent, .. }) => charge.part(share_percent),
        _ => charge,
    }
}

/// What of its tokens limits are charged with.
pub(super) fn share_of_tokens(attempt: &Attempt, usage: Usage) -> Usage {
    let Some(Cached::Hit { share_percent, .. }) = attempt.cached else { return usage };
    let part = |tokens: u64| tokens.saturating_mul(share_percent.into()) / 100;
    let (input, output) = (part(usage.input_tokens()), part(usage.output_tokens()));
    Usage { fresh_input_tokens: input, visible_output_tokens: output, ..Usage::default() }
}

/// Speaks to the store of kept answers, to the end of the process.
pub(super) struct Shelving(Mutex<Option<Task>>);

impl Shelving {
    pub(super) fn new(task: Task) -> Self {
        Self(Mutex::new(Some(task)))
    }
}

#[async_trait]
impl BackgroundService for Shelving {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.run().await;
        }
    }
}
