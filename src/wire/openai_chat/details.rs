//! `reasoning_details`: typed reasoning with its proof (OpenRouter, Vercel, Snowflake and others).
//!
//! Reference: <https://openrouter.ai/docs/use-cases/reasoning-tokens>. The array must go back on
//! the next turn as it was given; a stream gives it in fragments that are joined here by `index`
//! and `type`.

use crate::wire::json::{Json, Obj, Raw, Str};
use crate::wire::seal::Seal;
use crate::wire_object;

use crate::wire::lenient::{Value, filled, items, read, text};

wire_object! {
    /// One item.
    pub(super) struct Detail<'a> {
        kind: Str<'a> = "type",
        text: Json<'a>,
        summary: Json<'a>,
        data: Json<'a>,
        signature: Json<'a>,
        index: Raw<'a>,
        id: Raw<'a>,
        format: Json<'a>,
    }
}

impl<'a> Detail<'a> {
    /// The text a person reads.
    pub(super) fn readable(&self) -> Option<Str<'a>> {
        filled(self.text).or_else(|| filled(self.summary))
    }

    /// Whether this is Claude's thinking: signed or encrypted, and in nobody else's format. What was
    /// sealed here is known by its proof.
    pub(super) fn is_claude(&self) -> bool {
        let format = match self.format {
            None => true,
            Some(format) => format.get() == "\"anthropic-claude-v1\"",
        };
        let proof = match self.kind.as_ref().map(Str::raw) {
            Some("\"reasoning.text\"") => filled(self.signature),
            Some("\"reasoning.encrypted\"") => filled(self.data),
            _ => None,
        };
        proof.is_some_and(|proof| Seal::is_sealed(proof.escaped()) || format && self.id.is_none())
    }
}

/// The readable text of an array.
pub(super) fn readable(array: Value<'_>) -> Vec<Str<'_>> {
    items(array).into_iter().filter_map(|i| read::<Detail<'_>>(Some(i))).filter_map(|d| d.readable()).collect()
}

/// The fragments of a stream, joined.
#[derive(Debug, Default)]
pub(super) struct Joined {
    items: Vec<Item>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Item {
    kind: String,
    index: Option<String>,
    id: Option<String>,
    /// Between the quotes, still escaped.
    text: Option<String>,
    summary: Option<String>,
    data: Option<String>,
    signature: Option<String>,
    rest: Vec<(String, String)>,
}

/// More than this is dropped whole: half a proof is worth nothing.
const BYTES_MAX: usize = 256 * 1024;

impl Joined {
    /// Takes one chunk's array.
    pub(super) fn push(&mut self, array: Value<'_>) {
        self.bytes = self.bytes.saturating_add(array.map_or(0, |a| a.get().len()));
        if self.bytes > BYTES_MAX {
            self.items.clear();
            return;
        }
        for detail in items(array).into_iter().filter_map(|i| read::<Detail<'_>>(Some(i))) {
            self.push_item(&detail);
        }
    }

    fn push_item(&mut self, detail: &Detail<'_>) {
        let kind = detail.kind.as_ref().map_or_else(String::new, |k| k.raw().to_owned());
        let index = detail.index.as_ref().map(|i| i.get().to_owned());
        let whole = kind == "\"reasoning.encrypted\"";
        let same = self.items.last().is_some_and(|last| !whole && last.kind == kind && last.index == index);
        if !same {
            self.items.push(Item { kind, index, ..Item::default() });
        }
        let Some(item) = self.items.last_mut() else { return };
        append(&mut item.text, text(detail.text));
        append(&mut item.summary, text(detail.summary));
        append(&mut item.data, text(detail.data));
        if let Some(signature) = filled(detail.signature) {
            item.signature = Some(signature.escaped().to_owned());
        }
        if let Some(id) = detail.id.as_ref().filter(|id| !id.is_null()) {
            item.id = Some(id.get().to_owned());
        }
        let rest = detail.rest.iter().map(|(name, value)| (&**name, value.get()));
        for (name, value) in rest.chain(detail.format.map(|f| ("format", f.get()))) {
            if !item.rest.iter().any(|(known, _)| known == name) {
                item.rest.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The array, and an empty start for what may follow.
    pub(super) fn take(&mut self) -> Option<Raw<'static>> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return None;
        }
        let mut out = vec![b'['];
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            item.write(&mut out);
        }
        out.push(b']');
        String::from_utf8(out).ok().map(Raw::owned)
    }
}

impl Item {
    fn write(&self, out: &mut Vec<u8>) {
        let mut obj = Obj::new(out);
        if !self.kind.is_empty() {
            obj.raw("type", &self.kind);
        }
        for (name, value) in
            [("text", &self.text), ("summary", &self.summary), ("data", &self.data), ("signature", &self.signature)]
        {
            if let Some(escaped) = value {
                let to = obj.key(name);
                to.push(b'"');
                to.extend_from_slice(escaped.as_bytes());
                to.push(b'"');
            }
        }
        for (name, value) in [("id", &self.id), ("index", &self.index)] {
            if let Some(json) = value {
                obj.raw(name, json);
            }
        }
        for (name, value) in &self.rest {
            obj.raw(name, value);
        }
    }
}

fn append(to: &mut Option<String>, fragment: Option<Str<'_>>) {
    if let Some(fragment) = fragment {
        to.get_or_insert_default().push_str(fragment.escaped());
    }
}

/// Writes one item for thinking with its proof; both texts are escaped already.
pub(super) fn write_signed(out: &mut Vec<u8>, escaped: &str, signature: &Str<'_>, index: usize) {
    out.extend_from_slice(b"{\"type\":\"reasoning.text\",\"text\":\"");
    out.extend_from_slice(escaped.as_bytes());
    out.extend_from_slice(b"\",\"signature\":");
    out.extend_from_slice(signature.raw().as_bytes());
    write_tail(out, signature, index);
}

/// Writes one item for thinking that only its maker can read.
pub(super) fn write_encrypted(out: &mut Vec<u8>, data: &Str<'_>, index: usize) {
    out.extend_from_slice(b"{\"type\":\"reasoning.encrypted\",\"data\":");
    out.extend_from_slice(data.raw().as_bytes());
    write_tail(out, data, index);
}

/// A seal is of no vendor's format.
fn write_tail(out: &mut Vec<u8>, proof: &Str<'_>, index: usize) {
    use std::io::Write as _;
    let format = if Seal::is_sealed(proof.escaped()) { "unknown" } else { "anthropic-claude-v1" };
    let _ = write!(out, ",\"format\":\"{format}\",\"index\":{index}}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_joined_by_index_and_encrypted_ones_are_kept_apart() {
        let mut joined = Joined::default();
        for array in [
            r#"[{"type":"reasoning.text","text":"a\n","format":"x","index":0}]"#,
            r#"[{"type":"reasoning.text","text":"b","index":0}]"#,
            r#"[{"type":"reasoning.text","signature":"S","format":"x","index":0}]"#,
            r#"[{"type":"reasoning.encrypted","data":"D","index":0},{"type":"reasoning.encrypted","data":"E","index":0}]"#,
        ] {
            joined.push(Some(serde_json::from_str(array).unwrap()));
        }
        assert_eq!(
            joined.take().unwrap().get(),
            r#"[{"type":"reasoning.text","text":"a\nb","signature":"S","index":0,"format":"x"},{"type":"reasoning.encrypted","data":"D","index":0},{"type":"reasoning.encrypted","data":"E","index":0}]"#
        );
        assert!(joined.take().is_none());
    }

    #[test]
    fn claudes_items_are_known_by_their_proof_and_format() {
        let is = |json: &str| serde_json::from_str::<Detail<'_>>(json).unwrap().is_claude();
        assert!(is(r#"{"type":"reasoning.text","text":"t","signature":"S","index":0}"#));
        assert!(is(r#"{"type":"reasoning.encrypted","data":"D","format":"anthropic-claude-v1"}"#));
        assert!(!is(r#"{"type":"reasoning.text","text":"t"}"#));
        assert!(!is(r#"{"type":"reasoning.encrypted","data":"D","format":"openai-responses-v1"}"#));
        assert!(!is(r#"{"type":"reasoning.encrypted","data":"D","id":"rs_1"}"#));
    }
}
