//! A request written for an upstream of this format.
//!
//! - Five stop sequences at most; `temperature` and its kin stand in `generationConfig`.
//! - Schemas go out as JSON Schema (`parametersJsonSchema`, `responseJsonSchema`), which takes what the
//!   older members, a part of OpenAPI, refuse.
//! - Penalties of zero are left out: some models refuse the members themselves.
//! - Before Gemini 3 no form of the answer goes beside functions: a schema is told in the instructions.

use super::thinking::is_before_3;
use super::{thinking, tools, turns};
use crate::error::Result;
use crate::wire::bridge::schema_hint;
use crate::wire::ir::{Dropped, Output, Request, Setting, SettingKind};
use crate::wire::json::Obj;
use crate::wire::{Dialect, Target};

const MOST_STOPS: usize = 5;
const CONFIG: &str = "generationConfig.";

/// What every writer of a request needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) target: &'c Target<'c>,
    /// The client speaks this format as well: what has no field here goes out as it came in.
    pub(super) same: bool,
}

/// Writes `request` for `target`, whose path says the model and whether to stream.
///
/// # Errors
/// `InvalidRequest` for a part with the user's own content that this format has no place for.
pub fn encode(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<()> {
    let cx = Context { target, same: request.dialect == Dialect::Gemini };
    let mut body = Obj::new(out);
    let free = cx.same || !tools::has_functions(request) || !is_before_3(target.model);
    let hint = match &request.output {
        Output::JsonSchema { schema, .. } if !free => Some(schema_hint(schema.get())),
        _ => None,
    };
    turns::encode(request, &cx, hint.as_deref(), &mut body, dropped)?;
    tools::encode(request, cx.same, &mut body, dropped);
    if request.parallel_tools == Some(false) {
        dropped.push(match request.dialect {
            Dialect::Anthropic => "tool_choice.disable_parallel_tool_use",
            _ => "parallel_tool_calls",
        });
    }
    let mut inside = Vec::new();
    config(request, &cx, free, &mut Obj::new(&mut inside), dropped);
    if inside != b"{}" {
        body.key("generationConfig").extend_from_slice(&inside);
    }
    beside(request, &cx, &mut body, dropped);
    Ok(())
}

/// `free`: the form of the answer can be said.
fn config(request: &Request<'_>, cx: &Context<'_>, free: bool, config: &mut Obj<'_>, dropped: &mut Dropped) {
    let ceiling = cx.target.max_output_tokens.filter(|_| !cx.same);
    if let Some(max) = request.max_tokens {
        config.num("maxOutputTokens", ceiling.map_or(max, |ceiling| max.min(ceiling)));
    }
    request.choices.filter(|n| cx.same || *n > 1).iter().for_each(|n| _ = config.num("candidateCount", *n));
    stop(request, cx, config, dropped);
    output(request, cx, free, config, dropped);
    match &request.reasoning {
        Some(reasoning) if cx.same => thinking::encode_own(reasoning, config),
        Some(reasoning) => thinking::encode(reasoning, cx.target, config, dropped),
        None => {}
    }
    for setting in &request.options {
        match cx.same {
            true => own(setting, config),
            false => foreign(setting, config, dropped),
        }
    }
    if !cx.same && request.implies_logprobs() {
        config.bool("responseLogprobs", true);
    }
}

fn stop(request: &Request<'_>, cx: &Context<'_>, config: &mut Obj<'_>, dropped: &mut Dropped) {
    let taken = if cx.same { request.stop.iter().collect() } else { request.stops(MOST_STOPS, dropped) };
    if !taken.is_empty() {
        let mut list = config.arr("stopSequences");
        taken.into_iter().for_each(|stop| _ = list.raw(stop.raw()));
    }
}

fn output(request: &Request<'_>, cx: &Context<'_>, free: bool, config: &mut Obj<'_>, dropped: &mut Dropped) {
    match &request.output {
        Output::Text => {}
        _ if !free => dropped.push(request.output_name()),
        Output::JsonObject => _ = config.text("responseMimeType", "application/json"),
        Output::JsonSchema { description, schema, .. } => {
            config.text("responseMimeType", "application/json").raw("responseJsonSchema", schema.get());
            if description.is_some() && !cx.same {
                dropped.push(request.beside_schema("description"));
            }
        }
        Output::Other(_) => dropped.push(request.output_name()),
    }
}

/// A setting of this format's own, back where it stood.
fn own(setting: &Setting<'_>, config: &mut Obj<'_>) {
    if let Some(name) = setting.name.strip_prefix(CONFIG) {
        config.raw(name, setting.value.get());
    }
}

/// A setting of another format's.
fn foreign(setting: &Setting<'_>, config: &mut Obj<'_>, dropped: &mut Dropped) {
    let value = setting.value.get();
    let name = match setting.kind {
        _ if value == "null" => return,
        SettingKind::Temperature => "temperature",
        SettingKind::TopP => "topP",
        SettingKind::TopK => "topK",
        SettingKind::Seed => "seed",
        _ if setting.is_default() => return,
        SettingKind::FrequencyPenalty => "frequencyPenalty",
        SettingKind::PresencePenalty => "presencePenalty",
        SettingKind::Logprobs => "responseLogprobs",
        SettingKind::TopLogprobs => "logprobs",
        SettingKind::Modalities if setting.wants_images() == Some(true) => {
            config.raw("responseModalities", "[\"TEXT\",\"IMAGE\"]");
            return;
        }
        // Stands beside the configuration.
        SettingKind::ServiceTier => return,
        _ => return dropped.push(&setting.name),
    };
    config.raw(name, value);
}

/// The members beside the configuration.
fn beside(request: &Request<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    for setting in &request.options {
        match setting.kind {
            _ if cx.same && !setting.name.contains('.') => _ = body.raw(&setting.name, setting.value.get()),
            SettingKind::ServiceTier if !cx.same => tier(setting, cx, body, dropped),
            _ => {}
        }
    }
}

/// A tier of another format's, where the target knows it.
fn tier(setting: &Setting<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let word = match setting.value.get() {
        "\"auto\"" | "\"default\"" | "null" => return,
        "\"flex\"" => "flex",
        "\"priority\"" => "priority",
        _ => return dropped.push(&setting.name),
    };
    match cx.target.quirks.service_tiers.iter().any(|(known, _)| *known == word) {
        true => _ = body.text("serviceTier", word),
        false => dropped.push(&setting.name),
    }
}
