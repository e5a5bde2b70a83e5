//! An upstream's answer to its meaning.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::error::{Error, Kind, Result};
use crate::usage::tokens::Usage;
use crate::wire::Quirks;
use crate::wire::ir::{At, Choice, Part, PartKind, Response};
use crate::wire::json::{self, Json, Raw, Rest, Str};

use super::super::shape::{self, Piece};
use super::super::{error, finish, usage};
use crate::wire::lenient::{count, filled, is_array, is_object, items, read, text};

/// Padding, and what only the provider's own accounting reads: of no use to any client.
const NOISE: &[&str] = &["obfuscation", "p", "padding", "name", "token_ids", "prompt_token_ids"];

/// The member that says what an answer is.
pub(super) const OBJECT: (&str, &str) = ("object", "\"chat.completion\"");

/// Reads a whole answer. An error in an answer's place is an error, whatever the status was.
pub fn decode<'a>(body: &'a str, quirks: &Quirks) -> Result<Response<'a>> {
    let completion: shape::Completion<'a> = json::parse(body).map_err(|e| {
        Error::new(Kind::UpstreamFailed, "the provider sent an answer that is not a JSON object").with_unreadable(&e)
    })?;
    if completion.is_error() {
        return Err(error::decode_in_band(body));
    }
    let list = items(completion.choices);
    if list.is_empty() {
        return Err(Error::new(Kind::UpstreamFailed, "the provider sent an answer without a choice"));
    }
    let id = filled(completion.id);
    let seed = shape::seed(id.as_ref());
    let choices =
        list.iter().enumerate().map(|(n, raw)| choice(*raw, n, &seed)).collect::<Result<Vec<Choice<'a>>>>()?;
    Ok(Response {
        model: filled(completion.model),
        created: count(completion.created).filter(|c| *c > 0),
        usage: usage::find(completion.usage, completion.x_groq, &list, quirks).filter(|usage| counts(usage, &choices)),
        choices,
        service_tier: filled(completion.service_tier),
        rest: members(completion.rest),
        id,
    })
}

/// The members without a field, and what tells the encoder of this format that they are of it.
fn members(rest: Rest<'_>) -> Rest<'_> {
    let is_known = |name: &str| name == OBJECT.0 || NOISE.contains(&name);
    let own = rest.into_iter().filter(|(name, _)| !is_known(name));
    own.chain([(OBJECT.0.into(), Raw::new(OBJECT.1))]).collect()
}

/// Whether counts say anything: some servers have zeros where they have not counted.
fn counts(usage: &Usage, choices: &[Choice<'_>]) -> bool {
    let says = |part: &Part<'_>| match &part.kind {
        PartKind::Text { text, .. } | PartKind::Refusal { text } | PartKind::Reasoning { text, .. } => !text.is_empty(),
        kind => matches!(kind, PartKind::ToolCall { .. }),
    };
    *usage != Usage::default() || !choices.iter().any(|choice| choice.parts.iter().any(says))
}

/// The error with which one of a whole answer's choices broke off, which nobody has decoded.
pub fn broken(choices: &str) -> Option<Error> {
    // Built once. In the text of the model its quotes would be escaped.
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
    static LACKING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(shape::OUT_OF_RESOURCES));
    // The other word ends the only choice there is (DeepSeek).
    const MOST_TAIL_BYTES: usize = 128;
    let tail = choices.as_bytes().get(choices.len().saturating_sub(MOST_TAIL_BYTES)..).unwrap_or_default();
    if ERROR.find(choices.as_bytes()).is_none() && LACKING.find(tail).is_none() {
        return None;
    }
    let list = json::parse::<Vec<Json<'_>>>(choices).unwrap_or_default();
    list.into_iter().find_map(|raw| read::<shape::Choice<'_>>(Some(raw))?.error(raw.get()))
}

fn choice<'a>(raw: Json<'a>, place: usize, seed: &str) -> Result<Choice<'a>> {
    let choice: shape::Choice<'a> = read(Some(raw)).unwrap_or_default();
    if let Some(error) = choice.error(raw.get()) {
        return Err(error);
    }
    let message: shape::Message<'a> = read(choice.message).or_else(|| read(choice.delta)).unwrap_or_default();
    let place = u64::try_from(place).unwrap_or_default();
    let parts = parts(message, place, seed);
    let calls = parts.iter().any(|p| matches!(p.kind, PartKind::ToolCall { .. }));
    let refused = parts.iter().any(|p| matches!(p.kind, PartKind::Refusal { .. }));
    Ok(Choice {
        stop: Some(finish::decode(text(choice.finish_reason), filled(choice.stop_reason), calls, refused)),
        logprobs: choice.logprobs.map(|l| Raw::new(l.get())),
        parts,
    })
}

fn part<'a>(kind: PartKind<'a>) -> Part<'a> {
    Part::new(At::default(), kind)
}

fn parts<'a>(message: shape::Message<'a>, choice: u64, seed: &str) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    reasoning_parts(&message, &mut parts);
    content_parts(&message, &mut parts);
    if let Some(refusal) = filled(message.refusal) {
        parts.push(part(PartKind::Refusal { text: refusal }));
    }
    for (place, call) in items(message.tool_calls).into_iter().enumerate() {
        if let Some(call) = read::<shape::Call<'a>>(Some(call)) {
            let kind = call_part(&call, || shape::invented_id(seed, choice, place));
            parts.push(Part { rest: call.rest, ..part(kind) });
        }
    }
    if let Some(call) = read::<shape::Named<'a>>(message.function_call) {
        let id = shape::invented_id(seed, choice, usize::MAX);
        let name = text(call.name).unwrap_or_else(|| Str::from_text(""));
        parts.push(part(PartKind::ToolCall { id, name, arguments: shape::arguments(call.arguments) }));
    }
    parts.extend(shape::images(message.images).into_iter().map(|media| part(PartKind::Image { media, detail: None })));
    for (name, value) in message.rest {
        if !value.is_null() && !NOISE.contains(&&*name) {
            let tag = Str::from_text(&format!("{MEMBER}{name}"));
            parts.push(part(PartKind::Other { tag, json: value }));
        }
    }
    parts
}

/// Before the tag of a part that is a member of a chat message and of no other format.
pub(super) const MEMBER: &str = "message.";

fn reasoning_parts<'a>(message: &shape::Message<'a>, parts: &mut Vec<Part<'a>>) {
    let direct = filled(message.reasoning_content).or_else(|| filled(message.reasoning));
    let text = direct.or_else(|| shape::joined(super::super::details::readable(message.reasoning_details), "\\n\\n"));
    if let Some(text) = text {
        parts.push(part(PartKind::Reasoning { text, signature: None }));
    }
    if let Some(details) = message.reasoning_details.filter(|d| is_array(Some(*d)) && d.get() != "[]") {
        parts.push(part(PartKind::ReasoningDetails { details: Raw::new(details.get()) }));
    }
}

fn content_parts<'a>(message: &shape::Message<'a>, parts: &mut Vec<Part<'a>>) {
    let mut citations =
        message.annotations.filter(|a| is_array(Some(*a)) && a.get() != "[]").map(|a| Raw::new(a.get()));
    for piece in shape::pieces(message.content) {
        parts.push(part(match piece {
            Piece::Text(text) => PartKind::Text { text, citations: citations.take() },
            Piece::Thinking(text) => PartKind::Reasoning { text, signature: None },
            Piece::Refusal(text) => PartKind::Refusal { text },
            Piece::Other(tag, raw) => PartKind::Other { tag, json: Raw::new(raw.get()) },
        }));
    }
}

fn call_part<'a>(call: &shape::Call<'a>, invent: impl FnOnce() -> Str<'static>) -> PartKind<'a> {
    let id = match filled(call.id) {
        Some(id) => id,
        None => invent(),
    };
    let custom = is_object(call.custom);
    let named: shape::Named<'a> = read(if custom { call.custom } else { call.function }).unwrap_or_default();
    let name = text(named.name).unwrap_or_else(|| Str::from_text(""));
    let arguments = if custom { shape::custom_arguments(named.input) } else { shape::arguments(named.arguments) };
    PartKind::ToolCall { id, name, arguments }
}
