//! What the configuration means: resolved, checked, immutable, shared by every request that began
//! under it. `load` builds it from the raw file; a reload swaps the `Arc` and leaves running
//! requests theirs.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

pub use super::access::Key;
use super::access::{AdminToken, Auth, IpNet};
use super::alerts::Alerts;
use super::attempts::{AttemptRules, RetryShare};
use super::budget::Budget;
use super::cache::{Caching, Shelf};
use super::database::DatabaseUrl;
pub use super::discovered::Discovered;
use super::guards::Guarding;
pub use super::limits::{Limits, OnStoreLoss, Share};
use super::telemetry::Telemetry;
use super::tools::{EdgeTools, ToolSettings};
use crate::compress;
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
    pub state: State,
    /// In the order of the file.
    pub deployments: Vec<Arc<Deployment>>,
    /// Virtual models by name.
    pub routes: HashMap<String, Arc<Route>>,
    /// What the model `auto` stands for where no route is called so: all models that the file names.
    pub any: Option<Arc<Route>>,
    /// What holds for a request that names its model itself.
    pub attempts: AttemptRules,
    pub retry_budget: RetryShare,
    /// In the order of the file.
    pub tenants: Vec<Arc<Tenant>>,
    /// Every key by the SHA-256 of its secret.
    pub keys: HashMap<[u8; 32], Arc<Key>>,
    pub auth: Auth,
    /// In the order of the file.
    pub guards: Vec<Arc<Guarding>>,
    pub cache: Shelf,
    pub prices: Arc<PriceTable>,
    pub telemetry: Telemetry,
    pub alerts: Arc<Alerts>,
    /// Tools that the gateway runs itself, in the order of the file.
    pub tools: Vec<Arc<ToolSettings>>,
}

/// `state:`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub dir: PathBuf,
    /// The fleet's Postgres; `None` is the file in `dir`.
    pub database: Option<DatabaseUrl>,
    /// How long rows of the ledger are kept.
    pub retention: Duration,
    pub ledger: LedgerRules,
    /// Where limits and budgets are shared with other replicas.
    pub shared: Option<Secret>,
    /// Where a limit or a budget says nothing else.
    pub on_store_loss: OnStoreLoss,
}

/// `state.ledger:`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerRules {
    pub enabled: bool,
    pub most_bytes: u64,
    pub sync: Duration,
    /// Where nothing can be recorded, requests are served all the same.
    pub serve_unrecorded: bool,
}

/// `server:`
#[derive(Debug, Clone, Default)]
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
    /// Those are believed about whom a request comes from.
    pub trusted_proxies: Vec<IpNet>,
}

impl Server {
    /// Threads that serve.
    pub fn workers(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            threads => threads,
        }
    }
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
    /// Who may ask. At least one as soon as `listen` is not loopback.
    pub tokens: Vec<AdminToken>,
}

impl Default for Runtime {
    /// One that serves nobody, at the beginning of time.
    fn default() -> Self {
        Self {
            hash: String::new(),
            loaded_at: SystemTime::UNIX_EPOCH,
            server: Server::default(),
            admin: Admin { listen: ([127, 0, 0, 1], 0).into(), tokens: Vec::new() },
            state: State::default(),
            deployments: Vec::new(),
            routes: HashMap::new(),
            any: None,
            attempts: AttemptRules::default(),
            retry_budget: RetryShare::default(),
            tenants: Vec::new(),
            keys: HashMap::new(),
            auth: Auth::default(),
            guards: Vec::new(),
            cache: Shelf::default(),
            prices: Arc::default(),
            telemetry: Telemetry::default(),
            alerts: Arc::default(),
            tools: Vec::new(),
        }
    }
}

impl Runtime {
    /// Every endpoint of every provider.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.deployments.iter().flat_map(Deployment::endpoints)
    }
}

/// One provider of the file: a vendor with an address and a credential. Where a provider has several
/// endpoints, each is one of these; the first stands for the provider.
#[derive(Debug)]
pub struct Deployment {
    /// The provider's name: the prefix of its models; also the metric label.
    pub name: String,
    /// Of the endpoint: the provider's name where it has only one, else `name#1` or `name#id`.
    pub id: String,
    /// Its share among the provider's endpoints.
    pub weight: u32,
    /// The provider's other endpoints; empty but at the first.
    pub others: Vec<Arc<Deployment>>,
    /// Where it stands, for tenants that care.
    pub region: Option<String>,
    /// What its operator promises of it.
    pub labels: Labels,
    /// Requests it takes at the same time; more of them wait.
    pub max_concurrency: Option<u32>,
    pub queue: Queue,
    /// How a server of one's own is asked whether it is well.
    pub check: Option<Check>,
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
    /// What of them is a credential.
    pub header_secrets: Vec<Secret>,
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

impl Deployment {
    /// What stands for a name in braces.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.iter().find(|(var, _)| *var == name).map(|(_, value)| value.as_str())
    }

    /// All endpoints of the provider that this one stands for: itself, and the others.
    pub fn endpoints(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::once(self).chain(&self.others)
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

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
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

impl Timeouts {
    /// What holds if nobody says otherwise.
    pub const USUAL: Self = Self {
        connect: Duration::from_secs(3),
        first_token: Duration::from_secs(60),
        idle: Duration::from_secs(30),
        total: Duration::from_secs(600),
    };

    /// To the head of an answer. One that is not streamed begins when it is ready, and a model may think for minutes:
    /// then `first_token` counts only where somebody said another one.
    pub fn until_head(self, streams: bool) -> Duration {
        if streams || self.first_token != Self::USUAL.first_token { self.first_token } else { self.total }
    }
}

/// Promises about what becomes of prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Labels {
    /// Nothing is trained on them.
    pub no_training: bool,
    /// Nothing of them is kept.
    pub zero_retention: bool,
}

impl Labels {
    /// Whether these promise all that `wanted` asks for.
    pub fn cover(self, wanted: Self) -> bool {
        (self.no_training || !wanted.no_training) && (self.zero_retention || !wanted.zero_retention)
    }
}

/// `queue`: requests that wait for a place at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    pub waiting: usize,
    pub patience: Duration,
}

/// `check`: an active health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub path: String,
    pub every: Duration,
}

/// A virtual model.
#[derive(Debug)]
pub struct Route {
    pub name: String,
    pub group: Group,
    pub attempts: AttemptRules,
    /// Keep conversations where their prompt cache is; `None`: where several endpoints serve one model.
    pub affinity: Option<bool>,
    /// What `auto` weighs most, where the request does not say.
    pub prefer: Prefer,
    pub rules: Vec<Rule>,
    pub edge_tools: Option<Arc<EdgeTools>>,
    pub compression: Option<compress::Rules>,
    pub guards: Vec<Arc<Guarding>>,
    pub cache: Option<Arc<Caching>>,
}

impl Route {
    /// Every target, in the order of the file.
    pub fn targets(&self) -> Vec<&RouteTarget> {
        self.group.targets()
    }
}

/// Targets, and how one is chosen among them.
#[derive(Debug)]
pub struct Group {
    pub strategy: Strategy,
    pub members: Vec<Member>,
}

impl Group {
    fn targets(&self) -> Vec<&RouteTarget> {
        let mut all = Vec::with_capacity(self.members.len());
        for member in &self.members {
            match member {
                Member::Target(target) => all.push(target),
                Member::Group { group, .. } => all.extend(group.targets()),
            }
        }
        all
    }
}

/// One choice of a group.
#[derive(Debug)]
pub enum Member {
    Target(RouteTarget),
    Group { group: Group, weight: u32 },
}

impl Member {
    pub fn weight(&self) -> u32 {
        match self {
            Self::Target(target) => target.weight,
            Self::Group { weight, .. } => *weight,
        }
    }
}

/// How a target is chosen; the others come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// In their order.
    Fallback,
    /// By weight.
    Weighted,
    /// The soonest first token.
    Latency,
    /// The fewest requests in flight.
    LeastBusy,
    /// The cheapest for this request.
    Cost,
    /// By what the request needs, and a preference.
    Auto,
}

impl Strategy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::Weighted => "weighted",
            Self::Latency => "latency",
            Self::LeastBusy => "least_busy",
            Self::Cost => "cost",
            Self::Auto => "auto",
        }
    }
}

/// What `auto` weighs most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    #[default]
    Balanced,
    Cost,
    Quality,
    Latency,
}

impl Prefer {
    pub const WORDS: [(&str, Self); 4] =
        [("balanced", Self::Balanced), ("cost", Self::Cost), ("quality", Self::Quality), ("latency", Self::Latency)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Cost => "cost",
            Self::Quality => "quality",
            Self::Latency => "latency",
        }
    }
}

#[derive(Debug)]
pub struct RouteTarget {
    pub deployment: Arc<Deployment>,
    pub model: String,
    pub weight: u32,
    /// 0 to 100, for `auto`; `None` is judged by its price.
    pub quality: Option<u32>,
    /// What the price table says of it, once somebody has looked.
    pub listed: OnceLock<Option<Arc<ModelInfo>>>,
}

impl RouteTarget {
    /// `provider/model`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.deployment.name, self.model)
    }
}

/// A rule of a route: which requests it is about, and what it narrows them to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub when: When,
    /// Places in [`Route::targets`]; empty narrows nothing.
    pub targets: Vec<usize>,
    pub prefer: Option<Prefer>,
}

/// What has to be so for a rule to hold; all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    pub tokens_over: Option<u64>,
    pub tokens_under: Option<u64>,
    pub tools: Option<bool>,
    pub images: Option<bool>,
    pub tags: Vec<String>,
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
    pub budgets: Vec<Budget>,
    /// Budgets of one model (or pattern) of this tenant.
    pub model_budgets: Vec<(ModelPattern, Vec<Budget>)>,
    /// What each of its users has.
    pub users: Share,
    /// What each tag has that is called so, or that matches.
    pub tags: Vec<(ModelPattern, Share)>,
    /// Refuse what a target cannot express instead of dropping it.
    pub strict: bool,
    /// Providers it may be served by; empty allows all.
    pub providers: Vec<String>,
    /// Regions it may be served in; empty allows all.
    pub regions: Vec<ModelPattern>,
    /// What a provider must promise.
    pub require: Labels,
    /// Its share where places at an endpoint are scarce.
    pub weight: u32,
    pub edge_tools: Option<Arc<EdgeTools>>,
    pub compression: Option<compress::Rules>,
    pub guards: Vec<Arc<Guarding>>,
    pub cache: Option<Arc<Caching>>,
}

impl Default for Tenant {
    /// One that a file says nothing about.
    fn default() -> Self {
        Self {
            id: String::new(),
            models: Vec::new(),
            limits: Limits::default(),
            model_limits: Vec::new(),
            budgets: Vec::new(),
            model_budgets: Vec::new(),
            users: Share::default(),
            tags: Vec::new(),
            strict: false,
            providers: Vec::new(),
            regions: Vec::new(),
            require: Labels::default(),
            weight: 1,
            edge_tools: None,
            compression: None,
            guards: Vec::new(),
            cache: None,
        }
    }
}

impl Tenant {
    /// Whether its requests may go there, whatever the model.
    pub fn permits(&self, deployment: &Deployment) -> bool {
        self.refusal(deployment).is_none()
    }

    /// Why they may not.
    pub fn refusal(&self, deployment: &Deployment) -> Option<&'static str> {
        let stands =
            || deployment.region.as_deref().is_some_and(|region| self.regions.iter().any(|r| r.matches(region)));
        if !self.providers.is_empty() && !self.providers.contains(&deployment.name) {
            Some("the tenant may not use this provider")
        } else if !deployment.labels.cover(self.require) {
            Some("it does not promise what the tenant requires")
        } else if !self.regions.is_empty() && !stands() {
            Some("it does not stand in a region of the tenant's")
        } else {
            None
        }
    }
}

/// `openai/*`, `fast`, `*`: a star stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPattern(pub String);

impl ModelPattern {
    /// Whether `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        pattern_matches(&self.0, name)
    }
}

/// Whether `name` is what a pattern says, in which a star stands for any text.
pub fn pattern_matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "proxy")]
    impl Deployment {
        /// One of the simulator, with this name and nothing said about it.
        pub(crate) fn simulated(name: &str) -> Self {
            let second = Duration::from_secs(1);
            Self {
                name: name.into(),
                id: name.into(),
                weight: 1,
                others: Vec::new(),
                region: None,
                labels: Labels::default(),
                max_concurrency: None,
                queue: Queue { waiting: 0, patience: Duration::ZERO },
                check: None,
                provider: &crate::provider::simulator::PROVIDER,
                base: BaseUrl { tls: false, host: "h".into(), port: 1, path: String::new(), authority: "h".into() },
                api_key: None,
                headers: Vec::new(),
                header_secrets: Vec::new(),
                timeouts: Timeouts { connect: second, first_token: second, idle: second, total: second },
                quirks: crate::provider::simulator::PROVIDER.quirks,
                models: HashMap::new(),
                models_only: false,
                authored: HashMap::new(),
                discovered: None,
                abilities: Abilities::UNKNOWN,
                ca_file: None,
                signer: crate::provider::sign::Signer::None,
                vars: Vec::new(),
                api: ApiChoice::Auto,
                seal: Seal::new("test", b""),
            }
        }
    }

    #[test]
    fn a_whole_answer_has_all_the_time_unless_another_first_token_is_said() {
        let usual = Timeouts::USUAL;
        assert_eq!((usual.until_head(true), usual.until_head(false)), (usual.first_token, usual.total));
        let said = Timeouts { first_token: Duration::from_secs(1), ..usual };
        assert_eq!((said.until_head(true), said.until_head(false)), (said.first_token, said.first_token));
    }

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
