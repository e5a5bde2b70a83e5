use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::names::Metric;
use super::*;
use crate::config::budget::{Budget, Per, Period, Unit};
use crate::config::runtime::{Deployment, ModelEntry, Tenant};
use crate::config::telemetry as configured;
use crate::limit::Scope;
use crate::limit::shared::Watch as _;
use crate::provider::{Provider, simulator};
use crate::record::{Outcome, Texts, Timeline, Tried};
use crate::usage::price::{Charge, ModelInfo, PicoUsd, PriceTable};
use crate::usage::tokens::Usage;

fn deployment(name: &str) -> Arc<Deployment> {
    let echo = ModelEntry { upstream: "echo".into(), info: Arc::new(ModelInfo::default()), api: None };
    let models = HashMap::from([("echo".to_owned(), echo)]);
    Arc::new(Deployment { models, ..Deployment::simulated(name) })
}

fn runtime(target: Target) -> Runtime {
    let tenant = Tenant { id: "acme".into(), ..Tenant::default() };
    Runtime {
        hash: "abc123".into(),
        loaded_at: SystemTime::UNIX_EPOCH + Duration::from_secs(77),
        deployments: vec![deployment("lab")],
        tenants: vec![Arc::new(tenant)],
        prices: Arc::new(PriceTable::builtin()),
        telemetry: configured::Telemetry { access_log: target, ..configured::Telemetry::default() },
        ..Runtime::default()
    }
}

fn finish(telemetry: &Telemetry, record: &Record<'_>) {
    telemetry.finish(record, record.pack());
}

fn telemetry() -> Telemetry {
    Telemetry::new(&runtime(Target::Off)).unwrap()
}

#[test]
fn the_directory_of_the_access_log_is_made_and_an_error_names_the_file() {
    let root = std::env::temp_dir().join(format!("weir-log-{}", Uuid::now_v7()));
    let target = |path: std::path::PathBuf| runtime(Target::File(path, None));
    let telemetry = Telemetry::new(&target(root.join("state/logs/access.jsonl"))).unwrap();
    assert!(root.join("state/logs/access.jsonl").is_file());
    let below_a_file = root.join("state/logs/access.jsonl/more.jsonl");
    let shown = below_a_file.display().to_string();
    assert!(Telemetry::new(&target(below_a_file.clone())).unwrap_err().contains(&shown));
    assert!(telemetry.bind(&target(below_a_file)).unwrap_err().contains(&shown));
    drop(telemetry);
    std::fs::remove_dir_all(root).unwrap();
}

fn usage() -> Usage {
    Usage {
        fresh_input_tokens: 10,
        cached_tokens: 5,
        visible_output_tokens: 7,
        reasoning_tokens: 2,
        ..Usage::default()
    }
}

fn record() -> Record<'static> {
    Record {
        tenant: Some("acme"),
        key_id: Some("dev"),
        model: Some("lab/echo"),
        provider: Some("lab"),
        upstream_model: Some("echo"),
        status: 200,
        outcome: Outcome::Finished,
        attempts: 1,
        usage: Some(usage()),
        usage_source: Some(UsageSource::Reported),
        charge: Charge::whole(PicoUsd(1_500_000_000)),
        price_version: Some("2026-11-22"),
        duration: Duration::from_micros(12_345),
        ttft: Some(Duration::from_millis(8)),
        overhead: Duration::from_micros(210),
        ..Record::new(Uuid::nil(), SystemTime::UNIX_EPOCH + Duration::from_millis(1_500), "chat")
    }
}

/// The value of one series.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[test]
fn the_line_has_exactly_the_names_of_the_contract() {
    let mut line = Vec::new();
    record().write_line(&mut line);
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
    #[expect(clippy::disallowed_types, reason = "a test reads its own output")]
    let row: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let expected = json!({
        "request_id": "00000000-0000-0000-0000-000000000000", "client_request_id": null, "trace_id": null,
        "started_at": "1970-01-01T00:00:01.500Z", "tenant": "acme", "key_id": "dev",
        "user": null, "tags": [],
        "format": "chat", "route": null, "model": "lab/echo", "provider": "lab", "upstream_model": "echo",
        "stream": false, "status": 200, "outcome": "finished", "attempts": 1, "fallback": false,
        "input_tokens": 15, "output_tokens": 9, "cached_tokens": 5, "cache_write_tokens": 0,
        "reasoning_tokens": 2, "usage_source": "reported", "service_tier": null,
        "usage": {"cached": 5, "fresh_input": 10, "reasoning": 2, "visible_output": 7}, "cost_pico_usd": 1_500_000_000_u64,
        "cost_usd": 0.0015, "price_version": "2026-11-22", "duration_ms": 12.345, "ttft_ms": 8.0,
        "overhead_ms": 0.21, "dropped": [], "error": null, "timeline": [],
    });
    assert_eq!(row, expected);
}

/// The ledger reads a row off the line, and writes the same line from it.
#[test]
fn a_row_is_its_line() {
    let (tags, dropped) = (["team=\u{e9}".to_owned()], ["tools[0].x".to_owned()]);
    let full = Record {
        timeline: Timeline::Tried(&timeline()),
        tags: Texts::Plain(&tags),
        dropped: Texts::Plain(&dropped),
        user: Some("u-1"),
        ..record()
    };
    let free = Record { charge: Charge::whole(PicoUsd(0)), service_tier: Some("flex"), ..record() };
    let unknown =
        Record { usage: None, usage_source: None, charge: Charge::default(), ttft: None, tenant: None, ..record() };
    let every_class = Usage {
        audio_input_tokens: 1,
        image_input_tokens: 2,
        image_output_tokens: 3,
        search_units: 4,
        images: 5,
        audio_seconds: 6,
        characters: 7,
        web_searches: 8,
        charged_pico_usd: 9,
        ..usage()
    };
    let classes = Record { usage: Some(every_class), ..record() };
    for record in [full, free, unknown, classes] {
        let mut line = Vec::new();
        record.write_line(&mut line);
        let row = crate::ledger::Row::read(&line).unwrap();
        let again = row.line().unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(line).unwrap().trim_end());
        assert_eq!(row.usage.map(Usage::from), record.usage);
    }
}

#[test]
fn what_is_unknown_is_null_and_text_is_escaped() {
    let dropped = ["tools[2].cache_control".to_owned(), "messages[0].\"odd\"\n".to_owned()];
    let tags = ["a\u{1}b".to_owned()];
    let unknown = Record {
        tags: Texts::Plain(&tags),
        dropped: Texts::Plain(&dropped),
        error: Some("upstream_error"),
        ..record()
    };
    let unknown = Record { usage: None, usage_source: None, charge: Charge::default(), ttft: None, ..unknown };
    let mut line = Vec::new();
    unknown.write_line(&mut line);
    #[expect(clippy::disallowed_types, reason = "a test reads its own output")]
    let row: serde_json::Value = serde_json::from_slice(&line).unwrap();
    for name in
        ["input_tokens", "output_tokens", "reasoning_tokens", "usage_source", "cost_pico_usd", "cost_usd", "ttft_ms"]
    {
        assert!(row[name].is_null(), "{name}");
    }
    assert_eq!(row["dropped"], json!(dropped));
    assert_eq!((&row["tags"], &row["error"]), (&json!(["a\u{1}b"]), &json!("upstream_error")));
}

#[test]
fn costs_are_exact_decimals() {
    for (pico, text) in [
        (0, "0.0"),
        (1, "0.000000000001"),
        (1_000_000_000_000, "1.0"),
        (123_456_789_012_345_678_900, "123456789.0123456789"),
        (-1_500_000_000_000, "-1.5"),
    ] {
        let mut line = Vec::new();
        Record { charge: Charge::whole(PicoUsd(pico)), ..record() }.write_line(&mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains(&format!("\"cost_pico_usd\":{pico},\"cost_usd\":{text},")), "{line}");
    }
}

#[test]
fn a_finished_request_is_counted_everywhere() {
    let telemetry = telemetry();
    finish(&telemetry, &record());
    finish(&telemetry, &Record { status: 429, usage: None, charge: Charge::default(), ttft: None, ..record() });
    let estimated = Record { usage_source: Some(UsageSource::Estimated), charge: Charge::default(), ..record() };
    finish(&telemetry, &Record { dropped: Texts::Plain(&["a".to_owned(), "b".to_owned()]), ..estimated });
    let text = telemetry.render();
    let series = |name: &str, labels: &str| value(&text, &format!("{name}{{{labels}}}"));
    let of = r#"model="echo",provider="lab""#;
    let requests =
        |status| series("weir_requests_total", &format!(r#"{of},route="direct",status="{status}",tenant="acme""#));
    assert_eq!((requests(200), requests(429)), (Some(2.0), Some(1.0)));
    let tokens = |class| series("weir_tokens_total", &format!(r#"{of},tenant="acme",type="{class}""#));
    assert_eq!((tokens("input"), tokens("output"), tokens("cached")), (Some(30.0), Some(18.0), Some(10.0)));
    assert_eq!((tokens("cache_write"), tokens("reasoning")), (Some(0.0), Some(4.0)));
    assert_eq!(series("weir_cost_usd_total", &format!(r#"{of},tenant="acme""#)), Some(0.0015));
    assert_eq!(series("weir_unpriced_requests_total", of), Some(1.0));
    assert_eq!(series("weir_unknown_usage_total", of), Some(1.0));
    assert_eq!(series("weir_dropped_fields_total", of), Some(2.0));
    assert_eq!(series("weir_request_duration_seconds_count", of), Some(3.0));
    assert_eq!(series("weir_time_to_first_token_seconds_count", of), Some(2.0));
    assert_eq!(value(&text, "weir_overhead_seconds_count"), Some(3.0));
    let gen_ai = r#"gen_ai_operation_name="chat",gen_ai_provider_name="simulator",gen_ai_request_model="echo",gen_ai_token_type="input""#;
    assert_eq!(series("gen_ai_client_token_usage_sum", gen_ai), Some(30.0));
}

#[test]
fn what_a_client_invents_is_other_and_mints_no_series() {
    let telemetry = telemetry();
    finish(&telemetry, &record());
    let known = Record { upstream_model: Some("other"), ..record() };
    finish(&telemetry, &known);
    let before = telemetry.render().lines().count();
    for n in 0..10_000 {
        let model = format!("invented-{n}");
        finish(&telemetry, &Record { upstream_model: Some(&model), model: Some(&model), ..record() });
    }
    let text = telemetry.render();
    assert_eq!(text.lines().count(), before);
    assert!(!text.contains("invented"));
    let other = r#"weir_requests_total{model="other",provider="lab",route="direct",status="200",tenant="acme"}"#;
    assert_eq!(value(&text, other), Some(10_001.0));
}

#[test]
fn a_dated_name_counts_as_the_model_it_is_a_date_of() {
    static OPENAI: Provider = Provider { catalogue: "openai", ..simulator::PROVIDER };
    let cloud = Deployment { name: "cloud".into(), provider: &OPENAI, ..Arc::into_inner(deployment("lab")).unwrap() };
    let telemetry = Telemetry::new(&Runtime { deployments: vec![Arc::new(cloud)], ..runtime(Target::Off) }).unwrap();
    for model in ["gpt-4o-mini", "gpt-4o-mini-2099-01-01", "gpt-4o-mini:invented", "gpt-4o-minimal"] {
        finish(&telemetry, &Record { provider: Some("cloud"), upstream_model: Some(model), ..record() });
    }
    let text = telemetry.render();
    let requests = |model: &str| {
        let labels = format!(r#"model="{model}",provider="cloud",route="direct",status="200",tenant="acme""#);
        value(&text, &format!("weir_requests_total{{{labels}}}"))
    };
    assert_eq!((requests("gpt-4o-mini"), requests("other")), (Some(3.0), Some(1.0)));
}

#[test]
fn invented_tenants_providers_and_statuses_are_other_too() {
    let telemetry = telemetry();
    for n in 0..100 {
        let name = format!("invented-{n}");
        telemetry.throttled(&name, "key_requests");
        telemetry.attempt(&name, "ok");
        telemetry.fallback(&name, "lab", "timeout");
        finish(
            &telemetry,
            &Record { tenant: Some(&name), route: Some(&name), provider: Some(&name), status: 600 + n, ..record() },
        );
    }
    let text = telemetry.render();
    assert!(!text.contains("invented"), "{text}");
    assert_eq!(value(&text, r#"weir_attempts_total{outcome="ok",provider="other"}"#), Some(100.0));
    assert_eq!(value(&text, r#"weir_fallbacks_total{from="other",reason="timeout",to="lab"}"#), Some(100.0));
    let other = r#"weir_requests_total{model="other",provider="other",route="other",status="other",tenant="other"}"#;
    assert_eq!(value(&text, other), Some(100.0));
}

#[test]
fn a_request_that_came_to_nothing_is_counted_as_such() {
    let telemetry = telemetry();
    finish(&telemetry, &Record { status: 401, ..Record::new(Uuid::nil(), SystemTime::UNIX_EPOCH, "chat") });
    let none = r#"weir_requests_total{model="none",provider="none",route="none",status="401",tenant="none"}"#;
    assert_eq!(value(&telemetry.render(), none), Some(1.0));
}

#[test]
fn reloads_show_and_rename() {
    let telemetry = telemetry();
    let text = telemetry.render();
    assert_eq!(value(&text, r#"weir_config_info{hash="abc123"}"#), Some(1.0));
    assert_eq!(value(&text, "weir_config_last_reload_success_timestamp_seconds"), Some(77.0));
    telemetry.reload_failed();
    let next = Runtime { hash: "def456".into(), deployments: vec![deployment("new")], ..runtime(Target::Off) };
    telemetry.bind(&next).unwrap();
    telemetry.reloaded(&next);
    telemetry.attempt("new", "ok");
    telemetry.attempt("lab", "ok");
    let text = telemetry.render();
    assert_eq!(value(&text, r#"weir_config_info{hash="def456"}"#), Some(1.0));
    assert_eq!(value(&text, r#"weir_config_info{hash="abc123"}"#), None);
    assert_eq!(value(&text, "weir_config_reload_failures_total"), Some(1.0));
    assert_eq!(value(&text, r#"weir_attempts_total{outcome="ok",provider="new"}"#), Some(1.0));
    assert_eq!(value(&text, r#"weir_attempts_total{outcome="ok",provider="other"}"#), Some(1.0));
}

fn seen(endpoint: &str, healthy: bool) -> Seen<'_> {
    Seen {
        provider: "lab",
        endpoint,
        healthy,
        state: if healthy { "" } else { "credential_refused" },
        in_flight: 2,
        waiting: 1,
        places: Some(3),
        requests_left: Some(4),
        tokens_left: None,
        breaker_opened: 5,
    }
}

#[test]
fn endpoints_are_as_the_last_scrape_found_them() {
    let telemetry = telemetry();
    for _ in 0..2 {
        telemetry.endpoints(&[seen("lab#1", true), seen("lab#2", false)]);
    }
    let text = telemetry.render();
    let of = |name: &str, more: &str| value(&text, &format!("{name}{{endpoint=\"lab#2\",provider=\"lab\"{more}}}"));
    assert_eq!(value(&text, r#"weir_upstream_healthy{provider="lab"}"#), Some(1.0));
    assert_eq!((of("weir_endpoint_healthy", ""), of("weir_endpoint_places", "")), (Some(0.0), Some(3.0)));
    assert_eq!(of("weir_endpoint_state", r#",state="credential_refused""#), Some(1.0));
    assert_eq!(of("weir_endpoint_state", r#",state="drained""#), Some(0.0));
    assert_eq!(of("weir_endpoint_quota_remaining", r#",type="requests""#), Some(4.0));
    assert_eq!(of("weir_endpoint_quota_remaining", r#",type="tokens""#), None);
    assert_eq!(of("weir_breaker_opened_total", ""), Some(5.0), "not added up");
    telemetry.endpoints(&[seen("lab#2", false)]);
    let text = telemetry.render();
    assert!(!text.contains("lab#1"), "it is gone from the configuration");
    assert_eq!(value(&text, r#"weir_upstream_healthy{provider="lab"}"#), Some(0.0));
}

/// Two attempts side by side, and one that went on with the stream.
fn timeline() -> [Tried; 3] {
    let tried = |provider: &str, why, outcome| Tried {
        deployment: deployment(provider),
        model: "echo".into(),
        alias: None,
        why,
        at: Duration::ZERO,
        duration: Duration::ZERO,
        outcome,
        status: None,
        error: None,
        usage: None,
        service_tier: None,
        charge: Charge::default(),
    };
    let lost = Some((usage(), UsageSource::Estimated));
    [
        Tried { usage: lost, charge: Charge::whole(PicoUsd(2_000_000_000)), ..tried("old", Why::First, "cancelled") },
        tried("lab", Why::Hedge, "ok"),
        tried("lab", Why::Continuation, "broken"),
    ]
}

#[test]
fn what_lost_attempts_used_is_counted_as_theirs() {
    let routed = |timeline| Record { route: Some("fast"), timeline: Timeline::Tried(timeline), ..record() };
    let runtime = Runtime { deployments: vec![deployment("lab"), deployment("old")], ..runtime(Target::Off) };
    let telemetry = Telemetry::new(&runtime).unwrap();
    finish(&telemetry, &routed(&timeline()));
    finish(&telemetry, &Record { route: None, timeline: Timeline::Tried(&timeline()[..1]), ..record() });
    let text = telemetry.render();
    let of = |name: &str, provider: &str, more: &str| {
        value(&text, &format!("{name}{{model=\"echo\",provider=\"{provider}\"{more}}}"))
    };
    assert_eq!(of("weir_tokens_total", "old", r#",tenant="acme",type="input""#), Some(30.0));
    assert_eq!(of("weir_tokens_total", "lab", r#",tenant="acme",type="input""#), Some(30.0));
    assert_eq!(of("weir_cost_usd_total", "old", r#",tenant="acme""#), Some(0.004));
    assert_eq!(of("weir_unknown_usage_total", "old", ""), Some(2.0));
    assert_eq!(of("weir_requests_total", "old", r#",route="other",status="200",tenant="acme""#), Some(0.0));
    let route = |name: &str, more: &str| value(&text, &format!("{name}{{{more}}}"));
    assert_eq!(of("weir_route_choices_total", "old", r#",route="other""#), Some(1.0), "not those without a route");
    let attempts = |outcome: &str, provider: &str| {
        route("weir_attempts_total", &format!(r#"outcome="{outcome}",provider="{provider}""#))
    };
    assert_eq!((attempts("cancelled", "old"), attempts("ok", "lab")), (Some(2.0), Some(1.0)));
    assert_eq!(route("weir_hedges_total", r#"outcome="won",route="other""#), Some(1.0));
    assert_eq!(route("weir_continuations_total", r#"outcome="broken",route="other""#), Some(1.0));
    assert_eq!(route("weir_route_input_tokens_total", r#"route="direct""#), Some(15.0));
    assert_eq!(route("weir_route_cached_tokens_total", r#"route="direct""#), Some(5.0));
}

fn balance(spent: i128) -> Balance {
    let budget = Budget::hard(Unit::Tokens, 100, Period::plain(Per::Month));
    Balance { budget, spent, reserved: 15, resets_at_ms: None }
}

#[test]
fn marks_of_budgets_are_counted_by_what_the_configuration_names() {
    let telemetry = telemetry();
    let crossed = |scope| Crossed { scope, budget: balance(0).budget, percent: 80, spent: 80 };
    let user = |tenant: &str, user: &str| Scope::User { tenant: tenant.into(), user: user.into() };
    telemetry.budget_crossed(&crossed(Scope::Tenant("acme".into())));
    (0..50).for_each(|n| telemetry.budget_crossed(&crossed(user("acme", &format!("invented-{n}")))));
    telemetry.budget_crossed(&crossed(user("gone", "ada")));
    let text = telemetry.render();
    let count = |labels: &str| {
        value(&text, &format!("weir_budget_crossed_total{{budget=\"tokens_month\",percent=\"80\",{labels}}}"))
    };
    assert_eq!(count(r#"scope="tenant",tenant="acme""#), Some(1.0));
    assert_eq!(
        (count(r#"scope="user",tenant="acme""#), count(r#"scope="user",tenant="other""#)),
        (Some(50.0), Some(1.0))
    );
}

#[test]
fn budgets_are_those_of_the_last_scrape() {
    let telemetry = telemetry();
    telemetry.budgets([("acme", balance(0)), ("gone", balance(0))].into_iter());
    telemetry.budgets([("acme", balance(25))].into_iter());
    let left = |tenant: &str| {
        let series = format!("weir_budget_remaining_ratio{{budget=\"tokens_month\",tenant=\"{tenant}\"}}");
        value(&telemetry.render(), &series)
    };
    assert_eq!((left("acme"), left("gone")), (Some(0.6), None));
}

#[test]
fn requests_in_flight_are_counted_until_they_end() {
    let telemetry = telemetry();
    let (first, second) = (telemetry.in_flight(), telemetry.in_flight());
    assert_eq!(value(&telemetry.render(), "weir_inflight_requests"), Some(2.0));
    drop((first, second));
    assert_eq!(value(&telemetry.render(), "weir_inflight_requests"), Some(0.0));
}

#[test]
fn every_metric_on_the_list_is_served_with_its_labels_and_no_other() {
    let telemetry = telemetry();
    finish(&telemetry, &record());
    let scope = Scope::Tenant("acme".into());
    telemetry.budget_crossed(&Crossed { scope, budget: balance(0).budget, percent: 80, spent: 80 });
    telemetry.tool_called("acme", "weir_uuid", "ok", Duration::ZERO);
    telemetry.compared("acme", Sameness::Other);
    telemetry.compressed("acme", Duration::ZERO, [("repeats", 7)].into_iter());
    telemetry.throttled("acme", "key_requests");
    telemetry.attempt("lab", "ok");
    telemetry.fallback("lab", "lab", "timeout");
    telemetry.endpoints(&[seen("lab#1", true)]);
    let decisions = ["hide:mask:email:2".to_owned(), "hide:mask:cards:3".to_owned()];
    finish(&telemetry, &Record { guards: Texts::Plain(&decisions), ..record() });
    let masked = "weir_guard_decisions_total{action=\"mask\",guard=\"hide\",tenant=\"acme\"}";
    assert_eq!(value(&telemetry.render(), masked), Some(5.0));
    finish(&telemetry, &Record { cache: Some("hit"), ..record() });
    assert_eq!(value(&telemetry.render(), "weir_cache_requests_total{result=\"hit\",tenant=\"acme\"}"), Some(1.0));
    finish(&telemetry, &Record { route: Some("fast"), timeline: Timeline::Tried(&timeline()), ..record() });
    telemetry.credential_refresh_failed("lab");
    telemetry.budgets([("acme", balance(25))].into_iter());
    telemetry.alerts(&[("unknown_price", 1)], &[("on-call".to_owned(), "delivered", 1)], 0);
    telemetry.failed("timeout");
    telemetry.turned(true);
    let exported = telemetry.exported();
    [Exported::exported, Exported::dropped].iter().for_each(|count| count(&exported, "traces", 1));
    exported.failed("traces");
    let text = telemetry.render();
    let served: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut listed: Vec<&str> = Metric::ALL.iter().map(|metric| metric.spec().name).collect();
    listed.sort_unstable();
    assert_eq!(served, listed);
    for metric in Metric::ALL {
        let spec = metric.spec();
        let line = text.lines().find(|line| !line.starts_with('#') && line.starts_with(spec.name)).unwrap();
        for label in spec.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line}");
        }
    }
}

#[test]
fn records_are_kept_where_no_line_is_written() {
    let telemetry = telemetry();
    finish(&telemetry, &Record { timeline: Timeline::Tried(&timeline()), ..record() });
    assert!(telemetry.flush(Duration::from_secs(60)));
    let row = telemetry.kept().one("00000000-0000-0000-0000-000000000000", |_| true).unwrap();
    #[expect(clippy::disallowed_types, reason = "a test reads its own output")]
    let row: serde_json::Value = serde_json::from_slice(&row).unwrap();
    assert_eq!(row["timeline"].as_array().unwrap().len(), 3);
    assert_eq!(row["timeline"][0]["cost_pico_usd"], json!(2_000_000_000));
}

#[test]
fn the_line_and_the_metrics_come_from_one_call() {
    let path = std::env::temp_dir().join(format!("weir-telemetry-{}.log", Uuid::now_v7()));
    let telemetry = Telemetry::new(&runtime(Target::File(path.clone(), None))).unwrap();
    finish(&telemetry, &record());
    assert!(telemetry.flush(Duration::from_secs(60)));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(r#"{"request_id":"00000000-"#) && text.ends_with("}\n"), "{text}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_sample_leaves_out_what_went_well_and_never_a_failure() {
    let path = std::env::temp_dir().join(format!("weir-sample-{}.log", Uuid::now_v7()));
    let mut runtime = runtime(Target::File(path.clone(), None));
    runtime.telemetry.records = Fraction(0);
    let telemetry = Telemetry::new(&runtime).unwrap();
    finish(&telemetry, &record());
    finish(&telemetry, &Record { status: 429, outcome: Outcome::Failed, ..record() });
    finish(&telemetry, &Record { outcome: Outcome::ClientCut, ..record() });
    runtime.telemetry.records = Fraction::ALL;
    telemetry.bind(&runtime).unwrap();
    finish(&telemetry, &Record { status: 201, ..record() });
    assert!(telemetry.flush(Duration::from_secs(60)));
    let text = std::fs::read_to_string(&path).unwrap();
    let written: Vec<&str> = text.lines().filter_map(|line| line.split("\"status\":").nth(1)?.get(..3)).collect();
    assert_eq!(written, ["429", "200", "201"]);
    assert_eq!(telemetry.kept().count(), 4, "the admin API has all");
    std::fs::remove_file(&path).unwrap();
    let good = |_: &u32| Record { request_id: Uuid::now_v7(), ..record() };
    let taken = |part| (0..4_000_u32).filter(|n| is_written(Fraction(part), &good(n))).count();
    assert_eq!((taken(0), taken(1_000_000)), (0, 4_000));
    // 1 000, and 27 is its deviation.
    assert!((800..1_200).contains(&taken(250_000)));
}

#[test]
fn an_access_log_that_rotates_loses_no_line() {
    let dir = std::env::temp_dir().join(format!("weir-rotates-{}", Uuid::now_v7()));
    std::fs::create_dir(&dir).unwrap();
    let rotation = configured::Rotation { most_bytes: 2_000, keep: 100 };
    let telemetry = Telemetry::new(&runtime(Target::File(dir.join("a.log"), Some(rotation)))).unwrap();
    for _ in 0..20 {
        finish(&telemetry, &record());
        assert!(telemetry.flush(Duration::from_secs(60)));
    }
    let texts: Vec<String> =
        std::fs::read_dir(&dir).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(
        texts.len() > 4 && texts.iter().all(|text| text.len() <= 2_000 && text.ends_with("}\n")),
        "{}",
        texts.len()
    );
    assert_eq!(texts.iter().map(|text| text.lines().count()).sum::<usize>(), 20);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn why_requests_failed_is_a_word_of_ours() {
    let telemetry = telemetry();
    let timeline = timeline();
    finish(&telemetry, &record());
    for error in ["invented-by-a-provider", "invented-too"] {
        let failed = Record { status: 502, outcome: Outcome::Failed, error: Some(error), ..record() };
        finish(&telemetry, &failed);
        finish(&telemetry, &Record { timeline: Timeline::Tried(&timeline[..1]), ..failed });
    }
    let text = telemetry.render();
    let target = r#"gen_ai_operation_name="chat",gen_ai_provider_name="simulator",gen_ai_request_model="echo""#;
    for name in ["gen_ai_client_operation_duration_seconds_count", "gen_ai_server_request_duration_seconds_count"] {
        let counted = |error: &str| value(&text, &format!(r#"{name}{{error_type="{error}",{target}}}"#));
        assert_eq!((counted(""), counted("failed")), (Some(1.0), Some(2.0)));
        assert_eq!(counted(timeline[0].outcome), Some(2.0), "{}", timeline[0].outcome);
    }
    assert!(!text.contains("invented"));
}

#[test]
fn streams_have_the_time_of_their_first_piece_and_of_each_token() {
    let telemetry = telemetry();
    finish(&telemetry, &record());
    let (duration, ttft) = (Duration::from_millis(900), Some(Duration::from_millis(100)));
    finish(&telemetry, &Record { stream: true, duration, ttft, ..record() });
    let estimated = Some(UsageSource::Estimated);
    finish(&telemetry, &Record { stream: true, duration, ttft, usage_source: estimated, ..record() });
    let text = telemetry.render();
    let target = r#"{gen_ai_operation_name="chat",gen_ai_provider_name="simulator",gen_ai_request_model="echo"}"#;
    let of = |name: &str| value(&text, &format!("{name}{target}")).unwrap();
    assert_eq!(of("gen_ai_client_operation_time_to_first_chunk_seconds_count"), 2.0);
    assert_eq!(of("gen_ai_server_time_per_output_token_seconds_count"), 1.0, "of counts that were reported");
    // 800 ms for the eight tokens after the first.
    assert!((of("gen_ai_server_time_per_output_token_seconds_sum") - 0.1).abs() < 1e-9);
    let used = |name: &str, modality: &str| {
        let labels = target.replace('}', &format!(r#",gen_ai_token_modality="{modality}"}}"#));
        value(&text, &format!("gen_ai_client_inference_usage_{name}_tokens_total{labels}"))
    };
    assert_eq!(
        (used("input", "unknown"), used("output", "unknown"), used("input", "audio")),
        (Some(45.0), Some(27.0), Some(0.0))
    );
    assert_eq!((used("cache_read_input", "unknown"), used("reasoning_output", "unknown")), (Some(15.0), Some(6.0)));
    let audio = Usage { audio_input_tokens: 4, ..usage() };
    finish(&telemetry, &Record { usage: Some(audio), ..record() });
    let text = telemetry.render();
    let labels = target.replace('}', r#",gen_ai_token_modality="audio"}"#);
    assert_eq!(value(&text, &format!("gen_ai_client_inference_usage_input_tokens_total{labels}")), Some(4.0));
}
