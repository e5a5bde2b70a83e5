//! Alerts: told to webhooks as they happen, once, in order, signed, again where one was down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::hmac;
use serde_json::{Value, json};

use crate::ask::{CHAT, chat, chat_answer, with};
use crate::support::gateway::{Gateway, full_config};
use crate::support::upstream::{Request, Upstream};
use crate::support::wait::{Gate, Opens, until};

const SECRET: &str = "webhook-signing-canary";
/// In the path of the webhook's URL.
const TOKEN: &str = "webhook-url-canary";

fn answering() -> Upstream {
    Upstream::json(200, chat_answer("hi"))
}

fn webhook(hook: &Upstream, more: &str) -> String {
    format!("{{url: \"http://{}/services/{TOKEN}?key={TOKEN}\", secret: {SECRET}{more}}}", hook.address)
}

/// A gateway with budgets for the tenant, whose alerts go there.
fn start(upstream: &Upstream, tenant: &str, alerts: &str) -> Gateway {
    Gateway::start(&full_config("", upstream.address, upstream.address, tenant, &format!("alerts: {alerts}\n")))
}

/// Uses 18 tokens.
fn ask(gateway: &Gateway) -> u16 {
    gateway.post(CHAT, &with(chat("openai/gpt-4o-mini", "hi"), json!({"max_tokens": 20}))).status()
}

/// What the webhook got, once it is that many.
fn got(hook: &Upstream, count: usize) -> Vec<Request> {
    until("alerts at the webhook", || Some(hook.requests()).filter(|all| all.len() >= count))
}

fn kinds(gateway: &Gateway) -> Vec<String> {
    let all = gateway.admin("GET", "/admin/v1/alerts").json();
    let word = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let mut all: Vec<String> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}", word(it, "kind"), word(it, "state")))
        .collect();
    all.reverse();
    all
}

/// The check that docs/alerts.md describes.
fn check_signature(request: &Request) {
    let header = request.header("x-weir-signature").expect("it is signed");
    let (at, signature) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = [at.as_bytes(), b".", &request.body].concat();
    hmac::verify(&key, &signed, &hex::decode(signature).unwrap()).expect("the signature fits");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(at.parse().unwrap()) < 60, "{header}");
}

#[test]
fn a_budget_that_is_used_up_is_told_of_signed_and_once() {
    let (upstream, hook) = (answering(), Upstream::json(200, "{}"));
    let tenant = "    budgets: [{tokens: 30, per: month, soft: true, warn_at: [100]}]";
    let gateway = start(&upstream, tenant, &format!("{{webhooks: [{}]}}", webhook(&hook, ", name: on-call")));
    for _ in 0..4 {
        assert_eq!(ask(&gateway), 200);
    }
    let request = &got(&hook, 1)[0];
    check_signature(request);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", &*format!("/services/{TOKEN}?key={TOKEN}")));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(request.header("user-agent").unwrap().starts_with("weir/"));
    let said = request.json();
    assert_eq!(
        (&said["version"], &said["kind"], &said["severity"], &said["state"]),
        (&json!(1), &json!("budget_threshold"), &json!("warning"), &json!("raised"))
    );
    assert_eq!(said["text"], "the soft budget of the tenant `acme` is used up: 30 tokens per month");
    assert_eq!((&said["subject"], &said["tenant"]), (&json!("tenant acme"), &json!("acme")));
    assert_eq!((&said["data"]["percent"], &said["data"]["limit"]), (&json!(100), &json!(30)));
    assert_eq!(said["data"]["spent"], 36, "two requests of 18");
    let shown = gateway.admin("GET", "/admin/v1/alerts").json();
    assert_eq!((&shown["data"][0]["id"], shown["data"].as_array().unwrap().len()), (&said["id"], 1));
    until("the delivery to be counted", || {
        let labels = ["webhook=\"on-call\"", "result=\"delivered\""];
        (gateway.metric("weir_alert_deliveries_total", &labels) == 1.0).then_some(())
    });
    assert_eq!(gateway.metric("weir_alerts_total", &["kind=\"budget_threshold\""]), 1.0);
    assert_eq!(hook.requests().len(), 1, "told once");
}

#[test]
fn a_webhook_that_was_down_gets_all_of_it_in_order() {
    let upstream = answering();
    let failures = Arc::new(AtomicUsize::new(2));
    let left = Arc::clone(&failures);
    let hook = Upstream::start(move |_, conn| {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        conn.json(if fails { 503 } else { 204 }, "");
    });
    let tenant = "    budgets: [{tokens: 10, per: month, soft: true, warn_at: [100]}]";
    let gateway = start(&upstream, tenant, &format!("{{webhooks: [{}]}}", webhook(&hook, "")));
    assert_eq!(ask(&gateway), 200);
    got(&hook, 1);
    // While it waits, another one comes.
    gateway.write_config("nonsense: true\n");
    gateway.admin("POST", "/admin/v1/reload");
    let all = got(&hook, 4);
    let kinds: Vec<Value> = all.iter().map(|request| request.json()["kind"].clone()).collect();
    assert_eq!(kinds, ["budget_threshold", "budget_threshold", "budget_threshold", "config_reload_failed"]);
    let ids: Vec<Value> = all.iter().map(|request| request.json()["id"].clone()).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    all.iter().for_each(check_signature);
    let name = format!("webhook=\"{}\"", "127.0.0.1");
    until("the deliveries to be counted", || {
        let count = |result: &str| gateway.metric("weir_alert_deliveries_total", &[&name, result]);
        (count("result=\"retried\"") == 2.0 && count("result=\"delivered\"") == 2.0).then_some(())
    });
}

#[test]
fn redirections_are_not_followed_and_refusals_not_repeated() {
    let upstream = answering();
    let elsewhere = Upstream::json(200, "{}");
    let to = elsewhere.address;
    let hook = Upstream::start(move |_, conn| {
        conn.json_with(307, &[("location", &format!("http://{to}/"))], "");
    });
    let tenant = "    budgets: [{tokens: 10, per: month, soft: true, warn_at: [100]}]";
    let gateway = start(&upstream, tenant, &format!("{{webhooks: [{}]}}", webhook(&hook, "")));
    assert_eq!(ask(&gateway), 200);
    until("the failure to be counted", || {
        (gateway.metric("weir_alert_deliveries_total", &["result=\"failed\""]) == 1.0).then_some(())
    });
    assert_eq!((hook.requests().len(), elsewhere.requests().len()), (1, 0));
    assert!(gateway.stderr().contains("an alert could not be delivered"));
}

#[test]
fn slack_gets_a_message_and_each_webhook_only_what_it_wants() {
    let upstream = answering();
    let [slack, others, prices] = [(); 3].map(|()| Upstream::json(200, "ok"));
    let hooks = [
        webhook(&slack, ", name: slack, format: slack, events: [unknown_price, budget_threshold]"),
        webhook(&others, ", name: others, tenants: [other]"),
        webhook(&prices, ", name: prices, events: [unknown_price]"),
    ];
    let tenant = "    budgets: [{tokens: 10, per: month, soft: true, warn_at: [100]}]\n  other:\n    keys: [{id: o, secret: wk-other-key-0}]";
    let gateway = start(&upstream, tenant, &format!("{{webhooks: [{}]}}", hooks.join(", ")));
    assert_eq!(ask(&gateway), 200);
    got(&slack, 1);
    for key in [crate::support::gateway::KEY, "wk-other-key-0"] {
        let body = chat("openai/nobody-knows-this", "hi").to_string();
        let answer = gateway.client().request("POST", CHAT, &[("x-api-key", key)], body.as_bytes()).answer();
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    let all = got(&slack, 2);
    let texts: Vec<String> = all.iter().map(|it| it.json()["text"].as_str().unwrap().to_owned()).collect();
    assert!(texts[0].starts_with(":warning: the soft budget of the tenant `acme`"), "{texts:?}");
    assert!(texts[1].contains("`openai/nobody-knows-this` has no price"), "{texts:?}");
    assert_eq!(all[0].json()["blocks"][0]["text"]["type"], "mrkdwn");
    let said = got(&prices, 1)[0].json();
    assert_eq!((&said["kind"], &said["data"]["model"]), (&json!("unknown_price"), &json!("nobody-knows-this")));
    gateway.wait_records(3);
    // All that is told has been brought: what `others` did not get, it does not get.
    until("all deliveries", || {
        (gateway.metric("weir_alert_deliveries_total", &["result=\"delivered\""]) == 3.0).then_some(())
    });
    assert_eq!(others.requests().len(), 0);
}

#[test]
fn a_refused_credential_and_a_refused_configuration_are_told_of_until_they_are_good() {
    let refuses = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let says = Arc::clone(&refuses);
    let upstream = Upstream::start(move |_, conn| match says.load(Ordering::SeqCst) {
        true => conn.json(401, r#"{"error":{"message":"no","type":"authentication_error","code":"invalid_api_key"}}"#),
        false => conn.json(200, &chat_answer("hi")),
    });
    let gateway = start(&upstream, "", "{}");
    assert_ne!(ask(&gateway), 200);
    until("the alert", || kinds(&gateway).contains(&"credential_failed raised".to_owned()).then_some(()));
    refuses.store(false, Ordering::SeqCst);
    let good = std::fs::read_to_string(gateway.dir.join("weir.yaml")).unwrap();
    gateway.write_config("nonsense: true\n");
    assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 400);
    assert!(kinds(&gateway).contains(&"config_reload_failed raised".to_owned()));
    // A reload has the credential looked at again.
    gateway.write_config(&format!("{good}\n# another\n"));
    assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    assert!(kinds(&gateway).contains(&"config_reload_failed resolved".to_owned()));
    assert_eq!(ask(&gateway), 200);
    until("the end of it", || kinds(&gateway).contains(&"credential_failed resolved".to_owned()).then_some(()));
}

#[test]
fn an_endpoint_that_stays_out_is_told_of() {
    let upstream = Upstream::json(500, r#"{"error":{"message":"no","type":"server_error"}}"#);
    let gateway = start(&upstream, "", "{endpoint_down: 1s}");
    // Its breaker opens, and is tried again and again.
    until("the alert", || {
        ask(&gateway);
        kinds(&gateway).contains(&"endpoint_down raised".to_owned()).then_some(())
    });
    let said = gateway.admin("GET", "/admin/v1/alerts").json();
    let down = said["data"].as_array().unwrap().iter().find(|it| it["kind"] == "endpoint_down").unwrap().clone();
    assert_eq!((&down["data"]["endpoint"], &down["data"]["model"]), (&json!("openai"), &json!("gpt-4o-mini")));
}

#[test]
fn a_webhook_that_hangs_holds_up_no_request_and_no_other_webhook() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let hangs = Upstream::start(move |_, _| gate.pass());
    let (upstream, hook) = (answering(), Upstream::json(200, "{}"));
    let tenant = "    budgets: [{tokens: 10, per: month, soft: true, warn_at: [100]}]";
    let hooks = format!("{{webhooks: [{}, {}]}}", webhook(&hangs, ", name: a"), webhook(&hook, ", name: b"));
    let gateway = start(&upstream, tenant, &hooks);
    for _ in 0..20 {
        assert_eq!(ask(&gateway), 200);
    }
    got(&hook, 1);
    gateway.write_config("nonsense: true\n");
    gateway.admin("POST", "/admin/v1/reload");
    got(&hook, 2);
    assert_eq!(hangs.requests().len(), 1, "the first one still hangs");
}

#[test]
fn a_webhooks_secrets_appear_nowhere() {
    let upstream = answering();
    let refused = Upstream::nobody();
    let tenant = "    budgets: [{tokens: 10, per: month, soft: true, warn_at: [100]}]";
    let hook = format!("{{webhooks: [{{url: \"http://{refused}/{TOKEN}\", secret: {SECRET}}}]}}");
    let gateway = start(&upstream, tenant, &hook);
    assert_eq!(ask(&gateway), 200);
    until("a try", || (gateway.metric("weir_alert_deliveries_total", &["result=\"retried\""]) >= 1.0).then_some(()));
    let mut said = gateway.stderr() + &gateway.stdout();
    for path in ["/metrics", "/admin/v1/config", "/admin/v1/alerts", "/admin/v1/tenants", "/health"] {
        said += &gateway.admin("GET", path).text();
    }
    assert!(said.contains(&format!("http://{refused}/...")), "its host is shown");
    for secret in [SECRET, TOKEN] {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn a_shared_store_that_is_gone_is_told_of() {
    let (upstream, hook) = (answering(), Upstream::json(200, "{}"));
    let nobody = Upstream::nobody();
    let more = format!("alerts: {{webhooks: [{}]}}\n", webhook(&hook, ", events: [store_down]"));
    let text = full_config("", upstream.address, upstream.address, "    limits: {requests_per_minute: 100}", &more);
    let state = "  dir: \"@DIR@/data\"\n";
    assert!(text.contains(state));
    let shared = format!("{state}  shared: \"redis://:{SECRET}@{nobody}/0\"\n  on_store_loss: open\n");
    let gateway = Gateway::start(&text.replace(state, &shared));
    let said = got(&hook, 1)[0].json();
    assert_eq!((&said["kind"], &said["severity"]), (&json!("store_down"), &json!("critical")));
    assert_eq!(ask(&gateway), 200, "and it serves");
    assert!(!gateway.stderr().contains(SECRET) && !said.to_string().contains(SECRET));
}

#[test]
fn each_mark_of_a_budget_is_told_of_for_each_tenant() {
    let upstream = answering();
    // 18 tokens a request: 45%, 90%, and all of it, which is no mark here.
    let tenant = "    budgets: [{tokens: 40, per: month, soft: true, warn_at: [40, 90]}]\n  other:\n    budgets: [{tokens: 40, per: month, soft: true, warn_at: [40]}]\n    keys: [{id: o, secret: wk-other-key-0}]";
    let gateway = start(&upstream, tenant, "{}");
    for _ in 0..3 {
        assert_eq!(ask(&gateway), 200);
    }
    let body = with(chat("openai/gpt-4o-mini", "hi"), json!({"max_tokens": 20})).to_string();
    let answer = gateway.client().request("POST", CHAT, &[("x-api-key", "wk-other-key-0")], body.as_bytes()).answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let all = gateway.admin("GET", "/admin/v1/alerts").json();
    let mut told: Vec<String> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["kind"] == "budget_threshold")
        .map(|it| format!("{} {}", it["tenant"].as_str().unwrap(), it["data"]["percent"]))
        .collect();
    told.sort();
    assert_eq!(told, ["acme 40", "acme 90", "other 40"]);
}
