//! OpenAI Chat Completions: `messages`, `tools`, `choices`.

use super::tape::Node;
use super::{As, Walk, Who, is_known, is_opaque};

pub(super) fn request<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    for (name, value) in body.members() {
        walk.no_turn();
        match &*name {
            "messages" => value.items().for_each(|item| {
                walk.next_turn();
                message(walk, item);
            }),
            "tools" | "functions" => value.items().for_each(|tool| walk.tool(tool)),
            "response_format" => walk.schema(value),
            "prediction" => {
                let contents = value.members().filter(|(name, _)| name == "content");
                contents.for_each(|(_, content)| walk.text_or_parts(content, As::of(Who::Other)));
            }
            _ => {}
        }
    }
}

pub(super) fn answer<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    let choices = body.members().filter(|(name, _)| name == "choices");
    for choice in choices.flat_map(|(_, list)| list.items()) {
        walk.next_turn();
        let messages = choice.members().filter(|(name, _)| name == "message");
        messages.for_each(|(_, it)| said(walk, it, Who::Assistant));
    }
}

fn message<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    let role = it.word("role");
    let is = match role.as_deref() {
        Some("system" | "developer") => As::of(Who::System),
        Some("assistant") => return said(walk, it, Who::Assistant),
        Some("tool" | "function") => {
            let call = walk.answered(it.word("tool_call_id"), it.word("name"));
            As::result(Some(call), false)
        }
        // Some servers know more roles, or any, and pass what they say to the model.
        _ => return said(walk, it, Who::User),
    };
    for (name, value) in it.members() {
        match &*name {
            "content" => walk.text_or_parts(value, is),
            // Of results it is the tool's.
            "name" if is.who == Who::System => walk.text(value, As::of(Who::Other)),
            _ => {}
        }
    }
}

/// Whatever a message may hold.
fn said<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, who: Who) {
    for (name, value) in it.members() {
        match &*name {
            "content" => content(walk, value, who),
            "refusal" => walk.text(value, As::of(who)),
            "reasoning_content" | "reasoning" => walk.text(value, As::of(Who::Reasoning)),
            "reasoning_details" => value.items().for_each(|item| {
                walk.member_texts(item, "text", As::of(Who::Reasoning));
                walk.member_texts(item, "summary", As::of(Who::Reasoning));
            }),
            "tool_calls" => value.items().for_each(|item| call(walk, item)),
            "function_call" => called(walk, None, value),
            "audio" => walk.member_texts(value, "transcript", As::of(who)),
            "name" => walk.text(value, As::of(Who::Other)),
            // Where an answer is from, what Groq's own tools did for it, and whatever comes to be.
            other if !is_opaque(other) => walk.other_texts(value, Who::Other),
            _ => {}
        }
    }
}

/// Text, or parts: Mistral's models think in parts of the type `thinking`.
fn content<'b>(walk: &mut Walk<'b>, value: Node<'_, 'b>, who: Who) {
    walk.text(value, As::of(who));
    part(walk, value, who);
    for item in value.items() {
        walk.text(item, As::of(who));
        part(walk, item, who);
    }
}

fn part<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, who: Who) {
    let is_known = is_known(it);
    for (name, inner) in it.members() {
        match &*name {
            "text" | "refusal" if inner.is_string() => walk.text(inner, As::of(who)),
            "thinking" => walk.text_or_parts(inner, As::of(Who::Reasoning)),
            other if !is_known && !is_opaque(other) => walk.other_texts(inner, Who::Other),
            _ => {}
        }
    }
}

fn call<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    let kinds = it.members().filter(|(name, _)| matches!(&**name, "function" | "custom"));
    kinds.for_each(|(_, kind)| called(walk, it.member("id"), kind));
}

fn called<'b>(walk: &mut Walk<'b>, id: Option<Node<'_, 'b>>, it: Node<'_, 'b>) {
    let Some(arguments) = it.member("arguments").or_else(|| it.member("input")) else { return };
    let call = walk.call(id.and_then(Node::text), it.word("name"), arguments.raw());
    let members = it.members().filter(|(name, _)| matches!(&**name, "arguments" | "input"));
    // Some servers take an object as it is.
    members.for_each(|(_, value)| walk.named_texts(value, As::arguments(call)));
}
