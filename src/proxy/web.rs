//! Requests of tools, over connections of their own: made for one request, and closed behind it, so that nobody
//! finds a connection that another's words led somewhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora_core::connectors::ConnectorOptions;

use super::connector::{Leg, Pools, Upstream};
use crate::tools::web::{Answer, CONNECT, Request, Web};

/// Between two reads. Tools have deadlines of their own; a stream of a server's may be silent for long.
const SILENCE: Duration = Duration::from_secs(5 * 60);

/// See the module documentation.
#[derive(Debug)]
struct Connected {
    pools: Pools,
}

/// What tools make their requests with.
pub(super) fn connected() -> Arc<dyn Web> {
    Arc::new(Connected { pools: Pools::new(ConnectorOptions::new(1)) })
}

#[async_trait]
impl Web for Connected {
    async fn send(&self, request: Request) -> Result<Box<dyn Answer>, String> {
        let host = request.server.host.clone();
        let broken = |what: &str| format!("The connection to {host} {what}.");
        let Request { method, server, addresses, path, headers, body } = request;
        let head = http::Request::builder().method(method).uri(path).body(());
        let (mut head, ()) = head.map_err(|_| "The address cannot be asked for.".to_owned())?.into_parts();
        head.headers = headers;
        let authority =
            HeaderValue::try_from(&server.authority).map_err(|_| "The host cannot be asked for.".to_owned())?;
        head.headers.insert(HOST, authority);
        let upstream = match addresses {
            Some(addresses) => Upstream::pinned(server, &addresses, CONNECT),
            None => Upstream::plain(server, CONNECT),
        };
        let mut leg = self.pools.connect(&upstream).await.map_err(|_| broken("could not be made"))?;
        leg.send(head, body).await.map_err(|_| broken("broke"))?;
        leg.set_read_patience(SILENCE);
        leg.read_head().await.map_err(|_| broken("broke before an answer came"))?;
        let Some(head) = leg.head() else { return Err(broken("broke before an answer came")) };
        let (status, headers) = (head.status, head.headers.clone());
        Ok(Box::new(Open { host, leg, status, headers }))
    }
}

/// An answer that is being read.
struct Open {
    host: String,
    leg: Leg,
    status: StatusCode,
    headers: HeaderMap,
}

#[async_trait]
impl Answer for Open {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        self.leg.read_body().await.map_err(|_| format!("The connection to {} broke.", self.host))
    }
}
