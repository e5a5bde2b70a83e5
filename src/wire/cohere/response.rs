//! A whole answer of this format.

use super::{citation, content, error, usage};
use crate::error::{Error, Kind, Result};
use crate::wire::ir::{At, Choice, Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{self, Arr, Json, Obj, Raw, Str};
use crate::wire::lenient::{items, read, text};
use crate::wire::{Client, Quirks};
use crate::wire_object;

wire_object! {
    struct Body<'a> {
        id: Json<'a>,
        message: Json<'a>,
        finish_reason: Json<'a>,
        usage: Json<'a>,
        logprobs: Json<'a>,
        error: Json<'a>,
    }
}

wire_object! {
    struct Message<'a> {
        role: Json<'a>,
        content: Json<'a>,
        tool_plan: Json<'a>,
        tool_calls: Json<'a>,
        citations: Json<'a>,
    }
}

/// Reads an answer.
///
/// # Errors
/// An error body behind a 200, or an answer that ended in one, is what it says; anything else without a
/// message is `UpstreamFailed`.
pub fn decode<'a>(body: &'a str, _quirks: &Quirks) -> Result<Response<'a>> {
    let unreadable = || Error::new(Kind::UpstreamFailed, "the provider's answer cannot be read");
    let it: Body<'a> = json::parse(body).map_err(|e| unreadable().with_unreadable(&e))?;
    let word = text(it.finish_reason);
    if let Some(error) = word.as_ref().and_then(|word| error::unfinished(word.escaped(), text(it.error).as_ref())) {
        return Err(error);
    }
    let Some(message) = read::<Message<'a>>(it.message) else {
        return Err(if text(it.message).is_some() { error::decode_in_band(body) } else { unreadable() });
    };
    let mut parts = Vec::new();
    content::decode(message.content, At::default(), &mut parts);
    cite(items(message.citations), &mut parts);
    content::plan(message.tool_plan, At::default(), &mut parts);
    let said = parts.len();
    content::calls(message.tool_calls, At::default(), &mut parts);
    let calls = parts.len() > said;
    let choice =
        Choice { parts, stop: word.map(|word| stop(word, calls)), logprobs: content::logprobs(items(it.logprobs)) };
    let usage = it.usage.and_then(|raw| usage::decode(raw.get()));
    Ok(Response { id: text(it.id), choices: vec![choice], usage, ..Response::default() })
}

/// Gives citations to the texts they are about: the last, where they do not say.
fn cite(citations: Vec<Json<'_>>, parts: &mut [Part<'_>]) {
    let is_text = |part: &Part<'_>| matches!(part.kind, PartKind::Text { .. });
    let last = parts.iter().rposition(is_text);
    let mut lists: Vec<Vec<Raw<'static>>> = vec![Vec::new(); parts.len()];
    for raw in citations.into_iter().filter(|raw| citation::is_of_text(raw.get())) {
        let told = citation::index(raw.get()).and_then(|index| usize::try_from(index).ok());
        let list = told.or(last).and_then(|index| lists.get_mut(index));
        list.into_iter().for_each(|list| list.extend(citation::anthropic(raw.get())));
    }
    for (part, list) in parts.iter_mut().zip(lists).filter(|(_, list)| !list.is_empty()) {
        if let PartKind::Text { citations, .. } = &mut part.kind {
            let list: Vec<&str> = list.iter().map(Raw::get).collect();
            *citations = Some(Raw::owned(format!("[{}]", list.join(","))));
        }
    }
}

/// The reason behind this format's word.
pub(super) fn stop(word: Str<'_>, calls: bool) -> Stop<'_> {
    let reason = match word.escaped() {
        "COMPLETE" if calls => StopReason::ToolUse,
        "COMPLETE" => StopReason::EndTurn,
        "STOP_SEQUENCE" => StopReason::StopSequence,
        "MAX_TOKENS" => StopReason::MaxTokens,
        "TOOL_CALL" => StopReason::ToolUse,
        // Words of the first version.
        "ERROR_LIMIT" => StopReason::ContextFull,
        "ERROR_TOXIC" => StopReason::Refusal,
        _ => StopReason::Other,
    };
    Stop { reason, sequence: None, native: Some(word) }
}

/// This format's word.
pub(super) fn stop_word(stop: Option<&Stop<'_>>, calls: bool) -> &'static str {
    match stop.map_or(StopReason::EndTurn, |stop| stop.reason) {
        StopReason::MaxTokens | StopReason::ContextFull => "MAX_TOKENS",
        StopReason::StopSequence => "STOP_SEQUENCE",
        StopReason::ToolUse => "TOOL_CALL",
        _ if calls => "TOOL_CALL",
        _ => "COMPLETE",
    }
}

/// Writes an answer: its first choice, there is room for one only.
pub fn encode(response: &Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let choice = response.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let calls = parts.iter().any(is_call);
    let mut body = Obj::new(out);
    match &response.id {
        Some(id) => body.str("id", id),
        None => body.text("id", client.id),
    };
    body.text("finish_reason", stop_word(choice.and_then(|choice| choice.stop.as_ref()), calls));
    {
        let mut message = body.obj("message");
        message.text("role", "assistant");
        encode_parts(parts, calls, client, &mut message);
    }
    usage::encode(&response.usage.unwrap_or_default(), body.key("usage"));
}

fn is_call(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::ToolCall { .. })
}

fn encode_parts(parts: &[Part<'_>], calls: bool, client: &Client<'_>, message: &mut Obj<'_>) {
    let mut plan = String::new();
    let mut content = Vec::new();
    let mut list = Arr::new(&mut content);
    for part in parts {
        match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } if calls => plan.push_str(text.escaped()),
            PartKind::Text { text, .. } | PartKind::Refusal { text } => {
                _ = list.obj().text("type", "text").str("text", text);
            }
            PartKind::Reasoning { text, .. } => _ = list.obj().text("type", "thinking").str("thinking", text),
            PartKind::Other { json, .. } => _ = list.raw(json.get()),
            _ => {}
        }
    }
    drop(list);
    if content != b"[]" {
        message.key("content").extend_from_slice(&content);
    }
    if !plan.is_empty() {
        message.str("tool_plan", &Str::from_escaped(&plan));
    }
    if calls {
        let mut list = message.arr("tool_calls");
        for (index, part) in parts.iter().filter(|part| is_call(part)).enumerate() {
            encode_call(part, index, client, list.obj());
        }
    }
}

fn encode_call(part: &Part<'_>, index: usize, client: &Client<'_>, mut call: Obj<'_>) {
    let PartKind::ToolCall { id, name, arguments } = &part.kind else { return };
    match id.is_empty() {
        true => call.text("id", &format!("call_{}_{index}", client.id)),
        false => call.str("id", id),
    };
    call.text("type", "function");
    call.obj("function").str("name", name).raw("arguments", &arguments.encoded());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seal::Seal;
    use crate::wire::{self, Dialect};

    fn kinds(response: &Response<'_>) -> Vec<String> {
        let parts = response.choices.iter().flat_map(|choice| &choice.parts);
        parts
            .map(|part| match &part.kind {
                PartKind::Text { text, citations } => {
                    format!("text {}{}", text.text(), citations.as_ref().map_or("", |_| ", cited"))
                }
                PartKind::Reasoning { text, .. } => format!("thought {}", text.text()),
                PartKind::ToolCall { id, name, .. } => format!("call {} {}", id.text(), name.text()),
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn client(seal: &Seal) -> Client<'_> {
        Client { created: 1, ..Client::of("m", "i", seal) }
    }

    #[test]
    fn thoughts_plans_and_calls_come_in_order() {
        let body = r#"{"id":"m1","message":{"role":"assistant","tool_plan":"I will","content":[
            {"type":"thinking","thinking":"hm"}],"tool_calls":[{"id":"f_1","type":"function",
            "function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"TOOL_CALL",
            "usage":{"tokens":{"input_tokens":5,"output_tokens":2}}}"#;
        let response = decode(body, &Quirks::NONE).unwrap();
        assert_eq!(kinds(&response), ["thought hm", "text I will", "call f_1 f"]);
        assert_eq!(response.choices[0].stop.as_ref().unwrap().reason, StopReason::ToolUse);
        assert_eq!(response.usage.unwrap().total_tokens(), 7);
        let seal = Seal::new("cohere", b"k");
        let client = client(&seal);
        let mut out = Vec::new();
        encode(&response, &client, &mut out);
        let again = String::from_utf8(out).unwrap();
        assert_eq!(kinds(&decode(&again, &Quirks::NONE).unwrap()), ["thought hm", "text I will", "call f_1 f"]);
    }

    #[test]
    fn citations_go_to_the_text_they_are_about() {
        let source = r#""sources":[{"type":"document","id":"doc:0","document":{"text":"t"}}]"#;
        let body = format!(
            r#"{{"message":{{"content":[{{"type":"text","text":"a"}},{{"type":"text","text":"b"}}],"citations":[
                {{"start":0,"end":1,{source}}},{{"content_index":9,{source}}},{{"type":"PLAN",{source}}}]}},
                "finish_reason":"COMPLETE"}}"#
        );
        assert_eq!(kinds(&decode(&body, &Quirks::NONE).unwrap()), ["text a", "text b, cited"]);
        let body = body.replace(r#""start":0"#, r#""content_index":0"#);
        assert_eq!(kinds(&decode(&body, &Quirks::NONE).unwrap()), ["text a, cited", "text b"]);
    }

    /// Where a text stands that has a source is told to those whose format has a slot for it, whole and streamed.
    #[test]
    fn cited_texts_keep_their_place() {
        let seal = Seal::new("cohere", b"k");
        let client = client(&seal);
        let cited = r#"{"start":4,"end":8,"text":"Ruby","type":"TEXT_CONTENT","sources":[
            {"type":"tool","id":"https://e/x","tool_output":{"content":"c","title":"t","url":"https://e/x"}}]}"#;
        let body = format!(
            r#"{{"id":"a","message":{{"role":"assistant","content":[{{"type":"text","text":"It's Ruby now."}}],
                "citations":[{cited}]}},"finish_reason":"COMPLETE"}}"#
        );
        let events = [
            r#"{"type":"message-start","id":"a","delta":{"message":{"role":"assistant"}}}"#.to_owned(),
            r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":"It's Ruby now."}}}}"#
                .to_owned(),
            format!(r#"{{"type":"citation-start","index":0,"delta":{{"message":{{"citations":{cited}}}}}}}"#),
            r#"{"type":"content-end","index":0}"#.to_owned(),
            r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#.to_owned(),
        ];
        for dialect in [Dialect::OpenAiChat, Dialect::Responses, Dialect::Anthropic] {
            let (mut whole, mut streamed) = (Vec::new(), Vec::new());
            wire::encode_response(dialect, &decode(&body, &Quirks::NONE).unwrap(), &client, &mut whole);
            let mut decoder = wire::stream_decoder(Dialect::Cohere, &Quirks::NONE);
            let mut encoder = wire::stream_encoder(dialect, &client);
            events.iter().for_each(|event| decoder.event("", event, &mut |event| encoder.event(event, &mut streamed)));
            for out in [whole, streamed] {
                let out = String::from_utf8(out).unwrap();
                let has = |words: &str| out.contains(words);
                match dialect {
                    Dialect::Anthropic => assert!(has("https://e/x") && !has("start_index"), "{out}"),
                    _ => assert!(has(r#""start_index":4,"end_index":8,"url":"https://e/x""#), "{out}"),
                }
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let kind = |body: &str| decode(body, &Quirks::NONE).unwrap_err().kind();
        assert_eq!(kind(r#"{"id":"x","message":"no"}"#), Kind::UpstreamFailed);
        assert_eq!(kind(r#"{"message":{"content":[]},"finish_reason":"TIMEOUT"}"#), Kind::UpstreamTimeout);
        for body in ["{}", "[]", "x", r#"{"message":[]}"#] {
            assert_eq!(kind(body), Kind::UpstreamFailed, "{body}");
        }
        let nothing = decode(r#"{"message":{"role":"assistant"},"finish_reason":"COMPLETE"}"#, &Quirks::NONE).unwrap();
        assert_eq!(nothing.choices[0].parts.len(), 0);
    }
}
