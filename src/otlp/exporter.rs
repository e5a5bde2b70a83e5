//! Takes the records that finished and brings them to the collector, with the metrics now and then.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::known::Known;
use super::log::Made;
use super::metric::{self, Times};
use super::outbox::{Found, Outbox, Sent};
use super::proto::{Members, Value};
use super::{Otlp, Parcel, Reply, Signal, World, log, span};
use crate::config::telemetry;
use crate::record::Record;

/// How often it is looked what there is to export.
const TICK: Duration = Duration::from_millis(100);
/// What is exported of a record is about so many times as long as it is packed.
const TIMES_PACKED: usize = 7;
/// For one try, the connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module documentation.
pub struct Exporter {
    otlp: Arc<Otlp>,
    world: Arc<dyn World>,
    start_ns: u64,
    traces: Lane,
    metrics: Lane,
    logs: Lane,
    /// When metrics were last read.
    read: Instant,
    running: JoinSet<(Signal, Found)>,
    /// Who waits until all is gone: from there on nothing is tried twice.
    waits: Vec<SyncSender<()>>,
}

/// A signal's way, and how it goes.
#[derive(Debug)]
struct Lane {
    outbox: Outbox,
    is_failing: bool,
}

impl Lane {
    fn new(now: Instant) -> Self {
        Self { outbox: Outbox::new(now), is_failing: false }
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter")
    }
}

/// Nobody waits for an exporter that is gone.
impl Drop for Exporter {
    fn drop(&mut self) {
        let mut feed = self.otlp.feed();
        feed.is_served = false;
        feed.waits.clear();
    }
}

impl Exporter {
    pub fn new(otlp: Arc<Otlp>, world: Arc<dyn World>) -> Self {
        otlp.feed().is_served = true;
        let now = Instant::now();
        let [traces, metrics, logs] = [(); 3].map(|()| Lane::new(now));
        let (running, waits) = (JoinSet::new(), Vec::new());
        Self { otlp, world, start_ns: log::now_ns(), traces, metrics, logs, read: now, running, waits }
    }

    /// Until it is dropped.
    pub async fn run(&mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(Ok((signal, found))) = self.running.join_next() => self.done(signal, &found),
            }
            let known = self.otlp.known.load_full();
            match &known.otlp {
                Some(otlp) => self.work(&known, otlp),
                None => self.rest(),
            }
        }
    }

    fn work(&mut self, known: &Known, otlp: &telemetry::Otlp) {
        let now = Instant::now();
        let asked = std::mem::take(&mut self.otlp.feed().waits);
        let is_asked = !asked.is_empty();
        self.waits.extend(asked);
        self.sort(now);
        if otlp.metrics && (is_asked || now.duration_since(self.read) >= otlp.interval) {
            self.read(known, now);
        }
        for signal in Signal::ALL {
            self.send(signal, known, otlp, now);
        }
        if [&self.traces, &self.metrics, &self.logs].iter().all(|lane| lane.outbox.is_empty()) {
            self.waits.drain(..).for_each(|waits| _ = waits.try_send(()));
        }
    }

    /// Nothing is exported any more.
    fn rest(&mut self) {
        self.otlp.take();
        for signal in Signal::ALL {
            let lost = self.lane(signal).outbox.clear();
            self.otlp.counts.dropped(signal.as_str(), lost);
        }
        self.waits.clear();
        self.read = Instant::now();
    }

    fn lane(&mut self, signal: Signal) -> &mut Lane {
        match signal {
            Signal::Traces => &mut self.traces,
            Signal::Metrics => &mut self.metrics,
            Signal::Logs => &mut self.logs,
        }
    }

    /// Puts what finished where it is wanted.
    fn sort(&mut self, now: Instant) {
        for fed in self.otlp.take() {
            for signal in fed.wanted.signals() {
                if !self.lane(signal).outbox.push(Arc::clone(&fed.packed), now) {
                    self.otlp.counts.dropped(signal.as_str(), 1);
                }
            }
        }
    }

    /// Reads the metrics. A reading that is still on its way says nearly the same.
    fn read(&mut self, known: &Known, now: Instant) {
        self.read = now;
        let times = Times { start_ns: self.start_ns, now_ns: log::now_ns() };
        let all = self.world.metrics();
        let body = known.head.export(0, |out| metric::write(&all, times, out));
        self.metrics.outbox.replace(body, 1, now);
    }

    fn send(&mut self, signal: Signal, known: &Known, otlp: &telemetry::Otlp, now: Instant) {
        let hurry = !self.waits.is_empty();
        let write = |records: &[Arc<[u8]>]| body(signal, records, known, otlp);
        let Some(body) = self.lane(signal).outbox.next(now, hurry, write) else { return };
        let mut to = otlp.endpoint.clone();
        to.path.push_str("/v1/");
        to.path.push_str(signal.as_str());
        let parcel = Parcel { to, headers: otlp.headers.clone(), body };
        let world = Arc::clone(&self.world);
        self.running.spawn(async move { (signal, post(world.as_ref(), parcel).await) });
    }

    fn done(&mut self, signal: Signal, found: &Found) {
        let hurry = !self.waits.is_empty();
        let Some(sent) = self.lane(signal).outbox.done(found, Instant::now(), chance(), hurry) else { return };
        let (counts, name) = (&self.otlp.counts, signal.as_str());
        match sent {
            Sent::Taken { taken, rejected } => {
                counts.exported(name, taken);
                counts.dropped(name, rejected);
            }
            Sent::Later => counts.failed(name),
            Sent::Lost { lost } => {
                counts.failed(name);
                counts.dropped(name, lost);
            }
        }
        let is_failing = !matches!(sent, Sent::Taken { .. });
        let lane = self.lane(signal);
        // Once for each outage: a dead collector must not fill the log.
        match (std::mem::replace(&mut lane.is_failing, is_failing), is_failing) {
            (false, true) => tracing::warn!(signal = name, ?found, "the collector does not take what is exported"),
            (true, false) => tracing::info!(signal = name, "the collector takes what is exported again"),
            _ => {}
        }
    }
}

/// An export of these records.
fn body(signal: Signal, packed: &[Arc<[u8]>], known: &Known, otlp: &telemetry::Otlp) -> Bytes {
    let records = packed.iter().filter_map(|packed| Record::unpack(packed));
    let about = TIMES_PACKED * packed.iter().map(|packed| packed.len()).sum::<usize>();
    known.head.export(about, |out| match signal {
        Signal::Traces => records.for_each(|record| span::write(&record, known, out)),
        Signal::Logs => {
            let by = Made { new_traces: otlp.traces.then_some(otlp.sample), known, now_ns: log::now_ns() };
            records.for_each(|record| log::write(&record, by, out));
        }
        // They are made of no records.
        Signal::Metrics => {}
    })
}

async fn post(world: &dyn World, parcel: Parcel) -> Found {
    match tokio::time::timeout(PATIENCE, world.post(parcel)).await {
        Ok(Ok(reply)) => found(&reply),
        Ok(Err(error)) => {
            tracing::debug!(%error, detail = error.detail(), "the collector could not be called");
            Found::Busy { status: None, after: None }
        }
        Err(_) => Found::Busy { status: None, after: None },
    }
}

/// Which answers are worth another try is OTLP's list.
fn found(reply: &Reply) -> Found {
    match reply.status {
        200..300 => Found::Taken { rejected: rejected(&reply.body) },
        status @ (429 | 502 | 503 | 504) => Found::Busy { status: Some(status), after: reply.retry_after },
        status => Found::Refused { status },
    }
}

/// `partial_success.rejected_spans` and so on: their numbers are the same. What is no such answer says nothing.
fn rejected(body: &[u8]) -> u64 {
    let partial = Members(body).find_map(|member| match member {
        (1, Value::Bytes(partial)) => Some(partial),
        _ => None,
    });
    let rejected = Members(partial.unwrap_or_default()).find_map(|member| match member {
        (1, Value::Number(rejected)) => Some(rejected),
        _ => None,
    });
    // Below 0 it is nonsense.
    rejected.filter(|rejected| i64::try_from(*rejected).is_ok()).unwrap_or_default()
}

fn chance() -> u32 {
    let mut bytes = [0; 4];
    // Without chance all waits are the shortest, which is no harm.
    let _ = getrandom::fill(&mut bytes);
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use prost::Message as _;

    use super::*;

    fn reply(status: u16, body: Vec<u8>) -> Reply {
        Reply { status, retry_after: Some(Duration::from_secs(7)), body: body.into() }
    }

    #[test]
    fn answers_are_what_otlp_says_they_are() {
        let found = |status| found(&reply(status, Vec::new()));
        assert_eq!(found(200), Found::Taken { rejected: 0 });
        for status in [400, 401, 404, 413, 500, 501, 301] {
            assert_eq!(found(status), Found::Refused { status });
        }
        for status in [429, 502, 503, 504] {
            assert_eq!(found(status), Found::Busy { status: Some(status), after: Some(Duration::from_secs(7)) });
        }
    }

    #[test]
    fn a_collector_may_take_a_part() {
        for (rejected, expected) in [(3, 3), (0, 0), (i64::MAX, i64::MAX.unsigned_abs()), (-1, 0)] {
            let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: "too old".into() };
            let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
            assert_eq!(found(&reply(200, body)), Found::Taken { rejected: expected });
        }
        let odd = reply(202, b"{\"partialSuccess\":{}}".to_vec());
        assert_eq!(found(&odd), Found::Taken { rejected: 0 }, "whatever it says, it took it");
    }
}
