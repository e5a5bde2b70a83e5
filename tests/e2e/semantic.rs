//! Answers that are given to who asks the same in other words: whose, when, at what cost, and when not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, chunk, message, sse, streamed, text, usage_chunk, with};
use crate::support::client::{Answer, Client};
use crate::support::gateway::{Gateway, KEY, full_config};
use crate::support::upstream::{Request, Upstream};
use crate::support::wait::{Gate, Opens, until};

const MODEL: &str = "openai/gpt-4o-mini";
const OTHER_KEY: &str = "wk-other-canary-77aa";
const SEMANTIC: &str = "semantic: {model: openai/text-embedding-3-small, threshold: 0.9, timeout: 20s}";
/// Two ways to say one thing, and another thing.
const ASKED: &str = "How do I reset my password?";
const AGAIN: &str = "What must I do to reset my password?";
const OTHER: &str = "How do I pay my invoice?";

fn gateway(upstream: &Upstream, tenant: &str) -> Gateway {
    Gateway::start(&full_config("", upstream.address, upstream.address, tenant, "defaults: {retries: 0}"))
}

fn cached(upstream: &Upstream) -> Gateway {
    gateway(upstream, &format!("    cache: {{any: true, {SEMANTIC}}}"))
}

/// What is about passwords has one direction, more or less; all else another.
fn vector(text: &str) -> Value {
    match text.contains("password") {
        true => json!([1.0, 0.01 * text.len() as f64 / 2.0]),
        false => json!([0.0, 1.0]),
    }
}

fn embeddings(request: &Request) -> Option<String> {
    let body = request.path.ends_with("/embeddings").then(|| request.json())?;
    let texts = body["input"].as_array().unwrap().iter().map(|text| vector(text.as_str().unwrap()));
    let data: Vec<Value> =
        texts.enumerate().map(|(n, it)| json!({"object": "embedding", "index": n, "embedding": it})).collect();
    let usage = json!({"prompt_tokens": 7, "total_tokens": 7});
    Some(json!({"object": "list", "model": body["model"], "data": data, "usage": usage}).to_string())
}

/// A provider of answers, of which each says which it is, and of vectors.
fn provider() -> Upstream {
    Upstream::start(|request, conn| match embeddings(request) {
        Some(vectors) => conn.json(200, &vectors),
        None => conn.json(200, &chat_answer(&format!("answer {}", request.number))),
    })
}

/// The texts that were embedded, call by call.
fn embedded(upstream: &Upstream) -> Vec<Vec<String>> {
    let all = upstream.requests();
    let calls = all.iter().filter(|request| request.path.ends_with("/embeddings"));
    calls.map(|request| serde_json::from_value(request.json()["input"].clone()).unwrap()).collect()
}

fn said(answer: &Answer) -> (&str, String) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    (answer.head.header("x-weir-cache"), text(&answer.json()).to_owned())
}

fn told(word: &'static str, text: &str) -> (&'static str, String) {
    (word, text.to_owned())
}

fn ask(gateway: &Gateway, question: &str) -> Answer {
    gateway.post(CHAT, &chat(MODEL, question))
}

#[test]
fn it_is_off_unless_somebody_asks_for_it_and_costs_nothing() {
    let upstream = provider();
    let gateway = gateway(&upstream, "    cache: {any: true}");
    assert_eq!(said(&ask(&gateway, ASKED)), told("miss", "answer 0"));
    assert_eq!(said(&ask(&gateway, AGAIN)), told("miss", "answer 1"));
    assert!(embedded(&upstream).is_empty());
    assert_eq!(gateway.metric("weir_cache_questions_bytes", &[]), 0.0);
}

#[test]
fn who_asks_the_same_in_other_words_gets_the_answer_and_that_is_told() {
    let upstream = provider();
    let gateway = cached(&upstream);
    assert_eq!(said(&ask(&gateway, ASKED)), told("miss", "answer 0"));
    assert!(embedded(&upstream).is_empty(), "there is nothing to compare it with");
    let hit = ask(&gateway, AGAIN);
    assert_eq!(said(&hit), told("hit", "answer 0"));
    assert_eq!(embedded(&upstream), [[AGAIN, ASKED]], "one call for both");
    let similarity = hit.header("x-weir-cache-similarity").to_owned();
    assert!((0.9..1.0).contains(&similarity.parse::<f64>().unwrap()) && similarity.len() == 5, "{similarity}");
    assert!(hit.header("age").parse::<u64>().unwrap() < 60);
    assert_eq!((hit.header("x-weir-attempts"), hit.header("x-weir-cost-usd")), ("0", "0"));
    let exact = ask(&gateway, ASKED);
    assert_eq!((said(&exact), exact.head.find("x-weir-cache-similarity")), (told("hit", "answer 0"), None));
    assert_eq!(said(&ask(&gateway, OTHER)), told("miss", "answer 3"), "it is about something else");
    assert_eq!(embedded(&upstream)[1..], [[OTHER]], "what was embedded once is known");

    let records = gateway.wait_records(6);
    let hit = records.iter().find(|record| record["request_id"] == json!(hit.header("x-request-id"))).unwrap();
    assert_eq!((&hit["cache"], hit["cache_similarity"].to_string()), (&json!("hit"), similarity));
    assert!(records.iter().filter(|record| record.get("cache_similarity").is_some()).count() == 1);
    let id = hit["request_id"].as_str().unwrap();
    let row = gateway.admin("GET", &format!("/admin/v1/requests/{id}")).json();
    assert_eq!(row["cache_similarity"], hit["cache_similarity"]);
    for (result, count) in [("same", 1.0), ("other", 1.0), ("failed", 0.0)] {
        let result = format!("result=\"{result}\"");
        assert_eq!(gateway.metric("weir_cache_compared_total", &["tenant=\"acme\"", &result]), count, "{result}");
    }
    assert!(gateway.metric("weir_cache_questions_bytes", &[]) > 100.0);
}

#[test]
fn what_it_takes_is_the_tenants_in_rows_of_their_own() {
    let upstream = provider();
    // The model that embeds is none that the key may ask for itself.
    let tenant = format!("    cache: {{any: true, {SEMANTIC}}}\n    models: [{MODEL}]");
    let gateway = gateway(&upstream, &tenant);
    ask(&gateway, ASKED);
    let hit = ask(&gateway, AGAIN);
    assert_eq!(said(&hit).0, "hit");
    let records = gateway.wait_records(3);
    let own = records.iter().find(|record| record.get("for").is_some()).unwrap();
    assert_eq!((&own["for"], &own["tenant"], &own["key_id"]), (&json!("cache"), &json!("acme"), &json!("acme-dev")));
    assert_eq!(
        (&own["format"], &own["status"], &own["outcome"]),
        (&json!("embeddings"), &json!(200), &json!("finished"))
    );
    assert_eq!((&own["model"], &own["input_tokens"]), (&json!("openai/text-embedding-3-small"), &json!(7)));
    assert_eq!(own["client_request_id"], json!(hit.header("x-request-id")), "it says for which request");
    assert!(own["cost_usd"].as_f64().unwrap() > 0.0);
    assert_eq!(own["timeline"].as_array().unwrap().len(), 1);
    let id = own["request_id"].as_str().unwrap();
    let row = gateway.admin("GET", &format!("/admin/v1/requests/{id}")).json();
    assert_eq!((&row["for"], &row["cost_usd"]), (&json!("cache"), &own["cost_usd"]));
    let not_theirs = gateway.post("/v1/embeddings", &json!({"model": "openai/text-embedding-3-small", "input": "hi"}));
    assert_eq!(not_theirs.status(), 403);
}

#[test]
fn no_tenant_gets_what_another_one_was_told() {
    let upstream = provider();
    let other =
        format!("  other:\n    cache: {{any: true, {SEMANTIC}}}\n    keys: [{{id: o, secret: \"{OTHER_KEY}\"}}]");
    let gateway = gateway(&upstream, &format!("    cache: {{any: true, {SEMANTIC}}}\n{other}"));
    assert_eq!(said(&ask(&gateway, ASKED)), told("miss", "answer 0"));
    let bearer = format!("Bearer {OTHER_KEY}");
    let theirs = |question: &str| {
        let headers = [("authorization", bearer.as_str())];
        gateway.client().request("POST", CHAT, &headers, chat(MODEL, question).to_string().as_bytes()).answer()
    };
    assert_eq!(said(&theirs(AGAIN)), told("miss", "answer 1"));
    assert!(embedded(&upstream).is_empty(), "they are not even compared");
    assert_eq!(said(&theirs(ASKED)), told("hit", "answer 1"));
    assert_eq!(said(&ask(&gateway, AGAIN)), told("hit", "answer 0"));
}

#[test]
fn what_turns_a_question_into_another_is_never_near_enough() {
    let upstream = provider();
    let gateway = cached(&upstream);
    for (n, question) in [
        "How do I reset 2 passwords?",
        "How do I reset 3 passwords?",
        "How do I not reset 2 passwords?",
        "How do I reset 2 passwords in Word?",
        "Why do I reset 2 passwords?",
        "How do I reset 2 passwords called \"a\"?",
        "Как сбросить password?",
        "Как мне сбросить password?",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(said(&ask(&gateway, question)), ("miss", format!("answer {n}")), "{question}");
    }
    assert!(embedded(&upstream).is_empty());
    assert_eq!(said(&ask(&gateway, "What do I do to reset two passwords?")), told("hit", "answer 0"));
}

#[test]
fn all_but_the_last_text_has_to_be_the_same() {
    let upstream = provider();
    let gateway = cached(&upstream);
    let after = |earlier: &str, question: &str| {
        let messages = json!([{"role": "user", "content": earlier}, {"role": "assistant", "content": "ok"},
            {"role": "user", "content": question}]);
        with(chat(MODEL, ""), json!({"messages": messages}))
    };
    let image = |question: &str| {
        let parts = json!([{"type": "text", "text": question},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
        with(chat(MODEL, ""), json!({"messages": [{"role": "user", "content": parts}]}))
    };
    assert_eq!(said(&gateway.post(CHAT, &after("one", ASKED))), told("miss", "answer 0"));
    for body in [
        after("two", AGAIN),
        with(after("one", AGAIN), json!({"temperature": 0.5})),
        with(after("one", AGAIN), json!({"model": "openai/gpt-4o"})),
        with(after("one", AGAIN), json!({"max_tokens": 30})),
        chat(MODEL, AGAIN),
        image(ASKED),
        image(AGAIN),
        chat(MODEL, &format!("{ASKED} {}", "a".repeat(2_000))),
        chat(MODEL, &format!("{AGAIN} {}", "a".repeat(2_000))),
    ] {
        assert_eq!(said(&gateway.post(CHAT, &body)).0, "miss", "{body}");
    }
    assert!(embedded(&upstream).is_empty());
    assert_eq!(said(&gateway.post(CHAT, &after("one", AGAIN))), told("hit", "answer 0"));
}

#[test]
fn where_nobody_embeds_it_is_a_miss() {
    let upstream = Upstream::start(|request, conn| match request.path.ends_with("/embeddings") {
        true => conn.json(500, r#"{"error":{"message":"broken","type":"server_error"}}"#),
        false => conn.json(200, &chat_answer(&format!("answer {}", request.number))),
    });
    let gateway = cached(&upstream);
    assert_eq!(said(&ask(&gateway, ASKED)), told("miss", "answer 0"));
    assert_eq!(said(&ask(&gateway, AGAIN)), told("miss", "answer 2"));
    assert_eq!(said(&ask(&gateway, ASKED)), told("hit", "answer 0"), "it is kept all the same");
    assert_eq!(gateway.metric("weir_cache_compared_total", &["result=\"failed\""]), 1.0);
    let failed = gateway.wait_records(4).into_iter().find(|record| record["for"] == json!("cache")).unwrap();
    assert_eq!((&failed["outcome"], &failed["cost_usd"]), (&json!("failed"), &Value::Null));
}

#[test]
fn vectors_that_are_late_are_a_miss_and_whoever_makes_them_is_let_go() {
    let left = Arc::new(AtomicBool::new(false));
    let seen = left.clone();
    let upstream = Upstream::start(move |request, conn| match request.path.ends_with("/embeddings") {
        true => seen.store(conn.take(1).is_none(), Ordering::SeqCst),
        false => conn.json(200, &chat_answer(&format!("answer {}", request.number))),
    });
    let tenant = "    cache: {any: true, semantic: {model: openai/text-embedding-3-small, timeout: 300ms}}";
    let gateway = gateway(&upstream, tenant);
    assert_eq!(said(&ask(&gateway, ASKED)), told("miss", "answer 0"));
    assert_eq!(said(&ask(&gateway, AGAIN)), told("miss", "answer 2"));
    until("the call to be given up", || left.load(Ordering::SeqCst).then_some(()));
    let given_up = gateway.wait_records(3).into_iter().find(|record| record["for"] == json!("cache")).unwrap();
    assert_eq!((&given_up["outcome"], &given_up["status"]), (&json!("client_cut"), &json!(499)));
}

#[test]
fn limits_hold_for_what_the_gateway_asks_too() {
    let upstream = provider();
    let tenant = format!("    cache: {{any: true, {SEMANTIC}}}\n    limits: {{requests_per_day: 3}}");
    let gateway = gateway(&upstream, &tenant);
    assert_eq!(said(&ask(&gateway, ASKED)).0, "miss");
    assert_eq!(said(&ask(&gateway, AGAIN)).0, "hit", "two more requests");
    assert_eq!(ask(&gateway, OTHER).status(), 429);
}

#[test]
fn what_the_gateway_asks_is_within_the_requests_own_place() {
    let upstream = provider();
    let tenant = format!("    cache: {{any: true, {SEMANTIC}}}\n    limits: {{concurrency: 1}}");
    let gateway = gateway(&upstream, &tenant);
    assert_eq!(said(&ask(&gateway, ASKED)).0, "miss");
    assert_eq!(said(&ask(&gateway, AGAIN)).0, "hit");
}

#[test]
fn an_answer_is_given_for_as_long_as_was_said() {
    let upstream = provider();
    let tenant = format!("    cache: {{any: true, ttl: 400ms, {SEMANTIC}}}");
    let gateway = gateway(&upstream, &tenant);
    assert_eq!(said(&ask(&gateway, ASKED)).0, "miss");
    until("the answer to be too old", || (said(&ask(&gateway, AGAIN)).0 == "miss").then_some(()));
}

#[test]
fn a_request_may_say_otherwise() {
    let upstream = provider();
    let gateway = cached(&upstream);
    let word =
        |word: &str, question: &str| gateway.call_with("POST", CHAT, &[("x-weir-cache", word)], &chat(MODEL, question));
    assert_eq!(said(&ask(&gateway, ASKED)), told("miss", "answer 0"));
    assert_eq!(said(&word("skip", AGAIN)), told("bypass", "answer 1"));
    assert_eq!(said(&word("refresh", AGAIN)), told("miss", "answer 2"));
    assert!(embedded(&upstream).is_empty());
    assert_eq!(said(&ask(&gateway, AGAIN)), told("hit", "answer 2"), "its own");
}

/// Who is late for the first one asks again, so a round counts in which nobody was.
#[test]
fn those_who_ask_the_same_at_once_are_embedded_once() {
    until("a round in which all wait for one", || (embedded_for_ten() == 1).then_some(()));
}

fn embedded_for_ten() -> usize {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let held = gate.clone();
    let upstream = Upstream::start(move |request, conn| match embeddings(request) {
        Some(vectors) => {
            held.pass();
            conn.json(200, &vectors);
        }
        None => conn.json(200, &chat_answer("hi")),
    });
    let gateway = cached(&upstream);
    assert_eq!(said(&ask(&gateway, ASKED)).0, "miss");
    let bearer = format!("Bearer {KEY}");
    let body = chat(MODEL, AGAIN).to_string();
    let send = |_| {
        let mut client = gateway.client();
        client.request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes());
        client
    };
    let mut clients: Vec<Client> = (0..10).map(send).collect();
    until("all to be there", || (gateway.metric("weir_inflight_requests", &[]) == 11.0).then_some(()));
    gate.open();
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((said(&answer).0, answer.header("x-weir-cache-similarity").is_empty()), ("hit", false));
    }
    embedded(&upstream).len()
}

#[test]
fn streams_are_given_again_as_streams_in_every_clients_format() {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14});
    let events = sse(&[
        chunk(&json!({"role": "assistant", "content": "one"}), None),
        chunk(&json!({"content": " two"}), None),
        chunk(&json!({}), Some("stop")),
        usage_chunk(&usage),
    ]);
    let upstream = Upstream::start(move |request, conn| {
        if let Some(vectors) = embeddings(request) {
            return conn.json(200, &vectors);
        }
        conn.sse_head();
        events.split_inclusive("\n\n").for_each(|event| _ = conn.chunk(event));
        conn.end();
    });
    let gateway = cached(&upstream);
    let contents = |text: &str| json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
    let gemini = "/v1beta/models/openai/gpt-4o-mini:streamGenerateContent?alt=sse";
    for (path, first, second) in [
        (CHAT, streamed(chat(MODEL, ASKED)), streamed(chat(MODEL, AGAIN))),
        (MESSAGES, streamed(message(MODEL, ASKED)), streamed(message(MODEL, AGAIN))),
        (gemini, contents(ASKED), contents(AGAIN)),
    ] {
        let (first, second) = (gateway.post(path, &first), gateway.post(path, &second));
        assert_eq!((first.status(), first.header("x-weir-cache")), (200, "miss"), "{path}: {}", first.text());
        assert_eq!((second.status(), second.header("x-weir-cache")), (200, "hit"), "{path}: {}", second.text());
        assert!(second.text().contains("two") && !second.header("x-weir-cache-similarity").is_empty(), "{path}");
        assert_eq!(second.header("content-type"), first.header("content-type"), "{path}");
        let events = |answer: &Answer| answer.text().matches("\n\n").count();
        assert_eq!(events(&second), events(&first), "{path}");
    }
}

#[test]
fn nobody_can_ask_in_the_gateways_name() {
    let upstream = provider();
    let gateway = gateway(&upstream, &format!("    models: [{MODEL}]"));
    let body = json!({"model": "openai/text-embedding-3-small", "input": "hi", "for": "cache"});
    let headers = [("x-weir-for", "cache"), ("for", "cache"), ("host", "weir")];
    let answer = gateway.call_with("POST", "/v1/embeddings", &headers[..2], &body);
    assert_eq!(answer.status(), 403);
    assert!(gateway.record(1).get("for").is_none());
}
