//! Whole answers.

use serde_json::{Value, json};

use super::CREATED;
use crate::simulator::cache::Input;
use crate::simulator::prompt::Prompt;
use crate::simulator::reply::{Finish, Reply, pieces};

pub(in crate::simulator) fn whole(prompt: &Prompt, replies: &[Reply], id: &str, usage: Option<Value>) -> Value {
    let choices: Vec<Value> = replies.iter().enumerate().map(|(index, reply)| choice(prompt, reply, index)).collect();
    let mut answer = json!({
        "id": format!("chatcmpl-{id}"),
        "object": "chat.completion",
        "created": CREATED,
        "model": prompt.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    });
    if let (Some(usage), Some(answer)) = (usage, answer.as_object_mut()) {
        answer.insert("usage".to_owned(), usage);
    }
    answer
}

fn choice(prompt: &Prompt, reply: &Reply, index: usize) -> Value {
    let content = if reply.text.is_empty() && !reply.calls.is_empty() { Value::Null } else { json!(reply.text) };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null, "annotations": []});
    if let Some(message) = message.as_object_mut() {
        if let Some(thinking) = &reply.thinking {
            message.insert("reasoning_content".to_owned(), json!(thinking.text));
        }
        if !reply.calls.is_empty() {
            let calls: Vec<Value> = reply
                .calls
                .iter()
                .map(|c| json!({"id": call_id(&c.id), "type": "function", "function": {"name": c.name, "arguments": c.arguments}}))
                .collect();
            message.insert("tool_calls".to_owned(), json!(calls));
        }
    }
    let logprobs = prompt.logprobs.map_or(Value::Null, |top| logprobs(&reply.text, top));
    json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish(reply)})
}

pub(super) fn call_id(id: &str) -> String {
    format!("call_{id}")
}

pub(super) const fn finish(reply: &Reply) -> &'static str {
    match reply.finish {
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

/// Log probabilities of a text: token i has -i/10.
pub(super) fn logprobs(text: &str, top: usize) -> Value {
    let token = |(at, piece): (usize, &str)| {
        let logprob = f64::from(u32::try_from(at % 32).unwrap_or(0)) / -10.0;
        let alternatives: Vec<Value> = (0..top)
            .map(|nth| {
                let (token, logprob) = match nth {
                    0 => (piece.to_owned(), logprob),
                    nth => (format!("alt{nth}"), logprob - f64::from(u32::try_from(nth).unwrap_or(0))),
                };
                json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()})
            })
            .collect();
        json!({"token": piece, "logprob": logprob, "bytes": piece.as_bytes(), "top_logprobs": alternatives})
    };
    let content: Vec<Value> = pieces(text).into_iter().enumerate().map(token).collect();
    json!({"content": content, "refusal": null})
}

pub(in crate::simulator) fn usage(input: &Input, replies: &[Reply]) -> Value {
    let output: u64 = replies.iter().map(Reply::output_tokens).sum();
    let reasoning: u64 = replies.iter().map(Reply::reasoning_tokens).sum();
    json!({
        "prompt_tokens": input.input,
        "completion_tokens": output,
        "total_tokens": input.input + output,
        "prompt_tokens_details": {"cached_tokens": input.read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}
