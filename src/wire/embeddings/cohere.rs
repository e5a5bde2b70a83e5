//! Cohere's embeddings: <https://docs.cohere.com/reference/embed>, on Bedrock
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>.
//!
//! - `input_type` is required: text is for searching in, where nobody says otherwise
//! - `embeddings` is a list, or an object of lists by type (cohere-embeddings-149581433fb9 and
//!   cohere-embeddings-0d938faea686, seen 2026-08)
//! - on Bedrock the body has no model and no usage (bedrock-embeddings-63882b710d19)

use super::option::{DIMENSIONS, Options, TYPE, Words};
use super::vector::Vector;
use super::{Answer, Ask, Shape, unreadable};
use crate::error::Result;
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::count;
use crate::wire::scan;
use crate::wire_object;

pub(super) fn encode(shape: Shape, ask: &Ask<'_, '_>, options: &mut Options<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let texts = ask.texts()?;
    let mut body = Obj::new(out);
    if shape == Shape::Cohere {
        body.text("model", ask.model);
    }
    body.text("input_type", options.purpose(Words::Cohere).as_deref().unwrap_or("search_document"));
    {
        let mut list = body.arr("texts");
        texts.iter().for_each(|text| _ = list.raw(text.raw()));
    }
    // The client's format has room for one type.
    match options.take_if(TYPE, |value| value.is_string() || !value.get().contains(',')) {
        Some(value) if value.is_array() => _ = body.raw("embedding_types", value.get()),
        Some(value) => _ = body.arr("embedding_types").raw(value.get()),
        None => _ = body.arr("embedding_types").text("float"),
    }
    if let Some(dimensions) = options.take(DIMENSIONS) {
        body.raw("output_dimension", dimensions.get());
    }
    if let Some(truncation) = options.truncation(|_| true) {
        body.text("truncate", truncation.word());
    }
    for name in ["max_tokens", "priority"] {
        options.take(&[name]).iter().for_each(|value| _ = body.raw(name, value.get()));
    }
    Ok(())
}

wire_object! {
    struct Body<'a> { embeddings: Json<'a>, meta: Meta<'a> }
}

wire_object! {
    struct Meta<'a> { billed_units: Billed<'a> }
}

wire_object! {
    struct Billed<'a> { input_tokens: Json<'a> }
}

pub(super) fn decode_answer(body: &str) -> Result<Answer<'_>> {
    let body: Body<'_> = json::parse(body).map_err(unreadable)?;
    let json = body.embeddings.ok_or_else(|| unreadable("no `embeddings`"))?.get();
    let list = match json.starts_with('{') {
        true => scan::members(json).map(|(_, list)| list).find(|list| list.starts_with('[')),
        false => Some(json),
    };
    let list: Vec<Json<'_>> = json::parse(list.unwrap_or("[]")).map_err(unreadable)?;
    let vectors: Result<_> = list.into_iter().map(|vector| Vector::of(vector.get())).collect();
    let billed = body.meta.and_then(|meta| meta.billed_units);
    Ok(Answer { vectors: vectors?, input_tokens: billed.and_then(|billed| count(billed.input_tokens)) })
}
