//! Who goes on with a last message of the assistant's, and how it is marked.
//!
//! - Claude does up to 4.5; from 4.6 on it refuses one: "This model does not support assistant message
//!   prefill" (<https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-6>, 2026-11),
//!   on every cloud. Neither does it go with a budget for thinking.
//! - Gemini does up to 3.1; some after it refuse "requests ending with a model turn" (reported
//!   2026-07), so all of them are told.
//! - Servers of OpenAI's format do where the message is marked ([`Mark`], from their references).
//! - OpenAI's own models answer such a message anew, and Cohere's too.

use crate::error::Result;
use crate::wire::envelope::Envelope;
use crate::wire::splice::Splice;
use crate::wire::{Dialect, Quirks, Target};

/// How a model is brought to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefill {
    /// It goes on with the last message.
    Native,
    /// It is told to, in one more message.
    Instructed,
}

/// How servers of OpenAI's format are told that the last message is the beginning of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `prefix: true` in it.
    Prefix,
    /// `continue_final_message: true` beside the messages.
    ContinueFinalMessage,
}

impl Prefill {
    pub fn of(upstream: Dialect, target: &Target<'_>) -> Self {
        let is_native = match upstream {
            Dialect::OpenAiChat => target.quirks.prefill.is_some(),
            Dialect::Anthropic | Dialect::Converse => claude_goes_on(target.model),
            Dialect::Gemini => gemini_goes_on(target.model),
            Dialect::Responses | Dialect::Cohere => false,
        };
        if is_native { Self::Native } else { Self::Instructed }
    }

    /// Whether a conversation that ends with the assistant is refused.
    pub fn is_refused_by(model: &str) -> bool {
        model.contains("claude") && !claude_goes_on(model)
    }

    /// What the user says behind such an end, where it is not the gateway that goes on: to models that take
    /// no beginning of an answer the assistant's turn is one like any other.
    pub const GO_ON: &'static str = "Continue.";

    /// Whether the answer repeats what it was begun with, however short.
    pub fn echoes(quirks: &Quirks) -> bool {
        quirks.prefill == Some(Mark::Prefix)
    }
}

impl Mark {
    /// Marks the last message of a request's body.
    ///
    /// # Errors
    /// The body is no request.
    pub fn write(self, body: &[u8]) -> Result<Vec<u8>> {
        let envelope = Envelope::parse(body)?;
        let mut splice = Splice::new(&envelope);
        match self {
            Self::Prefix => {
                let last = envelope.present("messages").and_then(|messages| messages.strip_suffix("}]"));
                last.iter().for_each(|open| splice.set("messages", format!("{open},\"prefix\":true}}]")));
            }
            Self::ContinueFinalMessage => {
                splice.set("continue_final_message", "true");
                splice.set("add_generation_prompt", "false");
            }
        }
        Ok(splice.write())
    }
}

/// By the numbers of its version: `claude-3-7-sonnet-20250219`, `eu.anthropic.claude-opus-4-5-v1:0`.
fn claude_goes_on(model: &str) -> bool {
    let Some((_, name)) = model.rsplit_once("claude") else { return false };
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let mut numbers = words.filter(|word| word.len() <= 2).filter_map(|word| word.parse::<u32>().ok());
    numbers.next().is_some_and(|major| (major, numbers.next().unwrap_or(0)) < (4, 6))
}

fn gemini_goes_on(model: &str) -> bool {
    ["gemini-1.", "gemini-2.", "gemini-3-", "gemini-3.1-"].iter().any(|generation| model.contains(generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_by_their_generation() {
        for model in [
            "claude-3-haiku-20240307",
            "claude-3-7-sonnet-latest",
            "claude-sonnet-4-20250514",
            "claude-opus-4@20250514",
            "claude-opus-4-1-20250805",
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "claude-haiku-4-5",
        ] {
            assert!(claude_goes_on(model), "{model}");
        }
        for model in [
            "claude-opus-4-6",
            "us.anthropic.claude-opus-4-8",
            "claude-sonnet-5",
            "claude-fable-5",
            "kimi-k2",
            "claude",
        ] {
            assert!(!claude_goes_on(model), "{model}");
            assert_eq!(Prefill::is_refused_by(model), model.contains("claude"), "{model}");
        }
        assert!(gemini_goes_on("gemini-2.5-flash") && gemini_goes_on("gemini-3-pro-preview"));
        assert!(!gemini_goes_on("gemini-3.5-flash-lite") && !gemini_goes_on("gemini-flash-latest"));
    }

    #[test]
    fn marks_stand_where_servers_look_for_them() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"}]"}]}"#;
        let marked = |mark: Mark| String::from_utf8(mark.write(body).unwrap()).unwrap();
        assert!(marked(Mark::Prefix).ends_with(r#"{"role":"assistant","content":"}]","prefix":true}]}"#));
        let beside = r#"],"continue_final_message":true,"add_generation_prompt":false}"#;
        assert!(marked(Mark::ContinueFinalMessage).ends_with(beside));
    }
}
