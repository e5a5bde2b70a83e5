//! Whom a request goes to when not everybody is well: fallbacks, breakers, waits, deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, chunk, message, sse, streamed, text};
use crate::support::gateway::{Gateway, KEY};
use crate::support::upstream::{Conn, Request, Upstream};
use crate::support::wait::{Gate, Opens, until};

/// Begins a file's `providers`; tenants are `acme` with [`KEY`] and whatever `tenants` adds to it.
pub(crate) fn start(providers: &str, tenants: &str, more: &str) -> Gateway {
    Gateway::start(&format!(
        "server: {{listen: \"127.0.0.1:0\", threads: 2}}\nadmin: {{listen: \"127.0.0.1:0\"}}\n\
         state: {{dir: \"@DIR@/data\"}}\ntelemetry: {{access_log: stdout}}\nproviders:\n{providers}\
         tenants:\n  acme:\n    keys: [{{id: acme-dev, secret: \"{KEY}\"}}]\n{tenants}\n{more}\n"
    ))
}

/// One provider of the file, with further members.
pub(crate) fn server(name: &str, upstream: &Upstream, more: &str) -> String {
    format!("  {name}: {{kind: openai-compatible, base_url: \"http://{}/v1\"{more}}}\n", upstream.address)
}

/// Of two providers, `bad` and `good`.
fn of_two(bad: &Upstream, good: &Upstream, more: &str) -> Gateway {
    start(&(server("bad", bad, "") + &server("good", good, "")), "", more)
}

/// Answers with its own name.
pub(crate) fn named(name: &'static str) -> Upstream {
    Upstream::json(200, chat_answer(name))
}

/// The outcomes of a record's attempts, as `provider kind outcome`.
pub(crate) fn timeline(record: &Value) -> Vec<String> {
    let word = |tried: &Value, name: &str| tried[name].as_str().unwrap_or("-").to_owned();
    let all = record["timeline"].as_array().unwrap();
    all.iter().map(|t| format!("{} {} {}", word(t, "provider"), word(t, "kind"), word(t, "outcome"))).collect()
}

fn refuse(conn: &mut Conn, status: u16, headers: &[(&str, &str)]) {
    conn.json_with(status, headers, r#"{"error":{"message":"no","type":"x","param":null,"code":null}}"#);
}

/// Fails as long as the switch is on.
fn failing_while(switch: &Arc<AtomicBool>) -> Upstream {
    let switch = switch.clone();
    Upstream::start(move |_, conn| match switch.load(Ordering::SeqCst) {
        true => refuse(conn, 500, &[]),
        false => conn.json(200, &chat_answer("well")),
    })
}

/// OpenRouter says in the choice that an answer broke off, and in the status that all is well.
#[test]
fn an_answer_that_broke_off_is_asked_for_elsewhere() {
    let half = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",
        "content":"half"},"finish_reason":"error","error":{"code":502,"message":"gone"}}],
        "usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#;
    let (bad, good) = (Upstream::json(200, half), named("good"));
    let gateway = of_two(&bad, &good, "routes: {r: {targets: [{model: bad/m}, {model: good/n}]}}");
    let answer = gateway.post(CHAT, &chat("r", "hi"));
    assert_eq!((answer.status(), text(&answer.json())), (200, "good"));
    let record = gateway.record(1);
    assert_eq!(timeline(&record).last().unwrap(), "good fallback ok");
    assert_eq!(record["timeline"][0]["usage"]["visible_output"], json!(3), "it was used all the same: {record}");
}

#[test]
fn the_timeline_tells_what_was_tried() {
    let (bad, good) = (Upstream::json(503, r#"{"error":{"message":"busy"}}"#), named("good"));
    let gateway = of_two(&bad, &good, "routes: {r: {targets: [{model: bad/m}, {model: good/n}]}}");
    let answer = gateway.post(CHAT, &chat("r", "hi"));
    assert_eq!((answer.status(), text(&answer.json())), (200, "good"));
    assert_eq!((answer.header("x-weir-attempts"), answer.header("x-weir-fallback-used")), ("2", "1"));
    let record = gateway.record(1);
    assert_eq!(timeline(&record), ["bad first overloaded", "good fallback ok"]);
    let tried = &record["timeline"];
    assert_eq!((&tried[0]["status"], &tried[1]["status"]), (&json!(503), &json!(200)));
    assert_eq!((&tried[0]["endpoint"], &tried[1]["model"]), (&json!("bad"), &json!("n")));
    assert!(tried[1]["at_ms"].as_f64() >= tried[0]["at_ms"].as_f64(), "{tried}");
}

/// DeepSeek says so with a good status.
#[test]
fn an_answer_that_ran_out_of_resources_is_asked_for_elsewhere() {
    let half = chat_answer("half").replace("\"stop\"", "\"insufficient_system_resource\"");
    assert!(half.contains("insufficient_system_resource"), "{half}");
    let bad = Upstream::json(200, half);
    let good = named("good");
    let gateway = of_two(&bad, &good, "routes: {r: {strategy: fallback, targets: [{model: bad/m}, {model: good/m}]}}");
    let answer = gateway.post(MESSAGES, &message("r", "hi"));
    assert_eq!((answer.status(), text(&answer.json())), (200, "good"));
    assert_eq!(timeline(&gateway.record(1)), ["bad first overloaded", "good fallback ok"]);
}

#[test]
fn tags_of_header_and_metadata_are_on_record() {
    let good = named("good");
    let gateway = start(&server("a", &good, ""), "", "");
    let mut body = chat("a/m", "hi");
    body["metadata"] = json!({"team": "search", "run": 7, "x": "y"});
    let answer = gateway.call_with("POST", CHAT, &[("x-weir-tags", "nightly, team=ads")], &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let mut tags: Vec<String> = serde_json::from_value(gateway.record(1)["tags"].clone()).unwrap();
    tags.sort();
    assert_eq!(tags, ["nightly", "team=ads", "team=search", "x=y"]);
}

#[test]
fn weights_are_kept_and_failures_go_to_the_others() {
    let (one, three, none) = (named("one"), named("three"), named("none"));
    let providers = server("one", &one, "") + &server("three", &three, "") + &server("none", &none, "");
    let more = "routes: {r: {strategy: weighted, affinity: false, targets: [{model: one/m, weight: 1}, {model: three/m, weight: 3}, {model: none/m, weight: 0}]}}";
    let gateway = start(&providers, "", more);
    for _ in 0..120 {
        assert_eq!(gateway.post(CHAT, &chat("r", "hi")).status(), 200);
    }
    // Four times what chance varies it by.
    let few = one.requests().len();
    assert!((11..=49).contains(&few), "{few} of 120");
    assert_eq!((few + three.requests().len(), none.requests().len()), (120, 0));
}

#[test]
fn a_route_passes_over_a_target_that_broke_and_finds_it_again() {
    let broken = Arc::new(AtomicBool::new(true));
    let (bad, good) = (failing_while(&broken), named("good"));
    let gateway = of_two(&bad, &good, "routes: {r: {targets: [{model: bad/m}, {model: good/m}]}}");
    for _ in 0..12 {
        let answer = gateway.post(CHAT, &chat("r", "hi"));
        assert_eq!((answer.status(), text(&answer.json())), (200, "good"));
    }
    assert_eq!(bad.requests().len(), 5, "five failures in a row are enough");
    assert_eq!(timeline(gateway.wait_records(12).last().unwrap()), ["good first ok"]);
    broken.store(false, Ordering::SeqCst);
    let back = until("the broken one to be found well", || {
        let answer = gateway.post(CHAT, &chat("r", "hi"));
        Some(text(&answer.json()).to_owned()).filter(|text| text == "well")
    });
    assert_eq!(back, "well");
}

/// Nobody else can be asked, so one request at a time finds out whether it is back.
#[test]
fn a_single_target_that_broke_is_asked_by_one_at_a_time() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let (asked, waits) = (Arc::new(AtomicUsize::new(0)), gate.clone());
    let seen = asked.clone();
    let upstream = Upstream::start(move |_, conn| {
        if seen.fetch_add(1, Ordering::SeqCst) >= 5 {
            waits.pass();
        }
        refuse(conn, 500, &[]);
    });
    let gateway = start(&server("a", &upstream, ""), "", "defaults: {retries: 0}");
    for _ in 0..5 {
        assert_eq!(gateway.post(CHAT, &chat("a/m", "hi")).status(), 502);
    }
    std::thread::scope(|scope| {
        let first = scope.spawn(|| gateway.post(CHAT, &chat("a/m", "hi")));
        until("one that finds out", || (asked.load(Ordering::SeqCst) == 6).then_some(()));
        for (path, body) in both("a/m", "hi") {
            let refused = gateway.post(path, &body);
            assert_eq!(refused.status(), if path == MESSAGES { 529 } else { 503 }, "{}", refused.text());
            assert_eq!(refused.header("retry-after"), "1", "{:?}", refused.head);
            if path == CHAT {
                assert_eq!(refused.json()["error"]["code"], "no_healthy_upstream");
            }
        }
        gate.open();
        assert_eq!(first.join().unwrap().status(), 502);
    });
    assert_eq!(asked.load(Ordering::SeqCst), 6);
}

fn limited_once(retry_after: &'static str) -> Upstream {
    let asked = AtomicUsize::new(0);
    Upstream::start(move |_, conn| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => refuse(conn, 429, &[("retry-after", retry_after)]),
        _ => conn.json(200, &chat_answer("now")),
    })
}

#[test]
fn a_short_retry_after_is_waited_for() {
    let upstream = limited_once("1");
    let gateway = start(&server("a", &upstream, ""), "", "");
    let since = Instant::now();
    let answer = gateway.post(CHAT, &chat("a/m", "hi"));
    assert_eq!((answer.status(), answer.header("x-weir-attempts")), (200, "2"), "{}", answer.text());
    assert!(since.elapsed() >= Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(timeline(&gateway.record(1)), ["a first rate_limited", "a retry ok"]);
}

#[test]
fn a_long_retry_after_is_told_at_once() {
    let upstream = limited_once("30");
    let gateway = start(&server("a", &upstream, ""), "", "");
    let since = Instant::now();
    let answer = gateway.post(CHAT, &chat("a/m", "hi"));
    assert_eq!((answer.status(), answer.header("retry-after")), (429, "30"), "{}", answer.text());
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert_eq!(upstream.requests().len(), 1);
}

/// While one finds out whether the limit is over, the others are told when it should be.
#[test]
fn when_all_are_at_their_limits_that_is_told() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let (waits, asked) = (gate.clone(), AtomicUsize::new(0));
    let upstream = Upstream::start(move |_, conn| {
        if asked.fetch_add(1, Ordering::SeqCst) > 0 {
            waits.pass();
        }
        refuse(conn, 429, &[("retry-after", "30")]);
    });
    let gateway = start(&server("a", &upstream, ""), "", "");
    assert_eq!(gateway.post(CHAT, &chat("a/m", "hi")).status(), 429);
    std::thread::scope(|scope| {
        let finds_out = scope.spawn(|| gateway.post(CHAT, &chat("a/m", "hi")));
        until("one that finds out", || (upstream.requests().len() == 2).then_some(()));
        for (path, body) in both("a/m", "hi") {
            let answer = gateway.post(path, &body);
            assert_eq!((answer.status(), &answer.json()["error"]["type"]), (429, &json!("rate_limit_error")));
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((20..=30).contains(&seconds), "{seconds}");
        }
        gate.open();
        assert_eq!(finds_out.join().unwrap().header("retry-after"), "30");
    });
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn who_is_limited_leaves_the_place_to_others_until_it_is_time() {
    let (limited, good) = (limited_once("3"), named("good"));
    let gateway = start(
        &(server("limited", &limited, "") + &server("good", &good, "")),
        "",
        "routes: {r: {targets: [{model: limited/m}, {model: good/m}]}}",
    );
    for _ in 0..5 {
        assert_eq!(text(&gateway.post(CHAT, &chat("r", "hi")).json()), "good");
    }
    assert_eq!(limited.requests().len(), 1);
    until("the limited one to be asked again", || {
        Some(()).filter(|()| text(&gateway.post(CHAT, &chat("r", "hi")).json()) == "now")
    });
}

/// What the message names in brackets.
fn which(answer: &crate::support::client::Answer) -> String {
    assert_eq!(answer.status(), 504, "{}", answer.text());
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "upstream_timeout", "{error}");
    let message = error["message"].as_str().unwrap().to_owned();
    let (_, which) = message.split_once('(').unwrap_or_else(|| panic!("{message}"));
    which.split(')').next().unwrap().to_owned()
}

#[test]
fn a_clients_patience_is_kept_in_every_form() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let hangs = Upstream::start(move |_, _| gate.pass());
    let gateway = start(&server("a", &hangs, ""), "", "defaults: {retries: 0}");
    let ask = |value: &str| gateway.call_with("POST", CHAT, &[("x-weir-timeout", value)], &chat("a/m", "hi"));
    for (value, named, least_ms) in [
        ("150ms", "x-weir-timeout", 150),
        ("1", "x-weir-timeout", 1_000),
        ("1s", "x-weir-timeout", 1_000),
        ("total=200ms", "x-weir-timeout", 200),
        ("connect=1s, idle=9s, total=150ms", "x-weir-timeout", 150),
        ("total=30s, first_token=100ms", "first_token timeout", 100),
    ] {
        let since = Instant::now();
        assert_eq!(which(&ask(value)), named, "{value}");
        let took = since.elapsed();
        let least = Duration::from_millis(least_ms);
        assert!(took >= least && took < least + Duration::from_secs(10), "{value}: {took:?}");
    }
    for wrong in ["soon", "0", "-1s", "total=", "sometime=3s", "1s,,"] {
        let answer = ask(wrong);
        assert_eq!((answer.status(), &answer.json()["error"]["param"]), (400, &json!("x-weir-timeout")), "{wrong}");
    }
    assert_eq!(timeline(&gateway.wait_records(1)[0]), ["a first timeout"]);
}

/// Whoever has no patience harms only themselves.
#[test]
fn impatient_clients_do_not_take_a_target_out() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let waits = gate.clone();
    let slow = Upstream::start(move |_, conn| {
        waits.pass();
        conn.json(200, &chat_answer("slow"));
    });
    let good = named("good");
    let more = "routes: {r: {targets: [{model: slow/m}, {model: good/m}]}}";
    let gateway = start(&(server("slow", &slow, "") + &server("good", &good, "")), "", more);
    for _ in 0..8 {
        let answer = gateway.call_with("POST", CHAT, &[("x-weir-timeout", "50ms")], &chat("r", "hi"));
        assert_eq!(which(&answer), "x-weir-timeout");
    }
    gate.open();
    assert_eq!(text(&gateway.post(CHAT, &chat("r", "hi")).json()), "slow", "it is as well as before");
}

#[test]
fn the_deadline_of_a_route_holds_for_all_attempts_together() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let [one, two] = [gate.clone(), gate].map(|gate| Upstream::start(move |_, _| gate.pass()));
    let more = "routes: {r: {timeouts: {first_token: 400ms, total: 700ms}, targets: [{model: one/m}, {model: two/m}]}}";
    let gateway = start(&(server("one", &one, "") + &server("two", &two, "")), "", more);
    let since = Instant::now();
    let answer = gateway.post(CHAT, &chat("r", "hi"));
    assert_eq!(which(&answer), "total timeout");
    assert!((650..10_000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    assert_eq!(timeline(&gateway.record(1)), ["one first timeout", "two fallback timeout"]);
}

#[test]
fn a_stream_that_stalls_ends_with_an_error_that_names_the_wait() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let stalls = Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": "Once"}), None));
        gate.pass();
    });
    let gateway = start(&server("a", &stalls, ""), "", "");
    let headers = [("x-weir-timeout", "idle=200ms")];
    let answer = gateway.call_with("POST", CHAT, &headers, &streamed(chat("a/m", "hi")));
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("Once") && answer.text().contains("(idle timeout)"), "{}", answer.text());
}

#[test]
fn a_context_too_long_goes_to_a_longer_window_where_the_route_says_so() {
    let body = r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    let (short, same, long) = (Upstream::json(400, body), named("same"), named("long"));
    let window = |context: u64| format!(", models: {{m: {{context: {context}}}}}");
    let providers = server("short", &short, &window(8_192))
        + &server("same", &same, &window(8_192))
        + &server("long", &long, &window(200_000));
    let targets = "targets: [{model: short/m}, {model: same/m}, {model: long/m}]";
    let more = format!("routes: {{plain: {{{targets}}}, longer: {{longer_context: true, {targets}}}}}");
    let gateway = start(&providers, "", &more);
    let answer = gateway.post(CHAT, &chat("longer", "hi"));
    assert_eq!((answer.status(), text(&answer.json())), (200, "long"), "{}", answer.text());
    assert_eq!(timeline(&gateway.record(1)), ["short first context_too_long", "long fallback ok"]);
    let answer = gateway.post(CHAT, &chat("plain", "hi"));
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &json!("context_length_exceeded")));
    assert_eq!((same.requests().len(), long.requests().len()), (0, 1));
}

#[test]
fn targets_may_be_called_by_the_names_of_their_models_entries() {
    let upstream = named("ok");
    let gateway = start(
        &server("a", &upstream, ", models: {small: real-name-of-it}, models_only: true"),
        "",
        "routes: {r: {targets: [{model: a/small}]}}",
    );
    let answer = gateway.post(CHAT, &chat("r", "hi"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(upstream.request().json()["model"], "real-name-of-it");
    assert_eq!(gateway.record(1)["timeline"][0]["model"], "real-name-of-it");
}

/// A request is never sent twice to where it may have been worked on, unless that was asked for.
#[test]
fn what_may_be_billed_is_sent_again_only_where_that_is_wanted() {
    let upstream = Upstream::start(|_, conn| refuse(conn, 500, &[]));
    let more =
        "routes: {once: {targets: [{model: a/m}]}, again: {resend: true, backoff: 1ms, targets: [{model: a/n}]}}";
    let gateway = start(&server("a", &upstream, ""), "", more);
    for (route, attempts) in [("once", "1"), ("again", "3")] {
        let answer = gateway.post(CHAT, &chat(route, "hi"));
        assert_eq!((answer.status(), answer.header("x-weir-attempts")), (502, attempts), "{route}");
    }
    let models: Vec<Value> = upstream.requests().iter().map(|r: &Request| r.json()["model"].clone()).collect();
    assert_eq!(models, ["m", "n", "n", "n"]);
}

/// A stream whose first event is an error has not begun: another target may be asked.
#[test]
fn a_stream_that_begins_with_an_error_falls_back() {
    let bad = Upstream::sse("data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n");
    let good = Upstream::sse(sse(&[
        chunk(&json!({"role": "assistant", "content": "fine"}), None),
        chunk(&json!({}), Some("stop")),
    ]));
    let more = "routes: {r: {targets: [{model: bad/m}, {model: good/m}]}}";
    let gateway = of_two(&bad, &good, more);
    let mut client = gateway.stream(CHAT, &streamed(chat("r", "hi")));
    let events: Vec<_> = client.events().collect();
    assert_eq!(crate::ask::stream_text(&events), "fine");
    assert_eq!(timeline(&gateway.record(1)).last().unwrap(), "good fallback ok");
}

/// Of a 200 that holds nothing of an answer nobody is served, in whatever format it came.
#[test]
fn an_answer_without_anything_in_it_is_none() {
    for nothing in ["{}", "[]", "5", "\"x\"", r#"{"choices":[]}"#, r#"{"choices":null}"#, r#"{"id":"a"}"#] {
        let (empty, good) = (Upstream::json(200, nothing), named("good"));
        let providers = [server("one", &empty, ""), server("two", &good, "")].concat();
        let routes = "routes: {r: {targets: [{model: one/m}, {model: two/m}]}}\ndefaults: {retries: 1}";
        let gateway = start(&providers, "", routes);
        let answer = gateway.post(CHAT, &chat("r", "hi"));
        assert_eq!((answer.status(), answer.header("x-weir-provider")), (200, "two"), "{nothing}: {}", answer.text());
        let alone = gateway.post(CHAT, &chat("one/m", "hi"));
        assert_eq!(alone.status(), 502, "{nothing}: {}", alone.text());
    }
}

/// Some proxies in front of providers pack their errors, whatever was asked for.
#[test]
fn a_packed_error_is_read() {
    use std::io::Write as _;
    let error = json!({"error": {"message": "too many pictures", "type": "invalid_request_error", "code": "pictures"}});
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(error.to_string().as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let upstream = Upstream::start(move |_, conn| {
        let head = format!(
            "HTTP/1.1 400 X\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            packed.len()
        );
        conn.raw([head.as_bytes(), &packed].concat());
    });
    let gateway = Gateway::with(upstream.address);
    for (path, body) in both("openai/m", "hi") {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json()["error"]["message"], "too many pictures", "{path}: {}", answer.text());
    }
}
