//! How often, when and whom to ask again.

use std::time::Duration;

use crate::config::attempts::{AttemptRules, Patience, RetryShare};
use crate::config::raw::{Defaults, RetryBudget, Route, Timeouts};
use crate::config::read::{At, Context, Period};

/// More attempts than this only prolong a failure.
const MOST_RETRIES: u32 = 10;
/// Proxies on the way close after a minute of silence; longer would be no keep-alive.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);

/// What holds where no route says otherwise.
pub(super) fn defaults(raw: &Defaults, cx: &mut Context<'_>) -> AttemptRules {
    check_retries(&raw.retries, cx);
    check_silence(&raw.keepalive, cx);
    written(raw)
}

/// The same, unchecked.
pub(super) fn written(raw: &Defaults) -> AttemptRules {
    AttemptRules {
        retries: *raw.retries,
        backoff: raw.backoff.0,
        max_wait: raw.max_wait.0,
        resend: *raw.resend,
        keepalive: raw.keepalive.0,
        longer_context: false,
        continues: false,
        hedge: false,
        // Each deployment has them already.
        timeouts: Patience::default(),
    }
}

/// What a route says, and the defaults.
pub(super) fn of_route(raw: &Route, defaults: &AttemptRules, cx: &mut Context<'_>) -> AttemptRules {
    if let Some(retries) = &raw.retries {
        check_retries(retries, cx);
    }
    if let Some(keepalive) = &raw.keepalive {
        check_silence(keepalive, cx);
    }
    AttemptRules {
        retries: raw.retries.as_deref().copied().unwrap_or(defaults.retries),
        backoff: raw.backoff.as_ref().map_or(defaults.backoff, |p| p.0),
        max_wait: raw.max_wait.as_ref().map_or(defaults.max_wait, |p| p.0),
        resend: raw.resend.as_deref().copied().unwrap_or(defaults.resend),
        keepalive: raw.keepalive.as_ref().map_or(defaults.keepalive, |p| p.0),
        longer_context: *raw.longer_context,
        continues: *raw.continuation,
        hedge: *raw.hedge,
        timeouts: patience(&raw.timeouts),
    }
}

pub(super) fn budget(raw: &At<RetryBudget>, cx: &mut Context<'_>) -> RetryShare {
    if raw.percent.value > 100 {
        cx.say(raw.percent.place, "more second attempts than first ones").label("expected at most 100");
    }
    RetryShare { percent: *raw.percent, floor: *raw.floor }
}

fn patience(raw: &Timeouts) -> Patience {
    let said = |period: &Option<At<Period>>| period.as_ref().map(|p| p.0);
    Patience {
        connect: said(&raw.connect),
        first_token: said(&raw.first_token),
        idle: said(&raw.idle),
        total: said(&raw.total),
    }
}

fn check_retries(retries: &At<u32>, cx: &mut Context<'_>) {
    if retries.value > MOST_RETRIES {
        cx.say(retries.place, "too many retries").label(format!("expected at most {MOST_RETRIES}"));
    }
}

fn check_silence(keepalive: &At<crate::config::read::PeriodOrOff>, cx: &mut Context<'_>) {
    if keepalive.0.is_some_and(|silence| silence > LONGEST_SILENCE) {
        cx.say(keepalive.place, "too long a silence").label("expected at most 5m, or `off`");
    }
}
