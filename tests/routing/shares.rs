//! Who gets how much: quotas, the slow, tenants.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use weir::route::fair::{Entry, FairQueue, Settings, Ticket};

use crate::fleet::{Breakers, Choosing, Fleet, Manner, Server, every_second};

/// Two endpoints that take 30,000 a minute together, one of them a tenth of it.
fn quotas(choosing: Choosing, breakers: Breakers) -> Fleet {
    let servers = vec![Server::steady(50).with_quota(3_000), Server::steady(50).with_quota(27_000)];
    let route = "strategy: weighted, affinity: false";
    let mut fleet = Fleet::new(route, &[], servers).choosing(choosing).breakers(breakers);
    // Half of what both take, and so, evenly shared, far more than the small one does.
    fleet.play(every_second(250, 0, 600_000));
    fleet
}

#[test]
fn a_small_quota_is_learnt_from_the_headers() {
    let refused = |fleet: &Fleet| {
        fleet.servers.iter().map(|server| server.refused).sum::<u64>() as f64 / fleet.tally.requests as f64
    };
    let fleet = quotas(Choosing::Real, Breakers::On);
    assert!(refused(&fleet) < 0.01 && fleet.tally.failed.is_empty(), "{}", refused(&fleet));
    assert!(fleet.servers[0].asked.len() > 25_000, "and it is used: {}", fleet.servers[0].asked.len());
    let control = refused(&quotas(Choosing::RoundRobin, Breakers::Off));
    assert!(control > 0.1, "without learning: {control}");
}

const SLOW_MS: std::ops::Range<u64> = 60_000..240_000;

fn slow(choosing: Choosing) -> Fleet {
    let slow =
        Server::new(|at_ms| Manner { latency_ms: if SLOW_MS.contains(&at_ms) { 2_000 } else { 200 }, fails: false });
    let servers = vec![slow, Server::steady(200), Server::steady(200)];
    let mut fleet = Fleet::new("strategy: latency, affinity: false", &[], servers).choosing(choosing);
    fleet.play(every_second(20, 0, 360_000));
    fleet
}

#[test]
fn one_that_is_ten_times_slower_gets_little_until_it_is_quick_again() {
    let fleet = slow(Choosing::Real);
    let share = |from_ms: u64, to_ms: u64| {
        fleet.servers[0].asked_within(from_ms, to_ms) as f64 / ((to_ms - from_ms) / 50) as f64
    };
    let while_slow = share(SLOW_MS.start, SLOW_MS.end);
    assert!(while_slow < 0.05, "{while_slow}");
    let after = share(SLOW_MS.end + 60_000, 360_000);
    assert!((0.2..0.5).contains(&after), "found again: {after}");
    let control = slow(Choosing::RoundRobin);
    assert!(control.servers[0].asked_within(SLOW_MS.start, SLOW_MS.end) > 1_100);
    let mean = |fleet: &Fleet| {
        let all = &fleet.tally.latencies_ms;
        all.iter().sum::<u64>() as f64 / all.len() as f64
    };
    assert!(mean(&fleet) < 250.0 && mean(&control) > 450.0, "{} and {}", mean(&fleet), mean(&control));
}

const PLACES: u32 = 8;
const SERVICE_MS: u64 = 400;

/// Places in turn of their tenants, or in turn of arrival.
enum Line {
    Fair { queue: FairQueue, waiting: HashMap<Ticket, usize> },
    Arrival { running: u32, waiting: VecDeque<usize> },
}

impl Line {
    /// Whether the request has a place at once.
    fn enter(&mut self, tenant: usize, names: &[Arc<str>], now_ms: u64) -> bool {
        match self {
            Self::Fair { queue, waiting } => match queue.enter(&names[tenant], 1, now_ms, now_ms + 10_000) {
                Entry::Admitted => true,
                Entry::Waiting(ticket) => {
                    waiting.insert(ticket, tenant);
                    false
                }
                Entry::Refused { .. } => false,
            },
            Self::Arrival { running, .. } if *running < PLACES => {
                *running += 1;
                true
            }
            Self::Arrival { waiting, .. } => {
                if waiting.len() < 256 {
                    waiting.push_back(tenant);
                }
                false
            }
        }
    }

    /// Whose turn it is when one leaves.
    fn leave(&mut self, now_ms: u64) -> Option<usize> {
        match self {
            Self::Fair { queue, waiting } => waiting.remove(&queue.leave(now_ms)?),
            Self::Arrival { running, waiting } => {
                let next = waiting.pop_front();
                *running -= u32::from(next.is_none());
                next
            }
        }
    }
}

/// What each of ten equal tenants is served that ask for a bit more than their share, while an eleventh
/// asks for a hundred times as much.
fn served(mut line: Line) -> Vec<f64> {
    let names: Vec<Arc<str>> = (0..11).map(|n| Arc::from(format!("tenant-{n}"))).collect();
    let mut events = BinaryHeap::new();
    for (tenant, shift_ms) in (0..11).zip((0..).step_by(7)) {
        let per_second = if tenant == 10 { 200 } else { 2 };
        events.extend(every_second(per_second, 0, 120_000).map(|at_ms| Reverse((at_ms + shift_ms, 1, tenant))));
    }
    let mut served = vec![0.0; 11];
    while let Some(Reverse((now_ms, kind, tenant))) = events.pop() {
        let gets_place = match kind {
            1 => line.enter(tenant, &names, now_ms).then_some(tenant),
            _ => {
                served[tenant] += 1.0;
                line.leave(now_ms)
            }
        };
        if let Some(tenant) = gets_place {
            events.push(Reverse((now_ms + SERVICE_MS, 0, tenant)));
        }
    }
    served
}

/// 1 where all have the same, 1/n where one has all.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (shares.len() as f64 * squares)
}

#[test]
fn tenants_are_served_alike_while_one_floods() {
    let settings = Settings { capacity: PLACES, most_waiting: 256 };
    let fair = served(Line::Fair { queue: FairQueue::new(settings), waiting: HashMap::new() });
    // 20 a second in all, so 1.82 for each of eleven.
    assert!(jain(&fair) >= 0.95, "{} {fair:?}", jain(&fair));
    assert!(fair[..10].iter().all(|count| *count > 1.7 * 120.0), "nobody's flood is theirs: {fair:?}");
    let control = served(Line::Arrival { running: 0, waiting: VecDeque::new() });
    assert!(jain(&control) < 0.3, "in turn of arrival: {} {control:?}", jain(&control));
}
