//! Error answers, both ways.
//!
//! Shapes seen (2026-11): `{error: {message, type, code, param}}` (OpenAI, Azure, Groq, DeepSeek;
//! the code a word, digits in a string, a number or null), `{error: text, code}` (xAI, Venice),
//! `{object: error, message, type, code}` (Mistral, Doubleword), `{detail}` (Mistral's 401),
//! OpenRouter's own with the upstream's text in `metadata.raw`, and text that is not JSON. The kind
//! follows from the status and the body together: xAI says 400 for a wrong key and 403 for content
//! and for an empty account, Fireworks 412 for the latter, Mistral, OpenRouter, Voyage and xAI 400 for an
//! unknown model (as do DeepSeek, SiliconFlow, Z.ai, Groq, Together, Hugging Face and Copilot for one that is retired
//! or not for this account, each in its own words), Hugging Face 410, Groq 413 for a limit of tokens and 498 for a full
//! flex tier, and a 200 may hold any of these.

use std::time::Duration;

use crate::error::{Error, Kind, Retry};
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::{Value, count, filled, items, read};
use crate::wire::{cause, wait};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        error: Json<'a>,
        message: Json<'a>,
        detail: Json<'a>,
        kind: Json<'a> = "type",
        code: Json<'a>,
        param: Json<'a>,
        status: Json<'a>,
        status_code: Json<'a>,
        metadata: Json<'a>,
    }
}

wire_object! {
    struct Metadata<'a> { raw: Json<'a>, reasons: Json<'a> }
}

wire_object! {
    struct Complaint<'a> { msg: Json<'a>, message: Json<'a> }
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
    let status = report.status.filter(|s| *s >= 400).unwrap_or_else(|| status_of(&report));
    judge(status, report)
}

fn status_of(report: &Report) -> u16 {
    match report.kind.as_str() {
        _ if report.code == "rate_limit_exceeded" => 429,
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "rate_limit_error" | "rate_limit_exceeded" => 429,
        "overloaded_error" => 529,
        _ if is_billing(report) => 429,
        // Words that name a mistake are those of a bad request.
        _ if of_bad_request(report) != Kind::UpstreamRejected => 400,
        _ => 502,
    }
}

fn report(body: &str) -> Report {
    // Google wraps the errors of its compatible paths in an array.
    let first = || json::parse::<Vec<Body<'_>>>(body).ok()?.into_iter().next();
    let Some(outer) = json::parse(body).ok().or_else(first) else {
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
    if message.is_none() {
        // Mistral's complaints stand in the message.
        message = word(|b| read::<Body<'_>>(b.message).and_then(|inner| complaints(inner.detail)));
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
pub(in crate::wire) fn excerpt(body: &str) -> String {
    const MOST_CHARS: usize = 400;
    let body = body.trim();
    if body.starts_with('<') { String::new() } else { body.chars().take(MOST_CHARS).collect() }
}

/// The error of an answer that the model did not bring to an end: its provider's word, and what it says beside it.
pub(in crate::wire) fn broke_off(word: &str, message: Option<&str>) -> Error {
    let said = message.map(excerpt).filter(|said| !said.is_empty()).map(|said| format!(": {said}"));
    Error::new(Kind::UpstreamFailed, format!("the model's answer broke off: {word}{}", said.unwrap_or_default()))
}

fn judge(status: u16, report: Report) -> Error {
    let kind = kind(status, &report);
    let is_above_limit = kind == Kind::UpstreamContextTooLong && is_above_limit(&report);
    let told_by_kind =
        (kind == Kind::UpstreamContextTooLong && !is_above_limit) || status == 402 || is_billing(&report);
    let message =
        if report.message.is_empty() { format!("the provider answered with status {status}") } else { report.message };
    let after = advice(kind, &message);
    // Trouble with our own account is not the caller's, so they get neither its words nor status nor code.
    let is_ours = kind == Kind::UpstreamAuth || (kind == Kind::UpstreamQuota && matches!(status, 401 | 403 | 412));
    let mut error = match is_ours {
        true => Error::new(kind, "the provider refused the gateway's credential").with_detail(message),
        false => Error::new(kind, message).with_detail(format_args!("upstream status {status}")),
    };
    if let Some(after) = after {
        error = error.with_retry_after(after);
    }
    if is_ours {
        return error.shown_as(Kind::UpstreamAuth);
    }
    if is_above_limit {
        error = error.with_retry(Retry::NextTarget);
    }
    if is_above_limit || (kind == Kind::UpstreamOverloaded && status == 429) {
        error = error.shown_as(Kind::UpstreamRateLimited);
    }
    if (400..500).contains(&status) {
        error = error.with_status(status);
    }
    // Of a failure that is not the caller's, its word might be one of ours: `invalid_api_key`.
    if !told_by_kind && !report.code.is_empty() && error.status() < 500 {
        error = error.with_code(report.code);
    }
    if report.param.is_empty() { error } else { error.with_param(report.param) }
}

/// When to come back, where that may help.
fn advice(kind: Kind, message: &str) -> Option<Duration> {
    let passes = matches!(kind, Kind::UpstreamRateLimited | Kind::UpstreamQuota | Kind::UpstreamOverloaded);
    passes.then(|| wait::advice(message))?
}

fn kind(status: u16, report: &Report) -> Kind {
    match status {
        402 => Kind::UpstreamQuota,
        400..500 if is_billing(report) => Kind::UpstreamQuota,
        400..500 if is_above_limit(report) => Kind::UpstreamContextTooLong,
        401 => Kind::UpstreamAuth,
        403 if is_refused_content(report) => Kind::UpstreamRefusedContent,
        403 | 412 | 429 if cause::is_spent(&report.message) => Kind::UpstreamQuota,
        // Of one model: the others are still served.
        403 if is_unknown_model(report) => Kind::UpstreamNotFound,
        403 => Kind::UpstreamAuth,
        404 => Kind::UpstreamNotFound,
        // A file may be gone too, and that is the client's own affair.
        410 if report.message.to_ascii_lowercase().contains("model") => Kind::UpstreamNotFound,
        // Groq's flex tier is full; the request was not worked on.
        498 => Kind::UpstreamOverloaded,
        429 if is_overloaded(report) => Kind::UpstreamOverloaded,
        429 => Kind::UpstreamRateLimited,
        408 | 504 | 524 => Kind::UpstreamTimeout,
        503 | 529 => Kind::UpstreamOverloaded,
        500.. if is_overloaded(report) => Kind::UpstreamOverloaded,
        500.. => Kind::UpstreamFailed,
        _ => of_bad_request(report),
    }
}

/// What a status says that is given to any request that does not work.
fn of_bad_request(report: &Report) -> Kind {
    match () {
        () if is_wrong_key(report) => Kind::UpstreamAuth,
        () if is_unknown_model(report) => Kind::UpstreamNotFound,
        () if report.code == "rate_limit_exceeded" => Kind::UpstreamRateLimited,
        () if is_overloaded(report) => Kind::UpstreamOverloaded,
        () if is_too_long(report) => Kind::UpstreamContextTooLong,
        () if is_refused_content(report) => Kind::UpstreamRefusedContent,
        () => cause::of_rejection(&report.message),
    }
}

/// The sentence stands at the front: what is behind may be the client's own words.
fn is_wrong_key(report: &Report) -> bool {
    let message = report.message.to_ascii_lowercase();
    report.code == "invalid_api_key"
        || report.kind == "authentication_error"
        || ["incorrect api key", "invalid api key"].iter().any(|words| message.starts_with(words))
}

/// No such model, or not for this account. OpenRouter, xAI, DeepSeek, SiliconFlow, Z.ai and Voyage say it in a
/// sentence, and OpenAI of a model that the account may not use. What stands in the middle of a sentence may be the
/// client's own words.
fn is_unknown_model(report: &Report) -> bool {
    // OpenAI; Groq; Hugging Face, Copilot; Together.
    let codes = [
        "model_not_found",
        "model_decommissioned",
        "model_terms_required",
        "model_not_supported",
        "model_not_available",
        "dedicated_endpoint_not_running",
    ];
    let message = report.message.to_ascii_lowercase();
    codes.contains(&report.code.as_str())
        || report.kind == "invalid_model"
        || message == "model not exist"
        || message.starts_with("the supported api model names are ")
        || message.starts_with("model not found")
        || message.starts_with("model does not exist")
        || message.starts_with("unknown model, please check the model code")
        || message.starts_with("the requested model is not supported")
        || (message.starts_with("the requested model '")
            && message.ends_with("is not supported by any provider you have enabled."))
        || message.ends_with("is not a valid model id")
        || (message.starts_with("model ") && message.contains(" is not supported. supported models are"))
        || (message.starts_with("you are not allowed to ") && message.ends_with(" from this model"))
}

/// One request that is more than a whole minute's tokens: no pause mends that, and the others fit.
fn is_above_limit(report: &Report) -> bool {
    report.code == "rate_limit_exceeded" && report.message.starts_with("Request too large")
}

fn is_billing(report: &Report) -> bool {
    // OpenAI; Moonshot, Alibaba.
    let words = [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "organization_usage_limit_exceeded",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "exceeded_current_quota_error",
        "Arrearage",
    ];
    words.contains(&report.code.as_str()) || words.contains(&report.kind.as_str())
}

/// OpenAI's, Moonshot's and Groq's words, beside Anthropic's, which many have taken over.
fn is_overloaded(report: &Report) -> bool {
    let words =
        ["overloaded_error", "engine_overloaded_error", "server_is_overloaded", "slow_down", "capacity_exceeded"];
    words.contains(&report.kind.as_str()) || words.contains(&report.code.as_str())
}

fn is_too_long(report: &Report) -> bool {
    // OpenAI, Z.ai; llama.cpp.
    matches!(report.code.as_str(), "context_length_exceeded" | "model_context_window_exceeded")
        || report.kind == "exceed_context_size_error"
}

fn is_refused_content(report: &Report) -> bool {
    // OpenAI, Azure, Alibaba; Moonshot has it as a type.
    let words = [
        "content_policy_violation",
        "content_filter",
        "moderation_blocked",
        "ResponsibleAIPolicyViolation",
        "data_inspection_failed",
        "DataInspectionFailed",
    ];
    report.flagged
        || words.contains(&report.code.as_str())
        || words.contains(&report.kind.as_str())
        || cause::is_refused_content(&report.message)
}

/// Writes the JSON body of an error answer; gives back its status.
pub fn encode(error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    let mut body = Obj::new(out);
    {
        let mut it = body.obj("error");
        it.text("message", error.public()).text("type", error.shown().face().openai_type);
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
            Kind::UpstreamContextTooLong,
            "too long",
            400,
            "context_length_exceeded",
        ),
        (
            429,
            r#"{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            Kind::UpstreamQuota,
            "quota",
            429,
            "insufficient_quota",
        ),
        (402, r#"{"error":{"message":"pay","code":402}}"#, Kind::UpstreamQuota, "pay", 402, "insufficient_quota"),
        (401, r#"{"detail":"Invalid API Key"}"#, Kind::UpstreamAuth, "(Invalid API Key)", 502, "upstream_error"),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: x"}"#,
            Kind::UpstreamAuth,
            "the gateway's credential (Incorrect API key",
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
            Kind::UpstreamContextTooLong,
            "exceeds",
            400,
            "context_length_exceeded",
        ),
        (422, r#"{"detail":[{"msg":"bad n","loc":["n"]}]}"#, Kind::UpstreamRejected, "bad n", 422, "invalid_request"),
        (
            422,
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","code":null}"#,
            Kind::UpstreamRejected,
            "Extra inputs are not permitted",
            422,
            "invalid_request",
        ),
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

    /// Vendors' own bodies, as seen until 2026-11: status, body, kind; status and code shown.
    const CAUSES: &[(u16, &str, Kind, u16, &str)] = &[
        // Azure.
        (
            400,
            r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400}}"#,
            Kind::UpstreamRefusedContent,
            400,
            "content_filter",
        ),
        // OpenAI.
        (
            400,
            r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#,
            Kind::UpstreamRefusedContent,
            400,
            "invalid_prompt",
        ),
        (
            429,
            r#"{"error":{"message":"m","type":"insufficient_quota","code":"project_spend_limit_exceeded"}}"#,
            Kind::UpstreamQuota,
            429,
            "insufficient_quota",
        ),
        (
            400,
            r#"{"error":{"code":"billing_hard_limit_reached","message":"Billing hard limit has been reached","type":"billing_limit_user_error"}}"#,
            Kind::UpstreamQuota,
            400,
            "insufficient_quota",
        ),
        // OpenRouter.
        (
            403,
            r#"{"error":{"code":403,"message":"m requires moderation. Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"x"}}}"#,
            Kind::UpstreamRefusedContent,
            403,
            "invalid_request",
        ),
        (
            403,
            r#"{"error":{"message":"Key limit exceeded (total limit).","code":403}}"#,
            Kind::UpstreamQuota,
            502,
            "upstream_error",
        ),
        // xAI.
        (
            403,
            r#"{"code":"The caller does not have permission","error":"Content violates usage guidelines. Team: t, Failed check: SAFETY_CHECK_TYPE_BIO"}"#,
            Kind::UpstreamRefusedContent,
            403,
            "invalid_request",
        ),
        (
            429,
            r#"{"code":"Some resource has been exhausted","error":"Your team t has either used all available credits or reached its monthly spending limit."}"#,
            Kind::UpstreamQuota,
            429,
            "insufficient_quota",
        ),
        // DeepSeek.
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
            Kind::UpstreamQuota,
            402,
            "insufficient_quota",
        ),
        (
            400,
            r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            Kind::UpstreamRefusedContent,
            400,
            "invalid_request_error",
        ),
        // A type that says more than its status.
        (
            401,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":401}}"#,
            Kind::UpstreamQuota,
            502,
            "upstream_error",
        ),
        // Moonshot.
        (
            429,
            r#"{"error":{"message":"The engine is currently overloaded","type":"engine_overloaded_error"}}"#,
            Kind::UpstreamOverloaded,
            429,
            "rate_limit_exceeded",
        ),
        (
            429,
            r#"{"error":{"message":"please check your plan","type":"exceeded_current_quota_error"}}"#,
            Kind::UpstreamQuota,
            429,
            "insufficient_quota",
        ),
        (
            400,
            r#"{"code":"invalid-argument","error":"Model not found: m"}"#,
            Kind::UpstreamNotFound,
            400,
            "invalid-argument",
        ),
        // OpenAI.
        (
            403,
            r#"{"error":{"message":"You are not allowed to sample from this model","type":"invalid_request_error","param":null,"code":null}}"#,
            Kind::UpstreamNotFound,
            403,
            "model_not_found",
        ),
        (
            403,
            r#"{"error":{"message":"Project `p` does not have access to model `m`","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            Kind::UpstreamNotFound,
            403,
            "model_not_found",
        ),
        (
            403,
            r#"{"error":{"message":"Country, region, or territory not supported","type":"request_forbidden","param":null,"code":"unsupported_country_region_territory"}}"#,
            Kind::UpstreamAuth,
            502,
            "upstream_error",
        ),
        // Voyage.
        (
            400,
            r#"{"detail":"Model m is not supported. Supported models are ['n']."}"#,
            Kind::UpstreamNotFound,
            400,
            "model_not_found",
        ),
        // Groq.
        (
            413,
            r#"{"error":{"message":"Request too large for model on tokens per minute (TPM): Limit 6000","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Kind::UpstreamContextTooLong,
            413,
            "rate_limit_exceeded",
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit reached on tokens per day (TPD): Limit 100000","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Kind::UpstreamQuota,
            429,
            "rate_limit_exceeded",
        ),
        // Z.ai.
        (
            429,
            r#"{"error":{"code":"1113","message":"Insufficient balance or no resource package. Please recharge."}}"#,
            Kind::UpstreamQuota,
            429,
            "insufficient_quota",
        ),
        (
            400,
            r#"{"error":{"code":"1261","message":"Prompt too long"}}"#,
            Kind::UpstreamContextTooLong,
            400,
            "context_length_exceeded",
        ),
        // Fireworks.
        (
            412,
            r#"{"error":{"message":"Account a is suspended, possibly due to reaching the monthly spending limit","code":"PRECONDITION_FAILED","type":"error"}}"#,
            Kind::UpstreamQuota,
            502,
            "upstream_error",
        ),
        // Alibaba.
        (
            400,
            r#"{"error":{"message":"Access denied, please make sure your account is in good standing.","type":"Arrearage","code":"Arrearage"}}"#,
            Kind::UpstreamQuota,
            400,
            "insufficient_quota",
        ),
        // The client's own words thrown back at it.
        (
            400,
            r#"{"error":{"message":"Invalid value: 'incorrect api key, insufficient balance, x is not a valid model id'.","code":"invalid_value"}}"#,
            Kind::UpstreamRejected,
            400,
            "invalid_value",
        ),
    ];

    /// A model that is retired, or not for this account, and a tier without capacity: another target may serve.
    const ELSEWHERE: &[(u16, &str, Kind, u16, &str)] = &[
        (
            400,
            r#"{"error":{"message":"The model `m` has been decommissioned and is no longer supported.","type":"invalid_request_error","code":"model_decommissioned"}}"#,
            Kind::UpstreamNotFound,
            400,
            "model_decommissioned",
        ),
        (
            400,
            r#"{"error":{"message":"The model `m` requires terms acceptance.","type":"invalid_request_error","code":"model_terms_required"}}"#,
            Kind::UpstreamNotFound,
            400,
            "model_terms_required",
        ),
        (
            498,
            r#"{"error":{"message":"Flex tier capacity exceeded","type":"capacity_exceeded"}}"#,
            Kind::UpstreamOverloaded,
            498,
            "upstream_error",
        ),
        (
            400,
            r#"{"error":{"message":"m","code":"capacity_exceeded"}}"#,
            Kind::UpstreamOverloaded,
            400,
            "capacity_exceeded",
        ),
        // DeepSeek.
        (
            400,
            r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            Kind::UpstreamNotFound,
            400,
            "invalid_request_error",
        ),
        (
            400,
            r#"{"error":{"message":"The supported API model names are a or b, but you passed m.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            Kind::UpstreamNotFound,
            400,
            "invalid_request_error",
        ),
        // Hugging Face, Copilot.
        (
            400,
            r#"{"error":{"message":"The requested model 'a/m' is not supported by any provider you have enabled.","type":"invalid_request_error"}}"#,
            Kind::UpstreamNotFound,
            400,
            "model_not_found",
        ),
        (
            400,
            r#"{"error":{"message":"m","param":"model","code":"model_not_supported"}}"#,
            Kind::UpstreamNotFound,
            400,
            "model_not_supported",
        ),
        (
            400,
            r#"{"error":{"message":"The requested model is not supported.","type":"invalid_request_error"}}"#,
            Kind::UpstreamNotFound,
            400,
            "model_not_found",
        ),
        (
            410,
            r#"{"error":"The requested model is deprecated and no longer supported by provider hf-inference."}"#,
            Kind::UpstreamNotFound,
            410,
            "model_not_found",
        ),
        (410, r#"{"error":"The file is gone"}"#, Kind::UpstreamRejected, 410, "invalid_request"),
        // Together.
        (
            400,
            r#"{"error":{"message":"Unable to access non-serverless model m.","type":"invalid_request_error","code":"model_not_available"}}"#,
            Kind::UpstreamNotFound,
            400,
            "model_not_available",
        ),
        (
            400,
            r#"{"error":{"message":"The dedicated endpoint for m is not running.","type":"invalid_request_error","code":"dedicated_endpoint_not_running"}}"#,
            Kind::UpstreamNotFound,
            400,
            "dedicated_endpoint_not_running",
        ),
        // SiliconFlow, Z.ai.
        (
            400,
            r#"{"code":20012,"message":"Model does not exist. Please check it carefully.","data":null}"#,
            Kind::UpstreamNotFound,
            400,
            "model_not_found",
        ),
        (
            400,
            r#"{"error":{"code":"1211","message":"Unknown Model, please check the model code."}}"#,
            Kind::UpstreamNotFound,
            400,
            "model_not_found",
        ),
        // The client's own words thrown back at it.
        (
            400,
            r#"{"error":{"message":"Invalid value: 'Model Not Exist'. Model does not exist.","code":"invalid_value"}}"#,
            Kind::UpstreamRejected,
            400,
            "invalid_value",
        ),
    ];

    #[test]
    fn every_cause_is_known_and_keeps_its_face() {
        for (status, body, kind, shown, code) in CAUSES.iter().chain(ELSEWHERE) {
            let error = decode(*status, body);
            assert_eq!((error.kind(), error.status(), error.code()), (*kind, *shown, *code), "{body}");
        }
    }

    #[test]
    fn a_limit_says_when_to_come_back() {
        let body = r#"{"error":{"message":"Rate limit reached. Please try again in 6m0s.","type":"tokens","code":"rate_limit_exceeded"}}"#;
        assert_eq!(decode(429, body).retry_after(), Some(Duration::from_secs(360)));
        assert_eq!(decode(400, r#"{"error":"try again in 5s"}"#).retry_after(), None);
    }

    #[test]
    fn a_request_above_a_whole_limit_is_for_another_target_and_looks_as_it_did() {
        let body = r#"{"error":{"message":"Request too large for m on tokens per min (TPM): Limit 10000, Requested 20000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
        for status in [413, 429] {
            let error = decode(status, body);
            assert_eq!((error.kind(), error.retry()), (Kind::UpstreamContextTooLong, Retry::NextTarget));
            let mut out = Vec::new();
            assert_eq!(encode(&error, "r1", &mut out), status);
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(r#""type":"rate_limit_error","param":null,"code":"rate_limit_exceeded""#), "{out}");
        }
    }

    #[test]
    fn words_about_our_own_account_are_for_the_log() {
        let body = r#"{"error":{"message":"Key limit exceeded. Try again in 5s. See key sk-1","code":403}}"#;
        for (status, body) in [(401, r#"{"error":"bad key sk-1"}"#), (403, body)] {
            let error = decode(status, body);
            assert_eq!(error.public(), "the provider refused the gateway's credential");
            assert!(error.to_string().contains("sk-1"));
        }
        assert_eq!(decode(403, body).retry_after(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn an_error_in_a_200_is_judged_by_what_it_says() {
        for (body, kind, status) in [
            (r#"{"error":{"message":"m","code":429}}"#, Kind::UpstreamRateLimited, 429),
            (
                r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#,
                Kind::UpstreamRateLimited,
                429,
            ),
            (
                r#"{"error":{"message":"m","type":"invalid_request_error","status_code":400}}"#,
                Kind::UpstreamRejected,
                400,
            ),
            (r#"{"error":{"message":"m","type":"overloaded_error"}}"#, Kind::UpstreamOverloaded, 503),
            (r#"{"error":"network connection lost"}"#, Kind::UpstreamFailed, 502),
            (r#"{"error":{"message":"m","code":"insufficient_quota"}}"#, Kind::UpstreamQuota, 429),
            (r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#, Kind::UpstreamContextTooLong, 400),
            (r#"[{"error":{"message":"m","code":429,"status":"RESOURCE_EXHAUSTED"}}]"#, Kind::UpstreamRateLimited, 429),
        ] {
            let error = decode_in_band(body);
            assert_eq!((error.kind(), error.status()), (kind, status), "{body}");
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
