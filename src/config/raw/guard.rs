//! `guards`.

use schemars::{Schema, json_schema};

use crate::config::guards::{Shape, Side};
use crate::config::read::{At, Period, Scalar, SecretText, one_of, settings};
use crate::guard::{Action, Kind};

settings! {
    /// What is looked for in texts, and what is done where it is found. Holds for whom it is named at:
    /// a tenant, a key or a route; all that apply to a request are applied.
    Guard in "a guard" {
        /// What it knows by itself: `secrets`, `cards`, `iban`, `email`, `phone`, `national_ids`,
        /// `injection`.
        kinds: Vec<At<KindWord>> = "[]",
        /// Words and phrases, whole ones, in any case.
        words: Vec<At<String>> = "[]",
        /// Regular expressions. A hit is at most 256 bytes long.
        patterns: Vec<At<String>> = "[]",
        /// Answers that were asked for as JSON have to be JSON, and as the schema of the request says where it
        /// has one. Which way `on` says is of no matter for this.
        schema: bool = "false",
        /// An answer that is not that is mended where it only stands among other words, and else the model is
        /// told what is wrong with it and asked once more, before anything is done.
        repair: bool = "false",
        /// A service that is asked about the text, as a POST of JSON. Only its host is ever shown.
        url: SecretText,
        /// What the service speaks. `weir`: `{"text"}` and `{"action", "spans"}`. `openai`: that of OpenAI's
        /// moderations. `presidio`: that of the Presidio analyzer. `llama_guard`: chat completions, in which a
        /// model says `safe` or `unsafe`.
        format: ShapeWord = "weir",
        /// The model that is asked, of `llama_guard`. Without `url` this gateway asks it (`provider/model`, or a route;
        /// also `openai`): the caller who is guarded pays for it, and need not be allowed to use it otherwise.
        model: String,
        /// Sent to the service as a bearer token.
        key: SecretText,
        /// How long the service has.
        timeout: Period = "2s",
        /// What becomes of what could not be judged, because the service did not answer in time or the schema
        /// cannot be used: `closed`, it does not pass; `open`, it does.
        on_error: OnErrorWord = "closed",
        /// Which way: `input` is what goes to the model, `output` what it answers. A service does not look
        /// at streams: who asks for one is refused where it looks at answers. Default: `input`.
        on: Vec<At<SideWord>> = "[]",
        /// What is done: `allow` only counts, `flag` also says so in the answer's head, `mask` puts a
        /// placeholder in its place, which is undone in the answer, `block` lets nothing pass.
        action: ActionWord = "block",
        /// What a client is told where it blocks. Default: that the guard blocked it, by its name.
        message: String,
    }
}

/// One of `kinds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindWord(pub Kind);

const KINDS: [(&str, Kind); Kind::NAMED.len()] = {
    let mut words = [("", Kind::Secrets); Kind::NAMED.len()];
    let mut at = 0;
    while at < words.len() {
        #[expect(clippy::indexing_slicing, reason = "a constant, of that length")]
        {
            words[at] = (Kind::NAMED[at].as_str(), Kind::NAMED[at]);
        }
        at += 1;
    }
    words
};

impl Scalar for KindWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &KINDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": KINDS.map(|(word, _)| word)})
    }
}

/// `action`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionWord(pub Action);

impl Scalar for ActionWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &Action::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": Action::WORDS.map(|(word, _)| word)})
    }
}

/// One of `on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideWord(pub Side);

const SIDES: [(&str, Side); 2] = [("input", Side::Input), ("output", Side::Output)];

impl Scalar for SideWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &SIDES).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": SIDES.map(|(word, _)| word)})
    }
}

/// `format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeWord(pub Shape);

impl Scalar for ShapeWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &Shape::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": Shape::WORDS.map(|(word, _)| word)})
    }
}

/// `on_error`: whether a text passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnErrorWord(pub bool);

const ON_ERROR: [(&str, bool); 2] = [("open", true), ("closed", false)];

impl Scalar for OnErrorWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &ON_ERROR).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": ON_ERROR.map(|(word, _)| word)})
    }
}
