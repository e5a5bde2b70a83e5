//! Reads a request as strictly as the vendor does where a translator could go wrong.

use serde_json::Value;

use crate::simulator::failure::Failure;
use crate::simulator::prompt::{Choice, Form, MEDIA_TOKENS, Prompt, Segment, call_words, items, number, text, words};

pub(in crate::simulator) fn read(body: &Value) -> Result<Prompt, Failure> {
    let model = text(body, "model").to_owned();
    if model.is_empty() {
        return Err(Failure::bad("model", "you must provide a model parameter"));
    }
    let messages = items(body, "messages");
    if messages.is_empty() {
        return Err(Failure::bad("messages", "Invalid 'messages': expected a non-empty array."));
    }
    let mut prompt = Prompt { model, ..Prompt::default() };
    tools(&mut prompt, body)?;
    for (at, message) in messages.iter().enumerate() {
        read_message(&mut prompt, message, at)?;
    }
    check_calls(messages)?;
    settings(&mut prompt, body)?;
    Ok(prompt)
}

fn tools(prompt: &mut Prompt, body: &Value) -> Result<(), Failure> {
    for (at, tool) in items(body, "tools").iter().enumerate() {
        let function = tool.get("function").unwrap_or(&Value::Null);
        let name = text(function, "name");
        if text(tool, "type") == "function" && name.is_empty() {
            return Err(Failure::bad(&format!("tools[{at}].function.name"), "Missing required parameter"));
        }
        let schema = function.get("parameters").unwrap_or(&Value::Null);
        prompt.add_tool(name, text(function, "description"), schema, None);
    }
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    prompt.choice = match choice.as_str() {
        Some("none") => Choice::None,
        Some("required") => Choice::Any,
        _ => match choice.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => Choice::Named(name.to_owned()),
            None => Choice::Auto,
        },
    };
    if prompt.tools.is_empty() && !choice.is_null() && prompt.choice != Choice::None {
        return Err(Failure::bad("tool_choice", "'tool_choice' is only allowed when 'tools' are specified."));
    }
    prompt.single_call = body.get("parallel_tool_calls") == Some(&Value::Bool(false));
    Ok(())
}

fn read_message(prompt: &mut Prompt, message: &Value, at: usize) -> Result<(), Failure> {
    let content = message.get("content").unwrap_or(&Value::Null);
    let (said, media_count) = read_content(content);
    let mut tokens = words(&said) + MEDIA_TOKENS * u64::try_from(media_count.0 + media_count.1).unwrap_or(0);
    match text(message, "role") {
        "user" => {
            prompt.ask = said;
            (prompt.images, prompt.documents) = media_count;
        }
        "tool" | "function" => prompt.results.push(said),
        "assistant" => {
            prompt.results.clear();
            tokens += words(text(message, "reasoning_content"));
            for call in items(message, "tool_calls") {
                let function = call.get("function").unwrap_or(&Value::Null);
                tokens += call_words(text(function, "name"), text(function, "arguments"));
            }
        }
        "system" | "developer" => {}
        other => {
            let param = format!("messages[{at}].role");
            return Err(Failure::bad(
                &param,
                format!(
                    "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
                ),
            ));
        }
    }
    prompt.segments.push(Segment { tokens, identity: message.to_string(), mark: None });
    Ok(())
}

/// The text of a content, and how many images and other media are in it.
fn read_content(content: &Value) -> (String, (usize, usize)) {
    let Some(parts) = content.as_array() else {
        return (content.as_str().unwrap_or_default().to_owned(), (0, 0));
    };
    let (mut texts, mut images, mut others) = (Vec::new(), 0, 0);
    for part in parts {
        match text(part, "type") {
            "text" => texts.push(text(part, "text")),
            "refusal" => texts.push(text(part, "refusal")),
            "image_url" => images += 1,
            _ => others += 1,
        }
    }
    (texts.join("\n"), (images, others))
}

/// Every call has its result before anything else is said, and no result is without its call.
fn check_calls(messages: &[Value]) -> Result<(), Failure> {
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if text(message, "role") == "tool" {
            let id = text(message, "tool_call_id");
            let Some(found) = open.iter().position(|o| *o == id) else {
                return Err(Failure::bad(
                    &format!("messages[{at}].role"),
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                ));
            };
            open.remove(found);
            continue;
        }
        no_open_calls(&open, at)?;
        open = items(message, "tool_calls").iter().map(|c| text(c, "id")).collect();
    }
    no_open_calls(&open, messages.len())
}

fn no_open_calls(open: &[&str], at: usize) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(Failure::bad(&format!("messages[{at}].role"), message))
}

fn settings(prompt: &mut Prompt, body: &Value) -> Result<(), Failure> {
    prompt.stream = body.get("stream") == Some(&Value::Bool(true));
    let options = body.get("stream_options").filter(|o| !o.is_null());
    if options.is_some() && !prompt.stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Failure::bad("stream_options", message));
    }
    prompt.stream_usage = options.and_then(|o| o.get("include_usage")) == Some(&Value::Bool(true));
    for name in ["max_tokens", "max_completion_tokens"] {
        if body.get(name).is_some_and(|v| !v.is_null()) {
            let Some(most) = number(body, name).filter(|n| *n > 0) else {
                return Err(Failure::bad(name, format!("Invalid '{name}': expected an integer of at least 1.")));
            };
            prompt.max_tokens = Some(most);
        }
    }
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|t| !(0.0..=2.0).contains(&t)) {
        return Err(Failure::bad("temperature", "Invalid 'temperature': expected a decimal between 0 and 2."));
    }
    prompt.stop = match body.get("stop") {
        Some(Value::String(one)) => vec![one.clone()],
        _ => items(body, "stop").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    };
    prompt.think = !matches!(text(body, "reasoning_effort"), "" | "none");
    prompt.choices = number(body, "n").unwrap_or(1);
    if !(1..=128).contains(&prompt.choices) {
        return Err(Failure::bad("n", "Invalid 'n': expected an integer between 1 and 128."));
    }
    let wants_logprobs = body.get("logprobs") == Some(&Value::Bool(true));
    prompt.logprobs = wants_logprobs.then(|| number(body, "top_logprobs").unwrap_or(0));
    prompt.form = form(body.get("response_format").unwrap_or(&Value::Null))?;
    Ok(())
}

fn form(format: &Value) -> Result<Form, Failure> {
    match text(format, "type") {
        "json_object" => Ok(Form::JsonObject),
        "json_schema" => match format.pointer("/json_schema/schema") {
            Some(schema) => Ok(Form::Schema(schema.clone())),
            None => Err(Failure::bad("response_format.json_schema", "Missing required parameter: 'schema'.")),
        },
        _ => Ok(Form::Text),
    }
}
