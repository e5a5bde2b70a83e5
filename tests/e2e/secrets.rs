//! Row 42: keys appear in no log, metric, error or dump.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, streamed};
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, config, full_config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

#[test]
fn keys_and_prompts_appear_nowhere() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let mut said = String::new();
    for provider in ["openai", "anthropic"] {
        for model in ["sim-1", "sim-error-400", "sim-error-401", "sim-error-500", "sim-stream-cut"] {
            for (path, body) in both(&format!("{provider}/{model}"), "prompt-canary-11") {
                let answer = gateway.post(path, &body);
                said += &format!("{:?}", answer.head);
                if answer.status() != 200 {
                    said += &answer.text();
                }
                let stream = gateway.post(path, &streamed(body));
                said += &format!("{:?}", stream.head);
            }
        }
    }
    gateway.client().request("POST", CHAT, &[("x-api-key", "wk-unknown-canary-2")], b"{}").answer();
    gateway
        .client()
        .request("POST", CHAT, &[("authorization", &format!("Bearer {KEY}"))], b"{\"prompt-canary")
        .answer();
    gateway.wait_records(40);
    for path in ["/metrics", "/admin/v1/config", "/livez"] {
        said += &gateway.admin("GET", path).text();
    }
    said += &gateway.stderr();
    said += &gateway.stdout();
    for secret in [KEY, PROVIDER_KEY, "wk-unknown-canary-2", "prompt-canary"] {
        let found = said.find(secret).map(|at| said.get(at.saturating_sub(200)..at + 60).unwrap_or("").to_owned());
        assert_eq!(found, None, "{secret}");
    }
}

/// Each kind of secret that there is, and the words of an answer that cannot be read: whatever is asked of the
/// gateway and its command line, none of them is said.
#[test]
fn no_kind_of_secret_is_said_anywhere() {
    let odd = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":"answer-canary-20"}"#;
    let upstream = Upstream::json(200, odd);
    let tenant =
        "      - {id: other, secret: wk-new-canary-21, previous: {secret: wk-old-canary-22, until: 2100-01-01}}";
    let more = "auth: {jwt: [{issuer: 'https://a.test', audience: w, jwks_url: 'http://127.0.0.1:9/k', tenant: acme}]}\n\
        alerts: {webhooks: [{url: 'http://127.0.0.1:9/hook-canary-23', secret: webhook-canary-24}]}\n\
        defaults: {retries: 0}\n";
    let text = full_config("", upstream.address, upstream.address, tenant, more)
        .replace("admin:\n", "admin:\n  token: admin-canary-25\n  tokens: [{name: v, role: viewer, token: viewer-canary-26}]\n")
        .replace("state:\n", "state:\n  secret: state-secret-canary-27-0123456789\n  shared: 'redis://:shared-canary-28@127.0.0.1:9'\n  database: 'postgres://weir:database-canary-29@127.0.0.1:9/weir?connect_timeout=1'\n")
        .replace("/v1\", api_key", "/v1\", headers: {x-more: header-canary-30}, api_key");
    let gateway = Gateway::start(&text);
    let admin = |path: &str, token: &str| crate::keys::admin_as(&gateway, "GET", path, &Value::Null, token);
    let mut said = String::new();
    let body = chat("openai/gpt-4o-mini", "prompt-canary-31").to_string();
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EudGVzdCJ9.jwt-canary-32";
    let unknown = "weir_abcdefgh_unknowncanary33AAAAAAAAAAAAAAAAAAAAAAAA";
    for key in ["wk-new-canary-21", "wk-old-canary-22", token, unknown] {
        for path in [CHAT, MESSAGES] {
            let answer = gateway.client().request("POST", path, &[("x-api-key", key)], body.as_bytes()).answer();
            said += &format!("{:?}", answer.head);
            if answer.status() != 200 {
                said += &answer.text();
            }
        }
    }
    let document = admin("/admin/v1/openapi.json", "admin-canary-25").json();
    // What has no end is looked at in tests/canary.rs.
    for path in document["paths"].as_object().unwrap().keys().filter(|path| !path.ends_with("/live")) {
        said += &admin(&path.replace("{id}", "other").replace("{request_id}", "none"), "admin-canary-25").text();
        said += &admin(path, "guess-canary-34").text();
    }
    let doctor = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args([
            "doctor",
            "-c",
            "weir.yaml",
            "--url",
            &format!("http://{}", gateway.admin),
            "--token",
            "admin-canary-25",
        ])
        .current_dir(&gateway.dir)
        .env_clear()
        .output()
        .unwrap();
    said += &format!("{}{}", String::from_utf8_lossy(&doctor.stdout), String::from_utf8_lossy(&doctor.stderr));
    gateway.write_config(&text.replace("role: viewer", "role: viewre"));
    gateway.signal("HUP");
    until("the reload to fail", || gateway.stderr().contains("configuration not reloaded").then_some(()));
    said += &gateway.stderr();
    said += &gateway.stdout();
    let found = said.find("canary").map(|at| said.get(at.saturating_sub(200)..at + 60).unwrap_or("").to_owned());
    assert_eq!(found, None);
    assert!(said.contains("viewre") && said.contains("key_id"), "something was said");
}

#[test]
fn a_provider_that_echoes_its_key_is_redacted() {
    let body = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: {PROVIDER_KEY}.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}}}"#
    );
    for status in [400, 401, 500] {
        let upstream = Upstream::json(status, body.clone());
        let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {retries: 0}\n"));
        for (path, request) in both("openai/gpt-4o-mini", "hi") {
            for request in [request.clone(), streamed(request)] {
                let answer = gateway.post(path, &request);
                assert_ne!(answer.status(), 200);
                assert!(!answer.text().contains(PROVIDER_KEY), "{status}: {}", answer.text());
            }
        }
        gateway.wait_records(4);
        assert!(!gateway.stderr().contains(PROVIDER_KEY) && !gateway.stdout().contains(PROVIDER_KEY));
    }
}

#[test]
fn a_refused_key_learns_nothing_of_the_inside() {
    let gateway = Gateway::with(Upstream::nobody());
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    for path in [CHAT, MESSAGES] {
        let answer = gateway.client().request("POST", path, &[("x-api-key", "wk-guess")], body.as_bytes()).answer();
        let text = answer.text();
        for inside in ["acme", "openai/", "sha256", "127.0.0.1", "tenant", "weir.yaml"] {
            assert!(!text.contains(inside), "{inside} in {text}");
        }
        assert_eq!(answer.head.find("x-weir-provider"), None);
    }
    assert_eq!(gateway.call("GET", "/v1/models", &Value::Null).status(), 200);
    assert_eq!(gateway.post(CHAT, &json!({})).status(), 400);
}

/// The key in an error inside a 200, whole and streamed, before and after the first event, and in the
/// refusal of a path that only passes.
#[test]
fn an_echoed_key_is_redacted_wherever_the_error_stands() {
    let error = format!(r#"{{"error":{{"message":"bad key {PROVIDER_KEY}","type":"server_error"}}}}"#);
    let piece = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}"#;
    let first = format!("data: {error}\n\n");
    let later = format!("data: {piece}\n\ndata: {error}\n\n");
    let alone = "defaults: {retries: 0}\n";
    for upstream in [Upstream::json(200, error.clone()), Upstream::sse(first), Upstream::sse(later)] {
        let gateway = Gateway::start(&config(upstream.address, upstream.address, alone));
        for (path, request) in both("openai/gpt-4o-mini", "hi") {
            for request in [request.clone(), streamed(request)] {
                let answer = gateway.post(path, &request);
                assert!(answer.status() >= 400 || answer.text().contains("error"), "{}", answer.text());
                assert!(!answer.text().contains(PROVIDER_KEY), "{path}: {}", answer.text());
            }
        }
        gateway.wait_records(4);
        assert!(!(gateway.stderr() + &gateway.stdout()).contains(PROVIDER_KEY));
    }
    let upstream = Upstream::json(400, error);
    let gateway = Gateway::start(&config(upstream.address, upstream.address, alone));
    let answer = gateway.call_with("POST", "/v1/moderations", &[("x-weir-provider", "openai")], &json!({"input": "x"}));
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("bad key [redacted]"), "{}", answer.text());
}

/// A key that JSON spells with escapes, in an event in the middle of a stream and in a whole answer.
#[test]
fn an_echoed_key_is_redacted_however_it_is_spelled() {
    let spelled = PROVIDER_KEY.replacen('s', "\\u0073", 1);
    let error = format!(r#"{{"error":{{"message":"bad key {spelled}","type":"server_error"}}}}"#);
    let piece = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}"#;
    let whole = crate::ask::chat_answer("SAID").replace("SAID", &format!("my key is {spelled}"));
    for upstream in [
        Upstream::sse(format!("data: {piece}\n\ndata: {error}\n\n")),
        Upstream::json(200, whole),
        Upstream::json(400, error),
    ] {
        let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {retries: 0}\n"));
        for (path, request) in both("openai/gpt-4o-mini", "hi") {
            for request in [request.clone(), streamed(request)] {
                let text = gateway.post(path, &request).text();
                assert!(!text.contains(&spelled) && !text.contains(PROVIDER_KEY), "{path}: {text}");
            }
        }
    }
}

/// A credential that the operator set as a header is as secret as `api_key`.
#[test]
fn an_echoed_credential_of_the_operators_headers_is_redacted() {
    const SET: &str = "hd-operators-canary-41";
    let upstream = Upstream::start(|request, conn| {
        let shown = request.header("authorization").unwrap().to_owned();
        match request.number % 4 {
            0 | 1 => conn.json(200, &crate::ask::chat_answer(&format!("my key is {shown}"))),
            2 => conn.json(
                400,
                &json!({"error": {"message": format!("bad {shown}"), "type": "invalid_request_error", "code": SET}})
                    .to_string(),
            ),
            _ => {
                conn.json(500, &json!({"error": {"message": format!("bad {SET}"), "type": "server_error"}}).to_string())
            }
        }
    });
    let text = config(upstream.address, upstream.address, "defaults: {retries: 0}\n").replacen(
        "/v1\", api_key",
        &format!(
            "/v1\", headers: {{authorization: \"Bearer {SET}\", http-referer: \"https://team.example.com\"}}, api_key"
        ),
        1,
    );
    let gateway = Gateway::start(&text);
    let bodies = both("openai/gpt-4o-mini", "hi");
    for (path, body) in bodies.iter().cycle().take(8) {
        let said = gateway.post(path, body).text();
        assert!(!said.contains(SET), "{path}: {said}");
    }
    gateway.wait_records(8);
    let said = gateway.stderr() + &gateway.stdout() + &gateway.admin("GET", "/admin/v1/requests").text();
    let found = said.find(SET).map(|at| said.get(at.saturating_sub(300)..at + 60).unwrap_or("").to_owned());
    assert_eq!(found, None);
}

/// A client's own credential is as secret as ours, whatever a provider says of it, and where.
#[test]
fn a_clients_own_credential_that_is_thrown_back_is_in_no_log_and_no_record() {
    const OWN: &str = "sk-client-canary-77";
    let codes = [401, 403, 400, 200, 429, 500];
    let upstream = Upstream::start(move |request, conn| {
        let status = codes[request.number % codes.len()];
        let error = json!({"message": format!("what is {OWN}?"), "type": "api_error", "code": OWN, "param": OWN});
        conn.json(status, &json!({"error": error}).to_string());
    });
    let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {retries: 0}\n"));
    let bearer = format!("Bearer {OWN}");
    let mut count = 0;
    for own in [("authorization", bearer.as_str()), ("x-api-key", OWN)] {
        for (path, body) in both("openai/gpt-4o-mini", "hi").iter().cycle().take(2 * codes.len()) {
            let headers = [("x-weir-api-key", KEY), own];
            gateway.client().request("POST", path, &headers, body.to_string().as_bytes()).answer();
            count += 1;
        }
    }
    let records = gateway.wait_records(count);
    assert!(records.iter().all(|record| record["error"] != json!(null)), "{records:?}");
    let said = gateway.stderr() + &gateway.stdout() + &gateway.admin("GET", "/admin/v1/requests").text();
    let found = said.find(OWN).map(|at| said.get(at.saturating_sub(300)..at + 60).unwrap_or("").to_owned());
    assert_eq!(found, None);
}
