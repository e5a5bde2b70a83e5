//! Conversations and the prompt caches of providers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use weir::error::{Error, Kind};
use weir::route::affinity;
use weir::route::attempts::{Attempts, Next};
use weir::route::cause::Failure;
use weir::wire::envelope::Envelope;

use crate::fleet::{Choosing, Dice, Fleet, START_MS, Server, Sight};

const CACHE_MS: u64 = 300_000;
const TURNS: u64 = 8;
const CONVERSATIONS: u64 = 1_500;
const BEGIN_MS: u64 = 900_000;
/// From here on one of the endpoints fails.
const FAILS_MS: u64 = 450_000;
const FAILING: usize = 3;

/// The prompt of a turn, as a client sends it.
fn prompt(conversation: u64, turn: u64) -> String {
    let mut messages = format!(r#"{{"role":"user","content":"conversation {conversation}"}}"#);
    for n in 1..=turn {
        messages +=
            &format!(r#",{{"role":"assistant","content":"answer {n}"}},{{"role":"user","content":"more {n}"}}"#);
    }
    format!(r#"{{"model":"r","messages":[{messages}]}}"#)
}

/// The share of later turns that find their prompt in the cache of the endpoint that answers.
fn hit_rate(endpoints: usize, choosing: Choosing) -> f64 {
    let servers = (0..endpoints).map(|_| Server::steady(100)).collect();
    let mut fleet = Fleet::new("strategy: weighted, affinity: true", &[], servers).choosing(choosing);
    let mut dice = Dice(3);
    let mut turns: BinaryHeap<Reverse<(u64, u64, u64)>> =
        (0..CONVERSATIONS).map(|conversation| Reverse((dice.roll() % BEGIN_MS, conversation, 0))).collect();
    let mut caches: Vec<HashMap<u64, u64>> = vec![HashMap::new(); endpoints];
    let (mut hits, mut later) = (0.0, 0.0);
    while let Some(Reverse((at_ms, conversation, turn))) = turns.pop() {
        let now_ms = START_MS + at_ms;
        let body = prompt(conversation, turn);
        let key = affinity::key("tenant", |_| None, &Envelope::parse(body.as_bytes()).unwrap());
        let order = fleet.order(now_ms, key.map(|conversation| conversation.key));
        let server = answered(&fleet, &order, now_ms, endpoints > 1 && at_ms >= FAILS_MS);
        let cached_at = caches[server].insert(conversation, now_ms);
        if turn > 0 {
            later += 1.0;
            hits += f64::from(u8::from(cached_at.is_some_and(|cached_ms| now_ms - cached_ms < CACHE_MS)));
        }
        if turn < TURNS {
            // Up to five and a half minutes, so that some come too late for any cache.
            turns.push(Reverse((at_ms + 5_000 + dice.roll() % 325_000, conversation, turn + 1)));
        }
    }
    hits / later
}

/// Who answers in the end.
fn answered(fleet: &Fleet, order: &[usize], now_ms: u64, one_fails: bool) -> usize {
    let mut attempts = Attempts::new(&Default::default(), order.len());
    let sight = Sight { fleet, order, now_ms, chance: 0 };
    let mut next = attempts.first(&sight, now_ms, u64::MAX);
    loop {
        let Next::Ask(index) = next else { panic!("{next:?}") };
        let run = fleet.vital(order[index]).begin(now_ms);
        if !(one_fails && order[index] == FAILING) {
            run.succeeded(100, now_ms);
            return order[index];
        }
        let failure = Failure::of(&Error::new(Kind::UpstreamBroken, "no"));
        run.failed(&failure, now_ms);
        drop(run);
        next = attempts.after(index, &failure, &sight, now_ms, u64::MAX);
    }
}

/// Row 18: balancing load over endpoints leaves prompts in their cache.
#[test]
fn row_18_conversations_find_their_prompts_in_the_cache() {
    let single = hit_rate(1, Choosing::Real);
    assert!((0.8..0.99).contains(&single), "some come too late for one endpoint too: {single}");
    let many = hit_rate(8, Choosing::Real);
    assert!(many >= 0.95 * single, "{many} of {single}");
    let control = hit_rate(8, Choosing::RoundRobin);
    assert!(control < 0.5 * single, "spread without a thought: {control} of {single}");
}
