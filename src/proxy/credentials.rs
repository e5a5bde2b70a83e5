//! Keeps credentials fresh that are fetched, beside the requests: before they end, and again after a
//! failure, ever later. While one cannot be fetched, the old one stays in use for as long as it lives.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::{Method, Uri, request};
use pingora_core::connectors::ConnectorOptions;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::task::JoinSet;

use super::ask::round_trip;
use super::connector::{Pools, Upstream};
use super::live::Live;
use crate::alert::Alerts;
use crate::config::runtime::BaseUrl;
use crate::error::{Error, Result};
use crate::provider::sign::call::{Call, Caller, Reply, not_fetched};
use crate::telemetry::Telemetry;

/// How often it is looked which are due.
const EVERY: Duration = Duration::from_secs(1);
/// For a connection to where credentials come from.
const CONNECT: Duration = Duration::from_secs(3);

/// See the module documentation.
pub(super) struct Credentials {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) alerts: Arc<Alerts>,
}

#[async_trait]
impl BackgroundService for Credentials {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let calls = Arc::new(Calls::new());
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            tokio::join!(self.refresh_due(&calls), self.refresh_issuers(&calls));
        }
    }
}

impl Credentials {
    /// The public keys of issuers of tokens.
    async fn refresh_issuers(&self, calls: &Arc<Calls>) {
        let issuers = self.live.load().callers.load().keyring.tokens().issuers().cloned();
        let Some(issuers) = issuers else { return };
        let mut running = JoinSet::new();
        for due in issuers.due(SystemTime::now()) {
            let (issuers, calls) = (Arc::clone(&issuers), Arc::clone(calls));
            running.spawn(async move { issuers.refresh(due, calls.as_ref()).await });
        }
        while let Some(Ok(result)) = running.join_next().await {
            let Err((issuer, error)) = result else { continue };
            self.telemetry.issuer_refresh_failed();
            tracing::warn!(issuer, %error, "an issuer's public keys could not be fetched, the last ones stay in use");
        }
    }

    /// All that are due, at the same time: one that hangs holds up no other.
    async fn refresh_due(&self, calls: &Arc<Calls>) {
        let now = SystemTime::now();
        let mut running = JoinSet::new();
        for deployment in self.live.load().runtime.endpoints().filter(|d| d.signer.is_due(now)) {
            let (deployment, calls) = (Arc::clone(deployment), Arc::clone(calls));
            running.spawn(async move {
                let result = deployment.signer.refresh(calls.as_ref()).await;
                (deployment, result)
            });
        }
        while let Some(Ok((deployment, result))) = running.join_next().await {
            self.alerts.credential_fetched(&deployment.id, result.as_ref().err().map(Error::public));
            if let Err(error) = result {
                self.telemetry.credential_refresh_failed(&deployment.name);
                tracing::warn!(provider = %deployment.name, %error, "the provider's credential could not be fetched");
            }
        }
    }
}

/// Calls over connections of their own.
#[derive(Debug)]
pub(crate) struct Calls {
    pools: Pools,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self { pools: Pools::new(ConnectorOptions::new(1)) }
    }
}

#[async_trait]
impl Caller for Calls {
    async fn call(&self, call: Call) -> Result<Reply> {
        let uri: Uri = call.url.parse().map_err(|_| not_fetched("an address that is no URL"))?;
        let base = base(&uri).ok_or_else(|| not_fetched("an address that is no http URL"))?;
        let head = head(&call, &uri, &base)?;
        let body = Bytes::copy_from_slice(call.body.expose().as_bytes());
        let host = base.host.clone();
        let failed = |e: &Error| not_fetched(format!("{host}: {e}"));
        let mut leg = self.pools.connect(&Upstream::plain(base, CONNECT)).await.map_err(|e| failed(&e))?;
        let reply = round_trip(&mut leg, head, body).await.map_err(|e| failed(&e));
        leg.abandon();
        reply
    }
}

fn base(uri: &Uri) -> Option<BaseUrl> {
    let tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let authority = uri.authority()?.as_str();
    if authority.contains('@') {
        return None;
    }
    Some(BaseUrl { tls, host, port, path: String::new(), authority: authority.to_owned() })
}

fn head(call: &Call, uri: &Uri, base: &BaseUrl) -> Result<request::Parts> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut head = http::Request::builder().method(call.method.clone()).uri(path).header(HOST, &base.authority);
    if call.method != Method::GET {
        head = head.header(CONTENT_LENGTH, call.body.expose().len());
    }
    let (mut head, ()) = head.body(()).map_err(Error::internal)?.into_parts();
    for (name, value) in &call.headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(value.expose())) else {
            return Err(not_fetched(format!("{name} cannot stand in a header")));
        };
        head.headers.insert(name, value);
    }
    Ok(head)
}
