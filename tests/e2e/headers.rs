//! Which headers go up, and which come back.

use serde_json::json;

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, message, streamed, with};
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

/// Row 17 of the framework's pitfalls: nothing is forwarded wholesale.
#[test]
fn only_listed_headers_reach_the_upstream() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let headers = [
        ("authorization", &*format!("Bearer {KEY}")),
        ("cookie", "session=stolen"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-secret-internal", "leak"),
        ("forwarded", "for=10.0.0.1"),
        ("te", "trailers"),
        ("referer", "http://intranet/"),
        ("proxy-authorization", "Basic leak"),
        ("openai-organization", "org-1"),
        ("anthropic-workspace-id", "wrkspc_1"),
        ("openai-beta", "assistants=v2"),
        ("accept-encoding", "gzip, br"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "leak"),
    ];
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    let answer = gateway.client().request("POST", CHAT, &headers, body.as_bytes()).answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let seen = upstream.request();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    for account in ["openai-organization", "anthropic-workspace-id"] {
        assert_eq!(seen.header(account), None, "whose account is charged is not the client's to say: {account}");
    }
    assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(seen.header("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    for name in
        ["cookie", "x-forwarded-for", "x-secret-internal", "forwarded", "te", "referer", "proxy-authorization", "x-hop"]
    {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(seen.headers.iter().all(|(n, v)| n != "accept-encoding" || v == "identity"), "answers are read here");
    let head = String::from_utf8_lossy(&seen.raw_head).into_owned();
    assert!(!head.contains(KEY), "{head}");
    for (name, _) in &seen.headers {
        assert_eq!(seen.headers.iter().filter(|(n, _)| n == name).count(), 1, "{name} once");
    }
    let own = [("x-weir-api-key", KEY), ("authorization", "Bearer sk-own"), ("openai-organization", "org-1")];
    assert_eq!(gateway.client().request("POST", CHAT, &own, body.as_bytes()).answer().status(), 200);
    assert_eq!(
        upstream.requests()[1].header("openai-organization"),
        Some("org-1"),
        "with a credential of its own it is"
    );
}

#[test]
fn anthropic_headers_pass_as_they_are() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let headers = [("anthropic-version", "2026-10-21"), ("anthropic-beta", "a-2025-01-01,b-2025-02-02")];
    let answer = gateway.call_with("POST", "/v1/messages?beta=true", &headers, &message("anthropic/sim-1", "hi"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let seen = sim.last();
    let headers = seen["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["anthropic-version", "2026-10-21"])), "{headers:?}");
    assert!(headers.contains(&json!(["anthropic-beta", "a-2025-01-01,b-2025-02-02"])), "{headers:?}");
    assert!(headers.contains(&json!(["x-api-key", PROVIDER_KEY])), "{headers:?}");
    assert!(headers.iter().all(|h| h[0] != "authorization"), "{headers:?}");
}

#[test]
fn a_chat_request_to_anthropic_gets_a_version() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    assert_eq!(gateway.post(CHAT, &chat("anthropic/sim-1", "hi")).status(), 200);
    let seen = sim.last();
    assert!(seen["headers"].as_array().unwrap().iter().any(|h| h[0] == "anthropic-version"), "{seen}");
}

#[test]
fn every_answer_says_where_it_came_from() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-1"), "hi") {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.header("x-weir-provider"), provider);
            assert_eq!(answer.header("x-weir-model"), "sim-1");
            assert_eq!(answer.header("x-weir-attempts"), "1");
            assert_eq!(answer.header("x-weir-usage-source"), "reported");
            assert!(answer.header("x-weir-overhead-ms").parse::<f64>().is_ok(), "{:?}", answer.head);
            assert_eq!(answer.head.find("x-weir-fallback-used"), None);
            let id = answer.header("x-request-id");
            assert_eq!(uuid::Uuid::parse_str(id).map(|u| u.get_version_num()), Ok(7), "{id}");
            if path == MESSAGES {
                assert_eq!(answer.header("request-id"), id);
            }
            let stream = gateway.call("POST", path, &streamed(body));
            assert_eq!(stream.header("x-weir-provider"), provider);
            assert_eq!(stream.head.find("x-weir-usage-source"), None, "not known when a stream begins");
        }
    }
}

#[test]
fn a_price_that_is_known_is_shown_and_one_that_is_not_is_not_zero() {
    let sim = Simulated::start();
    let more = "prices: {file: \"@DIR@/prices.yaml\"}\n";
    let dir = crate::support::gateway::new_dir();
    std::fs::write(
        dir.join("prices.yaml"),
        "openai/gpt-4o-mini: [{from: 2024-07-18, input: 1, cached: 0.5, output: 2}]\n",
    )
    .unwrap();
    let gateway = Gateway::start_in(dir, &config(sim.address, sim.address, more), &[]);
    let answer = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "one two three"));
    // 3 words in at 1 USD, 5 out at 2 USD per million.
    assert_eq!(answer.header("x-weir-cost-usd").parse::<f64>().ok(), Some(0.000_013), "{:?}", answer.head);
    let answer = gateway.post(CHAT, &chat("openai/sim-1", "one two three"));
    assert_eq!(answer.head.find("x-weir-cost-usd"), None);
}

#[test]
fn the_clients_request_id_comes_back_beside_ours() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let answer = gateway.call_with("POST", CHAT, &[("x-request-id", "mine-1")], &chat("openai/sim-1", "hi"));
    assert_eq!(answer.header("x-client-request-id"), "mine-1");
    assert_ne!(answer.header("x-request-id"), "mine-1");
}

#[test]
fn what_the_target_cannot_express_is_listed() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let body = with(chat("anthropic/sim-1", "hi"), json!({"logit_bias": {"1": 1}, "seed": 7}));
    let answer = gateway.post(CHAT, &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let dropped: Vec<&str> = answer.header("x-weir-dropped").split(", ").collect();
    assert!(dropped.contains(&"logit_bias") && dropped.contains(&"seed"), "{dropped:?}");
    let answer = gateway.post(CHAT, &chat("anthropic/sim-1", "hi"));
    assert_eq!(answer.head.find("x-weir-dropped"), None);
    assert!(gateway.metric("weir_dropped_fields_total", &[]) >= 2.0);
}

#[test]
fn upstream_headers_are_not_passed_on() {
    let upstream = Upstream::start(|_, conn| {
        let headers =
            [("set-cookie", "a=b"), ("server", "vendor"), ("x-internal", "leak"), ("openai-organization", "our-org")];
        conn.json_with(200, &headers, &chat_answer("ok"));
    });
    let gateway = Gateway::with(upstream.address);
    let answer = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
    assert_eq!(answer.status(), 200);
    for name in ["set-cookie", "x-internal", "openai-organization"] {
        assert_eq!(answer.head.find(name), None, "{name}");
    }
}
