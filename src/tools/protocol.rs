//! The Model Context Protocol as the gateway speaks it to its own clients: JSON-RPC 2.0, one message a body
//! (<https://modelcontextprotocol.io/specification/2025-11-25/basic/transports>). There are no sessions: every
//! request stands by itself, so replicas need not know of each other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::{Outcome, Tool};
use crate::wire::json::{Obj, Raw, Str, parse};
use crate::wire_object;

/// The versions that are spoken, the newest first. What is used of the protocol is the same in all.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// Codes of JSON-RPC.
const NOT_JSON: i32 = -32_700;
const NOT_A_REQUEST: i32 = -32_600;
const UNKNOWN_METHOD: i32 = -32_601;
const WRONG_PARAMETERS: i32 = -32_602;

wire_object! {
    struct Message<'a> { id: Raw<'a>, method: Str<'a>, params: Raw<'a> }
}

wire_object! {
    struct Initialize<'a> { version: Str<'a> = "protocolVersion" }
}

wire_object! {
    struct CallTool<'a> { name: Str<'a>, arguments: Raw<'a> }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Answered already.
    Answer(Vec<u8>),
    /// Nothing is to be answered.
    Nothing,
    ListTools {
        id: String,
    },
    CallTool {
        id: String,
        name: String,
        arguments: String,
    },
}

/// Reads a body.
pub fn read(body: &[u8]) -> Asked {
    let Ok(text) = std::str::from_utf8(body) else { return error("null", NOT_JSON, "the body is not UTF-8") };
    if text.trim_start().starts_with('[') {
        return error("null", NOT_A_REQUEST, "one message a request: lists of them are not taken");
    }
    let Ok(message) = parse::<Message<'_>>(text) else { return error("null", NOT_JSON, "the body is no JSON object") };
    let method = message.method.as_ref().map(Str::text);
    // Notifications have no id, answers no method.
    let (Some(id), Some(method)) = (message.id.as_ref().map(Raw::get), method.as_deref()) else {
        return Asked::Nothing;
    };
    if !id.starts_with('"') && !id.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return error("null", NOT_A_REQUEST, "an id is a text or a number");
    }
    match method {
        "initialize" => Asked::Answer(initialized(id, message.params.as_ref())),
        "ping" => Asked::Answer(result(id, "{}")),
        "tools/list" => Asked::ListTools { id: id.to_owned() },
        "tools/call" => call(id, message.params.as_ref()),
        _ => error(id, UNKNOWN_METHOD, "this method is not known"),
    }
}

fn call(id: &str, parameters: Option<&Raw<'_>>) -> Asked {
    let call: Option<CallTool<'_>> = parameters.and_then(Raw::read);
    let Some(name) = call.as_ref().and_then(|call| call.name.as_ref()) else {
        return error(id, WRONG_PARAMETERS, "a call needs the name of a tool");
    };
    let arguments = call.as_ref().and_then(|call| call.arguments.as_ref()).map_or("{}", Raw::get);
    if !arguments.starts_with('{') {
        return error(id, WRONG_PARAMETERS, "the arguments of a call are an object");
    }
    Asked::CallTool { id: id.to_owned(), name: name.text().into_owned(), arguments: arguments.to_owned() }
}

/// The client's version where it is one of ours, else the newest: the client may leave then.
fn initialized(id: &str, parameters: Option<&Raw<'_>>) -> Vec<u8> {
    let asked: Option<Initialize<'_>> = parameters.and_then(Raw::read);
    let asked = asked.as_ref().and_then(|asked| asked.version.as_ref()).map(Str::text);
    let version = VERSIONS.into_iter().find(|version| asked.as_deref() == Some(version)).unwrap_or(VERSIONS[0]);
    let mut out = Vec::with_capacity(256);
    {
        let mut body = Obj::new(&mut out);
        body.text("protocolVersion", version);
        body.obj("capabilities").obj("tools").bool("listChanged", true);
        body.obj("serverInfo").text("name", "weir").text("version", env!("CARGO_PKG_VERSION"));
    }
    result(id, &String::from_utf8_lossy(&out))
}

/// Tells a client that it has other tools now.
pub const LIST_CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// Another number for another list of tools.
pub fn fingerprint(tools: &[Arc<Tool>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tools.iter().for_each(|tool| tool.spec().hash(&mut hasher));
    hasher.finish()
}

/// The answer to `tools/list`.
pub fn listed(id: &str, tools: &[Arc<Tool>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    {
        let mut body = Obj::new(&mut out);
        let mut list = body.arr("tools");
        for spec in tools.iter().map(|tool| tool.spec()) {
            let mut tool = list.obj();
            tool.text("name", &spec.name).text("description", &spec.description).raw("inputSchema", &spec.schema);
        }
    }
    result(id, &String::from_utf8_lossy(&out))
}

/// The answer to `tools/call`: a server's as it gave it.
pub fn called(id: &str, outcome: &Outcome) -> Vec<u8> {
    if let Some(verbatim) = &outcome.verbatim {
        return result(id, verbatim);
    }
    let mut out = Vec::with_capacity(outcome.text.len() + 64);
    {
        let mut body = Obj::new(&mut out);
        body.arr("content").obj().text("type", "text").text("text", &outcome.text);
        body.bool("isError", outcome.is_error);
    }
    result(id, &String::from_utf8_lossy(&out))
}

/// The answer to a call of what is not there, or not for this caller.
pub fn unknown_tool(id: &str) -> Vec<u8> {
    failed(id, WRONG_PARAMETERS, "there is no such tool")
}

fn result(id: &str, json: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + id.len() + 40);
    Obj::new(&mut out).text("jsonrpc", "2.0").raw("id", id).raw("result", json);
    out
}

fn error(id: &str, code: i32, message: &str) -> Asked {
    Asked::Answer(failed(id, code, message))
}

fn failed(id: &str, code: i32, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    {
        let mut body = Obj::new(&mut out);
        body.text("jsonrpc", "2.0").raw("id", id);
        body.obj("error").raw("code", &code.to_string()).text("message", message);
    }
    out
}

/// A message as the one event of a stream: for clients that take nothing else.
pub fn event(message: &[u8]) -> Vec<u8> {
    [b"event: message\ndata: ", message, b"\n\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> String {
        match read(body.as_bytes()) {
            Asked::Answer(json) => String::from_utf8(json).unwrap(),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn the_version_is_the_clients_where_it_is_spoken() {
        let ask = |version: &str| {
            answer(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{version}"}}}}"#
            ))
        };
        assert!(ask("2025-03-26").contains(r#""protocolVersion":"2025-03-26""#));
        assert!(ask("1999-01-01").contains(r#""protocolVersion":"2025-11-25""#));
        assert!(ask("2025-06-18").starts_with(r#"{"jsonrpc":"2.0","id":1,"result":{"#));
        assert_eq!(
            answer(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#),
            r#"{"jsonrpc":"2.0","id":"a","result":{}}"#
        );
    }

    #[test]
    fn what_cannot_be_answered_is_an_error() {
        for (body, code) in [
            ("{", "-32700"),
            ("7", "-32700"),
            ("[]", "-32600"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "-32600"),
            (r#"{"id":{"a":1},"method":"ping"}"#, "-32600"),
            (r#"{"id":1,"method":"resources/list"}"#, "-32601"),
            (r#"{"id":1,"method":"tools/call"}"#, "-32602"),
            (r#"{"id":1,"method":"tools/call","params":{"name":"a","arguments":[]}}"#, "-32602"),
        ] {
            assert!(answer(body).contains(&format!(r#""code":{code}"#)), "{body}: {}", answer(body));
        }
        assert!(matches!(read(b"\xff"), Asked::Answer(_)));
    }

    #[test]
    fn notifications_and_answers_are_taken_in_silence() {
        for body in
            [r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#]
        {
            assert_eq!(read(body.as_bytes()), Asked::Nothing);
        }
    }

    #[test]
    fn a_call_keeps_its_arguments_as_they_stand() {
        let body = r#"{"id":7,"method":"tools/call","params":{"name":"a__b","arguments":{"n": 1.0}}}"#;
        let (id, name, arguments) = ("7".to_owned(), "a__b".to_owned(), r#"{"n": 1.0}"#.to_owned());
        assert_eq!(read(body.as_bytes()), Asked::CallTool { id, name, arguments });
        let done = called("7", &Outcome::failed("no \"x\""));
        let expected =
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"no \"x\""}],"isError":true}}"#;
        assert_eq!(String::from_utf8(done).unwrap(), expected);
    }
}
