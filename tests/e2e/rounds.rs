//! Tools of the gateway's in a model's answer: offered, run between its turns, and never the client's to see.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use weir::wire::Dialect;

use crate::ask::{CHAT, MESSAGES, chat, chunk, message, sse, streamed, usage_chunk, with};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, full_config};
use crate::support::grammar::assemble;
use crate::support::upstream::{Conn, Request, Upstream};

const TOOL: &str = "weir_calculate";
const ARGUMENTS: &str = "{\"expression\":\"6 * 7\"}";

fn gateway(upstream: &Upstream, edge_tools: &str) -> Gateway {
    let tenant = format!("    edge_tools: {edge_tools}\n");
    Gateway::start(&full_config("", upstream.address, upstream.address, &tenant, ""))
}

pub(crate) const ALWAYS: &str = "{tools: [weir_calculate, weir_uuid], always: true}";

/// Which calls the model makes before it answers, and what it says to that.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    calls: &'static [(&'static str, &'static str, &'static str)],
}

pub(crate) const OWN: Script = Script { calls: &[("call_1", TOOL, ARGUMENTS)] };
const BOTH: Script = Script { calls: &[("call_c", "client_tool", "{\"a\":1}"), ("call_e", TOOL, ARGUMENTS)] };

/// A provider in all formats: the first time it calls, told what came of it it answers.
pub(crate) fn model(script: Script) -> Upstream {
    Upstream::start(move |request, conn| answer(script, request, conn))
}

fn was_told(request: &Request) -> bool {
    let body = sent_text(request);
    ["\"role\":\"tool\"", "tool_result", "function_call_output"].iter().any(|result| body.contains(result))
}

fn answer(script: Script, request: &Request, conn: &mut Conn) {
    let calls = if was_told(request) { &[] } else { script.calls };
    let says = if was_told(request) { "It is 42." } else { "Let me see. " };
    let streams = request.json()["stream"] == json!(true);
    if request.path.ends_with("/responses") {
        return responses(conn, says, calls, streams);
    }
    match (request.path.contains("messages"), streams) {
        (true, true) => claude_stream(conn, says, calls),
        (true, false) => conn.json(200, &claude(says, calls)),
        (false, true) => chat_stream(conn, says, calls),
        (false, false) => conn.json(200, &openai(says, calls)),
    }
}

type Calls<'c> = &'c [(&'static str, &'static str, &'static str)];

fn openai(says: &str, calls: Calls<'_>) -> String {
    let call = |(id, name, arguments): &(&str, &str, &str)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let mut message = json!({"role": "assistant", "content": says});
    if !calls.is_empty() {
        message["tool_calls"] = calls.iter().map(call).collect();
    }
    let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}})
    .to_string()
}

fn chat_stream(conn: &mut Conn, says: &str, calls: Calls<'_>) {
    let mut lines = vec![chunk(&json!({"role": "assistant", "content": says}), None)];
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        let call = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        lines.push(chunk(&json!({"tool_calls": [call]}), None));
        let (begun, rest) = arguments.split_at(5);
        for piece in [begun, rest] {
            lines.push(chunk(&json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), None));
        }
    }
    lines.push(chunk(&json!({}), Some(if calls.is_empty() { "stop" } else { "tool_calls" })));
    lines.push(usage_chunk(&json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12})));
    conn.sse_head();
    conn.chunk(sse(&lines));
    conn.end();
}

fn responses(conn: &mut Conn, says: &str, calls: Calls<'_>, streams: bool) {
    let content = json!([{"type": "output_text", "text": says, "annotations": []}]);
    let mut output =
        vec![json!({"type": "message", "id": "msg", "role": "assistant", "status": "completed", "content": content})];
    output.extend(calls.iter().map(|(id, name, arguments)| {
        json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name, "arguments": arguments,
            "status": "completed"})
    }));
    let usage = json!({"input_tokens": 7, "output_tokens": 5, "total_tokens": 12});
    let whole = json!({"id": "resp", "object": "response", "created_at": 1, "model": "gpt-4o-mini", "status": "completed",
        "output": output, "usage": usage});
    if !streams {
        return conn.json(200, &whole.to_string());
    }
    let mut out = String::new();
    let mut event = |data: Value| out += &format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    event(json!({"type": "response.created", "response": {"id": "resp", "model": "gpt-4o-mini", "output": []}}));
    for (index, item) in output.iter().enumerate() {
        let mut begun = item.clone();
        let (member, delta) = match item["type"] == "message" {
            true => ("content", json!({"type": "response.output_text.delta", "content_index": 0, "delta": says})),
            false => {
                ("arguments", json!({"type": "response.function_call_arguments.delta", "delta": item["arguments"]}))
            }
        };
        begun[member] = if member == "content" { json!([]) } else { json!("") };
        let at = json!({"output_index": index, "item_id": item["id"]});
        event(with(json!({"type": "response.output_item.added", "item": begun}), at.clone()));
        event(with(delta, at.clone()));
        event(with(json!({"type": "response.output_item.done", "item": item}), at));
    }
    event(json!({"type": "response.completed", "response": whole}));
    conn.sse_head();
    conn.chunk(&out);
    conn.end();
}

fn claude(says: &str, calls: Calls<'_>) -> String {
    let mut content = vec![json!({"type": "text", "text": says})];
    content.extend(calls.iter().map(|(id, name, arguments)| {
        let input: Value = serde_json::from_str(arguments).unwrap();
        json!({"type": "tool_use", "id": id, "name": name, "input": input})
    }));
    let reason = if calls.is_empty() { "end_turn" } else { "tool_use" };
    json!({"id": "msg", "type": "message", "role": "assistant", "model": "claude", "content": content,
        "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 7, "output_tokens": 5}})
    .to_string()
}

fn claude_stream(conn: &mut Conn, says: &str, calls: Calls<'_>) {
    let mut out = String::new();
    let mut event = |data: Value| out += &format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    event(json!({"type": "message_start", "message": {"id": "msg", "type": "message", "role": "assistant",
        "model": "claude", "content": [], "usage": {"input_tokens": 7, "output_tokens": 1}}}));
    let text = (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": says}));
    let call = |(id, name, arguments): &(&str, &str, &str)| {
        let start = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        (start, json!({"type": "input_json_delta", "partial_json": arguments}))
    };
    for (index, (start, delta)) in std::iter::once(text).chain(calls.iter().map(call)).enumerate() {
        event(json!({"type": "content_block_start", "index": index, "content_block": start}));
        event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        event(json!({"type": "content_block_stop", "index": index}));
    }
    let reason = if calls.is_empty() { "end_turn" } else { "tool_use" };
    event(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}));
    event(json!({"type": "message_stop"}));
    conn.sse_head();
    conn.chunk(&out);
    conn.end();
}

/// A request in each client's format: path and body.
fn requests(model: &str, stream: bool) -> [(String, Value); 4] {
    let asked = "What is six times seven?";
    let plain = |body: Value| if stream { streamed(body) } else { body };
    let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    [
        (CHAT.to_owned(), with(plain(chat(model, asked)), json!({"stream_options": {"include_usage": true}}))),
        (MESSAGES.to_owned(), plain(message(model, asked))),
        ("/v1/responses".to_owned(), plain(json!({"model": model, "input": asked, "store": false}))),
        (format!("/v1beta/models/{model}:{verb}"), json!({"contents": [{"role": "user", "parts": [{"text": asked}]}]})),
    ]
    .map(|(path, body)| match (stream, path.as_str()) {
        (false, CHAT) => (path, chat(model, asked)),
        _ => (path, body),
    })
}

/// What a client is told that the answer took.
fn says_total(text: &str) -> bool {
    let members = ["\"total_tokens\":24", "\"totalTokenCount\":24", "\"output_tokens\":10"];
    members.iter().any(|member| text.contains(member))
}

fn sent_text(request: &Request) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

fn names(request: &Request) -> String {
    request.json()["tools"].to_string()
}

#[test]
fn every_client_gets_one_answer_of_two_rounds_from_every_provider() {
    let upstream = model(OWN);
    let gateway = gateway(&upstream, ALWAYS);
    for provider in ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"] {
        for stream in [false, true] {
            for (path, body) in requests(provider, stream) {
                let before = upstream.requests().len();
                let answer: Answer = gateway.post(&path, &body);
                let text = answer.text();
                let cell = format!("{path} to {provider}, stream {stream}: {text}");
                assert_eq!(answer.status(), 200, "{cell}");
                assert!(text.contains("Let me see. ") && text.contains("It is 42."), "{cell}");
                assert!(!text.contains("call_1") && !text.contains("expression"), "{cell}");
                assert!(says_total(&text), "{cell}");
                let sent = upstream.requests().split_off(before);
                assert_eq!(sent.len(), 2, "{cell}");
                assert!(names(&sent[0]).contains(TOOL) && names(&sent[1]).contains(TOOL), "{cell}");
                assert!(sent_text(&sent[1]).contains("6 * 7"), "{cell}");
                if !stream {
                    assert_eq!(answer.header("x-weir-tools-executed"), TOOL, "{cell}");
                    let has_room = path == CHAT || path == "/v1/responses";
                    let told = &answer.json()["weir_tools_executed"];
                    assert_eq!(told[0]["name"] == TOOL, has_room, "{cell}");
                }
            }
        }
    }
    let record = gateway.record(16);
    assert_eq!(record["tools_executed"], TOOL);
    assert_eq!(gateway.metric("weir_tool_calls_total", &["tool=\"weir_calculate\"", "outcome=\"ok\""]), 16.0);
    let id = record["request_id"].as_str().unwrap();
    let row = gateway.admin("GET", &format!("/admin/v1/requests/{id}")).json();
    let attempts = row["timeline"].as_array().or_else(|| row["attempts"].as_array()).unwrap();
    assert_eq!(
        attempts.iter().map(|attempt| attempt["kind"].as_str().unwrap()).collect::<Vec<_>>(),
        ["first", "tools"]
    );
}

#[test]
fn a_request_gets_what_it_asks_for_and_nothing_else() {
    let upstream = model(Script { calls: &[] });
    let gateway = gateway(&upstream, "{tools: [weir_calculate, weir_uuid]}");
    let ask = |head: &[(&str, &str)], body: &Value| gateway.call_with("POST", CHAT, head, body);
    let plain = chat("openai/gpt-4o-mini", "Hi");
    assert_eq!(ask(&[], &plain).status(), 200);
    assert!(upstream.requests()[0].json().get("tools").is_none(), "nobody asked");
    assert_eq!(ask(&[("x-weir-tools", "weir_uuid")], &plain).status(), 200);
    assert_eq!(ask(&[], &with(plain.clone(), json!({"weir_tools": ["weir_calculate"]}))).status(), 200);
    let sent = upstream.requests();
    assert!(names(&sent[1]).contains("weir_uuid") && !names(&sent[1]).contains(TOOL));
    assert!(names(&sent[2]).contains(TOOL) && sent[2].json().get("weir_tools").is_none());
    let answer = ask(&[], &with(plain.clone(), json!({"weir_tools": ["weir_fetch"]})));
    assert_eq!((answer.status(), answer.json()["error"]["param"].as_str()), (400, Some("weir_tools")));
    let answer = ask(&[], &with(plain, json!({"weir_tools": "weir_uuid"})));
    assert_eq!(answer.status(), 400);
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_key_without_tools_is_told_that_it_has_none() {
    let upstream = model(Script { calls: &[] });
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, "", ""));
    let plain = chat("openai/gpt-4o-mini", "Hi");
    assert_eq!(gateway.post(CHAT, &plain).status(), 200);
    let in_head = gateway.call_with("POST", CHAT, &[("x-weir-tools", "weir_uuid")], &plain);
    for answer in [in_head, gateway.post(CHAT, &with(plain, json!({"weir_tools": ["weir_uuid"]})))] {
        assert_eq!((answer.status(), answer.json()["error"]["param"].as_str()), (400, Some("weir_tools")));
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_model_that_never_stops_calling_is_stopped() {
    let upstream = Upstream::start(|request, conn| {
        let says = format!("Round {}. ", request.json()["messages"].as_array().unwrap().len());
        match request.json()["stream"] == json!(true) {
            true => chat_stream(conn, &says, OWN.calls),
            false => conn.json(200, &openai(&says, OWN.calls)),
        }
    });
    let gateway = gateway(&upstream, "{tools: [weir_calculate], always: true, max_rounds: 2}");
    for stream in [false, true] {
        let before = upstream.requests().len();
        let body = chat("openai/gpt-4o-mini", "Hi");
        let answer = gateway.post(CHAT, &if stream { streamed(body) } else { body });
        let text = answer.text();
        assert_eq!(answer.status(), 200, "{text}");
        assert!(text.contains("\"finish_reason\":\"stop\"") && !text.contains("call_1"), "{text}");
        let sent = upstream.requests().split_off(before);
        assert_eq!(sent.len(), 3, "{text}");
        assert_eq!(sent[2].json()["tool_choice"], "none");
    }
}

#[test]
fn a_turn_with_calls_of_both_is_the_clients_and_comes_back_whole() {
    let upstream = model(BOTH);
    let gateway = gateway(&upstream, ALWAYS);
    let tool = json!({"type": "function", "function": {"name": "client_tool", "parameters": {"type": "object"}}});
    for provider in ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"] {
        for stream in [false, true] {
            let first = with(chat(provider, "Both."), json!({"tools": [tool]}));
            let answer = gateway.post(CHAT, &if stream { streamed(first.clone()) } else { first.clone() });
            let text = answer.text();
            assert!(text.contains("client_tool") && !text.contains("expression"), "{text}");
            let id = text.split('"').find(|piece| piece.contains("-weirtool1-")).unwrap_or_else(|| panic!("{text}"));
            let call =
                json!({"id": id, "type": "function", "function": {"name": "client_tool", "arguments": "{\"a\":1}"}});
            let turns = json!([
                {"role": "user", "content": "Both."},
                {"role": "assistant", "content": "Let me see. ", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": id, "content": "the client's result"},
            ]);
            let next = with(first, json!({"messages": turns}));
            let answer = gateway.post(CHAT, &next);
            assert!(answer.text().contains("It is 42."), "{}", answer.text());
            let told = sent_text(upstream.requests().last().unwrap());
            for piece in ["the client's result", "6 * 7", "42", "call_c", "call_e"] {
                assert!(told.contains(piece), "{piece} in {told}");
            }
            assert!(!told.contains("weirtool1"), "{told}");
        }
    }
}

#[test]
fn a_tool_that_fails_is_the_models_to_know() {
    let upstream = model(Script { calls: &[("call_1", TOOL, "{\"expression\":\"1 / 0\"}")] });
    let gateway = gateway(&upstream, ALWAYS);
    let answer = gateway.post(CHAT, &chat("anthropic/claude-sonnet-4-5", "Divide."));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["weir_tools_executed"][0]["is_error"], true);
    assert!(sent_text(upstream.requests().last().unwrap()).contains("\"is_error\":true"));
}

#[test]
fn a_provider_that_fails_in_a_later_round_is_told_in_the_clients_format() {
    let upstream = Upstream::start(|request, conn| match sent_text(request).contains("\"role\":\"tool\"") {
        true => conn.json(500, "{\"error\":{\"message\":\"broken\"}}"),
        false if request.json()["stream"] == json!(true) => chat_stream(conn, "Let me see. ", OWN.calls),
        false => conn.json(200, &openai("Let me see. ", OWN.calls)),
    });
    let gateway = gateway(&upstream, ALWAYS);
    let body = chat("openai/gpt-4o-mini", "Hi");
    let answer = gateway.post(CHAT, &body);
    assert_eq!(answer.status(), 502, "{}", answer.text());
    let text = gateway.post(CHAT, &streamed(body)).text();
    assert!(text.contains("Let me see. ") && text.contains("\"error\""), "{text}");
    let row = gateway.record(2);
    assert_eq!(row["outcome"], "upstream_cut");
}

/// The same requests for streams, with those whose answer has another frame: kept by its provider, and an array.
fn streams(model: &str) -> Vec<(String, Value)> {
    let mut all = requests(model, true).to_vec();
    all.push(("/v1/responses".to_owned(), streamed(json!({"model": model, "input": "What is six times seven?"}))));
    let (path, body) = all[3].clone();
    all.push((path.replace("?alt=sse", ""), body));
    all
}

/// A stream of two rounds as one answer, to its proper end.
fn check_whole(path: &str, text: &str) {
    assert!(text.contains("Let me see. ") && text.contains("It is 42.") && says_total(text), "{path}: {text}");
    assert!(!text.contains("call_1") && !text.contains("\"error\":{"), "{path}: {text}");
    let sse = |client| assemble(client, text);
    let executed =
        |told: &Value| assert_eq!((&told[0]["name"], &told[0]["round"]), (&json!(TOOL), &json!(1)), "{text}");
    match path {
        CHAT => {
            let finish = text.lines().find(|line| line.contains("\"finish_reason\":\"stop\"")).unwrap();
            let finish: Value = serde_json::from_str(finish.strip_prefix("data: ").unwrap()).unwrap();
            executed(&finish["weir_tools_executed"]);
            assert_eq!(sse(Dialect::OpenAiChat)["choices"][0]["message"]["content"], "Let me see. It is 42.");
        }
        MESSAGES => assert_eq!(sse(Dialect::Anthropic)["stop_reason"], "end_turn"),
        "/v1/responses" => {
            assert_eq!(text.matches("weir_tools_executed").count(), 1, "at its end only: {text}");
            let response = sse(Dialect::Responses);
            executed(&response["weir_tools_executed"]);
            assert_eq!(response["status"], "completed");
        }
        _ if path.contains("alt=sse") => _ = sse(Dialect::Gemini),
        _ => assert!(serde_json::from_str::<Vec<Value>>(text).is_ok(), "{text}"),
    }
}

#[test]
fn a_stream_in_any_frame_is_one_answer_of_two_rounds() {
    let upstream = model(OWN);
    let gateway = gateway(&upstream, ALWAYS);
    for provider in ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"] {
        for (path, body) in streams(provider) {
            check_whole(&path, &gateway.post(&path, &body).text());
        }
    }
}

fn kinds(record: &Value) -> Vec<String> {
    let tried = record["timeline"].as_array().unwrap().iter();
    tried.map(|it| format!("{} {}", it["provider"].as_str().unwrap(), it["kind"].as_str().unwrap())).collect()
}

#[test]
fn a_round_that_is_refused_within_a_stream_is_asked_again() {
    let upstream = Upstream::start(|request, conn| match was_told(request) && request.number % 3 == 1 {
        true => conn.json(503, "{\"error\":{\"message\":\"overloaded\"}}"),
        false => answer(OWN, request, conn),
    });
    let more = "defaults: {backoff: 10ms}";
    let tenant = format!("    edge_tools: {ALWAYS}\n");
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, &tenant, more));
    for (nth, (path, body)) in streams("openai/gpt-4o-mini").into_iter().enumerate() {
        check_whole(&path, &gateway.post(&path, &body).text());
        assert_eq!(upstream.requests().len(), 3 * (nth + 1));
        let record = gateway.record(nth + 1);
        assert_eq!(kinds(&record), ["openai first", "openai tools", "openai retry"]);
        assert_eq!(record["outcome"], "finished");
        assert!(record["timeline"][1].get("input_tokens").is_none(), "nobody charges for a refusal: {record}");
    }
}

#[test]
fn a_round_whose_provider_is_down_is_anothers() {
    let upstream = Upstream::start(|request, conn| match was_told(request) && !request.path.contains("messages") {
        true => conn.reset(),
        false => answer(OWN, request, conn),
    });
    let targets = "[{model: openai/gpt-4o-mini}, {model: anthropic/claude-sonnet-4-5}]";
    let more = format!("routes: {{r: {{strategy: fallback, targets: {targets}}}}}");
    let tenant = format!("    edge_tools: {ALWAYS}\n");
    for (path, body) in streams("r") {
        // A target that failed before would be left out.
        let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, &tenant, &more));
        check_whole(&path, &gateway.post(&path, &body).text());
        let record = gateway.record(1);
        assert_eq!(kinds(&record), ["openai first", "openai tools", "anthropic fallback"]);
        assert_eq!(record["provider"], "anthropic");
        assert!(sent_text(upstream.requests().last().unwrap()).contains("6 * 7"));
    }
}

/// A model that breaks off its second round after it has sent this.
fn breaking(sent: Value) -> Upstream {
    let number = AtomicUsize::new(0);
    Upstream::start(move |request, conn| {
        if !was_told(request) || number.fetch_add(1, Ordering::Relaxed) > 0 {
            return answer(OWN, request, conn);
        }
        conn.sse_head();
        conn.data(chunk(&sent, None));
        conn.close();
    })
}

#[test]
fn a_round_that_breaks_is_asked_again_unless_the_client_has_something_of_it() {
    let call = json!({"index": 0, "id": "call_2", "type": "function", "function": {"name": TOOL, "arguments": "{"}});
    let body = with(streamed(chat("openai/gpt-4o-mini", "Hi")), json!({"stream_options": {"include_usage": true}}));
    let more = "defaults: {backoff: 10ms, resend: true}";
    let tenant = format!("    edge_tools: {ALWAYS}\n");
    let start =
        |upstream: &Upstream| Gateway::start(&full_config("", upstream.address, upstream.address, &tenant, more));

    let upstream = breaking(json!({"role": "assistant", "tool_calls": [call]}));
    check_whole(CHAT, &start(&upstream).post(CHAT, &body).text());
    assert_eq!(upstream.requests().len(), 3);

    let upstream = breaking(json!({"role": "assistant", "content": "It is"}));
    let gateway = start(&upstream);
    let text = gateway.post(CHAT, &body).text();
    assert!(text.contains("Let me see. ") && text.contains("It is") && text.contains("\"error\""), "{text}");
    assert_eq!((upstream.requests().len(), &gateway.record(1)["outcome"]), (2, &json!("upstream_cut")));
}
