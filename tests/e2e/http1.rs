//! HTTP/1.1 that can be read in two ways, and methods that are no business of a gateway.

use serde_json::json;

use crate::ask::{CHAT, chat, chat_answer, with};
use crate::support::gateway::{Gateway, KEY};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

/// Sends a head and a body as they are; the status, and whether the connection was closed after.
fn refuse(gateway: &Gateway, what: &str, request: &str) {
    let mut client = gateway.client();
    client.try_send(request);
    let text = String::from_utf8_lossy(&client.until_closed()).into_owned();
    let status = text.split(' ').nth(1).unwrap_or("none, closed").to_owned();
    assert!(status.starts_with('4') || status == "none, closed", "{what}: {text}");
    assert!(!text.contains(" 200 "), "{what}: {text}");
}

#[test]
fn ambiguous_requests_are_refused_and_the_connection_closed() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    let n = body.len();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\n");
    let chunked = format!("{n:x}\r\n{body}\r\n0\r\n\r\n");
    let close = "connection: close\r\n\r\n";
    for (what, request) in [
        ("two lengths", format!("{head}content-length: {n}\r\ncontent-length: {}\r\n{close}{body}", n + 1)),
        ("a list of lengths", format!("{head}content-length: {n}, {}\r\n{close}{body}", n + 1)),
        ("the same length twice", format!("{head}content-length: {n}\r\ncontent-length: {n}\r\n{close}{body}")),
        ("a list of the same length", format!("{head}content-length: {n}, {n}\r\n{close}{body}")),
        ("length and chunks", format!("{head}content-length: {n}\r\ntransfer-encoding: chunked\r\n{close}{chunked}")),
        ("an unknown coding", format!("{head}transfer-encoding: xchunked\r\n{close}{chunked}")),
        ("gzip over chunks", format!("{head}transfer-encoding: gzip, chunked\r\n{close}{chunked}")),
        ("a negative length", format!("{head}content-length: -1\r\n{close}{body}")),
        ("a length with a plus", format!("{head}content-length: +{n}\r\n{close}{body}")),
        ("a folded line", format!("{head}x-a: b\r\n c\r\ncontent-length: {n}\r\n{close}{body}")),
        ("a space before the colon", format!("{head}content-length : {n}\r\n{close}{body}")),
        ("a line without a colon", format!("{head}nonsense\r\ncontent-length: {n}\r\n{close}{body}")),
        (
            "spaces before the target",
            format!(
                "POST   {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ncontent-length: {n}\r\n\r\n{body}"
            ),
        ),
        (
            "spaces before a target without a body",
            format!("GET  /v1/limits HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\n\r\n"),
        ),
        (
            "chunks on 1.0",
            format!(
                "POST {CHAT} HTTP/1.0\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
            ),
        ),
    ] {
        refuse(&gateway, what, &request);
    }
    assert_eq!(upstream.requests().len(), 0, "none of them reached the upstream");
}

#[test]
fn bad_chunk_framing_does_not_reach_the_upstream() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: chunked\r\n\r\n");
    for (what, body) in [
        ("no size", "zz\r\n{}\r\n0\r\n\r\n"),
        ("a size that does not fit", "1\r\n{}\r\n0\r\n\r\n"),
        ("an endless size", "ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("a negative size", "-2\r\n{}\r\n0\r\n\r\n"),
    ] {
        let mut client = gateway.client();
        client.try_send(head.clone() + body);
        client.half_close();
        let text = String::from_utf8_lossy(&client.until_closed()).into_owned();
        assert!(!text.contains(" 200 "), "{what}: {text}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_smuggled_request_is_not_answered() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    let hidden = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = gateway.client();
    client.try_send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    ));
    let text = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(!text.contains(" 200 "), "{text}");
    assert_eq!(upstream.requests().len(), 0);
}

/// As clients ask for HTTP/2 with every request that would rather speak that.
#[test]
fn who_asks_for_an_upgrade_is_answered_without() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ];
    let mut client = gateway.client();
    for _ in 0..2 {
        let body = chat("openai/gpt-4o-mini", "hi").to_string();
        let answer = client.request("POST", CHAT, &headers, body.as_bytes()).answer();
        assert_eq!((answer.status(), answer.header("upgrade")), (200, ""), "{}", answer.text());
    }
    assert!(upstream.requests().iter().all(|seen| seen.header("upgrade").is_none()));
}

/// They read until the connection ends.
#[test]
fn clients_of_http_1_0_get_no_chunks() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for (stream, end) in [(false, "}"), (true, "data: [DONE]\n\n")] {
        let body = with(chat("openai/sim-1", "hi"), json!({"stream": stream})).to_string();
        let mut client = gateway.client();
        client.send(format!(
            "POST {CHAT} HTTP/1.0\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = String::from_utf8(client.until_closed()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("transfer-encoding") && !head.contains("keep-alive"), "{head}");
        assert!(body.trim_end_matches('\n').ends_with(end.trim_end_matches('\n')), "{body}");
    }
}

#[test]
fn a_body_that_is_not_in_chunks_is_the_clients_fault() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    for (at, chunk) in ["zz\r\n{}\r\n", "-5\r\n{}\r\n", "0x2\r\n{}\r\n", "2\r\n{}zz0\r\n\r\n"].into_iter().enumerate() {
        let mut client = gateway.client();
        client.send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
        ));
        let answer = String::from_utf8(client.until_closed()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("transfer-encoding says"), "{chunk:?}: {answer}");
        assert_eq!(gateway.wait_records(at + 1)[at]["status"], 400);
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn tunnels_are_refused() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let key = format!("authorization: Bearer {KEY}\r\n");
    for (what, request) in [
        ("connect", format!("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n{key}\r\n")),
        (
            "websocket",
            format!(
                "GET {CHAT} HTTP/1.1\r\nhost: g\r\n{key}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x\r\n\r\n"
            ),
        ),
    ] {
        let mut client = gateway.client();
        client.send(request);
        let head = client.head();
        assert!((400..600).contains(&head.status), "{what}: {head:?}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_head_without_end_is_bounded() {
    let gateway = Gateway::with(Upstream::nobody());
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: g\r\n");
    let line = format!("x-filler: {}\r\n", "a".repeat(8000));
    let mut sent = 0;
    while sent < (8 << 20) && client.try_send(&line) {
        sent += line.len();
    }
    assert!(sent < (8 << 20), "the gateway read {sent} bytes of a head");
}

#[test]
fn pipelined_requests_never_mix_answers() {
    let upstream = Upstream::start(|request, conn| {
        let said = request.json()["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
        conn.json(200, &chat_answer(&said));
    });
    let gateway = Gateway::with(upstream.address);
    let one = |text: &str| {
        let body = chat("openai/gpt-4o-mini", text).to_string();
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut client = gateway.client();
    client.send(one("first") + &one("second"));
    let text = String::from_utf8_lossy(&client.half_close().until_closed()).into_owned();
    let first = text.find("\"first\"");
    let second = text.find("\"second\"");
    // Served in order, or refused: never the second for the first.
    assert!(second.is_none() || (first.is_some() && first < second), "{text}");
}
