//! OpenAI's own models that think, told by their names: the words for an effort that each takes, and what
//! it refuses to be told (<https://platform.openai.com/docs/guides/reasoning>, seen 2026-11).
//!
//! - `none` is taken from GPT-5.1 on, `minimal` by GPT-5 alone, `xhigh` from GPT-5.1-Codex-Max and GPT-5.2
//!   on, `max` from GPT-5.6 on. Codex and the o models cannot do without, Pro and chat have few words.
//! - Unasked GPT-5.1 to 5.4 do not think (openai-responses of `gpt-5.4-2026-03-05`), all others do
//!   (of `gpt-5.6-sol`).
//! - While they think they take no `temperature`, `top_p`, `logprobs` (openai-responses-043004ea45a9, seen
//!   2025-08) and, but for the first of them, no `stop` (openai-chat_completions with `o3-mini`). Without
//!   an effort `gpt-5.4` takes `logprobs`, `gpt-5.4-nano` a temperature.
//! - Penalties and biases they never take.

use crate::wire::Target;
use crate::wire::ir::{Dropped, Reasoning, Request, SettingKind};
use crate::wire::json::Str;
use crate::wire::vendor::{self, Efforts, Models};

use super::quiet;

/// What is known of a model that thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct Thinker {
    /// The words it takes for an effort, from the least on.
    pub(in crate::wire) words: &'static [&'static str],
    /// It thinks where nothing is said.
    unasked: bool,
    /// It takes stop sequences while it thinks.
    stops: bool,
}

impl Thinker {
    /// By the name of a model; `None` for those that do not think, and other vendors'.
    pub(in crate::wire) fn of(model: &str) -> Option<Self> {
        // Some vendors put the maker before the name.
        let name = model.rsplit('/').next().unwrap_or_default();
        if name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            let stops = name.starts_with("o1") || name.starts_with("o3-mini");
            return Some(Self { words: words_of_o(name), unasked: true, stops });
        }
        let generation = generation(name.strip_prefix("gpt-")?)?;
        let is_other = ["-search", "-image"].iter().any(|kind| name.contains(kind));
        if generation < (5, 0) || is_other || generation == (5, 0) && name.contains("-chat") {
            return None;
        }
        let words = words_of_gpt(name, generation);
        let unasked = !words.contains(&"none") || generation >= (5, 5);
        Some(Self { words, unasked, stops: false })
    }

    /// The word nearest to a wish.
    pub(in crate::wire) fn nearest(self, wish: &str) -> Option<&'static str> {
        Efforts::words(Models::ALL, self.words).nearest(wish)
    }

    /// Whether it thinks about a request of another format's client.
    fn thinks(self, reasoning: Option<&Reasoning<'_>>, target: &Target<'_>) -> bool {
        let told = match reasoning {
            Some(reasoning) if reasoning.disabled => {
                quiet::effort(reasoning, target, &mut Dropped::default()).map(Str::from_text)
            }
            Some(reasoning) => vendor::wish(reasoning).and_then(|wish| vendor::effort(wish, target)),
            None => None,
        };
        told.map_or(self.unasked, |effort| !effort.is("none"))
    }
}

fn words_of_o(name: &str) -> &'static [&'static str] {
    let is = |kinds: &[&str]| kinds.iter().any(|kind| name.contains(kind));
    match () {
        () if is(&["o1-mini", "o1-preview"]) => &[],
        () if is(&["-deep-research"]) => &["medium"],
        () => &["low", "medium", "high"],
    }
}

fn words_of_gpt(name: &str, generation: (u32, u32)) -> &'static [&'static str] {
    static ALL: [&str; 6] = ["none", "low", "medium", "high", "xhigh", "max"];
    let most = match generation {
        (5, ..=1) if name.contains("-codex-max") => 4,
        (5, ..=1) => 3,
        (5, ..=5) => 4,
        _ => 5,
    };
    let from = |least: usize| ALL.get(least..=most).unwrap_or_default();
    match generation {
        _ if name.contains("-chat") => &["medium"],
        (5, 0) if name.contains("-pro") => &["high"],
        _ if name.contains("-pro") => from(2),
        _ if name.contains("-codex") => from(1),
        (5, 0) => &["minimal", "low", "medium", "high"],
        _ => from(0),
    }
}

/// `5.1-codex` is of 5.1, `5-mini` of 5.0.
fn generation(rest: &str) -> Option<(u32, u32)> {
    let number = rest.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What a target refuses to be told by clients of other formats. Those of its own say what they mean.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::wire) struct Refusals {
    can_think: bool,
    thinks: bool,
    pub(in crate::wire) stops: bool,
}

impl Refusals {
    pub(in crate::wire) fn of(request: &Request<'_>, target: &Target<'_>) -> Self {
        let Some(thinker) = Thinker::of(target.model) else { return Self::default() };
        let thinks = thinker.thinks(request.reasoning.as_ref(), target);
        Self { can_think: true, thinks, stops: thinks && !thinker.stops }
    }

    /// Whether a setting is one.
    pub(in crate::wire) fn have(self, kind: SettingKind) -> bool {
        match kind {
            SettingKind::FrequencyPenalty | SettingKind::PresencePenalty | SettingKind::LogitBias => self.can_think,
            SettingKind::Temperature | SettingKind::TopP | SettingKind::Logprobs | SettingKind::TopLogprobs => {
                self.thinks
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_words() {
        let words = |model: &str| Thinker::of(model).map(|thinker| thinker.words.join(" "));
        for (model, expected) in [
            ("gpt-5-mini", "minimal low medium high"),
            ("openai/gpt-5-nano-2025-08-07", "minimal low medium high"),
            ("gpt-5-codex", "low medium high"),
            ("gpt-5-pro", "high"),
            ("gpt-5.1", "none low medium high"),
            ("gpt-5.1-chat-latest", "medium"),
            ("gpt-5.1-codex-mini", "low medium high"),
            ("gpt-5.1-codex-max", "low medium high xhigh"),
            ("gpt-5.2-2025-12-11", "none low medium high xhigh"),
            ("gpt-5.2-pro", "medium high xhigh"),
            ("gpt-5.3-codex", "low medium high xhigh"),
            ("gpt-5.6-sol", "none low medium high xhigh max"),
            ("gpt-6-luna", "none low medium high xhigh max"),
            ("o4-mini-2025-04-16", "low medium high"),
            ("o3-deep-research", "medium"),
            ("o1-mini", ""),
        ] {
            assert_eq!(words(model).as_deref(), Some(expected), "{model}");
        }
        for model in
            ["gpt-5-chat-latest", "gpt-4o", "gpt-oss-120b", "gpt-5-search-api", "gpt-image-1", "olmo-2", "my-gpt-5"]
        {
            assert_eq!(words(model), None, "{model}");
        }
    }

    #[test]
    fn the_nearest_word_is_one_that_the_model_takes() {
        let nearest = |model: &str, wish| Thinker::of(model).unwrap().nearest(wish);
        assert_eq!(nearest("gpt-5.1", "minimal"), Some("low"));
        assert_eq!((nearest("gpt-5", "max"), nearest("gpt-5.4", "max")), (Some("high"), Some("xhigh")));
        assert_eq!((nearest("gpt-5.6", "max"), nearest("gpt-5.4", "xhigh")), (Some("max"), Some("xhigh")));
        assert_eq!((nearest("gpt-5-pro", "low"), nearest("o1-mini", "low")), (Some("high"), None));
    }
}
