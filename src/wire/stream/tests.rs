use super::*;
use crate::usage::estimate::TextCount;
use crate::usage::tokens::UsageSource;
use crate::wire::frames::{Frames, Framing};
use crate::wire::json::Str;
use crate::wire::seal::Seal;
use crate::wire::sse::Framer;
use crate::wire::{Client, Decode, Dialect, Encode, Quirks, ir, stream_decoder, stream_encoder, watch};

/// Reads one word per event, so that what is tested is the pipe and not a dialect.
struct Words;

impl Decode for Words {
    fn event(&mut self, _: &str, data: &str, sink: &mut dyn FnMut(&ir::Event<'_>)) {
        let usage = Usage { fresh_input_tokens: 3, visible_output_tokens: 4, ..Usage::default() };
        sink(&match data {
            "start" => ir::Event::Start { id: None, model: None, created: None, usage: None, service_tier: None },
            "start+usage" => {
                ir::Event::Start { id: None, model: None, created: None, usage: Some(usage), service_tier: None }
            }
            "ping" => ir::Event::Ping,
            "part" => ir::Event::PartStart { index: 0, choice: 0, part: ir::PartStart::Text },
            "usage" => ir::Event::Usage(usage),
            "zeros" => ir::Event::Usage(Usage::default()),
            "stop" => ir::Event::Stop { choice: 0, stop: ir::Stop::of(ir::StopReason::EndTurn) },
            "error" => ir::Event::Error(Error::new(Kind::UpstreamOverloaded, "busy")),
            "end" => ir::Event::End,
            text => ir::Event::Delta { index: 0, delta: ir::Delta::Text(Str::from_text(text)) },
        });
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&ir::Event<'_>)) {
        sink(&ir::Event::Error(Error::new(Kind::UpstreamFailed, "cut")));
    }
}

impl Encode for Words {
    fn event(&mut self, event: &ir::Event<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(match event {
            ir::Event::Start { .. } => b"<",
            ir::Event::PartStart { .. } => b"(",
            ir::Event::Error(_) => b"!",
            ir::Event::End => b">",
            _ => b".",
        });
    }
}

fn run(words: &[&str]) -> (String, Translator) {
    let mut pipe = Translator::of(Framer::new(1000).into(), Box::new(Words), Box::new(Words));
    let mut out = Vec::new();
    for word in words {
        pipe.push(format!("data: {word}\n\n").as_bytes(), &mut out);
    }
    pipe.finish(&mut out);
    (String::from_utf8(out).unwrap(), pipe)
}

#[test]
fn an_answer_that_has_not_begun_commits_to_nothing() {
    let (out, pipe) = run(&["start", "ping", "error", "part"]);
    assert_eq!((out.as_str(), pipe.is_committed()), ("", false));
    assert!(matches!(&pipe.progress().ending, Some(Ending::Error(e)) if e.kind() == Kind::UpstreamOverloaded));
    let (out, pipe) = run(&["start"]);
    assert_eq!(out, "");
    assert!(matches!(&pipe.progress().ending, Some(Ending::Cut(_))));
    let (out, pipe) = run(&["start", "usage", "error"]);
    assert_eq!((out.as_str(), pipe.is_committed()), ("", false));
    assert_eq!(pipe.progress().account(7).0.total_tokens(), 7);
    let (out, pipe) = run(&[]);
    assert_eq!(out, "");
    assert!(matches!(&pipe.progress().ending, Some(Ending::Cut(_))));
}

#[test]
fn an_answer_that_has_begun_ends_properly() {
    assert_eq!(run(&["start", "part", "hi", "stop", "usage", "end", "hi"]).0, "<(...>");
    assert_eq!(run(&["start", "part", "error", "hi", "end"]).0, "<(!");
    assert_eq!(run(&["start", "part", "hi"]).0, "<(.!");
    for first in ["part", "stop", "end"] {
        assert!(run(&["start", first]).1.is_committed(), "{first}");
    }
    let (_, pipe) = run(&["start", "part", "hi", "stop", "end"]);
    assert!(matches!(pipe.progress().ending, Some(Ending::Complete)));
}

#[test]
fn the_caller_may_commit_or_give_up() {
    let mut pipe = Translator::of(Frames::default(), Box::new(Words), Box::new(Words));
    let mut out = Vec::new();
    pipe.push(b"data: start\n\n", &mut out);
    assert_eq!(out, b"");
    pipe.commit(&mut out);
    assert_eq!(out, b"<");
    pipe.fail(Error::new(Kind::UpstreamTimeout, "slow"), &mut out);
    pipe.push(b"data: part\n\n", &mut out);
    pipe.finish(&mut out);
    assert_eq!(out, b"<!");
    assert_eq!(pipe.progress().ending.as_ref().unwrap().error().unwrap().kind(), Kind::UpstreamTimeout);
}

#[test]
fn an_event_too_large_is_an_error_of_the_stream() {
    let (out, pipe) = run(&["start", "part", &"x".repeat(2000)]);
    assert_eq!(out, "<(!");
    assert!(matches!(pipe.progress().ending, Some(Ending::Error(_))));
}

#[test]
fn what_is_too_long_to_be_told_again_does_not_go_on() {
    let text = "x".repeat(900_000);
    for (times, goes_on) in [(1, true), (2, false)] {
        let mut pipe = Translator::of(Frames::default(), Box::new(Words), Box::new(Words)).recorded();
        let mut out = Vec::new();
        pipe.push(b"data: start\n\ndata: part\n\n", &mut out);
        (0..times).for_each(|_| pipe.push(format!("data: {text}\n\n").as_bytes(), &mut out));
        pipe.finish(&mut out);
        assert_eq!((pipe.said().is_some(), pipe.is_open(), out.ends_with(b"!")), (goes_on, goes_on, !goes_on));
    }
}

#[test]
fn counts_are_never_zero_by_silence() {
    let account = |words: &[&str]| run(words).1.progress().account(7);
    let (usage, source) = account(&["start+usage", "part", "usage", "stop", "end"]);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (3, 4, UsageSource::Reported));
    let (usage, source) = account(&["start", "part", "twelve chars", "stop", "end"]);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (7, 3, UsageSource::Estimated));
    for zeros in [["zeros", "part", "twelve chars", "stop", "end"], ["part", "twelve chars", "stop", "zeros", "end"]] {
        let (usage, source) = account(&zeros);
        assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (7, 3, UsageSource::Estimated));
    }
    let (usage, source) = account(&["zeros", "part", "twelve chars", "stop", "usage", "end"]);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (3, 4, UsageSource::Reported));
    let (usage, source) = account(&["start", "stop", "zeros", "end"]);
    assert_eq!((usage.total_tokens(), source), (0, UsageSource::Reported));
    let long = "x".repeat(400);
    let (usage, source) = account(&["start+usage", "part", &long]);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (3, 100, UsageSource::Partial));
}

/// Reads every event.
struct Reads(Box<dyn Decode>);

impl Decode for Reads {
    fn event(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(&ir::Event<'_>)) {
        self.0.event(name, data, sink);
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&ir::Event<'_>)) {
        self.0.finish(sink);
    }
}

/// What becomes of a stream where every event is read, and where those like the one before are not: as they stand,
/// and put together of pieces.
fn every_way(from: Dialect, to: Dialect, stream: &str) -> [(String, TextCount, u64); 3] {
    let seal = Seal::new("repeats", b"key");
    let client =
        Client { created: 1, input_estimate_tokens: 1, ..Client::of("m", "0197f0c0d0e07000800000000000000a", &seal) };
    let decoder = || stream_decoder(from, &Quirks::NONE);
    assert!(decoder().repeats());
    let reads: Box<dyn Decode> = Box::new(Reads(decoder()));
    [(reads, stream.len()), (decoder(), stream.len()), (decoder(), 5)].map(|(decoder, size)| {
        let mut pipe = Translator::of(Framer::new(1000).into(), decoder, stream_encoder(to, &client));
        let mut out = Vec::new();
        stream.as_bytes().chunks(size).for_each(|piece| pipe.push(piece, &mut out));
        pipe.finish(&mut out);
        (String::from_utf8(out).unwrap(), pipe.progress().output, pipe.progress().events)
    })
}

#[test]
fn an_event_that_is_not_read_gives_what_reading_it_gives() {
    let chunk = |delta: &str, finish: &str| {
        format!("data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n")
    };
    let said = |member: &str, text: &str| chunk(&format!("{{\"{member}\":\"{text}\"}}"), "null");
    let mut chat = chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    for text in ["I", " think", " \\u00e9\\n", "", " so"] {
        chat += &said("reasoning_content", text);
    }
    for text in ["a", "b", "", "\\\"c\\\"", ": [DONE]"] {
        chat += &said("content", text);
    }
    chat += ": a comment\n\n";
    chat += &said("content", "d");
    chat += &said("reasoning_content", "again");
    chat += &said("content", "e");
    chat += &chunk("{}", "\"stop\"");
    chat += &said("content", "too late");
    chat += "data: [DONE]\n\n";
    let event = |name: &str, more: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{more}}}\n\n");
    let text = |text: &str| {
        event("content_block_delta", &format!(",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}"))
    };
    let mut messages = event("message_start", ",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":1}}");
    messages += &event("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
    messages += &["x", "y", "", "z\\t"].map(text).concat();
    messages += &event("ping", "");
    messages += &["p", "q"].map(text).concat();
    messages += &event("content_block_stop", ",\"index\":0");
    messages += &event("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}");
    messages += &text("too late");
    messages += &event("message_stop", "");
    let mut number = 0;
    let mut numbered = |name: &str, more: &str| {
        number += 1;
        event(&format!("response.{name}"), &format!(",\"sequence_number\":{number},\"output_index\":0{more}"))
    };
    let delta = |text: &str| format!(",\"item_id\":\"m\",\"content_index\":0,\"delta\":\"{text}\"");
    let mut responses = numbered("created", ",\"response\":{\"id\":\"r\"}");
    responses += &numbered("output_item.added", ",\"item\":{\"type\":\"message\",\"id\":\"m\"}");
    for text in ["a", "b", "", "\\n", "c", "d", "e", "f", "g", "h"] {
        responses += &numbered("output_text.delta", &delta(text));
    }
    responses += &numbered("refusal.delta", &delta("no"));
    responses += &numbered("output_text.delta", &delta("again"));
    responses += &numbered("completed", ",\"response\":{\"status\":\"completed\",\"usage\":{\"output_tokens\":9}}");
    responses += &numbered("output_text.delta", &delta("too late"));
    for (from, to, stream) in [
        (Dialect::OpenAiChat, Dialect::Anthropic, &chat),
        (Dialect::OpenAiChat, Dialect::Responses, &chat),
        (Dialect::Anthropic, Dialect::OpenAiChat, &messages),
        (Dialect::Anthropic, Dialect::Gemini, &messages),
        (Dialect::Responses, Dialect::OpenAiChat, &responses),
        (Dialect::Responses, Dialect::Anthropic, &responses),
    ] {
        let [read, as_they_stand, in_pieces] = every_way(from, to, stream);
        assert_eq!(read, as_they_stand, "{from:?} to {to:?}");
        assert_eq!(read, in_pieces, "{from:?} to {to:?}");
    }
}

/// To clients of another format, ended or not.
fn translated(from: Dialect, stream: &str) -> Translator {
    let seal = Seal::new("counts", b"key");
    let client =
        Client { created: 1, input_estimate_tokens: 9, ..Client::of("m", "0197f0c0d0e07000800000000000000a", &seal) };
    let to = if from == Dialect::Anthropic { Dialect::OpenAiChat } else { Dialect::Anthropic };
    let mut pipe =
        Translator::of(Framer::new(1000).into(), stream_decoder(from, &Quirks::NONE), stream_encoder(to, &client));
    let mut out = Vec::new();
    pipe.push(stream.as_bytes(), &mut out);
    pipe.finish(&mut out);
    pipe
}

/// Gemini counts in each chunk all so far; what nobody was shown is among it.
#[test]
fn what_was_counted_before_a_stream_broke_off_is_known() {
    let chunk = |text: &str, thoughts: u64, said: u64| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}}}}],\"usageMetadata\":{{\"promptTokenCount\":5,\
             \"thoughtsTokenCount\":{thoughts},\"candidatesTokenCount\":{said},\"serviceTier\":\"priority\"}}}}\n\n"
        )
    };
    let pipe = translated(Dialect::Gemini, &(chunk("a", 3000, 1) + &chunk("b", 3000, 140)));
    let (usage, source) = pipe.progress().account(9);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (5, 3140, UsageSource::Partial));
    assert_eq!(pipe.progress().service_tier.as_deref(), Some("priority"));
    let failed = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"service_tier\":\"auto\"}}\n\n\
        data: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"service_tier\":\"priority\",\"error\":{\"code\":\"server_error\",\"message\":\"m\"},\
        \"usage\":{\"input_tokens\":100,\"output_tokens\":90,\"output_tokens_details\":{\"reasoning_tokens\":20}}}}\n\n";
    let pipe = translated(Dialect::Responses, failed);
    let (usage, source) = pipe.progress().account(9);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), usage.reasoning_tokens), (100, 90, 20));
    assert_eq!((source, pipe.progress().service_tier.as_deref()), (UsageSource::Partial, Some("priority")));
}

/// Vendors name it at the beginning, in each chunk, in the last, or in all but that.
#[test]
fn the_service_tier_is_the_last_that_is_named() {
    let chat = |first: &str, last: &str| {
        let chunk = |tier: &str, rest: &str| format!("data: {{\"id\":\"c\"{tier},{rest}}}\n\n");
        chunk(first, "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]")
            + &chunk(first, "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]")
            + &chunk(last, "\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}")
            + "data: [DONE]\n\n"
    };
    let (auto, flex) = (",\"service_tier\":\"auto\"", ",\"service_tier\":\"flex\"");
    for (first, last) in [(flex, ""), ("", flex), (auto, flex), (flex, flex)] {
        let stream = chat(first, last);
        let pipe = translated(Dialect::OpenAiChat, &stream);
        assert_eq!(pipe.progress().service_tier.as_deref(), Some("flex"), "translated: {stream}");
        let mut watch = watch::StreamWatch::new(&watch::Watch {
            dialect: Dialect::OpenAiChat,
            framing: Framing::Sse,
            quirks: &Quirks::NONE,
            strip_usage_chunk: false,
            choices: 1,
            request_id: "r",
        });
        watch.push(stream.as_bytes(), &mut Vec::new());
        assert_eq!(watch.progress().service_tier.as_deref(), Some("flex"), "watched: {stream}");
    }
    let responses = |first: &str, last: &str| {
        let event = |kind: &str, tier: &str| {
            format!("data: {{\"type\":\"response.{kind}\",\"response\":{{\"id\":\"r\",\"output\":[]{tier}}}}}\n\n")
        };
        event("created", first) + &event("completed", last)
    };
    for (first, last) in [(flex, ""), (auto, flex)] {
        let pipe = translated(Dialect::Responses, &responses(first, last));
        assert_eq!(pipe.progress().service_tier.as_deref(), Some("flex"));
    }
}

#[test]
fn no_request_is_of_nothing() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\
        \"usage\":{\"prompt_tokens\":0,\"completion_tokens\":4,\"total_tokens\":4}}\n\ndata: [DONE]\n\n";
    let (usage, source) = translated(Dialect::OpenAiChat, stream).progress().account(9);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (9, 4, UsageSource::Estimated));
}
