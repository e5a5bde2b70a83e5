//! A record as spans: one of the request, which the gateway served (`SERVER`), and below it one of each
//! attempt at a provider (`CLIENT`) and of each tool of the gateway's that was run (`INTERNAL`), with the
//! attributes of
//! <https://github.com/open-telemetry/semantic-conventions-genai> (in development; as of 2026-11). Tokens
//! stand on the attempt that used them, so that no sum counts them twice. What was asked and answered is
//! in no record and so in no span.

use std::time::Duration;

use uuid::Uuid;

use super::attributes::{Attributes, key};
use super::export::ITEM;
use super::known::{Known, Place};
use super::proto::{Out, bytes, fixed64, number};
use crate::config::telemetry::Fraction;
use crate::record::trace::{Parent, SpanId, TraceId};
use crate::record::{OK, Outcome, Record, Step, ToolCall};
use crate::telemetry;
use crate::usage::price::{PicoUsd, Usd};
use crate::usage::tokens::{Usage, UsageSource};

/// Members of a `Span`.
const TRACE_ID: u8 = bytes(1);
const SPAN_ID: u8 = bytes(2);
const PARENT_SPAN_ID: u8 = bytes(4);
const NAME: u8 = bytes(5);
const KIND: u8 = number(6);
const START: u8 = fixed64(7);
const END: u8 = fixed64(8);
pub(super) const ATTRIBUTES: u8 = bytes(9);
const STATUS: u8 = bytes(15);
/// The number 16, with four bytes behind it, is too large for a byte.
const FLAGS: [u8; 2] = [0x85, 1];
/// Of a `Status`.
const STATUS_MESSAGE: u8 = bytes(2);
const STATUS_CODE: u8 = number(3);

/// Kinds of spans, and the code of one that failed.
const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// OpenTelemetry's word for running a tool.
const EXECUTE_TOOL: &str = "execute_tool";

/// Of a span's flags, beside the trace's own: whether the parent is another process's is known, and is so.
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

/// What is the same for every span.
struct Frame<'a> {
    id: SpanId,
    parent: Option<SpanId>,
    operation: &'a str,
    /// What it is done with: a model, a tool.
    target: Option<&'a str>,
    kind: u64,
    start_ns: u64,
    duration: Duration,
}

impl Frame<'_> {
    fn write(&self, trace: TraceId, out: &mut Out<'_>) {
        out.bytes(TRACE_ID, &trace.to_bytes());
        out.bytes(SPAN_ID, &self.id.to_bytes());
        if let Some(parent) = self.parent {
            out.bytes(PARENT_SPAN_ID, &parent.to_bytes());
        }
        out.length(NAME, self.operation.len() + self.target.map_or(0, |target| 1 + target.len()));
        out.raw(self.operation.as_bytes());
        if let Some(target) = self.target {
            out.raw(b" ");
            out.raw(target.as_bytes());
        }
        out.number(KIND, self.kind);
        out.fixed64(START, self.start_ns);
        out.fixed64(END, self.start_ns.saturating_add(ns(self.duration)));
    }
}

/// The request's span, then those of its attempts and of the tools that were run for it.
pub(super) fn write(record: &Record<'_>, known: &Known, out: &mut Out<'_>) {
    let Some(traced) = Traced::of(record) else { return };
    let mut steps = record.timeline.iter();
    let (mut step, mut next) = (steps.next(), steps.next());
    // Mostly there is one, which need not be read again.
    let last = if next.is_none() { step } else { record.timeline.iter().last() };
    let last = last.and_then(|step| known.place(step.endpoint));
    out.message(ITEM, |out| request(record, &traced, last, out));
    while let Some(now) = step {
        let is_last = next.is_none();
        out.message(ITEM, |out| attempt(record, &now, is_last, &traced, known, out));
        (step, next) = (next, steps.next());
    }
    for (nth, call) in record.tool_calls.iter().enumerate() {
        out.message(ITEM, |out| tool(record, &call, nth, &traced, out));
    }
}

fn request(record: &Record<'_>, traced: &Traced, last: Option<&Place>, out: &mut Out<'_>) {
    let frame = Frame {
        id: traced.request,
        parent: traced.parent.map(|parent| parent.span),
        operation: operation(record),
        target: record.model,
        kind: SERVER,
        start_ns: began_ns(record),
        duration: record.duration,
    };
    frame.write(traced.trace, out);
    about(record, last, &mut Attributes { out, tag: ATTRIBUTES });
    if record.status >= 500 || matches!(record.outcome, Outcome::UpstreamCut | Outcome::Recovered) {
        failed(error(record).unwrap_or_default(), out);
    }
    flags(SAMPLED | KNOWS_ORIGIN | if traced.parent.is_some() { IS_REMOTE } else { 0 }, out);
}

fn attempt(record: &Record<'_>, step: &Step<'_>, is_last: bool, traced: &Traced, known: &Known, out: &mut Out<'_>) {
    let is_ok = step.outcome == OK;
    let model = Some(step.model).filter(|model| !model.is_empty());
    let frame = Frame {
        id: SpanId::of_attempt(record.request_id, step.at),
        parent: Some(traced.request),
        operation: operation(record),
        target: model,
        kind: CLIENT,
        start_ns: began_ns(record).saturating_add(ns(step.at)),
        duration: step.duration,
    };
    frame.write(traced.trace, out);
    let all = &mut Attributes { out, tag: ATTRIBUTES };
    all.text(key!("gen_ai.operation.name"), frame.operation);
    if let Some(place) = known.place(step.endpoint) {
        all.text(key!("gen_ai.provider.name"), place.vendor);
        all.out.raw(&place.server);
    }
    all.text(key!("gen_ai.request.model"), model).truth(key!("gen_ai.request.stream"), record.stream);
    if is_last && record.stream {
        let first = record.ttft.and_then(|ttft| ttft.checked_sub(step.at));
        all.number(key!("gen_ai.response.time_to_first_chunk"), first.as_ref().map(Duration::as_secs_f64));
    }
    all.text(key!("gen_ai.response.model"), record.response_model.filter(|_| is_last && is_ok));
    // What it used: its own where it was lost, the record's where it is the one that answered.
    let own = step.usage.as_ref().map(|(usage, _)| usage);
    used(all, own.or_else(|| record.told().filter(|_| is_last)));
    all.count(key!("http.response.status_code"), step.status.map(u64::from));
    all.text(key!("error.type"), (!is_ok).then_some(step.outcome));
    all.text(key!("weir.provider"), step.provider).text(key!("weir.endpoint"), step.endpoint);
    all.text(key!("weir.attempt.kind"), step.why.as_str()).text(key!("weir.error"), step.error);
    // An attempt that was not needed any more has not failed, nor has one whose client left.
    if !is_ok && !matches!(step.outcome, "cancelled" | "client_gone") {
        failed(step.outcome, out);
    }
    flags(SAMPLED | KNOWS_ORIGIN, out);
}

/// A tool that was run: what it was told and gave is nobody's.
fn tool(record: &Record<'_>, call: &ToolCall<'_>, nth: usize, traced: &Traced, out: &mut Out<'_>) {
    let frame = Frame {
        id: SpanId::of_tool(record.request_id, nth),
        parent: Some(traced.request),
        operation: EXECUTE_TOOL,
        target: Some(call.name),
        kind: INTERNAL,
        start_ns: began_ns(record).saturating_add(ns(call.at)),
        duration: call.duration,
    };
    frame.write(traced.trace, out);
    let all = &mut Attributes { out, tag: ATTRIBUTES };
    all.text(key!("gen_ai.operation.name"), EXECUTE_TOOL).text(key!("gen_ai.tool.name"), call.name);
    all.text(key!("gen_ai.tool.call.id"), call.id).text(key!("error.type"), call.error);
    if let Some(error) = call.error {
        failed(error, out);
    }
    flags(SAMPLED | KNOWS_ORIGIN, out);
}

/// What the request is, for its span and its log record; `last` is where it was asked for last.
pub(super) fn about(record: &Record<'_>, last: Option<&Place>, all: &mut Attributes<'_, '_>) {
    if record.model.is_some() {
        all.text(key!("gen_ai.operation.name"), operation(record)).text(key!("gen_ai.request.model"), record.model);
        all.text(key!("gen_ai.provider.name"), last.map(|place| place.vendor));
        all.text(key!("gen_ai.response.model"), record.response_model);
        all.truth(key!("gen_ai.request.stream"), record.stream);
    }
    if record.stream {
        let ttft = record.ttft.as_ref().map(Duration::as_secs_f64);
        all.number(key!("gen_ai.response.time_to_first_chunk"), ttft);
    }
    all.count(key!("http.response.status_code"), u64::from(record.status)).text(key!("error.type"), error(record));
    let id = &mut Uuid::encode_buffer();
    all.text(key!("weir.request_id"), &*record.request_id.hyphenated().encode_lower(id));
    all.text(key!("weir.tenant"), record.tenant).text(key!("weir.key_id"), record.key_id);
    all.text(key!("weir.format"), record.format).text(key!("weir.route"), record.route);
    all.text(key!("weir.provider"), record.provider).text(key!("weir.model"), record.upstream_model);
    all.text(key!("weir.outcome"), record.outcome.as_str());
    all.count(key!("weir.attempts"), u64::from(record.attempts)).truth(key!("weir.fallback"), record.fallback);
    let told = record.told();
    all.count(key!("weir.input_tokens"), told.map(Usage::input_tokens));
    all.count(key!("weir.output_tokens"), told.map(Usage::output_tokens));
    all.text(key!("weir.usage_source"), record.usage_source.map(UsageSource::as_str));
    all.number(key!("weir.cost_usd"), record.charge.cost().map(usd));
    all.number(key!("weir.overhead"), Some(record.overhead.as_secs_f64()));
    all.texts(key!("weir.tags"), record.tags).texts(key!("weir.dropped"), record.dropped);
}

fn used(all: &mut Attributes<'_, '_>, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    all.count(key!("gen_ai.usage.input_tokens"), usage.input_tokens());
    all.count(key!("gen_ai.usage.output_tokens"), usage.output_tokens());
    all.count(key!("gen_ai.usage.cache_read.input_tokens"), usage.cached_tokens);
    all.count(key!("gen_ai.usage.cache_creation.input_tokens"), usage.cache_written_tokens());
    all.count(key!("gen_ai.usage.reasoning.output_tokens"), usage.reasoning_tokens);
}

/// OpenTelemetry's word for it, or ours where it has none.
fn operation<'a>(record: &Record<'a>) -> &'a str {
    telemetry::operation(record.format).unwrap_or(record.format)
}

/// Why the request failed, if it did.
fn error<'a>(record: &Record<'a>) -> Option<&'a str> {
    record.error.or_else(|| (record.outcome != Outcome::Finished).then_some(record.outcome.as_str()))
}

fn failed(why: &str, out: &mut Out<'_>) {
    out.message(STATUS, |out| {
        out.text(STATUS_MESSAGE, why);
        out.number(STATUS_CODE, ERROR);
    });
}

fn flags(flags: u32, out: &mut Out<'_>) {
    out.raw(&FLAGS);
    out.raw(&flags.to_le_bytes());
}

/// As near as the format comes: attributes have no decimals.
fn usd(cost: PicoUsd) -> f64 {
    const PICO_IN_USD: f64 = 1e12;
    match i32::try_from(cost.0 >> 21) {
        // Both numbers are exact, and so what is nearest to their quotient is nearest to the cost.
        Ok(high) => (f64::from(high) * f64::from(1 << 21) + f64::from(low_bits(cost.0))) / PICO_IN_USD,
        Err(_) => Usd(cost).to_string().parse().unwrap_or_default(),
    }
}

/// The lowest 21 bits.
fn low_bits(number: i128) -> u32 {
    let [a, b, c, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c & 0x1f, 0])
}

/// When the request began.
pub(super) fn began_ns(record: &Record<'_>) -> u64 {
    record.started_ms().saturating_mul(1_000_000)
}

pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
