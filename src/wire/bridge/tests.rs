#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::wire::ir::{Arguments, At, Delta, Event, Part, PartKind, PartStart};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::PACKED_MARK;
use crate::wire::{Thinking, decode_request, encode_request};

fn seal() -> Seal {
    Seal::new("test", b"key")
}

/// What `upstream` gets of a request, and what was dropped; or why it is refused.
fn sent(client: Dialect, upstream: Dialect, body: &Value, can: Abilities) -> Result<(Value, String)> {
    sent_with(client, upstream, body, can, &Quirks::NONE)
}

fn sent_with(
    client: Dialect,
    upstream: Dialect,
    body: &Value,
    abilities: Abilities,
    quirks: &Quirks,
) -> Result<(Value, String)> {
    let (text, seal) = (body.to_string(), seal());
    let target = Target {
        model: "model-x",
        quirks,
        max_output_tokens: None,
        thinking: Thinking::Unknown,
        abilities,
        seal: &seal,
    };
    let mut request = decode_request(client, &text).unwrap();
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Bridge::request(&mut request, upstream, &target, &mut dropped)?;
    encode_request(upstream, &request, &target, &mut out, &mut dropped)?;
    Ok((serde_json::from_slice(&out).unwrap(), dropped.header()))
}

fn bridge(client: Dialect, upstream: Dialect, body: &Value) -> Bridge {
    let (text, seal) = (body.to_string(), seal());
    let target = Target {
        model: "model-x",
        quirks: &Quirks::NONE,
        max_output_tokens: None,
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal: &seal,
    };
    let mut request = decode_request(client, &text).unwrap();
    Bridge::request(&mut request, upstream, &target, &mut Dropped::default()).unwrap()
}

fn part(kind: PartKind<'static>) -> Part<'static> {
    Part::new(At::default(), kind)
}

fn call(id: &str, name: &str, arguments: &str) -> Part<'static> {
    let arguments = Arguments::Encoded(Str::from_text(arguments));
    part(PartKind::ToolCall { id: Str::from_text(id), name: Str::from_text(name), arguments })
}

fn answer(parts: Vec<Part<'static>>) -> Response<'static> {
    let choices = vec![crate::wire::ir::Choice { parts, stop: None, logprobs: None }];
    Response { choices, ..Response::default() }
}

/// The names and arguments of the calls of an answer.
fn calls(parts: &[Part<'_>]) -> Vec<String> {
    let told = |part: &Part<'_>| match &part.kind {
        PartKind::ToolCall { name, arguments: Arguments::Text(text), .. } => Some(format!("{name:?} text {text:?}")),
        PartKind::ToolCall { name, arguments, .. } => Some(format!("{name:?} {}", arguments.object().unwrap())),
        _ => None,
    };
    parts.iter().filter_map(told).collect()
}

fn custom_request() -> Value {
    json!({"model": "m", "input": [
        {"type": "message", "role": "user", "content": "patch it"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin\n"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}],
        "tools": [{"type": "custom", "name": "apply_patch", "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: line+"}}],
        "tool_choice": {"type": "custom", "name": "apply_patch"}})
}

#[test]
fn a_custom_tool_is_a_function_where_there_are_no_others() {
    for upstream in [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Gemini] {
        let (body, dropped) = sent(Dialect::Responses, upstream, &custom_request(), Abilities::UNKNOWN).unwrap();
        assert_eq!(dropped, "tools[0].format", "{upstream:?}");
        let text = body.to_string();
        assert!(text.contains("start: line+") && text.contains("\"required\":[\"input\"]"), "{upstream:?}: {text}");
        assert!(text.contains("*** Begin"), "{upstream:?}: {text}");
    }
    let (body, _) = sent(Dialect::Responses, Dialect::Anthropic, &custom_request(), Abilities::UNKNOWN).unwrap();
    assert_eq!(body["messages"][1]["content"][0]["input"], json!({"input": "*** Begin\n"}));
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "apply_patch"}));
}

#[test]
fn a_choice_among_some_tools_is_those_tools() {
    let function = |name: &str| json!({"type": "function", "function": {"name": name}});
    let chat = |mode: &str, allowed: &str| {
        json!({"model": "m", "messages": [{"role": "user", "content": "a"}],
            "tools": [function("f"), function("g"), {"type": "x"}], "tool_choice": {"type": "allowed_tools",
                "allowed_tools": {"mode": mode, "tools": [function(allowed)]}}})
    };
    for upstream in [Dialect::Anthropic, Dialect::Gemini, Dialect::Converse, Dialect::Cohere, Dialect::Responses] {
        let (body, dropped) = sent(Dialect::OpenAiChat, upstream, &chat("auto", "g"), Abilities::UNKNOWN).unwrap();
        let text = body.to_string();
        assert!(text.contains("\"g\"") && !text.contains("\"f\""), "{text}");
        assert_eq!(dropped, "", "{upstream:?}");
    }
    let (body, _) = sent(Dialect::OpenAiChat, Dialect::Anthropic, &chat("required", "g"), Abilities::UNKNOWN).unwrap();
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    let responses = json!({"model": "m", "input": "a", "tools": [{"type": "function", "name": "f"},
        {"type": "function", "name": "g"}], "tool_choice": {"type": "allowed_tools", "mode": "required",
            "tools": [{"type": "function", "name": "f"}]}});
    let (body, dropped) = sent(Dialect::Responses, Dialect::OpenAiChat, &responses, Abilities::UNKNOWN).unwrap();
    assert_eq!((&body["tool_choice"], dropped.as_str()), (&json!("required"), ""));
    assert_eq!(body["tools"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_choice_that_a_format_lacks_is_named() {
    let hosted = json!({"model": "m", "input": "a", "tools": [{"type": "function", "name": "f"}],
        "tool_choice": {"type": "web_search"}});
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "a"}],
        "tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": false,
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}});
    for (client, body) in [(Dialect::Responses, hosted), (Dialect::OpenAiChat, chat)] {
        for upstream in [Dialect::Anthropic, Dialect::Gemini, Dialect::Converse, Dialect::Cohere] {
            let (sent, dropped) = sent(client, upstream, &body, Abilities::UNKNOWN).unwrap();
            assert!(dropped.starts_with("tool_choice"), "{upstream:?}: {dropped:?} {sent}");
        }
    }
}

#[test]
fn calls_of_a_wrapped_tool_are_text_again() {
    let bridge = bridge(Dialect::Responses, Dialect::Anthropic, &custom_request());
    let mut it = answer(vec![call("t1", "apply_patch", r#"{"input":"a\nb"}"#), call("t2", "other", "{}")]);
    bridge.response(&mut it);
    assert_eq!(calls(&it.choices[0].parts), [r#""apply_patch" text "a\nb""#, r#""other" {}"#]);

    let mut seen = Vec::new();
    let mut events = bridge.events();
    let start = PartStart::ToolCall { id: Str::from_text("t1"), name: Str::from_text("apply_patch"), custom: false };
    let arguments = |json: &str| Event::Delta { index: 0, delta: Delta::Arguments(Str::from_text(json)) };
    let stream = [
        Event::PartStart { index: 0, choice: 0, part: start },
        arguments(r#"{"input":"a"#),
        arguments(r#"\nb"}"#),
        Event::PartEnd { index: 0 },
    ];
    for event in &stream {
        events.event(event, &mut |event| seen.push(format!("{event:?}")));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(
        seen[0].contains("custom: true") && seen[1].contains(r#"Input("a")"#) && seen[2].contains(r#"Input("\nb")"#)
    );
}

#[test]
fn names_that_are_refused_are_changed_and_told_back() {
    let long = "x".repeat(70);
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "fs.read", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}],
        "tool_choice": {"type": "function", "function": {"name": "fs.read"}},
        "tools": [{"type": "function", "function": {"name": "fs.read"}}, {"type": "function", "function": {"name": "fs_read"}},
            {"type": "function", "function": {"name": long}}, {"type": "function", "function": {"name": "plain"}}]});
    let (sent, dropped) = sent(Dialect::OpenAiChat, Dialect::Anthropic, &body, Abilities::UNKNOWN).unwrap();
    assert_eq!(dropped, "");
    let names: Vec<&str> =
        sent["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    // 128 are taken here; `fs_read` is taken already.
    assert!(names[0].starts_with("fs_read_") && names[1..] == ["fs_read", &long, "plain"], "{names:?}");
    assert_eq!(sent["tool_choice"]["name"], names[0]);
    assert_eq!(sent["messages"][1]["content"][0]["name"], names[0]);
    let bridge = bridge(Dialect::OpenAiChat, Dialect::Anthropic, &body);
    let mut it = answer(vec![call("t", names[0], "{}"), call("u", "fs_read", "{}")]);
    bridge.response(&mut it);
    assert_eq!(calls(&it.choices[0].parts), [r#""fs.read" {}"#, r#""fs_read" {}"#]);
}

#[test]
fn every_format_gets_names_it_takes() {
    for (upstream, name, takes) in [
        (Dialect::OpenAiChat, "a.b", false),
        (Dialect::Gemini, "a.b", true),
        (Dialect::Gemini, "1a", false),
        (Dialect::Cohere, "a-b", false),
        (Dialect::Converse, "a-b", true),
        (Dialect::Responses, "\u{e9}", false),
    ] {
        let body = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "go"}], "tools": [{"name": name, "input_schema": {"type": "object"}}]});
        let text = body.to_string();
        let mut request = decode_request(Dialect::Anthropic, &text).unwrap();
        Tools::fit(&mut request, upstream, &mut Dropped::default());
        let crate::wire::ir::ToolKind::Function { name: sent, .. } = &request.tools[0].kind else {
            panic!("a function")
        };
        assert_eq!(sent.is(name), takes, "{upstream:?} {name} {sent:?}");
        assert!(sent.text().is_ascii() && !sent.is_empty());
    }
}

/// What is said before a result came goes behind it: a result follows its call at once.
#[test]
fn a_result_is_moved_before_what_was_said_meanwhile() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": id});
    let user = |text: &str| json!({"type": "message", "role": "user", "content": text});
    let history = json!([user("go"), call("c1"), call("c2"), output("c2"), user("hurry"), output("c1")]);
    let body = json!({"model": "m", "input": history});
    for upstream in [Dialect::OpenAiChat, Dialect::Cohere] {
        let (sent, _) = sent(Dialect::Responses, upstream, &body, Abilities::UNKNOWN).unwrap();
        let messages = sent["messages"].as_array().unwrap();
        let told: Vec<&str> = messages.iter().filter_map(|message| message["content"].as_str()).collect();
        assert_eq!(told, ["go", "c2", "c1", "hurry"], "{upstream:?}: {sent}");
    }
}

/// Peers row 6, and what clients leave behind when a turn breaks off.
#[test]
fn calls_and_results_are_paired() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": id});
    let user = |text: &str| json!({"type": "message", "role": "user", "content": text});
    let history = json!([
        output("c0"),
        user("go"),
        call("c1"),
        call("c2"),
        output("c2"),
        user("and?"),
        call("c3"),
        output("c1"),
        output("c3"),
        call("c4"),
        user(""),
        output("c4"),
        call("c5")
    ]);
    let body = json!({"model": "m", "input": history, "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]});
    let (sent, _) = sent(Dialect::Responses, Dialect::OpenAiChat, &body, Abilities::UNKNOWN).unwrap();
    let told: Vec<String> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            match message["role"].as_str().unwrap() {
                "assistant" => {
                    let ids: Vec<String> =
                        message["tool_calls"].as_array().unwrap().iter().map(|call| text(&call["id"])).collect();
                    format!("calls {}", ids.join(" "))
                }
                "tool" => format!("{}: {}", text(&message["tool_call_id"]), text(&message["content"])),
                role => format!("{role}: {}", text(&message["content"])),
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "user: c0",
            "user: go",
            "calls c1 c2",
            "c2: c2",
            "c1: c1",
            "user: and?",
            "calls c3",
            "c3: c3",
            "calls c4",
            "c4: c4",
            "user: ",
            "calls c5",
            "c5: Error:\nno result",
        ]
    );
}

/// What stands for an item of the provider's own stays where it stood, also in a body that is written anew.
#[test]
fn a_reference_to_an_item_keeps_its_place() {
    let reference = json!({"type": "item_reference", "id": "msg_1"});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "r"});
    let body = json!({"model": "m", "input": [{"role": "user", "content": "go"}, reference, call, result]});
    let (same, _) = sent(Dialect::Responses, Dialect::Responses, &body, Abilities::UNKNOWN).unwrap();
    let kinds: Vec<_> = same["input"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds[1..], ["item_reference", "function_call", "function_call_output"], "{same}");
    assert_eq!(same["input"][1], reference);
    for upstream in [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Gemini] {
        assert_eq!(sent(Dialect::Responses, upstream, &body, Abilities::UNKNOWN).unwrap_err().status(), 400);
    }
}

/// Gemini's clients get seals in base64, so a body that could pass as it is may hold one all the same.
#[test]
fn no_seal_reaches_gemini_from_its_own_clients() {
    let sealed = STANDARD.encode(Seal::new("other", b"k").close(b"its signature"));
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": sealed}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"r": 1}}}]}]});
    assert!(Seal::may_be_packed_in(body.to_string().as_bytes()));
    let (sent, _) = sent(Dialect::Gemini, Dialect::Gemini, &body, Abilities::UNKNOWN).unwrap();
    let sent = sent.to_string();
    assert!(sent.contains("functionCall") && !sent.contains(PACKED_MARK), "{sent}");
}

#[test]
fn what_is_said_twice_is_not_named_as_dropped() {
    let legacy = json!({"model": "m", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "done"}], "functions": [{"name": "f"}], "logit_bias": {}});
    let custom = json!({"model": "m", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
        {"role": "tool", "tool_call_id": "call_1", "name": "f", "content": "done"}],
        "tools": [{"type": "custom", "custom": {"name": "f"}}], "logit_bias": {}});
    for upstream in [Dialect::Anthropic, Dialect::Gemini, Dialect::Converse, Dialect::Cohere, Dialect::Responses] {
        for body in [&legacy, &custom] {
            let (sent, dropped) = sent(Dialect::OpenAiChat, upstream, body, Abilities::UNKNOWN).unwrap();
            assert_eq!(dropped, "", "{upstream:?} {sent}");
        }
    }
    let mut other = legacy;
    other["messages"][2]["name"] = json!("g");
    let (_, dropped) = sent(Dialect::OpenAiChat, Dialect::Anthropic, &other, Abilities::UNKNOWN).unwrap();
    assert_eq!(dropped, "messages[2].name");
}

#[test]
fn ids_that_are_refused_are_changed_alike() {
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "call_long", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_long", "content": "r"}]});
    let quirks = Quirks { short_call_ids: true, ..Quirks::NONE };
    assert!(Bridge::may_change(body.to_string().as_bytes(), Abilities::UNKNOWN, &quirks));
    let (sent, _) = sent_with(Dialect::OpenAiChat, Dialect::OpenAiChat, &body, Abilities::UNKNOWN, &quirks).unwrap();
    let id = sent["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!((id.len(), &sent["messages"][2]["tool_call_id"]), (9, &json!(id)));
}

/// A request with one thing that some model cannot take.
fn asking(member: &str, value: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]});
    body[member] = value.clone();
    body
}

fn chat(content: &Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, content]}]})
}

#[test]
fn content_that_the_model_does_not_take_is_refused_by_name() {
    let image = chat(&json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}));
    let audio = chat(&json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}));
    let file = chat(&json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}}));
    let tools = asking("tools", &json!([{"type": "function", "function": {"name": "f"}}]));
    let no = Some(false);
    let cases = [
        (image, Abilities { images: no, ..Abilities::UNKNOWN }, "messages[0].content[1]", "takes no images"),
        (audio, Abilities { audio: no, ..Abilities::UNKNOWN }, "messages[0].content[1]", "takes no audio"),
        (file, Abilities { documents: no, ..Abilities::UNKNOWN }, "messages[0].content[1]", "takes no documents"),
        (tools, Abilities { tools: no, ..Abilities::UNKNOWN }, "tools", "calls no tools"),
    ];
    for (body, can, param, why) in cases {
        assert!(Bridge::may_change(body.to_string().as_bytes(), can, &Quirks::NONE), "{body}");
        for upstream in [Dialect::OpenAiChat, Dialect::Responses] {
            let error = sent(Dialect::OpenAiChat, upstream, &body, can).unwrap_err();
            assert_eq!((error.status(), error.param()), (400, Some(param)));
            assert!(error.public().contains(why) && error.public().contains("model-x"), "{}", error.public());
        }
        sent(Dialect::OpenAiChat, Dialect::OpenAiChat, &body, Abilities::UNKNOWN).unwrap();
    }
}

#[test]
fn what_can_be_said_otherwise_is_reshaped() {
    let no = Some(false);
    let schema =
        json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "title": "T1"}}});
    let can = Abilities { json_schema: no, ..Abilities::UNKNOWN };
    for upstream in [Dialect::OpenAiChat, Dialect::Responses] {
        let (body, dropped) = sent(Dialect::OpenAiChat, upstream, &asking("response_format", &schema), can).unwrap();
        assert_eq!(dropped, "response_format.json_schema");
        let text = body.to_string();
        assert!(text.contains("json_object") && text.contains("T1") && !text.contains("\"json_schema\""), "{text}");
    }

    let tools = asking("tools", &json!([{"type": "function", "function": {"name": "f"}}]));
    let can = Abilities { parallel_tools: no, ..Abilities::UNKNOWN };
    let (body, dropped) = sent(Dialect::OpenAiChat, Dialect::OpenAiChat, &tools, can).unwrap();
    assert_eq!((&body["parallel_tool_calls"], dropped.as_str()), (&json!(false), ""));

    let can = Abilities { system: no, ..Abilities::UNKNOWN };
    let (body, dropped) = sent(Dialect::OpenAiChat, Dialect::OpenAiChat, &asking("user", &json!("u")), can).unwrap();
    let only =
        json!([{"role": "user", "content": [{"type": "text", "text": "be brief"}, {"type": "text", "text": "hi"}]}]);
    assert_eq!((&body["messages"], dropped.as_str()), (&only, ""));

    let mut body = asking("user", &json!("u"));
    body["messages"].as_array_mut().unwrap().push(json!({"role": "developer", "content": "now in French"}));
    let can = Abilities { developer_role: no, ..Abilities::UNKNOWN };
    let quirks = Quirks { developer_role: true, ..Quirks::NONE };
    let (body, _) = sent_with(Dialect::OpenAiChat, Dialect::OpenAiChat, &body, can, &quirks).unwrap();
    assert_eq!(body["messages"][2]["role"], "system");
}

#[test]
fn a_body_that_needs_nothing_passes() {
    let all = Abilities {
        images: Some(false),
        audio: Some(false),
        documents: Some(false),
        tools: Some(false),
        parallel_tools: Some(false),
        json_schema: Some(false),
        developer_role: Some(false),
        system: Some(false),
    };
    let plain = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    assert!(!Bridge::may_change(plain, all, &Quirks { short_call_ids: true, ..Quirks::NONE }));
    assert!(!Bridge::may_change(br#"{"tools":[]}"#, Abilities::UNKNOWN, &Quirks::NONE));
}

/// Peers row 1: a chat upstream's reasoning and its details are one thought for other clients.
#[test]
fn details_prove_the_thought_beside_them() {
    let details =
        || part(PartKind::ReasoningDetails { details: Raw::new(r#"[{"type":"reasoning.text","text":"t"}]"#) });
    let reasoning = || part(PartKind::Reasoning { text: Str::from_text("t"), signature: None });
    for parts in [vec![details()], vec![reasoning(), details()], vec![details(), reasoning()]] {
        let mut it = answer(parts);
        Bridge::plain(Dialect::Anthropic, Dialect::OpenAiChat, &seal()).response(&mut it);
        let [Part { kind: PartKind::Reasoning { signature: Some(sealed), .. }, .. }] = it.choices[0].parts.as_slice()
        else {
            panic!("one thought");
        };
        let payload = seal().open(&sealed.text()).unwrap().payload;
        assert!(String::from_utf8(payload).unwrap().contains(r#""d":[{"type":"reasoning.text","text":"t"}]"#));
    }
}

/// Ids travel in every later request: too much thinking is left to the slots that hold it once.
#[test]
fn too_much_is_not_sealed_into_an_id() {
    let long = Str::from_text(&"x".repeat(70_000));
    let thought = part(PartKind::Reasoning { text: long, signature: Some(Str::from_text("S")) });
    let mut it = answer(vec![thought, call("t1", "f", "{}")]);
    Bridge::plain(Dialect::OpenAiChat, Dialect::Anthropic, &seal()).response(&mut it);
    assert!(matches!(&it.choices[0].parts[1].kind, PartKind::ToolCall { id, .. } if id.is("t1")));
}

#[test]
fn the_same_format_is_left_as_it_is() {
    let thought = part(PartKind::Reasoning { text: Str::from_text("t"), signature: Some(Str::from_text("S")) });
    let mut it = answer(vec![thought, call("t1", "f", "{}")]);
    Bridge::plain(Dialect::Anthropic, Dialect::Anthropic, &seal()).response(&mut it);
    assert!(matches!(&it.choices[0].parts[0].kind, PartKind::Reasoning { signature: Some(s), .. } if s.is("S")));
    assert!(matches!(&it.choices[0].parts[1].kind, PartKind::ToolCall { id, .. } if id.is("t1")));
}
