//! The world that exports to a collector need: connections of their own, and the metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::request;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use super::ask::round_trip;
use super::connector::{Pools, Upstream};
use super::scrape::Scrape;
use crate::config::runtime::{BaseUrl, Runtime};
use crate::error::{Error, Kind, Result};
use crate::otlp::exporter::Exporter;
use crate::otlp::{Otlp, Parcel, Reply, World};
use crate::stage::account;
use crate::telemetry::Telemetry;

/// For a connection to the collector.
const CONNECT: Duration = Duration::from_secs(3);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION")));
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// From now on it sees each record, on the access log's thread.
pub(super) fn follow(runtime: &Runtime, telemetry: &Telemetry) -> Arc<Otlp> {
    let otlp = Arc::new(Otlp::new(runtime, telemetry.exported()));
    let told = Arc::clone(&otlp);
    telemetry.follow(move |record, packed| told.record(record, packed));
    otlp
}

/// Exports until the process ends: also what the last requests of a drain leave.
pub(super) struct Export {
    otlp: Arc<Otlp>,
    world: Arc<Collector>,
}

impl Export {
    pub(super) fn new(otlp: Arc<Otlp>, scrape: Arc<Scrape>) -> Self {
        Self {
            otlp,
            world: Arc::new(Collector { pools: Pools::new(ConnectorOptions::new(1)), last: Mutex::default(), scrape }),
        }
    }
}

#[async_trait]
impl BackgroundService for Export {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let world: Arc<Collector> = Arc::clone(&self.world);
        Exporter::new(Arc::clone(&self.otlp), world).run().await;
    }
}

struct Collector {
    pools: Pools,
    /// Where the last export went: its connection serves the next.
    last: Mutex<Option<Arc<Upstream>>>,
    scrape: Arc<Scrape>,
}

impl Collector {
    fn upstream(&self, to: BaseUrl) -> Arc<Upstream> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref().filter(|last| last.leads_to(&to)) {
            Some(last) => Arc::clone(last),
            None => Arc::clone(last.insert(Arc::new(Upstream::plain(to, CONNECT)))),
        }
    }
}

#[async_trait]
impl World for Collector {
    async fn post(&self, parcel: Parcel) -> Result<Reply> {
        let head = head(&parcel)?;
        let mut leg = self.pools.connect(&self.upstream(parcel.to)).await?;
        let reply = round_trip(&mut leg, head, parcel.body).await;
        let said = leg.head().and_then(|head| head.headers.get(RETRY_AFTER));
        let retry_after = account::retry_after(said, None, SystemTime::now());
        match &reply {
            Ok(_) if leg.is_done() => self.pools.release(leg).await,
            _ => leg.abandon(),
        }
        reply.map(|reply| Reply { status: reply.status, retry_after, body: reply.body })
    }

    fn metrics(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.scrape.families()
    }
}

fn head(parcel: &Parcel) -> Result<request::Parts> {
    let head = http::Request::post(parcel.to.path.as_str())
        .header(HOST, parcel.to.authority.as_str())
        .header(CONTENT_TYPE, PROTOBUF)
        .header(CONTENT_LENGTH, parcel.body.len())
        .header(USER_AGENT, AGENT);
    let (mut head, ()) = head.body(()).map_err(Error::internal)?.into_parts();
    for (name, value) in &parcel.headers {
        let unwritable = || Error::new(Kind::Internal, format!("the header {name} of `otlp` cannot be written"));
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.expose())) else {
            return Err(unwritable());
        };
        head.headers.insert(name, value);
    }
    Ok(head)
}
