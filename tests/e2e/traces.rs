//! Which trace a request belongs to: what clients say, providers are told, and records have.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ask::{CHAT, both, chat, chat_answer, streamed};
use crate::support::gateway::{Gateway, config};
use crate::support::upstream::{Request, Upstream};
use crate::support::wait::until;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> u16 {
    gateway.call_with("POST", CHAT, headers, &chat("openai/gpt-4o-mini", "hi")).status()
}

/// Traces, and nobody who takes them.
fn exporting(upstream: &Upstream, sample: &str) -> Gateway {
    let otlp = format!("  otlp: {{endpoint: \"http://{}\", sample: {sample}}}", Upstream::nobody());
    Gateway::start(&config(upstream.address, upstream.address, &otlp))
}

/// Trace, span and flags that a provider was told.
fn told(request: &Request) -> (String, String, String) {
    let parts: Vec<&str> = request.header("traceparent").expect("a trace").split('-').collect();
    assert_eq!((parts.len(), parts[0], parts[1].len(), parts[2].len()), (4, "00", 32, 16), "{parts:?}");
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

#[test]
fn without_an_export_only_what_the_client_sent_goes_on() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let gateway = Gateway::with(upstream.address);
    assert_eq!(ask(&gateway, &[]), 200);
    assert_eq!(ask(&gateway, &[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]), 200);
    assert_eq!(ask(&gateway, &[("traceparent", "00-not-a-trace-01"), ("tracestate", "a=1")]), 200);
    let all = upstream.requests();
    let sent = |nth: usize| (all[nth].header("traceparent"), all[nth].header("tracestate"));
    assert_eq!([sent(0), sent(1), sent(2)], [(None, None), (Some(PARENT), Some("a=1,b=2")), (None, None)]);
    let records = gateway.wait_records(3);
    let ids: Vec<&Value> = records.iter().map(|record| &record["trace_id"]).collect();
    assert_eq!(ids, [&Value::Null, &Value::from(TRACE), &Value::Null]);
    assert_eq!((&records[0]["traceparent"], &records[1]["traceparent"]), (&Value::Null, &Value::from(PARENT)));
}

#[test]
fn with_one_each_attempt_has_a_span_in_one_trace() {
    let upstream = Upstream::start(|request, conn| match request.number {
        0 => conn.json(429, r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#),
        _ => conn.json(200, &chat_answer("hi")),
    });
    let gateway = exporting(&upstream, "1");
    assert_eq!(ask(&gateway, &[]), 200);
    assert_eq!(ask(&gateway, &[("traceparent", PARENT), ("tracestate", "a=1")]), 200);
    let all = upstream.requests();
    let [first, again, theirs] = [&all[0], &all[1], &all[2]].map(told);
    assert_eq!((&first.0, first.2.as_str()), (&again.0, "01"));
    assert_eq!((theirs.0.as_str(), theirs.2.as_str()), (TRACE, "01"));
    let spans = BTreeSet::from([first.1, again.1, theirs.1, "00f067aa0ba902b7".to_owned()]);
    assert_eq!(spans.len(), 4, "each has its own: {spans:?}");
    assert_eq!((all[0].header("tracestate"), all[2].header("tracestate")), (None, Some("a=1")));
    let records = gateway.wait_records(2);
    assert_eq!((&records[0]["trace_id"], &records[1]["trace_id"]), (&Value::from(first.0), &Value::from(TRACE)));
}

#[test]
fn a_client_decides_for_its_trace_and_the_sample_for_new_ones() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let gateway = exporting(&upstream, "0");
    assert_eq!(ask(&gateway, &[]), 200);
    assert_eq!(ask(&gateway, &[("traceparent", PARENT)]), 200);
    let flags: Vec<String> = upstream.requests().iter().map(|request| told(request).2).collect();
    assert_eq!(flags, ["00", "01"]);
}

#[test]
fn the_trace_is_in_the_ledger_and_in_the_admin_api() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let gateway = Gateway::with(upstream.address);
    for (path, body) in both("openai/gpt-4o-mini", "hi") {
        gateway.call_with("POST", path, &[("traceparent", PARENT)], &streamed(body));
    }
    let id = gateway.wait_records(2)[0]["request_id"].as_str().unwrap().to_owned();
    let path = format!("/admin/v1/requests/{id}");
    // From memory first, from the database once it is there.
    until("the row in the database", || {
        assert_eq!(gateway.admin("GET", &path).json()["trace_id"], TRACE);
        (gateway.metric("weir_ledger_rows_total", &[]) >= 2.0).then_some(())
    });
    let shown = gateway.admin("GET", &path).json();
    assert_eq!((&shown["trace_id"], &shown["traceparent"]), (&Value::from(TRACE), &Value::from(PARENT)));
}
