//! Errors of this format, `google.rpc.Status` in JSON: `{"error":{"code","message","status",
//! "details":[..]}}` (<https://cloud.google.com/apis/design/errors>).
//!
//! Seen 2026-11: a wrong key is status 400 with the reason `API_KEY_INVALID`; a limit says in
//! `RetryInfo` when to come back (or in its sentence alone), and in `QuotaFailure` whether it is one of
//! the day, though then the time it says is that of the minute; a stream that is an array answers with an array of one error; some
//! errors have no `details`.

use std::time::Duration;

use crate::error::{Error, Kind};
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::{Value, count, filled, items, read};
use crate::wire::{cause, wait};
use crate::wire_object;

wire_object! {
    struct Body<'a> { error: Json<'a> }
}

wire_object! {
    struct Status<'a> { code: Json<'a>, message: Json<'a>, status: Json<'a>, details: Json<'a> }
}

wire_object! {
    struct Detail<'a> {
        reason: Json<'a>,
        violations: Json<'a>,
        retry_delay: Json<'a> = "retryDelay" | "retry_delay",
    }
}

/// What the error says.
#[derive(Debug, Default)]
struct Report {
    status: u16,
    word: String,
    message: String,
    reason: String,
    /// A quota of the day is among those that are gone.
    for_the_day: bool,
    retry_after: Option<Duration>,
}

/// Reads an error body.
pub fn decode(status: u16, body: &str) -> Error {
    let report = report(body);
    judge(Report { status, ..report })
}

/// Reads an error that came inside a stream, or inside a 200.
pub fn decode_in_band(data: &str) -> Error {
    judge(report(data))
}

fn report(body: &str) -> Report {
    let list: Option<Vec<Body<'_>>> = json::parse(body).ok();
    let outer = match list {
        Some(list) => list.into_iter().next().unwrap_or_default(),
        None => json::parse::<Body<'_>>(body).unwrap_or_default(),
    };
    let error: Status<'_> = read(outer.error).unwrap_or_default();
    let details: Vec<Detail<'_>> =
        items(error.details).into_iter().filter_map(|raw| read::<Detail<'_>>(Some(raw))).collect();
    let word = |value| filled(value).map(|s| s.text().into_owned()).unwrap_or_default();
    Report {
        status: count(error.code).and_then(|code| code.try_into().ok()).unwrap_or(500),
        word: word(error.status),
        // Some proxies give plain text in place of the object.
        message: filled(error.message)
            .or_else(|| filled(outer.error))
            .map(|s| s.text().into_owned())
            .unwrap_or_default(),
        reason: details.iter().find_map(|d| filled(d.reason)).map(|s| s.text().into_owned()).unwrap_or_default(),
        for_the_day: details.iter().any(|d| is_for_the_day(d.violations)),
        retry_after: details.iter().find_map(|d| wait::span(&filled(d.retry_delay)?.text())),
    }
}

/// `GenerateRequestsPerDayPerProjectPerModel`, `.../generate_requests_per_model_per_day`.
fn is_for_the_day(violations: Value<'_>) -> bool {
    violations.is_some_and(|v| v.get().contains("PerDay") || v.get().contains("per_day"))
}

fn judge(report: Report) -> Error {
    let kind = kind(&report);
    if kind == Kind::UpstreamAuth || report.reason == "BILLING_DISABLED" {
        let error = Error::new(kind, "the provider refused the gateway's credential");
        return error.with_detail(report.message).shown_as(Kind::UpstreamAuth);
    }
    // What is gone for the day is not back when the minute is.
    let after = match report.for_the_day {
        true => None,
        false => report.retry_after.or_else(|| limits(kind).then(|| wait::advice(&report.message))?),
    };
    let message = match report.message.is_empty() {
        true => format!("the provider answered with status {}", report.status),
        false => report.message,
    };
    let mut error = Error::new(kind, message).with_detail(format_args!("upstream status {}", report.status));
    if (400..500).contains(&report.status) {
        error = error.with_status(report.status);
    }
    match after {
        Some(after) => error.with_retry_after(after),
        None => error,
    }
}

const fn limits(kind: Kind) -> bool {
    matches!(kind, Kind::UpstreamRateLimited | Kind::UpstreamQuota)
}

fn kind(report: &Report) -> Kind {
    match report.reason.as_str() {
        "BILLING_DISABLED" => return Kind::UpstreamQuota,
        "API_KEY_INVALID" | "API_KEY_SERVICE_BLOCKED" | "ACCESS_TOKEN_EXPIRED" | "SERVICE_DISABLED" => {
            return Kind::UpstreamAuth;
        }
        _ => {}
    }
    match (report.word.as_str(), report.status) {
        ("UNAUTHENTICATED", _) => Kind::UpstreamAuth,
        // What the request names is the client's; all else that is forbidden is ours.
        ("PERMISSION_DENIED" | "FAILED_PRECONDITION", _) if is_of_the_request(report) => Kind::UpstreamRejected,
        ("PERMISSION_DENIED", _) => Kind::UpstreamAuth,
        // The account's country or billing, as far as is known.
        ("FAILED_PRECONDITION", _) => Kind::UpstreamAuth,
        ("INVALID_ARGUMENT" | "OUT_OF_RANGE", _) => cause::of_rejection(&report.message),
        ("ALREADY_EXISTS" | "ABORTED", _) => Kind::UpstreamRejected,
        ("NOT_FOUND", _) => Kind::UpstreamNotFound,
        ("RESOURCE_EXHAUSTED", _) => exhausted(report),
        ("DEADLINE_EXCEEDED", _) => Kind::UpstreamTimeout,
        ("UNAVAILABLE", _) => Kind::UpstreamOverloaded,
        ("INTERNAL" | "UNKNOWN" | "DATA_LOSS", _) => Kind::UpstreamFailed,
        (_, 401 | 403) => Kind::UpstreamAuth,
        (_, 404) => Kind::UpstreamNotFound,
        (_, 408 | 504) => Kind::UpstreamTimeout,
        (_, 402 | 429) => exhausted(report),
        (_, 503 | 529) => Kind::UpstreamOverloaded,
        (_, 400..=499) => cause::of_rejection(&report.message),
        _ => Kind::UpstreamFailed,
    }
}

/// A file or a cached prompt that is another account's, gone, or not ready.
fn is_of_the_request(report: &Report) -> bool {
    let message = &report.message;
    message.contains("access the File")
        || ["CachedContent not found", "The File "].iter().any(|it| message.starts_with(it))
}

fn exhausted(report: &Report) -> Kind {
    match report.status == 402 || report.for_the_day || cause::is_spent(&report.message) {
        true => Kind::UpstreamQuota,
        false => Kind::UpstreamRateLimited,
    }
}

/// The canonical name of a status.
const fn word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        500 => "INTERNAL",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        400..=498 => "INVALID_ARGUMENT",
        _ => "UNKNOWN",
    }
}

/// Writes an error body; gives back its status.
pub fn encode(error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    let status = error.status();
    let mut body = Obj::new(out);
    let mut inner = body.obj("error");
    inner.num("code", u64::from(status)).text("message", error.public()).text("status", word(status));
    let mut details = inner.arr("details");
    {
        let mut info = details.obj();
        info.text("@type", "type.googleapis.com/google.rpc.ErrorInfo");
        info.text("reason", &error.code().to_ascii_uppercase()).text("domain", "weir");
        error.param().iter().for_each(|param| _ = info.obj("metadata").text("param", param));
    }
    details.obj().text("@type", "type.googleapis.com/google.rpc.RequestInfo").text("requestId", request_id);
    if let Some(after) = error.retry_after() {
        let delay = format!("{}s", after.as_secs_f64());
        details.obj().text("@type", "type.googleapis.com/google.rpc.RetryInfo").text("retryDelay", &delay);
    }
    status
}

/// Writes the error as the last event of a stream.
pub fn encode_event(error: &Error, request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    encode(error, request_id, out);
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: u16, word: &str, message: &str, details: &str) -> String {
        format!(r#"{{"error":{{"code":{code},"message":"{message}","status":"{word}","details":[{details}]}}}}"#)
    }

    #[test]
    fn the_kind_comes_from_reason_word_and_status() {
        for (code, word, kind) in [
            (400, "INVALID_ARGUMENT", Kind::UpstreamRejected),
            (400, "FAILED_PRECONDITION", Kind::UpstreamAuth),
            (403, "PERMISSION_DENIED", Kind::UpstreamAuth),
            (404, "NOT_FOUND", Kind::UpstreamNotFound),
            (429, "RESOURCE_EXHAUSTED", Kind::UpstreamRateLimited),
            (500, "INTERNAL", Kind::UpstreamFailed),
            (503, "UNAVAILABLE", Kind::UpstreamOverloaded),
            (504, "DEADLINE_EXCEEDED", Kind::UpstreamTimeout),
            (418, "", Kind::UpstreamRejected),
        ] {
            assert_eq!(decode(code, &body(code, word, "m", "")).kind(), kind, "{word}");
            assert_eq!(decode_in_band(&body(code, word, "m", "")).kind(), kind, "{word}");
        }
        for (code, word, message) in [
            (403, "PERMISSION_DENIED", "You do not have permission to access the File f or it may not exist."),
            (403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)"),
            (400, "FAILED_PRECONDITION", "The File f is not in an ACTIVE state and usage is not allowed."),
        ] {
            let error = decode(code, &body(code, word, message, ""));
            assert_eq!((error.kind(), error.status(), error.public()), (Kind::UpstreamRejected, code, message));
        }
        let reason = r#"{"@type":"x","reason":"API_KEY_INVALID"}"#;
        let error = decode(400, &body(400, "INVALID_ARGUMENT", "API key AIza not valid", reason));
        assert_eq!(error.kind(), Kind::UpstreamAuth);
        assert!(!error.public().contains("AIza"));
    }

    #[test]
    fn a_limit_says_when_to_come_back() {
        let retry = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48.5s"}"#;
        let error = decode(429, &format!("[{}]", body(429, "RESOURCE_EXHAUSTED", "slow", retry)));
        assert_eq!((error.public(), error.retry_after()), ("slow", Some(Duration::from_millis(48_500))));
        let error =
            decode(400, &body(400, "INVALID_ARGUMENT", "(9) exceeds the maximum number of tokens allowed (8)", ""));
        assert_eq!((error.code(), error.status()), ("context_length_exceeded", 400));
        assert_eq!(error.kind(), Kind::UpstreamContextTooLong);
        let told = decode(429, &body(429, "RESOURCE_EXHAUSTED", "Please retry in 20.5s.", ""));
        assert_eq!((told.kind(), told.retry_after()), (Kind::UpstreamRateLimited, Some(Duration::from_millis(20_500))));
    }

    #[test]
    fn what_is_gone_for_the_day_or_for_want_of_money_is_a_quota() {
        let quota = |id: &str| {
            let violation = format!(r#"{{"@type":"x.QuotaFailure","violations":[{{"quotaId":"{id}"}}]}}"#);
            let retry = r#"{"@type":"x.RetryInfo","retryDelay":"20s"}"#;
            let text = "You exceeded your current quota. Please retry in 20s.";
            decode(429, &body(429, "RESOURCE_EXHAUSTED", text, &format!("{violation},{retry}")))
        };
        let of_the_minute = quota("GenerateContentInputTokensPerModelPerMinute-FreeTier");
        assert_eq!(of_the_minute.kind(), Kind::UpstreamRateLimited);
        assert_eq!(of_the_minute.retry_after(), Some(Duration::from_secs(20)));
        let of_the_day = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier");
        assert_eq!((of_the_day.kind(), of_the_day.status()), (Kind::UpstreamQuota, 429));
        assert_eq!(of_the_day.retry_after(), None);
        let spent = decode(429, &body(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", ""));
        assert_eq!((spent.kind(), spent.code()), (Kind::UpstreamQuota, "insufficient_quota"));
        let disabled = r#"{"@type":"x","reason":"BILLING_DISABLED"}"#;
        let error = decode(403, &body(403, "PERMISSION_DENIED", "enable billing on project p", disabled));
        assert_eq!((error.kind(), error.status()), (Kind::UpstreamQuota, 502));
        assert!(!error.public().contains("project"));
    }

    #[test]
    fn bodies_that_are_no_json_have_a_status_only() {
        let error = decode(502, "<html>");
        assert_eq!((error.kind(), error.public()), (Kind::UpstreamFailed, "the provider answered with status 502"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        let error = Error::new(Kind::RateLimited, "too many").with_retry_after(Duration::from_millis(1500));
        assert_eq!(encode(&error, "id-1", &mut out), 429);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(r#"{"error":{"code":429,"message":"too many","status":"RESOURCE_EXHAUSTED","#),
            "{text}"
        );
        let back = decode(429, &text);
        assert_eq!((back.public(), back.retry_after()), ("too many", Some(Duration::from_millis(1500))));
        assert!(text.contains("\"requestId\":\"id-1\""));
    }
}
