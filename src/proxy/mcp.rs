//! `/mcp`: the caller's tools for clients of the Model Context Protocol. What they say is
//! [`crate::tools::protocol`].

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use pingora_proxy::Session;

use super::context::Exchange;
use super::{Gateway, Served, body, capture, hooks, relay};
use crate::config::tools::switched_on;
use crate::error::{Error, Result};
use crate::record::Outcome as End;
use crate::stage::respond;
use crate::tools::protocol::{self, Asked};

impl Gateway {
    /// Answers one message.
    pub(super) async fn serve_mcp(&self, session: &mut Session, x: &mut Exchange) -> Result<Served> {
        let (limit_bytes, within) = (x.live.runtime.server.max_body_bytes, x.live.runtime.server.body_timeout);
        x.clock.pause();
        x.body = body::read(session, limit_bytes, within).await?;
        x.clock.go();
        let answering = self.mcp_answer(x);
        let answer = tokio::select! {
            answer = answering => answer?,
            () = relay::client_gone(session) => return Err(relay::gone()),
        };
        let Some(message) = answer else {
            return self.send_mcp(session, x, StatusCode::ACCEPTED, Bytes::new()).await;
        };
        self.send_mcp(session, x, StatusCode::OK, Bytes::from(message)).await
    }

    /// The message that answers; `None` where nothing is to be said.
    async fn mcp_answer(&self, x: &Exchange) -> Result<Option<Vec<u8>>> {
        let caller = x.caller.as_ref().ok_or_else(|| Error::internal("no caller"))?;
        let on = switched_on(&caller.key, None);
        match protocol::read(&x.body) {
            Asked::Answer(message) => Ok(Some(message)),
            Asked::Nothing => Ok(None),
            Asked::ListTools { id } => {
                let tools = match on {
                    Some(on) => x.live.tools.offered(on).await,
                    None => Vec::new(),
                };
                Ok(Some(protocol::listed(&id, &tools)))
            }
            Asked::CallTool { id, name, arguments } => {
                let Some(on) = on else { return Ok(Some(protocol::unknown_tool(&id))) };
                let tools = x.live.tools.offered(on).await;
                let Some(tool) = tools.iter().find(|tool| tool.spec().name == name) else {
                    return Ok(Some(protocol::unknown_tool(&id)));
                };
                let caller = self.tool_caller(x);
                let (outcome, _) = self.run_tool(tool, &arguments, &caller, on.timeout).await;
                Ok(Some(protocol::called(&id, &outcome)))
            }
        }
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
        self.seal(x);
        capture::head(x, &head);
        capture::out(x, &body);
        relay::send_whole(session, head, body).await?;
        Ok(Served::Answered)
    }
}

/// Whether a client wants a stream of events and nothing else.
fn takes_events_only(headers: &HeaderMap) -> bool {
    let takes = |kind: &str| {
        let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.split(';').next().is_some_and(|one| one.trim() == kind))
    };
    takes("text/event-stream") && !takes("application/json") && !takes("application/*") && !takes("*/*")
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
