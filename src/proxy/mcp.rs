//! `/mcp`: the caller's tools for clients of the Model Context Protocol. What they say is
//! [`crate::tools::protocol`].

use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, Method, StatusCode};
use pingora_proxy::Session;

use super::context::Exchange;
use super::{Gateway, Served, body, capture, hooks, relay};
use crate::config::tools::switched_on;
use crate::error::{Error, Result};
use crate::record::{Called, Outcome as End};
use crate::route::cause::Cause;
use crate::stage::respond;
use crate::tools::protocol::{self, Asked};
use crate::tools::{Outcome as ToolOutcome, Tool};
use crate::usage::price::{Charge, PicoUsd};

impl Gateway {
    /// Answers one message, or opens the stream on which the client is told of changes.
    pub(super) async fn serve_mcp(&self, session: &mut Session, x: &mut Exchange) -> Result<Served> {
        if session.req_header().method == Method::GET {
            return self.follow_tools(session, x).await;
        }
        let (limit_bytes, within) = (x.live.runtime.server.max_body_bytes, x.live.runtime.server.body_timeout);
        x.clock.pause();
        x.body = body::read(session, limit_bytes, within).await?;
        x.clock.go();
        let (status, message) = match protocol::read(&x.body) {
            Asked::Answer(message) => (StatusCode::OK, message),
            Asked::Nothing => (StatusCode::ACCEPTED, Vec::new()),
            Asked::ListTools { id } => (StatusCode::OK, protocol::listed(&id, &offered(session, x).await?)),
            Asked::CallTool { id, name, arguments } => {
                (StatusCode::OK, self.call_from_outside(session, x, (&id, &name, &arguments)).await?)
            }
        };
        self.send_mcp(session, x, status, Bytes::from(message)).await
    }

    /// Runs a tool, as one request of the caller's limits and a row of the ledger.
    async fn call_from_outside(
        &self,
        session: &mut Session,
        x: &mut Exchange,
        (id, name, arguments): (&str, &str, &str),
    ) -> Result<Vec<u8>> {
        self.limit_call(x).await?;
        x.end.charge = Charge::whole(PicoUsd(0));
        let tools = offered(session, x).await?;
        let on = x.caller.as_ref().and_then(|caller| switched_on(&caller.key, None));
        let (Some(tool), Some(on)) = (tools.iter().find(|tool| tool.spec().name == name), on) else {
            return Ok(protocol::unknown_tool(id));
        };
        let (caller, at) = (self.tool_caller(x), x.started.elapsed());
        let ended = tokio::select! {
            (outcome, _) = self.run_tool(tool, arguments, &caller, on.timeout) => Ok(outcome),
            error = relay::interrupted(session, x.ticket.as_ref()) => Err(error),
        };
        let error = ended.as_ref().map_or_else(|error| Some(Cause::of(error).as_str()), ToolOutcome::error);
        let duration = x.started.elapsed().saturating_sub(at);
        x.tool_calls.add(Called { name: name.to_owned(), id: None, at, duration, error });
        ended.map(|outcome| protocol::called(id, &outcome))
    }

    async fn send_mcp(
        &self,
        session: &mut Session,
        x: &mut Exchange,
        status: StatusCode,
        message: Bytes,
    ) -> Result<Served> {
        let as_event = !message.is_empty() && takes_events_only(&session.req_header().headers);
        let (kind, body) = match as_event {
            true => (respond::SSE, Bytes::from(protocol::event(&message))),
            false => (respond::JSON, message),
        };
        let mut head = match status {
            StatusCode::ACCEPTED => respond::bare(status),
            _ => respond::whole(status, kind, body.len()),
        };
        hooks::identify(&mut head, x);
        x.end.status = status.as_u16();
        x.end.outcome = End::Finished;
        // Before the client can know of it: its next request finds what this one held given back.
        self.settle(x);
        self.seal(x);
        capture::head(x, &head);
        capture::out(x, &body);
        relay::send_whole(session, head, body).await?;
        Ok(Served::Answered)
    }
}

/// The caller's tools, as long as it waits for them.
pub(super) async fn offered(session: &mut Session, x: &Exchange) -> Result<Vec<Arc<Tool>>> {
    let caller = x.caller.as_ref().ok_or_else(|| Error::internal("no caller"))?;
    let Some(on) = switched_on(&caller.key, None) else { return Ok(Vec::new()) };
    tokio::select! {
        tools = x.live.tools.offered(on) => Ok(tools),
        error = relay::interrupted(session, x.ticket.as_ref()) => Err(error),
    }
}

/// Whether a client takes a stream of events.
pub(super) fn takes_events(headers: &HeaderMap) -> bool {
    takes(headers, "text/event-stream")
}

/// Whether a client wants a stream of events and nothing else.
fn takes_events_only(headers: &HeaderMap) -> bool {
    let others = ["application/json", "application/*", "*/*"];
    takes_events(headers) && !others.iter().any(|kind| takes(headers, kind))
}

fn takes(headers: &HeaderMap, kind: &str) -> bool {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.split(';').next().is_some_and(|one| one.trim() == kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_for_those_who_take_nothing_else() {
        for (accept, expected) in [
            ("application/json, text/event-stream", false),
            ("text/event-stream", true),
            ("text/event-stream;q=0.9, text/html", true),
            ("*/*", false),
            ("text/event-stream, */*;q=0.1", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(takes_events_only(&headers), expected, "{accept}");
        }
        assert!(!takes_events_only(&HeaderMap::new()));
    }
}
