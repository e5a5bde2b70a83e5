//! What the configuration means: resolved, checked, immutable, shared by every request that began
//! under it. `load` builds it from the raw file; a reload swaps the `Arc` and leaves running
//! requests theirs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::provider::Provider;
use crate::secret::Secret;
use crate::usage::price::{ModelInfo, PriceTable};
use crate::wire::seal::Seal;
use crate::wire::{Abilities, Dialect};

/// The whole configuration.
#[derive(Debug)]
pub struct Runtime {
    /// First 12 hex digits of the SHA-256 of the file: shown by the admin API and metrics.
    pub hash: String,
    pub loaded_at: SystemTime,
    pub server: Server,
    pub admin: Admin,
    pub state_dir: PathBuf,
    /// In the order of the file.
    pub deployments: Vec<Arc<Deployment>>,
    /// Virtual models by name.
    pub routes: HashMap<String, Arc<Route>>,
    /// Attempts after the first, where no route says otherwise.
    pub retries: u32,
    /// In the order of the file.
    pub tenants: Vec<Arc<Tenant>>,
    /// Every key by the SHA-256 of its secret.
    pub keys: HashMap<[u8; 32], Arc<Key>>,
    pub prices: Arc<PriceTable>,
    pub telemetry: Telemetry,
}

/// `server:`
#[derive(Debug, Clone)]
pub struct Server {
    pub listen: Vec<Listen>,
    /// 0: one per core.
    pub threads: usize,
    pub max_body_bytes: usize,
    /// For the whole request body.
    pub body_timeout: Duration,
    /// Between two requests on a connection.
    pub keepalive: Duration,
    /// A client that takes longer than this for one write is gone.
    pub write_timeout: Duration,
    pub grace_period: Duration,
    /// Answers that are not streamed are held up to this size.
    pub max_answer_bytes: usize,
}

/// One address.
#[derive(Debug, Clone)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: Option<TlsFiles>,
}

#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `admin:`
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Required as soon as `listen` is not loopback.
    pub token: Option<Secret>,
}

/// One provider of the file: a vendor with an address and a credential.
#[derive(Debug)]
pub struct Deployment {
    /// The prefix of its models; also the metric label.
    pub name: String,
    pub provider: &'static Provider,
    pub base: BaseUrl,
    pub api_key: Option<Secret>,
    #[cfg(feature = "proxy")]
    pub signer: crate::provider::sign::Signer,
    /// What stands for the names in braces of the vendor's paths (`project`).
    pub vars: Vec<(&'static str, String)>,
    /// Which of the vendor's APIs is used.
    pub api: ApiChoice,
    /// Extra headers of the operator's.
    pub headers: Vec<(String, Secret)>,
    pub timeouts: Timeouts,
    /// Quirks of the vendor, with the operator's changes.
    pub quirks: crate::wire::Quirks,
    /// Extra or renamed models: the client's name to the upstream's.
    pub models: HashMap<String, ModelEntry>,
    /// Only the models above are served, instead of any name.
    pub models_only: bool,
    /// `author/model` to this provider's own name of it, where it sells the models of others under
    /// names of its own.
    pub authored: HashMap<String, String>,
    /// What the server itself said it has, where it is asked (`discover`).
    pub discovered: Option<Discovered>,
    /// What its models can do, where their entries say nothing.
    pub abilities: Abilities,
    /// PEM file with the authority that signed the server's certificate, for servers of one's own.
    pub ca_file: Option<PathBuf>,
    /// Opens and closes state sealed into ids by this deployment.
    pub seal: Seal,
}

/// The models a server said it has. Written beside the requests, read by them.
#[derive(Debug, Default)]
pub struct Discovered(ArcSwap<HashMap<String, Arc<ModelInfo>>>);

impl Discovered {
    pub fn get(&self, model: &str) -> Option<Arc<ModelInfo>> {
        self.0.load().get(model).cloned()
    }

    pub fn has(&self, model: &str) -> bool {
        self.0.load().contains_key(model)
    }

    pub fn names(&self) -> Vec<String> {
        self.0.load().keys().cloned().collect()
    }

    pub fn set(&self, models: Arc<HashMap<String, Arc<ModelInfo>>>) {
        self.0.store(models);
    }

    /// All of them, to be kept over a reload.
    pub fn all(&self) -> Arc<HashMap<String, Arc<ModelInfo>>> {
        self.0.load_full()
    }
}

/// `api`: which of a vendor's generation APIs is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiChoice {
    /// The client's own format where the vendor has it, else the vendor's usual one.
    #[default]
    Auto,
    Only(Dialect),
}

/// `base_url`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// Before every path; no slash at the end, empty or `/v1`.
    pub path: String,
    /// The `host` header: with the port only where it is not the scheme's own.
    pub authority: String,
}

/// One entry of a provider's `models`.
#[derive(Debug, Clone)]
pub struct ModelEntry {
    pub upstream: String,
    pub info: Arc<ModelInfo>,
    /// Where it differs from its provider's.
    pub api: Option<ApiChoice>,
}

/// `timeouts:` with every default in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// To the first byte of an answer, or the first event of a stream.
    pub first_token: Duration,
    /// Between two reads of an answer.
    pub idle: Duration,
    /// For the whole exchange.
    pub total: Duration,
}

/// A virtual model.
#[derive(Debug)]
pub struct Route {
    pub name: String,
    pub strategy: Strategy,
    pub targets: Vec<RouteTarget>,
    /// Attempts after the first.
    pub retries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// In their order.
    Fallback,
    /// By weight, the others after it.
    Weighted,
}

#[derive(Debug)]
pub struct RouteTarget {
    pub deployment: Arc<Deployment>,
    pub model: String,
    pub weight: u32,
}

/// `tenants.<id>`
#[derive(Debug)]
pub struct Tenant {
    pub id: String,
    /// Allow-list of model patterns; empty allows all.
    pub models: Vec<ModelPattern>,
    pub limits: Limits,
    /// Limits on one model (or pattern) of this tenant.
    pub model_limits: Vec<(ModelPattern, Limits)>,
    /// Refuse what a target cannot express instead of dropping it.
    pub strict: bool,
}

/// `openai/*`, `fast`, `*`: a star stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPattern(pub String);

impl ModelPattern {
    /// Whether `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let mut rest = Some(rest);
        let mut last: Option<&str> = None;
        for part in parts {
            if let Some(middle) = last {
                rest = rest.and_then(|r| r.split_once(middle)).map(|(_, after)| after);
            }
            last = Some(part);
        }
        match (rest, last) {
            (Some(rest), Some(tail)) => rest.ends_with(tail),
            (Some(rest), None) => rest.is_empty(),
            (None, _) => false,
        }
    }
}

/// A key of a tenant.
#[derive(Debug)]
pub struct Key {
    pub id: String,
    pub tenant: Arc<Tenant>,
    pub active: bool,
    /// The first moment at which it is refused.
    pub expires: Option<SystemTime>,
    /// Narrows the tenant's allow-list; empty narrows nothing.
    pub models: Vec<ModelPattern>,
    pub limits: Limits,
}

/// `limits:`; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub concurrency: Option<u64>,
}

/// `telemetry:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    pub access_log: AccessLog,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    Stdout,
    File(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::ModelPattern;

    #[test]
    fn a_star_stands_for_any_text() {
        let hit = |p: &str, n: &str| ModelPattern(p.into()).matches(n);
        assert!(hit("openai/*", "openai/gpt-5") && hit("*", "x") && hit("fast", "fast") && hit("a*c*e", "abcde"));
        assert!(hit("*-mini", "openai/gpt-5-mini") && hit("a**", "a"));
        assert!(
            !hit("openai/*", "openai2/x") && !hit("fast", "faster") && !hit("a*c*e", "abde") && !hit("ab*ba", "aba")
        );
    }
}
