//! A record as spans: one of the request, which the gateway served (`SERVER`), and below it one of each
//! attempt at a provider (`CLIENT`), with the attributes of
//! <https://github.com/open-telemetry/semantic-conventions-genai> (in development; as of 2026-11). Tokens
//! stand on the attempt that used them, so that no sum counts them twice. What was asked and answered is
//! in no record and so in no span.

use std::time::Duration;

use uuid::Uuid;

use super::attributes::Attributes;
use super::known::Known;
use super::message::{CLIENT, ERROR, KeyValue, SERVER, Span, Status};
use crate::config::telemetry::Fraction;
use crate::record::trace::{Parent, SpanId, TraceId};
use crate::record::{OK, Outcome, Record, Step};
use crate::telemetry;
use crate::usage::price::{PicoUsd, Usd};
use crate::usage::tokens::{Usage, UsageSource};

/// Of [`Span::flags`], beside the trace's own: whether the parent is another process's is known, and is so.
const KNOWS_ORIGIN: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
const SAMPLED: u32 = 1;

/// Where a record stands among spans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traced {
    pub(super) trace: TraceId,
    request: SpanId,
    parent: Option<Parent>,
}

impl Traced {
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        let request = SpanId::of_request(record.request_id);
        Some(Self { trace: record.trace_id?, request, parent: record.traceparent })
    }

    /// The span that a log record belongs to: the request's own where such are exported, else the client's.
    pub(super) fn span(&self, is_exported: bool) -> SpanId {
        self.parent.filter(|_| !is_exported).map_or(self.request, |parent| parent.span)
    }

    /// Whether its spans are exported: the client's word where it spoke of it.
    pub(super) fn is_sampled(&self, new: Fraction) -> bool {
        self.parent.map_or_else(|| self.trace.is_in(new), |parent| parent.sampled)
    }
}

/// The request's span, then those of its attempts.
pub(super) fn spans(record: &Record<'_>, known: &Known) -> Vec<Span> {
    let Some(traced) = Traced::of(record) else { return Vec::new() };
    let mut all = vec![request(record, &traced, known)];
    let mut steps = record.timeline.iter().peekable();
    while let Some(step) = steps.next() {
        all.push(attempt(record, &step, steps.peek().is_none(), &traced, known));
    }
    all
}

fn request(record: &Record<'_>, traced: &Traced, known: &Known) -> Span {
    let is_error = record.status >= 500 || matches!(record.outcome, Outcome::UpstreamCut | Outcome::Recovered);
    let began_ns = began_ns(record);
    Span {
        trace_id: traced.trace.to_bytes().into(),
        span_id: traced.request.to_bytes().into(),
        parent_span_id: traced.parent.map(|parent| parent.span.to_bytes().into()).unwrap_or_default(),
        name: name(operation(record), record.model),
        kind: SERVER,
        start_time_unix_nano: began_ns,
        end_time_unix_nano: began_ns.saturating_add(ns(record.duration)),
        attributes: about(record, known),
        status: is_error.then(|| failed(error(record).unwrap_or_default())),
        flags: SAMPLED | KNOWS_ORIGIN | if traced.parent.is_some() { IS_REMOTE } else { 0 },
    }
}

fn attempt(record: &Record<'_>, step: &Step<'_>, is_last: bool, traced: &Traced, known: &Known) -> Span {
    let start_ns = began_ns(record).saturating_add(ns(step.at));
    let is_ok = step.outcome == OK;
    let model = Some(step.model).filter(|model| !model.is_empty());
    let mut all = Attributes::default();
    all.text("gen_ai.operation.name", operation(record));
    let place = known.place(step.endpoint);
    all.text("gen_ai.provider.name", place.map(|place| place.vendor));
    all.text("server.address", place.map(|place| place.host.as_str()));
    all.count("server.port", place.map(|place| u64::from(place.port)));
    all.text("gen_ai.request.model", model);
    all.truth("gen_ai.request.stream", record.stream);
    if is_last && record.stream {
        let first = record.ttft.and_then(|ttft| ttft.checked_sub(step.at));
        all.number("gen_ai.response.time_to_first_chunk", first.as_ref().map(Duration::as_secs_f64));
    }
    all.text("gen_ai.response.model", record.response_model.filter(|_| is_last && is_ok));
    // What it used: its own where it was lost, the record's where it is the one that answered.
    let own = step.usage.as_ref().map(|(usage, _)| usage);
    used(&mut all, own.or_else(|| record.told().filter(|_| is_last)));
    all.count("http.response.status_code", step.status.map(u64::from));
    all.text("error.type", (!is_ok).then_some(step.outcome));
    all.text("weir.provider", step.provider).text("weir.endpoint", step.endpoint);
    all.text("weir.attempt.kind", step.why.as_str()).text("weir.error", step.error);
    // An attempt that was not needed any more has not failed, nor has one whose client left.
    let is_error = !is_ok && !matches!(step.outcome, "cancelled" | "client_gone");
    Span {
        trace_id: traced.trace.to_bytes().into(),
        span_id: SpanId::of_attempt(record.request_id, step.at).to_bytes().into(),
        parent_span_id: traced.request.to_bytes().into(),
        name: name(operation(record), model),
        kind: CLIENT,
        start_time_unix_nano: start_ns,
        end_time_unix_nano: start_ns.saturating_add(ns(step.duration)),
        attributes: all.into_list(),
        status: is_error.then(|| failed(step.outcome)),
        flags: SAMPLED | KNOWS_ORIGIN,
    }
}

/// What the request is, for its span and its log record.
pub(super) fn about(record: &Record<'_>, known: &Known) -> Vec<KeyValue> {
    let mut all = Attributes::default();
    if record.model.is_some() {
        all.text("gen_ai.operation.name", operation(record)).text("gen_ai.request.model", record.model);
        let last = record.timeline.iter().last().and_then(|step| known.place(step.endpoint));
        all.text("gen_ai.provider.name", last.map(|place| place.vendor));
        all.text("gen_ai.response.model", record.response_model);
        all.truth("gen_ai.request.stream", record.stream);
    }
    if record.stream {
        all.number("gen_ai.response.time_to_first_chunk", record.ttft.as_ref().map(Duration::as_secs_f64));
    }
    all.count("http.response.status_code", u64::from(record.status)).text("error.type", error(record));
    let id = &mut Uuid::encode_buffer();
    all.text("weir.request_id", &*record.request_id.hyphenated().encode_lower(id)).text("weir.tenant", record.tenant);
    all.text("weir.key_id", record.key_id).text("weir.format", record.format);
    all.text("weir.route", record.route).text("weir.provider", record.provider);
    all.text("weir.model", record.upstream_model).text("weir.outcome", record.outcome.as_str());
    all.count("weir.attempts", u64::from(record.attempts)).truth("weir.fallback", record.fallback);
    let told = record.told();
    all.count("weir.input_tokens", told.map(Usage::input_tokens));
    all.count("weir.output_tokens", told.map(Usage::output_tokens));
    all.text("weir.usage_source", record.usage_source.map(UsageSource::as_str));
    all.number("weir.cost_usd", record.charge.cost().map(usd));
    all.number("weir.overhead", Some(record.overhead.as_secs_f64()));
    all.texts("weir.tags", record.tags).texts("weir.dropped", record.dropped);
    all.into_list()
}

fn used(all: &mut Attributes, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    all.count("gen_ai.usage.input_tokens", usage.input_tokens());
    all.count("gen_ai.usage.output_tokens", usage.output_tokens());
    all.count("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
    all.count("gen_ai.usage.cache_creation.input_tokens", usage.cache_written_tokens());
    all.count("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens);
}

/// OpenTelemetry's word for it, or ours where it has none.
fn operation<'a>(record: &Record<'a>) -> &'a str {
    telemetry::operation(record.format).unwrap_or(record.format)
}

fn name(operation: &str, model: Option<&str>) -> String {
    model.map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}"))
}

/// Why the request failed, if it did.
fn error<'a>(record: &Record<'a>) -> Option<&'a str> {
    record.error.or_else(|| (record.outcome != Outcome::Finished).then_some(record.outcome.as_str()))
}

fn failed(why: &str) -> Status {
    Status { message: why.to_owned(), code: ERROR }
}

/// As near as the format comes: attributes have no decimals.
fn usd(cost: PicoUsd) -> f64 {
    Usd(cost).to_string().parse().unwrap_or_default()
}

/// When the request began.
pub(super) fn began_ns(record: &Record<'_>) -> u64 {
    record.started_ms().saturating_mul(1_000_000)
}

pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
