use std::time::Duration;

use super::*;
use crate::config::access::Previous;
use crate::config::runtime::Tenant;
use crate::limit::Limiter;

fn runtime(keys: Vec<(&str, Key)>) -> Runtime {
    Runtime {
        keys: keys.into_iter().map(|(secret, key)| (Sha256::digest(secret).into(), Arc::new(key))).collect(),
        ..Runtime::default()
    }
}

fn patterns(list: &[&str]) -> Vec<ModelPattern> {
    list.iter().map(|p| ModelPattern((*p).to_owned())).collect()
}

fn tenant(models: &[&str]) -> Arc<Tenant> {
    Arc::new(Tenant { id: "acme".into(), models: patterns(models), ..Tenant::default() })
}

fn key(id: &str) -> Key {
    Key { id: id.into(), tenant: tenant(&[]), ..Key::default() }
}

fn ring(keys: Vec<(&str, Key)>) -> Keyring {
    let runtime = runtime(keys);
    ring_of(&runtime, Roster::default())
}

fn ring_of(runtime: &Runtime, roster: Roster) -> Keyring {
    let bound = Limiter::new().bind_with(runtime, roster.keys());
    Keyring::new(runtime, roster, &bound)
}

fn find(ring: &Keyring, secret: &[u8], now: SystemTime) -> Result<Arc<Caller>> {
    let caller = ring.find(secret, now, || Ok(()))?;
    caller.admit(now, None).map(|()| caller)
}

#[test]
fn each_key_finds_its_owner_and_nothing_else_does() {
    let secrets: Vec<String> = (0..1_000).map(|n| format!("weir-{n}")).collect();
    let ring = ring(secrets.iter().map(|secret| (secret.as_str(), key(secret))).collect());
    let now = SystemTime::now();
    for secret in &secrets {
        assert_eq!(&find(&ring, secret.as_bytes(), now).unwrap().key.id, secret);
    }
    let long = "weir-1".repeat(10_000);
    for secret in ["", "weir-", "weir-1000", "Weir-1", "weir-1 ", &long] {
        assert_eq!(find(&ring, secret.as_bytes(), now).unwrap_err().kind(), Kind::InvalidKey);
    }
}

#[test]
fn a_shared_prefix_is_not_enough() {
    let mut runtime = runtime(vec![("right", key("right"))]);
    // Another key whose digest begins with the same 8 bytes.
    let mut near: [u8; 32] = Sha256::digest("right").into();
    near[31] ^= 1;
    runtime.keys.insert(near, Arc::new(key("near")));
    let ring = ring_of(&runtime, Roster::default());
    assert_eq!(find(&ring, b"right", SystemTime::now()).unwrap().key.id, "right");
    runtime.keys.retain(|_, key| key.id == "near");
    let ring = ring_of(&runtime, Roster::default());
    assert_eq!(find(&ring, b"right", SystemTime::now()).unwrap_err().kind(), Kind::InvalidKey);
}

#[test]
fn inactive_and_expired_keys_say_so() {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let inactive = Key { active: false, ..key("off") };
    let expiring = Key { expires: Some(end), ..key("old") };
    let ring = ring(vec![("off", inactive), ("old", expiring)]);
    assert_eq!(find(&ring, b"off", end).unwrap_err().kind(), Kind::KeyInactive);
    assert!(find(&ring, b"old", end - Duration::from_nanos(1)).is_ok());
    assert_eq!(find(&ring, b"old", end).unwrap_err().kind(), Kind::KeyExpired);
}

#[test]
fn errors_and_debug_never_repeat_what_was_shown() {
    let ring = ring(vec![("sk-live-secret", Key { active: false, ..key("off") })]);
    for shown in ["sk-live-secret", "sk-other-secret"] {
        let refused = find(&ring, shown.as_bytes(), SystemTime::now()).unwrap_err();
        assert!(!format!("{refused:?} {refused} {ring:?}").contains("secret"));
    }
}

#[test]
fn key_and_tenant_both_have_to_allow_a_model() {
    let caller = |key_models: &[&str], tenant_models: &[&str]| Caller {
        key: Arc::new(Key { models: patterns(key_models), tenant: tenant(tenant_models), ..key("k") }),
        limits: Arc::default(),
        user: None,
    };
    assert!(caller(&[], &[]).may_use(&["anything"]).is_ok());
    assert!(caller(&["openai/*"], &[]).may_use(&["openai/gpt-5"]).is_ok());
    assert!(caller(&["openai/*"], &[]).may_use(&["gpt-5", "openai/gpt-5"]).is_ok(), "a bare name");
    assert!(caller(&["fast"], &["fast", "openai/*"]).may_use(&["fast"]).is_ok(), "a route's name");
    for (key_models, tenant_models) in [(&["openai/*"][..], &["fast"][..]), (&["fast"], &["openai/*"])] {
        let refused = caller(key_models, tenant_models).may_use(&["openai/gpt-5"]).unwrap_err();
        assert_eq!((refused.kind(), refused.status()), (Kind::ModelNotAllowed, 403));
    }
}

#[test]
fn row_46_both_secrets_live_until_the_grace_period_ends() {
    let moment = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let previous = Some(Previous { sha256: Sha256::digest("old").into(), until: moment(100) });
    let ring = ring(vec![("new", Key { previous, ..key("k") }), ("other", key("other"))]);
    for now in [moment(1), moment(100) - Duration::from_nanos(1)] {
        for secret in ["old", "new"] {
            assert_eq!(find(&ring, secret.as_bytes(), now).unwrap().key.id, "k");
        }
        let (old, new) = (find(&ring, b"old", now).unwrap(), find(&ring, b"new", now).unwrap());
        assert!(Arc::ptr_eq(&old, &new), "one key, with one set of limits");
    }
    for now in [moment(100), moment(1_000)] {
        assert_eq!(find(&ring, b"old", now).unwrap_err().kind(), Kind::InvalidKey);
        assert!(find(&ring, b"new", now).is_ok());
    }
}

#[test]
fn a_key_bound_to_addresses_is_refused_elsewhere() {
    let allowed_addresses = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let ring = ring(vec![("k", Key { allowed_addresses, ..key("k") })]);
    let now = SystemTime::now();
    let caller = ring.find(b"k", now, || Ok(())).unwrap();
    let from = |address: &str| caller.admit(now, Some(address.parse().unwrap())).map_err(|error| error.kind());
    assert_eq!((from("10.9.8.7"), from("::1"), from("::ffff:10.0.0.1")), (Ok(()), Ok(()), Ok(())));
    assert_eq!(from("11.0.0.1"), Err(Kind::AddressNotAllowed));
    let unknown = caller.admit(now, None).unwrap_err();
    assert_eq!((unknown.kind(), unknown.status()), (Kind::AddressNotAllowed, 403));
}

#[test]
fn a_mistyped_key_is_refused_for_good_unless_the_configuration_has_it() {
    let secret = minted::mint().unwrap();
    let mut wrong = secret.expose().to_owned();
    let last = wrong.pop().unwrap();
    wrong.push(if last == 'x' { 'y' } else { 'x' });
    let now = SystemTime::now();
    // Nobody has looked at the database: one that is whole may well be in it.
    let roster = Roster { freshness: Some(Arc::default()), ..Roster::default() };
    let kind = |ring: &Keyring, text: &str| find(ring, text.as_bytes(), now).map_err(|error| error.kind()).map(drop);
    let ring = ring_of(&runtime(vec![]), roster);
    assert_eq!(kind(&ring, secret.expose()), Err(Kind::KeysUnavailable));
    assert_eq!(kind(&ring, &wrong), Err(Kind::InvalidKey));
    // A key of the configuration may be any text, this one too.
    let ring = self::ring(vec![(&wrong, key("odd"))]);
    assert_eq!(find(&ring, wrong.as_bytes(), now).unwrap().key.id, "odd");
}

#[test]
fn row_33_keys_verify_while_the_database_is_down() {
    let (known, unknown) = (minted::mint().unwrap(), minted::mint().unwrap());
    let freshness = Arc::new(Freshness::default());
    let roster = Roster {
        stored: vec![(Sha256::digest(known.expose()).into(), Arc::new(key("stored")))],
        freshness: Some(Arc::clone(&freshness)),
        ..Roster::default()
    };
    let ring = ring_of(&runtime(vec![("configured", key("configured"))]), roster);
    let now = SystemTime::now();
    let kind =
        |secret: &str| find(&ring, secret.as_bytes(), now).map_err(|error| error.kind()).map(|c| c.key.id.clone());
    // Nobody has looked: what is known is good, and what is not may well exist.
    assert_eq!(kind(known.expose()).as_deref(), Ok("stored"));
    assert_eq!(kind("configured").as_deref(), Ok("configured"));
    assert_eq!(kind(unknown.expose()), Err(Kind::KeysUnavailable));
    assert_eq!(kind("no-key-of-ours"), Err(Kind::InvalidKey));
    freshness.seen();
    assert_eq!(kind(known.expose()).as_deref(), Ok("stored"));
    assert_eq!(kind(unknown.expose()), Err(Kind::InvalidKey));
}
