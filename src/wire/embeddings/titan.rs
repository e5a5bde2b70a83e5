//! Amazon Titan's text embeddings, by InvokeModel:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>.
//!
//! - one text a call; the first version takes no options
//! - `embeddingsByType` repeats the vector (bedrock-embeddings-14cd491e3338, seen 2026-08)

use super::option::{DIMENSIONS, Options};
use super::vector::Vector;
use super::{Answer, Ask, unreadable};
use crate::error::Result;
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::count;
use crate::wire_object;

pub(super) fn encode(ask: &Ask<'_, '_>, options: &mut Options<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let mut body = Obj::new(out);
    body.str("inputText", ask.text()?);
    let is_first = ask.model.contains("titan-embed-text-v1") || ask.model.contains("titan-embed-g1");
    if !is_first {
        options.take(DIMENSIONS).iter().for_each(|dimensions| _ = body.raw("dimensions", dimensions.get()));
        options.take(&["normalize"]).iter().for_each(|normalize| _ = body.raw("normalize", normalize.get()));
    }
    Ok(())
}

wire_object! {
    struct Body<'a> { embedding: Json<'a>, tokens: Json<'a> = "inputTextTokenCount" }
}

pub(super) fn decode_answer(body: &str) -> Result<Answer<'_>> {
    let body: Body<'_> = json::parse(body).map_err(unreadable)?;
    let vector = Vector::of(body.embedding.ok_or_else(|| unreadable("no `embedding`"))?.get())?;
    Ok(Answer { vectors: vec![vector], input_tokens: count(body.tokens) })
}
