//! The order of targets under each strategy.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::env::Table;
use crate::config::load::from_text;
use crate::config::runtime::{Route, Runtime};
use crate::route::board::Board;
use crate::route::cause::{Cause, Failure};
use crate::route::vital::Run;

const NOW_MS: u64 = 100_000;

/// A route over some of the servers `a` to `e`, and what is known of them.
struct World {
    route: Arc<Route>,
    runtime: Runtime,
    board: Board,
}

impl World {
    /// `route` is what stands below the route's name.
    fn new(route: &str) -> Self {
        let servers = ["a", "b", "c", "d", "e"];
        let providers =
            servers.map(|name| format!("  {name}: {{kind: openai-compatible, base_url: \"http://{name}.test\"}}\n"));
        let text = format!(
            "providers:\n{}tenants: {{t: {{keys: [{{id: k, secret: \"${{KEY}}\"}}]}}}}\nroutes: {{r: {route}}}\n",
            providers.concat()
        );
        let runtime = from_text(&text, "weir.yaml", &Table::of(&[("KEY", "a-key-of-twenty-letters")]))
            .unwrap_or_else(|report| panic!("{report}"));
        Self { route: Arc::clone(&runtime.routes["r"]), board: Board::new(&runtime), runtime }
    }

    fn vital(&self, name: &str) -> Arc<Vital> {
        let deployment = self.runtime.deployments.iter().find(|d| d.name == name).unwrap();
        self.board.vital(deployment, "m").unwrap()
    }

    fn choices(&self) -> Vec<Choice> {
        let choice = |name: &str| {
            let vital = self.vital(name);
            let standing = vital.standing(0, NOW_MS);
            Choice { id: affinity::id(&[name]), seats: vec![Seat { place: 0, vital, standing, weight: 1 }], cost: None }
        };
        self.route.targets().iter().map(|target| choice(&target.deployment.name)).collect()
    }

    fn order(&self, ask: &Ask) -> Vec<&str> {
        self.named(targets(&self.route.group, &self.choices(), ask))
    }

    fn named(&self, order: Vec<usize>) -> Vec<&str> {
        let all = self.route.targets();
        order.into_iter().map(|index| all[index].deployment.name.as_str()).collect()
    }

    fn breaks(&self, name: &str) {
        let failure = Failure::of(&crate::error::Error::new(crate::error::Kind::UpstreamBroken, "no"));
        assert_eq!(failure.cause, Cause::Broken);
        (0..5).for_each(|_| self.vital(name).begin(NOW_MS).failed(&failure, NOW_MS));
    }

    fn answered(&self, name: &str, first_token_ms: u64) {
        self.vital(name).begin(NOW_MS).succeeded(first_token_ms, NOW_MS);
    }

    fn busy(&self, name: &str, requests: usize) -> Vec<Run> {
        (0..requests).map(|_| self.vital(name).begin(NOW_MS)).collect()
    }
}

fn by_chance(chance: u64) -> Ask {
    Ask { now_ms: NOW_MS, chance, affinity: None, among_targets: false }
}

fn of_conversation(key: u64) -> Ask {
    Ask { affinity: Some(key), among_targets: true, ..by_chance(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) }
}

/// Numbers that look like chance, the same in every run.
fn chances(count: u64) -> impl Iterator<Item = u64> {
    let mut state = 1_u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 20
    })
}

/// Of so many requests, how many go to each first.
fn firsts(world: &World, count: u64) -> [f64; 5] {
    let mut firsts = [0.0; 5];
    for chance in chances(count) {
        let name = world.order(&by_chance(chance))[0];
        firsts["abcde".find(name).unwrap()] += 1.0;
    }
    firsts
}

/// A count of a share of so many is within four times what chance varies it by.
fn is_near(count: f64, of: f64, share: f64) -> bool {
    (count - of * share).abs() <= 4.0 * (of * share * (1.0 - share)).sqrt()
}

#[test]
fn weights_are_shares() {
    let world = World::new(
        "{strategy: weighted, targets: [{model: a/m, weight: 1}, {model: b/m, weight: 3}, {model: c/m, weight: 6}, {model: d/m, weight: 0}]}",
    );
    let counts = firsts(&world, 20_000);
    for (count, share) in counts.iter().zip([0.1, 0.3, 0.6, 0.0, 0.0]) {
        assert!(is_near(*count, 20_000.0, share), "{counts:?}");
    }
    // Who is out leaves its share to the others, by theirs.
    world.breaks("c");
    let counts = firsts(&world, 20_000);
    for (count, share) in counts.iter().zip([0.25, 0.75, 0.0, 0.0, 0.0]) {
        assert!(is_near(*count, 20_000.0, share), "{counts:?}");
    }
    assert_eq!(world.order(&by_chance(1)).last(), Some(&"c"), "but it is not forgotten");
}

#[test]
fn those_that_are_out_come_last_under_every_strategy() {
    for strategy in ["fallback", "weighted", "latency", "least_busy", "cost"] {
        let world =
            World::new(&format!("{{strategy: {strategy}, targets: [{{model: a/m}}, {{model: b/m}}, {{model: c/m}}]}}"));
        world.breaks("a");
        world.answered("b", 900);
        for chance in chances(50) {
            let order = world.order(&by_chance(chance));
            assert_eq!((order.len(), order[2]), (3, "a"), "{strategy}: {order:?}");
        }
        ["b", "c"].iter().for_each(|name| world.breaks(name));
        assert_eq!(world.order(&by_chance(3)).len(), 3, "{strategy}: somebody has to be asked");
    }
}

#[test]
fn one_that_is_nearly_used_up_or_full_comes_after_the_good_and_before_those_that_are_out() {
    let world = World::new("{strategy: fallback, targets: [{model: a/m}, {model: b/m}, {model: c/m}]}");
    world.breaks("a");
    world.vital("b").endpoint.set_full(true);
    assert_eq!(world.order(&by_chance(0)), ["c", "b", "a"]);
}

#[test]
fn a_group_inside_a_list_is_tried_whole_before_what_comes_after_it() {
    let world = World::new(
        "{strategy: fallback, targets: [{strategy: weighted, targets: [{model: a/m, weight: 1}, {model: b/m, weight: 3}]}, {model: c/m}, {strategy: fallback, targets: [{model: d/m}, {model: e/m}]}]}",
    );
    let counts = firsts(&world, 8_000);
    assert!(is_near(counts[0], 8_000.0, 0.25) && is_near(counts[1], 8_000.0, 0.75), "{counts:?}");
    for chance in chances(50) {
        let order = world.order(&by_chance(chance));
        assert_eq!(order[2..], ["c", "d", "e"], "{order:?}");
    }
    world.breaks("a");
    assert_eq!(world.order(&by_chance(7)), ["b", "c", "d", "e", "a"]);
    world.breaks("b");
    assert_eq!(world.order(&by_chance(7))[..3], ["c", "d", "e"]);
}

#[test]
fn a_group_among_weights_has_its_own_weight() {
    let world = World::new(
        "{strategy: weighted, targets: [{model: a/m, weight: 1}, {strategy: least_busy, weight: 4, targets: [{model: b/m}, {model: c/m}]}]}",
    );
    let counts = firsts(&world, 10_000);
    assert!(is_near(counts[0], 10_000.0, 0.2), "{counts:?}");
    assert!(is_near(counts[1], 10_000.0, 0.4) && is_near(counts[2], 10_000.0, 0.4), "idle ones share: {counts:?}");
}

#[test]
fn a_group_inside_draws_for_itself() {
    let world = World::new(
        "{strategy: weighted, affinity: true, targets: [{strategy: weighted, weight: 1, targets: [{model: a/m}, {model: b/m}]}, {strategy: weighted, weight: 1, targets: [{model: c/m}, {model: d/m}]}]}",
    );
    let reached = |counts: [f64; 5]| counts[..4].iter().all(|count| is_near(*count, 8_000.0, 0.25));
    assert!(reached(firsts(&world, 8_000)), "{:?}", firsts(&world, 8_000));
    let mut of_conversations = [0.0; 5];
    (0..8_000).for_each(|key| of_conversations["abcd".find(world.order(&of_conversation(key))[0]).unwrap()] += 1.0);
    assert!(reached(of_conversations), "{of_conversations:?}");
    // Who is first in the group has nothing to do with where the group stands.
    let own = (0..).find(|key| world.order(&of_conversation(*key))[0] == "a").unwrap();
    world.breaks("a");
    assert_eq!(world.order(&of_conversation(own))[0], "b");
}

#[test]
fn a_group_is_as_busy_as_all_its_targets() {
    let world = World::new(
        "{strategy: least_busy, targets: [{model: a/m}, {strategy: fallback, targets: [{model: b/m}, {model: c/m}]}]}",
    );
    let _busy = [world.busy("a", 2), world.busy("c", 3)];
    assert!(chances(20).all(|chance| world.order(&by_chance(chance)) == ["a", "b", "c"]));
}

#[test]
fn latency_does_not_send_everything_to_who_never_answered() {
    let world = World::new("{strategy: latency, targets: [{model: a/m}, {model: b/m}]}");
    world.answered("a", 300);
    assert_eq!(world.order(&by_chance(0)), ["b", "a"], "it is asked at once");
    let _busy = world.busy("b", 1);
    assert_eq!(world.order(&by_chance(0)), ["a", "b"], "but not by all");
}

#[test]
fn latency_takes_the_better_of_two_by_chance() {
    let world = World::new("{strategy: latency, targets: [{model: a/m}, {model: b/m}, {model: c/m}, {model: d/m}]}");
    for (name, ms) in [("a", 400), ("b", 100), ("c", 200), ("d", 300)] {
        world.answered(name, ms);
    }
    let counts = firsts(&world, 12_000);
    // Of four, the best is one of the two in half of all draws, the worst never the better one.
    for (count, share) in counts.iter().zip([0.0, 3.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0]) {
        assert!(is_near(*count, 12_000.0, share), "{counts:?}");
    }
    assert_eq!(world.order(&by_chance(0))[1..].iter().filter(|name| **name == "a").count(), 1);
    let two = World::new("{strategy: latency, targets: [{model: a/m}, {model: b/m}]}");
    two.answered("a", 300);
    two.answered("b", 100);
    assert!(chances(50).all(|chance| two.order(&by_chance(chance)) == ["b", "a"]));
    let _busy = two.busy("b", 4);
    assert_eq!(two.order(&by_chance(0)), ["a", "b"], "five times a hundred is more than three hundred");
}

#[test]
fn least_busy_counts_what_is_in_flight_by_weight() {
    let world = World::new(
        "{strategy: least_busy, targets: [{model: a/m, weight: 1}, {model: b/m, weight: 2}, {model: c/m, weight: 1}]}",
    );
    let _busy = [world.busy("a", 3), world.busy("b", 5), world.busy("c", 2)];
    assert!(chances(20).all(|chance| world.order(&by_chance(chance)) == ["c", "b", "a"]));
    let idle = World::new("{strategy: least_busy, targets: [{model: a/m}, {model: b/m}, {model: c/m}]}");
    let counts = firsts(&idle, 9_000);
    assert!(
        counts[..3].iter().all(|count| is_near(*count, 9_000.0, 1.0 / 3.0)),
        "ties are not the first's: {counts:?}"
    );
}

#[test]
fn cost_goes_up_and_the_unknown_comes_last() {
    let world = World::new("{strategy: cost, targets: [{model: a/m}, {model: b/m}, {model: c/m}, {model: d/m}]}");
    let mut choices = world.choices();
    for (choice, cost) in choices.iter_mut().zip([None, Some(700), Some(0), Some(90)]) {
        choice.cost = cost;
    }
    let order = targets(&world.route.group, &choices, &of_conversation(9));
    assert_eq!(world.named(order), ["c", "d", "b", "a"]);
}

#[test]
fn a_conversation_keeps_its_order_and_others_have_others() {
    let world = World::new("{strategy: weighted, affinity: true, targets: [{model: a/m}, {model: b/m}, {model: c/m}]}");
    let mut seen = std::collections::BTreeMap::new();
    for key in 0..3_000 {
        let ask = of_conversation(key);
        let order = world.order(&ask);
        assert_eq!(order, world.order(&Ask { chance: !ask.chance, ..ask }), "chance plays no part");
        *seen.entry(order.concat()).or_insert(0.0) += 1.0;
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert!(seen.values().all(|count| is_near(*count, 3_000.0, 1.0 / 6.0)), "{seen:?}");
    // Where its place is out it goes to its second, and comes back.
    let ask = of_conversation(5);
    let before = world.order(&ask).iter().map(ToString::to_string).collect::<Vec<_>>();
    world.breaks(&before[0]);
    assert_eq!(world.order(&ask), [&before[1], &before[2], &before[0]]);
    assert_eq!(world.order(&Ask { among_targets: false, ..ask }).len(), 3);
}

#[test]
fn endpoints_of_one_target_share_by_weight_and_keep_conversations() {
    let world = World::new("{strategy: fallback, targets: [{model: a/m}, {model: b/m}, {model: c/m}]}");
    let all: Vec<Seat> = world.choices().into_iter().flat_map(|choice| choice.seats).collect();
    let mut pool = Choice { id: 0, seats: all, cost: None };
    for (seat, weight) in pool.seats.iter_mut().zip([5, 4, 1]) {
        seat.weight = weight;
    }
    let mut counts = [0.0; 3];
    chances(10_000).for_each(|chance| counts[seats(&pool, &by_chance(chance))[0]] += 1.0);
    assert!(counts.iter().zip([0.5, 0.4, 0.1]).all(|(count, share)| is_near(*count, 10_000.0, share)), "{counts:?}");
    let ask = of_conversation(77);
    assert!(chances(20).all(|chance| seats(&pool, &Ask { chance, ..ask }) == seats(&pool, &ask)));
    let own = seats(&pool, &ask)[0];
    pool.seats[own].standing = Standing::Broken { until_ms: NOW_MS + 1 };
    assert_eq!(seats(&pool, &ask)[2], own);
    pool.seats.truncate(1);
    assert_eq!(seats(&pool, &ask), [0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However groups are put together and whoever is out: every target is in the list, once.
    #[test]
    fn nobody_is_lost_or_asked_twice(chance in any::<u64>(), key in prop::option::of(any::<u64>()), broken in 0..32_u8, among in any::<bool>()) {
        let strategies = ["fallback", "weighted", "latency", "least_busy", "cost"];
        for (outer, inner) in strategies.iter().zip(strategies.iter().cycle().skip(broken.into())) {
            let world = World::new(&format!("{{strategy: {outer}, targets: [{{model: a/m}}, {{strategy: {inner}, weight: 2, targets: [{{model: b/m}}, {{model: c/m, weight: 5}}]}}, {{model: d/m}}, {{model: e/m}}]}}"));
            for (bit, name) in ["a", "b", "c", "d", "e"].iter().enumerate() {
                if broken >> bit & 1 == 1 {
                    world.breaks(name);
                }
            }
            let mut order = world.order(&Ask { now_ms: NOW_MS, chance, affinity: key, among_targets: among });
            let out: Vec<bool> = order.iter().map(|name| world.vital(name).standing(0, NOW_MS).is_out()).collect();
            prop_assert!(out.is_sorted(), "{order:?}: {out:?}");
            order.sort_unstable();
            prop_assert_eq!(order, ["a", "b", "c", "d", "e"]);
        }
    }
}
