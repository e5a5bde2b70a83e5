//! Signing in and out, for browsers.

use http::{StatusCode, header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Answer, Asked};
use crate::wire::json::Obj;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: String,
}

/// `{"role": "admin", "tenant": null, "open": false}`: as whom this browser is let in.
pub(super) fn show(asked: &Asked<'_>) -> Answer {
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    root.text("role", asked.asker.role.as_str());
    match &asked.asker.tenant {
        Some(tenant) => root.text("tenant", tenant),
        None => root.null("tenant"),
    };
    root.bool("open", asked.backend.runtime().admin.tokens.is_empty());
    drop(root);
    Answer::json(StatusCode::OK, body)
}

/// Takes an admin token and gives a cookie.
pub(super) fn begin(asked: &Asked<'_>) -> Answer {
    let Ok(Body { token }) = serde_json::from_slice::<Body>(asked.body) else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid_body", r#"expected {"token": "..."}"#);
    };
    let shown: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
    let runtime = asked.backend.runtime();
    let tokens = runtime.admin.tokens.iter();
    // All of them are compared, so that it takes as long whichever it is.
    let found =
        tokens.fold(None, |found, token| bool::from(token.sha256.ct_eq(&shown)).then_some(token.sha256).or(found));
    let Some(token_sha256) = found else {
        return Answer::error(StatusCode::UNAUTHORIZED, "invalid_token", "this is no admin token");
    };
    match asked.sessions.begin(token_sha256) {
        Some(cookie) => Answer::nothing().with(header::SET_COOKIE, cookie),
        None => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "there is no randomness"),
    }
}

pub(super) fn end(asked: &Asked<'_>) -> Answer {
    Answer::nothing().with(header::SET_COOKIE, asked.sessions.end(asked.headers))
}
