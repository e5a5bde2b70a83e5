//! A record as a log record: its line as the body, what one looks for as attributes, and its trace.

use std::time::{SystemTime, UNIX_EPOCH};

use super::attributes::{self, Attributes};
use super::export::ITEM;
use super::known::Known;
use super::proto::{Out, bytes, fixed32, fixed64, number};
use super::span::{self, Traced};
use crate::config::telemetry::Fraction;
use crate::record::{Outcome, Record};

/// Members of a `LogRecord`.
const TIME: u8 = fixed64(1);
const SEVERITY_NUMBER: u8 = number(2);
const SEVERITY_TEXT: u8 = bytes(3);
const BODY: u8 = bytes(5);
const ATTRIBUTES: u8 = bytes(6);
const FLAGS: u8 = fixed32(8);
const TRACE_ID: u8 = bytes(9);
const SPAN_ID: u8 = bytes(10);
const OBSERVED_TIME: u8 = fixed64(11);
const EVENT_NAME: u8 = bytes(12);

/// OpenTelemetry's numbers of severity.
const INFO: (u64, &str) = (9, "INFO");
const WARN: (u64, &str) = (13, "WARN");
const ERROR: (u64, &str) = (17, "ERROR");

/// What log records are made by, beside the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made<'k> {
    /// Of new traces, so many are exported; `None` where traces are not.
    pub(super) new_traces: Option<Fraction>,
    pub(super) known: &'k Known,
    pub(super) now_ns: u64,
}

pub(super) fn write(record: &Record<'_>, by: Made<'_>, out: &mut Out<'_>) {
    out.message(ITEM, |out| write_members(record, by, out));
}

fn write_members(record: &Record<'_>, by: Made<'_>, out: &mut Out<'_>) {
    let (severity_number, severity_text) = match (record.status, record.outcome) {
        (500.., _) | (_, Outcome::UpstreamCut | Outcome::Recovered) => ERROR,
        (400.., _) => WARN,
        _ => INFO,
    };
    out.fixed64(TIME, span::began_ns(record).saturating_add(span::ns(record.duration)));
    out.fixed64(OBSERVED_TIME, by.now_ns);
    out.number(SEVERITY_NUMBER, severity_number);
    out.text(SEVERITY_TEXT, severity_text);
    out.message(BODY, |out| out.message(attributes::TEXT, |out| record.write_json(out.0)));
    let last = record.timeline.iter().last().and_then(|step| by.known.place(step.endpoint));
    span::about(record, last, &mut Attributes { out, tag: ATTRIBUTES });
    if let Some(traced) = Traced::of(record) {
        let is_sampled = traced.is_sampled(by.new_traces.unwrap_or_default());
        out.raw(&[FLAGS, is_sampled.into(), 0, 0, 0]);
        out.bytes(TRACE_ID, &traced.trace.to_bytes());
        // Of traces that are somebody else's, the client's span is the one there is.
        out.bytes(SPAN_ID, &traced.span(by.new_traces.is_some()).to_bytes());
    }
    out.text(EVENT_NAME, "weir.request");
}

pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
