//! Streamable HTTP towards a server, over the gateway's own connections.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

use crate::config::runtime::BaseUrl;
use crate::config::tools::ToolUrl;
use crate::secret::Secret;
use crate::tools::web::{self, Answer, Request, Web};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
/// At the same time; more wait.
const MOST_REQUESTS: usize = 256;
/// Beside what its tools may answer: a list is not bounded by that.
const LEAST_BYTES: usize = 4 << 20;

/// The transport to a server's endpoint.
pub(super) fn http(
    url: &ToolUrl,
    headers: &[(String, Secret)],
    most_bytes: usize,
    web: &Arc<dyn Web>,
) -> Result<StreamableHttpClientTransport<Client>, String> {
    let mut own = HashMap::with_capacity(headers.len());
    for (name, value) in headers {
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.expose())) else {
            return Err(format!("the header {name} cannot be written"));
        };
        value.set_sensitive(true);
        own.insert(name, value);
    }
    let path = super::super::http::path_of(url.whole.expose()).to_owned();
    let most_bytes = most_bytes.max(LEAST_BYTES);
    let client = Client { server: url.base.clone(), path, most_bytes, web: Arc::clone(web) };
    // The address is the client's own affair: it may hold a secret, and errors show what stands here.
    let config =
        StreamableHttpClientTransportConfig::with_uri("mcp").custom_headers(own).max_concurrent_requests(MOST_REQUESTS);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// Makes the requests of one connection.
#[derive(Debug, Clone)]
pub(super) struct Client {
    server: BaseUrl,
    path: String,
    most_bytes: usize,
    web: Arc<dyn Web>,
}

/// What went wrong on the way.
#[derive(Debug)]
pub(super) struct WebError(String);

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WebError {}

type Failure = StreamableHttpError<WebError>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

impl Client {
    async fn send(
        &self,
        method: Method,
        (session, token): (Option<&str>, Option<String>),
        more: HashMap<HeaderName, HeaderValue>,
        own: HeaderMap,
        body: Bytes,
    ) -> Result<Box<dyn Answer>, Failure> {
        let value = |text: &str| HeaderValue::try_from(text).map_err(|_| failure("a header cannot be written"));
        let mut headers: HeaderMap = more.into_iter().collect();
        headers.extend(own);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
        if let Some(session) = session {
            headers.insert(SESSION, value(session)?);
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, value(&format!("Bearer {token}"))?);
        }
        let (server, path) = (self.server.clone(), self.path.clone());
        let request = Request { method, server, addresses: None, path, headers, body };
        self.web.send(request).await.map_err(failure)
    }

    /// What a refusal says, if it speaks the protocol.
    async fn refused(&self, answer: &mut dyn Answer) -> Result<StreamableHttpPostResponse, Failure> {
        let status = answer.status();
        if let Some(asked) = web::header(answer, WWW_AUTHENTICATE.as_str()).filter(|_| status == 401) {
            return Err(Failure::AuthRequired(AuthRequiredError::new(asked.to_owned())));
        }
        let (body, _) = web::read(answer, self.most_bytes).await.map_err(failure)?;
        match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
            Ok(error @ ServerJsonRpcMessage::Error(_)) => Ok(StreamableHttpPostResponse::Json(error, None)),
            _ => Err(Failure::UnexpectedServerResponse(Cow::Owned(format!("status {}", status.as_u16())))),
        }
    }
}

impl StreamableHttpClient for Client {
    type Error = WebError;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body = Bytes::from(serde_json::to_vec(&message)?);
        let mut own = HeaderMap::with_capacity(3);
        own.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        own.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let session = session_id.as_deref();
        let mut answer = self.send(Method::POST, (session, auth_header), custom_headers, own, body).await?;
        let status = answer.status().as_u16();
        if matches!(status, 202 | 204) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == 404 && session.is_some() {
            return Err(Failure::SessionExpired);
        }
        if !(200..300).contains(&status) {
            return self.refused(answer.as_mut()).await;
        }
        let session = web::header(answer.as_ref(), SESSION.as_str()).map(str::to_owned);
        let kind = web::header(answer.as_ref(), CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("text/event-stream") {
            return Ok(StreamableHttpPostResponse::Sse(events(answer, self.most_bytes), session));
        }
        let (body, is_whole) = web::read(answer.as_mut(), self.most_bytes).await.map_err(failure)?;
        if !is_whole {
            return Err(Failure::ResponseBodyTooLarge { max_size: self.most_bytes });
        }
        match serde_json::from_slice(&body) {
            Ok(message) => Ok(StreamableHttpPostResponse::Json(message, session)),
            // To what asks for nothing, some servers answer with nothing, or with anything.
            Err(_) if !matches!(message, ClientJsonRpcMessage::Request(_)) => Ok(StreamableHttpPostResponse::Accepted),
            Err(_) if !kind.starts_with("application/json") => Err(Failure::UnexpectedContentType(Some(kind))),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let session = Some(&*session_id);
        let (own, body) = (HeaderMap::new(), Bytes::new());
        let answer = self.send(Method::DELETE, (session, auth_header), custom_headers, own, body).await?;
        match answer.status().as_u16() {
            200..300 => Ok(()),
            405 => Err(Failure::ServerDoesNotSupportDeleteSession),
            status => Err(Failure::UnexpectedServerResponse(Cow::Owned(format!("status {status}")))),
        }
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Failure> {
        let mut own = HeaderMap::with_capacity(2);
        own.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = last_event_id.and_then(|id| HeaderValue::try_from(id).ok()) {
            own.insert(LAST_EVENT, id);
        }
        let session = session_id.as_deref();
        let answer = self.send(Method::GET, (session, auth_header), custom_headers, own, Bytes::new()).await?;
        let kind = web::header(answer.as_ref(), CONTENT_TYPE.as_str()).unwrap_or_default();
        match answer.status().as_u16() {
            200..300 if kind.to_ascii_lowercase().starts_with("text/event-stream") => {
                Ok(events(answer, self.most_bytes))
            }
            404 if session.is_some() => Err(Failure::SessionExpired),
            _ => Err(Failure::ServerDoesNotSupportSse),
        }
    }
}

fn failure(why: impl Into<String>) -> Failure {
    Failure::Client(WebError(why.into()))
}

/// The events of an answer, none of them longer than that.
fn events(answer: Box<dyn Answer>, most_bytes: usize) -> Events {
    let pieces = unfold((Some(answer), 0_usize), move |(answer, held)| async move {
        let mut answer = answer?;
        let piece = match answer.piece().await {
            Ok(piece) => piece?,
            Err(why) => return Some((Err(WebError(why)), (None, 0))),
        };
        // An event ends with an empty line: what is held of one is at most what came since.
        let ends = piece.windows(2).any(|two| two == b"\n\n") || piece.windows(4).any(|four| four == b"\r\n\r\n");
        let held = if ends { piece.len() } else { held.saturating_add(piece.len()) };
        if held > most_bytes {
            return Some((Err(WebError("an event is too long".to_owned())), (None, 0)));
        }
        Some((Ok::<Bytes, WebError>(piece), (Some(answer), held)))
    });
    SseStream::from_bytes_stream(pieces.boxed()).boxed()
}
