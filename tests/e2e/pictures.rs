//! Pictures that models make.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, message, with};
use crate::support::gateway::{Gateway, PROVIDER_KEY, config};
use crate::support::upstream::Upstream;

const MODEL: &str = "gemini/gemini-2.5-flash-image";
const DATA: &str = "iVBORw0KGgo=";
const URL: &str = "data:image/png;base64,iVBORw0KGgo=";

/// Google's answer: a thought's sketch, words, and a signed picture; whole or as a stream.
fn painter() -> Upstream {
    Upstream::start(|request, conn| {
        let answer = |parts: Value, more: Value| {
            let candidate = with(json!({"content": {"parts": parts, "role": "model"}, "index": 0}), more);
            json!({"candidates": [candidate], "modelVersion": "gemini-2.5-flash-image", "responseId": "r-1",
                "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1290, "totalTokenCount": 1295}})
        };
        let picture = |data: &str| json!({"mimeType": "image/png", "data": data});
        let parts = [
            json!({"thought": true, "inlineData": picture("c2tldGNo")}),
            json!({"text": "Here it is."}),
            json!({"inlineData": picture(DATA), "thoughtSignature": "c2ln"}),
        ];
        if request.path.contains(":stream") {
            conn.sse_head();
            for part in parts {
                conn.chunk(format!("data: {}\n\n", answer(json!([part]), json!({}))));
            }
            conn.chunk(format!("data: {}\n\n", answer(json!([{"text": ""}]), json!({"finishReason": "STOP"}))));
            conn.end();
        } else {
            conn.json(200, &answer(json!(parts), json!({"finishReason": "STOP"})).to_string());
        }
    })
}

fn gateway(upstream: &Upstream) -> Gateway {
    let address = upstream.address;
    let gemini = format!("  gemini: {{base_url: \"http://{address}\", api_key: \"{PROVIDER_KEY}\"}}");
    let lab = format!("  lab: {{kind: openai-compatible, base_url: \"http://{address}/v1\", api: chat}}");
    let providers = format!("{gemini}\n{lab}\ntenants:");
    Gateway::start(&config(address, address, "defaults: {retries: 0}\n").replacen("tenants:", &providers, 1))
}

fn ask(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let answer = gateway.post(path, body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

fn events(gateway: &Gateway, path: &str, body: &Value) -> Vec<Value> {
    let answer = gateway.post(path, &with(body.clone(), json!({"stream": true})));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(!answer.text().contains("c2tldGNo"), "a thought is no answer: {}", answer.text());
    let events = answer.events().into_iter().filter(|event| event.data.starts_with('{'));
    events.map(|event| event.json()).collect()
}

#[test]
fn chat_clients_get_pictures_and_send_them_back() {
    let upstream = painter();
    let gateway = gateway(&upstream);
    let body = with(chat(MODEL, "Draw a dot."), json!({"modalities": ["image", "text"]}));
    let answer = gateway.post(CHAT, &body);
    assert_eq!(answer.header("x-weir-dropped"), "");
    let said = answer.json()["choices"][0]["message"].clone();
    assert_eq!(said["content"], "Here it is.");
    assert_eq!(said["images"], json!([{"type": "image_url", "image_url": {"url": URL}, "index": 0}]));
    let sent = upstream.request().json();
    assert_eq!(sent["generationConfig"]["responseModalities"], json!(["TEXT", "IMAGE"]));

    let streamed = events(&gateway, CHAT, &body);
    let deltas = streamed.iter().map(|chunk| &chunk["choices"][0]["delta"]);
    let images: Vec<&Value> = deltas.filter(|delta| !delta["images"].is_null()).collect();
    assert_eq!(images, [&json!({"images": said["images"]})]);

    // What the client keeps of it comes back as what it was, with the proof of its maker.
    let mut again = body;
    let user = |text: &str| json!({"role": "user", "content": text});
    again["messages"] = json!([user("Draw a dot."), said, user("Larger.")]);
    let answer = gateway.post(CHAT, &again);
    assert_eq!(answer.header("x-weir-dropped"), "");
    let parts = upstream.requests().pop().unwrap().json()["contents"][1]["parts"].clone();
    let parts = parts.as_array().unwrap();
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": DATA}, "thoughtSignature": "c2ln"});
    assert_eq!(*parts, [json!({"text": "Here it is."}), picture]);
}

#[test]
fn responses_clients_get_them_as_items_and_send_them_back() {
    let upstream = painter();
    let gateway = gateway(&upstream);
    let body = json!({"model": MODEL, "input": "Draw a dot."});
    let items = ask(&gateway, "/v1/responses", &body)["output"].clone();
    let of_kind = |items: &Value, kind: &str| {
        items.as_array().unwrap().iter().find(|item| item["type"] == kind).cloned().unwrap_or_default()
    };
    let picture = of_kind(&items, "image_generation_call");
    assert_eq!((&picture["status"], &picture["result"]), (&json!("completed"), &json!(DATA)));
    assert!(picture["id"].as_str().unwrap().starts_with("ig_"), "{picture}");

    let streamed = events(&gateway, "/v1/responses", &body);
    let of_type = |kind: &str| streamed.iter().find(|event| event["type"] == kind).cloned().unwrap_or_default();
    for step in ["in_progress", "generating", "completed"] {
        assert!(!of_type(&format!("response.image_generation_call.{step}")).is_null(), "{step}: {streamed:?}");
    }
    let done = of_kind(&of_type("response.completed")["response"]["output"], "image_generation_call");
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!(DATA)));

    let mut input = vec![json!({"role": "user", "content": "Draw a dot."})];
    input.extend(items.as_array().unwrap().iter().cloned());
    input.push(json!({"role": "user", "content": "Larger."}));
    ask(&gateway, "/v1/responses", &json!({"model": MODEL, "input": input}));
    let sent = upstream.requests().pop().unwrap().json();
    assert!(sent.to_string().contains(DATA), "{sent}");
}

/// Its answers have no place for one; its requests have none in the model's own turns.
#[test]
fn messages_clients_get_the_words() {
    let upstream = painter();
    let gateway = gateway(&upstream);
    let body = message(MODEL, "Draw a dot.");
    let content = ask(&gateway, MESSAGES, &body)["content"].clone();
    let texts: Vec<&Value> = content.as_array().unwrap().iter().filter(|block| block["type"] == "text").collect();
    assert_eq!(texts, [&json!({"type": "text", "text": "Here it is."})], "{content}");
    let streamed = events(&gateway, MESSAGES, &body);
    assert_eq!(streamed.last().unwrap()["type"], "message_stop", "{streamed:?}");
}

/// OpenRouter's members, for clients of other formats.
#[test]
fn pictures_of_chat_providers_reach_gemini_and_responses_clients() {
    let upstream = Upstream::start(|request, conn| {
        let images = json!([{"type": "image_url", "image_url": {"url": URL}, "index": 0}]);
        let head = json!({"id": "c-1", "created": 1, "model": "m",
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}});
        if request.json()["stream"] == true {
            conn.sse_head();
            let chunk = |delta: Value, end: Value| {
                let choice = json!({"index": 0, "delta": delta, "finish_reason": end});
                with(head.clone(), json!({"object": "chat.completion.chunk", "choices": [choice]}))
            };
            for chunk in [
                chunk(json!({"role": "assistant", "content": "Here."}), json!(null)),
                chunk(json!({"images": images}), json!(null)),
                chunk(json!({}), json!("stop")),
            ] {
                conn.chunk(format!("data: {chunk}\n\n"));
            }
            conn.chunk("data: [DONE]\n\n");
            conn.end();
        } else {
            let message = json!({"role": "assistant", "content": "Here.", "images": images});
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            conn.json(200, &with(head, json!({"object": "chat.completion", "choices": [choice]})).to_string());
        }
    });
    let gateway = gateway(&upstream);
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Draw."}]}]});
    let parts = json!([{"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": DATA}}]);
    let whole = ask(&gateway, "/v1beta/models/lab/m:generateContent", &body);
    assert_eq!(whole["candidates"][0]["content"]["parts"], parts);
    let streamed = gateway.post("/v1beta/models/lab/m:streamGenerateContent?alt=sse", &body);
    assert!(streamed.text().contains(DATA), "{}", streamed.text());
    let whole = ask(&gateway, "/v1/responses", &json!({"model": "lab/m", "input": "Draw."}));
    assert!(whole["output"].to_string().contains(&format!("\"result\":\"{DATA}\"")), "{whole}");
}
