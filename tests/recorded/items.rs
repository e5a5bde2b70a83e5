//! Responses, read as a tree.

use serde_json::Value;

use crate::reading::{Call, Choice, Counts, Reading, events, message};

pub(crate) fn body(body: &str) -> Reading {
    let it: Value = serde_json::from_str(body).unwrap_or_default();
    if !it["error"].is_null() || it["status"] == "failed" {
        return Reading { error: message(body), ..Reading::default() };
    }
    let mut choice = Choice { finish: finish(&it), ..Choice::default() };
    it["output"].as_array().into_iter().flatten().for_each(|item| take(&mut choice, item));
    Reading { choices: vec![choice], usage: counts(&it["usage"]), ..Reading::default() }
}

/// The last event holds the whole answer; the items that were told before are what it has to hold.
pub(crate) fn stream(stream: &str) -> Reading {
    let mut done = Vec::new();
    for data in events(stream) {
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        match event["type"].as_str().unwrap_or_default() {
            "response.output_item.done" => done.push(event["item"].clone()),
            "response.completed" | "response.incomplete" => {
                let mut answer = event["response"].clone();
                if answer["output"].as_array().is_none_or(Vec::is_empty) {
                    answer["output"] = Value::Array(done);
                }
                return body(&answer.to_string());
            }
            "response.failed" => {
                return Reading { error: message(&event["response"].to_string()), ..Reading::default() };
            }
            "error" => return Reading { error: message(data), ..Reading::default() },
            _ => {}
        }
    }
    Reading { is_cut: true, choices: vec![Choice::default()], ..Reading::default() }
}

fn finish(it: &Value) -> Option<String> {
    let word = match (it["status"].as_str(), it["incomplete_details"]["reason"].as_str()) {
        (_, Some("content_filter")) => "content_filter",
        (Some("incomplete"), _) => "length",
        _ => "stop",
    };
    Some(word.to_owned())
}

fn take(choice: &mut Choice, item: &Value) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let joined = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().map(|piece| text(&piece["text"])).filter(|t| !t.is_empty()).collect()
    };
    match item["type"].as_str().unwrap_or("message") {
        "message" => {
            for piece in item["content"].as_array().into_iter().flatten() {
                choice.text.push_str(&text(&piece["text"]));
                choice.refusal.push_str(&text(&piece["refusal"]));
            }
        }
        "reasoning" => {
            let summary = joined(&item["summary"]);
            let all = if summary.is_empty() { joined(&item["content"]) } else { summary };
            choice.reasoning.push_str(&all.join("\n"));
        }
        kind @ ("function_call" | "custom_tool_call") => {
            let name = match item["namespace"].as_str() {
                Some(namespace) => format!("{namespace}__{}", text(&item["name"])),
                None => text(&item["name"]),
            };
            let arguments = match kind {
                "function_call" => text(&item["arguments"]),
                _ => serde_json::json!({"input": item["input"]}).to_string(),
            };
            choice.calls.push(Call { id: text(&item["call_id"]), name, arguments });
        }
        _ => {}
    }
}

fn counts(usage: &Value) -> Option<Counts> {
    let number = |v: &Value| v.as_u64().unwrap_or(0);
    let (input, output) = (usage["input_tokens"].as_u64()?, usage["output_tokens"].as_u64()?);
    let before = &usage["input_tokens_details"];
    let cached = number(&before["cached_tokens"]).min(input);
    let written = number(&before["cache_write_tokens"]).min(input - cached);
    let reasoning = number(&usage["output_tokens_details"]["reasoning_tokens"]).min(output);
    Some(Counts { input, output, cached, written, reasoning })
}
