//! Asks servers which models they have (`discover: true`), beside the requests. While a server does
//! not answer, what it said last holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use super::ask::ask;
use super::connector::{Pools, Upstream};
use super::live::Live;
use crate::config::runtime::Deployment;
use crate::error::{Error, Kind, Result};
use crate::stage::models;

/// Models are loaded and unloaded by people, not by the second.
const EVERY: Duration = Duration::from_secs(30);
const WITHIN: Duration = Duration::from_secs(5);

/// See the module documentation.
pub(super) struct Discovery {
    pub(super) live: Arc<ArcSwap<Live>>,
}

#[async_trait]
impl BackgroundService for Discovery {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let pools = Pools::new(ConnectorOptions::new(1));
        let mut tick = tokio::time::interval(EVERY);
        let mut silent: HashMap<String, bool> = HashMap::new();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            let live = self.live.load_full();
            for deployment in live.runtime.deployments.iter().filter(|d| d.discovered.is_some()) {
                let Ok(upstream) = live.upstream(deployment) else { continue };
                let result = refresh(&pools, upstream, deployment).await;
                // Said once, not at every attempt.
                let was_silent = silent.insert(deployment.name.clone(), result.is_err()).unwrap_or(false);
                if let (Err(error), false) = (&result, was_silent) {
                    tracing::warn!(provider = %deployment.name, %error, "the provider did not list its models");
                }
            }
        }
    }
}

async fn refresh(pools: &Pools, upstream: &Upstream, deployment: &Deployment) -> Result<()> {
    let path = deployment.provider.paths.models.ok_or_else(|| Error::internal("this kind lists no models"))?;
    let reply = ask(pools, upstream, deployment, (Method::GET, path, Bytes::new()), WITHIN).await?;
    if reply.status != 200 {
        return Err(Error::new(Kind::UpstreamFailed, format!("status {}", reply.status)));
    }
    let body =
        std::str::from_utf8(&reply.body).map_err(|e| Error::new(Kind::UpstreamFailed, "not text").with_detail(e))?;
    if let Some(discovered) = &deployment.discovered {
        discovered.set(Arc::new(models::read(body)?));
    }
    Ok(())
}
