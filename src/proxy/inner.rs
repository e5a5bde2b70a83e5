//! Requests that the gateway itself makes, for a caller: texts to be embedded, a text to be judged. They take
//! the way of every request but for what stands in front of it: who asks is known already, and nobody can
//! ask from outside. The connection is a piece of memory.
//!
//! None of them has guards, tools, compression or kept answers, so none makes another one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{Method, StatusCode, request};
use pingora_proxy::Session;
use tokio::time::timeout;

use super::context::Exchange;
use super::http1::Http1;
use super::{Gateway, X_REQUEST_ID, parse_body, relay};
use crate::error::{Error, Kind, Result};
use crate::limit::Admission;
use crate::record::trace::SpanId;
use crate::record::{Outcome, Purpose};
use crate::stage::accept;
use crate::wire::pieces::Pieces;

/// Heads, and as much of an answer as nobody has read yet.
const PIPE_BYTES: usize = 16 * 1024;
/// Longer answers are cut off: nothing asked for here is that long.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What is asked, and what for.
pub(super) struct Inner {
    pub(super) purpose: Purpose,
    pub(super) path: &'static str,
    pub(super) body: Bytes,
    /// For the whole answer.
    pub(super) within: Duration,
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Bytes>> + Send + 'a>>;

impl Gateway {
    /// Asks for the caller of `x`, who pays for it: a request with limits, a row and an id of its own. Gives
    /// back the body of a good answer. (Boxed, since it is a request inside of one.)
    pub(super) fn ask_self<'a>(&'a self, x: &'a Exchange, inner: Inner) -> Asked<'a> {
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            let (mut client, mut session) = (Http1::new(Box::new(near), None), Session::new_h1(Box::new(far)));
            client.send(&head(x, inner.path)?, &Pieces::default()).await.map_err(Error::internal)?;
            session.downstream_session.read_request().await.map_err(Error::internal)?;
            let mut own = Box::new(Exchange::new(Arc::clone(&x.live)));
            (own.caller, own.user, own.tags) = (x.caller.clone(), x.user.clone(), x.tags.clone());
            (own.purpose, own.body) = (Some(inner.purpose), inner.body);
            let listening = async {
                let answer = timeout(inner.within, answer(&mut client)).await;
                // Whoever still answers sees that nobody listens.
                drop(client);
                answer
            };
            let ((), answer) = tokio::join!(self.serve_self(&mut session, &mut own, x.admission.as_ref()), listening);
            self.close(&mut own);
            let (status, body) = match answer {
                Ok(answer) => answer?,
                Err(_) => return Err(Error::new(Kind::UpstreamTimeout, "no answer in time")),
            };
            match status {
                StatusCode::OK => Ok(body),
                status => Err(own.end.error.take().unwrap_or_else(|| {
                    Error::new(Kind::UpstreamFailed, format!("an answer with status {}", status.as_u16()))
                })),
            }
        })
    }

    async fn serve_self(&self, session: &mut Session, x: &mut Exchange, whole: Option<&Admission>) {
        self.open(session, x);
        match self.pass_on(session, x, whole).await {
            Ok(()) if x.end.error.is_none() => x.end.outcome = Outcome::Finished,
            Ok(()) => {}
            Err(error) => self.refuse(session, x, &error).await,
        }
    }

    async fn pass_on(&self, session: &mut Session, x: &mut Exchange, whole: Option<&Admission>) -> Result<()> {
        let endpoint = accept::accept(&Method::POST, session.req_header().uri.path())?;
        (x.endpoint, x.dialect) = (Some(endpoint), endpoint.dialect());
        parse_body(session.req_header(), x, endpoint)?;
        self.route(session, x)?;
        self.limit_within(x, whole).await?;
        relay::run(self, session, x).await
    }
}

/// With what ties its row and its spans to those of the request that it is for.
fn head(x: &Exchange, path: &str) -> Result<request::Parts> {
    let mut head = http::Request::post(path).header(HOST, "weir");
    head = head.header(X_REQUEST_ID, x.request_id.hyphenated().to_string());
    let span = SpanId::of_request(x.request_id);
    for (name, value) in x.trace.iter().flat_map(|trace| trace.headers(span)) {
        head = head.header(name, value);
    }
    Ok(head.body(()).map_err(Error::internal)?.into_parts().0)
}

async fn answer(client: &mut Http1) -> Result<(StatusCode, Bytes)> {
    client.read_head().await.map_err(Error::internal)?;
    let status = client.head().map_or(StatusCode::BAD_GATEWAY, |head| head.status);
    let mut body = BytesMut::new();
    while let Some(piece) = client.read_body().await.map_err(Error::internal)? {
        if body.len() + piece.len() > MAX_BYTES {
            return Err(Error::new(Kind::UpstreamFailed, "the answer is too long"));
        }
        body.extend_from_slice(&piece);
    }
    Ok((status, body.freeze()))
}
