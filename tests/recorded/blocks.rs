//! Bedrock's Converse, read as a tree.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::reading::{Call, Choice, Counts, Reading, events, message};

pub(crate) fn body(body: &str) -> Reading {
    let it: Value = serde_json::from_str(body).unwrap_or_default();
    let content = &it["output"]["message"]["content"];
    if !content.is_array() {
        return Reading { error: message(body), ..Reading::default() };
    }
    let mut choice = Choice { finish: finish(&it["stopReason"]), ..Choice::default() };
    content.as_array().into_iter().flatten().for_each(|block| take(&mut choice, block));
    Reading { choices: vec![choice], usage: counts(&it["usage"]), ..Reading::default() }
}

/// The events as `messages_of` wrote them: blocks grow by their deltas, whether or not they were opened.
pub(crate) fn stream(body: &str) -> Reading {
    let mut reading = Reading { is_cut: true, ..Reading::default() };
    let mut blocks: BTreeMap<u64, Value> = BTreeMap::new();
    let mut choice = Choice::default();
    for data in events(body) {
        let event: Value = serde_json::from_str(data).expect("an event");
        let (kind, event) = event.as_object().and_then(|it| it.iter().next()).expect("one member");
        let index = event["contentBlockIndex"].as_u64().unwrap_or(0);
        match kind.as_str() {
            "contentBlockStart" => _ = blocks.insert(index, event["start"].clone()),
            "contentBlockDelta" => grow(blocks.entry(index).or_insert_with(|| json!({})), &event["delta"]),
            "messageStop" => {
                choice.finish = finish(&event["stopReason"]);
                reading.is_cut = false;
            }
            "metadata" => reading.usage = counts(&event["usage"]),
            kind if kind.ends_with("Exception") => reading.error = message(&event.to_string()),
            _ => {}
        }
    }
    blocks.values().for_each(|block| take(&mut choice, block));
    reading.choices.push(choice);
    reading
}

fn append(to: &mut Value, fragment: &Value) {
    if let Some(fragment) = fragment.as_str() {
        *to = json!(to.as_str().unwrap_or_default().to_owned() + fragment);
    }
}

fn grow(block: &mut Value, delta: &Value) {
    if delta["text"].is_string() {
        append(&mut block["text"], &delta["text"]);
    }
    if delta["reasoningContent"]["text"].is_string() {
        append(&mut block["reasoningContent"]["reasoningText"]["text"], &delta["reasoningContent"]["text"]);
    }
    if delta["toolUse"]["input"].is_string() {
        append(&mut block["toolUse"]["input"], &delta["toolUse"]["input"]);
    }
}

fn take(choice: &mut Choice, block: &Value) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    choice.text.push_str(&text(&block["text"]));
    for piece in block["citationsContent"]["content"].as_array().into_iter().flatten() {
        choice.text.push_str(&text(&piece["text"]));
    }
    choice.reasoning.push_str(&text(&block["reasoningContent"]["reasoningText"]["text"]));
    let call = &block["toolUse"];
    // What the provider runs is no call of the client's.
    if call.is_object() && call["type"] != "server_tool_use" {
        let arguments = call["input"].as_str().map_or_else(|| call["input"].to_string(), str::to_owned);
        choice.calls.push(Call { id: text(&call["toolUseId"]), name: text(&call["name"]), arguments });
    }
}

/// In the words that other formats share.
fn finish(reason: &Value) -> Option<String> {
    let word = match reason.as_str()? {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "refusal",
        _ => "stop",
    };
    Some(word.to_owned())
}

fn counts(usage: &Value) -> Option<Counts> {
    let number = |name: &str| usage[name].as_u64().unwrap_or(0);
    let output = usage["outputTokens"].as_u64()?;
    let (cached, written) = (number("cacheReadInputTokens"), number("cacheWriteInputTokens"));
    Some(Counts { input: number("inputTokens") + cached + written, output, cached, written, reasoning: 0 })
}
