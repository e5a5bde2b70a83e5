//! Streamed answers: one delta per word, arguments in fragments of six characters, a ping after the
//! first block began (as seen in 2026-11).

use serde_json::{Value, json};

use super::answer::{call_id, message, stop, usage};
use crate::simulator::app::Frame;
use crate::simulator::cache::Input;
use crate::simulator::failure::{Failure, Format};
use crate::simulator::prompt::Prompt;
use crate::simulator::reply::{Call, Reply, Thinking, pieces, redact, sign};

pub(in crate::simulator) fn frames(prompt: &Prompt, reply: &Reply, id: &str, input: Option<&Input>) -> Vec<Frame> {
    let mut start = message(prompt, id, &[]);
    if let (Some(input), Some(start)) = (input, start.as_object_mut()) {
        start.insert("usage".to_owned(), usage(input, 1));
    }
    let mut frames = vec![event(&json!({"type": "message_start", "message": start}), false)];
    let mut blocks = Vec::new();
    blocks.extend(reply.thinking.as_ref().map(thinking));
    if !reply.text.is_empty() {
        let deltas = pieces(&reply.text).into_iter().map(|p| json!({"type": "text_delta", "text": p})).collect();
        blocks.push((json!({"type": "text", "text": ""}), deltas));
    }
    blocks.extend(reply.calls.iter().map(call));
    for (index, (opening, deltas)) in blocks.into_iter().enumerate() {
        let opening = json!({"type": "content_block_start", "index": index, "content_block": opening});
        frames.push(event(&opening, deltas.is_empty()));
        if index == 0 {
            frames.push(event(&json!({"type": "ping"}), false));
        }
        for delta in deltas {
            let delta = json!({"type": "content_block_delta", "index": index, "delta": delta});
            frames.push(event(&delta, true));
        }
        frames.push(event(&json!({"type": "content_block_stop", "index": index}), false));
    }
    let mut end = json!({"type": "message_delta", "delta": stop(reply)});
    if let (Some(input), Some(end)) = (input, end.as_object_mut()) {
        end.insert("usage".to_owned(), usage(input, reply.output_tokens()));
    }
    frames.push(event(&end, false));
    frames.push(event(&json!({"type": "message_stop"}), false));
    frames
}

/// An event, named as its type.
fn event(json: &Value, is_content: bool) -> Frame {
    let name = json.get("type").and_then(Value::as_str).unwrap_or_default();
    Frame { bytes: format!("event: {name}\ndata: {json}\n\n").into_bytes(), is_content }
}

pub(in crate::simulator) fn error_event(failure: &Failure) -> Vec<u8> {
    event(&failure.body(Format::Anthropic), false).bytes
}

fn thinking(thinking: &Thinking) -> (Value, Vec<Value>) {
    if thinking.redacted {
        return (json!({"type": "redacted_thinking", "data": redact(&thinking.text)}), Vec::new());
    }
    let mut deltas: Vec<Value> =
        pieces(&thinking.text).into_iter().map(|p| json!({"type": "thinking_delta", "thinking": p})).collect();
    deltas.push(json!({"type": "signature_delta", "signature": sign(&thinking.text)}));
    (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
}

fn call(call: &Call) -> (Value, Vec<Value>) {
    let delta = |fragment: &str| json!({"type": "input_json_delta", "partial_json": fragment});
    let mut deltas = vec![delta("")];
    if call.arguments != "{}" {
        let letters: Vec<char> = call.arguments.chars().collect();
        deltas.extend(letters.chunks(6).map(|f| delta(&f.iter().collect::<String>())));
    }
    (json!({"type": "tool_use", "id": call_id(&call.id), "name": call.name, "input": {}}), deltas)
}
