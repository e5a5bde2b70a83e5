#![expect(clippy::disallowed_types, reason = "what came out is read as free-form JSON")]

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::guard::{Action, Detectors, Guard, Kind};
use crate::wire::bridge::Bridge;
use crate::wire::frames::Framing;
use crate::wire::seal::Seal;
use crate::wire::stream::{Pipe, Translator};
use crate::wire::{Client, Dialect};

const MAIL: &str = "jürgen@canary-söhne.example";

fn watch(action: Action) -> Watch {
    let detectors = Detectors::new(&[Kind::Email, Kind::Phone], &[], &[]).unwrap();
    let (name, message) = ("g".to_owned(), "not this".to_owned());
    let guard = Guard { name, detectors, action, on_input: true, on_output: true, message };
    Watch::new([Arc::new(guard)].into())
}

/// A chat stream that says this in few events, and that and more in its arguments.
fn chat(text: &str, arguments: &str) -> String {
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
        )
    };
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let function = json!({"name": "f", "arguments": arguments});
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}});
    let logprobs = json!({"index": 0, "delta": {"content": ""}, "logprobs": {"content": [{"token": text}]}, "finish_reason": null});
    let logprobs =
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [logprobs]});
    [
        chunk(json!({"role": "assistant", "reasoning_content": text}), None),
        chunk(json!({"content": first}), None),
        format!("data: {logprobs}\n\n"),
        chunk(json!({"content": second}), None),
        chunk(json!({"tool_calls": [call]}), None),
        chunk(json!({}), Some("tool_calls")),
        format!("data: {usage}\n\ndata: [DONE]\n\n"),
    ]
    .concat()
}

fn through(client: Dialect, watch: &Watch, pieces: [&[u8]; 2]) -> String {
    let seal = Seal::new("d", b"key");
    let bridge = Bridge::plain(client, Dialect::OpenAiChat, &seal);
    let quirks = crate::provider::openai::PROVIDER.quirks;
    let about = Client { created: 1, input_estimate_tokens: 1, ..Client::of("m", "i", &seal) };
    let mut pipe = Translator::new(&bridge, Framing::Sse, &quirks, &about).guarded(watch.of_answer());
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| pipe.push(piece, &mut out));
    pipe.finish(&mut out);
    assert!(pipe.progress().ending.as_ref().is_some_and(|ending| ending.error().is_none()));
    assert_eq!(pipe.progress().usage.map(|usage| (usage.input_tokens(), usage.output_tokens())), Some((11, 7)));
    String::from_utf8(out).unwrap()
}

const CLIENTS: [Dialect; 4] = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Responses, Dialect::Gemini];

/// Every border, also inside of a character and inside of an escape.
#[test]
fn every_border_between_bytes_gives_the_same() {
    let escaped = json!({"to": MAIL}).to_string().replace('ü', "\\u00fc").replace('@', "\\u0040");
    let text = format!("ask {MAIL} or +49 30 901820.");
    let stream = chat(&text, &escaped).replace("sö", "s\\u00f6");
    for client in CLIENTS {
        for action in [Action::Mask, Action::Block] {
            let watch = watch(action);
            let whole = through(client, &watch, [stream.as_bytes(), b""]);
            assert!(!whole.contains("canary") && !whole.contains("901820"), "{whole}");
            let (says, not) =
                if action == Action::Mask { ("[EMAIL_1]", "not this") } else { ("not this", "[EMAIL_1]") };
            assert!(whole.contains(says) && !whole.contains(not), "{client:?}: {whole}");
            for at in 0..=stream.len() {
                let (before, behind) = stream.as_bytes().split_at(at);
                let out = through(client, &watch, [before, behind]);
                assert_eq!(joined(&out), joined(&whole), "{client:?} cut at {at}");
                assert!(!out.contains("canary"), "{out}");
            }
        }
    }
}

/// All texts, in the order in which they came, whatever events they came in.
fn joined(stream: &str) -> String {
    fn strings(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => out.push_str(text),
            Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
            Value::Object(members) => {
                let wanted = [
                    "content",
                    "text",
                    "delta",
                    "refusal",
                    "arguments",
                    "partial_json",
                    "thinking",
                    "reasoning_content",
                ];
                let deeper = [
                    "choices",
                    "candidates",
                    "parts",
                    "function",
                    "tool_calls",
                    "output",
                    "response",
                    "item",
                    "summary",
                ];
                for (name, value) in members {
                    if wanted.contains(&name.as_str()) || deeper.contains(&name.as_str()) && !value.is_string() {
                        strings(value, out);
                    }
                }
            }
            _ => {}
        }
    }
    let mut out = String::new();
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
        strings(&serde_json::from_str(data).unwrap(), &mut out);
    }
    out
}

#[test]
fn what_was_hidden_comes_back_in_text_and_in_arguments() {
    let mut watch = watch(Action::Mask);
    let quoted = "\"quoted\"@x.example";
    watch.whole(&format!("{MAIL}, {quoted}"));
    let watch = watch.restoring();
    let stream = chat("to [EMAIL_1] or [EMAIL_2], not [EMAIL_3]", r#"{"to":"[EMAIL_1]"}"#);
    for client in CLIENTS {
        for at in 0..stream.len() {
            let (before, behind) = stream.as_bytes().split_at(at);
            let out = joined(&through_restoring(client, &watch, [before, behind]));
            assert!(
                out.contains(&format!("to {MAIL} or")) && out.contains("not [EMAIL_3]"),
                "{client:?} at {at}: {out}"
            );
            assert!(!out.contains("[EMAIL_1]"), "{client:?} at {at}: {out}");
        }
    }
}

fn through_restoring(client: Dialect, watch: &Watch, pieces: [&[u8]; 2]) -> String {
    let seal = Seal::new("d", b"key");
    let bridge = Bridge::plain(client, Dialect::OpenAiChat, &seal);
    let quirks = crate::provider::openai::PROVIDER.quirks;
    let about = Client { created: 1, input_estimate_tokens: 1, ..Client::of("m", "i", &seal) };
    let mut pipe = Translator::new(&bridge, Framing::Sse, &quirks, &about).guarded(watch.clone());
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| pipe.push(piece, &mut out));
    pipe.finish(&mut out);
    String::from_utf8(out).unwrap()
}
