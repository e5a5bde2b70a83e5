//! Whole answers: <https://ai.google.dev/api/generate-content#generatecontentresponse>.
//!
//! What a candidate has beyond its content (`groundingMetadata`, `safetyRatings`) is kept in a part
//! of its own, tagged `candidate`: only this format has a place for it.

use super::part::{self, Calls};
use super::{error, logprobs, usage};
use crate::error::{Error, Kind, Result};
use crate::wire::ir::{At, Choice, Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{self, Arr, Json, Listed, Obj, Raw, Rest, Str};
use crate::wire::lenient::{Value, filled, is_object, items, read, text};
use crate::wire::openai_chat::error::broke_off;
use crate::wire::{Client, Quirks};
use crate::wire_object;

/// The part that holds what a candidate has beyond its content.
pub(super) const CANDIDATE: &str = "candidate";

/// The word for a call of a tool that was not declared.
const UNEXPECTED_TOOL_CALL: &str = "UNEXPECTED_TOOL_CALL";

wire_object! {
    pub(super) struct Body<'a> {
        candidates: Json<'a>,
        feedback: Json<'a> = "promptFeedback" | "prompt_feedback",
        usage: Json<'a> = "usageMetadata" | "usage_metadata",
        model: Json<'a> = "modelVersion" | "model_version",
        id: Json<'a> = "responseId" | "response_id",
        error: Json<'a>,
    }
}

wire_object! {
    pub(super) struct Candidate<'a> {
        content: Json<'a>,
        reason: Json<'a> = "finishReason" | "finish_reason",
        index: Json<'a>,
    }
}

wire_object! {
    pub(super) struct Content<'a> { parts: Listed<'a>, role: Json<'a> }
}

wire_object! {
    struct Feedback<'a> {
        reason: Json<'a> = "blockReason" | "block_reason",
        message: Json<'a> = "blockReasonMessage" | "block_reason_message",
    }
}

/// Reads an answer.
///
/// # Errors
/// An error behind a 200 is what it says; what is no answer, or a broken one, is `UpstreamFailed`.
pub fn decode<'a>(body: &'a str, _quirks: &Quirks) -> Result<Response<'a>> {
    let unreadable = || Error::new(Kind::UpstreamFailed, "the provider's answer could not be read");
    let it: Body<'a> = json::parse(body).map_err(|e| unreadable().with_unreadable(&e))?;
    if is_object(it.error) {
        return Err(error::decode_in_band(body));
    }
    if it.candidates.is_none() && it.feedback.is_none() && it.usage.is_none() {
        return Err(unreadable().with_detail("neither candidates nor feedback"));
    }
    let id = text(it.id);
    let mut calls = Calls::of(id.as_ref(), body);
    let candidates = items(it.candidates).into_iter().filter_map(|raw| read::<Candidate<'a>>(Some(raw)));
    let mut choices: Vec<Choice<'a>> =
        candidates.map(|candidate| choice(&candidate, &mut calls)).collect::<Result<_>>()?;
    if choices.is_empty() {
        // Nothing said is an answer too: clients take its first choice without looking.
        let nothing = || Choice { parts: Vec::new(), stop: Some(Stop::of(StopReason::EndTurn)), logprobs: None };
        choices.push(blocked(it.feedback).unwrap_or_else(nothing));
    }
    Ok(Response {
        id,
        model: text(it.model),
        created: None,
        choices,
        usage: usage::decode(it.usage),
        service_tier: usage::tier(it.usage),
        rest: it.rest,
    })
}

fn choice<'a>(candidate: &Candidate<'a>, calls: &mut Calls) -> Result<Choice<'a>> {
    let mut parts = Vec::new();
    for raw in content_parts(candidate.content) {
        decode_part(raw, calls, &mut parts);
    }
    let called = parts.iter().any(is_call);
    if let Some(error) = broken(candidate, called) {
        return Err(error);
    }
    let stop = stop_of(candidate.reason, called);
    parts.extend(aside(&candidate.rest));
    Ok(Choice { parts, stop, logprobs: logprobs::decode(&candidate.rest) })
}

/// The error with which a candidate broke off, if it did.
pub(super) fn broken(candidate: &Candidate<'_>, called: bool) -> Option<Error> {
    const WORDS: [&str; 5] = [
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        UNEXPECTED_TOOL_CALL,
    ];
    let own = text(candidate.reason)?;
    let word = WORDS.into_iter().find(|word| own.is(word)).filter(|word| !called || *word != UNEXPECTED_TOOL_CALL)?;
    let message = candidate.rest.iter().find(|(name, _)| matches!(&**name, "finishMessage" | "finish_message"));
    let message = message.and_then(|(_, value)| Str::from_raw(value.get()));
    Some(broke_off(word, message.as_ref().map(Str::text).as_deref()))
}

/// One part of an answer.
fn decode_part<'a>(raw: Json<'a>, calls: &mut Calls, parts: &mut Vec<Part<'a>>) {
    let fields: part::Fields<'a> = read(Some(raw)).unwrap_or_default();
    match part::is_own_media(&fields) {
        true => parts.push(part::whole(raw, At::default(), &fields)),
        false => part::decode(raw, At::default(), calls, parts),
    }
}

pub(super) fn content_parts(content: Value<'_>) -> Vec<Json<'_>> {
    let content: Content<'_> = read(content).unwrap_or_default();
    one_or_more(content.parts)
}

/// The items of a list; one object where a list is due is a list of one.
pub(super) fn one_or_more(value: Option<Listed<'_>>) -> Vec<Json<'_>> {
    match value {
        Some(Listed::Items(items)) => items,
        Some(Listed::Value(one)) if is_object(Some(one)) => vec![one],
        _ => Vec::new(),
    }
}

fn is_call(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::ToolCall { .. })
}

/// What a candidate has beyond its content, as a part.
pub(super) fn aside(rest: &Rest<'_>) -> Option<Part<'static>> {
    if rest.is_empty() {
        return None;
    }
    let mut json = Vec::new();
    Obj::new(&mut json).rest(rest);
    let json = Raw::owned(String::from_utf8(json).ok()?);
    Some(Part::new(At::default(), PartKind::Other { tag: Str::from_text(CANDIDATE), json }))
}

/// A prompt that was blocked, as an answer that refuses.
fn blocked(feedback: Value<'_>) -> Option<Choice<'_>> {
    let (stop, message) = block(feedback)?;
    let words = message.map(|text| Part::new(At::default(), PartKind::Refusal { text }));
    Some(Choice { parts: words.into_iter().collect(), stop: Some(stop), logprobs: None })
}

/// Why a prompt was blocked, and what is said about it.
pub(super) fn block(feedback: Value<'_>) -> Option<(Stop<'_>, Option<Str<'_>>)> {
    let feedback: Feedback<'_> = read(feedback)?;
    feedback.reason?;
    let native = filled(feedback.reason);
    Some((Stop { reason: StopReason::Refusal, sequence: None, native }, filled(feedback.message)))
}

/// The reason behind this format's word, or its number.
pub(super) fn stop_of(value: Value<'_>, called: bool) -> Option<Stop<'_>> {
    let raw = value?;
    let word = text(value);
    let reason = match word.as_ref().map_or_else(|| raw.get(), Str::escaped) {
        "FINISH_REASON_UNSPECIFIED" | "0" | "" => return None,
        // Calls end with `STOP` too, and one of an undeclared function is still a call.
        "STOP" | UNEXPECTED_TOOL_CALL | "1" if called => StopReason::ToolUse,
        "STOP" | "1" => StopReason::EndTurn,
        "MAX_TOKENS" | "2" => StopReason::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        // Numbers above differ between the two APIs of the format.
        | "3"
        | "4"
        | "6"
        | "7"
        | "8" => StopReason::Refusal,
        _ => StopReason::Other,
    };
    Some(Stop { reason, sequence: None, native: word })
}

/// This format's word for a reason.
pub(super) fn reason_word(stop: Option<&Stop<'_>>) -> &'static str {
    const OWN: [&str; 20] = [
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "LANGUAGE",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "OTHER",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "STOP",
        "MAX_TOKENS",
    ];
    let Some(stop) = stop else { return "STOP" };
    let native = stop.native.as_ref().and_then(|native| OWN.iter().find(|word| native.is(word)));
    match (native, stop.reason) {
        (Some(native), _) => native,
        (None, StopReason::MaxTokens | StopReason::ContextFull) => "MAX_TOKENS",
        (None, StopReason::Refusal) => "SAFETY",
        (None, _) => "STOP",
    }
}

/// Writes an answer for a client.
pub fn encode(response: &Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let mut body = Obj::new(out);
    {
        let mut list = body.arr("candidates");
        for (index, choice) in response.choices.iter().enumerate() {
            candidate(index, choice, list.obj());
        }
    }
    let counts = response.usage.unwrap_or_default();
    let tier = response.service_tier.as_ref().map(Str::text);
    usage::encode(&counts, tier.as_deref(), body.key("usageMetadata"));
    head(response.model.as_ref(), response.id.as_ref(), client, &mut body);
    for (name, value) in response.rest.iter().filter(|(name, _)| matches!(&**name, "createTime" | "modelStatus")) {
        body.raw(name, value.get());
    }
}

/// The members that every answer and every chunk has.
pub(super) fn head(model: Option<&Str<'_>>, id: Option<&Str<'_>>, client: &Client<'_>, body: &mut Obj<'_>) {
    match model.filter(|model| !model.is_empty()) {
        Some(model) => body.str("modelVersion", model),
        None => body.text("modelVersion", client.model),
    };
    match id.filter(|id| !id.is_empty()) {
        Some(id) => body.str("responseId", id),
        None => body.text("responseId", client.id),
    };
}

fn candidate(index: usize, choice: &Choice<'_>, mut body: Obj<'_>) {
    {
        let mut content = body.obj("content");
        parts(&choice.parts, content.arr("parts"));
        content.text("role", "model");
    }
    body.text("finishReason", reason_word(choice.stop.as_ref()));
    body.num("index", u64::try_from(index).unwrap_or(u64::MAX));
    for part in &choice.parts {
        if let PartKind::Other { tag, json } = &part.kind
            && tag.is(CANDIDATE)
        {
            body.rest(&json.read::<Members<'_>>().unwrap_or_default().rest);
        }
    }
}

wire_object! {
    pub(super) struct Members<'a> {}
}

fn parts(parts: &[Part<'_>], mut list: Arr<'_>) {
    let mut slot = Slot::default();
    for part in parts {
        match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } if !text.is_empty() => {
                slot.put(list.obj().str("text", text));
            }
            PartKind::Reasoning { text, signature } => slot.thought(text, signature.as_ref(), &mut list),
            PartKind::RedactedReasoning { data } => slot.keep(data, &mut list),
            PartKind::ToolCall { id, name, arguments } => {
                let mut it = list.obj();
                let mut call = it.obj("functionCall");
                if !id.is_empty() {
                    call.str("id", id);
                }
                call.str("name", name);
                part::write_args(arguments, call.key("args"));
                drop(call);
                slot.put(&mut it);
            }
            PartKind::Image { .. } => picture(&part.kind, &mut slot, &mut list),
            PartKind::Other { tag, json } if is_part(tag, json) => _ = list.raw(json.get()),
            _ => {}
        }
    }
    slot.end(&mut list);
}

/// A picture the model made.
pub(super) fn picture(kind: &PartKind<'_>, slot: &mut Slot, list: &mut Arr<'_>) {
    let mut it = list.obj();
    part::write_media(kind, &mut it);
    slot.put(&mut it);
}

/// Whether a part of an unknown kind is one of this format's.
pub(super) fn is_part(tag: &Str<'_>, json: &Raw<'_>) -> bool {
    const KNOWN: [&str; 10] = [
        "inlineData",
        "fileData",
        "executableCode",
        "executable_code",
        "codeExecutionResult",
        "code_execution_result",
        "toolCall",
        "tool_call",
        "toolResponse",
        "tool_response",
    ];
    json.is_object() && KNOWN.contains(&tag.escaped())
}

/// A signature that waits for the part it stands on.
#[derive(Debug, Default)]
pub(super) struct Slot {
    waiting: Option<Str<'static>>,
}

impl Slot {
    /// Keeps a signature for the next part; one that still waits gets a part of its own.
    pub(super) fn keep(&mut self, signature: &Str<'_>, list: &mut Arr<'_>) {
        self.end(list);
        self.waiting = Some(signature.clone().into_owned());
    }

    /// Puts what waits on a part.
    pub(super) fn put(&mut self, part: &mut Obj<'_>) {
        if let Some(signature) = self.waiting.take() {
            part::write_signature(&signature, part.key("thoughtSignature"));
        }
    }

    /// A thought; one without a text is but a signature.
    pub(super) fn thought(&mut self, text: &Str<'_>, signature: Option<&Str<'_>>, list: &mut Arr<'_>) {
        match signature.filter(|signature| !signature.is_empty()) {
            Some(signature) if text.is_empty() => self.keep(signature, list),
            None if text.is_empty() => {}
            signature => {
                let mut part = list.obj();
                part.str("text", text).bool("thought", true);
                signature.iter().for_each(|s| part::write_signature(s, part.key("thoughtSignature")));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// What still waits stands on an empty text.
    pub(super) fn end(&mut self, list: &mut Arr<'_>) {
        if !self.is_empty() {
            self.put(list.obj().text("text", ""));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

    use serde_json::{Value, json};

    use super::*;
    use crate::wire::ir::Arguments;
    use crate::wire::seal::Seal;

    fn written(response: &Response<'_>) -> Value {
        let seal = Seal::new("t", b"");
        let client = Client { created: 1, ..Client::of("cm", "0198", &seal) };
        let mut out = Vec::new();
        encode(response, &client, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn an_answer_of_the_same_format_comes_back() {
        let body = json!({"candidates":[{"content":{"parts":[
                {"text":"thinking","thought":true},
                {"text":"a","thoughtSignature":"c2ln"},
                {"executableCode":{"language":"PYTHON","code":"1"},"thoughtSignature":"eA=="},
                {"functionCall":{"id":"x","name":"f","args":{"a":1}},"thoughtSignature":"Y2FsbA=="},
                {"functionCall":{"id":"y","name":"g","args":{}}},
                {"inlineData":{"mimeType":"image/png","data":"AA=="}},
                {"text":"","thoughtSignature":"ZW5k"}],"role":"model"},
            "finishReason":"STOP","index":0,"groundingMetadata":{"webSearchQueries":["q"]},"safetyRatings":[]}],
            "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":9,"thoughtsTokenCount":4},
            "modelVersion":"gemini","responseId":"r","createTime":"t"});
        let source = body.to_string();
        assert_eq!(written(&decode(&source, &Quirks::NONE).unwrap()), body);
    }

    #[test]
    fn a_signature_is_a_thought_before_its_part_and_calls_have_ids() {
        let body = r#"{"responseId":"r-1","candidates":[{"content":{"parts":[{"function_call":{"name":"f"},"thought_signature":"s"},
            {"functionCall":{"name":"f","args":{"x":1}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}"#;
        let it = decode(body, &Quirks::NONE).unwrap();
        let parts = &it.choices[0].parts;
        assert!(
            matches!(&parts[0].kind, PartKind::Reasoning { text, signature: Some(s) } if text.is_empty() && s.is("s"))
        );
        assert!(matches!(&parts[1].kind, PartKind::ToolCall { id, arguments: Arguments::Object(a), .. }
            if id.is("call_r-1_0") && a.get() == "{}"));
        assert!(matches!(&parts[2].kind, PartKind::ToolCall { id, .. } if id.is("call_r-1_1")));
        assert_eq!(it.choices[0].stop.as_ref().unwrap().reason, StopReason::ToolUse);
    }

    #[test]
    fn blocks_are_refusals() {
        let reason = |body: &str| {
            let it = decode(body, &Quirks::NONE).unwrap();
            let choice = &it.choices[0];
            (choice.stop.as_ref().unwrap().reason, choice.parts.len())
        };
        let prompt = r#"{"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"no"},"usageMetadata":{"trafficType":"x"}}"#;
        assert_eq!(reason(prompt), (StopReason::Refusal, 1));
        assert_eq!(reason(r#"{"promptFeedback":{"blockReason":"OTHER"}}"#), (StopReason::Refusal, 0));
        let answer = r#"{"candidates":[{"content":{},"finishReason":"SAFETY","safetyRatings":[]}]}"#;
        assert_eq!(reason(answer), (StopReason::Refusal, 1));
        for (word, expected) in [
            ("2", StopReason::MaxTokens),
            ("1", StopReason::EndTurn),
            ("\"RECITATION\"", StopReason::Refusal),
            ("\"OTHER\"", StopReason::Other),
        ] {
            assert_eq!(reason(&format!("{{\"candidates\":[{{\"finishReason\":{word}}}]}}")).0, expected, "{word}");
        }
    }

    #[test]
    fn an_answer_that_broke_off_is_an_error() {
        for word in
            ["MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS"]
        {
            let error =
                decode(&format!(r#"{{"candidates":[{{"finishReason":"{word}"}}]}}"#), &Quirks::NONE).unwrap_err();
            assert_eq!(error.kind(), Kind::UpstreamFailed);
            assert_eq!(error.public(), format!("the model's answer broke off: {word}"));
        }
        let told = r#"{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"Malformed function call: f("}]}"#;
        let error = decode(told, &Quirks::NONE).unwrap_err();
        let expected = "the model's answer broke off: MALFORMED_FUNCTION_CALL: Malformed function call: f(";
        assert_eq!(error.public(), expected);
        let unexpected = |parts: &str| {
            let body = format!(
                r#"{{"candidates":[{{"content":{{"parts":[{parts}]}},"finishReason":"UNEXPECTED_TOOL_CALL"}}]}}"#
            );
            decode(&body, &Quirks::NONE).map(|it| it.choices[0].stop.as_ref().unwrap().reason).map_err(|e| e.kind())
        };
        assert_eq!(unexpected(r#"{"text":"a"}"#), Err(Kind::UpstreamFailed));
        assert_eq!(unexpected(r#"{"functionCall":{"name":"f"}}"#), Ok(StopReason::ToolUse));
    }

    #[test]
    fn an_answer_without_candidates_has_one_choice_that_says_nothing() {
        for body in [r#"{"candidates":[]}"#, r#"{"usageMetadata":{"promptTokenCount":1}}"#, r#"{"promptFeedback":{}}"#]
        {
            let it = decode(body, &Quirks::NONE).unwrap();
            let stop = it.choices[0].stop.as_ref().map(|stop| stop.reason);
            assert_eq!(
                (it.choices.len(), it.choices[0].parts.len(), stop),
                (1, 0, Some(StopReason::EndTurn)),
                "{body}"
            );
        }
    }

    #[test]
    fn log_probabilities_are_in_chats_words() {
        let body = r#"{"candidates":[{"content":{"parts":[{"text":"ab"}]},"finishReason":"STOP","logprobsResult":{
            "chosenCandidates":[{"token":"a","tokenId":1,"logProbability":-0.5},{"token":"b"}],
            "topCandidates":[{"candidates":[{"token":"a","logProbability":-0.5},{"token":"x","logProbability":-2}]}]}}]}"#;
        let it = decode(body, &Quirks::NONE).unwrap();
        let got: Value = it.choices[0].logprobs.as_ref().unwrap().read().unwrap();
        let token = |token: &str, logprob: f64| json!({"token":token,"logprob":logprob,"bytes":null});
        let entry = |token: &str, logprob: Value, top: Value| json!({"token":token,"logprob":logprob,"bytes":null,"top_logprobs":top});
        let top = json!([token("a", -0.5), {"token":"x","logprob":-2,"bytes":null}]);
        let content = json!([entry("a", json!(-0.5), top), entry("b", json!(0), json!([]))]);
        assert_eq!(got, json!({"content":content,"refusal":null}));
    }

    #[test]
    fn other_formats_parts_have_their_place_or_none() {
        let part = |kind| Part::new(At::default(), kind);
        let text = Str::from_text;
        let sealed = Seal::new("t", b"").close(b"state");
        let parts = vec![
            part(PartKind::Reasoning { text: text("hm"), signature: Some(text(&sealed)) }),
            part(PartKind::RedactedReasoning { data: text("not base64!") }),
            part(PartKind::ToolCall {
                id: text("toolu_1"),
                name: text("f"),
                arguments: Arguments::Encoded(text("{\"x\":")),
            }),
            part(PartKind::Other { tag: text("image_url"), json: Raw::new("{}") }),
            part(PartKind::Refusal { text: text("no") }),
        ];
        let stop = Some(Stop::of(StopReason::Refusal));
        let got = written(&Response { choices: vec![Choice { parts, stop, logprobs: None }], ..Response::default() });
        let candidate = &got["candidates"][0];
        let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &sealed);
        assert_eq!(
            candidate["content"]["parts"],
            json!([
                {"text":"hm","thought":true,"thoughtSignature":signature},
                {"functionCall":{"id":"toolu_1","name":"f","args":{"arguments":"{\"x\":"}},"thoughtSignature":"bm90IGJhc2U2NCE="},
                {"text":"no"},
            ])
        );
        assert_eq!((&candidate["finishReason"], &got["modelVersion"]), (&json!("SAFETY"), &json!("cm")));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let limited = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#;
        assert_eq!(decode(limited, &Quirks::NONE).unwrap_err().kind(), Kind::UpstreamRateLimited);
        for odd in ["{}", "[]", "x"] {
            assert_eq!(decode(odd, &Quirks::NONE).unwrap_err().kind(), Kind::UpstreamFailed, "{odd}");
        }
    }
}
