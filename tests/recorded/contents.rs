//! Gemini's `generateContent`, read as a tree.

use serde_json::{Map, Value, json};

use crate::reading::{Call, Choice, Counts, Reading, events, message};

pub(crate) fn body(body: &str) -> Reading {
    read([body].into_iter())
}

pub(crate) fn stream(body: &str) -> Reading {
    read(events(body))
}

/// The stream as one array.
pub(crate) fn array(body: &str) -> Reading {
    let items: Vec<Value> = serde_json::from_str(body).unwrap_or_default();
    let items: Vec<String> = items.iter().map(Value::to_string).collect();
    read(items.iter().map(String::as_str))
}

fn read<'b>(bodies: impl Iterator<Item = &'b str>) -> Reading {
    let mut reading = Reading { is_cut: true, ..Reading::default() };
    let mut arguments: Vec<Vec<Value>> = Vec::new();
    for body in bodies {
        let it: Value = serde_json::from_str(body).unwrap_or_default();
        if it["error"].is_object() {
            reading.error = message(body);
        }
        for candidate in it["candidates"].as_array().into_iter().flatten() {
            let index = usize::try_from(candidate["index"].as_u64().unwrap_or(0)).expect("fits");
            while reading.choices.len() <= index {
                reading.choices.push(Choice::default());
                arguments.push(Vec::new());
            }
            take(candidate, &mut reading.choices[index], &mut arguments[index]);
        }
        if let Some(word) = it["promptFeedback"]["blockReason"].as_str().filter(|_| reading.choices.is_empty()) {
            let refusal = it["promptFeedback"]["blockReasonMessage"].as_str().unwrap_or_default().to_owned();
            reading.choices.push(Choice { finish: Some(finish(&json!(word), true)), refusal, ..Choice::default() });
        }
        reading.usage = counts(&it["usageMetadata"]).or(reading.usage);
    }
    for (choice, arguments) in reading.choices.iter_mut().zip(arguments) {
        for (call, arguments) in choice.calls.iter_mut().zip(arguments) {
            call.arguments = arguments.to_string();
        }
    }
    reading.is_cut = reading.choices.is_empty() || reading.choices.iter().any(|choice| choice.finish.is_none());
    reading
}

fn take(candidate: &Value, choice: &mut Choice, arguments: &mut Vec<Value>) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
        let said = if part["thought"] == true { &mut choice.reasoning } else { &mut choice.text };
        said.push_str(&text(&part["text"]));
        let call = &part["functionCall"];
        if let Some(name) = call["name"].as_str() {
            let id = call["id"].as_str().unwrap_or("?").to_owned();
            choice.calls.push(Call { id, name: name.to_owned(), arguments: String::new() });
            let args = call["args"].as_object().cloned().unwrap_or_default();
            arguments.push(Value::Object(args));
        }
        for piece in call["partialArgs"].as_array().into_iter().flatten() {
            put(arguments.last_mut().expect("a call has begun"), piece);
        }
    }
    if !candidate["finishReason"].is_null() {
        choice.finish = Some(finish(&candidate["finishReason"], false));
    }
}

/// Puts a piece of streamed arguments at its place.
fn put(root: &mut Value, piece: &Value) {
    let path = piece["jsonPath"].as_str().expect("a path").trim_start_matches('$');
    let mut at = root;
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        at = match step.strip_suffix(']') {
            None => {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                &mut at[step]
            }
            Some(index) => {
                let index: usize = index.parse().expect("an index");
                if at.is_null() {
                    *at = json!([]);
                }
                let list = at.as_array_mut().expect("a list");
                while list.len() <= index {
                    list.push(Value::Null);
                }
                &mut list[index]
            }
        };
    }
    match piece["stringValue"].as_str() {
        Some(more) => *at = json!(format!("{}{more}", at.as_str().unwrap_or_default())),
        None => *at = piece["numberValue"].clone(),
    }
}

/// In the words that other formats share.
fn finish(reason: &Value, blocked: bool) -> String {
    match (reason.as_str(), reason.as_u64()) {
        _ if blocked => "refusal",
        (Some("MAX_TOKENS"), _) | (_, Some(2)) => "length",
        (Some("SAFETY" | "RECITATION" | "PROHIBITED_CONTENT" | "BLOCKLIST" | "SPII" | "MODEL_ARMOR"), _) => "refusal",
        _ => "stop",
    }
    .to_owned()
}

fn counts(usage: &Value) -> Option<Counts> {
    let number = |name: &str| usage[name].as_u64().unwrap_or(0);
    let input = usage["promptTokenCount"].as_u64()? + number("toolUsePromptTokenCount");
    let reasoning = number("thoughtsTokenCount");
    let output = number("candidatesTokenCount") + reasoning;
    Some(Counts { input, output, cached: number("cachedContentTokenCount"), written: 0, reasoning })
}
