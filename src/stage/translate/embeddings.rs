//! Requests for embeddings.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Prepared, Source, Turn, no_endpoint, rendered};
use crate::error::{Error, Result};
use crate::stage::route::Target;
use crate::wire::embeddings::{self, Request, Shape, renamed};
use crate::wire::envelope::Envelope;
use crate::wire::ir::Dropped;
use crate::wire::lane::Lane;
use crate::wire::splice::Splice;

/// Writes the request for `target`: the client's bytes where the shape stays.
pub(super) fn prepare(client: Shape, source: Source<'_>, target: &Target) -> Result<Prepared> {
    let api =
        target.deployment.provider.embeddings(client, &target.model).ok_or_else(|| no_endpoint(source, target))?;
    let envelope = Envelope::restore(source.body, &source.parsed.outline);
    let request = Request::decode(client, envelope.body())?;
    let mut dropped = Dropped::default();
    let kept = api.shape == client;
    let (lane, mut bodies) = match kept {
        true => kept_bytes(client, source, target, &envelope)?,
        false => {
            let bodies = request.encode(api.shape, &target.model, &mut dropped)?;
            (Lane::Translate, bodies.into_iter().map(Bytes::from).collect())
        }
    };
    let body = bodies.pop().ok_or_else(|| Error::internal("a request without a body"))?;
    Ok(Prepared {
        lane,
        path: rendered(api.path, target),
        body: body.into(),
        dropped,
        turn: Some(Turn::Embeddings(embeddings::Turn { client, upstream: api.shape, encoding: request.encoding })),
        earlier: bodies,
        kept,
        ..Prepared::passed(api.shape.dialect(), source.endpoint)
    })
}

/// The same shape: nothing changes but the model's name.
fn kept_bytes(
    client: Shape,
    source: Source<'_>,
    target: &Target,
    envelope: &Envelope<'_>,
) -> Result<(Lane, Vec<Bytes>)> {
    let mut splice = Splice::new(envelope);
    match client {
        // The path names it; what the body repeats is the client's name.
        Shape::GeminiOne => _ = splice.remove("model"),
        Shape::GeminiMany => {
            splice.set("requests", Cow::Owned(renamed(envelope.value("requests").unwrap_or("[]"), &target.model)?));
        }
        _ if source.parsed.model != target.model => splice.set_text("model", &target.model),
        _ => {}
    }
    Ok(match splice.is_empty() {
        true => (Lane::Pass, vec![source.body.clone()]),
        false => (Lane::Splice, vec![Bytes::from(splice.write())]),
    })
}
