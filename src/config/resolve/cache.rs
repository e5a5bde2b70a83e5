//! `cache`.

use std::sync::Arc;

use crate::config::cache::{Caching, Shelf};
use crate::config::raw::{self, Config};
use crate::config::read::{At, Context};

/// Of a tenant, a key or a route; `None` where nothing is said.
pub(super) fn caching(raw: Option<&At<raw::Caching>>, cx: &mut Context<'_>) -> Option<Arc<Caching>> {
    let raw = &raw?.value;
    if *raw.share > 100 {
        cx.say(raw.share.place, "more than the price").label("expected a percentage from 0 to 100");
    }
    Some(Arc::new(Caching {
        ttl: raw.ttl.0,
        any: *raw.any,
        max_entry_bytes: raw.max_entry.0,
        share_percent: *raw.share,
        namespace: raw.namespace.as_ref().map(|name| name.value.clone()),
        ignore: raw.ignore.iter().map(|word| word.value.0).collect(),
    }))
}

/// Of the process.
pub(super) fn shelf(raw: &Config, cx: &mut Context<'_>) -> Shelf {
    let shelf = &raw.cache;
    if *shelf.shared && raw.state.shared.is_none() && !raw.state.written.contains(&"shared") {
        cx.say(shelf.shared.place, "there is no store to share answers in")
            .label("expected `state.shared` too")
            .help("`state: {shared: redis://...}` is the store");
    }
    Shelf { memory_bytes: u64::try_from(shelf.memory.0).unwrap_or(u64::MAX), is_shared: *shelf.shared }
}
