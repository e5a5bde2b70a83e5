//! The client's bytes to the upstream's, once per attempt and always from the client's own.

use bytes::Bytes;

use super::accept::Endpoint;
use super::parse::Parsed;
use super::route::Target;
use crate::error::{Error, Kind, Result};
use crate::wire::envelope::Envelope;
use crate::wire::ir::Dropped;
use crate::wire::lane::{Lane, Way};
use crate::wire::seal::Seal;
use crate::wire::splice::Splice;
use crate::wire::{self, Dialect, Thinking};

/// An upstream request, but for its head.
#[derive(Debug)]
pub struct Prepared {
    pub dialect: Dialect,
    pub lane: Lane,
    /// Below the deployment's base URL.
    pub path: &'static str,
    pub body: Bytes,
    /// What the target cannot express, in the client's spelling.
    pub dropped: Dropped,
    /// Answers of this endpoint are counted as this one's.
    pub endpoint: Endpoint,
}

impl Prepared {
    /// For what passes unseen: only the place it takes.
    pub fn unseen() -> Self {
        Self {
            dialect: Dialect::OpenAiChat,
            lane: Lane::Pass,
            path: "",
            body: Bytes::new(),
            dropped: Dropped::default(),
            endpoint: Endpoint::Pass,
        }
    }
}

/// What is translated: the client's side of it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    pub endpoint: Endpoint,
    pub body: &'s Bytes,
    pub parsed: &'s Parsed,
    pub strict: bool,
}

/// Writes the request for `target`.
pub fn prepare(source: Source<'_>, target: &Target) -> Result<Prepared> {
    let (dialect, path) = way(source.endpoint, target)?;
    let client = source.endpoint.dialect();
    let envelope = Envelope::restore(source.body, &source.parsed.outline)?;
    let mut splice = Splice::new(&envelope);
    edit(&mut splice, source, target, dialect)?;
    let lane = Lane::choose(Way {
        client,
        upstream: dialect,
        edits: !splice.is_empty(),
        sealed: Seal::may_be_in(source.body),
    });
    let mut dropped = Dropped::default();
    let body = match lane {
        Lane::Pass => source.body.clone(),
        Lane::Splice => Bytes::from(splice.write()),
        Lane::Translate => Bytes::from(translate(client, dialect, envelope.body(), target, &mut dropped)?),
    };
    if source.strict && !dropped.is_empty() {
        let message = format!("{} cannot express: {}", target.deployment.provider.title, dropped.header());
        return Err(
            Error::new(Kind::NotExpressible, message).with_param(dropped.paths().first().cloned().unwrap_or_default())
        );
    }
    Ok(Prepared { dialect, lane, path, body, dropped, endpoint: source.endpoint })
}

/// The upstream's format and path: the client's own format where the provider has it.
fn way(endpoint: Endpoint, target: &Target) -> Result<(Dialect, &'static str)> {
    let paths = &target.deployment.provider.paths;
    let chat = paths.chat.map(|path| (Dialect::OpenAiChat, path));
    let messages = paths.messages.map(|path| (Dialect::Anthropic, path));
    let found = match endpoint {
        Endpoint::Chat => chat.or(messages),
        Endpoint::Messages => messages.or(chat),
        Endpoint::MessagesCount => paths.count_tokens.map(|path| (Dialect::Anthropic, path)),
        Endpoint::Completions => paths.completions.map(|path| (Dialect::OpenAiChat, path)),
        Endpoint::Embeddings => paths.embeddings.map(|path| (Dialect::OpenAiChat, path)),
        _ => None,
    };
    found.ok_or_else(|| {
        let message = format!("{} has no {} endpoint", target.deployment.provider.title, endpoint.as_str());
        Error::new(Kind::InvalidRequest, message).with_param("model")
    })
}

/// The members that change where the format stays.
fn edit(splice: &mut Splice<'_, '_>, source: Source<'_>, target: &Target, dialect: Dialect) -> Result<()> {
    if source.parsed.model != target.model {
        splice.set_text("model", &target.model);
    }
    let streams_usage = dialect == Dialect::OpenAiChat && target.deployment.quirks.stream_options;
    if source.parsed.stream && streams_usage && !source.parsed.stream_usage {
        splice.set_inside("stream_options", "include_usage", "true")?;
    }
    Ok(())
}

fn translate(
    client: Dialect,
    upstream: Dialect,
    body: &str,
    target: &Target,
    dropped: &mut Dropped,
) -> Result<Vec<u8>> {
    let request = wire::decode_request(client, body)?;
    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 256);
    wire::encode_request(upstream, &request, &wire_target(target), &mut out, dropped)?;
    Ok(out)
}

/// The target as the formats see it.
pub fn wire_target(target: &Target) -> wire::Target<'_> {
    let info = target.info.as_deref();
    wire::Target {
        model: &target.model,
        quirks: &target.deployment.quirks,
        max_output_tokens: info.and_then(|i| i.max_output_tokens),
        thinking: info.map_or(Thinking::Unknown, |i| i.thinking),
        seal: &target.deployment.seal,
    }
}
