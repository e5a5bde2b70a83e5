//! A meaning to the request a chat upstream takes: how hard to think, and the settings.

use sha2::{Digest as _, Sha256};

use crate::wire::ir::{Dropped, Reasoning, Request, Setting, SettingKind};
use crate::wire::json::{Obj, Str};
use crate::wire::{Dialect, Thinking, vendor};

use super::encode::Context;
use super::quiet;

/// How long a prompt stays in the cache: OpenAI's two formats have it alike, and no other has it.
pub(in crate::wire) const RETENTION: &str = "prompt_cache_retention";

pub(in crate::wire) fn is_retention(setting: &Setting<'_>, client: Dialect) -> bool {
    setting.name == RETENTION && matches!(client, Dialect::OpenAiChat | Dialect::Responses)
}

/// Longest `user` OpenAI takes; Claude Code's is longer.
const USER_CHARS_MAX: usize = 64;

/// Writes how hard to think.
pub(super) fn reasoning(request: &Request<'_>, cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    if switches_off(request, cx) {
        obj.obj("thinking").text("type", "disabled");
    }
    let Some(reasoning) = &request.reasoning else { return };
    if cx.same {
        return same_format(reasoning, cx, obj, dropped);
    }
    for (name, _) in &reasoning.rest {
        dropped.push(format_args!("{}.{name}", reasoning.name));
    }
    if reasoning.disabled {
        if cx.target.quirks.reasoning_effort && !has_switch(cx) {
            quiet::effort(reasoning, cx.target, dropped).iter().for_each(|word| _ = obj.text("reasoning_effort", word));
        }
        return;
    }
    let Some(wish) = vendor::wish(reasoning) else { return };
    let takes = cx.target.quirks.reasoning_effort && cx.target.thinking != Thinking::None;
    match vendor::effort(wish, cx.target).filter(|_| takes) {
        Some(effort) => _ = obj.str("reasoning_effort", &effort),
        None => dropped.push(reasoning.name),
    }
}

/// Whether thinking is switched on and off, for a request of another format.
fn has_switch(cx: &Context<'_>) -> bool {
    !cx.same && cx.target.quirks.thinking_switch.is_some_and(|models| models.hold(cx.target.model))
}

/// Whether thinking is asked for.
fn asks(reasoning: &Reasoning<'_>) -> bool {
    reasoning.adaptive || reasoning.effort.is_some() || reasoning.budget_tokens.is_some()
}

/// Whether thinking is to be switched off: where the client says so, and where it forces a call, which a model
/// that thinks refuses, and does not ask for thinking.
fn switches_off(request: &Request<'_>, cx: &Context<'_>) -> bool {
    let is_off = match &request.reasoning {
        Some(reasoning) if reasoning.disabled => true,
        Some(reasoning) if asks(reasoning) => false,
        _ => vendor::forces_call(request),
    };
    is_off && has_switch(cx)
}

/// Whether a call is forced on a model that refuses this while it thinks, and is asked to think.
pub(super) fn forces_thinker(request: &Request<'_>, cx: &Context<'_>) -> bool {
    has_switch(cx) && vendor::forces_call(request) && !switches_off(request, cx)
}

fn same_format(reasoning: &Reasoning<'_>, cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    let (is_thinking, is_object) = (reasoning.name == "thinking", reasoning.name == "reasoning");
    if !is_thinking && !is_object {
        match &reasoning.effort {
            Some(effort) if cx.target.quirks.reasoning_effort => _ = obj.str("reasoning_effort", effort),
            Some(_) => dropped.push(reasoning.name),
            None => {}
        }
        return;
    }
    let mut it = obj.obj(reasoning.name);
    let typed = reasoning.rest.iter().any(|(name, _)| name == "type");
    if is_thinking && !typed {
        it.text(
            "type",
            match () {
                () if reasoning.disabled => "disabled",
                () if reasoning.adaptive => "adaptive",
                () => "enabled",
            },
        );
    }
    if let Some(effort) = &reasoning.effort {
        it.str("effort", effort);
    } else if is_object && reasoning.disabled {
        it.bool("enabled", false);
    }
    if let Some(budget) = reasoning.budget_tokens {
        it.num(if is_thinking { "budget_tokens" } else { "max_tokens" }, budget);
    }
    it.rest(&reasoning.rest);
}

/// Writes the settings that chat has; names the others.
pub(super) fn options(request: &Request<'_>, cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    for setting in &request.options {
        let nested = setting.name.starts_with("stream_options.");
        if cx.same {
            if !nested {
                obj.raw(&setting.name, setting.value.get());
            }
        } else {
            let is_refused = cx.refusals.have(setting.kind);
            let is_lost = if is_refused { !setting.is_default() } else { !foreign(setting, cx, obj) };
            if is_lost {
                dropped.push(&setting.name);
            }
        }
    }
    let is_refused = cx.refuses("logprobs") || cx.refusals.have(SettingKind::TopLogprobs);
    if !cx.same && request.implies_logprobs() && !is_refused {
        obj.bool("logprobs", true);
    }
}

/// Writes a setting that came in another format; says whether chat has it.
fn foreign(setting: &Setting<'_>, cx: &Context<'_>, obj: &mut Obj<'_>) -> bool {
    let name = match setting.kind {
        SettingKind::Temperature => "temperature",
        SettingKind::TopP => "top_p",
        SettingKind::Seed => cx.target.quirks.seed,
        SettingKind::FrequencyPenalty => "frequency_penalty",
        SettingKind::PresencePenalty => "presence_penalty",
        SettingKind::LogitBias => "logit_bias",
        SettingKind::Logprobs => "logprobs",
        SettingKind::TopLogprobs if setting.value.get() == "0" => return true,
        SettingKind::TopLogprobs => "top_logprobs",
        SettingKind::State => return false,
        SettingKind::Metadata => "metadata",
        SettingKind::PromptCacheKey => "prompt_cache_key",
        SettingKind::SafetyIdentifier => "safety_identifier",
        SettingKind::Verbosity => "verbosity",
        SettingKind::Store => "store",
        // The vendor's own models answer with text.
        SettingKind::Modalities | SettingKind::Include => return setting.is_default(),
        SettingKind::User if !cx.refuses("user") => return user(setting, obj),
        SettingKind::User => "user",
        SettingKind::ServiceTier => return service_tier(setting, cx, obj),
        // Vendors refuse what they do not know: it goes to those alone that keep to OpenAI's own words.
        SettingKind::Other if is_retention(setting, cx.client) && cx.target.quirks.developer_role => RETENTION,
        SettingKind::TopK | SettingKind::Other => return false,
    };
    if cx.refuses(name) {
        return setting.is_default();
    }
    obj.raw(name, setting.value.get());
    true
}

fn user(setting: &Setting<'_>, obj: &mut Obj<'_>) -> bool {
    let Some(user) = setting.value.as_str() else { return setting.value.is_null() };
    obj.str("user", &opaque_user(&user));
    true
}

/// An end user's id in the length OpenAI takes: as opaque as before, and as stable.
pub(in crate::wire) fn opaque_user<'u>(user: &'u Str<'_>) -> Str<'u> {
    let text = user.text();
    match text.chars().count() <= USER_CHARS_MAX {
        true => user.reborrow(),
        false => Str::from_text(&hex::encode(Sha256::digest(text.as_bytes()))),
    }
}

/// The words of OpenAI's own formats and Anthropic's, where the vendor has the like; others' mean something else.
fn service_tier(setting: &Setting<'_>, cx: &Context<'_>, obj: &mut Obj<'_>) -> bool {
    let Some(tier) = setting.value.as_str() else { return false };
    let known = cx.target.quirks.service_tiers.iter().find(|(word, _)| tier.is(word));
    known.iter().for_each(|(_, own)| _ = obj.text("service_tier", own));
    known.is_some()
}
