use super::*;
use std::path::PathBuf;

/// A directory of one test's own.
fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("weir-store-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    directory
}

fn state(name: &str) -> State {
    State { dir: directory(name), ..State::default() }
}

#[test]
fn a_database_is_made_once_and_opened_again() {
    let state = state("made");
    let facts = |database: &Database| {
        database.read(|s| s.all("SELECT value FROM weir_facts WHERE name = $1", &["x".into()], |c| c.need_int(0)))
    };
    let first = Database::open(&state).unwrap();
    first.write(|s| s.run("INSERT INTO weir_facts (name, value) VALUES ($2, $1)", &[7.into(), "x".into()])).unwrap();
    assert_eq!(facts(&first).unwrap(), [7], "arguments go by their number, not by where they stand");
    drop(first);
    assert_eq!(facts(&Database::open(&state).unwrap()).unwrap(), [7]);
    assert_eq!(facts(&Database::open_to_read(&state).unwrap()).unwrap(), [7]);
}

#[test]
fn a_newer_database_is_refused_and_a_transaction_is_all_or_nothing() {
    let state = state("newer");
    let database = Database::open(&state).unwrap();
    let failed = database.write(|s| {
        s.run("INSERT INTO weir_facts (name, value) VALUES ($1, $2)", &["half".into(), 1.into()])?;
        s.run("INSERT INTO no_such_table VALUES (1)", &[])
    });
    assert_eq!(failed.unwrap_err().fault(), Fault::Failed);
    let left = database.read(|s| s.one("SELECT COUNT(*) FROM weir_facts", &[], |c| c.need_int(0)));
    assert_eq!(left.unwrap(), Some(0));
    database.write(|s| s.run("INSERT INTO weir_schema (version) VALUES (900)", &[])).unwrap();
    for opened in [Database::open(&state), Database::open_to_read(&state)] {
        let error = opened.unwrap_err();
        assert_eq!(error.fault(), Fault::Version);
        assert!(error.to_string().contains("newer version of Weir"), "{error}");
    }
}

#[test]
fn who_only_looks_makes_nothing() {
    let state = state("looks");
    assert_eq!(Database::open_to_read(&state).unwrap_err().fault(), Fault::Missing);
    assert!(!state.dir.exists());
    drop(Database::open(&state).unwrap());
    let looking = Database::open_to_read(&state).unwrap();
    assert!(looking.write(|s| s.run("DELETE FROM weir_facts", &[])).is_err());
    assert!(looking.read(|s| s.run("DELETE FROM weir_facts", &[])).is_err());
}

/// The released steps, as files.
fn migrations() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn a_database_of_any_older_version_is_brought_up_to_date() {
    let all = migrations();
    for done in 0..all.len() {
        let state = state(&format!("version-{done}"));
        std::fs::create_dir_all(&state.dir).unwrap();
        let old = rusqlite::Connection::open(state.dir.join("weir.db")).unwrap();
        old.execute_batch("CREATE TABLE weir_schema (version BIGINT PRIMARY KEY)").unwrap();
        for (number, step) in (1..).zip(all.iter().take(done)) {
            old.execute_batch(step).unwrap();
            old.execute("INSERT INTO weir_schema VALUES (?1)", [number]).unwrap();
        }
        let looked = Database::open_to_read(&state).unwrap_err();
        assert!(looked.fault() == Fault::Version && looked.to_string().contains("older version"), "{looked}");
        let database = Database::open(&state).unwrap();
        let version = "SELECT MAX(version) FROM weir_schema";
        let version = database.read(|s| s.one(version, &[], |c| c.need_int(0))).unwrap();
        assert_eq!(version, i64::try_from(all.len()).ok());
        database.fold(&Batch::default()).unwrap();
    }
}

#[test]
fn both_databases_have_the_same_steps() {
    let names = |backend: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/store/{backend}/migrations"));
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}
