//! Members of Responses: <https://platform.openai.com/docs/api-reference/responses/create>.

use serde_json::{Value, json};

use super::{Probe, member, pair};

fn user(parts: &Value) -> Value {
    json!({"type": "message", "role": "user", "content": parts})
}

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";

/// An earlier answer.
fn said(annotations: &Value) -> Value {
    json!({"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
        "content": [{"type": "output_text", "text": "so", "annotations": annotations}]})
}

fn base() -> Value {
    json!({"model": "m", "input": [user(&json!([{"type": "input_text", "text": "hi"}]))]})
}

fn function() -> Value {
    json!({"type": "function", "name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}})
}

fn with_part(name: &'static str, part: &Value) -> Probe {
    let input = json!([user(&json!([{"type": "input_text", "text": "hi"}, part]))]);
    member(name, &base(), &json!({"input": input}))
}

fn with_items(name: &'static str, items: &[Value]) -> Probe {
    let mut input = vec![user(&json!([{"type": "input_text", "text": "hi"}]))];
    input.extend(items.iter().cloned());
    member(name, &base(), &json!({"input": input, "tools": [function()]}))
}

pub(super) fn probes() -> Vec<Probe> {
    [conversation(), sampling(), offers()].into_iter().flatten().collect()
}

fn conversation() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    vec![
        one("instructions", json!("s")),
        member(
            "`input`: developer",
            &base,
            &json!({"input": [{"role": "developer", "content": "s"}, base["input"][0]]}),
        ),
        with_part(
            "`input_image`, inline",
            &json!({"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}),
        ),
        pair(
            "`input_image.detail`",
            &base,
            &json!({"input": [user(&json!([{"type": "input_image", "image_url": PNG}]))]}),
            &json!({"input": [user(&json!([{"type": "input_image", "image_url": PNG, "detail": "high"}]))]}),
        ),
        pair(
            "`annotations` of earlier answers",
            &base,
            &json!({"input": [base["input"][0], said(&json!([])), {"role": "user", "content": "go"}]}),
            &json!({"input": [base["input"][0], said(&json!([{"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 2}])), {"role": "user", "content": "go"}]}),
        ),
        with_part("`input_image`, by URL", &json!({"type": "input_image", "image_url": "https://example.com/a.png"})),
        with_part("`input_image`, by id", &json!({"type": "input_image", "file_id": "file-1"})),
        with_part(
            "`input_file`, inline (PDF)",
            &json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}),
        ),
        with_part("`input_file`, by id", &json!({"type": "input_file", "file_id": "file-1"})),
        with_items(
            "function calls and outputs",
            &[
                json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":\"b\"}"}),
                json!({"type": "function_call_output", "call_id": "call_1", "output": "r"}),
            ],
        ),
        with_items(
            "custom tool calls and outputs",
            &[
                json!({"type": "custom_tool_call", "call_id": "call_1", "name": "c", "input": "x"}),
                json!({"type": "custom_tool_call_output", "call_id": "call_1", "output": "r"}),
            ],
        ),
        pair(
            "calls and results of OpenAI's own tools",
            &base,
            &json!({"input": [base["input"][0], {"role": "user", "content": "go"}]}),
            &json!({"input": [base["input"][0], {"type": "web_search_call", "id": "ws_1", "status": "completed"}, {"role": "user", "content": "go"}]}),
        ),
        pair(
            "reasoning of another maker",
            &base,
            &json!({"input": [base["input"][0], {"role": "assistant", "content": "so"}, {"role": "user", "content": "go"}]}),
            &json!({"input": [base["input"][0], {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "e"},
                {"role": "assistant", "content": "so"}, {"role": "user", "content": "go"}]}),
        ),
    ]
}

fn sampling() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    vec![
        one("previous_response_id", json!("resp_1")),
        one("conversation", json!("conv_1")),
        one("prompt", json!({"id": "pmpt_1"})),
        one("background", json!(true)),
        one("max_output_tokens", json!(100)),
        one("max_tool_calls", json!(3)),
        one("temperature", json!(0.5)),
        one("top_p", json!(0.5)),
        one("top_logprobs", json!(2)),
        one("truncation", json!("auto")),
        one("include", json!(["message.output_text.logprobs"])),
    ]
}

fn offers() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    let tools = json!({"tools": [function()]});
    let chosen = |choice: Value| json!({"tools": tools["tools"], "tool_choice": choice});
    let with_tool = |name: &'static str, tool: Value| pair(name, &base, &tools, &json!({"tools": [function(), tool]}));
    let schema = json!({"format": {"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object",
        "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}});
    vec![
        one("tools", tools["tools"].clone()),
        with_tool("`tools`: custom", json!({"type": "custom", "name": "c", "description": "d"})),
        with_tool(
            "`tools`: custom with a grammar",
            json!({"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"x\""}}),
        ),
        with_tool(
            "`tools`: namespace",
            json!({"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}}]}),
        ),
        with_tool("`tools`: web_search", json!({"type": "web_search"})),
        with_tool("`tools`: mcp", json!({"type": "mcp", "server_label": "l", "server_url": "https://example.com"})),
        pair("`tool_choice: required`", &base, &tools, &chosen(json!("required"))),
        pair("`tool_choice`: a function", &base, &tools, &chosen(json!({"type": "function", "name": "f"}))),
        pair(
            "`parallel_tool_calls: false`",
            &base,
            &tools,
            &json!({"tools": tools["tools"], "parallel_tool_calls": false}),
        ),
        member("`reasoning.effort`", &base, &json!({"reasoning": {"effort": "high"}})),
        member("`reasoning.summary`", &base, &json!({"reasoning": {"effort": "high", "summary": "detailed"}})),
        member("`text.format: json_schema`", &base, &json!({"text": schema})),
        member("`text.format: json_object`", &base, &json!({"text": {"format": {"type": "json_object"}}})),
        member("`text.verbosity`", &base, &json!({"text": {"verbosity": "low"}})),
        one("user", json!("u-1")),
        one("safety_identifier", json!("u-1")),
        one("metadata", json!({"a": "b"})),
        member("`store: true`", &base, &json!({"store": true})),
        one("service_tier", json!("priority")),
        one("prompt_cache_key", json!("k")),
        one("client_metadata", json!({"a": "b"})),
    ]
}

pub(super) fn unknown() -> Vec<Probe> {
    let base = base();
    let tools = json!({"tools": [function()]});
    let mut odd = function();
    odd["new_member"] = json!(1);
    vec![
        member("a top-level member", &base, &json!({"new_member": {"a": 1}})),
        member(
            "a part's member",
            &base,
            &json!({"input": [user(&json!([{"type": "input_text", "text": "hi", "new_member": 1}]))]}),
        ),
        pair("a tool's member", &base, &tools, &json!({"tools": [odd]})),
        pair("a tool type", &base, &tools, &json!({"tools": [function(), {"type": "new_type", "x": 1}]})),
        pair(
            "an item's type",
            &base,
            &json!({"input": [base["input"][0], {"role": "user", "content": "go"}]}),
            &json!({"input": [base["input"][0], {"type": "new_item", "x": 1}, {"role": "user", "content": "go"}]}),
        ),
    ]
}
