//! Google's format, on both sides.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, chunk, message, sse, streamed, text, usage_chunk, with};
use crate::contents::assemble;
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, config};
use crate::support::upstream::{Request, Upstream};

const WHOLE: &str = ":generateContent";
const STREAM: &str = ":streamGenerateContent?alt=sse";
const ARRAY: &str = ":streamGenerateContent";

/// With one upstream for all kinds.
fn gateway(upstream: &Upstream) -> Gateway {
    let address = upstream.address;
    let provider =
        format!("  gemini: {{base_url: \"http://{address}/v1beta\", api_key: \"{PROVIDER_KEY}\"}}\ntenants:");
    Gateway::start(&config(address, address, "defaults: {retries: 0}\n").replacen("tenants:", &provider, 1))
}

fn path(model: &str, verb: &str) -> String {
    format!("/v1beta/models/{model}{verb}")
}

fn contents(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

/// An answer as Google gives it.
fn answer(parts: &Value, reason: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "thoughtsTokenCount": 5, "totalTokenCount": 23,
            "cachedContentTokenCount": 4},
        "modelVersion": "gemini-3-flash-preview", "responseId": "resp-1",
    })
}

/// The same in two chunks, lines ending as Google ends them.
fn events(first: &Value, last: &Value) -> String {
    let mut one = answer(first, "STOP");
    one["candidates"][0].as_object_mut().unwrap().remove("finishReason");
    format!("data: {one}\r\n\r\ndata: {}\r\n\r\n", answer(last, "STOP"))
}

/// Answers whole or as a stream, as the path asks.
fn google(parts: &'static str) -> Upstream {
    Upstream::start(move |request, conn| {
        let parts: Value = serde_json::from_str(parts).unwrap();
        if request.path.contains(":stream") {
            assert!(request.path.ends_with(":streamGenerateContent?alt=sse"), "{}", request.path);
            conn.sse_head();
            conn.chunk(events(&parts, &json!([{"text": ""}])));
            conn.end();
        } else {
            conn.json(200, &answer(&parts, "STOP").to_string());
        }
    })
}

fn said(answer: &Value) -> String {
    let parts = answer["candidates"][0]["content"]["parts"].as_array().into_iter().flatten();
    parts.filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str()).collect()
}

fn array(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.header("content-type"), "application/json");
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

#[test]
fn a_request_and_its_answer_pass_as_they_are() {
    let upstream = google(r#"[{"text":"hi","thoughtSignature":"c2ln"}]"#);
    let gateway = gateway(&upstream);
    let body = with(contents("héllo"), json!({"safetySettings": [{"x": 1}], "new_member": {"a": [1, null]}}));
    let got = gateway.post(&path("gemini/gemini-2.5-flash", WHOLE), &body);
    assert_eq!((got.status(), got.json()), (200, answer(&json!([{"text":"hi","thoughtSignature":"c2ln"}]), "STOP")));
    assert_eq!(got.header("x-weir-provider"), "gemini");
    let seen = upstream.request();
    assert_eq!(seen.path, "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!((seen.header("x-goog-api-key"), seen.header("authorization")), (Some(PROVIDER_KEY), None));
    assert_eq!(seen.body, body.to_string().into_bytes(), "byte for byte");
    let record = gateway.record(1);
    assert_eq!(
        (&record["format"], &record["input_tokens"], &record["output_tokens"]),
        (&json!("gemini"), &json!(11), &json!(12))
    );
    // As Google's own lists call it.
    gateway.post(CHAT, &chat("gemini/models/gemini-2.5-flash", "hi"));
    assert_eq!(upstream.requests().last().unwrap().path, "/v1beta/models/gemini-2.5-flash:generateContent");
}

#[test]
fn streams_pass_as_events_or_as_an_array() {
    let upstream = google(r#"[{"text":"hi"}]"#);
    let gateway = gateway(&upstream);
    let got = gateway.post(&path("gemini-2.5-flash", STREAM), &contents("x"));
    assert_eq!(got.text(), events(&json!([{"text": "hi"}]), &json!([{"text": ""}])), "byte for byte");
    assert!(got.header("content-type").starts_with("text/event-stream"));
    let items = array(&gateway.post(&path("gemini-2.5-flash", ARRAY), &contents("x")));
    assert_eq!(
        (items.len(), said(&items[0]), &items[1]["candidates"][0]["finishReason"]),
        (2, "hi".to_owned(), &json!("STOP"))
    );
    for n in 1..=2 {
        let record = gateway.record(n);
        assert_eq!(
            (&record["input_tokens"], &record["output_tokens"], &record["outcome"]),
            (&json!(11), &json!(12), &json!("finished"))
        );
    }
}

#[test]
fn keys_come_in_a_header_and_never_in_the_query() {
    let upstream = google(r#"[{"text":"hi"}]"#);
    let gateway = gateway(&upstream);
    let body = contents("x").to_string();
    let ask = |path: &str, headers: &[(&str, &str)]| {
        gateway.client().request("POST", path, headers, body.as_bytes()).answer()
    };
    let url = path("gemini-2.5-flash", WHOLE);
    assert_eq!(ask(&url, &[("x-goog-api-key", KEY)]).status(), 200);
    let refused = ask(&format!("{url}?key={KEY}"), &[]);
    assert_eq!((refused.status(), &refused.json()["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
    assert!(!refused.text().contains(KEY));
}

#[test]
fn other_clients_ask_gemini_in_their_own_words() {
    let upstream = google(r#"[{"text":"hm","thought":true},{"text":"You said hi"}]"#);
    let gateway = gateway(&upstream);
    let got =
        gateway.post(CHAT, &with(chat("gemini/gemini-2.5-flash", "hi"), json!({"reasoning_effort": "low"}))).json();
    assert_eq!((text(&got), &got["choices"][0]["message"]["reasoning_content"]), ("You said hi", &json!("hm")));
    let usage = &got["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(11), &json!(12)));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 5);
    let sent = upstream.request().json();
    assert_eq!(sent["contents"], json!([{"role": "user", "parts": [{"text": "hi"}]}]));
    assert_eq!(sent["generationConfig"]["thinkingConfig"], json!({"thinkingBudget": 1024, "includeThoughts": true}));
    let got = gateway.post(MESSAGES, &message("gemini/gemini-2.5-flash", "hi")).json();
    assert_eq!(
        (&got["content"][1]["text"], &got["usage"]["output_tokens"]),
        (&json!("You said hi"), &json!(12)),
        "{got}"
    );
    for (url, body) in
        [(CHAT, chat("gemini/gemini-2.5-flash", "hi")), (MESSAGES, message("gemini/gemini-2.5-flash", "hi"))]
    {
        let stream = gateway.post(url, &streamed(body));
        assert_eq!(crate::ask::stream_text(&stream.events()), "You said hi", "{}", stream.text());
    }
}

#[test]
fn gemini_clients_ask_other_providers_in_their_own_words() {
    let upstream = Upstream::start(|request, conn| match request.json()["stream"].as_bool() {
        Some(true) => {
            conn.sse_head();
            let usage = usage_chunk(&json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}));
            let (one, two) = (json!({"role": "assistant", "content": "Hel"}), json!({"content": "lo"}));
            conn.chunk(sse(&[chunk(&one, None), chunk(&two, None), chunk(&json!({}), Some("length")), usage]));
            conn.end();
        }
        _ => conn.json(200, &chat_answer("Hello")),
    });
    let gateway = gateway(&upstream);
    let body = with(
        contents("hi"),
        json!({"system_instruction": {"parts": [{"text": "be kind"}]},
            "generationConfig": {"maxOutputTokens": 9, "topK": 3, "temperature": 0.5}}),
    );
    let got = gateway.post(&path("openai/gpt-4o-mini", WHOLE), &body);
    assert_eq!(got.header("x-weir-dropped"), "generationConfig.topK");
    let got = got.json();
    assert_eq!((said(&got), &got["candidates"][0]["finishReason"]), ("Hello".to_owned(), &json!("STOP")));
    assert_eq!((&got["usageMetadata"]["totalTokenCount"], &got["responseId"]), (&json!(18), &json!("chatcmpl-1")));
    let sent = upstream.request().json();
    assert_eq!(
        (&sent["model"], &sent["temperature"], &sent["max_completion_tokens"]),
        (&json!("gpt-4o-mini"), &json!(0.5), &json!(9))
    );
    assert_eq!(sent["messages"][0]["content"], "be kind");
    let got = assemble(&gateway.post(&path("openai/gpt-4o-mini", STREAM), &body).text());
    assert_eq!((said(&got), &got["candidates"][0]["finishReason"]), ("Hello".to_owned(), &json!("MAX_TOKENS")));
    assert_eq!(got["usageMetadata"]["promptTokenCount"], 11);
    let items = array(&gateway.post(&path("openai/gpt-4o-mini", ARRAY), &body));
    assert_eq!(items.iter().map(said).collect::<String>(), "Hello");
}

const CALL: &str = r#"[{"text":"hm","thought":true},{"functionCall":{"name":"weather","args":{"city":"Rome"}},"thoughtSignature":"c2lnbmF0dXJl"},
    {"functionCall":{"name":"weather","args":{"city":"Oslo"}}}]"#;

/// Row 3 of the list: the signature has to come back, or Gemini refuses the next turn.
fn loop_checked(request: &Request) {
    let sent = request.json();
    let parts = sent["contents"][1]["parts"].as_array().unwrap();
    let calls: Vec<&Value> = parts.iter().filter(|part| part["functionCall"].is_object()).collect();
    assert_eq!(calls[0]["thoughtSignature"], "c2lnbmF0dXJl", "{sent}");
    assert_eq!(
        (&calls[0]["functionCall"]["args"], &calls[1].get("thoughtSignature")),
        (&json!({"city": "Rome"}), &None)
    );
    let results = &sent["contents"][2]["parts"];
    assert_eq!(
        (&results[0]["functionResponse"]["response"], &results[1]["functionResponse"]["name"]),
        (&json!({"output": "sunny"}), &json!("weather"))
    );
    assert_eq!(calls[0]["functionCall"]["id"], results[0]["functionResponse"]["id"]);
}

#[test]
fn a_signature_comes_back_from_a_chat_client() {
    for stream in [false, true] {
        let upstream = google(CALL);
        let gateway = gateway(&upstream);
        let tools = json!({"tools": [crate::ask::function("weather")], "stream": stream});
        let ask = with(chat("gemini/gemini-3-flash-preview", "weather?"), tools.clone());
        let got = gateway.post(CHAT, &ask);
        let calls = match stream {
            false => got.json()["choices"][0]["message"]["tool_calls"].clone(),
            true => got
                .events()
                .iter()
                .filter(|event| event.data != "[DONE]")
                .flat_map(|event| {
                    event.json()["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default()
                })
                .fold(json!([]), |mut all, call| {
                    let list = all.as_array_mut().unwrap();
                    match call["id"].is_string() {
                        true => list.push(call),
                        false => {
                            let last = list.last_mut().unwrap();
                            let more = call["function"]["arguments"].as_str().unwrap();
                            let text = format!("{}{more}", last["function"]["arguments"].as_str().unwrap());
                            last["function"]["arguments"] = json!(text);
                        }
                    }
                    all
                }),
        };
        assert_eq!(calls.as_array().unwrap().len(), 2, "{}", got.text());
        let next = with(
            ask,
            json!({"stream": false, "messages": [{"role": "user", "content": "weather?"},
                {"role": "assistant", "content": null, "tool_calls": calls},
                {"role": "tool", "tool_call_id": calls[0]["id"], "content": "sunny"},
                {"role": "tool", "tool_call_id": calls[1]["id"], "content": "rain"}]}),
        );
        assert_eq!(gateway.post(CHAT, &next).status(), 200);
        loop_checked(upstream.requests().last().unwrap());
    }
}

#[test]
fn a_signature_comes_back_from_an_anthropic_client() {
    let upstream = google(CALL);
    let gateway = gateway(&upstream);
    let ask =
        with(message("gemini/gemini-3-flash-preview", "weather?"), json!({"tools": [crate::ask::tool("weather")]}));
    let got = gateway.post(MESSAGES, &ask).json();
    assert_eq!(got["stop_reason"], "tool_use", "{got}");
    let calls: Vec<&Value> =
        got["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use").collect();
    let results = json!([{"type": "tool_result", "tool_use_id": calls[0]["id"], "content": "sunny"},
        {"type": "tool_result", "tool_use_id": calls[1]["id"], "content": "rain"}]);
    let turns = json!({"messages": [{"role": "user", "content": "weather?"}, {"role": "assistant", "content": got["content"]},
        {"role": "user", "content": results}]});
    let next = gateway.post(MESSAGES, &with(ask, turns));
    assert_eq!(next.status(), 200, "{}", next.text());
    loop_checked(upstream.requests().last().unwrap());
}

/// The other way round: Claude's thinking through a client of Google's, which may forget thoughts.
#[test]
fn claudes_thinking_comes_back_from_a_gemini_client() {
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "Y2xhdWRl"});
    let first = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [thinking, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}],
        "usage": {"input_tokens": 3, "output_tokens": 5}});
    let upstream = Upstream::json(200, first.to_string());
    let gateway = gateway(&upstream);
    let tools = json!({"tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT"}}]}]});
    let url = path("anthropic/claude-sonnet-4-5", WHOLE);
    let got = gateway.post(&url, &with(contents("weather?"), tools.clone())).json();
    let mut content = got["candidates"][0]["content"].clone();
    assert_eq!(content["parts"][0], json!({"text": "hm", "thought": true}), "{got}");
    content["parts"].as_array_mut().unwrap().retain(|part| part["thought"] != true);
    let result =
        json!({"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"output": "sunny"}}}]});
    let turns = json!({"contents": [{"role": "user", "parts": [{"text": "weather?"}]}, content, result]});
    assert_eq!(gateway.post(&url, &with(tools, turns)).status(), 200);
    let sent = upstream.requests().pop().unwrap().json();
    assert_eq!(sent["tools"][0]["input_schema"]["type"], "object");
    assert_eq!(
        sent["messages"][1]["content"],
        json!([thinking, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}])
    );
    assert_eq!(sent["messages"][2]["content"][0]["tool_use_id"], "toolu_1");
}

#[test]
fn errors_have_googles_shape() {
    let upstream = Upstream::json(
        429,
        r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48.9s"}]}}"#,
    );
    let gateway = gateway(&upstream);
    let error = |answer: &Answer| (answer.status(), answer.json()["error"]["status"].clone());
    let unknown = gateway.post(&path("nobody/nothing", WHOLE), &contents("x"));
    assert_eq!(error(&unknown), (404, json!("NOT_FOUND")), "{}", unknown.text());
    assert_eq!(unknown.json()["error"]["code"], 404);
    assert_eq!(error(&gateway.post(&path("gemini-2.5-flash", WHOLE), &json!({}))), (400, json!("INVALID_ARGUMENT")));
    assert_eq!(error(&gateway.call("GET", "/v1beta/nothing", &Value::Null)), (404, json!("NOT_FOUND")));
    let limited = gateway.post(CHAT, &chat("gemini/gemini-2.5-flash", "x"));
    assert_eq!((limited.status(), limited.header("retry-after")), (429, "49"), "{}", limited.text());
    assert_eq!(limited.json()["error"]["message"], "slow down");
    for verb in [WHOLE, STREAM, ARRAY] {
        let own = gateway.post(&path("gemini-2.5-flash", verb), &contents("x"));
        assert_eq!(error(&own), (429, json!("RESOURCE_EXHAUSTED")), "{verb}");
    }
}

#[test]
fn a_refused_credential_is_not_the_clients() {
    let upstream = Upstream::json(
        400,
        format!(
            r#"{{"error":{{"code":400,"message":"API key {PROVIDER_KEY} not valid.","status":"INVALID_ARGUMENT",
        "details":[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}}]}}}}"#
        ),
    );
    let gateway = gateway(&upstream);
    let got = gateway.post(&path("gemini-2.5-flash", WHOLE), &contents("x"));
    assert_eq!((got.status(), &got.json()["error"]["status"]), (502, &json!("UNAVAILABLE")), "{}", got.text());
    assert!(!got.text().contains(PROVIDER_KEY));
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_in_either_form() {
    let upstream = Upstream::start(|request, conn| {
        conn.sse_head();
        if request.path.starts_with("/v1/chat") {
            conn.data(chunk(&json!({"role": "assistant", "content": "Hel"}), None));
        } else {
            let mut one = answer(&json!([{"text": "Hel"}]), "STOP");
            one["candidates"][0].as_object_mut().unwrap().remove("finishReason");
            conn.chunk(format!("data: {one}\r\n\r\n"));
        }
        conn.end();
    });
    let gateway = gateway(&upstream);
    for model in ["openai/gpt-4o-mini", "gemini/gemini-2.5-flash"] {
        let events = crate::contents::events(&gateway.post(&path(model, STREAM), &contents("x")).text());
        assert_eq!(
            (events.len(), said(&events[0]), &events[1]["error"]["status"]),
            (2, "Hel".to_owned(), &json!("UNAVAILABLE"))
        );
        let items = array(&gateway.post(&path(model, ARRAY), &contents("x")));
        assert_eq!((items.len(), &items[1]["error"]["status"]), (2, &json!("UNAVAILABLE")), "{model}");
    }
}

#[test]
fn a_blocked_prompt_is_a_refusal() {
    let upstream = Upstream::json(
        200,
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT","blockReasonMessage":"not that"},
        "usageMetadata":{"promptTokenCount":4,"totalTokenCount":4},"modelVersion":"g"}"#,
    );
    let gateway = gateway(&upstream);
    let got = gateway.post(CHAT, &chat("gemini/gemini-2.5-flash", "x")).json();
    assert_eq!(got["choices"][0]["finish_reason"], "content_filter", "{got}");
    assert_eq!(got["choices"][0]["message"]["refusal"], "not that");
    let got = gateway.post(MESSAGES, &message("gemini/gemini-2.5-flash", "x")).json();
    assert_eq!(got["stop_reason"], "refusal", "{got}");
}

#[test]
fn models_are_listed_in_googles_shape() {
    let upstream = google("[]");
    let gateway = gateway(&upstream);
    let list = gateway.call("GET", "/v1beta/models", &Value::Null).json();
    let entry = list["models"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["name"] == "models/gemini/gemini-2.5-flash")
        .unwrap()
        .clone();
    assert!(
        entry["inputTokenLimit"].is_u64()
            && entry["supportedGenerationMethods"].as_array().unwrap().contains(&json!("generateContent"))
    );
    let one = gateway.call("GET", "/v1beta/models/gemini-2.5-flash", &Value::Null).json();
    assert_eq!(one["inputTokenLimit"], entry["inputTokenLimit"], "{one}");
    let lost = gateway.call("GET", "/v1beta/models/nothing", &Value::Null);
    assert_eq!((lost.status(), &lost.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
}

#[test]
fn tokens_are_counted_there_or_here() {
    let upstream = Upstream::json(200, r#"{"totalTokens":7}"#);
    let gateway = gateway(&upstream);
    let count =
        json!({"generateContentRequest": {"model": "models/mine", "contents": contents("one two three")["contents"]}});
    let got = gateway.post(&path("gemini/gemini-2.5-flash", ":countTokens"), &count);
    assert_eq!((got.status(), got.json()), (200, json!({"totalTokens": 7})), "{}", got.text());
    let seen = upstream.request();
    assert_eq!(seen.path, "/v1beta/models/gemini-2.5-flash:countTokens");
    assert_eq!(seen.json()["generateContentRequest"]["model"], "models/gemini-2.5-flash");
    let got = gateway.post(&path("openai/gpt-4o-mini", ":countTokens"), &contents("one two three"));
    assert!((3..40).contains(&got.json()["totalTokens"].as_u64().unwrap()), "{}", got.text());
    assert_eq!(got.header("x-weir-usage-source"), "estimated");
    let got = gateway.post("/v1/messages/count_tokens", &message("gemini/gemini-2.5-flash", "one two three"));
    assert!(got.json()["input_tokens"].as_u64().unwrap() >= 3, "{}", got.text());
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn state_of_googles_own_needs_google() {
    let upstream = google(r#"[{"text":"hi"}]"#);
    let gateway = gateway(&upstream);
    let body = with(contents("x"), json!({"cachedContent": "cachedContents/1"}));
    let refused = gateway.post(&path("openai/gpt-4o-mini", WHOLE), &body);
    assert_eq!(refused.status(), 400, "{}", refused.text());
    assert!(refused.text().contains("cachedContent"));
    assert_eq!(gateway.post(&path("gemini/gemini-2.5-flash", WHOLE), &body).status(), 200);
}

/// A conversation that began at another provider: its signatures came to the client sealed, in base64.
#[test]
fn no_seal_reaches_google_from_its_own_clients() {
    // `weirseal1-` and what was sealed by a provider that is not there any more.
    let sealed = "d2VpcnNlYWwxLUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ==";
    let upstream = google(r#"[{"text": "done"}]"#);
    let gateway = gateway(&upstream);
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": sealed}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"r": 1}}}]}]});
    for verb in [WHOLE, STREAM] {
        let answer = gateway.post(&path("gemini/gemini-3-flash-preview", verb), &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    for request in upstream.requests() {
        let sent = String::from_utf8(request.body).unwrap();
        assert!(sent.contains("functionCall") && !sent.contains("d2VpcnNlYWwx"), "{sent}");
    }
}
