//! What runs beside requests: name look-ups, the drain's end.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use super::connector::REFRESH;
use super::live::Live;
use super::shutdown::{InFlight, drained};

/// Keeps the addresses of providers fresh.
pub(super) struct Names {
    pub(super) live: Arc<ArcSwap<Live>>,
}

#[async_trait]
impl BackgroundService for Names {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            let live = self.live.load_full();
            for (name, upstream) in live.upstreams() {
                if let Err(error) = upstream.refresh().await {
                    tracing::warn!(provider = name, error, "the provider's name could not be looked up");
                }
            }
        }
    }
}

/// Ends the process as soon as a drain is over: the framework would sleep its whole grace period.
pub(super) struct Drain {
    pub(super) in_flight: Arc<InFlight>,
    /// Writes out what is buffered.
    pub(super) flush: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, _shutdown: ShutdownWatch) {
        drained(&self.in_flight).await;
        tracing::info!("drained");
        (self.flush)();
        std::process::exit(0);
    }
}
