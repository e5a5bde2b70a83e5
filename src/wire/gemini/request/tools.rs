//! Tools and their choice: `tools` is a list of objects, each with a list of functions and tools of
//! the provider's own beside it.
//!
//! A choice that has no counterpart elsewhere (several allowed names, `VALIDATED`) is the nearest
//! that has, and a setting with the very words.

use std::borrow::Cow;

use super::decode::object;
use crate::error::{Error, Result};
use crate::wire::Dialect;
use crate::wire::gemini::response::one_or_more;
use crate::wire::gemini::schema;
use crate::wire::ir::{At, Dropped, Request, Setting, SettingKind, Tool, ToolChoice, ToolKind};
use crate::wire::json::{Json, Listed, Obj, Raw, Str};
use crate::wire::lenient::{Value, items, read, text};
use crate::wire_object;

/// The setting with the words of a choice.
const CHOICE: &str = "toolConfig.functionCallingConfig";
const CONFIG: &str = "toolConfig.";

wire_object! {
    struct Group<'a> { functions: Listed<'a> = "functionDeclarations" | "function_declarations" }
}

wire_object! {
    struct Declaration<'a> {
        name: Json<'a>,
        description: Json<'a>,
        parameters: Json<'a>,
        json_schema: Raw<'a> = "parametersJsonSchema" | "parameters_json_schema",
    }
}

wire_object! {
    struct Config<'a> { calling: Json<'a> = "functionCallingConfig" | "function_calling_config" }
}

wire_object! {
    struct Calling<'a> { mode: Json<'a>, allowed: Json<'a> = "allowedFunctionNames" | "allowed_function_names" }
}

/// Reads `tools`.
pub(super) fn decode(value: Option<Listed<'_>>) -> Result<Vec<Tool<'_>>> {
    let mut all = Vec::new();
    for (index, raw) in one_or_more(value).into_iter().enumerate() {
        let at = At::item("tools", index);
        let group: Group<'_> =
            read(Some(raw)).ok_or_else(|| Error::invalid(at.to_string(), format!("`{at}` must be an object")))?;
        for (index, raw) in one_or_more(group.functions).into_iter().enumerate() {
            all.push(function(at.inner("functionDeclarations", index), raw)?);
        }
        for (name, value) in group.rest.into_iter().filter(|(_, value)| !value.is_null()) {
            let mut json = Vec::new();
            Obj::new(&mut json).raw(&name, value.get());
            let json = Raw::owned(String::from_utf8(json).unwrap_or_default());
            let kind = ToolKind::Other { tag: Str::from_text(&name), json };
            all.push(Tool { at, kind, cache: None, rest: Vec::new(), item: None });
        }
    }
    Ok(all)
}

fn function(at: At, raw: Json<'_>) -> Result<Tool<'_>> {
    let it: Declaration<'_> = read(Some(raw)).unwrap_or_default();
    let name = text(it.name).ok_or_else(|| Error::invalid(at.to_string(), format!("`{at}` needs a `name`")))?;
    let schema = it.json_schema.or_else(|| it.parameters.map(schema::from_openapi));
    let kind = ToolKind::Function { name, description: text(it.description), schema, strict: None };
    Ok(Tool { at, kind, cache: None, rest: it.rest, item: None })
}

/// Reads `toolConfig`.
pub(super) fn decode_config<'a>(value: Value<'a>, options: &mut Vec<Setting<'a>>) -> Result<Option<ToolChoice<'a>>> {
    let config: Config<'a> = object(value, "toolConfig")?;
    for (name, value) in config.rest.into_iter().filter(|(_, value)| !value.is_null()) {
        let name = Cow::Owned(format!("{CONFIG}{name}"));
        options.push(Setting { kind: SettingKind::Other, name, value });
    }
    let Some(raw) = config.calling else { return Ok(None) };
    let calling: Calling<'a> = object(Some(raw), CHOICE)?;
    let mut names = items(calling.allowed).into_iter().filter_map(|raw| Str::from_raw(raw.get()));
    let (first, more) = (names.next(), names.next().is_some());
    let mode = text(calling.mode).map(|mode| mode.text().to_ascii_uppercase());
    let (choice, is_exact) = match (mode.as_deref(), first, more) {
        (None | Some("MODE_UNSPECIFIED"), None, _) if calling.rest.is_empty() => return Ok(None),
        (Some("AUTO"), None, _) => (ToolChoice::Auto, true),
        (Some("NONE"), ..) => (ToolChoice::None, true),
        (Some("ANY"), None, _) => (ToolChoice::Required, true),
        (Some("ANY"), Some(name), false) => (ToolChoice::Named(name), true),
        (Some("ANY"), ..) => (ToolChoice::Required, false),
        _ => (ToolChoice::Auto, false),
    };
    if !is_exact || !calling.rest.is_empty() {
        let value = Raw::new(raw.get());
        options.push(Setting { kind: SettingKind::Other, name: Cow::Borrowed(CHOICE), value });
    }
    Ok(Some(choice))
}

fn is_function(tool: &Tool<'_>) -> bool {
    matches!(tool.kind, ToolKind::Function { .. })
}

pub(super) fn has_functions(request: &Request<'_>) -> bool {
    request.tools.iter().any(is_function)
}

/// Writes `tools` and `toolConfig`.
pub(super) fn encode(request: &Request<'_>, same: bool, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let has_functions = has_functions(request);
    let others: Vec<&Raw<'_>> = request.tools.iter().filter_map(|tool| other(tool, same, dropped)).collect();
    if has_functions || !others.is_empty() {
        let mut list = body.arr("tools");
        if has_functions {
            let mut group = list.obj();
            let mut declarations = group.arr("functionDeclarations");
            request
                .tools
                .iter()
                .filter(|tool| is_function(tool))
                .for_each(|tool| declare(tool, request.dialect, declarations.obj(), dropped));
        }
        others.iter().for_each(|json| _ = list.raw(json.get()));
    }
    config(request, has_functions, same, body, dropped);
}

fn other<'t>(tool: &'t Tool<'_>, same: bool, dropped: &mut Dropped) -> Option<&'t Raw<'t>> {
    match &tool.kind {
        ToolKind::Function { .. } => None,
        ToolKind::Other { json, .. } if same => Some(json),
        ToolKind::Other { .. } | ToolKind::Custom { .. } => {
            dropped.push(tool.at);
            None
        }
    }
}

fn declare(tool: &Tool<'_>, client: Dialect, mut it: Obj<'_>, dropped: &mut Dropped) {
    let ToolKind::Function { name, description, schema, strict } = &tool.kind else { return };
    let same = client == Dialect::Gemini;
    it.str("name", name);
    if *strict == Some(true) {
        dropped.push(tool.spelled(client, "strict"));
    }
    description.iter().for_each(|d| _ = it.str("description", d));
    if let Some(schema) = schema.as_ref().filter(|schema| same || schema.is_object()) {
        it.raw("parametersJsonSchema", schema.get());
    }
    if tool.cache.is_some() {
        dropped.push(format_args!("{}.cache_control", tool.at));
    }
    match same {
        true => _ = it.rest(&tool.rest),
        false => dropped.push_rest(tool.at, &tool.rest),
    }
}

fn config(request: &Request<'_>, has_functions: bool, same: bool, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let settings = request.options.iter().filter(|o| same && o.name.starts_with(CONFIG));
    let (exact, others): (Vec<&Setting<'_>>, Vec<&Setting<'_>>) = settings.partition(|o| o.name == CHOICE);
    let (mode, name) = match &request.tool_choice {
        _ if !exact.is_empty() => (None, None),
        Some(ToolChoice::Other(_)) => {
            dropped.push("tool_choice");
            (None, None)
        }
        Some(ToolChoice::Required | ToolChoice::Named(_)) if !has_functions && !same => {
            dropped.push("tool_choice");
            (None, None)
        }
        Some(_) if !has_functions && !same => (None, None),
        Some(ToolChoice::Auto) => (Some("AUTO"), None),
        Some(ToolChoice::None) => (Some("NONE"), None),
        Some(ToolChoice::Required) => (Some("ANY"), None),
        Some(ToolChoice::Named(name)) => (Some("ANY"), Some(name)),
        None => (None, None),
    };
    if mode.is_none() && exact.is_empty() && others.is_empty() {
        return;
    }
    let mut config = body.obj("toolConfig");
    if let Some(mode) = mode {
        let mut calling = config.obj("functionCallingConfig");
        calling.text("mode", mode);
        name.iter().for_each(|name| _ = calling.arr("allowedFunctionNames").raw(name.raw()));
    }
    for setting in exact.into_iter().chain(others) {
        config.raw(setting.name.strip_prefix(CONFIG).unwrap_or_default(), setting.value.get());
    }
}
