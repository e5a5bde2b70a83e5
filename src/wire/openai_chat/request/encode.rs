//! A meaning to the request a chat upstream takes: the top-level members.

use crate::error::Result;
use crate::wire::bridge::schema_name;
use crate::wire::ir::{Dropped, Output, Request, Tool, ToolChoice, ToolKind};
use crate::wire::json::{self, Json, Obj, Raw, Str};
use crate::wire::{Dialect, Target};
use crate::wire_object;

use super::thinker::Refusals;
use super::{custom, message_out, options_out, strict};

/// Most stop sequences OpenAI takes.
const STOPS_MAX: usize = 4;

/// What every writer of a request needs.
pub(super) struct Context<'c> {
    pub(super) target: &'c Target<'c>,
    pub(super) client: Dialect,
    /// The client speaks chat as well: what has no field here goes out as it came in.
    pub(super) same: bool,
    pub(super) refusals: Refusals,
}

impl Context<'_> {
    /// Whether the target refuses a request of another format's client that has this member.
    pub(super) fn refuses(&self, member: &str) -> bool {
        !self.same && self.target.quirks.refuses(self.target.model, member)
    }
}

/// Writes a request for `target`; what it cannot express is added to `dropped`.
pub fn encode(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<()> {
    let same = request.dialect == Dialect::OpenAiChat;
    let refusals = if same { Refusals::default() } else { Refusals::of(request, target) };
    let cx = Context { target, client: request.dialect, same, refusals };
    message_out::refuse_what_would_vanish(request, &cx)?;
    let mut obj = Obj::new(out);
    obj.text("model", target.model);
    message_out::encode(request, &cx, obj.key("messages"), dropped);
    if request.stream {
        stream(request, &cx, &mut obj);
    }
    if let Some(max) = request.max_tokens {
        obj.num(target.quirks.max_tokens, if cx.same { max } else { target.bounded(max) });
    }
    let has_tools = tools(&request.tools, &cx, &mut obj, dropped);
    tool_choice(request, &cx, has_tools, &mut obj, dropped);
    stop(request, &cx, &mut obj, dropped);
    if let Some(n) = request.choices {
        obj.num("n", n);
    }
    options_out::reasoning(request, &cx, &mut obj, dropped);
    output(request, &cx, &mut obj, dropped);
    options_out::options(request, &cx, &mut obj, dropped);
    Ok(())
}

/// Usage is always asked for: who asked to see it is the answer's affair.
fn stream(request: &Request<'_>, cx: &Context<'_>, obj: &mut Obj<'_>) {
    obj.bool("stream", true);
    if !cx.target.quirks.stream_options {
        return;
    }
    let mut options = obj.obj("stream_options");
    options.bool("include_usage", true);
    for setting in &request.options {
        if let Some(name) = setting.name.strip_prefix("stream_options.") {
            options.raw(name, setting.value.get());
        }
    }
}

/// Writes the tools; says whether there is one.
fn tools(tools: &[Tool<'_>], cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) -> bool {
    let kept: Vec<&Tool<'_>> = tools
        .iter()
        .filter(|tool| {
            let fits = cx.same || matches!(tool.kind, ToolKind::Function { .. });
            if !fits {
                dropped.push(tool.at);
            }
            fits
        })
        .collect();
    if kept.is_empty() {
        return false;
    }
    let mut list = obj.arr("tools");
    for tool in kept {
        match &tool.kind {
            ToolKind::Function { name, description, schema, strict } => {
                let function = (name, description.as_ref(), schema.as_ref(), *strict);
                encode_function(tool, function, cx, list.obj(), dropped);
            }
            ToolKind::Other { json, .. } => _ = list.raw(json.get()),
            ToolKind::Custom { .. } => custom::encode(tool, &mut list),
        }
    }
    true
}

type Function<'f> = (&'f Str<'f>, Option<&'f Str<'f>>, Option<&'f Raw<'f>>, Option<bool>);

fn encode_function(
    tool: &Tool<'_>,
    (name, description, schema, is_strict): Function<'_>,
    cx: &Context<'_>,
    mut obj: Obj<'_>,
    dropped: &mut Dropped,
) {
    obj.text("type", "function");
    {
        let mut function = obj.obj("function");
        function.str("name", name);
        if let Some(description) = description {
            function.str("description", description);
        }
        match schema {
            Some(schema) if cx.same => _ = function.raw("parameters", schema.get()),
            None if cx.same => {}
            schema => with_properties(schema, function.key("parameters")),
        }
        match is_strict {
            Some(true) if strict::is_refused(cx.client, schema) => dropped.push(tool.spelled(cx.client, "strict")),
            Some(is_strict) if cx.target.quirks.strict_tools => _ = function.bool("strict", is_strict),
            // Not strict is what it is without the member.
            Some(true) => dropped.push(tool.spelled(cx.client, "strict")),
            _ => {}
        }
        if cx.same {
            nested("function.", &tool.rest, &mut function);
        }
    }
    if cx.same {
        if let Some(cache) = &tool.cache {
            obj.raw("cache_control", cache.get());
        }
        outer(&tool.rest, &mut obj);
    } else {
        if tool.cache.is_some() {
            dropped.push(format_args!("{}.cache_control", tool.at));
        }
        dropped.push_rest(tool.at, &tool.rest);
    }
}

/// Members that stood inside a nested object, written into it.
pub(super) fn nested(prefix: &str, rest: &json::Rest<'_>, obj: &mut Obj<'_>) {
    for (name, value) in rest {
        if let Some(name) = name.strip_prefix(prefix) {
            obj.raw(name, value.get());
        }
    }
}

/// Members that stood in the element itself.
pub(super) fn outer(rest: &json::Rest<'_>, obj: &mut Obj<'_>) {
    for (name, value) in rest.iter().filter(|(name, _)| !name.contains('.')) {
        obj.raw(name, value.get());
    }
}

wire_object! {
    struct Schema<'a> { kind: Json<'a> = "type", properties: Json<'a> }
}

/// The parameters of a function: OpenAI refuses an object schema without `properties`, in both its formats.
pub(in crate::wire) fn with_properties(schema: Option<&Raw<'_>>, out: &mut Vec<u8>) {
    let json = schema.map_or("{}", Raw::get);
    let known: Schema<'_> = json::parse(json).unwrap_or_default();
    let is_object = known.kind.is_none_or(|k| k.get() == "\"object\"");
    let inside = json.strip_prefix('{').map(str::trim_start);
    let (Some(inside), None, true) = (inside, known.properties, is_object) else {
        out.extend_from_slice(json.as_bytes());
        return;
    };
    out.push(b'{');
    if known.kind.is_none() {
        out.extend_from_slice(b"\"type\":\"object\",");
    }
    out.extend_from_slice(b"\"properties\":{}");
    if !inside.starts_with('}') {
        out.push(b',');
    }
    out.extend_from_slice(inside.as_bytes());
}

fn tool_choice(request: &Request<'_>, cx: &Context<'_>, has_tools: bool, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    // Both are refused where there is no tool.
    if !has_tools && !cx.same {
        let is_wish = |choice: &ToolChoice<'_>| !matches!(choice, ToolChoice::Auto | ToolChoice::None);
        if request.tool_choice.as_ref().is_some_and(is_wish) {
            dropped.push(request.tool_choice_name());
        }
        return;
    }
    match &request.tool_choice {
        None => {}
        Some(_) if options_out::forces_thinker(request, cx) => dropped.push(request.tool_choice_name()),
        Some(ToolChoice::Auto) => _ = obj.text("tool_choice", "auto"),
        Some(ToolChoice::None) => _ = obj.text("tool_choice", "none"),
        Some(ToolChoice::Required) => _ = obj.text("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => {
            let is = |tool: &Tool<'_>| matches!(&tool.kind, ToolKind::Custom { name: own, .. } if own == name);
            let kind = if request.tools.iter().any(is) { "custom" } else { "function" };
            let mut choice = obj.obj("tool_choice");
            choice.text("type", kind);
            choice.obj(kind).str("name", name);
        }
        Some(ToolChoice::Other(raw)) if cx.same => _ = obj.raw("tool_choice", raw.get()),
        Some(ToolChoice::Other(_)) => dropped.push("tool_choice"),
    }
    match request.parallel_tools {
        Some(parallel) if cx.target.quirks.parallel_tool_calls => _ = obj.bool("parallel_tool_calls", parallel),
        Some(false) => dropped.push(request.parallel_tools_name()),
        _ => {}
    }
}

fn stop(request: &Request<'_>, cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    if request.stop.is_empty() {
        return;
    }
    if cx.refuses("stop") || cx.refusals.stops {
        return dropped.push(request.stop_name());
    }
    let most = if cx.same { usize::MAX } else { STOPS_MAX };
    {
        let mut list = obj.arr("stop");
        request.stop.iter().take(most).for_each(|s| _ = list.raw(s.raw()));
    }
    for index in most..request.stop.len() {
        dropped.push(format_args!("{}[{index}]", request.stop_name()));
    }
}

fn output(request: &Request<'_>, cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    match &request.output {
        Output::Text => {}
        Output::JsonObject => _ = obj.obj("response_format").text("type", "json_object"),
        Output::JsonSchema { .. } if !cx.target.quirks.json_schema => {
            // The schema goes into the instructions instead; see `message_out`.
            obj.obj("response_format").text("type", "json_object");
            dropped.push(schema_name(request.dialect));
        }
        Output::JsonSchema { name, description, schema, strict: said } => {
            // Vendors refuse what they do not know: it goes to those alone that keep to OpenAI's own words.
            let is_openais = cx.target.quirks.developer_role;
            let is_strict = if is_openais { strict::of_output(request, dropped) } else { *said };
            let mut format = obj.obj("response_format");
            format.text("type", "json_schema");
            let mut it = format.obj("json_schema");
            match name {
                Some(name) => it.str("name", name),
                None => it.text("name", "response"),
            };
            if let Some(description) = description {
                it.str("description", description);
            }
            it.raw("schema", schema.get());
            if let Some(is_strict) = is_strict {
                it.bool("strict", is_strict);
            }
        }
        Output::Other(raw) if cx.same => _ = obj.raw("response_format", raw.get()),
        Output::Other(_) => dropped.push(request.output_name()),
    }
}
