//! What each vendor is sent of what clients of other formats say: no more than it takes, in its own words.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir::provider::find;
use weir::wire::bridge::Bridge;
use weir::wire::seal::Seal;
use weir::wire::{Abilities, Dialect, Target, Thinking, decode_request, encode_request, ir};

/// What a request becomes for a model of a vendor's, and what is named as dropped.
fn sent(kind: &str, model: &str, client: Dialect, body: &Value) -> (Value, Vec<String>) {
    let (provider, body, seal) = (find(kind).unwrap(), body.to_string(), Seal::new("taken", b"key"));
    let target = Target {
        model,
        quirks: &provider.quirks,
        max_output_tokens: None,
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal: &seal,
    };
    let mut request = decode_request(client, &body).unwrap();
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    Bridge::request(&mut request, provider.dialect(), &target, &mut dropped).unwrap();
    encode_request(provider.dialect(), &request, &target, &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), dropped.paths().to_vec())
}

/// A request of a Responses client with more members.
fn asked(kind: &str, model: &str, more: &Value) -> (Value, Vec<String>) {
    let mut body = json!({"model": "m", "input": "hi"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sent(kind, model, Dialect::Responses, &body)
}

/// The same of a Messages client.
fn said(kind: &str, model: &str, more: &Value) -> (Value, Vec<String>) {
    let mut body = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sent(kind, model, Dialect::Anthropic, &body)
}

#[test]
fn bodies_that_are_closed_lists_get_nothing_beyond_them() {
    let more = json!({
        "user": "u", "store": false, "prompt_cache_key": "k", "safety_identifier": "s", "service_tier": "flex",
        "text": {"verbosity": "low"}, "metadata": {"a": "b"}, "top_logprobs": 2, "temperature": 0.5,
    });
    let (out, dropped) = asked("mistral", "mistral-small-latest", &more);
    let kept = ["logprobs", "messages", "metadata", "model", "prompt_cache_key", "temperature", "top_logprobs"];
    assert_eq!(out.as_object().unwrap().keys().collect::<Vec<_>>(), kept);
    assert_eq!(dropped, ["safety_identifier", "service_tier", "user", "text.verbosity"]);
    let (out, dropped) = asked("groq", "llama-3.3-70b-versatile", &more);
    let kept = ["messages", "model", "service_tier", "temperature", "user"];
    assert_eq!(out.as_object().unwrap().keys().collect::<Vec<_>>(), kept);
    let named = ["metadata", "prompt_cache_key", "safety_identifier", "text.verbosity", "top_logprobs"];
    assert_eq!(dropped.iter().map(String::as_str).collect::<BTreeSet<_>>(), named.into());
    let (out, dropped) = said("mistral", "mistral-small-latest", &json!({"metadata": {"user_id": "u"}}));
    assert!(out["user"].is_null());
    assert_eq!(dropped, ["metadata.user_id"]);
}

#[test]
fn seeds_and_tiers_go_in_the_vendors_words() {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"seed": 7},
    });
    let (out, _) = sent("mistral", "mistral-small-latest", Dialect::Gemini, &body);
    assert_eq!((&out["random_seed"], &out["seed"]), (&json!(7), &Value::Null));
    let (out, _) = sent("groq", "qwen/qwen3-32b", Dialect::Gemini, &body);
    assert_eq!(out["seed"], 7);
    for (kind, tier, expected) in [
        ("mistral", "standard_only", json!("standard_only")),
        ("groq", "standard_only", json!("on_demand")),
        ("groq", "auto", json!("auto")),
        ("openai", "standard_only", json!("default")),
    ] {
        let (out, dropped) = said(kind, "m", &json!({"service_tier": tier}));
        assert_eq!((&out["service_tier"], dropped.len()), (&expected, 0), "{kind} {tier}");
    }
    let (out, dropped) = asked("groq", "m", &json!({"service_tier": "priority"}));
    assert_eq!((&out["service_tier"], dropped), (&Value::Null, vec!["service_tier".to_owned()]));
}

/// An effort becomes the nearest word there is; where a model takes none, it is named.
#[test]
fn efforts_are_words_that_the_model_takes() {
    for (kind, model, wish, word) in [
        ("mistral", "mistral-small-latest", "low", Some("high")),
        ("mistral", "mistral-large-4-0", "xhigh", Some("high")),
        ("mistral", "mistral-large-latest", "high", None),
        ("mistral", "mistral-small-2506", "high", None),
        ("mistral", "codestral-latest", "low", None),
        ("mistral", "glm-5-2", "medium", Some("medium")),
        ("groq", "openai/gpt-oss-120b", "minimal", Some("low")),
        ("groq", "qwen/qwen3-32b", "high", Some("default")),
        ("groq", "qwen/qwen3.8-27b", "high", Some("high")),
        ("groq", "llama-3.3-70b-versatile", "low", None),
        ("xai", "grok-3-mini", "medium", Some("low")),
        ("xai", "grok-4", "low", None),
        ("xai", "grok-4-fast-reasoning", "low", None),
        ("xai", "grok-4.20-0309-reasoning", "low", None),
        ("xai", "grok-code-fast-1", "low", None),
        ("xai", "grok-4.3", "medium", Some("medium")),
        ("xai", "grok-4.7", "max", Some("high")),
        ("deepseek", "deepseek-v4-pro", "max", Some("max")),
        ("openai", "gpt-5-mini", "max", Some("high")),
    ] {
        let (out, dropped) = asked(kind, model, &json!({"reasoning": {"effort": wish}}));
        assert_eq!(out["reasoning_effort"].as_str(), word, "{kind} {model}");
        assert_eq!(dropped.is_empty(), word.is_some(), "{kind} {model}: {dropped:?}");
    }
}

#[test]
fn no_thinking_is_the_least_that_a_model_takes() {
    for (kind, model, word, named) in [
        ("mistral", "mistral-small-latest", Some("none"), false),
        ("mistral", "mistral-large-latest", None, false),
        ("groq", "qwen/qwen3-32b", Some("none"), false),
        ("groq", "openai/gpt-oss-20b", Some("low"), true),
        ("groq", "llama-3.3-70b-versatile", None, false),
        ("xai", "grok-3-mini", Some("low"), true),
        ("xai", "grok-4", None, true),
        ("xai", "grok-4-fast-non-reasoning", None, false),
        ("xai", "grok-4.3", Some("none"), false),
        ("xai", "grok-4.5", Some("low"), true),
    ] {
        let (out, dropped) = said(kind, model, &json!({"thinking": {"type": "disabled"}}));
        assert_eq!(out["reasoning_effort"].as_str(), word, "{kind} {model}");
        assert_eq!(!dropped.is_empty(), named, "{kind} {model}: {dropped:?}");
    }
}

#[test]
fn models_that_think_at_xai_get_no_stop_sequences() {
    let more = json!({"stop_sequences": ["x"]});
    for (model, stops) in [("grok-4", false), ("grok-code-fast-1", false), ("grok-4.7", false), ("grok-3", true)] {
        let (out, dropped) = said("xai", model, &more);
        assert_eq!((out["stop"].is_array(), dropped.is_empty()), (stops, stops), "{model}: {dropped:?}");
    }
    assert_eq!(said("xai", "grok-4", &more).1, ["stop_sequences"]);
}

#[test]
fn deepseek_is_told_not_to_think() {
    let off = json!({"type": "disabled"});
    let (out, dropped) = said("deepseek", "deepseek-v4-flash", &json!({"thinking": off}));
    assert_eq!((&out["thinking"], &out["reasoning_effort"], dropped.len()), (&off, &Value::Null, 0));
    let (out, _) = asked("deepseek", "deepseek-v4-pro", &json!({"reasoning": {"effort": "none"}}));
    assert_eq!(out["thinking"], off);
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}},
    });
    assert_eq!(sent("deepseek", "deepseek-flash", Dialect::Gemini, &body).0["thinking"], off);
    for model in ["deepseek-chat", "deepseek-reasoner"] {
        assert!(said("deepseek", model, &json!({"thinking": off})).0["thinking"].is_null(), "{model}");
    }
    assert!(said("deepseek", "deepseek-v4-flash", &json!({})).0["thinking"].is_null());
}

/// While it thinks DeepSeek refuses forced calls: who does not ask for thinking gets the call.
#[test]
fn forced_calls_at_deepseek_are_without_thinking() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let forced = json!({"tools": tools, "tool_choice": {"type": "any"}});
    let (out, dropped) = said("deepseek", "deepseek-v4-flash", &forced);
    assert_eq!((&out["thinking"]["type"], &out["tool_choice"]), (&json!("disabled"), &json!("required")));
    assert!(dropped.is_empty());
    let thinking = json!({"tools": tools, "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}});
    let (out, dropped) = said("deepseek", "deepseek-v4-flash", &thinking);
    assert!(out["thinking"].is_null() && out["tool_choice"].is_null());
    assert_eq!(dropped, ["tool_choice"]);
    let free = json!({"tools": tools, "tool_choice": {"type": "auto"}});
    let (out, _) = said("deepseek", "deepseek-v4-flash", &free);
    assert!(out["thinking"].is_null());
}

/// A chat client's own members are its own affair.
#[test]
fn what_stays_in_its_format_stays_as_it_is() {
    let body = json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "u", "store": true, "seed": 1,
        "reasoning_effort": "minimal", "stop": ["x"], "service_tier": "priority",
    });
    for kind in ["mistral", "groq", "xai", "deepseek"] {
        let (out, dropped) = sent(kind, "m", Dialect::OpenAiChat, &body);
        assert_eq!((out, dropped.len()), (body.clone(), 0), "{kind}");
    }
}

/// Vertex takes a tier as a header, and refuses the member.
#[test]
fn tiers_are_no_members_at_vertex() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "service_tier": "flex"});
    let (out, dropped) = sent("vertex", "gemini-2.5-flash", Dialect::OpenAiChat, &body);
    assert_eq!((&out["serviceTier"], dropped), (&Value::Null, vec!["service_tier".to_owned()]));
    let (out, dropped) = sent("gemini", "gemini-2.5-flash", Dialect::OpenAiChat, &body);
    assert_eq!((&out["serviceTier"], dropped.len()), (&json!("flex"), 0));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "service_tier": "default"});
    assert!(sent("vertex", "gemini-2.5-flash", Dialect::OpenAiChat, &body).1.is_empty());
}

#[test]
fn models_at_bedrock_get_no_more_than_they_take() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    for choice in [json!({"type": "any"}), json!({"type": "tool", "name": "f"})] {
        let more = json!({"tools": tools, "tool_choice": choice});
        let (out, dropped) = said("bedrock", "us.meta.llama3-3-70b-instruct-v1:0", &more);
        assert!(out["toolConfig"]["tools"].is_array() && out["toolConfig"]["toolChoice"].is_null());
        assert_eq!(dropped, ["tool_choice"]);
        let (out, dropped) = said("bedrock", "amazon.nova-pro-v1:0", &more);
        assert!(out["toolConfig"]["toolChoice"].is_object() && dropped.is_empty());
    }
    let free = json!({"tools": tools, "tool_choice": {"type": "auto"}});
    let (out, _) = said("bedrock", "meta.llama3-1-8b-instruct-v1:0", &free);
    assert!(out["toolConfig"]["toolChoice"]["auto"].is_object());
    let more = json!({"stop_sequences": ["x"]});
    for (model, stops) in [
        ("openai.gpt-oss-20b-1:0", false),
        ("qwen.qwen3-32b-v1:0", false),
        ("amazon.nova-pro-v1:0", true),
        ("us.meta.llama3-3-70b-instruct-v1:0", true),
    ] {
        let (out, dropped) = said("bedrock", model, &more);
        assert_eq!(out["inferenceConfig"]["stopSequences"].is_array(), stops, "{model}");
        assert_eq!(dropped.is_empty(), stops, "{model}: {dropped:?}");
    }
}

/// Mistral's slot for earlier thinking is the content.
#[test]
fn earlier_thinking_goes_back_into_the_content_at_mistral() {
    let turn = json!([
        {"type": "thinking", "thinking": "why", "signature": "s"},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]);
    let messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": turn},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
    ]);
    let more = json!({"messages": messages});
    let (out, dropped) = said("mistral", "mistral-small-latest", &more);
    let content = json!([
        {"type": "thinking", "thinking": [{"type": "text", "text": "why"}]},
        {"type": "text", "text": "so"},
    ]);
    assert_eq!(out["messages"][1]["content"], content);
    assert!(out["messages"][1]["tool_calls"].is_array() && dropped.is_empty());
    for (kind, model) in [("mistral", "mistral-large-latest"), ("openai", "gpt-5")] {
        assert_eq!(said(kind, model, &more).0["messages"][1]["content"], "so", "{model}");
    }
}

/// Who wants no thinking of a model that cannot do without is told.
#[test]
fn the_least_thinking_of_gemini_is_named() {
    let more = json!({"thinking": {"type": "disabled"}});
    for (model, thinking, named) in [
        ("gemini-2.5-pro", json!({"thinkingBudget": 128}), true),
        ("gemini-3-pro-preview", json!({"thinkingLevel": "low"}), true),
        ("gemini-3-flash-preview", json!({"thinkingLevel": "minimal"}), true),
        ("gemini-2.5-flash", json!({"thinkingBudget": 0}), false),
        ("gemini-2.5-flash-lite", json!({"thinkingBudget": 0}), false),
    ] {
        let (out, dropped) = said("gemini", model, &more);
        assert_eq!(out["generationConfig"]["thinkingConfig"], thinking, "{model}");
        assert_eq!(dropped, if named { vec!["thinking"] } else { Vec::new() }, "{model}");
    }
}
