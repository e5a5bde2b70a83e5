//! The models there are, and which of them cannot serve a request.

use super::Need;
use crate::wire::{Abilities, Thinking};

/// Pico-USD per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PricePerToken {
    pub input_pico_usd: u64,
    pub output_pico_usd: u64,
}

/// A model that may be chosen, as it stands at this moment. `None` is unknown.
#[derive(Debug, Clone)]
pub struct Candidate<'c> {
    /// `provider/model`.
    pub name: &'c str,
    pub abilities: Abilities,
    pub thinking: Thinking,
    /// Input and output together.
    pub context_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub price: Option<PricePerToken>,
    /// 0 to 100.
    pub quality: Option<u32>,
    pub available: bool,
    /// To the first token, as observed.
    pub ttft_ms: Option<u64>,
    /// Of a thousand requests, those that failed.
    pub error_rate_permille: u32,
}

/// What a model may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    Images,
    Audio,
    Documents,
    Tools,
    JsonSchema,
    Reasoning,
    ParallelTools,
    System,
}

/// Why a candidate cannot serve the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excluded {
    /// A rule narrows the choice to others.
    Rule,
    Unavailable,
    Lacks(Ability),
    /// The request needs more tokens in all than the model's context has.
    Context {
        most_tokens: u64,
    },
    /// The request asks for more output than the model gives.
    Output {
        most_tokens: u64,
    },
}

pub(super) fn exclusion(need: &Need, candidate: &Candidate<'_>) -> Option<Excluded> {
    if !candidate.available {
        return Some(Excluded::Unavailable);
    }
    let lacks = needed(need, candidate).find(|(ability, has)| *has == Some(false) && !can_be_made_up_for(*ability));
    if let Some((ability, _)) = lacks {
        return Some(Excluded::Lacks(ability));
    }
    let all_tokens = need.input_tokens.saturating_add(need.output_tokens);
    let context = candidate.context_tokens.filter(|most| all_tokens > *most);
    let output = candidate.max_output_tokens.filter(|most| need.output_tokens > *most);
    match (context, output) {
        (Some(most_tokens), _) => Some(Excluded::Context { most_tokens }),
        (None, Some(most_tokens)) => Some(Excluded::Output { most_tokens }),
        (None, None) => None,
    }
}

/// The abilities that the request needs, and whether the candidate has them.
pub(super) fn needed(need: &Need, candidate: &Candidate<'_>) -> impl Iterator<Item = (Ability, Option<bool>)> {
    let can = candidate.abilities;
    let reasons = match candidate.thinking {
        Thinking::Unknown => None,
        Thinking::None => Some(false),
        Thinking::Budget | Thinking::Adaptive => Some(true),
    };
    let all = [
        (need.images, Ability::Images, can.images),
        (need.audio, Ability::Audio, can.audio),
        (need.documents, Ability::Documents, can.documents),
        (need.tools, Ability::Tools, can.tools),
        (need.json_schema, Ability::JsonSchema, can.json_schema),
        (need.reasoning, Ability::Reasoning, reasons),
        (need.parallel_tools, Ability::ParallelTools, can.parallel_tools),
        (need.system, Ability::System, can.system),
    ];
    all.into_iter().filter(|(needed, ..)| *needed).map(|(_, ability, has)| (ability, has))
}

/// The bridge keeps the meaning of these for a model without them: calls come one after the other,
/// instructions are told as a user's.
fn can_be_made_up_for(ability: Ability) -> bool {
    matches!(ability, Ability::ParallelTools | Ability::System)
}
