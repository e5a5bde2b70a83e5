//! What is sent and what is answered.

/// Events of a streamed answer.
pub(crate) const EVENTS: usize = 100;

/// A kind of request: its name in the table, path, and what it is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) provider: &'static str,
    pub(crate) body_bytes: usize,
    pub(crate) stream: Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    No,
    Burst,
    Paced,
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

const fn cell(
    name: &'static str,
    path: &'static str,
    provider: &'static str,
    body_bytes: usize,
    stream: Stream,
) -> Cell {
    Cell { name, path, provider, body_bytes, stream }
}

/// All cells of the table.
pub(crate) const CELLS: &[Cell] = &[
    cell("chat -> OpenAI, 2 KB", CHAT, "openai", 2_048, Stream::No),
    cell("messages -> Anthropic, 2 KB", MESSAGES, "anthropic", 2_048, Stream::No),
    cell("chat -> Anthropic, 2 KB", CHAT, "anthropic", 2_048, Stream::No),
    cell("messages -> OpenAI, 2 KB", MESSAGES, "openai", 2_048, Stream::No),
    cell("messages -> Anthropic, 76 KB", MESSAGES, "anthropic", 76 << 10, Stream::No),
    cell("messages -> OpenAI, 76 KB", MESSAGES, "openai", 76 << 10, Stream::No),
    cell("chat -> OpenAI, 100 KB", CHAT, "openai", 100 << 10, Stream::No),
    cell("chat -> Anthropic, 100 KB", CHAT, "anthropic", 100 << 10, Stream::No),
    cell("chat -> OpenAI, 100 events, burst", CHAT, "openai", 2_048, Stream::Burst),
    cell("messages -> Anthropic, 100 events, burst", MESSAGES, "anthropic", 2_048, Stream::Burst),
    cell("messages -> OpenAI, 100 events, burst", MESSAGES, "openai", 2_048, Stream::Burst),
    cell("chat -> Anthropic, 100 events, burst", CHAT, "anthropic", 2_048, Stream::Burst),
    cell("chat -> OpenAI, 100 events, paced", CHAT, "openai", 2_048, Stream::Paced),
    cell("messages -> OpenAI, 100 events, paced", MESSAGES, "openai", 2_048, Stream::Paced),
];

impl Cell {
    /// The body, of about the wanted size: a conversation of several turns.
    pub(crate) fn body(&self) -> String {
        let model = match self.stream {
            Stream::Paced => "paced",
            _ => "burst",
        };
        let stream = if self.stream == Stream::No { "" } else { r#""stream":true,"# };
        let mut turns = String::new();
        let text = r#"The quick brown fox \"jumps\" over the lazy dog; déjà vu: 0123456789.\nNext line. "#;
        let mut role = "user";
        while turns.len() + 200 < self.body_bytes {
            let rest = self.body_bytes - turns.len() - 100;
            let repeat = (rest / text.len()).clamp(1, 12);
            turns += &format!(r#"{{"role":"{role}","content":"{}"}},"#, text.repeat(repeat));
            role = if role == "user" { "assistant" } else { "user" };
        }
        format!(
            r#"{{"model":"{}/{model}","max_tokens":1024,{stream}"temperature":0.7,"messages":[{turns}{{"role":"user","content":"Go on."}}]}}"#,
            self.provider
        )
    }
}

/// The whole answer in the format of a path.
pub(crate) fn answer(path: &str) -> String {
    let text = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. ".repeat(6);
    if path.ends_with("/messages") {
        return format!(
            r#"{{"id":"msg_01","type":"message","role":"assistant","model":"claude","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":512,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":64}}}}"#
        );
    }
    format!(
        r#"{{"id":"chatcmpl-01","object":"chat.completion","created":1700000000,"model":"gpt","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":512,"completion_tokens":64,"total_tokens":576,"prompt_tokens_details":{{"cached_tokens":0}}}}}}"#
    )
}

/// The events of a streamed answer in the format of a path.
pub(crate) fn events(path: &str) -> Vec<String> {
    if path.ends_with("/messages") { messages_events() } else { chat_events() }
}

fn chat_events() -> Vec<String> {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-01\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
        )
    };
    let mut out = vec![chunk(r#"{"role":"assistant","content":""}"#, "null")];
    out.extend((0..EVENTS).map(|n| chunk(&format!(r#"{{"content":" word{n}"}}"#), "null")));
    out.push(chunk("{}", r#""stop""#));
    out.push("data: {\"id\":\"chatcmpl-01\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt\",\"choices\":[],\"usage\":{\"prompt_tokens\":512,\"completion_tokens\":100,\"total_tokens\":612}}\n\n".to_owned());
    out.push("data: [DONE]\n\n".to_owned());
    out
}

fn messages_events() -> Vec<String> {
    let event = |name: &str, data: String| format!("event: {name}\ndata: {data}\n\n");
    let mut out = vec![
        event("message_start", r#"{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":512,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}"#.to_owned()),
        event("content_block_start", r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned()),
    ];
    out.extend((0..EVENTS).map(|n| {
        event(
            "content_block_delta",
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":" word{n}"}}}}"#),
        )
    }));
    out.push(event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#.to_owned()));
    out.push(event("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":100}}"#.to_owned()));
    out.push(event("message_stop", r#"{"type":"message_stop"}"#.to_owned()));
    out
}
