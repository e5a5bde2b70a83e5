//! The world: endpoints with a latency, failures, quotas and places; requests that arrive, are tried by
//! the rules and end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use weir::config::attempts::AttemptRules;
use weir::config::env::Table;
use weir::config::load::from_text;
use weir::config::runtime::{Group, Runtime};
use weir::error::{Error, Kind};
use weir::route::attempts::{Attempts, Next, View};
use weir::route::board::Board;
use weir::route::budget::RetryBudget;
use weir::route::cause::Failure;
use weir::route::pick::{self, Ask, Choice, Seat};
use weir::route::quota::{Learned, Window};
use weir::route::vital::{Run, Standing, Vital};

/// Nothing begins at zero, where much is special.
pub(crate) const START_MS: u64 = 1_000_000;

/// Numbers that look like chance, the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }
}

/// How a server behaves at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) latency_ms: u64,
    pub(crate) fails: bool,
}

/// Requests that a server takes in every minute, which its answers tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) per_minute: u64,
    used: u64,
    minute: u64,
}

/// One server.
pub(crate) struct Server {
    manner: Box<dyn Fn(u64) -> Manner>,
    quota: Option<Quota>,
    pub(crate) asked: Vec<u64>,
    pub(crate) refused: u64,
}

impl Server {
    /// `manner` is how it behaves so long after the start.
    pub(crate) fn new(manner: impl Fn(u64) -> Manner + 'static) -> Self {
        Self { manner: Box::new(manner), quota: None, asked: Vec::new(), refused: 0 }
    }

    pub(crate) fn steady(latency_ms: u64) -> Self {
        Self::new(move |_| Manner { latency_ms, fails: false })
    }

    pub(crate) fn with_quota(self, per_minute: u64) -> Self {
        Self { quota: Some(Quota { per_minute, used: 0, minute: 0 }), ..self }
    }

    /// Of those it was asked, how many came within this time.
    pub(crate) fn asked_within(&self, from_ms: u64, to_ms: u64) -> usize {
        self.asked.iter().filter(|at| (from_ms..to_ms).contains(&(**at - START_MS))).count()
    }

    /// How long it takes, and what comes of it.
    fn ask(&mut self, now_ms: u64) -> (u64, Result<Learned, Error>) {
        self.asked.push(now_ms);
        let manner = (self.manner)(now_ms - START_MS);
        let Some(quota) = &mut self.quota else {
            let failed = Error::new(Kind::UpstreamFailed, "no");
            return (manner.latency_ms, if manner.fails { Err(failed) } else { Ok(Learned::default()) });
        };
        if quota.minute != now_ms / 60_000 {
            (quota.minute, quota.used) = (now_ms / 60_000, 0);
        }
        let resets_at_ms = (quota.minute + 1) * 60_000;
        if quota.used >= quota.per_minute {
            self.refused += 1;
            let limited = Error::new(Kind::UpstreamRateLimited, "too many");
            return (1, Err(limited.with_retry_after(Duration::from_millis(resets_at_ms - now_ms))));
        }
        quota.used += 1;
        let window = Window { limit: Some(quota.per_minute), remaining: quota.per_minute - quota.used, resets_at_ms };
        (manner.latency_ms, Ok(Learned { requests: Some(window), tokens: None }))
    }
}

/// How the order of targets is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choosing {
    /// As the gateway does.
    Real,
    /// The control: one after the other, whatever is known.
    RoundRobin,
}

/// Whether what is known of the targets keeps requests from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breakers {
    On,
    Off,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    /// Requests whose client saw a failure, and when they began.
    pub(crate) failed: Vec<u64>,
    /// Requests of which an attempt failed, whoever answered in the end.
    pub(crate) touched: u64,
    pub(crate) attempts: u64,
    /// Of those that were answered.
    pub(crate) latencies_ms: Vec<u64>,
}

/// See the module documentation.
pub(crate) struct Fleet {
    runtime: Runtime,
    board: Board,
    pub(crate) servers: Vec<Server>,
    choosing: Choosing,
    breakers: Breakers,
    rules: AttemptRules,
    pub(crate) dice: Dice,
    pub(crate) tally: Tally,
    turn: usize,
}

/// A request on its way.
struct Flight {
    began_ms: u64,
    order: Vec<usize>,
    attempts: Attempts,
    index: usize,
    failures: u32,
    run: Option<Run>,
    sent_ms: u64,
    outcome: Option<Result<Learned, Error>>,
}

/// What the rules see.
pub(crate) struct Sight<'f> {
    pub(crate) fleet: &'f Fleet,
    pub(crate) order: &'f [usize],
    pub(crate) now_ms: u64,
    pub(crate) chance: u64,
}

impl View for Sight<'_> {
    fn standing(&self, index: usize) -> Standing {
        match self.fleet.breakers {
            Breakers::On => self.fleet.vital(self.order[index]).standing(0, self.now_ms),
            Breakers::Off => Standing::Good,
        }
    }

    fn is_longer(&self, _: usize, _: usize) -> bool {
        false
    }

    fn may_retry(&self) -> bool {
        self.fleet.board.budget.may_retry(self.now_ms)
    }

    fn chance(&self) -> u64 {
        self.chance
    }
}

impl Fleet {
    /// `route` is what stands in a route beside its targets.
    pub(crate) fn new(route: &str, weights: &[u32], servers: Vec<Server>) -> Self {
        let name = |n: usize| format!("server-{n}");
        let providers: String = (0..servers.len())
            .map(|n| format!("  {}: {{kind: openai-compatible, base_url: \"http://s{n}.test\"}}\n", name(n)))
            .collect();
        let weight = |n: usize| weights.get(n).copied().unwrap_or(1);
        let targets: Vec<String> =
            (0..servers.len()).map(|n| format!("{{model: {}/m, weight: {}}}", name(n), weight(n))).collect();
        let text = format!(
            "providers:\n{providers}tenants: {{t: {{keys: [{{id: k, secret: \"${{KEY}}\"}}]}}}}\nroutes: {{r: {{{route}, targets: [{}]}}}}\n",
            targets.join(", ")
        );
        let runtime = from_text(&text, "weir.yaml", &Table::of(&[("KEY", "a-key-of-twenty-letters")]));
        let runtime = runtime.unwrap_or_else(|report| panic!("{report}"));
        let board = Board::new(&runtime);
        Self {
            rules: runtime.routes["r"].attempts,
            board,
            runtime,
            servers,
            choosing: Choosing::Real,
            breakers: Breakers::On,
            dice: Dice(7),
            tally: Tally::default(),
            turn: 0,
        }
    }

    pub(crate) fn choosing(mut self, choosing: Choosing) -> Self {
        self.choosing = choosing;
        self
    }

    pub(crate) fn breakers(mut self, breakers: Breakers) -> Self {
        self.breakers = breakers;
        self
    }

    /// Second attempts for a hundred first ones.
    pub(crate) fn retry_budget(mut self, percent: u32) -> Self {
        self.board.budget = Arc::new(RetryBudget::new(percent, 100));
        self
    }

    pub(crate) fn vital(&self, server: usize) -> Arc<Vital> {
        self.board.vital(&self.runtime.deployments[server], "m").unwrap()
    }

    fn group(&self) -> &Group {
        &self.runtime.routes["r"].group
    }

    /// The servers in the order to try them.
    pub(crate) fn order(&mut self, now_ms: u64, conversation: Option<u64>) -> Vec<usize> {
        let count = self.servers.len();
        if self.choosing == Choosing::RoundRobin {
            self.turn += 1;
            return (0..count).map(|n| (self.turn + n) % count).collect();
        }
        let seat = |server: usize| {
            let vital = self.vital(server);
            Seat { place: 0, standing: vital.standing(0, now_ms), vital, weight: 1 }
        };
        let choice = |server| {
            let seat = seat(server);
            Choice { id: seat.vital.endpoint.number, seats: vec![seat], cost: None }
        };
        let choices: Vec<Choice> = (0..count).map(choice).collect();
        let chance = self.dice.roll();
        let ask = Ask { now_ms, chance, affinity: conversation, among_targets: conversation.is_some() };
        pick::targets(self.group(), &choices, &ask)
    }

    /// Requests at these moments (since the start), each to its end.
    pub(crate) fn play(&mut self, arrivals: impl IntoIterator<Item = u64>) {
        let mut events: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();
        let mut flights: Vec<Option<Flight>> = Vec::new();
        let mut number = 0;
        for at_ms in arrivals {
            events.push(Reverse((START_MS + at_ms, number, usize::MAX)));
            number += 1;
        }
        while let Some(Reverse((now_ms, _, at))) = events.pop() {
            let (at, next) = match flights.get_mut(at).and_then(Option::take) {
                None => {
                    flights.push(None);
                    let (flight, next) = self.begin(now_ms);
                    let at = flights.len() - 1;
                    flights[at] = Some(flight);
                    (at, next)
                }
                Some(mut flight) => {
                    let next = self.step(&mut flight, now_ms);
                    flights[at] = Some(flight);
                    (at, next)
                }
            };
            let Some(flight) = &mut flights[at] else { continue };
            match next {
                Then::At(at_ms) => {
                    number += 1;
                    events.push(Reverse((at_ms, number, at)));
                }
                Then::Done { is_well } => {
                    match is_well {
                        true => self.tally.latencies_ms.push(now_ms - flight.began_ms),
                        false => self.tally.failed.push(flight.began_ms - START_MS),
                    }
                    self.tally.touched += u64::from(flight.failures > 0);
                }
            }
        }
    }

    fn begin(&mut self, now_ms: u64) -> (Flight, Then) {
        self.tally.requests += 1;
        self.board.budget.asked(now_ms);
        let order = self.order(now_ms, None);
        let attempts = Attempts::new(&self.rules, order.len());
        let mut flight = Flight {
            began_ms: now_ms,
            order,
            attempts,
            index: 0,
            failures: 0,
            run: None,
            sent_ms: now_ms,
            outcome: None,
        };
        let chance = self.dice.roll();
        let sight = Sight { fleet: self, order: &flight.order, now_ms, chance };
        let next = flight.attempts.first(&sight, now_ms, u64::MAX);
        let then = self.follow(&mut flight, next, now_ms);
        (flight, then)
    }

    /// The next thing that happens to a request: it is sent, or its answer is there.
    fn step(&mut self, flight: &mut Flight, now_ms: u64) -> Then {
        let Some(outcome) = flight.outcome.take() else { return self.send(flight, now_ms) };
        let run = flight.run.take().unwrap();
        let error = match outcome {
            Ok(learned) => {
                run.learned(learned);
                run.succeeded(now_ms - flight.sent_ms, now_ms);
                return Then::Done { is_well: true };
            }
            Err(error) => error,
        };
        let failure = Failure::of(&error);
        run.failed(&failure, now_ms);
        drop(run);
        flight.failures += 1;
        let chance = self.dice.roll();
        let sight = Sight { fleet: self, order: &flight.order, now_ms, chance };
        let next = flight.attempts.after(flight.index, &failure, &sight, now_ms, u64::MAX);
        self.follow(flight, next, now_ms)
    }

    fn follow(&mut self, flight: &mut Flight, next: Next, now_ms: u64) -> Then {
        match next {
            Next::Ask(index) => {
                flight.index = index;
                self.send(flight, now_ms)
            }
            Next::Wait { index, for_ms } => {
                flight.index = index;
                Then::At(now_ms + for_ms)
            }
            Next::Stop { .. } => Then::Done { is_well: false },
        }
    }

    fn send(&mut self, flight: &mut Flight, now_ms: u64) -> Then {
        let server = flight.order[flight.index];
        self.tally.attempts += 1;
        flight.run = Some(self.vital(server).begin(now_ms));
        let (took_ms, outcome) = self.servers[server].ask(now_ms);
        (flight.sent_ms, flight.outcome) = (now_ms, Some(outcome));
        Then::At(now_ms + took_ms.max(1))
    }
}

enum Then {
    At(u64),
    Done { is_well: bool },
}

/// So many a second, evenly, from then to then.
pub(crate) fn every_second(count: u64, from_ms: u64, to_ms: u64) -> impl Iterator<Item = u64> {
    (0..(to_ms - from_ms) * count / 1_000).map(move |n| from_ms + n * 1_000 / count)
}
