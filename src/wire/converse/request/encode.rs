//! A meaning to the request an upstream of this format takes: the top-level members.

use super::extra;
use super::turns::{self, Arranged};
use crate::error::{Error, Result};
use crate::wire::anthropic::request::schema::closed;
use crate::wire::bridge::schema_name;
use crate::wire::converse::model;
use crate::wire::ir::{Dropped, Output, Request, Tool, ToolChoice, ToolKind};
use crate::wire::json::{Arr, Obj, Raw, Str};
use crate::wire::{Dialect, Target};
use crate::wire_object;

/// Writes `request` for `target`.
///
/// # Errors
/// `InvalidRequest` for what cannot be served in this format: `n` over 1, and a part with the user's
/// own content that it has no block for.
pub fn encode(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<()> {
    if request.choices.is_some_and(|n| n > 1) {
        let name = request.choices_name();
        return Err(Error::invalid(name, format!("{name}: this model gives one answer a request")));
    }
    let arranged = turns::arrange(request, target, dropped)?;
    let tools = tools(request, target, &arranged, dropped);
    let plan = extra::plan(request, target, &arranged, dropped);
    let mut body = Obj::new(out);
    let writer = turns::Writer::new(target.model, request.dialect);
    writer.messages(&arranged, body.key("messages"), dropped);
    if !arranged.system.is_empty() {
        writer.system(&arranged, body.key("system"), dropped);
    }
    plan.inference(request, &mut body, dropped);
    let serial = tool_config(request, target, tools.as_deref(), &mut body, dropped);
    output(request, target, &mut body, dropped);
    plan.settings(request, &mut body, dropped);
    plan.additional(request, serial, &mut body, dropped);
    Ok(())
}

/// The list of tools as JSON. A conversation that holds calls must declare tools; where the client
/// declares none, the tools called are declared by name.
fn tools(request: &Request<'_>, target: &Target<'_>, arranged: &Arranged<'_>, dropped: &mut Dropped) -> Option<String> {
    let forbidden = matches!(request.tool_choice, Some(ToolChoice::None));
    // To call no tool is what a request without tools says.
    if forbidden && !arranged.has_calls() {
        return None;
    }
    let mut out = Vec::new();
    let mut list = Arr::new(&mut out);
    let mut any = false;
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function { .. } => {
                any = true;
                encode_tool(tool, request.dialect, target, &mut list, dropped);
            }
            ToolKind::Other { json, .. } if request.dialect == Dialect::Converse => {
                any = true;
                list.raw(json.get());
            }
            ToolKind::Other { .. } | ToolKind::Custom { .. } => dropped.push(tool.at),
        }
    }
    if !any {
        for name in arranged.called_names() {
            any = true;
            let mut item = list.obj();
            let mut spec = item.obj("toolSpec");
            spec.str("name", name);
            spec.obj("inputSchema").raw("json", EMPTY_SCHEMA);
        }
    }
    drop(list);
    any.then(|| String::from_utf8(out).unwrap_or_default())
}

const EMPTY_SCHEMA: &str = r#"{"type":"object","properties":{}}"#;

fn encode_tool(tool: &Tool<'_>, client: Dialect, target: &Target<'_>, list: &mut Arr<'_>, dropped: &mut Dropped) {
    let ToolKind::Function { name, description, schema, strict } = &tool.kind else { return };
    {
        let mut item = list.obj();
        let mut spec = item.obj("toolSpec");
        spec.str("name", name);
        if let Some(description) = description.as_ref().filter(|d| !d.is_empty()) {
            spec.str("description", description);
        }
        let mut parameters = Vec::new();
        encode_schema(schema.as_ref(), &mut parameters);
        let parameters = String::from_utf8(parameters).unwrap_or_default();
        let is_kept_to = *strict == Some(true) && model::keeps_to_schemas(target.model);
        let (parameters, is_told) = if is_kept_to { fitted(&parameters, target) } else { (parameters, false) };
        spec.obj("inputSchema").raw("json", &parameters);
        if is_told {
            dropped.push(tool.spelled(client, "parameters"));
        }
        match *strict == Some(true) {
            true if is_kept_to => _ = spec.bool("strict", true),
            true => dropped.push(tool.spelled(client, "strict")),
            false => {}
        }
    }
    if let Some(cache) = &tool.cache {
        match model::caches_tools(target.model) {
            true => turns::encode_cache_point(cache, list.item()),
            false => dropped.push(format_args!("{}.cache_control", tool.at)),
        }
    }
    turns::drop_rest(tool.at, &tool.rest, dropped);
}

/// A schema as the model takes it, and whether something of it is told in words alone: Claude has the same limits here
/// as at its own vendor.
fn fitted(schema: &str, target: &Target<'_>) -> (String, bool) {
    if target.model.contains("claude") { closed(schema) } else { (schema.to_owned(), false) }
}

wire_object! {
    struct Schema<'a> { kind: Raw<'a> = "type" }
}

/// Models want `type: object` at the top, which others take as understood.
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

/// Whether calls are to come one by one, and how it has to be said then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serial {
    Unsaid,
    /// `toolChoice` is left to the model.
    Free,
    /// `toolChoice` says what to call.
    Forced,
}

fn tool_config(
    request: &Request<'_>,
    target: &Target<'_>,
    tools: Option<&str>,
    body: &mut Obj<'_>,
    dropped: &mut Dropped,
) -> Serial {
    let Some(tools) = tools else {
        if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Other(_))) {
            dropped.push("tool_choice");
        }
        return Serial::Unsaid;
    };
    let mut config = body.obj("toolConfig");
    config.raw("tools", tools);
    let forced = encode_choice(request, target, &mut config, dropped);
    match (request.parallel_tools, forced) {
        (Some(false), true) => Serial::Forced,
        (Some(false), false) => Serial::Free,
        _ => Serial::Unsaid,
    }
}

/// Says whether a call is forced. There is no word to forbid calls where tools must be declared.
fn encode_choice(request: &Request<'_>, target: &Target<'_>, config: &mut Obj<'_>, dropped: &mut Dropped) -> bool {
    let serial = request.parallel_tools == Some(false);
    match &request.tool_choice {
        // Where calls come one by one, this is said elsewhere.
        Some(ToolChoice::Auto) if !serial => _ = config.obj("toolChoice").obj("auto"),
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::Required | ToolChoice::Named(_)) if !model::calls_on_demand(target.model) => {
            dropped.push(request.tool_choice_name());
        }
        Some(ToolChoice::Required) => {
            config.obj("toolChoice").obj("any");
            return true;
        }
        Some(ToolChoice::Named(name)) => {
            config.obj("toolChoice").obj("tool").str("name", name);
            return true;
        }
        Some(ToolChoice::Other(raw)) if request.dialect == Dialect::Converse => {
            config.raw("toolChoice", raw.get());
        }
        Some(ToolChoice::None | ToolChoice::Other(_)) => dropped.push("tool_choice"),
    }
    false
}

fn output(request: &Request<'_>, target: &Target<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let name = request.output_name();
    let takes = target.abilities.json_schema.unwrap_or_else(|| model::keeps_to_schemas(target.model));
    match &request.output {
        Output::Text => {}
        Output::Other(raw) if request.dialect == Dialect::Converse => _ = body.raw("outputConfig", raw.get()),
        Output::JsonSchema { name, description, schema, .. } if takes => {
            let mut config = body.obj("outputConfig");
            let mut format = config.obj("textFormat");
            format.text("type", "json_schema");
            let mut structure = format.obj("structure");
            let mut json = structure.obj("jsonSchema");
            let (schema, is_told) = fitted(schema.get(), target);
            if is_told {
                dropped.push(schema_name(request.dialect));
            }
            // The schema goes as text.
            json.str("schema", &Str::from_text(&schema));
            match name {
                Some(name) => json.str("name", name),
                None => json.text("name", "response"),
            };
            description.iter().for_each(|description| _ = json.str("description", description));
        }
        Output::JsonSchema { .. } | Output::JsonObject | Output::Other(_) => dropped.push(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seal::Seal;
    use crate::wire::{Abilities, Quirks, Thinking, decode_request};

    /// "For 'integer' type, properties maximum, minimum are not supported" (seen 2026-11).
    #[test]
    fn schemas_are_what_claude_takes() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#;
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],
            "tools":[{{"type":"function","function":{{"name":"f","strict":true,"parameters":{schema}}}}}],
            "response_format":{{"type":"json_schema","json_schema":{{"name":"s","schema":{schema}}}}}}}"#
        );
        let seal = Seal::new("test", b"key");
        let written = |model| {
            let target = Target {
                model,
                quirks: &Quirks::NONE,
                max_output_tokens: None,
                thinking: Thinking::Unknown,
                abilities: Abilities { json_schema: Some(true), ..Abilities::UNKNOWN },
                seal: &seal,
            };
            let (mut out, mut dropped) = (Vec::new(), Dropped::default());
            encode(&decode_request(Dialect::OpenAiChat, &body).unwrap(), &target, &mut out, &mut dropped).unwrap();
            (String::from_utf8(out).unwrap(), dropped.header())
        };
        let (out, dropped) = written("us.anthropic.claude-sonnet-4-5-20250929-v1:0");
        assert!(!out.contains("minimum\":") && !out.contains(r#"minimum\":"#), "{out}");
        assert_eq!((out.matches("additionalProperties").count(), out.matches("minimum").count()), (2, 2), "{out}");
        assert!(dropped.contains("parameters") && dropped.contains("response_format.json_schema"), "{dropped}");
        let (out, dropped) = written("qwen.qwen3-32b-v1:0");
        assert!(!out.contains("additionalProperties") && out.matches("minimum").count() == 2, "{out}");
        assert!(!dropped.contains("response_format.json_schema"), "{dropped}");
    }
}
