//! One pass over a request body: is it JSON, and where are its top-level members.
//!
//! Routing needs a handful of members (`model`, `stream`, limits); everything else stays the bytes
//! it was. The pass checks UTF-8, well-formedness and depth, refuses duplicate top-level members
//! (two parsers would disagree about which one counts, so a policy could be shown one model and the
//! upstream another), and sums up the text for the token estimate while it is at it.

use std::borrow::Cow;
use std::ops::Range;

use super::json::Str;
use super::scan::{self, Fault, MAX_DEPTH, Object, Place};
use crate::error::{Error, Kind, Result};
use crate::usage::estimate::TextCount;

/// No API knows so many; bounds what a hostile body can make us remember.
const MAX_MEMBERS: usize = 512;

/// A top-level member: places are byte offsets into the body.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Unescaped.
    pub name: Cow<'a, str>,
    /// Quotes included.
    pub name_span: Range<usize>,
    pub value_span: Range<usize>,
}

/// A request body that is a JSON object. See the module documentation.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    bytes: &'a [u8],
    /// The same, in the pass that found it to be text. Later ones look at the members they need.
    checked: Option<&'a str>,
    members: Vec<Member<'a>>,
    /// Offset of the opening brace.
    open: usize,
    text: TextCount,
}

/// What one pass over a body found, without the body: kept beside it, so that a second look (an edit,
/// another attempt) needs no second pass.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    members: Vec<Span>,
    open: usize,
    text: TextCount,
}

/// Where one member stands.
#[derive(Debug, Clone)]
struct Span {
    name: Range<usize>,
    value: Range<usize>,
    /// The name, where it had to be unescaped.
    unescaped: Option<String>,
}

impl<'a> Envelope<'a> {
    /// What is known of the body, to be put together with it again by [`Self::restore`].
    pub fn outline(&self) -> Outline {
        let span = |m: &Member<'a>| Span {
            name: m.name_span.clone(),
            value: m.value_span.clone(),
            unescaped: match &m.name {
                Cow::Borrowed(_) => None,
                Cow::Owned(name) => Some(name.clone()),
            },
        };
        Outline { members: self.members.iter().map(span).collect(), open: self.open, text: self.text }
    }

    /// The envelope of a body whose outline was kept. Another body's outline finds nothing useful, but
    /// cannot do harm: all access is checked.
    pub fn restore(bytes: &'a [u8], outline: &'a Outline) -> Self {
        let member = |span: &'a Span| Member {
            name: match &span.unescaped {
                Some(name) => Cow::Borrowed(name.as_str()),
                None => Cow::Borrowed(text_at(bytes, span.name.start + 1..span.name.end - 1).unwrap_or_default()),
            },
            name_span: span.name.clone(),
            value_span: span.value.clone(),
        };
        let members = outline.members.iter().map(member).collect();
        Self { bytes, checked: None, members, open: outline.open, text: outline.text }
    }

    /// Fails with `InvalidJson`: not UTF-8, not JSON, not an object, nested too deep, or a
    /// duplicate top-level member, which is named.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let body = simdutf8::compat::from_utf8(bytes).map_err(|e| {
            Error::new(Kind::InvalidJson, format!("the body is not valid UTF-8 at byte {}", e.valid_up_to()))
        })?;
        Self::parse_str(body)
    }

    /// The same for text that is known to be UTF-8.
    pub fn parse_str(body: &'a str) -> Result<Self> {
        let rest = scan::blank(body.as_bytes());
        let mut object = Object::open(rest, 0).map_err(|fault| not_an_object(body, fault))?;
        let mut it = Self {
            bytes: body.as_bytes(),
            checked: Some(body),
            members: Vec::with_capacity(16),
            open: body.len() - rest.len(),
            text: TextCount::default(),
        };
        let mut seen = Seen::default();
        loop {
            let place = object.next(&mut it.text).map_err(|fault| not_json(body, fault))?;
            let Some(place) = place else { break };
            it.add(&place, &mut seen)?;
        }
        let behind = scan::blank(object.rest());
        if !behind.is_empty() {
            return Err(not_json(body, Fault { left: behind.len(), too_deep: false }));
        }
        Ok(it)
    }

    fn add(&mut self, place: &Place<'a>, seen: &mut Seen) -> Result<()> {
        let offset = |rest: &[u8]| self.bytes.len() - rest.len();
        let name_start = offset(place.from_name);
        let name_span = name_start..name_start + place.name.len() + 2;
        let name = match Str::from_raw(self.slice(name_span.clone()).unwrap_or_default()) {
            Some(literal) if place.name_escapes.any() => Cow::Owned(literal.text().into_owned()),
            _ => Cow::Borrowed(self.slice(name_start + 1..name_span.end - 1).unwrap_or_default()),
        };
        if seen.maybe(&name) && self.members.iter().any(|m| m.name == name) {
            let text = format!("the member `{name}` appears more than once");
            return Err(Error::new(Kind::InvalidJson, text).with_param(name.into_owned()));
        }
        if self.members.len() == MAX_MEMBERS {
            return Err(Error::new(Kind::InvalidJson, format!("the body has more than {MAX_MEMBERS} members")));
        }
        self.members.push(Member { name, name_span, value_span: offset(place.from_value)..offset(place.behind) });
        Ok(())
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// All of it. What was found in another body may be none.
    pub fn body(&self) -> &'a str {
        self.checked.unwrap_or_else(|| simdutf8::basic::from_utf8(self.bytes).unwrap_or_default())
    }

    /// A part of it.
    pub(crate) fn slice(&self, span: Range<usize>) -> Option<&'a str> {
        match self.checked {
            Some(body) => body.get(span),
            None => text_at(self.bytes, span),
        }
    }

    /// In the order of the body.
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// Offset of the opening brace.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Sum of the text in all values, for [`crate::usage::estimate`].
    pub fn text_count(&self) -> &TextCount {
        &self.text
    }

    /// Where a member stands.
    pub fn get(&self, name: &str) -> Option<&Member<'a>> {
        self.members.iter().find(|m| m.name == name)
    }

    /// The JSON of a member's value (`null` too).
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.slice(self.get(name)?.value_span.clone())
    }

    /// The same, with `null` taken for absence.
    pub fn present(&self, name: &str) -> Option<&'a str> {
        self.value(name).filter(|json| *json != "null")
    }

    /// The model: a string that is not empty.
    pub fn model(&self) -> Result<Str<'a>> {
        self.model_if_any()?.ok_or_else(|| Error::invalid("model", "the member `model` is required"))
    }

    /// The model, where a path or a header may name it instead.
    pub fn model_if_any(&self) -> Result<Option<Str<'a>>> {
        let Some(json) = self.present("model") else { return Ok(None) };
        match Str::from_raw(json) {
            Some(model) if !model.is_empty() => Ok(Some(model)),
            _ => Err(Error::invalid("model", "the member `model` must be a string that is not empty")),
        }
    }

    /// Whether the answer is to be streamed; absent and `null` are `false`.
    pub fn stream(&self) -> Result<bool> {
        match self.present("stream") {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::invalid("stream", "the member `stream` must be true or false")),
        }
    }

    /// Whether the client asked for usage at the end of its stream
    /// (`stream_options.include_usage`).
    ///
    /// # Errors
    /// `InvalidJson` where it is named twice: which of them an upstream believes, nobody knows.
    pub fn stream_usage(&self) -> Result<bool> {
        let Some(options) = self.present("stream_options").filter(|options| options.starts_with('{')) else {
            return Ok(false);
        };
        let options = Envelope::parse_str(options).map_err(|_| {
            let text = "a member of `stream_options` appears more than once";
            Error::new(Kind::InvalidJson, text).with_param("stream_options")
        })?;
        Ok(options.present("include_usage") == Some("true"))
    }

    /// A member that is a string.
    pub fn string(&self, name: &str) -> Option<Str<'a>> {
        Str::from_raw(self.present(name)?)
    }
}

/// A number of things, as any server may read it: also `10.0`, `2e5`, `"100"` and `" 1_000 "`, rounded up. What is
/// below zero or no number is none.
pub fn amount(json: &str) -> Option<u64> {
    if let Ok(whole) = json.parse() {
        return Some(whole);
    }
    let text = Str::from_raw(json).map_or(Cow::Borrowed(json), |text| Cow::Owned(text.text().replace('_', "")));
    let number = text.trim().parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    // Too large for 64 bits is as large as can be.
    Some(format!("{:.0}", number.ceil()).parse().unwrap_or(u64::MAX))
}

fn text_at(bytes: &[u8], span: Range<usize>) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes.get(span)?).ok()
}

/// Says cheaply whether a name may have been there before: one bit per length and first letter.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    fn maybe(&mut self, name: &str) -> bool {
        let [first, .., last] = name.as_bytes() else { return true };
        let hash = usize::from(*first) + usize::from(*last) * 7 + name.len() * 3;
        let bit = 1_u64 << (hash % 64);
        let was = self.0 & bit != 0;
        self.0 |= bit;
        was
    }
}

fn not_an_object(body: &str, fault: Fault) -> Error {
    match scan::is_json(body) {
        true => Error::new(Kind::InvalidJson, "the body must be a JSON object"),
        false => not_json(body, fault),
    }
}

fn not_json(body: &str, fault: Fault) -> Error {
    if fault.too_deep {
        return Error::new(Kind::InvalidJson, format!("the body nests deeper than {MAX_DEPTH} levels"));
    }
    // Off the usual way, so a second pass by serde_json may say what it wanted and where.
    match serde_json::from_str::<serde::de::IgnoredAny>(body) {
        Err(e) => Error::new(Kind::InvalidJson, format!("the body is not valid JSON: {e}")),
        Ok(_) => {
            Error::new(Kind::InvalidJson, format!("the body is not valid JSON at byte {}", body.len() - fault.left))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Envelope<'_> {
        Envelope::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn members_are_found_where_they_stand() {
        let body = "\n{ \"model\" : \"a/b\\u00e9\",\"messages\":[{\"content\":\"hi \\n x\"}], \"stream\":true,\"n\":3,\"max_tokens\":7, \"x\":1e400}\n";
        let it = parse(body);
        assert_eq!(it.model().unwrap().text(), "a/b\u{e9}");
        assert!(it.stream().unwrap());
        assert_eq!(
            ["n", "max_tokens", "x", "y"].map(|name| it.present(name)),
            [Some("3"), Some("7"), Some("1e400"), None]
        );
        assert_eq!(it.value("messages"), Some("[{\"content\":\"hi \\n x\"}]"));
        let member = it.get("model").unwrap();
        assert_eq!(body.get(member.name_span.clone()), Some("\"model\""));
        assert_eq!(body.get(member.value_span.clone()), Some("\"a/b\\u00e9\""));
        assert_eq!(it.members().len(), 6);
        assert_eq!(it.get("content").map(|m| m.value_span.clone()), None);
    }

    #[test]
    fn an_outline_stands_for_the_pass() {
        let body = "\n{ \"mod\\u0065l\" : \"a\",\"messages\":[{\"content\":\"hi\"}], \"stream\":true}";
        let first = parse(body);
        let outline = first.outline();
        let again = Envelope::restore(body.as_bytes(), &outline);
        assert_eq!(again.model().unwrap().text(), "a");
        assert_eq!((again.open(), again.text_count()), (first.open(), first.text_count()));
        let spans = |e: &Envelope<'_>| {
            e.members().iter().map(|m| (m.name.to_string(), m.value_span.clone())).collect::<Vec<_>>()
        };
        assert_eq!(spans(&again), spans(&first));
        assert_eq!((again.bytes(), again.body(), again.stream().unwrap()), (body.as_bytes(), body, true));
        for other in [&b"{}"[..], b"", &[0xff; 99], "\u{e9}".repeat(50).as_bytes()] {
            let wrong = Envelope::restore(other, &outline);
            assert!(wrong.model().is_err() && wrong.value("messages").is_none_or(|value| !value.contains("hi")));
            assert!(wrong.body().len() == other.len() || wrong.body().is_empty());
        }
    }

    #[test]
    fn a_duplicate_is_refused_in_any_spelling() {
        for body in [
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","x":1,"mod\u0065l":"b"}"#,
            r#"{"mo\u0064el":"a","x":1,"model":"b"}"#,
        ] {
            let error = Envelope::parse(body.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.param()), (Kind::InvalidJson, Some("model")), "{body}");
        }
        // Nested ones are the upstream's affair, and names that differ are no duplicates.
        parse(r#"{"a":{"x":1,"x":2},"b":1,"B":2,"":3,"ab":4,"ba":5,"axb":6,"ayb":7}"#);
        let error = Envelope::parse(br#"{"":1,"":2}"#).unwrap_err();
        assert_eq!(error.param(), Some(""));
    }

    #[test]
    fn what_is_not_a_json_object_is_refused() {
        for body in [&b"[]"[..], b"", b"null", b"{", b"{\"a\":1}}", b"{\"a\":\"\xff\"}", b"{\"a\":1,}", b"\"x\""] {
            let error = Envelope::parse(body).unwrap_err();
            assert_eq!((error.kind(), error.status()), (Kind::InvalidJson, 400), "{body:?}");
        }
        let says = |body: &str| Envelope::parse(body.as_bytes()).unwrap_err().public().to_owned();
        assert_eq!(says("{\"a\" 1}"), "the body is not valid JSON: expected `:` at line 1 column 6");
        assert_eq!(says(" [1] "), "the body must be a JSON object");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128));
        assert_eq!(says(&deep), "the body nests deeper than 128 levels");
        let many: Vec<String> = (0..600).map(|i| format!("\"m{i}\":1")).collect();
        assert_eq!(says(&format!("{{{}}}", many.join(","))), "the body has more than 512 members");
    }

    #[test]
    fn members_that_route_must_have_their_type() {
        for body in [r#"{"model":1}"#, r#"{"model":""}"#, r#"{"model":null}"#, r#"{}"#, r#"{"model":["a"]}"#] {
            let error = parse(body).model().unwrap_err();
            assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("model")), "{body}");
        }
        assert!(parse("{}").model_if_any().unwrap().is_none());
        assert_eq!(parse(r#"{"stream":"yes"}"#).stream().unwrap_err().param(), Some("stream"));
        assert!(!parse(r#"{"stream":null}"#).stream().unwrap());
        assert!(parse(r#"{"stream_options":{"include_usage":true}}"#).stream_usage().unwrap());
        assert!(!parse(r#"{"stream_options":{"include_usage":null}}"#).stream_usage().unwrap());
        assert!(!parse(r#"{"stream_options":5}"#).stream_usage().unwrap());
        let twice = r#"{"stream_options":{"include_usage":true,"include\u005fusage":false}}"#;
        assert_eq!(parse(twice).stream_usage().unwrap_err().kind(), Kind::InvalidJson);
        assert_eq!(parse(r#"{"user":"u"}"#).string("user").unwrap().text(), "u");
    }
}
