//! A chat request to its meaning: the top-level members.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/chat/create>. Also understood, from
//! clients of compatible servers: `reasoning: {effort, max_tokens, enabled}` (OpenRouter),
//! `thinking: {type, budget_tokens}` (DeepSeek, Z.ai, and clients that know Claude), `cache_control`
//! on messages, parts, calls and tools, and the legacy `functions` and `function_call`.

use std::borrow::Cow;

use crate::error::{Error, Kind, Result};
use crate::wire::Dialect;
use crate::wire::ir::{At, Output, Reasoning, Request, Setting, SettingKind, Tool, ToolChoice, ToolKind};
use crate::wire::json::{self, Json, Listed, Raw, Rest, Str};
use crate::wire_object;

use super::{custom, message_in};
use crate::wire::lenient::{Value, count, is_object, read, text};

wire_object! {
    struct Body<'a> {
        model: Json<'a>,
        messages: Listed<'a>,
        stream: Json<'a>,
        stream_options: Json<'a>,
        tools: Listed<'a>,
        functions: Listed<'a>,
        tool_choice: Json<'a>,
        function_call: Json<'a>,
        parallel_tool_calls: Json<'a>,
        max_tokens: Json<'a>,
        max_completion_tokens: Json<'a>,
        stop: Json<'a>,
        n: Json<'a>,
        response_format: Json<'a>,
        reasoning_effort: Json<'a>,
        reasoning: Json<'a>,
        thinking: Json<'a>,
    }
}

wire_object! {
    struct StreamOptions<'a> { include_usage: Json<'a> }
}

wire_object! {
    struct Format<'a> { kind: Json<'a> = "type", json_schema: Json<'a> }
}

wire_object! {
    struct JsonSchema<'a> {
        name: Json<'a>,
        description: Json<'a>,
        schema: Json<'a>,
        strict: Json<'a>,
    }
}

wire_object! {
    struct Thoughts<'a> {
        kind: Json<'a> = "type",
        effort: Json<'a>,
        max_tokens: Json<'a>,
        budget_tokens: Json<'a>,
        enabled: Json<'a>,
    }
}

wire_object! {
    struct Definition<'a> {
        kind: Json<'a> = "type",
        function: Json<'a>,
        custom: Json<'a>,
        cache_control: Raw<'a>,
    }
}

wire_object! {
    struct Function<'a> {
        name: Json<'a>,
        description: Json<'a>,
        parameters: Json<'a>,
        strict: Json<'a>,
    }
}

wire_object! {
    struct Choice<'a> {
        kind: Json<'a> = "type",
        function: Json<'a>,
        custom: Json<'a>,
        name: Json<'a>,
    }
}

/// Reads a request whose body is valid UTF-8.
pub fn decode(body: &str) -> Result<Request<'_>> {
    let body: Body<'_> =
        json::parse(body).map_err(|e| Error::new(Kind::InvalidJson, format!("the body is not a JSON object: {e}")))?;
    let model = required_text(body.model, "model")?;
    let messages = list(body.messages, "messages")?
        .ok_or_else(|| Error::invalid("messages", "a request needs a list of messages"))?;
    let (system, turns) = message_in::decode(&messages)?;
    let stream_options: StreamOptions<'_> = read(body.stream_options).unwrap_or_default();
    let mut options = settings(body.rest)?;
    let reasoning = reasoning((body.reasoning_effort, body.reasoning, body.thinking), &mut options)?;
    for (name, value) in stream_options.rest {
        options.push(other(Cow::Owned(format!("stream_options.{name}")), value));
    }
    let max_tokens = number(body.max_completion_tokens, "max_completion_tokens")?;
    Ok(Request {
        dialect: Dialect::OpenAiChat,
        model,
        stream: flag(body.stream, "stream")?.unwrap_or(false),
        stream_usage: flag(stream_options.include_usage, "stream_options.include_usage")?.unwrap_or(false),
        system,
        turns,
        tools: tools(body.tools, body.functions)?,
        tool_choice: tool_choice(body.tool_choice, body.function_call)?,
        parallel_tools: flag(body.parallel_tool_calls, "parallel_tool_calls")?,
        max_tokens: if max_tokens.is_some() { max_tokens } else { number(body.max_tokens, "max_tokens")? },
        stop: stop(body.stop)?,
        choices: number(body.n, "n")?,
        reasoning,
        output: output(body.response_format)?,
        options,
    })
}

pub(super) fn required_text<'a>(value: Value<'a>, name: &'static str) -> Result<Str<'a>> {
    let Some(raw) = value else { return Err(Error::invalid(name, format!("`{name}` is missing"))) };
    Str::from_raw(raw.get()).ok_or_else(|| Error::invalid(name, format!("`{name}` must be a string")))
}

fn flag(value: Value<'_>, name: &'static str) -> Result<Option<bool>> {
    let Some(raw) = value else { return Ok(None) };
    raw.get().parse().map(Some).map_err(|_| Error::invalid(name, format!("`{name}` must be true or false")))
}

fn number(value: Value<'_>, name: &'static str) -> Result<Option<u64>> {
    let Some(raw) = value else { return Ok(None) };
    // `9.0` is whole; `9.5` is not, and `"9"` no number.
    let is_whole = raw.get().split_once('.').is_none_or(|(_, fraction)| fraction.bytes().all(|b| b == b'0'));
    match count(value).filter(|_| is_whole && !raw.get().starts_with('"')) {
        Some(n) => Ok(Some(n)),
        None => Err(Error::invalid(name, format!("`{name}` must be a whole number that is not negative"))),
    }
}

fn list<'a>(value: Option<Listed<'a>>, name: &'static str) -> Result<Option<Vec<Json<'a>>>> {
    match value {
        None => Ok(None),
        Some(Listed::Items(items)) => Ok(Some(items)),
        Some(Listed::Value(_)) => Err(Error::invalid(name, format!("`{name}` must be a list"))),
    }
}

fn stop(value: Value<'_>) -> Result<Vec<Str<'_>>> {
    let Some(raw) = value else { return Ok(Vec::new()) };
    match Str::from_raw(raw.get()) {
        Some(one) => Ok(vec![one]),
        None => read(value).ok_or_else(|| Error::invalid("stop", "`stop` must be a string or a list of strings")),
    }
}

fn other<'a>(name: Cow<'a, str>, value: Raw<'a>) -> Setting<'a> {
    Setting { kind: SettingKind::Other, name, value }
}

/// Everything without a field of its own; `null` is the same as absent.
fn settings(rest: Rest<'_>) -> Result<Vec<Setting<'_>>> {
    let given = rest.into_iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(name, value)| {
            let kind = setting_kind(&name);
            if kind.is_number() && !value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
                return Err(Error::invalid(name.to_string(), format!("`{name}` must be a number")));
            }
            Ok(Setting { kind, name, value })
        })
        .collect()
}

fn setting_kind(name: &str) -> SettingKind {
    match name {
        "temperature" => SettingKind::Temperature,
        "top_p" => SettingKind::TopP,
        "top_k" => SettingKind::TopK,
        "seed" => SettingKind::Seed,
        "frequency_penalty" => SettingKind::FrequencyPenalty,
        "presence_penalty" => SettingKind::PresencePenalty,
        "logit_bias" => SettingKind::LogitBias,
        "logprobs" => SettingKind::Logprobs,
        "top_logprobs" => SettingKind::TopLogprobs,
        "service_tier" => SettingKind::ServiceTier,
        "user" => SettingKind::User,
        "metadata" => SettingKind::Metadata,
        "prompt_cache_key" => SettingKind::PromptCacheKey,
        "safety_identifier" => SettingKind::SafetyIdentifier,
        "verbosity" => SettingKind::Verbosity,
        "modalities" => SettingKind::Modalities,
        "store" => SettingKind::Store,
        _ => SettingKind::Other,
    }
}

/// The three spellings of how hard to think; the first given holds, others stay what they were.
fn reasoning<'a>(
    (effort, object, thinking): (Value<'a>, Value<'a>, Value<'a>),
    options: &mut Vec<Setting<'a>>,
) -> Result<Option<Reasoning<'a>>> {
    let mut found = None;
    if let Some(raw) = effort {
        let effort = Str::from_raw(raw.get())
            .ok_or_else(|| Error::invalid("reasoning_effort", "`reasoning_effort` must be a string"))?;
        let disabled = effort.is("none");
        found = Some(Reasoning { name: "reasoning_effort", effort: Some(effort), disabled, ..Reasoning::default() });
    }
    for (name, value) in [("reasoning", object), ("thinking", thinking)] {
        let Some(raw) = value else { continue };
        // Z.ai's `thinking` may say other things than how hard.
        let says_how = name != "thinking" || raw.get().contains("\"type\"");
        if found.is_some() || !is_object(value) || !says_how {
            options.push(other(Cow::Borrowed(name), Raw::new(raw.get())));
        } else {
            found = read(value).map(|thoughts| thoughts_of(name, thoughts));
        }
    }
    Ok(found)
}

fn thoughts_of<'a>(name: &'static str, it: Thoughts<'a>) -> Reasoning<'a> {
    let kind = text(it.kind);
    let is = |word: &str| kind.as_ref().is_some_and(|k| k.is(word));
    let effort = text(it.effort);
    let off = it.enabled.is_some_and(|e| e.get() == "false") || effort.as_ref().is_some_and(|e| e.is("none"));
    let (disabled, adaptive) = (is("disabled") || off, is("adaptive"));
    let known = is("disabled") || adaptive || is("enabled");
    let mut rest = it.rest;
    if let Some(raw) = it.kind.filter(|_| !known) {
        rest.push((Cow::Borrowed("type"), Raw::new(raw.get())));
    }
    if it.enabled.is_some_and(|e| e.get() == "true") {
        rest.push((Cow::Borrowed("enabled"), Raw::new("true")));
    }
    let budget_tokens = count(it.max_tokens).or_else(|| count(it.budget_tokens));
    Reasoning { name, effort, budget_tokens, adaptive, disabled, summary: None, rest }
}

fn output(value: Value<'_>) -> Result<Output<'_>> {
    let Some(raw) = value else { return Ok(Output::Text) };
    let bad = || Error::invalid("response_format", "`response_format` must be an object with a `type`");
    let format: Format<'_> = read(value).ok_or_else(bad)?;
    let kind = text(format.kind).ok_or_else(bad)?;
    let schema: Option<JsonSchema<'_>> = read(format.json_schema);
    Ok(match (&*kind.text(), schema) {
        ("text", _) => Output::Text,
        ("json_object", None) if format.rest.is_empty() => Output::JsonObject,
        ("json_schema", Some(JsonSchema { name, description, schema: Some(schema), strict, rest }))
            if rest.is_empty() =>
        {
            Output::JsonSchema {
                name: text(name),
                description: text(description),
                schema: Raw::new(schema.get()),
                strict: strict.and_then(|s| s.get().parse().ok()),
            }
        }
        _ => Output::Other(Raw::new(raw.get())),
    })
}

fn tools<'a>(tools: Option<Listed<'a>>, functions: Option<Listed<'a>>) -> Result<Vec<Tool<'a>>> {
    let mut all = Vec::new();
    for (index, raw) in list(tools, "tools")?.unwrap_or_default().into_iter().enumerate() {
        all.push(tool(At::item("tools", index), raw)?);
    }
    for (index, raw) in list(functions, "functions")?.unwrap_or_default().into_iter().enumerate() {
        let at = At::item("functions", index);
        let function: Function<'a> = read(Some(raw)).ok_or_else(|| not_an_object(at))?;
        all.push(function_tool(at, function, None, Vec::new())?);
    }
    Ok(all)
}

fn not_an_object(at: At) -> Error {
    Error::invalid(at.to_string(), format!("`{at}` must be an object"))
}

fn tool(at: At, raw: Json<'_>) -> Result<Tool<'_>> {
    let definition: Definition<'_> = read(Some(raw)).ok_or_else(|| not_an_object(at))?;
    let kind = text(definition.kind);
    if let Some(function) = read::<Function<'_>>(definition.function)
        && kind.as_ref().is_none_or(|k| k.is("function"))
    {
        return function_tool(at, function, definition.cache_control, definition.rest);
    }
    if kind.as_ref().is_some_and(|k| k.is("custom"))
        && let Some(tool) = custom::decode(at, definition.custom, definition.cache_control, definition.rest)
    {
        return Ok(tool);
    }
    let tag = kind.unwrap_or_else(|| Str::from_text("function"));
    let kind = ToolKind::Other { tag, json: Raw::new(raw.get()) };
    Ok(Tool { at, kind, cache: None, rest: Vec::new(), item: None })
}

fn function_tool<'a>(at: At, function: Function<'a>, cache: Option<Raw<'a>>, mut rest: Rest<'a>) -> Result<Tool<'a>> {
    let name = text(function.name).ok_or_else(|| {
        Error::invalid(format!("{at}.function.name"), format!("`{at}` needs the name of its function"))
    })?;
    rest.extend(nested("function", function.rest));
    let kind = ToolKind::Function {
        name,
        description: text(function.description),
        schema: function.parameters.map(|p| Raw::new(p.get())),
        strict: function.strict.and_then(|s| s.get().parse().ok()),
    };
    Ok(Tool { at, kind, cache, rest, item: None })
}

/// Members of an object inside an element, under the path they have from there.
pub(super) fn nested<'a>(inside: &str, rest: Rest<'a>) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
    rest.into_iter().map(move |(name, value)| (Cow::Owned(format!("{inside}.{name}")), value))
}

fn tool_choice<'a>(choice: Value<'a>, legacy: Value<'a>) -> Result<Option<ToolChoice<'a>>> {
    let Some(raw) = choice.or(legacy) else { return Ok(None) };
    if let Some(word) = Str::from_raw(raw.get()) {
        return Ok(Some(match &*word.text() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Required,
            _ => return Err(Error::invalid("tool_choice", "`tool_choice` must be auto, none, required or an object")),
        }));
    }
    let it: Choice<'a> =
        read(Some(raw)).ok_or_else(|| Error::invalid("tool_choice", "`tool_choice` must be a string or an object"))?;
    let function: Choice<'a> = read(it.function.or(it.custom)).unwrap_or_default();
    let plain = text(it.kind).is_none_or(|k| k.is("function") || k.is("custom"));
    Ok(Some(match text(function.name).or_else(|| text(it.name)) {
        Some(name) if plain => ToolChoice::Named(name),
        _ => ToolChoice::Other(Raw::new(raw.get())),
    }))
}
