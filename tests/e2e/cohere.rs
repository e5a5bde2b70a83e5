//! Cohere's format, which providers speak and no client here: asked by clients of every format.

use serde_json::{Value, json};

use crate::ask::{
    CHAT, MESSAGES, chat, check_messages_stream, check_stream, function, message, stream_text, tool, with,
};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, PROVIDER_KEY, config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

/// A format that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Chat,
    Messages,
    Responses,
    Gemini,
}

use Format::{Chat, Gemini, Messages, Responses};

const FORMATS: [Format; 4] = [Chat, Messages, Responses, Gemini];

impl Format {
    fn body(self, model: &str, text: &str) -> Value {
        match self {
            Chat => chat(model, text),
            Messages => message(model, text),
            Responses => json!({"model": model, "input": [{"role": "user", "content": text}]}),
            Gemini => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        }
    }

    fn post(self, gateway: &Gateway, model: &str, body: &Value, stream: bool) -> Answer {
        let (path, verb) = match self {
            Chat => (CHAT.to_owned(), ""),
            Messages => (MESSAGES.to_owned(), ""),
            Responses => ("/v1/responses".to_owned(), ""),
            Gemini => (
                format!("/v1beta/models/{model}"),
                if stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" },
            ),
        };
        let body = if stream && self != Gemini { crate::ask::streamed(body.clone()) } else { body.clone() };
        let body =
            if stream && self == Chat { with(body, json!({"stream_options": {"include_usage": true}})) } else { body };
        gateway.post(&format!("{path}{verb}"), &body)
    }

    /// An answer, whole or put together from its events.
    fn answer(self, gateway: &Gateway, model: &str, body: &Value, stream: bool) -> Said {
        let answer = self.post(gateway, model, body, stream);
        assert_eq!(answer.status(), 200, "{self:?}: {}", answer.text());
        match (self, stream) {
            (Chat, true) => {
                let events = answer.events();
                check_stream(CHAT, &events);
                let last = events.iter().rev().find(|event| event.data != "[DONE]").unwrap().json();
                Said { text: stream_text(&events), usage: last["usage"].clone(), whole: Value::Null }
            }
            (Messages, true) => {
                let events = answer.events();
                check_messages_stream(&events);
                let last = events.iter().find(|event| event.name == "message_delta").unwrap().json();
                Said { text: stream_text(&events), usage: last["usage"].clone(), whole: Value::Null }
            }
            (Responses, true) => self.said(crate::items::assemble(&answer.text())),
            (Gemini, true) => self.said(crate::contents::assemble(&answer.text())),
            (_, false) => self.said(answer.json()),
        }
    }

    fn said(self, whole: Value) -> Said {
        let texts = |list: &Value, of: fn(&Value) -> Option<&str>| -> String {
            list.as_array().into_iter().flatten().filter_map(of).collect()
        };
        let text = match self {
            Chat => whole["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
            Messages => texts(&whole["content"], |block| block["text"].as_str()),
            Responses => texts(&whole["output"], |item| {
                item["content"][0]["text"].as_str().filter(|_| item["type"] == "message")
            }),
            Gemini => texts(&whole["candidates"][0]["content"]["parts"], |part| {
                part["text"].as_str().filter(|_| part["thought"] != true)
            }),
        };
        let usage = if self == Gemini { &whole["usageMetadata"] } else { &whole["usage"] }.clone();
        Said { text, usage, whole }
    }

    /// Input, cached, output and reasoning.
    fn counts(self, usage: &Value) -> [Option<u64>; 4] {
        let paths = match self {
            Chat => [
                "/prompt_tokens",
                "/prompt_tokens_details/cached_tokens",
                "/completion_tokens",
                "/completion_tokens_details/reasoning_tokens",
            ],
            Messages => ["/input_tokens", "/cache_read_input_tokens", "/output_tokens", "/none"],
            Responses => [
                "/input_tokens",
                "/input_tokens_details/cached_tokens",
                "/output_tokens",
                "/output_tokens_details/reasoning_tokens",
            ],
            Gemini => ["/promptTokenCount", "/cachedContentTokenCount", "/candidatesTokenCount", "/thoughtsTokenCount"],
        };
        paths.map(|path| usage.pointer(path).and_then(Value::as_u64))
    }

    fn tools(self) -> Value {
        const NAMES: [&str; 2] = ["get_weather", "get_time"];
        match self {
            Chat => json!({"tools": NAMES.map(function)}),
            Messages => json!({"tools": NAMES.map(tool)}),
            Responses => json!({"tools": NAMES.map(|name| {
                with(function(name)["function"].clone(), json!({"type": "function", "strict": false}))
            })}),
            Gemini => {
                json!({"tools": [{"functionDeclarations": NAMES.map(|name| function(name)["function"].clone())}]})
            }
        }
    }

    /// The next request: every call answered with its own name.
    fn results(self, body: &Value, whole: &Value) -> Value {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut next = body.clone();
        let turns = next[match self {
            Chat | Messages => "messages",
            Responses => "input",
            Gemini => "contents",
        }]
        .as_array_mut()
        .unwrap();
        match self {
            Chat => {
                let message = &whole["choices"][0]["message"];
                turns.push(message.clone());
                turns.extend(list(&message["tool_calls"]).iter().map(
                    |call| json!({"role": "tool", "tool_call_id": call["id"], "content": call["function"]["name"]}),
                ));
            }
            Messages => {
                turns.push(json!({"role": "assistant", "content": whole["content"]}));
                let calls = list(&whole["content"]).into_iter().filter(|block| block["type"] == "tool_use");
                let results: Vec<Value> = calls
                    .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": call["name"]}))
                    .collect();
                turns.push(json!({"role": "user", "content": results}));
            }
            Responses => {
                let items = list(&whole["output"]);
                turns.extend(items.clone());
                turns.extend(items.iter().filter(|item| item["type"] == "function_call").map(
                    |call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": call["name"]}),
                ));
            }
            Gemini => {
                let content = &whole["candidates"][0]["content"];
                turns.push(content.clone());
                let calls = list(&content["parts"]).into_iter().filter(|part| part["functionCall"].is_object());
                let results: Vec<Value> = calls
                    .map(|part| {
                        let call = &part["functionCall"];
                        json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": call["name"]}}})
                    })
                    .collect();
                turns.push(json!({"role": "user", "parts": results}));
            }
        }
        next
    }
}

struct Said {
    text: String,
    usage: Value,
    whole: Value,
}

fn gateway(address: std::net::SocketAddr) -> Gateway {
    let provider = format!("  cohere: {{base_url: \"http://{address}/v2\", api_key: \"{PROVIDER_KEY}\"}}\ntenants:");
    Gateway::start(&config(address, address, "defaults: {retries: 0}\n").replacen("tenants:", &provider, 1))
}

fn sent(sim: &Simulated) -> Value {
    serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap()
}

#[test]
fn clients_of_every_format_get_their_answers_whole_and_streamed() {
    let sim = Simulated::start();
    let gateway = gateway(sim.address);
    for format in FORMATS {
        for stream in [false, true] {
            let body = format.body("cohere/sim-1", "one two three");
            let said = format.answer(&gateway, "cohere/sim-1", &body, stream);
            assert_eq!(said.text, "You said: one two three", "{format:?}");
            assert_eq!(format.counts(&said.usage)[2], Some(5), "{format:?} {}", said.usage);
            let seen = sim.last();
            assert_eq!(seen["path"], "/v2/chat");
            assert_eq!(sent(&sim)["messages"], json!([{"role": "user", "content": "one two three"}]));
            assert_eq!(sent(&sim).get("stream").is_some(), stream);
        }
    }
    let records = gateway.wait_records(8);
    assert!(records.iter().all(|record| record["provider"] == "cohere" && record["usage_source"] == "reported"));
}

#[test]
fn calls_go_round_for_clients_of_every_format() {
    let sim = Simulated::start();
    let gateway = gateway(sim.address);
    let model = "cohere/sim-1";
    for format in FORMATS {
        let body = with(format.body(model, "get_weather Oslo and get_time Rome"), format.tools());
        let said = format.answer(&gateway, model, &body, false);
        let next = format.answer(&gateway, model, &format.results(&body, &said.whole), false);
        assert_eq!(next.text, "The tools answered: get_weather; get_time", "{format:?}");
        let messages = &sent(&sim)["messages"];
        assert_eq!(messages[1]["tool_calls"].as_array().unwrap().len(), 2, "{format:?}: {messages}");
        for (at, call) in messages[1]["tool_calls"].as_array().unwrap().iter().enumerate() {
            assert_eq!(messages[2 + at]["tool_call_id"], call["id"], "{format:?}: {messages}");
        }
        // Streamed as well, where a format can be put together whole.
        if matches!(format, Responses | Gemini) {
            let said = format.answer(&gateway, model, &body, true);
            let next = format.answer(&gateway, model, &format.results(&body, &said.whole), true);
            assert_eq!(next.text, "The tools answered: get_weather; get_time", "{format:?}");
        }
    }
}

#[test]
fn the_form_of_the_answer_crosses() {
    let sim = Simulated::start();
    let gateway = gateway(sim.address);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let form = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}});
    let answer = Chat.answer(&gateway, "", &with(chat("cohere/sim-1", "Oslo"), form), false);
    assert!(serde_json::from_str::<Value>(&answer.text).unwrap()["city"].is_string(), "{}", answer.text);
    assert_eq!(sent(&sim)["response_format"], json!({"type": "json_object", "json_schema": schema}));
}

/// An answer as Cohere gives it.
fn cohere(content: &Value) -> Value {
    json!({"id": "c1", "message": {"role": "assistant", "content": content}, "finish_reason": "COMPLETE",
        "usage": {"billed_units": {"input_tokens": 2, "output_tokens": 5}, "cached_tokens": 4,
            "tokens": {"input_tokens": 11, "output_tokens": 7, "reasoning_tokens": 3}}})
}

#[test]
fn usage_is_what_the_model_read_and_wrote() {
    let content = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello"}]);
    let upstream = Upstream::json(200, cohere(&content).to_string());
    let gateway = gateway(upstream.address);
    for format in FORMATS {
        let model = "cohere/command-a-03-2025";
        let said = format.answer(&gateway, model, &format.body(model, "hi"), false);
        let expected = match format {
            Messages => [Some(7), Some(4), Some(7), None],
            Gemini => [Some(11), Some(4), Some(4), Some(3)],
            _ => [Some(11), Some(4), Some(7), Some(3)],
        };
        assert_eq!((said.text.as_str(), format.counts(&said.usage)), ("Hello", expected), "{format:?}: {}", said.usage);
        assert!(said.whole.to_string().contains("\"hm\""), "{format:?}: {}", said.whole);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!((seen.path.as_str(), seen.json()["model"].as_str()), ("/v2/chat", Some("command-a-03-2025")));
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    }
    for record in gateway.wait_records(4) {
        assert_eq!((&record["input_tokens"], &record["cached_tokens"]), (&json!(11), &json!(4)), "{record}");
        assert_eq!((&record["output_tokens"], &record["reasoning_tokens"]), (&json!(7), &json!(3)));
        assert!(record["cost_pico_usd"].as_u64().is_some_and(|cost| cost > 0), "{record}");
    }
}

#[test]
fn failures_have_the_clients_shape() {
    let sim = Simulated::start();
    let gateway = gateway(sim.address);
    for format in FORMATS {
        let ask = |model: &str, stream| {
            format.post(&gateway, model, &format.body(model, "one two three four five six"), stream)
        };
        for (model, status) in [("cohere/sim-error-400", 400), ("cohere/sim-error-429", 429)] {
            let answer = ask(model, false);
            assert_eq!(answer.status(), status, "{format:?}: {}", answer.text());
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains("simulated"), "{}", answer.text());
        }
        // Nothing was sent yet: an error is an answer.
        let early = ask("cohere/sim-stream-error", true);
        assert!(early.status() >= 500, "{format:?}: {} {}", early.status(), early.text());
        for model in ["cohere/sim-stream-midstream-error", "cohere/sim-stream-cut"] {
            let late = ask(model, true);
            assert_eq!(late.status(), 200);
            assert!(late.text().contains("error"), "{format:?} {model}: {}", late.text());
        }
    }
}

#[test]
fn a_refused_credential_is_not_the_clients() {
    let body = format!(r#"{{"id":"x","message":"Incorrect API key provided: {PROVIDER_KEY}."}}"#);
    let upstream = Upstream::json(401, body);
    let gateway = gateway(upstream.address);
    for format in FORMATS {
        let model = "cohere/command-a-03-2025";
        let answer = format.post(&gateway, model, &format.body(model, "hi"), false);
        assert_eq!(answer.status(), 502, "{}", answer.text());
        assert!(!answer.text().contains(PROVIDER_KEY));
    }
}
