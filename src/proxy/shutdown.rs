//! Signals, and an end that comes as soon as nothing is in flight.
//!
//! The framework sleeps its whole grace period even when idle and cuts what runs at its end. So it
//! is told the longest period, and [`drained`] ends the process earlier.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::background::Last;

/// Requests between their first byte in and their last byte out.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    count: AtomicU64,
    draining: AtomicBool,
    /// Either of the two changed in a way that may end the drain. One waits: [`drained`].
    changed: Notify,
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<InFlight>);

impl InFlight {
    pub(crate) fn enter(self: &Arc<Self>) -> Ticket {
        self.count.fetch_add(1, Ordering::AcqRel);
        Ticket(Arc::clone(self))
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// No new work is wanted: readiness says so, and answers close their connections.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let was_last = self.0.count.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last && self.0.draining() {
            self.0.changed.notify_one();
        }
    }
}

/// Turns signals into the framework's words: SIGTERM drains, SIGINT ends at once.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) in_flight: Arc<InFlight>,
    pub(super) last: Last,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be received");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!(in_flight = self.in_flight.count(), "draining");
                self.in_flight.drain();
                ShutdownSignal::GracefulTerminate
            }
            _ = interrupt.recv() => {
                // Left to itself the framework may go on accepting on a runtime that is being torn down.
                let last = self.last.clone();
                let _ = tokio::task::spawn_blocking(move || last.save()).await;
                std::process::exit(0)
            }
        }
    }
}

/// Returns once draining has begun and nothing is in flight any more.
pub(crate) async fn drained(in_flight: &InFlight) {
    while !in_flight.draining() || in_flight.count() > 0 {
        in_flight.changed.notified().await;
    }
}
