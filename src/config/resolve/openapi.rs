//! `openapi`: one operation of an OpenAPI description as a tool. References are put in where they point into
//! the same file; what goes deeper than [`DEEPEST`] may be anything.

#![expect(clippy::disallowed_types, reason = "a description is free-form, and read at start")]

use serde_json::{Map, Value, json};

use super::{base_url, provider};
use crate::config::raw;
use crate::config::read::Context;
use crate::config::tools::{Arguments, HttpTool, Parameter, Place, ToolUrl};
use crate::secret::Secret;

/// Descriptions may refer to themselves.
const DEEPEST: usize = 12;
/// What a model is told of all arguments together.
const MOST_SCHEMA_BYTES: usize = 64 << 10;
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// OpenAPI has parameters of these names ignored.
const IGNORED_HEADERS: [&str; 3] = ["accept", "content-type", "authorization"];
/// The argument that is the body of the request.
const BODY: &str = "body";

/// The tool, or problems noted.
pub(super) fn tool(raw: &raw::Tool, cx: &mut Context<'_>) -> Option<HttpTool> {
    let path = raw.openapi.as_ref()?;
    let Some(wanted) = &raw.operation else {
        if !raw.written.contains(&"operation") {
            cx.say(raw.place, "`openapi` without an operation").label("expected `operation: operationId`");
        }
        return None;
    };
    let text = match cx.env.read(path) {
        Ok(text) => text,
        Err(error) => {
            cx.say(path.place, format!("cannot read the file `{}`", path.display())).label(error.to_string());
            return None;
        }
    };
    let Ok(file) = serde_saphyr::from_str::<Value>(&text) else {
        cx.say(path.place, format!("`{}` is neither JSON nor YAML", path.display())).label("expected OpenAPI 3");
        return None;
    };
    let Some(found) = Found::search(&file, wanted) else {
        cx.say(wanted.place, format!("no operation is called `{}` there", wanted.value))
            .label("expected an `operationId`");
        return None;
    };
    let read = match found.read() {
        Ok(read) => read,
        Err(why) => {
            cx.say(wanted.place, format!("`{}` cannot be called", wanted.value)).label(why);
            return None;
        }
    };
    let own = file.pointer("/servers/0/url").and_then(Value::as_str);
    let Some(server) = raw.base_url.as_ref().map(|url| url.value.as_str()).or(own) else {
        cx.say(path.place, "the file does not say where its server is").label("expected `base_url: https://...`");
        return None;
    };
    let url = match base_url::plain(server) {
        // The path goes behind it, with its names in braces.
        Ok(base) => ToolUrl { base, whole: Secret::new(format!("{}{}", server.trim_end_matches('/'), found.path)) },
        Err(expected) => {
            let place = raw.base_url.as_ref().map_or(path.place, |url| url.place);
            cx.say(place, "not a server that can be called").label(format!("expected {expected}, as `base_url`"));
            return None;
        }
    };
    Some(HttpTool {
        description: raw.description.as_ref().map_or_else(|| found.description(), |text| text.value.clone()),
        schema: read.schema,
        url,
        method: found.method.to_ascii_uppercase(),
        headers: provider::header_list(&raw.headers, cx),
        secret: raw.secret.as_ref().map(|secret| secret.value.0.clone()),
        arguments: Arguments::Operation(read.parameters),
    })
}

/// An operation, where it stands.
struct Found<'f> {
    file: &'f Value,
    path: &'f str,
    method: &'static str,
    /// What holds for all operations of its path.
    beside: &'f Value,
    operation: &'f Value,
}

struct Read {
    schema: String,
    parameters: Vec<Parameter>,
}

impl<'f> Found<'f> {
    fn search(file: &'f Value, wanted: &str) -> Option<Self> {
        file.get("paths")?.as_object()?.iter().find_map(|(path, beside)| {
            METHODS.into_iter().find_map(|method| {
                let operation = beside.get(method)?;
                let is_it = operation.get("operationId").and_then(Value::as_str) == Some(wanted);
                is_it.then_some(Found { file, path, method, beside, operation })
            })
        })
    }

    fn description(&self) -> String {
        let said = |name| self.operation.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let text = said("description").or_else(|| said("summary")).unwrap_or("An operation of a server.");
        text.chars().take(4_000).collect()
    }

    fn read(&self) -> Result<Read, String> {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        let mut parameters: Vec<Parameter> = Vec::new();
        // What the operation says of a parameter comes before what its path says.
        for list in [self.operation, self.beside] {
            for raw in list.get("parameters").and_then(Value::as_array).into_iter().flatten() {
                let raw = self.resolved(raw);
                let Some(parameter) = parameter(&raw)? else { continue };
                if parameters.iter().any(|known| known.name == parameter.name) {
                    continue;
                }
                let mut schema = self.inlined(raw.get("schema").unwrap_or(&Value::Null), 0);
                if let (Some(text), Some(object)) = (raw.get("description"), schema.as_object_mut()) {
                    object.entry("description").or_insert_with(|| text.clone());
                }
                properties.insert(parameter.name.clone(), schema);
                if parameter.required {
                    required.push(Value::from(parameter.name.clone()));
                }
                parameters.push(parameter);
            }
        }
        if let Some(body) = self.operation.get("requestBody").map(|body| self.resolved(body)) {
            let media = body.get("content").and_then(|content| content.get("application/json"));
            let media = media.ok_or("its body is not JSON")?;
            if properties.contains_key(BODY) {
                return Err(format!("a parameter is called `{BODY}`, as the body is"));
            }
            properties.insert(BODY.to_owned(), self.inlined(media.get("schema").unwrap_or(&Value::Null), 0));
            let is_needed = body.get("required").and_then(Value::as_bool).unwrap_or(false);
            if is_needed {
                required.push(BODY.into());
            }
            parameters.push(Parameter { name: BODY.to_owned(), place: Place::Body, required: is_needed });
        }
        for name in self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            if !parameters.iter().any(|p| p.place == Place::Path && p.name == name) {
                return Err(format!("nothing is said of `{name}` in its path"));
            }
        }
        let schema = json!({"type": "object", "properties": properties, "required": required}).to_string();
        if schema.len() > MOST_SCHEMA_BYTES {
            return Err("what is said of its arguments is too long for a model".to_owned());
        }
        Ok(Read { schema, parameters })
    }

    /// What a reference points to, or the thing itself.
    fn resolved(&self, value: &Value) -> Value {
        let mut value = value;
        for _ in 0..DEEPEST {
            let Some(pointer) = value.get("$ref").and_then(Value::as_str) else { break };
            match pointer.strip_prefix('#').and_then(|pointer| self.file.pointer(pointer)) {
                Some(there) => value = there,
                None => return Value::Null,
            }
        }
        value.clone()
    }

    /// The same with what it refers to in it.
    fn inlined(&self, value: &Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return json!({});
        }
        match value {
            Value::Null if depth == 0 => json!({}),
            Value::Object(members) if members.contains_key("$ref") => {
                let there = self.resolved(value);
                if there.get("$ref").is_some() { json!({}) } else { self.inlined(&there, depth + 1) }
            }
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.clone(), self.inlined(value, depth + 1))).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.inlined(item, depth + 1)).collect(),
            other => other.clone(),
        }
    }
}

/// `None` where it is one that need not be given, or that is not the caller's to give.
fn parameter(raw: &Value) -> Result<Option<Parameter>, String> {
    let name = raw.get("name").and_then(Value::as_str).ok_or("a parameter has no name")?;
    let required = raw.get("required").and_then(Value::as_bool).unwrap_or(false);
    let place = match raw.get("in").and_then(Value::as_str) {
        Some("path") => Place::Path,
        Some("query") => Place::Query,
        Some("header") if IGNORED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => return Ok(None),
        Some("header") if provider::is_reserved_header(&name.to_ascii_lowercase()) => {
            return Err(format!("the header `{name}` is not for a model to set"));
        }
        Some("header") => Place::Header,
        _ if required => return Err(format!("`{name}` stands where a tool's arguments cannot go")),
        _ => return Ok(None),
    };
    Ok(Some(Parameter { name: name.to_owned(), place, required: required || place == Place::Path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r##"
openapi: 3.0.3
servers: [{url: "https://pets.test/v1"}]
paths:
  /pets/{id}/tags:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}, description: "Which pet"}
    post:
      operationId: tag
      summary: Tags a pet
      parameters:
        - {$ref: "#/components/parameters/Dry"}
        - {name: X-Trace, in: header, schema: {type: string}}
        - {name: Authorization, in: header, schema: {type: string}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Node"}}}
    get:
      operationId: cookie
      parameters: [{name: sid, in: cookie, required: true, schema: {type: string}}]
components:
  parameters:
    Dry: {name: dry, in: query, schema: {type: boolean}}
  schemas:
    Node: {type: object, properties: {name: {type: string}, next: {$ref: "#/components/schemas/Node"}}}
"##;

    #[test]
    fn arguments_go_where_the_operation_has_them() {
        let file: Value = serde_saphyr::from_str(FILE).unwrap();
        let found = Found::search(&file, "tag").unwrap();
        assert_eq!((found.method, found.path, found.description().as_str()), ("post", "/pets/{id}/tags", "Tags a pet"));
        let read = found.read().unwrap();
        let places: Vec<_> = read.parameters.iter().map(|p| (p.name.as_str(), p.place, p.required)).collect();
        let expected = [
            ("dry", Place::Query, false),
            ("X-Trace", Place::Header, false),
            ("id", Place::Path, true),
            ("body", Place::Body, true),
        ];
        assert_eq!(places, expected);
        let schema: Value = serde_json::from_str(&read.schema).unwrap();
        assert_eq!(schema["properties"]["id"]["description"], "Which pet");
        assert_eq!(schema["properties"]["body"]["properties"]["next"]["properties"]["name"]["type"], "string");
        assert_eq!(schema["required"], json!(["id", "body"]));
        assert!(!read.schema.contains("$ref") && read.schema.len() < 4_096, "{}", read.schema.len());
    }

    #[test]
    fn what_cannot_be_given_is_said() {
        let file: Value = serde_saphyr::from_str(FILE).unwrap();
        assert!(Found::search(&file, "other").is_none());
        assert!(Found::search(&file, "cookie").unwrap().read().err().unwrap().contains("sid"));
    }
}
