//! Limits: exact, honest about when to come back, and each on its own key.

use serde_json::json;

use crate::ask::{CHAT, MESSAGES, both, chat, chunk, message, streamed, with};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, full_config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens, until};

fn limited(sim: &Simulated, tenant: &str) -> Gateway {
    Gateway::start(&full_config("", sim.address, sim.address, tenant, ""))
}

fn check_refusal(answer: &Answer, path: &str) {
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status(), &error["type"]), (429, &json!("rate_limit_error")), "{error}");
    if path == CHAT {
        assert_eq!(error["code"], "rate_limit_exceeded");
    }
    let seconds: u64 = answer.header("retry-after").parse().expect("retry-after in seconds");
    let ms: u64 = answer.header("retry-after-ms").parse().expect("retry-after-ms");
    assert!((1..=60).contains(&seconds) && ms <= seconds * 1000, "{seconds} s, {ms} ms");
}

#[test]
fn requests_per_minute_are_exact_and_the_429_names_the_limit() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    limits: {requests_per_minute: 3}");
    for nth in 0..3 {
        assert_eq!(gateway.post(CHAT, &chat("openai/sim-1", "hi")).status(), 200, "request {nth}");
    }
    for (path, body) in both("openai/sim-1", "hi") {
        let answer = gateway.post(path, &body);
        check_refusal(&answer, path);
        let said = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(said.contains('3') && said.contains("request"), "{said}");
    }
    assert_eq!(sim.log().len(), 3, "a refused request is not sent");
    assert!(gateway.metric("weir_throttled_total", &["tenant=\"acme\""]) >= 2.0);
}

#[test]
fn the_limits_headers_are_in_the_clients_format() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    limits: {requests_per_minute: 100, tokens_per_minute: 100000}");
    let answer = gateway.post(CHAT, &chat("openai/sim-1", "hi"));
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "100", "{:?}", answer.head);
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "99");
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "100000");
    assert!(answer.header("x-ratelimit-remaining-tokens").parse::<u64>().unwrap() < 100_000);
    let answer = gateway.post(MESSAGES, &message("openai/sim-1", "hi"));
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), "100", "{:?}", answer.head);
    assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), "98");
    assert_eq!(answer.header("anthropic-ratelimit-tokens-limit"), "100000");
}

#[test]
fn tokens_are_reserved_and_then_settled_on_what_was_used() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    limits: {tokens_per_minute: 1000}");
    // Each reserves some 600 and uses about ten: were reservations kept, the second would fail.
    let body = with(chat("openai/sim-1", "hi there"), json!({"max_tokens": 600}));
    for nth in 0..4 {
        let answer = gateway.post(CHAT, &body);
        assert_eq!(answer.status(), 200, "request {nth}: {}", answer.text());
    }
    let answer = gateway.post(CHAT, &with(chat("openai/sim-1", "hi there"), json!({"max_tokens": 5000})));
    assert_eq!(answer.status(), 429, "more than a minute allows at all");
    let used: u64 = 1000 - gateway.post(CHAT, &body).header("x-ratelimit-remaining-tokens").parse::<u64>().unwrap();
    assert!(used < 1000);
}

#[test]
fn one_at_a_time_means_one_at_a_time() {
    let gate = Gate::default();
    let opens = Opens(gate.clone());
    let upstream = Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": "x"}), None));
        gate.pass();
        conn.data(chunk(&json!({}), Some("stop")));
        conn.data("[DONE]");
        conn.end();
    });
    let tenant = "    limits: {concurrency: 1}";
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, tenant, ""));
    let body = streamed(chat("openai/gpt-4o-mini", "hi"));
    let mut first = gateway.stream(CHAT, &body);
    check_refusal(&gateway.post(CHAT, &body), CHAT);
    drop(opens);
    assert!(first.events().count() >= 2);
    until("the place to be free again", || (gateway.post(CHAT, &body).status() == 200).then_some(()));
}

#[test]
fn a_client_that_left_gives_its_place_back() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    limits: {concurrency: 1}");
    let client = gateway.stream(CHAT, &streamed(chat("openai/sim-stall", "hi")));
    drop(client);
    until("the place to be free again", || {
        (gateway.post(CHAT, &chat("openai/sim-1", "hi")).status() == 200).then_some(())
    });
}

/// Row 38: limits are each key's and tenant's own.
#[test]
fn limits_do_not_reach_other_keys() {
    let sim = Simulated::start();
    let more = "tenants_more: 1";
    let text = full_config(
        "",
        sim.address,
        sim.address,
        "    limits: {requests_per_minute: 1}\n  beta:\n    keys:\n      - {id: beta-dev, secret: \"wk-beta-key-0\"}",
        "",
    );
    assert!(!text.contains(more));
    let gateway = Gateway::start(&text);
    let ask = |key: &str| {
        let body = chat("openai/sim-1", "hi").to_string();
        gateway.client().request("POST", CHAT, &[("x-api-key", key)], body.as_bytes()).answer().status()
    };
    assert_eq!((ask(KEY), ask(KEY)), (200, 429));
    assert_eq!((ask("wk-beta-key-0"), ask("wk-beta-key-0"), ask("wk-beta-key-0")), (200, 200, 200));
}

#[test]
fn the_tightest_of_tenant_and_key_wins() {
    let sim = Simulated::start();
    let text = full_config(
        "",
        sim.address,
        sim.address,
        "      - {id: small, secret: \"wk-small-key-0\", limits: {requests_per_minute: 1}}\n    limits: {requests_per_minute: 3}",
        "",
    );
    let gateway = Gateway::start(&text);
    let ask = |key: &str| {
        let body = chat("openai/sim-1", "hi").to_string();
        gateway.client().request("POST", CHAT, &[("x-api-key", key)], body.as_bytes()).answer().status()
    };
    assert_eq!((ask("wk-small-key-0"), ask("wk-small-key-0")), (200, 429));
    assert_eq!((ask(KEY), ask(KEY), ask(KEY)), (200, 200, 429), "three for the tenant, one was the small key's");
}

#[test]
fn every_limit_stands_on_every_path() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    limits: {requests_per_minute: 1}");
    assert_eq!(gateway.post(CHAT, &chat("openai/sim-1", "hi")).status(), 200);
    for (path, body) in [
        ("/v1/embeddings", json!({"model": "openai/sim-embed", "input": "x"})),
        ("/v1/completions", json!({"model": "openai/sim-1", "prompt": "x"})),
        (MESSAGES, message("anthropic/sim-1", "hi")),
    ] {
        assert_eq!(gateway.post(path, &body).status(), 429, "{path}");
    }
}
