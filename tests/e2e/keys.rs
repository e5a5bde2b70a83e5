//! Keys that are made at run time: in force at once, on every replica, over restarts, without a database.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::ask::{CHAT, chat, chat_answer};
use crate::support::client::{Answer, Client};
use crate::support::gateway::{Gateway, KEY, config, full_config, new_dir};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// A request to the admin listener, with a body.
pub(crate) fn admin(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Answer {
    admin_as(gateway, method, path, body, "")
}

pub(crate) fn admin_as(gateway: &Gateway, method: &str, path: &str, body: &Value, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = if token.is_empty() { Vec::new() } else { vec![("authorization", bearer.as_str())] };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Client::connect(gateway.admin).request(method, path, &headers, body.as_bytes()).answer()
}

/// Makes a key of `acme`; gives its id and its secret.
fn create(gateway: &Gateway, mut more: Value) -> (String, String) {
    let mut body = json!({"tenant": "acme"});
    body.as_object_mut().unwrap().append(more.as_object_mut().unwrap());
    let made = admin(gateway, "POST", "/admin/v1/keys", &body);
    assert_eq!(made.status(), 201, "{}", made.text());
    let made = made.json();
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

fn ask(gateway: &Gateway, key: &str) -> Answer {
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    gateway.client().request("POST", CHAT, &[("x-api-key", key)], body.as_bytes()).answer()
}

/// Status and code.
fn says(gateway: &Gateway, key: &str) -> (u16, String) {
    let answer = ask(gateway, key);
    let code = if answer.status() == 200 { Value::Null } else { answer.json()["error"]["code"].clone() };
    (answer.status(), code.as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn good() -> (u16, String) {
    refused(200, "")
}

#[test]
fn a_key_that_is_made_is_good_at_once_and_until_it_is_revoked() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let (id, secret) = create(&gateway, json!({"note": "for tests"}));
    assert_eq!(says(&gateway, &secret), good());
    let record = gateway.record(1);
    assert_eq!((&record["key_id"], &record["tenant"]), (&json!(id), &json!("acme")));
    let path = format!("/admin/v1/keys/{id}");
    let shown = admin(&gateway, "GET", &path, &Value::Null).json();
    assert_eq!(
        (&shown["state"], &shown["source"], &shown["note"]),
        (&json!("active"), &json!("stored"), &json!("for tests"))
    );
    assert!(!shown.to_string().contains(&secret));
    let changed = admin(&gateway, "PATCH", &path, &json!({"models": ["anthropic/*"]}));
    assert_eq!(changed.status(), 200, "{}", changed.text());
    assert_eq!(says(&gateway, &secret), refused(403, "model_not_allowed"));
    assert_eq!(admin(&gateway, "PATCH", &path, &json!({"models": null, "active": false})).status(), 200);
    assert_eq!(says(&gateway, &secret), refused(403, "key_inactive"));
    assert_eq!(admin(&gateway, "PATCH", &path, &json!({"active": true, "expires": "2020-01-01"})).status(), 200);
    assert_eq!(says(&gateway, &secret), refused(403, "key_expired"));
    assert_eq!(admin(&gateway, "PATCH", &path, &json!({"expires": null})).status(), 200);
    assert_eq!(says(&gateway, &secret), good());
    assert_eq!(admin(&gateway, "DELETE", &path, &Value::Null).json()["state"], "revoked");
    assert_eq!(says(&gateway, &secret), refused(403, "key_inactive"));
    assert_eq!(admin(&gateway, "PATCH", &path, &json!({"active": true})).status(), 409, "that is for good");
    assert_eq!(says(&gateway, KEY), good(), "others are not touched");
}

#[test]
fn a_stored_keys_limits_and_budgets_hold() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let (_, limited) = create(&gateway, json!({"limits": {"requests_per_minute": 2}}));
    assert_eq!([says(&gateway, &limited), says(&gateway, &limited)], [good(), good()]);
    // Other keys that are made and changed meanwhile do not give it a new minute.
    let (other, free) = create(&gateway, json!({}));
    admin(&gateway, "PATCH", &format!("/admin/v1/keys/{other}"), &json!({"note": "changed"}));
    assert_eq!(says(&gateway, &limited), refused(429, "rate_limit_exceeded"));
    assert_eq!(says(&gateway, &free), good());
    let (id, poor) = create(&gateway, json!({"budgets": [{"tokens": 1, "per": "day"}]}));
    assert_eq!(says(&gateway, &poor), refused(429, "insufficient_quota"));
    let shown = admin(&gateway, "GET", &format!("/admin/v1/keys/{id}"), &Value::Null).json();
    assert_eq!((&shown["balances"][0]["budget"], &shown["balances"][0]["limit"]), (&json!("tokens_day"), &json!(1)));
}

#[test]
fn row_46_both_secrets_live_until_the_grace_period_ends() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let (id, first) = create(&gateway, json!({}));
    let rotate = |grace: &str| {
        let path = format!("/admin/v1/keys/{id}/rotate");
        let answer = admin(&gateway, "POST", &path, &json!({"grace": grace}));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()["secret"].as_str().unwrap().to_owned()
    };
    let second = rotate("1h");
    assert_eq!((says(&gateway, &first), says(&gateway, &second)), (good(), good()));
    let third = rotate("1h");
    assert_eq!(says(&gateway, &first), refused(401, "invalid_api_key"), "two secrets, not three");
    assert_eq!((says(&gateway, &second), says(&gateway, &third)), (good(), good()));
    let fourth = rotate("300ms");
    until("the grace period to end", || (says(&gateway, &third) == refused(401, "invalid_api_key")).then_some(()));
    assert_eq!(says(&gateway, &fourth), good());
    let fifth = rotate("0");
    assert_eq!((says(&gateway, &fourth), says(&gateway, &fifth)), (refused(401, "invalid_api_key"), good()));
}

#[test]
fn row_46_the_secret_before_is_honoured_in_the_configuration_too() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let more = "      - {id: a, secret: wk-new-1, previous: {secret: wk-old-1, until: 2100-01-01}}\n      - {id: b, secret: wk-new-2, previous: {secret: wk-old-2, until: 2020-01-01}}";
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, more, ""));
    assert_eq!((says(&gateway, "wk-new-1"), says(&gateway, "wk-old-1")), (good(), good()));
    assert_eq!((says(&gateway, "wk-new-2"), says(&gateway, "wk-old-2")), (good(), refused(401, "invalid_api_key")));
}

/// The configuration of a replica that shares the directory of another one.
fn replica(config: &str, of: &Path) -> String {
    config.replace("@DIR@", &of.display().to_string())
}

#[test]
fn a_revocation_reaches_every_replica() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let config = config(upstream.address, upstream.address, "");
    let first = Gateway::start(&config);
    let second = Gateway::start(&replica(&config, &first.dir));
    let (id, secret) = create(&first, json!({}));
    assert_eq!(says(&first, &secret), good());
    until("the key to reach the other replica", || (says(&second, &secret) == good()).then_some(()));
    admin(&second, "DELETE", &format!("/admin/v1/keys/{id}"), &Value::Null);
    assert_eq!(says(&second, &secret), refused(403, "key_inactive"), "at once where it was done");
    // Half a second is what is meant; how long it takes here says more about what else the machine does.
    until("the revocation to reach the other replica", || {
        (says(&first, &secret) == refused(403, "key_inactive")).then_some(())
    });
}

/// Whatever the order in which they came there.
#[test]
fn a_key_that_is_made_does_not_share_the_id_of_one_in_the_file() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let before = config(upstream.address, upstream.address, "");
    let gateway = Gateway::start(&before);
    let taken = admin(&gateway, "POST", "/admin/v1/keys", &json!({"tenant": "acme", "id": "acme-dev"}));
    assert_eq!((taken.status(), &taken.json()["error"]["code"]), (409, &json!("key_exists")));
    let (id, secret) = create(&gateway, json!({"id": "later"}));
    assert_eq!(says(&gateway, &secret), good());
    let more = full_config("", upstream.address, upstream.address, "      - {id: later, secret: wk-later-1}", "");
    gateway.write_config(&more);
    assert_eq!(admin(&gateway, "POST", "/admin/v1/reload", &Value::Null).status(), 200);
    assert_eq!((says(&gateway, &secret), says(&gateway, "wk-later-1")), (refused(401, "invalid_api_key"), good()));
    let listed = admin(&gateway, "GET", "/admin/v1/keys?state=id_taken", &Value::Null).json();
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["source"]), (&json!(id), &json!("stored")));
    assert_eq!(admin(&gateway, "GET", "/admin/v1/keys?state=foo", &Value::Null).status(), 400);
    let shown = admin(&gateway, "GET", "/admin/v1/keys/later", &Value::Null).json();
    assert_eq!(shown["source"], "config");
}

#[test]
fn the_command_line_makes_keys_beside_a_running_gateway_and_through_it() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let weir = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("keys").args(args).current_dir(&gateway.dir).env_clear().envs(env.iter().copied());
        let output = command.output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, out, note) =
        weir(&["create", "-c", "weir.yaml", "--tenant", "acme", "--id", "beside"], &[("USER", "eve")]);
    assert_eq!(code, 0, "{note}");
    let beside = out.trim().to_owned();
    until("the key to be known", || (says(&gateway, &beside) == good()).then_some(()));
    let url = format!("http://{}", gateway.admin);
    let (code, out, note) = weir(&["create", "--url", &url, "--tenant", "acme", "--id", "through"], &[]);
    assert_eq!(code, 0, "{note}");
    assert_eq!(says(&gateway, out.trim()), good(), "known when the command ends");
    let env = [("WEIR_ADMIN_URL", url.as_str())];
    let (_, out, _) = weir(&["list"], &env);
    for id in ["acme-dev", "beside", "through"] {
        assert!(out.contains(id), "{id} in {out}");
    }
    let (code, out, _) = weir(&["rotate", "through", "--grace", "0", "--json"], &env);
    let rotated: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, says(&gateway, rotated["secret"].as_str().unwrap())), (0, good()));
    assert_eq!(weir(&["revoke", "beside"], &env).0, 0);
    assert_eq!(says(&gateway, &beside), refused(403, "key_inactive"));
    let (code, _, note) = weir(&["revoke", "acme-dev"], &env);
    assert!(code == 1 && note.contains("in the configuration"), "{note}");
    let audit = admin(&gateway, "GET", "/admin/v1/audit", &Value::Null).json();
    let told: Vec<_> =
        audit["data"].as_array().unwrap().iter().map(|e| (e["who"].clone(), e["action"].clone())).collect();
    for (who, action) in
        [("cli:eve", "key.create"), ("local", "key.create"), ("local", "key.rotate"), ("local", "key.revoke")]
    {
        assert!(told.contains(&(json!(who), json!(action))), "{who} {action} in {told:?}");
    }
}

#[test]
fn every_change_is_on_the_chain_and_holds_no_secret() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let mut text = config(upstream.address, upstream.address, "").replace(
        "127.0.0.1:0\nstate",
        "127.0.0.1:0\n  tokens: [{name: alice, token: alices-token, role: admin}]\nstate",
    );
    let gateway = Gateway::start(&text);
    let as_alice = |method: &str, path: &str, body: &Value| admin_as(&gateway, method, path, body, "alices-token");
    let made = as_alice("POST", "/admin/v1/keys", &json!({"tenant": "acme", "id": "k"})).json();
    assert_eq!(as_alice("POST", "/admin/v1/endpoints/openai/drain", &Value::Null).status(), 200);
    text += "\n# another\n";
    gateway.write_config(&text);
    assert_eq!(as_alice("POST", "/admin/v1/reload", &Value::Null).status(), 200);
    let entries = until("the changes to be on the chain", || {
        let all = as_alice("GET", "/admin/v1/audit", &Value::Null).json()["data"].clone();
        let has = |action: &str| all.as_array().unwrap().iter().any(|e| e["action"] == action && e["who"] == "alice");
        ["key.create", "endpoint.drain", "config.reload"].iter().all(|action| has(action)).then_some(all)
    });
    let entries = entries.as_array().unwrap();
    for pair in entries.windows(2) {
        assert_eq!(pair[0]["prev_hash"], pair[1]["hash"], "newest first, each on the one before");
    }
    let text = format!("{entries:?}");
    assert!(!text.contains(made["secret"].as_str().unwrap()) && !text.contains("alices-token"));
    assert_eq!(admin(&gateway, "GET", "/admin/v1/audit", &Value::Null).status(), 401);
}

#[test]
fn row_33_keys_verify_while_the_database_is_down() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let dir = new_dir();
    let config = config(upstream.address, upstream.address, "");
    let gateway = Gateway::start_in(dir.clone(), &config, &[]);
    let (_, secret) = create(&gateway, json!({}));
    let snapshot = dir.join("data/keys.json");
    until("the snapshot", || std::fs::read_to_string(&snapshot).ok().filter(|text| text.contains("acme")));
    assert!(!std::fs::read_to_string(&snapshot).unwrap().contains(&secret));
    // The same directory, and a database that is not there.
    let nobody = Upstream::nobody();
    let away = replica(&config, &dir)
        .replace("state:\n", &format!("state:\n  database: postgres://weir@{nobody}/weir?connect_timeout=1\n"));
    let second = Gateway::start(&away);
    assert!(second.is_ready(), "it can tell good keys from bad ones");
    assert_eq!((says(&second, &secret), says(&second, KEY)), (good(), good()));
    let made = admin(&second, "POST", "/admin/v1/keys", &json!({"tenant": "acme"}));
    assert_eq!((made.status(), &made.json()["error"]["code"]), (503, &json!("database_unavailable")));
    assert_eq!(says(&second, "wk-nobodys"), refused(401, "invalid_api_key"));
    assert!(second.metric("weir_key_sync_failures_total", &[]) >= 1.0);
    // One that knows nothing says so, and calls no key of ours unknown.
    let third = Gateway::start(&away.replace(&format!("{}/data", dir.display()), "@DIR@/data"));
    assert!(!third.is_ready());
    let answer = ask(&third, &secret);
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str()), (503, Some("keys_unavailable")));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(says(&third, KEY), good(), "the configuration's keys are always good");
    drop(gateway);
}

/// What took over never had the last changes and has counted on: its clock is where the one before stood.
#[test]
fn a_revocation_that_the_databases_clock_does_not_tell_of_is_seen_at_the_next_start() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let dir = new_dir();
    let config = config(upstream.address, upstream.address, "");
    let mut gateway = Gateway::start_in(dir.clone(), &config, &[]);
    let (id, secret) = create(&gateway, json!({}));
    let snapshot = dir.join("data/keys.json");
    until("the snapshot", || std::fs::read_to_string(&snapshot).ok().filter(|text| text.contains(&id)));
    gateway.signal("TERM");
    gateway.wait_exit();
    let database = rusqlite::Connection::open(dir.join("data/weir.db")).unwrap();
    assert_eq!(database.execute("UPDATE weir_keys SET revoked_ms = 1 WHERE id = $1", [&id]).unwrap(), 1);
    drop(database);
    let again = Gateway::start_in(dir, &config, &[]);
    assert_eq!(says(&again, &secret), refused(403, "key_inactive"));
}

#[test]
fn a_key_of_a_tenant_that_is_gone_is_refused_and_listed_so() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let with = config(upstream.address, upstream.address, "").replace("tenants:\n", "tenants:\n  guest: {}\n");
    let gateway = Gateway::start(&with);
    let made = admin(&gateway, "POST", "/admin/v1/keys", &json!({"tenant": "guest", "id": "g"})).json();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(says(&gateway, secret), good(), "a tenant needs no key in the file");
    gateway.write_config(&config(upstream.address, upstream.address, ""));
    assert_eq!(admin(&gateway, "POST", "/admin/v1/reload", &Value::Null).status(), 200);
    assert_eq!(says(&gateway, secret), refused(403, "key_inactive"));
    let listed = admin(&gateway, "GET", "/admin/v1/keys?state=no_tenant", &Value::Null).json();
    assert_eq!(listed["data"][0]["id"], "g");
    gateway.write_config(&with);
    assert_eq!(admin(&gateway, "POST", "/admin/v1/reload", &Value::Null).status(), 200);
    assert_eq!(says(&gateway, secret), good());
}

#[test]
fn a_body_of_the_admin_api_is_bounded() {
    let gateway = Gateway::with(Upstream::nobody());
    let long = json!({"tenant": "acme", "note": "x".repeat(70 * 1024)});
    assert_eq!(admin(&gateway, "POST", "/admin/v1/keys", &long).status(), 413);
    assert_eq!(admin(&gateway, "POST", "/admin/v1/keys", &json!([])).status(), 400);
}
