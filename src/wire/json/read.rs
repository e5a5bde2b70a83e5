//! Reads JSON into types, by serde, with the gateway's own scanner.
//!
//! Formats are read level by level, and at each level most of the text is passed over to be looked at
//! by the next one, or by nobody. The scanner passes over strings sixteen bytes at a time; serde_json
//! does so byte by byte where they have escapes, and read each of them again to check its UTF-8.

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::super::scan::{self, Escapes, blank};

/// What a type is called that wants a value as it stands: see [`Json`](super::Json).
pub(super) const AS_IT_STANDS: &str = "as it stands";
/// The same of one that wants the items of a list: see [`Listed`](super::Listed).
pub(super) const LISTED: &str = "listed";

/// Reads a text that is one JSON value.
///
/// # Errors
/// Those of serde_json, which has a second look at what is refused here: so nothing is refused that it
/// takes, and it says why.
pub(crate) fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> serde_json::Result<T> {
    whole(json).or_else(|_| serde_json::from_str(json))
}

fn whole<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Unread> {
    let mut reader = Reader { text: json, rest: blank(json.as_bytes()) };
    let value = T::deserialize(&mut reader)?;
    blank(reader.rest).is_empty().then_some(value).ok_or(Unread)
}

/// It is no JSON, or not what the type wants. Why is for serde_json to say.
#[derive(Debug)]
struct Unread;

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it could not be read")
    }
}

impl std::error::Error for Unread {}

impl de::Error for Unread {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

impl From<scan::Fault> for Unread {
    fn from(_: scan::Fault) -> Self {
        Self
    }
}

impl From<serde_json::Error> for Unread {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// Stands before a value.
struct Reader<'de> {
    text: &'de str,
    /// What is left of it.
    rest: &'de [u8],
}

impl<'de> Reader<'de> {
    /// What was read since then.
    fn since(&self, then: &[u8]) -> &'de str {
        let from = self.text.len().saturating_sub(then.len());
        self.text.get(from..self.text.len().saturating_sub(self.rest.len())).unwrap_or_default()
    }

    /// Passes over the value, which comes back.
    fn pass(&mut self) -> Result<&'de str, Unread> {
        let from = self.rest;
        self.rest = scan::value(from, b"", 0, &mut ())?;
        Ok(self.since(from))
    }

    /// Passes over the byte, which has to be this one.
    fn take(&mut self, byte: u8) -> Result<(), Unread> {
        match blank(self.rest) {
            [first, tail @ ..] if *first == byte => {
                self.rest = tail;
                Ok(())
            }
            _ => Err(Unread),
        }
    }

    /// Stands before the next element of a list or an object, or before its end.
    fn next(&mut self, is_first: &mut bool, end: u8) -> Result<bool, Unread> {
        self.rest = blank(self.rest);
        let is_first = std::mem::replace(is_first, false);
        match self.rest {
            [first, ..] if *first == end => Ok(false),
            _ if is_first => Ok(true),
            _ => {
                self.take(b',')?;
                self.rest = blank(self.rest);
                // Behind a comma there is something.
                if self.rest.first() == Some(&end) { Err(Unread) } else { Ok(true) }
            }
        }
    }

    fn name(&mut self) -> Result<Text<'de>, Unread> {
        let from = self.rest;
        let (name, escapes, value) = scan::name(from)?;
        self.rest = value;
        let start = self.text.len().saturating_sub(from.len());
        literal(self.text.get(start..start + name.len() + 2).unwrap_or_default(), escapes)
    }

    fn string(&mut self) -> Result<Text<'de>, Unread> {
        let from = self.rest;
        let (rest, escapes) = scan::string(from.get(1..).unwrap_or_default())?;
        self.rest = rest;
        literal(self.since(from), escapes)
    }
}

/// What a string says.
enum Text<'de> {
    Borrowed(&'de str),
    Owned(String),
}

fn literal(quoted: &str, escapes: Escapes) -> Result<Text<'_>, Unread> {
    match escapes.any() {
        true => Ok(Text::Owned(serde_json::from_str(quoted)?)),
        false => Ok(Text::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())),
    }
}

fn number<'de, V: Visitor<'de>>(digits: &str, visitor: V) -> Result<V::Value, Unread> {
    if let Ok(whole) = digits.parse() {
        return visitor.visit_u64(whole);
    }
    match digits.parse() {
        // It would lose its sign.
        Ok(negative) if digits != "-0" => visitor.visit_i64(negative),
        _ => visitor.visit_f64(serde_json::from_str(digits)?),
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.rest {
            [b'"', ..] => match self.string()? {
                Text::Borrowed(text) => visitor.visit_borrowed_str(text),
                Text::Owned(text) => visitor.visit_string(text),
            },
            [b'{', tail @ ..] => {
                self.rest = tail;
                let value = visitor.visit_map(Elements { reader: self, is_first: true })?;
                self.take(b'}').map(|()| value)
            }
            [b'[', tail @ ..] => {
                self.rest = tail;
                let value = visitor.visit_seq(Elements { reader: self, is_first: true })?;
                self.take(b']').map(|()| value)
            }
            _ => match self.pass()? {
                "null" => visitor.visit_unit(),
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                digits => number(digits, visitor),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.rest.strip_prefix(b"null") {
            Some(rest) => {
                self.rest = rest;
                visitor.visit_none()
            }
            None => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Unread> {
        match name {
            LISTED if self.rest.starts_with(b"[") => self.deserialize_any(visitor),
            AS_IT_STANDS | LISTED => visitor.visit_borrowed_str(self.pass()?),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.pass()?;
        visitor.visit_unit()
    }

    /// Nothing of a wire format is one.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Unread> {
        Err(Unread)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// The elements of a list, or the members of an object.
struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    is_first: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unread> {
        match self.reader.next(&mut self.is_first, b']')? {
            true => seed.deserialize(&mut *self.reader).map(Some),
            false => Ok(None),
        }
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unread> {
        if !self.reader.next(&mut self.is_first, b'}')? {
            return Ok(None);
        }
        match self.reader.name()? {
            Text::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
            Text::Owned(name) => seed.deserialize(StringDeserializer::new(name)),
        }
        .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        seed.deserialize(&mut *self.reader)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{Json, Listed, Raw, Str};
    use super::*;

    /// What both read, or that neither does; ours without the second look.
    fn same<'a, T: Deserialize<'a> + PartialEq + std::fmt::Debug>(json: &'a str) {
        let (ours, theirs) = (whole::<T>(json).ok(), serde_json::from_str::<T>(json).ok());
        assert_eq!(ours, theirs, "{json}");
    }

    fn all(json: &str) {
        same::<Json<'_>>(json);
        same::<Listed<'_>>(json);
        same::<Option<Raw<'_>>>(json);
        same::<Vec<Json<'_>>>(json);
        same::<BTreeMap<String, Str<'_>>>(json);
        same::<BTreeMap<String, Option<Vec<Raw<'_>>>>>(json);
        same::<Vec<Option<u64>>>(json);
        same::<Vec<i64>>(json);
        same::<Vec<f64>>(json);
        same::<(bool, String)>(json);
        same::<Vec<String>>(json);
    }

    #[test]
    fn both_readers_read_the_same() {
        for json in [
            "",
            " ",
            "null",
            " [ 1 , 2 ]\n",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[]",
            "{}",
            "{\"a\":\"b\",}",
            "{\"a\" : \"b\\u00e9\" , \"\\u0061\":\"\\ud800\"}",
            "{\"a\":null,\"b\":[null,{}]}",
            "{\"a\":[1]}x",
            "{1:2}",
            "[true,\"a\\nb\"]",
            "[0,-0,1.5,1e3,-7,18446744073709551615,18446744073709551616,1e400]",
            "[\"\\ud800\"]",
            "[\"plain\",\"\u{e9}\",\"\\u00e9\"]",
            "{\"a\":\"\u{1}\"}",
        ] {
            all(json);
        }
    }

    proptest! {
        #[test]
        fn also_of_anything(json in r#"([\[\]{}:, "\\nu0-9a-e.+-]|null|true|"a"|"b":|\\u00e9|é){0,24}"#) {
            all(&json);
        }
    }

    #[test]
    fn serde_json_says_why() {
        let error = parse::<Vec<u64>>("[1,\"x\"]").unwrap_err().to_string();
        assert_eq!(error, serde_json::from_str::<Vec<u64>>("[1,\"x\"]").unwrap_err().to_string());
    }
}
