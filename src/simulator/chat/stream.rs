//! Streamed answers: one event per word, calls in fragments of six characters. Several choices come
//! in turns.

use serde_json::{Value, json};

use super::CREATED;
use super::answer::{call_id, finish, logprobs};
use crate::simulator::app::Frame;
use crate::simulator::prompt::Prompt;
use crate::simulator::reply::{Call, Reply, pieces};

/// The end of every stream.
pub(in crate::simulator) const DONE: &[u8] = b"data: [DONE]\n\n";

/// One event.
pub(in crate::simulator) fn data(json: &Value) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

pub(in crate::simulator) fn frames(prompt: &Prompt, replies: &[Reply], id: &str, usage: Option<Value>) -> Vec<Frame> {
    let chunk = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{id}"),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": prompt.model,
            "service_tier": "default",
            "system_fingerprint": "fp_sim",
            "choices": choices,
        });
        if let (true, Some(chunk)) = (prompt.stream_usage, chunk.as_object_mut()) {
            chunk.insert("usage".to_owned(), usage.cloned().unwrap_or_default());
        }
        data(&chunk)
    };
    let mut queues: Vec<_> =
        replies.iter().enumerate().map(|(index, reply)| deltas(prompt, reply, index).into_iter()).collect();
    let mut frames = Vec::new();
    loop {
        let before = frames.len();
        for (choice, is_content) in queues.iter_mut().filter_map(Iterator::next) {
            frames.push(Frame { bytes: chunk(json!([choice]), None), is_content });
        }
        if frames.len() == before {
            break;
        }
    }
    if let (true, Some(usage)) = (prompt.stream_usage, usage) {
        frames.push(Frame { bytes: chunk(json!([]), Some(&usage)), is_content: false });
    }
    frames.push(Frame { bytes: DONE.to_vec(), is_content: false });
    frames
}

/// The `choices` items of one choice, each with whether it has content.
fn deltas(prompt: &Prompt, reply: &Reply, index: usize) -> Vec<(Value, bool)> {
    let item = |delta: Value, logprobs: Value, finish: Option<&str>| json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish});
    let plain = |delta| item(delta, Value::Null, None);
    let mut out = vec![(plain(json!({"role": "assistant", "content": "", "refusal": null})), false)];
    let thinking = reply.thinking.as_ref().map_or("", |t| t.text.as_str());
    out.extend(pieces(thinking).into_iter().map(|p| (plain(json!({"reasoning_content": p})), true)));
    for piece in pieces(&reply.text) {
        let logprobs = prompt.logprobs.map_or(Value::Null, |top| logprobs(piece, top));
        out.push((item(json!({"content": piece}), logprobs, None), true));
    }
    for (at, call) in reply.calls.iter().enumerate() {
        out.extend(call_deltas(call, at).into_iter().map(|c| (plain(json!({"tool_calls": [c]})), true)));
    }
    out.push((item(json!({}), Value::Null, Some(finish(reply))), false));
    out
}

fn call_deltas(call: &Call, at: usize) -> Vec<Value> {
    let opening = json!({
        "index": at, "id": call_id(&call.id), "type": "function", "function": {"name": call.name, "arguments": ""},
    });
    let mut out = vec![opening];
    let letters: Vec<char> = call.arguments.chars().collect();
    for fragment in letters.chunks(6) {
        let fragment: String = fragment.iter().collect();
        out.push(json!({"index": at, "function": {"arguments": fragment}}));
    }
    out
}
