//! The answer's head, and errors in the caller's own format.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use http::{StatusCode, response};

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
pub const TOOLS_EXECUTED: HeaderName = HeaderName::from_static("x-weir-tools-executed");
pub const GUARDS: HeaderName = HeaderName::from_static("x-weir-guards");
pub const DROPPED: HeaderName = HeaderName::from_static("x-weir-dropped");
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const CACHE_CONTROL: HeaderName = HeaderName::from_static("cache-control");

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const SSE: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

const USUAL_HEADERS: usize = 24;

/// Sets a header whose value was made here; one that cannot stand in a head is left out.
pub fn set(head: &mut response::Parts, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        head.headers.insert(name, value);
    }
}

/// A head with nothing in it.
#[must_use]
pub fn bare(status: StatusCode) -> response::Parts {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = status;
    // More than most have, so that it never grows.
    head.headers.reserve(USUAL_HEADERS);
    head
}

/// The head of a whole answer.
pub fn whole(status: StatusCode, content_type: HeaderValue, length: usize) -> response::Parts {
    let mut head = bare(status);
    set(&mut head, CONTENT_TYPE, content_type);
    set(&mut head, CONTENT_LENGTH, HeaderValue::from(length));
    head
}

/// The head of a stream. Proxies on the way are told not to hold it back.
pub fn stream(content_type: HeaderValue, http1: bool) -> response::Parts {
    let mut head = bare(StatusCode::OK);
    set(&mut head, CONTENT_TYPE, content_type);
    set(&mut head, CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    set(&mut head, HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if http1 {
        set(&mut head, TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    head
}

/// An error as head and body, in the caller's format.
pub fn error(dialect: Dialect, error: &Error, request_id: &str) -> (response::Parts, Bytes) {
    let mut body = Vec::with_capacity(256);
    let status = wire::encode_error(dialect, error, request_id, &mut body);
    let head = whole(status_of(status), JSON, body.len());
    (head, Bytes::from(body))
}

/// A number that is no status is a fault of ours.
#[must_use]
pub fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Whether and when to come back.
pub fn retry_advice(head: &mut response::Parts, error: &Error) {
    if error.forbids_client_retry() {
        set(head, SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(after) = error.retry_after() {
        let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
        set(head, RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        set(head, RETRY_AFTER_MS, HeaderValue::from(ms));
    }
}
