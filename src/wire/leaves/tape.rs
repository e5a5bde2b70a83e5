//! Where every value of a JSON text stands, found in one pass: what comes late (the role behind a
//! message's content, the type behind a part's text) can be asked for without reading anything twice.

use std::borrow::Cow;
use std::ops::Range;

use crate::wire::json::Str;
use crate::wire::scan::{self, Fault, MAX_DEPTH};

/// More values than any conversation has: bounds what a hostile body can make us remember.
const MAX_NODES: usize = 1 << 20;

/// One value, or one name of a member.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    end: u32,
    /// The entry behind this one and all that is inside it.
    behind: u32,
}

/// The values of a text, each container before what is inside it, each name before its value.
#[derive(Debug)]
pub(super) struct Tape<'b> {
    body: &'b str,
    entries: Vec<Entry>,
}

/// Down to which depth a top-level member is looked into: 0 is not at all.
pub(super) type Depth = fn(&str) -> u32;

/// All that is inside.
pub(super) const WHOLE: u32 = MAX_DEPTH;

impl<'b> Tape<'b> {
    /// Fails where the text is no JSON object, and where it has too many values.
    pub(super) fn of(body: &'b str, depth: Depth) -> Result<Self, Fault> {
        let mut tape = Self { body, entries: Vec::with_capacity(64) };
        let rest = scan::blank(body.as_bytes());
        let at = tape.open(rest)?;
        let end = match rest {
            [b'{', tail @ ..] => tape.top(tail, depth)?,
            _ => return Err(Fault { left: rest.len(), too_deep: false }),
        };
        tape.close(at, end);
        match scan::blank(end) {
            [] => Ok(tape),
            more => Err(Fault { left: more.len(), too_deep: false }),
        }
    }

    pub(super) fn root(&self) -> Node<'_, 'b> {
        Node { tape: self, at: 0 }
    }

    fn offset(&self, rest: &[u8]) -> u32 {
        // The length was found to fit when the first entry was made.
        u32::try_from(self.body.len().saturating_sub(rest.len())).unwrap_or(u32::MAX)
    }

    fn open(&mut self, rest: &[u8]) -> Result<usize, Fault> {
        if self.entries.len() >= MAX_NODES || u32::try_from(self.body.len()).is_err() {
            return Err(Fault { left: rest.len(), too_deep: false });
        }
        let start = self.offset(rest);
        self.entries.push(Entry { start, end: start, behind: 0 });
        Ok(self.entries.len() - 1)
    }

    fn close(&mut self, at: usize, end: &[u8]) {
        let (end, behind) = (self.offset(end), u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        if let Some(entry) = self.entries.get_mut(at) {
            (entry.end, entry.behind) = (end, behind);
        }
    }

    /// The members of the whole, behind its opening brace.
    fn top<'r>(&mut self, rest: &'r [u8], depth: Depth) -> Result<&'r [u8], Fault> {
        self.members(rest, &mut |tape, name, value| {
            let name = std::str::from_utf8(name).map(unescaped).unwrap_or_default();
            tape.value(value, 1, depth(&name))
        })
    }

    /// `"name": value` up to the closing brace; `inside` reads the value.
    fn members<'r>(&mut self, rest: &'r [u8], inside: &mut Inside<'_, 'b, 'r>) -> Result<&'r [u8], Fault> {
        let mut rest = match scan::blank(rest) {
            [b'}', tail @ ..] => return Ok(tail),
            inner => inner,
        };
        loop {
            let at = self.open(rest)?;
            let (name, _, value) = scan::name(rest)?;
            // A name's literal is what it holds and two quotes.
            self.close(at, rest.get(name.len() + 2..).unwrap_or_default());
            rest = match scan::blank(inside(self, name, value)?) {
                [b',', tail @ ..] => scan::blank(tail),
                [b'}', tail @ ..] => return Ok(tail),
                other => return Err(Fault { left: other.len(), too_deep: false }),
            };
        }
    }

    fn items<'r>(&mut self, rest: &'r [u8], around: u32, deepest: u32) -> Result<&'r [u8], Fault> {
        let mut rest = match scan::blank(rest) {
            [b']', tail @ ..] => return Ok(tail),
            inner => inner,
        };
        loop {
            rest = match scan::blank(self.value(rest, around, deepest)?) {
                [b',', tail @ ..] => scan::blank(tail),
                [b']', tail @ ..] => return Ok(tail),
                other => return Err(Fault { left: other.len(), too_deep: false }),
            };
        }
    }

    /// One value, `around` containers being open around it. Not deeper than [`MAX_DEPTH`] calls.
    fn value<'r>(&mut self, rest: &'r [u8], around: u32, deepest: u32) -> Result<&'r [u8], Fault> {
        let at = self.open(rest)?;
        let end = match rest {
            [b'{', tail @ ..] if around <= deepest && around < MAX_DEPTH => {
                self.members(tail, &mut |tape, _, value| tape.value(value, around + 1, deepest))?
            }
            [b'[', tail @ ..] if around <= deepest && around < MAX_DEPTH => self.items(tail, around + 1, deepest)?,
            _ => scan::value(rest, b"", around, &mut ())?,
        };
        self.close(at, end);
        Ok(end)
    }
}

/// Reads the value of a member.
type Inside<'f, 'b, 'r> = dyn FnMut(&mut Tape<'b>, &'r [u8], &'r [u8]) -> Result<&'r [u8], Fault> + 'f;

fn unescaped(inner: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(Str::from_escaped(inner).text().into_owned()),
    }
}

/// A value of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'t, 'b> {
    tape: &'t Tape<'b>,
    at: usize,
}

impl<'t, 'b> Node<'t, 'b> {
    fn entry(self) -> Entry {
        self.tape.entries.get(self.at).copied().unwrap_or(Entry { start: 0, end: 0, behind: u32::MAX })
    }

    pub(super) fn span(self) -> Range<usize> {
        let entry = self.entry();
        let whole = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        whole(entry.start)..whole(entry.end)
    }

    pub(super) fn raw(self) -> &'b str {
        self.tape.body.get(self.span()).unwrap_or_default()
    }

    pub(super) fn is_string(self) -> bool {
        self.raw().starts_with('"')
    }

    pub(super) fn is_object(self) -> bool {
        self.raw().starts_with('{')
    }

    /// The text of a string.
    pub(super) fn text(self) -> Option<Cow<'b, str>> {
        let inner = self.raw().strip_prefix('"')?.strip_suffix('"')?;
        Some(unescaped(inner))
    }

    /// The entries directly inside, names among them; none of what is no container or was not looked into.
    fn inside(self, opening: char) -> impl Iterator<Item = Node<'t, 'b>> {
        let behind = |node: Self| usize::try_from(node.entry().behind).unwrap_or(usize::MAX);
        let end = if self.raw().starts_with(opening) { behind(self) } else { 0 };
        let mut next = self.at + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let node = Node { tape: self.tape, at: next };
            next = behind(node);
            Some(node)
        })
    }

    /// The items of an array.
    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        self.inside('[')
    }

    /// The members of an object. A name that comes twice is given twice.
    pub(super) fn members(self) -> impl Iterator<Item = (Cow<'b, str>, Self)> {
        self.named().map(|(name, value)| (name.text().unwrap_or_default(), value))
    }

    /// The members of an object with their names as they stand in the body.
    pub(super) fn named(self) -> impl Iterator<Item = (Self, Self)> {
        let mut inside = self.inside('{');
        std::iter::from_fn(move || Some((inside.next()?, inside.next()?)))
    }

    /// A member by its name: of several the last, as most readers have it.
    pub(super) fn member(self, name: &str) -> Option<Self> {
        self.members().filter(|(found, _)| found == name).last().map(|(_, value)| value)
    }

    /// The text of a member that is a string.
    pub(super) fn word(self, name: &str) -> Option<Cow<'b, str>> {
        self.member(name)?.text()
    }

    /// A member that is `true`.
    pub(super) fn flag(self, name: &str) -> bool {
        self.member(name).is_some_and(|value| value.raw() == "true")
    }
}
