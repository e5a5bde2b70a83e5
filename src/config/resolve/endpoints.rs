//! A provider with several endpoints is one deployment for each, of the provider's settings with the
//! endpoint's own in their place.

use std::collections::HashMap;

use crate::config::raw::{Endpoint, Provider};
use crate::config::read::{At, Context};
use crate::config::yaml::Place;

/// More would be a mistake, not a pool.
const MOST: usize = 256;

/// One endpoint: what it is called, and the settings it comes to.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) weight: u32,
    pub(super) settings: Provider,
}

/// The endpoints of a provider: at least one, unless the list is wrong.
pub(super) fn members(name: &At<String>, raw: &Provider, cx: &mut Context<'_>) -> Vec<Member> {
    let Some(listed) = &raw.endpoints else {
        return vec![Member { id: name.value.clone(), weight: 1, settings: raw.clone() }];
    };
    if listed.is_empty() || listed.len() > MOST {
        cx.say(listed.place, format!("{} endpoints", listed.len())).label(format!("expected 1 to {MOST}"));
    }
    if listed.iter().all(|endpoint| endpoint.weight.value == 0) && !listed.is_empty() {
        cx.say(listed.place, "all weights are 0").label("no endpoint would be asked first");
    }
    let mut seen: HashMap<String, Place> = HashMap::new();
    let mut members = Vec::with_capacity(listed.len());
    for (index, endpoint) in listed.iter().enumerate() {
        let own = endpoint.id.as_ref().map_or_else(|| (index + 1).to_string(), |id| id.0.clone());
        let place = endpoint.id.as_ref().map_or(endpoint.place, |id| id.place);
        let id = format!("{}#{own}", name.value);
        if let Some(first) = seen.insert(id.clone(), place) {
            cx.say(place, format!("two endpoints are called `{id}`")).also(first, "the other is");
        }
        members.push(Member { id, weight: endpoint.weight.value, settings: merged(raw, endpoint) });
    }
    members
}

/// The provider's settings with the endpoint's in their place.
fn merged(raw: &Provider, endpoint: &Endpoint) -> Provider {
    let mut settings = raw.clone();
    let own = ["api_key", "base_url", "region", "max_concurrency"];
    settings.written.extend(own.into_iter().filter(|name| endpoint.written.contains(name)));
    settings.api_key = endpoint.api_key.clone().or(settings.api_key);
    settings.base_url = endpoint.base_url.clone().or(settings.base_url);
    settings.region = endpoint.region.clone().or(settings.region);
    settings.max_concurrency = endpoint.max_concurrency.clone().or(settings.max_concurrency);
    settings
}
