//! One content block, read. What it is, its only member says.
//!
//! `cachePoint` is a block of its own here: it is read as the cache marker of the part before it.

use super::{citation, media};
use crate::wire::ir::{Arguments, At, Part, PartKind};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::lenient::{Value, items, read, text};
use crate::wire::scan;
use crate::wire_object;

wire_object! {
    struct Block<'a> {
        text: Json<'a>,
        image: Json<'a>,
        document: Json<'a>,
        audio: Json<'a>,
        tool_use: Json<'a> = "toolUse",
        tool_result: Json<'a> = "toolResult",
        reasoning: Json<'a> = "reasoningContent",
        cited: Json<'a> = "citationsContent",
        json: Json<'a>,
    }
}

wire_object! {
    pub(super) struct ToolUse<'a> {
        id: Json<'a> = "toolUseId",
        name: Json<'a>,
        input: Json<'a>,
        kind: Json<'a> = "type",
    }
}

impl ToolUse<'_> {
    /// The provider runs the tool itself.
    pub(super) fn is_servers(&self) -> bool {
        text(self.kind).is_some_and(|kind| kind.is("server_tool_use"))
    }
}

wire_object! {
    struct ToolResult<'a> {
        id: Json<'a> = "toolUseId",
        content: Json<'a>,
        status: Json<'a>,
        kind: Json<'a> = "type",
    }
}

wire_object! {
    struct Reasoning<'a> { text: ReasoningText<'a> = "reasoningText", redacted: Json<'a> = "redactedContent" }
}

wire_object! {
    struct ReasoningText<'a> { text: Json<'a>, signature: Json<'a> }
}

wire_object! {
    struct Cited<'a> { content: Json<'a>, citations: Json<'a> }
}

wire_object! {
    struct Text<'a> { text: Json<'a> }
}

wire_object! {
    struct CachePoint<'a> { ttl: Json<'a> }
}

/// The only member of a block: its name and its value.
pub(super) fn tag(json: &str) -> (&str, &str) {
    scan::members(json).next().unwrap_or_default()
}

/// Reads a list of blocks; `place` says where the item of that number stood.
pub(super) fn decode_list<'a>(blocks: Value<'a>, place: impl Fn(usize) -> At) -> Vec<Part<'a>> {
    let list: Vec<Json<'a>> = read(blocks).unwrap_or_default();
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(list.len());
    for (index, item) in list.into_iter().enumerate() {
        match (cache_marker(item.get()), parts.last_mut()) {
            (Some(marker), Some(last)) => last.cache = Some(marker),
            // Before the first part there is nothing to keep.
            (Some(_), None) => {}
            (None, _) => parts.push(decode(item.get(), place(index))),
        }
    }
    parts
}

/// A `cachePoint` as Anthropic's `cache_control`.
pub(super) fn cache_marker(json: &str) -> Option<Raw<'static>> {
    let ("cachePoint", value) = tag(json) else { return None };
    let point: CachePoint<'_> = json::parse(value).unwrap_or_default();
    Some(match text(point.ttl) {
        Some(ttl) => Raw::owned(format!(r#"{{"type":"ephemeral","ttl":{}}}"#, ttl.raw())),
        None => Raw::new(r#"{"type":"ephemeral"}"#).into_owned(),
    })
}

/// Reads one block; one unknown here is kept whole.
pub(super) fn decode(json: &str, at: At) -> Part<'_> {
    let kind = known(json, at).unwrap_or_else(|| {
        let name = tag(json).0;
        PartKind::Other { tag: Str::from_text(name), json: Raw::new(json) }
    });
    Part::new(at, kind)
}

fn known(json: &str, at: At) -> Option<PartKind<'_>> {
    let it: Block<'_> = json::parse(json).ok().filter(|it: &Block<'_>| it.rest.is_empty())?;
    if let Some(words) = it.text {
        return Some(PartKind::Text { text: Str::from_raw(words.get())?, citations: None });
    }
    if let Some(call) = it.tool_use {
        return tool_use(call);
    }
    if let Some(result) = it.tool_result {
        return tool_result(result, at);
    }
    if let Some(reasoning) = it.reasoning {
        return self::reasoning(reasoning);
    }
    if let Some(cited) = it.cited {
        return self::cited(cited);
    }
    if let Some(json) = it.json {
        // A result that is JSON is text to every other format.
        return Some(PartKind::Text { text: Str::from_text(json.get()), citations: None });
    }
    let media = it.image.or(it.document).or(it.audio)?;
    let media: media::Block<'_> = json::parse(media.get()).ok()?;
    match (it.image.is_some(), it.document.is_some()) {
        _ if !media.rest.is_empty() => None,
        (true, _) => media::image(&media),
        (_, true) => media::document(&media),
        _ => media::audio(&media),
    }
}

fn tool_use(json: Json<'_>) -> Option<PartKind<'_>> {
    let it: ToolUse<'_> = json::parse(json.get()).ok()?;
    if it.is_servers() {
        return None;
    }
    Some(PartKind::ToolCall {
        id: Str::from_raw(it.id?.get())?,
        name: Str::from_raw(it.name?.get())?,
        arguments: Arguments::Object(Raw::new(it.input.map_or("{}", Json::get))),
    })
}

fn tool_result(json: Json<'_>, at: At) -> Option<PartKind<'_>> {
    let it: ToolResult<'_> = json::parse(json.get()).ok()?;
    // Of a tool that the provider ran.
    if it.kind.is_some() {
        return None;
    }
    Some(PartKind::ToolResult {
        id: Str::from_raw(it.id?.get())?,
        content: decode_list(it.content, |_| at),
        is_error: text(it.status).is_some_and(|status| status.is("error")),
    })
}

fn reasoning(json: Json<'_>) -> Option<PartKind<'_>> {
    let it: Reasoning<'_> = json::parse(json.get()).ok()?;
    if let Some(data) = it.redacted {
        return Some(PartKind::RedactedReasoning { data: Str::from_raw(data.get())? });
    }
    let it = it.text?;
    let string = |raw: Option<Json<'_>>| raw.and_then(|raw| Str::from_raw(raw.get()).map(Str::into_owned));
    Some(PartKind::Reasoning {
        text: string(it.text).unwrap_or_else(|| Str::from_text("")),
        signature: string(it.signature).filter(|s| !s.is_empty()),
    })
}

fn cited(json: Json<'_>) -> Option<PartKind<'_>> {
    let it: Cited<'_> = json::parse(json.get()).ok()?;
    let mut words = String::from("\"");
    for item in items(it.content) {
        if let Some(piece) =
            read::<Text<'_>>(Some(item)).and_then(|piece| piece.text).and_then(|t| Str::from_raw(t.get()))
        {
            words.push_str(piece.escaped());
        }
    }
    words.push('"');
    let citations: Vec<Raw<'_>> = items(it.citations).iter().filter_map(|c| citation::anthropic(c.get())).collect();
    let list = citations.iter().map(Raw::get).collect::<Vec<_>>().join(",");
    Some(PartKind::Text {
        text: Str::from_raw(&words)?.into_owned(),
        citations: (!citations.is_empty()).then(|| Raw::owned(format!("[{list}]"))),
    })
}
