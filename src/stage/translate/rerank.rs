//! Requests for a ranking.

use super::{Prepared, Source, Turn, no_endpoint, rendered};
use crate::error::Result;
use crate::stage::route::Target;
use crate::wire::envelope::Envelope;
use crate::wire::ir::Dropped;
use crate::wire::lane::Lane;
use crate::wire::rerank::{self, Request};
use crate::wire::splice::Splice;

/// Writes the request for `target`: the client's bytes where its vendor takes them.
pub(super) fn prepare(source: Source<'_>, target: &Target) -> Result<Prepared> {
    let api = target.deployment.provider.paths.rerank.ok_or_else(|| no_endpoint(source, target))?;
    let envelope = Envelope::restore(source.body, &source.parsed.outline);
    let request = Request::decode(envelope.body())?;
    let mut dropped = Dropped::default();
    let kept = request.fits(api.shape);
    let mut splice = Splice::new(&envelope);
    if source.parsed.model != target.model {
        splice.set_text("model", &target.model);
    }
    let (lane, body) = match (kept, splice.is_empty()) {
        (true, true) => (Lane::Pass, source.body.clone().into()),
        (true, false) => (Lane::Splice, splice.write_around(source.body)),
        (false, _) => (Lane::Translate, request.encode(api.shape, &target.model, &mut dropped)?.into()),
    };
    Ok(Prepared {
        lane,
        path: rendered(api.path, target),
        body,
        dropped,
        turn: Some(Turn::Rerank(rerank::Turn { client: request.client, upstream: api.shape, kept })),
        kept,
        ..Prepared::passed(api.shape.dialect(), source.endpoint)
    })
}
