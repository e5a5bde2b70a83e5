//! A request asked again of another model, to go on with an answer that broke in the middle.
//!
//! The request is the client's own with what it has got so far as the last message. Some models go on
//! from there by themselves; others are told to ([`Prefill`]). An answer that was thinking still is
//! asked for anew.
//!
//! Refused: several answers at once, and answers in a form (JSON), which no two models build alike.

mod prefill;

pub use prefill::{Mark, Prefill};

use super::ir::{At, Output, Part, PartKind, Request, Role, Turn};
use super::json::Str;
use super::stream::Said;
use super::{Dialect, Target};
use crate::error::{Error, Kind, Result};

const INSTRUCTION: &str = "Continue exactly where your last message stops, without repeating anything. \
    Begin with a space if a new word begins there.";
/// Some APIs refuse a lower bound of the output.
const LEAST_TOKENS: u64 = 16;

/// Makes a request one for the rest of its answer. Gives back how its body is to be marked, once it is
/// written.
///
/// # Errors
/// What is asked for cannot be put together of two answers.
pub fn request(request: &mut Request<'_>, said: &Said, upstream: Dialect, target: &Target<'_>) -> Result<Option<Mark>> {
    if request.choices.is_some_and(|n| n > 1) || !matches!(request.output, Output::Text) {
        let message = "an answer of several choices, or in a given form, cannot go on at another model";
        return Err(Error::new(Kind::NotExpressible, message));
    }
    if said.told().is_empty() {
        return Ok(None);
    }
    append(request, Role::Assistant, said.told());
    match Prefill::of(upstream, target) {
        // Claude does not think about an answer that is begun.
        Prefill::Native if upstream != Dialect::Gemini => request.reasoning = None,
        Prefill::Native => {}
        Prefill::Instructed => append(request, Role::User, INSTRUCTION),
    }
    bound(request, said);
    Ok(target.quirks.prefill.filter(|_| upstream == Dialect::OpenAiChat))
}

/// Takes what was said off the bound of the output, which also has to hold the thinking.
fn bound(request: &mut Request<'_>, said: &Said) {
    let budget = request.reasoning.as_ref().and_then(|reasoning| reasoning.budget_tokens).unwrap_or(0);
    let least = budget.saturating_add(LEAST_TOKENS);
    request.max_tokens = request.max_tokens.map(|most| most.saturating_sub(said.output_tokens()).max(least.min(most)));
}

/// Adds a text to the last turn if it is of this role, else as a turn. Nothing that is blank: no provider
/// takes that.
pub(in crate::wire) fn append(request: &mut Request<'_>, role: Role, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    let at = At::default();
    let part = Part::new(at, PartKind::Text { text: Str::from_text(text), citations: None });
    match request.turns.last_mut() {
        Some(last) if last.role == role => last.parts.push(part),
        _ => request.turns.push(Turn { role, at, parts: vec![part], name: None, rest: Vec::new() }),
    }
}

#[cfg(test)]
mod tests;
