//! Amazon Bedrock: Converse for every client, InvokeModel for Claude and Anthropic's own clients.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir::wire::eventstream;

use crate::ask::{CHAT, MESSAGES, chat, check_messages_stream, message, stream_text, streamed, text, with};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, config, new_dir};
use crate::support::sigv4::Signed;
use crate::support::simulated::Simulated;
use crate::support::upstream::{Conn, Request, Upstream};

const RESPONSES: &str = "/v1/responses";
const SECRET: &str = "aws/secret+canary-77d1";
const TOKEN: &str = "session-canary/31+e=";
const SIGNED: Signed<'static> = Signed {
    access_key_id: "AKIDCANARY",
    secret_access_key: SECRET,
    session_token: Some(TOKEN),
    scope: "eu-west-1/bedrock",
};
const NOVA: &str = "eu.amazon.nova-lite-v1:0";
const CLAUDE: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
const PROFILE: &str = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/1arbu5hu2sjr";

/// With keys that sign.
fn gateway(address: std::net::SocketAddr) -> Gateway {
    let keys = format!("access_key_id: AKIDCANARY, secret_access_key: \"{SECRET}\", session_token: \"{TOKEN}\"");
    with_settings(address, &format!("region: eu-west-1, {keys}"))
}

fn with_settings(address: std::net::SocketAddr, settings: &str) -> Gateway {
    Gateway::start(&configured(address, settings))
}

fn configured(address: std::net::SocketAddr, settings: &str) -> String {
    let provider = format!("  bedrock: {{base_url: \"http://{address}\", {settings}}}\ntenants:");
    config(address, address, "defaults: {retries: 0}\n").replacen("tenants:", &provider, 1)
}

/// An answer of Converse.
fn converse(content: &Value, stop: &str) -> String {
    json!({
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "metrics": {"latencyMs": 7},
        "usage": {"inputTokens": 11, "outputTokens": 7, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20,
            "totalTokens": 138},
    })
    .to_string()
}

/// Messages of Amazon's event stream.
fn messages(events: &[(&str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, payload) in events {
        eventstream::write_event(&mut out, name, payload.to_string().as_bytes());
    }
    out
}

fn exception(name: &str, text: &str) -> Vec<u8> {
    let headers = [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    let mut out = Vec::new();
    eventstream::write_message(&mut out, &headers, json!({"message": text}).to_string().as_bytes());
    out
}

/// A stream of Converse: text begins without a start, counts come behind the end.
fn converse_stream(pieces: &[&str]) -> Vec<u8> {
    let mut events = vec![("messageStart", json!({"role": "assistant", "p": "ab"}))];
    for piece in pieces {
        events.push(("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcdef"})));
    }
    events.push(("contentBlockStop", json!({"contentBlockIndex": 0, "p": "a"})));
    events.push(("messageStop", json!({"stopReason": "end_turn", "p": "abc"})));
    let usage = json!({"inputTokens": 11, "outputTokens": 7, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20,
        "totalTokens": 138});
    events.push(("metadata", json!({"metrics": {"latencyMs": 7}, "usage": usage, "p": "abcd"})));
    messages(&events)
}

fn stream_head(conn: &mut Conn) {
    conn.raw(
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
}

/// Converse, whole or as a stream, as the path asks.
fn amazon() -> Upstream {
    Upstream::start(|request, conn| match request.path.ends_with("-stream") {
        true => {
            assert_eq!(request.header("accept"), Some("application/vnd.amazon.eventstream"));
            stream_head(conn);
            // Not at the ends of messages.
            converse_stream(&["Hel", "lo"]).chunks(50).for_each(|piece| _ = conn.chunk(piece));
            conn.end();
        }
        false => conn.json(200, &converse(&json!([{"text": "Hello"}]), "end_turn")),
    })
}

fn contents(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

fn gemini(model: &str, verb: &str) -> String {
    format!("/v1beta/models/bedrock/{model}:{verb}")
}

/// Input with cache reads and writes in it, and the reads, as the record has them.
fn counted(gateway: &Gateway, nth: usize) {
    let record = gateway.record(nth);
    let counts =
        ["input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens"].map(|name| record[name].clone());
    assert_eq!(counts, [json!(131), json!(100), json!(20), json!(7)], "{record}");
    assert_eq!((&record["usage_source"], &record["provider"]), (&json!("reported"), &json!("bedrock")));
}

/// Row 14 of the list: reads and writes of the prompt cache are counted in streams too.
#[test]
fn every_client_is_answered_whole_and_streamed_and_counted() {
    let upstream = amazon();
    let gateway = gateway(upstream.address);
    let model = format!("bedrock/{NOVA}");
    let got = gateway.post(CHAT, &chat(&model, "hi"));
    assert_eq!((got.status(), got.header("x-weir-model")), (200, NOVA), "{}", got.text());
    let usage = &got.json()["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]), (&json!(131), &json!(100)));
    assert_eq!(text(&got.json()), "Hello");
    let got = gateway.post(CHAT, &streamed(chat(&model, "hi")));
    assert_eq!(stream_text(&got.events()), "Hello", "{}", got.text());
    let got = gateway.post(MESSAGES, &message(&model, "hi")).json();
    assert_eq!((text(&got), &got["usage"]["cache_read_input_tokens"]), ("Hello", &json!(100)));
    let got = gateway.post(MESSAGES, &streamed(message(&model, "hi")));
    check_messages_stream(&got.events());
    assert_eq!(stream_text(&got.events()), "Hello");
    let got = gateway.post(RESPONSES, &json!({"model": model, "input": "hi"})).json();
    assert_eq!(
        (&got["output"][0]["content"][0]["text"], &got["usage"]["input_tokens"]),
        (&json!("Hello"), &json!(131))
    );
    let got = gateway.post(RESPONSES, &json!({"model": model, "input": "hi", "stream": true}));
    let got = crate::items::assemble(&got.text());
    assert_eq!(got["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(got["usage"]["input_tokens_details"]["cached_tokens"], 100);
    let got = gateway.post(&gemini(NOVA, "generateContent"), &contents("hi")).json();
    assert_eq!(got["candidates"][0]["content"]["parts"][0]["text"], "Hello");
    let got = gateway.post(&gemini(NOVA, "streamGenerateContent?alt=sse"), &contents("hi"));
    let got = crate::contents::assemble(&got.text());
    assert_eq!(
        (&got["usageMetadata"]["promptTokenCount"], &got["usageMetadata"]["cachedContentTokenCount"]),
        (&json!(131), &json!(100))
    );
    for nth in 1..=8 {
        counted(&gateway, nth);
    }
    let seen = upstream.requests();
    assert_eq!(seen.len(), 8);
    for (request, method) in seen.iter().zip(["converse", "converse-stream"].iter().cycle()) {
        assert_eq!(request.path, format!("/model/eu.amazon.nova-lite-v1%3A0/{method}"));
        assert_eq!(request.json()["messages"], json!([{"role": "user", "content": [{"text": "hi"}]}]));
        SIGNED.check(request);
    }
}

#[test]
fn signatures_hold_for_every_name_and_for_what_the_operator_adds() {
    let upstream = amazon();
    let keys = format!("access_key_id: AKIDCANARY, secret_access_key: \"{SECRET}\"");
    let headers = "headers: {x-amzn-bedrock-guardrailidentifier: g1, x-amz-source-arn: \"arn:aws:1\"}";
    let gateway = with_settings(upstream.address, &format!("region: us-gov-west-1, {keys}, {headers}"));
    for model in [PROFILE, "amazon.titan~text_1.0 (x)", "a/b"] {
        let got = gateway.post(CHAT, &chat(&format!("bedrock/{model}"), "hi"));
        assert_eq!(got.status(), 200, "{}", got.text());
    }
    let seen = upstream.requests();
    let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aapplication-inference-profile%2F1arbu5hu2sjr/converse",
            "/model/amazon.titan~text_1.0%20%28x%29/converse",
            "/model/a%2Fb/converse",
        ]
    );
    for request in &seen {
        Signed { session_token: None, scope: "us-gov-west-1/bedrock", ..SIGNED }.check(request);
        assert!(request.header("authorization").unwrap().contains("x-amz-source-arn"), "the operator's are signed too");
    }
}

#[test]
fn a_key_is_a_bearer_token() {
    let upstream = amazon();
    let gateway = with_settings(upstream.address, "api_key: \"bedrock-api-key-1\"");
    assert_eq!(gateway.post(CHAT, &chat(&format!("bedrock/{NOVA}"), "hi")).status(), 200);
    let seen = upstream.request();
    assert_eq!((seen.header("authorization"), seen.header("x-amz-date")), (Some("Bearer bedrock-api-key-1"), None));
    let upstream = amazon();
    let settings = configured(upstream.address, "region: eu-west-1");
    let gateway = Gateway::start_in(new_dir(), &settings, &[("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-2")]);
    assert_eq!(gateway.post(CHAT, &chat(&format!("bedrock/{NOVA}"), "hi")).status(), 200);
    assert_eq!(upstream.request().header("authorization"), Some("Bearer bedrock-api-key-2"));
}

const THOUGHT: &str = r#"{"type":"thinking","thinking":"hm \u00e9","signature":"c2lnbmF0dXJl+/="}"#;

/// An answer of Claude's.
fn claude() -> Value {
    json!({
        "id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
        "content": [serde_json::from_str::<Value>(THOUGHT).unwrap(), {"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 11, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 7},
    })
}

/// The same in events.
fn claude_events() -> Vec<(&'static str, Value)> {
    let mut start = claude();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let delta = |index: u8, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    vec![
        ("message_start", json!({"type": "message_start", "message": start})),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        ("content_block_delta", delta(0, json!({"type": "text_delta", "text": "Hel"}))),
        ("content_block_delta", delta(0, json!({"type": "text_delta", "text": "lo"}))),
        ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
        (
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 7}}),
        ),
        ("message_stop", json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 11}})),
    ]
}

/// Amazon's messages around them.
fn invoke_stream(events: &[(&str, Value)]) -> Vec<u8> {
    let wrapped: Vec<_> = events
        .iter()
        .map(|(_, event)| ("chunk", json!({"bytes": STANDARD.encode(event.to_string()), "p": "abcdefgh"})))
        .collect();
    messages(&wrapped)
}

fn claude_at_bedrock() -> Upstream {
    Upstream::start(|request, conn| match request.path.rsplit('/').next() {
        Some("invoke-with-response-stream") => {
            stream_head(conn);
            invoke_stream(&claude_events()).chunks(70).for_each(|piece| _ = conn.chunk(piece));
            conn.end();
        }
        Some("invoke") => conn.json(200, &claude().to_string()),
        _ => conn.json(200, &converse(&json!([{"text": "Hello"}]), "end_turn")),
    })
}

/// A request as an Anthropic client sends it, with its bytes.
fn as_client(gateway: &Gateway, body: &str) -> Answer {
    let bearer = format!("Bearer {KEY}");
    let betas = "interleaved-thinking-2025-05-14,oauth-2025-04-20, context-1m-2025-08-07";
    let headers = [
        ("authorization", bearer.as_str()),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", betas),
        ("anthropic-dangerous-direct-browser-access", "true"),
    ];
    gateway.client().request("POST", "/v1/messages?beta=true", &headers, body.as_bytes()).answer()
}

#[test]
fn claude_gets_an_anthropic_clients_own_bytes() {
    let upstream = claude_at_bedrock();
    let gateway = gateway(upstream.address);
    let turns = format!(
        r#"[{{"role":"user","content":"a"}},{{"role":"assistant","content":[{THOUGHT},{{"type":"text","text":"b"}}]}}, {{"role":"user","content":"c"}}]"#
    );
    let rest = format!(
        r#""max_tokens" : 9000,"thinking":{{"type":"enabled","budget_tokens":2000}},"messages":{turns},"new":[1.50,"\/"]"#
    );
    let got = as_client(&gateway, &format!(r#"{{"model":"bedrock/{CLAUDE}",{rest}}}"#));
    assert_eq!((got.status(), got.json()), (200, claude()), "{}", got.text());
    assert_eq!(got.header("x-weir-dropped"), "anthropic-beta: oauth-2025-04-20");
    let stream = as_client(&gateway, &format!(r#"{{"model":"bedrock/{CLAUDE}","stream":true,{rest}}}"#));
    let events = stream.events();
    check_messages_stream(&events);
    let sent: Vec<Value> = claude_events().into_iter().map(|(_, event)| event).collect();
    assert_eq!(events.iter().map(|event| event.json()).collect::<Vec<_>>(), sent, "as they came");
    let added = r#""anthropic_beta":["interleaved-thinking-2025-05-14","context-1m-2025-08-07"],"anthropic_version":"bedrock-2023-05-31""#;
    for (request, method) in upstream.requests().iter().zip(["invoke", "invoke-with-response-stream"]) {
        assert_eq!(
            request.path,
            format!("/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/{method}"),
            "nothing of the query"
        );
        assert_eq!(String::from_utf8_lossy(&request.body), format!("{{{rest},{added}}}"), "byte for byte");
        assert!(request.headers.iter().all(|(name, _)| !name.starts_with("anthropic-")), "{:?}", request.headers);
        SIGNED.check(request);
    }
    counted(&gateway, 1);
    counted(&gateway, 2);
}

#[test]
fn claude_answers_other_clients_and_profiles_by_converse() {
    let upstream = claude_at_bedrock();
    let gateway = gateway(upstream.address);
    for (path, body) in
        [(CHAT, chat(&format!("bedrock/{CLAUDE}"), "hi")), (MESSAGES, message(&format!("bedrock/{PROFILE}"), "hi"))]
    {
        let got = gateway.post(path, &body);
        assert_eq!((got.status(), text(&got.json())), (200, "Hello"), "{}", got.text());
    }
    assert!(upstream.requests().iter().all(|request| request.path.ends_with("/converse")));
}

/// Row 16 of the list: what an Anthropic client marks for the prompt cache stays marked.
#[test]
fn cache_marks_documents_and_thinking_cross_to_converse() {
    let upstream = claude_at_bedrock();
    let gateway = gateway(upstream.address);
    let mark = json!({"type": "ephemeral"});
    let body = json!({
        "model": format!("bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/{CLAUDE}"), "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "system": [{"type": "text", "text": "be kind", "cache_control": mark}],
        "tools": [{"name": "get_time", "input_schema": {"type": "object"}, "cache_control": mark}],
        "messages": [
            {"role": "user", "content": [
                {"type": "document", "title": "notes", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
                {"type": "text", "text": "when?", "cache_control": mark},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln+/="},
                {"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}]},
        ],
    });
    let got = gateway.post(MESSAGES, &body);
    assert_eq!(got.status(), 200, "{}", got.text());
    let sent = upstream.request().json();
    let point = json!({"cachePoint": {"type": "default"}});
    assert_eq!(sent["system"], json!([{"text": "be kind"}, point]));
    assert_eq!(sent["toolConfig"]["tools"][1], point);
    let first = &sent["messages"][0]["content"];
    assert_eq!((&first[0]["document"]["format"], &first[2]), (&json!("pdf"), &point), "{sent}");
    assert_eq!(
        sent["messages"][1]["content"][0]["reasoningContent"],
        json!({"reasoningText": {"text": "hm", "signature": "c2ln+/="}})
    );
    assert_eq!(sent["additionalModelRequestFields"]["thinking"]["budget_tokens"], 2000);
}

#[test]
fn a_guardrail_that_steps_in_is_told() {
    let upstream = Upstream::json(200, converse(&json!([{"text": "No."}]), "guardrail_intervened"));
    let gateway = gateway(upstream.address);
    let got = gateway.post(CHAT, &chat(&format!("bedrock/{NOVA}"), "x")).json();
    assert_eq!(got["choices"][0]["finish_reason"], "content_filter", "{got}");
    let got = gateway.post(MESSAGES, &message(&format!("bedrock/{NOVA}"), "x")).json();
    assert_eq!(got["stop_reason"], "refusal", "{got}");
}

#[test]
fn the_name_of_an_exception_decides_what_it_means() {
    const LONG: &str = ":http://internal.amazon.com/coral/com.amazon.bedrock/";
    let upstream = Upstream::start(|request, conn| {
        let sent = String::from_utf8_lossy(&request.body).into_owned();
        let (_, name) = sent.split_once("fail with ").unwrap();
        let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
        let status = match name.as_str() {
            "ThrottlingException" | "ModelNotReadyException" => 429,
            "ServiceQuotaExceededException" | "ValidationException" => 400,
            "AccessDeniedException" | "ExpiredTokenException" => 403,
            "ResourceNotFoundException" => 404,
            "ModelTimeoutException" => 408,
            "ServiceUnavailableException" => 503,
            _ => 500,
        };
        let long = format!("{name}{LONG}");
        conn.json_with(
            status,
            &[("x-amzn-errortype", &long)],
            &json!({"message": format!("it was {name}")}).to_string(),
        );
    });
    let gateway = gateway(upstream.address);
    for (name, status, code) in [
        ("ThrottlingException", 429, "rate_limit_exceeded"),
        ("ServiceQuotaExceededException", 429, "rate_limit_exceeded"),
        ("ModelNotReadyException", 503, "upstream_error"),
        ("ServiceUnavailableException", 503, "upstream_error"),
        ("ModelTimeoutException", 504, "upstream_timeout"),
        ("ValidationException", 400, "invalid_request"),
        ("ResourceNotFoundException", 404, "model_not_found"),
        ("AccessDeniedException", 502, "upstream_error"),
        ("ExpiredTokenException", 502, "upstream_error"),
        ("InternalServerException", 502, "upstream_error"),
    ] {
        let ask = format!("fail with {name}");
        for model in [NOVA, CLAUDE] {
            let got = gateway.post(CHAT, &chat(&format!("bedrock/{model}"), &ask));
            assert_eq!((got.status(), &got.json()["error"]["code"]), (status, &json!(code)), "{name}: {}", got.text());
            // In Anthropic's shape, though what was asked is Anthropic's format at Bedrock.
            let got = gateway.post(MESSAGES, &message(&format!("bedrock/{model}"), &ask));
            assert!(got.status() == status || got.status() == 529, "{name}: {}", got.text());
            assert_eq!(got.json()["type"], "error", "{}", got.text());
            let told = got.json()["error"]["message"].as_str().unwrap().contains(&format!("it was {name}"));
            assert_eq!(told, !matches!(name, "AccessDeniedException" | "ExpiredTokenException"), "{}", got.text());
        }
    }
}

/// Amazon repeats in some errors what it had expected to be signed.
#[test]
fn no_error_shows_what_was_signed_with() {
    let upstream = Upstream::start(|request, conn| {
        let seen = request.header("x-amz-security-token").unwrap_or_default();
        let text = format!("The Canonical String should have been x-amz-security-token:{seen} and {SECRET}");
        conn.json_with(400, &[("x-amzn-errortype", "ValidationException")], &json!({"message": text}).to_string());
    });
    let gateway = gateway(upstream.address);
    for (path, body) in crate::ask::both(&format!("bedrock/{CLAUDE}"), "x") {
        let got = gateway.post(path, &body);
        assert_eq!(got.status(), 400);
        assert!(!got.text().contains(TOKEN) && !got.text().contains(SECRET), "{}", got.text());
        assert!(got.text().contains("Canonical String"), "{}", got.text());
    }
    let dump = gateway.admin("GET", "/admin/v1/config").text();
    assert!(dump.contains("eu-west-1"), "{dump}");
    for text in [dump, gateway.metrics(), gateway.stdout(), gateway.stderr()] {
        assert!(!text.contains(TOKEN) && !text.contains(SECRET), "{text}");
    }
}

/// Answers with the beginning of a stream, by either API, and then with `end`.
fn that_ends(begins: bool, end: fn() -> Vec<u8>) -> Upstream {
    Upstream::start(move |request, conn| {
        stream_head(conn);
        let begun = match request.path.contains("/invoke") {
            true => invoke_stream(&claude_events()[..3]),
            false => messages(&[
                ("messageStart", json!({"role": "assistant"})),
                ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "Hel"}})),
            ]),
        };
        if begins {
            conn.chunk(begun);
        }
        conn.chunk(end());
        conn.end();
    })
}

fn asked_for_streams(gateway: &Gateway) -> [Answer; 3] {
    [
        gateway.post(CHAT, &streamed(chat(&format!("bedrock/{CLAUDE}"), "x"))),
        gateway.post(MESSAGES, &streamed(message(&format!("bedrock/{NOVA}"), "x"))),
        gateway.post(MESSAGES, &streamed(message(&format!("bedrock/{CLAUDE}"), "x"))),
    ]
}

/// Row 20 of the list: an error that comes first is an answer like any other, and another is asked.
#[test]
fn an_exception_before_the_answer_has_its_status() {
    let upstream = that_ends(false, || exception("throttlingException", "slow down"));
    let gateway = gateway(upstream.address);
    for got in asked_for_streams(&gateway) {
        assert_eq!(got.status(), 429, "{}", got.text());
        assert!(got.text().contains("slow down"), "{}", got.text());
    }
}

#[test]
fn an_exception_in_an_answer_is_its_last_event() {
    let upstream = that_ends(true, || exception("modelStreamErrorException", "it broke"));
    let gateway = gateway(upstream.address);
    for got in asked_for_streams(&gateway) {
        let last = got.events().pop().unwrap();
        assert_eq!((got.status(), &last.json()["error"]["message"]), (200, &json!("it broke")), "{}", got.text());
        assert_eq!(stream_text(&got.events()), "Hel");
    }
    assert!(gateway.wait_records(3).iter().all(|record| record["outcome"] == "upstream_cut"));
}

#[test]
fn a_stream_that_is_cut_or_damaged_ends_with_an_error() {
    let damaged = || {
        let mut bytes = converse_stream(&["lo"]);
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    for end in [|| converse_stream(&["lo"])[..30].to_vec(), damaged] {
        let upstream = that_ends(true, end);
        let gateway = gateway(upstream.address);
        for got in asked_for_streams(&gateway) {
            let last = got.events().pop().unwrap().json();
            assert!(last["error"]["message"].is_string(), "{}", got.text());
            assert!(stream_text(&got.events()).starts_with("Hel"));
        }
    }
}

#[test]
fn another_provider_takes_over_where_amazon_throttles() {
    let upstream = Upstream::start(|request: &Request, conn| match request.path.starts_with("/model/") {
        true => conn.json_with(429, &[("x-amzn-errortype", "ThrottlingException")], r#"{"message":"slow down"}"#),
        false => conn.json(200, &crate::ask::chat_answer("from elsewhere")),
    });
    let routes = format!(
        "routes: {{fast: {{retries: 1, targets: [{{model: \"bedrock/{NOVA}\"}}, {{model: openai/gpt-4o-mini}}]}}}}\n"
    );
    let gateway = Gateway::start(
        &(configured(
            upstream.address,
            &format!("region: eu-west-1, access_key_id: A, secret_access_key: \"{SECRET}\""),
        ) + &routes),
    );
    let got = gateway.post(CHAT, &chat("fast", "x"));
    assert_eq!((got.status(), text(&got.json())), (200, "from elsewhere"), "{}", got.text());
    assert_eq!(got.header("x-weir-fallback-used"), "1");
}

/// What clients of each format do: tools and thinking over several turns, against the simulator, which
/// refuses a proof that does not come back as it was.
#[test]
fn loops_of_tools_keep_their_thoughts() {
    let sim = Simulated::start();
    let gateway = gateway(sim.address);
    for model in ["bedrock/sim-think", "bedrock/anthropic.claude-sim-think"] {
        for stream in [false, true] {
            let tools = json!({"tools": [crate::ask::tool("get_weather")], "stream": stream});
            let body = with(message(model, "get_weather please"), tools);
            let got = gateway.post(MESSAGES, &body);
            let content = match stream {
                false => got.json()["content"].clone(),
                true => assembled(&got),
            };
            let call = content.as_array().unwrap().iter().find(|block| block["type"] == "tool_use").unwrap();
            assert!(content[0]["signature"].is_string(), "{content}");
            let next = with(
                body.clone(),
                json!({"messages": [body["messages"][0], {"role": "assistant", "content": content},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}]}],
                    "stream": false}),
            );
            let got = gateway.post(MESSAGES, &next);
            assert_eq!(got.status(), 200, "{model}: {}", got.text());
            let text =
                got.json()["content"].as_array().unwrap().iter().find_map(|b| b["text"].as_str().map(str::to_owned));
            assert_eq!(text.as_deref(), Some("The tool answered: sunny"), "{model}");
        }
        let body = with(chat(model, "get_weather please"), json!({"tools": [crate::ask::function("get_weather")]}));
        let got = gateway.post(CHAT, &body).json();
        let said = got["choices"][0]["message"].clone();
        let results = json!({"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "sunny"});
        let next = with(body.clone(), json!({"messages": [body["messages"][0], said, results]}));
        let got = gateway.post(CHAT, &next);
        assert_eq!((got.status(), text(&got.json())), (200, "The tool answered: sunny"), "{model}");
    }
}

/// The blocks of a stream of Messages.
fn assembled(answer: &Answer) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut arguments = String::new();
    for event in answer.events() {
        let event = event.json();
        let delta = &event["delta"];
        match (event["type"].as_str().unwrap(), delta["type"].as_str()) {
            ("content_block_start", _) => blocks.push(event["content_block"].clone()),
            ("content_block_delta", Some("input_json_delta")) => arguments += delta["partial_json"].as_str().unwrap(),
            ("content_block_delta", Some(kind)) => {
                let name = kind.strip_suffix("_delta").unwrap();
                let block = blocks.last_mut().unwrap();
                let joined = format!("{}{}", block[name].as_str().unwrap_or_default(), delta[name].as_str().unwrap());
                block[name] = json!(joined);
            }
            ("content_block_stop", _) if !arguments.is_empty() => {
                blocks.last_mut().unwrap()["input"] = serde_json::from_str(&std::mem::take(&mut arguments)).unwrap();
            }
            _ => {}
        }
    }
    json!(blocks)
}

#[test]
fn the_simulators_faults_come_through_either_api() {
    let sim = Simulated::start();
    let gateway = gateway(sim.address);
    for prefix in ["bedrock/", "bedrock/anthropic.claude-"] {
        let ask =
            |model: &str| gateway.post(MESSAGES, &streamed(message(&format!("{prefix}{model}"), "one two three four")));
        assert_eq!(stream_text(&ask("sim-drip").events()), "You said: one two three four");
        assert_eq!(ask("sim-error-429").status(), 429);
        assert_eq!(ask("sim-stream-error").status(), 529);
        for model in ["sim-stream-midstream-error", "sim-stream-cut"] {
            let got = ask(model);
            assert_eq!(got.events().pop().unwrap().name, "error", "{}", got.text());
        }
        assert_eq!(ask("sim-no-usage").status(), 200);
    }
    let sources: Vec<Value> = gateway
        .wait_records(12)
        .iter()
        .filter(|r| r["model"].as_str().unwrap().ends_with("no-usage"))
        .map(|r| r["usage_source"].clone())
        .collect();
    assert_eq!(sources, [json!("estimated"), json!("estimated")]);
}

#[test]
fn tokens_are_counted_here() {
    let upstream = amazon();
    let gateway = gateway(upstream.address);
    let got = gateway.post("/v1/messages/count_tokens", &message(&format!("bedrock/{CLAUDE}"), "one two three"));
    assert!(got.json()["input_tokens"].as_u64().unwrap() >= 3, "{}", got.text());
    assert_eq!(got.header("x-weir-usage-source"), "estimated");
    assert_eq!(upstream.requests().len(), 0);
}

/// Profiles of several regions and ARNs cost what their models cost.
#[test]
fn profiles_have_their_price() {
    let upstream = amazon();
    let gateway = gateway(upstream.address);
    let arn = format!("arn:aws:bedrock:eu-west-1:1:inference-profile/{NOVA}");
    let cost = |model: &str| {
        let got = gateway.post(CHAT, &chat(&format!("bedrock/{model}"), "hi"));
        got.header("x-weir-cost-usd").to_owned()
    };
    assert!(!cost(NOVA).is_empty());
    assert_eq!(cost(&arn), cost(NOVA));
    // By its author's name too: the profile of the region.
    let got = gateway.post(CHAT, &chat("amazon/nova-lite:bedrock", "hi"));
    assert_eq!(got.header("x-weir-model"), NOVA, "{}", got.text());
}
