#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::decode;
use crate::error::Error;
use crate::wire::bridge::Bridge;
use crate::wire::ir::Dropped;
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
fn try_from(dialect: Dialect, body: &Value, model: &str) -> Result<(Value, Vec<String>), Error> {
    let (source, seal) = (body.to_string(), Seal::new("cohere", b"k"));
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let (mut request, target) = (decode_request(dialect, &source)?, target(model, &seal));
    Bridge::request(&mut request, Dialect::Cohere, &target, &mut dropped)?;
    encode_request(Dialect::Cohere, &request, &target, &mut out, &mut dropped)?;
    Ok((serde_json::from_slice(&out).unwrap(), dropped.paths().to_vec()))
}

fn from_chat(body: &Value) -> (Value, Vec<String>) {
    try_from(Dialect::OpenAiChat, body, "command-a-03-2025").unwrap()
}

fn from_messages(body: &Value, model: &str) -> (Value, Vec<String>) {
    try_from(Dialect::Anthropic, body, model).unwrap()
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn everything_of_the_same_format_comes_back() {
    let body = json!({
        "model":"command-a-03-2025","stream":true,
        "messages":[
            {"role":"system","content":"be kind"},
            {"role":"user","content":[{"type":"text","text":"look"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"high"}},
                {"type":"new","x":1}]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm"}],"tool_plan":"I will look",
                "tool_calls":[{"id":"f_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
            {"role":"tool","tool_call_id":"f_1","content":[{"type":"text","text":"done"},
                {"type":"document","document":{"data":{"text":"t","title":"n"}}},
                {"type":"document","document":{"id":"d","data":{"rows":[1]}}}]},
            {"role":"assistant","content":"ok","citations":[{"start":0,"end":2}]},
            {"role":"user","content":"go on"}],
        "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],
        "tool_choice":"REQUIRED","strict_tools":true,"max_tokens":9,"stop_sequences":["a",""],
        "thinking":{"type":"enabled","token_budget":64,"new":1},
        "temperature":0.5,"p":0.7,"k":4,"seed":1,"frequency_penalty":0.1,"logprobs":true,
        "safety_mode":"STRICT","citation_options":{"mode":"FAST"},"documents":["a",{"data":{"x":"y"}}]});
    let (got, dropped) = try_from(Dialect::Cohere, &body, "command-a-03-2025").unwrap();
    assert_eq!(got, body);
    assert_eq!(dropped, none());
    for format in [json!({"type":"json_object","json_schema":{"type":"object"}}), json!({"type":"json_object"})] {
        let body = json!({"model":"m","messages":[{"role":"user","content":"x"}],"response_format":format});
        assert_eq!(try_from(Dialect::Cohere, &body, "m").unwrap(), (body, none()));
    }
}

#[test]
fn a_recorded_kind_of_request_means_the_same_in_chat() {
    let body = json!({"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"s"}]},
        {"role":"user","content":"x"},
        {"role":"assistant","content":[{"type":"text","text":""}],"tool_plan":null,"citations":[],
            "tool_calls":[{"id":"f_1","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"f_1","content":"4"}],
        "documents":[],"tool_choice":"NONE","tools":[{"type":"function","function":{"name":"f","parameters":{}}}]});
    let (source, seal) = (body.to_string(), Seal::new("chat", b"k"));
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let request = decode(&source).unwrap();
    encode_request(Dialect::OpenAiChat, &request, &target("m", &seal), &mut out, &mut dropped).unwrap();
    let got: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(got["messages"][0], json!({"role":"system","content":"s"}));
    assert_eq!(got["messages"][2]["tool_calls"][0]["function"]["name"], "f");
    assert_eq!(got["messages"][3], json!({"role":"tool","tool_call_id":"f_1","content":"4"}));
    assert_eq!(got["tool_choice"], "none");
}

#[test]
fn a_chat_conversation_is_written_in_the_formats_words() {
    let (got, dropped) = from_chat(&json!({"model":"m","max_completion_tokens":99999,"messages":[
        {"role":"developer","content":"be brief"},{"role":"system","content":"be kind"},
        {"role":"user","name":"ann","content":[{"type":"text","text":"what"},
            {"type":"image_url","image_url":{"url":"https://e/x.png","detail":"low"}}]},
        {"role":"system","content":"now"},
        {"role":"assistant","content":"let me see","tool_calls":[
            {"id":"c-1","type":"function","function":{"name":"look.up","arguments":"{\"a\":1}"}},
            {"id":"c-2","type":"function","function":{"name":"look.up","arguments":""}}]},
        {"role":"tool","tool_call_id":"c-1","content":"four"}],
        "tools":[{"type":"function","function":{"name":"look.up"}}]}));
    assert_eq!(got["max_tokens"], 8192, "the most the model gives");
    assert_eq!(
        got["messages"],
        json!([
            {"role":"system","content":"be brief\n\nbe kind"},
            {"role":"user","content":[{"type":"text","text":"what"},
                {"type":"image_url","image_url":{"url":"https://e/x.png","detail":"low"}}]},
            {"role":"user","content":"<system>\nnow\n</system>"},
            {"role":"assistant","tool_plan":"let me see","tool_calls":[
                {"id":"c-1","type":"function","function":{"name":"look_up","arguments":"{\"a\":1}"}},
                {"id":"c-2","type":"function","function":{"name":"look_up","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c-1","content":"four"},
            {"role":"tool","tool_call_id":"c-2","content":"Error:\nno result"}])
    );
    let tool = json!({"type":"function","function":{"name":"look_up","parameters":{"type":"object","properties":{}}}});
    assert_eq!(got["tools"], json!([tool]));
    assert_eq!(dropped, ["messages[2].name"]);
}

#[test]
fn results_are_texts_and_documents_and_images_follow() {
    let (got, dropped) = from_messages(
        &json!({"model":"m","max_tokens":9,"messages":[
            {"role":"user","content":"x"},
            {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}},
                {"type":"tool_use","id":"t2","name":"f","input":{}}]},
            {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"t1","is_error":true,"content":[
                    {"type":"text","text":"bad","cache_control":{"type":"ephemeral"}},{"type":"text","text":"luck"},
                    {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]},
                {"type":"tool_result","tool_use_id":"t2","content":[
                    {"type":"document","title":"n","source":{"type":"text","media_type":"text/plain","data":"d"}}]},
                {"type":"text","text":"so?"}]}]}),
        "m",
    );
    assert_eq!(
        got["messages"].as_array().unwrap()[2..],
        [
            json!({"role":"tool","tool_call_id":"t1","content":"Error:\nbad\nluck"}),
            json!({"role":"tool","tool_call_id":"t2","content":[
                {"type":"document","document":{"data":{"text":"d","title":"n"}}}]}),
            json!({"role":"user","content":[{"type":"text","text":"Returned by tool call t1:"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"type":"text","text":"so?"}]}),
        ]
    );
    assert_eq!(dropped, ["messages[2].content[0].cache_control"]);
}

#[test]
fn images_of_results_in_messages_of_their_own_follow_the_last_of_them() {
    let call = |id: &str| json!({"id":id,"type":"function","function":{"name":"f","arguments":"{}"}});
    let (got, _) = from_chat(&json!({"model":"m","messages":[
        {"role":"user","content":"x"},
        {"role":"assistant","content":null,"tool_calls":[call("t1"), call("t2")]},
        {"role":"tool","tool_call_id":"t1","content":[
            {"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},
        {"role":"tool","tool_call_id":"t2","content":"files"},
        {"role":"user","content":"so?"}]}));
    assert_eq!(
        got["messages"].as_array().unwrap()[2..],
        [
            json!({"role":"tool","tool_call_id":"t1","content":"see"}),
            json!({"role":"tool","tool_call_id":"t2","content":"files"}),
            json!({"role":"user","content":[{"type":"text","text":"Returned by tool call t1:"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}),
            json!({"role":"user","content":"so?"}),
        ]
    );
}

#[test]
fn documents_to_be_cited_stand_beside_the_conversation() {
    let document = |text: &str, enabled: bool| {
        json!({"type":"document","title":"n","source":{"type":"text","media_type":"text/plain","data":text},
            "citations":{"enabled":enabled}})
    };
    let ask = |enabled| {
        json!({"model":"m","max_tokens":9,"messages":[{"role":"user","content":[
            document("one", enabled), document("two", enabled), {"type":"text","text":"?"}]}],
            "output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}})
    };
    let (got, dropped) = from_messages(&ask(true), "m");
    let documents =
        json!([{"id":"doc:0","data":{"text":"one","title":"n"}},{"id":"doc:1","data":{"text":"two","title":"n"}}]);
    assert_eq!(got["documents"], documents);
    assert_eq!(got["messages"][1], json!({"role":"user","content":"?"}));
    // A schema cannot go with documents.
    assert!(got["messages"][0]["content"].as_str().unwrap().contains("JSON Schema"), "{got}");
    assert_eq!(
        (got.get("response_format"), dropped.as_slice()),
        (None, ["output_config.format".to_owned()].as_slice())
    );
    let (got, dropped) = from_messages(&ask(false), "m");
    assert_eq!(got["messages"][0]["content"][0], json!({"type":"text","text":"n\n\none"}));
    assert_eq!(got["response_format"], json!({"type":"json_object","json_schema":{"type":"object"}}));
    assert_eq!((got.get("documents"), dropped), (None, none()));
}

#[test]
fn thinking_goes_back_to_models_that_think() {
    let body = json!({"model":"m","max_tokens":9,"thinking":{"type":"enabled","budget_tokens":2048},"messages":[
        {"role":"user","content":"x"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"theirs"},{"type":"text","text":"so"}]},
        {"role":"user","content":"y"}]});
    let (got, dropped) = from_messages(&body, "command-a-reasoning-08-2025");
    assert_eq!(got["thinking"], json!({"type":"enabled","token_budget":2048}));
    let said = json!([{"type":"thinking","thinking":"hm"},{"type":"text","text":"so"}]);
    assert_eq!((&got["messages"][1]["content"], dropped), (&said, none()));
    let (got, dropped) = from_messages(&body, "command-a-03-2025");
    assert_eq!((&got["messages"][1]["content"], got.get("thinking")), (&json!("so"), None));
    assert_eq!(dropped, ["thinking"]);
    for (effort, expected) in [
        ("none", json!({"type":"disabled"})),
        ("low", json!({"type":"enabled","token_budget":1024})),
        ("medium", json!({"type":"enabled","token_budget":8192})),
        ("high", json!({"type":"enabled"})),
    ] {
        let body = json!({"model":"m","reasoning_effort":effort,"messages":[{"role":"user","content":"x"}]});
        let (got, _) = try_from(Dialect::OpenAiChat, &body, "command-a-plus-05-2026").unwrap();
        assert_eq!(got["thinking"], expected, "{effort}");
    }
}

#[test]
fn settings_are_kept_within_bounds_and_named() {
    let (got, dropped) = from_chat(&json!({"model":"m","messages":[{"role":"user","content":"x"}],
        "temperature":1.5,"top_p":1,"frequency_penalty":-1,"presence_penalty":0.5,"seed":3,"logprobs":true,
        "top_logprobs":2,"user":"u","store":false,"service_tier":"auto","logit_bias":{},
        "stop":["a","b","","c","d","e","f"]}));
    for (name, value) in [
        ("temperature", json!(1)),
        ("p", json!(0.99)),
        ("frequency_penalty", json!(0)),
        ("seed", json!(3)),
        ("logprobs", json!(true)),
        ("stop_sequences", json!(["a", "b", "c", "d"])),
    ] {
        assert_eq!(got[name], value, "{name}");
    }
    assert_eq!(
        dropped,
        [
            "stop[2]",
            "stop[5]",
            "stop[6]",
            "frequency_penalty",
            "presence_penalty",
            "temperature",
            "top_logprobs",
            "user"
        ]
    );
    let (got, dropped) = from_chat(&json!({"model":"m","messages":[{"role":"user","content":"x"}],
        "temperature":0.25,"top_p":0.5,"frequency_penalty":0,"presence_penalty":0.5}));
    assert_eq!((&got["temperature"], &got["p"], &got["presence_penalty"]), (&json!(0.25), &json!(0.5), &json!(0.5)));
    assert_eq!((got.get("frequency_penalty"), dropped), (None, none()));
}

#[test]
fn a_choice_of_one_tool_is_that_tool_alone() {
    let tool = |name: &str, strict: bool| json!({"type":"function","function":{"name":name,"strict":strict,"parameters":{"type":"object"}}});
    let ask = |tools: Value, choice: Value| {
        from_chat(&json!({"model":"m","messages":[{"role":"user","content":"x"}],"tools":tools,"tool_choice":choice,
            "parallel_tool_calls":false}))
    };
    let named = json!({"type":"function","function":{"name":"g"}});
    let (got, dropped) = ask(json!([tool("f", false), tool("g", true)]), named.clone());
    assert_eq!(got["tools"].as_array().unwrap().len(), 1);
    assert_eq!((&got["tools"][0]["function"]["name"], &got["tool_choice"]), (&json!("g"), &json!("REQUIRED")));
    assert_eq!((&got["strict_tools"], dropped), (&json!(true), vec!["parallel_tool_calls".to_owned()]));
    let (got, dropped) = ask(json!([tool("f", true), tool("h", false)]), named);
    assert_eq!((got.get("tool_choice"), got.get("strict_tools")), (None, None));
    assert_eq!(dropped, ["tools[0].function.strict", "tool_choice", "parallel_tool_calls"]);
    for (choice, word) in [("none", json!("NONE")), ("required", json!("REQUIRED")), ("auto", Value::Null)] {
        assert_eq!(ask(json!([tool("f", false)]), json!(choice)).0["tool_choice"], word);
    }
}

#[test]
fn arguments_that_were_cut_stay_json() {
    let (got, _) = from_chat(&json!({"model":"m","messages":[{"role":"user","content":"x"},
        {"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\": \"b"}}]},
        {"role":"tool","tool_call_id":"c","content":"bad"}]}));
    let arguments = &got["messages"][1]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(arguments, &json!(r#"{"arguments":"{\"a\": \"b"}"#));
}

#[test]
fn what_would_vanish_is_refused() {
    let refusals = [
        json!([{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]),
        json!([{"type":"file","file":{"file_id":"f"}}]),
        json!([{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}}]),
    ];
    for content in refusals {
        let body = json!({"model":"m","messages":[{"role":"user","content":content}]});
        let error = try_from(Dialect::OpenAiChat, &body, "m").unwrap_err();
        assert_eq!((error.status(), error.param()), (400, Some("messages[0].content[0]")), "{error:?}");
    }
    let two = json!({"model":"m","n":2,"messages":[{"role":"user","content":"x"}]});
    assert_eq!(try_from(Dialect::OpenAiChat, &two, "m").unwrap_err().param(), Some("n"));
    let nothing = json!({"model":"m","messages":[]});
    assert_eq!(try_from(Dialect::OpenAiChat, &nothing, "m").unwrap_err().status(), 400);
}
