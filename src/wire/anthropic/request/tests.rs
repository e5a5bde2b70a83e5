#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::{decode, encode};
use crate::error::Kind;
use crate::wire::ir::{At, Dropped, Media, Part, PartKind, Request, Role, Setting, SettingKind, ToolChoice};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Abilities, Dialect, Quirks, Target, Thinking};

fn seal() -> Seal {
    Seal::new("anthropic", b"k")
}

fn target<'t>(seal: &'t Seal, thinking: Thinking, max_output_tokens: Option<u64>) -> Target<'t> {
    let model = if thinking == Thinking::Adaptive { "claude-opus-4-6" } else { "claude-sonnet-4-5" };
    Target { model, quirks: &Quirks::NONE, max_output_tokens, thinking, abilities: Abilities::UNKNOWN, seal }
}

/// Writes `request`; gives back the body and what was dropped.
fn written(request: &Request<'_>, target: &Target<'_>) -> (Value, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    encode(request, target, &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), dropped.paths().to_vec())
}

fn same(body: &Value) -> Value {
    let text = body.to_string();
    let request = decode(&text).unwrap();
    let seal = seal();
    written(&request, &target(&seal, Thinking::Unknown, None)).0
}

/// The request as if it had come in another format.
fn foreign(text: &str) -> Request<'_> {
    Request { dialect: Dialect::OpenAiChat, ..decode(text).unwrap() }
}

fn foreign_written(body: &Value) -> (Value, Vec<String>) {
    let text = body.to_string();
    let seal = seal();
    written(&foreign(&text), &target(&seal, Thinking::Unknown, None))
}

fn messages(list: &Value) -> Value {
    let body = json!({"model":"m","max_tokens":10,"messages":list});
    foreign_written(&body).0["messages"].clone()
}

fn refused(body: &Value) -> (Kind, String) {
    let error = decode(&body.to_string()).unwrap_err();
    (error.kind(), error.param().unwrap_or_default().to_owned())
}

#[test]
fn a_request_of_the_same_format_keeps_its_meaning_whole() {
    let body = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 100, "stream": true,
        "system": [{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"b"}],
        "messages": [
            {"role":"user","content":[
                {"type":"text","text":"hi","new_member":1},
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="},"cache_control":{"type":"ephemeral"}},
                {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
                {"type":"image","source":{"type":"file","file_id":"file_1"}},
                {"type":"image","source":{"type":"url","url":"https://x","extra":true}},
                {"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"title":"t","context":"c","citations":{"enabled":true}},
                {"type":"document","source":{"type":"content","content":[{"type":"text","text":"x"}]}},
                {"type":"search_result","source":"s","title":"t","content":[]}
            ]},
            {"role":"assistant","content":[
                {"type":"thinking","thinking":"hm\n","signature":"EqQB/+=="},
                {"type":"redacted_thinking","data":"zzz"},
                {"type":"text","text":""},
                {"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"q":"x"}},
                {"type":"tool_use","id":"toolu_1","name":"f","input":{"s":"\u{e9}"},"cache_control":{"type":"ephemeral"}}
            ]},
            {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"url","url":"https://x"}},{"type":"tool_reference","tool_name":"f"}],"is_error":true,"cache_control":{"type":"ephemeral"}}
            ]},
            {"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"g"}}]},
            {"role":"assistant","content":"tail "}
        ],
        "tools": [
            {"name":"f","description":"d","input_schema":{"type":"object"},"strict":true,"defer_loading":true,"cache_control":{"type":"ephemeral"}},
            {"type":"web_search_20260318","name":"web_search","max_uses":3}
        ],
        "tool_choice": {"type":"auto","disable_parallel_tool_use":true},
        "thinking": {"type":"enabled","budget_tokens":50,"display":"omitted"},
        "output_config": {"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}},"task_budget":{"total":1}},
        "stop_sequences": ["x"," "],
        "temperature": 0.50, "top_k": 5, "top_p": 0.9, "service_tier": "standard_only",
        "metadata": {"user_id":"u","other":1},
        "context_management": {"edits":[]}, "container": "c", "mcp_servers": [], "cache_control": {"type":"ephemeral"},
        "brand_new": {"a":[1,2]}
    });
    let text = body.to_string();
    let request = decode(&text).unwrap();
    let seal = seal();
    let (got, dropped) = written(&request, &target(&seal, Thinking::Budget, None));
    assert_eq!(got, body);
    assert!(dropped.is_empty());
}

#[test]
fn numbers_and_escapes_are_not_touched() {
    let arguments = r#"{"n":1e400,"big":12345678901234567890.10,"s":"\ud800\u00e9"}"#;
    let body = format!(
        r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"\ud800"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"1","name":"f","input":{arguments}}}]}}]}}"#
    );
    let seal = seal();
    for request in [decode(&body).unwrap(), foreign(&body)] {
        let mut out = Vec::new();
        encode(&request, &target(&seal, Thinking::None, None), &mut out, &mut Dropped::default()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(arguments) && out.contains(r#""content":"\ud800""#), "{out}");
    }
}

#[test]
fn strings_and_lone_texts_are_the_same_content() {
    let body =
        json!({"model":"claude-sonnet-4-5","max_tokens":1,"system":"s","messages":[{"role":"user","content":"hi"}]});
    assert_eq!(same(&body), body);
}

#[test]
fn thinking_of_every_type_comes_back() {
    for thinking in [
        json!({"type":"adaptive"}),
        json!({"type":"adaptive","display":"summarized"}),
        json!({"type":"disabled"}),
        json!({"type":"enabled","budget_tokens":1024}),
        json!({"type":"brand_new","x":1}),
    ] {
        let body = json!({"model":"claude-sonnet-4-5","max_tokens":1,"messages":[{"role":"user","content":"hi"}],"thinking":thinking});
        assert_eq!(same(&body), body);
    }
    let effort = json!({"model":"claude-sonnet-4-5","max_tokens":1,"messages":[{"role":"user","content":"hi"}],"output_config":{"effort":"low"}});
    assert_eq!(same(&effort), effort);
}

#[test]
fn the_older_output_format_is_read() {
    let format = json!({"type":"json_schema","schema":{"type":"object"}});
    let body = json!({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}],"output_format":format});
    assert_eq!(same(&body)["output_config"]["format"], format);
}

#[test]
fn a_schema_of_another_format_is_closed() {
    let format = json!({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object",
        "properties":{"a":{"type":"integer","minimum":1}}}}});
    let body = json!({"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":format}).to_string();
    let request = crate::wire::decode_request(Dialect::OpenAiChat, &body).unwrap();
    let seal = seal();
    let (got, dropped) = written(&request, &target(&seal, Thinking::Unknown, None));
    let schema = json!({"type":"object","properties":{"a":{"type":"integer","description":"{minimum: 1}"}},
        "additionalProperties":false});
    assert_eq!(
        (&got["output_config"]["format"]["schema"], dropped),
        (&schema, vec!["response_format.json_schema".to_owned()])
    );
}

#[test]
fn what_cannot_be_served_is_named() {
    let ok = json!([{"role":"user","content":"hi"}]);
    let cases = [
        (json!({"messages": ok}), "model"),
        (json!({"model": "", "messages": ok}), "model"),
        (json!({"model": "m"}), "messages"),
        (json!({"model": "m", "messages": "hi"}), "messages"),
        (json!({"model": "m", "messages": [{"role":"user","content":"a"}, 5]}), "messages[1]"),
        (json!({"model": "m", "messages": [{"role":"user","content":7}]}), "messages[0]"),
        (json!({"model": "m", "messages": [{"role":"tool","content":"a"}]}), "messages[0]"),
        (json!({"model": "m", "messages": [{"role":"user"}]}), "messages[0]"),
        (json!({"model": "m", "messages": [{"role":"user","content":[{"text":"a"}]}]}), "messages[0].content[0]"),
        (
            json!({"model": "m", "messages": [{"role":"user","content":[{"type":"text","text":5}]}]}),
            "messages[0].content[0]",
        ),
        (json!({"model": "m", "messages": ok, "system": 5}), "system"),
        (json!({"model": "m", "messages": ok, "max_tokens": "many"}), "max_tokens"),
        (json!({"model": "m", "messages": ok, "stream": "yes"}), "stream"),
        (json!({"model": "m", "messages": ok, "tools": {}}), "tools"),
        (json!({"model": "m", "messages": ok, "tools": [{"description":"d"}]}), "tools[0]"),
        (json!({"model": "m", "messages": ok, "stop_sequences": "x"}), "stop_sequences"),
    ];
    for (body, param) in cases {
        assert_eq!(refused(&body), (Kind::InvalidRequest, param.to_owned()), "{body}");
    }
    assert_eq!(decode("{").unwrap_err().kind(), Kind::InvalidJson);
}

#[test]
fn meanings_that_other_formats_share_are_read() {
    let text =
        json!({"model":"m","messages":[{"role":"system","content":"x"}],"tool_choice":{"type":"tool","name":"f"},
        "metadata":{"user_id":"u"},"top_k":3,"speed":"fast","temperature":null,"max_tokens":9})
        .to_string();
    let request = decode(&text).unwrap();
    assert!(matches!(&request.tool_choice, Some(ToolChoice::Named(name)) if name.is("f")));
    assert_eq!((request.parallel_tools, request.max_tokens, request.stream_usage), (None, Some(9), true));
    assert_eq!(request.turns[0].role, Role::System);
    let options: Vec<_> = request.options.iter().map(|s| (s.kind, s.name.as_ref())).collect();
    let expected =
        [(SettingKind::User, "metadata.user_id"), (SettingKind::Other, "speed"), (SettingKind::TopK, "top_k")];
    assert_eq!(options, expected);
}

/// Peers row 6: results become blocks of one user turn, and come first in it.
#[test]
fn turns_of_one_side_are_merged_and_results_come_first() {
    let got = messages(&json!([
        {"role":"user","content":"a"},
        {"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"  \n"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}},{"type":"tool_use","id":"2","name":"f","input":{}}]},
        {"role":"user","content":"first"},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"2","content":"two"}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"one"}]},
    ]));
    let expected = json!([
        {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}},{"type":"tool_use","id":"2","name":"f","input":{}}]},
        {"role":"user","content":[
            {"type":"tool_result","tool_use_id":"2","content":"two"},
            {"type":"tool_result","tool_use_id":"1","content":"one"},
            {"type":"text","text":"first"}]},
    ]);
    assert_eq!(got, expected);
}

#[test]
fn ids_are_made_valid_and_unique_the_same_on_call_and_result() {
    let call = |id: &str| json!({"role":"assistant","content":[{"type":"tool_use","id":id,"name":"f","input":{}}]});
    let result = |id: &str| json!({"role":"user","content":[{"type":"tool_result","tool_use_id":id,"content":"r"}]});
    let got = messages(&json!([
        {"role":"user","content":"a"}, call("functions.f:0"), result("functions.f:0"), call("functions.f:0"), result("functions.f:0"),
        call("functions_f_0"), result("functions_f_0"), call(""), result(""),
    ]));
    let ids: Vec<(String, String)> = got.as_array().unwrap()[1..]
        .chunks(2)
        .map(|pair| {
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            (text(&pair[0]["content"][0]["id"]), text(&pair[1]["content"][0]["tool_use_id"]))
        })
        .collect();
    assert!(ids.iter().all(|(call, result)| call == result));
    let ids: Vec<_> = ids.into_iter().map(|(call, _)| call).collect();
    assert_eq!(ids, ["functions_f_0", "functions_f_0_2", "functions_f_0_3", "call"]);
}

#[test]
fn calls_without_results_and_results_without_calls_are_mended() {
    let got = messages(&json!([
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"lost","content":"found"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
        {"role":"user","content":"go on"},
        {"role":"assistant","content":[{"type":"tool_use","id":"2","name":"f","input":{}}]},
    ]));
    let missing = |id: &str| json!({"type":"tool_result","tool_use_id":id,"content":"no result","is_error":true});
    assert_eq!(got[0], json!({"role":"user","content":"found"}));
    assert_eq!(got[2]["content"], json!([missing("1"), {"type":"text","text":"go on"}]));
    assert_eq!(got[4]["content"], json!([missing("2")]));
}

#[test]
fn instructions_stay_where_they_were_given() {
    let body = json!({"model":"m","max_tokens":10,"system":"top","messages":[
        {"role":"system","content":"leading"},
        {"role":"user","content":"a"},
        {"role":"assistant","content":"b"},
        {"role":"system","content":[{"type":"text","text":"now \"formal\"","cache_control":{"type":"ephemeral"}}]},
        {"role":"user","content":"c"},
    ]});
    let (got, _) = foreign_written(&body);
    assert_eq!(got["system"], json!([{"type":"text","text":"top"},{"type":"text","text":"leading"}]));
    assert_eq!(
        got["messages"][2]["content"],
        json!([
            {"type":"text","text":"<system>\nnow \"formal\"\n</system>","cache_control":{"type":"ephemeral"}},
            {"type":"text","text":"c"},
        ])
    );
}

#[test]
fn the_conversation_begins_with_the_user_and_a_prefill_is_trimmed() {
    let got = messages(&json!([{"role":"assistant","content":"hello \n\t"}]));
    assert_eq!(
        got,
        json!([{"role":"user","content":[{"type":"text","text":"."}]},{"role":"assistant","content":"hello"}])
    );
    let got = messages(&json!([{"role":"user","content":""},{"role":"assistant","content":" "}]));
    assert_eq!(got, json!([{"role":"user","content":[{"type":"text","text":"."}]}]));
    let (only_system, _) = foreign_written(&json!({"model":"m","messages":[{"role":"system","content":"s"}]}));
    assert_eq!(only_system["messages"], json!([{"role":"user","content":[{"type":"text","text":"."}]}]));
    assert_eq!(only_system["max_tokens"], 8192);
}

/// Peers row 2, towards a provider of this format: signatures byte-exact, order kept.
#[test]
fn signed_thinking_goes_back_as_it_is_and_other_thinking_does_not() {
    let signed = json!({"type":"thinking","thinking":"t\u{e9}\n","signature":"Eq/+=="});
    let redacted = json!({"type":"redacted_thinking","data":"zz"});
    let call = json!({"type":"tool_use","id":"1","name":"f","input":{}});
    let got = messages(&json!([
        {"role":"user","content":"a"},
        {"role":"assistant","content":[signed, redacted, {"type":"text","text":"x"}, {"type":"thinking","thinking":"unsigned","signature":""}, call]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1"}]},
    ]));
    assert_eq!(got[1]["content"], json!([signed, redacted, {"type":"text","text":"x"}, call]));
}

#[test]
fn content_without_a_block_is_refused_not_lost() {
    let text = json!({"model":"m","messages":[{"role":"user","content":"a"}]}).to_string();
    let at = At::item("messages", 0).inner("content", 1);
    let media = || Media::File(Str::from_text("file-abc"));
    let kinds = [
        PartKind::Audio { media: Media::Url(Str::from_text("https://x")), format: None },
        PartKind::Image { media: media(), detail: None },
        PartKind::Image { media: Media::Url(Str::from_text("ftp://x")), detail: None },
        PartKind::Document { media: media(), title: None, context: None, citations: None },
        PartKind::Document {
            media: Media::Base64 { mime: "application/zip".into(), data: "aGk=".into() },
            title: None,
            context: None,
            citations: None,
        },
        PartKind::Other { tag: Str::from_text("video_url"), json: Raw::new("{}") },
    ];
    for kind in kinds {
        let mut request = foreign(&text);
        request.turns[0].parts.push(Part::new(at, kind.clone()));
        let seal = seal();
        let result =
            encode(&request, &target(&seal, Thinking::Unknown, None), &mut Vec::new(), &mut Dropped::default());
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("messages[0].content[1]")), "{kind:?}");
    }
}

#[test]
fn data_urls_and_text_files_are_carried_inline() {
    let text = json!({"model":"m","messages":[{"role":"user","content":"a"}]}).to_string();
    let mut request = foreign(&text);
    let image = PartKind::Image { media: Media::Url(Str::from_text("data:image/png;base64,aGk=")), detail: None };
    let media = Media::Base64 { mime: "text/csv".into(), data: "YSxi".into() };
    let file = PartKind::Document { media, title: Some(Str::from_text("t.csv")), context: None, citations: None };
    request.turns[0].parts = vec![Part::new(At::default(), image), Part::new(At::default(), file)];
    let seal = seal();
    let (got, _) = written(&request, &target(&seal, Thinking::Unknown, None));
    assert_eq!(
        got["messages"][0]["content"],
        json!([
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}},
            {"type":"document","source":{"type":"text","media_type":"text/plain","data":"a,b"},"title":"t.csv"},
        ])
    );
}

fn effort_of<'t>(
    word: &'t str,
    kind: Thinking,
    max: Option<u64>,
    ceiling: Option<u64>,
    seal: &'t Seal,
) -> (Value, Vec<String>) {
    let text = json!({"model":"m","messages":[{"role":"user","content":"a"}]}).to_string();
    let mut request = foreign(&text);
    request.max_tokens = max;
    request.reasoning = Some(crate::wire::ir::Reasoning {
        name: "reasoning_effort",
        effort: Some(Str::from_text(word)),
        ..Default::default()
    });
    written(&request, &target(seal, kind, ceiling))
}

#[test]
fn effort_becomes_a_budget_under_max_tokens() {
    let seal = seal();
    let budget = |word, max, ceiling| {
        let (body, dropped) = effort_of(word, Thinking::Budget, max, ceiling, &seal);
        (body["max_tokens"].as_u64().unwrap(), body["thinking"]["budget_tokens"].as_u64(), dropped.len())
    };
    assert_eq!(budget("minimal", None, None), (9216, Some(1024), 0));
    assert_eq!(budget("low", None, Some(64_000)), (64_000, Some(2048), 0));
    assert_eq!(budget("medium", Some(20_000), None), (20_000, Some(8192), 0));
    assert_eq!(budget("high", Some(4000), None), (4000, Some(3000), 0));
    assert_eq!(budget("xhigh", None, Some(8192)), (8192, Some(6144), 0));
    assert_eq!(budget("high", Some(1000), None), (1000, None, 1));
    assert_eq!(budget("high", Some(200_000), Some(64_000)), (64_000, Some(16_384), 0));
    assert_eq!(budget("strange", None, None), (8192, None, 1));
    assert_eq!(budget("none", None, None), (8192, None, 0));
}

#[test]
fn effort_goes_out_as_such_to_adaptive_models_and_is_dropped_elsewhere() {
    let seal = seal();
    for (word, expected) in
        [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "high"), ("max", "max")]
    {
        let (body, dropped) = effort_of(word, Thinking::Adaptive, None, None, &seal);
        assert_eq!(body["thinking"], json!({"type":"adaptive"}));
        assert_eq!((body["output_config"]["effort"].as_str(), dropped.len()), (Some(expected), 0));
    }
    for kind in [Thinking::None, Thinking::Unknown] {
        let (body, dropped) = effort_of("high", kind, None, None, &seal);
        assert_eq!((body.get("thinking"), dropped), (None, vec!["reasoning_effort".to_owned()]));
    }
}

#[test]
fn a_budget_needs_the_thinking_of_the_turn_that_is_being_answered() {
    let turns = |first: Value| {
        json!({"model":"m","messages":[{"role":"user","content":"a"},
            {"role":"assistant","content":[first, {"type":"tool_use","id":"1","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"r"}]}]})
        .to_string()
    };
    let seal = seal();
    let thinks = |text: &str| {
        let mut request = foreign(text);
        request.reasoning = Some(crate::wire::ir::Reasoning { name: "reasoning_effort", ..Default::default() });
        written(&request, &target(&seal, Thinking::Budget, None)).0.get("thinking").is_some()
    };
    assert!(thinks(&turns(json!({"type":"thinking","thinking":"t","signature":"s"}))));
    assert!(!thinks(&turns(json!({"type":"text","text":"no thinking"}))));
}

fn with_options(
    thinking: Thinking,
    model: &str,
    options: &[(SettingKind, &'static str, &'static str)],
) -> (Value, Vec<String>) {
    let text = json!({"model":"m","messages":[{"role":"user","content":"a"}]}).to_string();
    let mut request = foreign(&text);
    let setting = |(kind, name, value): &(SettingKind, &'static str, &'static str)| Setting {
        kind: *kind,
        name: (*name).into(),
        value: Raw::new(value),
    };
    request.options = options.iter().map(setting).collect();
    let seal = seal();
    let target = Target { model, ..target(&seal, thinking, None) };
    written(&request, &target)
}

#[test]
fn sampling_goes_where_the_model_takes_it() {
    use SettingKind::{Temperature, TopK, TopP};
    let all = [(Temperature, "temperature", "0.3"), (TopP, "top_p", "0.9"), (TopK, "top_k", "5")];
    let (body, dropped) = with_options(Thinking::Budget, "claude-sonnet-4-5", &all);
    assert_eq!((&body["temperature"], &body["top_k"]), (&json!(0.3), &json!(5)));
    assert_eq!(dropped, ["top_p"]);
    let (body, dropped) = with_options(Thinking::Adaptive, "claude-opus-4-7", &all);
    assert_eq!((body.get("temperature"), body.get("top_k")), (None, None));
    assert_eq!(dropped, ["temperature", "top_k", "top_p"]);
    let (body, dropped) = with_options(Thinking::Unknown, "m", &[(Temperature, "temperature", "1.5")]);
    assert_eq!((&body["temperature"], dropped), (&json!(1), vec!["temperature".to_owned()]));
    let (body, dropped) = with_options(Thinking::Unknown, "m", &[(Temperature, "temperature", "1.0")]);
    assert_eq!((body.get("temperature"), dropped.len()), (None, 0));
}

#[test]
fn every_option_is_written_or_named() {
    use SettingKind::*;
    let options = [
        (Seed, "seed", "1"),
        (FrequencyPenalty, "frequency_penalty", "0.5"),
        (PresencePenalty, "presence_penalty", "0"),
        (LogitBias, "logit_bias", "{\"1\":2}"),
        (Logprobs, "logprobs", "true"),
        (TopLogprobs, "top_logprobs", "3"),
        (ServiceTier, "service_tier", "\"default\""),
        (User, "user", "\"u\""),
        (SafetyIdentifier, "safety_identifier", "\"v\""),
        (Metadata, "metadata", "{\"a\":\"b\"}"),
        (PromptCacheKey, "prompt_cache_key", "\"k\""),
        (Verbosity, "verbosity", "\"low\""),
        (Store, "store", "false"),
        (Other, "prediction", "{}"),
    ];
    let (body, dropped) = with_options(Thinking::Unknown, "m", &options);
    assert_eq!((&body["service_tier"], &body["metadata"]), (&json!("standard_only"), &json!({"user_id":"u"})));
    let expected = [
        "seed",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "safety_identifier",
        "metadata",
        "prompt_cache_key",
        "verbosity",
        "prediction",
    ];
    assert_eq!(dropped, expected);
}

/// Peers row 5: whatever schema a client's tool has, it is one that this format takes.
#[test]
fn tool_schemas_get_the_type_that_is_understood_elsewhere() {
    let schema = |schema: Value| {
        let tool = json!({"name":"f","input_schema":schema});
        let body = json!({"model":"m","messages":[{"role":"user","content":"a"}],"tools":[tool]});
        foreign_written(&body).0["tools"][0]["input_schema"].clone()
    };
    assert_eq!(schema(json!(null)), json!({"type":"object","properties":{}}));
    assert_eq!(schema(json!({})), json!({"type":"object","properties":{}}));
    assert_eq!(schema(json!({"properties":{"a":{}}})), json!({"type":"object","properties":{"a":{}}}));
    assert_eq!(schema(json!({"type":"object","x":1})), json!({"type":"object","x":1}));
}

#[test]
fn calls_without_declared_tools_are_declared_and_forbidden() {
    let body = json!({"model":"m","messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"r"}]}]});
    let (got, _) = foreign_written(&body);
    assert_eq!(got["tools"], json!([{"name":"f","input_schema":{"type":"object","properties":{}}}]));
    assert_eq!(got["tool_choice"], json!({"type":"none"}));
}

/// Peers row 16: a cache marker stays on whatever it stood on, of whichever format the client is.
#[test]
fn cache_markers_stay_on_every_block_tool_and_instruction() {
    let mark = json!({"type":"ephemeral","ttl":"1h"});
    let body = json!({"model":"claude-sonnet-4-5","max_tokens":10,
        "system":[{"type":"text","text":"s","cache_control":mark}],
        "tools":[{"name":"f","input_schema":{"type":"object"},"cache_control":mark}],
        "messages":[
            {"role":"user","content":[
                {"type":"text","text":"a","cache_control":mark},
                {"type":"image","source":{"type":"url","url":"https://x"},"cache_control":mark},
                {"type":"document","source":{"type":"url","url":"https://x"},"cache_control":mark}]},
            {"role":"assistant","content":[
                {"type":"text","text":"b","cache_control":mark},
                {"type":"tool_use","id":"1","name":"f","input":{},"cache_control":mark}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"r","cache_control":mark}]}]});
    assert_eq!(same(&body), body);
    let (mut got, dropped) = foreign_written(&body);
    got["model"] = body["model"].clone();
    assert_eq!((got, dropped), (body, Vec::new()));
}

/// "For 'integer' type, properties maximum, minimum are not supported" (seen 2026-11).
#[test]
fn a_strict_function_has_a_schema_that_can_be_enforced() {
    let parameters = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}});
    let tool = |strict: bool| json!({"type": "function", "function": {"name": "f", "parameters": parameters, "strict": strict}});
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [tool(true), tool(false)]});
    let (text, seal) = (body.to_string(), seal());
    let request = crate::wire::decode_request(Dialect::OpenAiChat, &text).unwrap();
    let (got, dropped) = written(&request, &target(&seal, Thinking::Unknown, None));
    let closed = json!({"type": "object", "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
        "additionalProperties": false});
    assert_eq!((&got["tools"][0]["input_schema"], &got["tools"][0]["strict"]), (&closed, &json!(true)));
    assert_eq!((&got["tools"][1]["input_schema"], got["tools"][1].get("strict")), (&parameters, None));
    assert_eq!(dropped, ["tools[0].function.parameters"]);
}
