//! Tokens of an identity provider, taken as keys.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chat_answer};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, config};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// An identity provider with one key at a time.
struct Idp {
    pair: Ed25519KeyPair,
    kid: &'static str,
}

impl Idp {
    fn new(kid: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { pair: Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap(), kid }
    }

    fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "alg": "EdDSA", "use": "sig", "x": x}]})
            .to_string()
    }

    fn token(&self, lives_s: i64, more: &[(&str, Value)]) -> String {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let mut claims =
            json!({"iss": "https://login.test", "aud": "weir", "exp": now + lives_s, "org": "acme", "sub": "alice"});
        for (name, value) in more {
            claims[*name] = value.clone();
        }
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": self.kid})), part(claims));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(text.as_bytes())))
    }
}

/// Serves what is in it; nothing is a 503.
fn site(keys: &Arc<Mutex<Option<String>>>) -> Upstream {
    let keys = Arc::clone(keys);
    Upstream::start(move |_, conn| match &*keys.lock().unwrap() {
        Some(keys) => conn.json(200, keys),
        None => conn.json(503, "{}"),
    })
}

fn auth(jwks_url: &str) -> String {
    format!(
        "auth:\n  jwt:\n    - {{issuer: \"https://login.test\", name: login, audience: weir, jwks_url: \"{jwks_url}\", claims: {{tenant: org, key: sub, models: models}}}}\n"
    )
}

fn ask(gateway: &Gateway, path: &str, token: &str) -> Answer {
    let body = match path {
        MESSAGES => {
            json!({"model": "openai/gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]})
        }
        _ => chat("openai/gpt-4o-mini", "hi"),
    };
    let bearer = format!("Bearer {token}");
    gateway.client().request("POST", path, &[("authorization", &bearer)], body.to_string().as_bytes()).answer()
}

fn says(gateway: &Gateway, token: &str) -> (u16, String) {
    let answer = ask(gateway, CHAT, token);
    let code = if answer.status() == 200 { Value::Null } else { answer.json()["error"]["code"].clone() };
    (answer.status(), code.as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_token_is_a_key_of_its_tenant() {
    let (idp, upstream) = (Idp::new("k1"), Upstream::json(200, chat_answer("ok")));
    let keys = Arc::new(Mutex::new(Some(idp.jwks())));
    let site = site(&keys);
    let gateway =
        Gateway::start(&config(upstream.address, upstream.address, &auth(&format!("http://{}/keys", site.address))));
    // The first request of all may have to wait for the keys.
    for path in [CHAT, MESSAGES] {
        let answer = ask(&gateway, path, &idp.token(60, &[]));
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    let record = gateway.record(2);
    assert_eq!((&record["tenant"], &record["key_id"]), (&json!("acme"), &json!("jwt:login:alice")));
    let code = |token: &str| says(&gateway, token);
    assert_eq!(code(&idp.token(-60, &[])), (403, "key_expired".into()));
    assert_eq!(code(&idp.token(60, &[("models", json!(["anthropic/*"]))])), (403, "model_not_allowed".into()));
    for wrong in [
        idp.token(60, &[("aud", json!("other"))]),
        idp.token(60, &[("org", json!("nobody"))]),
        Idp::new("k1").token(60, &[]),
        Idp::new("k2").token(60, &[]),
    ] {
        let answer = ask(&gateway, CHAT, &wrong);
        let known = ask(&gateway, CHAT, "wk-nobodys");
        let message = |answer: &Answer| answer.json()["error"]["message"].clone();
        assert_eq!((answer.status(), message(&answer)), (401, message(&known)), "never what is wrong with it");
        assert!(!gateway.stderr().contains(&wrong), "a token is in the log");
    }
    assert_eq!(says(&gateway, KEY), (200, String::new()));
    let config = gateway.admin("GET", "/admin/v1/config").json();
    assert_eq!(config["auth"]["jwt"][0]["name"], "login");
}

#[test]
fn a_tenants_limits_hold_for_all_its_tokens() {
    let (idp, upstream) = (Idp::new("k1"), Upstream::json(200, chat_answer("ok")));
    let site = site(&Arc::new(Mutex::new(Some(idp.jwks()))));
    let text = config(upstream.address, upstream.address, &auth(&format!("http://{}/keys", site.address)));
    let gateway = Gateway::start(&text.replace("  acme:\n", "  acme:\n    limits: {requests_per_minute: 3}\n"));
    let one = |n: u32| says(&gateway, &idp.token(60, &[("jti", json!(n))]));
    assert_eq!([one(1).0, one(2).0, says(&gateway, KEY).0], [200; 3]);
    assert_eq!(one(3), (429, "rate_limit_exceeded".into()));
}

#[test]
fn tokens_are_good_while_the_issuer_is_down_and_its_new_keys_are_fetched() {
    let (first, second) = (Idp::new("k1"), Idp::new("k2"));
    let upstream = Upstream::json(200, chat_answer("ok"));
    let keys = Arc::new(Mutex::new(None));
    let site = site(&keys);
    let gateway =
        Gateway::start(&config(upstream.address, upstream.address, &auth(&format!("http://{}/keys", site.address))));
    // Nobody can say whether it is good: not that it is wrong.
    assert_eq!(says(&gateway, &first.token(60, &[])), (503, "keys_unavailable".into()));
    assert_eq!(says(&gateway, KEY), (200, String::new()));
    *keys.lock().unwrap() = Some(first.jwks());
    until("the keys to be fetched", || (says(&gateway, &first.token(60, &[])).0 == 200).then_some(()));
    *keys.lock().unwrap() = None;
    assert_eq!(says(&gateway, &first.token(61, &[])), (200, String::new()), "the last keys stay");
    assert_eq!(says(&gateway, &second.token(60, &[])), (401, "invalid_api_key".into()));
}
