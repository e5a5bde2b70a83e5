//! A request to the gateway itself, for the demonstration: over a real socket, with the framework's
//! own client.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use pingora_core::connectors::http::Connector;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::secret::Secret;

const WITHIN: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    head: ResponseHeader,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// A client of one gateway.
pub(crate) struct Probe {
    address: SocketAddr,
    key: Secret,
    connector: Connector,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probe({})", self.address)
    }
}

impl Probe {
    pub(crate) fn new(address: SocketAddr, key: Secret) -> Self {
        Self { address, key, connector: Connector::new(None) }
    }

    /// Posts JSON and reads the whole answer.
    pub(crate) async fn post(&self, path: &str, body: &'static str) -> Result<Answer, String> {
        match tokio::time::timeout(WITHIN, self.exchange(path, body)).await {
            Ok(answer) => answer.map_err(|e| e.to_string()),
            Err(_) => Err(format!("no answer within {}s", WITHIN.as_secs())),
        }
    }

    async fn exchange(&self, path: &str, body: &'static str) -> pingora_core::Result<Answer> {
        #[expect(clippy::disallowed_methods, reason = "handed an address, it neither resolves nor fails")]
        let peer = HttpPeer::new(self.address, false, String::new());
        let (mut session, _) = self.connector.get_http_session(&peer).await?;
        let mut head = RequestHeader::build("POST", path.as_bytes(), Some(4))?;
        head.insert_header(HOST, self.address.to_string())?;
        head.insert_header(AUTHORIZATION, format!("Bearer {}", self.key.expose()))?;
        head.insert_header(CONTENT_TYPE, "application/json")?;
        head.insert_header(CONTENT_LENGTH, body.len())?;
        session.write_request_header(Box::new(head)).await?;
        session.write_request_body(Bytes::from_static(body.as_bytes()), true).await?;
        session.read_response_header().await?;
        let head = session.response_header().cloned().ok_or_else(|| pingora_core::Error::new_str("no head"))?;
        let mut text = Vec::new();
        while let Some(piece) = session.read_response_body().await? {
            text.extend_from_slice(&piece);
        }
        Ok(Answer { status: head.status.as_u16(), body: String::from_utf8_lossy(&text).into_owned(), head })
    }
}
