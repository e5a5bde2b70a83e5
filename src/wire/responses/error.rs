//! Errors: bodies are those of Chat Completions. In a stream it is the event `error`, flat
//! (`{type, code, message, param}`), or `response.failed` with the error inside the answer.

use crate::error::Error;
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::{Value, filled, read, text};
use crate::wire::openai_chat;
use crate::wire_object;

wire_object! {
    struct Event<'a> { response: Json<'a>, error: Json<'a> }
}

wire_object! {
    struct Failure<'a> { kind: Json<'a> = "type", code: Json<'a>, message: Json<'a> }
}

/// Reads an error body.
pub fn decode(status: u16, body: &str) -> Error {
    openai_chat::error::decode(status, body)
}

/// Reads an error that came inside a stream (the data of `error` or of `response.failed`), or inside a
/// 200.
pub fn decode_in_band(data: &str) -> Error {
    let event: Event<'_> = json::parse(data).unwrap_or_default();
    let inside = read::<Event<'_>>(event.response).unwrap_or(event);
    match (read::<Failure<'_>>(inside.error), read::<Failure<'_>>(json::parse(data).ok())) {
        (Some(it), _) if !is_filled(it.kind) => openai_chat::error::decode_in_band(&typed(&it)),
        (None, Some(it)) if is_filled(it.code) => openai_chat::error::decode_in_band(&typed(&it)),
        _ => openai_chat::error::decode_in_band(data),
    }
}

fn is_filled(value: Value<'_>) -> bool {
    filled(value).is_some()
}

/// A failed answer names its error by a code alone; the reader of errors goes by types.
fn typed(error: &Failure<'_>) -> String {
    let code = text(error.code).map(|code| code.text().into_owned()).unwrap_or_default();
    let kind = match code.as_str() {
        "rate_limit_exceeded" => "rate_limit_error",
        "insufficient_quota" => "insufficient_quota",
        "server_is_overloaded" | "slow_down" => "overloaded_error",
        // The last ones are a gateway's, should one be upstream.
        ""
        | "server_error"
        | "vector_store_timeout"
        | "upstream_error"
        | "upstream_timeout"
        | "no_healthy_upstream"
        | "shutting_down" => "server_error",
        _ => "invalid_request_error",
    };
    let mut body = Vec::new();
    {
        let mut body = Obj::new(&mut body);
        let mut it = body.obj("error");
        it.text("type", kind).text("code", &code);
        text(error.message).iter().for_each(|message| _ = it.str("message", message));
    }
    String::from_utf8(body).unwrap_or_default()
}

/// Writes an error body; gives back its status.
pub fn encode(error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    openai_chat::error::encode(error, request_id, out)
}

/// Writes the error as the last event of a stream that was passed on; its events were numbered by the
/// provider, so this one says a number that nobody can have used.
pub fn encode_event(error: &Error, _request_id: &str, out: &mut Vec<u8>) {
    const LAST: u64 = 1_000_000_000;
    out.extend_from_slice(b"event: error\ndata: ");
    {
        let mut event = Obj::new(out);
        event.text("type", "error").text("code", error.code()).text("message", error.public());
        match error.param() {
            Some(param) => event.text("param", param),
            None => event.null("param"),
        };
        event.num("sequence_number", LAST);
    }
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn failed_answers_and_error_events_are_read() {
        let failed = r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"rate_limit_exceeded","message":"slow down"}}}"#;
        let error = decode_in_band(failed);
        assert_eq!((error.public(), error.kind()), ("slow down", Kind::UpstreamRateLimited));
        let typed = r#"{"type":"error","error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"too long"}}"#;
        assert_eq!(
            (decode_in_band(typed).code(), decode_in_band(typed).kind()),
            ("context_length_exceeded", Kind::UpstreamContextTooLong)
        );
        let event = r#"{"type":"error","code":"server_error","message":"it broke","param":null,"sequence_number":3}"#;
        assert_eq!(decode_in_band(event).public(), "it broke");
        assert_eq!(decode_in_band(event).kind(), Kind::UpstreamFailed);
        assert_eq!(decode_in_band(&event.replace("server_error", "upstream_error")).kind(), Kind::UpstreamFailed);
    }

    #[test]
    fn the_event_has_every_member() {
        let mut out = Vec::new();
        encode_event(&Error::new(Kind::UpstreamFailed, "x"), "r", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"upstream_error\",\"message\":\"x\",\"param\":null,\"sequence_number\":1000000000}\n\n"
        );
    }
}
