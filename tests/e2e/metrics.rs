//! What Prometheus and the access record say.

use serde_json::json;

use crate::ask::{CHAT, MESSAGES, both, chat, message, streamed};
use crate::support::gateway::{Gateway, config};
use crate::support::simulated::Simulated;
use crate::support::wait::until;

#[test]
fn requests_tokens_and_times_are_counted() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for (path, body) in both("openai/gpt-4o-mini", "one two three") {
        assert_eq!(gateway.post(path, &body).status(), 200);
        assert_eq!(gateway.post(path, &streamed(body)).status(), 200);
    }
    gateway.wait_records(4);
    let acme = ["tenant=\"acme\"", "provider=\"openai\""];
    until("the counters", || (gateway.metric("weir_requests_total", &acme) == 4.0).then_some(()));
    let tokens = |kind: &str| gateway.metric("weir_tokens_total", &[acme[0], acme[1], &format!("type=\"{kind}\"")]);
    // 3 words in and 5 out, four times.
    assert_eq!((tokens("input"), tokens("output")), (12.0, 20.0));
    let text = gateway.metrics();
    for name in [
        "weir_requests_total",
        "weir_request_duration_seconds_bucket",
        "weir_overhead_seconds_bucket",
        "weir_time_to_first_token_seconds_bucket",
        "weir_tokens_total",
        "weir_attempts_total",
        "weir_inflight_requests",
        "weir_build_info",
    ] {
        assert!(text.lines().any(|l| l.starts_with(name)), "{name}");
    }
    assert!(text.contains("# TYPE weir_requests_total counter"));
    assert_eq!(gateway.metric("weir_inflight_requests", &[]), 0.0);
}

/// Row 30: a client can mint no series.
#[test]
fn names_that_clients_invent_become_other() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let series = |g: &Gateway| g.metrics().lines().filter(|l| l.starts_with("weir_")).count();
    gateway.post(CHAT, &chat("openai/invented-warm-up", "hi"));
    gateway.post(CHAT, &chat("invented-warm-up", "hi"));
    gateway.call("POST", "/v1/invented-warm-up", &json!({}));
    gateway.wait_records(3);
    let before = until("the first series", || Some(series(&gateway)).filter(|n| *n > 0));
    for nth in 0..40 {
        assert_eq!(gateway.post(CHAT, &chat(&format!("openai/invented-{nth}"), "hi")).status(), 200);
        assert_eq!(gateway.post(CHAT, &chat(&format!("invented-{nth}"), "hi")).status(), 404);
        gateway.call("POST", &format!("/v1/invented-{nth}"), &json!({}));
    }
    gateway.wait_records(123);
    let text = gateway.metrics();
    assert!(!text.contains("invented"), "{text}");
    assert!(text.contains("model=\"other\""), "{text}");
    let names: std::collections::BTreeSet<&str> = text.lines().filter_map(|l| l.split(['{', ' ']).next()).collect();
    assert!(series(&gateway) <= before + 8, "{} series before, {} after: {names:?}", before, series(&gateway));
}

#[test]
fn the_access_record_has_every_field_of_a_ledger_row() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let answer = gateway.call_with(
        "POST",
        MESSAGES,
        &[("x-request-id", "mine")],
        &message("openai/gpt-4o-mini", "one two three"),
    );
    assert_eq!(answer.status(), 200);
    let record = gateway.record(1);
    for name in [
        "request_id",
        "started_at",
        "tenant",
        "key_id",
        "format",
        "route",
        "model",
        "provider",
        "upstream_model",
        "stream",
        "status",
        "outcome",
        "attempts",
        "fallback",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "usage_source",
        "cost_pico_usd",
        "cost_usd",
        "duration_ms",
        "ttft_ms",
        "overhead_ms",
        "dropped",
    ] {
        assert!(record.as_object().unwrap().contains_key(name), "{name} in {record}");
    }
    assert_eq!(record["request_id"], answer.header("x-request-id"));
    assert_eq!((&record["tenant"], &record["key_id"]), (&json!("acme"), &json!("acme-dev")));
    assert_eq!((&record["format"], &record["provider"]), (&json!("messages"), &json!("openai")));
    assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(3), &json!(5)));
    assert_eq!((&record["outcome"], &record["status"]), (&json!("finished"), &json!(200)));
    assert_eq!(record["usage_source"], "reported");
    assert!(!record.to_string().contains("one two three"), "no prompt in it");
}

#[test]
fn a_failed_request_leaves_one_record_too() {
    let sim = Simulated::start();
    let gateway = Gateway::start(&config(sim.address, sim.address, "defaults: {retries: 0}\n"));
    gateway.post(CHAT, &chat("openai/sim-error-500", "hi"));
    let record = gateway.record(1);
    assert_eq!((&record["outcome"], &record["attempts"]), (&json!("failed"), &json!(1)), "{record}");
    assert_eq!(gateway.metric("weir_inflight_requests", &[]), 0.0);
}

#[test]
fn a_sample_of_access_records_has_every_failure_and_the_ledger_has_all() {
    let sim = Simulated::start();
    let log = "access_log: {path: \"@DIR@/access.jsonl\", sample: 0, rotate: {size: 1MiB, keep: 1}}";
    let gateway = Gateway::start(&config(sim.address, sim.address, "").replace("access_log: stdout", log));
    for model in ["openai/gpt-4o-mini", "nobody/knows-this", "openai/gpt-4o-mini"] {
        gateway.post(CHAT, &chat(model, "hi"));
    }
    let rows = |list: &serde_json::Value| list["data"].as_array().unwrap().len();
    until("the records", || (rows(&gateway.admin("GET", "/admin/v1/requests").json()) == 3).then_some(()));
    let written = || std::fs::read_to_string(gateway.dir.join("access.jsonl")).unwrap();
    let text = until("the failure", || Some(written()).filter(|text| !text.is_empty()));
    assert!(text.lines().count() == 1 && text.contains("\"status\":404"), "{text}");
    assert_eq!(gateway.metric("weir_access_log_dropped_total", &[]), 0.0, "left out is not lost");
}
