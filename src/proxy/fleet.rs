//! The store that replicas share limits and budgets in: opened at the start, spoken to for as long as the
//! process lives.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use crate::config::runtime::Runtime;
use crate::limit::clock::Clock;
use crate::limit::shared::store::Place;
use crate::limit::shared::{Shared, Task, Watch};
use crate::telemetry::Telemetry;

/// Before every key, so that the store may serve others too.
const PREFIX: &str = "weir:";

/// Nothing where no store is configured. Nobody waits for it to be there.
pub(super) fn open(
    runtime: &Runtime,
    clock: Clock,
    telemetry: &Arc<Telemetry>,
) -> Result<(Option<Arc<Shared>>, Option<Task>), String> {
    let Some(url) = &runtime.state.shared else { return Ok((None, None)) };
    let place = Place::new(url, PREFIX).map_err(|expected| format!("state.shared: {expected}"))?;
    let watch: Arc<dyn Watch> = Arc::clone(telemetry) as _;
    // What was spent is told by the accounts, when a request first asks for one of them.
    let (shared, task) = Shared::new(place, clock, Box::new(|_| None), watch);
    shared.set_on_loss(runtime.state.on_store_loss);
    Ok((Some(shared), Some(task)))
}

/// Runs the task, to the end of the process: requests are settled while it drains.
pub(super) struct Fleet(Mutex<Option<Task>>);

impl Fleet {
    pub(super) fn new(task: Task) -> Self {
        Self(Mutex::new(Some(task)))
    }
}

#[async_trait]
impl BackgroundService for Fleet {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.run().await;
        }
    }
}
