//! Every refusal in the caller's own format, with its status, names and request id.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, message, with};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

/// Checks shape, status and names; the message comes back.
fn check(answer: &Answer, path: &str, status: u16, openai: (&str, &str), anthropic: &str) -> String {
    let json = answer.json();
    assert_eq!(answer.status(), status, "{path}: {json}");
    assert!(answer.header("content-type").starts_with("application/json"));
    let id = answer.header("x-request-id");
    assert!(!id.is_empty(), "an error has a request id");
    let error = &json["error"];
    if path.starts_with(MESSAGES) {
        assert_eq!((&json["type"], &error["type"]), (&json!("error"), &json!(anthropic)), "{json}");
        assert_eq!(json["request_id"], answer.header("request-id"), "{json}");
    } else {
        assert_eq!((&error["type"], &error["code"]), (&json!(openai.0), &json!(openai.1)), "{json}");
        assert!(error.as_object().unwrap().contains_key("param"), "{json}");
    }
    error["message"].as_str().unwrap_or_else(|| panic!("no message in {json}")).to_owned()
}

fn post_raw(gateway: &Gateway, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {KEY}");
    gateway.client().request("POST", path, &[("authorization", &bearer)], body.as_bytes()).answer()
}

#[test]
fn bad_bodies_are_400_and_name_the_member() {
    let gateway = Gateway::with(Upstream::nobody());
    let bad = ("invalid_request_error", "invalid_json");
    for path in [CHAT, MESSAGES] {
        for body in ["", "{", "[]", "nonsense", r#"{"model":"openai/a","model":"openai/b","messages":[]}"#, "\u{feff}{"]
        {
            check(&post_raw(&gateway, path, body), path, 400, bad, "invalid_request_error");
        }
        let invalid = ("invalid_request_error", "invalid_request");
        for body in [r#"{"messages":[]}"#, r#"{"model":7,"messages":[]}"#, r#"{"model":"openai/x"}"#] {
            check(&post_raw(&gateway, path, body), path, 400, invalid, "invalid_request_error");
        }
    }
    let answer = post_raw(&gateway, CHAT, r#"{"messages":[{"role":"user","content":"x"}]}"#);
    assert_eq!(answer.json()["error"]["param"], "model");
}

#[test]
fn an_error_in_place_of_a_stream_is_told_in_its_providers_words() {
    for (body, said) in [
        (r#"{"error":{"message":"no such voice","type":"invalid_request_error"}}"#, "no such voice"),
        ("{}", "without a stream"),
    ] {
        let upstream = Upstream::json(200, body);
        let gateway = Gateway::start(&config(upstream.address, upstream.address, ""));
        for (path, body) in both("openai/m", "hi") {
            let answer = gateway.post(path, &with(body, json!({"stream": true})));
            assert!(answer.status() >= 400 && answer.text().contains(said), "{path}: {}", answer.text());
        }
    }
}

#[test]
fn invalid_utf8_is_400() {
    let gateway = Gateway::with(Upstream::nobody());
    let bearer = format!("Bearer {KEY}");
    let body = b"{\"model\":\"openai/x\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}";
    let answer = gateway.client().request("POST", CHAT, &[("authorization", &bearer)], body).answer();
    check(&answer, CHAT, 400, ("invalid_request_error", "invalid_json"), "");
}

#[test]
fn an_unknown_model_is_404_and_the_nearest_name_is_given() {
    let one = "{targets: [{model: openai/gpt-4o-mini}]}";
    let more = format!("routes:\n  fast: {one}\n  beta/small: {one}\n  zeta/small: {one}\n");
    let gateway = Gateway::start(&config(Upstream::nobody(), Upstream::nobody(), &more));
    for (path, body) in both("zet/small", "hi") {
        let text = gateway.post(path, &body).text();
        assert!(text.contains("did you mean zeta/small, beta/small"), "the one with a slip comes first: {text}");
    }
    for (path, body) in both("fats", "hi") {
        let answer = gateway.post(path, &body);
        let said = check(&answer, path, 404, ("invalid_request_error", "model_not_found"), "not_found_error");
        assert!(said.contains("fast"), "{said}");
    }
    for (path, body) in both("nobody/gpt-4o-mini", "hi") {
        check(&gateway.post(path, &body), path, 404, ("invalid_request_error", "model_not_found"), "not_found_error");
    }
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405() {
    let gateway = Gateway::with(Upstream::nobody());
    let unknown = ("invalid_request_error", "unknown_url");
    check(&gateway.call("POST", "/v1/chat/nothing", &json!({})), CHAT, 404, unknown, "");
    check(&gateway.call("GET", CHAT, &Value::Null), CHAT, 405, unknown, "");
    assert_eq!(gateway.call("GET", CHAT, &Value::Null).header("allow"), "POST");
    let version = [("anthropic-version", "2023-06-01")];
    check(&gateway.call_with("POST", "/v1/nothing", &version, &json!({})), MESSAGES, 404, unknown, "not_found_error");
    check(&gateway.call_with("GET", MESSAGES, &version, &Value::Null), MESSAGES, 405, unknown, "not_found_error");
    let answer = gateway.call("GET", "/metrics", &Value::Null);
    assert_eq!(answer.status(), 404, "the admin plane is not on the public port");
}

#[test]
fn an_unreachable_provider_is_502_and_says_nothing_of_its_address() {
    let nobody = Upstream::nobody();
    let gateway = Gateway::with(nobody);
    for model in ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"] {
        for (path, body) in both(model, "hi") {
            let answer = gateway.post(path, &body);
            let code = answer.json()["error"]["code"].clone();
            assert!((502..=503).contains(&answer.status()) || answer.status() == 529, "{}", answer.text());
            assert!(path == MESSAGES || code == "upstream_error" || code == "no_healthy_upstream", "{code}");
            let text = answer.text();
            assert!(!text.contains("127.0.0.1") && !text.contains(&nobody.port().to_string()), "{text}");
        }
    }
}

#[test]
fn upstream_refusals_keep_status_and_message_in_all_four_cells() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-error-400"), "hi") {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.status(), 400, "{}", answer.text());
            let error = answer.json()["error"].clone();
            assert_eq!(error["message"], "simulated error 400", "{error}");
            assert_eq!(error["type"], "invalid_request_error");
            assert_eq!(answer.json()["type"] == "error", path == MESSAGES, "the caller's shape: {}", answer.text());
        }
    }
}

#[test]
fn upstream_error_bodies_pass_untouched_to_the_same_format() {
    let body = r#"{"error":{"message":"Unsupported value: 'x'","type":"invalid_request_error","param":"x","code":"unsupported_value","extra":[1e400]}}"#;
    let upstream = Upstream::json(400, body);
    let gateway = Gateway::with(upstream.address);
    let answer = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
    assert_eq!((answer.status(), answer.text().as_str()), (400, body));
    let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 1 > 0"},"request_id":"req_1"}"#;
    let upstream = Upstream::json(400, body);
    let gateway = Gateway::with(upstream.address);
    let answer = gateway.post(MESSAGES, &message("anthropic/claude-sonnet-4-5", "hi"));
    assert_eq!((answer.status(), answer.text().as_str()), (400, body));
}

#[test]
fn every_cause_keeps_the_vendors_status_and_words() {
    for (status, body) in [
        (
            429,
            r#"{"error":{"message":"You exceeded","type":"insufficient_quota","code":"project_spend_limit_exceeded"}}"#,
        ),
        (402, r#"{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}"#),
        (400, r#"{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}"#),
        (
            400,
            r#"{"error":{"message":"m","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        ),
        (403, r#"{"error":{"message":"m requires moderation","code":403,"metadata":{"reasons":["violence"]}}}"#),
    ] {
        let upstream = Upstream::json(status, body);
        let answer = Gateway::with(upstream.address).post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
        assert_eq!((answer.status(), answer.text().as_str()), (status, body));
    }
    let broke =
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#;
    let upstream = Upstream::json(400, broke);
    let answer = Gateway::with(upstream.address).post(MESSAGES, &message("anthropic/claude-sonnet-4-5", "hi"));
    let told = check(&answer, MESSAGES, 502, ("", ""), "api_error");
    assert!(!told.contains("balance"), "the gateway's own account is not the caller's affair: {told}");
}

#[test]
fn a_sentence_says_when_to_come_back_unless_a_header_does() {
    let body = r#"{"error":{"message":"Rate limit reached. Please try again in 6m0s.","code":"rate_limit_exceeded"}}"#;
    let upstream = Upstream::json(429, body);
    let gateway = Gateway::with(upstream.address);
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).header("retry-after"), "360");
    let upstream = Upstream::start(move |_, conn| conn.json_with(429, &[("retry-after", "0.5")], body));
    let gateway = Gateway::with(upstream.address);
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).header("retry-after-ms"), "500");
}

#[test]
fn upstream_rate_limits_are_429_with_when_to_come_back() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-error-429"), "hi") {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.status(), 429, "{}", answer.text());
            assert_eq!(answer.json()["error"]["type"], "rate_limit_error", "{}", answer.text());
            assert!(!answer.header("retry-after").is_empty());
        }
    }
}

#[test]
fn the_providers_refusal_of_our_key_is_not_the_callers_affair() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for (path, body) in both("openai/sim-error-401", "hi") {
        let answer = gateway.post(path, &body);
        assert_ne!(answer.status(), 200);
        assert!(answer.status() != 401 || answer.header("x-should-retry") == "false", "{}", answer.text());
    }
}

#[test]
fn overload_is_told_in_each_formats_own_way() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        let answer = gateway.post(MESSAGES, &message(&format!("{provider}/sim-error-529"), "hi"));
        assert_eq!((answer.status(), &answer.json()["error"]["type"]), (529, &json!("overloaded_error")), "{provider}");
        let answer = gateway.post(CHAT, &chat(&format!("{provider}/sim-error-529"), "hi"));
        assert!((500..600).contains(&answer.status()), "{}", answer.status());
        assert!(answer.json()["error"]["message"].is_string());
    }
}

#[test]
fn a_slow_upstream_is_504() {
    let sim = Simulated::start();
    let more = "defaults: {timeouts: {first_token: 1s}, retries: 0}\n";
    let gateway = Gateway::start(&config(sim.address, sim.address, more));
    for (path, body) in both("openai/sim-hang", "hi") {
        let answer = gateway.post(path, &body);
        check(&answer, path, 504, ("api_error", "upstream_timeout"), "timeout_error");
    }
}

/// Row 22: a 200 that is an error is not passed on as an answer.
#[test]
fn a_200_with_an_error_body_is_not_an_answer() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-stream-error"), "hi") {
            let answer = gateway.post(path, &body);
            assert!(answer.status() >= 500, "{path} {provider}: {} {}", answer.status(), answer.text());
            assert!(answer.json()["error"]["message"].is_string());
        }
    }
}

#[test]
fn strict_refuses_what_would_be_dropped() {
    let sim = Simulated::start();
    let config = crate::support::gateway::full_config("", sim.address, sim.address, "    strict: true", "");
    let gateway = Gateway::start(&config);
    let body = with(chat("anthropic/sim-1", "hi"), json!({"logit_bias": {"50256": -100}}));
    let answer = gateway.post(CHAT, &body);
    let said = check(&answer, CHAT, 400, ("invalid_request_error", "invalid_request"), "");
    assert!(said.contains("logit_bias"), "{said}");
    assert!(sim.log().is_empty(), "nothing was sent");
}

#[test]
fn strictness_is_asked_for_in_any_case_and_nothing_else_is_read_as_no() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let body = with(chat("anthropic/sim-1", "hi"), json!({"logit_bias": {"50256": -100}}));
    let of = |said: &str| gateway.call_with("POST", CHAT, &[("x-weir-strict", said)], &body);
    for yes in ["true", "True", "TRUE", "1"] {
        assert_eq!((of(yes).status(), &of(yes).json()["error"]["param"]), (400, &json!("logit_bias")), "{yes}");
    }
    for no in ["false", "FALSE", "0"] {
        assert_eq!(of(no).status(), 200, "{no}");
    }
    for wrong in ["yes", "on", ""] {
        assert_eq!(
            (of(wrong).status(), &of(wrong).json()["error"]["param"]),
            (400, &json!("x-weir-strict")),
            "{wrong}"
        );
    }
}

#[test]
fn an_empty_refusal_is_told_in_words_and_a_failures_code_is_ours() {
    let upstream = Upstream::start(|request, conn| match request.json()["model"].as_str() {
        Some("empty") => conn.json(429, ""),
        _ => conn.json(500, r#"{"error":{"message":"boom","type":"x","code":"invalid_api_key"}}"#),
    });
    let gateway = Gateway::with(upstream.address);
    for (path, body) in [(CHAT, chat("openai/empty", "hi")), (MESSAGES, message("anthropic/empty", "hi"))] {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 429, "{}", answer.text());
        assert!(
            answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains("provider")),
            "{}",
            answer.text()
        );
    }
    let failed = gateway.post(CHAT, &chat("openai/broken", "hi"));
    assert_eq!((failed.status(), &failed.json()["error"]["code"]), (502, &json!("upstream_error")));
}

#[test]
fn anthropics_paths_have_its_errors_whatever_the_method() {
    let gateway = Gateway::with(Upstream::nobody());
    for (method, path, status) in
        [("GET", MESSAGES, 405), ("PUT", "/v1/messages/count_tokens", 405), ("POST", "/v1/messages/zz", 404)]
    {
        let answer = gateway.call(method, path, &json!({}));
        assert_eq!((answer.status(), &answer.json()["error"]["type"]), (status, &json!("not_found_error")), "{path}");
        assert!(answer.json()["type"] == "error" && !answer.header("request-id").is_empty());
    }
    let nameless = gateway.post(CHAT, &chat("openai/", "hi"));
    assert_eq!((nameless.status(), &nameless.json()["error"]["code"]), (404, &json!("model_not_found")));
}

/// An error body reaches the client whole or not at all: a long one as it is, one that the provider cuts or that is no
/// JSON, whatever it is called, as an error of the gateway's.
#[test]
fn an_error_body_reaches_the_client_whole_or_not_at_all() {
    let long = json!({"detail": [{"type": "x", "msg": "bad", "input": "m".repeat(200_000)}]}).to_string();
    let cut = "HTTP/1.1 400 B\r\ncontent-type: application/json\r\ncontent-length: 300\r\n\r\n{\"error\": {\"message\": \"half";
    let halves =
        "HTTP/1.1 400 B\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"error\"\r\n";
    let page = "<html><body>Bad gateway</body></html>";
    for script in 0..4 {
        let whole = long.clone();
        let upstream = Upstream::start(move |_, conn| match script {
            0 => conn.json(422, &whole),
            1 => _ = (conn.raw(cut), conn.close()),
            2 => _ = (conn.raw(halves), conn.close()),
            _ => conn.json(400, page),
        });
        let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {retries: 0}\n"));
        let answer = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
        if script == 0 {
            assert_eq!((answer.status(), answer.text()), (422, long.clone()));
            continue;
        }
        let said = check(&answer, CHAT, 400, ("invalid_request_error", "invalid_request"), "");
        assert_eq!(said, "the provider answered with status 400", "{script}");
    }
}
