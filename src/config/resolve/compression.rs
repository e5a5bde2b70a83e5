//! `compression`.

use crate::compress::Rules;
use crate::config::raw::Compression;
use crate::config::read::{At, Context};

/// `None` where nothing is said.
pub(super) fn rules(raw: Option<&At<Compression>>, cx: &mut Context<'_>) -> Option<Rules> {
    let raw = &raw?.value;
    if raw.max_micros.value == 0 {
        cx.say(raw.max_micros.place, "no time for anything")
            .label("expected at least 1; `lossless: false` switches it off");
    }
    let (lossless, lossy) = (*raw.lossless, *raw.lossy);
    Some(Rules { lossless, lossy, min_bytes: raw.min_bytes.0, max_micros: *raw.max_micros })
}
