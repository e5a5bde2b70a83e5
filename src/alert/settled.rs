//! What a record's line says of spending and of prices. It is read on the access log's thread.

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Alerts;
use super::spending::{Spender, Spike};
use crate::wire::json::Name;

/// What of a record is looked at.
#[derive(Debug, Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    tenant: Option<Name<'l>>,
    #[serde(borrow)]
    key_id: Option<Name<'l>>,
    #[serde(borrow, default)]
    tags: Vec<Name<'l>>,
    #[serde(borrow)]
    provider: Option<Name<'l>>,
    #[serde(borrow)]
    upstream_model: Option<Name<'l>>,
    usage: Option<IgnoredAny>,
    cost_pico_usd: Option<i128>,
    due_pico_usd: Option<i128>,
    #[serde(borrow, default)]
    timeline: Vec<Tried<'l>>,
}

#[derive(Debug, Deserialize)]
struct Tried<'l> {
    #[serde(borrow)]
    provider: Name<'l>,
    #[serde(borrow)]
    model: Name<'l>,
    input_tokens: Option<u64>,
    cost_pico_usd: Option<i128>,
    due_pico_usd: Option<i128>,
}

impl Alerts {
    pub(super) fn settled_at(&self, line: &[u8], unix_ms: u64) {
        let is_watching = self.spending().is_watching();
        // Most lines have a price, and are of no interest where nobody watches the spending.
        if !is_watching && memmem::find(line, br#""cost_pico_usd":null"#).is_none() {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return };
        let tenant = line.tenant.as_ref().map(|tenant| &*tenant.0);
        self.unpriced(&line, tenant);
        let lost = line.timeline.iter().filter_map(|tried| tried.cost_pico_usd.or(tried.due_pico_usd));
        let pico = lost.chain(line.cost_pico_usd.or(line.due_pico_usd)).fold(0_i128, i128::saturating_add);
        let pico = u64::try_from(pico.max(0)).unwrap_or(u64::MAX);
        if is_watching && pico > 0 {
            self.spent(&line, tenant, pico, unix_ms);
        }
    }

    fn unpriced(&self, line: &Line<'_>, tenant: Option<&str>) {
        if let (Some(_), None, Some(provider), Some(model)) =
            (&line.usage, line.cost_pico_usd, &line.provider, &line.upstream_model)
        {
            self.unknown_price(&provider.0, &model.0, tenant);
        }
        let lost = line.timeline.iter().filter(|it| it.input_tokens.is_some() && it.cost_pico_usd.is_none());
        for tried in lost {
            self.unknown_price(&tried.provider.0, &tried.model.0, tenant);
        }
    }

    fn spent(&self, line: &Line<'_>, tenant: Option<&str>, pico: u64, unix_ms: u64) {
        let key = line.key_id.as_ref().map(|key| &*key.0);
        let named = [(Spender::Tenant, tenant), (Spender::Key, key)];
        let named = named.into_iter().filter_map(|(who, name)| Some((who, name?)));
        let tags = line.tags.iter().map(|tag| (Spender::Tag, &*tag.0));
        let mut spikes: Vec<(Spender, &str, Spike)> = Vec::new();
        let mut spending = self.spending();
        for (who, name) in named.chain(tags) {
            spikes.extend(spending.spend(who, name, unix_ms, pico).map(|spike| (who, name, spike)));
        }
        drop(spending);
        for (who, name, spike) in spikes {
            // A tag may be several tenants'.
            let tenant = tenant.filter(|_| who != Spender::Tag);
            self.spend_spike(who, name, tenant, &spike);
        }
    }
}
