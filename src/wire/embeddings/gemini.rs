//! Google's embeddings: <https://ai.google.dev/api/embeddings>.
//!
//! - older models report no usage (gemini-embeddings-1f092b2a4dac), newer ones in `usageMetadata`
//!   (gemini-embeddings-223325c79c2c, seen 2026-08)
//! - members are spelled with capitals or with underscores (gemini-embeddings-2926b0a0635c)

use super::option::{DIMENSIONS, Options, Words};
use super::vector::Vector;
use super::{Answer, Ask, Encoding, Input, Request, present, unreadable};
use crate::error::{Error, Result};
use crate::wire::envelope::Envelope;
use crate::wire::json::{self, Arr, Json, Obj, Raw, Str};
use crate::wire::lenient::count;
use crate::wire::splice::Splice;
use crate::wire_object;

wire_object! {
    struct One<'a> { model: Json<'a>, content: Json<'a> }
}

wire_object! {
    struct Many<'a> { model: Json<'a>, requests: Vec<Json<'a>> }
}

wire_object! {
    struct Content<'a> { role: Json<'a>, parts: Vec<Part<'a>> }
}

wire_object! {
    struct Part<'a> { text: Str<'a> }
}

pub(super) fn decode_one(body: &str) -> Result<Request<'_>> {
    let one: One<'_> = json::parse(body).map_err(|error| bad_request(&error))?;
    let input = input(one.content)?;
    Ok(Request { inputs: vec![input], encoding: Encoding::Floats, options: present(one.rest), lost: Vec::new() })
}

/// The options of the first hold for all; where another has others, that is lost.
pub(super) fn decode_many(body: &str) -> Result<Request<'_>> {
    let many: Many<'_> = json::parse(body).map_err(|error| bad_request(&error))?;
    let mut requests = many.requests.unwrap_or_default().into_iter().map(|json| decode_one(json.get()));
    let missing = || Error::invalid("requests", "the member `requests` is required");
    let mut all = requests.next().ok_or_else(missing)??;
    for (at, request) in (1..).zip(requests) {
        let request = request?;
        all.inputs.extend(request.inputs);
        let differs = |option| !all.options.contains(option);
        all.lost
            .extend(request.options.iter().filter(|o| differs(o)).map(|(name, _)| format!("requests[{at}].{name}")));
    }
    all.lost.extend(present(many.rest).iter().map(|(name, _)| name.to_string()));
    all.options.iter_mut().for_each(|(name, _)| *name = format!("requests[0].{name}").into());
    Ok(all)
}

/// The `requests` of a batch with the model's name in each: it has to be that of the path.
pub fn renamed(requests: &str, model: &str) -> Result<String> {
    let items: Vec<Json<'_>> = json::parse(requests).map_err(|error| bad_request(&error))?;
    let model = Str::from_text(&format!("models/{model}"));
    let mut out = Vec::with_capacity(requests.len() + 64);
    {
        let mut list = Arr::new(&mut out);
        for item in items {
            let envelope = Envelope::parse_str(item.get())?;
            let mut splice = Splice::new(&envelope);
            splice.set("model", model.raw());
            list.item().extend_from_slice(&splice.write());
        }
    }
    String::from_utf8(out).map_err(Error::internal)
}

fn bad_request(error: &serde_json::Error) -> Error {
    Error::invalid("content", "the request is not what embedContent takes").with_unreadable(error)
}

/// The texts of a content make one input.
fn input(content: Option<Json<'_>>) -> Result<Input<'_>> {
    let json = content.ok_or_else(|| Error::invalid("content", "the member `content` is required"))?.get();
    let content: Content<'_> = json::parse(json).map_err(|error| bad_request(&error))?;
    let parts = content.parts.unwrap_or_default();
    if parts.iter().any(|part| part.text.is_none()) {
        return Ok(Input::Other(json));
    }
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_ref()).map(Str::escaped).collect();
    Ok(Input::Text(Str::from_escaped(&texts.join(""))))
}

pub(super) fn encode_one(ask: &Ask<'_, '_>, options: &mut Options<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let how = How::take(options);
    how.write(ask.text()?, &mut Obj::new(out));
    Ok(())
}

pub(super) fn encode_many(ask: &Ask<'_, '_>, options: &mut Options<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let model = format!("models/{}", ask.model);
    let how = How::take(options);
    let mut body = Obj::new(out);
    let mut requests = body.arr("requests");
    for text in ask.texts()? {
        let mut request = requests.obj();
        request.text("model", &model);
        how.write(text, &mut request);
    }
    Ok(())
}

/// The options of each content.
struct How<'r, 'a> {
    dimensions: Option<&'r Raw<'a>>,
    purpose: Option<String>,
    title: Option<&'r Raw<'a>>,
}

impl<'r, 'a> How<'r, 'a> {
    fn take(options: &mut Options<'r, 'a>) -> Self {
        Self {
            dimensions: options.take(DIMENSIONS),
            purpose: options.purpose(Words::Google),
            title: options.take(&["title"]),
        }
    }

    fn write(&self, text: &Str<'_>, request: &mut Obj<'_>) {
        request.obj("content").arr("parts").obj().str("text", text);
        self.dimensions.iter().for_each(|dimensions| _ = request.raw("outputDimensionality", dimensions.get()));
        self.purpose.iter().for_each(|purpose| _ = request.text("taskType", purpose));
        self.title.iter().for_each(|title| _ = request.raw("title", title.get()));
    }
}

wire_object! {
    struct Body<'a> { embedding: Values<'a>, embeddings: Vec<Values<'a>>, usage: Counts<'a> = "usageMetadata" }
}

wire_object! {
    struct Values<'a> { values: Json<'a> }
}

wire_object! {
    struct Counts<'a> { prompt: Json<'a> = "promptTokenCount" }
}

pub(super) fn decode_answer(body: &str) -> Result<Answer<'_>> {
    let body: Body<'_> = json::parse(body).map_err(unreadable)?;
    let vectors = body.embeddings.unwrap_or_default();
    let vectors: Result<Vec<_>> = body
        .embedding
        .iter()
        .chain(&vectors)
        .map(|it| Vector::of(it.values.ok_or_else(|| unreadable("no `values`"))?.get()))
        .collect();
    Ok(Answer { vectors: vectors?, input_tokens: body.usage.and_then(|usage| count(usage.prompt)) })
}

pub(super) fn encode_answer_one(answer: &Answer<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut body = Obj::new(out);
    let vector = answer.vectors.first().ok_or_else(|| unreadable("no vector"))?;
    vector.write(Encoding::Floats, body.obj("embedding").key("values"))?;
    usage(answer, &mut body);
    Ok(())
}

pub(super) fn encode_answer_many(answer: &Answer<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut body = Obj::new(out);
    {
        let mut list = body.arr("embeddings");
        for vector in &answer.vectors {
            vector.write(Encoding::Floats, list.obj().key("values"))?;
        }
    }
    usage(answer, &mut body);
    Ok(())
}

fn usage(answer: &Answer<'_>, body: &mut Obj<'_>) {
    if let Some(tokens) = answer.input_tokens {
        body.obj("usageMetadata").num("promptTokenCount", tokens);
    }
}
