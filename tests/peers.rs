//! Failures that are known from other gateways, one test each, by the rows of the list that
//! `reference/peers.md` has of them. Rows that belong to one part of the program are tested with it.
#![cfg(feature = "proxy")]
#![expect(clippy::disallowed_types, reason = "requests and answers are of any shape")]

#[cfg(test)]
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "shared with the other tests of the whole program, which use other parts of it")]
mod support;

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use serde_json::{Value, json};

    use super::support::gateway::{Gateway, KEY, full_config};
    use super::support::upstream::Upstream;
    use super::support::wait::until;

    const CHAT: &str = "/v1/chat/completions";

    fn answer() -> String {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        })
        .to_string()
    }

    fn chat(text: &str) -> Value {
        json!({"model": "openai/m", "max_tokens": 20, "messages": [{"role": "user", "content": text}]})
    }

    /// Counters differ per worker process: one is asked for its metrics and knows a part. Here there is
    /// one process, whatever thread served a request.
    #[test]
    fn row_31_counters_are_those_of_all_workers() {
        const CONNECTIONS: usize = 24;
        const EACH: usize = 25;
        let upstream = Upstream::json(200, answer());
        let text = full_config("", upstream.address, upstream.address, "", "").replace("threads: 2", "threads: 4");
        let gateway = Gateway::start(&text);
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut client = gateway.client();
                    for _ in 0..EACH {
                        client.request("POST", CHAT, &[("x-api-key", KEY)], chat("hi").to_string().as_bytes());
                        assert_eq!(client.answer().status(), 200);
                    }
                });
            }
        });
        let all = (CONNECTIONS * EACH) as f64;
        until("all requests to be counted", || {
            (gateway.metric("weir_requests_total", &["status=\"200\""]) >= all).then_some(())
        });
        assert_eq!(gateway.metric("weir_requests_total", &[]), all);
        assert_eq!(gateway.metric("weir_attempts_total", &["outcome=\"ok\""]), all);
        assert_eq!(gateway.metric("weir_tokens_total", &["type=\"input\""]), 11.0 * all);
        assert_eq!(gateway.metric("weir_tokens_total", &["type=\"output\""]), 7.0 * all);
        assert_eq!(gateway.metric("weir_inflight_requests", &[]), 0.0);
        // What a client may still use is one number too, on whichever thread it asks.
        let usage = gateway.call("GET", "/v1/usage", &Value::Null).json();
        assert_eq!(usage["data"][0]["day"]["tokens"], 18 * CONNECTIONS * EACH);
        // And a scrape says the same whichever connection it comes by, once that question is counted too.
        until("the last request to be counted", || {
            (gateway.metric("weir_requests_total", &["status=\"200\""]) > all).then_some(())
        });
        let scrapes: Vec<f64> = (0..8).map(|_| gateway.metric("weir_requests_total", &["status=\"200\""])).collect();
        assert!(scrapes.iter().all(|count| *count == scrapes[0]), "{scrapes:?}");
    }

    /// A database that is down or slow must not be felt: neither by requests nor by the start.
    fn serves_beside(database: SocketAddr) -> Gateway {
        let upstream = Upstream::json(200, answer());
        let text = full_config("", upstream.address, upstream.address, "", "").replace(
            "  dir: \"@DIR@/data\"\n",
            &format!("  dir: \"@DIR@/data\"\n  database: \"postgres://u:p@{database}/weir?sslmode=disable\"\n"),
        );
        assert!(text.contains("postgres://"));
        let gateway = Gateway::start(&text);
        for _ in 0..50 {
            assert_eq!(gateway.post(CHAT, &chat("hi")).status(), 200);
        }
        gateway
    }

    #[test]
    fn row_32_a_database_that_is_down_is_not_on_the_way_of_a_request() {
        let gateway = serves_beside(Upstream::nobody());
        assert_eq!(gateway.wait_records(50).len(), 50);
        until("the alert", || {
            let alerts = gateway.admin("GET", "/admin/v1/alerts").text();
            alerts.contains("database_down").then_some(())
        });
        assert_eq!(gateway.metric("weir_database_up", &[]), 0.0);
        assert_eq!(gateway.metric("weir_requests_total", &["status=\"200\""]), 50.0);
    }

    #[test]
    fn row_32_a_database_that_never_answers_is_not_on_the_way_of_a_request() {
        // Takes connections and says nothing: whoever waits for it waits to the end of this test.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = serves_beside(silent.local_addr().unwrap());
        assert_eq!(gateway.wait_records(50).len(), 50);
        assert_eq!(gateway.metric("weir_requests_total", &["status=\"200\""]), 50.0);
        // Rows wait where they are safe.
        assert!(gateway.metric("weir_ledger_bytes", &[]) > 0.0);
    }

    /// Everything that may cost something, as one asks for it.
    fn paid() -> Vec<(&'static str, &'static str, Value)> {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
        vec![
            ("POST", CHAT, json!({"model": "openai/m", "messages": messages})),
            ("POST", "/v1/completions", json!({"model": "openai/m", "prompt": "hi"})),
            ("POST", "/v1/responses", json!({"model": "openai/m", "input": "hi"})),
            ("POST", "/v1/responses/compact", json!({"model": "openai/m", "input": "hi"})),
            ("POST", "/v1/responses/input_tokens", json!({"model": "openai/m", "input": "hi"})),
            ("POST", "/v1/messages", json!({"model": "anthropic/m", "max_tokens": 5, "messages": messages})),
            ("POST", "/v1/messages/count_tokens", json!({"model": "anthropic/m", "messages": messages})),
            ("POST", "/v1/count_tokens", json!({"model": "openai/m", "messages": messages})),
            ("POST", "/v1beta/models/openai/m:generateContent", json!({"contents": contents})),
            ("POST", "/v1beta/models/openai/m:streamGenerateContent", json!({"contents": contents})),
            ("POST", "/v1/models/openai/m:generateContent", json!({"contents": contents})),
            ("POST", "/v1beta/models/openai/m:countTokens", json!({"contents": contents})),
            ("POST", "/v1beta/models/openai/m:embedContent", json!({"content": contents[0]})),
            ("POST", "/v1beta/models/openai/m:batchEmbedContents", json!({"requests": [{"content": contents[0]}]})),
            ("POST", "/v1/embeddings", json!({"model": "openai/m", "input": "hi"})),
            ("POST", "/v1/rerank", json!({"model": "openai/m", "query": "q", "documents": ["a"]})),
            ("POST", "/v1/images/generations", json!({"model": "openai/m", "prompt": "a cat"})),
            ("POST", "/v1/images/edits", json!({"model": "openai/m", "prompt": "a cat"})),
            ("POST", "/v1/images/variations", json!({"model": "openai/m", "prompt": "a cat"})),
            ("POST", "/v1/audio/speech", json!({"model": "openai/m", "input": "hi", "voice": "a"})),
            ("POST", "/v1/audio/transcriptions", json!({"model": "openai/m"})),
            ("POST", "/v1/audio/translations", json!({"model": "openai/m"})),
            ("POST", "/v1/moderations", json!({"model": "openai/m", "input": "hi"})),
            ("POST", "/v1/files", json!({"purpose": "batch"})),
            ("POST", "/v1/batches", json!({"endpoint": CHAT, "completion_window": "24h"})),
            ("POST", "/v1/messages/batches", json!({"requests": []})),
            ("POST", "/v1/conversations", json!({})),
            ("GET", "/v1/realtime?model=openai/m", Value::Null),
        ]
    }

    /// Asks for all of it; the paths that were not refused with 429.
    fn not_refused(gateway: &Gateway) -> Vec<String> {
        let mut others = Vec::new();
        for (method, path, body) in paid() {
            // Who serves what names no model.
            let provider = if path.contains("/messages") { "anthropic" } else { "openai" };
            let mut headers = vec![("x-api-key", KEY), ("x-weir-provider", provider)];
            if path.starts_with("/v1/realtime") {
                headers.extend([
                    ("connection", "Upgrade"),
                    ("upgrade", "websocket"),
                    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    ("sec-websocket-version", "13"),
                ]);
            } else {
                headers.push(("content-type", "application/json"));
            }
            let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
            let answer = gateway.client().request(method, path, &headers, &body).answer();
            if answer.status() != 429 {
                others.push(format!("{method} {path}: {} {}", answer.status(), answer.text()));
            }
        }
        others
    }

    /// Pass-through routes that skip budgets: nobody's list of such paths is ever complete, so there is
    /// one gate before all of them.
    #[test]
    fn row_41_every_path_goes_through_one_admission() {
        let upstream = Upstream::json(200, answer());
        let of = |tenant: &str| Gateway::start(&full_config("", upstream.address, upstream.address, tenant, ""));
        for (what, tenant) in [
            ("requests", "    limits: {requests_per_minute: 1}"),
            ("a budget", "    budgets: [{tokens: 18, per: total}]"),
        ] {
            let gateway = of(tenant);
            let before = upstream.requests().len();
            let first = gateway.post(
                CHAT,
                &json!({"model": "openai/m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}),
            );
            assert_eq!(first.status(), 200, "{what}: {}", first.text());
            gateway.wait_records(1);
            let others = not_refused(&gateway);
            assert!(others.is_empty(), "{what}:\n{}", others.join("\n"));
            assert_eq!(upstream.requests().len(), before + 1, "{what}: nothing of it reached the provider");
            // What costs nothing is still there.
            for path in ["/v1/models", "/v1/limits", "/v1/usage"] {
                assert_eq!(gateway.call("GET", path, &Value::Null).status(), 200, "{path}");
            }
        }
    }

    /// The same of what a provider keeps: its parts are asked for by ids that only its owner has.
    #[test]
    fn row_41_what_is_kept_goes_through_it_too() {
        let file =
            r#"{"id":"file-abc123","object":"file","bytes":5,"created_at":1,"filename":"a.jsonl","purpose":"batch"}"#;
        let upstream = Upstream::json(200, file);
        let tenant = "    limits: {requests_per_minute: 1}";
        let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, tenant, ""));
        let form = "--x\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{}\r\n--x--\r\n";
        let headers =
            [("x-api-key", KEY), ("x-weir-provider", "openai"), ("content-type", "multipart/form-data; boundary=x")];
        let made = gateway.client().request("POST", "/v1/files", &headers, form.as_bytes()).answer();
        assert_eq!(made.status(), 200, "{}", made.text());
        let id = made.json()["id"].as_str().unwrap().to_owned();
        for (method, path) in [("GET", ""), ("GET", "/content"), ("DELETE", "")] {
            let answer = gateway.call(method, &format!("/v1/files/{id}{path}"), &Value::Null);
            assert_eq!(answer.status(), 429, "{method} {path}: {}", answer.text());
        }
        // Lists belong to the provider's account: they are nobody's, limit or not.
        for path in ["/v1/files", "/v1/batches", "/v1/messages/batches"] {
            assert_eq!(gateway.call("GET", path, &Value::Null).status(), 400, "{path}");
        }
        assert_eq!(upstream.requests().len(), 1, "nothing of it reached the provider");
    }

    /// Logs that make a database unusable (7,000 rows were 950 MB): a record has a bound, whatever was
    /// asked, holds nothing of it, and what is dropped is counted.
    #[test]
    fn row_44_records_are_small_and_hold_no_payload() {
        let upstream = Upstream::json(200, answer());
        let mut gateway = Gateway::with(upstream.address);
        let prompt = "payload-mark ".repeat(80_000);
        assert!(prompt.len() > 1_000_000);
        for stream in [false, true] {
            let mut body = chat(&prompt);
            body["stream"] = stream.into();
            gateway.post(CHAT, &body);
        }
        let rows = gateway.wait_records(2);
        for line in gateway.stdout().lines().filter(|line| line.contains("request_id")) {
            assert!(line.len() < 2_048, "a record of {} bytes: {line}", line.len());
        }
        let id = rows[0]["request_id"].as_str().unwrap();
        assert!(gateway.admin("GET", &format!("/admin/v1/requests/{id}")).text().len() < 2_048);
        assert_eq!(gateway.metric("weir_access_log_dropped_total", &[]), 0.0);
        assert!(gateway.metrics().contains("\nweir_access_log_dropped_total "), "drops are counted");
        gateway.signal("TERM");
        gateway.wait_exit();
        let mut folders = vec![gateway.dir.join("data")];
        let mut bytes = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let held = std::fs::read(&path).unwrap();
                assert!(memchr::memmem::find(&held, b"payload-mark").is_none(), "{}", path.display());
                bytes += held.len();
            }
        }
        assert!(bytes > 0 && bytes < 1_000_000, "the ledger of two requests is {bytes} bytes");
        let said = gateway.stderr() + &gateway.stdout();
        assert!(!said.contains("payload-mark"));
    }
}
