//! What stands for a replica: its counters and its task, in this process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use weir::config::runtime::OnStoreLoss;
use weir::limit::clock::Clock;
use weir::limit::shared::store::Place;
use weir::limit::shared::{Counter, Drawn, Held, Kind, Need, Refused, Shared, Watch};
use weir::secret::Secret;

use crate::support::wait::until;

/// No request takes longer, whatever the store does: [`weir::limit::shared::PATIENCE`], and what a busy
/// machine adds.
pub(crate) const BOUND: Duration = Duration::from_millis(600);

/// Of a replica, by what it told its watcher.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) leased: AtomicU64,
    pub(crate) granted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) without: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) is_up: AtomicBool,
    pub(crate) failures: Mutex<Vec<&'static str>>,
}

impl Watch for Told {
    fn drawn(&self, how: Drawn) {
        let count = match how {
            Drawn::Leased => &self.leased,
            Drawn::Granted => &self.granted,
            Drawn::Refused => &self.refused,
            Drawn::Without => &self.without,
            Drawn::Closed => &self.closed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn called(&self, _took: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, reason: &'static str) {
        self.failures.lock().unwrap().push(reason);
    }

    fn turned(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::SeqCst);
    }
}

pub(crate) struct Replica {
    pub(crate) shared: Arc<Shared>,
    pub(crate) told: Arc<Told>,
    /// Of the task alone, as in a gateway. Dropping it is the death of the replica.
    runtime: Option<Runtime>,
}

impl Replica {
    pub(crate) fn new(url: &str) -> Self {
        let place = Place::new(&Secret::new(url), "weir:").unwrap();
        let told = Arc::new(Told::default());
        let watch: Arc<dyn Watch> = Arc::clone(&told) as _;
        let (shared, task) = Shared::new(place, Clock::start(), watch);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(task.run());
        Self { shared, told, runtime: Some(runtime) }
    }

    /// That many of them, all of which know of each other.
    pub(crate) fn fleet(url: &str, count: usize) -> Vec<Self> {
        let fleet: Vec<Self> = (0..count).map(|_| Self::new(url)).collect();
        for replica in &fleet {
            until("all replicas to be known", || (replica.shared.replicas() == count as u64).then_some(()));
        }
        fleet
    }

    pub(crate) fn counter(&self, id: &str, kind: Kind, on_loss: OnStoreLoss) -> Arc<Counter> {
        self.shared.counter(id, kind, Some(on_loss))
    }

    pub(crate) fn up(&self) {
        until("the store to be reached", || self.told.is_up.load(Ordering::SeqCst).then_some(()));
    }

    pub(crate) fn down(&self) {
        until("the loss of the store to be noticed", || (!self.told.is_up.load(Ordering::SeqCst)).then_some(()));
    }

    /// Goes without a word.
    pub(crate) fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Takes one unit of each and never longer than [`BOUND`] for it.
    pub(crate) async fn take(&self, counters: &[&Arc<Counter>]) -> Result<Held, Refused> {
        let needs: Vec<(&Arc<Counter>, u64)> = counters.iter().map(|counter| (*counter, 1)).collect();
        self.take_units(&needs).await
    }

    pub(crate) async fn take_units(&self, needs: &[(&Arc<Counter>, u64)]) -> Result<Held, Refused> {
        let needs: Vec<Need> =
            needs.iter().map(|(counter, units)| Need { counter: Arc::clone(counter), units: *units }).collect();
        let began = Instant::now();
        let result = self.shared.take(&needs).await;
        assert!(began.elapsed() < BOUND, "a request took {:?}", began.elapsed());
        result
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.die();
    }
}

/// Runs what asks, on threads of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}
