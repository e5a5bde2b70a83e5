//! A Responses request to its meaning: the top-level members.

use std::borrow::Cow;

use super::super::namespace;
use super::items_in;
use crate::error::{Error, Kind, Result};
use crate::wire::Dialect;
use crate::wire::ir::{
    At, Output, Part, PartKind, Reasoning, Request, Setting, SettingKind, Tool, ToolChoice, ToolKind,
};
use crate::wire::json::{self, Json, Listed, Raw, Rest, Str};
use crate::wire::lenient::{Value, count, filled, items, read, text};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        model: Json<'a>,
        input: Listed<'a>,
        instructions: Json<'a>,
        stream: Json<'a>,
        tools: Listed<'a>,
        tool_choice: Json<'a>,
        parallel_tool_calls: Json<'a>,
        max_output_tokens: Json<'a>,
        reasoning: Json<'a>,
        text: Json<'a>,
    }
}

wire_object! {
    struct Thoughts<'a> {
        effort: Json<'a>,
        summary: Json<'a>,
        generate_summary: Json<'a>,
    }
}

wire_object! {
    struct TextForm<'a> { format: Json<'a>, verbosity: Raw<'a> }
}

wire_object! {
    struct Format<'a> {
        kind: Json<'a> = "type",
        name: Json<'a>,
        description: Json<'a>,
        schema: Json<'a>,
        strict: Json<'a>,
    }
}

wire_object! {
    struct Definition<'a> {
        kind: Json<'a> = "type",
        name: Json<'a>,
        description: Json<'a>,
        parameters: Json<'a>,
        strict: Json<'a>,
        format: Raw<'a>,
        tools: Json<'a>,
    }
}

wire_object! {
    struct Choice<'a> { kind: Json<'a> = "type", name: Json<'a>, namespace: Json<'a> }
}

/// Reads a request whose body is valid UTF-8.
pub fn decode(body: &str) -> Result<Request<'_>> {
    let body: Body<'_> =
        json::parse(body).map_err(|e| Error::new(Kind::InvalidJson, format!("the body is not a JSON object: {e}")))?;
    let mut options = settings(body.rest)?;
    let (mut system, turns) = items_in::decode(body.input, &mut options)?;
    if let Some(instructions) = filled(body.instructions) {
        let kind = PartKind::Text { text: instructions, citations: None };
        system.insert(0, Part::new(At::member("instructions"), kind));
    }
    let form: TextForm<'_> = read(body.text).unwrap_or_default();
    options.extend(form.verbosity.map(|value| setting(SettingKind::Verbosity, "text.verbosity", value)));
    options.extend(form.rest.into_iter().map(|(name, value)| other(format!("text.{name}"), value)));
    Ok(Request {
        dialect: Dialect::Responses,
        model: text(body.model).unwrap_or_else(|| Str::from_text("")),
        stream: flag(body.stream, "stream")?.unwrap_or(false),
        stream_usage: true,
        system,
        turns,
        tools: tools(body.tools)?,
        tool_choice: tool_choice(body.tool_choice)?,
        parallel_tools: flag(body.parallel_tool_calls, "parallel_tool_calls")?,
        max_tokens: number(body.max_output_tokens, "max_output_tokens")?,
        stop: Vec::new(),
        choices: None,
        reasoning: reasoning(body.reasoning),
        output: output(form.format)?,
        options,
    })
}

fn flag(value: Value<'_>, name: &'static str) -> Result<Option<bool>> {
    let Some(raw) = value else { return Ok(None) };
    raw.get().parse().map(Some).map_err(|_| Error::invalid(name, format!("`{name}` must be true or false")))
}

fn number(value: Value<'_>, name: &'static str) -> Result<Option<u64>> {
    match (value, count(value)) {
        (None, _) => Ok(None),
        (_, Some(number)) => Ok(Some(number)),
        (_, None) => Err(Error::invalid(name, format!("`{name}` must be a whole number that is not negative"))),
    }
}

pub(super) fn setting<'a>(kind: SettingKind, name: &'static str, value: Raw<'a>) -> Setting<'a> {
    Setting { kind, name: Cow::Borrowed(name), value }
}

fn other(name: String, value: Raw<'_>) -> Setting<'_> {
    Setting { kind: SettingKind::Other, name: Cow::Owned(name), value }
}

/// Everything without a field of its own, but for what says no more than its absence.
fn settings(rest: Rest<'_>) -> Result<Vec<Setting<'_>>> {
    let mut all = Vec::new();
    for (name, value) in rest {
        let says_nothing =
            matches!((&*name, value.get()), (_, "null") | ("background", "false") | ("truncation", "\"disabled\""));
        if !says_nothing {
            let kind = setting_kind(&name);
            all.push(Setting { kind, name, value });
        }
    }
    Ok(all)
}

fn setting_kind(name: &str) -> SettingKind {
    match name {
        "temperature" => SettingKind::Temperature,
        "top_p" => SettingKind::TopP,
        "top_logprobs" => SettingKind::TopLogprobs,
        "service_tier" => SettingKind::ServiceTier,
        "user" => SettingKind::User,
        "metadata" => SettingKind::Metadata,
        "prompt_cache_key" => SettingKind::PromptCacheKey,
        "safety_identifier" => SettingKind::SafetyIdentifier,
        "store" => SettingKind::Store,
        "include" => SettingKind::Include,
        // What runs in the background is fetched later, by an id.
        "previous_response_id" | "conversation" | "prompt" | "background" => SettingKind::State,
        _ => SettingKind::Other,
    }
}

fn reasoning(value: Value<'_>) -> Option<Reasoning<'_>> {
    let it: Thoughts<'_> = read(value)?;
    let effort = text(it.effort);
    let summary = text(it.summary).or_else(|| text(it.generate_summary));
    let disabled = effort.as_ref().is_some_and(|effort| effort.is("none"));
    let says_something = effort.is_some() || summary.is_some() || !it.rest.is_empty();
    says_something.then(|| Reasoning {
        name: "reasoning",
        effort,
        summary,
        disabled,
        rest: it.rest,
        ..Reasoning::default()
    })
}

fn output(value: Value<'_>) -> Result<Output<'_>> {
    let Some(raw) = value else { return Ok(Output::Text) };
    let format: Format<'_> =
        read(value).ok_or_else(|| Error::invalid("text.format", "`text.format` must be an object with a `type`"))?;
    let kind = text(format.kind);
    Ok(match (kind.as_ref().map(Str::escaped), format.schema) {
        (None | Some("text"), _) => Output::Text,
        (Some("json_object"), _) => Output::JsonObject,
        (Some("json_schema"), Some(schema)) => Output::JsonSchema {
            name: text(format.name),
            description: text(format.description),
            schema: Raw::new(schema.get()),
            strict: format.strict.and_then(|s| s.get().parse().ok()),
        },
        _ => Output::Other(Raw::new(raw.get())),
    })
}

fn tools(value: Option<Listed<'_>>) -> Result<Vec<Tool<'_>>> {
    let list = match value {
        None => return Ok(Vec::new()),
        Some(Listed::Items(list)) => list,
        Some(Listed::Value(_)) => return Err(Error::invalid("tools", "`tools` must be a list")),
    };
    let mut all = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let at = At::item("tools", index);
        let definition: Definition<'_> =
            read(Some(raw)).ok_or_else(|| Error::invalid(at.to_string(), format!("`{at}` must be an object")))?;
        match text(definition.kind).as_ref().map(Str::escaped) {
            Some("namespace") => {
                let mut inner = namespaced(at, &definition);
                inner.iter_mut().take(1).for_each(|tool| tool.item = Some(Raw::new(raw.get())));
                all.extend(inner);
            }
            _ => all.push(Tool { item: Some(Raw::new(raw.get())), ..tool(at, raw, definition, None) }),
        }
    }
    Ok(all)
}

/// The tools inside a namespace, by the names one flat list has for them.
fn namespaced<'a>(at: At, namespace: &Definition<'a>) -> Vec<Tool<'a>> {
    let prefix = text(namespace.name).map(|name| name.text().into_owned()).unwrap_or_default();
    let inner = items(namespace.tools).into_iter().enumerate();
    inner
        .filter_map(|(index, raw)| Some(tool(at.inner("tools", index), raw, read(Some(raw))?, Some(&prefix))))
        .collect()
}

fn tool<'a>(at: At, raw: Json<'a>, it: Definition<'a>, prefix: Option<&str>) -> Tool<'a> {
    let named = |name: Str<'a>| match prefix {
        Some(prefix) => Str::from_text(&namespace::joined(prefix, &name.text())),
        None => name,
    };
    let tag = text(it.kind).unwrap_or_else(|| Str::from_text("function"));
    let (kind, rest) = match (tag.escaped(), text(it.name)) {
        ("function", Some(name)) => {
            let kind = ToolKind::Function {
                name: named(name),
                description: text(it.description),
                schema: it.parameters.map(|p| Raw::new(p.get())),
                strict: it.strict.and_then(|s| s.get().parse().ok()),
            };
            (kind, it.rest)
        }
        ("custom", Some(name)) => {
            (ToolKind::Custom { name: named(name), description: text(it.description), format: it.format }, it.rest)
        }
        _ => (ToolKind::Other { tag, json: Raw::new(raw.get()) }, Vec::new()),
    };
    Tool { at, kind, cache: None, rest, item: None }
}

fn tool_choice(value: Value<'_>) -> Result<Option<ToolChoice<'_>>> {
    let Some(raw) = value else { return Ok(None) };
    let bad = || Error::invalid("tool_choice", "`tool_choice` must be auto, none, required or an object");
    if let Some(word) = Str::from_raw(raw.get()) {
        return Ok(Some(match word.escaped() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return Err(bad()),
        }));
    }
    let it: Choice<'_> = read(value).ok_or_else(bad)?;
    let of_a_name = matches!(text(it.kind).as_ref().map(Str::escaped), Some("function" | "custom"));
    Ok(Some(match (text(it.name).filter(|_| of_a_name), text(it.namespace)) {
        (Some(name), Some(prefix)) => {
            ToolChoice::Named(Str::from_text(&namespace::joined(&prefix.text(), &name.text())))
        }
        (Some(name), None) => ToolChoice::Named(name),
        (None, _) => ToolChoice::Other(Raw::new(raw.get())),
    }))
}
