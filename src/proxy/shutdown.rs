//! Signals, and an end that comes as soon as nothing is in flight.
//!
//! The framework sleeps its whole grace period even when idle and cuts what runs at its end. So it
//! is told the longest period, and [`drained`] ends the process earlier, and what runs before it is cut.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::background::Last;
use super::handover::Sockets;
use super::pool::{self, SHELVES};
use super::systemd::Systemd;
use crate::error::{Error, Kind};

/// Requests between their first byte in and their last byte out.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    count: AtomicU64,
    draining: AtomicBool,
    /// Either of the two changed in a way that may end the drain. One waits: [`drained`].
    changed: Notify,
    over: Over,
}

/// Nothing may run any longer. Requests wait for that where their thread does, so that threads share no lock.
#[derive(Debug)]
struct Over {
    is_over: AtomicBool,
    bells: [Notify; SHELVES],
}

impl Default for Over {
    fn default() -> Self {
        Self { is_over: AtomicBool::new(false), bells: std::array::from_fn(|_| Notify::new()) }
    }
}

impl Over {
    async fn wait(&self) {
        let Some(bell) = self.bells.get(pool::own()) else { return std::future::pending().await };
        // It hears what rings from here on.
        let rung = bell.notified();
        if !self.is_over.load(Ordering::Acquire) {
            rung.await;
        }
    }

    fn ring(&self) {
        self.is_over.store(true, Ordering::Release);
        self.bells.iter().for_each(Notify::notify_waiters);
    }
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

    /// Resolves when what runs has to end.
    pub(super) async fn over(&self) {
        self.over.wait().await;
    }

    /// Returns once nothing is in flight any more.
    async fn emptied(&self) {
        while self.count() > 0 {
            self.changed.notified().await;
        }
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

impl Ticket {
    /// Resolves when it has to end.
    pub(super) async fn over(&self) {
        self.0.over().await;
    }
}

/// What is told then.
pub(super) fn over() -> Error {
    Error::new(Kind::ShuttingDown, "the gateway is shutting down and could not wait for the rest of the answer")
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let was_last = self.0.count.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last && self.0.draining() {
            self.0.changed.notify_one();
        }
    }
}

/// Turns signals into the framework's words: SIGTERM drains, SIGQUIT hands over the sockets and drains,
/// SIGINT ends at once.
#[derive(Debug)]
pub(crate) struct Signals {
    in_flight: Arc<InFlight>,
    sockets: Sockets,
    /// Ends the admin listener, which goes on while the process drains: who watches has to be told.
    admin_end: watch::Sender<bool>,
    last: Last,
    systemd: Arc<Systemd>,
    /// SIGTERM, SIGQUIT and SIGINT, until somebody waits for them.
    received: Mutex<Option<[Signal; 3]>>,
}

/// From here on these signals wait for whoever asks: unreceived, they would end the process.
pub(super) fn receive<const N: usize>(kinds: [SignalKind; N]) -> Result<[Signal; N], String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
    let _inside = runtime.enter();
    let received: Result<Vec<_>, _> = kinds.into_iter().map(signal).collect();
    let received = received.map_err(|e| format!("signals cannot be received: {e}"))?;
    received.try_into().map_err(|_| "signals cannot be received".to_owned())
}

impl Signals {
    pub(super) fn new(
        in_flight: Arc<InFlight>,
        sockets: Sockets,
        admin_end: watch::Sender<bool>,
        last: Last,
        systemd: Arc<Systemd>,
    ) -> Result<Self, String> {
        let received = receive([SignalKind::terminate(), SignalKind::quit(), SignalKind::interrupt()])?;
        Ok(Self { in_flight, sockets, admin_end, last, systemd, received: Mutex::new(Some(received)) })
    }

    fn drain(&self) -> ShutdownSignal {
        tracing::info!(in_flight = self.in_flight.count(), "draining");
        self.systemd.stopping();
        self.in_flight.drain();
        ShutdownSignal::GracefulTerminate
    }

    /// To the process that takes this one's place. Where there is none, this one goes on.
    async fn hand_over(&self) -> bool {
        let (sockets, last) = (self.sockets.clone(), self.last.clone());
        let handed_over = tokio::task::spawn_blocking(move || {
            // The new one reads what was spent.
            last.write();
            sockets.send()
        });
        match handed_over.await {
            Ok(Ok(())) => {
                tracing::info!("the sockets are handed over");
                self.last.keep.hand_over();
                // Two that accept from one socket would answer in turns.
                self.admin_end.send_replace(true);
                return true;
            }
            Ok(Err(error)) => tracing::error!("{error}"),
            Err(error) => tracing::error!("the sockets were not handed over: {error}"),
        }
        false
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some([mut terminate, mut quit, mut interrupt]) = received else {
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                _ = terminate.recv() => return self.drain(),
                _ = quit.recv() => tokio::select! {
                    is_over = self.hand_over() => if is_over {
                        return self.drain();
                    },
                    // Whatever becomes of the other one.
                    _ = terminate.recv() => return self.drain(),
                },
                _ = interrupt.recv() => {
                    // Left to itself the framework may go on accepting on a runtime that is being torn down.
                    self.systemd.stopping();
                    let last = self.last.clone();
                    let _ = tokio::task::spawn_blocking(move || last.save()).await;
                    std::process::exit(0)
                }
            }
        }
    }
}

/// How long before the end of its time a drain ends what still runs, at most.
const LAST: Duration = Duration::from_secs(1);

/// Returns once draining has begun and nothing is in flight any more. What would be cut without a word at the
/// end of the time for it is ended shortly before, so that clients are told, and the ledger too.
pub(crate) async fn drained(in_flight: &InFlight, time: Duration) {
    while !in_flight.draining() {
        in_flight.changed.notified().await;
    }
    if timeout(time.saturating_sub(LAST.min(time / 10)), in_flight.emptied()).await.is_err() {
        tracing::warn!(in_flight = in_flight.count(), "the time to drain is over, what still runs is ended");
        in_flight.over.ring();
        in_flight.emptied().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_runs_too_long_is_told_to_end_before_the_time_is_over() {
        let (in_flight, time) = (Arc::new(InFlight::default()), Duration::from_secs(5));
        let (ticket, began) = (in_flight.enter(), tokio::time::Instant::now());
        in_flight.drain();
        let runs = async {
            ticket.over().await;
            assert_eq!(began.elapsed(), Duration::from_millis(4500));
            drop(ticket);
        };
        tokio::join!(drained(&in_flight, time), runs);
        drained(&in_flight, time).await;
        assert_eq!(began.elapsed(), Duration::from_millis(4500), "nothing is waited for where nothing runs");
    }
}
