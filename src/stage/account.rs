//! What a request used and cost, and its one row.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem;

use crate::secret::Secret;
use crate::wire::json::Str;
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

/// Providers have been seen to repeat the credential in their errors, also with JSON's escapes in it. The text may be
/// JSON, events with JSON in them, a part of either, or anything else.
pub fn redact<'t>(text: &'t str, secrets: &[Secret]) -> Cow<'t, str> {
    let clean = without(text, secrets);
    match spelled_out(&clean, secrets) {
        Some(clean) => Cow::Owned(clean),
        None => clean,
    }
}

/// The same of a good answer that came whole.
pub fn redact_answer(answer: &Bytes, secrets: Vec<Secret>) -> Bytes {
    let secrets = unmistakable(secrets);
    match redact(&String::from_utf8_lossy(answer), &secrets) {
        Cow::Owned(clean) if *clean.as_bytes() != **answer => Bytes::from(clean),
        _ => answer.clone(),
    }
}

/// Those that are no words that a good answer may say.
pub fn unmistakable(mut secrets: Vec<Secret>) -> Vec<Secret> {
    secrets.retain(|secret| secret.expose().len() >= LEAST_BYTES_IN_ANSWERS);
    secrets
}

/// Whether letters of a key may be written with escapes in there: most escapes are ends of lines and quotes.
pub fn has_letters_escaped(answer: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', answer).any(|at| {
        let behind = answer.get(at + 1..).unwrap_or_default();
        matches!(behind, [b'/', ..] | [b'u', b'0', b'0', b'2'..=b'7', ..])
    })
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

/// Without secrets that texts between quotes say once their escapes are undone. No such text goes over the end of a
/// line, neither of JSON nor of an event; so a stray quote in one line takes nothing from the next.
fn spelled_out(text: &str, secrets: &[Secret]) -> Option<String> {
    memchr::memchr(b'\\', text.as_bytes())?;
    let mut clean = String::new();
    let (mut from, mut kept) = (0, 0);
    while from < text.len() {
        let rest = text.get(from..).unwrap_or_default();
        let escaped = rest.get(..end_of_text(rest.as_bytes())).unwrap_or_default();
        if escaped.contains('\\')
            && let Cow::Owned(said) = without(&Str::from_escaped(escaped).text(), secrets)
        {
            clean.push_str(text.get(kept..from).unwrap_or_default());
            clean.push_str(Str::from_text(&said).escaped());
            kept = from + escaped.len();
        }
        from += escaped.len() + 1;
    }
    if kept == 0 {
        return None;
    }
    clean.push_str(text.get(kept..).unwrap_or_default());
    Some(clean)
}

/// Where the next quote is that no escape hides, or the line ends.
fn end_of_text(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| memchr::memchr3(b'"', b'\\', b'\n', rest)) {
        at += next;
        if text.get(at) != Some(&b'\\') {
            return at;
        }
        at += 2;
    }
    text.len()
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
        assert_eq!(redact(r"no \u0073k\/secret+1 here", &secrets), "no [redacted] here");
    }

    #[test]
    fn an_echoed_credential_is_known_in_any_event() {
        let secrets = [Secret::new("sk/secret+1")];
        let said = |text: &str| {
            let error = format!(r#"{{"error":{{"message":"a \"bad\" key {text}"}}}}"#);
            let later = format!("data: {{\"t\":\"\\n\"}}\n\n: it\"s\nevent: error\ndata: {error}\n\ndata: [DONE]\n\n");
            [later, format!(",\r\n{error}]"), format!("{{}}\n{error}\n{error}"), format!("{{\"half\": {error}")]
        };
        for spelled in [r"sk\/secret+1", r"sk\u002Fsecret\u002b1", r"\u0073k\/secret+1"] {
            for (said, clean) in said(spelled).into_iter().zip(said("[redacted]")) {
                assert_eq!(redact(&said, &secrets), clean);
            }
        }
    }

    #[test]
    fn a_good_answer_loses_credentials_and_no_words() {
        let clean = |answer: &'static str| {
            redact_answer(&Bytes::from(answer), vec![Secret::new("ollama"), Secret::new("sk-secret-of-ours-1")])
        };
        assert_eq!(clean(r#"{"a":"sk-secret-of-ours-1 of ollama"}"#), r#"{"a":"[redacted] of ollama"}"#);
        assert_eq!(clean(r#"{"a":"sk-secret"}"#), r#"{"a":"sk-secret"}"#);
        assert_eq!(clean(r#"{"a":"\n\u0073k-secret-of-ours-1\t"}"#), r#"{"a":"\n[redacted]\t"}"#);
        assert_eq!(clean(r#"{"a":"ol\u006Cama \/ \n"}"#), r#"{"a":"ol\u006Cama \/ \n"}"#);
        let binary = Bytes::from_static(b"\xff\\/");
        assert_eq!(redact_answer(&binary, vec![Secret::new("sk-secret-of-ours-1")]), binary);
        assert!(has_letters_escaped(br"a\/") && has_letters_escaped(br"\n\u0041"));
        assert!(!has_letters_escaped(br#"\n\u00e9\u2019\""#));
    }
}
