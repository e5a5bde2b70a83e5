//! What Anthropic itself says of a model: limits, and `capabilities`, of which its SDKs have every key
//! ([Models](https://platform.claude.com/docs/en/api/models/retrieve), as in its Python SDK 2.15.0, seen
//! 2026-12-01). What nobody knows of a model is not supported.

use crate::usage::price::ModelInfo;
use crate::wire::json::Obj;

pub(super) fn details(entry: &mut Obj<'_>, info: &ModelInfo) {
    info.context_tokens.iter().for_each(|tokens| _ = entry.num("max_input_tokens", *tokens));
    info.max_output_tokens.iter().for_each(|tokens| _ = entry.num("max_tokens", *tokens));
    let (said, table) = (info.abilities, info.capabilities);
    let is = |said: Option<bool>, listed: Option<bool>| said.or(listed).unwrap_or(false);
    let thinks = table.is_some_and(|t| t.reasoning);
    let mut all = entry.obj("capabilities");
    one(&mut all, "image_input", is(said.images, table.map(|t| t.vision)));
    one(&mut all, "pdf_input", is(said.documents, None));
    one(&mut all, "structured_outputs", is(said.json_schema, table.map(|t| t.json_schema)));
    for name in ["batch", "citations", "code_execution"] {
        one(&mut all, name, false);
    }
    group(&mut all, "context_management", false, &[]);
    group(&mut all, "effort", false, &["low", "medium", "high", "xhigh", "max"]);
    group(&mut all, "server_tools", false, &["web_search", "code_execution"]);
    let mut thinking = all.obj("thinking");
    thinking.bool("supported", thinks);
    let mut types = thinking.obj("types");
    // Who does not think may be told not to.
    for (name, is_taken) in [("enabled", thinks), ("disabled", !thinks), ("adaptive", false), ("between_tools", false)]
    {
        one(&mut types, name, is_taken);
    }
}

fn one(all: &mut Obj<'_>, name: &str, is_supported: bool) {
    all.obj(name).bool("supported", is_supported);
}

/// All of its parts are as it is.
fn group(all: &mut Obj<'_>, name: &str, is_supported: bool, parts: &[&str]) {
    let mut group = all.obj(name);
    group.bool("supported", is_supported);
    parts.iter().for_each(|part| one(&mut group, part, is_supported));
}
