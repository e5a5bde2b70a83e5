//! OpenTelemetry: traces, metrics and access records to a collector, by OTLP over HTTP.
//!
//! Requests know nothing of it. The access log's thread shows each finished record to [`Otlp::record`],
//! which puts it on a bounded queue, or drops it and counts it. One task with a thread of its own
//! ([`exporter`]) looks ten times a second, writes spans (`span`) and log records (`log`) of them and metrics
//! (`metric`) of what /metrics shows straight into what goes out (`export`, `proto`), and brings each signal to
//! the collector by an `outbox`. A collector
//! that is slow or gone costs memory up to a bound, and records beyond it.
//!
//! # How to wire it
//! `Otlp::new` once per process, [`Otlp::bind`] at each reload, [`Otlp::record`] for each record,
//! an [`exporter::Exporter`] on a thread, [`Otlp::flush`] before the process exits.

mod attributes;
#[cfg(test)]
mod expected;
mod export;
pub mod exporter;
mod known;
mod log;
mod metric;
mod outbox;
mod proto;
mod span;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use prometheus::proto::MetricFamily;
use uuid::Uuid;

use crate::config::runtime::{BaseUrl, Runtime};
use crate::error::Result;
use crate::record::Record;
use crate::secret::Secret;
use crate::telemetry::{Exported, is_written};
use known::Known;
use span::Traced;

/// Records that wait to be read, and their bytes.
const MOST_WAITING: usize = 8_192;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What is exported. The words are the metrics' and the paths'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// An export on its way.
#[derive(Debug)]
pub struct Parcel {
    pub to: BaseUrl,
    pub headers: Vec<(String, Secret)>,
    pub body: Bytes,
}

/// What a collector answers.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// For so long it wants to be left alone.
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

/// Makes the calls, and knows the metrics.
#[async_trait]
pub trait World: Send + Sync {
    async fn post(&self, parcel: Parcel) -> Result<Reply>;

    /// What a scrape would show now.
    fn metrics(&self) -> Vec<MetricFamily>;
}

/// See the module documentation.
#[derive(Debug)]
pub struct Otlp {
    known: ArcSwap<Known>,
    feed: Mutex<Feed>,
    counts: Exported,
    instance: String,
}

#[derive(Debug, Default)]
struct Feed {
    records: Vec<Fed>,
    bytes: usize,
    /// Who waits until all is exported.
    waits: Vec<SyncSender<()>>,
    /// There is somebody who exports.
    is_served: bool,
}

/// A record that is wanted.
#[derive(Debug)]
struct Fed {
    packed: Arc<[u8]>,
    wanted: Wanted,
}

/// What is to be exported of a record.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    traces: bool,
    logs: bool,
}

impl Wanted {
    fn of(record: &Record<'_>, known: &Known) -> Self {
        let Some(otlp) = &known.otlp else { return Self::default() };
        let is_sampled = || Traced::of(record).is_some_and(|traced| traced.is_sampled(otlp.sample));
        Self { traces: otlp.traces && is_sampled(), logs: otlp.logs && is_written(known.records, record) }
    }

    fn signals(self) -> impl Iterator<Item = Signal> {
        let all = [(Signal::Traces, self.traces), (Signal::Logs, self.logs)];
        all.into_iter().filter_map(|(signal, is_wanted)| is_wanted.then_some(signal))
    }
}

impl Otlp {
    pub fn new(runtime: &Runtime, counts: Exported) -> Self {
        let instance = Uuid::now_v7().to_string();
        let known = ArcSwap::from_pointee(Known::new(runtime, &instance));
        Self { known, feed: Mutex::default(), counts, instance }
    }

    /// Another configuration.
    pub fn bind(&self, runtime: &Runtime) {
        self.known.store(Arc::new(Known::new(runtime, &self.instance)));
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A finished request's record, and how it is packed. Never waits.
    pub fn record(&self, record: &Record<'_>, packed: &Arc<[u8]>) {
        let wanted = Wanted::of(record, &self.known.load());
        if !wanted.traces && !wanted.logs {
            return;
        }
        let mut feed = self.feed();
        if feed.records.len() < MOST_WAITING && feed.bytes + packed.len() <= MOST_BYTES {
            feed.bytes += packed.len();
            feed.records.push(Fed { packed: Arc::clone(packed), wanted });
            return;
        }
        drop(feed);
        wanted.signals().for_each(|signal| self.counts.dropped(signal.as_str(), 1));
    }

    fn take(&self) -> Vec<Fed> {
        let mut feed = self.feed();
        feed.bytes = 0;
        std::mem::take(&mut feed.records)
    }

    /// Waits until all so far is exported or given up, at most `timeout`. Blocks the thread.
    pub fn flush(&self, timeout: Duration) {
        if self.known.load().otlp.is_none() {
            return;
        }
        let (done, wait) = sync_channel(1);
        {
            let mut feed = self.feed();
            if !feed.is_served {
                return;
            }
            feed.waits.push(done);
        }
        let _ = wait.recv_timeout(timeout);
    }
}

#[cfg(test)]
mod tests;
