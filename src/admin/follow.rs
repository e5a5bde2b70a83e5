//! Requests as they begin and as they end, as server-sent events. What is sent is read from the list of those
//! that run and from that of the last requests, so that no request waits for whoever looks, however slowly.
//!
//! `started` is a request that runs, and comes again as more is known of it; `request` is its record, once it
//! has ended; `gone` is one that runs no more and whose record did not come; `lost` says that some were left
//! out, because more came than is kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_http::ResponseHeader;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Admin, Answer, Question};
use crate::telemetry::kept::{Kept, Wanted};
use crate::telemetry::running::{Running, Seen, Watch};
use crate::wire::json::Obj;

/// How often the list is looked at.
const BEAT: Duration = Duration::from_millis(200);
/// A comment goes out where nothing else has for so long: it finds out who has gone. So often it is also
/// asked whether this one may still see all this.
const SILENCE: Duration = Duration::from_secs(15);
/// Who does not take what is sent within this time has gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// A record comes at most so many beats after its request runs no more; one that does not has been dropped.
const RECORD_BEATS: u8 = 10;

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
        // What begins from here on is sent.
        let mut viewer = Viewer::new(self.backend.requests(), self.backend.running());
        http.set_keepalive(None);
        if http.write_response_header(Box::new(head)).await.is_err() {
            return;
        }
        let mut tick = tokio::time::interval(BEAT);
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
            viewer.look(wanted, &mut out);
            if out.is_empty() && sent_at.elapsed() >= SILENCE {
                out.extend_from_slice(b": still here\n\n");
            }
        }
    }
}

/// Somebody who looks, and what was sent so far.
struct Viewer {
    kept: Arc<Kept>,
    running: Arc<Running>,
    /// Of the last requests.
    ended: u64,
    /// Of those that run.
    begun: Seen,
    /// Those sent that run, as far as is known; and for how many beats they have not.
    sent: HashMap<Uuid, u8>,
    _watch: Watch,
}

impl Viewer {
    fn new(kept: Arc<Kept>, running: Arc<Running>) -> Self {
        let (watch, ended, begun) = (running.watch(), kept.count(), running.start());
        Self { kept, running, ended, begun, sent: HashMap::new(), _watch: watch }
    }

    /// What has happened since the last time.
    fn look(&mut self, wanted: &Wanted, out: &mut Vec<u8>) {
        let (started, left_out) = self.running.behind(&mut self.begun, wanted);
        for line in started {
            if let Ok(id) = Uuid::parse_str(&line.request_id) {
                self.sent.insert(id, 0);
                event(out, "started", &line.line);
            }
        }
        // A request has left those that run before it is among those that ended.
        let (ended, forgotten) = self.kept.behind(&mut self.ended, wanted);
        for line in ended {
            if !self.sent.is_empty()
                && let Ok(id) = Uuid::parse_str(&line.request_id)
            {
                self.sent.remove(&id);
            }
            event(out, "request", &line.line);
        }
        self.tell_gone(out);
        if left_out || forgotten {
            // Not how many: they are other tenants' too.
            let mut data = Vec::new();
            Obj::new(&mut data).bool("started", left_out).bool("ended", forgotten);
            event(out, "lost", &data);
        }
    }

    fn tell_gone(&mut self, out: &mut Vec<u8>) {
        for id in self.running.over(self.sent.keys()) {
            let beats = self.sent.get(&id).copied().unwrap_or_default();
            if beats < RECORD_BEATS {
                self.sent.insert(id, beats + 1);
                continue;
            }
            self.sent.remove(&id);
            let mut data = Vec::new();
            Obj::new(&mut data).text("request_id", id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            event(out, "gone", &data);
        }
    }
}

fn event(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    for part in [b"event: ", name.as_bytes(), b"\ndata: ", data, b"\n\n"] {
        out.extend_from_slice(part);
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::record::Record;
    use crate::telemetry::running::Runs;

    fn record(number: u128) -> Record<'static> {
        Record { tenant: Some("acme"), ..Record::new(Uuid::from_u128(number), UNIX_EPOCH, "chat") }
    }

    /// The events of a beat: names, and the last digit of ids.
    fn look(viewer: &mut Viewer) -> Vec<String> {
        let mut out = Vec::new();
        viewer.look(&Wanted::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let event = |event: &str| {
            let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            match data.split_once("\"request_id\":\"") {
                Some((_, rest)) => format!("{name} {}", rest.get(35..36).unwrap()),
                None => format!("{name} {data}"),
            }
        };
        text.split_terminator("\n\n").map(event).collect()
    }

    #[test]
    fn a_request_is_told_as_it_begins_and_as_it_ends_in_this_order() {
        let (kept, running) = (Arc::new(Kept::default()), Arc::new(Running::default()));
        let mut viewer = Viewer::new(Arc::clone(&kept), Arc::clone(&running));
        assert!(running.is_watched());
        let begin = |number| running.begin(&record(number));
        let end = |runs: Runs, number| {
            drop(runs);
            kept.push(record(number).pack());
        };
        let (one, two) = (begin(1), begin(2));
        assert_eq!(look(&mut viewer), ["started 1", "started 2"]);
        end(two, 2);
        let three = begin(3);
        end(begin(4), 4);
        assert_eq!(look(&mut viewer), ["started 3", "request 2", "request 4"], "4 was too quick to be seen to run");
        // Its record is dropped on its way.
        drop(three);
        for _ in 0..RECORD_BEATS {
            assert!(look(&mut viewer).is_empty());
        }
        assert_eq!(look(&mut viewer), ["gone 3"]);
        end(one, 1);
        assert_eq!(look(&mut viewer), ["request 1"]);
        assert!(viewer.sent.is_empty() && look(&mut viewer).is_empty());
        drop(viewer);
        assert!(!running.is_watched());
    }

    #[test]
    fn who_is_too_slow_is_told_that_something_is_lost() {
        let (kept, running) = (Arc::new(Kept::default()), Arc::new(Running::default()));
        let mut viewer = Viewer::new(Arc::clone(&kept), Arc::clone(&running));
        (0..1_001).for_each(|_| kept.push(record(1).pack()));
        let events = look(&mut viewer);
        assert_eq!(events.iter().filter(|event| *event == "request 1").count(), 1_000);
        assert_eq!(events.last().unwrap(), "lost {\"started\":false,\"ended\":true}");
        assert!(look(&mut viewer).is_empty(), "once");
    }
}
