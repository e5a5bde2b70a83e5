//! A record's line, as the access log and the admin API have it. `ledger::Row` reads it.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use uuid::Uuid;

use super::{Record, Step};
use crate::limit::clock::Rfc3339;
use crate::usage::price::{Charge, PicoUsd, Usd};
use crate::usage::tokens::{Usage, UsageSource};
use crate::wire::json::{Arr, Obj, write_number, write_padded, write_text};

impl Step<'_> {
    fn write(&self, row: &mut Obj<'_>) {
        text(row, "provider", self.provider);
        text(row, "endpoint", self.endpoint);
        text(row, "model", self.model);
        text(row, "kind", self.why.as_str());
        write_ms(row.plain_key("at_ms"), self.at);
        write_ms(row.plain_key("duration_ms"), self.duration);
        text(row, "outcome", self.outcome);
        number(row, "status", self.status.map(u64::from));
        text(row, "error", self.error);
        self.write_used(row);
    }

    /// What it used that is in no other count.
    pub(crate) fn write_used(&self, row: &mut Obj<'_>) {
        if let Some((usage, source)) = &self.usage {
            number(row, "input_tokens", usage.input_tokens());
            number(row, "output_tokens", usage.output_tokens());
            text(row, "usage_source", source.as_str());
            write_classes(row, usage);
            if let Some(tier) = self.service_tier {
                text(row, "service_tier", tier);
            }
            if let Some(cost) = self.charge.cost() {
                write_pico(row.plain_key("cost_pico_usd"), cost);
            }
            write_due(row, self.charge);
        }
    }
}

impl Record<'_> {
    /// Appends the row as one JSON object and a line feed.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        self.write_json(out);
        out.push(b'\n');
    }

    /// Appends the row as one JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut row = Obj::new(out);
        self.write_who(&mut row);
        self.write_what(&mut row);
        self.write_usage(&mut row);
        self.write_times(&mut row);
    }

    /// Appends what is known of a request that has run for so long, as one JSON object.
    pub fn write_running(&self, running: Duration, out: &mut Vec<u8>) {
        let mut row = Obj::new(out);
        self.write_who(&mut row);
        self.write_asked(&mut row);
        number(&mut row, "attempts", u64::from(self.attempts));
        number(&mut row, "running_ms", u64::try_from(running.as_millis()).unwrap_or(u64::MAX));
    }

    fn write_who(&self, row: &mut Obj<'_>) {
        let id = &mut Uuid::encode_buffer();
        text(row, "request_id", &*self.request_id.hyphenated().encode_lower(id));
        text(row, "client_request_id", self.client_request_id);
        let digits = &mut [0; 2 * size_of::<u128>()];
        let trace_id = self.trace_id.filter(|id| hex::encode_to_slice(id.to_bytes(), digits).is_ok());
        text(row, "trace_id", trace_id.and_then(|_| std::str::from_utf8(digits).ok()));
        if let Some(parent) = self.traceparent {
            let _ = write!(row.plain_key("traceparent"), "\"{parent}\"");
        }
        let started_at = row.plain_key("started_at");
        started_at.push(b'"');
        Rfc3339(self.started_at).write(started_at);
        started_at.push(b'"');
        text(row, "tenant", self.tenant);
        text(row, "key_id", self.key_id);
        text(row, "user", self.user);
        let mut tags = Arr::new(row.plain_key("tags"));
        for tag in self.tags.iter() {
            tags.text(tag);
        }
    }

    fn write_what(&self, row: &mut Obj<'_>) {
        self.write_asked(row);
        number(row, "status", u64::from(self.status));
        text(row, "outcome", self.outcome.as_str());
        number(row, "attempts", u64::from(self.attempts));
        truth(row, "fallback", self.fallback);
    }

    fn write_asked(&self, row: &mut Obj<'_>) {
        text(row, "format", self.format);
        text(row, "route", self.route);
        if let Some(reason) = self.route_reason {
            text(row, "route_reason", reason);
        }
        text(row, "model", self.model);
        text(row, "provider", self.provider);
        text(row, "upstream_model", self.upstream_model);
        if let Some(model) = self.response_model {
            text(row, "response_model", model);
        }
        truth(row, "stream", self.stream);
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
            None => null(row, "usage"),
        }
        text(row, "service_tier", self.service_tier);
        match self.charge.cost() {
            Some(cost) => {
                write_pico(row.plain_key("cost_pico_usd"), cost);
                write_usd(row.plain_key("cost_usd"), cost);
            }
            None => {
                null(row, "cost_pico_usd");
                null(row, "cost_usd");
            }
        }
        write_due(row, self.charge);
        text(row, "price_version", self.price_version);
    }

    fn write_times(&self, row: &mut Obj<'_>) {
        write_ms(row.plain_key("duration_ms"), self.duration);
        match self.ttft {
            Some(ttft) => write_ms(row.plain_key("ttft_ms"), ttft),
            None => {
                null(row, "ttft_ms");
            }
        }
        write_ms(row.plain_key("overhead_ms"), self.overhead);
        let mut dropped = Arr::new(row.plain_key("dropped"));
        for path in self.dropped.iter() {
            dropped.text(path);
        }
        drop(dropped);
        if let Some(saved) = self.compression_saved_tokens {
            number(row, "compression_saved_tokens", saved);
        }
        if let Some(strategies) = self.compression_strategies {
            text(row, "compression_strategies", strategies);
        }
        if let Some(tools) = self.tools_executed {
            text(row, "tools_executed", tools);
        }
        let mut guards = self.guards.iter().peekable();
        if guards.peek().is_some() {
            let mut list = Arr::new(row.plain_key("guards"));
            guards.for_each(|decision| _ = list.text(decision));
        }
        if let Some(cache) = self.cache {
            text(row, "cache", cache);
        }
        if let Some(similarity) = self.cache_similarity {
            let _ = write!(row.plain_key("cache_similarity"), "{}", Thousandths(similarity));
        }
        if let Some(purpose) = self.purpose {
            text(row, "for", purpose);
        }
        text(row, "error", self.error);
        let mut timeline = Arr::new(row.plain_key("timeline"));
        for step in self.timeline.iter() {
            step.write(&mut timeline.obj());
        }
    }
}

fn text<'t>(row: &mut Obj<'_>, name: &'static str, value: impl Into<Option<&'t str>>) {
    match value.into() {
        Some(value) => write_text(row.plain_key(name), value),
        None => null(row, name),
    }
}

fn number(row: &mut Obj<'_>, name: &'static str, value: impl Into<Option<u64>>) {
    match value.into() {
        Some(value) => write_number(row.plain_key(name), value),
        None => null(row, name),
    }
}

fn truth(row: &mut Obj<'_>, name: &'static str, is_so: bool) {
    row.plain_key(name).extend_from_slice(if is_so { b"true" } else { b"false" });
}

fn null(row: &mut Obj<'_>, name: &'static str) {
    row.plain_key(name).extend_from_slice(b"null");
}

/// `usage`: the disjoint classes behind the counts, those that are not 0.
pub(crate) fn write_classes(row: &mut Obj<'_>, usage: &Usage) {
    let mut classes = Obj::new(row.plain_key("usage"));
    for (name, count) in Usage::CLASSES.into_iter().zip(usage.classes()).filter(|(_, count)| *count > 0) {
        number(&mut classes, name, count);
    }
}

/// What budgets are charged with where the cost is not known.
fn write_due(row: &mut Obj<'_>, charge: Charge) {
    if let Some(due) = charge.due() {
        write_pico(row.plain_key("due_pico_usd"), due);
    }
}

fn write_pico(out: &mut Vec<u8>, cost: PicoUsd) {
    match u64::try_from(cost.0) {
        Ok(pico) => write_number(out, pico),
        Err(_) => _ = write!(out, "{}", cost.0),
    }
}

/// As [`Usd`] is displayed.
fn write_usd(out: &mut Vec<u8>, cost: PicoUsd) {
    const PICO_IN_USD: u64 = 1_000_000_000_000;
    const DIGITS: usize = 12;
    let Ok(pico) = u64::try_from(cost.0) else {
        let _ = write!(out, "{}", Usd(cost));
        return;
    };
    write_number(out, pico / PICO_IN_USD);
    out.push(b'.');
    let least = out.len() + 1;
    write_padded(out, pico % PICO_IN_USD, DIGITS);
    while out.len() > least && out.last() == Some(&b'0') {
        out.pop();
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

/// A part of 1 with three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thousandths(pub u16);

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

/// As [`Ms`] shows it.
pub(crate) fn write_ms(out: &mut Vec<u8>, duration: Duration) {
    const US_IN_MS: u64 = 1_000;
    const DIGITS: usize = 3;
    let Ok(us) = u64::try_from(duration.as_micros()) else {
        let _ = write!(out, "{}", Ms(duration));
        return;
    };
    write_number(out, us / US_IN_MS);
    out.push(b'.');
    write_padded(out, us % US_IN_MS, DIGITS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_displayed() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        for us in [0, 1, 999, 1_000, 12_345, 60_000_007, u64::MAX] {
            let time = Duration::from_micros(us);
            assert_eq!(written(&|out| write_ms(out, time)), Ms(time).to_string());
        }
        assert_eq!(written(&|out| write_ms(out, Duration::MAX)), Ms(Duration::MAX).to_string());
        const USD: i128 = 1_000_000_000_000;
        for pico in
            [0, 1, 10, 1_500_000, USD - 1, USD, USD + 1, 3 * USD / 2, 1_000 * USD, i128::MAX, -1, -USD, i128::MIN]
        {
            let cost = PicoUsd(pico);
            assert_eq!(written(&|out| write_usd(out, cost)), Usd(cost).to_string());
            assert_eq!(written(&|out| write_pico(out, cost)), pico.to_string());
        }
    }
}
