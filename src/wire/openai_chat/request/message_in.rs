//! A chat request to its meaning: the messages.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::wire::ir::{Arguments, At, Media, Part, PartKind, Role, Turn, data_url};
use crate::wire::json::{self, Json, Listed, Raw, Rest, Str};
use crate::wire::seal::Seal;
use crate::wire_object;

use super::super::details::Detail;
use super::super::shape;
use super::decode::{nested, required_text};
use crate::wire::lenient::{Value, filled, is_array, is_object, items, read, text};

wire_object! {
    struct Message<'a> {
        role: Json<'a>,
        content: Listed<'a>,
        name: Json<'a>,
        refusal: Json<'a>,
        tool_calls: Listed<'a>,
        tool_call_id: Json<'a>,
        function_call: Json<'a>,
        reasoning_content: Json<'a>,
        reasoning: Json<'a>,
        reasoning_details: Json<'a>,
        thinking_blocks: Json<'a>,
        images: Json<'a>,
        cache_control: Raw<'a>,
    }
}

wire_object! {
    struct ContentItem<'a> {
        kind: Json<'a> = "type",
        text: Json<'a>,
        refusal: Json<'a>,
        thinking: Json<'a>,
        image_url: Json<'a>,
        file: Json<'a>,
        input_audio: Json<'a>,
        cache_control: Raw<'a>,
    }
}

wire_object! {
    struct Image<'a> { url: Json<'a>, detail: Json<'a> }
}

wire_object! {
    struct File<'a> { file_data: Json<'a>, file_id: Json<'a>, filename: Json<'a> }
}

wire_object! {
    struct Audio<'a> { data: Json<'a>, format: Json<'a> }
}

wire_object! {
    struct ThinkingBlock<'a> {
        kind: Json<'a> = "type",
        thinking: Json<'a>,
        signature: Json<'a>,
        data: Json<'a>,
    }
}

/// The instructions before the first turn, and the turns.
type Conversation<'a> = (Vec<Part<'a>>, Vec<Turn<'a>>);

/// Reads the messages.
pub(super) fn decode<'a>(messages: &[Json<'a>]) -> Result<Conversation<'a>> {
    let (mut system, mut turns) = (Vec::new(), Vec::new());
    // The id given to the last legacy call, which its answer names by function only.
    let mut legacy_id = None;
    for (index, raw) in messages.iter().enumerate() {
        let at = At::item("messages", index);
        let message: Message<'a> =
            json::parse(raw.get()).map_err(|_| Error::invalid(at.to_string(), format!("`{at}` must be an object")))?;
        let role = role(at, message.role)?;
        let instructs = matches!(role, Role::System | Role::Developer);
        let turn = match role {
            Role::Tool => tool_turn(at, message, legacy_id.clone())?,
            Role::Assistant => {
                if message.function_call.is_some() {
                    legacy_id = Some(shape::invented_id("", 0, index));
                }
                assistant_turn(at, message, legacy_id.clone())?
            }
            Role::System | Role::Developer | Role::User => plain_turn(at, role, message)?,
        };
        if instructs && turns.is_empty() {
            instructions(turn, &mut system);
        } else {
            turns.push(turn);
        }
    }
    Ok((system, turns))
}

fn role(at: At, value: Value<'_>) -> Result<Role> {
    let role = required_text(value, "role").map_err(|_| {
        Error::invalid(format!("{at}.role"), format!("`{at}` needs a role: system, user, assistant or tool"))
    })?;
    match &*role.text() {
        "system" => Ok(Role::System),
        "developer" => Ok(Role::Developer),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" | "function" => Ok(Role::Tool),
        other => Err(Error::invalid(format!("{at}.role"), format!("`{at}` has an unknown role: {other}"))),
    }
}

/// Leading instructions have no turn to carry their name and unknown members: their first part does.
fn instructions<'a>(mut turn: Turn<'a>, system: &mut Vec<Part<'a>>) {
    if let Some(first) = turn.parts.first_mut() {
        if let Some(name) = &turn.name {
            first.rest.push((Cow::Borrowed("name"), Raw::owned(name.raw().to_owned())));
        }
        first.rest.append(&mut turn.rest);
    }
    system.append(&mut turn.parts);
}

fn plain_turn<'a>(at: At, role: Role, message: Message<'a>) -> Result<Turn<'a>> {
    let mut parts = content(at, message.content)?;
    mark_last(&mut parts, message.cache_control);
    Ok(Turn { role, at, parts, name: text(message.name), rest: strangers(message.rest) })
}

/// Members that are `null` say nothing.
fn strangers(rest: Rest<'_>) -> Rest<'_> {
    rest.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// A cache marker on a message stands at its end.
fn mark_last<'a>(parts: &mut [Part<'a>], cache: Option<Raw<'a>>) {
    if let Some(last) = parts.last_mut()
        && last.cache.is_none()
    {
        last.cache = cache;
    }
}

fn tool_turn<'a>(at: At, message: Message<'a>, legacy_id: Option<Str<'static>>) -> Result<Turn<'a>> {
    let id = text(message.tool_call_id).or(legacy_id).ok_or_else(|| {
        Error::invalid(format!("{at}.tool_call_id"), format!("`{at}` needs the `tool_call_id` it answers"))
    })?;
    let content = content(at, message.content)?;
    let mut part = Part::new(at, PartKind::ToolResult { id, content, is_error: false });
    part.cache = message.cache_control;
    let name = text(message.name);
    Ok(Turn { role: Role::Tool, at, parts: vec![part], name, rest: strangers(message.rest) })
}

fn assistant_turn<'a>(at: At, message: Message<'a>, legacy_id: Option<Str<'static>>) -> Result<Turn<'a>> {
    let mut parts = Vec::new();
    reasoning(at, &message, &mut parts);
    let mut said = content(at, message.content)?;
    let calls = message.tool_calls.as_ref().map_or(&[][..], Listed::items);
    if !calls.is_empty() || message.function_call.is_some() {
        // The empty text beside a call says nothing, and most formats refuse it.
        said.retain(|p| !matches!(&p.kind, PartKind::Text { text, .. } if text.is_empty()));
    }
    parts.append(&mut said);
    if let Some(refusal) = filled(message.refusal) {
        parts.push(Part::new(at.inner("refusal", 0), PartKind::Refusal { text: refusal }));
    }
    for (index, raw) in items(message.images).into_iter().enumerate() {
        parts.push(part(at.inner("images", index), raw));
    }
    for (index, raw) in calls.iter().enumerate() {
        parts.push(call(at.inner("tool_calls", index), *raw)?);
    }
    if let Some(call) = read::<shape::Named<'a>>(message.function_call) {
        let kind = PartKind::ToolCall {
            id: legacy_id.unwrap_or_else(|| Str::from_text("call_0")),
            name: text(call.name).unwrap_or_else(|| Str::from_text("")),
            arguments: shape::arguments(call.arguments),
        };
        parts.push(Part::new(at.inner("function_call", 0), kind));
    }
    mark_last(&mut parts, message.cache_control);
    Ok(Turn { role: Role::Assistant, at, parts, name: text(message.name), rest: strangers(message.rest) })
}

fn call(at: At, raw: Json<'_>) -> Result<Part<'_>> {
    let missing = |what: &str| Error::invalid(at.to_string(), format!("`{at}` needs {what}"));
    let call: shape::Call<'_> = read(Some(raw)).ok_or_else(|| missing("to be an object"))?;
    let id = text(call.id).ok_or_else(|| missing("an `id`"))?;
    let mut rest = call.rest;
    let custom = call.custom.filter(|c| is_object(Some(*c)));
    let named: shape::Named<'_> =
        read(custom.or(call.function)).ok_or_else(|| missing("a `function` with name and arguments"))?;
    let name = text(named.name).ok_or_else(|| missing("the name of its function"))?;
    let arguments = match custom {
        Some(whole) => {
            rest.push((Cow::Borrowed("custom"), Raw::new(whole.get())));
            Arguments::Text(text(named.input).unwrap_or_else(|| Str::from_text("")))
        }
        None => {
            rest.extend(nested("function", named.rest));
            shape::arguments(named.arguments)
        }
    };
    let rest = strangers(rest);
    Ok(Part { cache: call.cache_control, rest, ..Part::new(at, PartKind::ToolCall { id, name, arguments }) })
}

/// Thinking that a client gives back, under whichever names it keeps it. Where it stood is its `at`:
/// the same format gets it back under the same name.
fn reasoning<'a>(at: At, message: &Message<'a>, parts: &mut Vec<Part<'a>>) {
    for (index, raw) in items(message.thinking_blocks).into_iter().enumerate() {
        if let Some(part) = thinking_block(at.inner("thinking_blocks", index), raw) {
            parts.push(part);
        }
    }
    if let Some(array) = message.reasoning_details.filter(|d| is_array(Some(*d)) && d.get() != "[]") {
        reasoning_details(at, array, parts);
    }
    for (name, value) in [("reasoning_content", message.reasoning_content), ("reasoning", message.reasoning)] {
        if let Some(text) = text(value) {
            parts.push(Part::new(at.inner(name, 0), PartKind::Reasoning { text, signature: None }));
        }
    }
}

fn thinking_block(at: At, raw: Json<'_>) -> Option<Part<'_>> {
    let block: ThinkingBlock<'_> = read(Some(raw))?;
    let kind = match filled(block.data) {
        Some(data) if text(block.kind).is_some_and(|k| k.is("redacted_thinking")) => {
            PartKind::RedactedReasoning { data }
        }
        _ => PartKind::Reasoning { text: text(block.thinking)?, signature: filled(block.signature) },
    };
    Some(Part { rest: block.rest, ..Part::new(at, kind) })
}

/// Claude's own thinking is known for what it is; every other vendor's array stays whole.
fn reasoning_details<'a>(at: At, array: Json<'a>, parts: &mut Vec<Part<'a>>) {
    let details: Vec<Detail<'a>> = items(Some(array)).into_iter().filter_map(|i| read(Some(i))).collect();
    // What was sealed here is never left in an array that goes out whole.
    let is_sealed = Seal::may_be_in(array.get().as_bytes());
    if !is_sealed && !details.iter().all(Detail::is_claude) {
        let kind = PartKind::ReasoningDetails { details: Raw::new(array.get()) };
        parts.push(Part::new(at.inner("reasoning_details", 0), kind));
        return;
    }
    for (index, detail) in details.into_iter().enumerate().filter(|(_, detail)| detail.is_claude()) {
        let kind = match filled(detail.data) {
            Some(data) => PartKind::RedactedReasoning { data },
            None => PartKind::Reasoning {
                text: text(detail.text).unwrap_or_else(|| Str::from_text("")),
                signature: filled(detail.signature),
            },
        };
        // `format` and `index` say nothing that the kind and the place don't.
        parts.push(Part { rest: detail.rest, ..Part::new(at.inner("reasoning_details", index), kind) });
    }
}

fn content(at: At, value: Option<Listed<'_>>) -> Result<Vec<Part<'_>>> {
    let raw = match value {
        None => return Ok(Vec::new()),
        Some(Listed::Items(items)) => {
            let numbered = items.into_iter().enumerate();
            return Ok(numbered.map(|(index, item)| part(at.inner("content", index), item)).collect());
        }
        Some(Listed::Value(raw)) => raw,
    };
    let wrong = || {
        let path = format!("{at}.content");
        Error::invalid(path, format!("`{at}.content` must be a string or a list of parts"))
    };
    let text = Str::from_raw(raw.get()).ok_or_else(wrong)?;
    Ok(vec![Part::new(at, PartKind::Text { text, citations: None })])
}

fn part(at: At, raw: Json<'_>) -> Part<'_> {
    if let Some(text) = Str::from_raw(raw.get()) {
        return Part::new(at, PartKind::Text { text, citations: None });
    }
    let mut item: ContentItem<'_> = read(Some(raw)).unwrap_or_default();
    let tag = text(item.kind).unwrap_or_else(|| Str::from_text("text"));
    let mut rest = std::mem::take(&mut item.rest);
    let kind = known(&tag.text(), &item, &mut rest);
    match kind {
        Some(kind) => Part { cache: item.cache_control, rest: strangers(rest), ..Part::new(at, kind) },
        None => Part::new(at, PartKind::Other { tag, json: Raw::new(raw.get()) }),
    }
}

fn known<'a>(tag: &str, item: &ContentItem<'a>, rest: &mut Rest<'a>) -> Option<PartKind<'a>> {
    match tag {
        "text" => Some(PartKind::Text { text: text(item.text)?, citations: None }),
        "refusal" => Some(PartKind::Refusal { text: text(item.refusal)? }),
        "thinking" => {
            let texts = shape::thinking(item.thinking);
            let text = shape::joined(texts, "").unwrap_or_else(|| Str::from_text(""));
            Some(PartKind::Reasoning { text, signature: None })
        }
        "image_url" => image(item.image_url, rest),
        "file" => file(item.file, rest),
        "input_audio" => audio(item.input_audio, rest),
        _ => None,
    }
}

fn image<'a>(value: Value<'a>, rest: &mut Rest<'a>) -> Option<PartKind<'a>> {
    if filled(value).is_some() {
        return Some(PartKind::Image { media: media(value?)?, detail: None });
    }
    let image: Image<'a> = read(value)?;
    rest.extend(nested("image_url", image.rest));
    Some(PartKind::Image { media: media(image.url?)?, detail: text(image.detail) })
}

fn file<'a>(value: Value<'a>, rest: &mut Rest<'a>) -> Option<PartKind<'a>> {
    let file: File<'a> = read(value)?;
    let media = match (file.file_data.filter(|d| filled(Some(*d)).is_some()), filled(file.file_id)) {
        (Some(data), _) => match media(data)? {
            // Without a data URL's head it is still base64; of what, only the usual can be said.
            Media::Url(url) if !url.escaped().starts_with("http") => {
                Media::Base64 { mime: Cow::Borrowed("application/pdf"), data: plain(data)? }
            }
            media => media,
        },
        (None, Some(id)) => Media::File(id),
        (None, None) => return None,
    };
    rest.extend(nested("file", file.rest));
    Some(PartKind::Document { media, title: text(file.filename), context: None, citations: None })
}

fn audio<'a>(value: Value<'a>, rest: &mut Rest<'a>) -> Option<PartKind<'a>> {
    let audio: Audio<'a> = read(value)?;
    let format = text(audio.format);
    let mime = format.as_ref().map_or_else(|| "audio/wav".to_owned(), |f| format!("audio/{}", f.text()));
    let media = Media::Base64 { mime: Cow::Owned(mime), data: plain(audio.data?)? };
    rest.extend(nested("input_audio", audio.rest));
    Some(PartKind::Audio { media, format })
}

/// A data URL is inline, everything else an address.
fn media(raw: Json<'_>) -> Option<Media<'_>> {
    let url = plain(raw)?;
    let split = |url: &str| {
        let (mime, _) = data_url(url)?;
        Some(("data:".len() + mime.len(), "data:".len() + mime.len() + ";base64,".len()))
    };
    let Some((mime_end, data_start)) = split(&url) else { return Str::from_raw(raw.get()).map(Media::Url) };
    let cut = |from: usize, to: usize| match &url {
        Cow::Borrowed(url) => url.get(from..to).map(Cow::Borrowed),
        Cow::Owned(url) => url.get(from..to).map(|part| Cow::Owned(part.to_owned())),
    };
    Some(Media::Base64 { mime: cut("data:".len(), mime_end)?, data: cut(data_start, url.len())? })
}

/// The text of a string; borrowed unless it is escaped (some clients escape every slash).
fn plain(raw: Json<'_>) -> Option<Cow<'_, str>> {
    let literal = raw.get();
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    Str::from_raw(literal).map(|s| Cow::Owned(s.text().into_owned()))
}
