//! What a message holds, read: blocks of content, calls, and what was said before them.

use crate::wire::ir::{Arguments, At, Media, Part, PartKind};
use crate::wire::json::{Json, Raw, Str};
use crate::wire::lenient::{Value, filled, items, read, text};
use crate::wire_object;

wire_object! {
    struct Block<'a> {
        kind: Json<'a> = "type",
        text: Json<'a>,
        thinking: Json<'a>,
        image: Image<'a> = "image_url",
        document: Json<'a>,
    }
}

wire_object! {
    struct Image<'a> { url: Json<'a>, detail: Json<'a> }
}

wire_object! {
    struct Document<'a> { data: Data<'a>, id: Json<'a> }
}

wire_object! {
    struct Data<'a> { text: Json<'a>, title: Json<'a> }
}

wire_object! {
    pub(super) struct Call<'a> { id: Json<'a>, function: Function<'a>, kind: Json<'a> = "type" }
}

wire_object! {
    pub(super) struct Function<'a> { name: Json<'a>, arguments: Json<'a> }
}

/// Reads content: a string, or a list of blocks.
pub(super) fn decode<'a>(content: Value<'a>, at: At, parts: &mut Vec<Part<'a>>) {
    if let Some(text) = text(content) {
        return parts.push(Part::new(at, PartKind::Text { text, citations: None }));
    }
    let blocks: Vec<Json<'a>> = read(content).unwrap_or_default();
    parts.extend(blocks.into_iter().enumerate().map(|(index, raw)| block(raw, at.inner("content", index))));
}

/// Reads one block; one unknown here is kept whole.
fn block(raw: Json<'_>, at: At) -> Part<'_> {
    let it: Block<'_> = read(Some(raw)).unwrap_or_default();
    let tag = text(it.kind).unwrap_or_else(|| Str::from_text(""));
    Part::new(at, known(it).unwrap_or_else(|| PartKind::Other { tag, json: Raw::new(raw.get()) }))
}

fn known(it: Block<'_>) -> Option<PartKind<'_>> {
    if !it.rest.is_empty() {
        return None;
    }
    match text(it.kind)?.escaped() {
        "text" => Some(PartKind::Text { text: text(it.text)?, citations: None }),
        "thinking" => Some(PartKind::Reasoning { text: text(it.thinking)?, signature: None }),
        "image_url" => {
            let image = it.image.filter(|image| image.rest.is_empty())?;
            Some(PartKind::Image { media: Media::Url(text(image.url)?), detail: text(image.detail) })
        }
        "document" => document(it.document),
        _ => None,
    }
}

/// A document of which no more is said than a title and a text.
fn document(raw: Value<'_>) -> Option<PartKind<'_>> {
    let Document { data, id: None, rest } = read(raw)? else { return None };
    let data = data.filter(|data| rest.is_empty() && data.rest.is_empty())?;
    let media = Media::Text(text(data.text)?);
    Some(PartKind::Document { media, title: text(data.title), context: None, citations: None })
}

/// Reads the calls of a message.
pub(super) fn calls<'a>(list: Value<'a>, at: At, parts: &mut Vec<Part<'a>>) {
    let calls: Vec<Call<'a>> = read(list).unwrap_or_default();
    for (index, call) in calls.into_iter().enumerate() {
        let function = call.function.unwrap_or_default();
        let or_empty = |value| text(value).unwrap_or_else(|| Str::from_text(""));
        let arguments = Arguments::Encoded(or_empty(function.arguments));
        let kind = PartKind::ToolCall { id: or_empty(call.id), name: or_empty(function.name), arguments };
        parts.push(Part::new(at.inner("tool_calls", index), kind));
    }
}

/// What is said before the calls: a text like any other.
pub(super) fn plan<'a>(plan: Value<'a>, at: At, parts: &mut Vec<Part<'a>>) {
    if let Some(text) = filled(plan) {
        parts.push(Part::new(at, PartKind::Text { text, citations: None }));
    }
}

wire_object! {
    struct Probability<'a> { text: Json<'a>, values: Json<'a> = "logprobs" }
}

/// Log probabilities as chat has them; what is told of several tokens at once is told of them as one.
pub(super) fn logprobs<'v>(values: impl IntoIterator<Item = Json<'v>>) -> Option<Raw<'static>> {
    let tokens: Vec<String> = values.into_iter().filter_map(token).collect();
    (!tokens.is_empty()).then(|| Raw::owned(format!(r#"{{"content":[{}],"refusal":null}}"#, tokens.join(","))))
}

fn token(raw: Json<'_>) -> Option<String> {
    let it: Probability<'_> = read(Some(raw))?;
    let values = items(it.values);
    let sum = values.iter().filter_map(|value| value.get().parse::<f64>().ok()).sum::<f64>();
    let value = match values.as_slice() {
        [] => return None,
        _ if !sum.is_finite() => return None,
        [one] => one.get().to_owned(),
        _ => sum.to_string(),
    };
    let text = text(it.text)?;
    Some(format!(r#"{{"token":{},"logprob":{value},"bytes":null,"top_logprobs":[]}}"#, text.raw()))
}
