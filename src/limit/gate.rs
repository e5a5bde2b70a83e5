//! Admission: all limits of a key looked at together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::budget::{Exhausted, Purses, Reservation, Spend, UsedUp};
use super::clock::Moment;
use super::window::{Level, Window};
use crate::config::runtime::{Limits, ModelPattern};
use crate::error::{Error, Kind};

/// A full house has no timetable: this is the wait we suggest.
const CONCURRENCY_WAIT_MS: u64 = 1_000;

/// Whom a limit stands on; also what its counters are kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Tenant(String),
    Model { tenant: String, pattern: String },
    Key { tenant: String, key: String },
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    Requests,
    Tokens,
    Concurrency,
}

impl Limited {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
            Self::Concurrency => "concurrency",
        }
    }
}

/// The counters of one scope. They belong to the process and outlive any configuration.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    requests: Window,
    tokens: Window,
    running: u64,
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every update is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scope with the limits that the present configuration puts on it.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) scope: Scope,
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
}

/// All that limits one key, resolved: no names are looked up when a request comes.
#[derive(Debug, Default)]
pub struct KeyLimits {
    pub(super) tenant: Option<Arc<Gate>>,
    /// In an order that a reload does not change (see [`Self::admit`]).
    pub(super) models: Arc<[(ModelPattern, Arc<Gate>)]>,
    pub(super) key: Option<Arc<Gate>>,
    pub(super) purses: Purses,
}

/// The tightest requests and tokens limit, for the headers of the answer. `None`: no such limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    pub requests: Option<Level>,
    pub tokens: Option<Level>,
}

/// A request that may go on. Dropping it ends its concurrency.
#[derive(Debug)]
pub struct Admission {
    gates: Vec<Arc<Gate>>,
    booked_ms: u64,
    reserved_tokens: u64,
    settled: bool,
    standing: Standing,
    reservation: Reservation,
}

/// A request that may not.
#[derive(Debug)]
pub enum Refusal {
    Limit(Box<Denial>),
    Budget(Box<Exhausted>),
}

/// A limit that is reached.
#[derive(Debug, Clone)]
pub struct Denial {
    pub scope: Scope,
    pub limited: Limited,
    pub limit: u64,
    /// Waiting this long admits it if nobody else comes; for concurrency a suggestion.
    pub wait_ms: u64,
    /// What it wanted: 1, or its estimate of tokens.
    pub wanted: u64,
    pub standing: Standing,
}

impl KeyLimits {
    /// Reserves one request, `estimate` and a place among the running.
    ///
    /// `names` is every name the model goes by here: the one the client used, and the
    /// `provider/model` it stands for if that is another. Locks are taken in the order tenant,
    /// models, key, then those of the budgets, the same for everyone, and all are held until all are
    /// charged.
    pub fn admit(&self, names: &[&str], estimate: Spend, at: Moment) -> Result<Admission, Refusal> {
        let (estimate_tokens, now_ms) = (estimate.tokens, at.now_ms);
        let gates = self.gates(names);
        let mut states: Vec<MutexGuard<'_, State>> = gates.iter().map(|gate| gate.counters.lock()).collect();
        let mut worst: Option<Box<Denial>> = None;
        for (gate, state) in gates.iter().zip(&mut states) {
            state.advance(now_ms, gate.limits);
            for denial in gate.refusals(state, estimate_tokens).into_iter().flatten() {
                if worst.as_ref().is_none_or(|known| known.wait_ms < denial.wait_ms) {
                    worst = Some(Box::new(denial));
                }
            }
        }
        if let Some(denial) = worst {
            let standing = Standing::over(&gates, &states);
            return Err(Refusal::Limit(Box::new(Denial { standing, ..*denial })));
        }
        let reservation = self.purses.reserve(estimate, at.unix_ms).map_err(Refusal::Budget)?;
        for (gate, state) in gates.iter().zip(&mut states) {
            state.charge(now_ms, estimate_tokens, gate.limits);
        }
        let standing = Standing::over(&gates, &states);
        drop(states);
        let (booked_ms, reserved_tokens) = (now_ms, estimate_tokens);
        Ok(Admission { gates, booked_ms, reserved_tokens, settled: false, standing, reservation })
    }

    /// What this key's requests are paid from.
    pub fn purses(&self) -> &Purses {
        &self.purses
    }

    /// Every limit of this key as it stands (`GET /v1/limits`).
    pub fn levels(&self, now_ms: u64, mut each: impl FnMut(&Scope, Limited, Level)) {
        let models = self.models.iter().map(|(_, gate)| gate);
        for gate in self.tenant.iter().chain(models).chain(&self.key) {
            let mut state = gate.counters.lock();
            state.advance(now_ms, gate.limits);
            if let Some(limit) = gate.limits.requests_per_minute {
                each(&gate.scope, Limited::Requests, state.requests.level(limit));
            }
            if let Some(limit) = gate.limits.tokens_per_minute {
                each(&gate.scope, Limited::Tokens, state.tokens.level(limit));
            }
            if let Some(limit) = gate.limits.concurrency {
                let remaining = limit.saturating_sub(state.running);
                each(&gate.scope, Limited::Concurrency, Level { limit, remaining, reset_ms: 0 });
            }
        }
    }

    fn gates(&self, names: &[&str]) -> Vec<Arc<Gate>> {
        let matching = self.models.iter().filter(|(pattern, _)| names.iter().any(|name| pattern.matches(name)));
        self.tenant.iter().chain(matching.map(|(_, gate)| gate)).chain(&self.key).cloned().collect()
    }
}

impl State {
    fn advance(&mut self, now_ms: u64, limits: Limits) {
        if let Some(limit) = limits.requests_per_minute {
            self.requests.advance(now_ms, limit);
        }
        if let Some(limit) = limits.tokens_per_minute {
            self.tokens.advance(now_ms, limit);
        }
    }

    fn charge(&mut self, now_ms: u64, tokens: u64, limits: Limits) {
        if let Some(limit) = limits.requests_per_minute {
            self.requests.charge(now_ms, 1, limit);
        }
        if let Some(limit) = limits.tokens_per_minute {
            self.tokens.charge(now_ms, tokens, limit);
        }
        // Counted without a limit too: one may arrive by a reload.
        self.running = self.running.saturating_add(1);
    }
}

impl Gate {
    /// What of this scope stands against one more request.
    fn refusals(&self, state: &State, tokens: u64) -> [Option<Denial>; 3] {
        let denial = |limited, limit, wait_ms, wanted| {
            let standing = Standing::default();
            (wait_ms > 0).then(|| Denial { scope: self.scope.clone(), limited, limit, wait_ms, wanted, standing })
        };
        let requests = self
            .limits
            .requests_per_minute
            .and_then(|limit| denial(Limited::Requests, limit, state.requests.wait_ms(1, limit), 1));
        let tokens = self
            .limits
            .tokens_per_minute
            .and_then(|limit| denial(Limited::Tokens, limit, state.tokens.wait_ms(tokens, limit), tokens));
        let concurrency = self.limits.concurrency.and_then(|limit| {
            let wait_ms = if state.running < limit { 0 } else { CONCURRENCY_WAIT_MS };
            denial(Limited::Concurrency, limit, wait_ms, 1)
        });
        [requests, tokens, concurrency]
    }
}

impl Standing {
    fn over(gates: &[Arc<Gate>], states: &[MutexGuard<'_, State>]) -> Self {
        let pairs = || gates.iter().zip(states);
        let requests = pairs().filter_map(|(g, s)| Some(s.requests.level(g.limits.requests_per_minute?)));
        let tokens = pairs().filter_map(|(g, s)| Some(s.tokens.level(g.limits.tokens_per_minute?)));
        Self {
            requests: requests.min_by_key(|level| (level.remaining, level.limit)),
            tokens: tokens.min_by_key(|level| (level.remaining, level.limit)),
        }
    }
}

impl Admission {
    /// As the limits stood right after this request was admitted.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Puts real usage (all input and output) in the place of the estimate, and says which budgets that
    /// used up. Where no upstream did any work that is nothing, and all is given back but the request
    /// itself, or a client could fail without limit. Counts once.
    pub fn settle(&mut self, used: Spend, at: Moment) -> Vec<UsedUp> {
        if std::mem::replace(&mut self.settled, true) {
            return Vec::new();
        }
        self.settle_tokens(used.tokens, at.now_ms);
        self.reservation.settle(used, at.unix_ms)
    }

    fn settle_tokens(&self, used_tokens: u64, now_ms: u64) {
        for gate in &self.gates {
            let Some(limit) = gate.limits.tokens_per_minute else { continue };
            let tokens = &mut gate.counters.lock().tokens;
            let now_ms = tokens.advance(now_ms, limit);
            match used_tokens.checked_sub(self.reserved_tokens) {
                Some(0) => {}
                Some(missing) => {
                    tokens.charge(now_ms, missing, limit);
                }
                None => tokens.give_back(self.booked_ms, self.reserved_tokens - used_tokens, limit),
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        for gate in &self.gates {
            let mut state = gate.counters.lock();
            state.running = state.running.saturating_sub(1);
        }
    }
}

impl Scope {
    /// What it stands on: `tenant`, `model` or `key`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Model { .. } => "model",
            Self::Key { .. } => "key",
        }
    }

    /// Its name there.
    pub fn name(&self) -> &str {
        match self {
            Self::Tenant(name) | Self::Model { pattern: name, .. } | Self::Key { key: name, .. } => name,
        }
    }
}

impl Refusal {
    /// The `limit` label of `weir_throttled_total`: a closed set.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Limit(denial) => denial.label(),
            Self::Budget(exhausted) => exhausted.label(),
        }
    }

    /// The 429.
    pub fn to_error(&self) -> Error {
        match self {
            Self::Limit(denial) => denial.to_error(),
            Self::Budget(exhausted) => exhausted.to_error(),
        }
    }
}

impl Denial {
    /// The `limit` label of `weir_throttled_total`: a closed set.
    pub fn label(&self) -> &'static str {
        match (&self.scope, self.limited) {
            (Scope::Tenant(_), Limited::Requests) => "tenant_requests",
            (Scope::Tenant(_), Limited::Tokens) => "tenant_tokens",
            (Scope::Tenant(_), Limited::Concurrency) => "tenant_concurrency",
            (Scope::Model { .. }, Limited::Requests) => "model_requests",
            (Scope::Model { .. }, Limited::Tokens) => "model_tokens",
            (Scope::Model { .. }, Limited::Concurrency) => "model_concurrency",
            (Scope::Key { .. }, Limited::Requests) => "key_requests",
            (Scope::Key { .. }, Limited::Tokens) => "key_tokens",
            (Scope::Key { .. }, Limited::Concurrency) => "key_concurrency",
        }
    }

    /// The 429: which limit of what, how much, and when to come back.
    pub fn to_error(&self) -> Error {
        let what = match self.limited {
            Limited::Requests => "requests per minute",
            Limited::Tokens => "tokens per minute",
            Limited::Concurrency => "concurrent requests",
        };
        let (kind, name, limit) = (self.scope.kind(), self.scope.name(), self.limit);
        let need = match self.limited {
            Limited::Tokens if self.wanted > limit => {
                format!(" (this request may use {}, more than the limit: it has to find the limit unused)", self.wanted)
            }
            Limited::Tokens => format!(" (this request may use {})", self.wanted),
            Limited::Requests | Limited::Concurrency => String::new(),
        };
        let wait = super::headers::Span(self.wait_ms);
        let text = format!("the {kind} '{name}' has reached its limit of {limit} {what}{need}; try again in {wait}");
        Error::new(Kind::RateLimited, text).with_retry_after(Duration::from_millis(self.wait_ms))
    }
}
