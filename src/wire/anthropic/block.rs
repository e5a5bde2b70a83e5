//! One content block, as requests and answers share it.
//!
//! Reading never fails here: a block of an unknown type, or one whose members have not the types
//! that its own type asks for, is kept whole as [`PartKind::Other`]. `caller` is left out where it
//! says `direct`, which is what its absence says too: SDKs echo it with every call.

use std::borrow::Cow;

use crate::wire::ir::{Arguments, At, Media, Part, PartKind};
use crate::wire::json::{self, Arr, Json, Obj, Raw, Rest, Str};
use crate::wire_object;

wire_object! {
    /// All members that the known types have.
    struct Fields<'a> {
        kind: Json<'a> = "type",
        text: Json<'a>,
        source: Json<'a>,
        title: Json<'a>,
        context: Json<'a>,
        citations: Json<'a>,
        id: Json<'a>,
        name: Json<'a>,
        input: Json<'a>,
        tool_use_id: Json<'a>,
        content: Json<'a>,
        is_error: Json<'a>,
        thinking: Json<'a>,
        signature: Json<'a>,
        data: Json<'a>,
        cache_control: Json<'a>,
        caller: Json<'a>,
    }
}

wire_object! {
    struct Source<'a> {
        kind: Str<'a> = "type",
        media_type: Json<'a>,
        data: Json<'a>,
        url: Str<'a>,
        file_id: Str<'a>,
    }
}

wire_object! {
    struct Tagged<'a> { kind: Str<'a> = "type" }
}

/// The `type` of an object.
pub(super) fn tag(json: &str) -> Option<Str<'_>> {
    json::parse::<Tagged<'_>>(json).ok()?.kind
}

/// Takes a string member; one of another type stays where it is.
fn string<'a>(raw: &mut Option<Json<'a>>) -> Option<Str<'a>> {
    let text = Str::from_raw((*raw)?.get())?;
    *raw = None;
    Some(text)
}

fn take<'a>(raw: &mut Option<Json<'a>>) -> Option<Raw<'a>> {
    raw.take().map(|raw| Raw::new(raw.get()))
}

/// Reads one block.
pub(super) fn decode(json: &str, at: At) -> Part<'_> {
    known(json, at).unwrap_or_else(|| whole(json, at))
}

fn whole(json: &str, at: At) -> Part<'_> {
    let tag = tag(json).unwrap_or_else(|| Str::from_text(""));
    Part::new(at, PartKind::Other { tag, json: Raw::new(json) })
}

fn known(json: &str, at: At) -> Option<Part<'_>> {
    let mut f: Fields<'_> = json::parse(json).ok()?;
    let tag = string(&mut f.kind)?;
    let kind = match tag.escaped() {
        "text" => PartKind::Text { text: string(&mut f.text)?, citations: take(&mut f.citations) },
        "image" => PartKind::Image { media: media(f.source.take()?.get()), detail: None },
        "document" => PartKind::Document {
            media: media(f.source.take()?.get()),
            title: string(&mut f.title),
            context: string(&mut f.context),
            citations: take(&mut f.citations),
        },
        "tool_use" => PartKind::ToolCall {
            id: string(&mut f.id)?,
            name: string(&mut f.name)?,
            arguments: Arguments::Object(take(&mut f.input).unwrap_or_else(|| Raw::new("{}"))),
        },
        "tool_result" => PartKind::ToolResult {
            id: string(&mut f.tool_use_id)?,
            content: content(f.content.take().map(Json::get), at)?,
            is_error: f.is_error.take().is_some_and(|raw| raw.get() == "true"),
        },
        "thinking" => PartKind::Reasoning { text: string(&mut f.thinking)?, signature: string(&mut f.signature) },
        "redacted_thinking" => PartKind::RedactedReasoning { data: string(&mut f.data)? },
        _ => return None,
    };
    let cache = take(&mut f.cache_control);
    Some(Part { cache, rest: leftover(f), ..Part::new(at, kind) })
}

/// What the block has beyond the members of its type.
fn leftover(f: Fields<'_>) -> Rest<'_> {
    let indirect = f.caller.filter(|caller| !tag(caller.get()).is_some_and(|t| t.is("direct")));
    let strays = [
        ("text", f.text),
        ("source", f.source),
        ("title", f.title),
        ("context", f.context),
        ("citations", f.citations),
        ("id", f.id),
        ("name", f.name),
        ("input", f.input),
        ("tool_use_id", f.tool_use_id),
        ("content", f.content),
        ("is_error", f.is_error),
        ("thinking", f.thinking),
        ("signature", f.signature),
        ("data", f.data),
        ("caller", indirect),
    ];
    let mut rest = f.rest;
    let strays = strays.into_iter().filter_map(|(name, raw)| Some((Cow::Borrowed(name), Raw::new(raw?.get()))));
    rest.extend(strays);
    rest
}

/// The content of a tool result: absent, a string, or blocks. `None` where it is something else.
fn content(json: Option<&str>, at: At) -> Option<Vec<Part<'_>>> {
    let Some(json) = json else { return Some(Vec::new()) };
    if let Some(text) = Str::from_raw(json) {
        return Some(vec![Part::new(at, PartKind::Text { text, citations: None })]);
    }
    let items: Vec<Json<'_>> = json::parse(json).ok()?;
    Some(items.into_iter().map(|item| decode(item.get(), at)).collect())
}

fn media(json: &str) -> Media<'_> {
    known_media(json).unwrap_or_else(|| Media::Other(Raw::new(json)))
}

fn known_media(json: &str) -> Option<Media<'_>> {
    let source: Source<'_> = json::parse(json).ok().filter(|source: &Source<'_>| source.rest.is_empty())?;
    Some(match source.kind?.escaped() {
        "base64" => Media::Base64 { mime: plain(source.media_type?.get())?, data: plain(source.data?.get())? },
        "url" => Media::Url(source.url?),
        "file" => Media::File(source.file_id?),
        "text" if source.media_type.is_none_or(|m| m.get() == "\"text/plain\"") => {
            Media::Text(Str::from_raw(source.data?.get())?)
        }
        _ => return None,
    })
}

/// A string without its quotes, borrowed unless it has escapes.
fn plain(literal: &str) -> Option<Cow<'_, str>> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    Some(match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(Str::from_raw(literal)?.text().into_owned()),
    })
}

/// Whether the members that a block has beyond its type's go out too. They mean something to their
/// own format only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rests {
    Keep,
    Leave,
}

/// Writes blocks as the value of a member: a lone plain text as a string, else a list.
pub(super) fn encode_content(parts: &[&Part<'_>], rests: Rests, out: &mut Vec<u8>) {
    if let [Part { kind: PartKind::Text { text, citations: None }, cache: None, rest, .. }] = parts
        && (rest.is_empty() || rests == Rests::Leave)
    {
        out.extend_from_slice(text.raw().as_bytes());
        return;
    }
    let mut list = Arr::new(out);
    for part in parts {
        encode(part, rests, list.item());
    }
}

/// Writes one block with all it carries. What the format has no block for becomes an empty text:
/// callers sort such parts out before.
pub(super) fn encode(part: &Part<'_>, rests: Rests, out: &mut Vec<u8>) {
    if let PartKind::Other { json, .. } = &part.kind {
        out.extend_from_slice(json.get().as_bytes());
        return;
    }
    let mut block = Obj::new(out);
    match &part.kind {
        PartKind::Text { text, citations } => {
            let kept = match citations {
                Some(list) if rests == Rests::Keep => Some(Cow::Borrowed(list.get())),
                Some(list) if are_locations(list) => Some(Cow::Owned(locations(list))),
                _ => None,
            };
            encode_text(&mut block, text, kept.as_deref());
        }
        PartKind::Refusal { text } => encode_text(&mut block, text, None),
        PartKind::Image { media, .. } => encode_media(block.text("type", "image"), media),
        PartKind::Document { media, title, context, citations } => {
            encode_media(block.text("type", "document"), media);
            title.iter().for_each(|title| _ = block.str("title", title));
            context.iter().for_each(|context| _ = block.str("context", context));
            citations.iter().for_each(|citations| _ = block.raw("citations", citations.get()));
        }
        PartKind::ToolCall { id, name, arguments } => encode_call(&mut block, id.raw(), name, arguments),
        PartKind::ToolResult { id, content, is_error } => {
            encode_result(&mut block, id.raw(), &content.iter().collect::<Vec<_>>(), *is_error, rests);
        }
        PartKind::Reasoning { text, signature } => {
            block.text("type", "thinking").str("thinking", text);
            block.raw("signature", signature.as_ref().map_or("\"\"", Str::raw));
        }
        PartKind::RedactedReasoning { data } => _ = block.text("type", "redacted_thinking").str("data", data),
        PartKind::Audio { .. } | PartKind::ReasoningDetails { .. } | PartKind::Other { .. } => {
            block.text("type", "text").text("text", "");
        }
    }
    encode_extras(&mut block, part, rests);
}

/// The members that any block may carry.
pub(super) fn encode_extras(block: &mut Obj<'_>, part: &Part<'_>, rests: Rests) {
    if let Some(cache) = &part.cache {
        block.raw("cache_control", cache.get());
    }
    if rests == Rests::Keep {
        block.rest(&part.rest);
    }
}

/// A call without its closing members; `id` is a string literal.
pub(super) fn encode_call(block: &mut Obj<'_>, id: &str, name: &Str<'_>, arguments: &Arguments<'_>) {
    block.text("type", "tool_use").raw("id", id).str("name", name);
    encode_input(arguments, block.key("input"));
}

/// Whether a part of an unknown type can stand in an answer: a block with this `type`. Other formats
/// have content types of their own, which the official SDKs of this one refuse.
pub(super) fn is_answer_block(tag: &Str<'_>, json: &Raw<'_>) -> bool {
    const FOREIGN: [&str; 12] = [
        "",
        "audio",
        "custom",
        "document",
        "file",
        "function",
        "image",
        "image_url",
        "input_audio",
        "input_text",
        "output_text",
        "video_url",
    ];
    self::tag(json.get()).is_some_and(|own| own == *tag) && !FOREIGN.contains(&tag.escaped())
}

/// Whether a citation is one of this format; other formats' annotations are not.
pub(super) fn is_location(citation: &str) -> bool {
    tag(citation).is_some_and(|tag| tag.escaped().ends_with("_location"))
}

wire_object! {
    struct Location<'a> { kind: Json<'a> = "type", start: Json<'a> = "start_index", end: Json<'a> = "end_index" }
}

/// A citation without what other formats say of its place in the text: here its block says that.
pub(super) fn location(citation: &str) -> Cow<'_, str> {
    let it: Location<'_> = json::parse(citation).unwrap_or_default();
    let (Some(kind), true) = (it.kind, it.start.is_some() || it.end.is_some()) else { return citation.into() };
    let mut out = Vec::new();
    Obj::new(&mut out).raw("type", kind.get()).rest(&it.rest);
    String::from_utf8(out).map_or_else(|_| citation.into(), Cow::Owned)
}

fn locations(citations: &Raw<'_>) -> String {
    let list: Vec<Raw<'_>> = citations.read().unwrap_or_default();
    format!("[{}]", list.iter().map(|citation| location(citation.get())).collect::<Vec<_>>().join(","))
}

fn are_locations(citations: &Raw<'_>) -> bool {
    citations.read::<Vec<Raw<'_>>>().is_some_and(|list| list.iter().all(|citation| is_location(citation.get())))
}

fn encode_text(block: &mut Obj<'_>, text: &Str<'_>, citations: Option<&str>) {
    block.text("type", "text").str("text", text);
    if let Some(citations) = citations {
        block.raw("citations", citations);
    }
}

/// A tool result without its closing members; `id` is a string literal.
pub(super) fn encode_result(block: &mut Obj<'_>, id: &str, content: &[&Part<'_>], is_error: bool, rests: Rests) {
    block.text("type", "tool_result").raw("tool_use_id", id);
    if !content.is_empty() {
        encode_content(content, rests, block.key("content"));
    }
    if is_error {
        block.bool("is_error", true);
    }
}

/// Arguments as the object this format wants. Text that holds none (a call cut by the token limit)
/// is wrapped, so that nothing of it is lost and the request stays valid.
pub(super) fn encode_input(arguments: &Arguments<'_>, out: &mut Vec<u8>) {
    match (arguments.object(), arguments) {
        (Some(object), _) => out.extend_from_slice(object.trim().as_bytes()),
        (None, Arguments::Encoded(text)) => {
            Obj::new(out).str("arguments", text);
        }
        (None, Arguments::Object(_) | Arguments::Text(_)) => out.extend_from_slice(b"{}"),
    }
}

fn encode_media(block: &mut Obj<'_>, media: &Media<'_>) {
    if let Media::Other(raw) = media {
        block.raw("source", raw.get());
        return;
    }
    let mut source = block.obj("source");
    match media {
        Media::Base64 { mime, data } => source.text("type", "base64").text("media_type", mime).text("data", data),
        Media::Url(url) => source.text("type", "url").str("url", url),
        Media::File(id) => source.text("type", "file").str("file_id", id),
        Media::Text(text) => source.text("type", "text").text("media_type", "text/plain").str("data", text),
        Media::Other(_) => &mut source,
    };
}
