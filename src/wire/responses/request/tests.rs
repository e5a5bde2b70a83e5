//! Tests of requests.
#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::encode;
use crate::wire::ir::Dropped;
use crate::wire::seal::Seal;
use crate::wire::{Abilities, Dialect, Quirks, Target, Thinking, decode_request, encode_request};

fn target<'t>(model: &'t str, thinking: Thinking, seal: &'t Seal) -> Target<'t> {
    Target { model, quirks: &Quirks::NONE, max_output_tokens: None, thinking, abilities: Abilities::UNKNOWN, seal }
}

/// A request of a client's as an upstream gets it, and what was dropped.
fn sent(client: Dialect, body: &Value, model: &str, thinking: Thinking) -> (Value, Vec<String>) {
    let (source, seal) = (body.to_string(), Seal::new("t", b"k"));
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let target = target(model, thinking, &seal);
    encode(&decode_request(client, &source).unwrap(), &target, &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), dropped.paths().to_vec())
}

fn chat(members: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

/// OpenAI refuses an empty `input`.
#[test]
fn instructions_alone_get_something_to_answer() {
    let body = json!({"model": "m", "messages": [{"role": "system", "content": "Say hi."}]});
    let (got, _) = sent(Dialect::OpenAiChat, &body, "m", Thinking::Unknown);
    let dot = json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "."}]}]);
    assert_eq!((&got["instructions"], &got["input"]), (&json!("Say hi."), &dot));
    let own = json!({"model": "m", "instructions": "Say hi.", "prompt": {"id": "p"}, "input": []});
    let (got, _) = sent(Dialect::Responses, &own, "m", Thinking::Unknown);
    assert_eq!(got["input"], json!([]));
}

#[test]
fn how_long_a_prompt_stays_cached_is_carried_both_ways() {
    let body = chat(&json!({"prompt_cache_key": "k", "prompt_cache_retention": "24h"}));
    let (got, dropped) = sent(Dialect::OpenAiChat, &body, "m", Thinking::Unknown);
    assert_eq!((&got["prompt_cache_key"], &got["prompt_cache_retention"]), (&json!("k"), &json!("24h")));
    assert_eq!(dropped, Vec::<String>::new());
    let own = json!({"model": "m", "input": "a", "prompt_cache_retention": "in_memory"}).to_string();
    let (mut out, mut dropped, seal) = (Vec::new(), Dropped::default(), Seal::new("t", b"k"));
    let request = decode_request(Dialect::Responses, &own).unwrap();
    let quirks = Quirks { developer_role: true, ..Quirks::NONE };
    let target = Target { quirks: &quirks, ..target("m", Thinking::Unknown, &seal) };
    encode_request(Dialect::OpenAiChat, &request, &target, &mut out, &mut dropped).unwrap();
    let got: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&got["prompt_cache_retention"], dropped.paths()), (&json!("in_memory"), &[][..]));
}

#[test]
fn calls_of_custom_tools_and_their_results_stay_what_they_are() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [
            {"id": "call_9", "type": "custom", "custom": {"name": "g", "input": "raw text"}}]},
        {"role": "tool", "tool_call_id": "call_9", "content": "ok"}]});
    let (got, _) = sent(Dialect::OpenAiChat, &body, "m", Thinking::Unknown);
    let call = json!({"type": "custom_tool_call", "call_id": "call_9", "name": "g", "input": "raw text"});
    let result = json!({"type": "custom_tool_call_output", "call_id": "call_9", "output": "ok"});
    assert_eq!(got["input"].as_array().unwrap()[1..], [call, result]);
}

/// "Encrypted content is not supported with this model." (seen 2026-11)
#[test]
fn a_model_that_does_not_think_is_asked_for_nothing_about_it() {
    let body = chat(&json!({"reasoning_effort": "low"}));
    let (got, dropped) = sent(Dialect::OpenAiChat, &body, "gpt-4o", Thinking::None);
    assert_eq!((got.get("include"), got.get("reasoning")), (None, None));
    assert_eq!((&got["store"], dropped), (&json!(false), vec!["reasoning_effort".to_owned()]));
    let (got, dropped) = sent(Dialect::OpenAiChat, &body, "gpt-5-mini", Thinking::Unknown);
    assert_eq!((&got["include"], dropped), (&json!(["reasoning.encrypted_content"]), Vec::new()));
    assert_eq!(got["reasoning"]["effort"], "low");
}

#[test]
fn no_thinking_is_the_least_that_a_model_takes() {
    let effort = |client: Dialect, body: &Value, model: &str| {
        let (got, dropped) = sent(client, body, model, Thinking::Unknown);
        (got["reasoning"]["effort"].as_str().map(str::to_owned), dropped.join(", "))
    };
    let said = |word: &str, dropped: &str| (Some(word.to_owned()), dropped.to_owned());
    let none = chat(&json!({"reasoning_effort": "none"}));
    assert_eq!(effort(Dialect::OpenAiChat, &none, "gpt-5-mini"), said("minimal", "reasoning_effort"));
    assert_eq!(effort(Dialect::OpenAiChat, &none, "gpt-5.1"), said("none", ""));
    assert_eq!(effort(Dialect::OpenAiChat, &none, "gpt-5-pro"), (None, "reasoning_effort".to_owned()));
    assert_eq!(effort(Dialect::OpenAiChat, &none, "gpt-4o"), (None, String::new()));
    let messages = json!({"model": "m", "max_tokens": 99, "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": "a"}]});
    assert_eq!(effort(Dialect::Anthropic, &messages, "o3"), said("low", "thinking"));
    let gemini = json!({"contents": [{"parts": [{"text": "a"}]}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}});
    let name = "generationConfig.thinkingConfig";
    assert_eq!(effort(Dialect::Gemini, &gemini, "gpt-5-nano"), said("minimal", name));
}

/// "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16" (seen 2026-11), and
/// "max_tokens is too large".
#[test]
fn the_bound_of_an_answer_is_one_that_is_taken() {
    let (seal, body) = (Seal::new("t", b"k"), |most: u64| chat(&json!({"max_tokens": most})).to_string());
    let target = Target { max_output_tokens: Some(16_384), ..target("gpt-4o", Thinking::None, &seal) };
    for (most, expected, named) in [(5, 16, "max_tokens"), (16, 16, ""), (900, 900, ""), (64_000, 16_384, "")] {
        let (source, mut out, mut dropped) = (body(most), Vec::new(), Dropped::default());
        encode(&decode_request(Dialect::OpenAiChat, &source).unwrap(), &target, &mut out, &mut dropped).unwrap();
        let got: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((got["max_output_tokens"].as_u64(), &*dropped.header()), (Some(expected), named));
    }
    // Its own clients say what they mean.
    for most in [5, 64_000] {
        let own = json!({"model": "m", "input": "a", "max_output_tokens": most}).to_string();
        let (mut out, mut dropped) = (Vec::new(), Dropped::default());
        encode(&decode_request(Dialect::Responses, &own).unwrap(), &target, &mut out, &mut dropped).unwrap();
        let got: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&got["max_output_tokens"], dropped.paths()), (&json!(most), &[][..]));
    }
}

/// "Invalid schema for function 'f': In context=(), object schema missing properties." (seen 2026-11)
#[test]
fn an_object_schema_has_properties() {
    let body = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "a"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"name": "g", "input_schema": {}}]});
    let (got, _) = sent(Dialect::Anthropic, &body, "m", Thinking::Unknown);
    for tool in got["tools"].as_array().unwrap() {
        assert_eq!(tool["parameters"], json!({"type": "object", "properties": {}}));
    }
    let own = json!({"model": "m", "input": "a", "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]});
    let (got, _) = sent(Dialect::Responses, &own, "m", Thinking::Unknown);
    assert_eq!(got["tools"][0]["parameters"], json!({"type": "object"}));
}

/// "Unsupported parameter: 'temperature' is not supported with this model." (openai-responses-043004ea45a9)
#[test]
fn models_that_think_are_not_told_how_to_sample() {
    let body = |effort: &Value| {
        chat(&json!({"temperature": 0, "top_p": 0.9, "frequency_penalty": 1, "reasoning_effort": effort}))
    };
    let got = |model: &str, effort: Value| {
        let (got, dropped) = sent(Dialect::OpenAiChat, &body(&effort), model, Thinking::Unknown);
        assert_eq!(got.get("temperature").is_some(), !dropped.contains(&"temperature".to_owned()));
        (got.get("temperature").is_some(), got.get("top_p").is_some())
    };
    for (model, effort, expected) in [
        ("gpt-5", Value::Null, false),
        ("o3", json!("low"), false),
        ("gpt-5.4-nano", Value::Null, true),
        ("gpt-5.4", json!("none"), true),
        ("gpt-5.4", json!("low"), false),
        ("gpt-5.6", Value::Null, false),
        ("gpt-5.6", json!("none"), true),
        ("gpt-4o", Value::Null, true),
        ("my-deployment", json!("low"), true),
    ] {
        assert_eq!(got(model, effort.clone()), (expected, expected), "{model} {effort}");
    }
    // What says no more than its absence is no loss.
    let plain = chat(&json!({"temperature": 1, "top_p": 1.0}));
    let (got, dropped) = sent(Dialect::OpenAiChat, &plain, "gpt-5", Thinking::Unknown);
    assert_eq!((got.get("temperature"), got.get("top_p"), dropped), (None, None, Vec::new()));
}

#[test]
fn an_effort_goes_in_the_words_that_the_model_takes() {
    let effort = |model: &str, word: &str| {
        let (got, dropped) =
            sent(Dialect::OpenAiChat, &chat(&json!({"reasoning_effort": word})), model, Thinking::Unknown);
        assert_eq!(dropped, Vec::<String>::new());
        got["reasoning"]["effort"].as_str().unwrap().to_owned()
    };
    assert_eq!((effort("gpt-5.6", "max"), effort("gpt-5.4", "xhigh")), ("max".into(), "xhigh".into()));
    assert_eq!((effort("gpt-5", "xhigh"), effort("gpt-5.1", "minimal")), ("high".into(), "low".into()));
    assert_eq!(effort("my-deployment", "xhigh"), "high");
}

#[test]
fn what_is_named_is_what_is_lost() {
    let hosted = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let messages = |choice: &str, tools: &Value| {
        let body = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "a"}],
            "tools": tools, "tool_choice": {"type": choice}});
        sent(Dialect::Anthropic, &body, "m", Thinking::Unknown).1
    };
    assert_eq!(messages("none", &json!([])), Vec::<String>::new());
    assert_eq!(messages("any", &hosted), ["tools[0]", "tool_choice"]);
    // The answer's log probabilities do not reach clients of other formats.
    let (got, dropped) =
        sent(Dialect::OpenAiChat, &chat(&json!({"logprobs": true, "top_logprobs": 2})), "m", Thinking::Unknown);
    assert_eq!((got.get("top_logprobs"), dropped.join(" ")), (None, "logprobs top_logprobs".to_owned()));
}

/// "'required' is required to be supplied and to be an array including every key in properties."
#[test]
fn what_cannot_be_enforced_is_not_strict() {
    let object = |required: &Value| json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": required, "additionalProperties": false});
    let sent = |required: Value| {
        let body = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "a"}],
            "tools": [{"name": "f", "strict": true, "input_schema": object(&required)}],
            "output_config": {"format": {"type": "json_schema", "schema": object(&required)}}});
        let (got, dropped) = sent(Dialect::Anthropic, &body, "m", Thinking::Unknown);
        (got["tools"][0]["strict"].clone(), got["text"]["format"]["strict"].clone(), dropped.join(" "))
    };
    assert_eq!(sent(json!(["a"])), (json!(true), json!(true), String::new()));
    let named = "tools[0].strict output_config.format.schema";
    assert_eq!(sent(json!([])), (json!(false), Value::Null, named.to_owned()));
}
