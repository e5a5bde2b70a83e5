//! Endpoints that fail, for a while or all together.

use crate::fleet::{Breakers, Choosing, Fleet, Manner, START_MS, Server, every_second};

const FAILS_MS: std::ops::Range<u64> = 60_000..120_000;
const END_MS: u64 = 240_000;

/// One of four fails for a minute; `route` is what stands in the route beside its targets.
fn one_of_four(route: &str) -> Fleet {
    let failing = Server::new(|at_ms| Manner { latency_ms: 100, fails: FAILS_MS.contains(&at_ms) });
    let steady = || Server::steady(100);
    Fleet::new(route, &[], vec![failing, steady(), steady(), steady()])
}

/// The share of requests that fail while one of four does; no attempt is made twice, so that all is the
/// breaker's work.
fn failed_share(fleet: &mut Fleet) -> f64 {
    fleet.play(every_second(50, 0, END_MS));
    let during = fleet.tally.failed.iter().filter(|at| FAILS_MS.contains(at)).count();
    assert_eq!(during, fleet.tally.failed.len(), "nobody fails before or after");
    during as f64 / 3_000.0
}

#[test]
fn a_breaker_keeps_requests_from_what_fails_and_finds_it_again() {
    for strategy in ["weighted", "latency", "least_busy"] {
        let mut fleet = one_of_four(&format!("strategy: {strategy}, retries: 0"));
        let share = failed_share(&mut fleet);
        // Whom chance sends there before five failures in a row are known, and those who find out.
        assert!(share < 0.01, "{strategy}: {share}");
        let first = fleet.servers[0].asked.iter().filter(|at| **at >= START_MS + FAILS_MS.end).min().unwrap();
        let back_ms = first - START_MS - FAILS_MS.end;
        // Within one time that it stays open, which is 40 seconds by then.
        assert!(back_ms <= 40_000 + 1_000, "{strategy}: found after {back_ms} ms");
        let after = fleet.servers[0].asked_within(END_MS - 30_000, END_MS) as f64;
        assert!((0.15..0.35).contains(&(after / 1_500.0)), "{strategy}: its share of four is {after} of 1,500");
    }
    let mut control =
        one_of_four("strategy: weighted, retries: 0").choosing(Choosing::RoundRobin).breakers(Breakers::Off);
    let share = failed_share(&mut control);
    assert!(share > 0.2, "without it a quarter fails: {share}");
}

/// With retries nobody sees anything of it.
#[test]
fn a_failing_endpoint_is_not_seen_where_there_are_fallbacks() {
    let mut fleet = one_of_four("strategy: weighted");
    fleet.play(every_second(50, 0, END_MS));
    assert!(fleet.tally.failed.is_empty(), "{:?}", fleet.tally.failed);
    assert!(fleet.tally.touched > 4, "though {} met a failure on their way", fleet.tally.touched);
}

/// Everything fails for two minutes.
fn amplification(breakers: Breakers, percent: u32) -> (f64, f64) {
    let failing = || Server::new(|_| Manner { latency_ms: 20, fails: true });
    let route = "strategy: weighted, retries: 3, resend: true, backoff: 1ms";
    let servers = vec![failing(), failing(), failing()];
    let mut fleet = Fleet::new(route, &[], servers).breakers(breakers).retry_budget(percent);
    fleet.play(every_second(500, 0, 120_000));
    let tally = &fleet.tally;
    (tally.attempts as f64 / tally.requests as f64, tally.failed.len() as f64 / tally.requests as f64)
}

#[test]
fn a_storm_is_not_amplified() {
    let (with_breakers, failed) = amplification(Breakers::On, 10);
    assert!(with_breakers <= 1.1 && failed == 1.0, "{with_breakers}");
    let (without, failed) = amplification(Breakers::Off, 10);
    assert!((1.08..=1.1).contains(&without) && failed == 1.0, "{without}");
    let (control, _) = amplification(Breakers::Off, 100);
    assert!(control > 1.9, "a budget of as many second attempts as first ones: {control}");
}

/// Of three that are asked by weight, the heaviest fails.
#[test]
fn weights_hold_among_those_that_are_left() {
    let failing = Server::new(|at_ms| Manner { latency_ms: 100, fails: at_ms >= 60_000 });
    let servers = vec![failing, Server::steady(100), Server::steady(100)];
    let mut fleet = Fleet::new("strategy: weighted, affinity: false", &[6, 3, 1], servers);
    fleet.play(every_second(50, 0, 180_000));
    let shares = |from_ms: u64, to_ms: u64| {
        let total = ((to_ms - from_ms) / 20) as f64;
        [0, 1, 2].map(|server| fleet.servers[server].asked_within(from_ms, to_ms) as f64 / total)
    };
    let (before, after) = (shares(0, 60_000), shares(80_000, 180_000));
    let is_near = |share: f64, expected: f64| (share - expected).abs() < 0.04;
    assert!(is_near(before[0], 0.6) && is_near(before[1], 0.3) && is_near(before[2], 0.1), "{before:?}");
    assert!(after[0] < 0.01 && is_near(after[1], 0.75) && is_near(after[2], 0.25), "{after:?}");
    assert!(fleet.tally.failed.is_empty());
}

/// One of three gets stuck: it takes requests and answers after half a minute, with an error.
#[test]
fn what_is_stuck_is_not_piled_up_on() {
    let share = |choosing: Choosing| {
        let stuck = Server::new(|at_ms| match at_ms >= 30_000 {
            true => Manner { latency_ms: 30_000, fails: true },
            false => Manner { latency_ms: 100, fails: false },
        });
        let servers = vec![stuck, Server::steady(100), Server::steady(100)];
        let mut fleet = Fleet::new("strategy: least_busy", &[], servers).choosing(choosing);
        fleet.play(every_second(50, 0, 120_000));
        fleet.servers[0].asked_within(30_000, 90_000) as f64 / 3_000.0
    };
    let busy = share(Choosing::Real);
    assert!(busy < 0.01, "{busy}");
    let control = share(Choosing::RoundRobin);
    assert!(control > 0.15, "{control}");
}
