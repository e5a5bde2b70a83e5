//! What a request and an answer mean in the other format.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, message, streamed, text, with};
use crate::support::gateway::Gateway;
use crate::support::simulated::Simulated;

fn sent(sim: &Simulated) -> Value {
    serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap()
}

#[test]
fn every_cell_answers_with_the_same_text_and_usage() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-1"), "one two three") {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let json = answer.json();
            assert_eq!(text(&json), "You said: one two three", "{path} {provider}");
            let usage = &json["usage"];
            if path == CHAT {
                assert_eq!(
                    (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
                    (&json!(3), &json!(5), &json!(8))
                );
                assert_eq!(json["choices"][0]["finish_reason"], "stop");
            } else {
                assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(3), &json!(5)));
                assert_eq!(json["stop_reason"], "end_turn");
            }
        }
    }
}

#[test]
fn system_text_sits_where_the_target_wants_it() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let body = json!({"model": "anthropic/sim-1", "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}, {"role": "user", "content": "hi"},
    ]});
    assert_eq!(gateway.post(CHAT, &body).status(), 200);
    let body = sent(&sim);
    assert!(
        body["system"].to_string().contains("Be brief.") && body["system"].to_string().contains("Be kind."),
        "{body}"
    );
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
    let body = with(message("openai/sim-1", "hi"), json!({"system": [{"type": "text", "text": "Be brief."}]}));
    assert_eq!(gateway.post(MESSAGES, &body).status(), 200);
    let body = sent(&sim);
    assert_eq!(body["messages"][0]["role"].as_str().map(|r| r == "system" || r == "developer"), Some(true), "{body}");
    assert!(body["messages"][0].to_string().contains("Be brief."));
}

/// Agents put system messages in mid-conversation.
#[test]
fn a_system_message_in_the_middle_is_no_error() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let turns = json!([
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
        {"role": "system", "content": "from now on in verse"}, {"role": "user", "content": "three"},
    ]);
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-1"), "x") {
            let answer = gateway.post(path, &with(body, json!({"messages": turns})));
            assert_eq!(answer.status(), 200, "{path} {provider}: {}", answer.text());
            assert!(sent(&sim).to_string().contains("in verse"));
        }
    }
}

#[test]
fn images_cross_in_both_directions() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let body = with(
        chat("anthropic/sim-1", ""),
        json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{pixel}")}},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        ]}]}),
    );
    let answer = gateway.post(CHAT, &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(text(&answer.json()), "You said: look (2 images)");
    let blocks = sent(&sim)["messages"][0]["content"].clone();
    assert_eq!(blocks[1]["source"], json!({"type": "base64", "media_type": "image/png", "data": pixel}));
    assert_eq!(blocks[2]["source"], json!({"type": "url", "url": "https://example.com/cat.png"}));
    let body = with(
        message("openai/sim-1", ""),
        json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": pixel}},
        ]}]}),
    );
    let answer = gateway.post(MESSAGES, &body);
    assert_eq!(text(&answer.json()), "You said: look (1 image)", "{}", answer.text());
    assert_eq!(sent(&sim)["messages"][0]["content"][1]["image_url"]["url"], format!("data:image/png;base64,{pixel}"));
}

#[test]
fn stop_sequences_and_output_bounds_cross() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        let model = format!("{provider}/sim-1");
        let stopped =
            gateway.post(MESSAGES, &with(message(&model, "count to 9"), json!({"stop_sequences": ["7"]}))).json();
        assert_eq!(text(&stopped).trim_end(), "1 2 3 4 5 6", "{stopped}");
        let cut = gateway.post(MESSAGES, &with(message(&model, "count to 9"), json!({"max_tokens": 3}))).json();
        assert_eq!((text(&cut), &cut["stop_reason"]), ("1 2 3", &json!("max_tokens")), "{cut}");
        for name in ["max_tokens", "max_completion_tokens"] {
            let cut = gateway.post(CHAT, &with(chat(&model, "count to 9"), json!({name: 3}))).json();
            assert_eq!((text(&cut), &cut["choices"][0]["finish_reason"]), ("1 2 3", &json!("length")), "{cut}");
        }
        let stopped = gateway.post(CHAT, &with(chat(&model, "count to 9"), json!({"stop": "7"}))).json();
        assert_eq!(
            (text(&stopped).trim_end(), &stopped["choices"][0]["finish_reason"]),
            ("1 2 3 4 5 6", &json!("stop")),
            "{stopped}"
        );
    }
}

#[test]
fn json_schema_output_fits_in_every_cell() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"], "additionalProperties": false});
    for provider in ["openai", "anthropic"] {
        let model = format!("{provider}/sim-1");
        let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "trip", "schema": schema, "strict": true}}});
        let answer = gateway.post(CHAT, &with(chat(&model, "to Rome for 3 days"), format));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(
            serde_json::from_str::<Value>(text(&answer.json())).unwrap(),
            json!({"city": "Rome", "days": 3}),
            "{provider}"
        );
        let format = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
        let answer = gateway.post(MESSAGES, &with(message(&model, "to Rome for 3 days"), format));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(
            serde_json::from_str::<Value>(text(&answer.json())).unwrap(),
            json!({"city": "Rome", "days": 3}),
            "{provider}"
        );
    }
}

#[test]
fn thinking_is_asked_for_in_the_targets_own_way() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let body = with(message("openai/sim-1", "hm"), json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}));
    let answer = gateway.post(MESSAGES, &body).json();
    assert!(sent(&sim)["reasoning_effort"].is_string(), "{}", sent(&sim));
    assert_eq!(answer["content"][0]["thinking"], "Let me think about this: hm", "{answer}");
    assert!(answer["content"][0]["signature"].is_string(), "the SDK's model requires one");
    for effort in ["low", "medium", "high"] {
        let answer =
            gateway.post(CHAT, &with(chat("anthropic/claude-sonnet-4-5", "hm"), json!({"reasoning_effort": effort})));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json()["choices"][0]["message"]["reasoning_content"], "Let me think about this: hm");
        let usage = answer.json()["usage"].clone();
        assert!(usage["completion_tokens"].as_u64().unwrap() >= 9, "{usage}");
    }
}

#[test]
fn several_answers_are_given_where_possible_and_refused_where_not() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let answer = gateway.post(CHAT, &with(chat("openai/sim-1", "hi"), json!({"n": 3}))).json();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    let answer = gateway.post(CHAT, &with(chat("anthropic/sim-1", "hi"), json!({"n": 3})));
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status(), &error["param"]), (400, &json!("n")), "{error}");
    assert_eq!(gateway.post(CHAT, &with(chat("anthropic/sim-1", "hi"), json!({"n": 1}))).status(), 200);
}

#[test]
fn log_probabilities_pass_in_their_own_format() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let body = with(chat("openai/sim-1", "hi"), json!({"logprobs": true, "top_logprobs": 2}));
    let answer = gateway.post(CHAT, &body).json();
    assert_eq!(answer["choices"][0]["logprobs"]["content"].as_array().unwrap().len(), 3, "{answer}");
}

#[test]
fn unknown_members_survive_in_their_own_format_both_ways() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let strange = json!({"x_vendor": {"deep": [1, null]}, "context_management": {"edits": []}});
    let answer = gateway.post(MESSAGES, &with(message("anthropic/sim-1", "hi"), strange.clone()));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(sent(&sim)["x_vendor"], strange["x_vendor"]);
    assert_eq!(answer.head.find("x-weir-dropped"), None);
    let answer = gateway.post(CHAT, &streamed(with(chat("openai/sim-1", "hi"), strange.clone())));
    assert_eq!(sent(&sim)["x_vendor"], strange["x_vendor"]);
    assert!(answer.text().contains("system_fingerprint"), "{}", answer.text());
}
