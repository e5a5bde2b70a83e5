//! What the dashboard tries goes through the gateway as everybody's requests.

use serde_json::{Value, json};

use crate::ask::{chat, chunk, streamed};
use crate::keys::{admin, admin_as};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, KEY, config, new_dir};
use crate::support::h2::certificate;
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens};

const PATH: &str = "/admin/v1/playground";

fn trial(format: &str, key: &str, body: &Value) -> Value {
    json!({"format": format, "key": key, "body": body.to_string()})
}

#[test]
fn every_format_is_answered_by_the_gateway_and_recorded() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let hi = json!([{"role": "user", "content": "hi"}]);
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    for (format, body) in [
        ("chat", json!({"model": "openai/sim-1", "messages": hi})),
        ("messages", json!({"model": "openai/sim-1", "max_tokens": 99, "messages": hi})),
        ("responses", json!({"model": "openai/sim-1", "input": "hi"})),
        ("gemini", gemini),
    ] {
        let mut asked = trial(format, KEY, &body);
        asked["model"] = json!("openai/sim-1");
        let answer = admin(&gateway, "POST", PATH, &asked);
        assert_eq!((answer.status(), answer.header("x-weir-playground")), (200, "answer"), "{}", answer.text());
        assert!(!answer.header("x-request-id").is_empty() && answer.header("x-weir-provider") == "openai");
        assert!(answer.text().contains("You said: hi"), "{}", answer.text());
    }
    let records = gateway.wait_records(4);
    assert!(records.iter().all(|record| record["key_id"] == "acme-dev" && record["status"] == 200), "{records:?}");
    let actions = gateway.admin("GET", "/admin/v1/audit").json();
    assert_eq!(actions["data"].as_array().unwrap().iter().filter(|one| one["action"] == "playground.send").count(), 4);
    assert!(!actions.to_string().contains(KEY));
}

#[test]
fn what_the_gateway_refuses_is_passed_on_and_marked() {
    let nobody = Upstream::nobody();
    let gateway = Gateway::with(nobody);
    for (key, body, status) in [("wk-unknown", json!({}), 401), (KEY, json!({"model": "none", "messages": []}), 404)] {
        let answer = admin(&gateway, "POST", PATH, &trial("chat", key, &body));
        assert_eq!((answer.status(), answer.header("x-weir-playground")), (status, "answer"), "{}", answer.text());
    }
    let wrong = admin(&gateway, "POST", PATH, &trial("files", KEY, &json!({})));
    assert_eq!((wrong.status(), &wrong.json()["error"]["code"]), (400, &json!("invalid_trial")));
}

#[test]
fn a_stream_is_passed_on_as_it_comes() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let waits = gate.clone();
    let slow = Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": "first"}), None));
        waits.pass();
        conn.data(chunk(&json!({}), Some("stop")));
        conn.data("[DONE]");
        conn.end();
    });
    let gateway = Gateway::with(slow.address);
    let body = trial("chat", KEY, &streamed(chat("openai/gpt-4o-mini", "hi"))).to_string();
    let mut client = Client::connect(gateway.admin);
    client.request("POST", PATH, &[], body.as_bytes());
    let head = client.head();
    assert!(head.status == 200 && head.header("content-type").starts_with("text/event-stream"), "{head:?}");
    let mut events = client.events();
    assert!(events.next().unwrap().data.contains("first"), "before the provider has sent the rest");
    gate.open();
    assert_eq!(events.last().unwrap().data, "[DONE]");
}

#[test]
fn it_takes_the_role_and_a_listener_of_any_kind() {
    let sim = Simulated::start();
    let tokens = "admin:\n  token: root\n  tokens: [{name: v, role: viewer, token: look}, {name: a, role: tenant-admin, tenant: acme, token: own}]\n";
    let dir = new_dir();
    let (cert, key) = certificate(&dir);
    let tls = format!("listen: {{address: 127.0.0.1:0, cert: {}, key: {}}}", cert.display(), key.display());
    let config =
        config(sim.address, sim.address, "").replace("admin:\n", tokens).replacen("listen: 127.0.0.1:0", &tls, 1);
    let gateway = Gateway::start_in(dir, &config, &[]);
    let body = trial("chat", KEY, &chat("openai/sim-1", "hi"));
    for token in ["look", "own"] {
        assert_eq!(admin_as(&gateway, "POST", PATH, &body, token).status(), 403, "{token}");
    }
    let answer = admin_as(&gateway, "POST", PATH, &body, "root");
    assert_eq!(answer.status(), 200, "{}", answer.text());
}
