//! Tools that the gateway runs itself: what a model is told of them, and how they are called.
//!
//! A [`Toolbox`] is all that the configuration names, and what is built in; [`Toolbox::offered`] is what
//! a request has of it. Calling one never fails: what goes wrong is said to the model, which may know
//! another way. Each call is bounded in time and bytes by the tool itself.

mod builtin;
mod fetch;
mod http;
mod mcp;
mod meter;
mod name;
pub mod protocol;
mod toolbox;
pub mod web;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use self::builtin::BuiltIn;
use self::fetch::Fetch;
use self::http::HttpCall;
use self::mcp::Server;
use self::meter::Meter;
pub use self::toolbox::Toolbox;
use crate::config::tools::ToolUrl;
use crate::secret::Secret;

/// Arguments of a call that are longer are refused: no model writes that much to a tool on purpose.
const MOST_ARGUMENT_BYTES: usize = 1 << 20;

/// What the model is told of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Letters, digits, `_` and `-`, at most 64 of them: what every vendor takes.
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments, an object.
    pub schema: String,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    /// The tool says that it did not work.
    Failed,
    /// The tool was not done in its time.
    TimedOut,
    /// The tenant has called it too often.
    Limited,
}

impl End {
    pub const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::TimedOut, Self::Limited];

    /// The metric's `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed => "error",
            Self::TimedOut => "timeout",
            Self::Limited => "limited",
        }
    }
}

/// What the model gets back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub text: String,
    pub is_error: bool,
    pub end: End,
    /// The whole result as JSON, where a server of MCP gave it: for who speaks that.
    pub verbatim: Option<String>,
}

impl Outcome {
    pub fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: false, end: End::Done, verbatim: None }
    }

    /// `text` is for the model: it says what to do better, and nothing that is secret.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: true, end: End::Failed, verbatim: None }
    }

    /// Why it failed, in a word, if it did.
    pub fn error(&self) -> Option<&'static str> {
        (self.end != End::Done).then_some(self.end.as_str())
    }

    fn ended(end: End, text: String) -> Self {
        Self { text, is_error: true, end, verbatim: None }
    }

    fn timed_out(name: &str, within: Duration) -> Self {
        Self::ended(End::TimedOut, format!("{name} did not answer within {within:?}."))
    }
}

/// Says what the tenant used and has left, as JSON.
pub type UsageReport = Arc<dyn Fn() -> String + Send + Sync>;

/// Finds what compression took away from the tenant's requests, by its handle.
pub type Originals = Arc<dyn Fn(&str) -> Option<Arc<str>> + Send + Sync>;

/// For whom a tool runs.
#[derive(Clone, Default)]
pub struct Caller {
    pub tenant: String,
    pub key: String,
    pub request_id: String,
    /// What `weir_usage` answers.
    pub usage: Option<UsageReport>,
    /// What `weir_original` looks in.
    pub originals: Option<Originals>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({} {} {})", self.tenant, self.key, self.request_id)
    }
}

/// One tool.
#[derive(Debug)]
pub struct Tool {
    spec: Spec,
    /// How the configuration calls it: `server/tool` for a server's.
    listed: String,
    work: Work,
    timeout: Duration,
    /// Calls of each tenant in any minute.
    limit: Option<(u32, Arc<Meter>)>,
}

/// An address, and headers or variables by name.
type Sent<'t> = (Option<&'t ToolUrl>, &'t [(String, Secret)]);

/// What a tool does.
#[derive(Debug)]
enum Work {
    BuiltIn(BuiltIn),
    Fetch(Fetch),
    Http(Box<HttpCall>),
    Mcp { server: Arc<Server>, tool: String },
}

impl Tool {
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How the configuration calls it: its name, or `server/tool` for a server's.
    pub fn listed(&self) -> &str {
        &self.listed
    }

    /// Runs it with the arguments that the model wrote, which may be anything. Never fails, never
    /// takes longer than the tool's timeout, or than that.
    pub async fn call(&self, arguments: &str, caller: &Caller, within: Duration) -> Outcome {
        let within = self.timeout.min(within);
        if arguments.len() > MOST_ARGUMENT_BYTES {
            return Outcome::failed(format!("The arguments are longer than {MOST_ARGUMENT_BYTES} bytes."));
        }
        // Some models write nothing where there is nothing to say.
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        let limit = self.limit.as_ref();
        if let Some(wait) = limit.and_then(|(most, meter)| meter.take(&caller.tenant, *most, Instant::now()).err()) {
            return self.limited(wait);
        }
        match tokio::time::timeout(within, self.work(arguments, caller)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                if let Work::Mcp { server, .. } = &self.work {
                    server.timed_out();
                }
                Outcome::timed_out(&self.spec.name, within)
            }
        }
    }

    /// Calls of a tenant in any minute, of what is called this in the configuration: a server's tools count
    /// together.
    pub fn calls_per_minute(&self) -> Option<(&str, u32)> {
        let name = self.listed.split_once('/').map_or(self.listed.as_str(), |(server, _)| server);
        self.limit.as_ref().map(|(most, _)| (name, *most))
    }

    /// What the operator has said that goes out with each call, by its name; some of it is a credential.
    pub fn sent(&self) -> Vec<(&str, Secret)> {
        let (url, said) = match &self.work {
            Work::BuiltIn(_) | Work::Fetch(_) => (None, [].as_slice()),
            Work::Http(http) => http.sent(),
            Work::Mcp { server, .. } => server.sent(),
        };
        let said = said.iter().map(|(name, value)| (name.as_str(), value.clone()));
        said.chain(url.into_iter().flat_map(http::parameters)).collect()
    }

    /// What is told instead of a call that is one too many.
    pub fn limited(&self, wait: Duration) -> Outcome {
        let text = format!("{} was called too often: try again in {}s.", self.spec.name, wait.as_secs() + 1);
        Outcome::ended(End::Limited, text)
    }

    async fn work(&self, arguments: &str, caller: &Caller) -> Outcome {
        match &self.work {
            Work::BuiltIn(tool) => tool.call(arguments, caller),
            Work::Fetch(fetch) => fetch.call(arguments).await,
            Work::Http(http) => http.call(arguments, caller).await,
            Work::Mcp { server, tool } => server.call(tool, arguments).await,
        }
    }
}

/// Reads the arguments of a call, or says to the model what is wrong with them.
fn read<'a, T: Deserialize<'a>>(arguments: &'a str) -> Result<T, Outcome> {
    serde_json::from_str(arguments).map_err(|error| Outcome::failed(format!("The arguments are not right: {error}.")))
}
