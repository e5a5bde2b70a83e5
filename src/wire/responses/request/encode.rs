//! A meaning to the request a Responses upstream takes: the top-level members.

use super::super::namespace;
use super::items_out;
use crate::error::{Error, Result};
use crate::wire::ir::{Dropped, Output, Request, Setting, SettingKind, Tool, ToolChoice, ToolKind};
use crate::wire::json::{Arr, Obj, Str};
use crate::wire::openai_chat::request::thinker::Refusals;
use crate::wire::openai_chat::request::{RETENTION, is_retention, opaque_user, quiet, strict, with_properties};
use crate::wire::{Dialect, Target, Thinking, vendor};

/// What every function has that declares no parameters.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;
/// "Expected a value >= 16" (seen 2026-11).
const LEAST_OUTPUT_TOKENS: u64 = 16;

/// What every writer of a request needs.
pub(super) struct Context<'c> {
    pub(super) target: &'c Target<'c>,
    pub(super) client: Dialect,
    /// The client speaks Responses as well: what has no field here goes out as it came in.
    pub(super) same: bool,
    pub(super) refusals: Refusals,
}

/// Writes `request` for `target`.
///
/// # Errors
/// More than one answer wanted, and content that this format has no part for.
pub fn encode(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<()> {
    let same = request.dialect == Dialect::Responses;
    let refusals = if same { Refusals::default() } else { Refusals::of(request, target) };
    let cx = Context { target, client: request.dialect, same, refusals };
    if request.choices.is_some_and(|n| n > 1) {
        let name = request.choices_name();
        return Err(Error::invalid(name, format!("`{name}` over 1: this model gives one answer")));
    }
    let mut body = Obj::new(out);
    body.text("model", target.model);
    items_out::encode(request, &cx, &mut body, dropped)?;
    if request.stream {
        body.bool("stream", true);
    }
    bound(request, &cx, &mut body, dropped);
    if !request.stop.is_empty() {
        dropped.push(request.stop_name());
    }
    let has_tools = tools(&request.tools, &cx, &mut body, dropped);
    choice(request, has_tools, &cx, &mut body, dropped);
    reasoning(request, &cx, &mut body, dropped);
    form(request, &cx, &mut body, dropped);
    settings(request, &cx, &mut body, dropped);
    if !cx.same {
        body.bool("store", false);
        // Nothing is kept there, so what proves reasoning has to come back from here. Models that do not
        // think refuse to be asked for it.
        if target.thinking != Thinking::None {
            body.raw("include", r#"["reasoning.encrypted_content"]"#);
        }
    }
    Ok(())
}

/// How long the answer may be, within what this format and the model take.
fn bound(request: &Request<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let Some(most) = request.max_tokens else { return };
    if cx.same {
        body.num("max_output_tokens", most);
        return;
    }
    if most < LEAST_OUTPUT_TOKENS {
        dropped.push(request.max_tokens_name());
    }
    body.num("max_output_tokens", cx.target.bounded(most).max(LEAST_OUTPUT_TOKENS));
}

fn tools(tools: &[Tool<'_>], cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) -> bool {
    let fits = |tool: &&Tool<'_>| cx.same || !matches!(tool.kind, ToolKind::Other { .. });
    tools.iter().filter(|tool| !fits(tool)).for_each(|tool| dropped.push(tool.at));
    let mut kept = tools.iter().filter(fits).peekable();
    if kept.peek().is_none() {
        return false;
    }
    let mut list = body.arr("tools");
    // The namespace that was written last: the tools in it are written with it.
    let mut namespace = None;
    for one in kept {
        let is_inside = one.item.is_none() && one.at.inner_list().is_some();
        match one.item.as_ref().filter(|_| cx.same) {
            Some(item) => {
                list.raw(item.get());
                namespace = Some(one.at);
            }
            None if is_inside && cx.same && namespace.is_some_and(|at| one.at.same_item(at)) => {}
            None => tool(one, cx, &mut list, dropped),
        }
    }
    true
}

fn tool(tool: &Tool<'_>, cx: &Context<'_>, list: &mut Arr<'_>, dropped: &mut Dropped) {
    if tool.cache.is_some() {
        dropped.push(format_args!("{}.cache_control", tool.at));
    }
    let mut it = match &tool.kind {
        ToolKind::Other { json, .. } => {
            list.raw(json.get());
            return;
        }
        ToolKind::Function { name, description, schema, strict: is_strict } => {
            let mut it = list.obj();
            it.text("type", "function").str("name", name);
            description.iter().for_each(|d| _ = it.str("description", d));
            match schema {
                schema if cx.same => _ = it.raw("parameters", schema.as_ref().map_or(NO_PARAMETERS, |s| s.get())),
                schema => with_properties(schema.as_ref(), it.key("parameters")),
            }
            let is_refused = *is_strict == Some(true) && strict::is_refused(cx.client, schema.as_ref());
            if is_refused {
                dropped.push(tool.spelled(cx.client, "strict"));
            }
            it.bool("strict", *is_strict == Some(true) && !is_refused);
            it
        }
        ToolKind::Custom { name, description, format } => {
            let mut it = list.obj();
            it.text("type", "custom").str("name", name);
            description.iter().for_each(|d| _ = it.str("description", d));
            format.iter().for_each(|f| _ = it.raw("format", f.get()));
            it
        }
    };
    match cx.same {
        true => _ = it.rest(&tool.rest),
        false => dropped.push_rest(tool.at, &tool.rest),
    }
}

fn choice(request: &Request<'_>, has_tools: bool, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    match request.parallel_tools {
        Some(parallel) if has_tools || cx.same => _ = body.bool("parallel_tool_calls", parallel),
        _ => {}
    }
    let custom = |name: &Str<'_>| {
        let is = |tool: &Tool<'_>| matches!(&tool.kind, ToolKind::Custom { name: own, .. } if own == name);
        request.tools.iter().any(is)
    };
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Other(json)) if cx.same => _ = body.raw("tool_choice", json.get()),
        Some(ToolChoice::Other(_)) => dropped.push("tool_choice"),
        Some(ToolChoice::Auto | ToolChoice::None) if !has_tools && !cx.same => {}
        Some(_) if !has_tools && !cx.same => dropped.push(request.tool_choice_name()),
        Some(ToolChoice::Auto) => _ = body.text("tool_choice", "auto"),
        Some(ToolChoice::None) => _ = body.text("tool_choice", "none"),
        Some(ToolChoice::Required) => _ = body.text("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => {
            let kind = if custom(name) { "custom" } else { "function" };
            let mut it = body.obj("tool_choice");
            it.text("type", kind);
            match namespace::split(&request.tools, name).filter(|_| cx.same) {
                Some((namespace, name)) => it.text("name", &name).text("namespace", &namespace),
                None => it.str("name", name),
            };
        }
    }
}

fn reasoning(request: &Request<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let Some(reasoning) = &request.reasoning else { return };
    if cx.same {
        let mut it = body.obj("reasoning");
        reasoning.effort.iter().for_each(|effort| _ = it.str("effort", effort));
        reasoning.summary.iter().for_each(|summary| _ = it.str("summary", summary));
        it.rest(&reasoning.rest);
        return;
    }
    for (name, _) in &reasoning.rest {
        dropped.push(format_args!("{}.{name}", reasoning.name));
    }
    if reasoning.disabled {
        quiet::effort(reasoning, cx.target, dropped).iter().for_each(|word| {
            body.obj("reasoning").text("effort", word);
        });
        return;
    }
    if cx.target.thinking == Thinking::None {
        return dropped.push(reasoning.name);
    }
    let wish = vendor::wish(reasoning);
    let effort = wish.as_ref().and_then(|wish| vendor::effort(wish.reborrow(), cx.target));
    if wish.is_some() && effort.is_none() {
        return dropped.push(reasoning.name);
    }
    let mut it = body.obj("reasoning");
    match effort {
        Some(effort) => _ = it.str("effort", &effort),
        None if reasoning.adaptive => {}
        None => return,
    }
    // Clients of other formats see thinking unasked.
    it.text("summary", "auto");
}

/// `text`: the form of the answer, and how many words.
fn form(request: &Request<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let inside = |setting: &&Setting<'_>| cx.same && setting.name.starts_with("text.");
    let mut kept = request.options.iter().filter(inside).peekable();
    let verbosity = request.options.iter().find(|o| o.kind == SettingKind::Verbosity);
    let plain = matches!(request.output, Output::Text) || matches!(request.output, Output::Other(_)) && !cx.same;
    if matches!(request.output, Output::Other(_)) && !cx.same {
        dropped.push(request.output_name());
    }
    if plain && verbosity.is_none() && kept.peek().is_none() {
        return;
    }
    let mut text = body.obj("text");
    match &request.output {
        Output::Other(json) if cx.same => _ = text.raw("format", json.get()),
        Output::Text | Output::Other(_) => {}
        Output::JsonObject => _ = text.obj("format").text("type", "json_object"),
        Output::JsonSchema { name, description, schema, .. } => {
            let mut format = text.obj("format");
            format.text("type", "json_schema");
            match name {
                Some(name) => format.str("name", name),
                None => format.text("name", "answer"),
            };
            description.iter().for_each(|d| _ = format.str("description", d));
            format.raw("schema", schema.get());
            strict::of_output(request, dropped).iter().for_each(|is_strict| _ = format.bool("strict", *is_strict));
        }
    }
    match verbosity {
        Some(verbosity) if !cx.same => _ = text.raw("verbosity", verbosity.value.get()),
        _ => {}
    }
    for setting in kept {
        text.raw(setting.name.strip_prefix("text.").unwrap_or_default(), setting.value.get());
    }
}

fn settings(request: &Request<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    for setting in &request.options {
        let name = match setting.kind {
            _ if setting.name.starts_with("text.") && cx.same => continue,
            SettingKind::State if setting.name == "input" => continue,
            _ if cx.same => &*setting.name,
            SettingKind::Temperature => "temperature",
            SettingKind::TopP => "top_p",
            SettingKind::TopLogprobs => "top_logprobs",
            SettingKind::ServiceTier => "service_tier",
            SettingKind::User => "safety_identifier",
            SettingKind::SafetyIdentifier => "safety_identifier",
            SettingKind::Metadata => "metadata",
            SettingKind::PromptCacheKey => "prompt_cache_key",
            SettingKind::Other if is_retention(setting, cx.client) => RETENTION,
            // Said in `text`.
            SettingKind::Verbosity => continue,
            _ if setting.is_default() => continue,
            _ => {
                dropped.push(&setting.name);
                continue;
            }
        };
        write(setting, name, request, cx, body, dropped);
    }
}

fn write(
    setting: &Setting<'_>,
    name: &str,
    request: &Request<'_>,
    cx: &Context<'_>,
    body: &mut Obj<'_>,
    dropped: &mut Dropped,
) {
    // What comes of it has no way back to a client of another format.
    let is_lost = setting.kind == SettingKind::TopLogprobs || cx.refusals.have(setting.kind);
    if !cx.same && is_lost {
        if !setting.is_default() {
            dropped.push(&setting.name);
        }
        return;
    }
    let twice = !cx.same && setting.kind == SettingKind::User && has(request, SettingKind::SafetyIdentifier);
    let fits = cx.same || setting.kind != SettingKind::ServiceTier || is_tier(setting);
    let user = setting.value.as_str().filter(|_| !cx.same && setting.kind == SettingKind::User);
    match (fits && !twice, user) {
        (true, Some(user)) => _ = body.str(name, &opaque_user(&user)),
        (true, None) => _ = body.raw(name, setting.value.get()),
        (false, _) => dropped.push(&setting.name),
    }
}

fn has(request: &Request<'_>, kind: SettingKind) -> bool {
    request.options.iter().any(|o| o.kind == kind)
}

/// Tiers this format knows; others' words mean something else.
fn is_tier(setting: &Setting<'_>) -> bool {
    matches!(setting.value.get(), "\"auto\"" | "\"default\"" | "\"flex\"" | "\"priority\"")
}
