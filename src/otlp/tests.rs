//! What is written here is read with the types that OpenTelemetry makes of its own files.

#![expect(clippy::disallowed_types, reason = "tests make JSON of any shape")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::metric::Times;
use super::proto::Out;
use super::*;
use crate::config::runtime::Deployment;
use crate::config::telemetry as configured;
use crate::record::trace::{Parent, SpanId, TraceId};
use crate::record::{OK, Outcome, Record, Step, Texts, Timeline, Why};
use crate::telemetry::Telemetry;
use crate::usage::price::{Charge, PicoUsd};
use crate::usage::tokens::{Usage, UsageSource};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const REQUEST: &str = "01936f5e-7a2b-7c3d-8e4f-5a6b7c8d9e0f";

fn runtime(is_on: bool) -> Runtime {
    let endpoint =
        BaseUrl { tls: false, host: "c".into(), port: 4318, path: String::new(), authority: "c:4318".into() };
    let otlp = configured::Otlp {
        endpoint,
        headers: Vec::new(),
        traces: true,
        metrics: true,
        logs: false,
        sample: configured::Fraction::ALL,
        interval: Duration::from_secs(60),
        service_name: "gw".into(),
        resource: vec![("team".into(), "a".into())],
    };
    let telemetry = configured::Telemetry { otlp: is_on.then_some(otlp), ..configured::Telemetry::default() };
    Runtime { deployments: vec![Arc::new(Deployment::simulated("lab"))], telemetry, ..Runtime::default() }
}

/// A request that was answered by its second attempt.
fn with_record<T>(change: impl FnOnce(&mut Record<'_>), look: impl FnOnce(&Record<'_>) -> T) -> T {
    let answered = Step {
        provider: "lab",
        endpoint: "lab",
        model: "echo",
        why: Why::Retry,
        at: Duration::from_micros(200_125),
        duration: Duration::from_micros(100_500),
        outcome: OK,
        status: Some(200),
        error: None,
        usage: None,
        service_tier: None,
        charge: Charge::default(),
    };
    let lost = Usage { fresh_input_tokens: 3, cached_tokens: 4, ..Usage::default() };
    let first = Step {
        why: Why::First,
        at: Duration::from_micros(250),
        outcome: "rate_limited",
        status: Some(429),
        usage: Some((lost, UsageSource::Estimated)),
        ..answered
    };
    let (tags, steps) = (["a=b".to_owned()], [first, answered]);
    let usage = Usage {
        fresh_input_tokens: 30,
        cached_tokens: 60,
        cache_write_tokens: 10,
        visible_output_tokens: 15,
        reasoning_tokens: 5,
        ..Usage::default()
    };
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_946_400_250);
    let mut record = Record {
        trace_id: TraceId::read(TRACE),
        tenant: Some("acme"),
        key_id: Some("dev"),
        tags: Texts::Plain(&tags),
        route: Some("fast"),
        model: Some("fast"),
        provider: Some("lab"),
        upstream_model: Some("echo"),
        response_model: Some("echo-2026"),
        stream: true,
        status: 200,
        outcome: Outcome::Finished,
        attempts: 2,
        timeline: Timeline::Steps(&steps),
        usage: Some(usage),
        usage_source: Some(UsageSource::Reported),
        charge: Charge::whole(PicoUsd(1_500_000)),
        price_version: Some("v"),
        duration: Duration::from_micros(812_345),
        ttft: Some(Duration::from_micros(300_500)),
        overhead: Duration::from_micros(210),
        ..Record::new(REQUEST.parse().unwrap(), started_at, "messages")
    };
    change(&mut record);
    look(&record)
}

fn exported(change: impl FnOnce(&mut Record<'_>)) -> Vec<Span> {
    with_record(change, spans_of)
}

fn spans_of(record: &Record<'_>) -> Vec<Span> {
    let known = Known::new(&runtime(true), "one");
    let body = known.head.export(0, |out| span::write(record, &known, out));
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let [one] = <[_; 1]>::try_from(request.resource_spans).unwrap();
    let resource = attributes(&one.resource.unwrap().attributes);
    assert_eq!((resource["service.name"].clone(), resource["team"].clone()), (json!("gw"), json!("a")));
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    let [scope] = <[_; 1]>::try_from(one.scope_spans).unwrap();
    assert_eq!(scope.scope.unwrap().name, "weir");
    scope.spans
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, Json> {
    let value = |value: &Value| match value {
        Value::StringValue(text) => json!(text),
        Value::BoolValue(truth) => json!(truth),
        Value::IntValue(number) => json!(number),
        Value::DoubleValue(number) => json!(number),
        other => json!(format!("{other:?}")),
    };
    all.iter().map(|it| (it.key.clone(), value(it.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

#[test]
fn a_request_and_its_attempts_are_spans_of_one_trace() {
    let all = exported(|_| {});
    let id: Uuid = REQUEST.parse().unwrap();
    let began_ns = 1_795_946_400_250_000_000_u64;
    let [request, first, last] = <[Span; 3]>::try_from(all).unwrap();
    assert!([&request, &first, &last].iter().all(|span| hex::encode(&span.trace_id) == TRACE));
    assert_eq!((request.name.as_str(), first.name.as_str()), ("chat fast", "chat echo"));
    // A server's span and two clients'.
    assert_eq!((request.kind, first.kind, last.kind), (2, 3, 3));
    assert_eq!(request.span_id, SpanId::of_request(id).to_bytes());
    assert_eq!(
        (request.parent_span_id.len(), &first.parent_span_id, &last.parent_span_id),
        (0, &request.span_id, &request.span_id)
    );
    assert_eq!(first.span_id, SpanId::of_attempt(id, Duration::from_micros(250)).to_bytes());
    assert_eq!(last.span_id, SpanId::of_attempt(id, Duration::from_micros(200_125)).to_bytes());
    assert_eq!((request.start_time_unix_nano, request.end_time_unix_nano), (began_ns, began_ns + 812_345_000));
    assert_eq!((last.start_time_unix_nano, last.end_time_unix_nano), (began_ns + 200_125_000, began_ns + 300_625_000));
    assert_eq!([&request, &first, &last].map(|span| span.status.as_ref().map_or(0, |status| status.code)), [0, 2, 0]);
    assert_eq!([request.flags, last.flags], [0x101, 0x101]);
}

#[test]
fn tokens_stand_on_the_attempt_that_used_them() {
    let [request, first, last] = <[Span; 3]>::try_from(exported(|_| {})).unwrap();
    let of = |span: &Span, names: [&str; 5]| {
        let all = attributes(&span.attributes);
        names.map(|name| all.get(&format!("gen_ai.usage.{name}")).and_then(Json::as_u64))
    };
    let names = [
        "input_tokens",
        "output_tokens",
        "cache_read.input_tokens",
        "cache_creation.input_tokens",
        "reasoning.output_tokens",
    ];
    assert_eq!(of(&request, names), [None; 5]);
    assert_eq!(of(&first, names), [7, 0, 4, 0, 0].map(Some));
    assert_eq!(of(&last, names), [100, 20, 60, 10, 5].map(Some));
    let (request, first, last) =
        (attributes(&request.attributes), attributes(&first.attributes), attributes(&last.attributes));
    assert_eq!((&request["weir.input_tokens"], &request["weir.cost_usd"]), (&json!(100), &json!(0.000_001_5)));
    assert_eq!(
        (&request["gen_ai.response.time_to_first_chunk"], &last["gen_ai.response.time_to_first_chunk"]),
        (&json!(0.3005), &json!(0.100_375))
    );
    let named =
        |all: &BTreeMap<String, Json>| all.get("gen_ai.response.model").and_then(Json::as_str).map(str::to_owned);
    let answer = Some("echo-2026".to_owned());
    assert_eq!([named(&request), named(&first), named(&last)], [answer.clone(), None, answer]);
    assert_eq!(
        (&first["error.type"], first.get("gen_ai.response.time_to_first_chunk")),
        (&json!("rate_limited"), None)
    );
    assert_eq!(
        (&last["server.address"], &last["server.port"], &last["gen_ai.provider.name"]),
        (&json!("h"), &json!(1), &json!("simulator"))
    );
    assert_eq!((&first["http.response.status_code"], last.get("error.type")), (&json!(429), None));
}

#[test]
fn a_clients_trace_is_gone_on_with_and_its_word_on_sampling_holds() {
    let parent = |flags: &str| Parent::read(format!("00-{TRACE}-00f067aa0ba902b7-{flags}").as_bytes());
    let [request, ..] = <[Span; 3]>::try_from(exported(|it| it.traceparent = parent("01"))).unwrap();
    assert_eq!((hex::encode(&request.parent_span_id).as_str(), request.flags), ("00f067aa0ba902b7", 0x301));
    let sampled = |parent, ppm| {
        let look = |it: &Record<'_>| Traced::of(it).unwrap().is_sampled(configured::Fraction(ppm));
        with_record(|it| it.traceparent = parent, look)
    };
    assert!(sampled(parent("01"), 0) && !sampled(parent("00"), 1_000_000));
    assert!(sampled(None, 1_000_000) && !sampled(None, 0));
    assert!(with_record(|it| it.trace_id = None, |it| Traced::of(it).is_none()));
    assert!(TraceId::read(TRACE).unwrap().is_in(configured::Fraction::ALL));
}

#[test]
fn what_failed_says_so_and_a_client_that_left_is_no_error() {
    let ends = |status: u16, outcome: Outcome, error: Option<&'static str>| {
        let span = &exported(|it| (it.status, it.outcome, it.error) = (status, outcome, error))[0];
        let why = attributes(&span.attributes).get("error.type").and_then(Json::as_str).map(str::to_owned);
        (span.status.as_ref().map_or(0, |status| status.code), why)
    };
    assert_eq!(ends(503, Outcome::Failed, Some("no_healthy_upstream")), (2, Some("no_healthy_upstream".into())));
    assert_eq!(ends(429, Outcome::Failed, Some("rate_limit_exceeded")), (0, Some("rate_limit_exceeded".into())));
    assert_eq!(ends(200, Outcome::UpstreamCut, None), (2, Some("upstream_cut".into())));
    assert_eq!(ends(499, Outcome::ClientCut, None), (0, Some("client_cut".into())));
    assert_eq!(ends(200, Outcome::Finished, None), (0, None));
}

#[test]
fn metrics_are_what_a_scrape_shows() {
    let telemetry = Telemetry::new(&runtime(true)).unwrap();
    let record = |ms, status| Record {
        status,
        outcome: Outcome::Finished,
        provider: Some("lab"),
        duration: Duration::from_millis(ms),
        ..Record::new(Uuid::now_v7(), SystemTime::now(), "chat")
    };
    // One in the third bucket, one beyond the last.
    for record in [record(30, 200), record(100_000, 200), record(30, 500)] {
        telemetry.finish(&record, Vec::new());
    }
    let times = Times { start_ns: 5, now_ns: 9 };
    let all = telemetry.gather();
    let body = Known::new(&runtime(true), "one").head.export(0, |out| metric::write(&all, times, out));
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    let all = &request.resource_metrics[0].scope_metrics[0].metrics;
    let of = |name: &str| all.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
    let duration = of("gen_ai.client.operation.duration");
    assert_eq!(duration.unit, "s");
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    assert_eq!((histogram.aggregation_temporality, histogram.data_points.len()), (2, 2));
    let good = histogram.data_points.iter().find(|point| !attributes(&point.attributes).contains_key("error.type"));
    let good = good.unwrap();
    assert_eq!(good.explicit_bounds, (0..14).map(|n| 0.01 * f64::from(1 << n)).collect::<Vec<_>>());
    assert_eq!((good.count, good.bucket_counts.iter().sum::<u64>(), good.bucket_counts.len()), (2, 2, 15));
    assert_eq!((good.bucket_counts[2], good.bucket_counts[14], good.sum), (1, 1, Some(100.03)));
    assert_eq!((good.start_time_unix_nano, good.time_unix_nano), (5, 9));
    assert_eq!(attributes(&good.attributes)["gen_ai.operation.name"], "chat");
    let Some(Data::Sum(sum)) = &of("weir_requests_total").data else { panic!() };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2 && sum.data_points.len() == 2);
    let Some(Data::Gauge(gauge)) = &of("weir_inflight_requests").data else { panic!() };
    assert_eq!(format!("{:?}", gauge.data_points[0].value), "Some(AsDouble(0.0))", "a 0 is a value");
}

#[test]
fn a_feed_that_nobody_empties_is_bounded_and_says_what_it_lost() {
    let telemetry = Telemetry::new(&runtime(true)).unwrap();
    let otlp = Otlp::new(&runtime(true), telemetry.exported());
    let record = |packed: &Arc<[u8]>| with_record(|_| {}, |it| otlp.record(it, packed));
    let short = Arc::from(b"{}".as_slice());
    for _ in 0..MOST_WAITING + 3 {
        record(&short);
    }
    assert!(telemetry.render().contains("weir_otlp_dropped_total{signal=\"traces\"} 3\n"), "logs are off");
    assert_eq!(otlp.take().len(), MOST_WAITING);
    let long = Arc::from(vec![b' '; MOST_BYTES / 2 + 1]);
    record(&long);
    record(&long);
    assert_eq!(otlp.take().len(), 1, "their bytes are bounded too");
    // Nobody is there who would export: nobody waits.
    otlp.flush(Duration::from_secs(600));
    otlp.bind(&runtime(false));
    record(&short);
    assert!(otlp.take().is_empty());
}

#[test]
fn ten_thousand_invented_names_make_no_series() {
    let telemetry = Telemetry::new(&runtime(true)).unwrap();
    let points = || {
        let (all, times) = (telemetry.gather(), Times { start_ns: 1, now_ns: 2 });
        Known::new(&runtime(true), "one").head.export(0, |out| metric::write(&all, times, out)).len()
    };
    let invented = |name: &str| {
        let (tags, status) = ([format!("team={name}")], 200);
        let record = Record {
            tenant: Some(name),
            key_id: Some(name),
            user: Some(name),
            tags: Texts::Plain(&tags),
            route: Some(name),
            model: Some(name),
            provider: Some(name),
            upstream_model: Some(name),
            error: Some(name),
            status,
            outcome: Outcome::Failed,
            ..Record::new(Uuid::now_v7(), SystemTime::now(), name)
        };
        telemetry.finish(&record, Vec::new());
        telemetry.throttled(name, "key_requests");
        telemetry.fallback(name, name, "timeout");
    };
    invented("the-first");
    let before = points();
    (0..10_000).for_each(|n| invented(&format!("name-{n}")));
    // Counts are written in as many bytes, whatever they are.
    assert_eq!(points(), before);
    assert!(!telemetry.render().contains("name-"));
}

#[test]
fn only_what_is_wanted_is_kept() {
    let of = |traces: bool, logs: bool, sample: u32, records: u32| {
        let mut runtime = runtime(true);
        let otlp = runtime.telemetry.otlp.as_mut().unwrap();
        (otlp.traces, otlp.logs, otlp.sample) = (traces, logs, configured::Fraction(sample));
        runtime.telemetry.records = configured::Fraction(records);
        let known = Known::new(&runtime, "one");
        let wanted = with_record(|_| {}, |record| Wanted::of(record, &known));
        wanted.signals().collect::<Vec<_>>()
    };
    const ALL: u32 = 1_000_000;
    assert_eq!(of(true, true, ALL, ALL), [Signal::Traces, Signal::Logs]);
    assert_eq!((of(true, true, 0, ALL), of(true, true, ALL, 0)), (vec![Signal::Logs], vec![Signal::Traces]));
    assert_eq!(of(true, false, ALL, ALL), [Signal::Traces]);
    assert!(of(true, true, 0, 0).is_empty() && of(false, false, ALL, ALL).is_empty());
}

/// Any of these, or none.
fn maybe<T: Clone + std::fmt::Debug>(some: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(some)
}

/// Long enough that lengths are of one byte and of two.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => ".{0,12}", 1 => ".{90,140}"]
}

fn usages() -> impl Strategy<Value = Option<Usage>> {
    let usage = |(a, b, c, d): (u64, u64, u64, u64)| Usage {
        fresh_input_tokens: a,
        cached_tokens: b,
        visible_output_tokens: c,
        reasoning_tokens: d,
        ..Usage::default()
    };
    let count = || prop_oneof![0..200_u64, 0..u64::MAX / 8];
    maybe((count(), count(), count(), count()).prop_map(usage))
}

fn charges() -> impl Strategy<Value = Charge> {
    let pico = prop_oneof![any::<i32>().prop_map(i128::from), any::<i64>().prop_map(i128::from), any::<i128>()];
    prop_oneof![Just(Charge::default()), pico.prop_map(|pico| Charge::whole(PicoUsd(pico)))]
}

/// What a step is made of.
#[derive(Debug, Clone)]
struct Made {
    texts: [String; 2],
    endpoint: &'static str,
    why: Why,
    times_us: [u64; 2],
    outcome: &'static str,
    status: Option<u16>,
    error: Option<String>,
    usage: Option<Usage>,
}

impl Made {
    fn step(&self) -> Step<'_> {
        let [provider, model] = &self.texts;
        let [at, duration] = self.times_us.map(Duration::from_micros);
        Step {
            provider,
            endpoint: self.endpoint,
            model,
            why: self.why,
            at,
            duration,
            outcome: self.outcome,
            status: self.status,
            error: self.error.as_deref(),
            usage: self.usage.map(|usage| (usage, UsageSource::Estimated)),
            service_tier: None,
            charge: Charge::default(),
        }
    }
}

const TIME_US: u64 = 1 << 40;

fn steps() -> impl Strategy<Value = Vec<Made>> {
    let endpoint = prop_oneof![Just("lab"), Just("gone"), Just("")];
    let outcome = prop_oneof![3 => Just(OK), 1 => Just("cancelled"), 1 => Just("client_gone"), 1 => Just("failed")];
    let parts = (
        [text(), text()],
        endpoint,
        prop::sample::select(&Why::ALL[..]),
        [0..TIME_US, 0..TIME_US],
        outcome,
        maybe(any::<u16>()),
        maybe(text()),
        usages(),
    );
    let made = parts.prop_map(|(texts, endpoint, why, times_us, outcome, status, error, usage)| Made {
        texts,
        endpoint,
        why,
        times_us,
        outcome,
        status,
        error,
        usage,
    });
    prop::collection::vec(made, 0..4)
}

type Parts = (
    (u128, Option<u128>, Option<(u64, bool)>, u64),
    [Option<String>; 8],
    (String, Vec<String>, Vec<String>),
    (bool, u16, Outcome, u32, bool),
    (Option<Usage>, Charge),
    ([u64; 2], Option<u64>),
    Vec<Made>,
);

fn parts() -> impl Strategy<Value = Parts> {
    let known = prop_oneof![Just("chat".to_owned()), Just("embeddings".to_owned()), text()];
    let list = || prop::collection::vec(text(), 0..3);
    (
        (any::<u128>(), maybe(1..u128::MAX), maybe((1..u64::MAX, any::<bool>())), 0..TIME_US),
        std::array::from_fn::<_, 8, _>(|_| maybe(text())),
        (known, list(), list()),
        (any::<bool>(), any::<u16>(), prop::sample::select(&Outcome::ALL[..]), any::<u32>(), any::<bool>()),
        (usages(), charges()),
        ([0..TIME_US, 0..TIME_US], maybe(0..TIME_US)),
        steps(),
    )
}

/// As the exporter sees a record: packed and read again.
fn with_parts(parts: &Parts, look: impl FnOnce(&Record<'_>)) {
    let ((id, trace, parent, started_ms), texts, (format, tags, dropped), state, (usage, charge), times, made) = parts;
    let steps: Vec<Step<'_>> = made.iter().map(Made::step).collect();
    let [tenant, key_id, route, model, provider, upstream_model, response_model, error] =
        texts.each_ref().map(Option::as_deref);
    let trace_id = trace.map(TraceId::chosen);
    let traceparent = trace_id.zip(*parent).and_then(|(trace, (span, sampled))| {
        Parent::read(format!("00-{trace}-{span:016x}-{:02x}", u8::from(sampled)).as_bytes())
    });
    let ([duration, overhead], ttft) = (times.0.map(Duration::from_micros), times.1.map(Duration::from_micros));
    let (stream, status, outcome, attempts, fallback) = *state;
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_millis(*started_ms);
    let record = Record {
        trace_id,
        traceparent,
        tenant,
        key_id,
        tags: Texts::Plain(tags),
        route,
        model,
        provider,
        upstream_model,
        response_model,
        stream,
        status,
        outcome,
        attempts,
        fallback,
        timeline: Timeline::Steps(&steps),
        usage: *usage,
        usage_source: usage.map(|_| UsageSource::Partial),
        charge: *charge,
        duration,
        ttft,
        overhead,
        dropped: Texts::Plain(dropped),
        error,
        ..Record::new(Uuid::from_u128(*id), started_at, format)
    };
    look(&Record::unpack(&record.pack()).unwrap());
}

proptest! {
    #[test]
    fn what_is_written_by_hand_is_read_as_it_is_meant(
        all in prop::collection::vec(parts(), 0..3),
        new in maybe((0..=1_000_000_u32).prop_map(configured::Fraction)),
        now_ns in any::<u64>(),
    ) {
        let known = Known::new(&runtime(true), "one");
        let places = HashMap::from([("lab", ("simulator", "h", 1))]);
        let by = log::Made { new_traces: new, known: &known, now_ns };
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        let mut written = [Vec::new(), Vec::new()];
        for parts in &all {
            with_parts(parts, |record| {
                let [of_spans, of_logs] = &mut written;
                span::write(record, &known, &mut Out(of_spans));
                log::write(record, by, &mut Out(of_logs));
                spans.extend(expected::spans(record, &places));
                logs.push(expected::log(record, new, now_ns, &places));
            });
        }
        let [of_spans, of_logs] = written;
        let body = known.head.export(0, |out| out.raw(&of_spans));
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        prop_assert_eq!(&request.resource_spans[0].scope_spans[0].spans, &spans);
        let body = known.head.export(0, |out| out.raw(&of_logs));
        let request = ExportLogsServiceRequest::decode(body).unwrap();
        prop_assert_eq!(&request.resource_logs[0].scope_logs[0].log_records, &logs);
    }
}
