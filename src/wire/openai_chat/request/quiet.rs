//! No thinking wanted: models of OpenAI's that think unless told otherwise are told the least they take
//! (<https://platform.openai.com/docs/guides/reasoning>, seen 2026-11).
//!
//! - From GPT-5.1 on `none` is taken; GPT-5 takes `minimal` as the least, its Codex and the o models `low`
//!   ([`Thinker`]).
//! - Models of other vendors take what their vendor's record says ([`Efforts`]).
//! - Those that take one effort only (GPT-5 Pro, chat, deep research) and the first o1 models are told nothing.

use crate::wire::ir::{Dropped, Reasoning};
use crate::wire::vendor::Efforts;
use crate::wire::{Target, Thinking};

use super::thinker::Thinker;

/// What a model takes for no thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Least {
    /// It does not think, or not unasked, as far as its name says.
    Unsaid,
    Off,
    /// It thinks, however little.
    Word(&'static str),
    /// As much as it likes.
    All,
}

/// The effort to ask for where none is wanted, if one is to be asked for. What is more than none is named
/// as dropped.
pub(in crate::wire) fn effort(
    reasoning: &Reasoning<'_>,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Option<&'static str> {
    let least = match target.quirks.efforts(target.model) {
        _ if target.thinking == Thinking::None => Least::Unsaid,
        Some(efforts) => least_of(efforts),
        None => least(target.model),
    };
    if matches!(least, Least::Word(_) | Least::All) {
        dropped.push(reasoning.name);
    }
    match least {
        Least::Unsaid | Least::All => None,
        Least::Off => Some("none"),
        Least::Word(word) => Some(word),
    }
}

/// The same where the vendor says what its models take.
fn least_of(efforts: &Efforts) -> Least {
    match efforts.words.first() {
        Some(&"none") => Least::Off,
        Some(word) => Least::Word(word),
        None if efforts.think => Least::All,
        None => Least::Unsaid,
    }
}

fn least(model: &str) -> Least {
    match Thinker::of(model).map(|thinker| thinker.words) {
        None => Least::Unsaid,
        Some([] | [_]) => Least::All,
        Some(["none", ..]) => Least::Off,
        Some([word, ..]) => Least::Word(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_is_told_the_least_it_takes() {
        for (model, expected) in [
            ("gpt-5-mini", Least::Word("minimal")),
            ("openai/gpt-5-nano-2025-08-07", Least::Word("minimal")),
            ("gpt-5-codex", Least::Word("low")),
            ("gpt-5-pro", Least::All),
            ("gpt-5.1-chat-latest", Least::All),
            ("gpt-5.1", Least::Off),
            ("gpt-5.4-mini", Least::Off),
            ("gpt-6-luna", Least::Off),
            ("o3", Least::Word("low")),
            ("o4-mini-2025-04-16", Least::Word("low")),
            ("o3-deep-research", Least::All),
            ("gpt-4o", Least::Unsaid),
            ("gpt-oss-120b", Least::Unsaid),
            ("olmo-2", Least::Unsaid),
            ("my-deployment", Least::Unsaid),
        ] {
            assert_eq!(least(model), expected, "{model}");
        }
    }
}
