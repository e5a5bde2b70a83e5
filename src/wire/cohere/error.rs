//! Errors of this format: `{"id","message"}`, seldom with an `error_type`
//! (<https://docs.cohere.com/reference/errors>). The kind comes from the status, and within one from the
//! words; a failure behind the first byte is a `finish_reason` in the last event of the stream.

use crate::error::{Error, Kind};
use crate::wire::cause;
use crate::wire::json::{self, Json, Obj, Str};
use crate::wire::lenient::filled;
use crate::wire_object;

wire_object! {
    struct Body<'a> { message: Json<'a>, error: Json<'a> }
}

/// Reads an error body.
pub fn decode(status: u16, body: &str) -> Error {
    let it: Body<'_> = json::parse(body).unwrap_or_default();
    let message = filled(it.message).or_else(|| filled(it.error)).map(|s| s.text().into_owned());
    judge(status, message)
}

/// Reads an error that came inside a stream, or inside a 200.
pub fn decode_in_band(data: &str) -> Error {
    decode(500, data)
}

/// What an answer ended in that did not end well.
pub(super) fn unfinished(word: &str, message: Option<&Str<'_>>) -> Option<Error> {
    let status = match word {
        "ERROR" => 500,
        "TIMEOUT" => 504,
        _ => return None,
    };
    Some(judge(status, message.map(|s| s.text().into_owned())))
}

fn judge(status: u16, message: Option<String>) -> Error {
    let kind = kind(status, message.as_deref().unwrap_or_default());
    if kind == Kind::UpstreamAuth {
        let error = Error::new(kind, "the provider refused the gateway's credential");
        return error.with_detail(message.unwrap_or_default());
    }
    let message = message.unwrap_or_else(|| format!("the provider answered with status {status}"));
    let mut error = Error::new(kind, message).with_detail(format_args!("upstream status {status}"));
    if (400..500).contains(&status) {
        error = error.with_status(status);
    }
    // The table's code says less.
    if status == 413 { error.with_code("request_too_large") } else { error }
}

fn kind(status: u16, message: &str) -> Kind {
    match status {
        401 | 403 => Kind::UpstreamAuth,
        402 => Kind::UpstreamQuota,
        // A trial key has so many calls a month.
        429 if cause::is_spent(message) => Kind::UpstreamQuota,
        429 => Kind::UpstreamRateLimited,
        404 => Kind::UpstreamNotFound,
        408 | 504 => Kind::UpstreamTimeout,
        498 => Kind::UpstreamRefusedContent,
        // Of a request that another sent: the provider's own affair.
        499 => Kind::UpstreamFailed,
        503 | 529 => Kind::UpstreamOverloaded,
        413 => Kind::UpstreamRejected,
        400..=497 if is_too_long(message) => Kind::UpstreamContextTooLong,
        400..=497 => cause::of_rejection(message),
        _ => Kind::UpstreamFailed,
    }
}

/// `too many tokens: max tokens must be ...` is about the answer.
fn is_too_long(message: &str) -> bool {
    message.contains("too many tokens") && !message.contains("max tokens must be")
}

/// Writes an error body; gives back its status.
pub fn encode(error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    Obj::new(out).text("id", request_id).text("message", error.public());
    error.status()
}

/// Writes the error as the last event of a stream.
pub fn encode_event(error: &Error, _request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: message-end\ndata: ");
    let word = if error.kind() == Kind::UpstreamTimeout { "TIMEOUT" } else { "ERROR" };
    Obj::new(out).text("type", "message-end").obj("delta").text("error", error.public()).text("finish_reason", word);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    #[test]
    fn the_kind_comes_from_the_status() {
        let table = [
            (400, Kind::UpstreamRejected),
            (401, Kind::UpstreamAuth),
            (402, Kind::UpstreamQuota),
            (404, Kind::UpstreamNotFound),
            (422, Kind::UpstreamRejected),
            (429, Kind::UpstreamRateLimited),
            (498, Kind::UpstreamRefusedContent),
            (499, Kind::UpstreamFailed),
            (500, Kind::UpstreamFailed),
            (503, Kind::UpstreamOverloaded),
            (504, Kind::UpstreamTimeout),
        ];
        for (status, kind) in table {
            assert_eq!(decode(status, r#"{"id":"x","message":"m"}"#).kind(), kind, "{status}");
        }
        assert_eq!(decode(502, "<html>").public(), "the provider answered with status 502");
    }

    #[test]
    fn a_refusal_keeps_status_words_and_code() {
        let long = "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.";
        let error = decode(400, &format!(r#"{{"message":"{long}"}}"#));
        assert_eq!((error.status(), error.code(), error.retry()), (400, "context_length_exceeded", Retry::No));
        assert_eq!((error.kind(), error.public()), (Kind::UpstreamContextTooLong, long));
        let most = r#"{"message":"too many tokens: max tokens must be less than or equal to 4096"}"#;
        assert_eq!(decode(400, most).code(), "invalid_request");
        let trial = r#"{"message":"You are using a Trial key, which is limited to 1000 API calls / month."}"#;
        assert_eq!((decode(429, trial).status(), decode(429, trial).code()), (429, "insufficient_quota"));
        assert_eq!(decode(429, trial).kind(), Kind::UpstreamQuota);
        let minute = r#"{"message":"You are using a Trial key, which is limited to 40 API calls / minute."}"#;
        assert_eq!(
            (decode(429, minute).kind(), decode(429, minute).code()),
            (Kind::UpstreamRateLimited, "rate_limit_exceeded")
        );
        assert_eq!(
            (decode(413, minute).kind(), decode(413, minute).code()),
            (Kind::UpstreamRejected, "request_too_large")
        );
        let error = decode(401, r#"{"id":"x","message":"Incorrect API key provided: abc"}"#);
        assert_eq!((error.status(), error.public()), (502, "the provider refused the gateway's credential"));
    }
}
