//! `tools` and `edge_tools`.

use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::UsdText;
use crate::config::read::{At, Context, Either, Map, Period, Read, Scalar, SecretText, Size, one_of, settings};
use crate::config::yaml::{Kind, Node};

settings! {
    /// A tool that the gateway runs itself: a request to a server (`url`, or `openapi`), a server of
    /// the Model Context Protocol (`mcp`), or pages of some hosts (`fetch`).
    Tool in "a tool" {
        /// What the model is told of it. An operation of OpenAPI has its own.
        description: String,
        /// Where its calls go. Only its host is ever shown.
        url: SecretText,
        /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`. With `GET` and `DELETE` the arguments are the
        /// query, else they are the body.
        method: MethodWord = "POST",
        /// JSON Schema of its arguments, as a mapping or as JSON in one text. In a mapping, what looks like a
        /// number or like `true` is one.
        schema: JsonText,
        /// A file with the JSON Schema of its arguments.
        schema_file: PathBuf,
        /// Headers added to every call.
        headers: Map<SecretText> = "{}",
        /// Signs the body, in `x-weir-signature`. Default: nothing is signed.
        secret: SecretText,
        /// A file with an OpenAPI description, JSON or YAML, in place of `url`.
        openapi: PathBuf,
        /// The `operationId` in that file.
        operation: String,
        /// What the operation's path goes below. Default: the first of the file's `servers`.
        base_url: String,
        /// A server of the Model Context Protocol; its tools are `name/tool`, and a model is told of
        /// `name__tool`.
        mcp: Mcp,
        /// Of the server's tools only these; `*` stands for any text. Default: all.
        allow: Vec<At<String>> = "[]",
        /// Pages that may be fetched.
        fetch: Fetch,
        /// For one call, connecting included.
        timeout: Period = "20s",
        /// What is read of an answer at most.
        max_bytes: Size = "256KiB",
        /// How often it may be called.
        limits: ToolLimits = "{}",
    }

    /// How often a tool may be called.
    ToolLimits in "the `limits` of a tool" {
        /// Calls of each tenant in any minute; of a server, of all its tools together.
        calls_per_minute: u32,
    }

    /// How a server is reached: `url` (streamable HTTP), or `command` (a child process).
    Mcp in "`mcp`" {
        /// Of its endpoint. Only the host is ever shown.
        url: SecretText,
        /// Headers added to every request to it.
        headers: Map<SecretText> = "{}",
        /// A program that speaks over its standard input and output.
        command: PathBuf,
        /// What it is started with.
        args: Vec<At<String>> = "[]",
        /// Its environment, beside `PATH` and `HOME`: it has nothing else of the gateway's.
        env: Map<SecretText> = "{}",
    }

    /// Pages that may be fetched.
    Fetch in "`fetch`" {
        /// Hosts: a name, an address, or `*.name` for all below a name.
        hosts: Vec<Either<String, FetchHost>> = "[]",
    }

    /// A host that may be fetched from, with more to say.
    FetchHost in "a host" {
        /// A name, an address, or `*.name` for all below a name.
        host: String,
        /// It may have an address that is not public: of this machine, or of a network of one's own.
        private: bool = "false",
        /// Ports beside 80 and 443.
        ports: Vec<At<u32>> = "[]",
    }

    /// Tools that the gateway runs itself, and how far it goes. A key's hold in place of its route's,
    /// and those in place of its tenant's.
    EdgeTools in "`edge_tools`" {
        /// Names: of `tools`, `server/tool`, `server/*`, or built in (`weir_calculate`,
        /// `weir_current_time`, `weir_json_query`, `weir_original`, `weir_usage`,
        /// `weir_uuid`). `*` stands for any text.
        tools: Vec<At<String>> = "[]",
        /// Offered with every request, not only where the request asks for them.
        always: bool = "false",
        /// Answers of the model with calls that are run, for one request.
        max_rounds: u32 = "4",
        /// For all calls of one round.
        timeout: Period = "30s",
        /// No further round once the request has cost as much. Default: no bound but that of budgets.
        max_usd: UsdText,
    }
}

/// `method`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodWord(pub &'static str);

const METHODS: [(&str, &str); 5] =
    [("GET", "GET"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

impl Scalar for MethodWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &METHODS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": METHODS.map(|(word, _)| word)})
    }
}

/// An object of JSON, written as a mapping or as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(pub String);

impl Read for JsonText {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let Kind::Map(_) = &node.kind {
            return Some(Self(json(node).to_string()));
        }
        let text = cx.text(node)?;
        match object(&text) {
            Some(compact) => Some(Self(compact)),
            None => {
                cx.say(node.place, "not an object of JSON").label("expected a mapping, or JSON in one text");
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["object", "string"]})
    }
}

/// The same without blanks, if it is an object of JSON.
#[expect(clippy::disallowed_types, reason = "a schema is free-form JSON")]
pub(in crate::config) fn object(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.is_object().then(|| value.to_string())
}

#[expect(clippy::disallowed_types, reason = "a schema is free-form JSON")]
fn json(node: &Node) -> serde_json::Value {
    use serde_json::Value;
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Scalar(text) => match serde_json::from_str(text) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::String(text.clone()),
        },
        Kind::List(items) => Value::Array(items.iter().map(json).collect()),
        Kind::Map(entries) => Value::Object(entries.iter().map(|e| (e.name.clone(), json(&e.value))).collect()),
    }
}
