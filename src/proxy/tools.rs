//! Tools run for a request: for whom, and counted.

use std::sync::Arc;
use std::time::Instant;

use super::Gateway;
use super::context::Exchange;
use super::local;
use crate::limit::Who;
use crate::limit::clock::Clock;
use crate::tenant::keys::Caller as Known;
use crate::tools::{Caller, Outcome, Tool};
use crate::wire::json::Obj;

impl Gateway {
    /// Calls a tool, and counts the call.
    pub(super) async fn run_tool(&self, tool: &Tool, arguments: &str, caller: &Caller) -> Outcome {
        let began = Instant::now();
        let outcome = tool.call(arguments, caller).await;
        self.telemetry.tool_called(&caller.tenant, tool.listed(), outcome.end.as_str(), began.elapsed());
        outcome
    }

    /// For whom the tools of a request run.
    pub(super) fn tool_caller(&self, x: &Exchange) -> Caller {
        let Some(known) = x.caller.clone() else { return Caller::default() };
        let request_id = x.request_id.hyphenated().to_string();
        let (tenant, key) = (known.key.tenant.id.clone(), known.key.id.clone());
        let (user, tags, clock) = (x.user.clone(), x.tags.clone(), self.clock);
        let usage = move || usage(&known, &Who { user: user.as_deref(), tags: &tags }, clock);
        Caller { tenant, key, request_id, usage: Some(Arc::new(usage)) }
    }
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
