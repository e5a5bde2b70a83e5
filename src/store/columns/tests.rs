use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::super::{Batch, Database, State, owned};
use super::*;
use crate::record::{Outcome, Record};
use crate::usage::price::{Charge, PicoUsd};
use crate::usage::tokens::Usage;
use crate::usage::tokens::UsageSource;

fn state(name: &str) -> State {
    let dir = std::env::temp_dir().join(format!("weir-columns-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    State { dir, ..State::default() }
}

fn text(row: &Row) -> String {
    String::from_utf8(row.line().unwrap()).unwrap()
}

/// What has no column, as it is stored.
fn rest(row: &Row) -> Option<String> {
    let packed = owned::pack(row).unwrap();
    match Columns::new(&Record::unpack(&packed).unwrap()).args().last() {
        Some(Arg::Text(text)) => Some((*text).to_owned()),
        _ => None,
    }
}

fn usual() -> Row {
    let usage = Usage { fresh_input_tokens: 900, cached_tokens: 100, visible_output_tokens: 55, ..Usage::default() };
    let record = Record {
        tenant: Some("acme"),
        key_id: Some("acme-prod"),
        route: Some("fast"),
        model: Some("fast"),
        provider: Some("openai"),
        upstream_model: Some("gpt-5-mini"),
        status: 200,
        outcome: Outcome::Finished,
        attempts: 1,
        usage: Some(usage),
        usage_source: Some(UsageSource::Reported),
        charge: Charge::whole(PicoUsd(337_500_000)),
        price_version: Some("2026-07-01"),
        duration: Duration::from_micros(812_345),
        ttft: Some(Duration::from_micros(93_001)),
        ..Record::new(uuid::Uuid::now_v7(), SystemTime::now(), "chat")
    };
    Row::from(&record)
}

#[test]
fn a_record_as_it_is_written_needs_columns_only() {
    let mut row = usual();
    assert_eq!(rest(&row), None);
    row.timeline.push(Attempt {
        provider: "openai".into(),
        endpoint: "openai".into(),
        model: "gpt-5-mini".into(),
        kind: "first".into(),
        at_ms: RawValue::from_string("0.412".into()).unwrap(),
        duration_ms: RawValue::from_string("811.100".into()).unwrap(),
        outcome: "ok".into(),
        status: Some(200),
        error: None,
        input_tokens: None,
        output_tokens: None,
        usage_source: None,
        usage: None,
        service_tier: None,
        cost_pico_usd: None,
        due_pico_usd: None,
    });
    assert_eq!(rest(&row).unwrap(), r#"{"timeline":[{"at_ms":0.412,"duration_ms":811.100}]}"#);
    for cost in [0, 1, 1_000_000_000_000, 1_500_000_000_000, 9_223_372_036_854_775_807] {
        let row = Row::from(&Record {
            charge: Charge::whole(PicoUsd(cost)),
            ..Record::new(uuid::Uuid::nil(), SystemTime::UNIX_EPOCH, "chat")
        });
        assert_eq!(rest(&row), None, "{cost}: {}", text(&row));
    }
}

#[test]
fn a_row_that_columns_cannot_hold_is_kept_whole() {
    let odd: [fn(&mut Row); 3] = [
        |row| row.model = Some("a\0b".into()),
        |row| {
            row.input_tokens = Some(u64::MAX);
            row.usage.as_mut().unwrap().fresh_input = u64::MAX;
        },
        |row| {
            row.cost_pico_usd = Some(i128::MAX);
            row.cost_usd = Some(RawValue::from_string(usd_text(i128::MAX)).unwrap());
        },
    ];
    let database = Database::open(&state("odd")).unwrap();
    for change in odd {
        let mut row = usual();
        change(&mut row);
        assert!(rest(&row).unwrap().starts_with("{\"line\":"));
        let (id, expected) = (row.request_id.clone(), text(&row));
        database.fold(&Batch { rows: vec![row], positions: Vec::new() }).unwrap();
        let found = database.request(&id).unwrap().unwrap();
        assert_eq!(text(&found), expected);
    }
}

#[test]
fn a_row_that_no_record_says_is_refused() {
    let odd: [fn(&mut Row); 7] = [
        |row| row.request_id = "r-1".into(),
        |row| row.started_at = "yesterday".into(),
        |row| row.outcome = "lost".into(),
        |row| row.input_tokens = Some(1),
        |row| row.cost_usd = None,
        |row| row.duration_ms = RawValue::from_string("1e3".into()).unwrap(),
        |row| row.overhead_ms = RawValue::from_string("-0.1".into()).unwrap(),
    ];
    for change in odd {
        let mut row = usual();
        change(&mut row);
        assert!(owned::pack(&row).is_err());
    }
}

fn name() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), "[a-z\u{0}/é\"]{0,12}".prop_map(Some), Just(Some("openai".to_owned()))]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_000_u64, any::<u64>()]
}

fn ms() -> impl Strategy<Value = Box<RawValue>> {
    let text = (0..10_000_000_i64).prop_map(ms_text);
    text.prop_map(|text| RawValue::from_string(text).unwrap())
}

fn classes() -> impl Strategy<Value = Option<Classes>> {
    let some = (count(), 0..3_u64, 0..3_u64, count(), 0..2_u64).prop_map(|(fresh, cached, write, visible, audio)| {
        Some(Classes {
            fresh_input: fresh,
            cached,
            cache_write: write,
            visible_output: visible,
            audio_output: audio,
            ..Classes::default()
        })
    });
    prop_oneof![Just(None), some]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let names = (name(), name(), name(), "(first|retry|fallback)", "(ok|timeout)");
    let money = (any::<Option<i64>>(), any::<Option<i64>>());
    let rest = (ms(), ms(), any::<Option<u16>>(), name(), classes(), money);
    (names, rest).prop_map(|((provider, endpoint, model, kind, outcome), (at, took, status, error, usage, money))| {
        let (cost, due) = money;
        Attempt {
            provider: provider.unwrap_or_default(),
            endpoint: endpoint.unwrap_or_default(),
            model: model.unwrap_or_default(),
            kind,
            at_ms: at,
            duration_ms: took,
            outcome,
            status,
            error,
            input_tokens: usage.map(|u| Usage::from(u).input_tokens()),
            output_tokens: usage.map(|u| Usage::from(u).output_tokens()),
            usage_source: usage.map(|_| "estimated".to_owned()),
            usage,
            service_tier: None,
            cost_pico_usd: cost.map(i128::from).filter(|_| usage.is_some()),
            due_pico_usd: due.map(i128::from).filter(|due| usage.is_some() && cost.is_none() && *due > 0),
        }
    })
}

fn pico() -> impl Strategy<Value = Option<i128>> {
    proptest::option::of(any::<i128>())
}

fn row() -> impl Strategy<Value = Row> {
    let names = (name(), name(), name(), name(), name(), name(), name(), name());
    let counts = (classes(), pico(), pico());
    let lists = (
        proptest::collection::vec("[a-z=\u{0}]{0,5}", 0..3),
        proptest::collection::vec("[a-z.]{0,5}", 0..2),
        proptest::collection::vec(attempt(), 0..3),
    );
    let times = (ms(), proptest::option::of(ms()), ms(), 0..4_000_000_000_000_i64);
    let flags = (any::<bool>(), any::<bool>(), any::<u16>(), any::<u32>());
    (names, counts, lists, times, flags).prop_map(|(names, (classes, cost, due), lists, times, flags)| {
        let told = classes.map(Usage::from).filter(Usage::tells_tokens);
        Row {
            request_id: uuid::Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)).to_string(),
            client_request_id: names.0.clone(),
            trace_id: names.0.as_ref().map(|_| "4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            traceparent: names.0.map(|_| "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            started_at: time::write_ms(times.3),
            tenant: names.1,
            key_id: names.2,
            user: names.3,
            tags: lists.0,
            format: "chat".into(),
            route: names.4,
            model: names.5,
            route_reason: names.6.clone(),
            provider: names.6.clone(),
            upstream_model: names.7.clone(),
            response_model: names.7,
            stream: flags.0,
            status: flags.2,
            outcome: "finished".into(),
            attempts: flags.3,
            fallback: flags.1,
            input_tokens: told.map(|usage| usage.input_tokens()),
            output_tokens: told.map(|usage| usage.output_tokens()),
            cached_tokens: told.map(|usage| usage.cached_tokens),
            cache_write_tokens: told.map(|usage| usage.cache_written_tokens()),
            reasoning_tokens: told.map(|usage| usage.reasoning_tokens),
            usage_source: classes.map(|_| "partial".to_owned()),
            usage: classes,
            service_tier: None,
            cost_pico_usd: cost,
            cost_usd: cost.map(|pico| RawValue::from_string(usd_text(pico)).unwrap()),
            due_pico_usd: due.filter(|due| cost.is_none() && *due > 0),
            price_version: None,
            duration_ms: times.0,
            ttft_ms: times.1,
            overhead_ms: times.2,
            guards: lists.1.clone(),
            cache: flags.1.then(|| "hit".into()),
            cache_similarity: flags.1.then(|| RawValue::from_string("0.973".into()).unwrap()),
            purpose: flags.1.then(|| "cache".into()),
            dropped: lists.1,
            compression_saved_tokens: flags.0.then_some(u64::from(flags.3)),
            compression_strategies: flags.1.then(|| "repeats".into()),
            tools_executed: flags.1.then(|| "weir_uuid".into()),
            error: None,
            timeline: lists.2,
        }
    })
}

proptest! {
    #[test]
    fn any_row_comes_back_as_it_was(rows in proptest::collection::vec(row(), 1..20)) {
        thread_local! {
            static DATABASE: Database = Database::open(&state("any")).unwrap();
        }
        DATABASE.with(|database| -> std::result::Result<(), TestCaseError> {
            let batch = Batch { rows, positions: Vec::new() };
            database.fold(&batch).unwrap();
            for row in &batch.rows {
                let packed = owned::pack(row).unwrap();
                prop_assert_eq!(text(&Row::from(&Record::unpack(&packed).unwrap())), text(row));
                let found = database.request(&row.request_id).unwrap().unwrap();
                prop_assert_eq!(text(&found), text(row));
            }
            Ok(())
        })?;
    }
}
