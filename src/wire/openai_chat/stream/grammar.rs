//! Checks a stream against what the official SDKs rely on, and puts the answer together as they do.
//! Also used by the tests beside the library.

#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

/// The data of each event of a stream.
pub(crate) fn events(sse: &str) -> Vec<&str> {
    let frames = sse.split("\n\n").filter(|frame| !frame.is_empty() && !frame.starts_with(':'));
    frames.map(|frame| frame.strip_prefix("data: ").expect("data and nothing else")).collect()
}

/// The answer as one, or the error that ended it. Panics on a breach of the grammar: every chunk with
/// the same head, a role first, calls opened in the order of their indexes with id and name, one
/// reason to finish a choice and nothing of it behind, usage in a chunk of its own behind all
/// choices, `[DONE]` last.
pub(crate) fn assemble(sse: &str) -> Value {
    let mut it = Assembler { answer: json!({"choices": []}), over: false };
    for data in events(sse) {
        assert!(!it.over, "{data} after the end");
        match data {
            "[DONE]" => it.done(),
            data => it.chunk(&serde_json::from_str(data).expect("JSON")),
        }
    }
    assert!(it.over, "the stream has no end:\n{sse}");
    it.answer
}

struct Assembler {
    answer: Value,
    over: bool,
}

impl Assembler {
    fn done(&mut self) {
        let choices = self.answer["choices"].as_array().expect("a list");
        assert!(choices.iter().all(|choice| choice["finish_reason"].is_string()), "an end without a reason");
        self.over = true;
    }

    fn chunk(&mut self, chunk: &Value) {
        if chunk.get("error").is_some() {
            assert!(chunk["error"]["message"].is_string() && chunk["error"]["type"].is_string(), "{chunk}");
            self.answer = chunk.clone();
            self.over = true;
            return;
        }
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        for head in ["id", "created", "model"] {
            assert!(chunk[head].is_string() || head == "created" && chunk[head].is_u64(), "no {head}: {chunk}");
            let known = self.answer[head].take();
            assert!(known.is_null() || known == chunk[head], "{head} changes: {chunk}");
            self.answer[head] = chunk[head].clone();
        }
        assert!(self.answer["usage"].is_null(), "a chunk behind the counts: {chunk}");
        let choices = chunk["choices"].as_array().expect("a list of choices");
        choices.iter().for_each(|choice| self.choice(choice));
        if chunk["usage"].is_object() {
            assert!(choices.is_empty(), "counts beside choices: {chunk}");
            for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
                assert!(chunk["usage"][count].is_u64(), "no {count}: {chunk}");
            }
            self.answer["usage"] = chunk["usage"].clone();
        }
    }

    fn choice(&mut self, choice: &Value) {
        let index = usize::try_from(choice["index"].as_u64().expect("an index")).expect("fits");
        let delta = &choice["delta"];
        assert!(delta.is_object(), "{choice}");
        let all = self.answer["choices"].as_array_mut().expect("a list");
        while all.len() <= index {
            all.push(json!({"message": {}, "finish_reason": null}));
        }
        let known = &mut all[index];
        assert!(known["finish_reason"].is_null(), "behind its end: {choice}");
        if known["message"]["role"].is_null() {
            assert_eq!(delta["role"], "assistant", "the role comes first: {choice}");
            known["message"]["role"] = json!("assistant");
        }
        for name in ["content", "reasoning_content", "refusal"] {
            append(&mut known["message"][name], &delta[name]);
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            take_call(&mut known["message"], call);
        }
        if let Some(list) = delta["reasoning_details"].as_array() {
            let details = &mut known["message"]["reasoning_details"];
            let mut all = details.as_array().cloned().unwrap_or_default();
            all.extend(list.iter().cloned());
            *details = json!(all);
        }
        known["finish_reason"] = choice["finish_reason"].clone();
    }
}

fn append(to: &mut Value, fragment: &Value) {
    if let Some(fragment) = fragment.as_str() {
        *to = json!(to.as_str().unwrap_or_default().to_owned() + fragment);
    } else {
        assert!(fragment.is_null(), "{fragment} is no text");
    }
}

fn take_call(message: &mut Value, call: &Value) {
    if message["tool_calls"].is_null() {
        message["tool_calls"] = json!([]);
    }
    let calls = message["tool_calls"].as_array_mut().expect("a list");
    let index = usize::try_from(call["index"].as_u64().expect("an index")).expect("fits");
    assert!(index <= calls.len(), "an index is left out: {call}");
    if index == calls.len() {
        let inside = &call[call["type"].as_str().expect("a type")];
        assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()) && inside["name"].is_string(), "{call}");
        calls.push(call.clone());
        return;
    }
    assert!(call["id"].is_null() || call["id"] == calls[index]["id"], "another id: {call}");
    let (kind, member) = if calls[index]["type"] == "custom" { ("custom", "input") } else { ("function", "arguments") };
    append(&mut calls[index][kind][member], &call[kind][member]);
}
