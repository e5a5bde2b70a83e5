//! Text without what must not be kept: credentials that are known, what looks like one, and patterns.

use std::ops::Range;

use memchr::memmem;

use crate::config::capture::Pattern;
use crate::secret::Secret;

const REDACTED: &str = "[redacted]";
/// A shorter text is found everywhere.
const SHORTEST_SECRET_BYTES: usize = 6;
const SHORTEST_KEY_BYTES: usize = 20;
const SHORTEST_BEARER_BYTES: usize = 8;
/// What vendors' keys begin with, ours too.
const KEYS: [&str; 22] = [
    "sk-",
    "sk_",
    "rk_",
    "pk_",
    "weir_",
    "AIza",
    "ya29.",
    "AKIA",
    "ASIA",
    "ABSK",
    "gsk_",
    "xai-",
    "pplx-",
    "nvapi-",
    "hf_",
    "r8_",
    "ghp_",
    "ghs_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xox",
];
/// State of a conversation under our own seal, plain and in base64: whoever has the tenant's key could send it
/// again.
const SEALS: [&str; 2] = ["weirseal1-", "d2VpcnNlYWwx"];
const TOKEN: &str = "eyJ";
const SHORTEST_TOKEN_BYTES: usize = 40;

type Found = (Range<usize>, &'static str);

/// The same text, with a word in place of each thing that was found.
pub(super) fn scrub(text: &str, patterns: &[Pattern], secrets: &[Secret]) -> String {
    let mut found = Vec::new();
    for secret in secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SHORTEST_SECRET_BYTES) {
        found.extend(memmem::find_iter(text.as_bytes(), secret).map(|at| (at..at + secret.len(), REDACTED)));
    }
    keys(text, &mut found);
    private_keys(text, &mut found);
    for pattern in patterns {
        match pattern {
            Pattern::Emails => emails(text, &mut found),
            Pattern::Cards => cards(text, &mut found),
            Pattern::Phones => phones(text, &mut found),
        }
    }
    found.sort_by_key(|(place, _)| place.start);
    replaced(text, &found)
}

/// With these words in place of what stands there; where two overlap, the first one's.
pub(super) fn replaced(text: &str, found: &[Found]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (place, word) in found {
        if let Some(between) = text.get(from..place.start) {
            out.push_str(between);
            out.push_str(word);
        }
        from = from.max(place.end);
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

/// Runs of bytes of which this holds.
fn runs(text: &str, holds: impl Fn(u8) -> bool) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + bytes.get(from..)?.iter().position(|byte| holds(*byte))?;
        let rest = bytes.get(start..)?;
        let length = rest.iter().position(|byte| !holds(*byte)).unwrap_or(rest.len());
        from = start + length;
        Some(start..from)
    })
}

/// Where a run of letters begins that may be the end of an escape: `\nsk-`.
fn behind_escape(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let is_escaped = start.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\\');
    match bytes.get(start) {
        Some(b'u') if is_escaped => start + 5,
        Some(_) if is_escaped => start + 1,
        _ => start,
    }
}

fn keys(text: &str, found: &mut Vec<Found>) {
    let mut before = "";
    for place in runs(text, is_word) {
        let Some(word) = text.get(place.clone()) else { continue };
        let start = behind_escape(text, place.start);
        let behind = text.get(start..place.end).unwrap_or_default();
        let is_bearer = before.eq_ignore_ascii_case("bearer") && word.len() >= SHORTEST_BEARER_BYTES;
        if let Some(at) = SEALS.iter().find_map(|seal| Some(word.find(seal)? + seal.len())) {
            found.push((place.start + at..place.end, "[sealed]"));
        } else if is_key(behind) {
            found.push((start..place.end, REDACTED));
        } else if is_bearer || is_key(word) {
            found.push((place, REDACTED));
        }
        before = behind;
    }
}

fn is_key(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    let is_token = word.starts_with(TOKEN) && word.len() >= SHORTEST_TOKEN_BYTES && word.matches('.').count() >= 2;
    let is_vendors = word.len() >= SHORTEST_KEY_BYTES && KEYS.iter().any(|key| word.starts_with(key));
    is_token || is_vendors && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

/// As PEM has them.
fn private_keys(text: &str, found: &mut Vec<Found>) {
    const END: &str = "-----END ";
    for (at, _) in text.match_indices("PRIVATE KEY-----") {
        let from = at + "PRIVATE KEY-----".len();
        let is_end = text.get(..at).is_some_and(|before| before.rfind("-----BEGIN ") < before.rfind(END));
        if !is_end {
            let length = text.get(from..).and_then(|rest| rest.find(END));
            found.push((from..length.map_or(text.len(), |length| from + length), REDACTED));
        }
    }
}

fn emails(text: &str, found: &mut Vec<Found>) {
    let is_local = |byte: u8| is_word(byte) || b"+%".contains(&byte);
    for (at, _) in text.match_indices('@') {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        let length = before.iter().rev().take_while(|byte| is_local(**byte)).count();
        let start = behind_escape(text, at - length);
        let behind = text.as_bytes().get(at + 1..).unwrap_or_default();
        let is_host = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
        let end = at + 1 + behind.iter().take_while(is_host).count();
        let host = text.get(at + 1..end).unwrap_or_default().trim_end_matches(['.', '-']);
        let has_top = host.rsplit_once('.').is_some_and(|(name, top)| !name.is_empty() && top.len() >= 2);
        if start < at && has_top {
            found.push((start..at + 1 + host.len(), "[email]"));
        }
    }
}

/// A run of digits, which may stand in groups, from its first to its last.
fn digits(text: &str, separators: &'static [u8]) -> impl Iterator<Item = (Range<usize>, Vec<u8>)> {
    runs(text, move |byte| byte.is_ascii_digit() || separators.contains(&byte)).filter_map(move |place| {
        let run = text.as_bytes().get(place.clone())?;
        let first = run.iter().position(u8::is_ascii_digit)?;
        let last = run.iter().rposition(u8::is_ascii_digit)?;
        let digits = run.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
        Some((place.start + first..place.start + last + 1, digits))
    })
}

fn cards(text: &str, found: &mut Vec<Found>) {
    for (place, digits) in digits(text, b" -") {
        let is_long = (13..=19).contains(&digits.len());
        if is_long && digits.first().is_some_and(|first| (2..=6).contains(first)) && has_check_digit(&digits) {
            found.push((place, "[card]"));
        }
    }
}

/// Luhn's.
fn has_check_digit(digits: &[u8]) -> bool {
    let doubled = |(at, digit): (usize, &u8)| match (at % 2, u32::from(*digit) * 2) {
        (0, _) => u32::from(*digit),
        (_, twice) => twice / 10 + twice % 10,
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

fn phones(text: &str, found: &mut Vec<Found>) {
    for (place, digits) in digits(text, b" -().") {
        let plus = place.start.checked_sub(1).filter(|before| text.as_bytes().get(*before) == Some(&b'+'));
        if let Some(plus) = plus.filter(|_| (8..=15).contains(&digits.len())) {
            found.push((plus..place.end, "[phone]"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        scrub(text, &[Pattern::Emails, Pattern::Cards, Pattern::Phones], &[Secret::new("wk-known-1"), Secret::new("x")])
    }

    #[test]
    fn credentials_go_whoever_wrote_them_there() {
        for (text, expected) in [
            ("key wk-known-1, again wk-known-1x", "key [redacted], again [redacted]x"),
            (r#"{"a":"x\nsk-proj-abcdefgh12345678"}"#, r#"{"a":"x\n[redacted]"}"#),
            (r#"{"a":"\u0041sk-proj-abcdefgh12345678"}"#, r#"{"a":"\u0041[redacted]"}"#),
            (r#""c:\\sk-proj-abcdefgh12345678""#, r#""c:\\[redacted]""#),
            ("Authorization: Bearer abcd1234", "Authorization: Bearer [redacted]"),
            ("weir_abcdefgh_0123456789012345", "[redacted]"),
            ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EifQ.c2ln", "[redacted]"),
            ("call_1-weirseal1-QUJD-x", "call_1-weirseal1-[sealed]"),
            ("\"d2VpcnNlYWwxLVFVSkQ\"", "\"d2VpcnNlYWwx[sealed]\""),
            (
                "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY----- after",
                "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY----- after",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", "-----BEGIN PRIVATE KEY-----[redacted]"),
        ] {
            assert_eq!(clean(text), expected);
        }
        for text in ["task-force-of-the-long-name", "sk-learn", "a bearer of news", "eyJhbGciOi", "x", "grüße"] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn patterns_are_found_where_they_are_wanted() {
        for (text, expected) in [
            (r"to a.b+c@example.co.uk.", "to [email]."),
            (r#""x\nbob@example.com""#, r#""x\n[email]""#),
            ("pay 4111 1111-1111 1111 now", "pay [card] now"),
            ("5555555555554444", "[card]"),
            ("call +49 (30) 123-4567, or", "call [phone], or"),
        ] {
            assert_eq!(clean(text), expected);
            assert_eq!(scrub(text, &[], &[]), text, "nobody asked for it");
        }
        for text in ["a@b", "@example.com", "4111 1111 1111 1112", "1700000000", "+1", "12345678901234567890123"] {
            assert_eq!(clean(text), text);
        }
    }
}
