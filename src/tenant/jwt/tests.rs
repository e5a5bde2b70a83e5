use std::sync::Mutex;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::provider::sign::call::{Call, Reply, not_fetched};

#[expect(clippy::disallowed_types, reason = "a test makes up tokens")]
type Json = serde_json::Value;

const ISSUER: &str = "https://login.example";
const NOW_S: u64 = 1_900_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S)
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs, and shows its public key.
enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(include_bytes!("../../../tests/fixtures/jwt-rsa.pk8")).unwrap()))
    }

    fn ec() -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &random).unwrap())
    }

    fn ed() -> Self {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(text).as_ref().to_vec(),
        }
    }

    fn jwk(&self, kid: &str) -> Json {
        match self {
            Self::Rsa(pair) => {
                let public: ring::signature::RsaPublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": encoded(&public.n), "e": encoded(&public.e)})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": encoded(&point[1..33]), "y": encoded(&point[33..])})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encoded(pair.public_key().as_ref())})
            }
        }
    }

    fn token(&self, kid: &str, claims: &Json) -> String {
        self.token_with(&json!({"typ": "JWT", "alg": self.algorithm(), "kid": kid}), claims)
    }

    fn token_with(&self, head: &Json, claims: &Json) -> String {
        let text = format!("{}.{}", encoded(head.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
        format!("{text}.{}", encoded(&self.sign(text.as_bytes())))
    }
}

fn claims() -> Json {
    json!({"iss": ISSUER, "aud": "weir", "exp": NOW_S + 600, "sub": "alice", "org": "acme"})
}

/// The usual claims, with some changed.
fn with(changes: &[(&str, Json)]) -> Json {
    let mut all = claims();
    for (name, value) in changes {
        match value {
            Json::Null => drop(all.as_object_mut().unwrap().remove(*name)),
            value => all[*name] = value.clone(),
        }
    }
    all
}

fn config(keys: KeySource) -> access::Issuer {
    access::Issuer {
        name: "login".into(),
        issuer: ISSUER.into(),
        audiences: vec!["weir".into(), "weir-too".into()],
        keys,
        algorithms: vec![access::Algorithm::Rs256, access::Algorithm::Es256, access::Algorithm::EdDsa],
        claims: access::Claims { tenant: Some("org".into()), ..access::Claims::default() },
        tenant: None,
        tenants: std::collections::HashMap::new(),
        leeway: Duration::from_secs(30),
    }
}

fn set(keys: &[Json]) -> String {
    json!({ "keys": keys }).to_string()
}

fn issuers(one: access::Issuer) -> Arc<Issuers> {
    Issuers::new(&Auth { jwt: vec![one] }, None).unwrap()
}

fn verify(issuers: &Issuers, token: &str) -> Result<Arc<Verified>> {
    verify_at(issuers, token, now())
}

fn verify_at(issuers: &Issuers, token: &str, now: SystemTime) -> Result<Arc<Verified>> {
    issuers.verify(token.as_bytes(), &Sha256::digest(token).into(), now, || Ok(()))
}

fn kind(issuers: &Issuers, token: &str) -> Option<Kind> {
    verify(issuers, token).err().map(|error| error.kind())
}

#[test]
fn every_kind_of_public_key_is_taken() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let issuers = issuers(config(KeySource::Set(set(&[signer.jwk("k1")]))));
        let verified = verify(&issuers, &signer.token("k1", &claims())).unwrap();
        assert_eq!((verified.tenant.as_str(), verified.key_id.as_str()), ("acme", "jwt:login"));
        assert_eq!((&verified.user, verified.models.len()), (&None, 0));
        // Without the name of its key too.
        let head = json!({"alg": signer.algorithm()});
        assert!(verify(&issuers, &signer.token_with(&head, &claims())).is_ok(), "{head}");
        let many = with(&[("aud", json!(["other", "weir-too"]))]);
        assert!(verify(&issuers, &signer.token("k1", &many)).is_ok());
    }
}

#[test]
fn what_is_wrong_with_a_token_is_never_said() {
    let (signer, other) = (Signer::ec(), Signer::ec());
    let issuers = issuers(config(KeySource::Set(set(&[signer.jwk("k1"), json!({"kty": "oct", "k": "c2VjcmV0"})]))));
    let good = signer.token("k1", &claims());
    let (head, payload_and_signature) = good.split_once('.').unwrap();
    let (payload, signature) = payload_and_signature.split_once('.').unwrap();
    let none = encoded(br#"{"alg":"none"}"#);
    let token = |changes: &[(&str, Json)]| signer.token("k1", &with(changes));
    let head_with = |mut extra: Json| {
        let mut all = json!({"alg": "ES256", "kid": "k1"});
        all.as_object_mut().unwrap().append(extra.as_object_mut().unwrap());
        signer.token_with(&all, &claims())
    };
    for (what, bad) in [
        ("another's signature", other.token("k1", &claims())),
        ("an unknown key", signer.token("k2", &claims())),
        ("no algorithm", format!("{none}.{payload}.{signature}")),
        ("no algorithm, no signature", format!("{none}.{payload}.AA")),
        (
            "another's claims",
            format!("{head}.{}.{signature}", encoded(with(&[("org", json!("b"))]).to_string().as_bytes())),
        ),
        ("somebody else's", token(&[("aud", json!("other"))])),
        ("for nobody", token(&[("aud", Json::Null)])),
        ("of nobody", token(&[("iss", Json::Null)])),
        ("of another", token(&[("iss", json!("https://evil.example"))])),
        ("two issuers", token(&[("iss", json!([ISSUER, "https://evil.example"]))])),
        ("without an end", token(&[("exp", Json::Null)])),
        ("an end that is none", token(&[("exp", json!("tomorrow"))])),
        ("not begun", token(&[("nbf", json!(NOW_S + 31))])),
        ("without a tenant", token(&[("org", Json::Null)])),
        ("a tenant that is none", token(&[("org", json!({"id": "acme"}))])),
        ("an extension", head_with(json!({"crit": ["b64"], "b64": false}))),
        ("not JSON", format!("{}.{payload}.{signature}", encoded(b"{"))),
        ("huge", signer.token("k1", &with(&[("pad", json!("x".repeat(8 * 1024)))]))),
    ] {
        let error = verify(&issuers, &bad).err().unwrap_or_else(|| panic!("{what} was taken"));
        assert_eq!((error.kind(), error.to_string()), (Kind::InvalidKey, unknown_key().to_string()), "{what}");
    }
    assert!(verify(&issuers, &good).is_ok());
    assert!(verify(&issuers, &token(&[("nbf", json!(NOW_S + 29))])).is_ok(), "within the leeway");
}

/// The public key taken for a shared secret, in every form it is known in.
#[test]
fn a_public_key_is_no_shared_secret() {
    use ring::hmac;
    let signer = Signer::rsa();
    let jwk = signer.jwk("k1");
    let issuers = issuers(config(KeySource::Set(set(std::slice::from_ref(&jwk)))));
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [jwk.to_string().as_bytes(), &n, jwk["n"].as_str().unwrap().as_bytes(), b""] {
        for (name, algorithm) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let head = encoded(json!({"alg": name, "kid": "k1"}).to_string().as_bytes());
            let text = format!("{head}.{}", encoded(claims().to_string().as_bytes()));
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), text.as_bytes());
            assert_eq!(kind(&issuers, &format!("{text}.{}", encoded(tag.as_ref()))), Some(Kind::InvalidKey), "{name}");
        }
    }
    // Nor is a key of one kind good for the algorithm of another, or for one that is not on the list.
    for name in ["ES256", "EdDSA", "PS256", "RS512"] {
        let head = json!({"alg": name, "kid": "k1"});
        assert_eq!(kind(&issuers, &signer.token_with(&head, &claims())), Some(Kind::InvalidKey), "{name}");
    }
}

#[test]
fn a_good_token_that_has_ended_says_so() {
    let signer = Signer::ed();
    let issuers = issuers(config(KeySource::Set(set(&[signer.jwk("k1")]))));
    let token = signer.token("k1", &claims());
    let at = |seconds| verify_at(&issuers, &token, now() + Duration::from_secs(seconds)).map_err(|error| error.kind());
    assert!(at(0).is_ok() && at(629).is_ok(), "thirty seconds of leeway");
    assert_eq!(at(630).unwrap_err(), Kind::KeyExpired);
    assert_eq!(issuers.checked(), 1, "the rest was remembered");
    let mut wrong = token.clone();
    wrong.replace_range(token.len() - 10..token.len() - 6, "AAAA");
    assert_eq!(verify_at(&issuers, &wrong, now() + Duration::from_secs(630)).unwrap_err().kind(), Kind::InvalidKey);
}

#[test]
fn claims_say_who_it_is() {
    let signer = Signer::ed();
    let mut one = config(KeySource::Set(set(&[signer.jwk("k1")])));
    one.claims = access::Claims {
        tenant: Some("/realm/org".into()),
        key: Some("sub".into()),
        user: Some("https://example.com/user".into()),
        models: Some("models".into()),
    };
    one.tenants = [("org-7".to_owned(), "acme".to_owned())].into();
    let issuers = issuers(one);
    let all = |models: Json, org: &str| {
        with(&[("realm", json!({"org": org})), ("https://example.com/user", json!(42)), ("models", models)])
    };
    let ask = |models: Json| verify(&issuers, &signer.token("k1", &all(models, "org-7")));
    let verified = ask(json!(["fast", "openai/*"])).unwrap();
    assert_eq!((verified.tenant.as_str(), verified.key_id.as_str()), ("acme", "jwt:login:alice"));
    assert_eq!(verified.user.as_deref(), Some("42"));
    let names = |verified: &Verified| verified.models.iter().map(|pattern| pattern.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&verified), ["fast", "openai/*"]);
    assert_eq!(names(&ask(json!("fast slow")).unwrap()), ["fast", "slow"]);
    assert!(ask(Json::Null).unwrap().models.is_empty(), "nothing is narrowed");
    for nothing in [json!([]), json!("")] {
        let models = ask(nothing).unwrap().models.clone();
        assert!(!models.is_empty() && !models.iter().any(|pattern| pattern.matches("fast")), "all is forbidden");
    }
    assert!(ask(json!(7)).is_err());
    assert!(
        verify(&issuers, &signer.token("k1", &all(json!("fast"), "org-8"))).is_err(),
        "a tenant that is not mapped"
    );
    let long = with(&[("sub", json!("x".repeat(257))), ("realm", json!({"org": "org-7"}))]);
    assert!(verify(&issuers, &signer.token("k1", &long)).is_err());
}

#[test]
fn what_is_not_three_parts_is_no_token() {
    for text in ["", "a", "eyJ.b", "eyJ.b.c.d", "eyJ..c", "eyJ.b.", "abc.def.ghi", "eyJ.b+.c", "eyJ.b=.c", "eyJ.b c.d"]
    {
        assert!(!looks_like_one(text.as_bytes()), "{text}");
    }
    assert!(looks_like_one(b"eyJ.b-_.c"));
}

#[test]
fn bad_ones_are_remembered_and_cost_no_second_look() {
    let (signer, other) = (Signer::ec(), Signer::ec());
    let issuers = issuers(config(KeySource::Set(set(&[signer.jwk("k1")]))));
    let bad = other.token("k1", &claims());
    for _ in 0..5 {
        assert_eq!(kind(&issuers, &bad), Some(Kind::InvalidKey));
    }
    assert_eq!(issuers.checked(), 1);
    // Whoever guesses too much is not even checked.
    let asked = issuers.verify(signer.token("k1", &with(&[("jti", json!(1))])).as_bytes(), &[1; 32], now(), || {
        Err(Error::new(Kind::RateLimited, "too much"))
    });
    assert_eq!((asked.unwrap_err().kind(), issuers.checked()), (Kind::RateLimited, 1));
}

/// Answers with what is in it.
#[derive(Default)]
struct Site(Mutex<Option<String>>);

impl Site {
    fn serve(&self, keys: Option<String>) {
        *self.0.lock().unwrap() = keys;
    }
}

#[async_trait]
impl Caller for Site {
    async fn call(&self, call: Call) -> Result<Reply> {
        assert_eq!(call.url, "https://login.example/keys");
        let body = self.0.lock().unwrap().clone().ok_or_else(|| not_fetched("nobody is there"))?;
        Ok(Reply { status: 200, body: Bytes::from(body), date: None })
    }
}

fn fetched() -> Arc<Issuers> {
    issuers(config(KeySource::Url("https://login.example/keys".into())))
}

async fn refresh(issuers: &Issuers, site: &Site) -> bool {
    issuers.refresh(0, site).await.is_ok()
}

#[tokio::test]
async fn keys_are_fetched_and_kept_while_the_issuer_is_down() {
    let (first, second) = (Signer::ec(), Signer::ec());
    let (issuers, site) = (fetched(), Site::default());
    let token = first.token("k1", &claims());
    assert!(issuers.is_waiting());
    assert_eq!(kind(&issuers, &token), Some(Kind::KeysUnavailable), "nobody can say: not that it is wrong");
    assert!(!refresh(&issuers, &site).await);
    assert!(!issuers.is_waiting(), "it is not waited for twice");
    assert_eq!(kind(&issuers, &token), Some(Kind::KeysUnavailable));
    site.serve(Some(set(&[first.jwk("k1")])));
    assert!(refresh(&issuers, &site).await);
    assert_eq!(kind(&issuers, &token), None);
    for broken in [None, Some("<html>".to_owned()), Some(set(&[]))] {
        site.serve(broken);
        assert!(!refresh(&issuers, &site).await);
        assert_eq!(kind(&issuers, &token), None, "the last keys stay");
    }
    // Fetched again and found the same: nothing is checked again.
    site.serve(Some(set(&[first.jwk("k1")])));
    let checked = issuers.checked();
    assert!(refresh(&issuers, &site).await);
    assert_eq!((kind(&issuers, &token), issuers.checked()), (None, checked));
    // The issuer's keys change: what the old ones signed is good no more, though it was remembered.
    let next = second.token("k2", &claims());
    assert_eq!(kind(&issuers, &next), Some(Kind::InvalidKey));
    site.serve(Some(set(&[second.jwk("k2")])));
    assert!(refresh(&issuers, &site).await);
    assert_eq!((kind(&issuers, &next), kind(&issuers, &token)), (None, Some(Kind::InvalidKey)));
}

#[tokio::test]
async fn an_unknown_key_has_them_fetched_again_but_not_all_the_time() {
    let signer = Signer::ec();
    let (issuers, site) = (fetched(), Site::default());
    site.serve(Some(set(&[signer.jwk("k1")])));
    assert!(refresh(&issuers, &site).await);
    let fetched_at = SystemTime::now();
    assert!(issuers.due(fetched_at + Duration::from_secs(60)).is_empty());
    assert_eq!(issuers.due(fetched_at + Duration::from_secs(601)), [0], "every ten minutes");
    let unknown = |n: u32, at| {
        let claims = with(&[("jti", json!(n)), ("exp", json!(4_000_000_000_u64))]);
        verify_at(&issuers, &signer.token("new", &claims), at).unwrap_err().kind()
    };
    assert_eq!(unknown(1, fetched_at + Duration::from_secs(10)), Kind::InvalidKey);
    assert!(issuers.due(fetched_at + Duration::from_secs(10)).is_empty(), "they are new");
    assert_eq!(unknown(2, fetched_at + Duration::from_secs(40)), Kind::InvalidKey);
    assert_eq!(issuers.due(fetched_at + Duration::from_secs(40)), [0]);
    // While it is away, who asks does not hurry the next attempt.
    site.serve(None);
    for _ in 0..6 {
        assert!(!refresh(&issuers, &site).await);
    }
    let failed_at = SystemTime::now();
    assert_eq!(unknown(3, failed_at + Duration::from_secs(10)), Kind::InvalidKey);
    assert!(issuers.due(failed_at + Duration::from_secs(10)).is_empty());
    assert_eq!(issuers.due(failed_at + Duration::from_secs(31)), [0]);
}

#[tokio::test]
async fn a_reload_keeps_what_is_known() {
    let signer = Signer::ec();
    let (old, site) = (fetched(), Site::default());
    site.serve(Some(set(&[signer.jwk("k1")])));
    assert!(refresh(&old, &site).await);
    let same =
        Issuers::new(&Auth { jwt: vec![config(KeySource::Url("https://login.example/keys".into()))] }, Some(&old));
    assert!(Arc::ptr_eq(&same.unwrap(), &old));
    let mut other = config(KeySource::Url("https://login.example/keys".into()));
    other.audiences = vec!["other".into()];
    let new = Issuers::new(&Auth { jwt: vec![other] }, Some(&old)).unwrap();
    assert!(!new.is_waiting());
    assert_eq!(kind(&new, &signer.token("k1", &claims())), Some(Kind::InvalidKey), "it is for somebody else now");
    assert_eq!(kind(&new, &signer.token("k1", &with(&[("aud", json!("other"))]))), None);
}

#[test]
fn keys_that_are_none_are_refused_when_the_configuration_is_read() {
    for keys in [
        KeySource::Set("[]".into()),
        KeySource::Set(set(&[json!({"kty": "oct", "k": "c2VjcmV0"})])),
        KeySource::Pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into()),
    ] {
        assert!(Issuers::new(&Auth { jwt: vec![config(keys)] }, None).unwrap_err().starts_with("auth.jwt login: "));
    }
    let pem = include_str!("../../../tests/fixtures/jwt-rsa.pub");
    let issuers = issuers(config(KeySource::Pem(pem.into())));
    assert_eq!(kind(&issuers, &Signer::rsa().token("any", &claims())), None);
}
