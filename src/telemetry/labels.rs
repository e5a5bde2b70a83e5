//! Label values come from configuration and from the built-in model table; what a client invents is
//! `other`, so the number of series has a bound that no client can move.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::metrics::{Handles, Metrics};
use crate::config::runtime::Runtime;
use crate::record::{Record, Step};
use crate::usage::price::PriceTable;

/// What no configuration names.
const OTHER: &str = "other";
/// What a request has not come to.
const NONE: &str = "none";
/// The route of requests that name `provider/model`.
const DIRECT: &str = "direct";

/// Combinations of labels at most; one costs about 12 KB with its histograms. Beyond, tenants and then
/// everything fold into `other`.
const MOST_COMBINATIONS: usize = 10_000;

/// The labels that a request's metrics hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Labels<T> {
    pub(super) tenant: T,
    pub(super) route: T,
    pub(super) provider: T,
    pub(super) model: T,
    /// OpenTelemetry's name of the operation.
    pub(super) operation: &'static str,
}

impl<'a> Labels<&'a str> {
    pub(super) fn of(record: &Record<'a>) -> Self {
        let routed = if record.model.is_some() { DIRECT } else { NONE };
        Self {
            tenant: record.tenant.unwrap_or(NONE),
            route: record.route.unwrap_or(routed),
            provider: record.provider.unwrap_or(NONE),
            model: record.upstream_model.unwrap_or(NONE),
            operation: operation(record.format).unwrap_or(OTHER),
        }
    }

    /// The same of one attempt.
    pub(super) fn at(&self, step: &Step<'a>) -> Self {
        let model = if step.model.is_empty() { NONE } else { step.model };
        Self { provider: step.provider, model, ..*self }
    }

    fn owned(&self) -> Labels<String> {
        Labels {
            tenant: self.tenant.to_owned(),
            route: self.route.to_owned(),
            provider: self.provider.to_owned(),
            model: self.model.to_owned(),
            operation: self.operation,
        }
    }

    fn is(&self, other: &Labels<String>) -> bool {
        self.tenant == other.tenant
            && self.route == other.route
            && self.provider == other.provider
            && self.model == other.model
            && self.operation == other.operation
    }
}

/// Finds the metrics of a combination of labels: wait-free where it was seen before.
#[derive(Debug)]
pub(super) struct Resolver {
    hasher: RandomState,
    now: ArcSwap<Resolved>,
    /// Held while a combination is added.
    adding: Mutex<()>,
}

/// What a configuration allows, and what was resolved under it.
#[derive(Debug, Clone)]
struct Resolved {
    known: Arc<Known>,
    /// By the hash of the labels; the labels are compared too.
    handles: HashMap<u64, Arc<Handles>>,
}

#[derive(Debug)]
struct Known {
    tenants: HashSet<String>,
    routes: HashSet<String>,
    providers: HashMap<String, KnownProvider>,
    prices: Arc<PriceTable>,
}

#[derive(Debug)]
struct KnownProvider {
    catalogue: &'static str,
    otel: &'static str,
    models: HashSet<String>,
}

impl Resolver {
    pub(super) fn new(runtime: &Runtime) -> Self {
        let now = ArcSwap::from_pointee(Resolved::new(runtime));
        Self { hasher: RandomState::new(), now, adding: Mutex::new(()) }
    }

    /// Another configuration: other names are known, and all is resolved anew.
    pub(super) fn bind(&self, runtime: &Runtime) {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        self.now.store(Arc::new(Resolved::new(runtime)));
    }

    pub(super) fn tenant(&self, name: &str) -> String {
        self.now.load().known.tenant(name).to_owned()
    }

    pub(super) fn provider(&self, name: &str) -> String {
        self.now.load().known.provider(name).to_owned()
    }

    pub(super) fn route(&self, name: &str) -> String {
        self.now.load().known.route(name).to_owned()
    }

    pub(super) fn handles(&self, metrics: &Metrics, asked: &Labels<&str>) -> Arc<Handles> {
        let now = self.now.load();
        if let Some(handles) = self.find(&now, asked) {
            return handles;
        }
        let model = now.known.model(asked.provider, asked.model);
        let labels = Labels {
            tenant: now.known.tenant(asked.tenant),
            route: now.known.route(asked.route),
            provider: now.known.provider(asked.provider),
            model: &model,
            operation: asked.operation,
        };
        self.find(&now, &labels).unwrap_or_else(|| self.add(metrics, labels))
    }

    fn find(&self, resolved: &Resolved, labels: &Labels<&str>) -> Option<Arc<Handles>> {
        let handles = resolved.handles.get(&self.hasher.hash_one(labels))?;
        labels.is(&handles.labels).then(|| Arc::clone(handles))
    }

    fn add(&self, metrics: &Metrics, mut labels: Labels<&str>) -> Arc<Handles> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now.load();
        if now.handles.len() >= MOST_COMBINATIONS {
            labels = Labels { tenant: OTHER, ..labels };
        }
        if now.handles.len() >= 2 * MOST_COMBINATIONS {
            labels = Labels { tenant: OTHER, route: OTHER, provider: OTHER, model: OTHER, operation: OTHER };
        }
        if let Some(handles) = self.find(&now, &labels) {
            return handles;
        }
        let otel = now.known.providers.get(labels.provider).map_or(labels.provider, |provider| provider.otel);
        let handles = Arc::new(Handles::new(metrics, labels.owned(), otel));
        let mut next = Resolved::clone(&now);
        next.handles.insert(self.hasher.hash_one(labels), Arc::clone(&handles));
        self.now.store(Arc::new(next));
        handles
    }
}

impl Resolved {
    fn new(runtime: &Runtime) -> Self {
        let tenants = runtime.tenants.iter().map(|tenant| tenant.id.clone());
        let owners = runtime.keys.values().map(|key| key.tenant.id.clone());
        let mut providers: HashMap<String, KnownProvider> = runtime
            .deployments
            .iter()
            .map(|deployment| {
                let named = deployment.models.iter().flat_map(|(name, entry)| [name.clone(), entry.upstream.clone()]);
                let provider = KnownProvider {
                    catalogue: deployment.provider.catalogue,
                    otel: provider_name(deployment.provider.kind),
                    models: named.collect(),
                };
                (deployment.name.clone(), provider)
            })
            .collect();
        for target in runtime.routes.values().flat_map(|route| route.targets()) {
            if let Some(provider) = providers.get_mut(&target.deployment.name) {
                provider.models.insert(target.model.clone());
            }
        }
        let known = Known {
            tenants: tenants.chain(owners).collect(),
            routes: runtime.routes.keys().cloned().collect(),
            providers,
            prices: Arc::clone(&runtime.prices),
        };
        Self { known: Arc::new(known), handles: HashMap::new() }
    }
}

impl Known {
    fn tenant<'a>(&self, name: &'a str) -> &'a str {
        if name == NONE || self.tenants.contains(name) { name } else { OTHER }
    }

    fn route<'a>(&self, name: &'a str) -> &'a str {
        if name == NONE || name == DIRECT || self.routes.contains(name) { name } else { OTHER }
    }

    fn provider<'a>(&self, name: &'a str) -> &'a str {
        if name == NONE || self.providers.contains_key(name) { name } else { OTHER }
    }

    /// The model, if the configuration names it, or as the model table lists it: a dated name
    /// (`gpt-4o-2024-08-06`) counts as the model it is a case of.
    fn model<'a>(&self, provider: &str, model: &'a str) -> Cow<'a, str> {
        if model == NONE {
            return Cow::Borrowed(NONE);
        }
        let Some(provider) = self.providers.get(provider) else { return Cow::Borrowed(OTHER) };
        if provider.models.contains(model) {
            return Cow::Borrowed(model);
        }
        self.prices.listed(provider.catalogue, model).map_or(Cow::Borrowed(OTHER), |(name, _)| name)
    }
}

/// OpenTelemetry's `gen_ai.operation.name` of a record's format, where it has one.
pub fn operation(format: &str) -> Option<&'static str> {
    Some(match format {
        "chat" | "messages" | "responses" => "chat",
        "gemini" => "generate_content",
        "completions" => "text_completion",
        "embeddings" => "embeddings",
        "rerank" => "rerank",
        _ => return None,
    })
}

/// OpenTelemetry's `gen_ai.provider.name` of a vendor.
pub fn provider_name(kind: &'static str) -> &'static str {
    match kind {
        "azure" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "moonshot" => "moonshot_ai",
        "vertex" => "gcp.vertex_ai",
        "xai" => "x_ai",
        kind => kind,
    }
}
