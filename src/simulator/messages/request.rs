//! Reads a request as strictly as the vendor does where a translator could go wrong.

use serde_json::Value;

use crate::simulator::failure::Failure;
use crate::simulator::prompt::{
    Choice, Form, MEDIA_TOKENS, Mark, Prompt, Segment, call_words, items, number, text, words,
};
use crate::simulator::reply::{is_redacted, sign};

/// A request for an answer.
pub(in crate::simulator) fn read(body: &Value) -> Result<Prompt, Failure> {
    let mut prompt = read_count(body)?;
    prompt.max_tokens = number(body, "max_tokens").filter(|n| *n > 0);
    let Some(max_tokens) = prompt.max_tokens else {
        return Err(Failure::new(400, "max_tokens: Field required"));
    };
    let budget = body.pointer("/thinking/budget_tokens").and_then(Value::as_u64);
    if text(body.get("thinking").unwrap_or(&Value::Null), "type") == "enabled" {
        let budget = budget.and_then(|b| usize::try_from(b).ok()).unwrap_or(0);
        if budget < 1024 {
            let message = "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
            return Err(Failure::new(400, message));
        }
        if budget >= max_tokens {
            return Err(Failure::new(400, "`max_tokens` must be greater than `thinking.budget_tokens`."));
        }
    }
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|t| !(0.0..=1.0).contains(&t)) {
        return Err(Failure::new(400, "temperature: range: 0..1"));
    }
    prompt.stream = body.get("stream") == Some(&Value::Bool(true));
    prompt.stop = items(body, "stop_sequences").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let format = body.pointer("/output_config/format").or_else(|| body.get("output_format"));
    if let Some(schema) = format.and_then(|f| f.get("schema")) {
        prompt.form = Form::Schema(schema.clone());
    }
    Ok(prompt)
}

/// The part that a count needs.
pub(in crate::simulator) fn read_count(body: &Value) -> Result<Prompt, Failure> {
    let model = text(body, "model").to_owned();
    if model.is_empty() {
        return Err(Failure::new(400, "model: Field required"));
    }
    let messages = items(body, "messages");
    if messages.is_empty() {
        return Err(Failure::new(400, "messages: at least one message is required"));
    }
    let mut prompt = Prompt { model, choices: 1, ..Prompt::default() };
    let thinking = text(body.get("thinking").unwrap_or(&Value::Null), "type").to_owned();
    prompt.think = matches!(thinking.as_str(), "enabled" | "adaptive");
    prompt.think_off = thinking == "disabled";
    tools(&mut prompt, body)?;
    match body.get("system") {
        Some(Value::String(system)) => {
            prompt.segments.push(Segment { tokens: words(system), identity: system.clone(), mark: None });
        }
        Some(Value::Array(blocks)) => blocks.iter().for_each(|b| read_block(&mut prompt, b, "system")),
        _ => {}
    }
    for (at, message) in messages.iter().enumerate() {
        read_message(&mut prompt, message, at)?;
    }
    check_calls(messages)?;
    if prompt.think {
        check_thinking_in_loop(messages)?;
    }
    Ok(prompt)
}

fn tools(prompt: &mut Prompt, body: &Value) -> Result<(), Failure> {
    for (at, tool) in items(body, "tools").iter().enumerate() {
        let schema = tool.get("input_schema").unwrap_or(&Value::Null);
        // The vendor's own tools (`web_search_20250305`) have a type and no schema.
        let is_own = matches!(text(tool, "type"), "" | "custom");
        if is_own && schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(Failure::new(400, format!("tools.{at}.custom.input_schema.type: Field required")));
        }
        prompt.add_tool(text(tool, "name"), text(tool, "description"), schema, mark(tool));
    }
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    prompt.choice = match text(choice, "type") {
        "none" => Choice::None,
        "any" => Choice::Any,
        "tool" => Choice::Named(text(choice, "name").to_owned()),
        _ => Choice::Auto,
    };
    if prompt.think && matches!(prompt.choice, Choice::Any | Choice::Named(_)) {
        return Err(Failure::new(400, "Thinking may not be enabled when tool_choice forces tool use."));
    }
    prompt.single_call = choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true));
    Ok(())
}

fn mark(block: &Value) -> Option<Mark> {
    let control = block.get("cache_control").filter(|c| !c.is_null())?;
    Some(if text(control, "ttl") == "1h" { Mark::OneHour } else { Mark::FiveMinutes })
}

fn read_message(prompt: &mut Prompt, message: &Value, at: usize) -> Result<(), Failure> {
    let role = text(message, "role");
    match role {
        "user" => (prompt.images, prompt.documents) = (0, 0),
        "assistant" => prompt.results.clear(),
        "system" => {}
        _ => return Err(Failure::new(400, format!("messages.{at}.role: Input should be 'user' or 'assistant'"))),
    }
    match message.get("content") {
        Some(Value::String(said)) => {
            if role == "user" {
                prompt.ask.clone_from(said);
            }
            prompt.segments.push(Segment { tokens: words(said), identity: format!("{role} {said}"), mark: None });
        }
        Some(Value::Array(blocks)) => {
            for (nth, block) in blocks.iter().enumerate() {
                check_block(block, at, nth)?;
                read_block(prompt, block, role);
            }
            let said: Vec<&str> =
                blocks.iter().filter(|b| text(b, "type") == "text").map(|b| text(b, "text")).collect();
            if role == "user" && !said.is_empty() {
                prompt.ask = said.join("\n");
            }
        }
        _ => return Err(Failure::new(400, format!("messages.{at}.content: Field required"))),
    }
    Ok(())
}

fn read_block(prompt: &mut Prompt, block: &Value, role: &str) {
    let tokens = match text(block, "type") {
        "text" => words(text(block, "text")),
        "thinking" => words(text(block, "thinking")),
        "tool_use" => call_words(text(block, "name"), &block.get("input").cloned().unwrap_or_default().to_string()),
        "tool_result" => {
            let (result, media_tokens) = result(block.get("content").unwrap_or(&Value::Null));
            let tokens = words(&result) + media_tokens;
            prompt.results.push(result);
            tokens
        }
        "image" => {
            prompt.images += 1;
            MEDIA_TOKENS
        }
        "document" => {
            prompt.documents += 1;
            MEDIA_TOKENS
        }
        _ => 0,
    };
    let mut bare = block.clone();
    if let Some(bare) = bare.as_object_mut() {
        bare.remove("cache_control");
    }
    prompt.segments.push(Segment { tokens, identity: format!("{role} {bare}"), mark: mark(block) });
}

/// The text of a tool result and the tokens of what else is in it.
fn result(content: &Value) -> (String, u64) {
    let Some(blocks) = content.as_array() else { return (content.as_str().unwrap_or_default().to_owned(), 0) };
    let texts: Vec<&str> = blocks.iter().filter(|b| text(b, "type") == "text").map(|b| text(b, "text")).collect();
    let others = u64::try_from(blocks.len() - texts.len()).unwrap_or(0);
    (texts.join("\n"), others * MEDIA_TOKENS)
}

/// What the vendor refuses in a block.
fn check_block(block: &Value, at: usize, nth: usize) -> Result<(), Failure> {
    let bad = |what: &str| Err(Failure::new(400, format!("messages.{at}.content.{nth}{what}")));
    match text(block, "type") {
        "" => bad(".type: Field required"),
        "text" if text(block, "text").is_empty() => bad(": text content blocks must be non-empty"),
        "thinking" if block.get("signature").and_then(Value::as_str).is_none() => {
            bad(".thinking.signature: Field required")
        }
        "thinking" if text(block, "signature") != sign(text(block, "thinking")) => {
            bad(": Invalid `signature` in `thinking` block")
        }
        "redacted_thinking" if !is_redacted(text(block, "data")) => {
            bad(": Invalid `data` in `redacted_thinking` block")
        }
        "tool_use" if !block.get("input").is_some_and(Value::is_object) => {
            bad(".tool_use.input: Input should be a valid dictionary")
        }
        _ => Ok(()),
    }
}

/// Every call has its result at the start of the next message, and no result is without its call.
fn check_calls(messages: &[Value]) -> Result<(), Failure> {
    let ids = |message: Option<&Value>, kind: &str, member: &str| -> Vec<String> {
        let blocks = message.map(|m| items(m, "content")).unwrap_or_default();
        blocks.iter().filter(|b| text(b, "type") == kind).map(|b| text(b, member).to_owned()).collect()
    };
    let mut open: Vec<String> = Vec::new();
    for at in 0..=messages.len() {
        let message = messages.get(at);
        let results = ids(message, "tool_result", "tool_use_id");
        if let Some(id) = results.iter().find(|id| !open.contains(id)) {
            let message = format!(
                "messages.{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            );
            return Err(Failure::new(400, message));
        }
        open.retain(|id| !results.contains(id));
        if !open.is_empty() {
            let message = format!(
                "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                open.join(", ")
            );
            return Err(Failure::new(400, message));
        }
        open = ids(message, "tool_use", "id");
    }
    Ok(())
}

/// While a tool loop runs, the turn that called has to begin with its thinking.
fn check_thinking_in_loop(messages: &[Value]) -> Result<(), Failure> {
    let Some(at) = messages.iter().rposition(|m| text(m, "role") == "assistant") else { return Ok(()) };
    let blocks = messages.get(at).map(|m| items(m, "content")).unwrap_or_default();
    let first = blocks.first().map(|b| text(b, "type")).unwrap_or_default();
    let calls = blocks.iter().any(|b| text(b, "type") == "tool_use");
    if calls && !matches!(first, "thinking" | "redacted_thinking") {
        let message = format!(
            "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
        );
        return Err(Failure::new(400, message));
    }
    Ok(())
}
