//! OpenAI's embeddings and the like: <https://platform.openai.com/docs/api-reference/embeddings>,
//! Mistral's <https://docs.mistral.ai/api/#tag/embeddings>, Voyage's
//! <https://docs.voyageai.com/reference/embeddings-api>, Jina's
//! <https://api.jina.ai/redoc#tag/embeddings>, Perplexity's
//! <https://docs.perplexity.ai/api-reference/embeddings-post>.
//!
//! - Mistral says `output_dimension` (mistral-embeddings-e0447cec3fd7, seen 2026-08-13)
//! - Voyage gives base64 where asked, floats in a list else, and knows no `float`; its usage is
//!   `total_tokens` alone (voyage-embeddings-1e796aae06fe, seen 2026-02)
//! - Perplexity's vectors are signed bytes in base64, whether asked or not
//!   (perplexity-embeddings-d399ddb6e38d, seen 2026-08)

use super::option::{DIMENSIONS, Options, TYPE, Truncation, Words};
use super::vector::Vector;
use super::{Answer, Ask, Encoding, Input, Request, Shape, Told, present, unreadable};
use crate::error::{Error, Result};
use crate::wire::json::{self, Arr, Json, Obj, Raw, Str};
use crate::wire::lenient::count;
use crate::wire_object;

wire_object! {
    struct Body<'a> { model: Json<'a>, input: Json<'a>, encoding_format: Raw<'a> }
}

pub(super) fn decode(body: &str) -> Result<Request<'_>> {
    let body: Body<'_> = json::parse(body).map_err(Error::internal)?;
    let mut options = present(body.rest);
    let encoding = match body.encoding_format.as_ref().map(Raw::get) {
        None | Some("\"float\"") => Encoding::Floats,
        Some("\"base64\"") => Encoding::Base64,
        Some(_) => Encoding::Own,
    };
    if let Some(own) = body.encoding_format.filter(|_| encoding == Encoding::Own) {
        options.push(("encoding_format".into(), own));
    }
    Ok(Request { inputs: inputs(body.input)?, encoding, options, lost: Vec::new() })
}

/// A text, a list of them, a list of token numbers, or a list of such lists.
fn inputs(input: Option<Json<'_>>) -> Result<Vec<Input<'_>>> {
    let missing = || Error::invalid("input", "the member `input` is required");
    let json = input.ok_or_else(missing)?.get();
    let one = |json| match Str::from_raw(json) {
        Some(text) => Input::Text(text),
        None if json.starts_with('[') => Input::Tokens(json),
        None => Input::Other(json),
    };
    if !json.starts_with('[') {
        return Ok(vec![one(json)]);
    }
    let items: Vec<Json<'_>> = json::parse(json).map_err(Error::internal)?;
    if items.first().is_some_and(|item| item.get().starts_with(|c: char| c.is_ascii_digit())) {
        return Ok(vec![Input::Tokens(json)]);
    }
    Ok(items.into_iter().map(|item| one(item.get())).collect())
}

/// What a vendor calls its options, and which it has.
struct Members {
    dimensions: &'static str,
    /// Of the encoding, and the word for floats, where it has one.
    encoding: Option<(&'static str, Option<&'static str>)>,
    purpose: Option<(&'static str, Words)>,
    truncation: Option<&'static str>,
    /// Of the numbers.
    of: Option<&'static str>,
    /// Token numbers and objects.
    any_input: bool,
    /// Passed as they are.
    others: &'static [&'static str],
}

const OPENAI: Members = Members {
    dimensions: "dimensions",
    encoding: Some(("encoding_format", Some("float"))),
    purpose: None,
    truncation: None,
    of: None,
    any_input: true,
    others: &["user"],
};
const MISTRAL: Members = Members {
    dimensions: "output_dimension",
    encoding: None,
    of: Some("output_dtype"),
    any_input: false,
    others: &["metadata"],
    ..OPENAI
};
const VOYAGE: Members = Members {
    dimensions: "output_dimension",
    encoding: Some(("encoding_format", None)),
    purpose: Some(("input_type", Words::Voyage)),
    truncation: Some("truncation"),
    of: Some("output_dtype"),
    any_input: false,
    others: &[],
};
const JINA: Members = Members {
    encoding: None,
    purpose: Some(("task", Words::Jina)),
    truncation: Some("truncate"),
    of: Some("embedding_type"),
    others: &["normalized", "late_chunking"],
    ..OPENAI
};
const PERPLEXITY: Members = Members { encoding: None, any_input: false, others: &["encoding_format"], ..OPENAI };

pub(super) fn encode(shape: Shape, ask: &Ask<'_, '_>, options: &mut Options<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let members = match shape {
        Shape::Mistral => MISTRAL,
        Shape::Voyage => VOYAGE,
        Shape::Jina => JINA,
        Shape::Perplexity => PERPLEXITY,
        _ => OPENAI,
    };
    if !members.any_input {
        ask.texts()?;
    }
    let mut body = Obj::new(out);
    body.text("model", ask.model);
    input(ask, body.arr("input"));
    if let Some(dimensions) = options.take(DIMENSIONS) {
        body.raw(members.dimensions, dimensions.get());
    }
    match (members.encoding, ask.encoding) {
        (Some((name, _)), Encoding::Base64) => _ = body.text(name, "base64"),
        (Some((name, Some(float))), Encoding::Floats) => _ = body.text(name, float),
        _ => {}
    }
    if let Some((name, words)) = members.purpose {
        options.purpose(words).iter().for_each(|word| _ = body.text(name, word));
    }
    if let Some(name) = members.truncation {
        let truncation = options.truncation(Truncation::is_plain);
        truncation.iter().for_each(|it| _ = body.bool(name, *it == Truncation::End));
    }
    if let Some((name, value)) = members.of.and_then(|name| Some((name, options.take(TYPE)?))) {
        body.raw(name, value.get());
    }
    for name in members.others {
        options.take(&[name]).iter().for_each(|value| _ = body.raw(name, value.get()));
    }
    Ok(())
}

fn input(ask: &Ask<'_, '_>, mut list: Arr<'_>) {
    for input in ask.inputs {
        match input {
            Input::Text(text) => list.raw(text.raw()),
            Input::Tokens(json) | Input::Other(json) => list.raw(json),
        };
    }
}

wire_object! {
    struct List<'a> { data: Vec<Item<'a>>, usage: Counts<'a> }
}

wire_object! {
    struct Item<'a> { index: u64, embedding: Json<'a> }
}

wire_object! {
    struct Counts<'a> { prompt_tokens: Json<'a>, total_tokens: Json<'a> }
}

pub(super) fn decode_answer<'a>(shape: Shape, body: &'a str) -> Result<Answer<'a>> {
    let list: List<'_> = json::parse(body).map_err(unreadable)?;
    let mut items = list.data.ok_or_else(|| unreadable("no `data`"))?;
    items.sort_by_key(|item| item.index);
    let vector = |embedding: Option<Json<'a>>| {
        let json = embedding.ok_or_else(|| unreadable("no `embedding`"))?;
        match (shape, Vector::of(json.get())?) {
            (Shape::Perplexity, Vector::Base64(text)) => Ok(Vector::Bytes(text)),
            (_, vector) => Ok(vector),
        }
    };
    let usage = list.usage.unwrap_or_default();
    let vectors: Result<_> = items.iter().map(|item| vector(item.embedding)).collect();
    Ok(Answer { vectors: vectors?, input_tokens: count(usage.prompt_tokens).or_else(|| count(usage.total_tokens)) })
}

pub(super) fn encode_answer(answer: &Answer<'_>, encoding: Encoding, told: &Told<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut body = Obj::new(out);
    body.text("object", "list");
    encode_data(answer, encoding, body.key("data"))?;
    body.text("model", told.model);
    let tokens = answer.input_tokens.unwrap_or(told.input_estimate_tokens);
    body.obj("usage").num("prompt_tokens", tokens).num("total_tokens", tokens);
    Ok(())
}

pub(super) fn encode_data(answer: &Answer<'_>, encoding: Encoding, out: &mut Vec<u8>) -> Result<()> {
    let mut list = Arr::new(out);
    for (index, vector) in (0..).zip(&answer.vectors) {
        let mut item = list.obj();
        item.text("object", "embedding").num("index", index);
        vector.write(encoding, item.key("embedding"))?;
    }
    Ok(())
}
