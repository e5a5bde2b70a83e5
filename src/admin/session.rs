//! Signing in and out, for browsers.

use http::{StatusCode, header};
use serde::Deserialize;

use super::{Answer, Asked, guard};
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
    let runtime = asked.backend.runtime();
    let Some(token) = guard::of(&runtime.admin.tokens, token.as_bytes()) else {
        return Answer::error(StatusCode::UNAUTHORIZED, "invalid_token", "this is no admin token");
    };
    match asked.sessions.begin(token.sha256) {
        Some(cookie) => Answer::nothing().with(header::SET_COOKIE, cookie),
        None => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "there is no randomness"),
    }
}

pub(super) fn end(asked: &Asked<'_>) -> Answer {
    Answer::nothing().with(header::SET_COOKIE, asked.sessions.end(asked.headers))
}
