//! What an operator looks at first.

use http::StatusCode;

use super::query::Query;
use super::{Answer, Asked};
use crate::limit::clock::{Rfc3339, unix_ms};
use crate::store::{Overview, Spread, Stretch};
use crate::wire::json::Obj;

/// How long ago one may ask from, and the steps of it, in seconds.
const RANGES: [(&str, i64, i64); 6] = [
    ("15m", 900, 15),
    ("1h", 3_600, 60),
    ("6h", 21_600, 900),
    ("24h", 86_400, 1_800),
    ("7d", 604_800, 14_400),
    ("30d", 2_592_000, 86_400),
];

/// `{"since", "until", "step_s", "requests", ..., "ttft_ms": {"p50", "p95", "p99"}, "series": [...]}`
pub(super) fn overview(asked: &Asked<'_>) -> Answer {
    let mut wanted = match Query::read(&asked.query, &["since", "tenant"]) {
        Ok(wanted) => wanted,
        Err(refused) => return refused,
    };
    let since = wanted.take("since").unwrap_or_else(|| "1h".to_owned());
    let Some((_, length_s, step_s)) = RANGES.iter().find(|(name, ..)| *name == since) else {
        let names = RANGES.map(|(name, ..)| name).join(", ");
        return Answer::error(StatusCode::BAD_REQUEST, "invalid_query", &format!("`since`: expected one of {names}"));
    };
    let now_s = i64::try_from(unix_ms() / 1_000).unwrap_or_default();
    let until_s = now_s - now_s.rem_euclid(*step_s) + step_s;
    let stretch = Stretch { from_s: until_s - length_s, until_s, step_s: *step_s, tenant: wanted.take("tenant") };
    let Some(database) = asked.backend.database() else {
        return Answer::unavailable("the database is not open yet");
    };
    match database.overview(&stretch) {
        Ok(found) => Answer::json(StatusCode::OK, write(asked, &stretch, &found)),
        Err(error) => Answer::unavailable(&error.to_string()),
    }
}

fn write(asked: &Asked<'_>, stretch: &Stretch, found: &Overview) -> Vec<u8> {
    let moment = |second: i64| {
        let since = std::time::Duration::from_secs(count(second));
        Rfc3339(std::time::UNIX_EPOCH + since).to_string()
    };
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    root.text("since", &moment(stretch.from_s))
        .text("until", &moment(stretch.until_s))
        .num("step_s", count(stretch.step_s));
    // Of this process, whoever's they are.
    if stretch.tenant.is_none() {
        root.num("in_flight", asked.backend.in_flight()).num("throttled", asked.backend.throttled());
    }
    found.total.write(&mut root);
    for (name, spread) in
        [("ttft_ms", found.ttft_us), ("overhead_ms", found.overhead_us), ("duration_ms", found.duration_us)]
    {
        match spread {
            Some(spread) => write_spread(&mut root.obj(name), spread),
            None => _ = root.null(name),
        }
    }
    root.bool("sampled", found.is_sampled);
    let mut series = root.arr("series");
    let mut at = stretch.from_s;
    while at < stretch.until_s {
        let mut step = series.obj();
        step.num("at", count(at));
        found.steps.get(&at).copied().unwrap_or_default().write(&mut step);
        drop(step);
        at = at.saturating_add(stretch.step_s.max(1));
    }
    drop(series);
    drop(root);
    body
}

fn count(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_default()
}

fn write_spread(out: &mut Obj<'_>, spread: Spread) {
    let ms = |us: u64| format!("{}.{:03}", us / 1_000, us % 1_000);
    out.raw("p50", &ms(spread.p50)).raw("p95", &ms(spread.p95)).raw("p99", &ms(spread.p99));
}
