//! Checks a stream against what the official SDKs and Codex rely on. Also used by `tests/golden.rs`.

#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The events of a stream.
pub(crate) fn events(sse: &str) -> Vec<Value> {
    let frames = sse.split("\n\n").filter(|frame| !frame.is_empty() && !frame.starts_with(':'));
    frames.map(frame).collect()
}

fn frame(frame: &str) -> Value {
    let (name, data) = frame.split_once('\n').expect("two lines");
    let name = name.strip_prefix("event: ").expect("a name").to_owned();
    let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(data["type"], name.as_str(), "the name is the type");
    data
}

/// The answer that the last event holds. Panics on a breach of the grammar: numbers that rise by one,
/// `created` and `in_progress` first, items and parts each opened once and closed once, nothing said
/// about one that is not open, what closes one equal to what was said, and the last event equal to all
/// that was closed.
pub(crate) fn assemble(sse: &str) -> Value {
    let mut it = Assembler::default();
    for (number, data) in events(sse).iter().enumerate() {
        assert!(it.last.is_null(), "{data} after the end");
        assert_eq!(data["sequence_number"], number, "numbers rise by one");
        it.take(number, data);
    }
    assert!(!it.last.is_null(), "the stream has no end:\n{sse}");
    it.last
}

fn index_of(data: &Value) -> usize {
    data["output_index"].as_u64().and_then(|index| usize::try_from(index).ok()).expect("an index")
}

#[derive(Default)]
struct Assembler {
    id: Value,
    open: BTreeMap<usize, Open>,
    done: Vec<Value>,
    last: Value,
}

struct Open {
    item: Value,
    /// The kind of the open part; a message and a thought have one at most here.
    part: Option<String>,
    said: String,
    closed: Option<String>,
    annotations: Vec<Value>,
}

impl Assembler {
    fn take(&mut self, number: usize, data: &Value) {
        let kind = data["type"].as_str().expect("a type");
        match kind {
            "response.created" | "response.in_progress" => {
                let expected = if number == 0 { "response.created" } else { "response.in_progress" };
                assert!(number < 2 && kind == expected, "{kind} at {number}");
                assert_eq!(data["response"]["status"], "in_progress");
                assert_eq!(data["response"]["output"], json!([]));
                self.id = data["response"]["id"].clone();
            }
            "response.completed" | "response.incomplete" | "response.failed" => self.end(kind, data),
            "response.output_item.added" => self.added(data),
            "response.output_item.done" => self.done(data),
            _ => self.inside(kind, data),
        }
    }

    fn added(&mut self, data: &Value) {
        let index = index_of(data);
        assert_eq!(index, self.done.len(), "indexes rise by one");
        let item = data["item"].clone();
        assert!(item["id"].is_string(), "{item}");
        if item["type"] == "message" {
            assert_eq!(item["content"], json!([]));
        }
        self.done.push(Value::Null);
        let open = Open { item, part: None, said: String::new(), closed: None, annotations: Vec::new() };
        self.open.insert(index, open);
    }

    fn done(&mut self, data: &Value) {
        let index = index_of(data);
        let open = self.open.remove(&index).expect("an open item");
        let item = &data["item"];
        assert_eq!((&item["id"], &item["type"]), (&open.item["id"], &open.item["type"]));
        assert!(open.part.is_none(), "every part is closed");
        let whole = match item["type"].as_str().expect("a type") {
            "message" => {
                assert_eq!(item["content"].as_array().map(Vec::len), Some(1));
                let part = &item["content"][0];
                if part["type"] == "output_text" {
                    assert_eq!(part["annotations"], Value::from(open.annotations));
                }
                part.get("text").or_else(|| part.get("refusal")).cloned()
            }
            "reasoning" => item["summary"].get(0).map(|summary| summary["text"].clone()),
            "function_call" => Some(item["arguments"].clone()),
            "custom_tool_call" => Some(item["input"].clone()),
            // Of the provider's own, told whole.
            _ => None,
        };
        assert_eq!(whole.as_ref().and_then(Value::as_str), open.closed.as_deref(), "what was closed is what was said");
        *self.done.get_mut(index).expect("a number") = item.clone();
    }

    fn inside(&mut self, kind: &str, data: &Value) {
        let index = index_of(data);
        let open = self.open.get_mut(&index).unwrap_or_else(|| panic!("{kind} outside of an item"));
        assert_eq!(data["item_id"], open.item["id"]);
        let item = open.item["type"].as_str().expect("a type").to_owned();
        let part = match kind {
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                assert!(open.part.is_none() && open.closed.is_none(), "one part");
                open.part = data["part"]["type"].as_str().map(str::to_owned);
                return;
            }
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                let part = open.part.take().expect("an open part");
                assert_eq!(data["part"]["type"], part.as_str());
                let said = data["part"].get("text").or_else(|| data["part"].get("refusal")).and_then(Value::as_str);
                assert_eq!(said, open.closed.as_deref());
                return;
            }
            "response.output_text.annotation.added" => {
                assert_eq!(data["annotation_index"], open.annotations.len());
                open.annotations.push(data["annotation"].clone());
                return;
            }
            _ => open.part.clone(),
        };
        let (of, of_part, whole) = match kind.rsplit_once('.').expect("a name").0 {
            "response.output_text" => ("message", Some("output_text"), "text"),
            "response.refusal" => ("message", Some("refusal"), "refusal"),
            "response.reasoning_summary_text" => ("reasoning", Some("summary_text"), "text"),
            "response.function_call_arguments" => ("function_call", None, "arguments"),
            "response.custom_tool_call_input" => ("custom_tool_call", None, "input"),
            other => panic!("unknown event {other}"),
        };
        assert_eq!((item.as_str(), part.as_deref()), (of, of_part), "{kind}");
        assert!(open.closed.is_none(), "{kind} after its end");
        if kind.ends_with(".delta") {
            open.said.push_str(data["delta"].as_str().expect("text"));
            return;
        }
        let all = data[whole].as_str().expect("text");
        // A call without arguments is said to have none.
        assert!(open.said == all || open.said.is_empty() && all == "{}", "{kind}: {all} after {}", open.said);
        open.closed = Some(all.to_owned());
    }

    fn end(&mut self, kind: &str, data: &Value) {
        assert!(self.open.is_empty(), "every item is closed");
        let answer = &data["response"];
        assert_eq!(answer["id"], self.id);
        assert_eq!(format!("response.{}", answer["status"].as_str().expect("a status")), kind);
        let mut output = self.done.clone();
        if answer["incomplete_details"]["reason"] == "max_output_tokens"
            && let Some(last) = output.last_mut()
        {
            // The limit is known only after its event.
            last["status"] = json!("incomplete");
        }
        assert_eq!(answer["output"], Value::from(output));
        // One that broke off may have none that is known.
        let unknown = kind == "response.failed" && answer["usage"].is_null();
        assert!(unknown || answer["usage"]["total_tokens"].is_u64());
        self.last = answer.clone();
    }
}
