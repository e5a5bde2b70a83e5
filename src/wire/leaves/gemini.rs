//! Google's `generateContent`: `systemInstruction`, `contents`, `tools`, `candidates`.
//!
//! Calls may have no ids: a result then answers the first call of its name that has none yet.

use super::tape::Node;
use super::{As, Walk, Who, is_opaque};

pub(super) fn request<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    for (name, value) in body.members() {
        walk.no_turn();
        match &*name {
            "systemInstruction" | "system_instruction" => {
                walk.text(value, As::of(Who::Instructions));
                parts(walk, value, Who::Instructions);
            }
            "contents" if value.is_object() => content(walk, value),
            "contents" => value.items().for_each(|item| content(walk, item)),
            "generationConfig" | "generation_config" => walk.schema(value),
            "tools" => value.items().for_each(|tool| descriptions(walk, tool)),
            _ => {}
        }
    }
}

pub(super) fn answer<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    let candidates = body.members().filter(|(name, _)| name == "candidates");
    for candidate in candidates.flat_map(|(_, list)| list.items()) {
        walk.next_turn();
        let contents = candidate.members().filter(|(name, _)| name == "content");
        contents.for_each(|(_, value)| parts(walk, value, Who::Assistant));
        // Where it is from, in the words of the pages and of the answer.
        let sources = candidate
            .members()
            .filter(|(name, _)| matches!(&**name, "groundingMetadata" | "citationMetadata" | "urlContextMetadata"));
        sources.for_each(|(_, value)| walk.other_texts(value, Who::Other));
    }
}

fn descriptions<'b>(walk: &mut Walk<'b>, tool: Node<'_, 'b>) {
    let lists = tool.members().filter(|(name, _)| matches!(&**name, "functionDeclarations" | "function_declarations"));
    for declared in lists.flat_map(|(_, list)| list.items()) {
        walk.tool(declared);
    }
}

fn content<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    walk.next_turn();
    let role = it.word("role");
    match role.as_deref() {
        Some("model") => parts(walk, it, Who::Assistant),
        Some("system") => parts(walk, it, Who::System),
        _ => parts(walk, it, Who::User),
    }
}

fn parts<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, who: Who) {
    for (_, list) in it.members().filter(|(name, _)| name == "parts") {
        match list.is_object() {
            true => part(walk, list, who),
            false => list.items().for_each(|item| part(walk, item, who)),
        }
    }
}

fn part<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, who: Who) {
    let who = if it.flag("thought") { Who::Reasoning } else { who };
    for (name, value) in it.members() {
        match &*name {
            "text" => walk.text(value, As::of(who)),
            "functionCall" | "function_call" => {
                let arguments = value.member("args");
                let call = walk.call(value.word("id"), value.word("name"), arguments.map_or("", Node::raw));
                arguments.into_iter().for_each(|it| walk.named_texts(it, As::arguments(call)));
            }
            "functionResponse" | "function_response" => response(walk, value),
            "executableCode" | "executable_code" => walk.member_texts(value, "code", As::of(who)),
            "codeExecutionResult" | "code_execution_result" => walk.member_texts(value, "output", As::of(who)),
            other => unknown(walk, other, value),
        }
    }
}

/// A member of a part: work of Google's own tools, and whatever comes to be. Files are none.
fn unknown<'b>(walk: &mut Walk<'b>, name: &str, value: Node<'_, 'b>) {
    let is_file = matches!(name, "inlineData" | "inline_data" | "fileData" | "file_data");
    let is_about_one = matches!(name, "videoMetadata" | "video_metadata" | "mediaResolution" | "media_resolution");
    if !is_file && !is_about_one && !is_opaque(name) {
        walk.other_texts(value, Who::Other);
    }
}

/// By convention a response has an `output` or an `error`, but may have anything.
fn response<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    let call = walk.answered(it.word("id"), it.word("name"));
    for (name, value) in it.members() {
        match &*name {
            "response" => {
                let failed =
                    value.member("error").is_some_and(|error| !matches!(error.raw(), "null" | "false" | "\"\""));
                walk.named_texts(value, As::result(Some(call), failed));
            }
            "parts" => value.items().flat_map(Node::members).for_each(|(name, inner)| match &*name {
                "text" => walk.text(inner, As::result(Some(call), false)),
                other => unknown(walk, other, inner),
            }),
            _ => {}
        }
    }
}
