//! Heads of HTTP/1.1: a request's written, an answer's read (RFC 9112).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version, request, response};
use httparse::ParserConfig;
use pingora_core::{Error, ErrorType, OrErr, Result};

use super::Body;
use crate::wire::chunked::Chunked;

const MAX_HEADERS: usize = 256;
/// A head without its values.
const USUAL_BYTES: usize = 512;

/// A request's head as it goes out, with room for a body of as many bytes behind it. How long the body is
/// it says itself, where the head does not.
pub(super) fn write(head: &request::Parts, body_bytes: usize, room: usize) -> Vec<u8> {
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str).as_bytes();
    let mut out = Vec::with_capacity(USUAL_BYTES + path.len() + room);
    for part in [head.method.as_str().as_bytes(), b" ", path, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != TRANSFER_ENCODING) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    let has_body = body_bytes > 0 || head.method == Method::POST;
    if has_body && !head.headers.contains_key(CONTENT_LENGTH) {
        out.extend_from_slice(format!("content-length: {body_bytes}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Where the head ends, if it is whole. Bytes before `seen` were looked at.
pub(super) fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    let mut at = from;
    loop {
        let newline = at + memchr::memchr(b'\n', bytes.get(at..)?)?;
        match bytes.get(newline + 1..)? {
            [b'\n', ..] => return Some(newline + 2),
            [b'\r', b'\n', ..] => return Some(newline + 3),
            _ => at = newline + 1,
        }
    }
}

/// An answer's head, whole.
pub(super) fn read(bytes: &Bytes) -> Result<response::Parts> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut found = httparse::Response::new(&mut []);
    ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response_with_uninit_headers(&mut found, bytes, &mut headers)
        .or_err(ErrorType::InvalidHTTPHeader, "reading an answer's head")?;
    let status = StatusCode::from_u16(found.code.unwrap_or_default())
        .or_err(ErrorType::InvalidHTTPHeader, "a status that is none")?;
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = status;
    head.version = if found.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    head.headers.reserve(found.headers.len());
    for header in found.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes())
            .or_err(ErrorType::InvalidHTTPHeader, "a header's name that is none")?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value))
            .or_err(ErrorType::InvalidHTTPHeader, "a header's value that is none")?;
        head.headers.append(name, value);
    }
    Ok(head)
}

/// How the body is framed, and whether the connection outlives it (section 6.3).
pub(super) fn framing(head: &response::Parts, answers_head: bool) -> Result<(Body, bool)> {
    let keeps = match head.version {
        Version::HTTP_10 => says(&head.headers, "keep-alive"),
        _ => !says(&head.headers, "close"),
    };
    let has_none = answers_head
        || head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_none {
        return Ok((Body::Done, keeps));
    }
    let length = length(&head.headers)?;
    let coding = head.headers.get_all(TRANSFER_ENCODING).iter().next_back();
    Ok(match (coding, length) {
        (Some(coding), length) if is_chunked(coding) => {
            // Who says both may have meant either; the next answer could begin anywhere.
            (Body::Chunked(Chunked::default()), keeps && length.is_none())
        }
        (None, Some(0)) => (Body::Done, keeps),
        (None, Some(bytes)) => (Body::Length(bytes), keeps),
        _ => (Body::UntilClose, false),
    })
}

fn says(headers: &HeaderMap, option: &str) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(option))
}

/// `chunked` comes last.
fn is_chunked(coding: &HeaderValue) -> bool {
    let last = coding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// What the head says of it; twice the same is once.
fn length(headers: &HeaderMap) -> Result<Option<u64>> {
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for said in value.as_bytes().split(|byte| *byte == b',') {
            let digits = std::str::from_utf8(said.trim_ascii()).ok().filter(|text| !text.starts_with('+'));
            let Some(bytes) = digits.and_then(|digits| digits.parse().ok()) else {
                return Error::e_explain(ErrorType::InvalidHTTPHeader, "a content-length that is none");
            };
            if found.replace(bytes).is_some_and(|before: u64| before != bytes) {
                return Error::e_explain(ErrorType::InvalidHTTPHeader, "two lengths of one body");
            }
        }
    }
    Ok(found)
}
