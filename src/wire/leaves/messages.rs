//! Anthropic Messages: `system`, `messages`, `tools`, `content`.

use super::tape::Node;
use super::{As, Walk, Who};

pub(super) fn request<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    for (name, value) in body.members() {
        walk.no_turn();
        match &*name {
            "system" => walk.text_or_parts(value, As::of(Who::Instructions)),
            "messages" => value.items().for_each(|item| {
                walk.next_turn();
                message(walk, item);
            }),
            "output_config" | "output_format" => walk.schema(value),
            "tools" => value.items().for_each(|tool| walk.tool(tool)),
            _ => {}
        }
    }
}

pub(super) fn answer<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    walk.next_turn();
    let contents = body.members().filter(|(name, _)| name == "content");
    contents.for_each(|(_, value)| content(walk, value, Who::Assistant));
}

fn message<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    let role = it.word("role");
    let who = match role.as_deref() {
        Some("assistant") => Who::Assistant,
        Some("system") => Who::System,
        _ => Who::User,
    };
    let contents = it.members().filter(|(name, _)| name == "content");
    contents.for_each(|(_, value)| content(walk, value, who));
}

fn content<'b>(walk: &mut Walk<'b>, value: Node<'_, 'b>, who: Who) {
    walk.text(value, As::of(who));
    value.items().for_each(|item| block(walk, item, who));
}

fn block<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, who: Who) {
    let kind = it.word("type");
    match kind.as_deref() {
        Some("text") => {
            walk.member_texts(it, "text", As::of(who));
            member_others(walk, it, &["citations"]);
        }
        Some("thinking") => walk.member_texts(it, "thinking", As::of(Who::Reasoning)),
        Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
            let arguments = it.member("input").map_or("", Node::raw);
            let call = walk.call(it.word("id"), it.word("name"), arguments);
            let inputs = it.members().filter(|(name, _)| name == "input");
            inputs.for_each(|(_, input)| walk.named_texts(input, As::arguments(call)));
        }
        Some("tool_result" | "mcp_tool_result") => {
            let call = walk.answered(it.word("tool_use_id"), None);
            let is = As::result(Some(call), it.flag("is_error"));
            let contents = it.members().filter(|(name, _)| name == "content");
            contents.for_each(|(_, value)| result(walk, value, is));
        }
        Some("document") => {
            let sources = it.members().filter(|(name, _)| name == "source");
            sources.for_each(|(_, source)| document(walk, source, As::of(who)));
            member_others(walk, it, &["title", "context"]);
        }
        Some("search_result") => {
            let contents = it.members().filter(|(name, _)| name == "content");
            contents.for_each(|(_, value)| walk.text_or_parts(value, As::of(who)));
            member_others(walk, it, &["title", "source"]);
        }
        Some("image") => {}
        _ => walk.other_texts(it, Who::Other),
    }
}

fn member_others<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, names: &[&str]) {
    let members = it.members().filter(|(name, _)| names.contains(&&**name));
    members.for_each(|(_, value)| match value.is_string() {
        true => walk.text(value, As::of(Who::Other)),
        false => walk.other_texts(value, Who::Other),
    });
}

/// What a tool gave back: text, or blocks, of which documents and search results hold texts too.
fn result<'b>(walk: &mut Walk<'b>, value: Node<'_, 'b>, is: As) {
    walk.text(value, is);
    for item in value.items() {
        let kind = item.word("type");
        match kind.as_deref() {
            Some("text") => walk.member_texts(item, "text", is),
            Some("document") => {
                item.member("source").into_iter().for_each(|source| document(walk, source, is));
                member_others(walk, item, &["title", "context"]);
            }
            Some("search_result") => {
                item.member("content").into_iter().for_each(|inner| walk.text_or_parts(inner, is));
                member_others(walk, item, &["title", "source"]);
            }
            Some("image") => {}
            _ => walk.other_texts(item, Who::Other),
        }
    }
}

/// Documents of plain text or of blocks; others are files.
fn document<'b>(walk: &mut Walk<'b>, source: Node<'_, 'b>, is: As) {
    let kind = source.word("type");
    match kind.as_deref() {
        Some("text") => walk.member_texts(source, "data", is),
        Some("content") => source.member("content").into_iter().for_each(|inner| walk.text_or_parts(inner, is)),
        _ => {}
    }
}
