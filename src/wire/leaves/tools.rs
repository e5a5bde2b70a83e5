//! The tools that a client declares: which of them a request can do without, and a body without some.
//!
//! Only functions and custom tools whose members are all known can be left out. A vendor's own tools, those
//! with a mark for the prompt cache, that are loaded late or that have anything unknown stay.

use std::borrow::Cow;
use std::ops::Range;

use super::edit::Edits;
use super::tape::{Node, Tape};
use crate::wire::Dialect;

/// A tool of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared<'b> {
    /// `None` of one that stays in any case.
    pub name: Option<Cow<'b, str>>,
    /// Where it stands in the body.
    pub span: Range<usize>,
}

/// Lists of tools as they stand in a body.
pub type ToolLists<'b> = Vec<Vec<Declared<'b>>>;

/// The lists of a request. `None` where it says more about its tools than that the model may choose, or where
/// part of the conversation is elsewhere.
pub fn tool_lists(dialect: Dialect, body: &str) -> Option<ToolLists<'_>> {
    let tape = Tape::of(body, depth).ok()?;
    let root = tape.root();
    if !may_choose(root) || is_elsewhere(root) {
        return None;
    }
    let tools = root.member("tools")?;
    Some(match dialect {
        Dialect::Gemini => tools.items().flat_map(declarations).map(|list| of_list(list, declared)).collect(),
        Dialect::OpenAiChat => vec![of_list(tools, chat)],
        _ => vec![of_list(tools, declared)],
    })
}

/// Takes tools out of a list; all stay where none would.
pub fn leave_out(list: &[Declared<'_>], goes: impl Fn(&Declared<'_>) -> bool, edits: &mut Edits) {
    let Some(first) = list.iter().position(|tool| !goes(tool)) else { return };
    for (at, [tool, next]) in list.array_windows().enumerate() {
        if at < first {
            edits.replace_raw(tool.span.start..next.span.start, Vec::new());
        } else if goes(next) {
            edits.replace_raw(tool.span.end..next.span.end, Vec::new());
        }
    }
}

fn depth(member: &str) -> u32 {
    match member {
        "tools" => 4,
        "tool_choice" | "toolConfig" | "tool_config" => 2,
        _ => 0,
    }
}

fn is_nothing(value: Option<Node<'_, '_>>) -> bool {
    value.is_none_or(|value| value.raw() == "null")
}

/// Whether the model may call any tool or none.
fn may_choose(root: Node<'_, '_>) -> bool {
    let chosen = root.members().filter(|(name, _)| name == "tool_choice").all(|(_, choice)| {
        let word = choice.text().or_else(|| choice.word("type"));
        choice.raw() == "null" || (word.as_deref() == Some("auto") && is_nothing(choice.member("tools")))
    });
    let configs = root.members().filter(|(name, _)| matches!(&**name, "toolConfig" | "tool_config"));
    let callings = configs.flat_map(|(_, config)| config.members().map(|(_, calling)| calling));
    chosen
        && callings.into_iter().all(|calling| {
            let names = calling.member("allowedFunctionNames").or_else(|| calling.member("allowed_function_names"));
            calling.word("mode").is_none_or(|mode| mode.eq_ignore_ascii_case("auto")) && is_nothing(names)
        })
}

/// Whether the provider keeps a part of the conversation.
fn is_elsewhere(root: Node<'_, '_>) -> bool {
    let names = ["previous_response_id", "conversation", "prompt", "cachedContent", "cached_content"];
    names.iter().any(|name| !is_nothing(root.member(name)))
}

fn of_list<'b>(list: Node<'_, 'b>, name: fn(Node<'_, 'b>) -> Option<Cow<'b, str>>) -> Vec<Declared<'b>> {
    list.items().map(|tool| Declared { name: name(tool), span: tool.span() }).collect()
}

fn declarations<'t, 'b>(tool: Node<'t, 'b>) -> Option<Node<'t, 'b>> {
    tool.member("functionDeclarations").or_else(|| tool.member("function_declarations"))
}

/// Its name, if it is one of the client's own and has nothing that is not known.
fn declared<'b>(tool: Node<'_, 'b>) -> Option<Cow<'b, str>> {
    const KNOWN: [&str; 11] = [
        "type",
        "name",
        "description",
        "strict",
        "format",
        "input_schema",
        "parameters",
        "parametersJsonSchema",
        "response",
        "responseJsonSchema",
        "input_examples",
    ];
    let is_own = tool.word("type").is_none_or(|kind| matches!(&*kind, "function" | "custom"));
    let is_known = tool.members().all(|(name, value)| KNOWN.contains(&&*name) || value.raw() == "null");
    tool.word("name").filter(|_| is_own && is_known)
}

/// Chat Completions has all of it in a member of its kind.
fn chat<'b>(tool: Node<'_, 'b>) -> Option<Cow<'b, str>> {
    let kind = tool.word("type")?;
    let is_known = tool.members().all(|(name, _)| name == "type" || name == kind);
    declared(tool.member(&kind)?).filter(|_| is_known && matches!(&*kind, "function" | "custom"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dialect: Dialect, body: &str) -> Option<Vec<Vec<String>>> {
        let told = |tool: &Declared<'_>| tool.name.as_deref().unwrap_or("-").to_owned();
        Some(tool_lists(dialect, body)?.iter().map(|list| list.iter().map(told).collect()).collect())
    }

    #[test]
    fn own_tools_are_found_in_every_format() {
        for (dialect, tools, expected) in [
            (
                Dialect::OpenAiChat,
                r#"[{"type":"function","function":{"name":"a","strict":null,"parameters":{"cache_control":1}}},
                    {"type":"custom","custom":{"name":"b","format":{"type":"text"}}},
                    {"type":"function","function":{"name":"c"},"cache_control":{"type":"ephemeral"}},{"type":"web_search"}]"#,
                vec![vec!["a", "b", "-", "-"]],
            ),
            (
                Dialect::Anthropic,
                r#"[{"name":"a","description":"x","input_schema":{}},{"type":"custom","name":"b","input_schema":{}},
                    {"name":"c","input_schema":{},"cache_control":{"type":"ephemeral"}},{"name":"d","defer_loading":true},
                    {"type":"bash_20250124","name":"bash"},{"type":"mcp_toolset","mcp_server_name":"x"}]"#,
                vec![vec!["a", "b", "-", "-", "-", "-"]],
            ),
            (
                Dialect::Responses,
                r#"[{"type":"function","name":"a","parameters":{},"strict":true},{"type":"custom","name":"b"},
                    {"type":"web_search"},{"type":"mcp","server_label":"x"},{"type":"local_shell"}]"#,
                vec![vec!["a", "b", "-", "-", "-"]],
            ),
            (
                Dialect::Gemini,
                r#"[{"functionDeclarations":[{"name":"a","parameters":{}},{"name":"b","behavior":"BLOCKING"}]},
                    {"googleSearch":{}},{"function_declarations":[{"name":"c"}]}]"#,
                vec![vec!["a", "-"], vec!["c"]],
            ),
        ] {
            let body = format!(r#"{{"tools":{tools}}}"#);
            let expected: Vec<Vec<String>> =
                expected.iter().map(|list| list.iter().map(|name| (*name).to_owned()).collect()).collect();
            assert_eq!(names(dialect, &body), Some(expected), "{dialect:?}");
        }
    }

    #[test]
    fn who_makes_the_model_call_or_keeps_a_part_elsewhere_has_all() {
        let ask = |member: &str| format!(r#"{{{member}"tools":[{{"name":"a"}}]}}"#);
        for free in [
            "",
            r#""tool_choice":"auto","#,
            r#""tool_choice":null,"#,
            r#""tool_choice":{"type":"auto","disable_parallel_tool_use":true},"#,
            r#""toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},"#,
            r#""tool_config":{"function_calling_config":{}},"#,
            r#""previous_response_id":null,"#,
        ] {
            assert!(names(Dialect::Anthropic, &ask(free)).is_some(), "{free}");
        }
        for bound in [
            r#""tool_choice":"required","#,
            r#""tool_choice":"none","#,
            r#""tool_choice":{"type":"any"},"#,
            r#""tool_choice":{"type":"tool","name":"a"},"#,
            r#""tool_choice":{"type":"function","function":{"name":"a"}},"#,
            r#""tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]},"#,
            r#""toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"#,
            r#""tool_config":{"function_calling_config":{"mode":"AUTO","allowed_function_names":["a"]}},"#,
            r#""previous_response_id":"resp_1","#,
            r#""conversation":{"id":"c"},"#,
            r#""cachedContent":"c","#,
        ] {
            assert!(names(Dialect::Anthropic, &ask(bound)).is_none(), "{bound}");
        }
        assert!(names(Dialect::Anthropic, r#"{"messages":[]}"#).is_none());
    }

    #[test]
    fn what_is_left_is_json_wherever_the_others_stood() {
        let body = r#"{"tools": [ {"name":"a"} , {"name":"b"},{"name":"c"} ,{"name":"d"} ], "x":1}"#;
        let lists = tool_lists(Dialect::Anthropic, body).unwrap();
        for stay in 1..16_u8 {
            let letters = "abcd".chars().enumerate().filter(|(at, _)| stay & (1 << at) != 0).map(|(_, c)| c);
            let stays: Vec<String> = letters.map(String::from).collect();
            let mut edits = Edits::new();
            leave_out(&lists[0], |tool| !stays.iter().any(|name| tool.name.as_deref() == Some(&**name)), &mut edits);
            let out = String::from_utf8(edits.write(body.as_bytes())).unwrap();
            assert!(crate::wire::scan::is_json(&out) && out.ends_with(r#", "x":1}"#), "{out}");
            assert_eq!(names(Dialect::Anthropic, &out), Some(vec![stays]), "{out}");
        }
    }
}
