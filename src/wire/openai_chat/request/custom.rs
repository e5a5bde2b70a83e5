//! Custom tools: what Responses has flat stands here in objects of its own.
//!
//! - `{type: custom, custom: {name, description, format: {type: grammar, grammar: {syntax, definition}}}}`
//!   (seen 2026-11) is `{type: custom, name, description, format: {type: grammar, syntax, definition}}`
//!   there, and in [`ToolKind::Custom`].

use super::decode::nested;
use crate::wire::ir::{At, Tool, ToolKind};
use crate::wire::json::{Arr, Json, Obj, Raw, Rest};
use crate::wire::lenient::{Value, read, text};
use crate::wire_object;

wire_object! {
    struct Custom<'a> { name: Json<'a>, description: Json<'a>, format: Raw<'a> }
}

wire_object! {
    struct Format<'a> { kind: Json<'a> = "type", grammar: Raw<'a> }
}

/// Reads the member `custom` of a tool; nothing where it has no name.
pub(super) fn decode<'a>(at: At, custom: Value<'a>, cache: Option<Raw<'a>>, mut rest: Rest<'a>) -> Option<Tool<'a>> {
    let it: Custom<'a> = read(custom)?;
    let (name, description) = (text(it.name)?, text(it.description));
    rest.extend(nested("custom", it.rest));
    let kind = ToolKind::Custom { name, description, format: it.format.map(flat) };
    Some(Tool { at, kind, cache, rest, item: None })
}

/// The members of `grammar` beside the type.
fn flat(format: Raw<'_>) -> Raw<'_> {
    let inside = format.read::<Format<'_>>().and_then(|it| {
        let members = it.grammar?.get().trim().strip_prefix('{')?.trim_start().to_owned();
        Some(if members == "}" { members } else { format!(",{members}") })
    });
    match inside {
        Some(members) => Raw::owned(format!(r#"{{"type":"grammar"{members}"#)),
        None => format,
    }
}

/// Writes the tool for a chat upstream; its own members besides these are left to the caller.
pub(super) fn encode(tool: &Tool<'_>, list: &mut Arr<'_>) {
    let ToolKind::Custom { name, description, format } = &tool.kind else { return };
    let mut obj = list.obj();
    obj.text("type", "custom");
    let mut custom = obj.obj("custom");
    custom.str("name", name);
    description.iter().for_each(|d| _ = custom.str("description", d));
    if let Some(format) = format {
        encode_format(format, &mut custom);
    }
    super::encode::nested("custom.", &tool.rest, &mut custom);
    drop(custom);
    tool.cache.iter().for_each(|cache| _ = obj.raw("cache_control", cache.get()));
    super::encode::outer(&tool.rest, &mut obj);
}

fn encode_format(format: &Raw<'_>, custom: &mut Obj<'_>) {
    match format.read::<Format<'_>>() {
        Some(it) if it.grammar.is_none() && text(it.kind).is_some_and(|kind| kind.is("grammar")) => {
            custom.obj("format").text("type", "grammar").obj("grammar").rest(&it.rest);
        }
        _ => _ = custom.raw("format", format.get()),
    }
}
