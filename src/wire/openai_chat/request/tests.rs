use crate::error::Kind;
use crate::wire::ir::{Dropped, Media, Output, PartKind, Request, Role, SettingKind, ToolChoice, ToolKind};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire::{Abilities, Dialect, Quirks, Target, Thinking};

use super::{decode, encode};

fn seal() -> Seal {
    Seal::new("test", b"key")
}

fn write(request: &Request<'_>, quirks: &Quirks) -> (String, String) {
    write_for("up", Thinking::Unknown, request, quirks)
}

fn write_for(model: &str, thinking: Thinking, request: &Request<'_>, quirks: &Quirks) -> (String, String) {
    let seal = seal();
    let target =
        Target { model, quirks, max_output_tokens: None, thinking, abilities: Abilities::UNKNOWN, seal: &seal };
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    encode(request, &target, &mut out, &mut dropped).unwrap();
    (String::from_utf8(out).unwrap(), dropped.header())
}

/// The request as if an Anthropic client had sent it.
fn foreign(body: &str) -> Request<'_> {
    crate::wire::decode_request(Dialect::Anthropic, body).unwrap()
}

fn foreign_out(body: &str, quirks: &Quirks) -> (String, String) {
    write(&foreign(body), quirks)
}

#[test]
fn leading_instructions_are_the_system_and_later_ones_stay_turns() {
    let body = r#"{"model":"m","messages":[{"role":"developer","content":"a"},{"role":"system","content":[{"type":"text","text":"b"}]},
        {"role":"user","content":"hi","name":"bob"},{"role":"developer","content":"c"}]}"#;
    let request = decode(body).unwrap();
    assert_eq!(request.system.len(), 2);
    assert_eq!(request.system[1].at.to_string(), "messages[1].content[0]");
    let roles: Vec<Role> = request.turns.iter().map(|t| t.role).collect();
    assert_eq!(roles, [Role::User, Role::Developer]);
    assert_eq!(request.turns[0].name.as_ref().unwrap().text(), "bob");
}

#[test]
fn every_kind_of_part_is_understood() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":[
        {"type":"text","text":"t","cache_control":{"type":"ephemeral"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AA\/B","detail":"low"}},
        {"type":"image_url","image_url":{"url":"https://x/y.png"}},
        {"type":"file","file":{"file_data":"data:application/pdf;base64,QQ==","filename":"a.pdf"}},
        {"type":"file","file":{"file_id":"file-1"}},
        {"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}},
        {"type":"video_url","video_url":{"url":"u"}}]}]}"#;
    let request = decode(body).unwrap();
    let parts = &request.turns[0].parts;
    assert!(parts[0].cache.is_some());
    let PartKind::Image { media: Media::Base64 { mime, data }, detail } = &parts[1].kind else { panic!() };
    assert_eq!((&**mime, &**data, detail.as_ref().unwrap().raw()), ("image/png", "AA/B", "\"low\""));
    assert!(matches!(&parts[2].kind, PartKind::Image { media: Media::Url(u), .. } if u.is("https://x/y.png")));
    assert!(
        matches!(&parts[3].kind, PartKind::Document { media: Media::Base64 { .. }, title: Some(t), .. } if t.is("a.pdf"))
    );
    assert!(matches!(&parts[4].kind, PartKind::Document { media: Media::File(_), .. }));
    assert!(matches!(&parts[5].kind, PartKind::Audio { format: Some(f), .. } if f.is("wav")));
    assert!(matches!(&parts[6].kind, PartKind::Other { tag, .. } if tag.is("video_url")));
    let (out, dropped) = write(&request, &Quirks::NONE);
    assert_eq!(dropped, "");
    assert!(out.contains(r#"{"type":"video_url","video_url":{"url":"u"}}"#), "{out}");
    assert!(out.contains(r#""url":"data:image/png;base64,AA/B","detail":"low""#), "{out}");
}

#[test]
fn calls_results_and_thinking_keep_their_order() {
    let body = r#"{"model":"m","messages":[{"role":"assistant","content":null,
        "thinking_blocks":[{"type":"thinking","thinking":"t","signature":"S"},{"type":"redacted_thinking","data":"D"}],
        "reasoning_content":"t",
        "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"},"cache_control":{"type":"ephemeral"}},
                      {"id":"b","type":"function","function":{"name":"g"}},
                      {"id":"c","type":"custom","custom":{"name":"h","input":"4 + 4"}}]},
        {"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]},
        {"role":"tool","tool_call_id":"b","content":""}]}"#;
    let request = decode(body).unwrap();
    let parts = &request.turns[0].parts;
    assert!(matches!(&parts[0].kind, PartKind::Reasoning { signature: Some(s), .. } if s.is("S")));
    assert!(matches!(&parts[1].kind, PartKind::RedactedReasoning { .. }));
    assert!(matches!(&parts[2].kind, PartKind::Reasoning { signature: None, .. }));
    let object = |i: usize| match &parts[i].kind {
        PartKind::ToolCall { arguments, .. } => arguments.object().unwrap().into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!((object(3), object(4), object(5)), ("{\"x\":1}".into(), "{}".into(), "{\"input\":\"4 + 4\"}".into()));
    assert!(parts[3].cache.is_some());
    let PartKind::ToolResult { content, .. } = &request.turns[1].parts[0].kind else { panic!() };
    assert_eq!(content.len(), 2);
    let (out, _) = write(&request, &Quirks::NONE);
    for kept in [
        r#""thinking_blocks":[{"type":"thinking","thinking":"t","signature":"S"},{"type":"redacted_thinking","data":"D"}]"#,
        r#""reasoning_content":"t""#,
        r#"{"id":"c","type":"custom","custom":{"name":"h","input":"4 + 4"}}"#,
        r#""cache_control":{"type":"ephemeral"}"#,
    ] {
        assert!(out.contains(kept), "{kept} is not in {out}");
    }
}

#[test]
fn legacy_functions_become_tools_with_an_id() {
    let body = r#"{"model":"m","functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"},
        "messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
                    {"role":"function","name":"f","content":"r"}]}"#;
    let request = decode(body).unwrap();
    assert!(matches!(&request.tools[0].kind, ToolKind::Function { name, .. } if name.is("f")));
    assert!(matches!(&request.tool_choice, Some(ToolChoice::Named(name)) if name.is("f")));
    let PartKind::ToolCall { id: call, .. } = &request.turns[0].parts[0].kind else { panic!() };
    let PartKind::ToolResult { id: result, .. } = &request.turns[1].parts[0].kind else { panic!() };
    assert_eq!(call, result);
}

#[test]
fn settings_are_known_by_name_and_strangers_survive() {
    let body = r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},
        "temperature":0.50,"logit_bias":{"1":-100},"seed":null,"my_own":[1e400],"stop":"x","n":2,
        "max_tokens":5,"max_completion_tokens":6,"tool_choice":{"type":"allowed_tools","allowed_tools":{}},
        "response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"type":"object"},"strict":true}}}"#;
    let request = decode(body).unwrap();
    assert!(request.stream_usage);
    assert_eq!((request.max_tokens, request.choices, request.stop.len()), (Some(6), Some(2), 1));
    assert!(matches!(request.tool_choice, Some(ToolChoice::Other(_))));
    assert!(matches!(request.output, Output::JsonSchema { strict: Some(true), .. }));
    let kinds: Vec<SettingKind> = request.options.iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [SettingKind::Temperature, SettingKind::LogitBias, SettingKind::Other, SettingKind::Other]);
    let (out, _) = write(&request, &Quirks { max_tokens: "max_completion_tokens", ..Quirks::NONE });
    for kept in [
        r#""temperature":0.50"#,
        r#""my_own":[1e400]"#,
        r#""max_completion_tokens":6"#,
        r#""stream_options":{"include_usage":true,"include_obfuscation":false}"#,
        r#""tool_choice":{"type":"allowed_tools","allowed_tools":{}}"#,
    ] {
        assert!(out.contains(kept), "{kept} is not in {out}");
    }
}

#[test]
fn the_three_spellings_of_effort_are_one() {
    let reasoning = |member: &str| {
        let body = format!(r#"{{"model":"m","messages":[],{member}}}"#);
        let request = decode(&body).unwrap();
        let it = request.reasoning.as_ref().unwrap();
        let found = (it.name, it.effort.as_ref().map(|e| e.text().into_owned()), it.budget_tokens, it.disabled);
        let (out, _) = write(&request, &Quirks::NONE);
        assert!(out.contains(member), "{member} is not in {out}");
        found
    };
    assert_eq!(reasoning(r#""reasoning_effort":"high""#), ("reasoning_effort", Some("high".into()), None, false));
    assert_eq!(
        reasoning(r#""reasoning":{"effort":"low","exclude":true}"#),
        ("reasoning", Some("low".into()), None, false)
    );
    assert_eq!(reasoning(r#""reasoning":{"enabled":false}"#), ("reasoning", None, None, true));
    assert_eq!(
        reasoning(r#""thinking":{"type":"enabled","budget_tokens":2000}"#),
        ("thinking", None, Some(2000), false)
    );
    assert_eq!(reasoning(r#""thinking":{"type":"disabled"}"#), ("thinking", None, None, true));
}

#[test]
fn what_nobody_could_serve_names_its_member() {
    for (body, kind, param) in [
        ("[1", Kind::InvalidJson, None),
        (r#"{"messages":[]}"#, Kind::InvalidRequest, Some("model")),
        (r#"{"model":"m"}"#, Kind::InvalidRequest, Some("messages")),
        (r#"{"model":"m","messages":[],"stream":"yes"}"#, Kind::InvalidRequest, Some("stream")),
        (r#"{"model":"m","messages":[],"max_tokens":-1}"#, Kind::InvalidRequest, Some("max_tokens")),
        (r#"{"model":"m","messages":[],"max_tokens":9.5}"#, Kind::InvalidRequest, Some("max_tokens")),
        (r#"{"model":"m","messages":[],"max_tokens":"9"}"#, Kind::InvalidRequest, Some("max_tokens")),
        (r#"{"model":"m","messages":[],"temperature":"hot"}"#, Kind::InvalidRequest, Some("temperature")),
        (r#"{"model":"m","messages":[],"temperature":"0.3"}"#, Kind::InvalidRequest, Some("temperature")),
        (r#"{"model":"m","messages":[],"temperature":{}}"#, Kind::InvalidRequest, Some("temperature")),
        (r#"{"model":"m","messages":[],"top_p":[1]}"#, Kind::InvalidRequest, Some("top_p")),
        (r#"{"model":"m","messages":[{"role":"robot","content":""}]}"#, Kind::InvalidRequest, Some("messages[0].role")),
        (
            r#"{"model":"m","messages":[{"role":"user","content":5}]}"#,
            Kind::InvalidRequest,
            Some("messages[0].content"),
        ),
        (
            r#"{"model":"m","messages":[{"role":"tool","content":""}]}"#,
            Kind::InvalidRequest,
            Some("messages[0].tool_call_id"),
        ),
    ] {
        let error = decode(body).unwrap_err();
        assert_eq!((error.kind(), error.param()), (kind, param), "{body}");
    }
}

#[test]
fn tool_results_come_first_and_their_images_follow() {
    let body = r#"{"model":"m","max_tokens":5,"messages":[
        {"role":"assistant","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t1","name":"f","input":{}},{"type":"tool_use","id":"t2","name":"f","input":{"x":1}}]},
        {"role":"user","content":[
            {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"see"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]},
            {"type":"tool_result","tool_use_id":"t2","is_error":true,"content":"no such file"},
            {"type":"text","text":"go on"}]}]}"#;
    let (out, dropped) = foreign_out(body, &Quirks::NONE);
    assert_eq!(dropped, "");
    let messages = out.split_once("\"messages\":").unwrap().1.split_once(",\"max_tokens\"").unwrap().0;
    assert_eq!(
        messages,
        concat!(
            r#"[{"role":"assistant","content":"a","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}},"#,
            r#"{"id":"t2","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},"#,
            r#"{"role":"tool","tool_call_id":"t1","content":"see"},"#,
            r#"{"role":"tool","tool_call_id":"t2","content":"Error:\nno such file"},"#,
            r#"{"role":"user","content":[{"type":"text","text":"Returned by tool call t1:"},"#,
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"type":"text","text":"go on"}]}]"#,
        )
    );
}

/// OpenAI refuses anything between a turn with calls and the last of their results.
#[test]
fn images_of_results_in_turns_of_their_own_follow_the_last_of_them() {
    let body = r#"{"model":"m","max_tokens":5,"messages":[
        {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}},{"type":"tool_use","id":"t2","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t2","content":"files"}]},
        {"role":"assistant","content":"ok"}]}"#;
    let (out, _) = foreign_out(body, &Quirks::NONE);
    let results = concat!(
        r#"{"role":"tool","tool_call_id":"t1","content":""},{"role":"tool","tool_call_id":"t2","content":"files"},"#,
        r#"{"role":"user","content":[{"type":"text","text":"Returned by tool call t1:"},"#,
        r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","content":"ok"}]"#,
    );
    assert!(out.contains(results), "{out}");
    let responses = r#"{"model":"m","input":[{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
        {"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},
        {"type":"function_call_output","call_id":"c1","output":[{"type":"input_image","image_url":"data:image/png;base64,AA=="}]},
        {"type":"function_call_output","call_id":"c2","output":"files"}]}"#;
    let (out, _) = write(&crate::wire::decode_request(Dialect::Responses, responses).unwrap(), &Quirks::NONE);
    let of = |text: &str| out.find(text).unwrap_or_else(|| panic!("{text} in {out}"));
    assert!(of(r#""tool_call_id":"c2""#) < of("Returned by tool call c1:"), "{out}");
}

#[test]
fn what_chat_has_no_word_for_is_named() {
    let body = r#"{"model":"m","max_tokens":5,"top_k":3,"stop_sequences":["1","2","3","4","5"],
        "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}},{"type":"text","text":"t"}],
        "tools":[{"name":"f","input_schema":{"type":"object"}},{"type":"web_search_20250305","name":"web_search"}],
        "metadata":{"user_id":"u"},"messages":[{"role":"user","content":"hi"}]}"#;
    let (out, dropped) = foreign_out(body, &Quirks::NONE);
    for named in ["top_k", "stop_sequences[4]", "system[0].cache_control", "tools[1]"] {
        assert!(dropped.split(", ").any(|d| d == named), "{named} is not in {dropped}");
    }
    for kept in [
        r#""stop":["1","2","3","4"]"#,
        r#""user":"u""#,
        r#"{"role":"system","content":"s\n\nt"}"#,
        r#""parameters":{"properties":{},"type":"object"}"#,
    ] {
        assert!(out.contains(kept), "{kept} is not in {out}");
    }
}

#[test]
fn a_user_id_that_is_too_long_becomes_a_stable_short_one() {
    let body = format!(
        r#"{{"model":"m","max_tokens":5,"metadata":{{"user_id":"{}"}},"messages":[{{"role":"user","content":"hi"}}]}}"#,
        "u".repeat(65)
    );
    let user = |body: &str| {
        let out = foreign_out(body, &Quirks::NONE).0;
        out.split_once("\"user\":\"").unwrap().1.split_once('"').unwrap().0.to_owned()
    };
    assert_eq!(user(&body).len(), 64);
    assert_eq!(user(&body), user(&body));
}

#[test]
fn thinking_goes_back_where_the_vendor_reads_it_and_is_never_named() {
    let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"why","signature":""},{"type":"thinking","thinking":"","signature":"foreign"},
        {"type":"redacted_thinking","data":"R"},{"type":"text","text":"a"}]},{"role":"user","content":"b"}]}"#;
    let (out, dropped) = foreign_out(body, &Quirks { reasoning_echo: Some("reasoning_content"), ..Quirks::NONE });
    assert_eq!(dropped, "");
    assert!(out.contains(r#""reasoning_content":"why""#), "{out}");
    let (out, dropped) = foreign_out(body, &Quirks::NONE);
    assert_eq!(dropped, "");
    assert!(!out.contains("why") && !out.contains("foreign"), "{out}");
}

#[test]
fn budgets_and_efforts_become_one_of_openais_words() {
    let effort = |member: &str| {
        let body = format!(r#"{{"model":"m","max_tokens":5,{member},"messages":[{{"role":"user","content":"hi"}}]}}"#);
        let (out, _) = foreign_out(&body, &Quirks::NONE);
        Some(out.split_once("\"reasoning_effort\":\"")?.1.split_once('"')?.0.to_owned())
    };
    assert_eq!(effort(r#""thinking":{"type":"enabled","budget_tokens":1024}"#).as_deref(), Some("low"));
    assert_eq!(effort(r#""thinking":{"type":"enabled","budget_tokens":8000}"#).as_deref(), Some("medium"));
    assert_eq!(effort(r#""thinking":{"type":"enabled","budget_tokens":32000}"#).as_deref(), Some("high"));
    assert_eq!(effort(r#""output_config":{"effort":"max"}"#).as_deref(), Some("high"));
    assert_eq!(effort(r#""thinking":{"type":"adaptive"}"#), None);
    assert_eq!(effort(r#""thinking":{"type":"disabled"}"#), None);
}

#[test]
fn no_thinking_is_the_least_that_a_model_of_openais_takes() {
    let sent = |model: &str, quirks: &Quirks| {
        let body = r#"{"model":"m","max_tokens":5,"thinking":{"type":"disabled"},"messages":[{"role":"user","content":"hi"}]}"#;
        write_for(model, Thinking::Unknown, &foreign(body), quirks)
    };
    let (out, dropped) = sent("gpt-5-mini", &Quirks::NONE);
    assert!(out.contains(r#""reasoning_effort":"minimal""#), "{out}");
    assert_eq!(dropped, "thinking");
    let (out, dropped) = sent("gpt-5.2", &Quirks::NONE);
    assert!(out.contains(r#""reasoning_effort":"none""#), "{out}");
    assert_eq!(dropped, "");
    for (model, quirks) in [("llama", Quirks::NONE), ("gpt-5", Quirks { reasoning_effort: false, ..Quirks::NONE })] {
        let (out, dropped) = sent(model, &quirks);
        assert!(!out.contains("reasoning_effort") && dropped.is_empty(), "{out} {dropped}");
    }
}

#[test]
fn a_model_that_does_not_think_gets_no_effort() {
    let body =
        r#"{"model":"m","max_tokens":5,"output_config":{"effort":"low"},"messages":[{"role":"user","content":"hi"}]}"#;
    let (out, dropped) = write_for("gpt-4o", Thinking::None, &foreign(body), &Quirks::NONE);
    assert!(!out.contains("reasoning_effort"), "{out}");
    assert_eq!(dropped, "output_config.effort");
}

#[test]
fn a_refusal_of_another_formats_stands_beside_the_content() {
    let sent = |content: &str| {
        let body = format!(
            r#"{{"model":"m","input":[{{"type":"message","role":"user","content":"a"}},{{"type":"message","role":"assistant","content":[{content}]}}]}}"#
        );
        let (out, dropped) = write(&crate::wire::decode_request(Dialect::Responses, &body).unwrap(), &Quirks::NONE);
        assert_eq!(dropped, "");
        out
    };
    let refusal = r#"{"type":"refusal","refusal":"no way"}"#;
    let out = sent(refusal);
    assert!(out.contains(r#"{"role":"assistant","content":null,"refusal":"no way"}"#), "{out}");
    let out = sent(&format!(r#"{{"type":"output_text","text":"hm"}},{refusal}"#));
    assert!(out.contains(r#"{"role":"assistant","content":"hm","refusal":"no way"}"#), "{out}");
}

#[test]
fn the_likeliest_tokens_are_asked_for_with_log_probabilities() {
    let sent = |most: u32| {
        let body = format!(r#"{{"model":"m","input":"a","top_logprobs":{most}}}"#);
        write(&crate::wire::decode_request(Dialect::Responses, &body).unwrap(), &Quirks::NONE)
    };
    let (out, dropped) = sent(3);
    assert!(out.contains(r#""top_logprobs":3"#) && out.contains(r#""logprobs":true"#), "{out}");
    assert_eq!(dropped, "");
    let (out, dropped) = sent(0);
    assert!(!out.contains("logprobs") && dropped.is_empty(), "{out}");
}

#[test]
fn quirks_are_honoured() {
    let body = r#"{"model":"m","stream":true,"parallel_tool_calls":false,"reasoning_effort":"low",
        "tools":[{"type":"function","function":{"name":"f","strict":true,"x":1},"y":2}],
        "response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"type":"object"}}},
        "messages":[{"role":"user","content":"a"},{"role":"developer","content":"b"}]}"#;
    let request = decode(body).unwrap();
    let (out, dropped) = write(&request, &Quirks { developer_role: true, ..Quirks::NONE });
    assert_eq!(dropped, "");
    assert!(out.contains(r#"{"role":"developer","content":"b"}"#), "{out}");
    assert!(out.contains(r#"{"type":"function","function":{"name":"f","strict":true,"x":1},"y":2}"#), "{out}");
    let none = Quirks {
        stream_options: false,
        reasoning_effort: false,
        json_schema: false,
        strict_tools: false,
        parallel_tool_calls: false,
        ..Quirks::NONE
    };
    let (out, dropped) = write(&request, &none);
    for gone in ["developer", "stream_options", "reasoning_effort", "strict", "parallel_tool_calls", "json_schema"] {
        assert!(!out.contains(gone), "{gone} is in {out}");
    }
    assert!(out.contains(r#""response_format":{"type":"json_object"}"#) && out.contains("JSON Schema"), "{out}");
    for named in ["tools[0].function.strict", "parallel_tool_calls", "reasoning_effort", "response_format.json_schema"]
    {
        assert!(dropped.split(", ").any(|d| d == named), "{named} is not in {dropped}");
    }
}

#[test]
fn images_by_address_need_a_target_that_fetches_them() {
    let mut request = foreign(
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}]}"#,
    );
    assert!(write(&request, &Quirks::NONE).0.contains("https://x/y.png"));
    let inline_only = Quirks { image_urls: false, ..Quirks::NONE };
    let seal = Seal::new("t", b"");
    let target = Target {
        model: "m",
        quirks: &inline_only,
        max_output_tokens: None,
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal: &seal,
    };
    let error = encode(&request, &target, &mut Vec::new(), &mut Dropped::default()).unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("messages[0].content[0]")));
    request.tool_choice = Some(ToolChoice::Other(Raw::new("{}")));
    assert!(!write(&request, &Quirks::NONE).0.contains("tool_choice"), "no tool, no choice");
    request.stop = vec![Str::from_text("x")];
    assert!(write(&request, &Quirks::NONE).0.contains(r#""stop":["x"]"#));
}

#[test]
fn custom_tools_keep_their_grammar_in_either_shape() {
    let tool = r#"{"type":"custom","custom":{"name":"math","description":"d","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: x"}}}}"#;
    let choice = r#""tool_choice":{"type":"custom","custom":{"name":"math"}}"#;
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"q"}}],"tools":[{tool}],{choice}}}"#);
    let request = decode(&body).unwrap();
    let ToolKind::Custom { format: Some(format), .. } = &request.tools[0].kind else { panic!("a custom tool") };
    assert_eq!(format.get(), r#"{"type":"grammar","syntax":"lark","definition":"start: x"}"#);
    let (out, dropped) = write(&request, &Quirks::NONE);
    assert!(dropped.is_empty() && out.contains(tool) && out.contains(choice), "{dropped}: {out}");
}

/// What a client calls base64 is text of its making: it stays inside its string.
#[test]
fn nothing_in_inline_data_adds_members() {
    let evil = r#"AA\",\"model\":\"other\r"#;
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[
            {{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{evil}"}}}},
            {{"type":"document","source":{{"type":"base64","media_type":"application/pdf","data":"{evil}"}}}}]}}]}}"#
    );
    let out = foreign_out(&body, &Quirks::NONE).0;
    let text: String = serde_json::from_str(&format!("\"{evil}\"")).unwrap();
    let [image, file] = [("image_url", "url"), ("file", "file_data")].map(|(part, member)| {
        let at = out.find(&format!("\"{part}\":{{")).unwrap();
        let inner = out.get(at..).and_then(|rest| rest.get(rest.find('{')?..)).unwrap();
        crate::wire::scan::member(inner, member).and_then(Str::from_raw).unwrap().text().into_owned()
    });
    assert_eq!((image, file), (format!("data:image/png;base64,{text}"), format!("data:application/pdf;base64,{text}")));
}

/// "max_tokens is too large: 64000. This model supports at most 16384 completion tokens" (seen 2026-11).
#[test]
fn no_more_output_is_asked_for_than_the_model_has() {
    let seal = seal();
    let most = |request: &Request<'_>, ceiling| {
        let (quirks, mut out) = (crate::provider::openai::PROVIDER.quirks, Vec::new());
        let target = Target {
            model: "gpt-4o",
            quirks: &quirks,
            max_output_tokens: ceiling,
            thinking: Thinking::None,
            abilities: Abilities::UNKNOWN,
            seal: &seal,
        };
        encode(request, &target, &mut out, &mut Dropped::default()).unwrap();
        let most = crate::wire::scan::member(std::str::from_utf8(&out).unwrap(), "max_completion_tokens");
        most.unwrap().parse::<u64>().unwrap()
    };
    let messages = foreign(r#"{"model":"m","max_tokens":64000,"messages":[{"role":"user","content":"a"}]}"#);
    assert_eq!((most(&messages, Some(16_384)), most(&messages, None)), (16_384, 64_000));
    let own = decode(r#"{"model":"m","max_tokens":64000,"messages":[{"role":"user","content":"a"}]}"#).unwrap();
    assert_eq!(most(&own, Some(16_384)), 64_000);
}

/// "Unsupported parameter: 'temperature' is not supported with this model." (seen 2026-11)
#[test]
fn models_that_think_are_not_told_how_to_sample() {
    let body = |more: &str| {
        format!(
            r#"{{"model":"m","max_tokens":9,"temperature":0,"top_p":0.9,"stop_sequences":["a"]{more},"messages":[{{"role":"user","content":"a"}}]}}"#
        )
    };
    let all = "stop_sequences, temperature, top_p";
    let low = r#","output_config":{"effort":"low"}"#;
    for (model, more, expected) in [
        ("gpt-5", "", all),
        ("openai/gpt-5-mini", "", all),
        ("o3-mini", "", "temperature, top_p"),
        ("gpt-5.4", "", ""),
        ("gpt-5.4", low, all),
        ("gpt-5.6", "", all),
        ("gpt-5.6", r#","thinking":{"type":"disabled"}"#, ""),
        ("gpt-4.1", "", ""),
    ] {
        let (out, dropped) = write_for(model, Thinking::Unknown, &foreign(&body(more)), &Quirks::NONE);
        assert_eq!(dropped, expected, "{model} {more}");
        assert_eq!(out.contains("temperature"), expected.is_empty(), "{out}");
    }
    let asked = r#"{"model":"m","input":"a","top_logprobs":3}"#;
    let request = crate::wire::decode_request(Dialect::Responses, asked).unwrap();
    let (out, dropped) = write_for("gpt-5", Thinking::Unknown, &request, &Quirks::NONE);
    assert_eq!((out.contains("logprobs"), &*dropped), (false, "top_logprobs"));
}

#[test]
fn a_choice_that_has_no_tool_left_is_named() {
    let hosted = r#""tools":[{"type":"web_search"}],"parallel_tool_calls":false"#;
    let lost =
        |body: &str, quirks: &Quirks| write(&crate::wire::decode_request(Dialect::Responses, body).unwrap(), quirks).1;
    let required = format!(r#"{{"model":"m","input":"a","tool_choice":"required",{hosted}}}"#);
    assert_eq!(lost(&required, &Quirks::NONE), "tools[0], tool_choice");
    let auto = format!(r#"{{"model":"m","input":"a","tool_choice":"auto",{hosted}}}"#);
    assert_eq!(lost(&auto, &Quirks::NONE), "tools[0]");
    // In the client's own spelling.
    let one = r#"{"model":"m","input":"a","parallel_tool_calls":false,"tools":[{"type":"function","name":"f","parameters":{}}]}"#;
    assert_eq!(lost(one, &Quirks { parallel_tool_calls: false, ..Quirks::NONE }), "parallel_tool_calls");
}

/// "'required' is required to be supplied and to be an array including every key in properties."
#[test]
fn what_cannot_be_enforced_is_not_strict() {
    let object = |required: &str| {
        format!(
            r#"{{"type":"object","properties":{{"a":{{"type":"string"}}}},"required":{required},"additionalProperties":false}}"#
        )
    };
    let sent = |required: &str, quirks: &Quirks| {
        let schema = object(required);
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"a"}}],"tools":[{{"name":"f","strict":true,"input_schema":{schema}}}],"output_config":{{"format":{{"type":"json_schema","schema":{schema}}}}}}}"#
        );
        let (out, dropped) = foreign_out(&body, quirks);
        (out.matches(r#""strict":true"#).count(), dropped)
    };
    let openai = Quirks { developer_role: true, ..Quirks::NONE };
    assert_eq!(sent(r#"["a"]"#, &openai), (2, String::new()));
    assert_eq!(sent("[]", &openai), (0, "tools[0].strict, output_config.format.schema".to_owned()));
    // Others enforce it their own way.
    assert_eq!(sent(r#"["a"]"#, &Quirks::NONE), (1, String::new()));
}
