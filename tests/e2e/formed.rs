//! Answers that have to be JSON: held against what was asked for, mended, asked for once more.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chunk, sse, with};
use crate::guards::{Said, clients, provider, refused, said};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, full_config};
use crate::support::grammar;
use crate::support::upstream::Upstream;
use weir::wire::Dialect;

const RIGHT: &str = r#"{"x":1}"#;
const WRONG: &str = r#"{"x":"one"}"#;
const PROVIDERS: [&str; 2] = ["openai", "anthropic"];

fn schema() -> Value {
    json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": false})
}

/// The request with a wish for JSON of a schema, in its format.
fn formed(format: &str, body: Value, schema: &Value) -> Value {
    let member = match format {
        "chat" => json!({"response_format": {"type": "json_schema",
            "json_schema": {"name": "point", "strict": true, "schema": schema}}}),
        "messages" => json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        "responses" => {
            json!({"text": {"format": {"type": "json_schema", "name": "point", "strict": true, "schema": schema}}})
        }
        _ => json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}}),
    };
    with(body, member)
}

fn gateway(upstream: SocketAddr, guard: &str, tenant: &str) -> Gateway {
    let tenant = format!("    guards: [typed]\n{tenant}");
    Gateway::start(&full_config("", upstream, upstream, &tenant, &format!("guards:\n  typed: {guard}\n")))
}

/// Says what is wrong until it is told so.
fn learner() -> Upstream {
    provider(9, |read| if read.contains("not the JSON that was asked for") { RIGHT.into() } else { WRONG.into() })
}

/// Every client's format, whole and streamed, from every provider.
fn each(gateway: &Gateway, schema: &Value, mut check: impl FnMut(&str, bool, &str, &Answer, &Said)) {
    for name in PROVIDERS {
        for stream in [false, true] {
            for (format, path, body) in clients(name, "a point", stream) {
                let answer = gateway.post(&path, &formed(format, body, schema));
                let cell = format!("{format} by {name}, stream {stream}: {}", answer.text());
                assert_eq!(answer.status(), 200, "{cell}");
                let said = said(format, &answer, stream);
                let dialect = [("chat", Dialect::OpenAiChat), ("messages", Dialect::Anthropic)];
                if let Some((_, dialect)) = dialect.iter().find(|(name, _)| stream && *name == format) {
                    grammar::assemble(*dialect, &answer.text());
                }
                check(format, stream, &cell, &answer, &said);
            }
        }
    }
}

#[test]
fn a_wrong_answer_is_asked_for_once_more_in_every_format() {
    let upstream = learner();
    let gateway = gateway(upstream.address, "{schema: true, repair: true, action: block}", "");
    each(&gateway, &schema(), |_, stream, cell, answer, said| {
        assert_eq!((said.text.as_str(), said.used), (RIGHT, (22, 14)), "{cell}");
        assert!(!answer.text().contains(r#"\"one"#), "{cell}");
        if !stream {
            assert_eq!(answer.header("x-weir-guards"), "typed=repair", "{cell}");
            assert_eq!(answer.header("x-weir-attempts"), "2", "{cell}");
        }
    });
    let sent = upstream.requests();
    assert_eq!(sent.len(), 32);
    for pair in sent.chunks(2) {
        let [first, second] = [&pair[0], &pair[1]].map(|request| String::from_utf8_lossy(&request.body).into_owned());
        assert!(!first.contains("not the JSON"), "{first}");
        assert!(second.contains("a point") && second.contains(r#"{\"x\":\"one\"}"#), "{second}");
        assert!(second.contains("/x: expected integer, not string"), "{second}");
    }
    let record = gateway.record(16);
    assert_eq!(record["guards"], json!(["typed:repair:schema:1"]));
    let row = gateway.admin("GET", &format!("/admin/v1/requests/{}", record["request_id"].as_str().unwrap())).json();
    let attempts = row["timeline"].as_array().unwrap();
    let kinds: Vec<&str> = attempts.iter().map(|attempt| attempt["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["first", "repair"]);
    assert_eq!((&attempts[0]["outcome"], &attempts[0]["output_tokens"]), (&json!("ok"), &json!(7)), "{row}");
    let labels = ["tenant=\"acme\"", "guard=\"typed\"", "action=\"repair\""];
    assert_eq!(gateway.metric("weir_guard_decisions_total", &labels), 16.0);
}

#[test]
fn where_the_second_answer_is_wrong_too_the_action_holds() {
    let upstream = provider(9, |_| WRONG.into());
    for (action, repair) in [("block", true), ("flag", true), ("block", false), ("flag", false)] {
        let guard = format!("{{schema: true, repair: {repair}, action: {action}, message: \"no such answer\"}}");
        let gateway = gateway(upstream.address, &guard, "");
        let before = upstream.requests().len();
        each(&gateway, &schema(), |format, stream, cell, answer, said| {
            let (text, end) = match action {
                "block" => ("no such answer", refused(format)),
                _ => (WRONG, said.end.as_str()),
            };
            assert_eq!((said.text.as_str(), said.end.as_str()), (text, end), "{cell}");
            assert_eq!(said.used, if repair { (22, 14) } else { (11, 7) }, "{cell}");
            if !stream {
                assert_eq!(answer.header("x-weir-guards"), format!("typed={action}"), "{cell}");
            }
        });
        assert_eq!(upstream.requests().len() - before, if repair { 32 } else { 16 });
        assert_eq!(gateway.record(16)["guards"], json!([format!("typed:{action}:schema:1")]));
    }
}

#[test]
fn json_is_taken_out_of_what_wraps_it() {
    let upstream = provider(9, |_| format!("Here it is:\n```json\n{RIGHT}\n```\nAnything else?"));
    let gateway = gateway(upstream.address, "{schema: true, repair: true}", "");
    each(&gateway, &schema(), |_, stream, cell, answer, said| {
        assert_eq!((said.text.as_str(), said.used), (RIGHT, (11, 7)), "{cell}");
        if !stream {
            assert_eq!(answer.header("x-weir-guards"), "typed=repair", "{cell}");
        }
    });
    assert_eq!(upstream.requests().len(), 16);
}

#[test]
fn right_answers_pass_as_they_are() {
    let upstream = provider(9, |_| RIGHT.into());
    let gateway = gateway(upstream.address, "{schema: true, repair: true}", "");
    each(&gateway, &schema(), |_, _, cell, answer, said| {
        assert_eq!((said.text.as_str(), said.used), (RIGHT, (11, 7)), "{cell}");
        assert!(answer.head.find("x-weir-guards").is_none(), "{cell}");
    });
    assert!(gateway.record(16)["guards"].is_null());
    // Byte for byte, where the format stays.
    let asked = formed("chat", chat("openai/m", "a point"), &schema());
    assert_eq!(gateway.post(CHAT, &asked).text(), crate::ask::chat_answer(RIGHT));
}

#[test]
fn what_is_not_an_answer_of_the_models_own_accord_is_not_judged() {
    let upstream = Upstream::start(|request, conn| {
        let asked = String::from_utf8_lossy(&request.body).into_owned();
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let (message, finish) = match asked {
            asked if asked.contains("long") => (json!({"role": "assistant", "content": "{\"x\":"}), "length"),
            asked if asked.contains("call") => {
                (json!({"role": "assistant", "content": "Well.", "tool_calls": [call]}), "tool_calls")
            }
            asked if asked.contains("bad") => {
                (json!({"role": "assistant", "content": null, "refusal": "I won't"}), "stop")
            }
            _ => (json!({"role": "assistant", "content": "plain words"}), "stop"),
        };
        if request.json()["stream"] != json!(true) {
            let whole = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}});
            return conn.json(200, &whole.to_string());
        }
        let mut delta = message;
        if delta["tool_calls"].is_array() {
            delta["tool_calls"][0]["index"] = json!(0);
        }
        conn.sse_head();
        conn.chunk(sse(&[chunk(&delta, None), chunk(&json!({}), Some(finish))]));
        conn.end();
    });
    let gateway = gateway(upstream.address, "{schema: true, repair: true}", "");
    for stream in [false, true] {
        for (text, shown) in [("long", "{\\\"x\\\":"), ("call", "call_1"), ("bad", "I won't")] {
            let body = with(formed("chat", chat("openai/m", text), &schema()), json!({"stream": stream}));
            let answer = gateway.post(CHAT, &body).text();
            assert!(answer.contains(shown), "{text}, stream {stream}: {answer}");
        }
        // Nobody asked for JSON.
        let answer = gateway.post(CHAT, &with(chat("openai/m", "hi"), json!({"stream": stream}))).text();
        assert!(answer.contains("plain words"), "{answer}");
    }
    assert_eq!(upstream.requests().len(), 8);
    assert!(gateway.wait_records(8).iter().all(|record| record["guards"].is_null()));
    // JSON of any kind.
    let body = with(chat("openai/m", "hi"), json!({"response_format": {"type": "json_object"}}));
    assert_eq!(gateway.post(CHAT, &body).json()["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(upstream.requests().len(), 10);
}

#[test]
fn where_nobody_answers_a_complaint_the_first_answer_is_given() {
    let upstream = Upstream::start(|request, conn| {
        if String::from_utf8_lossy(&request.body).contains("not the JSON") {
            return conn.json(500, r#"{"error":{"message":"broken"}}"#);
        }
        let stream = request.json()["stream"] == json!(true);
        if !stream {
            return conn.json(200, &crate::guards::whole(request, WRONG));
        }
        conn.sse_head();
        conn.chunk(crate::guards::streamed(request, WRONG));
        conn.end();
    });
    for action in ["flag", "block"] {
        let guard = format!("{{schema: true, repair: true, action: {action}, message: \"no\"}}");
        let gateway = gateway(upstream.address, &guard, "");
        for stream in [false, true] {
            for (format, path, body) in clients("openai", "a point", stream) {
                let before = upstream.requests().len();
                let answer = gateway.post(&path, &formed(format, body, &schema()));
                let cell = format!("{format}, stream {stream}: {}", answer.text());
                let said = said(format, &answer, stream);
                let text = if action == "flag" { WRONG } else { "no" };
                assert_eq!((answer.status(), said.text.as_str(), said.used), (200, text, (11, 7)), "{cell}");
                assert_eq!(upstream.requests().len() - before, 2, "{cell}");
            }
        }
        let record = &gateway.wait_records(4)[0];
        assert_eq!(record["guards"], json!([format!("typed:{action}:schema:1")]));
        assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(11), &json!(7)), "{record}");
        assert_eq!((&record["provider"], &record["outcome"]), (&json!("openai"), &json!("finished")), "{record}");
    }
}

#[test]
fn a_stream_that_is_kept_back_is_held_to_the_longest_answer() {
    let upstream = provider(9, |_| format!("{{\"x\":\"{}\"}}", "1".repeat(4_000)));
    let typed = "guards:\n  typed: {schema: true}\ndefaults: {retries: 0}\n";
    let start = |most| {
        let config = full_config(most, upstream.address, upstream.address, "    guards: [typed]", typed);
        Gateway::start(&config)
    };
    let asked = |gateway: &Gateway| {
        gateway.post(CHAT, &formed("chat", with(chat("openai/m", "hi"), json!({"stream": true})), &json!({})))
    };
    let (short, long) = (start("  max_answer: 2KiB"), start(""));
    let refused = asked(&short);
    let text = refused.text();
    assert!(text.contains("server.max_answer") && !text.contains("111"), "{text}");
    let answer = asked(&long);
    assert!(answer.status() == 200 && answer.text().contains("111"), "{}", answer.text());
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_or_passed_over() {
    let upstream = provider(9, |_| WRONG.into());
    let circle = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}});
    let strange = json!({"type": "object", "unevaluatedProperties": false});
    let closed = gateway(upstream.address, "{schema: true, repair: true}", "");
    let answer = closed.post(CHAT, &formed("chat", chat("openai/m", "a point"), &strange));
    assert_eq!((answer.status(), answer.json()["error"]["param"].as_str()), (400, Some("schema")), "{}", answer.text());
    assert!(answer.text().contains("unevaluatedProperties") && upstream.requests().is_empty());
    let answer = closed.post(CHAT, &formed("chat", chat("openai/m", "a point"), &circle));
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "content_filter", "{}", answer.text());
    let open = gateway(upstream.address, "{schema: true, repair: true, on_error: open}", "");
    for schema in [strange, circle] {
        let answer = open.post(CHAT, &formed("chat", chat("openai/m", "a point"), &schema));
        assert_eq!((answer.status(), answer.header("x-weir-guards")), (200, "typed=error"));
        assert_eq!(crate::ask::text(&answer.json()), WRONG);
    }
    assert_eq!(open.record(2)["guards"], json!(["typed:error:schema:1"]));
}

#[test]
fn only_what_was_asked_for_is_kept() {
    let upstream = provider(9, |read| if read.contains("right") { RIGHT.into() } else { WRONG.into() });
    let gateway = gateway(upstream.address, "{schema: true, action: flag}", "    cache: {any: true}\n");
    for (text, second) in [("wrong", "miss"), ("right", "hit")] {
        for stream in [false, true] {
            let body = with(formed("chat", chat("openai/m", text), &schema()), json!({"stream": stream}));
            assert_eq!(gateway.post(CHAT, &body).header("x-weir-cache"), "miss", "{text}");
            assert_eq!(gateway.post(CHAT, &body).header("x-weir-cache"), second, "{text}, stream {stream}");
        }
    }
}

/// The model writes placeholders; the client's answer is what has to fit, and no provider is told what they hide.
#[test]
fn what_is_hidden_is_judged_as_the_client_has_it() {
    const MAIL: &str = "jane.doe@hidden-canary.example";
    let upstream = provider(9, |read| match read {
        read if read.contains("not the JSON") => r#"{"to":"[EMAIL_1]"}"#.to_owned(),
        read if read.contains("soon") => r#"{"to":"[EMAIL_1]","when":"soon"}"#.to_owned(),
        _ => r#"{"to":"[EMAIL_1]"}"#.to_owned(),
    });
    let guards = "guards:\n  typed: {schema: true, repair: true}\n  hide: {kinds: [email], action: mask}\n";
    let config = full_config("", upstream.address, upstream.address, "    guards: [typed, hide]\n", guards);
    let gateway = Gateway::start(&config);
    let schema = json!({"type": "object", "properties": {"to": {"type": "string", "pattern": "^[^@]+@[^@]+$"}},
        "required": ["to"], "additionalProperties": false});
    for (text, asked) in [(MAIL.to_owned(), 1), (format!("soon, to {MAIL}"), 2)] {
        for stream in [false, true] {
            for name in PROVIDERS {
                let before = upstream.requests().len();
                let body = json!({"model": format!("{name}/m"), "max_tokens": 99, "stream": stream,
                    "messages": [{"role": "user", "content": text}]});
                let answer = gateway.post(MESSAGES, &formed("messages", body, &schema));
                assert_eq!(
                    said("messages", &answer, stream).text,
                    format!("{{\"to\":\"{MAIL}\"}}"),
                    "{}",
                    answer.text()
                );
                assert_eq!(upstream.requests().len() - before, asked, "{name}, stream {stream}");
            }
        }
    }
    for request in upstream.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(!body.contains("canary"), "{body}");
    }
}
