#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::{decode, encode};
use crate::error::Error;
use crate::wire::ir::{Arguments, Dropped, Output, PartKind, Request, Role, SettingKind, ToolChoice, ToolKind};
use crate::wire::seal::Seal;
use crate::wire::{Abilities, Dialect, Quirks, Target, Thinking, decode_request, encode_request};

fn target<'t>(model: &'t str, seal: &'t Seal) -> Target<'t> {
    Target {
        model,
        quirks: &Quirks::NONE,
        max_output_tokens: Some(8192),
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal,
    }
}

/// The request as an upstream gets it, and what was dropped.
fn written(request: &Request<'_>, model: &str) -> Result<(Value, Vec<String>), Error> {
    let seal = Seal::new("gemini", b"k");
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    encode(request, &target(model, &seal), &mut out, &mut dropped)?;
    Ok((serde_json::from_slice(&out).unwrap(), dropped.paths().to_vec()))
}

fn from(dialect: Dialect, body: &Value, model: &str) -> (Value, Vec<String>) {
    let source = body.to_string();
    written(&decode_request(dialect, &source).unwrap(), model).unwrap()
}

fn from_chat(body: &Value) -> (Value, Vec<String>) {
    from(Dialect::OpenAiChat, body, "gemini-2.5-flash")
}

fn in_chat(body: &Value) -> (Value, Vec<String>) {
    let (source, seal) = (body.to_string(), Seal::new("chat", b"k"));
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let request = decode(&source).unwrap();
    encode_request(Dialect::OpenAiChat, &request, &target("m", &seal), &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), dropped.paths().to_vec())
}

#[test]
fn everything_of_the_same_format_comes_back() {
    let body = json!({
        "contents":[
            {"role":"user","parts":[{"text":"look"},{"inlineData":{"mimeType":"image/png","data":"AA=="}},
                {"inlineData":{"mimeType":"video/mp4","data":"AA=="},"videoMetadata":{"fps":1}},
                {"fileData":{"mimeType":"application/pdf","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}]},
            {"role":"model","parts":[{"text":"hm","thought":true},{"text":"I see","thoughtSignature":"c2ln"},
                {"functionCall":{"id":"x","name":"f","args":{"a":1}},"thoughtSignature":"Y2FsbA=="},
                {"functionCall":{"name":"f","args":{}}},{"text":"","thoughtSignature":"ZW5k"}]},
            {"role":"user","parts":[{"functionResponse":{"id":"x","name":"f","response":{"output":"done"}}},
                {"functionResponse":{"name":"f","response":{"a":1,"output":"b"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}},
                {"functionResponse":{"name":"lost","response":{"error":"no"}}}]},
            {"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"toolCall":{"id":"t","toolType":"X"}}]},
            {"role":"user","parts":[{"text":"go on"}],"extra":1}],
        "systemInstruction":{"parts":[{"text":"be kind"}]},
        "tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object"},"behavior":"BLOCKING"}]},
            {"googleSearch":{}},{"codeExecution":{}}],
        "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f","g"]},"retrievalConfig":{"languageCode":"en"}},
        "generationConfig":{"maxOutputTokens":9,"candidateCount":2,"stopSequences":["a",""],"responseMimeType":"application/json",
            "responseJsonSchema":{"type":"object"},"thinkingConfig":{"thinkingBudget":128,"includeThoughts":true,"new":1},
            "temperature":0.5,"topP":0.9,"topK":4,"seed":1,"mediaResolution":"MEDIA_RESOLUTION_LOW"},
        "safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}],
        "cachedContent":"cachedContents/1","labels":{"a":"b"}});
    let source = body.to_string();
    let (got, dropped) = written(&decode(&source).unwrap(), "gemini-2.5-flash").unwrap();
    assert_eq!(got, body);
    assert_eq!(dropped, Vec::<String>::new());
}

#[test]
fn snake_case_and_lone_objects_are_taken() {
    let body = json!({
        "contents":{"parts":{"inline_data":{"mime_type":"audio/wav","data":"-_"}}},
        "system_instruction":{"parts":{"text":"s"}},
        "tools":{"function_declarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING"}}}}]},
        "tool_config":{"function_calling_config":{"mode":"any","allowed_function_names":["f"]}},
        "generation_config":{"max_output_tokens":"7","stop_sequences":["x"],"response_mime_type":"application/json",
            "response_schema":{"type":"INTEGER"},"thinking_config":{"thinking_budget":-1,"include_thoughts":true},"top_p":0.5}});
    let source = body.to_string();
    let it = decode(&source).unwrap();
    assert!(matches!(it.turns[0].parts[0].kind, PartKind::Audio { .. }));
    assert_eq!((it.turns[0].role, it.system.len(), it.max_tokens), (Role::User, 1, Some(7)));
    assert!(matches!(&it.tool_choice, Some(ToolChoice::Named(name)) if name.is("f")));
    let ToolKind::Function { schema: Some(schema), .. } = &it.tools[0].kind else { panic!("a function") };
    assert_eq!(schema.get(), r#"{"properties":{"a":{"type":"string"}},"type":"object"}"#);
    assert!(matches!(&it.output, Output::JsonSchema { schema, .. } if schema.get() == r#"{"type":"integer"}"#));
    let reasoning = it.reasoning.unwrap();
    assert!(reasoning.adaptive && reasoning.summary.is_some());
    assert_eq!((it.options[0].kind, &*it.options[0].name), (SettingKind::TopP, "generationConfig.top_p"));
}

#[test]
fn results_find_their_calls_by_name_and_order() {
    let call = |name: &str| json!({"functionCall":{"name":name,"args":{}}});
    let result = |name: &str, n: u32| json!({"functionResponse":{"name":name,"response":{"output":n.to_string()}}});
    let body = json!({"contents":[
        {"role":"user","parts":[{"text":"go"}]},
        {"role":"model","parts":[call("f"),call("g"),call("f")]},
        {"role":"function","parts":[result("g",1),result("f",2),result("f",3)]},
        {"role":"model","parts":[call("f")]},
        {"role":"user","parts":[result("f",4)]}]});
    let (got, _) = in_chat(&body);
    let said: Vec<(&str, &str)> = got["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["role"] == "tool")
        .map(|m| (m["tool_call_id"].as_str().unwrap(), m["content"].as_str().unwrap()))
        .collect();
    assert_eq!(said, [("call_1", "1"), ("call_0", "2"), ("call_2", "3"), ("call_3", "4")]);
}

#[test]
fn signatures_are_thoughts_and_seals_are_opened() {
    let sealed = Seal::new("x", b"k").close(b"state");
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &sealed);
    let body = json!({"contents":[{"role":"model","parts":[
        {"functionCall":{"name":"f"},"thoughtSignature":base64},{"text":"","thought_signature":"own"}]}]});
    let source = body.to_string();
    let it = decode(&source).unwrap();
    let signatures: Vec<String> = it.turns[0]
        .parts
        .iter()
        .filter_map(|part| match &part.kind {
            PartKind::Reasoning { signature: Some(s), .. } => Some(s.text().into_owned()),
            _ => None,
        })
        .collect();
    assert_eq!((signatures, it.turns[0].parts.len()), (vec![sealed, "own".to_owned()], 3));
    assert!(
        matches!(&it.turns[0].parts[1].kind, PartKind::ToolCall { arguments: Arguments::Object(a), .. } if a.get() == "{}")
    );
}

#[test]
fn what_other_formats_have_no_place_for_is_named() {
    let body = json!({"contents":[{"parts":[{"text":"a","mediaResolution":{"level":"x"}}]}],
        "tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"f","behavior":"BLOCKING"}]}],
        "toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}},
        "generationConfig":{"topK":3,"responseModalities":["TEXT"],"speechConfig":{"x":1},"temperature":1},
        "safetySettings":[],"model":"models/x"});
    let (got, dropped) = in_chat(&body);
    assert_eq!((&got["temperature"], &got["tool_choice"]), (&json!(1), &json!("auto")));
    assert_eq!(
        dropped,
        [
            "contents[0].parts[0].mediaResolution",
            "tools[0]",
            "tools[1].functionDeclarations[0].behavior",
            "generationConfig.speechConfig",
            "generationConfig.topK",
            "toolConfig.functionCallingConfig"
        ]
    );
}

#[test]
fn state_of_the_providers_own_is_refused_elsewhere() {
    let it = decode(r#"{"contents":[],"cachedContent":"cachedContents/1"}"#).unwrap();
    assert_eq!(it.options[0].kind, SettingKind::State);
}

#[test]
fn shapes_that_nobody_can_serve_are_named() {
    for (body, param) in [
        (json!({"contents":"x"}), "contents"),
        (json!({"contents":[1]}), "contents[0]"),
        (json!({"contents":[{"role":"robot"}]}), "contents[0].role"),
        (json!({"tools":[{"functionDeclarations":[{}]}]}), "tools[0].functionDeclarations[0]"),
        (json!({"generationConfig":1}), "generationConfig"),
        (json!({"generationConfig":{"maxOutputTokens":-1}}), "generationConfig.maxOutputTokens"),
        (json!({"generationConfig":{"temperature":"hot"}}), "generationConfig.temperature"),
        (json!({"generationConfig":{"topP":[1]}}), "generationConfig.topP"),
        (json!({"generationConfig":{"top_k":"1 2"}}), "generationConfig.top_k"),
        (json!({"toolConfig":[]}), "toolConfig"),
    ] {
        assert_eq!(decode(&body.to_string()).unwrap_err().param(), Some(param), "{body}");
    }
}

#[test]
fn numbers_in_strings_are_numbers() {
    let (got, _) = in_chat(&json!({"contents":[{"parts":[{"text":"a"}]}], "generationConfig":{"temperature":"0.3",
        "topP":"0.5","seed":"-7","presencePenalty":"1e-1","frequencyPenalty":0.2,"maxOutputTokens":"77","candidateCount":"2",
        "responseLogprobs":true,"logprobs":"3"}}));
    assert_eq!((&got["temperature"], &got["top_p"], &got["seed"]), (&json!(0.3), &json!(0.5), &json!(-7)));
    assert_eq!((&got["presence_penalty"], &got["frequency_penalty"]), (&json!(0.1), &json!(0.2)));
    assert_eq!((&got["max_tokens"], &got["n"], &got["top_logprobs"]), (&json!(77), &json!(2), &json!(3)));
}

#[test]
fn a_chat_conversation_is_arranged() {
    let (got, dropped) = from_chat(&json!({"model":"x","messages":[
        {"role":"system","content":"be kind"},
        {"role":"assistant","content":"hi"},
        {"role":"user","content":"f and g","name":"ann"},
        {"role":"assistant","content":null,"tool_calls":[
            {"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
            {"id":"b","type":"function","function":{"name":"g","arguments":""}},
            {"id":"c","type":"function","function":{"name":"h","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"b","content":"plain"},
        {"role":"tool","tool_call_id":"a","content":"{\"n\":1}"},
        {"role":"tool","tool_call_id":"zzz","content":"lost"},
        {"role":"system","content":"now briefly"},
        {"role":"user","content":"and?"}]}));
    assert_eq!(got["systemInstruction"], json!({"parts":[{"text":"be kind"}]}));
    assert_eq!(
        got["contents"],
        json!([
            {"role":"user","parts":[{"text":"."}]},
            {"role":"model","parts":[{"text":"hi"}]},
            {"role":"user","parts":[{"text":"f and g"}]},
            {"role":"model","parts":[{"functionCall":{"id":"a","name":"f","args":{"x":1}}},
                {"functionCall":{"id":"b","name":"g","args":{}}},{"functionCall":{"id":"c","name":"h","args":{}}}]},
            {"role":"user","parts":[{"functionResponse":{"id":"a","name":"f","response":{"n":1}}},
                {"functionResponse":{"id":"b","name":"g","response":{"output":"plain"}}},
                {"functionResponse":{"id":"c","name":"h","response":{"error":"no result"}}},
                {"text":"lost"},{"text":"<system>\nnow briefly\n</system>"},{"text":"and?"}]},
        ])
    );
    assert_eq!(dropped, ["messages[2].name"]);
}

#[test]
fn a_step_without_a_signature_says_so_from_gemini_3_on() {
    let body = json!({"model":"x","messages":[{"role":"user","content":"f"},
        {"role":"assistant","content":"a","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
            {"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}]});
    let signatures = |model: &str| -> Vec<Value> {
        let (got, _) = from(Dialect::OpenAiChat, &body, model);
        got["contents"][1]["parts"].as_array().unwrap().iter().map(|part| part["thoughtSignature"].clone()).collect()
    };
    let skip = json!("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=");
    assert_eq!(signatures("gemini-3-flash-preview"), [Value::Null, skip.clone(), Value::Null]);
    assert_eq!(signatures("gemini-flash-latest"), [Value::Null, skip, Value::Null]);
    assert_eq!(signatures("gemini-2.5-pro"), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(signatures("gemma-4"), [Value::Null, Value::Null, Value::Null]);
}

#[test]
fn settings_stand_in_the_configuration() {
    let (got, dropped) = from_chat(&json!({"model":"x","messages":[{"role":"user","content":"a"}],
        "temperature":0.2,"top_p":0.9,"seed":3,"frequency_penalty":0,"presence_penalty":0.5,"logprobs":true,"top_logprobs":2,
        "max_completion_tokens":99999,"stop":["1","","3","4","5","6","7"],"n":2,"service_tier":"priority","user":"u","logit_bias":{},
        "parallel_tool_calls":false,"tool_choice":"required","tools":[{"type":"function","function":{"name":"f","strict":true,
            "parameters":{"type":"object","properties":{},"additionalProperties":false}}},{"type":"function","function":{"name":"g"}}],
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}},"reasoning_effort":"low"}));
    assert_eq!(
        got["generationConfig"],
        json!({"maxOutputTokens":8192,"candidateCount":2,"stopSequences":["1","3","4","5"],"thinkingConfig":{"thinkingBudget":1024,"includeThoughts":true},
            "temperature":0.2,"topP":0.9,"seed":3,"presencePenalty":0.5,"responseLogprobs":true,"logprobs":2})
    );
    assert_eq!(got["serviceTier"], "priority");
    assert_eq!(got["toolConfig"], json!({"functionCallingConfig":{"mode":"ANY"}}));
    assert_eq!(
        got["tools"],
        json!([{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"type":"object","properties":{},"additionalProperties":false}},{"name":"g"}]}])
    );
    let beside = ["tools[0].function.strict", "parallel_tool_calls", "stop[1]", "stop[5]", "stop[6]"];
    assert_eq!(dropped, [beside.as_slice(), &["response_format", "user"]].concat());
}

/// "Function calling with a response mime type: 'application/json' is unsupported" (seen 2026-11).
#[test]
fn a_form_of_the_answer_goes_beside_functions_from_3_on() {
    let ask = |model: &str, format: &Value, tools: &Value| {
        let body = json!({"model":"x","messages":[{"role":"system","content":"be kind"},{"role":"user","content":"a"}],
            "response_format":format,"tools":tools});
        from(Dialect::OpenAiChat, &body, model)
    };
    let schema = json!({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}});
    let tools = json!([{"type":"function","function":{"name":"f"}}]);
    for old in ["gemini-2.5-flash", "gemini-1.5-pro"] {
        let (got, dropped) = ask(old, &schema, &tools);
        assert_eq!((got.get("generationConfig"), dropped), (None, vec!["response_format".to_owned()]), "{old}");
        let told = &got["systemInstruction"]["parts"];
        assert_eq!(told[0]["text"], "be kind");
        assert!(told[1]["text"].as_str().is_some_and(|text| text.ends_with("JSON Schema:\n{\"type\":\"object\"}")));
    }
    let (got, dropped) = ask("gemini-2.5-flash", &json!({"type":"json_object"}), &tools);
    assert_eq!((got.get("generationConfig"), dropped), (None, vec!["response_format".to_owned()]));
    for (model, tools) in
        [("gemini-2.5-flash", json!([])), ("gemini-3-flash-preview", tools.clone()), ("gemini-flash-latest", tools)]
    {
        let (got, dropped) = ask(model, &schema, &tools);
        let form = json!({"responseMimeType":"application/json","responseJsonSchema":{"type":"object"}});
        assert_eq!((&got["generationConfig"], dropped), (&form, Vec::new()), "{model}");
    }
}

#[test]
fn the_likeliest_tokens_are_asked_for_with_log_probabilities() {
    let config = |most: u32| {
        let body = json!({"model":"x","input":"a","top_logprobs":most});
        let (got, dropped) = from(Dialect::Responses, &body, "gemini-2.5-flash");
        assert_eq!(dropped, Vec::<String>::new());
        got.get("generationConfig").cloned()
    };
    assert_eq!(config(3), Some(json!({"logprobs":3,"responseLogprobs":true})));
    assert_eq!(config(0), None);
}

#[test]
fn thinking_is_a_budget_or_a_level() {
    let config = |model: &str, effort: &str| {
        let body = json!({"model":"x","messages":[{"role":"user","content":"a"}],"reasoning_effort":effort});
        from(Dialect::OpenAiChat, &body, model).0["generationConfig"]["thinkingConfig"].clone()
    };
    for (model, effort, expected) in [
        ("gemini-2.5-flash", "high", json!({"thinkingBudget":24576,"includeThoughts":true})),
        ("gemini-2.5-flash", "none", json!({"thinkingBudget":0})),
        ("gemini-2.5-pro", "none", json!({"thinkingBudget":128})),
        ("gemini-2.5-pro", "max", json!({"thinkingBudget":32768,"includeThoughts":true})),
        ("gemini-2.5-flash-lite", "minimal", json!({"thinkingBudget":1024,"includeThoughts":true})),
        ("gemini-3-flash-preview", "minimal", json!({"thinkingLevel":"minimal","includeThoughts":true})),
        ("gemini-3-pro-preview", "medium", json!({"thinkingLevel":"high","includeThoughts":true})),
        ("gemini-3.1-pro-preview", "medium", json!({"thinkingLevel":"medium","includeThoughts":true})),
        ("gemini-3.5-flash", "none", json!({"thinkingLevel":"minimal"})),
        ("gemini-1.5-flash", "low", Value::Null),
    ] {
        assert_eq!(config(model, effort), expected, "{model} {effort}");
    }
    let claude = json!({"model":"x","max_tokens":9,"messages":[{"role":"user","content":"a"}],
        "thinking":{"type":"enabled","budget_tokens":5000}});
    let level = |model: &str| from(Dialect::Anthropic, &claude, model).0["generationConfig"]["thinkingConfig"].clone();
    assert_eq!(level("gemini-2.5-flash"), json!({"thinkingBudget":5000,"includeThoughts":true}));
    assert_eq!(level("gemini-3-flash-preview"), json!({"thinkingLevel":"medium","includeThoughts":true}));
}

#[test]
fn media_of_other_formats() {
    let image = |url: &str| json!({"type":"image_url","image_url":{"url":url,"detail":"high"}});
    let (got, dropped) = from_chat(&json!({"model":"x","messages":[{"role":"user","content":[
        image("data:image/png;base64,AA=="), image("https://x.test/a.webp?b"),
        {"type":"input_audio","input_audio":{"data":"BB==","format":"mp3"}},
        {"type":"file","file":{"file_data":"data:application/pdf;base64,CC==","filename":"a.pdf"}}]}]}));
    assert_eq!(
        got["contents"][0]["parts"],
        json!([{"inlineData":{"mimeType":"image/png","data":"AA=="}},
            {"fileData":{"mimeType":"image/webp","fileUri":"https://x.test/a.webp?b"}},
            {"inlineData":{"mimeType":"audio/mp3","data":"BB=="}},
            {"inlineData":{"mimeType":"application/pdf","data":"CC=="}}])
    );
    assert_eq!(dropped[..2], ["messages[0].content[0].image_url.detail", "messages[0].content[1].image_url.detail"]);
    let file = json!({"model":"x","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]});
    let source = file.to_string();
    let error = written(&decode_request(Dialect::OpenAiChat, &source).unwrap(), "gemini-2.5-flash").unwrap_err();
    assert_eq!(error.param(), Some("messages[0].content[0]"));
    let drawing = json!({"model":"x","messages":[{"role":"user","content":[image("data:image/svg+xml,%3Csvg%3E")]}]});
    let source = drawing.to_string();
    let error = written(&decode_request(Dialect::OpenAiChat, &source).unwrap(), "gemini-2.5-flash").unwrap_err();
    let words = "messages[0].content[0]: the URL of an image begins with https:// or data:";
    assert_eq!((error.param(), error.public()), (Some("messages[0].content[0]"), words));
}

#[test]
fn results_with_images_are_told_apart_by_the_model() {
    let body = json!({"model":"x","max_tokens":9,"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","is_error":true,"content":[{"type":"text","text":"a"},
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]}]}]});
    let parts = |model: &str| from(Dialect::Anthropic, &body, model).0["contents"][2]["parts"].clone();
    let image = json!({"inlineData":{"mimeType":"image/png","data":"AA=="}});
    assert_eq!(
        parts("gemini-2.5-flash"),
        json!([{"functionResponse":{"id":"t","name":"f","response":{"error":"a"}}}, image])
    );
    assert_eq!(
        parts("gemini-3-flash-preview"),
        json!([{"functionResponse":{"id":"t","name":"f","response":{"error":"a"},"parts":[image]}}])
    );
}

/// Inside a result the API has room for inline media alone.
#[test]
fn texts_of_results_are_their_output_and_images_by_url_stand_beside_them() {
    let image = json!({"type":"image","source":{"type":"url","url":"https://x.test/a.png"}});
    let document = json!({"type":"document","source":{"type":"text","media_type":"text/plain","data":"b"}});
    let body = json!({"model":"x","max_tokens":9,"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[
            {"type":"text","text":"a"}, document, image]}]}]});
    for model in ["gemini-2.5-flash", "gemini-3-flash-preview"] {
        let (got, _) = from(Dialect::Anthropic, &body, model);
        assert_eq!(
            got["contents"][2]["parts"],
            json!([{"functionResponse":{"id":"t","name":"f","response":{"output":"a\nb"}}},
                {"fileData":{"mimeType":"image/png","fileUri":"https://x.test/a.png"}}])
        );
    }
}

#[test]
fn thoughts_go_back_if_they_are_signed() {
    let body = json!({"contents":[{"role":"user","parts":[{"text":"a"}]},
        {"role":"model","parts":[{"text":"hm","thought":true,"thoughtSignature":"c2ln"},{"text":"b"}]},{"role":"user","parts":[{"text":"c"}]}]});
    let source = body.to_string();
    let mut it = decode(&source).unwrap();
    it.dialect = Dialect::Anthropic;
    let (got, _) = written(&it, "gemini-2.5-flash").unwrap();
    assert_eq!(got["contents"], body["contents"]);
    if let PartKind::Reasoning { signature, .. } = &mut it.turns[1].parts[0].kind {
        *signature = None;
    }
    let (got, _) = written(&it, "gemini-2.5-flash").unwrap();
    assert_eq!(got["contents"][1]["parts"], json!([{"text":"b"}]));
}

#[test]
fn a_conversation_of_nothing_is_refused_and_one_of_instructions_is_not() {
    let (got, _) = from_chat(&json!({"model":"x","messages":[{"role":"system","content":"s"}]}));
    assert_eq!(got["contents"], json!([{"role":"user","parts":[{"text":"."}]}]));
    let empty = decode_request(Dialect::OpenAiChat, r#"{"model":"x","messages":[]}"#);
    assert!(empty.and_then(|request| written(&request, "m")).is_err());
}

/// As SDKs keep answers that were streamed: each piece a content of its own.
#[test]
fn an_answer_in_pieces_is_one_turn() {
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]},
        {"role":"model","parts":[{"text":"I thi","thought":true}]},{"role":"model","parts":[{"text":"nk","thought":true}]},
        {"role":"model","parts":[{"text":"Let m"}]},{"role":"model","parts":[{"text":"e look."}]},
        {"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"x"}}}]}]}"#;
    let request = decode(body).unwrap();
    assert_eq!(request.turns.len(), 3);
    let kinds: Vec<&str> = request.turns[1]
        .parts
        .iter()
        .map(|part| match &part.kind {
            PartKind::Reasoning { text, .. } => {
                assert!(text.is("I think"), "{text:?}");
                "thought"
            }
            PartKind::Text { .. } => "text",
            PartKind::ToolCall { .. } => "call",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["thought", "text", "text", "call"]);
}
