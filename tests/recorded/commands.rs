//! Cohere's chat, read as a tree.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::reading::{Call, Choice, Counts, Reading, events, message};

pub(crate) fn body(body: &str) -> Reading {
    let it: Value = serde_json::from_str(body).unwrap_or_default();
    if !it["message"].is_object() {
        return Reading { error: message(body), ..Reading::default() };
    }
    let mut choice = Choice { finish: finish(&it["finish_reason"]), ..Choice::default() };
    choice.text.push_str(text(&it["message"]["tool_plan"]));
    it["message"]["content"].as_array().into_iter().flatten().for_each(|block| take(&mut choice, block));
    for call in it["message"]["tool_calls"].as_array().into_iter().flatten() {
        choice.calls.push(called(call));
    }
    Reading { choices: vec![choice], usage: counts(&it["usage"]), ..Reading::default() }
}

pub(crate) fn stream(body: &str) -> Reading {
    let mut reading = Reading { is_cut: true, ..Reading::default() };
    let (mut choice, mut calls) = (Choice::default(), BTreeMap::<u64, Call>::new());
    for data in events(body) {
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        let (index, delta) = (event["index"].as_u64().unwrap_or(0), &event["delta"]);
        let told = &delta["message"];
        match event["type"].as_str().unwrap_or_default() {
            "tool-plan-delta" => choice.text.push_str(text(&told["tool_plan"])),
            "content-start" | "content-delta" => take(&mut choice, &told["content"]),
            "tool-call-start" => _ = calls.insert(index, called(&told["tool_calls"])),
            "tool-call-delta" => {
                let call = calls.get_mut(&index).expect("a delta follows its start");
                call.arguments.push_str(text(&told["tool_calls"]["function"]["arguments"]));
            }
            "message-end" => {
                choice.finish = finish(&delta["finish_reason"]);
                reading.usage = counts(&delta["usage"]);
                reading.is_cut = false;
            }
            _ => {}
        }
    }
    choice.calls = calls.into_values().collect();
    reading.choices.push(choice);
    reading
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn take(choice: &mut Choice, block: &Value) {
    choice.text.push_str(text(&block["text"]));
    choice.reasoning.push_str(text(&block["thinking"]));
}

fn called(call: &Value) -> Call {
    let function = &call["function"];
    Call {
        id: text(&call["id"]).to_owned(),
        name: text(&function["name"]).to_owned(),
        arguments: text(&function["arguments"]).to_owned(),
    }
}

/// In the words that other formats share.
fn finish(reason: &Value) -> Option<String> {
    Some(if reason.as_str()? == "MAX_TOKENS" { "length" } else { "stop" }.to_owned())
}

fn counts(usage: &Value) -> Option<Counts> {
    let tokens = &usage["tokens"];
    let cached = usage["cached_tokens"].as_u64().unwrap_or(0);
    let reasoning = tokens["reasoning_tokens"].as_u64().unwrap_or(0);
    let (text, output) = (tokens["input_tokens"].as_u64()?, tokens["output_tokens"].as_u64()?);
    // Images are counted beside the text.
    let input = text + tokens["image_tokens"].as_u64().unwrap_or(0);
    Some(Counts { input, output, cached, written: 0, reasoning })
}
