//! The schemas of `parameters` and `responseSchema`, a part of OpenAPI 3.0
//! (<https://ai.google.dev/api/caching#Schema>), as JSON Schema, which every other format takes and
//! this one takes in `parametersJsonSchema` and `responseJsonSchema`.
//!
//! Types are spelled in capitals there, null is allowed by `nullable`, and 64-bit numbers are strings.

use crate::wire::json::{self, Arr, Json, Obj, Raw};
use crate::wire::scan;

/// Bodies were checked for depth before; this bounds what a caller without that check can do.
const MAX_DEPTH: u32 = 128;

/// The schema as JSON Schema.
pub(super) fn from_openapi(schema: Json<'_>) -> Raw<'_> {
    let json = schema.get();
    if !json.starts_with('{') {
        return Raw::new(json);
    }
    let mut out = Vec::with_capacity(json.len() + 16);
    object(json, MAX_DEPTH, &mut out);
    match String::from_utf8(out) {
        Ok(converted) => Raw::owned(converted),
        Err(_) => Raw::new(json),
    }
}

fn object(json: &str, depth: u32, out: &mut Vec<u8>) {
    if depth == 0 || !json.starts_with('{') {
        return out.extend_from_slice(json.as_bytes());
    }
    let nullable = scan::member(json, "nullable") == Some("true");
    let mut schema = Obj::new(out);
    for (name, value) in scan::members(json) {
        match name {
            "nullable" => {}
            "type" => kind(value, nullable, schema.key("type")),
            "enum" if nullable => with_null(value, schema.key("enum")),
            "properties" | "defs" | "$defs" => properties(value, depth - 1, schema.key(name)),
            "items" => object(value, depth - 1, schema.key("items")),
            "anyOf" | "any_of" => list(value, depth - 1, nullable, schema.key("anyOf")),
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
                schema.raw(name, value.trim_matches('"'));
            }
            // An order for the model's output, of no meaning elsewhere.
            "propertyOrdering" | "property_ordering" => _ = schema.raw("propertyOrdering", value),
            name => _ = schema.raw(name, value),
        }
    }
}

/// `"STRING"` is `"string"`; a type that may be null is a list.
fn kind(value: &str, nullable: bool, out: &mut Vec<u8>) {
    let word = value.to_ascii_lowercase();
    match nullable && word.starts_with('"') && word != "\"null\"" {
        true => _ = Arr::new(out).raw(&word).raw("\"null\""),
        false => out.extend_from_slice(word.as_bytes()),
    }
}

fn with_null(value: &str, out: &mut Vec<u8>) {
    let Ok(values) = json::parse::<Vec<Json<'_>>>(value) else {
        return out.extend_from_slice(value.as_bytes());
    };
    let mut list = Arr::new(out);
    values.iter().for_each(|value| _ = list.raw(value.get()));
    if !values.iter().any(|value| value.get() == "null") {
        list.raw("null");
    }
}

fn properties(value: &str, depth: u32, out: &mut Vec<u8>) {
    if !value.starts_with('{') {
        return out.extend_from_slice(value.as_bytes());
    }
    let mut all = Obj::new(out);
    for (name, schema) in scan::members(value) {
        // The name is still escaped.
        let key = json::Str::from_escaped(name);
        object(schema, depth, all.key(&key.text()));
    }
}

fn list(value: &str, depth: u32, nullable: bool, out: &mut Vec<u8>) {
    let Ok(schemas) = json::parse::<Vec<Json<'_>>>(value) else {
        return out.extend_from_slice(value.as_bytes());
    };
    let mut list = Arr::new(out);
    schemas.iter().for_each(|schema| object(schema.get(), depth, list.item()));
    if nullable {
        list.obj().text("type", "null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(json: &str) -> String {
        from_openapi(serde_json::from_str(json).unwrap()).get().to_owned()
    }

    #[test]
    fn types_null_and_numbers_are_those_of_json_schema() {
        let openapi = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true,"enum":["a"]},
            "l":{"type":"ARRAY","minItems":"2","items":{"type":"INTEGER"}},
            "u":{"anyOf":[{"type":"NUMBER"},{"type":"BOOLEAN"}],"nullable":true}},"required":["type"]}"#;
        assert_eq!(
            converted(openapi),
            r#"{"type":"object","properties":{"type":{"type":["string","null"],"enum":["a",null]},"l":{"type":"array","minItems":2,"items":{"type":"integer"}},"u":{"anyOf":[{"type":"number"},{"type":"boolean"},{"type":"null"}]}},"required":["type"]}"#
        );
    }

    #[test]
    fn odd_schemas_stay() {
        for json in ["true", "[1]", "{}", r#"{"properties":1,"anyOf":2,"type":["string","null"]}"#] {
            assert_eq!(converted(json), json);
        }
    }
}
