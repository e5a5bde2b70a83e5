//! Answers in the store that replicas share (Redis or Valkey): a task with a connection of its own, so
//! that large values never stand before the small ones that limits need.
//!
//! Nobody depends on it: whatever is late, lost or full is an answer that was not there, and is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::key::Key;
use crate::secret::Secret;

/// Before every key, so that the store may serve others too.
const PREFIX: &str = "weir:cache:";
/// The longest that a request waits for it.
const PATIENCE: Duration = Duration::from_millis(150);
const CONNECT: Duration = Duration::from_secs(1);
/// For what was said in one go; values are large.
const RESPONSE: Duration = Duration::from_secs(1);
/// What waits to be said. More is not said.
const MOST_WAITING: usize = 256;
/// In one go.
const MOST_AT_ONCE: usize = 16;
/// Between two attempts to reach a store that is gone; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The way to the store.
#[derive(Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_up: AtomicBool,
    failures: AtomicU64,
}

impl State {
    fn failed(&self, count: usize) {
        self.failures.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Job {
    Get { key: Key, answer: oneshot::Sender<Option<Bytes>> },
    Put { key: Key, answer: Arc<Answer>, ttl: Duration },
}

/// Has to run for as long as its [`Store`] is used.
pub struct Task {
    client: Client,
    jobs: mpsc::Receiver<Job>,
    state: Arc<State>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Task")
    }
}

impl Store {
    /// # Errors
    /// What was expected in place of the URL, which is not repeated.
    pub fn new(url: &Secret) -> Result<(Self, Task), String> {
        if url.expose().starts_with("rediss") {
            // Where the process has chosen one already, it stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::open(url.expose()).map_err(|_| "expected the URL of a store")?;
        let (jobs, receiver) = mpsc::channel(MOST_WAITING);
        let state = Arc::new(State::default());
        Ok((Self { jobs, state: Arc::clone(&state) }, Task { client, jobs: receiver, state }))
    }

    /// What could not be looked for or kept, so far.
    pub fn failures(&self) -> u64 {
        self.state.failures.load(Ordering::Relaxed)
    }

    /// The answer, if it is there and comes in time. While the store is gone nobody waits for it.
    pub async fn get(&self, key: &Key) -> Option<Answer> {
        let (answer, found) = oneshot::channel();
        if !self.send(Job::Get { key: *key, answer }) {
            return None;
        }
        match timeout(PATIENCE, found).await {
            Ok(Ok(found)) => Answer::unpack(&found?),
            // The task has counted it.
            Ok(Err(_)) => None,
            Err(_) => {
                self.state.failed(1);
                None
            }
        }
    }

    /// Keeps an answer for so long from now on.
    pub fn put(&self, key: &Key, answer: &Arc<Answer>, ttl: Duration) {
        self.send(Job::Put { key: *key, answer: Arc::clone(answer), ttl });
    }

    fn send(&self, job: Job) -> bool {
        let is_sent = self.state.is_up.load(Ordering::Relaxed) && self.jobs.try_send(job).is_ok();
        if !is_sent {
            self.state.failed(1);
        }
        is_sent
    }
}

impl Task {
    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut was_up = None;
        loop {
            let config =
                AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(RESPONSE));
            // The library's deadline does not cover everything it does.
            let connection = timeout(CONNECT, self.client.get_multiplexed_async_connection_with_config(&config)).await;
            if let Ok(Ok(connection)) = connection {
                self.state.is_up.store(true, Ordering::Relaxed);
                (pause, was_up) = (FIRST_PAUSE, Some(true));
                self.serve(connection).await;
            }
            self.state.is_up.store(false, Ordering::Relaxed);
            if was_up != Some(false) {
                tracing::warn!("the store of kept answers is gone: each instance goes by its own");
                was_up = Some(false);
            }
            self.let_go();
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says what there is to say until that fails.
    async fn serve(&mut self, mut connection: MultiplexedConnection) {
        loop {
            let mut batch = Vec::with_capacity(MOST_AT_ONCE);
            if self.jobs.recv_many(&mut batch, MOST_AT_ONCE).await == 0 {
                // Nobody is left to say anything: to be dropped.
                return std::future::pending().await;
            }
            let said = pipeline(&batch);
            let reply: RedisResult<Vec<Value>> = match timeout(RESPONSE, said.query_async(&mut connection)).await {
                Ok(reply) => reply,
                Err(_) => return self.state.failed(batch.len()),
            };
            match reply {
                Ok(values) => give(batch, values),
                Err(error) => {
                    self.state.failed(batch.len());
                    tracing::debug!(kind = ?error.kind(), "the store of kept answers failed");
                    return;
                }
            }
        }
    }

    /// Who asked while the store went is told so.
    fn let_go(&mut self) {
        while let Ok(_job) = self.jobs.try_recv() {
            self.state.failed(1);
        }
    }
}

fn pipeline(batch: &[Job]) -> Pipeline {
    let mut said = redis::pipe();
    for job in batch {
        match job {
            Job::Get { key, .. } => said.cmd("GET").arg(name(key)),
            Job::Put { key, answer, ttl } => {
                let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
                said.cmd("SET").arg(name(key)).arg(answer.pack()).arg("PX").arg(ttl_ms)
            }
        };
    }
    said
}

fn name(key: &Key) -> String {
    format!("{PREFIX}{}", hex::encode(key.0))
}

fn give(batch: Vec<Job>, values: Vec<Value>) {
    for (job, value) in batch.into_iter().zip(values) {
        if let Job::Get { answer, .. } = job {
            let found = match value {
                Value::BulkString(found) => Some(Bytes::from(found)),
                _ => None,
            };
            // Who asked may be gone.
            let _ = answer.send(found);
        }
    }
}
