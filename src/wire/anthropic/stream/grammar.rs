//! Checks a stream against the grammar that the official SDKs rely on, and puts the message
//! together as they do. Also used by `tests/golden.rs`.

#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

/// The events of a stream, each with its name.
pub(crate) fn events(sse: &str) -> Vec<(String, Value)> {
    let frames = sse.split("\n\n").filter(|frame| !frame.is_empty() && !frame.starts_with(':'));
    frames.map(frame).collect()
}

fn frame(frame: &str) -> (String, Value) {
    let (name, data) = frame.split_once('\n').expect("two lines");
    let name = name.strip_prefix("event: ").expect("a name").to_owned();
    let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(data["type"], name.as_str(), "the name is the type");
    (name, data)
}

/// The message, or the error that ended it. Panics on a breach of the grammar: one block open at a
/// time, indexes that rise by one, every start ended, one `message_delta` with a reason to stop,
/// `message_stop` last.
pub(crate) fn assemble(sse: &str) -> Value {
    let mut it = Assembler::default();
    for (name, data) in events(sse) {
        assert!(!it.over, "{name} after the end");
        it.take(&name, &data);
    }
    assert!(it.over, "the stream has no end:\n{sse}");
    it.message
}

#[derive(Default)]
struct Assembler {
    message: Value,
    open: Option<(u64, String)>,
    next: u64,
    stopped: bool,
    over: bool,
}

impl Assembler {
    fn take(&mut self, name: &str, data: &Value) {
        match name {
            "ping" => {}
            "error" => {
                self.message = data.clone();
                self.over = true;
            }
            "message_start" => {
                assert!(self.message.is_null(), "one start");
                self.message = data["message"].clone();
                assert_eq!(self.message["content"], json!([]));
                assert!(self.message["stop_reason"].is_null());
            }
            "content_block_start" => self.start(data),
            "content_block_delta" => self.delta(data),
            "content_block_stop" => self.stop(data),
            "message_delta" => self.finish(data),
            "message_stop" => {
                assert!(self.stopped, "a reason comes before the end");
                self.over = true;
            }
            other => panic!("unknown event {other}"),
        }
    }

    fn start(&mut self, data: &Value) {
        assert!(!self.message.is_null() && !self.stopped);
        assert!(self.open.is_none(), "one block at a time");
        assert_eq!(data["index"], self.next, "indexes rise by one");
        self.open = Some((self.next, String::new()));
        self.message["content"].as_array_mut().expect("a list").push(data["content_block"].clone());
    }

    fn delta(&mut self, data: &Value) {
        let (index, input) = self.open.as_mut().expect("an open block");
        assert_eq!(data["index"], *index);
        let block = self.message["content"].as_array_mut().expect("a list").last_mut().expect("a block");
        let delta = &data["delta"];
        let is_opaque = !["text", "thinking"].iter().any(|known| block["type"] == *known)
            && !block["type"].as_str().expect("a type").ends_with("tool_use");
        if is_opaque {
            // A type of the upstream's that nobody here knows: its deltas are its own affair.
            return;
        }
        let (kind, member) = match delta["type"].as_str().expect("a type") {
            "text_delta" => ("text", "text"),
            "thinking_delta" => {
                assert_eq!(block["signature"], "", "the signature comes last");
                ("thinking", "thinking")
            }
            "signature_delta" => ("thinking", "signature"),
            "citations_delta" => {
                assert_eq!(block["type"], "text");
                if block["citations"].is_null() {
                    block["citations"] = json!([]);
                }
                block["citations"].as_array_mut().expect("a list").push(delta["citation"].clone());
                return;
            }
            "input_json_delta" => {
                assert!(block["type"].as_str().expect("a type").ends_with("tool_use"));
                input.push_str(delta["partial_json"].as_str().expect("text"));
                return;
            }
            other => panic!("unknown delta {other}"),
        };
        assert_eq!(block["type"], kind);
        let grown = format!("{}{}", block[member].as_str().expect("text"), delta[member].as_str().expect("text"));
        block[member] = grown.into();
    }

    fn stop(&mut self, data: &Value) {
        let (index, input) = self.open.take().expect("an open block");
        assert_eq!(data["index"], index);
        self.next += 1;
        let block = self.message["content"].as_array_mut().expect("a list").last_mut().expect("a block");
        if block["type"] == "thinking" {
            assert_ne!(block["signature"], "", "thinking is signed");
        }
        if !input.is_empty() {
            // Cut by the token limit: SDKs keep what they could read.
            block["input"] = serde_json::from_str(&input).unwrap_or_else(|_| json!({ "cut": input }));
        }
    }

    fn finish(&mut self, data: &Value) {
        assert!(self.open.is_none(), "every block is ended");
        assert!(!std::mem::replace(&mut self.stopped, true), "one message_delta");
        assert!(data["delta"]["stop_reason"].is_string());
        assert!(data["usage"]["output_tokens"].is_u64());
        for (name, value) in data["delta"].as_object().expect("an object") {
            self.message[name] = value.clone();
        }
        for (name, value) in data["usage"].as_object().expect("an object") {
            self.message["usage"][name] = value.clone();
        }
    }
}
