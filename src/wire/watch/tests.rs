use super::*;
use crate::error::Kind;
use crate::usage::tokens::{Usage, UsageSource};

fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams").join(name);
    std::fs::read(path).unwrap()
}

fn watch(name: &str, bytes: &[u8], strip: bool, choices: u64) -> (String, StreamWatch) {
    watch_in(7, name, bytes, strip, choices)
}

/// In pieces of a size.
fn watch_in(size: usize, name: &str, bytes: &[u8], strip: bool, choices: u64) -> (String, StreamWatch) {
    let dialect = match name.split('-').next() {
        Some("chat") => Dialect::OpenAiChat,
        Some("responses") => Dialect::Responses,
        _ => Dialect::Anthropic,
    };
    let watch = Watch {
        dialect,
        framing: Framing::Sse,
        quirks: &Quirks::NONE,
        strip_usage_chunk: strip,
        choices,
        request_id: "req",
    };
    let mut it = StreamWatch::new(&watch);
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        it.push(piece, &mut out);
    }
    it.finish(&mut out);
    (String::from_utf8_lossy(&out).into_owned(), it)
}

fn run(name: &str) -> (String, StreamWatch) {
    watch(name, &fixture(name), false, 1)
}

const COMPLETE: [&str; 12] = [
    "chat-text.sse",
    "chat-tools.sse",
    "chat-reasoning-crlf.sse",
    "chat-two-choices.sse",
    "chat-no-done.sse",
    "chat-azure-opening.sse",
    "chat-spaced.sse",
    "messages-text.sse",
    "messages-thinking-tools.sse",
    "messages-redacted-crlf.sse",
    "messages-unknown.sse",
    "messages-empty.sse",
];

#[test]
fn bytes_pass_as_they_are_and_are_accounted_for() {
    for name in COMPLETE {
        let (out, it) = run(name);
        assert_eq!(out.as_bytes(), fixture(name), "{name}");
        let progress = it.progress();
        assert!(matches!(progress.ending, Some(Ending::Complete)), "{name}: {:?}", progress.ending);
        assert!(progress.has_stopped, "{name}");
        let (usage, source) = progress.account(0);
        assert_eq!(source, UsageSource::Reported, "{name}");
        match it.eye.dialect {
            Dialect::OpenAiChat => assert_eq!((usage.input_tokens(), usage.output_tokens()), (21, 9), "{name}"),
            Dialect::Anthropic => assert_eq!((usage.input_tokens(), usage.cached_tokens), (33, 8), "{name}"),
            _ => {}
        }
        assert_eq!(progress.output.is_empty(), name == "messages-empty.sse", "{name}");
    }
    let output = run("messages-thinking-tools.sse").1.progress().usage.unwrap().output_tokens();
    assert_eq!(output, 77);
}

#[test]
fn nothing_follows_the_end_of_a_chat_answer() {
    let (name, whole) = ("chat-text.sse", fixture("chat-text.sse"));
    let (alone, _) = watch(name, &whole, false, 1);
    let twice = [&whole[..], b": comment\n\n", &whole, b"data: {\"error\":{\"message\":\"late\"}}\n\n"].concat();
    for size in [7, twice.len()] {
        let (out, it) = watch_in(size, name, &twice, false, 1);
        assert_eq!(out, alone.clone() + ": comment\n\n");
        assert!(matches!(it.progress().ending, Some(Ending::Complete)));
    }
}

#[test]
fn text_of_the_model_is_counted_and_nothing_else() {
    let counted = |name: &str| run(name).1.progress().output;
    let of = |texts: &[&str]| {
        let mut count = TextCount::default();
        texts.iter().for_each(|text| count.add_escaped(text));
        count
    };
    // What looks like members in the text is text, escapes and all.
    let quoted = " \\\"usage\\\": {\\\"finish_reason\\\":\\\"stop\\\"}\\n";
    assert_eq!(counted("chat-text.sse"), of(&["Gr\u{fc}\u{df}e, ", "\u{4e16}\u{754c} \u{1f600}", quoted]));
    assert_eq!(counted("chat-tools.sse"), of(&["Looking.", "{\\\"city\\\":", "\\\"Oslo\\\"}", "{}"]));
    assert_eq!(counted("chat-reasoning-crlf.sse"), of(&["Hm\u{2026}", " 2+2", "4"]));
    assert_eq!(counted("chat-spaced.sse"), of(&["a", "b"]));
    assert_eq!(counted("messages-redacted-crlf.sse"), of(&["ok"]));
    assert_eq!(
        counted("messages-thinking-tools.sse"),
        of(&["Let me see", " \u{2026}", "Checking.", "{\\\"city\\\": \\\"Os", "lo\\\"}"])
    );
}

#[test]
fn the_usage_chunk_goes_only_where_it_was_asked_for() {
    let bytes = fixture("chat-text.sse");
    let text = String::from_utf8(bytes.clone()).unwrap();
    let usage_chunk = text.split_inclusive("\n\n").find(|frame| frame.contains("\"choices\":[]")).unwrap();
    let (out, it) = watch("chat", &bytes, true, 1);
    assert_eq!(out, text.replace(usage_chunk, ""));
    assert_eq!(it.progress().usage.unwrap().total_tokens(), 30);
    // Usage that rides on a choice stays, and so does an opening without choices.
    for name in ["chat-reasoning-crlf.sse", "chat-no-done.sse"] {
        assert_eq!(watch(name, &fixture(name), true, 1).0.as_bytes(), fixture(name), "{name}");
    }
    let (out, _) = watch("chat", &fixture("chat-azure-opening.sse"), true, 1);
    assert!(out.contains("prompt_filter_results") && !out.contains("total_tokens"));
}

#[test]
fn an_error_before_the_answer_leaves_nothing_to_read() {
    for name in ["chat-error-first.sse", "messages-error-first.sse"] {
        let (out, it) = run(name);
        assert_eq!((out.as_str(), it.is_committed()), ("", false), "{name}");
        let Some(Ending::Error(error)) = &it.progress().ending else { panic!("{name}: {:?}", it.progress()) };
        assert_eq!(error.kind(), Kind::UpstreamOverloaded, "{name}: {error}");
    }
}

#[test]
fn an_error_behind_the_first_byte_is_passed_on_once() {
    for name in ["chat-error-late.sse", "messages-error-late.sse"] {
        let (out, it) = run(name);
        assert_eq!(out.as_bytes(), fixture(name), "{name}");
        assert!(matches!(it.progress().ending, Some(Ending::Error(_))), "{name}");
    }
}

#[test]
fn a_cut_answer_is_closed_behind_its_last_whole_event() {
    for name in ["chat-cut.sse", "messages-cut.sse"] {
        let (out, it) = run(name);
        let text = String::from_utf8(fixture(name)).unwrap();
        let (whole, _) = text.rsplit_once("\n\n").unwrap();
        let rest = out.strip_prefix(whole).and_then(|rest| rest.strip_prefix("\n\n")).unwrap();
        assert!(rest.contains("\"error\"") && rest.ends_with("\n\n"), "{name}: {rest}");
        assert!(matches!(it.progress().ending, Some(Ending::Cut(_))), "{name}");
        let (usage, source) = it.progress().account(50);
        assert!(usage.output_tokens() > 0 && source != UsageSource::Reported, "{name}");
    }
}

#[test]
fn every_choice_has_to_finish() {
    let bytes = fixture("chat-two-choices.sse");
    let text = String::from_utf8(bytes).unwrap();
    let cut = text.split_inclusive("\n\n").take(5).collect::<String>();
    assert!(cut.ends_with("\"finish_reason\":\"stop\"}]}\n\n"));
    assert!(matches!(watch("chat", cut.as_bytes(), false, 2).1.progress().ending, Some(Ending::Cut(_))));
    assert!(matches!(watch("chat", cut.as_bytes(), false, 1).1.progress().ending, Some(Ending::Complete)));
}

#[test]
fn an_opening_is_not_held_forever() {
    let frame = "data: {\"choices\":[{\"index\":0,\"delta\":{\"novel\":1}}]}\n\n";
    assert_eq!(watch("chat", frame.repeat(20).as_bytes(), false, 1).0, "");
    let (out, it) = watch("chat", frame.repeat(40).as_bytes(), false, 1);
    assert!(it.is_committed() && out.starts_with(&frame.repeat(40)));
    let comments = format!(": {}\n\n", "x".repeat(1000)).repeat(70);
    assert!(watch("chat", comments.as_bytes(), false, 1).1.is_committed());
}

#[test]
fn a_whole_answer_is_read_without_building() {
    let chat = r#"{"id":"x","choices":[{"message":{"content":"twelve chars"}}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#;
    let it = whole(Dialect::OpenAiChat, chat, &Quirks::NONE).unwrap();
    assert_eq!((it.usage.unwrap().total_tokens(), it.error.is_none()), (8, true));
    let anthropic = r#"{"content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":5,"output_tokens":3}}"#;
    assert_eq!(whole(Dialect::Anthropic, anthropic, &Quirks::NONE).unwrap().usage.unwrap().total_tokens(), 8);
    let silent = whole(Dialect::OpenAiChat, r#"{"choices":[{"message":{"content":"twelve chars"}}]}"#, &Quirks::NONE);
    assert!(silent.unwrap().usage.is_none());
    let failed = r#"{"error":{"message":"network connection lost"}}"#;
    assert!(whole(Dialect::OpenAiChat, failed, &Quirks::NONE).unwrap().error.is_some());
    let object = whole(Dialect::OpenAiChat, r#"{"object":"error","message":"boom","code":400}"#, &Quirks::NONE);
    assert_eq!(
        object.unwrap().error.map(|error| (error.status(), error.public().to_owned())),
        Some((400, "boom".into()))
    );
    for broken in ["", "{", r#"{"usage":{"prompt_tokens":5}} x"#, "<html>"] {
        assert!(whole(Dialect::OpenAiChat, broken, &Quirks::NONE).is_none(), "{broken}");
    }
}

/// OpenRouter and others say so in the choice, and count what was used all the same.
#[test]
fn a_choice_that_broke_off_is_no_answer() {
    let usage = r#""usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}"#;
    for (choice, message) in [
        (r#"{"message":{"content":"half"},"finish_reason":"error","error":{"code":502,"message":"gone"}}"#, "gone"),
        (r#"{"message":{"content":"half"},"error":{"code":502,"message":"gone"}}"#, "gone"),
        (r#"{"message":{"content":"half"},"finish_reason":"error"}"#, ""),
    ] {
        let body =
            format!(r#"{{"choices":[{{"message":{{"content":"a"}},"finish_reason":"stop"}},{choice}],{usage}}}"#);
        let it = whole(Dialect::OpenAiChat, &body, &Quirks::NONE).unwrap();
        let error = it.error.unwrap();
        assert!(error.status() == 502 && error.public().contains(message), "{error:?}");
        assert_eq!(it.usage.unwrap().total_tokens(), 8);
        let begin = r#"{"choices":[{"index":0,"delta":{"content":"ha"}}]}"#;
        let end =
            format!(r#"{{"choices":[{}],{usage}}}"#, choice.replace("message\":{\"content", "delta\":{\"content"));
        let (out, it) = watch("chat", format!("data: {begin}\n\ndata: {end}\n\ndata: [DONE]\n\n").as_bytes(), false, 1);
        assert!(it.progress().ending.as_ref().and_then(Ending::error).is_some(), "{out}");
        assert_eq!(it.progress().usage.unwrap().total_tokens(), 8);
        assert!(out.contains(&end), "{out}");
    }
    for fine in [
        r#"{"message":{"content":"\"error\""},"finish_reason":"stop","error":null}"#,
        r#"{"message":{"content":"a"},"finish_reason":"eos","error":{}}"#,
    ] {
        let body = format!(r#"{{"choices":[{fine}]}}"#);
        let error = whole(Dialect::OpenAiChat, &body, &Quirks::NONE).unwrap().error;
        assert_eq!(error.is_some(), fine.contains("{}"), "{fine}");
    }
}

#[test]
fn the_model_that_an_answer_names_is_seen() {
    let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(MOST_NAME_BYTES + 1));
    for (dialect, body, model) in [
        (
            Dialect::OpenAiChat,
            r#"{"id":"c","model":"gpt-5-2026-01-01","choices":[{"model":"no"}]}"#,
            Some("gpt-5-2026-01-01"),
        ),
        (Dialect::Responses, r#"{"model":"gpt-\u0035"}"#, Some("gpt-5")),
        (Dialect::Anthropic, r#"{"type":"message","model":"claude-x"}"#, Some("claude-x")),
        (Dialect::Gemini, r#"{"modelVersion":"gemini-x","model":"no"}"#, Some("gemini-x")),
        (Dialect::Converse, r#"{"model":"no"}"#, None),
        (Dialect::OpenAiChat, r#"{"model":""}"#, None),
        (Dialect::OpenAiChat, r#"{"model":7}"#, None),
        (Dialect::OpenAiChat, r#"{"choices":[]}"#, None),
        (Dialect::OpenAiChat, long.as_str(), None),
    ] {
        assert_eq!(whole(dialect, body, &Quirks::NONE).unwrap().model.as_deref(), model, "{body}");
    }
    for (name, model) in [("messages-text.sse", "claude-x"), ("chat-text.sse", "gpt-x-mini")] {
        assert_eq!(run(name).1.progress().model.as_deref(), Some(model), "{name}");
    }
}

/// Events that are known by the one before are taken as they stand, many at once; those that come in pieces are
/// put together and read.
#[test]
fn how_a_stream_is_cut_changes_nothing() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams");
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let of_clients = ["chat-", "messages-", "responses-"];
    let names: Vec<String> = names.filter(|name| of_clients.iter().any(|of| name.starts_with(of))).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let (mut long, mut marked) = (Vec::new(), Vec::new());
        let mut framer = crate::wire::sse::Framer::default();
        let mut stretch = |frame: Frame<'_>| {
            // Each event three times, and once with what no frame has to have.
            (0..3).for_each(|_| long.extend_from_slice(frame.raw));
            [&b"id: 7\n"[..], frame.raw, b": so far\n\n", frame.raw].iter().for_each(|it| marked.extend_from_slice(it));
        };
        framer.push(&fixture(&name), &mut stretch).unwrap();
        framer.finish(&mut stretch);
        for bytes in [&long, &marked] {
            for strip in [false, true] {
                let seen = |size: usize| {
                    let (out, it) = watch_in(size, &name, bytes, strip, 1);
                    (out, format!("{:?}", it.progress()))
                };
                let whole = seen(bytes.len());
                for size in [1, 2, 7, 100, 1_000] {
                    assert_eq!(seen(size), whole, "{name} in pieces of {size}");
                }
            }
        }
    }
}

#[test]
fn bytes_that_are_no_text_count_the_same_however_they_are_cut() {
    let event = |text: &[u8]| [&br#"data: {"choices":[{"delta":{"content":""#[..], text, b"\"}}]}\n\n"].concat();
    let texts: [&[u8]; 5] = [b"one", b"two", b"\xff\xc3\xff", "caf\u{e9}".as_bytes(), b"\xf0\x9f"];
    let stream = texts.map(event).concat();
    let seen = |size: usize| {
        let (out, it) = watch_in(size, "chat", &stream, false, 1);
        (out, it.progress().output)
    };
    for size in [1, 5, 60] {
        assert_eq!(seen(size), seen(stream.len()), "in pieces of {size}");
    }
}

/// Of a provider that tells nothing.
const SILENT: &str = concat!(
    "data: {\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"choices\":[]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"eight letters\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_client_that_asked_for_counts_gets_them_whoever_counts() {
    let told = |stream: &str, asks: bool| {
        let watch = Watch {
            dialect: Dialect::OpenAiChat,
            framing: Framing::Sse,
            quirks: &Quirks::NONE,
            strip_usage_chunk: !asks,
            choices: 1,
            request_id: "req",
        };
        let it = StreamWatch::new(&watch);
        let (mut it, mut out) = (if asks { it.telling(9) } else { it }, Vec::new());
        stream.as_bytes().chunks(11).for_each(|piece| it.push(piece, &mut out));
        it.finish(&mut out);
        (String::from_utf8(out).unwrap(), it.progress().account(9))
    };
    let (out, (usage, source)) = told(SILENT, true);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (9, 4, UsageSource::Estimated));
    let chunk = concat!(
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\",\"choices\":[],",
        "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13",
    );
    let (before, behind) = out.split_once(chunk).unwrap();
    assert!(SILENT.starts_with(before) && behind.ends_with("}}\n\ndata: [DONE]\n\n"), "{out}");
    assert_eq!(told(SILENT, false).0, SILENT);
    // Without its last line, and where the provider tells.
    let (cut, _) = told(SILENT.strip_suffix("data: [DONE]\n\n").unwrap(), true);
    assert!(cut.contains(chunk), "{cut}");
    let telling = String::from_utf8(fixture("chat-text.sse")).unwrap();
    assert!(telling.contains("\"prompt_tokens\""));
    assert_eq!(told(&telling, true).0, telling);
}

#[test]
fn an_end_before_which_nothing_is_said_is_no_answer() {
    let role = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}"#;
    for nothing in ["data: [DONE]\n\n".to_owned(), format!("{role}\n\ndata: [DONE]\n\n")] {
        let (out, it) = watch("chat", nothing.as_bytes(), false, 1);
        assert!(out.is_empty() && !it.is_committed(), "{out}");
        assert!(matches!(&it.progress().ending, Some(Ending::Cut(_))), "{nothing}");
    }
    let stop = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}}"#;
    for (event, strip) in [(stop, false), (usage, false), (usage, true)] {
        let (out, it) = watch("chat", format!("{event}\n\ndata: [DONE]\n\n").as_bytes(), strip, 1);
        assert!(out.ends_with("data: [DONE]\n\n"), "{out}");
        assert!(matches!(&it.progress().ending, Some(Ending::Complete)), "{event}");
    }
}

#[test]
fn zeros_beside_a_text_are_no_counts() {
    let zeros = r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let told = |choices: &str| {
        whole(Dialect::OpenAiChat, &format!(r#"{{"choices":{choices},{zeros}}}"#), &Quirks::NONE).unwrap().usage
    };
    assert_eq!(told(r#"[{"message":{"content":"twelve chars"},"finish_reason":"stop"}]"#), None);
    assert_eq!(told(r#"[{"message":{"content":""},"finish_reason":"stop"}]"#), Some(Usage::default()));
    assert_eq!(told("[]"), Some(Usage::default()));
    let chunk = |delta: &str, finish: &str, more: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]{more}}}\n\n")
    };
    let of = |last: &str| {
        let mut stream = chunk("{\"role\":\"assistant\"}", "null", &format!(",{zeros}"));
        stream += &chunk("{\"content\":\"twelve chars\"}", "null", &format!(",{zeros}"));
        stream += &chunk("{}", "\"stop\"", last);
        let (_, it) = watch("chat", (stream + "data: [DONE]\n\n").as_bytes(), false, 1);
        it.progress().account(9)
    };
    let (usage, source) = of(&format!(",{zeros}"));
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (9, 3, UsageSource::Estimated));
    let (usage, source) = of(r#","usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}"#);
    assert_eq!((usage.input_tokens(), usage.output_tokens(), source), (5, 2, UsageSource::Reported));
}

/// Where each format says it.
#[test]
fn the_tier_of_a_whole_answer_is_told() {
    let tier = |dialect, body: &str| whole(dialect, body, &Quirks::NONE).unwrap().service_tier;
    let counted = |more: &str| format!(r#"{{"candidates":[],"usageMetadata":{{"promptTokenCount":1,{more}}}}}"#);
    assert_eq!(tier(Dialect::Gemini, &counted(r#""serviceTier":"priority""#)).as_deref(), Some("priority"));
    assert_eq!(tier(Dialect::Gemini, &counted(r#""trafficType":"ON_DEMAND_FLEX""#)).as_deref(), Some("flex"));
    assert_eq!(tier(Dialect::Gemini, &counted(r#""trafficType":"ON_DEMAND""#)), None);
    let converse = r#"{"usage":{"inputTokens":1,"outputTokens":1},"serviceTier":{"type":"flex"}}"#;
    assert_eq!(tier(Dialect::Converse, converse).as_deref(), Some("flex"));
    let chat = r#"{"choices":[],"service_tier":"default","usage":{"prompt_tokens":1}}"#;
    assert_eq!(tier(Dialect::OpenAiChat, chat).as_deref(), Some("default"));
}

/// In one line of data, as all vendors send it; what stands in several passes as it is.
#[test]
fn the_last_event_of_responses_tells_what_was_written_to_a_cache() {
    let event = |details: &str| {
        format!(
            "event: response.completed\r\nid: 7\r\ndata: {{\"type\":\"response.completed\",\"response\":{{\"output\":[],\"usage\":{{\"input_tokens\":7,\
             \"input_tokens_details\":{{{details}\"cached_tokens\":2}},\"output_tokens\":3}}}}}}\r\n\r\n"
        )
    };
    let told = event("\"cache_write_tokens\":0,");
    let folded = event("").replace(",\"response\"", ",\r\ndata: \"response\"");
    for (sent, expected) in [(event(""), &told), (told.clone(), &told), (folded.clone(), &folded)] {
        for size in [1, 7, sent.len()] {
            let (out, it) = watch_in(size, "responses", sent.as_bytes(), false, 1);
            assert_eq!(&out, expected, "in pieces of {size}");
            let usage = it.progress().usage.unwrap();
            assert_eq!((usage.input_tokens(), usage.cached_tokens, usage.output_tokens()), (7, 2, 3));
            assert!(matches!(it.progress().ending, Some(Ending::Complete)));
        }
    }
}
