//! OpenAI's legacy completions: <https://platform.openai.com/docs/api-reference/completions>.

use serde_json::{Value, json};

use super::app::Frame;
use super::chat::{CREATED, DONE, data};
use super::failure::Failure;
use super::prompt::{Prompt, Segment, items, number, text, words};
use super::reply::{Finish, Reply, pieces};

pub(super) fn read(body: &Value) -> Result<Prompt, Failure> {
    let model = text(body, "model").to_owned();
    if model.is_empty() {
        return Err(Failure::bad("model", "you must provide a model parameter"));
    }
    let ask = match body.get("prompt") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(_)) => items(body, "prompt").iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        _ => return Err(Failure::bad("prompt", "you must provide a prompt")),
    };
    let stop = match body.get("stop") {
        Some(Value::String(one)) => vec![one.clone()],
        _ => items(body, "stop").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    };
    let include_usage = body.pointer("/stream_options/include_usage");
    Ok(Prompt {
        model,
        segments: vec![Segment { tokens: words(&ask), identity: ask.clone(), mark: None }],
        ask,
        stop,
        stream: body.get("stream") == Some(&Value::Bool(true)),
        stream_usage: include_usage == Some(&Value::Bool(true)),
        max_tokens: number(body, "max_tokens"),
        choices: number(body, "n").unwrap_or(1).clamp(1, 128),
        ..Prompt::default()
    })
}

pub(super) fn whole(prompt: &Prompt, replies: &[Reply], id: &str, usage: Option<Value>) -> Value {
    let choices: Vec<Value> =
        replies.iter().enumerate().map(|(index, r)| choice(index, &r.text, Some(finish(r)))).collect();
    object(prompt, id, &choices, usage)
}

pub(super) fn frames(prompt: &Prompt, replies: &[Reply], id: &str, usage: Option<Value>) -> Vec<Frame> {
    let mut frames = Vec::new();
    for (index, reply) in replies.iter().enumerate() {
        for piece in pieces(&reply.text) {
            let chunk = object(prompt, id, &[choice(index, piece, None)], None);
            frames.push(Frame { bytes: data(&chunk), is_content: true });
        }
        let end = object(prompt, id, &[choice(index, "", Some(finish(reply)))], None);
        frames.push(Frame { bytes: data(&end), is_content: false });
    }
    if let (true, Some(usage)) = (prompt.stream_usage, usage) {
        frames.push(Frame { bytes: data(&object(prompt, id, &[], Some(usage))), is_content: false });
    }
    frames.push(Frame { bytes: DONE.to_vec(), is_content: false });
    frames
}

fn object(prompt: &Prompt, id: &str, choices: &[Value], usage: Option<Value>) -> Value {
    let mut object = json!({
        "id": format!("cmpl-{id}"), "object": "text_completion", "created": CREATED, "model": prompt.model,
        "choices": choices, "system_fingerprint": "fp_sim",
    });
    if let (Some(usage), Some(object)) = (usage, object.as_object_mut()) {
        object.insert("usage".to_owned(), usage);
    }
    object
}

fn choice(index: usize, text: &str, finish: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish})
}

const fn finish(reply: &Reply) -> &'static str {
    if matches!(reply.finish, Finish::Length) { "length" } else { "stop" }
}
