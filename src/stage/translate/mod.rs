//! The client's bytes to the upstream's, once per attempt and always from the client's own.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::accept::Endpoint;
use super::parse::Parsed;
use super::route::Target;
use crate::config::runtime::ApiChoice;
use crate::error::{Error, Kind, Result};
use crate::provider::{Api, Edits, bedrock};
use crate::wire::bridge::Bridge;
use crate::wire::edge;
use crate::wire::envelope::Envelope;
use crate::wire::frames::Framing;
use crate::wire::ir::Dropped;
use crate::wire::json::Str;
use crate::wire::lane::{self, Lane};
use crate::wire::openai_chat::completions;
use crate::wire::pieces::Pieces;
use crate::wire::resume;
use crate::wire::seal::Seal;
use crate::wire::splice::Splice;
use crate::wire::stream::Said;
use crate::wire::{self, Abilities, Dialect, Thinking};

mod embeddings;
mod rerank;

/// An upstream request, but for its head.
#[derive(Debug)]
pub struct Prepared {
    pub dialect: Dialect,
    pub edits: Edits,
    pub lane: Lane,
    /// Below the deployment's base URL; a query may follow.
    pub path: Cow<'static, str>,
    pub framing: Framing,
    pub body: Pieces,
    /// What the target cannot express, in the client's spelling.
    pub dropped: Dropped,
    /// Between the formats, where they differ.
    pub bridge: Option<Arc<Bridge>>,
    /// How an answer of embeddings or of a ranking gets back into the client's shape.
    pub turn: Option<Turn>,
    /// Bodies that are asked before `body`, one after the other, where the provider takes less at once.
    pub earlier: Vec<Bytes>,
    /// Client and provider speak the same: its vendor's headers go out, its own words come back.
    pub kept: bool,
    /// Answers of this endpoint are counted as this one's.
    pub endpoint: Endpoint,
}

/// See [`Prepared::turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Embeddings(wire::embeddings::Turn),
    Rerank(wire::rerank::Turn),
}

impl Prepared {
    /// The same format and nothing changed; path and body are still to come.
    pub fn passed(dialect: Dialect, endpoint: Endpoint) -> Self {
        Self {
            dialect,
            edits: Edits::None,
            lane: Lane::Pass,
            path: Cow::Borrowed(""),
            framing: Framing::Sse,
            body: Pieces::default(),
            dropped: Dropped::default(),
            bridge: None,
            turn: None,
            earlier: Vec::new(),
            kept: true,
            endpoint,
        }
    }

    /// The format of a refusal: Bedrock refuses in its own words, whatever it was asked in.
    pub fn refusals(&self) -> Dialect {
        if self.edits == Edits::AnthropicBedrock { Dialect::Converse } else { self.dialect }
    }
}

/// What is translated: the client's side of it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    pub endpoint: Endpoint,
    pub body: &'s Bytes,
    pub parsed: &'s Parsed,
    pub strict: bool,
    /// What an Anthropic client asks for in its head, as it stands there.
    pub betas: &'s [HeaderValue],
    /// Where the gateway has tools of its own for it.
    pub extra: Option<edge::Extra<'s>>,
}

/// Writes the request for `target`.
pub fn prepare(source: Source<'_>, target: &Target) -> Result<Prepared> {
    let prepared = match source.endpoint {
        Endpoint::Rerank => rerank::prepare(source, target),
        endpoint => match endpoint.embeddings() {
            Some(client) => embeddings::prepare(client, source, target),
            None => generation(source, target, None),
        },
    }?;
    strictly(source, target, prepared)
}

/// Writes the request for a target that goes on with what another said.
///
/// # Errors
/// Also for what no two models can answer together: see [`resume::request`].
pub fn prepare_continued(source: Source<'_>, target: &Target, said: &Said) -> Result<Prepared> {
    if source.endpoint.generation().is_none() {
        return Err(no_endpoint(source, target));
    }
    strictly(source, target, generation(source, target, Some(said))?)
}

fn strictly(source: Source<'_>, target: &Target, prepared: Prepared) -> Result<Prepared> {
    let dropped = &prepared.dropped;
    if source.strict && !dropped.is_empty() {
        let message = format!("{} cannot express: {}", target.deployment.provider.title, dropped.header());
        return Err(
            Error::new(Kind::NotExpressible, message).with_param(dropped.paths().first().cloned().unwrap_or_default())
        );
    }
    Ok(prepared)
}

fn generation(source: Source<'_>, target: &Target, said: Option<&Said>) -> Result<Prepared> {
    let Way { dialect, path, framing, edits } = way(source, target)?;
    let client = source.endpoint.dialect();
    let envelope = Envelope::restore(source.body, &source.parsed.outline);
    let mut splice = Splice::new(&envelope);
    edit(&mut splice, source, target, dialect)?;
    let has_edits = edits != Edits::None || !splice.is_empty();
    let lane = Lane::choose(lane::Way {
        client,
        upstream: dialect,
        edits: has_edits,
        reshape: said.is_some() || source.extra.is_some() || completes(source, target) || may_change(source, target),
    });
    let mut dropped = Dropped::default();
    let translated = match lane {
        Lane::Translate => translate(source, dialect, envelope.body(), target, said, &mut dropped)?,
        Lane::Pass | Lane::Splice => None,
    };
    let (lane, body, bridge) = match translated {
        Some((mut body, bridge)) => {
            if edits != Edits::None {
                let envelope = Envelope::parse(&body)?;
                let mut splice = Splice::new(&envelope);
                as_vendor(edits, &mut splice, source, &mut dropped);
                body = splice.write();
            }
            (Lane::Translate, body.into(), bridge.map(Arc::new))
        }
        None if has_edits => {
            as_vendor(edits, &mut splice, source, &mut dropped);
            (Lane::Splice, splice.write_around(source.body), None)
        }
        None => (Lane::Pass, source.body.clone().into(), None),
    };
    Ok(Prepared {
        edits,
        lane,
        path,
        framing,
        body,
        dropped,
        bridge,
        kept: dialect == client,
        ..Prepared::passed(dialect, source.endpoint)
    })
}

/// Where a request goes at its provider.
struct Way {
    dialect: Dialect,
    path: Cow<'static, str>,
    framing: Framing,
    edits: Edits,
}

/// The upstream's API: one of the client's own format where the provider has it.
fn way(source: Source<'_>, target: &Target) -> Result<Way> {
    let paths = &target.deployment.provider.paths;
    let plain = |path: Option<&'static str>, dialect| {
        path.map(|path| Way { dialect, path: rendered(path, target), framing: Framing::Sse, edits: Edits::None })
    };
    let asked = |client| {
        let api = api(client, target)?;
        let stream_path = api.stream_path.filter(|_| source.parsed.stream);
        Some(Way {
            dialect: api.dialect,
            path: rendered(stream_path.unwrap_or(api.path), target),
            framing: if source.parsed.stream { api.framing } else { Framing::Sse },
            edits: api.edits,
        })
    };
    let found = match source.endpoint {
        Endpoint::MessagesCount | Endpoint::GenerateCount => {
            let dialect = source.endpoint.dialect();
            let count = target.deployment.provider.count(dialect, &target.model);
            count.map(|(path, edits)| Way { dialect, path: rendered(path, target), framing: Framing::Sse, edits })
        }
        Endpoint::Completions => plain(paths.completions, Dialect::OpenAiChat).or_else(|| asked(Dialect::OpenAiChat)),
        endpoint => endpoint.generation().and_then(asked),
    };
    found.ok_or_else(|| no_endpoint(source, target))
}

fn no_endpoint(source: Source<'_>, target: &Target) -> Error {
    let message = format!("{} has no {} endpoint", target.deployment.provider.title, source.endpoint.as_str());
    Error::new(Kind::InvalidRequest, message).with_param("model")
}

/// The generation API for a client's format, by what the configuration says and the vendor has.
pub(super) fn api(client: Dialect, target: &Target) -> Option<&'static Api> {
    let provider = target.deployment.provider;
    let chosen = match target.api.unwrap_or(target.deployment.api) {
        ApiChoice::Only(dialect) => {
            // Servers of OpenAI's format may have its newer API without anybody having written so.
            let newer = dialect == Dialect::Responses && provider.dialect() == Dialect::OpenAiChat;
            provider.apis.iter().find(|api| api.dialect == dialect).or_else(|| newer.then_some(&Api::RESPONSES))
        }
        ApiChoice::Auto => None,
    };
    chosen.or_else(|| provider.api(client, &target.model))
}

/// A path with its names in braces replaced.
fn rendered(path: &'static str, target: &Target) -> Cow<'static, str> {
    if !path.contains('{') {
        return Cow::Borrowed(path);
    }
    // Google's own lists call its models by their paths.
    let model = ["publishers/google/models/", "models/"].iter().find_map(|of| target.model.strip_prefix(of));
    let model = model.filter(|_| path.contains("models/{model}")).unwrap_or(&target.model);
    let mut text = path.replace("{model}", &path_segment(model));
    for (name, value) in &target.deployment.vars {
        text = text.replace(&format!("{{{name}}}"), &path_segment(value));
    }
    Cow::Owned(text)
}

/// Text as one segment of a path: nothing in it can end the segment or climb out of it.
pub(super) fn path_segment(text: &str) -> String {
    let only_dots = text.bytes().all(|b| b == b'.');
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_~@".contains(&byte) || (byte == b'.' && !only_dots) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Changes that a vendor needs who serves another vendor's format.
fn as_vendor(edits: Edits, splice: &mut Splice<'_, '_>, source: Source<'_>, dropped: &mut Dropped) {
    let version = match edits {
        Edits::None => return,
        Edits::AnthropicBedrock => {
            splice.remove("stream");
            if let Some(betas) = betas(source.betas, dropped) {
                splice.insert("anthropic_beta", betas);
            }
            "\"bedrock-2023-05-31\""
        }
        Edits::AnthropicVertex => {
            if source.parsed.stream {
                splice.set("stream", "true");
            }
            "\"vertex-2023-10-16\""
        }
    };
    // Who counts is asked at one place for all models.
    if source.endpoint != Endpoint::MessagesCount {
        splice.remove("model");
    }
    splice.insert("anthropic_version", version);
}

/// The betas of the client's head as a list for the body: those that Bedrock takes, since it refuses a
/// request for any other.
fn betas(heads: &[HeaderValue], dropped: &mut Dropped) -> Option<String> {
    let lines = heads.iter().filter_map(|line| line.to_str().ok());
    let asked = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|beta| !beta.is_empty());
    let (taken, others): (Vec<&str>, Vec<&str>) = asked.partition(|beta| bedrock::BETAS.contains(beta));
    others.iter().for_each(|beta| dropped.push(format_args!("anthropic-beta: {beta}")));
    let names: Vec<_> = taken.iter().map(|beta| Str::from_text(beta).raw().to_owned()).collect();
    (!names.is_empty()).then(|| format!("[{}]", names.join(",")))
}

/// The members that change where the format stays.
fn edit(splice: &mut Splice<'_, '_>, source: Source<'_>, target: &Target, dialect: Dialect) -> Result<()> {
    match dialect {
        // The path names it; what the body repeats is the client's name.
        Dialect::Gemini => {
            splice.remove("model");
            for name in ["generateContentRequest", "generate_content_request"] {
                if splice.has(name) {
                    let model = Str::from_text(&format!("models/{}", target.model));
                    splice.set_inside(name, "model", model.raw())?;
                }
            }
        }
        _ if source.parsed.model != target.model => splice.set_text("model", &target.model),
        _ => {}
    }
    let streams_usage = dialect == Dialect::OpenAiChat && target.deployment.quirks.stream_options;
    if source.parsed.stream && streams_usage && !source.parsed.stream_usage {
        splice.set_inside("stream_options", "include_usage", "true")?;
    }
    Ok(())
}

/// The request as its target takes it, and the bridge that its answer comes back over, if it needs one; `None` where
/// the client's own bytes will do after all.
fn translate(
    source: Source<'_>,
    upstream: Dialect,
    body: &str,
    target: &Target,
    said: Option<&Said>,
    dropped: &mut Dropped,
) -> Result<Option<(Vec<u8>, Option<Bridge>)>> {
    let chat = match source.endpoint {
        Endpoint::Completions => Some(completions::request(&Envelope::parse_str(body)?, dropped)?),
        _ => None,
    };
    let mut request = wire::decode_request(source.endpoint.dialect(), chat.as_deref().unwrap_or(body))?;
    // Some formats say these beside the body.
    request.stream = source.parsed.stream;
    request.stream_usage = source.parsed.stream_usage;
    let wire_target = wire_target(target);
    if let Some(extra) = &source.extra {
        edge::request(&mut request, extra, &target.deployment.seal);
    }
    let mark = match said {
        Some(said) => resume::request(&mut request, said, upstream, &wire_target)?,
        None => None,
    };
    let bridge = Bridge::request(&mut request, upstream, &wire_target, dropped)?;
    // Answers of the client's format are the client's, whatever of the request had to change.
    let keeps = bridge.client == upstream && said.is_none() && source.extra.is_none() && chat.is_none();
    if keeps && bridge.leaves_all {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 256);
    wire::encode_request(upstream, &request, &wire_target, &mut out, dropped)?;
    if let Some(mark) = mark {
        out = mark.write(&out)?;
    }
    Ok(Some((out, (!keeps).then_some(bridge))))
}

/// Whether a chat is asked for a completion.
fn completes(source: Source<'_>, target: &Target) -> bool {
    source.endpoint == Endpoint::Completions && target.deployment.provider.paths.completions.is_none()
}

/// Whether the body has to be looked at whole, though the format stays.
fn may_change(source: Source<'_>, target: &Target) -> bool {
    match source.endpoint {
        // A count has to read what generation would be sent.
        Endpoint::MessagesCount => Seal::may_be_in(source.body),
        endpoint => {
            let abilities = wire_target(target).abilities;
            let is_packed = || endpoint.dialect() == Dialect::Gemini && Seal::may_be_packed_in(source.body);
            endpoint.generation().is_some()
                && (Bridge::may_change(source.body, abilities, &target.deployment.quirks) || is_packed())
        }
    }
}

/// The target as the formats see it.
pub fn wire_target(target: &Target) -> wire::Target<'_> {
    let info = target.info.as_deref();
    wire::Target {
        model: &target.model,
        quirks: &target.deployment.quirks,
        max_output_tokens: info.and_then(|i| i.max_output_tokens),
        thinking: info.map_or(Thinking::Unknown, |i| i.thinking),
        abilities: info.map_or(Abilities::UNKNOWN, |i| i.abilities).or(target.deployment.abilities),
        seal: &target.deployment.seal,
    }
}
