//! The limits of one scope over its counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::admit::Place;
use super::clock::Moment;
use super::earlier::{self, Row};
use super::scope::Scope;
#[cfg(feature = "proxy")]
use super::shared::{Counter, Kind};
use super::window::{Level, Measure, Window};
use crate::config::limits::{Limited, Limits, Rate, What};
#[cfg(feature = "proxy")]
use crate::config::runtime::OnStoreLoss;

/// A full house has no timetable: this is the wait we suggest.
const CONCURRENCY_WAIT_MS: u64 = 1_000;

/// The counters of one scope. They belong to the process and outlive any configuration.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) scope: Scope,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Of every limit that any configuration had here.
    windows: Vec<(Rate, Window)>,
    /// Since they were last kept.
    changed: bool,
    running: u64,
    /// The same at the store that all replicas share, as far as somebody asked for it.
    #[cfg(feature = "proxy")]
    counters: Vec<Shared>,
}

#[cfg(feature = "proxy")]
#[derive(Debug)]
struct Shared {
    limited: Limited,
    kind: Kind,
    on_loss: Option<OnStoreLoss>,
    counter: Arc<Counter>,
}

/// The limits that a configuration puts on a scope, or on each of many.
#[derive(Debug)]
pub(super) struct Rules {
    rates: Vec<(Rate, Measure)>,
    concurrency: Option<u64>,
    /// While the store is gone.
    #[cfg(feature = "proxy")]
    on_loss: Option<OnStoreLoss>,
}

/// A scope with the limits that the present configuration puts on it.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) post: Arc<Post>,
    rules: Arc<Rules>,
}

/// Tokens that a request may use, or has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

/// A limit that a request does not fit into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Short {
    pub(super) limited: Limited,
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) wanted: u64,
    pub(super) wait_ms: u64,
}

/// The tightest limit of each kind, for the headers of the answer. `None`: no such limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    pub requests: Option<Level>,
    /// Of input and output together.
    pub tokens: Option<Level>,
    pub input_tokens: Option<Level>,
    pub output_tokens: Option<Level>,
}

impl Post {
    pub(super) fn new(scope: Scope, windows: Vec<(Rate, Window)>) -> Self {
        Self { scope, state: Mutex::new(State { windows, ..State::default() }) }
    }

    /// Whether its windows changed since this was last asked.
    pub(super) fn take_changed(&self) -> bool {
        std::mem::take(&mut self.lock().changed)
    }

    pub(super) fn rows(&self, at: Moment) -> Vec<Row> {
        earlier::rows(&self.scope, &self.lock().windows, at)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every update is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is over.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
    }
}

impl Rules {
    /// `None` where nothing is limited.
    pub(super) fn of(limits: &Limits) -> Option<Arc<Self>> {
        let rate = |(limited, limit)| match limited {
            Limited::Rate(rate) => Some((rate, Measure { limit, length_ms: rate.every.length_ms() })),
            Limited::Concurrency => None,
        };
        let rates = limits.iter().filter_map(rate).collect();
        (!limits.is_empty()).then(|| {
            Arc::new(Self {
                rates,
                concurrency: limits.concurrency,
                #[cfg(feature = "proxy")]
                on_loss: limits.on_store_loss,
            })
        })
    }

    /// Every limit as it is where nothing is used.
    pub(super) fn unused(&self) -> impl Iterator<Item = (Limited, Level)> {
        let unused = |limit| Level { limit, remaining: limit, reset_ms: 0 };
        let rates = self.rates.iter().map(move |(rate, of)| (Limited::Rate(*rate), unused(of.limit)));
        rates.chain(self.concurrency.map(|limit| (Limited::Concurrency, unused(limit))))
    }
}

impl Load {
    pub(super) const fn of(self, what: What) -> u64 {
        match what {
            What::Requests => 1,
            What::InputTokens => self.input_tokens,
            What::OutputTokens => self.output_tokens,
            What::Tokens => self.tokens(),
        }
    }

    pub(super) const fn tokens(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    #[must_use]
    pub(super) const fn plus(self, more: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(more.input_tokens),
            output_tokens: self.output_tokens.saturating_add(more.output_tokens),
        }
    }
}

impl State {
    /// The windows that these rules are about.
    fn each(&mut self, rules: &Rules, mut each: impl FnMut(Rate, Measure, &mut Window)) {
        for (rate, of) in &rules.rates {
            if !self.windows.iter().any(|(known, _)| known == rate) {
                self.windows.push((*rate, Window::default()));
            }
            for (_, window) in self.windows.iter_mut().filter(|(known, _)| known == rate) {
                each(*rate, *of, window);
            }
        }
    }
}

#[cfg(feature = "proxy")]
impl State {
    fn counter(
        &mut self,
        store: &super::shared::Shared,
        scope: &Scope,
        (limited, kind, on_loss): (Limited, Kind, Option<OnStoreLoss>),
    ) -> Arc<Counter> {
        let known = self.counters.iter_mut().find(|known| known.limited == limited);
        match known {
            Some(known) if (known.kind, known.on_loss) == (kind, on_loss) => Arc::clone(&known.counter),
            known => {
                let counter = store.counter(scope.counter(limited).as_str(), kind, on_loss);
                let new = Shared { limited, kind, on_loss, counter: Arc::clone(&counter) };
                match known {
                    Some(known) => *known = new,
                    None => self.counters.push(new),
                }
                counter
            }
        }
    }
}

impl Gate {
    pub(super) const fn new(post: Arc<Post>, rules: Arc<Rules>) -> Self {
        Self { post, rules }
    }

    /// Whether both count in the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.post, &other.post)
    }

    /// What of this scope stands longest against one more request.
    pub(super) fn refusal(&self, state: &mut State, place: &Place) -> Option<Short> {
        let Place { reserved: load, booked_ms: now_ms, runs, .. } = *place;
        let mut worst: Option<Short> = None;
        let mut add = |short: Short| {
            if short.wait_ms > worst.map_or(0, |known| known.wait_ms) {
                worst = Some(short);
            }
        };
        state.each(&self.rules, |rate, of, window| {
            window.advance(now_ms, of);
            let wanted = load.of(rate.what);
            let wait_ms = window.wait_ms(wanted, of);
            add(Short { limited: Limited::Rate(rate), limit: of.limit, used: window.used(), wanted, wait_ms });
        });
        if let Some(limit) = self.rules.concurrency.filter(|limit| runs && state.running >= *limit) {
            let (limited, used) = (Limited::Concurrency, state.running);
            add(Short { limited, limit, used, wanted: 1, wait_ms: CONCURRENCY_WAIT_MS });
        }
        worst
    }

    /// Takes what [`Self::refusal`] had nothing against.
    pub(super) fn charge(&self, state: &mut State, place: &Place) {
        let Place { reserved: load, booked_ms: now_ms, runs, .. } = *place;
        state.each(&self.rules, |rate, of, window| {
            window.charge(now_ms, load.of(rate.what), of);
        });
        state.changed = true;
        // Counted without a limit too: one may arrive by a reload.
        state.running = state.running.saturating_add(u64::from(runs));
    }

    /// Puts what was used in the place of what was reserved. The request itself stays charged.
    pub(super) fn settle(&self, reserved: Load, booked_ms: u64, used: Load, now_ms: u64) {
        if reserved == used {
            return;
        }
        let mut state = self.post.lock();
        state.changed = true;
        state.each(&self.rules, |rate, of, window| {
            let (reserved, used) = (reserved.of(rate.what).min(of.most_charged()), used.of(rate.what));
            let now_ms = window.advance(now_ms, of);
            match used.checked_sub(reserved) {
                Some(0) => {}
                Some(missing) => _ = window.charge(now_ms, missing, of),
                None => window.give_back(booked_ms, reserved - used, of),
            }
        });
    }

    /// Undoes [`Self::charge`], the request itself included.
    #[cfg(feature = "proxy")]
    pub(super) fn take_back(&self, reserved: Load, booked_ms: u64, now_ms: u64) {
        let mut state = self.post.lock();
        state.changed = true;
        state.each(&self.rules, |rate, of, window| {
            window.advance(now_ms, of);
            window.give_back(booked_ms, reserved.of(rate.what).min(of.most_charged()), of);
        });
    }

    /// The counters behind its limits at the store.
    #[cfg(feature = "proxy")]
    pub(super) fn counters(&self, store: &super::shared::Shared, mut each: impl FnMut(Limited, Arc<Counter>)) {
        let mut state = self.post.lock();
        let rates = self
            .rules
            .rates
            .iter()
            .map(|(rate, of)| (Limited::Rate(*rate), Kind::Window { limit: of.limit, length_ms: of.length_ms }));
        let places = self.rules.concurrency.map(|limit| (Limited::Concurrency, Kind::Concurrency { limit }));
        for (limited, kind) in rates.chain(places) {
            each(limited, state.counter(store, &self.post.scope, (limited, kind, self.rules.on_loss)));
        }
    }

    /// Every limit here as it stands.
    pub(super) fn levels(&self, now_ms: u64, mut each: impl FnMut(&Scope, Limited, Level)) {
        let mut state = self.post.lock();
        state.each(&self.rules, |rate, of, window| {
            window.advance(now_ms, of);
            each(&self.post.scope, Limited::Rate(rate), window.level(of));
        });
        if let Some(limit) = self.rules.concurrency {
            let remaining = limit.saturating_sub(state.running);
            each(&self.post.scope, Limited::Concurrency, Level { limit, remaining, reset_ms: 0 });
        }
    }
}

impl Standing {
    /// Of these scopes, after [`Gate::refusal`] or [`Gate::charge`].
    pub(super) fn over(places: &[Place], states: &mut [MutexGuard<'_, State>]) -> Self {
        let mut standing = Self::default();
        for (place, state) in places.iter().zip(states) {
            state.each(&place.gate.rules, |rate, of, window| standing.see(rate.what, window.level(of)));
        }
        standing
    }

    /// Of both the tighter, kind by kind.
    #[cfg(feature = "proxy")]
    pub(super) fn tighter(mut self, other: Self) -> Self {
        let all = [
            (What::Requests, other.requests),
            (What::InputTokens, other.input_tokens),
            (What::OutputTokens, other.output_tokens),
            (What::Tokens, other.tokens),
        ];
        all.into_iter()
            .filter_map(|(what, level)| Some((what, level?)))
            .for_each(|(what, level)| self.see(what, level));
        self
    }

    pub(super) fn see(&mut self, what: What, level: Level) {
        let tightest = match what {
            What::Requests => &mut self.requests,
            What::InputTokens => &mut self.input_tokens,
            What::OutputTokens => &mut self.output_tokens,
            What::Tokens => &mut self.tokens,
        };
        let tightness = |level: Level| (level.remaining, level.limit);
        if tightest.is_none_or(|known| tightness(level) < tightness(known)) {
            *tightest = Some(level);
        }
    }
}
