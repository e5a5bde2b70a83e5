use super::*;

fn row(id: &str, changed: u64, settings: &str) -> StoredKey {
    StoredKey {
        id: id.into(),
        tenant: "acme".into(),
        handle: "abcdefgh".into(),
        sha256: [u8::try_from(id.len()).unwrap(); 32],
        previous: None,
        created_at_ms: 1,
        revoked_at_ms: None,
        settings: settings.into(),
        changed,
    }
}

fn head(epoch: &str, changed: u64) -> Head {
    Head { epoch: epoch.into(), changed }
}

fn runtime() -> Runtime {
    Runtime { tenants: vec![Arc::new(Tenant { id: "acme".into(), ..Tenant::default() })], ..Runtime::default() }
}

#[test]
fn a_stored_key_may_do_what_the_same_text_in_the_configuration_would_let_it() {
    let settings = r#"{"expires": "2030-01-02", "models": ["openai/*"], "limits": {"requests_per_minute": 5},
        "budgets": [{"usd": 2.5, "per": "day"}], "allowed_addresses": ["10.0.0.0/8"], "note": "for \"tests\""}"#;
    let mut shelf = Shelf::default();
    assert!(shelf.put(row("k", 1, settings)));
    let [(sha256, key)] = <[_; 1]>::try_from(shelf.resolve(&runtime())).unwrap();
    assert_eq!((sha256, key.id.as_str(), key.active, key.tenant.id.as_str()), ([1; 32], "k", true, "acme"));
    assert_eq!(key.limits.requests_per_minute, Some(5));
    assert_eq!((key.budgets[0].most, key.models[0].0.as_str()), (2_500_000_000_000, "openai/*"));
    assert_eq!(key.allowed_addresses, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(key.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_542_400)));
}

#[test]
fn errors_in_the_settings_are_those_of_the_configuration() {
    for (settings, said) in [
        (r#"{"expired": "2030-01-02"}"#, "unknown key `expired` in a key"),
        (r#"{"limits": {"requests_per_minute": 0}}"#, "a limit of 0 refuses everything"),
        (r#"{"budgets": [{"usd": 1}]}"#, "a budget without a period"),
        (r#"{"allowed_addresses": ["10.0.0.1/8"]}"#, "10.0.0.0/8"),
        ("[]", "expected"),
        ("{", "invalid YAML"),
    ] {
        let report = load::stored_key(settings).unwrap_err().to_string();
        assert!(report.contains(said), "{settings}: {report}");
    }
}

/// Who makes keys sees nothing of the machine, and a dollar sign is one.
#[test]
fn variables_and_files_mean_nothing_in_the_settings() {
    for note in ["${HOME}", "${X:-y}", "${", "$$", "file:/etc/passwd"] {
        assert!(load::stored_key(&format!(r#"{{"note": "{note}"}}"#)).is_ok(), "{note}");
    }
    let key = load::stored_key(r#"{"models": ["lab/$$m"]}"#).unwrap();
    assert_eq!(key.models[0].0.as_str(), "lab/$$m");
}

#[test]
fn what_may_not_be_used_is_there_and_says_why() {
    let now = SystemTime::now();
    let of = |has_tenant| if has_tenant { runtime() } else { Runtime::default() };
    let standing = |row: StoredKey, has_tenant| Held::new(row).standing(Some(&Configured::of(&of(has_tenant))), now);
    let revoked = StoredKey { revoked_at_ms: Some(5), ..row("k", 1, "{}") };
    for (row, has_tenant, expected) in [
        (row("k", 1, "{}"), true, Standing::Active),
        (row("k", 1, "{}"), false, Standing::NoTenant),
        (row("k", 1, r#"{"active": false}"#), true, Standing::Inactive),
        (row("k", 1, r#"{"expires": "2020-01-01"}"#), true, Standing::Expired),
        (row("k", 1, r#"{"from_the_future": 1}"#), true, Standing::Unreadable),
        (revoked, true, Standing::Revoked),
    ] {
        assert_eq!(standing(row.clone(), has_tenant), expected);
        let mut shelf = Shelf::default();
        shelf.put(row);
        let runtime = of(has_tenant);
        let let_in = matches!(expected, Standing::Active | Standing::Expired);
        assert_eq!(shelf.resolve(&runtime)[0].1.active, let_in, "{expected:?}");
    }
}

#[test]
fn a_key_with_the_id_of_a_configured_one_is_not_let_in() {
    let mut shelf = Shelf::default();
    shelf.put(row("k", 1, "{}"));
    shelf.put(row("k22", 2, "{}"));
    let configured = Arc::new(Key { id: "k".into(), ..Key::default() });
    let runtime = Runtime { keys: [([7; 32], configured)].into_iter().collect(), ..runtime() };
    let ids = |runtime| shelf.resolve(runtime).into_iter().map(|(_, key)| key.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&runtime), ["k22"]);
    let standing = |id| shelf.get(id).unwrap().standing(Some(&Configured::of(&runtime)), SystemTime::now());
    assert_eq!((standing("k"), standing("k22")), (Standing::IdTaken, Standing::Active));
}

/// Reads, as of a database that has these and stands there.
fn read(shelf: &mut Shelf, rows: &[StoredKey], head: Head, doubt: bool) -> bool {
    let reading = shelf.begin(&head, doubt);
    let rows = rows.iter().filter(|row| row.changed > reading.since()).cloned().collect();
    shelf.take(reading, rows, head)
}

#[test]
fn changes_are_taken_in_and_old_news_is_not() {
    let mut shelf = Shelf::default();
    assert_eq!(shelf.begin(&head("a", 7), false), Reading::Whole, "nothing is known");
    assert!(read(&mut shelf, &[row("k1", 3, "{}"), row("k22", 7, "{}")], head("a", 7), true));
    assert_eq!((shelf.len(), shelf.begin(&head("a", 9), false)), (2, Reading::After(7)));
    assert!(!shelf.take(Reading::After(7), Vec::new(), head("a", 9)), "a change that was refused");
    // The change made here, then the same change read back.
    assert!(shelf.put(row("k1", 10, r#"{"active": false}"#)));
    assert!(!shelf.put(row("k1", 3, "{}")), "an older state of it");
    assert!(!read(&mut shelf, &[row("k1", 10, r#"{"active": false}"#)], head("a", 10), false), "known already");
    assert_eq!(shelf.get("k1").unwrap().row.settings, r#"{"active": false}"#);
}

#[test]
fn what_is_made_here_while_keys_are_read_stays() {
    let mut shelf = Shelf::default();
    let reading = shelf.begin(&head("a", 7), true);
    shelf.put(row("k22", 8, "{}"));
    assert!(shelf.take(reading, vec![row("k1", 3, "{}")], head("a", 7)));
    assert!(shelf.get("k1").is_some() && shelf.get("k22").is_some());
    // What was made before is the database's by then: it may be gone again.
    assert!(read(&mut shelf, &[row("k1", 3, "{}")], head("a", 8), true));
    assert!(shelf.get("k22").is_none());
}

#[test]
fn another_database_is_read_anew() {
    let mut shelf = Shelf::default();
    read(&mut shelf, &[row("k1", 3, "{}"), row("k22", 7, "{}")], head("a", 7), true);
    for other in [head("b", 90), head("a", 2)] {
        assert_eq!(shelf.begin(&other, false), Reading::Whole, "{other:?}");
    }
    assert!(read(&mut shelf, &[row("k1", 2, "{}")], head("a", 2), false), "put back from a copy");
    assert!(shelf.get("k22").is_none() && shelf.get("k1").unwrap().row.changed == 2);
}

/// It was put back from a copy of before a revocation, and has counted on since: or the other way round.
#[test]
fn where_the_clock_tells_nothing_all_is_compared() {
    let mut shelf = Shelf::default();
    let active = [row("k1", 3, "{}"), row("k22", 7, "{}")];
    read(&mut shelf, &active, head("a", 7), true);
    let revoked = [StoredKey { revoked_at_ms: Some(5), ..row("k1", 6, "{}") }, row("k22", 7, "{}")];
    assert!(!read(&mut shelf, &revoked, head("a", 9), false), "it cannot be seen");
    let unchanged = Arc::clone(shelf.get("k22").unwrap());
    assert!(read(&mut shelf, &revoked, head("a", 9), true));
    assert!(shelf.get("k1").unwrap().row.revoked_at_ms.is_some());
    assert!(Arc::ptr_eq(&unchanged, shelf.get("k22").unwrap()), "what is the same is not read again");
    assert!(!read(&mut shelf, &revoked, head("a", 9), true), "nothing changed");
}

#[test]
fn a_snapshot_holds_all_and_is_for_nobody_else() {
    let directory = std::env::temp_dir().join(format!("weir-snapshot-{}", std::process::id()));
    assert!(snapshot::read(&directory).unwrap().is_none());
    let previous = Some(PreviousSecret { sha256: [9; 32], until_ms: 77 });
    let mut shelf = Shelf::default();
    let odd = StoredKey { previous, revoked_at_ms: Some(4), ..row("k1", 3, r#"{"note": "\"quoted\" \n"}"#) };
    read(&mut shelf, &[odd.clone(), row("k22", 7, "{}")], head("a", 7), true);
    snapshot::write(&directory, &shelf).unwrap();
    snapshot::write(&directory, &shelf).unwrap();
    let back = snapshot::read(&directory).unwrap().unwrap();
    assert_eq!((back.head(), back.len(), &back.get("k1").unwrap().row), (&head("a", 7), 2, &odd));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(directory.join("keys.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(directory.join("keys.json"), "{").unwrap();
    assert!(snapshot::read(&directory).is_err());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn nobody_knows_anything_before_the_first_look() {
    let freshness = Freshness::default();
    assert!(!freshness.is_known() && freshness.is_stale() && freshness.age_ms().is_none());
    freshness.remembered();
    assert!(freshness.is_known() && freshness.is_stale());
    freshness.seen();
    assert!(!freshness.is_stale());
}
