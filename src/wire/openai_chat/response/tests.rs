use crate::error::Kind;
use crate::wire::ir::{Choice, Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Client, Quirks};

use super::{decode, encode};

fn written(response: &Response<'_>) -> String {
    let seal = Seal::new("test", b"key");
    let client = Client { created: 7, stream_usage: false, ..Client::of("m", "0190", &seal) };
    let mut out = Vec::new();
    encode(response, &client, &mut out);
    String::from_utf8(out).unwrap()
}

/// One answer whose message is this.
fn of_message(message: &str, finish: &str) -> Response<'static> {
    let body = format!(
        r#"{{"id":"c1","choices":[{{"index":0,"message":{message},"finish_reason":{finish}}}],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}"#
    );
    decode(Box::leak(body.into_boxed_str()), &Quirks::NONE).unwrap()
}

fn kinds(response: &Response<'_>) -> Vec<String> {
    response.choices[0]
        .parts
        .iter()
        .map(|p| match &p.kind {
            PartKind::Text { text, .. } => format!("text {}", text.text()),
            PartKind::Reasoning { text, .. } => format!("reasoning {}", text.text()),
            PartKind::ReasoningDetails { .. } => "details".into(),
            PartKind::Refusal { text } => format!("refusal {}", text.text()),
            PartKind::ToolCall { id, name, arguments } => {
                format!("call {} {} {}", id.text(), name.text(), arguments.object().unwrap_or_else(|| "cut".into()))
            }
            PartKind::Other { tag, .. } => format!("other {}", tag.text()),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn reasoning_is_found_under_every_name_and_once() {
    for message in [
        r#"{"content":"a","reasoning_content":"r"}"#,
        r#"{"content":"a","reasoning":"r"}"#,
        r#"{"content":"a","reasoning":"r","reasoning_content":"r"}"#,
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"r"}]},{"type":"text","text":"a"}]}"#,
    ] {
        assert_eq!(kinds(&of_message(message, "\"stop\"")), ["reasoning r", "text a"], "{message}");
    }
    let details = r#"{"content":"a","reasoning_details":[{"type":"reasoning.summary","summary":"r"}]}"#;
    assert_eq!(kinds(&of_message(details, "\"stop\"")), ["reasoning r", "details", "text a"]);
}

#[test]
fn calls_are_read_however_little_they_say() {
    let message = r#"{"content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},
        {"function":{"name":"g","arguments":{"y":2}}},{"id":"c","type":"function","function":{"name":"h"}},
        {"id":"d","type":"function","function":{"name":"i","arguments":"{\"cut"}},
        {"id":"e","type":"custom","custom":{"name":"j","input":"4+4"}}]}"#;
    let response = of_message(message, "\"length\"");
    let found = kinds(&response);
    assert_eq!(found[0], "call a f {\"x\":1}");
    assert!(found[1].starts_with("call call_") && found[1].ends_with(" g {\"y\":2}"), "{}", found[1]);
    assert_eq!(found[2..], ["call c h {}", "call d i cut", "call e j {\"input\":\"4+4\"}"]);
    assert_eq!(response.choices[0].stop.as_ref().unwrap().reason, StopReason::MaxTokens);
    assert_eq!(kinds(&of_message(message, "\"length\""))[1], found[1], "invented ids are stable");
    let out = written(&response);
    assert!(out.contains(r#""content":null"#) && out.contains(r#""arguments":"{}""#), "{out}");
}

#[test]
fn the_legacy_call_is_a_call() {
    let response = of_message(r#"{"content":null,"function_call":{"name":"f","arguments":"{}"}}"#, "\"function_call\"");
    assert!(kinds(&response)[0].ends_with(" f {}"));
    assert!(written(&response).contains(r#""finish_reason":"tool_calls""#));
}

#[test]
fn odd_contents_are_text_and_members_survive() {
    let response = of_message(
        r#"{"content":{"a":1},"refusal":null,"audio":{"id":"au","data":"","transcript":"t","expires_at":1},"padding":"xx"}"#,
        "\"\"",
    );
    assert_eq!(kinds(&response), ["text {\"a\":1}", "other message.audio"]);
    let out = written(&response);
    assert!(out.contains(r#""audio":{"id":"au","data":"","transcript":"t","expires_at":1}"#), "{out}");
    assert!(out.contains(r#""finish_reason":"stop""#) && !out.contains("padding"), "{out}");
}

#[test]
fn refusals_and_several_choices_go_through() {
    let body = r#"{"choices":[{"index":0,"message":{"content":null,"refusal":"no"},"finish_reason":"stop"},
        {"index":1,"message":{"content":"b"},"logprobs":{"content":[]},"finish_reason":"stop"}],
        "service_tier":"on_demand","system_fingerprint":"fp","x":1}"#;
    let response = decode(body, &Quirks::NONE).unwrap();
    assert_eq!(response.choices[0].stop.as_ref().unwrap().reason, StopReason::Refusal);
    assert_eq!(
        written(&response),
        concat!(
            r#"{"id":"chatcmpl-0190","object":"chat.completion","created":7,"model":"m","choices":["#,
            r#"{"index":0,"message":{"role":"assistant","content":null,"refusal":"no"},"logprobs":null,"finish_reason":"stop"},"#,
            r#"{"index":1,"message":{"role":"assistant","content":"b","refusal":null},"logprobs":{"content":[]},"finish_reason":"stop"}],"#,
            r#""system_fingerprint":"fp","x":1}"#
        )
    );
}

#[test]
fn zeros_beside_a_text_are_no_counts() {
    let usage = |message: &str| {
        let body = format!(
            r#"{{"choices":[{{"message":{message}}}],"usage":{{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}}}"#
        );
        decode(&body, &Quirks::NONE).unwrap().usage.is_some()
    };
    assert!(!usage(r#"{"content":"a"}"#));
    assert!(!usage(r#"{"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}"#));
    assert!(usage(r#"{"content":""}"#));
}

#[test]
fn an_error_in_an_answers_place_is_an_error() {
    for (body, kind) in [
        (r#"{"error":{"message":"m","code":"content_filter","status":400}}"#, Kind::UpstreamRefusedContent),
        (r#"{"error":{"message":"m","code":429}}"#, Kind::UpstreamRateLimited),
        (r#"{"object":"error","message":"m","code":503}"#, Kind::UpstreamOverloaded),
        (r#"{"choices":[{"error":{"message":"m","code":502},"finish_reason":"error"}]}"#, Kind::UpstreamFailed),
        (r#"{"choices":[{"message":{"content":"a"},"finish_reason":"error"}]}"#, Kind::UpstreamFailed),
        (
            r#"{"choices":[{"message":{"content":"a"},"finish_reason":"insufficient_system_resource"}]}"#,
            Kind::UpstreamOverloaded,
        ),
        (r#"{"choices":[]}"#, Kind::UpstreamFailed),
        ("<html>", Kind::UpstreamFailed),
    ] {
        assert_eq!(decode(body, &Quirks::NONE).unwrap_err().kind(), kind, "{body}");
    }
}

#[test]
fn signed_thinking_is_shown_with_its_proof() {
    let part = |kind| Part::new(crate::wire::ir::At::default(), kind);
    let call = |id: &str| {
        part(PartKind::ToolCall {
            id: Str::from_text(id),
            name: Str::from_text("f"),
            arguments: crate::wire::ir::Arguments::Object(Raw::new("{}")),
        })
    };
    let response = Response {
        choices: vec![Choice {
            parts: vec![
                part(PartKind::Reasoning { text: Str::from_text("why"), signature: Some(Str::from_text("S")) }),
                part(PartKind::RedactedReasoning { data: Str::from_text("D") }),
                call("t1"),
                call("t2"),
            ],
            stop: Some(Stop::of(StopReason::ToolUse)),
            logprobs: None,
        }],
        ..Response::default()
    };
    let out = written(&response);
    assert!(out.contains(r#""reasoning_content":"why""#), "{out}");
    assert!(out.contains(r#"{"type":"reasoning.text","text":"why","signature":"S","format":"anthropic-claude-v1","index":0},{"type":"reasoning.encrypted","data":"D","format":"anthropic-claude-v1","index":1}"#), "{out}");
}

#[test]
fn citations_with_an_address_become_annotations() {
    let part = |text: &str, citations: Option<&'static str>| {
        let citations = citations.map(Raw::new);
        Part::new(crate::wire::ir::At::default(), PartKind::Text { text: Str::from_text(text), citations })
    };
    let response = Response {
        choices: vec![Choice {
            parts: vec![
                part("é: ", None),
                part(
                    "yes",
                    Some(
                        r#"[{"type":"web_search_result_location","url":"u","title":"T","cited_text":"c"},{"type":"char_location","document_index":0}]"#,
                    ),
                ),
            ],
            stop: None,
            logprobs: None,
        }],
        ..Response::default()
    };
    let out = written(&response);
    assert!(out.contains(r#""content":"é: yes""#), "{out}");
    assert!(
        out.contains(
            r#""annotations":[{"type":"url_citation","url_citation":{"start_index":3,"end_index":6,"url":"u","title":"T"}}]"#
        ),
        "{out}"
    );
}

/// A Responses answer repeats its request: instructions, tools that the gateway added, and all.
#[test]
fn nothing_of_another_formats_answer_is_left_in_it() {
    let body = r#"{"id":"resp_1","object":"response","created_at":5,"status":"completed","model":"m",
        "instructions":"secret","tools":[{"type":"function","name":"weir_calculate"}],"text":{"format":{"type":"text"}},
        "metadata":{},"truncation":"disabled","output":[{"type":"message","content":[{"type":"output_text","text":"a"}]}]}"#;
    let response = crate::wire::decode_response(crate::wire::Dialect::Responses, body, &Quirks::NONE).unwrap();
    assert_eq!(
        written(&response),
        concat!(
            r#"{"id":"resp_1","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,"#,
            r#""message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"stop"}]}"#
        )
    );
}
