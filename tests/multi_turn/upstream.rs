//! Upstreams: an answer in each format, and what of it a request gives back.

use serde_json::{Value, json};
use weir::wire::frames::Framing;
use weir::wire::{Dialect, eventstream};

use super::echo::Echo;

/// Every upstream. Cohere's thinking has no proof.
pub(crate) const ALL: [Dialect; 6] = Dialect::ALL;

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Thought { text: String, proof: String },
    Redacted { data: String },
    Text(String),
    Call { number: usize },
}

pub(crate) fn model(upstream: Dialect) -> &'static str {
    match upstream {
        Dialect::Anthropic => "claude-opus-5",
        Dialect::Converse => "anthropic.claude-opus-5-v1:0",
        Dialect::Gemini => "gemini-4",
        Dialect::Cohere => "command-a-reasoning",
        _ => "model",
    }
}

pub(crate) fn framing(upstream: Dialect) -> Framing {
    if upstream == Dialect::Converse { Framing::EventStream } else { Framing::Sse }
}

/// Calls have numbers of their own in the whole conversation.
pub(crate) fn numbered(turn: usize, answer: Vec<Piece>) -> Vec<Piece> {
    let unique = |piece| match piece {
        Piece::Call { number } => Piece::Call { number: turn * 100 + number },
        other => other,
    };
    answer.into_iter().map(unique).collect()
}

/// The answer as this upstream would give it: not all have redacted thinking, or a thought in mid-answer.
pub(crate) fn fitting(upstream: Dialect, answer: &[Piece]) -> Vec<Piece> {
    let mut answer = answer.to_vec();
    match upstream {
        Dialect::Anthropic | Dialect::Converse => {}
        // One list of details stands for all thinking, before all else.
        Dialect::OpenAiChat => {
            let first = answer.iter().find(|piece| matches!(piece, Piece::Thought { .. })).cloned();
            answer.retain(|piece| !matches!(piece, Piece::Thought { .. } | Piece::Redacted { .. }));
            answer.splice(0..0, first);
        }
        // A signature rides on the next part, in base64.
        Dialect::Gemini => {
            answer.retain(|piece| !matches!(piece, Piece::Redacted { .. }));
            answer.dedup_by(|next, last| {
                let are = matches!((&*last, &*next), (Piece::Thought { .. }, Piece::Thought { .. }));
                if are {
                    std::mem::swap(last, next);
                }
                are
            });
            answer.iter_mut().for_each(|piece| {
                if let Piece::Thought { proof, .. } = piece {
                    let plain = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
                    *proof = proof.chars().map(|c| if plain(c) { c } else { '+' }).collect();
                }
            });
        }
        // All thinking, then all text, then the calls.
        Dialect::Cohere => {
            let (mut thoughts, mut texts, mut calls) = (String::new(), String::new(), Vec::new());
            for piece in answer {
                match piece {
                    Piece::Thought { text, .. } => thoughts.push_str(&text),
                    Piece::Text(text) => texts.push_str(&text),
                    Piece::Redacted { .. } => {}
                    call @ Piece::Call { .. } => calls.push(call),
                }
            }
            let thought = (!thoughts.is_empty()).then(|| Piece::Thought { text: thoughts, proof: String::new() });
            let text = (!texts.is_empty()).then_some(Piece::Text(texts));
            answer = thought.into_iter().chain(text).chain(calls).collect();
        }
        _ => answer.retain(|piece| !matches!(piece, Piece::Redacted { .. })),
    }
    // No model gives two texts in a row.
    answer.dedup_by(|next, last| match (last, next) {
        (Piece::Text(text), Piece::Text(more)) => {
            text.push_str(more);
            true
        }
        _ => false,
    });
    answer
}

fn id(number: usize) -> String {
    format!("call_{number}")
}

fn details(text: &str, proof: &str) -> Value {
    let readable = json!({"type": "reasoning.text", "text": text, "format": "x", "index": 0});
    let encrypted = json!({"type": "reasoning.encrypted", "data": proof, "index": 1});
    if text.is_empty() { json!([encrypted]) } else { json!([readable, encrypted]) }
}

/// A whole answer.
pub(crate) fn whole(upstream: Dialect, answer: &[Piece]) -> Value {
    match upstream {
        Dialect::Anthropic => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5", "content": blocks(answer),
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
        }),
        Dialect::OpenAiChat => json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": chat_message(answer), "finish_reason": "stop"}],
        }),
        Dialect::Responses => {
            json!({"id": "resp_1", "object": "response", "status": "completed", "output": items(answer)})
        }
        Dialect::Gemini => contents(&parts(answer)),
        Dialect::Converse => json!({"output": {"message": {"role": "assistant", "content": converse_blocks(answer)}},
            "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 1}}),
        Dialect::Cohere => json!({"id": "c", "message": cohere_message(answer), "finish_reason": "COMPLETE"}),
    }
}

fn converse_blocks(answer: &[Piece]) -> Vec<Value> {
    let block = |piece: &Piece| match piece {
        Piece::Thought { text, proof } => {
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": proof}}})
        }
        Piece::Redacted { data } => json!({"reasoningContent": {"redactedContent": data}}),
        Piece::Text(text) => json!({"text": text}),
        Piece::Call { number } => json!({"toolUse": {"toolUseId": id(*number), "name": "f", "input": {"n": number}}}),
    };
    answer.iter().map(block).collect()
}

fn cohere_message(answer: &[Piece]) -> Value {
    let (mut message, mut content, mut calls) = (json!({"role": "assistant"}), Vec::new(), Vec::new());
    let has_calls = answer.iter().any(|piece| matches!(piece, Piece::Call { .. }));
    for piece in answer {
        match piece {
            Piece::Thought { text, .. } => content.push(json!({"type": "thinking", "thinking": text})),
            Piece::Redacted { .. } => {}
            Piece::Text(text) if has_calls => message["tool_plan"] = json!(text),
            Piece::Text(text) => content.push(json!({"type": "text", "text": text})),
            Piece::Call { number } => calls.push(call(*number)),
        }
    }
    for (name, list) in [("content", content), ("tool_calls", calls)] {
        if !list.is_empty() {
            message[name] = json!(list);
        }
    }
    message
}

fn contents(parts: &[Value]) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}, "responseId": "r"})
}

fn parts(answer: &[Piece]) -> Vec<Value> {
    let (mut parts, mut riding) = (Vec::new(), None);
    for piece in answer {
        let mut part = match piece {
            Piece::Thought { text, proof } => {
                riding = Some(proof.clone());
                if !text.is_empty() {
                    parts.push(json!({"text": text, "thought": true}));
                }
                continue;
            }
            Piece::Redacted { .. } => continue,
            Piece::Text(text) => json!({"text": text}),
            Piece::Call { number } => json!({"functionCall": {"id": id(*number), "name": "f", "args": {"n": number}}}),
        };
        if let Some(proof) = riding.take() {
            part["thoughtSignature"] = json!(proof);
        }
        parts.push(part);
    }
    if let Some(proof) = riding {
        parts.push(json!({"text": "", "thoughtSignature": proof}));
    }
    parts
}

fn blocks(answer: &[Piece]) -> Vec<Value> {
    let block = |piece: &Piece| match piece {
        Piece::Thought { text, proof } => json!({"type": "thinking", "thinking": text, "signature": proof}),
        Piece::Redacted { data } => json!({"type": "redacted_thinking", "data": data}),
        Piece::Text(text) => json!({"type": "text", "text": text}),
        Piece::Call { number } => json!({"type": "tool_use", "id": id(*number), "name": "f", "input": {"n": number}}),
    };
    answer.iter().map(block).collect()
}

fn chat_message(answer: &[Piece]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    let mut calls = Vec::new();
    for piece in answer {
        match piece {
            Piece::Thought { text, proof } => {
                message["reasoning"] = json!(text);
                message["reasoning_details"] = details(text, proof);
            }
            Piece::Redacted { .. } => {}
            Piece::Text(text) => message["content"] = json!(text),
            Piece::Call { number } => calls.push(call(*number)),
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    message
}

fn call(number: usize) -> Value {
    let arguments = json!({"n": number}).to_string();
    json!({"id": id(number), "type": "function", "function": {"name": "f", "arguments": arguments}})
}

fn items(answer: &[Piece]) -> Vec<Value> {
    let item = |(index, piece): (usize, &Piece)| match piece {
        Piece::Thought { text, proof } => {
            let summary = if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
            json!({"type": "reasoning", "id": format!("rs_{index}"), "summary": summary, "encrypted_content": proof})
        }
        Piece::Redacted { data } => json!({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": data}),
        Piece::Text(text) => json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}),
        Piece::Call { number } => json!({"type": "function_call", "id": format!("fc_{number}"), "call_id": id(*number),
            "name": "f", "arguments": json!({"n": number}).to_string(), "status": "completed"}),
    };
    answer.iter().enumerate().map(item).collect()
}

/// The same as a stream.
pub(crate) fn stream(upstream: Dialect, answer: &[Piece]) -> Vec<u8> {
    let events = match upstream {
        Dialect::Anthropic => message_events(answer),
        Dialect::OpenAiChat => chat_chunks(answer),
        Dialect::Responses => response_events(answer),
        Dialect::Gemini => parts(answer).into_iter().map(|part| contents(&[part])).collect(),
        Dialect::Converse => return converse_messages(answer),
        Dialect::Cohere => cohere_events(answer),
    };
    let mut out = String::new();
    for event in events {
        if let Some(kind) = event["type"].as_str() {
            out += &format!("event: {kind}\n");
        }
        out += &format!("data: {event}\n\n");
    }
    out.into_bytes()
}

fn converse_messages(answer: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut event = |name: &str, data: Value| eventstream::write_event(&mut out, name, data.to_string().as_bytes());
    event("messageStart", json!({"role": "assistant"}));
    for (index, piece) in answer.iter().enumerate() {
        let deltas: Vec<Value> = match piece {
            Piece::Thought { text, proof } => {
                let texts = halves(text).map(|text| json!({"reasoningContent": {"text": text}}));
                let proofs = halves(proof).map(|proof| json!({"reasoningContent": {"signature": proof}}));
                [texts, proofs].concat()
            }
            Piece::Redacted { data } => vec![json!({"reasoningContent": {"redactedContent": data}})],
            Piece::Text(text) => halves(text).map(|text| json!({"text": text})).to_vec(),
            Piece::Call { number } => {
                let start = json!({"toolUse": {"toolUseId": id(*number), "name": "f"}});
                event("contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
                halves(&json!({"n": number}).to_string()).map(|input| json!({"toolUse": {"input": input}})).to_vec()
            }
        };
        for delta in deltas {
            event("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
        }
        event("contentBlockStop", json!({"contentBlockIndex": index}));
    }
    event("messageStop", json!({"stopReason": "end_turn"}));
    event("metadata", json!({"usage": {"inputTokens": 1, "outputTokens": 1}}));
    out
}

fn cohere_events(answer: &[Piece]) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant", "content": []}}})];
    let has_calls = answer.iter().any(|piece| matches!(piece, Piece::Call { .. }));
    let (mut blocks, mut calls) = (0, 0);
    let numbered =
        |kind: &str, index: usize, message: Value| json!({"type": kind, "index": index, "delta": {"message": message}});
    for piece in answer {
        let (member, text) = match piece {
            Piece::Thought { text, .. } => ("thinking", text),
            Piece::Redacted { .. } => continue,
            Piece::Text(text) if has_calls => {
                let plan = halves(text)
                    .map(|text| json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": text}}}));
                events.extend(plan);
                continue;
            }
            Piece::Text(text) => ("text", text),
            Piece::Call { number } => {
                let mut start = call(*number);
                let arguments = start["function"]["arguments"].as_str().unwrap().to_owned();
                start["function"]["arguments"] = json!("");
                events.push(numbered("tool-call-start", calls, json!({"tool_calls": start})));
                for half in halves(&arguments) {
                    let function = json!({"tool_calls": {"function": {"arguments": half}}});
                    events.push(numbered("tool-call-delta", calls, function));
                }
                events.push(json!({"type": "tool-call-end", "index": calls}));
                calls += 1;
                continue;
            }
        };
        events.push(numbered("content-start", blocks, json!({"content": {"type": member, member: ""}})));
        events.extend(halves(text).map(|half| numbered("content-delta", blocks, json!({"content": {member: half}}))));
        events.push(json!({"type": "content-end", "index": blocks}));
        blocks += 1;
    }
    events.push(json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}));
    events
}

/// Two halves of a text: what comes in one piece proves nothing.
fn halves(text: &str) -> [String; 2] {
    let chars: Vec<char> = text.chars().collect();
    let (a, b) = chars.split_at(chars.len() / 2);
    [a.iter().collect(), b.iter().collect()]
}

fn message_events(answer: &[Piece]) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-opus-5", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}})];
    for (index, (piece, block)) in answer.iter().zip(blocks(answer)).enumerate() {
        let (start, deltas) = match piece {
            Piece::Thought { text, proof } => {
                let texts = halves(text).map(|t| json!({"type": "thinking_delta", "thinking": t}));
                let proofs = halves(proof).map(|s| json!({"type": "signature_delta", "signature": s}));
                (json!({"type": "thinking", "thinking": "", "signature": ""}), [texts, proofs].concat())
            }
            Piece::Redacted { .. } => (block, Vec::new()),
            Piece::Text(text) => {
                let texts = halves(text).map(|t| json!({"type": "text_delta", "text": t}));
                (json!({"type": "text", "text": ""}), texts.to_vec())
            }
            Piece::Call { .. } => {
                let inputs =
                    halves(&block["input"].to_string()).map(|j| json!({"type": "input_json_delta", "partial_json": j}));
                let mut start = block;
                start["input"] = json!({});
                (start, inputs.to_vec())
            }
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        events.extend(deltas.into_iter().map(|d| json!({"type": "content_block_delta", "index": index, "delta": d})));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}));
    events.push(json!({"type": "message_stop"}));
    events
}

fn chat_chunks(answer: &[Piece]) -> Vec<Value> {
    let mut deltas = Vec::new();
    let mut calls = 0;
    for piece in answer {
        match piece {
            Piece::Thought { text, proof } => {
                for half in halves(text).into_iter().filter(|half| !half.is_empty()) {
                    deltas.push(json!({"reasoning": half, "reasoning_details": [{"type": "reasoning.text", "text": half, "format": "x", "index": 0}]}));
                }
                deltas.push(json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": proof, "index": 1}]}));
            }
            Piece::Redacted { .. } => {}
            Piece::Text(text) => deltas.extend(halves(text).map(|t| json!({"content": t}))),
            Piece::Call { number } => {
                let mut one = call(*number);
                one["index"] = json!(calls);
                deltas.push(json!({"tool_calls": [one]}));
                calls += 1;
            }
        }
    }
    let chunk = |delta: Value, reason: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    };
    let mut chunks: Vec<Value> = deltas.into_iter().map(|delta| chunk(delta, Value::Null)).collect();
    chunks.push(chunk(json!({}), json!("stop")));
    chunks
}

fn response_events(answer: &[Piece]) -> Vec<Value> {
    let mut events = vec![json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})];
    let output = items(answer);
    for (index, (piece, item)) in answer.iter().zip(&output).enumerate() {
        let mut open = item.clone();
        for emptied in ["summary", "content"] {
            if open.get(emptied).is_some() {
                open[emptied] = json!([]);
            }
        }
        if open.get("arguments").is_some() {
            open["arguments"] = json!("");
        }
        events.push(json!({"type": "response.output_item.added", "output_index": index, "item": open}));
        let (kind, text) = match piece {
            Piece::Thought { text, .. } => ("response.reasoning_summary_text.delta", text.clone()),
            Piece::Text(text) => ("response.output_text.delta", text.clone()),
            Piece::Call { number } => ("response.function_call_arguments.delta", json!({"n": number}).to_string()),
            Piece::Redacted { .. } => ("", String::new()),
        };
        for half in halves(&text).into_iter().filter(|half| !half.is_empty()) {
            events.push(
                json!({"type": kind, "output_index": index, "content_index": 0, "summary_index": 0, "delta": half}),
            );
        }
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    events.push(
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": output}}),
    );
    events
}

/// What should come back of an answer, a word a piece.
pub(crate) fn told(upstream: Dialect, answer: &[Piece], echo: Echo) -> Vec<String> {
    // What nothing proves comes back where clients keep what they show.
    let keeps = upstream != Dialect::Cohere || matches!(echo, Echo::Messages | Echo::Responses | Echo::Gemini);
    let kept = answer.iter().filter(|piece| keeps || !matches!(piece, Piece::Thought { .. }));
    let word = |(index, piece): (usize, &Piece)| match (upstream, piece) {
        (Dialect::Responses, Piece::Thought { proof, .. }) => format!("thought rs_{index} {proof}"),
        (Dialect::OpenAiChat, Piece::Thought { text, proof }) => format!("thought {text} {}", details(text, proof)),
        (Dialect::Gemini, Piece::Thought { proof, .. }) => format!("thought {proof}"),
        (Dialect::Cohere, Piece::Thought { text, .. }) => format!("thought {text}"),
        (_, Piece::Thought { text, proof }) => format!("thought {text} {proof}"),
        (_, Piece::Redacted { data }) => format!("redacted {data}"),
        (_, Piece::Text(text)) => format!("text {text}"),
        (_, Piece::Call { number }) => format!("call {}", id(*number)),
    };
    kept.enumerate().map(word).collect()
}

/// The model's turns in a request, in the same words.
pub(crate) fn read(upstream: Dialect, body: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match upstream {
        Dialect::Anthropic => {
            let turns = list(&body["messages"]).into_iter().filter(|turn| turn["role"] == "assistant");
            let blocks = turns.flat_map(|turn| match &turn["content"] {
                Value::String(text) => vec![json!({"type": "text", "text": text})],
                content => list(content),
            });
            blocks
                .map(|block| match block["type"].as_str().unwrap() {
                    "thinking" => format!("thought {} {}", text(&block["thinking"]), text(&block["signature"])),
                    "redacted_thinking" => format!("redacted {}", text(&block["data"])),
                    "text" => format!("text {}", text(&block["text"])),
                    _ => format!("call {}", text(&block["id"])),
                })
                .collect()
        }
        Dialect::OpenAiChat => {
            let mut words = Vec::new();
            for turn in list(&body["messages"]).into_iter().filter(|turn| turn["role"] == "assistant") {
                if turn.get("reasoning_details").is_some() {
                    let details = &turn["reasoning_details"];
                    words.push(format!("thought {} {details}", text(&turn["reasoning_content"])));
                }
                if let Some(said) = turn["content"].as_str().filter(|said| !said.is_empty()) {
                    words.push(format!("text {said}"));
                }
                words.extend(list(&turn["tool_calls"]).iter().map(|call| format!("call {}", text(&call["id"]))));
            }
            words
        }
        Dialect::Responses => {
            let items = list(&body["input"])
                .into_iter()
                .filter(|item| item["role"] != "user" && item["type"] != "function_call_output");
            items
                .map(|item| match item["type"].as_str().unwrap() {
                    "reasoning" => format!("thought {} {}", text(&item["id"]), text(&item["encrypted_content"])),
                    "function_call" => format!("call {}", text(&item["call_id"])),
                    _ => format!(
                        "text {}",
                        item["content"].as_str().map_or_else(|| text(&item["content"][0]["text"]), str::to_owned)
                    ),
                })
                .collect()
        }
        Dialect::Gemini => {
            let turns = list(&body["contents"]).into_iter().filter(|turn| turn["role"] == "model");
            turns.flat_map(|turn| list(&turn["parts"])).flat_map(|part| gemini_words(&part)).collect()
        }
        Dialect::Converse => {
            let turns = list(&body["messages"]).into_iter().filter(|turn| turn["role"] == "assistant");
            turns.flat_map(|turn| list(&turn["content"])).map(|block| converse_word(&block)).collect()
        }
        Dialect::Cohere => {
            let turns = list(&body["messages"]).into_iter().filter(|turn| turn["role"] == "assistant");
            turns.flat_map(|turn| cohere_words(&turn)).collect()
        }
    }
}

fn converse_word(block: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reasoning = &block["reasoningContent"];
    match (block["text"].as_str(), &reasoning["reasoningText"], reasoning["redactedContent"].as_str()) {
        (Some(said), ..) => format!("text {said}"),
        (_, thought @ Value::Object(_), _) => {
            format!("thought {} {}", text(&thought["text"]), text(&thought["signature"]))
        }
        (.., Some(data)) => format!("redacted {data}"),
        _ => format!("call {}", text(&block["toolUse"]["toolUseId"])),
    }
}

/// Streams are kept in pieces by some: all of a kind is one.
fn cohere_words(turn: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let blocks = list(&turn["content"]);
    let joined = |member: &str| blocks.iter().filter_map(|block| block[member].as_str()).collect::<String>();
    let said = [turn["content"].as_str(), turn["tool_plan"].as_str()].into_iter().flatten().collect::<String>();
    let (thought, text) = (joined("thinking"), said + &joined("text"));
    let mut words = Vec::new();
    if !thought.is_empty() {
        words.push(format!("thought {thought}"));
    }
    if !text.is_empty() {
        words.push(format!("text {text}"));
    }
    words.extend(list(&turn["tool_calls"]).iter().map(|call| format!("call {}", call["id"].as_str().unwrap())));
    words
}

fn gemini_words(part: &Value) -> Vec<String> {
    // What stands where another maker's call has no signature.
    const NONE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";
    let mut words = Vec::new();
    if let Some(proof) = part["thoughtSignature"].as_str().filter(|proof| *proof != NONE) {
        words.push(format!("thought {proof}"));
    }
    match (part["text"].as_str(), &part["functionCall"]["args"]["n"]) {
        (Some(text), _) if !text.is_empty() => words.push(format!("text {text}")),
        // Ids of the gateway's own making are not sent.
        (_, Value::Number(number)) => words.push(format!("call call_{number}")),
        _ => {}
    }
    words
}
