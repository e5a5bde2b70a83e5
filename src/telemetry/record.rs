//! One finished request, and its line: what the access log, the ledger and the admin API have of it.
//! `ledger::Row` reads it.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::config::runtime::Deployment;
use crate::limit::clock::Rfc3339;
use crate::usage::price::{Charge, Usd};
use crate::usage::tokens::{Usage, UsageSource};
use crate::wire::json::Obj;

/// How an admitted request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    Failed,
    ClientCut,
    UpstreamCut,
    /// Found open after a crash.
    Recovered,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::ClientCut => "client_cut",
            Self::UpstreamCut => "upstream_cut",
            Self::Recovered => "recovered",
        }
    }
}

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    First,
    /// The same target again.
    Retry,
    /// Another target.
    Fallback,
    /// The first one was late.
    Hedge,
    /// A stream broke and goes on from another target.
    Continuation,
}

impl Why {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Hedge => "hedge",
            Self::Continuation => "continuation",
        }
    }
}

/// One attempt, once it is over.
#[derive(Debug, Clone)]
pub struct Tried {
    pub deployment: Arc<Deployment>,
    pub model: String,
    pub why: Why,
    /// From the request's beginning.
    pub at: Duration,
    pub duration: Duration,
    /// `ok`, or the cause of its failure.
    pub outcome: &'static str,
    /// The provider's.
    pub status: Option<u16>,
    /// The error's code.
    pub error: Option<String>,
    /// What an attempt used that is not the one that answered: it is in no other count of the row.
    pub usage: Option<(Usage, UsageSource)>,
    /// Which prices held, as its answer said.
    pub service_tier: Option<String>,
    pub charge: Charge,
}

impl Tried {
    fn write(&self, row: &mut Obj<'_>) {
        row.text("provider", &self.deployment.name).text("endpoint", &self.deployment.id);
        row.text("model", &self.model).text("kind", self.why.as_str());
        write_ms(row.key("at_ms"), self.at);
        write_ms(row.key("duration_ms"), self.duration);
        row.text("outcome", self.outcome);
        number(row, "status", self.status.map(u64::from));
        text(row, "error", self.error.as_deref());
        if let Some((usage, source)) = &self.usage {
            row.num("input_tokens", usage.input_tokens()).num("output_tokens", usage.output_tokens());
            row.text("usage_source", source.as_str());
            write_classes(row, usage);
            if let Some(tier) = &self.service_tier {
                row.text("service_tier", tier);
            }
            match self.charge.cost() {
                Some(cost) => {
                    let _ = write!(row.key("cost_pico_usd"), "{}", cost.0);
                }
                None => {
                    row.null("cost_pico_usd");
                }
            }
            write_due(row, self.charge);
        }
    }
}

/// See the module documentation. What is not known is `None`, and `null` in the line; a count that is
/// not known is never 0.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    pub request_id: Uuid,
    pub client_request_id: Option<&'a str>,
    pub started_at: SystemTime,
    pub tenant: Option<&'a str>,
    pub key_id: Option<&'a str>,
    /// Whom the request's `user` or metadata names.
    pub user: Option<&'a str>,
    pub tags: &'a [String],
    /// `chat`, `messages` ...: what the client spoke.
    pub format: &'a str,
    /// Of a virtual model; none where the client named `provider/model`.
    pub route: Option<&'a str>,
    /// What put the first target first, where there was a choice.
    pub route_reason: Option<&'a str>,
    /// As the client wrote it.
    pub model: Option<&'a str>,
    pub provider: Option<&'a str>,
    /// As the provider was asked for it.
    pub upstream_model: Option<&'a str>,
    pub stream: bool,
    /// What the client saw.
    pub status: u16,
    pub outcome: Outcome,
    pub attempts: u32,
    pub fallback: bool,
    pub timeline: &'a [Tried],
    pub usage: Option<Usage>,
    pub usage_source: Option<UsageSource>,
    /// Which prices held, as the answer said.
    pub service_tier: Option<&'a str>,
    pub charge: Charge,
    pub price_version: Option<&'a str>,
    pub duration: Duration,
    pub ttft: Option<Duration>,
    pub overhead: Duration,
    /// Member paths that the target could not express.
    pub dropped: &'a [String],
    /// The error's code.
    pub error: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// A failed request of which nothing else is known yet.
    pub fn new(request_id: Uuid, started_at: SystemTime, format: &'a str) -> Self {
        Self {
            request_id,
            client_request_id: None,
            started_at,
            tenant: None,
            key_id: None,
            user: None,
            tags: &[],
            format,
            route: None,
            route_reason: None,
            model: None,
            provider: None,
            upstream_model: None,
            stream: false,
            status: 0,
            outcome: Outcome::Failed,
            attempts: 0,
            fallback: false,
            timeline: &[],
            usage: None,
            usage_source: None,
            service_tier: None,
            charge: Charge::default(),
            price_version: None,
            duration: Duration::ZERO,
            ttft: None,
            overhead: Duration::ZERO,
            dropped: &[],
            error: None,
        }
    }

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

    fn write_who(&self, row: &mut Obj<'_>) {
        let id = &mut Uuid::encode_buffer();
        row.text("request_id", self.request_id.hyphenated().encode_lower(id));
        text(row, "client_request_id", self.client_request_id);
        let _ = write!(row.key("started_at"), "\"{}\"", Rfc3339(self.started_at));
        text(row, "tenant", self.tenant);
        text(row, "key_id", self.key_id);
        text(row, "user", self.user);
        let mut tags = row.arr("tags");
        for tag in self.tags {
            tags.text(tag);
        }
    }

    fn write_what(&self, row: &mut Obj<'_>) {
        row.text("format", self.format);
        text(row, "route", self.route);
        if let Some(reason) = self.route_reason {
            row.text("route_reason", reason);
        }
        text(row, "model", self.model);
        text(row, "provider", self.provider);
        text(row, "upstream_model", self.upstream_model);
        row.bool("stream", self.stream);
        row.num("status", u64::from(self.status));
        row.text("outcome", self.outcome.as_str());
        row.num("attempts", u64::from(self.attempts));
        row.bool("fallback", self.fallback);
    }

    fn write_usage(&self, row: &mut Obj<'_>) {
        let usage = self.usage.as_ref();
        let told = usage.filter(|usage| usage.tells_tokens());
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
        for path in self.dropped {
            dropped.text(path);
        }
        drop(dropped);
        text(row, "error", self.error);
        let mut timeline = row.arr("timeline");
        for tried in self.timeline {
            tried.write(&mut timeline.obj());
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
fn write_classes(row: &mut Obj<'_>, usage: &Usage) {
    let mut classes = row.obj("usage");
    let all = [
        ("fresh_input", usage.fresh_input_tokens),
        ("cached", usage.cached_tokens),
        ("cache_write", usage.cache_write_tokens),
        ("cache_write_1h", usage.cache_write_1h_tokens),
        ("audio_input", usage.audio_input_tokens),
        ("image_input", usage.image_input_tokens),
        ("visible_output", usage.visible_output_tokens),
        ("reasoning", usage.reasoning_tokens),
        ("audio_output", usage.audio_output_tokens),
        ("image_output", usage.image_output_tokens),
        ("search_units", usage.search_units),
        ("images", usage.images),
        ("audio_seconds", usage.audio_seconds),
        ("characters", usage.characters),
        ("web_searches", usage.web_searches),
        ("upstream_cost_pico_usd", usage.charged_pico_usd),
    ];
    for (name, count) in all.into_iter().filter(|(_, count)| *count > 0) {
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
fn write_ms(out: &mut Vec<u8>, duration: Duration) {
    let us = duration.as_micros();
    let _ = write!(out, "{}.{:03}", us / 1_000, us % 1_000);
}
