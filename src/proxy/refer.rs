//! Items of answers that clients refer to by their ids, for Responses clients of providers of other formats.
//!
//! Some SDKs send back no item that has an id, but a reference to it (the Vercel AI SDK, unless it is told
//! `store: false`), and such providers keep none. So items are remembered here, for each tenant apart, in memory,
//! for a day and no more than so many bytes; a reference becomes the item before anybody looks at the request.
//! Answers to requests with `store: false` are not remembered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memmem;

use super::Gateway;
use super::body;
use super::context::Exchange;
use crate::compress::originals::{Bounds, Originals};
use crate::error::Result;
use crate::stage::accept::Endpoint;
use crate::wire::envelope::Envelope;
use crate::wire::json::{self, Arr, Json, Str};
use crate::wire::splice::Splice;
use crate::wire::{Dialect, scan};

const REFERENCE: &str = "item_reference";
/// The event that repeats all items of a stream.
const LAST: [&[u8]; 2] = [b"event: response.completed\ndata: ", b"event: response.incomplete\ndata: "];

/// Where items are remembered.
pub(super) fn items() -> Originals {
    let time_to_live = Duration::from_hours(24);
    Originals::new(Bounds { most_bytes_of_one: 16 << 20, most_bytes: 128 << 20, time_to_live })
}

/// Puts what is remembered in the place of references. Others stay: the provider may know them. Many may be to one
/// item, so what comes of a body is bounded as bodies are.
pub(super) fn put_in(gateway: &Gateway, x: &mut Exchange) -> Result<()> {
    if x.endpoint == Some(Endpoint::Responses)
        && memmem::find(&x.body, REFERENCE.as_bytes()).is_some()
        && let Some(body) = resolved(gateway, x).transpose()?
    {
        x.body = body;
    }
    Ok(())
}

/// The body with what is known in it; nothing where there is nothing to put in.
fn resolved(gateway: &Gateway, x: &Exchange) -> Option<Result<Bytes>> {
    let limit_bytes = x.live.runtime.server.max_body_bytes;
    let (tenant, now) = (&x.caller.as_ref()?.key.tenant.id, Instant::now());
    let envelope = Envelope::parse(&x.body).ok()?;
    let list: Vec<Json<'_>> = json::parse(envelope.present("input")?).ok()?;
    let (mut input, mut is_changed, mut length) = (Vec::new(), false, x.body.len());
    {
        let mut input = Arr::new(&mut input);
        for item in list {
            let known = referred(item.get()).and_then(|id| gateway.items.get(tenant, &id, now));
            if let Some(known) = &known {
                (is_changed, length) = (true, length + known.len());
            }
            if length > limit_bytes {
                return Some(Err(body::too_large(limit_bytes)));
            }
            input.raw(known.as_deref().unwrap_or_else(|| item.get()));
        }
    }
    let mut splice = Splice::new(&envelope);
    splice.replace("input", String::from_utf8(input).ok()?);
    is_changed.then(|| Ok(Bytes::from(splice.write())))
}

/// The id that a reference names.
fn referred(item: &str) -> Option<String> {
    let [kind, id] = scan::several(item, ["type", "id"]);
    let is_reference = Str::from_raw(kind?)?.is(REFERENCE);
    Some(Str::from_raw(id?).filter(|_| is_reference)?.text().into_owned())
}

/// Remembers the items of an answer that is about to go to its client, whole or as the end of a stream.
pub(super) fn keep(gateway: &Gateway, x: &Exchange, answer: &[u8]) {
    let Some(attempt) = x.attempt.as_ref().filter(|_| x.endpoint == Some(Endpoint::Responses)) else { return };
    let (Some(caller), Some(parsed)) = (&x.caller, &x.parsed) else { return };
    let is_own = attempt.prepared.dialect == Dialect::Responses;
    if is_own || Envelope::restore(&x.body, &parsed.outline).present("store") == Some("false") {
        return;
    }
    let response = match LAST.iter().find_map(|event| Some(memmem::rfind(answer, event)? + event.len())) {
        Some(at) => answer.get(at..).unwrap_or_default(),
        None => answer,
    };
    let Some(response) = std::str::from_utf8(response).ok().map(|text| text.trim_end()) else { return };
    let response = scan::member(response, "response").filter(|it| it.starts_with('{')).unwrap_or(response);
    let items: Vec<Json<'_>> = scan::member(response, "output").and_then(|it| json::parse(it).ok()).unwrap_or_default();
    let now = Instant::now();
    for item in items {
        if let Some(id) = scan::member(item.get(), "id").and_then(Str::from_raw) {
            gateway.items.keep_as(&caller.key.tenant.id, &id.text(), item.get(), now);
        }
    }
}
