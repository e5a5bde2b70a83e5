//! Errors of this format: `{"type":"error","error":{"type","message"},"request_id"}`, whole or as
//! the event `error` (<https://platform.claude.com/docs/en/api/errors>). `request_id` may be null or
//! absent; an account without money or beyond the limit it set itself answers 400 with the word for a
//! bad request, one beyond its tier's 429 with `enforced_spend_limit_reached` in the details; Vertex AI
//! limits Claude in Google's words (seen 2026-11).

use crate::error::{Error, Kind};
use crate::wire::bridge::THREAD_NOT_FOUND;
use crate::wire::json::{self, Json, Obj, Str};
use crate::wire::lenient::{filled, read};
use crate::wire::openai_chat::error::excerpt;
use crate::wire::{cause, gemini};
use crate::wire_object;

wire_object! {
    struct Body<'a> { error: Json<'a>, message: Str<'a> }
}

wire_object! {
    struct Inner<'a> { kind: Str<'a> = "type", message: Str<'a>, details: Json<'a>, status: Str<'a> }
}

/// Reads an error body. What the gateway's own credential is to blame for is not told to the
/// caller; other refusals keep the upstream's status and words.
pub fn decode(status: u16, body: &str) -> Error {
    let text = body;
    let Ok(body) = json::parse::<Body<'_>>(text) else { return of(status, "", excerpt(text)) };
    let inner: Inner<'_> = read(body.error).unwrap_or_default();
    if inner.status.is_some() && inner.kind.is_none() {
        return gemini::error::decode(status, text);
    }
    let word = inner.kind.as_ref().map(Str::text).unwrap_or_default();
    let message = inner
        .message
        .or_else(|| filled(body.error))
        .or(body.message)
        .map(|m| m.text().into_owned())
        .unwrap_or_default();
    let over_its_tier = inner.details.is_some_and(|details| details.get().contains("enforced_spend_limit_reached"));
    if over_its_tier && !message.is_empty() {
        return Error::new(Kind::UpstreamQuota, message);
    }
    // A thread that has ended: no other model has it.
    if inner.details.is_some_and(|details| details.get().contains("\"thread_")) {
        return rejected(Kind::UpstreamRejected, status, message);
    }
    of(status, &word, message)
}

/// Reads the `error` object of a stream's `error` event.
pub(super) fn decode_event(data: &str) -> Error {
    let status = 0;
    decode(status, data)
}

fn of(status: u16, word: &str, message: String) -> Error {
    const REFUSED: &str = "the provider refused the gateway's credential";
    match kind(status, word, &message) {
        // It takes the credential, and not for everything: others' requests may name something else.
        _ if word == "permission_error" && status == 403 => {
            Error::new(Kind::UpstreamNotFound, REFUSED).with_detail(message).shown_as(Kind::UpstreamAuth)
        }
        kind if kind.is_clients_own() || kind == Kind::UpstreamNotFound => rejected(kind, status, message),
        kind @ (Kind::UpstreamAuth | Kind::UpstreamQuota) => {
            Error::new(kind, REFUSED).with_detail(message).shown_as(Kind::UpstreamAuth)
        }
        kind if message.is_empty() => Error::new(kind, "the provider failed to answer"),
        kind => Error::new(kind, message),
    }
}

fn kind(status: u16, word: &str, message: &str) -> Kind {
    match word {
        "invalid_request_error" if message.starts_with("This organization has been disabled") => Kind::UpstreamAuth,
        // Some servers have one word for all that goes wrong.
        "invalid_request_error" | "request_too_large" | "conflict_error" | "not_found_error"
            if is_not_the_clients(status) =>
        {
            by_status(status, message)
        }
        "invalid_request_error" => cause::of_rejection(message),
        "request_too_large" | "conflict_error" => Kind::UpstreamRejected,
        "authentication_error" | "permission_error" => Kind::UpstreamAuth,
        "billing_error" => Kind::UpstreamQuota,
        "not_found_error" => Kind::UpstreamNotFound,
        "rate_limit_error" => Kind::UpstreamRateLimited,
        "timeout_error" => Kind::UpstreamTimeout,
        "overloaded_error" => Kind::UpstreamOverloaded,
        _ => by_status(status, message),
    }
}

/// Whether a status tells of the gateway's credential, of a limit or of the provider's own trouble.
fn is_not_the_clients(status: u16) -> bool {
    matches!(status, 401..=403 | 429 | 500..)
}

fn by_status(status: u16, message: &str) -> Kind {
    match status {
        403 if cause::is_refused_content(message) => Kind::UpstreamRefusedContent,
        403 | 429 if cause::is_spent(message) => Kind::UpstreamQuota,
        401 | 403 => Kind::UpstreamAuth,
        402 => Kind::UpstreamQuota,
        404 => Kind::UpstreamNotFound,
        408 | 504 => Kind::UpstreamTimeout,
        429 => Kind::UpstreamRateLimited,
        503 | 529 => Kind::UpstreamOverloaded,
        400..=499 => cause::of_rejection(message),
        _ => Kind::UpstreamFailed,
    }
}

fn rejected(kind: Kind, status: u16, message: String) -> Error {
    let message = if message.is_empty() { "the provider refused the request".to_owned() } else { message };
    let mut error = Error::new(kind, message);
    if (400..500).contains(&status) {
        error = error.with_status(status);
    }
    match (kind, status) {
        (Kind::UpstreamRejected, 413) => error.with_code("request_too_large"),
        _ => error,
    }
}

/// Writes an error body; gives back its status.
pub fn encode(error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    let status = error.anthropic_status();
    let word = match (error.shown(), status) {
        (Kind::UpstreamRejected, 413) => "request_too_large",
        (kind, _) => kind.face().anthropic_type,
    };
    let mut body = Obj::new(out);
    body.text("type", "error");
    {
        let mut inner = body.obj("error");
        inner.text("type", word).text("message", error.public());
        if error.code() == THREAD_NOT_FOUND {
            inner.obj("details").text("error_code", THREAD_NOT_FOUND);
        }
    }
    body.text("request_id", request_id);
    status
}

/// Writes the error as the last event of a stream.
pub fn encode_event(error: &Error, request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: ");
    encode(error, request_id, out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Retry;

    fn body(word: &str, message: &str) -> String {
        format!(r#"{{"type":"error","error":{{"type":"{word}","message":"{message}"}},"request_id":null}}"#)
    }

    #[test]
    fn the_kind_comes_from_the_word_then_from_the_status() {
        let table = [
            (400, "invalid_request_error", Kind::UpstreamRejected),
            (401, "authentication_error", Kind::UpstreamAuth),
            (402, "billing_error", Kind::UpstreamQuota),
            (402, "new_error", Kind::UpstreamQuota),
            (403, "permission_error", Kind::UpstreamNotFound),
            (404, "not_found_error", Kind::UpstreamNotFound),
            (413, "request_too_large", Kind::UpstreamRejected),
            (429, "rate_limit_error", Kind::UpstreamRateLimited),
            (500, "api_error", Kind::UpstreamFailed),
            (504, "timeout_error", Kind::UpstreamTimeout),
            (529, "overloaded_error", Kind::UpstreamOverloaded),
            (529, "new_error", Kind::UpstreamOverloaded),
            (422, "new_error", Kind::UpstreamRejected),
        ];
        for (status, word, kind) in table {
            assert_eq!(decode(status, &body(word, "m")).kind(), kind, "{status} {word}");
        }
        let narrow = decode(403, &body("permission_error", "no permission to use the specified resource"));
        assert_eq!((narrow.shown(), narrow.status()), (Kind::UpstreamAuth, 502), "no more is told than of a wrong key");
        assert_eq!(decode_event(&body("overloaded_error", "Overloaded")).kind(), Kind::UpstreamOverloaded);
        assert_eq!(decode(502, "<html>bad gateway</html>").kind(), Kind::UpstreamFailed);
    }

    #[test]
    fn a_status_that_is_not_the_clients_outweighs_the_word_for_a_bad_request() {
        for (status, kind, shown) in [
            (401, Kind::UpstreamAuth, 502),
            (403, Kind::UpstreamAuth, 502),
            (429, Kind::UpstreamRateLimited, 429),
            (500, Kind::UpstreamFailed, 502),
            (503, Kind::UpstreamOverloaded, 503),
            (529, Kind::UpstreamOverloaded, 503),
        ] {
            for word in ["invalid_request_error", "request_too_large", "not_found_error"] {
                let error = decode(status, &body(word, "m"));
                assert_eq!((error.kind(), error.status()), (kind, shown), "{status} {word}");
            }
        }
        let of = |status, message| decode(status, &body("invalid_request_error", message)).kind();
        assert_eq!(of(403, "Output blocked by content filtering policy"), Kind::UpstreamRefusedContent);
        assert_eq!(of(429, "Your credit balance is too low"), Kind::UpstreamQuota);
        assert_eq!(of(422, "m"), Kind::UpstreamRejected);
    }

    #[test]
    fn words_without_the_shape_are_kept() {
        for text in
            ["max_tokens: too large", r#"{"error":"max_tokens: too large"}"#, r#"{"message":"max_tokens: too large"}"#]
        {
            let error = decode(400, text);
            assert_eq!((error.status(), error.public()), (400, "max_tokens: too large"), "{text}");
        }
        assert_eq!(decode(400, "prompt is too long").kind(), Kind::UpstreamContextTooLong);
        assert_eq!(decode(400, "<html>bad request</html>").public(), "the provider refused the request");
        let long = "x".repeat(1000);
        assert_eq!(decode(400, &long).public().len(), 400);
    }

    #[test]
    fn a_refusal_keeps_status_words_and_code() {
        let error = decode(400, &body("invalid_request_error", "prompt is too long: 1 tokens > 0 maximum"));
        assert_eq!((error.status(), error.code()), (400, "context_length_exceeded"));
        assert_eq!(error.public(), "prompt is too long: 1 tokens > 0 maximum");
        assert_eq!((error.kind(), error.retry()), (Kind::UpstreamContextTooLong, Retry::No));
        let error = decode(400, &body("invalid_request_error", "Output blocked by content filtering policy"));
        assert_eq!((error.kind(), error.status()), (Kind::UpstreamRefusedContent, 400));
        assert_eq!(decode(413, &body("request_too_large", "big")).code(), "request_too_large");
    }

    #[test]
    fn the_gateways_own_credential_stays_its_own_affair() {
        let bad = |message| decode(400, &body("invalid_request_error", message));
        for (error, kind) in [
            (decode(401, &body("authentication_error", "invalid x-api-key sk-ant-1")), Kind::UpstreamAuth),
            (bad("This organization has been disabled."), Kind::UpstreamAuth),
            (bad("Your credit balance is too low to access the API"), Kind::UpstreamQuota),
            (bad("You have reached your specified API usage limits. You will regain access on"), Kind::UpstreamQuota),
            (decode(402, &body("billing_error", "m")), Kind::UpstreamQuota),
        ] {
            assert_eq!((error.kind(), error.status(), error.code()), (kind, 502, "upstream_error"));
            assert_eq!(error.public(), "the provider refused the gateway's credential");
        }
        assert_eq!(bad("messages.0: 'Your credit balance is too low'").kind(), Kind::UpstreamRejected);
    }

    #[test]
    fn a_tier_that_is_spent_is_no_passing_limit() {
        let spent = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        assert_eq!((decode(429, spent).kind(), decode(429, spent).status()), (Kind::UpstreamQuota, 429));
        let plain = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":null}}"#;
        assert_eq!(decode(429, plain).kind(), Kind::UpstreamRateLimited);
    }

    #[test]
    fn googles_limits_on_claude_are_read() {
        let body = r#"{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"5s"}]}}"#;
        let error = decode(429, body);
        assert_eq!((error.kind(), error.retry_after()), (Kind::UpstreamRateLimited, Some(Duration::from_secs(5))));
    }

    #[test]
    fn bodies_and_events_are_written_to_the_contract() {
        let mut out = Vec::new();
        let error = Error::new(Kind::NoHealthyUpstream, "no \"provider\" is up");
        assert_eq!(encode(&error, "r-1", &mut out), 529);
        let expected = r#"{"type":"error","error":{"type":"overloaded_error","message":"no \"provider\" is up"},"request_id":"r-1"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        encode_event(&error, "r-1", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("event: error\ndata: {expected}\n\n"));
    }
}
