//! What becomes of requests on record through the end of a process, by its own will or not.

use serde_json::{Value, json};

use crate::ask::{CHAT, chat, chat_answer, chunk, streamed};
use crate::support::gateway::{Gateway, config};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

const MODEL: &str = "openai/gpt-4o-mini";

/// Answers at once, but streams say one word and no more.
fn upstream() -> Upstream {
    Upstream::start(|request, conn| {
        if request.json()["stream"] == json!(true) {
            conn.sse_head();
            conn.data(chunk("one"));
            // Until the gateway is gone.
            while conn.take(1).is_some() {}
            return;
        }
        conn.json(200, &chat_answer().to_string());
    })
}

/// Rows of the database, once there are so many.
fn rows(gateway: &Gateway, count: usize) -> Vec<Value> {
    until("the rows", || {
        let list = gateway.admin("GET", "/admin/v1/requests").json();
        let rows = list["data"].as_array()?.clone();
        (rows.len() == count).then_some(rows)
    })
}

fn outcomes(rows: &[Value]) -> Vec<&str> {
    let mut outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    outcomes
}

#[test]
fn what_a_killed_gateway_left_open_is_closed_by_the_next_one() {
    let upstream = upstream();
    let config = config(upstream.address, upstream.address, "");
    let gateway = Gateway::start(&config);
    let dir = gateway.dir.clone();
    for _ in 0..3 {
        assert_eq!(gateway.post(CHAT, &chat(MODEL)).status(), 200);
    }
    let mut stream = gateway.stream(CHAT, &streamed(chat(MODEL)));
    assert!(stream.piece().is_some());
    gateway.signal("KILL");
    assert!(gateway.is_gone());
    let again = Gateway::start_in(dir, &config, &[]);
    let rows = rows(&again, 4);
    assert_eq!(outcomes(&rows), ["finished", "finished", "finished", "recovered"]);
    let recovered = rows.iter().find(|row| row["outcome"] == "recovered").unwrap();
    assert_eq!((&recovered["provider"], &recovered["stream"]), (&json!("openai"), &json!(true)));
    assert!(recovered["input_tokens"].as_u64().unwrap() > 0, "{recovered}");
    assert!(recovered["cost_pico_usd"].as_u64().unwrap() > 0, "what it asked for has its price: {recovered}");
    assert_eq!(recovered["usage_source"], "estimated");
    assert_eq!(again.metric("weir_ledger_recovered_total", &[]), 1.0);
}

#[test]
fn a_gateway_that_ends_has_nothing_left_to_recover() {
    let upstream = upstream();
    let config = config(upstream.address, upstream.address, "");
    let mut gateway = Gateway::start(&config);
    let dir = gateway.dir.clone();
    let record = {
        assert_eq!(gateway.post(CHAT, &chat(MODEL)).status(), 200);
        gateway.record(1)
    };
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    let again = Gateway::start_in(dir, &config, &[]);
    let rows = rows(&again, 1);
    assert_eq!(rows[0], record, "the row is what the access log said");
    assert_eq!(again.metric("weir_ledger_recovered_total", &[]), 0.0);
}
