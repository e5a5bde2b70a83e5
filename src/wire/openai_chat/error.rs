//! Error answers, both ways.
//!
//! Shapes seen (2026-11): `{error: {message, type, code, param}}` (OpenAI, Azure, Groq, DeepSeek;
//! the code a word, digits in a string, a number or null), `{error: text, code}` (xAI, Venice),
//! `{object: error, message, type, code}` (Mistral, Doubleword), `{detail}` (Mistral's 401),
//! OpenRouter's own with the upstream's text in `metadata.raw`, and text that is not JSON. The kind
//! follows from the status and the body together: xAI says 400 for a wrong key, Mistral and
//! OpenRouter for an unknown model, and a 200 may hold any of these.

use serde_json::value::RawValue;

use crate::error::{Error, Kind};
use crate::wire::json::Obj;
use crate::wire_object;

use crate::wire::lenient::{Value, count, filled, items, read};

wire_object! {
    struct Body<'a> {
        error: &'a RawValue,
        message: &'a RawValue,
        detail: &'a RawValue,
        kind: &'a RawValue = "type",
        code: &'a RawValue,
        param: &'a RawValue,
        status: &'a RawValue,
        status_code: &'a RawValue,
        metadata: &'a RawValue,
    }
}

wire_object! {
    struct Metadata<'a> { raw: &'a RawValue, reasons: &'a RawValue }
}

wire_object! {
    struct Complaint<'a> { msg: &'a RawValue, message: &'a RawValue }
}

/// What the shapes have in common.
#[derive(Debug, Default)]
struct Report {
    message: String,
    kind: String,
    code: String,
    param: String,
    status: Option<u16>,
    /// A moderation's verdict, not a matter of credentials.
    flagged: bool,
}

/// Reads an upstream's error answer.
pub fn decode(status: u16, body: &str) -> Error {
    judge(status, report(body))
}

/// Reads an error that came inside a 200. Its status is the one it names, or follows from its words.
pub fn decode_in_band(body: &str) -> Error {
    let report = report(body);
    let status = report.status.filter(|s| *s >= 400).unwrap_or(match report.kind.as_str() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" => 429,
        "overloaded_error" => 529,
        _ => 502,
    });
    judge(status, report)
}

fn report(body: &str) -> Report {
    let Ok(outer) = serde_json::from_str::<Body<'_>>(body) else {
        return Report { message: excerpt(body), ..Report::default() };
    };
    let inner: Option<Body<'_>> = read(outer.error);
    let word = |pick: fn(&Body<'_>) -> Option<String>| inner.as_ref().and_then(pick).or_else(|| pick(&outer));
    let metadata: Metadata<'_> =
        inner.as_ref().and_then(|i| read(i.metadata)).or_else(|| read(outer.metadata)).unwrap_or_default();
    let text = |v: Value<'_>| filled(v).map(|s| s.text().into_owned());
    let mut message = text(outer.error).or_else(|| word(|b| filled(b.message).map(|s| s.text().into_owned())));
    if message.is_none() {
        message = word(|b| filled(b.detail).map(|s| s.text().into_owned()).or_else(|| complaints(b.detail)));
    }
    let mut message = message.unwrap_or_default();
    if let Some(raw) = text(metadata.raw).filter(|raw| !message.contains(raw.as_str())) {
        message = format!("{message}: {}", excerpt(&raw));
    }
    let code = word(|b| b.code.map(|c| filled(Some(c)).map_or_else(|| c.get().to_owned(), |s| s.text().into_owned())));
    let status = word(|b| [b.status_code, b.status, b.code].into_iter().find_map(count).map(|n| n.to_string()));
    Report {
        message,
        kind: word(|b| filled(b.kind).map(|s| s.text().into_owned())).unwrap_or_default(),
        // Digits repeat the status (Azure, llama.cpp) or mean nothing outside their vendor (Mistral).
        code: code.filter(|c| c.starts_with(|ch: char| ch.is_ascii_alphabetic())).unwrap_or_default(),
        param: word(|b| filled(b.param).map(|s| s.text().into_owned())).unwrap_or_default(),
        status: status.and_then(|s| s.parse().ok()).filter(|s| (100..600).contains(s)),
        flagged: metadata.reasons.is_some(),
    }
}

/// A validation library's list of complaints.
fn complaints(detail: Value<'_>) -> Option<String> {
    let all: Vec<String> = items(detail)
        .into_iter()
        .filter_map(|item| read::<Complaint<'_>>(Some(item)))
        .filter_map(|c| filled(c.msg).or_else(|| filled(c.message)).map(|s| s.text().into_owned()))
        .collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What of a body that is no JSON may be shown: a line of text, but never a page of HTML.
fn excerpt(body: &str) -> String {
    const MOST_CHARS: usize = 400;
    let body = body.trim();
    if body.starts_with('<') { String::new() } else { body.chars().take(MOST_CHARS).collect() }
}

fn judge(status: u16, report: Report) -> Error {
    let kind = kind(status, &report);
    let quota = is_quota(status, &report);
    let too_long = kind == Kind::UpstreamRejected && is_too_long(&report);
    let message =
        if report.message.is_empty() { format!("the provider answered with status {status}") } else { report.message };
    let mut error = Error::new(kind, message).with_detail(format_args!("upstream status {status}"));
    // Trouble with our own credential is not the caller's, so they get neither its status nor code.
    if kind == Kind::UpstreamAuth {
        return error;
    }
    if (400..500).contains(&status) {
        error = error.with_status(status);
    }
    if quota {
        error = error.with_code("insufficient_quota");
    } else if too_long {
        error = error.with_code("context_length_exceeded");
    } else if !report.code.is_empty() {
        error = error.with_code(report.code);
    }
    if report.param.is_empty() { error } else { error.with_param(report.param) }
}

fn kind(status: u16, report: &Report) -> Kind {
    match status {
        401 => Kind::UpstreamAuth,
        403 if report.flagged => Kind::UpstreamRejected,
        403 => Kind::UpstreamAuth,
        404 => Kind::UpstreamNotFound,
        402 | 429 => Kind::UpstreamRateLimited,
        408 | 504 | 524 => Kind::UpstreamTimeout,
        503 | 529 => Kind::UpstreamOverloaded,
        500.. if report.kind == "overloaded_error" => Kind::UpstreamOverloaded,
        500.. => Kind::UpstreamFailed,
        _ if is_wrong_key(report) => Kind::UpstreamAuth,
        _ if is_unknown_model(report) => Kind::UpstreamNotFound,
        _ if is_quota(status, report) => Kind::UpstreamRateLimited,
        _ => Kind::UpstreamRejected,
    }
}

fn says(report: &Report, any: &[&str]) -> bool {
    let message = report.message.to_ascii_lowercase();
    any.iter().any(|words| message.contains(words))
}

fn is_wrong_key(report: &Report) -> bool {
    report.code == "invalid_api_key"
        || report.kind == "authentication_error"
        || says(report, &["incorrect api key", "invalid api key"])
}

fn is_unknown_model(report: &Report) -> bool {
    report.code == "model_not_found" || report.kind == "invalid_model" || says(report, &["is not a valid model id"])
}

fn is_quota(status: u16, report: &Report) -> bool {
    let quota = |word: &str| word == "insufficient_quota" || word == "billing_hard_limit_reached";
    status == 402 || quota(&report.code) || quota(&report.kind)
}

fn is_too_long(report: &Report) -> bool {
    report.code == "context_length_exceeded"
        || report.kind == "exceed_context_size_error"
        || says(report, &["maximum context length", "context length exceeded", "prompt is too long"])
}

/// Writes the JSON body of an error answer; gives back its status.
pub fn encode(error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    let mut body = Obj::new(out);
    {
        let mut it = body.obj("error");
        it.text("message", error.public()).text("type", error.kind().face().openai_type);
        match error.param() {
            Some(param) => it.text("param", param),
            None => it.null("param"),
        };
        it.text("code", error.code());
    }
    body.text("request_id", request_id);
    error.status()
}

/// Writes the error as the last event of a stream that has begun; no `[DONE]` follows it.
pub fn encode_event(error: &Error, request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    encode(error, request_id, out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status and body; kind, words, status and code shown.
    const SHAPES: &[(u16, &str, Kind, &str, u16, &str)] = &[
        (
            400,
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            Kind::UpstreamRejected,
            "too long",
            400,
            "context_length_exceeded",
        ),
        (
            429,
            r#"{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            Kind::UpstreamRateLimited,
            "quota",
            429,
            "insufficient_quota",
        ),
        (402, r#"{"error":{"message":"pay","code":402}}"#, Kind::UpstreamRateLimited, "pay", 402, "insufficient_quota"),
        (401, r#"{"detail":"Invalid API Key"}"#, Kind::UpstreamAuth, "Invalid API Key", 502, "upstream_error"),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: x"}"#,
            Kind::UpstreamAuth,
            "Incorrect API key",
            502,
            "upstream_error",
        ),
        (
            400,
            r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","code":"1500","raw_status_code":400}"#,
            Kind::UpstreamNotFound,
            "Invalid model: x",
            400,
            "model_not_found",
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"slow down"}}}"#,
            Kind::UpstreamRateLimited,
            "Provider returned error: slow down",
            429,
            "rate_limit_exceeded",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size","type":"exceed_context_size_error"}}"#,
            Kind::UpstreamRejected,
            "exceeds",
            400,
            "context_length_exceeded",
        ),
        (422, r#"{"detail":[{"msg":"bad n","loc":["n"]}]}"#, Kind::UpstreamRejected, "bad n", 422, "invalid_request"),
        (404, r#"{"error":"Specified model not found"}"#, Kind::UpstreamNotFound, "not found", 404, "model_not_found"),
        (500, "", Kind::UpstreamFailed, "status 500", 502, "upstream_error"),
        (503, "<html>busy</html>", Kind::UpstreamOverloaded, "status 503", 503, "upstream_error"),
        (504, "upstream timed out", Kind::UpstreamTimeout, "upstream timed out", 504, "upstream_timeout"),
    ];

    #[test]
    fn every_shape_gives_its_kind_message_and_code() {
        for (status, body, kind, message, shown, code) in SHAPES {
            let error = decode(*status, body);
            assert_eq!((error.kind(), error.status(), error.code()), (*kind, *shown, *code), "{body}");
            assert!(error.to_string().contains(message), "{body}: {error}");
        }
    }

    #[test]
    fn an_error_in_a_200_is_judged_by_what_it_says() {
        for (body, kind) in [
            (r#"{"error":{"message":"m","code":429}}"#, Kind::UpstreamRateLimited),
            (r#"{"error":{"message":"m","type":"invalid_request_error","status_code":400}}"#, Kind::UpstreamRejected),
            (r#"{"error":{"message":"m","type":"overloaded_error"}}"#, Kind::UpstreamOverloaded),
            (r#"{"error":"network connection lost"}"#, Kind::UpstreamFailed),
        ] {
            assert_eq!(decode_in_band(body).kind(), kind, "{body}");
        }
    }

    #[test]
    fn the_callers_shape_is_complete() {
        let error = Error::invalid("temperature", "must be at most 2");
        let mut out = Vec::new();
        assert_eq!(encode(&error, "r1", &mut out), 400);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"error":{"message":"must be at most 2","type":"invalid_request_error","param":"temperature","code":"invalid_request"},"request_id":"r1"}"#
        );
        let mut out = Vec::new();
        encode_event(&Error::internal("x"), "r1", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("data: {\"error\":") && text.ends_with("}\n\n") && !text.contains("[DONE]"));
    }
}
