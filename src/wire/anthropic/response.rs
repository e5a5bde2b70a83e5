//! Whole answers of this format, and what streams have in common with them.
//!
//! Towards clients the newest official SDK must validate them strictly (2.12, seen 2026-11), so only
//! members and words that it knows go out: of a chat answer's own members none, of unknown reasons
//! to stop `end_turn`, of a service tier nothing but `standard`, `priority` and `batch`.

use super::block::{self, Rests};
use super::{error, usage};
use crate::error::{Error, Kind, Result};
use crate::usage::tokens::Usage;
use crate::wire::ir::{At, Choice, Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{self, Arr, Json, Obj, Str};
use crate::wire::seal::Seal;
use crate::wire::{Client, Quirks};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        kind: Json<'a> = "type",
        id: Json<'a>,
        role: Json<'a>,
        model: Json<'a>,
        content: Json<'a>,
        stop_reason: Json<'a>,
        stop_sequence: Json<'a>,
        usage: Json<'a>,
    }
}

pub(super) fn string(raw: Option<Json<'_>>) -> Option<Str<'_>> {
    Str::from_raw(raw?.get())
}

/// Reads an answer.
///
/// # Errors
/// An error body behind a 200 is what it says; anything else without `content` is `UpstreamFailed`.
pub fn decode<'a>(body: &'a str, quirks: &Quirks) -> Result<Response<'a>> {
    let unreadable = || Error::new(Kind::UpstreamFailed, "the provider's answer cannot be read");
    let fields: Body<'a> = json::parse(body).map_err(|e| unreadable().with_unreadable(&e))?;
    if string(fields.kind).is_some_and(|kind| kind.is("error")) {
        return Err(error::decode_event(body));
    }
    let content = fields.content.and_then(|raw| json::parse::<Vec<Json<'_>>>(raw.get()).ok());
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
    let mut list = Arr::new(out);
    for (index, part) in parts.iter().enumerate() {
        match &part.kind {
            PartKind::Reasoning { text, .. } if text.is_empty() && ends_text(parts, index) => {}
            PartKind::Reasoning { text, signature } => {
                let signature = signature.as_ref().filter(|signature| !signature.is_empty());
                encode_thinking(text, signature, client.seal, list.item());
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

/// Whether what stands there follows a text and is followed by nothing: a bare proof has no place there,
/// see [`super::stream`].
fn ends_text(parts: &[Part<'_>], index: usize) -> bool {
    let is_block = |part: &&Part<'_>| is_shown(part) || matches!(part.kind, PartKind::Reasoning { .. });
    let before = parts.iter().take(index).rfind(is_block);
    before.is_some_and(|part| matches!(part.kind, PartKind::Text { .. }))
        && !parts.iter().skip(index + 1).any(|part| is_block(&part))
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
        PartKind::Other { tag, json } => block::is_answer_block(tag, json),
        _ => false,
    }
}

/// Thinking that proves nothing gets an empty seal, which says that it was another's: its own provider
/// would refuse it without a signature.
fn encode_thinking(text: &Str<'_>, signature: Option<&Str<'_>>, seal: &Seal, out: &mut Vec<u8>) {
    let mut block = Obj::new(out);
    block.text("type", "thinking").str("thinking", text);
    match signature {
        Some(signature) => block.str("signature", signature),
        None => block.text("signature", &seal.close(b"")),
    };
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

    use serde_json::{Value, json};

    use super::*;
    use crate::wire::json::Raw;

    fn seal() -> Seal {
        Seal::new("chat", b"k")
    }

    fn written(response: &Response<'_>) -> Value {
        let seal = seal();
        let client = Client { created: 1, input_estimate_tokens: 42, ..Client::of("cm", "0198", &seal) };
        let mut out = Vec::new();
        encode(response, &client, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    fn of(parts: Vec<PartKind<'static>>, reason: Option<StopReason>) -> Response<'static> {
        let parts = parts.into_iter().map(|kind| Part::new(At::default(), kind)).collect();
        Response { choices: vec![Choice { parts, stop: reason.map(Stop::of), logprobs: None }], ..Response::default() }
    }

    fn text(s: &str) -> Str<'static> {
        Str::from_text(s)
    }

    #[test]
    fn an_answer_of_the_same_format_comes_back() {
        let body = json!({"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
                {"type":"thinking","thinking":"t","signature":"s=="},
                {"type":"redacted_thinking","data":"d"},
                {"type":"text","text":"a","citations":[{"type":"page_location","cited_text":"c"}]},
                {"type":"brand_new_tool_result","tool_use_id":"x","content":{"a":1}},
                {"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}],
            "stop_reason":"stop_sequence","stop_sequence":"END","stop_details":null,"container":{"id":"c"},
            "usage":{"input_tokens":1,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":4,
                "server_tool_use":null,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":0},
                "service_tier":"priority"}});
        let source = body.to_string();
        let got = written(&decode(&source, &Quirks::NONE).unwrap());
        assert_eq!(got, body);
    }

    #[test]
    fn an_empty_chat_answer_is_a_valid_message() {
        let got = written(&Response { choices: Vec::new(), ..Response::default() });
        assert_eq!((&got["id"], &got["model"], &got["content"]), (&json!("msg_0198"), &json!("cm"), &json!([])));
        assert_eq!((&got["stop_reason"], &got["usage"]["input_tokens"]), (&json!("end_turn"), &json!(42)));
    }

    /// Peers row 1: the reasoning of a chat upstream is a thinking block with a signature of ours.
    #[test]
    fn reasoning_without_a_proof_gets_an_empty_seal() {
        let got = written(&of(vec![PartKind::Reasoning { text: text("t"), signature: None }], None));
        assert_eq!(got["content"][0]["thinking"], "t");
        assert_eq!(seal().open(got["content"][0]["signature"].as_str().unwrap()).unwrap().payload, b"");
    }

    #[test]
    fn no_answer_ends_in_a_bare_proof_after_its_text() {
        let said = || PartKind::Text { text: text("said"), citations: None };
        let proof = || PartKind::Reasoning { text: text(""), signature: Some(text("PROOF")) };
        let kinds = |parts| -> Vec<String> {
            let got = written(&of(parts, None));
            got["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(kinds(vec![said(), proof()]), ["text"]);
        assert_eq!(kinds(vec![said(), proof(), said()]), ["text", "thinking", "text"]);
        assert_eq!(kinds(vec![proof()]), ["thinking"]);
    }

    #[test]
    fn the_reason_to_stop_fits_what_was_said() {
        let call = || PartKind::ToolCall { id: text(""), name: text("f"), arguments: arguments("") };
        let refusal = || PartKind::Refusal { text: text("no") };
        let reason = |parts, reason| written(&of(parts, Some(reason)))["stop_reason"].clone();
        assert_eq!(reason(vec![call()], StopReason::EndTurn), "tool_use");
        assert_eq!(reason(vec![call()], StopReason::MaxTokens), "max_tokens");
        assert_eq!(reason(vec![refusal()], StopReason::EndTurn), "refusal");
        assert_eq!(reason(Vec::new(), StopReason::ToolUse), "end_turn");
        assert_eq!(reason(Vec::new(), StopReason::ContextFull), "model_context_window_exceeded");
        assert_eq!(reason(Vec::new(), StopReason::Other), "end_turn");
    }

    fn arguments(s: &str) -> crate::wire::ir::Arguments<'static> {
        crate::wire::ir::Arguments::Encoded(text(s))
    }

    #[test]
    fn calls_have_an_id_and_an_object() {
        let call = |id, s| PartKind::ToolCall { id: text(id), name: text("f"), arguments: arguments(s) };
        let got = written(&of(vec![call("", ""), call("b", "{\"x\":1}"), call("c", "{\"x\":")], None));
        assert_eq!(
            got["content"],
            json!([
                {"type":"tool_use","id":"toolu_0198_0","name":"f","input":{}},
                {"type":"tool_use","id":"b","name":"f","input":{"x":1}},
                {"type":"tool_use","id":"c","name":"f","input":{"arguments":"{\"x\":"}},
            ])
        );
    }

    #[test]
    fn other_formats_members_and_annotations_stay_out() {
        let annotations = Some(Raw::new(r#"[{"type":"url_citation","url":"u"}]"#));
        let other = PartKind::Other { tag: text("message.audio"), json: Raw::new(r#"{"id":"a"}"#) };
        let mut response = of(vec![PartKind::Text { text: text("a"), citations: annotations }, other], None);
        response.rest = vec![("system_fingerprint".into(), Raw::new("\"fp\""))];
        response.service_tier = Some(text("on_demand"));
        let got = written(&response);
        assert_eq!(got["content"], json!([{"type":"text","text":"a"}]));
        assert_eq!((got.get("system_fingerprint"), &got["usage"]["service_tier"]), (None, &Value::Null));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(decode(overloaded, &Quirks::NONE).unwrap_err().kind(), Kind::UpstreamOverloaded);
        for odd in ["{}", "[]", "x", r#"{"content":"text"}"#] {
            assert_eq!(decode(odd, &Quirks::NONE).unwrap_err().kind(), Kind::UpstreamFailed, "{odd}");
        }
    }
}
