//! An answer to its meaning.

use super::super::request::proof;
use super::super::{error, namespace, usage};
use crate::error::{Error, Kind, Result};
use crate::wire::Quirks;
use crate::wire::ir::{Arguments, At, Choice, Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::lenient::{Value, count, filled, is_object, items, read, text};
use crate::wire::scan;
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        id: Json<'a>,
        model: Json<'a>,
        created_at: Json<'a>,
        status: Json<'a>,
        error: Json<'a>,
        incomplete_details: Json<'a>,
        output: Json<'a>,
        usage: Json<'a>,
        service_tier: Json<'a>,
    }
}

wire_object! {
    struct Incomplete<'a> { reason: Json<'a> }
}

wire_object! {
    pub(in crate::wire::responses) struct Item<'a> {
        kind: Json<'a> = "type",
        id: Json<'a>,
        content: Json<'a>,
        call_id: Json<'a>,
        name: Json<'a>,
        namespace: Json<'a>,
        arguments: Json<'a>,
        input: Json<'a>,
        summary: Json<'a>,
        encrypted_content: Json<'a>,
    }
}

wire_object! {
    struct Piece<'a> {
        kind: Json<'a> = "type",
        text: Json<'a>,
        refusal: Json<'a>,
        annotations: Raw<'a>,
        logprobs: Raw<'a>,
    }
}

/// Whether a whole answer was given up, or is still being made: none to give again.
pub fn is_unfinished(body: &str) -> bool {
    let status = scan::member(body, "status").and_then(Str::from_raw);
    status.is_some_and(|status| ["cancelled", "failed", "in_progress", "queued"].iter().any(|word| status.is(word)))
}

/// Reads a whole answer; one that failed is an error.
pub fn decode<'a>(body: &'a str, _quirks: &Quirks) -> Result<Response<'a>> {
    let it: Body<'a> = json::parse(body)
        .map_err(|e| Error::new(Kind::UpstreamFailed, "the provider's answer could not be read").with_unreadable(&e))?;
    if is_object(it.error) || text(it.status).is_some_and(|s| s.is("failed")) {
        return Err(error::decode_in_band(body));
    }
    let output: Vec<Item<'a>> = items(it.output).into_iter().filter_map(|raw| read(Some(raw))).collect();
    let raws = items(it.output);
    let mut parts = Vec::new();
    for ((item, raw), index) in output.iter().zip(raws).zip(0..) {
        let at = At::item("output", index);
        let mut said = parts_of(item, raw);
        said.iter_mut().for_each(|part| part.at = at);
        said.iter_mut().take(1).for_each(|part| part.item = Some(Raw::new(raw.get())));
        parts.extend(said);
    }
    let reason = read::<Incomplete<'a>>(it.incomplete_details).and_then(|i| text(i.reason));
    let calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    let refused = parts.iter().any(|part| matches!(part.kind, PartKind::Refusal { .. }));
    let stop = stop_of(text(it.status).as_ref(), reason, calls, refused);
    let logprobs = None;
    Ok(Response {
        id: text(it.id),
        model: text(it.model),
        created: count(it.created_at),
        choices: vec![Choice { parts, stop: Some(stop), logprobs }],
        usage: usage::of_answer(it.usage, body),
        service_tier: text(it.service_tier),
        rest: it.rest,
    })
}

/// Why an answer ended.
pub(in crate::wire::responses) fn stop_of<'a>(
    status: Option<&Str<'_>>,
    reason: Option<Str<'a>>,
    calls: bool,
    refused: bool,
) -> Stop<'a> {
    let word = reason.as_ref().map(|reason| reason.escaped().to_owned());
    let stop = match (word.as_deref(), calls, refused) {
        (Some("max_output_tokens"), ..) => StopReason::MaxTokens,
        (Some("content_filter"), ..) => StopReason::Refusal,
        (None, ..) if status.is_some_and(|status| status.is("incomplete")) => StopReason::MaxTokens,
        (_, true, _) => StopReason::ToolUse,
        (_, _, true) => StopReason::Refusal,
        _ => StopReason::EndTurn,
    };
    // A refusal in words ends as any answer does: nothing cut it.
    let native = reason.or_else(|| (stop == StopReason::Refusal).then(|| Str::from_text("completed")));
    Stop { reason: stop, sequence: None, native }
}

/// The parts of an item.
pub(in crate::wire::responses) fn parts_of<'a>(item: &Item<'a>, raw: Json<'a>) -> Vec<Part<'a>> {
    let part = |kind| vec![Part::new(At::default(), kind)];
    let tag = text(item.kind).unwrap_or_else(|| Str::from_text("message"));
    match tag.escaped() {
        "message" => items(item.content).into_iter().filter_map(said).collect(),
        "reasoning" => part(PartKind::Reasoning {
            text: thought(item).unwrap_or_else(|| Str::from_text("")),
            signature: proof(filled(item.id), filled(item.encrypted_content)),
        }),
        "function_call" | "custom_tool_call" => {
            let arguments = match (tag.escaped(), text(item.arguments), item.arguments) {
                ("custom_tool_call", ..) => Arguments::Text(text(item.input).unwrap_or_else(|| Str::from_text(""))),
                (_, Some(text), _) => Arguments::Encoded(text),
                (_, None, raw) => Arguments::Object(Raw::new(raw.map_or("{}", Json::get))),
            };
            part(PartKind::ToolCall { id: call_id(item), name: name(item), arguments })
        }
        _ => part(PartKind::Other { tag, json: Raw::new(raw.get()) }),
    }
}

fn said(raw: Json<'_>) -> Option<Part<'_>> {
    let it: Piece<'_> = read(Some(raw))?;
    let kind = match (filled(it.refusal), text(it.text)) {
        (Some(text), _) => PartKind::Refusal { text },
        (None, Some(text)) => PartKind::Text { text, citations: it.annotations.filter(|a| a.get() != "[]") },
        (None, None) => return None,
    };
    Some(Part::new(At::default(), kind))
}

/// What a person reads of reasoning.
pub(in crate::wire::responses) fn thought<'a>(item: &Item<'a>) -> Option<Str<'a>> {
    let texts = |list: Value<'a>| -> Vec<Str<'a>> {
        items(list).into_iter().filter_map(|raw| filled(read::<Piece<'a>>(Some(raw))?.text)).collect()
    };
    let summary = texts(item.summary);
    let all = if summary.is_empty() { texts(item.content) } else { summary };
    let joined: Vec<&str> = all.iter().map(Str::escaped).collect();
    (!joined.is_empty()).then(|| Str::from_escaped(&joined.join("\\n\\n")))
}

pub(in crate::wire::responses) fn call_id<'a>(item: &Item<'a>) -> Str<'a> {
    filled(item.call_id).or_else(|| filled(item.id)).unwrap_or_else(|| Str::from_text("call_0"))
}

/// The name as one flat list of tools has it.
pub(in crate::wire::responses) fn name<'a>(item: &Item<'a>) -> Str<'a> {
    let name = text(item.name).unwrap_or_else(|| Str::from_text(""));
    match filled(item.namespace) {
        Some(prefix) => Str::from_text(&namespace::joined(&prefix.text(), &name.text())),
        None => name,
    }
}
