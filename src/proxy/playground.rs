//! The gateway as its own client: what the dashboard tries goes to the public listener, over the loopback,
//! and through all that every request goes through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, StatusCode, request};

use super::connector::{Leg, Pools, Upstream};
use super::listen::Bound;
use crate::admin::playground::{Played, Playground, Trial};
use crate::config::runtime::BaseUrl;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// See the module documentation.
pub(super) struct OwnListener {
    pools: Pools,
    upstream: Upstream,
    authority: String,
}

impl OwnListener {
    /// One without TLS, if there is one.
    pub(super) fn new(pools: Pools, bound: &[Bound]) -> Option<Self> {
        let plain = bound.iter().find(|one| one.tls.is_none());
        let one = plain.or_else(|| bound.first())?;
        let address = reachable(one.address);
        let (host, authority) = (address.ip().to_string(), address.to_string());
        let base = BaseUrl {
            tls: one.tls.is_some(),
            host,
            port: address.port(),
            path: String::new(),
            authority: authority.clone(),
        };
        Some(Self { pools, upstream: Upstream::own(base, CONNECT_WITHIN), authority })
    }

    fn head(&self, trial: &Trial) -> Result<request::Parts, http::Error> {
        let head = http::Request::post(trial.path.as_str())
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, trial.body.len())
            .header(AUTHORIZATION, format!("Bearer {}", trial.key.expose()));
        Ok(head.body(())?.into_parts().0)
    }
}

/// What listens everywhere listens here too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[async_trait]
impl Playground for OwnListener {
    async fn send(&self, trial: Trial) -> Result<Box<dyn Played>, String> {
        let head = self.head(&trial).map_err(|error| error.to_string())?;
        let mut leg = self.pools.connect(&self.upstream).await.map_err(|error| error.to_string())?;
        leg.send(head, trial.body).await.map_err(|error| error.to_string())?;
        leg.read_head().await.map_err(|error| error.to_string())?;
        Ok(Box::new(Running(leg)))
    }
}

/// The connection is used once: it closes when this goes, and the gateway sees that nobody listens.
struct Running(Leg);

#[async_trait]
impl Played for Running {
    fn head(&self) -> (StatusCode, Vec<(HeaderName, HeaderValue)>) {
        let Some(head) = self.0.head() else { return (StatusCode::BAD_GATEWAY, Vec::new()) };
        (head.status, head.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        self.0.read_body().await.map_err(|error| error.to_string())
    }
}
