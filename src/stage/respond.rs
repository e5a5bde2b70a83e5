//! The answer's head, and errors in the caller's own format.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use pingora_http::ResponseHeader;

use crate::error::Error;
use crate::wire::{self, Dialect};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
pub const PROVIDER: HeaderName = HeaderName::from_static("x-weir-provider");
pub const MODEL: HeaderName = HeaderName::from_static("x-weir-model");
pub const ATTEMPTS: HeaderName = HeaderName::from_static("x-weir-attempts");
pub const FALLBACK_USED: HeaderName = HeaderName::from_static("x-weir-fallback-used");
pub const ROUTE_REASON: HeaderName = HeaderName::from_static("x-weir-route-reason");
pub const OVERHEAD: HeaderName = HeaderName::from_static("x-weir-overhead-ms");
pub const COST: HeaderName = HeaderName::from_static("x-weir-cost-usd");
pub const USAGE_SOURCE: HeaderName = HeaderName::from_static("x-weir-usage-source");
pub const DROPPED: HeaderName = HeaderName::from_static("x-weir-dropped");
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const CACHE_CONTROL: HeaderName = HeaderName::from_static("cache-control");

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const SSE: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// Sets a header whose value was made here; one that cannot stand in a head is left out.
pub fn set(head: &mut ResponseHeader, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        // Fails only on invalid input, which the types exclude.
        let _ = head.insert_header(name, value);
    }
}

/// The head of a whole answer.
pub fn whole(
    status: u16,
    content_type: HeaderValue,
    length: usize,
) -> Result<ResponseHeader, Box<pingora_core::Error>> {
    let mut head = ResponseHeader::build(status, Some(16))?;
    set(&mut head, CONTENT_TYPE, content_type);
    set(&mut head, CONTENT_LENGTH, HeaderValue::from(length));
    Ok(head)
}

/// The head of a stream. Proxies on the way are told not to hold it back.
pub fn stream(content_type: HeaderValue, http1: bool) -> Result<ResponseHeader, Box<pingora_core::Error>> {
    let mut head = ResponseHeader::build(200, Some(16))?;
    set(&mut head, CONTENT_TYPE, content_type);
    set(&mut head, CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    set(&mut head, HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if http1 {
        set(&mut head, TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(head)
}

/// An error as head and body, in the caller's format.
pub fn error(
    dialect: Dialect,
    error: &Error,
    request_id: &str,
) -> Result<(ResponseHeader, Bytes), Box<pingora_core::Error>> {
    let mut body = Vec::with_capacity(256);
    let status = wire::encode_error(dialect, error, request_id, &mut body);
    let head = whole(status, JSON, body.len())?;
    Ok((head, Bytes::from(body)))
}

/// Whether and when to come back.
pub fn retry_advice(head: &mut ResponseHeader, error: &Error) {
    if error.forbids_client_retry() {
        set(head, SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(after) = error.retry_after() {
        let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
        set(head, RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        set(head, RETRY_AFTER_MS, HeaderValue::from(ms));
    }
}
