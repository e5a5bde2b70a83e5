//! A request of this format to its meaning. No client speaks it here: recorded requests are read, to
//! be written in every other format, and the simulator's.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};
use crate::wire::Dialect;
use crate::wire::cohere::content;
use crate::wire::ir::{
    At, Output, Part, PartKind, Reasoning, Request, Role, Setting, SettingKind, Tool, ToolChoice, ToolKind, Turn,
};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::lenient::{Value, count, items, read, text};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        model: Json<'a>,
        messages: Vec<Message<'a>>,
        stream: bool,
        tools: Json<'a>,
        tool_choice: Json<'a>,
        strict_tools: bool,
        max_tokens: Json<'a>,
        stop: Json<'a> = "stop_sequences",
        thinking: Json<'a>,
        format: Json<'a> = "response_format",
    }
}

wire_object! {
    struct Message<'a> {
        role: Json<'a>,
        content: Json<'a>,
        plan: Json<'a> = "tool_plan",
        calls: Json<'a> = "tool_calls",
        id: Json<'a> = "tool_call_id",
    }
}

wire_object! {
    struct ToolItem<'a> { kind: Json<'a> = "type", function: Function<'a> }
}

wire_object! {
    struct Function<'a> { name: Json<'a>, description: Json<'a>, parameters: Raw<'a> }
}

wire_object! {
    struct Thinking<'a> { kind: Json<'a> = "type", budget: Json<'a> = "token_budget" }
}

wire_object! {
    struct Format<'a> { kind: Json<'a> = "type", schema: Raw<'a> = "json_schema" }
}

/// Reads a request.
pub fn decode(body: &str) -> Result<Request<'_>> {
    let unreadable =
        |e: serde_json::Error| Error::new(Kind::InvalidJson, "the request cannot be read").with_unreadable(&e);
    let it: Body<'_> = json::parse(body).map_err(unreadable)?;
    let mut turns: Vec<Turn<'_>> = it.messages.unwrap_or_default().into_iter().enumerate().map(turn).collect();
    let leading = turns.iter().take_while(|turn| turn.role == Role::System).count();
    let system = turns.drain(..leading).flat_map(|turn| turn.parts).collect();
    Ok(Request {
        dialect: Dialect::Cohere,
        model: text(it.model).unwrap_or_else(|| Str::from_text("")),
        stream: it.stream == Some(true),
        stream_usage: true,
        system,
        turns,
        tools: tools(it.tools, it.strict_tools),
        tool_choice: it.tool_choice.map(choice),
        parallel_tools: None,
        max_tokens: count(it.max_tokens),
        stop: items(it.stop).into_iter().filter_map(|raw| text(Some(raw))).map(Str::into_owned).collect(),
        choices: None,
        reasoning: it.thinking.and_then(reasoning),
        output: it.format.map_or(Output::Text, output),
        options: it.rest.into_iter().filter(|(_, value)| !value.is_null()).map(setting).collect(),
    })
}

fn turn<'a>((index, message): (usize, Message<'a>)) -> Turn<'a> {
    let at = At::item("messages", index);
    let role = match text(message.role).as_ref().map(Str::escaped) {
        Some("system") => Role::System,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        _ => Role::User,
    };
    let mut parts = Vec::new();
    content::decode(message.content, at, &mut parts);
    content::plan(message.plan, at, &mut parts);
    content::calls(message.calls, at, &mut parts);
    if let (Role::Tool, Some(id)) = (role, text(message.id)) {
        let kind = PartKind::ToolResult { id, content: std::mem::take(&mut parts), is_error: false };
        parts.push(Part::new(at, kind));
    }
    Turn { role, at, parts, name: None, rest: message.rest }
}

/// That all tools are strict is said once.
fn tools(list: Value<'_>, strict: Option<bool>) -> Vec<Tool<'_>> {
    let tool = |(index, raw): (usize, _)| {
        let kind = function(raw, strict).unwrap_or_else(|| ToolKind::Other {
            tag: read::<ToolItem<'_>>(Some(raw)).and_then(|it| text(it.kind)).unwrap_or_else(|| Str::from_text("")),
            json: Raw::new(raw.get()),
        });
        Tool { at: At::item("tools", index), kind, cache: None, rest: Vec::new(), item: None }
    };
    let items: Vec<Json<'_>> = read(list).unwrap_or_default();
    items.into_iter().enumerate().map(tool).collect()
}

fn function(raw: Json<'_>, strict: Option<bool>) -> Option<ToolKind<'_>> {
    let it = read::<ToolItem<'_>>(Some(raw))?.function.filter(|it| it.rest.is_empty())?;
    let (name, description, schema) = (text(it.name)?, text(it.description), it.parameters);
    Some(ToolKind::Function { name, description, schema, strict })
}

fn choice(raw: Json<'_>) -> ToolChoice<'_> {
    match raw.get() {
        "\"REQUIRED\"" => ToolChoice::Required,
        "\"NONE\"" => ToolChoice::None,
        json => ToolChoice::Other(Raw::new(json)),
    }
}

fn reasoning(raw: Json<'_>) -> Option<Reasoning<'_>> {
    let it: Thinking<'_> = read(Some(raw))?;
    let disabled = text(it.kind).is_some_and(|kind| kind.is("disabled"));
    let budget_tokens = count(it.budget);
    Some(Reasoning { name: "thinking", budget_tokens, disabled, rest: it.rest, ..Reasoning::default() })
}

fn output(raw: Json<'_>) -> Output<'_> {
    let it: Format<'_> = read(Some(raw)).unwrap_or_default();
    match (text(it.kind).as_ref().map(Str::escaped), it.schema) {
        (Some("json_object"), Some(schema)) => {
            Output::JsonSchema { name: None, description: None, schema, strict: Some(true) }
        }
        (Some("json_object"), None) => Output::JsonObject,
        (Some("text"), _) => Output::Text,
        _ => Output::Other(Raw::new(raw.get())),
    }
}

fn setting<'a>((name, value): (Cow<'a, str>, Raw<'a>)) -> Setting<'a> {
    let kind = match &*name {
        "temperature" => SettingKind::Temperature,
        "p" => SettingKind::TopP,
        "k" => SettingKind::TopK,
        "seed" => SettingKind::Seed,
        "frequency_penalty" => SettingKind::FrequencyPenalty,
        "presence_penalty" => SettingKind::PresencePenalty,
        "logprobs" => SettingKind::Logprobs,
        _ => SettingKind::Other,
    };
    Setting { kind, name, value }
}
