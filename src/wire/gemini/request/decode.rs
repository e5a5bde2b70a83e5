//! A client's request, read.

use std::borrow::Cow;

use super::{thinking, tools};
use crate::error::{Error, Kind, Result};
use crate::wire::Dialect;
use crate::wire::gemini::part::{self, Calls};
use crate::wire::gemini::response::one_or_more;
use crate::wire::gemini::schema;
use crate::wire::ir::{At, Output, Part, PartKind, Request, Role, Setting, SettingKind, Turn};
use crate::wire::json::{self, Json, Listed, Raw, Rest, Str};
use crate::wire::lenient::{Value, count, items, read, text};
use crate::wire::scan;
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        contents: Listed<'a>,
        system: Json<'a> = "systemInstruction" | "system_instruction",
        tools: Listed<'a>,
        tool_config: Json<'a> = "toolConfig" | "tool_config",
        config: Json<'a> = "generationConfig" | "generation_config",
        /// Said by the path; here it may be repeated.
        model: Json<'a>,
    }
}

wire_object! {
    struct Content<'a> { role: Json<'a>, parts: Listed<'a> }
}

wire_object! {
    struct Config<'a> {
        max_tokens: Json<'a> = "maxOutputTokens" | "max_output_tokens",
        stop: Json<'a> = "stopSequences" | "stop_sequences",
        choices: Json<'a> = "candidateCount" | "candidate_count",
        mime: Json<'a> = "responseMimeType" | "response_mime_type",
        schema: Json<'a> = "responseSchema" | "response_schema",
        json_schema: Json<'a> = "responseJsonSchema" | "response_json_schema" | "_responseJsonSchema",
        thinking: Json<'a> = "thinkingConfig" | "thinking_config",
    }
}

/// Reads a request whose body is valid UTF-8.
pub fn decode(body: &str) -> Result<Request<'_>> {
    let body: Body<'_> =
        json::parse(body).map_err(|e| Error::new(Kind::InvalidJson, format!("the body is not a JSON object: {e}")))?;
    let config: Config<'_> = object(body.config, "generationConfig")?;
    let mut options = Vec::new();
    let output = output(&config, &mut options);
    let reasoning = config.thinking.and_then(thinking::decode);
    settings(config.rest, Some("generationConfig"), &mut options)?;
    settings(body.rest, None, &mut options)?;
    let tool_choice = tools::decode_config(body.tool_config, &mut options)?;
    Ok(Request {
        dialect: Dialect::Gemini,
        model: Str::from_text(""),
        stream: false,
        stream_usage: true,
        system: system(body.system),
        turns: turns(body.contents)?,
        tools: tools::decode(body.tools)?,
        tool_choice,
        parallel_tools: None,
        max_tokens: number(config.max_tokens, "generationConfig.maxOutputTokens")?,
        stop: items(config.stop).into_iter().filter_map(|raw| Str::from_raw(raw.get())).collect(),
        choices: number(config.choices, "generationConfig.candidateCount")?,
        reasoning,
        output,
        options,
    })
}

/// A member that is an object, or nothing.
pub(super) fn object<'a, T: serde::Deserialize<'a> + Default>(value: Value<'a>, name: &'static str) -> Result<T> {
    let Some(raw) = value else { return Ok(T::default()) };
    read(Some(raw)).ok_or_else(|| Error::invalid(name, format!("`{name}` must be an object")))
}

fn number(value: Value<'_>, name: &'static str) -> Result<Option<u64>> {
    match (value, count(value)) {
        (None, _) => Ok(None),
        (_, Some(number)) => Ok(Some(number)),
        (_, None) => Err(Error::invalid(name, format!("`{name}` must be a whole number that is not negative"))),
    }
}

/// Instructions: a content, or plain text as some SDKs have it.
fn system(value: Value<'_>) -> Vec<Part<'_>> {
    let at = At::member("systemInstruction");
    if let Some(text) = text(value) {
        return vec![Part::new(at, PartKind::Text { text, citations: None })];
    }
    let content: Content<'_> = read(value).unwrap_or_default();
    let (mut parts, mut calls) = (Vec::new(), Calls::default());
    for (index, raw) in one_or_more(content.parts).into_iter().enumerate() {
        part::decode(raw, At::item("systemInstruction.parts", index), &mut calls, &mut parts);
    }
    parts
}

fn turns(value: Option<Listed<'_>>) -> Result<Vec<Turn<'_>>> {
    if let Some(Listed::Value(raw)) = &value
        && !raw.get().starts_with('{')
    {
        return Err(Error::invalid("contents", "`contents` must be a list of contents"));
    }
    let mut calls = Calls::default();
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (index, raw) in one_or_more(value).into_iter().enumerate() {
        let next = turn(index, raw, &mut calls)?;
        match turns.last_mut().filter(|last| is_model(last) && is_model(&next)) {
            Some(last) => next.parts.into_iter().for_each(|part| go_on(&mut last.parts, part)),
            None => turns.push(next),
        }
    }
    Ok(turns)
}

/// Whether it is the model's, and nothing else is known of it.
fn is_model(turn: &Turn<'_>) -> bool {
    turn.role == Role::Assistant && turn.rest.is_empty()
}

/// Adds a part of an answer that its client keeps in the pieces in which it was streamed, each a content of its own:
/// a thought goes on where the last one was not signed.
fn go_on<'a>(parts: &mut Vec<Part<'a>>, part: Part<'a>) {
    if let (
        Some(Part { kind: PartKind::Reasoning { text: said, signature: last @ None }, .. }),
        PartKind::Reasoning { text, signature },
    ) = (parts.last_mut(), &part.kind)
        && !text.is_empty()
    {
        said.append(text);
        *last = signature.clone();
        return;
    }
    parts.push(part);
}

fn turn<'a>(index: usize, raw: Json<'a>, calls: &mut Calls) -> Result<Turn<'a>> {
    let at = At::item("contents", index);
    let content: Content<'a> =
        read(Some(raw)).ok_or_else(|| Error::invalid(at.to_string(), format!("`{at}` must be an object")))?;
    let role = match text(content.role).as_ref().map(Str::escaped) {
        None | Some("" | "user") => Role::User,
        Some("model") => Role::Assistant,
        // What older SDKs call the turn of the results.
        Some("function" | "tool") => Role::Tool,
        Some("system") => Role::System,
        Some(_) => return Err(Error::invalid(format!("{at}.role"), format!("`{at}.role` must be user or model"))),
    };
    let mut parts = Vec::new();
    for (index, raw) in one_or_more(content.parts).into_iter().enumerate() {
        part::decode(raw, at.inner("parts", index), calls, &mut parts);
    }
    Ok(Turn { role, at, parts, name: None, rest: content.rest })
}

/// The form of the answer; what only this format knows stays a setting.
fn output<'a>(config: &Config<'a>, options: &mut Vec<Setting<'a>>) -> Output<'a> {
    let schema = config.json_schema.map(|raw| Raw::new(raw.get())).or_else(|| config.schema.map(schema::from_openapi));
    let mime = text(config.mime);
    match (mime.as_ref().map(Str::escaped), schema) {
        (None | Some("application/json"), Some(schema)) => {
            Output::JsonSchema { name: None, description: None, schema, strict: None }
        }
        (Some("application/json"), None) => Output::JsonObject,
        (None | Some("" | "text/plain"), _) => Output::Text,
        (Some(_), _) => {
            let given = [("responseMimeType", config.mime), ("responseSchema", config.schema)];
            let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
            options.extend(given.map(|(name, value)| Setting {
                kind: SettingKind::Other,
                name: Cow::Owned(format!("generationConfig.{name}")),
                value: Raw::new(value.get()),
            }));
            Output::Text
        }
    }
}

/// Everything without a field of its own, but for what says no more than its absence.
fn settings<'a>(rest: Rest<'a>, parent: Option<&str>, options: &mut Vec<Setting<'a>>) -> Result<()> {
    for (name, value) in rest {
        let says_nothing = matches!(
            (&*name, value.get()),
            (_, "null" | "[]" | "{}")
                // Text is what models answer with.
                | ("responseModalities" | "response_modalities", "[\"TEXT\"]")
                | ("responseLogprobs" | "response_logprobs", "false")
        );
        if says_nothing {
            continue;
        }
        let kind = setting_kind(parent.is_some(), &name);
        let name = parent.map_or_else(|| name.clone(), |parent| Cow::Owned(format!("{parent}.{name}")));
        let value = if kind.is_number() { numeric(&name, value)? } else { value };
        options.push(Setting { kind, name, value });
    }
    Ok(())
}

/// A number. In this format it may stand in a string, which no other takes.
fn numeric<'a>(name: &str, value: Raw<'a>) -> Result<Raw<'a>> {
    let inside = value.as_str().map(|text| text.text().into_owned());
    let number = inside.as_deref().unwrap_or_else(|| value.get());
    if !number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) || !scan::is_json(number) {
        return Err(Error::invalid(name.to_owned(), format!("`{name}` must be a number")));
    }
    match inside {
        Some(number) => Ok(Raw::owned(number)),
        None => Ok(value),
    }
}

fn setting_kind(in_config: bool, name: &str) -> SettingKind {
    match (in_config, name) {
        (true, "temperature") => SettingKind::Temperature,
        (true, "topP" | "top_p") => SettingKind::TopP,
        (true, "topK" | "top_k") => SettingKind::TopK,
        (true, "seed") => SettingKind::Seed,
        (true, "frequencyPenalty" | "frequency_penalty") => SettingKind::FrequencyPenalty,
        (true, "presencePenalty" | "presence_penalty") => SettingKind::PresencePenalty,
        (true, "responseLogprobs" | "response_logprobs") => SettingKind::Logprobs,
        (true, "logprobs") => SettingKind::TopLogprobs,
        (true, "responseModalities" | "response_modalities") => SettingKind::Modalities,
        (false, "cachedContent" | "cached_content") => SettingKind::State,
        _ => SettingKind::Other,
    }
}
