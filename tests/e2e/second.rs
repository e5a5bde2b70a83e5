//! A second target beside the first, or after half of its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::ask::{
    CHAT, both, chat, chat_answer, check_stream, chunk, sse, stream_text, streamed, text, usage_chunk, with,
};
use crate::routing::{server, start, timeline};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Conn, Upstream};
use crate::support::wait::{Gate, Opens, until};

/// Fewer first tokens than these and a route does not know when it is late.
const ENOUGH: usize = 20;

/// Answers until told to hang; and whether the gateway closed the connection of one that hung.
struct Slow {
    upstream: Upstream,
    hangs: Arc<AtomicBool>,
    left: Arc<AtomicBool>,
    gate: Gate,
}

fn slow() -> Slow {
    let (hangs, left, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Gate::default());
    let (hang, gone, waits) = (hangs.clone(), left.clone(), gate.clone());
    let upstream = Upstream::start(move |_, conn| {
        if !hang.load(Ordering::SeqCst) {
            return conn.json(200, &chat_answer("first"));
        }
        // Nothing more comes from the gateway, so this ends when it closes.
        if conn.take(1).is_none() {
            gone.store(true, Ordering::SeqCst);
        }
        waits.pass();
    });
    Slow { upstream, hangs, left, gate }
}

const HEDGED: &str = "routes: {r: {hedge: true, targets: [{model: slow/m}, {model: quick/m}]}}";

fn warm(gateway: &Gateway) {
    for _ in 0..ENOUGH {
        assert_eq!(text(&gateway.post(CHAT, &chat("r", "hi")).json()), "first");
    }
}

#[test]
fn a_late_first_token_is_overtaken_by_a_second_target() {
    let (slow, quick) = (slow(), crate::routing::named("quick"));
    let _opens = Opens(slow.gate.clone());
    let providers =
        server("slow", &slow.upstream, ", models: {m: {price: {input: 1, output: 2}}}") + &server("quick", &quick, "");
    let gateway = start(&providers, "", HEDGED);
    warm(&gateway);
    assert!(quick.requests().is_empty(), "nobody was late");
    slow.hangs.store(true, Ordering::SeqCst);
    let answer = gateway.post(CHAT, &chat("r", "hi"));
    assert_eq!((answer.status(), text(&answer.json())), (200, "quick"));
    assert_eq!((answer.header("x-weir-attempts"), answer.header("x-weir-provider")), ("2", "quick"));
    until("the loser's connection to be closed", || slow.left.load(Ordering::SeqCst).then_some(()));
    let record = gateway.record(ENOUGH + 1);
    let mut all = timeline(&record);
    all.sort();
    assert_eq!(all, ["quick hedge ok", "slow first cancelled"]);
    let lost = record["timeline"].as_array().unwrap().iter().find(|tried| tried["outcome"] == "cancelled").unwrap();
    assert_eq!(lost["usage_source"], "estimated", "{lost}");
    let input_tokens = lost["input_tokens"].as_u64().unwrap();
    assert!(input_tokens > 0, "{lost}");
    assert_eq!(lost["cost_pico_usd"], json!(input_tokens * 1_000_000), "{lost}");
    assert_eq!((&record["provider"], &record["input_tokens"]), (&json!("quick"), &json!(11)));
}

#[test]
fn a_late_stream_is_overtaken_too() {
    let stream = |words: &str| {
        sse(&[chunk(&json!({"role": "assistant", "content": words}), None), chunk(&json!({}), Some("stop"))])
    };
    let slow = slow();
    let _opens = Opens(slow.gate.clone());
    let quick = Upstream::sse(stream("quick"));
    let gateway = start(&(server("slow", &slow.upstream, "") + &server("quick", &quick, "")), "", HEDGED);
    warm(&gateway);
    slow.hangs.store(true, Ordering::SeqCst);
    let events: Vec<_> = gateway.stream(CHAT, &streamed(chat("r", "hi"))).events().collect();
    assert_eq!(stream_text(&events), "quick");
    check_stream(CHAT, &events);
    until("the loser's connection to be closed", || slow.left.load(Ordering::SeqCst).then_some(()));
}

#[test]
fn second_attempts_stay_within_the_retry_budget() {
    let (slow, quick) = (slow(), crate::routing::named("quick"));
    let _opens = Opens(slow.gate.clone());
    let more = format!("defaults: {{retry_budget: {{percent: 0, floor: 1}}}}\n{HEDGED}");
    let gateway = start(&(server("slow", &slow.upstream, "") + &server("quick", &quick, "")), "", &more);
    warm(&gateway);
    slow.hangs.store(true, Ordering::SeqCst);
    assert_eq!(text(&gateway.post(CHAT, &chat("r", "hi")).json()), "quick");
    let headers = [("x-weir-timeout", "600ms")];
    let answer = gateway.call_with("POST", CHAT, &headers, &chat("r", "hi"));
    assert_eq!((answer.status(), answer.header("x-weir-attempts")), (504, "1"), "{}", answer.text());
    assert_eq!(quick.requests().len(), 1);
}

#[test]
fn nobody_stands_in_line_to_be_asked_beside_another() {
    let (slow, gate) = (slow(), Gate::default());
    let _opens = [Opens(slow.gate.clone()), Opens(gate.clone())];
    let waits = gate.clone();
    let quick = Upstream::start(move |_, conn| {
        waits.pass();
        conn.json(200, &chat_answer("quick"));
    });
    let providers = server("slow", &slow.upstream, "") + &server("quick", &quick, ", max_concurrency: 1");
    let gateway = start(&providers, "", HEDGED);
    warm(&gateway);
    slow.hangs.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.post(CHAT, &chat("quick/m", "hi")));
        until("the only place to be taken", || (quick.requests().len() == 1).then_some(()));
        let headers = [("x-weir-timeout", "600ms")];
        let answer = gateway.call_with("POST", CHAT, &headers, &chat("r", "hi"));
        assert_eq!((answer.status(), answer.header("x-weir-attempts")), (504, "1"), "{}", answer.text());
        gate.open();
        assert_eq!(first.join().unwrap().status(), 200);
    });
    assert_eq!(quick.requests().len(), 1);
    // And a second attempt that had the place gives it back.
    for _ in 0..2 {
        assert_eq!(text(&gateway.post(CHAT, &chat("r", "hi")).json()), "quick");
    }
}

/// The first is late and fails, the second answers.
#[test]
fn a_first_attempt_that_fails_beside_a_second_is_on_record() {
    let asked = AtomicUsize::new(0);
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let (waits, opens) = (gate.clone(), gate);
    let failed = Gate::default();
    let fails = failed.clone();
    let slow = Upstream::start(move |_, conn| {
        if asked.fetch_add(1, Ordering::SeqCst) < ENOUGH {
            return conn.json(200, &chat_answer("first"));
        }
        waits.pass();
        conn.json_with(500, &[("connection", "close")], r#"{"error":{"message":"no"}}"#);
        // The gateway closes once it has read that.
        assert!(conn.take(1).is_none());
        fails.open();
    });
    let quick = Upstream::start(move |_, conn| {
        opens.open();
        failed.pass();
        conn.json(200, &chat_answer("quick"));
    });
    let gateway = start(&(server("slow", &slow, "") + &server("quick", &quick, "")), "", HEDGED);
    warm(&gateway);
    assert_eq!(text(&gateway.post(CHAT, &chat("r", "hi")).json()), "quick");
    let mut all = timeline(&gateway.record(ENOUGH + 1));
    all.sort();
    assert_eq!(all, ["quick hedge ok", "slow first failed"]);
}

/// Breaks off its stream after some words, in the way it is told to.
fn breaking(how: fn(&mut Conn)) -> Upstream {
    Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": ""}), None));
        conn.data(chunk(&json!({"content": "Once upon"}), None));
        conn.data(chunk(&json!({"content": " a time"}), None));
        how(conn);
    })
}

/// Goes on and ends.
fn ending() -> Upstream {
    Upstream::sse(sse(&[
        chunk(&json!({"role": "assistant", "content": " there was"}), None),
        chunk(&json!({"content": " a gateway."}), None),
        chunk(&json!({}), Some("stop")),
        usage_chunk(&json!({"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26})),
    ]))
}

const CONTINUED: &str = "routes: {r: {continuation: true, targets: [{model: breaks/m}, {model: ends/n}]}}";

#[test]
fn a_stream_that_breaks_goes_on_as_one() {
    let ways: [fn(&mut Conn); 3] = [Conn::reset, Conn::close, |conn| {
        conn.data(r#"{"error":{"message":"overloaded","type":"server_error","code":503}}"#);
        conn.end();
    }];
    for how in ways {
        let (breaks, ends) = (breaking(how), ending());
        let gateway = start(&(server("breaks", &breaks, "") + &server("ends", &ends, "")), "", CONTINUED);
        for (nth, (path, body)) in both("r", "tell").into_iter().enumerate() {
            let body = if path == CHAT { with(body, json!({"stream_options": {"include_usage": true}})) } else { body };
            let answer = gateway.post(path, &streamed(body));
            let (raw, events) = (answer.text(), answer.events());
            assert!(answer.header("content-type").starts_with("text/event-stream"), "{:?}", answer.head);
            assert_eq!(answer.status(), 200, "{raw}");
            assert!(raw.contains(": continued on ends/n\n"), "{raw}");
            check_stream(path, &events);
            assert_eq!(stream_text(&events), "Once upon a time there was a gateway.", "{raw}");
            let record = gateway.record(nth + 1);
            let all = timeline(&record);
            assert_eq!(all.len(), 2, "{all:?}");
            assert!(all[0].starts_with("breaks first ") && all[1] == "ends continuation ok", "{all:?}");
            assert_eq!(
                (&record["provider"], &record["outcome"], &record["attempts"]),
                (&json!("ends"), &json!("finished"), &json!(2))
            );
            let lost = &record["timeline"][0];
            assert!(lost["output_tokens"].as_u64() > Some(0), "what the client has got was charged for: {lost}");
            assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(20), &json!(6)), "{record}");
        }
        let asked = ends.requests()[0].json();
        let said: Vec<&Value> =
            asked["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "assistant").collect();
        assert_eq!(said.len(), 1, "{asked}");
        assert!(said[0].to_string().contains("Once upon a time"), "{asked}");
    }
}

#[test]
fn a_stream_that_nobody_goes_on_with_ends_with_an_error() {
    let (breaks, ends) = (breaking(Conn::reset), Upstream::json(500, "{}"));
    let gateway = start(&(server("breaks", &breaks, "") + &server("ends", &ends, "")), "", CONTINUED);
    for (path, body) in both("r", "tell") {
        let mut client = gateway.stream(path, &streamed(body));
        let raw = String::from_utf8(client.body()).unwrap();
        assert!(raw.contains("Once upon") && raw.contains("error"), "{raw}");
    }
    let record = gateway.record(2);
    assert_eq!(record["outcome"], "upstream_cut", "{record}");
    assert_eq!(timeline(&record), ["breaks first broken", "ends continuation failed"]);
}

#[test]
fn without_the_option_a_broken_stream_ends() {
    let (breaks, ends) = (breaking(Conn::reset), ending());
    let more = "routes: {r: {targets: [{model: breaks/m}, {model: ends/n}]}}";
    let gateway = start(&(server("breaks", &breaks, "") + &server("ends", &ends, "")), "", more);
    let mut client = gateway.stream(CHAT, &streamed(chat("r", "tell")));
    let raw = String::from_utf8(client.body()).unwrap();
    assert!(raw.contains("Once upon") && raw.contains("error"), "{raw}");
    assert!(ends.requests().is_empty());
}
