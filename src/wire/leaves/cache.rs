//! Where Anthropic is to keep what it has read of a prompt: marks for a request that has none.
//!
//! `cache_control` at the end of the tools, of the instructions, of the last message and of the user's
//! message before it, which is where the turn before ended: four, as many as there may be. See
//! <https://docs.claude.com/en/docs/build-with-claude/prompt-caching>, as of November 2026: texts that are
//! empty, thinking, and tools that are loaded late take no mark.

use super::edit::Edits;
use super::request_depth;
use super::tape::{Node, Tape};

const MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;

/// The marks for a request in Anthropic's format; `None` where the client set its own, or there is no
/// place for any.
pub fn cache_points(body: &str) -> Option<Edits> {
    // Inside a text the last quote would have a backslash before it.
    if memchr::memmem::find(body.as_bytes(), b"\"cache_control\"").is_some() {
        return None;
    }
    let tape = Tape::of(body, request_depth).ok()?;
    let (root, mut edits) = (tape.root(), Edits::new());
    let tool = root.member("tools").and_then(|tools| tools.items().last());
    if let Some(tool) = tool.filter(|tool| !tool.flag("defer_loading")) {
        mark(&mut edits, tool);
    }
    root.member("system").into_iter().for_each(|system| mark_end(&mut edits, system));
    let messages: Vec<Node<'_, '_>> = root.member("messages")?.items().collect();
    let is_user = |it: &&Node<'_, '_>| it.word("role").is_some_and(|role| role == "user");
    let (last, before) = messages.split_last()?;
    let earlier = before.iter().rev().find(is_user);
    for content in [Some(last), earlier].into_iter().flatten().filter_map(|it| it.member("content")) {
        mark_end(&mut edits, content);
    }
    (!edits.is_empty()).then_some(edits)
}

/// Marks a text, or the last of its blocks.
fn mark_end(edits: &mut Edits, content: Node<'_, '_>) {
    if content.is_string() {
        if !is_empty(content) {
            let block = format!(r#"[{{"type":"text","text":{}{MARK}}}]"#, content.raw());
            edits.replace_raw(content.span(), block.into_bytes());
        }
        return;
    }
    let Some(block) = content.items().last() else { return };
    let kind = block.word("type");
    let takes_one = match kind.as_deref() {
        Some("text") => block.member("text").is_some_and(|text| !is_empty(text)),
        Some("tool_result" | "tool_use" | "image" | "document") => true,
        _ => false,
    };
    if takes_one {
        mark(edits, block);
    }
}

fn is_empty(text: Node<'_, '_>) -> bool {
    text.text().is_none_or(|text| text.trim().is_empty())
}

/// At the end of an object that has members already.
fn mark(edits: &mut Edits, object: Node<'_, '_>) {
    if object.is_object() && object.members().next().is_some() {
        let end = object.span().end.saturating_sub(1);
        edits.replace_raw(end..end, MARK.as_bytes().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(body: &str) -> Option<String> {
        cache_points(body).map(|edits| String::from_utf8(edits.write(body.as_bytes())).unwrap())
    }

    #[test]
    fn four_places_are_marked() {
        let body = r#"{"model":"m","system":"be kind","tools":[{"name":"a"},{"name":"b","input_schema":{"x":{}}}],"messages":[
            {"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"a","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"ok"} ]}]}"#;
        let out = marked(body).unwrap();
        assert!(
            out.contains(r#""system":[{"type":"text","text":"be kind","cache_control":{"type":"ephemeral"}}]"#),
            "{out}"
        );
        assert!(out.contains(r#"{"name":"b","input_schema":{"x":{}},"cache_control":{"type":"ephemeral"}}]"#), "{out}");
        assert!(
            out.contains(r#""content":[{"type":"text","text":"go","cache_control":{"type":"ephemeral"}}]"#),
            "{out}"
        );
        assert!(out.contains(r#""content":"ok","cache_control":{"type":"ephemeral"}} ]"#), "{out}");
        assert_eq!(out.matches("ephemeral").count(), 4);
        assert!(crate::wire::scan::is_json(&out));
        assert!(marked(&out).is_none(), "it has marks now");
    }

    #[test]
    fn what_takes_no_mark_gets_none() {
        let body = r#"{"system":" ","tools":[{"name":"a","defer_loading":true}],"messages":[
            {"role":"user","content":[{"type":"text","text":""}]},{"role":"assistant","content":[{"type":"thinking","thinking":"x"}]}]}"#;
        assert!(marked(body).is_none());
        let own = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#;
        assert!(marked(own).is_none());
        let told = r#"{"messages":[{"role":"user","content":"what is \"cache_control\"?"}]}"#;
        assert_eq!(marked(told).unwrap().matches("ephemeral").count(), 1);
        assert!(marked("[]").is_none() && marked("{}").is_none() && marked(r#"{"messages":[]}"#).is_none());
    }
}
