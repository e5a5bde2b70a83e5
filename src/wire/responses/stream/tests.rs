#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::grammar::{assemble, events};
use super::{Decoder, Encoder};
use crate::error::{Error, Kind};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Delta, Event, PartStart, Stop, StopReason};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Client, Decode as _, Encode as _, Quirks};

const REQUEST: &str = r#"{"model":"m","tools":[{"type":"custom","name":"patch"},
    {"type":"namespace","name":"web","tools":[{"type":"function","name":"open"}]}],"instructions":"be brief"}"#;

fn with_client<T>(then: impl FnOnce(&Client<'_>) -> T) -> T {
    let seal = Seal::new("chat", b"k");
    then(&Client { created: 7, request: REQUEST, ..Client::of("client-model", "0198", &seal) })
}

fn encode(list: &[Event<'_>]) -> String {
    let mut encoder = with_client(Encoder::new);
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

fn call(index: u32, name: &str, custom: bool) -> Event<'static> {
    part(index, PartStart::ToolCall { id: text(&format!("call_{index}")), name: text(name), custom })
}

fn delta(index: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta { index, delta }
}

fn closing(reason: StopReason) -> Vec<Event<'static>> {
    let usage = Usage { fresh_input_tokens: 3, visible_output_tokens: 4, ..Usage::default() };
    vec![Event::Stop { choice: 0, stop: Stop::of(reason) }, Event::Usage(usage), Event::End]
}

fn answer(parts: Vec<Event<'static>>, reason: StopReason) -> Value {
    let mut list = vec![start()];
    list.extend(parts);
    list.extend(closing(reason));
    assemble(&encode(&list))
}

fn decode(list: &[Value]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(&Quirks::NONE);
    let mut sink = |event: &Event<'_>| seen.push(format!("{event:?}"));
    for data in list {
        decoder.event("", &data.to_string(), &mut sink);
    }
    decoder.finish(&mut sink);
    seen
}

/// Decodes and encodes again.
fn again(sse: &str) -> String {
    let (mut decoder, mut encoder, mut out) = (Decoder::new(&Quirks::NONE), with_client(Encoder::new), Vec::new());
    for data in events(sse) {
        decoder.event("", &data.to_string(), &mut |event| encoder.event(event, &mut out));
    }
    decoder.finish(&mut |event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_text_has_the_exact_events() {
    let mut list =
        vec![start(), part(0, PartStart::Text), delta(0, Delta::Text(text("Hé"))), Event::PartEnd { index: 0 }];
    list.extend(closing(StopReason::EndTurn));
    let sse = encode(&list);
    let names: Vec<String> = events(&sse).iter().map(|data| data["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed"
        ]
    );
    let answer = assemble(&sse);
    assert_eq!(answer["id"], "resp_0198");
    assert_eq!(answer["instructions"], "be brief");
    assert_eq!(answer["output"][0]["content"][0]["text"], "Hé");
    assert_eq!(answer["usage"]["input_tokens"], 3);
}

#[test]
fn thoughts_calls_and_their_proofs_are_items() {
    let it = answer(
        vec![
            part(0, PartStart::Reasoning),
            delta(0, Delta::Reasoning(text("hm"))),
            delta(0, Delta::Signature(text("weirseal1-"))),
            delta(0, Delta::Signature(text("x"))),
            Event::PartEnd { index: 0 },
            call(1, "web__open", false),
            call(2, "get", false),
            delta(2, Delta::Arguments(text("{\"a\":"))),
            delta(1, Delta::Arguments(text("{}"))),
            delta(2, Delta::Arguments(text("1}"))),
            Event::PartEnd { index: 1 },
            Event::PartEnd { index: 2 },
            call(3, "get", false),
            Event::PartEnd { index: 3 },
        ],
        StopReason::ToolUse,
    );
    let output = &it["output"];
    assert_eq!(output[0]["summary"], json!([{"type":"summary_text","text":"hm"}]));
    assert_eq!(output[0]["encrypted_content"], "weirseal1-x");
    assert_eq!((&output[1]["namespace"], &output[1]["name"]), (&json!("web"), &json!("open")));
    assert_eq!(output[2]["arguments"], "{\"a\":1}");
    assert_eq!(output[3]["arguments"], "{}");
    assert_eq!(it["status"], "completed");
}

#[test]
fn addresses_that_other_formats_cite_are_annotations() {
    let cite = |json: &str| delta(0, Delta::Citation(Raw::new(json).into_owned()));
    let anthropic = r#"{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"c"}"#;
    let chat =
        r#"{"type":"url_citation","url_citation":{"url":"https://b","title":"B","start_index":1,"end_index":2}}"#;
    let document = r#"{"type":"char_location","document_index":0,"cited_text":"c"}"#;
    let mut list = vec![start(), part(0, PartStart::Text), delta(0, Delta::Text(text("a\né")))];
    list.extend([cite(anthropic), cite(chat), cite(document), Event::PartEnd { index: 0 }]);
    list.extend(closing(StopReason::EndTurn));
    let out = encode(&list);
    let made = [
        r#"{"type":"url_citation","start_index":0,"end_index":3,"url":"https://a","title":"A"}"#,
        r#"{"type":"url_citation","start_index":1,"end_index":2,"url":"https://b","title":"B"}"#,
    ];
    for (index, annotation) in made.iter().enumerate() {
        assert!(out.contains(&format!(r#""annotation_index":{index},"annotation":{annotation}"#)), "{out}");
    }
    assert_eq!(out.matches("annotation.added\ndata").count(), 2);
    assert!(out.contains(&format!(r#""annotations":[{}],"logprobs":[]"#, made.join(","))), "{out}");
}

/// Nobody told what was used: that is not nothing.
#[test]
fn an_answer_that_breaks_off_has_the_usage_that_is_known() {
    let failed = |usage: Option<Usage>| {
        let error = Event::Error(Error::new(Kind::UpstreamFailed, "cut"));
        let list: Vec<Event<'_>> = [start()].into_iter().chain(usage.map(Event::Usage)).chain([error]).collect();
        let out = encode(&list);
        let data = out.rsplit("data: ").next().unwrap();
        serde_json::from_str::<Value>(data).unwrap()["response"]["usage"].clone()
    };
    assert_eq!(failed(None), Value::Null);
    let known = Usage { fresh_input_tokens: 3, ..Usage::default() };
    assert_eq!(failed(Some(known))["input_tokens"], 3);
}

#[test]
fn a_custom_tool_gets_its_text_however_it_comes() {
    let it = answer(
        vec![
            call(0, "patch", false),
            delta(0, Delta::Arguments(text("{\"input\":\"*** Be"))),
            delta(0, Delta::Arguments(text("gin\\n\"}"))),
            Event::PartEnd { index: 0 },
            call(1, "patch", true),
            delta(1, Delta::Input(text("raw"))),
            Event::PartEnd { index: 1 },
        ],
        StopReason::ToolUse,
    );
    assert_eq!(it["output"][0]["type"], "custom_tool_call");
    assert_eq!(it["output"][0]["input"], "*** Begin\n");
    assert_eq!(it["output"][1]["input"], "raw");
}

#[test]
fn log_probabilities_stand_where_the_whole_text_does() {
    let entry = |token: &str| {
        let byte = token.as_bytes()[0];
        format!(r#"{{"token":"{token}","logprob":-0.1,"bytes":[{byte}],"top_logprobs":[]}}"#)
    };
    let told = |token: &str| Delta::Logprobs(Raw::owned(format!(r#"{{"content":[{}],"refusal":null}}"#, entry(token))));
    let mut list = vec![start(), part(0, PartStart::Text)];
    for token in ["a", "b"] {
        list.extend([delta(0, told(token)), delta(0, Delta::Text(text(token)))]);
    }
    list.push(Event::PartEnd { index: 0 });
    list.extend(closing(StopReason::EndTurn));
    let out = encode(&list);
    let all = format!(r#""logprobs":[{},{}]"#, entry("a"), entry("b"));
    // The text's own event, its part's, its item's and the answer's.
    assert_eq!(out.matches(&all).count(), 4, "{out}");
    assemble(&out);
}

#[test]
fn endings_have_their_event() {
    let said = || vec![part(0, PartStart::Text), delta(0, Delta::Text(text("a"))), Event::PartEnd { index: 0 }];
    let cut = answer(said(), StopReason::MaxTokens);
    assert_eq!(cut["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(cut["output"][0]["status"], "incomplete");
    let calls =
        vec![call(0, "get", false), call(1, "get", false), Event::PartEnd { index: 1 }, Event::PartEnd { index: 0 }];
    let cut = answer(calls, StopReason::MaxTokens);
    assert_eq!((&cut["output"][0]["status"], &cut["output"][1]["status"]), (&json!("completed"), &json!("incomplete")));
    let filtered = answer(said(), StopReason::Refusal);
    assert_eq!(filtered["incomplete_details"]["reason"], "content_filter");
    let refusal = vec![part(0, PartStart::Refusal), delta(0, Delta::Refusal(text("no"))), Event::PartEnd { index: 0 }];
    assert_eq!(answer(refusal, StopReason::Refusal)["status"], "completed");
    let mut broken = vec![start(), part(0, PartStart::Text), delta(0, Delta::Text(text("a")))];
    broken.push(Event::Error(Error::new(Kind::UpstreamFailed, "cut")));
    broken.push(Event::End);
    let failed = assemble(&encode(&broken));
    assert_eq!(failed["error"], json!({"code":"server_error","message":"cut"}));
    assert_eq!(failed["output"][0]["status"], "incomplete");
}

fn item(kind: &str, index: u64, item: &Value) -> Value {
    json!({"type": format!("response.output_item.{kind}"), "output_index": index, "item": item})
}

fn created() -> Value {
    json!({"type":"response.created","response":{"id":"resp_1","model":"gpt","created_at":5,"status":"in_progress"}})
}

fn completed(output: &Value) -> Value {
    json!({"type":"response.completed","response":{"id":"resp_1","status":"completed","output":output,
        "usage":{"input_tokens":1,"output_tokens":2}}})
}

#[test]
fn what_servers_leave_out_is_taken_from_what_they_say() {
    let message = json!({"type":"message","id":"m","content":[{"type":"output_text","text":"Hi","annotations":[]}]});
    let only_last = decode(&[completed(&json!([message]))]);
    let only_done = decode(&[created(), item("done", 0, &message), completed(&json!([message]))]);
    let piece = json!({"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi"});
    let only_delta = decode(&[created(), piece.clone(), completed(&json!([message]))]);
    let all = decode(&[
        created(),
        item("added", 0, &json!({"type":"message","id":"m","content":[]})),
        piece,
        json!({"type":"response.output_text.done","output_index":0,"content_index":0,"text":"Hi"}),
        item("done", 0, &message),
        completed(&json!([message])),
    ]);
    assert_eq!(only_last[1..], all[1..]);
    assert_eq!(only_done, all);
    assert_eq!(only_delta, all);
    assert!(all[2].contains("Hi"), "{all:?}");
}

#[test]
fn thoughts_are_joined_and_proved_once() {
    let summary = |index: u64, s: &str| json!({"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":index,"delta":s});
    let done = json!({"type":"reasoning","id":"rs_1","summary":[{"text":"a"},{"text":"b"}],"encrypted_content":"xyz"});
    let seen = decode(&[created(), summary(0, "a"), summary(1, "b"), item("done", 0, &done), completed(&json!([]))]);
    assert!(seen[3].contains(r"\n\n"), "{seen:?}");
    assert!(seen[5].contains("Signature") && seen[5].contains("rs_1") && seen[5].contains("xyz"), "{seen:?}");
    assert_eq!(seen.iter().filter(|event| event.contains("PartEnd")).count(), 1);
    // One that may not be read is a thought all the same.
    let hidden = json!({"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"xyz"});
    let seen = decode(&[created(), item("done", 0, &hidden), completed(&json!([]))]);
    // Its own format calls it as its provider does.
    assert!(seen[2].contains("Other") && seen[2].contains("rs_1"), "{seen:?}");
    assert!(seen[3].contains("Signature"), "{seen:?}");
}

#[test]
fn calls_are_told_once_whoever_tells_their_arguments() {
    let open = json!({"type":"function_call","id":"fc","call_id":"c","name":"get","arguments":""});
    let done = json!({"type":"function_call","id":"fc","call_id":"c","name":"get","arguments":"{\"a\":1}"});
    let fragment = |s: &str| json!({"type":"response.function_call_arguments.delta","output_index":0,"delta":s});
    let by_fragments = decode(&[
        created(),
        item("added", 0, &open),
        fragment("{\"a\":1}"),
        json!({"type":"response.function_call_arguments.done","output_index":0,"arguments":"{\"a\":1}"}),
        item("done", 0, &done),
        completed(&json!([done])),
    ]);
    let by_item = decode(&[created(), item("added", 0, &open), item("done", 0, &done), completed(&json!([done]))]);
    let by_done = decode(&[created(), item("done", 0, &done), completed(&json!([done]))]);
    let by_last = decode(&[completed(&json!([done]))]);
    assert_eq!(by_fragments, by_item);
    assert_eq!(by_fragments, by_done);
    assert_eq!(by_fragments[1..], by_last[1..]);
    assert!(by_last.iter().any(|event| event.contains("ToolUse")), "{by_last:?}");
}

#[test]
fn a_refusal_in_words_stops_a_chat_stream() {
    let refusal = json!({"type":"message","id":"m","content":[{"type":"refusal","refusal":"no"}]});
    let mut encoder = with_client(crate::wire::openai_chat::stream::Encoder::new);
    let (mut decoder, mut out) = (Decoder::new(&Quirks::NONE), Vec::new());
    for data in [created(), item("done", 0, &refusal), completed(&json!([refusal]))] {
        decoder.event("", &data.to_string(), &mut |event| encoder.event(event, &mut out));
    }
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""refusal":"no""#) && out.contains(r#""finish_reason":"stop""#), "{out}");
}

#[test]
fn failures_and_cuts_are_errors() {
    let failed = json!({"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"broke"}}});
    let seen = decode(&[created(), failed, completed(&json!([]))]);
    assert!(seen.last().unwrap().contains("broke") && seen.len() == 2, "{seen:?}");
    let seen = decode(&[created()]);
    assert!(seen.last().unwrap().contains("Error"), "{seen:?}");
}

#[test]
fn what_is_written_reads_back() {
    let mut list = vec![
        start(),
        part(0, PartStart::Reasoning),
        delta(0, Delta::Reasoning(text("hm\n\"x\""))),
        Event::PartEnd { index: 0 },
        part(1, PartStart::Text),
        delta(1, Delta::Text(text("a"))),
        delta(1, Delta::Text(text("\u{e9}"))),
        Event::PartEnd { index: 1 },
        call(2, "get", false),
        delta(2, Delta::Arguments(text("{\"a\":1}"))),
        Event::PartEnd { index: 2 },
        call(3, "patch", true),
        delta(3, Delta::Input(text("raw\n"))),
        Event::PartEnd { index: 3 },
    ];
    list.extend(closing(StopReason::ToolUse));
    let once = encode(&list);
    let twice = again(&once);
    let plain = |sse: &str| {
        let mut answer = assemble(sse);
        // The id of the item that a thought came in is what proves it.
        answer["output"][0].as_object_mut().unwrap().remove("encrypted_content");
        answer
    };
    assert_eq!(plain(&once), plain(&twice));
}

#[test]
fn a_ping_is_a_comment() {
    let mut encoder = with_client(Encoder::new);
    let mut out = Vec::new();
    encoder.event(&Event::Ping, &mut out);
    let mut line = String::new();
    let _ = write!(line, "{}", String::from_utf8_lossy(&out));
    assert_eq!(line, ": keep-alive\n\n");
}

/// A message between the fragments of a call: nothing else may be open beside it, so it comes behind.
#[test]
fn a_text_between_the_fragments_of_a_call_waits_for_its_end() {
    let call = |at: u64, delta: &str| json!({"type": "response.function_call_arguments.delta", "output_index": at, "delta": delta});
    let added = json!({"type": "response.output_item.added", "output_index": 0,
        "item": {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": ""}});
    let said = |delta: &str| json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": delta});
    let item = json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"});
    let message = json!({"type": "message", "content": [{"type": "output_text", "text": "hello"}]});
    let done = |at: u64, item: &Value| json!({"type": "response.output_item.done", "output_index": at, "item": item});
    let completed =
        json!({"type": "response.completed", "response": {"status": "completed", "output": [item, message]}});
    let list = |rest: &[Value]| {
        let mut list = vec![added.clone(), call(0, "{\"a\""), said("hel"), call(0, ":1}")];
        list.extend(rest.iter().cloned());
        let (mut decoder, mut encoder, mut out) = (Decoder::new(&Quirks::NONE), with_client(Encoder::new), Vec::new());
        for data in list {
            decoder.event("", &data.to_string(), &mut |event| encoder.event(event, &mut out));
        }
        let got = assemble(&String::from_utf8(out).unwrap());
        (got["output"][0]["arguments"].clone(), got["output"][1]["content"][0]["text"].clone(), got["status"].clone())
    };
    let expected = (json!("{\"a\":1}"), json!("hello"), json!("completed"));
    let (whole, behind) = (
        json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{\"a\":1}"}),
        said("lo"),
    );
    assert_eq!(list(&[whole, behind.clone(), done(0, &item), done(1, &message), completed.clone()]), expected);
    assert_eq!(list(&[done(0, &item), behind.clone(), done(1, &message), completed.clone()]), expected);
    // Items that never end are whole at the end of the answer.
    assert_eq!(list(&[behind, completed]), expected);
}

/// Anthropic tells a citation before the text that it is for.
#[test]
fn a_source_told_before_its_text_stands_for_all_of_it() {
    let citation = r#"{"type":"web_search_result_location","url":"https://x","title":"X"}"#;
    let got = answer(
        vec![
            part(0, PartStart::Text),
            delta(0, Delta::Citation(Raw::new(citation))),
            delta(0, Delta::Text(text("Ruby"))),
            Event::PartEnd { index: 0 },
        ],
        StopReason::EndTurn,
    );
    let annotation = &got["output"][0]["content"][0]["annotations"][0];
    assert_eq!((&annotation["start_index"], &annotation["end_index"]), (&json!(0), &json!(4)));
}
