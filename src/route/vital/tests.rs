//! Health, on a clock that is only a number.

use super::*;
use crate::config::env::Table;
use crate::config::load::from_text;
use crate::error::Retry;
use crate::route::board::Board;
use crate::route::quota::Window;

const START_MS: u64 = 1_000_000;

/// Two models at one endpoint.
fn vitals() -> [Arc<Vital>; 2] {
    let text = "providers: {p: {kind: openai-compatible, base_url: \"http://127.0.0.1:9\"}}\ntenants: {t: {keys: [{id: k, secret: \"${KEY}\"}]}}";
    let runtime = from_text(text, "weir.yaml", &Table::of(&[("KEY", "a-key-of-twenty-letters")])).unwrap();
    let board = Board::new(&runtime);
    ["m", "other"].map(|model| board.endpoint("p").unwrap().vital(model))
}

fn vital() -> Arc<Vital> {
    let [vital, _] = vitals();
    vital
}

fn failure(cause: Cause) -> Failure {
    Failure { cause, retry: Retry::NextTarget, unbilled: false, retry_after_ms: None }
}

/// One request from its beginning to its end, a millisecond long.
fn fails(vital: &Arc<Vital>, cause: Cause, now_ms: u64) {
    vital.begin(now_ms).failed(&failure(cause), now_ms + 1);
}

fn asks_for(vital: &Arc<Vital>, cause: Cause, retry_after_ms: u64, now_ms: u64) {
    vital.begin(now_ms).failed(&Failure { retry_after_ms: Some(retry_after_ms), ..failure(cause) }, now_ms);
}

fn answers(vital: &Arc<Vital>, now_ms: u64) {
    vital.begin(now_ms).succeeded(10, now_ms + 1);
}

fn broken(vital: &Arc<Vital>) -> u64 {
    (0..5).for_each(|_| fails(vital, Cause::Failed, START_MS));
    match vital.standing(0, START_MS + 1) {
        Standing::Broken { until_ms } => until_ms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn five_faults_in_a_row_open_it_and_four_do_not() {
    for cause in [Cause::Failed, Cause::Broken, Cause::Timeout, Cause::Overloaded] {
        let vital = vital();
        for round in 0..3 {
            (0..4).for_each(|n| fails(&vital, cause, START_MS + round * 20_000 + n));
            answers(&vital, START_MS + round * 20_000 + 4);
        }
        assert_eq!(vital.standing(0, START_MS + 60_000), Standing::Good, "{cause:?}");
        (0..5).for_each(|n| fails(&vital, cause, START_MS + 100_000 + n));
        assert_eq!(
            vital.standing(0, START_MS + 100_010),
            Standing::Broken { until_ms: START_MS + 105_005 },
            "{cause:?}"
        );
    }
}

#[test]
fn half_of_twenty_faults_open_it_within_ten_seconds_only() {
    let mixed = |every_ms: u64, faults_of_four: u64| {
        let vital = vital();
        for n in 0..40 {
            match n % 4 < faults_of_four {
                true => fails(&vital, Cause::Timeout, START_MS + n * every_ms),
                false => answers(&vital, START_MS + n * every_ms),
            }
            if vital.standing(0, START_MS + n * every_ms + 2).is_out() {
                return Some(n + 1);
            }
        }
        None
    };
    let opened = mixed(100, 2);
    assert!(opened.is_some_and(|asked| (20..=22).contains(&asked)), "{opened:?}");
    assert_eq!(mixed(100, 1), None, "a quarter is not half");
    assert_eq!(mixed(1_000, 2), None, "ten in ten seconds are too few to tell");
}

#[test]
fn what_is_about_the_request_never_counts() {
    let vital = vital();
    let clients = [Cause::Rejected, Cause::ContextTooLong, Cause::ContentRefused, Cause::NotFound];
    let neither = [Cause::ClientGone, Cause::Cancelled, Cause::NoPlace, Cause::Internal];
    for n in 0..200 {
        clients.iter().chain(&neither).for_each(|cause| fails(&vital, *cause, START_MS + n));
    }
    assert_eq!((vital.standing(0, START_MS + 200), vital.report(START_MS).fault_permille), (Standing::Good, 0));
    // And an answer that blames the client shows that the endpoint is there.
    (0..4).for_each(|_| fails(&vital, Cause::Failed, START_MS + 20_000));
    fails(&vital, Cause::Rejected, START_MS + 20_000);
    (0..4).for_each(|_| fails(&vital, Cause::Failed, START_MS + 40_000));
    assert_eq!(vital.standing(0, START_MS + 40_001), Standing::Good);
}

#[test]
fn it_stays_open_for_twice_as_long_each_time_up_to_a_minute() {
    let vital = vital();
    let mut until_ms = broken(&vital);
    for open_ms in [10_000, 20_000, 40_000, 60_000, 60_000] {
        assert_eq!(vital.standing(0, until_ms - 1), Standing::Broken { until_ms });
        assert_eq!(vital.standing(0, until_ms), Standing::Good, "one may find out");
        fails(&vital, Cause::Broken, until_ms);
        assert_eq!(vital.standing(0, until_ms + 1), Standing::Broken { until_ms: until_ms + 1 + open_ms });
        until_ms += 1 + open_ms;
    }
    answers(&vital, until_ms);
    answers(&vital, until_ms);
    (0..5).for_each(|_| fails(&vital, Cause::Failed, until_ms + 20_000));
    assert_eq!(
        vital.standing(0, until_ms + 20_001),
        Standing::Broken { until_ms: until_ms + 25_001 },
        "it begins anew"
    );
}

#[test]
fn many_that_fail_together_open_it_once() {
    let vital = vital();
    let runs: Vec<Run> = (0..100).map(|n| vital.begin(START_MS + n)).collect();
    runs.iter().for_each(|run| run.failed(&failure(Cause::Timeout), START_MS + 60_000));
    assert_eq!(vital.standing(0, START_MS + 60_000), Standing::Broken { until_ms: START_MS + 65_000 });
    let late = vital.begin(START_MS + 60_000);
    late.failed(&failure(Cause::Timeout), START_MS + 66_000);
    drop(late);
    assert_eq!(vital.standing(0, START_MS + 66_000), Standing::Good, "it was sent before it was time to find out");
}

#[test]
fn one_at_a_time_finds_out_and_two_good_answers_close_it() {
    let vital = vital();
    let until_ms = broken(&vital);
    let probe = vital.begin(until_ms);
    assert_eq!(vital.standing(0, until_ms), Standing::Probing);
    probe.succeeded(5, until_ms + 5);
    assert_eq!(vital.standing(0, until_ms + 5), Standing::Good, "its answer is there, however long it goes on");
    let second = vital.begin(until_ms + 6);
    assert_eq!(vital.standing(0, until_ms + 6), Standing::Probing, "one was not enough");
    drop(probe);
    assert_eq!(vital.standing(0, until_ms + 6), Standing::Probing, "the first is no longer who finds out");
    second.succeeded(5, until_ms + 9);
    let third = vital.begin(until_ms + 10);
    assert_eq!(vital.standing(0, until_ms + 10), Standing::Good, "closed");
    drop((second, third));
    (0..4).for_each(|_| fails(&vital, Cause::Failed, until_ms + 20));
    assert_eq!(vital.standing(0, until_ms + 22), Standing::Good, "and five are needed again");
}

#[test]
fn who_finds_out_and_leaves_makes_room_for_the_next() {
    let vital = vital();
    let until_ms = broken(&vital);
    let probe = vital.begin(until_ms);
    assert_eq!(vital.standing(0, until_ms), Standing::Probing);
    drop(probe);
    assert_eq!((vital.standing(0, until_ms), vital.in_flight()), (Standing::Good, 0));
}

#[test]
fn it_cools_as_long_as_it_asks_for() {
    let vital = vital();
    asks_for(&vital, Cause::RateLimited, 7_000, START_MS);
    assert_eq!(vital.standing(0, START_MS + 6_999), Standing::Cooling { until_ms: START_MS + 7_000 });
    assert_eq!(vital.standing(0, START_MS + 7_000), Standing::Good);
    asks_for(&vital, Cause::RateLimited, 1_000, START_MS);
    assert_eq!(
        vital.standing(0, START_MS + 6_999).until_ms(),
        Some(START_MS + 7_000),
        "no shorter than it said before"
    );
    asks_for(&vital, Cause::RateLimited, u64::MAX, START_MS + 10_000);
    assert_eq!(vital.standing(0, START_MS + 10_000).until_ms(), Some(START_MS + 3_610_000), "an hour is the most");
}

#[test]
fn who_asks_it_all_the_same_does_not_hide_that_it_cools() {
    let vital = vital();
    asks_for(&vital, Cause::RateLimited, 9_000, START_MS);
    let probe = vital.begin(START_MS + 1);
    assert_eq!(vital.standing(0, START_MS + 1), Standing::Probing);
    assert_eq!(vital.cools_until_ms(START_MS + 1), Some(START_MS + 9_000));
    drop(probe);
    assert_eq!(vital.cools_until_ms(START_MS + 9_000), None);
}

#[test]
fn an_overload_that_asks_for_peace_has_it_for_a_minute_at_most() {
    let [asking, quiet] = [vital(), vital()];
    asks_for(&asking, Cause::Overloaded, 3_000_000, START_MS);
    assert_eq!(asking.standing(0, START_MS), Standing::Cooling { until_ms: START_MS + 60_000 });
    fails(&quiet, Cause::Overloaded, START_MS);
    assert_eq!(quiet.standing(0, START_MS + 1), Standing::Good, "one without a word is only a fault");
}

#[test]
fn without_a_word_it_cools_twice_as_long_each_time() {
    let vital = vital();
    let mut now_ms = START_MS;
    for cool_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        fails(&vital, Cause::RateLimited, now_ms);
        assert_eq!(vital.standing(0, now_ms + 1), Standing::Cooling { until_ms: now_ms + 1 + cool_ms });
        now_ms += 1 + cool_ms;
    }
    answers(&vital, now_ms);
    fails(&vital, Cause::RateLimited, now_ms + 1);
    assert_eq!(vital.standing(0, now_ms + 2).until_ms(), Some(now_ms + 1_002), "a good answer ends that");
}

#[test]
fn many_that_are_limited_together_cool_it_once() {
    let vital = vital();
    let runs: Vec<Run> = (0..50).map(|_| vital.begin(START_MS)).collect();
    runs.iter().for_each(|run| run.failed(&failure(Cause::RateLimited), START_MS + 10));
    drop(runs);
    assert_eq!(vital.standing(0, START_MS + 10), Standing::Cooling { until_ms: START_MS + 1_010 });
}

#[test]
fn an_account_without_money_rests_for_minutes() {
    let vital = vital();
    fails(&vital, Cause::Quota, START_MS);
    assert_eq!(vital.standing(0, START_MS + 1), Standing::Cooling { until_ms: START_MS + 300_001 });
    assert_eq!(vital.report(START_MS + 1).fault_permille, 0, "that is no fault");
}

/// So much of a hundred is left, until `resets_at_ms`.
fn left(remaining: u64, resets_at_ms: u64) -> Window {
    Window { limit: Some(100), remaining, resets_at_ms }
}

#[test]
fn what_the_headers_say_is_believed_until_it_resets() {
    let (vital, resets_at_ms) = (vital(), START_MS + 9_000);
    let learn = |requests: Option<Window>, tokens: Option<Window>| {
        vital.begin(START_MS).learned(Learned { requests, tokens });
    };
    learn(Some(left(5, resets_at_ms)), None);
    assert_eq!(vital.standing(0, START_MS), Standing::Good);
    learn(Some(left(4, resets_at_ms)), None);
    assert_eq!(vital.standing(0, START_MS), Standing::Low);
    learn(Some(left(0, resets_at_ms)), None);
    assert_eq!(vital.standing(0, START_MS), Standing::Cooling { until_ms: resets_at_ms });
    vital.begin(resets_at_ms).learned(Learned::default());
    assert_eq!(vital.standing(0, START_MS).until_ms(), Some(resets_at_ms), "an answer without a word changes nothing");
    assert_eq!(vital.standing(0, resets_at_ms), Standing::Good);
    learn(None, Some(left(50, resets_at_ms)));
    assert_eq!((vital.standing(50, START_MS), vital.standing(51, START_MS)), (Standing::Good, Standing::Low));
}

#[test]
fn a_refused_credential_takes_out_every_model_there_until_it_is_taken_again() {
    let [vital, other] = vitals();
    fails(&vital, Cause::Auth, START_MS);
    for model in [&vital, &other] {
        assert_eq!(model.standing(0, START_MS + 1), Standing::Locked { until_ms: START_MS + 60_001 });
    }
    answers(&other, START_MS + 10);
    assert!(vital.standing(0, START_MS + 12).is_out(), "with a credential of the client's own, it may be");
    other.begin(START_MS + 10).credential_taken();
    assert_eq!((vital.standing(0, START_MS + 12), other.standing(0, START_MS + 12)), (Standing::Good, Standing::Good));
}

#[test]
fn the_share_of_faults_is_that_of_the_last_seconds() {
    let vital = vital();
    (0..3).for_each(|_| fails(&vital, Cause::Failed, START_MS));
    answers(&vital, START_MS);
    assert_eq!(vital.report(START_MS + 9_000).fault_permille, 750);
    assert_eq!(vital.report(START_MS + 11_000).fault_permille, 0, "though nobody asked since");
}

#[test]
fn a_broken_model_says_nothing_of_the_others_there() {
    let [vital, other] = vitals();
    let until_ms = broken(&vital);
    assert_eq!(other.standing(0, until_ms - 1), Standing::Good);
}

#[test]
fn load_is_time_times_those_in_line() {
    let vital = vital();
    assert_eq!(vital.load(START_MS), None);
    vital.begin(START_MS).succeeded(100, START_MS);
    assert_eq!(vital.load(START_MS), Some(100));
    let two = [vital.begin(START_MS), vital.begin(START_MS)];
    assert_eq!((vital.load(START_MS), vital.in_flight(), vital.endpoint.in_flight()), (Some(300), 2, 2));
    drop(two);
    assert_eq!((vital.load(START_MS), vital.endpoint.in_flight()), (Some(100), 0));
}
