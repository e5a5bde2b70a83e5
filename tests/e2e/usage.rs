//! Usage: always there, never counted twice, never zero by silence.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, chunk, message, sse, streamed, usage_chunk, with};
use crate::support::client::Event;
use crate::support::gateway::Gateway;
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

fn event(events: &[Event], name: &str) -> Value {
    events.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("no {name} in {events:?}")).json()
}

/// Rows 9 and 10: message_start has an estimate, message_delta the truth.
#[test]
fn a_messages_stream_opens_with_an_estimate_and_ends_with_the_count() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let events = gateway.post(MESSAGES, &streamed(message("openai/gpt-4o-mini", "one two three four"))).events();
    let start = event(&events, "message_start")["message"]["usage"].clone();
    assert!(start["input_tokens"].as_u64().unwrap() > 0, "{start}");
    let end = event(&events, "message_delta")["usage"].clone();
    assert_eq!((&end["input_tokens"], &end["output_tokens"]), (&json!(4), &json!(6)), "{end}");
    let record = gateway.record(1);
    assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(4), &json!(6)));
}

/// Row 10: last value per field, never a sum of the two places.
#[test]
fn usage_of_an_anthropic_stream_is_merged_not_added() {
    let full = json!({"input_tokens": 100, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 8, "output_tokens": 50});
    for end_usage in [json!({"output_tokens": 50}), full] {
        let body = [
            (
                "message_start",
                json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [], "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": 100, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 8, "output_tokens": 1}}}),
            ),
            (
                "content_block_start",
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ),
            (
                "content_block_delta",
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}),
            ),
            ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
            (
                "message_delta",
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": end_usage}),
            ),
            ("message_stop", json!({"type": "message_stop"})),
        ];
        let stream: String = body.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n")).collect();
        let upstream = Upstream::sse(stream);
        let gateway = Gateway::with(upstream.address);
        let body = with(
            streamed(chat("anthropic/claude-sonnet-4-5", "hi")),
            json!({"stream_options": {"include_usage": true}}),
        );
        let events = gateway.post(CHAT, &body).events();
        let usage = events
            .iter()
            .filter(|e| e.data != "[DONE]")
            .map(|e| e.json()["usage"].clone())
            .rfind(|u| !u.is_null())
            .unwrap();
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
            (&json!(148), &json!(50), &json!(198)),
            "{usage}"
        );
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 40);
        assert_eq!(usage["prompt_tokens_details"]["cache_write_tokens"], 8);
        gateway.post(MESSAGES, &streamed(message("anthropic/claude-sonnet-4-5", "hi")));
        for record in gateway.wait_records(2) {
            let counts: Vec<u64> = ["input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens"]
                .iter()
                .map(|n| record[n].as_u64().unwrap())
                .collect();
            assert_eq!(counts, [148, 50, 40, 8], "{record}");
        }
    }
}

/// Row 11: usage is always asked for, and shown only to those who asked.
#[test]
fn usage_is_asked_for_and_hidden_from_those_who_did_not() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let plain = streamed(chat("openai/sim-1", "one two"));
    let events = gateway.post(CHAT, &plain).events();
    let sent: Value = serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    for event in events.iter().filter(|e| e.data != "[DONE]") {
        let json = event.json();
        assert!(!json["choices"].as_array().unwrap().is_empty(), "a chunk without choices was not asked for: {json}");
        assert!(json["usage"].is_null(), "{json}");
    }
    let asked = with(plain, json!({"stream_options": {"include_usage": true}}));
    let events = gateway.post(CHAT, &asked).events();
    let last = events[events.len() - 2].json();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(2)), "{last}");
    for record in gateway.wait_records(2) {
        assert_eq!(
            (&record["input_tokens"], &record["output_tokens"], &record["usage_source"]),
            (&json!(2), &json!(4), &json!("reported"))
        );
    }
}

/// Row 11: the closing events of Messages wait for the usage that comes after the finish.
#[test]
fn the_end_of_a_messages_stream_waits_for_usage() {
    let data = [
        chunk(&json!({"role": "assistant", "content": "hello"}), None),
        chunk(&json!({}), Some("stop")),
        usage_chunk(&json!({"prompt_tokens": 321, "completion_tokens": 45, "total_tokens": 366})),
    ];
    let upstream = Upstream::sse(sse(&data));
    let gateway = Gateway::with(upstream.address);
    let events = gateway.post(MESSAGES, &streamed(message("openai/gpt-4o-mini", "hi"))).events();
    let end = event(&events, "message_delta")["usage"].clone();
    assert_eq!((&end["input_tokens"], &end["output_tokens"]), (&json!(321), &json!(45)));
}

/// Row 12: silence is not zero.
#[test]
fn missing_usage_is_counted_here_and_marked() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let mut wanted = 0;
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-no-usage"), "one two three four five") {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert_eq!(answer.header("x-weir-usage-source"), "estimated");
            // Where bytes are passed on untouched, the header and the record have to do.
            if (path == MESSAGES) == (provider == "openai") {
                let usage = &answer.json()["usage"];
                let output = usage["output_tokens"].as_u64().or_else(|| usage["completion_tokens"].as_u64());
                assert!(output.is_some_and(|n| n >= 5), "{path} {provider}: {}", answer.text());
            }
            gateway.post(path, &streamed(body));
            wanted += 2;
        }
    }
    for record in gateway.wait_records(wanted) {
        assert_eq!(record["usage_source"], "estimated", "{record}");
        let (input, output) = (record["input_tokens"].as_u64().unwrap(), record["output_tokens"].as_u64().unwrap());
        assert!((5..60).contains(&input) && (5..60).contains(&output), "{record}");
    }
}

/// Row 13: cached tokens are counted once, in each format's own convention.
#[test]
fn cached_tokens_are_counted_once() {
    let mut answer: Value = serde_json::from_str(&chat_answer("ok")).unwrap();
    answer["usage"] = json!({"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
        "prompt_tokens_details": {"cached_tokens": 900}, "completion_tokens_details": {"reasoning_tokens": 30}});
    let upstream = Upstream::json(200, answer.to_string());
    let gateway = Gateway::with(upstream.address);
    let usage = gateway.post(MESSAGES, &message("openai/gpt-4o-mini", "hi")).json()["usage"].clone();
    assert_eq!(
        (&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]),
        (&json!(100), &json!(900), &json!(50)),
        "{usage}"
    );
    gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
    for record in gateway.wait_records(2) {
        let counts: Vec<u64> = ["input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"]
            .iter()
            .map(|n| record[n].as_u64().unwrap())
            .collect();
        assert_eq!(counts, [1000, 900, 50, 30], "{record}");
    }
    let metric = |kind: &str| gateway.metric("weir_tokens_total", &[&format!("type=\"{kind}\"")]);
    assert_eq!((metric("cached"), metric("reasoning")), (1800.0, 60.0));
}

/// Row 15: the same number under other names.
#[test]
fn usage_is_understood_under_the_names_vendors_give_it() {
    for (usage, cached) in [
        (json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "cached_tokens": 64}), 64),
        (
            json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40}),
            60,
        ),
        (json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "prompt_tokens_details": null}), 0),
    ] {
        let mut answer: Value = serde_json::from_str(&chat_answer("ok")).unwrap();
        answer["usage"] = usage.clone();
        let upstream = Upstream::json(200, answer.to_string());
        let gateway = Gateway::with(upstream.address);
        assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
        let record = gateway.record(1);
        assert_eq!(
            (&record["input_tokens"], &record["cached_tokens"], &record["output_tokens"]),
            (&json!(100), &json!(cached), &json!(5)),
            "{usage}"
        );
    }
}

/// Rows 16 and 17: cache marks on every kind of block survive, so the second turn reads the cache.
#[test]
fn cache_marks_survive_and_the_second_turn_reads_the_cache() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let mark = json!({"cache_control": {"type": "ephemeral"}});
    let long = "word ".repeat(50);
    let marked_tool = with(crate::ask::tool("get_weather"), mark.clone());
    let body = json!({"model": "anthropic/sim-1", "max_tokens": 64, "tools": [marked_tool],
    "system": [with(json!({"type": "text", "text": long}), mark.clone())],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
        {"role": "assistant", "content": [with(json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}), mark.clone())]},
        {"role": "user", "content": [with(json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}), mark.clone())]},
    ]});
    let first = gateway.post(MESSAGES, &body).json()["usage"].clone();
    let second = gateway.post(MESSAGES, &body).json()["usage"].clone();
    assert!(first["cache_creation_input_tokens"].as_u64().unwrap() > 50, "{first}");
    assert_eq!(second["cache_read_input_tokens"], first["cache_creation_input_tokens"], "{second}");
    assert_eq!(sim.last()["body"].as_str().unwrap().matches("cache_control").count(), 4);

    // The same marks as OpenAI-format clients write them for Claude.
    let body = json!({"model": "anthropic/sim-1", "messages": [
        {"role": "system", "content": [with(json!({"type": "text", "text": format!("other {long}")}), mark)]},
        {"role": "user", "content": "hi"},
    ]});
    gateway.post(CHAT, &body);
    let usage = gateway.post(CHAT, &body).json()["usage"].clone();
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 51, "{usage}");
}

#[test]
fn what_the_gateway_accounts_is_what_the_upstream_counted() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let mut nth = 0;
    for provider in ["openai", "anthropic"] {
        for model in ["sim-1", "sim-think"] {
            for (path, body) in both(&format!("{provider}/{model}"), "some words to count") {
                for body in [body.clone(), streamed(body)] {
                    gateway.post(path, &body);
                    nth += 1;
                    let truth = sim.last();
                    let record = gateway.record(nth);
                    for name in ["input_tokens", "output_tokens", "cached_tokens"] {
                        assert_eq!(record[name], truth[name], "{name}: {path} {provider}/{model}: {record}");
                    }
                    if provider == "openai" {
                        assert_eq!(record["reasoning_tokens"], truth["reasoning_tokens"]);
                    }
                }
            }
        }
    }
}

/// Which of them an upstream believes, nobody knows.
#[test]
fn whether_usage_is_asked_for_is_said_once() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let body = format!(
        r#"{{"model":"openai/m","messages":[],"stream":true,"stream_options":{{{0}:true,{0}:false}}}}"#,
        "\"include_usage\""
    );
    let bearer = format!("Bearer {}", crate::support::gateway::KEY);
    let answer = gateway.client().request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).answer();
    assert_eq!(
        (answer.status(), &answer.json()["error"]["param"]),
        (400, &json!("stream_options")),
        "{}",
        answer.text()
    );
    assert!(upstream.requests().is_empty());
}

/// Sources, ratings and log probabilities are nothing that the model wrote.
#[test]
fn what_is_counted_here_is_what_the_model_wrote() {
    let mut answer: Value = serde_json::from_str(&chat_answer("hi")).unwrap();
    answer.as_object_mut().unwrap().remove("usage");
    let results: Vec<Value> =
        (0..50).map(|n| json!({"title": format!("a long title {n}"), "url": "https://x"})).collect();
    answer["search_results"] = json!(results);
    answer["choices"][0]["logprobs"] = json!({"content": [{"token": "hi", "logprob": -0.1, "top_logprobs": results}]});
    let gateway = Gateway::with(Upstream::json(200, answer.to_string()).address);
    assert_eq!(gateway.post(CHAT, &chat("openai/m", "hi")).status(), 200);
    let record = gateway.record(1);
    assert_eq!((&record["output_tokens"], &record["usage_source"]), (&json!(1), &json!("estimated")), "{record}");
}
