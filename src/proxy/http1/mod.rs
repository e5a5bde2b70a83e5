//! HTTP/1.1 towards providers.
//!
//! The framework's own client sends a request's head before it has seen the body, and gives each chunk of
//! an answer away as a copy of its own. Here head and body go out in one write, and an answer's body is
//! given away in pieces of what was read, chunks moved together. Connecting, TLS and HTTP/2 stay the
//! framework's.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode, request, response};
use pingora_core::protocols::Stream;
use pingora_core::{Error, ErrorType, Result};
use pingora_timeout::fast_timeout::fast_timeout;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};

use crate::wire::chunked::Chunked;
use crate::wire::pieces::Pieces;

mod head;
#[cfg(test)]
mod tests;

/// As much is asked for at once,
const READ_BYTES: usize = 16 * 1024;
/// or so much where the last read found little: of a stream whose events come one by one there are many.
const LITTLE_BYTES: usize = 4 * 1024;
/// With less room than this the next read would be a small one.
const LEAST_ROOM_BYTES: usize = 2 * 1024;
/// A longer body goes out beside the head, not behind it in one buffer.
const COPIED_BYTES: usize = 16 * 1024;
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// What a connection that waits for its next request may hold.
const KEPT_BYTES: usize = 2 * READ_BYTES;

/// Bytes that are no body, where one should be.
const MALFORMED: ErrorType = ErrorType::Custom("MalformedBody");

/// What is still to come of an answer's body.
#[derive(Debug)]
enum Body {
    /// No head has come yet.
    Unknown,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

/// A connection to a provider. It answers one request at a time.
pub(super) struct Http1 {
    stream: Stream,
    /// Read, and not given away.
    buf: BytesMut,
    reads_little: bool,
    answers_head: bool,
    is_sent: bool,
    head: Option<response::Parts>,
    body: Body,
    keeps: bool,
    /// For each read of a body.
    read_patience: Option<Duration>,
    /// For each write of a request.
    write_patience: Option<Duration>,
}

impl std::fmt::Debug for Http1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Http1({:?})", self.body)
    }
}

impl Http1 {
    pub(super) fn new(stream: Stream, write_patience: Option<Duration>) -> Self {
        Self {
            stream,
            buf: BytesMut::new(),
            reads_little: false,
            answers_head: false,
            is_sent: false,
            head: None,
            body: Body::Unknown,
            keeps: false,
            read_patience: None,
            write_patience,
        }
    }

    /// How long each read of the body may take from now on.
    pub(super) fn set_read_patience(&mut self, patience: Duration) {
        self.read_patience = Some(patience);
    }

    /// Sends a request. Where that fails the answer may have come all the same.
    pub(super) async fn send(&mut self, head: &request::Parts, body: &Pieces) -> Result<()> {
        (self.head, self.body, self.keeps, self.is_sent) = (None, Body::Unknown, false, false);
        (self.answers_head, self.read_patience) = (head.method == Method::HEAD, None);
        let is_short = body.len() <= COPIED_BYTES;
        let mut first = head::write(head, body.len(), if is_short { body.len() } else { 0 });
        let mut beside = body.slices();
        if is_short {
            std::mem::take(&mut beside).iter().for_each(|piece| first.extend_from_slice(piece));
        }
        self.write(&first, beside).await?;
        self.is_sent = true;
        Ok(())
    }

    /// Writes one behind the other, all at once where the system takes so much. Each write that gets
    /// anywhere has its time.
    async fn write(&mut self, first: &[u8], [second, third, fourth]: [&[u8]; 3]) -> Result<()> {
        let mut all = Buf::chain(first, Buf::chain(second, Buf::chain(third, fourth)));
        while all.has_remaining() {
            let patience = self.write_patience;
            let written = poll_fn(|cx| {
                let (stream, mut slices) = (Pin::new(&mut self.stream), [IoSlice::new(&[]); 4]);
                let written = match all.chunks_vectored(&mut slices) {
                    0 | 1 => stream.poll_write(cx, all.chunk()),
                    count => stream.poll_write_vectored(cx, slices.get(..count).unwrap_or_default()),
                };
                match written {
                    Poll::Pending if self.is_refused(cx) => Poll::Ready(Ok(0)),
                    written => written,
                }
            });
            match in_time(patience, written).await? {
                0 => return Err(unsent(ErrorKind::WriteZero.into())),
                written => all.advance(written),
            }
        }
        in_time(self.write_patience, self.stream.flush()).await
    }

    /// Whether the provider has answered what is still being sent, and will not do it: it may read no more of
    /// that, and leave the connection open all the same.
    fn is_refused(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            while let Some(end) = head::end(&self.buf, 0) {
                let head = self.buf.get(..end).map(Bytes::copy_from_slice).map(|bytes| head::read(&bytes));
                match head {
                    Some(Ok(head)) if head.status.is_informational() => self.buf.advance(end),
                    Some(Ok(head)) => return !head.status.is_success(),
                    _ => return true,
                }
            }
            if self.buf.len() > MAX_HEAD_BYTES {
                return true;
            }
            self.buf.reserve(LITTLE_BYTES);
            match pin!(self.stream.read_buf(&mut self.buf)).poll(cx) {
                Poll::Ready(Ok(1..)) => {}
                // Whoever has closed is told by the write.
                Poll::Ready(Ok(0) | Err(_)) | Poll::Pending => return false,
            }
        }
    }

    /// Waits for the answer's head. What is only informational is passed over.
    pub(super) async fn read_head(&mut self) -> Result<()> {
        let mut seen = 0;
        loop {
            while let Some(end) = head::end(&self.buf, seen) {
                let head = head::read(&self.buf.split_to(end).freeze())?;
                seen = 0;
                if head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Error::e_explain(ErrorType::InvalidHTTPHeader, "an upgrade that nobody asked for");
                }
                if head.status.is_informational() {
                    continue;
                }
                (self.body, self.keeps) = head::framing(&head, self.answers_head)?;
                self.head = Some(head);
                return Ok(());
            }
            seen = self.buf.len();
            if seen > MAX_HEAD_BYTES {
                return Error::e_explain(ErrorType::InvalidHTTPHeader, "a head that is too long");
            }
            if self.fill().await? == 0 {
                return Error::e_explain(ErrorType::ConnectionClosed, format!("after {seen} bytes of the head"));
            }
        }
    }

    pub(super) fn head(&self) -> Option<&response::Parts> {
        self.head.as_ref()
    }

    /// The next piece of the body; `None` at its end. Nothing is lost if this is dropped while it waits.
    pub(super) async fn read_body(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(piece) = self.piece()? {
                return Ok(Some(piece));
            }
            if matches!(self.body, Body::Unknown | Body::Done) {
                return Ok(None);
            }
            let read = match self.read_patience {
                Some(patience) => match fast_timeout(patience, self.fill()).await {
                    Ok(read) => read?,
                    Err(_) => return Error::e_explain(ErrorType::ReadTimedout, "reading an answer's body"),
                },
                None => self.fill().await?,
            };
            match (read, &self.body) {
                (0, Body::UntilClose) => self.body = Body::Done,
                (0, _) => return Error::e_explain(ErrorType::ConnectionClosed, "before the answer's end"),
                _ => {}
            }
        }
    }

    /// What there is of the body without waiting.
    fn piece(&mut self) -> Result<Option<Bytes>> {
        if self.buf.is_empty() {
            return Ok(None);
        }
        let piece = match &mut self.body {
            Body::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buf.len());
                *left -= here as u64;
                if *left == 0 {
                    self.body = Body::Done;
                }
                self.buf.split_to(here).freeze()
            }
            Body::Chunked(chunked) => {
                let Ok(piece) = chunked.take(&mut self.buf) else {
                    return Error::e_explain(MALFORMED, "reading an answer's body");
                };
                if chunked.is_done() {
                    self.body = Body::Done;
                }
                piece
            }
            Body::UntilClose => self.buf.split().freeze(),
            Body::Unknown | Body::Done => return Ok(None),
        };
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Reads once.
    async fn fill(&mut self) -> Result<usize> {
        let room = if self.reads_little { LITTLE_BYTES } else { READ_BYTES };
        if self.buf.is_empty() && self.buf.capacity() > 2 * room {
            self.buf = BytesMut::with_capacity(room);
        } else if self.buf.capacity() - self.buf.len() < LEAST_ROOM_BYTES {
            self.buf.reserve(room);
        }
        let read = self.stream.read_buf(&mut self.buf).await;
        let read = read.map_err(|e| Error::because(ErrorType::ReadError, "reading an answer", e))?;
        self.reads_little = read < LEAST_ROOM_BYTES;
        Ok(read)
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.body, Body::Done)
    }

    /// Whether it may serve another request, once this one's answer has ended. What it knew of this one is
    /// forgotten.
    pub(super) fn rest(&mut self) -> bool {
        let may = self.is_sent && self.keeps && (!self.is_done() || self.buf.is_empty());
        (self.head, self.keeps, self.read_patience) = (None, false, None);
        if self.buf.is_empty() && self.buf.capacity() > KEPT_BYTES {
            self.buf = BytesMut::new();
        }
        may
    }

    /// Whether the answer has ended, as far as it is there. What comes of it is for nobody.
    pub(super) fn has_ended(&mut self) -> bool {
        // More than an end: somebody goes on answering.
        const MOST_PIECES: usize = 4;
        for _ in 0..MOST_PIECES {
            if matches!(self.body, Body::Unknown | Body::Done) {
                return self.buf.is_empty();
            }
            match pin!(self.read_body()).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            }
        }
        false
    }

    /// Whether nothing was heard of it while it waited: a provider that closes says so.
    pub(super) fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut read).is_pending()
    }
}

/// What a write came to, within its time.
async fn in_time<T>(patience: Option<Duration>, write: impl Future<Output = std::io::Result<T>>) -> Result<T> {
    let written = match patience {
        Some(patience) => fast_timeout(patience, write).await,
        None => Ok(write.await),
    };
    match written {
        Ok(written) => written.map_err(unsent),
        Err(_) => Error::e_explain(ErrorType::WriteTimedout, "sending a request"),
    }
}

fn unsent(error: std::io::Error) -> Box<Error> {
    Error::because(ErrorType::WriteError, "sending a request", error)
}
