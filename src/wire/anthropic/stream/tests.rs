#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::grammar::{assemble, events};
use super::{Decoder, Encoder};
use crate::error::Kind;
use crate::usage::tokens::Usage;
use crate::wire::ir::{Delta, Event, PartStart, Stop, StopReason};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Client, Decode as _, Encode as _, Quirks};

fn seal() -> Seal {
    Seal::new("chat", b"k")
}

fn encode(list: &[Event<'_>]) -> String {
    let seal = seal();
    let client = Client {
        created: 1,
        input_estimate_tokens: 42,
        ..Client::of("client-model", "0198c1d2e3f40718a9b0c1d2e3f40718", &seal)
    };
    let mut encoder = Encoder::new(&client);
    let mut out = Vec::new();
    list.iter().for_each(|event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn text(s: &str) -> Str<'static> {
    Str::from_text(s)
}

fn start() -> Event<'static> {
    Event::Start {
        id: Some(text("chatcmpl-1")),
        model: Some(text("m")),
        created: None,
        usage: None,
        service_tier: None,
    }
}

fn part(index: u32, part: PartStart<'static>) -> Event<'static> {
    Event::PartStart { index, choice: 0, part }
}

fn call(index: u32, id: &str) -> Event<'static> {
    part(index, PartStart::ToolCall { id: text(id), name: text("f"), custom: false })
}

fn arguments(index: u32, s: &str) -> Event<'static> {
    Event::Delta { index, delta: Delta::Arguments(text(s)) }
}

fn stop(reason: StopReason) -> Event<'static> {
    Event::Stop { choice: 0, stop: Stop::of(reason) }
}

fn usage(visible: u64) -> Event<'static> {
    Event::Usage(Usage {
        fresh_input_tokens: 10,
        cached_tokens: 5,
        visible_output_tokens: visible,
        reasoning_tokens: 2,
        ..Usage::default()
    })
}

fn decode(sse: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(&Quirks::NONE);
    let mut sink = |event: &Event<'_>| seen.push(format!("{event:?}"));
    for frame in sse.split("\n\n").filter(|frame| !frame.trim().is_empty()) {
        let line = |prefix: &str| frame.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or("").trim();
        decoder.event(line("event:"), line("data:"), &mut sink);
    }
    decoder.finish(&mut sink);
    seen
}

/// Decodes `sse` and encodes it again.
fn again(sse: &str) -> String {
    let seal = seal();
    let client = Client { created: 1, input_estimate_tokens: 42, ..Client::of("c", "i", &seal) };
    let (mut decoder, mut encoder, mut out) = (Decoder::new(&Quirks::NONE), Encoder::new(&client), Vec::new());
    for frame in sse.split("\n\n").filter(|frame| !frame.trim().is_empty()) {
        let line = |prefix: &str| frame.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or("").trim();
        decoder.event(line("event:"), line("data:"), &mut |event| encoder.event(event, &mut out));
    }
    decoder.finish(&mut |event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn sse(data: &[Value]) -> String {
    data.iter().fold(String::new(), |mut out, data| {
        let _ = write!(out, "event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
        out
    })
}

fn message_start() -> Value {
    json!({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],
        "stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1,"service_tier":"standard"}}})
}

fn block(index: u32, block: &Value, deltas: &[Value]) -> Vec<Value> {
    let mut list = vec![json!({"type":"content_block_start","index":index,"content_block":block})];
    list.extend(deltas.iter().map(|delta| json!({"type":"content_block_delta","index":index,"delta":delta})));
    list.push(json!({"type":"content_block_stop","index":index}));
    list
}

fn closing(reason: &str) -> Vec<Value> {
    vec![
        json!({"type":"message_delta","delta":{"stop_reason":reason,"stop_sequence":null},"usage":{"output_tokens":7}}),
        json!({"type":"message_stop"}),
    ]
}

fn stream(blocks: Vec<Vec<Value>>, reason: &str) -> String {
    let mut list = vec![message_start()];
    list.extend(blocks.into_iter().flatten());
    list.extend(closing(reason));
    sse(&list)
}

#[test]
fn a_text_has_the_exact_events() {
    let out = encode(&[
        start(),
        part(0, PartStart::Text),
        Event::Delta { index: 0, delta: Delta::Text(text("Hé")) },
        Event::Ping,
        Event::PartEnd { index: 0 },
        stop(StopReason::EndTurn),
        usage(7),
        Event::End,
    ]);
    let names: Vec<String> = events(&out).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "ping",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let message = assemble(&out);
    assert_eq!(message["id"], "msg_1");
    assert_eq!(message["content"], json!([{"type":"text","text":"Hé"}]));
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["input_tokens"], 10);
    assert_eq!(message["usage"]["cache_read_input_tokens"], 5);
    assert_eq!(message["usage"]["output_tokens"], 9);
    assert_eq!(message["usage"]["output_tokens_details"]["thinking_tokens"], 2);
}

/// Clients show the cost of a turn from its first event on (peers row 9).
#[test]
fn the_first_event_holds_a_local_estimate_and_the_last_the_truth() {
    let out = encode(&[start(), stop(StopReason::EndTurn), usage(7), Event::End]);
    let list = events(&out);
    assert_eq!(list[0].1["message"]["usage"]["input_tokens"], 42);
    assert_eq!(list[0].1["message"]["usage"]["output_tokens"], 1);
    assert_eq!(list[1].1["usage"]["input_tokens"], 10);
}

/// Peers rows 10 and 11.
#[test]
fn usage_that_comes_after_the_stop_is_waited_for_and_the_last_one_holds() {
    let out = encode(&[start(), usage(1), stop(StopReason::EndTurn), usage(3), usage(7), Event::End]);
    assert_eq!(assemble(&out)["usage"]["output_tokens"], 9);
    let none = encode(&[start(), stop(StopReason::EndTurn), Event::End]);
    assert_eq!(assemble(&none)["usage"]["input_tokens"], 42);
}

/// Peers row 4: overlapping calls become one block after the other, none is lost.
#[test]
fn overlapping_calls_are_written_one_after_the_other() {
    let out = encode(&[
        start(),
        call(0, "a"),
        call(1, "b"),
        arguments(1, "{\"x\":"),
        arguments(0, "{\"y\""),
        call(2, "c"),
        arguments(1, "1}"),
        Event::PartEnd { index: 1 },
        arguments(0, ":2}"),
        Event::PartEnd { index: 0 },
        Event::PartEnd { index: 2 },
        stop(StopReason::EndTurn),
        Event::End,
    ]);
    let message = assemble(&out);
    assert_eq!(
        message["content"],
        json!([
            {"type":"tool_use","id":"a","name":"f","input":{"y":2}},
            {"type":"tool_use","id":"b","name":"f","input":{"x":1}},
            {"type":"tool_use","id":"c","name":"f","input":{}},
        ])
    );
    assert_eq!(message["stop_reason"], "tool_use", "also where the upstream said stop");
}

#[test]
fn arguments_that_are_no_object_still_give_one() {
    let input = |fragments: &[&str]| {
        let mut list = vec![start(), call(0, "")];
        list.extend(fragments.iter().map(|fragment| arguments(0, fragment)));
        list.extend([Event::PartEnd { index: 0 }, stop(StopReason::ToolUse), Event::End]);
        let message = assemble(&encode(&list));
        assert_eq!(message["content"][0]["id"], "toolu_0198c1d2e3f40718a9b0c1d2e3f40718_0");
        message["content"][0]["input"].clone()
    };
    for nothing in [&[][..], &[""], &["", " \n"], &["null"], &["\"\""], &["{}"], &[" ", "{", "}"]] {
        assert_eq!(input(nothing), json!({}), "{nothing:?}");
    }
    assert_eq!(input(&["[1", "]"]), json!({"arguments": "[1]"}));
    assert_eq!(input(&["hello"]), json!({"arguments": "hello"}));
}

#[test]
fn a_call_cut_by_the_limit_keeps_its_fragment_and_says_max_tokens() {
    let out = encode(&[start(), call(0, "a"), arguments(0, "{\"x\":\"ab"), stop(StopReason::MaxTokens), Event::End]);
    let message = assemble(&out);
    assert_eq!(message["content"][0]["input"], json!({"cut": "{\"x\":\"ab"}));
    assert_eq!(message["stop_reason"], "max_tokens");
}

/// Peers row 1: a proof that comes as a part of its own ends the thought before it, and thinking
/// without a proof gets an empty seal.
#[test]
fn a_thought_and_its_proof_are_one_block() {
    let thought = |proof: Option<&str>| {
        let mut list = vec![
            start(),
            part(0, PartStart::Reasoning),
            Event::Delta { index: 0, delta: Delta::Reasoning(text("let me")) },
            Event::PartEnd { index: 0 },
        ];
        if let Some(proof) = proof {
            list.push(part(1, PartStart::Reasoning));
            list.push(Event::Delta { index: 1, delta: Delta::Signature(text(proof)) });
            list.push(Event::PartEnd { index: 1 });
        }
        list.extend([stop(StopReason::EndTurn), Event::End]);
        assemble(&encode(&list))["content"].clone()
    };
    assert_eq!(thought(Some("sig")), json!([{"type":"thinking","thinking":"let me","signature":"sig"}]));
    let sealed = thought(None)[0]["signature"].as_str().unwrap().to_owned();
    assert_eq!(seal().open(&sealed).unwrap().payload, b"");
}

#[test]
fn a_proof_after_a_text_is_written_where_more_follows_and_never_ends_an_answer() {
    let said = |index| {
        let delta = Event::Delta { index, delta: Delta::Text(text("said")) };
        [part(index, PartStart::Text), delta, Event::PartEnd { index }]
    };
    let proof = Event::Delta { index: 1, delta: Delta::Signature(text("PROOF")) };
    let mut answer = vec![start()];
    answer.extend(said(0));
    answer.extend([part(1, PartStart::Reasoning), proof, Event::PartEnd { index: 1 }]);
    let ending = [stop(StopReason::EndTurn), Event::End];
    let alone = encode(&[answer.clone(), ending.to_vec()].concat());
    assert!(!alone.contains("thinking") && alone.contains("message_stop"), "{alone}");
    let followed = encode(&[answer, said(2).to_vec(), ending.to_vec()].concat());
    let kinds: Vec<_> = assemble(&followed)["content"].as_array().unwrap().iter().map(|b| b["type"].clone()).collect();
    assert_eq!(kinds, ["text", "thinking", "text"]);
    assert_eq!(assemble(&followed)["content"][1]["signature"], "PROOF");
}

#[test]
fn a_refusal_is_a_text_and_the_reason() {
    let out = encode(&[
        start(),
        part(0, PartStart::Refusal),
        Event::Delta { index: 0, delta: Delta::Refusal(text("no")) },
        Event::PartEnd { index: 0 },
        stop(StopReason::EndTurn),
        Event::End,
    ]);
    let message = assemble(&out);
    assert_eq!(message["content"], json!([{"type":"text","text":"no"}]));
    assert_eq!(message["stop_reason"], "refusal");
}

#[test]
fn other_choices_and_content_unknown_to_the_sdk_do_not_reach_the_client() {
    let other = |tag: &str, json: &'static str| part(9, PartStart::Other { tag: text(tag), json: Raw::new(json) });
    let out = encode(&[
        start(),
        Event::PartStart { index: 1, choice: 1, part: PartStart::Text },
        Event::Delta { index: 1, delta: Delta::Text(text("second")) },
        Event::PartEnd { index: 1 },
        Event::Stop { choice: 1, stop: Stop::of(StopReason::MaxTokens) },
        other("image_url", r#"{"type":"image_url"}"#),
        Event::PartEnd { index: 9 },
        stop(StopReason::EndTurn),
        Event::End,
    ]);
    let message = assemble(&out);
    assert_eq!(message["content"], json!([]));
    assert_eq!(message["stop_reason"], "end_turn");
}

#[test]
fn an_error_is_the_last_event_and_carries_the_request_id() {
    let error = crate::error::Error::new(Kind::UpstreamOverloaded, "overloaded");
    let out = encode(&[start(), part(0, PartStart::Text), Event::Error(error), Event::End]);
    assert!(out.ends_with("\n\n"));
    let last = assemble(&out);
    assert_eq!(last["error"]["type"], "overloaded_error");
    assert_eq!(last["request_id"], "0198c1d2-e3f4-0718-a9b0-c1d2e3f40718");
}

#[test]
fn every_kind_of_block_passes_through_decoder_and_encoder() {
    let blocks = vec![
        block(
            0,
            &json!({"type":"thinking","thinking":"","signature":""}),
            &[
                json!({"type":"thinking_delta","thinking":"hm","estimated_tokens":3}),
                json!({"type":"signature_delta","signature":"sig=="}),
            ],
        ),
        block(1, &json!({"type":"redacted_thinking","data":"d"}), &[]),
        block(
            2,
            &json!({"type":"text","text":"","citations":[]}),
            &[
                json!({"type":"citations_delta","citation":{"type":"char_location","cited_text":"c"}}),
                json!({"type":"text_delta","text":"A"}),
            ],
        ),
        block(
            3,
            &json!({"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}),
            &[json!({"type":"input_json_delta","partial_json":"{\"q\":1}"})],
        ),
        block(4, &json!({"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]}), &[]),
        block(
            5,
            &json!({"type":"tool_use","id":"toolu_1","name":"f","input":{}}),
            &[
                json!({"type":"input_json_delta","partial_json":""}),
                json!({"type":"input_json_delta","partial_json":"{\"a\":1}"}),
            ],
        ),
        block(
            6,
            &json!({"type":"thinking","thinking":"","signature":""}),
            &[json!({"type":"signature_delta","signature":"s2"})],
        ),
    ];
    let source = stream(blocks, "tool_use");
    let message = assemble(&again(&source));
    assert_eq!(
        message["content"],
        json!([
            {"type":"thinking","thinking":"hm","signature":"sig=="},
            {"type":"redacted_thinking","data":"d"},
            {"type":"text","text":"A","citations":[{"type":"char_location","cited_text":"c"}]},
            {"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"q":1}},
            {"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]},
            {"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}},
            {"type":"thinking","thinking":"","signature":"s2"},
        ])
    );
    assert_eq!(message["usage"]["input_tokens"], 10);
    assert_eq!(message["usage"]["output_tokens"], 7);
    assert_eq!(message["usage"]["service_tier"], "standard");
}

#[test]
fn blocks_that_hold_something_at_their_start_lose_nothing() {
    let blocks = vec![
        block(0, &json!({"type":"text","text":"whole","citations":[{"type":"page_location"}]}), &[]),
        block(1, &json!({"type":"thinking","thinking":"t","signature":"s"}), &[]),
        block(2, &json!({"type":"tool_use","id":"i","name":"f","input":{"a":[1]}}), &[]),
    ];
    let message = assemble(&again(&stream(blocks, "tool_use")));
    assert_eq!(
        message["content"],
        json!([
            {"type":"text","text":"whole","citations":[{"type":"page_location"}]},
            {"type":"thinking","thinking":"t","signature":"s"},
            {"type":"tool_use","id":"i","name":"f","input":{"a":[1]}},
        ])
    );
}

#[test]
fn reasons_to_stop_survive() {
    for reason in ["end_turn", "max_tokens", "stop_sequence", "refusal", "pause_turn", "model_context_window_exceeded"]
    {
        let message = assemble(&again(&stream(Vec::new(), reason)));
        assert_eq!(message["stop_reason"], reason);
    }
    assert_eq!(assemble(&again(&stream(Vec::new(), "brand_new")))["stop_reason"], "end_turn");
}

#[test]
fn two_starts_and_reused_indexes_are_one_answer() {
    let mut list = vec![message_start()];
    list.push(json!({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}));
    list.push(message_start());
    list.extend(block(0, &json!({"type":"text","text":"b"}), &[]));
    list.extend(closing("end_turn"));
    list.push(message_start());
    list.extend(block(0, &json!({"type":"text","text":"of another answer"}), &[]));
    let message = assemble(&again(&sse(&list)));
    assert_eq!(message["content"], json!([{"type":"text","text":"a"},{"type":"text","text":"b"}]));
}

#[test]
fn calls_that_overlap_keep_their_arguments() {
    let begin = |index: u32, id: &str| json!({"type":"content_block_start","index":index,"content_block":{"type":"tool_use","id":id,"name":"f","input":{}}});
    let fragment = |index: u32, s: &str| json!({"type":"content_block_delta","index":index,"delta":{"type":"input_json_delta","partial_json":s}});
    let end = |index: u32| json!({"type":"content_block_stop","index":index});
    let mut list = vec![message_start(), begin(0, "a"), begin(1, "b")];
    list.extend([fragment(0, "{\"a\":"), fragment(1, "{\"b\":1}"), fragment(0, "1}"), end(0), end(1)]);
    // One that was never ended, and a number used again.
    list.extend([begin(2, "c"), begin(2, "d"), fragment(2, "{\"d\":1}")]);
    list.extend(block(3, &json!({"type":"text","text":"t"}), &[]));
    list.extend(closing("tool_use"));
    let message = assemble(&again(&sse(&list)));
    assert_eq!(
        message["content"],
        json!([
            {"type":"tool_use","id":"a","name":"f","input":{"a":1}},
            {"type":"tool_use","id":"b","name":"f","input":{"b":1}},
            {"type":"tool_use","id":"c","name":"f","input":{}},
            {"type":"tool_use","id":"d","name":"f","input":{"d":1}},
            {"type":"text","text":"t"},
        ])
    );
    let seen = decode(&sse(&list));
    let text_starts = seen.iter().position(|event| event.contains("PartStart") && event.contains("Text")).unwrap();
    let ends = |list: &[String]| list.iter().filter(|event| event.starts_with("PartEnd")).count();
    assert_eq!((ends(&seen[..text_starts]), ends(&seen)), (4, 5), "{seen:?}");
}

#[test]
fn an_error_event_ends_the_stream_with_its_kind() {
    let list = [
        message_start(),
        json!({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}),
        json!({"type":"message_stop"}),
    ];
    let seen = decode(&sse(&list));
    assert_eq!(seen.last().unwrap(), "Error(UpstreamOverloaded: Overloaded)");
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_stream_without_an_end_is_cut_unless_it_had_its_reason() {
    let whole = stream(vec![block(0, &json!({"type":"text","text":"a"}), &[])], "end_turn");
    let without_stop = whole.split("event: message_stop").next().unwrap();
    assert_eq!(decode(without_stop).last().unwrap(), "End");
    let without_reason = whole.split("event: message_delta").next().unwrap();
    assert!(decode(without_reason).last().unwrap().starts_with("Error(UpstreamFailed"));
    assert!(decode("").last().unwrap().starts_with("Error(UpstreamFailed"));
}

#[test]
fn what_is_unknown_or_left_out_does_no_harm() {
    let list = [
        json!({"type":"new_event","x":1}),
        json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}),
        json!({"type":"content_block_delta","index":0,"delta":{"type":"new_delta"}}),
        json!({"type":"content_block_delta","index":7,"delta":{"type":"input_json_delta","partial_json":"{"}}),
        json!({"type":"content_block_stop","index":9}),
        json!({"type":"message_stop"}),
    ];
    let message = assemble(&again(&(sse(&list) + "data: [DONE]\n\n")));
    assert_eq!(message["content"], json!([{"type":"text","text":"a"}]));
    assert_eq!(message["model"], "c");
    assert!(decode("event: x\ndata: {broken\n\n").last().unwrap().starts_with("Error(UpstreamFailed"));
}

proptest! {
    /// Whatever events come, in whatever order: the output keeps the grammar.
    #[test]
    fn any_events_give_a_valid_stream(steps in proptest::collection::vec((0_u8..9, 0_u32..4), 0..40)) {
        let mut list = vec![start()];
        for (step, index) in steps {
            list.push(match step {
                0 => part(index, PartStart::Text),
                1 => part(index, PartStart::Reasoning),
                2 => call(index, "id"),
                3 => part(index, PartStart::ReasoningDetails),
                4 => Event::PartEnd { index },
                5 => arguments(index, "{}"),
                6 => Event::Delta { index, delta: Delta::Text(text("t")) },
                7 => Event::Delta { index, delta: Delta::Reasoning(text("r")) },
                _ => usage(1),
            });
        }
        list.push(Event::End);
        assemble(&encode(&list));
    }

    /// Whatever an upstream sends: the decoder ends the stream exactly once, and parts are closed.
    #[test]
    fn any_data_is_read_without_harm(frames in proptest::collection::vec("[ -~]{0,40}|\\{\"type\":\"(message_start|content_block_start|content_block_delta|content_block_stop|message_delta|message_stop|ping)\",\"index\":[0-3],\"content_block\":\\{\"type\":\"(text|thinking|tool_use|x)\",\"text\":\"\",\"thinking\":\"\",\"id\":\"i\",\"name\":\"n\"\\},\"delta\":\\{\"type\":\"(text_delta|thinking_delta|x)\",\"text\":\"a\",\"thinking\":\"b\",\"stop_reason\":\"end_turn\"\\}\\}", 0..20)) {
        let source: String = frames.iter().map(|data| format!("data: {data}\n\n")).collect();
        let seen = decode(&source);
        let ends = seen.iter().filter(|event| *event == "End" || event.starts_with("Error(")).count();
        prop_assert_eq!(ends, 1);
        let out = again(&source);
        assemble(&out);
    }
}
