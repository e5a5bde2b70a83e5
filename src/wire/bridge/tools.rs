//! Tools as the target takes them, and their calls as the client knows them.
//!
//! - Custom tools, which take free text, become functions with one member `input` where the target has
//!   no such tools; their calls become custom calls again. A grammar cannot be enforced there: it is
//!   told in the description, and named as dropped.
//! - A choice among some of the tools (OpenAI's `allowed_tools`) is those tools alone.
//! - Names that the target refuses are cleaned and cut, always in the same way, and mapped back.
//!
//! What is refused where (seen 2026-11): OpenAI `[a-zA-Z0-9_-]`, 64; Anthropic the same, 128; Bedrock
//! the same, 64; Gemini `[a-zA-Z0-9_.-]`, not beginning with a digit, 64; Cohere `[a-zA-Z0-9_]`.

use sha2::{Digest as _, Sha256};

use super::custom::Call;
use super::state;
use crate::wire::Dialect;
use crate::wire::ir::{Arguments, Dropped, Part, PartKind, Request, Tool, ToolChoice, ToolKind};
use crate::wire::json::{Json, Raw, Str};
use crate::wire::lenient::{items, read, text};
use crate::wire_object;

wire_object! {
    /// Chat has the members of `allowed_tools` inside one of that name, Responses beside the type.
    struct Choice<'a> { kind: Json<'a> = "type", inside: Json<'a> = "allowed_tools", mode: Json<'a>, tools: Json<'a> }
}

wire_object! {
    struct Chosen<'a> { kind: Json<'a> = "type", name: Json<'a>, function: Json<'a>, custom: Json<'a> }
}

/// What answers have to be told back by.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools {
    /// Names as they were sent, with the client's own.
    renamed: Vec<(Str<'static>, Str<'static>)>,
    /// The client's names of its custom tools that were sent as functions.
    unwrapped: Vec<Str<'static>>,
}

impl Tools {
    /// Gives the target tools that it takes.
    pub(super) fn fit(request: &mut Request<'_>, upstream: Dialect, dropped: &mut Dropped) -> Self {
        let mut it = Self::default();
        narrow(request);
        if upstream != Dialect::Responses {
            let client = request.dialect;
            it.unwrapped = request.tools.iter_mut().filter_map(|tool| wrap(tool, client, dropped)).collect();
        }
        it.rename(request, Rule::of(upstream));
        it
    }

    fn rename(&mut self, request: &mut Request<'_>, rule: Rule) {
        let names: Vec<Str<'static>> = names(request).map(|name| name.clone().into_owned()).collect();
        if names.iter().all(|name| rule.takes(&name.text())) {
            return;
        }
        for (index, name) in names.iter().enumerate() {
            let text = name.text();
            let known = names.get(..index).is_some_and(|before| before.contains(name));
            if known || rule.takes(&text) {
                continue;
            }
            let mut sent = rule.clean(&text);
            let is_taken =
                |sent: &str| names.iter().chain(self.renamed.iter().map(|(sent, _)| sent)).any(|n| n.is(sent));
            if is_taken(&sent) {
                sent = rule.cut(&sent, &text);
            }
            self.renamed.push((Str::from_text(&sent), name.clone()));
        }
        for name in names_mut(request) {
            if let Some((sent, _)) = self.renamed.iter().find(|(_, own)| own == name) {
                *name = sent.clone();
            }
        }
    }

    /// The calls of an answer, as the client declared the tools.
    pub(super) fn answer(&self, parts: &mut [Part<'_>]) {
        for part in parts {
            let PartKind::ToolCall { name, arguments, .. } = &mut part.kind else { continue };
            if let Some(own) = self.own(name) {
                *name = own.clone();
            }
            if self.unwrapped.contains(name) {
                *arguments = Arguments::Text(arguments.input());
            }
        }
    }

    /// The client's name of a tool that is being called, and what its arguments go through.
    pub(super) fn call(&self, sent: &Str<'_>, custom: bool) -> (Str<'static>, Option<Call>) {
        let name = self.own(sent).cloned().unwrap_or_else(|| sent.clone().into_owned());
        let call = (!custom && self.unwrapped.contains(&name)).then(Call::default);
        (name, call)
    }

    fn own(&self, sent: &Str<'_>) -> Option<&Str<'static>> {
        self.renamed.iter().find(|(known, _)| known == sent).map(|(_, own)| own)
    }
}

/// Leaves the tools that a choice among them allows. Where it allows none of them it stays what it was.
fn narrow(request: &mut Request<'_>) {
    let Some(ToolChoice::Other(choice)) = &request.tool_choice else { return };
    let Some((choice, allowed)) = allowed(choice) else { return };
    if !request.tools.iter().any(|tool| allowed.iter().any(|chosen| is_chosen(tool, chosen))) {
        return;
    }
    let mut tools = std::mem::take(&mut request.tools);
    tools.retain(|tool| allowed.iter().any(|chosen| is_chosen(tool, chosen)));
    (request.tools, request.tool_choice) = (tools, Some(choice));
}

/// A choice among some of the tools: whether it is to be one of them, and their names.
fn allowed(choice: &Raw<'_>) -> Option<(ToolChoice<'static>, Vec<Str<'static>>)> {
    let it: Choice<'_> = choice.read()?;
    text(it.kind).filter(|kind| kind.is("allowed_tools"))?;
    let it = read(it.inside).unwrap_or(it);
    let choice = match text(it.mode)?.escaped() {
        "auto" => ToolChoice::Auto,
        "required" => ToolChoice::Required,
        _ => return None,
    };
    let name = |raw| {
        let it: Chosen<'_> = read(Some(raw))?;
        let inside: Chosen<'_> = read(it.function.or(it.custom)).unwrap_or_default();
        // Tools that a provider runs itself have a type only.
        text(inside.name).or_else(|| text(it.name)).or_else(|| text(it.kind)).map(Str::into_owned)
    };
    Some((choice, items(it.tools).into_iter().filter_map(name).collect()))
}

fn is_chosen(tool: &Tool<'_>, chosen: &Str<'_>) -> bool {
    match &tool.kind {
        ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => name == chosen,
        ToolKind::Other { tag, .. } => tag == chosen,
    }
}

/// Makes a custom tool a function; gives its name.
fn wrap(tool: &mut Tool<'_>, client: Dialect, dropped: &mut Dropped) -> Option<Str<'static>> {
    const SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}"#;
    let ToolKind::Custom { name, description, format } = &tool.kind else { return None };
    let name = name.clone().into_owned();
    let grammar = format.as_ref().filter(|format| {
        let kind = crate::wire::scan::member(format.get(), "type");
        !matches!(kind, None | Some("\"text\""))
    });
    if grammar.is_some() {
        let inside = if client == Dialect::OpenAiChat { ".custom" } else { "" };
        dropped.push(format_args!("{}{inside}.format", tool.at));
    }
    let told = grammar.map(|format| format!("The input has to keep to this format: {}", format.get()));
    let texts: Vec<String> =
        description.iter().map(|text| text.text().into_owned()).chain(told).filter(|text| !text.is_empty()).collect();
    let description = (!texts.is_empty()).then(|| Str::from_text(&texts.join("\n\n")));
    let (schema, strict) = (Some(Raw::new(SCHEMA)), None);
    tool.kind = ToolKind::Function { name: name.clone(), description, schema, strict };
    Some(name)
}

/// All names of tools in a request.
fn names<'r>(request: &'r Request<'_>) -> impl Iterator<Item = &'r Str<'r>> {
    let declared = request.tools.iter().filter_map(|tool| match &tool.kind {
        ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Other { .. } => None,
    });
    let called = request.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.kind {
        PartKind::ToolCall { name, .. } => Some(name),
        _ => None,
    });
    let chosen = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    declared.chain(called).chain(chosen)
}

fn names_mut<'r, 'a>(request: &'r mut Request<'a>) -> impl Iterator<Item = &'r mut Str<'a>> {
    let declared = request.tools.iter_mut().filter_map(|tool| match &mut tool.kind {
        ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Other { .. } => None,
    });
    let called = request.turns.iter_mut().flat_map(|turn| &mut turn.parts).filter_map(|part| match &mut part.kind {
        PartKind::ToolCall { name, .. } => Some(name),
        _ => None,
    });
    let chosen = match &mut request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    declared.chain(called).chain(chosen)
}

/// What a format takes as the name of a tool.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// Besides letters and digits.
    marks: &'static str,
    digit_first: bool,
    bytes_max: usize,
}

impl Rule {
    const fn of(upstream: Dialect) -> Self {
        match upstream {
            Dialect::OpenAiChat | Dialect::Responses | Dialect::Converse => {
                Self { marks: "_-", digit_first: true, bytes_max: 64 }
            }
            Dialect::Anthropic => Self { marks: "_-", digit_first: true, bytes_max: 128 },
            Dialect::Gemini => Self { marks: "_.-", digit_first: false, bytes_max: 64 },
            Dialect::Cohere => Self { marks: "_", digit_first: false, bytes_max: 64 },
        }
    }

    fn allows(self, c: char) -> bool {
        c.is_ascii_alphanumeric() || self.marks.contains(c)
    }

    fn begins(self, name: &str) -> bool {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || self.digit_first && self.allows(c))
    }

    fn takes(self, name: &str) -> bool {
        self.begins(name) && name.len() <= self.bytes_max && name.chars().all(|c| self.allows(c))
    }

    fn clean(self, name: &str) -> String {
        let mut clean: String = name.chars().map(|c| if self.allows(c) { c } else { '_' }).collect();
        if !self.begins(&clean) {
            clean.insert(0, '_');
        }
        if clean.len() > self.bytes_max { self.cut(&clean, name) } else { clean }
    }

    /// The beginning of a name, and a hash of the whole: two long names stay apart.
    fn cut(self, clean: &str, whole: &str) -> String {
        let hash = state::hex::<4>(Sha256::digest(whole));
        let begin = clean.get(..self.bytes_max.saturating_sub(hash.len() + 1)).unwrap_or(clean);
        format!("{begin}_{hash}")
    }
}
