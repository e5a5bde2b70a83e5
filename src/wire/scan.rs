//! The JSON scanner: finds where values end, and refuses what is not JSON (RFC 8259), without
//! building anything.
//!
//! Own code because it stands on the way of every request and every stream event, and one pass has
//! to do what serde_json does in several (skip, depth, member spans, size of the text). The fuzz
//! target `envelope` and `tests/properties.rs` hold its verdicts against serde_json's. Every
//! function takes what is left of the text and gives back what is left behind the thing it read, so
//! there is no index to get wrong.

use std::ops::Range;

use wide::u8x16;

/// Arrays and objects inside one another, the outermost included.
pub const MAX_DEPTH: u32 = 128;

/// Not JSON, or nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Bytes left when it was noticed.
    pub left: usize,
    pub too_deep: bool,
}

impl Fault {
    fn at(rest: &[u8]) -> Self {
        Self { left: rest.len(), too_deep: false }
    }
}

/// What a string literal holds besides plain characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Escapes {
    /// `\n` and the like.
    pub short: u32,
    /// `\u0041`.
    pub unicode: u32,
}

impl Escapes {
    pub const fn any(self) -> bool {
        self.short != 0 || self.unicode != 0
    }
}

/// Sees the strings that are skipped over.
pub trait Tally {
    /// A value: what stands between its quotes, and the name of the member it belongs to (that of
    /// the list for items of a list).
    fn text(&mut self, name: &[u8], escaped: &[u8], escapes: Escapes);
    /// The name of a nested member.
    fn name(&mut self, escaped: &[u8]);
    /// A number, from where it begins and from behind it.
    #[inline]
    fn number(&mut self, _name: &[u8], _from: &[u8], _behind: &[u8]) {}
}

/// Counts nothing.
impl Tally for () {
    fn text(&mut self, _: &[u8], _: &[u8], _: Escapes) {}
    fn name(&mut self, _: &[u8]) {}
}

/// Skips white space.
#[inline]
pub fn blank(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\t' | b'\r', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

/// A bit for each byte that ends a run of plain characters.
#[inline]
fn ends(block: [u8; 16]) -> u32 {
    let block = u8x16::new(block);
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    (control | block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

/// Skips plain characters: stops at a quote, a backslash or a control character.
pub(super) fn plain(mut rest: &[u8]) -> &[u8] {
    while let Some((block, tail)) = rest.split_first_chunk::<16>() {
        let found = ends(*block);
        if found != 0 {
            // At most 15, so the default is never used.
            let skip = usize::try_from(found.trailing_zeros()).unwrap_or(0);
            return rest.get(skip..).unwrap_or_default();
        }
        rest = tail;
    }
    plain_end(rest)
}

/// The same of less than a block: as one whose halves lie over each other.
fn plain_end(rest: &[u8]) -> &[u8] {
    const HALF: usize = 8;
    let (Some(first), Some(last)) = (rest.first_chunk::<HALF>(), rest.last_chunk::<HALF>()) else {
        return plain_bytes(rest);
    };
    let mut block = [0; 2 * HALF];
    let (before, behind) = block.split_at_mut(HALF);
    before.copy_from_slice(first);
    behind.copy_from_slice(last);
    let skip = match usize::try_from(ends(block).trailing_zeros()).unwrap_or(0) {
        at @ 0..HALF => at,
        at if at < 2 * HALF => rest.len() + at - 2 * HALF,
        _ => rest.len(),
    };
    rest.get(skip..).unwrap_or_default()
}

fn plain_bytes(mut rest: &[u8]) -> &[u8] {
    while let [byte, tail @ ..] = rest {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            break;
        }
        rest = tail;
    }
    rest
}

/// Skips a string whose opening quote is already taken.
#[inline]
pub fn string(rest: &[u8]) -> Result<(&[u8], Escapes), Fault> {
    let rest = plain(rest);
    match rest {
        [b'"', tail @ ..] => Ok((tail, Escapes::default())),
        _ => string_with_escapes(rest),
    }
}

fn string_with_escapes(mut rest: &[u8]) -> Result<(&[u8], Escapes), Fault> {
    let mut escapes = Escapes::default();
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Ok((tail, escapes)),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', tail @ ..] => {
                escapes.short = escapes.short.saturating_add(1);
                plain(tail)
            }
            [b'\\', b'u', a, b, c, d, tail @ ..] if [a, b, c, d].iter().all(|h| h.is_ascii_hexdigit()) => {
                escapes.unicode = escapes.unicode.saturating_add(1);
                plain(tail)
            }
            _ => return Err(Fault::at(rest)),
        };
    }
}

fn digits(rest: &[u8]) -> Result<&[u8], Fault> {
    let [b'0'..=b'9', tail @ ..] = rest else { return Err(Fault::at(rest)) };
    Ok(more_digits(tail))
}

fn more_digits(mut rest: &[u8]) -> &[u8] {
    while let [b'0'..=b'9', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

fn number(rest: &[u8]) -> Result<&[u8], Fault> {
    let mut rest = rest.strip_prefix(b"-").unwrap_or(rest);
    rest = match rest {
        // No digits after a leading zero.
        [b'0', b'0'..=b'9', ..] => return Err(Fault::at(rest)),
        _ => digits(rest)?,
    };
    if let [b'.', tail @ ..] = rest {
        rest = digits(tail)?;
    }
    match rest {
        [b'e' | b'E', b'+' | b'-', tail @ ..] | [b'e' | b'E', tail @ ..] => digits(tail),
        _ => Ok(rest),
    }
}

#[inline]
fn scalar<'r>(rest: &'r [u8], name: &[u8], tally: &mut impl Tally) -> Result<&'r [u8], Fault> {
    let end = match rest {
        [b'"', tail @ ..] => {
            let (end, escapes) = string(tail)?;
            tally.text(name, between(tail, end), escapes);
            return Ok(end);
        }
        [b'-' | b'0'..=b'9', ..] => return number(rest).inspect(|end| tally.number(name, rest, end)),
        [b't', ..] => rest.strip_prefix(b"true"),
        [b'f', ..] => rest.strip_prefix(b"false"),
        _ => rest.strip_prefix(b"null"),
    };
    end.ok_or_else(|| Fault::at(rest))
}

/// What a string holds: `tail` follows its opening quote, `end` its closing one.
#[inline]
fn between<'r>(tail: &'r [u8], end: &[u8]) -> &'r [u8] {
    tail.get(..tail.len().saturating_sub(end.len() + 1)).unwrap_or_default()
}

/// Reads `"name" :`; gives back the name (still escaped), its escapes, and what follows the colon
/// and its blanks.
#[inline]
pub fn name(rest: &[u8]) -> Result<(&[u8], Escapes, &[u8]), Fault> {
    let [b'"', tail @ ..] = rest else { return Err(Fault::at(rest)) };
    let (end, escapes) = string(tail)?;
    match blank(end) {
        [b':', value @ ..] => Ok((between(tail, end), escapes, blank(value))),
        other => Err(Fault::at(other)),
    }
}

/// Skips one value that starts here, `around` containers being open around it.
pub fn value<'r>(mut rest: &'r [u8], member: &'r [u8], around: u32, tally: &mut impl Tally) -> Result<&'r [u8], Fault> {
    let mut open = Open { depth: around, floor: around, objects: 0 };
    let mut member = member;
    loop {
        rest = match rest {
            [b'{', tail @ ..] => match blank(open.push(true, tail)?) {
                [b'}', tail @ ..] => open.pop(tail),
                inner => {
                    (member, rest) = nested_name(inner, tally)?;
                    continue;
                }
            },
            [b'[', tail @ ..] => match blank(open.push(false, tail)?) {
                [b']', tail @ ..] => open.pop(tail),
                inner => {
                    rest = inner;
                    continue;
                }
            },
            _ => scalar(rest, member, tally)?,
        };
        // Behind a value: close what ends here, until there is a next one.
        loop {
            if open.depth == open.floor {
                return Ok(rest);
            }
            rest = match blank(rest) {
                [b',', tail @ ..] if open.in_object() => {
                    (member, rest) = nested_name(blank(tail), tally)?;
                    break;
                }
                [b',', tail @ ..] => {
                    rest = blank(tail);
                    break;
                }
                [b'}', tail @ ..] if open.in_object() => open.pop(tail),
                [b']', tail @ ..] if !open.in_object() => open.pop(tail),
                other => return Err(Fault::at(other)),
            };
        }
    }
}

#[inline]
fn nested_name<'r>(rest: &'r [u8], tally: &mut impl Tally) -> Result<(&'r [u8], &'r [u8]), Fault> {
    let (name, _, value) = name(rest)?;
    tally.name(name);
    Ok((name, value))
}

/// The containers that are open: one bit each, which is all that has to be known of them.
struct Open {
    depth: u32,
    floor: u32,
    objects: u128,
}

impl Open {
    fn push<'r>(&mut self, object: bool, rest: &'r [u8]) -> Result<&'r [u8], Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault { left: rest.len(), too_deep: true });
        }
        self.depth += 1;
        self.objects = (self.objects << 1) | u128::from(object);
        Ok(rest)
    }

    fn pop<'r>(&mut self, rest: &'r [u8]) -> &'r [u8] {
        self.depth -= 1;
        self.objects >>= 1;
        rest
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// Where a member of an object stands: what is left of the text at each of these places.
#[derive(Debug, Clone, Copy)]
pub struct Place<'r> {
    /// The name, still escaped.
    pub name: &'r [u8],
    pub name_escapes: Escapes,
    /// From the name's opening quote on.
    pub from_name: &'r [u8],
    /// From the value on.
    pub from_value: &'r [u8],
    /// Behind the value.
    pub behind: &'r [u8],
}

impl Place<'_> {
    /// The name, still escaped, and the value, of the text that it is a place in.
    fn texts<'j>(&self, json: &'j str) -> Option<(&'j str, &'j str)> {
        let at = |rest: &[u8]| json.len() - rest.len();
        let name_start = at(self.from_name) + 1;
        let name = json.get(name_start..name_start + self.name.len())?;
        Some((name, json.get(at(self.from_value)..at(self.behind))?))
    }
}

/// The members of one object, one at a time.
#[derive(Debug)]
pub struct Object<'r> {
    rest: &'r [u8],
    state: ObjectState,
    around: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ObjectState {
    Opened,
    Inside,
    Closed,
}

impl<'r> Object<'r> {
    /// `rest` starts with the opening brace; `around` containers are open around it.
    pub fn open(rest: &'r [u8], around: u32) -> Result<Self, Fault> {
        match rest {
            [b'{', tail @ ..] => Ok(Self { rest: tail, state: ObjectState::Opened, around: around + 1 }),
            _ => Err(Fault::at(rest)),
        }
    }

    /// What follows the closing brace, once [`next`](Self::next) gave `None`.
    pub fn rest(&self) -> &'r [u8] {
        self.rest
    }

    /// The next member.
    pub fn next(&mut self, tally: &mut impl Tally) -> Result<Option<Place<'r>>, Fault> {
        let from_name = match (self.state, blank(self.rest)) {
            (ObjectState::Closed, _) => return Ok(None),
            (_, [b'}', tail @ ..]) => {
                (self.rest, self.state) = (tail, ObjectState::Closed);
                return Ok(None);
            }
            (ObjectState::Opened, rest) => rest,
            (ObjectState::Inside, [b',', tail @ ..]) => blank(tail),
            (ObjectState::Inside, rest) => return Err(Fault::at(rest)),
        };
        let (name, name_escapes, from_value) = name(from_name)?;
        let behind = value(from_value, name, self.around, tally)?;
        (self.rest, self.state) = (behind, ObjectState::Inside);
        Ok(Some(Place { name, name_escapes, from_name, from_value, behind }))
    }
}

/// Whether the text is one JSON value and nothing else.
pub fn is_json(json: &str) -> bool {
    value(blank(json.as_bytes()), b"", 0, &mut ()).is_ok_and(|rest| blank(rest).is_empty())
}

/// The members of an object, leniently and without allocating: names still escaped, values as they
/// stood; ends early where the text stops being JSON.
pub fn members(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut object = Object::open(blank(json.as_bytes()), 0).ok();
    std::iter::from_fn(move || object.as_mut()?.next(&mut ()).ok()??.texts(json))
}

/// The items of a list, found as [`members`] does; of what is no list there are none.
pub fn items(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = blank(json.as_bytes()).strip_prefix(b"[").map(blank);
    std::iter::from_fn(move || {
        let from = rest.take().filter(|from| !from.starts_with(b"]"))?;
        let behind = value(from, b"", 1, &mut ()).ok()?;
        rest = blank(behind).strip_prefix(b",").map(blank);
        json.get(json.len() - from.len()..json.len() - behind.len())
    })
}

/// The values of some members of an object, found as [`members`] does, in one pass: of each name the first.
pub fn several<'j, const N: usize>(json: &'j str, wanted: [&str; N]) -> [Option<&'j str>; N] {
    let mut found = [None; N];
    members(json).for_each(|member| put(member, &wanted, &mut found));
    found
}

/// The same of a text that has to be one JSON value and nothing else: `None` where it is not.
pub fn several_of_all<'j, const N: usize>(json: &'j str, wanted: [&str; N]) -> Option<[Option<&'j str>; N]> {
    let mut found = [None; N];
    let Ok(mut object) = Object::open(blank(json.as_bytes()), 0) else { return is_json(json).then_some(found) };
    while let Some(place) = object.next(&mut ()).ok()? {
        put(place.texts(json)?, &wanted, &mut found);
    }
    blank(object.rest()).is_empty().then_some(found)
}

fn put<'j>((name, value): (&str, &'j str), wanted: &[&str], found: &mut [Option<&'j str>]) {
    let places = wanted.iter().zip(found).filter(|(wanted, place)| **wanted == name && place.is_none());
    places.for_each(|(_, place)| *place = Some(value));
}

/// Where a part of a text stands in it, told by its address: `None` where it is a part of another.
pub fn span(text: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (start + part.len() <= text.len()).then_some(start..start + part.len())
}

/// The value of one member of an object, found as [`members`] does.
pub fn member<'j>(json: &'j str, wanted: &str) -> Option<&'j str> {
    members(json).find_map(|(name, value)| (name == wanted).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::is_json as accepts;

    /// One a line, but for the last ones, which hold line feeds and the like.
    const CASES: &str = r#"
0
-0
00
01
-
1.
1.5
.5
1e
1e5
1E+5
1e-
1e400
-1.25e-7
+1
1.e3
0e0
0x1
1_0
NaN
true
tru
truex
false
nul
null
"
""
"a
"\
"\"
"\x"
"\u00e9"
"\u00g9"
"\ud800"
"\u12"
[]
[1]
[1,]
[,1]
[1 2]
[
]
[[],[]]
{}
{"a":1}
{"a":1,}
{"a" 1}
{a:1}
{"a":}
{"a":1 "b":2}
{"a":[1,{"b":null}]}
{]
[}
{"a":1}}
1 1
{"a":1}x
[1,[2,[3]]
{"":""}
"\/\b\f\n\r\t\\"
//
'a'
{"a"::1}
[1,,2]
"#;

    #[test]
    fn verdicts_equal_serde_json() {
        let long = format!("\"{}\u{e9}{}\"", "x".repeat(61), "y".repeat(70));
        let broken = format!("\"{}\n\"", "x".repeat(77));
        let odd = [
            "\"\t\"",
            "\"\u{7f}\"",
            "\"\u{1f}\"",
            " \n\t\r[ 1 , 2 ] \n",
            "\u{b}1",
            "\u{a0}1",
            "\u{feff}1",
            "",
            " ",
            "\"\0\"",
            &long,
            &broken,
        ];
        for case in CASES.lines().chain(odd) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(case).is_ok();
            assert_eq!(accepts(case), theirs, "{case}");
        }
    }

    #[test]
    fn depth_is_capped() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(accepts(&nested(128)));
        assert!(!accepts(&nested(129)));
        assert!(value(nested(129).as_bytes(), b"", 0, &mut ()).unwrap_err().too_deep);
        assert!(value(nested(128).as_bytes(), b"", 1, &mut ()).unwrap_err().too_deep);
        // Mixed, so that the kind of each container has to be remembered to the last one.
        let mixed = format!("{}1{}", "[{\"a\":".repeat(64), "}]".repeat(64));
        assert!(accepts(&mixed));
        assert!(!accepts(&mixed.replace("}]}]", "]}}]")));
    }

    #[test]
    fn a_string_may_end_at_any_place_of_a_block() {
        for n in 0..140 {
            for end in ["\"", "\\n\"", "\u{e9}\"", "\\u0041z\""] {
                let json = format!("\"{}{end}", "a".repeat(n));
                assert!(accepts(&json), "{json}");
                assert!(!accepts(json.trim_end_matches('"')), "{json}");
            }
            assert!(!accepts(&format!("\"{}\u{1}{}\"", "a".repeat(n), "b".repeat(n))));
        }
    }

    #[test]
    fn what_is_not_plain_is_found_wherever_it_is() {
        let is_special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
        for length in 0..40 {
            let text = "\u{e9}!#[] \u{7f}z\u{1f600}".repeat(4).into_bytes();
            let text = text.get(..length).unwrap().to_vec();
            assert!(plain(&text).is_empty(), "{length}");
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = text.clone();
                    bytes[at] = byte;
                    let first = bytes.iter().position(is_special).unwrap_or(length);
                    assert_eq!(plain(&bytes).len(), length - first, "{byte} at {at} of {length}");
                }
            }
        }
    }

    /// As [`string`], a byte at a time.
    fn string_by_bytes(mut rest: &[u8]) -> Result<(&[u8], Escapes), Fault> {
        let mut escapes = Escapes::default();
        loop {
            rest = match rest {
                [b'"', tail @ ..] => return Ok((tail, escapes)),
                [b'\\', b'u', hex @ ..] if hex.len() >= 4 && hex.iter().take(4).all(u8::is_ascii_hexdigit) => {
                    escapes.unicode += 1;
                    hex.get(4..).unwrap()
                }
                [b'\\', letter, tail @ ..] if br#""\/bfnrt"#.contains(letter) => {
                    escapes.short += 1;
                    tail
                }
                [b'\\', ..] => return Err(Fault::at(rest)),
                [byte, tail @ ..] if *byte >= 0x20 => tail,
                _ => return Err(Fault::at(rest)),
            };
        }
    }

    #[test]
    fn escapes_are_found_wherever_they_stand() {
        let pieces = [r"\n", r"\u00e9", r"\\", "\\\"", r"\x", r"\u12", "\n", "\"", "é", r"\\\n\u0041", ""];
        for first in pieces {
            for second in pieces {
                for (before, between, behind) in (0..20).flat_map(|n| [(n, 3, 40), (1, n, 20), (18, n, n), (n, 0, 0)]) {
                    let plain = |length: usize| "x".repeat(length);
                    let text = [&plain(before), first, &plain(between), second, &plain(behind), "\", "].concat();
                    let bytes = text.as_bytes();
                    assert_eq!(string(bytes), string_by_bytes(bytes), "{text}");
                    let cut = bytes.get(..bytes.len() - 3).unwrap();
                    assert_eq!(string(cut), string_by_bytes(cut), "{text}");
                }
            }
        }
    }

    #[test]
    fn members_are_found_without_building() {
        let json = r#" { "a" : 1, "b":{"a":[2]} ,"c\n":"x" , broken"#;
        assert_eq!(members(json).collect::<Vec<_>>(), [("a", "1"), ("b", r#"{"a":[2]}"#), ("c\\n", "\"x\"")]);
        assert_eq!(member(json, "b"), Some(r#"{"a":[2]}"#));
        assert_eq!(member("[1]", "a"), None);
        assert_eq!(several(json, ["b", "x", "a"]), [Some(r#"{"a":[2]}"#), None, Some("1")]);
        assert_eq!(several(r#"{"a":1,"a":2}"#, ["a", "a"]), [Some("1"), Some("1")]);
    }

    #[test]
    fn items_are_found_without_building() {
        let of = |json| items(json).collect::<Vec<_>>();
        assert_eq!(of(r#" [ 1 ,"a]",{"b":[2]} , [3] ] , 4"#), ["1", r#""a]""#, r#"{"b":[2]}"#, "[3]"]);
        assert_eq!(of("[1, 2,, 3]"), ["1", "2"]);
        assert_eq!(of("[1, nul]"), ["1"]);
        for none in ["[]", "[ ]", "", "1", r#"{"a":[1]}"#, r#""[1]""#, "["] {
            assert_eq!(of(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn members_of_what_is_all_json_are_found_in_the_pass_that_says_so() {
        let objects = ["{}", r#" {"a":1} "#, r#"{"b":{"a":[2]},"a":"x","a":3}"#];
        let others = ["[1]", "1", " null", r#""a""#];
        let broken = ["", "{", r#"{"a":1"#, r#"{"a":1}}"#, r#"{"a":1} x"#, r#"{"a":1,}"#, r#"{"a":01}"#, "[1", "nul"];
        for json in objects.into_iter().chain(others).chain(broken) {
            let found = several_of_all(json, ["a", "b"]);
            assert_eq!(found, is_json(json).then(|| several(json, ["a", "b"])), "{json}");
        }
        assert!(broken.iter().all(|json| several_of_all(json, ["a"]).is_none()));
    }
}
