//! A record as spans: one of the request, which the gateway served (`SERVER`), and below it one of each
//! attempt at a provider (`CLIENT`), with the attributes of
//! <https://github.com/open-telemetry/semantic-conventions-genai> (in development; as of 2026-11). Tokens
//! stand on the attempt that used them, so that no sum counts them twice. What was asked and answered is
//! in no record and so in no span.

use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::attributes::Attributes;
use super::known::Known;
use super::message::{CLIENT, ERROR, KeyValue, SERVER, Span, Status};
use crate::config::telemetry::Fraction;
use crate::ledger::{Attempt, Classes, Row};
use crate::record::trace::{Parent, SpanId, TraceId};
use crate::telemetry;
use crate::usage::tokens::Usage;

/// Of [`Span::flags`], beside the trace's own: whether the parent is another process's is known, and is so.
const KNOWS_ORIGIN: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
const SAMPLED: u32 = 1;

/// Where a record stands among spans.
#[derive(Debug, Clone)]
pub(super) struct Traced {
    pub(super) trace: TraceId,
    pub(super) request: Uuid,
    parent: Option<Parent>,
}

impl Traced {
    pub(super) fn of(row: &Row) -> Option<Self> {
        let trace = TraceId::read(row.trace_id.as_deref()?)?;
        let parent = row.traceparent.as_deref().and_then(|text| Parent::read(text.as_bytes()));
        Some(Self { trace, request: row.request_id.parse().ok()?, parent })
    }

    /// The span that a log record belongs to: the request's own where such are exported, else the client's.
    pub(super) fn span(&self, is_exported: bool) -> SpanId {
        let own = SpanId::of_request(self.request);
        self.parent.filter(|_| !is_exported).map_or(own, |parent| parent.span)
    }

    /// Whether its spans are exported: the client's word where it spoke of it.
    pub(super) fn is_sampled(&self, new: Fraction) -> bool {
        self.parent.map_or_else(|| self.trace.is_in(new), |parent| parent.sampled)
    }
}

/// The request's span, then those of its attempts.
pub(super) fn spans(row: &Row, known: &Known) -> Vec<Span> {
    let Some(traced) = Traced::of(row) else { return Vec::new() };
    let began_ns = began_ns(row);
    let mut all = Vec::with_capacity(1 + row.timeline.len());
    all.push(request(row, &traced, began_ns, known));
    all.extend(row.timeline.iter().enumerate().map(|(nth, attempt)| {
        let is_last = nth + 1 == row.timeline.len();
        self::attempt(row, attempt, is_last, &traced, began_ns, known)
    }));
    all
}

fn request(row: &Row, traced: &Traced, began_ns: u64, known: &Known) -> Span {
    let is_error = row.status >= 500 || matches!(row.outcome.as_str(), "upstream_cut" | "recovered");
    Span {
        trace_id: traced.trace.to_bytes().into(),
        span_id: SpanId::of_request(traced.request).to_bytes().into(),
        parent_span_id: traced.parent.map(|parent| parent.span.to_bytes().into()).unwrap_or_default(),
        name: name(operation(row), row.model.as_deref()),
        kind: SERVER,
        start_time_unix_nano: began_ns,
        end_time_unix_nano: began_ns.saturating_add(ns(&row.duration_ms)),
        attributes: about(row, known),
        status: is_error.then(|| failed(error(row).unwrap_or_default())),
        flags: SAMPLED | KNOWS_ORIGIN | if traced.parent.is_some() { IS_REMOTE } else { 0 },
    }
}

fn attempt(row: &Row, attempt: &Attempt, is_last: bool, traced: &Traced, began_ns: u64, known: &Known) -> Span {
    let at_ns = ns(&attempt.at_ms);
    let start_ns = began_ns.saturating_add(at_ns);
    let is_ok = attempt.outcome == "ok";
    let mut all = Attributes::default();
    all.text("gen_ai.operation.name", operation(row));
    let place = known.place(&attempt.endpoint);
    all.text("gen_ai.provider.name", place.map(|place| place.vendor));
    all.text("server.address", place.map(|place| place.host.as_str()));
    all.count("server.port", place.map(|place| u64::from(place.port)));
    all.text("gen_ai.request.model", Some(attempt.model.as_str()).filter(|model| !model.is_empty()));
    all.truth("gen_ai.request.stream", row.stream);
    if is_last && row.stream {
        let first = row.ttft_ms.as_ref().and_then(|ttft| ns(ttft).checked_sub(at_ns));
        all.number("gen_ai.response.time_to_first_chunk", first.map(seconds));
    }
    all.text("gen_ai.response.model", row.response_model.as_deref().filter(|_| is_last && is_ok));
    used(&mut all, row, attempt, is_last);
    all.count("http.response.status_code", attempt.status.map(u64::from));
    all.text("error.type", (!is_ok).then_some(attempt.outcome.as_str()));
    all.text("weir.provider", attempt.provider.as_str()).text("weir.endpoint", attempt.endpoint.as_str());
    all.text("weir.attempt.kind", attempt.kind.as_str()).text("weir.error", attempt.error.as_deref());
    // An attempt that was not needed any more has not failed, nor has one whose client left.
    let is_error = !is_ok && !matches!(attempt.outcome.as_str(), "cancelled" | "client_gone");
    Span {
        trace_id: traced.trace.to_bytes().into(),
        span_id: SpanId::of_attempt(traced.request, Duration::from_nanos(at_ns)).to_bytes().into(),
        parent_span_id: SpanId::of_request(traced.request).to_bytes().into(),
        name: name(operation(row), Some(attempt.model.as_str()).filter(|model| !model.is_empty())),
        kind: CLIENT,
        start_time_unix_nano: start_ns,
        end_time_unix_nano: start_ns.saturating_add(ns(&attempt.duration_ms)),
        attributes: all.into_list(),
        status: is_error.then(|| failed(&attempt.outcome)),
        flags: SAMPLED | KNOWS_ORIGIN,
    }
}

/// What the request is, for its span and its log record.
pub(super) fn about(row: &Row, known: &Known) -> Vec<KeyValue> {
    let mut all = Attributes::default();
    if row.model.is_some() {
        all.text("gen_ai.operation.name", operation(row)).text("gen_ai.request.model", row.model.as_deref());
        let last = row.timeline.last().and_then(|attempt| known.place(&attempt.endpoint));
        all.text("gen_ai.provider.name", last.map(|place| place.vendor));
        all.text("gen_ai.response.model", row.response_model.as_deref());
        all.truth("gen_ai.request.stream", row.stream);
    }
    if row.stream {
        all.number("gen_ai.response.time_to_first_chunk", row.ttft_ms.as_ref().map(|ms| seconds(ns(ms))));
    }
    all.count("http.response.status_code", u64::from(row.status)).text("error.type", error(row));
    all.text("weir.request_id", row.request_id.as_str()).text("weir.tenant", row.tenant.as_deref());
    all.text("weir.key_id", row.key_id.as_deref()).text("weir.format", row.format.as_str());
    all.text("weir.route", row.route.as_deref()).text("weir.provider", row.provider.as_deref());
    all.text("weir.model", row.upstream_model.as_deref()).text("weir.outcome", row.outcome.as_str());
    all.count("weir.attempts", u64::from(row.attempts)).truth("weir.fallback", row.fallback);
    all.count("weir.input_tokens", row.input_tokens).count("weir.output_tokens", row.output_tokens);
    all.text("weir.usage_source", row.usage_source.as_deref());
    all.number("weir.cost_usd", row.cost_usd.as_ref().and_then(|usd| usd.get().parse().ok()));
    all.number("weir.overhead", Some(seconds(ns(&row.overhead_ms))));
    all.texts("weir.tags", &row.tags).texts("weir.dropped", &row.dropped);
    all.into_list()
}

/// What an attempt used: its own where it was lost, the row's where it is the one that answered.
fn used(all: &mut Attributes, row: &Row, attempt: &Attempt, is_last: bool) {
    let [input, output, cached, written, reasoning] = match (&attempt.usage, attempt.input_tokens) {
        (Some(classes), _) => lost(*classes),
        (None, Some(_)) => [attempt.input_tokens, attempt.output_tokens, None, None, None],
        (None, None) if is_last => {
            [row.input_tokens, row.output_tokens, row.cached_tokens, row.cache_write_tokens, row.reasoning_tokens]
        }
        (None, None) => return,
    };
    all.count("gen_ai.usage.input_tokens", input).count("gen_ai.usage.output_tokens", output);
    all.count("gen_ai.usage.cache_read.input_tokens", cached);
    all.count("gen_ai.usage.cache_creation.input_tokens", written);
    all.count("gen_ai.usage.reasoning.output_tokens", reasoning);
}

fn lost(classes: Classes) -> [Option<u64>; 5] {
    let usage = Usage::from(classes);
    let counts = [usage.input_tokens(), usage.output_tokens(), usage.cached_tokens, usage.cache_written_tokens()];
    let [input, output, cached, written] = counts.map(Some);
    [input, output, cached, written, Some(usage.reasoning_tokens)]
}

/// OpenTelemetry's word for it, or ours where it has none.
fn operation(row: &Row) -> &str {
    telemetry::operation(&row.format).unwrap_or(&row.format)
}

fn name(operation: &str, model: Option<&str>) -> String {
    model.map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}"))
}

/// Why the request failed, if it did.
fn error(row: &Row) -> Option<&str> {
    row.error.as_deref().or_else(|| Some(row.outcome.as_str()).filter(|outcome| *outcome != "finished"))
}

fn failed(why: &str) -> Status {
    Status { message: why.to_owned(), code: ERROR }
}

/// When the request began.
pub(super) fn began_ns(row: &Row) -> u64 {
    let began: Option<jiff::Timestamp> = row.started_at.parse().ok();
    began.and_then(|began| u64::try_from(began.as_nanosecond()).ok()).unwrap_or_default()
}

/// Milliseconds with three digits behind the point, as records have them.
pub(super) fn ns(ms: &RawValue) -> u64 {
    let text = ms.get();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let us = whole.parse::<u64>().ok().zip(format!("{part:0<3}").get(..3).and_then(|part| part.parse::<u64>().ok()));
    us.map_or(0, |(whole, part)| whole.saturating_mul(1_000).saturating_add(part).saturating_mul(1_000))
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}
