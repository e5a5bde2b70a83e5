//! Several endpoints of one provider, and who may be served by which: pools, policies, conversations,
//! the line before places that are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Scope;

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, chunk, message, sse, streamed, text, with};
use crate::routing::{named, server, start, timeline};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY};
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens, until};

/// Of the provider `p`: one endpoint for each upstream, `p#1` and so on.
fn pool(upstreams: &[&Upstream], more: &str) -> String {
    let endpoint = |upstream: &&Upstream| format!("{{base_url: \"http://{}/v1\"}}", upstream.address);
    let endpoints: Vec<String> = upstreams.iter().map(endpoint).collect();
    format!("  p: {{kind: openai-compatible, endpoints: [{}]{more}}}\n", endpoints.join(", "))
}

#[test]
fn a_refused_credential_is_taken_out_and_the_others_serve() {
    let upstream = Upstream::start(|request, conn| {
        match request.header("authorization") {
        Some("Bearer key-that-is-good") => conn.json(200, &chat_answer("ok")),
        _ => conn.json(401, r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#),
    }
    });
    let providers = format!(
        "  p: {{kind: openai-compatible, base_url: \"http://{}/v1\", endpoints: [{{id: old, api_key: key-that-is-gone}}, {{id: new, api_key: key-that-is-good}}]}}\n",
        upstream.address
    );
    let gateway = start(&providers, "", "");
    for n in 0..30 {
        let answer = gateway.post(CHAT, &chat("p/m", &format!("hi {n}")));
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    let keys: Vec<_> = upstream.requests().iter().map(|r| r.header("authorization").unwrap().to_owned()).collect();
    let refused = keys.iter().filter(|key| key.ends_with("gone")).count();
    assert_eq!(refused, 1, "once it is known, nothing is sent with it");
    let fell_back = gateway.wait_records(30).into_iter().find(|record| record["attempts"] == 2).unwrap();
    assert_eq!(timeline(&fell_back), ["p first auth", "p fallback ok"]);
    assert_eq!(
        (&fell_back["timeline"][0]["endpoint"], &fell_back["timeline"][1]["endpoint"]),
        (&json!("p#old"), &json!("p#new"))
    );
    let log = gateway.stderr();
    let alert = log.lines().find(|line| line.contains("refuses the credential")).expect("an alert");
    assert!(alert.contains("p#old") && alert.contains("ERROR"), "{alert}");
    assert_eq!(log.matches("refuses the credential").count(), 1, "said once");
    assert!(!log.contains("key-that-is"), "and no key is in the log");
}

/// Three providers with other promises, `plain` first, and a route over all.
fn promising(tenant: &str) -> (Gateway, [Upstream; 3]) {
    let all = [named("plain"), named("eu"), named("strict")];
    let providers = server("plain", &all[0], ", region: us-east-1, models: {m: m}")
        + &server("eu", &all[1], ", region: eu-west-1, labels: [no_training], models: {m: m}")
        + &server("strict", &all[2], ", region: eu-north-1, labels: [no_training, zero_retention], models: {m: m}");
    let more = "routes: {r: {targets: [{model: plain/m}, {model: eu/m}, {model: strict/m}]}}";
    (start(&providers, tenant, more), all)
}

fn listed(gateway: &Gateway) -> Vec<String> {
    let list = gateway.call("GET", "/v1/models", &Value::Null).json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

fn is_forbidden(answer: &Answer) {
    assert_eq!(answer.status(), 403, "{}", answer.text());
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("may serve this tenant"), "{message}");
}

#[test]
fn a_tenants_policy_binds_every_attempt() {
    for (policy, serves) in [
        ("    regions: [\"eu-*\"]", vec!["eu", "strict"]),
        ("    require: [no_training]", vec!["eu", "strict"]),
        ("    require: [no_training, zero_retention]", vec!["strict"]),
        ("    providers: [plain]", vec!["plain"]),
        ("    providers: [plain, strict]\n    regions: [\"eu-*\"]", vec!["strict"]),
    ] {
        let (gateway, _all) = promising(policy);
        assert_eq!(text(&gateway.post(CHAT, &chat("r", "hi")).json()), serves[0], "{policy}");
        for name in ["plain", "eu", "strict"] {
            let answer = gateway.post(CHAT, &chat(&format!("{name}/m"), "hi"));
            match serves.contains(&name) {
                true => assert_eq!(answer.status(), 200, "{policy} {name}"),
                false => is_forbidden(&answer),
            }
        }
        for name in ["plain", "eu", "strict"] {
            let one = gateway.call("GET", &format!("/v1/models/{name}/m"), &Value::Null);
            assert_eq!(one.status(), if serves.contains(&name) { 200 } else { 404 }, "{policy} {name}");
        }
        let mut expected: Vec<String> = serves.iter().map(|name| format!("{name}/m")).collect();
        expected.push("r".to_owned());
        let mut listed = listed(&gateway);
        listed.retain(|name| name != "auto");
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected, "{policy}");
    }
}

#[test]
fn nothing_falls_back_to_where_a_tenant_may_not_be_served() {
    let (bad, forbidden) = (Upstream::json(500, "{}"), named("forbidden"));
    let providers = server("bad", &bad, ", region: eu-1") + &server("forbidden", &forbidden, ", region: us-1");
    let more = "routes: {r: {targets: [{model: bad/m}, {model: forbidden/m}]}, none: {targets: [{model: forbidden/m}, {model: forbidden/n}]}}";
    let gateway = start(&providers, "    regions: [\"eu-*\"]", more);
    let answer = gateway.post(CHAT, &chat("r", "hi"));
    assert_eq!((answer.status(), answer.header("x-weir-attempts")), (502, "1"), "{}", answer.text());
    for (path, body) in both("none", "hi") {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 403, "{}", answer.text());
    }
    assert!(forbidden.requests().is_empty());
    assert!(!listed(&gateway).contains(&"none".to_owned()));
}

#[test]
fn a_pool_serves_a_tenant_from_its_regions_only() {
    let (here, there) = (named("here"), named("there"));
    let providers = format!(
        "  p: {{kind: openai-compatible, endpoints: [{{base_url: \"http://{}/v1\", region: us-1}}, {{base_url: \"http://{}/v1\", region: eu-1}}]}}\n",
        there.address, here.address
    );
    let gateway = start(&providers, "    regions: [\"eu-*\"]", "");
    for n in 0..20 {
        assert_eq!(text(&gateway.post(CHAT, &chat("p/m", &format!("hi {n}"))).json()), "here");
    }
    assert!(there.requests().is_empty());
}

/// The endpoint that answered each conversation.
fn places(gateway: &Gateway, conversations: usize, first: &str) -> Vec<String> {
    let ask = |n: usize| {
        let body = chat("p/m", &format!("{first} {n}"));
        text(&gateway.post(CHAT, &body).json()).to_owned()
    };
    (0..conversations).map(ask).collect()
}

/// Row 18: a conversation stays where its prompt cache is.
#[test]
fn row_18_conversations_stay_at_their_endpoint_and_spread_over_all() {
    let (one, two) = (named("one"), named("two"));
    let gateway = start(&pool(&[&one, &two], ""), "", "");
    let first = places(&gateway, 40, "conversation");
    assert_eq!(places(&gateway, 40, "conversation"), first, "the same ones go to the same place");
    let at_one = first.iter().filter(|name| *name == "one").count();
    assert!((8..=32).contains(&at_one), "{at_one} of 40");
    // Later turns, in whichever format, belong to what the conversation began with.
    for (n, place) in first.iter().enumerate().take(10) {
        let mut body = chat("p/m", &format!("conversation {n}"));
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": "yes?"}));
        messages.push(json!({"role": "user", "content": "go on"}));
        assert_eq!(text(&gateway.post(CHAT, &body).json()), place, "turn two of {n}");
    }
}

#[test]
fn a_conversation_may_name_itself() {
    let (one, two) = (named("one"), named("two"));
    let gateway = start(&pool(&[&one, &two], ""), "", "");
    let ask = |session: &str, words: &str| {
        let answer = gateway.call_with("POST", CHAT, &[("x-session-affinity", session)], &chat("p/m", words));
        text(&answer.json()).to_owned()
    };
    let mut seen = std::collections::BTreeSet::new();
    for session in 0..16 {
        let session = format!("session-{session}");
        let place = ask(&session, "one thing");
        assert!((0..3).all(|n| ask(&session, &format!("another thing {n}")) == place), "{session}");
        seen.insert(place);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_conversation_whose_endpoint_fails_goes_on_at_the_other() {
    let (one, two) = (Upstream::json(503, "{}"), named("two"));
    let gateway = start(&pool(&[&one, &two], ""), "", "");
    assert!(places(&gateway, 30, "conversation").iter().all(|place| place == "two"));
    assert_eq!(one.requests().len(), 5, "then its breaker is open");
}

/// Its answers say how much of a hundred is left.
fn with_quota(name: &'static str, left: usize) -> Upstream {
    let used = AtomicUsize::new(0);
    Upstream::start(move |_, conn| {
        let remaining = left.saturating_sub(used.fetch_add(1, Ordering::SeqCst)).to_string();
        let headers = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", remaining.as_str()),
            ("x-ratelimit-reset-requests", "60s"),
        ];
        conn.json_with(200, &headers, &chat_answer(name));
    })
}

#[test]
fn a_quota_that_runs_out_is_spared_before_it_does() {
    let (scarce, plenty) = (with_quota("scarce", 7), with_quota("plenty", 90));
    let providers = server("scarce", &scarce, "") + &server("plenty", &plenty, "");
    let gateway = start(&providers, "", "routes: {r: {targets: [{model: scarce/m}, {model: plenty/m}]}}");
    let names: Vec<String> = (0..10).map(|_| text(&gateway.post(CHAT, &chat("r", "hi")).json()).to_owned()).collect();
    // Below five of a hundred it is left to those that have no other.
    assert_eq!(names, [["scarce"; 4].as_slice(), &["plenty"; 6]].concat());
    assert_eq!(text(&gateway.post(CHAT, &chat("scarce/m", "hi")).json()), "scarce");
}

/// A provider with one place, whose requests wait at a gate; and two tenants.
struct Narrow {
    gateway: Gateway,
    upstream: Upstream,
    gate: Gate,
}

const SECOND_KEY: &str = "wk-second-tenant-77aa";

fn narrow(queue: &str) -> Narrow {
    let gate = Gate::default();
    let waits = gate.clone();
    let upstream = Upstream::start(move |_, conn| {
        waits.pass();
        conn.json(200, &chat_answer("ok"));
    });
    let providers = server("p", &upstream, &format!(", max_concurrency: 1{queue}"));
    let other = format!("  other:\n    keys: [{{id: other-dev, secret: \"{SECOND_KEY}\"}}]\n");
    let gateway = start(&providers, &other, "");
    Narrow { gateway, upstream, gate }
}

impl Narrow {
    fn ask(&self, key: &str, words: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = chat("p/m", words).to_string();
        self.gateway.client().request("POST", CHAT, &headers, body.as_bytes()).answer()
    }

    fn is_served(&self, key: &str, words: &str) {
        let answer = self.ask(key, words);
        assert_eq!(answer.status(), 200, "{words}: {}", answer.text());
    }

    /// Waits until that many stand in line.
    fn in_line(&self, count: f64) {
        let of = ["endpoint=\"p\""];
        until("the line", || (self.gateway.metric("weir_endpoint_waiting", &of) == count).then_some(()));
    }

    /// Runs `then` while a request holds the only place; what it left in line is served after it.
    fn while_full<'n>(&'n self, then: impl for<'s> FnOnce(&'s Scope<'s, 'n>)) {
        std::thread::scope(|scope| {
            let _opens = Opens(self.gate.clone());
            scope.spawn(|| self.is_served(KEY, "first"));
            until("the only place to be taken", || (self.upstream.requests().len() == 1).then_some(()));
            then(scope);
        });
    }
}

#[test]
fn a_place_that_comes_free_goes_to_the_tenant_that_has_had_less() {
    let narrow = &narrow("");
    narrow.while_full(|scope| {
        for n in 0..4 {
            scope.spawn(move || narrow.is_served(KEY, &format!("acme {n}")));
        }
        narrow.in_line(4.0);
        scope.spawn(|| narrow.is_served(SECOND_KEY, "other"));
        narrow.in_line(5.0);
        assert_eq!(narrow.upstream.requests().len(), 1, "one at a time");
    });
    let order: Vec<String> = narrow
        .upstream
        .requests()
        .iter()
        .map(|r| r.json()["messages"][0]["content"].as_str().unwrap().to_owned())
        .collect();
    let place = order.iter().position(|words| words == "other").unwrap();
    assert!(place <= 2, "it does not wait for all of the other's: {order:?}");
    assert_eq!(order.len(), 6);
}

#[test]
fn a_reload_of_the_line_hands_out_no_place_twice() {
    let narrow = &narrow("");
    narrow.while_full(|scope| {
        let file = std::fs::read_to_string(narrow.gateway.dir.join("weir.yaml")).unwrap();
        let changed = file.replace("max_concurrency: 1", "max_concurrency: 1, queue: {waiting: 9, patience: 50s}");
        assert_ne!(file, changed);
        narrow.gateway.write_config(&changed);
        assert_eq!(narrow.gateway.admin("POST", "/admin/v1/reload").status(), 200);
        scope.spawn(|| narrow.is_served(KEY, "second"));
        narrow.in_line(1.0);
        assert_eq!(narrow.upstream.requests().len(), 1, "the first still runs");
    });
    assert_eq!(narrow.upstream.requests().len(), 2);
}

#[test]
fn a_wait_longer_than_patience_is_refused_and_says_when_to_come_back() {
    let narrow = narrow(", queue: {waiting: 8, patience: 400ms}");
    narrow.while_full(|_| {
        let refused = narrow.ask(KEY, "second");
        assert_eq!(refused.status(), 429, "{}", refused.text());
        let error = refused.json()["error"].clone();
        assert_eq!(error["type"], "rate_limit_error", "{error}");
        assert!(
            refused.header("retry-after").parse::<u64>().is_ok_and(|s| (1..=60).contains(&s)),
            "{:?}",
            refused.head
        );
    });
    assert_eq!(narrow.upstream.requests().len(), 1);
    let refused = narrow.gateway.wait_records(2).into_iter().find(|r| r["status"] == 429).unwrap();
    assert_eq!(timeline(&refused), ["p first no_place"]);
}

/// The client has less patience than the line.
#[test]
fn a_line_that_is_full_refuses_at_once() {
    let narrow = narrow(", queue: {waiting: 0, patience: 60s}");
    narrow.while_full(|_| assert_eq!(narrow.ask(KEY, "second").status(), 429));
}

/// Who waits in line and leaves gives its turn to the next.
#[test]
fn a_client_that_leaves_the_line_keeps_nobody_waiting() {
    let narrow = &narrow("");
    narrow.while_full(|scope| {
        let mut leaves = narrow.gateway.client();
        let bearer = format!("Bearer {KEY}");
        leaves.request("POST", CHAT, &[("authorization", &bearer)], chat("p/m", "leaves").to_string().as_bytes());
        narrow.in_line(1.0);
        scope.spawn(|| narrow.is_served(KEY, "last"));
        narrow.in_line(2.0);
        drop(leaves);
        assert_eq!(narrow.gateway.record(1)["status"], 499);
    });
    assert_eq!(narrow.upstream.requests().len(), 2, "the one that left was never sent");
}

/// One endpoint has a place: nobody stands in line for the other.
#[test]
fn a_free_place_elsewhere_comes_before_a_line() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let inside = Arc::new(AtomicUsize::new(0));
    let upstreams = [0, 1].map(|_| {
        let (waits, inside) = (gate.clone(), inside.clone());
        Upstream::start(move |_, conn| {
            inside.fetch_add(1, Ordering::SeqCst);
            waits.pass();
            conn.json(200, &chat_answer("ok"));
        })
    });
    let gateway = start(&pool(&[&upstreams[0], &upstreams[1]], ", max_concurrency: 1"), "", "");
    std::thread::scope(|scope| {
        for count in 1..=2 {
            scope.spawn(|| assert_eq!(gateway.post(CHAT, &chat("p/m", "the same words")).status(), 200));
            until("one more to be asked", || (inside.load(Ordering::SeqCst) == count).then_some(()));
        }
        gate.open();
    });
    assert!(upstreams.iter().all(|upstream| upstream.requests().len() == 1));
}

/// The answer of a pool's second endpoint, in each format, streamed or not, is like the first's.
#[test]
fn every_format_is_served_by_a_pool() {
    let stream =
        sse(&[chunk(&json!({"role": "assistant", "content": "streamed"}), None), chunk(&json!({}), Some("stop"))]);
    let good = Upstream::start(move |request, conn| match request.json()["stream"] == true {
        true => {
            conn.sse_head();
            conn.chunk(stream.as_bytes());
            conn.end();
        }
        false => conn.json(200, &chat_answer("whole")),
    });
    let bad = Upstream::json(503, "{}");
    let gateway = start(&pool(&[&bad, &good], ""), "", "");
    for (path, body) in both("p/m", "hi") {
        assert_eq!(text(&gateway.post(path, &body).json()), "whole");
        let events: Vec<_> = gateway.stream(path, &streamed(body)).events().collect();
        assert_eq!(crate::ask::stream_text(&events), "streamed");
    }
    let tools = with(message("p/m", "hi"), json!({"tools": [crate::ask::tool("get")]}));
    assert_eq!(gateway.post(MESSAGES, &tools).status(), 200);
}
