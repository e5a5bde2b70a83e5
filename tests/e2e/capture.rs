//! Debug capture: whole exchanges of whom it is on for, before and after translation, and nothing secret.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, message, streamed, text, with};
use crate::keys::{admin, admin_as};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, full_config, new_dir};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

const OTHER_KEY: &str = "wk-other-canary-77aa";
const CAPTURE_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const PROMPT: &str = "prompt-canary-of-capture";

/// Two tenants, and a key for captures.
fn config(openai: std::net::SocketAddr, anthropic: std::net::SocketAddr, capture: &str) -> String {
    let globex = format!("  globex:\n    keys:\n      - {{id: globex-prod, secret: \"{OTHER_KEY}\"}}");
    full_config("", openai, anthropic, &globex, "defaults: {backoff: 1ms}\n")
        .replace("access_log: stdout", &format!("access_log: stdout\n  capture: {capture}"))
}

fn with_key() -> String {
    format!("{{key: {CAPTURE_KEY}, redact: [/user]}}")
}

fn start(gateway: &Gateway, body: &Value) -> Value {
    let answer = admin(gateway, "POST", "/admin/v1/captures", body);
    assert_eq!(answer.status(), 201, "{}", answer.text());
    answer.json()
}

fn captured(gateway: &Gateway, id: &str) -> Value {
    until("the capture", || {
        let answer = gateway.admin("GET", &format!("/admin/v1/requests/{id}/capture"));
        (answer.status() == 200).then(|| answer.json())
    })
}

fn is_captured(gateway: &Gateway, answer: &Answer) -> bool {
    let id = answer.header("x-request-id");
    // Its record comes when the exchange is over.
    until("the record", || gateway.records().iter().any(|record| record["request_id"] == id).then_some(()));
    gateway.admin("GET", &format!("/admin/v1/requests/{id}/capture")).status() == 200
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

#[test]
fn both_sides_of_a_translated_exchange_are_read_back() {
    let sim = Simulated::start();
    let gateway = Gateway::start(&config(sim.address, sim.address, &with_key()));
    start(&gateway, &json!({"tenant": "acme", "for": "15m", "most": 10}));
    let body = with(chat("anthropic/sim-1", PROMPT), json!({"user": "private-canary"}));
    let answer = gateway.post(CHAT, &body);
    let id = answer.header("x-request-id").to_owned();
    let kept = captured(&gateway, &id);
    let body_of = |part: &Value| -> Value { serde_json::from_str(part["body"]["text"].as_str().unwrap()).unwrap() };
    let client = &kept["client"];
    assert_eq!(body_of(&client["request"]), with(body, json!({"user": "[redacted]"})));
    assert_eq!(client["request"]["path"], CHAT);
    assert_eq!((&client["answer"]["status"], text(&body_of(&client["answer"]))), (&json!(200), text(&answer.json())));
    let [attempt] = kept["attempts"].as_array().unwrap().as_slice() else { panic!("{kept}") };
    assert_eq!((&attempt["provider"], &attempt["format"]), (&json!("anthropic"), &json!("messages")));
    let round = &attempt["rounds"][0];
    assert_eq!((&round["request"]["path"], &round["answer"]["status"]), (&json!("/v1/messages"), &json!(200)));
    let asked = body_of(&round["request"]);
    assert!(asked["max_tokens"].is_number() && asked["messages"][0].to_string().contains(PROMPT), "{asked}");
    assert_eq!(body_of(&round["answer"])["type"], "message");
    let heads =
        |part: &Value| part["headers"].as_array().unwrap().iter().map(|h| h["name"].clone()).collect::<Vec<_>>();
    assert!(heads(&round["request"]).contains(&json!("x-api-key")), "the name is kept, and {kept}");
    for secret in [KEY, PROVIDER_KEY, "private-canary"] {
        assert!(!kept.to_string().contains(secret), "{secret} in {kept}");
    }
    let listed = gateway.admin("GET", "/admin/v1/captures").json();
    assert_eq!((&listed["data"][0]["requests"], &listed["data"][0]["taken"]), (&json!([id]), &json!(1)));
    assert_eq!(gateway.metric("weir_captured_total", &[]), 1.0);
    let done = || {
        let entries = gateway.admin("GET", "/admin/v1/audit").json();
        let entries = entries["data"].as_array().unwrap().iter().map(|entry| entry["action"].clone());
        entries.collect::<Vec<_>>()
    };
    until("both to be in the audit log", || (done() == ["capture.read", "capture.start"]).then_some(()));
}

#[test]
fn a_stream_is_captured_as_it_came_and_as_it_went() {
    let sim = Simulated::start();
    let gateway = Gateway::start(&config(sim.address, sim.address, &with_key()));
    start(&gateway, &json!({"key": "acme-dev"}));
    let mut stream = gateway.stream(CHAT, &streamed(chat("anthropic/sim-1", PROMPT)));
    let events = stream.events();
    assert_eq!(events.last().unwrap().data, "[DONE]");
    let id = gateway.record(1)["request_id"].as_str().unwrap().to_owned();
    let kept = captured(&gateway, &id);
    let client = kept["client"]["answer"]["body"]["text"].as_str().unwrap();
    let provider = kept["attempts"][0]["rounds"][0]["answer"]["body"]["text"].as_str().unwrap();
    assert!(client.contains("chat.completion.chunk") && client.ends_with("data: [DONE]\n\n"), "{client}");
    assert!(provider.starts_with("event: message_start\n") && provider.contains("message_stop"), "{provider}");
    assert_eq!(kept["client"]["answer"]["body"]["truncated"], false);
}

#[test]
fn each_attempt_is_captured_with_what_it_was_told() {
    let bad = Upstream::json(500, r#"{"error":{"message":"broken-words","type":"server_error"}}"#);
    let good = Upstream::json(200, chat_answer("ok"));
    let routes =
        "routes: {fast: {strategy: fallback, targets: [{model: openai/gpt-4o-mini}, {model: second/m}]}}\ntenants:";
    let second = format!("  second: {{kind: openai, base_url: \"http://{}/v1\", api_key: k}}\n{routes}", good.address);
    let gateway = Gateway::start(&config(bad.address, bad.address, &with_key()).replace("tenants:", &second));
    start(&gateway, &json!({"tenant": "acme"}));
    let answer = gateway.post(CHAT, &chat("fast", PROMPT));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let kept = captured(&gateway, answer.header("x-request-id"));
    let seen: Vec<_> =
        kept["attempts"].as_array().unwrap().iter().map(|one| (&one["provider"], &one["kind"])).collect();
    assert_eq!(seen, [(&json!("openai"), &json!("first")), (&json!("second"), &json!("fallback"))]);
    let told = &kept["attempts"][0]["rounds"][0]["answer"];
    assert!(told["status"] == 500 && told["body"]["text"].as_str().unwrap().contains("broken-words"), "{told}");
    // What is refused before anybody is asked is there as well.
    let refused = gateway.post(CHAT, &json!({"model": "no-such-model", "messages": []}));
    let kept = captured(&gateway, refused.header("x-request-id"));
    assert_eq!((&kept["attempts"], &kept["client"]["answer"]["status"]), (&json!([]), &json!(404)));
}

#[test]
fn nobody_elses_exchanges_are_captured_nor_more_than_were_wanted() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::start(&config(upstream.address, upstream.address, &with_key()));
    let ask = |key: &str| {
        let body = chat("openai/gpt-4o-mini", PROMPT).to_string();
        gateway.client().request("POST", CHAT, &[("x-api-key", key)], body.as_bytes()).answer()
    };
    assert!(!is_captured(&gateway, &ask(KEY)), "off by default");
    let foreign = admin(&gateway, "POST", "/admin/v1/captures", &json!({"tenant": "acme", "key": "globex-prod"}));
    assert!(foreign.status() == 400 && foreign.text().contains("not of the tenant"), "{}", foreign.text());
    start(&gateway, &json!({"tenant": "acme", "most": 2}));
    assert!(!is_captured(&gateway, &ask(OTHER_KEY)), "another tenant's");
    assert!(is_captured(&gateway, &ask(KEY)) && is_captured(&gateway, &ask(KEY)));
    assert!(!is_captured(&gateway, &ask(KEY)), "two were wanted");
    let short = start(&gateway, &json!({"key": "globex-prod", "for": "50ms"}));
    let state = || {
        let all = gateway.admin("GET", "/admin/v1/captures").json();
        all["data"].as_array().unwrap().iter().find(|one| one["id"] == short["id"]).unwrap()["state"].clone()
    };
    until("its time to be over", || (state() == "ended").then_some(()));
    assert!(!is_captured(&gateway, &ask(OTHER_KEY)), "its time is over");
    let second = start(&gateway, &json!({"tenant": "globex"}));
    let answer = ask(OTHER_KEY);
    assert!(is_captured(&gateway, &answer));
    let path = format!("/admin/v1/captures/{}", second["id"].as_str().unwrap());
    assert_eq!(gateway.admin("DELETE", &path).status(), 204);
    assert!(!is_captured(&gateway, &answer) && !is_captured(&gateway, &ask(OTHER_KEY)), "it was ended");
    assert_eq!(gateway.admin("DELETE", &path).status(), 404);
}

#[test]
fn what_is_on_disk_is_sealed_and_outlives_the_process() {
    let sim = Simulated::start();
    let dir = new_dir();
    let config = config(sim.address, sim.address, &with_key());
    let gateway = Gateway::start_in(dir.clone(), &config, &[]);
    start(&gateway, &json!({"tenant": "acme"}));
    let answer = gateway.post(MESSAGES, &message("openai/sim-1", PROMPT));
    let id = answer.header("x-request-id").to_owned();
    let before = captured(&gateway, &id);
    let all = files(&dir.join("data/captures"));
    assert_eq!(all.len(), 1, "{all:?}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&all[0]), mode(all[0].parent().unwrap())), (0o600, 0o700));
    for path in files(&dir.join("data")) {
        // What is folded meanwhile is there no more.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for word in [PROMPT, KEY, PROVIDER_KEY, CAPTURE_KEY] {
            assert!(memchr::memmem::find(&bytes, word.as_bytes()).is_none(), "{word} in {}", path.display());
        }
    }
    for said in [gateway.stderr(), gateway.stdout(), gateway.admin("GET", "/admin/v1/config").text()] {
        assert!(!said.contains(PROMPT) && !said.contains(CAPTURE_KEY), "{said}");
    }
    let kept = std::fs::read(&all[0]).unwrap();
    drop(gateway);
    // A process that is killed takes its captures with it; what they kept is still there.
    std::fs::create_dir_all(all[0].parent().unwrap()).unwrap();
    std::fs::write(&all[0], kept).unwrap();
    let gateway = Gateway::start_in(dir, &config, &[]);
    assert_eq!(captured(&gateway, &id), before);
    let listed = gateway.admin("GET", "/admin/v1/captures").json();
    assert_eq!((&listed["data"][0]["state"], &listed["data"][0]["requests"]), (&json!("ended"), &json!([id])));
    let other = config.replace(CAPTURE_KEY, &CAPTURE_KEY.replace('0', "1"));
    gateway.write_config(&other);
    assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    let refused = gateway.admin("GET", &format!("/admin/v1/requests/{id}/capture"));
    assert_eq!((refused.status(), &refused.json()["error"]["code"]), (409, &json!("capture_unreadable")));
}

#[test]
fn it_takes_a_key_the_right_role_and_a_clear_question() {
    let nobody = Upstream::nobody();
    let tokens = "admin:\n  token: root\n  tokens: [{name: v, role: viewer, token: look}, {name: a, role: tenant-admin, tenant: acme, token: own}]\n";
    let without = Gateway::start(&config(nobody, nobody, "{}").replace("admin:\n", tokens));
    let ask = |gateway: &Gateway, token: &str, body: Value| {
        let answer = admin_as(gateway, "POST", "/admin/v1/captures", &body, token);
        (answer.status(), answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned(), answer.text())
    };
    let (status, code, said) = ask(&without, "root", json!({"tenant": "acme"}));
    assert_eq!((status, code.as_str()), (409, "capture_not_configured"));
    assert!(said.contains("telemetry.capture.key"), "{said}");
    let gateway = Gateway::start(&config(nobody, nobody, &with_key()).replace("admin:\n", tokens));
    for token in ["look", "own"] {
        assert_eq!(ask(&gateway, token, json!({"tenant": "acme"})).0, 403, "{token}");
        let read = "/admin/v1/requests/018f0000-0000-7000-8000-000000000000/capture";
        assert_eq!(admin_as(&gateway, "GET", read, &Value::Null, token).status(), 403, "{token}");
    }
    for (body, said) in [
        (json!({}), "whose exchanges"),
        (json!({"tenant": "initech"}), "initech"),
        (json!({"key": "unknown"}), "unknown"),
        (json!({"tenant": "acme", "for": "25h"}), "24h"),
        (json!({"tenant": "acme", "for": "soon"}), "`for`"),
        (json!({"tenant": "acme", "most": 0}), "`most`"),
        (json!({"tenant": "acme", "redact": ["mail"]}), "`redact`"),
        (json!({"tenant": "acme", "until": "now"}), "until"),
    ] {
        let (status, code, text) = ask(&gateway, "root", body.clone());
        assert_eq!((status, code.as_str()), (400, "invalid_capture"), "{body}");
        assert!(text.contains(said), "{body}: {text}");
    }
}
