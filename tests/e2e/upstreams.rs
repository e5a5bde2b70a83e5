//! Upstreams that refuse, vanish, or send half.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, streamed, text};
use crate::routing::timeline;
use crate::support::gateway::{Gateway, config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

fn fallback(first: std::net::SocketAddr, second: std::net::SocketAddr) -> Gateway {
    let more =
        "routes:\n  fast:\n    strategy: fallback\n    targets: [{model: openai/sim-1}, {model: anthropic/sim-1}]\n";
    Gateway::start(&config(first, second, more))
}

#[test]
fn a_refused_connection_falls_back() {
    let sim = Simulated::start();
    let gateway = fallback(Upstream::nobody(), sim.address);
    for (path, body) in both("fast", "hi") {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!((answer.header("x-weir-fallback-used"), answer.header("x-weir-provider")), ("1", "anthropic"));
        assert_eq!(text(&answer.json()), "You said: hi");
    }
}

#[test]
fn a_reset_before_the_head_falls_back_or_is_502() {
    let sim = Simulated::start();
    let upstream = Upstream::start(|_, conn| conn.reset());
    let gateway = fallback(upstream.address, sim.address);
    assert_eq!(gateway.post(CHAT, &chat("fast", "hi")).status(), 200);
    for (path, body) in both("openai/gpt-4o-mini", "hi") {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 502, "{}", answer.text());
        if path == CHAT {
            assert_eq!(answer.json()["error"]["code"], "upstream_error");
        }
    }
}

#[test]
fn errors_of_the_first_target_fall_back_and_the_last_ones_are_told() {
    let sim = Simulated::start();
    let more = "routes:\n  fast: {strategy: fallback, targets: [{model: openai/sim-error-500}, {model: anthropic/sim-1}]}\n  doomed: {strategy: fallback, targets: [{model: openai/sim-error-500}, {model: anthropic/sim-error-529}]}\n  wrong: {strategy: fallback, targets: [{model: openai/sim-error-400}, {model: anthropic/sim-1}]}\n";
    let gateway = Gateway::start(&config(sim.address, sim.address, more));
    let answer = gateway.post(CHAT, &chat("fast", "hi"));
    assert_eq!((answer.status(), answer.header("x-weir-attempts")), (200, "2"), "{}", answer.text());
    let answer = gateway.post(CHAT, &chat("doomed", "hi"));
    assert!(answer.status() >= 500, "{}", answer.text());
    let answer = gateway.post(CHAT, &chat("wrong", "hi"));
    assert_eq!((answer.status(), answer.header("x-weir-attempts")), (400, "1"), "a wrong request is wrong everywhere");
}

#[test]
fn an_empty_account_is_passed_over_and_a_request_too_long_is_not() {
    let sim = Simulated::start();
    let broke = Upstream::json(429, r#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota"}}"#);
    let answer = fallback(broke.address, sim.address).post(CHAT, &chat("fast", "hi"));
    assert_eq!((answer.status(), answer.header("x-weir-attempts")), (200, "2"), "{}", answer.text());
    let long = Upstream::json(400, r#"{"error":{"message":"maximum context length is 8 tokens","code":400}}"#);
    let answer = fallback(long.address, sim.address).post(CHAT, &chat("fast", "hi"));
    assert_eq!((answer.status(), answer.header("x-weir-attempts")), (400, "1"), "{}", answer.text());
}

/// Row 21: attempts are bounded.
#[test]
fn retries_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let upstream = Upstream::start(move |_, conn| {
        seen.fetch_add(1, Ordering::SeqCst);
        conn.json(500, r#"{"error":{"message":"no","type":"server_error","param":null,"code":null}}"#);
    });
    let gateway = Gateway::with(upstream.address);
    assert!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status() >= 500);
    let attempts = count.load(Ordering::SeqCst);
    assert!((1..=3).contains(&attempts), "{attempts}");
    assert_eq!(gateway.record(1)["attempts"], json!(attempts));
}

/// Pitfall 2: a pooled connection that the upstream closed meanwhile is not the caller's problem.
#[test]
fn a_stale_pooled_connection_is_replaced_without_a_word() {
    let upstream = Upstream::start(|request, conn| {
        if request.nth > 0 {
            conn.close();
        } else {
            conn.json(200, &chat_answer("ok"));
        }
    });
    let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {retries: 0}\n"));
    // The pool does not promise to use a connection again.
    for asked in 1..=20 {
        let answer = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
        assert_eq!(answer.status(), 200, "request {asked}: {}", answer.text());
        assert_eq!(answer.header("x-weir-attempts"), "1", "it was never an attempt");
        // Each was answered on a fresh one, and one that was found dead at that is not counted.
        let (fresh, dead): (Vec<_>, Vec<_>) = upstream.requests().into_iter().partition(|r| r.nth == 0);
        assert_eq!((fresh.len(), upstream.connections()), (asked, asked));
        if !dead.is_empty() {
            return;
        }
    }
    panic!("no connection was used twice");
}

#[test]
fn half_an_answer_never_reaches_the_client() {
    let sim = Simulated::start();
    let gateway = Gateway::start(&config(sim.address, sim.address, "defaults: {retries: 0}\n"));
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-stream-cut"), "hi") {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.status(), 502, "{path} {provider}: {}", answer.text());
            assert!(answer.json()["error"]["message"].is_string());
        }
    }
}

#[test]
fn nonsense_from_an_upstream_is_502() {
    for body in ["<html>busy</html>", "", "{\"choices\":", "null"] {
        let upstream = Upstream::json(200, body);
        let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {retries: 0}\n"));
        let answer = gateway.post(MESSAGES, &crate::ask::message("openai/gpt-4o-mini", "hi"));
        assert_eq!(answer.status(), 502, "{body:?}: {}", answer.text());
    }
}

#[test]
fn an_html_error_page_becomes_a_json_error() {
    let upstream = Upstream::start(|_, conn| {
        conn.raw("HTTP/1.1 503 X\r\ncontent-type: text/html\r\ncontent-length: 17\r\n\r\n<html>busy</html>");
    });
    let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {retries: 0}\n"));
    let answer = gateway.post(MESSAGES, &crate::ask::message("openai/gpt-4o-mini", "hi"));
    assert!(answer.status() >= 500, "{}", answer.text());
    assert_eq!(answer.json()["type"], "error");
}

#[test]
fn interim_answers_of_an_upstream_are_passed_over() {
    let upstream = Upstream::start(|_, conn| {
        conn.raw("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
        conn.json(200, &chat_answer("ok"));
    });
    let gateway = Gateway::with(upstream.address);
    let answer = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
    assert_eq!((answer.status(), text(&answer.json())), (200, "ok"));
}

#[test]
fn a_body_without_length_that_ends_with_the_connection_is_read() {
    let upstream = Upstream::start(|_, conn| {
        conn.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n");
        conn.raw(chat_answer("ok"));
        conn.close();
    });
    let gateway = Gateway::with(upstream.address);
    assert_eq!(text(&gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).json()), "ok");
}

#[test]
fn upstream_connections_are_kept_across_streams() {
    let sim = Upstream::sse(crate::ask::sse(&[
        crate::ask::chunk(&json!({"role": "assistant", "content": "x"}), None),
        crate::ask::chunk(&json!({}), Some("stop")),
    ]));
    let gateway = Gateway::with(sim.address);
    for _ in 0..5 {
        assert_eq!(gateway.post(CHAT, &streamed(chat("openai/gpt-4o-mini", "hi"))).status(), 200);
    }
    assert!(sim.connections() <= 2, "{} connections for 5 streams one after the other", sim.connections());
}

/// A new configuration takes over the connections to providers that stay where they were, whichever thread
/// made them.
#[test]
fn upstream_connections_outlive_a_reload() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::start(&config(upstream.address, upstream.address, ""));
    let ask = || assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    ask();
    gateway.write_config(&config(upstream.address, upstream.address, "defaults: {retries: 1}\n"));
    assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    ask();
    assert_eq!(upstream.connections(), 1);
}

/// A server that takes no more connections leaves those who come without an answer, as a dead network
/// does: that is the deadline for connecting, and a fallback is asked.
#[test]
fn a_connection_that_does_not_come_about_is_given_up() {
    let full = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = full.local_addr().unwrap();
    // Whoever comes once the kernel's queue is full is not even refused.
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue has no end");
    }
    let good = Upstream::json(200, chat_answer("ok"));
    let more = "defaults: {timeouts: {connect: 300ms}, retries: 1}\n\
                routes: {two: {targets: [{model: openai/gpt-4o-mini}, {model: lab/m}]}}\n";
    let gateway = Gateway::start(&config(address, address, more).replace(
        "providers:\n",
        &format!("providers:\n  lab: {{kind: openai-compatible, base_url: \"http://{}/v1\"}}\n", good.address),
    ));
    let alone = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
    assert_eq!(alone.status(), 504, "{}", alone.text());
    assert!(alone.text().contains("(connect timeout)"), "{}", alone.text());
    let two = gateway.post(CHAT, &chat("two", "hi"));
    assert_eq!((two.status(), two.header("x-weir-fallback-used")), (200, "1"), "{}", two.text());
    assert_eq!(timeline(&gateway.record(2)), ["openai first timeout", "lab fallback ok"]);
}
