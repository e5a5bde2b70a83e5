//! Whole answers of this format, and what streams have in common with them.
//!
//! Towards clients the newest official SDK must validate them strictly (2.12, seen 2026-11), so only
//! members and words that it knows go out: of a chat answer's own members none, of unknown reasons
//! to stop `end_turn`, of a service tier nothing but `standard`, `priority` and `batch`.

use serde_json::value::RawValue;

use super::block::{self, Rests};
use super::{error, thinking, usage};
use crate::error::{Error, Kind, Result};
use crate::usage::tokens::Usage;
use crate::wire::ir::{At, Choice, Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{Arr, Obj, Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Client, Quirks};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        kind: &'a RawValue = "type",
        id: &'a RawValue,
        role: &'a RawValue,
        model: &'a RawValue,
        content: &'a RawValue,
        stop_reason: &'a RawValue,
        stop_sequence: &'a RawValue,
        usage: &'a RawValue,
    }
}

pub(super) fn string(raw: Option<&RawValue>) -> Option<Str<'_>> {
    Str::from_raw(raw?.get())
}

/// Reads an answer.
///
/// # Errors
/// An error body behind a 200 is what it says; anything else without `content` is `UpstreamFailed`.
pub fn decode<'a>(body: &'a str, quirks: &Quirks) -> Result<Response<'a>> {
    let unreadable = || Error::new(Kind::UpstreamFailed, "the provider's answer cannot be read");
    let fields: Body<'a> = serde_json::from_str(body).map_err(|e| unreadable().with_detail(e))?;
    if string(fields.kind).is_some_and(|kind| kind.is("error")) {
        return Err(error::decode_event(body));
    }
    let content = fields.content.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    let items = content.ok_or_else(unreadable)?.into_iter().enumerate();
    let parts = items.map(|(index, item)| block::decode(item.get(), At::item("content", index)));
    let choice = Choice {
        parts: parts.filter(|part| !matches!(&part.kind, PartKind::Other { tag, .. } if tag.is_empty())).collect(),
        stop: string(fields.stop_reason).map(|word| stop(word, string(fields.stop_sequence))),
        logprobs: None,
    };
    Ok(Response {
        id: string(fields.id),
        model: string(fields.model),
        created: None,
        choices: vec![choice],
        usage: fields.usage.and_then(|raw| usage::decode(raw.get(), quirks)),
        service_tier: fields.usage.and_then(|raw| usage::tier(raw.get())),
        rest: fields.rest,
    })
}

/// The reason behind this format's word.
pub(super) fn stop<'a>(word: Str<'a>, sequence: Option<Str<'a>>) -> Stop<'a> {
    let reason = match word.escaped() {
        "end_turn" => StopReason::EndTurn,
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolUse,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        "model_context_window_exceeded" => StopReason::ContextFull,
        _ => StopReason::Other,
    };
    Stop { reason, sequence, native: Some(word) }
}

/// What an answer held, as far as its `stop_reason` depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) calls: bool,
    pub(super) refusal: bool,
}

/// This format's word. Some upstreams say `stop` when they called a tool or refused.
pub(super) fn stop_word(stop: Option<&Stop<'_>>, held: Held) -> &'static str {
    match stop.map_or(StopReason::EndTurn, |stop| stop.reason) {
        StopReason::MaxTokens => "max_tokens",
        StopReason::StopSequence => "stop_sequence",
        StopReason::ToolUse if held.calls => "tool_use",
        StopReason::Refusal => "refusal",
        StopReason::Pause => "pause_turn",
        StopReason::ContextFull => "model_context_window_exceeded",
        StopReason::EndTurn | StopReason::ToolUse | StopReason::Other if held.refusal => "refusal",
        StopReason::EndTurn | StopReason::Other if held.calls => "tool_use",
        StopReason::EndTurn | StopReason::ToolUse | StopReason::Other => "end_turn",
    }
}

/// Writes an answer for a client: its first choice, there is room for one only.
pub fn encode(response: &Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let choice = response.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    let held = Held {
        calls: parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. })),
        refusal: parts.iter().any(|part| matches!(part.kind, PartKind::Refusal { .. })),
    };
    let mut body = Obj::new(out);
    encode_head(response.id.as_ref(), response.model.as_ref(), client, &mut body);
    encode_parts(parts, client, body.key("content"));
    body.text("stop_reason", stop_word(stop, held));
    encode_sequence(stop, &mut body);
    let usage = response.usage.unwrap_or_else(|| estimate(client));
    let tier = response.service_tier.as_ref().map(Str::text);
    usage::encode_answer(&usage, tier.as_deref(), body.key("usage"));
    for (name, value) in response.rest.iter().filter(|(name, _)| is_member(name)) {
        body.raw(name, value.get());
    }
}

/// Members of an answer, beyond those that every answer has, that the official SDK knows.
fn is_member(name: &str) -> bool {
    matches!(name, "container" | "context_management" | "diagnostics" | "stop_details")
}

/// Where the upstream counted nothing: the prompt as counted here.
pub(super) fn estimate(client: &Client<'_>) -> Usage {
    Usage { fresh_input_tokens: client.input_estimate_tokens, ..Usage::default() }
}

/// The members that come before the content.
pub(super) fn encode_head(id: Option<&Str<'_>>, model: Option<&Str<'_>>, client: &Client<'_>, body: &mut Obj<'_>) {
    body.text("id", &message_id(id, client)).text("type", "message").text("role", "assistant");
    match model.filter(|model| !model.is_empty()) {
        Some(model) => body.str("model", model),
        None => body.text("model", client.model),
    };
}

/// Ids begin with `msg_` here.
fn message_id(id: Option<&Str<'_>>, client: &Client<'_>) -> String {
    match id.map(Str::text).filter(|id| !id.is_empty()) {
        Some(id) if id.starts_with("msg_") => id.into_owned(),
        Some(id) => format!("msg_{}", id.strip_prefix("chatcmpl-").unwrap_or(&id)),
        None => format!("msg_{}", client.id),
    }
}

pub(super) fn encode_sequence(stop: Option<&Stop<'_>>, body: &mut Obj<'_>) {
    match stop.filter(|stop| stop.reason == StopReason::StopSequence).and_then(|stop| stop.sequence.as_ref()) {
        Some(sequence) => body.str("stop_sequence", sequence),
        None => body.null("stop_sequence"),
    };
}

fn encode_parts(parts: &[Part<'_>], client: &Client<'_>, out: &mut Vec<u8>) {
    let mut details = parts.iter().find_map(|part| match &part.kind {
        PartKind::ReasoningDetails { details } => Some(details),
        _ => None,
    });
    let has_text = parts.iter().any(|part| matches!(part.kind, PartKind::Reasoning { .. }));
    let mut list = Arr::new(out);
    for (index, part) in parts.iter().enumerate() {
        match &part.kind {
            PartKind::Reasoning { text, signature } => {
                let signature = signature.as_ref().filter(|signature| !signature.is_empty());
                let details = details.take_if(|_| signature.is_none());
                let text = text.escaped();
                encode_thinking(text, signature, details, client.seal, list.item());
            }
            PartKind::ReasoningDetails { details: raw } if !has_text => {
                encode_thinking(&thinking::readable(raw.get()), None, details.take(), client.seal, list.item());
            }
            PartKind::ToolCall { id, name, arguments } if id.is_empty() => {
                let invented = format!("\"{}\"", call_id(client, index));
                block::encode_call(&mut list.obj(), &invented, name, arguments);
            }
            _ if is_shown(part) => block::encode(part, Rests::Leave, list.item()),
            _ => {}
        }
    }
}

/// An id for a call that got none.
pub(super) fn call_id(client: &Client<'_>, index: impl std::fmt::Display) -> String {
    format!("toolu_{}_{index}", client.id)
}

/// Parts that this format's answers have a block for.
fn is_shown(part: &Part<'_>) -> bool {
    match &part.kind {
        PartKind::Text { text, .. } | PartKind::Refusal { text } => !text.is_empty(),
        PartKind::ToolCall { .. } | PartKind::RedactedReasoning { .. } => true,
        PartKind::Other { tag, json } => json.is_object() && block::is_answer_block(tag),
        _ => false,
    }
}

/// `text` is the inside of a string literal. What a chat upstream needs back is sealed into the
/// signature; one that needs nothing gets an empty seal, which says whose thinking it was.
fn encode_thinking(text: &str, signature: Option<&Str<'_>>, details: Option<&Raw<'_>>, seal: &Seal, out: &mut Vec<u8>) {
    let mut block = Obj::new(out);
    block.text("type", "thinking").raw("thinking", &format!("\"{text}\""));
    match signature {
        Some(signature) => block.str("signature", signature),
        None => block.text("signature", &seal.close(details.map_or(b"", |raw| raw.get().as_bytes()))),
    };
}
