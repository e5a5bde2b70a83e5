//! The objects of answers and chunks, read leniently: a message and a delta have the same members.

use sha2::{Digest as _, Sha256};

use super::error;
use crate::error::{Error, Kind};
use crate::wire::ir::{Arguments, Media};
use crate::wire::json::{Json, Raw, Str};
use crate::wire_object;

use crate::wire::lenient::{Value, filled, is_object, items, read, text};

wire_object! {
    /// A whole answer, or one chunk of a stream.
    pub(super) struct Completion<'a> {
        id: Json<'a>,
        object: Json<'a>,
        created: Json<'a>,
        model: Json<'a>,
        choices: Json<'a>,
        usage: Json<'a>,
        service_tier: Json<'a>,
        x_groq: Json<'a>,
        error: Json<'a>,
    }
}

wire_object! {
    pub(super) struct Choice<'a> {
        index: Json<'a>,
        message: Json<'a>,
        delta: Json<'a>,
        finish_reason: Json<'a>,
        stop_reason: Json<'a>,
        logprobs: Json<'a>,
        error: Json<'a>,
    }
}

wire_object! {
    pub(super) struct Message<'a> {
        role: Json<'a>,
        content: Json<'a>,
        refusal: Json<'a>,
        reasoning_content: Json<'a>,
        reasoning: Json<'a>,
        reasoning_details: Json<'a>,
        annotations: Json<'a>,
        images: Json<'a>,
        tool_calls: Json<'a>,
        function_call: Json<'a>,
    }
}

wire_object! {
    struct Image<'a> { image_url: Json<'a> }
}

wire_object! {
    struct Address<'a> { url: Json<'a> }
}

wire_object! {
    pub(super) struct Call<'a> {
        index: Json<'a>,
        id: Json<'a>,
        kind: Json<'a> = "type",
        function: Json<'a>,
        custom: Json<'a>,
        cache_control: Raw<'a>,
    }
}

wire_object! {
    /// A function's call, or with `input` a custom tool's.
    pub(super) struct Named<'a> {
        name: Json<'a>,
        arguments: Json<'a>,
        input: Json<'a>,
    }
}

wire_object! {
    /// An item of a content list.
    pub(super) struct Item<'a> {
        kind: Json<'a> = "type",
        text: Json<'a>,
        refusal: Json<'a>,
        thinking: Json<'a>,
    }
}

/// One thing a content holds.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Text(Str<'a>),
    Thinking(Str<'a>),
    Refusal(Str<'a>),
    Other(Str<'a>, Json<'a>),
}

impl Completion<'_> {
    /// Whether this is an error in an answer's place; Mistral's shape has no `error` member.
    pub(super) fn is_error(&self) -> bool {
        says_error(self.error) || text(self.object).is_some_and(|o| o.is("error"))
    }
}

/// DeepSeek's word for an answer that it had no more means to go on with.
pub(super) const OUT_OF_RESOURCES: &str = "insufficient_system_resource";

impl Choice<'_> {
    /// The error with which this answer broke off, if it did; `json` is all of it.
    pub(super) fn error(&self, json: &str) -> Option<Error> {
        let ended_in = |word| text(self.finish_reason).is_some_and(|own| own.is(word));
        if ended_in(OUT_OF_RESOURCES) {
            let text = "the provider broke its answer off for want of resources";
            return Some(Error::new(Kind::UpstreamOverloaded, text));
        }
        // OpenRouter's.
        (says_error(self.error) || ended_in("error")).then(|| error::decode_in_band(json))
    }
}

/// Some servers always have the member, with nothing in it.
fn says_error(error: Value<'_>) -> bool {
    is_object(error) || filled(error).is_some()
}

impl Message<'_> {
    /// The reasoning text, under whichever name: never two of them, they repeat each other.
    pub(super) fn reasoning(&self) -> Vec<Str<'_>> {
        match filled(self.reasoning_content).or_else(|| filled(self.reasoning)) {
            Some(text) => vec![text],
            None => super::details::readable(self.reasoning_details),
        }
    }
}

/// Pictures the model made: OpenRouter's `images`.
pub(super) fn images(value: Value<'_>) -> Vec<Media<'_>> {
    let address = |raw| read::<Address<'_>>(read::<Image<'_>>(Some(raw))?.image_url)?.url;
    items(value).into_iter().filter_map(|raw| filled(address(raw)).map(Media::Url)).collect()
}

/// What a content holds: a string, a list (Mistral), or an object that its server parsed too early
/// (Cloudflare).
pub(super) fn pieces(content: Value<'_>) -> Vec<Piece<'_>> {
    let Some(raw) = content else { return Vec::new() };
    match raw.get().as_bytes().first() {
        Some(b'"') => filled(content).map(Piece::Text).into_iter().collect(),
        Some(b'[') => items(content).into_iter().flat_map(item_pieces).collect(),
        _ => vec![Piece::Text(Str::from_text(raw.get()))],
    }
}

fn item_pieces(raw: Json<'_>) -> Vec<Piece<'_>> {
    if let Some(plain) = Str::from_raw(raw.get()) {
        return vec![Piece::Text(plain)];
    }
    let item: Item<'_> = read(Some(raw)).unwrap_or_default();
    if item.thinking.is_some() {
        return thinking(item.thinking).into_iter().map(Piece::Thinking).collect();
    }
    if let Some(refusal) = filled(item.refusal) {
        return vec![Piece::Refusal(refusal)];
    }
    match text(item.text) {
        Some(text) if text.is_empty() => Vec::new(),
        Some(text) => vec![Piece::Text(text)],
        None => filled(item.kind).map(|kind| Piece::Other(kind, raw)).into_iter().collect(),
    }
}

/// Mistral's thinking: text, or a list of text items.
pub(super) fn thinking(value: Value<'_>) -> Vec<Str<'_>> {
    match text(value) {
        Some(plain) => Some(plain).filter(|t| !t.is_empty()).into_iter().collect(),
        None => items(value).into_iter().filter_map(|i| filled(read::<Item<'_>>(Some(i))?.text)).collect(),
    }
}

/// Joins literals into one, with `escaped` (JSON-escaped text) between them.
pub(super) fn joined<'a>(mut texts: Vec<Str<'a>>, escaped: &str) -> Option<Str<'a>> {
    if texts.len() <= 1 {
        return texts.pop();
    }
    let all: Vec<&str> = texts.iter().map(Str::escaped).collect();
    literal(&all.join(escaped))
}

/// Text that is escaped already, as a literal.
pub(super) fn literal(escaped: &str) -> Option<Str<'static>> {
    Str::from_raw(&format!("\"{escaped}\"")).map(Str::into_owned)
}

/// Arguments as they came: a string, as they should, or an object.
pub(super) fn arguments(value: Value<'_>) -> Arguments<'_> {
    match value {
        None => Arguments::Object(Raw::new("{}")),
        Some(raw) => match Str::from_raw(raw.get()) {
            Some(text) => Arguments::Encoded(text),
            None => Arguments::Object(Raw::new(raw.get())),
        },
    }
}

/// A custom tool's free text in the place of arguments.
pub(super) fn custom_arguments(input: Value<'_>) -> Arguments<'_> {
    let input = text(input).map_or_else(|| "\"\"".to_owned(), |i| i.raw().to_owned());
    Arguments::Object(Raw::owned(format!("{{\"input\":{input}}}")))
}

/// An id for a call whose upstream gave none: the same for the same answer and place, so that a
/// repeated translation gives the same bytes.
pub(super) fn invented_id(seed: &str, choice: u64, place: usize) -> Str<'static> {
    let hash = Sha256::new_with_prefix(b"weir call\0").chain_update(seed).chain_update(format!("\0{choice}\0{place}"));
    let mut id = hex::encode(hash.finalize());
    id.truncate(24);
    Str::from_text(&format!("call_{id}"))
}

/// What an invented id hangs on: the answer's id, or something new where there is none.
pub(super) fn seed(id: Option<&Str<'_>>) -> String {
    id.map_or_else(|| uuid::Uuid::now_v7().to_string(), |id| id.raw().to_owned())
}
