//! A captured body as it may be kept: without what rules leave out, and no longer than it should be.
//!
//! What a rule for members cannot be applied to (it is no JSON, or cut off, or too long) is left out as a
//! whole: the rule would not have held. A value that a rule leaves out in one place is taken out wherever it
//! comes again ([`values`]): translation puts it into another member.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::scrub::{replaced, scrub};
use crate::config::capture::{Pattern, Redact, Step};
use crate::secret::Secret;
use crate::wire::json::Name;
use crate::wire::scan;

/// What of a body is kept.
pub(super) const MOST_BODY_BYTES: usize = 1 << 20;
/// A longer body is not looked through for members.
const MOST_READ_BYTES: usize = 8 << 20;
/// Credentials are shorter: one that the end of a body cuts in two is dropped with what is before it.
const TAIL_BYTES: usize = 4 << 10;
/// Deeper values are left out where a rule looks for members.
const DEEPEST: usize = 100;
/// Texts that are looked for elsewhere too; a shorter one is found everywhere.
const MOST_VALUES: usize = 256;
const SHORTEST_VALUE_BYTES: usize = 6;
const REDACTED: &str = "\"[redacted]\"";

/// A body as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Text(String),
    Base64(String),
    /// Why it is not there.
    LeftOut(&'static str),
}

/// What is left out of every body of an exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'r> {
    pub(super) rules: &'r [Redact],
    pub(super) secrets: &'r [Secret],
}

/// The texts that rules for members leave out of this body.
pub(super) fn values(body: &[u8], content_type: &str, rules: &[Redact]) -> Vec<String> {
    let members: Vec<&[Step]> = rules.iter().filter_map(member).collect();
    let mut values = Vec::new();
    if let (false, Ok(text)) = (members.is_empty() || body.len() > MOST_READ_BYTES, std::str::from_utf8(body)) {
        let _ = without(text, content_type, &members, &mut values);
    }
    values
}

/// The body, and whether its end is missing. `is_cut`: it is longer than what is here.
pub(super) fn show(body: &[u8], is_cut: bool, content_type: &str, rules: Rules<'_>) -> (Shown, bool) {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // The cut may have met the middle of a character.
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(body.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return binary(body, is_cut, rules),
    };
    let members: Vec<&[Step]> = rules.rules.iter().filter_map(member).collect();
    let text = match members.is_empty() || text.is_empty() {
        true => text.to_owned(),
        false if text.len() > MOST_READ_BYTES => return (Shown::LeftOut("too long to be looked through"), is_cut),
        false => match without(text, content_type, &members, &mut Vec::new()) {
            Some(text) => text,
            None => return (Shown::LeftOut("no whole JSON: rules for members cannot be applied"), is_cut),
        },
    };
    let patterns: Vec<Pattern> = rules.rules.iter().filter_map(pattern).collect();
    let (text, was_cut) = cut(&text, MOST_BODY_BYTES);
    let mut clean = scrub(text, &patterns, rules.secrets);
    let is_cut = is_cut || was_cut;
    if is_cut {
        clean.truncate(cut(&clean, clean.len().saturating_sub(TAIL_BYTES)).0.len());
    }
    (Shown::Text(clean), is_cut)
}

fn member(rule: &Redact) -> Option<&[Step]> {
    if let Redact::Member(steps) = rule { Some(steps) } else { None }
}

fn pattern(rule: &Redact) -> Option<Pattern> {
    if let Redact::Pattern(pattern) = rule { Some(*pattern) } else { None }
}

fn cut(text: &str, most: usize) -> (&str, bool) {
    let end = text.floor_char_boundary(most);
    (text.get(..end).unwrap_or_default(), end < text.len())
}

/// A sound, an image, frames of a binary stream: kept as it is where nobody wants anything left out.
fn binary(body: &[u8], is_cut: bool, rules: Rules<'_>) -> (Shown, bool) {
    let holds = |secret: &Secret| memchr::memmem::find(body, secret.expose().as_bytes()).is_some();
    if !rules.rules.is_empty() {
        return (Shown::LeftOut("no text: rules cannot be applied"), is_cut);
    }
    if rules.secrets.iter().any(holds) {
        return (Shown::LeftOut("there is a credential in it"), is_cut);
    }
    let most = body.len().min(MOST_BODY_BYTES);
    let most = if is_cut || most < body.len() { most.saturating_sub(TAIL_BYTES) } else { most };
    let kept = body.get(..most).unwrap_or_default();
    (Shown::Base64(STANDARD.encode(kept)), is_cut || most < body.len())
}

/// JSON, events with JSON in them, or lines of JSON, without those members. `None`: it is none of these.
fn without(text: &str, content_type: &str, rules: &[&[Step]], values: &mut Vec<String>) -> Option<String> {
    if !content_type.starts_with("text/event-stream")
        && let Some(text) = in_json(text, rules, values)
    {
        return Some(text);
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let (name, data) = match content.split_once(':') {
            Some((name @ ("data" | "event" | "id" | "retry"), data)) => (name, data.trim_start()),
            // A comment may say anything.
            Some(("", _)) => ("", ""),
            _ if content.is_empty() => ("", ""),
            _ if content_type.starts_with("text/event-stream") => return None,
            _ => ("", content),
        };
        if !name.is_empty() {
            out.push_str(name);
            out.push_str(": ");
        }
        match name {
            "event" | "id" | "retry" => out.push_str(data),
            _ if data.is_empty() || data == "[DONE]" => out.push_str(data),
            _ => match in_json(data, rules, values) {
                Some(clean) => out.push_str(&clean),
                // The end of a stream that was cut off.
                None if name == "data" => out.push_str("[left out]"),
                None => return None,
            },
        }
        out.push_str(line.get(content.len()..).unwrap_or_default());
    }
    Some(out)
}

/// `None`: it is no JSON. What is left out goes to `values`.
fn in_json(text: &str, rules: &[&[Step]], values: &mut Vec<String>) -> Option<String> {
    let value = serde_json::from_str::<&RawValue>(text).ok()?;
    let mut found = Vec::new();
    let mut looking = Looking { text, found: &mut found, values };
    looking.look(value, &closed(rules.to_vec()), 0)?;
    found.sort_by_key(|(place, _)| place.start);
    Some(replaced(text, &found))
}

/// The same ways, and what follows where `**` stands for nothing.
fn closed(ways: Vec<&[Step]>) -> Vec<&[Step]> {
    let mut all = Vec::with_capacity(ways.len());
    for mut way in ways {
        all.push(way);
        while let [Step::Deep, rest @ ..] = way {
            way = rest;
            all.push(way);
        }
    }
    all
}

struct Looking<'t> {
    text: &'t str,
    found: &'t mut Vec<(Range<usize>, &'static str)>,
    values: &'t mut Vec<String>,
}

/// The texts of a value, as they are written.
struct Texts<'v>(&'v mut Vec<String>);

impl scan::Tally for Texts<'_> {
    fn text(&mut self, _: &[u8], escaped: &[u8], _: scan::Escapes) {
        if self.0.len() < MOST_VALUES && escaped.len() >= SHORTEST_VALUE_BYTES {
            self.0.extend(std::str::from_utf8(escaped).map(str::to_owned));
        }
    }

    fn name(&mut self, _: &[u8]) {}
}

impl<'t> Looking<'t> {
    /// `ways`: what of the rules is still ahead. `None`: it is no JSON after all.
    fn look(&mut self, value: &'t RawValue, ways: &[&[Step]], depth: usize) -> Option<()> {
        if ways.is_empty() {
            return Some(());
        }
        if depth >= DEEPEST {
            return self.leave_out(value);
        }
        match value.get().as_bytes().first()? {
            b'{' => {
                for (name, member) in serde_json::from_str::<Members<'t>>(value.get()).ok()?.0 {
                    self.go(member, ways, &name, depth)?;
                }
            }
            b'[' => {
                for (at, element) in serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.into_iter().enumerate() {
                    self.go(element, ways, &at.to_string(), depth)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn go(&mut self, value: &'t RawValue, ways: &[&[Step]], name: &str, depth: usize) -> Option<()> {
        let ahead = |way: &&'_ [Step]| match way {
            [Step::Deep, ..] => Some(0),
            [Step::Any, ..] => Some(1),
            [Step::Name(wanted), ..] if wanted == name => Some(1),
            _ => None,
        };
        let next: Vec<&[Step]> = ways.iter().filter_map(|way| way.get(ahead(way)?..)).collect();
        match next.iter().any(|way| way.is_empty()) {
            true => self.leave_out(value),
            false => self.look(value, &closed(next), depth + 1),
        }
    }

    fn leave_out(&mut self, value: &RawValue) -> Option<()> {
        let place = scan::span(self.text.as_bytes(), value.get().as_bytes())?;
        let _ = scan::value(value.get().as_bytes(), b"", 0, &mut Texts(self.values));
        self.found.push((place, REDACTED));
        Some(())
    }
}

/// Of an object, each as often as it is there.
struct Members<'a>(Vec<(std::borrow::Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    all.push((name, value));
                }
                Ok(Members(all))
            }
        }
        d.deserialize_map(V)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSE: &str = "text/event-stream";

    fn rules(texts: &[&str]) -> Vec<Redact> {
        texts.iter().map(|text| Redact::parse(text).unwrap()).collect()
    }

    fn shown(body: &str, content_type: &str, texts: &[&str]) -> Shown {
        show(body.as_bytes(), false, content_type, Rules { rules: &rules(texts), secrets: &[] }).0
    }

    fn json(body: &str, texts: &[&str]) -> String {
        match shown(body, "application/json", texts) {
            Shown::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_are_left_out_wherever_a_rule_leads() {
        let body = r#"{"a": {"b": [1, {"c":"x"}, {"c":{"c":2}}], "c":null}, "c": 3 , "\u0063":4, "d":"c"}"#;
        for (rule, expected) in [
            ("/a/b/1", r#"{"a": {"b": [1, "[redacted]", {"c":{"c":2}}], "c":null}, "c": 3 , "\u0063":4, "d":"c"}"#),
            (
                "/c",
                r#"{"a": {"b": [1, {"c":"x"}, {"c":{"c":2}}], "c":null}, "c": "[redacted]" , "\u0063":"[redacted]", "d":"c"}"#,
            ),
            (
                "/a/b/*/c",
                r#"{"a": {"b": [1, {"c":"[redacted]"}, {"c":"[redacted]"}], "c":null}, "c": 3 , "\u0063":4, "d":"c"}"#,
            ),
            (
                "/a/**/c",
                r#"{"a": {"b": [1, {"c":"[redacted]"}, {"c":"[redacted]"}], "c":"[redacted]"}, "c": 3 , "\u0063":4, "d":"c"}"#,
            ),
            (
                "/**/c",
                r#"{"a": {"b": [1, {"c":"[redacted]"}, {"c":"[redacted]"}], "c":"[redacted]"}, "c": "[redacted]" , "\u0063":"[redacted]", "d":"c"}"#,
            ),
            ("/x/y", body),
        ] {
            assert_eq!(json(body, &[rule]), expected, "{rule}");
        }
        assert_eq!(json(body, &[]), body);
        assert_eq!(json("[{\"c\":1}]", &["/*/c", "emails"]), r#"[{"c":"[redacted]"}]"#);
    }

    #[test]
    fn the_texts_that_are_left_out_are_told() {
        let body =
            r#"{"a": {"long enough": ["so\nlong", 7, "short", {"c": "another"}]}, "user": "private", "b": "public"}"#;
        let rules = rules(&["/a", "/user", "emails"]);
        assert_eq!(values(body.as_bytes(), "", &rules), ["so\\nlong", "another", "private"]);
        assert_eq!(values(b"no JSON", "", &rules), [""; 0]);
    }

    #[test]
    fn events_and_lines_are_json_each() {
        let stream = "event: a\ndata: {\"t\":\"x\"}\n\n: secret\nid: 7\ndata: [DONE]\n\ndata: {\"t\":";
        let expected = "event: a\ndata: {\"t\":\"[redacted]\"}\n\n\nid: 7\ndata: [DONE]\n\ndata: [left out]";
        assert_eq!(shown(stream, SSE, &["/t"]), Shown::Text(expected.into()));
        let lines = "{\"t\":1}\n{\"t\":2,\"u\":3}\n";
        let expected = "{\"t\":\"[redacted]\"}\n{\"t\":\"[redacted]\",\"u\":3}\n";
        assert_eq!(shown(lines, "application/jsonl", &["/t"]), Shown::Text(expected.into()));
    }

    #[test]
    fn what_a_rule_cannot_be_applied_to_is_left_out() {
        let left_out = |shown: Shown| matches!(shown, Shown::LeftOut(_));
        assert!(left_out(shown("{\"t\":", "application/json", &["/t"])));
        assert!(left_out(shown("some text", "text/plain", &["/t"])));
        assert!(left_out(shown("t\ndata: {}\n", SSE, &["/t"])));
        let of = |body: &[u8], rules: &[Redact], secrets: &[Secret]| show(body, false, "", Rules { rules, secrets }).0;
        assert!(left_out(of(b"\xff\xfe", &rules(&["emails"]), &[])));
        assert!(left_out(of(b"\xffsecret", &[], &[Secret::new("secret")])));
        assert_eq!(of(b"\xff\xfe", &[], &[]), Shown::Base64("//4=".into()));
        assert_eq!(shown("some text of a@example.com", "", &["emails"]), Shown::Text("some text of [email]".into()));
        let deep = format!("{}\"secret\"{}", "[".repeat(110), "]".repeat(110));
        assert!(!json(&deep, &["/**/x"]).contains("secret"));
    }

    #[test]
    fn long_bodies_are_cut_and_no_credential_with_them() {
        let secret = Secret::new("credential-0123456789");
        // The cut goes through the middle of it.
        let body = format!("{}{}", "é".repeat((MOST_BODY_BYTES - 10) / 2), secret.expose());
        for (body, is_cut) in [(body.as_str(), false), (body.get(..MOST_BODY_BYTES).unwrap(), true)] {
            let (shown, cut) =
                show(body.as_bytes(), is_cut, "", Rules { rules: &[], secrets: std::slice::from_ref(&secret) });
            let Shown::Text(text) = shown else { panic!("{shown:?}") };
            assert!(cut && text.len() > MOST_BODY_BYTES - 2 * TAIL_BYTES && !text.contains("cred"));
        }
    }
}
