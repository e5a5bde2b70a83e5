//! Compression from outside: who gets it, what the provider sees, what is told of it.

use serde_json::{Value, json};
use weir::compress::fold::{is_folded, unfold};

use crate::ask::{CHAT, chat_answer, streamed, with};
use crate::support::gateway::{Gateway, KEY, full_config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

fn noise() -> String {
    "retrying connection to redis:6379 (refused)\n".repeat(60)
}

/// A conversation in which a command wrote a lot.
fn agent(model: &str) -> Value {
    json!({"model": model, "messages": [
        {"role": "user", "content": noise()},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "Bash", "arguments": "{\"command\":\"./run-workers.sh\"}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": noise()}],
        "tools": [{"type": "function", "function": {"name": "Bash", "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}}]})
}

/// A tenant with these settings, beside its keys.
fn gateway(upstream: &Upstream, tenant: &str) -> Gateway {
    Gateway::start(&full_config("", upstream.address, upstream.address, tenant, ""))
}

fn upstream() -> Upstream {
    Upstream::start(|_, conn| conn.json(200, &chat_answer("ok")))
}

/// What the provider was told that the tool gave back.
fn seen(upstream: &Upstream) -> String {
    upstream.requests().last().unwrap().json()["messages"][2]["content"].as_str().unwrap().to_owned()
}

#[test]
fn it_is_off_unless_somebody_asks_for_it() {
    let upstream = upstream();
    let gateway = Gateway::with(upstream.address);
    let answer = gateway.call_with("POST", CHAT, &[("x-weir-compression", "lossy")], &agent("openai/gpt-4o-mini"));
    assert_eq!((answer.status(), answer.header("x-weir-compression")), (200, ""), "{}", answer.text());
    assert_eq!(seen(&upstream), noise());
    assert!(gateway.record(1).get("compression_saved_tokens").is_none());
}

#[test]
fn what_tools_gave_back_is_folded_and_that_is_told() {
    let upstream = upstream();
    let gateway = gateway(&upstream, "    compression: {}");
    let answer = gateway.post(CHAT, &agent("openai/gpt-4o-mini"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let folded = seen(&upstream);
    assert!(is_folded(&folded) && unfold(&folded).unwrap() == noise(), "{folded}");
    assert_eq!(upstream.request().json()["messages"][0]["content"], json!(noise()), "what a user said");
    let told = answer.header("x-weir-compression").to_owned();
    let saved = told.strip_prefix("saved=").and_then(|told| told.strip_suffix("; strategies=repeats")).unwrap();
    let saved: u64 = saved.parse().unwrap();
    assert!(saved > 100, "{told}");
    assert!(answer.json().get("compression").is_none(), "nobody asked for the member");
    let record = gateway.record(1);
    assert_eq!(
        (&record["compression_saved_tokens"], &record["compression_strategies"]),
        (&json!(saved), &json!("repeats"))
    );
    let labels = ["tenant=\"acme\"", "strategy=\"repeats\""];
    assert_eq!(gateway.metric("weir_compression_saved_tokens_total", &labels), saved as f64);
    assert_eq!(gateway.metric("weir_compression_seconds_count", &[]), 1.0);
    let id = answer.header("x-request-id").to_owned();
    let row = gateway.admin("GET", &format!("/admin/v1/requests/{id}")).json();
    assert_eq!(row["compression_saved_tokens"], json!(saved));
}

#[test]
fn a_request_may_ask_for_less_and_for_an_account_of_it() {
    let upstream = upstream();
    let gateway = gateway(&upstream, "    compression: {}");
    let ask =
        |word: &str| gateway.call_with("POST", CHAT, &[("x-weir-compression", word)], &agent("openai/gpt-4o-mini"));
    let answer = ask("off");
    assert_eq!((answer.status(), answer.header("x-weir-compression")), (200, ""));
    assert_eq!(seen(&upstream), noise());
    let answer = ask("lossy");
    let told = answer.json()["compression"].clone();
    assert_eq!(told["strategies"], json!(["repeats"]), "{told}");
    assert!(told["saved_tokens"].as_u64().unwrap() > 100 && told["reduction"].as_f64().unwrap() > 0.1, "{told}");
    assert!(told["cost_savings_usd"].as_f64().unwrap() > 0.0 && told["time_ms"].is_f64(), "{told}");
    let answer = ask("everything");
    assert_eq!(answer.status(), 400, "{}", answer.text());
}

#[test]
fn keys_come_before_routes_and_routes_before_tenants() {
    let upstream = upstream();
    let routes = "routes:\n  plain: {targets: [{model: openai/gpt-4o-mini}], compression: {lossless: false}}\n";
    let second = "wk-second-key-canary-77aa";
    let keys = format!("      - {{id: acme-agent, secret: \"{second}\", compression: {{}}}}\n    compression: {{}}");
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, &keys, routes));
    let told = |key: &str, model: &str| {
        let bearer = format!("Bearer {key}");
        let body = agent(model).to_string();
        let answer = gateway.client().request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).answer();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        !answer.header("x-weir-compression").is_empty()
    };
    assert!(told(KEY, "openai/gpt-4o-mini"), "the tenant's");
    assert!(!told(KEY, "plain"), "the route's");
    assert!(told(second, "plain"), "the key's");
}

#[test]
fn all_attempts_send_the_same() {
    let failing = || Upstream::start(|_, conn| conn.json(500, "{}"));
    let (one, other) = (failing(), failing());
    let routes = "routes:\n  fast: {targets: [{model: openai/gpt-4o-mini}, {model: anthropic/claude-haiku-4-5}]}\n";
    let gateway = Gateway::start(&full_config("", one.address, other.address, "    compression: {}", routes));
    let answer = gateway.post(CHAT, &with(agent("fast"), json!({"max_tokens": 64})));
    assert!(answer.status() >= 500 && answer.header("x-weir-compression").starts_with("saved="), "{}", answer.text());
    let texts = |upstream: &Upstream, path: &str| {
        let requests = upstream.requests();
        requests.iter().map(|r| r.json().pointer(path).unwrap().clone()).collect::<Vec<_>>()
    };
    let mut all = texts(&one, "/messages/2/content");
    all.extend(texts(&other, "/messages/2/content/0/content"));
    let text = |it: &Value| it.as_str().or_else(|| it[0]["text"].as_str()).unwrap().to_owned();
    assert!(all.len() > 1 && all.iter().all(|it| is_folded(&text(it)) && text(it) == text(&all[0])), "{all:?}");
}

#[test]
fn streams_tell_of_it_in_their_head() {
    let sim = Simulated::start();
    let gateway = Gateway::start(&full_config("", sim.address, sim.address, "    compression: {}", ""));
    let mut client = gateway.client();
    let (bearer, body) = (format!("Bearer {KEY}"), streamed(agent("openai/gpt-4o-mini")).to_string());
    let headers = [("authorization", bearer.as_str()), ("x-weir-compression", "lossless")];
    let head = client.request("POST", CHAT, &headers, body.as_bytes()).head();
    assert_eq!(head.status, 200, "{head:?}");
    assert!(head.header("x-weir-compression").ends_with("; strategies=repeats"), "{head:?}");
}

#[test]
fn a_body_can_be_compressed_without_asking_a_model() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let message = json!({"model": "anthropic/claude-haiku-4-5", "max_tokens": 7, "system": noise(), "x": 1e300, "messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "./run"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": noise()}]}]});
    for (body, path) in [
        (agent("openai/gpt-4o-mini"), "/messages/2/content"),
        (message, "/messages/1/content/0/content"),
        (
            json!({"model": "openai/gpt-4o-mini", "input": [{"type": "function_call_output", "call_id": "c", "output": noise()}]}),
            "/input/0/output",
        ),
        (
            json!({"model": "openai/gpt-4o-mini", "contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"output": noise()}}}]}]}),
            "/contents/0/parts/0/functionResponse/response/output",
        ),
    ] {
        let answer = gateway.post("/v1/compress", &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let mut out = answer.json();
        let told = out.as_object_mut().unwrap().remove("compression").unwrap();
        assert_eq!(told["strategies"], json!(["repeats"]), "{told}");
        let reduction = told["reduction"].as_f64().unwrap();
        assert!(reduction > 0.0 && reduction <= 1.0, "{told}");
        let text = out.pointer(path).unwrap().as_str().unwrap().to_owned();
        assert_eq!(unfold(&text).as_deref(), Some(&*noise()));
        *out.pointer_mut(path).unwrap() = json!(noise());
        assert_eq!(out, body, "everything else is as it was");
    }
    let answer = gateway.post("/v1/compress", &json!({"model": "openai/gpt-4o-mini", "messages": []}));
    assert_eq!(answer.json()["compression"]["saved_tokens"], json!(0), "{}", answer.text());
    assert!(sim.log().is_empty(), "no model was asked");
    let body = agent("openai/gpt-4o-mini").to_string();
    assert_eq!(gateway.client().request("POST", "/v1/compress", &[], body.as_bytes()).answer().status(), 401);
}

#[test]
fn what_was_left_out_can_be_had_again_by_its_own_tenant() {
    let upstream = upstream();
    let other = "wk-other-tenant-canary-31";
    let tools = "    edge_tools: {tools: [weir_original]}\n";
    let tenant = format!(
        "    compression: {{lossless: false, lossy: true}}\n{tools}  other:\n    keys: [{{id: other-dev, secret: \"{other}\"}}]\n{tools}"
    );
    let gateway = gateway(&upstream, &tenant);
    let log: String = (0..2_000).map(|n| format!("2027-01-01T00:00:{:02}Z worker {n} did its job\n", n % 60)).collect();
    let mut body = agent("openai/gpt-4o-mini");
    body["messages"][1]["tool_calls"][0]["function"]["arguments"] = json!("{\"command\":\"docker logs web\"}");
    body["messages"][2]["content"] = json!(log);
    let answer = gateway.post(CHAT, &body);
    assert!(answer.header("x-weir-compression").ends_with("strategies=shortened"), "{}", answer.text());
    let shortened = seen(&upstream);
    let handle = shortened.split("kept as ").nth(1).and_then(|rest| rest.strip_suffix(']')).unwrap();
    let original = |key: &str| {
        let params = json!({"name": "weir_original", "arguments": {"handle": handle}});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let bearer = format!("Bearer {key}");
        let answer = gateway.client().request("POST", "/mcp", &[("authorization", &bearer)], call.as_bytes()).answer();
        answer.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    };
    let (text, rest) =
        original(KEY).rsplit_once("[cut off").map(|(text, rest)| (text.to_owned(), rest.to_owned())).unwrap();
    assert!(log.starts_with(&text) && text.len() > 50_000, "{rest}");
    assert!(original(other).starts_with("Nothing is kept by that name"));
}

/// A conversation of nine rounds with one tool, of a list of three.
fn long_agent(model: &str) -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "description": "It does what it says. ".repeat(20), "parameters": {"type": "object"}}});
    let mut messages = vec![json!({"role": "user", "content": "go on"})];
    for n in 0..9 {
        let id = format!("call_{n}");
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": {"name": "Bash", "arguments": "{}"}}]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": "ok"}));
    }
    json!({"model": model, "tools": [tool("Write"), tool("Bash"), tool("weir_uuid")], "messages": messages})
}

#[test]
fn tools_that_nothing_names_are_left_out_where_that_is_asked_for() {
    let upstream = upstream();
    let names = || -> Vec<String> {
        let tools = upstream.requests().last().unwrap().json()["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let trims = "    compression: {lossless: false, trim_tools: true}\n";
    {
        let gateway = gateway(&upstream, trims);
        let body = long_agent("openai/gpt-4o-mini");
        let answer = gateway.post(CHAT, &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let told = answer.header("x-weir-compression").to_owned();
        let saved = told.strip_prefix("saved=").and_then(|told| told.strip_suffix("; strategies=trim_tools")).unwrap();
        assert!(saved.parse::<u64>().unwrap() > 100, "{told}");
        assert_eq!(names(), ["Bash"]);
        assert_eq!(upstream.requests().last().unwrap().json()["messages"], body["messages"], "all else is as it was");
        let record = gateway.record(1);
        assert_eq!(record["compression_strategies"], json!("trim_tools"));
        let labels = ["tenant=\"acme\"", "strategy=\"trim_tools\""];
        assert!(gateway.metric("weir_compression_saved_tokens_total", &labels) > 100.0);
        for word in ["lossless", "off"] {
            gateway.call_with("POST", CHAT, &[("x-weir-compression", word)], &body);
            assert_eq!(names(), ["Write", "Bash", "weir_uuid"], "{word}");
        }
        let forced = with(body.clone(), json!({"tool_choice": "required"}));
        assert_eq!(gateway.post(CHAT, &forced).header("x-weir-compression"), "saved=0; strategies=");
        let out = gateway.post("/v1/compress", &body).json();
        assert_eq!(out["compression"]["strategies"], json!(["trim_tools"]), "{out}");
        assert_eq!(out["tools"].as_array().unwrap().len(), 1);
    }
    // Else a call would be the gateway's to run that was the client's.
    let gateway = gateway(&upstream, &format!("{trims}    edge_tools: {{tools: [weir_uuid], always: true}}\n"));
    assert_eq!(gateway.post(CHAT, &long_agent("openai/gpt-4o-mini")).status(), 200);
    assert_eq!(names(), ["Bash", "weir_uuid"]);
    let own = &upstream.requests().last().unwrap().json()["tools"][1]["function"]["description"];
    assert!(own.as_str().unwrap().starts_with("It does what it says."), "{own}");
}

#[test]
fn marks_for_a_prompt_cache_are_set_where_the_client_set_none() {
    let upstream = Upstream::start(|_, conn| {
        let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "ok"}], "usage": {"input_tokens": 3, "output_tokens": 1}});
        conn.json(200, &answer.to_string());
    });
    let gateway = gateway(&upstream, "    compression: {lossless: false, prompt_cache: true}");
    let long = "a word and another ".repeat(400);
    let body = json!({"model": "anthropic/claude-haiku-4-5", "max_tokens": 9, "system": long, "messages": [{"role": "user", "content": "hi"}]});
    let answer = gateway.post("/v1/messages", &body);
    assert_eq!(
        (answer.status(), answer.header("x-weir-compression")),
        (200, "saved=0; strategies=prompt_cache"),
        "{}",
        answer.text()
    );
    let mark = json!({"type": "ephemeral"});
    let seen = upstream.requests().last().unwrap().json();
    assert_eq!(
        (&seen["system"][0]["cache_control"], &seen["messages"][0]["content"][0]["cache_control"]),
        (&mark, &mark)
    );
    let short = json!({"model": "anthropic/claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.post("/v1/messages", &short).header("x-weir-compression"), "", "nobody keeps so little");
    let answer = gateway.call_with("POST", "/v1/messages", &[("x-weir-compression", "off")], &body);
    assert_eq!((answer.status(), answer.header("x-weir-compression")), (200, ""));
    assert_eq!(upstream.requests().last().unwrap().json()["system"], json!(long));
}
