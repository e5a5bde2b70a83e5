//! A request's meaning to what the simulator answers from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Ask;
use crate::simulator::failure::Failure;
use crate::simulator::prompt::{Choice, Form, MEDIA_TOKENS, Prompt, Segment, call_words, words};
use crate::simulator::reply::{is_redacted, sign};
use crate::wire::ir::{Output, Part, PartKind, Request, Role, SettingKind, Tool, ToolChoice, ToolKind, Turn};
use crate::wire::json::Str;
use crate::wire::{Dialect, decode_request, scan};

pub(in crate::simulator) fn read(ask: &Ask, body: &str) -> Result<Prompt, Failure> {
    let request = decode_request(ask.dialect, body).map_err(|error| Failure::new(400, error.public().to_owned()))?;
    let model = ask.model.clone().unwrap_or_else(|| request.model.text().into_owned());
    if model.is_empty() {
        return Err(Failure::bad("model", "you must provide a model parameter"));
    }
    if request.turns.is_empty() {
        return Err(Failure::new(400, "there is nothing to answer"));
    }
    let stream = ask.stream.unwrap_or(request.stream);
    let mut prompt = Prompt { model, stream, stream_usage: true, choices: 1, ..Prompt::default() };
    request.tools.iter().for_each(|tool| add_tool(tool, &mut prompt));
    let system: Vec<_> = request.system.iter().filter_map(text_of).collect();
    prompt.segments.push(segment(&system.join("\n"), "system"));
    request.turns.iter().for_each(|turn| add_turn(turn, &mut prompt));
    settings(&request, &mut prompt);
    check_calls(&request)?;
    check_proofs(&request, prompt.think)?;
    Ok(prompt)
}

fn text_of(part: &Part<'_>) -> Option<String> {
    match &part.kind {
        PartKind::Text { text, .. } => Some(text.text().into_owned()),
        _ => None,
    }
}

fn segment(text: &str, role: &str) -> Segment {
    Segment { tokens: words(text), identity: format!("{role} {text}"), mark: None }
}

fn add_tool(tool: &Tool<'_>, prompt: &mut Prompt) {
    let none = || Str::from_text("");
    let (name, description, schema) = match &tool.kind {
        ToolKind::Function { name, description, schema, .. } => {
            let schema = schema.as_ref().and_then(|schema| serde_json::from_str(schema.get()).ok());
            (name, description, schema.unwrap_or_default())
        }
        ToolKind::Custom { name, description, .. } => (name, description, Value::Null),
        ToolKind::Other { .. } => return,
    };
    let description = description.clone().unwrap_or_else(none);
    prompt.add_tool(&name.text(), &description.text(), &schema, None);
}

fn add_turn(turn: &Turn<'_>, prompt: &mut Prompt) {
    match turn.role {
        Role::User => (prompt.images, prompt.documents) = (0, 0),
        Role::Assistant => prompt.results.clear(),
        _ => {}
    }
    // An instruction in mid-conversation, as translators set it down, asks for nothing.
    let is_asked = |text: &String| !text.starts_with("<system>");
    let said: Vec<_> = turn.parts.iter().filter_map(text_of).filter(is_asked).collect();
    if turn.role == Role::User && !said.is_empty() {
        prompt.ask = said.join("\n");
    }
    turn.parts.iter().for_each(|part| add_part(part, prompt));
}

fn add_part(part: &Part<'_>, prompt: &mut Prompt) {
    let media = |identity: &str| Segment { tokens: MEDIA_TOKENS, identity: identity.to_owned(), mark: None };
    let segment = match &part.kind {
        PartKind::Text { text, .. } | PartKind::Refusal { text } | PartKind::Reasoning { text, .. } => {
            segment(&text.text(), "text")
        }
        PartKind::ToolCall { name, arguments, .. } => {
            let arguments = arguments.object().unwrap_or_default();
            let tokens = call_words(&name.text(), &arguments);
            Segment { tokens, identity: format!("call {} {arguments}", name.text()), mark: None }
        }
        PartKind::ToolResult { content, .. } => {
            let texts: Vec<_> = content.iter().filter_map(text_of).collect();
            let others = u64::try_from(content.len() - texts.len()).unwrap_or(0);
            let result = texts.join("\n");
            let mut it = segment(&result, "result");
            it.tokens += others * MEDIA_TOKENS;
            prompt.results.push(result);
            it
        }
        PartKind::Image { .. } => {
            prompt.images += 1;
            media("image")
        }
        PartKind::Document { .. } => {
            prompt.documents += 1;
            media("document")
        }
        _ => return,
    };
    prompt.segments.push(segment);
}

fn settings(request: &Request<'_>, prompt: &mut Prompt) {
    prompt.choice = match &request.tool_choice {
        Some(ToolChoice::None) => Choice::None,
        Some(ToolChoice::Required) => Choice::Any,
        Some(ToolChoice::Named(name)) => Choice::Named(name.text().into_owned()),
        _ => Choice::Auto,
    };
    prompt.single_call = request.parallel_tools == Some(false);
    prompt.max_tokens = request.max_tokens.and_then(|most| usize::try_from(most).ok());
    prompt.stop = request.stop.iter().map(|stop| stop.text().into_owned()).collect();
    if let Some(reasoning) = &request.reasoning {
        let off = reasoning.disabled || reasoning.effort.as_ref().is_some_and(|e| e.is("none"));
        prompt.think_off = off;
        prompt.think = !off;
    }
    prompt.form = match &request.output {
        Output::Text | Output::Other(_) => Form::Text,
        Output::JsonObject => Form::JsonObject,
        Output::JsonSchema { schema, .. } => Form::Schema(serde_json::from_str(schema.get()).unwrap_or_default()),
    };
    let logprobs = |kind| request.options.iter().any(|o| o.kind == kind && o.value.get() == "true");
    prompt.logprobs = logprobs(SettingKind::Logprobs).then_some(0);
}

/// Every result has its call before it.
fn check_calls(request: &Request<'_>) -> Result<(), Failure> {
    let mut called = Vec::new();
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        match &part.kind {
            PartKind::ToolCall { id, .. } => called.push(id.text()),
            PartKind::ToolResult { id, .. } if !called.contains(&id.text()) => {
                let message = format!("No tool call found for function call output with call_id {}.", id.text());
                return Err(Failure::new(400, message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A proof comes back as it was given, and a call that was thought about comes back with its proof.
fn check_proofs(request: &Request<'_>, think: bool) -> Result<(), Failure> {
    let last = request.turns.iter().rposition(|turn| turn.role == Role::Assistant);
    for (at, turn) in request.turns.iter().enumerate() {
        let mut proved = false;
        for part in &turn.parts {
            proved |= check_proof(part, request.dialect)?;
        }
        let calls = turn.parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
        if think && calls && !proved && Some(at) == last {
            return Err(Failure::new(400, "the call was provided without its required reasoning"));
        }
    }
    Ok(())
}

/// What the vendor takes in a signature's place, for calls that another model made: clients write it as
/// it stands or in base64.
fn is_placeholder(signature: &str) -> bool {
    const PLACEHOLDERS: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];
    PLACEHOLDERS.iter().any(|known| signature == *known || signature == STANDARD.encode(known))
}

fn check_proof(part: &Part<'_>, dialect: Dialect) -> Result<bool, Failure> {
    let good = match &part.kind {
        PartKind::Reasoning { text, signature: Some(signature) } => {
            let signature = signature.text();
            match dialect {
                Dialect::Gemini => is_redacted(&signature) || is_placeholder(&signature),
                Dialect::Responses => {
                    let sealed = scan::member(&signature, "encrypted_content").and_then(Str::from_raw);
                    sealed.is_some_and(|sealed| is_redacted(&sealed.text()))
                }
                _ => *signature == sign(&text.text()),
            }
        }
        PartKind::RedactedReasoning { data } => is_redacted(&data.text()),
        // This format has no proof but the thought itself.
        PartKind::Reasoning { text, signature: None } if dialect == Dialect::Cohere => !text.is_empty(),
        _ => return Ok(false),
    };
    if good { Ok(true) } else { Err(Failure::new(400, "the reasoning could not be verified")) }
}
