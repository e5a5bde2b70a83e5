//! `telemetry`.

use std::sync::Arc;
use std::time::Duration;

use super::{base_url, capture, provider};
use crate::config::raw::{self, AccessLogFull};
use crate::config::read::{At, Context, Either};
use crate::config::telemetry::{AccessLog, Fraction, Otlp, Rotation, Telemetry};

const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// A smaller file is moved away with nearly every batch of lines.
const SMALLEST_FILE: usize = 1 << 20;
const MOST_OLD_FILES: u32 = 1_000;
/// The attributes that are written for all.
const OWN_RESOURCE: [&str; 3] = ["service.name", "service.version", "service.instance.id"];

pub(super) fn telemetry(raw: &raw::Telemetry, cx: &mut Context<'_>) -> Telemetry {
    let (access_log, records) = match &raw.access_log.value {
        Either::Plain(word) => (word.0.clone(), Fraction::ALL),
        Either::Full(full) => (access_log(full, cx), full.sample.value.0),
    };
    let otlp = raw.otlp.as_ref().and_then(|otlp| self::otlp(otlp, cx));
    Telemetry { access_log, records, otlp, capture: Arc::new(capture::capture(&raw.capture, cx)) }
}

fn access_log(full: &AccessLogFull, cx: &mut Context<'_>) -> AccessLog {
    let Some(rotate) = &full.rotate else { return full.path.value.0.clone() };
    if rotate.size.0 < SMALLEST_FILE {
        cx.say(rotate.size.place, "too small for a log file").label("expected at least 1MiB");
    }
    if *rotate.keep > MOST_OLD_FILES {
        cx.say(rotate.keep.place, "too many old files").label(format!("expected 0 to {MOST_OLD_FILES}"));
    }
    match &full.path.value.0 {
        AccessLog::File(path, _) => {
            let most_bytes = u64::try_from(rotate.size.0).unwrap_or(u64::MAX);
            AccessLog::File(path.clone(), Some(Rotation { most_bytes, keep: *rotate.keep }))
        }
        other => {
            cx.say(rotate.place, "only a file can be rotated").label("expected a `path` beside it");
            other.clone()
        }
    }
}

fn otlp(raw: &At<raw::Otlp>, cx: &mut Context<'_>) -> Option<Otlp> {
    if !cfg!(feature = "otlp") {
        cx.say(raw.place, "`otlp` is not in this build of Weir").label("expected a build with the feature `otlp`");
    }
    if raw.interval.0 < SHORTEST_INTERVAL {
        cx.say(raw.interval.place, "too short a time between exports").label("expected at least 1s");
    }
    for (name, _) in &raw.resource.entries {
        if OWN_RESOURCE.contains(&name.as_str()) {
            cx.say(name.place, format!("`{}` is not for you to set here", name.value))
                .label("the gateway writes it, with `service_name`");
        }
    }
    let headers = provider::header_list(&raw.headers, cx);
    let Some(endpoint) = &raw.endpoint else {
        if !raw.written.contains(&"endpoint") {
            cx.say(raw.place, "no collector to send to").label("expected `endpoint: http://otel:4318`");
        }
        return None;
    };
    let mut base = match base_url::bare(endpoint) {
        Ok(base) => base,
        Err(expected) => {
            cx.say(endpoint.place, "not the URL of a collector").label(format!("expected {expected}"));
            return None;
        }
    };
    base.path.truncate(base.path.trim_end_matches('/').len());
    Some(Otlp {
        endpoint: base,
        headers,
        traces: *raw.traces,
        metrics: *raw.metrics,
        logs: *raw.logs,
        sample: raw.sample.value.0,
        interval: raw.interval.0,
        service_name: raw.service_name.value.clone(),
        resource: raw.resource.entries.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect(),
    })
}
