//! `telemetry.capture`.

use std::time::Duration;

use crate::config::capture::Capture;
use crate::config::raw;
use crate::config::read::Context;

/// What is for debugging is of no use after a month, and a risk until then.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// One exchange has room.
const LEAST_BYTES: usize = 16 << 20;

pub(super) fn capture(raw: &raw::Capture, cx: &mut Context<'_>) -> Capture {
    if raw.keep.0 > LONGEST {
        cx.say(raw.keep.place, "too long for what clients and providers said").label("expected at most 31d");
    }
    if raw.max_bytes.0 < LEAST_BYTES {
        cx.say(raw.max_bytes.place, "no room for a large exchange").label("expected at least 16MiB");
    }
    Capture {
        key: raw.key.as_ref().map(|key| key.value.0.clone()),
        most_bytes: u64::try_from(raw.max_bytes.0).unwrap_or(u64::MAX),
        keep: raw.keep.0,
        redact: raw.redact.iter().map(|rule| rule.value.0.clone()).collect(),
    }
}
