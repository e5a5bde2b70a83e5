//! What runs beside requests: name look-ups, reload by signal, the drain's end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::Notify;

use super::connector::REFRESH;
use super::keep::Keep;
use super::ledger::Fold;
use super::live::Live;
use super::registry::Registry;
use super::shutdown::{InFlight, drained, receive};
use crate::capture::Captures;
use crate::config::reload::Reloader;
use crate::limit::shared::Shared;
#[cfg(feature = "otlp")]
use crate::otlp::Otlp;
use crate::telemetry::Telemetry;
use crate::usage::estimate::Counter;

/// Access lines that a disk does not take within this time are lost, and what a collector does not take.
const FLUSH: Duration = Duration::from_secs(2);
/// A connection that a provider closed is kept no longer than this.
const SWEEP: Duration = Duration::from_secs(5);

/// Keeps the addresses of providers fresh, and closes connections that nobody used for long.
pub(super) struct Names {
    pub(super) live: Arc<ArcSwap<Live>>,
}

#[async_trait]
impl BackgroundService for Names {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(SWEEP);
        let mut refreshed: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            let live = self.live.load_full();
            live.upstreams().for_each(|(_, upstream)| upstream.sweep());
            if refreshed.is_some_and(|at| at.elapsed() < REFRESH) {
                continue;
            }
            refreshed = Some(Instant::now());
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
    /// The framework's, which begins with the signal.
    pub(super) time: Duration,
    /// Where limits are shared.
    pub(super) store: Option<Arc<Shared>>,
    pub(super) last: Last,
}

/// What is kept when the process ends.
#[derive(Clone)]
pub(super) struct Last {
    pub(super) keep: Arc<Keep>,
    pub(super) registry: Arc<Registry>,
    pub(super) captures: Arc<Captures>,
    pub(super) fold: Option<Arc<Fold>>,
    pub(super) telemetry: Arc<Telemetry>,
    #[cfg(feature = "otlp")]
    pub(super) otlp: Arc<Otlp>,
    /// A directory that nobody needs afterwards.
    pub(super) scratch: Arc<OnceLock<PathBuf>>,
}

impl std::fmt::Debug for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Last")
    }
}

impl Last {
    /// What another process has to know. Blocks the thread for a bounded time.
    pub(super) fn write(&self) {
        self.keep.save();
        if let Some(fold) = &self.fold {
            fold.finish();
        }
    }

    /// The last thing of the process. Blocks the thread for a bounded time.
    pub(super) fn save(&self) {
        self.write();
        self.registry.flush();
        self.captures.flush();
        self.telemetry.flush(FLUSH);
        #[cfg(feature = "otlp")]
        self.otlp.flush(FLUSH);
        if let Some(scratch) = self.scratch.get() {
            let _ = std::fs::remove_dir_all(scratch);
        }
    }
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, _shutdown: ShutdownWatch) {
        drained(&self.in_flight, self.time).await;
        tracing::info!("drained");
        if let Some(store) = &self.store {
            store.hand_back().await;
        }
        let last = self.last.clone();
        let _ = tokio::task::spawn_blocking(move || last.save()).await;
        std::process::exit(0);
    }
}

/// SIGHUP reloads.
pub(super) struct HangUp {
    reloader: Arc<Reloader>,
    /// Until the service takes it.
    received: Mutex<Option<Signal>>,
}

impl HangUp {
    /// From here on SIGHUP waits for the service: unreceived, it would end the process.
    pub(super) fn new(reloader: Arc<Reloader>) -> Result<Self, String> {
        let [received] = receive([SignalKind::hangup()])?;
        Ok(Self { reloader, received: Mutex::new(Some(received)) })
    }
}

#[async_trait]
impl BackgroundService for HangUp {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut hang_up) = received else { return };
        loop {
            tokio::select! {
                received = hang_up.recv() => if received.is_none() { return },
                _ = shutdown.changed() => return,
            }
            let reloader = Arc::clone(&self.reloader);
            // How it went is in the log and in the reloader's status.
            let _ = tokio::task::spawn_blocking(move || reloader.reload("signal")).await;
        }
    }
}

/// Counts tokens with the models' own tokenizers. Those are large and slow to load, so one is loaded
/// when a first count asks for it, beside the requests; until then a quick estimate answers.
#[derive(Debug, Default)]
pub(super) struct Tokenizer {
    counter: Counter,
    wanted: Mutex<Option<String>>,
    asked: Notify,
}

impl Tokenizer {
    /// Tokens of all text in a JSON body.
    pub(super) fn count_json(&self, model: &str, json: &str) -> u64 {
        self.want(model);
        self.counter.count_json(model, json)
    }

    /// Tokens of a text.
    pub(super) fn count(&self, model: &str, text: &str) -> u64 {
        self.want(model);
        self.counter.count(model, text)
    }

    fn want(&self, model: &str) {
        if !self.counter.ready(model) {
            *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(model.to_owned());
            self.asked.notify_one();
        }
    }

    fn take_wanted(&self) -> Option<String> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Loads, off the threads that serve, what requests would wait for.
pub(super) struct Warm {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) tokenizer: Arc<Tokenizer>,
}

#[async_trait]
impl BackgroundService for Warm {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let live = self.live.load_full();
        let catalogues = tokio::task::spawn_blocking(move || {
            for deployment in &live.runtime.deployments {
                live.runtime.prices.find(deployment.provider.catalogue, "");
            }
        });
        let _ = catalogues.await;
        loop {
            self.tokenizer.asked.notified().await;
            let Some(model) = self.tokenizer.take_wanted() else { continue };
            let tokenizer = Arc::clone(&self.tokenizer);
            let _ = tokio::task::spawn_blocking(move || tokenizer.counter.warm(&model)).await;
        }
    }
}
