//! The request fitted to what the model can do, as far as that is known: reshaped where the meaning
//! can be kept, refused in clear words where the model would answer about something it never got.

use crate::error::{Error, Kind, Result, Retry};
use crate::wire::ir::{At, Dropped, Output, Part, PartKind, Request, Role, Turn};
use crate::wire::json::Str;
use crate::wire::{Abilities, Dialect, Target};

/// Fits a request; says whether it has changed.
///
/// # Errors
/// Content or tools that the model does not take. Another target may.
pub(super) fn fit(request: &mut Request<'_>, target: &Target<'_>, dropped: &mut Dropped) -> Result<bool> {
    let can = target.abilities;
    let mut is_changed = false;
    if can == Abilities::UNKNOWN {
        return Ok(is_changed);
    }
    for part in request.turns.iter().filter(|turn| turn.role != Role::Assistant).flat_map(|turn| &turn.parts) {
        check(part, target)?;
    }
    if can.tools == Some(false) && !request.tools.is_empty() {
        return Err(refused(At::member("tools"), target, "calls no tools"));
    }
    if can.parallel_tools == Some(false) && !request.tools.is_empty() {
        is_changed |= serial(request, target);
    }
    if can.json_schema == Some(false) {
        is_changed |= describe_schema(request, dropped);
    }
    if can.developer_role == Some(false) {
        let developers = request.turns.iter_mut().filter(|turn| turn.role == Role::Developer);
        developers.for_each(|turn| is_changed |= become_of(turn, Role::System));
    }
    if can.system == Some(false) {
        is_changed |= tell_the_user(request);
    }
    Ok(is_changed)
}

/// Whether a body of the client's format may have to change for a model of these abilities: cheap, and
/// never wrong with `false`.
pub(super) fn may_matter(can: Abilities, body: &[u8]) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| memchr::memmem::find(body, word.as_bytes()).is_some());
    let cannot = |ability: Option<bool>, words: &[&str]| ability == Some(false) && has(words);
    cannot(can.images, &["image", "nline", "file"])
        || cannot(can.audio, &["audio", "nline", "file"])
        || cannot(can.documents, &["document", "nline", "file"])
        || cannot(can.tools, &["\"tools\""])
        || cannot(can.parallel_tools, &["\"tools\""])
        || cannot(can.json_schema, &["schema", "Schema"])
        || cannot(can.developer_role, &["\"developer\""])
        || cannot(
            can.system,
            &["\"system\"", "\"developer\"", "\"instructions\"", "ystemInstruction", "ystem_instruction"],
        )
}

fn refused(at: At, target: &Target<'_>, what: &str) -> Error {
    let text = format!("`{at}`: the model `{}` {what}", target.model);
    Error::new(Kind::NotExpressible, text).with_param(at.to_string()).with_retry(Retry::NextTarget)
}

fn check(part: &Part<'_>, target: &Target<'_>) -> Result<()> {
    let can = target.abilities;
    match &part.kind {
        PartKind::ToolResult { content, .. } => content.iter().try_for_each(|part| check(part, target)),
        PartKind::Image { .. } if can.images == Some(false) => Err(refused(part.at, target, "takes no images")),
        PartKind::Audio { .. } if can.audio == Some(false) => Err(refused(part.at, target, "takes no audio")),
        PartKind::Document { media, .. } if can.documents == Some(false) && !media.is_text() => {
            Err(refused(part.at, target, "takes no documents"))
        }
        _ => Ok(()),
    }
}

/// One call at a time. A target without the flag needs none: nothing is to be named for what the
/// client did not say.
fn serial(request: &mut Request<'_>, target: &Target<'_>) -> bool {
    let flag = target.quirks.parallel_tool_calls.then_some(false);
    std::mem::replace(&mut request.parallel_tools, flag) != flag
}

fn describe_schema(request: &mut Request<'_>, dropped: &mut Dropped) -> bool {
    let Output::JsonSchema { schema, .. } = &request.output else { return false };
    let told = schema_hint(schema.get());
    let at = At::member(schema_name(request.dialect));
    dropped.push(at);
    request.system.push(Part::new(at, PartKind::Text { text: Str::from_text(&told), citations: None }));
    request.output = Output::JsonObject;
    true
}

/// What stands in for a schema that the target cannot be given.
pub(in crate::wire) fn schema_hint(schema: &str) -> String {
    format!("Answer with one JSON object that is valid against this JSON Schema:\n{schema}")
}

/// The client's spelling of the member that holds a schema.
pub(in crate::wire) fn schema_name(client: Dialect) -> &'static str {
    match client {
        Dialect::OpenAiChat | Dialect::Cohere => "response_format.json_schema",
        Dialect::Anthropic => "output_config.format.schema",
        Dialect::Responses => "text.format.schema",
        Dialect::Gemini => "generationConfig.responseSchema",
        Dialect::Converse => "outputConfig",
    }
}

/// Gives a turn to another role; says whether it was another's.
fn become_of(turn: &mut Turn<'_>, role: Role) -> bool {
    turn.parts.iter_mut().for_each(|part| part.item = None);
    std::mem::replace(&mut turn.role, role) != role
}

/// Puts all instructions into turns of the user's: those before the first turn into the first.
fn tell_the_user(request: &mut Request<'_>) -> bool {
    let mut is_changed = false;
    for turn in &mut request.turns {
        if matches!(turn.role, Role::System | Role::Developer) {
            is_changed |= become_of(turn, Role::User);
        }
    }
    let mut system = std::mem::take(&mut request.system);
    if system.is_empty() {
        return is_changed;
    }
    // Unknown members of instructions mean nothing in a user's turn.
    system.iter_mut().for_each(|part| (part.rest, part.item) = (Vec::new(), None));
    match request.turns.first_mut() {
        Some(first) if first.role == Role::User => _ = first.parts.splice(0..0, system),
        _ => {
            let at = system.first().map(|part| part.at).unwrap_or_default();
            request.turns.insert(0, Turn { role: Role::User, at, parts: system, name: None, rest: Vec::new() });
        }
    }
    true
}
