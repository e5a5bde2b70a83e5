//! What a record is as messages, put together of the types that OpenTelemetry makes of its files, member by
//! member and without regard to cost: what is written by hand has to be read as this.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use uuid::Uuid;

use super::span;
use crate::config::telemetry::Fraction;
use crate::record::trace::{SpanId, TraceId};
use crate::record::{OK, Outcome, Record, Step, Texts};
use crate::telemetry;
use crate::usage::price::Usd;
use crate::usage::tokens::{Usage, UsageSource};

/// Vendor, host and port, by endpoint.
pub(super) type Places = HashMap<&'static str, (&'static str, &'static str, u16)>;

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

impl Attributes {
    fn add(&mut self, name: &str, value: Value) -> &mut Self {
        self.0.push(KeyValue { key: name.to_owned(), value: any(value), ..KeyValue::default() });
        self
    }

    fn text<'t>(&mut self, name: &str, text: impl Into<Option<&'t str>>) -> &mut Self {
        match text.into() {
            Some(text) => self.add(name, Value::StringValue(text.to_owned())),
            None => self,
        }
    }

    fn truth(&mut self, name: &str, is_so: bool) -> &mut Self {
        self.add(name, Value::BoolValue(is_so))
    }

    fn count(&mut self, name: &str, count: impl Into<Option<u64>>) -> &mut Self {
        match count.into() {
            Some(count) => self.add(name, Value::IntValue(i64::try_from(count).unwrap_or(i64::MAX))),
            None => self,
        }
    }

    fn number(&mut self, name: &str, number: Option<f64>) -> &mut Self {
        match number {
            Some(number) => self.add(name, Value::DoubleValue(number)),
            None => self,
        }
    }

    fn texts(&mut self, name: &str, texts: Texts<'_>) -> &mut Self {
        let text = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
        let values: Vec<AnyValue> = texts.iter().map(text).collect();
        if values.is_empty() { self } else { self.add(name, Value::ArrayValue(ArrayValue { values })) }
    }
}

/// The request's span, then those of its attempts.
pub(super) fn spans(record: &Record<'_>, places: &Places) -> Vec<Span> {
    let Some(trace) = record.trace_id else { return Vec::new() };
    let mut all = vec![request(record, trace, places)];
    let mut steps = record.timeline.iter().peekable();
    while let Some(step) = steps.next() {
        all.push(attempt(record, &step, steps.peek().is_none(), trace, places));
    }
    all
}

fn request(record: &Record<'_>, trace: TraceId, places: &Places) -> Span {
    let is_error = record.status >= 500 || matches!(record.outcome, Outcome::UpstreamCut | Outcome::Recovered);
    let began_ns = span::began_ns(record);
    Span {
        trace_id: trace.to_bytes().into(),
        span_id: SpanId::of_request(record.request_id).to_bytes().into(),
        parent_span_id: record.traceparent.map(|parent| parent.span.to_bytes().into()).unwrap_or_default(),
        name: name(operation(record), record.model),
        kind: 2,
        start_time_unix_nano: began_ns,
        end_time_unix_nano: began_ns.saturating_add(span::ns(record.duration)),
        attributes: about(record, places),
        status: is_error.then(|| failed(error(record).unwrap_or_default())),
        flags: 0x101 | if record.traceparent.is_some() { 0x200 } else { 0 },
        ..Span::default()
    }
}

fn attempt(record: &Record<'_>, step: &Step<'_>, is_last: bool, trace: TraceId, places: &Places) -> Span {
    let start_ns = span::began_ns(record).saturating_add(span::ns(step.at));
    let is_ok = step.outcome == OK;
    let model = Some(step.model).filter(|model| !model.is_empty());
    let mut all = Attributes::default();
    all.text("gen_ai.operation.name", operation(record));
    let place = places.get(step.endpoint);
    all.text("gen_ai.provider.name", place.map(|place| place.0));
    all.text("server.address", place.map(|place| place.1));
    all.count("server.port", place.map(|place| u64::from(place.2)));
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
        trace_id: trace.to_bytes().into(),
        span_id: SpanId::of_attempt(record.request_id, step.at).to_bytes().into(),
        parent_span_id: SpanId::of_request(record.request_id).to_bytes().into(),
        name: name(operation(record), model),
        kind: 3,
        start_time_unix_nano: start_ns,
        end_time_unix_nano: start_ns.saturating_add(span::ns(step.duration)),
        attributes: all.0,
        status: is_error.then(|| failed(step.outcome)),
        flags: 0x101,
        ..Span::default()
    }
}

/// What the request is, for its span and its log record.
fn about(record: &Record<'_>, places: &Places) -> Vec<KeyValue> {
    let mut all = Attributes::default();
    if record.model.is_some() {
        all.text("gen_ai.operation.name", operation(record)).text("gen_ai.request.model", record.model);
        let last = record.timeline.iter().last().and_then(|step| places.get(step.endpoint));
        all.text("gen_ai.provider.name", last.map(|place| place.0));
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
    all.number("weir.cost_usd", record.charge.cost().map(|cost| Usd(cost).to_string().parse().unwrap()));
    all.number("weir.overhead", Some(record.overhead.as_secs_f64()));
    all.texts("weir.tags", record.tags).texts("weir.dropped", record.dropped);
    all.0
}

fn used(all: &mut Attributes, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    all.count("gen_ai.usage.input_tokens", usage.input_tokens());
    all.count("gen_ai.usage.output_tokens", usage.output_tokens());
    all.count("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
    all.count("gen_ai.usage.cache_creation.input_tokens", usage.cache_written_tokens());
    all.count("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens);
}

pub(super) fn log(record: &Record<'_>, new: Option<Fraction>, now_ns: u64, places: &Places) -> LogRecord {
    let (severity_number, severity_text) = match (record.status, record.outcome) {
        (500.., _) | (_, Outcome::UpstreamCut | Outcome::Recovered) => (17, "ERROR"),
        (400.., _) => (13, "WARN"),
        _ => (9, "INFO"),
    };
    let mut line = Vec::new();
    record.write_line(&mut line);
    let line = String::from_utf8(line).unwrap().trim_ascii_end().to_owned();
    let own = SpanId::of_request(record.request_id);
    let of_trace = |trace: TraceId| match (record.traceparent, new) {
        (Some(parent), None) => (parent.span, parent.sampled),
        (Some(parent), Some(_)) => (own, parent.sampled),
        (None, new) => (own, trace.is_in(new.unwrap_or_default())),
    };
    let of_trace = record.trace_id.map(of_trace);
    LogRecord {
        time_unix_nano: span::began_ns(record) + span::ns(record.duration),
        observed_time_unix_nano: now_ns,
        severity_number,
        severity_text: severity_text.to_owned(),
        body: any(Value::StringValue(line)),
        attributes: about(record, places),
        flags: of_trace.is_some_and(|(_, is_sampled)| is_sampled).into(),
        trace_id: record.trace_id.map(|id| id.to_bytes().into()).unwrap_or_default(),
        span_id: of_trace.map(|(span, _)| span.to_bytes().into()).unwrap_or_default(),
        event_name: "weir.request".to_owned(),
        ..LogRecord::default()
    }
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
    Status { message: why.to_owned(), code: 2 }
}
