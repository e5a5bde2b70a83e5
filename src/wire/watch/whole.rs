//! Answers that came whole.

use super::tell::Amend;
use super::{MODEL, gemini as told, model_of, says_error, tier, tier_of};
use crate::error::Error;
use crate::usage::tokens::{Advice, Usage};
use crate::wire::{
    Dialect, Quirks, anthropic, cohere, converse, decode_error_event, gemini, openai_chat, responses, scan,
};

/// What accounting needs of an answer that came whole.
#[derive(Debug)]
pub struct Whole {
    /// `None`: the upstream did not say.
    pub usage: Option<Usage>,
    /// As far as the answer says.
    pub service_tier: Option<String>,
    /// The same.
    pub model: Option<String>,
    /// What other models used that this one asked by itself.
    pub advice: Vec<Advice>,
    /// An error inside a 200.
    pub error: Option<Error>,
    /// What it lacks of its counts.
    pub amend: Option<Amend>,
}

/// Reads a whole answer without building anything of it; `None`: it is not JSON.
pub fn whole(dialect: Dialect, body: &str, quirks: &Quirks) -> Option<Whole> {
    let [usage_at, x_groq, choices] = openai_chat::usage::PLACES;
    let [_, tools] = responses::usage::PLACES;
    let names = [usage_at, tools, x_groq, choices, "error", "object", "speed", "service_tier", MODEL, told::MODEL];
    let [counts, tools, x_groq, choices, error, object, speed, tier_beside, model, model_version] =
        scan::several_of_all(body, names)?;
    let mut advice = Vec::new();
    let mut amend = None;
    let usage = match dialect {
        // Zeros beside a text are not what it used.
        Dialect::OpenAiChat => openai_chat::usage::at(counts, x_groq, choices, quirks).filter(|usage| {
            *usage != Usage::default()
                || !openai_chat::response::decode(body, quirks).is_ok_and(|it| it.usage.is_none())
        }),
        Dialect::Anthropic => counts.and_then(|json| {
            let merged = anthropic::usage::merged(json);
            advice = merged.advice().to_vec();
            merged.usage()
        }),
        Dialect::Responses => {
            let usage = responses::usage::at(counts, tools);
            amend = usage.and_then(|_| Amend::of(body, counts?));
            usage.or_else(|| responses::usage::in_body(body, quirks))
        }
        Dialect::Gemini => gemini::usage::in_body(body, quirks),
        Dialect::Converse => converse::usage::in_body(body, quirks),
        Dialect::Cohere => cohere::usage::in_body(body, quirks),
    };
    let is_error = error.is_some_and(says_error) || object == Some("\"error\"");
    let error = (usage.is_none() && is_error).then(|| decode_error_event(dialect, body));
    // One that broke off half-way may have been counted all the same.
    let error =
        error.or_else(|| choices.filter(|_| dialect == Dialect::OpenAiChat).and_then(openai_chat::response::broken));
    // Anthropic names it beside its counts, OpenAI beside the answer.
    let service_tier = match dialect {
        Dialect::Gemini => gemini::usage::tier_in_body(body),
        Dialect::Converse => converse::usage::tier_in_body(body),
        _ => tier_of(speed, tier_beside).or_else(|| tier(counts?)),
    };
    let model = match dialect {
        Dialect::Gemini => model_of(model_version),
        Dialect::Converse | Dialect::Cohere => None,
        Dialect::OpenAiChat | Dialect::Anthropic | Dialect::Responses => model_of(model),
    };
    Some(Whole { usage, service_tier, model, advice, error, amend })
}
