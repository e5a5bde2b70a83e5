//! What an answer says, read in the simplest way there is.

use serde_json::Value;
use weir::wire::Dialect;

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Option<Counts>,
    pub(crate) error: Option<String>,
    /// A stream without its end.
    pub(crate) is_cut: bool,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) refusal: String,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Option<String>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) reasoning: u64,
}

impl Call {
    /// The arguments as a value; nothing is an empty object, a cut one is its text.
    fn value(&self) -> Value {
        match self.arguments.trim() {
            "" | "null" => Value::Object(serde_json::Map::new()),
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(self.arguments.clone())),
        }
    }
}

impl Choice {
    /// Why it ended, in four words.
    fn ending(&self) -> &'static str {
        match self.finish.as_deref().unwrap_or("") {
            "length" | "max_tokens" | "model_length" | "model_context_window_exceeded" => "length",
            "content_filter" | "refusal" => "refusal",
            _ if !self.calls.is_empty() => "calls",
            _ if !self.refusal.is_empty() => "refusal",
            "tool_calls" | "tool_use" | "function_call" => "calls",
            _ => "end",
        }
    }
}

impl Reading {
    pub(crate) fn same_error(&self, told: &str) -> Result<(), String> {
        match &self.error {
            Some(message) if told.contains(message.as_str()) => Ok(()),
            other => Err(format!("failed with {told:?}, expected {other:?}")),
        }
    }

    /// Whether `got`, our answer in `to`, says what this one said in `from`.
    pub(crate) fn compare(&self, got: &Self, from: Dialect, to: Dialect) -> Result<(), String> {
        // These formats have one answer.
        let count = if matches!(to, Dialect::Anthropic | Dialect::Responses) {
            self.choices.len().min(1)
        } else {
            self.choices.len()
        };
        if got.choices.len() != count {
            return Err(format!("{} choices, expected {count}", got.choices.len()));
        }
        for (expected, got) in self.choices.iter().zip(&got.choices) {
            compare_choice(expected, got, to, self.is_cut)?;
        }
        match (self.usage, got.usage) {
            (None, _) => Ok(()),
            (Some(_), _) if self.is_cut => Ok(()),
            // Zeros beside a text are no counts: it is counted here.
            (Some(zeros), Some(got)) if zeros.input + zeros.output == 0 && got.output > 0 => Ok(()),
            (Some(expected), Some(got)) if counts(expected, from, to) == counts(got, from, to) => Ok(()),
            (expected, got) => Err(format!("usage {got:?}, expected {expected:?}")),
        }
    }
}

/// Anthropic's format does not count thinking apart everywhere.
fn counts(it: Counts, from: Dialect, to: Dialect) -> Counts {
    let apart = |format| format != Dialect::Anthropic;
    let reasoning = if apart(from) && apart(to) { it.reasoning } else { 0 };
    // Gemini's does not count what is written to a cache.
    let written = if from == Dialect::Gemini || to == Dialect::Gemini { 0 } else { it.written };
    Counts { reasoning, written, ..it }
}

fn compare_choice(expected: &Choice, got: &Choice, to: Dialect, is_cut: bool) -> Result<(), String> {
    let differ =
        |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| Err(format!("{what} {b:?}, expected {a:?}"));
    // These formats say a refusal in their text.
    let said = |c: &Choice| {
        if matches!(to, Dialect::Anthropic | Dialect::Gemini) {
            format!("{}{}", c.text, c.refusal)
        } else {
            c.text.clone()
        }
    };
    // Text that its server parsed has no spelling to keep.
    let tree = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let same_tree = tree(&said(expected)).is_some_and(|t| Some(t) == tree(&said(got)));
    if said(expected) != said(got) && !same_tree {
        return differ("text", &said(expected), &said(got));
    }
    if to == Dialect::OpenAiChat && expected.refusal != got.refusal {
        return differ("refusal", &expected.refusal, &got.refusal);
    }
    let words = |text: &str| text.split_whitespace().collect::<String>();
    if words(&expected.reasoning) != words(&got.reasoning) {
        return differ("reasoning", &expected.reasoning, &got.reasoning);
    }
    let names = |c: &Choice| c.calls.iter().map(|call| call.name.clone()).collect::<Vec<_>>();
    if names(expected) != names(got) {
        return differ("calls", &names(expected), &names(got));
    }
    for (expected, got) in expected.calls.iter().zip(&got.calls) {
        let id = got.id.split("-weirseal1-").next().unwrap_or_default();
        if got.id.is_empty() || (!expected.id.starts_with('?') && expected.id != id && !expected.id.is_empty()) {
            return differ("call id", &expected.id, &got.id);
        }
        // Arguments that were cut have no object form.
        let cut = expected.value().is_string() && matches!(to, Dialect::Anthropic | Dialect::Gemini);
        if expected.value() != got.value() && !cut {
            return differ("arguments", &expected.value(), &got.value());
        }
    }
    if !is_cut && expected.ending() != got.ending() {
        return differ("finish", &(expected.ending(), &expected.finish), &(got.ending(), &got.finish));
    }
    Ok(())
}

/// The message of an error body, wherever its vendor put it.
pub(crate) fn message(body: &str) -> Option<String> {
    let it: Value = serde_json::from_str(body).ok()?;
    [&it["error"]["message"], &it["error"], &it["message"], &it["detail"]]
        .into_iter()
        .find_map(|v| v.as_str().map(str::to_owned))
}

/// The data of each event of a stream.
pub(crate) fn events(body: &str) -> impl Iterator<Item = &str> {
    body.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim)
}
