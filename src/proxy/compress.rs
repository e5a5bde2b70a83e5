//! Compression on the way of a request, and as an endpoint of its own.

use std::time::Instant;

use bytes::Bytes;
use pingora_proxy::Session;

use super::context::Exchange;
use super::{Gateway, edge};
use crate::compress::{Rules, Tier};
use crate::error::{Error, Result};
use crate::stage::accept::{self, Endpoint};
use crate::stage::compress::{self, Ask, Done};
use crate::stage::parse;
use crate::usage::price::{PicoUsd, amount};
use crate::usage::tokens::Usage;
use crate::wire::Dialect;

impl Gateway {
    /// Puts a body with fewer tokens in the place of the client's, where the rules of its key, route or
    /// tenant say so.
    pub(super) fn compress(&self, session: &Session, x: &mut Exchange, endpoint: Endpoint) -> Result<()> {
        let Some(dialect) = endpoint.generation() else { return Ok(()) };
        let route = x.plan.as_ref().and_then(|plan| plan.route.as_ref());
        let rules = x.caller.as_ref().and_then(|caller| compress::rules(&caller.key, route)).copied();
        let Some(rules) = rules else { return Ok(()) };
        let head = session.req_header();
        let asked = compress::asked(&head.headers)?;
        let (body, mut done) = self.compressed(x, dialect, &rules, asked).unzip();
        let marked = match rules.prompt_cache && asked != Some(Tier::Off) {
            true => marked(x, dialect, body.as_ref().and_then(Option::as_deref)),
            false => None,
        };
        if marked.is_some() {
            done.get_or_insert_with(|| Done::nothing(asked)).marked();
        }
        if let Some(body) = marked.or_else(|| body.flatten()) {
            x.body = Bytes::from(body);
            x.parsed = Some(parse::parse(endpoint, head.uri.path(), head.uri.query(), &x.body)?);
        }
        x.compression = done.map(Box::new);
        Ok(())
    }

    fn compressed(
        &self,
        x: &Exchange,
        dialect: Dialect,
        rules: &Rules,
        asked: Option<Tier>,
    ) -> Option<(Option<Vec<u8>>, Done)> {
        let tenant = x.caller.as_ref().map_or("", |caller| caller.key.tenant.id.as_str());
        let model = x.plan.as_ref().and_then(|plan| plan.targets.first()).map_or("", |target| target.model.as_str());
        let (now, before_tokens) = (Instant::now(), x.parsed.as_ref().map_or(0, |parsed| parsed.input_estimate_tokens));
        let count = |text: &str| self.tokenizer.count(model, text);
        let keep = |text: &str| self.originals.keep(tenant, text, now);
        // A tool of the gateway's must not take the place of one of the client's that was left out.
        let edge = edge::settings(x);
        let stays = |name: &str| edge.is_some_and(|tools| tools.has_told(name));
        let ask =
            Ask { dialect, body: &x.body, rules, asked, before_tokens, count: &count, keep: &keep, stays: &stays };
        let it = compress::run(&ask)?;
        let saved = it.1.savings.iter().map(|(strategy, tokens)| (strategy.as_str(), tokens));
        self.telemetry.compressed(tenant, it.1.took, saved);
        Some(it)
    }

    /// `POST /v1/compress`: the same body, whatever its format, with what was done to it.
    pub(super) fn compress_here(
        &self,
        session: &Session,
        x: &mut Exchange,
        endpoint: Endpoint,
    ) -> Result<Option<Bytes>> {
        if endpoint != Endpoint::Compress {
            return Ok(None);
        }
        let head = session.req_header();
        let text = std::str::from_utf8(&x.body).map_err(Error::internal)?;
        let dialect = compress::dialect_of(text, accept::dialect_of("", &head.headers) == Dialect::Anthropic)?;
        let route = x.plan.as_ref().and_then(|plan| plan.route.as_ref());
        let rules = x.caller.as_ref().and_then(|caller| compress::rules(&caller.key, route)).copied();
        let asked = compress::asked(&head.headers)?;
        // Who asks here wants it; what loses something still has to be allowed.
        let done = self.compressed(x, dialect, &rules.unwrap_or(Rules::ASKED), asked);
        let (body, done) = done.unwrap_or_else(|| (None, Done::nothing(asked)));
        let body = body.as_deref().unwrap_or(&x.body);
        let told = done.told(worth(x, &done), body).map(Bytes::from);
        x.compression = Some(Box::new(done));
        told.map(Some).ok_or_else(|| Error::internal("the body is no object any more"))
    }
}

/// The body, compressed or as it was, with marks for the prompt cache of all its targets.
fn marked(x: &Exchange, dialect: Dialect, compressed: Option<&[u8]>) -> Option<Vec<u8>> {
    let tokens = x.parsed.as_ref().map_or(0, |parsed| parsed.input_estimate_tokens);
    compress::marked(dialect, compressed.unwrap_or(&x.body), tokens, &x.plan.as_ref()?.targets)
}

/// What the tokens that were saved would have cost at the first target.
fn worth(x: &Exchange, done: &Done) -> Option<PicoUsd> {
    let target = x.plan.as_ref()?.targets.first()?;
    let usage = Usage { fresh_input_tokens: done.savings.total(), ..Usage::default() };
    target.info.as_ref()?.cost(&usage, None, amount::day_of(x.started_at), target.deployment.region.as_deref())
}

/// The whole answer with what was done to its request, where the client asked for that and its format
/// has room for a member of ours.
pub(super) fn told(x: &Exchange, body: Bytes) -> Bytes {
    let has_room = matches!(x.dialect, Dialect::OpenAiChat | Dialect::Responses);
    let Some(done) = x.compression.as_ref().filter(|done| done.is_asked && has_room) else { return body };
    done.told(worth(x, done), &body).map_or(body, Bytes::from)
}
