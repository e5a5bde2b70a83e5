//! Tools that the gateway runs for a request: which ones it has, and running them between a model's turns.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName};
use pingora_proxy::Session;

use super::alive::Alive;
use super::context::Exchange;
use super::relay::interrupted;
use super::{Gateway, stream};
use crate::config::runtime::pattern_matches;
use crate::config::tools::{EdgeTools, switched_on};
use crate::error::{Error, Result};
use crate::limit::clock::whole_ms;
use crate::record::Called;
use crate::stage::accept::Endpoint;
use crate::tools::{Caller, Outcome, Tool};
use crate::usage::tokens::Usage;
use crate::wire::edge::kept::{self, Keeper};
use crate::wire::edge::{Call, Done, EXECUTED, Extra, MEMBER, Offer, Own, Pending, Round};
use crate::wire::envelope::Envelope;
use crate::wire::ir::Part;
use crate::wire::json::{Arr, Str, parse};
use crate::wire::seal::Seal;
use crate::wire::splice::Splice;

/// Asks for tools by name, where the body has no room for it.
const TOOLS: HeaderName = HeaderName::from_static("x-weir-tools");
/// What is longer is no vendor's id.
const LONGEST_ID_BYTES: usize = 128;
/// More are asked for by nobody who knows their names.
const MOST_NAMES: usize = 64;

/// What a request has of the gateway's tools.
pub(crate) struct Edge {
    settings: Arc<EdgeTools>,
    tools: Vec<Arc<Tool>>,
    offers: Vec<Offer>,
    names: Arc<[String]>,
    rounds: Vec<Round>,
    /// What the client is told to have used by them.
    earlier: Usage,
    said: Vec<Part<'static>>,
    tenant: String,
    unix_seconds: u64,
    is_last: bool,
    executed: Vec<Executed>,
}

/// A call that was run.
#[derive(Debug)]
struct Executed {
    name: String,
    round: usize,
    took: Duration,
    is_error: bool,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("names", &self.names).field("rounds", &self.rounds.len()).finish_non_exhaustive()
    }
}

impl Edge {
    /// What the provider's request has beside the client's.
    pub(super) fn extra(&self) -> Extra<'_> {
        Extra {
            offers: &self.offers,
            rounds: &self.rounds,
            again: None,
            is_last: self.is_last,
            tenant: &self.tenant,
            unix_seconds: self.unix_seconds,
        }
    }

    /// What of its answer is not the client's.
    pub(super) fn own(&self) -> Own {
        Own { names: Arc::clone(&self.names), earlier: self.earlier, said: self.said.as_slice().into(), form: None }
    }
}

/// Finds out which tools the request has; none for most.
pub(super) async fn open(x: &mut Exchange, headers: &HeaderMap) -> Result<()> {
    let (Some(parsed), Some(caller)) = (&x.parsed, &x.caller) else { return Ok(()) };
    if x.endpoint.and_then(Endpoint::generation).is_none() {
        return Ok(());
    }
    let asked = asked(headers, &Envelope::restore(&x.body, &parsed.outline))?;
    let Some(settings) = settings(x).cloned() else {
        return match asked.unwrap_or_default().first() {
            Some(name) => Err(unknown(name)),
            None => Ok(()),
        };
    };
    let is_kept = kept::may_be_in(&x.body);
    if asked.is_none() && !settings.always && !is_kept {
        return Ok(());
    }
    if parsed.choices > 1 {
        return match asked {
            Some(_) => Err(Error::invalid(MEMBER, "several answers at once cannot use tools of the gateway's")),
            None => Ok(()),
        };
    }
    let mut tools = x.live.tools.offered(&settings).await;
    match &asked {
        Some(names) => {
            if let Some(name) = names.iter().find(|name| !tools.iter().any(|tool| is_named(tool, name))) {
                return Err(unknown(name));
            }
            tools.retain(|tool| names.iter().any(|name| is_named(tool, name)));
        }
        None if !settings.always => tools.clear(),
        None => {}
    }
    let offer = |tool: &Arc<Tool>| {
        let spec = tool.spec();
        Offer { name: spec.name.clone(), description: spec.description.clone(), schema: spec.schema.clone() }
    };
    let offers: Vec<Offer> = tools.iter().map(offer).collect();
    x.edge = Some(Box::new(Edge {
        names: offers.iter().map(|offer| offer.name.clone()).collect(),
        settings,
        tools,
        offers,
        rounds: Vec::new(),
        earlier: Usage::default(),
        said: Vec::new(),
        tenant: caller.key.tenant.id.clone(),
        unix_seconds: x.started_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        is_last: false,
        executed: Vec::new(),
    }));
    Ok(())
}

fn unknown(name: &str) -> Error {
    Error::invalid(MEMBER, format!("there is no tool `{name}` for this key"))
}

pub(super) fn settings(x: &Exchange) -> Option<&Arc<EdgeTools>> {
    let route = x.plan.as_ref().and_then(|plan| plan.route.as_deref());
    switched_on(&x.caller.as_ref()?.key, route)
}

/// By either name; a `*` stands for any text.
fn is_named(tool: &Tool, name: &str) -> bool {
    pattern_matches(name, &tool.spec().name) || pattern_matches(name, tool.listed())
}

/// The tools that the request asks for, in its head or its body.
fn asked(headers: &HeaderMap, body: &Envelope<'_>) -> Result<Option<Vec<String>>> {
    let lines: Vec<&str> = headers.get_all(TOOLS).iter().filter_map(|line| line.to_str().ok()).collect();
    let names = match (body.present(MEMBER), lines.as_slice()) {
        (None, []) => return Ok(None),
        (Some(json), _) => {
            let list: Vec<Str<'_>> =
                parse(json).map_err(|_| Error::invalid(MEMBER, "`weir_tools` must be a list of names"))?;
            list.iter().map(|name| name.text().into_owned()).collect()
        }
        (None, lines) => {
            let names = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        }
    };
    match names.len() {
        0..=MOST_NAMES => Ok(Some(names)),
        _ => Err(Error::invalid(MEMBER, format!("more than {MOST_NAMES} tools are asked for"))),
    }
}

/// Runs what a model has called, and gives back whether the model is to be asked again. Where the turn is the
/// client's to go on with, or there were too many, the answer is ended.
pub(super) async fn round(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
    pending: Pending,
) -> Result<bool> {
    let edge = x.edge.as_ref().ok_or_else(|| Error::internal("no tools"))?;
    let is_over = edge.is_last || edge.rounds.len() >= as_count(edge.settings.max_rounds);
    let done = if is_over { Vec::new() } else { run(gateway, session, x, alive, &pending.calls).await? };
    if is_over || pending.is_mixed {
        release(gateway, session, x, &done).await?;
        return Ok(false);
    }
    let usage = gateway.round_over(x);
    let spent = gateway.spent(x);
    let edge = x.edge.as_mut().ok_or_else(|| Error::internal("no tools"))?;
    edge.earlier = edge.earlier.plus(&usage);
    edge.said.extend(pending.said.iter().cloned());
    edge.rounds.push(Round { said: pending.said, done });
    let too_dear = edge.settings.max_usd.is_some_and(|most| spent.0 >= i128::from(most));
    edge.is_last = too_dear || edge.rounds.len() >= as_count(edge.settings.max_rounds);
    Ok(true)
}

fn as_count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// All calls of a turn side by side, as long as there is time and a client.
async fn run(
    gateway: &Gateway,
    session: &mut Session,
    x: &mut Exchange,
    alive: &mut Alive<'_>,
    calls: &[Call],
) -> Result<Vec<Done>> {
    let edge = x.edge.as_ref().ok_or_else(|| Error::internal("no tools"))?;
    let caller = gateway.tool_caller(x);
    let (round, within, at) = (edge.rounds.len() + 1, edge.settings.timeout, x.started.elapsed());
    let ended = {
        // The tools are the tenant's own: nothing is hidden from them.
        let shown = |call: &Call| x.guards.as_ref().map(|guarded| guarded.shown(&call.arguments).into_owned());
        let one = |call| one(gateway, edge, (call, shown(call)), &caller, within);
        let mut work = pin!(join_all(calls.iter().map(one)));
        loop {
            tokio::select! {
                biased;
                ended = work.as_mut() => break ended,
                error = interrupted(session, x.ticket.as_ref()) => return Err(error),
                () = alive.silent() => alive.sign(session, x).await?,
            }
        }
    };
    let (mut done, mut executed) = (Vec::with_capacity(calls.len()), Vec::with_capacity(calls.len()));
    for (call, (outcome, took)) in calls.iter().zip(ended) {
        let (name, error) = (call.name.clone(), outcome.error());
        x.tool_calls.add(Called { name, id: plain_id(call), at, duration: took, error });
        let Outcome { text, is_error, .. } = guarded(gateway, x, outcome).await;
        executed.push(Executed { name: call.name.clone(), round, took, is_error });
        done.push(Done { call: call.clone(), text, is_error });
    }
    if let Some(edge) = &mut x.edge {
        edge.executed.append(&mut executed);
        if let Some(attempt) = x.attempt.as_mut().filter(|attempt| attempt.answer.is_stream()) {
            attempt.answer.executed(&list(&edge.executed));
        }
    }
    Ok(done)
}

/// The model's word for a call, where nothing is sealed into it.
fn plain_id(call: &Call) -> Option<String> {
    let id = call.id.text();
    (id.len() <= LONGEST_ID_BYTES && !Seal::may_be_in(id.as_bytes())).then(|| id.into_owned())
}

/// What a tool gave, as the model may have it.
async fn guarded(gateway: &Gateway, x: &mut Exchange, mut outcome: Outcome) -> Outcome {
    if x.guards.is_none() {
        return outcome;
    }
    match Box::pin(gateway.guard_result(x, std::mem::take(&mut outcome.text))).await {
        Some(text) => Outcome { text, ..outcome },
        None => Outcome::failed("The result was withheld by a guard."),
    }
}

async fn one(
    gateway: &Gateway,
    edge: &Edge,
    (call, shown): (&Call, Option<String>),
    caller: &Caller,
    within: Duration,
) -> (Outcome, Duration) {
    match edge.tools.iter().find(|tool| tool.spec().name == call.name) {
        Some(tool) => gateway.run_tool(tool, shown.as_deref().unwrap_or(&call.arguments), caller, within).await,
        None => (Outcome::failed("There is no such tool."), Duration::ZERO),
    }
}

/// Ends the answer with what of it is the client's.
async fn release(gateway: &Gateway, session: &mut Session, x: &mut Exchange, done: &[Done]) -> Result<()> {
    let edge = x.edge.as_ref().ok_or_else(|| Error::internal("no tools"))?;
    let (tenant, unix_seconds) = (edge.tenant.clone(), edge.unix_seconds);
    let kept: Option<Vec<Done>> = x.guards.as_ref().map(|guarded| {
        // The next request has placeholders of its own: what these stand for nobody can tell then.
        let forget = |done: &Done| Done { text: guarded.watch().forget(&done.text), ..done.clone() };
        done.iter().map(forget).collect()
    });
    let done = kept.as_deref().unwrap_or(done);
    let attempt = x.attempt_mut()?;
    let seal = attempt.target.deployment.seal.clone();
    let out = attempt.answer.release(done, Keeper { seal: &seal, tenant: &tenant, unix_seconds })?;
    match attempt.answer.is_stream() {
        true => stream::last(gateway, session, x, out).await,
        false => super::relay::whole(gateway, session, x, out).await,
    }
}

/// A whole answer with the tools that were run for it, in the formats that have room for it.
pub(super) fn told(x: &Exchange, body: Bytes) -> Bytes {
    let has_room = matches!(x.endpoint, Some(Endpoint::Chat | Endpoint::Responses));
    let Some(edge) = x.edge.as_ref().filter(|edge| has_room && !edge.executed.is_empty()) else { return body };
    let Ok(envelope) = Envelope::parse(&body) else { return body };
    let mut splice = Splice::new(&envelope);
    splice.set(EXECUTED, list(&edge.executed));
    Bytes::from(splice.write())
}

fn list(executed: &[Executed]) -> String {
    let mut told = Vec::with_capacity(128);
    let mut list = Arr::new(&mut told);
    for call in executed {
        let mut one = list.obj();
        one.text("name", &call.name).num("round", u64::try_from(call.round).unwrap_or(u64::MAX));
        one.num("duration_ms", whole_ms(call.took)).bool("is_error", call.is_error);
    }
    drop(list);
    String::from_utf8(told).unwrap_or_default()
}
