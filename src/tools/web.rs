//! Requests of tools. Who serves requests makes them: it has the connections.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use crate::config::runtime::BaseUrl;

/// For a connection.
pub const CONNECT: Duration = Duration::from_secs(5);

/// One request. Its headers may hold credentials.
pub struct Request {
    pub method: Method,
    /// Where it goes; its path means nothing.
    pub server: BaseUrl,
    /// In place of what the name of the host stands for: these have been looked at, another look may find others.
    pub addresses: Option<Vec<SocketAddr>>,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.server.authority)
    }
}

/// An answer whose head is there.
#[async_trait]
pub trait Answer: Send {
    fn status(&self) -> StatusCode;

    fn headers(&self) -> &HeaderMap;

    /// The next piece of the body; `None` at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, String>;
}

/// Makes requests. Errors say what happened without the address: they may reach a model.
#[async_trait]
pub trait Web: Send + Sync + fmt::Debug {
    async fn send(&self, request: Request) -> Result<Box<dyn Answer>, String>;
}

/// A header as text.
pub fn header<'a>(answer: &'a dyn Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// As much of the body as may be read, and whether that is all.
pub async fn read(answer: &mut dyn Answer, most_bytes: usize) -> Result<(Bytes, bool), String> {
    let mut all = BytesMut::new();
    while let Some(piece) = answer.piece().await? {
        let room = most_bytes.saturating_sub(all.len());
        if piece.len() > room {
            all.extend_from_slice(piece.get(..room).unwrap_or_default());
            return Ok((all.freeze(), false));
        }
        all.extend_from_slice(&piece);
    }
    Ok((all.freeze(), true))
}

/// What a model reads of a body: text, with what cannot be read replaced, and a word where it was cut off.
pub fn text(body: &[u8], is_whole: bool) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    if !is_whole {
        text.push_str(&format!("\n[cut off after {} bytes]", body.len()));
    }
    text
}
