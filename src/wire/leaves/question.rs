//! What a request asks in the end: the text of its last message.

use super::tape::{Node, Tape};
use super::{As, Leaf, Walk, Who, request_depth};
use crate::wire::Dialect;

/// The last message's text, where it is the user's and is nothing but one text: no image, no file, no result of a
/// tool.
pub fn question(dialect: Dialect, body: &str) -> Option<Leaf> {
    let tape = Tape::of(body, request_depth).ok()?;
    let root = tape.root();
    let (list, content) = match dialect {
        Dialect::OpenAiChat | Dialect::Anthropic => (root.member("messages")?, "content"),
        Dialect::Responses => (root.member("input")?, "content"),
        Dialect::Gemini => (root.member("contents")?, "parts"),
        // No client speaks them here.
        Dialect::Converse | Dialect::Cohere => return None,
    };
    let text = match list.items().last() {
        // A content of its own, without a list around it.
        None if list.is_object() => only_text(list, content),
        None => Some(list).filter(|_| dialect == Dialect::Responses),
        Some(last) => only_text(last, content),
    }?;
    let mut walk = Walk::default();
    walk.text(text, As::of(Who::User));
    walk.done().leaves.pop()
}

fn only_text<'t, 'b>(message: Node<'t, 'b>, content: &str) -> Option<Node<'t, 'b>> {
    // Google's and OpenAI's newer format need not say whose it is, and what it is.
    let is_users = message.member("role").is_none_or(|role| role.text().as_deref() == Some("user"));
    let is_message = message.word("type").is_none_or(|kind| kind == "message");
    let content = message.member(content).filter(|_| is_users && is_message)?;
    if content.is_string() {
        return Some(content);
    }
    let mut parts = content.items();
    let (only, None) = (parts.next()?, parts.next()) else { return None };
    let is_known = |name: &str| matches!(name, "type" | "text" | "cache_control");
    let is_text = only.word("type").is_none_or(|kind| matches!(&*kind, "text" | "input_text"));
    (is_text && only.members().all(|(name, _)| is_known(&name))).then(|| only.member("text")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(dialect: Dialect, body: &str) -> Option<String> {
        question(dialect, body).map(|leaf| leaf.text(body).into_owned())
    }

    #[test]
    fn the_last_text_is_found_in_every_format() {
        for (dialect, body) in [
            (
                Dialect::OpenAiChat,
                r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi \"you\""}]}"#,
            ),
            (Dialect::OpenAiChat, r#"{"messages":[{"content":[{"type":"text","text":"hi \"you\""}],"role":"user"}]}"#),
            (
                Dialect::Anthropic,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi \"you\"","cache_control":{}}]}]}"#,
            ),
            (Dialect::Responses, r#"{"input":"hi \"you\""}"#),
            (
                Dialect::Responses,
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"hi \"you\""}]}]}"#,
            ),
            (Dialect::Gemini, r#"{"contents":[{"parts":[{"text":"hi \"you\""}]}]}"#),
            (Dialect::Gemini, r#"{"contents":{"role":"user","parts":[{"text":"hi \"you\""}]}}"#),
        ] {
            assert_eq!(asked(dialect, body).as_deref(), Some("hi \"you\""), "{body}");
        }
    }

    #[test]
    fn what_is_more_than_a_text_is_no_question() {
        for (dialect, body) in [
            (Dialect::OpenAiChat, r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#),
            (Dialect::OpenAiChat, r#"{"messages":[{"role":"tool","tool_call_id":"c","content":"b"}]}"#),
            (
                Dialect::OpenAiChat,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}]}"#,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#,
            ),
            (Dialect::OpenAiChat, r#"{"prompt":"a"}"#),
            (
                Dialect::Anthropic,
                r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"a"}]}]}"#,
            ),
            (Dialect::Anthropic, r#"{"messages":[{"role":"user","content":[{"type":"document","source":{}}]}]}"#),
            (Dialect::Responses, r#"{"input":[{"type":"function_call_output","call_id":"c","output":"a"}]}"#),
            (Dialect::Responses, r#"{"input":[{"type":"input_file","file_id":"f"}]}"#),
            (Dialect::Gemini, r#"{"contents":[{"parts":[{"inlineData":{"data":"x"}}]}]}"#),
            (Dialect::Gemini, r#"{"contents":[{"role":"model","parts":[{"text":"a"}]}]}"#),
            (Dialect::Gemini, r#"{"contents":[]}"#),
            (Dialect::Responses, "[]"),
        ] {
            assert_eq!(asked(dialect, body), None, "{body}");
        }
    }
}
