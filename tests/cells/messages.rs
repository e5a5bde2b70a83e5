//! Members of Messages: <https://docs.anthropic.com/en/api/messages>.

use serde_json::{Value, json};

use super::{Probe, member, pair};

fn base() -> Value {
    json!({"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]})
}

fn tool(extra: &Value) -> Value {
    let mut tool = json!({"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}});
    for (name, value) in extra.as_object().expect("members") {
        tool[name] = value.clone();
    }
    tool
}

fn with_part(name: &'static str, part: &Value) -> Probe {
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]);
    member(name, &base(), &json!({"messages": messages}))
}

/// A conversation in which a tool was called; more blocks before the call, members of the result.
fn called(before: &[Value], result: &Value) -> Value {
    let mut said = before.to_vec();
    said.push(json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "b"}}));
    let mut got = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"});
    for (name, value) in result.as_object().expect("members") {
        got[name] = value.clone();
    }
    json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": said}, {"role": "user", "content": [got]}],
        "tools": [tool(&json!({}))]})
}

pub(super) fn probes() -> Vec<Probe> {
    [conversation(), sampling(), offers()].into_iter().flatten().collect()
}

fn conversation() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    let tools = json!({"tools": [tool(&json!({}))]});
    let thinking = json!({"type": "thinking", "thinking": "t", "signature": "c2ln"});
    let source = |source: Value| json!({"type": "document", "source": source});
    let user = |text: &str| json!({"role": "user", "content": text});
    vec![
        one("system", json!("s")),
        pair(
            "`messages`: system in mid-conversation",
            &base,
            &json!({"messages": [user("hi"), {"role": "assistant", "content": "so"}, user("go")]}),
            &json!({"messages": [user("hi"), {"role": "assistant", "content": "so"}, {"role": "system", "content": "s"}, user("go")]}),
        ),
        with_part(
            "image, inline",
            &json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}),
        ),
        with_part(
            "image, by URL",
            &json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
        ),
        with_part("image, by file id", &json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}})),
        with_part(
            "document, PDF inline",
            &source(json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="})),
        ),
        with_part("document, text", &source(json!({"type": "text", "media_type": "text/plain", "data": "words"}))),
        with_part("document, PDF by URL", &source(json!({"type": "url", "url": "https://example.com/a.pdf"}))),
        with_part(
            "`search_result`",
            &json!({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}),
        ),
        pair(
            "`citations` of earlier answers",
            &base,
            &json!({"messages": [user("hi"), {"role": "assistant", "content": [{"type": "text", "text": "so"}]}, user("go")]}),
            &json!({"messages": [user("hi"), {"role": "assistant", "content": [{"type": "text", "text": "so", "citations": [{"type": "web_search_result_location", "url": "https://example.com", "title": "t", "encrypted_index": "e", "cited_text": "c"}]}]}, user("go")]}),
        ),
        pair(
            "`document.title`",
            &base,
            &json!({"messages": [{"role": "user", "content": [source(json!({"type": "text", "media_type": "text/plain", "data": "words"}))]}]}),
            &json!({"messages": [{"role": "user", "content": [{"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}]}]}),
        ),
        member("tool use and results", &base, &called(&[], &json!({}))),
        pair("`tool_result.is_error`", &base, &called(&[], &json!({})), &called(&[], &json!({"is_error": true}))),
        pair(
            "`tool_result` with an image",
            &base,
            &called(&[], &json!({"content": [{"type": "text", "text": "r"}]})),
            &called(
                &[],
                &json!({"content": [{"type": "text", "text": "r"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]}),
            ),
        ),
        pair("thinking of Anthropic's own, signed", &base, &called(&[], &json!({})), &called(&[thinking], &json!({}))),
        member(
            "`cache_control` of a block",
            &base,
            &json!({"messages": [{"role": "user", "content":
            [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}]}),
        ),
        member(
            "`cache_control` of a tool",
            &json!({"model": "m", "max_tokens": 4000, "messages": base["messages"], "tools": tools["tools"]}),
            &json!({"tools": [tool(&json!({"cache_control": {"type": "ephemeral"}}))]}),
        ),
    ]
}

fn sampling() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    vec![
        one("temperature", json!(0.5)),
        one("top_p", json!(0.5)),
        one("top_k", json!(5)),
        one("stop_sequences", json!(["x"])),
    ]
}

fn offers() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    let tools = json!({"tools": [tool(&json!({}))]});
    let chosen = |choice: Value| json!({"tools": tools["tools"], "tool_choice": choice});
    let with_tool =
        |name: &'static str, tool: Value| pair(name, &base, &tools, &json!({"tools": [tools["tools"][0], tool]}));
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    vec![
        one("tools", tools["tools"].clone()),
        pair("`tools[].strict`", &base, &tools, &json!({"tools": [tool(&json!({"strict": true}))]})),
        with_tool("tools that Anthropic runs", json!({"type": "web_search_20250305", "name": "web_search"})),
        with_tool("tools with a version (`bash_20250124`)", json!({"type": "bash_20250124", "name": "bash"})),
        pair("`tool_choice: any`", &base, &tools, &chosen(json!({"type": "any"}))),
        pair("`tool_choice: tool`", &base, &tools, &chosen(json!({"type": "tool", "name": "f"}))),
        pair("`tool_choice: none`", &base, &tools, &chosen(json!({"type": "none"}))),
        pair(
            "`disable_parallel_tool_use`",
            &base,
            &tools,
            &chosen(json!({"type": "auto", "disable_parallel_tool_use": true})),
        ),
        member("`thinking: enabled`", &base, &json!({"thinking": {"type": "enabled", "budget_tokens": 2048}})),
        member("`thinking: adaptive`", &base, &json!({"thinking": {"type": "adaptive"}})),
        member("`thinking: disabled`", &base, &json!({"thinking": {"type": "disabled"}})),
        member("`output_config.effort`", &base, &json!({"output_config": {"effort": "low"}})),
        member(
            "`output_config.format`",
            &base,
            &json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        ),
        member("`metadata.user_id`", &base, &json!({"metadata": {"user_id": "u-1"}})),
        member("`service_tier: standard_only`", &base, &json!({"service_tier": "standard_only"})),
        one("context_management", json!({"edits": [{"type": "clear_tool_uses_20250919"}]})),
        one("mcp_servers", json!([{"type": "url", "url": "https://example.com", "name": "n"}])),
        one("container", json!("c-1")),
        one("inference_geo", json!("us")),
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
            "a block's member",
            &base,
            &json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "new_member": 1}]}]}),
        ),
        pair("a tool's member", &base, &tools, &json!({"tools": [tool(&json!({"new_member": 1}))]})),
        pair(
            "a tool type",
            &base,
            &tools,
            &json!({"tools": [tools["tools"][0], {"type": "new_type_20990101", "name": "x"}]}),
        ),
    ]
}
