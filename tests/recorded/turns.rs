//! The next turn of a conversation, as a client of either format makes it from an answer.

use serde_json::{Value, json};

fn tree(body: &str) -> Value {
    serde_json::from_str(body).expect("JSON")
}

fn is_thinking(block: &Value) -> bool {
    block["type"] == "thinking" || block["type"] == "redacted_thinking"
}

/// The thinking that stands before the first call of an answer, if there is a call.
pub(crate) fn thinking_before_a_call(body: &str) -> Vec<Value> {
    let it = tree(body);
    let content = it["content"].as_array().cloned().unwrap_or_default();
    let Some(call) = content.iter().position(|b| b["type"] == "tool_use") else { return Vec::new() };
    let before = content.into_iter().take(call).filter(|b| is_thinking(b) && b["signature"] != "");
    before.collect()
}

/// A chat client keeps content and calls, and answers the calls; nothing else.
pub(crate) fn chat_turn(answer: &str) -> String {
    let answer = tree(answer);
    let message = &answer["choices"][0]["message"];
    let mut messages = vec![
        json!({"role": "user", "content": "q"}),
        json!({"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]}),
    ];
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "r"}));
    }
    json!({"model": "m", "messages": messages}).to_string()
}

/// Whether the assistant's turn of an Anthropic request begins with these blocks.
pub(crate) fn begins_with(request: &str, blocks: &[Value]) -> Result<(), String> {
    let request = tree(request);
    let content = request["messages"][1]["content"].as_array().cloned().unwrap_or_default();
    if !content.starts_with(blocks) {
        return Err(format!("begins with {:?}, expected {blocks:?}", content.first()));
    }
    let calls: Vec<&Value> = content.iter().filter(|b| b["type"] == "tool_use").map(|b| &b["id"]).collect();
    let results = request["messages"][2]["content"].as_array().cloned().unwrap_or_default();
    let answered: Vec<&Value> = results.iter().map(|b| &b["tool_use_id"]).collect();
    let sealed = calls.iter().any(|id| id.to_string().contains("weirseal"));
    if calls == answered && !sealed { Ok(()) } else { Err(format!("calls {calls:?}, results {answered:?}")) }
}

/// The first answer's `reasoning_details`.
pub(crate) fn details(body: &str) -> Vec<Value> {
    let it: Value = serde_json::from_str(body).unwrap_or_default();
    it["choices"][0]["message"]["reasoning_details"].as_array().cloned().unwrap_or_default()
}

/// An Anthropic client gives the whole content back.
pub(crate) fn messages_turn(answer: &str) -> String {
    let answer = tree(answer);
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": "go on"},
    ]);
    json!({"model": "m", "max_tokens": 5, "messages": messages}).to_string()
}

/// Whether the assistant's turn of a chat request holds these details.
pub(crate) fn gives_back(request: &str, details: &[Value]) -> Result<(), String> {
    let request = tree(request);
    let messages = request["messages"].as_array().cloned().unwrap_or_default();
    let given = messages.iter().find(|m| m["role"] == "assistant").map(|m| m["reasoning_details"].clone());
    if given.as_ref().and_then(Value::as_array).is_some_and(|g| g == details) {
        Ok(())
    } else {
        Err(format!("gives back {given:?}, expected {details:?}"))
    }
}
