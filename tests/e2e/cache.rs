//! Answers that are given again: whose, when, and what is told of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, chunk, message, sse, streamed, text, usage_chunk, with};
use crate::support::client::{Answer, Client};
use crate::support::gateway::{Gateway, KEY, full_config};
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens, until};

const MODEL: &str = "openai/gpt-4o-mini";
const OTHER_KEY: &str = "wk-other-canary-77aa";
const GEMINI: &str = "/v1beta/models/openai/gpt-4o-mini:streamGenerateContent?alt=sse";

/// A tenant with these settings, beside its keys.
fn gateway(upstream: &Upstream, tenant: &str) -> Gateway {
    with_more(upstream, tenant, "")
}

fn with_more(upstream: &Upstream, tenant: &str, more: &str) -> Gateway {
    let more = format!("defaults: {{retries: 0}}\n{more}");
    Gateway::start(&full_config("", upstream.address, upstream.address, tenant, &more))
}

/// Each answer says which it is.
fn counting() -> Upstream {
    Upstream::start(|request, conn| conn.json(200, &chat_answer(&format!("answer {}", request.number))))
}

fn question() -> Value {
    with(chat(MODEL, "hi"), json!({"temperature": 0}))
}

fn said(answer: &Answer) -> (&str, String) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    (answer.head.header("x-weir-cache"), text(&answer.json()).to_owned())
}

fn ask(gateway: &Gateway, word: &str, body: &Value) -> Answer {
    gateway.call_with("POST", CHAT, &[("x-weir-cache", word)], body)
}

/// The record of one of two requests.
fn record(gateway: &Gateway, word: &str) -> Value {
    gateway.wait_records(2).into_iter().find(|record| record["cache"] == json!(word)).unwrap()
}

#[test]
fn it_is_off_unless_somebody_asks_for_it() {
    let upstream = counting();
    let gateway = gateway(&upstream, "");
    for n in 0..2 {
        assert_eq!(said(&ask(&gateway, "use", &question())), ("", format!("answer {n}")));
    }
    let record = gateway.record(2);
    assert!(record.get("cache").is_none(), "{record}");
}

#[test]
fn the_same_request_gets_the_same_answer_and_that_is_told() {
    let upstream = counting();
    let gateway = gateway(&upstream, "    cache: {}");
    let first = gateway.post(CHAT, &question());
    assert_eq!(said(&first), ("miss", "answer 0".to_owned()));
    assert_eq!(first.head.find("age"), None);
    // Members in another order are the same request.
    let body = r#"{"temperature": 0, "messages": [{"content":"hi","role":"user"}], "model": "openai/gpt-4o-mini"}"#;
    let bearer = format!("Bearer {KEY}");
    let second = gateway.client().request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).answer();
    assert_eq!(said(&second), ("hit", "answer 0".to_owned()));
    assert_eq!(second.body, first.body);
    assert!(second.header("age").parse::<u64>().unwrap() < 60);
    assert_eq!((second.header("x-weir-attempts"), second.header("x-weir-cost-usd")), ("0", "0"));
    assert_ne!(first.header("x-weir-cost-usd"), "0");
    assert_eq!(upstream.requests().len(), 1);
    let (miss, hit) = (record(&gateway, "miss"), record(&gateway, "hit"));
    assert_eq!(miss["input_tokens"], json!(11));
    assert_eq!(hit["usage"], miss["usage"], "what was used is on record all the same");
    assert_eq!((&hit["cost_usd"], &hit["attempts"], &hit["timeline"]), (&json!(0.0), &json!(0), &json!([])));
    for (result, count) in [("hit", 1.0), ("miss", 1.0), ("bypass", 0.0)] {
        let result = format!("result=\"{result}\"");
        assert_eq!(gateway.metric("weir_cache_requests_total", &["tenant=\"acme\"", &result]), count, "{result}");
    }
    assert_eq!(gateway.metric("weir_cache_entries", &[]), 1.0);
    assert!(gateway.metric("weir_cache_bytes", &[]) > 100.0);
    assert_eq!(gateway.metric("weir_attempts_total", &[]), 1.0, "the provider was asked once");
    let id = second.header("x-request-id").to_owned();
    let row = gateway.admin("GET", &format!("/admin/v1/requests/{id}")).json();
    assert_eq!(row["cache"], json!("hit"));
}

#[test]
fn a_request_may_say_otherwise() {
    let upstream = counting();
    let gateway = gateway(&upstream, "    cache: {}");
    let by_chance = chat(MODEL, "hi");
    assert_eq!(said(&gateway.post(CHAT, &by_chance)), ("bypass", "answer 0".to_owned()));
    assert_eq!(said(&ask(&gateway, "use", &by_chance)), ("miss", "answer 1".to_owned()));
    assert_eq!(said(&ask(&gateway, "use", &by_chance)), ("hit", "answer 1".to_owned()));
    assert_eq!(said(&gateway.post(CHAT, &by_chance)), ("bypass", "answer 2".to_owned()), "it is not asked for");
    assert_eq!(said(&ask(&gateway, "skip", &by_chance)), ("bypass", "answer 3".to_owned()));
    assert_eq!(said(&ask(&gateway, "refresh", &by_chance)), ("miss", "answer 4".to_owned()));
    assert_eq!(said(&ask(&gateway, "use", &by_chance)), ("hit", "answer 4".to_owned()));
    let wrong = ask(&gateway, "perhaps", &by_chance);
    assert_eq!((wrong.status(), wrong.json()["error"]["param"].as_str()), (400, Some("x-weir-cache")));
    let seeded = with(chat(MODEL, "seeded"), json!({"seed": 7}));
    assert_eq!(said(&gateway.post(CHAT, &seeded)).0, "miss");
    assert_eq!(said(&gateway.post(CHAT, &seeded)).0, "hit");
}

#[test]
fn no_tenant_gets_what_another_one_was_told() {
    let upstream = counting();
    let other = format!("  other:\n    cache: {{}}\n    keys: [{{id: o, secret: \"{OTHER_KEY}\"}}]");
    let gateway = gateway(&upstream, &format!("    cache: {{}}\n{other}"));
    assert_eq!(said(&gateway.post(CHAT, &question())), ("miss", "answer 0".to_owned()));
    let bearer = format!("Bearer {OTHER_KEY}");
    let ask = || {
        let headers = [("authorization", bearer.as_str())];
        gateway.client().request("POST", CHAT, &headers, question().to_string().as_bytes()).answer()
    };
    assert_eq!(said(&ask()), ("miss", "answer 1".to_owned()));
    assert_eq!(said(&ask()), ("hit", "answer 1".to_owned()));
    assert_eq!(said(&gateway.post(CHAT, &question())), ("hit", "answer 0".to_owned()));
}

#[test]
fn a_keys_rules_come_before_a_routes_and_those_before_the_tenants() {
    let upstream = counting();
    let keys = format!(
        "      - {{id: b, secret: \"{OTHER_KEY}\", cache: {{any: true, namespace: b, ignore: [user]}}}}\n    cache: {{}}"
    );
    let routes = format!("routes:\n  fast: {{targets: [{{model: {MODEL}}}], cache: {{any: true}}}}\n");
    let gateway = with_more(&upstream, &keys, &routes);
    let of = |key: &str, body: Value| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        let answer = gateway.client().request("POST", CHAT, &headers, body.to_string().as_bytes()).answer();
        let (word, text) = said(&answer);
        (word.to_owned(), text)
    };
    let told = |word: &str, text: &str| (word.to_owned(), text.to_owned());
    assert_eq!(of(KEY, chat("fast", "hi")), told("miss", "answer 0"), "the route takes any");
    assert_eq!(of(KEY, chat(MODEL, "hi")), told("bypass", "answer 1"), "the tenant does not");
    assert_eq!(of(OTHER_KEY, chat("fast", "hi")), told("miss", "answer 2"), "a namespace of its own");
    let by = |user: &str| with(chat("fast", "hi"), json!({"user": user}));
    assert_eq!(of(OTHER_KEY, by("u")), told("hit", "answer 2"), "whose it is makes no difference to it");
    assert_eq!(of(KEY, by("u")), told("miss", "answer 3"));
    assert_eq!(of(KEY, chat("fast", "hi")), told("hit", "answer 0"));
}

#[test]
fn an_answer_is_given_for_as_long_as_was_said() {
    let upstream = counting();
    let gateway = gateway(&upstream, "    cache: {ttl: 400ms}");
    assert_eq!(said(&gateway.post(CHAT, &question())), ("miss", "answer 0".to_owned()));
    until("the answer to be too old", || (said(&gateway.post(CHAT, &question())).0 == "miss").then_some(()));
    assert_eq!(upstream.requests().len(), 2);
}

/// A stream in several pieces, with its usage.
fn events() -> String {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14});
    sse(&[
        chunk(&json!({"role": "assistant", "content": "one"}), None),
        chunk(&json!({"content": " two"}), None),
        chunk(&json!({}), Some("stop")),
        usage_chunk(&usage),
    ])
}

/// The same question in each client's format, as a stream.
fn questions() -> [(&'static str, Value); 4] {
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    [
        (CHAT, streamed(with(question(), json!({"max_completion_tokens": 4096})))),
        (MESSAGES, streamed(with(message(MODEL, "hi"), json!({"temperature": 0})))),
        ("/v1/responses", json!({"model": MODEL, "input": "hi", "temperature": 0, "stream": true, "store": false})),
        (GEMINI, json!({"contents": contents, "generationConfig": {"temperature": 0, "maxOutputTokens": 4096}})),
    ]
}

#[test]
fn streams_are_given_again_as_streams_in_every_clients_format() {
    for (path, body) in questions() {
        let upstream = Upstream::start(|_, conn| {
            conn.sse_head();
            events().split_inclusive("\n\n").for_each(|event| _ = conn.chunk(event));
            conn.end();
        });
        let native = path == "/v1/responses";
        // Where the provider has the format itself, another one is asked.
        let gateway = match native {
            true => Gateway::start(
                &full_config("", upstream.address, upstream.address, "    cache: {}", "")
                    .replace("  openai: {", "  openai: {kind: openai-compatible, "),
            ),
            false => gateway(&upstream, "    cache: {}"),
        };
        let first = gateway.post(path, &body);
        let second = gateway.post(path, &body);
        assert_eq!((first.status(), first.header("x-weir-cache")), (200, "miss"), "{path}: {}", first.text());
        assert_eq!((second.status(), second.header("x-weir-cache")), (200, "hit"), "{path}");
        assert!(
            second.header("age").parse::<u64>().is_ok()
                && second.header("content-type") == first.header("content-type")
        );
        assert!(first.text().contains("two"), "{path}: {}", first.text());
        assert_eq!(events_of(&second), events_of(&first), "{path}");
        assert_eq!(upstream.requests().len(), 1, "{path}");
        let hit = record(&gateway, "hit");
        assert_eq!((&hit["stream"], &hit["output_tokens"]), (&json!(true), &json!(3)), "{path}");
    }
}

/// The stream, but for the times and ids that the gateway itself gives where the provider gave none.
fn events_of(answer: &Answer) -> String {
    answer.text().replace(&answer.header("x-request-id").replace('-', ""), "ID")
}

#[test]
fn clients_of_different_formats_that_ask_the_same_get_the_same_answer() {
    let upstream = Upstream::sse(events());
    let gateway = gateway(&upstream, "    cache: {}");
    let [_, (messages, message), _, (gemini, contents)] = questions();
    let first = gateway.post(messages, &message);
    let second = gateway.post(gemini, &contents);
    assert_eq!((first.header("x-weir-cache"), second.header("x-weir-cache")), ("miss", "hit"));
    assert!(first.text().contains("message_stop") && second.text().contains("candidates"), "{}", second.text());
    assert!(second.text().contains("\"one\"") && second.text().contains("\" two\""), "{}", second.text());
}

#[test]
fn what_does_not_end_well_is_not_kept() {
    let upstream = Upstream::start(|request, conn| match request.number {
        // Cut in the middle.
        0 => {
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": "one"}), None));
            conn.close();
        }
        // An error in the middle.
        1 => {
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": "one"}), None));
            conn.data(json!({"error": {"message": "overloaded", "type": "server_error", "code": null}}));
            conn.end();
        }
        // Ended without its end.
        2 => {
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": "one"}), None));
            conn.end();
        }
        3 => conn.json(500, r#"{"error":{"message":"broken","type":"server_error"}}"#),
        4 => conn.json(200, "{\"choices\": [{]}"),
        _ => conn.json(200, &chat_answer("whole")),
    });
    let gateway = gateway(&upstream, "    cache: {}");
    for n in 0..3 {
        let answer = gateway.post(CHAT, &streamed(question()));
        assert_eq!((answer.status(), answer.header("x-weir-cache")), (200, "miss"), "{n}");
        assert!(answer.text().contains("one") && answer.text().contains("error"), "{n}: {}", answer.text());
    }
    for _ in 3..5 {
        assert!(gateway.post(CHAT, &question()).status() >= 500);
    }
    assert_eq!(said(&gateway.post(CHAT, &question())), ("miss", "whole".to_owned()));
    assert_eq!(said(&gateway.post(CHAT, &question())), ("hit", "whole".to_owned()));
    assert_eq!(gateway.metric("weir_cache_entries", &[]), 1.0);
}

/// Sends the request on so many connections, and waits until all are in.
fn crowd(gateway: &Gateway, body: &Value, count: usize) -> Vec<Client> {
    let bearer = format!("Bearer {KEY}");
    let body = body.to_string();
    let ask = |_| {
        let mut client = gateway.client();
        client.request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes());
        client
    };
    let clients: Vec<Client> = (0..count).map(ask).collect();
    let all = count as f64;
    until("all to be in", || (gateway.metric("weir_inflight_requests", &[]) >= all).then_some(()));
    clients
}

fn words(answers: &[Answer]) -> [usize; 3] {
    ["miss", "hit", "bypass"].map(|word| answers.iter().filter(|it| it.header("x-weir-cache") == word).count())
}

#[test]
fn a_stampede_makes_one_call() {
    const COUNT: usize = 1_000;
    for is_stream in [false, true] {
        let gate = Gate::default();
        let _opens = Opens(gate.clone());
        let held = gate.clone();
        let upstream = Upstream::start(move |request, conn| {
            if request.json()["stream"] != json!(true) {
                held.pass();
                return conn.json(200, &chat_answer("hi"));
            }
            conn.sse_head();
            let events = events();
            let (first, rest) = events.split_once("\n\n").unwrap();
            conn.chunk(format!("{first}\n\n"));
            held.pass();
            conn.chunk(rest);
            conn.end();
        });
        let gateway = gateway(&upstream, "    cache: {}");
        let body = if is_stream { streamed(question()) } else { question() };
        let mut clients = crowd(&gateway, &body, COUNT);
        gate.open();
        let answers: Vec<Answer> = clients.iter_mut().map(Client::answer).collect();
        assert!(answers.iter().all(|answer| answer.status() == 200 && answer.body == answers[0].body));
        assert_eq!((words(&answers), upstream.requests().len()), ([1, COUNT - 1, 0], 1));
    }
}

#[test]
fn where_the_first_fails_another_goes() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let held = gate.clone();
    let upstream = Upstream::start(move |request, conn| {
        held.pass();
        match request.number {
            0 => conn.json(500, r#"{"error":{"message":"broken","type":"server_error"}}"#),
            _ => conn.json(200, &chat_answer("hi")),
        }
    });
    let gateway = gateway(&upstream, "    cache: {}");
    let mut clients = crowd(&gateway, &question(), 20);
    gate.open();
    let answers: Vec<Answer> = clients.iter_mut().map(Client::answer).collect();
    let failed = answers.iter().filter(|answer| answer.status() != 200).count();
    let [misses, hits, _] = words(&answers);
    assert_eq!((failed, misses, hits, upstream.requests().len()), (1, 1, 18, 2));
}

#[test]
fn what_is_too_long_is_not_kept_and_nobody_waits_for_it() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let (held, running) = (gate.clone(), std::sync::Arc::new(AtomicUsize::new(0)));
    let seen = running.clone();
    let long = "x".repeat(3_000);
    // The head and most of the body come, and the rest when everybody is there.
    let upstream = Upstream::start(move |_, conn| {
        seen.fetch_add(1, Ordering::SeqCst);
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": long}), None));
        held.pass();
        conn.chunk(events());
        conn.end();
    });
    let gateway = gateway(&upstream, "    cache: {max_entry: 2KiB}");
    let mut clients = crowd(&gateway, &streamed(question()), 5);
    until("all to go by themselves", || (running.load(Ordering::SeqCst) == 5).then_some(()));
    gate.open();
    let answers: Vec<Answer> = clients.iter_mut().map(Client::answer).collect();
    assert_eq!(words(&answers), [5, 0, 0]);
    assert_eq!(gateway.metric("weir_cache_entries", &[]), 0.0);
}

#[test]
fn half_an_answer_is_not_given_again() {
    let upstream = Upstream::start(|request, conn| {
        let mut answer = chat_answer("half");
        let cancelled = json!({"id": "r", "object": "response", "status": "cancelled", "output": [], "model": "m"});
        match request.path.ends_with("/responses") {
            true => conn.json(200, &cancelled.to_string()),
            false => {
                let mut whole: Value = serde_json::from_str(&answer).unwrap();
                whole["choices"][0]["finish_reason"] = json!("error");
                whole["choices"][0]["error"] = json!({"code": 502, "message": "gone"});
                answer = whole.to_string();
                conn.json(200, &answer);
            }
        }
    });
    let gateway = gateway(&upstream, "    cache: {}");
    let responses = json!({"model": MODEL, "input": "hi", "temperature": 0, "store": false});
    for (path, body, status) in [(CHAT, question(), 502), ("/v1/responses", responses, 200)] {
        for _ in 0..2 {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.status(), status, "{}", answer.text());
            assert_ne!(answer.head.header("x-weir-cache"), "hit");
        }
    }
    assert_eq!(upstream.requests().len(), 4);
    assert_eq!(gateway.metric("weir_cache_entries", &[]), 0.0);
}

#[test]
fn who_waits_goes_by_himself_when_his_time_is_up() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let held = gate.clone();
    let upstream = Upstream::start(move |request, conn| {
        if request.number == 0 {
            held.pass();
        }
        conn.json(200, &chat_answer(&format!("answer {}", request.number)));
    });
    let gateway = gateway(&upstream, "    cache: {}");
    let mut first = crowd(&gateway, &question(), 1);
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str()), ("x-weir-timeout", "first_token=300ms")];
    let second = gateway.client().request("POST", CHAT, &headers, question().to_string().as_bytes()).answer();
    assert_eq!(said(&second), ("miss", "answer 1".to_owned()));
    gate.open();
    assert_eq!(said(&first[0].answer()), ("miss", "answer 0".to_owned()));
}

#[test]
fn a_hit_costs_its_share_and_counts_for_limits_of_requests_only() {
    let upstream = counting();
    let gateway = gateway(&upstream, "    cache: {share: 25}\n    limits: {requests_per_day: 4, tokens_per_day: 90}");
    let body = with(question(), json!({"max_tokens": 20}));
    let cost = |answer: &Answer| answer.header("x-weir-cost-usd").parse::<f64>().unwrap();
    let miss = gateway.post(CHAT, &body);
    let hit = gateway.post(CHAT, &body);
    assert!((cost(&hit) * 4.0 - cost(&miss)).abs() < 1e-12, "{} {}", cost(&hit), cost(&miss));
    // 18 tokens, and a quarter of that for each hit, in place of all of it.
    assert_eq!(said(&gateway.post(CHAT, &body)).0, "hit");
    let left = gateway.call("GET", "/v1/limits", &Value::Null).text();
    assert_eq!(said(&gateway.post(CHAT, &body)).0, "hit", "{left}");
    assert_eq!(gateway.post(CHAT, &body).status(), 429);
    let hits = gateway.wait_records(5).iter().filter(|record| record["cache"] == json!("hit")).count();
    assert_eq!(hits, 3);
}

#[test]
fn tokens_of_hits_are_nobodys() {
    let upstream = counting();
    let gateway = gateway(&upstream, "    cache: {}\n    limits: {tokens_per_day: 60}");
    let body = with(question(), json!({"max_tokens": 20}));
    for n in 0..10 {
        assert_eq!(said(&gateway.post(CHAT, &body)).0, if n == 0 { "miss" } else { "hit" }, "{n}");
    }
}

#[test]
fn what_a_provider_keeps_itself_is_not_kept() {
    let answer = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o-mini",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}]}],
        "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
    });
    let upstream = Upstream::json(200, answer.to_string());
    let gateway = gateway(&upstream, "    cache: {any: true}");
    let body = json!({"model": MODEL, "input": "hi"});
    for (store, words) in [(json!({}), ["bypass"; 2]), (json!({"store": false}), ["miss", "hit"])] {
        for word in words {
            let answer = gateway.post("/v1/responses", &with(body.clone(), store.clone()));
            assert_eq!((answer.status(), answer.header("x-weir-cache")), (200, word), "{store}: {}", answer.text());
        }
    }
    let stored = with(question(), json!({"store": true}));
    assert_eq!(gateway.post(CHAT, &stored).header("x-weir-cache"), "bypass");
}

#[test]
fn embeddings_are_kept() {
    let answer = json!({
        "object": "list", "model": "text-embedding-3-small", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    });
    let upstream = Upstream::json(200, answer.to_string());
    let gateway = gateway(&upstream, "    cache: {}");
    let body = json!({"model": "openai/text-embedding-3-small", "input": "hi"});
    for word in ["miss", "hit"] {
        let answer = gateway.post("/v1/embeddings", &body);
        assert_eq!(
            (answer.header("x-weir-cache"), &answer.json()["data"][0]["embedding"]),
            (word, &json!([0.5, -0.5]))
        );
    }
    assert_eq!(gateway.post("/v1/embeddings", &with(body, json!({"dimensions": 1}))).header("x-weir-cache"), "miss");
}

#[test]
fn what_is_masked_in_a_prompt_is_put_back_for_who_asks() {
    let upstream = Upstream::start(|request, conn| {
        let said = request.json()["messages"][0]["content"].as_str().unwrap().to_owned();
        conn.json(200, &chat_answer(&said));
    });
    let guards = "guards:\n  personal: {kinds: [email], action: mask}\n";
    let gateway = with_more(&upstream, "    cache: {}\n    guards: [personal]", guards);
    for (word, address) in [("miss", "ann@example.com"), ("hit", "bob@example.org"), ("hit", "ann@example.com")] {
        let asked = format!("write to {address}");
        let body = with(chat(MODEL, &asked), json!({"temperature": 0}));
        assert_eq!(said(&gateway.post(CHAT, &body)), (word, asked));
    }
    assert!(!String::from_utf8_lossy(&upstream.request().body).contains("example"), "only once, and masked");
}

#[test]
fn who_brings_a_credential_of_his_own_is_not_given_what_others_paid_for() {
    let upstream = counting();
    let gateway = gateway(&upstream, "    cache: {}");
    assert_eq!(said(&gateway.post(CHAT, &question())).0, "miss");
    for _ in 0..2 {
        let headers = [("x-weir-api-key", KEY), ("authorization", "Bearer sk-of-the-client")];
        let answer = gateway.client().request("POST", CHAT, &headers, question().to_string().as_bytes()).answer();
        assert_eq!(said(&answer).0, "bypass");
    }
    assert_eq!(upstream.requests().len(), 3);
}
