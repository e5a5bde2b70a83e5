//! Thinking that has to come back as it was given, in both directions.
//!
//! A chat upstream's `reasoning_details` travel to the client sealed into the signature of a
//! thinking block; a thinking block of this format travels to a chat client sealed behind the id of
//! a tool call (see [`crate::wire::seal`]).

use serde_json::value::RawValue;

use super::block;
use crate::wire::ir::{Part, PartKind};
use crate::wire::json::{Arr, Obj, Raw, Str};
use crate::wire::seal::Seal;
use crate::wire_object;

wire_object! {
    struct Detail<'a> {
        kind: Str<'a> = "type",
        text: Str<'a>,
        summary: Str<'a>,
        data: Str<'a>,
        signature: Str<'a>,
        format: Str<'a>,
    }
}

/// Whether a part is thinking that this format's provider can check.
pub(super) fn is_signed(kind: &PartKind<'_>) -> bool {
    match kind {
        PartKind::Reasoning { signature: Some(signature), .. } => {
            !signature.is_empty() && !Seal::is_sealed(signature.escaped())
        }
        PartKind::RedactedReasoning { .. } => true,
        _ => false,
    }
}

/// The thinking blocks that an answer sealed behind the ids of its calls.
pub(super) fn sealed_behind(parts: &[Part<'_>], seal: &Seal) -> Vec<Raw<'static>> {
    let payload = parts.iter().find_map(|part| match &part.kind {
        PartKind::ToolCall { id, .. } => seal.open_id(&id.text()).1,
        _ => None,
    });
    payload.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).map(blocks).unwrap_or_default()
}

fn blocks(json: &str) -> Vec<Raw<'static>> {
    let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    let is_thinking =
        |json: &str| block::tag(json).is_some_and(|t| matches!(t.escaped(), "thinking" | "redacted_thinking"));
    items.into_iter().filter(|item| is_thinking(item.get())).map(|item| Raw::owned(item.get().to_owned())).collect()
}

/// The thinking blocks inside `reasoning_details`, where a reseller passed this format's own
/// through (`format` begins with `anthropic`).
pub(super) fn from_details(details: &Raw<'_>) -> Vec<Raw<'static>> {
    let items: Vec<&RawValue> = serde_json::from_str(details.get()).unwrap_or_default();
    items.into_iter().filter_map(|item| from_detail(item.get())).collect()
}

fn from_detail(json: &str) -> Option<Raw<'static>> {
    let detail: Detail<'_> = serde_json::from_str(json).ok()?;
    if !detail.format?.escaped().starts_with("anthropic") {
        return None;
    }
    let mut out = Vec::new();
    match detail.kind?.escaped() {
        "reasoning.text" => {
            let signature = detail.signature.filter(|s| !s.is_empty())?;
            let text = detail.text.unwrap_or_else(|| Str::from_text(""));
            Obj::new(&mut out).text("type", "thinking").str("thinking", &text).str("signature", &signature);
        }
        "reasoning.encrypted" => {
            Obj::new(&mut out).text("type", "redacted_thinking").str("data", &detail.data?);
        }
        _ => return None,
    }
    String::from_utf8(out).ok().map(Raw::owned)
}

/// What of `reasoning_details` can be read, as the inside of a string literal.
pub(in crate::wire) fn readable(details: &str) -> String {
    let items: Vec<&RawValue> = serde_json::from_str(details).unwrap_or_default();
    let mut text = String::new();
    for item in items {
        let Ok(detail) = serde_json::from_str::<Detail<'_>>(item.get()) else { continue };
        if let Some(part) = detail.text.or(detail.summary) {
            text.push_str(part.escaped());
        }
    }
    text
}

/// `reasoning_details` put together from the fragments of a stream: fragments of one `type` and
/// `index` are one item, whose text grows and whose other members are replaced.
#[derive(Debug, Default)]
pub(in crate::wire) struct Gathered {
    items: Vec<Vec<(String, String)>>,
}

impl Gathered {
    /// Takes an item, or a list of items.
    pub(in crate::wire) fn push(&mut self, fragment: &Raw<'_>) {
        if fragment.is_array() {
            let items: Vec<Raw<'_>> = fragment.read().unwrap_or_default();
            items.iter().for_each(|item| self.push_item(item.get()));
        } else {
            self.push_item(fragment.get());
        }
    }

    fn push_item(&mut self, json: &str) {
        let Ok(item) = serde_json::from_str::<AnyObject<'_>>(json) else { return };
        let members: Vec<_> =
            item.rest.into_iter().map(|(name, value)| (name.into_owned(), value.get().to_owned())).collect();
        let known = self.items.iter_mut().find(|known| {
            member(known, "index").is_some()
                && ["type", "index"].iter().all(|name| member(known, name) == member(&members, name))
                && (member(known, "id") == member(&members, "id") || member(&members, "id").is_none())
        });
        match known {
            Some(known) => members.into_iter().for_each(|(name, value)| grow(known, name, value)),
            None => self.items.push(members),
        }
    }

    pub(in crate::wire) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The whole array.
    pub(in crate::wire) fn json(&self) -> String {
        let mut out = Vec::new();
        {
            let mut list = Arr::new(&mut out);
            for item in &self.items {
                let mut object = list.obj();
                item.iter().for_each(|(name, value)| _ = object.raw(name, value));
            }
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

wire_object! {
    struct AnyObject<'a> {}
}

fn member<'m>(members: &'m [(String, String)], name: &str) -> Option<&'m str> {
    members.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).filter(|value| *value != "null")
}

fn grow(members: &mut Vec<(String, String)>, name: String, value: String) {
    if value == "null" {
        return;
    }
    let Some((_, known)) = members.iter_mut().find(|(n, _)| *n == name) else {
        members.push((name, value));
        return;
    };
    let grown = match (Str::from_raw(known), Str::from_raw(&value)) {
        (Some(a), Some(b)) if name == "text" || name == "summary" => format!("\"{}{}\"", a.escaped(), b.escaped()),
        _ => value,
    };
    *known = grown;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_of_one_item_grow_together() {
        let mut gathered = Gathered::default();
        gathered.push(&Raw::new(r#"[{"type":"reasoning.text","text":"a\n","index":0,"format":"f"}]"#));
        gathered.push(&Raw::new(r#"{"type":"reasoning.text","text":"b","index":0,"signature":null}"#));
        gathered.push(&Raw::new(r#"[{"type":"reasoning.encrypted","data":"x","index":1}]"#));
        gathered.push(&Raw::new(r#"[{"type":"reasoning.text","signature":"s","index":0},7]"#));
        assert_eq!(
            gathered.json(),
            r#"[{"type":"reasoning.text","text":"a\nb","index":0,"format":"f","signature":"s"},{"type":"reasoning.encrypted","data":"x","index":1}]"#
        );
        assert_eq!(readable(&gathered.json()), r"a\nb");
    }

    #[test]
    fn only_this_formats_own_details_become_blocks() {
        let details = Raw::new(
            r#"[{"type":"reasoning.text","text":"t","signature":"s","format":"anthropic-claude-v1"},
            {"type":"reasoning.text","text":"unsigned","format":"anthropic-claude-v1"},
            {"type":"reasoning.encrypted","data":"d","format":"anthropic-claude-v1"},
            {"type":"reasoning.encrypted","data":"d","format":"openai-responses-v1"}]"#,
        );
        let blocks: Vec<_> = from_details(&details).iter().map(|b| b.get().to_owned()).collect();
        assert_eq!(
            blocks,
            [r#"{"type":"thinking","thinking":"t","signature":"s"}"#, r#"{"type":"redacted_thinking","data":"d"}"#]
        );
    }

    #[test]
    fn only_thinking_is_taken_from_a_seal() {
        let found = blocks(r#"[{"type":"thinking","thinking":"","signature":"s"},{"type":"text","text":"x"},5]"#);
        assert_eq!(found.len(), 1);
        assert!(blocks("{").is_empty());
    }
}
