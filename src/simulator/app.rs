//! The simulator as a Pingora application: reads a request, writes its answer at the pace and with
//! the faults of its model.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::listening::Service;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use serde_json::Value;

use super::log::Outcome;
use super::model::Fault;
use super::route::{Asked, State};

/// Longest body read.
const MOST_BODY_BYTES: usize = 64 << 20;

/// The simulated provider.
#[derive(Debug, Default)]
pub struct Simulator {
    state: State,
}

/// The application, for a Pingora service or for [`super::serve`].
pub fn app() -> Simulator {
    Simulator::default()
}

/// A Pingora service without an address yet: `service().add_tcp("127.0.0.1:0")`.
pub fn service() -> Service<Simulator> {
    Service::new("simulator".to_owned(), app())
}

/// What is sent back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) pace: Duration,
    pub(super) fault: Fault,
}

#[derive(Debug)]
pub(super) enum Body {
    Whole(Vec<u8>),
    Stream(Vec<Frame>),
}

/// One write of a stream.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    /// Has a piece of the answer in it: what faults count by.
    pub(super) is_content: bool,
}

impl Frame {
    pub(super) fn last(bytes: Vec<u8>) -> Self {
        Self { bytes, is_content: false }
    }
}

impl Body {
    pub(super) fn json(json: &Value) -> Self {
        Self::Whole(json.to_string().into_bytes())
    }
}

impl Answer {
    pub(super) fn json(status: u16, json: &Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::json(json), pace: Duration::ZERO, fault: Fault::None }
    }
}

#[async_trait]
impl HttpServerApp for Simulator {
    async fn process_new_http(
        self: &Arc<Self>,
        mut http: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !http.read_request().await.ok()? {
            return None;
        }
        http.set_keepalive((!*shutdown.borrow()).then_some(60));
        let asked = read(&mut http).await.ok()?;
        let (answer, number) = self.state.answer(&asked);
        let fault = answer.fault;
        let outcome = match write(&mut http, answer).await {
            Err(_) => Outcome::ClientGone,
            Ok(()) if matches!(fault, Fault::StreamCut | Fault::Stall | Fault::Hang) => Outcome::Cut,
            Ok(()) => Outcome::Answered,
        };
        if let Some(number) = number {
            self.state.log().end(number, outcome);
        }
        if outcome != Outcome::Answered {
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&http);
        let stream = http.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

async fn read(http: &mut ServerSession) -> Result<Asked> {
    let head = http.req_header();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let mut asked = Asked {
        method: head.method.as_str().to_owned(),
        path,
        headers: head.headers.iter().map(header).collect(),
        body: Vec::new(),
    };
    let waits = asked.headers.iter().any(|(n, v)| n == "expect" && v.eq_ignore_ascii_case("100-continue"));
    if waits {
        http.write_continue_response().await?;
    }
    while let Some(piece) = http.read_request_body().await? {
        asked.body.extend_from_slice(&piece);
        if asked.body.len() > MOST_BODY_BYTES {
            return Error::e_explain(ErrorType::InvalidHTTPHeader, "body too large");
        }
    }
    Ok(asked)
}

/// Writes the answer; an error says that the client is gone.
async fn write(http: &mut ServerSession, answer: Answer) -> Result<()> {
    if answer.fault == Fault::Hang {
        return until_client_leaves(http).await.map(|never| match never {});
    }
    let mut head = ResponseHeader::build(StatusCode::from_u16(answer.status).unwrap_or_default(), None)?;
    for (name, value) in &answer.headers {
        head.insert_header(*name, value)?;
    }
    head.insert_header("x-request-id", "req_sim")?;
    match answer.body {
        Body::Whole(body) => write_whole(http, head, body, answer.fault).await,
        Body::Stream(frames) => write_stream(http, head, frames, answer.pace, answer.fault).await,
    }
}

async fn write_whole(http: &mut ServerSession, mut head: ResponseHeader, body: Vec<u8>, fault: Fault) -> Result<()> {
    head.insert_header("content-type", "application/json")?;
    let mut body = Bytes::from(body);
    if matches!(fault, Fault::StreamCut | Fault::Stall) {
        // Chunked, because Pingora holds back a body of known length until it is complete.
        head.insert_header("transfer-encoding", "chunked")?;
        http.write_response_header(Box::new(head)).await?;
        http.write_response_body(body.split_to(body.len() / 2), false).await?;
        if fault == Fault::Stall {
            until_client_leaves(http).await?;
        }
        return Ok(());
    }
    head.insert_header("content-length", body.len().to_string())?;
    http.write_response_header(Box::new(head)).await?;
    http.write_response_body(body, true).await
}

async fn write_stream(
    http: &mut ServerSession,
    mut head: ResponseHeader,
    frames: Vec<Frame>,
    pace: Duration,
    fault: Fault,
) -> Result<()> {
    if !head.headers.contains_key("content-type") {
        head.insert_header("content-type", "text/event-stream; charset=utf-8")?;
    }
    head.insert_header("cache-control", "no-cache")?;
    head.insert_header("transfer-encoding", "chunked")?;
    http.write_response_header(Box::new(head)).await?;
    let mut content_count = 0;
    for frame in frames {
        if !pace.is_zero() {
            wait(http, pace).await?;
        }
        http.write_response_body(frame.bytes.into(), false).await?;
        content_count += usize::from(frame.is_content);
        match fault {
            Fault::StreamCut if content_count == 3 => return Ok(()),
            Fault::Stall if content_count == 1 => until_client_leaves(http).await.map(drop)?,
            _ => {}
        }
    }
    http.write_response_body(Bytes::new(), true).await
}

/// Waits, unless the client leaves first.
async fn wait(http: &mut ServerSession, pause: Duration) -> Result<()> {
    tokio::select! {
        left = until_client_leaves(http) => left.map(|never| match never {}),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}

async fn until_client_leaves(http: &mut ServerSession) -> Result<Infallible> {
    loop {
        http.read_body_or_idle(true).await?;
    }
}
