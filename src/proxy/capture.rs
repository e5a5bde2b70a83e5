//! Debug capture on the way of a request: what of an exchange is handed to its recorder, where it has one.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, response};
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use pingora_proxy::Session;

use super::context::{Attempt, Exchange};
use super::{Gateway, connector};
use crate::capture::{About, Captures, Leg, Recorder, To};
use crate::secret::Secret;
use crate::tenant::credential::{self, CREDENTIAL_HEADERS};

/// A shorter part of a header is no credential.
const SHORTEST_SECRET_BYTES: usize = 8;

impl Gateway {
    /// The request is here. Where somebody wants to see such, what is taken of it begins.
    pub(super) fn capture(&self, session: &Session, x: &mut Exchange) {
        let Some(recorder) = self.captures.recorder(|| about(x)) else { return };
        let head = session.req_header();
        recorder.asked((&head.method, &head.uri, &head.headers), &x.body, shown(&head.headers));
        x.capture = Some(recorder);
    }
}

fn about(x: &Exchange) -> Option<About> {
    let key = &x.caller.as_ref()?.key;
    Some(About {
        request_id: x.request_id,
        started_at: x.started_at,
        started: x.started,
        tenant: key.tenant.id.clone(),
        key: key.id.clone(),
        format: x.endpoint.map_or("unknown", |endpoint| endpoint.as_str()),
    })
}

/// Everything in the client's head that may be a credential: it is taken out wherever it comes again.
fn shown(headers: &HeaderMap) -> Vec<Secret> {
    let values = CREDENTIAL_HEADERS.iter().flat_map(|name| headers.get_all(name));
    let parts = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([' ', ',', ';']));
    let long = parts.filter(|part| part.len() >= SHORTEST_SECRET_BYTES).map(Secret::new);
    // As the user of HTTP Basic it stands there in base64.
    let credential = credential::extract(headers, None).ok();
    let known = credential.and_then(|shown| std::str::from_utf8(shown.secret()).ok().map(Secret::new));
    known.into_iter().chain(long).collect()
}

/// An attempt is about to be made.
pub(super) fn leg(recorder: &Arc<Recorder>, attempt: &Attempt) -> Option<Leg> {
    let deployment = &attempt.target.deployment;
    let to = To {
        provider: deployment.name.clone(),
        endpoint: deployment.id.clone(),
        model: attempt.target.model.clone(),
        format: attempt.prepared.refusals().as_str(),
        kind: attempt.why.as_str(),
    };
    let operators = deployment.headers.iter().map(|(_, value)| value.clone());
    let mut secrets = deployment.signer.secrets();
    secrets.extend(operators.filter(|value| value.expose().len() >= SHORTEST_SECRET_BYTES));
    recorder.leg(to, secrets)
}

/// A piece of the provider's answer.
pub(super) fn piece(attempt: &Attempt, piece: Option<&Bytes>) {
    if let (Some(leg), Some(piece)) = (&attempt.capture, piece) {
        leg.piece(piece);
    }
}

/// An answer that was kept comes in the provider's place.
pub(super) fn replayed(attempt: &Attempt, from: &connector::Leg) {
    if let (Some(leg), Some(head)) = (&attempt.capture, from.head()) {
        leg.answered(head.status.as_u16(), &head.headers);
    }
}

/// The head of the client's answer.
pub(super) fn head(x: &Exchange, head: &response::Parts) {
    if let Some(recorder) = &x.capture {
        recorder.head(head.status.as_u16(), &head.headers);
    }
}

/// A piece of its body.
pub(super) fn out(x: &Exchange, piece: &Bytes) {
    if let Some(recorder) = &x.capture {
        recorder.piece(piece);
    }
}

/// Writes what was captured, for as long as the process lives.
pub(super) struct Writing(pub(super) Arc<Captures>);

#[async_trait]
impl BackgroundService for Writing {
    async fn start(&self, _shutdown: ShutdownWatch) {
        loop {
            self.0.wait().await;
            let captures = Arc::clone(&self.0);
            let _ = tokio::task::spawn_blocking(move || captures.work()).await;
        }
    }
}
