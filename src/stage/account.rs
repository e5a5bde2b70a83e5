//! What a request used and cost, and its one row.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::secret::Secret;
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

/// Providers have been seen to repeat the credential in their errors.
pub fn redact<'t>(text: &'t str, secrets: &[Secret]) -> Cow<'t, str> {
    let mut clean = Cow::Borrowed(text);
    for secret in secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= 4) {
        if clean.contains(secret) {
            clean = Cow::Owned(clean.replace(secret, "[redacted]"));
        }
    }
    clean
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
}
