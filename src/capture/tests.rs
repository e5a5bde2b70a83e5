use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use super::*;
use crate::config::capture::{CaptureKey, Redact};
use crate::secret::Secret;

#[expect(clippy::disallowed_types, reason = "a test reads what is kept")]
type Json = serde_json::Value;

const KEY: &str = "wk-the-clients-own-key";

struct World {
    captures: Captures,
    directory: std::path::PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn rules(key: u8) -> Arc<Capture> {
    let key = CaptureKey::parse(&hex::encode([key; 32]));
    let redact = vec![Redact::parse("/user").unwrap()];
    Arc::new(Capture { key, most_bytes: 1 << 20, keep: Duration::from_secs(3_600), redact })
}

fn world() -> World {
    let directory = std::env::temp_dir().join(format!("weir-captures-{}", Uuid::now_v7()));
    World { captures: Captures::new(&directory, rules(1)), directory }
}

fn wanted(tenant: &str, most: u32) -> Wanted {
    let redact = vec![Redact::parse("emails").unwrap()];
    Wanted { tenant: tenant.into(), key: None, period: Duration::from_secs(60), most, redact }
}

fn about(tenant: &str) -> About {
    About {
        request_id: Uuid::now_v7(),
        started_at: SystemTime::now(),
        started: Instant::now(),
        tenant: tenant.into(),
        key: "k".into(),
        format: "chat",
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

const BODY: &str =
    r#"{"model":"m","user":"ada","messages":[{"role":"user","content":"to a@example.com wk-the-clients-own-key"}]}"#;

/// One exchange with two attempts; gives the request's id.
fn exchange(captures: &Captures) -> Option<Uuid> {
    let recorder = captures.recorder(|| Some(about("acme")))?;
    let bearer = format!("Bearer {KEY}");
    let json = ("content-type", "application/json");
    let head = headers(&[("authorization", &bearer), json, ("x-weir-tags", "a=b"), ("x-own", "1")]);
    let uri = Uri::from_static("/v1/chat/completions?beta=1&token=abc");
    recorder.asked((&Method::POST, &uri, &head), &Bytes::from(BODY), vec![Secret::new(KEY)]);
    for (provider, status) in [("one", 500), ("two", 200)] {
        let to = To {
            provider: provider.into(),
            endpoint: provider.into(),
            model: "m".into(),
            format: "messages",
            kind: "first",
        };
        let leg = recorder.leg(to, vec![Secret::new("sk-the-providers")]).unwrap();
        let head = headers(&[("x-api-key", "sk-the-providers"), json]);
        leg.sent((&Method::POST, &Uri::from_static("/v1/messages"), &head), &Bytes::from(BODY));
        leg.answered(status, &headers(&[json, ("set-cookie", "session=1")]));
        leg.piece(br#"{"text":"sk-the-"#);
        leg.piece(br#"providers"}"#);
    }
    recorder.head(200, &headers(&[json]));
    recorder.piece(b"{}");
    let id = recorder.about.request_id;
    captures.put(recorder);
    Some(id)
}

fn read(captures: &Captures, id: Uuid) -> Json {
    serde_json::from_slice(&captures.read(id).unwrap()).unwrap()
}

#[test]
fn both_sides_are_kept_and_no_credential() {
    let world = world();
    world.captures.start(wanted("acme", 5), "ops").unwrap();
    let id = exchange(&world.captures).unwrap();
    let kept = read(&world.captures, id);
    let asked = &kept["client"]["request"];
    let redacted =
        BODY.replace("\"ada\"", "\"[redacted]\"").replace("a@example.com", "[email]").replace(KEY, "[redacted]");
    assert_eq!(asked["body"]["text"], redacted);
    assert_eq!(asked["path"], "/v1/chat/completions?beta=1&token=[hidden]");
    let value = |headers: &Json, name: &str| {
        let found = headers.as_array().unwrap().iter().find(|pair| pair["name"] == name);
        found.unwrap()["value"].clone()
    };
    assert_eq!(value(&asked["headers"], "authorization"), Json::Null);
    assert_eq!(value(&asked["headers"], "x-own"), Json::Null);
    assert_eq!(value(&asked["headers"], "x-weir-tags"), "a=b");
    let attempts = kept["attempts"].as_array().unwrap();
    assert_eq!(attempts.iter().map(|one| one["rounds"][0]["answer"]["status"].clone()).collect::<Vec<_>>(), [500, 200]);
    assert_eq!(attempts[1]["rounds"][0]["answer"]["body"]["text"], r#"{"text":"[redacted]"}"#);
    assert_eq!((&kept["client"]["answer"]["status"], &kept["tenant"]), (&200.into(), &"acme".into()));
    let text = kept.to_string();
    for secret in [KEY, "sk-the-providers", "session=1", "a@example.com", "ada", "abc"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let counts = Counts { kept: 1, dropped: 0, running: 1 };
    assert_eq!(world.captures.counts(), counts);
}

#[test]
fn nothing_is_captured_that_nobody_asked_for() {
    let world = world();
    let nobody = || -> Option<About> { panic!("nothing runs, so nothing is asked") };
    assert!(world.captures.recorder(nobody).is_none());
    world.captures.start(wanted("globex", 5), "ops").unwrap();
    assert!(exchange(&world.captures).is_none());
    world.captures.start(wanted("acme", 1), "ops").unwrap();
    assert!(exchange(&world.captures).is_some() && exchange(&world.captures).is_none(), "one was wanted");
    world.captures.work();
    assert_eq!(world.captures.counts().running, 1);
}

#[test]
fn without_a_key_nothing_starts_and_nothing_goes_on() {
    let world = world();
    world.captures.start(wanted("acme", 5), "ops").unwrap();
    let id = exchange(&world.captures).unwrap();
    world.captures.flush();
    world.captures.bind(&Arc::default());
    assert!(exchange(&world.captures).is_none());
    assert_eq!(world.captures.start(wanted("acme", 5), "ops").err(), Some(NotStarted::NoKey));
    let rules = |key: u8| Arc::new(Capture { keep: Duration::from_secs(60), ..Capture::clone(&rules(key)) });
    world.captures.bind(&rules(2));
    assert!(matches!(world.captures.read(id), Err(NotShown::Unreadable(Unreadable::OtherKey))));
    world.captures.bind(&rules(1));
    assert!(world.captures.read(id).is_ok());
    world.captures.bind(&Arc::new(Capture { keep: Duration::ZERO, ..Capture::clone(&rules(1)) }));
    assert!(matches!(world.captures.read(id), Err(NotShown::Unknown)), "its time is over");
}

#[test]
fn an_end_removes_what_was_kept_and_what_still_runs() {
    let world = world();
    let one = world.captures.start(wanted("acme", 5), "ops").unwrap();
    let id = exchange(&world.captures).unwrap();
    world.captures.flush();
    let late = world.captures.recorder(|| Some(about("acme"))).unwrap();
    assert_eq!(world.captures.end(one.id, true).unwrap(), Some(()));
    assert!(world.captures.read(id).is_ok() && exchange(&world.captures).is_none());
    assert_eq!(world.captures.end(one.id, false).unwrap(), Some(()));
    world.captures.put(late);
    world.captures.flush();
    assert!(matches!(world.captures.read(id), Err(NotShown::Unknown)));
    let list: Json = serde_json::from_slice(&world.captures.list()).unwrap();
    assert_eq!((&list["data"], &list["bytes"]), (&serde_json::json!([]), &0.into()));
    assert_eq!(world.captures.end(one.id, false).unwrap(), None);
}

#[test]
fn a_queue_that_is_full_drops_and_counts() {
    let world = world();
    world.captures.start(wanted("acme", 1_000), "ops").unwrap();
    for _ in 0..MOST_WAITING + 3 {
        exchange(&world.captures).unwrap();
    }
    assert_eq!(world.captures.counts().dropped, 3);
    // Where nothing can be written, it is counted too.
    std::fs::write(&world.directory, "in the way").unwrap();
    world.captures.flush();
    assert_eq!(world.captures.counts(), Counts { kept: 0, dropped: 3 + MOST_WAITING as u64, running: 1 });
    std::fs::remove_file(&world.directory).unwrap();
}

#[test]
fn memory_is_bounded_and_given_back() {
    let world = world();
    world.captures.start(wanted("acme", 1_000), "ops").unwrap();
    let large = Bytes::from(vec![b'x'; 40 << 20]);
    let take = || {
        let recorder = world.captures.recorder(|| Some(about("acme"))).unwrap();
        let (uri, none) = (Uri::from_static("/"), HeaderMap::new());
        recorder.asked((&Method::POST, &uri, &none), &large, Vec::new());
        recorder
    };
    let (first, second) = (take(), take());
    assert!(!first.state().asked.body.is_cut && second.state().asked.body.is_cut, "there is no room for two");
    second.piece(&vec![b'y'; 3 << 20]);
    let got = &second.state().got.body.bytes;
    assert_eq!(*got, 3 << 20);
    drop(first);
    assert!(!take().state().asked.body.is_cut, "it was given back");
}
