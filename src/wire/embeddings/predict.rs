//! Embeddings by Vertex AI's `:predict`:
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>.
//!
//! - tokens are counted for each text, in `statistics` (vertex-embeddings-5b9ebe4c2636, seen 2026-08)

use super::option::{DIMENSIONS, Options, Truncation, Words};
use super::vector::Vector;
use super::{Answer, Ask, unreadable};
use crate::error::Result;
use crate::wire::json::{self, Json, Obj};
use crate::wire::lenient::count;
use crate::wire_object;

pub(super) fn encode(ask: &Ask<'_, '_>, options: &mut Options<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let purpose = options.purpose(Words::Google);
    let title = options.take(&["title"]);
    let mut body = Obj::new(out);
    {
        let mut instances = body.arr("instances");
        for text in ask.texts()? {
            let mut instance = instances.obj();
            instance.str("content", text);
            purpose.iter().for_each(|purpose| _ = instance.text("task_type", purpose));
            title.iter().for_each(|title| _ = instance.raw("title", title.get()));
        }
    }
    let dimensions = options.take(DIMENSIONS);
    let truncation = options.truncation(Truncation::is_plain);
    if dimensions.is_some() || truncation.is_some() {
        let mut parameters = body.obj("parameters");
        dimensions.iter().for_each(|dimensions| _ = parameters.raw("outputDimensionality", dimensions.get()));
        truncation.iter().for_each(|it| _ = parameters.bool("autoTruncate", *it == Truncation::End));
    }
    Ok(())
}

wire_object! {
    struct Body<'a> { predictions: Vec<Prediction<'a>> }
}

wire_object! {
    struct Prediction<'a> { embeddings: Embedding<'a> }
}

wire_object! {
    struct Embedding<'a> { values: Json<'a>, statistics: Statistics<'a> }
}

wire_object! {
    struct Statistics<'a> { token_count: Json<'a> }
}

pub(super) fn decode_answer(body: &str) -> Result<Answer<'_>> {
    let body: Body<'_> = json::parse(body).map_err(unreadable)?;
    let mut answer = Answer { vectors: Vec::new(), input_tokens: Some(0) };
    for prediction in body.predictions.ok_or_else(|| unreadable("no `predictions`"))? {
        let embedding = prediction.embeddings.unwrap_or_default();
        answer.vectors.push(Vector::of(embedding.values.ok_or_else(|| unreadable("no `values`"))?.get())?);
        let tokens = count(embedding.statistics.and_then(|statistics| statistics.token_count));
        answer.input_tokens = answer.input_tokens.zip(tokens).map(|(sum, tokens)| sum.saturating_add(tokens));
    }
    Ok(answer)
}
