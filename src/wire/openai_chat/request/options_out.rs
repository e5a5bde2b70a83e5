//! A meaning to the request a chat upstream takes: how hard to think, and the settings.

use sha2::{Digest as _, Sha256};

use crate::wire::Thinking;
use crate::wire::ir::{Dropped, Reasoning, Request, Setting, SettingKind};
use crate::wire::json::{Obj, Str};

use super::encode::Context;
use super::quiet;

/// Longest `user` OpenAI takes; Claude Code's is longer.
const USER_CHARS_MAX: usize = 64;

/// Budgets below these are low and medium effort; any above is high.
const LOW_BELOW_TOKENS: u64 = 4_096;
const MEDIUM_BELOW_TOKENS: u64 = 16_384;

/// Writes how hard to think.
pub(super) fn reasoning(request: &Request<'_>, cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    let Some(reasoning) = &request.reasoning else { return };
    if cx.same {
        return same_format(reasoning, cx, obj, dropped);
    }
    for (name, _) in &reasoning.rest {
        dropped.push(format_args!("{}.{name}", reasoning.name));
    }
    if reasoning.disabled {
        if cx.target.quirks.reasoning_effort {
            quiet::effort(reasoning, cx.target, dropped).iter().for_each(|word| _ = obj.text("reasoning_effort", word));
        }
        return;
    }
    let Some(effort) = effort(reasoning) else { return };
    if cx.target.quirks.reasoning_effort && cx.target.thinking != Thinking::None {
        obj.str("reasoning_effort", &effort);
    } else {
        dropped.push(reasoning.name);
    }
}

/// An effort in OpenAI's words. None where the model is to decide, which is what it does unasked.
fn effort<'r>(reasoning: &'r Reasoning<'_>) -> Option<Str<'r>> {
    if let Some(effort) = &reasoning.effort {
        let beyond = effort.is("max") || effort.is("xhigh");
        return Some(if beyond { Str::from_text("high") } else { effort.reborrow() });
    }
    let budget = reasoning.budget_tokens?;
    Some(Str::from_text(match budget {
        _ if budget < LOW_BELOW_TOKENS => "low",
        _ if budget < MEDIUM_BELOW_TOKENS => "medium",
        _ => "high",
    }))
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
        } else if !foreign(setting, obj) {
            dropped.push(&setting.name);
        }
    }
    if !cx.same && request.implies_logprobs() {
        obj.bool("logprobs", true);
    }
}

/// Writes a setting that came in another format; says whether chat has it.
fn foreign(setting: &Setting<'_>, obj: &mut Obj<'_>) -> bool {
    let name = match setting.kind {
        SettingKind::Temperature => "temperature",
        SettingKind::TopP => "top_p",
        SettingKind::Seed => "seed",
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
        SettingKind::Modalities => return setting.wants_images() == Some(false),
        SettingKind::User => return user(setting, obj),
        SettingKind::ServiceTier => return service_tier(setting, obj),
        SettingKind::TopK | SettingKind::Other => return false,
    };
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

fn service_tier(setting: &Setting<'_>, obj: &mut Obj<'_>) -> bool {
    let Some(tier) = setting.value.as_str() else { return false };
    match &*tier.text() {
        "standard_only" => _ = obj.text("service_tier", "default"),
        // The words of OpenAI's own formats; others' mean something else.
        "auto" | "default" | "flex" | "priority" => _ = obj.str("service_tier", &tier),
        _ => return false,
    }
    true
}
