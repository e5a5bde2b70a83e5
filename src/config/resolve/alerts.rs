//! `alerts`.

use std::time::Duration;

use super::base_url;
use crate::config::alerts::{Alerts, SpendSpikes, Webhook, WebhookUrl};
use crate::config::raw::{self, Config};
use crate::config::read::{At, Context, nearest};
use crate::secret::Secret;

/// More cannot be told apart in a graph.
const MOST_WEBHOOKS: usize = 20;
/// Windows of history that are kept of each.
const MOST_WINDOWS: u128 = 1_000;
const SHORTEST_WINDOW: Duration = Duration::from_secs(60);

pub(super) fn alerts(config: &Config, cx: &mut Context<'_>) -> Alerts {
    let raw = &config.alerts.value;
    let mut webhooks: Vec<Webhook> = Vec::with_capacity(raw.webhooks.len());
    for one in raw.webhooks.iter().take(MOST_WEBHOOKS) {
        let Some(mut webhook) = webhook(one, config, cx) else { continue };
        let same = webhooks.iter().filter(|known| known.url.base.host == webhook.name).count();
        match &one.name {
            Some(name) if webhooks.iter().any(|known| known.name == webhook.name) => {
                cx.say(name.place, format!("two webhooks are called `{}`", webhook.name)).label("each name once");
            }
            // A host may have several: the second is `host:2`.
            None if same > 0 => webhook.name = format!("{}:{}", webhook.name, same + 1),
            _ => {}
        }
        webhooks.push(webhook);
    }
    if raw.webhooks.len() > MOST_WEBHOOKS {
        cx.say(raw.webhooks.place, "too many webhooks").label(format!("expected at most {MOST_WEBHOOKS}"));
    }
    Alerts {
        webhooks,
        spend_spikes: spikes(&raw.spend_spikes, cx),
        ledger_lag: raw.ledger_lag.0,
        endpoint_down: raw.endpoint_down.0,
        repeat_after: raw.repeat_after.0,
    }
}

fn webhook(raw: &raw::Webhook, config: &Config, cx: &mut Context<'_>) -> Option<Webhook> {
    let Some(url) = &raw.url else {
        if !raw.written.contains(&"url") {
            cx.say(raw.place, "a webhook without a URL").label("expected `url: https://...`");
        }
        return None;
    };
    let base = match base_url::plain(url.value.0.expose()) {
        Ok(base) => base,
        Err(expected) => {
            // The URL itself is not shown: it often is a secret.
            cx.say(url.place, "not a URL that can be called").label(format!("expected {expected}"));
            return None;
        }
    };
    let known = || config.tenants.entries.iter().map(|(name, _)| name.as_str());
    for name in raw.tenants.iter() {
        if !config.tenants_lost() && !known().any(|known| known == name.value) {
            cx.say(name.place, format!("no tenant is called `{}`", name.value))
                .label("expected a name of `tenants`")
                .did_you_mean(nearest(name, known()));
        }
    }
    Some(Webhook {
        name: raw.name.as_ref().map_or_else(|| base.host.clone(), |name| name.value.0.clone()),
        url: WebhookUrl { base, whole: Secret::new(url.value.0.expose()) },
        secret: raw.secret.as_ref().map(|secret| secret.value.0.clone()),
        format: raw.format.value.0,
        events: raw.events.iter().map(|event| event.value.0).collect(),
        tenants: raw.tenants.iter().map(|name| name.value.clone()).collect(),
    })
}

fn spikes(raw: &At<raw::SpendSpikes>, cx: &mut Context<'_>) -> Option<SpendSpikes> {
    let (window, history) = (raw.window.0, raw.history.0);
    if window < SHORTEST_WINDOW {
        cx.say(raw.window.place, "too short a time to be judged by").label("expected at least 1m");
    }
    let windows = history.as_millis() / window.as_millis().max(1);
    if !(2..=MOST_WINDOWS).contains(&windows) {
        cx.say(raw.history.place, "not a history that can be compared with")
            .label(format!("expected 2 to {MOST_WINDOWS} times `window`"));
    }
    let minimum = u64::try_from(raw.minimum_usd.0).unwrap_or(u64::MAX);
    let found = SpendSpikes { factor_percent: raw.factor.0, window, history, minimum };
    raw.active.then_some(found)
}
