//! What passes to a provider in its own format, routed by its model: images, audio, moderations.

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, full_config};
use crate::support::upstream::{Conn, Request, Upstream};

const IMAGES: &str = "/v1/images/generations";
const SPEECH: &str = "/v1/audio/speech";
const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";

fn bearer() -> String {
    format!("Bearer {KEY}")
}

/// A form with a file, and the model behind it.
fn form(model: Option<&str>, file_bytes: usize) -> Vec<u8> {
    let mut body = b"--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n".to_vec();
    body.extend((0..file_bytes).map(|n| u8::try_from(n % 251).unwrap()));
    if let Some(model) = model {
        body.extend_from_slice(
            format!("\r\n--XX\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}").as_bytes(),
        );
    }
    body.extend_from_slice(b"\r\n--XX--\r\n");
    body
}

fn post_form(gateway: &Gateway, path: &str, body: &[u8]) -> Answer {
    let bearer = bearer();
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=XX")];
    gateway.client().request("POST", path, &headers, body).answer()
}

/// Two providers of OpenAI's format; the tenant may use one model of each.
fn narrow(upstream: &Upstream) -> Gateway {
    let other = format!(
        "  other: {{kind: openai-compatible, base_url: \"http://{0}/v1\", api_key: \"{PROVIDER_KEY}\"}}\n  fast: {{kind: groq, base_url: \"http://{0}/v1\", api_key: \"{PROVIDER_KEY}\"}}\ntenants:",
        upstream.address
    );
    let tenant = "    models: [\"openai/gpt-image-1\", \"other/*\", draw]";
    let routes = "routes:\n  draw: {targets: [{model: fast/none}, {model: other/sd-3}]}\n";
    let config = full_config("", upstream.address, upstream.address, tenant, routes);
    Gateway::start(&config.replacen("tenants:", &other, 1))
}

#[test]
fn images_go_by_their_model_and_their_count_is_booked() {
    let answer = r#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":50,"output_tokens":200,"total_tokens":250,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#;
    let upstream = Upstream::json(200, answer);
    let gateway = Gateway::with(upstream.address);
    let headers = [("cookie", "a=b"), ("x-internal", "leak"), ("openai-organization", "org")];
    let body = json!({"prompt": "a cat", "model": "openai/gpt-image-1", "big": 1});
    let got = gateway.call_with("POST", IMAGES, &headers, &body);
    assert_eq!((got.status(), got.text().as_str()), (200, answer));
    assert_eq!((got.header("x-weir-provider"), got.header("x-weir-model")), ("openai", "gpt-image-1"));
    assert!(!got.header("x-weir-cost-usd").is_empty());
    let seen = upstream.request();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/images/generations"));
    assert_eq!(seen.json(), json!({"prompt": "a cat", "model": "gpt-image-1", "big": 1}));
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    assert_eq!((seen.header("cookie"), seen.header("x-internal")), (None, None));
    assert_eq!(seen.header("openai-organization"), None, "the account is the gateway's");
    let record = gateway.record(1);
    assert_eq!((&record["format"], &record["model"]), (&json!("images"), &json!("openai/gpt-image-1")), "{record}");
    assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(50), &json!(200)));
    assert_eq!((&record["usage_source"], &record["outcome"]), (&json!("reported"), &json!("finished")));
}

#[test]
fn a_sound_in_chunks_is_whole_whatever_its_length_says() {
    let upstream = Upstream::start(|_, conn| {
        conn.raw(
            "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        conn.chunk("A".repeat(50));
        conn.end();
    });
    let gateway = Gateway::with(upstream.address);
    let answer = gateway.post(SPEECH, &json!({"model": "openai/tts-1", "input": "x", "voice": "alloy"}));
    assert_eq!((answer.status(), answer.text()), (200, "A".repeat(50)));
}

/// A stream that passes as it comes, and a head, that repeat the provider's key.
#[test]
fn an_echoed_key_is_taken_out_of_what_passes() {
    let upstream = Upstream::start(|_, conn| {
        conn.raw(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-disposition: inline; filename={PROVIDER_KEY}\r\ntransfer-encoding: chunked\r\n\r\n"));
        conn.chunk("event: image_generation.partial_image\ndata: {\"b64_json\":\"AAAA\"}\n\nevent: error\n");
        let (head, tail) = PROVIDER_KEY.split_at(9);
        conn.chunk(format!("data: {{\"error\":{{\"message\":\"bad {head}"));
        conn.chunk(format!("{tail} or {}\"}}}}\n\n", PROVIDER_KEY.replacen('s', "\\u0073", 1)));
        conn.end();
    });
    let gateway = Gateway::with(upstream.address);
    let answer = gateway.post(IMAGES, &json!({"model": "openai/gpt-image-1", "prompt": "x", "stream": true}));
    assert!(
        answer.text().ends_with("data: {\"error\":{\"message\":\"bad [redacted] or [redacted]\"}}\n\n"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("data: {\"b64_json\":\"AAAA\"}\n\n"));
    assert_eq!(answer.head.find("content-disposition"), None);
}

#[test]
fn who_may_use_a_model_may_draw_with_it_and_nobody_else() {
    let upstream = Upstream::json(200, r#"{"data":[]}"#);
    let gateway = narrow(&upstream);
    let ask = |path: &str, body: Value| gateway.post(path, &body);
    assert_eq!(ask(IMAGES, json!({"model": "openai/gpt-image-1", "prompt": "x"})).status(), 200);
    // Of a route, the targets that have such an endpoint.
    assert_eq!(ask(IMAGES, json!({"model": "draw", "prompt": "x"})).status(), 200);
    assert_eq!(upstream.requests().last().unwrap().json()["model"], "sd-3");
    let refused = |answer: Answer| (answer.status(), answer.json()["error"]["code"].as_str().unwrap().to_owned());
    let forbidden = (403, "model_not_allowed".to_owned());
    assert_eq!(refused(ask(IMAGES, json!({"model": "openai/gpt-image-2", "prompt": "x"}))), forbidden);
    assert_eq!(refused(ask("/v1/moderations", json!({"input": "x", "model": "openai/omni"}))), forbidden);
    assert_eq!(refused(ask(IMAGES, json!({"model": "nobody/x"}))), (404, "model_not_found".to_owned()));
    let groq = json!({"model": "anthropic/claude-haiku-4-5", "prompt": "x"});
    assert_eq!(refused(ask(IMAGES, groq)).0, 403);
    // Without a model: only who may use all of the provider.
    assert_eq!(refused(ask("/v1/moderations", json!({"input": "x"}))).0, 400);
    let named = |provider: &'static str| {
        gateway.call_with("POST", "/v1/moderations", &[("x-weir-provider", provider)], &json!({"input": "x"}))
    };
    assert_eq!(refused(named("openai")), forbidden);
    assert_eq!(named("other").status(), 200);
    assert_eq!(refused(named("fast")).0, 400);
    let stranger = gateway.client().request("POST", IMAGES, &[("authorization", "Bearer wk-none")], b"{}").answer();
    assert_eq!(stranger.status(), 401);
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_form_passes_with_another_model_whatever_its_size_and_framing() {
    let answer = r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"audio_tokens":10,"text_tokens":4},"output_tokens":3,"total_tokens":17}}"#;
    let upstream = Upstream::json(200, answer);
    let gateway = Gateway::with(upstream.address);
    for bytes in [0, 100_000, 5_000_000] {
        let got = post_form(&gateway, TRANSCRIPTIONS, &form(Some("openai/gpt-4o-transcribe"), bytes));
        assert_eq!((got.status(), got.text().as_str()), (200, answer));
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.body, form(Some("gpt-4o-transcribe"), bytes));
        assert_eq!(seen.header("content-type"), Some("multipart/form-data; boundary=XX"));
        assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    }
    let bearer = bearer();
    let body = form(Some("openai/gpt-4o-transcribe"), 200_000);
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=XX")];
    let got = gateway.client().request_chunked(TRANSCRIPTIONS, &headers, &body, 7000).answer();
    assert_eq!(got.status(), 200, "{}", got.text());
    assert_eq!(upstream.requests().pop().unwrap().body, form(Some("gpt-4o-transcribe"), 200_000));
    let record = gateway.record(4);
    assert_eq!((&record["format"], &record["input_tokens"]), (&json!("transcriptions"), &json!(14)), "{record}");
}

#[test]
fn a_form_that_could_be_read_two_ways_is_refused() {
    let upstream = Upstream::json(200, "{}");
    let gateway = Gateway::with(upstream.address);
    let twice = [form(Some("openai/a"), 5), form(Some("openai/b"), 5)].concat();
    for body in [twice, b"--XX\r\n".to_vec(), Vec::new(), b"{}".to_vec()] {
        let got = post_form(&gateway, TRANSCRIPTIONS, &body);
        assert_eq!(got.status(), 400, "{}", got.text());
    }
    let no_model = post_form(&gateway, TRANSCRIPTIONS, &form(None, 5));
    assert_eq!(no_model.status(), 200, "the only provider that has it takes its own default");
    assert_eq!(upstream.requests().len(), 1);
}

/// Sound in chunks, or a stream of events.
fn speak(request: &Request, conn: &mut Conn) {
    if request.json()["stream_format"] == "sse" {
        conn.sse_head();
        conn.data(r#"{"type":"speech.audio.delta","audio":"AAAA"}"#);
        conn.data(r#"{"type":"speech.audio.done","usage":{"input_tokens":9,"output_tokens":90,"total_tokens":99}}"#);
    } else {
        conn.raw("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n");
        conn.chunk([0xff, 0xfb, 0, 1]);
        if request.json()["input"] == "cut" {
            return conn.close();
        }
        conn.chunk([2, 3]);
    }
    conn.end();
}

#[test]
fn speech_comes_as_bytes_and_as_events() {
    let upstream = Upstream::start(speak);
    let gateway = Gateway::with(upstream.address);
    let sound = gateway.post(SPEECH, &json!({"model": "openai/tts-1", "input": "hello", "voice": "alloy"}));
    assert_eq!((sound.status(), sound.header("content-type")), (200, "audio/mpeg"));
    assert_eq!(sound.body, [0xff, 0xfb, 0, 1, 2, 3]);
    let events = gateway.post(SPEECH, &json!({"model": "openai/tts-1", "input": "hi", "stream_format": "sse"}));
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert_eq!(events.events().len(), 2);
    let records = gateway.wait_records(2);
    let mut booked: Vec<&Value> = records.iter().map(|r| &r["output_tokens"]).collect();
    booked.sort_by_key(|tokens| tokens.as_u64());
    assert_eq!(booked, [&Value::Null, &json!(90)]);
    // It is billed by its characters, and the counts of the events are beside the point.
    let streamed = records.iter().find(|record| record["output_tokens"] == 90).unwrap();
    assert_eq!((&streamed["usage"]["characters"], &streamed["cost_pico_usd"]), (&json!(2), &json!(30_000_000)));
    assert!(records.iter().all(|r| r["outcome"] == "finished" && r["format"] == "speech"));
}

#[test]
fn sound_that_is_cut_never_looks_whole() {
    let upstream = Upstream::start(speak);
    let gateway = Gateway::with(upstream.address);
    let bearer = bearer();
    let mut client = gateway.client();
    let body = json!({"model": "openai/tts-1", "input": "cut"}).to_string();
    client.request("POST", SPEECH, &[("authorization", &bearer)], body.as_bytes());
    assert_eq!(client.head().status, 200);
    let rest = client.until_closed();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
    let record = gateway.record(1);
    assert_eq!((&record["outcome"], &record["error"]), (&json!("upstream_cut"), &json!("upstream_error")), "{record}");
}

#[test]
fn a_client_that_leaves_takes_the_providers_work_with_it() {
    let upstream = Upstream::start(|_, conn| {
        conn.raw("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n");
        while conn.chunk([0; 1000]) {}
        conn.close();
    });
    let gateway = Gateway::with(upstream.address);
    let bearer = bearer();
    let mut client: Client = gateway.client();
    let body = json!({"model": "openai/tts-1", "input": "x"}).to_string();
    client.request("POST", SPEECH, &[("authorization", &bearer)], body.as_bytes());
    assert_eq!(client.head().status, 200);
    drop(client);
    assert_eq!(gateway.record(1)["outcome"], "client_cut");
}

#[test]
fn a_good_answer_comes_without_our_key() {
    let words = |member: &str| format!(r#"{{"id":"x","model":"m",{member},"note":"{PROVIDER_KEY}"}}"#);
    let moderation = ("/v1/moderations", json!({"model": "openai/omni", "input": "x"}), r#""results":[]"#);
    let said = r#""choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]"#;
    let chat =
        ("/v1/chat/completions", json!({"model": "openai/m", "messages": [{"role": "user", "content": "x"}]}), said);
    for (path, body, member) in [moderation, chat] {
        let upstream = Upstream::json(200, words(member));
        let got = Gateway::with(upstream.address).post(path, &body);
        assert_eq!(got.status(), 200, "{path}: {}", got.text());
        assert_eq!(got.json()["note"], "[redacted]", "{path}");
    }
}

#[test]
fn refusals_come_in_the_providers_words_without_our_key() {
    let words = format!(r#"{{"error":{{"message":"bad key {PROVIDER_KEY}","type":"invalid_request_error"}}}}"#);
    let upstream = Upstream::json(400, words);
    let gateway = Gateway::with(upstream.address);
    let got = gateway.post(IMAGES, &json!({"model": "openai/gpt-image-1", "prompt": "x"}));
    assert_eq!(got.status(), 400);
    assert!(got.text().contains("bad key") && !got.text().contains(PROVIDER_KEY), "{}", got.text());
    let upstream = Upstream::json(401, r#"{"error":{"message":"no such key"}}"#);
    let gateway = Gateway::with(upstream.address);
    let got = gateway.post(IMAGES, &json!({"model": "openai/gpt-image-1", "prompt": "x"}));
    assert_eq!((got.status(), got.json()["error"]["code"].as_str()), (502, Some("upstream_error")));
}

#[test]
fn what_passes_is_limited_like_everything_else() {
    let upstream = Upstream::json(200, r#"{"data":[]}"#);
    let tenant = "    limits: {requests_per_minute: 2}";
    let gateway = Gateway::start(&full_config("  max_body: 1KB", upstream.address, upstream.address, tenant, ""));
    let big = gateway.post(IMAGES, &json!({"model": "openai/gpt-image-1", "prompt": "x".repeat(3000)}));
    assert_eq!((big.status(), big.json()["error"]["code"].as_str()), (413, Some("request_too_large")));
    let draw = || gateway.post(IMAGES, &json!({"model": "openai/gpt-image-1", "prompt": "x"}));
    assert_eq!((draw().status(), draw().status()), (200, 200));
    let refused = draw();
    assert_eq!((refused.status(), refused.json()["error"]["code"].as_str()), (429, Some("rate_limit_exceeded")));
    assert_eq!(upstream.requests().len(), 2);
}
