//! Signals, and an end that comes as soon as nothing is in flight.
//!
//! The framework sleeps its whole grace period even when idle and cuts what runs at its end. So it
//! is told the longest period, and [`drained`] ends the process earlier.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::background::Last;
use super::handover::Sockets;
use super::systemd::Systemd;

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

/// Returns once draining has begun and nothing is in flight any more.
pub(crate) async fn drained(in_flight: &InFlight) {
    while !in_flight.draining() || in_flight.count() > 0 {
        in_flight.changed.notified().await;
    }
}
