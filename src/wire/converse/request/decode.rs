//! A request of this format to its meaning. No client speaks it here: recorded requests are read, to
//! be written in every other format.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};
use crate::wire::Dialect;
use crate::wire::converse::block;
use crate::wire::ir::{At, Output, Reasoning, Request, Role, Setting, SettingKind, Tool, ToolChoice, ToolKind, Turn};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::lenient::{count, items, read, text};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        messages: Vec<Message<'a>>,
        system: Json<'a>,
        inference: Inference<'a> = "inferenceConfig",
        tools: ToolConfig<'a> = "toolConfig",
        additional: Additional<'a> = "additionalModelRequestFields",
        output: Json<'a> = "outputConfig",
        tier: Tier<'a> = "serviceTier",
        metadata: Json<'a> = "requestMetadata",
    }
}

wire_object! {
    struct Message<'a> { role: Json<'a>, content: Json<'a> }
}

wire_object! {
    struct Inference<'a> {
        max_tokens: Json<'a> = "maxTokens",
        temperature: Json<'a>,
        top_p: Json<'a> = "topP",
        stop: Json<'a> = "stopSequences",
    }
}

wire_object! {
    struct ToolConfig<'a> { tools: Json<'a>, choice: Json<'a> = "toolChoice" }
}

wire_object! {
    struct ToolItem<'a> { spec: ToolSpec<'a> = "toolSpec" }
}

wire_object! {
    struct ToolSpec<'a> {
        name: Json<'a>,
        description: Json<'a>,
        schema: Schema<'a> = "inputSchema",
        strict: bool,
    }
}

wire_object! {
    struct Schema<'a> { json: Json<'a> }
}

wire_object! {
    struct Additional<'a> { thinking: Json<'a>, top_k: Json<'a> }
}

wire_object! {
    struct Thinking<'a> { kind: Str<'a> = "type", budget: Json<'a> = "budget_tokens" }
}

wire_object! {
    struct OutputConfig<'a> { format: Format<'a> = "textFormat" }
}

wire_object! {
    struct Format<'a> { kind: Str<'a> = "type", structure: Structure<'a> }
}

wire_object! {
    struct Structure<'a> { schema: JsonSchema<'a> = "jsonSchema" }
}

wire_object! {
    struct JsonSchema<'a> { schema: Json<'a>, name: Json<'a>, description: Json<'a> }
}

wire_object! {
    struct Tier<'a> { kind: Json<'a> = "type" }
}

/// Reads a request. Its model and whether it streams stand in its path.
pub fn decode(body: &str) -> Result<Request<'_>> {
    let unreadable =
        |e: serde_json::Error| Error::new(Kind::InvalidJson, "the request cannot be read").with_unreadable(&e);
    let it: Body<'_> = json::parse(body).map_err(unreadable)?;
    let inference = it.inference.unwrap_or_default();
    let config = it.tools.unwrap_or_default();
    let additional = it.additional.unwrap_or_default();
    let mut options = Vec::new();
    let mut set = |kind, name: Cow<'static, str>, raw: Option<Json<'_>>| {
        if let Some(raw) = raw {
            options.push(Setting { kind, name, value: Raw::owned(raw.get().to_owned()) });
        }
    };
    set(SettingKind::Temperature, "inferenceConfig.temperature".into(), inference.temperature);
    set(SettingKind::TopP, "inferenceConfig.topP".into(), inference.top_p);
    set(SettingKind::TopK, "additionalModelRequestFields.top_k".into(), additional.top_k);
    set(SettingKind::ServiceTier, "serviceTier".into(), it.tier.and_then(|tier| tier.kind));
    set(SettingKind::Metadata, "requestMetadata".into(), it.metadata);
    let extra =
        additional.rest.into_iter().map(|(name, value)| (format!("additionalModelRequestFields.{name}"), value));
    let rest = it.rest.into_iter().map(|(name, value)| (name.into_owned(), value));
    for (name, value) in extra.chain(rest) {
        options.push(Setting { kind: SettingKind::Other, name: Cow::Owned(name), value });
    }
    Ok(Request {
        dialect: Dialect::Converse,
        model: Str::from_text(""),
        stream: false,
        stream_usage: true,
        system: block::decode_list(it.system, |index| At::item("system", index)),
        turns: it.messages.unwrap_or_default().into_iter().enumerate().map(turn).collect(),
        tools: tools(config.tools),
        tool_choice: config.choice.map(|raw| choice(raw.get())),
        parallel_tools: None,
        max_tokens: count(inference.max_tokens),
        stop: items(inference.stop).into_iter().filter_map(|s| Str::from_raw(s.get())).map(Str::into_owned).collect(),
        choices: None,
        reasoning: additional.thinking.and_then(reasoning),
        output: output(it.output),
        options,
    })
}

fn turn<'a>((index, message): (usize, Message<'a>)) -> Turn<'a> {
    let at = At::item("messages", index);
    let is_user = text(message.role).is_none_or(|role| role.is("user"));
    Turn {
        role: if is_user { Role::User } else { Role::Assistant },
        at,
        parts: block::decode_list(message.content, |inner| at.inner("content", inner)),
        name: None,
        rest: message.rest,
    }
}

fn tools<'a>(list: Option<Json<'a>>) -> Vec<Tool<'a>> {
    let items: Vec<Json<'a>> = read(list).unwrap_or_default();
    let mut tools: Vec<Tool<'a>> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match (block::cache_marker(item.get()), tools.last_mut()) {
            (Some(marker), Some(last)) => last.cache = Some(marker),
            (Some(_), None) => {}
            (None, _) => tools.push(tool(At::item("toolConfig.tools", index), item)),
        }
    }
    tools
}

fn tool<'a>(at: At, item: Json<'a>) -> Tool<'a> {
    let whole = || ToolKind::Other { tag: Str::from_text(block::tag(item.get()).0), json: Raw::new(item.get()) };
    let spec = json::parse::<ToolItem<'a>>(item.get()).ok().and_then(|it| it.spec);
    let kind = spec.and_then(function).unwrap_or_else(whole);
    Tool { at, kind, cache: None, rest: Vec::new(), item: None }
}

fn function<'a>(spec: ToolSpec<'a>) -> Option<ToolKind<'a>> {
    Some(ToolKind::Function {
        name: Str::from_raw(spec.name?.get())?,
        description: spec.description.and_then(|raw| Str::from_raw(raw.get())),
        schema: spec.schema.and_then(|schema| schema.json).map(|raw| Raw::new(raw.get())),
        strict: spec.strict,
    })
}

wire_object! {
    struct Named<'a> { name: Str<'a> }
}

fn choice(json: &str) -> ToolChoice<'_> {
    match block::tag(json) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Required,
        ("tool", value) => match json::parse::<Named<'_>>(value).ok().and_then(|it| it.name) {
            Some(name) => ToolChoice::Named(name),
            None => ToolChoice::Other(Raw::new(json)),
        },
        _ => ToolChoice::Other(Raw::new(json)),
    }
}

fn reasoning<'a>(raw: Json<'a>) -> Option<Reasoning<'a>> {
    let it: Thinking<'a> = json::parse(raw.get()).ok()?;
    let kind = it.kind?;
    Some(Reasoning {
        name: "additionalModelRequestFields.thinking",
        budget_tokens: count(it.budget),
        adaptive: kind.is("adaptive"),
        disabled: kind.is("disabled"),
        rest: it.rest,
        ..Reasoning::default()
    })
}

/// The schema stands as text here.
fn output<'a>(raw: Option<Json<'a>>) -> Output<'a> {
    let Some(raw) = raw else { return Output::Text };
    let known = || {
        let config: OutputConfig<'a> = json::parse(raw.get()).ok()?;
        let it = config.format?.structure?.schema?;
        Some(Output::JsonSchema {
            name: it.name.and_then(|raw| Str::from_raw(raw.get())),
            description: it.description.and_then(|raw| Str::from_raw(raw.get())),
            schema: Raw::owned(Str::from_raw(it.schema?.get())?.text().into_owned()),
            strict: Some(true),
        })
    };
    known().unwrap_or_else(|| Output::Other(Raw::new(raw.get())))
}
