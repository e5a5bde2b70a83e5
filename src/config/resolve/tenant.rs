//! `tenants`.

use std::collections::HashMap;
use std::sync::Arc;

use super::auth::Written;
use super::guard::Guards;
use super::limits::Found;
use super::provider::labels;
use super::reach::Reach;
use super::{cache, compression};
use crate::config::access::{JWT, Previous};
use crate::config::budget::Budget;
use crate::config::guards::Guarding;
use crate::config::raw::{self, Config};
use crate::config::read::{At, Context, Name, nearest};
use crate::config::runtime::{Key, Limits, ModelPattern, Runtime, Share, Tenant};

use crate::config::yaml::Place;

/// Longer tags of requests are left out (`stage::parse`).
const MOST_TAG_BYTES: usize = 64;

type Keys = HashMap<[u8; 32], Arc<Key>>;

/// Tenants in the order of the file, and all keys by hash.
pub(super) fn tenants(
    raw: &Config,
    reach: &mut Reach<'_>,
    guards: &Guards<'_>,
    cx: &mut Context<'_>,
) -> (Vec<Arc<Tenant>>, Keys) {
    if raw.tenants.entries.is_empty() && !raw.tenants_lost() {
        cx.say(raw.tenants.place, "no tenants: nobody could use the gateway")
            .label("expected at least one: there is no open mode")
            .help("`weir keys create --print --tenant NAME` prints a key and the lines for this file");
    }
    let mut all = Vec::with_capacity(raw.tenants.entries.len());
    let mut book = Book::default();
    for (id, settings) in &raw.tenants.entries {
        if let Err(expected) = Name::check(id) {
            cx.say(id.place, "not a name for a tenant").label(format!("expected {expected}"));
        }
        let (mut tenant, own) = tenant(id, settings, raw, reach, cx);
        tenant.guards = guards.named(&settings.guards, cx);
        let tenant = Arc::new(tenant);
        let listed = settings.keys.as_ref().map_or(&[][..], |k| k.value.as_slice());
        for key in listed {
            let own_guards = guards.named(&key.guards, cx);
            book.add((key, own_guards), raw, (&tenant, &own), reach, cx);
        }
        all.push(tenant);
    }
    (all, book.keys)
}

fn tenant(
    id: &str,
    raw: &raw::Tenant,
    config: &Config,
    reach: &mut Reach<'_>,
    cx: &mut Context<'_>,
) -> (Tenant, Found) {
    let own = Found::read(&raw.limits, &raw.budgets, cx);
    let tenant = Tenant {
        id: id.to_owned(),
        models: reach.patterns(&raw.models, cx),
        limits: own.limits,
        model_limits: model_limits(raw, &own, reach, cx),
        budgets: own.budgets.clone(),
        model_budgets: model_budgets(raw, &own, reach, cx),
        users: users(raw, &own, cx),
        tags: tags(raw, &own, cx),
        strict: raw.strict.as_deref().copied().unwrap_or(*config.defaults.strict),
        providers: providers(&raw.providers, config, cx),
        regions: raw.regions.iter().map(|pattern| ModelPattern(pattern.value.clone())).collect(),
        require: labels(&raw.require),
        weight: weight(&raw.weight, cx),
        edge_tools: super::tools::edge(raw.edge_tools.as_ref(), config, cx),
        compression: compression::rules(raw.compression.as_ref(), cx),
        guards: Vec::new(),
        cache: cache::caching(raw.cache.as_ref(), config, cx),
    };
    (tenant, own)
}

fn model_limits(
    raw: &raw::Tenant,
    tenant: &Found,
    reach: &mut Reach<'_>,
    cx: &mut Context<'_>,
) -> Vec<(ModelPattern, Limits)> {
    let one = |(name, limits): &(At<String>, raw::Limits)| {
        let found = Found::limits(limits, cx);
        found.within(tenant, cx);
        (reach.pattern(name, cx), found.limits)
    };
    raw.model_limits.entries.iter().map(one).collect()
}

fn model_budgets(
    raw: &raw::Tenant,
    tenant: &Found,
    reach: &mut Reach<'_>,
    cx: &mut Context<'_>,
) -> Vec<(ModelPattern, Vec<Budget>)> {
    let one = |(name, budgets): &(At<String>, Vec<raw::Budget>)| {
        if budgets.is_empty() {
            cx.say(name.place, format!("no budgets for `{}`", name.value)).label("expected a list of budgets");
        }
        let found = Found::budgets(&At { value: budgets.clone(), place: name.place }, cx);
        found.within(tenant, cx);
        (reach.pattern(name, cx), found.budgets)
    };
    raw.model_budgets.entries.iter().map(one).collect()
}

fn users(raw: &raw::Tenant, tenant: &Found, cx: &mut Context<'_>) -> Share {
    let found = Found::read(&raw.users.limits, &raw.users.budgets, cx);
    found.within(tenant, cx);
    let share = found.into_share();
    let says = |name| raw.users.written.contains(&name);
    if raw.written.contains(&"users") && !says("limits") && !says("budgets") {
        cx.say(raw.users.place, "`users` says nothing").label("expected `limits` or `budgets`");
    }
    share
}

/// Patterns of tags with what each has. One that no tag can match does nothing.
fn tags(raw: &raw::Tenant, tenant: &Found, cx: &mut Context<'_>) -> Vec<(ModelPattern, Share)> {
    let mut all = Vec::with_capacity(raw.tags.entries.len());
    for (name, settings) in &raw.tags.entries {
        let found = Found::read(&settings.limits, &settings.budgets, cx);
        found.within(tenant, cx);
        if settings.written.is_empty() {
            cx.say(name.place, format!("the tag `{}` has nothing", name.value)).label("expected `limits` or `budgets`");
        }
        let shortest = name.value.len() - name.value.matches('*').count();
        if name.value.is_empty() || name.value.trim() != name.value || shortest > MOST_TAG_BYTES {
            cx.say(name.place, "no tag is called so").label(format!(
                "expected a tag such as `team=search`, or a pattern, of at most {MOST_TAG_BYTES} bytes"
            ));
        }
        all.push((ModelPattern(name.value.clone()), found.into_share()));
    }
    all
}

fn providers(named: &[At<String>], config: &Config, cx: &mut Context<'_>) -> Vec<String> {
    let known = || config.providers.entries.iter().map(|(name, _)| name.as_str());
    for name in named {
        if !config.providers_lost() && !known().any(|known| known == name.value) {
            cx.say(name.place, format!("no provider is named `{}`", name.value))
                .label(format!("expected one of: {}", known().collect::<Vec<_>>().join(", ")))
                .did_you_mean(nearest(name, known()));
        }
    }
    named.iter().map(|name| name.value.clone()).collect()
}

fn weight(weight: &At<u32>, cx: &mut Context<'_>) -> u32 {
    if !(1..=1000).contains(&weight.value) {
        cx.say(weight.place, "not a share").label("expected 1 to 1000");
    }
    weight.value.max(1)
}

/// Keys so far, with where they stand.
#[derive(Default)]
struct Book {
    keys: Keys,
    ids: HashMap<String, Place>,
    hashes: HashMap<[u8; 32], Place>,
}

impl Book {
    fn add(
        &mut self,
        (raw, guards): (&raw::Key, Vec<Arc<Guarding>>),
        config: &Config,
        (tenant, tenants): (&Arc<Tenant>, &Found),
        reach: &mut Reach<'_>,
        cx: &mut Context<'_>,
    ) {
        let own = Found::read(&raw.limits, &raw.budgets, cx);
        own.within(tenants, cx);
        let models = reach.patterns(&raw.models, cx);
        for (pattern, text) in models.iter().zip(raw.models.iter()) {
            narrower(pattern, text, tenant, cx);
        }
        let hash = written(raw).hash("a key", "secret", cx);
        let previous = self.previous(raw, cx);
        let Some(id) = &raw.id else {
            if !raw.written.contains(&"id") {
                cx.say(raw.place, "a key without an id").label("expected `id: ...`");
            }
            return;
        };
        if id.0.starts_with(JWT) {
            cx.say(id.place, format!("a key with the id of a token, `{}`", id.0))
                .label("expected one that does not begin with `jwt:`");
        }
        if let Some(first) = self.ids.insert(id.0.clone(), id.place) {
            cx.say(id.place, format!("two keys have the id `{}`", id.0)).also(first, "the other is");
        }
        let Some((hash, place)) = hash else { return };
        if let Some(first) = self.hashes.insert(hash, place) {
            cx.say(place, "two keys have the same secret").also(first, "the other is");
        }
        let expires = raw.expires.as_ref().map(|day| day.moment());
        let tenant = Arc::clone(tenant);
        let (limits, budgets) = (own.limits, own.budgets);
        let allowed_addresses = raw.allowed_addresses.iter().map(|network| network.value.0).collect();
        let (id, active) = (id.0.clone(), *raw.active);
        let edge_tools = super::tools::edge(raw.edge_tools.as_ref(), config, cx);
        let compression = compression::rules(raw.compression.as_ref(), cx);
        let cache = cache::caching(raw.cache.as_ref(), config, cx);
        let key = Key {
            id,
            tenant,
            active,
            expires,
            models,
            limits,
            budgets,
            allowed_addresses,
            previous,
            edge_tools,
            compression,
            guards,
            cache,
        };
        self.keys.insert(hash, Arc::new(key));
    }

    /// The secret before, which is nobody else's either.
    fn previous(&mut self, raw: &raw::Key, cx: &mut Context<'_>) -> Option<Previous> {
        let previous = &raw.previous.as_ref()?.value;
        let secret = Written {
            token: previous.secret.as_ref(),
            sha256: previous.sha256.as_ref(),
            written: &previous.written,
            place: previous.place,
        };
        let hash = secret.hash("`previous`", "secret", cx);
        if previous.until.is_none() && !previous.written.contains(&"until") {
            cx.say(previous.place, "a previous secret that never ends").label("expected `until: ...`");
        }
        let ((sha256, place), until) = (hash?, previous.until.as_ref()?.moment());
        if let Some(first) = self.hashes.insert(sha256, place) {
            cx.say(place, "two keys have the same secret").also(first, "the other is");
        }
        Some(Previous { sha256, until })
    }
}

fn written(raw: &raw::Key) -> Written<'_> {
    Written { token: raw.secret.as_ref(), sha256: raw.sha256.as_ref(), written: &raw.written, place: raw.place }
}

/// What a key that is made at run time may do. Patterns need not lead anywhere any more: models come and go.
pub(super) fn stored_key(raw: &raw::StoredKey, cx: &mut Context<'_>) -> Key {
    let own = Found::read(&raw.limits, &raw.budgets, cx);
    Key {
        active: *raw.active,
        expires: raw.expires.as_ref().map(|day| day.moment()),
        models: raw.models.iter().map(|pattern| ModelPattern(pattern.value.clone())).collect(),
        limits: own.limits,
        budgets: own.budgets,
        allowed_addresses: raw.allowed_addresses.iter().map(|network| network.value.0).collect(),
        compression: compression::rules(raw.compression.as_ref(), cx),
        ..Key::default()
    }
}

/// When such a key is made, its patterns are those of a key of the file.
pub(super) fn stored_models(raw: &raw::StoredKey, tenant: &str, runtime: &Runtime, cx: &mut Context<'_>) {
    let models = Reach::of(runtime).patterns(&raw.models, cx);
    let Some(tenant) = runtime.tenants.iter().find(|known| known.id == tenant) else { return };
    for (pattern, text) in models.iter().zip(raw.models.iter()) {
        narrower(pattern, text, tenant, cx);
    }
}

/// A name that the tenant may not use is no use on its key.
fn narrower(pattern: &ModelPattern, text: &At<String>, tenant: &Tenant, cx: &mut Context<'_>) {
    let literal = !pattern.0.contains('*');
    if literal && !tenant.models.is_empty() && !tenant.models.iter().any(|m| m.matches(&pattern.0)) {
        cx.say(text.place, format!("the tenant may not use `{}`", text.value))
            .label("expected one of the tenant's models: a key narrows them");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::env::Table;
    use crate::config::load::from_text;

    /// What is wrong with a tenant and its key.
    fn said(tenant: &str, key: &str) -> String {
        let text = format!(
            "providers: {{simulator: {{base_url: 'http://h'}}}}\ntenants: {{t: {{{tenant}keys: [{{id: k, secret: kkkk{key}}}]}}}}\n"
        );
        from_text(&text, "x", &Table::default()).map_or_else(|report| report.to_string(), |_| String::new())
    }

    #[test]
    fn an_empty_list_of_what_is_allowed_is_no_list_of_everything() {
        for (tenant, key) in [
            ("models: [], ", ""),
            ("providers: [], ", ""),
            ("regions: [], ", ""),
            ("", ", models: []"),
            ("", ", allowed_addresses: []"),
        ] {
            let said = said(tenant, key);
            assert!(said.contains("an empty list") && said.contains("leave it out to allow all"), "{said}");
        }
        assert_eq!(said("models: null, providers: ~, regions: , ", ", models: null, allowed_addresses: ~"), "");
    }
}
