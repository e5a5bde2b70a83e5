//! Attributes: names with a value each. What is not known is left out.

use super::proto::{Out, bytes, fixed64, number};
use crate::record::{Texts, varint};

/// Members of a `KeyValue`.
const KEY: u8 = bytes(1);
const VALUE: u8 = bytes(2);
/// And of an `AnyValue`.
pub(super) const TEXT: u8 = bytes(1);
const TRUTH: u8 = number(2);
const INT: u8 = number(3);
const DOUBLE: u8 = fixed64(4);
const LIST: u8 = bytes(5);
/// Of an `ArrayValue`.
const ITEM: u8 = bytes(1);
/// Names that do not change are shorter, so that their length is a byte.
const MOST_NAME_BYTES: usize = 128;

/// A name as it stands in an attribute, with its length, and what stands before the value's length; made when
/// this is compiled.
pub(super) const fn preencoded<const N: usize>(name: &str) -> [u8; N] {
    assert!(name.len() < MOST_NAME_BYTES, "longer names have longer lengths");
    let mut written = [0; N];
    let (head, rest) = written.split_at_mut(2);
    head.copy_from_slice(&[KEY, name.len().to_le_bytes()[0]]);
    let (middle, end) = rest.split_at_mut(name.len());
    middle.copy_from_slice(name.as_bytes());
    end.copy_from_slice(&[VALUE]);
    written
}

/// [`preencoded`], of a literal.
macro_rules! key {
    ($name:literal) => {
        const { &$crate::otlp::attributes::preencoded::<{ $name.len() + 3 }>($name) }.as_slice()
    };
}
pub(super) use key;

/// Attributes of a message, whose member of that tag they are.
#[derive(Debug)]
pub(super) struct Attributes<'a, 'o> {
    pub(super) out: &'a mut Out<'o>,
    pub(super) tag: u8,
}

impl Attributes<'_, '_> {
    /// What stands before a value of that length.
    fn begin(&mut self, key: &[u8], length: usize) {
        self.out.length(self.tag, key.len() + varint::length(length as u64) + length);
        self.out.raw(key);
        self.out.varint(length as u64);
    }

    pub(super) fn text<'t>(&mut self, key: &[u8], text: impl Into<Option<&'t str>>) -> &mut Self {
        if let Some(text) = text.into() {
            self.some_text(key, text.as_bytes());
        }
        self
    }

    fn some_text(&mut self, key: &[u8], text: &[u8]) {
        // Nearly all are so short that each length is a byte.
        let lengths = (u8::try_from(key.len() + 3 + text.len()), u8::try_from(text.len()));
        match lengths {
            (Ok(all @ ..0x80), Ok(length)) => {
                self.out.raw(&[self.tag, all]);
                self.out.raw(key);
                self.out.raw(&[length + 2, TEXT, length]);
                self.out.raw(text);
            }
            _ => {
                self.begin(key, text_len(text));
                self.out.bytes(TEXT, text);
            }
        }
    }

    /// Under a name that is not known beforehand.
    pub(super) fn named(&mut self, name: &str, text: &str) {
        self.out.message(self.tag, |out| {
            out.text(KEY, name);
            out.length(VALUE, text_len(text.as_bytes()));
            out.bytes(TEXT, text.as_bytes());
        });
    }

    pub(super) fn truth(&mut self, key: &[u8], is_so: bool) -> &mut Self {
        self.begin(key, 2);
        self.out.raw(&[TRUTH, is_so.into()]);
        self
    }

    pub(super) fn count(&mut self, key: &[u8], count: impl Into<Option<u64>>) -> &mut Self {
        if let Some(count) = count.into() {
            // They have a sign.
            let count = count.min(i64::MAX.unsigned_abs());
            self.begin(key, 1 + varint::length(count));
            self.out.number(INT, count);
        }
        self
    }

    pub(super) fn number(&mut self, key: &[u8], number: Option<f64>) -> &mut Self {
        if let Some(number) = number {
            self.begin(key, 9);
            self.out.double(DOUBLE, number);
        }
        self
    }

    /// Nothing where there are none.
    pub(super) fn texts(&mut self, key: &[u8], texts: Texts<'_>) -> &mut Self {
        let sized = |len: usize| 1 + varint::length(len as u64) + len;
        let all: usize = texts.iter().map(|text| sized(text_len(text.as_bytes()))).sum();
        if all > 0 {
            self.begin(key, sized(all));
            self.out.length(LIST, all);
            for text in texts.iter() {
                self.out.length(ITEM, text_len(text.as_bytes()));
                self.out.bytes(TEXT, text.as_bytes());
            }
        }
        self
    }
}

/// How long a text is as a value.
fn text_len(text: &[u8]) -> usize {
    1 + varint::length(text.len() as u64) + text.len()
}
