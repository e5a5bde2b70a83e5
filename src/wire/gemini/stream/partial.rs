//! Arguments of a call that come in pieces: `{"jsonPath":"$.a[0].b","stringValue":"..",
//! "willContinue":true}`, each naming the place of a value, or of more text for it.

use crate::wire::json::{Arr, Json, Obj, Str};
use crate::wire::lenient::{Value, read, text};
use crate::wire_object;

/// Text and structure one call may have.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Steps of a path.
const MAX_STEPS: usize = 64;

wire_object! {
    struct Piece<'a> {
        path: Json<'a> = "jsonPath" | "json_path",
        string: Json<'a> = "stringValue" | "string_value",
        number: Json<'a> = "numberValue" | "number_value",
        boolean: Json<'a> = "boolValue" | "bool_value",
        null: Json<'a> = "nullValue" | "null_value",
    }
}

/// The arguments so far.
#[derive(Debug)]
pub(super) struct Arguments {
    root: Node,
    bytes: usize,
}

#[derive(Debug)]
enum Node {
    /// Nothing was said of it yet.
    Unknown,
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// Between the quotes, still escaped.
    Text(String),
    Other(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

impl Default for Arguments {
    fn default() -> Self {
        Self { root: Node::Object(Vec::new()), bytes: 0 }
    }
}

impl Arguments {
    /// Takes a list of pieces.
    pub(super) fn take(&mut self, pieces: Value<'_>) {
        for raw in crate::wire::lenient::items(pieces) {
            self.bytes = self.bytes.saturating_add(raw.get().len());
            let Some(piece) = read::<Piece<'_>>(Some(raw)).filter(|_| self.bytes <= MAX_BYTES) else { continue };
            let Some(steps) = text(piece.path).and_then(|path| steps(&path.text())) else { continue };
            self.root.put(&steps, &piece);
        }
    }

    pub(super) fn json(&self) -> String {
        let mut out = Vec::with_capacity(self.bytes.min(4096));
        self.root.write(&mut out);
        String::from_utf8(out).unwrap_or_else(|_| "{}".to_owned())
    }
}

impl Node {
    fn put(&mut self, steps: &[Step], piece: &Piece<'_>) {
        match steps.split_first() {
            None => self.set(piece),
            Some((Step::Member(name), rest)) => {
                if let Self::Unknown = self {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(members) = self else { return };
                match members.iter_mut().find(|(own, _)| own == name) {
                    Some((_, node)) => node.put(rest, piece),
                    None => {
                        let mut node = Self::Unknown;
                        node.put(rest, piece);
                        members.push((name.clone(), node));
                    }
                }
            }
            Some((Step::Item(index), rest)) => {
                if let Self::Unknown = self {
                    *self = Self::Array(Vec::new());
                }
                let Self::Array(items) = self else { return };
                // Items come in their order: a place far behind the end is a mistake.
                if *index == items.len() {
                    items.push(Self::Unknown);
                }
                items.get_mut(*index).into_iter().for_each(|node| node.put(rest, piece));
            }
        }
    }

    fn set(&mut self, piece: &Piece<'_>) {
        let more = text(piece.string);
        match (&mut *self, more) {
            (Self::Text(so_far), Some(more)) => so_far.push_str(more.escaped()),
            (Self::Unknown, Some(first)) => *self = Self::Text(first.escaped().to_owned()),
            (Self::Unknown, None) => {
                let value = piece.number.or(piece.boolean).map_or("null", Json::get);
                *self = Self::Other(value.to_owned());
            }
            _ => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unknown => out.extend_from_slice(b"null"),
            Self::Text(escaped) => out.extend_from_slice(Str::from_escaped(escaped).raw().as_bytes()),
            Self::Other(json) => out.extend_from_slice(json.as_bytes()),
            Self::Object(members) => {
                let mut object = Obj::new(out);
                members.iter().for_each(|(name, node)| node.write(object.key(name)));
            }
            Self::Array(items) => {
                let mut list = Arr::new(out);
                items.iter().for_each(|node| node.write(list.item()));
            }
        }
    }
}

/// The steps of a path: `$.a[0]['b c']`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == MAX_STEPS {
            return None;
        }
        let step;
        (step, rest) = match rest.strip_prefix('.') {
            Some(tail) => {
                let end = tail.find(['.', '[']).unwrap_or(tail.len());
                let (name, rest) = tail.split_at_checked(end)?;
                (Step::Member(name.to_owned()), rest)
            }
            None => bracket(rest.strip_prefix('[')?)?,
        };
        steps.push(step);
    }
    Some(steps)
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(tail) = text.strip_prefix(quote) {
            let (name, rest) = tail.split_once(quote)?;
            return Some((Step::Member(name.to_owned()), rest.strip_prefix(']')?));
        }
    }
    let (index, rest) = text.split_once(']')?;
    Some((Step::Item(index.parse().ok()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_together(pieces: &str) -> String {
        let mut it = Arguments::default();
        it.take(serde_json::from_str(pieces).ok());
        it.json()
    }

    #[test]
    fn pieces_find_their_places() {
        let pieces = r#"[{"jsonPath":"$.r.list[0].name","stringValue":"a \"","willContinue":true},
            {"jsonPath":"$.r.list[0].name","stringValue":"b","willContinue":true},{"jsonPath":"$.r.list[0].name","stringValue":""},
            {"jsonPath":"$.r.list[1].n","numberValue":0.5},{"jsonPath":"$['x y']","boolValue":true},{"jsonPath":"$.z","nullValue":"NULL_VALUE"}]"#;
        assert_eq!(put_together(pieces), r#"{"r":{"list":[{"name":"a \"b"},{"n":0.5}]},"x y":true,"z":null}"#);
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let pieces = r#"[{"jsonPath":"a","stringValue":"x"},{"jsonPath":"$.l[7]","stringValue":"x"},{"jsonPath":"$.l.m","stringValue":"x"},
            {"jsonPath":"$[","stringValue":"x"},{"stringValue":"x"},5,{"jsonPath":"$.ok","numberValue":1},{"jsonPath":"$.ok.deeper","numberValue":1}]"#;
        assert_eq!(put_together(pieces), r#"{"l":[],"ok":1}"#);
        assert_eq!(put_together("[]"), "{}");
    }
}
