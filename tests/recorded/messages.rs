//! Anthropic Messages, read as a tree.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::reading::{Call, Choice, Counts, Reading, events, message};

/// The events that InvokeModel wraps once more, as lines of `data:`.
pub(crate) fn unwrapped(chunks: &[Value]) -> String {
    let event = |chunk: &Value| match chunk["chunk"]["bytes"].as_str() {
        Some(inner) => String::from_utf8(STANDARD.decode(inner).expect("base64")).expect("UTF-8"),
        None => chunk.to_string(),
    };
    chunks.iter().map(|chunk| format!("data: {}\n\n", event(chunk))).collect()
}

pub(crate) fn body(body: &str) -> Reading {
    let it: Value = serde_json::from_str(body).unwrap_or_default();
    if it["type"] == "error" {
        return Reading { error: message(body), ..Reading::default() };
    }
    let mut choice = Choice { finish: it["stop_reason"].as_str().map(str::to_owned), ..Choice::default() };
    for block in it["content"].as_array().into_iter().flatten() {
        let arguments = block["input"].to_string();
        take_block(&mut choice, block, arguments);
    }
    Reading { choices: vec![choice], usage: counts(&it["usage"]), ..Reading::default() }
}

pub(crate) fn stream(body: &str) -> Reading {
    let mut reading = Reading { is_cut: true, ..Reading::default() };
    let mut blocks: BTreeMap<u64, (Value, String)> = BTreeMap::new();
    let (mut usage, mut finish) = (serde_json::Map::new(), None);
    for data in events(body) {
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => merge(&mut usage, &event["message"]["usage"]),
            "content_block_start" => {
                blocks.insert(index, (event["content_block"].clone(), String::new()));
            }
            "content_block_delta" => {
                let (block, arguments) = blocks.get_mut(&index).expect("a delta follows its start");
                grow(block, arguments, &event["delta"]);
            }
            "message_delta" => {
                merge(&mut usage, &event["usage"]);
                finish = event["delta"]["stop_reason"].as_str().map(str::to_owned).or(finish);
            }
            "message_stop" => reading.is_cut = false,
            "error" => reading.error = message(data),
            _ => {}
        }
    }
    let mut choice = Choice { finish, ..Choice::default() };
    for (block, arguments) in blocks.values() {
        take_block(&mut choice, block, arguments.clone());
    }
    reading.choices.push(choice);
    reading.usage = counts(&Value::Object(usage));
    reading
}

fn merge(usage: &mut serde_json::Map<String, Value>, newer: &Value) {
    for (name, value) in newer.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
        usage.insert(name.clone(), value.clone());
    }
}

fn grow(block: &mut Value, arguments: &mut String, delta: &Value) {
    for (member, fragment) in [("text", &delta["text"]), ("thinking", &delta["thinking"])] {
        if let Some(fragment) = fragment.as_str() {
            let text = block[member].as_str().unwrap_or_default().to_owned();
            block[member] = Value::String(text + fragment);
        }
    }
    arguments.push_str(delta["partial_json"].as_str().unwrap_or_default());
}

fn take_block(choice: &mut Choice, block: &Value, arguments: String) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    match block["type"].as_str().unwrap_or_default() {
        "text" => choice.text.push_str(&text(&block["text"])),
        "thinking" => choice.reasoning.push_str(&text(&block["thinking"])),
        "tool_use" => {
            choice.calls.push(Call { id: text(&block["id"]), name: text(&block["name"]), arguments });
        }
        _ => {}
    }
}

fn counts(usage: &Value) -> Option<Counts> {
    let number = |name: &str| usage[name].as_u64().unwrap_or(0);
    let output = usage["output_tokens"].as_u64()?;
    let (cached, written) = (number("cache_read_input_tokens"), number("cache_creation_input_tokens"));
    Some(Counts { input: number("input_tokens") + cached + written, output, cached, written, reasoning: 0 })
}
