//! A request written for an upstream of this format: the top-level members.
//!
//! - A choice of one tool is that tool alone, and `REQUIRED`.
//! - A schema that cannot go beside tools or documents is told in the instructions.

use super::{options, turns};
use crate::error::{Error, Result};
use crate::wire::bridge::schema_hint;
use crate::wire::ir::{Dropped, Output, Request, Tool, ToolChoice, ToolKind};
use crate::wire::json::{Obj, Raw, Str};
use crate::wire::{Dialect, Target};

const EMPTY_SCHEMA: &str = r#"{"type":"object","properties":{}}"#;

/// What every writer of a request needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) target: &'c Target<'c>,
    /// The client speaks this format as well: what has no field here goes out as it came in.
    pub(super) same: bool,
}

/// Writes `request` for `target`.
///
/// # Errors
/// `InvalidRequest` for what cannot be served in this format: `n` over 1, and a part with the user's
/// own content that it has no block for.
pub fn encode(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<()> {
    let cx = Context { target, same: request.dialect == Dialect::Cohere };
    if request.choices.is_some_and(|n| n > 1) {
        let name = request.choices_name();
        return Err(Error::invalid(name, format!("{name}: this model gives one answer a request")));
    }
    let tools = tools(request, cx.same, dropped);
    let free = tools.is_empty() && !turns::has_documents(request);
    let hint = match &request.output {
        Output::JsonSchema { schema, .. } if !free => Some(schema_hint(schema.get())),
        _ => None,
    };
    let mut body = Obj::new(out);
    body.text("model", target.model);
    turns::encode(request, &cx, hint, &mut body, dropped)?;
    if request.stream {
        body.bool("stream", true);
    }
    encode_tools(&tools, request.dialect, &mut body, dropped);
    choice(request, &tools, cx.same, &mut body, dropped);
    output(request, free, &mut body, dropped);
    options::encode(request, &cx, &mut body, dropped);
    Ok(())
}

/// The tools that go out.
fn tools<'r>(request: &'r Request<'_>, same: bool, dropped: &mut Dropped) -> Vec<&'r Tool<'r>> {
    let mut kept = Vec::new();
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function { .. } => kept.push(tool),
            ToolKind::Other { .. } if same => kept.push(tool),
            ToolKind::Other { .. } | ToolKind::Custom { .. } => dropped.push(tool.at),
        }
    }
    if let Some(ToolChoice::Named(wanted)) = &request.tool_choice
        && kept.iter().any(|tool| is_named(tool, wanted))
    {
        kept.retain(|tool| is_named(tool, wanted));
    }
    kept
}

fn is_named(tool: &Tool<'_>, wanted: &Str<'_>) -> bool {
    matches!(&tool.kind, ToolKind::Function { name, .. } if name == wanted)
}

fn is_strict(tool: &Tool<'_>) -> bool {
    matches!(tool.kind, ToolKind::Function { strict: Some(true), .. })
}

fn encode_tools(tools: &[&Tool<'_>], client: Dialect, body: &mut Obj<'_>, dropped: &mut Dropped) {
    if tools.is_empty() {
        return;
    }
    let mut list = body.arr("tools");
    for tool in tools {
        match &tool.kind {
            ToolKind::Other { json, .. } => _ = list.raw(json.get()),
            _ => encode_function(tool, list.obj()),
        }
        if tool.cache.is_some() {
            dropped.push(format_args!("{}.cache_control", tool.at));
        }
        if client != Dialect::Cohere {
            dropped.push_rest(tool.at, &tool.rest);
        }
    }
    drop(list);
    match tools.iter().all(|tool| is_strict(tool)) {
        true => _ = body.bool("strict_tools", true),
        // It holds for all of them or for none.
        false => tools.iter().filter(|tool| is_strict(tool)).for_each(|tool| {
            dropped.push(tool.spelled(client, "strict"));
        }),
    }
}

fn encode_function(tool: &Tool<'_>, mut it: Obj<'_>) {
    let ToolKind::Function { name, description, schema, .. } = &tool.kind else { return };
    it.text("type", "function");
    let mut function = it.obj("function");
    function.str("name", name);
    if let Some(description) = description.as_ref().filter(|description| !description.is_empty()) {
        function.str("description", description);
    }
    let schema = schema.as_ref().filter(|schema| schema.is_object()).map_or(EMPTY_SCHEMA, Raw::get);
    function.raw("parameters", schema);
}

fn choice(request: &Request<'_>, tools: &[&Tool<'_>], same: bool, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let is_known = |wanted: &Str<'_>| tools.iter().any(|tool| is_named(tool, wanted));
    match &request.tool_choice {
        Some(ToolChoice::Required) if !tools.is_empty() => _ = body.text("tool_choice", "REQUIRED"),
        Some(ToolChoice::Named(wanted)) if is_known(wanted) => _ = body.text("tool_choice", "REQUIRED"),
        Some(ToolChoice::None) if !tools.is_empty() => _ = body.text("tool_choice", "NONE"),
        Some(ToolChoice::Other(raw)) if same => _ = body.raw("tool_choice", raw.get()),
        None | Some(ToolChoice::Auto | ToolChoice::None) => {}
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Other(_)) => dropped.push("tool_choice"),
    }
    if request.parallel_tools == Some(false) {
        dropped.push(match request.dialect {
            Dialect::Anthropic => "tool_choice.disable_parallel_tool_use",
            _ => "parallel_tool_calls",
        });
    }
}

fn output(request: &Request<'_>, free: bool, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let name = request.output_name();
    match &request.output {
        Output::Text => {}
        Output::Other(raw) if request.dialect == Dialect::Cohere => _ = body.raw("response_format", raw.get()),
        Output::JsonObject if free => _ = body.obj("response_format").text("type", "json_object"),
        Output::JsonSchema { schema, .. } if free => {
            body.obj("response_format").text("type", "json_object").raw("json_schema", schema.get());
        }
        Output::JsonObject | Output::JsonSchema { .. } | Output::Other(_) => dropped.push(name),
    }
}
