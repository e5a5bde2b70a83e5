//! What a token endpoint answers, whoever's it is.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::call::{Reply, not_fetched};
use super::fetched::Fresh;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// For a token whose end nobody tells.
const UNTOLD: Duration = Duration::from_secs(5 * 60);
/// Longer words of an endpoint are cut.
const MOST_CHARS: usize = 300;

#[derive(Deserialize)]
struct Token {
    access_token: String,
    /// Seconds from now.
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "seconds")]
    expires_on: Option<u64>,
}

/// A number, or the same as text: managed identities write it so.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(u64),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Seconds::deserialize(deserializer)? {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.parse().ok(),
        Seconds::Other(_) => None,
    })
}

/// The token, or why there is none. `from` says who was asked; nothing of `secrets` is repeated.
pub(super) fn token(from: &str, reply: &Reply, secrets: &[&Secret]) -> Result<Fresh<Secret>> {
    if reply.status != 200 {
        return Err(refused(from, reply, secrets));
    }
    let token: Token =
        serde_json::from_slice(&reply.body).map_err(|_| not_fetched(format!("{from}: no token came")))?;
    let now = SystemTime::now();
    let expires_at = match (token.expires_in, token.expires_on) {
        (Some(seconds), _) => now.checked_add(Duration::from_secs(seconds)),
        (None, Some(at)) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at)),
        (None, None) => now.checked_add(UNTOLD),
    };
    Ok(Fresh { credential: Secret::new(token.access_token), expires_at })
}

/// A refusal in the endpoint's own words.
pub(super) fn refused(from: &str, reply: &Reply, secrets: &[&Secret]) -> Error {
    not_fetched(format!("{from}: status {}{}", reply.status, words(&reply.body, secrets)))
}

/// `error` and `error_description`, or the `message` of an error that is an object. No other part of
/// an answer is repeated, since nobody knows what is in it.
fn words(body: &Bytes, secrets: &[&Secret]) -> String {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Word {
        Text(String),
        Object { message: String },
    }
    #[derive(Deserialize)]
    struct Refusal {
        error: Word,
        error_description: Option<String>,
    }
    let Ok(Refusal { error, error_description }) = serde_json::from_slice(body) else { return String::new() };
    let (Word::Text(error) | Word::Object { message: error }) = error;
    let text = error_description.map_or_else(|| error.clone(), |more| format!("{error}: {more}"));
    let clean = secrets.iter().filter(|secret| !secret.expose().is_empty());
    let text = clean.fold(text, |text, secret| text.replace(secret.expose(), "[redacted]"));
    format!(": {}", text.chars().take(MOST_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply { status, body: Bytes::from_static(body.as_bytes()), date: None }
    }

    #[test]
    fn an_end_is_read_in_every_form() {
        let lifetime = |body| {
            let at = token("x", &reply(200, body), &[]).unwrap().expires_at.unwrap();
            at.duration_since(SystemTime::now()).unwrap().as_secs()
        };
        for (body, least, most) in [
            (r#"{"access_token":"t","expires_in":3600}"#, 3590, 3600),
            (r#"{"access_token":"t","expires_in":"3600","expires_on":"1"}"#, 3590, 3600),
            (r#"{"access_token":"t","expires_on":"32503680000"}"#, 1_000_000, u64::MAX),
            (r#"{"access_token":"t","expires_in":null}"#, 290, 300),
        ] {
            assert!((least..=most).contains(&lifetime(body)), "{body}: {}", lifetime(body));
        }
    }

    #[test]
    fn a_refusal_says_why_and_repeats_no_secret() {
        let secret = Secret::new("hush");
        let said = |status, body| {
            token("tokens.test", &reply(status, body), &[&secret]).unwrap_err().detail().unwrap().to_owned()
        };
        let body = r#"{"error":"invalid_client","error_description":"the secret hush is wrong"}"#;
        assert_eq!(said(401, body), "tokens.test: status 401: invalid_client: the secret [redacted] is wrong");
        let body = r#"{"error":{"code":403,"message":"no hush","status":"PERMISSION_DENIED"}}"#;
        assert_eq!(said(403, body), "tokens.test: status 403: no [redacted]");
        assert_eq!(said(500, "<html>hush"), "tokens.test: status 500");
        assert_eq!(said(200, "{}"), "tokens.test: no token came");
    }
}
