//! What is sent. Each request has a number, and from it everything else: the same run again sends the
//! same requests.

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Chat,
    Messages,
    Responses,
    Gemini,
}

/// What has to come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// The whole answer to this very request.
    Right,
    /// One of these statuses.
    Status(&'static [u16]),
    /// An end, good or bad, and nothing of another's.
    Any,
    /// The client leaves with the first byte of the answer.
    Leave,
}

/// Requests of one kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Of a thousand requests.
    share: u32,
    format: Format,
    /// `@` is the request's number: a name that nobody has used before.
    model: &'static str,
    stream: Stream,
    tool: bool,
    /// What the upstream is told to do wrong, in turns, and in how many of a hundred requests.
    faults: &'static [&'static str],
    fault_percent: u32,
    pub(crate) want: Want,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    No,
    Yes,
    Both,
}

/// What an upstream can do wrong instead of an answer.
const EARLY: &[&str] = &["reset", "stall", "429", "500", "503"];
/// The same, and with an answer that is not streamed.
const WHOLE: &[&str] = &["reset", "stall", "429", "500", "503", "truncate"];
/// In the middle of a stream.
const LATE: &[&str] = &["error", "cut", "hang"];
pub(crate) const ALL: &[&str] = &["reset", "stall", "429", "500", "503", "truncate", "error", "cut", "hang"];

const fn kind(share: u32, name: &'static str, format: Format, model: &'static str, stream: Stream) -> Kind {
    Kind { name, share, format, model, stream, tool: false, faults: &[], fault_percent: 0, want: Want::Right }
}

impl Kind {
    const fn faulty(mut self, faults: &'static [&'static str], fault_percent: u32) -> Self {
        (self.faults, self.fault_percent) = (faults, fault_percent);
        self
    }

    const fn wants(mut self, want: Want) -> Self {
        self.want = want;
        self
    }

    const fn tool(mut self) -> Self {
        self.tool = true;
        self
    }
}

use Format::{Chat, Gemini, Messages, Responses};
use Stream::{Both, No, Yes};

/// A thousand in all. `bad` is the one provider that fails; the routes have a good one behind it.
pub(crate) const MIX: &[Kind] = &[
    kind(240, "chat", Chat, "good/gpt", No),
    kind(120, "chat, stream", Chat, "good/gpt", Yes),
    kind(80, "chat -> messages", Chat, "claude/opus", Both),
    kind(80, "messages -> chat", Messages, "good/gpt", Both),
    kind(40, "messages", Messages, "claude/opus", Both),
    kind(80, "responses -> chat", Responses, "good/gpt", Both),
    kind(80, "gemini -> chat", Gemini, "good/gpt", Both),
    kind(40, "tools", Chat, "good/gpt", Both).tool(),
    kind(30, "tools, messages -> chat", Messages, "good/gpt", Both).tool(),
    kind(60, "pool with affinity", Chat, "pool/gpt", Both),
    kind(20, "invented model", Chat, "good/invented-@", Both),
    kind(30, "fallback", Chat, "safe", No).faulty(WHOLE, 30),
    kind(20, "fallback, messages, stream", Messages, "safe", Yes).faulty(EARLY, 30),
    kind(10, "continuation", Chat, "going", Yes).faulty(LATE, 50),
    kind(20, "hedge", Chat, "hedged", Both).faulty(&["delay"], 6),
    kind(5, "keep-alive", Messages, "patient", Yes).faulty(&["delay"], 100),
    kind(15, "no fallback", Chat, "bad/gpt", Both).faulty(ALL, 80).wants(Want::Any),
    kind(10, "client leaves", Chat, "good/gpt", Yes).faulty(&["pace"], 100).wants(Want::Leave),
    kind(10, "unknown model", Chat, "unknown-@", No).wants(Want::Status(&[404])),
    kind(10, "wrong key", Chat, "good/gpt", No).wants(Want::Status(&[401, 429])),
];

/// The kind of a request: a share of every thousand, well mixed.
pub(crate) fn kind_of(number: u32) -> &'static Kind {
    let mut at = shuffle(number, 1) % 1000;
    for kind in MIX {
        if at < kind.share {
            return kind;
        }
        at -= kind.share;
    }
    &MIX[0]
}

/// Chance that is the same in every run (the finalizer of MurmurHash3).
fn shuffle(number: u32, seed: u32) -> u32 {
    let mut hash = number ^ seed.wrapping_mul(0x9e37_79b9);
    for factor in [0x85eb_ca6b, 0xc2b2_ae35] {
        hash = (hash ^ (hash >> 15)).wrapping_mul(factor);
    }
    hash ^ (hash >> 16)
}

/// What an answer to this request has in it.
pub(crate) fn tag(number: u32) -> String {
    format!("tag-{number:08}")
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) bytes: Vec<u8>,
    /// What the end of a good answer looks like.
    pub(crate) end: &'static str,
}

impl Kind {
    pub(crate) fn ask(&self, number: u32) -> Ask {
        let streams = self.stream == Yes || self.stream == Both && shuffle(number, 2).is_multiple_of(2);
        let model = self.model.replace('@', &number.to_string());
        let path = match self.format {
            Chat => "/v1/chat/completions".to_owned(),
            Messages => "/v1/messages".to_owned(),
            Responses => "/v1/responses".to_owned(),
            Gemini if streams => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Gemini => format!("/v1beta/models/{model}:generateContent"),
        };
        let body = self.body(&model, streams, &self.words(number));
        let key = if self.name == "wrong key" { format!("guess-{number}") } else { super::gateway::KEY.to_owned() };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             x-request-id: client-{number}\r\nx-session-id: talk-{}\r\nx-weir-tags: run={number}, team=t{}\r\n\
             x-invented-{number}: {number}\r\ncontent-length: {}\r\n\r\n",
            number / 64,
            number % 500,
            body.len()
        );
        let end = match self.format {
            _ if !streams => "}",
            Chat => "[DONE]",
            Messages => "message_stop",
            Responses => "response.completed",
            Gemini => "finishReason",
        };
        Ask { bytes: [head, body].concat().into_bytes(), end }
    }

    /// The question, with what the upstream is to do.
    fn words(&self, number: u32) -> String {
        let fails = !self.faults.is_empty() && shuffle(number, 3) % 100 < self.fault_percent;
        let which = usize::try_from(shuffle(number, 4)).expect("a fault") % self.faults.len().max(1);
        let fault = self.faults.get(which).filter(|_| fails).map(|fault| format!(" do:{fault}."));
        format!("{}{}", tag(number), fault.unwrap_or_default())
    }

    fn body(&self, model: &str, streams: bool, words: &str) -> String {
        let filler = "The quick brown fox jumps over the lazy dog; déjà vu, 0123456789. ".repeat(25);
        let asked = format!(r#""messages":[{{"role":"user","content":"{words}"}}]"#);
        let schema = r#"{"type":"object","properties":{"tag":{"type":"string"}}}"#;
        let stream = if streams { r#","stream":true"# } else { "" };
        let tools = match self.format {
            Chat if self.tool => format!(
                r#","tools":[{{"type":"function","function":{{"name":"look","description":"Looks.","parameters":{schema}}}}}]"#
            ),
            _ if self.tool => {
                format!(r#","tools":[{{"name":"look","description":"Looks.","input_schema":{schema}}}]"#)
            }
            _ => String::new(),
        };
        match self.format {
            Chat => format!(
                r#"{{"model":"{model}","max_tokens":200{stream}{tools},"messages":[{{"role":"system","content":"{filler}"}},{{"role":"user","content":"{words}"}}]}}"#
            ),
            Messages => {
                format!(r#"{{"model":"{model}","max_tokens":200{stream}{tools},"system":"{filler}",{asked}}}"#)
            }
            Responses => {
                format!(r#"{{"model":"{model}"{stream},"instructions":"{filler}","input":"{words}"}}"#)
            }
            Gemini => format!(
                r#"{{"systemInstruction":{{"parts":[{{"text":"{filler}"}}]}},"contents":[{{"role":"user","parts":[{{"text":"{words}"}}]}}]}}"#
            ),
        }
    }
}
