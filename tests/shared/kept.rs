//! Answers that replicas give each other, and what becomes of them without the store.

use serde_json::{Value, json};

use crate::server::{Server, on_each};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, full_config};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

const CHAT: &str = "/v1/chat/completions";

fn body(text: &str) -> Value {
    json!({"model": "openai/m", "temperature": 0, "messages": [{"role": "user", "content": text}]})
}

fn upstream() -> Upstream {
    Upstream::start(|request, conn| {
        let answer = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": request.number.to_string()}}],
            "usage": {"prompt_tokens": 6, "completion_tokens": 1, "total_tokens": 7},
        });
        conn.json(200, &answer.to_string());
    })
}

fn gateway(store: &str, upstream: &Upstream) -> Gateway {
    let config = full_config("", upstream.address, upstream.address, "    cache: {}", "cache: {shared: true}\n");
    Gateway::start(&config.replacen("state:\n", &format!("state:\n  shared: \"{store}\"\n"), 1))
}

fn said(answer: &Answer) -> (String, Value) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    (answer.header("x-weir-cache").to_owned(), answer.json()["choices"][0]["message"]["content"].clone())
}

fn hit(number: &str) -> (String, Value) {
    ("hit".to_owned(), json!(number))
}

fn keys(server: &Server) -> Vec<String> {
    redis::cmd("KEYS").arg("weir:cache:*").query(&mut server.connection()).unwrap()
}

/// Asks until the answer is from the cache of one that was not asked before: it may not speak to the store yet.
fn from_another(asked: &Gateway, other: &Gateway, what: &str) -> (String, Value) {
    let mut nth = 0;
    until("an answer from another one", || {
        nth += 1;
        let body = body(&format!("{what} {nth}"));
        let kept = said(&asked.post(CHAT, &body));
        let found = until("it to be in the store", || {
            let found = said(&other.post(CHAT, &body));
            Some(found).filter(|found| found.0 == "hit")
        });
        // What the other one has asked for itself is another answer.
        (found.1 == kept.1).then_some(found)
    })
}

#[test]
fn what_one_has_asked_for_the_other_gives_and_without_the_store_each_asks_for_itself() {
    on_each(|server| {
        let upstream = upstream();
        let [one, two] = [(); 2].map(|()| gateway(&server.url(), &upstream));
        from_another(&one, &two, "first");
        let before = keys(server);
        let left_ms: i64 = redis::cmd("PTTL").arg(&before[0]).query(&mut server.connection()).unwrap();
        assert!((1..=600_000).contains(&left_ms), "{left_ms}");
        // What is no answer is none.
        let asked = body("broken");
        let (_, number) = said(&one.post(CHAT, &asked));
        let all = until("it to be kept", || Some(keys(server)).filter(|all| all.len() > before.len()));
        all.iter().for_each(|key| server.command(&["SET", key, "nonsense"]));
        let (word, other) = said(&two.post(CHAT, &asked));
        assert!(word == "miss" && other != number, "{word} {other}");

        server.kill();
        let failures = one.metric("weir_cache_store_failures_total", &[]);
        assert_eq!(said(&one.post(CHAT, &asked)), ("hit".to_owned(), number), "its own it has all the same");
        let lost = body("lost");
        let (word, number) = said(&one.post(CHAT, &lost));
        assert_eq!(word, "miss");
        assert_eq!(said(&one.post(CHAT, &lost)), hit(number.as_str().unwrap()));
        assert_eq!(said(&two.post(CHAT, &lost)).0, "miss");
        assert!(one.metric("weir_cache_store_failures_total", &[]) > failures);

        server.start_again();
        from_another(&two, &one, "again");
    });
}
