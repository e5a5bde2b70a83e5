//! Requests and answers that many tests use.

use serde_json::{Value, json};
use weir::wire::Dialect;

use crate::support::client::Event;
use crate::support::grammar;
use crate::support::upstream::Upstream;
use crate::support::wait::Gate;

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";

pub(crate) fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn message(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 4096, "messages": [{"role": "user", "content": text}]})
}

/// The same request with further members.
pub(crate) fn with(mut body: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("members are an object") };
    body.as_object_mut().unwrap().extend(members);
    body
}

pub(crate) fn streamed(body: Value) -> Value {
    with(body, json!({"stream": true}))
}

/// Both formats: path and the request for it.
pub(crate) fn both(model: &str, text: &str) -> [(&'static str, Value); 2] {
    [(CHAT, chat(model, text)), (MESSAGES, message(model, text))]
}

/// The text of an answer in either format.
pub(crate) fn text(answer: &Value) -> &str {
    let chat = answer["choices"][0]["message"]["content"].as_str();
    let blocks = answer["content"].as_array().into_iter().flatten();
    let message = blocks.filter_map(|b| b["text"].as_str()).next();
    chat.or(message).unwrap_or_else(|| panic!("no text in {answer}"))
}

/// The text of a stream in either format.
pub(crate) fn stream_text(events: &[Event]) -> String {
    let pieces = events.iter().filter(|e| e.data != "[DONE]").map(Event::json);
    pieces
        .filter_map(|e| {
            let delta = e["choices"][0]["delta"]["content"].as_str().or_else(|| e["delta"]["text"].as_str());
            delta.map(str::to_owned)
        })
        .collect()
}

/// Checks the grammar of a Messages stream.
pub(crate) fn check_messages_stream(events: &[Event]) {
    check_stream(MESSAGES, events);
}

/// Checks the grammar of a stream that this path answered.
pub(crate) fn check_stream(path: &str, events: &[Event]) {
    let client = if path == MESSAGES { Dialect::Anthropic } else { Dialect::OpenAiChat };
    let frame = |event: &Event| match event.name.as_str() {
        "" => format!("data: {}\n\n", event.data),
        name => format!("event: {name}\ndata: {}\n\n", event.data),
    };
    grammar::assemble(client, &events.iter().map(frame).collect::<String>());
}

/// A chat answer as OpenAI gives it.
pub(crate) fn chat_answer(text: &str) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    })
    .to_string()
}

/// A chunk of a chat stream.
pub(crate) fn chunk(delta: &Value, finish: Option<&str>) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
    })
    .to_string()
}

/// The usage-only chunk of a chat stream.
/// Answers at once; a stream says `one`, and ` two` when the gate opens.
pub(crate) fn held(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |request, conn| {
        if request.json()["stream"] != json!(true) {
            return conn.json(200, &chat_answer("hi"));
        }
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": "one"}), None));
        gate.pass();
        conn.data(chunk(&json!({"content": " two"}), Some("stop")));
        conn.data("[DONE]");
        conn.end();
    })
}

pub(crate) fn usage_chunk(usage: &Value) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o-mini",
        "choices": [], "usage": usage,
    })
    .to_string()
}

/// A chat stream of these data lines and `[DONE]`.
pub(crate) fn sse(data: &[String]) -> String {
    let lines = data.iter().map(|d| format!("data: {d}\n\n"));
    lines.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// A tool for Chat Completions.
pub(crate) fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "A tool.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }}})
}

/// The same tool for Messages.
pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "description": "A tool.", "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }})
}
