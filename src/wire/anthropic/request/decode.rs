//! A client's request, read.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};
use crate::wire::Dialect;
use crate::wire::anthropic::block;
use crate::wire::ir::{
    At, Output, Part, PartKind, Reasoning, Request, Role, Setting, SettingKind, Tool, ToolChoice, ToolKind, Turn,
};
use crate::wire::json::{self, Json, Listed, Raw, Str};
use crate::wire::scan;
use crate::wire_object;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::error::Category;

wire_object! {
    struct Body<'a> {
        model: Json<'a>,
        messages: Vec<Message<'a>>,
        system: Content<'a>,
        tools: Vec<Json<'a>>,
        tool_choice: Json<'a>,
        max_tokens: Json<'a>,
        stop_sequences: Vec<Str<'a>>,
        stream: Json<'a>,
        thinking: Json<'a>,
        output_config: Json<'a>,
        output_format: Json<'a>,
        metadata: Json<'a>,
    }
}

wire_object! {
    struct Message<'a> { role: Str<'a>, content: Content<'a> }
}

wire_object! {
    struct ToolFields<'a> {
        kind: Str<'a> = "type",
        name: Str<'a>,
        description: Str<'a>,
        input_schema: Raw<'a>,
        strict: bool,
        cache_control: Raw<'a>,
    }
}

wire_object! {
    struct Choice<'a> { kind: Str<'a> = "type", name: Str<'a>, disable_parallel_tool_use: bool }
}

wire_object! {
    struct ThinkingFields<'a> { kind: Str<'a> = "type", budget_tokens: u64 }
}

wire_object! {
    struct OutputConfig<'a> { effort: Str<'a>, format: Json<'a> }
}

wire_object! {
    struct Format<'a> { kind: Str<'a> = "type", schema: Raw<'a> }
}

wire_object! {
    struct Members<'a> {}
}

/// A string, or a list of blocks.
#[derive(Debug, Clone)]
enum Content<'a> {
    Text(Str<'a>),
    Blocks(Vec<Json<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Listed::deserialize(d)? {
            Listed::Items(blocks) => Ok(Self::Blocks(blocks)),
            Listed::Value(raw) => Str::from_raw(raw.get())
                .map(Self::Text)
                .ok_or_else(|| D::Error::custom("expected a string or a list of blocks")),
        }
    }
}

/// Reads a request. What is missing or has a shape that nobody could serve is a 400 that names it;
/// unknown members, block types and tool types are kept.
pub fn decode(body: &str) -> Result<Request<'_>> {
    let mut fields: Body<'_> = json::parse(body).map_err(|e| fault(body, &e))?;
    let model = fields.model.and_then(|raw| Str::from_raw(raw.get())).filter(|model| !model.is_empty());
    let messages = fields.messages.take().ok_or_else(|| Error::invalid("messages", "messages: a list is required"))?;
    let (tool_choice, parallel_tools) = fields.tool_choice.map(|raw| tool_choice(raw.get())).unwrap_or_default();
    let mut options = Vec::new();
    let reasoning = reasoning(&fields, &mut options);
    let output = output(&fields, &mut options);
    let request = Request {
        dialect: Dialect::Anthropic,
        model: model.ok_or_else(|| Error::invalid("model", "model: a name is required"))?,
        stream: scalar(fields.stream, "stream")?.unwrap_or_default(),
        stream_usage: true,
        system: system(fields.system.take())?,
        turns: messages.into_iter().enumerate().map(turn).collect::<Result<_>>()?,
        tools: fields.tools.take().unwrap_or_default().into_iter().enumerate().map(tool).collect::<Result<_>>()?,
        tool_choice,
        parallel_tools,
        max_tokens: scalar(fields.max_tokens, "max_tokens")?,
        stop: fields.stop_sequences.take().unwrap_or_default(),
        choices: None,
        reasoning,
        output,
        options: Vec::new(),
    };
    settings(fields, &mut options);
    Ok(Request { options, ..request })
}

fn scalar<T: std::str::FromStr>(raw: Option<Json<'_>>, name: &'static str) -> Result<Option<T>> {
    let wrong = || Error::invalid(name, format!("{name}: the value is of the wrong type"));
    raw.map(|raw| raw.get().parse().map_err(|_| wrong())).transpose()
}

/// Why the body cannot be read, with the member at fault. Only the slow path looks closer.
fn fault(body: &str, error: &serde_json::Error) -> Error {
    if error.classify() != Category::Data {
        return Error::new(Kind::InvalidJson, format!("the body is not valid JSON: {error}"));
    }
    let members: Members<'_> = json::parse(body).unwrap_or_default();
    let found = members.rest.iter().find_map(|(name, value)| misshapen(name, value));
    let param = found.unwrap_or_else(|| "body".to_owned());
    let public = format!("{param}: the value is of the wrong type");
    Error::invalid(param, public)
}

fn misshapen(name: &str, value: &Raw<'_>) -> Option<String> {
    if value.is_null() {
        return None;
    }
    match name {
        "messages" => {
            let Some(items) = value.read::<Vec<Raw<'_>>>() else { return Some(name.to_owned()) };
            let bad = items.iter().position(|item| item.read::<Message<'_>>().is_none())?;
            Some(format!("messages[{bad}]"))
        }
        "system" => value.read::<Content<'_>>().is_none().then(|| name.to_owned()),
        "tools" => (!value.is_array()).then(|| name.to_owned()),
        "stop_sequences" => value.read::<Vec<Str<'_>>>().is_none().then(|| name.to_owned()),
        _ => None,
    }
}

fn system(content: Option<Content<'_>>) -> Result<Vec<Part<'_>>> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(vec![lone(text, At::member("system"))]),
        Some(Content::Blocks(items)) => {
            items.into_iter().enumerate().map(|(i, item)| part(item, At::item("system", i))).collect()
        }
    }
}

fn lone(text: Str<'_>, at: At) -> Part<'_> {
    Part::new(at, PartKind::Text { text, citations: None })
}

fn part(item: Json<'_>, at: At) -> Result<Part<'_>> {
    let part = block::decode(item.get(), at);
    match &part.kind {
        PartKind::Other { tag, .. } if tag.is_empty() => {
            Err(Error::invalid(at.to_string(), format!("{at}: an object with a `type` is expected")))
        }
        PartKind::Other { tag, .. } if is_known(tag) => Err(Error::invalid(
            at.to_string(),
            format!("{at}: a member of this {} block is missing or wrong", tag.text()),
        )),
        _ => Ok(part),
    }
}

/// Types whose members were checked; in `Other` they had a wrong one.
fn is_known(tag: &Str<'_>) -> bool {
    const KNOWN: [&str; 7] = ["text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"];
    KNOWN.contains(&tag.escaped())
}

fn turn<'a>((index, message): (usize, Message<'a>)) -> Result<Turn<'a>> {
    let at = At::item("messages", index);
    let wrong = |what: &str| Error::invalid(at.to_string(), format!("{at}: {what}"));
    let role = match message.role.as_ref().map(Str::text).as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(wrong("role is one of user, assistant and system")),
    };
    let parts = match message.content.ok_or_else(|| wrong("content is required"))? {
        Content::Text(text) => vec![lone(text, at)],
        Content::Blocks(items) => {
            items.into_iter().enumerate().map(|(i, item)| part(item, at.inner("content", i))).collect::<Result<_>>()?
        }
    };
    Ok(Turn { role, at, parts, name: None, rest: message.rest })
}

fn tool<'a>((index, raw): (usize, Json<'a>)) -> Result<Tool<'a>> {
    let at = At::item("tools", index);
    let wrong = || Error::invalid(at.to_string(), format!("{at}: an object with a name is expected"));
    let fields: ToolFields<'a> = json::parse(raw.get()).map_err(|_| wrong())?;
    match (fields.kind, fields.name) {
        (Some(tag), _) if !tag.is("custom") => {
            let kind = ToolKind::Other { tag, json: Raw::new(raw.get()) };
            Ok(Tool { at, kind, cache: None, rest: Vec::new(), item: None })
        }
        (_, Some(name)) => {
            let (description, schema, strict) = (fields.description, fields.input_schema, fields.strict);
            let kind = ToolKind::Function { name, description, schema, strict };
            Ok(Tool { at, kind, cache: fields.cache_control, rest: fields.rest, item: None })
        }
        (_, None) => Err(wrong()),
    }
}

/// The choice, and whether calls may be parallel.
fn tool_choice(json: &str) -> (Option<ToolChoice<'_>>, Option<bool>) {
    let other = || (Some(ToolChoice::Other(Raw::new(json))), None);
    let Ok(choice) = json::parse::<Choice<'_>>(json) else { return other() };
    let kind = match (choice.kind.as_ref().map(Str::escaped), choice.name) {
        _ if !choice.rest.is_empty() => return other(),
        (Some("auto"), None) => ToolChoice::Auto,
        (Some("any"), None) => ToolChoice::Required,
        (Some("none"), None) => ToolChoice::None,
        (Some("tool"), Some(name)) => ToolChoice::Named(name),
        _ => return other(),
    };
    (Some(kind), choice.disable_parallel_tool_use.map(|disabled| !disabled))
}

/// `thinking` and `output_config.effort`, which are one wish; a `thinking` of an unknown type is an
/// option like any other.
fn reasoning<'a>(fields: &Body<'a>, options: &mut Vec<Setting<'a>>) -> Option<Reasoning<'a>> {
    let effort = fields.output_config.and_then(|raw| json::parse::<OutputConfig<'a>>(raw.get()).ok()?.effort);
    let only_effort = || {
        let effort = effort.clone()?;
        Some(Reasoning { name: "output_config.effort", effort: Some(effort), ..Reasoning::default() })
    };
    let Some(raw) = fields.thinking else { return only_effort() };
    let thinking: ThinkingFields<'a> = json::parse(raw.get()).unwrap_or_default();
    let kind = thinking.kind.as_ref().map(Str::escaped);
    if !matches!(kind, Some("enabled" | "adaptive" | "disabled")) {
        options.push(setting(SettingKind::Other, "thinking", raw));
        return only_effort();
    }
    Some(Reasoning {
        name: "thinking",
        budget_tokens: thinking.budget_tokens,
        adaptive: kind == Some("adaptive"),
        disabled: kind == Some("disabled"),
        summary: None,
        rest: thinking.rest,
        effort,
    })
}

/// `output_config.format`, or the older `output_format`; what else `output_config` holds is kept
/// under its full path.
fn output<'a>(fields: &Body<'a>, options: &mut Vec<Setting<'a>>) -> Output<'a> {
    let config: OutputConfig<'a> = fields.output_config.and_then(|raw| json::parse(raw.get()).ok()).unwrap_or_default();
    options.extend(config.rest.into_iter().map(|(name, value)| Setting {
        kind: SettingKind::Other,
        name: Cow::Owned(format!("output_config.{name}")),
        value,
    }));
    let Some(raw) = config.format.or(fields.output_format) else { return Output::Text };
    match json::parse::<Format<'a>>(raw.get()) {
        Ok(Format { kind: Some(kind), schema: Some(schema), rest }) if kind.is("json_schema") && rest.is_empty() => {
            Output::JsonSchema { name: None, description: None, schema, strict: None }
        }
        _ => Output::Other(Raw::new(raw.get())),
    }
}

fn setting<'a>(kind: SettingKind, name: impl Into<Cow<'a, str>>, raw: Json<'a>) -> Setting<'a> {
    Setting { kind, name: name.into(), value: Raw::new(raw.get()) }
}

/// Everything else, by meaning where it has one elsewhere.
fn settings<'a>(fields: Body<'a>, options: &mut Vec<Setting<'a>>) {
    let metadata: Members<'a> = fields.metadata.and_then(|raw| json::parse(raw.get()).ok()).unwrap_or_default();
    for (name, value) in metadata.rest {
        let kind = if name == "user_id" { SettingKind::User } else { SettingKind::Other };
        options.push(Setting { kind, name: Cow::Owned(format!("metadata.{name}")), value });
    }
    for (name, value) in fields.rest {
        if value.is_null() {
            continue;
        }
        let kind = match &*name {
            "temperature" => SettingKind::Temperature,
            "top_p" => SettingKind::TopP,
            "top_k" => SettingKind::TopK,
            "service_tier" => SettingKind::ServiceTier,
            "thread" if scan::member(value.get(), "type") == Some("\"continue\"") => SettingKind::State,
            _ => SettingKind::Other,
        };
        options.push(Setting { kind, name, value });
    }
}
