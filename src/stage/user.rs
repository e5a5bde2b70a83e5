//! Whom a request is for: the user of the caller's own service, by the name that service has for them.
//!
//! It is what `x-weir-user` says, else the body: OpenAI's `safety_identifier`
//! (<https://platform.openai.com/docs/guides/safety-best-practices#safety-identifiers>) or the older
//! `user`, else Anthropic's `metadata.user_id`. Claude Code has more than a name in there, and changes
//! some of it with each session: `{"device_id":...,"account_uuid":...,"session_id":...}`, or
//! `user_{id}_account_{uuid}_session_{uuid}` before (seen 2026-11). Of that the account counts, or else
//! the device.
//!
//! Names are for records and limits, never for access: whoever holds a key may say any.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::wire::envelope::Envelope;
use crate::wire::json::Str;
use crate::wire::scan;

const USER: HeaderName = HeaderName::from_static("x-weir-user");
/// Longer names are told apart by their hash.
const MOST_BYTES: usize = 128;
/// The same where a client may have put more than a name.
const MOST_ID_BYTES: usize = 64;

/// The members of Claude Code's id, the one that lasts longest first.
const LASTING: [&str; 3] = ["account_uuid", "user_id", "device_id"];

/// What the head says.
pub fn of_head(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(USER) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim);
    match text.filter(|it| !it.is_empty() && it.len() <= MOST_BYTES && !it.contains('\t')) {
        Some(text) => Ok(Some(text.to_owned())),
        None => {
            Err(Error::invalid("x-weir-user", format!("expected a name of at most {MOST_BYTES} printable characters")))
        }
    }
}

/// What the body says.
pub fn of_body(envelope: &Envelope<'_>) -> Option<String> {
    let said = ["safety_identifier", "user"].iter().find_map(|name| envelope.string(name));
    if let Some(user) = said.and_then(|said| plain(&said.text(), MOST_BYTES)) {
        return Some(user);
    }
    let id = Str::from_raw(scan::member(envelope.present("metadata")?, "user_id")?)?;
    let text = id.text();
    let (lasting, most_bytes) = match lasting(&text) {
        Some(part) => (part, MOST_BYTES),
        None => (Cow::Borrowed(&*text), MOST_ID_BYTES),
    };
    plain(&lasting, most_bytes)
}

/// What of Claude Code's id is the same tomorrow.
fn lasting(text: &str) -> Option<Cow<'_, str>> {
    if text.starts_with('{') && scan::is_json(text) {
        let members = LASTING.iter().filter_map(|name| Str::from_raw(scan::member(text, name)?));
        let mut members = members.filter(|member| !member.is_empty());
        return members.next().map(|member| Cow::Owned(member.text().into_owned()));
    }
    let (user, rest) = text.strip_prefix("user_")?.split_once("_account_")?;
    let (account, _) = rest.split_once("_session_")?;
    Some(Cow::Borrowed(if account.is_empty() { user } else { account }))
}

/// Without control characters, and not too long.
fn plain(text: &str, most_bytes: usize) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    match text.len() {
        0 => None,
        length if length <= most_bytes => Some(text),
        _ => {
            let digest = hex::encode(Sha256::digest(&text));
            Some(format!("sha256:{}", digest.get(..32).unwrap_or(&digest)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Option<String> {
        of_body(&Envelope::parse(json.as_bytes()).unwrap())
    }

    fn head(value: &[u8]) -> Result<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(USER, http::HeaderValue::from_bytes(value).unwrap());
        of_head(&headers)
    }

    #[test]
    fn each_format_says_it_in_its_own_place() {
        assert_eq!(body(r#"{"user":"ada"}"#).unwrap(), "ada");
        assert_eq!(body(r#"{"user":"bucket-7","safety_identifier":"ada"}"#).unwrap(), "ada");
        assert_eq!(body(r#"{"metadata":{"user_id":"ada"}}"#).unwrap(), "ada");
        for none in [
            r#"{"user":null}"#,
            r#"{"user":7}"#,
            r#"{"user":" \n "}"#,
            r#"{"metadata":{}}"#,
            r#"{"metadata":"x"}"#,
            "{}",
        ] {
            assert_eq!(body(none), None, "{none}");
        }
    }

    #[test]
    fn of_an_agents_id_only_what_lasts_counts() {
        let json = |account: &str, session: &str| {
            let id = format!(r#"{{"device_id":"d-1","account_uuid":"{account}","session_id":"{session}"}}"#);
            body(&format!(r#"{{"metadata":{{"user_id":{}}}}}"#, serde_json::to_string(&id).unwrap())).unwrap()
        };
        assert_eq!(
            (json("a-1", "s-1"), json("a-1", "s-2"), json("", "s-1")),
            ("a-1".into(), "a-1".into(), "d-1".into())
        );
        let older = |account: &str| {
            let id = format!("user_{}_account_{account}_session_6f0c", "5e".repeat(32));
            body(&format!(r#"{{"metadata":{{"user_id":"{id}"}}}}"#)).unwrap()
        };
        assert_eq!((older("a-1"), older("")), ("a-1".into(), "5e".repeat(32)));
        // What nobody can read is told apart as a whole.
        let long = |end: &str| body(&format!(r#"{{"metadata":{{"user_id":"{}{end}"}}}}"#, "x".repeat(70))).unwrap();
        assert!(long("a").starts_with("sha256:") && long("a").len() == 39 && long("a") != long("b"));
        assert_eq!(long("a"), long("a"));
    }

    #[test]
    fn names_are_short_and_without_control_characters() {
        assert_eq!(body(r#"{"user":"a\u0000d\na"}"#).unwrap(), "ada");
        assert!(body(&format!(r#"{{"user":"{}"}}"#, "x".repeat(129))).unwrap().starts_with("sha256:"));
        assert_eq!(body(&format!(r#"{{"user":"{}"}}"#, "x".repeat(128))).unwrap().len(), 128);
        assert_eq!(head(b" ada ").unwrap().unwrap(), "ada");
        for wrong in [&b""[..], b"a\tb", &[b'x'; 129], b"\xff"] {
            assert_eq!(head(wrong).unwrap_err().status(), 400, "{wrong:?}");
        }
    }
}
