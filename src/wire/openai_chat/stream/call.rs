//! Tool calls of a stream, put together from deltas that vendors cut and label differently.

use crate::wire::ir::{Delta, Event, PartStart};
use crate::wire::json::{Json, Str};

use super::super::shape;
use super::decode::Output;
use crate::wire::lenient::{Value, count, filled, is_object, read};

/// One call.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// The vendor's `index`, where it has one.
    key: Option<u64>,
    id: Option<Str<'static>>,
    name: Option<Str<'static>>,
    /// Fragments that came before the name.
    waiting: Vec<Str<'static>>,
    part: Option<u32>,
    custom: bool,
    closed: bool,
    balance: Balance,
}

/// One delta of a call, read.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    key: Option<u64>,
    id: Option<Str<'a>>,
    name: Option<Str<'a>>,
    arguments: Option<Str<'a>>,
    custom: bool,
}

impl<'a> Fragment<'a> {
    pub(super) fn read(raw: Json<'a>) -> Option<Self> {
        let call: shape::Call<'a> = read(Some(raw))?;
        let custom = is_object(call.custom);
        let named: shape::Named<'a> = read(if custom { call.custom } else { call.function }).unwrap_or_default();
        Some(Self {
            key: count(call.index),
            id: filled(call.id),
            name: filled(named.name),
            arguments: fragment(if custom { named.input } else { named.arguments }),
            custom,
        })
    }

    /// A delta of the one call that `function_call` could make.
    pub(super) fn legacy(raw: Json<'a>) -> Option<Self> {
        let named: shape::Named<'a> = read(Some(raw))?;
        let (name, arguments) = (filled(named.name), fragment(named.arguments));
        Some(Self { key: Some(u64::MAX), id: None, name, arguments, custom: false })
    }

    /// The call this belongs to. `index` alone does not tell: some servers give every call 0, some
    /// none at all.
    pub(super) fn place(&self, calls: &[Call]) -> Option<usize> {
        let same_id = |call: &Call| self.id.as_ref().is_some_and(|id| call.id.as_ref() == Some(id));
        if self.key.is_some() {
            let at = calls.iter().rposition(|c| c.key == self.key)?;
            let other = self.id.is_some() && self.name.is_some() && calls.get(at).is_some_and(|c| !same_id(c));
            return (!other).then_some(at);
        }
        match (&self.id, &self.name) {
            (Some(_), _) => calls.iter().rposition(same_id),
            (None, Some(_)) => None,
            (None, None) => calls.len().checked_sub(1),
        }
    }

    pub(super) fn open(&self) -> Call {
        Call { key: self.key, custom: self.custom, ..Call::default() }
    }
}

/// A piece of the arguments' text; arguments that came as an object are their own text.
fn fragment(value: Value<'_>) -> Option<Str<'_>> {
    let raw = value?;
    let text = Str::from_raw(raw.get()).unwrap_or_else(|| Str::from_text(raw.get()));
    Some(text).filter(|t| !t.is_empty())
}

impl Call {
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing can follow: its arguments are a whole JSON value.
    pub(super) fn is_complete(&self) -> bool {
        !self.custom && self.balance.is_complete()
    }

    /// Whether its name is still to come.
    pub(super) fn is_waiting(&self) -> bool {
        self.part.is_none()
    }

    /// Takes what the fragment says; gives its arguments to the client once the name is known.
    pub(super) fn push(&mut self, fragment: Fragment<'_>, choice: u32, place: usize, out: &mut Output<'_>) {
        if self.id.is_none() {
            self.id = fragment.id.map(Str::into_owned);
        }
        if self.name.is_none() {
            self.name = fragment.name.map(Str::into_owned);
        }
        if self.is_waiting() && self.name.is_some() {
            self.start(choice, place, out);
        }
        let Some(arguments) = fragment.arguments else { return };
        if self.is_waiting() {
            self.waiting.push(arguments.into_owned());
        } else {
            self.give(&arguments, out);
        }
    }

    fn start(&mut self, choice: u32, place: usize, out: &mut Output<'_>) {
        let id = self.id.get_or_insert_with(|| shape::invented_id(out.seed, u64::from(choice), place)).clone();
        let name = self.name.clone().unwrap_or_else(|| Str::from_text(""));
        self.part = Some(out.start(choice, PartStart::ToolCall { id, name, custom: false }));
        if self.custom {
            self.emit(Str::from_text("{\"input\":\""), out);
        }
        for fragment in std::mem::take(&mut self.waiting) {
            self.give(&fragment, out);
        }
    }

    fn give(&mut self, arguments: &Str<'_>, out: &mut Output<'_>) {
        if self.custom {
            self.emit(Str::from_text(arguments.escaped()), out);
        } else {
            self.balance.push(&arguments.text());
            self.emit(arguments.reborrow(), out);
        }
    }

    fn emit(&self, json: Str<'_>, out: &mut Output<'_>) {
        if let Some(index) = self.part {
            out.emit(&Event::Delta { index, delta: Delta::Arguments(json) });
        }
    }

    pub(super) fn close(&mut self, choice: u32, place: usize, out: &mut Output<'_>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if self.is_waiting() {
            self.start(choice, place, out);
        }
        if self.custom {
            self.emit(Str::from_text("\"}"), out);
        }
        if let Some(index) = self.part {
            out.emit(&Event::PartEnd { index });
        }
    }
}

/// Whether the JSON text so far is a whole object: braces balance outside strings.
#[derive(Debug, Default)]
struct Balance {
    depth: u32,
    in_string: bool,
    escaped: bool,
    whole: bool,
}

impl Balance {
    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            match (self.in_string, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole |= self.depth == 0;
                }
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.whole && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_object_is_complete() {
        for (text, complete) in [
            ("", false),
            ("{", false),
            ("{}", true),
            (r#"{"a":"}"#, false),
            (r#"{"a":"}\""}"#, true),
            (r#"{"a":[{}]"#, false),
            (r#"{"a":[{}]}"#, true),
        ] {
            let mut balance = Balance::default();
            text.chars().for_each(|c| balance.push(c.encode_utf8(&mut [0; 4])));
            assert_eq!(balance.is_complete(), complete, "{text}");
        }
    }
}
