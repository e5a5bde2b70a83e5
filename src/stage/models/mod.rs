//! `GET /v1/models`: what the key may use, in OpenAI's shape or, where the client says which version
//! of Anthropic's API it speaks, in Anthropic's, or in Gemini's below `/v1beta`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::route::{self, Target};
use crate::config::runtime::{Key, Runtime};
use crate::error::{Error, Kind, Result};
use crate::limit::clock::Rfc3339;
use crate::usage::price::{ModelInfo, PicoUsd, amount};
use crate::wire::Dialect;
use crate::wire::json::{self, Arr, Json, Obj, Str};
use crate::wire_object;
use bytes::Bytes;

mod anthropic;
mod page;

use page::Page;

/// The list, or the part of it that the query asks for.
pub fn list(dialect: Dialect, query: Option<&str>, key: &Key, runtime: &Runtime) -> Result<Bytes> {
    let all = route::names(key, runtime);
    let Page { names, has_more } = Page::of(dialect, query, &all)?;
    let mut out = Vec::with_capacity(names.len() * 200 + 64);
    {
        let mut body = Obj::new(&mut out);
        if dialect == Dialect::OpenAiChat {
            body.text("object", "list");
        }
        let list = body.arr(if dialect == Dialect::Gemini { "models" } else { "data" });
        entries(list, dialect, names, key, runtime);
        if let Some(last) = names.last().filter(|_| dialect == Dialect::Gemini && has_more) {
            body.text("nextPageToken", last);
        }
        if dialect == Dialect::Anthropic {
            body.bool("has_more", has_more);
            for (member, name) in [("first_id", names.first()), ("last_id", names.last())] {
                match name {
                    Some(name) => body.text(member, name),
                    None => body.null(member),
                };
            }
        }
    }
    Ok(Bytes::from(out))
}

fn entries(mut list: Arr<'_>, dialect: Dialect, names: &[String], key: &Key, runtime: &Runtime) {
    for name in names {
        entry(list.obj(), dialect, name, key, runtime);
    }
}

/// One model, by any name the key may ask for it.
pub fn one(dialect: Dialect, id: &str, key: &Key, runtime: &Runtime) -> Result<Bytes> {
    // Whether a model exists that this key may not use is nobody's business here.
    let unknown = || Error::new(Kind::UnknownModel, "no such model").with_param("model");
    let plan = route::route(id, key, runtime).map_err(|error| match error.kind() {
        Kind::ModelNotAllowed => unknown(),
        _ => error,
    })?;
    let mut endpoints = plan.targets.iter().flat_map(|target| target.deployment.endpoints());
    if !endpoints.any(|endpoint| key.tenant.permits(endpoint)) {
        return Err(unknown());
    }
    let mut out = Vec::with_capacity(256);
    entry(Obj::new(&mut out), dialect, &plan.public, key, runtime);
    Ok(Bytes::from(out))
}

fn entry(mut entry: Obj<'_>, dialect: Dialect, name: &str, key: &Key, runtime: &Runtime) {
    let target = route::route(name, key, runtime).ok().and_then(|plan| plan.targets.into_iter().next());
    let info = target.as_ref().and_then(|target| target.info.clone());
    let owner = name.split_once('/').map_or("weir", |(owner, _)| owner);
    match dialect {
        Dialect::Gemini => gemini_entry(&mut entry, name, target.as_ref()),
        Dialect::Anthropic => {
            let created = Rfc3339(SystemTime::UNIX_EPOCH).to_string();
            entry.text("type", "model").text("id", name).text("display_name", name).text("created_at", &created);
            entry.text("lifecycle", "active");
            info.as_deref().iter().for_each(|info| anthropic::details(&mut entry, info));
        }
        _ => {
            let created = runtime.loaded_at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            entry.text("id", name).text("object", "model").num("created", created).text("owned_by", owner);
        }
    }
    if let Some(info) = info {
        // In Anthropic's shape the name is the vendor's, for something of another shape.
        if dialect != Dialect::Anthropic {
            capabilities(&mut entry, &info);
        }
        details(&mut entry, &info);
    }
}

/// What the official SDKs look for: `name` with its prefix, the limits, and what can be asked of it.
fn gemini_entry(entry: &mut Obj<'_>, name: &str, target: Option<&Target>) {
    let info = target.and_then(|target| target.info.as_deref());
    entry.text("name", &format!("models/{name}")).text("displayName", name);
    info.and_then(|i| i.context_tokens).iter().for_each(|tokens| _ = entry.num("inputTokenLimit", *tokens));
    info.and_then(|i| i.max_output_tokens).iter().for_each(|tokens| _ = entry.num("outputTokenLimit", *tokens));
    let mut methods = entry.arr("supportedGenerationMethods");
    asked_by(target).iter().for_each(|method| _ = methods.text(method));
}

/// The calls of Google's API that a model answers. Nobody's table tells models of embeddings and
/// rankings from others, but their names do.
fn asked_by(target: Option<&Target>) -> &'static [&'static str] {
    let model = target.map_or_else(String::new, |target| target.model.to_lowercase());
    let provider = target.map(|target| target.deployment.provider);
    let embeds = provider.is_some_and(|provider| !provider.paths.embeddings.is_empty());
    match () {
        () if model.contains("rerank") => &[],
        () if embeds && model.contains("embed") => &["embedContent", "batchEmbedContents"],
        () if provider.is_some_and(|provider| provider.apis.is_empty()) => &[],
        () => &["generateContent", "streamGenerateContent", "countTokens"],
    }
}

wire_object! {
    /// A provider's own list, in OpenAI's shape, Anthropic's or Gemini's.
    struct List<'a> { data: Vec<Listed<'a>>, models: Vec<Listed<'a>> }
}

wire_object! {
    struct Listed<'a> {
        id: Str<'a>,
        name: Str<'a>,
        max_model_len: Json<'a>,
        context_length: Json<'a>,
        max_context_length: Json<'a>,
        input_token_limit: Json<'a> = "inputTokenLimit",
        output_token_limit: Json<'a> = "outputTokenLimit",
    }
}

/// More models than this are no list of a server of one's own.
const MOST_LISTED: usize = 4096;

/// Reads a provider's own list of models.
pub fn read(body: &str) -> Result<HashMap<String, Arc<ModelInfo>>> {
    let list: List<'_> = json::parse(body)
        .map_err(|e| Error::new(Kind::UpstreamFailed, "the list of models cannot be read").with_unreadable(&e))?;
    let entries = list.data.into_iter().chain(list.models).flatten().take(MOST_LISTED);
    Ok(entries.filter_map(|entry| listed(&entry)).collect())
}

fn listed(entry: &Listed<'_>) -> Option<(String, Arc<ModelInfo>)> {
    let name = entry.id.as_ref().or(entry.name.as_ref())?.text();
    let name = name.strip_prefix("models/").unwrap_or(&name).to_owned();
    let usable = !name.is_empty() && name.len() <= 256 && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    let number = |raw: Option<Json<'_>>| raw.and_then(|raw| raw.get().parse::<u64>().ok());
    let context = [entry.max_model_len, entry.context_length, entry.max_context_length, entry.input_token_limit];
    let info = ModelInfo {
        context_tokens: context.into_iter().find_map(number),
        max_output_tokens: number(entry.output_token_limit),
        ..ModelInfo::default()
    };
    usable.then(|| (name, Arc::new(info)))
}

/// What the model can do: by the configuration, else by the table; what nobody says is left out.
fn capabilities(entry: &mut Obj<'_>, info: &ModelInfo) {
    let (said, table) = (info.abilities, info.capabilities);
    let known = [
        ("images", said.images.or_else(|| table.map(|t| t.vision))),
        ("audio", said.audio),
        ("documents", said.documents),
        ("tools", said.tools.or_else(|| table.map(|t| t.tools))),
        ("parallel_tools", said.parallel_tools),
        ("json_schema", said.json_schema.or_else(|| table.map(|t| t.json_schema))),
        ("reasoning", table.map(|t| t.reasoning)),
    ];
    if known.iter().all(|(_, can)| can.is_none()) {
        return;
    }
    let mut capabilities = entry.obj("capabilities");
    for (name, can) in known {
        can.iter().for_each(|can| _ = capabilities.bool(name, *can));
    }
}

/// Context and prices, as members beyond the vendors' own.
fn details(entry: &mut Obj<'_>, info: &ModelInfo) {
    if let Some(tokens) = info.context_tokens {
        entry.num("context_window", tokens);
    }
    if let Some(tokens) = info.max_output_tokens {
        entry.num("max_output_tokens", tokens);
    }
    let Some(price) = info.price_on(amount::day_of(SystemTime::now())) else { return };
    let mut pricing = entry.obj("pricing");
    pricing.text("unit", "USD per million tokens");
    let rates = price.rates(0, None);
    for (name, rate) in [
        ("input", rates.input),
        ("cached", rates.cached),
        ("cache_write", rates.cache_write),
        ("output", rates.output),
        ("reasoning", rates.reasoning),
    ] {
        if let Some(rate) = rate {
            pricing.text(name, &PicoUsd(i128::from(rate) * 1_000_000).to_string());
        }
    }
}
