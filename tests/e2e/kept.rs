//! What providers keep: files, batches, stored responses. An id works for the tenant it was given to,
//! at the provider that gave it, and for nobody else.

use serde_json::{Value, json};

use crate::ask::{MESSAGES, chat_answer, message, with};
use crate::support::client::Answer;
use crate::support::gateway::{self, Gateway, KEY, PROVIDER_KEY};
use crate::support::simulated::Simulated;
use crate::support::upstream::{Conn, Request, Upstream};

const OTHER_KEY: &str = "wk-other-canary-77aa";
const RESPONSES: &str = "/v1/responses";

/// A provider that says what it was asked in the shape of what was asked for.
fn keeper(request: &Request, conn: &mut Conn) {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let body = || if request.body.is_empty() { Value::Null } else { request.json() };
    match (request.method.as_str(), path) {
        ("POST", "/v1/files") => conn.json(200, r#"{"id":"file-1","object":"file","bytes":3}"#),
        ("GET", "/v1/files/file-1") => conn.json(200, r#"{"id":"file-1","object":"file"}"#),
        ("DELETE", "/v1/files/file-1") => conn.json(200, r#"{"id":"file-1","object":"file","deleted":true}"#),
        ("GET", "/v1/files/file-1/content") => {
            conn.json_with(200, &[("content-disposition", "attachment")], r#"{"id":"file-1"}"#);
        }
        ("POST", "/v1/batches") => {
            let input = body()["input_file_id"].clone();
            let batch = json!({"id": "batch_1", "input_file_id": input, "output_file_id": null});
            conn.json(200, &batch.to_string());
        }
        (_, "/v1/batches/batch_1" | "/v1/batches/batch_1/cancel") => {
            conn.json(200, r#"{"id":"batch_1","input_file_id":"file-1","output_file_id":"file-1"}"#);
        }
        ("POST", "/v1/messages/batches") => conn.json(200, r#"{"id":"msgbatch_1","results_url":null}"#),
        ("GET", "/v1/messages/batches/msgbatch_1") => {
            conn.json(200, r#"{"id":"msgbatch_1","results_url":"https://x/v1/messages/batches/msgbatch_1/results"}"#);
        }
        ("GET", "/v1/messages/batches/msgbatch_1/results") => {
            conn.raw("HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\ncontent-length: 3\r\n\r\n{}\n");
        }
        ("POST", "/v1/responses") if body()["stream"] == true => {
            conn.sse_head();
            conn.raw_events(&body()["previous_response_id"]);
        }
        ("GET", "/v1/responses/resp_1") if query.contains("stream=true") => {
            conn.sse_head();
            conn.raw_events(&Value::Null);
        }
        ("POST", "/v1/responses") => conn.json(200, &response(&body()["previous_response_id"])),
        ("GET", "/v1/responses/resp_1") | ("POST", "/v1/responses/resp_1/cancel") => {
            conn.json(200, &response(&Value::Null));
        }
        ("GET", "/v1/responses/resp_1/input_items") => {
            conn.json(200, r#"{"object":"list","data":[{"id":"msg_1"}],"first_id":"msg_1","last_id":"msg_1"}"#);
        }
        ("DELETE", "/v1/responses/resp_1") => conn.json(200, r#"{"id":"resp_1","deleted":true}"#),
        ("POST", "/v1/responses/compact") => {
            conn.json(
                200,
                r#"{"object":"response.compaction","output":[],"usage":{"input_tokens":5,"output_tokens":6}}"#,
            );
        }
        ("POST", "/v1/responses/input_tokens") => {
            conn.json(200, r#"{"object":"response.input_tokens","input_tokens":5}"#)
        }
        ("POST", "/v1/conversations") => conn.json(200, r#"{"id":"conv_1","object":"conversation"}"#),
        _ => {
            conn.json(404, r#"{"error":{"message":"the provider knows no such thing","type":"invalid_request_error"}}"#)
        }
    }
}

fn response(previous: &Value) -> String {
    format!(
        r#"{{"id":"resp_1", "object":"response","previous_response_id":{previous},"status":"completed","output":[{{"id":"msg_1","type":"message","role":"assistant","content":[{{"type":"output_text","text":"hi","annotations":[]}}]}}],"usage":{{"input_tokens":3,"input_tokens_details":{{"cached_tokens":0,"cache_write_tokens":0}},"output_tokens":1,"total_tokens":4}}}}"#
    )
}

impl Conn {
    /// A stored response as a stream, a few bytes at a time.
    fn raw_events(&mut self, previous: &Value) {
        let event = |kind: &str| {
            format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"response\":{}}}\n\n", response(previous))
        };
        let delta =
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n";
        let all = event("response.created") + delta + &event("response.completed");
        for piece in all.as_bytes().chunks(37) {
            self.chunk(piece);
        }
        self.end();
    }
}

/// Two tenants, two providers of OpenAI's format and one of Anthropic's.
fn gateway(openai: &Upstream, second: &Upstream) -> Gateway {
    Gateway::start(&config(openai, second))
}

fn config(openai: &Upstream, second: &Upstream) -> String {
    let (a, b) = (openai.address, second.address);
    format!(
        r#"server: {{listen: 127.0.0.1:0, threads: 2}}
admin: {{listen: 127.0.0.1:0}}
state: {{dir: "@DIR@/data"}}
providers:
  openai: {{base_url: "http://{a}/v1", api_key: "{PROVIDER_KEY}"}}
  second: {{kind: openai, base_url: "http://{b}/v1", api_key: "{PROVIDER_KEY}"}}
  anthropic: {{base_url: "http://{a}", api_key: "{PROVIDER_KEY}"}}
tenants:
  acme: {{keys: [{{id: acme-dev, secret: "{KEY}"}}]}}
  other: {{keys: [{{id: other-dev, secret: "{OTHER_KEY}"}}]}}
telemetry: {{access_log: stdout}}
"#
    )
}

fn call(gateway: &Gateway, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let headers = [("authorization", bearer.as_str()), ("x-weir-provider", "openai")];
    // What an id says wins over the header.
    let headers = if path.contains("weirseal1") || path == RESPONSES { &headers[..1] } else { &headers };
    gateway.client().request(method, path, headers, &body).answer()
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Every way in which an id is not the caller's, beside the caller's own.
fn not_mine(id: &str) -> [String; 3] {
    let plain = id.split("-weirseal1-").next().unwrap();
    let forged = format!("{}{}", id.get(..id.len() - 2).unwrap(), if id.ends_with("AA") { "BB" } else { "AA" });
    [plain.to_owned(), forged, format!("{plain}-weirseal1-{}", "A".repeat(27))]
}

fn upload(gateway: &Gateway, key: &str) -> String {
    let bearer = format!("Bearer {key}");
    let form = b"--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n--XX--\r\n";
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "multipart/form-data; boundary=XX"),
        ("x-weir-provider", "openai"),
    ];
    id_of(&gateway.client().request("POST", "/v1/files", &headers, form).answer())
}

#[test]
fn a_file_belongs_to_the_tenant_that_brought_it() {
    let (openai, second) = (Upstream::start(keeper), Upstream::start(keeper));
    let gateway = gateway(&openai, &second);
    let id = upload(&gateway, KEY);
    assert!(id.starts_with("file-1-weirseal1-"), "{id}");
    let seen = openai.request();
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    assert!(seen.body.starts_with(b"--XX\r\n") && seen.body.ends_with(b"--XX--\r\n"));
    let path = format!("/v1/files/{id}");
    assert_eq!(id_of(&call(&gateway, KEY, "GET", &path, &Value::Null)), id);
    let content = call(&gateway, KEY, "GET", &format!("{path}/content"), &Value::Null);
    assert_eq!((content.text().as_str(), content.header("content-disposition")), (r#"{"id":"file-1"}"#, "attachment"));
    let unknown = call(&gateway, KEY, "GET", "/v1/files/file-none", &Value::Null);
    assert_eq!((unknown.status(), &unknown.json()["error"]["code"]), (404, &json!("not_found")));
    for (key, id) in not_mine(&id).iter().map(|id| (KEY, id)).chain([(OTHER_KEY, &id)]) {
        for (method, action) in [("GET", ""), ("DELETE", ""), ("GET", "/content")] {
            let got = call(&gateway, key, method, &format!("/v1/files/{id}{action}"), &Value::Null);
            // As an id that never was.
            let expected = unknown.text().replace("file-none", id);
            let without_request = |text: &str| text.split("request").next().unwrap().to_owned();
            assert_eq!((got.status(), without_request(&got.text())), (404, without_request(&expected)), "{key} {id}");
        }
    }
    assert_eq!(id_of(&call(&gateway, KEY, "DELETE", &path, &Value::Null)), id);
    assert_eq!((openai.requests().len(), second.requests().len()), (4, 0));
    let records = gateway.wait_records(17);
    assert!(records.iter().all(|r| r["format"] == "files"), "{records:?}");
    assert_eq!(records.iter().filter(|r| r["tenant"] == "acme" && r["status"] == 200).count(), 4, "{records:?}");
}

#[test]
fn replicas_and_new_keys_know_the_ids_where_a_secret_says_so() {
    let upstream = Upstream::start(keeper);
    let config = config(&upstream, &upstream);
    let rotated = config.replace(PROVIDER_KEY, "sk-rotated");
    let with_secret = |config: &str| config.replace("/data\"", "/data\", secret: long-and-random");
    let read = |config: &str, id: &str| {
        call(&Gateway::start(config), KEY, "GET", &format!("/v1/files/{id}"), &Value::Null).status()
    };
    let id = upload(&Gateway::start(&config), KEY);
    assert_eq!((read(&config, &id), read(&rotated, &id)), (200, 404));
    let id = upload(&Gateway::start(&with_secret(&config)), KEY);
    assert_eq!((read(&with_secret(&rotated), &id), read(&config, &id)), (200, 404));
}

#[test]
fn lists_of_an_account_that_others_share_are_refused() {
    let upstream = Upstream::start(keeper);
    let gateway = gateway(&upstream, &upstream);
    for path in ["/v1/files", "/v1/batches", "/v1/messages/batches"] {
        let got = call(&gateway, KEY, "GET", path, &Value::Null);
        assert_eq!(got.status(), 400, "{path}: {}", got.text());
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_batch_goes_where_its_file_is() {
    let (openai, second) = (Upstream::start(keeper), Upstream::start(keeper));
    let gateway = gateway(&openai, &second);
    let file = upload(&gateway, KEY);
    let bearer = format!("Bearer {KEY}");
    let create = |key: &str, file: &str| {
        let bearer = format!("Bearer {key}");
        let body = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        gateway
            .client()
            .request("POST", "/v1/batches", &[("authorization", &bearer)], body.to_string().as_bytes())
            .answer()
    };
    let batch = create(KEY, &file);
    let id = id_of(&batch);
    assert_eq!(batch.json()["input_file_id"], file);
    assert_eq!(openai.requests().last().unwrap().json()["input_file_id"], "file-1");
    assert_eq!(create(OTHER_KEY, &file).status(), 404);
    let named = [("authorization", bearer.as_str()), ("x-weir-provider", "openai")];
    let plain = br#"{"input_file_id":"file-1","endpoint":"/v1/chat/completions"}"#;
    assert_eq!(gateway.client().request("POST", "/v1/batches", &named, plain).answer().status(), 404);
    for (method, action) in [("GET", ""), ("POST", "/cancel")] {
        let path = format!("/v1/batches/{id}{action}");
        let got = gateway.client().request(method, &path, &[("authorization", &bearer)], b"").answer();
        assert_eq!(got.json()["output_file_id"], file, "{}", got.text());
        assert_eq!(call(&gateway, OTHER_KEY, method, &path, &Value::Null).status(), 404);
    }
    // An id of one kind of thing opens no other.
    let got = call(&gateway, KEY, "GET", &format!("/v1/messages/batches/{id}"), &Value::Null);
    assert_eq!((got.status(), &got.json()["error"]["type"]), (404, &json!("not_found_error")), "{}", got.text());
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn batches_of_messages_come_with_an_address_of_ours() {
    let upstream = Upstream::start(keeper);
    let gateway = gateway(&upstream, &upstream);
    let headers = [("x-api-key", KEY), ("anthropic-version", "2023-06-01")];
    let ask = |method: &str, path: &str, body: &[u8]| gateway.client().request(method, path, &headers, body).answer();
    let id = id_of(&ask("POST", "/v1/messages/batches", br#"{"requests":[]}"#));
    let got = ask("GET", &format!("/v1/messages/batches/{id}"), b"");
    assert_eq!(got.json()["results_url"], format!("/v1/messages/batches/{id}/results"));
    let results = ask("GET", got.json()["results_url"].as_str().unwrap(), b"");
    assert_eq!((results.status(), results.text().as_str()), (200, "{}\n"));
    let seen = upstream.requests();
    assert!(
        seen.iter().all(|r| r.header("x-api-key") == Some(PROVIDER_KEY) && r.header("anthropic-version").is_some())
    );
}

#[test]
fn a_stored_response_continues_where_it_is_and_for_whom_it_was() {
    let (openai, second) = (Upstream::start(keeper), Upstream::start(keeper));
    let gateway = gateway(&openai, &second);
    let ask = |key: &str, more: Value| {
        let body = with(json!({"model": "second/gpt-5-mini", "input": "hi"}), more);
        call(&gateway, key, "POST", RESPONSES, &body)
    };
    let first = ask(KEY, json!({}));
    let id = id_of(&first);
    // Nothing else of it changes.
    assert_eq!(first.text().replace(&id, "resp_1"), response(&Value::Null));
    let next = ask(KEY, json!({"previous_response_id": id}));
    assert_eq!(next.json()["previous_response_id"], id);
    assert_eq!(second.requests().last().unwrap().json()["previous_response_id"], "resp_1");
    for (key, id) in not_mine(&id).iter().map(|id| (KEY, id)).chain([(OTHER_KEY, &id)]) {
        let got = ask(key, json!({"previous_response_id": id}));
        let error = &got.json()["error"];
        assert_eq!((got.status(), &error["code"]), (404, &json!("previous_response_not_found")), "{}", got.text());
        assert_eq!(error["param"], "previous_response_id");
    }
    // An own id beside a plain one opens no door.
    let plain = json!({"previous_response_id": "resp_2", "metadata": {"id": id}, "input": [{"file_id": id}]});
    assert_eq!(ask(KEY, plain).status(), 404);
    // Another provider does not have it.
    let elsewhere = json!({"model": "openai/gpt-5-mini", "input": "hi", "previous_response_id": id});
    assert_eq!(call(&gateway, KEY, "POST", RESPONSES, &elsewhere).status(), 400);
    assert_eq!((second.requests().len(), openai.requests().len()), (2, 0));
}

#[test]
fn stored_responses_are_read_cancelled_and_deleted_by_id() {
    let upstream = Upstream::start(keeper);
    let gateway = gateway(&upstream, &upstream);
    let id = id_of(&call(&gateway, KEY, "POST", RESPONSES, &json!({"model": "openai/gpt-5-mini", "input": "hi"})));
    let path = format!("{RESPONSES}/{id}");
    let items = call(&gateway, KEY, "GET", &format!("{path}/input_items?limit=5"), &Value::Null);
    assert_eq!(items.json()["first_id"], "msg_1");
    assert_eq!(upstream.requests().last().unwrap().path, "/v1/responses/resp_1/input_items?limit=5");
    for (method, action) in [("GET", ""), ("POST", "/cancel"), ("DELETE", "")] {
        assert_eq!(id_of(&call(&gateway, KEY, method, &format!("{path}{action}"), &Value::Null)), id);
        let foreign = call(&gateway, OTHER_KEY, method, &format!("{path}{action}"), &Value::Null);
        assert_eq!((foreign.status(), &foreign.json()["error"]["code"]), (404, &json!("not_found")));
    }
    let events = call(&gateway, KEY, "GET", &format!("{path}?stream=true"), &Value::Null);
    assert_eq!(events.text().matches(&id).count(), 2, "{}", events.text());
    assert!(!events.text().contains("\"resp_1\""));
    // What was used is booked once, by the request that used it.
    let records = gateway.wait_records(9);
    let booked: Vec<&Value> = records.iter().filter(|r| r["input_tokens"] == 3).collect();
    assert_eq!(booked.len(), 1, "{records:?}");
}

#[test]
fn streams_are_edited_where_they_are_stored_and_nowhere_else() {
    let upstream = Upstream::start(keeper);
    let gateway = gateway(&upstream, &upstream);
    let ask = |more: Value| {
        let body = with(json!({"model": "openai/gpt-5-mini", "input": "hi", "stream": true}), more);
        let got = call(&gateway, KEY, "POST", RESPONSES, &body);
        assert_eq!(got.status(), 200, "{}", got.text());
        got.text()
    };
    let stateless = ask(json!({"store": false}));
    let stored = ask(json!({}));
    let id = stored.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(id.starts_with("resp_1-weirseal1-"), "{id}");
    assert_eq!(stored.replace(&id, "resp_1"), stateless);
    assert_eq!((stored.matches(&id).count(), stateless.matches("\"resp_1\"").count()), (2, 2));
    let next = ask(json!({"previous_response_id": id}));
    assert_eq!(next.matches(&format!("\"previous_response_id\":\"{id}\"")).count(), 2, "{next}");
}

#[test]
fn what_keeps_no_state_says_so() {
    let upstream = Upstream::start(keeper);
    let gateway = gateway(&upstream, &upstream);
    for body in [
        json!({"model": "anthropic/claude-haiku-4-5", "input": "hi", "previous_response_id": "resp_1"}),
        json!({"model": "anthropic/claude-haiku-4-5", "input": "hi", "conversation": "conv_1"}),
    ] {
        let got = call(&gateway, KEY, "POST", RESPONSES, &body);
        assert_eq!(
            (got.status(), &got.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{}",
            got.text()
        );
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn conversations_and_files_are_opened_inside_requests() {
    let upstream = Upstream::start(keeper);
    let gateway = gateway(&upstream, &upstream);
    let bearer = format!("Bearer {KEY}");
    let conversation = id_of(&call(&gateway, KEY, "POST", "/v1/conversations", &json!({})));
    let file = upload(&gateway, KEY);
    for named in [json!(conversation), json!({"id": conversation})] {
        let body = json!({"model": "openai/gpt-5-mini", "conversation": named,
            "input": [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]});
        assert_eq!(call(&gateway, KEY, "POST", RESPONSES, &body).status(), 200);
        let seen = upstream.requests().last().unwrap().json();
        assert_eq!(seen["input"][0]["content"][0]["file_id"], "file-1");
        assert!(seen["conversation"] == "conv_1" || seen["conversation"]["id"] == "conv_1", "{seen}");
        assert_eq!(call(&gateway, OTHER_KEY, "POST", RESPONSES, &body).status(), 404);
    }
    let twice = format!(r#"{{"id":"{conversation}","id":"conv_2"}}"#);
    for (named, more) in [("\"conv_1\"", ""), (twice.as_str(), ""), (r#"{"id":"conv_1"}"#, r#","metadata":{"id":"x"}"#)]
    {
        let body = format!(r#"{{"model":"openai/gpt-5-mini","input":"hi","conversation":{named}{more}}}"#);
        let headers = [("authorization", bearer.as_str())];
        let got = gateway.client().request("POST", RESPONSES, &headers, body.as_bytes()).answer();
        assert_eq!(got.status(), 404, "{body}");
    }
}

#[test]
fn compaction_and_counts_go_by_model() {
    let upstream = Upstream::start(keeper);
    let gateway = gateway(&upstream, &upstream);
    let ask = |path: &str, model: &str| {
        let bearer = format!("Bearer {KEY}");
        let body = json!({"model": model, "input": "hi"}).to_string();
        gateway.client().request("POST", path, &[("authorization", &bearer)], body.as_bytes()).answer()
    };
    let compact = ask("/v1/responses/compact", "openai/gpt-5-mini");
    assert_eq!((compact.status(), &compact.json()["object"]), (200, &json!("response.compaction")));
    assert_eq!(ask("/v1/responses/input_tokens", "openai/gpt-5-mini").json()["input_tokens"], 5);
    assert_eq!(upstream.requests()[0].json()["model"], "gpt-5-mini");
    let nowhere = ask("/v1/responses/compact", "anthropic/claude-haiku-4-5");
    assert_eq!((nowhere.status(), &nowhere.json()["error"]["param"]), (400, &json!("model")));
    let records = gateway.wait_records(3);
    let booked: Vec<&Value> = records.iter().filter(|r| !r["input_tokens"].is_null()).collect();
    assert_eq!((booked.len(), &booked[0]["input_tokens"], &booked[0]["output_tokens"]), (1, &json!(5), &json!(6)));
}

#[test]
fn nothing_is_answered_in_the_background() {
    let (openai, second) = (Upstream::start(keeper), Upstream::start(keeper));
    let gateway = gateway(&openai, &second);
    let body = json!({"model": "openai/gpt-5", "input": "x", "background": true});
    let refused = call(&gateway, KEY, "POST", RESPONSES, &body);
    assert_eq!((refused.status(), &refused.json()["error"]["param"]), (400, &json!("background")));
    assert!(openai.requests().is_empty());
    let body = with(body, json!({"background": false}));
    assert_eq!(call(&gateway, KEY, "POST", RESPONSES, &body).status(), 200);
}

/// Anthropic's threads: who has none says so as Anthropic does, and its SDKs send the whole conversation.
#[test]
fn a_thread_is_gone_on_with_by_who_has_it() {
    let gone = json!({"type": "error", "error": {"type": "not_found_error", "message": "thread expired",
        "details": {"error_code": "thread_not_found"}}, "request_id": null});
    let (anthropic, openai) = (Upstream::json(404, gone.to_string()), Upstream::json(200, chat_answer("ok")));
    let routes = "routes: {agent: {targets: [{model: anthropic/m}, {model: openai/m}]}}\ndefaults: {retries: 1}\n";
    let gateway = Gateway::start(&gateway::config(openai.address, anthropic.address, routes));
    let go_on = json!({"thread": {"type": "continue", "previous_message_id": "msg_1"}});
    for model in ["openai/m", "agent"] {
        let answer = gateway.post(MESSAGES, &with(message(model, "and?"), go_on.clone()));
        assert_eq!(answer.status(), 404, "{model}: {}", answer.text());
        assert_eq!(answer.json()["error"]["details"]["error_code"], "thread_not_found", "{}", answer.text());
    }
    assert!(openai.requests().is_empty(), "half a conversation means something else");
    let begin = with(message("openai/m", "hi"), json!({"thread": {"type": "create"}}));
    let answer = gateway.post(MESSAGES, &begin);
    assert_eq!((answer.status(), answer.header("x-weir-dropped")), (200, "thread"), "{}", answer.text());
}

/// As the Vercel AI SDK sends what it has got: by its id, unless it is told `store: false`.
#[test]
fn items_are_put_in_the_place_of_references_to_them() {
    let sim = Simulated::start();
    let second = "  beta:\n    keys: [{id: b, secret: wk-beta-key}]\n";
    let text = gateway::config(sim.address, sim.address, "").replacen("tenants:\n", &format!("tenants:\n{second}"), 1);
    let gateway = Gateway::start(&text);
    let ask = |body: &Value, key: &str| {
        gateway.client().request("POST", "/v1/responses", &[("x-api-key", key)], body.to_string().as_bytes()).answer()
    };
    let question = |more: Value| with(json!({"model": "anthropic/sim-1", "input": "hello there"}), more);
    let again = |id: &Value| {
        let items = json!([{"role": "user", "content": "hello there"}, {"type": "item_reference", "id": id},
            {"role": "user", "content": "and?"}]);
        question(json!({"input": items}))
    };
    let whole = ask(&question(json!({})), KEY).json()["output"][0]["id"].clone();
    let events = ask(&question(json!({"stream": true})), KEY).events();
    let streamed = events.last().unwrap().json()["response"]["output"][0]["id"].clone();
    for id in [&whole, &streamed] {
        assert!(id.as_str().is_some_and(|id| id.starts_with("msg_")), "{id}");
        let answer = ask(&again(id), KEY);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let sent: Value = serde_json::from_str(sim.last()["body"].as_str().unwrap()).unwrap();
        assert_eq!(sent["messages"][1]["role"], "assistant", "{sent}");
        assert!(sent["messages"][1].to_string().contains("You said: hello there"), "{sent}");
        assert_eq!(ask(&again(id), "wk-beta-key").status(), 400, "another tenant has no such item");
    }
    let unknown = ask(&again(&json!("msg_of_nobody")), KEY);
    assert_eq!(unknown.status(), 400);
    assert!(unknown.text().contains("store: false"), "{}", unknown.text());
    let forgotten = ask(&question(json!({"store": false})), KEY).json()["output"][0]["id"].clone();
    assert_eq!(ask(&again(&forgotten), KEY).status(), 400);
}

/// A reference is small and what it stands for need not be.
#[test]
fn references_make_no_body_larger_than_bodies_may_be() {
    let sim = Simulated::start();
    let text = gateway::full_config("  max_body: 20KiB", sim.address, sim.address, "", "");
    let gateway = Gateway::start(&text);
    let ask = |input: Value| gateway.post("/v1/responses", &json!({"model": "anthropic/sim-1", "input": input}));
    let id = ask(json!("long ".repeat(1000))).json()["output"][0]["id"].clone();
    let naming = |times: usize| {
        let references = std::iter::repeat_n(json!({"type": "item_reference", "id": id}), times);
        ask(references.chain([json!({"role": "user", "content": "and?"})]).collect())
    };
    assert_eq!(naming(1).status(), 200);
    let refused = naming(50);
    assert_eq!((refused.status(), sim.log().len()), (413, 2), "{}", refused.text());
}
