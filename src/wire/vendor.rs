//! What a vendor of OpenAI's formats takes of a request where that differs by model, or where its body is a
//! closed list. Data: see `provider/`.

use super::ir::{Reasoning, Request, ToolChoice};
use super::json::Str;
use super::openai_chat::request::thinker::Thinker;
use super::{Quirks, Target};

/// Budgets below these are low and medium effort; any above is high.
const LOW_BELOW_TOKENS: u64 = 4_096;
const MEDIUM_BELOW_TOKENS: u64 = 16_384;

/// Models, by the beginnings of their names. The maker before a name (`qwen/`) does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Models {
    pub names: &'static [&'static str],
    /// Names that hold one of these are not meant.
    pub except: &'static [&'static str],
}

impl Models {
    /// Every model.
    pub const ALL: Self = Self::named(&[""]);

    /// Those that begin so.
    pub const fn named(names: &'static [&'static str]) -> Self {
        Self { names, except: &[] }
    }

    /// Whether a model is among them.
    pub fn hold(&self, model: &str) -> bool {
        let name = model.rsplit('/').next().unwrap_or_default();
        let begins = self.names.iter().any(|begin| name.starts_with(begin));
        begins && !self.except.iter().any(|word| name.contains(word))
    }
}

/// Members of OpenAI's format with which a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub models: Models,
    pub members: &'static [&'static str],
}

/// The words for an effort that models take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Efforts {
    pub models: Models,
    /// From the least on; none where no effort is taken.
    pub words: &'static [&'static str],
    /// They think, also where no effort is taken.
    pub think: bool,
}

impl Efforts {
    /// Of models that are told how hard to think.
    pub const fn words(models: Models, words: &'static [&'static str]) -> Self {
        Self { models, words, think: true }
    }

    /// Of models that take no effort.
    pub const fn none(models: Models, think: bool) -> Self {
        Self { models, words: &[], think }
    }

    /// The word nearest to the one that is wished for, of two as near the lesser. Who wishes for some thinking
    /// gets some: `none` is near to nothing else.
    pub fn nearest(&self, wish: &str) -> Option<&'static str> {
        let thinking = self.words.iter().filter(|word| rank(word) > 0);
        let far = |word: &&&str| (rank(word).abs_diff(rank(wish)), rank(word));
        thinking.min_by_key(far).copied()
    }
}

fn rank(word: &str) -> u8 {
    match word {
        "none" => 0,
        "minimal" => 1,
        "low" => 2,
        "high" => 4,
        "xhigh" => 5,
        "max" => 6,
        // `medium`, and Groq's `default`.
        _ => 3,
    }
}

impl Quirks {
    /// Whether a model refuses a request that has this member.
    pub fn refuses(&self, model: &str, member: &str) -> bool {
        self.refused.iter().any(|refused| refused.members.contains(&member) && refused.models.hold(model))
    }

    /// What is known of the efforts a model takes: the first that is said of it.
    pub fn efforts(&self, model: &str) -> Option<&'static Efforts> {
        self.efforts.iter().find(|efforts| efforts.models.hold(model))
    }
}

/// How hard to think, as a word; `None` where the model is to decide, which is what it does unasked.
pub(in crate::wire) fn wish<'r>(reasoning: &'r Reasoning<'_>) -> Option<Str<'r>> {
    if let Some(effort) = &reasoning.effort {
        return Some(effort.reborrow());
    }
    Some(Str::from_text(match reasoning.budget_tokens? {
        budget if budget < LOW_BELOW_TOKENS => "low",
        budget if budget < MEDIUM_BELOW_TOKENS => "medium",
        _ => "high",
    }))
}

/// A wish in the words that the target takes, if it takes any.
pub(in crate::wire) fn effort<'w>(wish: Str<'w>, target: &Target<'_>) -> Option<Str<'w>> {
    match target.quirks.efforts(target.model) {
        Some(efforts) => efforts.nearest(&wish.text()).map(Str::from_text),
        None => match Thinker::of(target.model) {
            Some(thinker) => thinker.nearest(&wish.text()).map(Str::from_text),
            None if wish.is("max") || wish.is("xhigh") => Some(Str::from_text("high")),
            None => Some(wish),
        },
    }
}

/// Whether a call is forced: a model that thinks may refuse that.
pub(in crate::wire) fn forces_call(request: &Request<'_>) -> bool {
    matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) && !request.tools.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_by_how_their_names_begin() {
        let models = Models { names: &["grok-4", "qwen3"], except: &["non-reasoning"] };
        for (model, expected) in [
            ("grok-4-0709", true),
            ("x-ai/grok-4.7", true),
            ("qwen/qwen3-32b", true),
            ("grok-4-fast-non-reasoning", false),
            ("my-grok-4", false),
        ] {
            assert_eq!(models.hold(model), expected, "{model}");
        }
        assert!(Models::ALL.hold("any"));
    }

    #[test]
    fn the_nearest_word_is_never_no_thinking() {
        let nearest = |words, wish| Efforts::words(Models::ALL, words).nearest(wish);
        assert_eq!(nearest(&["none", "high"], "minimal"), Some("high"));
        assert_eq!(nearest(&["none", "default"], "high"), Some("default"));
        assert_eq!(nearest(&["low", "high"], "medium"), Some("low"));
        assert_eq!(nearest(&["low", "medium", "high", "max"], "xhigh"), Some("high"));
        assert_eq!(nearest(&["low", "medium", "high", "max"], "max"), Some("max"));
        assert_eq!(nearest(&["low", "medium", "high"], "minimal"), Some("low"));
        assert_eq!(nearest(&[], "low"), None);
    }
}
