//! Servers of the Model Context Protocol (<https://modelcontextprotocol.io/specification>), whose tools are
//! offered as the gateway's.
//!
//! A server is connected when something is first wanted of it. What it lists is kept until it says that its list
//! has changed. A connection that broke is made anew at the next call; a server that does not answer is asked again
//! beside the requests, ever later, and what it listed last stays known: only who is the first to want it waits.

mod content;
mod transport;

use std::fmt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, JsonObject};
use rmcp::service::{NotificationContext, Peer, RunningService, ServiceError, serve_client};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, RoleClient};
use tokio::process::Command;
use tokio::time::timeout;

use super::name::fitting;
use super::web::Web;
use super::{Outcome, Sent, Spec};
use crate::config::runtime::pattern_matches;
use crate::config::tools::{BETWEEN, McpServer, McpWay};

/// To connect and to list: a request does not wait longer.
const CONNECT: Duration = Duration::from_secs(10);
/// The same where no request waits.
const RECONNECT: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Calls in a row without an answer, behind which a server is taken to hang.
const MOST_UNANSWERED: u32 = 3;
/// More tools are no help to a model.
const MOST_TOOLS: usize = 500;
const MOST_SCHEMA_BYTES: usize = 64 << 10;
const MOST_DESCRIPTION_CHARS: usize = 8_000;

/// One server.
pub(super) struct Server {
    name: String,
    settings: McpServer,
    most_bytes: usize,
    web: Arc<dyn Web>,
    state: Mutex<State>,
    /// Held while it is connected or asked what it has, so that a burst of requests makes one connection.
    busy: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    listed: Option<Arc<Vec<Listed>>>,
    /// How often that was another list than before.
    listings: u64,
    failures: u32,
    unanswered: u32,
    /// While it fails: when it is tried again.
    retry_at: Option<Instant>,
    error: Option<(String, SystemTime)>,
    /// Since when it is connected, or is not.
    since: Option<SystemTime>,
}

/// A tool as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// What the server calls it.
    pub(super) name: String,
    pub(super) spec: Spec,
}

/// An open connection, and the task that serves it.
struct Connection {
    service: RunningService<RoleClient, Listener>,
    /// The server has said that its list changed.
    is_stale: Arc<AtomicBool>,
}

/// What the server may say by itself.
struct Listener(Arc<AtomicBool>);

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("weir", env!("CARGO_PKG_VERSION")))
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How a server stands, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) state: &'static str,
    pub(super) since: Option<SystemTime>,
    pub(super) error: Option<(String, SystemTime)>,
    pub(super) tools: Vec<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.name)
    }
}

impl Server {
    pub(super) fn new(name: &str, settings: McpServer, most_bytes: usize, web: Arc<dyn Web>) -> Self {
        let (state, busy) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { name: name.to_owned(), settings, most_bytes, web, state, busy }
    }

    /// What goes out with each call, or its process has got.
    pub(super) fn sent(&self) -> Sent<'_> {
        match &self.settings.way {
            McpWay::Http { url, headers } => (Some(url), headers),
            McpWay::Command { env, .. } => (None, env),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What it has: as it listed it last, asked anew where it said that this changed. Empty where it never
    /// answered.
    pub(super) async fn listed(&self) -> Arc<Vec<Listed>> {
        if let Some(listed) = self.current() {
            return listed;
        }
        let _one = self.busy.lock().await;
        match self.current() {
            Some(listed) => listed,
            None => self.list_within(CONNECT).await,
        }
    }

    /// The list, where it need not be asked for, or is not by a request.
    fn current(&self) -> Option<Arc<Vec<Listed>>> {
        self.with(|state| match &state.connection {
            _ if state.failures > 0 => Some(state.listed.clone().unwrap_or_default()),
            Some(open) if !open.is_broken() && !open.is_stale.load(Ordering::Relaxed) => state.listed.clone(),
            _ => None,
        })
    }

    /// Whether it failed and is to be tried again now.
    pub(super) fn is_due(&self) -> bool {
        self.with(|state| state.failures > 0 && state.retry_at.is_none_or(|at| Instant::now() >= at))
    }

    /// Whether what it listed may not hold any more: it said so, or its connection has ended.
    pub(super) fn is_outdated(&self) -> bool {
        self.with(|state| state.listed.is_some()) && self.current().is_none()
    }

    pub(super) fn listings(&self) -> u64 {
        self.with(|state| state.listings)
    }

    /// Tries again, unless somebody does.
    pub(super) async fn reconnect(&self) {
        let Ok(_one) = self.busy.try_lock() else { return };
        // A list that is outdated is waited for, one that could not be had is not.
        let within = if self.with(|state| state.failures > 0) { RECONNECT } else { CONNECT };
        self.list_within(within).await;
    }

    async fn list_within(&self, within: Duration) -> Arc<Vec<Listed>> {
        let found = match timeout(within, self.list()).await {
            Ok(found) => found,
            Err(_) => Err(format!("it did not answer within {}s", within.as_secs())),
        };
        match found {
            Ok(listed) => {
                let listed = Arc::new(listed);
                self.with(|state| {
                    let is_same = state.listed.as_ref() == Some(&listed);
                    state.listings = state.listings.wrapping_add(u64::from(!is_same));
                    state.listed = Some(Arc::clone(&listed));
                    (state.failures, state.retry_at) = (0, None);
                });
                listed
            }
            Err(why) => {
                self.failed(&why);
                self.with(|state| state.listed.clone()).unwrap_or_default()
            }
        }
    }

    async fn list(&self) -> Result<Vec<Listed>, String> {
        let connection = self.connected().await?;
        // What changes while it is asked has it asked again.
        connection.is_stale.store(false, Ordering::Relaxed);
        let tools = connection.service.peer().list_all_tools().await.map_err(|error| error.to_string())?;
        let may = |name: &str| {
            self.settings.allow.is_empty() || self.settings.allow.iter().any(|pattern| pattern_matches(pattern, name))
        };
        let mut all: Vec<Listed> = Vec::with_capacity(tools.len().min(MOST_TOOLS));
        for tool in tools.into_iter().filter(|tool| may(&tool.name)).take(MOST_TOOLS) {
            let schema = schema(&tool.input_schema);
            if schema.is_empty() || schema.len() > MOST_SCHEMA_BYTES {
                tracing::warn!(server = %self.name, tool = %tool.name, "a tool's schema is too long: it is left out");
                continue;
            }
            let said = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
            let name = fitting(&format!("{}{BETWEEN}{}", self.name, tool.name));
            let description = said.chars().take(MOST_DESCRIPTION_CHARS).collect();
            if !all.iter().any(|known| known.spec.name == name) {
                all.push(Listed { name: tool.name.into_owned(), spec: Spec { name, description, schema } });
            }
        }
        all.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(all)
    }

    /// Calls one of its tools. The caller has the deadline.
    pub(super) async fn call(&self, tool: &str, arguments: &str) -> Outcome {
        let arguments: JsonObject = match super::read(arguments) {
            Ok(arguments) => arguments,
            Err(outcome) => return outcome,
        };
        let peer = match self.peer().await {
            Ok(peer) => peer,
            Err(why) => return Outcome::failed(format!("The server {} cannot be reached: {why}.", self.name)),
        };
        let asked = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let answer = peer.call_tool(asked).await;
        self.with(|state| state.unanswered = 0);
        match answer {
            Ok(result) => content::outcome(&result, self.most_bytes),
            Err(ServiceError::McpError(error)) => Outcome::failed(format!("The server refused: {}", error.message)),
            Err(error) => {
                self.failed(&error.to_string());
                Outcome::failed(format!("The server {} did not answer: {error}.", self.name))
            }
        }
    }

    /// A call was given up. One that hangs is left: a child is ended with its connection, and started again.
    pub(super) fn timed_out(&self) {
        let unanswered = self.with(|state| {
            state.unanswered = state.unanswered.saturating_add(1);
            state.unanswered
        });
        if unanswered >= MOST_UNANSWERED {
            self.with(|state| state.unanswered = 0);
            self.failed(&format!("it did not answer {unanswered} calls in a row"));
        }
    }

    /// The open connection, or a new one.
    async fn peer(&self) -> Result<Peer<RoleClient>, String> {
        let open = || self.with(|state| state.connection.clone()).filter(|connection| !connection.is_broken());
        if let Some(connection) = open() {
            return Ok(connection.service.peer().clone());
        }
        let _one = self.busy.lock().await;
        if let Some((why, _)) = self.with(|state| state.error.clone().filter(|_| state.failures > 0)) {
            return Err(why);
        }
        let connected = match timeout(CONNECT, self.connected()).await {
            Ok(connected) => connected,
            Err(_) => Err(format!("it did not answer within {}s", CONNECT.as_secs())),
        };
        let connection = connected.inspect_err(|why| self.failed(why))?;
        Ok(connection.service.peer().clone())
    }

    async fn connected(&self) -> Result<Arc<Connection>, String> {
        let open = self.with(|state| state.connection.clone()).filter(|connection| !connection.is_broken());
        if let Some(connection) = open {
            return Ok(connection);
        }
        let is_stale = Arc::new(AtomicBool::new(false));
        let listener = Listener(Arc::clone(&is_stale));
        let service = match &self.settings.way {
            McpWay::Http { url, headers } => {
                let transport = transport::http(url, headers, self.most_bytes, &self.web)?;
                serve_client(listener, transport).await.map_err(|error| error.to_string())?
            }
            McpWay::Command { command, args, env } => {
                let mut child = Command::new(command);
                child.args(args).env_clear().envs(env.iter().map(|(name, value)| (name, value.expose())));
                child.kill_on_drop(true);
                // What it says to people would stand in our log, whatever it is.
                let spawned = TokioChildProcess::builder(child).stderr(Stdio::null()).spawn();
                let (transport, _) = spawned.map_err(|error| format!("it cannot be started: {error}"))?;
                serve_client(listener, transport).await.map_err(|error| error.to_string())?
            }
        };
        let connection = Arc::new(Connection { service, is_stale });
        self.with(|state| {
            state.connection = Some(Arc::clone(&connection));
            state.since = Some(SystemTime::now());
            // Another process may have another list.
            connection.is_stale.store(true, Ordering::Relaxed);
        });
        tracing::info!(server = %self.name, "a server of tools is connected");
        Ok(connection)
    }

    fn failed(&self, why: &str) {
        let why: String = why.chars().take(300).collect();
        let (is_first, pause) = self.with(|state| {
            let is_first = state.failures == 0;
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(state.failures.min(16))).min(LONGEST_PAUSE);
            state.failures = state.failures.saturating_add(1);
            state.retry_at = Some(Instant::now() + pause);
            if is_first {
                state.since = Some(SystemTime::now());
            }
            state.error = Some((why.clone(), SystemTime::now()));
            state.connection = None;
            (is_first, pause)
        });
        if is_first {
            tracing::warn!(server = %self.name, %why, ?pause, "a server of tools failed");
        }
    }

    pub(super) fn health(&self) -> Health {
        self.with(|state| {
            let is_open = state.connection.as_ref().is_some_and(|connection| !connection.is_broken());
            let word = match (is_open, state.failures) {
                (true, 0) => "connected",
                (false, 0) if state.connection.is_none() => "unused",
                _ => "failed",
            };
            let listed = state.listed.iter().flat_map(|listed| listed.iter());
            Health {
                state: word,
                since: state.since,
                error: state.error.clone(),
                tools: listed.map(|tool| tool.name.clone()).collect(),
            }
        })
    }
}

impl Connection {
    fn is_broken(&self) -> bool {
        self.service.is_closed() || self.service.peer().is_transport_closed()
    }
}

/// As it is, but for the type, which vendors want to be there.
fn schema(given: &JsonObject) -> String {
    let mut schema = given.clone();
    schema.entry("type").or_insert_with(|| "object".into());
    serde_json::to_string(&schema).unwrap_or_default()
}
