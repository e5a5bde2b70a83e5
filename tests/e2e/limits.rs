//! Limits: exact, honest about when to come back, and each on its own key.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, chunk, message, streamed, with};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, config, full_config};
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

/// The limits of `GET /v1/limits`: scope, name, kind and limit.
fn shown(gateway: &Gateway, headers: &[(&str, &str)]) -> Vec<(String, String, String, u64)> {
    let body = gateway.call_with("GET", "/v1/limits", headers, &Value::Null).json();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = body["data"].as_array().unwrap().iter();
    let row =
        |row: &Value| (text(row, "scope"), text(row, "name"), text(row, "limit_type"), row["limit"].as_u64().unwrap());
    rows.map(row).collect()
}

/// Row 40: whatever limit there is in the file is shown to whom it holds for, and to the operator.
#[test]
fn row_40_every_configured_limit_is_echoed() {
    let sim = Simulated::start();
    let mut all = Vec::new();
    // Larger for longer, and for input and output together: none of them is dead.
    for (what, factor) in [("requests", 10), ("input_tokens", 1_000), ("output_tokens", 1_000), ("tokens", 2_000)] {
        for (every, times) in [("second", 1), ("minute", 2), ("hour", 3), ("day", 4)] {
            all.push((format!("{what}_per_{every}"), factor * times));
        }
    }
    all.push(("concurrency".to_owned(), 5));
    let members: Vec<String> = all.iter().map(|(name, limit)| format!("{name}: {limit}")).collect();
    let limits = format!("{{{}}}", members.join(", "));
    let tenant = format!(
        "    limits: {limits}\n    model_limits: {{\"openai/*\": {limits}}}\n    users: {{limits: {limits}}}\n    \
         tags: {{\"team=*\": {{limits: {limits}}}, nightly: {{limits: {limits}}}}}"
    );
    let gateway = limited(&sim, &tenant);
    let tagged = [("x-weir-user", "ada"), ("x-weir-tags", "team=search, nightly")];
    let body = chat("openai/sim-1", "hi");
    assert_eq!(gateway.call_with("POST", CHAT, &tagged, &body).status(), 200);
    let found = shown(&gateway, &tagged);
    let scopes = [
        ("tenant", "acme"),
        ("model", "openai/*"),
        ("tag", "nightly"),
        ("user", "ada"),
        ("tag", "team=search"),
        ("user", "*"),
        ("tag", "team=*"),
    ];
    for (scope, name) in scopes {
        for (kind, limit) in &all {
            let row = (scope.to_owned(), name.to_owned(), kind.clone(), *limit);
            assert!(found.contains(&row), "{row:?} is not in {found:?}");
        }
    }
    assert_eq!(found.len(), scopes.len() * all.len());
    let tenants = gateway.admin("GET", "/admin/v1/tenants").json();
    let acme = &tenants["data"][0];
    for (kind, limit) in &all {
        for place in [
            &acme["limits"],
            &acme["model_limits"][0]["limits"],
            &acme["users"]["limits"],
            &acme["tags"][0]["limits"],
            &acme["tags"][1]["limits"],
        ] {
            assert_eq!(&place[kind], limit, "{kind}: {acme}");
        }
    }
}

/// Whom a request is for, in the words of each format; the record says so.
#[test]
fn a_user_has_limits_alone_whatever_the_format() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    users: {limits: {requests_per_hour: 2}}");
    let ada = [
        (CHAT, with(chat("openai/sim-1", "hi"), json!({"user": "ada"})), ""),
        (MESSAGES, with(message("openai/sim-1", "hi"), json!({"metadata": {"user_id": "ada"}})), ""),
        (CHAT, chat("openai/sim-1", "hi"), "ada"),
        ("/v1/responses", json!({"model": "openai/sim-1", "input": "hi", "safety_identifier": "ada"}), ""),
    ];
    let mut statuses = Vec::new();
    for (path, body, header) in &ada {
        let named = [("x-weir-user", *header)];
        let headers = if header.is_empty() { &[][..] } else { &named };
        statuses.push(gateway.call_with("POST", path, headers, body).status());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    let bob = with(chat("openai/sim-1", "hi"), json!({"user": "ada"}));
    let answer = gateway.call_with("POST", CHAT, &[("x-weir-user", "bob")], &bob);
    assert_eq!(answer.status(), 200, "the header wins");
    assert_eq!(gateway.post(CHAT, &chat("openai/sim-1", "hi")).status(), 200, "nobody in particular");
    let wrong = gateway.call_with("POST", CHAT, &[("x-weir-user", "x".repeat(200).as_str())], &bob);
    assert_eq!(wrong.status(), 400, "{}", wrong.text());
    let users: Vec<Value> = gateway.wait_records(6).iter().map(|record| record["user"].clone()).collect();
    assert_eq!(users[..6], [json!("ada"), json!("ada"), json!("ada"), json!("ada"), json!("bob"), json!(null)]);
    assert_eq!(gateway.metric("weir_throttled_total", &["limit=\"user_requests_per_hour\""]), 2.0);
}

#[test]
fn a_tag_has_limits_by_its_name_or_by_a_pattern() {
    let sim = Simulated::start();
    let tags =
        "    tags: {\"team=*\": {limits: {requests_per_day: 1}}, \"team=search\": {limits: {requests_per_day: 2}}}";
    let gateway = limited(&sim, tags);
    let ask = |tags: &str| gateway.call_with("POST", CHAT, &[("x-weir-tags", tags)], &chat("openai/sim-1", "hi"));
    assert_eq!(
        ["team=a", "team=a", "team=b", "other", "team=search", "team=search"].map(|tags| ask(tags).status()),
        [200, 429, 200, 200, 200, 200]
    );
    let refused = ask("nightly, team=search");
    let said = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        said.starts_with(
            "the tag 'team=search' has reached its limit of 2 requests per day: 2 are used; try again in 2"
        ),
        "{said}"
    );
    let in_body = with(chat("openai/sim-1", "hi"), json!({"metadata": {"team": "b"}}));
    assert_eq!(gateway.post(CHAT, &in_body).status(), 429);
    // Nobody is told what others use.
    assert!(shown(&gateway, &[]).iter().all(|(_, name, ..)| name == "team=*" || name == "team=search"));
}

#[test]
fn limits_of_input_and_of_output_are_told_in_each_format() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    limits: {input_tokens_per_minute: 5000, output_tokens_per_minute: 9000}");
    let answer = gateway.post(MESSAGES, &message("openai/sim-1", "hi"));
    assert_eq!(answer.header("anthropic-ratelimit-input-tokens-limit"), "5000", "{:?}", answer.head);
    assert_eq!(answer.header("anthropic-ratelimit-output-tokens-limit"), "9000");
    assert_eq!(answer.head.find("anthropic-ratelimit-tokens-limit"), None);
    let answer = gateway.post(CHAT, &with(chat("openai/sim-1", "hi"), json!({"max_tokens": 100})));
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "5000", "what is tighter");
}

/// Row 37: a client need not send `max_tokens`, and one that sends the most there is does not use up a
/// minute with a few requests.
#[test]
fn row_37_what_is_reserved_is_learned_from_what_the_model_answers() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let tenant = "    limits: {tokens_per_minute: 20000}";
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, tenant, ""));
    let (plain, large) = (chat("openai/m", "hi"), with(chat("openai/m", "hi"), json!({"max_tokens": 15000})));
    let reserved = |before: &mut u64, body: &Value| {
        let answer = gateway.post(CHAT, body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let left: u64 = answer.header("x-ratelimit-remaining-tokens").parse().unwrap();
        // Each uses 18 in the end.
        let reserved = *before - left;
        *before -= 18;
        reserved
    };
    let mut left = 20_000;
    let first = reserved(&mut left, &plain);
    assert!((512..600).contains(&first), "{first}");
    assert!(reserved(&mut left, &large) > 15_000, "nothing is known yet");
    for _ in 0..60 {
        reserved(&mut left, &plain);
    }
    for body in [&plain, &large] {
        let learned = reserved(&mut left, body);
        assert!(learned < 30, "{learned} for answers of 7 tokens");
    }
    // Three at once would not have fitted.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| gateway.post(CHAT, &large).status())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 6]);
}

/// A limit on a model also holds where a request ends up there: the target is passed over.
#[test]
fn a_fallback_finds_room_or_is_passed_over() {
    let broken = Upstream::json(500, r#"{"error":{"message":"broken","type":"server_error"}}"#);
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 11, "output_tokens": 7},
    });
    let good = Upstream::json(200, answer.to_string());
    let more = "routes: {r: {targets: [{model: openai/m}, {model: anthropic/m}], retries: 1}}";
    let tenant = "    model_limits: {\"anthropic/*\": {requests_per_hour: 2, tokens_per_hour: 5000}}\n    \
                  model_budgets: {\"anthropic/*\": [{tokens: 100000, per: day}], \"openai/*\": [{tokens: 100000, per: day}]}";
    let gateway = Gateway::start(&full_config("", broken.address, good.address, tenant, more));
    let ask = || gateway.post(CHAT, &with(chat("r", "hi"), json!({"max_tokens": 100}))).status();
    assert_eq!((ask(), ask()), (200, 200));
    let refused = ask();
    assert!(refused >= 500, "what the first said: {refused}");
    assert_eq!(good.requests().len(), 2);
    let body = gateway.call("GET", "/v1/limits", &Value::Null).json();
    let spent: Vec<_> =
        body["budgets"].as_array().unwrap().iter().map(|row| (row["name"].clone(), row["spent"].clone())).collect();
    assert_eq!(spent, [(json!("anthropic/*"), json!(36)), (json!("openai/*"), json!(0))], "each model's own");
    let tokens = body["data"].as_array().unwrap().iter().find(|row| row["limit_type"] == "tokens_per_hour").unwrap();
    assert_eq!(tokens["remaining"], 5_000 - 36, "settled on what was used there");
}

#[test]
fn a_reload_brings_limits_for_users_and_keeps_what_they_used() {
    let sim = Simulated::start();
    let gateway = limited(&sim, "    users: {limits: {requests_per_hour: 2}}");
    let ask = || gateway.call_with("POST", CHAT, &[("x-weir-user", "ada")], &chat("openai/sim-1", "hi")).status();
    assert_eq!(ask(), 200);
    gateway.write_config(&full_config("", sim.address, sim.address, "    users: {limits: {requests_per_hour: 3}}", ""));
    until("the reload", || shown(&gateway, &[]).iter().any(|(.., limit)| *limit == 3).then_some(()));
    assert_eq!((ask(), ask(), ask()), (200, 200, 429), "one was used before");
    gateway.write_config(&config(sim.address, sim.address, ""));
    until("the reload", || shown(&gateway, &[]).is_empty().then_some(()));
    assert_eq!(ask(), 200);
}
