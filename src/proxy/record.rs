//! The row of a request: what is known of it, and when the ledger's log is told.

use std::time::Duration;

use super::Gateway;
use super::cache;
use super::close::price;
use super::context::{Attempt, Exchange, Sealed};
use crate::error::{Error, Kind, Result};
use crate::record::{Outcome, Purpose, Record, Texts, Timeline, ToolCalls};
use crate::telemetry::trace::Trace;
use crate::usage::price::Charge;
use crate::usage::tokens::{Usage, UsageSource};

/// A full disk has no timetable.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const CLIENT_CLOSED: u16 = 499;

impl Gateway {
    /// An attempt is about to be made: on record before its first byte goes out. What stands there is the
    /// row that holds if nothing more is heard of the request.
    pub(super) fn foresee(&self, x: &Exchange, attempt: &Attempt) -> Result<()> {
        if let Some(runs) = &x.runs {
            runs.tell(&of(x, Some(attempt)));
        }
        let (Some(log), Some(entry)) = (&self.log, &x.entry) else { return Ok(()) };
        let input_tokens = x.parsed.as_ref().map_or(0, |parsed| parsed.input_estimate_tokens);
        let usage = Usage { fresh_input_tokens: input_tokens, ..Usage::default() };
        let row = so_far(x, attempt, usage, UsageSource::Estimated).pack();
        log.attempt(entry, &row).map_err(|why| {
            let text =
                "the request cannot be recorded, so it was not made: the gateway's ledger is full or its disk is";
            Error::new(Kind::Unrecorded, text).with_detail(why).with_retry_after(RETRY_AFTER)
        })
    }

    /// To who looks at what runs. Where nobody does, this is one look at a number.
    pub(super) fn show(&self, x: &mut Exchange) {
        let running = self.telemetry.running();
        if x.runs.is_none() && running.is_watched() {
            x.runs = Some(running.begin(&begun(x)));
        }
    }

    /// How far the answer has come.
    pub(super) fn note_progress(&self, x: &mut Exchange) {
        self.show(x);
        let (Some(log), Some(entry), Some(attempt)) = (&self.log, &x.entry, &x.attempt) else { return };
        let input_tokens = x.parsed.as_ref().map_or(0, |parsed| parsed.input_estimate_tokens);
        if let Some((usage, source)) = attempt.answer.usage(input_tokens) {
            log.progress(entry, &so_far(x, attempt, usage, source).pack());
        }
    }

    /// The answer is complete, and the client is about to have all of it: what is on record from here is
    /// the row, whatever happens to this process. Only the first call counts.
    pub(super) fn seal(&self, x: &mut Exchange) {
        let (Some(log), None) = (&self.log, &x.end.sealed) else { return };
        if x.entry.is_none() {
            return;
        }
        if x.end.error.is_none() {
            x.end.outcome = Outcome::Finished;
        }
        self.put_last(x);
        let row = of(x, x.attempt.as_ref()).pack();
        if let Some(entry) = &x.entry {
            log.settle(entry, &row);
        }
        x.end.sealed = Some(Sealed { row, status: status(x), outcome: x.end.outcome });
    }

    /// The request is over: its row, packed, as it was sealed or as it turned out after all.
    pub(super) fn end_row(&self, x: &mut Exchange) -> Vec<u8> {
        let sealed = x.end.sealed.take().filter(|sealed| (sealed.status, sealed.outcome) == (status(x), x.end.outcome));
        let is_sealed = sealed.is_some();
        let row = sealed.map_or_else(|| of(x, x.attempt.as_ref()).pack(), |sealed| sealed.row);
        if let (Some(log), Some(entry)) = (&self.log, &x.entry) {
            log.close(entry, (!is_sealed).then_some(&row));
        }
        row
    }
}

/// The row of a request that runs. Its provider is known before it is asked where there is no other.
fn begun(x: &Exchange) -> Record<'_> {
    let record = of(x, x.attempt.as_ref());
    let targets = x.plan.as_ref().map(|plan| plan.targets.as_slice()).unwrap_or_default();
    let first = targets.first().map(|target| target.deployment.name.as_str());
    let only = first.filter(|name| targets.iter().all(|target| target.deployment.name == *name));
    Record { provider: record.provider.or(only), ..record }
}

/// The row of a request whose process ends now.
fn so_far<'x>(x: &'x Exchange, attempt: &'x Attempt, usage: Usage, source: UsageSource) -> Record<'x> {
    let charge = price(x, attempt, &usage);
    Record {
        outcome: Outcome::Recovered,
        usage: Some(usage),
        usage_source: Some(source),
        charge,
        price_version: price_version(x, charge),
        ..of(x, Some(attempt))
    }
}

/// Which prices held, where any did.
fn price_version(x: &Exchange, charge: Charge) -> Option<&str> {
    charge.cost().or_else(|| charge.due()).map(|_| x.live.runtime.prices.version.as_str())
}

/// What the client saw, or 499 (nginx's word for it) where it left before it saw anything.
fn status(x: &Exchange) -> u16 {
    match (x.end.status, x.end.outcome) {
        (0, Outcome::ClientCut) => CLIENT_CLOSED,
        (status, _) => status,
    }
}

/// The row as far as it is known. `attempt` is the one that answers, or may.
pub(super) fn of<'x>(x: &'x Exchange, attempt: Option<&'x Attempt>) -> Record<'x> {
    let endpoint = x.endpoint.map_or("unknown", |e| e.as_str());
    let key = x.caller.as_ref().map(|c| &c.key);
    Record {
        client_request_id: x.client_request_id.as_ref().and_then(|id| id.to_str().ok()),
        trace_id: x.trace.as_ref().map(Trace::id),
        traceparent: x.trace.as_ref().and_then(Trace::parent),
        tenant: key.map(|k| k.tenant.id.as_str()),
        key_id: key.map(|k| k.id.as_str()),
        route: x.plan.as_ref().and_then(|p| p.route.as_ref()).map(|r| r.name.as_str()),
        route_reason: x.plan.as_ref().and_then(|p| p.reason.as_deref().or(p.chosen_by)),
        model: x.parsed.as_ref().map(|p| p.model.as_str()).filter(|m| !m.is_empty()),
        provider: attempt.map(|a| a.target.deployment.name.as_str()),
        upstream_model: attempt.map(|a| a.target.model.as_str()).filter(|m| !m.is_empty()),
        response_model: attempt.and_then(|a| a.answer.model()),
        stream: x.parsed.as_ref().is_some_and(|p| p.stream),
        status: status(x),
        outcome: x.end.outcome,
        attempts: x.attempts,
        fallback: x.fallback_used(),
        timeline: Timeline::Tried(&x.timeline),
        user: x.user.as_deref(),
        tags: Texts::Plain(&x.tags),
        usage: x.end.usage,
        usage_source: x.end.usage.map(|_| x.end.usage_source),
        service_tier: attempt.and_then(|a| a.answer.service_tier()),
        charge: x.end.charge,
        price_version: price_version(x, x.end.charge),
        duration: x.started.elapsed(),
        ttft: x.end.first_byte,
        overhead: x.clock.spent(),
        dropped: attempt.map_or(Texts::NONE, |a| Texts::Plain(a.prepared.dropped.paths())),
        compression_saved_tokens: x.compression.as_ref().map(|done| done.savings.total()),
        tools_executed: x.tool_calls.names(),
        tool_calls: ToolCalls::Called(x.tool_calls.all()),
        compression_strategies: x
            .compression
            .as_ref()
            .map(|done| done.names.as_str())
            .filter(|names| !names.is_empty()),
        guards: Texts::Plain(&x.decisions),
        cache: attempt.and_then(|attempt| cache::word(x, attempt)),
        cache_similarity: attempt.and_then(cache::similarity),
        purpose: x.purpose.map(Purpose::as_str),
        error: x.end.error.as_ref().map(|e| e.code()),
        ..Record::new(x.request_id, x.started_at, endpoint)
    }
}
