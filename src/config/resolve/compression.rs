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
    let (min_bytes, max_micros) = (raw.min_bytes.0, *raw.max_micros);
    let (prompt_cache, trim_tools, user_texts) = (*raw.prompt_cache, *raw.trim_tools, *raw.user_texts);
    Some(Rules { lossless, lossy, min_bytes, max_micros, prompt_cache, trim_tools, user_texts })
}
