//! What is sent and what is answered, in every format: made of one chat request and one chat answer by
//! the gateway's own translation, so that cells differ in nothing but the format.

use weir::wire::bridge::Bridge;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::stream::{Pipe as _, Translator};
use weir::wire::{
    Abilities, Client, Dialect, Quirks, Target, Thinking, decode_request, decode_response, encode_request,
    encode_response, ir,
};

/// Events of a streamed answer.
pub(crate) const EVENTS: usize = 100;

/// A chat request of about so many bytes: a conversation of several turns.
pub(crate) fn chat(model: &str, body_bytes: usize, stream: bool) -> String {
    let stream = if stream { r#""stream":true,"# } else { "" };
    let mut turns = String::new();
    let text = r#"The quick brown fox \"jumps\" over the lazy dog; déjà vu: 0123456789.\nNext line. "#;
    let mut role = "user";
    while turns.len() + 200 < body_bytes {
        let rest = body_bytes - turns.len() - 100;
        let repeat = (rest / text.len()).clamp(1, 12);
        turns += &format!(r#"{{"role":"{role}","content":"{}"}},"#, text.repeat(repeat));
        role = if role == "user" { "assistant" } else { "user" };
    }
    format!(
        r#"{{"model":"{model}","max_tokens":1024,{stream}"temperature":0.7,"messages":[{turns}{{"role":"user","content":"Go on."}}]}}"#,
    )
}

/// A chat request in another format.
pub(crate) fn request(dialect: Dialect, model: &str, chat: &str) -> String {
    let seal = Seal::new("bench", b"key");
    let target = Target {
        model,
        quirks: &Quirks::NONE,
        max_output_tokens: Some(8192),
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal: &seal,
    };
    let mut request = decode_request(OPENAI, chat).expect("a chat request");
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    Bridge::request(&mut request, dialect, &target, &mut dropped).expect("a bridge");
    encode_request(dialect, &request, &target, &mut out, &mut dropped).expect("the same request");
    String::from_utf8(out).expect("UTF-8")
}

const OPENAI: Dialect = Dialect::OpenAiChat;

fn with_client<T>(then: impl FnOnce(&Client<'_>, &Seal) -> T) -> T {
    let seal = Seal::new("bench", b"key");
    let client = Client { created: 1_700_000_000, input_estimate_tokens: 512, ..Client::of("m", "01", &seal) };
    then(&client, &seal)
}

/// The whole answer.
pub(crate) fn answer(dialect: Dialect) -> Vec<u8> {
    let text = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. ".repeat(6);
    let chat = format!(
        r#"{{"id":"chatcmpl-01","object":"chat.completion","created":1700000000,"model":"gpt","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":512,"completion_tokens":64,"total_tokens":576,"prompt_tokens_details":{{"cached_tokens":0}}}}}}"#
    );
    if dialect == OPENAI {
        return chat.into_bytes();
    }
    with_client(|client, _| {
        let mut out = Vec::new();
        let response = decode_response(OPENAI, &chat, &Quirks::NONE).expect("a chat answer");
        encode_response(dialect, &response, client, &mut out);
        out
    })
}

/// The events of a streamed answer.
pub(crate) fn events(dialect: Dialect) -> Vec<Vec<u8>> {
    let texts: Vec<String> = (0..EVENTS).map(|n| format!(" word{n}")).collect();
    events_of(dialect, &texts)
}

/// Of an answer with these texts, an event each, beside those of its beginning and end.
pub(crate) fn events_of(dialect: Dialect, texts: &[String]) -> Vec<Vec<u8>> {
    let chat = chat_events(texts);
    if dialect == OPENAI {
        return chat.into_iter().map(String::into_bytes).collect();
    }
    with_client(|client, seal| {
        let bridge = Bridge::plain(dialect, OPENAI, seal);
        let mut translator = Translator::new(&bridge, Framing::Sse, &Quirks::NONE, client);
        let piece = |event: &String| {
            let mut out = Vec::new();
            translator.push(event.as_bytes(), &mut out);
            out
        };
        let mut events: Vec<Vec<u8>> = chat.iter().map(piece).filter(|piece| !piece.is_empty()).collect();
        let mut last = Vec::new();
        translator.finish(&mut last);
        // An empty one would be the end of a body in chunks.
        events.extend((!last.is_empty()).then_some(last));
        events
    })
}

fn chat_events(texts: &[String]) -> Vec<String> {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-01\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
        )
    };
    let mut out = vec![chunk(r#"{"role":"assistant","content":""}"#, "null")];
    out.extend(texts.iter().map(|text| chunk(&format!(r#"{{"content":"{text}"}}"#), "null")));
    out.push(chunk("{}", r#""stop""#));
    out.push("data: {\"id\":\"chatcmpl-01\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt\",\"choices\":[],\"usage\":{\"prompt_tokens\":512,\"completion_tokens\":100,\"total_tokens\":612}}\n\n".to_owned());
    out.push("data: [DONE]\n\n".to_owned());
    out
}
