//! What is known of endpoints, and what of it outlives a reload.

use super::*;
use crate::config::env::Table;
use crate::config::load::from_text;
use crate::error::Retry;
use crate::route::cause::{Cause, Failure};

const START_MS: u64 = 500_000;

fn runtime(providers: &str) -> Runtime {
    let text = format!("providers:\n{providers}\ntenants: {{t: {{keys: [{{id: k, secret: \"${{KEY}}\"}}]}}}}\n");
    from_text(&text, "weir.yaml", &Table::of(&[("KEY", "a-key-of-twenty-letters")])).unwrap()
}

const POOL: &str = "  p: {kind: openai-compatible, base_url: \"http://127.0.0.1:9\", endpoints: [{id: one}, {id: two, base_url: \"http://127.0.0.1:8\"}]}";

fn refused(board: &Board, id: &str, now_ms: u64) {
    let failure = Failure { cause: Cause::Auth, retry: Retry::NextTarget, unbilled: true, retry_after_ms: None };
    board.endpoint(id).unwrap().vital("m").begin(now_ms).failed(&failure, now_ms);
}

fn standing(board: &Board, id: &str, now_ms: u64) -> Standing {
    board.endpoint(id).unwrap().vital("m").standing(0, now_ms)
}

#[test]
fn a_refused_credential_takes_out_one_endpoint_and_no_other() {
    let board = Board::new(&runtime(POOL));
    refused(&board, "p#one", START_MS);
    assert_eq!(standing(&board, "p#one", START_MS), Standing::Locked { until_ms: START_MS + 60_000 });
    assert_eq!(standing(&board, "p#two", START_MS), Standing::Good);
    assert!(!board.endpoint("p#one").unwrap().is_well(START_MS) && board.endpoint("p#two").unwrap().is_well(START_MS));
}

#[test]
fn it_is_looked_at_again_after_twice_as_long_each_time() {
    let board = Board::new(&runtime(POOL));
    let mut now_ms = START_MS;
    for locked_ms in [60_000, 120_000, 240_000, 480_000, 600_000, 600_000] {
        refused(&board, "p#one", now_ms);
        // Others that were under way with the same credential.
        (0..5).for_each(|_| refused(&board, "p#one", now_ms));
        assert_eq!(standing(&board, "p#one", now_ms).until_ms(), Some(now_ms + locked_ms));
        now_ms += locked_ms;
        assert_eq!(standing(&board, "p#one", now_ms), Standing::Good);
    }
    board.endpoint("p#one").unwrap().vital("m").begin(now_ms).credential_taken();
    refused(&board, "p#one", now_ms);
    assert_eq!(standing(&board, "p#one", now_ms).until_ms(), Some(now_ms + 60_000), "it begins anew");
}

#[test]
fn by_hand_and_by_check_it_goes_and_comes_back() {
    let board = Board::new(&runtime(POOL));
    let endpoint = board.endpoint("p#two").unwrap();
    endpoint.drain(true);
    assert_eq!((standing(&board, "p#two", 0), endpoint.is_drained()), (Standing::Drained, true));
    endpoint.drain(false);
    assert!(!endpoint.checked(true), "no news");
    assert!(endpoint.checked(false) && !endpoint.checked(false));
    assert_eq!(standing(&board, "p#two", 0), Standing::Unwell);
    assert!(endpoint.checked(true));
    assert_eq!(standing(&board, "p#two", 0), Standing::Good);
    endpoint.set_full(true);
    assert_eq!((standing(&board, "p#two", 0), Standing::Full.is_out()), (Standing::Full, false));
}

#[test]
fn a_reload_keeps_what_is_known_of_what_is_still_there() {
    let old = Board::new(&runtime(POOL));
    let failure = Failure { cause: Cause::Failed, retry: Retry::NextTarget, unbilled: true, retry_after_ms: None };
    old.endpoint("p#one").unwrap().vital("m").begin(START_MS).failed(&failure, START_MS);
    refused(&old, "p#one", START_MS);
    let run = old.endpoint("p#two").unwrap().vital("m").begin(START_MS);
    let smaller =
        "  p: {kind: openai-compatible, base_url: \"http://127.0.0.1:9\", endpoints: [{id: one}, {id: three}]}";
    let new = Board::bind(&runtime(smaller), Some(&old));
    let one = || new.endpoint("p#one").unwrap().vital("m");
    assert_eq!(one().report(START_MS).fault_permille, 1_000, "what is known of its model");
    assert_eq!(standing(&new, "p#one", START_MS), Standing::Good, "the credential may be another now");
    let probe = one().begin(START_MS);
    assert_eq!(standing(&new, "p#one", START_MS), Standing::Probing, "one request finds out");
    drop(probe);
    refused(&new, "p#one", START_MS);
    assert_eq!(standing(&new, "p#one", START_MS), Standing::Locked { until_ms: START_MS + 120_000 }, "it is not");
    assert_eq!(standing(&new, "p#three", START_MS), Standing::Good);
    assert!(new.endpoint("p#two").is_none());
    drop(run);
    let back = Board::bind(&runtime(POOL), Some(&new));
    assert_eq!((standing(&back, "p#two", START_MS), back.endpoint("p#two").unwrap().in_flight()), (Standing::Good, 0));
}

#[test]
fn models_are_watched_apart_up_to_a_number() {
    let board = Board::new(&runtime(POOL));
    let endpoint = board.endpoint("p#one").unwrap();
    // Names that clients make up, none of them ever answered: what is full of them forgets them.
    let real = endpoint.vital("real");
    real.begin(0).succeeded(10, 0);
    (0..1_000).for_each(|n| _ = endpoint.vital(&format!("made-up-{n}")));
    assert!(endpoint.reports(0).len() <= MOST_MODELS);
    assert!(Arc::ptr_eq(&real, &endpoint.vital("real")), "and not what has answered");
    // Where all have, those beyond share a place.
    (0..1_000).for_each(|n| endpoint.vital(&format!("model-{n}")).begin(0).succeeded(10, 0));
    let reports = endpoint.reports(0);
    assert_eq!((reports.len(), reports.iter().filter(|(name, _)| name.is_empty()).count()), (MOST_MODELS + 1, 1));
    assert!(Arc::ptr_eq(&endpoint.vital("model-999"), &endpoint.vital("what nobody has")));
    assert!(Arc::ptr_eq(&endpoint.vital("model-7"), &endpoint.vital("model-7")));
    assert!(!Arc::ptr_eq(&endpoint.vital("model-7"), &endpoint.vital("model-8")));
}

#[test]
fn a_route_knows_when_it_is_late_once_it_has_seen_enough() {
    let times = RouteTimes::default();
    assert_eq!(times.late_ms(), None);
    (1..=100).for_each(|ms| times.add(ms * 10));
    assert!(times.late_ms().is_some_and(|ms| (950..=1_200).contains(&ms)), "{:?}", times.late_ms());
}
