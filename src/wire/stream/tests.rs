use super::*;
use crate::wire::frames::Frames;
use crate::wire::json::Str;
use crate::wire::sse::Framer;
use crate::wire::{Decode, Encode, ir};

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
    let (out, pipe) = run(&[]);
    assert_eq!(out, "");
    assert!(matches!(&pipe.progress().ending, Some(Ending::Cut(_))));
}

#[test]
fn an_answer_that_has_begun_ends_properly() {
    assert_eq!(run(&["start", "part", "hi", "stop", "usage", "end", "hi"]).0, "<(...>");
    assert_eq!(run(&["start", "part", "error", "hi", "end"]).0, "<(!");
    assert_eq!(run(&["start", "part", "hi"]).0, "<(.!");
    for first in ["part", "usage", "stop", "end"] {
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
    let long = "x".repeat(400);
    let (usage, source) = account(&["start+usage", "part", &long]);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (3, 100, UsageSource::Partial));
}
