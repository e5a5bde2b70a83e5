//! The end of an exchange: usage, money, limits settled, one record.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Gateway;
use super::context::{Exchange, Outcome};
use crate::usage::tokens::UsageSource;

const SECONDS_PER_DAY: u64 = 86_400;

/// Reads off the answer what was used, and prices it. May be called again as more is known.
pub(super) fn count(x: &mut Exchange) {
    let Some(attempt) = &x.attempt else { return };
    let estimate = x.parsed.as_ref().map_or(0, |p| p.input_estimate_tokens);
    let Some((usage, source)) = attempt.answer.usage(estimate) else { return };
    let info = attempt.target.info.as_ref();
    x.end.cost = info.and_then(|info| info.cost(&usage, attempt.answer.service_tier(), day(x.started_at)));
    x.end.usage = Some(usage);
    x.end.usage_source = source;
}

fn day(at: SystemTime) -> i64 {
    let days = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() / SECONDS_PER_DAY);
    i64::try_from(days).unwrap_or(i64::MAX)
}

impl Gateway {
    /// Settles limits and writes the one record. Only the first call counts.
    pub(super) fn close(&self, x: &mut Exchange) {
        if std::mem::replace(&mut x.end.closed, true) {
            return;
        }
        count(x);
        if x.end.outcome != Outcome::Finished && x.end.usage_source == UsageSource::Reported && x.end.error.is_some() {
            x.end.usage_source = UsageSource::Partial;
        }
        if let Some(mut admission) = x.admission.take() {
            match x.end.usage {
                Some(usage) => admission.settle(usage.total_tokens(), self.clock.now_ms()),
                None => admission.refund(self.clock.now_ms()),
            }
        }
    }
}
