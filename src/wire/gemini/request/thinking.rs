//! `thinkingConfig`: a budget for Gemini 2.5, a level from 3 on
//! (<https://ai.google.dev/gemini-api/docs/thinking>).
//!
//! - An effort is the budget that Google's own OpenAI-format endpoint makes of it: minimal and low
//!   1,024, medium 8,192, high 24,576. As a level it is the word, where the model has it: Pro knows no
//!   `minimal`, and 3 Pro only `low` and `high`.
//! - Thinking cannot be turned off on 2.5 Pro and from 3 on: there the least is asked for, and who wanted none
//!   is told so.
//! - Thoughts are shown wherever another format's client asks for thinking.

use crate::wire::ir::{Dropped, Reasoning};
use crate::wire::json::{Json, Obj, Str};
use crate::wire::lenient::{read, text};
use crate::wire::{Target, Thinking};
use crate::wire_object;

pub(super) const NAME: &str = "generationConfig.thinkingConfig";

wire_object! {
    struct Fields<'a> {
        show: Json<'a> = "includeThoughts" | "include_thoughts",
        budget: Json<'a> = "thinkingBudget" | "thinking_budget",
        level: Json<'a> = "thinkingLevel" | "thinking_level",
    }
}

/// Reads a `thinkingConfig`.
pub(super) fn decode(raw: Json<'_>) -> Option<Reasoning<'_>> {
    let fields: Fields<'_> = read(Some(raw))?;
    let level = text(fields.level).map(|level| level.text().to_ascii_lowercase());
    let effort = level.filter(|level| level != "thinking_level_unspecified").map(|level| Str::from_text(&level));
    let budget: Option<i64> = fields.budget.and_then(|raw| raw.get().trim_matches('"').parse().ok());
    Some(Reasoning {
        name: NAME,
        effort,
        budget_tokens: budget.and_then(|budget| u64::try_from(budget).ok()).filter(|budget| *budget > 0),
        adaptive: budget.is_some_and(|budget| budget < 0),
        disabled: budget == Some(0),
        summary: fields.show.filter(|show| show.get() == "true").map(|_| Str::from_text("auto")),
        rest: fields.rest,
    })
}

/// The major version of a Gemini; `None` for a name without one (`gemini-flash-latest`) and for other
/// models.
pub(super) fn generation(model: &str) -> Option<u32> {
    let (_, tail) = model.split_once("gemini-")?;
    let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
    tail.get(..digits)?.parse().ok()
}

/// Whether it is a Gemini from 3 on, as far as its name says.
pub(super) fn is_3_or_later(model: &str) -> bool {
    model.contains("gemini") && generation(model).is_none_or(|generation| generation >= 3)
}

/// Whether its name says that it is an older one.
pub(super) fn is_before_3(model: &str) -> bool {
    generation(model).is_some_and(|generation| generation < 3)
}

/// Writes the `thinkingConfig` of a request that came in this format.
pub(super) fn encode_own(reasoning: &Reasoning<'_>, config: &mut Obj<'_>) {
    let mut it = config.obj("thinkingConfig");
    match (reasoning.disabled, reasoning.adaptive, reasoning.budget_tokens) {
        (true, ..) => _ = it.num("thinkingBudget", 0),
        (_, true, _) => _ = it.raw("thinkingBudget", "-1"),
        (.., Some(tokens)) => _ = it.num("thinkingBudget", tokens),
        _ => {}
    }
    reasoning.effort.iter().for_each(|effort| _ = it.str("thinkingLevel", effort));
    if reasoning.summary.is_some() {
        it.bool("includeThoughts", true);
    }
    it.rest(&reasoning.rest);
}

/// What a model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// As much as it likes.
    Dynamic,
    Budget(u64),
    Level(&'static str),
}

/// Writes the wish of a request from another format.
pub(super) fn encode(reasoning: &Reasoning<'_>, target: &Target<'_>, config: &mut Obj<'_>, dropped: &mut Dropped) {
    for (name, _) in &reasoning.rest {
        dropped.push(format_args!("{}.{name}", reasoning.name));
    }
    let off = reasoning.disabled || reasoning.effort.as_ref().is_some_and(|effort| effort.is("none"));
    let thinks = target.thinking != Thinking::None && generation(target.model).is_none_or(|g| g >= 2);
    if !thinks {
        if !off {
            dropped.push(reasoning.name);
        }
        return;
    }
    let wish = if is_3_or_later(target.model) {
        level(reasoning, target.model, off)
    } else {
        budget(reasoning, target.model, off)
    };
    let Some(wish) = wish else { return dropped.push(reasoning.name) };
    if off && wish != Wish::Budget(0) {
        dropped.push(reasoning.name);
    }
    let mut it = config.obj("thinkingConfig");
    match wish {
        Wish::Dynamic => {}
        Wish::Budget(tokens) => _ = it.num("thinkingBudget", tokens),
        Wish::Level(level) => _ = it.text("thinkingLevel", level),
    }
    if !off {
        it.bool("includeThoughts", true);
    }
}

fn level(reasoning: &Reasoning<'_>, model: &str, off: bool) -> Option<Wish> {
    let is_pro = model.contains("pro");
    let least = if is_pro { "low" } else { "minimal" };
    let medium = if model.contains("gemini-3-pro") { "high" } else { "medium" };
    if off {
        return Some(Wish::Level(least));
    }
    let word = reasoning.effort.as_ref().map(Str::text);
    Some(Wish::Level(match (word.as_deref(), reasoning.budget_tokens) {
        (Some("minimal"), _) => least,
        (Some("low"), _) => "low",
        (Some("medium"), _) => medium,
        (Some("high" | "xhigh" | "max"), _) => "high",
        (Some(_), _) => return None,
        (None, None) => return Some(Wish::Dynamic),
        (None, Some(0..4_096)) => "low",
        (None, Some(4_096..16_384)) => medium,
        (None, Some(_)) => "high",
    }))
}

fn budget(reasoning: &Reasoning<'_>, model: &str, off: bool) -> Option<Wish> {
    // The least and the most a model takes (seen 2026-11).
    let (least, most) = match () {
        () if model.contains("pro") => (128, 32_768),
        () if model.contains("lite") => (512, 24_576),
        () => (0, 24_576),
    };
    if off {
        return Some(Wish::Budget(if least == 128 { least } else { 0 }));
    }
    let word = reasoning.effort.as_ref().map(Str::text);
    let tokens: u64 = match (word.as_deref(), reasoning.budget_tokens) {
        (_, Some(tokens)) => tokens,
        (None, None) => return Some(Wish::Dynamic),
        (Some("minimal" | "low"), _) => 1_024,
        (Some("medium"), _) => 8_192,
        (Some("high"), _) => 24_576,
        (Some("xhigh" | "max"), _) => most,
        (Some(_), _) => return None,
    };
    Some(Wish::Budget(tokens.clamp(least, most)))
}
