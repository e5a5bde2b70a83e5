//! The client's body, whole: within a size and within a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use pingora_timeout::fast_timeout::fast_timeout;

use super::unpack::{Coding, Unpack};
use crate::error::{Error, Kind, Result};

/// After an answer to a body nobody will read, the client gets this long to stop sending: a
/// connection closed with unread data loses the answer on its way.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// Reads the body. One piece is handed on as it came; several are joined.
pub(super) async fn read(session: &mut Session, limit_bytes: usize, within: Duration) -> Result<Bytes> {
    let head = session.req_header();
    let coding = Coding::of(&head.headers)?;
    let announced = announced(head, limit_bytes)?;
    if head.headers.get(EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        go_on(session).await?;
    }
    let reading = async {
        match coding {
            Some(coding) => read_packed(session, limit_bytes, coding).await,
            None => read_all(session, limit_bytes, announced).await,
        }
    };
    // Armed only where there is something to wait for.
    let body = fast_timeout(within, reading).await.unwrap_or_else(|_| {
        Err(Error::new(Kind::BodyTimeout, format!("the request body did not arrive within {}s", within.as_secs())))
    });
    if body.is_err() {
        // Where it ends nobody knows.
        session.set_keepalive(None);
    }
    body
}

/// The length that a head announces, refused where it is over the limit.
pub(super) fn announced(head: &RequestHeader, limit_bytes: usize) -> Result<Option<usize>> {
    let length = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    match length {
        Some(length) if length > limit_bytes => Err(too_large(limit_bytes)),
        length => Ok(length),
    }
}

/// Sends `100 Continue`. The framework closes a connection whose answer begins before its body is
/// read, and takes this interim answer for one; hence the switch around it.
async fn go_on(session: &mut Session) -> Result<()> {
    let client = &mut session.downstream_session;
    client.set_close_on_response_before_downstream_finish(false);
    let sent = client.write_continue_response().await;
    client.set_close_on_response_before_downstream_finish(true);
    sent.map_err(gone)
}

async fn read_all(session: &mut Session, limit_bytes: usize, announced: Option<usize>) -> Result<Bytes> {
    let Some(first) = session.downstream_session.read_request_body().await.map_err(unread)? else {
        return Ok(Bytes::new());
    };
    if announced == Some(first.len()) && first.len() <= limit_bytes {
        // Reads the end mark, which makes the connection fit for another request. HTTP/2's may be an empty frame.
        while let Some(more) = session.downstream_session.read_request_body().await.map_err(unread)? {
            if !more.is_empty() {
                return Err(Error::new(Kind::InvalidRequest, "the body is longer than its content-length"));
            }
        }
        return Ok(first);
    }
    let mut body = BytesMut::with_capacity(announced.unwrap_or(first.len() * 4).min(limit_bytes));
    let mut piece = Some(first);
    while let Some(bytes) = piece {
        if body.len() + bytes.len() > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        body.extend_from_slice(&bytes);
        piece = session.downstream_session.read_request_body().await.map_err(unread)?;
    }
    Ok(body.freeze())
}

/// Reads a body that is packed; both what comes and what comes out of it are held to the limit.
async fn read_packed(session: &mut Session, limit_bytes: usize, coding: Coding) -> Result<Bytes> {
    let mut unpack = Unpack::new(coding, limit_bytes)?;
    let mut came_bytes = 0;
    while let Some(piece) = session.downstream_session.read_request_body().await.map_err(unread)? {
        came_bytes += piece.len();
        if came_bytes > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        unpack.push(&piece).await?;
    }
    match came_bytes {
        0 => Ok(Bytes::new()),
        _ => unpack.finish(),
    }
}

pub(super) fn too_large(limit_bytes: usize) -> Error {
    Error::new(Kind::BodyTooLarge, format!("the request body is over the limit of {limit_bytes} bytes"))
}

pub(super) fn gone(error: Box<pingora_core::Error>) -> Error {
    Error::new(Kind::ClientGone, "the client closed the connection").with_detail(error)
}

/// A body that could not be read: the client left, or sends what is no body.
fn unread(error: Box<pingora_core::Error>) -> Error {
    match error.etype().as_str() {
        "InvalidChunk" | "InvalidTrailerEnd" => {
            Error::new(Kind::InvalidRequest, "the body is not what its transfer-encoding says").with_detail(error)
        }
        _ => gone(error),
    }
}
