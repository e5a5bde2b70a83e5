//! Users and tags: names that clients make up.

use super::budget::Accounts;
use super::clock::Moment;
use super::crowd::{Crowd, MOST_MEMBERS, Members};
use super::earlier::{self, Earlier};
use super::gate::Rules;
use super::*;
use crate::config::budget::{Budget, Per, Period, Unit};
use crate::config::limits::Limits;
use std::sync::Arc;

fn crowd(limits: &Limits, budgets: &[Budget], accounts: &Arc<Accounts>) -> Crowd {
    let others = Scope::User { tenant: "acme".into(), user: String::new() };
    Crowd {
        members: Arc::new(Members::new(others, accounts, &Arc::default())),
        rules: Rules::of(limits),
        budgets: budgets.into(),
    }
}

fn tokens_ever(most: i128) -> Budget {
    Budget::hard(Unit::Tokens, most, Period::plain(Per::Total))
}

/// Whether that user may make one more request of the second.
fn may(crowd: &Crowd, user: &str, now_ms: u64) -> bool {
    let limits = KeyLimits { users: Some(Arc::new(crowd.again())), ..KeyLimits::default() }.complete();
    let ask = Ask { model: "m", target: "p/m", user: Some(user), tags: &[], want: Want::default() };
    limits.admit(&ask, Moment { now_ms, unix_ms: now_ms }).is_ok()
}

impl Crowd {
    fn again(&self) -> Self {
        Self { members: Arc::clone(&self.members), rules: self.rules.clone(), budgets: Arc::clone(&self.budgets) }
    }
}

#[test]
fn users_are_bounded_and_who_was_not_seen_for_longest_makes_room() {
    let accounts = Arc::new(Accounts::default());
    let limits = Limits { requests_per_day: Some(1), ..Limits::default() };
    let crowd = crowd(&limits, &[], &accounts);
    assert!(may(&crowd, "first", 0) && !may(&crowd, "first", 1));
    for nth in 0..MOST_MEMBERS - 1 {
        assert!(may(&crowd, &format!("u{nth}"), 2));
    }
    assert_eq!(crowd.members.count(), MOST_MEMBERS);
    assert!(!may(&crowd, "first", 3), "seen again");
    assert!(may(&crowd, "one more", 4));
    assert!(crowd.members.count() <= MOST_MEMBERS);
    assert!(!may(&crowd, "first", 5), "it was seen, others went");
    assert!(may(&crowd, "u0", 6), "this one was forgotten");
    assert!(!may(&crowd, &format!("u{}", MOST_MEMBERS - 2), 7));
    for nth in 0..3 * MOST_MEMBERS {
        crowd.seat(&format!("invented {nth}"), 8);
        assert!(crowd.members.count() <= MOST_MEMBERS);
    }
}

#[test]
fn where_all_are_busy_whoever_comes_shares_with_all_others() {
    let accounts = Arc::new(Accounts::default());
    let limits = Limits { requests_per_hour: Some(2), ..Limits::default() };
    let crowd = crowd(&limits, &[tokens_ever(1_000)], &accounts);
    let running: Vec<_> = (0..MOST_MEMBERS).map(|nth| crowd.seat(&format!("u{nth}"), 0)).collect();
    assert!(may(&crowd, "late", 0) && may(&crowd, "later", 0));
    assert!(!may(&crowd, "latest", 0), "two requests of all who came too late");
    assert!(may(&crowd, "u7", 0), "who is in has their own");
    assert_eq!(crowd.members.count(), MOST_MEMBERS);
    drop(running);
    // Room is looked for now and again.
    assert!((0..200).any(|nth| may(&crowd, &format!("new {nth}"), 0)));
}

#[test]
fn what_users_spent_is_forgotten_only_with_them_and_known_again_after_a_restart() {
    let accounts = Arc::new(Accounts::default());
    accounts.set_bounded(true);
    let spend = |crowd: &Crowd, user: &str, tokens| {
        let limits = KeyLimits { users: Some(Arc::new(crowd.again())), ..KeyLimits::default() }.complete();
        let want = Want { input_tokens: tokens, ..Want::default() };
        let ask = Ask { model: "m", target: "p/m", user: Some(user), tags: &[], want };
        let at = Moment { now_ms: 0, unix_ms: 5 };
        let mut admission = limits.admit(&ask, at).ok()?;
        Some(admission.settle(&[Used { target: "p/m", input_tokens: tokens, ..Used::default() }], at))
    };
    let first = crowd(&Limits::default(), &[tokens_ever(10)], &accounts);
    assert!(
        spend(&first, "ada", 8).is_some() && spend(&first, "ada", 3).is_none() && spend(&first, "bob", 3).is_some()
    );
    let kept = accounts.changes(6).unwrap();
    let next = Arc::new(Accounts::default());
    next.restore(&kept, |_| true).unwrap();
    let second = crowd(&Limits::default(), &[tokens_ever(10)], &next);
    assert_eq!(second.members.count(), 2);
    assert!(spend(&second, "ada", 3).is_none() && spend(&second, "bob", 7).is_some());
}

#[test]
fn those_known_from_before_do_not_all_leave_for_one_newcomer() {
    let accounts = Arc::new(Accounts::default());
    for nth in 0..MOST_MEMBERS {
        accounts.account(&Scope::User { tenant: "acme".into(), user: format!("u{nth}") });
    }
    let crowd = crowd(&Limits::default(), &[tokens_ever(10)], &accounts);
    assert_eq!(crowd.members.count(), MOST_MEMBERS);
    crowd.seat("one more", 0);
    assert_eq!(crowd.members.count(), MOST_MEMBERS - MOST_MEMBERS / 16 + 1);
}

#[test]
fn a_million_names_leave_no_accounts_behind() {
    let accounts = Arc::new(Accounts::default());
    let crowd = crowd(&Limits::default(), &[tokens_ever(10)], &accounts);
    for nth in 0..5 * MOST_MEMBERS {
        crowd.seat(&format!("invented {nth}"), 0);
    }
    assert!(accounts.wanted(0).len() <= MOST_MEMBERS + 1);
}

#[test]
fn of_a_window_that_was_written_twice_the_first_counts_and_none_is_kept_beyond_its_end() {
    const DAY_MS: u64 = 86_400_000;
    let row = |amount, debt| {
        format!(
            r#"{{"tenant":"acme","key":null,"limit":"requests_per_hour","debt":{debt},"charges":[[{DAY_MS},{amount}]]}}"#
        )
    };
    let text = |rows: &[String]| format!(r#"{{"version":1,"windows":[{}]}}"#, rows.join(","));
    let at = |unix_ms| Moment { now_ms: 7 * DAY_MS + unix_ms, unix_ms };
    let earlier = Earlier::default();
    earlier.read(&text(&[row(9, 3), row(5, 0)]), at(DAY_MS + 5)).unwrap();
    assert_eq!(earlier::write(earlier.rows(at(DAY_MS + 6))), Some(text(&[row(9, 3)])));
    // An hour, and another one for what is owed.
    assert_eq!(earlier.rows(at(DAY_MS + 7_199_999)).len(), 1);
    assert!(earlier.rows(at(3 * DAY_MS)).is_empty());
}

/// A reservation beyond what a window can owe is charged in part: only that part is given back.
#[test]
fn what_a_request_used_stays_charged_however_much_it_asked_for() {
    let accounts = Arc::new(Accounts::default());
    let limits = Limits { tokens_per_minute: Some(100), ..Limits::default() };
    let crowd = crowd(&limits, &[], &accounts);
    let spend = |want: u64, used: u64, now_ms: u64| {
        let limits = KeyLimits { users: Some(Arc::new(crowd.again())), ..KeyLimits::default() }.complete();
        let want = Want { input_tokens: want, ..Want::default() };
        let ask = Ask { model: "m", target: "p/m", user: Some("ada"), tags: &[], want };
        let at = Moment { now_ms, unix_ms: now_ms };
        let mut admission = limits.admit(&ask, at).ok()?;
        admission.settle(&[Used { target: "p/m", input_tokens: used, ..Used::default() }], at);
        Some(())
    };
    assert!(spend(5_000, 13, 0).is_some());
    assert!(spend(5_000, 13, 1).is_none(), "it needs the window unused");
    assert!(spend(88, 1, 2).is_none() && spend(87, 87, 3).is_some(), "13 are used");
    assert!(spend(u64::MAX, 13, 60_003).is_some() && spend(88, 1, 60_004).is_none());
}
