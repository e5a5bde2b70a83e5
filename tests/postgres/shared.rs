//! What only a server can do to one: go away, be shared, be of another version.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use weir::store::{Batch, Database, Fault, Position, UsageQuery};

use crate::rows::{batch, row};
use crate::server::{PASSWORD, Server};

const PATIENCE: Duration = Duration::from_secs(60);

/// As the thread that folds does: again, until it is in.
fn fold_for_sure(database: &Database, batch: &Batch) -> u64 {
    let (deadline, mut failures) = (Instant::now() + PATIENCE, 0);
    while let Err(error) = database.fold(batch) {
        assert!(matches!(error.fault(), Fault::Unavailable | Fault::Contended), "{error}");
        assert!(!error.to_string().contains(PASSWORD));
        assert!(Instant::now() < deadline, "{error}");
        failures += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    failures
}

#[test]
fn nothing_is_lost_or_counted_twice_while_the_server_restarts() {
    let Some(mut server) = Server::start("restart") else { return };
    let database = server.database("weir");
    let done = AtomicBool::new(false);
    let (batches, failures) = std::thread::scope(|scope| {
        let folding = scope.spawn(|| {
            let (mut number, mut failures) = (0, 0);
            while !done.load(Ordering::SeqCst) {
                let mut next = batch(number * 40..number * 40 + 50);
                next.positions = vec![Position { stream: "s".into(), seq: number }];
                failures += fold_for_sure(&database, &next);
                number += 1;
            }
            (number, failures)
        });
        for _ in 0..3 {
            let before = database.positions().ok().and_then(|all| all.get("s").copied()).unwrap_or(0);
            // It is down for as long as it takes somebody to notice.
            server.crash(|| {
                let deadline = Instant::now() + PATIENCE;
                while database.positions().is_ok() {
                    assert!(Instant::now() < deadline);
                }
            });
            let deadline = Instant::now() + PATIENCE;
            while !database.positions().is_ok_and(|all| all.get("s").is_some_and(|seq| *seq > before + 2)) {
                assert!(Instant::now() < deadline, "folding goes on");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        done.store(true, Ordering::SeqCst);
        folding.join().unwrap()
    });
    assert!(failures > 0, "the restarts were noticed");
    assert_eq!(database.positions().unwrap()["s"], batches - 1);
    let verified = database.verify().unwrap();
    assert_eq!(verified.differences, [] as [&str; 0]);
    assert_eq!(verified.rows, (batches - 1) * 40 + 50);
}

#[test]
fn the_first_question_after_a_restart_is_answered() {
    let Some(mut server) = Server::start("rested") else { return };
    let database = server.database("weir");
    // The connections that rest are dead then.
    server.crash(|| {});
    assert_eq!(database.positions().unwrap().len(), 0);
}

#[test]
fn replicas_start_together_and_fold_different_streams_at_once() {
    let Some(server) = Server::start("replicas") else { return };
    let state = server.empty("weir");
    const REPLICAS: u64 = 4;
    let together = Barrier::new(usize::try_from(REPLICAS).unwrap());
    std::thread::scope(|scope| {
        for replica in 0..REPLICAS {
            let (state, together) = (&state, &together);
            scope.spawn(move || {
                together.wait();
                let database = Database::open(state).unwrap();
                together.wait();
                for number in 0..20 {
                    // All add to the same sums, and every replica also brings what another one has.
                    let own = (0..50).map(|n| (replica * 20 + number) * 50 + n);
                    let foreign = (0..10).map(|n| ((replica + 1) % REPLICAS * 20 + number) * 50 + n);
                    let rows = own.chain(foreign).map(|n| row(n, n)).collect();
                    let positions = vec![Position { stream: format!("replica-{replica}"), seq: number }];
                    fold_for_sure(&database, &Batch { rows, positions });
                }
            });
        }
    });
    let database = Database::open(&state).unwrap();
    let verified = database.verify().unwrap();
    assert_eq!(verified.differences, [] as [&str; 0]);
    assert_eq!(verified.rows, REPLICAS * 20 * 50);
    assert_eq!(database.positions().unwrap().len(), 4);
    assert_eq!(database.usage(&UsageQuery::default()).unwrap()[0].used.requests, 4_000);
}

/// The released steps, as files.
fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn a_database_of_any_older_version_is_brought_up_to_date() {
    let Some(server) = Server::start("versions") else { return };
    let all = migrations();
    for done in 0..all.len() {
        let name = format!("version_{done}");
        let state = server.empty(&name);
        let mut client = server.client(&name);
        client.batch_execute("CREATE TABLE weir_schema (version BIGINT PRIMARY KEY)").unwrap();
        for (number, step) in all.iter().take(done).enumerate() {
            client.batch_execute(step).unwrap();
            client.batch_execute(&format!("INSERT INTO weir_schema VALUES ({})", number + 1)).unwrap();
        }
        let database = Database::open(&state).unwrap();
        database.fold(&batch(0..10)).unwrap();
        let version = client.query_one("SELECT MAX(version) FROM weir_schema", &[]).unwrap().get::<_, i64>(0);
        assert_eq!(version, i64::try_from(all.len()).unwrap());
        drop(database);
        client.batch_execute("INSERT INTO weir_schema VALUES (900)").unwrap();
        let error = Database::open(&state).unwrap_err();
        assert_eq!(error.fault(), Fault::Version);
        assert!(error.to_string().contains("newer version of Weir"), "{error}");
    }
}

#[test]
fn a_step_that_fails_leaves_what_was() {
    let Some(server) = Server::start("half") else { return };
    let state = server.empty("half");
    let mut client = server.client("half");
    // Somebody's table has the name of the last one that the first step makes.
    client.batch_execute("CREATE TABLE weir_facts (x BIGINT)").unwrap();
    assert_eq!(Database::open(&state).unwrap_err().fault(), Fault::Failed);
    let tables = "SELECT COUNT(*) FROM pg_tables WHERE tablename LIKE 'weir_%'";
    assert_eq!(client.query_one(tables, &[]).unwrap().get::<_, i64>(0), 1);
    client.batch_execute("DROP TABLE weir_facts").unwrap();
    Database::open(&state).unwrap().fold(&batch(0..3)).unwrap();
}

#[test]
fn tls_is_as_the_url_says() {
    let Some(server) = Server::start("tls") else { return };
    server.empty("weir");
    let ca = server.dir.join("ca.pem").display().to_string();
    let encrypted = |more: &str| {
        let database = Database::open(&server.state("weir", more))?;
        database.fold(&batch(0..1)).unwrap();
        let sql = "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
            WHERE application_name = 'weir'";
        let found = server.client("weir").query_one(sql, &[]).unwrap().get::<_, bool>(0);
        drop(database);
        Ok::<_, weir::store::StoreError>(found)
    };
    assert_eq!(encrypted("?sslmode=disable"), Ok(false));
    for mode in ["", "?sslmode=require", &format!("?sslmode=verify-full&sslrootcert={ca}")] {
        assert_eq!(encrypted(mode), Ok(true), "{mode}");
    }
    let refused = encrypted("?sslmode=verify-full").unwrap_err();
    assert_eq!(refused.fault(), Fault::Unavailable);
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
}

#[test]
fn a_server_that_is_not_there_is_said_without_the_password() {
    let Some(server) = Server::start("gone") else { return };
    let state = server.state("no_such_database", "");
    let error = Database::open(&state).unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{error}");
    drop(server);
    let error = Database::open(&state).unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{error}");
    assert!(!format!("{error} {error:?}").contains(PASSWORD));
}
