//! The next turn of a conversation, as a client of either format makes it from an answer.

use serde_json::{Value, json};
use weir::wire::bridge::Bridge;
use weir::wire::seal::Seal;
use weir::wire::{Dialect, Quirks, decode_request, decode_response, encode_request, encode_response, ir};

use crate::corpus::Exchange;
use crate::requests::target;
use crate::{Score, client, exchanges, seal};

fn tree(body: &str) -> Value {
    serde_json::from_str(body).expect("JSON")
}

fn is_thinking(block: &Value) -> bool {
    block["type"] == "thinking" || block["type"] == "redacted_thinking"
}

/// The thinking that stands before the first call of an answer, if there is a call.
fn thinking_before_a_call(body: &str) -> Vec<Value> {
    let it = tree(body);
    let content = it["content"].as_array().cloned().unwrap_or_default();
    let Some(call) = content.iter().position(|b| b["type"] == "tool_use") else { return Vec::new() };
    let before = content.into_iter().take(call).filter(|b| is_thinking(b) && b["signature"] != "");
    before.collect()
}

/// A chat client keeps content and calls, and answers the calls; nothing else.
fn chat_turn(answer: &str) -> String {
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
fn begins_with(request: &str, blocks: &[Value]) -> Result<(), String> {
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
fn details(body: &str) -> Vec<Value> {
    let it: Value = serde_json::from_str(body).unwrap_or_default();
    it["choices"][0]["message"]["reasoning_details"].as_array().cloned().unwrap_or_default()
}

/// An Anthropic client gives the whole content back.
fn messages_turn(answer: &str) -> String {
    let answer = tree(answer);
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": "go on"},
    ]);
    json!({"model": "m", "max_tokens": 5, "messages": messages}).to_string()
}

/// Whether the assistant's turn of a chat request holds these details.
fn gives_back(request: &str, details: &[Value]) -> Result<(), String> {
    let request = tree(request);
    let messages = request["messages"].as_array().cloned().unwrap_or_default();
    let given = messages.iter().find(|m| m["role"] == "assistant").map(|m| m["reasoning_details"].clone());
    if given.as_ref().and_then(Value::as_array).is_some_and(|g| g == details) {
        Ok(())
    } else {
        Err(format!("gives back {given:?}, expected {details:?}"))
    }
}

#[test]
fn claudes_thinking_survives_a_chat_client() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.dialect == Dialect::Anthropic && e.is_whole()) {
        let blocks = thinking_before_a_call(&exchange.body);
        if !blocks.is_empty() {
            score.note(&exchange, "next turn", through_chat(&exchange, &blocks, &seal));
        }
    }
    score.settle("thinking");
}

/// The answer as a chat client gets it, and what the next request makes of it.
fn through_chat(exchange: &Exchange, blocks: &[Value], seal: &Seal) -> Result<(), String> {
    let mut answer = decode_response(Dialect::Anthropic, &exchange.body, &Quirks::NONE).map_err(|e| e.to_string())?;
    Bridge::plain(Dialect::OpenAiChat, Dialect::Anthropic, seal).response(&mut answer);
    let mut out = Vec::new();
    encode_response(Dialect::OpenAiChat, &answer, &client(seal), &mut out);
    let next = chat_turn(&String::from_utf8(out).map_err(|e| e.to_string())?);
    let mut request = decode_request(Dialect::OpenAiChat, &next).map_err(|e| e.to_string())?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    Bridge::request(&mut request, Dialect::Anthropic, &target(&Quirks::NONE, seal), &mut dropped)
        .map_err(|e| e.to_string())?;
    encode_request(Dialect::Anthropic, &request, &target(&Quirks::NONE, seal), &mut out, &mut dropped)
        .map_err(|e| e.to_string())?;
    begins_with(&String::from_utf8(out).map_err(|e| e.to_string())?, blocks)
}

#[test]
fn a_resellers_proof_survives_an_anthropic_client() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.dialect == Dialect::OpenAiChat && e.is_whole()) {
        let details = details(&exchange.body);
        if !details.is_empty() {
            score.note(&exchange, "next turn", through_messages(&exchange, &details, &seal));
        }
    }
    score.settle("proof");
}

fn through_messages(exchange: &Exchange, details: &[Value], seal: &Seal) -> Result<(), String> {
    let mut answer = decode_response(Dialect::OpenAiChat, &exchange.body, &Quirks::NONE).map_err(|e| e.to_string())?;
    Bridge::plain(Dialect::Anthropic, Dialect::OpenAiChat, seal).response(&mut answer);
    let mut out = Vec::new();
    encode_response(Dialect::Anthropic, &answer, &client(seal), &mut out);
    let next = messages_turn(&String::from_utf8(out).map_err(|e| e.to_string())?);
    let mut request = decode_request(Dialect::Anthropic, &next).map_err(|e| e.to_string())?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    Bridge::request(&mut request, Dialect::OpenAiChat, &target(&Quirks::NONE, seal), &mut dropped)
        .map_err(|e| e.to_string())?;
    encode_request(Dialect::OpenAiChat, &request, &target(&Quirks::NONE, seal), &mut out, &mut dropped)
        .map_err(|e| e.to_string())?;
    gives_back(&String::from_utf8(out).map_err(|e| e.to_string())?, details)
}
