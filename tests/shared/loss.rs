//! What replicas do without the store, and when it is back. Every request in here is held to
//! [`crate::replica::BOUND`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use weir::config::runtime::OnStoreLoss;
use weir::limit::shared::{Counter, Kind, Refused};

use crate::replica::{Replica, run};
use crate::server::{Between, Server, on_each};
use crate::support::wait::until;

/// That the store is gone has to be known so soon, and that it is back. A busy machine adds as much again.
const ALARM: Duration = Duration::from_secs(1);
const RECOVERY: Duration = Duration::from_secs(2);

const WINDOW: Kind = Kind::Window { limit: 40, length_ms: 60_000 };
const TOTAL: Kind = Kind::Total { limit: 50, ends_at_ms: None };
const PLACES: Kind = Kind::Concurrency { limit: 6 };

/// Counters of one kind, one for each policy.
struct Policies {
    last: Arc<Counter>,
    open: Arc<Counter>,
    closed: Arc<Counter>,
}

fn policies(replica: &Replica, id: &str, kind: Kind) -> Policies {
    let of = |name: &str, on_loss| replica.counter(&format!("{id}:{name}"), kind, on_loss);
    Policies {
        last: of("last", OnStoreLoss::LastLease),
        open: of("open", OnStoreLoss::Open),
        closed: of("closed", OnStoreLoss::Closed),
    }
}

/// How many of `count` requests, one after the other, are admitted; what is admitted goes on.
fn admitted(replica: &Replica, counter: &Arc<Counter>, count: usize) -> usize {
    run(async {
        let mut held = Vec::new();
        for _ in 0..count {
            held.extend(replica.take(&[counter]).await);
        }
        held.len()
    })
}

/// Asks until the loss is known, as requests do, and says how long that took.
fn notices(replica: &Replica) {
    let began = Instant::now();
    replica.down();
    assert!(began.elapsed() < ALARM * 2, "noticed after {:?}", began.elapsed());
}

fn recovers(replica: &Replica) {
    let began = Instant::now();
    replica.up();
    assert!(began.elapsed() < RECOVERY * 2, "back after {:?}", began.elapsed());
}

/// The policies as they are written down, at one of two replicas whose store is gone.
fn keeps_to_policy(replica: &Replica) {
    let windows = policies(replica, "loss:window", WINDOW);
    assert_eq!(admitted(replica, &windows.last, 60), 20, "half of the limit, for there are two replicas");
    assert_eq!(admitted(replica, &windows.open, 60), 60);
    assert_eq!(admitted(replica, &windows.closed, 60), 0);
    let refused = run(replica.take(&[&windows.last])).unwrap_err();
    assert!(matches!(refused, Refused::Full { need: 0, wait_ms: Some(1..=61_000) }), "{refused:?}");
    let refused = run(replica.take(&[&windows.closed])).unwrap_err();
    assert!(matches!(refused, Refused::Closed { need: 0, wait_ms: 1_000 }), "{refused:?}");

    let totals = policies(replica, "loss:total", TOTAL);
    assert_eq!(admitted(replica, &totals.last, 60), 0, "nothing is leased");
    assert_eq!(admitted(replica, &totals.open, 60), 60);
    assert_eq!(admitted(replica, &totals.closed, 60), 0);
    let refused = run(replica.take(&[&totals.last])).unwrap_err();
    assert!(matches!(refused, Refused::Closed { need: 0, .. }), "{refused:?}");

    let places = policies(replica, "loss:places", PLACES);
    let most = |counter| {
        run(async {
            let mut held = Vec::new();
            for _ in 0..10 {
                held.extend(replica.take(&[counter]).await);
            }
            held.len()
        })
    };
    assert_eq!((most(&places.last), most(&places.open), most(&places.closed)), (3, 10, 0));
    // One that is refused by one of its counters has taken nothing of the others.
    let refused = run(replica.take(&[&places.last, &totals.closed])).unwrap_err();
    assert!(matches!(refused, Refused::Closed { need: 1, .. }), "{refused:?}");
    assert_eq!(most(&places.last), 3);
}

/// A store that fails in some way, and comes back.
fn fails(break_it: impl Fn(&mut Server), mend: impl Fn(&mut Server), keeps_data: bool) {
    on_each(|server| {
        let fleet = Replica::fleet(&server.url(), 2);
        let spent = fleet[0].counter("spent", TOTAL, OnStoreLoss::LastLease);
        assert_eq!(admitted(&fleet[0], &spent, 30), 30);
        break_it(server);
        fleet.iter().for_each(notices);
        keeps_to_policy(&fleet[0]);
        mend(server);
        fleet.iter().for_each(recovers);
        // What was let through meanwhile is charged, and what was spent before is not forgotten.
        let open = fleet[1].counter("loss:total:open", TOTAL, OnStoreLoss::Open);
        until("what was used meanwhile to be charged", || (admitted(&fleet[1], &open, 1) == 0).then_some(()));
        let spent = fleet[1].counter("spent", TOTAL, OnStoreLoss::LastLease);
        if keeps_data {
            assert_eq!(admitted(&fleet[1], &spent, 60), 20);
        } else {
            until("what was spent to be told again", || {
                let mut connection = server.connection();
                let used: Option<u64> = redis::cmd("HGET").arg("weir:spent").arg("u").query(&mut connection).unwrap();
                (used == Some(30)).then_some(())
            });
            assert_eq!(admitted(&fleet[1], &spent, 60), 20);
        }
        assert!(fleet[0].told.closed.load(Ordering::Relaxed) > 0 && fleet[0].told.without.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_store_that_is_killed_and_comes_back_with_nothing() {
    fails(Server::kill, Server::start_again, false);
}

#[test]
fn a_store_that_is_killed_and_comes_back_with_its_data() {
    let save_and_kill = |server: &mut Server| {
        server.command(&["SAVE"]);
        server.kill();
    };
    fails(save_and_kill, Server::start_again, true);
}

#[test]
fn a_store_that_stands_still() {
    fails(|server| server.signal("STOP"), |server| server.signal("CONT"), true);
}

#[test]
fn a_store_that_takes_no_writes() {
    let follow = |server: &mut Server| server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    fails(follow, |server| server.command(&["REPLICAOF", "NO", "ONE"]), true);
}

#[test]
fn a_store_that_has_no_memory_left() {
    let full = |server: &mut Server| server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    fails(full, |server| server.command(&["CONFIG", "SET", "maxmemory", "0"]), true);
}

#[test]
fn a_store_that_takes_two_seconds() {
    on_each(|server| {
        let between = Between::new(server.address());
        let fleet = Replica::fleet(&between.url(), 2);
        between.delay(Duration::from_secs(2));
        fleet.iter().for_each(notices);
        keeps_to_policy(&fleet[0]);
        between.delay(Duration::ZERO);
        fleet.iter().for_each(recovers);
    });
}

#[test]
fn a_reply_that_is_lost_costs_nobody_anything() {
    on_each(|server| {
        let between = Between::new(server.address());
        let fleet = [Replica::new(&between.url()), Replica::new(&server.url())];
        fleet.iter().for_each(Replica::up);
        for round in 0..4 {
            let id = format!("lost:{round}");
            let counter = fleet[0].counter(&id, TOTAL, OnStoreLoss::LastLease);
            assert_eq!(admitted(&fleet[0], &counter, 5), 5);
            // The store grants it, and the replica never hears of it, once what it may have leased ahead is spent.
            between.delay(Duration::from_millis(700));
            let ahead = admitted(&fleet[0], &counter, 10);
            assert!(ahead < 10, "the store is not needed");
            fleet[0].down();
            between.delay(Duration::ZERO);
            fleet[0].up();
            let other = fleet[1].counter(&id, TOTAL, OnStoreLoss::LastLease);
            until("what was granted to nobody to come back", || {
                let mut connection = server.connection();
                let used: u64 = redis::cmd("HGET").arg(format!("weir:{id}")).arg("u").query(&mut connection).unwrap();
                (used == 5 + ahead as u64).then_some(())
            });
            assert_eq!(admitted(&fleet[1], &other, 60), 45 - ahead);
        }
    });
}

#[test]
fn a_store_that_forgot_the_script_is_told_again_and_nobody_notices() {
    on_each(|server| {
        let replica = Replica::new(&server.url());
        replica.up();
        let counter = replica.counter("script", TOTAL, OnStoreLoss::Closed);
        for _ in 0..10 {
            server.command(&["SCRIPT", "FLUSH"]);
            assert_eq!(admitted(&replica, &counter, 2), 2);
        }
        assert!(replica.told.failures.lock().unwrap().is_empty());
    });
}

#[test]
fn a_store_that_is_emptied_is_told_what_was_spent_and_what_is_held() {
    on_each(|server| {
        let fleet = Replica::fleet(&server.url(), 2);
        let spent = [0, 1].map(|n: usize| fleet[n].counter("spent", TOTAL, OnStoreLoss::LastLease));
        let places = [0, 1].map(|n: usize| fleet[n].counter("places", PLACES, OnStoreLoss::LastLease));
        assert_eq!(admitted(&fleet[0], &spent[0], 12) + admitted(&fleet[1], &spent[1], 18), 30);
        let held = run(async { [fleet[0].take(&[&places[0]]).await, fleet[0].take(&[&places[0]]).await] });
        assert!(held.iter().all(Result::is_ok));
        server.command(&["FLUSHALL"]);
        until("everything to be told again", || {
            let mut connection = server.connection();
            let used: Option<u64> = redis::cmd("HGET").arg("weir:spent").arg("u").query(&mut connection).unwrap();
            let places: bool = redis::cmd("EXISTS").arg("weir:places").query(&mut connection).unwrap();
            (used == Some(30) && places).then_some(())
        });
        assert_eq!(admitted(&fleet[1], &spent[1], 60), 20);
        let more = run(async {
            let mut all = Vec::new();
            for _ in 0..10 {
                all.extend(fleet[1].take(&[&places[1]]).await);
            }
            all
        });
        assert_eq!(more.len(), 4);
        assert!(fleet.iter().all(|replica| replica.told.failures.lock().unwrap().is_empty()));
    });
}

#[test]
fn a_total_that_the_store_never_knew_begins_with_what_was_spent() {
    on_each(|server| {
        let replica = Replica::new(&server.url());
        let old = replica.counter("old", TOTAL, OnStoreLoss::LastLease);
        old.know(35);
        let new = replica.counter("new", TOTAL, OnStoreLoss::LastLease);
        assert_eq!((admitted(&replica, &old, 60), admitted(&replica, &new, 60)), (15, 50));
    });
}

#[test]
fn what_is_found_to_have_been_spent_before_is_on_top_of_what_came_since_and_counts_once() {
    on_each(|server| {
        let fleet = Replica::fleet(&server.url(), 2);
        let counters = [0, 1].map(|n: usize| fleet[n].counter("found", TOTAL, OnStoreLoss::LastLease));
        assert_eq!((admitted(&fleet[0], &counters[0], 3), admitted(&fleet[1], &counters[1], 2)), (3, 2));
        counters[0].know(35);
        counters[0].know(35);
        // One has begun it at the store; the other has not, and has nothing to say.
        counters[1].know(35);
        assert_eq!(admitted(&fleet[0], &counters[0], 60) + admitted(&fleet[1], &counters[1], 60), 10);
    });
}

#[test]
fn one_that_is_not_there_at_all_is_lost_from_the_beginning() {
    on_each(|server| {
        let url = server.url();
        server.kill();
        let replica = Replica::new(&url);
        let closed = replica.counter("closed", TOTAL, OnStoreLoss::Closed);
        assert_eq!(admitted(&replica, &closed, 3), 0);
        until("the failure to be told", || (!replica.told.failures.lock().unwrap().is_empty()).then_some(()));
        server.start_again();
        recovers(&replica);
        assert_eq!(admitted(&replica, &closed, 60), 50);
    });
}

#[test]
fn a_password_that_is_not_the_stores_is_a_lost_store() {
    on_each(|server| {
        server.command(&["CONFIG", "SET", "requirepass", "right"]);
        let url = |password: &str| server.url().replace("redis://", &format!("redis://:{password}@"));
        let wrong = Replica::new(&url("wrong"));
        until("the failure to be told", || wrong.told.failures.lock().unwrap().first().copied());
        assert!(!wrong.shared.is_up());
        let right = Replica::new(&url("right"));
        right.up();
    });
}
