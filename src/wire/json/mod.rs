//! JSON kept as it stood: borrowed string literals, borrowed raw values, objects that remember the
//! members nobody asked for, and a writer.
//!
//! Text crosses the gateway as the JSON string literal it arrived as, escapes included: it is
//! neither decoded nor encoded again, so nothing in it can change (big numbers, lone surrogates,
//! `\u00e9` against `é`), and nothing is paid for it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

use super::scan;

mod read;

pub(crate) use read::parse;

/// A JSON string literal, quotes and escapes included.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Str<'a>(Cow<'a, str>);

impl<'a> Str<'a> {
    /// Encodes plain text.
    pub fn from_text(text: &str) -> Str<'static> {
        let mut out = Vec::with_capacity(text.len() + 2);
        write_text(&mut out, text);
        // write_text writes UTF-8 only.
        Str(Cow::Owned(String::from_utf8(out).unwrap_or_else(|_| String::from("\"\""))))
    }

    /// Takes a literal that is known to be one (`"\"...\""`); anything else becomes `None`.
    pub fn from_raw(raw: &'a str) -> Option<Self> {
        (raw.len() >= 2 && raw.starts_with('"') && raw.ends_with('"')).then_some(Self(Cow::Borrowed(raw)))
    }

    /// Of what stands between the quotes of a literal, still escaped.
    pub fn from_escaped(escaped: &str) -> Str<'static> {
        Str(Cow::Owned(format!("\"{escaped}\"")))
    }

    /// The literal, quotes included.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// What stands between the quotes, still escaped.
    pub fn escaped(&self) -> &str {
        self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or_default()
    }

    /// Puts another text behind this one; a text that is made of many pieces is copied once.
    pub fn append(&mut self, more: &Str<'_>) {
        let literal = self.0.to_mut();
        literal.pop();
        literal.push_str(more.escaped());
        literal.push('"');
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() <= 2
    }

    /// The text itself. Borrows when there is nothing to unescape; lone surrogates become U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        let inner = self.escaped();
        if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
            return Cow::Borrowed(inner);
        }
        Cow::Owned(unescape(&self.0))
    }

    /// How many characters the text has.
    pub fn chars(&self) -> usize {
        let inner = self.escaped();
        // Most are words: the letters are the bytes.
        match inner.is_ascii() && memchr::memchr(b'\\', inner.as_bytes()).is_none() {
            true => inner.len(),
            false => self.text().chars().count(),
        }
    }

    /// Whether there is nothing to be seen in it.
    pub fn is_blank(&self) -> bool {
        let mut rest = self.escaped().trim_start();
        while let Some(tail) = ["\\n", "\\r", "\\t"].iter().find_map(|blank| rest.strip_prefix(blank)) {
            rest = tail.trim_start();
        }
        // Other escapes are seldom blanks, and seldom what a text begins with.
        rest.is_empty() || rest.starts_with('\\') && self.text().trim().is_empty()
    }

    /// Whether the text equals `plain`, without unescaping where that is enough.
    pub fn is(&self, plain: &str) -> bool {
        self.text() == plain
    }

    pub fn into_owned(self) -> Str<'static> {
        Str(Cow::Owned(self.0.into_owned()))
    }

    /// A second handle on the same literal, borrowed from this one.
    pub fn reborrow(&self) -> Str<'_> {
        Str(Cow::Borrowed(&self.0))
    }
}

/// serde_json refuses lone surrogates in `String`; its byte view keeps them.
fn unescape(literal: &str) -> String {
    struct Bytes(Vec<u8>);
    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            struct V;
            impl serde::de::Visitor<'_> for V {
                type Value = Bytes;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a string")
                }
                fn visit_bytes<E>(self, v: &[u8]) -> Result<Bytes, E> {
                    Ok(Bytes(v.to_vec()))
                }
            }
            d.deserialize_bytes(V)
        }
    }
    let bytes = serde_json::from_str::<Bytes>(literal).map(|b| b.0).unwrap_or_default();
    // The lossy way looks at each byte, so it is not taken before there is need.
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_raw(Json::deserialize(d)?.get()).ok_or_else(|| D::Error::custom("expected a string"))
    }
}

/// A JSON value as it stands in the text it is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Takes text that is known to be JSON.
    pub const fn new(json: &'a str) -> Self {
        Self(json)
    }

    pub const fn get(self) -> &'a str {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> serde::de::Visitor<'de> for V {
            type Value = Json<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            /// By our own reader.
            fn visit_borrowed_str<E>(self, json: &'de str) -> Result<Json<'de>, E> {
                Ok(Json(json))
            }
            /// By serde_json.
            fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Json<'de>, D::Error> {
                <&'de RawValue>::deserialize(d).map(|raw| Json(raw.get()))
            }
        }
        d.deserialize_newtype_struct(read::AS_IT_STANDS, V)
    }
}

/// A value that may be a list, whose items are found in the same pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed<'a> {
    Items(Vec<Json<'a>>),
    /// What is no list.
    Value(Json<'a>),
}

impl<'a> Listed<'a> {
    /// The items; none of what is no list.
    pub fn items(&self) -> &[Json<'a>] {
        match self {
            Self::Items(items) => items,
            Self::Value(_) => &[],
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Listed<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> serde::de::Visitor<'de> for V {
            type Value = Listed<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Listed<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Listed::Items(items))
            }
            fn visit_borrowed_str<E>(self, json: &'de str) -> Result<Listed<'de>, E> {
                Ok(Listed::Value(Json(json)))
            }
            /// By serde_json, which cannot tell before it has passed over all of it.
            fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Listed<'de>, D::Error> {
                let json = Json::deserialize(d)?;
                Ok(parse(json.get()).map_or(Listed::Value(json), Listed::Items))
            }
        }
        d.deserialize_newtype_struct(read::LISTED, V)
    }
}

/// Any JSON value, as it stood, borrowed or owned.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw<'a>(Cow<'a, str>);

impl<'a> Raw<'a> {
    /// Borrows text that is known to be JSON.
    pub fn new(json: &'a str) -> Self {
        Self(Cow::Borrowed(json))
    }

    /// Takes text that is known to be JSON.
    pub fn owned(json: String) -> Raw<'static> {
        Raw(Cow::Owned(json))
    }

    pub fn get(&self) -> &str {
        &self.0
    }

    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    pub fn is_array(&self) -> bool {
        self.0.starts_with('[')
    }

    pub fn is_string(&self) -> bool {
        self.0.starts_with('"')
    }

    /// The value as a string literal, if it is one.
    pub fn as_str(&self) -> Option<Str<'_>> {
        Str::from_raw(&self.0)
    }

    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    pub fn as_bool(&self) -> Option<bool> {
        self.0.parse().ok()
    }

    /// Reads the value as `T`; a value of another shape is `None` (be lenient in what comes in).
    pub fn read<'s, T: Deserialize<'s>>(&'s self) -> Option<T> {
        parse(&self.0).ok()
    }

    pub fn into_owned(self) -> Raw<'static> {
        Raw(Cow::Owned(self.0.into_owned()))
    }

    pub fn reborrow(&self) -> Raw<'_> {
        Raw(Cow::Borrowed(&self.0))
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self(Cow::Borrowed(Json::deserialize(d)?.get())))
    }
}

/// A member name; borrowed unless it carried escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> serde::de::Visitor<'de> for V {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(v.to_owned())))
            }
        }
        d.deserialize_str(V)
    }
}

/// The members of an object that its reader has no field for, in their order.
pub type Rest<'a> = Vec<(Cow<'a, str>, Raw<'a>)>;

/// Declares a struct that reads one JSON object in one pass: every field is an `Option` (absent and
/// `null` are both `None`), the member's name is the field's unless `= "name"` follows (`| "other"` for
/// a second spelling), and all other members are kept in `rest`.
#[macro_export]
macro_rules! wire_object {
    ($(#[$meta:meta])* $vis:vis struct $name:ident<$lt:lifetime> {
        $( $(#[$fmeta:meta])* $field:ident : $ty:ty $(= $key:literal $(| $alias:literal)*)? ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default)]
        $vis struct $name<$lt> {
            $( $(#[$fmeta])* $vis $field: Option<$ty>, )*
            /// Members without a field.
            $vis rest: $crate::wire::json::Rest<$lt>,
        }

        impl<'de: $lt, $lt> serde::de::Deserialize<'de> for $name<$lt> {
            fn deserialize<D: serde::de::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                struct V<$lt>(std::marker::PhantomData<&$lt ()>);
                impl<'de: $lt, $lt> serde::de::Visitor<'de> for V<$lt> {
                    type Value = $name<$lt>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                        let mut it = $name::default();
                        while let Some($crate::wire::json::Name(name)) = map.next_key()? {
                            match &*name {
                                $( $crate::wire_key!($field $($key)?) $($(| $alias)*)? => it.$field = map.next_value()?, )*
                                _ => it.rest.push((name, map.next_value()?)),
                            }
                        }
                        Ok(it)
                    }
                }
                d.deserialize_map(V(std::marker::PhantomData))
            }
        }
    };
}

/// The wire name of a field of [`wire_object!`].
#[doc(hidden)]
#[macro_export]
macro_rules! wire_key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// Writes `text` as a JSON string literal.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let tail = scan::plain(rest);
        out.extend_from_slice(rest.get(..rest.len() - tail.len()).unwrap_or_default());
        let Some((special, tail)) = tail.split_first() else { break };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(control >> 4), digit(control & 15)]);
            }
        }
        rest = tail;
    }
    out.push(b'"');
}

/// Writes a whole number.
pub fn write_number(out: &mut Vec<u8>, value: u64) {
    write_padded(out, value, 1);
}

/// Writes a whole number of at least that many digits, 20 at most: with zeros before it where it has fewer.
pub(crate) fn write_padded(out: &mut Vec<u8>, value: u64, least_digits: usize) {
    out.extend_from_slice(Digits::padded(value, least_digits).as_bytes());
}

/// A whole number as text, without a formatter.
#[derive(Debug)]
pub(crate) struct Digits {
    room: [u8; Self::MOST],
    from: usize,
}

impl Digits {
    const MOST: usize = 20;

    pub(crate) fn of(value: u64) -> Self {
        Self::padded(value, 1)
    }

    fn padded(mut value: u64, least: usize) -> Self {
        let mut room = [b'0'; Self::MOST];
        let mut count = 0;
        for digit in room.iter_mut().rev() {
            if value == 0 {
                break;
            }
            *digit = b'0' | (value % 10).to_le_bytes()[0];
            value /= 10;
            count += 1;
        }
        Self { room, from: Self::MOST.saturating_sub(least.max(count)) }
    }

    fn as_bytes(&self) -> &[u8] {
        self.room.get(self.from..).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Writes one object; the brace closes when it goes out of scope.
#[derive(Debug)]
pub struct Obj<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Obj<'o> {
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Writes the member's name; the caller writes one value to what comes back.
    pub fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        write_text(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// The same, of a name of ours: nothing in it has to be written otherwise.
    pub(crate) fn plain_key(&mut self, name: &'static str) -> &mut Vec<u8> {
        let before: &[u8] = if std::mem::replace(&mut self.empty, false) { b"\"" } else { b",\"" };
        for part in [before, name.as_bytes(), b"\":"] {
            self.out.extend_from_slice(part);
        }
        self.out
    }

    /// A member whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.key(name).extend_from_slice(json.as_bytes());
        self
    }

    /// A member whose value is a string literal already.
    pub fn str(&mut self, name: &str, literal: &Str<'_>) -> &mut Self {
        self.raw(name, literal.raw())
    }

    /// A member whose value is plain text.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        write_text(self.key(name), text);
        self
    }

    pub fn num(&mut self, name: &str, value: u64) -> &mut Self {
        write_number(self.key(name), value);
        self
    }

    pub fn bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.raw(name, if value { "true" } else { "false" })
    }

    pub fn null(&mut self, name: &str) -> &mut Self {
        self.raw(name, "null")
    }

    /// Members kept from elsewhere.
    pub fn rest(&mut self, rest: &Rest<'_>) -> &mut Self {
        for (name, value) in rest {
            self.raw(name, value.get());
        }
        self
    }

    pub fn obj(&mut self, name: &str) -> Obj<'_> {
        Obj::new(self.key(name))
    }

    pub fn arr(&mut self, name: &str) -> Arr<'_> {
        Arr::new(self.key(name))
    }
}

impl Drop for Obj<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// Writes one array; the bracket closes when it goes out of scope.
#[derive(Debug)]
pub struct Arr<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Arr<'o> {
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, empty: true }
    }

    /// Writes what stands before the next item; the caller writes one value to what comes back.
    pub fn item(&mut self) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        self.out
    }

    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.item().extend_from_slice(json.as_bytes());
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        write_text(self.item(), text);
        self
    }

    pub fn obj(&mut self) -> Obj<'_> {
        Obj::new(self.item())
    }
}

impl Drop for Arr<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    wire_object! {
        struct Probe<'a> { kind: Str<'a> = "type", index: u64, list: Vec<Raw<'a>>, two: u64 = "inTwo" | "in_two" }
    }

    #[test]
    fn texts_are_joined_as_they_are_escaped() {
        let mut text = Str::from_raw(r#""a\n\ud83d""#).unwrap();
        for more in [r#""\ude00""#, r#""""#, r#""\"b""#] {
            text.append(&Str::from_raw(more).unwrap());
        }
        assert_eq!((text.raw(), &*text.text()), (r#""a\n\ud83d\ude00\"b""#, "a\n\u{1f600}\"b"));
    }

    #[test]
    fn a_member_may_have_two_spellings() {
        for json in [r#"{"inTwo":2}"#, r#"{"in_two":2}"#] {
            assert_eq!(serde_json::from_str::<Probe<'_>>(json).unwrap().two, Some(2));
        }
    }

    #[test]
    fn an_object_is_read_in_one_pass_and_keeps_strangers() {
        let json = r#"{"type":"a\nb","x":1e400,"index":3,"list":[1,{"y":null}],"z":"\ud800"}"#;
        let it: Probe<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(it.kind.unwrap().text(), "a\nb");
        assert_eq!(it.index, Some(3));
        assert_eq!(it.list.unwrap()[1].get(), r#"{"y":null}"#);
        assert_eq!(it.rest.len(), 2);
        assert_eq!(it.rest[0].1.get(), "1e400");
        assert_eq!(it.rest[1].1.as_str().unwrap().text(), "\u{fffd}\u{fffd}\u{fffd}");
    }

    #[test]
    fn blanks_are_told_without_reading_all_of_a_text() {
        for literal in [
            "",
            " ",
            "a",
            "\\n",
            " \\n\\t \\r",
            "\\n.",
            "\\u0020",
            "\\u00e9",
            "\\f",
            "\\b",
            "\\\\n",
            "\u{a0}",
            "\u{e9}\\n",
            " \\ud800",
        ] {
            let text = Str::from_escaped(literal);
            assert_eq!(text.is_blank(), text.text().trim().is_empty(), "{literal}");
            assert_eq!(text.chars(), text.text().chars().count(), "{literal}");
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for value in [0, 7, 10, 99, 12_345, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        for (value, padded) in [(0, "000"), (42, "042"), (999, "999"), (1_000, "1000")] {
            let mut out = Vec::new();
            write_padded(&mut out, value, 3);
            assert_eq!(String::from_utf8(out).unwrap(), padded);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        {
            let mut o = Obj::new(&mut out);
            o.text("a", "\u{1}\"\\\né").num("n", 7).bool("b", true).null("z");
            o.arr("l").raw("1").text("x").obj().num("k", 1);
            o.obj("empty");
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":"\u0001\"\\\né","n":7,"b":true,"z":null,"l":[1,"x",{"k":1}],"empty":{}}"#
        );
    }
}
