//! Chat Completions, read as a tree.

use serde_json::Value;

use crate::reading::{Call, Choice, Counts, Reading, events, message};

pub(crate) fn body(body: &str) -> Reading {
    let it: Value = serde_json::from_str(body).unwrap_or_default();
    let mut reading = Reading { usage: counts(&it["usage"]), ..Reading::default() };
    if it["error"].is_object() || it["error"].is_string() {
        reading.error = message(body);
        return reading;
    }
    for choice in it["choices"].as_array().into_iter().flatten() {
        let mut read = Choice { finish: choice["finish_reason"].as_str().map(str::to_owned), ..Choice::default() };
        let mut message = choice["message"].clone();
        // Gemini leaves ids out; whole calls are told apart without.
        for (index, call) in message["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
            if call["id"].as_str().is_none_or(str::is_empty) {
                call["id"] = Value::String(format!("?{index}"));
            }
        }
        take(&mut read, &message);
        reading.choices.push(read);
    }
    reading
}

pub(crate) fn stream(body: &str) -> Reading {
    let mut reading = Reading { is_cut: true, ..Reading::default() };
    for data in events(body) {
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            reading.is_cut &= data != "[DONE]";
            continue;
        };
        if !chunk["error"].is_null() {
            reading.error = message(data);
            break;
        }
        reading.usage = counts(&chunk["usage"]).or_else(|| counts(&chunk["x_groq"]["usage"])).or(reading.usage);
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let index = usize::try_from(choice["index"].as_u64().unwrap_or(0)).expect("fits");
            while reading.choices.len() <= index {
                reading.choices.push(Choice::default());
            }
            let read = &mut reading.choices[index];
            take(read, &choice["delta"]);
            let finish = choice["finish_reason"].as_str().filter(|f| !f.is_empty());
            read.finish = read.finish.take().or_else(|| finish.map(str::to_owned));
        }
    }
    if reading.is_cut {
        reading.is_cut = reading.choices.is_empty() || reading.choices.iter().any(|c| c.finish.is_none());
    }
    reading
}

fn take(choice: &mut Choice, message: &Value) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    match &message["content"] {
        Value::Null => {}
        Value::String(content) => choice.text.push_str(content),
        Value::Array(items) => items.iter().for_each(|item| take_item(choice, item)),
        parsed => choice.text.push_str(&parsed.to_string()),
    }
    choice.refusal.push_str(&text(&message["refusal"]));
    let named = [&message["reasoning_content"], &message["reasoning"]];
    match named.into_iter().map(text).find(|t| !t.is_empty()) {
        Some(reasoning) => choice.reasoning.push_str(&reasoning),
        None => {
            for item in message["reasoning_details"].as_array().into_iter().flatten() {
                // Our own proof repeats the text it proves.
                let said = text(&item["text"]) + &text(&item["summary"]);
                if !choice.reasoning.contains(&said) {
                    choice.reasoning.push_str(&said);
                }
            }
        }
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        take_call(choice, call);
    }
    if message["function_call"].is_object() {
        let call = &message["function_call"];
        if call["name"].is_string() || choice.calls.is_empty() {
            choice.calls.push(Call::default());
        }
        let last = choice.calls.last_mut().expect("just pushed");
        last.name.push_str(&text(&call["name"]));
        last.arguments.push_str(&text(&call["arguments"]));
    }
}

fn take_item(choice: &mut Choice, item: &Value) {
    choice.text.push_str(item["text"].as_str().unwrap_or_default());
    match &item["thinking"] {
        Value::Array(list) => {
            list.iter().for_each(|t| choice.reasoning.push_str(t["text"].as_str().unwrap_or_default()));
        }
        other => choice.reasoning.push_str(other.as_str().unwrap_or_default()),
    }
}

/// A call begins with an id of its own; what has none continues the last (or the one it points at).
fn take_call(choice: &mut Choice, call: &Value) {
    let id = call["id"].as_str().unwrap_or_default();
    if !id.is_empty() && choice.calls.iter().all(|c| c.id != id) {
        choice.calls.push(Call { id: id.to_owned(), ..Call::default() });
    }
    let place = match call["index"].as_u64() {
        Some(index) if id.is_empty() => usize::try_from(index).expect("fits").min(choice.calls.len().max(1) - 1),
        _ => choice.calls.len().max(1) - 1,
    };
    let Some(known) = choice.calls.get_mut(place) else { return };
    if call["custom"].is_object() {
        known.name.push_str(call["custom"]["name"].as_str().unwrap_or_default());
        known.arguments = serde_json::json!({"input": call["custom"]["input"]}).to_string();
        return;
    }
    known.name.push_str(call["function"]["name"].as_str().unwrap_or_default());
    known.arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
}

/// The counts, with what stands outside a total added to it.
fn counts(usage: &Value) -> Option<Counts> {
    let number = |v: &Value| v.as_u64().unwrap_or(0);
    let (mut input, mut output) = (usage["prompt_tokens"].as_u64()?, usage["completion_tokens"].as_u64()?);
    let (before, after) = (&usage["prompt_tokens_details"], &usage["completion_tokens_details"]);
    let mut reasoning = number(&after["reasoning_tokens"]).max(number(&usage["reasoning_tokens"]));
    let missing = number(&usage["total_tokens"]).saturating_sub(input + output);
    if missing > 1 {
        if number(&before["audio_tokens"]) == missing {
            input += missing;
        } else {
            output += missing;
            reasoning = missing;
        }
    }
    let cached = [
        &before["cached_tokens"],
        &usage["cache_read_input_tokens"],
        &usage["prompt_cache_hit_tokens"],
        &usage["cached_tokens"],
        &usage["num_cached_tokens"],
    ];
    let cached = cached.into_iter().map(number).max().unwrap_or(0).min(input);
    let written = number(&before["cache_write_tokens"]).max(number(&usage["cache_creation_input_tokens"]));
    Some(Counts { input, output, cached, written: written.min(input - cached), reasoning: reasoning.min(output) })
}
