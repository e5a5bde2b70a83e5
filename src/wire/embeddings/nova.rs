//! Amazon Nova's multimodal embeddings, by InvokeModel, for text:
//! <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>.
//!
//! - one text a call, and its purpose is required (bedrock-embeddings-bb8badd2c080, seen 2026-08)
//! - no usage (bedrock-embeddings-f2536c9017b7)

use super::option::{DIMENSIONS, Options, Truncation, Words};
use super::vector::Vector;
use super::{Answer, Ask, unreadable};
use crate::error::Result;
use crate::wire::json::{self, Json, Obj};
use crate::wire_object;

pub(super) fn encode(ask: &Ask<'_, '_>, options: &mut Options<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let mut body = Obj::new(out);
    body.text("taskType", "SINGLE_EMBEDDING");
    let mut single = body.obj("singleEmbeddingParams");
    single.text("embeddingPurpose", options.purpose(Words::Nova).as_deref().unwrap_or("GENERIC_INDEX"));
    options.take(DIMENSIONS).iter().for_each(|dimensions| _ = single.raw("embeddingDimension", dimensions.get()));
    let truncation = options.truncation(|_| true).unwrap_or(Truncation::None);
    single.obj("text").text("truncationMode", truncation.word()).str("value", ask.text()?);
    Ok(())
}

wire_object! {
    struct Body<'a> { embeddings: Vec<Embedding<'a>> }
}

wire_object! {
    struct Embedding<'a> { embedding: Json<'a> }
}

pub(super) fn decode_answer(body: &str) -> Result<Answer<'_>> {
    let body: Body<'_> = json::parse(body).map_err(unreadable)?;
    let first = body.embeddings.unwrap_or_default().into_iter().next();
    let vector = first.and_then(|it| it.embedding).ok_or_else(|| unreadable("no `embedding`"))?;
    Ok(Answer { vectors: vec![Vector::of(vector.get())?], input_tokens: None })
}
