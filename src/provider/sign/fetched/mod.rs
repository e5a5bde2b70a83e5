//! A credential that is fetched, and lives for a while: an access token, a triple of keys.
//!
//! It is fetched and fetched again by one loop beside the requests (`proxy/credentials.rs`), well
//! before it ends, so that only a request that comes before the first one is there has to wait. While
//! it cannot be fetched, the old one stays in use for as long as it lives.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::call::{Caller, not_fetched};
use crate::error::{Error, Result};

/// One fetch, all its calls together.
const WITHIN: Duration = Duration::from_secs(10);
/// A request does not wait longer for the first one.
const PATIENCE: Duration = Duration::from_secs(15);
/// Before its end it is fetched again; one that is short-lived in its last quarter.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// Between two attempts, however short-lived what was fetched.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Between two attempts, however often it has failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// One that is refused is fetched again only if it is older: a new one would be refused as well.
const DOUBTED_AFTER: Duration = Duration::from_secs(30);

/// Where a credential comes from. Equal ones give the same credential.
pub trait Source: PartialEq + fmt::Debug + Send + Sync {
    type Credential: Send + Sync;

    /// Fetches one, new.
    fn fetch(&self, caller: &dyn Caller) -> impl Future<Output = Result<Fresh<Self::Credential>>> + Send;
}

/// What was fetched.
#[derive(Debug)]
pub struct Fresh<C> {
    pub credential: C,
    /// `None`: never.
    pub expires_at: Option<SystemTime>,
}

/// A cell that holds it.
#[derive(Debug)]
pub struct Fetched<S: Source> {
    source: S,
    state: ArcSwap<State<S::Credential>>,
    changed: Notify,
}

struct State<C> {
    held: Option<(Arc<C>, Option<SystemTime>)>,
    held_since: SystemTime,
    /// When it is time to fetch; `None`: never again.
    due_at: Option<SystemTime>,
    /// Attempts in a row that failed, and what the last one said.
    failures: u32,
    error: Option<Error>,
}

impl<C> State<C> {
    fn valid(&self, now: SystemTime) -> Option<&Arc<C>> {
        let (credential, expires_at) = self.held.as_ref()?;
        expires_at.is_none_or(|at| now < at).then_some(credential)
    }

    fn succeeded(fresh: Fresh<C>, now: SystemTime) -> Self {
        let due_at = fresh.expires_at.map(|at| {
            let lifetime = at.duration_since(now).unwrap_or_default();
            (at - AHEAD.min(lifetime / 4)).max(now + SHORTEST_PAUSE)
        });
        let held = Some((Arc::new(fresh.credential), fresh.expires_at));
        Self { held, held_since: now, due_at, failures: 0, error: None }
    }

    fn failed(&self, error: Error, now: SystemTime) -> Self {
        let pause = SHORTEST_PAUSE * 2_u32.saturating_pow(self.failures.min(16));
        Self {
            held: self.held.clone(),
            held_since: self.held_since,
            due_at: Some(now + pause.min(LONGEST_PAUSE)),
            failures: self.failures.saturating_add(1),
            error: Some(error),
        }
    }
}

/// Nothing of the credential.
impl<C> fmt::Debug for State<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State(held: {}, failures: {})", self.held.is_some(), self.failures)
    }
}

impl<S: Source> Fetched<S> {
    /// Nothing is fetched yet, and it is time to.
    pub fn new(source: S) -> Self {
        let long_ago = SystemTime::UNIX_EPOCH;
        let state = State { held: None, held_since: long_ago, due_at: Some(long_ago), failures: 0, error: None };
        Self { source, state: ArcSwap::from_pointee(state), changed: Notify::new() }
    }

    pub fn source(&self) -> &S {
        &self.source
    }

    /// The credential, if there is one that lives.
    pub fn get(&self) -> Result<Arc<S::Credential>> {
        let state = self.state.load();
        match (state.valid(SystemTime::now()), &state.error) {
            (Some(credential), _) => Ok(Arc::clone(credential)),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(not_fetched("it was not waited for")),
        }
    }

    /// What is held, even if it lives no more.
    pub fn last(&self) -> Option<Arc<S::Credential>> {
        self.state.load().held.as_ref().map(|(credential, _)| Arc::clone(credential))
    }

    /// Nothing was ever held, nor failed to come.
    pub fn is_new(&self) -> bool {
        let state = self.state.load();
        state.held.is_none() && state.error.is_none()
    }

    /// Takes what another cell has, from the same source: over a reload.
    pub fn keep(&self, old: &Self) {
        if self.source == old.source {
            self.state.store(old.state.load_full());
        }
    }

    /// Waits until there is a credential, or a reason why there is none.
    async fn settled(&self) -> Result<()> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.state.load();
                match (state.valid(SystemTime::now()), &state.error) {
                    (Some(_), _) => return Ok(()),
                    (None, Some(error)) => return Err(error.clone()),
                    (None, None) => {}
                }
            }
            changed.await;
        }
    }
}

/// What is done with a cell, whatever it holds.
#[async_trait]
pub trait Refresh: Send + Sync {
    /// Waits, at most for a while, until there is a credential or a reason why there is none.
    async fn ready(&self) -> Result<()>;

    /// Whether it is time to fetch it.
    fn is_due(&self, now: SystemTime) -> bool;

    /// It was refused though it lives: another is fetched, unless this one is new.
    fn doubt(&self, now: SystemTime);

    /// Fetches it. Called by one at a time.
    async fn refresh(&self, caller: &dyn Caller) -> Result<()>;
}

#[async_trait]
impl<S: Source> Refresh for Fetched<S> {
    async fn ready(&self) -> Result<()> {
        match timeout(PATIENCE, self.settled()).await {
            Ok(settled) => settled,
            Err(_) => Err(not_fetched(format!("not within {}s", PATIENCE.as_secs()))),
        }
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.state.load().due_at.is_some_and(|at| now >= at)
    }

    fn doubt(&self, now: SystemTime) {
        self.state.rcu(|state| {
            // While it cannot be fetched the next attempt has its time, however many ask.
            let waits = state.failures > 0 || now < state.held_since + DOUBTED_AFTER;
            let due_at = if waits { state.due_at } else { Some(state.due_at.map_or(now, |at| at.min(now))) };
            State { held: state.held.clone(), error: state.error.clone(), due_at, ..**state }
        });
    }

    async fn refresh(&self, caller: &dyn Caller) -> Result<()> {
        let fetched = match timeout(WITHIN, self.source.fetch(caller)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(not_fetched(format!("no answer within {}s", WITHIN.as_secs()))),
        };
        let now = SystemTime::now();
        let fetched = match fetched {
            Ok(fresh) if fresh.expires_at.is_some_and(|at| at <= now) => Err(not_fetched("it had expired already")),
            other => other,
        };
        let (state, result) = match fetched {
            Ok(fresh) => (State::succeeded(fresh, now), Ok(())),
            Err(error) => (self.state.load().failed(error.clone(), now), Err(error)),
        };
        self.state.store(Arc::new(state));
        self.changed.notify_waiters();
        result
    }
}

#[cfg(test)]
mod tests;
