//! What shared limits cost. Measurements, not tests:
//! `cargo test --release --test shared cost -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use weir::config::runtime::OnStoreLoss;
use weir::limit::shared::{Counter, Kind};

use crate::replica::{Replica, run};
use crate::server::on_each;
use crate::support::wait::until;

/// As a tenant has them: requests and tokens in a minute, places, and a budget.
fn counters(replica: &Replica, limit: u64) -> Vec<(Arc<Counter>, u64)> {
    let of = |id: &str, kind| replica.counter(&format!("{id}:{limit}"), kind, OnStoreLoss::LastLease);
    let window = |limit| Kind::Window { limit, length_ms: 60_000 };
    vec![
        (of("requests", window(limit)), 1),
        (of("tokens", window(limit * 1_000)), 1_000),
        (of("places", Kind::Concurrency { limit }), 1),
        (of("budget", Kind::Total { limit: limit * 1_000, ends_at_ms: None }), 1_000),
    ]
}

async fn one(replica: &Replica, counters: &[(Arc<Counter>, u64)]) -> bool {
    let needs: Vec<(&Arc<Counter>, u64)> = counters.iter().map(|(counter, units)| (counter, *units)).collect();
    let Ok(mut held) = replica.take_units(&needs).await else { return false };
    held.settle(&[1, 800, 1, 800]);
    true
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 =
        stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
#[ignore = "a measurement"]
fn an_admission_from_leases_and_a_draw() {
    on_each(|server| {
        let replica = Arc::new(Replica::new(&server.url()));
        replica.up();
        let wide = counters(&replica, 1_000_000_000);
        until("leases", || {
            run(one(&replica, &wide));
            (replica.told.leased.load(Ordering::Relaxed) > 0).then_some(())
        });
        let (count, calls) = (1_000_000_u32, replica.told.calls.load(Ordering::Relaxed));
        let leased = replica.told.leased.load(Ordering::Relaxed);
        let (began, before) = (Instant::now(), cpu());
        run(async {
            for _ in 0..count {
                one(&replica, &wide).await;
            }
        });
        let leased = replica.told.leased.load(Ordering::Relaxed) - leased;
        let calls = replica.told.calls.load(Ordering::Relaxed) - calls;
        eprintln!(
            "of leases: {:?} CPU and {:?} each, 4 counters; {} of {count} from leases, {calls} calls",
            (cpu() - before) / count,
            began.elapsed() / count,
            leased
        );
        for width in [1_u32, 16, 256] {
            // So few that nothing is leased.
            let narrow = Arc::new(counters(&replica, 3));
            let count = 20_000 / width * width;
            let (began, before) = (Instant::now(), cpu());
            let calls = replica.told.calls.load(Ordering::Relaxed);
            run(async {
                for _ in 0..count / width {
                    let mut all = JoinSet::new();
                    for _ in 0..width {
                        let (replica, narrow) = (Arc::clone(&replica), Arc::clone(&narrow));
                        all.spawn(async move {
                            // Put back at once, so that there is always room.
                            let needs: Vec<_> = narrow.iter().map(|(counter, _)| (counter, 1)).collect();
                            if let Ok(held) = replica.take_units(&needs).await {
                                held.put_back();
                            }
                        });
                    }
                    all.join_all().await;
                }
            });
            let calls = replica.told.calls.load(Ordering::Relaxed) - calls;
            eprintln!(
                "by calls, {width} at a time: {:?} CPU here and {:?} each; {calls} calls for {count}",
                (cpu() - before) / count,
                began.elapsed() / count
            );
        }
    });
}
