//! Clients: what each keeps of an answer and sends again, as the official SDKs and agents do.

use serde_json::{Value, json};
use weir::wire::Dialect;

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    /// Keeps text and calls.
    ChatPlain,
    /// Keeps `reasoning_details` as well, joined by their index.
    ChatDetails,
    Messages,
    Responses,
    /// Keeps contents as they are.
    Gemini,
    /// Leaves thoughts out, and joins texts.
    GeminiAgent,
}

impl Echo {
    pub(crate) const ALL: [Self; 6] =
        [Self::ChatPlain, Self::ChatDetails, Self::Messages, Self::Responses, Self::Gemini, Self::GeminiAgent];

    pub(crate) fn client(self) -> Dialect {
        match self {
            Self::ChatPlain | Self::ChatDetails => Dialect::OpenAiChat,
            Self::Messages => Dialect::Anthropic,
            Self::Responses => Dialect::Responses,
            Self::Gemini | Self::GeminiAgent => Dialect::Gemini,
        }
    }

    pub(crate) fn begin(self) -> Vec<Value> {
        vec![match self.client() {
            Dialect::Gemini => json!({"role": "user", "parts": [{"text": "go"}]}),
            _ => json!({"role": "user", "content": "go"}),
        }]
    }

    pub(crate) fn request(self, history: &[Value]) -> Value {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        match self {
            Self::ChatPlain | Self::ChatDetails => json!({"model": "m", "messages": history,
                "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}),
            Self::Messages => json!({"model": "m", "max_tokens": 9000, "messages": history,
                "tools": [{"name": "f", "input_schema": schema}]}),
            Self::Responses => json!({"model": "m", "input": history, "store": false,
                "include": ["reasoning.encrypted_content"],
                "tools": [{"type": "function", "name": "f", "parameters": schema, "strict": false}]}),
            Self::Gemini | Self::GeminiAgent => json!({"contents": history,
                "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}]}),
        }
    }

    /// What is kept of a whole answer.
    pub(crate) fn message(self, answer: &Value) -> Value {
        match self {
            Self::ChatPlain | Self::ChatDetails => self.chat(&answer["choices"][0]["message"]),
            Self::Messages => json!({"role": "assistant", "content": answer["content"]}),
            Self::Responses => answer["output"].clone(),
            Self::Gemini | Self::GeminiAgent => self.contents(&[answer]),
        }
    }

    /// A content of all parts that came.
    fn contents(self, chunks: &[&Value]) -> Value {
        let lists = chunks.iter().filter_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array());
        let mut parts: Vec<Value> = Vec::new();
        for part in lists.flatten() {
            let is_plain = |part: &Value| part.get("text").is_some() && part.get("thoughtSignature").is_none();
            if self == Self::GeminiAgent && part["thought"] == true {
                continue;
            }
            match parts.last_mut() {
                Some(last) if self == Self::GeminiAgent && is_plain(last) && is_plain(part) => {
                    append(&mut last["text"], &part["text"]);
                }
                _ => parts.push(part.clone()),
            }
        }
        json!({"role": "model", "parts": parts})
    }

    fn chat(self, message: &Value) -> Value {
        let mut kept = json!({"role": "assistant", "content": message["content"]});
        let members: &[&str] =
            if self == Self::ChatDetails { &["tool_calls", "reasoning_details"] } else { &["tool_calls"] };
        for name in members {
            if let Some(value) = message.get(*name) {
                kept[*name] = value.clone();
            }
        }
        kept
    }

    /// What is kept of a stream.
    pub(crate) fn assembled(self, stream: &str) -> Value {
        let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
        match self {
            Self::ChatPlain | Self::ChatDetails => self.chat(&chat(&events)),
            Self::Messages => json!({"role": "assistant", "content": messages(&events)}),
            // Agents take items as they are done.
            Self::Responses => {
                let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
                done.map(|event| event["item"].clone()).collect()
            }
            Self::Gemini | Self::GeminiAgent => self.contents(&events.iter().collect::<Vec<_>>()),
        }
    }

    /// Adds the answer, the results of its calls and a word of the user's.
    pub(crate) fn keep(self, history: &mut Vec<Value>, kept: Value) {
        match self {
            Self::ChatPlain | Self::ChatDetails => {
                let calls = kept["tool_calls"].as_array().cloned().unwrap_or_default();
                history.push(kept);
                let results =
                    calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "result"}));
                history.extend(results);
            }
            Self::Messages => {
                let blocks = kept["content"].as_array().cloned().unwrap_or_default();
                history.push(kept);
                let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
                let mut content: Vec<Value> = calls
                    .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "result"}))
                    .collect();
                content.push(json!({"type": "text", "text": "go on"}));
                history.push(json!({"role": "user", "content": content}));
                return;
            }
            Self::Gemini | Self::GeminiAgent => {
                let parts = kept["parts"].as_array().cloned().unwrap_or_default();
                history.push(kept);
                let calls = parts.iter().filter_map(|part| part.get("functionCall"));
                let result = |call: &Value| json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": "result"}}});
                let mut parts: Vec<Value> = calls.map(result).collect();
                parts.push(json!({"text": "go on"}));
                history.push(json!({"role": "user", "parts": parts}));
                return;
            }
            Self::Responses => {
                let items = kept.as_array().cloned().unwrap_or_default();
                history.extend(items.iter().cloned());
                let calls = items.iter().filter(|item| item["type"] == "function_call");
                history.extend(calls.map(
                    |call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "result"}),
                ));
            }
        }
        history.push(json!({"role": "user", "content": "go on"}));
    }
}

fn append(to: &mut Value, piece: &Value) {
    *to = json!(to.as_str().unwrap_or_default().to_owned() + piece.as_str().unwrap_or_default());
}

fn place(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn chat(events: &[Value]) -> Value {
    let mut message = json!({"role": "assistant", "content": ""});
    let (mut calls, mut details): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for delta in events.iter().map(|event| &event["choices"][0]["delta"]) {
        append(&mut message["content"], &delta["content"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            match calls.get_mut(place(&call["index"])) {
                Some(known) => append(&mut known["function"]["arguments"], &call["function"]["arguments"]),
                None => calls.push(call.clone()),
            }
        }
        details.extend(delta["reasoning_details"].as_array().into_iter().flatten().cloned());
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    if !details.is_empty() {
        message["reasoning_details"] = json!(details);
    }
    message
}

fn messages(events: &[Value]) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    for event in events {
        match event["type"].as_str().unwrap_or_default() {
            "content_block_start" => blocks.push(event["content_block"].clone()),
            "content_block_delta" => {
                let block = &mut blocks[place(&event["index"])];
                let delta = &event["delta"];
                for (name, piece) in
                    [("thinking", "thinking"), ("signature", "signature"), ("text", "text"), ("json", "partial_json")]
                {
                    if delta.get(piece).is_some() {
                        append(&mut block[name], &delta[piece]);
                    }
                }
            }
            "content_block_stop" => {
                let block = &mut blocks[place(&event["index"])];
                if let Some(json) = block.get("json").cloned() {
                    block["input"] = serde_json::from_str(json.as_str().unwrap()).unwrap();
                    block.as_object_mut().unwrap().remove("json");
                }
            }
            _ => {}
        }
    }
    blocks
}
