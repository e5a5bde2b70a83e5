//! A simulation: thousands of conversations over endpoints whose prompt caches are their own, on a
//! clock that is only a number.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::*;

const ENDPOINTS: usize = 8;
const CACHE_MS: u64 = 300_000;
const TURNS: u32 = 10;
const CONVERSATIONS: u64 = 6_000;
/// All begin within this time, so that about as many are under way at once.
const BEGIN_MS: u64 = 600_000;
/// When one endpoint fails for good.
const FAILS_MS: u64 = 500_000;

/// Numbers that look like chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ends { endpoint: usize },
    Turn { conversation: u64, number: u32 },
}

#[derive(Debug, Default)]
struct Outcome {
    later_turns: u32,
    hits: u32,
    /// Requests that began above the bound on loads while another endpoint was below it.
    over_bound: u32,
    most_in_flight: u32,
}

impl Outcome {
    fn hit_rate(&self) -> f64 {
        f64::from(self.hits) / f64::from(self.later_turns)
    }
}

type Choose<'c> = dyn FnMut(u64, &[Member]) -> usize + 'c;

fn simulate(endpoints: usize, with_failure: bool, choose: &mut Choose<'_>) -> Outcome {
    let mut dice = Dice(4);
    let mut members: Vec<Member> = (0..endpoints)
        .map(|n| Member { id: id(&[&format!("endpoint-{n}")]), weight: 1, in_flight: 0, available: true })
        .collect();
    let mut events = BinaryHeap::new();
    for conversation in 0..CONVERSATIONS {
        events.push(Reverse((dice.roll(BEGIN_MS), Event::Turn { conversation, number: 0 })));
    }
    // Where the last turn of each conversation was, and until when its prefix stays there.
    let mut cached: HashMap<u64, (usize, u64)> = HashMap::new();
    let mut outcome = Outcome::default();
    while let Some(Reverse((now_ms, event))) = events.pop() {
        if with_failure && now_ms >= FAILS_MS {
            members[3].available = false;
        }
        let (conversation, number) = match event {
            Event::Turn { conversation, number } => (conversation, number),
            Event::Ends { endpoint } => {
                members[endpoint].in_flight -= 1;
                continue;
            }
        };
        let endpoint = choose(conversation, &members);
        assert!(members[endpoint].available);
        outcome.note_load(endpoint, &members);
        members[endpoint].in_flight += 1;
        if number > 0 {
            outcome.later_turns += 1;
            outcome.hits += u32::from(
                cached.get(&conversation).is_some_and(|(at, until)| (*at, now_ms < *until) == (endpoint, true)),
            );
        }
        cached.insert(conversation, (endpoint, now_ms + CACHE_MS));
        let ends_ms = now_ms + 2_000 + dice.roll(20_000);
        events.push(Reverse((ends_ms, Event::Ends { endpoint })));
        if number + 1 < TURNS {
            // Most answers are read within a minute or two; some take longer than the cache lives.
            let pause_ms = if dice.roll(20) == 0 { 400_000 } else { dice.roll(90_000) };
            events.push(Reverse((ends_ms + pause_ms, Event::Turn { conversation, number: number + 1 })));
        }
    }
    outcome
}

impl Outcome {
    fn note_load(&mut self, endpoint: usize, members: &[Member]) {
        let available = || members.iter().filter(|member| member.available);
        let count = available().count() as f64;
        let bound = f64::from(available().map(|m| m.in_flight).sum::<u32>()) / count * 1.25 + 1.0;
        let is_over = |member: &Member| f64::from(member.in_flight) > bound;
        self.over_bound += u32::from(is_over(&members[endpoint]) && available().any(|member| !is_over(member)));
        self.most_in_flight = self.most_in_flight.max(members[endpoint].in_flight + 1);
    }
}

fn by_affinity(conversation: u64, members: &[Member]) -> usize {
    let mut out = Vec::new();
    order(conversation, members, &mut out);
    out[0]
}

#[test]
fn the_cache_is_hit_nearly_as_often_as_with_one_endpoint() {
    let alone = simulate(1, false, &mut |_, _| 0);
    let affinity = simulate(ENDPOINTS, true, &mut by_affinity);
    assert!((0.90..0.97).contains(&alone.hit_rate()), "some pauses outlive the cache: {alone:?}");
    assert!(affinity.hit_rate() >= 0.95 * alone.hit_rate(), "{} of {}", affinity.hit_rate(), alone.hit_rate());
    assert_eq!(affinity.over_bound, 0, "nobody gets more than the bound");
    assert!(affinity.most_in_flight >= 80, "there is a load to be spread: {affinity:?}");
}

#[test]
fn in_turns_it_is_hardly_hit_at_all() {
    let alone = simulate(1, false, &mut |_, _| 0);
    let mut next = 0;
    let in_turns = simulate(ENDPOINTS, true, &mut |_, members| {
        loop {
            next = (next + 1) % members.len();
            if members[next].available {
                return next;
            }
        }
    });
    assert!(in_turns.hit_rate() < 0.2 * alone.hit_rate(), "{in_turns:?}");
}

/// The worst case: everybody talks within one conversation (or all share one `prompt_cache_key`).
#[test]
fn one_hot_conversation_is_spread_within_the_bound() {
    let hot = simulate(ENDPOINTS, true, &mut |_, members| by_affinity(1, members));
    assert_eq!(hot.over_bound, 0);
    let even = simulate(ENDPOINTS, true, &mut by_affinity).most_in_flight;
    assert!(hot.most_in_flight <= even * 13 / 10, "{} against {even}", hot.most_in_flight);
}
