//! Members of `generateContent`: <https://ai.google.dev/api/generate-content>.

use serde_json::{Value, json};

use super::{Probe, member, pair};

fn base() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

fn declarations() -> Value {
    json!([{"functionDeclarations": [{"name": "f", "description": "d",
        "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]}])
}

fn with_part(name: &'static str, part: &Value) -> Probe {
    member(name, &base(), &json!({"contents": [{"role": "user", "parts": [{"text": "hi"}, part]}]}))
}

/// A conversation in which a function was called; members of the part with the call.
fn called(extra: &Value) -> Value {
    let mut call = json!({"functionCall": {"name": "f", "args": {"a": "b"}}});
    for (name, value) in extra.as_object().expect("members") {
        call[name] = value.clone();
    }
    json!({"tools": declarations(), "contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "r"}}}]}]})
}

pub(super) fn probes() -> Vec<Probe> {
    [conversation(), sampling(), offers()].into_iter().flatten().collect()
}

fn conversation() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    vec![
        one("systemInstruction", json!({"parts": [{"text": "s"}]})),
        with_part("`inlineData`, image", &json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}})),
        with_part("`inlineData`, audio", &json!({"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}})),
        with_part("`inlineData`, PDF", &json!({"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}})),
        with_part("`inlineData`, video", &json!({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}})),
        with_part(
            "`fileData`, image by URL",
            &json!({"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}}),
        ),
        member("function calls and responses", &base, &called(&json!({}))),
        pair(
            "`thoughtSignature` of Google's own",
            &base,
            &called(&json!({})),
            &called(&json!({"thoughtSignature": "c2ln"})),
        ),
    ]
}

fn sampling() -> Vec<Probe> {
    let base = base();
    let set = |name: &'static str, value: Value| member(name, &base, &json!({"generationConfig": {name: value}}));
    vec![
        member("`maxOutputTokens`", &base, &json!({"generationConfig": {"maxOutputTokens": 100}})),
        set("temperature", json!(0.5)),
        set("topP", json!(0.5)),
        set("topK", json!(5)),
        set("candidateCount", json!(2)),
        set("stopSequences", json!(["x"])),
        set("seed", json!(7)),
        set("frequencyPenalty", json!(0.5)),
        set("presencePenalty", json!(0.5)),
        set("responseLogprobs", json!(true)),
        member(
            "`responseMimeType: application/json`",
            &base,
            &json!({"generationConfig": {"responseMimeType": "application/json"}}),
        ),
        member(
            "`responseSchema`",
            &base,
            &json!({"generationConfig": {"responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}}),
        ),
        member(
            "`responseJsonSchema`",
            &base,
            &json!({"generationConfig": {"responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}}),
        ),
        set("responseModalities", json!(["TEXT", "IMAGE"])),
        set("speechConfig", json!({"voiceConfig": {}})),
        set("mediaResolution", json!("MEDIA_RESOLUTION_LOW")),
        member(
            "`thinkingConfig.thinkingBudget`",
            &base,
            &json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 2048}}}),
        ),
        member(
            "`thinkingConfig.thinkingLevel`",
            &base,
            &json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}}),
        ),
        member(
            "`thinkingConfig.includeThoughts`",
            &base,
            &json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2048}}}),
        ),
    ]
}

fn offers() -> Vec<Probe> {
    let base = base();
    let one = |name: &'static str, value: Value| member(name, &base, &json!({ name: value }));
    let tools = json!({"tools": declarations()});
    let mode = |config: Value| json!({"tools": tools["tools"], "toolConfig": {"functionCallingConfig": config}});
    vec![
        member("`tools`: functionDeclarations", &base, &tools),
        pair("`tools`: googleSearch", &base, &tools, &json!({"tools": [tools["tools"][0], {"googleSearch": {}}]})),
        pair("`tools`: codeExecution", &base, &tools, &json!({"tools": [tools["tools"][0], {"codeExecution": {}}]})),
        pair("`toolConfig`: ANY", &base, &tools, &mode(json!({"mode": "ANY"}))),
        pair("`toolConfig`: ANY of one", &base, &tools, &mode(json!({"mode": "ANY", "allowedFunctionNames": ["f"]}))),
        pair("`toolConfig`: NONE", &base, &tools, &mode(json!({"mode": "NONE"}))),
        one("safetySettings", json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}])),
        one("cachedContent", json!("cachedContents/1")),
        one("labels", json!({"a": "b"})),
    ]
}

pub(super) fn unknown() -> Vec<Probe> {
    let base = base();
    vec![
        member("a top-level member", &base, &json!({"newMember": {"a": 1}})),
        member("a setting", &base, &json!({"generationConfig": {"newMember": 1}})),
        member(
            "a content's member",
            &base,
            &json!({"contents": [{"role": "user", "newMember": 1, "parts": [{"text": "hi"}]}]}),
        ),
        member(
            "a part's member",
            &base,
            &json!({"contents": [{"role": "user", "parts": [{"text": "hi", "newMember": 1}]}]}),
        ),
        pair(
            "a tool",
            &base,
            &json!({"tools": declarations()}),
            &json!({"tools": [declarations()[0], {"newTool": {}}]}),
        ),
    ]
}
