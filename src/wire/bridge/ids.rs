//! Ids of calls as the target takes them: one that it refuses is replaced, in calls and results alike,
//! by one made of its hash. Answers need no way back: their ids are the target's own.
//!
//! What is refused where (seen 2026-11): OpenAI over 40 bytes, Responses and Bedrock over 64, Mistral
//! all but nine letters or digits. Anthropic's letters are its encoder's affair, which makes ids
//! unique as well.

use sha2::{Digest as _, Sha256};

use super::state;
use crate::wire::ir::{PartKind, Request};
use crate::wire::json::Str;
use crate::wire::{Dialect, scan};

/// What a target takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Any,
    BytesMax(usize),
    /// Letters, digits, `_`, `.`, `:` and `-`, 64 at most.
    Bedrock,
    /// Exactly nine letters or digits.
    Nine,
}

impl Rule {
    pub(super) const fn of(upstream: Dialect, short: bool) -> Self {
        match upstream {
            Dialect::OpenAiChat if short => Self::Nine,
            Dialect::OpenAiChat => Self::BytesMax(40),
            Dialect::Responses => Self::BytesMax(64),
            Dialect::Converse => Self::Bedrock,
            Dialect::Anthropic | Dialect::Gemini | Dialect::Cohere => Self::Any,
        }
    }

    fn takes(self, id: &str) -> bool {
        let all = |fits: fn(char) -> bool| id.chars().all(fits);
        match self {
            Self::Any => true,
            Self::BytesMax(most) => id.len() <= most,
            Self::Bedrock => (1..=64).contains(&id.len()) && all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c)),
            Self::Nine => id.len() == 9 && all(|c| c.is_ascii_alphanumeric()),
        }
    }

    fn made(self, id: &str) -> String {
        let hash = Sha256::digest(id);
        match self {
            Self::Nine => {
                const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
                let letter = |byte: u8| LETTERS.get(usize::from(byte) % LETTERS.len()).copied().map_or('0', char::from);
                hash.into_iter().take(9).map(letter).collect()
            }
            _ => format!("call_{}", state::hex::<12>(hash)),
        }
    }
}

/// Replaces the ids that the target refuses; says whether there were any.
pub(super) fn fit(request: &mut Request<'_>, rule: Rule) -> bool {
    let mut is_changed = false;
    if rule == Rule::Any {
        return is_changed;
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let PartKind::ToolCall { id, .. } | PartKind::ToolResult { id, .. } = &mut part.kind {
            let made = {
                let text = id.text();
                (!rule.takes(&text)).then(|| rule.made(&text))
            };
            if let Some(made) = made {
                *id = Str::from_text(&made);
                is_changed = true;
            }
        }
    }
    is_changed
}

/// Whether a body of Gemini's format may have ids on its calls. Cheap, and never wrong with `false`
/// (but for members whose names are escaped, which nobody writes).
pub(super) fn may_be_on_functions(body: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(body, text).is_some();
    has(b"\"id\"") && has(b"\"function")
}

/// Whether a chat request may hold an id that a target with short ones refuses: never wrong with
/// `false`.
pub(super) fn may_be_long(body: &[u8]) -> bool {
    const MEMBER: &[u8] = b"\"tool_call_id\"";
    memchr::memmem::find_iter(body, MEMBER).any(|at| {
        let rest = scan::blank(body.get(at + MEMBER.len()..).unwrap_or_default());
        let rest = scan::blank(rest.strip_prefix(b":").unwrap_or_default());
        let id = rest.strip_prefix(b"\"").and_then(|rest| rest.get(..10));
        !id.is_some_and(|id| id.ends_with(b"\"") && id.iter().take(9).all(u8::is_ascii_alphanumeric))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_or_made_anew_and_always_the_same() {
        let rule = Rule::of(Dialect::OpenAiChat, true);
        assert!(rule.takes("abcdef123") && !rule.takes("call_1234") && !rule.takes("abc"));
        for id in ["", "call_1", "toolu_01A09q90qw90lq917835lq9"] {
            let made = rule.made(id);
            assert!(rule.takes(&made), "{made}");
            assert_eq!(made, rule.made(id));
        }
        assert_ne!(rule.made("call_1"), rule.made("call_2"));
        let long = "x".repeat(80);
        for upstream in [Dialect::OpenAiChat, Dialect::Responses, Dialect::Converse] {
            let rule = Rule::of(upstream, false);
            assert!(rule.takes("call_abc") && !rule.takes(&long) && rule.takes(&rule.made(&long)), "{upstream:?}");
        }
        assert!(!Rule::Bedrock.takes("a b") && !Rule::Bedrock.takes(""));
    }

    #[test]
    fn long_ids_are_seen_in_a_body() {
        let body = |id: &str| may_be_long(format!(r#"{{"a":1,"tool_call_id" : "{id}"}}"#).as_bytes());
        assert!(!body("abcdef123") && !may_be_long(b"{}"));
        assert!(body("call_1") && body("call_1234") && body("abcdef1234") && may_be_long(br#"{"tool_call_id":7}"#));
    }
}
