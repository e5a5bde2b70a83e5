//! Servers of the Model Context Protocol behind `/mcp`: a child process and one over streamable HTTP, written for
//! the purpose.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::gateway::{Gateway, KEY, full_config, new_dir};
use crate::support::upstream::{Conn, Request, Upstream};
use crate::support::wait::{Gate, Opens, until};

const MCP: &str = "/mcp";
/// What the gateway shows to the server over HTTP.
const TOKEN: &str = "mcp-server-token-canary";
/// The key of a tenant that has nothing switched on.
const OTHER_KEY: &str = "wk-other-canary-7d2a";

/// The server of `tests/fixtures/mcp_server.py`, as the tool `files`.
fn files(more: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mcp_server.py");
    format!("  files:\n    mcp: {{command: python3, args: [\"{script}\"], env: {{OWN: \"1\"}}}}\n{more}")
}

/// A gateway whose tenant `acme` has these tools switched on.
fn start(edge_tools: &str, tools: &str) -> Gateway {
    let nobody = Upstream::nobody();
    let tenant =
        format!("    edge_tools: {edge_tools}\n  other:\n    keys: [{{id: other-dev, secret: \"{OTHER_KEY}\"}}]\n");
    Gateway::start(&full_config("", nobody, nobody, &tenant, &format!("tools:\n{tools}")))
}

fn ask(gateway: &Gateway, method: &str, params: &Value) -> Value {
    let answer = gateway.post(MCP, &json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!((&answer.json()["id"], &answer.json()["jsonrpc"]), (&json!(7), &json!("2.0")));
    answer.json()
}

fn names(gateway: &Gateway) -> Vec<String> {
    let listed = ask(gateway, "tools/list", &json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// The text of a call's result, and whether it is an error.
fn call(gateway: &Gateway, name: &str, arguments: &Value) -> (String, bool) {
    let result = ask(gateway, "tools/call", &json!({"name": name, "arguments": arguments}))["result"].clone();
    (result["content"][0]["text"].as_str().unwrap_or_default().to_owned(), result["isError"] == true)
}

/// How the admin API shows a tool.
fn shown(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.admin("GET", "/admin/v1/tools").json();
    all["data"].as_array().unwrap().iter().find(|row| row["name"] == name).cloned().unwrap()
}

/// A server over streamable HTTP with sessions: it answers calls as a stream of events.
fn notes(request: &Request, conn: &mut Conn) {
    if request.method != "POST" {
        return conn.json(405, "{}");
    }
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    let asked = request.json();
    let id = asked["id"].clone();
    let answer = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    match asked["method"].as_str().unwrap() {
        "initialize" => {
            let version = &asked["params"]["protocolVersion"];
            let about = json!({"name": "notes", "version": "1"});
            let result = json!({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about});
            conn.json_with(200, &[("mcp-session-id", "s1")], &answer(result));
        }
        _ if request.header("mcp-session-id") != Some("s1") => conn.json(400, "{}"),
        "tools/list" => {
            let tool = |name: &str| json!({"name": name, "description": "d", "inputSchema": {"type": "object"}});
            conn.json(200, &answer(json!({"tools": [tool("find.all"), tool("purge")]})));
        }
        "tools/call" => {
            let content = json!([{"type": "text", "text": "two notes"},
                {"type": "image", "data": "aGk=", "mimeType": "image/png"}]);
            let progress = json!({"jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "info", "data": "looking"}});
            conn.sse_head();
            conn.data(progress);
            conn.data(answer(json!({"content": content, "isError": false})));
            conn.end();
        }
        _ => conn.json(202, ""),
    }
}

#[test]
fn tools_of_servers_are_one_list_and_each_tenant_has_its_own() {
    let server = Upstream::start(notes);
    let http = format!(
        "  notes:\n    mcp: {{url: \"http://{}/mcp?k={TOKEN}\", headers: {{authorization: \"Bearer {TOKEN}\"}}}}\n    \
         allow: [\"find*\"]\n",
        server.address
    );
    let tools = format!("{}{http}", files("    allow: [crash, echo, fail, pid]\n"));
    let gateway = start("{tools: [weir_calculate, files/echo, files/fail, files/hidden, notes/*]}", &tools);
    let hello = ask(&gateway, "initialize", &json!({"protocolVersion": "2025-06-18", "capabilities": {}}));
    assert_eq!(
        (&hello["result"]["protocolVersion"], &hello["result"]["serverInfo"]["name"]),
        (&json!("2025-06-18"), &json!("weir"))
    );
    assert_eq!(shown(&gateway, "files")["state"], "unused", "nothing was asked of it");

    let all = names(&gateway);
    assert_eq!(all[..2], ["files__echo", "files__fail"]);
    assert!(all[2].starts_with("notes__find_all_") && all[3..] == ["weir_calculate"], "{all:?}");
    assert_eq!(call(&gateway, "files__echo", &json!({"text": "ä"})), ("you said {\"text\": \"ä\"}".to_owned(), false));
    assert_eq!(call(&gateway, "files__fail", &json!({})), ("there is no such file".to_owned(), true));
    assert_eq!(
        call(&gateway, "weir_calculate", &json!({"expression": "0.1+0.2"})).0,
        r#"{"result":"0.3","rounded":false}"#
    );
    let found = ask(&gateway, "tools/call", &json!({"name": all[2], "arguments": {}}));
    assert_eq!(found["result"]["content"][1], json!({"type": "image", "data": "aGk=", "mimeType": "image/png"}));

    // Not switched on, not allowed, not there: all the same.
    for name in ["files__pid", "files__crash", "files__hidden", "notes__purge", "weir_uuid", "nothing"] {
        let refused = ask(&gateway, "tools/call", &json!({"name": name, "arguments": {}}));
        assert_eq!(refused["error"]["code"], -32602, "{name}: {refused}");
    }
    let of_other = |method: &str, params: Value| -> Answer {
        let bearer = format!("Bearer {OTHER_KEY}");
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        gateway.client().request("POST", MCP, &[("authorization", &bearer)], body.as_bytes()).answer()
    };
    assert_eq!(of_other("tools/list", json!({})).json()["result"]["tools"], json!([]));
    assert_eq!(of_other("tools/call", json!({"name": "files__echo", "arguments": {}})).json()["error"]["code"], -32602);

    assert_eq!(
        gateway.metric("weir_tool_calls_total", &["tenant=\"acme\"", "tool=\"files/echo\"", "outcome=\"ok\""]),
        1.0
    );
    assert_eq!(
        gateway.metric("weir_tool_calls_total", &["tenant=\"acme\"", "tool=\"files/fail\"", "outcome=\"error\""]),
        1.0
    );
    let files = shown(&gateway, "files");
    assert_eq!((&files["state"], &files["last_error"]), (&json!("connected"), &Value::Null));
    assert_eq!(files["tools"], json!(["crash", "echo", "fail", "pid"]));
    // What is said to servers is shown to nobody.
    for page in ["/admin/v1/tools", "/admin/v1/config"] {
        assert!(!gateway.admin("GET", page).text().contains(TOKEN), "{page}");
    }
    assert!(!gateway.stdout().contains(TOKEN) && !gateway.stderr().contains(TOKEN), "{}", gateway.stderr());
    assert!(!gateway.stderr().contains("this is noise") && !gateway.stderr().contains("rmcp"));
}

#[test]
fn the_protocol_is_kept() {
    let gateway = start("{tools: [weir_uuid]}", "  x: {fetch: {hosts: [example.com]}}\n");
    let without_key = gateway.client().request("POST", MCP, &[], b"{}").answer();
    assert_eq!(without_key.status(), 401);
    assert_eq!(gateway.call("GET", MCP, &Value::Null).status(), 405);
    assert_eq!(gateway.call("DELETE", MCP, &Value::Null).status(), 405);
    let told = gateway.post(MCP, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert_eq!((told.status(), told.text().as_str()), (202, ""));
    assert_eq!(ask(&gateway, "ping", &json!({}))["result"], json!({}));
    assert_eq!(ask(&gateway, "resources/list", &json!({}))["error"]["code"], -32601);
    let listed = ask(&gateway, "tools/list", &json!({}))["result"]["tools"].clone();
    assert_eq!(listed[0]["inputSchema"]["type"], "object");
    let accept = [("accept", "text/event-stream")];
    let streamed = gateway.call_with("POST", MCP, &accept, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    assert!(streamed.header("content-type").starts_with("text/event-stream"));
    assert_eq!(streamed.events()[0].json(), json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
}

#[test]
fn a_list_that_changes_is_followed() {
    let gateway = start("{tools: [\"files/*\"]}", &files(""));
    assert!(names(&gateway).contains(&"files__slow".to_owned()));
    assert_eq!(call(&gateway, "files__grow", &json!({})).0, "grown");
    until("the new tool", || names(&gateway).contains(&"files__grown".to_owned()).then_some(()));
    assert_eq!(call(&gateway, "files__grown", &json!({})).0, "this is grown");
}

#[test]
fn a_server_that_dies_is_started_again() {
    let gateway = start("{tools: [\"files/*\"]}", &files(""));
    let first = call(&gateway, "files__pid", &json!({})).0;
    assert!(call(&gateway, "files__crash", &json!({})).1);
    let second = until("another process", || {
        let (text, is_error) = call(&gateway, "files__pid", &json!({}));
        (!is_error).then_some(text)
    });
    assert_ne!(first, second);
    let shown = shown(&gateway, "files");
    assert_eq!(shown["state"], "connected");
    assert!(shown["last_error"].is_string() && shown["last_error_at"].is_u64(), "{shown}");
}

#[test]
fn a_server_that_is_not_there_is_said_and_holds_up_nothing() {
    let nobody = Upstream::nobody();
    let tools = format!(
        "  gone: {{mcp: {{url: \"http://{nobody}/mcp\"}}}}\n  none: {{mcp: {{command: /no/such/program}}}}\n{}",
        files("")
    );
    let gateway = start("{tools: [\"*\"]}", &tools);
    assert!(names(&gateway).contains(&"files__echo".to_owned()));
    for name in ["gone", "none"] {
        let shown = shown(&gateway, name);
        assert_eq!(shown["state"], "failed", "{shown}");
        assert!(!shown["last_error"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_server_that_comes_later_is_found() {
    let (dir, nobody) = (new_dir(), Upstream::nobody());
    let program = dir.join("late");
    let tools = format!("tools:\n  late: {{mcp: {{command: \"{}\"}}}}\n", program.display());
    let config = full_config("", nobody, nobody, "    edge_tools: {tools: [\"late/*\"]}\n", &tools);
    let gateway = Gateway::start_in(dir, &config, &[]);
    assert_eq!(names(&gateway), Vec::<String>::new());
    assert!(shown(&gateway, "late")["last_error"].as_str().unwrap().contains("cannot be started"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mcp_server.py");
    std::fs::write(&program, format!("#!/bin/sh\nexec python3 {script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    until("the server", || names(&gateway).contains(&"late__echo".to_owned()).then_some(()));
    assert_eq!(shown(&gateway, "late")["state"], "connected");
}

#[test]
fn a_child_has_nothing_of_the_gateways_environment() {
    let nobody = Upstream::nobody();
    let tenant = "    edge_tools: {tools: [files/environment]}\n";
    let config = full_config("", nobody, nobody, tenant, &format!("tools:\n{}", files("")));
    let gateway = Gateway::start_in(new_dir(), &config, &[("WEIR_CANARY", "1")]);
    let names = call(&gateway, "files__environment", &json!({})).0;
    let names: Vec<&str> = names.split(',').collect();
    assert!(names.contains(&"OWN"), "{names:?}");
    assert!(!names.contains(&"WEIR_CANARY"), "{names:?}");
}

#[test]
fn calls_have_a_deadline_and_a_limit() {
    let gateway = start("{tools: [\"files/*\"]}", &files("    timeout: 300ms\n    limits: {calls_per_minute: 3}\n"));
    names(&gateway);
    let (text, is_error) = call(&gateway, "files__slow", &json!({}));
    assert!(is_error && text.contains("did not answer within"), "{text}");
    // The one process is asleep: what comes behind has its own deadline.
    assert!(call(&gateway, "files__echo", &json!({})).1);
    assert!(call(&gateway, "files__echo", &json!({})).1);
    let (text, is_error) = call(&gateway, "files__echo", &json!({}));
    assert!(is_error && text.contains("too often"), "{text}");
    assert_eq!(gateway.metric("weir_tool_calls_total", &["tool=\"files/slow\"", "outcome=\"timeout\""]), 1.0);
    assert_eq!(gateway.metric("weir_tool_calls_total", &["tool=\"files/echo\"", "outcome=\"limited\""]), 1.0);
}

#[test]
fn a_server_that_hangs_is_started_again() {
    let gateway = start("{tools: [\"files/*\"]}", &files("    timeout: 1s\n"));
    names(&gateway);
    for _ in 0..3 {
        let (text, is_error) = call(&gateway, "files__slow", &json!({}));
        assert!(is_error && text.contains("did not answer within"), "{text}");
    }
    let error = shown(&gateway, "files")["last_error"].clone();
    assert!(error.as_str().unwrap().contains("3 calls in a row"), "{error}");
    until("another process", || {
        names(&gateway);
        (!call(&gateway, "files__pid", &json!({})).1).then_some(())
    });
}

#[test]
fn a_reload_keeps_what_is_the_same() {
    let nobody = Upstream::nobody();
    let configuration = |more: &str| {
        let tenant = "    edge_tools: {tools: [\"files/*\", \"weir_*\"]}\n";
        full_config("", nobody, nobody, tenant, &format!("tools:\n{}{more}", files("")))
    };
    let gateway = Gateway::start(&configuration(""));
    let first = call(&gateway, "files__pid", &json!({})).0;
    gateway.write_config(&configuration("  weir_fetch: {fetch: {hosts: [example.com]}}\n"));
    assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    assert!(names(&gateway).contains(&"weir_fetch".to_owned()));
    assert_eq!(call(&gateway, "files__pid", &json!({})).0, first);
    gateway.write_config(&configuration("").replace("OWN:", "ELSE:"));
    assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    assert_ne!(call(&gateway, "files__pid", &json!({})).0, first);
    // One that is dead and not yet waited for has no command line.
    let line = || std::fs::read(format!("/proc/{first}/cmdline")).unwrap_or_default();
    until("the old process to end", || line().is_empty().then_some(()));
}

fn post_call(gateway: &Gateway, name: &str, arguments: &Value) -> Answer {
    let params = json!({"name": name, "arguments": arguments});
    gateway.post(MCP, &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
}

#[test]
fn a_call_is_on_record_and_counts_as_a_request() {
    let nobody = Upstream::nobody();
    let tenant = "    edge_tools: {tools: [weir_uuid, weir_calculate]}\n    limits: {requests_per_minute: 3}\n";
    let gateway = Gateway::start(&full_config("", nobody, nobody, tenant, ""));
    for _ in 0..5 {
        ask(&gateway, "initialize", &json!({"protocolVersion": "2025-06-18"}));
        assert_eq!(names(&gateway).len(), 2);
    }
    assert!(!call(&gateway, "weir_uuid", &json!({})).1);
    assert!(call(&gateway, "weir_calculate", &json!({"expression": "1 / 0"})).1);
    let third = post_call(&gateway, "nothing", &json!({}));
    assert_eq!((third.status(), &third.json()["error"]["code"]), (200, &json!(-32602)));
    let refused = post_call(&gateway, "weir_uuid", &json!({}));
    assert_eq!((refused.status(), &refused.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    assert_eq!(names(&gateway).len(), 2, "to look costs nothing");

    let rows = until("the rows", || {
        let rows = gateway.admin("GET", "/admin/v1/requests").json()["data"].as_array().unwrap().clone();
        (rows.iter().filter(|row| row["outcome"] == "finished" && row["cost_usd"] != Value::Null).count() == 3)
            .then_some(rows)
    });
    let called: Vec<&Value> = rows.iter().filter(|row| row["tools_executed"].is_string()).collect();
    assert_eq!(called.len(), 2, "{rows:?}");
    let row = called.iter().find(|row| row["tools_executed"] == "weir_uuid").unwrap();
    assert_eq!(
        (&row["tenant"], &row["key_id"], &row["format"], &row["status"], &row["outcome"], &row["model"]),
        (&json!("acme"), &json!("acme-dev"), &json!("mcp"), &json!(200), &json!("finished"), &Value::Null)
    );
    assert_eq!((&row["cost_pico_usd"], &row["attempts"]), (&json!(0), &json!(0)), "{row}");
    let logged = gateway.records();
    assert!(logged.iter().any(|line| line["format"] == "mcp" && line["tools_executed"] == "weir_uuid"), "{logged:?}");
}

#[test]
fn a_call_has_its_place_among_the_requests_that_run() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let held = gate.clone();
    let server = Upstream::start(move |_, conn| {
        held.pass();
        conn.json(200, "{}");
    });
    let tools = format!(
        "tools:\n  order: {{description: Orders, url: \"http://{}/\", schema: {{type: object}}}}\n",
        server.address
    );
    let tenant = "    edge_tools: {tools: [order]}\n    limits: {concurrency: 1}\n";
    let gateway = Gateway::start(&full_config("", server.address, server.address, tenant, &tools));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post_call(&gateway, "order", &json!({})));
        until("the call", || (server.requests().len() == 1).then_some(()));
        assert_eq!(post_call(&gateway, "order", &json!({})).status(), 429);
        assert_eq!(names(&gateway), ["order"]);
        gate.open();
        assert_eq!(first.join().unwrap().json()["result"]["isError"], false);
    });
    assert_eq!(post_call(&gateway, "order", &json!({})).status(), 200);
}

/// The stream on which the caller is told of changes, open.
fn follow(gateway: &Gateway, key: &str) -> Result<Client, u16> {
    let bearer = format!("Bearer {key}");
    let mut client = gateway.client();
    client.request("GET", MCP, &[("authorization", &bearer), ("accept", "text/event-stream")], b"");
    let head = client.head();
    if head.status != 200 {
        return Err(head.status);
    }
    assert!(head.header("content-type").starts_with("text/event-stream"), "{head:?}");
    Ok(client)
}

/// The next notification of a stream; `None` where it ended.
fn told(client: &mut Client) -> Option<Value> {
    client.events().find(|event| !event.data.is_empty()).map(|event| event.json())
}

fn changed() -> Option<Value> {
    Some(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
}

#[test]
fn a_client_is_told_when_its_list_changes() {
    let nobody = Upstream::nobody();
    let configuration = |switched_on: &str| {
        let tenant = format!(
            "    edge_tools: {{tools: [{switched_on}]}}\n  other:\n    keys: [{{id: other-dev, secret: \"{OTHER_KEY}\"}}]\n"
        );
        full_config("", nobody, nobody, &tenant, &format!("tools:\n{}", files("")))
    };
    let mut gateway = Gateway::start(&configuration("\"files/*\""));
    let hello = ask(&gateway, "initialize", &json!({"protocolVersion": "2025-11-25"}));
    assert_eq!(hello["result"]["capabilities"]["tools"]["listChanged"], true);
    let (mut ours, mut others) = (follow(&gateway, KEY).unwrap(), follow(&gateway, OTHER_KEY).unwrap());
    // The server has one more, and says so.
    assert_eq!(call(&gateway, "files__grow", &json!({})).0, "grown");
    assert_eq!(told(&mut ours), changed());
    assert!(names(&gateway).contains(&"files__grown".to_owned()));
    // The configuration switches another on.
    let reload = |config: &str| {
        gateway.write_config(config);
        assert_eq!(gateway.admin("POST", "/admin/v1/reload").status(), 200);
    };
    reload(&configuration("\"files/*\", weir_uuid"));
    assert_eq!(told(&mut ours), changed());
    // A key that is gone has no stream.
    reload(&configuration("\"files/*\", weir_uuid").replace(KEY, "wk-another-canary-91c0"));
    assert_eq!(told(&mut ours), None);
    assert_eq!(follow(&gateway, KEY).err(), Some(401));
    // Nor does one live longer than the process; for the other tenant nothing has changed all the time.
    gateway.signal("TERM");
    assert_eq!(told(&mut others), None);
    assert!(gateway.wait_exit().success());
}

#[test]
fn streams_of_a_key_are_bounded() {
    let gateway = start("{tools: [weir_uuid]}", "  x: {fetch: {hosts: [example.com]}}\n");
    let mut open: Vec<Client> = (0..16).map(|_| follow(&gateway, KEY).unwrap()).collect();
    assert_eq!(follow(&gateway, KEY).err(), Some(429));
    drop(follow(&gateway, OTHER_KEY).unwrap());
    open.pop();
    until("a place", || follow(&gateway, KEY).ok());
}
