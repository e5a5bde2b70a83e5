//! Keys that are made at run time and the chain of changes, on either database.

use std::time::{Duration, Instant};

use weir::store::{AuditPage, Database, Desk, Failure, Refused};
use weir::tenant::stored::made::{GRACE, Members, members};
use weir::tenant::stored::{Shelf, StoredKey};

use crate::rows::embedded;
use crate::server::Server;

fn asked(id: &str) -> Members {
    members(format!(r#"{{"tenant": "acme", "id": "{id}", "note": "it's \"quoted\""}}"#).as_bytes()).unwrap()
}

/// What a replica knows that looks now.
fn look(database: &Database, shelf: &mut Shelf) -> bool {
    let reading = shelf.begin(&database.keys_head().unwrap(), false);
    let (keys, head) = database.keys_since(reading.since()).unwrap();
    shelf.take(reading, keys, head)
}

fn life(database: &Database) -> Vec<StoredKey> {
    let desk = Desk { database, who: "root" };
    let mut shelf = Shelf::default();
    let (made, _) = desk.create(asked("k")).unwrap();
    assert!(look(database, &mut shelf) && !look(database, &mut shelf));
    let states = vec![
        desk.change("k", br#"{"limits": {"concurrency": 3}}"#).unwrap(),
        desk.rotate("k", GRACE).unwrap().0,
        desk.revoke("k").unwrap(),
    ];
    assert!(matches!(desk.create(asked("k")), Err(Failure::Refused(Refused::Taken))));
    assert!(matches!(desk.revoke("k"), Err(Failure::Refused(Refused::Revoked))));
    assert!(look(database, &mut shelf));
    assert_eq!(&shelf.get("k").unwrap().row, states.last().unwrap());
    assert_eq!(database.key("k").unwrap().as_ref(), states.last());
    let entries = database.audit(AuditPage { limit: 10, ..AuditPage::default() }).unwrap();
    let actions: Vec<_> = entries.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["key.create", "key.update", "key.rotate", "key.revoke"]);
    assert_eq!(database.verify_audit().unwrap().broken, None);
    std::iter::once(made).chain(states).collect()
}

#[test]
fn a_key_lives_the_same_life_in_both() {
    life(&Database::open(&embedded("keys")).unwrap());
    let Some(server) = Server::start("keys") else { return };
    life(&server.database("weir"));
}

/// Two replicas, many changes at once: one chain, one clock, and nobody misses a change.
#[test]
fn replicas_make_one_chain_and_see_every_change() {
    let Some(server) = Server::start("keys-replicas") else { return };
    let state = server.empty("weir");
    let replicas = [Database::open(&state).unwrap(), Database::open(&state).unwrap()];
    let (threads, each) = (6, 20);
    let mut shelves = [Shelf::default(), Shelf::default()];
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let database = &replicas[thread % 2];
            scope.spawn(move || {
                let desk = Desk { database, who: "root" };
                for n in 0..each {
                    let id = format!("k{thread}-{n}");
                    desk.create(asked(&id)).unwrap();
                    desk.revoke(&id).unwrap();
                }
            });
        }
        // They look all the while: what was passed by would be missing at the end.
        for (database, shelf) in replicas.iter().zip(&mut shelves) {
            scope.spawn(move || {
                let until = Instant::now() + Duration::from_secs(60);
                while shelf.iter().filter(|held| held.row.revoked_at_ms.is_some()).count() < threads * each {
                    look(database, shelf);
                    assert!(Instant::now() < until, "{} keys are known", shelf.len());
                }
            });
        }
    });
    for database in &replicas {
        let verified = database.verify_audit().unwrap();
        assert_eq!((verified.entries, verified.broken), (240, None));
    }
    // Somebody with the right to change the table is seen.
    server.client("weir").batch_execute("UPDATE weir_audit SET target = 'other' WHERE seq = 17").unwrap();
    let broken = replicas[0].verify_audit().unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.why), (17, "it was changed"));
}
