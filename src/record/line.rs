//! A record's line, as the access log and the admin API have it. `ledger::Row` reads it.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use uuid::Uuid;

use super::{Record, Step};
use crate::limit::clock::Rfc3339;
use crate::usage::price::{Charge, Usd};
use crate::usage::tokens::{Usage, UsageSource};
use crate::wire::json::Obj;

impl Step<'_> {
    fn write(&self, row: &mut Obj<'_>) {
        row.text("provider", self.provider).text("endpoint", self.endpoint);
        row.text("model", self.model).text("kind", self.why.as_str());
        write_ms(row.key("at_ms"), self.at);
        write_ms(row.key("duration_ms"), self.duration);
        row.text("outcome", self.outcome);
        number(row, "status", self.status.map(u64::from));
        text(row, "error", self.error);
        self.write_used(row);
    }

    /// What it used that is in no other count.
    pub(crate) fn write_used(&self, row: &mut Obj<'_>) {
        if let Some((usage, source)) = &self.usage {
            row.num("input_tokens", usage.input_tokens()).num("output_tokens", usage.output_tokens());
            row.text("usage_source", source.as_str());
            write_classes(row, usage);
            if let Some(tier) = self.service_tier {
                row.text("service_tier", tier);
            }
            if let Some(cost) = self.charge.cost() {
                let _ = write!(row.key("cost_pico_usd"), "{}", cost.0);
            }
            write_due(row, self.charge);
        }
    }
}

impl Record<'_> {
    /// Appends the row as one JSON object and a line feed.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let mut row = Obj::new(out);
        self.write_who(&mut row);
        self.write_what(&mut row);
        self.write_usage(&mut row);
        self.write_times(&mut row);
        drop(row);
        out.push(b'\n');
    }

    /// Appends what is known of a request that has run for so long, as one JSON object.
    pub fn write_running(&self, running: Duration, out: &mut Vec<u8>) {
        let mut row = Obj::new(out);
        self.write_who(&mut row);
        self.write_asked(&mut row);
        row.num("attempts", u64::from(self.attempts));
        row.num("running_ms", u64::try_from(running.as_millis()).unwrap_or(u64::MAX));
    }

    fn write_who(&self, row: &mut Obj<'_>) {
        let id = &mut Uuid::encode_buffer();
        row.text("request_id", self.request_id.hyphenated().encode_lower(id));
        text(row, "client_request_id", self.client_request_id);
        match self.trace_id {
            Some(id) => _ = write!(row.key("trace_id"), "\"{id}\""),
            None => _ = row.null("trace_id"),
        }
        if let Some(parent) = self.traceparent {
            let _ = write!(row.key("traceparent"), "\"{parent}\"");
        }
        let _ = write!(row.key("started_at"), "\"{}\"", Rfc3339(self.started_at));
        text(row, "tenant", self.tenant);
        text(row, "key_id", self.key_id);
        text(row, "user", self.user);
        let mut tags = row.arr("tags");
        for tag in self.tags.iter() {
            tags.text(tag);
        }
    }

    fn write_what(&self, row: &mut Obj<'_>) {
        self.write_asked(row);
        row.num("status", u64::from(self.status));
        row.text("outcome", self.outcome.as_str());
        row.num("attempts", u64::from(self.attempts));
        row.bool("fallback", self.fallback);
    }

    fn write_asked(&self, row: &mut Obj<'_>) {
        row.text("format", self.format);
        text(row, "route", self.route);
        if let Some(reason) = self.route_reason {
            row.text("route_reason", reason);
        }
        text(row, "model", self.model);
        text(row, "provider", self.provider);
        text(row, "upstream_model", self.upstream_model);
        if let Some(model) = self.response_model {
            row.text("response_model", model);
        }
        row.bool("stream", self.stream);
    }

    fn write_usage(&self, row: &mut Obj<'_>) {
        let (usage, told) = (self.usage.as_ref(), self.told());
        number(row, "input_tokens", told.map(Usage::input_tokens));
        number(row, "output_tokens", told.map(Usage::output_tokens));
        number(row, "cached_tokens", told.map(|u| u.cached_tokens));
        number(row, "cache_write_tokens", told.map(Usage::cache_written_tokens));
        number(row, "reasoning_tokens", told.map(|u| u.reasoning_tokens));
        text(row, "usage_source", self.usage_source.map(UsageSource::as_str));
        match usage {
            Some(usage) => write_classes(row, usage),
            None => _ = row.null("usage"),
        }
        text(row, "service_tier", self.service_tier);
        match self.charge.cost() {
            Some(cost) => {
                let _ = write!(row.key("cost_pico_usd"), "{}", cost.0);
                let _ = write!(row.key("cost_usd"), "{}", Usd(cost));
            }
            None => {
                row.null("cost_pico_usd").null("cost_usd");
            }
        }
        write_due(row, self.charge);
        text(row, "price_version", self.price_version);
    }

    fn write_times(&self, row: &mut Obj<'_>) {
        write_ms(row.key("duration_ms"), self.duration);
        match self.ttft {
            Some(ttft) => write_ms(row.key("ttft_ms"), ttft),
            None => {
                row.null("ttft_ms");
            }
        }
        write_ms(row.key("overhead_ms"), self.overhead);
        let mut dropped = row.arr("dropped");
        for path in self.dropped.iter() {
            dropped.text(path);
        }
        drop(dropped);
        text(row, "error", self.error);
        let mut timeline = row.arr("timeline");
        for step in self.timeline.iter() {
            step.write(&mut timeline.obj());
        }
    }
}

fn text(row: &mut Obj<'_>, name: &str, value: Option<&str>) {
    match value {
        Some(value) => row.text(name, value),
        None => row.null(name),
    };
}

fn number(row: &mut Obj<'_>, name: &str, value: Option<u64>) {
    match value {
        Some(value) => row.num(name, value),
        None => row.null(name),
    };
}

/// `usage`: the disjoint classes behind the counts, those that are not 0.
pub(crate) fn write_classes(row: &mut Obj<'_>, usage: &Usage) {
    let mut classes = row.obj("usage");
    for (name, count) in Usage::CLASSES.into_iter().zip(usage.classes()).filter(|(_, count)| *count > 0) {
        classes.num(name, count);
    }
}

/// What budgets are charged with where the cost is not known.
fn write_due(row: &mut Obj<'_>, charge: Charge) {
    if let Some(due) = charge.due() {
        let _ = write!(row.key("due_pico_usd"), "{}", due.0);
    }
}

/// Milliseconds with three decimals: overhead is mostly below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ms(pub Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        write!(f, "{}.{:03}", us / 1_000, us % 1_000)
    }
}

fn write_ms(out: &mut Vec<u8>, duration: Duration) {
    let _ = write!(out, "{}", Ms(duration));
}
