//! Vertex AI: its APIs, and every way to its tokens.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, message, with};
use crate::clouds::{all_formats, config, gateway, logged, said};
use crate::support::gateway::{Gateway, new_dir};
use crate::support::simulated::Simulated;
use crate::support::upstream::{Request, Upstream};
use crate::support::wait::until;

const TOKEN: &str = "ya29.token-canary-71c4";
const PLACE: &str = "/v1/projects/my-project/locations/europe-west4";

/// Vertex AI at this address, with further settings.
fn vertex(address: std::net::SocketAddr, more: &str) -> String {
    format!("vertex: {{base_url: \"http://{address}\", project: my-project, location: europe-west4{more}}}")
}

/// The model of another maker, whose API is the plainest: for tests that are about tokens.
const LLAMA: &str = "vertex/meta/llama-4-maas";

#[test]
fn every_format_reaches_the_api_of_every_maker() {
    let sim = Simulated::start();
    let gateway = gateway(&vertex(sim.address, &format!(", access_token: {TOKEN}")), &[]);
    for (model, [whole, stream]) in [
        (
            "gemini-2.5-pro",
            [
                "publishers/google/models/gemini-2.5-pro:generateContent",
                "publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
            ],
        ),
        (
            "claude-sonnet-4-5@20250929",
            [
                "publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict",
                "publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
            ],
        ),
        ("meta/llama-4-maas", ["endpoints/openapi/chat/completions"; 2]),
    ] {
        for (path, body, is_stream) in all_formats(&format!("vertex/{model}"), "one two") {
            let answer = gateway.post(&path, &body);
            assert_eq!(answer.status(), 200, "{model} by {path}: {}", answer.text());
            assert_eq!(said(&answer, is_stream), "You said: one two", "{model} by {path}: {}", answer.text());
            let seen = sim.last();
            assert_eq!(seen["path"], format!("{PLACE}/{}", if is_stream { stream } else { whole }));
            assert_eq!(logged(&seen, "authorization"), format!("Bearer {TOKEN}"), "{seen}");
        }
    }
    for record in gateway.wait_records(24) {
        assert!(record["output_tokens"].as_u64() > Some(0) && record["provider"] == "vertex", "{record}");
    }
}

#[test]
fn claude_is_asked_as_vertex_has_it_and_betas_stay_a_header() {
    let upstream = Upstream::json(
        200,
        r#"{"id":"msg_vrtx_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}"#,
    );
    let gateway = gateway(&vertex(upstream.address, &format!(", access_token: {TOKEN}")), &[]);
    let body = with(message("vertex/claude-sonnet-4-5@20250929", "hi"), json!({"new_member": [1]}));
    let answer = gateway.call_with("POST", MESSAGES, &[("anthropic-beta", "context-1m-2025-08-07")], &body);
    assert_eq!((answer.status(), &answer.json()["id"]), (200, &json!("msg_vrtx_1")));
    let seen = upstream.request();
    assert_eq!(seen.header("anthropic-beta"), Some("context-1m-2025-08-07"));
    let sent = seen.json();
    assert_eq!((&sent["anthropic_version"], &sent["new_member"]), (&json!("vertex-2023-10-16"), &json!([1])));
    assert_eq!((sent.get("model"), sent.get("stream")), (None, None));
}

#[test]
fn tokens_are_counted_by_who_generates() {
    let upstream = Upstream::start(|request, conn| match request.path.contains("count-tokens") {
        true => conn.json(200, r#"{"input_tokens":14}"#),
        false => conn.json(200, r#"{"totalTokens":15}"#),
    });
    let gateway = gateway(&vertex(upstream.address, &format!(", access_token: {TOKEN}")), &[]);
    let got = gateway.post("/v1/messages/count_tokens", &message("vertex/claude-sonnet-4-5@20250929", "hi"));
    assert_eq!(got.json(), json!({"input_tokens": 14}));
    let contents = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    let got = gateway.post("/v1beta/models/vertex/gemini-2.5-pro:countTokens", &contents);
    assert_eq!(got.json(), json!({"totalTokens": 15}));
    // Nobody there counts a request of this format to that model.
    let got = gateway.post("/v1/messages/count_tokens", &message("vertex/gemini-2.5-pro", "hi"));
    assert_eq!(got.json()["estimated"], true);
    let seen = upstream.requests();
    assert_eq!(seen[0].path, format!("{PLACE}/publishers/anthropic/models/count-tokens:rawPredict"));
    let sent = seen[0].json();
    assert_eq!(
        (&sent["model"], &sent["anthropic_version"]),
        (&json!("claude-sonnet-4-5@20250929"), &json!("vertex-2023-10-16"))
    );
    assert_eq!(seen[1].path, format!("{PLACE}/publishers/google/models/gemini-2.5-pro:countTokens"));
    assert_eq!(seen.len(), 2);
}

/// A service account's file in `dir`, and its key.
fn service_account(dir: &Path, token_uri: &str) -> (PathBuf, RsaKeyPair) {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .expect("openssl is there (scripts/setup test)");
    let pem = String::from_utf8(made.stdout).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
    let file = dir.join("account.json");
    let account = json!({
        "type": "service_account", "project_id": "project-of-the-account", "private_key_id": "key-1", "private_key": pem,
        "client_email": "weir@project.iam.test", "token_uri": token_uri,
    });
    std::fs::write(&file, account.to_string()).unwrap();
    (file, key)
}

/// Gives `token-1`, `token-2` and so on, each for so many seconds; the last time holds for the rest.
fn tokens(seconds: &'static [u64]) -> Upstream {
    let given = AtomicUsize::new(0);
    Upstream::start(move |_, conn| {
        let nth = given.fetch_add(1, Ordering::SeqCst);
        let seconds = seconds.get(nth).or_else(|| seconds.last()).unwrap();
        let token =
            json!({"access_token": format!("token-{}", nth + 1), "expires_in": seconds, "token_type": "Bearer"});
        conn.json(200, &token.to_string());
    })
}

fn form(request: &Request) -> Vec<(String, String)> {
    let text = String::from_utf8(request.body.clone()).unwrap();
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (decoded(n), decoded(v))).collect()
}

fn field(request: &Request, name: &str) -> String {
    form(request).into_iter().find(|(n, _)| n == name).map(|(_, value)| value).unwrap_or_default()
}

fn bearer(upstream: &Upstream) -> String {
    let last = upstream.requests().pop().expect("a request came");
    last.header("authorization").unwrap_or_default().to_owned()
}

#[test]
fn a_service_account_signs_for_its_tokens() {
    let (upstream, endpoint) = (Upstream::json(200, chat_answer("hi")), tokens(&[3600]));
    let dir = new_dir();
    let token_uri = format!("http://{}/token", endpoint.address);
    let (file, key) = service_account(&dir, &token_uri);
    // The project is that of the account where none is written.
    let provider =
        format!("vertex: {{base_url: \"http://{}\", credentials_file: \"{}\"}}", upstream.address, file.display());
    let gateway = Gateway::start_in(dir, &config(&provider), &[]);
    assert_eq!(gateway.post(CHAT, &chat(LLAMA, "hi")).status(), 200);
    let seen = upstream.request();
    assert_eq!(seen.path, "/v1/projects/project-of-the-account/locations/global/endpoints/openapi/chat/completions");
    assert_eq!(seen.header("authorization"), Some("Bearer token-1"));
    let asked = endpoint.request();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/token"));
    assert_eq!(field(&asked, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let assertion = field(&asked, "assertion");
    let (unsigned, signature) = assertion.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
        .verify(unsigned.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .expect("signed by the account's key");
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let (head, claims) = unsigned.split_once('.').unwrap();
    assert_eq!(part(head), json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    let claims = part(claims);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("weir@project.iam.test"), &json!(token_uri)));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let all = format!("{}{}{}", gateway.stdout(), gateway.stderr(), gateway.metrics());
    assert!(!all.contains("token-1") && !all.contains("PRIVATE KEY") && !all.contains(&assertion));
}

#[test]
fn a_token_is_replaced_before_it_ends_and_kept_over_a_reload() {
    let (upstream, endpoint) = (Upstream::json(200, chat_answer("hi")), tokens(&[4, 3600]));
    let host = endpoint.address.to_string();
    let provider = vertex(upstream.address, "");
    let gateway = gateway(&provider, &[("GCE_METADATA_HOST", &host)]);
    assert_eq!(gateway.post(CHAT, &chat(LLAMA, "hi")).status(), 200);
    // Nobody asks meanwhile: it is fetched again all the same.
    until("a second token", || Some(()).filter(|()| endpoint.requests().len() >= 2));
    until("the second token in use", || {
        assert_eq!(gateway.post(CHAT, &chat(LLAMA, "hi")).status(), 200);
        Some(()).filter(|()| bearer(&upstream) == "Bearer token-2")
    });
    gateway.write_config(&(config(&provider) + "prices: {}\n"));
    gateway.signal("HUP");
    until("the reload", || Some(()).filter(|()| gateway.stderr().contains("configuration reloaded")));
    assert_eq!(gateway.post(CHAT, &chat(LLAMA, "hi")).status(), 200);
    assert_eq!(bearer(&upstream), "Bearer token-2");
    assert_eq!(endpoint.requests().len(), 2);
}

#[test]
fn the_metadata_server_is_asked_as_it_wants_to_be() {
    let (upstream, endpoint) = (Upstream::json(200, chat_answer("hi")), tokens(&[3600]));
    let host = endpoint.address.to_string();
    let env = [
        ("GCE_METADATA_HOST", host.as_str()),
        ("GOOGLE_CLOUD_PROJECT", "by-variable"),
        ("GOOGLE_CLOUD_LOCATION", "us-east5"),
    ];
    let gateway = gateway(&format!("vertex: {{base_url: \"http://{}\"}}", upstream.address), &env);
    assert_eq!(gateway.post(CHAT, &chat(LLAMA, "hi")).status(), 200);
    let asked = endpoint.request();
    assert_eq!(asked.path, "/computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!((asked.method.as_str(), asked.header("metadata-flavor")), ("GET", Some("Google")));
    let seen = upstream.request();
    assert_eq!(seen.header("authorization"), Some("Bearer token-1"));
    assert!(seen.path.starts_with("/v1/projects/by-variable/locations/us-east5/"), "{}", seen.path);
}

#[test]
fn a_failing_endpoint_is_told_counted_and_tried_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let open = crate::support::wait::Gate::default();
    let gate = open.clone();
    let endpoint = Upstream::start(move |_, conn| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => conn.json(503, r#"{"error":"unavailable","error_description":"refresh-canary is bad today"}"#),
        _ => {
            gate.pass();
            conn.json(200, r#"{"access_token":"token-1","expires_in":3600}"#);
        }
    });
    let upstream = Upstream::json(200, chat_answer("hi"));
    let dir = new_dir();
    let user = json!({"type": "authorized_user", "client_id": "id", "client_secret": "hush-canary",
        "refresh_token": "refresh-canary", "quota_project_id": "who-pays", "token_uri": format!("http://{}/t", endpoint.address)});
    std::fs::write(dir.join("user.json"), user.to_string()).unwrap();
    let file = dir.join("user.json").display().to_string();
    let env = [("GOOGLE_APPLICATION_CREDENTIALS", file.as_str())];
    let gateway = Gateway::start_in(dir, &config(&vertex(upstream.address, "")), &env);
    let refused = gateway.post(CHAT, &chat(LLAMA, "hi"));
    assert_eq!(
        (refused.status(), &refused.json()["error"]["code"]),
        (502, &json!("upstream_error")),
        "{}",
        refused.text()
    );
    assert!(refused.text().contains("credential for the provider could not be fetched"), "{}", refused.text());
    assert!(upstream.requests().is_empty());
    let failures = || gateway.metric("weir_credential_refresh_failures_total", &["provider=\"vertex\""]);
    until("the failure to be counted", || (failures() >= 1.0).then_some(()));
    open.open();
    until("a token", || Some(()).filter(|()| gateway.post(CHAT, &chat(LLAMA, "hi")).status() == 200));
    assert_eq!(bearer(&upstream), "Bearer token-1");
    assert_eq!(upstream.requests()[0].header("x-goog-user-project"), Some("who-pays"));
    let asked = endpoint.requests().pop().unwrap();
    assert_eq!(
        (field(&asked, "grant_type"), field(&asked, "refresh_token")),
        ("refresh_token".to_owned(), "refresh-canary".to_owned())
    );
    let all = format!("{}{}{}", gateway.stdout(), gateway.stderr(), refused.text());
    assert!(all.contains("status 503: unavailable"), "the log says why");
    assert!(!all.contains("hush-canary") && !all.contains("refresh-canary") && !all.contains("Bearer token-1"));
}

#[test]
fn a_federated_identity_is_exchanged_from_a_file_or_a_url() {
    let sts = Upstream::start(|request, conn| match request.path.as_str() {
        "/subject" => conn.json(200, r#"{"value":" subject-by-url ","other":1}"#),
        "/exchange" => conn.json(200, r#"{"access_token":"federated","expires_in":3600,"token_type":"Bearer"}"#),
        _ => conn.json(200, r#"{"accessToken":"impersonated","expireTime":"2099-01-01T00:00:00Z"}"#),
    });
    let upstream = Upstream::json(200, chat_answer("hi"));
    let at = format!("http://{}", sts.address);
    let account = |source: &Value, more: Value| {
        with(
            json!({"type": "external_account", "audience": "//iam.test/pool", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": format!("{at}/exchange"), "credential_source": source}),
            more,
        )
    };
    let dir = new_dir();
    std::fs::write(dir.join("subject"), "subject-by-file\n").unwrap();
    let by_file = json!({"file": dir.join("subject")});
    let by_url = json!({"url": format!("{at}/subject"), "headers": {"x-pool": "p"}, "format": {"type": "json", "subject_token_field_name": "value"}});
    let impersonate = json!({"service_account_impersonation_url": format!("{at}/accounts/a:generateAccessToken")});
    for (source, more, subject, token) in [
        (by_file, json!({}), "subject-by-file", "federated"),
        (by_url, impersonate, " subject-by-url ", "impersonated"),
    ] {
        let dir = new_dir();
        std::fs::write(dir.join("pool.json"), account(&source, more).to_string()).unwrap();
        let credentials = format!(", credentials_file: \"{}\"", dir.join("pool.json").display());
        let gateway = Gateway::start_in(dir, &config(&vertex(upstream.address, &credentials)), &[]);
        assert_eq!(gateway.post(CHAT, &chat(LLAMA, "hi")).status(), 200);
        assert_eq!(bearer(&upstream), format!("Bearer {token}"));
        let asked = sts.requests().into_iter().rfind(|request| request.path == "/exchange").unwrap();
        assert_eq!(field(&asked, "grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
        assert_eq!(
            (field(&asked, "subject_token"), field(&asked, "audience")),
            (subject.to_owned(), "//iam.test/pool".to_owned())
        );
    }
    let seen = sts.requests();
    assert_eq!(seen.iter().find(|request| request.path == "/subject").unwrap().header("x-pool"), Some("p"));
    let last = seen.last().unwrap();
    assert_eq!(
        (last.path.as_str(), last.header("authorization")),
        ("/accounts/a:generateAccessToken", Some("Bearer federated"))
    );
    assert_eq!(last.json()["scope"], json!(["https://www.googleapis.com/auth/cloud-platform"]));
}

#[test]
fn an_echoed_token_is_taken_out() {
    let upstream = Upstream::start(|request, conn| {
        let token = request.header("authorization").unwrap().to_owned();
        conn.json(400, &json!({"error": {"message": format!("who is {token}?"), "code": "x"}}).to_string());
    });
    let endpoint = tokens(&[3600]);
    let host = endpoint.address.to_string();
    let gateway = gateway(&vertex(upstream.address, ""), &[("GCE_METADATA_HOST", &host)]);
    let answer = gateway.post(CHAT, &chat(LLAMA, "hi"));
    assert_eq!((answer.status(), &answer.json()["error"]["message"]), (400, &json!("who is Bearer [redacted]?")));
}

/// Vertex AI knows no ids of calls, whoever wrote them.
#[test]
fn ids_of_calls_stay_here() {
    let upstream = Upstream::json(
        200,
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4}}"#,
    );
    let gateway = gateway(&vertex(upstream.address, &format!(", access_token: {TOKEN}")), &[]);
    let calls = json!([{"id": "toolu_a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "toolu_b", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]);
    let results = [("toolu_b", "second"), ("toolu_a", "first")]
        .map(|(id, text)| json!({"role": "tool", "tool_call_id": id, "content": text}));
    let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": calls}, results[0], results[1]]);
    let by_chat = gateway.post(CHAT, &json!({"model": "vertex/gemini-2.5-pro", "messages": messages}));
    assert_eq!(by_chat.status(), 200, "{}", by_chat.text());
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f", "response": {"output": "first"}}}]}]});
    let own = gateway.post("/v1beta/models/vertex/gemini-2.5-pro:generateContent", &contents);
    assert_eq!(own.status(), 200, "{}", own.text());
    for request in upstream.requests() {
        let sent = request.json();
        assert!(!sent.to_string().contains("\"id\""), "{sent}");
        let outputs = sent["contents"][2]["parts"].as_array().unwrap();
        assert_eq!(
            outputs[0]["functionResponse"]["response"],
            json!({"output": "first"}),
            "in the order of the calls: {sent}"
        );
    }
}
