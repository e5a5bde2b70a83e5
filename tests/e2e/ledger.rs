//! What becomes of requests on record through the end of a process, by its own will or not.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use uuid::Uuid;
use weir::config::runtime::State;
use weir::ledger::Row;
use weir::record::{Outcome, Record};
use weir::store::{Batch, Database};
use weir::usage::price::{Charge, PicoUsd};
use weir::usage::tokens::{Usage, UsageSource};

use crate::ask::{CHAT, chat, chat_answer, chunk, held, streamed};
use crate::support::gateway::{Gateway, config, new_dir};
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens, until};

const MODEL: &str = "openai/gpt-4o-mini";

/// Answers at once, but streams say one word and no more.
fn upstream() -> Upstream {
    Upstream::start(|request, conn| {
        if request.json()["stream"] == json!(true) {
            conn.sse_head();
            conn.data(chunk(&json!({"content": "one"}), None));
            // Until the gateway is gone.
            while conn.take(1).is_some() {}
            return;
        }
        conn.json(200, &chat_answer("hi"));
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
    let mut gateway = Gateway::start(&config);
    let dir = gateway.dir.clone();
    for _ in 0..3 {
        assert_eq!(gateway.post(CHAT, &chat(MODEL, "hi")).status(), 200);
    }
    let mut stream = gateway.stream(CHAT, &streamed(chat(MODEL, "hi")));
    assert!(stream.piece().is_some());
    gateway.signal("KILL");
    assert!(!gateway.wait_exit().success());
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
        assert_eq!(gateway.post(CHAT, &chat(MODEL, "hi")).status(), 200);
        gateway.record(1)
    };
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    let again = Gateway::start_in(dir, &config, &[]);
    let rows = rows(&again, 1);
    assert_eq!(rows[0], record, "the row is what the access log said");
    assert_eq!(again.metric("weir_ledger_recovered_total", &[]), 0.0);
}

/// Of alerts at a webhook: kind and state.
fn told(hook: &Upstream) -> Vec<(String, String)> {
    let word = |said: &Value, name: &str| said[name].as_str().unwrap().to_owned();
    hook.requests().iter().map(|it| it.json()).map(|said| (word(&said, "kind"), word(&said, "state"))).collect()
}

/// The database is locked by another program, so the log takes the rows until it is full.
#[test]
fn a_full_log_refuses_what_is_new_and_loses_nothing() {
    let (upstream, hook) = (upstream(), Upstream::json(200, "{}"));
    let alerts = format!("alerts: {{ledger_lag: 1s, webhooks: [{{url: \"http://{}/\"}}]}}", hook.address);
    let config =
        config(upstream.address, upstream.address, &alerts).replace("/data\"", "/data\"\n  ledger: {max_size: 1MiB}");
    let dir = new_dir();
    let gateway = Gateway::start_in(dir.clone(), &config, &[]);
    assert_eq!(gateway.post(CHAT, &chat(MODEL, "hi")).status(), 200);
    rows(&gateway, 1);
    let other = rusqlite::Connection::open(dir.join("data/weir.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut served = 1;
    let refused = until("the log to be full", || {
        let answer = gateway.post(CHAT, &chat(MODEL, "hi"));
        served += usize::from(answer.status() == 200);
        (answer.status() != 200).then_some(answer)
    });
    assert_eq!((refused.status(), &refused.json()["error"]["code"]), (503, &json!("ledger_unavailable")));
    assert!(served > 50, "{served}");
    let asked = upstream.requests().len();
    for _ in 0..50 {
        assert_eq!(gateway.post(CHAT, &chat(MODEL, "hi")).status(), 503);
    }
    assert_eq!((upstream.requests().len(), asked), (served, served), "no provider was asked for what is refused");
    assert_eq!(gateway.metric("weir_ledger_refused_total", &[]), 51.0);
    for kind in ["ledger_full", "ledger_lag"] {
        until(kind, || told(&hook).contains(&(kind.to_owned(), "raised".to_owned())).then_some(()));
    }
    other.execute_batch("COMMIT").unwrap();
    for kind in ["ledger_full", "ledger_lag"] {
        until(kind, || told(&hook).contains(&(kind.to_owned(), "resolved".to_owned())).then_some(()));
    }
    let answer = gateway.post(CHAT, &chat(MODEL, "hi"));
    assert_eq!(answer.status(), 200);
    let sum = until("all rows", || {
        let sum = gateway.admin("GET", "/admin/v1/usage").json()["data"][0].clone();
        (sum["requests"].as_u64()? > served as u64).then_some(sum)
    });
    assert_eq!((&sum["requests"], &sum["failed"]), (&json!(served + 1), &json!(0)));
    assert_eq!(gateway.metric("weir_ledger_lost_total", &[]), 0.0);
    assert_eq!(gateway.records().iter().filter(|row| row["status"] == 503).count(), 51, "they are in the access log");
}

/// No file may grow any more: what is new is refused, what runs ends, and all of it is there when there is room.
#[test]
fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let upstream = held(&gate);
    let hook = Upstream::json(200, "{}");
    let alerts = format!("alerts: {{webhooks: [{{url: \"http://{}/\", events: [ledger_full]}}]}}", hook.address);
    let gateway = Gateway::start_on_a_disk(&config(upstream.address, upstream.address, &alerts));
    assert_eq!(gateway.post(CHAT, &chat(MODEL, "hi")).status(), 200);
    let mut stream = gateway.stream(CHAT, &streamed(chat(MODEL, "hi")));
    assert!(stream.piece().is_some());
    gateway.fill_disk("1");
    let refused = gateway.post(CHAT, &chat(MODEL, "hi"));
    assert_eq!((refused.status(), &refused.json()["error"]["code"]), (503, &json!("ledger_unavailable")));
    gate.open();
    assert!(String::from_utf8_lossy(&stream.body()).contains("[DONE]"), "what runs ends");
    until("the alert", || told(&hook).contains(&("ledger_full".to_owned(), "raised".to_owned())).then_some(()));
    gateway.fill_disk("unlimited");
    until("room again", || (gateway.post(CHAT, &chat(MODEL, "hi")).status() == 200).then_some(()));
    until("the end of the alert", || {
        told(&hook).contains(&("ledger_full".to_owned(), "resolved".to_owned())).then_some(())
    });
    assert_eq!(gateway.metric("weir_ledger_lost_total", &[]), 0.0);
    let served = gateway.records().iter().filter(|row| row["status"] == 200).count();
    assert!(served >= 3, "{served}");
    let sum = until("all rows", || {
        let sum = gateway.admin("GET", "/admin/v1/usage").json()["data"][0].clone();
        (sum["requests"].as_u64() == Some(served as u64)).then_some(sum)
    });
    assert_eq!(sum["failed"], json!(0));
}

/// A row of `acme` that began so many hours ago and cost next to nothing.
fn row_of(hours_ago: u64) -> Row {
    let began = SystemTime::now() - Duration::from_secs(hours_ago * 3_600);
    let usage = Usage { fresh_input_tokens: 1, visible_output_tokens: 1, ..Usage::default() };
    Row::from(&Record {
        tenant: Some("acme"),
        key_id: Some("acme-dev"),
        model: Some(MODEL),
        provider: Some("openai"),
        upstream_model: Some("gpt-4o-mini"),
        status: 200,
        outcome: Outcome::Finished,
        attempts: 1,
        usage: Some(usage),
        usage_source: Some(UsageSource::Reported),
        charge: Charge::whole(PicoUsd(5)),
        price_version: Some("v"),
        ..Record::new(Uuid::from_u128(hours_ago.into()), began, "chat")
    })
}

/// The history comes from the database: this process has seen none of it.
#[test]
fn spending_out_of_the_ordinary_is_told_of() {
    let (upstream, hook) = (upstream(), Upstream::json(200, "{}"));
    let alerts = format!(
        "alerts: {{spend_spikes: {{minimum_usd: 0.000001}}, webhooks: [{{url: \"http://{}/\", events: [spend_spike]}}]}}",
        hook.address
    );
    let dir = new_dir();
    let database = Database::open(&State { dir: dir.join("data"), ..State::default() }).unwrap();
    database.fold(&Batch { rows: (2..60).map(row_of).collect(), positions: Vec::new() }).unwrap();
    drop(database);
    let gateway = Gateway::start_in(dir, &config(upstream.address, upstream.address, &alerts), &[]);
    let said = until("the alert", || {
        assert_eq!(gateway.post(CHAT, &chat(MODEL, "hi")).status(), 200);
        hook.requests().iter().map(|request| request.json()).find(|said| said["subject"] == "tenant acme")
    });
    assert_eq!((&said["kind"], &said["tenant"]), (&json!("spend_spike"), &json!("acme")), "{said}");
}
