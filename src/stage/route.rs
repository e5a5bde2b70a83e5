//! Where to: a model's name to the targets that may serve it, in the order to try them.

use std::sync::Arc;

use crate::config::attempts::AttemptRules;
use crate::config::runtime::{
    ApiChoice, Deployment, Discovered, Key, ModelEntry, ModelPattern, Route, RouteTarget, Runtime,
};
use crate::error::{Error, Kind, Result};
use crate::provider;
use crate::route::vital::Vital;
use crate::usage::price::{ModelInfo, PriceTable};

/// One deployment and the upstream's name of the model there.
#[derive(Debug, Clone)]
pub struct Target {
    pub deployment: Arc<Deployment>,
    pub model: String,
    /// What the configuration calls the model, where that is another name.
    pub alias: Option<String>,
    pub info: Option<Arc<ModelInfo>>,
    /// Where the model's entry says which API is used.
    pub api: Option<ApiChoice>,
    /// Its place among the targets of its route.
    pub place: usize,
}

impl Target {
    fn new(deployment: &Arc<Deployment>, name: &str, runtime: &Runtime) -> Self {
        match deployment.models.get(name) {
            Some(entry) => Self {
                deployment: Arc::clone(deployment),
                model: entry.upstream.clone(),
                alias: (entry.upstream != name).then(|| name.to_owned()),
                info: Some(Arc::clone(&entry.info)),
                api: entry.api,
                place: 0,
            },
            None => Self::plain(deployment, name, known(deployment, name, runtime)),
        }
    }

    /// The same of a route's, for which the price table is asked once.
    fn routed(place: usize, target: &RouteTarget, runtime: &Runtime) -> Self {
        let (deployment, model) = (&target.deployment, target.model.as_str());
        if deployment.models.contains_key(model) {
            return Self { place, ..Self::new(deployment, model, runtime) };
        }
        let info = target.listed.get_or_init(|| listed(deployment, model, &runtime.prices)).clone();
        Self { place, ..Self::plain(deployment, model, info.or_else(|| discovered(deployment, model))) }
    }

    /// The same at another endpoint of its provider's, whose region may have prices of its own.
    pub fn at(&self, endpoint: &Arc<Deployment>, prices: &PriceTable) -> Self {
        let head = &self.deployment;
        let mut target = Self { deployment: Arc::clone(endpoint), ..self.clone() };
        if head.var("region") != endpoint.var("region") {
            let is_entry = |info: &Arc<ModelInfo>| self.info.as_ref().is_some_and(|own| Arc::ptr_eq(own, info));
            let entry = head.models.iter().find(|(_, entry)| is_entry(&entry.info));
            target.info = match entry {
                Some((name, _)) => endpoint.models.get(name).map(|entry| Arc::clone(&entry.info)),
                None => listed(endpoint, &self.model, prices),
            }
            .or(target.info);
        }
        target
    }

    /// What limits know it by.
    pub fn names(&self) -> String {
        known_as(&self.deployment, &self.model, self.alias.as_deref())
    }

    fn plain(deployment: &Arc<Deployment>, name: &str, info: Option<Arc<ModelInfo>>) -> Self {
        Self { deployment: Arc::clone(deployment), model: name.to_owned(), alias: None, info, api: None, place: 0 }
    }
}

/// `provider/model`, one a line: what the configuration calls the model, and what its provider does.
pub fn known_as(deployment: &Deployment, model: &str, alias: Option<&str>) -> String {
    let provider = &*deployment.name;
    match alias {
        None => [provider, "/", model].concat(),
        Some(alias) => [provider, "/", alias, "\n", provider, "/", model].concat(),
    }
}

/// What a request's model stands for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The name that allow-lists and limits see: the route's, or `provider/model`.
    pub public: String,
    pub route: Option<Arc<Route>>,
    /// In the order to try them, once [`super::choose`] has been here; never empty.
    pub targets: Vec<Target>,
    /// How each target is doing, in the same order.
    pub vitals: Vec<Arc<Vital>>,
    pub attempts: AttemptRules,
    /// Why these targets in this order, where `auto` has chosen.
    pub reason: Option<String>,
    /// What put the first of them first; none where there was nothing to choose.
    pub chosen_by: Option<&'static str>,
}

impl Plan {
    /// Of one target.
    pub fn single(public: String, target: Target, attempts: AttemptRules) -> Self {
        Self { public, route: None, targets: vec![target], vitals: Vec::new(), attempts, reason: None, chosen_by: None }
    }

    /// Keeps some targets, and how they are doing.
    pub fn retain(&mut self, keeps: impl Fn(&Target) -> bool) {
        let mut kept = self.targets.iter().map(&keeps).collect::<Vec<bool>>().into_iter();
        self.vitals.retain(|_| kept.next().unwrap_or(false));
        self.targets.retain(keeps);
    }
}

/// Whether this deployment may be asked for `name`.
fn serves(deployment: &Deployment, name: &str) -> bool {
    !name.is_empty() && (!deployment.models_only || deployment.models.contains_key(name))
}

/// What is known of a model without an entry of its own.
fn known(deployment: &Deployment, name: &str, runtime: &Runtime) -> Option<Arc<ModelInfo>> {
    listed(deployment, name, &runtime.prices).or_else(|| discovered(deployment, name))
}

/// The configuration's entry for a model of a deployment, by its own name of it or by the provider's.
pub fn entry<'d>(deployment: &'d Deployment, name: &str) -> Option<&'d ModelEntry> {
    let by_upstream = || deployment.models.values().find(|entry| entry.upstream == name);
    deployment.models.get(name).or_else(by_upstream)
}

/// What is known of a model under the provider's name of it.
pub fn info(deployment: &Deployment, name: &str, runtime: &Runtime) -> Option<Arc<ModelInfo>> {
    entry(deployment, name).map(|entry| Arc::clone(&entry.info)).or_else(|| known(deployment, name, runtime))
}

/// What the price table says of it.
fn listed(deployment: &Deployment, name: &str, prices: &PriceTable) -> Option<Arc<ModelInfo>> {
    let catalogue = deployment.provider.catalogue;
    prices.find_in(&deployment.name, catalogue, deployment.var("region"), name).cloned()
}

/// What the server says of it.
fn discovered(deployment: &Deployment, name: &str) -> Option<Arc<ModelInfo>> {
    deployment.discovered.as_ref().and_then(|discovered| discovered.get(name))
}

/// Whether this deployment names it so: in the configuration, or in its own list.
fn says(deployment: &Deployment, name: &str) -> bool {
    deployment.models.contains_key(name) || deployment.discovered.as_ref().is_some_and(|d| d.has(name))
}

/// Whether this deployment is known to have `name`, rather than willing to try.
fn has(deployment: &Deployment, name: &str, runtime: &Runtime) -> bool {
    deployment.models.contains_key(name)
        || (!deployment.models_only
            && (deployment.discovered.as_ref().is_some_and(|d| d.has(name))
                || runtime.prices.lists(deployment.provider.catalogue, name)))
}

/// Finds the targets of `model`, if this key may use it: as the configuration lists them.
pub fn route(model: &str, key: &Key, runtime: &Runtime) -> Result<Plan> {
    let plan = resolve(model, key, runtime).ok_or_else(|| unknown(model, key, runtime))?;
    if is_any(&plan, runtime) || allowed(key, &plan.public) {
        return Ok(plan);
    }
    Err(Error::new(Kind::ModelNotAllowed, format!("this key may not use the model {}", quoted(&plan.public)))
        .with_param("model"))
}

/// The same, for a request that may name the provider beside the model.
pub fn named(model: &str, provider: Option<&str>, key: &Key, runtime: &Runtime) -> Result<Plan> {
    match provider {
        Some(provider) => route(&format!("{provider}/{model}"), key, runtime),
        None => route(model, key, runtime),
    }
}

/// The same for a request of the gateway's own: which models the key may ask for itself is another matter.
pub fn unlisted(model: &str, key: &Key, runtime: &Runtime) -> Result<Plan> {
    resolve(model, key, runtime).ok_or_else(|| unknown(model, key, runtime))
}

/// The first target of a model, for questions of the operator's own.
pub fn find(model: &str, runtime: &Runtime) -> Result<Target> {
    let plan = match runtime.routes.get(model) {
        Some(route) => Some(by_route(route, runtime)),
        None => by_name(model, runtime),
    };
    plan.and_then(|plan| plan.targets.into_iter().next())
        .ok_or_else(|| Error::new(Kind::UnknownModel, format!("no provider serves the model {}", quoted(model))))
}

/// Both lists have to allow; an empty one allows all.
pub fn allowed(key: &Key, public: &str) -> bool {
    let permits = |list: &[ModelPattern]| list.is_empty() || list.iter().any(|p| p.matches(public));
    permits(&key.tenant.models) && permits(&key.models)
}

fn resolve(model: &str, key: &Key, runtime: &Runtime) -> Option<Plan> {
    if let Some(route) = runtime.routes.get(model) {
        return Some(by_route(route, runtime));
    }
    if let Some(any) = runtime.any.as_ref().filter(|any| any.name == model) {
        let mut plan = by_route(any, runtime);
        // Where the key says which models, these are what `auto` is about.
        plan.targets.retain(|target| target.names().lines().next().is_some_and(|name| allowed(key, name)));
        return (!plan.targets.is_empty()).then_some(plan);
    }
    by_name(model, runtime)
}

/// Whether it is the model `auto` that no route defines.
fn is_any(plan: &Plan, runtime: &Runtime) -> bool {
    match (&plan.route, &runtime.any) {
        (Some(route), Some(any)) => Arc::ptr_eq(route, any),
        _ => false,
    }
}

fn by_name(model: &str, runtime: &Runtime) -> Option<Plan> {
    let single = |deployment: &Arc<Deployment>, name: &str| {
        let target = Target::new(deployment, name, runtime);
        Plan::single([&*deployment.name, "/", name].concat(), target, runtime.attempts)
    };
    let called = |name: &str| runtime.deployments.iter().find(|d| d.name == name);
    if let Some((prefix, name)) = model.split_once('/') {
        // author/model:provider pins one, also where the author is a provider, which takes any name.
        let pin = model.rsplit_once(':').and_then(|(author_model, pin)| Some((author_model, called(pin)?)));
        let own = called(prefix).filter(|d| serves(d, name));
        if let Some(deployment) = own.filter(|d| pin.is_none() || says(d, name)) {
            return Some(single(deployment, name));
        }
        if let Some((author_model, deployment)) = pin {
            let name = author_model.split_once('/').map_or(author_model, |(_, name)| name);
            let name = match deployment.authored.get(author_model) {
                Some(own) => own,
                None if has(deployment, author_model, runtime) => author_model,
                None => name,
            };
            return serves(deployment, name).then(|| single(deployment, name));
        }
        // author/model, by whoever has it under that name, or is the author.
        let whole = runtime.deployments.iter().find(|d| has(d, model, runtime)).map(|d| single(d, model));
        let vendor = provider::catalogue_of(prefix);
        let author = || runtime.deployments.iter().find(|d| d.provider.catalogue == vendor && serves(d, name));
        let seller = || runtime.deployments.iter().find_map(|d| Some((d, sold_as(d, model)?)));
        return whole
            .or_else(|| author().map(|d| single(d, name)))
            .or_else(|| seller().map(|(d, name)| single(d, name)));
    }
    let mut holders = runtime.deployments.iter().filter(|d| has(d, model, runtime));
    match (holders.next(), holders.next()) {
        (Some(only), None) => Some(single(only, model)),
        _ => None,
    }
}

/// The name under which a seller of other authors' models (Bedrock, Vertex) has `author/model`.
fn sold_as<'d>(deployment: &'d Deployment, model: &str) -> Option<&'d str> {
    let name = deployment.authored.get(model)?;
    serves(deployment, name).then_some(name)
}

fn by_route(route: &Arc<Route>, runtime: &Runtime) -> Plan {
    let target = |(place, target): (usize, &RouteTarget)| Target::routed(place, target, runtime);
    Plan {
        public: route.name.clone(),
        route: Some(Arc::clone(route)),
        targets: route.targets().into_iter().enumerate().map(target).collect(),
        vitals: Vec::new(),
        attempts: route.attempts,
        reason: None,
        chosen_by: None,
    }
}

/// Names this key could ask for, for lists and suggestions.
pub fn names(key: &Key, runtime: &Runtime) -> Vec<String> {
    let serves = |deployment: &Deployment| {
        key.tenant.permits(deployment) || deployment.others.iter().any(|other| key.tenant.permits(other))
    };
    let routes = runtime.routes.values().filter(|route| route.targets().iter().any(|t| serves(&t.deployment)));
    let mut names: Vec<String> = routes.map(|route| route.name.clone()).collect();
    for deployment in runtime.deployments.iter().filter(|deployment| serves(deployment)) {
        let full = |name: &str| format!("{}/{name}", deployment.name);
        names.extend(deployment.models.keys().map(|name| full(name)));
        if !deployment.models_only {
            names.extend(deployment.discovered.iter().flat_map(Discovered::names).map(|name| full(&name)));
            names.extend(deployment.authored.keys().cloned());
            let catalogue = deployment.provider.catalogue;
            names.extend(runtime.prices.askable(catalogue).map(|(name, _)| full(name)));
        }
    }
    names.retain(|name| allowed(key, name));
    names.sort_unstable();
    names.dedup();
    names
}

/// A name as an error may repeat it: short and in quotes.
fn quoted(model: &str) -> String {
    let short: String = model.chars().take(80).collect();
    format!("`{short}`")
}

fn unknown(model: &str, key: &Key, runtime: &Runtime) -> Error {
    let bare = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let whole = model.chars().take(80).collect::<String>().to_lowercase();
    let wanted = bare(&whole);
    // A slip in the provider's name, or in the model's under whatever provider.
    let distance = |name: &str| {
        let slips = strsim::damerau_levenshtein(&whole, &name.to_lowercase());
        (slips.min(1 + strsim::damerau_levenshtein(&wanted, &bare(name))), slips)
    };
    let mut near: Vec<((usize, usize), String)> = names(key, runtime)
        .into_iter()
        .map(|name| (distance(&name), name))
        .filter(|((distance, _), name)| *distance <= 3 || bare(name).contains(&wanted))
        .collect();
    near.sort();
    let near: Vec<&str> = near.iter().take(3).map(|(_, name)| name.as_str()).collect();
    let hint = match near.as_slice() {
        [] => "; GET /v1/models lists what this key may use".to_owned(),
        near => format!("; did you mean {}?", near.join(", ")),
    };
    Error::new(Kind::UnknownModel, format!("no provider serves the model {}{hint}", quoted(model))).with_param("model")
}
