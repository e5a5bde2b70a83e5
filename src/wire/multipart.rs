//! Forms with files (`multipart/form-data`, RFC 7578): finds the small fields that decide where a
//! request goes, and puts another model's name in its place. Files stay the bytes they were.
//!
//! Strict, because the provider reads the form again: what two readers could take differently (a
//! boundary inside a part, a field that comes twice, a name in a spelling of its own) is refused, so
//! that no model is asked for that the caller's list was not held against.

use std::ops::Range;

use memchr::memmem;

use super::envelope::amount;
use crate::error::{Error, Kind, Result};

/// No form of these APIs has so many.
const MAX_PARTS: usize = 256;
/// Longer values are files, not words.
const MAX_WORD_BYTES: usize = 1024;

/// What of a form decides where it goes, and how much is reserved for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// Where the value of `model` stands.
    model: Option<Range<usize>>,
    stream: Option<Range<usize>>,
    n: Option<Range<usize>>,
}

/// The boundary that a content type names; `None` where it is another type.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named =
        |parameter: &'_ str| parameter.split_once('=').is_some_and(|(n, _)| n.trim().eq_ignore_ascii_case("boundary"));
    let mut found = parameters.split(';').filter(|parameter| named(parameter));
    let (_, value) = found.next()?.split_once('=')?;
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&c);
    let good = (1..=70).contains(&value.len()) && value.bytes().all(is_plain) && !value.ends_with(' ');
    (good && found.next().is_none()).then_some(value)
}

impl Form {
    /// Reads the form once. Fails with `InvalidRequest` where it is none, or could be read two ways.
    pub fn parse(body: &[u8], boundary: &str) -> Result<Self> {
        let mark = format!("--{boundary}");
        let mut form = Self::default();
        let mut places = memmem::find_iter(body, mark.as_bytes()).peekable();
        if places.peek() != Some(&0) {
            return Err(broken("it does not begin with its boundary"));
        }
        let mut count = 0;
        while let Some(at) = places.next() {
            let behind = at + mark.len();
            let rest = body.get(behind..).unwrap_or_default();
            if rest.starts_with(b"--") {
                let after = rest.get(2..).unwrap_or_default();
                return if after.trim_ascii().is_empty() { Ok(form) } else { Err(broken("something follows its end")) };
            }
            let next = *places.peek().ok_or_else(|| broken("its end is missing"))?;
            // The line end before a boundary belongs to the boundary.
            let part = next.checked_sub(2).and_then(|end| body.get(behind..end));
            let ends_line = next.checked_sub(2).and_then(|end| body.get(end..next)) == Some(b"\r\n");
            let part = part.filter(|part| ends_line && part.starts_with(b"\r\n"));
            form.part(body, behind + 2, part.ok_or_else(|| broken("a boundary stands inside a part"))?)?;
            count += 1;
            if count > MAX_PARTS {
                return Err(broken("it has too many parts"));
            }
        }
        Err(broken("its end is missing"))
    }

    /// `part` begins with the line end behind the boundary, `start` stands behind that.
    fn part(&mut self, body: &[u8], start: usize, part: &[u8]) -> Result<()> {
        let part = part.get(2..).unwrap_or_default();
        let head_end = memmem::find(part, b"\r\n\r\n").ok_or_else(|| broken("a part has no head"))?;
        let head = std::str::from_utf8(part.get(..head_end).unwrap_or_default());
        let head = head.map_err(|_| broken("the head of a part is not UTF-8"))?;
        let slot = match field_name(head)? {
            "model" => &mut self.model,
            "stream" => &mut self.stream,
            "n" => &mut self.n,
            _ => return Ok(()),
        };
        let value = start + head_end + 4..start + part.len();
        let is_word =
            value.len() <= MAX_WORD_BYTES && body.get(value.clone()).is_some_and(|v| std::str::from_utf8(v).is_ok());
        if !is_word || slot.replace(value).is_some() {
            return Err(broken("`model`, `stream` and `n` are short texts that come once"));
        }
        Ok(())
    }

    /// The model asked for.
    pub fn model<'b>(&self, body: &'b [u8]) -> Option<&'b str> {
        word(body, self.model.as_ref())
    }

    pub fn stream(&self, body: &[u8]) -> bool {
        word(body, self.stream.as_ref()).is_some_and(|word| matches!(word, "true" | "True" | "1"))
    }

    /// How many answers are wanted, one where it says nothing that can be read.
    pub fn count(&self, body: &[u8]) -> u64 {
        word(body, self.n.as_ref()).and_then(amount).unwrap_or(1).max(1)
    }

    /// The form with another model.
    pub fn with_model(&self, body: &[u8], model: &str) -> Vec<u8> {
        let Some(place) = &self.model else { return body.to_vec() };
        let before = body.get(..place.start).unwrap_or_default();
        let behind = body.get(place.end..).unwrap_or_default();
        [before, model.as_bytes(), behind].concat()
    }
}

fn word<'b>(body: &'b [u8], place: Option<&Range<usize>>) -> Option<&'b str> {
    let text = std::str::from_utf8(body.get(place?.clone())?).ok()?;
    Some(text).filter(|text| !text.is_empty())
}

/// The name in a part's head, in the one spelling that every reader takes alike.
fn field_name(head: &str) -> Result<&str> {
    let odd = || broken("the head of a part is not `Content-Disposition: form-data; name=\"...\"`");
    let is_disposition =
        |line: &&str| line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("content-disposition"));
    let mut lines = head.split("\r\n").filter(is_disposition);
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(odd()) };
    let folded = head.split("\r\n").any(|line| line.starts_with([' ', '\t']) || line.contains(['\r', '\n', '\0']));
    let (_, value) = line.split_once(':').ok_or_else(odd)?;
    let rest =
        value.trim().strip_prefix("form-data").and_then(|rest| rest.trim_start().strip_prefix(';')).ok_or_else(odd)?;
    let rest = rest.trim_start().strip_prefix("name=\"").filter(|_| !folded).ok_or_else(odd)?;
    let (name, rest) = rest.split_once('"').ok_or_else(odd)?;
    // A second name, in whatever spelling, could be the one that is read upstream.
    let again = rest.to_ascii_lowercase();
    let again = again.split(';').any(|parameter| parameter.trim_start().starts_with("name"));
    if name.contains(['\\', '%']) || again { Err(odd()) } else { Ok(name) }
}

fn broken(why: &'static str) -> Error {
    Error::new(Kind::InvalidRequest, format!("the multipart form could not be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> String {
        let mut body = String::new();
        for (head, value) in fields {
            body += &format!("--XX\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
        }
        body + "--XX--\r\n"
    }

    #[test]
    fn the_model_is_found_and_replaced_wherever_it_stands() {
        let body = form(&[
            ("name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg", "\u{1}\r\n--X\r\nmodel"),
            ("name=\"model\"", "openai/whisper-1"),
            ("name=\"stream\"", "true"),
        ]);
        let it = Form::parse(body.as_bytes(), "XX").unwrap();
        assert_eq!((it.model(body.as_bytes()), it.stream(body.as_bytes())), (Some("openai/whisper-1"), true));
        let with = String::from_utf8(it.with_model(body.as_bytes(), "whisper-1")).unwrap();
        assert_eq!(with, body.replace("openai/whisper-1", "whisper-1"));
        assert_eq!(Form::parse(with.as_bytes(), "XX").unwrap().model(with.as_bytes()), Some("whisper-1"));
        let none = form(&[("name=\"file\"; filename=\"a\"", "x")]);
        let it = Form::parse(none.as_bytes(), "XX").unwrap();
        assert_eq!((it.model(none.as_bytes()), it.with_model(none.as_bytes(), "m")), (None, none.clone().into_bytes()));
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        let long = "x".repeat(2000);
        let bad = [
            form(&[("name=\"model\"", "a"), ("name=\"model\"", "b")]),
            form(&[("name=model", "a")]),
            form(&[("name*=utf-8''model", "a")]),
            form(&[("name=\"x\"; name=\"model\"", "a")]),
            form(&[("name=\"x\"; name*=utf-8''model", "a")]),
            form(&[("name=\"mod\\el\"", "a")]),
            form(&[("filename=\"a\"; name=\"model\"", "a")]),
            form(&[("name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"", "a")]),
            form(&[("name=\"x\";\r\n name=\"model\"", "a")]),
            form(&[("name=\"file\"", "a\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nb")]),
            form(&[("name=\"file\"", "a--XX")]),
            form(&[("name=\"model\"", &long)]),
            format!("preamble\r\n{}", form(&[("name=\"model\"", "a")])),
            format!("{}more", form(&[("name=\"model\"", "a")])),
            form(&[("name=\"model\"", "a")]).replace("--XX--\r\n", ""),
            form(&[("name=\"model\"", "a")]).replace("\r\n", "\n"),
            String::new(),
            "--XX".to_owned(),
        ];
        for body in bad {
            let error = Form::parse(body.as_bytes(), "XX").unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidRequest, "{body:?}");
        }
        assert!(Form::parse(b"--XX--", "XX").is_ok());
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them() {
        let found = |content_type| boundary(content_type);
        assert_eq!(found("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(found("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b\""), Some("a b"));
        for other in [
            "application/json",
            "multipart/mixed; boundary=a",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=a\u{e9}",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_makes_it_panic() {
        let body = form(&[("name=\"model\"", "a"), ("name=\"file\"; filename=\"f\"", "data")]);
        for cut in 0..body.len() {
            let _ = Form::parse(&body.as_bytes()[..cut], "XX");
            let _ = Form::parse(&body.as_bytes()[cut..], "XX");
        }
    }
}
