#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::{Decoder, Encoder};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Delta, Event, PartStart, Stop, StopReason};
use crate::wire::json::Str;
use crate::wire::seal::Seal;
use crate::wire::sse::Framer;
use crate::wire::{Client, Decode as _, Encode as _, Quirks};

fn decode(events: &[Value]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(&Quirks::NONE);
    let mut sink = |event: &Event<'_>| seen.push(short(event));
    events.iter().for_each(|event| decoder.event("", &event.to_string(), &mut sink));
    decoder.finish(&mut sink);
    seen
}

/// An event in few words.
fn short(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, .. } => format!("start {id:?}"),
        Event::PartStart { index, part, .. } => match part {
            PartStart::ToolCall { id, name, .. } => format!("+{index} call {} {}", id.text(), name.text()),
            part => format!("+{index} {part:?}"),
        },
        Event::Delta { index, delta } => match delta {
            Delta::Text(s) | Delta::Reasoning(s) | Delta::Arguments(s) => format!("{index} {}", s.text()),
            Delta::Citation(raw) | Delta::Logprobs(raw) => format!("{index} {}", raw.get()),
            other => format!("{index} {other:?}"),
        },
        Event::PartEnd { index } => format!("-{index}"),
        Event::Usage(usage) => format!("usage {}+{}", usage.input_tokens(), usage.output_tokens()),
        Event::Stop { stop, .. } => format!("stop {:?}", stop.reason),
        Event::Error(error) => format!("error {:?} {}", error.kind(), error.public()),
        Event::Ping => "ping".to_owned(),
        Event::End => "end".to_owned(),
    }
}

fn start() -> Value {
    json!({"id":"m1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}})
}

fn content(name: &str, index: u32, content: &Value) -> Value {
    json!({"type":name,"index":index,"delta":{"message":{"content":content}}})
}

fn plan(text: &str) -> Value {
    json!({"type":"tool-plan-delta","delta":{"message":{"tool_plan":text}}})
}

fn call(name: &str, index: u32, call: &Value) -> Value {
    json!({"type":name,"index":index,"delta":{"message":{"tool_calls":call}}})
}

fn end(word: &str) -> Value {
    json!({"type":"message-end","delta":{"finish_reason":word,"usage":{"billed_units":{"input_tokens":1,"output_tokens":1},
        "tokens":{"input_tokens":11,"output_tokens":7},"cached_tokens":4}}})
}

#[test]
fn thinking_then_text_with_a_citation() {
    let citation = json!({"start":0,"end":2,"text":"hi","type":"TEXT_CONTENT",
        "sources":[{"type":"tool","id":"f_1:0","tool_output":{"content":"c"}}]});
    let got = decode(&[
        start(),
        content("content-start", 0, &json!({"type":"thinking","thinking":""})),
        content("content-delta", 0, &json!({"thinking":"hm"})),
        json!({"type":"citation-start","index":0,"delta":{"message":{"citations":citation}}}),
        json!({"type":"content-end","index":0}),
        content("content-start", 1, &json!({"type":"text","text":""})),
        content("content-delta", 1, &json!({"text":"hi"})),
        json!({"type":"citation-start","index":0,"delta":{"message":{"citations":citation}}}),
        json!({"type":"citation-end","index":0}),
        json!({"type":"debug","prompt":"x"}),
        content("content-delta", 1, &json!({"text":"!"})),
        json!({"type":"content-end","index":1}),
        end("COMPLETE"),
    ]);
    let expected = [
        "start Some(\"m1\")",
        "+0 Reasoning",
        "0 hm",
        "-0",
        "+1 Text",
        "1 hi",
        "1 {\"type\":\"search_result_location\",\"cited_text\":\"c\",\"search_result_index\":0,\"source\":\"f_1:0\",\"start_block_index\":0,\"end_block_index\":1,\"title\":null}",
        "1 !",
        "-1",
        "stop EndTurn",
        "usage 11+7",
        "end",
    ];
    assert_eq!(got, expected);
}

#[test]
fn a_plan_is_a_text_before_the_calls() {
    let begin = |id: &str| json!({"id":id,"type":"function","function":{"name":"f","arguments":""}});
    let fragment = |text: &str| json!({"function":{"arguments":text}});
    let got = decode(&[
        start(),
        plan("I "),
        plan("will"),
        call("tool-call-start", 0, &begin("f_1")),
        call("tool-call-delta", 0, &fragment("{\"a\":")),
        call("tool-call-delta", 0, &fragment("1}")),
        json!({"type":"tool-call-end","index":0}),
        call("tool-call-start", 1, &json!([begin("f_2")])),
        json!({"type":"tool-call-end","index":1}),
        end("TOOL_CALL"),
    ]);
    let expected = [
        "start Some(\"m1\")",
        "+0 Text",
        "0 I ",
        "0 will",
        "-0",
        "+1 call f_1 f",
        "1 {\"a\":",
        "1 1}",
        "-1",
        "+2 call f_2 f",
        "-2",
        "stop ToolUse",
        "usage 11+7",
        "end",
    ];
    assert_eq!(got, expected);
}

#[test]
fn calls_that_overlap_keep_their_arguments() {
    let begin = |id: &str| json!({"id":id,"type":"function","function":{"name":"f","arguments":""}});
    let fragment = |text: &str| json!({"function":{"arguments":text}});
    let got = decode(&[
        start(),
        plan("I"),
        call("tool-call-start", 0, &begin("f_1")),
        call("tool-call-start", 1, &begin("f_2")),
        call("tool-call-delta", 0, &fragment("{}")),
        call("tool-call-delta", 1, &fragment("[]")),
        json!({"type":"tool-call-end","index":0}),
        json!({"type":"tool-call-end","index":1}),
        end("TOOL_CALL"),
    ]);
    assert_eq!(got[3..10], ["-0", "+1 call f_1 f", "+2 call f_2 f", "1 {}", "2 []", "-1", "-2"]);
}

#[test]
fn what_is_missing_is_made_up_for() {
    let got = decode(&[
        content("content-delta", 0, &json!({"text":"a"})),
        content("content-delta", 1, &json!({"text":"b"})),
        end("MAX_TOKENS"),
    ]);
    let expected =
        ["start None", "+0 Text", "0 a", "-0", "+1 Text", "1 b", "-1", "stop MaxTokens", "usage 11+7", "end"];
    assert_eq!(got, expected);
    let mut delta = content("content-delta", 0, &json!({"text":"a"}));
    delta["logprobs"] = json!({"text":"a","token_ids":[5],"logprobs":[-0.10]});
    let logprobs =
        "0 {\"content\":[{\"token\":\"a\",\"logprob\":-0.1,\"bytes\":null,\"top_logprobs\":[]}],\"refusal\":null}";
    assert_eq!(decode(&[start(), delta, end("COMPLETE")])[2..4], [logprobs.to_owned(), "0 a".to_owned()]);
}

#[test]
fn a_failure_is_an_error_wherever_it_stands() {
    let failed = json!({"type":"message-end","delta":{"error":"NETWORK_ERROR","finish_reason":"ERROR"}});
    assert_eq!(decode(&[start(), failed]).last().unwrap(), "error UpstreamFailed NETWORK_ERROR");
    assert_eq!(
        decode(&[end("TIMEOUT")]),
        ["usage 11+7", "error UpstreamTimeout the provider answered with status 504"]
    );
    assert_eq!(decode(&[json!({"id":"x","message":"bad"})]), ["error UpstreamFailed bad"]);
    assert_eq!(decode(&[start()])[1..], ["error UpstreamFailed the provider cut the stream"]);
    assert_eq!(decode(&[json!("odd")]), ["error UpstreamFailed the provider's stream cannot be read"]);
    // Nothing follows the end.
    assert_eq!(decode(&[end("COMPLETE"), start(), end("ERROR")]).len(), 4);
}

#[test]
fn what_is_written_reads_back() {
    let seal = Seal::new("cohere", b"k");
    let client = Client { created: 1, ..Client::of("m", "0198c1d2e3f40718a9b0c1d2e3f40718", &seal) };
    let text = |s: &str| Str::from_text(s);
    let usage = Usage {
        fresh_input_tokens: 7,
        cached_tokens: 4,
        visible_output_tokens: 3,
        reasoning_tokens: 4,
        ..Usage::default()
    };
    let (id, name) = (text("f_1"), text("f"));
    let events = [
        Event::Start { id: Some(text("m1")), model: None, created: None, usage: None, service_tier: None },
        Event::PartStart { index: 0, choice: 0, part: PartStart::Reasoning },
        Event::Delta { index: 0, delta: Delta::Reasoning(text("hm")) },
        Event::PartEnd { index: 0 },
        Event::PartStart { index: 1, choice: 0, part: PartStart::Text },
        Event::Delta { index: 1, delta: Delta::Text(text("hi")) },
        Event::PartEnd { index: 1 },
        Event::PartStart { index: 2, choice: 0, part: PartStart::ToolCall { id, name, custom: false } },
        Event::Delta { index: 2, delta: Delta::Arguments(text("{}")) },
        Event::PartEnd { index: 2 },
        Event::Stop { choice: 0, stop: Stop::of(StopReason::ToolUse) },
        Event::Usage(usage),
        Event::End,
    ];
    let (mut encoder, mut out) = (Encoder::new(&client), Vec::new());
    events.iter().for_each(|event| encoder.event(event, &mut out));
    let (mut framer, mut decoder, mut seen) = (Framer::default(), Decoder::new(&Quirks::NONE), Vec::new());
    let mut sink = |event: &Event<'_>| seen.push(short(event));
    framer.push(&out, &mut |frame| decoder.event(frame.name, frame.data.unwrap_or_default(), &mut sink)).unwrap();
    assert_eq!(seen, events.iter().map(short).collect::<Vec<_>>());
}
