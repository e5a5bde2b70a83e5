//! The ledger beside the requests: its log is synced, and folded into the database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use crate::config::runtime::Runtime;
use crate::ledger::{Log, Options};

/// This process's log, where one is wanted.
pub(super) fn begin(runtime: &Runtime) -> Result<Option<Arc<Log>>, String> {
    let rules = runtime.state.ledger;
    if !rules.enabled {
        return Ok(None);
    }
    let options = Options {
        streams: u16::try_from(runtime.server.workers()).unwrap_or(u16::MAX),
        most_bytes: rules.most_bytes,
        serve_unrecorded: rules.serve_unrecorded,
    };
    let log = Log::begin(&runtime.state.dir, options).map_err(|error| {
        let directory = runtime.state.dir.display();
        format!("the ledger cannot be written in `{directory}` (state.dir): {error}; `state.ledger.enabled: false` does without")
    })?;
    Ok(Some(Arc::new(log)))
}

/// Syncs the log to the end of the process: requests are recorded while it drains.
pub(super) struct Beat {
    pub(super) log: Arc<Log>,
    pub(super) every: Duration,
}

#[async_trait]
impl BackgroundService for Beat {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            tick.tick().await;
            let log = Arc::clone(&self.log);
            let synced = tokio::task::spawn_blocking(move || log.sync()).await;
            match synced {
                Ok(Err(error)) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::error!("the ledger's log cannot be written: {error}");
                }
                Ok(Ok(())) if std::mem::take(&mut is_failing) => tracing::info!("the ledger's log is written again"),
                _ => {}
            }
        }
    }
}
