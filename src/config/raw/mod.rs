//! What may be written in a configuration file. The doc comments are the user's documentation: they
//! become the descriptions of `conf/schema.json`.

mod alerts;
mod auth;
mod budget;
mod cache;
mod capture;
mod compression;
mod guard;
mod price;
mod provider;
mod route;
mod server;
mod telemetry;
mod tenant;
mod tools;

pub use alerts::{Alerts, EventWord, Factor, FormatWord, SpendSpikes, Webhook};
pub use auth::{AlgorithmWord, Auth, Claims, Issuer, PemText};
pub use budget::{Budget, PerWord, UsdText, Zone};
pub use cache::{Caching, Semantic, Shelf};
pub use capture::Capture;
pub use compression::Compression;
pub use guard::Guard;
pub use price::PriceList;
pub use provider::{
    Capabilities, Check, Endpoint, Entra, MaxTokensMember, ModelFull, Promise, Provider, Queue, QuirkChanges,
    ReasoningMember, ThinkingWord,
};
pub use route::{PreferWord, Route, Rule, StrategyWord, Target, When};
pub use server::{
    Admin, AdminToken, Defaults, Ledger, Listen, ListenFull, OnStoreLossWord, PricesFile, RetryBudget, RoleWord,
    Server, State, Timeouts, TlsPath,
};
pub use telemetry::{AccessLogFull, AccessLogWord, Otlp, Rotate, Telemetry};
pub use tenant::{Key, Limits, PreviousSecret, Share, StoredKey, Tenant};
pub(super) use tools::object;
pub use tools::{EdgeTools, Fetch, FetchHost, JsonText, Mcp, MethodWord, Tool, ToolLimits};

use super::read::{Map, settings};
use super::yaml::Place;

settings! {
    /// Configuration of Weir, the AI gateway. Every value may be written as `${VARIABLE}`,
    /// `${VARIABLE:-default}` or `file:/path/to/secret`; `$$` is a dollar sign. Durations are texts
    /// like `250ms`, `30s`, `1h30m`, sizes like `64KB`, `32MiB`.
    Config in "the configuration" {
        /// Version of this format; 1 is the only one.
        version: u32 = "1",
        /// The public side: where clients connect.
        server: Server = "{}",
        /// The operator's side: metrics, health, admin API. Never on the public port.
        admin: Admin = "{}",
        /// What is kept on disk.
        state: State = "{}",
        /// Where models come from. The name of a provider is the prefix of its models
        /// (`openai/gpt-5`) and, unless `kind` says otherwise, its vendor.
        providers: Map<Provider> = "{}",
        /// Virtual models: names of yours that stand for one or more models of providers.
        routes: Map<Route> = "{}",
        /// What is looked for in prompts and answers, by names that tenants, keys and routes list.
        guards: Map<Guard> = "{}",
        /// Where answers are kept that are given again.
        cache: Shelf = "{}",
        /// What holds where a provider, a route or a tenant says nothing else.
        defaults: Defaults = "{}",
        /// Who may use the gateway, with which keys, for what and how much. At least one is needed:
        /// there is no open mode.
        tenants: Map<Tenant> = "{}",
        /// Other ways to be let in than with a key.
        auth: Auth = "{}",
        /// Overrides of the built-in price table.
        prices: PricesFile = "{}",
        /// What is told about requests.
        telemetry: Telemetry = "{}",
        /// What the operator is told of without asking.
        alerts: Alerts = "{}",
        /// Tools that models call and the gateway runs, beside those that are built in. Nobody has any
        /// before `edge_tools` says so.
        tools: Map<Tool> = "{}",
    }
}

impl Config {
    /// Providers are written and some could not be read: what refers to them may be right.
    pub fn providers_lost(&self) -> bool {
        self.providers.lost || self.unread("providers", self.providers.place)
    }

    /// The same of routes.
    pub fn routes_lost(&self) -> bool {
        self.routes.lost || self.unread("routes", self.routes.place)
    }

    /// The same of tenants.
    pub fn tenants_lost(&self) -> bool {
        self.tenants.lost || self.unread("tenants", self.tenants.place)
    }

    /// The same of tools.
    pub fn tools_lost(&self) -> bool {
        self.tools.lost || self.unread("tools", self.tools.place)
    }

    /// Written, and yet what is there is the default, which stands where the whole file does.
    fn unread(&self, name: &str, place: Place) -> bool {
        self.written.contains(&name) && place == self.place
    }
}
