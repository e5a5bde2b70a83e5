//! Jina's rerank <https://api.jina.ai/redoc#tag/rerank>, spoken by vLLM, llama.cpp, OpenRouter and
//! others, and answered to clients of Cohere's too, whose usage stands beside it in `meta`.
//!
//! - llama.cpp counts `prompt_tokens` too, OpenRouter `total_tokens` alone
//!   (llamacpp-rerank-156384ea596e, openrouter-rerank-88b58c275be5, seen 2026-08)

use super::{Answer, Ranked, Request, Told, count, unreadable, wrapped};
use crate::error::Result;
use crate::wire::json::{self, Json, Obj, Str};
use crate::wire_object;

/// Servers of this shape have options of their own: all are passed.
pub(super) fn encode<'r>(request: &'r Request<'_>, model: &str, out: &mut Vec<u8>) -> Vec<&'r str> {
    let mut body = Obj::new(out);
    body.text("model", model).str("query", &request.query);
    {
        let mut documents = body.arr("documents");
        request.documents.iter().for_each(|document| _ = documents.raw(document.get()));
    }
    request.top.iter().for_each(|top| _ = body.raw("top_n", top.get()));
    request.return_documents.iter().for_each(|wanted| _ = body.bool("return_documents", *wanted));
    body.rest(&request.options);
    Vec::new()
}

wire_object! {
    struct Body<'a> { id: Str<'a>, results: Vec<Ranked<'a>>, usage: Counts<'a>, meta: Meta<'a> }
}

wire_object! {
    struct Counts<'a> { total_tokens: Json<'a>, prompt_tokens: Json<'a> }
}

wire_object! {
    struct Meta<'a> { billed_units: Billed<'a>, tokens: Billed<'a> }
}

wire_object! {
    struct Billed<'a> { search_units: Json<'a>, input_tokens: Json<'a> }
}

/// Cohere's answer is of the same shape, but for `meta`.
pub(super) fn decode_answer(body: &str) -> Result<Answer<'_>> {
    let body: Body<'_> = json::parse(body).map_err(unreadable)?;
    let (usage, meta) = (body.usage.unwrap_or_default(), body.meta.unwrap_or_default());
    let tokens = count(usage.total_tokens).or_else(|| count(usage.prompt_tokens));
    Ok(Answer {
        id: body.id,
        results: body.results.ok_or_else(|| unreadable("no `results`"))?,
        tokens: tokens.or_else(|| count(meta.tokens.and_then(|tokens| tokens.input_tokens))),
        search_units: count(meta.billed_units.and_then(|billed| billed.search_units)),
    })
}

pub(super) fn encode_answer(answer: &Answer<'_>, request: &Request<'_>, told: &Told<'_>, out: &mut Vec<u8>) {
    let mut body = Obj::new(out);
    match &answer.id {
        Some(id) => body.str("id", id),
        None => body.text("id", told.id),
    };
    body.text("model", told.model);
    {
        let mut results = body.arr("results");
        for ranked in &answer.results {
            let mut entry = results.obj();
            ranked.write(&mut entry);
            ranked.document(request).iter().for_each(|it| _ = entry.raw("document", &wrapped(it.clone())));
        }
    }
    body.obj("usage").num("total_tokens", answer.tokens.unwrap_or(told.input_estimate_tokens));
    if let Some(units) = answer.search_units {
        let mut meta = body.obj("meta");
        meta.obj("api_version").text("version", "2");
        meta.obj("billed_units").num("search_units", units);
    }
}
