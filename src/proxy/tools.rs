//! Tools run for a request: for whom, and counted. Their servers that failed are tried again beside the requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::task::JoinSet;

use super::Gateway;
use super::context::Exchange;
use super::live::{Callers, Live};
use super::local;
use crate::limit::clock::Clock;
use crate::limit::shared::{Kind, Need, Refused};
use crate::limit::{CounterId, Who};
use crate::record::Called;
use crate::secret::header::secrets_of;
use crate::stage::account;
use crate::tenant::keys::Caller as Known;
use crate::tools::{Caller, Outcome, Tool};
use crate::wire::json::Obj;

/// How often it is looked which servers are due, and whether lists have changed.
const EVERY: Duration = Duration::from_secs(1);

/// Tries servers of tools again that failed, and tells who follows their lists where those may be others now.
pub(super) struct Servers {
    pub(super) live: Arc<ArcSwap<Live>>,
}

/// What lists of tools depend on.
struct Seen {
    live: Arc<Live>,
    callers: Arc<Callers>,
    listings: u64,
}

impl Seen {
    fn of(live: Arc<Live>) -> Self {
        let (callers, listings) = (live.callers.load_full(), live.tools.listings());
        Self { live, callers, listings }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live)
            && Arc::ptr_eq(&self.callers, &other.callers)
            && self.listings == other.listings
    }
}

#[async_trait]
impl BackgroundService for Servers {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(EVERY);
        // At most one for each server: one that hangs holds up no other.
        let mut running = JoinSet::new();
        let mut seen = Seen::of(self.live.load_full());
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => {
                    // Who follows is let go.
                    self.live.load().tools.tell();
                    return;
                }
            }
            while running.try_join_next().is_some() {}
            let now = Seen::of(self.live.load_full());
            now.live.tools.retries().into_iter().for_each(|retry| _ = running.spawn(retry));
            if !now.is(&seen) {
                seen = now;
                seen.live.tools.tell();
            }
        }
    }
}

/// The tools that were run for a request.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: Vec<Called>,
    /// With commas between.
    names: String,
}

impl Calls {
    pub(super) fn add(&mut self, call: Called) {
        if !self.names.is_empty() {
            self.names.push_str(", ");
        }
        self.names.push_str(&call.name);
        self.all.push(call);
    }

    pub(super) fn all(&self) -> &[Called] {
        &self.all
    }

    /// Their names, if there are any.
    pub(super) fn names(&self) -> Option<&str> {
        Some(self.names.as_str()).filter(|names| !names.is_empty())
    }
}

impl Gateway {
    /// Calls a tool, and counts the call. Gives back how long it took, too.
    pub(super) async fn run_tool(
        &self,
        tool: &Tool,
        arguments: &str,
        caller: &Caller,
        within: Duration,
    ) -> (Outcome, Duration) {
        let began = Instant::now();
        let outcome = match self.counted_by_all(tool, &caller.tenant).await {
            Ok(()) => without_credentials(tool, tool.call(arguments, caller, within).await),
            Err(wait) => tool.limited(wait),
        };
        let took = began.elapsed();
        self.telemetry.tool_called(&caller.tenant, tool.listed(), outcome.end.as_str(), took);
        (outcome, took)
    }

    /// Counts a call at the store, where replicas share their limits; or says how long until one may be made.
    async fn counted_by_all(&self, tool: &Tool, tenant: &str) -> Result<(), Duration> {
        let (Some(shared), Some((name, most))) = (&self.shared, tool.calls_per_minute()) else { return Ok(()) };
        let kind = Kind::Window { limit: most.into(), length_ms: 60_000 };
        let counter = shared.counter(CounterId::of_tool(tenant, name).as_str(), kind, None);
        let wait_ms = match shared.take(&[Need { counter, units: 1 }]).await {
            Ok(_) => return Ok(()),
            Err(Refused::Full { wait_ms, .. }) => wait_ms.unwrap_or_default(),
            Err(Refused::Closed { wait_ms, .. }) => wait_ms,
        };
        Err(Duration::from_millis(wait_ms))
    }

    /// For whom the tools of a request run.
    pub(super) fn tool_caller(&self, x: &Exchange) -> Caller {
        let Some(known) = x.caller.clone() else { return Caller::default() };
        let request_id = x.request_id.hyphenated().to_string();
        let (tenant, key) = (known.key.tenant.id.clone(), known.key.id.clone());
        let (user, tags, clock) = (x.user.clone(), x.tags.clone(), self.clock);
        let usage = move || usage(&known, &Who { user: user.as_deref(), tags: &tags }, clock);
        let (originals, whose) = (Arc::clone(&self.originals), tenant.clone());
        let originals = move |handle: &str| originals.get(&whose, handle, Instant::now());
        Caller { tenant, key, request_id, usage: Some(Arc::new(usage)), originals: Some(Arc::new(originals)) }
    }
}

/// What a tool answered, without what it was called with, should its server repeat that.
fn without_credentials(tool: &Tool, outcome: Outcome) -> Outcome {
    let sent = tool.sent();
    let secrets = sent.iter().flat_map(|(name, value)| secrets_of(name, value.expose())).collect();
    let secrets = if outcome.is_error { secrets } else { account::unmistakable(secrets) };
    if secrets.is_empty() {
        return outcome;
    }
    let clean = |text: String| account::redact(&text, &secrets).into_owned();
    Outcome { text: clean(outcome.text), verbatim: outcome.verbatim.map(clean), ..outcome }
}

/// What the key and its tenant used, and what is left of their limits and budgets: of `GET /v1/usage` and
/// `GET /v1/limits` together.
fn usage(known: &Known, who: &Who<'_>, clock: Clock) -> String {
    let mut out = Vec::with_capacity(1_024);
    {
        let mut body = Obj::new(&mut out);
        let at = clock.moment();
        let mut list = body.arr("usage");
        for purse in known.limits.purses().iter() {
            purse.write_usage(&mut list.obj(), at.unix_ms);
        }
        drop(list);
        local::write_limits(&known.limits, who, at, "limits", &mut body);
    }
    String::from_utf8(out).unwrap_or_default()
}
