//! Requests, brought to one spelling where several mean the same.

use serde_json::{Map, Value, json};
use weir::wire::Dialect;

/// Whether two chat requests mean the same, member for member.
pub(crate) fn same(sent: &str, got: &str) -> Result<(), String> {
    let (sent, got) = (normal(sent), normal(got));
    let (Value::Object(sent), Value::Object(got)) = (&sent, &got) else { return Err("not objects".to_owned()) };
    for name in sent.keys().chain(got.keys()) {
        if sent.get(name) != got.get(name) {
            let show = |v: Option<&Value>| v.map_or_else(|| "nothing".to_owned(), Value::to_string);
            return Err(format!("{name} is {}, expected {}", show(got.get(name)), show(sent.get(name))));
        }
    }
    Ok(())
}

fn normal(json: &str) -> Value {
    let mut it = without_nulls(serde_json::from_str(json).expect("a request is JSON"));
    let request = it.as_object_mut().expect("an object");
    request.remove("model");
    let functions = request.remove("functions");
    for (member, wrap) in [("tools", functions)] {
        if let Some(list) = wrap {
            let tools = list.as_array().expect("a list").iter();
            request.insert(member.to_owned(), tools.map(|f| json!({"type": "function", "function": f})).collect());
        }
    }
    if let Some(choice) = request.remove("function_call") {
        request.insert("tool_choice".to_owned(), choice);
    }
    match request.get("tool_choice").cloned() {
        Some(Value::String(word)) if word == "any" => _ = request.insert("tool_choice".to_owned(), json!("required")),
        Some(Value::Object(mut choice)) => {
            choice.insert("type".to_owned(), json!("function"));
            request.insert("tool_choice".to_owned(), Value::Object(choice));
        }
        _ => {}
    }
    for tool in request.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        let tool = tool.as_object_mut().expect("a tool");
        tool.entry("type").or_insert_with(|| json!("function"));
    }
    if request.get("tools").is_some_and(|t| t == &json!([])) {
        request.remove("tools");
    }
    if request.get("stream") == Some(&json!(false)) {
        request.remove("stream");
    }
    if request.get("stream") == Some(&json!(true)) {
        request.insert("stream_options".to_owned(), json!({"include_usage": true}));
    } else {
        request.remove("stream_options");
    }
    if let Some(max) = request.remove("max_completion_tokens") {
        request.insert("max_tokens".to_owned(), max);
    }
    if let Some(Value::String(stop)) = request.get("stop").cloned() {
        request.insert("stop".to_owned(), json!([stop]));
    }
    if request.get("response_format") == Some(&json!({"type": "text"})) {
        request.remove("response_format");
    }
    let messages = request.get_mut("messages").and_then(Value::as_array_mut).expect("messages");
    for message in messages {
        let message = message.as_object_mut().expect("a message");
        // The newer word for the same thing.
        if message["role"] == "developer" {
            message.insert("role".to_owned(), json!("system"));
        }
        normal_message(message);
    }
    it
}

fn normal_message(message: &mut Map<String, Value>) {
    let is_assistant = message["role"] == "assistant";
    if let Some(call) = message.remove("function_call") {
        message.insert("tool_calls".to_owned(), json!([{"type": "function", "function": call}]));
    }
    if message["role"] == "function" {
        message.insert("role".to_owned(), json!("tool"));
    }
    if let Some(calls) = message.get_mut("tool_calls").and_then(Value::as_array_mut) {
        for call in calls.iter_mut().filter_map(Value::as_object_mut) {
            call.remove("index");
            call.entry("type").or_insert_with(|| json!("function"));
            if call["function"]["arguments"] == "" {
                call["function"]["arguments"] = json!("{}");
            }
        }
        if calls.is_empty() {
            message.remove("tool_calls");
        } else if [Some(&json!("")), Some(&json!([]))].contains(&message.get("content")) {
            message.remove("content");
        }
    }
    for detail in message.get_mut("reasoning_details").and_then(Value::as_array_mut).into_iter().flatten() {
        // What is signed in nobody else's format is Claude's.
        if let Some(detail) = detail.as_object_mut().filter(|d| d.contains_key("signature")) {
            detail.entry("format").or_insert_with(|| json!("anthropic-claude-v1"));
            detail.entry("index").or_insert_with(|| json!(0));
        }
    }
    match message.get_mut("content") {
        Some(Value::Array(items)) => {
            items.iter_mut().for_each(normal_item);
            if let [Value::Object(item)] = &items[..]
                && item.len() == 2
                && item.get("type") == Some(&json!("text"))
            {
                let text = item["text"].clone();
                message.insert("content".to_owned(), text);
            }
        }
        None if !is_assistant => _ = message.insert("content".to_owned(), json!("")),
        _ => {}
    }
    if is_assistant && message.get("content") == Some(&json!("")) {
        message.remove("content");
    }
}

fn normal_item(item: &mut Value) {
    if let Some(url) = item["image_url"].as_str().map(str::to_owned) {
        item["image_url"] = json!({"url": url});
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Every text of a conversation, and where it stands in the client's spelling.
fn texts(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if members.get("type").is_some_and(|kind| kind == "reasoning") => {}
        Value::Object(members) if members.get("thought") == Some(&json!(true)) => {}
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    // Thinking goes where it can be proven, or not at all.
                    _ if matches!(name.as_str(), "reasoning_details" | "thinking" | "summary" | "reasoningContent") => {
                    }
                    // Of tools that their provider runs, and no other.
                    _ if matches!(name.as_str(), "executableCode" | "codeExecutionResult" | "toolResponse") => {}
                    Value::String(text) if matches!(name.as_str(), "text" | "content" | "output") => {
                        found.push((format!("{at}.{name}"), text.clone()));
                    }
                    other => texts(other, &format!("{at}.{name}"), found),
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| texts(item, &format!("{at}[{index}]"), found));
        }
        _ => {}
    }
}

/// Every string there is.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| strings(value, found)),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::String(text) => found.push(text.clone()),
        _ => {}
    }
}

/// The names of the tools that a client runs itself, in whichever format.
fn tools(request: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let lists = [&request["tools"], &request["functions"], &request["toolConfig"]["tools"]];
    for tool in lists.into_iter().filter_map(Value::as_array).flatten() {
        match tool["type"].as_str() {
            Some("namespace") => {
                let prefix = tool["name"].as_str().unwrap_or_default();
                all.extend(tools(tool).iter().map(|inner| format!("{prefix}__{inner}")));
            }
            None | Some("custom" | "function") => {
                let named = [tool, &tool["function"], &tool["custom"], &tool["toolSpec"]];
                all.extend(named.into_iter().filter_map(|it| it["name"].as_str().map(str::to_owned)));
                let declared = [&tool["functionDeclarations"], &tool["function_declarations"]];
                for function in declared.into_iter().filter_map(Value::as_array).flatten() {
                    all.extend(function["name"].as_str().map(str::to_owned));
                }
            }
            Some(_) => {}
        }
    }
    all
}

/// The same without those that the choice among them does not allow.
fn allowed(request: &Value) -> Vec<String> {
    let mut all = tools(request);
    let choice = &request["tool_choice"];
    if choice["type"] == "allowed_tools" {
        // Responses has the members of the choice beside its type.
        let inside = [choice, &choice["allowed_tools"]];
        let names: Vec<String> = inside.into_iter().flat_map(tools).collect();
        all.retain(|name| names.contains(name));
    }
    all
}

/// Whether a request made from one of another format keeps its tools and texts, in what shape the
/// format insists on.
///
/// `dropped` is what the request was said to lose.
pub(crate) fn is_sound(sent: &str, to: Dialect, got: &str, dropped: &[String]) -> Result<(), String> {
    let (sent, got): (Value, Value) = (parse(sent)?, parse(got)?);
    match to {
        Dialect::OpenAiChat | Dialect::Cohere => chat_order(&got)?,
        Dialect::Anthropic => messages_order(&got)?,
        Dialect::Responses => items_order(&got)?,
        Dialect::Gemini => contents_order(&got)?,
        Dialect::Converse => blocks_order(&got)?,
    }
    let (expected, all): (Vec<String>, _) =
        (allowed(&sent).into_iter().map(|name| named(name, to)).collect(), tools(&got));
    let fits = match to {
        // No tools say that none may be called.
        Dialect::Converse if forbids_calls(&sent) && all.is_empty() => true,
        // One tool says that it must be.
        Dialect::Cohere if all.len() == 1 && chooses(&sent, &all[0]) => expected.contains(&all[0]),
        // Some formats want the tools of earlier calls as well.
        _ => all.starts_with(&expected),
    };
    if !fits {
        return Err(format!("tools {all:?}, expected {expected:?}"));
    }
    keeps_texts(&sent, &got, dropped)
}

/// Gemini and Cohere take no name that begins with a digit.
fn named(name: String, to: Dialect) -> String {
    let begins = name.starts_with(|c: char| c.is_ascii_digit());
    if matches!(to, Dialect::Gemini | Dialect::Cohere) && begins { format!("_{name}") } else { name }
}

/// Whether the request insists on this tool.
fn chooses(sent: &Value, name: &str) -> bool {
    let choices = [
        &sent["tool_choice"],
        &sent["function_call"],
        &sent["toolConfig"]["toolChoice"],
        &sent["toolConfig"]["functionCallingConfig"],
    ];
    let mut all = Vec::new();
    choices.into_iter().for_each(|choice| strings(choice, &mut all));
    all.iter().any(|word| word == name)
}

fn forbids_calls(sent: &Value) -> bool {
    let choice = &sent["tool_choice"];
    let mode = sent["toolConfig"]["functionCallingConfig"]["mode"].as_str();
    let words = [choice.as_str(), choice["type"].as_str(), mode];
    words.into_iter().flatten().any(|word| word.eq_ignore_ascii_case("none"))
}

fn chat_order(got: &Value) -> Result<(), String> {
    let mut owed: Vec<String> = Vec::new();
    for message in got["messages"].as_array().ok_or("no messages")? {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let at = owed.iter().position(|o| o == id).ok_or_else(|| format!("{id} answers no call"))?;
            owed.remove(at);
            if !message["content"].is_string() {
                return Err("a tool message holds text only".to_owned());
            }
            continue;
        }
        if !owed.is_empty() {
            return Err(format!("{owed:?} are not answered at once"));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            owed.push(call["id"].as_str().ok_or("a call without id")?.to_owned());
            let Some(arguments) = call["function"]["arguments"].as_str() else { continue };
            serde_json::from_str::<Value>(arguments).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

fn messages_order(got: &Value) -> Result<(), String> {
    if !got["max_tokens"].is_u64() || !got["messages"].is_array() {
        return Err("max_tokens or messages are missing".to_owned());
    }
    for message in got["messages"].as_array().into_iter().flatten() {
        if message["role"] != "user" && message["role"] != "assistant" && message["role"] != "system" {
            return Err(format!("role {}", message["role"]));
        }
    }
    Ok(())
}

fn items_order(got: &Value) -> Result<(), String> {
    let mut called = Vec::new();
    for item in got["input"].as_array().ok_or("no input")? {
        match item["type"].as_str().unwrap_or("message") {
            "function_call" | "custom_tool_call" => called.push(&item["call_id"]),
            "function_call_output" | "custom_tool_call_output" if !called.contains(&&item["call_id"]) => {
                return Err(format!("{} answers no call", item["call_id"]));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every content has parts, the user begins, and results follow their calls, one each and in order.
fn contents_order(got: &Value) -> Result<(), String> {
    let contents = got["contents"].as_array().ok_or("no contents")?;
    if contents.first().is_none_or(|first| first["role"] != "user") {
        return Err("the user does not begin".to_owned());
    }
    let names = |content: &Value, kind: &str| -> Vec<Value> {
        let parts = content["parts"].as_array().into_iter().flatten();
        parts.filter(|part| part[kind].is_object()).map(|part| part[kind]["name"].clone()).collect()
    };
    for (at, content) in contents.iter().enumerate() {
        if content["parts"].as_array().is_none_or(Vec::is_empty) {
            return Err("a content without parts".to_owned());
        }
        let calls = names(content, "functionCall");
        let results = contents.get(at + 1).map(|next| names(next, "functionResponse")).unwrap_or_default();
        if content["role"] == "model" && calls != results {
            return Err(format!("calls {calls:?} have the results {results:?}"));
        }
    }
    Ok(())
}

/// Both sides take turns, the user begins, blocks have one member, and results follow their calls.
fn blocks_order(got: &Value) -> Result<(), String> {
    let messages = got["messages"].as_array().ok_or("no messages")?;
    let ids = |message: &Value, kind: &str| -> Vec<Value> {
        let blocks = message["content"].as_array().into_iter().flatten();
        blocks.filter(|block| block[kind].is_object()).map(|block| block[kind]["toolUseId"].clone()).collect()
    };
    for (at, message) in messages.iter().enumerate() {
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            return Err(format!("message {at} is not the {role}'s"));
        }
        let blocks = message["content"].as_array().filter(|blocks| !blocks.is_empty()).ok_or("no content")?;
        if let Some(odd) = blocks.iter().find(|block| block.as_object().is_none_or(|it| it.len() != 1)) {
            return Err(format!("not one member: {odd}"));
        }
        let (mut calls, next) = (ids(message, "toolUse"), messages.get(at + 1));
        let mut results = next.map(|next| ids(next, "toolResult")).unwrap_or_default();
        calls.sort_by_key(Value::to_string);
        results.sort_by_key(Value::to_string);
        if calls != results && !(next.is_none() && role == "assistant") {
            return Err(format!("calls {calls:?} have the results {results:?}"));
        }
    }
    Ok(())
}

fn keeps_texts(sent: &Value, got: &Value, dropped: &[String]) -> Result<(), String> {
    let (mut expected, mut all) = (Vec::new(), Vec::new());
    for member in ["system", "messages", "instructions", "input", "systemInstruction", "contents"] {
        texts(&sent[member], member, &mut expected);
        expected.extend(sent[member].as_str().map(|text| (member.to_owned(), text.to_owned())));
    }
    expected.retain(|(at, _)| !dropped.iter().any(|path| at.starts_with(path.as_str())));
    strings(got, &mut all);
    let words = |text: &str| text.split_whitespace().collect::<String>();
    let all = words(&all.join("\n"));
    // A result that is an object is one where the format has objects for results.
    let is_object = |text: &str| {
        let text = text.trim();
        text.starts_with('{') && serde_json::from_str(text).is_ok_and(|object: Value| holds(got, &object))
    };
    match expected.iter().find(|(_, text)| !all.contains(&words(text)) && !is_object(text)) {
        Some((at, lost)) => Err(format!("lost {lost:?} of {at}")),
        None => Ok(()),
    }
}

/// Whether the value is somewhere inside.
fn holds(it: &Value, value: &Value) -> bool {
    it == value
        || match it {
            Value::Object(members) => members.values().any(|member| holds(member, value)),
            Value::Array(items) => items.iter().any(|item| holds(item, value)),
            Value::String(text) => {
                text.starts_with('{') && serde_json::from_str(text).is_ok_and(|it: Value| holds(&it, value))
            }
            _ => false,
        }
}

fn parse(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|e| format!("not JSON: {e}: {json}"))
}
