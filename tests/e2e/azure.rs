//! Azure: its APIs by address and version, and tokens of Entra ID.

use serde_json::json;

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, message};
use crate::clouds::{all_formats, config, gateway, logged, said};
use crate::support::gateway::{Gateway, PROVIDER_KEY, new_dir};
use crate::support::simulated::Simulated;
use crate::support::upstream::{Request, Upstream};

/// Azure at this place, with further settings.
fn azure(address: std::net::SocketAddr, below: &str, more: &str) -> String {
    format!("azure: {{base_url: \"http://{address}{below}\"{more}}}")
}

fn with_key(more: &str) -> String {
    format!(", api_key: {PROVIDER_KEY}{more}")
}

#[test]
fn every_format_reaches_every_api() {
    let sim = Simulated::start();
    let dated = ", api_version: 2024-10-21";
    for (below, more, chat, responses) in [
        ("", "", "/openai/v1/chat/completions", "/openai/v1/responses"),
        ("/openai/v1/", "", "/openai/v1/chat/completions", "/openai/v1/responses"),
        (
            "",
            dated,
            "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
            "/openai/responses?api-version=2024-10-21",
        ),
        (
            "/openai",
            dated,
            "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
            "/openai/responses?api-version=2024-10-21",
        ),
        (
            "/models",
            dated,
            "/models/chat/completions?api-version=2024-10-21",
            "/models/chat/completions?api-version=2024-10-21",
        ),
        ("/anthropic", "", "/anthropic/v1/messages", "/anthropic/v1/messages"),
    ] {
        let gateway = gateway(&azure(sim.address, below, &with_key(more)), &[]);
        for (path, body, is_stream) in all_formats("azure/my-gpt", "one two") {
            let answer = gateway.post(&path, &body);
            assert_eq!(answer.status(), 200, "{below}{more} by {path}: {}", answer.text());
            assert_eq!(said(&answer, is_stream), "You said: one two", "{below}{more} by {path}: {}", answer.text());
            let seen = sim.last();
            assert_eq!(seen["path"], if path == "/v1/responses" { responses } else { chat });
            assert_eq!(logged(&seen, "api-key"), PROVIDER_KEY, "{seen}");
        }
    }
}

#[test]
fn a_client_of_azures_own_sdk_does_not_say_the_version_for_us() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let gateway = gateway(&azure(upstream.address, "", &with_key(", api_version: 2024-10-21")), &[]);
    let answer = gateway.post(&format!("{CHAT}?api-version=2023-05-15"), &chat("azure/my-gpt", "hi"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(upstream.request().path, "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21");
}

#[test]
fn embeddings_and_completions_go_to_the_deployment() {
    let sim = Simulated::start();
    let gateway = gateway(&azure(sim.address, "", &with_key(", api_version: 2024-10-21")), &[]);
    for (path, body) in [
        ("embeddings", json!({"model": "azure/sim-embed", "input": "a b"})),
        ("completions", json!({"model": "azure/sim-embed", "prompt": "a b"})),
    ] {
        let answer = gateway.post(&format!("/v1/{path}"), &body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(sim.last()["path"], format!("/openai/deployments/sim-embed/{path}?api-version=2024-10-21"));
    }
}

/// Gives a token, in the words of a managed identity.
fn endpoint() -> Upstream {
    Upstream::json(
        200,
        r#"{"access_token":"entra-token","expires_in":"3599","expires_on":"4102444800","token_type":"Bearer"}"#,
    )
}

/// What was asked for a token, once the gateway has used it.
fn asked(more: &str, env: &[(&str, &str)], endpoint: &Upstream) -> Request {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let gateway = Gateway::start_in(new_dir(), &config(&azure(upstream.address, "", more)), env);
    let answer = gateway.post(CHAT, &chat("azure/my-gpt", "hi"));
    assert_eq!(answer.status(), 200, "{}{}", answer.text(), gateway.stderr());
    let seen = upstream.request();
    assert_eq!((seen.header("authorization"), seen.header("api-key")), (Some("Bearer entra-token"), None));
    let all = format!("{}{}{}", gateway.stdout(), gateway.stderr(), gateway.metrics());
    assert!(!all.contains("entra-token") && !all.contains("canary"), "{all}");
    endpoint.request()
}

fn body(request: &Request) -> String {
    String::from_utf8(request.body.clone()).unwrap()
}

#[test]
fn an_application_has_tokens_by_its_secret() {
    let endpoint = endpoint();
    let authority = format!("http://{}/", endpoint.address);
    let entra = ", entra: {tenant_id: contoso, client_id: app, client_secret: secret-canary}";
    let asked = asked(entra, &[("AZURE_AUTHORITY_HOST", &authority)], &endpoint);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/contoso/oauth2/v2.0/token"));
    assert_eq!(
        body(&asked),
        "grant_type=client%5Fcredentials&scope=https%3A%2F%2Fcognitiveservices%2Eazure%2Ecom%2F%2Edefault&client_id=app&client_secret=secret%2Dcanary"
    );
}

#[test]
fn a_workload_has_tokens_by_the_token_it_is_given() {
    let endpoint = endpoint();
    let dir = new_dir();
    std::fs::write(dir.join("token"), "assertion-canary\n").unwrap();
    let (authority, file) = (format!("http://{}", endpoint.address), dir.join("token").display().to_string());
    let env = [
        ("AZURE_AUTHORITY_HOST", authority.as_str()),
        ("AZURE_TENANT_ID", "contoso"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.as_str()),
    ];
    let asked = asked(", entra: {scope: \"https://ai.azure.com/.default\"}", &env, &endpoint);
    let body = body(&asked);
    assert!(body.contains("&client_assertion=assertion%2Dcanary") && !body.contains("%0A"), "{body}");
    assert!(
        body.contains("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient%2Dassertion%2Dtype%3Ajwt%2Dbearer"),
        "{body}"
    );
    assert!(body.contains("scope=https%3A%2F%2Fai%2Eazure%2Ecom%2F%2Edefault"), "{body}");
}

#[test]
fn a_machine_has_tokens_by_its_identity() {
    const RESOURCE: &str = "&resource=https%3A%2F%2Fcognitiveservices%2Eazure%2Ecom";
    let of_app = endpoint();
    let url = format!("http://{}/msi/token", of_app.address);
    let env = [("IDENTITY_ENDPOINT", url.as_str()), ("IDENTITY_HEADER", "header-canary")];
    let asked_app = asked(", entra: {}", &env, &of_app);
    assert_eq!(asked_app.path, format!("/msi/token?api-version=2019-08-01{RESOURCE}"));
    assert_eq!((asked_app.method.as_str(), asked_app.header("x-identity-header")), ("GET", Some("header-canary")));
    let of_machine = endpoint();
    let host = format!("http://{}", of_machine.address);
    let asked = asked(", entra: {client_id: one}", &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &host)], &of_machine);
    assert_eq!(asked.path, format!("/metadata/identity/oauth2/token?api-version=2018-02-01{RESOURCE}&client_id=one"));
    assert_eq!(asked.header("metadata"), Some("true"));
}

/// The content filter refuses in a shape of Azure's own; every client reads it in its own.
#[test]
fn a_refusal_of_the_content_filter_is_the_callers() {
    let refusal = json!({"error": {"message": "The response was filtered", "type": null, "param": "prompt", "code": "content_filter",
        "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
    let upstream = Upstream::json(400, refusal.to_string());
    let gateway = gateway(&azure(upstream.address, "", &with_key("")), &[]);
    let own = gateway.post(CHAT, &chat("azure/my-gpt", "hi"));
    assert_eq!((own.status(), own.json()), (400, refusal));
    let other = gateway.post(MESSAGES, &message("azure/my-gpt", "hi"));
    assert_eq!((other.status(), &other.json()["error"]["message"]), (400, &json!("The response was filtered")));
}

#[test]
fn a_pause_in_milliseconds_is_handed_on() {
    let upstream = Upstream::start(|_, conn| {
        let body = r#"{"error":{"code":"429","message":"slow down"}}"#;
        conn.json_with(429, &[("retry-after", "1"), ("retry-after-ms", "250")], body);
    });
    let gateway = gateway(&azure(upstream.address, "", &with_key("")), &[]);
    let answer = gateway.post(CHAT, &chat("azure/my-gpt", "hi"));
    assert_eq!((answer.status(), answer.header("retry-after-ms")), (429, "250"), "{:?}", answer.head);
}
