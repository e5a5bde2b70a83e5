//! Errors of this format: `{"message"}` whole, with the exception's name only in the header
//! `x-amzn-errortype`, or a message of the event stream that is an exception
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>). Some services of
//! Amazon's say `Message`, or the name as `__type` (seen 2026-11).

use crate::error::{Error, Kind};
use crate::wire::cause;
use crate::wire::eventstream;
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::{count, text};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        message: Json<'a>,
        upper: Json<'a> = "Message",
        kind: Json<'a> = "__type",
        original_status: Json<'a> = "originalStatusCode",
        original: Json<'a> = "originalMessage",
    }
}

/// Reads an error body.
pub fn decode(status: u16, body: &str) -> Error {
    read("", status, body)
}

/// Reads an error that came inside a stream, or inside a 200.
pub fn decode_in_band(data: &str) -> Error {
    read("", 0, data)
}

/// Reads an error body whose exception is named beside it, as `x-amzn-errortype` has it:
/// `ThrottlingException`, a colon and an address behind it or not.
pub fn decode_named(name: &str, status: u16, body: &str) -> Error {
    read(name.split(':').next().unwrap_or_default(), status, body)
}

/// Reads the payload of an exception of that name.
pub(super) fn decode_exception(name: &str, data: &str) -> Error {
    read(name, 0, data)
}

fn read(name: &str, status: u16, body: &str) -> Error {
    let body: Body<'_> = json::parse(body).unwrap_or_default();
    let text = |raw| text(raw).map(|s| s.text().into_owned()).unwrap_or_default();
    let word = text(body.kind);
    // `com.amazon.coral#ThrottlingException:http://...`
    let word = word.split('#').next_back().and_then(|word| word.split(':').next()).unwrap_or_default();
    let word = if word.is_empty() { name } else { word };
    let (mut message, original) = (text(body.message.or(body.upper)), text(body.original));
    if message.is_empty() {
        message = original;
    }
    of(kind(word, status, count(body.original_status), &message), status, message)
}

fn of(kind: Kind, status: u16, message: String) -> Error {
    match kind {
        kind if kind.is_clients_own() || kind == Kind::UpstreamNotFound => rejected(kind, status, message),
        Kind::UpstreamAuth => refused(kind, message),
        Kind::UpstreamQuota if matches!(status, 401..=403) => refused(kind, message),
        kind if message.is_empty() => Error::new(kind, "the provider failed to answer"),
        kind => Error::new(kind, message),
    }
}

/// What became of our own account is the log's affair.
fn refused(kind: Kind, message: String) -> Error {
    let error = Error::new(kind, "the provider refused the gateway's credential");
    error.with_detail(message).shown_as(Kind::UpstreamAuth)
}

fn kind(word: &str, status: u16, original: Option<u64>, message: &str) -> Kind {
    // The names of exceptions in a stream begin small.
    match word.to_ascii_lowercase().as_str() {
        "validationexception" => invalid(message),
        "accessdeniedexception" => denied(message),
        "unrecognizedclientexception"
        | "expiredtokenexception"
        | "invalidsignatureexception"
        | "incompletesignatureexception"
        | "missingauthenticationtokenexception" => Kind::UpstreamAuth,
        "resourcenotfoundexception" => Kind::UpstreamNotFound,
        "throttlingexception" | "servicequotaexceededexception" => throttled(message),
        "serviceunavailableexception" | "modelnotreadyexception" => Kind::UpstreamOverloaded,
        "modeltimeoutexception" => Kind::UpstreamTimeout,
        "internalserverexception" => Kind::UpstreamFailed,
        "modelerrorexception" | "modelstreamerrorexception" => original.map_or(Kind::UpstreamFailed, by_model),
        _ => by_status(status, message),
    }
}

/// What the model itself answered to Bedrock.
fn by_model(status: u64) -> Kind {
    match status {
        429 => Kind::UpstreamRateLimited,
        503 | 529 => Kind::UpstreamOverloaded,
        408 | 504 => Kind::UpstreamTimeout,
        _ => Kind::UpstreamFailed,
    }
}

/// A name of a model that does not exist is a validation error here, and so is one that is retired or that the
/// account may not ask in this way (seen 2025-08 to 2026-09; with a straight apostrophe or a curly one).
fn invalid(message: &str) -> Kind {
    let no_such_model = [
        "The provided model identifier is invalid",
        "This model version has reached the end of its life",
        "This action doesn't support the model that you provided",
    ];
    let is_not_on_demand = message.contains("on-demand throughput")
        && ["Invocation of model ID ", "The provided model doesn"].iter().any(|words| message.starts_with(words));
    match is_not_on_demand || no_such_model.iter().any(|words| message.starts_with(words)) {
        true => Kind::UpstreamNotFound,
        false => cause::of_rejection(message),
    }
}

/// There are tokens per minute and tokens per day.
fn throttled(message: &str) -> Kind {
    if cause::is_spent(message) { Kind::UpstreamQuota } else { Kind::UpstreamRateLimited }
}

/// A model of the marketplace asks for a way to pay; one that the account never asked for is not there,
/// though others are.
fn denied(message: &str) -> Kind {
    match () {
        () if cause::is_spent(message) => Kind::UpstreamQuota,
        () if message.starts_with("You don't have access to the model") => Kind::UpstreamNotFound,
        () => Kind::UpstreamAuth,
    }
}

fn by_status(status: u16, message: &str) -> Kind {
    match status {
        400 => invalid(message),
        401..=403 => denied(message),
        404 => Kind::UpstreamNotFound,
        408 | 504 => Kind::UpstreamTimeout,
        // The model failed: the service model gives this status to nothing else.
        424 => Kind::UpstreamFailed,
        429 => throttled(message),
        503 | 529 => Kind::UpstreamOverloaded,
        405..=499 => cause::of_rejection(message),
        _ => Kind::UpstreamFailed,
    }
}

fn rejected(kind: Kind, status: u16, message: String) -> Error {
    let message = if message.is_empty() { "the provider refused the request".to_owned() } else { message };
    let error = Error::new(kind, message);
    let error = if kind.is_clients_own() && (400..500).contains(&status) { error.with_status(status) } else { error };
    match (kind, status) {
        (Kind::UpstreamRejected, 413) => error.with_code("request_too_large"),
        _ => error,
    }
}

/// Writes an error body; gives back its status.
pub fn encode(error: &Error, _request_id: &str, out: &mut Vec<u8>) -> u16 {
    Obj::new(out).text("message", error.public());
    error.status()
}

/// Writes the error as the last message of a stream.
pub fn encode_event(error: &Error, request_id: &str, out: &mut Vec<u8>) {
    let mut payload = Vec::new();
    let name = match encode(error, request_id, &mut payload) {
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        400..=499 => "validationException",
        _ => "internalServerException",
    };
    let headers = [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    eventstream::write_message(out, &headers, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    #[test]
    fn the_kind_comes_from_the_name_then_from_status_and_words() {
        let table = [
            ("throttlingException", 0, "Too many requests", Kind::UpstreamRateLimited),
            ("serviceUnavailableException", 0, "busy", Kind::UpstreamOverloaded),
            ("modelStreamErrorException", 0, "m", Kind::UpstreamFailed),
            ("internalServerException", 0, "m", Kind::UpstreamFailed),
            ("validationException", 0, "m", Kind::UpstreamRejected),
            ("modelTimeoutException", 0, "m", Kind::UpstreamTimeout),
            ("", 400, "messages: at least one message is required", Kind::UpstreamRejected),
            ("", 400, "The provided model identifier is invalid.", Kind::UpstreamNotFound),
            ("", 403, "The security token included in the request is invalid.", Kind::UpstreamAuth),
            ("", 403, "You don't have access to the model with the specified model ID.", Kind::UpstreamNotFound),
            ("AccessDeniedException", 403, "You don't have access to the model", Kind::UpstreamNotFound),
            ("", 404, "Could not resolve the foundation model", Kind::UpstreamNotFound),
            ("", 424, "The system encountered an unexpected error", Kind::UpstreamFailed),
            ("", 429, "Too many tokens", Kind::UpstreamRateLimited),
            ("", 503, "m", Kind::UpstreamOverloaded),
            (
                "ThrottlingException",
                429,
                "Too many tokens, please wait before trying again.",
                Kind::UpstreamRateLimited,
            ),
            ("ThrottlingException", 429, "Too many tokens per day, please wait.", Kind::UpstreamQuota),
            ("AccessDeniedException", 403, "denied due to INVALID_PAYMENT_INSTRUMENT:A valid", Kind::UpstreamQuota),
            ("ValidationException", 400, "Input is too long for requested model.", Kind::UpstreamContextTooLong),
            ("ValidationException", 400, "blocked by our content filters.", Kind::UpstreamRefusedContent),
            ("ValidationException", 400, "'x model identifier is invalid'", Kind::UpstreamRejected),
            (
                "ValidationException",
                400,
                "Invocation of model ID m with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
                Kind::UpstreamNotFound,
            ),
            (
                "ValidationException",
                400,
                "The provided model doesn't support on-demand throughput.",
                Kind::UpstreamNotFound,
            ),
            ("", 400, "This model version has reached the end of its life.", Kind::UpstreamNotFound),
            (
                "ValidationException",
                400,
                "This action doesn't support the model that you provided. Try again with a supported text or chat model.",
                Kind::UpstreamNotFound,
            ),
            ("ValidationException", 400, "'Invocation of model ID on-demand throughput'", Kind::UpstreamRejected),
            ("", 500, "m", Kind::UpstreamFailed),
        ];
        for (name, status, message, kind) in table {
            let body = format!(r#"{{"message":"{message}"}}"#);
            assert_eq!(read(name, status, &body).kind(), kind, "{name} {status}");
        }
        let model = r#"{"message":"m","originalStatusCode":529,"originalMessage":"Overloaded"}"#;
        assert_eq!(decode_exception("modelStreamErrorException", model).kind(), Kind::UpstreamOverloaded);
        let typed = r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","Message":"bad"}"#;
        assert_eq!(decode(400, typed).kind(), Kind::UpstreamAuth);
        assert_eq!(decode(502, "<html>").kind(), Kind::UpstreamFailed);
    }

    #[test]
    fn a_refusal_keeps_status_words_and_code() {
        let spent = decode(429, r#"{"message":"Too many tokens per day"}"#);
        assert_eq!((spent.status(), spent.public()), (429, "Too many tokens per day"));
        let unpaid = decode(403, r#"{"message":"INVALID_PAYMENT_INSTRUMENT of arn:aws:iam::1"}"#);
        assert_eq!((unpaid.status(), unpaid.public()), (502, "the provider refused the gateway's credential"));
        let error = decode(400, r#"{"message":"The model returned the following errors: Input Tokens Exceeded: ..."}"#);
        assert_eq!((error.status(), error.code(), error.retry()), (400, "context_length_exceeded", Retry::No));
        assert!(error.public().starts_with("The model returned"));
        let other = decode(403, r#"{"message":"You don't have access to the model with the specified model ID."}"#);
        assert_eq!((other.status(), other.code()), (404, "model_not_found"));
        assert!(other.public().starts_with("You don't have access"));
        let error = decode(403, r#"{"message":"User: arn:aws:iam::1:user/x is not authorized"}"#);
        assert_eq!((error.status(), error.public()), (502, "the provider refused the gateway's credential"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        encode_event(&Error::new(Kind::UpstreamRateLimited, "slow down"), "r", &mut out);
        let mut framer = eventstream::Framer::new(false);
        let mut seen = Vec::new();
        framer.push(&out, &mut |f| seen.push(decode_exception(f.name, f.data.unwrap()))).unwrap();
        assert_eq!((seen[0].kind(), seen[0].public()), (Kind::UpstreamRateLimited, "slow down"));
    }
}
