//! The golden matrix: what a client of each format gets from, and sends to, an upstream of each.
//! Fixtures are in `golden/<format>/{request,response,stream,error}`, by the format they are
//! written in; snapshots in `golden/snapshots`. Each snapshot is a promise: read it before it is
//! accepted.

#![expect(clippy::disallowed_types, reason = "snapshots are read as trees")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

#[cfg(test)]
#[path = "support/grammar.rs"]
mod grammar;

use std::fs;
use std::path::{Path, PathBuf};

use insta::{Settings, assert_snapshot};
use serde_json::{Value, json};
use weir::error::Error;
use weir::wire::bridge::Bridge;
use weir::wire::eventstream;
use weir::wire::frames::Framing;
use weir::wire::ir::Dropped;
use weir::wire::seal::Seal;
use weir::wire::stream::{Next, Pipe as _, Translator};
use weir::wire::{
    Abilities, Client, Dialect, Quirks, Target, Thinking, decode_error, decode_request, decode_response, encode_error,
    encode_error_event, encode_request, encode_response,
};

const CLIENTS: [Dialect; 3] = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Responses];
const UPSTREAMS: [Dialect; 6] = Dialect::ALL;

fn seal() -> Seal {
    Seal::new("golden", b"key")
}

fn client(seal: &Seal) -> Client<'_> {
    Client {
        created: 1_700_000_001,
        input_estimate_tokens: 11,
        ..Client::of("route", "0198c1d2e3f47a18a9b0c1d2e3f40718", seal)
    }
}

fn target(seal: &Seal, upstream: Dialect, thinking: Thinking) -> Target<'_> {
    let model = match (upstream, thinking) {
        (Dialect::Gemini, _) => "gemini-2.5-flash",
        (Dialect::Converse, _) => "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        (Dialect::Cohere, _) => "command-a-reasoning-08-2025",
        (_, Thinking::Adaptive) => "claude-opus-4-8",
        _ => "upstream-model",
    };
    Target {
        model,
        quirks: &Quirks::NONE,
        max_output_tokens: Some(64_000),
        thinking,
        abilities: Abilities::UNKNOWN,
        seal,
    }
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The fixtures of a kind, by name.
fn fixtures(format: Dialect, kind: &str) -> Vec<(String, String)> {
    let mut paths: Vec<_> =
        fs::read_dir(dir().join(format.as_str()).join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn snapshot(name: &str, text: &str) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(dir().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_snapshot!(name, text));
}

fn pretty(json: &[u8]) -> String {
    let tree: Value = serde_json::from_slice(json).unwrap();
    serde_json::to_string_pretty(&tree).unwrap()
}

fn refusal(error: &Error) -> String {
    format!("refused: {:?}, status {}, param {:?}\n{}", error.kind(), error.status(), error.param(), error.public())
}

/// The request as an upstream gets it.
fn request_for(body: &str, from: Dialect, to: Dialect, thinking: Thinking) -> String {
    let seal = seal();
    let mut request = match decode_request(from, body) {
        Ok(request) => request,
        Err(error) => return refusal(&error),
    };
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let target = target(&seal, to, thinking);
    let written = Bridge::request(&mut request, to, &target, &mut dropped)
        .and_then(|_| encode_request(to, &request, &target, &mut out, &mut dropped));
    match written {
        Ok(()) => format!("dropped: {}\n{}", dropped.header(), pretty(&out)),
        Err(error) => refusal(&error),
    }
}

#[test]
fn requests() {
    for (from, to) in cells(&CLIENTS, &UPSTREAMS) {
        for (name, body) in fixtures(from, "request") {
            let mut text = request_for(&body, from, to, Thinking::Budget);
            // What depends on how the model thinks is shown for each way.
            if to == Dialect::Anthropic && from != to && body.contains("reasoning_effort") {
                for thinking in [Thinking::Adaptive, Thinking::None] {
                    text += &format!("\n--- {thinking:?}\n{}", request_for(&body, from, to, thinking));
                }
            }
            snapshot(&format!("request.{}_to_{}.{name}", from.as_str(), to.as_str()), &text);
        }
    }
}

fn cells(from: &[Dialect], to: &'static [Dialect]) -> impl Iterator<Item = (Dialect, Dialect)> {
    from.iter().flat_map(|from| to.iter().map(|to| (*from, *to)))
}

/// The answer as a client gets it.
fn answer_for(body: &str, from: Dialect, to: Dialect) -> Vec<u8> {
    let seal = seal();
    let mut out = Vec::new();
    let mut response = decode_response(from, body, &Quirks::NONE).unwrap();
    Bridge::plain(to, from, &seal).response(&mut response);
    encode_response(to, &response, &client(&seal), &mut out);
    out
}

#[test]
fn answers() {
    for (from, to) in cells(&UPSTREAMS, &CLIENTS) {
        for (name, body) in fixtures(from, "response") {
            let text = pretty(&answer_for(&body, from, to));
            snapshot(&format!("answer.{}_to_{}.{name}", from.as_str(), to.as_str()), &text);
        }
    }
}

/// The stream as a client gets it.
fn stream_for(body: &str, from: Dialect, to: Dialect) -> String {
    stream_in_pieces(body, usize::MAX, from, to)
}

/// Amazon's messages, which fixtures hold as server-sent events.
fn amazons(body: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for event in body.split("\n\n").filter(|event| !event.is_empty()) {
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let kind =
            if name.ends_with("Exception") { ("exception", ":exception-type") } else { ("event", ":event-type") };
        let headers = [(kind.1, name), (":content-type", "application/json"), (":message-type", kind.0)];
        eventstream::write_message(&mut out, &headers, data.trim_end().as_bytes());
    }
    out
}

fn stream_in_pieces(body: &str, piece_bytes: usize, from: Dialect, to: Dialect) -> String {
    let seal = seal();
    let (framing, bytes) = match from {
        Dialect::Converse => (Framing::EventStream, amazons(body)),
        _ => (Framing::Sse, body.as_bytes().to_vec()),
    };
    let mut translator = Translator::new(&Bridge::plain(to, from, &seal), framing, &Quirks::NONE, &client(&seal));
    let mut out = Vec::new();
    bytes.chunks(piece_bytes).for_each(|piece| translator.push(piece, &mut out));
    translator.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn streams() {
    for (from, to) in cells(&UPSTREAMS, &CLIENTS) {
        for (name, body) in fixtures(from, "stream") {
            let text = stream_for(&body, from, to);
            // Peers row 25: where the body was cut makes no difference.
            assert_eq!(stream_in_pieces(&body, 1, from, to), text, "{name}");
            grammar::assemble(to, &text);
            snapshot(&format!("stream.{}_to_{}.{name}", from.as_str(), to.as_str()), &text);
        }
    }
}

/// The first events of one stream, and then another whole one, as a client gets them.
fn resumed(first: (Dialect, &str, usize), then: (Dialect, &str), to: Dialect) -> String {
    let seal = seal();
    let (from, name, events) = first;
    let body: String = fixture(from, name).split_inclusive("\n\n").take(events).collect();
    let bridge = Bridge::plain(to, from, &seal);
    let mut pipe = Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal)).recorded();
    let mut out = Vec::new();
    pipe.push(body.as_bytes(), &mut out);
    pipe.finish(&mut out);
    if pipe.said().is_some() {
        let (bridge, body) = (Bridge::plain(to, then.0, &seal), fixture(then.0, then.1));
        pipe.resume(&Next { bridge: &bridge, framing: Framing::Sse, quirks: &Quirks::NONE });
        pipe.note(&format!("continued on {}/model", then.0.as_str()), &mut out);
        pipe.push(body.as_bytes(), &mut out);
        pipe.finish(&mut out);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn resumed_streams() {
    let (text, thinking) = ((Dialect::OpenAiChat, "stream/text.sse", 3), "stream/thinking_and_tool.sse");
    for (name, first, then) in [
        ("text", text, (Dialect::Anthropic, "stream/text.sse")),
        ("text_then_thinking", text, (Dialect::Anthropic, thinking)),
        ("text_then_gemini", text, (Dialect::Gemini, "stream/text.sse")),
        ("thinking", (Dialect::Anthropic, thinking, 5), (Dialect::OpenAiChat, "stream/reasoning_text.sse")),
        // Nobody goes on from a call.
        ("call", (Dialect::Anthropic, thinking, 10), (Dialect::OpenAiChat, "stream/text.sse")),
    ] {
        for to in Dialect::CLIENTS {
            let stream = resumed(first, then, to);
            grammar::assemble(to, &stream);
            snapshot(&format!("resumed.{name}_to_{}", to.as_str()), &stream.replace("\r\n", "\n"));
        }
    }
}

#[test]
fn errors() {
    for (from, to) in cells(&UPSTREAMS, &CLIENTS) {
        for (name, body) in fixtures(from, "error") {
            let status: u16 = name.split('-').next().unwrap().parse().unwrap();
            let error = decode_error(from, status, &body);
            let (mut out, mut event) = (Vec::new(), Vec::new());
            let status = encode_error(to, &error, "0198c1d2-e3f4-7a18-a9b0-c1d2e3f40718", &mut out);
            encode_error_event(to, &error, "0198c1d2-e3f4-7a18-a9b0-c1d2e3f40718", &mut event);
            let text = format!(
                "{:?}, retry {:?}, status {status}\n{}\n{}",
                error.kind(),
                error.retry(),
                String::from_utf8(out).unwrap(),
                String::from_utf8(event).unwrap()
            );
            snapshot(&format!("error.{}_to_{}.{name}", from.as_str(), to.as_str()), &text);
        }
    }
}

fn encoded(body: &Value, from: Dialect, to: Dialect) -> Value {
    let seal = seal();
    let text = body.to_string();
    let mut request = decode_request(from, &text).unwrap();
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let target = target(&seal, to, Thinking::Budget);
    Bridge::request(&mut request, to, &target, &mut dropped).unwrap();
    encode_request(to, &request, &target, &mut out, &mut dropped).unwrap();
    assert!(dropped.is_empty(), "{:?}", dropped.paths());
    serde_json::from_slice(&out).unwrap()
}

fn fixture(format: Dialect, path: &str) -> String {
    fs::read_to_string(dir().join(format.as_str()).join(path)).unwrap()
}

/// What a chat client keeps of a stream: the ids, names and arguments of calls, and the text.
fn chat_message(sse: &str) -> Value {
    let mut message = json!({"role": "assistant", "content": "", "tool_calls": []});
    for line in sse.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
        let chunk: Value = serde_json::from_str(line).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let calls = message["tool_calls"].as_array_mut().unwrap();
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                calls.push(call.clone());
                continue;
            }
            let grown = calls[index]["function"]["arguments"].as_str().unwrap().to_owned()
                + call["function"]["arguments"].as_str().unwrap();
            calls[index]["function"]["arguments"] = grown.into();
        }
    }
    message
}

/// The next request of a chat client, which knows of no signatures, and the turn that the Anthropic
/// upstream gets of it.
fn next_chat_turn(message: &Value) -> Value {
    let id = &message["tool_calls"][0]["id"];
    let body = json!({
        "model": "route",
        "reasoning_effort": "high",
        "tools": [{"type": "function", "function": {"name": "get_weather"}}],
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]},
            {"role": "tool", "tool_call_id": id, "content": "sun"},
        ],
    });
    encoded(&body, Dialect::OpenAiChat, Dialect::Anthropic)
}

/// Peers rows 2 and 3: a chat client carries an Anthropic upstream's signatures without knowing.
#[test]
fn thinking_comes_back_byte_exact_through_a_chat_client() {
    let (from, to) = (Dialect::Anthropic, Dialect::OpenAiChat);
    let whole: Value =
        serde_json::from_slice(&answer_for(&fixture(from, "response/thinking_and_tool.json"), from, to)).unwrap();
    let next = next_chat_turn(&whole["choices"][0]["message"]);
    let turn = &next["messages"][1]["content"];
    assert_eq!(turn[0], json!({"type":"thinking","thinking":"look it up","signature":"EqAB+/=="}));
    assert_eq!(turn[1]["id"], "toolu_1");
    assert_eq!(next["messages"][2]["content"][0]["tool_use_id"], "toolu_1");
    assert_eq!(next["thinking"]["type"], "enabled", "the turn begins with its thinking");

    let streamed = chat_message(&stream_for(&fixture(from, "stream/thinking_and_tool.sse"), from, to));
    let turn = next_chat_turn(&streamed)["messages"][1]["content"].clone();
    assert_eq!(turn[0], json!({"type":"thinking","thinking":"look it up","signature":"EqAB+/=="}));
    assert_eq!(turn[1], json!({"type":"redacted_thinking","data":"abc"}));
    assert_eq!(turn[2]["input"], json!({"city":"Rome"}));
}

/// The same the other way: a Messages client carries a chat upstream's `reasoning_details`.
#[test]
fn reasoning_details_come_back_byte_exact_through_a_messages_client() {
    let (from, to) = (Dialect::OpenAiChat, Dialect::Anthropic);
    let whole: Value =
        serde_json::from_slice(&answer_for(&fixture(from, "response/reasoning_details.json"), from, to)).unwrap();
    let streamed = grammar::assemble(to, &stream_for(&fixture(from, "stream/reasoning_details.sse"), from, to));
    let source: Value = serde_json::from_str(&fixture(from, "response/reasoning_details.json")).unwrap();
    let details = [
        source["choices"][0]["message"]["reasoning_details"].clone(),
        json!([{"type":"reasoning.text","text":"look it up","signature":"sig/+=","format":"anthropic-claude-v1","index":0}]),
    ];
    for (message, details) in [whole, streamed].into_iter().zip(details) {
        let body = json!({
            "model": "route",
            "max_tokens": 2000,
            "tools": [{"name": "now", "input_schema": {"type": "object"}}],
            "messages": [
                {"role": "user", "content": "Time?"},
                {"role": "assistant", "content": message["content"]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "12:00"}]},
            ],
        });
        let next = encoded(&body, to, from);
        assert_eq!(next["messages"][1]["reasoning_details"], details);
        assert_eq!(next["messages"][1]["tool_calls"][0]["id"], "call_1");
        // Towards Anthropic it means nothing and stays behind, and only it.
        let elsewhere = encoded(&body, to, to);
        assert_eq!(elsewhere["messages"][1]["content"][0]["type"], "tool_use");
    }
}

/// Peers row 14: the counts of a Bedrock stream come in a frame behind its end, and what was read from
/// the cache and written to it stays apart from the fresh input, whole and streamed, for every client.
#[test]
fn row_14_bedrock_streams_keep_what_the_cache_was_read_and_written() {
    let stream = "event: messageStart\ndata: {\"role\":\"assistant\"}\n\n\
        event: contentBlockDelta\ndata: {\"contentBlockIndex\":0,\"delta\":{\"text\":\"hi\"}}\n\n\
        event: contentBlockStop\ndata: {\"contentBlockIndex\":0}\n\n\
        event: messageStop\ndata: {\"stopReason\":\"end_turn\"}\n\n\
        event: metadata\ndata: {\"usage\":{\"inputTokens\":5,\"cacheReadInputTokens\":2000,\
        \"cacheWriteInputTokens\":300,\"outputTokens\":7,\"totalTokens\":2312},\"p\":\"abc\"}\n\n";
    let counts = |answer: &Value, paths: &str| -> Vec<u64> {
        paths.split(' ').map(|at| answer.pointer(at).unwrap().as_u64().unwrap()).collect()
    };
    for (to, paths, expected) in [
        (
            Dialect::OpenAiChat,
            "/usage/prompt_tokens /usage/prompt_tokens_details/cached_tokens \
             /usage/prompt_tokens_details/cache_write_tokens /usage/completion_tokens",
            vec![2305, 2000, 300, 7],
        ),
        (
            Dialect::Anthropic,
            "/usage/input_tokens /usage/cache_read_input_tokens /usage/cache_creation_input_tokens /usage/output_tokens",
            vec![5, 2000, 300, 7],
        ),
        (
            Dialect::Responses,
            "/usage/input_tokens /usage/input_tokens_details/cached_tokens \
             /usage/input_tokens_details/cache_write_tokens /usage/output_tokens",
            vec![2305, 2000, 300, 7],
        ),
        (
            Dialect::Gemini,
            "/usageMetadata/promptTokenCount /usageMetadata/cachedContentTokenCount /usageMetadata/candidatesTokenCount",
            vec![2305, 2000, 7],
        ),
    ] {
        let answer = grammar::assemble(to, &stream_for(stream, Dialect::Converse, to));
        let answer = if answer["response"].is_object() { answer["response"].clone() } else { answer };
        assert_eq!(counts(&answer, paths), expected, "{to:?}: {answer}");
    }
}

/// Peers row 7: agents that speak Responses need the whole life of every item, whoever answers; and
/// servers that tell a call by its end alone are understood by clients of every format.
#[test]
fn row_7_items_have_their_whole_life_and_may_come_by_their_end_alone() {
    let to = Dialect::Responses;
    let mut seen = 0;
    for from in UPSTREAMS {
        for (name, body) in fixtures(from, "stream") {
            let text = stream_for(&body, from, to);
            let last = grammar::assemble(to, &text);
            let (events, output) =
                (grammar::items::events(&text), last["output"].as_array().cloned().unwrap_or_default());
            let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
            if last["status"] == "completed" {
                let (added, done) = (of("response.output_item.added"), of("response.output_item.done"));
                assert_eq!((added, done), (output.len(), output.len()), "{name} of {from:?}");
                assert!(output.iter().all(|item| item["id"].as_str().is_some_and(|id| !id.is_empty())), "{last}");
                seen += output.len();
            }
        }
    }
    assert!(seen > 40, "{seen} items");

    let item = r#"{"type":"function_call","id":"fc_1","call_id":"call_1","name":"get_weather","arguments":"{\"city\":\"Rome\"}","status":"completed"}"#;
    let sparse = format!(
        "data: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"model\":\"m\",\"output\":[]}}}}\n\n\
         data: {{\"type\":\"response.function_call_arguments.done\",\"output_index\":0,\"item_id\":\"fc_1\",\
         \"arguments\":\"{{\\\"city\\\":\\\"Rome\\\"}}\"}}\n\n\
         data: {{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{item}}}\n\n\
         data: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"resp_1\",\"model\":\"m\",\
         \"status\":\"completed\",\"output\":[]}}}}\n\n"
    );
    for to in CLIENTS {
        let answer = grammar::assemble(to, &stream_for(&sparse, Dialect::Responses, to)).to_string();
        assert!(answer.contains("get_weather") && answer.contains("Rome"), "{to:?}: {answer}");
        assert_eq!(answer.matches("Rome").count(), 1, "{to:?}: {answer}");
    }
}
