//! The end of an exchange: usage, money, limits settled, one record.

use super::Gateway;
use super::context::Exchange;
use crate::error::Kind;
use crate::stage::translate::Turn;
use crate::telemetry::{Outcome, Record};
use crate::usage::price::amount;
use crate::usage::tokens::{Usage, UsageSource};

const CLIENT_CLOSED: u16 = 499;

/// Reads off the answer what was used, and prices it. May be called again as more is known.
fn count(x: &mut Exchange) {
    let Some(attempt) = &x.attempt else { return };
    let input_tokens = x.parsed.as_ref().map_or(0, |p| p.input_estimate_tokens);
    // A provider that was left alone with a request has read it, and will charge for it.
    let abandoned = || {
        let left = x.end.error.as_ref().is_some_and(|e| matches!(e.kind(), Kind::ClientGone | Kind::UpstreamTimeout));
        let usage = Usage { fresh_input_tokens: input_tokens, ..Usage::default() };
        (left && x.sent && input_tokens > 0).then_some((usage, UsageSource::Estimated))
    };
    // Where several were asked and one failed, the others are charged for.
    let partial = || {
        let Some(Turn::Embeddings(turn)) = &attempt.prepared.turn else { return None };
        let bodies: Option<Vec<&str>> = attempt.earlier.iter().map(|body| std::str::from_utf8(body).ok()).collect();
        let usage = bodies.filter(|bodies| !bodies.is_empty()).and_then(|bodies| turn.used(&bodies));
        Some((usage?, UsageSource::Partial))
    };
    let counted = attempt.answer.usage(input_tokens).or_else(partial).or_else(abandoned);
    let Some((usage, source)) = counted else { return };
    let info = attempt.target.info.as_ref();
    x.end.cost = info.and_then(|info| info.cost(&usage, attempt.answer.service_tier(), amount::day_of(x.started_at)));
    x.end.usage = Some(usage);
    x.end.usage_source = source;
}

impl Gateway {
    /// Counts what was used and charges it in place of what was reserved. Only the first charge
    /// counts.
    pub(super) fn settle(&self, x: &mut Exchange) {
        count(x);
        let Some(admission) = &mut x.admission else { return };
        match x.end.usage {
            Some(usage) => admission.settle(usage.total_tokens(), self.clock.now_ms()),
            None => admission.refund(self.clock.now_ms()),
        }
    }

    /// Settles limits and writes the one record. Only the first call counts.
    pub(super) fn close(&self, x: &mut Exchange) {
        if std::mem::replace(&mut x.end.closed, true) {
            return;
        }
        x.clock.pause();
        self.settle(x);
        self.telemetry.finish(&record(x));
    }
}

/// What the client saw, or 499 (nginx's word for it) where it left before it saw anything.
fn status(x: &Exchange) -> u16 {
    match (x.end.status, x.end.outcome) {
        (0, Outcome::ClientCut) => CLIENT_CLOSED,
        (status, _) => status,
    }
}

/// The row of a finished exchange.
fn record(x: &Exchange) -> Record<'_> {
    let endpoint = x.endpoint.map_or("unknown", |e| e.as_str());
    let attempt = x.attempt.as_ref();
    let key = x.caller.as_ref().map(|c| &c.key);
    Record {
        client_request_id: x.client_request_id.as_ref().and_then(|id| id.to_str().ok()),
        tenant: key.map(|k| k.tenant.id.as_str()),
        key_id: key.map(|k| k.id.as_str()),
        route: x.plan.as_ref().and_then(|p| p.route.as_ref()).map(|r| r.name.as_str()),
        model: x.parsed.as_ref().map(|p| p.model.as_str()).filter(|m| !m.is_empty()),
        provider: attempt.map(|a| a.target.deployment.name.as_str()),
        upstream_model: attempt.map(|a| a.target.model.as_str()).filter(|m| !m.is_empty()),
        stream: x.parsed.as_ref().is_some_and(|p| p.stream),
        status: status(x),
        outcome: x.end.outcome,
        attempts: x.attempts,
        fallback: x.fallback_used(),
        usage: x.end.usage,
        usage_source: x.end.usage.map(|_| x.end.usage_source),
        cost: x.end.cost,
        price_version: x.end.cost.map(|_| x.live.runtime.prices.version.as_str()),
        duration: x.started.elapsed(),
        ttft: x.end.first_byte,
        overhead: x.clock.spent(),
        dropped: attempt.map_or(&[], |a| a.prepared.dropped.paths()),
        error: x.end.error.as_ref().map(|e| e.code()),
        ..Record::new(x.request_id, x.started_at, endpoint)
    }
}
