//! The store that replicas share limits and budgets in: opened at the start, spoken to for as long as the
//! process lives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use crate::alert::Alerts;
use crate::config::runtime::Runtime;
use crate::limit::clock::Clock;
use crate::limit::shared::store::Place;
use crate::limit::shared::{Drawn, Shared, Task, Watch};
use crate::telemetry::Telemetry;

/// Before every key, so that the store may serve others too.
const PREFIX: &str = "weir:";

/// Nothing where no store is configured. Nobody waits for it to be there.
pub(super) fn open(
    runtime: &Runtime,
    clock: Clock,
    telemetry: &Arc<Telemetry>,
    alerts: &Arc<Alerts>,
) -> Result<(Option<Arc<Shared>>, Option<Task>), String> {
    let Some(url) = &runtime.state.shared else { return Ok((None, None)) };
    let place = Place::new(url, PREFIX).map_err(|expected| format!("state.shared: {expected}"))?;
    let watch = Arc::new(Watching { telemetry: Arc::clone(telemetry), alerts: Arc::clone(alerts) });
    let (shared, task) = Shared::new(place, clock, watch);
    shared.set_on_loss(runtime.state.on_store_loss);
    Ok((Some(shared), Some(task)))
}

/// Counts what happens to the store, and tells of its going and coming as it happens.
#[derive(Debug)]
struct Watching {
    telemetry: Arc<Telemetry>,
    alerts: Arc<Alerts>,
}

impl Watch for Watching {
    fn drawn(&self, how: Drawn) {
        self.telemetry.drawn(how);
    }

    fn called(&self, took: Duration) {
        self.telemetry.called(took);
    }

    fn failed(&self, reason: &'static str) {
        self.telemetry.failed(reason);
    }

    fn turned(&self, is_up: bool) {
        self.telemetry.turned(is_up);
        tell(&self.alerts, is_up);
    }
}

/// Of a store that is gone, or not.
pub(super) fn tell(alerts: &Alerts, is_up: bool) {
    alerts.shared_store((!is_up).then_some("`state.on_store_loss` holds for limits and budgets"));
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
