//! What an OpenTelemetry collector gets, and what becomes of requests when it gets nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, message, streamed};
use crate::rounds;
use crate::support::gateway::{Gateway, PROVIDER_KEY, config, full_config};
use crate::support::simulated::Simulated;
use crate::support::upstream::{Conn, Request, Upstream};
use crate::support::wait::{Gate, Opens, until};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const TOKEN: &str = "Basic b3RscC1oZWFkZXItY2FuYXJ5";

fn takes() -> Upstream {
    Upstream::start(|_, conn| conn.json(200, ""))
}

/// A gateway that exports there.
fn exporting(openai: std::net::SocketAddr, collector: &Upstream, more: &str) -> Gateway {
    let otlp = format!(
        "  otlp: {{endpoint: \"http://{}\", headers: {{authorization: \"{TOKEN}\"}}, interval: 1s{more}}}",
        collector.address
    );
    Gateway::start(&config(openai, openai, &otlp))
}

/// What it got of one signal.
fn bodies<T: prost::Message + Default>(collector: &Upstream, path: &str) -> Vec<T> {
    let all = collector.requests().into_iter().filter(|request| request.path == path);
    all.map(|request| {
        let head = (request.method.as_str(), request.header("content-type"), request.header("authorization"));
        assert_eq!(head, ("POST", Some("application/x-protobuf"), Some(TOKEN)));
        T::decode(request.body.as_slice()).expect("well-formed")
    })
    .collect()
}

fn check_resource(resource: Option<&Resource>) {
    let all = attributes(&resource.expect("a resource").attributes);
    assert_eq!(all["service.name"], "weir");
    assert!(all.contains_key("service.version") && all.contains_key("service.instance.id"), "{all:?}");
}

fn spans(collector: &Upstream) -> Vec<Span> {
    let all = bodies::<ExportTraceServiceRequest>(collector, "/v1/traces").into_iter().flat_map(|it| it.resource_spans);
    all.flat_map(|one| {
        check_resource(one.resource.as_ref());
        one.scope_spans.into_iter().flat_map(|scope| scope.spans)
    })
    .collect()
}

/// The spans once there are that many of requests.
fn wait_spans(collector: &Upstream, requests: usize) -> Vec<Span> {
    until("spans", || {
        let all = spans(collector);
        (all.iter().filter(|span| span.kind == SERVER).count() >= requests).then_some(all)
    })
}

fn logs(collector: &Upstream) -> Vec<LogRecord> {
    let all = bodies::<ExportLogsServiceRequest>(collector, "/v1/logs").into_iter().flat_map(|it| it.resource_logs);
    all.flat_map(|one| one.scope_logs.into_iter().flat_map(|scope| scope.log_records)).collect()
}

/// The last reading.
fn metrics(collector: &Upstream) -> Option<Vec<Metric>> {
    let last = bodies::<ExportMetricsServiceRequest>(collector, "/v1/metrics").pop()?;
    let [one] = <[_; 1]>::try_from(last.resource_metrics).unwrap();
    check_resource(one.resource.as_ref());
    Some(one.scope_metrics.into_iter().flat_map(|scope| scope.metrics).collect())
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, Value> {
    let value = |value: &Any| match value {
        Any::StringValue(text) => json!(text),
        Any::BoolValue(truth) => json!(truth),
        Any::IntValue(number) => json!(number),
        Any::DoubleValue(number) => json!(number),
        other => json!(format!("{other:?}")),
    };
    let read: BTreeMap<_, _> =
        all.iter().map(|it| (it.key.clone(), value(it.value.as_ref().unwrap().value.as_ref().unwrap()))).collect();
    assert_eq!(read.len(), all.len(), "each attribute once: {all:?}");
    read
}

/// A name, and whether a value fits it.
type Attribute = (&'static str, fn(&Value) -> bool);

/// The GenAI attributes of the conventions that are sent here, and what they hold.
const GEN_AI: [Attribute; 11] = [
    ("gen_ai.response.model", Value::is_string),
    ("gen_ai.operation.name", Value::is_string),
    ("gen_ai.provider.name", Value::is_string),
    ("gen_ai.request.model", Value::is_string),
    ("gen_ai.request.stream", Value::is_boolean),
    ("gen_ai.response.time_to_first_chunk", Value::is_f64),
    ("gen_ai.usage.input_tokens", Value::is_i64),
    ("gen_ai.usage.output_tokens", Value::is_i64),
    ("gen_ai.usage.cache_read.input_tokens", Value::is_i64),
    ("gen_ai.usage.cache_creation.input_tokens", Value::is_i64),
    ("gen_ai.usage.reasoning.output_tokens", Value::is_i64),
];
/// Of other conventions.
const GENERAL: [Attribute; 4] = [
    ("server.address", Value::is_string),
    ("server.port", Value::is_i64),
    ("http.response.status_code", Value::is_i64),
    ("error.type", Value::is_string),
];

/// Whether a span is what OTLP and the conventions say of one, whatever it is of.
fn check(span: &Span) -> BTreeMap<String, Value> {
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8), "{span:?}");
    assert!(span.trace_id.iter().any(|b| *b != 0) && span.span_id.iter().any(|b| *b != 0));
    assert!(
        span.start_time_unix_nano > 1_700_000_000_000_000_000 && span.end_time_unix_nano >= span.start_time_unix_nano
    );
    assert!(!span.name.is_empty() && span.flags & 1 == 1);
    let all = attributes(&span.attributes);
    for (name, value) in &all {
        let known = GEN_AI.iter().chain(&GENERAL).find(|(known, _)| known == name);
        match known {
            Some((_, fits)) => assert!(fits(value), "{name}: {value}"),
            None => assert!(name.starts_with("weir."), "{name} is nobody's"),
        }
    }
    if span.kind == CLIENT {
        for name in
            ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "server.address", "server.port"]
        {
            assert!(all.contains_key(name), "{name} is missing: {all:?}");
        }
        let name = format!("{} {}", text(&all, "gen_ai.operation.name"), text(&all, "gen_ai.request.model"));
        assert_eq!(span.name, name);
    }
    all
}

fn text<'a>(all: &'a BTreeMap<String, Value>, name: &str) -> &'a str {
    all[name].as_str().unwrap()
}

#[test]
fn a_collector_gets_a_span_of_each_request_and_of_each_attempt() {
    let (sim, collector) = (Simulated::start(), takes());
    let gateway = exporting(sim.address, &collector, "");
    for (path, body) in both("openai/gpt-4o-mini", "one two three") {
        assert_eq!(gateway.post(path, &body).status(), 200);
        assert_eq!(gateway.post(path, &streamed(body)).status(), 200);
    }
    assert_eq!(gateway.post(CHAT, &chat("nobody/knows-this", "hi")).status(), 404);
    let records = gateway.wait_records(5);
    let all = wait_spans(&collector, 5);
    let ids: BTreeSet<&[u8]> = all.iter().map(|span| span.span_id.as_slice()).collect();
    assert_eq!((all.len(), ids.len()), (9, 9), "five requests and four attempts, each once");
    for record in &records {
        let own: Vec<&Span> = all.iter().filter(|span| hex::encode(&span.trace_id) == record["trace_id"]).collect();
        let request = own.iter().find(|span| span.kind == SERVER).unwrap();
        let told = check(request);
        assert_eq!((&told["weir.request_id"], &told["weir.tenant"]), (&record["request_id"], &record["tenant"]));
        assert_eq!(told["http.response.status_code"], record["status"]);
        let attempts: Vec<&&Span> = own.iter().filter(|span| span.kind == CLIENT).collect();
        assert_eq!(attempts.len(), usize::from(record["status"] == 200));
        for attempt in attempts {
            assert_eq!(attempt.parent_span_id, request.span_id);
            assert!(attempt.start_time_unix_nano >= request.start_time_unix_nano);
            let all = check(attempt);
            let tokens = (&all["gen_ai.usage.input_tokens"], &all["gen_ai.usage.output_tokens"]);
            assert_eq!(tokens, (&record["input_tokens"], &record["output_tokens"]));
            let streams = (&all["gen_ai.request.stream"], all.contains_key("gen_ai.response.time_to_first_chunk"));
            assert_eq!(streams, (&record["stream"], record["stream"] == true));
            assert_eq!((text(&all, "gen_ai.operation.name"), text(&all, "server.address")), ("chat", "127.0.0.1"));
            assert_eq!(text(&all, "gen_ai.response.model"), "gpt-4o-mini", "as the simulator names it");
            assert_eq!(all["server.port"], json!(sim.address.port()));
        }
    }
    let taken = |signal: &str| gateway.metric("weir_otlp_exported_total", &[&format!("signal=\"{signal}\"")]);
    until("what was taken to be counted", || (taken("traces") == 5.0).then_some(()));
}

#[test]
fn attempts_that_failed_are_spans_too_and_providers_are_told_of_them() {
    let collector = takes();
    let upstream = Upstream::start(|request, conn| match request.number {
        0 => conn.json(429, r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#),
        _ => conn.json(200, &chat_answer("hi")),
    });
    let gateway = exporting(upstream.address, &collector, "");
    let parent = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let answer = gateway.call_with("POST", CHAT, &parent, &chat("openai/gpt-4o-mini", "hi"));
    assert_eq!(answer.status(), 200);
    let all = wait_spans(&collector, 1);
    assert!(all.iter().all(|span| hex::encode(&span.trace_id) == "4bf92f3577b34da6a3ce929d0e0e4736"));
    let request = all.iter().find(|span| span.kind == SERVER).unwrap();
    assert_eq!(hex::encode(&request.parent_span_id), "00f067aa0ba902b7");
    let attempts: Vec<&Span> = all.iter().filter(|span| span.kind == CLIENT).collect();
    let told: Vec<String> = upstream.requests().iter().map(|it| it.header("traceparent").unwrap().to_owned()).collect();
    let own = |span: &&Span| format!("00-{}-{}-01", hex::encode(&span.trace_id), hex::encode(&span.span_id));
    assert_eq!(attempts.iter().map(own).collect::<Vec<_>>(), told);
    let [failed, good] = [check(attempts[0]), check(attempts[1])];
    assert_eq!((text(&failed, "error.type"), &failed["http.response.status_code"]), ("rate_limited", &json!(429)));
    assert_eq!((attempts[0].status.as_ref().unwrap().code, &attempts[1].status), (2, &None));
    assert_eq!((good.get("error.type"), text(&good, "weir.attempt.kind")), (None, "retry"));
}

#[test]
fn metrics_and_access_records_come_with_it() {
    let (sim, collector) = (Simulated::start(), takes());
    let gateway = exporting(sim.address, &collector, ", resource: {deployment.environment.name: test}");
    assert_eq!(gateway.post(MESSAGES, &streamed(message("openai/gpt-4o-mini", "one two three"))).status(), 200);
    assert_eq!(gateway.post(CHAT, &chat("nobody/knows-this", "hi")).status(), 404);
    let records = gateway.wait_records(2);
    let all = until("log records", || Some(logs(&collector)).filter(|all| all.len() >= 2));
    assert_eq!(all.len(), 2);
    for (log, record) in all.iter().zip(&records) {
        let Some(Any::StringValue(line)) = log.body.as_ref().unwrap().value.as_ref() else { panic!("{log:?}") };
        assert_eq!(&serde_json::from_str::<Value>(line).unwrap(), record, "the access record, as it is");
        assert_eq!(hex::encode(&log.trace_id), record["trace_id"].as_str().unwrap());
        let severity = if record["status"] == 200 { "INFO" } else { "WARN" };
        assert_eq!((log.severity_text.as_str(), log.event_name.as_str()), (severity, "weir.request"));
        assert_eq!(attributes(&log.attributes)["weir.request_id"], record["request_id"]);
        let span = wait_spans(&collector, 2).into_iter().find(|it| it.kind == SERVER && it.trace_id == log.trace_id);
        assert_eq!(span.unwrap().span_id, log.span_id);
    }
    let of = |name: &str| {
        until("a reading with both requests", || {
            let all = metrics(&collector)?;
            let requests = all.iter().find(|metric| metric.name == "weir_requests_total")?;
            let Some(Data::Sum(sum)) = &requests.data else { panic!("{requests:?}") };
            (sum.data_points.len() >= 2).then(|| all.into_iter().find(|metric| metric.name == name))
        })
    };
    let Some(Data::Histogram(duration)) = of("gen_ai.client.operation.duration").unwrap().data else { panic!() };
    let used = duration.data_points.iter().filter(|point| point.count > 0).map(|point| attributes(&point.attributes));
    let told: BTreeSet<String> =
        used.map(|all| format!("{} {:?}", text(&all, "gen_ai.provider.name"), all.get("error.type"))).collect();
    assert_eq!(told, BTreeSet::from(["openai None".to_owned(), "none Some(String(\"failed\"))".to_owned()]));
    let used = of("gen_ai.client.inference.usage.output_tokens").unwrap();
    assert_eq!(used.unit, "{token}");
    for name in
        ["gen_ai.client.operation.time_to_first_chunk", "gen_ai.server.time_per_output_token", "weir_endpoint_healthy"]
    {
        assert!(of(name).is_some(), "{name}");
    }
}

#[test]
fn what_is_switched_off_or_not_sampled_is_not_sent() {
    let (sim, collector) = (Simulated::start(), takes());
    let more = ", metrics: false, logs: false, sample: 0";
    let gateway = exporting(sim.address, &collector, more);
    let parent = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    for headers in [&[][..], &parent[..], &[][..]] {
        assert_eq!(gateway.call_with("POST", CHAT, headers, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    }
    gateway.wait_records(3);
    wait_spans(&collector, 1);
    gateway.signal("TERM");
    let mut gateway = gateway;
    assert!(gateway.wait_exit().success(), "and all of it is out by then");
    assert_eq!(spans(&collector).iter().filter(|span| span.kind == SERVER).count(), 1, "the client's own");
    assert!(collector.requests().iter().all(|request| request.path == "/v1/traces"));
}

/// The process ends with everything sent.
#[test]
fn the_last_requests_before_the_end_are_sent() {
    let (sim, collector) = (Simulated::start(), takes());
    let mut gateway = exporting(sim.address, &collector, "");
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    let (spans, logs) = (spans(&collector), logs(&collector));
    assert_eq!((spans.len(), logs.len(), metrics(&collector).is_some()), (2, 1, true));
}

#[test]
fn a_reload_begins_and_ends_it() {
    let (sim, collector) = (Simulated::start(), takes());
    let off = config(sim.address, sim.address, "");
    let gateway = Gateway::start(&off);
    let ask = || assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    let reload = |config: &str| {
        gateway.write_config(config);
        assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    };
    ask();
    gateway.wait_records(1);
    let on = format!("  otlp: {{endpoint: \"http://{}\", headers: {{authorization: \"{TOKEN}\"}}}}", collector.address);
    reload(&config(sim.address, sim.address, &on));
    ask();
    assert_eq!(wait_spans(&collector, 1).len(), 2, "not the one before");
    reload(&format!("{off}\n# again\n"));
    ask();
    let records = gateway.wait_records(3);
    assert!(records[0]["trace_id"].is_null() && records[1]["trace_id"].is_string() && records[2]["trace_id"].is_null());
}

/// What a collector does that is no good.
type Bad = fn(&Request, &mut Conn);

/// Requests go on as if nothing were, and what is lost is counted.
#[test]
fn a_collector_that_is_down_busy_or_refuses_costs_no_request_anything() {
    let sim = Simulated::start();
    let failures: [Bad; 3] = [
        |_, conn| conn.json_with(503, &[("retry-after", "600")], ""),
        |_, conn| conn.json(400, "no"),
        |_, conn| conn.reset(),
    ];
    for bad in failures {
        let collector = Upstream::start(bad);
        let mut gateway = exporting(sim.address, &collector, "");
        for _ in 0..20 {
            assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
        }
        gateway.wait_records(20);
        until("the failure to be counted", || {
            (gateway.metric("weir_otlp_failures_total", &["signal=\"traces\""]) >= 1.0).then_some(())
        });
        let told = gateway.stderr().matches("the collector does not take what is exported").count();
        assert!((1..=3).contains(&told), "once for each signal: {told}");
        gateway.signal("TERM");
        assert!(gateway.wait_exit().success());
    }
    let gateway = exporting(sim.address, &Upstream::start(|_, conn| conn.json(400, "no")), ", logs: false");
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    until("the loss to be counted", || {
        (gateway.metric("weir_otlp_dropped_total", &["signal=\"traces\""]) == 1.0).then_some(())
    });
}

/// A collector that takes what it is sent and never answers.
#[test]
fn a_collector_that_hangs_slows_nobody_down() {
    let (sim, gate) = (Simulated::start(), Gate::default());
    let _opens = Opens(gate.clone());
    let collector = Upstream::start(move |_, conn| {
        gate.pass();
        conn.json(200, "");
    });
    let mut gateway = exporting(sim.address, &collector, "");
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    until("an export that hangs", || {
        let paths: BTreeSet<String> = collector.requests().into_iter().map(|request| request.path).collect();
        (paths.len() == 3).then_some(())
    });
    // None of these waits for the collector: it has not answered by the time that all of them are answered.
    for _ in 0..50 {
        assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    }
    let records = gateway.wait_records(51);
    let slowest = records.iter().map(|record| record["overhead_ms"].as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!(collector.requests().len(), 3, "one of each signal is on its way, and no other");
    assert!(slowest < 10_000.0, "{slowest} ms: the collector's deadline would be seen");
    // Nor does the end wait longer than it says.
    let since = std::time::Instant::now();
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}

#[test]
fn no_secret_and_no_prompt_is_exported() {
    let collector = takes();
    let upstream = Upstream::start(|request, conn| {
        let thrown = format!("{} {}", request.header("authorization").unwrap(), String::from_utf8_lossy(&request.body));
        match request.number % 2 {
            0 => conn.json(200, &chat_answer("answer-canary-4471")),
            _ => conn.json(500, &json!({"error": {"message": thrown, "type": "server_error"}}).to_string()),
        }
    });
    let gateway = exporting(upstream.address, &collector, "");
    for _ in 0..4 {
        for (path, body) in both("openai/gpt-4o-mini", "prompt-canary-8812") {
            gateway.post(path, &body);
        }
    }
    gateway.wait_records(8);
    wait_spans(&collector, 8);
    until("log records", || (logs(&collector).len() >= 8).then_some(()));
    until("metrics", || metrics(&collector));
    for request in collector.requests() {
        for canary in ["prompt-canary", "answer-canary", PROVIDER_KEY, crate::support::gateway::KEY, "b3RscC1oZWFkZXI"]
        {
            let found = memchr::memmem::find(&request.body, canary.as_bytes());
            assert!(found.is_none(), "{canary} in {}", request.path);
        }
    }
    let all = [gateway.stdout(), gateway.stderr(), gateway.admin("GET", "/admin/v1/config").text(), gateway.metrics()];
    assert!(all.iter().all(|text| !text.contains("b3RscC1oZWFkZXI")), "the header of the collector is shown");
}

#[test]
fn a_tool_that_is_run_has_a_span_without_what_it_was_told() {
    const INTERNAL: i32 = 1;
    let (upstream, collector) = (rounds::model(rounds::OWN), takes());
    let tenant = format!("    edge_tools: {}\n", rounds::ALWAYS);
    let otlp = format!(
        "  otlp: {{endpoint: \"http://{}\", headers: {{authorization: \"{TOKEN}\"}}, interval: 1s}}",
        collector.address
    );
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, &tenant, &otlp));
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "What is six times seven?")).status(), 200);
    let params = json!({"name": "weir_calculate", "arguments": {"expression": "1 / 0"}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    assert_eq!(gateway.post("/mcp", &call).status(), 200);
    let all = wait_spans(&collector, 2);
    let tools: Vec<&Span> = all.iter().filter(|span| span.name == "execute_tool weir_calculate").collect();
    assert_eq!(tools.len(), 2, "{all:?}");
    for span in &tools {
        let parent = all.iter().find(|other| other.span_id == span.parent_span_id).unwrap();
        assert_eq!((span.kind, parent.kind, &span.trace_id), (INTERNAL, SERVER, &parent.trace_id));
        assert!(parent.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(
            span.start_time_unix_nano <= span.end_time_unix_nano
                && span.end_time_unix_nano <= parent.end_time_unix_nano
        );
        let all = attributes(&span.attributes);
        assert_eq!(
            (&all["gen_ai.operation.name"], &all["gen_ai.tool.name"]),
            (&json!("execute_tool"), &json!("weir_calculate"))
        );
        let is_models = parent.name.starts_with("chat ");
        assert_eq!(all.get("gen_ai.tool.call.id").and_then(Value::as_str), is_models.then_some("call_1"));
        assert_eq!(all.get("error.type").and_then(Value::as_str), (!is_models).then_some("error"));
        assert_eq!(span.status.as_ref().is_some_and(|status| status.code == 2), !is_models);
    }
    assert!(!format!("{all:?}").contains("6 * 7") && !format!("{all:?}").contains("1 / 0"));
}
