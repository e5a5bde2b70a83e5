//! One request, as far as it is known: what the metrics, the access log, the ledger, alerts and the admin
//! API have of it.
//!
//! A [`Record`] only borrows. It is put together from a request that runs, or from the bytes that another
//! one was packed into ([`Record::pack`]): on the way of a request nothing but these bytes is made, in
//! one allocation, and everybody else (the log's writer, the folder, the access log's thread) reads them
//! where they are. Its line ([`Record::write_line`]) is what people see; `ledger::Row` is the same, owned.

mod line;
mod pack;
#[cfg(test)]
mod tests;
pub mod trace;
pub(crate) mod varint;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::config::runtime::Deployment;
use crate::usage::price::Charge;
use crate::usage::tokens::{Usage, UsageSource};

use trace::{Parent, TraceId};

pub use line::{Ms, Thousandths};
#[cfg(feature = "proxy")]
pub(crate) use line::{write_classes, write_ms};

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
    pub const ALL: [Self; 5] = [Self::Finished, Self::Failed, Self::ClientCut, Self::UpstreamCut, Self::Recovered];

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

/// What the gateway asks for by itself, for one of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whether an answer that is kept is one to a request.
    Cache,
    /// Whether a text may pass.
    Guard,
}

impl Purpose {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Guard => "guard",
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
    /// The model called tools of the gateway's, and gets what they gave.
    Tools,
    /// The answer was not the JSON that was asked for, and the model is told so.
    Repair,
    /// No attempt of the gateway's: the model that answered has asked another one by itself.
    Advice,
}

impl Why {
    pub const ALL: [Self; 8] = [
        Self::First,
        Self::Retry,
        Self::Fallback,
        Self::Hedge,
        Self::Continuation,
        Self::Tools,
        Self::Repair,
        Self::Advice,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Hedge => "hedge",
            Self::Continuation => "continuation",
            Self::Tools => "tools",
            Self::Repair => "repair",
            Self::Advice => "advice",
        }
    }
}

/// What became of an attempt that went well.
pub const OK: &str = "ok";

/// One attempt, once it is over, as its request keeps it.
#[derive(Debug, Clone)]
pub struct Tried {
    pub deployment: Arc<Deployment>,
    pub model: String,
    /// What the configuration calls the model, where that is another name.
    pub alias: Option<String>,
    pub why: Why,
    /// From the request's beginning.
    pub at: Duration,
    pub duration: Duration,
    /// [`OK`], or the cause of its failure.
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

/// One attempt, as a record has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    pub provider: &'a str,
    pub endpoint: &'a str,
    pub model: &'a str,
    pub why: Why,
    pub at: Duration,
    pub duration: Duration,
    pub outcome: &'a str,
    pub status: Option<u16>,
    pub error: Option<&'a str>,
    pub usage: Option<(Usage, UsageSource)>,
    pub service_tier: Option<&'a str>,
    pub charge: Charge,
}

impl Tried {
    pub fn step(&self) -> Step<'_> {
        Step {
            provider: &self.deployment.name,
            endpoint: &self.deployment.id,
            model: &self.model,
            why: self.why,
            at: self.at,
            duration: self.duration,
            outcome: self.outcome,
            status: self.status,
            error: self.error.as_deref(),
            usage: self.usage,
            service_tier: self.service_tier.as_deref(),
            charge: self.charge,
        }
    }
}

/// A tool of the gateway's that was run, as its request keeps it.
#[derive(Debug, Clone)]
pub struct Called {
    pub name: String,
    /// As the model called the call.
    pub id: Option<String>,
    /// From the request's beginning.
    pub at: Duration,
    pub duration: Duration,
    /// Why it failed, if it did.
    pub error: Option<&'static str>,
}

/// The same, as a record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolCall<'a> {
    pub name: &'a str,
    pub id: Option<&'a str>,
    pub at: Duration,
    pub duration: Duration,
    pub error: Option<&'a str>,
}

impl Called {
    fn call(&self) -> ToolCall<'_> {
        let Self { name, id, at, duration, error } = self;
        ToolCall { name, id: id.as_deref(), at: *at, duration: *duration, error: *error }
    }
}

/// A record's calls of tools: as its request has them, or as they were packed.
#[derive(Debug, Clone, Copy)]
pub enum ToolCalls<'a> {
    Called(&'a [Called]),
    Packed(&'a [u8]),
}

impl<'a> ToolCalls<'a> {
    pub const NONE: Self = Self::Called(&[]);

    pub fn iter(self) -> impl Iterator<Item = ToolCall<'a>> {
        let (called, packed): (&[Called], &[u8]) = match self {
            Self::Called(called) => (called, &[]),
            Self::Packed(bytes) => (&[], bytes),
        };
        called.iter().map(Called::call).chain(pack::calls(packed))
    }
}

/// Texts of a record: as its request has them, or as they were packed.
#[derive(Debug, Clone, Copy)]
pub enum Texts<'a> {
    Plain(&'a [String]),
    Packed(&'a [u8]),
}

impl<'a> Texts<'a> {
    pub const NONE: Self = Self::Plain(&[]);

    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let (plain, packed): (&[String], &[u8]) = match self {
            Self::Plain(texts) => (texts, &[]),
            Self::Packed(bytes) => (&[], bytes),
        };
        plain.iter().map(String::as_str).chain(pack::texts(packed))
    }
}

/// A record's attempts, in the order in which they ended: as its request has them, as somebody else has, or
/// as they were packed.
#[derive(Debug, Clone, Copy)]
pub enum Timeline<'a> {
    Tried(&'a [Tried]),
    Steps(&'a [Step<'a>]),
    Packed(&'a [u8]),
}

impl<'a> Timeline<'a> {
    pub const NONE: Self = Self::Tried(&[]);

    pub fn iter(self) -> impl Iterator<Item = Step<'a>> {
        let (tried, steps, packed): (&[Tried], &[Step<'_>], &[u8]) = match self {
            Self::Tried(tried) => (tried, &[], &[]),
            Self::Steps(steps) => (&[], steps, &[]),
            Self::Packed(bytes) => (&[], &[], bytes),
        };
        tried.iter().map(Tried::step).chain(steps.iter().copied()).chain(pack::steps(packed))
    }
}

/// See the module documentation. What is not known is `None`; a count that is not known is never 0.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub request_id: Uuid,
    pub client_request_id: Option<&'a str>,
    /// Of the trace that the request belongs to.
    pub trace_id: Option<TraceId>,
    /// As the client sent it.
    pub traceparent: Option<Parent>,
    pub started_at: SystemTime,
    pub tenant: Option<&'a str>,
    pub key_id: Option<&'a str>,
    /// Whom the request's `user` or metadata names.
    pub user: Option<&'a str>,
    pub tags: Texts<'a>,
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
    /// As the answer names it.
    pub response_model: Option<&'a str>,
    pub stream: bool,
    /// What the client saw.
    pub status: u16,
    pub outcome: Outcome,
    pub attempts: u32,
    pub fallback: bool,
    pub timeline: Timeline<'a>,
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
    pub dropped: Texts<'a>,
    /// Tokens that compression took from the request; `None` where there was none.
    pub compression_saved_tokens: Option<u64>,
    /// What saved them, with commas between.
    pub compression_strategies: Option<&'a str>,
    /// Tools of the gateway's that were run for it, each call, with commas between.
    pub tools_executed: Option<&'a str>,
    /// The same one by one, for spans.
    pub tool_calls: ToolCalls<'a>,
    /// What guards decided: `name:action:kind:count`.
    pub guards: Texts<'a>,
    /// `hit`, `miss` or `bypass`, where answers are kept.
    pub cache: Option<&'a str>,
    /// Of a hit that is the answer to a question that only means the same: how near they are, in thousandths.
    pub cache_similarity: Option<u16>,
    /// What the gateway made the request for, where it is no client's: `cache` or `guard`.
    pub purpose: Option<&'a str>,
    /// The error's code.
    pub error: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// A failed request of which nothing else is known yet.
    pub fn new(request_id: Uuid, started_at: SystemTime, format: &'a str) -> Self {
        Self {
            request_id,
            client_request_id: None,
            trace_id: None,
            traceparent: None,
            started_at,
            tenant: None,
            key_id: None,
            user: None,
            tags: Texts::NONE,
            format,
            route: None,
            route_reason: None,
            model: None,
            provider: None,
            upstream_model: None,
            response_model: None,
            stream: false,
            status: 0,
            outcome: Outcome::Failed,
            attempts: 0,
            fallback: false,
            timeline: Timeline::NONE,
            usage: None,
            usage_source: None,
            service_tier: None,
            charge: Charge::default(),
            price_version: None,
            duration: Duration::ZERO,
            ttft: None,
            overhead: Duration::ZERO,
            dropped: Texts::NONE,
            compression_saved_tokens: None,
            compression_strategies: None,
            tools_executed: None,
            tool_calls: ToolCalls::NONE,
            guards: Texts::NONE,
            cache: None,
            cache_similarity: None,
            purpose: None,
            error: None,
        }
    }

    /// The usage, where it tells tokens.
    pub fn told(&self) -> Option<&Usage> {
        self.usage.as_ref().filter(|usage| usage.tells_tokens())
    }

    /// For its client, or before its answer was complete.
    pub fn is_failure(&self) -> bool {
        self.status >= 400 || self.outcome != Outcome::Finished
    }

    /// In milliseconds since 1970.
    pub fn started_ms(&self) -> u64 {
        let since = self.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
