//! Answers that need no provider.

use std::sync::Arc;

use bytes::Bytes;
use pingora_proxy::Session;

use super::Gateway;
use super::context::Exchange;
use crate::error::{Error, Result};
use crate::limit::budget::Purse;
use crate::limit::clock::{Moment, unix_ms};
use crate::limit::{KeyLimits, Shown, Who};
use crate::stage::accept::{self, Endpoint};
use crate::stage::models;
use crate::wire::json::Obj;
use crate::wire::seal::Seal;

/// The answer, where this endpoint is one of those.
pub(super) fn answer(gateway: &Gateway, session: &Session, x: &Exchange, endpoint: Endpoint) -> Result<Option<Bytes>> {
    let caller = x.caller.as_ref().ok_or_else(|| Error::internal("no caller"))?;
    let runtime = &x.live.runtime;
    match endpoint {
        Endpoint::Models => models::list(x.dialect, session.req_header().uri.query(), &caller.key, runtime).map(Some),
        Endpoint::Model => {
            let id = accept::model_id(session.req_header().uri.path());
            models::one(x.dialect, &id, &caller.key, runtime).map(Some)
        }
        Endpoint::Limits => Ok(Some(limits(gateway, x))),
        Endpoint::Usage => Ok(Some(usage(x))),
        _ => Ok(None),
    }
}

/// `GET /v1/limits`: the calling key's limits and budgets, and what is left of them; of the user and the
/// tags that it is asked with, too.
fn limits(gateway: &Gateway, x: &Exchange) -> Bytes {
    let mut out = Vec::with_capacity(512);
    {
        let mut body = Obj::new(&mut out);
        body.text("object", "list");
        let (who, at) = (Who { user: x.user.as_deref(), tags: &x.tags }, gateway.clock.moment());
        match &x.caller {
            Some(caller) => write_limits(&caller.limits, &who, at, "data", &mut body),
            None => _ = body.arr("data"),
        }
    }
    Bytes::from(out)
}

/// The limits under that name, and the budgets.
pub(super) fn write_limits(limits: &KeyLimits, who: &Who<'_>, at: Moment, list_name: &str, body: &mut Obj<'_>) {
    let mut list = body.arr(list_name);
    for Shown { scope, name, it: (limited, level) } in limits.levels(who, at) {
        let mut entry = list.obj();
        entry.text("scope", scope).text("name", &name).text("limit_type", limited.as_str());
        entry.num("limit", level.limit).num("remaining", level.remaining).num("reset_ms", level.reset_ms);
    }
    drop(list);
    let mut list = body.arr("budgets");
    for Shown { scope, name, it: balance } in limits.balances(who, at.unix_ms) {
        let mut entry = list.obj();
        entry.text("scope", scope).text("name", &name);
        balance.write(&mut entry);
    }
}

/// `GET /v1/usage`: what the calling key, and its tenant, used today and this month.
fn usage(x: &Exchange) -> Bytes {
    let mut out = Vec::with_capacity(512);
    write_usage(x, &mut Obj::new(&mut out));
    Bytes::from(out)
}

pub(super) fn write_usage(x: &Exchange, body: &mut Obj<'_>) {
    body.text("object", "list");
    let mut list = body.arr("data");
    let unix_ms = unix_ms();
    for purse in purses(x) {
        purse.write_usage(&mut list.obj(), unix_ms);
    }
}

fn purses(x: &Exchange) -> impl Iterator<Item = &Arc<Purse>> {
    x.caller.iter().flat_map(|caller| caller.limits.purses().iter())
}

/// A token count, where the provider has none to offer: counted here, and marked.
pub(super) fn count_tokens(gateway: &Gateway, x: &Exchange, endpoint: Endpoint) -> Result<Option<Bytes>> {
    let upstream_counts = || {
        let target = x.plan.as_ref().and_then(|p| p.targets.first());
        target.is_some_and(|t| t.deployment.provider.count(endpoint.dialect(), &t.model).is_some())
    };
    let here = match endpoint {
        Endpoint::Count => true,
        Endpoint::MessagesCount => !upstream_counts(),
        // Sealed state is opened by translation, and this body is not one that is translated.
        Endpoint::GenerateCount => !upstream_counts() || Seal::may_be_in(&x.body) || Seal::may_be_packed_in(&x.body),
        _ => false,
    };
    if !here {
        return Ok(None);
    }
    let model = x.plan.as_ref().and_then(|p| p.targets.first()).map_or("", |t| t.model.as_str());
    let text = std::str::from_utf8(&x.body).map_err(Error::internal)?;
    let tokens = gateway.tokenizer.count_json(model, text);
    let mut out = Vec::with_capacity(64);
    match endpoint {
        Endpoint::GenerateCount => _ = Obj::new(&mut out).num("totalTokens", tokens),
        _ => _ = Obj::new(&mut out).num("input_tokens", tokens).bool("estimated", true),
    }
    Ok(Some(Bytes::from(out)))
}
