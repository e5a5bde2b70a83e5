//! The texts of a request and of an answer: where each one's literal stands, and whose it is.
//!
//! Whatever looks at texts or changes them (compression, guards, tools) needs them in every format
//! that clients speak, and needs all other bytes left as they are. So this finds the string literals
//! in the body itself, and [`Edits`] puts others in their places; nothing is decoded to a form of its
//! own and encoded again. One pass finds where values are (`tape`), one file a format says what they
//! are. Of what has a shape that is not known all strings are texts of nobody's ([`Who::Other`]), but for those
//! that are no texts by their names: only who has to see everything looks at them.
//!
//! Formats as in `wire/*/request`; the shapes of Codex (`local_shell_call`, `custom_tool_call`) as seen
//! in July 2026.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::ops::Range;

mod cache;
mod chat;
mod edit;
mod gemini;
mod logprobs;
mod messages;
mod question;
mod responses;
mod tape;
mod tools;

pub use cache::cache_points;
pub use edit::Edits;
pub use logprobs::leave_out_logprobs;
pub use question::question;
pub use tools::{Declared, ToolLists, leave_out, tool_lists};

use super::Dialect;
use super::json::Str;
use super::scan::Fault;
use tape::{Node, Tape, WHOLE};

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// Members of the body that stand before the conversation: `system`, `instructions`.
    Instructions,
    /// Messages of the roles `system` and `developer`.
    System,
    User,
    Assistant,
    ToolResult,
    /// What the model called a tool with: JSON in a string, or a string inside an object.
    Arguments,
    /// What the model thought. Often signed: whoever changes it has it refused.
    Reasoning,
    /// Descriptions of tools and what their schemas say in words.
    ToolDescription,
    /// What else has words: work of a provider's own tools, titles, citations, what nobody here knows.
    Other,
}

/// A text: one string literal of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub who: Who,
    /// Where the literal stands, quotes included.
    pub span: Range<usize>,
    /// Which item of the conversation it belongs to; `None` outside of it.
    pub turn: Option<usize>,
    /// Of arguments and results: which of [`Leaves::calls`] it is.
    pub call: Option<usize>,
    /// Of results: the format says that the call failed.
    pub is_error: bool,
}

impl Leaf {
    /// The literal, quotes included.
    pub fn literal<'b>(&self, body: &'b str) -> &'b str {
        body.get(self.span.clone()).unwrap_or_default()
    }

    /// What it says. Borrows where nothing is escaped.
    pub fn text<'b>(&self, body: &'b str) -> Cow<'b, str> {
        match Str::from_raw(self.literal(body)) {
            Some(literal) => match literal.text() {
                Cow::Borrowed(_) => Cow::Borrowed(body.get(self.span.start + 1..self.span.end - 1).unwrap_or_default()),
                Cow::Owned(text) => Cow::Owned(text),
            },
            None => Cow::Borrowed(""),
        }
    }
}

/// A call of a tool: made in the body, or only answered there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'b> {
    /// Empty where the format goes by names and order.
    pub id: Cow<'b, str>,
    /// Empty where only the result is there, and does not tell.
    pub name: Cow<'b, str>,
    /// Raw JSON: an object, or a string that holds JSON or a text. Empty where only the result is there.
    pub arguments: &'b str,
}

impl Call<'_> {
    /// The arguments as the model wrote them: JSON for functions, any text for custom tools.
    pub fn arguments_text(&self) -> Cow<'_, str> {
        match Str::from_raw(self.arguments) {
            Some(literal) => Cow::Owned(literal.text().into_owned()),
            None => Cow::Borrowed(self.arguments),
        }
    }
}

/// The texts of a body, in its order.
#[derive(Debug, Default)]
pub struct Leaves<'b> {
    pub leaves: Vec<Leaf>,
    pub calls: Vec<Call<'b>>,
    /// How many items the conversation has.
    pub turns: usize,
}

impl<'b> Leaves<'b> {
    /// Those of a request, but for what lies deep in its tools and beside its conversation. Fails where the body is
    /// no JSON object or has more than a million values.
    pub fn of_request(dialect: Dialect, body: &'b str) -> Result<Self, Fault> {
        Self::down_to(dialect, body, request_depth)
    }

    /// All of a request, schemas of tools and predictions too.
    pub fn of_whole_request(dialect: Dialect, body: &'b str) -> Result<Self, Fault> {
        Self::down_to(dialect, body, whole_request_depth)
    }

    fn down_to(dialect: Dialect, body: &'b str, depth: tape::Depth) -> Result<Self, Fault> {
        let tape = Tape::of(body, depth)?;
        let mut walk = Walk::default();
        match dialect {
            Dialect::OpenAiChat => chat::request(&mut walk, tape.root()),
            Dialect::Anthropic => messages::request(&mut walk, tape.root()),
            Dialect::Responses => responses::request(&mut walk, tape.root()),
            Dialect::Gemini => gemini::request(&mut walk, tape.root()),
            // No client speaks them here.
            Dialect::Converse | Dialect::Cohere => {}
        }
        Ok(walk.done())
    }

    /// Those of a whole answer: what the model said, thought and calls.
    pub fn of_answer(dialect: Dialect, body: &'b str) -> Result<Self, Fault> {
        let tape = Tape::of(body, answer_depth)?;
        let mut walk = Walk::default();
        match dialect {
            Dialect::OpenAiChat => chat::answer(&mut walk, tape.root()),
            Dialect::Anthropic => messages::answer(&mut walk, tape.root()),
            Dialect::Responses => responses::answer(&mut walk, tape.root()),
            Dialect::Gemini => gemini::answer(&mut walk, tape.root()),
            Dialect::Converse | Dialect::Cohere => {}
        }
        Ok(walk.done())
    }

    /// The call that a text belongs to.
    pub fn call_of(&self, leaf: &Leaf) -> Option<&Call<'b>> {
        self.calls.get(leaf.call?)
    }
}

fn request_depth(member: &str) -> u32 {
    match member {
        "messages" | "input" | "contents" | "system" | "systemInstruction" | "system_instruction" | "instructions" => {
            WHOLE
        }
        // Down to a description, not into schemas.
        "tools" | "functions" => 5,
        _ => 0,
    }
}

fn whole_request_depth(member: &str) -> u32 {
    match member {
        "tools" | "functions" | "prediction" | "prompt" => WHOLE,
        "response_format" | "text" | "output_config" | "output_format" | "generationConfig" | "generation_config" => {
            WHOLE
        }
        other => request_depth(other),
    }
}

fn answer_depth(member: &str) -> u32 {
    match member {
        "choices" | "content" | "output" | "candidates" => WHOLE,
        _ => 0,
    }
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Walk<'b> {
    found: Leaves<'b>,
    by_id: HashMap<Cow<'b, str>, usize>,
    /// Calls of a name, for formats that go by names and order.
    by_name: HashMap<Cow<'b, str>, VecDeque<usize>>,
    /// Which calls have an answer.
    is_answered: Vec<bool>,
    turn: Option<usize>,
}

/// What a text is besides its place.
#[derive(Debug, Clone, Copy)]
struct As {
    who: Who,
    call: Option<usize>,
    is_error: bool,
}

impl As {
    const fn of(who: Who) -> Self {
        Self { who, call: None, is_error: false }
    }

    const fn arguments(call: usize) -> Self {
        Self { who: Who::Arguments, call: Some(call), is_error: false }
    }

    const fn result(call: Option<usize>, is_error: bool) -> Self {
        Self { who: Who::ToolResult, call, is_error }
    }
}

impl<'b> Walk<'b> {
    fn done(self) -> Leaves<'b> {
        let mut found = self.found;
        // As they stand in the body: a result's parts may have been found before what stands ahead of them.
        found.leaves.sort_by_key(|leaf| leaf.span.start);
        found
    }

    /// Goes on to the next item of the conversation.
    fn next_turn(&mut self) {
        self.turn = Some(self.found.turns);
        self.found.turns += 1;
    }

    /// What follows stands outside of the conversation.
    fn no_turn(&mut self) {
        self.turn = None;
    }

    /// Keeps a value that is a string.
    fn text(&mut self, node: Node<'_, 'b>, is: As) {
        if node.is_string() {
            let As { who, call, is_error } = is;
            self.found.leaves.push(Leaf { who, span: node.span(), turn: self.turn, call, is_error });
        }
    }

    /// Every string inside a value. Not deeper than the tape is.
    fn all_texts(&mut self, node: Node<'_, 'b>, is: As) {
        self.text(node, is);
        node.items().for_each(|item| self.all_texts(item, is));
        node.members().for_each(|(_, value)| self.all_texts(value, is));
    }

    /// The same with the names of members, which a model or a client makes up as it does the values. Where a value
    /// is a result its names are not: nobody may shorten them.
    fn named_texts(&mut self, node: Node<'_, 'b>, is: As) {
        self.text(node, is);
        node.items().for_each(|item| self.named_texts(item, is));
        let who = if is.who == Who::ToolResult { Who::Other } else { is.who };
        for (name, value) in node.named() {
            self.text(name, As { who, ..is });
            self.named_texts(value, is);
        }
    }

    /// Every string inside of what nobody here knows, but for those that are no texts by their names.
    fn other_texts(&mut self, node: Node<'_, 'b>, who: Who) {
        if !is_file(node.raw()) {
            self.text(node, As::of(who));
        }
        node.items().for_each(|item| self.other_texts(item, who));
        let members = node.members().filter(|(name, _)| !is_opaque(name));
        members.for_each(|(_, value)| self.other_texts(value, who));
    }

    /// What a schema says in words, wherever it does: the rest of it is for machines.
    fn schema(&mut self, node: Node<'_, 'b>) {
        let is = As::of(Who::ToolDescription);
        node.items().for_each(|item| self.schema(item));
        for (name, value) in node.members() {
            match &*name {
                "description" | "title" if value.is_string() => self.text(value, is),
                "default" | "const" | "enum" | "example" | "examples" => self.all_texts(value, is),
                _ => self.schema(value),
            }
        }
    }

    /// What a tool says of itself, whatever members its format has for that.
    fn tool(&mut self, tool: Node<'_, 'b>) {
        let is = As::of(Who::ToolDescription);
        for (name, value) in tool.members() {
            match &*name {
                "description" => self.text(value, is),
                "input_examples" => self.named_texts(value, is),
                "input_schema"
                | "parameters"
                | "parametersJsonSchema"
                | "parameters_json_schema"
                | "response"
                | "responseJsonSchema"
                | "response_json_schema" => self.schema(value),
                // A namespace has tools of its own, Chat Completions a member of the tool's kind.
                "tools" => value.items().for_each(|inner| self.tool(inner)),
                "function" | "custom" => self.tool(value),
                _ => {}
            }
        }
    }

    /// All members of that name, should it come twice.
    fn member_texts(&mut self, node: Node<'_, 'b>, name: &str, is: As) {
        node.members().filter(|(found, _)| found == name).for_each(|(_, value)| self.text(value, is));
    }

    /// A string, or a list of parts, or one such part.
    fn text_or_parts(&mut self, node: Node<'_, 'b>, is: As) {
        self.text(node, is);
        self.part(node, is);
        for part in node.items() {
            self.text(part, is);
            self.part(part, is);
        }
    }

    /// The text of a part, and whatever else may be one where its kind is not known.
    fn part(&mut self, part: Node<'_, 'b>, is: As) {
        let is_known = is_known(part);
        for (name, value) in part.members() {
            match &*name {
                "text" if value.is_string() => self.text(value, is),
                other if !is_known && !is_opaque(other) => self.other_texts(value, Who::Other),
                _ => {}
            }
        }
    }

    /// Remembers a call. Where an id comes twice, the later call is the one that is answered behind it.
    fn call(&mut self, id: Option<Cow<'b, str>>, name: Option<Cow<'b, str>>, arguments: &'b str) -> usize {
        let (id, name) = (id.unwrap_or_default(), name.unwrap_or_default());
        let at = self.found.calls.len();
        if !id.is_empty() {
            self.by_id.insert(id.clone(), at);
        }
        if !name.is_empty() {
            self.by_name.entry(name.clone()).or_default().push_back(at);
        }
        self.keep(Call { id, name, arguments })
    }

    fn keep(&mut self, call: Call<'b>) -> usize {
        self.found.calls.push(call);
        self.is_answered.push(false);
        self.found.calls.len() - 1
    }

    /// The call that a result answers; one that is not in the body is made up of what the result says.
    fn answered(&mut self, id: Option<Cow<'b, str>>, name: Option<Cow<'b, str>>) -> usize {
        let (id, name) = (id.unwrap_or_default(), name.unwrap_or_default());
        let by_id = self.by_id.get(&id).copied().filter(|_| !id.is_empty());
        let at = match by_id.or_else(|| self.first_open(&name)) {
            Some(at) => at,
            None => self.keep(Call { id, name, arguments: "" }),
        };
        if let Some(answered) = self.is_answered.get_mut(at) {
            *answered = true;
        }
        at
    }

    /// The first call of a name that has no answer yet.
    fn first_open(&mut self, name: &str) -> Option<usize> {
        let queue = self.by_name.get_mut(name)?;
        loop {
            let at = queue.pop_front()?;
            if self.is_answered.get(at) == Some(&false) {
                return Some(at);
            }
        }
    }
}

/// Whether a part is of a kind of which it is known where its text stands, or that it has none.
fn is_known(part: Node<'_, '_>) -> bool {
    const KINDS: [&str; 20] = [
        "text",
        "input_text",
        "output_text",
        "summary_text",
        "reasoning_text",
        "refusal",
        "thinking",
        "image",
        "image_url",
        "image_embeds",
        "input_image",
        "audio_url",
        "audio_embeds",
        "input_audio",
        "video_url",
        "input_video",
        "file",
        "input_file",
        "document_url",
        "computer_screenshot",
    ];
    part.word("type").is_some_and(|kind| KINDS.contains(&&*kind))
}

/// Whether a literal is a file in its own address (`data:image/png;base64,AA==`), and no text that begins like one.
fn is_file(literal: &str) -> bool {
    let address = literal.strip_prefix("\"data:").and_then(|rest| rest.strip_suffix('"')?.split_once(','));
    let Some((kind, data)) = address else { return false };
    let is_kind = kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"/\\;=+-._".contains(&b));
    match kind.ends_with(";base64") {
        true => is_kind && data.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/\\=-_".contains(&b)),
        // A text is one in its own address too.
        false => is_kind && kind.contains('/') && !kind.starts_with("text") && !data.contains(' '),
    }
}

/// Names of what is no text: kinds, ids, files, and what only its provider can read.
fn is_opaque(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "type",
        "id",
        "status",
        "role",
        "signature",
        "thought_signature",
        "thoughtSignature",
        "data",
        "file_data",
        "image_url",
        "encrypted_content",
        "encrypted_index",
        "encrypted_stdout",
        "cache_control",
        "caller",
    ];
    NAMES.contains(&name) || name.ends_with("_id") || name.ends_with("_ids")
}

#[cfg(test)]
mod tests;
