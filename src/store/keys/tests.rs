use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::{AuditPage, Desk, Failure};
use super::*;
use crate::config::runtime::State;
use crate::tenant::stored::made::{Members, members};
use crate::tenant::stored::{Shelf, made};

/// An embedded database in a directory of one test's own.
fn database(name: &str) -> Arc<Database> {
    let directory = std::env::temp_dir().join(format!("weir-store-keys-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    open(directory)
}

fn open(dir: PathBuf) -> Arc<Database> {
    Arc::new(Database::open(&State { dir, ..State::default() }).unwrap())
}

fn asked(body: &str) -> Members {
    members(body.as_bytes()).unwrap()
}

/// What a process knows that looks now.
fn look(database: &Database, shelf: &mut Shelf) -> bool {
    let reading = shelf.begin(&database.keys_head().unwrap(), false);
    let (keys, head) = database.keys_since(reading.since()).unwrap();
    shelf.take(reading, keys, head)
}

#[test]
fn a_key_is_made_changed_rotated_and_revoked_and_all_of_it_is_on_record() {
    let database = database("life");
    let desk = Desk { database: &database, who: "root" };
    let mut shelf = Shelf::default();
    assert!(look(&database, &mut shelf) && shelf.is_empty());
    let (key, secret) = desk.create(asked(r#"{"tenant": "acme", "id": "k", "note": "n"}"#)).unwrap();
    assert!(look(&database, &mut shelf));
    assert_eq!(shelf.get("k").unwrap().row, key);
    assert!(!look(&database, &mut shelf), "nothing new");
    assert!(matches!(desk.create(asked(r#"{"tenant": "b", "id": "k"}"#)), Err(Failure::Refused(Refused::Taken))));
    let changed = desk.change("k", br#"{"limits": {"concurrency": 3}}"#).unwrap();
    assert_eq!(changed.settings, r#"{"limits":{"concurrency": 3},"note":"n"}"#);
    assert!(matches!(desk.change("k", br#"{"limit": 3}"#), Err(Failure::Invalid(_))));
    assert!(matches!(desk.change("x", b"{}"), Err(Failure::Refused(Refused::Missing))));
    let (rotated, second) = desk.rotate("k", made::GRACE).unwrap();
    assert_eq!(rotated.previous.unwrap().sha256, key.sha256);
    assert_ne!(secret.expose(), second.expose());
    let revoked = desk.revoke("k").unwrap();
    assert!(revoked.revoked_at_ms.is_some() && revoked.changed > rotated.changed);
    for again in
        [desk.revoke("k").map(drop), desk.rotate("k", Duration::ZERO).map(drop), desk.change("k", b"{}").map(drop)]
    {
        assert!(matches!(again, Err(Failure::Refused(Refused::Revoked))));
    }
    assert!(look(&database, &mut shelf));
    assert_eq!(shelf.get("k").unwrap().row, revoked);
    let entries = database.audit(AuditPage { limit: 100, ..AuditPage::default() }).unwrap();
    let told: Vec<_> = entries.iter().rev().map(|entry| (entry.action.as_str(), entry.who.as_str())).collect();
    let expected = ["key.create", "key.update", "key.rotate", "key.revoke"].map(|action| (action, "root"));
    assert_eq!(told, expected, "what was refused is no change");
    let verified = database.verify_audit().unwrap();
    assert_eq!((verified.entries, verified.broken, verified.hash), (4, None, entries[0].hash));
    let all = format!("{entries:?}{shelf:?}{revoked:?}");
    for secret in [&secret, &second] {
        assert!(!all.contains(secret.expose().get(14..).unwrap()));
    }
}

#[test]
fn a_log_that_was_tampered_with_is_seen() {
    let database = database("tamper");
    let desk = Desk { database: &database, who: "root" };
    for n in 0..5 {
        desk.create(asked(&format!(r#"{{"tenant": "acme", "id": "k{n}"}}"#))).unwrap();
    }
    assert_eq!(database.verify_audit().unwrap().broken, None);
    for (tamper, restore, seq, why) in [
        (
            "UPDATE weir_audit SET who = 'nobody' WHERE seq = 2",
            "UPDATE weir_audit SET who = 'root' WHERE seq = 2",
            2,
            "it was changed",
        ),
        (
            "UPDATE weir_audit SET seq = 30 WHERE seq = 3",
            "UPDATE weir_audit SET seq = 3 WHERE seq = 30",
            3,
            "it is missing",
        ),
        (
            "UPDATE weir_audit SET seq = 50 WHERE seq = 5",
            "UPDATE weir_audit SET seq = 5 WHERE seq = 50",
            6 - 1,
            "the end of the log is missing",
        ),
    ] {
        database.write(|session| session.script(tamper)).unwrap();
        let broken = database.verify_audit().unwrap().broken.unwrap();
        assert_eq!((broken.seq, broken.why), (seq, why), "{tamper}");
        database.write(|session| session.script(restore)).unwrap();
        assert_eq!(database.verify_audit().unwrap().broken, None);
    }
}

#[test]
fn many_at_once_make_one_chain_and_one_clock() {
    let database = database("many");
    let (threads, each) = (4, 10);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let database = &database;
            scope.spawn(move || {
                let who = format!("t{thread}");
                let desk = Desk { database, who: &who };
                for n in 0..each {
                    desk.create(asked(&format!(r#"{{"tenant": "acme", "id": "k{thread}-{n}"}}"#))).unwrap();
                }
            });
        }
    });
    let (keys, head) = database.keys_since(0).unwrap();
    assert_eq!((keys.len(), head.changed), (threads * each, 40));
    assert!(keys.iter().zip(1..).all(|(key, clock)| key.changed == clock), "each moved it on");
    let verified = database.verify_audit().unwrap();
    assert_eq!((verified.entries, verified.broken), (40, None));
}

#[test]
fn entries_come_newest_first_in_pages() {
    let database = database("pages");
    for at_ms in [1_000, 2_000, 3_000, 4_000] {
        let change =
            Change { at_ms, who: "w".into(), action: "config.reload", target: "h".into(), detail: "{}".into() };
        database.record(&change).unwrap();
    }
    let seqs = |page: AuditPage| database.audit(page).unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(seqs(AuditPage { limit: 2, ..AuditPage::default() }), [4, 3]);
    assert_eq!(seqs(AuditPage { limit: 2, before: Some(3), ..AuditPage::default() }), [2, 1]);
    assert_eq!(seqs(AuditPage { limit: 9, since_ms: 3_000, ..AuditPage::default() }), [4, 3]);
}

/// Row 42: what a client or an operator writes never becomes part of a statement.
#[test]
fn text_is_never_part_of_a_statement() {
    let database = database("sql");
    let who = "x'); DROP TABLE weir_keys; --";
    let desk = Desk { database: &database, who };
    let note = "'; DELETE FROM weir_audit; --";
    let body = format!(r#"{{"tenant": "acme", "id": "k", "note": "{note}"}}"#);
    let (key, _) = desk.create(asked(&body)).unwrap();
    assert!(matches!(desk.revoke("k' OR '1'='1"), Err(Failure::Refused(Refused::Missing))));
    assert_eq!(database.key("k").unwrap().unwrap(), key);
    assert_eq!(database.audit(AuditPage { limit: 5, ..AuditPage::default() }).unwrap()[0].who, who);
}
