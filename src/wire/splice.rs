//! Edits of top-level members: every other byte as it was, copied once at most.
//!
//! Big numbers, escapes, white space and the order of members survive, because nothing but the
//! edited members is looked at. What has to change deeper than [`Splice::set_inside`] reaches is
//! the translate lane's business.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::envelope::{Envelope, Member};
use super::json::write_text;
use super::pieces::Pieces;
use super::scan;
use crate::error::{Error, Kind, Result};

/// A shorter part costs more to share than to copy.
const LEAST_SHARED_BYTES: usize = 8 * 1024;

/// Collects edits, then [`write`](Self::write)s. Values are JSON and have to be valid.
#[derive(Debug)]
pub struct Splice<'e, 'a> {
    envelope: &'e Envelope<'a>,
    edits: Vec<Edit<'e>>,
    added: Vec<(&'e str, Cow<'e, str>)>,
}

/// What becomes of one member.
#[derive(Debug, Default)]
struct Edit<'e> {
    member: usize,
    removed: bool,
    name: Option<&'e str>,
    value: Option<Cow<'e, str>>,
}

impl<'e, 'a> Splice<'e, 'a> {
    pub fn new(envelope: &'e Envelope<'a>) -> Self {
        Self { envelope, edits: Vec::new(), added: Vec::new() }
    }

    /// No edit was made: the body can go out as it is.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.added.is_empty()
    }

    /// Whether the output has such a member, by the edits so far.
    pub fn has(&self, name: &str) -> bool {
        self.member_now(name).is_some() || self.added.iter().any(|(added, _)| *added == name)
    }

    /// The member of the body that has this name in the output, by the edits so far.
    fn member_now(&self, name: &str) -> Option<usize> {
        self.envelope.members().iter().enumerate().position(|(at, member)| match self.edit_of(at) {
            Some(edit) => !edit.removed && edit.name.unwrap_or(&member.name) == name,
            None => member.name == name,
        })
    }

    fn edit_of(&self, member: usize) -> Option<&Edit<'e>> {
        self.edits.iter().find(|edit| edit.member == member)
    }

    fn edit(&mut self, name: &str) -> Option<&mut Edit<'e>> {
        let member = self.member_now(name)?;
        let at = self.edits.iter().position(|edit| edit.member == member).unwrap_or_else(|| {
            self.edits.push(Edit { member, ..Edit::default() });
            self.edits.len() - 1
        });
        self.edits.get_mut(at)
    }

    /// The value a member has by the edits so far.
    fn current(&self, name: &str) -> Option<Cow<'a, str>> {
        let Some(member) = self.member_now(name) else {
            return self.added.iter().find(|(added, _)| *added == name).map(|(_, value)| Cow::Owned(value.to_string()));
        };
        match self.edit_of(member).and_then(|edit| edit.value.as_ref()) {
            Some(value) => Some(Cow::Owned(value.to_string())),
            None => {
                let span = self.envelope.members().get(member)?.value_span.clone();
                self.envelope.slice(span).map(Cow::Borrowed)
            }
        }
    }

    fn added(&mut self, name: &str) -> Option<&mut (&'e str, Cow<'e, str>)> {
        self.added.iter_mut().find(|(added, _)| *added == name)
    }

    /// Gives a member that is there another value; says whether it is.
    pub fn replace(&mut self, name: &str, json: impl Into<Cow<'e, str>>) -> bool {
        if let Some(edit) = self.edit(name) {
            edit.value = Some(json.into());
        } else if let Some((_, value)) = self.added(name) {
            *value = json.into();
        } else {
            return false;
        }
        true
    }

    /// Gives a member a value, whether it is there or not.
    pub fn set(&mut self, name: &'e str, json: impl Into<Cow<'e, str>>) {
        let json = json.into();
        match self.has(name) {
            true => drop(self.replace(name, json)),
            false => self.added.push((name, json)),
        }
    }

    /// Sets a member to plain text.
    pub fn set_text(&mut self, name: &'e str, text: &str) {
        let mut json = Vec::with_capacity(text.len() + 2);
        write_text(&mut json, text);
        self.set(name, String::from_utf8(json).unwrap_or_default());
    }

    /// Adds a member unless the body has it.
    pub fn insert(&mut self, name: &'e str, json: impl Into<Cow<'e, str>>) -> bool {
        let new = !self.has(name);
        if new {
            self.added.push((name, json.into()));
        }
        new
    }

    /// Takes a member out; says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.added.len();
        self.added.retain(|(added, _)| *added != name);
        match self.edit(name) {
            Some(edit) => {
                edit.removed = true;
                true
            }
            None => self.added.len() < before,
        }
    }

    /// Gives a member another name; says whether it was there. Where that name is taken, the member
    /// goes: two of a name must never reach an upstream.
    pub fn rename(&mut self, from: &str, to: &'e str) -> bool {
        if from == to {
            return self.has(to);
        }
        if self.has(to) {
            return self.remove(from);
        }
        if let Some(edit) = self.edit(from) {
            edit.name = Some(to);
        } else if let Some((name, _)) = self.added(from) {
            *name = to;
        } else {
            return false;
        }
        true
    }

    /// Sets a member of a top-level object (`stream_options.include_usage`). Absent and `null` become
    /// an object of that one member; a value of another type is left for the upstream to refuse.
    /// Fails where the object names that member twice.
    pub fn set_inside(&mut self, name: &'e str, inner: &str, json: &str) -> Result<()> {
        let present = self.current(name).unwrap_or(Cow::Borrowed("null"));
        if present == "null" {
            self.set(name, object_of(inner, json));
        } else if present.starts_with('{') && scan::member(&present, inner) != Some(json) {
            let envelope = Envelope::parse_str(&present).map_err(|_| {
                Error::new(Kind::InvalidJson, format!("a member of `{name}` appears more than once"))
                    .with_param(name.to_owned())
            })?;
            let mut splice = Splice::new(&envelope);
            splice.set(inner, json);
            self.replace(name, String::from_utf8(splice.write()).unwrap_or_default());
        }
        Ok(())
    }

    /// The body with its edits, in a buffer of exactly its size.
    pub fn write(&self) -> Vec<u8> {
        let mut length = 0;
        self.parts(&mut |part| length += self.bytes_of(&part).len());
        let mut out = Vec::with_capacity(length);
        self.parts(&mut |part| out.extend_from_slice(self.bytes_of(&part)));
        out
    }

    /// The same, with the longest part that no edit touches shared with `body`, the bytes that the envelope is of,
    /// where that is long.
    pub fn write_around(&self, body: &Bytes) -> Pieces {
        self.around(body, LEAST_SHARED_BYTES)
    }

    fn around(&self, body: &Bytes, least_bytes: usize) -> Pieces {
        let (mut longest, mut run) = (0..0, 0..0);
        self.parts(&mut |part| {
            match part {
                Part::Kept(kept) if kept.start == run.end => run.end = kept.end,
                Part::Kept(kept) => run = kept,
                Part::New(_) => run = 0..0,
            }
            if run.len() > longest.len() {
                longest = run.clone();
            }
        });
        if longest.len() < least_bytes {
            return self.write().into();
        }
        let (mut before, mut behind, mut is_behind) = (Vec::new(), Vec::new(), false);
        self.parts(&mut |part| match part {
            Part::Kept(kept) if longest.contains(&kept.start) => is_behind = true,
            part if is_behind => behind.extend_from_slice(self.bytes_of(&part)),
            part => before.extend_from_slice(self.bytes_of(&part)),
        });
        let shared = if longest.end <= body.len() { body.slice(longest) } else { Bytes::new() };
        Pieces::around(before, shared, behind)
    }

    fn kept(&self, kept: &Range<usize>) -> &'a [u8] {
        self.envelope.bytes().get(kept.clone()).unwrap_or_default()
    }

    fn bytes_of<'s>(&self, part: &Part<'s>) -> &'s [u8]
    where
        'a: 's,
    {
        match part {
            Part::Kept(kept) => self.kept(kept),
            Part::New(new) => new,
        }
    }

    /// All parts of the output, in order. What stands before the first member is kept for whichever
    /// member comes first; every other goes with what separates it from the one before it.
    fn parts<'s>(&'s self, sink: &mut impl FnMut(Part<'s>)) {
        let members = self.envelope.members();
        let inside = self.envelope.open() + 1;
        let first_at = members.first().map_or(inside, |m| m.name_span.start);
        keep(0..first_at, sink);
        let mut copied = first_at;
        let mut behind = inside;
        let mut empty = true;
        for (at, member) in members.iter().enumerate() {
            let edit = self.edit_of(at);
            if edit.is_some_and(|edit| edit.removed) {
                // What was not copied up to here ends with the member before.
                keep(copied..behind, sink);
                copied = member.value_span.end;
            } else if empty && copied < member.name_span.start {
                // The first to stay: without the comma before it.
                copied = member.name_span.start;
            }
            if let Some(edit) = edit.filter(|edit| !edit.removed) {
                copied = edited(edit, member, copied, sink);
            }
            empty &= edit.is_some_and(|edit| edit.removed);
            behind = member.value_span.end;
        }
        keep(copied..behind, sink);
        self.additions(empty, sink);
        keep(behind..self.envelope.bytes().len(), sink);
    }

    fn additions<'s>(&'s self, empty: bool, sink: &mut impl FnMut(Part<'s>)) {
        let mut empty = empty;
        for (name, value) in &self.added {
            if !std::mem::replace(&mut empty, false) {
                sink(Part::New(b","));
            }
            quoted(name, sink);
            sink(Part::New(b":"));
            sink(Part::New(value.as_bytes()));
        }
    }
}

/// A part of the output.
enum Part<'s> {
    /// A range of the body.
    Kept(Range<usize>),
    New(&'s [u8]),
}

/// Nothing, where the range is none.
fn keep<'s>(kept: Range<usize>, sink: &mut impl FnMut(Part<'s>)) {
    if !kept.is_empty() {
        sink(Part::Kept(kept));
    }
}

/// One edited member: gives back up to where the body is copied.
fn edited<'s>(edit: &'s Edit<'_>, member: &Member<'_>, copied: usize, sink: &mut impl FnMut(Part<'s>)) -> usize {
    let mut copied = copied;
    if let Some(name) = edit.name {
        keep(copied..member.name_span.start, sink);
        quoted(name, sink);
        copied = member.name_span.end;
    }
    if let Some(value) = &edit.value {
        keep(copied..member.value_span.start, sink);
        sink(Part::New(value.as_bytes()));
        copied = member.value_span.end;
    }
    copied
}

/// Names that edits introduce are ours and need no escapes.
fn quoted<'s>(name: &'s str, sink: &mut impl FnMut(Part<'s>)) {
    sink(Part::New(b"\""));
    sink(Part::New(name.as_bytes()));
    sink(Part::New(b"\""));
}

fn object_of(name: &str, json: &str) -> String {
    format!("{{\"{name}\":{json}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str, edits: impl for<'e> FnOnce(&mut Splice<'e, '_>)) -> String {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        let mut splice = Splice::new(&envelope);
        edits(&mut splice);
        let out = splice.write();
        assert_eq!(out.len(), out.capacity());
        Envelope::parse(&out).unwrap();
        assert_eq!(splice.around(&Bytes::copy_from_slice(body.as_bytes()), 0).whole(), out);
        String::from_utf8(out).unwrap()
    }

    const BODY: &str = "\n{ \"model\" : \"x/y\",\n \"n\": 1e400 , \"s\\u0074op\":\t\"\\/\"\n}\n";

    #[test]
    fn a_value_changes_and_nothing_else() {
        assert_eq!(edited(BODY, |_| {}), BODY);
        assert_eq!(edited(BODY, |s| s.set_text("model", "y\"z")), BODY.replace("x/y", "y\\\"z"));
        assert_eq!(edited(BODY, |s| s.set("stop", "[]")), BODY.replace("\"\\/\"", "[]"));
        assert_eq!(edited(BODY, |s| assert!(!s.replace("nope", "1"))), BODY);
    }

    #[test]
    fn the_longest_part_that_stays_is_not_copied() {
        let said = "a long conversation ".repeat(LEAST_SHARED_BYTES / 20);
        for body in [
            format!(r#"{{"model":"x/y","messages":["{said}"],"stream":true}}"#),
            format!(r#"{{"messages":["{said}"],"model":"x/y","stream":true}}"#),
        ] {
            let body = Bytes::from(body);
            let envelope = Envelope::parse(&body).unwrap();
            let mut splice = Splice::new(&envelope);
            splice.set_text("model", "y");
            splice.set_inside("stream_options", "include_usage", "true").unwrap();
            let pieces = splice.write_around(&body);
            let shared = pieces.iter().find(|piece| body.as_ptr_range().contains(&piece.as_ptr())).unwrap();
            assert!(shared.len() > said.len() && pieces.iter().count() > 1, "{} of {}", shared.len(), body.len());
            assert_eq!(pieces.whole(), splice.write());
        }
    }

    #[test]
    fn members_go_with_their_commas() {
        let all = |names: &'static [&'static str]| {
            edited(BODY, |s| {
                for name in names {
                    assert!(s.remove(name));
                    assert!(!s.remove(name));
                }
            })
        };
        assert_eq!(all(&["model"]), "\n{ \"n\": 1e400 , \"s\\u0074op\":\t\"\\/\"\n}\n");
        assert_eq!(all(&["n"]), "\n{ \"model\" : \"x/y\" , \"s\\u0074op\":\t\"\\/\"\n}\n");
        assert_eq!(all(&["stop"]), "\n{ \"model\" : \"x/y\",\n \"n\": 1e400\n}\n");
        assert_eq!(all(&["n", "model"]), "\n{ \"s\\u0074op\":\t\"\\/\"\n}\n");
        assert_eq!(all(&["n", "stop"]), "\n{ \"model\" : \"x/y\"\n}\n");
        assert_eq!(all(&["n", "stop", "model"]), "\n{ \n}\n");
    }

    #[test]
    fn members_are_added_and_renamed_but_never_doubled() {
        assert_eq!(edited("{}", |s| assert!(s.insert("a", "1"))), "{\"a\":1}");
        assert_eq!(edited("{\"a\":2}", |s| assert!(!s.insert("a", "1"))), "{\"a\":2}");
        assert_eq!(
            edited(BODY, |s| {
                s.insert("a", "1");
                s.set("a", "2");
                s.set("b", "3");
                s.remove("b");
            }),
            BODY.replace("\n}\n", ",\"a\":2\n}\n")
        );
        assert_eq!(edited(BODY, |s| assert!(s.rename("n", "m"))), BODY.replace("\"n\"", "\"m\""));
        assert_eq!(edited("{\"n\":1,\"m\":2}", |s| assert!(s.rename("n", "m"))), "{\"m\":2}");
        assert_eq!(edited("{\"m\":2}", |s| assert!(!s.rename("n", "m"))), "{\"m\":2}");
        let both = |s: &mut Splice<'_, '_>| {
            s.rename("n", "m");
            assert!(!s.replace("n", "4"));
            s.replace("m", "5");
        };
        assert_eq!(edited("{\"n\":1,\"x\":2}", both), "{\"m\":5,\"x\":2}");
        let last = |s: &mut Splice<'_, '_>| {
            s.remove("x");
            s.set("y", "1");
        };
        assert_eq!(edited("{ \"x\" : 1 }", last), "{ \"y\":1 }");
    }

    #[test]
    fn a_member_inside_is_set() {
        let set = |body: &str| edited(body, |s| s.set_inside("o", "u", "true").unwrap());
        assert_eq!(set("{\"a\":1}"), "{\"a\":1,\"o\":{\"u\":true}}");
        assert_eq!(set("{\"o\": null}"), "{\"o\": {\"u\":true}}");
        assert_eq!(set("{\"o\": { \"x\":1.0 }}"), "{\"o\": { \"x\":1.0,\"u\":true }}");
        assert_eq!(set("{\"o\":{\"u\":false,\"x\":1}}"), "{\"o\":{\"u\":true,\"x\":1}}");
        assert_eq!(set("{\"o\":{\"u\":true}}"), "{\"o\":{\"u\":true}}");
        assert_eq!(set("{\"o\":\"odd\"}"), "{\"o\":\"odd\"}");
        let twice = |s: &mut Splice<'_, '_>| {
            s.set_inside("o", "u", "true").unwrap();
            s.set_inside("o", "v", "1").unwrap();
        };
        assert_eq!(edited("{\"o\":{\"x\":0}}", twice), "{\"o\":{\"x\":0,\"u\":true,\"v\":1}}");
        assert_eq!(edited("{}", twice), "{\"o\":{\"u\":true,\"v\":1}}");
        let envelope = Envelope::parse(br#"{"o":{"u":false,"u":false}}"#).unwrap();
        let error = Splice::new(&envelope).set_inside("o", "u", "true").unwrap_err();
        assert_eq!((error.kind(), error.param()), (Kind::InvalidJson, Some("o")));
    }
}
