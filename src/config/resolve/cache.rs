//! `cache`.

use std::sync::Arc;

use crate::config::cache::{Caching, Semantic, Shelf};
use crate::config::raw::{self, Config};
use crate::config::read::{At, Context, nearest};

/// Of a tenant, a key or a route; `None` where nothing is said.
pub(super) fn caching(raw: Option<&At<raw::Caching>>, config: &Config, cx: &mut Context<'_>) -> Option<Arc<Caching>> {
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
        semantic: raw.semantic.as_ref().and_then(|raw| semantic(raw, config, cx)),
    }))
}

fn semantic(raw: &raw::Semantic, config: &Config, cx: &mut Context<'_>) -> Option<Semantic> {
    if raw.threshold.value.0.0 == 0 {
        cx.say(raw.threshold.place, "everything would be the same").label("expected more than 0");
    }
    let Some(model) = &raw.model else {
        if !raw.written.contains(&"model") {
            cx.say(raw.place, "no model that embeds texts").label("expected `model: provider/model`");
        }
        return None;
    };
    asked(model, config, cx);
    Some(Semantic { model: model.value.clone(), threshold: raw.threshold.value.0, timeout: raw.timeout.0 })
}

/// Says so where a model that the gateway is to ask by itself can be no provider's and no route.
pub(super) fn asked(model: &At<String>, config: &Config, cx: &mut Context<'_>) {
    let routes = config.routes.entries.iter().map(|(name, _)| name.value.as_str());
    let providers = || config.providers.entries.iter().map(|(name, _)| name.as_str());
    let is_route = routes.clone().any(|name| name == model.value);
    let prefix = model.split_once('/').map(|(prefix, _)| prefix);
    let is_providers = prefix.is_some_and(|prefix| providers().any(|name| name == prefix));
    if !(is_route || is_providers || config.providers_lost()) {
        let near = match prefix {
            Some(prefix) => nearest(prefix, providers()).map(|near| model.value.replacen(prefix, near, 1)),
            None => nearest(&model.value, routes).map(str::to_owned),
        };
        cx.say(model.place, format!("no provider or route serves `{}`", model.value))
            .label("expected `provider/model` of a provider above, or a route")
            .did_you_mean(near.as_deref());
    }
}

/// Of the process.
pub(super) fn shelf(raw: &Config, cx: &mut Context<'_>) -> Shelf {
    let shelf = &raw.cache;
    if *shelf.shared && raw.state.shared.is_none() && !raw.state.written.contains(&"shared") {
        cx.say(shelf.shared.place, "there is no store to share answers in")
            .label("expected `state.shared` too")
            .help("`state: {shared: redis://...}` is the store");
    }
    let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    Shelf { memory_bytes: bytes(shelf.memory.0), is_shared: *shelf.shared, questions_bytes: bytes(shelf.questions.0) }
}
