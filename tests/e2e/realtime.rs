//! Realtime sessions: a WebSocket to the provider.

use serde_json::json;

use crate::ask::{MESSAGES, message};
use crate::support::client::{Client, Head};
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, full_config};
use crate::support::upstream::{Conn, Request, Upstream};
use crate::support::wait::until;
use crate::support::websocket::{asked, frame, read, said};

const CLOSE: u8 = 8;

/// Agrees, greets, repeats every text in lower case with what it cost, and closes when asked to.
fn realtime(_: &Request, conn: &mut Conn) {
    conn.raw(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: realtime\r\n\r\n",
    );
    conn.raw(said(r#"{"type":"session.created"}"#));
    while let Some((opcode, payload)) = read(|count| conn.take(count)) {
        if opcode == CLOSE {
            conn.raw(frame(CLOSE, &payload, None));
            break;
        }
        conn.raw(said(&String::from_utf8(payload).unwrap().to_lowercase()));
        conn.raw(said(
            r#"{"type":"response.done","response":{"usage":{"total_tokens":30,"input_tokens":20,"output_tokens":10,"input_token_details":{"audio_tokens":15}}}}"#,
        ));
    }
    conn.close();
}

const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

fn open(gateway: &Gateway, path: &str, more: &[(&str, &str)]) -> (Client, Head) {
    let mut client = gateway.client();
    client.request("GET", path, &[&HANDSHAKE[..], more].concat(), b"");
    let head = client.any_head();
    (client, head)
}

fn text(client: &mut Client) -> String {
    let (opcode, payload) = read(|count| client.take(count)).expect("a message");
    assert_eq!(opcode, 1);
    String::from_utf8(payload).unwrap()
}

#[test]
fn a_session_passes_both_ways_and_is_counted() {
    let upstream = Upstream::start(realtime);
    let gateway = Gateway::with(upstream.address);
    let bearer = format!("Bearer {KEY}");
    let more = [
        ("authorization", bearer.as_str()),
        ("openai-beta", "realtime=v1"),
        ("cookie", "a=b"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let (mut client, head) = open(&gateway, "/v1/realtime?x=1&intent=conversation&model=openai%2Fgpt-realtime", &more);
    assert_eq!((head.status, head.header("sec-websocket-accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((head.header("x-weir-provider"), head.header("x-weir-model")), ("openai", "gpt-realtime"));
    assert_eq!(text(&mut client), r#"{"type":"session.created"}"#);
    for _ in 0..2 {
        client.send(asked("HELLO"));
        assert_eq!(text(&mut client), "hello");
        assert!(text(&mut client).contains("response.done"));
    }
    client.send(frame(CLOSE, b"", Some([9, 9, 9, 9])));
    assert_eq!(read(|count| client.take(count)).map(|(opcode, _)| opcode), Some(CLOSE));
    client.until_closed();
    let seen = upstream.request();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("GET", "/v1/realtime?model=gpt-realtime&intent=conversation")
    );
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    assert_eq!((seen.header("upgrade"), seen.header("openai-beta")), (Some("websocket"), Some("realtime=v1")));
    assert_eq!((seen.header("cookie"), seen.header("sec-websocket-extensions")), (None, None));
    let record = gateway.record(1);
    assert_eq!((&record["format"], &record["status"]), (&json!("realtime"), &json!(101)), "{record}");
    assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(40), &json!(20)), "{record}");
    assert_eq!((&record["outcome"], &record["model"]), (&json!("finished"), &json!("openai/gpt-realtime")), "{record}");
}

/// However the process ends: nobody can close a session for it.
#[test]
fn a_session_that_is_open_when_the_process_ends_is_charged_with_what_it_has_used() {
    let answer = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],
        "stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let (upstream, other) = (Upstream::start(realtime), Upstream::json(200, answer));
    for signal in ["KILL", "TERM"] {
        let config = full_config("  grace_period: 1s", upstream.address, other.address, "", "");
        let mut gateway = Gateway::start(&config);
        let dir = gateway.dir.clone();
        let bearer = format!("Bearer {KEY}");
        let (mut client, head) =
            open(&gateway, "/v1/realtime?model=openai/gpt-realtime", &[("authorization", bearer.as_str())]);
        assert_eq!((head.status, text(&mut client).contains("session.created")), (101, true));
        for _ in 0..2 {
            client.send(asked("HELLO"));
            assert!(text(&mut client) == "hello" && text(&mut client).contains("response.done"));
        }
        // Once a row that came later is folded, all before it is written.
        assert_eq!(gateway.post(MESSAGES, &message("anthropic/m", "hi")).status(), 200);
        until("a row to be folded", || (gateway.metric("weir_ledger_rows_total", &[]) >= 1.0).then_some(()));
        gateway.signal(signal);
        gateway.wait_exit();
        let again = Gateway::start_in(dir, &config, &[]);
        let row = until("the row", || {
            let rows = again.admin("GET", "/admin/v1/requests").json()["data"].clone();
            rows.as_array()?.iter().find(|row| row["outcome"] == json!("recovered")).cloned()
        });
        assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(40), &json!(20)), "{signal}: {row}");
    }
}

#[test]
fn a_browsers_key_is_taken_and_never_sent_on() {
    let upstream = Upstream::start(realtime);
    let gateway = Gateway::with(upstream.address);
    let protocols = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
    let more = [("sec-websocket-protocol", protocols.as_str())];
    let (mut client, head) = open(&gateway, "/v1/realtime?model=gpt-realtime", &more);
    assert_eq!((head.status, head.header("sec-websocket-protocol")), (101, "realtime"));
    assert_eq!(text(&mut client), r#"{"type":"session.created"}"#);
    let seen = upstream.request();
    assert_eq!(seen.header("sec-websocket-protocol"), Some("realtime, openai-beta.realtime-v1"));
    assert!(!String::from_utf8(seen.raw_head).unwrap().contains(KEY));
    drop(client);
    gateway.wait_records(1);
    assert!(!gateway.stderr().contains(KEY) && !gateway.stdout().contains(KEY));
}

#[test]
fn a_session_is_refused_like_any_request() {
    let upstream = Upstream::start(realtime);
    let tenant = "    models: [\"openai/gpt-realtime\"]\n    limits: {concurrency: 1}";
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, tenant, ""));
    let bearer = format!("Bearer {KEY}");
    let more = [("authorization", bearer.as_str())];
    let status = |path: &str, more: &[(&str, &str)]| open(&gateway, path, more).1.status;
    assert_eq!(status("/v1/realtime?model=openai/gpt-realtime", &[]), 401);
    assert_eq!(status("/v1/realtime?model=openai/gpt-other", &more), 403);
    assert_eq!(status("/v1/realtime?model=nobody/x", &more), 404);
    assert_eq!(status("/v1/realtime", &more), 403);
    assert_eq!(status("/v1/realtime?model=openai/gpt-realtime&model=openai/gpt-other", &more), 400);
    assert_eq!(status("/v1/chat/completions", &more), 405);
    let plain = gateway.client().request("GET", "/v1/realtime?model=openai/gpt-realtime", &more, b"").answer();
    assert_eq!(plain.status(), 400);
    assert_eq!(upstream.requests().len(), 0);
    // A session has its place for as long as it lasts.
    let (client, head) = open(&gateway, "/v1/realtime?model=openai/gpt-realtime", &more);
    assert_eq!(head.status, 101);
    assert_eq!(status("/v1/realtime?model=openai/gpt-realtime", &more), 429);
    drop(client);
    gateway.wait_records(9);
    assert_eq!(status("/v1/realtime?model=openai/gpt-realtime", &more), 101);
}

#[test]
fn a_provider_that_refuses_is_heard_and_one_that_breaks_is_told_of() {
    let words = format!(r#"{{"error":{{"message":"no such model for {PROVIDER_KEY}"}}}}"#);
    let refusing = Upstream::json(404, words);
    let gateway = Gateway::with(refusing.address);
    let bearer = format!("Bearer {KEY}");
    let more = [("authorization", bearer.as_str())];
    let mut client = gateway.client();
    let headers = [&HANDSHAKE[..], &more].concat();
    let answer = client.request("GET", "/v1/realtime?model=openai/gpt-realtime", &headers, b"").answer();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().contains("no such model") && !answer.text().contains(PROVIDER_KEY), "{}", answer.text());

    let breaking = Upstream::start(|request, conn| {
        realtime_head(request, conn);
        conn.reset();
    });
    let gateway = Gateway::with(breaking.address);
    let (mut client, head) = open(&gateway, "/v1/realtime?model=openai/gpt-realtime", &more);
    assert_eq!(head.status, 101);
    client.until_closed();
    let record = gateway.record(1);
    assert_eq!(record["status"], 101, "{record}");
}

fn realtime_head(_: &Request, conn: &mut Conn) {
    conn.raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n");
    conn.raw(said(r#"{"type":"session.created"}"#));
}
