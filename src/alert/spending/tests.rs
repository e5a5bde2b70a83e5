use std::time::Duration;

use proptest::prelude::*;

use super::*;

const HOUR_MS: u64 = 3_600_000;
const USD: u64 = 1_000_000_000_000;
/// The beginning of an hour.
const START_MS: u64 = 1_790_000 * 1_000_000 / HOUR_MS * HOUR_MS;

fn spending() -> Spending {
    let mut spending = Spending::default();
    spending.bind(Some(SpendSpikes::default()));
    spending
}

fn at(hour: u64, minute: u64) -> u64 {
    START_MS + hour * HOUR_MS + minute * 60_000
}

/// The tenant spends that much in each of these hours, in ten pieces; nobody minds.
fn usual(spending: &mut Spending, hours: std::ops::Range<u64>, pico: u64) {
    for hour in hours {
        for tenth in 0..10 {
            let spike = spending.spend(Spender::Tenant, "acme", at(hour, tenth * 6), pico / 10);
            assert_eq!(spike, None, "hour {hour}");
        }
    }
}

#[test]
fn three_times_the_usual_is_a_spike_and_no_sooner() {
    let mut spending = spending();
    usual(&mut spending, 0..48, 2 * USD);
    // Nothing for two hours, and then much.
    let spend = |s: &mut Spending, minute, pico| s.spend(Spender::Tenant, "acme", at(50, minute), pico);
    assert_eq!(spend(&mut spending, 1, 6 * USD), None, "exactly three times");
    let spike = spend(&mut spending, 2, 1).unwrap();
    assert_eq!(spike, Spike { spent: 6 * USD + 1, usual: 2 * USD, highest: 2 * USD });
}

#[test]
fn a_spike_over_the_edge_of_an_hour_is_seen_whole() {
    let mut spending = spending();
    usual(&mut spending, 0..48, 2 * USD);
    assert_eq!(spending.spend(Spender::Tenant, "acme", at(50, 50), 5 * USD), None);
    assert!(spending.spend(Spender::Tenant, "acme", at(51, 10), 2 * USD).is_some());
    assert_eq!(spending.spend(Spender::Tenant, "acme", at(51, 59), USD), None, "an hour on, it is over");
}

#[test]
fn whoever_is_new_is_not_judged() {
    let mut spending = spending();
    usual(&mut spending, 0..10, 2 * USD);
    assert_eq!(spending.spend(Spender::Tenant, "acme", at(12, 0), 1_000 * USD), None);
    assert_eq!(spending.spend(Spender::Key, "acme", at(300, 0), 1_000 * USD), None, "another one of that name");
}

#[test]
fn what_comes_every_night_is_no_news() {
    let mut spending = spending();
    let mut told = 0;
    for night in 0..7 {
        usual(&mut spending, night * 24..night * 24 + 20, USD / 100);
        // From the second night on the first is known.
        told += u32::from(spending.spend(Spender::Tenant, "acme", at(night * 24 + 22, 0), 10 * USD).is_some());
    }
    assert_eq!(told, 0);
    assert!(spending.spend(Spender::Tenant, "acme", at(7 * 24 + 22, 0), 11 * USD).is_some());
}

#[test]
fn small_change_is_nobodys_worry() {
    let mut spending = spending();
    usual(&mut spending, 0..48, USD / 1_000);
    assert_eq!(spending.spend(Spender::Tenant, "acme", at(50, 0), USD - 1), None);
    assert!(spending.spend(Spender::Tenant, "acme", at(50, 0), 1).is_some());
}

#[test]
fn what_the_ledger_remembers_counts() {
    let mut spending = spending();
    for hour in 0..48 {
        spending.remember(Spender::Key, "k", at(hour, 0), USD);
    }
    assert!(spending.spend(Spender::Key, "k", at(48, 30), 4 * USD).is_some());
    // Told late, and in the wrong order.
    let mut late = Spending::default();
    late.bind(Some(SpendSpikes::default()));
    late.spend(Spender::Key, "k", at(47, 0), USD);
    for hour in (0..48).rev() {
        late.remember(Spender::Key, "k", at(hour, 0), USD);
    }
    let spike = late.spend(Spender::Key, "k", at(49, 0), 7 * USD).unwrap();
    assert_eq!((spike.highest, spike.usual), (2 * USD, 49 * USD / 48));
}

#[test]
fn history_is_forgotten_when_it_is_old_or_counted_otherwise() {
    let mut spending = spending();
    usual(&mut spending, 0..24, 9 * USD);
    usual(&mut spending, 24 + 168..24 + 168 + 24, USD);
    let spike = spending.spend(Spender::Tenant, "acme", at(24 + 168 + 26, 0), 5 * USD).unwrap();
    assert_eq!(spike.highest, USD, "a week is over");
    let other = SpendSpikes { window: Duration::from_secs(60), ..SpendSpikes::default() };
    spending.bind(Some(other));
    assert_eq!(spending.spend(Spender::Tenant, "acme", at(24 + 168 + 26, 1), 50 * USD), None);
    spending.bind(None);
    assert!(!spending.is_watching());
    assert_eq!(spending.spend(Spender::Tenant, "acme", at(500, 0), 50 * USD), None);
}

#[test]
fn tags_that_clients_invent_do_not_grow_and_push_nobody_out() {
    let mut spending = spending();
    usual(&mut spending, 0..48, USD);
    for hour in 0..48 {
        spending.spend(Spender::Tag, "team=red", at(hour, 0), USD);
    }
    for n in 0..10_000_u64 {
        spending.spend(Spender::Tag, &format!("tag-{n}"), at(48 + n / 5_000, 0), 1);
    }
    assert!(spending.tags.len() <= MOST_TAGS);
    assert!(spending.tags.contains_key("tag-9999"));
    assert!(spending.spend(Spender::Tag, "team=red", at(50, 0), 4 * USD).is_some(), "what it has spent is known");
    // A week later its history is no better than anybody's.
    for n in 0..5_000_u64 {
        spending.spend(Spender::Tag, &format!("new-{n}"), at(48 + 168 + 24, 0), 1);
    }
    assert!(!spending.tags.contains_key("team=red"));
    assert!(spending.spend(Spender::Tenant, "acme", at(60, 0), 4 * USD).is_some());
}

proptest! {
    /// Whatever is spent and however the clock jumps: nothing is lost within the present, memory has a
    /// bound, and nobody panics.
    #[test]
    fn courses_keep_to_their_bounds(steps in prop::collection::vec((0_u64..400 * HOUR_MS, 0_u64..u64::MAX / 2), 1..200)) {
        let rules = SpendSpikes::default();
        let mut course = Course::default();
        for (offset_ms, pico) in steps {
            course.add(&rules, START_MS + offset_ms, pico);
            course.judge(&rules, START_MS + offset_ms);
            prop_assert!(course.windows.len() <= 169 && course.pieces.len() <= 4);
        }
    }
}
