#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::scan::is_json;

const FORMATS: [Dialect; 4] = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Responses, Dialect::Gemini];
const RULES: Rules = Rules { min_bytes: 64, ..Rules::ASKED };

fn count(text: &str) -> u64 {
    fold::whole(text.len() / 4)
}

fn trimmed(dialect: Dialect, body: &Value) -> Option<Value> {
    let it = trim_tools(dialect, &body.to_string(), &RULES, &count, &|_| false)?;
    assert!(it.savings.total() > 0 && it.savings.names() == "trim_tools");
    let body = String::from_utf8(it.body).unwrap();
    assert!(is_json(&body), "{body}");
    assert!(trim_tools(dialect, &body, &RULES, &count, &|_| false).is_none(), "twice is once: {body}");
    Some(serde_json::from_str(&body).unwrap())
}

fn tool(dialect: Dialect, name: &str, says: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string", "description": "where"}}});
    match dialect {
        Dialect::OpenAiChat => {
            json!({"type": "function", "function": {"name": name, "description": says, "parameters": schema}})
        }
        Dialect::Responses => json!({"type": "function", "name": name, "description": says, "parameters": schema}),
        Dialect::Anthropic => json!({"name": name, "description": says, "input_schema": schema}),
        _ => json!({"name": name, "description": says, "parameters": schema}),
    }
}

/// A conversation in which these were called and gave back a text each, behind what the user said.
fn body(dialect: Dialect, tools: &[Value], said: &str, calls: &[(&str, &str)]) -> Value {
    let mut items = vec![match dialect {
        Dialect::Gemini => json!({"role": "user", "parts": [{"text": said}]}),
        _ => json!({"role": "user", "content": said}),
    }];
    for (at, (name, gave)) in calls.iter().enumerate() {
        let id = format!("c{at}");
        let both = match dialect {
            Dialect::OpenAiChat => [
                json!({"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": "{\"path\":\"a\"}"}}]}),
                json!({"role": "tool", "tool_call_id": id, "content": gave}),
            ],
            Dialect::Responses => [
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": "{\"path\":\"a\"}"}),
                json!({"type": "function_call_output", "call_id": id, "output": gave}),
            ],
            Dialect::Anthropic => [
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": {"path": "a"}}]}),
                json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": gave}]}),
            ],
            _ => [
                json!({"role": "model", "parts": [{"functionCall": {"name": name, "args": {"path": "a"}}}]}),
                json!({"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"output": gave}}}]}),
            ],
        };
        items.extend(both);
    }
    match dialect {
        Dialect::Responses => json!({"model": "m", "tools": tools, "input": items}),
        Dialect::Gemini => json!({"tools": [{"functionDeclarations": tools}], "contents": items}),
        _ => json!({"model": "m", "tools": tools, "messages": items}),
    }
}

/// The names that the list of a body has.
fn left(dialect: Dialect, body: &Value) -> Vec<String> {
    let list = match dialect {
        Dialect::Gemini => &body["tools"][0]["functionDeclarations"],
        _ => &body["tools"],
    };
    let name =
        |tool: &Value| tool["function"]["name"].as_str().or_else(|| tool["name"].as_str()).unwrap_or("-").to_owned();
    list.as_array().unwrap().iter().map(name).collect()
}

fn tools(dialect: Dialect, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| tool(dialect, name, "It does what it says.")).collect()
}

const CALLS: [(&str, &str); LEAST_ROUNDS] = [("Bash", "ok"); LEAST_ROUNDS];

#[test]
fn only_what_is_named_stays_in_every_format() {
    for dialect in FORMATS {
        let list = tools(dialect, &["Grep", "Bash", "mcp__github__create_issue", "Write-File", "mcp__github__star"]);
        let said = "Write it with write-file, \u{201e}Bash\u{201d} or\u{2028}so, then\ncreate_issue.";
        let before = body(dialect, &list, said, &CALLS);
        let mut after = trimmed(dialect, &before).unwrap();
        assert_eq!(left(dialect, &after), ["Bash", "mcp__github__create_issue", "Write-File"], "{dialect:?}");
        after["tools"] = before["tools"].clone();
        assert_eq!(after, before, "all else is as it was");
        assert!(trimmed(dialect, &body(dialect, &list, said, &CALLS[1..])).is_none(), "it has not gone on for long");
    }
}

#[test]
fn a_tool_that_one_that_stays_speaks_of_stays() {
    let dialect = Dialect::Anthropic;
    let mut list = tools(dialect, &["Glob", "Grep", "Task"]);
    list.push(tool(dialect, "Bash", "Runs a command. Use Grep to search."));
    list[1]["description"] = json!("Searches. Use Glob for names of files.");
    let after = trimmed(dialect, &body(dialect, &list, "go", &CALLS)).unwrap();
    assert_eq!(left(dialect, &after), ["Glob", "Grep", "Bash"]);
}

#[test]
fn who_must_call_or_has_tools_of_a_kind_of_their_own_keeps_them() {
    let dialect = Dialect::Anthropic;
    let mut list = tools(dialect, &["Bash", "Other", "Marked"]);
    list[2]["cache_control"] = json!({"type": "ephemeral"});
    list.push(json!({"type": "web_search_20250305", "name": "web_search"}));
    let mut ask = body(dialect, &list, "go", &CALLS);
    assert_eq!(left(dialect, &trimmed(dialect, &ask).unwrap()), ["Bash", "Marked", "web_search"]);
    for choice in [json!({"type": "any"}), json!({"type": "tool", "name": "Other"}), json!({"type": "none"})] {
        ask["tool_choice"] = choice;
        assert!(trimmed(dialect, &ask).is_none());
    }
    ask["tool_choice"] = json!({"type": "auto"});
    let text = ask.to_string();
    assert!(trim_tools(dialect, &text, &RULES, &count, &|name| name == "Other").is_none());
    assert!(trim_tools(dialect, &text, &Rules { min_bytes: 4096, ..RULES }, &count, &|_| false).is_none());
    assert!(trim_tools(dialect, &text, &Rules { max_micros: 1, ..RULES }, &count, &|_| false).is_none());
    assert!(trim_tools(dialect, &text.replace("Bash", "B\u{e9}sh"), &RULES, &count, &|_| false).is_some());
}

#[test]
fn a_list_of_which_nothing_would_stay_stays() {
    for dialect in FORMATS {
        let ask = body(dialect, &tools(dialect, &["One", "Two"]), "go", &CALLS);
        assert!(trimmed(dialect, &ask).is_none());
        assert!(trimmed(dialect, &body(dialect, &[], "go", &CALLS)).is_none());
    }
}

#[test]
fn results_side_by_side_are_one_round() {
    let dialect = Dialect::OpenAiChat;
    let calls: Vec<Value> =
        (0..20).map(|n| json!({"id": n.to_string(), "function": {"name": "Bash", "arguments": "{}"}})).collect();
    let mut messages = vec![json!({"role": "assistant", "tool_calls": calls})];
    messages.extend((0..20).map(|n| json!({"role": "tool", "tool_call_id": n.to_string(), "content": "ok"})));
    let ask = json!({"tools": tools(dialect, &["Bash", "Other"]), "messages": messages});
    assert!(trimmed(dialect, &ask).is_none());
}

const NAMES: [&str; 7] = ["Bash", "Read", "srv__find", "srv__find_all", "Task", "web-get", "ask"];

proptest! {
    /// Turn after turn the list changes only where a tool is named for the first time, which is in it then.
    #[test]
    fn the_list_is_the_same_until_a_tool_is_named(
        turns in prop::collection::vec((0..NAMES.len(), prop::option::weighted(0.1, 0..NAMES.len())), 1..20),
        format in 0..FORMATS.len(),
    ) {
        let dialect = FORMATS[format];
        let told: Vec<String> = turns.iter().map(|(_, named)| named.map_or_else(|| "ok".to_owned(), |at| format!("\"{}\"?", NAMES[at]))).collect();
        let calls: Vec<(&str, &str)> = turns.iter().zip(&told).map(|((call, _), told)| (NAMES[*call], &**told)).collect();
        let list = tools(dialect, &NAMES);
        let mut before: Option<Vec<String>> = None;
        for n in 1..=calls.len() {
            let ask = body(dialect, &list, "go", &calls[..n]);
            let now = trimmed(dialect, &ask).map_or_else(|| left(dialect, &ask), |it| left(dialect, &it));
            let named = |name: &str| calls[..n].iter().any(|(call, said)| *call == name || said.contains(&format!("\"{name}\"")));
            prop_assert!(NAMES.iter().filter(|name| named(name)).all(|name| now.iter().any(|it| it == name)));
            if n > LEAST_ROUNDS {
                let before = before.unwrap();
                prop_assert!(before.iter().all(|name| now.contains(name)), "{before:?} {now:?}");
                prop_assert!(before.len() == now.len() || now.iter().filter(|name| !before.contains(name)).all(|name| named(name)));
            }
            before = Some(now);
        }
    }
}
