//! Requests of the gateway's own to a provider: which models a server has, what a model can do.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::DATE;
use http::{Method, request};

use super::connector::{Leg, Pools, Upstream};
use super::hooks;
use crate::config::runtime::Deployment;
use crate::error::{Error, Kind, Result};
use crate::provider::sign::call::Reply;
use crate::wire::pieces::Pieces;

/// Longer answers are cut off: nothing asked for here is that long.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Asks, and waits for the whole answer.
pub(super) async fn ask(
    pools: &Pools,
    upstream: &Upstream,
    deployment: &Deployment,
    request: (Method, &str, Bytes),
    within: Duration,
) -> Result<Reply> {
    ask_below(&deployment.base.path, pools, upstream, deployment, request, within).await
}

/// The same below another path than that of the server's API.
pub(super) async fn ask_below(
    base: &str,
    pools: &Pools,
    upstream: &Upstream,
    deployment: &Deployment,
    request: (Method, &str, Bytes),
    within: Duration,
) -> Result<Reply> {
    let asking = async {
        deployment.signer.ready().await?;
        let mut leg = pools.connect(upstream).await?;
        let reply = exchange(&mut leg, deployment, base, request).await;
        match &reply {
            Ok(_) if leg.is_done() => pools.release(leg).await,
            _ => leg.abandon(),
        }
        reply
    };
    match tokio::time::timeout(within, asking).await {
        Ok(reply) => reply,
        Err(_) => Err(Error::new(Kind::UpstreamTimeout, format!("no answer within {}s", within.as_secs()))),
    }
}

async fn exchange(
    leg: &mut Leg,
    deployment: &Deployment,
    base: &str,
    (method, path, body): (Method, &str, Bytes),
) -> Result<Reply> {
    let http2 = leg.is_http2();
    let body = Pieces::from(body);
    let head = hooks::own_head(deployment, method, (base, path), &body, http2)?;
    round_trip(leg, head, body).await
}

/// Sends a request and reads the whole answer.
pub(super) async fn round_trip(leg: &mut Leg, head: request::Parts, body: impl Into<Pieces>) -> Result<Reply> {
    let broken = |e: Box<pingora_core::Error>| {
        Error::new(Kind::UpstreamFailed, "the connection to the provider broke").with_detail(e)
    };
    leg.send(head, body).await.map_err(broken)?;
    leg.read_head().await.map_err(broken)?;
    let head = leg.head();
    let status = head.map_or(0, |head| head.status.as_u16());
    let date = head.and_then(|head| head.headers.get(DATE)?.to_str().ok().map(str::to_owned));
    let mut all = BytesMut::new();
    while let Some(piece) = leg.read_body().await.map_err(broken)? {
        if all.len() + piece.len() > MAX_BYTES {
            return Err(Error::new(Kind::UpstreamFailed, "the provider's answer is too long"));
        }
        all.extend_from_slice(&piece);
    }
    Ok(Reply { status, body: all.freeze(), date })
}
