//! Tools that the gateway runs itself, as they are configured: what there is, and who has which.

use std::path::PathBuf;
use std::time::Duration;

use super::runtime::{BaseUrl, Key, Route, pattern_matches};
use crate::secret::Secret;

/// What the gateway can do without being told how. All but `weir_fetch`, which has to be told where it may go.
pub const BUILT_IN: [&str; 6] =
    ["weir_calculate", "weir_current_time", "weir_json_query", "weir_original", "weir_usage", "weir_uuid"];

/// Fetches pages, once it is told where.
pub const FETCH: &str = "weir_fetch";

/// Between a server's name and its tool's, in what a model is told.
pub const BETWEEN: &str = "__";

/// `edge_tools`: what a tenant, key or route has switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeTools {
    /// Names of tools, `server/tool`, or patterns of either.
    pub tools: Vec<String>,
    /// Offered to the model without being asked for.
    pub always: bool,
    /// Answers of the model with calls that are run, for one request.
    pub max_rounds: u32,
    /// For all calls of a round.
    pub timeout: Duration,
    /// In pico-USD: no further round once the rounds so far have cost as much.
    pub max_usd: Option<u64>,
}

impl EdgeTools {
    /// Whether it has the tool of that name, which is `server/tool` for a server's.
    pub fn has(&self, name: &str) -> bool {
        self.tools.iter().any(|pattern| pattern_matches(pattern, name))
    }

    /// Whether it has the tool that a model is told of by that name.
    pub fn has_told(&self, name: &str) -> bool {
        self.has(name) || name.split_once(BETWEEN).is_some_and(|(server, tool)| self.has(&format!("{server}/{tool}")))
    }
}

/// What is switched on for a request: the key says it, else the route, else the tenant.
pub fn switched_on<'r>(key: &'r Key, route: Option<&'r Route>) -> Option<&'r std::sync::Arc<EdgeTools>> {
    let of_route = || route.and_then(|route| route.edge_tools.as_ref());
    key.edge_tools.as_ref().or_else(of_route).or(key.tenant.edge_tools.as_ref())
}

/// One of `tools:`.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSettings {
    pub name: String,
    pub kind: ToolKind,
    /// For one call, connecting included.
    pub timeout: Duration,
    /// What is read of an answer at most.
    pub max_bytes: usize,
    /// Of each tenant.
    pub calls_per_minute: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolKind {
    Fetch(Vec<FetchHost>),
    Http(Box<HttpTool>),
    Mcp(Box<McpServer>),
}

/// A host that may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchHost {
    /// A name, an address, or `*.name` for all below a name.
    pub host: String,
    /// Whether it may have an address that is not public.
    pub private: bool,
    /// Ports beside those of http and https.
    pub ports: Vec<u32>,
}

/// A tool that is one request to a server of the operator's.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpTool {
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: String,
    pub url: ToolUrl,
    pub method: String,
    pub headers: Vec<(String, Secret)>,
    /// Signs the body.
    pub secret: Option<Secret>,
    pub arguments: Arguments,
}

/// Where the arguments of a call go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// All of them are the body, as the model wrote them.
    Body,
    /// All of them are the query.
    Query,
    /// As an operation of OpenAPI has it.
    Operation(Vec<Parameter>),
}

/// An argument that has a place of its own; where a parameter stands as [`Place::Body`], it is the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub place: Place,
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Header,
    Body,
}

/// An address of the operator's: where it goes, and the whole of it, which often is a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUrl {
    pub base: BaseUrl,
    pub whole: Secret,
}

/// A server of the Model Context Protocol.
#[derive(Debug, Clone, PartialEq)]
pub struct McpServer {
    pub way: McpWay,
    /// Its tools that may be used, by name or pattern; empty allows all.
    pub allow: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum McpWay {
    /// Streamable HTTP.
    Http { url: ToolUrl, headers: Vec<(String, Secret)> },
    /// A child process, spoken to over its standard input and output.
    Command { command: PathBuf, args: Vec<String>, env: Vec<(String, Secret)> },
}
