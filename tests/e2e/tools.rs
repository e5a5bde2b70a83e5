//! Tools and thinking across formats and turns.

use serde_json::{Value, json};

use crate::ask::{
    CHAT, MESSAGES, chat, check_messages_stream, chunk, function, message, sse, streamed, text, tool, with,
};
use crate::support::client::Event;
use crate::support::gateway::{Gateway, config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

/// Row 4: parallel calls in a stream, fragments of one between fragments of the other.
#[test]
fn parallel_calls_in_a_stream_stay_apart() {
    let call = |index: u32, rest: Value| with(json!({"index": index}), rest);
    let opened = |index: u32, id: &str, name: &str| {
        call(index, json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}}))
    };
    let piece = |index: u32, text: &str| call(index, json!({"function": {"arguments": text}}));
    let deltas = [
        json!({"role": "assistant", "content": null, "tool_calls": [opened(0, "call_a", "get_weather")]}),
        json!({"tool_calls": [opened(1, "call_b", "get_time")]}),
        json!({"tool_calls": [piece(0, "{\"city\":"), piece(1, "{\"city\"")]}),
        json!({"tool_calls": [piece(1, ":\"Rome\"}")]}),
        json!({"tool_calls": [piece(0, "\"Oslo\"}")]}),
    ];
    let mut data: Vec<String> = deltas.iter().map(|d| chunk(d, None)).collect();
    data.push(chunk(&json!({}), Some("tool_calls")));
    let upstream = Upstream::sse(sse(&data));
    let gateway = Gateway::with(upstream.address);
    let body = with(message("openai/gpt-4o-mini", "hi"), json!({"tools": [tool("get_weather"), tool("get_time")]}));
    let events = gateway.post(MESSAGES, &streamed(body)).events();
    check_messages_stream(&events);
    assert_eq!(
        calls_in(&events),
        [("get_weather".to_owned(), json!({"city": "Oslo"})), ("get_time".to_owned(), json!({"city": "Rome"}))]
    );
    let end = events.iter().find(|e| e.name == "message_delta").unwrap().json();
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
}

/// The tool calls of a Messages stream: name and input.
fn calls_in(events: &[Event]) -> Vec<(String, Value)> {
    let mut calls: Vec<(u64, String, String)> = Vec::new();
    for event in events.iter().map(Event::json) {
        if event["content_block"]["type"] == "tool_use" {
            let name = event["content_block"]["name"].as_str().unwrap().to_owned();
            calls.push((event["index"].as_u64().unwrap(), name, String::new()));
        }
        if let Some(piece) = event["delta"]["partial_json"].as_str() {
            let call = calls.iter_mut().find(|c| Some(c.0) == event["index"].as_u64()).unwrap();
            call.2.push_str(piece);
        }
    }
    calls.into_iter().map(|(_, name, json)| (name, serde_json::from_str(&json).unwrap_or_else(|_| json!({})))).collect()
}

/// Row 5: the schemas that SDKs and agents send are taken by Anthropic.
#[test]
fn tool_schemas_of_all_kinds_reach_anthropic_as_objects() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let bare = json!({"type": "function", "function": {"name": "bare"}});
    let empty = json!({"type": "function", "function": {"name": "empty", "parameters": {}}});
    let strict = json!({"type": "function", "function": {"name": "strict", "strict": true, "parameters": {
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
        "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "required": ["a"],
    }}});
    let body =
        with(chat("anthropic/sim-1", "call bare"), json!({"tools": [bare, empty, strict, function("get_weather")]}));
    let answer = gateway.post(CHAT, &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let call = answer.json()["choices"][0]["message"]["tool_calls"][0].clone();
    assert_eq!((&call["function"]["name"], &call["function"]["arguments"]), (&json!("bare"), &json!("{}")), "{call}");
    let sent: Value = serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap();
    for tool in sent["tools"].as_array().unwrap() {
        assert_eq!(tool["input_schema"]["type"], "object", "{tool}");
    }
    assert_eq!(sent["tools"][2]["input_schema"]["additionalProperties"], false);
}

/// Row 6: results find their role, and several make one turn.
#[test]
fn tool_results_change_their_role_and_are_merged() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let call = |id: &str, city: &str| json!({"id": id, "type": "function", "function": {"name": "get_weather", "arguments": json!({"city": city}).to_string()}});
    let body = json!({"model": "anthropic/sim-1", "tools": [function("get_weather")], "messages": [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": null, "tool_calls": [call("call_1", "Oslo"), call("call_2", "Rome")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": "sun"},
        {"role": "user", "content": "and?"},
    ]});
    let answer = gateway.post(CHAT, &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let sent: Value = serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap();
    let turns = sent["messages"].as_array().unwrap();
    assert_eq!(
        turns.iter().map(|t| t["role"].as_str().unwrap()).collect::<Vec<_>>(),
        ["user", "assistant", "user"],
        "{sent}"
    );
    let blocks: Vec<&str> =
        turns[2]["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect();
    assert_eq!(blocks, ["tool_result", "tool_result", "text"]);

    let body = json!({"model": "openai/sim-1", "max_tokens": 100, "tools": [tool("get_weather")], "messages": [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"city": "Rome"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "sun"}], "is_error": true},
            {"type": "text", "text": "and?"}]},
    ]});
    let answer = gateway.post(MESSAGES, &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let sent: Value = serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap();
    let roles: Vec<&str> = sent["messages"].as_array().unwrap().iter().map(|t| t["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"], "{sent}");
}

/// A whole tool loop in every cell: what the gateway says is what the client sends back.
#[test]
fn tool_loops_close_in_all_four_cells() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let ask = "get_weather for Paris and get_weather for Rome";
    for provider in ["openai", "anthropic"] {
        let model = format!("{provider}/sim-1");
        let mut body = with(chat(&model, ask), json!({"tools": [function("get_weather")]}));
        let answer = gateway.post(CHAT, &body).json();
        let said = answer["choices"][0]["message"].clone();
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls", "{answer}");
        let calls = said["tool_calls"].as_array().unwrap().clone();
        assert_eq!(calls.len(), 2);
        let turns = body["messages"].as_array_mut().unwrap();
        turns.push(said);
        for call in &calls {
            let result = format!("result of {}", call["function"]["arguments"].as_str().unwrap());
            turns.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
        }
        let answer = gateway.post(CHAT, &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(
            text(&answer.json()),
            r#"The tools answered: result of {"city":"Paris"}; result of {"city":"Rome"}"#
        );

        let mut body = with(message(&model, ask), json!({"tools": [tool("get_weather")]}));
        let answer = gateway.post(MESSAGES, &body).json();
        assert_eq!(answer["stop_reason"], "tool_use", "{answer}");
        let content = answer["content"].as_array().unwrap().clone();
        let results: Vec<Value> = content
            .iter()
            .filter(|b| b["type"] == "tool_use")
            .map(|b| json!({"type": "tool_result", "tool_use_id": b["id"], "content": format!("result of {}", b["input"])}))
            .collect();
        let turns = body["messages"].as_array_mut().unwrap();
        turns.push(json!({"role": "assistant", "content": content}));
        turns.push(json!({"role": "user", "content": results}));
        let answer = gateway.post(MESSAGES, &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(
            text(&answer.json()),
            r#"The tools answered: result of {"city":"Paris"}; result of {"city":"Rome"}"#
        );
    }
}

/// Row 2: thinking comes back byte for byte and in its order, in the client's own format.
#[test]
fn thinking_goes_through_a_tool_loop_untouched_in_its_own_format() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": [tool("get_weather")]});
    for stream in [false, true] {
        for ask in ["use get_weather for Oslo", "redact your thinking, use get_weather for Oslo"] {
            let body = with(message("anthropic/sim-1", ask), thinking.clone());
            let content = if stream {
                gather(&gateway.post(MESSAGES, &streamed(body.clone())).events())
            } else {
                gateway.post(MESSAGES, &body).json()["content"].clone()
            };
            let call = content.as_array().unwrap().last().unwrap()["id"].clone();
            let body = with(
                body,
                json!({"messages": [
                    {"role": "user", "content": ask},
                    {"role": "assistant", "content": content},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": "rain"}]},
                ]}),
            );
            let answer = gateway.post(MESSAGES, &body);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert_eq!(text(&answer.json()), "The tool answered: rain");
        }
    }
}

/// The content blocks of a Messages stream.
fn gather(events: &[Event]) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    for event in events.iter().map(Event::json) {
        if event["type"] == "content_block_start" {
            blocks.push(event["content_block"].clone());
            inputs.push(String::new());
        }
        let Some(block) = blocks.last_mut() else { continue };
        let delta = &event["delta"];
        for member in ["text", "thinking", "signature"] {
            if let Some(piece) = delta[member].as_str() {
                block[member] = json!(format!("{}{piece}", block[member].as_str().unwrap_or_default()));
            }
        }
        if let Some(piece) = delta["partial_json"].as_str() {
            inputs.last_mut().unwrap().push_str(piece);
        }
    }
    for (block, input) in blocks.iter_mut().zip(inputs) {
        if block["type"] == "tool_use" {
            block["input"] = serde_json::from_str(&input).unwrap_or_else(|_| json!({}));
        }
    }
    json!(blocks)
}

/// Rows 2 and 3: a signature survives a client whose format has no place for it. The simulator
/// refuses a tool loop whose thinking is missing or altered, as the vendor does.
#[test]
fn signatures_survive_a_chat_client() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for stream in [false, true] {
        let body = with(
            chat("anthropic/claude-sonnet-4-5", "use get_weather for Oslo"),
            json!({"reasoning_effort": "high", "tools": [function("get_weather")]}),
        );
        let said = if stream {
            gather_chat(&gateway.post(CHAT, &streamed(body.clone())).events())
        } else {
            gateway.post(CHAT, &body).json()["choices"][0]["message"].clone()
        };
        assert_eq!(said["reasoning_content"], "Let me think about this: use get_weather for Oslo", "{said}");
        let id = said["tool_calls"][0]["id"].clone();
        // Clients that keep only what the format has: no reasoning text comes back.
        for keeps_reasoning in [true, false] {
            let mut said = said.clone();
            if !keeps_reasoning {
                said.as_object_mut().unwrap().remove("reasoning_content");
            }
            let body = with(
                body.clone(),
                json!({"messages": [
                    {"role": "user", "content": "use get_weather for Oslo"},
                    said,
                    {"role": "tool", "tool_call_id": id, "content": "rain"},
                ]}),
            );
            let answer = gateway.post(CHAT, &body);
            assert_eq!(answer.status(), 200, "stream {stream}, reasoning kept {keeps_reasoning}: {}", answer.text());
            assert_eq!(text(&answer.json()), "The tool answered: rain");
        }
    }
}

/// The message of a chat stream.
fn gather_chat(events: &[Event]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    let mut calls: Vec<Value> = Vec::new();
    for event in events.iter().filter(|e| e.data != "[DONE]").map(Event::json) {
        let delta = &event["choices"][0]["delta"];
        for member in ["content", "reasoning_content"] {
            if let Some(piece) = delta[member].as_str().filter(|p| !p.is_empty()) {
                message[member] = json!(format!("{}{piece}", message[member].as_str().unwrap_or_default()));
            }
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                calls.push(call.clone());
            } else {
                let so_far = calls[index]["function"]["arguments"].as_str().unwrap_or_default().to_owned();
                calls[index]["function"]["arguments"] =
                    json!(so_far + call["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
    }
    for call in &mut calls {
        call.as_object_mut().unwrap().remove("index");
    }
    message["tool_calls"] = json!(calls);
    message
}

/// Row 1: reasoning under every name it has becomes a thinking block.
#[test]
fn reasoning_of_open_servers_becomes_thinking() {
    for name in ["reasoning_content", "reasoning"] {
        let whole = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": "answer", name: "pondering"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
        .to_string();
        let pieces = [
            chunk(&json!({"role": "assistant", "content": ""}), None),
            chunk(&json!({name: "pond"}), None),
            chunk(&json!({name: "ering"}), None),
            chunk(&json!({"content": "answer"}), None),
            chunk(&json!({}), Some("stop")),
        ];
        let stream = sse(&pieces);
        let upstream = Upstream::start(move |request, conn| {
            if request.json()["stream"] == true {
                conn.sse_head();
                conn.chunk(&stream);
                conn.end();
            } else {
                conn.json(200, &whole);
            }
        });
        let address = upstream.address;
        let text = config(address, address, "").replace(
            "providers:\n",
            &format!("providers:\n  lab: {{kind: vllm, base_url: \"http://{address}/v1\"}}\n"),
        );
        let gateway = Gateway::start(&text);
        let answer = gateway.post(MESSAGES, &message("lab/qwen", "hi")).json();
        assert_eq!(
            (&answer["content"][0]["type"], &answer["content"][0]["thinking"]),
            (&json!("thinking"), &json!("pondering")),
            "{name}: {answer}"
        );
        assert_eq!(answer["content"][1]["text"], "answer");
        let events = gateway.post(MESSAGES, &streamed(message("lab/qwen", "hi"))).events();
        check_messages_stream(&events);
        let content = gather(&events);
        assert_eq!(
            (&content[0]["thinking"], &content[1]["text"]),
            (&json!("pondering"), &json!("answer")),
            "{name}: {content}"
        );
        let answer = gateway.post(CHAT, &chat("lab/qwen", "hi")).json();
        assert!(answer["choices"][0]["message"].to_string().contains("pondering"), "{answer}");
    }
}
