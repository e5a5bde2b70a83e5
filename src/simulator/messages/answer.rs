//! Whole answers.

use serde_json::{Map, Value, json};

use crate::simulator::cache::Input;
use crate::simulator::prompt::Prompt;
use crate::simulator::reply::{Finish, Reply, Thinking, redact, sign};

pub(in crate::simulator) fn whole(prompt: &Prompt, reply: &Reply, id: &str, input: Option<&Input>) -> Value {
    let mut content = Vec::new();
    content.extend(reply.thinking.as_ref().map(thinking));
    if !reply.text.is_empty() {
        content.push(json!({"type": "text", "text": reply.text, "citations": null}));
    }
    for call in &reply.calls {
        // Cut arguments are no JSON: the vendor gives what it has as an empty object.
        let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        content.push(json!({"type": "tool_use", "id": call_id(&call.id), "name": call.name, "input": input}));
    }
    let mut answer = message(prompt, id, &content);
    if let Some(answer) = answer.as_object_mut() {
        answer.extend(stop(reply));
        if let Some(input) = input {
            answer.insert("usage".to_owned(), usage(input, reply.output_tokens()));
        }
    }
    answer
}

/// A message without stop reason and usage.
pub(super) fn message(prompt: &Prompt, id: &str, content: &[Value]) -> Value {
    json!({
        "id": format!("msg_{id}"),
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
    })
}

fn thinking(thinking: &Thinking) -> Value {
    if thinking.redacted {
        return json!({"type": "redacted_thinking", "data": redact(&thinking.text)});
    }
    json!({"type": "thinking", "thinking": thinking.text, "signature": sign(&thinking.text)})
}

pub(super) fn call_id(id: &str) -> String {
    format!("toolu_{id}")
}

pub(super) fn stop(reply: &Reply) -> Map<String, Value> {
    let (reason, sequence) = match &reply.finish {
        Finish::Stop => ("end_turn", None),
        Finish::StopSequence(sequence) => ("stop_sequence", Some(sequence)),
        Finish::Length => ("max_tokens", None),
        Finish::ToolCalls => ("tool_use", None),
    };
    [("stop_reason".to_owned(), json!(reason)), ("stop_sequence".to_owned(), json!(sequence))].into_iter().collect()
}

/// Anthropic counts what the cache read and wrote apart from `input_tokens`.
pub(super) fn usage(input: &Input, output: u64) -> Value {
    let written = input.write_5m + input.write_1h;
    json!({
        "input_tokens": input.input - input.read - written,
        "cache_read_input_tokens": input.read,
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_5m_input_tokens": input.write_5m, "ephemeral_1h_input_tokens": input.write_1h},
        "output_tokens": output,
        "server_tool_use": null,
        "service_tier": "standard",
    })
}
