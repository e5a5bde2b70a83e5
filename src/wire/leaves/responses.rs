//! OpenAI Responses: `instructions`, `input`, `tools`, `output`.
//!
//! Codex runs commands as functions (`shell`, `exec_command`), as `local_shell_call` whose command is a
//! list of words, and edits by `custom_tool_call`, whose input is a text.

use super::tape::Node;
use super::{As, Walk, Who, is_known};

pub(super) fn request<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    for (name, value) in body.members() {
        walk.no_turn();
        match &*name {
            "instructions" => walk.text_or_parts(value, As::of(Who::Instructions)),
            "input" if value.is_string() => {
                walk.next_turn();
                walk.text(value, As::of(Who::User));
            }
            "input" => items(walk, value),
            "tools" => value.items().for_each(|tool| walk.tool(tool)),
            "text" => walk.schema(value),
            "prompt" => {
                let variables = value.members().filter(|(name, _)| name == "variables");
                let values = variables.flat_map(|(_, all)| all.members());
                // Their names are the client's own.
                values.for_each(|(_, value)| walk.text_or_parts(value, As::of(Who::Other)));
            }
            _ => {}
        }
    }
}

pub(super) fn answer<'b>(walk: &mut Walk<'b>, body: Node<'_, 'b>) {
    let outputs = body.members().filter(|(name, _)| name == "output");
    outputs.for_each(|(_, value)| items(walk, value));
}

fn items<'b>(walk: &mut Walk<'b>, list: Node<'_, 'b>) {
    for it in list.items() {
        walk.next_turn();
        item(walk, it);
    }
}

fn item<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    let kind = it.word("type");
    match kind.as_deref() {
        None | Some("message") => message(walk, it),
        Some("reasoning") => {
            let thoughts = it.members().filter(|(name, _)| matches!(&**name, "summary" | "content"));
            thoughts.for_each(|(_, value)| walk.text_or_parts(value, As::of(Who::Reasoning)));
        }
        Some("function_call") => call(walk, it, "arguments"),
        Some("custom_tool_call") => call(walk, it, "input"),
        Some("local_shell_call" | "shell_call") => named_call(walk, it, "action", "shell"),
        Some("apply_patch_call") => named_call(walk, it, "operation", "apply_patch"),
        Some("mcp_call") => {
            call(walk, it, "arguments");
            let call = walk.found.calls.len().checked_sub(1);
            walk.member_texts(it, "output", As::result(call, false));
            walk.member_texts(it, "error", As::result(call, true));
        }
        Some(
            "function_call_output"
            | "custom_tool_call_output"
            | "local_shell_call_output"
            | "shell_call_output"
            | "apply_patch_call_output",
        ) => output(walk, it),
        // The picture itself is none.
        Some("image_generation_call") => walk.member_texts(it, "revised_prompt", As::of(Who::Other)),
        Some(_) => walk.other_texts(it, Who::Other),
    }
}

fn message<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    let role = it.word("role");
    let who = match role.as_deref() {
        Some("assistant") => Who::Assistant,
        Some("system" | "developer") => Who::System,
        _ => Who::User,
    };
    for (_, content) in it.members().filter(|(name, _)| name == "content") {
        walk.text_or_parts(content, As::of(who));
        // Of others all has been found.
        for part in content.items().filter(|part| is_known(*part)) {
            walk.member_texts(part, "refusal", As::of(who));
            let notes = part.members().filter(|(name, _)| name == "annotations");
            notes.for_each(|(_, note)| walk.other_texts(note, Who::Other));
        }
    }
}

fn call<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, member: &str) {
    let Some(arguments) = it.member(member) else { return };
    let id = it.word("call_id").or_else(|| it.word("id"));
    let call = walk.call(id, it.word("name"), arguments.raw());
    let members = it.members().filter(|(name, _)| name == member);
    members.for_each(|(_, value)| walk.named_texts(value, As::arguments(call)));
}

/// A call whose kind is its name, and whose arguments are an object.
fn named_call<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>, member: &str, name: &'static str) {
    let Some(arguments) = it.member(member) else { return };
    let id = it.word("call_id").or_else(|| it.word("id"));
    let call = walk.call(id, Some(name.into()), arguments.raw());
    walk.all_texts(arguments, As::arguments(call));
}

/// Text, parts, or what each of several commands wrote.
fn output<'b>(walk: &mut Walk<'b>, it: Node<'_, 'b>) {
    let call = walk.answered(it.word("call_id").or_else(|| it.word("id")), None);
    let is_error = it.word("status").is_some_and(|status| matches!(&*status, "failed" | "incomplete"));
    for (_, value) in it.members().filter(|(name, _)| name == "output") {
        walk.text(value, As::result(Some(call), is_error));
        walk.part(value, As::result(Some(call), is_error));
        for part in value.items() {
            let failed = part
                .member("outcome")
                .is_some_and(|outcome| outcome.member("exit_code").is_none_or(|code| code.raw() != "0"));
            let is = As::result(Some(call), is_error || failed);
            walk.text(part, is);
            match part.member("stdout").or_else(|| part.member("stderr")) {
                None => walk.part(part, is),
                Some(_) => ["stdout", "stderr", "text"].iter().for_each(|name| walk.member_texts(part, name, is)),
            }
        }
    }
}
