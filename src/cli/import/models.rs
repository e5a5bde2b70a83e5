//! `model_list`: who serves what, and under which names.

use std::collections::BTreeMap;

use super::notes::{Notes, reason};
use super::source::{Fields, Source, text, texts};
use super::vendor::{self, Known, Vendor};
use super::yaml::{EMPTY, Map, Yaml};
use crate::config::yaml::{Entry, Node, Place};
use crate::usage::price::{PriceTable, amount, litellm};

/// Of a deployment that has no `order`: where others of its name have one, LiteLLM asks only the lowest.
const UNORDERED: i64 = i64::MAX;

/// One entry of `model_list`.
#[derive(Debug)]
pub(super) struct Deployment {
    /// The name that clients ask for.
    pub(super) group: String,
    pub(super) place: Place,
    /// In [`Models::vendors`].
    vendor: usize,
    pub(super) upstream: String,
    weight: Option<u32>,
    /// [`UNORDERED`] where none is said.
    order: i64,
    known: Known,
}

/// A vendor, its name here, and the other vendors that are endpoints of it.
#[derive(Debug)]
struct Named {
    vendor: Vendor,
    name: String,
    /// Of a pool: the vendor that this one is an endpoint of.
    pool: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Models {
    pub(super) deployments: Vec<Deployment>,
    vendors: Vec<Named>,
    /// Groups of models that keys may be given.
    pub(super) access: BTreeMap<String, Vec<String>>,
}

/// A target of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) model: String,
    pub(super) weight: Option<u32>,
    pub(super) order: i64,
}

impl Models {
    pub(super) fn read(list: &[Node], credentials: &[Node], source: &Source, notes: &mut Notes) -> Self {
        let mut models = Self::default();
        for node in list {
            models.add(node, credentials, source, notes);
        }
        models.name(source, notes);
        models.pool();
        models
    }

    fn add(&mut self, node: &Node, credentials: &[Node], source: &Source, notes: &mut Notes) {
        let mut fields = Fields::of(node);
        let Some(group) = fields.text("model_name").filter(|name| !name.is_empty()).map(str::to_owned) else {
            return notes.lost(
                source,
                node.place,
                "model_list",
                "an entry has no `model_name`: nobody could ask for it",
            );
        };
        let Some(node_params) = fields.take("litellm_params") else {
            return notes.lost(source, node.place, group, "it has no `litellm_params`");
        };
        let mut params = Fields::of(node_params);
        let model = params.text("model").unwrap_or_default();
        let custom = params.text("custom_llm_provider");
        let found = vendor::named(model, custom).or_else(|| {
            // Of a provider that is not known here: its own address will do, if it speaks OpenAI's format.
            let base = super::source::entries(node_params).iter().any(|entry| entry.name == "api_base");
            let name = model.split_once('/').map_or(model, |(_, name)| name);
            crate::provider::find("openai-compatible").filter(|_| base).map(|provider| (provider, name))
        });
        let Some((provider, upstream)) = found else {
            let why = format!("no kind of provider here is like that of `{model}`, and it has no `api_base`");
            return notes.lost(source, node.place, format!("model_list: {group}"), why);
        };
        if model == "*" && custom.is_none() {
            let why = format!(
                "there it is any vendor's model, here only `{}`: write a provider for each other one",
                provider.kind
            );
            notes.lost(source, node.place, format!("model_list: {group}"), why);
        }
        let named = params.text("litellm_credential_name");
        let credential =
            credentials.iter().find(|node| Fields::of(node).text("credential_name") == named && named.is_some());
        // What the deployment says itself comes first.
        if let Some(values) = credential.and_then(|node| Fields::of(node).take("credential_values")) {
            params.fall_back(values, &[]);
        }
        let (region, upstream) = vendor::region(provider, upstream);
        let Some(mut vendor) = Vendor::read(provider, region, &mut params, notes, source) else {
            return notes.lost(source, node.place, format!("model_list: {group}"), "it has no `api_base`");
        };
        if vendor::named(model, custom).is_none() {
            vendor.called = model.split_once('/').map(|(prefix, _)| prefix.to_owned());
        }
        let node_info = fields.take("model_info");
        let mut info = Fields::of(node_info.unwrap_or(node_params));
        let known = Known::read(&mut info, &mut params, vendor.provider);
        let known = self.of_base(known, &mut info, &vendor, source, node, notes);
        for access in info.take("access_groups").map(texts).unwrap_or_default() {
            self.access.entry(access.to_owned()).or_default().push(group.clone());
        }
        let weight = params.text("weight").and_then(|t| t.parse().ok());
        let by_rpm = params.text("rpm").and_then(|t| t.parse::<u32>().ok());
        let is_guess = weight.is_none();
        let weight = weight.or(by_rpm);
        if is_guess && weight.is_some() {
            let why = "taken as its weight among the others of that name; what it may take is learnt from the provider's headers";
            notes.changed(source, node.place, format!("model_list: {group}: rpm"), why);
        }
        let order = params.take("order").or_else(|| info.take("order")).and_then(text);
        let order = order.and_then(|t| t.strip_suffix(".0").unwrap_or(t).parse().ok()).unwrap_or(UNORDERED);
        params.skip(&["drop_params", "merge_reasoning_content_in_choices", "stream_options"]);
        // Of what is known of a model, nothing but its price and whose it is is missed.
        let is_missed = |name: &str| name == "team_id" || litellm::is_pricelike(name);
        let unused = info.rest().filter(|entry| node_info.is_some() && is_missed(&entry.name));
        for entry in params.rest().chain(unused) {
            let what = format!("model_list: {group}: {}", entry.name);
            notes.lost(source, entry.place, what, reason(&entry.name));
        }
        let upstream = upstream.to_owned();
        let vendor = self.vendor(vendor);
        self.deployments.push(Deployment { group, place: node.place, vendor, upstream, weight, order, known });
    }

    /// Azure's deployments have names of one's own: the price of the model behind it is looked up.
    fn of_base(
        &self,
        known: Known,
        info: &mut Fields<'_>,
        vendor: &Vendor,
        source: &Source,
        node: &Node,
        notes: &mut Notes,
    ) -> Known {
        let Some(base) = info.text("base_model").filter(|_| known.0.get("price").is_none()) else { return known };
        let base = base.rsplit_once('/').map_or(base, |(_, model)| model);
        let table = PriceTable::builtin();
        let listed = table.find(vendor.provider.catalogue, base).or_else(|| table.find("openai", base));
        let price = listed.and_then(|info| info.price_on(amount::day_of(std::time::SystemTime::now())));
        let Some(price) = price else {
            notes.lost(source, node.place, format!("base_model: {base}"), "no price is known of it");
            return known;
        };
        let mut known = known;
        known
            .0
            .set("price", super::price::rates(&price.standard.rates))
            .comment("price", &format!("of {base}, by today's list"));
        known
    }

    fn vendor(&mut self, vendor: Vendor) -> usize {
        let known = self.vendors.iter().position(|named| named.vendor.is(&vendor));
        known.unwrap_or_else(|| {
            self.vendors.push(Named { vendor, name: String::new(), pool: None });
            self.vendors.len() - 1
        })
    }

    /// Names of vendors: what a wildcard is called by, else the kind.
    fn name(&mut self, source: &Source, notes: &mut Notes) {
        for deployment in &self.deployments {
            let Some(prefix) = deployment.group.strip_suffix("/*").filter(|prefix| is_name(prefix)) else { continue };
            let is_taken = self.vendors.iter().any(|named| named.name == prefix);
            match self.vendors.get_mut(deployment.vendor) {
                Some(named) if named.name.is_empty() && !is_taken => prefix.clone_into(&mut named.name),
                Some(named) if named.name == prefix => {}
                _ => notes.lost(
                    source,
                    deployment.place,
                    format!("model_list: {}", deployment.group),
                    "that prefix already stands for another provider; give this one a name of its own",
                ),
            }
        }
        for at in 0..self.vendors.len() {
            let Some(named) = self.vendors.get(at).filter(|named| named.name.is_empty()) else { continue };
            let name = self.free_name(&named.vendor);
            if let Some(named) = self.vendors.get_mut(at) {
                named.name = name;
            }
        }
    }

    fn free_name(&self, vendor: &Vendor) -> String {
        let kind = vendor.provider.kind;
        let text = |map: &Map, name: &str| match map.get(name) {
            Some(Yaml::Text(text)) if !text.contains('$') => Some(text.clone()),
            _ => None,
        };
        let host = text(&vendor.own, "base_url").and_then(|url| {
            let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned();
            let labels = host.split(['.', ':', '/']).map(str::to_ascii_lowercase);
            let label = labels.into_iter().find(|label| !matches!(label.as_str(), "api" | "www"))?;
            (is_name(&label) && label.bytes().any(|b| b.is_ascii_alphabetic()) && label != "localhost").then_some(label)
        });
        let region = text(&vendor.own, "region").or_else(|| text(&vendor.shared, "location"));
        let is_free = |name: &str| !self.vendors.iter().any(|named| named.name == name);
        let first = match kind {
            "openai-compatible" => {
                let called = vendor.called.clone().filter(|called| is_name(called));
                called.or_else(|| host.clone()).unwrap_or_else(|| "server".to_owned())
            }
            kind => kind.to_owned(),
        };
        let by = region.or(host).filter(|by| is_name(by)).map(|by| format!("{kind}-{by}"));
        let numbered = || (2..).map(|n: u32| format!("{kind}-{n}")).find(|name| is_free(name));
        Some(first)
            .filter(|name| is_free(name))
            .or_else(|| by.filter(|name| is_free(name)))
            .or_else(numbered)
            .unwrap_or_default()
    }

    /// Vendors that differ in no more than credential, address or region and serve the same models under
    /// the same names are endpoints of one provider.
    fn pool(&mut self) {
        let served = |at: usize| {
            let mut served: Vec<(&str, &str, i64)> = (self.deployments.iter())
                .filter(|d| d.vendor == at)
                .map(|d| (d.group.as_str(), d.upstream.as_str(), d.order))
                .collect();
            served.sort_unstable();
            served.dedup();
            served
        };
        let mut pools = vec![None; self.vendors.len()];
        for (at, named) in self.vendors.iter().enumerate() {
            let is_same = |other: &(usize, &Named)| {
                let (place, other) = *other;
                let alike = other.vendor.provider.kind == named.vendor.provider.kind
                    && other.vendor.shared == named.vendor.shared;
                alike && pools.get(place) == Some(&None) && served(place) == served(at)
            };
            let first = self.vendors.iter().enumerate().take(at).find(is_same).map(|(place, _)| place);
            if let Some(pool) = pools.get_mut(at) {
                *pool = first;
            }
        }
        for (named, pool) in self.vendors.iter_mut().zip(pools) {
            named.pool = pool;
        }
    }

    /// The provider that serves a deployment.
    fn head(&self, deployment: &Deployment) -> Option<&Named> {
        let named = self.vendors.get(deployment.vendor)?;
        named.pool.map_or(Some(named), |head| self.vendors.get(head))
    }

    /// The targets of a name, without those that are wildcards.
    pub(super) fn targets(&self, group: &str) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        for deployment in self.deployments.iter().filter(|d| d.group == group && !d.upstream.contains('*')) {
            let Some(named) = self.head(deployment) else { continue };
            let model = format!("{}/{}", named.name, deployment.upstream);
            match targets.iter_mut().find(|target| target.model == model && target.order == deployment.order) {
                // Endpoints of a pool: their weights are theirs.
                Some(known) => known.weight = None,
                None => targets.push(Target { model, weight: deployment.weight, order: deployment.order }),
            }
        }
        targets
    }

    /// Names that clients ask for, in their order.
    pub(super) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for deployment in &self.deployments {
            if !groups.contains(&deployment.group.as_str()) {
                groups.push(&deployment.group);
            }
        }
        groups
    }

    pub(super) fn place(&self, group: &str) -> Place {
        self.deployments.iter().find(|d| d.group == group).map(|d| d.place).unwrap_or_default()
    }

    /// The target of a name that only a wildcard serves: the longest that fits.
    pub(super) fn behind_wildcard(&self, name: &str) -> Option<Target> {
        let fits = |deployment: &&Deployment| {
            let prefix = deployment.group.strip_suffix('*').filter(|prefix| prefix.ends_with('/'));
            prefix.is_some_and(|prefix| name.starts_with(prefix)) && deployment.upstream.contains('*')
        };
        let deployment = self.deployments.iter().filter(fits).max_by_key(|deployment| deployment.group.len())?;
        let rest = name.get(deployment.group.len().saturating_sub(1)..).filter(|rest| !rest.is_empty())?;
        let model = format!("{}/{}", self.head(deployment)?.name, deployment.upstream.replace('*', rest));
        Some(Target { model, weight: None, order: UNORDERED })
    }

    /// Whether any name after a provider's prefix is asked for, and which that is.
    pub(super) fn wildcard(&self, group: &str) -> Option<String> {
        let deployment = self.deployments.iter().find(|d| d.group == group && d.upstream.contains('*'))?;
        Some(format!("{}/*", self.head(deployment)?.name))
    }

    pub(super) fn is_provider(&self, name: &str) -> bool {
        self.vendors.iter().any(|named| named.name == name && named.pool.is_none())
    }

    /// `providers`, with the names that models are to have there besides their own.
    pub(super) fn providers(&self, renamed: &[(String, String, String)]) -> Map {
        let mut providers = Map::default();
        for (at, named) in self.vendors.iter().enumerate().filter(|(_, named)| named.pool.is_none()) {
            let mut map = Map::default();
            if named.name != named.vendor.provider.kind {
                map.set("kind", named.vendor.provider.kind);
            }
            let members: Vec<(usize, &Named)> = self
                .vendors
                .iter()
                .enumerate()
                .filter(|(place, other)| *place == at || other.pool == Some(at))
                .collect();
            match members.as_slice() {
                [_] => copy(&named.vendor.own, &mut map),
                members => {
                    let endpoints = members.iter().map(|(place, member)| self.endpoint(*place, member).into());
                    map.set("endpoints", Yaml::List(endpoints.collect()));
                }
            }
            copy(&named.vendor.shared, &mut map);
            map.set("models", self.entries(at, &named.name, renamed));
            providers.set(&named.name, if map.is_empty() { Yaml::from(EMPTY) } else { map.into() });
        }
        providers
    }

    fn endpoint(&self, at: usize, named: &Named) -> Map {
        let mut map = named.vendor.own.clone();
        let weight = self.deployments.iter().find(|d| d.vendor == at).and_then(|d| d.weight);
        map.set_if("weight", weight.filter(|weight| *weight > 1).map(|weight| weight.to_string()));
        map
    }

    fn entries(&self, at: usize, provider: &str, renamed: &[(String, String, String)]) -> Map {
        let mut entries = Map::default();
        let own =
            self.deployments.iter().filter(|d| d.vendor == at && !d.known.0.is_empty() && !d.upstream.contains('*'));
        for deployment in own {
            if entries.get(&deployment.upstream).is_none() {
                entries.set(&deployment.upstream, deployment.known.0.clone());
            }
        }
        for (_, name, upstream) in renamed.iter().filter(|(owner, _, _)| owner == provider) {
            let known = self.deployments.iter().find(|d| d.vendor == at && d.upstream == *upstream).map(|d| &d.known.0);
            let mut entry = Map::default();
            entry.set("upstream", upstream.as_str());
            known.into_iter().for_each(|known| copy(known, &mut entry));
            entries.set(name, entry);
        }
        entries
    }
}

fn copy(from: &Map, to: &mut Map) {
    from.entries().for_each(|(name, value)| _ = to.set(name, value.clone()));
}

/// What may be a provider's name.
pub(super) fn is_name(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_part)
}

/// `model_group_alias`: another name, and the one it stands for.
pub(super) fn aliases(node: &Node) -> Vec<(&str, &str, Place)> {
    fn of(entry: &Entry) -> Option<&str> {
        text(&entry.value).or_else(|| Fields::of(&entry.value).text("model"))
    }
    let entries = super::source::entries(node).iter();
    entries.filter_map(|entry| Some((entry.name.as_str(), of(entry)?, entry.place))).collect()
}
