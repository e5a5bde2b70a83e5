//! The admin API's live stream: requests while they run, and then their records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::ask::{CHAT, chat, chat_answer, chunk, streamed};
use crate::support::client::{Client, EventReader};
use crate::support::gateway::{Gateway, KEY, config};
use crate::support::upstream::{Conn, Upstream};
use crate::support::wait::{Gate, Opens};

const OTHER_KEY: &str = "wk-other-live-3131";

/// A connection that follows, as far as its head.
fn follow(gateway: &Gateway, token: &str, query: &str) -> Client {
    let bearer = format!("Bearer {token}");
    let mut client = Client::connect(gateway.admin);
    client.request("GET", &format!("/admin/v1/requests/live?{query}"), &[("authorization", &bearer)], b"");
    assert_eq!(client.head().status, 200);
    client
}

/// The next event of that name whose data fits.
fn next(events: &mut EventReader<'_>, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let mut of_name = events.filter(|event| event.name == name).map(|event| event.json());
    of_name.find(fits).unwrap_or_else(|| panic!("the stream ended without {name}"))
}

fn delta(conn: &mut Conn) -> bool {
    conn.data(chunk(&json!({"role": "assistant", "content": "x"}), None))
}

fn end(conn: &mut Conn) {
    conn.data(chunk(&json!({}), Some("stop")));
    conn.data("[DONE]");
    conn.end();
}

#[test]
fn a_stream_is_told_of_while_it_runs_and_again_as_it_ended() {
    let gate = Gate::default();
    let opens = Opens(gate.clone());
    let upstream = Upstream::start(move |request, conn| {
        if request.json()["stream"] != true {
            return conn.json(200, &chat_answer("ok"));
        }
        conn.sse_head();
        delta(conn);
        gate.pass();
        end(conn);
    });
    let tokens =
        "admin:\n  token: t-admin\n  tokens: [{name: ops, token: t-globex, role: tenant-admin, tenant: globex}]\n";
    let globex = format!("tenants:\n  globex: {{keys: [{{id: globex-dev, secret: \"{OTHER_KEY}\"}}]}}\n");
    let config = config(upstream.address, upstream.address, "");
    let gateway = Gateway::start(&config.replace("admin:\n", tokens).replace("tenants:\n", &globex));
    let mut all = follow(&gateway, "t-admin", "model=openai/gpt-4o-mini");
    let mut theirs = follow(&gateway, "t-globex", "");
    let mut others = follow(&gateway, "t-admin", "model=openai/other");
    let mut stream = gateway.stream(CHAT, &streamed(chat("openai/gpt-4o-mini", "hi")));
    let mut all = all.events();
    let started = next(&mut all, "started", |row| row["upstream_model"] == "gpt-4o-mini");
    assert!(gateway.records().is_empty(), "it runs");
    for (name, value) in [
        ("tenant", json!("acme")),
        ("key_id", json!("acme-dev")),
        ("format", json!("chat")),
        ("model", json!("openai/gpt-4o-mini")),
        ("provider", json!("openai")),
        ("route", Value::Null),
        ("stream", json!(true)),
        ("attempts", json!(1)),
    ] {
        assert_eq!(started[name], value, "{name} of {started}");
    }
    assert!(started["running_ms"].is_u64() && started.get("status").is_none(), "{started}");
    // Who comes later sees what runs.
    let mut later = follow(&gateway, "t-admin", "tenant=acme");
    assert_eq!(next(&mut later.events(), "started", |_| true)["request_id"], started["request_id"]);
    drop(opens);
    let record = next(&mut all, "request", |_| true);
    assert_eq!(record["request_id"], started["request_id"]);
    assert_eq!((&record["started_at"], &record["status"]), (&started["started_at"], &json!(200)));
    assert!(stream.events().count() > 1);
    // Of another tenant's, and of what no filter wants, nothing came before this.
    let bearer = format!("Bearer {OTHER_KEY}");
    let body = chat("openai/other", "hi").to_string();
    gateway.client().request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).answer();
    for viewer in [&mut theirs, &mut others] {
        let first = viewer.events().next().unwrap();
        assert_eq!(first.json()["tenant"], "globex", "{first:?}");
    }
}

/// Nobody looked as it began.
#[test]
fn a_stream_that_runs_already_is_told_of_too() {
    let is_over = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&is_over);
    let upstream = Upstream::start(move |_, conn| {
        conn.sse_head();
        while delta(conn) && !waits.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        end(conn);
    });
    let gateway = Gateway::with(upstream.address);
    let mut stream = gateway.stream(CHAT, &streamed(chat("openai/gpt-4o-mini", "hi")));
    stream.events().next().unwrap();
    let mut viewer = follow(&gateway, KEY, "");
    let mut events = viewer.events();
    let started = next(&mut events, "started", |_| true);
    assert_eq!((&started["provider"], &started["model"]), (&json!("openai"), &json!("openai/gpt-4o-mini")));
    is_over.store(true, Ordering::Relaxed);
    let record = next(&mut events, "request", |_| true);
    assert_eq!(record["request_id"], started["request_id"]);
    assert!(stream.events().count() > 1);
}
