//! The simulator over a real socket: what its documentation promises.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{app, serve};

/// Runs `test` with the address of a fresh simulator.
fn with_simulator<F: Future<Output = ()>>(test: impl FnOnce(std::net::SocketAddr) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_keep, shutdown) = watch::channel(false);
        tokio::select! {
            () = serve(Arc::new(app()), listener, shutdown) => panic!("the server ended"),
            () = test(address) => {}
        }
    });
}

/// One exchange on a connection of its own: the status and all that came until the end.
async fn call(to: std::net::SocketAddr, method: &str, path: &str, body: &Value) -> (u16, String) {
    let mut socket = TcpStream::connect(to).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all((head + &body).as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    socket.read_to_end(&mut raw).await.unwrap();
    let split = memchr::memmem::find(&raw, b"\r\n\r\n").unwrap_or(raw.len());
    let (head, body) = raw.split_at(split);
    let (head, body) = (String::from_utf8(head.to_vec()).unwrap(), body.get(4..).unwrap_or_default());
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = if head.to_ascii_lowercase().contains("chunked") { unchunk(body) } else { body.to_vec() };
    (status, String::from_utf8(body).unwrap())
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = memchr::memmem::find(body, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        body = &body[end + 2..];
        out.extend_from_slice(&body[..size]);
        body = &body[size + 2..];
    }
    out
}

async fn post(to: std::net::SocketAddr, path: &str, body: Value) -> (u16, Value) {
    let (status, text) = call(to, "POST", path, &body).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|l| l.strip_prefix("data: ")).filter(|d| *d != "[DONE]");
    data.map(|d| serde_json::from_str(d).unwrap()).collect()
}

fn weather() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]})
}

fn message(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 4096, "system": "Be brief.", "messages": [{"role": "user", "content": text}]})
}

#[test]
fn both_formats_answer_and_count_the_same() {
    with_simulator(|to| async move {
        let (status, chat) = post(to, "/v1/chat/completions", chat("sim-1", "one two three")).await;
        assert_eq!((status, &chat["choices"][0]["message"]["content"]), (200, &json!("You said: one two three")));
        assert_eq!(chat["usage"]["prompt_tokens"], 5);
        assert_eq!(chat["usage"]["completion_tokens"], 5);
        let (status, message) = post(to, "/messages", message("sim-1", "one two three")).await;
        assert_eq!((status, &message["content"][0]["text"]), (200, &json!("You said: one two three")));
        assert_eq!((&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]), (&json!(5), &json!(5)));
    });
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    with_simulator(|to| async move {
        for model in ["sim-1", "sim-drip", "sim-think", "sim-pace-1"] {
            let mut body = chat(model, "héllo 👋 wörld");
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
            let (_, stream) = call(to, "POST", "/v1/chat/completions", &body).await;
            assert!(stream.ends_with("data: [DONE]\n\n"));
            let text: String = events(&stream)
                .iter()
                .filter_map(|e| e["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
                .collect();
            assert_eq!(text, "You said: héllo 👋 wörld");
            assert_eq!(events(&stream).last().unwrap()["usage"]["prompt_tokens"], 5);

            let mut body = message(model, "héllo 👋 wörld");
            body["stream"] = json!(true);
            let (_, stream) = call(to, "POST", "/v1/messages", &body).await;
            let events = events(&stream);
            let text: String = events.iter().filter_map(|e| e["delta"]["text"].as_str()).collect();
            assert_eq!(text, "You said: héllo 👋 wörld");
            assert_eq!(events.first().unwrap()["type"], "message_start");
            assert_eq!(events.last().unwrap()["type"], "message_stop");
            assert!(events[events.len() - 2]["usage"]["output_tokens"].as_u64().unwrap() >= 5);
        }
    });
}

#[test]
fn a_call_that_is_spelled_out_is_made_as_it_stands() {
    with_simulator(|to| async move {
        let ask = r#"run_command may help. call run_command {"command": "echo a b", "wait": 1} or call nothing {}"#;
        let tool = json!({"type": "function", "function": {"name": "run_command", "parameters": weather()}});
        let mut body = chat("sim-1", ask);
        body["tools"] = json!([tool]);
        let (_, answer) = post(to, "/v1/chat/completions", body.clone()).await;
        let calls = answer["choices"][0]["message"]["tool_calls"].clone();
        assert_eq!(calls.as_array().map(Vec::len), Some(1), "{answer}");
        assert_eq!(calls[0]["function"]["arguments"], r#"{"command":"echo a b","wait":1}"#);
        let turns = [
            json!({"role": "assistant", "tool_calls": calls}),
            json!({"role": "tool", "tool_call_id": calls[0]["id"], "content": "a b"}),
        ];
        body["messages"].as_array_mut().unwrap().extend(turns);
        let (_, answer) = post(to, "/v1/chat/completions", body).await;
        assert_eq!(answer["choices"][0]["message"]["content"], "The tool answered: a b");
    });
}

#[test]
fn tools_are_called_where_the_text_names_them() {
    with_simulator(|to| async move {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": weather()}});
        let mut body = chat("sim-1", "get_weather for Paris and get_weather for Rome, then get_time");
        body["tools"] = json!([tool("get_weather"), tool("get_time")]);
        let (_, answer) = post(to, "/chat/completions", body.clone()).await;
        let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap();
        let said: Vec<_> = calls
            .iter()
            .map(|c| (c["function"]["name"].as_str().unwrap(), c["function"]["arguments"].as_str().unwrap()))
            .collect();
        assert_eq!(
            said,
            [
                ("get_weather", r#"{"city":"Paris"}"#),
                ("get_weather", r#"{"city":"Rome"}"#),
                ("get_time", r#"{"city":"city"}"#)
            ]
        );
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");

        let mut messages = body["messages"].as_array().unwrap().clone();
        messages.push(answer["choices"][0]["message"].clone());
        for call in calls.iter().take(2) {
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"}));
        }
        body["messages"] = json!(messages);
        assert_eq!(post(to, "/chat/completions", body.clone()).await.0, 400, "a call without its result");
        messages.push(json!({"role": "tool", "tool_call_id": calls[2]["id"], "content": "noon"}));
        body["messages"] = json!(messages);
        let (_, answer) = post(to, "/chat/completions", body).await;
        assert_eq!(answer["choices"][0]["message"]["content"], "The tools answered: sunny; sunny; noon");
    });
}

#[test]
fn a_signature_has_to_come_back_as_it_went() {
    with_simulator(|to| async move {
        let mut body = message("sim-1", "use get_weather for Oslo");
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
        body["tools"] = json!([{"name": "get_weather", "input_schema": weather()}]);
        let (_, answer) = post(to, "/v1/messages", body.clone()).await;
        let content = answer["content"].clone();
        assert_eq!((&content[0]["type"], &content[1]["type"]), (&json!("thinking"), &json!("tool_use")));
        let again = |content: Value| {
            let mut body = body.clone();
            let result = json!({"type": "tool_result", "tool_use_id": content.as_array().unwrap().last().unwrap()["id"], "content": "rain"});
            body["messages"] = json!([body["messages"][0], {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]);
            post(to, "/v1/messages", body)
        };
        assert_eq!(again(content.clone()).await.1["content"][1]["text"], "The tool answered: rain");
        assert_eq!(again(json!([content[1]])).await.0, 400, "missing");
        let mut altered = content.clone();
        altered[0]["signature"] = json!(content[0]["signature"].as_str().unwrap().replace('+', "-"));
        let (status, error) = again(altered).await;
        assert_eq!(status, 400);
        assert!(error["error"]["message"].as_str().unwrap().contains("Invalid `signature`"));
    });
}

#[test]
fn repeated_prompts_are_read_from_the_cache() {
    with_simulator(|to| async move {
        let long = "word ".repeat(70);
        let (_, first) = post(to, "/v1/chat/completions", chat("sim-1", &long)).await;
        let (_, second) = post(to, "/v1/chat/completions", chat("sim-1", &long)).await;
        let cached = |a: &Value| a["usage"]["prompt_tokens_details"]["cached_tokens"].clone();
        assert_eq!((cached(&first), cached(&second)), (json!(0), json!(72)));

        let mut body = message("sim-1", "hi there");
        body["system"] = json!([{"type": "text", "text": "a b c", "cache_control": {"type": "ephemeral"}}]);
        let usage = |a: &Value| {
            let u = &a["usage"];
            (u["input_tokens"].clone(), u["cache_creation_input_tokens"].clone(), u["cache_read_input_tokens"].clone())
        };
        let (_, first) = post(to, "/v1/messages", body.clone()).await;
        let (_, second) = post(to, "/v1/messages", body).await;
        assert_eq!(usage(&first), (json!(2), json!(3), json!(0)));
        assert_eq!(usage(&second), (json!(2), json!(0), json!(3)));
    });
}

#[test]
fn limits_forms_and_choices_are_honoured() {
    with_simulator(|to| async move {
        let ask = |change: fn(&mut Value)| {
            let mut body = chat("sim-1", "count to 9");
            change(&mut body);
            post(to, "/v1/chat/completions", body)
        };
        let (_, cut) = ask(|b| b["max_tokens"] = json!(4)).await;
        assert_eq!(
            (&cut["choices"][0]["message"]["content"], &cut["choices"][0]["finish_reason"]),
            (&json!("1 2 3 4"), &json!("length"))
        );
        let (_, stopped) = ask(|b| b["stop"] = json!(["6"])).await;
        assert_eq!(
            (&stopped["choices"][0]["message"]["content"], &stopped["choices"][0]["finish_reason"]),
            (&json!("1 2 3 4 5 "), &json!("stop"))
        );
        let (_, two) = ask(|b| b["n"] = json!(2)).await;
        assert_eq!(two["choices"][1]["message"]["content"], "1 2 3 4 5 6 7 8 9 [2]");
        let (_, json_form) =
            ask(|b| b["response_format"] = json!({"type": "json_schema", "json_schema": {"schema": weather()}})).await;
        assert_eq!(json_form["choices"][0]["message"]["content"], r#"{"city":"city"}"#);
        let (_, probs) = ask(|b| {
            b["logprobs"] = json!(true);
            b["top_logprobs"] = json!(2)
        })
        .await;
        assert_eq!(probs["choices"][0]["logprobs"]["content"].as_array().unwrap().len(), 9);
    });
}

#[test]
fn models_fail_as_their_names_say() {
    with_simulator(|to| async move {
        for (model, want) in [("sim-error-500", 500), ("sim-error-429", 429), ("sim-nothing", 404), ("gpt-4o", 200)] {
            assert_eq!(post(to, "/v1/chat/completions", chat(model, "x")).await.0, want, "{model}");
            assert_eq!(post(to, "/v1/messages", message(model, "x")).await.0, want, "{model}");
        }
        let mut body = message("sim-stream-midstream-error", "a b c d e f");
        body["stream"] = json!(true);
        let (status, stream) = call(to, "POST", "/v1/messages", &body).await;
        let events = events(&stream);
        assert_eq!((status, &events.last().unwrap()["error"]["type"]), (200, &json!("overloaded_error")));
        assert_eq!(events.iter().filter(|e| e["type"] == "content_block_delta").count(), 3);
        body["model"] = json!("sim-no-usage");
        let (_, stream) = call(to, "POST", "/v1/messages", &body).await;
        assert!(!stream.contains("\"usage\""));
    });
}

#[test]
fn the_log_tells_what_came() {
    with_simulator(|to| async move {
        post(to, "/v1/messages?beta=true", message("sim-no-usage", "one two")).await;
        let (_, text) = call(to, "GET", "/_sim/log", &Value::Null).await;
        let log: Value = serde_json::from_str(&text).unwrap();
        let entry = &log["data"][0];
        assert_eq!((&entry["path"], &entry["outcome"]), (&json!("/v1/messages?beta=true"), &json!("answered")));
        assert_eq!((&entry["input_tokens"], &entry["output_tokens"]), (&json!(4), &json!(4)));
        assert!(entry["body"].as_str().unwrap().contains("sim-no-usage"));
        assert!(entry["headers"].as_array().unwrap().contains(&json!(["host", "sim"])));
    });
}

#[test]
fn embeddings_follow_the_text() {
    with_simulator(|to| async move {
        let (_, plain) = post(to, "/v1/embeddings", json!({"model": "sim-embed", "input": ["a b", "c"]})).await;
        assert_eq!(plain["usage"]["prompt_tokens"], 3);
        assert_eq!(plain["data"][0]["embedding"].as_array().unwrap().len(), 8);
        let (_, coded) =
            post(to, "/v1/embeddings", json!({"model": "m", "input": "a b", "encoding_format": "base64"})).await;
        assert_eq!(coded["data"][0]["embedding"].as_str().unwrap().len(), 44);
    });
}
