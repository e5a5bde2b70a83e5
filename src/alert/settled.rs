//! What a record says of spending and of prices. It is looked at on the access log's thread.

use super::Alerts;
use super::spending::{Spender, Spike};
use crate::record::Record;

impl Alerts {
    pub(super) fn settled_at(&self, record: &Record<'_>, unix_ms: u64) {
        self.unpriced(record);
        let mut spending = self.spending();
        if !spending.is_watching() {
            return;
        }
        let lost = record.timeline.iter().filter(|step| step.usage.is_some()).map(|step| step.charge);
        let charges = lost.chain([record.charge]);
        let pico = charges.filter_map(|charge| charge.cost().or_else(|| charge.due())).map(|pico| pico.0);
        let pico = pico.fold(0_i128, i128::saturating_add);
        let pico = u64::try_from(pico.max(0)).unwrap_or(u64::MAX);
        if pico == 0 {
            return;
        }
        let named = [(Spender::Tenant, record.tenant), (Spender::Key, record.key_id)];
        let named = named.into_iter().filter_map(|(who, name)| Some((who, name?)));
        let tags = record.tags.iter().map(|tag| (Spender::Tag, tag));
        let mut spikes: Vec<(Spender, &str, Spike)> = Vec::new();
        for (who, name) in named.chain(tags) {
            spikes.extend(spending.spend(who, name, unix_ms, pico).map(|spike| (who, name, spike)));
        }
        drop(spending);
        for (who, name, spike) in spikes {
            // A tag may be several tenants'.
            let tenant = record.tenant.filter(|_| who != Spender::Tag);
            self.spend_spike(who, name, tenant, &spike);
        }
    }

    fn unpriced(&self, record: &Record<'_>) {
        if let (Some(_), None, Some(provider), Some(model)) =
            (&record.usage, record.charge.cost(), record.provider, record.upstream_model)
        {
            self.unknown_price(provider, model, record.tenant);
        }
        for step in record.timeline.iter().filter(|step| step.usage.is_some() && step.charge.cost().is_none()) {
            self.unknown_price(step.provider, step.model, record.tenant);
        }
    }
}
