//! The ledger's database: the admin API, a key's own usage and the command line ask it, and requests are
//! served without it.

use std::process::Command;

use serde_json::{Value, json};
use weir::config::runtime::State;
use weir::ledger::Row;
use weir::store::{Batch, Database};

use crate::ask::{CHAT, chat, chat_answer};
use crate::support::gateway::{Gateway, config};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

fn row(number: u64, day: u64, tenant: &str, key: &str, model: &str, cost: u64) -> Row {
    let line = json!({
        "request_id": format!("00000000-0000-7000-8000-{number:012}"), "client_request_id": null, "trace_id": null,
        "started_at": format!("2026-07-{day:02}T10:00:{number:02}.000Z"), "tenant": tenant, "key_id": key,
        "user": "ann", "tags": ["team=search"], "format": "chat", "route": null, "model": model,
        "provider": "openai", "upstream_model": model, "stream": false, "status": 200, "outcome": "finished",
        "attempts": 1, "fallback": false, "input_tokens": 100, "output_tokens": 20, "cached_tokens": 10,
        "cache_write_tokens": 0, "reasoning_tokens": 5, "usage_source": "reported",
        "usage": {"fresh_input": 90, "cached": 10, "visible_output": 15, "reasoning": 5}, "service_tier": null,
        "cost_pico_usd": cost, "price_version": "2026-07-01", "duration_ms": 0, "ttft_ms": null, "overhead_ms": 0,
        "dropped": [], "error": null, "timeline": [],
    });
    // As decimals with three digits, and the cost in USD, which JSON made here would not have.
    let usd = format!("0.{cost:012}");
    let text = line.to_string().replace("_ms\":0", "_ms\":1.500");
    let text = text.replacen('{', &format!("{{\"cost_usd\":{},", usd.trim_end_matches('0')), 1);
    Row::read(text.as_bytes()).unwrap()
}

fn state(gateway: &Gateway) -> State {
    State { dir: gateway.dir.join("data"), ..State::default() }
}

/// A gateway with rows of two tenants in its database, which it has open.
fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::start(&config(upstream.address, Upstream::nobody(), ""));
    until("the database", || (gateway.admin("GET", "/admin/v1/usage").status() == 200).then_some(()));
    let rows = vec![
        row(1, 1, "acme", "acme-dev", "openai/a", 5_000_000),
        row(2, 1, "acme", "acme-dev", "openai/b", 7_000_000),
        row(3, 2, "acme", "acme-dev", "openai/a", 11_000_000),
        row(4, 2, "acme", "acme-other", "openai/a", 13_000_000),
        row(5, 3, "else", "else-1", "openai/a", 17_000_000),
    ];
    Database::open(&state(&gateway)).unwrap().fold(&Batch { rows, positions: Vec::new() }).unwrap();
    (gateway, upstream)
}

fn weir(gateway: &Gateway, args: &[&str]) -> (i32, String) {
    let data = gateway.dir.join("data");
    let out =
        Command::new(env!("CARGO_BIN_EXE_weir")).args(args).args(["--state", data.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
    (out.status.code().unwrap(), text)
}

const JULY: &str = "since=2026-07-01&until=2026-07-31";

#[test]
fn usage_is_grouped_filtered_and_paged() {
    let (gateway, _upstream) = gateway();
    let ask = |query: &str| gateway.admin("GET", &format!("/admin/v1/usage?{JULY}&{query}")).json();
    let first = ask("by=tenant,model&limit=2");
    let expected = json!({
        "tenant": "acme", "model": "openai/a", "requests": 3, "failed": 0, "unpriced": 0, "input_tokens": 300,
        "output_tokens": 60, "cached_tokens": 30, "cache_write_tokens": 0, "reasoning_tokens": 15,
        "cost_pico_usd": 29_000_000, "cost_usd": 0.000029,
    });
    assert_eq!((&first["data"][0], &first["source"]), (&expected, &json!("database")));
    assert_eq!((&first["data"][1]["tenant"], &first["next_cursor"]), (&json!("else"), &json!("2")));
    let second = ask("by=tenant,model&limit=2&cursor=2");
    assert_eq!((&second["data"][0]["model"], &second["next_cursor"]), (&json!("openai/b"), &json!(null)));
    let days = ask("by=day,tag&tenant=acme");
    let of = |day: &Value| (day["day"].as_str().unwrap().to_owned(), day["tag"].clone(), day["requests"].clone());
    let days: Vec<_> = days["data"].as_array().unwrap().iter().map(of).collect();
    let tag = json!("team=search");
    assert_eq!(days, [("2026-07-02".into(), tag.clone(), json!(2)), ("2026-07-01".into(), tag, json!(2))]);
    assert_eq!(ask("by=month")["data"][0]["month"], "2026-07");
    let wrong = gateway.admin("GET", "/admin/v1/usage?by=colour");
    assert_eq!((wrong.status(), &wrong.json()["error"]["code"]), (400, &json!("invalid_query")));
}

#[test]
fn requests_are_listed_from_the_database_and_from_memory() {
    let (gateway, _upstream) = gateway();
    let answer = gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
    let live = answer.header("x-request-id").to_owned();
    let list = |query: &str| gateway.admin("GET", &format!("/admin/v1/requests?tenant=acme&{query}")).json();
    let ids = |list: &Value| {
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|row| row["request_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let old = |number: u64| format!("00000000-0000-7000-8000-{number:012}");
    until("the record", || (ids(&list("")).first() == Some(&live)).then_some(()));
    let first = list("limit=3");
    assert_eq!((ids(&first), &first["source"]), (vec![live, old(4), old(3)], &json!("database")));
    let second = list(&format!("limit=3&cursor={}", first["next_cursor"].as_str().unwrap()));
    assert_eq!((ids(&second), &second["next_cursor"]), (vec![old(2), old(1)], &json!(null)));
    let one = gateway.admin("GET", &format!("/admin/v1/requests/{}", old(2)));
    let expected: Value =
        serde_json::from_slice(&row(2, 1, "acme", "acme-dev", "openai/b", 7_000_000).line().unwrap()).unwrap();
    assert_eq!((one.status(), one.json()), (200, expected));
    assert_eq!(gateway.admin("GET", "/admin/v1/requests/none").status(), 404);
}

#[test]
fn a_key_sees_its_own_usage_by_what_it_asks_for() {
    let (gateway, _upstream) = gateway();
    let ask = |query: &str| gateway.call("GET", &format!("/v1/usage?{query}"), &Value::Null);
    let answer = ask(&format!("{JULY}&by=model")).json();
    assert_eq!(answer["object"], "list");
    assert!(answer["data"].is_array());
    let models: Vec<_> =
        answer["usage"].as_array().unwrap().iter().map(|row| (&row["model"], &row["requests"])).collect();
    assert_eq!(models, [(&json!("openai/a"), &json!(2)), (&json!("openai/b"), &json!(1))], "not the other key's");
    for query in ["tenant=else", "by=tenant,nonsense"] {
        let refused = ask(query);
        assert_eq!(
            (refused.status(), &refused.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{query}"
        );
    }
    let plain = gateway.call("GET", "/v1/usage", &Value::Null).json();
    assert!(plain["usage"].is_null() && plain["data"].is_array());
}

#[test]
fn the_command_line_asks_while_the_gateway_runs() {
    let (gateway, _upstream) = gateway();
    let stretch = ["--since", "2026-07-01", "--until", "2026-07-31"];
    let (code, text) = weir(&gateway, &[&["usage", "--by", "tenant", "--json"], &stretch[..]].concat());
    let rows: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &rows[0]["tenant"], &rows[0]["cost_pico_usd"]), (0, &json!("acme"), &json!(36_000_000)));
    let (_, text) = weir(&gateway, &[&["usage", "--by", "key", "--csv"], &stretch[..]].concat());
    assert!(
        text.starts_with("key,requests,failed,") && text.contains("\nacme-dev,3,0,0,300,60,30,0,15,0.000023\n"),
        "{text}"
    );
    let (_, text) = weir(&gateway, &[&["usage", "--tenant", "else"], &stretch[..]].concat());
    assert!(text.contains("TENANT  MODEL     REQUESTS") && text.contains("else    openai/a  1"), "{text}");
    assert_eq!(weir(&gateway, &["usage", "--by", "colour"]).0, 2);
    assert_eq!(weir(&gateway, &["usage", "--since", "later"]).0, 2);
    assert_eq!(weir(&gateway, &["usage", "--since", "2026-11-02", "--until", "2026-11-01"]).0, 2);

    let (code, text) = weir(&gateway, &[&["ledger", "export", "--tenant", "acme"], &stretch[..]].concat());
    assert_eq!((code, text.lines().filter(|line| line.contains(",acme,")).count()), (0, 4));
    assert!(text.starts_with("request_id,started_at,tenant,key_id,tags,format,route,model,provider,"), "{text}");
    let (_, text) = weir(&gateway, &[&["ledger", "export", "--format", "json"], &stretch[..]].concat());
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!((lines.len(), &lines[4]["tenant"]), (5, &json!("else")), "the oldest first");
    let file = gateway.dir.join("ledger.parquet");
    let to = ["ledger", "export", "--format", "parquet", "-o", file.to_str().unwrap()];
    assert_eq!(weir(&gateway, &to).0, 0);
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));

    let (code, text) = weir(&gateway, &["ledger", "verify", "--json"]);
    let verified: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &verified["ok"], &verified["database"]["differences"]), (0, &json!(true), &json!([])));
    let database = rusqlite::Connection::open(gateway.dir.join("data/weir.db")).unwrap();
    let wrong = "UPDATE weir_requests SET output_tokens = 1 WHERE request_id LIKE '%000000000003'";
    assert_eq!(database.execute(wrong, []).unwrap(), 1);
    let (code, text) = weir(&gateway, &["ledger", "verify"]);
    assert!(code == 1 && text.contains("000000000003: more output is reasoning than there is"), "{text}");
}

/// Clients choose names of models, and who opens a table of them is no client's calculator.
#[test]
fn a_formula_is_a_text_in_a_table() {
    let (gateway, _upstream) = gateway();
    let rows = vec![row(6, 4, "acme", "acme-dev", "=1+1", 19_000_000)];
    Database::open(&state(&gateway)).unwrap().fold(&Batch { rows, positions: Vec::new() }).unwrap();
    let (_, text) = weir(&gateway, &["ledger", "export", "--since", "2026-07-01"]);
    assert!(text.contains(",'=1+1,") && !text.contains(",=1+1"), "{text}");
    let (_, text) = weir(&gateway, &["usage", "--by", "model", "--csv", "--since", "2026-07-01"]);
    assert!(text.contains("\n'=1+1,1,"), "{text}");
}

#[test]
fn a_changed_entry_of_the_audit_log_is_found() {
    let (gateway, _upstream) = gateway();
    for id in ["one", "two"] {
        let made = crate::keys::admin(&gateway, "POST", "/admin/v1/keys", &json!({"tenant": "acme", "id": id}));
        assert_eq!(made.status(), 201, "{}", made.text());
    }
    let (code, text) = weir(&gateway, &["ledger", "verify", "--json"]);
    let verified: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &verified["audit"]["entries"], &verified["audit"]["broken"]), (0, &json!(2), &Value::Null));
    let database = rusqlite::Connection::open(gateway.dir.join("data/weir.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database.execute("UPDATE weir_audit SET who = 'nobody' WHERE seq = 1", []).unwrap();
    let (code, text) = weir(&gateway, &["ledger", "verify"]);
    assert!(code == 1 && text.contains("audit log: it is broken at entry 1: it was changed"), "{text}");
}

#[test]
fn requests_are_served_without_a_database() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("database: \"postgres://weir:pg-canary-77@127.0.0.1:{port}/weir\"");
    let config = config(upstream.address, Upstream::nobody(), "").replace("state:\n", &format!("state:\n  {url}\n"));
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    let list = || gateway.admin("GET", "/admin/v1/requests").json();
    let listed = until("the record", || Some(list()).filter(|list| list["data"][0]["tenant"] == "acme"));
    assert_eq!(listed["source"], "memory");
    let usage = gateway.admin("GET", "/admin/v1/usage");
    assert_eq!((usage.status(), &usage.json()["error"]["code"]), (503, &json!("database_unavailable")));
    let own = gateway.call("GET", "/v1/usage?by=model", &Value::Null);
    assert_eq!(own.status(), 503, "{}", own.text());
    let shown = gateway.admin("GET", "/admin/v1/config").text();
    assert!(shown.contains("\"database\":\"[secret]\"") && !shown.contains("pg-canary-77"));
    until("the log", || gateway.stderr().contains("the database is down").then_some(()));
    assert!(!gateway.stderr().contains("pg-canary-77"));
}
