#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::grammar::{assemble, events};
use super::{Decoder, Encoder};
use crate::error::{Error, Kind};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Delta, Event, PartStart, Stop, StopReason};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Client, Decode as _, Encode as _, Quirks};

fn client(seal: &Seal) -> Client<'_> {
    Client {
        created: 1,
        input_estimate_tokens: 42,
        ..Client::of("client-model", "0198c1d2e3f40718a9b0c1d2e3f40718", seal)
    }
}

fn text(s: &str) -> Str<'static> {
    Str::from_text(s)
}

fn decode(chunks: &[Value]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(&Quirks::NONE);
    let mut sink = |event: &Event<'_>| seen.push(short(event));
    chunks.iter().for_each(|chunk| decoder.event("", &chunk.to_string(), &mut sink));
    decoder.finish(&mut sink);
    seen
}

/// An event in few words.
fn short(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, model, .. } => format!("start {id:?} {model:?}"),
        Event::PartStart { index, choice, part } => match part {
            PartStart::ToolCall { id, name, .. } => format!("+{index}/{choice} call {} {}", id.text(), name.text()),
            PartStart::Other { tag, json } => format!("+{index}/{choice} {} {}", tag.text(), json.get()),
            part => format!("+{index}/{choice} {part:?}"),
        },
        Event::Delta { index, delta } => match delta {
            Delta::Text(s) | Delta::Reasoning(s) | Delta::Arguments(s) | Delta::Refusal(s) => {
                format!("{index} {}", s.text())
            }
            Delta::Signature(s) => format!("{index} signed {}", s.text()),
            other => format!("{index} {other:?}"),
        },
        Event::PartEnd { index } => format!("-{index}"),
        Event::Usage(usage) => format!("usage {}+{}", usage.input_tokens(), usage.output_tokens()),
        Event::Stop { choice, stop } => format!("stop {choice} {:?}", stop.reason),
        Event::Error(error) => format!("error {:?}", error.kind()),
        Event::Ping => "ping".to_owned(),
        Event::End => "end".to_owned(),
    }
}

fn chunk(parts: &Value) -> Value {
    json!({"candidates":[{"content":{"parts":parts,"role":"model"},"index":0}],"modelVersion":"g","responseId":"r"})
}

fn last(parts: &Value, reason: &str) -> Value {
    let mut it = chunk(parts);
    it["candidates"][0]["finishReason"] = json!(reason);
    it["usageMetadata"] = json!({"promptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":1});
    it
}

#[test]
fn texts_thoughts_and_signatures_are_parts() {
    let seen = decode(&[
        chunk(&json!([{"text":"hm","thought":true}])),
        chunk(&json!([{"text":"!","thought":true},{"text":"Hel"}])),
        chunk(&json!([{"text":"lo"}])),
        last(&json!([{"text":"","thoughtSignature":"sig"}]), "STOP"),
    ]);
    assert_eq!(
        seen,
        [
            r#"start Some("r") Some("g")"#,
            "+0/0 Reasoning",
            "0 hm",
            "0 !",
            "-0",
            "+1/0 Text",
            "1 Hel",
            "1 lo",
            "usage 5+3",
            "-1",
            "+2/0 Reasoning",
            "2 signed sig",
            "-2",
            "stop 0 EndTurn",
            "end"
        ]
    );
}

#[test]
fn an_answer_that_broke_off_is_an_error_behind_its_counts() {
    let broken =
        decode(&[chunk(&json!([{"text":"a"}])), last(&json!([]), "MALFORMED_FUNCTION_CALL"), chunk(&json!([]))]);
    assert_eq!(broken[2..], ["0 a", "usage 5+3", "error UpstreamFailed"]);
    let call = json!([{"functionCall":{"name":"f","args":{}}}]);
    assert_eq!(decode(&[last(&call, "UNEXPECTED_TOOL_CALL")]).last().unwrap(), "end");
    assert_eq!(decode(&[last(&json!([]), "UNEXPECTED_TOOL_CALL")]).last().unwrap(), "error UpstreamFailed");
}

#[test]
fn a_signed_text_and_a_signed_call_follow_their_signature() {
    let seen = decode(&[
        chunk(&json!([{"text":"a","thoughtSignature":"s1"},{"text":"b"}])),
        last(
            &json!([{"functionCall":{"name":"f","args":{"x":1}},"thoughtSignature":"s2"},
            {"functionCall":{"id":"own","name":"g"}}]),
            "STOP",
        ),
    ]);
    assert_eq!(
        seen[1..],
        [
            "+0/0 Reasoning",
            "0 signed s1",
            "-0",
            "+1/0 Text",
            "1 a",
            "-1",
            "+2/0 Text",
            "2 b",
            "usage 5+3",
            "-2",
            "+3/0 Reasoning",
            "3 signed s2",
            "-3",
            "+4/0 call call_r_0 f",
            "4 {\"x\":1}",
            "-4",
            "+5/0 call own g",
            "5 {}",
            "-5",
            "stop 0 ToolUse",
            "end"
        ]
    );
}

#[test]
fn arguments_in_pieces_are_one_call() {
    let piece = |path: &str, value: &str, more: bool| json!([{"functionCall":{"partialArgs":[{"jsonPath":path,"stringValue":value,"willContinue":more}],"willContinue":true}}]);
    let seen = decode(&[
        chunk(&json!([{"functionCall":{"name":"f","willContinue":true},"thoughtSignature":"s"}])),
        chunk(&piece("$.a", "x", true)),
        chunk(&piece("$.a", "y", false)),
        chunk(&json!([{"functionCall":{}}])),
        chunk(&json!([{"functionCall":{"name":"g"}}])),
        last(&json!([{"functionCall":{}}, {"text":""}]), "STOP"),
    ]);
    assert_eq!(
        seen[4..],
        [
            "+1/0 call call_r_0 f",
            "1 {\"a\":\"xy\"}",
            "-1",
            "+2/0 call call_r_1 g",
            "2 {}",
            "-2",
            "usage 5+3",
            "stop 0 ToolUse",
            "end"
        ]
    );
}

#[test]
fn candidates_and_what_stands_beside_them() {
    let two = json!({"candidates":[{"content":{"parts":[{"text":"b"}]},"index":1,"finishReason":"MAX_TOKENS"},
        {"content":{"parts":[{"text":"a"}]},"finishReason":"STOP","groundingMetadata":{"x":1}}]});
    let again = json!({"candidates":[{"content":{"parts":[{"executableCode":{"code":"1"}}]},"finishReason":"STOP","groundingMetadata":{"x":2}}]});
    assert_eq!(
        decode(&[two, again]),
        [
            "start None None",
            "+0/1 Text",
            "0 b",
            "+1/0 Text",
            "1 a",
            "-1",
            r#"+2/0 executableCode {"executableCode":{"code":"1"}}"#,
            "-2",
            r#"+3/0 candidate {"groundingMetadata":{"x":2}}"#,
            "-3",
            "-0",
            "stop 0 EndTurn",
            "stop 1 MaxTokens",
            "end"
        ]
    );
}

#[test]
fn log_probabilities_come_with_their_text() {
    let mut first = chunk(&json!([{"text":"a"}]));
    first["candidates"][0]["logprobsResult"] = json!({"chosenCandidates":[{"token":"a","logProbability":-1}]});
    let seen = decode(&[first, last(&json!([{"text":"b"}]), "STOP")]);
    let at = seen.iter().position(|event| event == "0 a").unwrap();
    let told = r#"{"content":[{"token":"a","logprob":-1,"bytes":null,"top_logprobs":[]}],"refusal":null}"#;
    assert!(seen[at - 1].starts_with("0 Logprobs") && seen[at - 1].contains(told), "{seen:?}");
    assert_eq!(seen.iter().filter(|event| event.contains("Logprobs")).count(), 1, "{seen:?}");
}

#[test]
fn blocked_prompts_refuse_and_cut_streams_fail() {
    let blocked = json!({"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"no"},"responseId":"r"});
    let seen = decode(&[blocked]);
    assert_eq!(seen[1..], ["+0/0 Refusal", "0 no", "-0", "stop 0 Refusal", "end"]);
    assert_eq!(decode(&[chunk(&json!([{"text":"a"}]))]).last().unwrap(), "error UpstreamFailed");
    assert_eq!(decode(&[]), ["error UpstreamFailed"]);
    let limited = json!({"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"slow"}});
    assert_eq!(decode(&[limited, chunk(&json!([]))]), ["error UpstreamRateLimited"]);
    let mut seen = Vec::new();
    Decoder::new(&Quirks::NONE).event("", "{nonsense", &mut |event| seen.push(short(event)));
    assert_eq!(seen, ["error UpstreamFailed"]);
}

fn encode(list: &[Event<'_>]) -> String {
    let seal = Seal::new("chat", b"k");
    let mut encoder = Encoder::new(&client(&seal));
    let mut out = Vec::new();
    list.iter().for_each(|event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn part(index: u32, part: PartStart<'static>) -> Event<'static> {
    Event::PartStart { index, choice: 0, part }
}

fn call(index: u32, id: &str) -> Event<'static> {
    part(index, PartStart::ToolCall { id: text(id), name: text("f"), custom: false })
}

fn delta(index: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta { index, delta }
}

fn stop(reason: StopReason) -> Event<'static> {
    Event::Stop { choice: 0, stop: Stop::of(reason) }
}

#[test]
fn an_answer_of_another_format_is_written() {
    let sse = encode(&[
        Event::Start {
            id: Some(text("chatcmpl-1")),
            model: Some(text("m")),
            created: None,
            usage: None,
            service_tier: None,
        },
        part(0, PartStart::Reasoning),
        delta(0, Delta::Reasoning(text("hm"))),
        delta(0, Delta::Signature(text("c2ln"))),
        Event::PartEnd { index: 0 },
        Event::Ping,
        part(1, PartStart::Text),
        delta(1, Delta::Text(text("a\n"))),
        delta(1, Delta::Text(text("b"))),
        Event::PartEnd { index: 1 },
        part(2, PartStart::Reasoning),
        delta(2, Delta::Signature(text("ride"))),
        Event::PartEnd { index: 2 },
        call(3, "toolu_1"),
        call(4, ""),
        delta(3, Delta::Arguments(text("{\"x\""))),
        delta(4, Delta::Arguments(text("{\"cut"))),
        delta(3, Delta::Arguments(text(":1}"))),
        Event::PartEnd { index: 3 },
        Event::PartEnd { index: 4 },
        stop(StopReason::ToolUse),
        Event::Usage(Usage {
            fresh_input_tokens: 3,
            visible_output_tokens: 4,
            reasoning_tokens: 1,
            ..Usage::default()
        }),
        Event::End,
    ]);
    let answer = assemble(&sse);
    assert_eq!(
        answer["candidates"],
        json!([{"content":{"parts":[
            {"text":"hm","thought":true},
            {"text":"","thought":true,"thoughtSignature":"c2ln"},
            {"text":"a\nb"},
            {"functionCall":{"id":"toolu_1","name":"f","args":{"x":1}},"thoughtSignature":"ride"},
            {"functionCall":{"name":"f","args":{"arguments":"{\"cut"}}},
            {"text":""}],"role":"model"},"finishReason":"STOP","index":0}])
    );
    assert_eq!((&answer["modelVersion"], &answer["responseId"]), (&json!("m"), &json!("chatcmpl-1")));
    assert_eq!(answer["usageMetadata"]["totalTokenCount"], 8);
}

#[test]
fn what_rides_on_nothing_rides_on_an_empty_text() {
    let sealed = Seal::new("x", b"k").close(b"state");
    let candidate = json!({"groundingMetadata":{"x":1}}).to_string();
    let sse = encode(&[
        part(0, PartStart::Reasoning),
        delta(0, Delta::Signature(text(&sealed))),
        Event::PartEnd { index: 0 },
        part(1, PartStart::Other { tag: text("candidate"), json: Raw::owned(candidate) }),
        Event::PartEnd { index: 1 },
        part(2, PartStart::Other { tag: text("image_url"), json: Raw::new("{}") }),
        Event::PartEnd { index: 2 },
        stop(StopReason::MaxTokens),
        Event::End,
    ]);
    let answer = assemble(&sse);
    let candidate = &answer["candidates"][0];
    assert_eq!((&candidate["finishReason"], &candidate["groundingMetadata"]["x"]), (&json!("MAX_TOKENS"), &json!(1)));
    let parts = candidate["content"]["parts"].as_array().unwrap();
    assert_eq!((parts.len(), &parts[0]["text"]), (1, &json!("")));
    // It comes back as it was.
    let mut back = Vec::new();
    let mut decoder = Decoder::new(&Quirks::NONE);
    events(&sse).iter().for_each(|event| decoder.event("", &event.to_string(), &mut |event| back.push(short(event))));
    assert!(back.contains(&format!("0 signed {sealed}")), "{back:?}");
}

#[test]
fn an_answer_without_anything_is_one() {
    let answer = assemble(&encode(&[stop(StopReason::Refusal), Event::End, Event::Ping]));
    assert_eq!(answer["candidates"][0]["finishReason"], "SAFETY");
    assert_eq!(answer["modelVersion"], "client-model");
}

#[test]
fn an_error_is_the_last_event() {
    let sse = encode(&[
        part(0, PartStart::Text),
        delta(0, Delta::Text(text("a"))),
        Event::Error(Error::new(Kind::UpstreamTimeout, "too slow")),
        Event::End,
    ]);
    let error = assemble(&sse);
    assert_eq!(
        (&error["error"]["status"], &error["error"]["message"]),
        (&json!("DEADLINE_EXCEEDED"), &json!("too slow"))
    );
    assert!(sse.contains("\"requestId\":\"0198c1d2-e3f4-0718-a9b0-c1d2e3f40718\""));
}

/// Arguments that the model laid out over several lines stay one line of the event.
#[test]
fn an_event_is_one_line_whatever_the_arguments_are() {
    let sse = encode(&[
        part(0, PartStart::ToolCall { id: text("c"), name: text("f"), custom: false }),
        delta(0, Delta::Arguments(text("{\n    \"city\": \"New\\nYork\"\r\n}"))),
        Event::PartEnd { index: 0 },
        stop(StopReason::ToolUse),
        Event::End,
    ]);
    let answer = assemble(&sse);
    assert_eq!(answer["candidates"][0]["content"]["parts"][0]["functionCall"]["args"], json!({"city": "New\nYork"}));
}
