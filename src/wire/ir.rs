//! The intermediate form: what a request, an answer and a stream *mean*, borrowed from the bytes
//! they came in.
//!
//! Not one vendor's shape. Decoders fill it, encoders read it; what an encoder cannot express goes
//! on the [`Dropped`] list in the client's own spelling, which is why every element knows where it
//! stood ([`At`]) and keeps the members nobody has a field for (`rest`).

use std::borrow::Cow;

pub use super::dropped::{At, Dropped};
use super::json::{Raw, Rest, Str};
pub use super::media::{Media, data_url};
use super::{Dialect, scan};
use crate::usage::tokens::Usage;

/// A generation request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The format it came in: members of `rest` go back out only to the same one.
    pub dialect: Dialect,
    pub model: Str<'a>,
    pub stream: bool,
    /// The client asked for usage at the end of its stream (always true where the format has it
    /// unasked).
    pub stream_usage: bool,
    /// Instructions before the first turn.
    pub system: Vec<Part<'a>>,
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// `false`: at most one call per answer.
    pub parallel_tools: Option<bool>,
    /// Most output tokens, reasoning included.
    pub max_tokens: Option<u64>,
    pub stop: Vec<Str<'a>>,
    /// Number of answers wanted.
    pub choices: Option<u64>,
    pub reasoning: Option<Reasoning<'a>>,
    pub output: Output<'a>,
    /// Everything else that has a meaning in more than one format, and what has none here.
    pub options: Vec<Setting<'a>>,
}

impl Request<'_> {
    /// Whether the likeliest tokens are asked for in a format that has no word for log probabilities
    /// beside them, where others insist on it.
    pub fn implies_logprobs(&self) -> bool {
        let is = |kind| move |setting: &&Setting<'_>| setting.kind == kind;
        let most = self.options.iter().find(is(SettingKind::TopLogprobs)).and_then(|setting| setting.value.as_u64());
        most.is_some_and(|most| most > 0) && !self.options.iter().any(|setting| is(SettingKind::Logprobs)(&setting))
    }
}

/// A top-level member that some targets have and others don't. An encoder goes through all of them
/// once, so none can be forgotten: what it does not write it drops by name.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    pub kind: SettingKind,
    /// The client's spelling (`max_completion_tokens`, `metadata.user_id`).
    pub name: Cow<'a, str>,
    pub value: Raw<'a>,
}

impl Setting<'_> {
    /// What answers are made of, if they are text and pictures: whether pictures are among it.
    pub fn wants_images(&self) -> Option<bool> {
        let words = self.value.read::<Vec<Str<'_>>>()?;
        let is = |word: &Str<'_>, known: &str| word.text().eq_ignore_ascii_case(known);
        let are_known = words.iter().all(|word| is(word, "text") || is(word, "image"));
        are_known.then(|| words.iter().any(|word| is(word, "image")))
    }

    /// Whether it says no more than its absence, by OpenAI's defaults and Anthropic's.
    pub fn is_default(&self) -> bool {
        let value = self.value.get();
        let number = || value.parse::<f64>().ok();
        match self.kind {
            _ if value == "null" => true,
            SettingKind::FrequencyPenalty | SettingKind::PresencePenalty | SettingKind::TopLogprobs => {
                number() == Some(0.0)
            }
            SettingKind::Temperature | SettingKind::TopP => number() == Some(1.0),
            SettingKind::Logprobs | SettingKind::Store => value == "false",
            SettingKind::LogitBias | SettingKind::Metadata => value == "{}",
            SettingKind::Modalities => self.wants_images() == Some(false),
            SettingKind::ServiceTier => value == "\"auto\"",
            SettingKind::Verbosity => value == "\"medium\"",
            // Proofs of reasoning come back unasked.
            SettingKind::Include => matches!(value, "[]" | "[\"reasoning.encrypted_content\"]"),
            _ => false,
        }
    }
}

/// What a [`Setting`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    Temperature,
    TopP,
    TopK,
    Seed,
    FrequencyPenalty,
    PresencePenalty,
    LogitBias,
    /// `true` to get log probabilities.
    Logprobs,
    TopLogprobs,
    ServiceTier,
    /// An opaque id of the end user: OpenAI's `user`, Anthropic's `metadata.user_id`.
    User,
    /// OpenAI's `metadata` object (string to string).
    Metadata,
    PromptCacheKey,
    SafetyIdentifier,
    Verbosity,
    /// What answers are made of, as a list of words: text, pictures, sound.
    Modalities,
    Store,
    /// What of an answer is told beside it (Responses).
    Include,
    /// Refers to state that the provider keeps (`previous_response_id`, `conversation`): refused where
    /// the target is of another format.
    State,
    /// No meaning outside its own format.
    Other,
}

impl SettingKind {
    /// Whether its value is a number in every format that has it.
    pub fn is_number(self) -> bool {
        use SettingKind::{FrequencyPenalty, PresencePenalty, Seed, Temperature, TopK, TopLogprobs, TopP};
        matches!(self, Temperature | TopP | TopK | Seed | FrequencyPenalty | PresencePenalty | TopLogprobs)
    }
}

/// How hard to think.
#[derive(Debug, Clone, Default)]
pub struct Reasoning<'a> {
    /// The client's spelling of the member, for the dropped list.
    pub name: &'static str,
    /// `minimal`, `low`, `medium`, `high`, ... : an open set.
    pub effort: Option<Str<'a>>,
    pub budget_tokens: Option<u64>,
    /// The model decides how long.
    pub adaptive: bool,
    /// Explicitly off.
    pub disabled: bool,
    /// How thinking is shown (`auto`, `detailed`); most formats show what they have unasked.
    pub summary: Option<Str<'a>>,
    /// Members without a field (`display`).
    pub rest: Rest<'a>,
}

/// The form of the answer.
#[derive(Debug, Clone, Default)]
pub enum Output<'a> {
    #[default]
    Text,
    JsonObject,
    JsonSchema {
        name: Option<Str<'a>>,
        description: Option<Str<'a>>,
        schema: Raw<'a>,
        strict: Option<bool>,
    },
    /// A form only its own format knows; kept whole.
    Other(Raw<'a>),
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions, in mid-conversation.
    System,
    /// OpenAI's word for instructions to reasoning models.
    Developer,
    User,
    Assistant,
    /// Tool results, where the format gives them a role of their own.
    Tool,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    pub role: Role,
    pub at: At,
    pub parts: Vec<Part<'a>>,
    /// OpenAI's participant name.
    pub name: Option<Str<'a>>,
    pub rest: Rest<'a>,
}

/// One piece of a message.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    pub at: At,
    pub kind: PartKind<'a>,
    /// Anthropic's `cache_control`, whole.
    pub cache: Option<Raw<'a>>,
    pub rest: Rest<'a>,
    /// The item of a conversation that it is the first part of, in the format that has items, whole: there it goes
    /// on as it came.
    pub item: Option<Raw<'a>>,
}

impl<'a> Part<'a> {
    pub fn new(at: At, kind: PartKind<'a>) -> Self {
        Self { at, kind, cache: None, rest: Vec::new(), item: None }
    }
}

#[derive(Debug, Clone)]
pub enum PartKind<'a> {
    Text {
        text: Str<'a>,
        citations: Option<Raw<'a>>,
    },
    Image {
        media: Media<'a>,
        detail: Option<Str<'a>>,
    },
    Document {
        media: Media<'a>,
        title: Option<Str<'a>>,
        context: Option<Str<'a>>,
        citations: Option<Raw<'a>>,
    },
    Audio {
        media: Media<'a>,
        format: Option<Str<'a>>,
    },
    ToolCall {
        id: Str<'a>,
        name: Str<'a>,
        arguments: Arguments<'a>,
    },
    ToolResult {
        id: Str<'a>,
        content: Vec<Part<'a>>,
        is_error: bool,
    },
    /// Thinking, with whatever proves it to its maker.
    Reasoning {
        text: Str<'a>,
        signature: Option<Str<'a>>,
    },
    /// Thinking that only its maker can read.
    RedactedReasoning {
        data: Str<'a>,
    },
    /// OpenRouter's typed `reasoning_details`, whole: goes back as it came.
    ReasoningDetails {
        details: Raw<'a>,
    },
    Refusal {
        text: Str<'a>,
    },
    /// A type unknown here; goes out to its own format only.
    Other {
        tag: Str<'a>,
        json: Raw<'a>,
    },
}

/// Arguments of a call: an object in Anthropic's format, a string holding JSON in OpenAI's.
#[derive(Debug, Clone)]
pub enum Arguments<'a> {
    Object(Raw<'a>),
    Encoded(Str<'a>),
    /// Free text: the input of a [`ToolKind::Custom`].
    Text(Str<'a>),
}

impl Arguments<'_> {
    /// As a JSON value; nothing and an empty string are `{}`. Text that is not a JSON object (a call
    /// cut by the token limit) has no object form.
    pub fn object(&self) -> Option<Cow<'_, str>> {
        let is_object = |json: &str| json.trim_start().starts_with('{') && scan::is_json(json);
        match self {
            Self::Object(raw) => Some(Cow::Borrowed(raw.get())),
            Self::Encoded(s) => {
                let text = s.text();
                if text.trim().is_empty() {
                    return Some(Cow::Borrowed("{}"));
                }
                is_object(&text).then_some(text)
            }
            Self::Text(s) => Some(Cow::Owned(format!("{{\"input\":{}}}", s.raw()))),
        }
    }

    /// As the free text of a custom tool: where it had to be called as a function, its one argument.
    pub fn input(&self) -> Str<'static> {
        if let Self::Text(text) = self {
            return text.clone().into_owned();
        }
        let object = self.object();
        let wrapped = object.as_deref().and_then(|json| scan::member(json, "input")).and_then(Str::from_raw);
        match (wrapped, self) {
            (Some(input), _) => input.into_owned(),
            // The model did not keep to the form: what it wrote is what there is.
            (None, Self::Object(raw)) => Str::from_text(raw.get()),
            (None, Self::Encoded(text) | Self::Text(text)) => text.clone().into_owned(),
        }
    }

    /// As a string literal holding JSON; nothing is `"{}"`.
    pub fn encoded(&self) -> Cow<'_, str> {
        match self {
            Self::Object(raw) => Cow::Owned(Str::from_text(raw.get()).raw().to_owned()),
            Self::Encoded(s) if s.is_empty() => Cow::Borrowed("\"{}\""),
            Self::Encoded(s) => Cow::Borrowed(s.raw()),
            Self::Text(s) => {
                let object = format!("{{\"input\":{}}}", s.raw());
                Cow::Owned(Str::from_text(&object).raw().to_owned())
            }
        }
    }
}

/// A tool the model may call.
#[derive(Debug, Clone)]
pub struct Tool<'a> {
    pub at: At,
    pub kind: ToolKind<'a>,
    pub cache: Option<Raw<'a>>,
    pub rest: Rest<'a>,
    /// As [`Part::item`]: the tool, or the namespace that it is the first tool of.
    pub item: Option<Raw<'a>>,
}

#[derive(Debug, Clone)]
pub enum ToolKind<'a> {
    Function {
        name: Str<'a>,
        description: Option<Str<'a>>,
        schema: Option<Raw<'a>>,
        strict: Option<bool>,
    },
    /// Takes free text instead of JSON arguments (OpenAI's `custom` tools). Formats without such get
    /// a function with one member `input`: see [`super::bridge`].
    Custom {
        name: Str<'a>,
        description: Option<Str<'a>>,
        /// The grammar the text keeps to, whole.
        format: Option<Raw<'a>>,
    },
    /// Run by the provider, or of a type unknown here; goes out to its own format only.
    Other {
        tag: Str<'a>,
        json: Raw<'a>,
    },
}

#[derive(Debug, Clone)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    /// Some tool, any.
    Required,
    Named(Str<'a>),
    /// A form only its own format knows.
    Other(Raw<'a>),
}

/// An answer, whole.
#[derive(Debug, Clone, Default)]
pub struct Response<'a> {
    pub id: Option<Str<'a>>,
    pub model: Option<Str<'a>>,
    /// Unix seconds.
    pub created: Option<u64>,
    pub choices: Vec<Choice<'a>>,
    pub usage: Option<Usage>,
    pub service_tier: Option<Str<'a>>,
    pub rest: Rest<'a>,
}

#[derive(Debug, Clone)]
pub struct Choice<'a> {
    pub parts: Vec<Part<'a>>,
    pub stop: Option<Stop<'a>>,
    /// OpenAI's `logprobs`, whole.
    pub logprobs: Option<Raw<'a>>,
}

/// Why an answer ended.
#[derive(Debug, Clone)]
pub struct Stop<'a> {
    pub reason: StopReason,
    /// The sequence that stopped it, where the format says.
    pub sequence: Option<Str<'a>>,
    /// The provider's own word, for [`StopReason::Other`] and the log.
    pub native: Option<Str<'a>>,
}

impl Stop<'_> {
    pub fn of(reason: StopReason) -> Self {
        Self { reason, sequence: None, native: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    EndTurn,
    MaxTokens,
    StopSequence,
    ToolUse,
    /// The model refused, or a filter cut it.
    Refusal,
    /// A long turn was paused and may be continued.
    Pause,
    /// The prompt left no room.
    ContextFull,
    Other,
}

/// One event of a streamed answer. Decoders keep this grammar, encoders rely on it:
/// `Start (PartStart Delta* PartEnd | Usage | Ping)* Stop* Usage? End`, where
/// - `index` names a part for the length of the stream and is never used twice;
/// - parts of one choice may overlap only if they are tool calls;
/// - `Stop` comes once per choice, after the parts of that choice are closed;
/// - `Usage` is cumulative: the last one holds;
/// - `Error` may come anywhere and is the last event.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    Start {
        id: Option<Str<'a>>,
        model: Option<Str<'a>>,
        created: Option<u64>,
        usage: Option<Usage>,
        service_tier: Option<Str<'a>>,
    },
    PartStart {
        index: u32,
        choice: u32,
        part: PartStart<'a>,
    },
    Delta {
        index: u32,
        delta: Delta<'a>,
    },
    PartEnd {
        index: u32,
    },
    Usage(Usage),
    Stop {
        choice: u32,
        stop: Stop<'a>,
    },
    Error(crate::error::Error),
    Ping,
    /// The stream ended as its format says it should.
    End,
}

#[derive(Debug, Clone)]
pub enum PartStart<'a> {
    Text,
    Reasoning,
    RedactedReasoning {
        data: Str<'a>,
    },
    ReasoningDetails,
    /// Its deltas are [`Delta::Arguments`] (JSON text), or [`Delta::Input`] where `custom`.
    ToolCall {
        id: Str<'a>,
        name: Str<'a>,
        /// A call of a [`ToolKind::Custom`].
        custom: bool,
    },
    Refusal,
    /// A picture the model made, whole; it has no deltas.
    Image {
        media: Media<'a>,
    },
    /// A block of a type unknown here, whole; deltas of unknown kinds may follow.
    Other {
        tag: Str<'a>,
        json: Raw<'a>,
    },
}

#[derive(Debug, Clone)]
pub enum Delta<'a> {
    Text(Str<'a>),
    Reasoning(Str<'a>),
    Signature(Str<'a>),
    /// A fragment of OpenRouter's `reasoning_details` array, whole.
    ReasoningDetails(Raw<'a>),
    /// A fragment of the JSON text of a call's arguments.
    Arguments(Str<'a>),
    /// A fragment of the free text that a custom tool takes.
    Input(Str<'a>),
    Refusal(Str<'a>),
    Citation(Raw<'a>),
    Logprobs(Raw<'a>),
    Other(Raw<'a>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_no_more_than_its_absence_is_no_loss() {
        let says = |kind, value| Setting { kind, name: "x".into(), value: Raw::new(value) }.is_default();
        assert!(says(SettingKind::TopLogprobs, "0") && !says(SettingKind::TopLogprobs, "1"));
        assert!(says(SettingKind::Verbosity, "\"medium\"") && !says(SettingKind::Verbosity, "\"low\""));
    }
}
