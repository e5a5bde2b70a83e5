//! The Responses format, to upstreams of its own and of other formats.

use serde_json::{Value, json};

use crate::ask::with;
use crate::support::gateway::{Gateway, PROVIDER_KEY, full_config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

const RESPONSES: &str = "/v1/responses";

/// An upstream of its own format, one of Anthropic's, one of Chat Completions.
const PROVIDERS: [&str; 3] = ["openai", "anthropic", "plain"];

fn gateway(sim: &Simulated) -> Gateway {
    let plain = format!(
        "  plain: {{kind: openai-compatible, base_url: \"http://{}/v1\", api_key: \"{PROVIDER_KEY}\"}}\ntenants:",
        sim.address
    );
    Gateway::start(&full_config("", sim.address, sim.address, "", "").replacen("tenants:", &plain, 1))
}

fn ask(model: &str, input: impl Into<Value>) -> Value {
    json!({"model": model, "input": input.into()})
}

fn sent(sim: &Simulated) -> Value {
    serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap()
}

fn said(answer: &Value) -> &str {
    let items = answer["output"].as_array().unwrap();
    let message = items.iter().find(|item| item["type"] == "message").unwrap_or_else(|| panic!("{answer}"));
    message["content"][0]["text"].as_str().unwrap()
}

/// The last event's answer of a stream whose grammar holds.
fn streamed(gateway: &Gateway, body: &Value) -> Value {
    let answer = gateway.post(RESPONSES, &with(body.clone(), json!({"stream": true})));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    crate::items::assemble(&answer.text())
}

fn function(name: &str) -> Value {
    json!({"type": "function", "name": name, "description": "A tool.", "strict": false, "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}})
}

#[test]
fn every_provider_answers_whole_and_streamed() {
    let sim = Simulated::start();
    let gateway = gateway(&sim);
    for provider in PROVIDERS {
        let body = with(ask(&format!("{provider}/sim-1"), "one two three"), json!({"instructions": "be brief"}));
        let answer = gateway.post(RESPONSES, &body);
        assert_eq!(answer.status(), 200, "{provider}: {}", answer.text());
        for answer in [answer.json(), streamed(&gateway, &body)] {
            assert_eq!(said(&answer), "You said: one two three", "{provider}");
            assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
            assert_eq!(answer["instructions"], "be brief", "{provider}");
            assert_eq!((&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]), (&json!(5), &json!(5)));
            assert!(answer["id"].as_str().unwrap().starts_with("resp_"), "{answer}");
        }
    }
}

#[test]
fn calls_go_round_with_every_provider() {
    let sim = Simulated::start();
    let gateway = gateway(&sim);
    for provider in PROVIDERS {
        let model = format!("{provider}/sim-1");
        let tools = json!({"tools": [function("get_weather"), function("get_time")]});
        let body = with(ask(&model, "get_weather Oslo and get_time Rome"), tools.clone());
        for answer in [gateway.post(RESPONSES, &body).json(), streamed(&gateway, &body)] {
            let calls: Vec<&Value> =
                answer["output"].as_array().unwrap().iter().filter(|i| i["type"] == "function_call").collect();
            assert_eq!(calls.len(), 2, "{provider}: {answer}");
            let mut input = vec![json!({"role": "user", "content": "get_weather Oslo and get_time Rome"})];
            input.extend(calls.iter().map(|call| (*call).clone()));
            for call in &calls {
                input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": call["name"]}));
            }
            let next = gateway.post(RESPONSES, &with(ask(&model, input), tools.clone()));
            assert_eq!(next.status(), 200, "{provider}: {}", next.text());
            assert_eq!(said(&next.json()), "The tools answered: get_weather; get_time", "{provider}");
        }
    }
}

#[test]
fn the_form_of_the_answer_crosses() {
    let sim = Simulated::start();
    let gateway = gateway(&sim);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    for provider in PROVIDERS {
        let form =
            json!({"text": {"format": {"type": "json_schema", "name": "place", "strict": true, "schema": schema}}});
        let answer = gateway.post(RESPONSES, &with(ask(&format!("{provider}/sim-1"), "Oslo"), form));
        assert_eq!(answer.status(), 200, "{provider}: {}", answer.text());
        let value: Value = serde_json::from_str(said(&answer.json())).unwrap();
        assert!(value["city"].is_string(), "{provider}: {value}");
    }
}

#[test]
fn a_bound_makes_the_answer_incomplete() {
    let sim = Simulated::start();
    let gateway = gateway(&sim);
    for provider in PROVIDERS {
        let body = with(ask(&format!("{provider}/sim-1"), "count to 90"), json!({"max_output_tokens": 20}));
        for answer in [gateway.post(RESPONSES, &body).json(), streamed(&gateway, &body)] {
            assert_eq!(answer["status"], "incomplete", "{provider}");
            assert_eq!(answer["incomplete_details"]["reason"], "max_output_tokens");
        }
    }
}

#[test]
fn what_a_provider_keeps_is_refused_where_it_keeps_nothing() {
    let sim = Simulated::start();
    let gateway = gateway(&sim);
    for (member, value) in [("previous_response_id", json!("resp_1")), ("conversation", json!("conv_1"))] {
        for provider in ["anthropic", "plain"] {
            let answer = gateway.post(RESPONSES, &with(ask(&format!("{provider}/sim-1"), "x"), json!({member: value})));
            assert_eq!(answer.status(), 400, "{provider} {member}");
            assert_eq!(answer.json()["error"]["param"], member, "{}", answer.text());
        }
    }
    let answer = gateway.post(RESPONSES, &with(ask("anthropic/sim-1", "x"), json!({"background": true})));
    assert_eq!((answer.status(), answer.json()["error"]["param"].as_str()), (400, Some("background")));
    // Nothing is lost in silence.
    let answer = gateway.post(RESPONSES, &with(ask("anthropic/sim-1", "x"), json!({"truncation": "auto"})));
    assert_eq!((answer.status(), answer.header("x-weir-dropped")), (200, "truncation"));
}

#[test]
fn failures_have_the_formats_shape() {
    let sim = Simulated::start();
    let gateway = gateway(&sim);
    for provider in PROVIDERS {
        let answer = gateway.post(RESPONSES, &ask(&format!("{provider}/sim-error-400"), "x"));
        assert_eq!(answer.status(), 400, "{provider}: {}", answer.text());
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("simulated"), "{provider}");
        // Nothing was sent yet: an error is an answer.
        let early =
            gateway.post(RESPONSES, &with(ask(&format!("{provider}/sim-stream-error"), "x"), json!({"stream": true})));
        assert!(early.status() >= 500, "{provider}: {} {}", early.status(), early.text());
    }
    for provider in ["anthropic", "plain"] {
        let body = ask(&format!("{provider}/sim-stream-midstream-error"), "one two three four five six");
        let failed = streamed(&gateway, &body);
        assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("server_error")));
        let cut = streamed(&gateway, &ask(&format!("{provider}/sim-stream-cut"), "one two three four five six"));
        assert_eq!(cut["status"], "failed", "{provider}");
    }
    let answer = gateway.post(RESPONSES, &json!({"model": "openai/sim-1", "input": 7}));
    assert_eq!(answer.status(), 400, "{}", answer.text());
}

/// Codex: tools in a namespace, free-text tools, thinking it may not read, and members of its own.
#[test]
fn codex_works_on_an_anthropic_upstream() {
    let sim = Simulated::start();
    let gateway = gateway(&sim);
    let body = json!({
        "model": "anthropic/sim-1", "instructions": "You are an agent.", "stream": true, "store": false,
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "permissions"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "apply_patch and web__open"}]},
        ],
        "tools": [
            {"type": "custom", "name": "apply_patch", "description": "Edits.", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
            {"type": "namespace", "name": "web", "description": "The web.", "tools": [function("open")]},
            {"type": "web_search", "external_web_access": false},
        ],
        "tool_choice": "auto", "parallel_tool_calls": true,
        "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199", "text": {"verbosity": "low"}, "client_metadata": {"x": "y"},
    });
    let answer = gateway.post(RESPONSES, &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let done = crate::items::assemble(&answer.text());
    let calls: Vec<&Value> =
        done["output"].as_array().unwrap().iter().filter(|i| i["type"].as_str().unwrap().ends_with("_call")).collect();
    assert_eq!((&calls[0]["type"], &calls[0]["name"]), (&json!("custom_tool_call"), &json!("apply_patch")), "{done}");
    assert!(calls[0]["input"].is_string());
    assert_eq!((&calls[1]["namespace"], &calls[1]["name"]), (&json!("web"), &json!("open")), "{done}");
    let request = sent(&sim);
    assert_eq!(request["tools"][0]["input_schema"]["properties"]["input"]["type"], "string", "{request}");
    assert_eq!(request["tools"].as_array().unwrap().len(), 2, "{request}");
    assert!(request["system"].to_string().contains("permissions"), "{request}");
}

#[test]
fn chat_and_messages_clients_reach_an_upstream_that_speaks_only_responses() {
    let upstream = Upstream::json(
        200,
        json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "created_at": 5,
            "output": [
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "xyz"},
                {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
            "usage": {"input_tokens": 3, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}}})
        .to_string(),
    );
    let config = full_config("", upstream.address, upstream.address, "", "").replacen(
        "openai: {",
        "openai: {api: responses, ",
        1,
    );
    let gateway = Gateway::start(&config);
    for (path, body) in crate::ask::both("openai/m", "hi") {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(crate::ask::text(&answer.json()), "Hi", "{path}");
    }
    assert!(upstream.requests().iter().all(|request| request.path == "/v1/responses"));
}

/// The newest SDKs require it, and most providers do not say.
#[test]
fn what_was_written_to_a_cache_is_in_every_usage() {
    let usage = r#"{"input_tokens":7,"input_tokens_details":{"cached_tokens":2},"output_tokens":3,"total_tokens":10}"#;
    let answer = format!(r#"{{"id":"resp_1","object":"response","status":"completed","output":[],"usage":{usage}}}"#);
    let told = answer.replace("{\"cached", "{\"cache_write_tokens\":0,\"cached");
    let event = |answer: &str| {
        format!("event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{answer}}}\n\n")
    };
    let streamed = event(&answer);
    let upstream = Upstream::start(move |request, conn| match request.json()["stream"].as_bool() {
        Some(true) => {
            conn.sse_head();
            conn.chunk(&streamed);
            conn.end();
        }
        _ => conn.json(200, &answer),
    });
    let gateway = Gateway::with(upstream.address);
    let body = with(ask("openai/gpt-5", "hi"), json!({"store": false}));
    assert_eq!(gateway.post(RESPONSES, &body).text(), told);
    assert_eq!(gateway.post(RESPONSES, &with(body, json!({"stream": true}))).text(), event(&told));
}

/// A turn that Claude answered leaves a seal in the conversation. OpenAI must not see it, and all else is as the
/// client sent it; what OpenAI says goes on as it came.
#[test]
fn what_another_provider_sealed_leaves_the_rest_of_a_conversation_as_it_was() {
    let thought = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
        "content": [{"type": "thinking", "thinking": "T", "signature": "S"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}],
        "usage": {"input_tokens": 5, "output_tokens": 2}});
    let claude = Upstream::json(200, thought.to_string());
    let said = r#"{"id":"resp_1","object":"response","status":"completed","output":[{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"ENC"},{"id":"ws_1","type":"web_search_call","status":"completed"},{"id":"msg_1","type":"message","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"hi","annotations":[],"logprobs":[]}]}],"usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":1,"total_tokens":2},"new":1e400}"#;
    let openai = Upstream::json(200, said);
    let gateway = Gateway::start(&full_config("", openai.address, claude.address, "", ""));
    let question = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi", "prompt_cache_breakpoint": true}]});
    let extra = json!({"store": false, "include": ["reasoning.encrypted_content"], "instructions": "be brief", "tools": [
        {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "x", "parameters": {}}]},
        {"type": "function", "name": "f", "parameters": {}}]});
    let ask = |model: &str, input: &[Value]| with(json!({"model": model, "input": input}), extra.clone());

    let first = gateway.post(RESPONSES, &ask("anthropic/claude-sonnet-4-5", std::slice::from_ref(&question)));
    let items = first.json()["output"].as_array().unwrap().clone();
    let (sealed, call) = (&items[0], &items[1]);
    assert!(sealed["encrypted_content"].as_str().unwrap().starts_with("weirseal1-"), "{sealed}");
    let later = [
        call.clone(),
        json!({"type": "function_call_output", "call_id": call["call_id"], "output": "r"}),
        json!({"type": "reasoning", "id": "rs_0", "summary": [], "encrypted_content": "ENC0"}),
        json!({"type": "message", "id": "msg_0", "status": "completed", "phase": "commentary", "role": "assistant",
            "content": [{"type": "output_text", "text": "a", "annotations": [], "logprobs": []}, {"type": "output_text", "text": "b", "annotations": []}]}),
        json!({"type": "function_call", "id": "fc_0", "call_id": "call_0", "namespace": "n", "name": "x", "arguments": "{}", "status": "completed"}),
        json!({"type": "function_call_output", "call_id": "call_0", "output": [{"type": "input_text", "text": "r", "new": 1}]}),
    ];
    let conversation: Vec<Value> = [&question, sealed].into_iter().chain(&later).cloned().collect();
    let answer = gateway.post(RESPONSES, &ask("openai/gpt-5", &conversation));
    assert_eq!((answer.status(), answer.text().as_str()), (200, said), "{}", answer.text());
    assert_eq!(answer.head.find("x-weir-dropped"), None);
    let seen = openai.request().json();
    let kept: Vec<Value> = std::iter::once(&question).chain(&later).cloned().collect();
    assert_eq!(seen["input"], Value::Array(kept));
    for name in ["store", "include", "instructions", "tools"] {
        assert_eq!(seen[name], extra[name], "{name}");
    }
}

/// A word that looks like a seal is none, and changes nothing.
#[test]
fn a_request_in_which_nothing_has_to_change_keeps_its_bytes() {
    let openai = Upstream::json(200, r#"{"id":"resp_1","output":[],"usage":null}"#);
    let gateway = Gateway::with(openai.address);
    let body = r#"{"model": "openai/gpt-5", "input": "what is weirseal1-?",  "include": [], "new": 1e400}"#;
    let answer = gateway
        .client()
        .request("POST", RESPONSES, &[("x-api-key", crate::support::gateway::KEY)], body.as_bytes())
        .answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let seen = String::from_utf8(openai.request().body).unwrap();
    assert_eq!(seen, body.replace("openai/gpt-5", "gpt-5"));
}
