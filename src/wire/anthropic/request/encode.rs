//! A request written for an upstream of this format.

use super::options::{self, Conversation, Tuning};
use super::schema;
use super::turns::{self, Arranged};
use crate::error::{Error, Result};
use crate::wire::anthropic::block::{self, Rests};
use crate::wire::bridge::schema_name;
use crate::wire::ir::{Dropped, Output, Request, Role, Setting, Tool, ToolChoice, ToolKind, Turn};
use crate::wire::json::{Arr, Obj, Raw, Str};
use crate::wire::{Dialect, Target};
use crate::wire_object;

/// Used where neither the client nor the model's data bound the output: this format requires it.
pub(super) const DEFAULT_MAX_TOKENS: u64 = 8192;

/// Writes `request` for `target`.
///
/// # Errors
/// `InvalidRequest` for what cannot be served in this format: `n` over 1, and a part with the
/// user's own content that it has no block for (audio, an id of another vendor's file).
pub fn encode(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<()> {
    match request.dialect {
        Dialect::Anthropic => {
            native(request, target, out);
            Ok(())
        }
        _ => foreign(request, target, out, dropped),
    }
}

/// The same format: everything as the client said it.
fn native(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>) {
    let mut body = Obj::new(out);
    body.text("model", target.model);
    body.num(
        "max_tokens",
        request.max_tokens.unwrap_or_else(|| target.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS)),
    );
    if !request.system.is_empty() {
        block::encode_content(&request.system.iter().collect::<Vec<_>>(), Rests::Keep, body.key("system"));
    }
    native_turns(request, body.key("messages"));
    if !request.tools.is_empty() {
        let mut list = body.arr("tools");
        request.tools.iter().for_each(|tool| native_tool(tool, list.item()));
    }
    if let Some(choice) = &request.tool_choice {
        encode_choice(choice, request.parallel_tools.map(|parallel| !parallel), body.key("tool_choice"));
    }
    native_reasoning(request, &mut body);
    native_output_config(request, &mut body);
    if !request.stop.is_empty() {
        encode_stop(&mut body, request.stop.iter());
    }
    native_settings(request, &mut body);
    if request.stream {
        body.bool("stream", true);
    }
}

fn native_turns(request: &Request<'_>, out: &mut Vec<u8>) {
    let mut list = Arr::new(out);
    for turn in &request.turns {
        let mut message = list.obj();
        message.text("role", role(turn));
        block::encode_content(&turn.parts.iter().collect::<Vec<_>>(), Rests::Keep, message.key("content"));
        message.rest(&turn.rest);
    }
}

fn role(turn: &Turn<'_>) -> &'static str {
    match turn.role {
        Role::System | Role::Developer => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    }
}

fn native_tool(tool: &Tool<'_>, out: &mut Vec<u8>) {
    let (name, description, schema, strict) = match &tool.kind {
        ToolKind::Other { json, .. } => return out.extend_from_slice(json.get().as_bytes()),
        ToolKind::Custom { .. } => return out.extend_from_slice(b"{}"),
        ToolKind::Function { name, description, schema, strict } => (name, description, schema, strict),
    };
    let mut o = Obj::new(out);
    o.str("name", name);
    description.iter().for_each(|d| _ = o.str("description", d));
    schema.iter().for_each(|s| _ = o.raw("input_schema", s.get()));
    strict.iter().for_each(|s| _ = o.bool("strict", *s));
    tool.cache.iter().for_each(|c| _ = o.raw("cache_control", c.get()));
    o.rest(&tool.rest);
}

fn native_reasoning(request: &Request<'_>, body: &mut Obj<'_>) {
    let Some(reasoning) = &request.reasoning else { return };
    let kind = match (reasoning.adaptive, reasoning.disabled, reasoning.budget_tokens) {
        (true, ..) => "adaptive",
        (_, true, _) => "disabled",
        (_, _, Some(_)) => "enabled",
        // `output_config.effort` alone.
        _ if reasoning.name != "thinking" => return,
        _ => "enabled",
    };
    let mut thinking = body.obj("thinking");
    thinking.text("type", kind);
    reasoning.budget_tokens.iter().for_each(|budget| _ = thinking.num("budget_tokens", *budget));
    thinking.rest(&reasoning.rest);
}

fn native_output_config(request: &Request<'_>, body: &mut Obj<'_>) {
    let effort = request.reasoning.as_ref().and_then(|reasoning| reasoning.effort.as_ref());
    let others = nested(request, "output_config.");
    if effort.is_none() && matches!(request.output, Output::Text) && others.is_empty() {
        return;
    }
    let mut config = body.obj("output_config");
    effort.iter().for_each(|effort| _ = config.str("effort", effort));
    encode_format(&request.output, &mut config);
    others.iter().for_each(|(name, value)| _ = config.raw(name, value.get()));
}

/// The settings that stood inside another member.
fn nested<'r>(request: &'r Request<'_>, prefix: &str) -> Vec<(&'r str, &'r Raw<'r>)> {
    request.options.iter().filter_map(|setting| Some((setting.name.strip_prefix(prefix)?, &setting.value))).collect()
}

fn native_settings(request: &Request<'_>, body: &mut Obj<'_>) {
    let is_nested =
        |setting: &&Setting<'_>| setting.name.starts_with("metadata.") || setting.name.starts_with("output_config.");
    for setting in request.options.iter().filter(|setting| !is_nested(setting)) {
        body.raw(&setting.name, setting.value.get());
    }
    let metadata = nested(request, "metadata.");
    if !metadata.is_empty() {
        let mut object = body.obj("metadata");
        metadata.iter().for_each(|(name, value)| _ = object.raw(name, value.get()));
    }
}

/// Another format: arranged so that the upstream takes it.
fn foreign(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<()> {
    if request.choices.is_some_and(|n| n > 1) {
        return Err(Error::invalid("n", "n: this model gives one answer a request"));
    }
    let arranged = turns::arrange(request, target, dropped)?;
    let tools = declared_tools(request, &arranged, dropped);
    let conversation =
        Conversation { prefilled: arranged.is_prefilled(), kept_thinking: arranged.may_think_by_budget() };
    let tuning = options::tune(request, target, conversation, dropped);
    let mut body = Obj::new(out);
    body.text("model", target.model).num("max_tokens", tuning.max_tokens);
    if !arranged.system.is_empty() {
        block::encode_content(&arranged.system, Rests::Leave, body.key("system"));
    }
    turns::encode(&arranged.messages, body.key("messages"));
    if let Some(tools) = tools {
        body.raw("tools", &tools);
        foreign_choice(request, &mut body, dropped);
    } else {
        drop_choice(request, dropped);
    }
    foreign_output(request, &tuning, &mut body, dropped);
    foreign_stop(request, &mut body, dropped);
    options::encode(request, target, &tuning, &mut body, dropped);
    if request.stream {
        body.bool("stream", true);
    }
    Ok(())
}

/// The list of tools as JSON. Where the conversation holds calls and no tool is declared, which this
/// format does not take, the tools called are declared by name and `tool_choice` forbids them.
fn declared_tools(request: &Request<'_>, arranged: &Arranged<'_>, dropped: &mut Dropped) -> Option<String> {
    let mut out = Vec::new();
    let mut list = Arr::new(&mut out);
    let mut any = false;
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Other { .. } | ToolKind::Custom { .. } => dropped.push(tool.at),
            ToolKind::Function { .. } => {
                any = true;
                foreign_tool(tool, request.dialect, list.item(), dropped);
            }
        }
    }
    if !any {
        for name in arranged.called_names() {
            any = true;
            list.obj().str("name", name).raw("input_schema", EMPTY_SCHEMA);
        }
    }
    drop(list);
    any.then(|| String::from_utf8(out).unwrap_or_default())
}

const EMPTY_SCHEMA: &str = r#"{"type":"object","properties":{}}"#;

wire_object! {
    struct Schema<'a> { kind: &'a serde_json::value::RawValue = "type" }
}

fn foreign_tool(tool: &Tool<'_>, client: Dialect, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let ToolKind::Function { name, description, schema, strict } = &tool.kind else { return };
    let mut o = Obj::new(out);
    o.str("name", name);
    description.iter().for_each(|d| _ = o.str("description", d));
    if *strict == Some(true) {
        let mut open = Vec::new();
        encode_schema(schema.as_ref(), &mut open);
        let (closed, is_told) = schema::closed(std::str::from_utf8(&open).unwrap_or(EMPTY_SCHEMA));
        o.raw("input_schema", &closed).bool("strict", true);
        if is_told {
            dropped.push(tool.spelled(client, "parameters"));
        }
    } else {
        encode_schema(schema.as_ref(), o.key("input_schema"));
    }
    tool.cache.iter().for_each(|c| _ = o.raw("cache_control", c.get()));
    turns::drop_rest(tool.at, &tool.rest, dropped);
}

/// This format wants `type: object` at the top, which others take as understood.
fn encode_schema(schema: Option<&Raw<'_>>, out: &mut Vec<u8>) {
    let Some(schema) = schema.filter(|schema| schema.is_object()) else {
        return out.extend_from_slice(EMPTY_SCHEMA.as_bytes());
    };
    match schema.read::<Schema<'_>>() {
        Some(Schema { kind: None, rest }) if rest.is_empty() => out.extend_from_slice(EMPTY_SCHEMA.as_bytes()),
        Some(Schema { kind: None, rest }) => _ = Obj::new(out).text("type", "object").rest(&rest),
        _ => out.extend_from_slice(schema.get().as_bytes()),
    }
}

fn foreign_choice(request: &Request<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    if matches!(request.tool_choice, Some(ToolChoice::Other(_))) {
        dropped.push("tool_choice");
    }
    let serial = (request.parallel_tools == Some(false)).then_some(true);
    let declared = request.tools.iter().any(|tool| matches!(tool.kind, ToolKind::Function { .. }));
    match &request.tool_choice {
        _ if !declared => encode_choice(&ToolChoice::None, None, body.key("tool_choice")),
        Some(ToolChoice::Other(_)) | None if serial.is_none() => {}
        Some(ToolChoice::Other(_)) | None => encode_choice(&ToolChoice::Auto, serial, body.key("tool_choice")),
        Some(choice) => encode_choice(choice, serial, body.key("tool_choice")),
    }
}

/// Without tools a choice means nothing, unless it asks for one.
fn drop_choice(request: &Request<'_>, dropped: &mut Dropped) {
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Other(_))) {
        dropped.push("tool_choice");
    }
}

/// `serial`: `disable_parallel_tool_use`, if anything is to be said of it.
fn encode_choice(choice: &ToolChoice<'_>, serial: Option<bool>, out: &mut Vec<u8>) {
    let (kind, name) = match choice {
        ToolChoice::Other(raw) => return out.extend_from_slice(raw.get().as_bytes()),
        ToolChoice::Auto => ("auto", None),
        ToolChoice::None => ("none", None),
        ToolChoice::Required => ("any", None),
        ToolChoice::Named(name) => ("tool", Some(name)),
    };
    let mut o = Obj::new(out);
    o.text("type", kind);
    name.iter().for_each(|name| _ = o.str("name", name));
    serial.filter(|_| kind != "none").iter().for_each(|serial| _ = o.bool("disable_parallel_tool_use", *serial));
}

fn encode_format(output: &Output<'_>, config: &mut Obj<'_>) {
    match output {
        Output::Text | Output::JsonObject => {}
        Output::JsonSchema { schema, .. } => {
            config.obj("format").text("type", "json_schema").raw("schema", schema.get());
        }
        Output::Other(raw) => _ = config.raw("format", raw.get()),
    }
}

fn foreign_output(request: &Request<'_>, tuning: &Tuning, body: &mut Obj<'_>, dropped: &mut Dropped) {
    tuning.thinking.encode(body);
    match &request.output {
        Output::JsonObject | Output::Other(_) => dropped.push(request.output_name()),
        Output::JsonSchema { description: Some(_), .. } => dropped.push(request.beside_schema("description")),
        _ => {}
    }
    let has_format = matches!(request.output, Output::JsonSchema { .. });
    if tuning.effort.is_none() && !has_format {
        return;
    }
    let mut config = body.obj("output_config");
    tuning.effort.iter().for_each(|effort| _ = config.text("effort", effort));
    if let Output::JsonSchema { schema, .. } = &request.output {
        let (schema, is_told) = schema::closed(schema.get());
        config.obj("format").text("type", "json_schema").raw("schema", &schema);
        if is_told {
            dropped.push(schema_name(request.dialect));
        }
    }
}

fn encode_stop<'s>(body: &mut Obj<'_>, stop: impl Iterator<Item = &'s Str<'s>>) {
    let mut list = body.arr("stop_sequences");
    stop.for_each(|s| _ = list.raw(s.raw()));
}

/// A sequence without a visible character is refused here.
fn foreign_stop(request: &Request<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let visible = |s: &Str<'_>| !s.is_blank();
    for (index, _) in request.stop.iter().enumerate().filter(|(_, s)| !visible(s)) {
        match request.stop.len() {
            1 => dropped.push("stop"),
            _ => dropped.push(format_args!("stop[{index}]")),
        }
    }
    if request.stop.iter().any(visible) {
        encode_stop(body, request.stop.iter().filter(|s| visible(s)));
    }
}
