//! What was asked, apart from the format it was asked in, and how its tokens are counted.

use serde_json::Value;

/// One request, read.
#[derive(Debug, Clone, Default)]
pub(super) struct Prompt {
    pub(super) model: String,
    pub(super) stream: bool,
    /// Every text the model reads, in its order: what usage and caches are counted from.
    pub(super) segments: Vec<Segment>,
    /// The last text of the user.
    pub(super) ask: String,
    /// Tool results since the model last spoke.
    pub(super) results: Vec<String>,
    /// Of the last user turn.
    pub(super) images: usize,
    pub(super) documents: usize,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    /// One call at most.
    pub(super) single_call: bool,
    pub(super) max_tokens: Option<usize>,
    pub(super) stop: Vec<String>,
    pub(super) think: bool,
    /// Thinking was switched off in so many words.
    pub(super) think_off: bool,
    pub(super) form: Form,
    /// Answers wanted, at least one.
    pub(super) choices: usize,
    /// Alternatives per token, where log probabilities are wanted.
    pub(super) logprobs: Option<usize>,
    /// Usage at the end of the stream.
    pub(super) stream_usage: bool,
}

/// A stretch of the prompt that caches take or leave as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    pub(super) tokens: u64,
    /// What makes it the same segment another time.
    pub(super) identity: String,
    /// Anthropic's `cache_control`.
    pub(super) mark: Option<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    FiveMinutes,
    OneHour,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) schema: Value,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Choice {
    #[default]
    Auto,
    None,
    Any,
    Named(String),
}

#[derive(Debug, Clone, Default)]
pub(super) enum Form {
    #[default]
    Text,
    JsonObject,
    Schema(Value),
}

/// What an image, a document or a piece of audio counts.
pub(super) const MEDIA_TOKENS: u64 = 10;

impl Prompt {
    pub(super) fn input_tokens(&self) -> u64 {
        self.segments.iter().map(|s| s.tokens).sum()
    }

    /// Adds a tool to the list and to the count.
    pub(super) fn add_tool(&mut self, name: &str, description: &str, schema: &Value, mark: Option<Mark>) {
        let tokens = words(name) + words(description) + words(&schema.to_string());
        let identity = format!("tool {name} {description} {schema}");
        self.segments.push(Segment { tokens, identity, mark });
        self.tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
    }
}

/// Tokens of a text.
pub(super) fn words(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}

/// Tokens of a tool call; arguments that are not JSON count as they stand.
pub(super) fn call_words(name: &str, arguments: &str) -> u64 {
    let compact = serde_json::from_str::<Value>(arguments).map_or_else(|_| arguments.to_owned(), |v| v.to_string());
    words(name) + words(&compact)
}

/// A member's text, empty where there is none.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A member's items, none where it is no list.
pub(super) fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A member as a count.
pub(super) fn number(value: &Value, name: &str) -> Option<usize> {
    value.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
}
