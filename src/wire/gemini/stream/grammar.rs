//! Checks a stream against what the official SDKs rely on, and puts the answer together as they do.
//! Also used by `tests/golden.rs`.

#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

/// The events of a stream. Lines end in CRLF, and an event is one line.
pub(crate) fn events(sse: &str) -> Vec<Value> {
    let frames = sse.split("\r\n\r\n").map(|frame| frame.trim_start_matches("\r\n")).filter(|frame| !frame.is_empty());
    frames
        .map(|frame| {
            let data = frame.strip_prefix("data: ").expect("data, and no comment");
            assert!(!data.contains(['\r', '\n']), "one line: {data}");
            serde_json::from_str(data).expect("JSON")
        })
        .collect()
}

/// The answer as one, or the error that ended it. Panics on a breach of the grammar: every event is
/// an answer with a model and an id, every part has one kind, calls have names and arguments that
/// are objects, the last event has the reasons and the counts, and only it.
pub(crate) fn assemble(sse: &str) -> Value {
    let events = events(sse);
    let (last, rest) = events.split_last().expect("an event");
    let mut answer = json!({"candidates": []});
    for event in rest {
        check_head(event);
        for candidate in event["candidates"].as_array().expect("candidates") {
            assert!(candidate.get("finishReason").is_none(), "a reason before the end: {event}");
            add(&mut answer, candidate);
        }
        assert!(event.get("usageMetadata").is_none(), "counts before the end: {event}");
    }
    if last.get("error").is_some() {
        assert!(last["error"]["message"].is_string() && last["error"]["status"].is_string());
        return last.clone();
    }
    check_head(last);
    for candidate in last["candidates"].as_array().expect("candidates") {
        assert!(candidate["finishReason"].is_string(), "the last event has the reasons: {last}");
        add(&mut answer, candidate);
    }
    assert!(last["usageMetadata"]["totalTokenCount"].is_u64(), "the last event has the counts: {last}");
    for name in ["usageMetadata", "modelVersion", "responseId"] {
        answer[name] = last[name].clone();
    }
    let finished = answer["candidates"].as_array().expect("a list").iter().all(|c| c["finishReason"].is_string());
    assert!(finished, "a candidate without end");
    answer
}

fn check_head(event: &Value) {
    assert!(event["modelVersion"].is_string() && event["responseId"].is_string(), "{event}");
}

fn add(answer: &mut Value, candidate: &Value) {
    let index = usize::try_from(candidate["index"].as_u64().expect("an index")).expect("fits");
    let all = answer["candidates"].as_array_mut().expect("a list");
    while all.len() <= index {
        all.push(json!({"content": {"parts": [], "role": "model"}}));
    }
    let known = &mut all[index];
    assert_eq!(candidate["content"]["role"], "model");
    for part in candidate["content"]["parts"].as_array().expect("parts") {
        check_part(part);
        let parts = known["content"]["parts"].as_array_mut().expect("a list");
        let last = parts.last_mut().filter(|last| {
            let plain = |part: &Value| part["text"].is_string() && part.get("thoughtSignature").is_none();
            plain(last) && plain(part) && last["thought"] == part["thought"]
        });
        match last {
            Some(last) => {
                let text = format!("{}{}", last["text"].as_str().expect("text"), part["text"].as_str().expect("text"));
                last["text"] = text.into();
            }
            None => parts.push(part.clone()),
        }
    }
    for (name, value) in candidate.as_object().expect("an object") {
        if name != "content" {
            known[name] = value.clone();
        }
    }
}

fn check_part(part: &Value) {
    const KINDS: [&str; 8] = [
        "text",
        "functionCall",
        "inlineData",
        "fileData",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
    ];
    assert_eq!(KINDS.iter().filter(|kind| part.get(**kind).is_some()).count(), 1, "one kind: {part}");
    if let Some(call) = part.get("functionCall") {
        assert!(call["name"].is_string() && call["args"].is_object(), "{call}");
    }
    if let Some(signature) = part.get("thoughtSignature") {
        let text = signature.as_str().expect("text");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b)), "base64: {text}");
    }
}
