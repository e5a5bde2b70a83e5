//! Request bodies with a content coding.

use std::io::Write as _;

use serde_json::Value;

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, message};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, full_config};
use crate::support::upstream::Upstream;

const CODINGS: [&str; 4] = ["gzip", "deflate", "zstd", "br"];

fn packed(coding: &str, plain: &[u8]) -> Vec<u8> {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(plain, 1).unwrap(),
        _ => {
            let mut out = Vec::new();
            brotli::CompressorWriter::new(&mut out, 4096, 2, 22).write_all(plain).unwrap();
            out
        }
    }
}

fn send(gateway: &Gateway, path: &str, coding: &str, body: &[u8]) -> Answer {
    let bearer = format!("Bearer {KEY}");
    gateway.client().request("POST", path, &[("authorization", &bearer), ("content-encoding", coding)], body).answer()
}

fn gateway(max_body: &str, upstream: &Upstream) -> Gateway {
    let server = format!("  max_body: {max_body}");
    Gateway::start(&full_config(&server, upstream.address, upstream.address, "", "defaults: {retries: 0}\n"))
}

#[test]
fn packed_bodies_are_unpacked_for_every_provider() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = gateway("32MiB", &upstream);
    for coding in CODINGS {
        for (path, body) in
            [(CHAT, chat("openai/gpt-4o-mini", "hi é")), (MESSAGES, message("openai/gpt-4o-mini", "hi é"))]
        {
            let answer = send(&gateway, path, coding, &packed(coding, body.to_string().as_bytes()));
            assert_eq!(answer.status(), 200, "{coding}: {}", answer.text());
            let seen = upstream.requests().pop().unwrap();
            assert_eq!(seen.json()["messages"][0]["content"], "hi é", "{coding}");
            assert_eq!(seen.header("content-encoding"), None);
        }
    }
}

#[test]
fn twenty_megabytes_come_out_in_pieces() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = gateway("32MiB", &upstream);
    let text: String = (0..2_000_000_u32).map(|n| format!("{:09} ", n.wrapping_mul(2_654_435_761))).collect();
    let body = packed("gzip", chat("openai/gpt-4o-mini", &text).to_string().as_bytes());
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str()), ("content-encoding", "gzip")];
    let mut client = gateway.client();
    client.request_chunked(CHAT, &headers, &body, 50_000);
    let answer = client.answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(upstream.request().json()["messages"][0]["content"].as_str(), Some(text.as_str()));
}

/// In the format of the caller, whatever is wrong with the body.
fn refused(answer: &Answer, status: u16, code: &str) {
    let error: Value = answer.json()["error"].clone();
    assert_eq!(answer.status(), status, "{error}");
    let said = if error["code"].is_string() { &error["code"] } else { &error["type"] };
    assert_eq!(said, code, "{error}");
}

#[test]
fn a_bomb_is_413_and_nothing_reaches_a_provider() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = gateway("1MiB", &upstream);
    let plain = chat("openai/gpt-4o-mini", &"x".repeat(16 << 20)).to_string();
    for coding in CODINGS {
        let bomb = packed(coding, plain.as_bytes());
        assert!(bomb.len() < 1 << 20, "{coding}: {}", bomb.len());
        for path in [CHAT, MESSAGES] {
            refused(&send(&gateway, path, coding, &bomb), 413, "request_too_large");
        }
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn cut_spoilt_and_unknown_codings_are_the_clients_fault() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = gateway("1MiB", &upstream);
    let plain = chat("openai/gpt-4o-mini", "hi").to_string();
    for coding in CODINGS {
        let body = packed(coding, plain.as_bytes());
        refused(&send(&gateway, CHAT, coding, &body[..body.len() - 2]), 400, "invalid_request");
        refused(&send(&gateway, MESSAGES, coding, plain.as_bytes()), 400, "invalid_request_error");
    }
    refused(&send(&gateway, CHAT, "lzma", plain.as_bytes()), 415, "unsupported_content_encoding");
    refused(&send(&gateway, MESSAGES, "gzip, gzip", plain.as_bytes()), 415, "invalid_request_error");
    let answer = send(&gateway, "/v1beta/models/openai/gpt-4o-mini:generateContent", "lzma", b"{}");
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_u64()), (415, Some(415)), "{}", answer.text());
    assert_eq!(upstream.requests().len(), 0);
}
