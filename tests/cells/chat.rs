//! Members of Chat Completions: <https://platform.openai.com/docs/api-reference/chat/create>.

use serde_json::{Value, json};

use super::{Probe, member, pair};

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";
const PDF: &str = "data:application/pdf;base64,JVBERi0=";

fn base() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]})
}

fn tool(extra: &Value) -> Value {
    let mut tool = json!({"type": "function", "function": {"name": "f", "description": "d",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}});
    for (name, value) in extra.as_object().expect("members") {
        match name.as_str() {
            "strict" => tool["function"]["strict"] = value.clone(),
            _ => tool[name] = value.clone(),
        }
    }
    tool
}

fn with_part(name: &'static str, part: &Value) -> Probe {
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]);
    member(name, &base(), &json!({"messages": messages}))
}

/// A conversation in which a tool was called.
fn called(assistant: &Value, result: &Value) -> Value {
    let mut said = json!({"role": "assistant", "content": "so", "tool_calls":
        [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"b\"}"}}]});
    let mut got = json!({"role": "tool", "tool_call_id": "call_1", "content": "r"});
    for (into, members) in [(&mut said, assistant), (&mut got, result)] {
        for (name, value) in members.as_object().expect("members") {
            into[name] = value.clone();
        }
    }
    json!({"messages": [{"role": "user", "content": "hi"}, said, got], "tools": [tool(&json!({}))]})
}

pub(super) fn probes() -> Vec<Probe> {
    [conversation(), sampling(), offers()].into_iter().flatten().collect()
}

fn conversation() -> Vec<Probe> {
    let base = base();
    let user = |text: &str| json!({"role": "user", "content": text});
    vec![
        member("`messages`: system", &base, &json!({"messages": [{"role": "system", "content": "s"}, user("hi")]})),
        member(
            "`messages`: developer",
            &base,
            &json!({"messages": [{"role": "developer", "content": "s"}, user("hi")]}),
        ),
        pair(
            "`messages`: system in mid-conversation",
            &base,
            &json!({"messages": [user("hi"), {"role": "assistant", "content": "so"}, user("go")]}),
            &json!({"messages": [user("hi"), {"role": "assistant", "content": "so"}, {"role": "system", "content": "s"}, user("go")]}),
        ),
        member(
            "`messages[].name`",
            &base,
            &json!({"messages": [{"role": "user", "name": "ann", "content": [{"type": "text", "text": "hi"}]}]}),
        ),
        with_part("image, inline", &json!({"type": "image_url", "image_url": {"url": PNG}})),
        pair(
            "`image_url.detail`",
            &base,
            &json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}]}),
            &json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}]}]}),
        ),
        with_part("image, by URL", &json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})),
        with_part("audio", &json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}})),
        with_part("file, inline (PDF)", &json!({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}})),
        with_part("file, by id", &json!({"type": "file", "file": {"file_id": "file-1"}})),
        member("tool calls and results", &base, &called(&json!({}), &json!({}))),
        pair(
            "`reasoning_content` of earlier turns, unsigned",
            &base,
            &called(&json!({}), &json!({})),
            &called(&json!({"reasoning_content": "thought"}), &json!({})),
        ),
        member(
            "`cache_control` of a part",
            &base,
            &json!({"messages": [{"role": "user", "content":
            [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}]}),
        ),
    ]
}

fn sampling() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    vec![
        one("max_completion_tokens", json!(100)),
        one("max_tokens", json!(100)),
        one("temperature", json!(0.5)),
        member("`temperature` above 1", &base, &json!({"temperature": 1.5})),
        one("top_p", json!(0.5)),
        one("top_k", json!(5)),
        one("n", json!(2)),
        one("stop", json!(["x"])),
        one("seed", json!(7)),
        one("frequency_penalty", json!(0.5)),
        one("presence_penalty", json!(0.5)),
        one("logit_bias", json!({"5": 1})),
        one("logprobs", json!(true)),
        member("`top_logprobs`", &base, &json!({"logprobs": true, "top_logprobs": 2})),
    ]
}

fn offers() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    let tools = json!({"tools": [tool(&json!({}))]});
    let chosen = |choice: Value| json!({"tools": tools["tools"], "tool_choice": choice});
    let schema = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object",
        "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}});
    vec![
        one("tools", tools["tools"].clone()),
        pair("`tools[].function.strict`", &base, &tools, &json!({"tools": [tool(&json!({"strict": true}))]})),
        pair(
            "tools of other types",
            &base,
            &tools,
            &json!({"tools": [tools["tools"][0], {"type": "custom", "custom": {"name": "c"}}]}),
        ),
        pair("`tool_choice: none`", &base, &tools, &chosen(json!("none"))),
        pair("`tool_choice: required`", &base, &tools, &chosen(json!("required"))),
        pair(
            "`tool_choice`: a function",
            &base,
            &tools,
            &chosen(json!({"type": "function", "function": {"name": "f"}})),
        ),
        pair(
            "`parallel_tool_calls: false`",
            &base,
            &tools,
            &json!({"tools": tools["tools"], "parallel_tool_calls": false}),
        ),
        one("reasoning_effort", json!("high")),
        member("`response_format: json_object`", &base, &json!({"response_format": {"type": "json_object"}})),
        member("`response_format: json_schema`", &base, &json!({"response_format": schema})),
        one("verbosity", json!("low")),
        one("user", json!("u-1")),
        one("safety_identifier", json!("u-1")),
        one("metadata", json!({"a": "b"})),
        one("store", json!(true)),
        one("service_tier", json!("priority")),
        one("prompt_cache_key", json!("k")),
        one("modalities", json!(["text", "audio"])),
        one("audio", json!({"voice": "alloy", "format": "wav"})),
        one("prediction", json!({"type": "content", "content": "x"})),
        one("web_search_options", json!({})),
    ]
}

pub(super) fn unknown() -> Vec<Probe> {
    let base = base();
    let tools = json!({"tools": [tool(&json!({}))]});
    vec![
        member("a top-level member", &base, &json!({"new_member": {"a": 1}})),
        member(
            "a message's member",
            &base,
            &json!({"messages": [{"role": "user", "new_member": 1, "content": [{"type": "text", "text": "hi"}]}]}),
        ),
        member(
            "a part's member",
            &base,
            &json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "new_member": 1}]}]}),
        ),
        pair("a tool's member", &base, &tools, &json!({"tools": [tool(&json!({"new_member": 1}))]})),
        pair("a tool type", &base, &tools, &json!({"tools": [tools["tools"][0], {"type": "new_type", "x": 1}]})),
    ]
}
