//! A whole answer of this format.

use super::request::encode_arguments;
use super::{block, error, usage};
use crate::error::{Error, Kind, Result};
use crate::wire::ir::{At, Choice, Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{self, Arr, Json, Obj, Str};
use crate::wire::lenient::Value;
use crate::wire::openai_chat::error::broke_off;
use crate::wire::{Client, Quirks};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        output: Output<'a>,
        stop_reason: Json<'a> = "stopReason",
        usage: Json<'a>,
        service_tier: Tier<'a> = "serviceTier",
        extra: Json<'a> = "additionalModelResponseFields",
        message: Json<'a>,
        kind: Json<'a> = "__type",
    }
}

wire_object! {
    struct Output<'a> { message: Message<'a> }
}

wire_object! {
    struct Message<'a> { role: Json<'a>, content: Json<'a> }
}

wire_object! {
    struct Tier<'a> { kind: Str<'a> = "type" }
}

wire_object! {
    struct Extra<'a> { sequence: Str<'a> = "stop_sequence", delta: Delta<'a> }
}

wire_object! {
    struct Delta<'a> { sequence: Str<'a> = "stop_sequence" }
}

/// Reads an answer.
///
/// # Errors
/// An error body behind a 200 is what it says; a broken answer, and anything else without a message, is
/// `UpstreamFailed`.
pub fn decode<'a>(body: &'a str, _quirks: &Quirks) -> Result<Response<'a>> {
    let unreadable = || Error::new(Kind::UpstreamFailed, "the provider's answer cannot be read");
    let it: Body<'a> = json::parse(body).map_err(|e| unreadable().with_unreadable(&e))?;
    let Some(message) = it.output.and_then(|output| output.message) else {
        return Err(if it.message.or(it.kind).is_some() { error::decode_in_band(body) } else { unreadable() });
    };
    if let Some(error) = string(it.stop_reason).and_then(|word| broken(&word)) {
        return Err(error);
    }
    let choice = Choice {
        parts: block::decode_list(message.content, |index| At::item("content", index)),
        stop: string(it.stop_reason).map(|word| stop(word, sequence(it.extra))),
        logprobs: None,
    };
    Ok(Response {
        choices: vec![choice],
        usage: it.usage.and_then(|raw| usage::decode(raw.get())),
        service_tier: it.service_tier.and_then(|tier| tier.kind),
        // Latency and traces of guardrails: nothing that another format has a place for.
        ..Response::default()
    })
}

fn string(raw: Option<Json<'_>>) -> Option<Str<'_>> {
    Str::from_raw(raw?.get())
}

/// The sequence that stopped the answer, where `additionalModelResponseFieldPaths` asked for it.
pub(super) fn sequence(extra: Value<'_>) -> Option<Str<'static>> {
    let extra: Extra<'_> = json::parse(extra?.get()).ok()?;
    extra.sequence.or_else(|| extra.delta?.sequence).map(Str::into_owned)
}

/// The error of an answer that broke off, by this format's word.
pub(super) fn broken(word: &Str<'_>) -> Option<Error> {
    let word = ["malformed_model_output", "malformed_tool_use"].into_iter().find(|own| word.is(own))?;
    Some(broke_off(word, None))
}

/// The reason behind this format's word.
pub(super) fn stop<'a>(word: Str<'a>, sequence: Option<Str<'a>>) -> Stop<'a> {
    let reason = match word.escaped() {
        "end_turn" => StopReason::EndTurn,
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolUse,
        "guardrail_intervened" | "content_filtered" => StopReason::Refusal,
        "model_context_window_exceeded" => StopReason::ContextFull,
        _ => StopReason::Other,
    };
    Stop { reason, sequence, native: Some(word) }
}

/// This format's word.
pub(super) fn stop_word(stop: Option<&Stop<'_>>, calls: bool) -> &'static str {
    match stop.map_or(StopReason::EndTurn, |stop| stop.reason) {
        StopReason::MaxTokens => "max_tokens",
        StopReason::StopSequence => "stop_sequence",
        StopReason::Refusal => "content_filtered",
        StopReason::ContextFull => "model_context_window_exceeded",
        StopReason::EndTurn | StopReason::ToolUse | StopReason::Pause | StopReason::Other if calls => "tool_use",
        StopReason::EndTurn | StopReason::ToolUse | StopReason::Pause | StopReason::Other => "end_turn",
    }
}

/// Writes an answer: its first choice, there is room for one only.
pub fn encode(response: &Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let choice = response.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    let mut body = Obj::new(out);
    {
        let mut output = body.obj("output");
        let mut message = output.obj("message");
        message.text("role", "assistant");
        encode_parts(parts, client, message.key("content"));
    }
    body.text("stopReason", stop_word(stop, calls));
    usage::encode(&response.usage.unwrap_or_default(), body.key("usage"));
    if let Some(sequence) = stop.and_then(|stop| stop.sequence.as_ref()) {
        body.obj("additionalModelResponseFields").str("stop_sequence", sequence);
    }
    if let Some(tier) = &response.service_tier {
        body.obj("serviceTier").str("type", tier);
    }
    // Required here; nobody measured it.
    body.obj("metrics").num("latencyMs", 0);
}

fn encode_parts(parts: &[Part<'_>], client: &Client<'_>, out: &mut Vec<u8>) {
    let mut list = Arr::new(out);
    for (index, part) in parts.iter().enumerate() {
        match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } => _ = list.obj().str("text", text),
            PartKind::ToolCall { id, name, arguments } => {
                let mut o = list.obj();
                let mut call = o.obj("toolUse");
                match id.is_empty() {
                    true => call.text("toolUseId", &format!("tooluse_{}_{index}", client.id)),
                    false => call.str("toolUseId", id),
                };
                call.str("name", name);
                encode_arguments(arguments, call.key("input"));
            }
            PartKind::Reasoning { text, signature } => {
                let mut o = list.obj();
                let mut content = o.obj("reasoningContent");
                let mut reasoning = content.obj("reasoningText");
                reasoning.str("text", text);
                signature.iter().for_each(|signature| _ = reasoning.str("signature", signature));
            }
            PartKind::RedactedReasoning { data } => _ = list.obj().obj("reasoningContent").str("redactedContent", data),
            PartKind::Other { tag, json } if tag.is(block::tag(json.get()).0) => _ = list.raw(json.get()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_broke_off_is_an_error() {
        let of = |word: &str| {
            let body =
                format!(r#"{{"output":{{"message":{{"role":"assistant","content":[]}}}},"stopReason":"{word}"}}"#);
            decode(&body, &Quirks::NONE).map(|_| ()).map_err(|e| (e.kind(), e.public().to_owned()))
        };
        for word in ["malformed_model_output", "malformed_tool_use"] {
            assert_eq!(of(word), Err((Kind::UpstreamFailed, format!("the model's answer broke off: {word}"))));
        }
        assert_eq!(of("brand_new"), Ok(()));
    }
}
