use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ledger::Row;
use crate::usage::price::PicoUsd;

fn line(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    record.write_line(&mut line);
    String::from_utf8(line).unwrap()
}

fn usage() -> Usage {
    Usage { fresh_input_tokens: 300, cached_tokens: 5, visible_output_tokens: 1, ..Usage::default() }
}

fn lost() -> Step<'static> {
    Step {
        provider: "old",
        endpoint: "old#2",
        model: "m",
        why: Why::Hedge,
        at: Duration::from_micros(1),
        duration: Duration::from_secs(3_600),
        outcome: "timeout",
        status: Some(504),
        error: Some("upstream_timeout"),
        usage: Some((Usage::default(), UsageSource::Estimated)),
        service_tier: Some("flex"),
        charge: Charge { floor: PicoUsd(7), is_whole: false },
    }
}

fn bare() -> Record<'static> {
    Record::new(Uuid::nil(), SystemTime::UNIX_EPOCH, "chat")
}

/// With everything that a record can say.
fn with_full(look: impl FnOnce(&Record<'_>)) {
    let (tags, dropped) = (["team=\u{e9}".to_owned(), String::new()], ["tools[0].\"x\"".to_owned()]);
    let answered = Step { usage: None, charge: Charge::default(), service_tier: None, ..lost() };
    let steps = [lost(), Step { endpoint: "old", outcome: OK, status: None, ..answered }];
    look(&Record {
        client_request_id: Some("theirs"),
        trace_id: TraceId::read("4bf92f3577b34da6a3ce929d0e0e4736"),
        traceparent: Parent::read(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        response_model: Some("echo-2"),
        tenant: Some("acme"),
        key_id: Some("dev"),
        user: Some("u-1"),
        tags: Texts::Plain(&tags),
        route: Some("fast"),
        route_reason: Some("weighted"),
        model: Some("fast"),
        provider: Some("lab"),
        upstream_model: Some("echo"),
        stream: true,
        status: 200,
        outcome: Outcome::UpstreamCut,
        attempts: 2,
        fallback: true,
        timeline: Timeline::Steps(&steps),
        usage: Some(usage()),
        usage_source: Some(UsageSource::Partial),
        service_tier: Some("priority"),
        charge: Charge::whole(PicoUsd(i128::MAX)),
        price_version: Some("2026-11-22"),
        duration: Duration::from_micros(u64::MAX),
        ttft: Some(Duration::ZERO),
        overhead: Duration::from_micros(210),
        dropped: Texts::Plain(&dropped),
        compression_saved_tokens: Some(0),
        compression_strategies: Some("repeats,json"),
        tools_executed: Some("weir_uuid, weir_uuid"),
        guards: Texts::Plain(&dropped),
        cache: Some("hit"),
        cache_similarity: Some(973),
        purpose: Some("guard"),
        error: Some("upstream_error"),
        ..Record::new(Uuid::max(), SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_906_440_001), "chat")
    });
}

#[test]
fn what_was_packed_is_read_as_it_was() {
    let again = |record: &Record<'_>| {
        let packed = record.pack();
        let unpacked = Record::unpack(&packed).unwrap();
        assert_eq!(line(&unpacked), line(record));
        assert!(unpacked.timeline.iter().eq(record.timeline.iter()));
        assert_eq!(unpacked.pack(), packed);
        assert_eq!(format!("{}\n", String::from_utf8(Row::from(record).line().unwrap()).unwrap()), line(record));
    };
    with_full(again);
    again(&bare());
    for outcome in Outcome::ALL {
        again(&Record { outcome, ..bare() });
    }
    for why in Why::ALL {
        again(&Record { timeline: Timeline::Steps(&[Step { why, ..lost() }]), ..bare() });
    }
    let called = [
        Called { name: "weir_uuid".to_owned(), id: None, at: Duration::ZERO, duration: Duration::ZERO, error: None },
        Called {
            name: "files__read".to_owned(),
            id: Some("call_1".to_owned()),
            at: Duration::from_micros(7),
            duration: Duration::from_secs(3),
            error: Some("timeout"),
        },
    ];
    let record = Record { tool_calls: ToolCalls::Called(&called), ..bare() };
    again(&record);
    assert!(Record::unpack(&record.pack()).unwrap().tool_calls.iter().eq(record.tool_calls.iter()));
    for class in 0..Usage::CLASSES.len() {
        let mut usage = Usage::default();
        *usage.classes_mut().into_iter().nth(class).unwrap() = u64::MAX;
        again(&Record { usage: Some(usage), usage_source: Some(UsageSource::Reported), ..bare() });
    }
    let money = [0, 1, -1, 127, 128, -128, -129, 255, 256, i64::MAX.into(), i128::MAX, i128::MIN];
    for floor in money.map(PicoUsd) {
        again(&Record { charge: Charge::whole(floor), ..bare() });
        again(&Record { charge: Charge { floor, is_whole: false }, ..bare() });
    }
}

#[test]
fn a_usual_record_is_small() {
    with_full(|record| assert!(record.pack().len() < 500, "{}", record.pack().len()));
    assert!(bare().pack().len() < 50);
}

#[test]
fn what_a_newer_version_says_is_skipped() {
    with_full(|record| {
        let mut packed = record.pack();
        packed.extend_from_slice(&[100 << 1, 0x80, 0x01, 101 << 1 | 1, 3, 1, 2, 3]);
        assert_eq!(line(&Record::unpack(&packed).unwrap()), line(record));
    });
}

#[test]
fn a_part_of_a_record_is_none_or_says_less() {
    with_full(|record| {
        let packed = record.pack();
        let whole = (0..packed.len()).filter(|cut| Record::unpack(&packed[..*cut]).is_some()).count();
        assert!(whole < 50, "only between its members: {whole}");
    });
    assert!(Record::unpack(&[1 << 1 | 1, 2, 0, 0]).is_none(), "an id of two bytes");
    assert!(Record::unpack(&[15 << 1, 9]).is_none(), "an outcome that there is not");
    assert!(Record::unpack(&[8 << 1 | 1, 1, 0xff]).is_none(), "a text that is none");
    assert!(Record::unpack(&[3 << 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(record) = Record::unpack(&bytes) {
            line(&record);
            record.pack();
        }
    }
}
