//! OpenAI's older Completions, for models that are asked by chat alone: the prompt is the one message of a
//! chat, and what the assistant says of it the completion.
//! Reference: <https://platform.openai.com/docs/api-reference/completions>.

use crate::error::{Error, Kind, Result, Retry};
use crate::usage::tokens::Usage;
use crate::wire::envelope::Envelope;
use crate::wire::ir::{Delta, Dropped, Event, PartKind, PartStart, Response, Stop};
use crate::wire::json::{Arr, Obj, Str};
use crate::wire::splice::Splice;
use crate::wire::stream::aside;
use crate::wire::{Client, Dialect, Encode, request_id, scan};

use super::{error, finish, usage};

/// Members that no chat has, each with the values that ask for nothing.
const WITHOUT_PLACE: &[(&str, &[&str])] = &[
    ("suffix", &["null", "\"\""]),
    ("echo", &["null", "false"]),
    ("best_of", &["null", "1"]),
    ("logprobs", &["null"]),
    // A completion has no calls.
    ("tools", &["null", "[]"]),
    ("tool_choice", &["null", "\"none\""]),
    ("parallel_tool_calls", &["null"]),
    ("functions", &["null", "[]"]),
    ("function_call", &["null", "\"none\""]),
];

/// The chat that asks for the same. What cannot be asked for so is added to `dropped`.
///
/// # Errors
/// For a prompt that is none of one text.
pub fn request(envelope: &Envelope<'_>, dropped: &mut Dropped) -> Result<String> {
    let prompt = prompt(envelope.present("prompt"))?;
    let mut splice = Splice::new(envelope);
    splice.remove("prompt");
    for (name, nothing) in WITHOUT_PLACE {
        if let Some(value) = envelope.value(name) {
            splice.remove(name);
            if !nothing.contains(&value) {
                dropped.push(name);
            }
        }
    }
    splice.set("messages", format!(r#"[{{"role":"user","content":{}}}]"#, prompt.raw()));
    String::from_utf8(splice.write()).map_err(Error::internal)
}

fn prompt(value: Option<&str>) -> Result<Str<'_>> {
    let value = value.ok_or_else(|| Error::invalid("prompt", "the member `prompt` is required"))?;
    let alone = || {
        let mut items = scan::items(value);
        items.next().filter(|_| items.next().is_none())
    };
    Str::from_raw(value).or_else(|| Str::from_raw(alone()?)).ok_or_else(|| {
        let text = "this model is asked by chat: one prompt is taken, and as text";
        Error::new(Kind::NotExpressible, text).with_param("prompt").with_retry(Retry::NextTarget)
    })
}

/// What an answer says of itself: of the upstream where it told, else of the client.
#[derive(Debug)]
struct Facts {
    /// The request id, without dashes.
    id: String,
    model: String,
    created: u64,
}

impl Facts {
    fn of(client: &Client<'_>) -> Self {
        Self { id: client.id.to_owned(), model: client.model.to_owned(), created: client.created }
    }

    fn write(&self, id: Option<&Str<'_>>, model: Option<&Str<'_>>, created: Option<u64>, out: &mut Obj<'_>) {
        match id {
            Some(id) => out.str("id", id),
            None => out.text("id", &format!("cmpl-{}", self.id)),
        };
        out.text("object", "text_completion").num("created", created.unwrap_or(self.created));
        match model {
            Some(model) => out.str("model", model),
            None => out.text("model", &self.model),
        };
    }
}

/// Writes a whole answer.
pub fn encode(response: &Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let mut obj = Obj::new(out);
    Facts::of(client).write(response.id.as_ref(), response.model.as_ref(), response.created, &mut obj);
    {
        let mut list = obj.arr("choices");
        for (choice, index) in response.choices.iter().zip(0..) {
            let mut text = Str::from_text("");
            for part in &choice.parts {
                if let PartKind::Text { text: said, .. } | PartKind::Refusal { text: said } = &part.kind {
                    text.append(said);
                }
            }
            write_choice(index, &text, Some(choice.stop.as_ref().map_or("stop", reason)), list.obj());
        }
    }
    if let Some(counted) = &response.usage {
        usage::encode(counted, obj.key("usage"));
    }
}

fn write_choice(index: u32, text: &Str<'_>, finish_reason: Option<&str>, mut it: Obj<'_>) {
    it.num("index", u64::from(index)).str("text", text).null("logprobs");
    match finish_reason {
        Some(reason) => it.text("finish_reason", reason),
        None => it.null("finish_reason"),
    };
}

/// One of the words that completions end with.
fn reason(stop: &Stop<'_>) -> &'static str {
    match finish::encode(stop, false) {
        "tool_calls" => "stop",
        reason => reason,
    }
}

/// Writes one stream.
#[derive(Debug)]
pub struct Encoder {
    facts: Facts,
    stream_usage: bool,
    /// Every chunk up to the value of `choices`.
    head: Vec<u8>,
    /// The open parts that a completion is made of, each with its choice.
    texts: Vec<(u32, u32)>,
    usage: Option<Usage>,
}

impl Encoder {
    pub fn new(client: &Client<'_>) -> Self {
        let mut it = Self {
            facts: Facts::of(client),
            stream_usage: client.stream_usage,
            head: Vec::new(),
            texts: Vec::new(),
            usage: None,
        };
        it.start(None, None, None);
        it
    }

    fn start(&mut self, id: Option<&Str<'_>>, model: Option<&Str<'_>>, created: Option<u64>) {
        self.head.clear();
        self.head.extend_from_slice(b"data: ");
        self.facts.write(id, model, created, &mut Obj::new(&mut self.head));
        // The brace that closed the object gives way to what each chunk has of its own.
        self.head.pop();
        self.head.extend_from_slice(b",\"choices\":");
    }

    fn chunk(&self, choice: u32, text: &Str<'_>, finish_reason: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        write_choice(choice, text, finish_reason, Arr::new(out).obj());
        out.extend_from_slice(b"}\n\n");
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let Some(counted) = self.usage.as_ref().filter(|_| self.stream_usage) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"[],\"usage\":");
            usage::encode(counted, out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created, usage, .. } => {
                self.usage = usage.or(self.usage);
                self.start(id.as_ref(), model.as_ref(), *created);
            }
            Event::PartStart { index, choice, part: PartStart::Text | PartStart::Refusal } => {
                self.texts.push((*index, *choice));
            }
            Event::Delta { index, delta: Delta::Text(text) | Delta::Refusal(text) } => {
                if let Some((_, choice)) = self.texts.iter().find(|(open, _)| open == index) {
                    self.chunk(*choice, text, None, out);
                }
            }
            Event::PartEnd { index } => self.texts.retain(|(open, _)| open != index),
            Event::Usage(counted) => self.usage = Some(*counted),
            Event::Stop { choice, stop } => self.chunk(*choice, &Str::from_text(""), Some(reason(stop)), out),
            Event::Error(error) => error::encode_event(error, &request_id(&self.facts.id), out),
            Event::Ping => aside::keep_alive(Dialect::OpenAiChat, out),
            Event::End => self.end(out),
            // Thinking, calls and all else that a completion has no place for.
            Event::PartStart { .. } | Event::Delta { .. } => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "what is written is compared as a whole")]
mod tests {
    use super::*;
    use crate::wire::seal::Seal;
    use crate::wire::{Quirks, anthropic, decode_response, encode_response, stream_encoder};

    fn chat(body: &str) -> (Result<String>, Vec<String>) {
        let mut dropped = Dropped::default();
        let chat = request(&Envelope::parse_str(body).unwrap(), &mut dropped);
        (chat, dropped.paths().to_vec())
    }

    #[test]
    fn a_prompt_becomes_the_one_message_of_a_chat() {
        let expected =
            r#"{"model":"m","max_tokens":9,"stop":["\n"],"messages":[{"role":"user","content":"a \"b\" ü"}]}"#;
        for prompt in [r#""a \"b\" ü""#, r#"["a \"b\" ü"]"#] {
            let body =
                format!(r#"{{"model":"m","prompt":{prompt},"max_tokens":9,"stop":["\n"],"echo":false,"best_of":1}}"#);
            let (got, dropped) = chat(&body);
            assert_eq!((got.unwrap().as_str(), dropped), (expected, vec![]), "{prompt}");
        }
    }

    #[test]
    fn what_no_chat_can_do_is_told() {
        let body = r#"{"prompt":"a","suffix":"b","echo":true,"best_of":3,"logprobs":0,"tools":[{}],"messages":[1]}"#;
        let (got, dropped) = chat(body);
        assert_eq!(got.unwrap(), r#"{"messages":[{"role":"user","content":"a"}]}"#);
        assert_eq!(dropped, ["suffix", "echo", "best_of", "logprobs", "tools"]);
        for prompt in ["", r#""prompt":null"#, r#""prompt":["a","b"]"#, r#""prompt":[1,2]"#, r#""prompt":[]"#] {
            let error = chat(&format!("{{{prompt}}}")).0.unwrap_err();
            assert_eq!((error.status(), error.param()), (400, Some("prompt")), "{prompt}");
        }
    }

    fn with_client<T>(stream_usage: bool, then: impl FnOnce(&Client<'_>) -> T) -> T {
        let seal = Seal::new("test", b"key");
        then(&Client { created: 7, stream_usage, completes: true, ..Client::of("m", "0190", &seal) })
    }

    #[test]
    fn an_answer_is_written_as_a_completion() {
        let body = r#"{"type":"message","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"a \"b\""},
            {"type":"text","text":"\n"}],"stop_reason":"max_tokens","usage":{"input_tokens":4,"output_tokens":3}}"#;
        let response = decode_response(Dialect::Anthropic, body, &Quirks::NONE).unwrap();
        let mut out = Vec::new();
        with_client(true, |client| encode_response(Dialect::OpenAiChat, &response, client, &mut out));
        let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(answer["id"], "cmpl-0190");
        assert_eq!((&answer["object"], &answer["model"]), (&"text_completion".into(), &"m".into()));
        let choice = serde_json::json!({"index": 0, "text": "a \"b\"\n", "logprobs": null, "finish_reason": "length"});
        assert_eq!(answer["choices"], serde_json::json!([choice]));
        assert_eq!((&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]), (&4.into(), &3.into()));
    }

    #[test]
    fn a_stream_is_written_as_one() {
        use crate::wire::Decode;
        let events = [
            r#"{"type":"message_start","message":{"id":"msg_1","model":"c","usage":{"input_tokens":4,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a\n"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#,
            r#"{"type":"message_stop"}"#,
        ];
        for stream_usage in [true, false] {
            let mut out = Vec::new();
            let mut encoder = with_client(stream_usage, |client| stream_encoder(Dialect::OpenAiChat, client));
            let mut decoder = anthropic::stream::Decoder::new(&Quirks::NONE);
            for event in events {
                decoder.event("", event, &mut |event| encoder.event(event, &mut out));
            }
            let text = String::from_utf8(out).unwrap();
            let mut chunks: Vec<_> =
                text.split_terminator("\n\n").map(|it| it.strip_prefix("data: ").unwrap()).collect();
            assert_eq!(chunks.pop(), Some("[DONE]"));
            let chunks: Vec<serde_json::Value> = chunks.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
            let said: Vec<_> =
                chunks.iter().map(|it| (&it["choices"][0]["text"], &it["choices"][0]["finish_reason"])).collect();
            let null = serde_json::Value::Null;
            assert_eq!(said[..2], [(&"a\n".into(), &null), (&"".into(), &"stop".into())]);
            assert_eq!(chunks.len(), if stream_usage { 3 } else { 2 });
            if stream_usage {
                assert_eq!(
                    (&chunks[2]["choices"], &chunks[2]["usage"]["total_tokens"]),
                    (&serde_json::json!([]), &7.into())
                );
            }
            for chunk in &chunks {
                assert_eq!(
                    (&chunk["id"], &chunk["object"], &chunk["created"]),
                    (&"msg_1".into(), &"text_completion".into(), &7.into())
                );
            }
        }
    }
}
