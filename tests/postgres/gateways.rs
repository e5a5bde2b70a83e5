//! Whole gateways on one Postgres: real processes, each with its own directory.

use serde_json::{Value, json};

use crate::server::{PASSWORD, Server};
use crate::support::client::{Answer, Client};
use crate::support::gateway::{Gateway, config};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

const CHAT: &str = "/v1/chat/completions";

fn upstream() -> Upstream {
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    });
    Upstream::json(200, answer.to_string())
}

fn body() -> Value {
    json!({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]})
}

fn on(server: &Server, upstream: &Upstream) -> String {
    let url = format!("postgres://weir:{PASSWORD}@127.0.0.1:{}/weir", server.port);
    config(upstream.address, upstream.address, "").replacen("state:\n", &format!("state:\n  database: \"{url}\"\n"), 1)
}

fn ask(gateway: &Gateway, key: &str) -> Answer {
    gateway.client().request("POST", CHAT, &[("x-api-key", key)], body().to_string().as_bytes()).answer()
}

fn admin(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Client::connect(gateway.admin).request(method, path, &[], body.as_bytes()).answer()
}

fn used(gateway: &Gateway) -> Value {
    admin(gateway, "GET", "/admin/v1/usage", &Value::Null).json()["data"][0].clone()
}

/// Both serve while the database goes away and comes back, and one of them is killed: each request is in
/// the sums once, and both say the same.
#[test]
fn two_gateways_fold_into_one_database_through_restarts() {
    let Some(mut server) = Server::start("two") else { return };
    server.empty("weir");
    let upstream = upstream();
    let config = on(&server, &upstream);
    let (first, mut second) = (Gateway::start(&config), Gateway::start(&config));
    let dir = second.dir.clone();
    let mut asked = 0;
    let mut ask_both = |first: &Gateway, second: &Gateway| {
        for _ in 0..30 {
            assert_eq!(first.post(CHAT, &body()).status(), 200);
            assert_eq!(second.post(CHAT, &body()).status(), 200);
            asked += 2;
        }
    };
    ask_both(&first, &second);
    server.crash(|| ask_both(&first, &second));
    ask_both(&first, &second);
    second.signal("KILL");
    assert!(!second.wait_exit().success());
    let again = Gateway::start_in(dir, &config, &[]);
    ask_both(&first, &again);
    for gateway in [&first, &again] {
        let sum = until("all rows", || Some(used(gateway)).filter(|sum| sum["requests"] == json!(asked)));
        assert_eq!((&sum["input_tokens"], &sum["output_tokens"]), (&json!(11 * asked), &json!(7 * asked)));
    }
    let counted =
        server.client("weir").query_one("SELECT COUNT(*), COUNT(DISTINCT request_id) FROM weir_requests", &[]);
    let counted = counted.unwrap();
    assert_eq!((counted.get::<_, i64>(0), counted.get::<_, i64>(1)), (asked, asked));
}

#[test]
fn a_key_and_its_revocation_reach_the_other_gateway() {
    let Some(server) = Server::start("revoke") else { return };
    server.empty("weir");
    let upstream = upstream();
    let config = on(&server, &upstream);
    let (first, second) = (Gateway::start(&config), Gateway::start(&config));
    let made = admin(&first, "POST", "/admin/v1/keys", &json!({"tenant": "acme"})).json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!(ask(&first, secret).status(), 200, "at once where it was made");
    until("the key to be known", || (ask(&second, secret).status() == 200).then_some(()));
    assert_eq!(admin(&second, "DELETE", &format!("/admin/v1/keys/{id}"), &Value::Null).status(), 200);
    assert_eq!(ask(&second, secret).status(), 403, "at once where it was revoked");
    until("the revocation to be known", || (ask(&first, secret).status() == 403).then_some(()));
}
