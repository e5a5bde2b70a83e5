//! The formats that upstreams speak: a good answer in each, whole and in pieces, and its errors.

use serde_json::{Value, json};
use weir::wire::eventstream;

/// What every good answer says, in two pieces.
pub(crate) const PIECES: [&str; 2] = ["Hello ", "wörld"];

/// A format of upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Chat,
    Responses,
    Messages,
    Gemini,
    Converse,
    Cohere,
}

use Voice::{Chat, Cohere, Converse, Gemini, Messages, Responses};

pub(crate) const VOICES: [Voice; 6] = [Chat, Responses, Messages, Gemini, Converse, Cohere];
/// Those that clients speak too.
pub(crate) const FOUR: [Voice; 4] = [Chat, Responses, Messages, Gemini];

/// What an upstream complains of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint {
    Busy,
    Limited,
    Broken,
    Wrong,
    TooLong,
    Unsafe,
    Key,
    NoModel,
}

use Complaint::{Broken, Busy, Key, Limited, NoModel, TooLong, Unsafe, Wrong};

impl Complaint {
    pub(crate) fn status(self) -> u16 {
        match self {
            Busy => 503,
            Limited => 429,
            Broken => 500,
            Wrong | TooLong | Unsafe => 400,
            Key => 401,
            NoModel => 404,
        }
    }

    /// The words that tell one 400 from another, in each vendor's own.
    fn text(self, voice: Voice) -> &'static str {
        match (self, voice) {
            (TooLong, Chat | Responses) => "This model's maximum context length is 8192 tokens",
            (TooLong, Messages | Converse) => "prompt is too long: 9000 tokens > 8192 maximum",
            (TooLong, Gemini) => "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
            (TooLong, Cohere) => "too many tokens: total number of tokens in the prompt cannot exceed 8192",
            (Unsafe, _) => "The response was filtered due to the prompt triggering our content management policy",
            (Wrong, _) => "temperature is out of range",
            _ => "no luck today",
        }
    }
}

impl Voice {
    /// The members of a provider that speaks it, at this address.
    pub(crate) fn provider(self, at: &str) -> String {
        let kind = match self {
            Chat => "kind: openai, api: chat",
            Responses => "kind: openai, api: responses",
            Messages => "kind: anthropic",
            Gemini => "kind: gemini",
            Converse => "kind: bedrock, region: eu-west-1",
            Cohere => "kind: cohere",
        };
        let version = if matches!(self, Chat | Responses) { "/v1" } else { "" };
        format!("{kind}, base_url: \"{at}{version}\", api_key: sk-of-the-provider")
    }

    /// Whether a request asks it for a stream.
    pub(crate) fn wants_stream(self, path: &str, body: &Value) -> bool {
        match self {
            Gemini | Converse => path.contains("stream"),
            _ => body["stream"] == true,
        }
    }

    pub(crate) fn stream_type(self) -> &'static str {
        if self == Converse { "application/vnd.amazon.eventstream" } else { "text/event-stream" }
    }

    /// A whole answer. What it used is 11 tokens of input and 7 of output, in every format.
    pub(crate) fn whole(self, text: &str) -> String {
        match self {
            Chat => {
                json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null,
                "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})
            }
            Responses => response("completed", &json!([message_item(text)])),
            Messages => json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 11, "output_tokens": 7}}),
            Gemini => contents(text, true),
            Converse => json!({"output": {"message": {"role": "assistant", "content": [{"text": text}]}},
                "stopReason": "end_turn", "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}}),
            Cohere => json!({"id": "c1", "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
                "finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 11, "output_tokens": 7}}}),
        }
        .to_string()
    }

    /// What a stream opens with, before there is anything of the answer.
    pub(crate) fn opening(self) -> Vec<u8> {
        match self {
            Chat => data(&chunk(&json!({"role": "assistant", "content": ""}), None)),
            Responses => [
                json!({"type": "response.created", "sequence_number": 0, "response": open_response()}),
                json!({"type": "response.in_progress", "sequence_number": 1, "response": open_response()}),
            ]
            .iter()
            .flat_map(named)
            .collect(),
            Messages => named(&json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
                "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": 11, "output_tokens": 1}}})),
            Gemini => Vec::new(),
            Converse => amazon("messageStart", &json!({"role": "assistant"})),
            Cohere => named(&json!({"type": "message-start", "id": "c1",
                "delta": {"message": {"role": "assistant", "content": []}}})),
        }
    }

    /// The first piece of the answer, which opens what holds it.
    pub(crate) fn first(self, text: &str) -> Vec<u8> {
        let mut out = match self {
            Responses => [
                json!({"type": "response.output_item.added", "sequence_number": 2, "output_index": 0,
                    "item": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress",
                    "content": []}}),
                json!({"type": "response.content_part.added", "sequence_number": 3, "output_index": 0,
                    "content_index": 0, "item_id": "msg_1",
                    "part": {"type": "output_text", "text": "", "annotations": []}}),
            ]
            .iter()
            .flat_map(named)
            .collect(),
            Messages => named(&json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}})),
            Cohere => named(&json!({"type": "content-start", "index": 0,
                "delta": {"message": {"content": {"type": "text", "text": ""}}}})),
            Chat | Gemini | Converse => Vec::new(),
        };
        out.extend(self.next(text, 4));
        out
    }

    /// A further piece.
    pub(crate) fn next(self, text: &str, number: u64) -> Vec<u8> {
        match self {
            Chat => data(&chunk(&json!({"content": text}), None)),
            Responses => named(&json!({"type": "response.output_text.delta", "sequence_number": number,
                "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": text})),
            Messages => named(&json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": text}})),
            Gemini => data(&contents(text, false)),
            Converse => amazon("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": text}})),
            Cohere => named(&json!({"type": "content-delta", "index": 0,
                "delta": {"message": {"content": {"text": text}}}})),
        }
    }

    /// The end of a stream that said `text`.
    pub(crate) fn closing(self, text: &str) -> Vec<u8> {
        let all: Vec<Vec<u8>> = match self {
            Chat => vec![
                data(&chunk(&json!({}), Some("stop"))),
                data(&json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})),
                b"data: [DONE]\n\n".to_vec(),
            ],
            Responses => closing_items(text),
            Messages => vec![
                named(&json!({"type": "content_block_stop", "index": 0})),
                named(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": 7}})),
                named(&json!({"type": "message_stop"})),
            ],
            Gemini => vec![data(&contents("", true))],
            Converse => vec![
                amazon("contentBlockStop", &json!({"contentBlockIndex": 0})),
                amazon("messageStop", &json!({"stopReason": "end_turn"})),
                amazon(
                    "metadata",
                    &json!({"usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
                        "metrics": {"latencyMs": 7}}),
                ),
            ],
            Cohere => vec![
                named(&json!({"type": "content-end", "index": 0})),
                named(&json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE",
                    "usage": {"tokens": {"input_tokens": 11, "output_tokens": 7}}}})),
            ],
        };
        all.concat()
    }

    /// The body of an error answer; `wait` is how long Google says to wait, in its own way.
    pub(crate) fn error(self, complaint: Complaint, wait: Option<&str>) -> String {
        let (text, status) = (complaint.text(self), complaint.status());
        match self {
            Chat | Responses => json!({"error": {"message": text, "type": openai_type(complaint), "param": null,
                "code": openai_code(complaint)}}),
            Messages => json!({"type": "error", "error": {"type": anthropic_type(complaint), "message": text},
                "request_id": null}),
            Gemini => {
                let details =
                    wait.map(|wait| json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait}]));
                json!({"error": {"code": status, "message": text, "status": google_word(complaint),
                    "details": details.unwrap_or_else(|| json!([]))}})
            }
            Converse => json!({"message": text}),
            Cohere => json!({"id": "c1", "message": text}),
        }
        .to_string()
    }

    /// An error in a stream that answered 200.
    pub(crate) fn error_event(self, complaint: Complaint) -> Vec<u8> {
        let whole = self.error(complaint, None);
        let parsed = || serde_json::from_str::<Value>(&whole).unwrap();
        match self {
            Chat | Gemini => data(&parsed()),
            Messages => named(&parsed()),
            Responses => {
                let code = if complaint == Limited { "rate_limit_exceeded" } else { "server_is_overloaded" };
                named(&json!({"type": "error", "code": code, "message": "no luck today", "param": null,
                    "sequence_number": 9}))
            }
            Converse => {
                let name = if complaint == Limited { "throttlingException" } else { "serviceUnavailableException" };
                let headers =
                    [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
                let mut out = Vec::new();
                eventstream::write_message(&mut out, &headers, whole.as_bytes());
                out
            }
            Cohere => named(&json!({"type": "message-end", "delta": {"finish_reason": "ERROR",
                "error": "no luck today"}})),
        }
    }
}

fn openai_type(complaint: Complaint) -> &'static str {
    match complaint {
        Busy => "overloaded_error",
        Limited => "rate_limit_error",
        Broken => "server_error",
        Key => "authentication_error",
        Wrong | TooLong | Unsafe | NoModel => "invalid_request_error",
    }
}

fn openai_code(complaint: Complaint) -> Value {
    match complaint {
        TooLong => json!("context_length_exceeded"),
        Unsafe => json!("content_filter"),
        NoModel => json!("model_not_found"),
        Limited => json!("rate_limit_exceeded"),
        _ => Value::Null,
    }
}

fn anthropic_type(complaint: Complaint) -> &'static str {
    match complaint {
        Busy => "overloaded_error",
        Limited => "rate_limit_error",
        Broken => "api_error",
        Key => "authentication_error",
        NoModel => "not_found_error",
        Wrong | TooLong | Unsafe => "invalid_request_error",
    }
}

fn google_word(complaint: Complaint) -> &'static str {
    match complaint {
        Busy => "UNAVAILABLE",
        Limited => "RESOURCE_EXHAUSTED",
        Broken => "INTERNAL",
        Key => "UNAUTHENTICATED",
        NoModel => "NOT_FOUND",
        Wrong | TooLong | Unsafe => "INVALID_ARGUMENT",
    }
}

fn data(event: &Value) -> Vec<u8> {
    format!("data: {event}\n\n").into_bytes()
}

fn named(event: &Value) -> Vec<u8> {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).into_bytes()
}

fn amazon(name: &str, payload: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    eventstream::write_event(&mut out, name, payload.to_string().as_bytes());
    out
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]})
}

fn contents(text: &str, end: bool) -> Value {
    let mut candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0});
    let mut answer = json!({"modelVersion": "m", "responseId": "r1"});
    if end {
        candidate["finishReason"] = json!("STOP");
        answer["usageMetadata"] = json!({"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18});
    }
    answer["candidates"] = json!([candidate]);
    answer
}

fn message_item(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn open_response() -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": "m", "output": [],
        "error": null, "usage": null})
}

fn response(status: &str, output: &Value) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": output,
        "error": null, "usage": {"input_tokens": 11, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 18}})
}

fn closing_items(text: &str) -> Vec<Vec<u8>> {
    let item = message_item(text);
    let part = json!({"output_index": 0, "content_index": 0, "item_id": "msg_1"});
    let with = |members: Value| {
        let mut event = part.clone();
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        named(&event)
    };
    vec![
        with(json!({"type": "response.output_text.done", "sequence_number": 6, "text": text})),
        with(json!({"type": "response.content_part.done", "sequence_number": 7, "part": item["content"][0]})),
        named(&json!({"type": "response.output_item.done", "sequence_number": 8, "output_index": 0, "item": item})),
        named(&json!({"type": "response.completed", "sequence_number": 9,
            "response": response("completed", &json!([item]))})),
    ]
}
