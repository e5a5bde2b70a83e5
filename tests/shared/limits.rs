//! What several replicas admit together.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_less::join_all;
use weir::config::runtime::OnStoreLoss;
use weir::limit::shared::{Counter, Held, Kind, Refused};

use crate::replica::{Replica, run};
use crate::server::on_each;
use crate::support::wait::until;

const LAST: OnStoreLoss = OnStoreLoss::LastLease;
/// Longer than any test takes, so that nothing leaves its window meanwhile.
const HOUR_MS: u64 = 3_600_000;

/// Waiting for many at once, without a crate for it.
mod futures_less {
    use tokio::task::JoinSet;

    pub(super) async fn join_all<T: Send + 'static>(all: Vec<impl Future<Output = T> + Send + 'static>) -> Vec<T> {
        let mut set = JoinSet::new();
        for future in all {
            set.spawn(future);
        }
        set.join_all().await
    }
}

fn window(limit: u64) -> Kind {
    Kind::Window { limit, length_ms: HOUR_MS }
}

fn total(limit: u64) -> Kind {
    Kind::Total { limit, ends_at_ms: None }
}

/// The same counter at every replica.
fn everywhere(fleet: &[Arc<Replica>], id: &str, kind: Kind) -> Vec<Arc<Counter>> {
    fleet.iter().map(|replica| replica.counter(id, kind, LAST)).collect()
}

fn fleet(url: &str, count: usize) -> Vec<Arc<Replica>> {
    Replica::fleet(url, count).into_iter().map(Arc::new).collect()
}

/// `count` requests for a unit, spread over the fleet, all at once. What was admitted is kept.
async fn crowd(fleet: &[Arc<Replica>], counters: &[Arc<Counter>], count: usize) -> (Vec<Held>, Vec<Refused>) {
    let requests = (0..count).map(|n| {
        let replica = Arc::clone(&fleet[n % fleet.len()]);
        let counter = Arc::clone(&counters[n % fleet.len()]);
        async move { replica.take(&[&counter]).await }
    });
    let (mut admitted, mut refused) = (Vec::new(), Vec::new());
    for result in join_all(requests.collect()).await {
        match result {
            Ok(held) => admitted.push(held),
            Err(no) => refused.push(no),
        }
    }
    (admitted, refused)
}

#[test]
fn a_budget_for_fifty_requests_admits_fifty_of_two_hundred_in_each_of_a_hundred_rounds() {
    on_each(|server| {
        for count in [2, 4] {
            server.command(&["FLUSHALL"]);
            let fleet = fleet(&server.url(), count);
            for round in 0..100 {
                let counters = everywhere(&fleet, &format!("budget:{count}:{round}"), total(50));
                let (admitted, refused) = run(crowd(&fleet, &counters, 200));
                assert_eq!((admitted.len(), refused.len()), (50, 150), "round {round} of {count} replicas");
                assert!(refused.iter().all(|no| *no == Refused::Full { need: 0, wait_ms: None }), "{refused:?}");
            }
        }
    });
}

#[test]
fn row_35_n_replicas_share_one_limit() {
    on_each(|server| {
        for count in [2_usize, 4] {
            server.command(&["FLUSHALL"]);
            let fleet = fleet(&server.url(), count);
            let limit = 1_000;
            let counters = everywhere(&fleet, &format!("requests:{count}"), window(limit));
            let mut admitted = 0;
            // Until nobody gets any more: three times what there is.
            for _ in 0..15 {
                admitted += run(crowd(&fleet, &counters, 200)).0.len() as u64;
            }
            assert_eq!(admitted, limit, "{count} replicas");
        }
    });
}

#[test]
fn tokens_are_shared_as_requests_are_and_what_was_not_used_comes_back() {
    on_each(|server| {
        let fleet = fleet(&server.url(), 3);
        let counters = everywhere(&fleet, "tokens", window(100_000));
        let used = Arc::new(AtomicU64::new(0));
        let mut empty = 0;
        let mut sent = 0;
        // Each reserves 700 and uses 300, until nobody gets any.
        while empty < 40 {
            let requests = (0..12_usize).map(|n| {
                let (replica, counter) = (Arc::clone(&fleet[n % 3]), Arc::clone(&counters[n % 3]));
                let used = Arc::clone(&used);
                async move {
                    let Ok(mut held) = replica.take_units(&[(&counter, 700)]).await else { return false };
                    held.settle(&[300]);
                    used.fetch_add(300, Ordering::SeqCst);
                    true
                }
            });
            let results = run(join_all(requests.collect()));
            empty = if results.contains(&true) { 0 } else { empty + 1 };
            sent += results.len();
            assert!(sent < 100_000, "it never ends: {}", used.load(Ordering::SeqCst));
        }
        let used = used.load(Ordering::SeqCst);
        assert!((99_000..=100_000).contains(&used), "{used} of 100000");
    });
}

#[test]
fn places_are_exact_and_come_back() {
    on_each(|server| {
        let fleet = fleet(&server.url(), 4);
        let counters = everywhere(&fleet, "places", Kind::Concurrency { limit: 20 });
        let (now, most, served) =
            (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
        let workers = (0..80_usize).map(|n| {
            let (replica, counter) = (Arc::clone(&fleet[n % 4]), Arc::clone(&counters[n % 4]));
            let (now, most, served) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&served));
            async move {
                while served.load(Ordering::SeqCst) < 3_000 {
                    let Ok(held) = replica.take(&[&counter]).await else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                    now.fetch_sub(1, Ordering::SeqCst);
                    served.fetch_add(1, Ordering::SeqCst);
                    drop(held);
                }
            }
        });
        run(join_all(workers.collect()));
        let most = most.load(Ordering::SeqCst);
        assert!(most <= 20, "{most} at a time");
        // All of it can be had again, by one replica alone.
        until("all places to come back", || {
            let (admitted, _) = run(crowd(&fleet[..1], &counters[..1], 30));
            assert!(admitted.len() <= 20);
            (admitted.len() == 20).then_some(())
        });
    });
}

#[test]
fn a_dead_replicas_places_come_back() {
    on_each(|server| {
        let mut fleet = Replica::fleet(&server.url(), 2);
        let kind = Kind::Concurrency { limit: 4 };
        let dead = fleet[0].counter("places", kind, LAST);
        let held = run(async {
            let first = &fleet[0];
            (
                first.take(&[&dead]).await.unwrap(),
                first.take(&[&dead]).await.unwrap(),
                first.take(&[&dead]).await.unwrap(),
            )
        });
        let alive = fleet[1].counter("places", kind, LAST);
        let kept = run(fleet[1].take(&[&alive])).unwrap();
        assert!(run(fleet[1].take(&[&alive])).is_err());
        fleet[0].die();
        let more = until("the places of the dead", || {
            let mut all = Vec::new();
            while let Ok(held) = run(fleet[1].take(&[&alive])) {
                all.push(held);
            }
            (all.len() == 3).then_some(all)
        });
        drop((held, kept, more));
    });
}

#[test]
fn what_one_has_leased_and_does_not_use_another_gets_at_once() {
    on_each(|server| {
        let fleet = fleet(&server.url(), 2);
        let counters = everywhere(&fleet, "few", total(400));
        // Demand makes the first lease more than it needs.
        run(async {
            let mut taken = 0;
            while taken < 100 {
                for _ in 0..5 {
                    fleet[0].take(&[&counters[0]]).await.unwrap();
                    taken += 1;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        // The other wants all the rest.
        let mut admitted = 0;
        run(async {
            while fleet[1].take(&[&counters[1]]).await.is_ok() {
                admitted += 1;
            }
        });
        assert_eq!(admitted, 300);
    });
}

#[test]
fn a_request_gets_room_in_all_of_its_counters_or_takes_nothing() {
    on_each(|server| {
        let fleet = fleet(&server.url(), 2);
        let wide = everywhere(&fleet, "tenant", window(100));
        let narrow = everywhere(&fleet, "key", window(10));
        run(async {
            let mut admitted = 0;
            for n in 0..60 {
                match fleet[n % 2].take(&[&wide[n % 2], &narrow[n % 2]]).await {
                    Ok(_) => admitted += 1,
                    Err(no) => assert!(matches!(no, Refused::Full { need: 1, wait_ms: Some(1..=3_660_000) }), "{no:?}"),
                }
            }
            assert_eq!(admitted, 10);
        });
        // Fifty refusals took nothing of the wider one.
        let (admitted, _) = run(crowd(&fleet, &wide, 200));
        assert_eq!(admitted.len(), 90);
    });
}

#[test]
fn the_wait_of_a_refusal_is_honest() {
    on_each(|server| {
        let fleet = fleet(&server.url(), 2);
        let counters = everywhere(&fleet, "second", Kind::Window { limit: 20, length_ms: 1_000 });
        let (admitted, refused) = run(crowd(&fleet, &counters, 100));
        assert_eq!(admitted.len(), 20);
        let waits = refused.iter().map(|no| match no {
            Refused::Full { wait_ms: Some(wait_ms), .. } => *wait_ms,
            other => panic!("{other:?}"),
        });
        let longest = waits.max().unwrap();
        assert!(longest <= 1_100, "{longest}");
        run(async { tokio::time::sleep(Duration::from_millis(longest)).await });
        run(fleet[0].take(&[&counters[0]])).unwrap();
    });
}

#[test]
fn what_was_used_beyond_a_reservation_is_charged() {
    on_each(|server| {
        let fleet = fleet(&server.url(), 2);
        let budget = everywhere(&fleet, "usd", total(1_000));
        run(async {
            let mut held = fleet[0].take_units(&[(&budget[0], 100)]).await.unwrap();
            held.settle(&[950]);
            held.settle(&[0]);
        });
        let mut connection = server.connection();
        until("the debt to arrive", || {
            let used: u64 = redis::cmd("HGET").arg("weir:usd").arg("u").query(&mut connection).unwrap();
            (used == 950).then_some(())
        });
        run(async {
            fleet[1].take_units(&[(&budget[1], 51)]).await.unwrap_err();
        });
        run(async {
            fleet[1].take_units(&[(&budget[1], 50)]).await.unwrap();
            fleet[0].take_units(&[(&budget[0], 1)]).await.unwrap_err();
        });
    });
}

#[test]
fn a_request_that_went_away_leaves_what_it_would_have_had_to_others() {
    on_each(|server| {
        let fleet = fleet(&server.url(), 2);
        let counters = everywhere(&fleet, "left", total(50));
        run(async {
            for n in 0..400_usize {
                let (replica, counter) = (Arc::clone(&fleet[n % 2]), Arc::clone(&counters[n % 2]));
                let task =
                    tokio::task::JoinSet::from_iter([
                        async move { replica.take(&[&counter]).await.map(Held::put_back) },
                    ]);
                if n % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                drop(task);
            }
        });
        // Whatever was granted to nobody comes back: all fifty can be had.
        let mut all = Vec::new();
        until("all of it", || {
            all.append(&mut run(crowd(&fleet, &counters, 60)).0);
            assert!(all.len() <= 50, "{}", all.len());
            (all.len() == 50).then_some(())
        });
    });
}

#[test]
fn a_replica_that_ends_gives_back_all_of_its_leases_however_many() {
    on_each(|server| {
        let replica = Replica::new(&server.url());
        replica.up();
        // More than two calls can tell.
        let counters: Vec<_> = (0..700).map(|n| replica.counter(&format!("many:{n}"), total(50), LAST)).collect();
        let used = || {
            let mut pipe = redis::pipe();
            counters.iter().for_each(|counter| _ = pipe.hget(counter.key(), "u"));
            pipe.query::<Vec<u64>>(&mut server.connection()).unwrap().iter().sum::<u64>()
        };
        run(async {
            for some in counters.chunks(100) {
                let needs: Vec<_> = some.iter().map(|counter| (counter, 2)).collect();
                replica.take_units(&needs).await.unwrap().put_back();
            }
            assert!(used() > 0, "leased, and spent by nobody");
            replica.shared.hand_back().await;
        });
        assert_eq!(used(), 0);
    });
}
