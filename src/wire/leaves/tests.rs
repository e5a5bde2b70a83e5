use std::path::Path;

use super::*;

/// Who, what, of which call.
fn seen(dialect: Dialect, body: &str) -> Vec<(Who, String, String)> {
    told(body, &Leaves::of_whole_request(dialect, body).unwrap())
}

fn told(body: &str, found: &Leaves<'_>) -> Vec<(Who, String, String)> {
    let one = |leaf: &Leaf| {
        let call = found.call_of(leaf).map(|call| call.name.to_string()).unwrap_or_default();
        (leaf.who, leaf.text(body).into_owned(), call)
    };
    found.leaves.iter().map(one).collect()
}

fn expected(list: &[(Who, &str, &str)]) -> Vec<(Who, String, String)> {
    list.iter().map(|(who, text, call)| (*who, (*text).to_owned(), (*call).to_owned())).collect()
}

#[test]
fn chat_has_texts_of_every_role() {
    let body = r#"{"model":"m","messages":[
        {"content":"be\u0020kind","role":"developer"},
        {"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:x"}}]},
        {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[
            {"id":"c1","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"ls\"}"}},
            {"id":"c2","type":"custom","custom":{"name":"patch","input":"*** Begin"}}]},
        {"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"done"}]},
        {"role":"tool","tool_call_id":"c1","content":"a\nb"},
        {"role":"tool","tool_call_id":"gone","content":"?"},
        {"role":"stranger","content":"new","tool_calls":[{"function":{"name":"f","arguments":"x"}}]},
        {"content":{"type":"text","text":"nobody's"}}],
        "prediction":{"type":"content","content":[{"type":"text","text":"old"}]},
        "tools":[{"type":"function","function":{"name":"Bash","description":"runs","parameters":{"type":"object",
            "properties":{"description":{"type":"string","description":"words","enum":["a"]}}}}}]}"#;
    let list = [
        (Who::System, "be kind", ""),
        (Who::User, "look", ""),
        (Who::Reasoning, "hm", ""),
        (Who::Arguments, r#"{"command":"ls"}"#, "Bash"),
        (Who::Arguments, "*** Begin", "patch"),
        (Who::ToolResult, "done", "patch"),
        (Who::ToolResult, "a\nb", "Bash"),
        (Who::ToolResult, "?", ""),
        (Who::User, "new", ""),
        (Who::Arguments, "x", "f"),
        (Who::User, "nobody's", ""),
        (Who::Other, "old", ""),
        (Who::ToolDescription, "runs", ""),
        (Who::ToolDescription, "words", ""),
        (Who::ToolDescription, "a", ""),
    ];
    assert_eq!(seen(Dialect::OpenAiChat, body), expected(&list));
    let found = Leaves::of_request(Dialect::OpenAiChat, body).unwrap();
    assert_eq!(found.turns, 8);
    assert_eq!(found.leaves[5].turn, Some(3));
    assert_eq!(found.call_of(&found.leaves[6]).unwrap().arguments_text(), r#"{"command":"ls"}"#);
    assert_eq!(found.call_of(&found.leaves[7]).unwrap().id, "gone");
}

#[test]
fn messages_have_blocks() {
    let body = r#"{"system":[{"type":"text","text":"sys"}],"messages":[
        {"role":"user","content":"hi"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"zz"},
            {"type":"tool_use","id":"t1","name":"Bash","input":{"command":"false","deep":{"er":["x"]}}}]},
        {"role":"user","content":[
            {"type":"tool_result","tool_use_id":"t1","is_error":true,"content":[{"type":"text","text":"bad"},{"type":"tool_reference","tool_name":"odd"}]},
            {"type":"document","title":"name","source":{"type":"text","data":"doc"}},
            {"type":"image","source":{"type":"url","url":"https://p"}},{"type":"redacted_thinking","data":"zz"},
            {"type":"unknown","text":"new","source":{"url":"data:a/b,x","file_id":"f"}},{"text":"now","type":"text"}]},
        {"content":"nobody's"}],
        "tools":[{"name":"Bash","description":"runs","input_schema":{"type":"object"},"input_examples":[{"command":"ls"}]}]}"#;
    let list = [
        (Who::Instructions, "sys", ""),
        (Who::User, "hi", ""),
        (Who::Reasoning, "t", ""),
        (Who::Arguments, "command", "Bash"),
        (Who::Arguments, "false", "Bash"),
        (Who::Arguments, "deep", "Bash"),
        (Who::Arguments, "er", "Bash"),
        (Who::Arguments, "x", "Bash"),
        (Who::ToolResult, "bad", "Bash"),
        (Who::Other, "odd", ""),
        (Who::Other, "name", ""),
        (Who::User, "doc", ""),
        (Who::Other, "new", ""),
        (Who::User, "now", ""),
        (Who::User, "nobody's", ""),
        (Who::ToolDescription, "runs", ""),
        (Who::ToolDescription, "command", ""),
        (Who::ToolDescription, "ls", ""),
    ];
    assert_eq!(seen(Dialect::Anthropic, body), expected(&list));
    let found = Leaves::of_request(Dialect::Anthropic, body).unwrap();
    assert!(found.leaves[8].is_error);
    assert_eq!(found.calls[0].arguments, r#"{"command":"false","deep":{"er":["x"]}}"#);
}

#[test]
fn responses_have_items_of_many_kinds() {
    let body = r#"{"instructions":"be brief","input":[
        {"role":"user","content":[{"type":"input_text","text":"go"}]},
        {"type":"reasoning","encrypted_content":"zz","summary":[{"type":"summary_text","text":"s"}]},
        {"type":"function_call","call_id":"f","name":"shell","arguments":"{\"command\":[\"ls\"]}"},
        {"type":"function_call_output","call_id":"f","output":"out"},
        {"type":"local_shell_call","call_id":"l","action":{"type":"exec","command":["git","log"]}},
        {"type":"local_shell_call_output","call_id":"l","output":"{\"output\":\"x\"}"},
        {"type":"custom_tool_call","call_id":"p","name":"apply_patch","input":"*** Begin"},
        {"type":"custom_tool_call_output","call_id":"p","output":"ok"},
        {"type":"shell_call","call_id":"s","action":{"commands":["false"]}},
        {"type":"shell_call_output","call_id":"s","output":[{"stdout":"o","stderr":"e","outcome":{"type":"exit","exit_code":1}}]},
        {"type":"item_reference","id":"x"},
        {"type":"code_interpreter_call","id":"i","code":"1+1","outputs":[{"type":"logs","logs":"2"}]},
        {"type":"file_search_call","queries":["q"],"results":[{"file_id":"f","text":"found"}],"status":"completed"},
        {"type":"mcp_approval_request","id":"m","arguments":"{}"},
        {"type":"image_generation_call","result":"zz","revised_prompt":"cat"},
        {"type":"message","role":"tool","content":"given"},
        {"content":"nobody's"},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"done","annotations":[{"type":"url_citation","title":"page"}]},{"type":"refusal","refusal":"no"}]}],
        "prompt":{"id":"p","variables":{"who":"me"}},
        "tools":[{"type":"function","name":"shell","description":"runs"},
            {"type":"namespace","name":"n","description":"many","tools":[{"type":"function","name":"g","description":"one"}]}]}"#;
    let list = [
        (Who::Instructions, "be brief", ""),
        (Who::User, "go", ""),
        (Who::Reasoning, "s", ""),
        (Who::Arguments, r#"{"command":["ls"]}"#, "shell"),
        (Who::ToolResult, "out", "shell"),
        (Who::Arguments, "exec", "shell"),
        (Who::Arguments, "git", "shell"),
        (Who::Arguments, "log", "shell"),
        (Who::ToolResult, r#"{"output":"x"}"#, "shell"),
        (Who::Arguments, "*** Begin", "apply_patch"),
        (Who::ToolResult, "ok", "apply_patch"),
        (Who::Arguments, "false", "shell"),
        (Who::ToolResult, "o", "shell"),
        (Who::ToolResult, "e", "shell"),
        (Who::Other, "1+1", ""),
        (Who::Other, "2", ""),
        (Who::Other, "q", ""),
        (Who::Other, "found", ""),
        (Who::Other, "{}", ""),
        (Who::Other, "cat", ""),
        (Who::User, "given", ""),
        (Who::User, "nobody's", ""),
        (Who::Assistant, "done", ""),
        (Who::Other, "page", ""),
        (Who::Assistant, "no", ""),
        (Who::Other, "me", ""),
        (Who::ToolDescription, "runs", ""),
        (Who::ToolDescription, "many", ""),
        (Who::ToolDescription, "one", ""),
    ];
    assert_eq!(seen(Dialect::Responses, body), expected(&list));
    let found = Leaves::of_request(Dialect::Responses, body).unwrap();
    assert!(found.leaves.iter().all(|leaf| leaf.is_error == matches!(&*leaf.text(body), "o" | "e")));
    assert_eq!(seen(Dialect::Responses, r#"{"input":"hi"}"#), expected(&[(Who::User, "hi", "")]));
}

#[test]
fn gemini_results_answer_calls_by_name_and_order() {
    let body = r#"{"systemInstruction":{"parts":[{"text":"sys"}]},"contents":[
        {"parts":[{"text":"go"}]},
        {"role":"model","parts":[{"text":"hm","thought":true},
            {"functionCall":{"name":"run","args":{"cmd":"a"}}},{"functionCall":{"name":"run","args":{"cmd":"b"}}}]},
        {"role":"user","parts":[
            {"functionResponse":{"name":"run","response":{"output":"of a"}}},
            {"functionResponse":{"name":"run","response":{"error":"of b"}}}]}],
        "tools":[{"functionDeclarations":[{"name":"run","description":"runs"}]}]}"#;
    let list = [
        (Who::Instructions, "sys", ""),
        (Who::User, "go", ""),
        (Who::Reasoning, "hm", ""),
        (Who::Arguments, "cmd", "run"),
        (Who::Arguments, "a", "run"),
        (Who::Arguments, "cmd", "run"),
        (Who::Arguments, "b", "run"),
        (Who::Other, "output", "run"),
        (Who::ToolResult, "of a", "run"),
        (Who::Other, "error", "run"),
        (Who::ToolResult, "of b", "run"),
        (Who::ToolDescription, "runs", ""),
    ];
    assert_eq!(seen(Dialect::Gemini, body), expected(&list));
    let found = Leaves::of_request(Dialect::Gemini, body).unwrap();
    let results: Vec<_> = found.leaves.iter().filter(|leaf| leaf.who == Who::ToolResult).collect();
    assert_eq!((results[0].call, results[1].call), (Some(0), Some(1)));
    assert_eq!((results[0].is_error, results[1].is_error), (false, true));
    assert_eq!(found.calls[1].arguments, r#"{"cmd":"b"}"#);
}

#[test]
fn ids_and_names_may_be_mixed() {
    let body = r#"{"contents":[
        {"role":"model","parts":[{"functionCall":{"id":"1","name":"f","args":{}}},{"functionCall":{"name":"f","args":{}}}]},
        {"parts":[{"functionResponse":{"id":"1","name":"f","response":{"output":"x"}}},
            {"functionResponse":{"name":"f","response":{"output":"y"}}},
            {"functionResponse":{"name":"f","response":{"output":"z"}}}]}]}"#;
    let found = Leaves::of_request(Dialect::Gemini, body).unwrap();
    let results = found.leaves.iter().filter(|leaf| leaf.who == Who::ToolResult);
    assert_eq!(results.map(|leaf| leaf.call).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
}

/// What a filter must see, however its members are spelt and however often.
#[test]
fn spellings_do_not_hide_a_text() {
    let body = r#"{"messages":[{"\u0072ole":"user","cont\u0065nt":"a","content":"b"}],"mess\u0061ges":[{"role":"user","content":"c"}]}"#;
    let list = [(Who::User, "a", ""), (Who::User, "b", ""), (Who::User, "c", "")];
    assert_eq!(seen(Dialect::OpenAiChat, body), expected(&list));
}

#[test]
fn answers_have_texts_too() {
    let chat = r#"{"choices":[{"message":{"role":"assistant","content":"hi","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let found = Leaves::of_answer(Dialect::OpenAiChat, chat).unwrap();
    assert_eq!(told(chat, &found), expected(&[(Who::Assistant, "hi", ""), (Who::Arguments, "{}", "f")]));
    let messages = r#"{"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"x","citations":[{"type":"char_location","cited_text":"y"}]}],"role":"assistant"}"#;
    let found = Leaves::of_answer(Dialect::Anthropic, messages).unwrap();
    assert_eq!(
        told(messages, &found),
        expected(&[(Who::Reasoning, "t", ""), (Who::Assistant, "x", ""), (Who::Other, "y", "")])
    );
    let items = r#"{"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"x"}]}]}"#;
    let found = Leaves::of_answer(Dialect::Responses, items).unwrap();
    assert_eq!(told(items, &found), expected(&[(Who::Assistant, "x", "")]));
    let gemini = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"x"}]},"groundingMetadata":{"webSearchQueries":["q"]}}]}"#;
    let found = Leaves::of_answer(Dialect::Gemini, gemini).unwrap();
    assert_eq!(told(gemini, &found), expected(&[(Who::Assistant, "x", ""), (Who::Other, "q", "")]));
}

#[test]
fn the_schema_of_an_answer_has_words() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"string","description":"words","pattern":"x"}}}"#;
    for (dialect, body) in [
        (Dialect::OpenAiChat, format!(r#"{{"response_format":{{"json_schema":{{"name":"n","schema":{schema}}}}}}}"#)),
        (Dialect::Responses, format!(r#"{{"text":{{"format":{{"name":"n","schema":{schema}}}}}}}"#)),
        (Dialect::Anthropic, format!(r#"{{"output_config":{{"format":{{"schema":{schema}}}}}}}"#)),
        (Dialect::Gemini, format!(r#"{{"generationConfig":{{"responseSchema":{schema},"stopSequences":["x"]}}}}"#)),
    ] {
        assert_eq!(seen(dialect, &body), expected(&[(Who::ToolDescription, "words", "")]), "{body}");
    }
}

#[test]
fn members_of_a_message_that_are_not_known_may_hold_texts() {
    let chat = r#"{"choices":[{"message":{"role":"assistant","name":"n","content":"a","audio":{"data":"zz","transcript":"b"},
        "annotations":[{"type":"url_citation","url_citation":{"title":"c"}}],"novel":{"said":["d"],"id":"no","data":"no"}}}]}"#;
    let found = Leaves::of_answer(Dialect::OpenAiChat, chat).unwrap();
    let list = [
        (Who::Other, "n", ""),
        (Who::Assistant, "a", ""),
        (Who::Assistant, "b", ""),
        (Who::Other, "c", ""),
        (Who::Other, "d", ""),
    ];
    assert_eq!(told(chat, &found), expected(&list));
}

#[test]
fn arguments_may_be_an_object_in_every_format() {
    let list = [(Who::Arguments, "to", "f"), (Who::Arguments, "you", "f")];
    let chat =
        r#"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"to":["you"]}}}]}]}"#;
    assert_eq!(seen(Dialect::OpenAiChat, chat), expected(&list));
    let responses = r#"{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":{"to":"you"}}]}"#;
    assert_eq!(seen(Dialect::Responses, responses), expected(&list));
}

#[test]
fn parts_of_a_kind_that_is_not_known_may_hold_texts() {
    let file = r#"{"type":"image_url","image_url":{"url":"https://x","detail":"auto"}}"#;
    for (dialect, body) in [
        (Dialect::OpenAiChat, r#"{"messages":[{"role":"user","name":"a","content":[FILE,PART]}]}"#),
        (Dialect::OpenAiChat, r#"{"messages":[{"role":"system","name":"a","content":[PART]}]}"#),
        (Dialect::OpenAiChat, r#"{"messages":[{"role":"tool","name":"f","content":["a",PART]}]}"#),
        (Dialect::Responses, r#"{"input":[{"content":["a",FILE,PART]}]}"#),
        (Dialect::Responses, r#"{"input":[{"type":"function_call_output","call_id":"c","output":["a",PART]}]}"#),
        (Dialect::Responses, r#"{"prompt":{"variables":{"id":"a","b":PART,"data":FILE}}}"#),
    ] {
        for part in [r#"{"type":"document","document":{"text":"X"}}"#, r#"{"type":"new","id":"no","refusal":"X"}"#] {
            let texts = seen(dialect, &body.replace("FILE", file).replace("PART", part));
            assert_eq!(texts.iter().map(|(_, text, _)| text).collect::<Vec<_>>(), ["a", "X"], "{body} {part}");
        }
    }
    let gemini = r#"{"contents":[{"parts":[{"newPart":{"words":"X"}},{"inlineData":{"mimeType":"a/b","data":"AA=="}},
        {"functionResponse":{"name":"f","response":{},"parts":[{"text":"Y","inlineData":{"mimeType":"a/b"}}]}}]}]}"#;
    assert_eq!(seen(Dialect::Gemini, gemini), expected(&[(Who::Other, "X", ""), (Who::ToolResult, "Y", "f")]));
}

#[test]
fn only_a_file_in_its_own_address_is_one() {
    for file in [r#""data:image/png;base64,AA==""#, r#""data:;base64,A_-""#, r#""data:image\/svg+xml,%3Csvg""#] {
        assert!(is_file(file), "{file}");
    }
    for text in [
        r#""data: mine, yours""#,
        r#""data:a@b.example""#,
        r#""data:image/png,of mine""#,
        r#""data:text/plain,a@b.example""#,
        r#""data:;base64,a@b.example""#,
        r#""data:,x""#,
        r#""see data:image/png;base64,AA==""#,
    ] {
        assert!(!is_file(text), "{text}");
    }
    let title =
        r#"{"messages":[{"content":[{"type":"document","title":"data:image/png;base64,AA==","context":"data: c"}]}]}"#;
    let list = [(Who::Other, "data:image/png;base64,AA==", ""), (Who::Other, "data: c", "")];
    assert_eq!(seen(Dialect::Anthropic, title), expected(&list));
}

#[test]
fn what_is_no_request_is_refused_or_empty() {
    for dialect in Dialect::CLIENTS {
        for broken in ["", "[]", "{", "{} x", r#"{"messages":[}"#, r#"{"messages":["#, r#"{"messages":[{"role" 1}]}"#] {
            assert!(Leaves::of_request(dialect, broken).is_err(), "{broken}");
        }
        let odd = r#"{"messages":{"role":1},"input":7,"contents":[[]],"system":null,"tools":"x","instructions":{}}"#;
        assert!(Leaves::of_request(dialect, odd).unwrap().leaves.is_empty());
    }
    let deep = |n: usize| format!(r#"{{"messages":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(Leaves::of_request(Dialect::OpenAiChat, &deep(127)).is_ok());
    assert!(Leaves::of_request(Dialect::OpenAiChat, &deep(128)).unwrap_err().too_deep);
    let wide = format!(r#"{{"messages":[{}1]}}"#, "1,".repeat(1 << 20));
    assert!(Leaves::of_request(Dialect::OpenAiChat, &wide).is_err());
}

/// Nothing replaced is nothing changed, and one text replaced is that text and nothing else.
fn only_what_is_replaced_changes(name: &str, body: &str, find: &dyn Fn(&str) -> Vec<(Leaf, String)>) -> usize {
    assert_eq!(Edits::new().write(body.as_bytes()), body.as_bytes(), "{name}");
    let before = find(body);
    let mut same = Edits::new();
    for (leaf, _) in &before {
        assert!(leaf.literal(body).starts_with('"') && leaf.literal(body).ends_with('"'), "{name}");
        same.replace_raw(leaf.span.clone(), leaf.literal(body).as_bytes().to_vec());
    }
    assert_eq!(same.write(body.as_bytes()), body.as_bytes(), "{name}");
    for (at, (leaf, _)) in before.iter().enumerate() {
        let mut edits = Edits::new();
        edits.replace(leaf, "new \"text\"\n\u{e9}\u{1}");
        let out = String::from_utf8(edits.write(body.as_bytes())).unwrap();
        assert!(out.starts_with(body.get(..leaf.span.start).unwrap()), "{name}");
        assert!(out.ends_with(body.get(leaf.span.end..).unwrap()), "{name}");
        let after = find(&out);
        assert_eq!(after.len(), before.len(), "{name}");
        for (place, (was, is)) in before.iter().zip(&after).enumerate() {
            let text = if place == at { "new \"text\"\n\u{e9}\u{1}" } else { &was.1 };
            assert_eq!((is.0.who, is.0.turn, is.0.call, &*is.1), (was.0.who, was.0.turn, was.0.call, text), "{name}");
        }
    }
    before.len()
}

#[test]
fn own_fixtures_keep_every_other_byte() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for dialect in Dialect::CLIENTS {
        let mut found = [0, 0];
        for (kind, folder) in ["request", "response"].into_iter().enumerate() {
            let Ok(entries) = std::fs::read_dir(root.join(dialect.as_str()).join(folder)) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                let body = std::fs::read_to_string(&path).unwrap();
                found[kind] += only_what_is_replaced_changes(&path.display().to_string(), &body, &|body| {
                    let leaves = match folder {
                        "request" => Leaves::of_request(dialect, body),
                        _ => Leaves::of_answer(dialect, body),
                    };
                    let leaves = leaves.unwrap().leaves;
                    leaves.into_iter().map(|leaf| (leaf.clone(), leaf.text(body).into_owned())).collect()
                });
            }
        }
        assert!(found[1] >= 4, "{dialect:?} {found:?}");
        // Of Gemini's there are answers only.
        assert!(found[0] > 10 || dialect == Dialect::Gemini, "{dialect:?} {found:?}");
    }
}

/// Twice the text is twice the work: a body with many of everything is done at once.
#[test]
fn many_calls_of_one_name_are_matched_in_order() {
    let (mut calls, mut results) = (String::new(), String::new());
    for n in 0..20_000 {
        let comma = if n == 0 { "" } else { "," };
        calls.push_str(&format!(r#"{comma}{{"functionCall":{{"name":"f","args":{{"n":{n}}}}}}}"#));
        results.push_str(&format!(r#"{comma}{{"functionResponse":{{"name":"f","response":{{"output":"{n}"}}}}}}"#));
    }
    let body =
        format!(r#"{{"contents":[{{"role":"model","parts":[{calls}]}},{{"role":"user","parts":[{results}]}}]}}"#);
    let found = Leaves::of_request(Dialect::Gemini, &body).unwrap();
    let results = found.leaves.iter().filter(|leaf| leaf.who == Who::ToolResult);
    assert!(results.enumerate().all(|(at, leaf)| leaf.call == Some(at)));
}
