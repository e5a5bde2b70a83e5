use crate::error::{Error, Kind};
use crate::wire::ir::{Delta, Event, PartStart, Stop, StopReason};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Client, Decode as _, Encode as _, Quirks};

use super::{Decoder, Encoder, grammar};

/// The events of a stream, one line each.
fn events(chunks: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut sink = |event: &Event<'_>| seen.push(line(event));
    let mut decoder = Decoder::new(&Quirks::NONE);
    for chunk in chunks {
        decoder.event("", chunk, &mut sink);
    }
    decoder.finish(&mut sink);
    seen
}

fn line(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, .. } => format!("start {}", id.as_ref().map_or_else(|| "-".into(), |i| i.text())),
        Event::PartStart { index, choice, part } => {
            let part = match part {
                PartStart::ToolCall { id, name, .. } => format!("call {} {}", id.text(), name.text()),
                PartStart::Other { tag, .. } => format!("other {}", tag.text()),
                other => format!("{other:?}").to_lowercase(),
            };
            format!("{index}@{choice} {part}")
        }
        Event::Delta { index, delta } => match delta {
            Delta::Text(t)
            | Delta::Reasoning(t)
            | Delta::Refusal(t)
            | Delta::Arguments(t)
            | Delta::Input(t)
            | Delta::Signature(t) => {
                format!("{index} {}", t.text())
            }
            Delta::ReasoningDetails(raw) | Delta::Citation(raw) | Delta::Logprobs(raw) | Delta::Other(raw) => {
                format!("{index} {}", raw.get())
            }
        },
        Event::PartEnd { index } => format!("{index} end"),
        Event::Usage(usage) => format!("usage {}", usage.total_tokens()),
        Event::Stop { choice, stop } => format!("stop@{choice} {:?}", stop.reason),
        Event::Error(error) => format!("error {:?} {}", error.kind(), error.public()),
        Event::Ping => "ping".into(),
        Event::End => "end".into(),
    }
}

fn delta(delta: &str) -> String {
    format!(r#"{{"id":"c1","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

fn of(deltas: &[&str], finish: &str) -> Vec<String> {
    let mut chunks: Vec<String> = deltas.iter().map(|d| delta(d)).collect();
    chunks.push(format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{finish}"}}]}}"#));
    chunks.push("[DONE]".into());
    events(&chunks.iter().map(String::as_str).collect::<Vec<_>>())
}

const USAGE: &str = r#""usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;

#[test]
fn azures_empty_first_chunk_and_repeated_ends_make_one_answer() {
    let last =
        format!(r#"{{"id":"c1","choices":[{{"index":0,"delta":{{"content":""}},"finish_reason":"stop"}}],{USAGE}}}"#);
    let seen = events(&[
        r#"{"id":"","object":"","model":"","choices":[],"prompt_filter_results":[]}"#,
        r#"{"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}],"obfuscation":"xx"}"#,
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}]}"#,
        &last,
        "[DONE]",
        r#"{"choices":[{"index":0,"delta":{"content":"late"}}]}"#,
    ]);
    assert_eq!(seen, ["start c1", "0@0 text", "0 hi", "0 !", "0 end", "usage 3", "stop@0 EndTurn", "end"]);
}

#[test]
fn a_body_that_ends_after_its_finish_is_complete_and_before_it_is_cut() {
    let seen = events(&[r#"{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"length"}]}"#]);
    assert_eq!(seen[3..], ["0 end", "stop@0 MaxTokens", "end"]);
    let seen = events(&[&delta(r#"{"content":"hi"}"#)]);
    assert_eq!(seen.last().unwrap(), "error UpstreamFailed the provider cut its answer short");
    assert!(events(&["[DONE]"])[0].starts_with("error UpstreamFailed"));
    assert!(events(&[])[0].starts_with("error UpstreamFailed"));
}

#[test]
fn errors_inside_a_200_end_the_stream() {
    let seen = events(&[
        &delta(r#"{"content":"hi"}"#),
        r#"{"id":"c1","error":{"message":"busy","code":503},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
        "[DONE]",
    ]);
    assert_eq!(seen[3..], ["error UpstreamOverloaded busy"]);
    let mut seen = Vec::new();
    Decoder::new(&Quirks::NONE).event("error", r#"{"message":"m","code":"x"}"#, &mut |e| seen.push(line(e)));
    assert_eq!(seen, ["error UpstreamFailed m"]);
    assert!(events(&["not json"])[0].starts_with("error UpstreamFailed"));
}

/// DeepSeek's word for an answer that it could not go on with.
#[test]
fn an_answer_that_ran_out_of_resources_broke_off() {
    let seen = events(&[
        &delta(r#"{"content":"hi"}"#),
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"insufficient_system_resource"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        "[DONE]",
    ]);
    assert_eq!(seen[3], "usage 3");
    assert_eq!(seen[4..], ["error UpstreamOverloaded the provider broke its answer off for want of resources"]);
}

#[test]
fn one_open_part_at_a_time_and_reasoning_with_its_proof() {
    let seen = of(
        &[
            r#"{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}"#,
            r#"{"reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","index":0}]}"#,
            r#"{"content":"","reasoning_details":[{"type":"reasoning.text","signature":"S","index":0}]}"#,
            r#"{"content":"hi"}"#,
            r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"D"}]}"#,
        ],
        "stop",
    );
    assert_eq!(
        seen,
        [
            "start c1",
            "0@0 reasoning",
            "0 a",
            "0 b",
            r#"0 [{"type":"reasoning.text","text":"ab","signature":"S","index":0}]"#,
            "0 end",
            "1@0 text",
            "1 hi",
            "1 end",
            "2@0 reasoningdetails",
            r#"2 [{"type":"reasoning.encrypted","data":"D"}]"#,
            "2 end",
            "stop@0 EndTurn",
            "end"
        ]
    );
}

#[test]
fn mistrals_lists_and_snowflakes_details_are_reasoning() {
    let seen = of(
        &[
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"r"}],"closed":true}]}"#,
            r#"{"content":[{"type":"text","text":"a"}]}"#,
        ],
        "stop",
    );
    assert_eq!(seen[1..7], ["0@0 reasoning", "0 r", "0 end", "1@0 text", "1 a", "1 end"]);
    let seen =
        of(&[r#"{"reasoning_details":[{"type":"reasoning.text","text":"r"}],"refusal":"","tool_calls":null}"#], "stop");
    assert_eq!(seen[1..3], ["0@0 reasoning", "0 r"]);
}

#[test]
fn parallel_calls_close_as_soon_as_they_are_whole() {
    let seen = of(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"","function":{"arguments":"{\"x\""}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":null,"function":{"name":null,"arguments":":1}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
        ],
        "stop",
    );
    assert_eq!(
        seen[1..],
        ["0@0 call a f", "0 {\"x\"", "0 :1}", "0 end", "1@0 call b g", "1 {}", "1 end", "stop@0 ToolUse", "end"]
    );
}

#[test]
fn calls_without_index_or_id_or_all_with_the_same_are_told_apart() {
    let whole = |id: &str, index: &str, name: &str| {
        format!(r#"{{{id}{index}"function":{{"name":"{name}","arguments":"{{}}"}}}}"#)
    };
    for (id_a, id_b, index) in
        [(r#""id":"a","#, r#""id":"b","#, ""), (r#""id":"a","#, r#""id":"b","#, r#""index":0,"#), ("", "", "")]
    {
        let list = format!(r#"{{"tool_calls":[{},{}]}}"#, whole(id_a, index, "f"), whole(id_b, index, "g"));
        let seen = of(&[&list], "tool_calls");
        let calls: Vec<&String> = seen.iter().filter(|s| s.contains(" call ")).collect();
        assert_eq!(calls.len(), 2, "{seen:?}");
        assert!(calls[0].ends_with(" f") && calls[1].ends_with(" g"), "{calls:?}");
        let id = |line: &str| line.split(' ').nth(2).unwrap().to_owned();
        assert!(!id(calls[0]).is_empty() && id(calls[0]) != id(calls[1]), "{calls:?}");
    }
}

#[test]
fn a_name_that_comes_late_and_text_amid_a_call_are_waited_for() {
    let seen = of(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{\"x\":"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#,
            r#"{"content":"meanwhile"}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#,
        ],
        "tool_calls",
    );
    assert_eq!(
        seen[1..],
        ["0@0 call a f", "0 {\"x\":", "0 1}", "0 end", "1@0 text", "1 meanwhile", "1 end", "stop@0 ToolUse", "end"]
    );
}

#[test]
fn legacy_and_custom_calls_are_calls() {
    let seen = of(
        &[r#"{"function_call":{"name":"f","arguments":""}}"#, r#"{"function_call":{"arguments":"{}"}}"#],
        "function_call",
    );
    assert!(seen[1].ends_with(" f") && seen[2] == "0 {}", "{seen:?}");
    let seen = of(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"4 \""}}]}"#,
            r#"{"tool_calls":[{"index":0,"custom":{"input":"x"}}]}"#,
        ],
        "tool_calls",
    );
    let json: String = seen.iter().filter_map(|s| s.strip_prefix("0 ")).filter(|s| *s != "end").collect();
    assert_eq!(json, r#"{"input":"4 \"x"}"#);
}

#[test]
fn choices_are_kept_apart_and_stop_last() {
    let chunk = |index: u32, text: &str, finish: &str| {
        format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"{text}"}},"finish_reason":{finish}}}]}}"#)
    };
    let chunks = [chunk(0, "a", "null"), chunk(1, "b", "null"), chunk(0, "c", "\"stop\""), chunk(1, "d", "\"length\"")];
    let seen = events(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(
        seen[1..],
        [
            "0@0 text",
            "0 a",
            "1@1 text",
            "1 b",
            "0 c",
            "0 end",
            "1 d",
            "1 end",
            "stop@0 EndTurn",
            "stop@1 MaxTokens",
            "end"
        ]
    );
}

#[test]
fn logprobs_come_with_their_text_and_annotations_open_one() {
    let seen = events(&[
        r#"{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[]},"finish_reason":"stop"}]}"#,
    ]);
    assert_eq!(seen[1..4], ["0@0 text", r#"0 {"content":[]}"#, "0 a"]);
    let seen = of(&[r#"{"content":"","annotations":[{"type":"url_citation"}]}"#, r#"{"content":"a"}"#], "stop");
    assert_eq!(seen[1..4], ["0@0 text", r#"0 {"type":"url_citation"}"#, "0 a"]);
}

#[test]
fn usage_is_the_last_one_wherever_it_is() {
    let with = |n: u32, finish: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}},"finish_reason":{finish}}}],"usage":{{"prompt_tokens":1,"completion_tokens":{n},"total_tokens":{}}}}}"#,
            n + 1
        )
    };
    let seen = events(&[&with(1, "null"), &with(2, "null"), &with(2, "\"stop\""), "[DONE]"]);
    let usages: Vec<&String> = seen.iter().filter(|s| s.starts_with("usage")).collect();
    assert_eq!(usages, ["usage 2", "usage 3"]);
}

fn encoded(stream_usage: bool, events: &[Event<'_>]) -> String {
    let seal = Seal::new("test", b"key");
    let client = Client { created: 7, stream_usage, ..Client::of("m", "0190", &seal) };
    let mut encoder = Encoder::new(&client);
    let mut out = Vec::new();
    events.iter().for_each(|e| encoder.event(e, &mut out));
    String::from_utf8(out).unwrap()
}

fn start() -> Event<'static> {
    Event::Start { id: None, model: None, created: None, usage: None, service_tier: Some(Str::from_text("standard")) }
}

fn part(index: u32, part: PartStart<'static>) -> Event<'static> {
    Event::PartStart { index, choice: 0, part }
}

fn call(id: &str) -> PartStart<'static> {
    PartStart::ToolCall { id: Str::from_text(id), name: Str::from_text("f"), custom: false }
}

/// The deltas of what was written.
fn deltas(out: &str) -> Vec<&str> {
    out.lines().filter_map(|l| Some(l.split_once("\"delta\":")?.1.split_once(",\"logprobs\"")?.0)).collect()
}

#[test]
fn a_call_without_arguments_carries_an_empty_object_and_usage_comes_only_when_asked() {
    let usage = crate::usage::tokens::Usage { fresh_input_tokens: 1, ..Default::default() };
    let events = [
        start(),
        part(0, call("t1")),
        Event::Delta { index: 0, delta: Delta::Arguments(Str::from_text("")) },
        Event::PartEnd { index: 0 },
        Event::Stop { choice: 0, stop: Stop::of(StopReason::ToolUse) },
        Event::Usage(usage),
        Event::End,
    ];
    let out = encoded(true, &events);
    assert_eq!(
        deltas(&out),
        [
            r#"{"role":"assistant","content":""}"#,
            r#"{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
            "{}"
        ]
    );
    let head = r#"data: {"id":"chatcmpl-0190","object":"chat.completion.chunk","created":7,"model":"m","service_tier":"default","choices":["#;
    assert!(out.starts_with(head), "{out}");
    assert_eq!(out.matches("\"finish_reason\":\"tool_calls\"").count(), 1);
    let tail: Vec<&str> = out.trim_end().rsplit("\n\n").take(2).collect();
    assert_eq!(tail[0], "data: [DONE]");
    assert!(tail[1].contains(r#""choices":[],"usage":{"prompt_tokens":1"#), "{}", tail[1]);
    assert!(!encoded(false, &events).contains("usage"));
}

#[test]
fn signed_thinking_is_streamed_with_its_proof() {
    let out = encoded(
        false,
        &[
            start(),
            part(0, PartStart::Reasoning),
            Event::Delta { index: 0, delta: Delta::Reasoning(Str::from_text("wh")) },
            Event::Delta { index: 0, delta: Delta::Reasoning(Str::from_text("y\n")) },
            Event::Delta { index: 0, delta: Delta::Signature(Str::from_text("S")) },
            Event::PartEnd { index: 0 },
            part(1, PartStart::RedactedReasoning { data: Str::from_text("D") }),
            Event::PartEnd { index: 1 },
            part(2, call("t1")),
            Event::PartEnd { index: 2 },
            part(3, call("t2")),
            Event::PartEnd { index: 3 },
        ],
    );
    let seen = deltas(&out);
    assert_eq!(seen[1..3], [r#"{"reasoning_content":"wh"}"#, r#"{"reasoning_content":"y\n"}"#]);
    assert!(seen[3].contains(r#"{"type":"reasoning.text","text":"why\n","signature":"S""#), "{}", seen[3]);
    assert!(seen[4].contains(r#"{"type":"reasoning.encrypted","data":"D""#) && seen[4].contains(r#""index":1"#));
    assert!(out.contains(r#""id":"t2""#));
}

#[test]
fn what_has_no_slot_is_left_out_and_errors_end_without_done() {
    let out = encoded(
        true,
        &[
            start(),
            part(0, PartStart::Other { tag: Str::from_text("server_tool_use"), json: Raw::new("{}") }),
            Event::Delta { index: 0, delta: Delta::Arguments(Str::from_text("{}")) },
            Event::PartEnd { index: 0 },
            part(1, PartStart::Text),
            Event::Delta { index: 1, delta: Delta::Logprobs(Raw::new("{\"content\":[]}")) },
            Event::Delta { index: 1, delta: Delta::Text(Str::from_text("é")) },
            Event::Delta { index: 1, delta: Delta::Citation(Raw::new(r#"{"url":"u","title":null}"#)) },
            Event::Ping,
            Event::Error(Error::new(Kind::UpstreamFailed, "gone")),
        ],
    );
    let seen = deltas(&out);
    assert_eq!(seen.len(), 2, "{out}");
    assert!(out.contains(r#""delta":{"content":"é"},"logprobs":{"content":[]}"#), "{out}");
    let last = out.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains(r#""message":"gone""#) && last.contains(r#""request_id":"0190""#), "{last}");
}

/// SDKs that put a message together take one list of them, and no more.
#[test]
fn sources_are_told_at_once_before_the_end() {
    let cite =
        |url: &str| Event::Delta { index: 1, delta: Delta::Citation(Raw::owned(format!(r#"{{"url":"{url}"}}"#))) };
    let out = encoded(
        false,
        &[
            start(),
            part(1, PartStart::Text),
            Event::Delta { index: 1, delta: Delta::Text(Str::from_text("é")) },
            cite("u"),
            cite("v"),
            Event::PartEnd { index: 1 },
            Event::Stop { choice: 0, stop: Stop::of(StopReason::EndTurn) },
            Event::End,
        ],
    );
    let seen = deltas(&out);
    let one = |url: &str| {
        format!(
            r#"{{"type":"url_citation","url_citation":{{"start_index":0,"end_index":1,"url":"{url}","title":""}}}}"#
        )
    };
    assert_eq!(seen[2], format!(r#"{{"annotations":[{},{}]}}"#, one("u"), one("v")));
    assert_eq!(out.matches("annotations").count(), 1, "{out}");
}

#[test]
fn an_error_has_the_request_id_that_callers_know() {
    let seal = Seal::new("t", b"k");
    let client =
        Client { created: 7, stream_usage: false, ..Client::of("m", "0198c1d2e3f40718a9b0c1d2e3f40718", &seal) };
    let mut out = Vec::new();
    Encoder::new(&client).event(&Event::Error(Error::new(Kind::UpstreamFailed, "gone")), &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""request_id":"0198c1d2-e3f4-0718-a9b0-c1d2e3f40718""#), "{out}");
}

#[test]
fn what_is_written_is_what_a_client_puts_together() {
    let delta = |index, delta| Event::Delta { index, delta };
    let stop = Stop { reason: StopReason::ToolUse, sequence: None, native: None };
    let sse = encoded(
        true,
        &[
            start(),
            part(0, PartStart::Reasoning),
            delta(0, Delta::Reasoning(Str::from_text("why"))),
            Event::PartEnd { index: 0 },
            part(1, PartStart::Text),
            delta(1, Delta::Text(Str::from_text("said"))),
            Event::PartEnd { index: 1 },
            part(2, call("a")),
            delta(2, Delta::Arguments(Str::from_text("{\"x\":"))),
            delta(2, Delta::Arguments(Str::from_text("1}"))),
            Event::PartEnd { index: 2 },
            Event::Usage(crate::usage::tokens::Usage { fresh_input_tokens: 3, ..Default::default() }),
            Event::Stop { choice: 0, stop },
            Event::End,
        ],
    );
    let answer = grammar::assemble(&sse);
    let message = &answer["choices"][0]["message"];
    assert_eq!((&message["content"], &message["reasoning_content"]), (&"said".into(), &"why".into()));
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
}

/// Anthropic tells a citation before the text that it is for.
#[test]
fn a_source_told_before_its_text_stands_for_all_of_it() {
    let text = |index: u32, said: &str| Event::Delta { index, delta: Delta::Text(Str::from_text(said)) };
    let out = encoded(
        false,
        &[
            start(),
            part(0, PartStart::Text),
            text(0, "Intro. "),
            Event::PartEnd { index: 0 },
            part(1, PartStart::Text),
            Event::Delta { index: 1, delta: Delta::Citation(Raw::new(r#"{"url":"u"}"#)) },
            text(1, "Ruby"),
            Event::PartEnd { index: 1 },
            Event::Stop { choice: 0, stop: Stop::of(StopReason::EndTurn) },
            Event::End,
        ],
    );
    assert!(out.contains(r#""start_index":7,"end_index":11,"url":"u""#), "{out}");
}
