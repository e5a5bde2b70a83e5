//! Request bodies: sizes, framings, manners.

use serde_json::json;

use crate::ask::{CHAT, MESSAGES, chat, chat_answer};
use crate::support::gateway::{Gateway, KEY, full_config};
use crate::support::upstream::Upstream;

fn bearer() -> String {
    format!("Bearer {KEY}")
}

/// Row 28: bodies of 32 KiB and of 1 MB broke elsewhere; the cap is one, and documented.
#[test]
fn a_body_of_nearly_32_mib_passes_byte_for_byte() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    for size in [33 << 10, 1 << 20, (32 << 20) - 4096] {
        let text = "x".repeat(size);
        let body = chat("openai/gpt-4o-mini", &text).to_string();
        let answer = gateway.client().request("POST", CHAT, &[("authorization", &bearer())], body.as_bytes()).answer();
        assert_eq!(answer.status(), 200, "{size}: {}", answer.text());
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.json()["messages"][0]["content"].as_str().map(str::len), Some(size));
        assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    }
}

#[test]
fn chunked_bodies_over_64_kib_pass() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let mut client = gateway.client();
    for (nth, (size, chunk)) in
        [(100, 7), (70_000, 1000), (1 << 20, 65_536), (5 << 20, 100_000)].into_iter().enumerate()
    {
        let body = chat("openai/gpt-4o-mini", &"y".repeat(size)).to_string();
        client.request_chunked(CHAT, &[("authorization", &bearer())], body.as_bytes(), chunk);
        let answer = client.answer();
        assert_eq!(answer.status(), 200, "{size} in {chunk}: {}", answer.text());
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.json()["messages"][0]["content"].as_str().map(str::len), Some(size));
        assert_eq!(upstream.requests().len(), nth + 1, "one request on the same client connection each");
    }
}

#[test]
fn a_body_over_the_cap_is_413_in_the_callers_format() {
    let gateway = Gateway::start(&full_config("  max_body: 64KiB", Upstream::nobody(), Upstream::nobody(), "", ""));
    let body = "x".repeat(70 << 10);
    for path in [CHAT, MESSAGES] {
        let answer = gateway.client().request("POST", path, &[("authorization", &bearer())], body.as_bytes()).answer();
        let error = answer.json()["error"].clone();
        assert_eq!(answer.status(), 413, "{error}");
        let name = if path == CHAT { &error["code"] } else { &error["type"] };
        assert_eq!(name, "request_too_large");
        let mut client = gateway.client();
        client.request_chunked(path, &[("authorization", &bearer())], body.as_bytes(), 4096);
        assert_eq!(client.answer().status(), 413, "chunked");
    }
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let gateway = Gateway::start(&full_config("  body_timeout: 1s", Upstream::nobody(), Upstream::nobody(), "", ""));
    for (path, name) in [(CHAT, "request_timeout"), (MESSAGES, "timeout_error")] {
        let mut client = gateway.client();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nhost: g\r\nauthorization: {}\r\ncontent-length: 100\r\n\r\n{{\"mo",
            bearer()
        ));
        let answer = client.answer();
        let error = answer.json()["error"].clone();
        assert_eq!(answer.status(), 408, "{error}");
        assert_eq!(if path == CHAT { &error["code"] } else { &error["type"] }, name);
        client.until_closed();
    }
}

#[test]
fn expect_100_continue_is_answered_and_the_connection_stays() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let mut client = gateway.client();
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    for _ in 0..2 {
        client.send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: {}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            bearer(),
            body.len()
        ));
        assert_eq!(client.any_head().status, 100);
        client.send(&body);
        let answer = client.answer();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_ne!(answer.header("connection"), "close");
    }
    assert_eq!(upstream.requests().len(), 2);
    assert!(upstream.requests().iter().all(|r| r.header("expect").is_none()));
}

#[test]
fn keep_alive_holds_across_answers_and_refusals() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let mut client = gateway.client();
    let good = chat("openai/gpt-4o-mini", "hi").to_string();
    for body in [good.as_str(), "{", good.as_str(), r#"{"model":"nope","messages":[]}"#, good.as_str()] {
        let status = client.request("POST", CHAT, &[("authorization", &bearer())], body.as_bytes()).answer().status();
        assert_eq!(status == 200, body == good);
    }
    assert!(upstream.connections() <= 2, "the upstream connection is kept too, mostly");
}

#[test]
fn untouched_members_keep_every_byte() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let body = "{ \"messages\" : [ {\"role\":\"user\",\"content\":\"h\\u00e9 \\ud83d\\ude00\"} ],\n \"seed\":12345678901234567890123, \"x_unknown\" : {\"b\":1e400,\"a\":[null , true]},\"model\":\"openai/gpt-4o-mini\",\"temperature\":0.10 }";
    let answer = gateway.client().request("POST", CHAT, &[("authorization", &bearer())], body.as_bytes()).answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let seen = String::from_utf8(upstream.request().body).unwrap();
    assert_eq!(seen, body.replace("openai/gpt-4o-mini", "gpt-4o-mini"));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], json!("ok"));
}
