//! Failures known from elsewhere, one test a row of the list they come from; those that are rows of a
//! table are in `matrix`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fault::{self, Fault};
use super::format::{FORMATS, Format};
use super::table::{Case, DEFAULTS, RETRIES, ask_all, cases, config, is_stream, one_provider, play, records};
use super::voice::Complaint::Limited;
use super::voice::{FOUR, PIECES, Voice};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, KEY};
use crate::support::upstream::{Conn, Request, Upstream};
use crate::support::wait::until;

/// What a limit may take to be told where nobody else is asked.
const SOON: Duration = Duration::from_secs(5);
/// A gateway that gives up no sooner than a test does: what ends before was ended by the client.
const PATIENT: &str = "timeouts: {connect: 2s, first_token: 60s, idle: 60s, total: 60s}, retries: 2";

fn stream_head(voice: Voice, conn: &mut Conn) {
    let kind = voice.stream_type();
    conn.raw(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"));
}

/// The head and the first piece of an answer.
fn begin(voice: Voice, conn: &mut Conn) {
    stream_head(voice, conn);
    conn.chunk([voice.opening(), voice.first(PIECES[0])].concat());
}

/// Asks and leaves the answer where it is.
fn ask(gateway: &Gateway, format: Format, stream: bool) -> Client {
    let mut client = gateway.client();
    let bearer = format!("Bearer {KEY}");
    let body = format.body("it/m", "one two three", stream).to_string();
    client.request("POST", &format.path("it/m", stream), &[("authorization", &bearer)], body.as_bytes());
    client
}

fn is_counted(record: &Value) -> bool {
    matches!(record["usage_source"].as_str(), Some("partial" | "estimated"))
        && record["input_tokens"].as_u64().is_some_and(|n| n > 0)
}

/// Row 21: a limit, in a stream or before one, ends soon where there is nobody else, and nothing spins
/// behind it.
#[test]
fn row_21_a_limit_without_a_fallback_ends_at_once() {
    let defaults = DEFAULTS.replace("max_wait: 2s", "max_wait: 50ms");
    for voice in FOUR {
        for fault in [Fault::LimitInStream, Fault::Answers(Limited)] {
            let upstream = Upstream::start(move |_, conn| fault.play(voice, true, conn));
            let gateway = Gateway::start(&one_provider(voice, upstream.address, &defaults));
            let began = Instant::now();
            let answer = gateway.post(&Format::Chat.path("it/m", true), &Format::Chat.body("it/m", "x", true));
            assert_eq!(answer.status(), 429, "{voice:?}: {}", answer.text());
            assert!(began.elapsed() < SOON, "{voice:?} {fault:?}: {:?}", began.elapsed());
            let asked = upstream.requests().len();
            assert!((1..=1 + RETRIES).contains(&asked), "{voice:?} {fault:?}: asked {asked} times");
            assert_eq!(gateway.record(1)["attempts"], asked);
            // What begins with the process may take a while; what spins never rests.
            until("the gateway to rest", || {
                let (before, window) = (gateway.cpu_time(), Duration::from_millis(300));
                std::thread::sleep(window);
                (gateway.cpu_time() - before < window / 2).then_some(())
            });
            assert_eq!(upstream.requests().len(), asked, "asked on after the answer");
        }
    }
}

/// Row 23: a client that leaves in the middle stops the upstream, and what it got is booked.
#[test]
fn row_23_a_client_that_leaves_stops_the_upstream_and_is_booked() {
    for voice in FOUR {
        let ended = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ended);
        let upstream = Upstream::start(move |_, conn| {
            begin(voice, conn);
            for number in 5.. {
                if !conn.chunk(voice.next(fault::AND_ON, number)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            counter.fetch_add(1, Ordering::SeqCst);
            conn.close();
        });
        let gateway = Gateway::start(&one_provider(voice, upstream.address, PATIENT));
        for (nth, format) in FORMATS.into_iter().enumerate() {
            let mut client = ask(&gateway, format, true);
            assert_eq!(client.head().status, 200);
            let mut got = String::new();
            while !got.contains(fault::AND_ON) {
                got += &String::from_utf8_lossy(&client.piece().expect("the stream goes on"));
            }
            drop(client);
            until("the upstream's end", || (ended.load(Ordering::SeqCst) > nth).then_some(()));
            let record = gateway.record(nth + 1);
            assert_eq!(record["outcome"], "client_cut", "{record}");
            assert!(is_counted(&record) && record["output_tokens"].as_u64().is_some_and(|n| n > 0), "{record}");
            assert_eq!(record["timeline"][0]["outcome"], "client_gone", "{record}");
        }
        assert_eq!(upstream.requests().len(), FORMATS.len(), "nobody is asked again for a client that left");
    }
}

/// What an upstream writes before it falls silent.
type Begin = fn(&mut Conn);

/// The same before the first byte, and in the middle of an answer that is held whole.
#[test]
fn row_23_a_client_that_leaves_early_is_booked_too() {
    let waits: [(bool, Begin); 3] = [
        (true, |_| ()),
        (true, |conn| stream_head(Voice::Chat, conn)),
        (false, |conn| {
            _ = conn.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
        }),
    ];
    for (stream, begin) in waits {
        let arrived = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(AtomicUsize::new(0));
        let counters = (Arc::clone(&arrived), Arc::clone(&ended));
        let upstream = Upstream::start(move |_, conn| {
            begin(conn);
            counters.0.fetch_add(1, Ordering::SeqCst);
            conn.take(1);
            counters.1.fetch_add(1, Ordering::SeqCst);
            conn.close();
        });
        let gateway = Gateway::start(&one_provider(Voice::Chat, upstream.address, PATIENT));
        for (nth, format) in FORMATS.into_iter().enumerate() {
            let client = ask(&gateway, format, stream);
            until("the request upstream", || (arrived.load(Ordering::SeqCst) > nth).then_some(()));
            drop(client);
            until("the upstream's end", || (ended.load(Ordering::SeqCst) > nth).then_some(()));
            let record = gateway.record(nth + 1);
            assert_eq!(record["outcome"], "client_cut", "{record}");
            assert!(is_counted(&record), "{record}");
        }
    }
}

/// A whole answer that had begun well was worked on, also where nothing can be made of it: what was asked is
/// booked, and what came as far as it can be read, beside the attempt that lost it too.
#[test]
fn a_whole_answer_that_breaks_or_cannot_be_read_is_booked() {
    let faults =
        [Fault::LengthTooLong, Fault::LengthTooShort, Fault::TruncatedJson, Fault::ResetMidBody, Fault::Compressed];
    let all = cases(&faults, &FOUR, &[Format::Chat], &[true, false]);
    let all: Vec<Case> = all.into_iter().filter(|case| !case.stream).collect();
    let upstream = play(all.clone());
    let gateway = Gateway::start(&config(&all, &upstream, DEFAULTS));
    let _ = ask_all(&gateway, &all);
    let records = records(&gateway, all.len());
    for (n, case) in all.iter().enumerate() {
        let record = &records[&case.model(n)];
        let lost = if case.fallback { &record["timeline"][0] } else { record };
        assert!(lost["input_tokens"].as_u64().is_some_and(|n| n > 0), "{case:?}: {record}");
        let had_words = !matches!(case.fault, Fault::Compressed | Fault::ResetMidBody);
        assert!(!had_words || lost["output_tokens"].as_u64().is_some_and(|n| n > 0), "{case:?}: {record}");
        assert!(case.fallback || record["usage_source"] == "estimated", "{case:?}: {record}");
    }
    let garbled = Upstream::start(|_, conn| {
        conn.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n");
        conn.close();
    });
    let gateway = Gateway::start(&one_provider(Voice::Chat, garbled.address, DEFAULTS));
    let answer = gateway.post(&Format::Chat.path("it/m", false), &Format::Chat.body("it/m", "one two", false));
    assert_eq!(answer.status(), 502, "{}", answer.text());
    let record = gateway.record(1);
    assert!(is_counted(&record), "{record}");
}

/// A stream that has said all that its format has to say ends there for the client, whatever its connection does.
#[test]
fn a_stream_that_is_complete_waits_for_no_connection() {
    // Google's has no event that is always the last.
    for voice in [Voice::Chat, Voice::Messages, Voice::Responses] {
        let ended = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ended);
        let upstream = Upstream::start(move |_, conn| {
            begin(voice, conn);
            conn.chunk([voice.next(PIECES[1], 5), voice.closing(&PIECES.concat())].concat());
            conn.take(1);
            counter.fetch_add(1, Ordering::SeqCst);
            conn.close();
        });
        let gateway = Gateway::start(&one_provider(voice, upstream.address, PATIENT));
        for (nth, format) in FORMATS.into_iter().enumerate() {
            let began = Instant::now();
            let answer = ask(&gateway, format, true).answer();
            let told = format.read(&answer).unwrap_or_else(|e| panic!("{voice:?} to {format:?}: {e}"));
            assert!(told.is_whole && told.errors.is_empty(), "{voice:?} to {format:?}: {told:?}");
            assert_eq!(told.text, PIECES.concat(), "{voice:?} to {format:?}");
            assert!(began.elapsed() < SOON, "{voice:?} to {format:?}: {:?}", began.elapsed());
            let record = gateway.record(nth + 1);
            assert_eq!(record["outcome"], "finished", "{record}");
        }
        until("the connections to be closed", || (ended.load(Ordering::SeqCst) == FORMATS.len()).then_some(()));
    }
}

/// An end of which nothing is said before is no answer: another target is asked, in every format.
#[test]
fn a_stream_with_nothing_but_its_end_is_no_answer() {
    let upstream = Upstream::start(move |request: &Request, conn| match request.path.starts_with("/spare") {
        true => fault::good(Voice::Chat, true, conn),
        false => {
            stream_head(Voice::Chat, conn);
            conn.data("[DONE]");
            conn.end();
        }
    });
    let spare = Voice::Chat.provider(&format!("http://{}/spare", upstream.address));
    let routes = "routes: {it: {targets: [{model: it/m}, {model: spare/m}]}}\nproviders:";
    let config = one_provider(Voice::Chat, upstream.address, DEFAULTS);
    let gateway = Gateway::start(&config.replacen("providers:", &format!("{routes}\n  spare: {{{spare}}}"), 1));
    for (nth, format) in FORMATS.into_iter().enumerate() {
        let answer = gateway.post(&format.path("it", true), &format.body("it", "x", true));
        let told = format.read(&answer).unwrap_or_else(|e| panic!("{format:?}: {e}\n{}", answer.text()));
        assert!(told.is_whole && told.text == PIECES.concat(), "{format:?}: {told:?}");
        assert_eq!(answer.header("x-weir-fallback-used"), "1", "{format:?}");
        assert_eq!(gateway.record(nth + 1)["timeline"][0]["outcome"], "failed");
    }
}

/// What of a stream's text says nothing: comments, pings, and for Google's clients blank lines.
fn signs_of_life(format: Format, text: &str) -> usize {
    let text = text.replace("\r\n", "\n");
    if format == Format::Gemini {
        // Two close the event before, but for those that come first.
        let text = format!("\n\n{text}");
        let runs = text.split(|c| c != '\n').map(str::len);
        return runs.map(|newlines| newlines.saturating_sub(2)).sum();
    }
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    blocks.filter(|block| block.starts_with(':') || block.contains("event: ping")).count()
}

/// Row 24: something comes while the model is silent. It says nothing in the client's format, and
/// stands between events, also where the upstream stops in the middle of one.
#[test]
fn row_24_a_silent_stream_shows_signs_of_life_between_events() {
    std::thread::scope(|scope| FOUR.into_iter().for_each(|voice| _ = scope.spawn(move || falls_silent(voice))));
}

/// An upstream that is silent twice: before the answer, and in the middle of an event.
fn falls_silent(voice: Voice) {
    let silence = Duration::from_millis(1100);
    let patient = "timeouts: {connect: 2s, first_token: 20s, idle: 20s, total: 60s}, keepalive: 300ms";
    let upstream = Upstream::start(move |_, conn| {
        stream_head(voice, conn);
        // An empty chunk would be the end.
        if !voice.opening().is_empty() {
            conn.chunk(voice.opening());
        }
        std::thread::sleep(silence);
        conn.chunk(voice.first(PIECES[0]));
        let event = voice.next(PIECES[1], 5);
        let (half, rest) = event.split_at(event.len() / 2);
        conn.chunk(half);
        std::thread::sleep(silence);
        conn.chunk(rest);
        conn.chunk(voice.closing(&PIECES.concat()));
        conn.end();
    });
    let gateway = Gateway::start(&one_provider(voice, upstream.address, patient));
    std::thread::scope(|scope| {
        for format in FORMATS {
            let gateway = &gateway;
            scope.spawn(move || {
                let answer = ask(gateway, format, true).answer();
                let (cell, text) = (format!("{voice:?} to {format:?}"), answer.text());
                let told = format.read(&answer).unwrap_or_else(|e| panic!("{cell}: {e}\n{text}"));
                assert!(told.is_whole && told.errors.is_empty(), "{cell}: {told:?}");
                assert_eq!(told.text, PIECES.concat(), "{cell}: {text}");
                let (before, after) = text.split_once(PIECES[0]).expect("the first piece");
                assert!(signs_of_life(format, after) >= 2, "{cell}: {text}");
                assert!(signs_of_life(format, before) >= 1, "{cell}: {text}");
            });
        }
    });
    assert!(gateway.wait_records(FORMATS.len()).iter().all(|record| record["outcome"] == "finished"));
}

/// A stream whose head went out with a sign of life: another target still answers it, and where there
/// is none, the error is its only event.
#[test]
fn row_24_a_stream_that_is_kept_alive_may_still_fail() {
    let faults = [Fault::StallBeforeHead, Fault::StallBeforeContent];
    let all: Vec<Case> = cases(&faults, &FOUR, &FORMATS, &[true, false]).into_iter().filter(|it| it.stream).collect();
    let upstream = play(all.clone());
    let gateway = Gateway::start(&config(&all, &upstream, &format!("{DEFAULTS}, keepalive: 200ms")));
    let seen = ask_all(&gateway, &all);
    let records = records(&gateway, all.len());
    for (n, (case, seen)) in all.iter().zip(&seen).enumerate() {
        let (answer, record) = (&seen.answer, &records[&case.model(n)]);
        let text = answer.text();
        let told = case.format.read(answer).unwrap_or_else(|e| panic!("{case:?}: {e}\n{text}"));
        assert_eq!(answer.status(), 200, "{case:?}: {text}");
        assert!(signs_of_life(case.format, &text) >= 1, "{case:?}: {text}");
        let (outcome, words) = match case.fallback {
            true => ("finished", vec!["timeout", "ok"]),
            false => ("failed", vec!["timeout"]),
        };
        if case.fallback {
            assert!(told.is_whole && told.errors.is_empty() && told.text == PIECES.concat(), "{case:?}: {text}");
        } else {
            assert!(!told.is_whole && told.errors.len() == 1 && told.text.is_empty(), "{case:?}: {text}");
        }
        assert_eq!(record["outcome"], outcome, "{case:?}: {record}");
        let timeline = record["timeline"].as_array().unwrap();
        assert_eq!(timeline.iter().map(|attempt| &attempt["outcome"]).collect::<Vec<_>>(), words, "{case:?}: {record}");
    }
}

/// Row 27: for a client that does not read, the upstream is read no further than buffers reach, and
/// the client is cut after `server.write_timeout`.
#[test]
fn row_27_a_client_that_does_not_read_stops_the_upstream() {
    /// What the kernel's buffers of two connections hold at most, and some more.
    const MOST_BYTES: u64 = 24 << 20;
    for (voice, format) in [(Voice::Chat, Format::Chat), (Voice::Messages, Format::Chat), (Voice::Chat, Format::Gemini)]
    {
        let (written, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&written), Arc::clone(&ended));
        let upstream = Upstream::start(move |_, conn| {
            begin(voice, conn);
            let event = voice.next(&"x".repeat(16 * 1024), 5);
            while conn.chunk(&event) {
                counters.0.fetch_add(u64::try_from(event.len()).unwrap(), Ordering::SeqCst);
            }
            counters.1.fetch_add(1, Ordering::SeqCst);
            conn.close();
        });
        let config = one_provider(voice, upstream.address, "timeouts: {first_token: 20s, idle: 20s, total: 60s}");
        let gateway = Gateway::start(&config.replacen("threads: 2", "threads: 2, write_timeout: 1s", 1));
        let mut client = ask(&gateway, format, true);
        assert_eq!(client.head().status, 200);
        until("the upstream's end", || (ended.load(Ordering::SeqCst) > 0).then_some(()));
        let written = written.load(Ordering::SeqCst);
        assert!(written < MOST_BYTES, "{voice:?} to {format:?}: {written} bytes were read for nobody");
        let record = gateway.record(1);
        assert_eq!(record["outcome"], "client_cut", "{record}");
        assert!(is_counted(&record) && record["output_tokens"].as_u64().is_some_and(|n| n > 0), "{record}");
        // Whoever reads on after all finds half an answer, and no end.
        assert!(!client.until_closed().ends_with(b"0\r\n\r\n"), "{voice:?} to {format:?}");
    }
}

/// Row 29: memory does not grow with requests, whatever becomes of them.
#[test]
fn row_29_memory_stays_flat_under_faults() {
    const WARM_UP: usize = 600;
    const REQUESTS: usize = 3000;
    /// Of a build without optimization, with its log at `debug`.
    const MOST_GROWTH_KIB: u64 = 12 * 1024;
    let faults = [
        Fault::Good,
        Fault::ResetBeforeHead,
        Fault::Status529,
        Fault::TruncatedJson,
        Fault::Good,
        Fault::ErrorEventMid,
        Fault::HtmlPage,
        Fault::ResetMidBody,
        Fault::LostIn200,
    ];
    let upstream = Upstream::start(move |request: &Request, conn| {
        let stream = is_stream(Voice::Chat, request);
        match request.path.starts_with("/spare") {
            true => fault::good(Voice::Chat, stream, conn),
            false => faults[request.number % faults.len()].play(Voice::Chat, stream, conn),
        }
    });
    let spare = Voice::Chat.provider(&format!("http://{}/spare", upstream.address));
    let config = one_provider(Voice::Chat, upstream.address, DEFAULTS).replacen(
        "providers:",
        &format!(
            "routes: {{it: {{targets: [{{model: it/m}}, {{model: spare/m}}]}}}}\nproviders:\n  spare: {{{spare}}}"
        ),
        1,
    );
    let gateway = Gateway::start(&config);
    let round = |count: usize| {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::SeqCst);
                        if n >= count {
                            return;
                        }
                        let (format, stream) = (FORMATS[n % 4], !n.is_multiple_of(3));
                        let answer = gateway.post(&format.path("it", stream), &format.body("it", "x", stream));
                        assert!([200, 429, 502, 503, 529].contains(&answer.status()), "{}", answer.text());
                    }
                });
            }
        });
    };
    round(WARM_UP);
    let before = gateway.memory_kib();
    round(REQUESTS);
    let after = gateway.memory_kib();
    assert!(after < before + MOST_GROWTH_KIB, "{before} KiB before, {after} KiB after {REQUESTS} requests");
}

/// Signs of life for the client are none of the provider's: a stream that stalls ends all the same, and
/// so does one of which nothing but pings comes.
#[test]
fn signs_of_life_keep_no_dead_provider_alive() {
    let patient = "timeouts: {connect: 2s, first_token: 900ms, idle: 900ms, total: 60s}, keepalive: 200ms";
    for pings in [false, true] {
        let upstream = Upstream::start(move |_, conn| {
            begin(Voice::Messages, conn);
            for _ in 0..300 {
                std::thread::sleep(Duration::from_millis(100));
                if pings && !conn.chunk("event: ping\ndata: {\"type\": \"ping\"}\n\n") {
                    break;
                }
            }
        });
        let gateway = Gateway::start(&one_provider(Voice::Messages, upstream.address, patient));
        for format in FORMATS {
            let answer = ask(&gateway, format, true).answer();
            let told = format.read(&answer).unwrap_or_else(|e| panic!("{format:?}: {e}\n{}", answer.text()));
            assert!(!told.is_whole && told.errors.len() == 1, "{format:?}, pings {pings}: {told:?}");
            assert!(answer.text().contains("(idle timeout)"), "{format:?}, pings {pings}: {}", answer.text());
        }
    }
}

/// A model that searches, or runs code, says nothing for a while, and tells so: those are no pings.
#[test]
fn events_without_words_keep_a_stream_alive() {
    let patient = "timeouts: {connect: 1s, first_token: 700ms, idle: 700ms, total: 60s}";
    let upstream = Upstream::start(|_, conn| {
        begin(Voice::Responses, conn);
        for number in 5..20 {
            let event = "response.web_search_call.searching";
            let data = format!(
                "{{\"type\":\"{event}\",\"item_id\":\"ws_1\",\"output_index\":1,\"sequence_number\":{number}}}"
            );
            conn.chunk(format!("event: {event}\ndata: {data}\n\n"));
            std::thread::sleep(Duration::from_millis(100));
        }
        conn.chunk([Voice::Responses.next(PIECES[1], 20), Voice::Responses.closing(&PIECES.concat())].concat());
        conn.end();
    });
    let gateway = Gateway::start(&one_provider(Voice::Responses, upstream.address, patient));
    for format in FORMATS {
        let answer = ask(&gateway, format, true).answer();
        let told = format.read(&answer).unwrap_or_else(|e| panic!("{format:?}: {e}\n{}", answer.text()));
        assert!(told.is_whole && told.errors.is_empty(), "{format:?}: {}", answer.text());
    }
}

/// Models that think open a stream long before its first words, which is not too late for `first_token`.
#[test]
fn answers_that_are_thought_about_are_waited_for() {
    let patient = "timeouts: {connect: 2s, first_token: 1s, idle: 20s, total: 60s}, retries: 0";
    let thinking = Duration::from_millis(2_000);
    std::thread::scope(|scope| {
        for voice in FOUR {
            scope.spawn(move || {
                let upstream = Upstream::start(move |request, conn| {
                    assert!(is_stream(voice, request));
                    stream_head(voice, conn);
                    // What opens a stream of Google's is content already.
                    if !voice.opening().is_empty() {
                        conn.chunk(voice.opening());
                        std::thread::sleep(thinking);
                    }
                    conn.chunk(voice.first(&PIECES.concat()));
                    conn.chunk(voice.closing(&PIECES.concat()));
                    conn.end();
                });
                let gateway = Gateway::start(&one_provider(voice, upstream.address, patient));
                for format in FORMATS {
                    let answer = ask(&gateway, format, true).answer();
                    let cell = format!("{voice:?} to {format:?}");
                    assert_eq!(answer.status(), 200, "{cell}: {}", answer.text());
                    assert!(format.read(&answer).is_ok_and(|told| told.is_whole), "{cell}: {}", answer.text());
                }
            });
        }
    });
}
