//! Requests as they end, as server-sent events. What is sent is read from the list of the last requests,
//! so that no request waits for whoever looks, however slowly.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_http::ResponseHeader;
use tokio::time::Instant;

use super::{Admin, Answer, Question};
use crate::telemetry::kept::Wanted;

/// How often the list is looked at.
const BEAT: Duration = Duration::from_millis(200);
/// A comment goes out where nothing else has for so long: it finds out who has gone. So often it is also
/// asked whether this one may still see all this.
const SILENCE: Duration = Duration::from_secs(15);
/// Who does not take what is sent within this time has gone.
const PATIENCE: Duration = Duration::from_secs(10);

impl Admin {
    /// To the end of the connection, or of the right to ask.
    pub(super) async fn follow(
        &self,
        question: &Question,
        wanted: &Wanted,
        mut http: ServerSession,
        mut shutdown: ShutdownWatch,
    ) {
        let uri = http.req_header().uri.clone();
        let may_still = || {
            let again = self.question(&Method::GET, &uri, &question.headers);
            again.is_ok_and(|again| again.query == question.query)
        };
        let Ok(head) = head() else { return };
        http.set_keepalive(None);
        if http.write_response_header(Box::new(head)).await.is_err() {
            return;
        }
        let kept = self.backend.requests();
        let (mut seen, mut tick) = (kept.count(), tokio::time::interval(BEAT));
        let (mut sent_at, mut asked_at) = (Instant::now(), Instant::now());
        let mut out = b": following\n\n".to_vec();
        loop {
            if !out.is_empty() {
                let write = http.write_response_body(Bytes::from(std::mem::take(&mut out)), false);
                if !tokio::time::timeout(PATIENCE, write).await.is_ok_and(|written| written.is_ok()) {
                    return;
                }
                sent_at = Instant::now();
            }
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            if asked_at.elapsed() >= SILENCE {
                asked_at = Instant::now();
                if !may_still() {
                    return;
                }
            }
            let (count, lines) = kept.behind(seen, wanted);
            seen = count;
            for line in lines {
                out.extend_from_slice(b"event: request\ndata: ");
                out.extend_from_slice(&line.line);
                out.extend_from_slice(b"\n\n");
            }
            if out.is_empty() && sent_at.elapsed() >= SILENCE {
                out.extend_from_slice(b": still here\n\n");
            }
        }
    }
}

fn head() -> pingora_core::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(200, Some(5))?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    Ok(head)
}

/// `tenant=acme&model=openai/gpt&status=429`
pub(super) fn wanted(query: &str) -> Result<Wanted, Answer> {
    let mut asked = super::query::Query::read(query, &["tenant", "key", "model", "status"])?;
    let status = asked.take("status").map(|status| status.parse()).transpose();
    let status = status.map_err(|_| {
        Answer::error(http::StatusCode::BAD_REQUEST, "invalid_query", "`status`: expected a status like 200")
    })?;
    let [tenant, key, model] = ["tenant", "key", "model"].map(|name| asked.take(name));
    Ok(Wanted { tenant, key, model, status, since: None })
}
