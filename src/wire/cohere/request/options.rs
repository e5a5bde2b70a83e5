//! What is said of an answer beside the conversation: its length, sampling, thinking.
//!
//! Values beyond what is taken become the nearest that is, and are named (seen 2026-11, by the
//! reference): `temperature` up to 1, `p` from 0.01 to 0.99, `k` up to 500, one of the penalties, from
//! 0 to 1, five stop sequences. Thinking is on or off, within a budget; models that think do so unless
//! told otherwise. An effort is the budget that other formats make of it, a high one has none.

use super::encode::Context;
use crate::wire::ir::{Dropped, Reasoning, Request, Setting, SettingKind};
use crate::wire::json::{Obj, Str};
use crate::wire::{Target, Thinking};

const MOST_STOPS: usize = 5;

/// Writes it all; what cannot be said is dropped.
pub(super) fn encode(request: &Request<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    if let Some(most) = request.max_tokens {
        let ceiling = cx.target.max_output_tokens.filter(|_| !cx.same);
        body.num("max_tokens", ceiling.map_or(most, |ceiling| most.min(ceiling)));
    }
    stop(request, cx.same, body, dropped);
    if let Some(reasoning) = &request.reasoning {
        thinking(reasoning, cx, body, dropped);
    }
    for setting in &request.options {
        match cx.same {
            true => _ = body.raw(&setting.name, setting.value.get()),
            false => foreign(setting, request, body, dropped),
        }
    }
}

fn stop(request: &Request<'_>, same: bool, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let taken = if same { request.stop.iter().collect() } else { request.stops(MOST_STOPS, dropped) };
    if !taken.is_empty() {
        let mut list = body.arr("stop_sequences");
        taken.into_iter().for_each(|stop| _ = list.raw(stop.raw()));
    }
}

/// Whether a model thinks, as far as it is known.
pub(super) fn thinks(target: &Target<'_>) -> bool {
    match target.thinking {
        Thinking::None => false,
        Thinking::Budget | Thinking::Adaptive => true,
        Thinking::Unknown => ["reasoning", "command-a-plus"].iter().any(|word| target.model.contains(word)),
    }
}

fn thinking(reasoning: &Reasoning<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    if cx.same {
        let mut it = body.obj("thinking");
        it.text("type", if reasoning.disabled { "disabled" } else { "enabled" });
        reasoning.budget_tokens.iter().for_each(|tokens| _ = it.num("token_budget", *tokens));
        it.rest(&reasoning.rest);
        return;
    }
    for (name, _) in &reasoning.rest {
        dropped.push(format_args!("{}.{name}", reasoning.name));
    }
    let off = reasoning.disabled || reasoning.effort.as_ref().is_some_and(|effort| effort.is("none"));
    let word = reasoning.effort.as_ref().map(Str::text);
    let budget = match (word.as_deref(), reasoning.budget_tokens) {
        (_, Some(tokens)) => Some(tokens.max(1)),
        (Some("minimal" | "low"), _) => Some(1_024),
        (Some("medium"), _) => Some(8_192),
        _ => None,
    };
    match (thinks(cx.target), off) {
        (true, true) => _ = body.obj("thinking").text("type", "disabled"),
        (true, false) => {
            let mut it = body.obj("thinking");
            it.text("type", "enabled");
            budget.iter().for_each(|tokens| _ = it.num("token_budget", *tokens));
        }
        // What does not think when not told to needs no word for it.
        (false, true) => {}
        (false, false) => dropped.push(reasoning.name),
    }
}

/// A setting of another format's.
fn foreign(setting: &Setting<'_>, request: &Request<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let value = setting.value.get();
    if says_nothing(setting) {
        return;
    }
    match setting.kind {
        SettingKind::Temperature => bounded("temperature", ("0", "1"), setting, body, dropped),
        // All of the probability is the most there is.
        SettingKind::TopP if value.parse() == Ok(1.0) => _ = body.raw("p", "0.99"),
        SettingKind::TopP => bounded("p", ("0.01", "0.99"), setting, body, dropped),
        SettingKind::TopK => bounded("k", ("0", "500"), setting, body, dropped),
        SettingKind::Seed => _ = body.raw("seed", value),
        SettingKind::FrequencyPenalty => bounded("frequency_penalty", ("0", "1"), setting, body, dropped),
        SettingKind::PresencePenalty if !is_set(request, SettingKind::FrequencyPenalty) => {
            bounded("presence_penalty", ("0", "1"), setting, body, dropped);
        }
        SettingKind::Logprobs if value == "true" => _ = body.bool("logprobs", true),
        _ => dropped.push(&setting.name),
    }
}

fn is_set(request: &Request<'_>, kind: SettingKind) -> bool {
    request.options.iter().any(|setting| setting.kind == kind && !says_nothing(setting))
}

/// Writes a number, or the nearest that is taken.
fn bounded(name: &str, (least, most): (&str, &str), setting: &Setting<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let number = |text: &str| text.parse::<f64>().ok();
    let Some(value) = number(setting.value.get()) else { return dropped.push(&setting.name) };
    let (low, high) = (number(least).is_some_and(|least| value < least), number(most).is_some_and(|most| value > most));
    if low || high {
        dropped.push(&setting.name);
    }
    body.raw(
        name,
        if low {
            least
        } else if high {
            most
        } else {
            setting.value.get()
        },
    );
}

/// Whether a setting says no more than its absence.
fn says_nothing(setting: &Setting<'_>) -> bool {
    let value = setting.value.get();
    match setting.kind {
        _ if value == "null" => true,
        SettingKind::FrequencyPenalty | SettingKind::PresencePenalty => value.parse() == Ok(0.0),
        SettingKind::Logprobs | SettingKind::Store => value == "false",
        SettingKind::TopLogprobs => value == "0",
        SettingKind::Modalities => setting.wants_images() == Some(false),
        SettingKind::LogitBias | SettingKind::Metadata => value == "{}",
        SettingKind::ServiceTier => matches!(value, "\"auto\"" | "\"default\"" | "\"standard_only\""),
        SettingKind::Include => setting.is_default(),
        _ => false,
    }
}
