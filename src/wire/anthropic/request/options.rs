//! How a request from another format is tuned for a model of this one: the bound of its output, its
//! thinking, its sampling.
//!
//! - `max_tokens` is required: the client's (at most the model's ceiling), else the ceiling, else
//!   8192 on top of the thinking.
//! - `reasoning_effort` becomes `output_config.effort` with adaptive thinking, or a budget: minimal
//!   1024, low 2048, medium 8192, high 16384, xhigh and max 32768. The budget leaves at least a
//!   quarter of the output to the answer; where less than 1024 remain there is no thinking.
//! - Thinking goes with neither a forced tool nor a prefilled answer, which win; nor with
//!   `temperature` other than 1, `top_k`, or `top_p` under 0.95, which are dropped.
//! - A budget asks that the turn whose calls are being answered begins with its thinking; where the
//!   client could not give it back, there is no thinking in this request.
//! - `temperature` ends at 1: above, 1 is sent and the member listed as dropped. `temperature` and
//!   `top_p` together are refused by Claude 4.1 and later: `top_p` is dropped.
//! - Models after 4.6 refuse `temperature`, `top_p` and `top_k`, and those from 5 on think unasked
//!   (seen 2026-11): there `reasoning_effort: none` becomes effort `low`.

use super::encode::DEFAULT_MAX_TOKENS;
use crate::wire::ir::{Dropped, Reasoning, Request, Setting, SettingKind, ToolChoice};
use crate::wire::json::{Obj, Str};
use crate::wire::{Target, Thinking};

const MIN_BUDGET_TOKENS: u64 = 1024;
/// Longer ids of users are refused.
const MOST_USER_ID_CHARS: usize = 256;

/// What is asked of the model.
#[derive(Debug)]
pub(in crate::wire) struct Tuning {
    pub(in crate::wire) max_tokens: u64,
    pub(in crate::wire) thinking: Thought,
    pub(in crate::wire) effort: Option<&'static str>,
}

/// What thinking depends on in a conversation.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct Conversation {
    /// The answer is begun by the client.
    pub(in crate::wire) prefilled: bool,
    /// The turn whose calls are being answered, if one is, begins with its thinking.
    pub(in crate::wire) kept_thinking: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Thought {
    Unsaid,
    Adaptive,
    Budget(u64),
}

impl Thought {
    pub(in crate::wire) fn encode(self, body: &mut Obj<'_>) {
        match self {
            Self::Unsaid => {}
            Self::Adaptive => _ = body.obj("thinking").text("type", "adaptive"),
            Self::Budget(tokens) => _ = body.obj("thinking").text("type", "enabled").num("budget_tokens", tokens),
        }
    }
}

/// Also for Claude where another format carries the conversation.
pub(in crate::wire) fn tune(
    request: &Request<'_>,
    target: &Target<'_>,
    conversation: Conversation,
    dropped: &mut Dropped,
) -> Tuning {
    let ceiling = target.max_output_tokens;
    let given = request.max_tokens.map(|tokens| ceiling.map_or(tokens, |ceiling| tokens.min(ceiling)));
    let max_tokens = given.or(ceiling).unwrap_or(DEFAULT_MAX_TOKENS);
    let plain = Tuning { max_tokens, thinking: Thought::Unsaid, effort: None };
    let Some(reasoning) = &request.reasoning else { return plain };
    if is_off(reasoning) {
        return quiet(plain, reasoning, target, dropped);
    }
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    let tuning = match target.thinking {
        _ if forced || conversation.prefilled => None,
        Thinking::Unknown | Thinking::None => None,
        Thinking::Adaptive => effort(reasoning, target.model).map(|effort| Tuning {
            thinking: Thought::Adaptive,
            effort: Some(effort),
            max_tokens,
        }),
        Thinking::Budget if !conversation.kept_thinking => None,
        Thinking::Budget => budget(reasoning, given.or(ceiling)),
    };
    tuning.unwrap_or_else(|| {
        dropped.push(reasoning.name);
        plain
    })
}

fn is_off(reasoning: &Reasoning<'_>) -> bool {
    reasoning.disabled || reasoning.effort.as_ref().is_some_and(|effort| effort.is("none"))
}

/// No thinking wanted.
fn quiet(plain: Tuning, reasoning: &Reasoning<'_>, target: &Target<'_>, dropped: &mut Dropped) -> Tuning {
    if target.thinking != Thinking::Adaptive || !thinks_unasked(target.model) {
        return plain;
    }
    dropped.push(reasoning.name);
    Tuning { effort: Some("low"), ..plain }
}

/// The word for `output_config.effort`; `None` where the client's has no counterpart.
fn effort(reasoning: &Reasoning<'_>, model: &str) -> Option<&'static str> {
    let top = if is_generation_4_6(model) { "high" } else { "xhigh" };
    let Some(word) = &reasoning.effort else {
        return Some(match reasoning.budget_tokens {
            None | Some(4097..=12_288) => "medium",
            Some(0..=4096) => "low",
            Some(12_289..=24_576) => "high",
            Some(_) => top,
        });
    };
    match word.text().as_ref() {
        "minimal" | "low" => Some("low"),
        "medium" => Some("medium"),
        "high" => Some("high"),
        "xhigh" => Some(top),
        "max" => Some("max"),
        _ => None,
    }
}

fn budget(reasoning: &Reasoning<'_>, bound: Option<u64>) -> Option<Tuning> {
    let word = reasoning.effort.as_ref().map(Str::text);
    let wanted = match (reasoning.budget_tokens, word.as_deref()) {
        (Some(tokens), _) => tokens.max(MIN_BUDGET_TOKENS),
        (None, Some("minimal")) => MIN_BUDGET_TOKENS,
        (None, Some("low")) => 2048,
        (None, Some("medium") | None) => 8192,
        (None, Some("high")) => 16_384,
        (None, Some("xhigh" | "max")) => 32_768,
        (None, Some(_)) => return None,
    };
    let max_tokens = bound.unwrap_or_else(|| wanted.saturating_add(DEFAULT_MAX_TOKENS));
    let tokens = wanted.min(max_tokens - max_tokens / 4);
    let thinking = Thought::Budget(tokens);
    (tokens >= MIN_BUDGET_TOKENS && tokens < max_tokens).then_some(Tuning { max_tokens, thinking, effort: None })
}

fn is_generation_4_6(model: &str) -> bool {
    model.contains("-4-6") || model.contains("-4.6")
}

/// Whether the model takes `temperature` and its kin.
pub(in crate::wire) fn samples(target: &Target<'_>) -> bool {
    target.thinking != Thinking::Adaptive || is_generation_4_6(target.model)
}

/// Whether the model thinks unless told otherwise: the adaptive ones but those of generation 4.
fn thinks_unasked(model: &str) -> bool {
    !["-4-6", "-4.6", "-4-7", "-4.7", "-4-8", "-4.8"].iter().any(|generation| model.contains(generation))
}

/// Writes or drops every setting, one by one.
pub(super) fn encode(
    request: &Request<'_>,
    target: &Target<'_>,
    tuning: &Tuning,
    body: &mut Obj<'_>,
    dropped: &mut Dropped,
) {
    let mut user = None;
    let mut tempered = false;
    for setting in request.options.iter().filter(|setting| !setting.is_default()) {
        match setting.kind {
            SettingKind::Temperature if is_free(target, tuning) => {
                tempered = true;
                encode_temperature(setting, body, dropped);
            }
            SettingKind::TopK if is_free(target, tuning) => _ = body.raw("top_k", setting.value.get()),
            SettingKind::TopP => {}
            SettingKind::ServiceTier if setting.value.get() == "\"default\"" => {
                body.text("service_tier", "standard_only");
            }
            SettingKind::User | SettingKind::SafetyIdentifier if fits_user_id(setting) && user.is_none() => {
                user = Some(setting.value.get());
            }
            SettingKind::User | SettingKind::SafetyIdentifier if user == Some(setting.value.get()) => {}
            _ => dropped.push(&setting.name),
        }
    }
    let top_p = request.options.iter().filter(|s| s.kind == SettingKind::TopP && !s.is_default());
    top_p.for_each(|setting| encode_top_p(setting, tempered, target, tuning, body, dropped));
    user.iter().for_each(|user| _ = body.obj("metadata").raw("user_id", user));
}

/// Sampling may be steered freely.
fn is_free(target: &Target<'_>, tuning: &Tuning) -> bool {
    samples(target) && tuning.thinking == Thought::Unsaid
}

fn encode_temperature(setting: &Setting<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let is_hot = setting.value.get().parse::<f64>().is_ok_and(|temperature| temperature > 1.0);
    if is_hot {
        dropped.push(&setting.name);
    }
    body.raw("temperature", if is_hot { "1" } else { setting.value.get() });
}

fn encode_top_p(
    setting: &Setting<'_>,
    tempered: bool,
    target: &Target<'_>,
    tuning: &Tuning,
    body: &mut Obj<'_>,
    dropped: &mut Dropped,
) {
    let is_mild = setting.value.get().parse::<f64>().is_ok_and(|top_p| (0.95..=1.0).contains(&top_p));
    let is_taken = samples(target) && !tempered && (tuning.thinking == Thought::Unsaid || is_mild);
    match is_taken {
        true => _ = body.raw("top_p", setting.value.get()),
        false => dropped.push(&setting.name),
    }
}

fn fits_user_id(setting: &Setting<'_>) -> bool {
    setting.value.as_str().is_some_and(|id| !id.is_empty() && id.text().chars().count() <= MOST_USER_ID_CHARS)
}
