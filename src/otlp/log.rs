//! A record as a log record: its line as the body, what one looks for as attributes, and its trace.

use std::time::{SystemTime, UNIX_EPOCH};

use super::known::Known;
use super::message::{AnyValue, LogRecord, Value};
use super::span::{self, Traced};
use crate::config::telemetry::Fraction;
use crate::record::{Outcome, Record};

/// OpenTelemetry's numbers of severity.
const INFO: (i32, &str) = (9, "INFO");
const WARN: (i32, &str) = (13, "WARN");
const ERROR: (i32, &str) = (17, "ERROR");

pub(super) fn record(record: &Record<'_>, new_traces: Option<Fraction>, known: &Known) -> LogRecord {
    let (severity_number, severity_text) = match (record.status, record.outcome) {
        (500.., _) | (_, Outcome::UpstreamCut | Outcome::Recovered) => ERROR,
        (400.., _) => WARN,
        _ => INFO,
    };
    let mut line = Vec::new();
    record.write_line(&mut line);
    line.truncate(line.trim_ascii_end().len());
    let traced = Traced::of(record);
    // Of traces that are somebody else's, the client's span is the one there is.
    let span = traced.as_ref().map(|it| it.span(new_traces.is_some()).to_bytes().into());
    let is_sampled = traced.as_ref().is_some_and(|it| it.is_sampled(new_traces.unwrap_or_default()));
    LogRecord {
        time_unix_nano: span::began_ns(record).saturating_add(span::ns(record.duration)),
        observed_time_unix_nano: now_ns(),
        severity_number,
        severity_text: severity_text.to_owned(),
        body: String::from_utf8(line).ok().map(|line| AnyValue { value: Some(Value::Text(line)) }),
        attributes: span::about(record, known),
        flags: u32::from(is_sampled),
        trace_id: traced.as_ref().map(|it| it.trace.to_bytes().into()).unwrap_or_default(),
        span_id: span.unwrap_or_default(),
        event_name: "weir.request".to_owned(),
    }
}

pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
