//! Many rows: how fast they come in, and how fast they are asked for.

use std::time::{Duration, Instant};

use weir::store::{Batch, By, Database, UsageQuery, Wanted};

use crate::rows::{TENANTS, embedded, row};
use crate::server::Server;

/// What is promised for a million rows.
const PROMISED: Duration = Duration::from_millis(200);
/// In a debug build on a busy machine with fewer rows: only what is far off is wrong.
const GENEROUS: Duration = Duration::from_secs(5);
const FULL: u64 = 1_000_000;
const BATCH: u64 = 5_000;
/// The rows are of so long.
const SPREAD_MS: u64 = 90 * 86_400_000;

fn count() -> u64 {
    let asked = std::env::var_os("WEIR_STORE_ROWS");
    asked.map_or(20_000, |text| text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}

fn fill(database: &Database, count: u64) {
    let mut took = Duration::ZERO;
    let mut from = 0;
    while from < count {
        let to = count.min(from + BATCH);
        let rows = (from..to).map(|n| row(n, n * (SPREAD_MS / count))).collect();
        let batch = Batch { rows, positions: Vec::new() };
        let begun = Instant::now();
        database.fold(&batch).unwrap();
        took += begun.elapsed();
        from = to;
    }
    let a_second = count as f64 / took.as_secs_f64();
    println!("{}: {count} rows folded in {took:?}, {a_second:.0} a second", database.kind());
}

/// The best of three: the first one warms up.
fn timed<T>(what: &str, database: &Database, mut ask: impl FnMut() -> T) -> (Duration, T) {
    let mut run = || {
        let begun = Instant::now();
        let answer = ask();
        (begun.elapsed(), answer)
    };
    let all = [run(), run(), run()];
    let best = all.into_iter().min_by_key(|(took, _)| *took).unwrap();
    println!("{}: {what} in {:?}", database.kind(), best.0);
    best
}

fn check(database: &Database) {
    let count = count();
    fill(database, count);
    let query = |by: &[By]| UsageQuery { by: by.to_vec(), ..UsageQuery::default() };
    let by_month = query(&[By::Tenant, By::Month]);
    let (took, rows) = timed("by tenant and month", database, || database.usage(&by_month).unwrap());
    assert_eq!(rows.len() as u64, TENANTS * 3);
    assert_eq!(rows.iter().map(|row| row.used.requests).sum::<u64>(), count);
    let most = if count >= FULL { PROMISED } else { GENEROUS };
    assert!(took < most, "{took:?}");
    let one = UsageQuery { filters: vec![(By::Tenant, "tenant-3".into())], ..query(&[By::Model, By::Month]) };
    let (took, _) = timed("of a tenant by model and month", database, || database.usage(&one).unwrap());
    assert!(took < most, "{took:?}");
    let (took, _) = timed("by tag and month", database, || database.usage(&query(&[By::Tag, By::Month])).unwrap());
    assert!(took < most, "{took:?}");
    let page = Wanted { tenant: Some("tenant-3".into()), limit: 100, ..Wanted::default() };
    let (took, page) = timed("a page of a tenant's rows", database, || database.requests(&page).unwrap());
    assert!(took < most && page.rows.len() == 100, "{took:?}");
}

#[test]
fn many_rows_are_summed_quickly() {
    let state = embedded("many");
    check(&Database::open(&state).unwrap());
    let size = std::fs::metadata(state.dir.join("weir.db")).unwrap().len();
    println!("sqlite: {} bytes a row with indexes and sums", size / count());
    std::fs::remove_dir_all(&state.dir).unwrap();
    if let Some(server) = Server::start("many") {
        check(&server.database("weir"));
    }
}
