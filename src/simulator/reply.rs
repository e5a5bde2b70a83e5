//! What is answered, apart from the format it is answered in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::prompt::{Choice, Form, Prompt, call_words, words};
use super::schema;

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) thinking: Option<Thinking>,
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    pub(super) finish: Finish,
}

/// Thinking, hidden or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thinking {
    pub(super) text: String,
    pub(super) redacted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Without a vendor's prefix.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Finish {
    #[default]
    Stop,
    /// Where one of the stop sequences stood.
    StopSequence(String),
    Length,
    ToolCalls,
}

impl Reply {
    pub(super) fn reasoning_tokens(&self) -> u64 {
        self.thinking.as_ref().map_or(0, |t| words(&t.text))
    }

    /// Reasoning included.
    pub(super) fn output_tokens(&self) -> u64 {
        let calls: u64 = self.calls.iter().map(|c| call_words(&c.name, &c.arguments)).sum();
        self.reasoning_tokens() + words(&self.text) + calls
    }
}

/// The answer number `index`; `seed` makes ids that differ from request to request.
pub(super) fn compose(prompt: &Prompt, index: usize, seed: &str) -> Reply {
    let thinking = prompt.think.then(|| Thinking {
        text: format!("Let me think about this: {}", prompt.ask),
        redacted: prompt.ask.contains("redact your thinking"),
    });
    let calls = calls(prompt, index, seed);
    let mut reply = Reply { thinking, calls, ..Reply::default() };
    if reply.calls.is_empty() {
        reply.text = answer(prompt, index);
    } else {
        reply.finish = Finish::ToolCalls;
    }
    stop(&mut reply, &prompt.stop);
    if let Some(most) = prompt.max_tokens {
        cut(&mut reply, most);
    }
    reply
}

fn answer(prompt: &Prompt, index: usize) -> String {
    let mut said = plain(prompt);
    if index > 0 {
        said = format!("{said} [{}]", index + 1);
    }
    match &prompt.form {
        Form::Text => said,
        Form::JsonObject => json!({"answer": said}).to_string(),
        Form::Schema(schema) => schema::sample(schema, &prompt.ask, true).to_string(),
    }
}

fn plain(prompt: &Prompt) -> String {
    match prompt.results.as_slice() {
        [] => {}
        [one] => return format!("The tool answered: {one}"),
        several => return format!("The tools answered: {}", several.join("; ")),
    }
    if let Some((_, wanted)) = prompt.ask.split_once("reply with: ") {
        return wanted.to_owned();
    }
    if let Some(count) = prompt.ask.split_once("count to ").and_then(|(_, n)| leading_number(n)) {
        return (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    }
    let mut said = format!("You said: {}", prompt.ask);
    for (count, what) in [(prompt.images, "image"), (prompt.documents, "document")] {
        match count {
            0 => {}
            1 => said += &format!(" (1 {what})"),
            n => said += &format!(" ({n} {what}s)"),
        }
    }
    said
}

fn leading_number(text: &str) -> Option<u32> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|n| *n <= 200_000)
}

/// The calls of this answer: none after results, none where nothing asks for one.
fn calls(prompt: &Prompt, index: usize, seed: &str) -> Vec<Call> {
    let forced = match &prompt.choice {
        Choice::None => return Vec::new(),
        Choice::Auto if prompt.ask.contains("reply with: ") => return Vec::new(),
        Choice::Auto => None,
        Choice::Any => Some(None),
        Choice::Named(name) => Some(Some(name.as_str())),
    };
    let dictated = dictated(prompt, index, seed);
    if prompt.results.is_empty() && !dictated.is_empty() {
        return dictated;
    }
    if prompt.results.is_empty() || forced.is_some() {
        let mut wanted = mentions(prompt);
        if let Some(Some(name)) = forced {
            wanted.retain(|(n, _)| n == name);
        }
        if wanted.is_empty() && (forced.is_some() || prompt.ask.contains("use the tool")) {
            let name = forced.flatten().or_else(|| prompt.tools.first().map(|t| t.name.as_str()));
            wanted.extend(name.map(|n| (n.to_owned(), prompt.ask.clone())));
        }
        if prompt.single_call {
            wanted.truncate(1);
        }
        let call = |(nth, (name, hint)): (usize, (String, String))| {
            let schema = prompt.tools.iter().find(|t| t.name == name).map(|t| t.schema.clone()).unwrap_or_default();
            let arguments = schema::sample(&schema, &hint, false);
            let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
            Call { id: format!("{seed}{index}{nth}"), name, arguments }
        };
        return wanted.into_iter().enumerate().map(call).collect();
    }
    Vec::new()
}

/// The calls that the text spells out, `call NAME {...}` with the name of a tool offered: agents'
/// prompts name their own tools all over, and arguments made from a schema would be no good command.
fn dictated(prompt: &Prompt, index: usize, seed: &str) -> Vec<Call> {
    let spelled = |after: &str| {
        let (name, rest) = after.split_once(' ')?;
        prompt.tools.iter().find(|tool| tool.name == name)?;
        let arguments = serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Value>>().next()?.ok()?;
        Some((name.to_owned(), Value::Object(arguments).to_string()))
    };
    let calls = prompt.ask.split("call ").skip(1).filter_map(spelled).enumerate();
    calls.map(|(nth, (name, arguments))| Call { id: format!("{seed}{index}{nth}"), name, arguments }).collect()
}

/// The tools that the text names, in its order, each with the text up to the next one.
fn mentions(prompt: &Prompt) -> Vec<(String, String)> {
    let text = &prompt.ask;
    let mut found: Vec<(usize, &str)> = Vec::new();
    for tool in prompt.tools.iter().filter(|t| !t.name.is_empty()) {
        found.extend(text.match_indices(tool.name.as_str()).filter(|(at, m)| stands_alone(text, *at, m.len())));
    }
    found.sort_unstable();
    let ends = found.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    let hint = |(at, name): &(usize, &str), end: usize| text.get(at + name.len()..end).unwrap_or_default().to_owned();
    found.iter().zip(ends).map(|(m, end)| (m.1.to_owned(), hint(m, end))).collect()
}

/// Whether a match is a word of its own: `get_time` is not named by `get_timezone`.
fn stands_alone(text: &str, at: usize, len: usize) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let before = text.get(..at).and_then(|t| t.chars().next_back());
    let after = text.get(at + len..).and_then(|t| t.chars().next());
    !before.is_some_and(word) && !after.is_some_and(word)
}

fn stop(reply: &mut Reply, sequences: &[String]) {
    let first = sequences.iter().filter(|s| !s.is_empty()).filter_map(|s| Some((reply.text.find(s.as_str())?, s)));
    if let Some((at, sequence)) = first.min() {
        reply.text.truncate(at);
        reply.finish = Finish::StopSequence(sequence.clone());
    }
}

/// Cuts the answer to `most` tokens: thinking first, then text, then calls.
fn cut(reply: &mut Reply, most: usize) {
    let mut left = most;
    let mut is_cut = false;
    if let Some(thinking) = &mut reply.thinking {
        is_cut |= cut_words(&mut thinking.text, &mut left);
    }
    is_cut |= cut_words(&mut reply.text, &mut left);
    let mut kept = 0;
    for call in &mut reply.calls {
        if left == 0 {
            break;
        }
        kept += 1;
        let cost = usize::try_from(call_words(&call.name, &call.arguments)).unwrap_or(usize::MAX);
        if cost > left {
            // Half of the arguments, as a vendor leaves them.
            let half = call.arguments.chars().count() / 2;
            call.arguments = call.arguments.chars().take(half).collect();
            is_cut = true;
        }
        left = left.saturating_sub(cost);
    }
    is_cut |= kept < reply.calls.len();
    reply.calls.truncate(kept);
    if is_cut {
        reply.finish = Finish::Length;
    }
}

fn cut_words(text: &mut String, left: &mut usize) -> bool {
    let pieces = pieces(text);
    let kept = pieces.iter().take(*left).map(|p| p.len()).sum();
    let is_cut = pieces.len() > *left;
    *left = left.saturating_sub(pieces.len());
    let end = text.get(..kept).map_or(0, |t| t.trim_end().len());
    if is_cut {
        text.truncate(end);
    }
    is_cut
}

/// A text word by word, each with the white space after it: the events of a stream, and what log
/// probabilities are given for.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut in_space = false;
    let mut seen_word = false;
    for (at, c) in text.char_indices() {
        if seen_word && in_space && !c.is_whitespace() {
            out.extend(text.get(start..at));
            start = at;
        }
        in_space = c.is_whitespace();
        seen_word |= !in_space;
    }
    out.extend(text.get(start..).filter(|t| !t.is_empty()));
    out
}

/// The signature of a piece of thinking: base64 with all that can go wrong in it (`+`, `/`, `=`).
pub(super) fn sign(thinking: &str) -> String {
    let mut bytes = vec![0xfb, 0xef, 0xff, 0x01];
    for round in 0..4u8 {
        bytes.extend_from_slice(&Sha256::new().chain_update([round]).chain_update(thinking).finalize());
    }
    STANDARD.encode(bytes)
}

/// The data of a redacted piece of thinking: what it says and its signature.
pub(super) fn redact(thinking: &str) -> String {
    STANDARD.encode(format!("{thinking}\n{}", sign(thinking)))
}

/// Whether `data` is what [`redact`] made.
pub(super) fn is_redacted(data: &str) -> bool {
    let Some(text) = STANDARD.decode(data).ok().and_then(|b| String::from_utf8(b).ok()) else { return false };
    text.rsplit_once('\n').is_some_and(|(thinking, signature)| sign(thinking) == signature)
}
