//! Voyage AI's rerank: <https://docs.voyageai.com/reference/reranker-api>.
//!
//! - `top_k`, `data`, and a document as the text it is (voyage-rerank-65f2fb8904a7, seen 2026-02)

use super::{Answer, Ranked, Request, Told, count, unreadable};
use crate::error::Result;
use crate::wire::ir::Dropped;
use crate::wire::json::{self, Json, Obj};
use crate::wire_object;

pub(super) fn encode<'r>(
    request: &'r Request<'_>,
    model: &str,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<Vec<&'r str>> {
    let texts = request.texts(dropped)?;
    let mut body = Obj::new(out);
    body.text("model", model).str("query", &request.query);
    {
        let mut documents = body.arr("documents");
        texts.iter().for_each(|text| _ = documents.raw(text.get()));
    }
    request.top.iter().for_each(|top| _ = body.raw("top_k", top.get()));
    Ok(request.options(&["truncation"], &mut body))
}

wire_object! {
    struct Body<'a> { data: Vec<Ranked<'a>>, usage: Counts<'a> }
}

wire_object! {
    struct Counts<'a> { total_tokens: Json<'a> }
}

pub(super) fn decode_answer(body: &str) -> Result<Answer<'_>> {
    let body: Body<'_> = json::parse(body).map_err(unreadable)?;
    Ok(Answer {
        results: body.data.ok_or_else(|| unreadable("no `data`"))?,
        tokens: count(body.usage.and_then(|usage| usage.total_tokens)),
        ..Answer::default()
    })
}

pub(super) fn encode_answer(answer: &Answer<'_>, request: &Request<'_>, told: &Told<'_>, out: &mut Vec<u8>) {
    let mut body = Obj::new(out);
    body.text("object", "list");
    {
        let mut data = body.arr("data");
        for ranked in &answer.results {
            let mut entry = data.obj();
            ranked.write(&mut entry);
            ranked.document(request).iter().for_each(|it| _ = entry.raw("document", bare(it)));
        }
    }
    body.text("model", told.model);
    body.obj("usage").num("total_tokens", answer.tokens.unwrap_or(told.input_estimate_tokens));
}

/// The text of a document, without the object around it.
fn bare(document: &str) -> &str {
    crate::wire::scan::member(document, "text").unwrap_or(document)
}
