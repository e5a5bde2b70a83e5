//! Tools that the gateway runs itself, called from outside over `/mcp`: pages, requests, operations, usage.

use ring::hmac;
use serde_json::{Value, json};

use crate::ask::{CHAT, chat, chat_answer, with};
use crate::support::gateway::{Gateway, full_config, new_dir};
use crate::support::upstream::{Conn, Request, Upstream};

const SECRET: &str = "tool-signing-canary";
const TOKEN: &str = "tool-url-canary";

fn call(gateway: &Gateway, name: &str, arguments: &Value) -> (String, bool) {
    let params = json!({"name": name, "arguments": arguments});
    let answer = gateway.post("/mcp", &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}));
    let result = answer.json()["result"].clone();
    assert!(result.is_object(), "{}", answer.text());
    (result["content"][0]["text"].as_str().unwrap().to_owned(), result["isError"] == true)
}

fn start(upstream: &Upstream, tools: &str) -> Gateway {
    let tenant = "    edge_tools: {tools: [\"*\"]}\n";
    Gateway::start(&full_config("", upstream.address, upstream.address, tenant, &format!("tools:\n{tools}")))
}

/// A site of pages and redirects.
fn site(request: &Request, conn: &mut Conn) {
    let mut html = |status: &str, more: &str, body: &str| {
        let length = body.len();
        conn.raw(format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html\r\n{more}content-length: {length}\r\n\r\n{body}"
        ));
    };
    match request.path.as_str() {
        "/page" => html("200 OK", "", "<head><title>no</title></head><h1>Rules</h1><script>no</script><p>Be kind."),
        "/hop" => html("302 Found", "location: /page\r\n", ""),
        "/away" => html("302 Found", "location: http://169.254.169.254/latest/meta-data/\r\n", ""),
        "/home" => html("302 Found", "location: http://localhost:1/\r\n", ""),
        "/large" => html("200 OK", "", &"x".repeat(100_000)),
        _ => html("404 Not Found", "", "<p>not here"),
    }
}

#[test]
fn pages_are_fetched_from_hosts_on_the_list_and_nowhere_else() {
    let pages = Upstream::start(site);
    let port = pages.address.port();
    let private = format!("{{host: 127.0.0.1, private: true, ports: [{port}]}}");
    let public = format!("{{host: localhost, ports: [{port}]}}");
    let tools = format!(
        "  weir_fetch: {{fetch: {{hosts: [example.com, {private}]}}, max_bytes: 1KiB}}\n  \
         public: {{fetch: {{hosts: [{public}, {{host: 127.0.0.1, ports: [{port}]}}]}}}}\n"
    );
    let gateway = start(&pages, &tools);
    let fetch = |tool: &str, url: String| call(&gateway, tool, &json!({"url": url}));
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    assert_eq!(fetch("weir_fetch", at("/page")), ("Rules\nBe kind.".to_owned(), false));
    assert_eq!(fetch("weir_fetch", at("/hop")), ("Rules\nBe kind.".to_owned(), false));
    let (large, is_error) = fetch("weir_fetch", at("/large"));
    assert!(!is_error && large.ends_with("[cut off after 1024 bytes]"), "{large}");
    let (missing, is_error) = fetch("weir_fetch", at("/missing"));
    assert!(is_error && missing.contains("404") && missing.contains("not here"), "{missing}");
    assert!(fetch("weir_fetch", at("/away")).1 && fetch("weir_fetch", at("/home")).1);
    let so_far = pages.requests().len();
    // The same server, by other spellings, and where it is not said to be private.
    for (tool, url) in [
        ("weir_fetch", format!("http://localhost:{port}/page")),
        ("weir_fetch", format!("http://user@127.0.0.1:{port}/page")),
        ("weir_fetch", format!("http://[::ffff:127.0.0.1]:{port}/page")),
        ("weir_fetch", format!("http://127.0.0.2:{port}/page")),
        ("weir_fetch", "http://127.0.0.1/page".to_owned()),
        ("public", at("/page")),
        ("public", format!("http://localhost:{port}/page")),
        ("public", format!("http://2130706433:{port}/page")),
        ("public", format!("http://0x7f.1:{port}/page")),
    ] {
        let (text, is_error) = fetch(tool, url.clone());
        assert!(is_error, "{url}: {text}");
    }
    assert_eq!(pages.requests().len(), so_far);
}

#[test]
fn a_request_is_signed_and_an_operation_filled_in() {
    let server = Upstream::json(200, "{\"done\":true}");
    let dir = new_dir();
    let described = json!({
        "openapi": "3.1.0",
        "paths": {"/pets/{id}": {"put": {
            "operationId": "renamePet",
            "summary": "Renames a pet",
            "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "dry", "in": "query", "schema": {"type": "boolean"}}],
            "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
        }}},
        "components": {"schemas": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}}},
    });
    std::fs::write(dir.join("pets.json"), described.to_string()).unwrap();
    let tools = format!(
        "  order:\n    description: Orders\n    url: \"http://{address}/hook/{TOKEN}\"\n    secret: {SECRET}\n    \
         schema: {{type: object, properties: {{n: {{type: integer}}}}}}\n  \
         find: {{description: Finds, url: \"http://{address}/find\", method: GET, schema: '{{\"type\": \"object\"}}'}}\n  \
         pet: {{openapi: \"@DIR@/pets.json\", operation: renamePet, base_url: \"http://{address}/v1\", headers: {{x-key: {TOKEN}}}}}\n",
        address = server.address
    );
    let tenant = "    edge_tools: {tools: [order, find, pet, weir_uuid]}\n";
    let config = full_config("", server.address, server.address, tenant, &format!("tools:\n{tools}"));
    let gateway = Gateway::start_in(dir, &config, &[]);

    assert_eq!(call(&gateway, "order", &json!({"n": 5})), ("{\"done\":true}".to_owned(), false));
    let sent = server.request();
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", format!("/hook/{TOKEN}").as_str()));
    assert_eq!((sent.header("x-weir-tenant"), &sent.body[..]), (Some("acme"), &b"{\"n\":5}"[..]));
    let (at, signature) =
        sent.header("x-weir-signature").unwrap().strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &[at.as_bytes(), b".", &sent.body].concat(), &hex::decode(signature).unwrap()).unwrap();

    assert!(!call(&gateway, "find", &json!({"q": "a b"})).1);
    assert_eq!(server.requests()[1].path, "/find?q=a%20b");
    assert!(!call(&gateway, "pet", &json!({"id": "a/b", "dry": true, "body": {"name": "Rex"}})).1);
    let sent = server.requests()[2].clone();
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("PUT", "/v1/pets/a%2Fb?dry=true"));
    assert_eq!((sent.header("x-key"), &sent.body[..]), (Some(TOKEN), &b"{\"name\":\"Rex\"}"[..]));
    let (text, is_error) = call(&gateway, "pet", &json!({"id": "a"}));
    assert!(is_error && text.contains("body"), "{text}");
    for page in ["/admin/v1/tools", "/admin/v1/config"] {
        let shown = gateway.admin("GET", page).text();
        assert!(!shown.contains(TOKEN) && !shown.contains(SECRET), "{page}");
    }
}

/// What a tool's server is sent is not for models and clients, whatever the server says of it.
#[test]
fn a_tools_server_that_echoes_its_credentials_tells_them_to_nobody() {
    const KEY: &str = "tool-query-canary-51";
    let server = Upstream::start(|request, conn| {
        let shown = request.header("authorization").unwrap_or_default().to_owned();
        let key = request.path.split_once("key=").map_or("", |(_, key)| key);
        let status = if request.path.starts_with("/bad") { 401 } else { 200 };
        let spelled = key.replace('t', "\\u0074");
        conn.json(status, &format!(r#"{{"shown":"{shown}","path":"{}","key":"{spelled}"}}"#, request.path));
    });
    let tool = |name: &str| {
        format!(
            "  {name}:\n    description: x\n    url: \"http://{}/{name}?key={KEY}\"\n    \
             schema: {{type: object}}\n    headers: {{authorization: \"Bearer {SECRET}\"}}\n",
            server.address
        )
    };
    let gateway = start(&server, &(tool("good") + &tool("bad")));
    for name in ["good", "bad"] {
        let (text, is_error) = call(&gateway, name, &json!({}));
        assert_eq!(is_error, name == "bad", "{text}");
        let expected = format!(r#"{{"shown":"[redacted]","path":"/{name}?key=[redacted]","key":"[redacted]"}}"#);
        assert!(text.ends_with(&expected), "{text}");
        assert!(!text.contains(KEY) && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn an_account_can_be_asked_for() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let tenant = "    edge_tools: {tools: [weir_usage]}\n    budgets: [{tokens: 1000, per: month}]\n    limits: {requests_per_minute: 50}\n";
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, tenant, ""));
    assert_eq!(gateway.post(CHAT, &with(chat("openai/gpt-4o-mini", "hi"), json!({"max_tokens": 20}))).status(), 200);
    let (text, is_error) = call(&gateway, "weir_usage", &json!({}));
    assert!(!is_error);
    let told: Value = serde_json::from_str(&text).unwrap();
    let usage = gateway.call("GET", "/v1/usage", &Value::Null).json()["data"].clone();
    assert_eq!(told["usage"], usage);
    assert_eq!(told["limits"][0]["remaining"], 48, "{told}");
    let budgets = gateway.call("GET", "/v1/limits", &Value::Null).json()["budgets"].clone();
    assert_eq!(told["budgets"].as_array().unwrap().len(), budgets.as_array().unwrap().len());
}
