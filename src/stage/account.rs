//! What a request used and cost, and its one row.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem;

use crate::secret::Secret;
use crate::wire::json::Str;
use crate::wire::scan::{self, Escapes, Tally};
use crate::wire::wait;

/// Seconds (or a fraction of one) or a date in `retry-after`, or milliseconds in `retry-after-ms`, which
/// wins. Absurd values are cut to a day; what is no number and no date is no advice.
pub fn retry_after(plain: Option<&HeaderValue>, ms: Option<&HeaderValue>, now: SystemTime) -> Option<Duration> {
    let text = |v: Option<&HeaderValue>| v.and_then(|v| v.to_str().ok()).map(|v| v.trim().to_owned());
    let by_ms = text(ms).and_then(|v| v.parse::<u64>().ok()).map(Duration::from_millis);
    let by_text = || {
        let plain = text(plain)?;
        let date = || httpdate::parse_http_date(&plain).ok().map(|at| at.duration_since(now).unwrap_or_default());
        wait::seconds(&plain).or_else(date)
    };
    by_ms.or_else(by_text).map(|after| after.min(wait::LONGEST))
}

/// Providers have been seen to repeat the credential in their errors, also with JSON's escapes in it.
pub fn redact<'t>(text: &'t str, secrets: &[Secret]) -> Cow<'t, str> {
    let clean = without(text, secrets);
    if !clean.contains('\\') {
        return clean;
    }
    let mut spelled = Spelled { secrets, found: Vec::new() };
    // What is no JSON has no escapes that a client would undo.
    let _ = scan::value(scan::blank(clean.as_bytes()), b"", 0, &mut spelled);
    spelled.found.iter().fold(clean, |clean, (literal, with)| Cow::Owned(clean.replace(literal, with)))
}

/// The same of a good answer that came whole, whose escapes are many and are left alone.
pub fn redact_answer(answer: &[u8], mut secrets: Vec<Secret>) -> Bytes {
    secrets.retain(|secret| is_in_answer(secret, answer));
    Bytes::from(without(&String::from_utf8_lossy(answer), &secrets).into_owned())
}

/// Whether a good answer says a secret.
pub fn is_in_answer(secret: &Secret, answer: &[u8]) -> bool {
    let secret = secret.expose().as_bytes();
    secret.len() >= LEAST_BYTES_IN_ANSWERS && memmem::find(answer, secret).is_some()
}

/// What servers of one's own have for a key (`ollama`) is a word that a good answer may say.
const LEAST_BYTES_IN_ANSWERS: usize = 16;

fn without<'t>(text: &'t str, secrets: &[Secret]) -> Cow<'t, str> {
    let mut clean = Cow::Borrowed(text);
    for secret in secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= 4) {
        if clean.contains(secret) {
            clean = Cow::Owned(clean.replace(secret, "[redacted]"));
        }
    }
    clean
}

/// Literals that say a secret once their escapes are undone, and what stands for them.
struct Spelled<'s> {
    secrets: &'s [Secret],
    found: Vec<(String, String)>,
}

impl Spelled<'_> {
    fn look(&mut self, escaped: &[u8]) {
        let Ok(escaped) = std::str::from_utf8(escaped) else { return };
        let literal = Str::from_escaped(escaped);
        if let Cow::Owned(clean) = without(&literal.text(), self.secrets) {
            self.found.push((literal.raw().to_owned(), Str::from_text(&clean).raw().to_owned()));
        }
    }
}

impl Tally for Spelled<'_> {
    fn text(&mut self, _: &[u8], escaped: &[u8], escapes: Escapes) {
        if escapes.any() {
            self.look(escaped);
        }
    }

    fn name(&mut self, escaped: &[u8]) {
        if escaped.contains(&b'\\') {
            self.look(escaped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_read_in_every_form_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |plain: &'static str| retry_after(Some(&HeaderValue::from_static(plain)), None, now);
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(after("Mon, 12 Jan 1970 13:46:50 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(after("1000000000"), Some(Duration::from_secs(86_400)));
        assert_eq!((after("-3"), after("NaN"), after("")), (None, None, None));
        let ms = HeaderValue::from_static("250");
        assert_eq!(retry_after(Some(&HeaderValue::from_static("7")), Some(&ms), now), Some(Duration::from_millis(250)));
    }

    #[test]
    fn an_echoed_credential_is_taken_out() {
        let secrets = [Secret::new("sk-secret"), Secret::new("token")];
        assert_eq!(redact("key sk-secret is wrong, token too", &secrets), "key [redacted] is wrong, [redacted] too");
        assert_eq!(redact("nothing here", &secrets), "nothing here");
    }

    #[test]
    fn an_echoed_credential_is_known_in_any_spelling() {
        let secrets = [Secret::new("sk/secret+1")];
        for spelled in ["sk/secret+1", r"sk\/secret+1", r"sk\u002Fsecret\u002b1", r"\u0073k\/secret+1"] {
            let said = |text: &str| format!(r#"{{"error":{{"message":"no {text}\n","n":1,"{text}":["é\u00e9"]}}}}"#);
            assert_eq!(redact(&said(spelled), &secrets), said("[redacted]"), "{spelled}");
        }
        let other = r#"{"error":{"message":"no sk\/other\n"}}"#;
        assert_eq!(redact(other, &secrets), other);
        assert_eq!(redact(r"\ sk/secret+1", &secrets), r"\ [redacted]");
    }

    #[test]
    fn a_good_answer_loses_credentials_and_no_words() {
        let clean = |answer: &'static str| {
            redact_answer(answer.as_bytes(), vec![Secret::new("ollama"), Secret::new("sk-secret-of-ours-1")])
        };
        assert_eq!(clean(r#"{"a":"sk-secret-of-ours-1 of ollama"}"#), r#"{"a":"[redacted] of ollama"}"#);
        assert_eq!(clean(r#"{"a":"sk-secret"}"#), r#"{"a":"sk-secret"}"#);
    }
}
