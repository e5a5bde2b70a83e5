//! All tools that there are, and which of them a request has.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::builtin::BuiltIn;
use super::fetch::Fetch;
use super::http::HttpCall;
use super::mcp::{Health, Listed, Server};
use super::meter::Meter;
use super::web::Web;
use super::{Spec, Tool, Work};
use crate::config::runtime::{Runtime, pattern_matches};
use crate::config::tools::{EdgeTools, HttpTool, McpServer, ToolKind, ToolSettings};
use crate::wire::json::{Arr, Obj};

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Toolbox {
    built_in: Vec<Arc<Tool>>,
    /// In the order of the file.
    own: Vec<Own>,
    web: Option<Arc<dyn Web>>,
    /// Sent to where lists may have changed.
    changes: Arc<watch::Sender<()>>,
}

/// One of the configuration's.
#[derive(Debug)]
struct Own {
    settings: Arc<ToolSettings>,
    meter: Arc<Meter>,
    holds: Holds,
}

#[derive(Debug)]
enum Holds {
    Tool(Arc<Tool>),
    Server(Arc<Server>),
}

impl Toolbox {
    /// What this configuration has. What an `old` one counted goes on to count, and what it has open stays open
    /// where it is the same. `web` is asked only where there is need.
    pub fn new(runtime: &Runtime, web: fn() -> Arc<dyn Web>, old: Option<&Self>) -> Self {
        let built_in = BuiltIn::ALL.iter().map(|tool| Arc::new(tool.tool())).collect();
        let changes = old.map(|old| Arc::clone(&old.changes)).unwrap_or_default();
        if runtime.tools.is_empty() {
            return Self { built_in, changes, ..Self::default() };
        }
        let web = old.and_then(|old| old.web.clone()).unwrap_or_else(web);
        let own = |settings: &Arc<ToolSettings>| {
            let known = old.and_then(|old| old.own.iter().find(|own| own.settings.name == settings.name));
            Own::new(settings, &web, known)
        };
        Self { built_in, own: runtime.tools.iter().map(own).collect(), web: Some(web), changes }
    }

    /// The tools that are switched on, by name: always in the same order, so that prompts are cached. Waits for
    /// servers that have not yet said what they have, but not for long.
    pub async fn offered(&self, on: &EdgeTools) -> Vec<Arc<Tool>> {
        let is_on = |tool: &&Arc<Tool>| on.has(&tool.listed);
        let mut all: Vec<Arc<Tool>> = self.built_in.iter().filter(is_on).cloned().collect();
        all.extend(self.own.iter().filter_map(Own::tool).filter(is_on).cloned());
        let wanted = self.own.iter().filter(|own| own.may_be_wanted(on));
        let of_servers = join_all(wanted.map(Own::of_server)).await;
        all.extend(of_servers.into_iter().flatten().filter(|tool| on.has(&tool.listed)).map(Arc::new));
        all.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        all.dedup_by(|a, b| a.spec.name == b.spec.name);
        all
    }

    /// Another try for each server that failed and is due; where lists are followed, also for those whose list is
    /// not what it was. For who has nothing else to do.
    pub fn retries(&self) -> Vec<impl Future<Output = ()> + Send + use<>> {
        let are_followed = self.changes.receiver_count() > 0;
        let is_due = |server: &Arc<Server>| server.is_due() || are_followed && server.is_outdated();
        let due = |own: &Own| match &own.holds {
            Holds::Server(server) => Some(Arc::clone(server)).filter(is_due),
            Holds::Tool(_) => None,
        };
        self.own.iter().filter_map(due).map(|server| async move { server.reconnect().await }).collect()
    }

    /// Wakes whoever follows, now and under later configurations.
    pub fn tell(&self) {
        self.changes.send_replace(());
    }

    /// Wakes up where lists may have changed.
    pub fn follow(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Another number once a server has listed something else.
    pub fn listings(&self) -> u64 {
        let of = |own: &Own| match &own.holds {
            Holds::Server(server) => server.listings(),
            Holds::Tool(_) => 0,
        };
        self.own.iter().map(of).fold(0, u64::wrapping_add)
    }

    /// All that the configuration names, with how its servers stand, as JSON to read.
    pub fn json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1_024);
        {
            let mut body = Obj::new(&mut out);
            let mut list = body.arr("data");
            for tool in &self.built_in {
                write_tool(&mut list, "built_in", &tool.spec.name);
            }
            for own in &self.own {
                own.write(&mut list);
            }
        }
        out
    }
}

impl Own {
    fn new(settings: &Arc<ToolSettings>, web: &Arc<dyn Web>, known: Option<&Self>) -> Self {
        let meter = known.map(|known| Arc::clone(&known.meter)).unwrap_or_default();
        let (name, most_bytes) = (&settings.name, settings.max_bytes);
        let tool = |spec: Spec, work| {
            let limit = settings.calls_per_minute.map(|most| (most, Arc::clone(&meter)));
            Holds::Tool(Arc::new(Tool { spec, listed: name.clone(), work, timeout: settings.timeout, limit }))
        };
        let holds = match (&settings.kind, known) {
            (ToolKind::Fetch(hosts), _) => {
                let fetch = Fetch::new(hosts, most_bytes, Arc::clone(web));
                tool(fetch.spec(name), Work::Fetch(fetch))
            }
            (ToolKind::Http(http), _) => {
                let call = HttpCall::new(HttpTool::clone(http), most_bytes, Arc::clone(web));
                tool(call.spec(name), Work::Http(Box::new(call)))
            }
            (ToolKind::Mcp(_), Some(Self { settings: old, holds: Holds::Server(server), .. }))
                if old.kind == settings.kind && old.max_bytes == most_bytes =>
            {
                Holds::Server(Arc::clone(server))
            }
            (ToolKind::Mcp(server), _) => {
                Holds::Server(Arc::new(Server::new(name, McpServer::clone(server), most_bytes, Arc::clone(web))))
            }
        };
        Self { settings: Arc::clone(settings), meter, holds }
    }

    fn tool(&self) -> Option<&Arc<Tool>> {
        match &self.holds {
            Holds::Tool(tool) => Some(tool),
            Holds::Server(_) => None,
        }
    }

    /// Whether a server's tools may be among those: one that is not meant is not connected.
    fn may_be_wanted(&self, on: &EdgeTools) -> bool {
        let starts = |pattern: &String| match pattern.split_once('/') {
            Some((server, _)) => pattern_matches(server, &self.settings.name),
            None => pattern.contains('*') && pattern_matches(pattern, &format!("{}/", self.settings.name)),
        };
        matches!(self.holds, Holds::Server(_)) && on.tools.iter().any(starts)
    }

    async fn of_server(&self) -> Vec<Tool> {
        let Holds::Server(server) = &self.holds else { return Vec::new() };
        let listed = server.listed().await;
        let tool = |listed: &Listed| Tool {
            spec: listed.spec.clone(),
            listed: format!("{}/{}", self.settings.name, listed.name),
            work: Work::Mcp { server: Arc::clone(server), tool: listed.name.clone() },
            timeout: self.settings.timeout,
            limit: self.settings.calls_per_minute.map(|most| (most, Arc::clone(&self.meter))),
        };
        listed.iter().map(tool).collect()
    }

    fn write(&self, list: &mut Arr<'_>) {
        let kind = match self.settings.kind {
            ToolKind::Fetch(_) => "fetch",
            ToolKind::Http(_) => "http",
            ToolKind::Mcp(_) => "mcp",
        };
        match &self.holds {
            Holds::Tool(_) => write_tool(list, kind, &self.settings.name),
            Holds::Server(server) => write_server(list, &self.settings.name, &server.health()),
        }
    }
}

fn write_tool(list: &mut Arr<'_>, kind: &str, name: &str) {
    list.obj().text("name", name).text("kind", kind);
}

fn write_server(list: &mut Arr<'_>, name: &str, health: &Health) {
    let unix_s = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut row = list.obj();
    row.text("name", name).text("kind", "mcp").text("state", health.state);
    match health.since {
        Some(since) => row.num("since", unix_s(since)),
        None => row.null("since"),
    };
    match &health.error {
        Some((error, at)) => row.text("last_error", error).num("last_error_at", unix_s(*at)),
        None => row.null("last_error").null("last_error_at"),
    };
    let mut tools = row.arr("tools");
    health.tools.iter().for_each(|tool| _ = tools.text(tool));
}
