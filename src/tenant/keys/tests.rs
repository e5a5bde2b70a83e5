use std::time::Duration;

use super::*;
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
    Keyring::new(&runtime, &Limiter::new().bind(&runtime))
}

#[test]
fn each_key_finds_its_owner_and_nothing_else_does() {
    let secrets: Vec<String> = (0..1_000).map(|n| format!("weir-{n}")).collect();
    let ring = ring(secrets.iter().map(|secret| (secret.as_str(), key(secret))).collect());
    let now = SystemTime::now();
    for secret in &secrets {
        assert_eq!(&ring.find(secret.as_bytes(), now).unwrap().key.id, secret);
    }
    let long = "weir-1".repeat(10_000);
    for secret in ["", "weir-", "weir-1000", "Weir-1", "weir-1 ", &long] {
        assert_eq!(ring.find(secret.as_bytes(), now).unwrap_err().kind(), Kind::InvalidKey);
    }
}

#[test]
fn a_shared_prefix_is_not_enough() {
    let mut runtime = runtime(vec![("right", key("right"))]);
    // Another key whose digest begins with the same 8 bytes.
    let mut near: [u8; 32] = Sha256::digest("right").into();
    near[31] ^= 1;
    runtime.keys.insert(near, Arc::new(key("near")));
    let ring = Keyring::new(&runtime, &Limiter::new().bind(&runtime));
    assert_eq!(ring.find(b"right", SystemTime::now()).unwrap().key.id, "right");
    runtime.keys.retain(|_, key| key.id == "near");
    let ring = Keyring::new(&runtime, &Limiter::new().bind(&runtime));
    assert_eq!(ring.find(b"right", SystemTime::now()).unwrap_err().kind(), Kind::InvalidKey);
}

#[test]
fn inactive_and_expired_keys_say_so() {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let inactive = Key { active: false, ..key("off") };
    let expiring = Key { expires: Some(end), ..key("old") };
    let ring = ring(vec![("off", inactive), ("old", expiring)]);
    assert_eq!(ring.find(b"off", end).unwrap_err().kind(), Kind::KeyInactive);
    assert!(ring.find(b"old", end - Duration::from_nanos(1)).is_ok());
    assert_eq!(ring.find(b"old", end).unwrap_err().kind(), Kind::KeyExpired);
}

#[test]
fn errors_and_debug_never_repeat_what_was_shown() {
    let ring = ring(vec![("sk-live-secret", Key { active: false, ..key("off") })]);
    for shown in ["sk-live-secret", "sk-other-secret"] {
        let refused = ring.find(shown.as_bytes(), SystemTime::now()).unwrap_err();
        assert!(!format!("{refused:?} {refused} {ring:?}").contains("secret"));
    }
}

#[test]
fn key_and_tenant_both_have_to_allow_a_model() {
    let caller = |key_models: &[&str], tenant_models: &[&str]| Caller {
        key: Arc::new(Key { models: patterns(key_models), tenant: tenant(tenant_models), ..key("k") }),
        limits: Arc::default(),
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
