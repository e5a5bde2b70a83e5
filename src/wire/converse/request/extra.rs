//! What is said of an answer beside the conversation: its length, sampling, thinking, tier.
//!
//! `inferenceConfig` has what all models take, `additionalModelRequestFields` what only some do, in
//! their own words (seen 2026-11):
//! - Claude: `thinking`, `output_config.effort`, `top_k` and `tool_choice.disable_parallel_tool_use`, by
//!   the rules of Anthropic's own format
//! - Nova: `inferenceConfig.topK`; from its second generation `reasoningConfig`, whose effort `high` goes
//!   with neither `maxTokens` nor `temperature` nor `topP`
//! - OpenAI's models: `reasoning_effort`; Qwen: `reasoning_config`; Mistral: `top_k`

use super::encode::Serial;
use super::turns::Arranged;
use crate::wire::anthropic::request::{Conversation, Thought, Tuning, samples, tune};
use crate::wire::converse::model::{self, Family, family};
use crate::wire::ir::{Dropped, Reasoning, Request, Setting, SettingKind};
use crate::wire::json::{Obj, Raw, Str};
use crate::wire::{Dialect, Target};
use crate::wire_object;

/// Where a client of this same format had a member.
const ADDITIONAL: &str = "additionalModelRequestFields.";
const INFERENCE: &str = "inferenceConfig.";

/// What is asked of the model, by its family.
#[derive(Debug)]
pub(super) struct Plan<'p> {
    family: Family,
    max_tokens: Option<u64>,
    thinking: Thought,
    effort: Option<&'static str>,
    temperature: Option<&'p str>,
    top_p: Option<&'p str>,
    top_k: Option<&'p str>,
}

/// Decides it all; what cannot be asked for is dropped.
pub(super) fn plan<'p>(
    request: &'p Request<'_>,
    target: &Target<'_>,
    arranged: &Arranged<'_>,
    dropped: &mut Dropped,
) -> Plan<'p> {
    let family = family(target.model);
    let ceiling = target.max_output_tokens;
    let given = request.max_tokens.map(|tokens| ceiling.map_or(tokens, |ceiling| tokens.min(ceiling)));
    let (max_tokens, thinking, effort) = match family {
        Family::Claude => claude(given, request, target, arranged, dropped),
        _ => (given, Thought::Unsaid, effort(family, request, dropped)),
    };
    let mut plan = Plan { family, max_tokens, thinking, effort, temperature: None, top_p: None, top_k: None };
    plan.sample(request, target, dropped);
    plan
}

fn claude(
    given: Option<u64>,
    request: &Request<'_>,
    target: &Target<'_>,
    arranged: &Arranged<'_>,
    dropped: &mut Dropped,
) -> (Option<u64>, Thought, Option<&'static str>) {
    let conversation =
        Conversation { prefilled: arranged.is_prefilled(), kept_thinking: arranged.may_think_by_budget() };
    let Tuning { max_tokens, thinking, effort } = tune(request, target, conversation, dropped);
    // A budget needs a bound above it; else the model's own ceiling holds.
    let bound = matches!(thinking, Thought::Budget(_)).then_some(max_tokens);
    (given.and(Some(max_tokens)).or(bound), thinking, effort)
}

/// The word for how hard to think, of models other than Claude.
fn effort(family: Family, request: &Request<'_>, dropped: &mut Dropped) -> Option<&'static str> {
    let reasoning = request.reasoning.as_ref()?;
    let off = reasoning.disabled || reasoning.effort.as_ref().is_some_and(|effort| effort.is("none"));
    let word = match reasoning.effort.as_ref().map(Str::text).as_deref() {
        _ if off => None,
        Some("minimal" | "low") => Some("low"),
        Some("medium") => Some("medium"),
        Some("high" | "xhigh" | "max") => Some("high"),
        Some(_) => None,
        None => Some(by_budget(reasoning)),
    };
    let bounded = request.max_tokens.is_some()
        || request.options.iter().any(|o| matches!(o.kind, SettingKind::Temperature | SettingKind::TopP));
    match (family, word) {
        (Family::Nova2, Some("high")) if bounded => {
            dropped.push(reasoning.name);
            Some("medium")
        }
        (Family::Nova2 | Family::OpenAi | Family::Qwen, Some(word)) => Some(word),
        // What does not think when not told to needs no word for it.
        (_, None) if off => None,
        _ => {
            dropped.push(reasoning.name);
            None
        }
    }
}

fn by_budget(reasoning: &Reasoning<'_>) -> &'static str {
    match reasoning.budget_tokens {
        Some(0..=4096) => "low",
        None | Some(4097..=12_288) => "medium",
        Some(_) => "high",
    }
}

impl<'p> Plan<'p> {
    fn sample(&mut self, request: &'p Request<'_>, target: &Target<'_>, dropped: &mut Dropped) {
        let claude = self.family == Family::Claude;
        let free = !claude || (samples(target) && self.thinking == Thought::Unsaid);
        let said = |kind| {
            let mut settings = request.options.iter().filter(move |setting| setting.kind == kind);
            settings.rfind(|setting| !says_nothing(setting, self.family))
        };
        let (temperature, top_p, top_k) =
            (said(SettingKind::Temperature), said(SettingKind::TopP), said(SettingKind::TopK));
        if let Some(setting) = temperature {
            let hot = setting.value.get().parse::<f64>().is_ok_and(|value| value > 1.0);
            if hot || !free {
                dropped.push(&setting.name);
            }
            self.temperature = free.then_some(if hot { "1" } else { setting.value.get() });
        }
        if let Some(setting) = top_p {
            let mild = setting.value.get().parse::<f64>().is_ok_and(|value| (0.95..=1.0).contains(&value));
            let taken = !claude || (samples(target) && self.temperature.is_none() && (free || mild));
            match taken {
                true => self.top_p = Some(setting.value.get()),
                false => dropped.push(&setting.name),
            }
        }
        if let Some(setting) = top_k {
            let known = matches!(self.family, Family::Claude | Family::Nova | Family::Nova2 | Family::Mistral);
            match known && free {
                true => self.top_k = Some(setting.value.get()),
                false => dropped.push(&setting.name),
            }
        }
    }

    /// Writes `inferenceConfig`.
    pub(super) fn inference(&self, request: &Request<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
        let takes = model::stops(self.family) || request.dialect == Dialect::Converse;
        let visible = |s: &&Str<'_>| takes && !s.is_blank();
        let stop: Vec<&Str<'_>> = request.stop.iter().filter(visible).collect();
        if stop.len() < request.stop.len() {
            dropped.push(request.stop_name());
        }
        let said = self.max_tokens.is_some() || self.temperature.is_some() || self.top_p.is_some() || !stop.is_empty();
        if !said {
            return;
        }
        let mut config = body.obj("inferenceConfig");
        self.max_tokens.iter().for_each(|tokens| _ = config.num("maxTokens", *tokens));
        self.temperature.iter().for_each(|value| _ = config.raw("temperature", value));
        self.top_p.iter().for_each(|value| _ = config.raw("topP", value));
        if !stop.is_empty() {
            let mut list = config.arr("stopSequences");
            stop.iter().for_each(|s| _ = list.raw(s.raw()));
        }
    }

    /// Writes or drops every other setting, one by one.
    pub(super) fn settings(&self, request: &Request<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
        let own = request.dialect == Dialect::Converse;
        let mut metadata = false;
        for setting in request.options.iter().filter(|setting| !says_nothing(setting, self.family)) {
            match setting.kind {
                SettingKind::Temperature | SettingKind::TopP | SettingKind::TopK => {}
                SettingKind::ServiceTier if tier(setting).is_some() => {
                    tier(setting).iter().for_each(|tier| _ = body.obj("serviceTier").text("type", tier));
                }
                SettingKind::Metadata if is_metadata(&setting.value) && !metadata => {
                    metadata = true;
                    body.raw("requestMetadata", setting.value.get());
                }
                _ if own && is_additional(setting) => {}
                _ if own && !setting.name.contains('.') => _ = body.raw(&setting.name, setting.value.get()),
                _ => dropped.push(&setting.name),
            }
        }
    }

    /// Writes `additionalModelRequestFields`.
    pub(super) fn additional(&self, request: &Request<'_>, serial: Serial, body: &mut Obj<'_>, dropped: &mut Dropped) {
        let mut fields = Vec::new();
        let mut o = Obj::new(&mut fields);
        match self.family {
            Family::Claude => {
                self.claude_thinking(request, &mut o, dropped);
                self.top_k.iter().for_each(|value| _ = o.raw("top_k", value));
            }
            Family::Nova | Family::Nova2 => {
                self.top_k.iter().for_each(|value| _ = o.obj("inferenceConfig").raw("topK", value));
                if let Some(effort) = self.effort {
                    o.obj("reasoningConfig").text("type", "enabled").text("maxReasoningEffort", effort);
                }
            }
            Family::OpenAi => self.effort.iter().for_each(|effort| _ = o.text("reasoning_effort", effort)),
            Family::Qwen => self.effort.iter().for_each(|effort| _ = o.text("reasoning_config", effort)),
            Family::Mistral => self.top_k.iter().for_each(|value| _ = o.raw("top_k", value)),
            Family::Llama | Family::Other | Family::Hidden => {}
        }
        self.one_by_one(request, serial, &mut o, dropped);
        for setting in request.options.iter().filter(|setting| is_additional(setting)) {
            if request.dialect == Dialect::Converse {
                o.raw(setting.name.strip_prefix(ADDITIONAL).unwrap_or_default(), setting.value.get());
            }
        }
        drop(o);
        if fields != b"{}" {
            body.key("additionalModelRequestFields").extend_from_slice(&fields);
        }
    }

    fn claude_thinking(&self, request: &Request<'_>, o: &mut Obj<'_>, dropped: &mut Dropped) {
        let reasoning = request.reasoning.as_ref();
        let members = reasoning.map(|reasoning| &reasoning.rest).into_iter().flatten();
        let own = matches!(request.dialect, Dialect::Anthropic | Dialect::Converse);
        match self.thinking {
            Thought::Adaptive if own => {
                let mut thinking = o.obj("thinking");
                thinking.text("type", "adaptive");
                members.for_each(|(name, value)| _ = thinking.raw(name, value.get()));
            }
            thought => {
                let name = reasoning.map_or("thinking", |reasoning| reasoning.name);
                members.for_each(|(member, _)| dropped.push(format_args!("{name}.{member}")));
                thought.encode(o);
            }
        }
        self.effort.iter().for_each(|effort| _ = o.obj("output_config").text("effort", effort));
    }

    /// Asks for one call at a time. Where `toolChoice` forces a call, a second `type` is refused.
    fn one_by_one(&self, request: &Request<'_>, serial: Serial, o: &mut Obj<'_>, dropped: &mut Dropped) {
        match (serial, self.family) {
            (Serial::Unsaid, _) => {}
            (serial, Family::Claude) => {
                let mut choice = o.obj("tool_choice");
                if serial == Serial::Free {
                    choice.text("type", "auto");
                }
                choice.bool("disable_parallel_tool_use", true);
            }
            _ => dropped.push(match request.dialect {
                Dialect::Anthropic => "tool_choice.disable_parallel_tool_use",
                _ => "parallel_tool_calls",
            }),
        }
    }
}

fn is_additional(setting: &Setting<'_>) -> bool {
    setting.kind == SettingKind::Other && setting.name.starts_with(ADDITIONAL)
}

/// Whether a setting says no more than its absence. What Claude samples with unasked, others do not.
fn says_nothing(setting: &Setting<'_>, family: Family) -> bool {
    let sampling = matches!(setting.kind, SettingKind::Temperature | SettingKind::TopP);
    let own = setting.name.starts_with(INFERENCE);
    match sampling && (own || family != Family::Claude) {
        true => setting.value.is_null(),
        false => setting.is_default(),
    }
}

/// This format's word for a service tier.
fn tier(setting: &Setting<'_>) -> Option<&'static str> {
    match setting.value.as_str()?.text().as_ref() {
        "default" | "standard_only" => Some("default"),
        "flex" => Some("flex"),
        "priority" => Some("priority"),
        "reserved" => Some("reserved"),
        _ => None,
    }
}

wire_object! {
    struct Pairs<'a> {}
}

/// Whether an object of texts keeps to the rules for `requestMetadata`: at most 16, each up to 256
/// characters of a few kinds.
fn is_metadata(value: &Raw<'_>) -> bool {
    let fits = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c);
        text.len() <= 256 && text.chars().all(plain)
    };
    let pair = |(name, value): &(std::borrow::Cow<'_, str>, Raw<'_>)| {
        !name.is_empty() && fits(name) && value.as_str().is_some_and(|value| fits(&value.text()))
    };
    let pairs = value.read::<Pairs<'_>>();
    pairs.is_some_and(|pairs| (1..=16).contains(&pairs.rest.len()) && pairs.rest.iter().all(pair))
}
