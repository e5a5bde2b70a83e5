//! Completions, embeddings, and what is passed through.

use serde_json::{Value, json};

use crate::ask::{message, with};
use crate::support::gateway::{Gateway, PROVIDER_KEY, full_config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

#[test]
fn completions_answer_and_stream() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let body = json!({"model": "openai/sim-1", "prompt": "one two"});
    let answer = gateway.post("/v1/completions", &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["text"], "You said: one two");
    assert_eq!(answer.json()["usage"]["prompt_tokens"], 2);
    let body = json!({"model": "openai/sim-1", "prompt": "one two", "stream": true});
    let events = gateway.post("/v1/completions", &body).events();
    let text: String = events
        .iter()
        .filter(|e| e.data != "[DONE]")
        .map(|e| e.json()["choices"][0]["text"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(text, "You said: one two");
    assert_eq!(events.last().unwrap().data, "[DONE]");
    assert!(events.iter().all(|e| !e.data.contains("\"choices\":[]")), "nobody asked for usage");
    let records = gateway.wait_records(2);
    for record in records {
        assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(2), &json!(4)), "{record}");
    }
}

/// Of models that have no such API, a chat is asked, and what it says is the completion.
#[test]
fn completions_come_from_models_of_every_format() {
    let sim = Simulated::start();
    let more = ["gemini", "cohere", "groq"].map(|kind| {
        format!("  {kind}: {{base_url: \"http://{}{}\", api_key: \"{PROVIDER_KEY}\"}}\n", sim.address, base(kind))
    });
    let config = full_config("", sim.address, sim.address, "", "");
    let gateway = Gateway::start(&config.replacen("tenants:", &(more.concat() + "tenants:"), 1));
    let providers = ["anthropic", "gemini", "cohere", "groq"];
    for provider in providers {
        let body = json!({"model": format!("{provider}/sim-1"), "prompt": ["one two"], "suffix": "x"});
        let answer = gateway.post("/v1/completions", &body);
        assert_eq!(answer.status(), 200, "{provider}: {}", answer.text());
        assert_eq!(answer.header("x-weir-dropped"), "suffix");
        let answer = answer.json();
        assert_eq!(
            (&answer["object"], &answer["choices"][0]["text"]),
            (&json!("text_completion"), &json!("You said: one two"))
        );
        assert_eq!((&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]), (&json!(2), &json!(4)));
        let body = with(body, json!({"stream": true, "stream_options": {"include_usage": true}}));
        let events = gateway.post("/v1/completions", &body).events();
        let (end, chunks) = events.split_last().unwrap();
        assert_eq!(end.data, "[DONE]");
        let chunks: Vec<_> = chunks.iter().map(|it| it.json()).collect();
        assert!(chunks.iter().all(|it| it["object"] == "text_completion"), "{provider}: {chunks:?}");
        let text: String = chunks.iter().filter_map(|it| it["choices"][0]["text"].as_str()).collect();
        assert_eq!(text, "You said: one two", "{provider}");
        assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 6);
        let strict = gateway.call_with("POST", "/v1/completions", &[("x-weir-strict", "true")], &body);
        assert_eq!((strict.status(), strict.json()["error"]["param"].as_str()), (400, Some("suffix")));
    }
    let records = gateway.wait_records(providers.len() * 3);
    for record in records.iter().filter(|record| record["outcome"] == "finished") {
        assert_eq!((&record["format"], &record["input_tokens"]), (&json!("completions"), &json!(2)), "{record}");
        assert_eq!((&record["output_tokens"], &record["usage_source"]), (&json!(4), &json!("reported")), "{record}");
    }
    let several = json!({"model": "anthropic/sim-1", "prompt": ["one", "two"]});
    let refused = gateway.post("/v1/completions", &several);
    assert_eq!((refused.status(), refused.json()["error"]["param"].as_str()), (400, Some("prompt")));
}

fn base(kind: &str) -> &'static str {
    if kind == "groq" { "/v1" } else { "" }
}

/// Chats that break go on elsewhere, for which they are read: a completion is not one.
#[test]
fn a_completion_streams_also_where_answers_may_go_on_elsewhere() {
    let sim = Simulated::start();
    let routes = "routes:\n  fast: {targets: [{model: openai/sim-1}, {model: anthropic/sim-1}], continuation: true}\n";
    let gateway = Gateway::start(&full_config("", sim.address, sim.address, "", routes));
    let body = json!({"model": "fast", "prompt": "one two", "stream": true});
    let events = gateway.post("/v1/completions", &body).events();
    let chunks = events.iter().filter(|it| it.data != "[DONE]").map(|it| it.json());
    let text: String = chunks.filter_map(|it| Some(it["choices"][0]["text"].as_str()?.to_owned())).collect();
    assert_eq!(text, "You said: one two");
}

#[test]
fn embeddings_pass_and_are_accounted() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for encoding in ["float", "base64"] {
        let body = json!({"model": "openai/sim-embed", "input": ["a b", "c"], "encoding_format": encoding});
        let answer = gateway.post("/v1/embeddings", &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    }
    let records = gateway.wait_records(2);
    assert_eq!((&records[0]["input_tokens"], &records[0]["output_tokens"]), (&json!(3), &json!(0)));
}

#[test]
fn paths_below_no_v1_are_the_same_paths() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    assert_eq!(gateway.post("/chat/completions", &crate::ask::chat("openai/sim-1", "hi")).status(), 200);
    assert_eq!(gateway.post("/messages", &message("openai/sim-1", "hi")).status(), 200);
    assert_eq!(gateway.call("GET", "/models", &Value::Null).status(), 200);
}

/// Row 41: no path goes round the door.
#[test]
fn passed_through_paths_are_authenticated_and_cleaned() {
    let upstream = Upstream::json(200, r#"{"data":[]}"#);
    let gateway = Gateway::with(upstream.address);
    let body = json!({"model": "openai/gpt-image-1", "prompt": "a cat"});
    let answer = gateway.client().request("POST", "/v1/images/generations", &[], body.to_string().as_bytes()).answer();
    assert_eq!(answer.status(), 401);
    let headers = [("x-weir-provider", "openai"), ("cookie", "a=b"), ("x-internal", "leak")];
    let answer = gateway.call_with("POST", "/v1/images/generations", &headers, &body);
    assert_eq!((answer.status(), answer.text().as_str()), (200, r#"{"data":[]}"#), "{}", answer.text());
    let seen = upstream.request();
    assert_eq!(seen.path, "/v1/images/generations");
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    assert_eq!((seen.header("cookie"), seen.header("x-internal"), seen.header("x-weir-provider")), (None, None, None));
    assert_eq!(seen.json()["prompt"], "a cat");
    gateway.wait_records(1);
}

#[test]
fn what_passes_is_held_to_the_body_limit_and_never_blames_the_caller_for_our_key() {
    let upstream = Upstream::json(401, r#"{"error":{"message":"no such key"}}"#);
    let gateway = Gateway::start(&full_config("  max_body: 1KB", upstream.address, upstream.address, "", ""));
    let named: &[(&str, &str)] = &[("x-weir-provider", "openai")];
    let answer = gateway.call_with("POST", "/v1/moderations", named, &json!({"input": "x".repeat(5000)}));
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str()), (413, Some("request_too_large")));
    assert_eq!(upstream.requests().len(), 0);
    let answer = gateway.call_with("POST", "/v1/moderations", named, &json!({"input": "x"}));
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str()), (502, Some("upstream_error")));
}

#[test]
fn a_count_of_tokens_is_free() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let answer = gateway.post("/v1/messages/count_tokens", &message("anthropic/claude-haiku-4-5", "one two three"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(answer.json()["input_tokens"].as_u64().unwrap() > 0);
    let record = gateway.record(1);
    assert!(record["input_tokens"].is_null() && record["cost_pico_usd"].is_null(), "{record}");
}
