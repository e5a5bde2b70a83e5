//! The admin API: endpoints by hand, and the requests that were.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::ask::{CHAT, chat, chat_answer, chunk, sse, streamed};
use crate::routing::timeline;
use crate::support::gateway::{Gateway, config, full_config};
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens, until};

/// A provider `lab` with the endpoints `lab#a` and `lab#b` at these addresses.
pub(crate) fn fleet(a: SocketAddr, b: SocketAddr, more: &str) -> String {
    let nobody = Upstream::nobody();
    let lab = format!(
        "  lab:\n    kind: vllm\n    base_url: \"http://{a}\"\n{more}    endpoints: [{{id: a}}, {{id: b, base_url: \"http://{b}\"}}]\ntenants:"
    );
    full_config("", nobody, nobody, "", "defaults: {backoff: 1ms}\n").replace("tenants:", &lab)
}

fn endpoint(gateway: &Gateway, id: &str) -> Value {
    let all = gateway.admin("GET", "/admin/v1/providers").json();
    let endpoints = all["data"].as_array().unwrap().iter().flat_map(|p| p["endpoints"].as_array().unwrap());
    endpoints.into_iter().find(|e| e["id"] == id).cloned().unwrap_or_else(|| panic!("no {id} in {all}"))
}

/// Asks with conversations that belong everywhere.
pub(crate) fn ask_many(gateway: &Gateway, from: usize) {
    for nth in from..from + 12 {
        let answer = gateway.post(CHAT, &chat("lab/m", &format!("question {nth}")));
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
}

#[test]
fn a_drained_endpoint_gets_no_request_until_it_is_put_back() {
    let (a, b) = (Upstream::json(200, chat_answer("a")), Upstream::json(200, chat_answer("b")));
    let mut config = fleet(a.address, b.address, "");
    let gateway = Gateway::start(&config);
    ask_many(&gateway, 0);
    let before = a.requests().len();
    assert!(before > 0 && !b.requests().is_empty(), "both serve");
    let drained = gateway.admin("POST", "/admin/v1/endpoints/lab%23a/drain");
    assert_eq!((drained.status(), drained.json()), (200, json!({"endpoint": "lab#a", "drained": true})));
    ask_many(&gateway, 100);
    assert_eq!(a.requests().len(), before, "nothing is sent there");
    assert_eq!(
        (&endpoint(&gateway, "lab#a")["state"], &endpoint(&gateway, "lab#b")["state"]),
        (&json!("drained"), &json!("good"))
    );
    let labels = ["endpoint=\"lab#a\"", "state=\"drained\""];
    assert_eq!(gateway.metric("weir_endpoint_state", &labels), 1.0);
    assert_eq!(gateway.metric("weir_endpoint_healthy", &labels[..1]), 0.0);
    assert_eq!(gateway.metric("weir_upstream_healthy", &["provider=\"lab\""]), 1.0);
    // A reload does not put it back.
    config += "\n# another\n";
    gateway.write_config(&config);
    assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    ask_many(&gateway, 200);
    assert_eq!(a.requests().len(), before);
    assert_eq!(gateway.admin("POST", "/admin/v1/endpoints/lab%23a/undrain").status(), 200);
    ask_many(&gateway, 300);
    assert!(a.requests().len() > before, "it serves again");
    assert_eq!(gateway.admin("POST", "/admin/v1/endpoints/lab/drain").status(), 404);
}

#[test]
fn the_last_requests_are_listed_with_their_attempts() {
    let bad = Upstream::json(500, r#"{"error":{"message":"no","type":"server_error"}}"#);
    let good = Upstream::json(200, chat_answer("ok"));
    let nobody = Upstream::nobody();
    let more = "routes: {fast: {strategy: fallback, targets: [{model: openai/gpt-4o-mini}, {model: anthropic/claude-haiku-4-5}]}}\n";
    // `anthropic` speaks Messages; a second OpenAI is what answers here.
    let config = full_config("", bad.address, nobody, "", more)
        .replace(
            "tenants:",
            &format!("  second: {{kind: openai, base_url: \"http://{}/v1\", api_key: k}}\ntenants:", good.address),
        )
        .replace("anthropic/claude-haiku-4-5", "second/gpt-4o-mini")
        .replace("access_log: stdout", "access_log: 'off'");
    let gateway = Gateway::start(&config);
    let mut ids = Vec::new();
    for model in ["fast", "second/gpt-4o-mini", "fast"] {
        let answer = gateway.post(CHAT, &chat(model, "hi"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        ids.push(answer.header("x-request-id").to_owned());
    }
    let list = |query: &str| gateway.admin("GET", &format!("/admin/v1/requests?{query}")).json();
    until("the records", || (list("")["data"].as_array().unwrap().len() == 3).then_some(()));
    let listed = |list: &Value| {
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|row| row["request_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&list("")), ids.iter().rev().cloned().collect::<Vec<_>>(), "newest first");
    let first = list("model=fast&limit=1");
    assert_eq!(listed(&first), [ids[2].clone()]);
    let second = list(&format!("model=fast&limit=1&cursor={}", first["next_cursor"].as_str().unwrap()));
    assert_eq!((listed(&second), &second["next_cursor"]), (vec![ids[0].clone()], &json!(null)));
    assert_eq!(listed(&list("tenant=nobody")), Vec::<String>::new());
    let one = gateway.admin("GET", &format!("/admin/v1/requests/{}", ids[0])).json();
    assert_eq!(timeline(&one), ["openai first failed", "second fallback ok"]);
    assert_eq!((&one["timeline"][0]["status"], &one["tenant"]), (&json!(500), &json!("acme")));
    let reason = |id: &str| gateway.admin("GET", &format!("/admin/v1/requests/{id}")).json()["route_reason"].clone();
    assert_eq!((reason(&ids[0]), reason(&ids[1])), (json!("fallback"), Value::Null), "there is no choice in one model");
    assert_eq!(gateway.admin("GET", "/admin/v1/requests/none").status(), 404);
    assert_eq!(gateway.admin("GET", "/admin/v1/requests?limit=none").status(), 400);
    assert_eq!(gateway.admin("POST", "/admin/v1/endpoints/openai/drain").status(), 200);
    let answer = gateway.post(CHAT, &chat("fast", "hi"));
    let again = answer.header("x-request-id");
    until("its record", || (reason(again) == "health").then_some(()));
    let chosen = ["route=\"fast\"", "provider=\"openai\""];
    assert_eq!(gateway.metric("weir_route_choices_total", &chosen), 2.0);
    let routes = gateway.admin("GET", "/admin/v1/routes").json();
    let target = &routes["data"][0]["targets"][0];
    assert_eq!(
        (&target["model"], &target["endpoints"][0]["fault_permille"]),
        (&json!("openai/gpt-4o-mini"), &json!(1_000))
    );
}

#[test]
fn a_line_before_an_endpoint_shows() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let waits = gate.clone();
    let slow = Upstream::start(move |_, conn| {
        waits.pass();
        conn.json(200, &chat_answer("ok"));
    });
    let nobody = Upstream::nobody();
    let config = full_config("", nobody, nobody, "", "").replace(
        "tenants:",
        &format!("  lab: {{kind: vllm, base_url: \"http://{}\", max_concurrency: 1}}\ntenants:", slow.address),
    );
    let gateway = Gateway::start(&config);
    std::thread::scope(|scope| {
        let asks: Vec<_> = (0..2).map(|_| scope.spawn(|| gateway.post(CHAT, &chat("lab/m", "hi")).status())).collect();
        let of = ["endpoint=\"lab\""];
        until("one to wait", || (gateway.metric("weir_endpoint_waiting", &of) == 1.0).then_some(()));
        assert_eq!(gateway.metric("weir_endpoint_places", &of), 1.0);
        assert_eq!(endpoint(&gateway, "lab")["state"], "full");
        gate.open();
        assert!(asks.into_iter().all(|ask| ask.join().unwrap() == 200));
    });
    until("both to be counted", || (gateway.metric("weir_queue_wait_seconds_count", &[]) == 2.0).then_some(()));
}

#[test]
fn signs_of_life_are_counted() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let waits = gate.clone();
    let slow = Upstream::start(move |_, conn| {
        waits.pass();
        conn.sse_head();
        conn.chunk(sse(&[chunk(&json!({"role": "assistant", "content": "x"}), None), chunk(&json!({}), Some("stop"))]));
        conn.end();
    });
    let gateway = Gateway::start(&config(slow.address, slow.address, "defaults: {keepalive: 1s}\n"));
    std::thread::scope(|scope| {
        let ask = scope.spawn(|| gateway.post(CHAT, &streamed(chat("openai/gpt-4o-mini", "hi"))).status());
        until("a sign of life", || (gateway.metric("weir_keepalives_total", &[]) >= 1.0).then_some(()));
        gate.open();
        assert_eq!(ask.join().unwrap(), 200);
    });
}
