//! A stream that breaks and goes on at another upstream is one stream to its client.

#![expect(clippy::disallowed_types, reason = "streams are put together as trees")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

#[cfg(test)]
#[path = "support/grammar.rs"]
mod grammar;
#[cfg(feature = "proxy")]
#[path = "resume/stage.rs"]
mod stage;

use serde_json::Value;
use weir::error::{Error, Kind};
use weir::usage::tokens::{Usage, UsageSource};
use weir::wire::bridge::Bridge;
use weir::wire::frames::Framing;
use weir::wire::gemini::array::AsArray;
use weir::wire::ir::{Delta, Event, PartStart, Stop, StopReason};
use weir::wire::json::Str;
use weir::wire::resume::Mark;
use weir::wire::seal::Seal;
use weir::wire::stream::{Around, Ending, Next, Pipe, Translator};
use weir::wire::{Client, Dialect, Quirks, stream_encoder};

fn seal() -> Seal {
    Seal::new("resume", b"key")
}

fn client(seal: &Seal) -> Client<'_> {
    Client { created: 1, input_estimate_tokens: 9, ..Client::of("m", "r", seal) }
}

fn framing(upstream: Dialect) -> Framing {
    if upstream == Dialect::Converse { Framing::EventStream } else { Framing::Sse }
}

/// An answer to be streamed.
#[derive(Clone, Copy, Default)]
struct Script<'s> {
    thinking: &'s [&'s str],
    text: &'s [&'s str],
    has_call: bool,
    counts: (u64, u64),
}

impl Script<'_> {
    fn events(&self) -> Vec<Event<'static>> {
        let usage =
            Usage { fresh_input_tokens: self.counts.0, visible_output_tokens: self.counts.1, ..Usage::default() };
        let mut all = vec![Event::Start {
            id: Some(Str::from_text("id1")),
            model: Some(Str::from_text("model1")),
            created: Some(1),
            usage: Some(Usage { visible_output_tokens: 0, ..usage }),
            service_tier: None,
        }];
        let mut part = |index, part, deltas: Vec<Delta<'static>>| {
            all.push(Event::PartStart { index, choice: 0, part });
            all.extend(deltas.into_iter().map(|delta| Event::Delta { index, delta }));
            all.push(Event::PartEnd { index });
        };
        if !self.thinking.is_empty() {
            let thoughts = self.thinking.iter().map(|text| Delta::Reasoning(Str::from_text(text)));
            let proof = Delta::Signature(Str::from_text("c2ln"));
            part(0, PartStart::Reasoning, thoughts.chain([proof]).collect());
        }
        if !self.text.is_empty() {
            part(1, PartStart::Text, self.text.iter().map(|text| Delta::Text(Str::from_text(text))).collect());
        }
        if self.has_call {
            let call = PartStart::ToolCall { id: Str::from_text("call1"), name: Str::from_text("f"), custom: false };
            part(2, call, vec![Delta::Arguments(Str::from_text("{\"a\":1}"))]);
        }
        let reason = if self.has_call { StopReason::ToolUse } else { StopReason::EndTurn };
        all.extend([Event::Stop { choice: 0, stop: Stop::of(reason) }, Event::Usage(usage), Event::End]);
        all
    }

    /// The bytes of each event that an upstream of this format sends.
    fn chunks(&self, upstream: Dialect) -> Vec<Vec<u8>> {
        let seal = seal();
        let mut encoder = stream_encoder(upstream, &client(&seal));
        let chunks = self.events().into_iter().map(|event| {
            let mut out = Vec::new();
            encoder.event(&event, &mut out);
            out
        });
        chunks.filter(|chunk| !chunk.is_empty()).collect()
    }
}

fn translator(client_format: Dialect, upstream: Dialect) -> Translator {
    let seal = seal();
    let bridge = Bridge::plain(client_format, upstream, &seal);
    Translator::new(&bridge, framing(upstream), &Quirks::NONE, &client(&seal)).recorded()
}

fn resume(pipe: &mut dyn Pipe, client_format: Dialect, upstream: Dialect, quirks: &Quirks) {
    let seal = seal();
    let bridge = Bridge::plain(client_format, upstream, &seal);
    pipe.resume(&Next { bridge: &bridge, framing: framing(upstream), quirks });
}

/// Whether something keeps the connection awake.
fn awake(pipe: &mut dyn Pipe, out: &mut Vec<u8>) -> bool {
    let len_before = out.len();
    pipe.keep_alive(out);
    out.len() > len_before
}

fn push(pipe: &mut dyn Pipe, chunks: &[Vec<u8>], out: &mut Vec<u8>) {
    chunks.iter().for_each(|chunk| pipe.push(chunk, out));
    pipe.finish(out);
}

fn texts(list: &Value, is_text: impl Fn(&Value) -> bool) -> String {
    list.as_array().into_iter().flatten().filter(|it| is_text(it)).filter_map(|it| it["text"].as_str()).collect()
}

/// The text of an assembled answer.
fn text(client_format: Dialect, answer: &Value) -> String {
    match client_format {
        Dialect::OpenAiChat => answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
        Dialect::Anthropic => texts(&answer["content"], |block| block["type"] == "text"),
        Dialect::Responses => {
            let items = answer["output"].as_array().into_iter().flatten();
            items.filter(|item| item["type"] == "message").map(|item| texts(&item["content"], |_| true)).collect()
        }
        _ => texts(&answer["candidates"][0]["content"]["parts"], |part| part["thought"] != true),
    }
}

/// Input and output as the client is told.
fn counts(client_format: Dialect, answer: &Value) -> (u64, u64) {
    let paths = match client_format {
        Dialect::OpenAiChat => ["/usage/prompt_tokens", "/usage/completion_tokens"],
        Dialect::Anthropic | Dialect::Responses => ["/usage/input_tokens", "/usage/output_tokens"],
        _ => ["/usageMetadata/promptTokenCount", "/usageMetadata/candidatesTokenCount"],
    };
    let [input, output] = paths.map(|path| answer.pointer(path).and_then(Value::as_u64).unwrap());
    (input, output)
}

const FIRST: Script<'_> =
    Script { thinking: &[], text: &["Once", " upon a\n", "\"time\" – ", "there"], has_call: false, counts: (50, 40) };
const SECOND: Script<'_> = Script { thinking: &[], text: &[" was", " a", " queen."], has_call: false, counts: (70, 5) };

/// Every place where a stream may break, for every client, from every upstream to every other; and the
/// bytes that came before.
fn every_break(first: Script<'_>, mut check: impl FnMut([Dialect; 3], &[Vec<u8>], Translator, Vec<u8>)) {
    for client_format in Dialect::CLIENTS {
        for from in Dialect::ALL {
            let chunks = first.chunks(from);
            for at in 1..chunks.len() {
                for next in Dialect::ALL {
                    let (mut pipe, mut out) = (translator(client_format, from), Vec::new());
                    push(&mut pipe, &chunks[..at], &mut out);
                    check([client_format, from, next], &chunks[..at], pipe, out);
                }
            }
        }
    }
}

#[test]
fn wherever_a_text_breaks_the_client_reads_one_answer() {
    let (mut resumed, second) = (0, SECOND.text.concat());
    every_break(FIRST, |[client_format, from, next], _, mut pipe, mut out| {
        let Some(said) = pipe.said() else { return };
        let cell = format!("{from:?} then {next:?} to {client_format:?}: {said:?}");
        let before = format!("{}{}", said.told(), said.blanks());
        assert!(FIRST.text.concat().starts_with(&before), "{cell}");
        assert!(!String::from_utf8_lossy(&out).contains("ended its answer early"), "{cell}");
        assert!(pipe.is_open() && matches!(pipe.progress().ending, Some(Ending::Cut(_))));

        resume(&mut pipe, client_format, next, &Quirks::NONE);
        // Who goes on has read what was said, should it not count that itself.
        let (unsaid, source) = pipe.progress().account(9);
        assert_eq!((unsaid.input_tokens(), source), (9 + said.output_tokens(), UsageSource::Estimated), "{cell}");
        pipe.note("continued on b/m2", &mut out);
        push(&mut pipe, &SECOND.chunks(next), &mut out);
        let stream = String::from_utf8(out).unwrap();
        assert_eq!(stream.contains("\n: continued on b/m2\n"), client_format != Dialect::Gemini, "{cell}");
        let answer = grammar::assemble(client_format, &stream);
        // The one blank that comes again is not doubled.
        let new = if said.blanks() == " " { second.trim_start() } else { &second };
        assert_eq!(text(client_format, &answer), before + new, "{cell}");

        // Nobody counts twice, and nobody is forgotten.
        let progress = pipe.progress();
        let [(earlier, source)] = progress.earlier[..] else { panic!("{cell}") };
        assert_ne!(source, UsageSource::Reported);
        let (last, last_source) = progress.account(9);
        assert_eq!((last.input_tokens(), last.output_tokens(), last_source), (70, 5, UsageSource::Reported), "{cell}");
        let told = (earlier.input_tokens(), earlier.output_tokens() + 5);
        assert_eq!(counts(client_format, &answer), told, "{cell}");
        assert!(matches!(progress.ending, Some(Ending::Complete)) && !pipe.is_open() && pipe.said().is_none());
        resumed += 1;
    });
    assert!(resumed > 400, "{resumed}");
}

#[test]
fn a_stream_may_break_more_than_once() {
    every_break(FIRST, |[client_format, from, next], _, mut pipe, mut out| {
        let Some(first) = pipe.said() else { return };
        resume(&mut pipe, client_format, next, &Quirks::NONE);
        let chunks = SECOND.chunks(next);
        push(&mut pipe, &chunks[..chunks.len() / 2], &mut out);
        let second = pipe.said().unwrap();
        assert!(second.told().starts_with(first.told()));
        resume(&mut pipe, client_format, from, &Quirks::NONE);
        push(&mut pipe, &Script { text: &["END"], counts: (90, 1), ..SECOND }.chunks(from), &mut out);
        let answer = grammar::assemble(client_format, &String::from_utf8(out).unwrap());
        let said = text(client_format, &answer);
        assert_eq!(said, format!("{}{}END", second.told(), second.blanks()), "{from:?} {next:?} {client_format:?}");
        let [(one, _), (two, _)] = pipe.progress().earlier[..] else { panic!("two shares") };
        let told = (one.input_tokens(), one.output_tokens() + two.output_tokens() + 1);
        assert_eq!(counts(client_format, &answer), told);
    });
}

#[test]
fn thinking_is_begun_anew_and_text_behind_thinking_goes_on() {
    const THINKING: Script<'_> = Script { thinking: &["first", " look"], text: &["So", " it is"], ..FIRST };
    const AGAIN: Script<'_> = Script { thinking: &["look", " again"], text: &[" so."], ..SECOND };
    let (mut anew, mut on) = (0, 0);
    every_break(THINKING, |[client_format, from, next], _, mut pipe, mut out| {
        let Some(said) = pipe.said() else { return };
        let cell = format!("{from:?} then {next:?} to {client_format:?}: {said:?}");
        match said.told() {
            "" => anew += 1,
            _ => on += 1,
        }
        resume(&mut pipe, client_format, next, &Quirks::NONE);
        push(&mut pipe, &AGAIN.chunks(next), &mut out);
        let answer = grammar::assemble(client_format, &String::from_utf8(out).unwrap());
        assert_eq!(text(client_format, &answer), format!("{} so.", said.told()), "{cell}");
        assert!(answer.to_string().contains("look again"), "{cell}: {answer}");
    });
    assert!(anew > 40 && on > 40, "{anew} {on}");
}

#[test]
fn the_second_may_call_where_the_first_only_spoke() {
    every_break(FIRST, |[client_format, from, next], _, mut pipe, mut out| {
        let Some(said) = pipe.said() else { return };
        resume(&mut pipe, client_format, next, &Quirks::NONE);
        push(&mut pipe, &Script { text: &[], has_call: true, ..SECOND }.chunks(next), &mut out);
        let answer = grammar::assemble(client_format, &String::from_utf8(out).unwrap());
        assert!(answer.to_string().contains("call1") || next == Dialect::Gemini, "{from:?} {next:?}: {answer}");
        assert_eq!(text(client_format, &answer), format!("{}{}", said.told(), said.blanks()));
    });
}

#[test]
fn nobody_goes_on_from_a_call_or_from_an_end() {
    for client_format in Dialect::CLIENTS {
        for from in Dialect::ALL {
            let script = Script { has_call: true, ..FIRST };
            let (chunks, texts) = (script.chunks(from), FIRST.chunks(from));
            for (at, all) in [(chunks.len() - 1, chunks), (texts.len(), texts)] {
                let (mut pipe, mut out) = (translator(client_format, from), Vec::new());
                push(&mut pipe, &all[..at], &mut out);
                assert_eq!(pipe.said(), None, "{from:?} to {client_format:?}, {at} events");
                assert!(!pipe.is_open());
                let before = out.clone();
                resume(&mut pipe, client_format, from, &Quirks::NONE);
                pipe.close(&mut out);
                pipe.note("too late", &mut out);
                assert!(!awake(&mut pipe, &mut out));
                push(&mut pipe, &SECOND.chunks(from), &mut out);
                assert_eq!(out, before);
                grammar::assemble(client_format, std::str::from_utf8(&out).unwrap());
            }
        }
    }
}

#[test]
fn nothing_is_recorded_unasked_and_a_record_changes_nothing() {
    let seal = seal();
    every_break(FIRST, |[client_format, from, _], got, mut pipe, mut out| {
        let bridge = Bridge::plain(client_format, from, &seal);
        let mut plain = Translator::new(&bridge, framing(from), &Quirks::NONE, &client(&seal));
        let mut expected = Vec::new();
        push(&mut plain, got, &mut expected);
        assert!(plain.said().is_none() && !plain.is_open());
        pipe.close(&mut out);
        pipe.close(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(expected).unwrap());
        assert!(!pipe.is_open() && pipe.said().is_none());
    });
}

#[test]
fn a_stream_that_waits_for_the_next_upstream_is_kept_awake() {
    let seal = seal();
    for client_format in Dialect::CLIENTS {
        let (mut pipe, mut out) = (translator(client_format, Dialect::Anthropic), Vec::new());
        let chunks = FIRST.chunks(Dialect::Anthropic);
        chunks[..4].iter().for_each(|chunk| pipe.push(chunk, &mut out));
        // A deadline has passed.
        pipe.fail(Error::new(Kind::UpstreamTimeout, "slow"), &mut out);
        pipe.push(&chunks[4], &mut out);
        assert!(pipe.said().is_some() && awake(&mut pipe, &mut out));
        resume(&mut pipe, client_format, Dialect::Cohere, &Quirks::NONE);
        assert!(awake(&mut pipe, &mut out));
        push(&mut pipe, &SECOND.chunks(Dialect::Cohere), &mut out);
        let answer = grammar::assemble(client_format, &String::from_utf8(out).unwrap());
        assert_eq!(text(client_format, &answer), "Once upon a\n was a queen.");
    }
    // The same as an array.
    let bridge = Bridge::plain(Dialect::Gemini, Dialect::Anthropic, &seal);
    let translator = Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal)).recorded();
    let (mut pipe, mut out) = (Around::new(Box::new(translator), AsArray::default()), Vec::new());
    assert!(awake(&mut pipe, &mut out) && !pipe.is_committed());
    push(&mut pipe, &FIRST.chunks(Dialect::Anthropic)[..4], &mut out);
    assert!(awake(&mut pipe, &mut out));
    resume(&mut pipe, Dialect::Gemini, Dialect::OpenAiChat, &Quirks::NONE);
    pipe.note("continued", &mut out);
    push(&mut pipe, &SECOND.chunks(Dialect::OpenAiChat), &mut out);
    let items: Vec<Value> = serde_json::from_slice(&out).unwrap();
    let said: String = items.iter().map(|item| texts(&item["candidates"][0]["content"]["parts"], |_| true)).collect();
    assert_eq!(said, "Once upon a\n was a queen.");
}

#[test]
fn what_the_second_repeats_is_not_told_again() {
    let quirks = Quirks { prefill: Some(Mark::Prefix), ..Quirks::NONE };
    let first = Script { text: &["Once upon a time", " there was a queen"], ..FIRST };
    for (quirks, breaks_at, again) in [
        (&Quirks::NONE, 4, &["a time there", " was a queen who"] as &[&str]),
        (&Quirks::NONE, 4, &["Once upon a time there was a queen who"]),
        // So short that only an echo is told from chance.
        (&quirks, 3, &["Once upon", " a time who"]),
    ] {
        for client_format in Dialect::CLIENTS {
            let (mut pipe, mut out) = (translator(client_format, Dialect::Anthropic), Vec::new());
            push(&mut pipe, &first.chunks(Dialect::Anthropic)[..breaks_at], &mut out);
            let said = pipe.said().unwrap().told().to_owned();
            resume(&mut pipe, client_format, Dialect::OpenAiChat, quirks);
            push(&mut pipe, &Script { text: again, ..SECOND }.chunks(Dialect::OpenAiChat), &mut out);
            let answer = grammar::assemble(client_format, &String::from_utf8(out).unwrap());
            assert_eq!(text(client_format, &answer), format!("{said} who"));
        }
    }
}
